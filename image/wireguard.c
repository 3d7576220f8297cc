/*
 * weft-wireguard LINK: runs wireguard-go for the link where the kernel has no WireGuard, and
 * waits for ever where it has. It becomes wireguard-go, so nothing else stays in memory.
 *
 * A link of that name that is there already belongs to another wireguard-go, such as the one of
 * the pod before this: two cannot hold it, so this one waits until the link is gone.
 */
#define _GNU_SOURCE
#include <linux/genetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/wireguard-go"
#define FAMILY "wireguard"

static sigset_t stops, before;

/* Sleeps; ends the program on SIGTERM and SIGINT, which a pid 1 would not notice by itself. */
static void wait_seconds(int seconds) {
  struct timespec time = {.tv_sec = seconds};
  if (sigtimedwait(&stops, NULL, &time) > 0) exit(0);
}

/* Asks generic netlink for WireGuard's family; to ask makes the kernel load its module. */
static int kernel_has_wireguard(void) {
  struct {
    struct nlmsghdr head;
    struct genlmsghdr genl;
    struct nlattr name;
    char text[NLA_ALIGN(sizeof FAMILY)];
  } ask = {
      .head = {.nlmsg_len = sizeof ask, .nlmsg_type = GENL_ID_CTRL, .nlmsg_flags = NLM_F_REQUEST},
      .genl = {.cmd = CTRL_CMD_GETFAMILY, .version = 1},
      .name = {.nla_len = NLA_HDRLEN + sizeof FAMILY, .nla_type = CTRL_ATTR_FAMILY_NAME},
      .text = FAMILY,
  };
  union {
    struct nlmsghdr head;
    char bytes[8192];
  } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0 || send(fd, &ask, sizeof ask, 0) < 0) {
    perror("weft-wireguard: generic netlink");
    exit(1);
  }
  ssize_t n = recv(fd, &answer, sizeof answer, 0);
  close(fd);
  return n >= (ssize_t)sizeof answer.head && answer.head.nlmsg_type == GENL_ID_CTRL;
}

int main(int argc, char **argv) {
  if (argc != 2 || argv[1][0] == '-') {
    fprintf(stderr, "usage: weft-wireguard LINK\n");
    return 2;
  }
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  sigprocmask(SIG_BLOCK, &stops, &before);

  if (kernel_has_wireguard()) {
    fprintf(stderr, "weft-wireguard: the kernel has WireGuard; nothing to do here\n");
    for (;;) wait_seconds(3600);
  }
  if (if_nametoindex(argv[1]))
    fprintf(stderr, "weft-wireguard: %s is there already; waiting until whoever holds it lets it go\n", argv[1]);
  while (if_nametoindex(argv[1])) wait_seconds(1);

  sigprocmask(SIG_SETMASK, &before, NULL);
  setenv("WG_PROCESS_FOREGROUND", "1", 1);
  execl(PROGRAM, PROGRAM, "-f", argv[1], (char *)NULL);
  perror("weft-wireguard: " PROGRAM);
  return 1;
}
