/* nf_ping.h - what a ping knows: whom to ask when, which probes are on their way, and what came of each.
 *
 * No socket and no clock is touched here: whoever sends and receives (nf_pinger.h) says what happened and when.  Times
 * are nanoseconds; "mono" is CLOCK_MONOTONIC, "real" is CLOCK_REALTIME, which the kernel's stamps are in.
 *
 * PROBES are numbered from 1 over the whole run.  The sequence on the wire is the low half of the number, and the
 * cookie is a keyed hash of all of it, so a reply names its probe whatever the generation:
 *
 *      number    ...  generation  | sequence (16 bits)            cookie = SipHash(key, number)
 *
 * The last 65,536 of them are kept in a ring; one that is still waited for when its place is needed moves to the
 * stragglers, in order of number as well:
 *
 *      stragglers            oldest kept        oldest waiting           next
 *      waiting, few          |  answered, lost  |  waiting or answered   |        a reply to any other is foreign
 *      | |    |   ||         +------------------+------------------------+
 *                            |<--------------- a generation ------------>|
 */
#ifndef NF_PING_H
#define NF_PING_H

#include "nf_base.h"

#define NF_NEVER INT64_MAX
#define NF_SECOND 1000000000LL
#define NF_NO_TARGET UINT32_MAX

/* Both clocks, read together. */
typedef struct {
    int64_t mono, real;
} nf_clocks;

enum { NF_ORIGIN_NONE, NF_ORIGIN_LOCAL, NF_ORIGIN_ICMP, NF_ORIGIN_ICMP6 };

/* What came instead of a reply. */
typedef struct {
    uint8_t origin;       /* nothing; this machine's refusal to send; an ICMP or ICMPv6 message */
    uint8_t type, code;   /* of the message */
    uint8_t has_source;
    uint32_t index;       /* of the target's probes, which */
    int32_t number;       /* errno, as the kernel sees it */
    uint32_t info;        /* MTU where the packet was too big, else the pointer of a parameter problem */
    uint8_t source[16];   /* who sent the message */
} nf_ping_error;

typedef enum {
    NF_EVENT_REPLY,
    NF_EVENT_DUPLICATE,
    NF_EVENT_LATE,
    NF_EVENT_TIMEOUT,
    NF_EVENT_ERROR,
    NF_EVENT_DONE,          /* nothing more is sent to the target or waited for */
    NF_EVENT_SENT
} nf_event_kind;

typedef struct {
    uint8_t kind, ttl;
    uint8_t has_ttl;
    uint32_t target, index; /* which target, and which of its probes */
    uint32_t size;          /* of the ICMP message that came */
    int64_t rtt, real;      /* real: when it came */
    uint8_t source[16];     /* who answered */
    nf_ping_error error;
} nf_ping_event;

/* A host.  Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. */
typedef struct {
    uint8_t address[16];
    uint32_t scope;         /* the interface of a link-local address, 0: any */
    uint32_t count;         /* probes to send, 0: without end */
    int64_t interval;
    bool adaptive;          /* the next probe as soon as the last is answered; interval is the longest wait */
    bool is_ip6;            /* which of the two schedules it is in */
    bool open;              /* has more to send or to wait for */
    bool any_source;        /* multicast: whoever knows the cookie may answer */
    uint8_t watched;        /* which events are noted: bit k for kind k */

    uint32_t sent, received, duplicates, reordered, late, failed;
    uint32_t waiting;       /* probes under way */
    int64_t first_sent, last_sent; /* mono */
    uint32_t highest;       /* one more than the index of the highest probe answered */
    int64_t rtt_min, rtt_max, rtt_last;
    double rtt_mean, rtt_squares, rtt_steps; /* Welford's running mean and sum of squares; sum of |differences| */
    nf_ping_error error;    /* the last */
    double *rtts;           /* seconds, a probe a place; or NULL */
    uint8_t *ttls;

    int64_t due;
    uint32_t serial;        /* how often this place among targets was taken before */
    uint32_t refusals;      /* of the kernel to take this probe now */
    int64_t refused_since;
} nf_ping_target;

typedef struct {
    nf_clocks sent;
    uint32_t target, serial, index;
    uint8_t state;
} nf_ping_probe;

/* When a target's next probe is due: apart from the targets, and small, for ordering them looks at many. */
typedef struct {
    int64_t due;
    uint32_t target;
} nf_ping_turn;

/* The targets of a family that have probes to send: a heap, the first due on top. */
typedef struct {
    nf_ping_turn *turns;
    uint32_t count;
    bool blocked;           /* the kernel takes no more of this family just now */
} nf_ping_schedule;

