/* nf_prefixes.c - prefixes in order, and the runs of addresses that they make.
 *
 * Sorting: radix passes from the last digit to the first, each stable, so that equal prefixes keep the order in which
 * they were given.  A digit that is the same for all is not sorted by (half the digits of IPv6 tables); prefixes that
 * are in order already are only looked at.
 */
#include "nf_prefixes.h"

#include <stdlib.h>

#include "nf_memory.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, NO_ANSWER = -1 };

/* Counts of digits to where the entries of each begin. */
static void add_up(size_t place[DIGITS])
{
    for (size_t d = 0, at = 0; d < DIGITS; d++) {
        const size_t count = place[d];
        place[d] = at;
        at += count;
    }
}

/* ---- sorting IPv4: a key of 38 bits, address | length ------------------------------------------------------------ */

typedef struct {
    uint64_t key;
    uint32_t order;
} entry4;

static inline unsigned digit4(const entry4 *e, unsigned shift) { return e->key >> shift & (DIGITS - 1); }

/* One pass; false if it had nothing to do. */
static bool pass4(const entry4 *from, entry4 *to, size_t n, unsigned shift)
{
    size_t place[DIGITS] = {0};
    for (size_t i = 0; i < n; i++)
        place[digit4(&from[i], shift)]++;
    if (place[digit4(&from[0], shift)] == n)
        return false;
    add_up(place);
    for (size_t i = 0; i < n; i++)
        to[place[digit4(&from[i], shift)]++] = from[i];
    return true;
}

static inline uint64_t key4(uint32_t address, uint8_t length) { return (uint64_t)address << 6 | length; }

static bool in_order4(const uint32_t *address, const uint8_t *length, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!nf_prefix4_less(address[i - 1], length[i - 1], address[i], length[i]))
            return false;
    return true;
}

static void identity(uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
}

size_t nf_sort_prefixes4(uint32_t *address, uint8_t *length, uint32_t *order, size_t n)
{
    if (in_order4(address, length, n)) {
        identity(order, n);
        return n;
    }
    entry4 *entries = malloc(2 * n * sizeof *entries), *from = entries, *to = entries + n;
    if (!entries)
        return SIZE_MAX;
    nf_advise_large(entries, 2 * n * sizeof *entries);
    for (size_t i = 0; i < n; i++)
        from[i] = (entry4){key4(address[i], length[i]), (uint32_t)i};
    for (unsigned shift = 0; shift < 38; shift += DIGIT_BITS) {
        if (pass4(from, to, n, shift)) {
            entry4 *swap = from;
            from = to;
            to = swap;
        }
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && from[i].key == from[i + 1].key)
            continue;
        address[k] = (uint32_t)(from[i].key >> 6);
        length[k] = from[i].key & 63;
        order[k++] = from[i].order;
    }
    free(entries);
    return k;
}

/* ---- sorting IPv6: digits of the length, of the low half, of the high half ---------------------------------------*/

typedef struct {
    nf_ip6_number address;
    uint32_t order;
    uint8_t length;
} entry6;

enum { DIGITS_OF_HALF = (64 + DIGIT_BITS - 1) / DIGIT_BITS, DIGITS_OF_6 = 1 + 2 * DIGITS_OF_HALF };

static inline unsigned digit6(const entry6 *e, unsigned which)
{
    if (which == 0)
        return e->length;
    if (which <= DIGITS_OF_HALF)
        return e->address.low >> (which - 1) * DIGIT_BITS & (DIGITS - 1);
    return e->address.high >> (which - 1 - DIGITS_OF_HALF) * DIGIT_BITS & (DIGITS - 1);
}

static bool pass6(const entry6 *from, entry6 *to, size_t n, unsigned which)
{
    size_t place[DIGITS] = {0};
    for (size_t i = 0; i < n; i++)
        place[digit6(&from[i], which)]++;
    if (place[digit6(&from[0], which)] == n)
        return false;
    add_up(place);
    for (size_t i = 0; i < n; i++)
        to[place[digit6(&from[i], which)]++] = from[i];
    return true;
}

static inline bool equal6(nf_ip6_number a, nf_ip6_number b) { return a.high == b.high && a.low == b.low; }
static inline bool below6(nf_ip6_number a, nf_ip6_number b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

static bool in_order6(const nf_ip6_number *address, const uint8_t *length, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!nf_prefix6_less(address[i - 1], length[i - 1], address[i], length[i]))
            return false;
    return true;
}

size_t nf_sort_prefixes6(nf_ip6_number *address, uint8_t *length, uint32_t *order, size_t n)
{
    if (in_order6(address, length, n)) {
        identity(order, n);
        return n;
    }
    entry6 *entries = malloc(2 * n * sizeof *entries), *from = entries, *to = entries + n;
    if (!entries)
        return SIZE_MAX;
    nf_advise_large(entries, 2 * n * sizeof *entries);
    for (size_t i = 0; i < n; i++)
        from[i] = (entry6){address[i], (uint32_t)i, length[i]};
    for (unsigned which = 0; which < DIGITS_OF_6; which++) {
        if (pass6(from, to, n, which)) {
            entry6 *swap = from;
            from = to;
            to = swap;
        }
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && from[i].length == from[i + 1].length && equal6(from[i].address, from[i + 1].address))
            continue;
        address[k] = from[i].address;
        length[k] = from[i].length;
        order[k++] = from[i].order;
    }
    free(entries);
    return k;
}

