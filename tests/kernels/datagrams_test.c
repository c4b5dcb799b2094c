/* datagrams_test.c - datagrams over loopback and pairs of Unix sockets: what is sent comes once, byte by byte and in
 * order, in one piece with others or alone; what is refused is told, and takes nothing else with it.  What goes ends at
 * a page that cannot be touched.
 */
#define _GNU_SOURCE
#include "nf_datagrams.h"
#include "nf_wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

enum {
    MOST = 1400,                /* datagrams of a batch */
    PATIENCE = 20000,           /* milliseconds, for what is sure to come */
    STRIDE = 28,                /* of addresses: a struct sockaddr_in6 */
    UDP_LITE = 136,
    SEGMENT = 103, GRO = 104    /* as linux/udp.h has them */
};

/* What the system has; asked for here without the kernel under test, for an emulated one lacks some of it. */
static bool has_gso, has_gro, has_stamps, has_overflows, has_meminfo;

static int open_socket(int family, int type, int protocol)
{
    const int fd = socket(family, type, protocol), room = 1 << 20;
    check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0, "a socket");
    return fd;
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static void bind_to(int fd, int family, uint16_t port)
{
    const struct sockaddr_in ip4 = {.sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const bool four = family == AF_INET;
    check(bind(fd, four ? (const void *)&ip4 : &ip6, four ? sizeof ip4 : sizeof ip6) == 0, "a bound socket");
}

static int bound(int family)
{
    const int fd = open_socket(family, SOCK_DGRAM, 0);
    bind_to(fd, family, 0);
    return fd;
}

static void open_pair(int fds[2]) { check(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0, "a pair of sockets"); }

static void close_both(int a, int b) { check(close(a) == 0 && close(b) == 0, "sockets to close"); }

static void look_around(void)
{
    const int fd = bound(AF_INET);
    uint32_t numbers[9];
    socklen_t size = sizeof numbers;
    has_gso = set_option(fd, IPPROTO_UDP, SEGMENT, 0);
    has_gro = set_option(fd, IPPROTO_UDP, GRO, 1);
    has_stamps = set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    has_overflows = set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    has_meminfo = getsockopt(fd, SOL_SOCKET, 55, numbers, &size) == 0 && size == sizeof numbers;
    check(nf_knows_gso(fd) == has_gso, "whether the kernel knows GSO");
    close(fd);
}

/* ---- addresses, batches, and who is told */

typedef struct {
    uint8_t bytes[8 * STRIDE];
    uint32_t sizes[8], count;
} places;

static uint32_t add_place(places *p, const void *address, uint32_t size)
{
    memcpy(p->bytes + p->count * STRIDE, address, size);
    p->sizes[p->count] = size;
    return p->count++;
}

static uint32_t add_socket(places *p, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "the address of a socket");
    return add_place(p, &address, size);
}

/* What refuses at once: a broadcast that nobody allowed, EACCES. */
static uint32_t add_broadcast(places *p)
{
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0x7fffffff)}};
    return add_place(p, &a, sizeof a);
}

static nf_addresses addresses_of(const places *p) { return (nf_addresses){p->bytes, p->sizes, STRIDE}; }

typedef struct {
    nf_outgoing *out;
    size_t count;
} batch;

/* Random bytes for datagrams of these sizes: they, or what describes them, end where nothing can be touched.  Every
 * call takes the same memory.  Without places all go to the first.
 */
static batch make_batch(const uint32_t *sizes, const uint32_t *where, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += sizes[i];
    const size_t table = count * sizeof(nf_outgoing), padded = (bytes + 15) / 16 * 16;
    const bool table_last = draw() % 2;
    uint8_t *start = guarded(table + padded), *data = table_last ? start : start + table + padded - bytes;
    batch b = {(nf_outgoing *)(void *)(table_last ? start + padded : start), count};
    for (size_t i = 0; i < count; i++) {
        b.out[i] = (nf_outgoing){data, sizes[i], where ? where[i] : 0};
        for (uint32_t k = 0; k < sizes[i]; k++)
            *data++ = (uint8_t)draw();
    }
    return b;
}

static batch make_equal(uint32_t size, size_t count)
{
    uint32_t sizes[MOST];
    check(count <= MOST, "a larger batch");
    for (size_t i = 0; i < count; i++)
        sizes[i] = size;
    return make_batch(sizes, NULL, count);
}

typedef struct {
    int errors[MOST];
    size_t count, room;
} refusals;

static bool tell(void *to, size_t index, int error)
{
    refusals *r = to;
    check(index < MOST && error > 0 && !r->errors[index], "a datagram refused twice");
    if (r->count == r->room)
        return false;
    r->errors[index] = error;
    r->count++;
    return true;
}

static refusals *tell_all(void)
{
    static refusals r;
    r = (refusals){.room = MOST};
    return &r;
}

/* ---- what comes, against what went */

/* The next of a batch that is to come to a place, from one on; the end if there is none. */
static size_t next_of(const batch *b, size_t i, size_t end, uint32_t place, const refusals *r)
{
    while (i < end && (b->out[i].address != place || r->errors[i]))
        i++;
    return i;
}

