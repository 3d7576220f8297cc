/*
 * Listens to the kernel's news for the agent. Why not the agent itself: a socket that overflows
 * reports ENOBUFS, and the agent's netlink library then ends the whole process. Here an overflow
 * is the news "anything may have changed", and a storm of news is a few bytes.
 *
 * Kinds: l links, a addresses, r routes, n neighbours, p our table of policies, f all of nftables that
 * is not. Every kind asked for is written once at the start, when listening has begun, and then at most every PAUSE_MS. Ends with its reader.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#define PAUSE_MS 20
#define BUFFER (1 << 20)

static const struct {
  char kind;
  int protocol;
  unsigned groups[2];
} topics[] = {
    {'l', NETLINK_ROUTE, {RTNLGRP_LINK, 0}},
    {'a', NETLINK_ROUTE, {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}},
    {'r', NETLINK_ROUTE, {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}},
    {'n', NETLINK_ROUTE, {RTNLGRP_NEIGH, 0}},
    {'f', NETLINK_NETFILTER, {NFNLGRP_NFTABLES, 0}},
    {'p', NETLINK_NETFILTER, {NFNLGRP_NFTABLES, 0}},
};
#define TOPICS ((int)(sizeof topics / sizeof *topics))

/* A socket for the topics of one protocol, as bits; -1 with errno. */
static int listen_to(int protocol, unsigned wanted) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  struct sockaddr_nl self = {.nl_family = AF_NETLINK};
  int size = BUFFER;
  if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  for (int t = 0; t < TOPICS; t++) {
    if (!(wanted & 1u << t) || topics[t].protocol != protocol) continue;
    for (int g = 0; g < 2 && topics[t].groups[g]; g++)
      if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &topics[t].groups[g], sizeof(unsigned)) < 0) return -1;
  }
  return fd;
}

/* RTM_* types come in fours: new, del, get, set. */
static unsigned route_topic(unsigned type) {
  switch (type & ~3u) {
  case RTM_NEWLINK: return 1u << 0;
  case RTM_NEWADDR: return 1u << 1;
  case RTM_NEWROUTE: return 1u << 2;
  case RTM_NEWNEIGH: return 1u << 3;
  }
  return 0;
}

#define OTHER_TABLES (1u << 4)
#define POLICY_TABLE (1u << 5)

/* In every message about a table, or about something in one, attribute 1 is the table's name. */
static unsigned nft_topic(const struct nlmsghdr *m) {
  static const char name[] = "weft-policy";
  if (m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)) return 0;
  const char *at = (const char *)m + NLMSG_LENGTH(sizeof(struct nfgenmsg)), *end = (const char *)m + m->nlmsg_len;
  while (end - at >= (long)sizeof(struct nlattr)) {
    const struct nlattr *a = (const struct nlattr *)at;
    if (a->nla_len < sizeof *a || at + a->nla_len > end) break;
    if ((a->nla_type & NLA_TYPE_MASK) == 1)
      return a->nla_len == sizeof *a + sizeof name && !memcmp(a + 1, name, sizeof name) ? POLICY_TABLE : OTHER_TABLES;
    at += NLA_ALIGN(a->nla_len);
  }
  return OTHER_TABLES;
}

/* Empties the socket. The topics that it told of; `all` of them where news were lost; 0 with errno on failure. */
static unsigned drain(int fd, int protocol, unsigned all) {
  static char buffer[1 << 16] __attribute__((aligned(NLMSG_ALIGNTO)));
  unsigned news = 0;
  for (;;) {
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return news;
    if (n < 0 && errno == ENOBUFS) { news |= all; continue; }
    if (n < 0) return 0;
    int left = n;
    for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
      news |= protocol == NETLINK_NETFILTER ? nft_topic(m) : route_topic(m->nlmsg_type);
  }
}

static int tell(unsigned news) {
  char letters[TOPICS];
  int n = 0;
  for (int t = 0; t < TOPICS; t++)
    if (news & 1u << t) letters[n++] = topics[t].kind;
  return n == 0 || write(STDOUT_FILENO, letters, n) == n ? 0 : -1;
}

static int failed(const char *what) {
  fprintf(stderr, "weft-cni monitor: %s: %s\n", what, strerror(errno));
  return 1;
}

int monitor(const char *kinds) {
  unsigned wanted[2] = {0, 0};
  const int protocols[2] = {NETLINK_ROUTE, NETLINK_NETFILTER};
  struct pollfd fds[3] = {{-1, POLLIN, 0}, {-1, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int t = 0; t < TOPICS; t++)
    if (strchr(kinds, topics[t].kind)) wanted[topics[t].protocol == NETLINK_NETFILTER] |= 1u << t;
  for (int p = 0; p < 2; p++)
    if (wanted[p] && (fds[p].fd = listen_to(protocols[p], wanted[p])) < 0) return failed("cannot listen");
  if (tell(wanted[0] | wanted[1]) < 0) return 0;
  const struct timespec pause = {0, PAUSE_MS * 1000000L};
  for (;;) {
    if (poll(fds, 3, -1) < 0 && errno != EINTR) return failed("poll");
    if (fds[2].revents & (POLLERR | POLLHUP)) return 0;
    unsigned news = 0;
    for (int p = 0; p < 2; p++) {
      if (fds[p].fd < 0 || !fds[p].revents) continue;
      unsigned seen = drain(fds[p].fd, protocols[p], wanted[p]);
      if (!seen && errno != EAGAIN && errno != EINTR) return failed("recv");
      news |= seen & wanted[p];
    }
    if (tell(news) < 0) return 0;
    nanosleep(&pause, NULL);
  }
}
