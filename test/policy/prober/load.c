/* As many datagrams or connections as can be. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prober.h"

int burst(char **w) {
  struct sockaddr_storage to;
  int64_t end = now_ms() + atoi(w[2]) * 1000LL;
  long sent = 0;
  if (address(w[0], atoi(w[1]), &to) < 0) return 1;
  int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  puts("ready");
  fflush(stdout);
  while (now_ms() < end) {
    if (sendto(fd, w[3], strlen(w[3]), MSG_DONTWAIT, (struct sockaddr *)&to, size_of(&to)) > 0) {
      /* The first ones as fast as can be, the rest at a bounded rate. */
      if (++sent > 200) usleep(1000);
    } else usleep(20);
  }
  printf("sent %ld\n", sent);
  return 0;
}

int rate(char **w) {
  struct sockaddr_storage to;
  if (address(w[0], atoi(w[1]), &to) < 0) return 1;
  int64_t begin = now_ms(), end = begin + atoi(w[2]) * 1000LL;
  long made = 0;
  struct linger hard = {1, 0};
  while (now_ms() < end) {
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Without TIME_WAIT, or ports would run out. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (connect(fd, (struct sockaddr *)&to, size_of(&to)) == 0) made++;
    close(fd);
  }
  printf("rate %ld\n", made * 1000 / (now_ms() - begin));
  return 0;
}