/* Receives what went to a place, from one datagram of the batch to another; in how many slots it came. */
static size_t take_range(nf_slab *slab, int fd, const batch *b, size_t i, size_t end, uint32_t place, const refusals *r)
{
    size_t slots = 0, room;
    const uint8_t *data = nf_slab_data(slab, &room);
    for (i = next_of(b, i, end, place, r); i < end;) {
        const int n = nf_slab_receive(slab, fd);
        if (n == -EAGAIN) {
            check(nf_wait(fd, false, PATIENCE) == 0, "a datagram that was sent");
            continue;
        }
        check(n > 0 && nf_slab_count(slab) >= (size_t)n, "what was received");
        slots += (size_t)n;
        uint64_t bytes = 0;
        uint32_t slot = 0;
        for (size_t k = 0; k < nf_slab_count(slab); k++, i = next_of(b, i + 1, end, place, r)) {
            const nf_datagram d = nf_slab_datagram(slab, k);
            check(i < end, "a datagram too many");
            check(d.slot == slot || (k && d.slot == slot + 1), "the slot of a datagram");
            check(d.offset <= room && d.size <= room - d.offset, "where a datagram is");
            check(d.size == b->out[i].size && !nf_slab_is_cut(slab, &d), "the size of a datagram");
            check(memcmp(data + d.offset, b->out[i].data, d.size) == 0, "what a datagram says");
            bytes += d.size;
            slot = d.slot;
        }
        check(nf_slab_bytes(slab) == bytes && slot + 1 == (uint32_t)n, "the bytes of all, the last slot");
    }
    check(nf_slab_receive(slab, fd) == -EAGAIN && nf_slab_count(slab) == 0 && nf_slab_bytes(slab) == 0, "nothing more");
    return slots;
}

static size_t take(nf_slab *slab, int fd, const batch *b, uint32_t place, const refusals *r)
{
    return take_range(slab, fd, b, 0, b->count, place, r);
}

/* Sends all of a batch, with GSO if it is there and wanted. */
static nf_progress send_batch(nf_sender *s, int fd, const batch *b, const nf_addresses *to, bool gso, refusals *r)
{
    nf_progress p = {.no_gso = !gso || !has_gso};
    int status;
    do
        status = nf_send_datagrams(s, fd, b->out, b->count, to, &p, tell, r);
    while (status == NF_SEND_MORE);
    check(status == 0 && p.done == b->count && p.sent + r->count == b->count, "all sent, or told of");
    return p;
}

/* From a new socket to one that is bound, which takes it in pieces where there are: in how many slots it came. */
static size_t through(int family, const batch *b, uint32_t slots, bool gso)
{
    const int from = open_socket(family, SOCK_DGRAM, 0), to = bound(family);
    places p = {0};
    add_socket(&p, to);
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(32, NF_DATAGRAM_MAX, true);
    nf_sender *sender = nf_sender_new(slots);
    check(slab && sender && (nf_receive_options(to, true) == 0) == has_gro, "a receiver");
    refusals *r = tell_all();
    send_batch(sender, from, b, &addresses, gso, r);
    check(r->count == 0, "none refused");
    const size_t came = take(slab, to, b, 0, r);
    nf_sender_free(sender);
    nf_slab_free(slab);
    close_both(from, to);
    return came;
}

/* ---- waiting */

static int64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void nothing(int number) { (void)number; }

static void test_wait(void)
{
    int fds[2];
    open_pair(fds);
    check(nf_wait(fds[0], false, 0) == EAGAIN && nf_wait(fds[0], true, -1) == 0, "nothing to read, room to write");
    const int64_t start = now(CLOCK_MONOTONIC);
    check(nf_wait(fds[0], false, 50) == EAGAIN, "nothing in time");
    check(now(CLOCK_MONOTONIC) - start >= 50000000, "the time of a wait");
    check(send(fds[1], "x", 1, 0) == 1 && nf_wait(fds[0], false, -1) == 0, "something to read");
    while (send(fds[0], "x", 1, MSG_DONTWAIT) == 1)
        ;
    check(nf_wait(fds[0], true, 20) == EAGAIN && nf_wait(fds[1], false, 0) == 0, "no room to write");

    char byte;
    check(recv(fds[0], &byte, 1, 0) == 1, "what was sent");
    const pid_t child = fork();
    if (child == 0) {
        usleep(30000);
        _exit(send(fds[1], "x", 1, 0) == 1 ? 0 : 1);
    }
    int status;
    check(child > 0 && nf_wait(fds[0], false, -1) == 0, "a wait without end");
    check(recv(fds[0], &byte, 1, MSG_DONTWAIT) == 1, "what it waited for");
    check(waitpid(child, &status, 0) == child && status == 0, "the one that sent");

    const struct sigaction action = {.sa_handler = nothing};
    const struct itimerval soon = {.it_value = {.tv_usec = 30000}};
    check(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0, "an alarm");
    check(nf_wait(fds[0], false, PATIENCE) == EINTR, "a wait that a signal ends");
    close_both(fds[0], fds[1]);
}

/* ---- what comes */

static void check_cut(const nf_slab *slab, size_t i, uint32_t size, bool cut)
{
    const nf_datagram d = nf_slab_datagram(slab, i);
    size_t room;
    const uint8_t *data = nf_slab_data(slab, &room);
    check(d.slot == i && d.size == size && nf_slab_is_cut(slab, &d) == cut, "a datagram that may be cut");
    for (uint32_t k = 0; k < size; k++)
        check(data[d.offset + k] == (uint8_t)(i + 1), "what is left of it");
}

