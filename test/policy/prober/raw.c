/* SCTP (INIT and INIT ACK, since many kernels are built without it) and pings, on raw sockets. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

#include "prober.h"

int raw4, raw6, ping4, ping6;

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

void send_init(struct probe *p) {
  send_sctp(&p->to, 1, p->sport, port_of(&p->to), 0, p->tag);
}

static uint16_t sum16(const void *data, size_t n) {
  const uint16_t *w = data;
  uint32_t s = 0;
  for (; n > 1; n -= 2) s += *w++;
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return ~s;
}

void send_ping(struct probe *p) {
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

void on_raw(int fd, int six) {
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

void on_ping(int fd, int six) {
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

static int raw(int family, int protocol) {
  int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), size = 1 << 20;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return fd;
}

void open_raw(void) {
  raw4 = raw(AF_INET, 132);
  raw6 = raw(AF_INET6, 132);
  ping4 = raw(AF_INET, IPPROTO_ICMP);
  ping6 = raw(AF_INET6, IPPROTO_ICMPV6);
  int offset = 8;
  setsockopt(raw6, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){-1}, sizeof offset);
}
