/*
 * Listens to the kernel's news for the agent. Why not the agent itself: a socket that overflows
 * reports ENOBUFS, and the agent's netlink library then ends the whole process. Here an overflow
 * is the news "anything may have changed", and a storm of news is a few bytes.
 *
 * Kinds: l links, a addresses, r routes, n neighbours, f our table of the mesh, p our table of policies, t our other
 * tables, o tables of others, w what is of pods (their links, the routes to each). Every kind asked for is written once at
 * the start, when listening has begun, and then at most every PAUSE_MS. Ends with its reader.
 *
 * What the agent itself changes of set elements is no news: it would read whole tables after each pod.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#define PAUSE_MS 20
#define BUFFER (1 << 20)

/* Groups of rtnetlink and of nftables; 0 is none. */
static const struct {
  char kind;
  unsigned groups[2][3];
} topics[] = {
    {'l', {{RTNLGRP_LINK}}},
    {'a', {{RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}}},
    {'r', {{RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}}},
    {'n', {{RTNLGRP_NEIGH}}},
    {'f', {{0}, {NFNLGRP_NFTABLES}}},
    {'p', {{0}, {NFNLGRP_NFTABLES}}},
    {'t', {{0}, {NFNLGRP_NFTABLES}}},
    {'o', {{0}, {NFNLGRP_NFTABLES}}},
    {'w', {{RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}}},
};
#define TOPICS ((int)(sizeof topics / sizeof *topics))

#define LINK (1u << 0)
#define ADDRESS (1u << 1)
#define ROUTE (1u << 2)
#define NEIGHBOUR (1u << 3)
#define MESH_TABLE (1u << 4)
#define POLICY_TABLE (1u << 5)
#define POD_TABLES (1u << 6)
#define OTHER_TABLES (1u << 7)
#define WIRE (1u << 8)

/* constants.ts has ROUTE_PROTOCOL; a mesh has no network of one address. */
#define OUR_ROUTES 119

static const int protocols[2] = {NETLINK_ROUTE, NETLINK_NETFILTER};

/* Upper half of the agent's own ports. */
static unsigned own_ports;

/* A socket of protocol number `p` for these topics, as bits; -1 with errno. */
static int listen_to(int p, unsigned wanted) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocols[p]);
  struct sockaddr_nl self = {.nl_family = AF_NETLINK};
  int size = BUFFER;
  if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  for (int t = 0; t < TOPICS; t++) {
    if (!(wanted & 1u << t)) continue;
    for (const unsigned *g = topics[t].groups[p]; g < topics[t].groups[p] + 3 && *g; g++)
      if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, g, sizeof *g) < 0) return -1;
  }
  return fd;
}

/* Attribute `type` of a message whose own head has `head` bytes; NULL where it has none. */
static const struct nlattr *attribute(const struct nlmsghdr *m, size_t head, int type) {
  const char *at = (const char *)m + NLMSG_LENGTH(NLMSG_ALIGN(head)), *end = (const char *)m + m->nlmsg_len;
  while (end - at >= (long)sizeof(struct nlattr)) {
    const struct nlattr *a = (const struct nlattr *)at;
    if (a->nla_len < sizeof *a || at + a->nla_len > end) return NULL;
    if ((a->nla_type & NLA_TYPE_MASK) == type) return a;
    at += NLA_ALIGN(a->nla_len);
  }
  return NULL;
}

static int is(const struct nlattr *a, const char *name) {
  size_t length = strlen(name) + 1;
  return a->nla_len == sizeof *a + length && !memcmp(a + 1, name, length);
}

static int begins(const struct nlattr *a, const char *name) {
  return a->nla_len >= sizeof *a + strlen(name) && !memcmp(a + 1, name, strlen(name));
}

/* wv*, and wb* which limits what a pod sends. */
static unsigned link_topic(const struct nlmsghdr *m) {
  const struct nlattr *name = attribute(m, sizeof(struct ifinfomsg), IFLA_IFNAME);
  return name && (begins(name, "wv") || begins(name, "wb")) ? WIRE : LINK;
}

