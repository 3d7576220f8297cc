/*
 * weft-wireguard LINK: runs wireguard-go for the link where the kernel has no WireGuard, and
 * waits for ever where it has. A wireguard-go that ends by itself is started again at once: the
 * kubelet would wait longer each time, up to 5 minutes, and all that while the node has no tunnels.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/wireguard-go"
#define FAMILY "wireguard"

static sigset_t stops, before;

/* Sleeps; ends the program on SIGTERM and SIGINT, which a pid 1 would not notice by itself. */
static void wait_seconds(int seconds) {
  struct timespec until, now, left;
  clock_gettime(CLOCK_MONOTONIC, &until);
  for (until.tv_sec += seconds;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_sec = until.tv_sec - now.tv_sec, left.tv_nsec = until.tv_nsec - now.tv_nsec;
    if (left.tv_nsec < 0) left.tv_sec--, left.tv_nsec += 1000000000;
    if (left.tv_sec < 0) return;
    int signal = sigtimedwait(&stops, NULL, &left);
    if (signal == SIGTERM || signal == SIGINT) exit(0);
  }
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

static void become_wireguard(const char *link) {
  sigprocmask(SIG_SETMASK, &before, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setenv("WG_PROCESS_FOREGROUND", "1", 1);
  execl(PROGRAM, PROGRAM, "-f", link, (char *)NULL);
  perror("weft-wireguard: " PROGRAM);
  _exit(127);
}

/* Runs wireguard-go to its end and hands a stop on to it; its status as of waitpid. */
static int run_wireguard(const char *link) {
  int status;
  pid_t child = fork();
  if (child == 0) become_wireguard(link);
  if (child < 0) {
    perror("weft-wireguard: fork");
    exit(1);
  }
  for (;;) {
    siginfo_t info;
    int signal = sigwaitinfo(&stops, &info);
    if (signal == SIGCHLD && waitpid(child, &status, WNOHANG) == child) return status;
    if (signal != SIGTERM && signal != SIGINT) continue;
    kill(child, SIGTERM);
    while (waitpid(child, &status, 0) != child) continue;
    exit(0);
  }
}

/* Said with its reason, then again: at once, but where it lived for less than 5 s after a second. */
static void keep_wireguard(const char *link) {
  for (;;) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int status = run_wireguard(link);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) exit(1);
    fprintf(stderr, "weft-wireguard: wireguard-go ended with %s %d; starting it again\n",
            WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (end.tv_sec - start.tv_sec < 5) wait_seconds(1);
    while (if_nametoindex(link)) wait_seconds(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 || argv[1][0] == '-') {
    fprintf(stderr, "usage: weft-wireguard LINK\n");
    return 2;
  }
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGCHLD);
  sigprocmask(SIG_BLOCK, &stops, &before);

  if (kernel_has_wireguard()) {
    fprintf(stderr, "weft-wireguard: the kernel has WireGuard; nothing to do here\n");
    for (;;) wait_seconds(3600);
  }
  if (if_nametoindex(argv[1]))
    fprintf(stderr, "weft-wireguard: %s is there already; waiting until whoever holds it lets it go\n", argv[1]);
  while (if_nametoindex(argv[1])) wait_seconds(1);

  keep_wireguard(argv[1]);
}
