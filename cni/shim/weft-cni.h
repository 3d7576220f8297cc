/* Shared between the shim's two files. */
#ifndef WEFT_CNI_H
#define WEFT_CNI_H

/* Prints a CNI error on stdout and returns the exit status. Arguments must need no JSON escapes. */
int fail(int code, const char *msg, const char *details);

#endif
