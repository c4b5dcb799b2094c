/* nf_sock_diag.h - the sockets of a network namespace: TCP, UDP, raw and Unix (sock_diag(7), linux/inet_diag.h,
 * linux/unix_diag.h).  Linux.
 */
#ifndef NF_SOCK_DIAG_H
#define NF_SOCK_DIAG_H

#include "nf_netlink.h"

typedef enum { NF_TCP, NF_UDP, NF_RAW, NF_UNIX, NF_TRANSPORTS } nf_transport;

/* include/net/tcp_states.h, which other sockets share.  SYN_RECV is told of as 3, whichever of the kernel's two. */
enum {
    NF_STATE_UNKNOWN = 0,   /* of a kernel to come */
    NF_STATE_ESTABLISHED = 1,
    NF_STATE_SYN_RECV = 3,
    NF_STATE_CLOSE = 7,     /* bound only; UDP, raw, Unix: not connected */
    NF_STATE_LISTEN = 10,
    NF_STATE_CLOSING = 11,
    NF_STATE_NEW_SYN_RECV = 12,
    NF_STATE_BOUND = 13,    /* asks for TCP sockets that are only bound, from Linux 6.8 */
    NF_STATES = 14,
    NF_ALL_STATES = (1 << NF_STATES) - 2 /* a bit each */
};

typedef struct {
    uint64_t inode;                 /* 0: no file, so no process; connections of MPTCP share one */
    uint64_t cookie;                /* no other socket has it; 0: not known */
    uint32_t recv_q, send_q, uid, interface;
    uint16_t local_port, remote_port;
    uint8_t family, type, transport, state, v6only;
    uint8_t local[16], remote[16];  /* network order; IPv4 in the last four bytes */
    uint32_t name, name_size, peer; /* of Unix: its name among `names`, the inode of its peer or 0 */
} nf_socket;

typedef struct {
    nf_heap_bytes rows;  /* of nf_socket */
    nf_heap_bytes names;
} nf_sockets;

static inline size_t nf_sockets_count(const nf_sockets *s) { return s->rows.size / sizeof(nf_socket); }
static inline nf_socket *nf_sockets_at(const nf_sockets *s, size_t i) { return (nf_socket *)(void *)s->rows.bytes + i; }
void nf_sockets_free(nf_sockets *s);

/* Drops what was told of twice from that row on, by cookie: while sockets come and go, a list that is read piece by
 * piece has one more than once.  False without memory. */
bool nf_sockets_unique(nf_sockets *s, size_t first);

/* The numbers of a row, column by column. */
typedef enum {
    NF_SOCKET_FAMILY, NF_SOCKET_TYPE, NF_SOCKET_TRANSPORT, NF_SOCKET_STATE, NF_SOCKET_V6ONLY, NF_SOCKET_LOCAL_PORT,
    NF_SOCKET_REMOTE_PORT, NF_SOCKET_RECV_Q, NF_SOCKET_SEND_Q, NF_SOCKET_UID, NF_SOCKET_INTERFACE, NF_SOCKET_INODE
} nf_socket_column;

/* How many bytes each has, and all of them, row after row. */
size_t nf_socket_column_size(nf_socket_column column);
void nf_socket_column_copy(const nf_sockets *s, nf_socket_column column, uint8_t *into);

enum { NF_ANY_PORT = -1 };

/* Asks for the sockets of a family (AF_INET, AF_INET6; AF_UNIX) in some states (a bit each), on a local port. */
void nf_ask_sockets(nf_request *r, nf_transport transport, uint8_t family, uint32_t states, int32_t local_port);

/* An `nf_netlink_take` into nf_sockets of that transport. */
typedef struct {
    nf_sockets *sockets;
    nf_transport transport;
} nf_socket_sink;

int nf_take_socket(void *sink, uint16_t type, const uint8_t *payload, size_t size);

#endif
