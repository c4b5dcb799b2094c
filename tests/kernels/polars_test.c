/* polars_test.c - the plugin as Polars calls it: every function on every layout that Polars hands over.
 *
 * All columns are made of one list of texts.  What each text is, the parsers of a single address have said beforehand;
 * what a function makes of it is compared with that.  Buffers begin or end at a page that cannot be touched.
 */
#define _GNU_SOURCE
#include "nf_polars.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_ip4.h"
#include "nf_ip4_table.h"
#include "nf_ip6.h"
#include "nf_ip6_table.h"
#include "nf_rows.h"

#define KIT_FORM nf_active->name
#include "kit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
enum { TURNS = 12, LOOKUPS = 1000 };
#else
enum { TURNS = 40, LOOKUPS = 10000 };
#endif

/* ---- the functions of the plugin */

typedef nf_series series;

typedef void field_of(const struct ArrowSchema *, size_t, struct ArrowSchema *, const uint8_t *, size_t);
typedef void call(series *, size_t, const uint8_t *, size_t, series *, const void *);

const char *_polars_plugin_get_last_error_message(void);
uint32_t _polars_plugin_get_version(void);

/* What a function gives: a code, or what a table has for it; fields of these; text; what prefixes have for it. */
enum { CODE = NF_POLARS_TABLES, FIELDS, TEXT, HELD, PLACE, NUMBER };

/* The name, the format of the result, and what it is. */
#define PLAIN(F)                                          \
    F(kind, "C", NF_POLARS_KIND)                          \
    F(network_class, "C", NF_POLARS_NETWORK_CLASS)        \
    F(block, "C", CODE)                                   \
    F(classify, "+s", FIELDS)                             \
    F(is_private, "b", NF_POLARS_IS_PRIVATE)              \
    F(is_shared, "b", NF_POLARS_IS_SHARED)                \
    F(is_loopback, "b", NF_POLARS_IS_LOOPBACK)            \
    F(is_link_local, "b", NF_POLARS_IS_LINK_LOCAL)        \
    F(is_multicast, "b", NF_POLARS_IS_MULTICAST)          \
    F(is_broadcast, "b", NF_POLARS_IS_BROADCAST)          \
    F(is_unspecified, "b", NF_POLARS_IS_UNSPECIFIED)      \
    F(is_documentation, "b", NF_POLARS_IS_DOCUMENTATION)  \
    F(is_reserved, "b", NF_POLARS_IS_RESERVED)            \
    F(is_global, "b", NF_POLARS_IS_GLOBAL)                \
    F(contains, "b", HELD)                                \
    F(lookup, "I", PLACE)                                 \
    F(lookup_int64, "l", NUMBER)                          \
    F(lookup_uint64, "L", NUMBER)                         \
    F(lookup_float64, "g", NUMBER)

#define DECLARE(name, format, gives) \
    field_of _polars_plugin_field_##name, _polars_plugin_field_##name##_unwrapped; \
    call _polars_plugin_##name, _polars_plugin_##name##_unwrapped;
PLAIN(DECLARE)
field_of _polars_plugin_field_parse;
call _polars_plugin_parse;

typedef struct {
    call *run;
    field_of *field;
    const char *format;
    int gives;
    bool unwraps;
} function;

