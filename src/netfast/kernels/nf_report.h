/* nf_report.h - what was found as lines of text: rows of csv or JSON, and the lines grep prints. */
#ifndef NF_REPORT_H
#define NF_REPORT_H

#include "nf_labels.h"

typedef struct {
    uint8_t *bytes;
    size_t size, capacity;
} nf_output;

bool nf_output_reserve(nf_output *output, size_t more);
void nf_output_free(nf_output *output);

/* What stands between the values of a row:  lead line mid_offset offset mid_address address tail[code] end[i].
 * `end` may be NULL: nothing; else it has a text for each hit. */
typedef struct {
    const uint8_t *lead, *mid_offset, *mid_address;
    size_t lead_size, mid_offset_size, mid_address_size;
    const uint8_t *const *tail;
    const size_t *tail_size;
    const uint8_t *const *end;
    const size_t *end_size;
} nf_row_style;

/* A row a hit, addresses in RFC 5952 form with the zone they were written with.  text[hits->offset - base] is a hit's
 * first byte.  False when out of memory. */
bool nf_report_rows(const nf_hits *hits, const uint8_t *text, int64_t base, const nf_row_style *style,
                    nf_output *output);

/* Addresses by their blocks and by prefixes. */
typedef struct {
    const uint8_t *codes;      /* 256, not 0 for those in the set */
    const nf_labels *prefixes; /* the look-ups of those in the set, NULL for none; their labels are not asked for */
} nf_set;

/* mark[i] is 1 if hit i is in `wanted` (NULL: any is) and not in `unwanted` (NULL: none is), else 0. */
void nf_mark_hits(const nf_hits *hits, const nf_set *wanted, const nf_set *unwanted, uint8_t *mark);

typedef struct {
    const uint8_t *lead;   /* in front of every line, such as "name:" */
    size_t lead_size;
    bool number;           /* then the number of the line and ":" */
    bool only;             /* the addresses that match, not their lines */
    bool invert;           /* the lines without a match */
    bool count;            /* write nothing */
} nf_grep_style;

/* The lines of text[0, size), which holds whole lines and begins with line number `line`, that hold a hit with its
 * byte in `wanted` set.  *lines is how many.  False when out of memory. */
bool nf_report_lines(const nf_hits *hits, const uint8_t *wanted, const uint8_t *text, size_t size, int64_t base,
                     int64_t line, const nf_grep_style *style, nf_output *output, uint64_t *lines);

#endif
