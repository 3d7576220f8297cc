/*
 * What runs in a pod of the packet tests: an echo on TCP, UDP and SCTP ports, and a client that tries
 * others' echoes at the word of a test. One process a pod, one line a command, many probes at a time.
 *
 *   prober PORT…                       serves these ports on all three protocols, IPv4 and IPv6
 *     try ID tcp|udp|sctp|icmp IP PORT MS   → "ok ID SOURCE" or "no ID"; SOURCE is what the echo saw,
 *                                      or "refused" where an ICMP error came back
 *     keep ID tcp|udp IP PORT MS       as try, but what was opened stays open
 *     again ID MS                      one more round on what is kept → "ok ID …" or "no ID"
 *     close ID
 *   Whenever an echo hears of a probe: "saw ID SOURCE".
 *   prober rate IP PORT SECONDS        TCP connections, one after the other → "rate N" a second
 *   prober burst IP PORT SECONDS WORD  sends WORD by UDP as fast as it can, from before it can at all
 *
 * SCTP is done by hand on raw sockets (INIT, INIT ACK), since many kernels are built without it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROBES 4096
#define CONNS 4096
#define PORTS 16
/* A probe without an answer is repeated, as a lost packet would be. */
#define REPEAT_MS 60

enum proto { TCP, UDP, SCTP, ICMP };

static const char *const names[] = {"tcp", "udp", "sctp", "icmp"};

struct probe {
  int used, fd, keep, told, connected, rounds;
  enum proto proto;
  char id[48];
  struct sockaddr_storage to;
  int64_t end, next;
  uint32_t tag;
  int sport;
};

static struct probe probes[PROBES];
static int conns[CONNS];
static int listeners[PORTS], echoes[PORTS], ports[PORTS], nports;
static int raw4, raw6, ping4, ping6;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void text_of(const struct sockaddr_storage *a, char *out, size_t n) {
  char ip[INET6_ADDRSTRLEN];
  if (a->ss_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in *)a)->sin_addr, ip, sizeof ip);
  else {
    const struct in6_addr *six = &((struct sockaddr_in6 *)a)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) inet_ntop(AF_INET, six->s6_addr + 12, ip, sizeof ip);
    else inet_ntop(AF_INET6, six, ip, sizeof ip);
  }
  snprintf(out, n, "%s", ip);
}

