/* nf_polars.c - columns of Polars to columns of Polars. */
#include "nf_polars.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "nf_ip4.h"
#include "nf_ip6.h"
#include "nf_rows.h"

#define EXPORT __attribute__((visibility("default")))

static _Thread_local char message[256];

static bool fail(const char *text)
{
    snprintf(message, sizeof message, "%s", text);
    return false;
}

static bool fail_memory(void) { return fail("no memory for the result"); }
static bool fail_damaged(void) { return fail("the column is damaged: an offset or view points outside its buffer"); }

EXPORT uint32_t _polars_plugin_get_version(void);
EXPORT const char *_polars_plugin_get_last_error_message(void);

uint32_t _polars_plugin_get_version(void) { return 1; }
const char *_polars_plugin_get_last_error_message(void) { return message; }

/* ---- tables */

static uint8_t tables_of_codes[NF_POLARS_TABLES][256];
static bool started;

static bool has_started(void)
{
    return started || fail("in this process, netfast.engines.polars has not been imported");
}

typedef struct entry {
    struct entry *next;
    uint64_t id;
    nf_match_tables tables;
    const void *values;
    size_t readers;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t unread = PTHREAD_COND_INITIALIZER;
static entry *entries;
static uint64_t last_id;

void nf_polars_start(const uint8_t *const tables[NF_POLARS_TABLES], uint64_t before)
{
    if (started)
        return;
    for (size_t i = 0; i < NF_POLARS_TABLES; i++)
        memcpy(tables_of_codes[i], tables[i], 256);
    last_id = before;
    started = true;
}

uint64_t nf_polars_add(nf_match_tables tables, const void *values)
{
    entry *new = malloc(sizeof *new);
    if (!new)
        return 0;
    pthread_mutex_lock(&lock);
    *new = (entry){entries, ++last_id, tables, values, 0};
    entries = new;
    pthread_mutex_unlock(&lock);
    return new->id;
}

void nf_polars_remove(uint64_t id)
{
    pthread_mutex_lock(&lock);
    for (entry **at = &entries; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            entry *found = *at;
            *at = found->next;
            while (found->readers)
                pthread_cond_wait(&unread, &lock);
            free(found);
            break;
        }
    pthread_mutex_unlock(&lock);
}

static entry *begin_reading(uint64_t id)
{
    pthread_mutex_lock(&lock);
    entry *found = entries;
    while (found && found->id != id)
        found = found->next;
    if (found)
        found->readers++;
    pthread_mutex_unlock(&lock);
    return found;
}

static void end_reading(entry *e)
{
    pthread_mutex_lock(&lock);
    if (--e->readers == 0)
        pthread_cond_broadcast(&unread);
    pthread_mutex_unlock(&lock);
}

/* ---- types */

static bool format_of(const char *format, nf_layout *layout, ptrdiff_t *stride)
{
    static const struct {
        const char *format;
        nf_layout layout;
        ptrdiff_t stride;
    } known[] = {
        {"vu", NF_VIEW, 16},  {"u", NF_TEXT32, 4}, {"U", NF_TEXT64, 8}, {"w:4", NF_PACKED4, 4},    {"I", NF_UINT32, 4},
        {"vz", NF_VIEW, 16},  {"z", NF_TEXT32, 4}, {"Z", NF_TEXT64, 8}, {"w:16", NF_PACKED16, 16}, {"n", NF_FIXED, 0},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(format, known[i].format) == 0) {
            *layout = known[i].layout;
            *stride = known[i].stride;
            return true;
        }
    return false;
}

/* The name may be of any length; it is cut between two characters. */
static bool fail_type(const char *name, const char *format)
{
    int shown = 0;
    while (shown < 80 && name[shown])
        shown++;
    while (shown && (name[shown] & 0xC0) == 0x80)
        shown--;
    snprintf(message, sizeof message,
             "column '%.*s%s' (Arrow format '%.40s') holds no addresses; wanted text, binary, or UInt32 for IPv4",
             shown, name, name[shown] ? "..." : "", format);
    return false;
}

static bool is_text(nf_layout layout) { return layout == NF_VIEW || layout == NF_TEXT32 || layout == NF_TEXT64; }

/* Of a column, or of its categories, which are text. */
static bool layout_of(const struct ArrowSchema *schema, nf_layout *layout, ptrdiff_t *stride)
{
    const char *format = schema->dictionary ? schema->dictionary->format : schema->format;
    if (!format_of(format, layout, stride))
        return fail_type(schema->name ? schema->name : "", format);
    return !schema->dictionary || is_text(*layout) || fail("the categories of the column are no text");
}

static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    free(schema->children);
    free(schema->private_data); /* the name */
    schema->release = NULL;
}

