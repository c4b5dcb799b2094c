/* nf_select.h - which address of a line counts: all, the first, those of one field, those of one JSON string. */
#ifndef NF_SELECT_H
#define NF_SELECT_H

#include "nf_scan.h"

typedef enum { NF_ALL, NF_FIRST, NF_FIELD, NF_KEY } nf_selecting;

enum { NF_PATH_MAX = 16 };

typedef struct {
    nf_selecting by;
    size_t field;                          /* NF_FIELD: from 1 */
    const uint8_t *separator;              /* NF_FIELD: what separates fields; NULL for runs of blanks */
    size_t separator_size;
    const uint8_t *key[NF_PATH_MAX];       /* NF_KEY: the names (or list positions) from the outside in */
    size_t key_size[NF_PATH_MAX];
    size_t depth;
    int64_t part_line;                     /* NF_FIELD, NF_KEY: the line last looked into, and the offsets of what counts */
    int64_t part_begin, part_end;          /*   there; begin with 0 */
    int64_t last_line;                     /* the line of the last hit kept: carries NF_FIRST over calls; begin with 0 */
    uint64_t lines;                        /* how many lines had a hit kept */
} nf_selection;

/* Keeps of the hits from `first` on those that count.  text[hits->offset - base] is a hit's first byte; for NF_FIELD and
 * NF_KEY text[0, size) holds whole lines. */
void nf_select(nf_selection *selection, const uint8_t *text, size_t size, int64_t base, nf_hits *hits, size_t first);

/* The N-th field of a line, and the content of the JSON string at a path; false if the line has none. */
bool nf_find_field(const nf_selection *selection, const uint8_t *line, size_t size, size_t *begin, size_t *end);
bool nf_find_key(const nf_selection *selection, const uint8_t *line, size_t size, size_t *begin, size_t *end);

#endif
