/* nf_tally.h - how often each address occurs, shared by threads, in bounded memory. */
#ifndef NF_TALLY_H
#define NF_TALLY_H

#include "nf_scan.h"

typedef struct nf_tally nf_tally;

typedef struct {
    uint8_t packed[16];  /* network order, IPv4 as ::ffff:a.b.c.d; of a network its first address */
    uint8_t version;
    uint64_t count;
} nf_top;

/* Counts exactly while there are at most `max_distinct` different addresses.  `seed` keeps whoever writes the log from
 * choosing addresses that collide.  NULL when out of memory. */
nf_tally *nf_tally_new(uint64_t max_distinct, uint64_t seed);
void nf_tally_free(nf_tally *tally);

/* Counts hits; any number of threads at once.  False when out of memory. */
bool nf_tally_add(nf_tally *tally, const nf_hits *hits);

/* How many different addresses there were; *estimated tells that it was too many to keep: then this is HyperLogLog's
 * estimate (standard error 0.4 %), and a count below may be too low by up to nf_tally_error. */
uint64_t nf_tally_unique(const nf_tally *tally, bool *estimated);
uint64_t nf_tally_error(const nf_tally *tally);

/* Neither of the lists below is longer than this. */
uint64_t nf_tally_most(const nf_tally *tally);

/* The k most frequent addresses, most first, equals by family and value; returns how many there are (at most k). */
size_t nf_tally_top(const nf_tally *tally, size_t k, nf_top *top);

/* The same of networks, /24 and /48.  Ends the counting: the addresses are given up as their networks are made. */
bool nf_tally_top_networks(nf_tally *tally, size_t k, nf_top *top, size_t *n);

#endif
