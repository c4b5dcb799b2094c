/* nf_dispatch.h - the loops that exist once per instruction set, chosen once. */
#ifndef NF_DISPATCH_H
#define NF_DISPATCH_H

#include "nf_base.h"
#include "nf_scan.h"

/* What is left of rows when those of IPv4 have been parsed: a set of these. */
typedef enum {
    NF_LEFT_NONE = 0,
    NF_LEFT_SOME = 1,    /* some rows hold no IPv4 address */
    NF_LEFT_OPEN = 2,    /* some of these are NF_OPEN */
    NF_LEFT_UNTRIED = 4, /* the open ones may be of IPv4 still (nf_rows.h) */
    NF_LEFT_OUTSIDE = 8, /* offsets point outside: nothing was read there, values and holds are undefined */
} nf_left;

typedef struct {
    const char *name;
    /* IPv4 text to host-order integers; holds[i] is NF_IP4, or NF_NONE or NF_OPEN, and then value[i] is 0.  A row of
     * IPv6 is always open; of the others, forms may differ in which are. */
    nf_left (*ip4_parse_rows)(nf_rows rows, size_t n, uint32_t *value, uint8_t *holds);
    /* The same of rows between n + 1 offsets (int32, unaligned) into data, which are checked: all in [0, last], none
     * below the one before.  Promise: if they are, the first text ends 16 bytes behind data, or further. */
    nf_left (*ip4_parse_text32)(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, uint32_t *value,
                                uint8_t *holds);
    /* IPv6 text to network-order bytes; holds[i] is NF_IP6, NF_IP6_ZONED or NF_NONE, and then value[i] is all zero. */
    void (*ip6_parse_rows)(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds);
    /* n rows of text from n + 1 offsets (int32, unaligned) into data; false if one points outside [0, last]. */
    bool (*offset_rows)(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, const uint8_t **text,
                        uint32_t *size);
    /* Every address in text: nf_scan.h. */
    size_t (*scan)(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                   nf_hits *hits);
    /* The longest match of each address in a table of nf_ip4_table.h: its answer, -1 if there is none. */
    void (*ip4_lookup)(const uint8_t *table, const uint32_t *value, size_t n, int32_t *index);
    /* The same in a table of nf_ip6_table.h, of network-order bytes. */
    void (*ip6_lookup)(const uint8_t *table, const uint8_t (*value)[16], size_t n, int32_t *index);
} nf_kernels;

/* The form in use.  Set by nf_kernels_use; scalar until then. */
extern const nf_kernels *nf_active;

/* The name of form i that this build and this CPU can run, best first; NULL past the last. */
const char *nf_kernels_name(size_t i);

/* Uses the form of that name (NULL: the best one); false, and nothing changes, if it is unknown or cannot run. */
bool nf_kernels_use(const char *name);

#endif
