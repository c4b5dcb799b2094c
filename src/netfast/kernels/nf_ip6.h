/* nf_ip6.h - one IPv6 address: RFC 4291 text <-> 16 bytes in network order. */
#ifndef NF_IP6_H
#define NF_IP6_H

#include "nf_base.h"

enum { NF_IP6_TEXT_MAX = 45 };

/* RFC 4291 section 2.2, embedded dotted decimal included, and an optional RFC 4007 zone: "%" and one or more bytes
 * that are neither "%" nor "/".  *zone is the offset of the first byte of the zone id, or size when there is none.
 * On failure *position is the offset of the byte to blame (size when the text is too short). */
nf_reason nf_ip6_parse(const uint8_t *text, size_t size, uint8_t value[16], size_t *zone, size_t *position);

/* RFC 5952: lower case, the longest run of zero groups (the first of equals, never a single one) as "::", dotted
 * decimal only in ::ffff:0:0/96.  Writes at most NF_IP6_TEXT_MAX bytes, returns how many. */
size_t nf_ip6_format(const uint8_t value[16], uint8_t *out);

#endif
