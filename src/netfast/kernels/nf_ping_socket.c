/* nf_ping_socket.c - an ICMP socket; nf_ping_socket.h explains it. */
#define _GNU_SOURCE             /* recvmmsg */
#include "nf_ping_socket.h"

#ifdef __linux__

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/sock_diag.h>

enum { SOL_RAW_ICMP = 255, ICMP_FILTER_OPTION = ICMP_FILTER, ICMP6_FILTER_OPTION = 1 };     /* linux/icmp.h, icmpv6.h */
enum { BATCH_MAX = 64, BATCH_BYTES = 256 << 10, DRAIN_MAX = 64 };
enum { IP_HEADER_MAX = 60, CONTROL = 256 };
enum { OVERHEAD = 512 };        /* what the kernel charges a small message, halved as it doubles what it is asked for */
enum { SEND_TRIES = 64 };
enum { SMALL = 256 };           /* bytes of payload that nearly every path takes whole */

struct nf_ping_inbox {
    uint32_t batch, room;       /* messages a call, bytes each */
    struct mmsghdr heads[BATCH_MAX];
    struct iovec pieces[BATCH_MAX];
    struct sockaddr_in6 sources[BATCH_MAX];     /* an IPv4 one is smaller */
    union {
        struct cmsghdr aligned;
        uint8_t bytes[CONTROL];
    } controls[BATCH_MAX];
    uint8_t data[];
};

/* ---- clocks and addresses --------------------------------------------------------------------------------------- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NF_SECOND + t.tv_nsec;
}

/* Both as of one moment: read again where this thread was held up in between. */
nf_clocks nf_clocks_now(void)
{
    enum { TRIES = 3, MOMENT = 20000 };
    nf_clocks now = {0, 0};
    for (int i = 0; i < TRIES; i++) {
        int64_t before = read_clock(CLOCK_MONOTONIC);
        now.real = read_clock(CLOCK_REALTIME);
        now.mono = read_clock(CLOCK_MONOTONIC);
        if (now.mono - before < MOMENT)
            break;
    }
    return now;
}

static socklen_t to_sockaddr(bool ip6, const uint8_t address[16], uint32_t scope, struct sockaddr_in6 *out)
{
    memset(out, 0, sizeof *out);
    if (ip6) {
        out->sin6_family = AF_INET6;
        out->sin6_scope_id = scope;
        memcpy(&out->sin6_addr, address, 16);
        return sizeof *out;
    }
    struct sockaddr_in *ip4 = (struct sockaddr_in *)out;
    ip4->sin_family = AF_INET;
    memcpy(&ip4->sin_addr, address + 12, 4);
    return sizeof *ip4;
}

