/* nf_dispatch.h - the loops that exist once per instruction set, chosen once. */
#ifndef NF_DISPATCH_H
#define NF_DISPATCH_H

#include "nf_base.h"

/* What a row parser says of a row. */
enum { NF_ROW_INVALID = 0, NF_ROW_VALID = 1, NF_ROW_ZONED = 2 /* valid, with a zone id */ };

/* 64 bytes of text as bit masks, bit i for byte i. */
typedef struct {
    uint64_t digit;   /* 0-9 */
    uint64_t hex;     /* 0-9 a-f A-F */
    uint64_t dot;
    uint64_t colon;
    uint64_t newline;
} nf_masks;

typedef struct {
    const char *name;
    /* IPv4 text to host-order integers; verdict[i] is NF_ROW_VALID or NF_ROW_INVALID, and then value[i] is 0. */
    void (*ip4_parse_rows)(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict);
    /* IPv6 text to network-order bytes; all zero where invalid. */
    void (*ip6_parse_rows)(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *verdict);
    /* The masks of n whole 64-byte blocks. */
    void (*text_masks)(const uint8_t *text, size_t blocks, nf_masks *masks);
} nf_kernels;

/* The form in use.  Set by nf_kernels_use; scalar until then. */
extern const nf_kernels *nf_active;

/* The name of form i that this build and this CPU can run, best first; NULL past the last. */
const char *nf_kernels_name(size_t i);

/* Uses the form of that name (NULL: the best one); false, and nothing changes, if it is unknown or cannot run. */
bool nf_kernels_use(const char *name);

#endif
