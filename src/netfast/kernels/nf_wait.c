/* nf_wait.c - waiting until a descriptor is ready. */
#define _GNU_SOURCE
#include "nf_wait.h"

#ifdef __linux__

#include <errno.h>
#include <poll.h>

int nf_wait(int fd, bool write, int milliseconds)
{
    struct pollfd file = {fd, write ? POLLOUT : POLLIN | POLLRDHUP, 0};
    const int ready = poll(&file, 1, milliseconds);
    if (ready < 0)
        return errno;
    if (ready == 0)
        return EAGAIN;
    return file.revents & POLLRDHUP ? NF_HUNG_UP : 0;
}

#endif
