/* nf_rows.c - every row goes through the IPv4 form; what that leaves and may be IPv6 is gathered and goes through the
 * other.  Where rows look like IPv6 it is the other way round.  Blocks of rows keep everything between the two in the
 * first-level cache, and nothing branches on a row. */
#include "nf_rows.h"

#include "nf_classify.h"
#include "nf_ip4.h"
#include "nf_ip6.h"
#include "nf_ip6_rows.h"

/* The rows of a block that may be IPv6: all of it, or some, and then gathered. */
typedef struct {
    size_t n;
    nf_rows rows;
    uint16_t row[NF_BLOCK];
    const uint8_t *text[NF_BLOCK];
    uint32_t size[NF_BLOCK];
    uint8_t value[NF_BLOCK][16];
    uint8_t holds[NF_BLOCK];
    uint8_t code[NF_BLOCK];
} nf_rest;

static bool looks_like_ip6(nf_rows rows, size_t n)
{
    const size_t sample[] = {0, n / 2, n - 1};
    for (size_t k = 0; k < 3; k++)
        if (!nf_may_be_ip6(rows.text[sample[k]], rows.size[sample[k]]))
            return false;
    return true;
}

nf_left nf_parse_ip4_block(nf_rows rows, size_t n, uint32_t *v4, uint8_t *holds)
{
    if (n == 0 || !looks_like_ip6(rows, n))
        return nf_active->ip4_parse_rows(rows, n, v4, holds);
    memset(v4, 0, n * sizeof *v4);
    memset(holds, NF_OPEN, n);
    return NF_LEFT_SOME | NF_LEFT_OPEN | NF_LEFT_UNTRIED;
}

static void gather_open(nf_rows rows, size_t n, const uint8_t *holds, nf_rest *rest)
{
    rest->n = 0;
    for (size_t i = 0; i < n; i++) {
        rest->row[rest->n] = (uint16_t)i;
        rest->n += holds[i] == NF_OPEN;
    }
    for (size_t k = 0; k < rest->n; k++) {
        rest->text[k] = rows.text[rest->row[k]];
        rest->size[k] = rows.size[rest->row[k]];
    }
    rest->rows = (nf_rows){rest->text, rest->size};
}

static void take_all(nf_rows rows, size_t n, nf_rest *rest)
{
    rest->n = n;
    rest->rows = rows;
    for (size_t i = 0; i < n; i++)
        rest->row[i] = (uint16_t)i;
}

/* Rows of IPv4 among those that turned out not to be IPv6. */
static void try_ip4(const nf_rest *rest, uint32_t *v4, uint8_t *holds)
{
    const uint8_t *text[NF_BLOCK];
    uint32_t size[NF_BLOCK], value[NF_BLOCK];
    uint16_t row[NF_BLOCK];
    uint8_t found[NF_BLOCK];
    size_t n = 0;
    for (size_t k = 0; k < rest->n; k++) {
        row[n] = (uint16_t)k; /* every row is open, so its place in the rest is its row */
        n += rest->holds[k] == NF_NONE;
    }
    for (size_t k = 0; k < n; k++) {
        text[k] = rest->rows.text[row[k]];
        size[k] = rest->rows.size[row[k]];
    }
    nf_active->ip4_parse_rows((nf_rows){text, size}, n, value, found);
    for (size_t k = 0; k < n; k++) {
        if (found[k] != NF_IP4)
            continue;
        v4[row[k]] = value[k];
        holds[row[k]] = NF_IP4;
    }
}

static void parse_rest(nf_rows rows, size_t n, nf_left left, uint32_t *v4, uint8_t *holds, nf_rest *rest)
{
    if (left & NF_LEFT_UNTRIED)
        take_all(rows, n, rest);
    else
        gather_open(rows, n, holds, rest);
    nf_active->ip6_parse_rows(rest->rows, rest->n, rest->value, rest->holds);
    if (left & NF_LEFT_UNTRIED)
        try_ip4(rest, v4, holds);
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
        rest->code[k] &= rest->holds[k] == NF_NONE ? 0 : 0xff;
}

void nf_classify_block(nf_rows rows, size_t n, nf_left left, uint32_t *v4, uint8_t *holds, bool unwrap, uint8_t *code)
{
    nf_rest rest;
    rest.n = 0;
    if (left & NF_LEFT_OPEN) {
        parse_rest(rows, n, left, v4, holds, &rest);
        classify_rest(&rest, unwrap);
    }
    nf_classify_ip4_column(v4, left ? holds : NULL, n, code);
    for (size_t k = 0; k < rest.n; k++)
        code[rest.row[k]] |= rest.code[k]; /* one of the two is 0 */
}

void nf_classify_rows(nf_rows rows, size_t n, bool unwrap, uint8_t *code)
{
    uint32_t v4[NF_BLOCK];
    uint8_t holds[NF_BLOCK];
    for (size_t i = 0; i < n; i += NF_BLOCK) {
        const size_t some = n - i < NF_BLOCK ? n - i : NF_BLOCK;
        const nf_rows block = {rows.text + i, rows.size + i};
        const nf_left left = nf_parse_ip4_block(block, some, v4, holds);
        nf_classify_block(block, some, left, v4, holds, unwrap, code + i);
    }
}

size_t nf_format_row(uint8_t holds, uint32_t v4, const uint8_t packed[16], uint8_t *out)
{
    if (holds == NF_NONE)
        return 0;
    return holds == NF_IP4 ? nf_ip4_format(v4, out) : nf_ip6_format(packed, out);
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

bool nf_parse_block(nf_rows rows, size_t n, nf_left left, uint32_t *v4, nf_packed packed, uint8_t *holds)
{
    nf_rest rest;
    rest.n = 0;
    if (left & NF_LEFT_OPEN)
        parse_rest(rows, n, left, v4, holds, &rest);
    if (packed)
        pack_block(v4, holds, n, packed);
    for (size_t k = 0; k < rest.n; k++) {
        const uint16_t row = rest.row[k];
        if (rest.holds[k] != NF_NONE && !packed)
            return false;
        if (holds[row] == NF_OPEN)
            holds[row] = rest.holds[k];
        if (packed && holds[row] != NF_IP4)
            memcpy(packed[row], rest.value[k], 16);
    }
    return true;
}

size_t nf_parse_rows(nf_rows rows, size_t n, uint32_t *v4, nf_packed packed, uint8_t *holds)
{
    for (size_t i = 0; i < n; i += NF_BLOCK) {
        const size_t some = n - i < NF_BLOCK ? n - i : NF_BLOCK;
        const nf_rows block = {rows.text + i, rows.size + i};
        const nf_left left = nf_parse_ip4_block(block, some, v4 + i, holds + i);
        if (!nf_parse_block(block, some, left, v4 + i, packed ? packed + i : NULL, holds + i))
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
