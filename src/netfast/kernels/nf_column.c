/* nf_column.c - a column, block by block, to rows of text (or straight to integers).
 *
 * The rows of nf_base.h promise 16 readable bytes in front of every row's end.  In a column those are the rows before
 * it; only rows that end in the first 16 bytes of a buffer are copied to a place with room in front.
 */
#include "nf_column.h"

#include "nf_classify.h"
#include "nf_ip6_rows.h"
#include "nf_rows.h"

enum {
    PAD = 16,
    UCS4_MAX = NF_TEXT_ROOM - PAD, /* characters of a text that are looked at */
    TOO_LONG = 1 << 28,            /* bytes: no address is, and it fits every type of size */
};

/* A block of rows, and room for the copies of those that need one. */
typedef struct {
    const uint8_t *text[NF_BLOCK];
    uint32_t size[NF_BLOCK];
    uint8_t room[NF_BLOCK][NF_TEXT_ROOM];
} nf_block_rows;

/* As it lies in memory: size, then up to 12 bytes of text, or the first 4 of them and where all are. */
typedef struct {
    int32_t size;
    uint8_t prefix[4];
    int32_t buffer, offset;
} nf_view;

enum { VIEW = sizeof(nf_view), VIEW_TEXT = 4, VIEW_INLINED = VIEW - VIEW_TEXT };

/* ---- text of a block, a function a layout; false when something points outside ---------------------------------- */

static void copy_row(nf_block_rows *block, size_t i, const uint8_t *text, uint32_t size)
{
    memcpy(block->room[i] + PAD, text, size);
    block->text[i] = block->room[i] + PAD;
}

/* Rows that end in the first bytes of the data have nothing in front of them. */
static void copy_first_rows(nf_block_rows *block, size_t n, const uint8_t *data)
{
    for (size_t i = 0; i < n && block->text[i] + block->size[i] < data + PAD; i++)
        copy_row(block, i, block->text[i], block->size[i]);
}

static bool text32_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    int32_t last = nf_load_int32(column->rows + 4 * column->n);
    if (!nf_active->offset_rows(column->data, column->rows + 4 * first, n, last, block->text, block->size))
        return false;
    copy_first_rows(block, n, column->data);
    return true;
}

static bool text64_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    const uint8_t *offsets = column->rows + 8 * first;
    const int64_t last = nf_load_int64(column->rows + 8 * column->n);
    bool outside = nf_load_int64(offsets) < 0;
    for (size_t i = 0; i < n; i++) {
        int64_t from = nf_load_int64(offsets + 8 * i), to = nf_load_int64(offsets + 8 * (i + 1));
        uint64_t size = (uint64_t)to - (uint64_t)from;
        outside |= (to < from) | (to > last);
        block->text[i] = (const uint8_t *)((uintptr_t)column->data + (uintptr_t)from); /* may be nowhere */
        block->size[i] = size < TOO_LONG ? (uint32_t)size : TOO_LONG;
    }
    if (outside)
        return false;
    copy_first_rows(block, n, column->data);
    return true;
}

/* Long texts that end in the first bytes of their buffer. */
static void copy_early_views(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    for (size_t i = 0; i < n; i++) {
        nf_view view;
        memcpy(&view, column->rows + (first + i) * VIEW, VIEW);
        if (block->size[i] > VIEW_INLINED && (int64_t)view.offset + view.size < PAD)
            copy_row(block, i, block->text[i], block->size[i]);
    }
}

/* Whether a text is in its view or elsewhere is anybody's guess, so nothing branches on it: masks choose, and a view
 * that has its text is led to the first buffer.  A null's view may hold anything. */
