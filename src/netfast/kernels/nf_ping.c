/* nf_ping.c - what a ping knows; nf_ping.h explains it. */
#include "nf_ping.h"

#include <math.h>
#include <stdlib.h>

#include "nf_siphash.h"

enum { WAITING, ANSWERED, LATE, LOST, FAILED }; /* states of a probe */

#define GENERATION 0x10000u                     /* sequences before the numbers repeat; places in the ring */
#define STRAGGLERS_MAX ((size_t)1 << 22)        /* 256 MB: who waits for more waits until some are lost */
#define UNCOOKIED_MAX (GENERATION / 2)          /* under way at most where the sequence alone names a probe */
#define CATCH_UP (NF_SECOND / 100)              /* of what was missed so much is made good, no more: no bursts */
/* Where the kernel has no room, a target is tried again after 1, 2, 4 ... ms, any other a millisecond later at the
 * soonest.  A full table of neighbours gives up its dead after three seconds each (neigh/default/retrans_time_ms), so a
 * target gets its turn within a few tries; one that has had more, and more time, has failed. */
#define PAUSE (NF_SECOND / 1000)
#define PAUSE_DOUBLINGS 10
#define REFUSALS_MAX 20
#define REFUSED_MAX (30 * NF_SECOND)

bool nf_ping_is_ip6(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, mapped, sizeof mapped) != 0;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

bool nf_ping_init(nf_ping *ping, const uint64_t key[2], int64_t timeout, int64_t gap, bool has_cookie)
{
    memset(ping, 0, sizeof *ping);
    ping->key[0] = key[0];
    ping->key[1] = key[1];
    ping->timeout = timeout;
    ping->gap = gap;
    ping->has_cookie = has_cookie;
    ping->vacant = NF_NO_TARGET;
    ping->next = ping->oldest_waiting = 1;
    ping->probes = calloc(GENERATION, sizeof *ping->probes);    /* untouched pages cost nothing */
    return ping->probes != NULL;
}

void nf_ping_free(nf_ping *ping)
{
    free(ping->probes);
    free(ping->stragglers);
    free(ping->targets);
    free(ping->schedules[0].turns);
    free(ping->schedules[1].turns);
    free(ping->place);
    free(ping->events);
    memset(ping, 0, sizeof *ping);
}

/* A block with room for so many items; what is there stays.  Without memory the same one, and *fine is false. */
static void *grown(void *block, size_t count, size_t size, bool *fine)
{
    void *larger = realloc(block, count * size);
    *fine = *fine && larger;
    return larger ? larger : block;
}

bool nf_ping_reserve(nf_ping *ping, uint32_t more)
{
    uint64_t wanted = (uint64_t)ping->target_count + more;
    if (wanted <= ping->target_room)
        return true;
    if (wanted >= NF_NO_TARGET)
        return false;
    uint64_t room = wanted > 2 * (uint64_t)ping->target_room ? wanted : 2 * (uint64_t)ping->target_room;
    if (room >= NF_NO_TARGET)
        room = wanted;
    bool fine = true;
    ping->targets = grown(ping->targets, room, sizeof *ping->targets, &fine);
    ping->place = grown(ping->place, room, sizeof *ping->place, &fine);
    for (int i = 0; i < 2; i++)
        ping->schedules[i].turns = grown(ping->schedules[i].turns, room, sizeof *ping->schedules[i].turns, &fine);
    if (fine)
        ping->target_room = (uint32_t)room;
    return fine;
}

/* ---- the schedules: heaps that say where each target is in them ------------------------------------------------- */

static bool is_before(nf_ping_turn a, nf_ping_turn b)
{
    return a.due != b.due ? a.due < b.due : a.target < b.target;
}

static void put(nf_ping *ping, nf_ping_schedule *s, uint32_t place, nf_ping_turn turn)
{
    s->turns[place] = turn;
    ping->place[turn.target] = place;
}

static void sift(nf_ping *ping, nf_ping_schedule *s, uint32_t place, nf_ping_turn turn)
{
    for (; place > 0; place = (place - 1) / 2) {
        nf_ping_turn above = s->turns[(place - 1) / 2];
        if (!is_before(turn, above))
            break;
        put(ping, s, place, above);
    }
    for (;;) {
        uint64_t below = 2 * (uint64_t)place + 1;
        if (below >= s->count)
            break;
        if (below + 1 < s->count && is_before(s->turns[below + 1], s->turns[below]))
            below++;
        if (!is_before(s->turns[below], turn))
            break;
        put(ping, s, place, s->turns[below]);
        place = (uint32_t)below;
    }
    put(ping, s, place, turn);
}

