/* nf_classify.c - one walk over an address's bytes gives its code.
 *
 * The blocks become an automaton whose states are bytes.  States below NF_BLOCK_COUNT are answers: they lead to
 * themselves, whatever comes.  The others are prefixes that the table splits further.
 *
 *      192.0.2.7    ROOT4 --192--> s --0--> t --2--> [192.0.2.0/24] --7--> [192.0.2.0/24]
 *       10.1.2.3    ROOT4 ---10--> [10.0.0.0/8] --1--> [10.0.0.0/8] --2--> ... --3--> [10.0.0.0/8]
 *
 * So IPv4 takes four loads and no branch, whatever the data; the rows that are used stay in the first-level cache.
 * IPv6 stops at the first answer, for ordinary addresses after one or two bytes.
 */
#include "nf_classify.h"

#include "nf_blocks.h"

enum { ROOT4 = NF_BLOCK_COUNT, ROOT6, FIRST_FREE, STATES = 256 };

static uint8_t step[STATES][256];

/* The state behind `state` on `byte`, split off from the answer it was if need be. */
static unsigned descend(unsigned state, uint8_t byte, unsigned *free_state)
{
    unsigned next = step[state][byte];
    if (next >= NF_BLOCK_COUNT)
        return next;
    memset(step[*free_state], (int)next, 256);
    step[state][byte] = (uint8_t)*free_state;
    return (*free_state)++;
}

static void insert(unsigned code, unsigned *free_state)
{
    const nf_block *block = &NF_BLOCKS[code];
    unsigned state = block->version == 4 ? ROOT4 : ROOT6, bits = block->bits;
    const uint8_t *byte = block->prefix;
    for (; bits > 8; bits -= 8)
        state = descend(state, *byte++, free_state);
    memset(&step[state][*byte], (int)code, (size_t)1 << (8 - bits));
}

void nf_classify_init(void)
{
    unsigned free_state = FIRST_FREE;
    for (unsigned code = 0; code < NF_BLOCK_COUNT; code++)
        memset(step[code], (int)code, 256);
    memset(step[ROOT4], 0, 256);
    memset(step[ROOT6], 0, 256);
    for (unsigned bits = 0; bits <= 128; bits++) /* shorter prefixes first: longer ones split them */
        for (unsigned code = 1; code < NF_BLOCK_COUNT; code++)
            if (NF_BLOCKS[code].bits == bits)
                insert(code, &free_state);
}

uint8_t nf_classify_ip4(uint32_t value)
{
    unsigned state = step[ROOT4][value >> 24];
    state = step[state][value >> 16 & 255];
    state = step[state][value >> 8 & 255];
    return step[state][value & 255];
}

uint8_t nf_classify_ip6(const uint8_t value[16])
{
    unsigned state = ROOT6;
    do
        state = step[state][*value++];
    while (state >= NF_BLOCK_COUNT);
    return (uint8_t)state;
}

void nf_classify_ip4_column(const uint32_t *value, size_t n, uint8_t *code)
{
    for (size_t i = 0; i < n; i++)
        code[i] = nf_classify_ip4(value[i]);
}

void nf_classify_ip6_column(const uint8_t (*value)[16], size_t n, uint8_t *code)
{
    for (size_t i = 0; i < n; i++)
        code[i] = nf_classify_ip6(value[i]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool nf_unwrap(const uint8_t value[16], uint32_t *carried)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(value, mapped, 12) == 0 || memcmp(value, nat64, 12) == 0)
        *carried = load_be32(value + 12);
    else if (value[0] == 0x20 && value[1] == 0x02)
        *carried = load_be32(value + 2);
    else if (load_be32(value) == 0x20010000)
        *carried = ~load_be32(value + 12); /* RFC 4380 section 4: the client's bits are inverted */
    else
        return false;
    return true;
}
