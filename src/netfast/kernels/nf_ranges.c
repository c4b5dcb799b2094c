/* nf_ranges.c - see nf_ranges.h.
 *
 * A set of ranges is a list of the places where an address stops being what the one before it was:
 *
 *      a          |=======|        |====|             borders: first, last + 1, first, last + 1
 *      b               |====|      |==|
 *      state   0  |  1 |3|2 |   0  | 3|1|   0         in a + 2 * in b, between two borders
 *      a and b         |=|         |==|               kept where bit `state` of `keep` is set
 *
 * Where last is the last address there is, last + 1 is nowhere, and that border is left out.
 */
#include "nf_ranges.h"

static bool less(nf_ip6_number a, nf_ip6_number b)
{
    return a.high != b.high ? a.high < b.high : a.low < b.low;
}

static bool same(nf_ip6_number a, nf_ip6_number b)
{
    return a.high == b.high && a.low == b.low;
}

static nf_ip6_number plus(nf_ip6_number a, nf_ip6_number b)
{
    uint64_t low = a.low + b.low;
    return (nf_ip6_number){a.high + b.high + (low < a.low), low};
}

static nf_ip6_number minus(nf_ip6_number a, nf_ip6_number b)
{
    return (nf_ip6_number){a.high - b.high - (a.low < b.low), a.low - b.low};
}

static const nf_ip6_number one = {0, 1};

/* The number of which the last k bits are set, 0 <= k <= 128. */
static nf_ip6_number ones(unsigned k)
{
    uint64_t high = k <= 64 ? 0 : UINT64_MAX >> (128 - k);
    uint64_t low = k == 0 ? 0 : k >= 64 ? UINT64_MAX : UINT64_MAX >> (64 - k);
    return (nf_ip6_number){high, low};
}

/* ---- prefixes to ranges ------------------------------------------------------------------------------------------ */

/* Adds a range that begins no earlier than those before it. */
static size_t join(nf_range *range, size_t n, nf_ip6_number first, nf_ip6_number last)
{
    if (n && (!less(range[n - 1].last, first) || same(plus(range[n - 1].last, one), first))) {
        if (less(range[n - 1].last, last))
            range[n - 1].last = last;
        return n;
    }
    range[n] = (nf_range){first, last};
    return n + 1;
}

size_t nf_ranges_of_prefixes4(const uint32_t *address, const uint8_t *length, size_t n, nf_range *range)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        nf_ip6_number first = {0, address[i]};
        made = join(range, made, first, plus(first, ones(32 - length[i])));
    }
    return made;
}

size_t nf_ranges_of_prefixes6(const nf_ip6_number *address, const uint8_t *length, size_t n, nf_range *range)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++)
        made = join(range, made, address[i], plus(address[i], ones(128 - length[i])));
    return made;
}

/* ---- two sets to one --------------------------------------------------------------------------------------------- */

typedef struct {
    const nf_range *range;
    size_t left;          /* borders from here on */
    bool inside;          /* whether the next one is the end of a range */
    nf_ip6_number border; /* the next one, if any is left */
} nf_walk;

static void find_border(nf_walk *walk)
{
    if (walk->left)
        walk->border = walk->inside ? plus(walk->range->last, one) : walk->range->first;
}

static nf_walk walk_along(const nf_range *range, size_t n, unsigned bits)
{
    bool endless = n && same(range[n - 1].last, ones(bits));
    nf_walk walk = {range, 2 * n - endless, false, {0, 0}};
    find_border(&walk);
    return walk;
}

static void step(nf_walk *walk)
{
    walk->range += walk->inside;
    walk->inside = !walk->inside;
    walk->left--;
    find_border(walk);
}

