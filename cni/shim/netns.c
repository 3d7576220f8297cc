/* The pod's network namespace, and the sockets that are opened on its two sides. */
#define _GNU_SOURCE
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

int sockets[SOCKETS] = {-1, -1, -1};
static int entered;                /* our own namespace's descriptor, or -errno; 0 where nobody has tried */
static int pod_fd = -1;            /* the pod's namespace */

/* O_NONBLOCK: CNI_NETNS may be a pipe that nobody writes to. */
static int open_netns(void) {
  const char *path = getenv("CNI_NETNS");
  struct stat own, pod;
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int there = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : (errno = ENOENT, -1);
  if (here < 0 || there < 0 || fstat(here, &own) < 0 || fstat(there, &pod) < 0) return -errno;
  if (own.st_dev == pod.st_dev && own.st_ino == pod.st_ino) return -EXDEV;
  int host = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  int tables = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (host < 0 || setns(there, CLONE_NEWNET) < 0) return -errno;
  int inside = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (inside < 0) return -errno;
  sockets[POD] = inside, sockets[HOST] = host, sockets[TABLES] = tables, pod_fd = there;
  return here;
}

void where(uint32_t numbers[2]) {
  if (entered == 0) entered = open_netns();
  numbers[0] = htonl((uint32_t)entered), numbers[1] = htonl((uint32_t)pod_fd);
}

/* Datagrams are multiples of 4 bytes, as their messages are. */
size_t answers(int netlink, char *buffer, size_t room) {
  size_t have = 0;
  for (ssize_t got; have < room / 2; have += ((size_t)got + 3) & ~(size_t)3)
    if ((got = recv(netlink, buffer + have, room - have, MSG_DONTWAIT)) <= 0) break;
  return have;
}