static inline bool view_block(const nf_column *column, size_t first, size_t n, nf_block_rows *block, bool nullable)
{
    static const uint8_t *const nowhere = NULL;
    static const int64_t nothing = 0;
    const uint8_t *const *buffers = column->buffer_count ? column->buffers : &nowhere;
    const int64_t *sizes = column->buffer_count ? column->buffer_size : &nothing;
    const uint64_t count = column->buffer_count ? (uint64_t)column->buffer_count : 1;
    const uint8_t *at = column->rows + first * VIEW;
    bool wrong = false, early = false;
    for (size_t i = 0; i < n; i++, at += VIEW) {
        nf_view view;
        memcpy(&view, at, VIEW);
        const bool null = nullable && nf_is_null(column, first + i);
        const bool there = !null & ((uint32_t)view.size > VIEW_INLINED);
        const bool fits = (uint32_t)view.buffer < count;
        const uintptr_t mask = 0 - (uintptr_t)there;
        const uint32_t buffer = (uint32_t)view.buffer & (0 - (uint32_t)(there & fits));
        const uint8_t *data = buffers[buffer];
        const int64_t end = (int64_t)view.offset + view.size;
        wrong |= there & (!fits | (view.size < 0) | (view.offset < 0) | (end > nf_load_int64(sizes + buffer)) | !data);
        early |= there & (end < PAD);
        const uintptr_t text = ((uintptr_t)data + (uintptr_t)view.offset) & mask;
        block->text[i] = (const uint8_t *)(text | ((uintptr_t)(at + VIEW_TEXT) & ~mask));
        block->size[i] = (uint32_t)view.size & (0 - (uint32_t)!null);
    }
    if (wrong)
        return false;
    if (early)
        copy_early_views(column, first, n, block);
    if (first == 0 && column->first_view && block->size[0] <= VIEW_INLINED)
        copy_row(block, 0, block->text[0], block->size[0]);
    return true;
}

static bool view_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    return column->validity ? view_block(column, first, n, block, true) : view_block(column, first, n, block, false);
}

static const uint8_t *fixed_at(const nf_column *column, size_t row)
{
    return column->rows + (ptrdiff_t)row * column->stride;
}

/* NumPy's S ends at the last byte that is not NUL.  Nothing is known of what lies around a row, so a row shorter than
 * 16 is copied. */
static bool fixed_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *text = fixed_at(column, first + i);
        size_t size = column->width;
        while (size > 0 && text[size - 1] == 0)
            size--;
        block->text[i] = text;
        block->size[i] = (uint32_t)size;
        if (size < PAD)
            copy_row(block, i, text, (uint32_t)size);
    }
    return true;
}

static uint32_t ucs4_at(const uint8_t *text, size_t k)
{
    uint32_t character;
    memcpy(&character, text + 4 * k, 4);
    return character;
}

/* Characters from U+0080 up become a byte that only a zone id may hold.  What no longer fits is the end of a zone id, if
 * the text is an address, and takes no part in its value. */
static bool ucs4_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *text = fixed_at(column, first + i);
        size_t size = column->width / 4, shown;
        bool zone = true;
        while (size > 0 && ucs4_at(text, size - 1) == 0)
            size--;
        shown = size < UCS4_MAX ? size : UCS4_MAX;
        for (size_t k = 0; k < shown; k++)
            block->room[i][PAD + k] = ucs4_at(text, k) < 0x80 ? (uint8_t)ucs4_at(text, k) : 0x80;
        for (size_t k = shown; k < size; k++)
            zone &= (ucs4_at(text, k) != '%') & (ucs4_at(text, k) != '/');
        block->text[i] = block->room[i] + PAD;
        block->size[i] = zone ? (uint32_t)shown : 0;
    }
    return true;
}

static bool any_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    switch (column->layout) {
    case NF_TEXT32: return text32_rows(column, first, n, block);
    case NF_TEXT64: return text64_rows(column, first, n, block);
    case NF_VIEW: return view_rows(column, first, n, block);
    case NF_FIXED: return fixed_rows(column, first, n, block);
    case NF_UCS4: return ucs4_rows(column, first, n, block);
    default: return false;
    }
}

