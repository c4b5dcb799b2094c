/* tally_test.c - counts of addresses, added by several threads at once, against counts kept in plain arrays.
 *
 * An address is made from its number, so that arrays indexed by the number hold the truth.
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nf_tally.h"

enum { THREADS = 4, CALL = 3000 };

#ifdef __has_feature /* clang's way to say so */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
enum { SCALE = 1 };
#else
enum { SCALE = 2 };
#endif

/* ---- seeded numbers */

typedef struct {
    uint64_t state;
} source;

static uint64_t draw(source *s)
{
    s->state ^= s->state << 13;
    s->state ^= s->state >> 7;
    s->state ^= s->state << 17;
    return s->state * 0x2545F4914F6CDD1Du >> 16;
}

static void fail(const char *why, uint64_t got, uint64_t wanted)
{
    printf("%s: %llu, not %llu\n", why, (unsigned long long)got, (unsigned long long)wanted);
    exit(1);
}

/* ---- addresses by number */

/* Every third one is IPv6; neighbours share networks, `hosts` to one. */
typedef struct {
    uint8_t packed[16];
    uint8_t version;
} address;

static address make(uint32_t number, uint32_t hosts)
{
    address a = {.version = number % 3 ? 4 : 6};
    const uint32_t network = number / 3 / hosts, host = number / 3 % hosts;
    if (a.version == 4) {
        a.packed[10] = a.packed[11] = 0xff;
        a.packed[12] = (uint8_t)(network >> 15);
        a.packed[13] = (uint8_t)(network >> 7);
        a.packed[14] = (uint8_t)(network << 1 | (number % 3 - 1));
        a.packed[15] = (uint8_t)host;
    } else {
        memcpy(a.packed, (uint8_t[]){0x20, 0x01}, 2);
        for (int b = 0; b < 4; b++) {
            a.packed[2 + b] = (uint8_t)(network >> (24 - 8 * b));
            a.packed[6 + 3 * b] = (uint8_t)(host >> (24 - 8 * b));
        }
    }
    return a;
}

static address network_of(address a)
{
    memset(a.packed + (a.version == 4 ? 15 : 6), 0, a.version == 4 ? 1 : 10);
    return a;
}

static bool before(const nf_top *a, const nf_top *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    if (a->version != b->version)
        return a->version < b->version;
    return memcmp(a->packed, b->packed, 16) < 0;
}

static int in_order(const void *a, const void *b)
{
    return before(a, b) ? -1 : before(b, a);
}

/* ---- adding */

typedef struct {
    nf_tally *tally;
    const uint32_t *numbers;
    size_t n;
    uint32_t hosts;
    bool fine;
} share;

static nf_hits room_for(size_t capacity)
{
    nf_hits hits = {.capacity = capacity};
    hits.version = malloc(capacity);
    hits.packed = malloc(capacity * 16);
    return hits;
}

static void *add_share(void *argument)
{
    share *mine = argument;
    nf_hits hits = room_for(CALL);
    mine->fine = true;
    for (size_t i = 0; i < mine->n; i++) {
        const address a = make(mine->numbers[i], mine->hosts);
        hits.version[hits.n] = a.version;
        memcpy(hits.packed[hits.n++], a.packed, 16);
        if (hits.n == CALL || i + 1 == mine->n) {
            mine->fine &= nf_tally_add(mine->tally, &hits);
            hits.n = 0;
        }
    }
    nf_hits_free(&hits);
    return NULL;
}

static nf_tally *add(const uint32_t *numbers, size_t n, uint32_t hosts, size_t threads, uint64_t max_distinct)
{
    nf_tally *tally = nf_tally_new(max_distinct, 0x1234567890ABCDEFu + n);
    pthread_t thread[THREADS];
    share shares[THREADS];
    for (size_t t = 0; t < threads; t++) {
        const size_t first = n * t / threads, last = n * (t + 1) / threads;
        shares[t] = (share){tally, numbers + first, last - first, hosts, false};
        if (pthread_create(&thread[t], NULL, add_share, &shares[t]) != 0)
            fail("pthread_create", 1, 0);
    }
    for (size_t t = 0; t < threads; t++) {
        pthread_join(thread[t], NULL);
        if (!shares[t].fine)
            fail("memory", 0, 1);
    }
    return tally;
}

