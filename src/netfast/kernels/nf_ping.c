/* nf_ping.c - what a ping knows; nf_ping.h explains it. */
#include "nf_ping.h"

#include <math.h>
#include <stdlib.h>

#include "nf_siphash.h"

enum { WAITING, ANSWERED, LATE, LOST, FAILED }; /* states of a probe */

#define GENERATION 0x10000u                     /* sequences before the numbers repeat */
#define CAPACITY_MIN GENERATION
#define CAPACITY_MAX (1u << 20)
#define UNCOOKIED_MAX (GENERATION / 2)          /* under way at most where the sequence alone names a probe */
#define CATCH_UP (NF_SECOND / 100)              /* of what was missed so much is made good, no more: no bursts */
#define REFUSALS_MAX 64                         /* of a target's probe, over at least so long: */
#define REFUSED_MAX (30 * NF_SECOND)
#define PAUSE_MIN (NF_SECOND / 1000)
#define PAUSE_DOUBLINGS 6

/* ---- memory ------------------------------------------------------------------------------------------------------- */

bool nf_ping_init(nf_ping *ping, const uint64_t key[2], uint64_t probes, int64_t timeout, int64_t gap, bool has_cookie)
{
    memset(ping, 0, sizeof *ping);
    ping->key[0] = key[0];
    ping->key[1] = key[1];
    ping->timeout = timeout;
    ping->gap = gap;
    ping->has_cookie = has_cookie;
    ping->vacant = NF_NO_TARGET;
    ping->next = ping->oldest_waiting = 1;
    ping->capacity = CAPACITY_MIN;
    while (ping->capacity < probes && ping->capacity < CAPACITY_MAX)
        ping->capacity *= 2;
    ping->probes = calloc(ping->capacity, sizeof *ping->probes);    /* untouched pages cost nothing */
    return ping->probes != NULL;
}

void nf_ping_free(nf_ping *ping)
{
    free(ping->probes);
    free(ping->targets);
    free(ping->schedule);
    free(ping->place);
    free(ping->events);
    memset(ping, 0, sizeof *ping);
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
    nf_ping_target *targets = realloc(ping->targets, room * sizeof *targets);
    if (targets)
        ping->targets = targets;
    nf_ping_turn *schedule = realloc(ping->schedule, room * sizeof *schedule);
    if (schedule)
        ping->schedule = schedule;
    uint32_t *place = realloc(ping->place, room * sizeof *place);
    if (place)
        ping->place = place;
    if (!targets || !schedule || !place)
        return false;
    ping->target_room = (uint32_t)room;
    return true;
}

/* ---- the schedule: a heap that says where each target is in it ---------------------------------------------------- */

static bool is_before(nf_ping_turn a, nf_ping_turn b)
{
    return a.due != b.due ? a.due < b.due : a.target < b.target;
}

static void put(nf_ping *ping, uint32_t place, nf_ping_turn turn)
{
    ping->schedule[place] = turn;
    ping->place[turn.target] = place;
}

static void sift(nf_ping *ping, uint32_t place, nf_ping_turn turn)
{
    for (; place > 0; place = (place - 1) / 2) {
        nf_ping_turn above = ping->schedule[(place - 1) / 2];
        if (!is_before(turn, above))
            break;
        put(ping, place, above);
    }
    for (;;) {
        uint64_t below = 2 * (uint64_t)place + 1;
        if (below >= ping->scheduled)
            break;
        if (below + 1 < ping->scheduled && is_before(ping->schedule[below + 1], ping->schedule[below]))
            below++;
        if (!is_before(ping->schedule[below], turn))
            break;
        put(ping, place, ping->schedule[below]);
        place = (uint32_t)below;
    }
    put(ping, place, turn);
}

static void schedule(nf_ping *ping, uint32_t target, int64_t due)
{
    ping->targets[target].due = due;
    uint32_t place = ping->place[target];
    sift(ping, place == NF_NO_TARGET ? ping->scheduled++ : place, (nf_ping_turn){due, target});
}

