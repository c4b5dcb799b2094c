/* ip4_table_test.c - longest-prefix match of IPv4: tables against a slow look at every prefix, sorting against qsort,
 * and damaged tables against the promise of nf_ip4_table_check.
 *
 * Queries and answers end at a page that cannot be touched; so do damaged tables.
 */
#define _GNU_SOURCE
#include "nf_ip4_table.h"

#include "nf_dispatch.h"

#define KIT_FORM nf_active->name
#include "kit.h"

enum { MOST = 400, MANY = 20000 /* enough for a wide root */, PROBES = 6 * MOST };

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
enum { ROUNDS = 300 };
#else
enum { ROUNDS = 3000 };
#endif

typedef struct {
    uint32_t address[MANY];
    uint8_t length[MANY];
    size_t n;
} prefixes;

/* ---- the truth */

static uint32_t mask_of(uint8_t length) { return length ? UINT32_MAX << (32 - length) : 0; }

static int32_t longest(const prefixes *p, uint32_t address)
{
    int32_t best = -1;
    for (size_t k = 0; k < p->n; k++)
        if ((address & mask_of(p->length[k])) == p->address[k] && (best < 0 || p->length[k] > p->length[best]))
            best = (int32_t)k;
    return best;
}

/* ---- making prefixes */

static void add(prefixes *p, uint32_t address, unsigned length)
{
    if (p->n == MANY)
        return;
    p->address[p->n] = address & mask_of((uint8_t)length);
    p->length[p->n++] = (uint8_t)length;
}

/* Addresses that are near each other, in one of several ways. */
static uint32_t draw_near(uint32_t centre)
{
    switch (draw() % 4) {
    case 0:
        return draw();
    case 1:
        return centre + draw() % 512 - 256;
    case 2:
        return centre ^ 1u << draw() % 32;
    default:
        return centre ^ (draw() & UINT32_MAX >> draw() % 32);
    }
}

static void draw_prefixes(prefixes *p)
{
    const size_t n = draw() % 3 ? draw() % 20 : draw() % MOST;
    const uint32_t centre = draw() % 8 ? draw() : (uint32_t)-(int32_t)(draw() % 2);
    const unsigned least = draw() % 33;
    p->n = 0;
    while (p->n < n) {
        const uint32_t address = draw_near(centre);
        const unsigned length = least + draw() % (33 - least);
        add(p, address, length);
        if (draw() % 4 == 0) /* its neighbour */
            add(p, address + (length ? 1u << (32 - length) : 0), length);
        if (draw() % 8 == 0) /* all on the way to it */
            for (unsigned l = 0; l <= 32; l++)
                add(p, address, l);
    }
}

/* ---- tests */

static prefixes given, sorted;

static int by_address(const void *a, const void *b)
{
    const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (given.address[i] != given.address[j])
        return given.address[i] < given.address[j] ? -1 : 1;
    return given.length[i] != given.length[j] ? given.length[i] - given.length[j] : (i > j) - (i < j);
}

static void test_sort(void)
{
    static uint32_t order[MANY], expected[MANY];
    size_t k = 0;
    sorted = given;
    sorted.n = nf_sort_prefixes4(sorted.address, sorted.length, order, given.n);
    for (size_t i = 0; i < given.n; i++)
        expected[i] = (uint32_t)i;
    qsort(expected, given.n, sizeof *expected, by_address);
    for (size_t i = 0; i < given.n; i++) {
        const uint32_t e = expected[i];
        if (i + 1 < given.n && given.address[e] == given.address[expected[i + 1]] &&
            given.length[e] == given.length[expected[i + 1]])
            continue;
        check(k < sorted.n && order[k] == e, "the order of the prefixes");
        check(sorted.address[k] == given.address[e] && sorted.length[k] == given.length[e], "a sorted prefix");
        k++;
    }
    check(k == sorted.n, "how many prefixes remain");
}

/* Both ends of every prefix (of many: of some) and what lies beside them; some more. */
static size_t draw_probes(uint32_t *probe)
{
    size_t n = 0;
    for (size_t k = 0; k < sorted.n; k += 1 + draw() % (1 + 2 * (sorted.n / MOST))) {
        if (n + 5 > PROBES - 200)
            break;
        const uint32_t begin = sorted.address[k], end = begin | ~mask_of(sorted.length[k]);
        const uint32_t here[] = {begin, begin - 1, end, end + 1, begin | (draw() & ~mask_of(sorted.length[k]))};
        memcpy(&probe[n], here, sizeof here);
        n += sizeof here / sizeof *here;
    }
    for (size_t more = draw() % 200; more; more--)
        probe[n++] = draw();
    return n;
}

