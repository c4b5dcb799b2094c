/* nf_rows.c - every row goes through the IPv4 form; what that leaves and may be IPv6 is gathered and goes through the
 * other.  Blocks of rows keep everything between the two in the first-level cache, and nothing branches on a row. */
#include "nf_rows.h"

#include "nf_classify.h"
#include "nf_dispatch.h"

enum { BLOCK = 256 };

/* The rows of a block that IPv4 left over. */
typedef struct {
    size_t n;
    uint16_t row[BLOCK];
    const uint8_t *text[BLOCK];
    uint32_t size[BLOCK];
    uint8_t value[BLOCK][16];
    uint8_t verdict[BLOCK];
    uint8_t code[BLOCK];
} nf_rest;

/* Whether any of the 16 bytes that end the text is a colon (a colon in front of a short text costs time, no more).
 * An address without a zone has one there, for its groups have four digits at most. */
static inline bool may_be_ip6(const uint8_t *text, uint32_t size)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t front, back;
    memcpy(&front, text + size - 16, 8);
    memcpy(&back, text + size - 8, 8);
    front ^= ones * ':';
    back ^= ones * ':';
    uint64_t zero_byte = ((front - ones) & ~front & tops) | ((back - ones) & ~back & tops);
    return (zero_byte != 0) | (size > 16);
}

static void parse_rest(nf_rows rows, size_t n, const uint8_t *verdict, nf_rest *rest)
{
    size_t invalid = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        rest->row[invalid] = (uint16_t)i;
        invalid += verdict[i] == NF_ROW_INVALID;
    }
    for (size_t k = 0; k < invalid; k++) {
        uint16_t row = rest->row[k];
        rest->row[left] = row;
        rest->text[left] = rows.text[row];
        rest->size[left] = rows.size[row];
        left += may_be_ip6(rows.text[row], rows.size[row]);
    }
    rest->n = left;
    if (left)
        nf_active->ip6_parse_rows((nf_rows){rest->text, rest->size}, left, rest->value, rest->verdict);
}

static uint8_t classify_one(const uint8_t value[16], bool unwrap)
{
    uint32_t carried;
    return unwrap && nf_unwrap(value, &carried) ? nf_classify_ip4(carried) : nf_classify_ip6(value);
}

static void classify_rest(nf_rest *rest, bool unwrap)
{
    nf_classify_ip6_column((const uint8_t(*)[16])rest->value, rest->n, rest->code);
    for (size_t k = 0; unwrap && k < rest->n; k++)
        rest->code[k] = classify_one(rest->value[k], unwrap);
    for (size_t k = 0; k < rest->n; k++)
        rest->code[k] &= rest->verdict[k] == NF_ROW_INVALID ? 0 : 0xff;
}

static void classify_block(nf_rows rows, size_t n, bool unwrap, uint8_t *code)
{
    uint32_t v4[BLOCK];
    uint8_t verdict[BLOCK];
    nf_rest rest;
    size_t valid = 0;
    nf_active->ip4_parse_rows(rows, n, v4, verdict);
    nf_classify_ip4_valid(v4, verdict, n, code);
    for (size_t i = 0; i < n; i++)
        valid += verdict[i];
    if (valid == n)
        return;
    parse_rest(rows, n, verdict, &rest);
    classify_rest(&rest, unwrap);
    for (size_t k = 0; k < rest.n; k++)
        code[rest.row[k]] = rest.code[k];
}

void nf_classify_rows(nf_rows rows, size_t n, bool unwrap, uint8_t *code)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t some = n - i < BLOCK ? n - i : BLOCK;
        classify_block((nf_rows){rows.text + i, rows.size + i}, some, unwrap, code + i);
    }
}

void nf_pack_ip4(uint32_t value, uint8_t packed[16])
{
    const uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff, [12] = (uint8_t)(value >> 24), [13] = (uint8_t)(value >> 16),
                               [14] = (uint8_t)(value >> 8), [15] = (uint8_t)value};
    memcpy(packed, bytes, 16);
}

static void pack_block(const uint32_t *v4, const uint8_t *holds, size_t n, uint8_t (*packed)[16])
{
    for (size_t i = 0; i < n; i++) {
        if (holds[i] == NF_IP4)
            nf_pack_ip4(v4[i], packed[i]);
        else
            memset(packed[i], 0, 16);
    }
}

/* False, and nothing but v4 and holds of the block touched, if an IPv6 row has no place to go. */
static bool parse_block(nf_rows rows, size_t n, uint32_t *v4, uint8_t (*packed)[16], uint8_t *holds)
{
    static const uint8_t ip6[] = {[NF_ROW_INVALID] = NF_NONE, [NF_ROW_VALID] = NF_IP6, [NF_ROW_ZONED] = NF_IP6_ZONED};
    uint8_t verdict[BLOCK];
    nf_rest rest;
    size_t valid = 0;
    nf_active->ip4_parse_rows(rows, n, v4, verdict);
    for (size_t i = 0; i < n; i++) {
        holds[i] = (uint8_t)(verdict[i] * NF_IP4);
        valid += verdict[i];
    }
    if (packed)
        pack_block(v4, holds, n, packed);
    if (valid == n)
        return true;
    parse_rest(rows, n, verdict, &rest);
    for (size_t k = 0; k < rest.n; k++) {
        if (rest.verdict[k] == NF_ROW_INVALID)
            continue;
        if (!packed)
            return false;
        holds[rest.row[k]] = ip6[rest.verdict[k]];
        memcpy(packed[rest.row[k]], rest.value[k], 16);
    }
    return true;
}

size_t nf_parse_rows(nf_rows rows, size_t n, uint32_t *v4, uint8_t (*packed)[16], uint8_t *holds)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t some = n - i < BLOCK ? n - i : BLOCK;
        if (!parse_block((nf_rows){rows.text + i, rows.size + i}, some, v4 + i, packed ? packed + i : NULL, holds + i))
            return i;
    }
    return n;
}

void nf_classify_packed(const uint8_t (*packed)[16], const uint8_t *holds, size_t n, bool unwrap, uint8_t *code)
{
    for (size_t i = 0; i < n; i++) {
        if (holds[i] == NF_IP4)
            code[i] = nf_classify_ip4(nf_load_be32(packed[i] + 12));
        else
            code[i] = holds[i] == NF_NONE ? 0 : classify_one(packed[i], unwrap);
    }
}
