/* polars_test.c - the plugin as Polars calls it: arguments are let go once, results are theirs, and say what the
 * kernels say of each row alone.
 */
#define _GNU_SOURCE
#include "nf_polars.h"

#include <string.h>

#include "kit.h"
#include "nf_arrow.h"
#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_ip4.h"
#include "nf_ip4_table.h"
#include "nf_ip6_table.h"

typedef struct series {
    struct ArrowSchema *field;
    struct ArrowArray **chunks;
    size_t count;
    void (*release)(struct series *);
    void *private_data;
} series;

typedef void field_of(const struct ArrowSchema *, size_t, struct ArrowSchema *, const uint8_t *, size_t);
typedef void call(series *, size_t, const uint8_t *, size_t, series *, const void *);

field_of _polars_plugin_field_kind, _polars_plugin_field_classify;
call _polars_plugin_kind, _polars_plugin_block, _polars_plugin_is_private, _polars_plugin_classify;
call _polars_plugin_parse, _polars_plugin_contains, _polars_plugin_lookup, _polars_plugin_lookup_int64;
const char *_polars_plugin_get_last_error_message(void);
uint32_t _polars_plugin_get_version(void);

enum { ROWS = 10000, OFFSET = 3, CHUNKS = 2 };

static int arrays_released, series_released;

static void release_array(struct ArrowArray *array)
{
    arrays_released++;
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema) { schema->release = NULL; }
static void release_series(series *s)
{
    series_released++;
    s->release = NULL;
}

/* Text of every chunk: the same, drawn at random; and what each row is. */
static int32_t offsets[OFFSET + ROWS + 1];
static uint8_t validity[(OFFSET + ROWS + 7) / 8];
static uint32_t values[ROWS];
static bool is_address[ROWS], is_null[ROWS];
static uint8_t *text;

static void make_texts(void)
{
    static uint8_t room[ROWS * 16];
    int32_t size = 0;
    memset(validity, 0xFF, sizeof validity);
    for (size_t i = 0; i < OFFSET; i++)
        offsets[i] = 0;
    for (size_t i = 0; i < ROWS; i++) {
        offsets[OFFSET + i] = size;
        values[i] = draw() % 4 ? draw() : 0x0A000000 | draw() % 65536;
        is_address[i] = draw() % 5;
        is_null[i] = draw() % 7 == 0;
        if (is_null[i])
            validity[(OFFSET + i) / 8] &= (uint8_t)~(1 << (OFFSET + i) % 8);
        size += (int32_t)nf_ip4_format(values[i], room + size);
        if (!is_address[i])
            room[size - 1] = 'x';
    }
    offsets[OFFSET + ROWS] = size;
    text = guarded((size_t)size);
    memcpy(text, room, (size_t)size);
}

static series argument(const char *format, size_t count)
{
    static const void *buffers[] = {validity, offsets, NULL};
    static struct ArrowSchema schema;
    static struct ArrowArray arrays[CHUNKS], *chunks[CHUNKS];
    buffers[2] = text;
    schema = (struct ArrowSchema){.format = format, .name = "ip", .release = release_schema, .private_data = &schema};
    for (size_t i = 0; i < count; i++) {
        arrays[i] = (struct ArrowArray){
            .length = ROWS - (int64_t)i, .null_count = -1, .offset = OFFSET, .n_buffers = 3, .buffers = buffers,
            .release = release_array,
        };
        chunks[i] = &arrays[i];
    }
    return (series){&schema, chunks, count, release_series, &schema};
}

static series number(const uint64_t *id)
{
    static const void *buffers[2];
    static struct ArrowSchema schema;
    static struct ArrowArray array, *chunks[1] = {&array};
    buffers[1] = id;
    schema = (struct ArrowSchema){.format = "L", .release = release_schema, .private_data = &schema};
    array = (struct ArrowArray){.length = 1, .n_buffers = 2, .buffers = buffers, .release = release_array};
    return (series){&schema, chunks, 1, release_series, &schema};
}