static int address(const char *ip, int port, struct sockaddr_storage *out) {
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

static socklen_t size_of(const struct sockaddr_storage *a) {
  return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* ---- SCTP ------------------------------------------------------------------------------------ */

static uint32_t crc32c(const uint8_t *p, size_t n) {
  uint32_t crc = ~0u;
  while (n--) {
    crc ^= *p++;
    for (int k = 0; k < 8; k++) crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
  }
  return ~crc;
}

struct sctp {
  uint16_t sport, dport;
  uint32_t vtag, checksum;
  uint8_t type, flags;
  uint16_t length;
  uint32_t tag, window;
  uint16_t out, in;
  uint32_t tsn;
  /* INIT ACK must carry a cookie. */
  uint16_t cookie_type, cookie_length;
  uint32_t cookie;
} __attribute__((packed));

static void send_sctp(const struct sockaddr_storage *to, int type, int sport, int dport, uint32_t vtag, uint32_t tag) {
  struct sctp m = {htons(sport), htons(dport), htonl(vtag), 0, type, 0, htons(type == 2 ? 28 : 20),
                   htonl(tag),   htonl(65536), htons(1),    htons(1), htonl(1),  htons(7), htons(8), htonl(tag)};
  size_t n = sizeof m - (type == 2 ? 0 : 8);
  m.checksum = crc32c((uint8_t *)&m, n);
  struct sockaddr_storage bare = *to;
  if (to->ss_family == AF_INET6) ((struct sockaddr_in6 *)&bare)->sin6_port = 0;
  sendto(to->ss_family == AF_INET ? raw4 : raw6, &m, n, 0, (struct sockaddr *)&bare, size_of(&bare));
}

/* ---- clients --------------------------------------------------------------------------------- */

static struct probe *find(const char *id) {
  for (int i = 0; i < PROBES; i++)
    if (probes[i].used && !strcmp(probes[i].id, id)) return &probes[i];
  return NULL;
}

static void drop(struct probe *p) {
  if (p->fd >= 0) close(p->fd);
  p->used = 0;
}

static void answer(struct probe *p, const char *source) {
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

static uint16_t sum16(const void *data, size_t n) {
  const uint16_t *w = data;
  uint32_t s = 0;
  for (; n > 1; n -= 2) s += *w++;
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return ~s;
}

static void send_ping(struct probe *p) {
  struct { uint8_t type, code; uint16_t sum, id, seq; uint32_t tag; } m = {0};
  int six = p->to.ss_family == AF_INET6;
  m.type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  m.id = htons(p->tag & 0xffff);
  m.seq = htons(p->tag >> 16);
  m.tag = p->tag;
  if (!six) m.sum = sum16(&m, sizeof m);
  struct sockaddr_storage bare = p->to;
  if (six) ((struct sockaddr_in6 *)&bare)->sin6_port = 0;
  sendto(six ? ping6 : ping4, &m, sizeof m, 0, (struct sockaddr *)&bare, size_of(&bare));
}

static int port_of(const struct sockaddr_storage *a) {
  return ntohs(a->ss_family == AF_INET ? ((struct sockaddr_in *)a)->sin_port : ((struct sockaddr_in6 *)a)->sin6_port);
}

static void send_probe(struct probe *p) {
  char line[64];
  int n = snprintf(line, sizeof line, "%s\n", p->id);
  switch (p->proto) {
  case UDP: send(p->fd, line, n, MSG_NOSIGNAL); break;
  case SCTP: send_sctp(&p->to, 1, p->sport, port_of(&p->to), 0, p->tag); break;
  case ICMP: send_ping(p); break;
  case TCP: if (p->connected) send(p->fd, line, n, MSG_NOSIGNAL | MSG_DONTWAIT); break;
  }
}

static void start(char **w, int keep) {
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

static void again(char **w) {
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

static void on_client(struct probe *p, int events) {
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

/* ---- echoes ---------------------------------------------------------------------------------- */

static void saw(char *id, const char *source) {
  id[strcspn(id, " \r\n")] = 0;
  printf("saw %s %s\n", id, source);
}

static void keep_open(int c) {
  for (int i = 0; i < CONNS; i++)
    if (conns[i] < 0) { conns[i] = c; return; }
  close(c);
}

/* All that wait: a full queue makes callers wait for a second. */
static void on_accept(int fd) {
  int c;
  while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) keep_open(c);
}

static void on_conn(int *slot) {
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

static void on_datagram(int fd) {
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

static int served(int port) {
  for (int i = 0; i < nports; i++)
    if (ports[i] == port) return 1;
  return 0;
}

static void on_raw(int fd, int six) {
  uint8_t buffer[2048];
  char source[64], id[64];
  for (;;) {
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    if (n <= 0) return;
    size_t skip = six ? 0 : (buffer[0] & 15) * 4;
    struct sctp *m = (void *)(buffer + skip);
    if ((size_t)n < skip + 32) continue;
    text_of(&from, source, sizeof source);
    if (m->type == 1 && served(ntohs(m->dport))) {
      snprintf(id, sizeof id, "sctp-%u", ntohl(m->tag));
      saw(id, source);
      send_sctp(&from, 2, ntohs(m->dport), ntohs(m->sport), ntohl(m->tag), ntohl(m->tag));
    }
    for (int i = 0; m->type == 2 && i < PROBES; i++)
      if (probes[i].used && probes[i].proto == SCTP && probes[i].tag == ntohl(m->vtag)) answer(&probes[i], source);
  }
}

static void on_ping(int fd, int six) {
  uint8_t buffer[2048];
  char source[64];
  for (;;) {
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    if (n <= 0) return;
    size_t skip = six ? 0 : (buffer[0] & 15) * 4;
    if ((size_t)n < skip + 12 || buffer[skip] != (six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY)) continue;
    uint32_t tag;
    memcpy(&tag, buffer + skip + 8, 4);
    text_of(&from, source, sizeof source);
    for (int i = 0; i < PROBES; i++)
      if (probes[i].used && probes[i].proto == ICMP && probes[i].tag == tag) answer(&probes[i], source);
  }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void tick(void) {
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

static void command(char *line) {
  char *w[8] = {0};
  int n = 0;
  for (char *word = strtok(line, " \n"); word && n < 8; word = strtok(NULL, " \n")) w[n++] = word;
  if (n == 6 && !strcmp(w[0], "try")) start(w + 1, 0);
  else if (n == 6 && !strcmp(w[0], "keep")) start(w + 1, 1);
  else if (n == 3 && !strcmp(w[0], "again")) again(w + 1);
  else if (n == 2 && !strcmp(w[0], "close")) {
    struct probe *p = find(w[1]);
    if (p) drop(p);
  } else fprintf(stderr, "prober: what is %s?\n", w[0] ? w[0] : "an empty line");
}

static int on_stdin(void) {
  static char buffer[1 << 16];
  static size_t have;
  ssize_t n = read(0, buffer + have, sizeof buffer - 1 - have);
  if (n <= 0) return n == 0 || errno != EAGAIN ? -1 : 0;
  have += n;
  buffer[have] = 0;
  char *line = buffer, *end;
  while ((end = strchr(line, '\n'))) {
    *end = 0;
    command(line);
    line = end + 1;
  }
  have -= line - buffer;
  memmove(buffer, line, have);
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

static int raw(int family, int protocol) {
  int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), size = 1 << 20;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return fd;
}

static int burst(char **w) {
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

static int rate(char **w) {
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

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "rate")) return rate(argv + 2);
  if (argc == 6 && !strcmp(argv[1], "burst")) return burst(argv + 2);
  for (int i = 1; i < argc && i <= PORTS; i++) {
    ports[nports] = atoi(argv[i]);
    listeners[nports] = serve(SOCK_STREAM, ports[nports]);
    echoes[nports] = serve(SOCK_DGRAM, ports[nports]);
    nports++;
  }
  memset(conns, -1, sizeof conns);
  raw4 = raw(AF_INET, 132);
  raw6 = raw(AF_INET6, 132);
  ping4 = raw(AF_INET, IPPROTO_ICMP);
  ping6 = raw(AF_INET6, IPPROTO_ICMPV6);
  int offset = 8;
  setsockopt(raw6, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){-1}, sizeof offset);
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  srandom(getpid() ^ now_ms());
  puts("ready");
  fflush(stdout);
  static struct pollfd fds[8 + 2 * PORTS + PROBES + CONNS];
  static int probe_of[8 + 2 * PORTS + PROBES + CONNS], conn_of[8 + 2 * PORTS + PROBES + CONNS];
  for (;;) {
    int n = 0, busy = 0;
    const int fixed[] = {0, raw4, raw6, ping4, ping6};
    for (int i = 0; i < 5; i++) fds[n++] = (struct pollfd){fixed[i], POLLIN, 0};
    for (int i = 0; i < nports; i++) fds[n++] = (struct pollfd){listeners[i], POLLIN, 0};
    for (int i = 0; i < nports; i++) fds[n++] = (struct pollfd){echoes[i], POLLIN, 0};
    int clients = n;
    for (int i = 0; i < PROBES; i++) {
      if (!probes[i].used) continue;
      busy |= !probes[i].told;
      if (probes[i].fd < 0) continue;
      int out = probes[i].proto == TCP && !probes[i].connected;
      probe_of[n] = i;
      fds[n++] = (struct pollfd){probes[i].fd, out ? POLLOUT : POLLIN, 0};
    }
    int servers = n;
    for (int i = 0; i < CONNS; i++)
      if (conns[i] >= 0) { conn_of[n] = i; fds[n++] = (struct pollfd){conns[i], POLLIN, 0}; }
    poll(fds, n, busy ? 5 : -1);
    if (fds[0].revents && on_stdin() < 0) return 0;
    if (fds[1].revents) on_raw(raw4, 0);
    if (fds[2].revents) on_raw(raw6, 1);
    if (fds[3].revents) on_ping(ping4, 0);
    if (fds[4].revents) on_ping(ping6, 1);
    for (int i = 0; i < nports; i++) {
      if (fds[5 + i].revents) on_accept(listeners[i]);
      if (fds[5 + nports + i].revents) on_datagram(echoes[i]);
    }
    for (int i = clients; i < servers; i++)
      if (fds[i].revents && probes[probe_of[i]].used && probes[probe_of[i]].fd == fds[i].fd)
        on_client(&probes[probe_of[i]], fds[i].revents);
    for (int i = servers; i < n; i++)
      if (fds[i].revents) on_conn(&conns[conn_of[i]]);
    tick();
    fflush(stdout);
  }
}
