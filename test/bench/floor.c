/*
 * What the kernel alone takes for a pod's wire: a CNI plugin that knows its answers beforehand. A veth as a port of the
 * bridge fl0, two addresses and two default routes in the pod, both ends up; no file, no agent, no rule, no check.
 * ADD and DEL of one pod at a time and host: all have the same addresses.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_END "veth-floor"
/* The kernel takes the pod's only where the host's is given, too. */
#define HOST_INDEX 100000
#define POD_INDEX 1000

static char buffer[4096];
static size_t used;
static unsigned sent;

static void fail(const char *what) {
  printf("{\"code\":100,\"msg\":\"%s\"}", what);
  exit(1);
}

static void put(const void *bytes, size_t length) {
  memcpy(buffer + used, bytes, length);
  used += NLMSG_ALIGN(length);
}

static size_t begin(int type, int flags, const void *head, size_t length) {
  size_t at = used;
  struct nlmsghdr message = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = ++sent};
  put(&message, sizeof message);
  put(head, length);
  return at;
}

static void end(size_t at) { ((struct nlmsghdr *)(buffer + at))->nlmsg_len = used - at; }

static void attribute(int type, const void *bytes, size_t length) {
  struct rtattr attr = {.rta_type = type, .rta_len = RTA_LENGTH(length)};
  put(&attr, sizeof attr);
  put(bytes, length);
}

static void number(int type, unsigned value) { attribute(type, &value, sizeof value); }

static size_t open_nest(int type) {
  size_t at = used;
  attribute(type, "", 0);
  return at;
}

static void close_nest(size_t at) { ((struct rtattr *)(buffer + at))->rta_len = used - at; }

static void wire(int pod) {
  struct ifinfomsg link = {.ifi_index = HOST_INDEX}, peer = {.ifi_index = POD_INDEX};
  size_t at = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
  attribute(IFLA_IFNAME, HOST_END, sizeof HOST_END);
  number(IFLA_MASTER, if_nametoindex("fl0"));
  number(IFLA_NUM_TX_QUEUES, 1), number(IFLA_NUM_RX_QUEUES, 1);
  size_t info = open_nest(IFLA_LINKINFO);
  attribute(IFLA_INFO_KIND, "veth", 4);
  size_t data = open_nest(IFLA_INFO_DATA), other = open_nest(VETH_INFO_PEER);
  put(&peer, sizeof peer);
  attribute(IFLA_IFNAME, "eth0", 5);
  number(IFLA_NET_NS_FD, (unsigned)pod);
  number(IFLA_NUM_TX_QUEUES, 1), number(IFLA_NUM_RX_QUEUES, 1);
  close_nest(other), close_nest(data), close_nest(info);
  end(at);
}

static void up(unsigned index) {
  struct ifinfomsg link = {.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  end(begin(RTM_NEWLINK, 0, &link, sizeof link));
}

static void remove_link(void) {
  struct ifinfomsg link = {.ifi_index = HOST_INDEX};
  end(begin(RTM_DELLINK, 0, &link, sizeof link));
}

static void address(int family, const char *text, int bits) {
  unsigned char bytes[16];
  struct ifaddrmsg head = {.ifa_family = family, .ifa_prefixlen = bits, .ifa_flags = IFA_F_NODAD, .ifa_index = POD_INDEX};
  size_t length = family == AF_INET ? 4 : 16, at = begin(RTM_NEWADDR, NLM_F_CREATE, &head, sizeof head);
  inet_pton(family, text, bytes);
  attribute(IFA_LOCAL, bytes, length);
  end(at);
}

static void route(int family, const char *gateway) {
  unsigned char bytes[16];
  struct rtmsg head = {.rtm_family = family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST};
  size_t at = begin(RTM_NEWROUTE, NLM_F_CREATE, &head, sizeof head);
  inet_pton(family, gateway, bytes);
  attribute(RTA_GATEWAY, bytes, family == AF_INET ? 4 : 16);
  number(RTA_OIF, POD_INDEX);
  end(at);
}

/* Sends all that was put together and takes an answer for each. */
static void flush(int fd, const char *what) {
  static char answers[65536];
  if (send(fd, buffer, used, 0) < 0) fail(what);
  for (unsigned open = sent; open > 0;) {
    int length = (int)recv(fd, answers, sizeof answers, 0);
    for (struct nlmsghdr *one = (struct nlmsghdr *)answers; NLMSG_OK(one, length); one = NLMSG_NEXT(one, length), open--)
      if (((struct nlmsgerr *)NLMSG_DATA(one))->error != 0) fail(what);
  }
  used = sent = 0;
}

static int rtnl(void) { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }

static void add(void) {
  int host = rtnl(), pod = open(getenv("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
  wire(pod);
  up(HOST_INDEX);
  flush(host, "the host's side");
  if (setns(pod, CLONE_NEWNET) < 0) fail("the pod's namespace");
  up(POD_INDEX);
  address(AF_INET, "10.99.0.2", 24), address(AF_INET6, "fd99::2", 64);
  route(AF_INET, "10.99.0.1"), route(AF_INET6, "fd99::1");
  flush(rtnl(), "the pod's side");
}

int main(void) {
  const char *verb = getenv("CNI_COMMAND");
  if (strcmp(verb, "ADD") == 0) add();
  if (strcmp(verb, "DEL") == 0) remove_link(), flush(rtnl(), "its removal");
  printf("{\"cniVersion\":\"1.1.0\"}");
}
