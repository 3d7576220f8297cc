/* What the runtime asks: environment and stdin, packed for the agent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft-cni.h"

#define MAX_STDIN (1 << 20)

static const char *const NAMES[] = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_NETNS_OVERRIDE",
                                    "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"};

static char *input; /* stdin, NUL-terminated */
static size_t input_len;
static int input_bad;
char version[24] = "1.0.0";

long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int write_all(int fd, const void *data, size_t len) {
  for (const char *at = data; len > 0;) {
    ssize_t n = write(fd, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n, len -= (size_t)n;
  }
  return 0;
}

/* The request's cniVersion, found without a parser: only digits and dots are taken over. */
static void find_version(void) {
  const char *at = input ? strstr(input, "\"cniVersion\"") : NULL;
  if (!at || !(at = strchr(at + 12, '"'))) return;
  size_t n = strspn(++at, "0123456789.");
  if (n > 0 && n < sizeof version && at[n] == '"') memcpy(version, at, n), version[n] = 0;
}

int fail(int code, const char *msg, const char *details) {
  printf("{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"%s\",\"details\":\"%s\"}\n", version, code, msg, details);
  fflush(stdout);
  return 1;
}

void read_input(void) {
  size_t room = 1 << 16;
  input = malloc(room + 1);
  for (;;) {
    if (input_len == room) input = realloc(input, (room *= 2) + 1);
    ssize_t n = input ? read(0, input + input_len, room - input_len) : -1;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || input_len > MAX_STDIN) input_bad = 1;
    if (n <= 0 || input_bad) break;
    input_len += (size_t)n;
  }
  if (input) input[input_len] = 0;
  find_version();
  /* Half of a configuration is none, and with more than this the frame would be refused. */
  if (!input || input_bad) input_len = 0;
}

/*
 * Hello: flags (1: stdin unreadable, 2: we know parts of programs and promised results), length of the environment,
 * NAME=VALUE each with its NUL, stdin.
 */
char *hello(size_t *len) {
  size_t env = 0;
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (getenv(NAMES[i])) env += strlen(NAMES[i]) + strlen(getenv(NAMES[i])) + 2;
  char *data = malloc(*len = 5 + env + input_len);
  if (!data) return NULL;
  uint32_t n = htonl((uint32_t)env);
  char *at = data;
  *at++ = (char)(input_bad | 2);
  memcpy(at, &n, 4), at += 4;
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (getenv(NAMES[i])) at += sprintf(at, "%s=%s", NAMES[i], getenv(NAMES[i])) + 1;
  if (input_len) memcpy(at, input, input_len);
  return data;
}
