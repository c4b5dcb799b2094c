/* columns.h - columns made of input, damaged ones too, and what each of their rows holds, looked at by itself. */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "fuzz.h"
#include "nf_classify.h"
#include "nf_column.h"
#include "nf_ip4.h"
#include "nf_ip6.h"
#include "nf_rows.h"

enum { ROWS_MAX = 600, VIEWS_MAX = 3 };

typedef struct {
    nf_column column;
    uint8_t *rows, *data, *validity;
    uint8_t *buffer[VIEWS_MAX];
    int64_t buffer_size[VIEWS_MAX];
} fuzz_column;

/* The next bytes of the input, again and again if there are too few; zeros if there are none. */
static inline uint8_t *filled(fuzz_input *input, size_t size)
{
    uint8_t *block = exactly(size);
    for (size_t i = 0; i < size; i++)
        block[i] = input->left ? input->at[i % input->left] : 0;
    return block;
}

static inline void put(uint8_t *at, size_t width, int64_t value) { memcpy(at, &value, width); }

/* Offsets that grow by small steps, now and then one that does not; the last one is the size of the data, which is
 * the exporter's word and nobody can check. */
static inline void make_offsets(fuzz_column *c, fuzz_input *input, size_t width)
{
    const size_t n = c->column.n, damaged = take_below(input, 8) ? SIZE_MAX : take_byte(input) % (n + 1);
    int64_t at = (int64_t)take_below(input, 20);
    c->rows = exactly((n + 1) * width);
    for (size_t i = 0; i <= n; i++) {
        put(c->rows + i * width, width, at);
        if (i < n)
            at += (int64_t)(take_byte(input) % 24);
    }
    if (damaged < n)
        put(c->rows + damaged * width, width,
            (int64_t)((uint64_t)take_byte(input) << (8 * width - 8)) | take_byte(input));
    c->data = filled(input, (size_t)at);
    c->column.data = c->data;
}

static inline void make_views(fuzz_column *c, fuzz_input *input)
{
    const size_t n = c->column.n;
    c->column.buffer_count = (int64_t)take_below(input, VIEWS_MAX + 1);
    for (int64_t b = 0; b < c->column.buffer_count; b++) {
        c->buffer_size[b] = take_byte(input);
        c->buffer[b] = filled(input, (size_t)c->buffer_size[b]);
    }
    c->column.buffers = (const uint8_t *const *)c->buffer;
    c->column.buffer_size = c->buffer_size;
    c->column.first_view = true;
    c->rows = exactly(16 * n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *view = c->rows + 16 * i;
        for (size_t k = 0; k < 16; k++)
            view[k] = input->left ? input->at[(16 * i + k) % input->left] : 0;
        const uint8_t kind = take_byte(input);
        if (kind % 4 != 3) /* some sizes are wild */
            put(view, 4, kind % 4 == 0 ? kind / 4 % 13 : 13 + kind / 4);
        if (kind % 4 == 1) {
            put(view + 8, 4, (int64_t)take_below(input, VIEWS_MAX));
            put(view + 12, 4, take_byte(input) % 64);
        }
    }
}

static inline void make_fixed(fuzz_column *c, fuzz_input *input, size_t width)
{
    const size_t n = c->column.n, gap = take_below(input, 2) ? take_below(input, 20) : 0;
    const bool backwards = take_below(input, 4) == 1;
    c->column.width = width;
    c->rows = filled(input, n ? (n - 1) * (width + gap) + width : 0);
    c->column.stride = (ptrdiff_t)(width + gap);
    if (backwards && n) {
        c->column.rows = c->rows + (n - 1) * (width + gap);
        c->column.stride = -c->column.stride;
    }
}

/* A byte of the input for every character. */
static inline void make_ucs4(fuzz_column *c, fuzz_input *input)
{
    const size_t characters = take_below(input, 4) ? 1 + take_byte(input) % 48 : 1 + take_byte(input);
    make_fixed(c, input, 4 * characters);
    for (size_t i = 0; i < c->column.n; i++) {
        uint8_t *row = (uint8_t *)(uintptr_t)c->column.rows;
        row = (row ? row : c->rows) + (ptrdiff_t)i * c->column.stride;
        for (size_t k = 0; k < characters; k++) {
            const uint8_t byte = input->left ? input->at[(i * characters + k) % input->left] : 0;
            put(row + 4 * k, 4, byte == 0xff ? 0x1F600 : byte == '\n' ? 0 : byte);
        }
    }
}