/* A type by its format, which is static; the name is copied. */
static bool make_schema(struct ArrowSchema *schema, const char *format, const char *name, int64_t children)
{
    char *copy = malloc(strlen(name) + 1);
    struct ArrowSchema **inner = children ? calloc((size_t)children, sizeof(*inner)) : NULL;
    if (!copy || (children && !inner)) {
        free(copy);
        free(inner);
        return fail_memory();
    }
    strcpy(copy, name);
    *schema = (struct ArrowSchema){
        .format = format, .name = copy, .flags = ARROW_FLAG_NULLABLE, .children = inner, .release = release_schema,
        .private_data = copy,
    };
    for (; schema->n_children < children; schema->n_children++) {
        inner[schema->n_children] = calloc(1, sizeof **inner);
        if (!inner[schema->n_children]) {
            release_schema(schema);
            return fail_memory();
        }
    }
    return true;
}

/* What a function gives. */
typedef enum { BYTE, BIT, TEXT, VALUE, INT64, UINT64, FLOAT64, STRUCT } shape;

static const struct {
    const char *format;
    int64_t buffers; /* with the one of validity */
    size_t width;    /* bytes a row; 0: bits, or text */
} shapes[] = {
    [BYTE] = {"C", 2, 1},  [BIT] = {"b", 2, 0},    [TEXT] = {"U", 3, 8},    [VALUE] = {"I", 2, 4},
    [INT64] = {"l", 2, 8}, [UINT64] = {"L", 2, 8}, [FLOAT64] = {"g", 2, 8}, [STRUCT] = {"+s", 1, 0},
};

/* The fields of classify: kind, network_class, block, is_global. */
enum { FIELDS = 4 };
static const struct {
    const char *name;
    shape shape;
    int table; /* -1: the code itself */
} fields[FIELDS] = {
    {"kind", BYTE, NF_POLARS_KIND}, {"network_class", BYTE, NF_POLARS_NETWORK_CLASS}, {"block", BYTE, -1},
    {"is_global", BIT, NF_POLARS_IS_GLOBAL},
};

static bool type_of(const struct ArrowSchema *argument, shape s, struct ArrowSchema *result)
{
    nf_layout layout;
    ptrdiff_t stride;
    struct ArrowSchema made;
    if (!has_started() || !layout_of(argument, &layout, &stride) ||
        !make_schema(&made, shapes[s].format, argument->name ? argument->name : "", s == STRUCT ? FIELDS : 0))
        return false;
    for (int64_t i = 0; i < made.n_children; i++)
        if (!make_schema(made.children[i], shapes[fields[i].shape].format, fields[i].name, 0)) {
            release_schema(&made);
            return false;
        }
    *result = made;
    return true;
}

/* ---- arrays */

/* What an array of ours owns. */
typedef struct {
    void *buffers[3];
} owned;

static void release_array(struct ArrowArray *array)
{
    owned *own = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    free(array->children);
    for (size_t i = 0; i < 3; i++)
        free(own->buffers[i]);
    free(own);
    array->release = NULL;
}

static size_t bytes_of_bits(size_t bits) { return (bits + 7) / 8; }

