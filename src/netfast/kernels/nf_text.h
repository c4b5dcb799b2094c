/* nf_text.h - what kind of byte is it: ASCII only, whatever the locale. */
#ifndef NF_TEXT_H
#define NF_TEXT_H

#include "nf_base.h"

enum { NF_DIGIT = 1, NF_LETTER = 2, NF_HEX = 4, NF_UNDERSCORE = 8, NF_SPACE = 16 };

/* The classes of a byte: one load in place of a chain of comparisons. */
extern const uint8_t nf_byte_class[256];

static inline bool nf_is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline bool nf_is_letter(uint8_t c) { return (uint8_t)((c | 0x20) - 'a') < 26; }

static inline bool nf_is_hex(uint8_t c) { return nf_byte_class[c] & NF_HEX; }

/* A letter, a digit or an underscore. */
static inline bool nf_is_word(uint8_t c) { return nf_byte_class[c] & (NF_DIGIT | NF_LETTER | NF_UNDERSCORE); }

static inline bool nf_is_space(uint8_t c) { return nf_byte_class[c] & NF_SPACE; }

#endif
