#ifndef WEFT_AGENT_H
#define WEFT_AGENT_H

#include <stddef.h>

enum {
  LOST = -2,     /* the agent went before it had answered */
  STRANGER = -3, /* whoever listens there is not root */
};

/*
 * One call of the agent, from hello to the printed answer: its exit status, or LOST or STRANGER. An agent that is not
 * there is waited for until `patience`, and so is a successor of one that went before it had begun. `early`: with the
 * pod's namespace entered before it asks.
 */
int ask_agent(const char *greeting, size_t len, int early, long long patience, long long deadline);

#endif