/* What lies under a null is not the row's. */
static bool text_rows(const nf_column *column, size_t first, size_t n, nf_block_rows *block)
{
    if (!any_rows(column, first, n, block))
        return false;
    for (size_t i = 0; column->validity && i < n; i++)
        if (nf_is_null(column, first + i))
            copy_row(block, i, block->text[i], block->size[i] = 0);
    return true;
}

/* Whether the first row of a block ends where 16 bytes may be read, and has no colon there. */
static bool begins_with_ip4(const nf_column *column, const uint8_t *offsets)
{
    const int32_t last = nf_load_int32(column->rows + 4 * column->n);
    const int32_t from = nf_load_int32(offsets), to = nf_load_int32(offsets + 4);
    return to >= PAD && to <= last && from <= to && !nf_may_be_ip6(column->data + to - PAD, PAD);
}

/* IPv4 of a block of texts.  Arrow's usual ones are parsed as they lie; their rows are made only if some may be IPv6. */
static nf_left parse_ip4_texts(const nf_column *column, size_t first, size_t n, nf_block_rows *block, uint32_t *v4,
                               uint8_t *holds)
{
    const uint8_t *offsets = column->rows + 4 * first;
    nf_left left;
    if (column->layout == NF_TEXT32 && !column->validity && begins_with_ip4(column, offsets)) {
        int32_t last = nf_load_int32(column->rows + 4 * column->n);
        left = nf_active->ip4_parse_text32(column->data, offsets, n, last, v4, holds);
        if (!(left & NF_LEFT_OPEN) || (left & NF_LEFT_OUTSIDE))
            return left;
        return text32_rows(column, first, n, block) ? left : NF_LEFT_OUTSIDE;
    }
    if (!text_rows(column, first, n, block))
        return NF_LEFT_OUTSIDE;
    return nf_parse_ip4_block((nf_rows){block->text, block->size}, n, v4, holds);
}

bool nf_column_text(const nf_column *column, size_t row, uint8_t room[NF_TEXT_ROOM], const uint8_t **text,
                    uint32_t *size)
{
    nf_block_rows block;
    if (row >= column->n || nf_is_null(column, row) || !text_rows(column, row, 1, &block))
        return false;
    bool copied = block.text[0] == block.room[0] + PAD;
    memcpy(room, block.room[0] + PAD, copied ? block.size[0] : 0);
    *text = copied ? room : block.text[0];
    *size = block.size[0];
    return true;
}

/* ---- values of a block ----------------------------------------------------------------------------------------- */

/* IPv4 values of a block, in place where they lie side by side. */
static const uint32_t *ip4_values(const nf_column *column, size_t first, size_t n, uint32_t *room)
{
    const uint8_t *value = fixed_at(column, first);
    if (column->layout == NF_UINT32 && column->stride == 4 && (uintptr_t)value % 4 == 0)
        return (const uint32_t *)(const void *)value;
    for (size_t i = 0; i < n; i++, value += column->stride) {
        if (column->layout == NF_UINT32)
            memcpy(&room[i], value, 4);
        else
            room[i] = nf_load_be32(value);
    }
    return room;
}

static void classify_packed16(const nf_column *column, size_t first, size_t n, bool unwrap, uint8_t *code)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t holds = NF_IP6;
        nf_classify_packed((const uint8_t(*)[16])fixed_at(column, first + i), &holds, 1, unwrap, &code[i]);
    }
}

static void clear_nulls(const nf_column *column, size_t first, size_t n, uint8_t *code)
{
    for (size_t i = 0; column->validity && i < n; i++)
        if (nf_is_null(column, first + i))
            code[i] = 0;
}

/* ---- the two walks --------------------------------------------------------------------------------------------- */

