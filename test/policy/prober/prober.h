#ifndef PROBER_H
#define PROBER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROBES 4096
#define CONNS 4096
#define PORTS 16

enum proto { TCP, UDP, SCTP, ICMP };

struct probe {
  int used, fd, keep, told, connected, rounds;
  enum proto proto;
  char id[48];
  struct sockaddr_storage to;
  int64_t end, next;
  uint32_t tag;
  int sport;
};

/* addresses.c */
int64_t now_ms(void);
void text_of(const struct sockaddr_storage *a, char *out, size_t n);
/* 0, or -1 where it is none. */
int address(const char *ip, int port, struct sockaddr_storage *out);
socklen_t size_of(const struct sockaddr_storage *a);
int port_of(const struct sockaddr_storage *a);

/* probes.c: what asks others */
extern struct probe probes[PROBES];
void start(char **words, int keep);
void again(char **words);
void forget(const char *id);
/* Says what came of it, once; no `source`: nothing. */
void answer(struct probe *p, const char *source);
void on_client(struct probe *p, int events);
void tick(void);

/* echoes.c: what answers others */
extern int listeners[PORTS], echoes[PORTS], nports, conns[CONNS];
void serve_port(int port);
int served(int port);
void saw(char *id, const char *source);
void on_accept(int fd);
void on_conn(int *slot);
void on_datagram(int fd);

/* raw.c: SCTP and pings by hand */
extern int raw4, raw6, ping4, ping6;
void open_raw(void);
void send_init(struct probe *p);
void send_ping(struct probe *p);
void on_raw(int fd, int six);
void on_ping(int fd, int six);

/* load.c */
int burst(char **words);
int rate(char **words);

#endif
