#ifndef WEFT_PROGRAM_H
#define WEFT_PROGRAM_H

#include <stddef.h>

/* Works a program of the agent's off (frame p). What its steps were answered, the payload of frame P; its length in `have`. */
const char *run_program(char *data, size_t len, size_t *have);

#endif
