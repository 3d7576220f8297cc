#ifndef WEFT_PROGRAM_H
#define WEFT_PROGRAM_H

#include <stddef.h>

/* Works a part of a program of the agent's off (frames b and p). */
void run_steps(char *data, size_t len);

/*
 * Behind the last part: what the steps of all parts were answered, the payload of frames P and D; its length in `have`.
 * Whether all of them were granted.
 */
const char *end_program(size_t *have, int *all_granted);

#endif
