/* nf_sock_diag.c - sock_diag's messages. */
#define _GNU_SOURCE
#include "nf_sock_diag.h"
#include "nf_inodes.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What headers older than these do not name (linux/inet_diag.h, linux/unix_diag.h). */
enum { DIAG_SKV6ONLY = 11, UNIX_SHOW_UID = 0x40, UNIX_UID = 7 };

void nf_sockets_free(nf_sockets *s)
{
    nf_heap_free(&s->rows);
    nf_heap_free(&s->names);
}

bool nf_sockets_unique(nf_sockets *s, size_t first)
{
    const size_t n = nf_sockets_count(s);
    size_t kept = first;
    nf_inodes seen;
    bool fine = nf_inodes_begin(&seen, n - first);
    for (size_t i = first; i < n && fine; i++) {
        const nf_socket *row = nf_sockets_at(s, i);
        if (row->cookie && !nf_inodes_add(&seen, row->cookie))
            continue;
        if (kept != i)
            *nf_sockets_at(s, kept) = *row;
        kept++;
    }
    if (fine)
        s->rows.size = kept * sizeof(nf_socket);
    nf_inodes_end(&seen);
    return fine;
}

/* ---- columns */

#define FIELD(name) {offsetof(nf_socket, name), sizeof(((nf_socket *)NULL)->name)}

static const struct {
    size_t offset, size;
} columns[] = {
    [NF_SOCKET_FAMILY] = FIELD(family),
    [NF_SOCKET_TYPE] = FIELD(type),
    [NF_SOCKET_TRANSPORT] = FIELD(transport),
    [NF_SOCKET_STATE] = FIELD(state),
    [NF_SOCKET_V6ONLY] = FIELD(v6only),
    [NF_SOCKET_LOCAL_PORT] = FIELD(local_port),
    [NF_SOCKET_REMOTE_PORT] = FIELD(remote_port),
    [NF_SOCKET_RECV_Q] = FIELD(recv_q),
    [NF_SOCKET_SEND_Q] = FIELD(send_q),
    [NF_SOCKET_UID] = FIELD(uid),
    [NF_SOCKET_INTERFACE] = FIELD(interface),
    [NF_SOCKET_INODE] = FIELD(inode),
};

size_t nf_socket_column_size(nf_socket_column column) { return columns[column].size; }

void nf_socket_column_copy(const nf_sockets *s, nf_socket_column column, uint8_t *into)
{
    const size_t n = nf_sockets_count(s), offset = columns[column].offset, size = columns[column].size;
    const uint8_t *row = s->rows.bytes;
    for (size_t i = 0; i < n; i++, row += sizeof(nf_socket), into += size)
        memcpy(into, row + offset, size);
}

/* ---- requests */

/* A program for the kernel: two comparisons, each of which goes on by `yes` bytes or by `no`; a socket is told of if
 * this ends exactly at the end, and is not if it ends behind it.
 *
 *      0        4        8        12       16       20
 *      | >=     | port   | <=     | port   |
 *      +--- yes: 8 ----->+--- yes: 8 ----->+ told
 *      +--- no: 20 --------------------------------> not
 *                        +--- no: 12 --------------> not
 */
static void add_port(nf_request *r, uint16_t port)
{
    const struct inet_diag_bc_op program[4] = {
        {INET_DIAG_BC_S_GE, 8, 20},
        {0, 0, port},
        {INET_DIAG_BC_S_LE, 8, 12},
        {0, 0, port},
    };
    nf_request_add(r, INET_DIAG_REQ_BYTECODE, program, sizeof program);
}

static uint8_t protocol_of(nf_transport transport)
{
    return transport == NF_TCP ? IPPROTO_TCP : transport == NF_UDP ? IPPROTO_UDP : IPPROTO_RAW;
}

void nf_ask_sockets(nf_request *r, nf_transport transport, uint8_t family, uint32_t states, int32_t local_port)
{
    if (transport == NF_UNIX) {
        const struct unix_diag_req head = {
            .sdiag_family = AF_UNIX, .udiag_states = states,
            .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UNIX_SHOW_UID,
        };
        nf_request_begin(r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &head, sizeof head);
        return;
    }
    const struct inet_diag_req_v2 head = {
        .sdiag_family = family, .sdiag_protocol = protocol_of(transport), .idiag_states = states,
    };
    nf_request_begin(r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &head, sizeof head);
    if (local_port != NF_ANY_PORT)
        add_port(r, (uint16_t)local_port);
}

/* ---- answers */

