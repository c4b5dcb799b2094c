/* nf_text.h - what kind of byte is it: ASCII only, whatever the locale. */
#ifndef NF_TEXT_H
#define NF_TEXT_H

#include "nf_base.h"

static inline bool nf_is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline bool nf_is_letter(uint8_t c) { return (uint8_t)((c | 0x20) - 'a') < 26; }

static inline bool nf_is_hex(uint8_t c) { return nf_is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6; }

/* A letter, a digit or an underscore. */
static inline bool nf_is_word(uint8_t c) { return nf_is_digit(c) || nf_is_letter(c) || c == '_'; }

static inline bool nf_is_space(uint8_t c) { return c == ' ' || (uint8_t)(c - '\t') < 5; }

#endif
