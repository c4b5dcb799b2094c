/* nf_ip6_lookup.c - from ref to ref, through the objects that nf_ip6_lookup.h draws.
 *
 * An address of a full routing table takes three or four objects: the root, which stays in the first-level cache; the
 * node of its first 16 bits; for its next 16 a line, a wide node, or a small node and a line.  What bounds it: some
 * thirty instructions an object, and two loads one behind the other from 4 MB.
 *
 * The fast form takes 128 addresses and two lists, of those that want a node next and of those that want a line.  A
 * list is worked through in passes that prefetch what the next pass loads; each ref that comes out is an answer or
 * puts its address on a list again, without a branch: 7 times the speed of the reference on a full routing table.
 * A ref says what a node looks like, so that nothing is loaded before its record: 1.15 of that.  Batches of 32 to 256
 * and more wide nodes (6 MB) were no faster.
 */
#include "nf_ip6_lookup.h"

static inline uint32_t window_of(const uint8_t *value, unsigned window)
{
    uint16_t bytes;
    memcpy(&bytes, value + 2 * window, sizeof bytes);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    bytes = __builtin_bswap16(bytes);
#endif
    return bytes;
}

/* The record of the address's slot in a node. */
static inline const uint8_t *record_of(const uint8_t *table, int32_t ref, const uint8_t *value, uint32_t *slot)
{
    *slot = window_of(value, nf_ip6_node_window(ref)) >> nf_ip6_node_rest(ref);
    return table + nf_ip6_node_place(ref) + *slot / 32 * sizeof(nf_ip6_record);
}

/* ---- one address at a time: the reference ------------------------------------------------------------------------ */

static inline int32_t step_node(const uint8_t *table, int32_t ref, const uint8_t *value)
{
    uint32_t slot;
    const nf_ip6_record *record = (const nf_ip6_record *)record_of(table, ref, value, &slot);
    return ((const int32_t *)table)[record->base + nf_count_bits(record->changes << (~slot & 31))];
}

static inline int32_t step_line(const uint8_t *table, int32_t ref, const uint8_t *value)
{
    const uint8_t *object = table + nf_ip6_line_place(ref);
    const nf_ip6_line *line = (const nf_ip6_line *)object;
    const uint32_t window = window_of(value, line->window);
    unsigned below = 0;
    while (below < line->keys && line->key[below] <= window)
        below++;
    return ((const int32_t *)(object + nf_ip6_line_head(line->keys)))[below];
}

void nf_ip6_lookup_scalar(const uint8_t *table, const uint8_t (*value)[16], size_t n, int32_t *index)
{
    for (size_t i = 0; i < n; i++) {
        int32_t ref = ((const nf_ip6_header *)table)->root;
        while (ref < -1)
            ref = nf_ip6_is_line(ref) ? step_line(table, ref, value[i]) : step_node(table, ref, value[i]);
        index[i] = ref;
    }
}

#ifdef NF_HAVE_AVX2
#include <immintrin.h>

enum { BATCH = 128 };

typedef struct {
    const uint8_t *table;
    const uint8_t (*value)[16];
    int32_t *index;                       /* the ref that each address has come to */
    uint32_t nodes, lines;                /* how many are waiting, */
    uint32_t node[BATCH], line[BATCH];    /* and which */
    const uint8_t *found[BATCH];
    uint32_t at[BATCH];
} batch;

NF_AVX2 static inline uint32_t rank(const uint8_t *record, uint32_t slot)
{
    uint64_t both;
    memcpy(&both, record, sizeof both);
    return (uint32_t)(both >> 32) + (uint32_t)_mm_popcnt_u32((uint32_t)both << (~slot & 31));
}

/* Address i has come to a ref: if that is no answer, i waits again.  A place is written in either case. */
NF_AVX2 static inline void note(batch *b, uint32_t i, int32_t ref)
{
    b->index[i] = ref;
    b->node[b->nodes] = i;
    b->nodes += nf_ip6_is_node(ref);
    b->line[b->lines] = i;
    b->lines += nf_ip6_is_line(ref);
}

NF_AVX2 static inline void begin_at_root(batch *b, uint32_t n)
{
    const int32_t root = ((const nf_ip6_header *)b->table)->root;
    for (uint32_t i = 0; i < n; i++) {
        int32_t ref = root;
        if (NF_LIKELY(nf_ip6_is_node(root))) {
            uint32_t slot;
            const uint8_t *record = record_of(b->table, root, b->value[i], &slot);
            ref = ((const int32_t *)b->table)[rank(record, slot)];
        }
        note(b, i, ref);
    }
}

NF_AVX2 static inline void walk_nodes(batch *b)
{
    const int32_t *words = (const int32_t *)b->table;
    const uint32_t n = b->nodes;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = b->node[k];
        b->found[k] = record_of(b->table, b->index[i], b->value[i], &b->at[k]);
        NF_PREFETCH(b->found[k]);
    }
    for (uint32_t k = 0; k < n; k++) {
        b->at[k] = rank(b->found[k], b->at[k]);
        NF_PREFETCH(words + b->at[k]);
    }
    b->nodes = 0;
    for (uint32_t k = 0; k < n; k++)
        note(b, b->node[k], words[b->at[k]]);
}

/* A line's keys are compared at once; what lies behind the last of them is masked. */
NF_AVX2 static inline const uint8_t *find_in_line(const uint8_t *object, const uint8_t *value)
{
    const nf_ip6_line *line = (const nf_ip6_line *)object;
    const __m256i window = _mm256_set1_epi16((int16_t)window_of(value, line->window));
    const __m256i key = _mm256_loadu_si256((const __m256i *)line->key);
    const __m256i below = _mm256_cmpeq_epi16(_mm256_max_epu16(window, key), window);
    const uint64_t mask = _bzhi_u64((uint32_t)_mm256_movemask_epi8(below), 2u * line->keys); /* two bits a key */
    return object + nf_ip6_line_head(line->keys) + 2 * (size_t)_mm_popcnt_u64(mask);
}

NF_AVX2 static inline void walk_lines(batch *b)
{
    const uint32_t n = b->lines;
    for (uint32_t k = 0; k < n; k++)
        NF_PREFETCH(b->table + nf_ip6_line_place(b->index[b->line[k]]));
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = b->line[k];
        b->found[k] = find_in_line(b->table + nf_ip6_line_place(b->index[i]), b->value[i]);
        NF_PREFETCH(b->found[k]);
    }
    b->lines = 0;
    for (uint32_t k = 0; k < n; k++)
        note(b, b->line[k], nf_load_int32(b->found[k]));
}

NF_AVX2 void nf_ip6_lookup_avx2(const uint8_t *table, const uint8_t (*value)[16], size_t n, int32_t *index)
{
    batch b;
    b.table = table;
    for (size_t i = 0; i < n; i += BATCH) {
        b.value = value + i;
        b.index = index + i;
        b.nodes = b.lines = 0;
        begin_at_root(&b, (uint32_t)(n - i < BATCH ? n - i : BATCH));
        while (b.nodes | b.lines) {
            walk_nodes(&b);
            walk_lines(&b);
        }
    }
}
#endif