static bool classify_texts(const nf_column *column, size_t first, size_t n, bool unwrap, uint8_t *code)
{
    nf_block_rows block;
    uint32_t v4[NF_BLOCK];
    uint8_t holds[NF_BLOCK];
    const nf_left left = parse_ip4_texts(column, first, n, &block, v4, holds);
    if (left & NF_LEFT_OUTSIDE)
        return false;
    nf_classify_block((nf_rows){block.text, block.size}, n, left, v4, holds, unwrap, code);
    return true;
}

static bool classify_block(const nf_column *column, size_t first, size_t n, bool unwrap, uint8_t *code)
{
    uint32_t room[NF_BLOCK];
    if (column->layout == NF_UINT32 || column->layout == NF_PACKED4)
        nf_classify_ip4_column(ip4_values(column, first, n, room), NULL, n, code);
    else if (column->layout == NF_PACKED16)
        classify_packed16(column, first, n, unwrap, code);
    else if (!classify_texts(column, first, n, unwrap, code))
        return false;
    clear_nulls(column, first, n, code);
    return true;
}

bool nf_classify_column(const nf_column *column, size_t first, size_t n, bool unwrap, uint8_t *code)
{
    for (size_t i = 0; i < n; i += NF_BLOCK)
        if (!classify_block(column, first + i, n - i < NF_BLOCK ? n - i : NF_BLOCK, unwrap, code + i))
            return false;
    return true;
}

static void hold_ip4(const nf_column *column, size_t first, size_t n, uint32_t *v4, uint8_t (*packed)[16],
                     uint8_t *holds)
{
    uint32_t room[NF_BLOCK];
    const uint32_t *value = ip4_values(column, first, n, room);
    for (size_t i = 0; i < n; i++) {
        bool null = nf_is_null(column, first + i);
        holds[i] = null ? NF_NONE : NF_IP4;
        v4[i] = null ? 0 : value[i];
        if (packed && null)
            memset(packed[i], 0, 16);
        else if (packed)
            nf_pack_ip4(value[i], packed[i]);
    }
}

/* False if something points outside.  *done is n, or 0 when an IPv6 row has no place to go. */
static bool parse_texts(const nf_column *column, size_t first, size_t n, uint32_t *v4, nf_packed packed, uint8_t *holds,
                        size_t *done)
{
    nf_block_rows block;
    const nf_left left = parse_ip4_texts(column, first, n, &block, v4, holds);
    if (left & NF_LEFT_OUTSIDE)
        return false;
    *done = nf_parse_block((nf_rows){block.text, block.size}, n, left, v4, packed, holds) ? n : 0;
    return true;
}

/* How many of the rows were done. */
static size_t hold_packed16(const nf_column *column, size_t first, size_t n, uint32_t *v4, uint8_t (*packed)[16],
                            uint8_t *holds)
{
    for (size_t i = 0; i < n; i++) {
        bool null = nf_is_null(column, first + i);
        if (!packed && !null)
            return 0;
        holds[i] = null ? NF_NONE : NF_IP6;
        v4[i] = 0;
        if (packed)
            memcpy(packed[i], fixed_at(column, first + i), 16);
        if (packed && null)
            memset(packed[i], 0, 16);
    }
    return n;
}

bool nf_parse_column(const nf_column *column, size_t first, size_t n, uint32_t *v4, uint8_t (*packed)[16],
                     uint8_t *holds, size_t *done)
{
    for (size_t i = *done = 0; i < n; i = *done) {
        size_t some = n - i < NF_BLOCK ? n - i : NF_BLOCK, parsed = some;
        uint8_t(*into)[16] = packed ? packed + i : NULL;
        if (column->layout == NF_UINT32 || column->layout == NF_PACKED4)
            hold_ip4(column, first + i, some, v4 + i, into, holds + i);
        else if (column->layout == NF_PACKED16)
            parsed = hold_packed16(column, first + i, some, v4 + i, into, holds + i);
        else if (!parse_texts(column, first + i, some, v4 + i, into, holds + i, &parsed))
            return false;
        *done += parsed;
        if (parsed < some)
            return true;
    }
    return true;
}