static void test_cut(void)
{
    static const uint32_t sizes[] = {99, 0, 101, 100, 200, 1};
    uint8_t bytes[200];
    int fds[2];
    open_pair(fds);
    nf_slab *slab = nf_slab_new(7, 100, true);
    size_t room;
    check(slab && nf_slab_data(slab, &room) && room == 700, "the room of a slab");
    for (int round = 0; round < 2; round++) { /* what was cut once is not for ever */
        for (size_t i = 0; i < 6; i++) {
            memset(bytes, (int)i + 1, sizeof bytes);
            check(send(fds[1], bytes, sizes[i], 0) == (ssize_t)sizes[i], "a datagram to send");
        }
        check(nf_slab_receive(slab, fds[0]) == 6 && nf_slab_count(slab) == 6 && nf_slab_bytes(slab) == 400, "six");
        for (size_t i = 0; i < 6; i++)
            check_cut(slab, i, sizes[i] < 100 ? sizes[i] : 100, sizes[i] > 100);
        memset(bytes, 1, sizeof bytes);
        check(send(fds[1], bytes, 3, 0) == 3 && nf_slab_receive(slab, fds[0]) == 1, "one where another was cut");
        check_cut(slab, 0, 3, false);
    }
    nf_slab_free(slab);
    close_both(fds[0], fds[1]);
}

static void test_slots(void)
{
    int fds[2];
    open_pair(fds);
    nf_slab *slab = nf_slab_new(3, 8, true);
    check(slab && nf_slab_receive(slab, fds[0]) == -EAGAIN && nf_slab_count(slab) == 0, "nothing there");
    for (char c = 'a'; c < 'a' + 8; c++)
        check(send(fds[1], &c, 1, 0) == 1, "a datagram to send");
    char next = 'a';
    for (int wanted = 3; wanted; wanted = next == 'a' + 8 ? 0 : next == 'a' + 6 ? 2 : 3) {
        check(nf_slab_receive(slab, fds[0]) == wanted && nf_slab_count(slab) == (size_t)wanted, "as many as are slots");
        for (size_t i = 0, room; i < (size_t)wanted; i++)
            check(nf_slab_data(slab, &room)[nf_slab_datagram(slab, i).offset] == next++, "the order of datagrams");
    }
    check(next == 'a' + 8 && nf_slab_receive(slab, fds[0]) == -EAGAIN, "all of them");
    check(nf_slab_count(slab) == 0 && nf_slab_bytes(slab) == 0 && nf_slab_dropped(slab) == 0, "what is left in a slab");
    nf_slab_free(slab);
    close_both(fds[0], fds[1]);
}

/* A descriptor that comes with a datagram: a slab that is not told of such things lets none in. */
static void test_passed(void)
{
    int fds[2];
    open_pair(fds);
    nf_slab *slab = nf_slab_new(2, 16, false);
    check(slab, "a slab");
    const int before = dup(fds[0]);
    uint8_t control[CMSG_SPACE(sizeof before)] = {0};
    struct iovec vector = {"x", 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof before);
    memcpy(CMSG_DATA(c), &before, sizeof before);
    check(sendmsg(fds[0], &message, 0) == 1 && nf_slab_receive(slab, fds[1]) == 1, "a descriptor in a datagram");
    const nf_datagram d = nf_slab_datagram(slab, 0);
    check(d.size == 1 && !nf_slab_is_cut(slab, &d) && nf_slab_stamp(slab, &d) == 0, "the datagram alone");
    const int after = dup(fds[0]);
    check(after == before + 1, "nothing opened");
    close_both(before, after);
    nf_slab_free(slab);
    close_both(fds[0], fds[1]);
}

/* One slab for sockets of three families, a short address after a long one and before it. */
static void test_senders(void)
{
    static const int families[] = {AF_INET6, AF_UNIX, AF_INET, AF_INET6};
    nf_slab *slab = nf_slab_new(2, 16, true);
    check(slab, "a slab");
    for (size_t i = 0; i < 4; i++) {
        int fds[2];
        places p = {0};
        if (families[i] == AF_UNIX)
            open_pair(fds);
        else {
            fds[0] = bound(families[i]);
            fds[1] = bound(families[i]);
            add_socket(&p, fds[0]);
            check(connect(fds[1], (const void *)p.bytes, p.sizes[0]) == 0, "a connected socket");
            add_socket(&p, fds[1]);
        }
        check(send(fds[1], "x", 1, 0) == 1 && nf_wait(fds[0], false, PATIENCE) == 0, "a datagram");
        check(nf_slab_receive(slab, fds[0]) == 1, "a datagram of somebody");
        const nf_datagram d = nf_slab_datagram(slab, 0);
        size_t size;
        const void *sender = nf_slab_sender(slab, &d, &size);
        check(size == p.sizes[1] && memcmp(sender, p.bytes + STRIDE, size) == 0, "who sent it");
        check(nf_slab_stamp(slab, &d) == 0 && nf_slab_dropped(slab) == 0, "what nobody asked for");
        close_both(fds[0], fds[1]);
    }
    nf_slab_free(slab);
}

static void test_two_senders(void)
{
    const int to = bound(AF_INET), from[] = {bound(AF_INET), bound(AF_INET)};
    places p = {0};
    add_socket(&p, from[0]);
    add_socket(&p, from[1]);
    add_socket(&p, to);
    nf_slab *slab = nf_slab_new(4, 16, true);
    check(slab, "a slab");
    for (int i = 0; i < 4; i++)
        check(sendto(from[i / 2], "x", 1, 0, (const void *)(p.bytes + 2 * STRIDE), p.sizes[2]) == 1, "one to send");
    for (size_t taken = 0; taken < 4;) {
        check(nf_wait(to, false, PATIENCE) == 0, "a datagram that was sent");
        const int n = nf_slab_receive(slab, to);
        check(n > 0, "datagrams of two");
        for (size_t i = 0, size; i < (size_t)n; i++, taken++) {
            const nf_datagram d = nf_slab_datagram(slab, i);
            const void *sender = nf_slab_sender(slab, &d, &size);
            check(size == 16 && memcmp(sender, p.bytes + taken / 2 * STRIDE, size) == 0, "who sent which");
        }
    }
    nf_slab_free(slab);
    close_both(from[0], from[1]);
    close(to);
}

