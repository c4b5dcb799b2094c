/* report.c - rows, marks and grep's lines of any text, against the same made with printf, memchr and a slow search. */
#include "fuzz.h"
#include "nf_ip4.h"
#include "nf_ip6.h"
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

/* Ranges of one family out of the input, in order and apart; in memory of exactly their size. */
static uint8_t *make_ranges(fuzz_input *input, size_t *count, bool ip4)
{
    uint8_t bytes[8], *ranges;
    size_t n = take_below(input, 4);
    for (size_t i = 0; i < 2 * n; i++)
        bytes[i] = take_byte(input);
    for (size_t i = 1; i < 2 * n; i++)
        for (size_t k = i; k > 0 && bytes[k] < bytes[k - 1]; k--) {
            const uint8_t last = bytes[k];
            bytes[k] = bytes[k - 1];
            bytes[k - 1] = last;
        }
    ranges = exactly(32 * n);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && bytes[2 * i] <= bytes[2 * i - 1] + 1)
            continue; /* they touch */
        uint8_t *range = ranges + 32 * (*count)++;
        memset(range, 0, 32);
        if (ip4)
            memset(range + 10, 0xff, 2), memset(range + 26, 0xff, 2);
        range[ip4 ? 12 : 1] = bytes[2 * i];
        range[(ip4 ? 12 : 1) + 16] = bytes[2 * i + 1];
        memset(range + (ip4 ? 29 : 18), 0xff, ip4 ? 3 : 14);
    }
    return ranges;
}

static bool in_set_slowly(const nf_set *set, const nf_hits *hits, size_t i)
{
    const uint8_t *ranges = hits->version[i] == 4 ? set->ip4_ranges : set->ip6_ranges;
    const size_t count = hits->version[i] == 4 ? set->ip4_count : set->ip6_count;
    for (size_t r = 0; r < count; r++)
        if (memcmp(ranges + 32 * r, hits->packed[i], 16) <= 0 && memcmp(ranges + 32 * r + 16, hits->packed[i], 16) >= 0)
            return true;
    return set->codes[hits->code[i]];
}

static void check_marks(const nf_hits *hits, fuzz_input *input)
{
    nf_set sets[2];
    uint8_t *codes[2], *ip4[2], *ip6[2], *mark = exactly(hits->n);
    const uint8_t given = take_byte(input);
    for (int k = 0; k < 2; k++) {
        const size_t some = 1 + take_below(input, 40);
        codes[k] = exactly(256);
        for (size_t code = 0; code < 256; code++)
            codes[k][code] = code % some == 1;
        ip4[k] = make_ranges(input, &sets[k].ip4_count, true);
        ip6[k] = make_ranges(input, &sets[k].ip6_count, false);
        sets[k].codes = codes[k];
        sets[k].ip4_ranges = ip4[k];
        sets[k].ip6_ranges = ip6[k];
    }
    const nf_set *wanted = given & 1 ? &sets[0] : NULL, *unwanted = given & 2 ? &sets[1] : NULL;
    nf_mark_hits(hits, wanted, unwanted, mark);
    for (size_t i = 0; i < hits->n; i++)
        CHECK(mark[i] == ((!wanted || in_set_slowly(wanted, hits, i)) &&
                          !(unwanted && in_set_slowly(unwanted, hits, i))));
    for (int k = 0; k < 2; k++) {
        free(codes[k]);
        free(ip4[k]);
        free(ip6[k]);
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
