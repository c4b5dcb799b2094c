/* nf_ip4.h - one IPv4 address: strict dotted-decimal text <-> a uint32 in host order. */
#ifndef NF_IP4_H
#define NF_IP4_H

#include "nf_base.h"

enum { NF_IP4_TEXT_MAX = 15 };

/* Strict RFC 6943 section 3.1.1 form: four decimal octets 0-255, no leading zero, nothing before or behind.
 * On failure *position is the offset of the byte to blame (size when the text is too short). */
nf_reason nf_ip4_parse(const uint8_t *text, size_t size, uint32_t *value, size_t *position);

/* Writes at most NF_IP4_TEXT_MAX bytes, returns how many. */
size_t nf_ip4_format(uint32_t value, uint8_t *out);

#endif