static void test_stamps(void)
{
    const int to = bound(AF_INET);
    places p = {0};
    add_socket(&p, to);
    nf_slab *slab = nf_slab_new(4, 16, true);
    check(slab && nf_receive_options(to, false) == 0, "a socket with stamps");
    for (int round = 0; round < 3 && has_stamps; round++) { /* the kernel tells how much it wrote, where it was told */
        int64_t last = now(CLOCK_REALTIME);
        for (int i = 0; i < 3; i++)
            check(sendto(to, "x", 1, 0, (const void *)p.bytes, p.sizes[0]) == 1, "a datagram to send");
        for (int wanted = 3; wanted;) {
            check(nf_wait(to, false, PATIENCE) == 0, "a datagram that was sent");
            const int n = nf_slab_receive(slab, to);
            check(n > 0, "datagrams with stamps");
            for (size_t i = 0; i < (size_t)n; i++, wanted--) {
                const nf_datagram d = nf_slab_datagram(slab, i);
                check(nf_slab_stamp(slab, &d) >= last && nf_slab_stamp(slab, &d) <= now(CLOCK_REALTIME), "a stamp");
                last = nf_slab_stamp(slab, &d);
            }
        }
    }
    nf_slab_free(slab);
    close(to);
}

static void test_receive_errors(void)
{
    int pipes[2];
    nf_slab *slab = nf_slab_new(2, 16, true);
    check(slab && pipe(pipes) == 0, "a pipe");
    const int to = bound(AF_INET), from = open_socket(AF_INET, SOCK_DGRAM, 0);
    places p = {0};
    add_socket(&p, to);
    check(connect(from, (const void *)p.bytes, p.sizes[0]) == 0 && send(from, "x", 1, 0) == 1, "a datagram to send");
    check(nf_wait(to, false, PATIENCE) == 0 && nf_slab_receive(slab, to) == 1 && nf_slab_bytes(slab) == 1, "received");
    check(nf_slab_receive(slab, pipes[0]) == -ENOTSOCK, "no socket");
    check(nf_slab_count(slab) == 0 && nf_slab_bytes(slab) == 0, "nothing of one before");
    check(nf_slab_receive(slab, -1) == -EBADF, "no file");
    close(to);
    check(send(from, "x", 1, 0) == 1 && nf_wait(from, false, PATIENCE) == 0, "a datagram to nobody");
    check(nf_slab_receive(slab, from) == -ECONNREFUSED && nf_slab_receive(slab, from) == -EAGAIN, "nobody is there");
    check(nf_receive_options(pipes[0], true) == ENOTSOCK, "options of a pipe");
    check(nf_gets_pieces(pipes[0]) == -1 && nf_gets_pieces(-1) == -1, "pieces of no socket");
    check(nf_socket_drops(pipes[0]) == -1 && nf_socket_drops(-1) == -1, "drops of no socket");
    close(from);
    close_both(pipes[0], pipes[1]);
    nf_slab_free(slab);
}

/* A stamp, a count of drops and a size of segments: all that is asked for, at once. */
static void test_drops(void)
{
    const int to = open_socket(AF_INET, SOCK_DGRAM, 0), from = open_socket(AF_INET, SOCK_DGRAM, 0);
    bind_to(to, AF_INET, 0);
    check(nf_gets_pieces(to) == (has_gro ? 0 : -1), "no pieces yet");
    nf_receive_options(to, true);
    check(nf_gets_pieces(to) == (has_gro ? 1 : -1), "pieces");
    nf_receive_options(to, false);
    check(nf_gets_pieces(to) == (has_gro ? 1 : -1), "pieces, which nobody takes back");
    check((nf_socket_drops(to) == 0) == has_meminfo, "no drops");
    check(set_option(to, SOL_SOCKET, SO_RCVBUF, 1), "a small buffer");
    places p = {0};
    add_socket(&p, to);
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(100, 1000, true);
    nf_sender *sender = nf_sender_new(100);
    check(slab && sender, "memory");
    batch b = make_equal(200, 50);
    send_batch(sender, from, &b, &addresses, false, tell_all());
    size_t came = 0;
    const int64_t until = now(CLOCK_MONOTONIC) + PATIENCE * INT64_C(1000000);
    while (has_meminfo && came + (size_t)nf_socket_drops(to) < 50) {
        check(now(CLOCK_MONOTONIC) < until, "datagrams that come or are dropped");
        const int n = nf_slab_receive(slab, to);
        came += n > 0 ? (size_t)n : 0;
    }
    const int64_t dropped = nf_socket_drops(to);
    check(!has_meminfo || (came > 0 && dropped > 0 && came + (size_t)dropped == 50), "how many were dropped");

    if (has_meminfo && has_overflows && has_stamps && has_gso && has_gro) {
        check(nf_slab_receive(slab, to) == -EAGAIN && set_option(to, SOL_SOCKET, SO_RCVBUF, 100000), "a larger buffer");
        const int64_t start = now(CLOCK_REALTIME);
        b = make_equal(200, 3);
        send_batch(sender, from, &b, &addresses, true, tell_all());
        check(nf_wait(to, false, PATIENCE) == 0 && nf_slab_receive(slab, to) == 1, "a piece");
        check(nf_slab_count(slab) == 3 && nf_slab_dropped(slab) == dropped, "the drops that a piece tells");
        for (size_t i = 0; i < 3; i++) {
            const nf_datagram d = nf_slab_datagram(slab, i);
            check(d.size == 200 && d.slot == 0 && d.offset == 200 * i, "a datagram of a piece");
            check(nf_slab_stamp(slab, &d) >= start && nf_slab_stamp(slab, &d) <= now(CLOCK_REALTIME), "its stamp");
        }
        check(nf_slab_receive(slab, to) == -EAGAIN && nf_slab_dropped(slab) == 0, "no drops without a datagram");
    }
    nf_sender_free(sender);
    nf_slab_free(slab);
    close_both(from, to);
}

