/* nf_ip4.c - strict dotted decimal, one address at a time: the reference for the row forms. */
#include "nf_ip4.h"

#include "nf_text.h"

/* One octet from *at on; leaves *at behind its last digit, or on the byte to blame. */
static nf_reason parse_octet(const uint8_t *text, size_t size, size_t *at, uint32_t *octet)
{
    size_t first = *at, i = first;
    uint32_t value = 0;
    while (i < size && nf_is_digit(text[i]) && i - first < 3)
        value = value * 10 + (text[i++] - '0');
    *at = i;
    if (i == first)
        return i < size && text[i] != '.' ? NF_BAD_CHARACTER : NF_OCTET_EMPTY;
    if (i < size && nf_is_digit(text[i]))
        return NF_OCTET_LONG;
    *at = first; /* what can still be wrong is the octet as a whole */
    if (text[first] == '0' && i - first > 1)
        return NF_OCTET_ZERO;
    if (value > 255)
        return NF_OCTET_RANGE;
    *at = i;
    *octet = value;
    return NF_OK;
}

nf_reason nf_ip4_parse(const uint8_t *text, size_t size, uint32_t *value, size_t *position)
{
    uint32_t address = 0, octet = 0;
    *position = 0;
    if (size == 0)
        return NF_EMPTY;
    for (int k = 0; k < 4; k++) {
        if (k > 0) {
            if (*position == size)
                return NF_OCTET_COUNT;
            if (text[*position] != '.')
                return NF_BAD_CHARACTER;
            ++*position;
        }
        nf_reason reason = parse_octet(text, size, position, &octet);
        if (reason != NF_OK)
            return reason;
        address = address << 8 | octet;
    }
    if (*position != size)
        return text[*position] == '.' ? NF_OCTET_COUNT : NF_BAD_CHARACTER;
    *value = address;
    return NF_OK;
}

static inline uint8_t *put_octet(uint8_t *out, uint32_t octet)
{
    if (octet >= 100) {
        *out++ = (uint8_t)('0' + octet / 100);
        octet %= 100;
        *out++ = (uint8_t)('0' + octet / 10);
    } else if (octet >= 10) {
        *out++ = (uint8_t)('0' + octet / 10);
    }
    *out++ = (uint8_t)('0' + octet % 10);
    return out;
}

size_t nf_ip4_format(uint32_t value, uint8_t *out)
{
    uint8_t *p = out;
    for (int shift = 24; shift >= 0; shift -= 8) {
        p = put_octet(p, value >> shift & 255);
        if (shift)
            *p++ = '.';
    }
    return (size_t)(p - out);
}
