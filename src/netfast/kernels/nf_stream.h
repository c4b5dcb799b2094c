/* nf_stream.h - bytes into a stream socket: many buffers a system call, partly taken ones too.  POSIX. */
#ifndef NF_STREAM_H
#define NF_STREAM_H

#include <sys/uio.h>

#include "nf_base.h"

/* Buffers that are being sent, and how far it has got. */
typedef struct {
    struct iovec *buffers;
    size_t count, at;       /* `at`: the first that is not sent; what is sent of it is cut off */
    uint64_t sent;          /* bytes */
} nf_sending;

/* Sends on until all is sent (0), nothing more is taken now (EAGAIN), a signal came (EINTR), or errno. */
int nf_send_buffers(nf_sending *s, int fd);

#endif