/* A piece that is larger than its slot. */
static void test_cut_piece(void)
{
    const int to = bound(AF_INET), from = open_socket(AF_INET, SOCK_DGRAM, 0);
    places p = {0};
    add_socket(&p, to);
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(4, 250, true);
    nf_sender *sender = nf_sender_new(4);
    check(slab && sender, "memory");
    if (has_gso && nf_receive_options(to, true) == 0) {
        const batch b = make_equal(100, 4);
        send_batch(sender, from, &b, &addresses, true, tell_all());
        check(nf_wait(to, false, PATIENCE) == 0 && nf_slab_receive(slab, to) == 1, "a piece");
        check(nf_slab_count(slab) == 3 && nf_slab_bytes(slab) == 250, "what is left of a piece");
        for (size_t i = 0, room; i < 3; i++) {
            const nf_datagram d = nf_slab_datagram(slab, i);
            check(d.offset == 100 * i && d.size == (i < 2 ? 100 : 50), "what is left of a datagram");
            check(memcmp(nf_slab_data(slab, &room) + d.offset, b.out[i].data, d.size) == 0, "what it says");
            check(i < 2 || nf_slab_is_cut(slab, &d), "a datagram that is cut");
        }
    }
    nf_sender_free(sender);
    nf_slab_free(slab);
    close_both(from, to);
}

/* ---- what goes, and in how many pieces */

enum { ANY = 0 };

typedef struct {
    uint32_t sizes[12], count, pieces;
} run_case;

static void test_runs(void)
{
    static const run_case cases[] = {
        {{100, 100, 100}, 3, 1},
        {{100, 100, 50}, 3, 1},                     /* the last is shorter */
        {{100, 100, 50, 100, 100}, 5, 2},
        {{100, 50, 50, 50}, 4, 2},                  /* 100 50, 50 50 */
        {{100, 50, 20, 10}, 4, 2},                  /* 100 50, 20 10 */
        {{100, 101, 102}, 3, 3},                    /* none is longer than the first */
        {{100, 100, 0, 100, 100}, 5, 3},            /* nothing is no segment */
        {{0, 0, 0}, 3, 3},
        {{0, 7, 7, 1, 0}, 5, 3},
        {{1, 1, 1, 1}, 4, 1},
        {{20000, 20000, 20000, 20000, 20000}, 5, 2}, /* 60,000 bytes, and two more */
        {{32700, 32700}, 2, 1},
        {{32753, 32753}, 2, ANY},                   /* 65,506 bytes: with headers more than a device may take */
        {{32754, 32754}, 2, 2},                     /* of such there is room for one, whatever comes behind it */
        {{65506, 1}, 2, 2},
        {{65507, 65507}, 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int form = 0; form < 4; form++) {
            const batch b = make_batch(cases[i].sizes, NULL, cases[i].count);
            const int family = form % 2 ? AF_INET6 : AF_INET;
            const size_t came = through(family, &b, 8, form < 2);
            const uint32_t pieces = form < 2 && has_gso && has_gro ? cases[i].pieces : cases[i].count;
            check(pieces == ANY || came == pieces, "pieces of a batch");
        }
}

/* 64 segments are a piece at most; and more pieces than a slab has room for at first. */
static void test_many_segments(void)
{
    static const size_t counts[] = {63, 64, 65, 128, 129, 1100, MOST};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const batch b = make_equal(3, counts[i]);
        if (has_gso && has_gro)
            check(through(AF_INET, &b, 40, true) == (counts[i] + 63) / 64, "pieces of 64");
    }
}

static void test_addresses(void)
{
    static const uint32_t where[] = {0, 0, 1, 1, 1, 0, 1, 0, 0}; /* 00 111 0 1 00 */
    static const uint32_t sizes[] = {9, 9, 9, 9, 5, 9, 9, 9, 4};
    for (int gso = 0; gso < 2; gso++) {
        const int from = open_socket(AF_INET6, SOCK_DGRAM, 0), to[] = {bound(AF_INET6), bound(AF_INET6)};
        const bool pieces = nf_receive_options(to[0], true) == 0;
        check(nf_receive_options(to[1], false) == 0, "a receiver that takes no pieces");
        places p = {0};
        add_socket(&p, to[0]);
        add_socket(&p, to[1]);
        const nf_addresses addresses = addresses_of(&p);
        nf_slab *slab = nf_slab_new(16, 1000, true);
        nf_sender *sender = nf_sender_new(16);
        check(slab && sender, "memory");
        const batch b = make_batch(sizes, where, 9);
        refusals *r = tell_all();
        send_batch(sender, from, &b, &addresses, gso, r);
        check(take(slab, to[0], &b, 0, r) == (gso && has_gso && pieces ? 3 : 5), "pieces to one address");
        check(take(slab, to[1], &b, 1, r) == 4, "no pieces to another");
        nf_sender_free(sender);
        nf_slab_free(slab);
        close_both(to[0], to[1]);
        close(from);
    }
}

