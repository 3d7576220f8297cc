/*
 * Runs programs and takes the time from spawn to their end and the end of their output. In C, since a runtime's own
 * cost must not hide the plugin's: posix_spawn is what Go's runtime does too (a clone that shares memory until exec).
 *
 * In:  "ID ENVIRONMENT-LINES STDIN-BYTES\n", the file's line, the environment's lines, stdin.
 * Out: "ID NANOSECONDS EXIT-STATUS STDOUT-BYTES\n", stdout. Jobs overlap, a thread each.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job {
  long id, lines, len;
  char *file, **env, *input;
};

static pthread_mutex_t out = PTHREAD_MUTEX_INITIALIZER;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *line(void) {
  char *text = NULL;
  size_t room = 0;
  ssize_t n = getline(&text, &room, stdin);
  if (n <= 0) exit(0);
  text[n - 1] = 0;
  return text;
}

static size_t collect(int fd, char **text) {
  size_t have = 0, room = 1 << 14;
  *text = malloc(room);
  for (ssize_t n; (n = read(fd, *text + have, room - have)) > 0;)
    if ((have += (size_t)n) == room) *text = realloc(*text, room *= 2);
  return have;
}

static void *run(void *arg) {
  struct job *job = arg;
  int in[2], back[2], status = -1;
  pid_t pid;
  char *argv[] = {job->file, NULL}, *text = NULL;
  size_t have = 0;
  posix_spawn_file_actions_t actions;
  long long began = now();
  if (pipe2(in, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0) exit(1);
  if (write(in[1], job->input, (size_t)job->len) != job->len) exit(1);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, back[1], 1);
  int failed = posix_spawn(&pid, job->file, &actions, NULL, argv, job->env);
  close(in[0]), close(in[1]), close(back[1]);
  if (!failed) have = collect(back[0], &text), waitpid(pid, &status, 0);
  long long took = now() - began;
  close(back[0]);
  posix_spawn_file_actions_destroy(&actions);
  pthread_mutex_lock(&out);
  printf("%ld %lld %d %zu\n", job->id, took, failed || !WIFEXITED(status) ? -1 : WEXITSTATUS(status), have);
  fwrite(text, 1, have, stdout);
  fflush(stdout);
  pthread_mutex_unlock(&out);
  for (long n = 0; n < job->lines; n++) free(job->env[n]);
  free(job->env), free(job->file), free(job->input), free(text), free(job);
  return NULL;
}

int main(void) {
  pthread_attr_t detached;
  signal(SIGPIPE, SIG_IGN);
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (;;) {
    struct job *job = calloc(1, sizeof *job);
    char *head = line();
    pthread_t thread;
    if (sscanf(head, "%ld %ld %ld", &job->id, &job->lines, &job->len) != 3) return 1;
    free(head);
    job->file = line();
    job->env = calloc((size_t)job->lines + 1, sizeof *job->env);
    for (long n = 0; n < job->lines; n++) job->env[n] = line();
    job->input = malloc((size_t)job->len + 1);
    if (fread(job->input, 1, (size_t)job->len, stdin) != (size_t)job->len) return 0;
    if (pthread_create(&thread, &detached, run, job) != 0) return 1;
  }
}
