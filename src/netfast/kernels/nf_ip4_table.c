/* nf_ip4_table.c - builds and checks the tables that nf_ip4_lookup.h draws.
 *
 * The root is filled from the runs in one sweep.  A slot that runs cut gets a deep leaf, and waits in a queue for its
 * own 8 records; so chunks are numbered in the order of their leaves, and checking a table is counting along it.
 */
#include "nf_ip4_table.h"

#include <stdlib.h>

#include "nf_ip4_lookup.h"

enum { FEW = 1 << 14 }; /* runs up to which the root is small: 16 KB and a chunk for each cut /16, not 4 MB */

/* ---- building ---------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t begin; /* an address */
    size_t run;     /* the run that holds it */
} place;

typedef struct {
    const nf_runs4 *runs;
    int32_t *leaves;
    size_t leaf_count;
    place *chunks; /* the queue: where each chunk begins */
    size_t chunk_count;
} builder;

static inline uint64_t end_of(const nf_runs4 *runs, size_t run)
{
    return run + 1 < runs->n ? runs->start[run + 1] : UINT64_C(1) << 32;
}

static inline nf_ip4_record *fill_to(const builder *b, nf_ip4_record *record, const nf_ip4_record *end)
{
    for (; record < end; record++)
        *record = (nf_ip4_record){0, (uint32_t)b->leaf_count - 1};
    return record;
}

/* Fills n records, for the slots from `at` on. */
static void fill(builder *b, place at, nf_ip4_record *records, size_t n, unsigned slot_bits)
{
    const uint64_t begin = at.begin, slot = UINT64_C(1) << slot_bits, end = begin + (n << (slot_bits + 5));
    nf_ip4_record *next = records;
    while (at.begin < end) {
        const size_t number = (size_t)((at.begin - begin) >> slot_bits);
        const uint64_t run_end = end_of(b->runs, at.run) & ~(slot - 1);
        next = fill_to(b, next, records + number / 32 + 1);
        records[number / 32].changes |= 1u << number % 32;
        if (run_end > at.begin) {
            b->leaves[b->leaf_count++] = b->runs->answer[at.run];
            at.begin = run_end;
        } else {
            b->chunks[b->chunk_count] = at;
            b->leaves[b->leaf_count++] = NF_IP4_DEEP | (int32_t)b->chunk_count++;
            at.begin += slot;
        }
        while (at.begin < end && end_of(b->runs, at.run) <= at.begin)
            at.run++;
    }
    fill_to(b, next, records + n);
}

/* How many slots of that size hold a part of more than one run. */
static size_t count_cut(const nf_runs4 *runs, unsigned slot_bits)
{
    size_t count = 0;
    uint64_t last = UINT64_MAX;
    for (size_t k = 0; slot_bits && k < runs->n; k++) {
        if ((runs->start[k] & ((UINT32_C(1) << slot_bits) - 1)) == 0 || runs->start[k] >> slot_bits == last)
            continue;
        last = runs->start[k] >> slot_bits;
        count++;
    }
    return count;
}

/* Fills what room has been made for; `records` is that of the root. */
static void fill_levels(builder *b, nf_ip4_record *records, unsigned root_bits)
{
    nf_ip4_record *chunks = records + ((size_t)1 << root_bits);
    unsigned bits = 27 - root_bits;
    b->leaves[0] = -1;
    b->leaf_count = 1;
    fill(b, (place){0, 0}, records, (size_t)1 << root_bits, bits);
    for (size_t done = 0, level; done < b->chunk_count;) {
        bits -= NF_IP4_CHUNK_BITS;
        for (level = b->chunk_count; done < level; done++)
            fill(b, b->chunks[done], chunks + NF_IP4_CHUNK * done, NF_IP4_CHUNK, bits);
    }
}