static bool from_sockaddr(const struct sockaddr *from, uint8_t address[16])
{
    if (from->sa_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
        return true;
    }
    if (from->sa_family != AF_INET)
        return false;
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
    return true;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static int open_kind(bool ip6, bool raw)
{
    return socket(ip6 ? AF_INET6 : AF_INET, (raw ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static bool open_any(nf_ping_socket *s, nf_socket_kind kind)
{
    s->raw = kind == NF_SOCKET_RAW;
    s->fd = open_kind(s->ip6, s->raw);
    if (s->fd < 0 && kind == NF_SOCKET_ANY) {
        s->raw = true;
        s->fd = open_kind(s->ip6, s->raw);
    }
    return s->fd >= 0;
}

/* A raw socket wants echo replies only: the type is looked at before the kernel copies a message for this socket. */
static bool filter_type(const nf_ping_socket *s)
{
    if (!s->ip6) {
        struct icmp_filter filter = {.data = ~(1u << NF_ECHO_REPLY)};
        return setsockopt(s->fd, SOL_RAW_ICMP, ICMP_FILTER_OPTION, &filter, sizeof filter) == 0;
    }
    uint32_t blocked[8];
    memset(blocked, 0xff, sizeof blocked);
    blocked[NF_ECHO_REPLY6 / 32] &= ~(1u << NF_ECHO_REPLY6 % 32);
    return setsockopt(s->fd, IPPROTO_ICMPV6, ICMP6_FILTER_OPTION, blocked, sizeof blocked) == 0;
}

/* And of these the ones with its id.  IPv4 messages come with their IP header, IPv6 ones without. */
static bool filter_id(const nf_ping_socket *s)
{
    struct sock_filter program[] = {
        s->ip6 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_IMM, 0)
               : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),     /* X = size of the IP header */
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),                                   /* A = the id behind it */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->id, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

static bool set_options(const nf_ping_socket *s, const nf_ping_options *options)
{
    bool done = set(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    if (s->ip6) {
        done = done && set(s->fd, IPPROTO_IPV6, IPV6_RECVERR, 1) && set(s->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
        if (options->ttl >= 0)
            done = done && set(s->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, options->ttl)
                   && set(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, options->ttl);
        if (options->tos >= 0)
            done = done && set(s->fd, IPPROTO_IPV6, IPV6_TCLASS, options->tos);
        if (options->dont_fragment)
            done = done && set(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
                   && set(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
        return done;
    }
    done = done && set(s->fd, IPPROTO_IP, IP_RECVERR, 1) && (s->raw || set(s->fd, IPPROTO_IP, IP_RECVTTL, 1));
    if (options->ttl >= 0)
        done = done && set(s->fd, IPPROTO_IP, IP_TTL, options->ttl)
               && set(s->fd, IPPROTO_IP, IP_MULTICAST_TTL, options->ttl);
    if (options->tos >= 0)
        done = done && set(s->fd, IPPROTO_IP, IP_TOS, options->tos);
    /* What fits the path has DF set either way; the kernel looks for no IP id then, which is 3 % of a probe.  Where a
     * link turns out to be too narrow, allow_fragments takes it back. */
    if (options->dont_fragment || options->payload <= SMALL)
        done = done && set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    return done;
}

/* A datagram socket gets its id by being bound: it is the port. */
static bool bind_source(nf_ping_socket *s, const nf_ping_options *options)
{
    static const uint8_t anywhere[16];
    struct sockaddr_in6 own;
    socklen_t size = to_sockaddr(s->ip6, options->has_source ? options->source : anywhere, options->source_scope, &own);
    if (s->raw && !options->has_source)
        return true;
    if (bind(s->fd, (struct sockaddr *)&own, size) != 0 || getsockname(s->fd, (struct sockaddr *)&own, &size) != 0)
        return false;
    if (!s->raw)
        s->id = ntohs(own.sin6_port);       /* at the same place in both families */
    return true;
}

static bool make_buffers(nf_ping_socket *s, uint32_t payload)
{
    uint32_t room = IP_HEADER_MAX + NF_ICMP_HEADER + payload;
    uint32_t batch = BATCH_BYTES / room;
    batch = batch < 1 ? 1 : batch > BATCH_MAX ? BATCH_MAX : batch;
    s->payload = payload;
    s->message = malloc(NF_ICMP_HEADER + payload);
    s->inbox = malloc(sizeof *s->inbox + (size_t)batch * room);
    if (!s->message || !s->inbox)
        return false;
    s->sum = nf_echo_template(s->message, payload, s->ip6 ? NF_ECHO_REQUEST6 : NF_ECHO_REQUEST, s->id);
    s->inbox->batch = batch;
    s->inbox->room = room;
    for (uint32_t i = 0; i < batch; i++) {
        s->inbox->pieces[i] = (struct iovec){s->inbox->data + (size_t)i * room, room};
        s->inbox->heads[i].msg_hdr = (struct msghdr){
            .msg_name = &s->inbox->sources[i],
            .msg_iov = &s->inbox->pieces[i],
            .msg_iovlen = 1,
            .msg_control = s->inbox->controls[i].bytes,
        };
    }
    return true;
}

/* A raw socket hears everybody until it has its filters, and what it heard by then may fill it. */
static void forget_what_was_heard(nf_ping_socket *s)
{
    uint8_t byte;
    while (recv(s->fd, &byte, 1, MSG_DONTWAIT) >= 0)
        continue;
    s->dropped_before = nf_ping_dropped(s);
}

static nf_open_step open_steps(nf_ping_socket *s, const nf_ping_options *options)
{
    if (!open_any(s, options->kind))
        return NF_NO_SOCKET;
    if (s->raw && !(filter_type(s) && filter_id(s)))
        return NF_NO_OPTION;
    if (!set_options(s, options))
        return NF_NO_OPTION;
    if (options->interface && setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, options->interface,
                                         (socklen_t)strlen(options->interface)) != 0)
        return NF_NO_INTERFACE;
    if (!bind_source(s, options))
        return NF_NO_SOURCE;
    forget_what_was_heard(s);
    return make_buffers(s, options->payload) ? NF_OPENED : NF_NO_MEMORY;
}

nf_open_step nf_ping_open(nf_ping_socket *s, bool ip6, const nf_ping_options *options)
{
    uint16_t id = s->id;
    *s = (nf_ping_socket){.fd = -1, .ip6 = ip6, .id = id, .fragments = !options->dont_fragment};
    nf_open_step step = open_steps(s, options);
    if (step != NF_OPENED) {
        int number = errno;
        nf_ping_close(s);
        errno = number;
    }
    return step;
}

void nf_ping_close(nf_ping_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    free(s->message);
    free(s->inbox);
    s->message = NULL;
    s->inbox = NULL;
}

/* A buffer of at least so many bytes, as far as the kernel grants them. */
static void enlarge(int fd, int option, int option_of_root, uint64_t wanted)
{
    enum { MOST = 64 << 20 };
    int bytes = wanted < MOST ? (int)wanted : MOST, granted = 0;
    socklen_t size = sizeof granted;
    getsockopt(fd, SOL_SOCKET, option, &granted, &size);
    if (granted / 2 < bytes && !set(fd, SOL_SOCKET, option_of_root, bytes))     /* wants CAP_NET_ADMIN */
        set(fd, SOL_SOCKET, option, bytes);
}

void nf_ping_make_room(const nf_ping_socket *s, uint64_t replies, uint64_t requests)
{
    enlarge(s->fd, SO_RCVBUF, SO_RCVBUFFORCE, replies * (OVERHEAD + s->payload));
    enlarge(s->fd, SO_SNDBUF, SO_SNDBUFFORCE, requests * (OVERHEAD + s->payload));
}

uint32_t nf_ping_dropped(const nf_ping_socket *s)
{
    uint32_t figures[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof figures;
    if (getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, figures, &size) != 0)
        return 0;
    return figures[SK_MEMINFO_DROPS] - s->dropped_before;
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

/* The kernel's account of an error, and the address of who sent the ICMP message behind it. */
static const struct sock_extended_err *account(struct msghdr *head)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c))
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR)
            || (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            return (const struct sock_extended_err *)CMSG_DATA(c);
    return NULL;
}

static nf_ping_error error_of(const struct sock_extended_err *e)
{
    nf_ping_error error = {.type = e->ee_type, .code = e->ee_code, .number = (int32_t)e->ee_errno, .info = e->ee_info};
    error.origin = e->ee_origin == SO_EE_ORIGIN_ICMP    ? NF_ORIGIN_ICMP
                   : e->ee_origin == SO_EE_ORIGIN_ICMP6 ? NF_ORIGIN_ICMP6
                                                        : NF_ORIGIN_LOCAL;
    if (error.origin != NF_ORIGIN_LOCAL)
        error.has_source = from_sockaddr(SO_EE_OFFENDER(e), error.source);
    return error;
}

/* A redirect, or source quench, which means nothing since RFC 6633: no errors.  Only datagram sockets are told. */
static bool is_advice(const nf_ping_error *error)
{
    return error->origin == NF_ORIGIN_ICMP && (error->type == ICMP_SOURCE_QUENCH || error->type == ICMP_REDIRECT);
}

/* Whether a message quotes a request of ours: a raw socket is told of everybody's. */
static bool quotes_ours(const nf_ping_socket *s, const uint8_t *quoted, size_t size, nf_echo *echo)
{
    return nf_echo_read(quoted, size, s->ip6 ? NF_ECHO_REQUEST6 : NF_ECHO_REQUEST, echo) && echo->id == s->id;
}

/* A link was too narrow for a probe that may be cut: the kernel decides about DF again, as it does by itself. */
static void allow_fragments(nf_ping_socket *s)
{
    s->fragments = false;       /* done */
    set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
}

/* What was in the error queue: how many errors of others, and the MTU of this machine's own last refusal to send. */
typedef struct {
    uint32_t messages, mtu;
} heard;

static heard receive_errors(nf_ping_socket *s, nf_ping *ping)
{
    enum { MOST = 4096 };
    heard all = {0, 0};
    for (int i = 0; i < MOST; i++) {
        uint8_t quoted[NF_ICMP_HEADER + NF_ICMP_COOKIE], to[16];
        struct sockaddr_in6 name = {0};
        union {
            struct cmsghdr aligned;
            uint8_t bytes[2 * CONTROL];
        } control;
        struct iovec piece = {quoted, sizeof quoted};
        struct msghdr head = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &piece, .msg_iovlen = 1,
                              .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(s->fd, &head, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (size < 0)
            break;
        const struct sock_extended_err *e = account(&head);
        if (!e)
            continue;
        nf_ping_error error = error_of(e);
        nf_echo echo;
        if (error.number == EMSGSIZE && error.origin == NF_ORIGIN_ICMP && s->fragments)
            allow_fragments(s);
        if (error.origin == NF_ORIGIN_LOCAL) {
            all.mtu = error.number == EMSGSIZE ? error.info : all.mtu;
            continue;
        }
        all.messages++;
        if (!is_advice(&error) && quotes_ours(s, quoted, (size_t)size, &echo)
            && from_sockaddr((struct sockaddr *)&name, to))
            nf_ping_complaint(ping, to, echo.sequence, echo.has_cookie ? &echo.cookie : NULL, &error, nf_clocks_now());
    }
    return all;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Sends the message; 0 or errno.
 *
 * An ICMP error about some earlier probe fails a send, too.  So a failure counts only if it comes again and nothing had
 * come for the error queue meanwhile; where errors come faster than that, the kernel is asked again later (ENOBUFS). */
static int send_once(nf_ping_socket *s, nf_ping *ping, const struct sockaddr_in6 *to, socklen_t to_size, nf_clocks *now,
                     uint32_t *mtu)
{
    int before = 0;
    for (int i = 0; i < SEND_TRIES; i++) {
        *now = nf_clocks_now();
        ssize_t sent = sendto(s->fd, s->message, NF_ICMP_HEADER + s->payload, MSG_DONTWAIT,
                              (const struct sockaddr *)to, to_size);
        if (sent >= 0)
            return 0;
        int number = errno;
        if (number == EINTR)
            continue;
        heard errors = receive_errors(s, ping);
        *mtu = errors.mtu ? errors.mtu : *mtu;
        if (number == EAGAIN || number == ENOBUFS)
            return number;
        if (number == EMSGSIZE && s->fragments) {
            allow_fragments(s);
        } else if (number == before && errors.messages == 0) {
            return number;
        } else {
            before = errors.messages ? 0 : number;
        }
    }
    return ENOBUFS;
}

bool nf_ping_send(nf_ping_socket *s, nf_ping *ping)
{
    nf_ping_probe_out probe = nf_ping_take(ping);
    const nf_ping_target *target = &ping->targets[probe.target];
    struct sockaddr_in6 to;
    socklen_t to_size = to_sockaddr(s->ip6, target->address, target->scope, &to);
    nf_echo_stamp(s->message, s->payload, s->sum, probe.sequence, probe.cookie);
    nf_clocks now;
    uint32_t mtu = 0;
    int number = send_once(s, ping, &to, to_size, &now, &mtu);
    if (number == EAGAIN)
        return false;
    if (number == 0) {
        nf_ping_sent(ping, probe.target, now);
    } else if (number != ENOBUFS || !nf_ping_refused(ping, probe.target, now.mono)) {
        nf_ping_error error = {.origin = NF_ORIGIN_LOCAL, .number = number, .info = mtu};
        nf_ping_failed(ping, probe.target, now, &error);
    }
    return true;
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static void read_controls(struct msghdr *head, nf_ping_reply *reply)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            reply->stamp = stamp.tv_sec * NF_SECOND + stamp.tv_nsec;
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
                   || (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
            int ttl;
            memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
            reply->ttl = (uint8_t)ttl;
            reply->has_ttl = true;
        }
    }
}

/* One message; false if it is no echo reply with our id. */
static bool read_message(const nf_ping_socket *s, struct mmsghdr *received, nf_ping_reply *reply)
{
    struct msghdr *head = &received->msg_hdr;
    const uint8_t *message = head->msg_iov->iov_base;
    size_t size = received->msg_len;
    bool cut = head->msg_flags & MSG_TRUNC;     /* longer than any answer to us */
    nf_echo echo;
    *reply = (nf_ping_reply){0};
    read_controls(head, reply);
    if (s->raw && !s->ip6) {
        message = nf_icmp_in_ip4(message, size, &size, &reply->ttl);
        reply->has_ttl = true;
    }
    if (!message || !nf_echo_read(message, size, s->ip6 ? NF_ECHO_REPLY6 : NF_ECHO_REPLY, &echo) || echo.id != s->id
        || !from_sockaddr(head->msg_name, reply->source))
        return false;
    reply->sequence = echo.sequence;
    reply->cookie = echo.cookie;
    reply->has_cookie = echo.has_cookie;
    reply->size = echo.size;
    /* The kernel verifies the checksum for the others. */
    reply->damaged = s->raw && !s->ip6 && !cut && nf_checksum_fold(nf_checksum_sum(message, size)) != 0;
    reply->changed = cut || !nf_echo_intact(message, size);
    return true;
}

/* One recvmmsg; how many came. */
static int receive_batch(nf_ping_socket *s, nf_ping *ping)
{
    struct nf_ping_inbox *inbox = s->inbox;
    for (uint32_t i = 0; i < inbox->batch; i++) {
        inbox->heads[i].msg_hdr.msg_namelen = sizeof inbox->sources[i];
        inbox->heads[i].msg_hdr.msg_controllen = sizeof inbox->controls[i];
    }
    int64_t before = s->stamps ? 0 : nf_clocks_now().real;
    int count = recvmmsg(s->fd, inbox->heads, inbox->batch, MSG_DONTWAIT, NULL);
    if (count <= 0)
        return count;
    nf_clocks now = nf_clocks_now();
    nf_ping_reply reply;
    for (int i = 0; i < count; i++) {
        if (!read_message(s, &inbox->heads[i], &reply))
            continue;
        s->stamps = s->stamps || (reply.stamp && reply.stamp < before);
        nf_ping_answer(ping, &reply, now);
    }
    return count;
}

bool nf_ping_receive(nf_ping_socket *s, nf_ping *ping, bool all)
{
    for (int i = 0; i < DRAIN_MAX; i++) {
        int count = receive_batch(s, ping);
        bool empty = count < 0 && errno == EAGAIN;  /* else: an interrupt, or an ICMP error, which fails this, too */
        if (count == (int)s->inbox->batch || (count > 0 && all))
            continue;
        receive_errors(s, ping);
        if (count >= 0 || empty)
            return true;
    }
    return false;
}

#endif
