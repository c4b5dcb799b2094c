/* nf_wait.h - waiting until a descriptor is ready: poll(2).  Linux. */
#ifndef NF_WAIT_H
#define NF_WAIT_H

#include "nf_base.h"

enum { NF_HUNG_UP = -1 };

/* Waits until there is something to read or to write: 0, NF_HUNG_UP if so and nothing more will come, EAGAIN after so
 * many milliseconds (-1: never), or errno. */
int nf_wait(int fd, bool write, int milliseconds);

#endif
