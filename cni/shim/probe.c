/*
 * One question of the agent's probes (mesh/probewire.ts) as a packet of an exact size that nobody may fragment. Why not
 * the agent itself: Node.js cannot set IP_MTU_DISCOVER, without which the kernel cuts what is above the route's MTU.
 * IP_PMTUDISC_PROBE ignores that MTU, so that a path whose route was lowered can be measured without raising it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft-cni.h"

#include "probe.h"

/* "weft", kind, nonce; of a question also what it says of answers. */
#define HEAD 13
#define ANSWER 1
#define PATH 2
#define MOST 65507

static int failed(const char *what) {
  fprintf(stderr, "weft-cni probe: %s: %s\n", what, strerror(errno));
  return 2;
}

/* Address and port as a socket address; its length, 0 where it is no address. */
static socklen_t parse(const char *text, int port, struct sockaddr_storage *to) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)to;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
  memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  return 0;
}

static int whole_packets(int fd, int family) {
  int four = IP_PMTUDISC_PROBE, six = IPV6_PMTUDISC_PROBE;
  return family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &four, sizeof four)
                           : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &six, sizeof six);
}

/* Whether the answer to this question comes within `ms`. */
static int answered(int fd, const unsigned char *question, int ms) {
  unsigned char got[HEAD + 1];
  struct pollfd wait = {fd, POLLIN, 0};
  for (long long end = now_ms() + ms, left = ms; left > 0; left = end - now_ms()) {
    if (poll(&wait, 1, (int)left) <= 0) continue;
    ssize_t n = recv(fd, got, sizeof got, 0);
    if (n >= HEAD && !memcmp(got, "weft", 4) && got[4] == ANSWER && !memcmp(got + 5, question + 5, 8)) return 1;
  }
  return 0;
}

int probe(char **args) {
  static unsigned char question[MOST];
  struct sockaddr_storage source, target;
  socklen_t from = parse(args[0], 0, &source), to = parse(args[1], atoi(args[2]), &target);
  int headers = target.ss_family == AF_INET ? 28 : 48;
  int size = atoi(args[3]) - headers, tries = atoi(args[4]), ms = atoi(args[5]);
  errno = EINVAL;
  if (!from || !to || source.ss_family != target.ss_family || size < HEAD || size > MOST) return failed("arguments");
  int fd = socket(target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&source, from) < 0 || whole_packets(fd, target.ss_family) < 0 ||
      connect(fd, (struct sockaddr *)&target, to) < 0)
    return failed("socket");
  memcpy(question, "weft", 4);
  question[4] = PATH;
  if (getrandom(question + 5, 8, 0) != 8) return failed("random");
  for (int t = 0; t < tries; t++) {
    /* Larger than the link: it does not get through either. */
    if (send(fd, question, size, 0) < 0 && errno != EMSGSIZE && errno != ECONNREFUSED) return failed("send");
    if (answered(fd, question, ms)) return 0;
  }
  return 1;
}
