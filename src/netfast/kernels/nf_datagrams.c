/* nf_datagrams.c - datagrams in and out, many a system call. */
#define _GNU_SOURCE
#include "nf_datagrams.h"

#ifdef __linux__

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* What headers older than these do not name (linux/udp.h, asm-generic/socket.h). */
enum { SEGMENT = 103, GRO = 104, UDP_LEVEL = 17, MEMINFO = 55, MEMINFO_DROPS = 8, MEMINFO_NUMBERS = 9 };

/* Bytes of control messages a slot.  Ours have 80; before the last of these, the size of the segments, the kernel puts
 * whatever else the socket was told to tell, which may not cut it off. */
enum { CONTROL = 512 };

/* ---- what comes */

struct nf_slab {
    uint32_t slots, size;
    uint32_t filled;        /* slots, by the last receive */
    size_t control;         /* bytes of control messages a slot */
    bool in_pieces;         /* some slot holds more than one datagram: `pieces` says which */
    size_t count;           /* of datagrams */
    size_t room;            /* for pieces */
    uint64_t bytes;
    nf_datagram *pieces;
    struct mmsghdr *headers;
    struct iovec *vectors;
    struct sockaddr_storage *senders;
    uint8_t *controls;
    uint8_t *data;
};

nf_slab *nf_slab_new(uint32_t slots, uint32_t size, bool told)
{
    nf_slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return NULL;
    *slab = (nf_slab){.slots = slots, .size = size, .control = told ? CONTROL : 0};
    slab->headers = calloc(slots, sizeof *slab->headers);
    slab->vectors = calloc(slots, sizeof *slab->vectors);
    slab->senders = calloc(slots, sizeof *slab->senders);
    slab->controls = calloc(slots, CONTROL);
    slab->data = malloc((size_t)slots * size);
    if (!slab->headers || !slab->vectors || !slab->senders || !slab->controls || !slab->data) {
        nf_slab_free(slab);
        return NULL;
    }
    for (uint32_t i = 0; i < slots; i++) {
        slab->vectors[i] = (struct iovec){slab->data + (size_t)i * size, size};
        slab->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &slab->senders[i], .msg_namelen = sizeof *slab->senders, .msg_iov = &slab->vectors[i],
            .msg_iovlen = 1, .msg_control = slab->controls + (size_t)i * CONTROL, .msg_controllen = slab->control,
        };
    }
    return slab;
}

void nf_slab_free(nf_slab *slab)
{
    if (!slab)
        return;
    free(slab->pieces);
    free(slab->headers);
    free(slab->vectors);
    free(slab->senders);
    free(slab->controls);
    free(slab->data);
    free(slab);
}

/* The control message of a kind; NULL if there is none of that size. */
static const void *control_of(const struct msghdr *head, int level, int type, size_t size)
{
    struct msghdr *m = (struct msghdr *)(uintptr_t)head; /* CMSG_NXTHDR wants it so, and changes nothing */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size))
            return CMSG_DATA(c);
    return NULL;
}

/* The size of the segments that a slot is to be cut into; all of it where the kernel put none together. */
static uint32_t segment_of(const nf_slab *slab, uint32_t slot)
{
    const struct mmsghdr *head = &slab->headers[slot];
    const void *control = control_of(&head->msg_hdr, UDP_LEVEL, GRO, sizeof(int));
    int size = 0;
    if (control)
        memcpy(&size, control, sizeof size);
    return size > 0 && (uint32_t)size < head->msg_len ? (uint32_t)size : head->msg_len;
}

static bool take_apart(nf_slab *slab)
{
    size_t n = 0;
    for (uint32_t slot = 0; slot < slab->filled; slot++) {
        const uint32_t size = slab->headers[slot].msg_len, segment = segment_of(slab, slot);
        uint32_t offset = 0;
        do {
            if (n == slab->room) {
                const size_t room = slab->room ? 2 * slab->room : 1024;
                nf_datagram *grown = realloc(slab->pieces, room * sizeof *grown);
                if (!grown)
                    return false;
                slab->pieces = grown;
                slab->room = room;
            }
            const uint32_t left = size - offset;
            slab->pieces[n++] = (nf_datagram){slot * slab->size + offset, left < segment ? left : segment, slot};
            offset += segment;
        } while (offset < size);
    }
    slab->count = n;
    return true;
}