/* ---- the truth */

typedef struct {
    nf_top *all;
    size_t n;
} truth;

static truth sorted(truth t)
{
    qsort(t.all, t.n, sizeof *t.all, in_order);
    return t;
}

static truth addresses_of(const uint64_t *counts, size_t most, uint32_t hosts)
{
    truth t = {calloc(most, sizeof *t.all), 0};
    for (uint32_t number = 0; number < most; number++) {
        if (!counts[number])
            continue;
        const address a = make(number, hosts);
        nf_top *one = &t.all[t.n++];
        one->version = a.version;
        one->count = counts[number];
        memcpy(one->packed, a.packed, 16);
    }
    return sorted(t);
}

static int by_network(const void *a, const void *b)
{
    const nf_top *x = a, *y = b;
    return x->version != y->version ? x->version - y->version : memcmp(x->packed, y->packed, 16);
}

static truth networks_of(const truth *addresses)
{
    truth t = {calloc(addresses->n + 1, sizeof *t.all), 0};
    nf_top *each = calloc(addresses->n + 1, sizeof *each);
    for (size_t i = 0; i < addresses->n; i++) {
        address a = {.version = addresses->all[i].version};
        memcpy(a.packed, addresses->all[i].packed, 16);
        a = network_of(a);
        each[i] = addresses->all[i];
        memcpy(each[i].packed, a.packed, 16);
    }
    qsort(each, addresses->n, sizeof *each, by_network);
    for (size_t i = 0; i < addresses->n; i++) {
        if (t.n && by_network(&t.all[t.n - 1], &each[i]) == 0)
            t.all[t.n - 1].count += each[i].count;
        else
            t.all[t.n++] = each[i];
    }
    free(each);
    return sorted(t);
}

/* ---- comparing */

static void check_exact(const char *what, const nf_top *top, size_t n, size_t k, const truth *wanted)
{
    if (n != (k < wanted->n ? k : wanted->n))
        fail(what, n, k < wanted->n ? k : wanted->n);
    for (size_t i = 0; i < n; i++) {
        if (top[i].count != wanted->all[i].count)
            fail(what, top[i].count, wanted->all[i].count);
        if (in_order(&top[i], &wanted->all[i]) != 0)
            fail("order among equals", top[i].packed[15], wanted->all[i].packed[15]);
    }
}

/* How often an address or network really occurs. */
static uint64_t count_of(const truth *t, const nf_top *one)
{
    for (size_t i = 0; i < t->n; i++)
        if (by_network(&t->all[i], one) == 0)
            return t->all[i].count;
    return 0;
}

/* Counts may be too low by `error`, never too high; what occurs more often than that is there. */
static void check_bounded(const char *what, const nf_top *top, size_t n, size_t k, const truth *wanted, uint64_t error)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t real = count_of(wanted, &top[i]);
        if (top[i].count > real || top[i].count + error < real)
            fail(what, top[i].count, real);
        if (i && !before(&top[i - 1], &top[i]))
            fail("order", top[i - 1].count, top[i].count);
    }
    const uint64_t least = n == k && n ? top[n - 1].count : 0;
    for (size_t w = 0; w < wanted->n && wanted->all[w].count > least + error; w++) {
        size_t i = 0;
        while (i < n && by_network(&top[i], &wanted->all[w]) != 0)
            i++;
        if (i == n)
            fail("a frequent one is missing", least, wanted->all[w].count);
    }
}

static uint64_t *count_numbers(const uint32_t *numbers, size_t n, size_t most)
{
    uint64_t *counts = calloc(most, sizeof *counts);
    for (size_t i = 0; i < n; i++)
        counts[numbers[i]]++;
    return counts;
}

/* Many small numbers, few large ones. */
static uint32_t *skewed_numbers(source *s, size_t n, size_t most)
{
    uint32_t *numbers = calloc(n + 1, sizeof *numbers);
    for (size_t i = 0; i < n; i++) {
        const double u = (double)(draw(s) % 1000003) / 1000003;
        numbers[i] = (uint32_t)(u * u * u * u * (double)most);
    }
    return numbers;
}

