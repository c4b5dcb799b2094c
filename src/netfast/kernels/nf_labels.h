/* nf_labels.h - what a prefix table says of the addresses found in text. */
#ifndef NF_LABELS_H
#define NF_LABELS_H

#include "nf_scan.h"

/* A table's two look-ups (nf_ip4_lookup.h, nf_ip6_lookup.h), and the label of each of its prefixes. */
typedef struct {
    const uint8_t *ip4, *ip6;
    const int32_t *label;   /* of prefix i: 0 <= label[i] < labels */
    size_t labels;
} nf_labels;

/* The longest prefix that holds each of n hits from `first` on: index[0] to index[n - 1], -1 where none does. */
void nf_match_hits(const nf_labels *labels, const nf_hits *hits, size_t first, size_t n, int32_t *index);

/* Adds the hits from `first` on to the counts of their labels; count[labels] is of those that no prefix holds. */
void nf_count_labels(const nf_labels *labels, const nf_hits *hits, size_t first, uint64_t *count);

#endif
