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
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "monitor.h"
#include "runner.h"
#include "probe.h"
#include "unlink.h"
#include "weft-cni.h"

#define MAX_FRAME (2 << 20)
#define LOOKS 2000                 /* half a millisecond apart: a second */
#define WAIT_FOR_AGENT_MS 15000

/* Seconds until we answer ourselves. All are below the two minutes after which the kubelet gives up. */
#define ADD_DEADLINE 90
#define STATUS_DEADLINE 2
#define DEADLINE 40
#define LAST_RESORT 10

static long long deadline;         /* on the monotonic clock, in ms */
static char *farewell;             /* netlink bytes for after the answer */
static size_t farewell_len;

/* Netlink sockets: of the pod's kernel, of the host's, and of the host's nftables. */
enum { POD, HOST, TABLES, SOCKETS };
static int sockets[SOCKETS] = {-1, -1, -1};
static int entered;                /* our own namespace's descriptor, or -errno; 0 where nobody has tried */
static int pod_fd = -1;            /* the pod's namespace */
static int begun;                  /* whether the agent has asked for anything */

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

/*
 * Enters the pod's namespace for good, and opens the sockets that the agent's programs go to. Returns the
 * number of our own namespace's descriptor, or -errno. That of the pod's follows it.
 */
static int open_netns(void) {
  const char *path = getenv("CNI_NETNS");
  struct stat own, pod;
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int there = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : (errno = ENOENT, -1);
  if (here < 0 || there < 0 || fstat(here, &own) < 0 || fstat(there, &pod) < 0) return -errno;
  if (own.st_dev == pod.st_dev && own.st_ino == pod.st_ino) return -EXDEV;
  int host = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  int tables = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (host < 0 || setns(there, CLONE_NEWNET) < 0) return -errno;
  int inside = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (inside < 0) return -errno;
  sockets[POD] = inside, sockets[HOST] = host, sockets[TABLES] = tables, pod_fd = there;
  return here;
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

/* What a socket's kernel has answered so far. Datagrams are multiples of 4 bytes, as their messages are. */
static size_t answers(int netlink, char *buffer, size_t room) {
  size_t have = 0;
  for (ssize_t got; have < room / 2; have += ((size_t)got + 3) & ~(size_t)3)
    if ((got = recv(netlink, buffer + have, room - have, MSG_DONTWAIT)) <= 0) break;
  return have;
}

static int is_refusal(const char *data, size_t len) {
  int left = (int)len;
  for (const struct nlmsghdr *m = (const struct nlmsghdr *)data; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
    if (m->nlmsg_type == NLMSG_ERROR && ((const struct nlmsgerr *)NLMSG_DATA(m))->error) return 1;
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

/* One step of a program. Its answers, or 4 bytes with 0 or -errno; how many bytes. */
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

/*
 * A program: steps of 1 byte kind, 1 byte (1: nothing follows where this one is refused), 4 bytes length, bytes.
 * Answered by what each step was answered, behind 4 bytes of its length. All of ADD's work in the kernel is done
 * here, where nobody else waits while another's lock is held.
 */
static int run_program(int agent, char *data, size_t len) {
  static char out[1 << 18];
  size_t have = 0;
  for (uint32_t size; len >= 6 && have + (1 << 16) < sizeof out;) {
    memcpy(&size, data + 2, 4);
    size = ntohl(size);
    if (size > len - 6) break;
    size_t got = do_step(data, data + 6, size, out + have + 4, sizeof out - have - 4);
    uint32_t n = htonl((uint32_t)got);
    memcpy(out + have, &n, 4);
    int stop = data[1] && (got == 4 ? memcmp(out + have + 4, "\0\0\0\0", 4) != 0 : is_refusal(out + have + 4, got));
    have += 4 + got;
    if (stop) break;
    data += 6 + size, len -= 6 + size;
  }
  return send_frame(agent, 'P', out, have);
}

static int enter(void) {
  return entered = entered ? entered : open_netns();
}

/* Payload of O: our own namespace's descriptor or -errno, and the pod's. */
static void where(uint32_t numbers[2]) {
  numbers[0] = htonl((uint32_t)enter()), numbers[1] = htonl((uint32_t)pod_fd);
}

static int say_where(int agent) {
  uint32_t numbers[2];
  where(numbers);
  return send_frame(agent, 'O', numbers, sizeof numbers);
}

/* With `early` the agent need not ask for the pod's namespace: both frames go out in one write. */
static int send_hello(int agent, const char *greeting, size_t len, int early) {
  static const char o_head[5] = {0, 0, 0, 9, 'O'};
  uint32_t size = htonl((uint32_t)len + 1), numbers[2];
  char *data = malloc(len + 18);
  if (!data) return -1;
  memcpy(data, &size, 4), data[4] = 'H', memcpy(data + 5, greeting, len);
  if (early) where(numbers), memcpy(data + 5 + len, o_head, 5), memcpy(data + 10 + len, numbers, 8);
  int result = write_all(agent, data, len + (early ? 18 : 5));
  free(data);
  return result;
}

/* One frame from the agent. Returns the exit code once it is the result, -1 to go on, -2 where the agent is lost. */
static int serve(int agent) {
  unsigned char head[5];
  uint32_t size;
  if (read_all(agent, head, 5) < 0) return -2;
  memcpy(&size, head, 4);
  size_t len = ntohl(size) - 1;
  char *data = len < MAX_FRAME ? malloc(len + 1) : NULL;
  if (!data || read_all(agent, data, len) < 0) return -2;
  data[len] = 0;
  int result = -1;
  begun |= head[4] != 'r';
  if (head[4] == 'o') result = say_where(agent) < 0 ? -2 : -1;
  else if (head[4] == 'p') result = run_program(agent, data, len) < 0 ? -2 : -1;
  else if (head[4] == 'n' && sockets[POD] >= 0) result = send(sockets[POD], data, len, 0) < 0 ? -2 : -1;
  else if (head[4] == 'x') result = keep_farewell(data, len);
  else if (head[4] == 'r' && len >= 1) result = print_result(sockets[POD], data, len);
  else begun = 0, result = -2;
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
static int converse(int agent) {
  for (;;) {
    struct pollfd fds[2] = {{agent, POLLIN, 0}, {sockets[POD], POLLIN, 0}};
    long long left = deadline - now_ms();
    int n = left > 0 ? poll(fds, 2, (int)left) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno = ETIMEDOUT, -2;
    if (fds[0].revents) {
      int result = serve(agent);
      if (result != -1) return result;
    } else if (sockets[POD] >= 0 && fds[1].revents && send_answers(agent, sockets[POD]) < 0) return -2;
  }
}

int main(int argc, char **argv) {
  const char *command = getenv("CNI_COMMAND");
  const char *name = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argc > 0 ? argv[0] : "";
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "monitor")) return monitor(argv[2]);
  if (argc == 3 && !strcmp(argv[1], "unlink")) return unlink_device(argv[2]);
  if (argc == 2 && !strcmp(argv[1], "runner")) return runner();
  if (argc == 8 && !strcmp(argv[1], "probe")) return probe(argv + 2);
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
  const char *netns = getenv("CNI_NETNS");
  int result, early = netns && *netns && (add || !strcmp(command, "DEL") || !strcmp(command, "CHECK"));
  long long patience = add ? now_ms() + WAIT_FOR_AGENT_MS : 0;
  do {
    int agent = connect_agent(patience);
    if (agent < 0 && errno == EPERM) return fail(5, SOCKET " does not belong to root: it is not the weft agent's", "remove it and restart the agent");
    if (agent < 0) return without_agent(command);
    result = send_hello(agent, greeting, len, early) == 0 ? converse(agent) : -2;
    close(agent);
    /* An agent that went before it had begun, as in a rollout, has a successor. */
  } while (result == -2 && !begun && pause_until(patience));
  return result >= 0 ? result : without_agent(command);
}
