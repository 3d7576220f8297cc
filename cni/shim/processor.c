/* Where binary and agent work: side by side, not in turns. */
#define _GNU_SOURCE
#include "processor.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AWAKE_US 3000
#define APART_US 400               /* longer between two looks: somebody else has use for the processor */

static long long awake;            /* microseconds that are left of them */

/* The processor that a process has been given, or -1. */
static int processor_of(pid_t pid) {
  char text[1024], path[32], *at;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC), field = 2;
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  if (n <= 0) return -1;
  text[n] = 0;
  for (at = strrchr(text, ')'); at && field < 39; field++) at = strchr(at + 1, ' ');
  return at ? atoi(at) : -1;
}

/*
 * Where the kernel has woken the agent on our processor, the two of us would take turns, of milliseconds, while another
 * may have nothing to do.
 */
void make_room(int peer) {
  struct ucred agent;
  socklen_t size = sizeof agent;
  cpu_set_t all, others;
  if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &agent, &size) < 0 || agent.pid <= 0) return;
  int here = sched_getcpu();
  if (here < 0 || processor_of(agent.pid) != here || sched_getaffinity(0, sizeof all, &all) < 0) return;
  others = all;
  CPU_CLR(here, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) < 0) return;
  sched_setaffinity(0, sizeof all, &all);
}

static long long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

void stay_awake(void) { awake = AWAKE_US; }

/*
 * Whether there is something to read, without sleep for as long as nobody else wants the processor: to be woken takes
 * longer than what we wait for, and the kernel may wake us on the agent's processor, behind the agent.
 */
int look(struct pollfd *fds, nfds_t count) {
  for (long long last = now_us(), now; awake > 0; last = now) {
    int n = poll(fds, count, 0);
    if (n > 0) return n;
    sched_yield();
    now = now_us();
    awake = now - last > APART_US ? 0 : awake - (now - last);
  }
  return 0;
}