/* The largest of both families, and one byte more: to where the socket is connected. */
static void test_largest(void)
{
    for (int six = 0; six < 2; six++) {
        const uint32_t most = six ? 65527 : 65507, sizes[] = {most + 1, most, 0, most + 1, 1, 70000};
        const int to = bound(six ? AF_INET6 : AF_INET), from = open_socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
        places p = {0};
        add_socket(&p, to);
        check(connect(from, (const void *)p.bytes, p.sizes[0]) == 0, "a connected socket");
        nf_slab *slab = nf_slab_new(8, NF_DATAGRAM_MAX, true);
        nf_sender *sender = nf_sender_new(8);
        check(slab && sender, "memory");
        const batch b = make_batch(sizes, NULL, 6);
        refusals *r = tell_all();
        check(send_batch(sender, from, &b, &(nf_addresses){0}, true, r).sent == 3, "three that are not too large");
        for (size_t i = 0; i < 6; i++)
            check(r->errors[i] == (sizes[i] > most ? EMSGSIZE : 0), "a datagram too large");
        take(slab, to, &b, 0, r);
        nf_sender_free(sender);
        nf_slab_free(slab);
        close_both(from, to);
    }
}

/* Good and bad ones in any order, alike and not, to two sockets, through as many slots as it happens. */
static void test_random(void)
{
    static const uint32_t common[] = {0, 1, 7, 100, 100, 100, 1400, 2000};
    const int from = open_socket(AF_INET, SOCK_DGRAM, 0), to[] = {bound(AF_INET), bound(AF_INET)};
    nf_receive_options(to[0], true);
    places p = {0};
    add_socket(&p, to[0]);
    add_socket(&p, to[1]);
    const uint32_t broadcast = add_broadcast(&p);
    const struct sockaddr_in no_port = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const uint32_t portless = add_place(&p, &no_port, sizeof no_port), cut_short = add_socket(&p, to[0]);
    p.sizes[cut_short] = 7;
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(20, NF_DATAGRAM_MAX, true);
    check(slab, "a slab");
    for (int round = 0; round < 400; round++) {
        uint32_t sizes[60], where[60];
        const size_t count = draw() % 61;
        const uint32_t bad = draw() % 3 ? 20 : 4;
        for (size_t i = 0; i < count; i++) {
            const bool again = i && draw() % 4;
            sizes[i] = again ? sizes[i - 1] : draw() % bad ? common[draw() % 8] : 65508;
            where[i] = again && draw() % 8 ? where[i - 1] : draw() % bad ? draw() % 2 : broadcast + draw() % 3;
        }
        const batch b = make_batch(sizes, where, count);
        nf_sender *sender = nf_sender_new(1 + draw() % 70);
        check(sender, "a sender");
        refusals *r = tell_all();
        send_batch(sender, from, &b, &addresses, draw() % 3, r);
        for (size_t i = 0; i < count; i++) {
            const bool nowhere = where[i] == portless || where[i] == cut_short;
            const int why = nowhere ? EINVAL : where[i] == broadcast ? EACCES : sizes[i] > 65507 ? EMSGSIZE : 0;
            check(r->errors[i] == why, "which ones were refused, and why");
        }
        take(slab, to[0], &b, 0, r);
        take(slab, to[1], &b, 1, r);
        nf_sender_free(sender);
    }
    nf_slab_free(slab);
    close_both(to[0], to[1]);
    close(from);
}

/* ---- what is refused */

/* Bad ones in front, in the middle, behind, and in a run of their own. */
static void test_refused(void)
{
    static const char *const cases[] = {"b", "bg", "gb", "gbg", "ggbgg", "bbb", "bbggg", "gggbbbggg", "bgbgb", "ggb"};
    const int from = open_socket(AF_INET, SOCK_DGRAM, 0), to = bound(AF_INET);
    const bool pieces = nf_receive_options(to, true) == 0 && has_gso;
    places p = {0};
    add_socket(&p, to);
    const uint32_t bad = add_broadcast(&p);
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(16, 100, true);
    check(slab, "a slab");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint32_t form = 0; form < 6; form++) {
            uint32_t sizes[16], where[16];
            size_t count = 0, good = 0, runs = 0;
            for (const char *c = cases[i]; *c; c++) {
                good += *c == 'g';
                runs += *c == 'g' && (c == cases[i] || c[-1] == 'b');
                sizes[count] = 10;
                where[count++] = *c == 'b' ? bad : 0;
            }
            const batch b = make_batch(sizes, where, count);
            nf_sender *sender = nf_sender_new(form % 3 ? form % 3 : 16);
            check(sender, "a sender");
            refusals *r = tell_all();
            const nf_progress progress = send_batch(sender, from, &b, &addresses, form < 3, r);
            check(progress.no_gso == (form >= 3 || !has_gso), "whether segments are tried further");
            for (size_t k = 0; k < count; k++)
                check(r->errors[k] == (where[k] ? EACCES : 0), "which one was refused, and why");
            check(take(slab, to, &b, 0, r) == (form < 3 && pieces ? runs : good), "the others, in pieces as ever");
            nf_sender_free(sender);
        }
    nf_slab_free(slab);
    close_both(from, to);
}

