/* One conversation with the agent. The frames are described in cni/wire.ts. */
#define _GNU_SOURCE
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"
#include "processor.h"
#include "program.h"
#include "weft-cni.h"

#define MAX_FRAME (2 << 20)
#define SILENCE 40                 /* seconds in the middle of a frame */

static char *farewell;             /* netlink bytes for after the answer */
static size_t farewell_len;
static int begun;                  /* whether the agent has asked for anything */
static int fulfilled;              /* whether every step of the last program was granted */

static int read_all(int fd, void *data, size_t len) {
  for (char *at = data; len > 0;) {
    ssize_t n = read(fd, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n, len -= (size_t)n;
  }
  return 0;
}

static int send_frame(int fd, char type, const void *data, size_t len) {
  unsigned char head[5];
  uint32_t size = htonl((uint32_t)len + 1);
  memcpy(head, &size, 4);
  head[4] = (unsigned char)type;
  struct iovec parts[2] = {{head, 5}, {(void *)data, len}};
  ssize_t n;
  while ((n = writev(fd, parts, 2)) < 0 && errno == EINTR) continue;
  if (n < 0) return -1;
  if (n < 5) return write_all(fd, head + n, 5 - (size_t)n) || write_all(fd, data, len) ? -1 : 0;
  return write_all(fd, (const char *)data + (n - 5), len - (size_t)(n - 5));
}

/* A socket of anybody but root could answer for the agent. */
static int try_connect(void) {
  struct stat st;
  if (lstat(SOCKET, &st) < 0) return -1;
  if (!S_ISSOCK(st.st_mode) || st.st_uid != 0) return errno = EPERM, -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SOCKET};
  struct timeval limit = {SILENCE, 0};
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  int error = errno;
  if (fd >= 0) close(fd);
  return errno = error, -1;
}

/* 0 where there is no time left to wait. */
static int pause_until(long long patience) {
  struct timespec pause = {0, 20000000};
  return now_ms() < patience && (nanosleep(&pause, NULL), 1);
}

static int connect_agent(long long patience) {
  for (;;) {
    int fd = try_connect();
    if (fd >= 0 || errno == EPERM || !pause_until(patience)) return fd;
  }
}

/*
 * What the agent wants done after the answer: removing a link takes the kernel tens of milliseconds, for which
 * nobody should wait. A child does it, on no descriptor of the runtime's; its end closes the agent's connection.
 */
static void say_farewell(int netlink) {
  pid_t child = farewell && netlink >= 0 ? fork() : 1;
  if (child > 0) return;
  if (child == 0) setsid(), close(0), close(1), close(2);
  send(netlink, farewell, farewell_len, 0);
  if (child == 0) _exit(0);
}

static int keep_farewell(const char *data, size_t len) {
  free(farewell);
  farewell = malloc(len + 1);
  if (farewell) memcpy(farewell, data, farewell_len = len);
  return farewell ? -1 : LOST;
}

static int print_result(int netlink, const char *data, size_t len) {
  int result = write_all(1, data + 1, len - 1) < 0 ? 1 : data[0] & 0x7f;
  say_farewell(netlink);
  return result;
}

static int say_where(int agent) {
  uint32_t numbers[2];
  where(numbers);
  open_sockets();
  return send_frame(agent, 'O', numbers, sizeof numbers);
}

static int say_answers(int agent, char *data, size_t len) {
  size_t have;
  run_steps(data, len);
  const char *answered = end_program(&have, &fulfilled);
  return send_frame(agent, fulfilled ? 'D' : 'P', answered, have);
}

/*
 * With `early` the agent need not ask for the pod's namespace: both frames go out in one write. What it does not need
 * for that we do while it thinks.
 */
static int send_hello(int agent, const char *greeting, size_t len, int early) {
  static const char o_head[5] = {0, 0, 0, 9, 'O'};
  uint32_t size = htonl((uint32_t)len + 1), numbers[2];
  char *data = malloc(len + 18);
  if (!data) return -1;
  memcpy(data, &size, 4), data[4] = 'H', memcpy(data + 5, greeting, len);
  if (early) where(numbers), memcpy(data + 5 + len, o_head, 5), memcpy(data + 10 + len, numbers, 8);
  int result = write_all(agent, data, len + (early ? 18 : 5));
  free(data);
  if (early) make_room(agent), open_sockets();
  return result;
}

/* One frame from the agent. Returns the exit status once it is the result, -1 to go on, LOST where the agent is lost. */
static int serve(int agent) {
  unsigned char head[5];
  uint32_t size;
  if (read_all(agent, head, 5) < 0) return LOST;
  memcpy(&size, head, 4);
  size_t len = ntohl(size) - 1;
  char *data = len < MAX_FRAME ? malloc(len + 1) : NULL;
  if (!data || read_all(agent, data, len) < 0) return free(data), LOST;
  data[len] = 0;
  int result = -1;
  begun |= head[4] != 'r';
  if (head[4] == 'o') result = say_where(agent) < 0 ? LOST : -1;
  else if (head[4] == 'b') run_steps(data, len);
  else if (head[4] == 'i' && len >= 1) result = fulfilled ? print_result(sockets[POD], data, len) : -1;
  else if (head[4] == 'p') result = say_answers(agent, data, len) < 0 ? LOST : -1;
  else if (head[4] == 'n' && sockets[POD] >= 0) result = send(sockets[POD], data, len, 0) < 0 ? LOST : -1;
  else if (head[4] == 'x') result = keep_farewell(data, len);
  else if (head[4] == 'r' && len >= 1) result = print_result(sockets[POD], data, len);
  else begun = 0, result = LOST;
  free(data);
  return result;
}

/* What the pod's kernel has answered so far, as one frame. */
static int send_answers(int agent, int netlink) {
  static char buffer[1 << 18];
  size_t have = answers(netlink, buffer, sizeof buffer);
  return have > 0 ? send_frame(agent, 'N', buffer, have) : 0;
}

/* Copies frames both ways until the agent's result. What it asks comes first, so that answers go back together. */
static int converse(int agent, long long deadline) {
  for (;;) {
    struct pollfd fds[2] = {{agent, POLLIN, 0}, {sockets[POD], POLLIN, 0}};
    long long left = deadline - now_ms();
    int n = left > 0 ? look(fds, 2) : 0;
    if (n == 0 && left > 0) n = poll(fds, 2, (int)left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return LOST;
    if (fds[0].revents) {
      int result = serve(agent);
      if (result != -1) return result;
    } else if (sockets[POD] >= 0 && fds[1].revents && send_answers(agent, sockets[POD]) < 0) return LOST;
  }
}

int ask_agent(const char *greeting, size_t len, int early, long long patience, long long deadline) {
  int result;
  uint32_t numbers[2];
  /* Hello follows the connection at once, and the agent wakes up once for both. */
  if (early) where(numbers);
  /* Nobody waits for other verbs as a pod does for ADD, which alone is patient. */
  if (patience > 0) stay_awake();
  do {
    int agent = connect_agent(patience);
    if (agent < 0) return errno == EPERM ? STRANGER : LOST;
    result = send_hello(agent, greeting, len, early) == 0 ? converse(agent, deadline) : LOST;
    close(agent);
    /* An agent that went before it had begun, as in a rollout, has a successor. */
  } while (result == LOST && !begun && pause_until(patience));
  return result;
}