static inline void make_column(fuzz_column *c, fuzz_input *input, nf_layout layout)
{
    *c = (fuzz_column){.column.layout = layout};
    c->column.n = take_below(input, 8) == 7 ? take_byte(input) * 3u % ROWS_MAX : take_byte(input) % 20u;
    switch (layout) {
    case NF_TEXT32: make_offsets(c, input, 4); break;
    case NF_TEXT64: make_offsets(c, input, 8); break;
    case NF_VIEW: make_views(c, input); break;
    case NF_FIXED: make_fixed(c, input, take_byte(input) % 64); break;
    case NF_UCS4: make_ucs4(c, input); break;
    case NF_PACKED16: make_fixed(c, input, 16); break;
    default: make_fixed(c, input, 4); break;
    }
    if (!c->column.rows)
        c->column.rows = c->rows;
}

/* Now and then a bitmap, whose first bits, fewer than `most`, are none of the column's. */
static inline void make_validity(fuzz_column *c, fuzz_input *input, size_t most)
{
    if (take_below(input, 3) != 2)
        return;
    c->column.validity_offset = take_below(input, most);
    c->validity = filled(input, (c->column.validity_offset + c->column.n + 7) / 8);
    c->column.validity = c->validity;
}

static inline void free_column(fuzz_column *c)
{
    free(c->rows);
    free(c->data);
    free(c->validity);
    for (int b = 0; b < VIEWS_MAX; b++)
        free(c->buffer[b]);
}

/* ---- what a row holds, looked at by itself ---------------------------------------------------------------------- */

typedef struct {
    uint8_t holds, code[2], packed[16];
    uint32_t v4;
} answer;

static inline bool holds_text(nf_layout layout) { return layout <= NF_UCS4; }

static inline answer look_at_text(const nf_column *column, size_t row)
{
    answer a = {.holds = NF_NONE};
    uint8_t room[NF_TEXT_ROOM];
    const uint8_t *text;
    uint32_t size;
    size_t zone, position;
    if (!nf_column_text(column, row, room, &text, &size))
        return a;
    uint8_t *copy = copy_of(text, size);
    if (nf_ip4_parse(copy, size, &a.v4, &position) == NF_OK)
        a.holds = NF_IP4;
    else if (nf_ip6_parse(copy, size, a.packed, &zone, &position) == NF_OK)
        a.holds = zone == size ? NF_IP6 : NF_IP6_ZONED;
    else
        memset(a.packed, 0, 16);
    a.v4 = a.holds == NF_IP4 ? a.v4 : 0;
    free(copy);
    return a;
}

static inline answer look_at(const nf_column *column, size_t row)
{
    answer a = {.holds = NF_NONE};
    const uint8_t *at = column->rows + (ptrdiff_t)row * column->stride;
    uint32_t carried;
    if (holds_text(column->layout)) {
        a = look_at_text(column, row);
    } else if (!nf_is_null(column, row) && column->layout == NF_PACKED16) {
        a.holds = NF_IP6;
        memcpy(a.packed, at, 16);
    } else if (!nf_is_null(column, row)) {
        a.holds = NF_IP4;
        memcpy(&a.v4, at, 4);
        if (column->layout == NF_PACKED4)
            a.v4 = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    if (a.holds == NF_IP4) {
        nf_pack_ip4(a.v4, a.packed);
        a.code[0] = a.code[1] = nf_classify_ip4(a.v4);
    } else if (a.holds != NF_NONE) {
        a.code[0] = a.code[1] = nf_classify_ip6(a.packed);
        if (nf_unwrap(a.packed, &carried))
            a.code[1] = nf_classify_ip4(carried);
    }
    return a;
}

/* Whether the rows are as an honest exporter makes them: offsets also where a row is null. */
static inline bool is_whole(const nf_column *given)
{
    nf_column bare = *given;
    if (given->layout != NF_VIEW)
        bare.validity = NULL;
    const nf_column *column = &bare;
    uint8_t room[NF_TEXT_ROOM];
    const uint8_t *text;
    uint32_t size;
    for (size_t row = 0; row < column->n && holds_text(column->layout); row++)
        if (!nf_is_null(column, row) && !nf_column_text(column, row, room, &text, &size))
            return false;
    return true;
}

#endif
