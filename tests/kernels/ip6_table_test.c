/* ip6_table_test.c - longest-prefix match of IPv6: tables against a slow look at every prefix, sorting against qsort,
 * and damaged tables against the promise of nf_ip6_table_check.
 *
 * Queries and answers end at a page that cannot be touched; so do damaged tables.
 */
#define _GNU_SOURCE
#include "nf_ip6_table.h"

#include "nf_dispatch.h"

#define KIT_FORM nf_active->name
#include "kit.h"

enum { MOST = 400, PROBES = 4096 };

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
enum { ROUNDS = 300 };
#else
enum { ROUNDS = 3000 };
#endif

typedef struct {
    nf_ip6_number address[MOST];
    uint8_t length[MOST];
    size_t n;
} prefixes;

/* ---- the truth */

static nf_ip6_number mask_of(unsigned length)
{
    return (nf_ip6_number){length == 0 ? 0 : length < 64 ? UINT64_MAX << (64 - length) : UINT64_MAX,
                           length <= 64 ? 0 : UINT64_MAX << (128 - length)};
}

static nf_ip6_number masked(nf_ip6_number a, unsigned length)
{
    const nf_ip6_number mask = mask_of(length);
    return (nf_ip6_number){a.high & mask.high, a.low & mask.low};
}

static nf_ip6_number last_of(nf_ip6_number a, unsigned length)
{
    const nf_ip6_number mask = mask_of(length);
    return (nf_ip6_number){a.high | ~mask.high, a.low | ~mask.low};
}

static nf_ip6_number plus(nf_ip6_number a, nf_ip6_number b)
{
    return (nf_ip6_number){a.high + b.high + (a.low + b.low < a.low), a.low + b.low};
}

static const nf_ip6_number one = {0, 1}, minus_one = {UINT64_MAX, UINT64_MAX};

static bool same(nf_ip6_number a, nf_ip6_number b) { return a.high == b.high && a.low == b.low; }

static int32_t longest(const prefixes *p, nf_ip6_number address)
{
    int32_t best = -1;
    for (size_t k = 0; k < p->n; k++)
        if (same(masked(address, p->length[k]), p->address[k]) && (best < 0 || p->length[k] > p->length[best]))
            best = (int32_t)k;
    return best;
}

static void pack(nf_ip6_number a, uint8_t packed[16])
{
    for (int k = 0; k < 8; k++) {
        packed[k] = (uint8_t)(a.high >> (56 - 8 * k));
        packed[8 + k] = (uint8_t)(a.low >> (56 - 8 * k));
    }
}

/* ---- making prefixes */

static nf_ip6_number draw6(void)
{
    return (nf_ip6_number){(uint64_t)draw() << 32 | draw(), (uint64_t)draw() << 32 | draw()};
}

static void add(prefixes *p, nf_ip6_number address, unsigned length)
{
    if (p->n == MOST)
        return;
    p->address[p->n] = masked(address, length);
    p->length[p->n++] = (uint8_t)length;
}

/* Addresses that are near each other, in one of several ways. */
static nf_ip6_number draw_near(nf_ip6_number centre)
{
    const unsigned bit = draw() % 128;
    nf_ip6_number other = draw6();
    switch (draw() % 4) {
    case 0:
        return other;
    case 1: /* some 512 networks of one size */
        other = masked(other, 128 - bit);
        return plus(centre, bit < 55 ? (nf_ip6_number){0, (uint64_t)(draw() % 512) << bit}
                                     : (nf_ip6_number){(uint64_t)(draw() % 512) << bit % 55, 0});
    case 2:
        return (nf_ip6_number){centre.high ^ (bit < 64 ? UINT64_C(1) << bit : 0),
                               centre.low ^ (bit < 64 ? 0 : UINT64_C(1) << (bit - 64))};
    default:
        other = (nf_ip6_number){other.high & ~mask_of(bit).high, other.low & ~mask_of(bit).low};
        return plus(masked(centre, bit), other);
    }
}

