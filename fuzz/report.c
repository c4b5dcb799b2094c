/* report.c - rows, marks and grep's lines of any text, against the same made with printf, memchr and a slow search. */
#include "fuzz.h"
#include "nf_ip4.h"
#include "nf_ip4_table.h"
#include "nf_ip6.h"
#include "nf_ip6_table.h"
#include "nf_report.h"

enum { TEXT_MAX = 1 << 12 };

/* What should come out. */
typedef struct {
    uint8_t *bytes;
    size_t size;
} wanted_text;

static void add(wanted_text *w, const void *bytes, size_t size)
{
    w->bytes = realloc(w->bytes, w->size + size + 1);
    CHECK(w->bytes);
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}

static void add_number(wanted_text *w, long long number)
{
    char text[32];
    add(w, text, (size_t)snprintf(text, sizeof text, "%lld", number));
}

static void check_output(const nf_output *output, const wanted_text *w)
{
    CHECK(output->size == w->size && output->size <= output->capacity);
    CHECK(w->size == 0 || memcmp(output->bytes, w->bytes, w->size) == 0);
}

static void check_rows(const nf_hits *hits, const uint8_t *text, int64_t base, fuzz_input *input)
{
    uint8_t *part[4];
    size_t part_size[4];
    const uint8_t *tail[256];
    size_t tail_size[256];
    for (int k = 0; k < 4; k++) {
        part_size[k] = take_below(input, 5);
        part[k] = exactly(part_size[k]);
        memset(part[k], 'a' + k, part_size[k]);
    }
    for (size_t code = 0; code < 256; code++) {
        tail[code] = part[3];
        tail_size[code] = code % (part_size[3] + 1);
    }
    const nf_row_style style = {part[0], part[1], part[2], part_size[0], part_size[1], part_size[2], tail, tail_size};
    nf_output output = {0};
    wanted_text w = {0};
    for (int twice = 0; twice < 2; twice++) {
        CHECK(nf_report_rows(hits, text, base, &style, &output));
        for (size_t i = 0; i < hits->n; i++) {
            const uint8_t *address = text + (hits->offset[i] - base), *percent;
            uint8_t written[NF_IP6_TEXT_MAX];
            add(&w, part[0], part_size[0]);
            add_number(&w, hits->line[i]);
            add(&w, part[1], part_size[1]);
            add_number(&w, hits->offset[i]);
            add(&w, part[2], part_size[2]);
            if (hits->version[i] == 4)
                add(&w, address, hits->length[i]);
            else
                add(&w, written, nf_ip6_format(hits->packed[i], written));
            if ((percent = memchr(address, '%', hits->length[i])))
                add(&w, percent, (size_t)(address + hits->length[i] - percent));
            add(&w, part[3], tail_size[hits->code[i]]);
        }
        check_output(&output, &w);
    }
    nf_output_free(&output);
    free(w.bytes);
    for (int k = 0; k < 4; k++)
        free(part[k]);
}

enum { MOST = 4 };

/* The prefixes of a set, as they were given and as the look-ups have them. */
typedef struct {
    size_t n4, n6;
    uint32_t address4[MOST];
    nf_ip6_number address6[MOST];
    uint8_t length4[MOST], length6[MOST];
    nf_table table4, table6;
    nf_labels labels;
} prefix_list;

/* Short ones, so that they hold something; of IPv6 within the first 16 bits. */
static void take_prefixes(fuzz_input *input, prefix_list *list)
{
    uint32_t order[MOST];
    list->n4 = take_below(input, MOST + 1);
    list->n6 = take_below(input, MOST + 1);
    for (size_t k = 0; k < list->n4; k++) {
        list->length4[k] = (uint8_t)take_below(input, 9);
        list->address4[k] = (uint32_t)(take_byte(input) & 0xff00 >> list->length4[k]) << 24;
    }
    for (size_t k = 0; k < list->n6; k++) {
        list->length6[k] = (uint8_t)take_below(input, 17);
        const uint64_t high = (uint64_t)take_byte(input) << 8 | take_byte(input);
        list->address6[k] = (nf_ip6_number){(high & 0xffff0000 >> list->length6[k]) << 48, 0};
    }
    list->n4 = nf_sort_prefixes4(list->address4, list->length4, order, list->n4);
    list->n6 = nf_sort_prefixes6(list->address6, list->length6, order, list->n6);
    CHECK(nf_ip4_table_build(list->address4, list->length4, list->n4, 0, &list->table4));
    CHECK(nf_ip6_table_build(list->address6, list->length6, list->n6, (int32_t)list->n4, &list->table6));
    list->labels = (nf_labels){list->table4.bytes, list->table6.bytes, NULL, 0};
}

