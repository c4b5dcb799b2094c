/* nf_classify.c - one walk over an address's bytes gives its code.
 *
 * The blocks become an automaton whose states are bytes.  States below NF_BLOCK_COUNT are answers: they lead to
 * themselves, whatever comes.  The others are prefixes that the table splits further.
 *
 *      192.0.2.7    ROOT4 --192--> s --0--> t --2--> [192.0.2.0/24] --7--> [192.0.2.0/24]
 *       10.1.2.3    ROOT4 ---10--> [10.0.0.0/8] --1--> [10.0.0.0/8] --2--> ... --3--> [10.0.0.0/8]
 *
 * So IPv4 takes at most four loads, whatever the data; the rows that are used stay in the first-level cache.
 * IPv6 stops at the first answer, for ordinary addresses after one or two bytes.
 */
#include "nf_classify.h"

#include "nf_blocks.h"

enum { ROOT4 = NF_BLOCK_COUNT, ROOT6, FIRST_FREE, STATES = 256 };

static uint8_t step[STATES][256];
static uint16_t row_behind[256]; /* of step, where the state behind the first octet of IPv4 begins */

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
    for (unsigned octet = 0; octet < 256; octet++)
        row_behind[octet] = (uint16_t)(step[ROOT4][octet] * 256);
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

enum { BLOCK = 256 };

/* Where in memory the first two octets of a host-order value are: a load of one byte costs no shift and no mask. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { FIRST = 3, SECOND = 2 };
#else
enum { FIRST = 0, SECOND = 1 };
#endif

/* Two steps answer all but the blocks longer than /16, a 64th of a percent of the address space; the rows that want
 * more are gathered without a branch, for in a log they may be many.  (7 instructions a row; 23 for four steps.)
 * Rows that do not hold NF_IP4 get code 0; `holds` may be NULL: all do. */
static inline void classify_block(const uint32_t *value, const uint8_t *holds, size_t n, uint8_t *code)
{
    const uint8_t *octet = (const uint8_t *)value, *steps = step[0];
    uint16_t deeper[BLOCK];
    size_t left = 0;
    uint8_t deepest = 0;
    for (size_t i = 0; i < n; i++, octet += 4)
        code[i] = steps[row_behind[octet[FIRST]] + octet[SECOND]];
    for (size_t i = 0; holds && i < n; i++)
        code[i] = holds[i] == NF_IP4 ? code[i] : 0;
    for (size_t i = 0; i < n; i++)
        deepest = code[i] > deepest ? code[i] : deepest;
    if (deepest < NF_BLOCK_COUNT)
        return;
    for (size_t i = 0; i < n; i++) {
        deeper[left] = (uint16_t)i;
        left += code[i] >= NF_BLOCK_COUNT;
    }
    for (size_t k = 0; k < left; k++)
        code[deeper[k]] = nf_classify_ip4(value[deeper[k]]);
}

void nf_classify_ip4_column(const uint32_t *value, const uint8_t *holds, size_t n, uint8_t *code)
{
    for (size_t i = 0; i < n; i += BLOCK)
        classify_block(value + i, holds ? holds + i : NULL, n - i < BLOCK ? n - i : BLOCK, code + i);
}

/* Takes n rows from byte `from` of their addresses to byte `to`, and keeps those of them that have no answer yet.
 * No step asks whether there is one: an answer leads to itself. */
static inline size_t descend_rows(const uint8_t (*value)[16], uint16_t *row, size_t n, unsigned from, unsigned to,
                                  uint8_t *code)
{
    size_t left = 0;
    for (size_t k = 0; k < n; k++) {
        const uint16_t i = row[k];
        unsigned state = code[i];
        for (unsigned byte = from; byte < to; byte++)
            state = step[state][value[i][byte]];
        code[i] = (uint8_t)state;
        row[left] = i;
        left += state >= NF_BLOCK_COUNT;
    }
    return left;
}

/* Four steps answer all but ::/8, 64:ff9b::/32, 100::/16, 2001::/23 and 2620:4f::/32, twelve all but a few hosts.  What
 * is left is gathered, for a branch a row would cost more than the steps: 20 % of mapped rows cost 1.5 times the rest. */
static void classify_ip6_block(const uint8_t (*value)[16], size_t n, uint8_t *code)
{
    uint16_t deeper[BLOCK];
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *byte = value[i];
        code[i] = step[step[step[step[ROOT6][byte[0]]][byte[1]]][byte[2]]][byte[3]];
        deeper[left] = (uint16_t)i;
        left += code[i] >= NF_BLOCK_COUNT;
    }
    left = descend_rows(value, deeper, left, 4, 12, code);
    descend_rows(value, deeper, left, 12, 16, code);
}

void nf_classify_ip6_column(const uint8_t (*value)[16], size_t n, uint8_t *code)
{
    for (size_t i = 0; i < n; i += BLOCK)
        classify_ip6_block(value + i, n - i < BLOCK ? n - i : BLOCK, code + i);
}

bool nf_unwrap(const uint8_t value[16], uint32_t *carried)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(value, mapped, 12) == 0 || memcmp(value, nat64, 12) == 0)
        *carried = nf_load_be32(value + 12);
    else if (value[0] == 0x20 && value[1] == 0x02)
        *carried = nf_load_be32(value + 2);
    else if (nf_load_be32(value) == 0x20010000)
        *carried = ~nf_load_be32(value + 12); /* RFC 4380 section 4: the client's bits are inverted */
    else
        return false;
    return true;
}
