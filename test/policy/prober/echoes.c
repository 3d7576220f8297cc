/* Echoes on TCP and UDP ports, which say whom they heard. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prober.h"

int listeners[PORTS], echoes[PORTS], nports, conns[CONNS];
static int ports[PORTS];

void saw(char *id, const char *source) {
  id[strcspn(id, " \r\n")] = 0;
  printf("saw %s %s\n", id, source);
}

static void keep_open(int c) {
  for (int i = 0; i < CONNS; i++)
    if (conns[i] < 0) { conns[i] = c; return; }
  close(c);
}

/* All that wait: a full queue makes callers wait for a second. */
void on_accept(int fd) {
  int c;
  while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) keep_open(c);
}

void on_conn(int *slot) {
  char buffer[512], source[64], reply[640];
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  ssize_t n = recv(*slot, buffer, sizeof buffer - 1, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0 || getpeername(*slot, (struct sockaddr *)&from, &len) < 0) { close(*slot); *slot = -1; return; }
  buffer[n] = 0;
  text_of(&from, source, sizeof source);
  saw(buffer, source);
  n = snprintf(reply, sizeof reply, "%s %s\n", buffer, source);
  send(*slot, reply, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void on_datagram(int fd) {
  char buffer[512], source[64], reply[640];
  struct sockaddr_storage from;
  /* The answer must come from the address that was asked. */
  char control[256];
  struct iovec io = {buffer, sizeof buffer - 1};
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &io, .msg_iovlen = 1,
                     .msg_control = control, .msg_controllen = sizeof control};
  for (;;) {
    m.msg_namelen = sizeof from;
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n <= 0) return;
    buffer[n] = 0;
    text_of(&from, source, sizeof source);
    saw(buffer, source);
    n = snprintf(reply, sizeof reply, "%s %s\n", buffer, source);
    sendto(fd, reply, n, MSG_DONTWAIT, (struct sockaddr *)&from, m.msg_namelen);
  }
}

int served(int port) {
  for (int i = 0; i < nports; i++)
    if (ports[i] == port) return 1;
  return 0;
}

static int serve(int type, int port) {
  int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0, on = 1;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || (type == SOCK_STREAM && listen(fd, 4096) < 0)) {
    fprintf(stderr, "prober: port %d: %s\n", port, strerror(errno));
    exit(1);
  }
  return fd;
}

void serve_port(int port) {
  ports[nports] = port;
  listeners[nports] = serve(SOCK_STREAM, port);
  echoes[nports] = serve(SOCK_DGRAM, port);
  nports++;
}