int nf_slab_receive(nf_slab *slab, int fd)
{
    /* The kernel has written into what it filled the last time. */
    for (uint32_t i = 0; i < slab->filled; i++) {
        slab->headers[i].msg_hdr.msg_namelen = sizeof *slab->senders;
        slab->headers[i].msg_hdr.msg_controllen = slab->control;
    }
    slab->filled = 0;
    slab->count = 0;
    slab->bytes = 0;
    int n = recvmmsg(fd, slab->headers, slab->slots, MSG_DONTWAIT, NULL);
    if (n < 0)
        return -errno;
    slab->filled = (uint32_t)n;
    slab->count = (size_t)n;
    slab->in_pieces = false;
    for (uint32_t i = 0; i < slab->filled; i++) {
        slab->bytes += slab->headers[i].msg_len;
        slab->in_pieces |= segment_of(slab, i) < slab->headers[i].msg_len;
    }
    return slab->in_pieces && !take_apart(slab) ? -ENOMEM : n;
}

size_t nf_slab_count(const nf_slab *slab) { return slab->count; }
uint64_t nf_slab_bytes(const nf_slab *slab) { return slab->bytes; }

nf_datagram nf_slab_datagram(const nf_slab *slab, size_t i)
{
    if (slab->in_pieces)
        return slab->pieces[i];
    const uint32_t size = slab->headers[i].msg_len; /* never more than the slot: MSG_TRUNC was not asked for */
    return (nf_datagram){(uint32_t)i * slab->size, size, (uint32_t)i};
}

const uint8_t *nf_slab_data(const nf_slab *slab, size_t *size)
{
    *size = (size_t)slab->slots * slab->size;
    return slab->data;
}

bool nf_slab_is_cut(const nf_slab *slab, const nf_datagram *d)
{
    return slab->headers[d->slot].msg_hdr.msg_flags & MSG_TRUNC;
}