/* ---- runs: one sweep over the sorted prefixes, with a stack of those that are open --------------------------------*/

typedef struct {
    uint32_t last;
    int32_t answer;
} open4;

static void add_run4(nf_runs4 *runs, uint32_t start, int32_t answer)
{
    if (runs->n && runs->start[runs->n - 1] == start) /* nothing of that run is left */
        runs->n--;
    if (runs->n && runs->answer[runs->n - 1] == answer)
        return;
    runs->start[runs->n] = start;
    runs->answer[runs->n++] = answer;
}

/* Ends the open prefixes that do not reach `address`. */
static open4 *close4(nf_runs4 *runs, open4 *top, const open4 *bottom, uint32_t address)
{
    for (; top > bottom && top->last < address; top--)
        add_run4(runs, top->last + 1, top[-1].answer);
    return top;
}

bool nf_runs4_make(const uint32_t *address, const uint8_t *length, size_t n, int32_t first, nf_runs4 *runs)
{
    open4 bottom[34] = {{UINT32_MAX, NO_ANSWER}}, *top = bottom;
    *runs = (nf_runs4){malloc((2 * n + 1) * sizeof *runs->start), malloc((2 * n + 1) * sizeof *runs->answer), 0};
    if (!runs->start || !runs->answer) {
        nf_runs4_free(runs);
        return false;
    }
    nf_advise_large(runs->start, (2 * n + 1) * sizeof *runs->start);
    nf_advise_large(runs->answer, (2 * n + 1) * sizeof *runs->answer);
    add_run4(runs, 0, NO_ANSWER);
    for (size_t k = 0; k < n; k++) {
        top = close4(runs, top, bottom, address[k]);
        *++top = (open4){address[k] | (uint32_t)(UINT64_C(0xffffffff) >> length[k]), first + (int32_t)k};
        add_run4(runs, address[k], top->answer);
    }
    for (; top > bottom && top->last < UINT32_MAX; top--)
        add_run4(runs, top->last + 1, top[-1].answer);
    return true;
}

void nf_runs4_free(nf_runs4 *runs)
{
    free(runs->start);
    free(runs->answer);
    *runs = (nf_runs4){0};
}

typedef struct {
    nf_ip6_number last;
    int32_t answer;
} open6;

static inline nf_ip6_number last6(nf_ip6_number address, uint8_t length)
{
    if (length < 64)
        return (nf_ip6_number){address.high | UINT64_MAX >> length, UINT64_MAX};
    return (nf_ip6_number){address.high, length == 128 ? address.low : address.low | UINT64_MAX >> (length - 64)};
}

static inline nf_ip6_number next6(nf_ip6_number a)
{
    return (nf_ip6_number){a.high + (a.low == UINT64_MAX), a.low + 1};
}

static void add_run6(nf_runs6 *runs, nf_ip6_number start, int32_t answer)
{
    if (runs->n && equal6(runs->start[runs->n - 1], start))
        runs->n--;
    if (runs->n && runs->answer[runs->n - 1] == answer)
        return;
    runs->start[runs->n] = start;
    runs->answer[runs->n++] = answer;
}

static open6 *close6(nf_runs6 *runs, open6 *top, const open6 *bottom, nf_ip6_number address)
{
    for (; top > bottom && below6(top->last, address); top--)
        add_run6(runs, next6(top->last), top[-1].answer);
    return top;
}

bool nf_runs6_make(const nf_ip6_number *address, const uint8_t *length, size_t n, int32_t first, nf_runs6 *runs)
{
    const nf_ip6_number end = {UINT64_MAX, UINT64_MAX};
    open6 bottom[130] = {{end, NO_ANSWER}}, *top = bottom;
    *runs = (nf_runs6){malloc((2 * n + 1) * sizeof *runs->start), malloc((2 * n + 1) * sizeof *runs->answer), 0};
    if (!runs->start || !runs->answer) {
        nf_runs6_free(runs);
        return false;
    }
    nf_advise_large(runs->start, (2 * n + 1) * sizeof *runs->start);
    nf_advise_large(runs->answer, (2 * n + 1) * sizeof *runs->answer);
    add_run6(runs, (nf_ip6_number){0, 0}, NO_ANSWER);
    for (size_t k = 0; k < n; k++) {
        top = close6(runs, top, bottom, address[k]);
        *++top = (open6){last6(address[k], length[k]), first + (int32_t)k};
        add_run6(runs, address[k], top->answer);
    }
    close6(runs, top, bottom, end);
    return true;
}

void nf_runs6_free(nf_runs6 *runs)
{
    free(runs->start);
    free(runs->answer);
    *runs = (nf_runs6){0};
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* One that wants large pages begins on one (of 2 MB), or it would have one less of them. */
bool nf_table_new(size_t size, nf_table *table)
{
    const size_t page = size < NF_LARGE ? 64 : 2 << 20;
    *table = (nf_table){aligned_alloc(page, (size + page - 1) / page * page), nf_table_round(size)};
    if (!table->bytes)
        return false;
    nf_advise_large(table->bytes, size);
    memset(table->bytes, 0, table->size);
    return true;
}
