/* nf_prefix_columns.h - prefixes as columns: parsed rows in, their order checked, one of them found. */
#ifndef NF_PREFIX_COLUMNS_H
#define NF_PREFIX_COLUMNS_H

#include "nf_prefixes.h"

enum { NF_LENGTH_NONE = 0xff }; /* no length was given: all bits of the address */

/* Parsed addresses as nf_rows.h has them (packed: NULL while no row is IPv6), with a length each. */
typedef struct {
    const uint8_t *holds;
    const uint32_t *v4;
    const uint8_t (*packed)[16];
    const uint8_t *length;
} nf_prefix_rows;

/* The prefixes of each family, and which row each came from. */
typedef struct {
    uint32_t *address4;
    nf_ip6_number *address6;
    uint8_t *length4, *length6;
    uint32_t *row4, *row6;
    size_t n4, n6;
} nf_prefix_columns;

/* Appends rows [from, until) to the columns, which have room for them.  Returns `until`, or the first row that is no
 * prefix: no address, a length that is too large, or host bits set, unless `mask` clears them. */
size_t nf_split_prefixes(const nf_prefix_rows *rows, size_t from, size_t until, bool mask, nf_prefix_columns *columns);

/* Whether foreign columns are in order, without equal ones, too large lengths or host bits. */
bool nf_prefixes4_in_order(const uint32_t *address, const uint8_t *length, size_t n);
bool nf_prefixes6_in_order(const nf_ip6_number *address, const uint8_t *length, size_t n);

/* How many of n sorted prefixes come before this one. */
size_t nf_prefixes4_before(const uint32_t *address, const uint8_t *length, size_t n, uint32_t prefix,
                           unsigned prefix_length);
size_t nf_prefixes6_before(const nf_ip6_number *address, const uint8_t *length, size_t n, nf_ip6_number prefix,
                           unsigned prefix_length);

#endif