/* An array whose buffers are there, but not filled; the validity only if some row may be null. */
static struct ArrowArray *make_array(shape s, size_t n, bool nullable)
{
    struct ArrowArray *array = calloc(1, sizeof *array);
    owned *own = calloc(1, sizeof *own);
    if (!array || !own)
        goto failed;
    *array = (struct ArrowArray){
        .length = (int64_t)n, .null_count = nullable ? -1 : 0, .n_buffers = shapes[s].buffers,
        .buffers = (const void **)own->buffers, .release = release_array, .private_data = own,
    };
    const size_t bytes = s == BIT ? bytes_of_bits(n) : s == TEXT ? 8 * (n + 1) : n * shapes[s].width;
    if (nullable && !(own->buffers[0] = malloc(bytes_of_bits(n) + 1)))
        goto failed;
    if (s != STRUCT && !(own->buffers[1] = malloc(bytes + 8)))
        goto failed;
    if (s == STRUCT) {
        array->children = calloc(FIELDS, sizeof *array->children);
        if (!array->children)
            goto failed;
        for (; array->n_children < FIELDS; array->n_children++) {
            array->children[array->n_children] = make_array(fields[array->n_children].shape, n, nullable);
            if (!array->children[array->n_children])
                goto failed;
        }
    }
    return array;
failed:
    if (own && array) {
        array->private_data = own;
        release_array(array);
    } else
        free(own);
    free(array);
    fail_memory();
    return NULL;
}

static void *buffer(const struct ArrowArray *array, int i) { return ((owned *)array->private_data)->buffers[i]; }

/* n bits from a place on, to the beginning. */
static void copy_bits(uint8_t *to, const uint8_t *from, size_t offset, size_t n)
{
    from += offset / 8;
    const unsigned shift = offset % 8;
    const size_t bytes = bytes_of_bits(n);
    if (shift == 0) {
        memcpy(to, from, bytes);
        return;
    }
    const size_t there = bytes_of_bits(shift + n);
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(from[i] >> shift | (i + 1 < there ? from[i + 1] << (8 - shift) : 0));
}

/* Bytes of 0 and 1 to bits.  The product puts byte i of eight at bit 56 + i, and nothing else above bit 55. */
static void pack_bits(uint8_t *to, const uint8_t *flags, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight = 0;
        for (int j = 0; j < 8; j++)
            eight |= (uint64_t)flags[i + (size_t)j] << 8 * j;
        to[i / 8] = (uint8_t)(eight * UINT64_C(0x0102040810204080) >> 56);
    }
    if (i < n) {
        to[i / 8] = 0;
        for (size_t j = i; j < n; j++)
            to[i / 8] |= (uint8_t)(flags[j] << (j - i));
    }
}

/* ---- columns of others */

static void open_validity(const struct ArrowArray *array, nf_column *column)
{
    column->validity = array->null_count ? array->buffers[0] : NULL;
    column->validity_offset = (size_t)array->offset;
}

static bool open_column(const char *format, const struct ArrowArray *array, nf_column *column)
{
    *column = (nf_column){.n = (size_t)array->length, .rows = (const uint8_t *)""};
    if (!format_of(format, &column->layout, &column->stride))
        return false;
    if (column->layout == NF_FIXED || array->length == 0)
        return true;
    open_validity(array, column);
    column->rows = (const uint8_t *)array->buffers[1] + array->offset * column->stride;
    if (column->layout == NF_TEXT32 || column->layout == NF_TEXT64) {
        static const uint8_t nothing;
        column->data = array->buffers[2] ? array->buffers[2] : &nothing;
    } else if (column->layout == NF_VIEW) {
        column->first_view = array->offset == 0;
        column->buffer_count = array->n_buffers - 3;
        column->buffers = (const uint8_t *const *)(array->buffers + 2);
        column->buffer_size = array->buffers[array->n_buffers - 1];
    }
    return true;
}

/* A view, as Arrow has it: the size, and the text, or its beginning, buffer and offset. */
typedef union {
    struct {
        uint32_t size;
        uint8_t text[12];
    } here;
    struct {
        uint32_t size;
        uint8_t beginning[4];
        int32_t buffer, offset;
    } there;
} view;

/* A column of categories as a column of views, each row that of its category. */
typedef struct {
    nf_column categories;
    view *views;
    const uint8_t *data; /* of categories that are no views themselves */
    int64_t size;
} decoded;

