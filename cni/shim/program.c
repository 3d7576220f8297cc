/*
 * A program, in parts: steps of 1 byte kind, 1 byte (1: nothing follows where this one is refused), 4 bytes length,
 * bytes. Answered by what each step was answered, behind 4 bytes of its length. All of ADD's work in the kernel is
 * done here, where nobody else waits while another's lock is held.
 */
#define _GNU_SOURCE
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"
#include "weft-cni.h"

#define EAGER_LOOKS 10             /* 20 µs apart */
#define BRISK_LOOKS 1000           /* half a millisecond apart */
#define LOOKS 2900                 /* the others 5 ms apart: ten seconds, since on a busy board workers of the kernel are slow */
#define ROOM (1 << 18)
#define ROOM_OF_A_STEP (1 << 16)

/* Of the program so far: answers, whether a step was refused that had to be granted, and whether all were granted. */
static char out[ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t at;
static int stopped, granted = 1;

/* Payload: path below /proc/sys/net, NUL, value. Not written where the kernel does not let us into the namespace. */
static int write_sysctl(int of_pod, char *data, size_t len) {
  char path[256];
  size_t n = strnlen(data, len);
  int error = go(of_pod);
  if (error < 0) return error;
  if (n == len || n == 0 || *data == '/' || strstr(data, "..")) return -EINVAL;
  if (snprintf(path, sizeof path, "/proc/sys/net/%s", data) >= (int)sizeof path) return -EINVAL;
  int v6 = !strncmp(data, "ipv6/", 5), known = v6 || !strncmp(data, "ipv4/", 5);
  int dir = known ? settings[of_pod][v6 ? V6 : V4] : -1;
  int fd = dir >= 0 ? openat(dir, data + 5, O_WRONLY | O_CLOEXEC) : open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int result = write_all(fd, data + n + 1, len - n - 1) < 0 ? -errno : 0;
  close(fd);
  return result;
}

static int is_refusal(const char *data, size_t len) {
  int left = (int)len;
  for (const struct nlmsghdr *m = (const struct nlmsghdr *)data; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
    if (m->nlmsg_type == NLMSG_ERROR && m->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) &&
        ((const struct nlmsgerr *)NLMSG_DATA(m))->error)
      return 1;
  return 0;
}

/* Whether an answer has the byte that the question wants at the place that it names. */
static int is_as_wanted(const unsigned char *want, const char *answer, size_t len) {
  size_t offset = (size_t)want[0] << 8 | want[1];
  return len > offset && (unsigned char)answer[offset] == want[2];
}

static long pause_ns(long tries) {
  return tries < EAGER_LOOKS ? 20000 : tries < BRISK_LOOKS ? 500000 : 5000000;
}

/* Asks so many times at most, until the answer is as wanted: a worker of the kernel's may be about to make it so. */
static size_t ask(int netlink, const char *data, size_t len, char *answer, size_t room, long looks) {
  size_t have = 0;
  for (long tries = 0; tries < looks; tries++) {
    struct timespec pause = {0, pause_ns(tries)};
    if (tries > 0) nanosleep(&pause, NULL);
    if (send(netlink, data + 3, len - 3, 0) < 0) break;
    have = answers(netlink, answer, room);
    if (is_as_wanted((const unsigned char *)data, answer, have)) break;
  }
  return have;
}

static int is_question(char kind, size_t len) {
  return (kind == 'u' || kind == 'l' || kind == 'L') && len > 3;
}

/* Its answers, or 4 bytes with 0 or -errno; how many bytes. */
static size_t do_step(char kind, char *data, size_t len, char *answer, size_t room) {
  int target = kind == 'h' || kind == 'L' ? HOST : POD;
  int32_t errors = 0;
  if (sockets[target] < 0) errors = -EBADF;
  else if (kind == 'w' || kind == 'W') errors = write_sysctl(kind == 'w', data, len);
  else if (is_question(kind, len)) return ask(sockets[target], data, len, answer, room, kind == 'u' ? LOOKS : 1);
  else if (send(sockets[target], data, len, 0) >= 0) return answers(sockets[target], answer, room);
  else errors = -errno;
  errors = (int32_t)htonl((uint32_t)errors);
  memcpy(answer, &errors, 4);
  return 4;
}

static int is_granted(char kind, const char *data, size_t len, const char *answer, size_t got) {
  if (got == 4) return memcmp(answer, "\0\0\0\0", 4) == 0;
  return is_question(kind, len) ? is_as_wanted((const unsigned char *)data, answer, got) : got > 0 && !is_refusal(answer, got);
}

/* A namespace without IPv6 has no such settings, and needs none. */
static int is_needless(char kind, const char *answer, size_t got) {
  int32_t error = (int32_t)htonl((uint32_t)-ENOENT);
  return (kind == 'w' || kind == 'W') && got == 4 && memcmp(answer, &error, 4) == 0;
}

void run_steps(char *data, size_t len) {
  for (uint32_t size; len > 0 && !stopped; data += 6 + size, len -= 6 + size) {
    char *answer = out + at + 4;
    if (len >= 6) memcpy(&size, data + 2, 4), size = ntohl(size);
    if (len < 6 || size > len - 6 || at + ROOM_OF_A_STEP >= sizeof out) {
      stopped = 1, granted = 0;
      return;
    }
    size_t got = do_step(*data, data + 6, size, answer, sizeof out - at - 4);
    uint32_t n = htonl((uint32_t)got);
    memcpy(out + at, &n, 4), at += 4 + got;
    int well = is_granted(*data, data + 6, size, answer, got);
    stopped = data[1] && !well;
    granted &= well || (!stopped && is_needless(*data, answer, got));
  }
}

const char *end_program(size_t *have, int *all_granted) {
  *have = at, *all_granted = granted;
  at = 0, stopped = 0, granted = 1;
  return out;
}