/* ---- tests */

static void test_exact(size_t n, size_t most, uint32_t hosts, size_t threads, uint64_t max_distinct, size_t k)
{
    source s = {n * 31 + most + 1};
    uint32_t *numbers = skewed_numbers(&s, n, most);
    uint64_t *counts = count_numbers(numbers, n, most);
    truth wanted = addresses_of(counts, most, hosts), networks = networks_of(&wanted);
    nf_tally *tally = add(numbers, n, hosts, threads, max_distinct ? max_distinct : wanted.n ? wanted.n : 1);
    nf_top *top = malloc((k + 1) * sizeof *top);
    bool estimated = true;
    size_t got = 0;

    if (nf_tally_unique(tally, &estimated) != wanted.n)
        fail("unique", nf_tally_unique(tally, &estimated), wanted.n);
    if (estimated || nf_tally_error(tally) != 0)
        fail("an exact count said to be estimated", nf_tally_error(tally), 0);
    got = nf_tally_top(tally, k, top);
    check_exact("top", top, got, k, &wanted);
    if (!nf_tally_top_networks(tally, k, top, &got))
        fail("memory", 0, 1);
    check_exact("networks", top, got, k, &networks);
    if (nf_tally_error(tally) != 0)
        fail("error of networks", nf_tally_error(tally), 0);
    nf_tally_free(tally);
    free(top);
    free(wanted.all);
    free(networks.all);
    free(counts);
    free(numbers);
}

static void test_bounded(size_t n, size_t most, uint32_t hosts, size_t threads, uint64_t max_distinct, size_t k)
{
    source s = {n * 31 + most + 1};
    uint32_t *numbers = skewed_numbers(&s, n, most);
    uint64_t *counts = count_numbers(numbers, n, most);
    truth wanted = addresses_of(counts, most, hosts), networks = networks_of(&wanted);
    nf_tally *tally = add(numbers, n, hosts, threads, max_distinct);
    nf_top *top = malloc((k + 1) * sizeof *top);
    bool estimated = false;
    size_t got;

    const uint64_t unique = nf_tally_unique(tally, &estimated);
    if (!estimated)
        fail("estimated", 0, 1);
    if (fabs((double)unique - (double)wanted.n) > 0.02 * (double)wanted.n + 3)
        fail("unique, estimated", unique, wanted.n);
    got = nf_tally_top(tally, k, top);
    check_bounded("top, bounded", top, got, k, &wanted, nf_tally_error(tally));
    if (!nf_tally_top_networks(tally, k, top, &got))
        fail("memory", 0, 1);
    check_bounded("networks, bounded", top, got, k, &networks, nf_tally_error(tally));
    nf_tally_free(tally);
    free(top);
    free(wanted.all);
    free(networks.all);
    free(counts);
    free(numbers);
}