typedef struct {
    uint64_t number;
    nf_ping_probe probe;
} nf_ping_straggler;

typedef struct {
    /* how: set by nf_ping_init */
    uint64_t key[2];
    int64_t timeout;
    int64_t gap;            /* least time between two probes, 0: none */
    bool has_cookie;
    /* whom */
    nf_ping_target *targets;
    uint32_t target_count, target_room, open_count;
    uint32_t vacant;        /* the first place of a removed target, which leads to the next; or NF_NO_TARGET */
    nf_ping_schedule schedules[2]; /* of IPv4, of IPv6 */
    uint32_t *place;        /* of a target: in its schedule, or NF_NO_TARGET; of a removed one: the next vacant place */
    int64_t slot;           /* when the pace allows the next probe */
    /* what is under way */
    nf_ping_probe *probes;  /* the ring */
    uint64_t next, oldest_waiting; /* numbers; oldest of the ring */
    nf_ping_straggler *stragglers; /* a queue in `straggler_room` places, from the first one */
    size_t first_straggler, straggler_count, straggler_room;
    /* what came */
    nf_ping_event *events;
    size_t event_count, event_room;
    nf_ping_event nowhere;  /* stands for one that nobody watches: written, never read */
    bool lost_events;       /* there was no memory for one */
    uint64_t corrupted, foreign;
} nf_ping;

/* A probe to be sent now. */
typedef struct {
    uint32_t target;
    uint16_t sequence;
    uint64_t cookie;
} nf_ping_probe_out;

/* A reply as it came. */
typedef struct {
    uint8_t source[16];
    uint16_t sequence;
    bool has_cookie, has_ttl;
    bool damaged;           /* the checksum is wrong: nothing in it can be trusted */
    bool changed;           /* it is not what was sent */
    uint64_t cookie;
    uint8_t ttl;
    uint32_t size;
    int64_t stamp;          /* real, from the kernel; 0: none */
} nf_ping_reply;

/* IPv4 addresses are mapped: ::ffff:a.b.c.d. */
bool nf_ping_is_ip6(const uint8_t address[16]);

/* False where there is no memory; nf_ping_free is right in any case. */
bool nf_ping_init(nf_ping *ping, const uint64_t key[2], int64_t timeout, int64_t gap, bool has_cookie);
void nf_ping_free(nf_ping *ping);

/* Makes room for so many more targets, so that adding them one by one cannot fail. */
bool nf_ping_reserve(nf_ping *ping, uint32_t more);
/* A target whose first probe is due then; NF_NO_TARGET without memory. */
uint32_t nf_ping_add(nf_ping *ping, const uint8_t address[16], uint32_t scope, uint32_t count, int64_t interval,
                     int64_t due);
/* Forgets a target: what is still under way to it counts for nobody, and its place is taken again. */
void nf_ping_remove(nf_ping *ping, uint32_t target);

/* When the next probe may go: NF_NEVER if there is none, no room for it, or its family is blocked. */
int64_t nf_ping_due(const nf_ping *ping);
/* The probe that is due (nf_ping_due was not later than now); one of the three below says what became of it. */
nf_ping_probe_out nf_ping_take(const nf_ping *ping);
void nf_ping_sent(nf_ping *ping, uint32_t target, nf_clocks now);
void nf_ping_failed(nf_ping *ping, uint32_t target, nf_clocks now, const nf_ping_error *error);
/* The kernel had no room (ENOBUFS) for this one, and is asked again later.  False when it has refused this target for
 * too long: then it has failed. */
bool nf_ping_refused(nf_ping *ping, uint32_t target, int64_t now);

/* A reply with our id, read from the socket at `now`. */
void nf_ping_answer(nf_ping *ping, const nf_ping_reply *reply, nf_clocks now);
/* An error about a request with our id that was sent to an address; cookie: if the message quoted that much. */
void nf_ping_complaint(nf_ping *ping, const uint8_t to[16], uint16_t sequence, const uint64_t *cookie,
                       const nf_ping_error *error, nf_clocks now);

/* When the oldest probe under way is lost, NF_NEVER if there is none; and what was lost by then.  Call it after all
 * that had come by then was read: a reply may have been waiting in the socket. */
int64_t nf_ping_expiry(const nf_ping *ping);
void nf_ping_expire(nf_ping *ping, nf_clocks now);

/* Population standard deviation and mean absolute step of the RTTs of a target, in nanoseconds; NaN of too few. */
double nf_ping_mdev(const nf_ping_target *target);
double nf_ping_jitter(const nf_ping_target *target);

#endif
