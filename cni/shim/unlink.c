/*
 * Removes one link of this namespace for the agent. The kernel takes some 20 ms for it, and works in the sender's
 * own time: the agent's event loop would stand still for as long.
 */
#define _GNU_SOURCE
#include "unlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int failed(const char *name, int error) {
  fprintf(stderr, "cannot remove link %s: %s\n", name, strerror(error));
  return 1;
}

int unlink_device(const char *name) {
  struct {
    struct nlmsghdr head;
    struct ifinfomsg info;
    struct rtattr attribute;
    char name[IFNAMSIZ];
  } request = {.head = {.nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
  struct {
    struct nlmsghdr head;
    struct nlmsgerr error;
    char rest[1024];
  } reply;
  size_t len = strlen(name) + 1;
  if (len > IFNAMSIZ) return failed(name, ENODEV);
  memcpy(request.name, name, len);
  request.attribute.rta_type = IFLA_IFNAME, request.attribute.rta_len = (unsigned short)RTA_LENGTH(len);
  request.head.nlmsg_len = (unsigned)(sizeof request.head + sizeof request.info + RTA_LENGTH(len));
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || send(fd, &request, request.head.nlmsg_len, 0) < 0) return failed(name, errno);
  ssize_t got = recv(fd, &reply, sizeof reply, 0);
  if (got < (ssize_t)(sizeof reply.head + sizeof reply.error.error)) return failed(name, got < 0 ? errno : EPROTO);
  return reply.error.error ? failed(name, -reply.error.error) : 0;
}
