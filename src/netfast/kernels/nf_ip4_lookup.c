/* nf_ip4_lookup.c - a record, a rank, a leaf: nf_ip4_lookup.h draws them.
 *
 * What bounds it: a look-up is two loads that miss the first caches, one behind the other, from 8 MB.  The fast form
 * works on 64 addresses in three passes, and on three batches at a time, so that each load was asked for one pass of
 * everything else before it is used:
 *
 *      batch      i + 2             i + 1                   i               i - 1
 *      pass       prefetch record   rank, prefetch leaf     load leaf       the few deep ones
 *
 * On a full routing table, against one address after the other with the same instructions: 2.5 times the speed on
 * uniform addresses, 1.8 inside prefixes, 2.2 on skewed ones.  Of that the overlap of batches gives 1.4, 1.0 and 1.9;
 * deep leaves a batch later 1.1 on skewed ones.  Tried and left out: gathers of records and leaves (the same speed
 * here, less on CPUs whose gathers are slow), records of 64 slots in 12 bytes, leaves of 16 bits behind an anchor
 * (5 MB instead of 8, but no faster), stores past the caches.  Hot addresses (some hundreds) would go at 1.6 times
 * this speed without the passes.
 */
#include "nf_ip4_lookup.h"

typedef struct {
    const nf_ip4_record *records, *chunks;
    const int32_t *leaves;
    unsigned slot_bits; /* of an address, below the slot in the root */
} view;

static inline view open_table(const uint8_t *table)
{
    const nf_ip4_header *header = (const nf_ip4_header *)table;
    const nf_ip4_record *records = (const nf_ip4_record *)(header + 1);
    const nf_ip4_record *chunks = records + ((size_t)1 << header->root_bits);
    const nf_ip4_record *end = chunks + NF_IP4_CHUNK * (size_t)header->chunks;
    return (view){records, chunks, (const int32_t *)end, 27 - header->root_bits};
}

static inline const nf_ip4_record *record_in_chunk(const view *v, int32_t leaf, uint32_t slot)
{
    return v->chunks + NF_IP4_CHUNK * (size_t)(leaf & INT32_MAX) + (slot >> 5 & (NF_IP4_CHUNK - 1));
}

/* ---- one address at a time: the reference ------------------------------------------------------------------------ */

static inline uint32_t rank_of(const nf_ip4_record *record, uint32_t slot)
{
    return record->base + nf_count_bits(record->changes << (~slot & 31));
}

void nf_ip4_lookup_scalar(const uint8_t *table, const uint32_t *value, size_t n, int32_t *index)
{
    const view v = open_table(table);
    for (size_t i = 0; i < n; i++) {
        unsigned bits = v.slot_bits;
        uint32_t slot = value[i] >> bits;
        int32_t leaf = v.leaves[rank_of(&v.records[slot >> 5], slot)];
        while (leaf < -1) {
            bits -= NF_IP4_CHUNK_BITS;
            slot = value[i] >> bits;
            leaf = v.leaves[rank_of(record_in_chunk(&v, leaf, slot), slot)];
        }
        index[i] = leaf;
    }
}

#ifdef NF_HAVE_AVX2
#include <immintrin.h>

enum { BATCH = 64 };

/* The record is loaded as one number; the shift drops the slots behind. */
NF_AVX2 static inline uint32_t rank(const nf_ip4_record *record, uint32_t slot)
{
    uint64_t both;
    memcpy(&both, record, sizeof both);
    return (uint32_t)(both >> 32) + (uint32_t)_mm_popcnt_u32((uint32_t)both << (~slot & 31));
}

NF_AVX2 static inline int32_t go_deeper(const view *v, uint32_t value, int32_t leaf)
{
    for (unsigned bits = v->slot_bits; leaf < -1;) {
        bits -= NF_IP4_CHUNK_BITS;
        const uint32_t slot = value >> bits;
        leaf = v->leaves[rank(record_in_chunk(v, leaf, slot), slot)];
    }
    return leaf;
}