/* Without memory for one more refusal. */
static void test_cannot_tell(void)
{
    static const uint32_t sizes[] = {10, 10, 10, 10, 10, 10};
    const int from = open_socket(AF_INET, SOCK_DGRAM, 0), to = bound(AF_INET);
    places p = {0};
    add_socket(&p, to);
    const uint32_t bad = add_broadcast(&p), where[] = {0, bad, 0, bad, 0, bad};
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(8, 100, true);
    nf_sender *sender = nf_sender_new(8);
    check(slab && sender, "memory");
    const batch b = make_batch(sizes, where, 6);
    refusals *r = tell_all();
    r->room = 1;
    nf_progress progress = {.no_gso = true};
    check(nf_send_datagrams(sender, from, b.out, 6, &addresses, &progress, tell, r) == ENOMEM, "no memory");
    check(progress.sent == 2 && progress.done == 4, "what was done until then");
    check(r->count == 1 && r->errors[1] == EACCES, "who was told until then");
    take_range(slab, to, &b, 0, 4, 0, r);
    r->room = MOST;
    check(nf_send_datagrams(sender, from, b.out, 6, &addresses, &progress, tell, r) == 0, "memory again");
    check(progress.sent == 3 && progress.done == 6 && r->errors[5] == EACCES && !r->errors[3], "the rest");
    take_range(slab, to, &b, 4, 6, 0, r);
    nf_sender_free(sender);
    nf_slab_free(slab);
    close_both(from, to);
}

static void check_fatal(nf_sender *sender, int fd, const batch *b, int error)
{
    refusals *r = tell_all();
    for (int gso = 0; gso < 2; gso++) {
        nf_progress progress = {.no_gso = !gso};
        const nf_addresses nowhere = {0};
        check(nf_send_datagrams(sender, fd, b->out, b->count, &nowhere, &progress, tell, r) == error, "a fatal error");
        check(progress.done == 0 && progress.sent == 0 && r->count == 0, "nothing done");
    }
}

static void test_fatal(void)
{
    int fds[2], pipes[2];
    open_pair(fds);
    check(pipe(pipes) == 0, "a pipe");
    nf_sender *sender = nf_sender_new(8);
    check(sender, "a sender");
    batch b = make_equal(10, 3);
    check_fatal(sender, -1, &b, EBADF);
    check_fatal(sender, pipes[1], &b, ENOTSOCK);
    check(!nf_knows_gso(fds[0]) && !nf_knows_gso(pipes[0]) && !nf_knows_gso(-1), "no GSO but for UDP");
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    check(listener >= 0 && !nf_knows_gso(listener), "no GSO for TCP");
    nf_outgoing outside = {guarded(0), 10, 0};
    check_fatal(sender, fds[0], &(batch){&outside, 1}, EFAULT);

    refusals *r = tell_all();
    nf_progress progress = {0};
    const nf_addresses nowhere = {0};
    check(nf_send_datagrams(sender, -1, NULL, 0, &nowhere, &progress, tell, r) == 0 && progress.done == 0, "none");
    const int lonely = open_socket(AF_INET, SOCK_DGRAM, 0);
    check_fatal(sender, lonely, &b, EDESTADDRREQ);
    check(shutdown(fds[0], SHUT_WR) == 0, "a socket to shut down");
    check_fatal(sender, fds[0], &b, EPIPE);
    nf_sender_free(sender);
    close_both(lonely, listener);
    close_both(pipes[0], pipes[1]);
    close_both(fds[0], fds[1]);
}

/* ---- what goes on later */

/* A pair of Unix sockets holds few datagrams: each time it is full, what was not sent is left where it is. */
static void test_full(void)
{
    for (int form = 0; form < 4; form++) {
        int fds[2];
        uint32_t sizes[200];
        check(socketpair(AF_UNIX, SOCK_DGRAM | (form % 2 ? SOCK_NONBLOCK : 0), 0, fds) == 0, "a pair of sockets");
        check(set_option(fds[1], SOL_SOCKET, SO_SNDBUF, 20000), "a small buffer"); /* nothing else ends a pair */
        nf_slab *slab = nf_slab_new(128, 64, true);
        nf_sender *sender = nf_sender_new(form < 2 ? 3 : 128);
        check(slab && sender, "memory");
        for (size_t i = 0; i < 200; i++)
            sizes[i] = draw() % 65;
        const batch b = make_batch(sizes, NULL, 200);
        refusals *r = tell_all();
        nf_progress progress = {.no_gso = true};
        const nf_addresses connected = {0};
        size_t taken = 0, full = 0;
        for (int status = EAGAIN; status; taken = progress.done) {
            status = nf_send_datagrams(sender, fds[1], b.out, 200, &connected, &progress, tell, r);
            check(status == 0 || status == EAGAIN, "all sent, or no room");
            check(progress.done > taken && progress.sent == progress.done && r->count == 0, "some sent");
            check(status == 0 ? progress.done == 200 : progress.done < 200, "whether all are sent");
            if (status) {
                const size_t done = progress.done;
                full++;
                check(nf_wait(fds[1], true, 0) == EAGAIN, "no room");
                status = nf_send_datagrams(sender, fds[1], b.out, 200, &connected, &progress, tell, r);
                check(status == EAGAIN && progress.done == done && progress.sent == done, "nothing sent without room");
            }
            take_range(slab, fds[0], &b, taken, progress.done, 0, r);
            check(nf_wait(fds[1], true, 0) == 0, "room again");
        }
        check(full > 1, "full more than once");
        nf_sender_free(sender);
        nf_slab_free(slab);
        close_both(fds[0], fds[1]);
    }
}