static bool in_list_slowly(const prefix_list *list, const nf_hits *hits, size_t i)
{
    const uint8_t *packed = hits->packed[i];
    for (size_t k = 0; hits->version[i] == 4 && k < list->n4; k++)
        if ((packed[12] & 0xff00 >> list->length4[k] & 0xff) == list->address4[k] >> 24)
            return true;
    for (size_t k = 0; hits->version[i] == 6 && k < list->n6; k++)
        if (((packed[0] << 8 | packed[1]) & 0xffff0000 >> list->length6[k] & 0xffff) == list->address6[k].high >> 48)
            return true;
    return false;
}

static void check_marks(const nf_hits *hits, fuzz_input *input)
{
    nf_set sets[2];
    prefix_list lists[2];
    uint8_t *codes[2], *mark = exactly(hits->n);
    const uint8_t given = take_byte(input);
    for (int k = 0; k < 2; k++) {
        const size_t some = 1 + take_below(input, 40);
        codes[k] = exactly(256);
        for (size_t code = 0; code < 256; code++)
            codes[k][code] = code % some == 1;
        take_prefixes(input, &lists[k]);
        sets[k] = (nf_set){codes[k], given & 4 << k ? &lists[k].labels : NULL};
    }
    nf_mark_hits(hits, given & 1 ? &sets[0] : NULL, given & 2 ? &sets[1] : NULL, mark);
    for (size_t i = 0; i < hits->n; i++) {
        bool in[2];
        for (int k = 0; k < 2; k++)
            in[k] = codes[k][hits->code[i]] || (sets[k].prefixes && in_list_slowly(&lists[k], hits, i));
        CHECK(mark[i] == ((!(given & 1) || in[0]) && !(given & 2 && in[1])));
    }
    for (int k = 0; k < 2; k++) {
        free(codes[k]);
        free(lists[k].table4.bytes);
        free(lists[k].table6.bytes);
    }
    free(mark);
}

static void check_lines(const nf_hits *hits, const uint8_t *text, size_t size, int64_t base, fuzz_input *input)
{
    static const uint8_t name[] = "name:";
    const uint8_t bits = take_byte(input);
    const nf_grep_style style = {name, bits & 1 ? 5 : 0, bits & 2, bits & 4, bits & 8, bits & 16};
    uint8_t *wanted = exactly(hits->n);
    for (size_t i = 0; i < hits->n; i++)
        wanted[i] = take_byte(input) & 1;
    nf_output output = {0};
    wanted_text w = {0};
    uint64_t lines = 99, wanted_lines = 0;
    CHECK(nf_report_lines(hits, wanted, text, size, base, 7, &style, &output, &lines));
    int64_t number = 7;
    for (size_t at = 0; at < size; number++) {
        const uint8_t *newline = memchr(text + at, '\n', size - at);
        const size_t end = newline ? (size_t)(newline - text) : size;
        bool match = false;
        for (int writing = 0; writing < 2; writing++) {
            for (size_t i = 0; i < hits->n; i++) {
                const size_t offset = (size_t)(hits->offset[i] - base);
                if (offset < at || offset >= end || !wanted[i])
                    continue;
                match = true;
                if (!writing || style.invert || !style.only || style.count)
                    continue;
                add(&w, name, style.lead_size);
                if (style.number)
                    add_number(&w, number);
                add(&w, ":", style.number);
                add(&w, text + offset, hits->length[i]);
                add(&w, "\n", 1);
            }
        }
        wanted_lines += match != style.invert;
        if (match != style.invert && !style.only && !style.count) {
            add(&w, name, style.lead_size);
            if (style.number)
                add_number(&w, number);
            add(&w, ":", style.number);
            add(&w, text + at, end - at);
            add(&w, "\n", 1);
        }
        at = end + 1;
    }
    CHECK(lines == wanted_lines);
    check_output(&output, &w);
    nf_output_free(&output);
    free(w.bytes);
    free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    const int64_t bases[] = {0, 1, 99, INT64_MAX / 2};
    const int64_t base = bases[take_below(&input, 4)];
    const size_t options = take_below(&input, 64);
    nf_kernels_use(NULL);
    if (input.left < options || input.left > TEXT_MAX)
        return 0;
    fuzz_input text_input = {input.at + options, input.left - options};
    uint8_t *text = as_text(text_input.at, text_input.left, "0123456789af:::...%/ \n");
    nf_hits hits = {0};
    nf_place place = {base, base ? INT64_MAX / 4 : 1};
    input.left = options;
    CHECK(nf_hits_reserve(&hits, NF_HITS_FOR(text_input.left), 0));
    nf_scan(text, text_input.left, 0, text_input.left, (nf_policy){true, NF_FIND_IP4 | NF_FIND_IP6}, &place, &hits);
    check_rows(&hits, text, base, &input);
    check_marks(&hits, &input);
    check_lines(&hits, text, text_input.left, base, &input);
    nf_hits_free(&hits);
    free(text);
    return 0;
}
