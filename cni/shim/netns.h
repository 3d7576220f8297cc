#ifndef WEFT_NETNS_H
#define WEFT_NETNS_H

#include <stddef.h>
#include <stdint.h>

/* Netlink sockets: of the pod's kernel, of the host's, and of the host's nftables. */
enum { POD, HOST, TABLES, SOCKETS };

/* -1 each, until the pod's namespace is entered. */
extern int sockets[SOCKETS];

/*
 * Enters CNI_NETNS, once and for good. Payload of O: the number of our own namespace's descriptor or -errno, and
 * that of the pod's.
 */
void where(uint32_t numbers[2]);

/* What a socket's kernel has answered so far; how many bytes. */
size_t answers(int netlink, char *buffer, size_t room);

#endif
