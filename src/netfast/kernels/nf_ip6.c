/* nf_ip6.c - one IPv6 address: RFC 4291 text <-> 16 bytes in network order. */
#include "nf_ip6.h"

#include "nf_ip4.h"

enum { GROUPS = 8, GROUP_DIGITS = 4, NO_GAP = -1 };

/* 1 + the value of a hexadecimal digit; 0 for every other byte. */
static const uint8_t HEX_DIGIT[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* What has been read so far.  gap is how many groups stand in front of "::". */
typedef struct {
    const uint8_t *text;
    size_t size;
    size_t at;
    size_t gap_at;
    int gap;
    int groups;
    uint8_t bytes[2 * GROUPS];
} reader;

/* The address part ends where the text ends or its zone begins. */
static inline bool at_end(const reader *r)
{
    return r->at == r->size || r->text[r->at] == '%';
}

static inline bool at_byte(const reader *r, uint8_t byte)
{
    return r->at < r->size && r->text[r->at] == byte;
}

static inline void put_group(reader *r, uint32_t group)
{
    r->bytes[2 * r->groups] = (uint8_t)(group >> 8);
    r->bytes[2 * r->groups + 1] = (uint8_t)group;
    r->groups++;
}

/* Reads up to four hexadecimal digits. */
static inline nf_reason read_digits(reader *r, uint32_t *group)
{
    const size_t start = r->at;
    uint32_t sum = 0, digit;

    while (r->at < r->size && (digit = HEX_DIGIT[r->text[r->at]]) != 0) {
        if (r->at - start == GROUP_DIGITS)
            return NF_GROUP_LONG;
        sum = sum << 4 | (digit - 1);
        r->at++;
    }
    *group = sum;
    return NF_OK;
}

/* Reads the dotted decimal that starts at start and is the rest of the address part. */
static nf_reason read_ip4(reader *r, size_t start)
{
    const uint8_t *percent = memchr(r->text + start, '%', r->size - start);
    const size_t end = percent ? (size_t)(percent - r->text) : r->size;
    uint32_t ip4 = 0;
    size_t blame = 0;

    if (r->groups > GROUPS - 2) {
        r->at = start;
        return NF_GROUP_COUNT;
    }
    const nf_reason reason = nf_ip4_parse(r->text + start, end - start, &ip4, &blame);
    if (reason != NF_OK) {
        r->at = start + blame;
        return reason;
    }
    put_group(r, ip4 >> 16);
    put_group(r, ip4 & 0xffff);
    r->at = end;
    return NF_OK;
}

/* Stands behind a colon that follows a group: notes a second colon. */
static inline nf_reason read_gap(reader *r)
{
    if (!at_byte(r, ':'))
        return NF_OK;
    if (r->gap != NO_GAP)
        return NF_COLON_DOUBLE;
    r->gap = r->groups;
    r->gap_at = r->at - 1;
    r->at++;
    return NF_OK;
}

/* Stands where a group should be and no digit is: fine only behind a "::" that ends the address. */
static nf_reason read_nothing(reader *r)
{
    const bool behind_gap = r->gap == r->groups;

    if (at_end(r) && behind_gap)
        return NF_OK;
    if (at_end(r)) {
        r->at--;
        return NF_COLON_LONE;
    }
    return r->text[r->at] == ':' ? NF_COLON_DOUBLE : NF_BAD_CHARACTER;
}

/* Reads groups up to the end of the address part.  On failure r->at is the byte to blame. */
static nf_reason read_groups(reader *r)
{
    for (;;) {
        const size_t start = r->at;
        uint32_t group = 0;
        nf_reason reason = read_digits(r, &group);

        if (reason != NF_OK)
            return reason;
        if (at_byte(r, '.'))
            return read_ip4(r, start);
        if (r->at == start)
            return read_nothing(r);
        if (r->groups == GROUPS) {
            r->at = start;
            return NF_GROUP_COUNT;
        }
        put_group(r, group);
        if (at_end(r))
            return NF_OK;
        if (r->text[r->at] != ':')
            return NF_BAD_CHARACTER;
        r->at++;
        reason = read_gap(r);
        if (reason != NF_OK)
            return reason;
    }
}

static nf_reason read_address(reader *r)
{
    if (at_end(r))
        return NF_EMPTY;
    if (at_byte(r, ':')) {
        if (r->size == 1 || r->text[1] != ':')
            return NF_COLON_LONE;
        r->gap = 0;
        r->at = 2;
    }
    const nf_reason reason = read_groups(r);
    if (reason != NF_OK)
        return reason;
    if (r->gap == NO_GAP)
        return r->groups == GROUPS ? NF_OK : NF_GROUP_COUNT;
    if (r->groups == GROUPS) {
        r->at = r->gap_at;
        return NF_GROUP_COUNT;
    }
    return NF_OK;
}

/* Stands at the end of the address part. */
static nf_reason read_zone(reader *r, size_t *zone)
{
    if (r->at == r->size) {
        *zone = r->size;
        return NF_OK;
    }
    *zone = ++r->at;
    if (r->at == r->size)
        return NF_ZONE_EMPTY;
    for (; r->at < r->size; r->at++)
        if (r->text[r->at] == '%' || r->text[r->at] == '/')
            return NF_ZONE_CHARACTER;
    return NF_OK;
}

/* Moves the groups behind "::" to the end. */
static inline void put_value(const reader *r, uint8_t value[16])
{
    const size_t front = 2 * (size_t)(r->gap == NO_GAP ? r->groups : r->gap);
    const size_t back = 2 * (size_t)r->groups - front;

    memset(value, 0, 16);
    memcpy(value, r->bytes, front);
    memcpy(value + 16 - back, r->bytes + front, back);
}

nf_reason nf_ip6_parse(const uint8_t *text, size_t size, uint8_t value[16], size_t *zone, size_t *position)
{
    reader r = {.text = text, .size = size, .gap = NO_GAP};
    nf_reason reason = read_address(&r);

    if (reason == NF_OK)
        reason = read_zone(&r, zone);
    if (reason == NF_OK)
        put_value(&r, value);
    else
        *position = r.at;
    return reason;
}

static inline uint32_t group_at(const uint8_t value[16], int i)
{
    return (uint32_t)value[2 * i] << 8 | value[2 * i + 1];
}

/* Lower case, no leading zeros. */
static inline uint8_t *write_group(uint8_t *out, uint32_t group)
{
    static const uint8_t digits[] = "0123456789abcdef";

    if (group > 0xfff)
        *out++ = digits[group >> 12];
    if (group > 0xff)
        *out++ = digits[group >> 8 & 15];
    if (group > 0xf)
        *out++ = digits[group >> 4 & 15];
    *out++ = digits[group & 15];
    return out;
}

/* The longest run of two or more zero groups, the first of equals; *length is 0 when there is none.
 *
 *   zero   bit i: group i is zero                          0 1 1 0 1 1 1 0    (group 0 at the left)
 *   runs   bit i: length groups from i on are zero      1  0 1 1 0 1 1 1 0
 *                                                       2  0 1 0 0 1 1 0 0
 *                                                       3  0 0 0 0 1 0 0 0    the last that is not empty
 */
static inline int longest_zero_run(const uint8_t value[16], int *length)
{
    uint32_t zero = 0, runs, longer;

    for (int i = 0; i < GROUPS; i++)
        zero |= (uint32_t)(group_at(value, i) == 0) << i;
    *length = 1;
    for (runs = zero; (longer = runs & zero >> *length) != 0; runs = longer)
        ++*length;
    if (*length == 1)
        *length = 0;
    return runs ? __builtin_ctz(runs) : 0;
}

static inline bool is_ip4_mapped(const uint8_t value[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(value, mapped, sizeof mapped) == 0;
}

static size_t format_ip4_mapped(const uint8_t value[16], uint8_t *out)
{
    static const uint8_t front[] = {':', ':', 'f', 'f', 'f', 'f', ':'};
    const uint32_t ip4 = group_at(value, 6) << 16 | group_at(value, 7);

    memcpy(out, front, sizeof front);
    return sizeof front + nf_ip4_format(ip4, out + sizeof front);
}

size_t nf_ip6_format(const uint8_t value[16], uint8_t *out)
{
    const uint8_t *const start = out;
    int gap_length;

    if (is_ip4_mapped(value))
        return format_ip4_mapped(value, out);
    const int gap = longest_zero_run(value, &gap_length);
    for (int i = 0; i < GROUPS; i++) {
        if (gap_length && i == gap) {
            *out++ = ':';
            i += gap_length - 1;
            if (i == GROUPS - 1)
                *out++ = ':';
            continue;
        }
        if (i > 0)
            *out++ = ':';
        out = write_group(out, group_at(value, i));
    }
    return (size_t)(out - start);
}
