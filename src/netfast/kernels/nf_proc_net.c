/* nf_proc_net.c - the lines of /proc/net/tcp and its like. */
#define _GNU_SOURCE
#include "nf_proc_net.h"

#ifdef __linux__

#include <errno.h>
#include <sys/socket.h>

enum { UNIX_LISTENS = 0x10000, UNIX_CONNECTED = 3 }; /* __SO_ACCEPTCON and SS_CONNECTED, linux/net.h */

typedef struct {
    const uint8_t *at, *end;
    bool bad; /* something was not what it should be */
} reader;

static void skip_blanks(reader *r)
{
    while (r->at < r->end && *r->at == ' ')
        r->at++;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* A number of 1 to `most` digits. */
static uint64_t take_number(reader *r, int base, int most)
{
    uint64_t value = 0;
    int digits = 0;
    for (; r->at < r->end && digits < most && digit_of(*r->at) < base; r->at++, digits++)
        value = value * (uint64_t)base + (uint64_t)digit_of(*r->at);
    r->bad |= digits == 0;
    return value;
}

static uint64_t take_word(reader *r, int base)
{
    skip_blanks(r);
    return take_number(r, base, base == 16 ? 16 : 19);
}

static void take_mark(reader *r, uint8_t mark)
{
    if (r->at < r->end && *r->at == mark)
        r->at++;
    else
        r->bad = true;
}

static void skip_word(reader *r)
{
    skip_blanks(r);
    while (r->at < r->end && *r->at != ' ')
        r->at++;
}

/* An address is words of 32 bits in this machine's order: 0100007F for 127.0.0.1 on x86. */
static uint16_t take_endpoint(reader *r, uint8_t family, uint8_t address[16])
{
    skip_blanks(r);
    for (int word = family == AF_INET6 ? 0 : 3; word < 4; word++) {
        const uint32_t value = (uint32_t)take_number(r, 16, 8);
        memcpy(address + 4 * word, &value, sizeof value);
    }
    take_mark(r, ':');
    return (uint16_t)take_number(r, 16, 4);
}

/* In place of a cookie, which these files do not tell: a hash (FNV-1a) of the inode and both ends. */
static uint64_t mixed(const nf_socket *row)
{
    uint64_t hash = 0xcbf29ce484222325u ^ row->inode;
    hash = (hash * 0x100000001b3u) ^ ((uint64_t)row->local_port << 16 | row->remote_port);
    for (int i = 0; i < 16; i++)
        hash = (hash * 0x100000001b3u) ^ ((uint64_t)row->local[i] << 8 | row->remote[i]);
    return hash;
}

/* "sl: local:port remote:port st tx:rx tr:when retransmits uid timeout inode ..." */
static bool read_inet(nf_socket *row, nf_transport transport, uint8_t family, reader *r)
{
    *row = (nf_socket){
        .family = family, .transport = (uint8_t)transport,
        .type = transport == NF_TCP ? SOCK_STREAM : transport == NF_UDP ? SOCK_DGRAM : SOCK_RAW,
    };
    take_word(r, 10);
    take_mark(r, ':');
    row->local_port = take_endpoint(r, family, row->local);
    row->remote_port = take_endpoint(r, family, row->remote);
    row->state = (uint8_t)take_word(r, 16);
    row->send_q = (uint32_t)take_word(r, 16);
    take_mark(r, ':');
    row->recv_q = (uint32_t)take_number(r, 16, 8);
    skip_word(r);
    skip_word(r);
    row->uid = (uint32_t)take_word(r, 10);
    skip_word(r);
    row->inode = take_word(r, 10);
    row->cookie = row->inode ? mixed(row) : 0;
    return !r->bad;
}

/* "pointer: references protocol flags type state inode path"; a path may hold anything but NUL. */
static bool read_unix(nf_socket *row, reader *r)
{
    *row = (nf_socket){.family = AF_UNIX, .transport = NF_UNIX};
    take_word(r, 16);
    take_mark(r, ':');
    take_word(r, 16);
    take_word(r, 16);
    const uint64_t flags = take_word(r, 16);
    row->type = (uint8_t)take_word(r, 16);
    const uint64_t state = take_word(r, 16);
    row->inode = row->cookie = take_word(r, 10);
    row->state = flags & UNIX_LISTENS ? NF_STATE_LISTEN
                 : state == UNIX_CONNECTED ? NF_STATE_ESTABLISHED : NF_STATE_CLOSE;
    return !r->bad && (r->at == r->end || *r->at == ' ');
}

static int keep(nf_sockets *sockets, nf_socket *row, const uint8_t *name, size_t size)
{
    uint8_t *text = nf_heap_more(&sockets->names, size), *at = nf_heap_more(&sockets->rows, sizeof *row);
    if (!text || !at)
        return ENOMEM;
    memcpy(text, name, size);
    row->name = (uint32_t)(sockets->names.size - size);
    row->name_size = (uint32_t)size;
    memcpy(at, row, sizeof *row);
    return 0;
}

/* What follows a line that was kept, and is no line of its own, belongs to a path with a newline in it. */
static int prolong(nf_sockets *sockets, const uint8_t *line, size_t size)
{
    nf_socket *last = nf_sockets_at(sockets, nf_sockets_count(sockets) - 1);
    uint8_t *text = nf_heap_more(&sockets->names, size + 1);
    if (!text)
        return ENOMEM;
    text[0] = '\n';
    memcpy(text + 1, line, size);
    last->name_size += (uint32_t)size + 1;
    return 0;
}

int nf_read_proc_net(nf_sockets *sockets, nf_transport transport, uint8_t family, uint32_t states, int32_t local_port,
                     const uint8_t *text, size_t size)
{
    const uint8_t *end = text + size;
    bool kept = false;
    int error = 0;
    for (const uint8_t *line = text; line < end && !error;) {
        const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        reader r = {line, newline ? newline : end, false};
        nf_socket row;
        const bool is_unix = transport == NF_UNIX;
        if (is_unix ? read_unix(&row, &r) : read_inet(&row, transport, family, &r)) {
            kept = row.state <= NF_STATE_CLOSING && states >> row.state & 1 &&
                   (local_port == NF_ANY_PORT || row.local_port == local_port) &&
                   !(is_unix && row.inode == 0); /* not accepted yet: sock_diag leaves these out */
            const uint8_t *name = r.at < r.end ? r.at + 1 : r.end;
            if (kept)
                error = keep(sockets, &row, name, is_unix ? (size_t)(r.end - name) : 0);
        } else if (is_unix && kept) {
            error = prolong(sockets, line, (size_t)(r.end - line));
        }
        line = newline ? newline + 1 : end;
    }
    return error;
}

#endif
