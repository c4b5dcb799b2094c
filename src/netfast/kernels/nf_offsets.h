/* nf_offsets.h - Arrow's offsets to rows of text, one form an instruction set. */
#ifndef NF_OFFSETS_H
#define NF_OFFSETS_H

#include "nf_dispatch.h"

bool nf_offset_rows_scalar(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, const uint8_t **text,
                           uint32_t *size);
#ifdef NF_HAVE_AVX2
bool nf_offset_rows_avx2(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, const uint8_t **text,
                         uint32_t *size);
#endif

#endif
