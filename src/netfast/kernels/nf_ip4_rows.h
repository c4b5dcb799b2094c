/* nf_ip4_rows.h - many rows of IPv4 text at once, one form an instruction set. */
#ifndef NF_IP4_ROWS_H
#define NF_IP4_ROWS_H

#include "nf_dispatch.h"

void nf_ip4_parse_rows_scalar(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict);
#ifdef NF_HAVE_AVX2
void nf_ip4_parse_rows_avx2(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict);
#endif

/* Fills the layout tables of the vector forms; nf_kernels_use calls it once before any of them can run. */
void nf_ip4_rows_init(void);

#endif
