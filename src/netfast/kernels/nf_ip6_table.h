/* nf_ip6_table.h - the longest IPv6 prefix that matches: building the table that nf_ip6_lookup reads. */
#ifndef NF_IP6_TABLE_H
#define NF_IP6_TABLE_H

#include "nf_prefixes.h"

/* Of n sorted, distinct prefixes; the answer for prefix k is first + k.  false: memory ran out. */
bool nf_ip6_table_build(const nf_ip6_number *address, const uint8_t *length, size_t n, int32_t first, nf_table *table);

/* Whether look-ups in these bytes, whoever wrote them, stay inside and answer -1 or [first, first + n). */
bool nf_ip6_table_check(const uint8_t *bytes, size_t size, int32_t first, size_t n);

#endif
