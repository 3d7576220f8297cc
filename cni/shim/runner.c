/*
 * Runs programs for the agent. A spawn out of the agent itself copies the page tables of a large process while its
 * event loop waits, 5 ms and more each time; out of this one it takes a tenth of a millisecond, elsewhere.
 *
 * On stdin:  4 bytes length of the rest, big endian, as all numbers; number of the run; count of arguments;
 *            arguments each with their NUL; the program's stdin.
 * On stdout: 4 bytes length of the rest; number; exit status, 256 + signal, or -errno where it could not be run;
 *            length of what it wrote to stdout; that; what it wrote to stderr.
 * A program's stdin is a file in memory without a name, so that it may open /dev/stdin anew. Ends with its reader.
 */
#define _GNU_SOURCE
#include "runner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weft-cni.h"

#define RUNS 32
#define ARGUMENTS 16384
#define MOST_MS 30000
#define LEAVE_MS 1000

extern char **environ;

struct text {
  char *data;
  size_t len, room;
};

struct run {
  uint32_t id;
  pid_t pid; /* 0: this place is free */
  int fds[2], killed;
  long long deadline;
  struct text said[2];
};

static struct run runs[RUNS];
static struct text asked;

static uint32_t number(const char *at) {
  uint32_t n;
  memcpy(&n, at, 4);
  return ntohl(n);
}

static char *put(char *at, uint32_t n) {
  n = htonl(n);
  memcpy(at, &n, 4);
  return at + 4;
}

/* What can be read now. Bytes read, 0 at the end. */
static ssize_t take(int fd, struct text *text) {
  if (text->room - text->len < 1 << 14) {
    char *more = realloc(text->data, text->room = text->room * 2 + (1 << 15));
    if (!more) _exit(1);
    text->data = more;
  }
  ssize_t n;
  while ((n = read(fd, text->data + text->len, text->room - text->len)) < 0 && errno == EINTR) continue;
  if (n > 0) text->len += (size_t)n;
  return n;
}

static int answer(uint32_t id, int32_t status, const struct text *out, const struct text *err) {
  char head[16], *at = put(head, (uint32_t)(12 + out->len + err->len));
  at = put(put(put(at, id), (uint32_t)status), (uint32_t)out->len);
  return write_all(1, head, sizeof head) || write_all(1, out->data, out->len) || write_all(1, err->data, err->len) ? -1 : 0;
}

static int input(const char *data, size_t len) {
  int fd = memfd_create("stdin", MFD_CLOEXEC);
  if (fd < 0 || (fchmod(fd, 0600) == 0 && write_all(fd, data, len) == 0 && lseek(fd, 0, SEEK_SET) == 0)) return fd;
  int error = errno;
  close(fd);
  return errno = error, -1;
}

/* 0 or an errno. */
static int start(struct run *run, char **argv, const char *data, size_t len) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t broken;
  int in = input(data, len), out[2] = {-1, -1}, err[2] = {-1, -1};
  if (in < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
    int error = errno, opened[] = {in, out[0], out[1]};
    for (int n = 0; n < 3; n++)
      if (opened[n] >= 0) close(opened[n]);
    return error;
  }
  sigemptyset(&broken), sigaddset(&broken, SIGPIPE);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &broken);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in, 0);
  posix_spawn_file_actions_adddup2(&files, out[1], 1);
  posix_spawn_file_actions_adddup2(&files, err[1], 2);
  int error = posix_spawnp(&run->pid, argv[0], &files, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(in), close(out[1]), close(err[1]);
  run->fds[0] = out[0], run->fds[1] = err[0];
  run->deadline = now_ms() + MOST_MS, run->killed = 0;
  if (error) close(out[0]), close(err[0]), run->pid = 0;
  return error;
}

static int begin(struct run *run, char *frame, size_t len) {
  static char *argv[ARGUMENTS + 1];
  const struct text nothing = {0};
  uint32_t count = len >= 8 ? number(frame + 4) : 0;
  char *at = frame + 8, *end = frame + len;
  if (count < 1 || count > ARGUMENTS) return -1;
  for (uint32_t n = 0; n < count; n++) {
    char *nul = memchr(at, 0, (size_t)(end - at));
    if (!nul) return -1;
    argv[n] = at, at = nul + 1;
  }
  argv[count] = NULL;
  run->id = number(frame);
  int error = start(run, argv, at, (size_t)(end - at));
  return error ? answer(run->id, -error, &nothing, &nothing) : 0;
}

static struct run *free_place(void) {
  for (int n = 0; n < RUNS; n++)
    if (runs[n].pid == 0) return &runs[n];
  return NULL;
}

/* Whole requests, as long as there is room for them. -1 where one cannot be. */
static int begin_all(void) {
  size_t at = 0;
  for (struct run *run; asked.len - at >= 4 && (run = free_place());) {
    uint32_t len = number(asked.data + at);
    if (asked.len - at - 4 < len) break;
    if (begin(run, asked.data + at + 4, len) < 0) return -1;
    at += 4 + len;
  }
  if (at > 0) memmove(asked.data, asked.data + at, asked.len -= at);
  return 0;
}

/* Ended, and all it wrote is here; or it is overdue, and whoever else holds its pipes is not waited for. */
static int finish(struct run *run) {
  int status, late = run->killed && now_ms() > run->deadline + LEAVE_MS;
  if (!late && (run->fds[0] >= 0 || run->fds[1] >= 0)) return 0;
  if (waitpid(run->pid, &status, late ? 0 : WNOHANG) <= 0) return 0;
  for (int n = 0; n < 2; n++)
    if (run->fds[n] >= 0) close(run->fds[n]);
  run->pid = 0;
  int result = answer(run->id, WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status), &run->said[0], &run->said[1]);
  for (int n = 0; n < 2; n++) free(run->said[n].data), run->said[n] = (struct text){0};
  return result;
}

static int look(struct run *run, const struct pollfd *fds) {
  for (int n = 0; n < 2; n++)
    if (run->fds[n] >= 0 && fds[n].revents && take(run->fds[n], &run->said[n]) <= 0) close(run->fds[n]), run->fds[n] = -1;
  if (now_ms() > run->deadline && !run->killed) kill(run->pid, SIGKILL), run->killed = 1;
  return finish(run);
}

/* The next look at the latest: a program that has closed its pipes is about to end. */
static int patience(void) {
  int ms = -1;
  for (int n = 0; n < RUNS; n++)
    if (runs[n].pid) ms = runs[n].fds[0] < 0 && runs[n].fds[1] < 0 ? 1 : ms == 1 ? 1 : 500;
  return ms;
}

int runner(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    struct pollfd fds[1 + 2 * RUNS] = {{free_place() ? 0 : -1, POLLIN, 0}};
    for (int n = 0; n < 2 * RUNS; n++) fds[1 + n] = (struct pollfd){runs[n / 2].pid ? runs[n / 2].fds[n % 2] : -1, POLLIN, 0};
    if (poll(fds, 1 + 2 * RUNS, patience()) < 0 && errno != EINTR) return 1;
    for (int n = 0; n < RUNS; n++)
      if (runs[n].pid && look(&runs[n], fds + 1 + 2 * n) < 0) return 0;
    if (fds[0].revents && take(0, &asked) <= 0) return 0;
    if (begin_all() < 0) return 1;
  }
}
