#ifndef WEFT_RUNNER_H
#define WEFT_RUNNER_H

/* `weft-cni runner`: runs programs for the agent, told on stdin which, and says on stdout what came of them. */
int runner(void);

#endif
