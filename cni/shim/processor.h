#ifndef WEFT_PROCESSOR_H
#define WEFT_PROCESSOR_H

#include <poll.h>

/* Leaves the processor of whoever listens at the other end of this socket, where it is ours and there is another. */
void make_room(int peer);

/* From now on `look` waits without sleep, for 3 ms in all. */
void stay_awake(void);

/* poll() without a timeout that is worth a sleep: 0 where nothing has come, and whoever wants it has to sleep. */
int look(struct pollfd *fds, nfds_t count);

#endif
