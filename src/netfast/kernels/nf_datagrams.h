/* nf_datagrams.h - many datagrams a system call: recvmmsg(2), sendmmsg(2), and the kernel's segmentation of UDP, GSO
 * and GRO (udp(7), linux/udp.h).  Linux.
 *
 *   a slab    +---------+---------+---------+- - -     a slot holds a datagram, or with GRO up to 64 of them that came
 *             | slot 0  | slot 1  | slot 2  |          in one piece: all of the segment's size, the last maybe less
 *             +---------+---------+---------+- - -
 *             and for each slot who sent it, the kernel's stamp, and whether it was cut: as recvmmsg left them
 */
#ifndef NF_DATAGRAMS_H
#define NF_DATAGRAMS_H

#include "nf_base.h"

enum {
    NF_SLOTS_MAX = 1024,      /* messages of a system call: UIO_MAXIOV */
    NF_DATAGRAM_MAX = 65535,
    NF_SEGMENTS_MAX = 64,     /* UDP_MAX_SEGMENTS of older kernels */
    NF_GSO_MAX = 65507        /* 65,535 less the headers of IPv4 and UDP */
};

/* ---- what comes */

typedef struct nf_slab nf_slab;

/* A datagram: bytes of the slab's data, and the slot it came in. */
typedef struct {
    uint32_t offset, size, slot;
} nf_datagram;

/* told: also when each came, how many were dropped, and in which pieces.  Not of Unix sockets: there a control message
 * may as well be a descriptor, which would be open from then on. */
nf_slab *nf_slab_new(uint32_t slots, uint32_t size, bool told);
void nf_slab_free(nf_slab *slab);

/* Receives what is there into the first slots; how many, or -errno. */
int nf_slab_receive(nf_slab *slab, int fd);

/* What was received last: datagrams, and the bytes of all. */
size_t nf_slab_count(const nf_slab *slab);
uint64_t nf_slab_bytes(const nf_slab *slab);
nf_datagram nf_slab_datagram(const nf_slab *slab, size_t i);
const uint8_t *nf_slab_data(const nf_slab *slab, size_t *size);

/* Of one: whether it was cut, when it came (nanoseconds of CLOCK_REALTIME, 0 unknown). */
bool nf_slab_is_cut(const nf_slab *slab, const nf_datagram *d);
int64_t nf_slab_stamp(const nf_slab *slab, const nf_datagram *d);
/* Who sent it: struct sockaddr of some size, 0 for nobody in particular. */
const void *nf_slab_sender(const nf_slab *slab, const nf_datagram *d, size_t *size);
/* How many the kernel had dropped when the last one came, SO_RXQ_OVFL; it counts up to 2^32 and begins anew. */
uint32_t nf_slab_dropped(const nf_slab *slab);

/* Asks for stamps, the count of what is dropped, and GRO; 0 or the errno of the latter. */
int nf_receive_options(int fd, bool gro);
/* Whether what comes in a row is put together, UDP_GRO: 1 or 0; -1 if the socket or the kernel knows nothing of it. */
int nf_gets_pieces(int fd);
/* How many the kernel has dropped at this socket for want of room, SO_MEMINFO; -1 if it does not tell. */
int64_t nf_socket_drops(int fd);

/* ---- what goes */

typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t address;  /* where it goes: a place among the addresses */
} nf_outgoing;

typedef struct {
    const uint8_t *bytes; /* struct sockaddr; NULL: where the socket is connected */
    const uint32_t *sizes;
    size_t stride;        /* bytes from one to the next */
} nf_addresses;

typedef struct nf_sender nf_sender;

nf_sender *nf_sender_new(uint32_t slots);
void nf_sender_free(nf_sender *sender);

typedef struct {
    size_t done;    /* of the datagrams: sent, or refused and noted */
    size_t sent;
    bool no_gso;    /* the kernel or the path takes no segments: nothing more is tried */
} nf_progress;

/* Is told of each datagram that was refused, with its place and errno; false without memory. */
typedef bool nf_refused(void *to, size_t index, int error);

enum { NF_SEND_MORE = -1 };

/* Sends on until all is done (0), nothing more is taken now (EAGAIN, ENOBUFS), the socket itself is wrong (errno), or
 * it was at it for some milliseconds (NF_SEND_MORE). */
int nf_send_datagrams(nf_sender *sender, int fd, const nf_outgoing *datagrams, size_t count,
                      const nf_addresses *addresses, nf_progress *progress, nf_refused *refused, void *to);

/* Whether the kernel knows UDP_SEGMENT: one that does not would send a run of datagrams as one. */
bool nf_knows_gso(int fd);

#endif
