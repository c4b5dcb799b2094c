/* nf_dispatch.h - the loops that exist once per instruction set, chosen once. */
#ifndef NF_DISPATCH_H
#define NF_DISPATCH_H

#include "nf_base.h"
#include "nf_scan.h"

/* What a row parser says of a row. */
enum { NF_ROW_INVALID = 0, NF_ROW_VALID = 1, NF_ROW_ZONED = 2 /* valid, with a zone id */ };

typedef struct {
    const char *name;
    /* IPv4 text to host-order integers; verdict[i] is NF_ROW_VALID or NF_ROW_INVALID, and then value[i] is 0. */
    void (*ip4_parse_rows)(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict);
    /* IPv6 text to network-order bytes; all zero where invalid. */
    void (*ip6_parse_rows)(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *verdict);
    /* n rows of text from n + 1 offsets (int32, unaligned) into data; false if one points outside [0, last]. */
    bool (*offset_rows)(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, const uint8_t **text,
                        uint32_t *size);
    /* Every address in text: nf_scan.h. */
    size_t (*scan)(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                   nf_hits *hits);
} nf_kernels;

/* The form in use.  Set by nf_kernels_use; scalar until then. */
extern const nf_kernels *nf_active;

/* The name of form i that this build and this CPU can run, best first; NULL past the last. */
const char *nf_kernels_name(size_t i);

/* Uses the form of that name (NULL: the best one); false, and nothing changes, if it is unknown or cannot run. */
bool nf_kernels_use(const char *name);

#endif
