/* ping_test.c - what a ping knows, in made-up time: random networks against counts kept by hand, then each rule. */
#define _GNU_SOURCE
#include "nf_ping.h"

#include <math.h>

#include "kit.h"
#include "nf_siphash.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
enum { ROUNDS = 60 };
#else
enum { ROUNDS = 600 };
#endif

enum { HOSTS = 40, PROBES = 30, MOST = HOSTS * PROBES };

#define MS 1000000LL

static const uint64_t key[2] = {11, 22};

#define CHECK_AT(condition, line) check((condition), "line " #line ": " #condition)
#define CHECK_IN(condition, line) CHECK_AT(condition, line) /* the number of the line, not its name */
#define CHECK(condition) CHECK_IN(condition, __LINE__)

static void address_of(uint32_t host, uint8_t address[16])
{
    memset(address, 0, 16);
    address[10] = address[11] = 0xff;
    address[12] = 198;
    address[13] = 18;
    address[14] = (uint8_t)(host >> 8);
    address[15] = (uint8_t)host;
}

/* The two clocks are apart, as they are. */
static nf_clocks at(int64_t time) { return (nf_clocks){time, time + 1700 * NF_SECOND}; }

static nf_ping_reply reply_from(uint32_t host, uint64_t number, int64_t stamp)
{
    nf_ping_reply reply = {.sequence = (uint16_t)number, .has_cookie = true, .cookie = nf_siphash(key, number),
                           .ttl = 60, .has_ttl = true, .size = 64, .stamp = at(stamp).real};
    address_of(host, reply.source);
    return reply;
}

static uint32_t add(nf_ping *ping, uint32_t host, uint32_t count, int64_t interval, int64_t due)
{
    uint8_t address[16];
    address_of(host, address);
    uint32_t target = nf_ping_add(ping, address, 0, count, interval, due);
    CHECK(target != NF_NO_TARGET);
    return target;
}

static nf_ping begin(int64_t timeout, int64_t gap, bool has_cookie)
{
    nf_ping ping;
    CHECK(nf_ping_init(&ping, key, timeout, gap, has_cookie));
    return ping;
}

/* Sends what is due now, one to each target at most, and returns how many that were. */
static uint32_t send_due(nf_ping *ping, int64_t now)
{
    uint32_t sent = 0;
    for (; sent < ping->target_count && nf_ping_due(ping) <= now; sent++)
        nf_ping_sent(ping, nf_ping_take(ping).target, at(now));
    return sent;
}

/* ---- random networks ------------------------------------------------------------------------------------------- */

/* Something that reaches the pinging machine. */
typedef struct {
    int64_t time;
    uint32_t host, index;
    uint64_t number;
    enum { GENUINE, FORGED, DAMAGED, CHANGED, COMPLAINT } what;
} arrival;

typedef struct {
    uint32_t sent, received, duplicates, reordered, late, failed;
    uint32_t state[PROBES];     /* 0 waiting, 1 answered, 2 late, 3 failed, 4 lost */
    uint32_t expected;          /* RFC 4737's NextExp, as an index */
    double rtts[PROBES];
} tally;

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const arrival *)a)->time, y = ((const arrival *)b)->time;
    return (x > y) - (x < y);
}

/* The rules once more, from the contract: a reply in time is received once, one behind the timeout is late, any further
 * one a duplicate; an error ends the wait, but a reply in time still counts. */
static void keep_count(tally *t, const arrival *a, int64_t sent, int64_t timeout, uint64_t *corrupted,
                       uint64_t *foreign)
{
    int64_t rtt = a->time - sent;
    uint32_t *probe = &t->state[a->index];
    if (a->what == FORGED)
        ++*foreign;
    else if (a->what == DAMAGED || a->what == CHANGED)
        ++*corrupted;
    else if (a->what == COMPLAINT) {
        if (*probe == 0 || *probe == 4) {
            *probe = 3;
            t->failed++;
        }
    } else if (*probe == 1 || *probe == 2) {
        t->duplicates++;
    } else if (rtt > timeout) {
        *probe = 2;
        t->late++;
    } else {
        *probe = 1;
        t->rtts[t->received++] = (double)rtt;
        if (a->index < t->expected)
            t->reordered++;
        else
            t->expected = a->index + 1;
    }
}