static bool view_of(const nf_column *categories, size_t i, view *made)
{
    uint8_t room[NF_TEXT_ROOM];
    const uint8_t *text;
    uint32_t size;
    *made = (view){.here = {0}};
    if (nf_is_null(categories, i))
        return true;
    if (categories->layout == NF_VIEW) {
        memcpy(made, categories->rows + 16 * i, sizeof *made);
        return true;
    }
    if (!nf_column_text(categories, i, room, &text, &size))
        return fail_damaged();
    const int64_t offset = categories->layout == NF_TEXT32 ? nf_load_int32(categories->rows + 4 * i)
                                                           : nf_load_int64(categories->rows + 8 * i);
    if (offset > INT32_MAX)
        return fail("the categories of the column have more than 2 GiB");
    made->here.size = size;
    if (size > sizeof made->here.text) {
        memcpy(made->there.beginning, text, sizeof made->there.beginning);
        made->there.offset = (int32_t)offset; /* the text itself may be a copy, in the room */
    } else
        memcpy(made->here.text, text, size);
    return true;
}

static uint64_t index_at(const struct ArrowArray *array, const char *format, size_t i)
{
    const void *indices = array->buffers[1];
    i += (size_t)array->offset;
    switch (*format) {
    case 'C': return ((const uint8_t *)indices)[i];
    case 'S': return ((const uint16_t *)indices)[i];
    case 'I': return ((const uint32_t *)indices)[i];
    default: return ((const uint64_t *)indices)[i];
    }
}

/* The views are to be freed, whatever comes of it. */
static bool open_categories(const struct ArrowSchema *schema, const struct ArrowArray *array, decoded *d,
                            nf_column *column)
{
    const size_t n = (size_t)array->length;
    if (strlen(schema->format) != 1 || !strchr("CSIL", *schema->format) ||
        !open_column(schema->dictionary->format, array->dictionary, &d->categories))
        return fail("the column has categories of a kind that is not known");
    const size_t count = d->categories.n;
    d->data = d->categories.data;
    d->size = INT64_MAX; /* nf_column_text has checked each */
    *column = (nf_column){
        .layout = NF_VIEW, .n = n, .stride = sizeof(view), .first_view = true,
        .buffers = &d->data, .buffer_size = &d->size, .buffer_count = 1,
    };
    if (d->categories.layout == NF_VIEW) {
        column->buffers = d->categories.buffers;
        column->buffer_size = d->categories.buffer_size;
        column->buffer_count = d->categories.buffer_count;
    }
    d->views = malloc((n + count + 1) * sizeof(view)); /* of the rows, and behind them of the categories */
    if (!d->views)
        return fail_memory();
    column->rows = (const uint8_t *)d->views;
    for (size_t i = 0; i < count; i++)
        if (!view_of(&d->categories, i, d->views + n + i))
            return false;
    for (size_t i = 0; i < n; i++) {
        const uint64_t index = index_at(array, schema->format, i);
        d->views[i] = index < count ? d->views[n + index] : (view){.here = {0}}; /* of a null, it may be anything */
    }
    open_validity(array, column);
    return true;
}

static void copy_validity(struct ArrowArray *array, const nf_column *column)
{
    uint8_t *to = buffer(array, 0);
    if (!to)
        return;
    if (column->validity)
        copy_bits(to, column->validity, column->validity_offset, column->n);
    else
        memset(to, 0, bytes_of_bits(column->n)); /* a column of nothing but nulls */
    for (int64_t i = 0; i < array->n_children; i++)
        copy_validity(array->children[i], column);
}

static bool is_nullable(const nf_column *column) { return column->validity || column->layout == NF_FIXED; }

/* ---- the work: each fills an array of its shape; a multiple of 8 rows at a time, which stay in the cache */

enum { ROWS = 4096 };

typedef struct {
    shape shape;
    int table;          /* of BYTE and BIT; -1: the code itself */
    bool unwrap;
    const entry *prefixes;
} task;

static void put_codes(struct ArrowArray *array, shape s, int table, const uint8_t *codes, size_t at, size_t n)
{
    const uint8_t *map = table < 0 ? NULL : tables_of_codes[table];
    uint8_t mapped[ROWS], *to = s == BYTE ? (uint8_t *)buffer(array, 1) + at : mapped;
    if (map)
        for (size_t i = 0; i < n; i++)
            to[i] = map[codes[i]];
    else
        memcpy(to, codes, n);
    if (s == BIT)
        pack_bits((uint8_t *)buffer(array, 1) + at / 8, mapped, n);
}

