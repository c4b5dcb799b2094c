/* nf_candidates.h - masks of a span of text to the few places where an address may be.
 *
 * An IPv4 address holds three dots, each between digits, with one to three digits from one to the next:
 *
 *      text     G E T   1 9 2 . 1 6 8 . 7 . 4 2   v 1 . 2
 *      digit            1 1 1   1 1 1   1   1 1     1   1
 *      dotted                 1       1   1             1      dot & digit << 1 & digit >> 1
 *      linked                 1       1                        the next one is 2, 3 or 4 on, digits between
 *      ip4                    1                                and it is linked itself: the first of three
 *
 * An IPv6 address holds "::", or at least six colons with one to four hexadecimal digits from one to the next; a time
 * of day has two or three, so chains of four colons are looked at.
 *
 * Each step runs over the whole span before the next one does, so that the compiler puts four blocks into a register:
 * 12 instructions a block for IPv4 where block by block took 58.
 */
#ifndef NF_CANDIDATES_H
#define NF_CANDIDATES_H

#include "nf_text_masks.h"

enum {
    NF_SPAN = 32,   /* blocks */
    NF_CHAIN = 4,   /* colons that make a chain */
};

/* Block b of a span has index b + 1; in front of it stands the last one of the span before, behind it the next one. */
enum { NF_SPAN_ROOM = NF_SPAN + 3 };
typedef struct {
    uint64_t digit[NF_SPAN_ROOM], hex[NF_SPAN_ROOM], dot[NF_SPAN_ROOM], colon[NF_SPAN_ROOM], newline[NF_SPAN_ROOM];
    uint64_t dotted[NF_SPAN_ROOM], linked[NF_SPAN_ROOM];
    uint64_t ip4[NF_SPAN_ROOM];   /* the first of three dots */
    uint64_t ip6[NF_SPAN_ROOM];   /* the first colon of "::" or of a chain */
} nf_span;

/* The bits k places ahead, 0 < k < 64. */
static inline uint64_t nf_ahead(uint64_t here, uint64_t next, int k) { return here >> k | next << (64 - k); }

/* A bit that is set k places ahead, k = 2..4, with digits all the way; position 1 and position k-1 are known to be. */
static inline uint64_t nf_step_octet(uint64_t here, uint64_t next, uint64_t digit2)
{
    return nf_ahead(here, next, 2) | nf_ahead(here, next, 3) | (nf_ahead(here, next, 4) & digit2);
}

/* Blocks 1 to n; those of index 0 and n + 1 have masks too. */
static inline void nf_find_ip4(nf_span *s, size_t n)
{
    s->digit[n + 2] = s->dotted[n + 2] = 0; /* so far ahead that no bit of blocks 1 to n depends on it */
    for (size_t b = 1; b <= n + 1; b++)
        s->dotted[b] = s->dot[b] & (s->digit[b] << 1 | s->digit[b - 1] >> 63) &
                       nf_ahead(s->digit[b], s->digit[b + 1], 1);
    for (size_t b = 1; b <= n + 1; b++)
        s->linked[b] = s->dotted[b] & nf_step_octet(s->dotted[b], s->dotted[b + 1],
                                                    nf_ahead(s->digit[b], s->digit[b + 1], 2));
    for (size_t b = 1; b <= n; b++)
        s->ip4[b] = s->linked[b] & nf_step_octet(s->linked[b], s->linked[b + 1],
                                                 nf_ahead(s->digit[b], s->digit[b + 1], 2));
}

/* Positions from which a bit of `here` is set 2 to 5 places ahead, hexadecimal digits between. */
static inline uint64_t nf_step_group(uint64_t here, uint64_t next, uint64_t hex, uint64_t hex_next)
{
    uint64_t found = 0, run = ~(uint64_t)0;
    for (int k = 1; k <= 4; k++) {
        run &= nf_ahead(hex, hex_next, k);
        found |= run & nf_ahead(here, next, k + 1);
    }
    return found;
}

/* The colons of block b that are followed by three more. */
static inline uint64_t nf_chained(const nf_span *s, size_t b)
{
    uint64_t chain = s->colon[b], chain_next = s->colon[b + 1];
    for (int k = 1; k < NF_CHAIN; k++) {
        chain = s->colon[b] & nf_step_group(chain, chain_next, s->hex[b], s->hex[b + 1]);
        chain_next = s->colon[b + 1] & nf_step_group(chain_next, 0, s->hex[b + 1], 0);
    }
    return chain;
}

static inline void nf_find_ip6(nf_span *s, size_t n)
{
    const uint64_t near = ((uint64_t)1 << 5 * (NF_CHAIN - 1)) - 1; /* as far as a chain reaches into the next block */
    for (size_t b = 1; b <= n; b++)
        s->ip6[b] = s->colon[b] & nf_ahead(s->colon[b], s->colon[b + 1], 1);
    for (size_t b = 1; b <= n; b++)
        if (NF_UNLIKELY(__builtin_popcountll(s->colon[b]) + __builtin_popcountll(s->colon[b + 1] & near) >= NF_CHAIN))
            s->ip6[b] |= nf_chained(s, b);
}

#endif
