/* nf_tally.c - counts in 64 shards by hash, each with a lock and a table a family.
 *
 *      hash   63..58 shard | 57..48 register of the sketch | 47..16 slot, scaled to the capacity | the rank of the rest
 *
 * Threads meet rarely, and a table that grows by half does so for one address in 64.  A table keeps 0.53 to 0.8 of its
 * slots in use: 8 bytes a slot for IPv4, 20 for IPv6.
 *
 * When there are more different addresses than the caller wants kept, the shard that needs room drops its rarest
 * (lossy counting, Manku and Motwani 2002): a count can then be too low by what was ever dropped.  Their networks keep
 * what they had.  Every address that enters a table also enters the sketch (HyperLogLog, Flajolet et al. 2007), so the
 * number of different ones stays known.
 */
#include "nf_tally.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    SHARD_BITS = 6,
    SHARDS = 1 << SHARD_BITS,
    REGISTER_BITS = 10, /* of a shard: 65,536 in all */
    REGISTERS = 1 << REGISTER_BITS,
    FIRST_CAPACITY = 64,
    SMALL_COUNTS = 1024, /* counts told apart when the rarest are looked for */
    IP4_WORDS = 1,
    IP6_WORDS = 4,
    RANK_MAX = 17,
    LEAST_BATCH = 1024,
    NETWORKS_SHARE = 4, /* networks kept beside dropped addresses: this part of max_distinct */
};

/* Open addressing; a slot is the key's words and a count, 0 for an empty slot. */
typedef struct {
    uint32_t *slots;
    uint32_t capacity, used;
} nf_table;

typedef struct {
    pthread_mutex_t lock;
    nf_table ip4, ip6;
    uint64_t error; /* the most that any count in here can be too low */
    uint8_t registers[REGISTERS];
} nf_shard;

struct nf_tally {
    nf_shard address[SHARDS], network[SHARDS];
    uint64_t max_distinct, seed;
    _Atomic uint64_t distinct, networks; /* kept in the tables now */
    _Atomic bool dropped;
    _Atomic size_t turn; /* where the next batch begins */
};

/* ---- hashing ---------------------------------------------------------------------------------------------------- */

/* The finaliser of MurmurHash3: every bit of the input moves every bit of the output. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static inline uint64_t hash(const uint32_t *key, int words, uint64_t seed)
{
    if (words == IP4_WORDS)
        return mix(key[0] ^ seed);
    uint64_t high = (uint64_t)key[0] << 32 | key[1], low = (uint64_t)key[2] << 32 | key[3];
    return mix(mix(high ^ seed) + low);
}

static inline unsigned shard_of(uint64_t h) { return (unsigned)(h >> (64 - SHARD_BITS)); }

static inline uint32_t slot_of(uint64_t h, uint32_t capacity)
{
    return (uint32_t)(((h >> 16 & 0xFFFFFFFF) * capacity) >> 32);
}

/* The place of the first one among the low 16 bits: HyperLogLog's rank, up to 17 (2^16 registers and 2^16 values of a
 * rank count to some 10^9 before they fill up). */
static inline uint8_t rank_of(uint64_t h) { return (uint8_t)(__builtin_ctzll((h & 0xFFFF) | 0x10000) + 1); }

