/* nf_column.h - columns as Arrow and NumPy lay them out, read in place. */
#ifndef NF_COLUMN_H
#define NF_COLUMN_H

#include "nf_base.h"

typedef enum {
    NF_TEXT32,    /* int32 offsets into bytes: Arrow utf8, binary */
    NF_TEXT64,    /* int64 offsets: large_utf8, large_binary */
    NF_VIEW,      /* 16-byte views: string_view, binary_view */
    NF_FIXED,     /* `width` bytes a row, NUL-padded: NumPy S */
    NF_UCS4,      /* `width` bytes a row, 4 a character, NUL-padded: NumPy U */
    NF_UINT32,    /* IPv4, host order */
    NF_PACKED4,   /* IPv4, network order: fixed-size binary 4 */
    NF_PACKED16,  /* IPv6, network order: fixed-size binary 16 */
} nf_layout;

typedef struct {
    nf_layout layout;
    size_t n;                        /* rows */
    const uint8_t *rows;             /* offsets, views or values, of row 0 */
    ptrdiff_t stride;                /* from one to the next */
    size_t width;                    /* NF_FIXED and NF_UCS4 */
    const uint8_t *data;             /* what offsets point into */
    const uint8_t *const *buffers;   /* what views point into, their sizes, and how many */
    const int64_t *buffer_size;
    int64_t buffer_count;
    const uint8_t *validity;         /* a bit a row, least significant first, from bit `validity_offset` on; or NULL */
    size_t validity_offset;
    bool first_view;                 /* row 0 is the first in memory: nothing may be read in front of it */
} nf_column;

/* Rows [first, first + n) to codes; null rows get 0.  False if an offset or view points outside its buffer: nothing was
 * read there, the rows from the block of that one on are undefined. */
bool nf_classify_column(const nf_column *column, size_t first, size_t n, bool unwrap, uint8_t *code);

/* The same rows to addresses as nf_parse_rows does it (nf_rows.h); v4, packed and holds are those of row `first`.
 * *done is the rows done: n, or fewer when packed is NULL and an IPv6 row has come. */
bool nf_parse_column(const nf_column *column, size_t first, size_t n, uint32_t *v4, uint8_t (*packed)[16],
                     uint8_t *holds, size_t *done);

/* The text of a row of a text column, as written; false for a null row, a value column, or a row out of bounds.
 * `room` is for layouts that have no such bytes of their own (NF_UCS4). */
enum { NF_TEXT_ROOM = 144 };
bool nf_column_text(const nf_column *column, size_t row, uint8_t room[NF_TEXT_ROOM], const uint8_t **text,
                    uint32_t *size);

static inline bool nf_is_null(const nf_column *column, size_t row)
{
    size_t bit = column->validity_offset + row;
    return column->validity && !(column->validity[bit / 8] >> bit % 8 & 1);
}

#endif