static void draw_prefixes(prefixes *p)
{
    const size_t n = draw() % 3 ? draw() % 20 : draw() % MOST;
    const nf_ip6_number centre = draw() % 8 ? draw6() : draw() % 2 ? minus_one : (nf_ip6_number){0, 0};
    const unsigned least = draw() % 129, most = least + draw() % (129 - least);
    p->n = 0;
    while (p->n < n) {
        const nf_ip6_number address = draw_near(centre);
        const unsigned length = least + draw() % (most - least + 1);
        add(p, address, length);
        if (draw() % 4 == 0) /* its neighbour */
            add(p, plus(last_of(address, length), one), length);
        if (draw() % 16 == 0) /* all on the way to it */
            for (unsigned l = 0; l <= 128; l++)
                add(p, address, l);
    }
}

/* ---- tests */

static prefixes given, sorted;

static int by_address(const void *a, const void *b)
{
    const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const nf_ip6_number x = given.address[i], y = given.address[j];
    if (!same(x, y))
        return x.high < y.high || (x.high == y.high && x.low < y.low) ? -1 : 1;
    return given.length[i] != given.length[j] ? given.length[i] - given.length[j] : (i > j) - (i < j);
}

static void test_sort(void)
{
    uint32_t order[MOST], expected[MOST];
    size_t k = 0;
    sorted = given;
    sorted.n = nf_sort_prefixes6(sorted.address, sorted.length, order, given.n);
    for (size_t i = 0; i < given.n; i++)
        expected[i] = (uint32_t)i;
    qsort(expected, given.n, sizeof *expected, by_address);
    for (size_t i = 0; i < given.n; i++) {
        const uint32_t e = expected[i];
        if (i + 1 < given.n && same(given.address[e], given.address[expected[i + 1]]) &&
            given.length[e] == given.length[expected[i + 1]])
            continue;
        check(k < sorted.n && order[k] == e, "the order of the prefixes");
        check(same(sorted.address[k], given.address[e]) && sorted.length[k] == given.length[e], "a sorted prefix");
        k++;
    }
    check(k == sorted.n, "how many prefixes remain");
}

/* Both ends of every prefix and what lies beside them; some more. */
static size_t draw_probes(nf_ip6_number *probe)
{
    size_t n = 0;
    for (size_t k = 0; k < sorted.n; k++) {
        const nf_ip6_number begin = sorted.address[k], end = last_of(begin, sorted.length[k]), any = draw6();
        const nf_ip6_number inside = {begin.high | (any.high & ~mask_of(sorted.length[k]).high),
                                      begin.low | (any.low & ~mask_of(sorted.length[k]).low)};
        const nf_ip6_number here[] = {begin, plus(begin, minus_one), end, plus(end, one), inside};
        memcpy(&probe[n], here, sizeof here);
        n += sizeof here / sizeof *here;
    }
    for (size_t more = draw() % 200; more; more--)
        probe[n++] = draw6();
    return n;
}

static void test_lookup(const nf_table *table, int32_t first)
{
    static nf_ip6_number probe[PROBES];
    static uint8_t packed[PROBES][16];
    static int32_t truth[PROBES];
    const size_t n = draw_probes(probe);
    for (size_t i = 0; i < n; i++) {
        const int32_t k = longest(&sorted, probe[i]);
        truth[i] = k < 0 ? -1 : first + k;
        pack(probe[i], packed[i]);
    }
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        uint8_t(*value)[16] = (uint8_t(*)[16])guarded(n * 16);
        int32_t *index = malloc(n * 4 + 1);
        memcpy(value, packed, n * 16);
        nf_active->ip6_lookup(table->bytes, (const uint8_t(*)[16])value, n, index);
        check(memcmp(index, truth, n * 4) == 0, "an answer");
        free(index);
        index = (int32_t *)guarded(n * 4);
        nf_active->ip6_lookup(table->bytes, (const uint8_t(*)[16])packed, n, index);
        check(memcmp(index, truth, n * 4) == 0, "an answer at the page's end");
    }
}