static bool do_codes(const task *t, const nf_column *column, struct ArrowArray *array)
{
    uint8_t codes[ROWS];
    for (size_t at = 0; at < column->n; at += ROWS) {
        const size_t n = column->n - at < ROWS ? column->n - at : ROWS;
        if (column->layout == NF_FIXED)
            memset(codes, 0, n);
        else if (!nf_classify_column(column, at, n, t->unwrap, codes))
            return fail_damaged();
        if (t->shape != STRUCT)
            put_codes(array, t->shape, t->table, codes, at, n);
        else
            for (size_t i = 0; i < FIELDS; i++)
                put_codes(array->children[i], fields[i].shape, fields[i].table, codes, at, n);
    }
    return true;
}

/* int32 values, of which a negative one is none. */
static void put_places(struct ArrowArray *array, const int32_t *values, const int32_t *index, size_t at, size_t n,
                       uint8_t *flags)
{
    int32_t *to = (int32_t *)buffer(array, 1) + at;
    for (size_t i = 0; i < n; i++) {
        const int32_t value = flags[i] ? values[index[i]] : -1;
        flags[i] = value >= 0;
        to[i] = value < 0 ? 0 : value;
    }
}

static void put_numbers(struct ArrowArray *array, const uint64_t *values, const int32_t *index, size_t at, size_t n)
{
    uint64_t *to = (uint64_t *)buffer(array, 1) + at;
    for (size_t i = 0; i < n; i++)
        to[i] = index[i] < 0 ? 0 : values[index[i]];
}

static bool do_matches(const task *t, const nf_column *column, struct ArrowArray *array)
{
    int32_t index[ROWS];
    uint8_t flags[ROWS];
    for (size_t at = 0; at < column->n; at += ROWS) {
        const size_t n = column->n - at < ROWS ? column->n - at : ROWS;
        if (column->layout == NF_FIXED)
            memset(index, 0xFF, sizeof index);
        else if (!nf_match_column(&t->prefixes->tables, column, at, n, t->unwrap, index))
            return fail_damaged();
        for (size_t i = 0; i < n; i++)
            flags[i] = index[i] >= 0;
        if (t->shape == VALUE)
            put_places(array, t->prefixes->values, index, at, n, flags);
        else if (t->shape != BIT)
            put_numbers(array, t->prefixes->values, index, at, n);
        pack_bits((uint8_t *)buffer(array, t->shape == BIT ? 1 : 0) + at / 8, flags, n);
    }
    return true;
}

/* The zone of an address, "%" and all; in the column, or in the room if the text lies at the front of its buffer. */
static void zone_of(const nf_column *column, size_t row, uint8_t room[NF_TEXT_ROOM], const uint8_t **zone,
                    uint32_t *size)
{
    const uint8_t *text;
    *size = 0;
    if (!nf_column_text(column, row, room, &text, size))
        return;
    *zone = memchr(text, '%', *size);
    *size -= (uint32_t)(*zone - text);
}

/* Bytes of the character at the beginning of a text, 0 if it is none.  Source: Unicode, table 3-7. */
static size_t utf8_character(const uint8_t *text, size_t size)
{
    const uint8_t lead = text[0];
    const size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (n < 2 || n > size)
        return n < 2 ? n : 0;
    const uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < least || text[1] > most)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* Text that may come from a binary column: a "?" for every byte that is no part of UTF-8, which Polars wants. */
static void copy_utf8(uint8_t *to, const uint8_t *text, size_t size)
{
    for (size_t i = 0, n; i < size; i += n) {
        n = utf8_character(text + i, size - i);
        if (n)
            memcpy(to + i, text + i, n);
        else {
            to[i] = '?';
            n = 1;
        }
    }
}

/* Room for so many bytes more of text, in the third buffer. */
static bool make_room(owned *own, size_t *room, int64_t size, size_t more)
{
    if (*room - (size_t)size >= more)
        return true;
    const size_t wanted = 2 * *room + more;
    void *grown = realloc(own->buffers[2], wanted);
    if (!grown)
        return fail_memory();
    own->buffers[2] = grown;
    *room = wanted;
    return true;
}

