/* nf_classify.h - an address to its code: the row of its most specific block in NF_BLOCKS (registry/nf_blocks.h). */
#ifndef NF_CLASSIFY_H
#define NF_CLASSIFY_H

#include "nf_base.h"

/* Builds the step table; once, before anything below. */
void nf_classify_init(void);

uint8_t nf_classify_ip4(uint32_t value);
uint8_t nf_classify_ip6(const uint8_t value[16]);

/* Code 0 where holds[i] is not NF_IP4; `holds` may be NULL: all are. */
void nf_classify_ip4_column(const uint32_t *value, const uint8_t *holds, size_t n, uint8_t *code);
void nf_classify_ip6_column(const uint8_t (*value)[16], size_t n, uint8_t *code);

/* The IPv4 address that an IPv6 address carries: mapped (RFC 4291), 64:ff9b::/96 (RFC 6052), 6to4 (RFC 3056), or the
 * client of Teredo (RFC 4380).  False, and *carried untouched, for any other. */
bool nf_unwrap(const uint8_t value[16], uint32_t *carried);

#endif
