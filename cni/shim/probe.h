#ifndef WEFT_PROBE_H
#define WEFT_PROBE_H

/*
 * `weft-cni probe SOURCE TARGET PORT SIZE TRIES MS`: 0 where a packet of SIZE bytes reaches the agent at TARGET whole,
 * 1 where none of TRIES is answered, MS milliseconds each, 2 with words where it cannot be asked.
 */
int probe(char **args);

#endif