size_t nf_ranges_combine(const nf_range *a, size_t n_a, const nf_range *b, size_t n_b, unsigned keep, unsigned bits,
                         nf_range *out, size_t room)
{
    nf_walk in_a = walk_along(a, n_a, bits), in_b = walk_along(b, n_b, bits);
    nf_ip6_number first = {0, 0};
    bool kept = keep & NF_KEEP_NEITHER;
    size_t n = 0;
    while (n < room && (in_a.left || in_b.left)) {
        bool move_a = in_a.left && (!in_b.left || !less(in_b.border, in_a.border));
        bool move_b = in_b.left && (!in_a.left || !less(in_a.border, in_b.border));
        nf_ip6_number border = move_a ? in_a.border : in_b.border;
        if (move_a)
            step(&in_a);
        if (move_b)
            step(&in_b);
        bool keeps = keep >> (in_a.inside + 2 * in_b.inside) & 1;
        if (kept && !keeps && !same(first, border)) /* the same: both begin at 0 */
            out[n++] = (nf_range){first, minus(border, one)};
        if (!kept && keeps)
            first = border;
        kept = keeps;
    }
    if (kept && n < room)
        out[n++] = (nf_range){first, ones(bits)};
    return n;
}

/* ---- ranges to prefixes ------------------------------------------------------------------------------------------ */

/* How many bits at the end are 0; 128 of 0. */
static unsigned trailing_zeros(nf_ip6_number a)
{
    return a.low ? (unsigned)__builtin_ctzll(a.low) : a.high ? 64 + (unsigned)__builtin_ctzll(a.high) : 128;
}

/* How many bits a number needs; 0 of 0. */
static unsigned bit_length(nf_ip6_number a)
{
    return a.high ? 128 - (unsigned)__builtin_clzll(a.high) : a.low ? 64 - (unsigned)__builtin_clzll(a.low) : 0;
}

/* The host bits of the largest prefix that begins where the range does and does not go on behind it.
 *
 *      range   0b0110 .. 0b1110       0b0110 has one zero at its end, and 2**3 <= 9 addresses < 2**4: one host bit
 */
static unsigned largest(nf_range range, unsigned bits)
{
    nf_ip6_number span = minus(range.last, range.first);
    unsigned zeros = trailing_zeros(range.first);
    unsigned room = same(span, ones(128)) ? 128 : bit_length(plus(span, one)) - 1;
    unsigned host = zeros < room ? zeros : room;
    return host < bits ? host : bits;
}

/* Cuts the prefix off; false if nothing is left. */
static bool cut(nf_range *range, unsigned host)
{
    nf_ip6_number last = plus(range->first, ones(host));
    range->first = plus(last, one);
    return less(last, range->last);
}

size_t nf_prefixes_of_ranges4(const nf_range *ranges, size_t n, uint32_t *address, uint8_t *length, uint32_t *range)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        nf_range rest = ranges[i];
        unsigned host;
        do {
            host = largest(rest, 32);
            if (address) {
                address[made] = (uint32_t)rest.first.low;
                length[made] = (uint8_t)(32 - host);
            }
            if (range)
                range[made] = (uint32_t)i;
            made++;
        } while (cut(&rest, host));
    }
    return made;
}

size_t nf_prefixes_of_ranges6(const nf_range *ranges, size_t n, nf_ip6_number *address, uint8_t *length,
                              uint32_t *range)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        nf_range rest = ranges[i];
        unsigned host;
        do {
            host = largest(rest, 128);
            if (address) {
                address[made] = rest.first;
                length[made] = (uint8_t)(128 - host);
            }
            if (range)
                range[made] = (uint32_t)i;
            made++;
        } while (cut(&rest, host));
    }
    return made;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

nf_ip6_number nf_ranges_span(const nf_range *range, size_t n)
{
    nf_ip6_number sum = {0, 0};
    for (size_t i = 0; i < n; i++)
        sum = plus(sum, minus(range[i].last, range[i].first));
    return sum;
}

bool nf_ranges_hold(const nf_range *range, size_t n, nf_ip6_number address)
{
    size_t from = 0;
    while (n) { /* the last range that begins at or before the address lies in [from - 1, from + n) */
        size_t half = n / 2;
        bool behind = !less(address, range[from + half].first);
        from = behind ? from + half + 1 : from;
        n = behind ? n - half - 1 : half;
    }
    return from && !less(range[from - 1].last, address);
}
