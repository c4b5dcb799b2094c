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

#endif