static series called(call *function, series *arguments, size_t count)
{
    series result = {0};
    size_t chunks = 0;
    arrays_released = series_released = 0;
    for (size_t i = 0; i < count; i++)
        chunks += arguments[i].count;
    function(arguments, count, NULL, 0, &result, NULL);
    check((size_t)arrays_released == chunks && (size_t)series_released == count, "arguments that are let go");
    return result;
}

/* As Polars does: an array goes to whoever reads it, and the series lets go of the rest. */
static void let_go(series *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct ArrowArray array = *s->chunks[i];
        array.release(&array);
        check(!array.release, "an array that is released");
    }
    s->release(s);
    check(!s->release, "a series that is released");
}

static bool bit(const void *bits, size_t i) { return ((const uint8_t *)bits)[i / 8] >> i % 8 & 1; }

static void check_result(const series *s, const char *format, size_t chunks)
{
    check(s->private_data && s->count == chunks && strcmp(s->field->format, format) == 0, "a result of its type");
    check(strcmp(s->field->name, "ip") == 0, "the name of the column");
    for (size_t i = 0; i < chunks; i++)
        check(s->chunks[i]->length == ROWS - (int64_t)i && s->chunks[i]->offset == 0, "as many rows");
}

static uint8_t code(size_t row) { return is_address[row] ? nf_classify_ip4(values[row]) : 0; }

static void test_codes(size_t chunks)
{
    series in = argument("u", chunks), out = called(_polars_plugin_block, &in, 1);
    check_result(&out, "C", chunks);
    for (size_t c = 0; c < chunks; c++)
        for (size_t i = 0; i < ROWS - c; i++) {
            const struct ArrowArray *array = out.chunks[c];
            check(bit(array->buffers[0], i) == !is_null[i], "nulls");
            check(is_null[i] || ((const uint8_t *)array->buffers[1])[i] == code(i), "codes");
        }
    let_go(&out);

    in = argument("u", chunks);
    out = called(_polars_plugin_is_private, &in, 1);
    check_result(&out, "b", chunks);
    for (size_t i = 0; i < ROWS; i++)
        check(is_null[i] || bit(out.chunks[0]->buffers[1], i) == (code(i) % 2 == 1), "flags");
    let_go(&out);

    in = argument("u", chunks);
    out = called(_polars_plugin_classify, &in, 1);
    check_result(&out, "+s", chunks);
    const struct ArrowArray *array = out.chunks[0];
    check(array->n_children == 4 && strcmp(out.field->children[2]->name, "block") == 0, "the columns");
    for (size_t i = 0; i < ROWS; i++)
        check(is_null[i] || (((const uint8_t *)array->children[0]->buffers[1])[i] == 255 - code(i) &&
                             ((const uint8_t *)array->children[2]->buffers[1])[i] == code(i)),
              "what is in the columns");
    let_go(&out);
}

static void test_texts(void)
{
    series in = argument("u", 1), out = called(_polars_plugin_parse, &in, 1);
    check_result(&out, "U", 1);
    const struct ArrowArray *array = out.chunks[0];
    const int64_t *ends = array->buffers[1];
    for (size_t i = 0; i < ROWS; i++) {
        uint8_t wanted[NF_IP4_TEXT_MAX];
        const size_t size = is_null[i] || !is_address[i] ? 0 : nf_ip4_format(values[i], wanted);
        check(bit(array->buffers[0], i) == (size > 0), "texts that are null");
        check(ends[i + 1] - ends[i] == (int64_t)size, "sizes of texts");
        check(memcmp((const char *)array->buffers[2] + ends[i], wanted, size) == 0, "texts");
    }
    let_go(&out);
}

