/* nf_report.c - text is made here because a row through Python's csv or json costs a hundred times as much. */
#include "nf_report.h"

#include <stdlib.h>

#include "nf_ip4.h"
#include "nf_ip6.h"

enum { NUMBER_MAX = 20, ZONE_MAX = 16 };

bool nf_output_reserve(nf_output *output, size_t more)
{
    if (output->capacity - output->size >= more)
        return true;
    size_t capacity = output->capacity + output->capacity / 2;
    if (capacity < output->size + more)
        capacity = output->size + more;
    uint8_t *bytes = realloc(output->bytes, capacity);
    if (!bytes)
        return false;
    output->bytes = bytes;
    output->capacity = capacity;
    return true;
}

void nf_output_free(nf_output *output)
{
    free(output->bytes);
    *output = (nf_output){0};
}

static inline uint8_t *put(uint8_t *to, const uint8_t *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static uint8_t *put_number(uint8_t *to, int64_t number)
{
    uint8_t digits[NUMBER_MAX];
    size_t n = 0;
    do
        digits[NUMBER_MAX - ++n] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    return put(to, digits + NUMBER_MAX - n, n);
}

static uint8_t *put_address(uint8_t *to, const nf_hits *hits, size_t i, const uint8_t *text)
{
    const uint8_t *packed = hits->packed[i];
    if (hits->version[i] == 4)
        return put(to, text, hits->length[i]); /* strict text is its own canonical form */
    to += nf_ip6_format(packed, to);
    const uint8_t *zone = memchr(text, '%', hits->length[i]);
    return zone ? put(to, zone, (size_t)(text + hits->length[i] - zone)) : to;
}

bool nf_report_rows(const nf_hits *hits, const uint8_t *text, int64_t base, const nf_row_style *style,
                    nf_output *output)
{
    size_t longest_tail = 0;
    for (int code = 0; code < 256; code++)
        longest_tail = style->tail_size[code] > longest_tail ? style->tail_size[code] : longest_tail;
    size_t longest = style->lead_size + style->mid_offset_size + style->mid_address_size + 2 * NUMBER_MAX +
                     NF_IP6_TEXT_MAX + ZONE_MAX + longest_tail;
    size_t ends = 0;
    for (size_t i = 0; style->end && i < hits->n; i++)
        ends += style->end_size[i];
    if (hits->n == 0)
        return true;
    if (!nf_output_reserve(output, hits->n * longest + ends))
        return false;
    uint8_t *to = output->bytes + output->size;
    for (size_t i = 0; i < hits->n; i++) {
        to = put(to, style->lead, style->lead_size);
        to = put_number(to, hits->line[i]);
        to = put(to, style->mid_offset, style->mid_offset_size);
        to = put_number(to, hits->offset[i]);
        to = put(to, style->mid_address, style->mid_address_size);
        to = put_address(to, hits, i, text + (hits->offset[i] - base));
        to = put(to, style->tail[hits->code[i]], style->tail_size[hits->code[i]]);
        if (style->end)
            to = put(to, style->end[i], style->end_size[i]);
    }
    output->size = (size_t)(to - output->bytes);
    return true;
}

/* ---- sets of addresses ------------------------------------------------------------------------------------------ */

enum { BLOCK = 512 };

/* in[i] is 1 if hit first + i is in the set; NULL: none is. */
static void find_in_set(const nf_set *set, const nf_hits *hits, size_t first, size_t n, uint8_t *in)
{
    int32_t index[BLOCK];
    for (size_t i = 0; i < n; i++)
        in[i] = set && set->codes[hits->code[first + i]];
    if (!set || !set->prefixes)
        return;
    nf_match_hits(set->prefixes, hits, first, n, index);
    for (size_t i = 0; i < n; i++)
        in[i] |= index[i] >= 0;
}

void nf_mark_hits(const nf_hits *hits, const nf_set *wanted, const nf_set *unwanted, uint8_t *mark)
{
    uint8_t no[BLOCK];
    for (size_t first = 0; first < hits->n; first += BLOCK) {
        const size_t n = hits->n - first < BLOCK ? hits->n - first : BLOCK;
        find_in_set(wanted, hits, first, n, mark + first);
        find_in_set(unwanted, hits, first, n, no);
        for (size_t i = 0; i < n; i++)
            mark[first + i] = (mark[first + i] || !wanted) && !no[i];
    }
}

/* ---- grep ------------------------------------------------------------------------------------------------------- */

static bool put_line(nf_output *output, const nf_grep_style *style, int64_t line, const uint8_t *text, size_t size)
{
    if (style->count)
        return true;
    if (!nf_output_reserve(output, style->lead_size + NUMBER_MAX + 2 + size))
        return false;
    uint8_t *to = put(output->bytes + output->size, style->lead, style->lead_size);
    if (style->number) {
        to = put_number(to, line);
        *to++ = ':';
    }
    to = put(to, text, size);
    *to++ = '\n';
    output->size = (size_t)(to - output->bytes);
    return true;
}

bool nf_report_lines(const nf_hits *hits, const uint8_t *wanted, const uint8_t *text, size_t size, int64_t base,
                     int64_t line, const nf_grep_style *style, nf_output *output, uint64_t *lines)
{
    size_t i = 0;
    bool fine = true;
    *lines = 0;
    for (size_t at = 0; fine && at < size; line++) {
        const uint8_t *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size;
        bool match = false;
        for (; i < hits->n && (size_t)(hits->offset[i] - base) < end; i++) {
            match |= wanted[i];
            if (wanted[i] && style->only && !style->invert)
                fine &= put_line(output, style, line, text + (hits->offset[i] - base), hits->length[i]);
        }
        if (match != style->invert) {
            ++*lines;
            if (!style->only)
                fine &= put_line(output, style, line, text + at, end - at);
        }
        at = end + 1;
    }
    return fine;
}