static bool do_texts(const task *t, const nf_column *column, struct ArrowArray *array)
{
    uint8_t holds[NF_BLOCK], packed[NF_BLOCK][16], flags[NF_BLOCK], zone_room[NF_TEXT_ROOM];
    uint32_t v4[NF_BLOCK], zone_size;
    owned *own = array->private_data;
    int64_t *offsets = own->buffers[1], size = 0;
    size_t room = 0;
    const uint8_t *zone = NULL;
    (void)t;
    offsets[0] = 0;
    if (!make_room(own, &room, 0, column->n * NF_IP4_TEXT_MAX + NF_IP6_TEXT_MAX))
        return false;
    for (size_t at = 0; at < column->n; at += NF_BLOCK) {
        const size_t n = column->n - at < NF_BLOCK ? column->n - at : NF_BLOCK;
        size_t done;
        if (column->layout == NF_FIXED)
            memset(holds, NF_NONE, n);
        else if (!nf_parse_column(column, at, n, v4, packed, holds, &done))
            return fail_damaged();
        for (size_t i = 0; i < n; i++) {
            zone_size = 0;
            if (holds[i] == NF_IP6_ZONED)
                zone_of(column, at + i, zone_room, &zone, &zone_size);
            if (!make_room(own, &room, size, NF_IP6_TEXT_MAX + zone_size))
                return false;
            uint8_t *to = (uint8_t *)own->buffers[2] + size;
            flags[i] = holds[i] != NF_NONE;
            const size_t length = nf_format_row(holds[i], v4[i], packed[i], to);
            copy_utf8(to + length, zone, zone_size);
            size += (int64_t)(length + zone_size);
            offsets[at + i + 1] = size;
        }
        pack_bits((uint8_t *)own->buffers[0] + at / 8, flags, n);
    }
    return true;
}

static struct ArrowArray *result_of_column(const task *t, const nf_column *column)
{
    /* Texts and values are null where there is no address, or no prefix, too. */
    const bool may_miss = t->shape == TEXT || (t->prefixes && t->shape != BIT);
    struct ArrowArray *array = make_array(t->shape, column->n, may_miss || is_nullable(column));
    if (!array)
        return NULL;
    if (!may_miss)
        copy_validity(array, column);
    bool (*work)(const task *, const nf_column *, struct ArrowArray *) =
        t->prefixes ? do_matches : t->shape == TEXT ? do_texts : do_codes;
    if (work(t, column, array))
        return array;
    release_array(array);
    free(array);
    return NULL;
}

static struct ArrowArray *result_of(const task *t, const struct ArrowSchema *field, const struct ArrowArray *chunk)
{
    nf_column column;
    decoded d = {.views = NULL};
    struct ArrowArray *array = NULL;
    if (field->dictionary ? open_categories(field, chunk, &d, &column) : open_column(field->format, chunk, &column))
        array = result_of_column(t, &column);
    free(d.views);
    return array;
}

/* ---- series */

static void release_series(nf_series *series)
{
    if (series->field->release)
        series->field->release(series->field);
    free(series->field);
    for (size_t i = 0; i < series->count; i++)
        free(series->chunks[i]); /* what was in it is whose it went to */
    free(series->chunks);
    series->release = NULL;
}

static void release_chunks(struct ArrowArray **chunks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (chunks[i] && chunks[i]->release)
            chunks[i]->release(chunks[i]);
}

static bool run_chunks(const task *t, const nf_series *in, nf_series *out)
{
    struct ArrowSchema *field = calloc(1, sizeof *field);
    struct ArrowArray **chunks = calloc(in->count ? in->count : 1, sizeof(*chunks));
    nf_series made = {field, chunks, in->count, release_series, chunks};
    if (!field || !chunks) {
        free(field);
        free(chunks);
        return fail_memory();
    }
    bool fine = type_of(in->field, t->shape, field);
    for (size_t i = 0; fine && i < in->count; i++)
        fine = (chunks[i] = result_of(t, in->field, in->chunks[i])) != NULL;
    if (!fine) {
        release_chunks(chunks, in->count);
        release_series(&made);
        return false;
    }
    *out = made;
    return true;
}