/* All of the tables are kept below the bound, but for a few in shards that hold nothing else. */
static void test_the_bound_holds(void)
{
    const size_t n = 40000, max_distinct = 1000;
    uint32_t *numbers = calloc(n, sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (uint32_t)i;
    nf_tally *tally = add(numbers, n, 7, 1, max_distinct);
    nf_top *top = malloc(n * sizeof *top);
    size_t kept = nf_tally_top(tally, n, top);
    if (kept > max_distinct + 128 || kept < max_distinct / 4)
        fail("addresses kept", kept, max_distinct);
    if (!nf_tally_top_networks(tally, n, top, &kept) || kept > max_distinct / 4 + 128)
        fail("networks kept", kept, max_distinct / 4);
    nf_tally_free(tally);
    free(top);
    free(numbers);
}

/* Five standard errors at most, also near 2.5 times as many as registers, where others are weak. */
static void test_estimates(void)
{
    static const size_t sizes[] = {100, 10000, 100000, 163840, 200000, 400000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint32_t *numbers = calloc(sizes[k], sizeof *numbers);
        for (size_t i = 0; i < sizes[k]; i++)
            numbers[i] = (uint32_t)(i + k * 1000003);
        nf_tally *tally = add(numbers, sizes[k], 3, 1, 50);
        bool estimated = false;
        const double unique = (double)nf_tally_unique(tally, &estimated);
        if (!estimated || fabs(unique / (double)sizes[k] - 1) > 0.02)
            fail("estimate", (uint64_t)unique, sizes[k]);
        nf_tally_free(tally);
        free(numbers);
    }
}

/* Frequent ones are never dropped to make room for rare ones, even where there are more of them than room, and the
 * bound of the error is what was dropped, not what might have been. */
static void test_frequent_ones_stay(void)
{
    enum { FREQUENT = 400, TIMES = 3000, RARE = 50000 };
    const size_t n = FREQUENT * TIMES + RARE;
    uint32_t *numbers = calloc(n, sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (uint32_t)(i < FREQUENT * TIMES ? i / TIMES : FREQUENT + i - FREQUENT * TIMES);
    nf_tally *tally = add(numbers, n, 9, 1, FREQUENT / 2);
    static nf_top top[FREQUENT];
    if (nf_tally_top(tally, FREQUENT, top) != FREQUENT)
        fail("frequent ones", nf_tally_top(tally, FREQUENT, top), FREQUENT);
    for (size_t i = 0; i < FREQUENT; i++)
        if (top[i].count != TIMES)
            fail("count of a frequent one", top[i].count, TIMES);
    if (nf_tally_error(tally) == 0 || nf_tally_error(tally) > RARE)
        fail("error", nf_tally_error(tally), RARE);
    nf_tally_free(tally);
    free(numbers);
}

/* More than were to be kept, but none of them rare: all are, and nothing is estimated. */
static void test_nothing_rare(void)
{
    enum { FREQUENT = 300, TIMES = 1500 };
    uint32_t *numbers = calloc(FREQUENT * TIMES, sizeof *numbers);
    for (size_t i = 0; i < FREQUENT * TIMES; i++)
        numbers[i] = (uint32_t)(i / TIMES);
    nf_tally *tally = add(numbers, FREQUENT * TIMES, 9, 1, 100);
    bool estimated = true;
    if (nf_tally_unique(tally, &estimated) != FREQUENT || estimated || nf_tally_error(tally) != 0)
        fail("unique where nothing is rare", nf_tally_unique(tally, &estimated), FREQUENT);
    nf_tally_free(tally);
    free(numbers);
}

static void test_nothing(void)
{
    nf_tally *tally = nf_tally_new(1, 0);
    nf_hits none = {0};
    nf_top top[1];
    bool estimated = true;
    size_t n = 1;
    if (!nf_tally_add(tally, &none) || nf_tally_unique(tally, &estimated) != 0 || estimated)
        fail("unique of nothing", 1, 0);
    if (nf_tally_top(tally, 1, top) != 0 || nf_tally_top(tally, 0, NULL) != 0)
        fail("top of nothing", 1, 0);
    if (!nf_tally_top_networks(tally, 1, top, &n) || n != 0)
        fail("networks of nothing", n, 0);
    nf_tally_free(tally);
    nf_tally_free(NULL);
}

int main(void)
{
    test_nothing();
    for (size_t n = 1; n < 300; n += 13)
        for (size_t k = 0; k < 12; k += 1 + k / 3)
            test_exact(n, 1 + n / 2, 3, 1 + n % THREADS, 0, k);
    test_exact(200000 * SCALE, 30000, 11, THREADS, 0, 100);
    test_exact(200000 * SCALE, 100000, 200, THREADS, 10000000, 40000);
    test_exact(100000 * SCALE, 100, 1, THREADS, 0, 1000);
    for (uint64_t max_distinct = 1; max_distinct <= 4096; max_distinct *= 4)
        test_bounded(40000 * SCALE, 20000, 5, THREADS, max_distinct, 20);
    test_bounded(100000 * SCALE, 100000 * SCALE, 1, THREADS, 2000, 20);
    test_bounded(100000 * SCALE, 100000 * SCALE, 250, THREADS, 2000, 20);
    test_bounded(300000 * SCALE, 300000 * SCALE, 30, 1, 10000, 20);
    test_the_bound_holds();
    test_frequent_ones_stay();
    test_nothing_rare();
    test_estimates();
    printf("tally: right, on %d threads\n", THREADS);
    return 0;
}
