/* nf_stream.c - sendmsg(2) until all is sent. */
#define _GNU_SOURCE
#include "nf_stream.h"

#if defined(__unix__) || defined(__APPLE__)

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

enum {
    BUFFERS_MAX = 1024, /* UIO_MAXIOV: of a system call */
    CALLS = 64          /* between two looks at signals: some milliseconds */
};

/* Cuts off what was sent; empty buffers are passed over. */
static void advance(nf_sending *s, size_t sent)
{
    s->sent += sent;
    while (s->at < s->count && sent >= s->buffers[s->at].iov_len)
        sent -= s->buffers[s->at++].iov_len;
    if (sent) {
        s->buffers[s->at].iov_base = (uint8_t *)s->buffers[s->at].iov_base + sent;
        s->buffers[s->at].iov_len -= sent;
    }
}

int nf_send_buffers(nf_sending *s, int fd)
{
    advance(s, 0);
    for (int calls = 0; s->at < s->count; calls++) {
        if (calls == CALLS)
            return EINTR; /* whoever calls looks at signals */
        const size_t left = s->count - s->at;
        struct msghdr message = {.msg_iov = s->buffers + s->at, .msg_iovlen = left < BUFFERS_MAX ? left : BUFFERS_MAX};
        const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno;
        advance(s, (size_t)sent);
    }
    return 0;
}

#endif
