/* nf_labels.c - hits to prefixes, a family at a time: the look-ups take many addresses at once. */
#include "nf_labels.h"

#include "nf_dispatch.h"

enum { BLOCK = 512 };

/* The hits of one family in a block. */
typedef struct {
    size_t n;
    uint16_t row[BLOCK];
    int32_t index[BLOCK];
} nf_family;

static void spread(const nf_family *family, int32_t *index)
{
    for (size_t k = 0; k < family->n; k++)
        index[family->row[k]] = family->index[k];
}

static void match_block(const nf_labels *labels, const uint8_t (*packed)[16], const uint8_t *version, size_t n,
                        int32_t *index)
{
    nf_family ip4 = {.n = 0}, ip6 = {.n = 0};
    uint32_t value4[BLOCK];
    uint8_t value6[BLOCK][16];
    for (size_t i = 0; i < n; i++) {
        value4[ip4.n] = nf_load_be32(packed[i] + 12);
        ip4.row[ip4.n] = (uint16_t)i;
        memcpy(value6[ip6.n], packed[i], 16);
        ip6.row[ip6.n] = (uint16_t)i;
        ip4.n += version[i] == 4;
        ip6.n += version[i] != 4;
    }
    nf_active->ip4_lookup(labels->ip4, value4, ip4.n, ip4.index);
    nf_active->ip6_lookup(labels->ip6, (const uint8_t(*)[16])value6, ip6.n, ip6.index);
    spread(&ip4, index);
    spread(&ip6, index);
}

void nf_match_hits(const nf_labels *labels, const nf_hits *hits, size_t first, size_t n, int32_t *index)
{
    for (size_t i = 0; i < n; i += BLOCK)
        match_block(labels, (const uint8_t(*)[16])hits->packed + first + i, hits->version + first + i,
                    n - i < BLOCK ? n - i : BLOCK, index + i);
}

void nf_count_labels(const nf_labels *labels, const nf_hits *hits, size_t first, uint64_t *count)
{
    int32_t index[BLOCK];
    for (size_t i = first; i < hits->n; i += BLOCK) {
        const size_t n = hits->n - i < BLOCK ? hits->n - i : BLOCK;
        nf_match_hits(labels, hits, i, n, index);
        for (size_t k = 0; k < n; k++)
            count[index[k] < 0 ? labels->labels : (size_t)labels->label[index[k]]]++;
    }
}
