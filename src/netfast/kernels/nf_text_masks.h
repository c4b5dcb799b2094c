/* nf_text_masks.h - text as bit masks, 64 bytes at a time, one form an instruction set. */
#ifndef NF_TEXT_MASKS_H
#define NF_TEXT_MASKS_H

#include "nf_dispatch.h"

void nf_text_masks_scalar(const uint8_t *text, size_t blocks, nf_masks *masks);
#ifdef NF_HAVE_AVX2
void nf_text_masks_avx2(const uint8_t *text, size_t blocks, nf_masks *masks);
#endif
#ifdef NF_HAVE_NEON
void nf_text_masks_neon(const uint8_t *text, size_t blocks, nf_masks *masks);
#endif

#endif