static uint64_t cookie_of(const uint32_t halves[2]) { return (uint64_t)halves[1] << 32 | halves[0]; }

static bool read_inet(nf_socket *row, nf_transport transport, const uint8_t *payload, size_t size)
{
    struct inet_diag_msg m;
    if (size < sizeof m)
        return false;
    memcpy(&m, payload, sizeof m);
    *row = (nf_socket){
        .inode = m.idiag_inode, .cookie = cookie_of(m.id.idiag_cookie), .uid = m.idiag_uid,
        .recv_q = m.idiag_rqueue, .send_q = m.idiag_wqueue,
        .interface = m.id.idiag_if, .local_port = ntohs(m.id.idiag_sport), .remote_port = ntohs(m.id.idiag_dport),
        .family = m.idiag_family, .transport = (uint8_t)transport, .state = m.idiag_state,
        .type = transport == NF_TCP ? SOCK_STREAM : transport == NF_UDP ? SOCK_DGRAM : SOCK_RAW,
    };
    const size_t bytes = m.idiag_family == AF_INET ? 4 : 16;
    memcpy(row->local + 16 - bytes, m.id.idiag_src, bytes);
    memcpy(row->remote + 16 - bytes, m.id.idiag_dst, bytes);
    nf_attributes rest = {payload + sizeof m, size - sizeof m};
    nf_attribute a;
    while (nf_next_attribute(&rest, &a))
        if (a.type == DIAG_SKV6ONLY)
            row->v6only = nf_attribute_number(&a, 1) != 0;
    return m.idiag_family == AF_INET || m.idiag_family == AF_INET6;
}

/* Queues: of a listener the connections that wait, and how many may; of others bytes that came. */
static void read_unix_queues(nf_socket *row, const nf_attribute *a)
{
    struct unix_diag_rqlen queues;
    if (a->size < sizeof queues)
        return;
    memcpy(&queues, a->data, sizeof queues);
    row->recv_q = queues.udiag_rqueue;
    row->send_q = queues.udiag_wqueue;
}

static int read_unix(nf_sockets *sockets, nf_socket *row, const uint8_t *payload, size_t size)
{
    struct unix_diag_msg m;
    if (size < sizeof m)
        return EBADMSG;
    memcpy(&m, payload, sizeof m);
    *row = (nf_socket){
        .inode = m.udiag_ino, .cookie = cookie_of(m.udiag_cookie), .family = AF_UNIX, .type = m.udiag_type,
        .transport = NF_UNIX, .state = m.udiag_state,
    };
    nf_attributes rest = {payload + sizeof m, size - sizeof m};
    nf_attribute a;
    while (nf_next_attribute(&rest, &a)) {
        if (a.type == UNIX_DIAG_NAME) {
            /* A path ends at a NUL; a name that begins with one is abstract, and may hold more of them. */
            const size_t length = a.size && a.data[0] ? nf_text_size(a.data, a.size) : a.size;
            uint8_t *at = nf_heap_more(&sockets->names, length);
            if (!at)
                return ENOMEM;
            memcpy(at, a.data, length);
            row->name = (uint32_t)(sockets->names.size - length);
            row->name_size = (uint32_t)length;
        } else if (a.type == UNIX_DIAG_PEER) {
            row->peer = (uint32_t)nf_attribute_number(&a, 4);
        } else if (a.type == UNIX_UID) {
            row->uid = (uint32_t)nf_attribute_number(&a, 4);
        } else if (a.type == UNIX_DIAG_RQLEN) {
            read_unix_queues(row, &a);
        }
    }
    return 0;
}

int nf_take_socket(void *into, uint16_t type, const uint8_t *payload, size_t size)
{
    const nf_socket_sink *sink = into;
    nf_socket row;
    if (type != SOCK_DIAG_BY_FAMILY)
        return 0;
    if (sink->transport == NF_UNIX) {
        int error = read_unix(sink->sockets, &row, payload, size);
        if (error)
            return error;
    } else if (!read_inet(&row, sink->transport, payload, size)) {
        return EBADMSG;
    }
    if (row.state == NF_STATE_NEW_SYN_RECV)
        row.state = NF_STATE_SYN_RECV;
    else if (row.state == NF_STATE_BOUND)
        row.state = NF_STATE_CLOSE;
    else if (row.state > NF_STATE_CLOSING)
        row.state = NF_STATE_UNKNOWN;
    uint8_t *at = nf_heap_more(&sink->sockets->rows, sizeof row);
    if (!at)
        return ENOMEM;
    memcpy(at, &row, sizeof row);
    return 0;
}

#endif
