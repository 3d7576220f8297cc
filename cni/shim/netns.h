#ifndef WEFT_NETNS_H
#define WEFT_NETNS_H

#include <stddef.h>
#include <stdint.h>

/* Netlink sockets: of the pod's kernel and of the host's. */
enum { POD, HOST, SOCKETS };

/* -1 each, until they are opened. */
extern int sockets[SOCKETS];

/* Directories ipv4 and ipv6 below /proc/sys/net, of the host (0) and of the pod (1); -1 where they are not open. */
enum { V4, V6 };
extern int settings[2][2];

/* Opens CNI_NETNS, once. Payload of O: the number of our own namespace's descriptor or -errno, and that of the pod's. */
void where(uint32_t numbers[2]);

/* Into the pod's namespace, or back into our own. 0, or -errno. */
int go(int to_pod);

/* And the directories of settings, once CNI_NETNS is open. A step of a program for a socket that is not there is refused. */
void open_sockets(void);

/* What a socket's kernel has answered so far; how many bytes. */
size_t answers(int netlink, char *buffer, size_t room);

#endif