static void test_lookup(const nf_table *table, int32_t first)
{
    static uint32_t probe[PROBES];
    static int32_t truth[PROBES];
    const size_t n = draw_probes(probe);
    for (size_t i = 0; i < n; i++) {
        const int32_t k = longest(&sorted, probe[i]);
        truth[i] = k < 0 ? -1 : first + k;
    }
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        uint32_t *value = (uint32_t *)guarded(n * 4);
        int32_t *index = malloc(n * 4 + 1);
        memcpy(value, probe, n * 4);
        nf_active->ip4_lookup(table->bytes, value, n, index);
        check(memcmp(index, truth, n * 4) == 0, "an answer");
        free(index);
        memcpy(guarded(n * 4), probe, n * 4); /* in place: the answers end at the page */
        index = (int32_t *)guarded(n * 4);
        nf_active->ip4_lookup(table->bytes, probe, n, index);
        check(memcmp(index, truth, n * 4) == 0, "an answer at the page's end");
    }
}

/* Every length of a call; nothing behind the answers is written. */
static void test_sizes(const nf_table *table, int32_t first)
{
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        for (size_t n = 0; n <= 200; n++) {
            uint32_t *value = (uint32_t *)guarded(n * 4);
            int32_t index[201];
            index[n] = 0x5a5a5a5a;
            for (size_t i = 0; i < n; i++)
                value[i] = draw() % 2 || !sorted.n ? draw() : sorted.address[draw() % sorted.n];
            nf_active->ip4_lookup(table->bytes, value, n, index);
            check(index[n] == 0x5a5a5a5a, "written behind the answers");
            for (size_t i = 0; i < n; i++) {
                const int32_t k = longest(&sorted, value[i]);
                check(index[i] == (k < 0 ? -1 : first + k), "an answer of a short call");
            }
        }
    }
}

/* Damage that is accepted must be harmless. */
static void test_damage(const nf_table *table, int32_t first)
{
    const size_t cut = draw() % 4 ? table->size : draw() % (table->size + 1) & ~(size_t)63;
    uint32_t value[300];
    int32_t index[300];
    if (cut > GUARDED_MAX)
        return;
    for (size_t i = 0; i < 300; i++)
        value[i] = draw_near(sorted.n ? sorted.address[draw() % sorted.n] : 0);
    uint8_t *bytes = guarded(cut);
    memcpy(bytes, table->bytes, cut);
    const size_t hits = draw() % 3;
    for (size_t h = 0; h < hits && cut; h++) { /* half of it near the beginning, where it matters most */
        const size_t place = draw() % 2 ? draw() % cut : draw() % (cut < 128 ? cut : 128);
        bytes[place] ^= (uint8_t)(draw() % 2 ? 1u << draw() % 8 : draw());
    }
    const bool accepted = nf_ip4_table_check(bytes, cut, first, sorted.n);
    check(accepted || hits || cut < table->size, "a sound table was rejected");
    if (!accepted)
        return;
    for (size_t f = 0; nf_kernels_name(f) && nf_kernels_use(nf_kernels_name(f)); f++) {
        nf_active->ip4_lookup(bytes, value, 300, index);
        for (size_t i = 0; i < 300; i++)
            check(index[i] == -1 || (index[i] >= first && (size_t)((int64_t)index[i] - first) < sorted.n),
                  "an answer out of range from an accepted table");
    }
}

static void test(void)
{
    static const int32_t firsts[] = {0, 0, 1000000, INT32_MAX - MANY};
    const int32_t first = firsts[draw() % 4];
    nf_table table;
    test_sort();
    check(nf_ip4_table_build(sorted.address, sorted.length, sorted.n, first, &table), "memory");
    check((uintptr_t)table.bytes % 64 == 0 && table.size % 64 == 0, "alignment");
    test_lookup(&table, first);
    if (draw() % 64 == 0 || sorted.n < 2 || sorted.n > MOST)
        test_sizes(&table, first);
    for (int i = 0; i < 8; i++)
        test_damage(&table, first);
    free(table.bytes);
}

/* Every prefix of 32 - n bits inside one network, n from 0 to 8: a table without a gap. */
static void test_dense(void)
{
    for (unsigned length = 24; length <= 32; length++) {
        given.n = 0;
        for (uint32_t k = 0; k < MOST; k++)
            add(&given, 0x0a000000 + (k << (32 - length)), length);
        test();
    }
}

/* More than a small root is for: networks all over, some of them cut below /24. */
static void test_wide(void)
{
    given.n = 0;
    while (given.n < MANY) {
        const uint32_t address = draw();
        const unsigned length = draw() % 8 ? 8 + draw() % 17 : 25 + draw() % 8;
        add(&given, address, length);
        for (unsigned more = draw() % 16 ? 0 : draw() % 40; more; more--)
            add(&given, address + (draw() & 1023), 24 + draw() % 9);
    }
    test();
}

int main(void)
{
    nf_kernels_use(NULL);
    given.n = 0;
    test();
    add(&given, 0, 0);
    test();
    for (unsigned length = 0; length <= 32; length++) /* a chain to the last address */
        add(&given, UINT32_MAX, length);
    test();
    test_dense();
    test_wide();
    for (int round = 0; round < ROUNDS; round++) {
        draw_prefixes(&given);
        test();
    }
    return 0;
}
