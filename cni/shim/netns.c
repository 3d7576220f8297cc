/* The pod's network namespace, and the sockets that are opened on its two sides. */
#define _GNU_SOURCE
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

int sockets[SOCKETS] = {-1, -1};
int settings[2][2] = {{-1, -1}, {-1, -1}};
static int own_fd;                 /* our own namespace, or -errno; 0 where nobody has looked */
static int pod_fd = -1;            /* the pod's namespace */
static int inside;                 /* whether we are in it */

/* O_NONBLOCK: CNI_NETNS may be a pipe that nobody writes to. */
static int open_netns(void) {
  const char *path = getenv("CNI_NETNS");
  struct stat own, pod;
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int there = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : (errno = ENOENT, -1);
  if (here < 0 || there < 0 || fstat(here, &own) < 0 || fstat(there, &pod) < 0) return -errno;
  if (own.st_dev == pod.st_dev && own.st_ino == pod.st_ino) return -EXDEV;
  if (ioctl(there, NS_GET_NSTYPE) != CLONE_NEWNET) return -EINVAL;
  pod_fd = there;
  return here;
}

void where(uint32_t numbers[2]) {
  if (own_fd == 0) own_fd = open_netns();
  numbers[0] = htonl((uint32_t)own_fd), numbers[1] = htonl((uint32_t)pod_fd);
}

int go(int to_pod) {
  if (inside == to_pod) return 0;
  if (own_fd <= 0) return own_fd;
  if (setns(to_pod ? pod_fd : own_fd, CLONE_NEWNET) < 0) return -errno;
  inside = to_pod;
  return 0;
}

/*
 * The kernel keeps each namespace's directory under the same name in one list, so finding it takes the longer the more
 * pods there are: best done while nobody waits.
 */
static void open_settings(int of_pod) {
  if (go(of_pod) < 0) return;
  settings[of_pod][V6] = open("/proc/sys/net/ipv6", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (of_pod) settings[of_pod][V4] = open("/proc/sys/net/ipv4", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void open_sockets(void) {
  if (sockets[HOST] >= 0 || own_fd <= 0) return;
  sockets[HOST] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  open_settings(0);
  if (go(1) == 0) sockets[POD] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  open_settings(1);
  go(0);
}

/* Datagrams are multiples of 4 bytes, as their messages are. */
size_t answers(int netlink, char *buffer, size_t room) {
  size_t have = 0;
  for (ssize_t got; have < room / 2; have += ((size_t)got + 3) & ~(size_t)3)
    if ((got = recv(netlink, buffer + have, room - have, MSG_DONTWAIT)) <= 0) break;
  return have;
}