#define LIST(name, format, gives)                                                  \
    {_polars_plugin_##name, _polars_plugin_field_##name, format, gives, false},    \
    {_polars_plugin_##name##_unwrapped, _polars_plugin_field_##name##_unwrapped, format, gives, true},
static const function functions[] = {
    PLAIN(LIST) {_polars_plugin_parse, _polars_plugin_field_parse, "U", TEXT, false},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static bool wants_prefixes(const function *f) { return f->gives >= HELD; }

/* The fields of classify. */
static const struct {
    const char *name, *format;
    int gives;
} fields[] = {
    {"kind", "C", NF_POLARS_KIND}, {"network_class", "C", NF_POLARS_NETWORK_CLASS}, {"block", "C", CODE},
    {"is_global", "b", NF_POLARS_IS_GLOBAL},
};

/* ---- what the plugin is told: tables by code, and prefixes */

static uint8_t tables[NF_POLARS_TABLES][256];

static const struct {
    const char *text;
    uint8_t length;
} prefixes[] = {
    {"10.0.0.0", 8}, {"10.0.128.0", 17}, {"192.168.0.0", 16}, /* sorted, IPv4 first */
    {"::ffff:0:0", 96}, {"2001:db8::", 32}, {"2001:db8:1111::", 48}, {"fe80::", 10},
};
enum { PREFIXES4 = 3, PREFIXES = sizeof prefixes / sizeof *prefixes };

static const int32_t places[PREFIXES] = {-1, 5, 0, INT32_MAX, 7, -2, 9};
static const int64_t numbers[PREFIXES] = {-7, 1LL << 40, 0, 3, INT64_MIN, 5, INT64_MAX};
static nf_table table4, table6;
static nf_match_tables prefix_tables;

static void make_tables(void)
{
    uint32_t four[PREFIXES4];
    nf_ip6_number six[PREFIXES - PREFIXES4];
    uint8_t lengths[PREFIXES], packed[16];
    size_t zone, position;
    for (size_t t = 0; t < NF_POLARS_TABLES; t++)
        for (size_t code = 0; code < 256; code++)
            tables[t][code] = t < NF_POLARS_IS_PRIVATE ? (uint8_t)draw() : draw() % 2;
    for (size_t k = 0; k < PREFIXES; k++) {
        const uint8_t *text = (const uint8_t *)prefixes[k].text;
        const size_t size = strlen(prefixes[k].text);
        lengths[k] = prefixes[k].length;
        if (k < PREFIXES4) {
            check(nf_ip4_parse(text, size, &four[k], &position) == NF_OK, "a prefix of IPv4");
            continue;
        }
        check(nf_ip6_parse(text, size, packed, &zone, &position) == NF_OK, "a prefix of IPv6");
        six[k - PREFIXES4] = (nf_ip6_number){(uint64_t)nf_load_be32(packed) << 32 | nf_load_be32(packed + 4),
                                             (uint64_t)nf_load_be32(packed + 8) << 32 | nf_load_be32(packed + 12)};
    }
    check(nf_ip4_table_build(four, lengths, PREFIXES4, 0, &table4) &&
              nf_ip6_table_build(six, lengths + PREFIXES4, PREFIXES - PREFIXES4, PREFIXES4, &table6),
          "tables of prefixes");
    prefix_tables = (nf_match_tables){table4.bytes, table6.bytes};
}

/* The longest prefix that holds an address, by a look at each; -1: none. */
static int longest(bool is_ip4, const uint8_t packed[16])
{
    int best = -1;
    for (int k = is_ip4 ? 0 : PREFIXES4; k < (is_ip4 ? PREFIXES4 : PREFIXES); k++) {
        const uint8_t *text = (const uint8_t *)prefixes[k].text;
        uint8_t address[16];
        uint32_t v4;
        size_t zone, position, bits = prefixes[k].length, same = 0;
        if (is_ip4) {
            nf_ip4_parse(text, strlen(prefixes[k].text), &v4, &position);
            nf_pack_ip4(v4, address);
            bits += 96;
        } else
            nf_ip6_parse(text, strlen(prefixes[k].text), address, &zone, &position);
        while (same < bits && !((address[same / 8] ^ packed[same / 8]) >> (7 - same % 8) & 1))
            same++;
        if (same == bits && (best < 0 || prefixes[k].length > prefixes[best].length))
            best = k;
    }
    return best;
}

/* ---- the texts, and what each is */

enum { TEXTS = 240, LONGEST = 1200 };

typedef struct {
    uint8_t text[LONGEST], parsed[LONGEST]; /* as it is, and as parse gives it */
    size_t size, parsed_size;
    uint8_t holds, packed[16];
    uint32_t v4;
    uint8_t code[2]; /* as it is, and unwrapped */
    int match[2];
} truth;

static truth texts[TEXTS];

#define ZONE(zone, shown) {"fe80::1" zone, sizeof "fe80::1" zone - 1, shown, sizeof shown - 1}
#define OTHER(text) {text, sizeof text - 1, "", 0}

/* A text, and its zone as parse shows it.  Source of what is UTF-8: Unicode, table 3-7. */
static const struct {
    const char *text;
    size_t size;
    const char *zone;
    size_t zone_size;
} given[] = {
    OTHER("192.168.100.5"), ZONE("%eth0", "%eth0"), ZONE("%ether0", "%ether0"), OTHER("10.0.200.7"), OTHER("10.1.1.1"),
    OTHER("::"), OTHER("::1"), OTHER("2001:db8::1"), OTHER("2001:DB8:1111:2222:3333:4444:5555:6666"),
    OTHER("FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), OTHER("255.255.255.255"), OTHER("0.0.0.0"),
    /* carry 10.0.200.1 */
    OTHER("::ffff:10.0.200.1"), OTHER("64:ff9b::10.0.200.1"), OTHER("2002:a00:c801::"),
    OTHER("2001:0:1:2:3:4:f5ff:37fe"),
    /* no addresses */
    OTHER(""), OTHER("x"), OTHER("1.2.3"), OTHER("256.1.1.1"), OTHER("01.2.3.4"), OTHER("1.2.3.4 "), OTHER("1.2.3.4%a"),
    OTHER(":::"), OTHER("fe80::1%"), OTHER("fe80::1%a%b"), OTHER("fe80::1%a/b"), OTHER("1.2.3.4\0"),
    OTHER("a text that is too long to be an address, and lies in a buffer of its own\xff"),
    /* zones that are UTF-8 */
    ZONE("%\xc3\xa9", "%\xc3\xa9"), ZONE("%\xe2\x82\xac!", "%\xe2\x82\xac!"), ZONE("%a\0b", "%a\0b"),
    ZONE("%\xf0\x9f\x8c\x8d", "%\xf0\x9f\x8c\x8d"), ZONE("%\xed\x9f\xbf", "%\xed\x9f\xbf"),
    ZONE("%\xee\x80\x80", "%\xee\x80\x80"), ZONE("%\xe0\xa0\x80", "%\xe0\xa0\x80"), ZONE("%\xc2\x80", "%\xc2\x80"),
    ZONE("%\xf0\x90\x80\x80", "%\xf0\x90\x80\x80"), ZONE("%\xf4\x8f\xbf\xbf", "%\xf4\x8f\xbf\xbf"),
    /* and such that are not: too long for what they say, surrogates, above U+10FFFF, cut short */
    ZONE("%\xff", "%?"), ZONE("%\x80x", "%?x"), ZONE("%a\xc3", "%a?"), ZONE("%\xc3x", "%?x"), ZONE("%\xc1\xbf", "%??"),
    ZONE("%\xe0\x9f\xbf", "%???"), ZONE("%\xed\xa0\x80", "%???"), ZONE("%\xf0\x8f\xbf\xbf", "%????"),
    ZONE("%\xf4\x90\x80\x80", "%????"), ZONE("%\xf5\x80\x80\x80", "%????"), ZONE("%\xe2\x82", "%??"),
    ZONE("%\xe2\x82+", "%??+"), ZONE("%\xf0\x9f\x8c", "%???"), ZONE("%\xf0\x9f\x8cx", "%???x"),
    ZONE("%\xff\xc3\xa9\xff", "%?\xc3\xa9?"),
};
enum { GIVEN = sizeof given / sizeof *given, LONG_ADDRESS = 9, NO_TEXT = 16, LONG_ZONE = GIVEN };

static void know(truth *t, const void *text, size_t size, const void *zone, size_t zone_size)
{
    uint32_t carried;
    size_t zone_at, position;
    check(size <= sizeof t->text, "room for a text");
    *t = (truth){.size = size, .holds = NF_NONE, .match = {-1, -1}};
    memcpy(t->text, text, size);
    if (nf_ip4_parse(text, size, &t->v4, &position) == NF_OK) {
        t->holds = NF_IP4;
        nf_pack_ip4(t->v4, t->packed);
        t->code[0] = t->code[1] = nf_classify_ip4(t->v4);
        t->match[0] = t->match[1] = longest(true, t->packed);
        t->parsed_size = nf_ip4_format(t->v4, t->parsed);
    } else if (nf_ip6_parse(text, size, t->packed, &zone_at, &position) == NF_OK) {
        t->holds = zone_at < size ? NF_IP6_ZONED : NF_IP6;
        t->code[0] = t->code[1] = nf_classify_ip6(t->packed);
        t->match[0] = t->match[1] = longest(false, t->packed);
        if (nf_unwrap(t->packed, &carried)) {
            uint8_t inner[16];
            nf_pack_ip4(carried, inner);
            t->code[1] = nf_classify_ip4(carried);
            t->match[1] = longest(true, inner);
        }
        t->parsed_size = nf_ip6_format(t->packed, t->parsed);
        memcpy(t->parsed + t->parsed_size, zone, zone_size);
        t->parsed_size += zone_size;
    }
    check((t->holds == NF_IP6_ZONED) == (zone_size > 0), "a zone");
}

static void know_long_zone(truth *t, char letter, char shown)
{
    uint8_t text[1100] = "fe80::1%", zone[1000] = "%";
    memset(text + 8, letter, sizeof zone - 1);
    memset(zone + 1, shown, sizeof zone - 1);
    know(t, text, 7 + sizeof zone, zone, sizeof zone);
}

static void make_texts(void)
{
    size_t i = 0;
    for (; i < GIVEN; i++)
        know(&texts[i], given[i].text, given[i].size, given[i].zone, given[i].zone_size);
    know_long_zone(&texts[i++], 'z', 'z');
    know_long_zone(&texts[i++], '\xff', '?');
    check(texts[LONG_ADDRESS].parsed_size == 39 && texts[NO_TEXT].size == 0, "the texts that have a name");
    for (; i < TEXTS; i++) {
        uint8_t text[NF_IP6_TEXT_MAX], packed[16];
        for (size_t k = 0; k < 16; k++)
            packed[k] = (uint8_t)(draw() | 0x10);
        packed[0] = draw() % 2 ? 0x20 : packed[0];
        know(&texts[i], text, i % 3 ? nf_ip6_format(packed, text) : nf_ip4_format(draw(), text), "", 0);
    }
}

/* ---- memory between pages that cannot be touched */

enum { BUFFERS = 48, BUFFER_MAX = 1 << 20, PAGE = 65536 };

static size_t buffers_used;
static bool at_front; /* buffers begin at such a page; or they end at one */

static void *fenced(size_t size)
{
    static uint8_t *block;
    const size_t each = BUFFER_MAX + PAGE;
    if (!block) {
        block = mmap(NULL, PAGE + BUFFERS * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(block != MAP_FAILED, "memory");
        for (size_t i = 0; i <= BUFFERS; i++)
            check(mprotect(block + i * each, PAGE, PROT_NONE) == 0, "a page that cannot be touched");
    }
    check(size <= BUFFER_MAX && buffers_used < BUFFERS, "room for a buffer");
    uint8_t *buffer = block + PAGE + each * buffers_used++;
    return at_front ? buffer : buffer + BUFFER_MAX - size;
}

/* ---- columns, by layout */

/* Formats of Arrow: of the column; or of the indices, and of the categories that they count. */
typedef struct {
    const char *format, *categories;
} layout;

static const layout layouts[] = {
    {"vu", NULL}, {"vz", NULL}, {"u", NULL},   {"z", NULL},    {"U", NULL}, {"Z", NULL}, {"I", NULL},
    {"n", NULL},  {"w:4", NULL}, {"w:16", NULL}, {"C", "vu"}, {"S", "vu"}, {"I", "vu"}, {"L", "vu"},
    {"C", "U"},   {"S", "U"},   {"I", "U"},    {"C", "u"},    {"S", "u"},  {"I", "u"},  {"I", "vz"}, {"I", "z"},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

enum { ROWS = 8300, CHUNKS = 3, DATA = 3, COLUMN_BUFFERS = 2 + DATA + 1 };

/* Rows as they lie in memory: which text each is, and whether it is null.  The first `offset` are not the column's. */
typedef struct {
    size_t n, offset;
    uint16_t text[ROWS];
    bool null[ROWS], nullable;
} rows;

typedef struct {
    rows rows;
    struct ArrowArray array, categories;
    const void *buffers[COLUMN_BUFFERS], *category_buffers[COLUMN_BUFFERS];
} chunk;

typedef struct {
    layout layout;
    size_t count;
    chunk chunks[CHUNKS];
} column;

static size_t all(const rows *r) { return r->offset + r->n; }
static const truth *text_of(const rows *r, size_t i) { return &texts[r->text[i]]; }

static bool can_hold(const char *format, const truth *t)
{
    if (strcmp(format, "w:16") == 0)
        return t->holds == NF_IP6;
    return (strcmp(format, "I") != 0 && strcmp(format, "w:4") != 0) || t->holds == NF_IP4;
}

static void put_bytes(void *buffer, size_t at, const void *bytes, size_t size)
{
    if (size)
        memcpy((uint8_t *)buffer + at, bytes, size);
}

static void put_validity(const rows *r, const void **buffers)
{
    uint8_t *bits = fenced((all(r) + 7) / 8);
    for (size_t i = 0; i < all(r); i++)
        bits[i / 8] = (uint8_t)((i % 8 ? bits[i / 8] : 0) | !r->null[i] << i % 8);
    buffers[0] = bits;
}

static void put_offsets(const rows *r, size_t width, const void **buffers)
{
    int64_t size = 0;
    for (size_t i = 0; i < all(r); i++)
        size += (int64_t)text_of(r, i)->size;
    uint8_t *offsets = fenced((all(r) + 1) * width), *data = fenced((size_t)size);
    size = 0;
    for (size_t i = 0; i <= all(r); i++) {
        put_bytes(offsets, i * width, &size, width);
        if (i < all(r)) {
            put_bytes(data, (size_t)size, text_of(r, i)->text, text_of(r, i)->size);
            size += (int64_t)text_of(r, i)->size;
        }
    }
    buffers[1] = offsets;
    buffers[2] = data;
}

typedef struct {
    int32_t size;
    uint8_t beginning[4];
    int32_t buffer, offset;
} long_view;

/* Texts that are too long for a view are dealt to the buffers; the view of a null is noise. */
static void put_views(const rows *r, const void **buffers)
{
    int64_t *sizes = fenced(DATA * sizeof *sizes), used[DATA] = {0};
    uint8_t *views = fenced(16 * all(r)), *data[DATA];
    memset(sizes, 0, DATA * sizeof *sizes);
    for (size_t i = 0; i < all(r); i++)
        sizes[i % DATA] += text_of(r, i)->size > 12 ? (int64_t)text_of(r, i)->size : 0;
    for (size_t b = 0; b < DATA; b++)
        buffers[2 + b] = data[b] = fenced((size_t)sizes[b]);
    for (size_t i = 0; i < all(r); i++) {
        const truth *t = text_of(r, i);
        const uint32_t size = (uint32_t)t->size, noise[4] = {draw(), draw(), draw(), draw()};
        const size_t b = i % DATA;
        long_view view = {(int32_t)size, {0}, (int32_t)b, (int32_t)used[b]};
        memset(views + 16 * i, 0, 16);
        put_bytes(views, 16 * i, &size, 4);
        put_bytes(views, 16 * i + 4, t->text, size > 12 ? 0 : size);
        if (size > 12) {
            memcpy(view.beginning, t->text, 4);
            put_bytes(views, 16 * i, &view, 16);
            put_bytes(data[b], (size_t)used[b], t->text, size);
            used[b] += size;
        }
        if (r->null[i])
            put_bytes(views, 16 * i, noise, 16);
    }
    buffers[1] = views;
    buffers[2 + DATA] = sizes;
}

/* IPv4 in this machine's order, packed IPv4, packed IPv6; the value of a null is noise. */
static void put_values(const rows *r, const char *format, const void **buffers)
{
    const size_t width = strcmp(format, "w:16") == 0 ? 16 : 4;
    uint8_t *values = fenced(width * all(r));
    for (size_t i = 0; i < all(r); i++) {
        const truth *t = text_of(r, i);
        const uint32_t noise[4] = {draw(), draw(), draw(), draw()};
        const void *value = *format == 'I' ? (const void *)&t->v4 : t->packed + 16 - width;
        put_bytes(values, width * i, r->null[i] ? noise : value, width);
    }
    buffers[1] = values;
}

static struct ArrowArray column_of(const rows *r, const char *format, const void **buffers)
{
    struct ArrowArray array = {
        .length = (int64_t)r->n, .null_count = -1, .offset = (int64_t)r->offset, .n_buffers = 3, .buffers = buffers,
    };
    if (*format == 'n')
        return (struct ArrowArray){.length = array.length, .null_count = array.length, .offset = array.offset};
    if (*format == 'v')
        array.n_buffers = COLUMN_BUFFERS;
    else if (*format == 'I' || *format == 'w')
        array.n_buffers = 2;
    if (all(r) == 0) /* nothing is anywhere */
        return array;
    if (r->nullable)
        put_validity(r, buffers);
    else if (draw() % 2)
        array.null_count = 0;
    if (*format == 'v')
        put_views(r, buffers);
    else if (*format == 'u' || *format == 'z')
        put_offsets(r, 4, buffers);
    else if (*format == 'U' || *format == 'Z')
        put_offsets(r, 8, buffers);
    else
        put_values(r, format, buffers);
    return array;
}

static size_t index_width(const char *format)
{
    return *format == 'C' ? 1 : *format == 'S' ? 2 : *format == 'I' ? 4 : 8;
}

/* Every text is a category, another one the first each time; indices of nulls are beyond them. */
static void put_categories(chunk *c, const layout *l)
{
    static rows categories;
    const size_t width = index_width(l->format), first = draw() % GIVEN;
    const rows *r = &c->rows;
    categories.n = all(r) ? TEXTS : 0;
    categories.offset = all(r) && draw() % 2 ? 1 + draw() % 10 : 0;
    for (size_t i = 0; i < all(&categories); i++)
        categories.text[i] = (uint16_t)((first + i + TEXTS - categories.offset) % TEXTS);
    c->categories = column_of(&categories, l->categories, c->category_buffers);
    c->array = (struct ArrowArray){
        .length = (int64_t)r->n, .null_count = -1, .offset = (int64_t)r->offset, .n_buffers = 2, .buffers = c->buffers,
    };
    if (all(r) == 0)
        return;
    if (r->nullable)
        put_validity(r, c->buffers);
    uint8_t *indices = fenced(width * all(r));
    for (size_t i = 0; i < all(r); i++) {
        const uint64_t index = r->null[i] ? UINT64_MAX - draw() % 10 : (r->text[i] + TEXTS - first) % TEXTS;
        put_bytes(indices, width * i, &index, width);
    }
    c->buffers[1] = indices;
}

static void draw_rows(rows *r, const layout *l, size_t n, size_t offset, bool nullable)
{
    const bool nothing = *l->format == 'n';
    r->n = n;
    r->offset = offset;
    r->nullable = nullable || nothing;
    check(all(r) <= ROWS, "room for the rows");
    for (size_t i = 0; i < all(r); i++) {
        do /* the first text in memory is often a special one */
            r->text[i] = (uint16_t)(draw() % (i == 0 ? GIVEN : TEXTS));
        while (!l->categories && !can_hold(l->format, text_of(r, i)));
        r->null[i] = nothing || (nullable && draw() % 4 == 0);
    }
}

static void make_chunk(chunk *c, const layout *l, size_t n, size_t offset, bool nullable)
{
    memset(c->buffers, 0, sizeof c->buffers);
    memset(c->category_buffers, 0, sizeof c->category_buffers);
    draw_rows(&c->rows, l, n, offset, nullable);
    if (l->categories)
        put_categories(c, l);
    else
        c->array = column_of(&c->rows, l->format, c->buffers);
}

static void make_column(column *made, const layout *l, size_t n, size_t offset, bool nullable)
{
    made->layout = *l;
    made->count = 1;
    make_chunk(&made->chunks[0], l, n, offset, nullable);
}

/* ---- a call */

static _Thread_local size_t arrays_released, series_released;

static void release_array(struct ArrowArray *array)
{
    arrays_released++;
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema)
{
    free(schema->dictionary);
    schema->release = NULL;
}

static void release_series(series *s)
{
    series_released++;
    s->field->release(s->field);
    free(s->field);
    for (size_t i = 0; i < s->count; i++)
        free(s->chunks[i]);
    free(s->chunks);
    s->release = NULL;
}

static struct ArrowSchema schema_of(const layout *l)
{
    struct ArrowSchema schema = {.format = l->format, .name = "ip", .release = release_schema};
    if (l->categories) {
        schema.dictionary = malloc(sizeof *schema.dictionary);
        *schema.dictionary = (struct ArrowSchema){.format = l->categories, .name = ""};
    }
    return schema;
}

static series empty_series(const layout *l, size_t count)
{
    series s = {malloc(sizeof *s.field), calloc(count + 1, sizeof *s.chunks), count, release_series, &series_released};
    *s.field = schema_of(l);
    for (size_t i = 0; i < count; i++)
        s.chunks[i] = malloc(sizeof *s.chunks[i]);
    return s;
}

static series argument(const column *c)
{
    series s = empty_series(&c->layout, c->count);
    for (size_t i = 0; i < c->count; i++) {
        *s.chunks[i] = c->chunks[i].array;
        s.chunks[i]->buffers = *c->layout.format == 'n' ? NULL : (const void **)(uintptr_t)c->chunks[i].buffers;
        s.chunks[i]->release = release_array;
        if (c->layout.categories)
            s.chunks[i]->dictionary = (struct ArrowArray *)(uintptr_t)&c->chunks[i].categories;
    }
    return s;
}

/* A series of one number in each chunk, at a place that is not the first one. */
typedef struct {
    uint64_t numbers[3];
    const void *buffers[2];
} number;

static series number_argument(number *n, uint64_t id, const char *format, size_t chunks)
{
    const layout l = {format, NULL};
    *n = (number){{id + 100, id + 200, id}, {NULL, n->numbers}};
    series s = empty_series(&l, chunks);
    for (size_t i = 0; i < chunks; i++)
        *s.chunks[i] = (struct ArrowArray){
            .length = 1, .offset = 2, .n_buffers = 2, .buffers = n->buffers, .release = release_array,
        };
    return s;
}

static series called(call *run, series *arguments, size_t count)
{
    series result = {0};
    size_t chunks = 0;
    arrays_released = series_released = 0;
    for (size_t i = 0; i < count; i++)
        chunks += arguments[i].count;
    run(arguments, count, NULL, 0, &result, NULL);
    check(arrays_released == chunks && series_released == count, "arguments that are let go");
    return result;
}

static series call_on(const function *f, const column *c, uint64_t id)
{
    number n;
    series arguments[2] = {argument(c)};
    if (wants_prefixes(f))
        arguments[1] = number_argument(&n, id, "L", 1);
    return called(f->run, arguments, wants_prefixes(f) ? 2 : 1);
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

static void check_failed(const series *result, const char *why)
{
    check(!result->private_data && !result->release, "no result");
    check(strstr(_polars_plugin_get_last_error_message(), why) != NULL, why);
}

/* ---- results against the truth */

static bool bit(const void *bits, size_t i) { return ((const uint8_t *)bits)[i / 8] >> i % 8 & 1; }
static bool is_valid(const struct ArrowArray *array, size_t i)
{
    return !array->buffers[0] || bit(array->buffers[0], i);
}

static void check_codes(const struct ArrowArray *array, int gives, const char *format, bool unwraps, const rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const bool null = r->null[r->offset + i];
        const uint8_t code = text_of(r, r->offset + i)->code[unwraps];
        check(is_valid(array, i) == !null, "nulls are nulls");
        if (null)
            continue;
        if (*format == 'b')
            check(bit(array->buffers[1], i) == tables[gives][code], "flags");
        else
            check(((const uint8_t *)array->buffers[1])[i] == (gives == CODE ? code : tables[gives][code]), "codes");
    }
}

static void check_fields(const struct ArrowArray *array, bool unwraps, const rows *r)
{
    check(array->n_children == 4, "the fields");
    for (size_t i = 0; i < r->n; i++)
        check(is_valid(array, i) == !r->null[r->offset + i], "nulls of fields");
    for (size_t k = 0; k < 4; k++) {
        check(array->children[k]->length == (int64_t)r->n, "rows of a field");
        check_codes(array->children[k], fields[k].gives, fields[k].format, unwraps, r);
    }
}

static void check_texts(const struct ArrowArray *array, const rows *r)
{
    const int64_t *ends = array->buffers[1];
    check(ends[0] == 0, "the first offset");
    for (size_t i = 0; i < r->n; i++) {
        const truth *t = text_of(r, r->offset + i);
        const size_t size = r->null[r->offset + i] ? 0 : t->parsed_size;
        check(is_valid(array, i) == (size > 0), "texts that are null");
        check(ends[i + 1] - ends[i] == (int64_t)size, "sizes of texts");
        check(memcmp((const uint8_t *)array->buffers[2] + ends[i], t->parsed, size) == 0, "texts");
    }
}

static void check_matches(const struct ArrowArray *array, const function *f, const rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const bool null = r->null[r->offset + i];
        const int match = null ? -1 : text_of(r, r->offset + i)->match[f->unwraps];
        if (f->gives == HELD) {
            check(is_valid(array, i) == !null, "nulls that no prefix holds");
            check(null || bit(array->buffers[1], i) == (match >= 0), "what is held");
        } else if (f->gives == PLACE) {
            const bool there = match >= 0 && places[match] >= 0;
            check(is_valid(array, i) == there, "rows with a place");
            check(!there || ((const int32_t *)array->buffers[1])[i] == places[match], "places");
        } else {
            check(is_valid(array, i) == (match >= 0), "rows with a number");
            check(match < 0 || ((const int64_t *)array->buffers[1])[i] == numbers[match], "numbers");
        }
    }
}

static void check_chunk(const struct ArrowArray *array, const function *f, const rows *r)
{
    check(array->length == (int64_t)r->n && array->offset == 0, "as many rows");
    check(array->n_buffers == (f->gives == TEXT ? 3 : f->gives == FIELDS ? 1 : 2), "the buffers");
    check(array->null_count < 0 || (array->null_count == 0 && !array->buffers[0]), "the count of nulls");
    if (f->gives == TEXT)
        check_texts(array, r);
    else if (f->gives == FIELDS)
        check_fields(array, f->unwraps, r);
    else if (wants_prefixes(f))
        check_matches(array, f, r);
    else
        check_codes(array, f->gives, f->format, f->unwraps, r);
}

static void check_type(const struct ArrowSchema *type, const function *f)
{
    check(type->release && strcmp(type->format, f->format) == 0, "the type");
    check(strcmp(type->name, "ip") == 0, "the name of the column");
    check(type->n_children == (f->gives == FIELDS ? 4 : 0), "the fields of the type");
    for (int64_t k = 0; k < type->n_children; k++)
        check(strcmp(type->children[k]->name, fields[k].name) == 0 &&
                  strcmp(type->children[k]->format, fields[k].format) == 0,
              "a field of the type");
}

static uint64_t places_id, numbers_id;

static void check_column(const column *c)
{
    for (size_t k = 0; k < FUNCTIONS; k++) {
        const function *f = &functions[k];
        series result = call_on(f, c, f->gives == PLACE ? places_id : numbers_id);
        check(result.private_data && result.count == c->count, "a result, of as many chunks");
        check_type(result.field, f);
        for (size_t i = 0; i < c->count; i++)
            check_chunk(result.chunks[i], f, &c->chunks[i].rows);
        let_go(&result);
    }
}

/* ---- tests */

static column tested;

static void test_types(void)
{
    for (size_t k = 0; k < FUNCTIONS; k++)
        for (size_t i = 0; i < LAYOUTS; i++) {
            struct ArrowSchema in[] = {schema_of(&layouts[i]), {.format = "L", .name = "id"}}, out = {0};
            functions[k].field(in, wants_prefixes(&functions[k]) ? 2 : 1, &out, NULL, 0);
            check_type(&out, &functions[k]);
            out.release(&out);
            check(!out.release && in[0].release, "a type that is released, and an argument that is not");
            in[0].release(&in[0]);
        }
}

static void test_few_rows(const layout *l)
{
    for (size_t turn = 0; turn < TURNS; turn++) {
        const size_t n = draw() % 2 ? draw() % 300 : draw() % 20, offset = draw() % 3 ? draw() % 24 : 0;
        buffers_used = 0;
        at_front = draw() % 2;
        make_column(&tested, l, n, offset, draw() % 2);
        check_column(&tested);
    }
}

/* More than are worked on at a time, and in the middle a chunk of nothing. */
static void test_many_rows(const layout *l)
{
    buffers_used = 0;
    at_front = false;
    make_column(&tested, l, 8219, 13, true);
    make_chunk(&tested.chunks[1], l, 0, 0, false);
    make_chunk(&tested.chunks[2], l, 4101, 0, false);
    tested.count = 3;
    check_column(&tested);
}

/* A bitmap that goes on to the very end of its last byte, and that byte is the last of the buffer. */
static void test_bitmaps(void)
{
    const layout l = {"vu", NULL};
    for (size_t offset = 0; offset < 32; offset++)
        for (size_t bytes = 5; bytes < 8; bytes++) {
            buffers_used = 0;
            at_front = false;
            make_column(&tested, &l, 8 * bytes - offset, offset, true);
            check_column(&tested);
        }
}

/* Where all texts are empty, there may be no data. */
static void test_no_data(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        const layout *l = &layouts[i];
        if (l->categories || !strchr("uzUZ", *l->format))
            continue;
        buffers_used = 0;
        make_column(&tested, l, 0, 0, false);
        chunk *c = &tested.chunks[0];
        c->rows.n = 40;
        for (size_t k = 0; k < c->rows.n; k++) {
            c->rows.text[k] = NO_TEXT;
            c->rows.null[k] = false;
        }
        c->array = column_of(&c->rows, l->format, c->buffers);
        c->buffers[2] = NULL;
        check_column(&tested);
    }
}

static void test_no_chunks(void)
{
    tested.layout = layouts[0];
    tested.count = 0;
    check_column(&tested);
}

/* Texts are as long as they may be, so that the room for them grows whatever is left of it. */
static void test_room(void)
{
    static const layout l = {"u", NULL};
    const function *parse = &functions[FUNCTIONS - 1];
    chunk *c = &tested.chunks[0];
    for (size_t n = 1; n < 100; n++) {
        buffers_used = 0;
        make_column(&tested, &l, 0, 0, false);
        c->rows.n = n;
        for (size_t i = 0; i < n; i++) {
            c->rows.text[i] = n % 10 == 9 && i == n - 1 ? LONG_ZONE : LONG_ADDRESS;
            c->rows.null[i] = false;
        }
        c->array = column_of(&c->rows, l.format, c->buffers);
        series result = call_on(parse, &tested, 0);
        check_chunk(result.chunks[0], parse, &c->rows);
        let_go(&result);
    }
}

static void check_all_fail(const char *why)
{
    for (size_t k = 0; k < FUNCTIONS; k++) {
        series result = call_on(&functions[k], &tested, numbers_id);
        check_failed(&result, why);
    }
}

/* An index beyond the categories is no address. */
static void test_index_beyond(void)
{
    static const char *const formats[] = {"C", "S", "I", "L"};
    for (size_t k = 0; k < 4; k++)
        for (uint64_t beyond = 0; beyond < 3; beyond++) {
            const layout l = {formats[k], "vu"};
            const uint64_t index = beyond == 2 ? UINT64_MAX : TEXTS + beyond;
            buffers_used = 0;
            at_front = false;
            make_column(&tested, &l, 20, 0, false);
            put_bytes((void *)(uintptr_t)tested.chunks[0].buffers[1], 7 * index_width(l.format), &index,
                      index_width(l.format));
            tested.chunks[0].rows.text[7] = NO_TEXT;
            check_column(&tested);
        }
}

/* Two chunks, of which only the last is damaged: nothing may be left of the first. */
static void make_two(const layout *l)
{
    buffers_used = 0;
    at_front = draw() % 2;
    make_column(&tested, l, 60, draw() % 12, draw() % 2);
    make_chunk(&tested.chunks[1], l, 60, draw() % 12, false);
    tested.count = 2;
}

/* Where the row, or the category, begins that is damaged: the one of row 50. */
static uint8_t *damaged_row(size_t width)
{
    chunk *c = &tested.chunks[1];
    size_t at = c->rows.offset + 50;
    if (!tested.layout.categories)
        return (uint8_t *)(uintptr_t)c->buffers[1] + at * width;
    at *= index_width(tested.layout.format);
    memset((uint8_t *)(uintptr_t)c->buffers[1] + at, 0, index_width(tested.layout.format)); /* category 0 */
    return (uint8_t *)(uintptr_t)c->category_buffers[1] + (size_t)c->categories.offset * width;
}

static void test_damaged_views(const layout *l)
{
    const long_view bad[] = {
        {-1, {0}, 0, 0},  {INT32_MIN, {0}, 0, 0}, {13, {0}, -1, 0},        {13, {0}, DATA, 0},
        {13, {0}, 0, -1}, {13, {0}, 2, -13},      {13, {0}, 1, INT32_MAX}, {INT32_MAX, {0}, 1, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_two(l);
        memcpy(damaged_row(16), &bad[i], 16);
        check_all_fail("damaged");
    }
    make_two(l); /* by one byte */
    const void **buffers = l->categories ? tested.chunks[1].category_buffers : tested.chunks[1].buffers;
    const int64_t size = ((const int64_t *)buffers[2 + DATA])[1];
    memcpy(damaged_row(16), &(long_view){13, {0}, 1, (int32_t)size - 12}, 16);
    check_all_fail("damaged");
}

static void test_damaged_offsets(const layout *l, size_t width)
{
    static const int64_t bad[] = {-1, INT64_MIN, INT64_MAX, 1 << 30};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int64_t value = width == 8 ? bad[i] : i == 1 ? INT32_MIN : i == 2 ? INT32_MAX : bad[i];
        make_two(l);
        memcpy(damaged_row(width), &value, width);
        check_all_fail("damaged");
    }
}

static void test_damaged(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        const char *texts_in = layouts[i].categories ? layouts[i].categories : layouts[i].format;
        if (*texts_in == 'v')
            test_damaged_views(&layouts[i]);
        else if (strchr("uzUZ", *texts_in))
            test_damaged_offsets(&layouts[i], *texts_in == 'u' || *texts_in == 'z' ? 4 : 8);
    }
}

static void test_wrong_types(void)
{
    static const struct {
        layout layout;
        const char *why;
    } wrong[] = {
        {{"g", NULL}, "wanted text"},    {{"l", NULL}, "wanted text"},     {{"i", NULL}, "wanted text"},
        {{"L", NULL}, "wanted text"},    {{"+s", NULL}, "wanted text"},    {{"vuu", NULL}, "wanted text"},
        {{"", NULL}, "wanted text"},     {{"w:8", NULL}, "wanted text"},   {{"C", "g"}, "wanted text"},
        {{"C", "I"}, "are no text"},     {{"C", "w:4"}, "are no text"},    {{"C", "n"}, "are no text"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_two(&layouts[0]);
        tested.layout = wrong[i].layout;
        for (size_t k = 0; k < FUNCTIONS; k++) {
            struct ArrowSchema in = schema_of(&tested.layout), out = {0};
            functions[k].field(&in, 1, &out, NULL, 0);
            check(!out.private_data && !out.release, "no type");
            check(strstr(_polars_plugin_get_last_error_message(), wrong[i].why) != NULL, "why there is none");
            if (strcmp(wrong[i].why, "wanted text") == 0) {
                const layout *l = &wrong[i].layout;
                char named[64];
                snprintf(named, sizeof named, "column 'ip' (Arrow format '%s')",
                         l->categories ? l->categories : l->format);
                check(strstr(_polars_plugin_get_last_error_message(), named) != NULL, "which column it is");
            }
            in.release(&in);
        }
        check_all_fail(wrong[i].why);
    }
    make_two(&(layout){"C", "vu"});
    tested.layout.format = "i"; /* Polars has no such categories */
    check_all_fail("not known");
}

/* However long it is, the name in a message is UTF-8, and what follows it is there. */
static void test_long_names(void)
{
    char name[400], shown[400];
    for (size_t ascii = 0; ascii < 4; ascii++)
        for (size_t n = 0; n < 99; n++) {
            memset(name, 'a', ascii);
            for (size_t i = 0; i < n; i++)
                memcpy(name + ascii + 3 * i, "\xe2\x82\xac", 4);
            name[ascii + 3 * n] = 0;
            struct ArrowSchema in = {.format = "g", .name = name}, out = {0};
            functions[0].field(&in, 1, &out, NULL, 0);
            const bool whole = ascii + 3 * n <= 80;
            const size_t size = ascii + 3 * (whole ? n : (80 - ascii) / 3);
            snprintf(shown, sizeof shown, "column '%.*s%s' (Arrow format 'g') holds no addresses; wanted", (int)size,
                     name, whole ? "" : "...");
            check(strstr(_polars_plugin_get_last_error_message(), shown) != NULL, "a name that is cut");
        }
}

/* The name of prefixes is one UInt64 in one chunk. */
static void test_names(void)
{
    buffers_used = 0;
    make_column(&tested, &layouts[0], 10, 0, false);
    for (size_t k = 0; k < FUNCTIONS; k++) {
        const function *f = &functions[k];
        if (!wants_prefixes(f))
            continue;
        for (size_t wrong = 0; wrong < 6; wrong++) {
            number n;
            series arguments[3] = {argument(&tested)};
            size_t count = 2;
            arguments[1] = number_argument(&n, numbers_id, wrong == 0 ? "l" : "L", wrong == 1 ? 0 : wrong == 2 ? 2 : 1);
            if (wrong == 3)
                arguments[1].chunks[0]->length = 0;
            if (wrong == 4)
                arguments[1].chunks[0]->length = 2;
            if (wrong == 5)
                arguments[count++] = number_argument(&n, numbers_id, "L", 1);
            series result = called(f->run, arguments, count);
            check(!result.private_data && !result.release, "no result of such a name");
            check(wrong == 5 || strstr(_polars_plugin_get_last_error_message(), "one UInt64"), "why there is none");
        }
        series result = call_on(f, &tested, numbers_id + 1000);
        check_failed(&result, "gone");
    }
}

/* ---- before, and when, it starts */

static void test_start(void)
{
    static uint8_t others[256];
    const uint8_t *first[NF_POLARS_TABLES], *second[NF_POLARS_TABLES];
    for (size_t i = 0; i < NF_POLARS_TABLES; i++) {
        first[i] = tables[i];
        second[i] = others;
    }
    memset(others, 1, sizeof others);
    numbers_id = nf_polars_add(prefix_tables, numbers);
    make_two(&layouts[0]);
    for (size_t k = 0; k < FUNCTIONS; k++) {
        struct ArrowSchema in = schema_of(&layouts[0]), out = {0};
        functions[k].field(&in, 1, &out, NULL, 0);
        check(!out.private_data && !out.release, "no type before the start");
        check(strstr(_polars_plugin_get_last_error_message(), "not been imported") != NULL, "why there is none");
    }
    check_all_fail("not been imported");
    nf_polars_remove(numbers_id);

    nf_polars_start(first, 1000);
    places_id = nf_polars_add(prefix_tables, places);
    nf_polars_start(second, 7);
    numbers_id = nf_polars_add(prefix_tables, numbers);
    check(places_id > 1000 && numbers_id > places_id, "names that come after");
    memset(others, 0, sizeof others);
}

/* ---- threads: each adds and removes prefixes, and looks up in its own and in those of others */

enum { THREADS = 3, EACH = 3, NAMES = THREADS * EACH };

static _Atomic uint64_t names[NAMES];
static uint64_t *named[NAMES]; /* the numbers of these prefixes: the name, every one */
static uint64_t steady;        /* are always there */
static column few, many;

static uint64_t add_named(uint64_t **into)
{
    *into = malloc(PREFIXES * sizeof **into);
    const uint64_t id = nf_polars_add(prefix_tables, *into);
    for (size_t k = 0; k < PREFIXES; k++)
        (*into)[k] = id;
    return id;
}

/* What is there no more must not be read. */
static void remove_named(uint64_t id, uint64_t *numbers_of_it)
{
    nf_polars_remove(id);
    memset(numbers_of_it, 0x55, PREFIXES * sizeof *numbers_of_it);
    free(numbers_of_it);
}

/* A lookup in prefixes that are gone says so; in others, every number is the name. */
static void look_up(uint64_t id, const column *c)
{
    static const function f = {_polars_plugin_lookup_int64, NULL, "l", NUMBER, false};
    series result = call_on(&f, c, id);
    if (!result.private_data) {
        check(id != steady, "prefixes that are always there");
        check_failed(&result, "gone");
        return;
    }
    const rows *r = &c->chunks[0].rows;
    for (size_t i = 0; i < r->n; i++) {
        const bool there = text_of(r, i)->match[0] >= 0;
        check(is_valid(result.chunks[0], i) == there, "rows with a name");
        check(!there || ((const uint64_t *)result.chunks[0]->buffers[1])[i] == id, "numbers that are still there");
    }
    let_go(&result);
}

static void *one_thread(void *own)
{
    for (size_t turn = 0; turn < LOOKUPS; turn++) {
        const size_t i = (size_t)((_Atomic uint64_t *)own - names) + turn % EACH;
        for (size_t k = 0; k < 4; k++)
            look_up(steady, &few);
        look_up(atomic_load(&names[turn % NAMES]), turn % 4 ? &many : &few);
        remove_named(atomic_load(&names[i]), named[i]);
        atomic_store(&names[i], add_named(&named[i]));
    }
    return NULL;
}

/* A count of readers that has gone wrong shows in the end: a removal waits for them, here for ever. */
static void test_threads(void)
{
    uint64_t *always;
    pthread_t threads[THREADS];
    alarm(300);
    buffers_used = 0;
    make_column(&few, &layouts[0], 1, 0, false);
    make_column(&many, &layouts[0], 1000, 0, false);
    steady = add_named(&always);
    for (size_t i = 0; i < NAMES; i++)
        atomic_store(&names[i], add_named(&named[i]));
    for (size_t i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, one_thread, &names[i * EACH]) == 0, "a thread");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < NAMES; i++)
        remove_named(atomic_load(&names[i]), named[i]);
    remove_named(steady, always);
    alarm(0);
}

int main(void)
{
    nf_classify_init();
    check(_polars_plugin_get_version() == 1, "the version of the interface");
    make_tables();
    make_texts();
    test_start();
    test_types();
    for (size_t form = 0; nf_kernels_name(form); form++) {
        check(nf_kernels_use(nf_kernels_name(form)), "a form");
        for (size_t i = 0; i < LAYOUTS; i++) {
            test_few_rows(&layouts[i]);
            test_many_rows(&layouts[i]);
        }
        test_bitmaps();
        test_room();
        test_no_data();
        test_index_beyond();
        test_damaged();
    }
    test_no_chunks();
    test_wrong_types();
    test_long_names();
    test_names();
    test_threads();
    nf_polars_remove(places_id);
    nf_polars_remove(numbers_id);
    free(table4.bytes);
    free(table6.bytes);
    return 0;
}
