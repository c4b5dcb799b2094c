/* nf_prefix_columns.c - see nf_prefix_columns.h. */
#include "nf_prefix_columns.h"

#include "nf_rows.h"

static uint64_t load_be64(const uint8_t *p)
{
    return (uint64_t)nf_load_be32(p) << 32 | nf_load_be32(p + 4);
}

/* The bits behind a prefix of 0 to 32, or 0 to 128, bits. */
static uint32_t host_bits4(unsigned length)
{
    return length == 32 ? 0 : UINT32_MAX >> length;
}

static nf_ip6_number host_bits6(unsigned length)
{
    nf_ip6_number bits = {length >= 64 ? 0 : UINT64_MAX >> length,
                          length <= 64 ? UINT64_MAX : length == 128 ? 0 : UINT64_MAX >> (length - 64)};
    return bits;
}

static bool take4(uint32_t address, uint8_t length, size_t row, bool mask, nf_prefix_columns *columns)
{
    length = length == NF_LENGTH_NONE ? 32 : length;
    if (length > 32 || (!mask && address & host_bits4(length)))
        return false;
    columns->address4[columns->n4] = address & ~host_bits4(length);
    columns->length4[columns->n4] = length;
    columns->row4[columns->n4++] = (uint32_t)row;
    return true;
}

static bool take6(const uint8_t packed[16], uint8_t length, size_t row, bool mask, nf_prefix_columns *columns)
{
    length = length == NF_LENGTH_NONE ? 128 : length;
    if (length > 128)
        return false;
    nf_ip6_number address = {load_be64(packed), load_be64(packed + 8)}, host = host_bits6(length);
    if (!mask && ((address.high & host.high) | (address.low & host.low)))
        return false;
    columns->address6[columns->n6] = (nf_ip6_number){address.high & ~host.high, address.low & ~host.low};
    columns->length6[columns->n6] = length;
    columns->row6[columns->n6++] = (uint32_t)row;
    return true;
}

size_t nf_split_prefixes(const nf_prefix_rows *rows, size_t from, size_t until, bool mask, nf_prefix_columns *columns)
{
    for (size_t i = from; i < until; i++) {
        bool fine = rows->holds[i] == NF_IP4   ? take4(rows->v4[i], rows->length[i], i, mask, columns)
                    : rows->holds[i] == NF_IP6 ? take6(rows->packed[i], rows->length[i], i, mask, columns)
                                               : false;
        if (!fine)
            return i;
    }
    return until;
}

bool nf_prefixes4_in_order(const uint32_t *address, const uint8_t *length, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (length[i] > 32 || address[i] & host_bits4(length[i]))
            return false;
        if (i && !nf_prefix4_less(address[i - 1], length[i - 1], address[i], length[i]))
            return false;
    }
    return true;
}

bool nf_prefixes6_in_order(const nf_ip6_number *address, const uint8_t *length, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (length[i] > 128)
            return false;
        nf_ip6_number host = host_bits6(length[i]);
        if ((address[i].high & host.high) | (address[i].low & host.low))
            return false;
        if (i && !nf_prefix6_less(address[i - 1], length[i - 1], address[i], length[i]))
            return false;
    }
    return true;
}

size_t nf_prefixes4_before(const uint32_t *address, const uint8_t *length, size_t n, uint32_t prefix,
                           unsigned prefix_length)
{
    size_t from = 0;
    while (n) { /* the answer lies in [from, from + n] */
        size_t half = n / 2;
        bool before = nf_prefix4_less(address[from + half], length[from + half], prefix, prefix_length);
        from = before ? from + half + 1 : from;
        n = before ? n - half - 1 : half;
    }
    return from;
}

size_t nf_prefixes6_before(const nf_ip6_number *address, const uint8_t *length, size_t n, nf_ip6_number prefix,
                           unsigned prefix_length)
{
    size_t from = 0;
    while (n) {
        size_t half = n / 2;
        bool before = nf_prefix6_less(address[from + half], length[from + half], prefix, prefix_length);
        from = before ? from + half + 1 : from;
        n = before ? n - half - 1 : half;
    }
    return from;
}
