/* polars.c - series as Polars hands them over, damaged ones too, through the plugin: every row is what the parsers of a
 * single address say of its text, a damaged column fails where nf_column.h says so, and all is released. */
#include "columns.h"
#include "nf_ip4_table.h"
#include "nf_ip6_table.h"
#include "nf_polars.h"

typedef nf_series series;

typedef void call(series *, size_t, const uint8_t *, size_t, series *, const void *);

call _polars_plugin_kind, _polars_plugin_kind_unwrapped, _polars_plugin_is_global, _polars_plugin_is_global_unwrapped;
call _polars_plugin_classify, _polars_plugin_classify_unwrapped, _polars_plugin_parse;
call _polars_plugin_contains, _polars_plugin_contains_unwrapped, _polars_plugin_lookup, _polars_plugin_lookup_unwrapped;
call _polars_plugin_lookup_int64, _polars_plugin_lookup_int64_unwrapped;
const char *_polars_plugin_get_last_error_message(void);

/* What a function gives, in the first buffer behind the validity. */
typedef enum { KIND, GLOBAL, CLASSIFY, PARSE, HELD, PLACE, NUMBER } gives;

static const struct {
    call *run[2]; /* as it is, and unwrapped */
    gives gives;
} functions[] = {
    {{_polars_plugin_kind, _polars_plugin_kind_unwrapped}, KIND},
    {{_polars_plugin_is_global, _polars_plugin_is_global_unwrapped}, GLOBAL},
    {{_polars_plugin_classify, _polars_plugin_classify_unwrapped}, CLASSIFY},
    {{_polars_plugin_parse, _polars_plugin_parse}, PARSE},
    {{_polars_plugin_contains, _polars_plugin_contains_unwrapped}, HELD},
    {{_polars_plugin_lookup, _polars_plugin_lookup_unwrapped}, PLACE},
    {{_polars_plugin_lookup_int64, _polars_plugin_lookup_int64_unwrapped}, NUMBER},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* ---- what the plugin is told, once ------------------------------------------------------------------------------ */

/* 0.0.0.0/1 and 48.0.0.0/4, the digits; ::/3 and 2000::/3. */
static const uint32_t address4[] = {0, 0x30000000};
static const uint8_t length4[] = {1, 4}, length6[] = {3, 3};
static const nf_ip6_number address6[] = {{0, 0}, {0x2000000000000000, 0}};
static const int32_t places[] = {3, -1, 0, INT32_MAX};
static const int64_t numbers[] = {-1, 2, INT64_MIN, INT64_MAX};

static uint8_t codes[NF_POLARS_TABLES][256];
static uint64_t place_id, number_id;

static void start(void)
{
    static nf_table four, six;
    const uint8_t *tables[NF_POLARS_TABLES];
    if (place_id)
        return;
    nf_classify_init();
    for (size_t t = 0; t < NF_POLARS_TABLES; t++) {
        for (size_t code = 0; code < 256; code++)
            codes[t][code] = (uint8_t)(t < NF_POLARS_IS_PRIVATE ? code * 7 + t : (code >> t % 3) % 2);
        tables[t] = codes[t];
    }
    CHECK(nf_ip4_table_build(address4, length4, 2, 0, &four) && nf_ip6_table_build(address6, length6, 2, 2, &six));
    nf_polars_start(tables, 0);
    place_id = nf_polars_add((nf_match_tables){four.bytes, six.bytes}, places);
    number_id = nf_polars_add((nf_match_tables){four.bytes, six.bytes}, numbers);
    CHECK(place_id && number_id);
}

static int match_of(const answer *a, bool unwrap)
{
    uint32_t v4 = a->v4;
    if (a->holds == NF_IP4 || (a->holds != NF_NONE && unwrap && nf_unwrap(a->packed, &v4)))
        return v4 >> 28 == 3 ? 1 : v4 >> 31 ? -1 : 0;
    return a->holds == NF_NONE || a->packed[0] >> 5 > 1 ? -1 : 2 + (a->packed[0] >> 5);
}

/* ---- chunks ----------------------------------------------------------------------------------------------------- */

enum { CHUNKS_MAX = 3, BUFFERS_MAX = 3 + VIEWS_MAX };

static const struct {
    const char *format, *categories;
    nf_layout layout; /* of the column, or of its categories; NF_FIXED: there are only nulls */
} types[] = {
    {"vu", NULL, NF_VIEW},      {"vz", NULL, NF_VIEW},        {"u", NULL, NF_TEXT32}, {"z", NULL, NF_TEXT32},
    {"U", NULL, NF_TEXT64},     {"Z", NULL, NF_TEXT64},       {"I", NULL, NF_UINT32}, {"w:4", NULL, NF_PACKED4},
    {"w:16", NULL, NF_PACKED16}, {"n", NULL, NF_FIXED},       {"C", "vu", NF_VIEW},   {"S", "U", NF_TEXT64},
    {"I", "u", NF_TEXT32},      {"L", "vz", NF_VIEW},
};
enum { TYPES = sizeof types / sizeof *types };

static bool is_categorical(size_t type) { return types[type].categories != NULL; }
static bool is_nothing(size_t type) { return types[type].layout == NF_FIXED; }

typedef struct {
    size_t type;
    fuzz_column memory; /* what there is; the column begins some rows in */
    nf_column column;   /* what the plugin has to make of it; of a categorical, its categories */
    struct ArrowArray array, categories;
    const void *buffers[BUFFERS_MAX], *index_buffers[2];
    uint8_t *indices, *index_validity;
    size_t n, offset;
    bool may_fail;
} chunk;

static void release_array(struct ArrowArray *array) { array->release = NULL; }

static struct ArrowArray array_of(chunk *c, const fuzz_column *memory, size_t offset)
{
    const nf_column *column = &memory->column;
    struct ArrowArray array = {
        .length = (int64_t)(column->n - offset), .null_count = column->validity ? -1 : 0, .offset = (int64_t)offset,
        .n_buffers = 2, .buffers = c->buffers, .release = release_array,
    };
    c->buffers[0] = column->validity;
    c->buffers[1] = memory->rows;
    if (column->layout == NF_VIEW) {
        array.n_buffers = 3 + column->buffer_count;
        for (int64_t b = 0; b < column->buffer_count; b++)
            c->buffers[2 + b] = column->buffers[b];
        c->buffers[2 + column->buffer_count] = column->buffer_size;
    } else if (column->layout == NF_TEXT32 || column->layout == NF_TEXT64) {
        array.n_buffers = 3;
        c->buffers[2] = memory->data;
    }
    return array;
}

/* Rows side by side, some of which lie in front of the column. */
static void make_rows_of(chunk *c, fuzz_input *input, nf_layout layout)
{
    static const uint8_t widths[] = {
        [NF_TEXT32] = 4, [NF_TEXT64] = 8, [NF_VIEW] = 16, [NF_UINT32] = 4, [NF_PACKED4] = 4, [NF_PACKED16] = 16,
    };
    fuzz_column *m = &c->memory;
    make_column(m, input, layout);
    make_validity(m, input, 1);
    const size_t offset = take_below(input, 3) ? take_byte(input) % (m->column.n + 1) : 0;
    c->array = array_of(c, m, offset);
    c->column = m->column;
    c->column.n -= offset;
    c->column.stride = widths[layout];
    c->column.rows = m->rows + offset * widths[layout];
    c->column.validity_offset = offset;
    c->column.first_view = offset == 0;
    c->n = c->column.n;
    c->may_fail = !is_whole(&c->column);
}

/* Nothing but nulls, of which there are no buffers. */
static void make_nulls(chunk *c, fuzz_input *input)
{
    c->n = take_byte(input);
    c->array = (struct ArrowArray){.length = (int64_t)c->n, .null_count = (int64_t)c->n, .release = release_array};
}

static size_t index_width(const chunk *c)
{
    const char format = *types[c->type].format;
    return format == 'C' ? 1 : format == 'S' ? 2 : format == 'I' ? 4 : 8;
}

/* Categories, and indices of which some are beyond them. */
static void make_categorical(chunk *c, fuzz_input *input)
{
    const size_t width = index_width(c);
    make_rows_of(c, input, types[c->type].layout);
    c->categories = c->array;
    c->offset = take_below(input, 20);
    c->n = take_byte(input);
    c->indices = exactly(width * (c->offset + c->n));
    for (size_t i = 0; i < c->offset + c->n; i++) {
        const uint8_t byte = input->left ? input->at[i % input->left] : (uint8_t)i;
        put(c->indices + width * i, width, byte == 0xff ? -1 : (int64_t)(byte % (c->column.n + 2)));
    }
    if (take_below(input, 3) == 2)
        c->index_validity = filled(input, (c->offset + c->n + 7) / 8);
    c->index_buffers[0] = c->index_validity;
    c->index_buffers[1] = c->indices;
    c->array = (struct ArrowArray){
        .length = (int64_t)c->n, .null_count = c->index_validity ? -1 : 0, .offset = (int64_t)c->offset,
        .n_buffers = 2, .buffers = c->index_buffers, .dictionary = &c->categories, .release = release_array,
    };
}

static void make_chunk(chunk *c, fuzz_input *input, size_t type)
{
    *c = (chunk){.type = type};
    if (is_categorical(type))
        make_categorical(c, input);
    else if (is_nothing(type))
        make_nulls(c, input);
    else
        make_rows_of(c, input, types[type].layout);
}

static void free_chunk(chunk *c)
{
    free_column(&c->memory);
    free(c->indices);
    free(c->index_validity);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

typedef struct {
    bool null;
    answer answer;
    uint8_t *text; /* as parse gives it; NULL if it is no address */
    size_t size;
} row;

/* Bytes of the UTF-8 character at the beginning, 0 if there is none: its number is made, and looked at. */
static size_t character(const uint8_t *text, size_t size)
{
    const size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t number = n == 1 ? text[0] : text[0] & (0x7F >> n);
    if (n == 0 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        number = number << 6 | (text[i] & 0x3F);
    }
    return number < least[n] || number > 0x10FFFF || number >> 11 == 0x1B ? 0 : n;
}

static void put_zone(row *r, const uint8_t *text, size_t size)
{
    const uint8_t *zone = memchr(text, '%', size);
    for (const uint8_t *end = text + size; zone < end;) {
        const size_t n = character(zone, (size_t)(end - zone));
        memcpy(r->text + r->size, n ? zone : (const uint8_t *)"?", n ? n : 1);
        r->size += n ? n : 1;
        zone += n ? n : 1;
    }
}

static void put_text(row *r, const nf_column *column, size_t i)
{
    uint8_t room[NF_TEXT_ROOM];
    const uint8_t *text = NULL;
    uint32_t size = 0;
    if (r->answer.holds == NF_IP6_ZONED)
        CHECK(nf_column_text(column, i, room, &text, &size));
    r->text = exactly(NF_IP6_TEXT_MAX + size);
    if (r->answer.holds == NF_IP4)
        r->size = nf_ip4_format(r->answer.v4, r->text);
    else
        r->size = nf_ip6_format(r->answer.packed, r->text);
    if (text)
        put_zone(r, text, size);
}

/* A row that is null, or has no category, is no address. */
static row row_of(const chunk *c, size_t i)
{
    row r = {.answer.holds = NF_NONE};
    if (is_nothing(c->type)) {
        r.null = true;
        return r;
    }
    if (is_categorical(c->type)) {
        const size_t bit = c->offset + i, width = index_width(c);
        uint64_t index = 0;
        memcpy(&index, c->indices + width * bit, width);
        r.null = c->index_validity && !(c->index_validity[bit / 8] >> bit % 8 & 1);
        if (r.null || index >= c->column.n)
            return r;
        i = (size_t)index;
    } else {
        r.null = nf_is_null(&c->column, i);
    }
    r.answer = look_at(&c->column, i);
    if (r.answer.holds != NF_NONE)
        put_text(&r, &c->column, i);
    return r;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

static bool bit(const void *bits, size_t i) { return ((const uint8_t *)bits)[i / 8] >> i % 8 & 1; }

static bool is_valid(const struct ArrowArray *array, size_t i)
{
    return !array->buffers[0] || bit(array->buffers[0], i);
}

static void check_row(const struct ArrowArray *array, size_t i, const row *r, gives gives, bool unwrap)
{
    const uint8_t code = r->answer.code[unwrap];
    const int match = match_of(&r->answer, unwrap);
    const void *values = array->buffers[1];
    if (gives == KIND || gives == GLOBAL || gives == CLASSIFY || gives == HELD)
        CHECK(is_valid(array, i) == !r->null);
    if (gives == KIND && !r->null)
        CHECK(((const uint8_t *)values)[i] == codes[NF_POLARS_KIND][code]);
    if (gives == GLOBAL && !r->null)
        CHECK(bit(values, i) == codes[NF_POLARS_IS_GLOBAL][code]);
    if (gives == HELD && !r->null)
        CHECK(bit(values, i) == (match >= 0));
    if (gives == PARSE) {
        const int64_t *ends = values;
        CHECK(is_valid(array, i) == (r->text != NULL));
        CHECK(ends[i + 1] - ends[i] == (int64_t)r->size);
        CHECK(!r->text || memcmp((const uint8_t *)array->buffers[2] + ends[i], r->text, r->size) == 0);
    }
    if (gives == PLACE) {
        CHECK(is_valid(array, i) == (match >= 0 && places[match] >= 0));
        CHECK(!is_valid(array, i) || ((const int32_t *)values)[i] == places[match]);
    }
    if (gives == NUMBER) {
        CHECK(is_valid(array, i) == (match >= 0));
        CHECK(match < 0 || ((const int64_t *)values)[i] == numbers[match]);
    }
}

static void check_fields(const struct ArrowArray *array, size_t i, const row *r, bool unwrap)
{
    static const int tables[] = {NF_POLARS_KIND, NF_POLARS_NETWORK_CLASS};
    CHECK(is_valid(array, i) == !r->null && array->n_children == 4);
    for (size_t k = 0; k < 4; k++)
        CHECK(is_valid(array->children[k], i) == !r->null);
    for (size_t k = 0; k < 2 && !r->null; k++)
        CHECK(((const uint8_t *)array->children[k]->buffers[1])[i] == codes[tables[k]][r->answer.code[unwrap]]);
    CHECK(r->null || ((const uint8_t *)array->children[2]->buffers[1])[i] == r->answer.code[unwrap]);
    check_row(array->children[3], i, r, GLOBAL, unwrap);
}

static void check_chunk(const struct ArrowArray *array, const chunk *c, gives gives, bool unwrap)
{
    CHECK(array->length == (int64_t)c->n && array->offset == 0);
    for (size_t i = 0; i < c->n; i++) {
        row r = row_of(c, i);
        if (gives == CLASSIFY)
            check_fields(array, i, &r, unwrap);
        else
            check_row(array, i, &r, gives, unwrap);
        free(r.text);
    }
}

static void let_go(series *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->chunks[i]->release(s->chunks[i]);
    s->release(s);
}

/* ---- a call ----------------------------------------------------------------------------------------------------- */

static void release_schema(struct ArrowSchema *schema) { schema->release = NULL; }
static void release_series(series *s) { s->release = NULL; }

/* Whether nf_column.h finds the damage, if there is any; damaged categories are found wherever they are. */
static bool opens(const chunk *c)
{
    uint8_t *code = exactly(c->column.n);
    const bool fine = is_nothing(c->type) || nf_classify_column(&c->column, 0, c->column.n, false, code);
    free(code);
    return fine;
}

static void check_call(chunk *chunks, size_t count, size_t function, bool unwrap)
{
    const gives gives = functions[function].gives;
    const bool two = gives >= HELD;
    const uint64_t id = gives == PLACE ? place_id : number_id;
    const void *id_buffers[] = {NULL, &id};
    struct ArrowSchema categories = {.format = types[chunks->type].categories, .name = ""}, id_field = {.format = "L"};
    struct ArrowSchema field = {.format = types[chunks->type].format, .name = "ip", .release = release_schema};
    struct ArrowArray arrays[CHUNKS_MAX], *each[CHUNKS_MAX];
    struct ArrowArray id_array = {.length = 1, .n_buffers = 2, .buffers = id_buffers, .release = release_array};
    struct ArrowArray *id_chunks[] = {&id_array};
    bool whole = true, fine = true;
    if (is_categorical(chunks->type))
        field.dictionary = &categories;
    for (size_t i = 0; i < count; i++) {
        arrays[i] = chunks[i].array;
        each[i] = &arrays[i];
        whole &= !chunks[i].may_fail;
        fine &= opens(&chunks[i]);
    }
    series arguments[] = {
        {&field, each, count, release_series, &field}, {&id_field, id_chunks, 1, release_series, &id_field},
    };
    series result = {0};
    functions[function].run[unwrap](arguments, two ? 2 : 1, NULL, 0, &result, NULL);
    for (size_t i = 0; i < count; i++)
        CHECK(!arrays[i].release);
    CHECK(!arguments[0].release && !id_array.release == two);
    CHECK(result.private_data || !whole);
    if (is_categorical(chunks->type))
        CHECK(result.private_data || !fine); /* damage that no row has is none */
    else
        CHECK((result.private_data != NULL) == fine);
    if (!result.private_data) {
        CHECK(strstr(_polars_plugin_get_last_error_message(), "damaged"));
        return;
    }
    CHECK(result.count == count);
    for (size_t i = 0; i < count; i++)
        check_chunk(result.chunks[i], &chunks[i], gives, unwrap);
    let_go(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    chunk chunks[CHUNKS_MAX];
    start();
    nf_kernels_use(NULL);
    const size_t type = take_below(&input, TYPES), count = take_below(&input, CHUNKS_MAX + 1);
    const size_t function = take_below(&input, FUNCTIONS);
    const bool unwrap = take_below(&input, 2);
    uint8_t *text = as_text(input.at, input.left, "0123456789abF.....::::::%\xc3\xa9\xff");
    input.at = text;
    chunks[0].type = type; /* also where there are no chunks */
    for (size_t i = 0; i < count; i++)
        make_chunk(&chunks[i], &input, type);
    FOR_EACH_FORM(form)
        check_call(chunks, count, function, unwrap);
    for (size_t i = 0; i < count; i++)
        free_chunk(&chunks[i]);
    free(text);
    return 0;
}