/* Each link that comes up has a link-local address of IPv6, which is nobody's doing. */
static unsigned address_topic(const struct nlmsghdr *m) {
  const struct ifaddrmsg *a = NLMSG_DATA(m);
  return a->ifa_family == AF_INET6 && a->ifa_scope == RT_SCOPE_LINK ? 0 : ADDRESS;
}

static int link_local(const unsigned char *address) { return address[0] == 0xfe && (address[1] & 0xc0) == 0x80; }

/* Tables of the kernel's own bookkeeping, and link-local networks, come and go with each link. */
static unsigned route_topic(const struct nlmsghdr *m) {
  const struct rtmsg *r = NLMSG_DATA(m);
  const struct nlattr *dst = attribute(m, sizeof *r, RTA_DST);
  if (r->rtm_table == RT_TABLE_LOCAL) return 0;
  if (r->rtm_family == AF_INET6 && dst && link_local((const unsigned char *)(dst + 1))) return 0;
  return r->rtm_protocol == OUR_ROUTES && r->rtm_dst_len == (r->rtm_family == AF_INET ? 32 : 128) ? WIRE : ROUTE;
}

/* RTM_* types come in fours: new, del, get, set. */
static unsigned rtnl_topic(const struct nlmsghdr *m) {
  switch (m->nlmsg_type & ~3u) {
  case RTM_NEWLINK: return link_topic(m);
  case RTM_NEWADDR: return address_topic(m);
  case RTM_NEWROUTE: return route_topic(m);
  case RTM_NEWNEIGH: return NEIGHBOUR;
  }
  return 0;
}

/* In every message about a table, or about something in one, attribute 1 is the table's name; its port is the changer's. */
static unsigned nft_topic(const struct nlmsghdr *m) {
  const struct nfgenmsg *head = NLMSG_DATA(m);
  const struct nlattr *table = attribute(m, sizeof *head, 1);
  if (m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)) return 0;
  if (m->nlmsg_pid >> 16 == own_ports) return 0;
  if (!table) return MESH_TABLE | POLICY_TABLE | POD_TABLES | OTHER_TABLES;
  if (is(table, "weft-policy")) return POLICY_TABLE;
  if (is(table, "weft") && head->nfgen_family == NFPROTO_INET) return MESH_TABLE;
  return begins(table, "weft") ? POD_TABLES : OTHER_TABLES;
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
      news |= protocol == NETLINK_NETFILTER ? nft_topic(m) : rtnl_topic(m);
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

int monitor(const char *kinds, const char *ports) {
  unsigned wanted[2] = {0, 0};
  struct pollfd fds[3] = {{-1, POLLIN, 0}, {-1, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
  own_ports = (unsigned)strtoul(ports, NULL, 10);
  for (int t = 0; t < TOPICS; t++)
    for (int p = 0; p < 2; p++)
      if (strchr(kinds, topics[t].kind) && topics[t].groups[p][0]) wanted[p] |= 1u << t;
  for (int p = 0; p < 2; p++)
    if (wanted[p] && (fds[p].fd = listen_to(p, wanted[p])) < 0) return failed("cannot listen");
  if (tell(wanted[0] | wanted[1]) < 0) return 0;
  const struct timespec pause = {0, PAUSE_MS * 1000000L};
  for (;;) {
    if (poll(fds, 3, -1) < 0 && errno != EINTR) return failed("poll");
    if (fds[2].revents & (POLLERR | POLLHUP)) return 0;
    /* What makes the news, ADD for one, needs the processors first. */
    nanosleep(&pause, NULL);
    unsigned news = 0;
    for (int p = 0; p < 2; p++) {
      if (fds[p].fd < 0 || !fds[p].revents) continue;
      unsigned seen = drain(fds[p].fd, protocols[p], wanted[p]);
      if (!seen && errno != EAGAIN && errno != EINTR) return failed("recv");
      news |= seen & wanted[p];
    }
    if (tell(news) < 0) return 0;
  }
}
