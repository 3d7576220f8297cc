#ifndef WEFT_LOOPBACK_H
#define WEFT_LOOPBACK_H

/* The `loopback` plugin, for hosts that have none: brings lo up in CNI_NETNS. Needs no agent. */
int loopback(const char *command, const char *version);

#endif
