/* Addresses of both families, and the clock. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "prober.h"

int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void text_of(const struct sockaddr_storage *a, char *out, size_t n) {
  char ip[INET6_ADDRSTRLEN];
  if (a->ss_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in *)a)->sin_addr, ip, sizeof ip);
  else {
    const struct in6_addr *six = &((struct sockaddr_in6 *)a)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) inet_ntop(AF_INET, six->s6_addr + 12, ip, sizeof ip);
    else inet_ntop(AF_INET6, six, ip, sizeof ip);
  }
  snprintf(out, n, "%s", ip);
}

int address(const char *ip, int port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  struct sockaddr_in *four = (void *)out;
  struct sockaddr_in6 *six = (void *)out;
  if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    return 0;
  }
  if (inet_pton(AF_INET6, ip, &six->sin6_addr) != 1) return -1;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  return 0;
}

socklen_t size_of(const struct sockaddr_storage *a) {
  return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int port_of(const struct sockaddr_storage *a) {
  return ntohs(a->ss_family == AF_INET ? ((struct sockaddr_in *)a)->sin_port : ((struct sockaddr_in6 *)a)->sin6_port);
}
