/* ping.c - any order of hosts added and removed, probes sent, refused and failed, replies, errors and time: what is
 * counted stays consistent, and everything ends.
 */
#include "fuzz.h"
#include "nf_ping.h"
#include "nf_siphash.h"

enum { HOSTS = 8 };

static const uint64_t key[2] = {1, 2};

static void address_of(uint8_t host, uint8_t address[16])
{
    memset(address, 0, 16);
    if (host < 6)                       /* the others are of IPv6 */
        address[10] = address[11] = 0xff;
    address[12] = host == 5 ? 224 : 10;
    address[15] = host;
}

static void check_counts(const nf_ping *ping)
{
    uint32_t open = 0, scheduled = 0;
    for (uint32_t i = 0; i < ping->target_count; i++) {
        const nf_ping_target *t = &ping->targets[i];
        open += t->open;
        CHECK(t->received + t->late <= t->sent && t->waiting <= t->sent);
        CHECK(t->count == 0 || t->sent <= t->count);
        CHECK(t->rtt_min <= t->rtt_max && t->rtt_max <= ping->timeout);
        CHECK(t->highest <= t->sent);
    }
    for (int family = 0; family < 2; family++) {
        const nf_ping_schedule *s = &ping->schedules[family];
        for (uint32_t i = 0; i < s->count; i++) {
            const nf_ping_turn turn = s->turns[i];
            CHECK(ping->place[turn.target] == i && ping->targets[turn.target].open);
            CHECK(ping->targets[turn.target].is_ip6 == family);
            CHECK(s->turns[(i ? i - 1 : 0) / 2].due <= turn.due);
        }
        scheduled += s->count;
    }
    CHECK(open == ping->open_count && scheduled <= open);
    CHECK(ping->oldest_waiting <= ping->next && ping->next - ping->oldest_waiting <= 65536);
}

static void send_one(nf_ping *ping, uint8_t how, nf_clocks now)
{
    if (nf_ping_due(ping) > now.mono)
        return;
    const uint32_t target = nf_ping_take(ping).target;
    const nf_ping_error error = {.origin = NF_ORIGIN_LOCAL, .number = how};
    if (how < 32)
        nf_ping_failed(ping, target, now, &error);
    else if (how < 64)
        nf_ping_refused(ping, target, now.mono);
    else
        nf_ping_sent(ping, target, now);
}

static void receive_one(nf_ping *ping, fuzz_input *input, nf_clocks now)
{
    const uint64_t number = ping->next - 1 - take_byte(input);
    const uint8_t how = take_byte(input);
    nf_ping_reply reply = {.sequence = (uint16_t)number, .cookie = nf_siphash(key, number), .size = 64,
                           .has_cookie = how & 1, .damaged = (how & 14) == 2, .changed = (how & 14) == 4,
                           .stamp = how & 16 ? now.real - take_byte(input) : 0};
    address_of(take_byte(input) % HOSTS, reply.source);
    reply.cookie ^= (how & 14) == 6;
    if (how & 128) {
        const nf_ping_error error = {.origin = NF_ORIGIN_ICMP, .type = 3, .code = how % 16};
        nf_ping_complaint(ping, reply.source, reply.sequence, how & 64 ? &reply.cookie : NULL, &error, now);
    } else {
        nf_ping_answer(ping, &reply, now);
    }
}

static void change_hosts(nf_ping *ping, fuzz_input *input, nf_clocks now)
{
    uint8_t address[16];
    const uint8_t how = take_byte(input);
    address_of(how % HOSTS, address);
    if (how & 128 && ping->target_count) {
        const uint32_t target = how % ping->target_count;
        if (ping->targets[target].watched)      /* removed ones are watched for nothing */
            nf_ping_remove(ping, target);
        return;
    }
    const uint32_t target = nf_ping_add(ping, address, 0, how & 16 ? 0 : 1 + how % 5, how & 32 ? 3 : 0, now.mono);
    CHECK(target != NF_NO_TARGET);
    ping->targets[target].watched = 0xff;
    ping->targets[target].adaptive = how & 64;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    nf_clocks now = {1000, 5000};
    nf_ping ping;
    const uint8_t how = take_byte(&input);
    CHECK(nf_ping_init(&ping, key, 100, how & 1 ? 7 : 0, how & 2));
    while (input.left) {
        switch (take_byte(&input) % 8) {
        case 0:
            change_hosts(&ping, &input, now);
            break;
        case 1:
            now.mono += take_byte(&input);
            now.real += take_byte(&input) * (how & 4 ? 1000000 : 1);
            break;
        case 2:
            nf_ping_expire(&ping, now);
            break;
        case 3:
        case 4:
            receive_one(&ping, &input, now);
            break;
        default:
            send_one(&ping, take_byte(&input), now);
        }
        check_counts(&ping);
        ping.event_count = 0;
    }
    now.mono += 1000000;
    nf_ping_expire(&ping, now);
    check_counts(&ping);
    CHECK(nf_ping_expiry(&ping) == NF_NEVER);
    nf_ping_free(&ping);
    return 0;
}
