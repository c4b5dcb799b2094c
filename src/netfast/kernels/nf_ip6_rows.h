/* nf_ip6_rows.h - many rows of IPv6 text to network-order bytes, one loop an instruction set.
 *
 * holds[i] is NF_IP6, NF_IP6_ZONED or NF_NONE, and then value[i] is all zero; see nf_dispatch.h.
 */
#ifndef NF_IP6_ROWS_H
#define NF_IP6_ROWS_H

#include "nf_base.h"

/* The reference: one nf_ip6_parse a row. */
void nf_ip6_parse_rows_scalar(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds);

#ifdef NF_HAVE_AVX2
/* The same answers; needs AVX2, BMI1 and BMI2. */
void nf_ip6_parse_rows_avx2(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds);
#endif

/* Whether it is worth a try: any of the 16 bytes that end the text is a colon (one in front of a short text costs time,
 * no more).  An address without a zone has one there, for its groups have four digits at most. */
static inline bool nf_may_be_ip6(const uint8_t *text, uint32_t size)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t front, back;
    memcpy(&front, text + size - 16, 8);
    memcpy(&back, text + size - 8, 8);
    front ^= ones * ':';
    back ^= ones * ':';
    uint64_t zero_byte = ((front - ones) & ~front & tops) | ((back - ones) & ~back & tops);
    return (zero_byte != 0) | (size > 16);
}

#endif
