/*
 * A program: steps of 1 byte kind, 1 byte (1: nothing follows where this one is refused), 4 bytes length, bytes.
 * Answered by what each step was answered, behind 4 bytes of its length. All of ADD's work in the kernel is done
 * here, where nobody else waits while another's lock is held.
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

#define LOOKS 2000                 /* half a millisecond apart: a second */
#define ROOM (1 << 18)
#define ROOM_OF_A_STEP (1 << 16)

/* Payload: path below /proc/sys/net, NUL, value. In the pod's namespace by then. */
static int write_sysctl(char *data, size_t len) {
  char path[256];
  size_t n = strnlen(data, len);
  if (n == len || n == 0 || *data == '/' || strstr(data, "..")) return -EINVAL;
  if (snprintf(path, sizeof path, "/proc/sys/net/%s", data) >= (int)sizeof path) return -EINVAL;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
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

/* Asks until the answer's byte at an offset has a value: a worker of the kernel's is about to make it so. */
static size_t ask_until(int netlink, const char *data, size_t len, char *out, size_t room) {
  const unsigned char *want = (const unsigned char *)data;
  size_t offset = (size_t)want[0] << 8 | want[1], have = 0;
  for (long tries = 0; tries < LOOKS; tries++) {
    struct timespec pause = {0, tries < 10 ? 20000 : 500000};
    if (tries > 0) nanosleep(&pause, NULL);
    if (send(netlink, data + 3, len - 3, 0) < 0) break;
    have = answers(netlink, out, room);
    if (have > offset && (unsigned char)out[offset] == want[2]) break;
  }
  return have;
}

/* Its answers, or 4 bytes with 0 or -errno; how many bytes. */
static size_t do_step(const char *head, char *data, size_t len, char *out, size_t room) {
  int target = *head == 'h' ? HOST : *head == 'f' ? TABLES : POD;
  int32_t errors = 0;
  if (sockets[target] < 0) errors = -EBADF;
  else if (*head == 'w') errors = write_sysctl(data, len);
  else if (*head == 'u' && len > 3) return ask_until(sockets[POD], data, len, out, room);
  else if (send(sockets[target], data, len, 0) >= 0) return answers(sockets[target], out, room);
  else errors = -errno;
  errors = (int32_t)htonl((uint32_t)errors);
  memcpy(out, &errors, 4);
  return 4;
}

static int refused(const char *answer, size_t len) {
  return len == 4 ? memcmp(answer, "\0\0\0\0", 4) != 0 : is_refusal(answer, len);
}

const char *run_program(char *data, size_t len, size_t *have) {
  static char out[ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
  size_t at = 0;
  for (uint32_t size; len >= 6 && at + ROOM_OF_A_STEP < sizeof out;) {
    memcpy(&size, data + 2, 4);
    size = ntohl(size);
    if (size > len - 6) break;
    size_t got = do_step(data, data + 6, size, out + at + 4, sizeof out - at - 4);
    uint32_t n = htonl((uint32_t)got);
    memcpy(out + at, &n, 4);
    int stop = data[1] && refused(out + at + 4, got);
    at += 4 + got;
    if (stop) break;
    data += 6 + size, len -= 6 + size;
  }
  return *have = at, out;
}
