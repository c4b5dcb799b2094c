/* nf_scan.h - every address in a text: bit masks find the few places worth a strict look. */
#ifndef NF_SCAN_H
#define NF_SCAN_H

#include "nf_base.h"

/* Addresses found, a column each. */
typedef struct {
    int64_t *offset;         /* of the first byte, from wherever the scan counts */
    int64_t *line;           /* 1-based */
    uint8_t *length;         /* in bytes, zone included */
    uint8_t *version;        /* 4 or 6 */
    uint8_t *code;           /* row of its block */
    uint8_t (*packed)[16];   /* network order, IPv4 as ::ffff:a.b.c.d */
    size_t n, capacity;
} nf_hits;

enum { NF_FIND_IP4 = 1, NF_FIND_IP6 = 2 };

typedef struct {
    bool loose;        /* letters may touch an IPv4 address, and product versions count */
    unsigned find;     /* NF_FIND_*: which of the addresses found are kept */
} nf_policy;

/* Room for the hits of this many bytes of text: the shortest, "::1" and something between, takes four. */
#define NF_HITS_FOR(bytes) ((bytes) / 4 + 2)

/* Where a scan stands between two calls. */
typedef struct {
    int64_t base;   /* the offset of text[0] */
    int64_t line;   /* the number of the line that text[from] is in */
} nf_place;

/* Appends every address whose first byte lies in text[from, until) to hits, which must have room for
 * NF_HITS_FOR(until - from) more, and moves place->line to `until`.
 *
 * text[0] is the beginning of the whole text, or NF_LOOK_BEHIND bytes or more lie before `from`; text[size] is the end
 * of the whole text, or NF_LOOK_AHEAD bytes or more lie behind `until`.  Returns where to go on: `until`, or behind an
 * address that reaches over it. */
size_t nf_scan(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
               nf_hits *hits);

/* Its forms. */
size_t nf_scan_scalar(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                      nf_hits *hits);
#ifdef NF_HAVE_AVX2
size_t nf_scan_avx2(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                    nf_hits *hits);
#endif
#ifdef NF_HAVE_NEON
size_t nf_scan_neon(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                    nf_hits *hits);
#endif

/* Room for `more` hits; when that takes new memory, for as many as are `expected`. */
bool nf_hits_reserve(nf_hits *hits, size_t more, size_t expected);
void nf_hits_free(nf_hits *hits);

#endif