static bool build(const nf_runs4 *runs, nf_table *table)
{
    const unsigned root_bits = runs->n <= FEW ? NF_IP4_SMALL : NF_IP4_WIDE, bits = 27 - root_bits;
    const size_t chunks = count_cut(runs, bits) + count_cut(runs, bits - NF_IP4_CHUNK_BITS);
    const size_t records = ((size_t)1 << root_bits) + NF_IP4_CHUNK * chunks;
    /* each run has a leaf; a chunk has its own, the first inside, and the one that goes on behind it */
    const size_t leaves = 1 + runs->n + 3 * chunks;
    builder b = {.runs = runs, .chunks = malloc((chunks + 1) * sizeof *b.chunks)};
    if (!b.chunks || chunks >= INT32_MAX ||
        !nf_table_new(sizeof(nf_ip4_header) + records * sizeof(nf_ip4_record) + leaves * sizeof *b.leaves, table)) {
        free(b.chunks);
        return false;
    }
    nf_ip4_header *header = (nf_ip4_header *)table->bytes;
    b.leaves = (int32_t *)((nf_ip4_record *)(header + 1) + records);
    fill_levels(&b, (nf_ip4_record *)(header + 1), root_bits);
    *header = (nf_ip4_header){root_bits, (uint32_t)chunks, b.leaf_count, {0}};
    table->size = nf_table_round((size_t)((uint8_t *)(b.leaves + b.leaf_count) - table->bytes));
    free(b.chunks);
    return true;
}

bool nf_ip4_table_build(const uint32_t *address, const uint8_t *length, size_t n, int32_t first, nf_table *table)
{
    nf_runs4 runs;
    if (!nf_runs4_make(address, length, n, first, &runs))
        return false;
    const bool fine = build(&runs, table);
    nf_runs4_free(&runs);
    return fine;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const nf_ip4_header *header;
    const nf_ip4_record *records;
    const int32_t *leaves;
    size_t records_seen, leaves_seen, chunks_seen;
    int32_t first;
    size_t n;
} checker;

/* The next records, in groups that each begin with a leaf of their own; none leaves a gap or goes back. */
static bool check_records(checker *c, size_t n, size_t group)
{
    for (size_t r = 0; r < n; r++, c->records_seen++) {
        const nf_ip4_record *record = &c->records[c->records_seen];
        if (record->base != c->leaves_seen - 1 || (r % group == 0 && !(record->changes & 1)))
            return false;
        c->leaves_seen += nf_count_bits(record->changes);
        if (c->leaves_seen > c->header->leaves)
            return false;
    }
    return true;
}

/* Those of the level just seen.  Deep ones are numbered in order, and there are none at the lowest level. */
static bool check_leaves(checker *c, size_t from, bool lowest)
{
    for (size_t k = from; k < c->leaves_seen; k++) {
        const int32_t leaf = c->leaves[k];
        if (leaf == -1 || (leaf >= c->first && (size_t)(leaf - c->first) < c->n))
            continue;
        if (lowest || leaf >= 0 || (size_t)(leaf & INT32_MAX) != c->chunks_seen)
            return false;
        c->chunks_seen++;
    }
    return c->chunks_seen <= c->header->chunks;
}

static bool check_levels(checker *c)
{
    const size_t root = (size_t)1 << c->header->root_bits;
    size_t leaves_before = 1, chunks_before = 0;
    bool fine = check_records(c, root, root);
    for (unsigned bits = 27 - c->header->root_bits; fine; bits -= NF_IP4_CHUNK_BITS) {
        fine = check_leaves(c, leaves_before, bits == 0);
        if (!fine || c->chunks_seen == chunks_before)
            break;
        leaves_before = c->leaves_seen;
        const size_t chunks = c->chunks_seen - chunks_before;
        chunks_before = c->chunks_seen;
        fine = check_records(c, NF_IP4_CHUNK * chunks, NF_IP4_CHUNK);
    }
    return fine && c->chunks_seen == c->header->chunks && c->leaves_seen == c->header->leaves;
}

bool nf_ip4_table_check(const uint8_t *bytes, size_t size, int32_t first, size_t n)
{
    const nf_ip4_header *header = (const nf_ip4_header *)bytes;
    if (first < 0 || size < sizeof *header ||
        (header->root_bits != NF_IP4_SMALL && header->root_bits != NF_IP4_WIDE))
        return false;
    const uint64_t records = (UINT64_C(1) << header->root_bits) + NF_IP4_CHUNK * (uint64_t)header->chunks;
    const uint64_t room = (size - sizeof *header) / sizeof(int32_t); /* a record takes the room of two leaves */
    if (records > room / 2 || header->leaves > room - 2 * records)
        return false;
    checker c = {.header = header, .records = (const nf_ip4_record *)(header + 1), .first = first, .n = n};
    c.leaves = (const int32_t *)(c.records + records);
    c.leaves_seen = 1;
    return check_levels(&c);
}
