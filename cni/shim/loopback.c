/* Called by the name `loopback`: the plugin that every runtime runs before the network's own. */
#define _GNU_SOURCE
#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft-cni.h"

static int lo_flags(int up, short *flags) {
  struct ifreq request = {0};
  strcpy(request.ifr_name, "lo");
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) return -1;
  *flags = request.ifr_flags;
  short wanted = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
  int result = 0;
  if (up >= 0 && wanted != request.ifr_flags) {
    request.ifr_flags = wanted;
    result = ioctl(fd, SIOCSIFFLAGS, &request);
  }
  close(fd);
  return result;
}

static int enter(const char *path) {
  int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : (errno = ENOENT, -1);
  return fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
}

static void print_escaped(const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') putchar('\\');
    if ((unsigned char)*text >= ' ') putchar(*text);
  }
}

/* Before 1.0.0 each address named its family. */
static int print_result(const char *version) {
  int old = version[0] == '0';
  printf("{\"cniVersion\":\"%s\",\"interfaces\":[{\"name\":\"lo\",\"mac\":\"00:00:00:00:00:00\",\"sandbox\":\"", version);
  print_escaped(getenv("CNI_NETNS"));
  printf("\"}],\"ips\":[{%s\"address\":\"127.0.0.1/8\",\"interface\":0},{%s\"address\":\"::1/128\",\"interface\":0}],\"dns\":{}}\n",
         old ? "\"version\":\"4\"," : "", old ? "\"version\":\"6\"," : "");
  return 0;
}

static int known(const char *version) {
  static const char *const all[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!strcmp(version, all[i])) return 1;
  return 0;
}
int loopback(const char *command, const char *version) {
  short flags = 0;
  if (!known(version)) return fail(1, "incompatible CNI versions", "loopback knows 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0");
  if (!strcmp(command, "STATUS") || !strcmp(command, "GC")) return 0;
  if (enter(getenv("CNI_NETNS")) < 0) return strcmp(command, "DEL") ? fail(5, "loopback: cannot enter CNI_NETNS", strerror(errno)) : 0;
  if (!strcmp(command, "DEL")) return lo_flags(0, &flags), 0;
  if (!strcmp(command, "CHECK")) return lo_flags(-1, &flags) == 0 && flags & IFF_UP ? 0 : fail(100, "loopback: lo is not up", "");
  if (strcmp(command, "ADD")) return fail(4, "unknown CNI_COMMAND", "");
  if (lo_flags(1, &flags) < 0) return fail(5, "loopback: cannot bring lo up", strerror(errno));
  return print_result(version);
}