/* Every length of a call; nothing behind the answers is written. */
static void test_sizes(const nf_table *table, int32_t first)
{
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        for (size_t n = 0; n <= 200; n++) {
            uint8_t(*value)[16] = (uint8_t(*)[16])guarded(n * 16);
            nf_ip6_number address[200];
            int32_t index[201];
            index[n] = 0x5a5a5a5a;
            for (size_t i = 0; i < n; i++) {
                address[i] = draw() % 2 || !sorted.n ? draw6() : sorted.address[draw() % sorted.n];
                pack(address[i], value[i]);
            }
            nf_active->ip6_lookup(table->bytes, (const uint8_t(*)[16])value, n, index);
            check(index[n] == 0x5a5a5a5a, "written behind the answers");
            for (size_t i = 0; i < n; i++) {
                const int32_t k = longest(&sorted, address[i]);
                check(index[i] == (k < 0 ? -1 : first + k), "an answer of a short call");
            }
        }
    }
}

/* Damage that is accepted must be harmless. */
static void test_damage(const nf_table *table, int32_t first)
{
    const size_t cut = draw() % 4 ? table->size : draw() % (table->size + 1) & ~(size_t)63;
    uint8_t value[300][16];
    int32_t index[300];
    if (cut > GUARDED_MAX)
        return;
    for (size_t i = 0; i < 300; i++)
        pack(draw_near(sorted.n ? sorted.address[draw() % sorted.n] : one), value[i]);
    uint8_t *bytes = guarded(cut);
    memcpy(bytes, table->bytes, cut);
    const size_t hits = draw() % 3;
    for (size_t h = 0; h < hits && cut; h++) { /* half of it near the beginning, where it matters most */
        const size_t place = draw() % 2 ? draw() % cut : draw() % (cut < 128 ? cut : 128);
        bytes[place] ^= (uint8_t)(draw() % 2 ? 1u << draw() % 8 : draw());
    }
    const bool accepted = nf_ip6_table_check(bytes, cut, first, sorted.n);
    check(accepted || hits || cut < table->size, "a sound table was rejected");
    if (!accepted)
        return;
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        nf_active->ip6_lookup(bytes, (const uint8_t(*)[16])value, 300, index);
        for (size_t i = 0; i < 300; i++)
            check(index[i] == -1 || (index[i] >= first && (size_t)((int64_t)index[i] - first) < sorted.n),
                  "an answer out of range from an accepted table");
    }
}

static void test(void)
{
    static const int32_t firsts[] = {0, 0, 1000000, INT32_MAX - MOST};
    const int32_t first = firsts[draw() % 4];
    nf_table table;
    test_sort();
    check(nf_ip6_table_build(sorted.address, sorted.length, sorted.n, first, &table), "memory");
    check((uintptr_t)table.bytes % 64 == 0 && table.size % 64 == 0, "alignment");
    test_lookup(&table, first);
    if (draw() % 64 == 0 || sorted.n < 2)
        test_sizes(&table, first);
    for (int i = 0; i < 8; i++)
        test_damage(&table, first);
    free(table.bytes);
}

/* Networks of one size, side by side or some apart: lines, nodes of every stride. */
static void test_dense(void)
{
    for (unsigned length = 1; length <= 128; length++) {
        for (uint32_t apart = 1; apart <= 64; apart *= 4) {
            given.n = 0;
            const unsigned shift = 128 - length;
            for (uint64_t k = 0; k < MOST; k += apart)
                add(&given, shift < 64 ? (nf_ip6_number){UINT64_C(0x20010db8) << 32, k << shift}
                                       : (nf_ip6_number){UINT64_C(0x20010db8) << 32 ^ k << (shift - 64), 0}, length);
            test();
        }
    }
}

int main(void)
{
    nf_kernels_use(NULL);
    given.n = 0;
    test();
    add(&given, minus_one, 0);
    test();
    for (unsigned length = 0; length <= 128; length++) /* a chain to the last address */
        add(&given, minus_one, length);
    test();
    test_dense();
    for (int round = 0; round < ROUNDS; round++) {
        draw_prefixes(&given);
        test();
    }
    return 0;
}