static inline void sketch(nf_shard *shard, uint64_t h)
{
    uint8_t *reg = &shard->registers[h >> (64 - SHARD_BITS - REGISTER_BITS) & (REGISTERS - 1)];
    if (*reg < rank_of(h))
        *reg = rank_of(h);
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static inline uint32_t *slot_at(const nf_table *table, int words, uint32_t slot)
{
    return table->slots + (size_t)slot * (size_t)(words + 1);
}

static inline void prefetch(const nf_table *table, int words, uint64_t h)
{
    if (table->capacity)
        NF_PREFETCH(slot_at(table, words, slot_of(h, table->capacity)));
}

/* The key's slot, or the empty one where it belongs; capacity is not 0. */
static inline uint32_t *find(const nf_table *table, int words, const uint32_t *key, uint64_t h)
{
    uint32_t slot = slot_of(h, table->capacity);
    for (;;) {
        uint32_t *at = slot_at(table, words, slot);
        if (at[words] == 0 || memcmp(at, key, (size_t)words * 4) == 0)
            return at;
        slot = slot + 1 < table->capacity ? slot + 1 : 0;
    }
}

static inline uint32_t saturated(uint32_t count, uint64_t more)
{
    uint64_t sum = count + more;
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

static bool resize(nf_table *table, int words, uint32_t capacity, uint64_t seed)
{
    nf_table larger = {calloc(capacity, (size_t)(words + 1) * 4), capacity, table->used};
    if (!larger.slots)
        return false;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        const uint32_t *from = slot_at(table, words, slot);
        if (from[words])
            memcpy(find(&larger, words, from, hash(from, words, seed)), from, (size_t)(words + 1) * 4);
    }
    free(table->slots);
    *table = larger;
    return true;
}

/* Room for one more; at most 0.8 of the slots are used. */
static inline bool reserve(nf_table *table, int words, uint64_t seed)
{
    if ((uint64_t)(table->used + 1) * 5 <= (uint64_t)table->capacity * 4)
        return true;
    return resize(table, words, table->capacity ? table->capacity + table->capacity / 2 : FIRST_CAPACITY, seed);
}

/* ---- dropping the rarest ---------------------------------------------------------------------------------------- */

static bool add_network(nf_tally *tally, int words, const uint32_t *address, uint64_t count);

/* The smallest count such that those up to it are at least half of the table. */
static uint32_t rare_count(const nf_table *table, int words)
{
    uint32_t with_count[SMALL_COUNTS] = {0}, seen = 0;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        uint32_t count = slot_at(table, words, slot)[words];
        with_count[count < SMALL_COUNTS ? count : SMALL_COUNTS - 1] += count != 0;
    }
    for (uint32_t count = 1; count < SMALL_COUNTS - 1; count++)
        if ((seen += with_count[count]) * 2 >= table->used)
            return count;
    return SMALL_COUNTS - 1;
}

/* Drops what occurs at most `rare` times, *most at most; dropped addresses are folded into their networks. */
static bool drop_rare(nf_tally *tally, nf_table *table, int words, uint32_t rare, bool addresses, uint32_t *most)
{
    nf_table kept = {calloc(table->capacity, (size_t)(words + 1) * 4), table->capacity, 0};
    if (!kept.slots)
        return false;
    bool fine = true;
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        const uint32_t *from = slot_at(table, words, slot);
        if (from[words] > rare) {
            memcpy(find(&kept, words, from, hash(from, words, tally->seed)), from, (size_t)(words + 1) * 4);
            kept.used++;
        } else if (from[words]) {
            *most = from[words] > *most ? from[words] : *most;
            if (addresses)
                fine &= add_network(tally, words, from, from[words]);
        }
    }
    free(table->slots);
    *table = kept;
    return fine;
}

/* The fuller of the shard's tables gives way, or one family would starve the other. */
static bool make_room(nf_tally *tally, nf_shard *shard, _Atomic uint64_t *kept)
{
    nf_table *table = shard->ip4.used >= shard->ip6.used ? &shard->ip4 : &shard->ip6;
    int words = table == &shard->ip4 ? IP4_WORDS : IP6_WORDS;
    uint32_t before = table->used, rare = rare_count(table, words), most = 0;
    bool fine = drop_rare(tally, table, words, rare, kept == &tally->distinct, &most);
    if (table->used == before)
        return fine; /* it is empty, or all are frequent and stay */
    atomic_fetch_sub(kept, before - table->used);
    atomic_store(&tally->dropped, true);
    shard->error += most;
    return fine;
}

/* ---- counting --------------------------------------------------------------------------------------------------- */

/* Adds to a key's count; the shard is locked. */
static inline bool count_key(nf_tally *tally, nf_shard *shard, int words, const uint32_t *key, uint64_t h,
                             uint64_t more, _Atomic uint64_t *kept, uint64_t most)
{
    nf_table *table = words == IP4_WORDS ? &shard->ip4 : &shard->ip6;
    if (NF_UNLIKELY(!reserve(table, words, tally->seed)))
        return false;
    uint32_t *slot = find(table, words, key, h);
    if (NF_LIKELY(slot[words] != 0)) {
        slot[words] = saturated(slot[words], more);
        return true;
    }
    if (NF_UNLIKELY(atomic_load_explicit(kept, memory_order_relaxed) >= most)) {
        if (!make_room(tally, shard, kept))
            return false;
        slot = find(table, words, key, h);
    }
    memcpy(slot, key, (size_t)words * 4);
    slot[words] = saturated(0, more);
    table->used++;
    atomic_fetch_add_explicit(kept, 1, memory_order_relaxed);
    sketch(shard, h);
    return true;
}

