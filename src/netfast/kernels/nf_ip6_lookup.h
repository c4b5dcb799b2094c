/* nf_ip6_lookup.h - look-ups in a table of nf_ip6_table.h, and how such a table is laid out.
 *
 * An address is eight windows of 16 bits.  A table is a header and objects; each decides by one window, and what it
 * finds is a ref: the answer, or another object, which decides by a later window.
 *
 *      ref     0 | answer                               bit 31 clear; or all bits set: no prefix
 *              10 | window 3 | size 2 | place 25        a node, at place x 64
 *              11 | place 30                            a line, at place x 16
 *
 *      line    window | m | - | - | m keys of 16 bits | m + 1 refs          at most 16 keys, sorted
 *              the ref is the one behind the keys that are not above the window; with up to 9 keys, a cache line
 *
 *      node    2^16, 2^12, 2^9 or 2^6 slots (size 0 to 3), by the window's first bits; 32 slots a record
 *              record: 32 bits "another ref from this slot on" | base
 *              the ref is the 32-bit word of the table with the number base + how many bits are set up to the slot's
 *              in all but the largest a slot may hold a line for the rest of the same window
 */
#ifndef NF_IP6_LOOKUP_H
#define NF_IP6_LOOKUP_H

#include "nf_base.h"

enum {
    NF_IP6_WINDOWS = 8,
    NF_IP6_KEYS = 16,
    NF_IP6_NODE_UNIT = 64,
    NF_IP6_LINE_UNIT = 16,
    NF_IP6_NODE_PLACES = 1 << 25,
    NF_IP6_LINE_PLACES = (1 << 30) - 1,
};

typedef struct {
    int32_t root; /* a ref */
    int32_t reserved[15];
} nf_ip6_header;

typedef struct {
    uint32_t changes, base;
} nf_ip6_record;

typedef struct {
    uint8_t window, keys, reserved[2];
    uint16_t key[];
} nf_ip6_line;

static inline bool nf_ip6_is_node(int32_t ref) { return (uint32_t)ref >> 30 == 2; }
static inline bool nf_ip6_is_line(int32_t ref) { return (uint32_t)ref >> 30 == 3 && ref != -1; }
static inline size_t nf_ip6_line_place(int32_t ref) { return (size_t)(ref & 0x3fffffff) * NF_IP6_LINE_UNIT; }
static inline size_t nf_ip6_node_place(int32_t ref) { return (size_t)(ref & 0x1ffffff) * NF_IP6_NODE_UNIT; }
static inline unsigned nf_ip6_node_window(int32_t ref) { return ref >> 27 & 7; }

/* How many bits of the window a node does not look at: 0, 4, 7 or 10. */
static inline unsigned nf_ip6_node_rest(int32_t ref) { return 0xa740 >> (ref >> 23 & 12) & 15; }

/* Where the refs of a line with so many keys begin. */
static inline size_t nf_ip6_line_head(unsigned keys) { return sizeof(nf_ip6_line) + (keys + 1) / 2 * 4; }

/* index[i]: the answer of the longest prefix that holds value[i]; -1 if none does. */
void nf_ip6_lookup_scalar(const uint8_t *table, const uint8_t (*value)[16], size_t n, int32_t *index);
#ifdef NF_HAVE_AVX2
void nf_ip6_lookup_avx2(const uint8_t *table, const uint8_t (*value)[16], size_t n, int32_t *index);
#endif

#endif
