/*
 * weft-cni: the CNI binary. It holds no logic: it hands environment and stdin to the agent
 * over a unix socket, lends the agent a netlink socket inside the pod's namespace, and prints
 * the agent's answer. Static, no libraries.
 *
 * Without an agent: ADD waits and then says "try again later" (11), DEL is written down for
 * the agent's return, STATUS looks at a marker, VERSION never asks.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent.h"
#include "loopback.h"
#include "monitor.h"
#include "probe.h"
#include "runner.h"
#include "unlink.h"
#include "weft-cni.h"

#define WAIT_FOR_AGENT_MS 15000

/* Seconds until we answer ourselves. All are below the two minutes after which the kubelet gives up. */
#define ADD_DEADLINE 90
#define STATUS_DEADLINE 2
#define DEADLINE 40
#define LAST_RESORT 10

/* The last resort, where stdin never ends or a system call hangs. */
static void out_of_time(int signal) {
  (void)signal;
  static const char text[] = "{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"weft-cni ran out of time\","
                             "\"details\":\"stdin did not end, or the kernel hangs; the runtime will try again\"}\n";
  ssize_t ignored = write(1, text, sizeof text - 1);
  (void)ignored;
  _exit(1);
}

static int introduce(void) {
  fprintf(stderr, "weft-cni: a CNI plugin, called by the container runtime\n"
                  "CNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n");
  return 0;
}

static int say_versions(void) {
  printf("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n");
  return 0;
}

/* Of a pod's namespace. */
static int is_of_pod(const char *command) {
  const char *netns = getenv("CNI_NETNS");
  return netns && *netns && (!strcmp(command, "ADD") || !strcmp(command, "DEL") || !strcmp(command, "CHECK"));
}

/* A verb that needs the agent. */
static int ask(const char *command, long long from, int seconds) {
  size_t len;
  char *greeting = hello(&len);
  if (!greeting) return fail(5, "weft-cni has no memory", "");
  int add = !strcmp(command, "ADD");
  int result = ask_agent(greeting, len, is_of_pod(command), add ? now_ms() + WAIT_FOR_AGENT_MS : 0, from + seconds * 1000LL);
  if (result == STRANGER)
    return fail(5, SOCKET " does not belong to root: it is not the weft agent's", "remove it and restart the agent");
  return result >= 0 ? result : without_agent(command);
}

static int call(const char *name, const char *command) {
  int status = !strcmp(command, "STATUS");
  int seconds = !strcmp(command, "ADD") ? ADD_DEADLINE : status ? STATUS_DEADLINE : DEADLINE;
  long long from = now_ms();
  signal(SIGALRM, out_of_time);
  alarm((unsigned)seconds + LAST_RESORT);
  /* Our pauses are of microseconds. */
  prctl(PR_SET_TIMERSLACK, 1);
  read_input();
  /* What we open must not become the runtime's stdout where that is closed. */
  for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd < 3;) fd = dup(fd);
  if (!strcmp(name, "loopback")) return loopback(command, version);
  return status && ready_now() ? 0 : ask(command, from, seconds);
}

int main(int argc, char **argv) {
  const char *command = getenv("CNI_COMMAND");
  const char *name = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argc > 0 ? argv[0] : "";
  signal(SIGPIPE, SIG_IGN);
  if (argc == 4 && !strcmp(argv[1], "monitor")) return monitor(argv[2], argv[3]);
  if (argc == 3 && !strcmp(argv[1], "unlink")) return unlink_device(argv[2]);
  if (argc == 2 && !strcmp(argv[1], "runner")) return runner();
  if (argc == 8 && !strcmp(argv[1], "probe")) return probe(argv + 2);
  if (!command || !*command) return introduce();
  return !strcmp(command, "VERSION") ? say_versions() : call(name, command);
}
