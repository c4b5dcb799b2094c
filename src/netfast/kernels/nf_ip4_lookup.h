/* nf_ip4_lookup.h - look-ups in a table of nf_ip4_table.h, and how such a table is laid out.
 *
 * A table is a header, records and leaves.  A record stands for 32 slots of addresses, one bit each:
 *
 *      address     19 bits: record            5: slot     8: below the slot
 *      record      32 bits, bit k: "another answer from slot k on" | base: leaves in front of its first, less one
 *      leaf        number base + how many bits are set up to the slot's own (a leaf goes on until the next begins)
 *
 *      slots       0 . . . . 5 . . . . . . 12 . . . . . . . . . . . . . . . . . . 31
 *      changes     1 0 0 0 0 1 0 0 0 0 0 0 1  0 0 0 0 ...
 *      leaves      A         B             C               base + 1 = A's number
 *
 * A slot that prefixes longer than /24 cut holds a deep leaf: the number of a chunk, 8 more records for its 256
 * addresses.  Tables of few runs have a small root, of 11 bits: 8 bits a record and slot less, and one more step down.
 * Chunks follow the root in the order of their leaves, so everything is counted up from the beginning:
 *
 *      header | root: 2^19 or 2^11 records | chunk 0: 8 records | chunk 1 | ... | leaf 0, unused | leaf 1 | ...
 */
#ifndef NF_IP4_LOOKUP_H
#define NF_IP4_LOOKUP_H

#include "nf_base.h"

enum { NF_IP4_WIDE = 19, NF_IP4_SMALL = 11, NF_IP4_CHUNK = 8 /* records */, NF_IP4_CHUNK_BITS = 8 };

typedef struct {
    uint32_t root_bits; /* NF_IP4_WIDE or NF_IP4_SMALL */
    uint32_t chunks;
    uint64_t leaves;
    uint64_t reserved[6];
} nf_ip4_header;

typedef struct {
    uint32_t changes, base;
} nf_ip4_record;

/* A leaf is an answer, -1 for none, or deep: this and the number of a chunk. */
#define NF_IP4_DEEP INT32_MIN

/* index[i]: the answer of the longest prefix that holds value[i]; -1 if none does. */
void nf_ip4_lookup_scalar(const uint8_t *table, const uint32_t *value, size_t n, int32_t *index);
#ifdef NF_HAVE_AVX2
void nf_ip4_lookup_avx2(const uint8_t *table, const uint32_t *value, size_t n, int32_t *index);
#endif

#endif