/* It comes back after some calls, however many datagrams there are. */
static void test_more(void)
{
    const int from = open_socket(AF_INET, SOCK_DGRAM, 0), to = bound(AF_INET);
    places p = {0};
    add_socket(&p, to);
    const nf_addresses addresses = addresses_of(&p);
    nf_slab *slab = nf_slab_new(128, 64, true);
    check(slab, "a slab");
    for (uint32_t slots = 1; slots < 4; slots++) {
        nf_sender *sender = nf_sender_new(slots);
        check(sender, "a sender");
        const batch b = make_equal(20, 1000);
        refusals *r = tell_all();
        nf_progress progress = {.no_gso = true};
        size_t taken = 0, more = 0;
        for (int status = NF_SEND_MORE; status == NF_SEND_MORE; taken = progress.done) {
            status = nf_send_datagrams(sender, from, b.out, 1000, &addresses, &progress, tell, r);
            check(status == (progress.done < 1000 ? NF_SEND_MORE : 0), "whether there is more");
            check(progress.done > taken && progress.sent == progress.done && r->count == 0, "some of many");
            take_range(slab, to, &b, taken, progress.done, 0, r);
            more += status == NF_SEND_MORE;
        }
        check(more >= 1000 / slots / 256, "a look at signals now and then");
        nf_sender_free(sender);
    }
    nf_slab_free(slab);
    close_both(from, to);
}

/* ---- what takes no segments after all */

/* Without checksums the kernel cuts no piece (EINVAL), for UDP-Lite it never does (EIO). */
static void test_no_segments(void)
{
    for (int lite = 0; lite < 2 && has_gso; lite++) {
        static const uint32_t sizes[] = {50, 50, 50, 50, 20, 0, 60, 60, 60, 70};
        const int protocol = lite ? UDP_LITE : 0, probe = socket(AF_INET, SOCK_DGRAM, protocol);
        if (probe < 0) {
            check(lite && errno == EPROTONOSUPPORT, "a kernel without UDP-Lite");
            continue;
        }
        const int from = open_socket(AF_INET, SOCK_DGRAM, protocol), to = open_socket(AF_INET, SOCK_DGRAM, protocol);
        bind_to(to, AF_INET, 0);
        check(lite || set_option(from, SOL_SOCKET, SO_NO_CHECK, 1), "a socket without checksums");
        places p = {0};
        add_socket(&p, to);
        const nf_addresses addresses = addresses_of(&p);
        nf_slab *slab = nf_slab_new(16, 100, true);
        check(slab, "a slab");
        for (uint32_t slots = 1; slots < 12; slots++) {
            nf_sender *sender = nf_sender_new(slots);
            check(sender, "a sender");
            const batch b = make_batch(sizes, NULL, 10);
            refusals *r = tell_all();
            const nf_progress progress = send_batch(sender, from, &b, &addresses, true, r);
            check(r->count == 0 && progress.no_gso == (lite == 1), "one by one, and whether so from then on");
            check(take(slab, to, &b, 0, r) == 10, "one by one");
            nf_sender_free(sender);
        }
        nf_slab_free(slab);
        close_both(from, to);
        close(probe);
    }
}

/* An error that an earlier datagram left behind costs one, of a run too. */
static void test_left_behind(void)
{
    static const uint32_t sizes[] = {30, 30, 30, 40, 40, 50};
    int to = bound(AF_INET);
    const int from = open_socket(AF_INET, SOCK_DGRAM, 0);
    places p = {0};
    add_socket(&p, to);
    struct sockaddr_in address;
    memcpy(&address, p.bytes, sizeof address);
    check(connect(from, (const void *)&address, sizeof address) == 0, "a connected socket");
    nf_slab *slab = nf_slab_new(16, 100, true);
    nf_sender *sender = nf_sender_new(16);
    check(slab && sender, "memory");
    for (int gso = 0; gso < 2; gso++) {
        close(to);
        check(send(from, "x", 1, 0) == 1 && nf_wait(from, false, PATIENCE) == 0, "a datagram to nobody");
        to = open_socket(AF_INET, SOCK_DGRAM, 0);
        bind_to(to, AF_INET, address.sin_port);
        const batch b = make_batch(sizes, NULL, 6);
        refusals *r = tell_all();
        send_batch(sender, from, &b, &(nf_addresses){0}, gso, r);
        check(r->count == 1 && r->errors[0] == ECONNREFUSED, "who is told that nobody was there");
        take(slab, to, &b, 0, r);
    }
    nf_sender_free(sender);
    nf_slab_free(slab);
    close_both(from, to);
}

int main(void)
{
    look_around();
    nf_slab_free(NULL);
    nf_sender_free(NULL);
    test_wait();
    test_cut();
    test_slots();
    test_passed();
    test_senders();
    test_two_senders();
    test_stamps();
    test_receive_errors();
    test_drops();
    test_cut_piece();
    test_runs();
    test_many_segments();
    test_addresses();
    test_largest();
    test_random();
    test_refused();
    test_cannot_tell();
    test_fatal();
    test_full();
    test_more();
    test_no_segments();
    test_left_behind();
    return 0;
}
