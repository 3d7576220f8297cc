/* What is done where no agent answers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft-cni.h"

#define MARKER RUN_DIR "/ready"
#define QUEUE RUN_DIR "/del"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define MAX_ID 200

/* What the agent takes for one: cni/spec.ts. */
static int is_id(const char *text) {
  return text && strspn(text, LETTERS) > 0 && !text[strspn(text, LETTERS "_.-")];
}

static int is_ifname(const char *text) {
  return text && *text && strlen(text) <= 15 && strcmp(text, ".") && strcmp(text, "..") && !strpbrk(text, "/: \t\n\v\f\r%");
}

/* A DEL that nobody can carry out now, kept for the agent: the hello frame as a file, by rename. */
static int queue_del(void) {
  const char *id = getenv("CNI_CONTAINERID"), *name = getenv("CNI_IFNAME");
  char path[600], temporary[640];
  size_t len;
  if (!is_id(id) || !is_ifname(name)) return fail(4, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing or invalid", "");
  /* ADD refuses such an id, so there is nothing to remove. */
  if (strlen(id) > MAX_ID) return 0;
  mkdir(RUN_DIR, 0700), mkdir(QUEUE, 0700);
  snprintf(path, sizeof path, QUEUE "/%s:%s", id, name);
  snprintf(temporary, sizeof temporary, QUEUE "/.%s:%s.%d", id, name, getpid());
  char *data = hello(&len);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd >= 0 && data && write_all(fd, data, len) == 0 && close(fd) == 0 && rename(temporary, path) == 0) return 0;
  const char *why = strerror(errno);
  unlink(temporary);
  return fail(5, "cannot keep this DEL for the weft agent, which is away", why);
}

int ready_now(void) {
  const char *path = getenv("CNI_PATH");
  return path && *path && !strcmp(version, "1.1.0") && access(MARKER, F_OK) == 0;
}

int without_agent(const char *command) {
  if (!strcmp(command, "DEL")) return queue_del();
  if (!strcmp(command, "GC")) return 0;
  if (strcmp(command, "STATUS")) return fail(11, "the weft agent is not there: try again later",
      "no answer on " SOCKET ": is the weft pod of this node running? kubectl -n weft get pods -o wide");
  if (access(MARKER, F_OK) == 0) return 0;
  return fail(50, "weft has not been ready on this node since it booted", "see the log of the node's weft pod");
}
