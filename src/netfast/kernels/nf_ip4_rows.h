/* nf_ip4_rows.h - many rows of IPv4 text at once, one form an instruction set. */
#ifndef NF_IP4_ROWS_H
#define NF_IP4_ROWS_H

#include "nf_dispatch.h"

nf_left nf_ip4_parse_rows_scalar(nf_rows rows, size_t n, uint32_t *value, uint8_t *holds);
nf_left nf_ip4_parse_text32_scalar(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, uint32_t *value,
                                   uint8_t *holds);
#ifdef NF_HAVE_AVX2
nf_left nf_ip4_parse_rows_avx2(nf_rows rows, size_t n, uint32_t *value, uint8_t *holds);
nf_left nf_ip4_parse_text32_avx2(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, uint32_t *value,
                                 uint8_t *holds);
#endif

/* Fills the layout tables of the vector forms; nf_kernels_use calls it once before any of them can run. */
void nf_ip4_rows_init(void);

#endif
