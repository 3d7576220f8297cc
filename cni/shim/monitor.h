#ifndef WEFT_MONITOR_H
#define WEFT_MONITOR_H

/* `weft-cni monitor KINDS`: tells the agent on stdout what changes in the kernel, a letter a kind. */
int monitor(const char *kinds);

#endif