static void unschedule(nf_ping *ping, uint32_t target)
{
    uint32_t place = ping->place[target];
    if (place == NF_NO_TARGET)
        return;
    ping->place[target] = NF_NO_TARGET;
    nf_ping_turn last = ping->schedule[--ping->scheduled];
    if (last.target != target)
        sift(ping, place, last);
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static nf_ping_event *note(nf_ping *ping, uint32_t target, nf_event_kind kind, uint32_t index, int64_t real)
{
    if (!(ping->targets[target].watched & 1 << kind))
        return &ping->nowhere;
    if (ping->event_count == ping->event_room) {
        size_t room = ping->event_room ? 2 * ping->event_room : 64;
        nf_ping_event *events = realloc(ping->events, room * sizeof *events);
        if (!events) {
            ping->lost_events = true;
            return &ping->nowhere;
        }
        ping->events = events;
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

/* ---- targets ------------------------------------------------------------------------------------------------------ */

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
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    t->any_source = address[0] == 0xff || (memcmp(address, mapped, sizeof mapped) == 0 && address[12] >> 4 == 14);
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

/* ---- sending ------------------------------------------------------------------------------------------------------ */

static nf_ping_probe *at(const nf_ping *ping, uint64_t number) { return &ping->probes[number & (ping->capacity - 1)]; }

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

int64_t nf_ping_due(const nf_ping *ping)
{
    uint64_t under_way = ping->next - ping->oldest_waiting;
    if (ping->scheduled == 0 || under_way >= (ping->has_cookie ? ping->capacity : UNCOOKIED_MAX))
        return NF_NEVER;
    return later(ping->schedule[0].due, ping->slot);
}

nf_ping_probe_out nf_ping_take(const nf_ping *ping)
{
    return (nf_ping_probe_out){ping->schedule[0].target, (uint16_t)ping->next, nf_siphash(ping->key, ping->next)};
}

/* Walks past what is no longer waited for; probes of removed targets are not. */
static void pass_settled(nf_ping *ping)
{
    while (ping->oldest_waiting < ping->next) {
        const nf_ping_probe *probe = at(ping, ping->oldest_waiting);
        if (probe->state == WAITING && is_of(ping, probe))
            return;
        ping->oldest_waiting++;
    }
}

/* Notes a probe and says when the target's next one is due. */
static void launch(nf_ping *ping, uint32_t target, nf_clocks now, uint8_t state)
{
    nf_ping_target *t = &ping->targets[target];
    *at(ping, ping->next++) = (nf_ping_probe){now, target, t->serial, t->sent++, state};
    t->first_sent = t->sent == 1 ? now.mono : t->first_sent;
    t->last_sent = now.mono;
    t->refusals = 0;
    ping->refusals = 0;
    note(ping, target, NF_EVENT_SENT, t->sent - 1, now.real);
    if (ping->gap)
        ping->slot = ping->slot ? later(ping->slot, now.mono - CATCH_UP) + ping->gap : now.mono + ping->gap;
    if (t->count && t->sent == t->count)
        unschedule(ping, target);
    else
        schedule(ping, target, t->adaptive ? now.mono + t->interval : later(t->due, now.mono - CATCH_UP) + t->interval);
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
    if (t->refusals++ == 0)
        t->refused_since = now;
    if (t->refusals > REFUSALS_MAX && now - t->refused_since > REFUSED_MAX)
        return false;
    int64_t pause = PAUSE_MIN << (ping->refusals < PAUSE_DOUBLINGS ? ping->refusals : PAUSE_DOUBLINGS);
    ping->refusals++;
    ping->slot = now + pause;
    schedule(ping, target, now + pause);    /* behind those that wait already: they may go elsewhere */
    return true;
}

/* ---- what comes back ---------------------------------------------------------------------------------------------- */

/* The probe that an answer from (or an error about) an address names; NULL if it names none.
 *
 * Sequences repeat every 65,536 numbers, so the candidates are the newest probe with that sequence and those whole
 * generations before it that are still kept; the cookie tells which. */
static nf_ping_probe *find(const nf_ping *ping, const uint8_t *address, uint16_t sequence, const uint64_t *cookie)
{
    uint64_t newest = ping->next - 1;
    uint64_t oldest = newest >= ping->capacity ? newest - ping->capacity + 1 : 1;
    uint64_t back = (uint16_t)((uint16_t)newest - sequence);
    for (; newest >= oldest + back; back += GENERATION) {
        nf_ping_probe *probe = at(ping, newest - back);
        const nf_ping_target *t = &ping->targets[probe->target];
        if (cookie && *cookie != nf_siphash(ping->key, newest - back))
            continue;
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

/* A target that sends as fast as it is answered may send again. */
static void hasten(nf_ping *ping, uint32_t target, int64_t now)
{
    nf_ping_target *t = &ping->targets[target];
    if (t->adaptive && ping->place[target] != NF_NO_TARGET && t->due > now)
        schedule(ping, target, now);
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
    pass_settled(ping);
    hasten(ping, target, now.mono);
    settle(ping, target, now.real);
}

void nf_ping_complaint(nf_ping *ping, const uint8_t to[16], uint16_t sequence, const uint64_t *cookie,
                       const nf_ping_error *error, nf_clocks now)
{
    nf_ping_probe *probe = find(ping, to, sequence, ping->has_cookie ? cookie : NULL);
    if (!probe || !is_of(ping, probe) || (probe->state != WAITING && probe->state != LOST))
        return;
    ping->targets[probe->target].waiting -= probe->state == WAITING;
    probe->state = FAILED;
    blame(ping, probe->target, probe->index, error, now.real);
    pass_settled(ping);
    hasten(ping, probe->target, now.mono);
    settle(ping, probe->target, now.real);
}

/* ---- what does not come back -------------------------------------------------------------------------------------- */

int64_t nf_ping_expiry(const nf_ping *ping)
{
    return ping->oldest_waiting == ping->next ? NF_NEVER : at(ping, ping->oldest_waiting)->sent.mono + ping->timeout;
}

void nf_ping_expire(nf_ping *ping, nf_clocks now)
{
    pass_settled(ping);             /* targets may have been removed */
    while (nf_ping_expiry(ping) <= now.mono) {
        nf_ping_probe *probe = at(ping, ping->oldest_waiting);
        uint32_t target = probe->target;
        probe->state = LOST;
        ping->targets[target].waiting--;
        note(ping, target, NF_EVENT_TIMEOUT, probe->index, now.real);
        pass_settled(ping);
        settle(ping, target, now.real);
    }
}