/* The /24 or /48 of an address. */
static void network_key(int words, const uint32_t *address, uint32_t key[IP6_WORDS])
{
    memset(key, 0, IP6_WORDS * 4);
    key[0] = words == IP4_WORDS ? address[0] & 0xFFFFFF00 : address[0];
    if (words == IP6_WORDS)
        key[1] = address[1] & 0xFFFF0000;
}

static bool add_network(nf_tally *tally, int words, const uint32_t *address, uint64_t count)
{
    uint32_t key[IP6_WORDS];
    network_key(words, address, key);
    uint64_t h = hash(key, words, tally->seed);
    nf_shard *shard = &tally->network[shard_of(h)];
    pthread_mutex_lock(&shard->lock);
    bool fine = count_key(tally, shard, words, key, h, count, &tally->networks, tally->max_distinct / NETWORKS_SHARE);
    pthread_mutex_unlock(&shard->lock);
    return fine;
}

/* The words of a packed address, most significant first. */
static inline void key_of(const uint8_t packed[16], int words, uint32_t key[IP6_WORDS])
{
    for (int k = 0; k < words; k++)
        key[k] = nf_load_be32(packed + 4 * (IP6_WORDS - words + k));
}

/* Addresses of one family by shard: those of shard s have begin[s] <= k < begin[s + 1]. */
typedef struct {
    uint64_t *hash, *unsorted_hash;
    uint32_t *key, *row;
    uint32_t begin[SHARDS + 1];
} nf_sorted;

static void free_sorted(nf_sorted *sorted)
{
    free(sorted->hash);
    free(sorted->unsorted_hash);
    free(sorted->key);
    free(sorted->row);
}

static bool alloc_sorted(nf_sorted *sorted, size_t n)
{
    sorted->hash = malloc(n * sizeof *sorted->hash);
    sorted->unsorted_hash = malloc(n * sizeof *sorted->unsorted_hash);
    sorted->key = malloc(n * IP6_WORDS * sizeof *sorted->key);
    sorted->row = malloc(n * sizeof *sorted->row);
    return sorted->hash && sorted->unsorted_hash && sorted->key && sorted->row;
}

static inline void sort_by_shard(const nf_packed packed, size_t n, int words, uint64_t seed, nf_sorted *sorted)
{
    uint32_t next[SHARDS], key[IP6_WORDS];
    memset(sorted->begin, 0, sizeof sorted->begin);
    for (size_t i = 0; i < n; i++) {
        key_of(packed[sorted->row[i]], words, key);
        sorted->unsorted_hash[i] = hash(key, words, seed);
        sorted->begin[shard_of(sorted->unsorted_hash[i]) + 1]++;
    }
    for (int s = 0; s < SHARDS; s++) {
        next[s] = sorted->begin[s];
        sorted->begin[s + 1] += sorted->begin[s];
    }
    for (size_t i = 0; i < n; i++) {
        const size_t to = next[shard_of(sorted->unsorted_hash[i])]++;
        sorted->hash[to] = sorted->unsorted_hash[i];
        key_of(packed[sorted->row[i]], words, sorted->key + to * (size_t)words);
    }
}

/* A slot is asked for some keys before it is wanted, so that misses overlap. */
static inline bool count_shard(nf_tally *tally, nf_shard *shard, int words, const nf_sorted *sorted, size_t s)
{
    enum { AHEAD = 16 };
    const nf_table *table = words == IP4_WORDS ? &shard->ip4 : &shard->ip6;
    const size_t end = sorted->begin[s + 1];
    bool fine = true;
    pthread_mutex_lock(&shard->lock);
    for (size_t k = sorted->begin[s]; fine && k < end; k++) {
        if (k + AHEAD < end)
            prefetch(table, words, sorted->hash[k + AHEAD]);
        fine = count_key(tally, shard, words, sorted->key + k * (size_t)words, sorted->hash[k], 1, &tally->distinct,
                         tally->max_distinct);
    }
    pthread_mutex_unlock(&shard->lock);
    return fine;
}

