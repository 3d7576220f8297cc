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
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prober.h"

static void command(char *line) {
  char *w[8] = {0};
  int n = 0;
  for (char *word = strtok(line, " \n"); word && n < 8; word = strtok(NULL, " \n")) w[n++] = word;
  if (n == 6 && !strcmp(w[0], "try")) start(w + 1, 0);
  else if (n == 6 && !strcmp(w[0], "keep")) start(w + 1, 1);
  else if (n == 3 && !strcmp(w[0], "again")) again(w + 1);
  else if (n == 2 && !strcmp(w[0], "close")) forget(w[1]);
  else fprintf(stderr, "prober: what is %s?\n", w[0] ? w[0] : "an empty line");
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

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "rate")) return rate(argv + 2);
  if (argc == 6 && !strcmp(argv[1], "burst")) return burst(argv + 2);
  for (int i = 1; i < argc && i <= PORTS; i++) serve_port(atoi(argv[i]));
  memset(conns, -1, sizeof conns);
  open_raw();
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
