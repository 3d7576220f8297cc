/* Probes of others' echoes: begun at a word, repeated until they are answered or out of time. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prober.h"

/* A probe without an answer is repeated, as a lost packet would be. */
#define REPEAT_MS 60

static const char *const names[] = {"tcp", "udp", "sctp", "icmp"};

struct probe probes[PROBES];

static struct probe *find(const char *id) {
  for (int i = 0; i < PROBES; i++)
    if (probes[i].used && !strcmp(probes[i].id, id)) return &probes[i];
  return NULL;
}

static void drop(struct probe *p) {
  if (p->fd >= 0) close(p->fd);
  p->used = 0;
}

void answer(struct probe *p, const char *source) {
  if (p->told) return;
  p->told = 1;
  if (source) printf("ok %s %s\n", p->id, source);
  else printf("no %s\n", p->id);
  if (!p->keep) drop(p);
}

static void open_tcp(struct probe *p) {
  if (p->fd >= 0) close(p->fd);
  p->connected = 0;
  p->fd = socket(p->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct linger hard = {1, 0};
  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  connect(p->fd, (struct sockaddr *)&p->to, size_of(&p->to));
}

static void send_probe(struct probe *p) {
  char line[64];
  int n = snprintf(line, sizeof line, "%s\n", p->id);
  switch (p->proto) {
  case UDP: send(p->fd, line, n, MSG_NOSIGNAL); break;
  case SCTP: send_init(p); break;
  case ICMP: send_ping(p); break;
  case TCP: if (p->connected) send(p->fd, line, n, MSG_NOSIGNAL | MSG_DONTWAIT); break;
  }
}

void start(char **w, int keep) {
  struct probe *p = NULL;
  for (int i = 0; i < PROBES && !p; i++)
    if (!probes[i].used) p = &probes[i];
  if (!p) { printf("no %s\n", w[0]); return; }
  memset(p, 0, sizeof *p);
  p->fd = -1;
  snprintf(p->id, sizeof p->id, "%s", w[0]);
  for (int i = 0; i < 4; i++)
    if (!strcmp(w[1], names[i])) p->proto = i;
  if (address(w[2], atoi(w[3]), &p->to) < 0) { printf("no %s\n", w[0]); return; }
  p->used = 1;
  p->keep = keep;
  p->end = now_ms() + atoi(w[4]);
  p->next = now_ms() + REPEAT_MS;
  /* A new one each time, and no earlier one again: the kernel remembers the connections of before. */
  static uint16_t serial;
  if (serial == 0) serial = random();
  p->tag = ((uint32_t)random() << 16) | ++serial; /* The lower half is a ping's id. */
  p->sport = 10000 + serial % 50000;
  if (p->proto == UDP) {
    p->fd = socket(p->to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage own = {.ss_family = p->to.ss_family};
    /* In the same place in both families. */
    ((struct sockaddr_in *)&own)->sin_port = htons(p->sport);
    bind(p->fd, (struct sockaddr *)&own, size_of(&own));
    connect(p->fd, (struct sockaddr *)&p->to, size_of(&p->to));
  }
  if (p->proto == TCP) open_tcp(p);
  else send_probe(p);
}

void again(char **w) {
  struct probe *p = find(w[0]);
  if (!p) { printf("no %s\n", w[0]); return; }
  p->told = 0;
  p->end = now_ms() + atoi(w[1]);
  p->next = now_ms() + REPEAT_MS;
  send_probe(p);
}

/* The echo's line is "ID SOURCE". */
static void on_reply(struct probe *p, char *line) {
  char *space = strchr(line, ' ');
  if (space) answer(p, strtok(space + 1, "\n"));
}

void on_client(struct probe *p, int events) {
  char buffer[512];
  if (p->proto == TCP && !p->connected && (events & (POLLOUT | POLLERR | POLLHUP))) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error) { close(p->fd); p->fd = -1; return; }
    p->connected = 1;
    send_probe(p);
    return;
  }
  ssize_t n = recv(p->fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
  if (n < 0 && p->proto == UDP && errno == ECONNREFUSED) return answer(p, "refused");
  if (n <= 0) {
    if (p->proto == TCP && (n == 0 || errno != EAGAIN)) { close(p->fd); p->fd = -1; p->connected = 0; }
    return;
  }
  buffer[n] = 0;
  on_reply(p, buffer);
}

void tick(void) {
  int64_t now = now_ms();
  for (int i = 0; i < PROBES; i++) {
    struct probe *p = &probes[i];
    if (!p->used || p->told) continue;
    if (now >= p->end) { answer(p, NULL); continue; }
    if (now < p->next) continue;
    p->next = now + REPEAT_MS;
    /* The kernel would repeat a lost SYN after a second only. */
    if (p->proto == TCP && !p->connected && (p->fd < 0 || ++p->rounds % 4 == 0)) open_tcp(p);
    else if (p->proto != TCP) send_probe(p);
  }
}

void forget(const char *id) {
  struct probe *p = find(id);
  if (p) drop(p);
}
