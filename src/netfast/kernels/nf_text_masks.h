/* nf_text_masks.h - text as bit masks, 64 bytes at a time, one form an instruction set. */
#ifndef NF_TEXT_MASKS_H
#define NF_TEXT_MASKS_H

#include "nf_base.h"

/* Bit masks of blocks of text: bit i of item b for byte i of block b. */
typedef struct {
    uint64_t *digit;   /* 0-9 */
    uint64_t *hex;     /* 0-9 a-f A-F */
    uint64_t *dot;
    uint64_t *colon;
    uint64_t *newline;
} nf_masks;

/* The masks of whole blocks. */
typedef void nf_text_masks(const uint8_t *text, size_t blocks, nf_masks masks);

nf_text_masks nf_text_masks_scalar;
#ifdef NF_HAVE_AVX2
nf_text_masks nf_text_masks_avx2;
#endif
#ifdef NF_HAVE_NEON
nf_text_masks nf_text_masks_neon;
#endif

#endif