static inline bool count_family(nf_tally *tally, const nf_hits *hits, size_t first, size_t end, int words,
                                nf_sorted *sorted)
{
    size_t n = 0;
    bool fine = true;
    for (size_t i = first; i < end; i++) {
        sorted->row[n] = (uint32_t)i;
        n += (hits->version[i] == 4) == (words == IP4_WORDS);
    }
    sort_by_shard(hits->packed, n, words, tally->seed, sorted);
    const size_t begin = atomic_fetch_add_explicit(&tally->turn, SHARDS / 4 + 1, memory_order_relaxed);
    for (size_t k = 0; fine && k < SHARDS; k++) { /* threads begin apart, so as not to wait for each other */
        const size_t s = (begin + k) % SHARDS;
        if (sorted->begin[s] < sorted->begin[s + 1])
            fine = count_shard(tally, &tally->address[s], words, sorted, s);
    }
    return fine;
}

/* A family and a shard at a time: then a table's pages stay at hand while its share of many hits is counted, and the
 * branch predictor need not guess the family. */
bool nf_tally_add(nf_tally *tally, const nf_hits *hits)
{
    nf_sorted sorted;
    bool fine = alloc_sorted(&sorted, hits->n + 1); /* one is written behind the last */
    /* A shard must not fill up with its share of one batch: what it drops then is not the rarest. */
    const size_t most = tally->max_distinct / 4 > LEAST_BATCH ? tally->max_distinct / 4 : LEAST_BATCH;
    for (size_t i = 0, end; fine && i < hits->n; i = end) {
        end = hits->n - i < most ? hits->n : i + most;
        fine = count_family(tally, hits, i, end, IP4_WORDS, &sorted) &&
               count_family(tally, hits, i, end, IP6_WORDS, &sorted);
    }
    free_sorted(&sorted);
    return fine;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* The two series of the estimator: what the registers still at 0, and those that can go no higher, stand for. */
static double sigma(double x)
{
    double y = 1, z = x, last;
    do {
        x *= x;
        last = z;
        z += x * y;
        y += y;
    } while (z != last);
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x, last;
    do {
        x = sqrt(x);
        last = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z != last);
    return z / 3;
}

/* Ertl's improved raw estimator (arXiv 1702.01284, algorithm 6): the original one is 2.3 % too high where it hands over
 * to linear counting. */
uint64_t nf_tally_unique(const nf_tally *tally, bool *estimated)
{
    const double m = (double)SHARDS * REGISTERS;
    uint32_t with_rank[RANK_MAX + 1] = {0};
    *estimated = tally->dropped;
    if (!tally->dropped)
        return tally->distinct;
    for (int s = 0; s < SHARDS; s++)
        for (int r = 0; r < REGISTERS; r++)
            with_rank[tally->address[s].registers[r]]++;
    if (with_rank[0] == m)
        return 0;
    double z = with_rank[RANK_MAX] == 0 ? 0 : m * tau(1 - with_rank[RANK_MAX] / m);
    for (int rank = RANK_MAX - 1; rank >= 1; rank--)
        z = (z + with_rank[rank]) / 2;
    z += m * sigma(with_rank[0] / m);
    return (uint64_t)(m * m / (2 * log(2)) / z + 0.5);
}

uint64_t nf_tally_error(const nf_tally *tally)
{
    uint64_t error = 0;
    for (int s = 0; s < SHARDS; s++) {
        error = tally->address[s].error > error ? tally->address[s].error : error;
        error = tally->network[s].error > error ? tally->network[s].error : error;
    }
    return error;
}

/* Whether a comes before b: more often, then IPv4, then the smaller address. */
static bool before(const nf_top *a, const nf_top *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    if (a->version != b->version)
        return a->version < b->version;
    return memcmp(a->packed, b->packed, 16) < 0;
}

/* The best so far are a heap with the last of them on top. */
static void sift_down(nf_top *top, size_t n)
{
    nf_top one = top[0];
    size_t at = 0;
    for (size_t child = 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && before(&top[child], &top[child + 1]);
        if (before(&top[child], &one))
            break;
        top[at] = top[child];
        at = child;
    }
    top[at] = one;
}

/* Puts one more among the best; most are turned away by the first comparison. */
static size_t offer(nf_top *top, size_t n, size_t k, const nf_top *one)
{
    if (k == 0 || (n == k && !before(one, &top[0])))
        return n;
    if (n == k) {
        top[0] = *one;
        sift_down(top, n);
        return n;
    }
    size_t at = n;
    for (; at > 0 && before(&top[(at - 1) / 2], one); at = (at - 1) / 2)
        top[at] = top[(at - 1) / 2];
    top[at] = *one;
    return n + 1;
}

static size_t offer_table(const nf_table *table, int words, nf_top *top, size_t n, size_t k)
{
    for (uint32_t slot = 0; slot < table->capacity; slot++) {
        const uint32_t *from = slot_at(table, words, slot);
        if (from[words] == 0 || (n == k && k > 0 && from[words] < top[0].count))
            continue;
        nf_top one = {.version = words == IP4_WORDS ? 4 : 6, .count = from[words]};
        if (words == IP4_WORDS)
            one.packed[10] = one.packed[11] = 0xff;
        for (int w = 0; w < words; w++)
            for (int b = 0; b < 4; b++)
                one.packed[16 - 4 * words + 4 * w + b] = (uint8_t)(from[w] >> (24 - 8 * b));
        n = offer(top, n, k, &one);
    }
    return n;
}

static size_t offer_shards(const nf_shard *shards, size_t k, nf_top *top)
{
    size_t n = 0;
    for (int s = 0; s < SHARDS; s++) {
        n = offer_table(&shards[s].ip4, IP4_WORDS, top, n, k);
        n = offer_table(&shards[s].ip6, IP6_WORDS, top, n, k);
    }
    for (size_t m = n; m > 1; m--) { /* out of the heap, the last first */
        nf_top last = top[0];
        top[0] = top[m - 1];
        sift_down(top, m - 1);
        top[m - 1] = last;
    }
    return n;
}

uint64_t nf_tally_most(const nf_tally *tally) { return tally->distinct + tally->networks; }

size_t nf_tally_top(const nf_tally *tally, size_t k, nf_top *top) { return offer_shards(tally->address, k, top); }

/* Networks of a few addresses at a time: all their slots are asked for before the first is needed. */
enum { FEW = 64 };

typedef struct {
    size_t n;
    uint32_t address[FEW][IP6_WORDS];
    uint32_t count[FEW];
} nf_few;

static bool add_few(nf_tally *tally, int words, nf_few *few)
{
    bool fine = true;
    for (size_t i = 0; i < few->n; i++) {
        uint32_t key[IP6_WORDS];
        network_key(words, few->address[i], key);
        uint64_t h = hash(key, words, tally->seed);
        const nf_shard *shard = &tally->network[shard_of(h)];
        const nf_table *table = words == IP4_WORDS ? &shard->ip4 : &shard->ip6;
        prefetch(table, words, h);
    }
    for (size_t i = 0; fine && i < few->n; i++)
        fine = add_network(tally, words, few->address[i], few->count[i]);
    few->n = 0;
    return fine;
}

static bool give_up(nf_tally *tally, nf_table *table, int words)
{
    nf_few few = {.n = 0};
    bool fine = true;
    for (uint32_t slot = 0; fine && slot < table->capacity; slot++) {
        const uint32_t *from = slot_at(table, words, slot);
        memcpy(few.address[few.n], from, (size_t)words * 4);
        few.count[few.n] = from[words];
        few.n += from[words] != 0;
        if (few.n == FEW)
            fine = add_few(tally, words, &few);
    }
    fine = fine && add_few(tally, words, &few);
    free(table->slots);
    *table = (nf_table){0};
    return fine;
}

bool nf_tally_top_networks(nf_tally *tally, size_t k, nf_top *top, size_t *n)
{
    bool fine = true;
    if (!tally->dropped)
        tally->max_distinct = UINT64_MAX; /* exact so far, and no more networks than addresses */
    for (int s = 0; s < SHARDS; s++)
        fine &= give_up(tally, &tally->address[s].ip4, IP4_WORDS) & give_up(tally, &tally->address[s].ip6, IP6_WORDS);
    *n = offer_shards(tally->network, k, top);
    return fine;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

nf_tally *nf_tally_new(uint64_t max_distinct, uint64_t seed)
{
    nf_tally *tally = calloc(1, sizeof *tally);
    if (!tally)
        return NULL;
    tally->max_distinct = max_distinct;
    tally->seed = seed;
    for (int s = 0; s < SHARDS; s++) {
        pthread_mutex_init(&tally->address[s].lock, NULL);
        pthread_mutex_init(&tally->network[s].lock, NULL);
    }
    return tally;
}

static void free_shards(nf_shard *shards)
{
    for (int s = 0; s < SHARDS; s++) {
        free(shards[s].ip4.slots);
        free(shards[s].ip6.slots);
        pthread_mutex_destroy(&shards[s].lock);
    }
}

void nf_tally_free(nf_tally *tally)
{
    if (!tally)
        return;
    free_shards(tally->address);
    free_shards(tally->network);
    free(tally);
}
