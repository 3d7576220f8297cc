/* Shared between the shim's files. */
#ifndef WEFT_CNI_H
#define WEFT_CNI_H

#include <stddef.h>

#define RUN_DIR "/run/weft"
#define SOCKET RUN_DIR "/agent.sock"

/* Of the request, for errors that we print ourselves. */
extern char version[24];

/* Reads stdin to its end, and the request's version in it. */
void read_input(void);

/* Environment and stdin as the payload of the frame H; NULL where there is no memory. */
char *hello(size_t *len);

/* On the monotonic clock, in ms. */
long long now_ms(void);

/* 0, or -1 with errno. */
int write_all(int fd, const void *data, size_t len);

/* Prints a CNI error on stdout and returns the exit status. Arguments must need no JSON escapes. */
int fail(int code, const char *msg, const char *details);

/* STATUS of a sound request, once weft has been ready since boot: no agent is asked, since none may be there. */
int ready_now(void);

/* The answer to a verb where there is no agent; the exit status. */
int without_agent(const char *command);

#endif