static void deliver(nf_ping *ping, const arrival *a, nf_clocks now)
{
    nf_ping_reply reply = reply_from(a->host, a->number, a->time);
    nf_ping_error error = {.origin = NF_ORIGIN_ICMP, .type = 3, .code = 1, .number = 113};
    uint8_t to[16];
    address_of(a->host, to);
    switch (a->what) {
    case FORGED:
        if (draw() % 2)
            reply.cookie ^= 1ull << draw() % 64;
        else
            address_of(a->host + HOSTS, reply.source);
        break;
    case DAMAGED:
        reply.damaged = true;
        break;
    case CHANGED:
        reply.changed = true;
        break;
    case COMPLAINT:
        nf_ping_complaint(ping, to, reply.sequence, draw() % 2 ? &reply.cookie : NULL, &error, now);
        return;
    case GENUINE:
        break;
    }
    nf_ping_answer(ping, &reply, now);
}

static void check_statistics(const nf_ping_target *t, const tally *own)
{
    double sum = 0, squares = 0, steps = 0, least = INFINITY, most = 0;
    for (uint32_t i = 0; i < own->received; i++) {
        double x = own->rtts[i];
        sum += x;
        squares += x * x;
        steps += i ? fabs(x - own->rtts[i - 1]) : 0;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    if (own->received == 0) {
        CHECK(isnan(nf_ping_mdev(t)) && isnan(nf_ping_jitter(t)));
        return;
    }
    double mean = sum / own->received, variance = squares / own->received - mean * mean;
    CHECK(fabs(t->rtt_mean - mean) < 1);
    CHECK(fabs(nf_ping_mdev(t) - sqrt(variance > 0 ? variance : 0)) < 10);
    if (own->received > 1)
        CHECK(fabs(nf_ping_jitter(t) - steps / (own->received - 1)) < 1);
    else
        CHECK(isnan(nf_ping_jitter(t)));
    CHECK((double)t->rtt_min == least && (double)t->rtt_max == most);
}

static void test_random_network(void)
{
    static arrival arrivals[4 * MOST];
    static tally own[HOSTS];
    static int64_t sent_at[HOSTS][PROBES];
    uint32_t hosts = 1 + draw() % HOSTS, probes = 1 + draw() % PROBES;
    int64_t timeout = (1 + draw() % 50) * MS, interval = draw() % 3 ? (1 + draw() % 20) * MS : 0;
    size_t count = 0;
    uint64_t corrupted = 0, foreign = 0, number = 0;
    nf_ping ping = begin(timeout, draw() % 2 ? draw() % MS : 0, true);
    memset(own, 0, sizeof own);
    for (uint32_t host = 0; host < hosts; host++) {
        uint32_t target = add(&ping, host, probes, interval, 0);
        ping.targets[target].watched = 0xff;
    }

    int64_t now = 0;
    while (nf_ping_due(&ping) != NF_NEVER) {
        now = nf_ping_due(&ping) > now ? nf_ping_due(&ping) : now;
        nf_ping_probe_out probe = nf_ping_take(&ping);
        uint32_t host = probe.target, index = own[host].sent++;
        CHECK(probe.sequence == (uint16_t)++number && probe.cookie == nf_siphash(key, number));
        sent_at[host][index] = now;
        nf_ping_sent(&ping, host, at(now));
        for (int copies = draw() % 4; copies > 0; copies--)
            arrivals[count++] = (arrival){now + 1 + draw() % (uint32_t)(2 * timeout), host, index, number,
                                          draw() % 3 ? GENUINE : draw() % 5};
    }
    qsort(arrivals, count, sizeof *arrivals, by_time);
    uint64_t noted = 0, happened = 0;
    for (size_t i = 0; i < count; i++) {
        const arrival *a = &arrivals[i];
        int64_t expired = a->time - 1;      /* all that had come by then was read */
        nf_ping_expire(&ping, at(expired));
        for (uint32_t host = 0; host < hosts; host++)
            for (uint32_t k = 0; k < probes; k++)
                if (own[host].state[k] == 0 && sent_at[host][k] + timeout <= expired) {
                    own[host].state[k] = 4;
                    happened++;
                }
        keep_count(&own[a->host], a, sent_at[a->host][a->index], timeout, &corrupted, &foreign);
        deliver(&ping, a, at(a->time));
    }
    nf_ping_expire(&ping, at(now + 10 * timeout));
    CHECK(ping.open_count == 0 && nf_ping_expiry(&ping) == NF_NEVER && nf_ping_due(&ping) == NF_NEVER);
    CHECK(ping.corrupted == corrupted && ping.foreign == foreign);
    for (uint32_t host = 0; host < hosts; host++) {
        const nf_ping_target *t = &ping.targets[host];
        const tally *o = &own[host];
        CHECK(t->sent == probes && t->received == o->received && t->duplicates == o->duplicates);
        CHECK(t->late == o->late && t->failed == o->failed && t->reordered == o->reordered && t->waiting == 0);
        check_statistics(t, o);
        noted += t->sent + t->received + t->duplicates + t->late + t->failed + 1;
        for (uint32_t k = 0; k < probes; k++)
            happened += o->state[k] == 0;
    }
    CHECK(!ping.lost_events && ping.event_count == noted + happened);
    nf_ping_free(&ping);
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

/* More probes under way than there are sequences, answered in some order: the cookie tells generations apart. */
static void test_generations(uint64_t first, uint64_t step)
{
    enum { COUNT = 200000 };
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint32_t target = add(&ping, 1, COUNT, 0, 0);
    for (int64_t now = 0; ping.targets[target].sent < COUNT; now++)
        send_due(&ping, now);
    CHECK(ping.straggler_count == COUNT - 65536 && nf_ping_expiry(&ping) == NF_SECOND);
    for (uint64_t i = 0, number = first; i < COUNT; i++, number = (number + step) % COUNT) {
        nf_ping_reply reply = reply_from(1, 1 + number, MS);
        nf_ping_answer(&ping, &reply, at(MS));
        if (i % 1000 == 0)
            nf_ping_answer(&ping, &reply, at(MS));
    }
    const nf_ping_target *t = &ping.targets[target];
    CHECK(t->received == COUNT && !t->open && ping.straggler_count == 0 && nf_ping_expiry(&ping) == NF_NEVER);
    /* A straggler that was answered may be gone when a copy comes. */
    CHECK(t->duplicates + ping.foreign == COUNT / 1000 && t->late == 0);
    nf_ping_free(&ping);
}

/* One that is never answered holds nobody up, and is lost in its time. */
static void test_straggler(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint32_t dead = add(&ping, 1, 1, 0, 0), live = add(&ping, 2, 0, 0, 0);
    CHECK(nf_ping_take(&ping).target == dead);
    nf_ping_sent(&ping, dead, at(0));
    uint64_t sent = 300000;
    for (uint64_t number = 2; number < 2 + sent; number++) {
        CHECK(nf_ping_due(&ping) <= (int64_t)number);
        nf_ping_sent(&ping, nf_ping_take(&ping).target, at((int64_t)number));
        nf_ping_reply reply = reply_from(2, number, (int64_t)number);
        nf_ping_answer(&ping, &reply, at((int64_t)number));
    }
    CHECK(ping.targets[live].received == sent && ping.straggler_count == 1 && nf_ping_expiry(&ping) == NF_SECOND);
    nf_ping_expire(&ping, at(NF_SECOND));
    CHECK(ping.targets[dead].waiting == 0 && !ping.targets[dead].open && ping.straggler_count == 0);
    nf_ping_free(&ping);
}

/* Without a cookie nothing more is due where a sequence would be used twice, until the oldest probe is answered. */
static void test_window(void)
{
    enum { ROOM = 32768 };
    nf_ping ping = begin(NF_SECOND, 0, false);
    add(&ping, 1, 300000, 0, 0);
    for (int64_t now = 0; nf_ping_due(&ping) != NF_NEVER; now++)
        send_due(&ping, now);
    CHECK(ping.next == ROOM + 1);
    nf_ping_reply reply = reply_from(1, 2, MS);
    reply.has_cookie = false;
    nf_ping_answer(&ping, &reply, at(MS));
    CHECK(nf_ping_due(&ping) == NF_NEVER);
    reply = reply_from(1, 1, MS);
    reply.has_cookie = false;
    nf_ping_answer(&ping, &reply, at(MS));
    CHECK(send_due(&ping, MS) == 1 && send_due(&ping, MS + 1) == 1 && nf_ping_due(&ping) == NF_NEVER);
    nf_ping_expire(&ping, at(NF_SECOND + MS));
    CHECK(nf_ping_due(&ping) != NF_NEVER);
    nf_ping_free(&ping);
}

/* A reply in time by the kernel's stamp counts, however late it is read; and when the clock of the stamps is set
 * meanwhile, the other one decides. */
static void test_clocks(int64_t step, int64_t read_after, int64_t rtt_expected, bool in_time)
{
    nf_ping ping = begin(100 * MS, 0, true);
    uint32_t target = add(&ping, 1, 1, 0, 0);
    send_due(&ping, 0);
    nf_ping_reply reply = reply_from(1, 1, 5 * MS);
    reply.stamp += step;
    nf_clocks now = at(read_after);
    now.real += step;
    nf_ping_answer(&ping, &reply, now);
    const nf_ping_target *t = &ping.targets[target];
    CHECK(t->received == in_time && t->late == !in_time);
    CHECK(!in_time || t->rtt_last == rtt_expected);
    nf_ping_free(&ping);
}

/* A reply as late as the timeout is in time. */
static void test_timeout(int64_t rtt, bool in_time)
{
    nf_ping ping = begin(100 * MS, 0, true);
    uint32_t target = add(&ping, 1, 1, 0, 0);
    send_due(&ping, 0);
    CHECK(nf_ping_expiry(&ping) == 100 * MS);
    nf_ping_expire(&ping, at(100 * MS - 1));
    CHECK(ping.open_count == 1);
    nf_ping_reply reply = reply_from(1, 1, rtt);
    nf_ping_answer(&ping, &reply, at(rtt));
    CHECK(ping.targets[target].received == in_time && ping.targets[target].late == !in_time);
    nf_ping_free(&ping);
}

static void test_pace(void)
{
    nf_ping ping = begin(NF_SECOND, 10 * MS, true);
    for (uint32_t host = 0; host < 50; host++)
        add(&ping, host, 1, 0, 0);
    CHECK(send_due(&ping, 0) == 1 && nf_ping_due(&ping) == 10 * MS);
    CHECK(send_due(&ping, 10 * MS) == 1);
    CHECK(send_due(&ping, 200 * MS) == 2);      /* what was missed for longer is not made good */
    nf_ping_free(&ping);
}

static void test_interval_and_order(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    for (uint32_t host = 0; host < 5; host++)
        add(&ping, host, 3, 100 * MS, 0);
    for (int round = 0; round < 3; round++) {
        CHECK(nf_ping_due(&ping) == round * 100 * MS);
        for (uint32_t host = 0; host < 5; host++) {
            CHECK(nf_ping_take(&ping).target == host);
            nf_ping_sent(&ping, host, at(round * 100 * MS + host));
        }
    }
    CHECK(nf_ping_due(&ping) == NF_NEVER && ping.open_count == 5);
    nf_ping_free(&ping);
}

static void test_adaptive(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint32_t target = add(&ping, 1, 0, 10 * MS, 0);
    ping.targets[target].adaptive = true;
    send_due(&ping, 0);
    CHECK(nf_ping_due(&ping) == 10 * MS);
    nf_ping_reply reply = reply_from(1, 1, MS);
    nf_ping_answer(&ping, &reply, at(MS));
    CHECK(nf_ping_due(&ping) == MS && send_due(&ping, MS) == 1 && nf_ping_due(&ping) == 11 * MS);
    /* Copies, and replies to others than the newest, send nothing. */
    nf_ping_answer(&ping, &reply, at(2 * MS));
    CHECK(ping.targets[target].duplicates == 1 && nf_ping_due(&ping) == 11 * MS);
    CHECK(send_due(&ping, 11 * MS) == 1);
    reply = reply_from(1, 2, 12 * MS);
    nf_ping_answer(&ping, &reply, at(12 * MS));
    CHECK(ping.targets[target].received == 2 && nf_ping_due(&ping) == 21 * MS);
    reply = reply_from(1, 3, 13 * MS);
    nf_ping_answer(&ping, &reply, at(13 * MS));
    CHECK(nf_ping_due(&ping) == 13 * MS);
    nf_ping_free(&ping);
}

/* Without an interval, rounds follow each other. */
static void test_rounds(void)
{
    nf_ping ping = begin(NF_SECOND, MS, true);
    for (uint32_t host = 0; host < 3; host++)
        add(&ping, host, 4, 0, 0);
    for (uint32_t i = 0; i < 12; i++) {
        CHECK(nf_ping_due(&ping) <= i * MS && nf_ping_take(&ping).target == i % 3);
        nf_ping_sent(&ping, i % 3, at(i * MS));
    }
    nf_ping_free(&ping);
}

/* A family that the kernel takes no more of does not keep the other one waiting. */
static void test_blocked(void)
{
    uint8_t address[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    nf_ping ping = begin(NF_SECOND, 0, true);
    add(&ping, 1, 1, 0, 0);
    uint32_t ip6 = nf_ping_add(&ping, address, 0, 1, 0, 5);
    CHECK(nf_ping_due(&ping) == 0);
    ping.schedules[0].blocked = true;
    CHECK(nf_ping_due(&ping) == 5 && nf_ping_take(&ping).target == ip6);
    ping.schedules[1].blocked = true;
    CHECK(nf_ping_due(&ping) == NF_NEVER);
    nf_ping_free(&ping);
}

/* A removed target's place goes to another, which its replies do not count for. */
static void test_remove(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint32_t first = add(&ping, 1, 2, MS, 0), second = add(&ping, 2, 1, MS, 0);
    CHECK(send_due(&ping, 0) == 2);
    nf_ping_remove(&ping, first);
    CHECK(nf_ping_due(&ping) == NF_NEVER && ping.open_count == 1);
    uint32_t third = add(&ping, 1, 1, MS, MS);
    CHECK(third == first);
    nf_ping_reply reply = reply_from(1, 1, MS);
    nf_ping_answer(&ping, &reply, at(MS));
    CHECK(ping.targets[third].received == 0 && ping.targets[third].late == 0 && ping.foreign == 0);
    CHECK(send_due(&ping, MS) == 1);
    reply = reply_from(1, 3, 2 * MS);
    nf_ping_answer(&ping, &reply, at(2 * MS));
    CHECK(ping.targets[third].received == 1 && !ping.targets[third].open);
    nf_ping_remove(&ping, second);              /* under way: expires for nobody */
    CHECK(ping.open_count == 0);
    nf_ping_expire(&ping, at(5 * NF_SECOND));
    CHECK(nf_ping_expiry(&ping) == NF_NEVER);
    nf_ping_free(&ping);
}

static void test_failures(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint32_t bad = add(&ping, 1, 1, MS, 0), good = add(&ping, 2, 1, MS, 0);
    nf_ping_error error = {.origin = NF_ORIGIN_LOCAL, .number = 13};
    nf_ping_failed(&ping, bad, at(0), &error);
    CHECK(ping.targets[bad].sent == 1 && ping.targets[bad].failed == 1 && !ping.targets[bad].open);
    CHECK(nf_ping_take(&ping).target == good);
    /* No room in the kernel: later, and others first; in the end it has failed. */
    CHECK(nf_ping_refused(&ping, good, 0) && nf_ping_due(&ping) > 0);
    int64_t now = 0;
    int times = 1;
    while (nf_ping_refused(&ping, good, now)) {
        CHECK(nf_ping_due(&ping) - now <= 1100 * MS);
        now = nf_ping_due(&ping);
        times++;
    }
    CHECK(times >= 20 && now >= 30 * NF_SECOND && now < 40 * NF_SECOND);
    CHECK(ping.targets[good].sent == 0);
    nf_ping_free(&ping);
}

/* Few bytes of payload: id (looked at before), sequence and source have to do. */
static void test_without_cookie(void)
{
    nf_ping ping = begin(NF_SECOND, 0, false);
    uint32_t target = add(&ping, 1, 3, 0, 0);
    for (int64_t now = 0; now < 3; now++)
        CHECK(send_due(&ping, now) == 1);
    nf_ping_reply reply = reply_from(1, 2, MS);
    reply.has_cookie = false;
    nf_ping_answer(&ping, &reply, at(MS));
    reply.sequence = 4;                         /* not sent yet */
    nf_ping_answer(&ping, &reply, at(MS));
    reply = reply_from(9, 1, MS);               /* another host */
    nf_ping_answer(&ping, &reply, at(MS));
    CHECK(ping.targets[target].received == 1 && ping.foreign == 2);
    nf_ping_free(&ping);
}

/* To a multicast address anybody may answer, who knows the cookie. */
static void test_multicast(void)
{
    nf_ping ping = begin(NF_SECOND, 0, true);
    uint8_t group[16] = {[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 1};
    uint32_t target = nf_ping_add(&ping, group, 0, 1, 0, 0);
    send_due(&ping, 0);
    for (uint32_t host = 1; host < 4; host++) {
        nf_ping_reply reply = reply_from(host, 1, MS);
        nf_ping_answer(&ping, &reply, at(MS));
    }
    CHECK(ping.targets[target].received == 1 && ping.targets[target].duplicates == 2 && ping.foreign == 0);
    nf_ping_free(&ping);
}

int main(void)
{
    for (int round = 0; round < ROUNDS; round++)
        test_random_network();
    test_generations(0, 1);
    test_generations(199999, 199999);
    test_generations(0, 77777);
    test_straggler();
    test_window();
    test_clocks(0, 5 * MS, 5 * MS, true);
    test_clocks(0, 3000 * MS, 5 * MS, true);
    test_clocks(3600 * NF_SECOND, 6 * MS, 6 * MS, true);
    test_clocks(-3600 * NF_SECOND, 6 * MS, 6 * MS, true);
    test_clocks(10 * MS, 300 * MS, 0, false);
    test_timeout(100 * MS, true);
    test_timeout(100 * MS + 1, false);
    test_pace();
    test_interval_and_order();
    test_adaptive();
    test_rounds();
    test_blocked();
    test_remove();
    test_failures();
    test_without_cookie();
    test_multicast();
    return 0;
}