static void schedule(nf_ping *ping, uint32_t target, int64_t due)
{
    nf_ping_schedule *s = &ping->schedules[ping->targets[target].is_ip6];
    uint32_t place = ping->place[target];
    ping->targets[target].due = due;
    sift(ping, s, place == NF_NO_TARGET ? s->count++ : place, (nf_ping_turn){due, target});
}

static void unschedule(nf_ping *ping, uint32_t target)
{
    nf_ping_schedule *s = &ping->schedules[ping->targets[target].is_ip6];
    uint32_t place = ping->place[target];
    if (place == NF_NO_TARGET)
        return;
    ping->place[target] = NF_NO_TARGET;
    nf_ping_turn last = s->turns[--s->count];
    if (last.target != target)
        sift(ping, s, place, last);
}

/* The schedule whose first target may be sent to first; NULL if there is none. */
static const nf_ping_schedule *first_due(const nf_ping *ping)
{
    const nf_ping_schedule *found = NULL;
    for (int i = 0; i < 2; i++) {
        const nf_ping_schedule *s = &ping->schedules[i];
        if (s->count && !s->blocked && (!found || is_before(s->turns[0], found->turns[0])))
            found = s;
    }
    return found;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static nf_ping_event *note(nf_ping *ping, uint32_t target, nf_event_kind kind, uint32_t index, int64_t real)
{
    if (!(ping->targets[target].watched & 1 << kind))
        return &ping->nowhere;
    if (ping->event_count == ping->event_room) {
        size_t room = ping->event_room ? 2 * ping->event_room : 64;
        bool fine = true;
        ping->events = grown(ping->events, room, sizeof *ping->events, &fine);
        if (!fine) {
            ping->lost_events = true;
            return &ping->nowhere;
        }
        ping->event_room = room;
    }
    nf_ping_event *event = &ping->events[ping->event_count++];
    *event = (nf_ping_event){.kind = (uint8_t)kind, .target = target, .index = index, .real = real};
    return event;
}

/* A probe is no longer under way; perhaps that was the last. */
static void settle(nf_ping *ping, uint32_t target, int64_t real)
{
    nf_ping_target *t = &ping->targets[target];
    if (!t->open || t->waiting || t->count == 0 || t->sent < t->count)
        return;
    t->open = false;
    ping->open_count--;
    note(ping, target, NF_EVENT_DONE, 0, real);
}

/* ---- targets ---------------------------------------------------------------------------------------------------- */

uint32_t nf_ping_add(nf_ping *ping, const uint8_t address[16], uint32_t scope, uint32_t count, int64_t interval,
                     int64_t due)
{
    uint32_t target = ping->vacant, serial = 0;
    if (target != NF_NO_TARGET) {
        ping->vacant = ping->place[target];
        serial = ping->targets[target].serial;
    } else {
        if (!nf_ping_reserve(ping, 1))
            return NF_NO_TARGET;
        target = ping->target_count++;
    }
    nf_ping_target *t = &ping->targets[target];
    *t = (nf_ping_target){.scope = scope, .count = count, .interval = interval, .open = true, .serial = serial};
    ping->place[target] = NF_NO_TARGET;
    memcpy(t->address, address, sizeof t->address);
    t->is_ip6 = nf_ping_is_ip6(address);
    t->any_source = t->is_ip6 ? address[0] == 0xff : address[12] >> 4 == 14;
    ping->open_count++;
    schedule(ping, target, due);
    return target;
}

void nf_ping_remove(nf_ping *ping, uint32_t target)
{
    nf_ping_target *t = &ping->targets[target];
    unschedule(ping, target);
    if (t->open)
        ping->open_count--;
    t->open = false;
    t->serial++;                    /* probes under way name another */
    t->watched = 0;
    ping->place[target] = ping->vacant;
    ping->vacant = target;
}

static bool is_of(const nf_ping *ping, const nf_ping_probe *probe)
{
    return ping->targets[probe->target].serial == probe->serial;
}

/* ---- probes under way ------------------------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

static nf_ping_probe *in_ring(const nf_ping *ping, uint64_t number) { return &ping->probes[number % GENERATION]; }

static bool is_kept(const nf_ping *ping, uint64_t number)
{
    return number < ping->next && ping->next - number <= GENERATION;
}

static nf_ping_straggler *stragglers(const nf_ping *ping) { return ping->stragglers + ping->first_straggler; }

/* The first straggler with that number or a higher one. */
static size_t straggler_from(const nf_ping *ping, uint64_t number)
{
    size_t low = 0, high = ping->straggler_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stragglers(ping)[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static nf_ping_probe *probe_at(const nf_ping *ping, uint64_t number)
{
    if (is_kept(ping, number))
        return in_ring(ping, number);
    size_t place = straggler_from(ping, number);
    bool found = place < ping->straggler_count && stragglers(ping)[place].number == number;
    return found ? &stragglers(ping)[place].probe : NULL;
}

static bool is_waiting(const nf_ping *ping, const nf_ping_probe *probe)
{
    return probe->state == WAITING && is_of(ping, probe);
}

/* The probe that has been waited for longest; NULL if none is waited for. */
static nf_ping_probe *oldest(const nf_ping *ping)
{
    if (ping->straggler_count)
        return &stragglers(ping)[0].probe;
    return ping->oldest_waiting < ping->next ? in_ring(ping, ping->oldest_waiting) : NULL;
}

/* Walks past what is no longer waited for; probes of removed targets are not. */
static void pass_settled(nf_ping *ping)
{
    while (ping->straggler_count && !is_waiting(ping, &stragglers(ping)[0].probe)) {
        ping->first_straggler++;
        ping->straggler_count--;
    }
    if (ping->straggler_count == 0)
        ping->first_straggler = 0;
    while (ping->oldest_waiting < ping->next && !is_waiting(ping, in_ring(ping, ping->oldest_waiting)))
        ping->oldest_waiting++;
}

/* Room for one more straggler; false without memory.  A queue that has moved on far enough moves back. */
static bool reserve_straggler(nf_ping *ping)
{
    if (ping->first_straggler + ping->straggler_count < ping->straggler_room)
        return true;
    if (ping->first_straggler > ping->straggler_count) {
        memmove(ping->stragglers, stragglers(ping), ping->straggler_count * sizeof *ping->stragglers);
        ping->first_straggler = 0;
        return true;
    }
    size_t room = ping->straggler_room ? 2 * ping->straggler_room : 256;
    bool fine = true;
    ping->stragglers = grown(ping->stragglers, room, sizeof *ping->stragglers, &fine);
    if (fine)
        ping->straggler_room = room;
    return fine;
}

static void give_up(nf_ping *ping, nf_ping_probe *probe, int64_t real)
{
    probe->state = LOST;
    ping->targets[probe->target].waiting--;
    note(ping, probe->target, NF_EVENT_TIMEOUT, probe->index, real);
    settle(ping, probe->target, real);
}

/* Makes the next place of the ring free.  Without memory for one more straggler, that is lost before its time. */
static void make_place(nf_ping *ping, int64_t real)
{
    uint64_t number = ping->next - GENERATION;
    if (ping->next <= GENERATION || !is_waiting(ping, in_ring(ping, number)))
        return;
    if (reserve_straggler(ping))
        stragglers(ping)[ping->straggler_count++] = (nf_ping_straggler){number, *in_ring(ping, number)};
    else
        give_up(ping, in_ring(ping, number), real);
}

static bool is_full(const nf_ping *ping)
{
    if (!ping->has_cookie)
        return ping->next - ping->oldest_waiting >= UNCOOKIED_MAX;
    return ping->straggler_count >= STRAGGLERS_MAX;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

int64_t nf_ping_due(const nf_ping *ping)
{
    const nf_ping_schedule *first = first_due(ping);
    return !first || is_full(ping) ? NF_NEVER : later(first->turns[0].due, ping->slot);
}

nf_ping_probe_out nf_ping_take(const nf_ping *ping)
{
    uint32_t target = first_due(ping)->turns[0].target;
    return (nf_ping_probe_out){target, (uint16_t)ping->next, nf_siphash(ping->key, ping->next)};
}

/* When a target's next probe is due, after one that was sent now. */
static int64_t next_due(const nf_ping_target *t, int64_t now)
{
    if (t->interval == 0)                       /* behind all that are due already */
        return now + 1;
    if (t->adaptive)
        return now + t->interval;
    return later(t->due, now - CATCH_UP) + t->interval;
}

/* Notes a probe and says when the target's next one is due. */
static void launch(nf_ping *ping, uint32_t target, nf_clocks now, uint8_t state)
{
    nf_ping_target *t = &ping->targets[target];
    make_place(ping, now.real);
    uint32_t index = t->sent++;
    *in_ring(ping, ping->next++) = (nf_ping_probe){now, target, t->serial, index, state};
    if (ping->oldest_waiting + GENERATION < ping->next)
        ping->oldest_waiting = ping->next - GENERATION;
    t->first_sent = index == 0 ? now.mono : t->first_sent;
    t->last_sent = now.mono;
    t->refusals = 0;
    if (t->rtts) {
        t->rtts[index] = NAN;
        t->ttls[index] = 0;
    }
    note(ping, target, NF_EVENT_SENT, index, now.real);
    if (ping->gap)
        ping->slot = ping->slot ? later(ping->slot, now.mono - CATCH_UP) + ping->gap : now.mono + ping->gap;
    if (t->count && t->sent == t->count)
        unschedule(ping, target);
    else
        schedule(ping, target, next_due(t, now.mono));
}

void nf_ping_sent(nf_ping *ping, uint32_t target, nf_clocks now)
{
    launch(ping, target, now, WAITING);
    ping->targets[target].waiting++;
}

static void blame(nf_ping *ping, uint32_t target, uint32_t index, const nf_ping_error *error, int64_t real)
{
    nf_ping_target *t = &ping->targets[target];
    t->failed++;
    t->error = *error;
    t->error.index = index;
    note(ping, target, NF_EVENT_ERROR, index, real)->error = t->error;
}

void nf_ping_failed(nf_ping *ping, uint32_t target, nf_clocks now, const nf_ping_error *error)
{
    launch(ping, target, now, FAILED);
    pass_settled(ping);
    blame(ping, target, ping->targets[target].sent - 1, error, now.real);
    settle(ping, target, now.real);
}

bool nf_ping_refused(nf_ping *ping, uint32_t target, int64_t now)
{
    nf_ping_target *t = &ping->targets[target];
    if (t->refusals == 0)
        t->refused_since = now;
    if (t->refusals >= REFUSALS_MAX && now - t->refused_since >= REFUSED_MAX)
        return false;
    schedule(ping, target, now + (PAUSE << (t->refusals < PAUSE_DOUBLINGS ? t->refusals : PAUSE_DOUBLINGS)));
    t->refusals++;
    ping->slot = later(ping->slot, now + PAUSE);
    return true;
}

/* ---- what comes back -------------------------------------------------------------------------------------------- */

/* The probe that an answer from (or an error about) an address names; NULL if it names none.
 *
 * Sequences repeat every 65,536 numbers, so the candidates are the newest probe with that sequence and, among the
 * stragglers, those whole generations before it; the cookie tells which. */
static nf_ping_probe *find(const nf_ping *ping, const uint8_t *address, uint16_t sequence, const uint64_t *cookie)
{
    uint64_t number = ping->next - 1 - (uint16_t)((uint16_t)(ping->next - 1) - sequence);
    uint64_t oldest = ping->straggler_count ? stragglers(ping)[0].number : number;
    for (; number > 0 && number < ping->next && number >= oldest; number -= GENERATION) {
        nf_ping_probe *probe = probe_at(ping, number);
        if (!probe || (cookie && *cookie != nf_siphash(ping->key, number)))
            continue;
        const nf_ping_target *t = &ping->targets[probe->target];
        if (!is_of(ping, probe) || t->any_source || memcmp(t->address, address, sizeof t->address) == 0)
            return probe;
    }
    return NULL;
}

/* How long a probe was under way: by the kernel's stamp of its reply, unless the clock of the stamps was set meanwhile.
 *
 *      real  sent ------------- stamp ---------- read        the reply waited in the socket from stamp to read
 *      mono  sent ------------------------------ read
 *
 * Clocks that run at different speeds part by 500 millionths at most (adjtimex(2)); what is more was a step. */
static int64_t time_under_way(const nf_ping_probe *probe, int64_t stamp, nf_clocks read)
{
    int64_t mono = read.mono - probe->sent.mono;
    int64_t parted = (read.real - probe->sent.real) - mono;
    int64_t tolerated = NF_SECOND / 10000 + mono / 1000;
    int64_t rtt = stamp - probe->sent.real;
    if (stamp == 0 || parted > tolerated || parted < -tolerated || rtt > mono + tolerated)
        return mono;
    return later(rtt, 0);
}

static void count_rtt(nf_ping_target *t, uint32_t index, int64_t rtt)
{
    double before = t->rtt_mean;
    t->rtt_min = t->received == 0 || rtt < t->rtt_min ? rtt : t->rtt_min;
    t->rtt_max = later(rtt, t->rtt_max);
    t->rtt_steps += t->received ? fabs((double)(rtt - t->rtt_last)) : 0;
    t->rtt_last = rtt;
    t->received++;
    t->rtt_mean += ((double)rtt - before) / t->received;
    t->rtt_squares += ((double)rtt - before) * ((double)rtt - t->rtt_mean);
    if (t->rtts)
        t->rtts[index] = (double)rtt / NF_SECOND;
}

double nf_ping_mdev(const nf_ping_target *t) { return t->received ? sqrt(t->rtt_squares / t->received) : NAN; }

double nf_ping_jitter(const nf_ping_target *t)
{
    return t->received > 1 ? t->rtt_steps / (t->received - 1) : NAN;
}

/* What a reply to a probe that was found is; counts it. */
static nf_event_kind judge(nf_ping *ping, nf_ping_probe *probe, int64_t rtt)
{
    nf_ping_target *t = &ping->targets[probe->target];
    if (probe->state == ANSWERED || probe->state == LATE) {
        t->duplicates++;
        return NF_EVENT_DUPLICATE;
    }
    t->waiting -= probe->state == WAITING;
    if (probe->state == LOST || rtt > ping->timeout) {
        t->late++;
        probe->state = LATE;
        return NF_EVENT_LATE;
    }
    probe->state = ANSWERED;
    count_rtt(t, probe->index, rtt);
    if (probe->index + 1 < t->highest)
        t->reordered++;             /* RFC 4737: it is not the next that was expected */
    else
        t->highest = probe->index + 1;
    return NF_EVENT_REPLY;
}

/* A target that sends as fast as it is answered may send again: once a probe, whatever copies of the reply come. */
static void hasten(nf_ping *ping, const nf_ping_probe *probe, int64_t now)
{
    const nf_ping_target *t = &ping->targets[probe->target];
    bool is_newest = probe->index + 1 == t->sent;
    if (t->adaptive && is_newest && ping->place[probe->target] != NF_NO_TARGET && t->due > now)
        schedule(ping, probe->target, now);
}

void nf_ping_answer(nf_ping *ping, const nf_ping_reply *reply, nf_clocks now)
{
    if (reply->damaged) {
        ping->corrupted++;
        return;
    }
    nf_ping_probe *probe = NULL;
    if (reply->has_cookie || !ping->has_cookie)
        probe = find(ping, reply->source, reply->sequence, ping->has_cookie ? &reply->cookie : NULL);
    if (!probe) {
        ping->foreign++;
        return;
    }
    if (!is_of(ping, probe))
        return;                     /* its target was removed */
    if (reply->changed) {
        ping->corrupted++;
        return;
    }
    uint32_t target = probe->target;
    int64_t real = reply->stamp ? reply->stamp : now.real;
    int64_t rtt = time_under_way(probe, reply->stamp, now);
    nf_event_kind kind = judge(ping, probe, rtt);
    if (kind == NF_EVENT_REPLY && ping->targets[target].ttls)
        ping->targets[target].ttls[probe->index] = reply->ttl;
    nf_ping_event *event = note(ping, target, kind, probe->index, real);
    event->rtt = rtt;
    event->ttl = reply->ttl;
    event->has_ttl = reply->has_ttl;
    event->size = reply->size;
    memcpy(event->source, reply->source, sizeof event->source);
    if (kind == NF_EVENT_REPLY)
        hasten(ping, probe, now.mono);
    pass_settled(ping);             /* the probe may be gone */
    settle(ping, target, now.real);
}

void nf_ping_complaint(nf_ping *ping, const uint8_t to[16], uint16_t sequence, const uint64_t *cookie,
                       const nf_ping_error *error, nf_clocks now)
{
    nf_ping_probe *probe = find(ping, to, sequence, ping->has_cookie ? cookie : NULL);
    if (!probe || !is_of(ping, probe) || (probe->state != WAITING && probe->state != LOST))
        return;
    uint32_t target = probe->target;
    ping->targets[target].waiting -= probe->state == WAITING;
    probe->state = FAILED;
    blame(ping, target, probe->index, error, now.real);
    hasten(ping, probe, now.mono);
    pass_settled(ping);             /* the probe may be gone */
    settle(ping, target, now.real);
}

/* ---- what does not come back ------------------------------------------------------------------------------------ */

int64_t nf_ping_expiry(const nf_ping *ping)
{
    const nf_ping_probe *probe = oldest(ping);
    return probe ? probe->sent.mono + ping->timeout : NF_NEVER;
}

void nf_ping_expire(nf_ping *ping, nf_clocks now)
{
    pass_settled(ping);             /* targets may have been removed */
    while (nf_ping_expiry(ping) <= now.mono) {
        give_up(ping, oldest(ping), now.real);
        pass_settled(ping);
    }
}
