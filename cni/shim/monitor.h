#ifndef WEFT_MONITOR_H
#define WEFT_MONITOR_H

/*
 * `weft-cni monitor KINDS PORTS`: tells the agent on stdout what changes in the kernel, a letter a kind. PORTS: upper half
 * of the port numbers of the agent's own sockets of nftables.
 */
int monitor(const char *kinds, const char *ports);

#endif