int64_t nf_slab_stamp(const nf_slab *slab, const nf_datagram *d)
{
    struct timespec t;
    const void *control = control_of(&slab->headers[d->slot].msg_hdr, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof t);
    if (!control)
        return 0;
    memcpy(&t, control, sizeof t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

const void *nf_slab_sender(const nf_slab *slab, const nf_datagram *d, size_t *size)
{
    *size = slab->headers[d->slot].msg_hdr.msg_namelen;
    return &slab->senders[d->slot];
}

uint32_t nf_slab_dropped(const nf_slab *slab)
{
    uint32_t dropped = 0;
    for (uint32_t i = slab->filled; i > 0; i--) {
        const void *control = control_of(&slab->headers[i - 1].msg_hdr, SOL_SOCKET, SO_RXQ_OVFL, sizeof dropped);
        if (control) {
            memcpy(&dropped, control, sizeof dropped);
            break;
        }
    }
    return dropped;
}

int nf_receive_options(int fd, bool gro)
{
    static const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    return gro && setsockopt(fd, UDP_LEVEL, GRO, &on, sizeof on) < 0 ? errno : 0;
}

int nf_gets_pieces(int fd)
{
    int on = 0;
    socklen_t size = sizeof on;
    return getsockopt(fd, UDP_LEVEL, GRO, &on, &size) < 0 ? -1 : on != 0;
}

int64_t nf_socket_drops(int fd)
{
    uint32_t numbers[MEMINFO_NUMBERS] = {0};
    socklen_t size = sizeof numbers;
    if (getsockopt(fd, SOL_SOCKET, MEMINFO, numbers, &size) < 0 || size < sizeof numbers)
        return -1;
    return numbers[MEMINFO_DROPS];
}

/* ---- what goes */

struct nf_sender {
    uint32_t slots;
    struct mmsghdr *headers;
    struct iovec *vectors;      /* NF_SEGMENTS_MAX a slot */
    uint8_t *controls;
    uint32_t *datagrams;        /* of each slot: how many */
};

enum {
    SEGMENT_CONTROL = CMSG_SPACE(sizeof(uint16_t)),
    CALLS = 64,     /* of sendmmsg, between two looks at signals: some milliseconds */
    AT_A_TIME = 4096 /* datagrams of a call, and of a moment */
};

nf_sender *nf_sender_new(uint32_t slots)
{
    nf_sender *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->slots = slots;
    s->headers = calloc(slots, sizeof *s->headers);
    s->vectors = calloc((size_t)slots * NF_SEGMENTS_MAX, sizeof *s->vectors);
    s->controls = calloc(slots, SEGMENT_CONTROL);
    s->datagrams = calloc(slots, sizeof *s->datagrams);
    if (!s->headers || !s->vectors || !s->controls || !s->datagrams) {
        nf_sender_free(s);
        return NULL;
    }
    return s;
}

void nf_sender_free(nf_sender *s)
{
    if (!s)
        return;
    free(s->headers);
    free(s->vectors);
    free(s->controls);
    free(s->datagrams);
    free(s);
}

bool nf_knows_gso(int fd)
{
    int size;
    socklen_t length = sizeof size;
    return getsockopt(fd, UDP_LEVEL, SEGMENT, &size, &length) == 0;
}

/* How many of the datagrams go in one piece: all of one size to one address, the last perhaps shorter. */
static uint32_t run_of(const nf_outgoing *d, size_t count)
{
    const uint32_t size = d->size;
    size_t most = size ? NF_GSO_MAX / size : 0, n = 1;
    most = most < NF_SEGMENTS_MAX ? most : NF_SEGMENTS_MAX;
    most = most < count ? most : count;
    while (n < most && d[n].address == d->address && d[n].size == size)
        n++;
    if (n < most && d[n].address == d->address && d[n].size > 0 && d[n].size < size)
        n++;
    return (uint32_t)n;
}

static void fill(nf_sender *s, uint32_t slot, const nf_outgoing *d, uint32_t run, const nf_addresses *addresses)
{
    struct iovec *vectors = s->vectors + (size_t)slot * NF_SEGMENTS_MAX;
    struct msghdr *head = &s->headers[slot].msg_hdr;
    for (uint32_t i = 0; i < run; i++)
        vectors[i] = (struct iovec){(void *)(uintptr_t)d[i].data, d[i].size};
    *head = (struct msghdr){.msg_iov = vectors, .msg_iovlen = run};
    if (addresses->bytes) {
        head->msg_name = (void *)(uintptr_t)(addresses->bytes + d->address * addresses->stride);
        head->msg_namelen = addresses->sizes[d->address];
    }
    s->datagrams[slot] = run;
    if (run == 1)
        return;
    head->msg_control = s->controls + (size_t)slot * SEGMENT_CONTROL;
    head->msg_controllen = SEGMENT_CONTROL;
    struct cmsghdr *c = CMSG_FIRSTHDR(head);
    const uint16_t segment = (uint16_t)d->size;
    c->cmsg_level = UDP_LEVEL;
    c->cmsg_type = SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

/* Nothing was wrong with the datagram: there is no room for it now. */
static bool is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == EINTR; }

/* Nothing can be sent by this socket at all, or nothing without an address. */
static bool is_fatal(int error, bool addressed)
{
    return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EOPNOTSUPP || error == EPIPE ||
           (!addressed && (error == EDESTADDRREQ || error == ENOTCONN));
}

/* Fills slots with datagrams, in runs except for the first `singles`; how many slots. */
static uint32_t fill_slots(nf_sender *s, const nf_outgoing *d, size_t count, size_t singles,
                           const nf_addresses *addresses)
{
    uint32_t slots = 0;
    for (size_t i = 0; i < count && i < AT_A_TIME && slots < s->slots; slots++) {
        const uint32_t run = i < singles ? 1 : run_of(d + i, count - i);
        fill(s, slots, d + i, run, addresses);
        i += run;
    }
    return slots;
}

int nf_send_datagrams(nf_sender *s, int fd, const nf_outgoing *d, size_t count, const nf_addresses *addresses,
                      nf_progress *progress, nf_refused *refused, void *to)
{
    uint32_t slots = 0, slot = 0; /* filled, and the first of them that has not gone */
    size_t singles = progress->no_gso ? count : 0; /* up to here datagrams go one by one */
    const size_t begun = progress->done;
    for (int calls = 0; progress->done < count; calls++) {
        if (calls == CALLS || progress->done - begun >= AT_A_TIME)
            return NF_SEND_MORE;
        if (slot == slots) {
            const size_t done = progress->done;
            slots = fill_slots(s, d + done, count - done, singles > done ? singles - done : 0, addresses);
            slot = 0;
        }
        const int n = sendmmsg(fd, s->headers + slot, slots - slot, MSG_DONTWAIT);
        const int error = errno;
        for (int i = 0; i < n; i++, slot++) {
            progress->done += s->datagrams[slot];
            progress->sent += s->datagrams[slot];
        }
        if (n >= 0)
            continue; /* it stops in front of one that is refused, and then the next call says why */
        if (is_full(error) || is_fatal(error, addresses->bytes != NULL))
            return error;
        if (s->datagrams[slot] > 1 && error != ECONNREFUSED) {
            /* The kernel cannot cut the piece (EIO: the card cannot sum it), it is cut larger than the path takes
             * (EINVAL, EMSGSIZE), or all of it is refused: one by one they may go. */
            progress->no_gso |= error == EIO || error == ENOPROTOOPT;
            singles = progress->no_gso ? count : progress->done + s->datagrams[slot];
            slots = slot = 0;
            continue;
        }
        /* ECONNREFUSED is of one before, and would be of any that is sent now: it costs one. */
        slot = s->datagrams[slot] > 1 ? slots : slot + 1;
        if (!refused(to, progress->done++, error))
            return ENOMEM;
    }
    return 0;
}

#endif
