/* nf_prefixes.h - prefixes in order, and the runs of addresses that they make.
 *
 * An IPv6 address is a pair of host-order numbers here; a prefix is an address whose host bits are zero, and a length.
 */
#ifndef NF_PREFIXES_H
#define NF_PREFIXES_H

#include "nf_base.h"

typedef struct {
    uint64_t high, low;
} nf_ip6_number;

/* A block of bytes without pointers in it, aligned to 64: it can be written to a file and used from a mapping.
 * free(bytes). */
typedef struct {
    uint8_t *bytes;
    size_t size;
} nf_table;

/* The order of prefixes: by address, then length. */
static inline bool nf_prefix4_less(uint32_t a, unsigned a_length, uint32_t b, unsigned b_length)
{
    return a != b ? a < b : a_length < b_length;
}

static inline bool nf_prefix6_less(nf_ip6_number a, unsigned a_length, nf_ip6_number b, unsigned b_length)
{
    return a.high != b.high ? a.high < b.high : a.low != b.low ? a.low < b.low : a_length < b_length;
}

/* Sorts into that order; of equal prefixes the one given last stays.  order[k]: which of the n given ones
 * prefix k was.  address, length and order have room for n.  How many remain; SIZE_MAX if memory ran out. */
size_t nf_sort_prefixes4(uint32_t *address, uint8_t *length, uint32_t *order, size_t n);
size_t nf_sort_prefixes6(nf_ip6_number *address, uint8_t *length, uint32_t *order, size_t n);

/* The address space cut wherever the longest match changes.  Run k goes from start[k] to where the next one starts;
 * run 0 starts at 0, neighbours differ, and there are at most 2 n + 1.
 *
 *      10.0.0.0/8          |==============================|
 *      10.1.0.0/16               |====|
 *      runs         -1     |  0  | 1  |         0         |  -1
 */
typedef struct {
    uint32_t *start;
    int32_t *answer; /* first + the prefix; -1: none */
    size_t n;
} nf_runs4;

typedef struct {
    nf_ip6_number *start;
    int32_t *answer;
    size_t n;
} nf_runs6;

/* Of n sorted, distinct prefixes.  false: memory ran out, and there is nothing to free. */
bool nf_runs4_make(const uint32_t *address, const uint8_t *length, size_t n, int32_t first, nf_runs4 *runs);
bool nf_runs6_make(const nf_ip6_number *address, const uint8_t *length, size_t n, int32_t first, nf_runs6 *runs);
void nf_runs4_free(nf_runs4 *runs);
void nf_runs6_free(nf_runs6 *runs);

/* A zeroed table of at least that size.  false: memory ran out. */
bool nf_table_new(size_t size, nf_table *table);

/* The sizes of tables are multiples of 64. */
static inline size_t nf_table_round(size_t size) { return (size + 63) / 64 * 64; }

#endif
