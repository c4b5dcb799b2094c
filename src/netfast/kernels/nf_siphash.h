/* nf_siphash.h - SipHash-2-4 of one 64-bit number: a keyed hash that nobody without the key can guess.
 *
 * Aumasson, Bernstein: SipHash, a fast short-input PRF (2012), section 2, for a message of eight bytes.
 */
#ifndef NF_SIPHASH_H
#define NF_SIPHASH_H

#include "nf_base.h"

static inline uint64_t nf_rotate_left(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline void nf_sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds--) {
        v[0] += v[1], v[1] = nf_rotate_left(v[1], 13) ^ v[0], v[0] = nf_rotate_left(v[0], 32);
        v[2] += v[3], v[3] = nf_rotate_left(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = nf_rotate_left(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = nf_rotate_left(v[1], 17) ^ v[2], v[2] = nf_rotate_left(v[2], 32);
    }
}

static inline uint64_t nf_siphash(const uint64_t key[2], uint64_t number)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    const uint64_t words[2] = {number, (uint64_t)8 << 56}; /* the last word holds the size of the message */
    for (int i = 0; i < 2; i++) {
        v[3] ^= words[i];
        nf_sip_rounds(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    nf_sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