/* Out of the way of the passes, which want the registers. */
NF_AVX2 static __attribute__((noinline)) void go_deeper_at(const view *v, const uint32_t *value, int32_t *index)
{
    *index = go_deeper(v, *value, *index);
}

/* A small table stays in the nearer caches: nothing to prefetch. */
NF_AVX2 static void look_up_small(const view *v, const uint32_t *value, size_t n, int32_t *index)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = value[i] >> v->slot_bits;
        index[i] = go_deeper(v, value[i], v->leaves[rank(&v->records[slot >> 5], slot)]);
    }
}

NF_AVX2 static inline void prefetch_records(const view *v, const uint32_t *value, size_t n)
{
    const nf_ip4_record *records = v->records;
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++)
        NF_PREFETCH(&records[value[i] >> 13]);
}

NF_AVX2 static inline void rank_batch(const view *v, const uint32_t *value, size_t n, uint32_t *at)
{
    const nf_ip4_record *records = v->records;
    const int32_t *leaves = v->leaves;
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++) {
        const uint32_t leaf = rank(&records[value[i] >> 13], value[i] >> 8);
        at[i] = leaf;
        NF_PREFETCH(&leaves[leaf]);
    }
}

NF_AVX2 static inline void load_leaves(const view *v, size_t n, const uint32_t *at, int32_t *index)
{
    const int32_t *leaves = v->leaves;
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++)
        index[i] = leaves[at[i]];
}

/* Looked for eight at a time, and a batch later: by then the leaves are there, and a wrong guess costs little. */
NF_AVX2 static inline void settle_deep(const view *v, const uint32_t *value, size_t n, int32_t *index)
{
    const size_t eights = n & ~(size_t)7;
    for (size_t i = 0; i < eights; i += 8) {
        const __m256i leaf = _mm256_loadu_si256((const __m256i *)(index + i));
        const __m256i is_deep = _mm256_cmpgt_epi32(_mm256_set1_epi32(-1), leaf);
        unsigned deep = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(is_deep));
        for (; NF_UNLIKELY(deep); deep &= deep - 1)
            go_deeper_at(v, value + i + __builtin_ctz(deep), index + i + __builtin_ctz(deep));
    }
    for (size_t i = eights; i < n; i++)
        go_deeper_at(v, value + i, index + i);
}

static inline size_t at_most(size_t n, size_t most) { return n < most ? n : most; }

NF_AVX2 void nf_ip4_lookup_avx2(const uint8_t *table, const uint32_t *value, size_t n, int32_t *index)
{
    const view v = open_table(table);
    uint32_t at[2][BATCH];
    if (v.slot_bits != 8) {
        look_up_small(&v, value, n, index);
        return;
    }
    prefetch_records(&v, value, at_most(n, 2 * BATCH));
    rank_batch(&v, value, at_most(n, BATCH), at[0]);
    unsigned now = 0;
    bool behind = false; /* the leaves of a batch have still to be looked at */
    for (; n >= 3 * BATCH; n -= BATCH, value += BATCH, index += BATCH, now ^= 1) {
        prefetch_records(&v, value + 2 * BATCH, BATCH);
        rank_batch(&v, value + BATCH, BATCH, at[now ^ 1]);
        load_leaves(&v, BATCH, at[now], index);
        if (behind)
            settle_deep(&v, value - BATCH, BATCH, index - BATCH);
        behind = true;
    }
    if (behind)
        settle_deep(&v, value - BATCH, BATCH, index - BATCH);
    for (size_t some; n; n -= some, value += some, index += some, now ^= 1) { /* the same, at the end */
        some = at_most(n, BATCH);
        if (n > 2 * BATCH)
            prefetch_records(&v, value + 2 * BATCH, n - 2 * BATCH);
        if (n > BATCH)
            rank_batch(&v, value + BATCH, at_most(n - BATCH, BATCH), at[now ^ 1]);
        load_leaves(&v, some, at[now], index);
        settle_deep(&v, value, some, index);
    }
}
#endif
