/* nf_ranges.h - sets of addresses as ranges, in order and apart: the algebra of sets is one walk along two of them.
 *
 * Both families are numbers of 128 bits here; of IPv4 `high` is 0 and `bits` 32.
 */
#ifndef NF_RANGES_H
#define NF_RANGES_H

#include "nf_prefixes.h"

/* Both ends belong to it. */
typedef struct {
    nf_ip6_number first, last;
} nf_range;

/* The ranges of n sorted prefixes, joined where they touch or overlap; there is room for n.  How many there are. */
size_t nf_ranges_of_prefixes4(const uint32_t *address, const uint8_t *length, size_t n, nf_range *range);
size_t nf_ranges_of_prefixes6(const nf_ip6_number *address, const uint8_t *length, size_t n, nf_range *range);

/* Where an address is kept: bit (in a) + 2 * (in b). */
enum { NF_KEEP_NEITHER = 1, NF_KEEP_ONLY_A = 2, NF_KEEP_ONLY_B = 4, NF_KEEP_BOTH = 8 };

/* Joined ranges of what is kept of a and b, of which there are at most n_a + n_b + 1; ends when `room` are written.
 * How many were. */
size_t nf_ranges_combine(const nf_range *a, size_t n_a, const nf_range *b, size_t n_b, unsigned keep, unsigned bits,
                         nf_range *out, size_t room);

/* The fewest prefixes that make up the ranges, in order: address[i], length[i], and range[i], the range it is of (NULL:
 * nobody asks).  All NULL: counts only. */
size_t nf_prefixes_of_ranges4(const nf_range *ranges, size_t n, uint32_t *address, uint8_t *length, uint32_t *range);
size_t nf_prefixes_of_ranges6(const nf_range *ranges, size_t n, nf_ip6_number *address, uint8_t *length,
                              uint32_t *range);

/* The sum of last - first: the addresses, but for one a range. */
nf_ip6_number nf_ranges_span(const nf_range *range, size_t n);

/* Whether one of them holds the address. */
bool nf_ranges_hold(const nf_range *range, size_t n, nf_ip6_number address);

#endif
