#ifndef WEFT_UNLINK_H
#define WEFT_UNLINK_H

/* `weft-cni unlink NAME`: removes a link; the exit status. */
int unlink_device(const char *name);

#endif