/* The id in the second argument. */
static bool id_of(const nf_series *series, uint64_t *id)
{
    if (strcmp(series->field->format, "L") != 0 || series->count != 1 || series->chunks[0]->length != 1)
        return fail("prefixes are named by one UInt64");
    memcpy(id, (const uint64_t *)series->chunks[0]->buffers[1] + series->chunks[0]->offset, sizeof *id);
    return true;
}

static bool run_prefixes(task t, const nf_series *in, size_t count, nf_series *out)
{
    uint64_t id;
    if (!has_started() || count != 2 || !id_of(&in[1], &id))
        return false;
    entry *e = begin_reading(id);
    if (!e)
        return fail("the prefixes of this expression are gone: keep a reference to the table or the set");
    t.prefixes = e;
    const bool fine = run_chunks(&t, in, out);
    end_reading(e);
    return fine;
}

static void run(task t, bool wants_prefixes, nf_series *in, size_t count, nf_series *out)
{
    if (wants_prefixes)
        run_prefixes(t, in, count, out);
    else
        run_chunks(&t, in, out);
    for (size_t i = 0; i < count; i++) { /* the arguments are ours */
        release_chunks(in[i].chunks, in[i].count);
        if (in[i].release)
            in[i].release(&in[i]);
    }
}

/* ---- the symbols */

#define FUNCTION(name, shape, table, unwrap, wants_prefixes)                                                          \
    EXPORT void _polars_plugin_field_##name(const struct ArrowSchema *, size_t, struct ArrowSchema *, const uint8_t *, \
                                            size_t);                                                                  \
    EXPORT void _polars_plugin_##name(nf_series *, size_t, const uint8_t *, size_t, nf_series *, const void *);        \
    void _polars_plugin_field_##name(const struct ArrowSchema *arguments, size_t count, struct ArrowSchema *result,    \
                                     const uint8_t *options, size_t size)                                             \
    {                                                                                                                 \
        (void)count, (void)options, (void)size;                                                                       \
        type_of(arguments, shape, result);                                                                            \
    }                                                                                                                 \
    void _polars_plugin_##name(nf_series *arguments, size_t count, const uint8_t *options, size_t size,                \
                               nf_series *result, const void *context)                                                \
    {                                                                                                                 \
        (void)options, (void)size, (void)context;                                                                     \
        run((task){shape, table, unwrap, NULL}, wants_prefixes, arguments, count, result);                             \
    }

#define BOTH(name, shape, table, wants_prefixes)        \
    FUNCTION(name, shape, table, false, wants_prefixes) \
    FUNCTION(name##_unwrapped, shape, table, true, wants_prefixes)

BOTH(kind, BYTE, NF_POLARS_KIND, false)
BOTH(network_class, BYTE, NF_POLARS_NETWORK_CLASS, false)
BOTH(block, BYTE, -1, false)
BOTH(classify, STRUCT, -1, false)
BOTH(is_private, BIT, NF_POLARS_IS_PRIVATE, false)
BOTH(is_shared, BIT, NF_POLARS_IS_SHARED, false)
BOTH(is_loopback, BIT, NF_POLARS_IS_LOOPBACK, false)
BOTH(is_link_local, BIT, NF_POLARS_IS_LINK_LOCAL, false)
BOTH(is_multicast, BIT, NF_POLARS_IS_MULTICAST, false)
BOTH(is_broadcast, BIT, NF_POLARS_IS_BROADCAST, false)
BOTH(is_unspecified, BIT, NF_POLARS_IS_UNSPECIFIED, false)
BOTH(is_documentation, BIT, NF_POLARS_IS_DOCUMENTATION, false)
BOTH(is_reserved, BIT, NF_POLARS_IS_RESERVED, false)
BOTH(is_global, BIT, NF_POLARS_IS_GLOBAL, false)
BOTH(contains, BIT, -1, true)
BOTH(lookup, VALUE, -1, true)
BOTH(lookup_int64, INT64, -1, true)
BOTH(lookup_uint64, UINT64, -1, true)
BOTH(lookup_float64, FLOAT64, -1, true)
FUNCTION(parse, TEXT, -1, false, false)