/* 10.0.0.0/8 and 10.0.128.0/17. */
static void test_prefixes(void)
{
    static const uint32_t prefixes[] = {0x0A000000, 0x0A008000};
    static const uint8_t lengths[] = {8, 17};
    static const int32_t places[] = {-1, 5};
    static const int64_t numbers[] = {-7, 1LL << 40};
    nf_table four, six;
    check(nf_ip4_table_build(prefixes, lengths, 2, 0, &four) && nf_ip6_table_build(NULL, NULL, 0, 2, &six), "tables");
    const nf_match_tables tables = {four.bytes, six.bytes};
    uint64_t ids[] = {nf_polars_add(tables, NULL), nf_polars_add(tables, places), nf_polars_add(tables, numbers)};
    call *const functions[] = {_polars_plugin_contains, _polars_plugin_lookup, _polars_plugin_lookup_int64};
    static const char *const formats[] = {"b", "I", "l"};
    for (int which = 0; which < 3; which++) {
        series in[] = {argument("u", CHUNKS), number(&ids[which])}, out = called(functions[which], in, 2);
        check_result(&out, formats[which], CHUNKS);
        const struct ArrowArray *array = out.chunks[0];
        for (size_t i = 0; i < ROWS; i++) {
            const bool there = !is_null[i] && is_address[i] && values[i] >> 24 == 10;
            const int match = there && values[i] >> 15 == 0x0A008000 >> 15;
            if (which == 0)
                check(is_null[i] || bit(array->buffers[1], i) == there, "what is held");
            else if (which == 1)
                check(bit(array->buffers[0], i) == (there && match), "places of values");
            else
                check(bit(array->buffers[0], i) == there, "rows with a value");
            if (which == 1 && match)
                check(((const uint32_t *)array->buffers[1])[i] == 5, "the place");
            if (which == 2 && there)
                check(((const int64_t *)array->buffers[1])[i] == numbers[match], "the value");
        }
        let_go(&out);
        nf_polars_remove(ids[which]);
        series again[] = {argument("u", 1), number(&ids[which])};
        out = called(functions[which], again, 2);
        check(!out.private_data && strstr(_polars_plugin_get_last_error_message(), "gone"), "prefixes that are gone");
    }
    free(four.bytes);
    free(six.bytes);
}

static void test_wrong(void)
{
    static const char *const wrong[] = {"g", "l", "+s", "vuu", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        series in = argument(wrong[i], CHUNKS);
        struct ArrowSchema field = {0};
        _polars_plugin_field_kind(in.field, 1, &field, NULL, 0);
        check(!field.private_data, "no type");
        series out = called(_polars_plugin_kind, &in, 1);
        check(!out.private_data && strstr(_polars_plugin_get_last_error_message(), "wanted text"), "why there is none");
    }
    series in = argument("u", CHUNKS);
    offsets[OFFSET + 7] = -1;
    series out = called(_polars_plugin_kind, &in, 1);
    check(!out.private_data && strstr(_polars_plugin_get_last_error_message(), "damaged"), "a damaged column");
    offsets[OFFSET + 7] = offsets[OFFSET + 6];

    const uint64_t id = 1;
    series odd[] = {argument("u", 1), number(&id)};
    odd[1].field->format = "l";
    out = called(_polars_plugin_contains, odd, 2);
    check(!out.private_data, "no name of prefixes");
}

static void test_types(void)
{
    struct ArrowSchema in = {.format = "vu", .name = "a name"}, out = {0};
    _polars_plugin_field_classify(&in, 1, &out, NULL, 0);
    check(out.private_data && out.n_children == 4 && strcmp(out.name, "a name") == 0, "a type");
    check(strcmp(out.children[0]->format, "C") == 0 && strcmp(out.children[3]->format, "b") == 0, "its fields");
    out.release(&out);
    check(!out.release, "a type that is released");
}

int main(void)
{
    nf_classify_init();
    check(nf_kernels_use(NULL), "the kernels");
    check(_polars_plugin_get_version() == 1, "the version of the interface");
    uint8_t odd[256], backwards[256];
    for (int i = 0; i < 256; i++) {
        odd[i] = i % 2 == 1;
        backwards[i] = (uint8_t)(255 - i);
    }
    for (int i = 0; i < NF_POLARS_TABLES; i++)
        nf_polars_set((nf_polars_table)i, i < NF_POLARS_IS_PRIVATE ? backwards : odd);
    make_texts();
    for (size_t chunks = 1; chunks <= CHUNKS; chunks++)
        test_codes(chunks);
    test_texts();
    test_types();
    test_prefixes();
    test_wrong();
    return 0;
}
