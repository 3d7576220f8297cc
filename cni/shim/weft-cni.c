/*
 * weft-cni: the CNI binary. It holds no logic: it hands environment and stdin to the agent
 * over a unix socket, lends the agent a netlink socket inside the pod's namespace, and prints
 * the agent's answer. The frames are described in cni/wire.ts. Static, no libraries.
 *
 * Without an agent: ADD waits and then says "try again later" (11), DEL is written down for
 * the agent's return, STATUS looks at a marker, VERSION never asks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "monitor.h"
#include "weft-cni.h"

#define MAX_FRAME (2 << 20)
#define WAIT_FOR_AGENT_MS 15000

/* Seconds until we answer ourselves. All are below the two minutes after which the kubelet gives up. */
#define ADD_DEADLINE 90
#define STATUS_DEADLINE 2
#define DEADLINE 40
#define LAST_RESORT 10

static long long deadline;         /* on the monotonic clock, in ms */
static char *farewell;             /* netlink bytes for after the answer */
static size_t farewell_len;

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The last resort, where stdin never ends or a system call hangs. */
static void out_of_time(int signal) {
  (void)signal;
  static const char text[] = "{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"weft-cni ran out of time\","
                             "\"details\":\"stdin did not end, or the kernel hangs; the runtime will try again\"}\n";
  ssize_t ignored = write(1, text, sizeof text - 1);
  (void)ignored;
  _exit(1);
}

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

static int send_number(int fd, char type, int32_t number) {
  uint32_t n = htonl((uint32_t)number);
  return send_frame(fd, type, &n, 4);
}

/* A socket of anybody but root could answer for the agent. */
static int try_connect(void) {
  struct stat st;
  if (lstat(SOCKET, &st) < 0) return -1;
  if (!S_ISSOCK(st.st_mode) || st.st_uid != 0) return errno = EPERM, -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SOCKET};
  struct timeval limit = {DEADLINE, 0};
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

/* Enters the pod's namespace for good. Returns the number of our own namespace's descriptor, or -errno. */
static int open_netns(int *netlink) {
  const char *path = getenv("CNI_NETNS");
  struct stat own, pod;
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int there = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : (errno = ENOENT, -1);
  if (here < 0 || there < 0 || fstat(here, &own) < 0 || fstat(there, &pod) < 0) return -errno;
  if (own.st_dev == pod.st_dev && own.st_ino == pod.st_ino) return -EXDEV;
  if (setns(there, CLONE_NEWNET) < 0) return -errno;
  *netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  return *netlink < 0 ? -errno : here;
}

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
  farewell = malloc(len);
  if (farewell) memcpy(farewell, data, farewell_len = len);
  return farewell ? -1 : -2;
}

static int print_result(int netlink, const char *data, size_t len) {
  int result = write_all(1, data + 1, len - 1) < 0 ? 1 : data[0] & 0x7f;
  say_farewell(netlink);
  return result;
}

/* One frame from the agent. Returns the exit code once it is the result, -1 to go on, -2 where the agent is lost. */
static int serve(int agent, int *netlink) {
  unsigned char head[5];
  uint32_t size;
  if (read_all(agent, head, 5) < 0) return -2;
  memcpy(&size, head, 4);
  size_t len = ntohl(size) - 1;
  char *data = len < MAX_FRAME ? malloc(len + 1) : NULL;
  if (!data || read_all(agent, data, len) < 0) return -2;
  data[len] = 0;
  int result = -1;
  if (head[4] == 'o') result = send_number(agent, 'O', open_netns(netlink)) < 0 ? -2 : -1;
  else if (head[4] == 'w') result = send_number(agent, 'W', *netlink < 0 ? -EBADF : write_sysctl(data, len)) < 0 ? -2 : -1;
  else if (head[4] == 'n' && *netlink >= 0) result = send(*netlink, data, len, 0) < 0 ? -2 : -1;
  else if (head[4] == 'x') result = keep_farewell(data, len);
  else if (head[4] == 'r' && len >= 1) result = print_result(*netlink, data, len);
  else result = -2;
  free(data);
  return result;
}

/* What the pod's kernel has answered so far, as one frame. Datagrams are multiples of 4 bytes, as their messages are. */
static int send_answers(int agent, int netlink) {
  static char buffer[1 << 18];
  size_t have = 0;
  for (ssize_t got; have < sizeof buffer / 2; have += ((size_t)got + 3) & ~(size_t)3)
    if ((got = recv(netlink, buffer + have, sizeof buffer - have, MSG_DONTWAIT)) <= 0) break;
  return have > 0 ? send_frame(agent, 'N', buffer, have) : 0;
}

/* Copies frames both ways until the agent's result. What it asks comes first, so that answers go back together. */
static int converse(int agent, int *netlink) {
  for (;;) {
    struct pollfd fds[2] = {{agent, POLLIN, 0}, {*netlink, POLLIN, 0}};
    long long left = deadline - now_ms();
    int n = left > 0 ? poll(fds, 2, (int)left) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno = ETIMEDOUT, -2;
    if (fds[0].revents) {
      int result = serve(agent, netlink);
      if (result != -1) return result;
    } else if (*netlink >= 0 && fds[1].revents && send_answers(agent, *netlink) < 0) return -2;
  }
}

int main(int argc, char **argv) {
  const char *command = getenv("CNI_COMMAND");
  const char *name = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argc > 0 ? argv[0] : "";
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "monitor")) return monitor(argv[2]);
  if (!command || !*command) {
    fprintf(stderr, "weft-cni: a CNI plugin, called by the container runtime\n"
                    "CNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n");
    return 0;
  }
  if (!strcmp(command, "VERSION")) {
    printf("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n");
    return 0;
  }
  int add = !strcmp(command, "ADD"), status = !strcmp(command, "STATUS");
  int seconds = add ? ADD_DEADLINE : status ? STATUS_DEADLINE : DEADLINE;
  deadline = now_ms() + seconds * 1000LL;
  signal(SIGALRM, out_of_time);
  alarm((unsigned)seconds + LAST_RESORT);
  read_input();
  /* What we open must not become the runtime's stdout where that is closed. */
  for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd < 3;) fd = dup(fd);
  if (!strcmp(name, "loopback")) return loopback(command, version);
  if (status && ready_now()) return 0;

  size_t len;
  char *greeting = hello(&len);
  if (!greeting) return fail(5, "weft-cni has no memory", "");
  int netlink = -1, result;
  long long patience = add ? now_ms() + WAIT_FOR_AGENT_MS : 0;
  do {
    int agent = connect_agent(patience);
    if (agent < 0 && errno == EPERM) return fail(5, SOCKET " does not belong to root: it is not the weft agent's", "remove it and restart the agent");
    if (agent < 0) return without_agent(command);
    result = send_frame(agent, 'H', greeting, len) == 0 ? converse(agent, &netlink) : -2;
    close(agent);
    /* An agent that went before it had begun, as in a rollout, has a successor. */
  } while (result == -2 && netlink < 0 && pause_until(patience));
  return result >= 0 ? result : without_agent(command);
}
