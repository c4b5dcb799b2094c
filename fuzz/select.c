/* select.c - fields and JSON strings of any line, and which hits are kept, against a slow look at every hit. */
#include "fuzz.h"
#include "nf_select.h"

/* The N-th field as awk or a split at the separator gives it. */
static bool find_slowly(const nf_selection *s, const uint8_t *line, size_t size, size_t *begin, size_t *end)
{
    size_t field = 0, start = 0, i = 0;
    if (!s->separator) {
        for (; i <= size; i++) {
            const bool blank = i == size || line[i] == ' ' || line[i] == '\t';
            if (blank && i > start && ++field == s->field) {
                *begin = start;
                *end = i;
                return true;
            }
            if (blank)
                start = i + 1;
        }
        return false;
    }
    while (i <= size) {
        const bool here = size - i >= s->separator_size && memcmp(line + i, s->separator, s->separator_size) == 0;
        if ((here || i == size) && ++field == s->field) {
            *begin = start;
            *end = i;
            return true;
        }
        i += here ? s->separator_size : 1;
        start = here ? i : start;
    }
    return false;
}

static void check_finding(const nf_selection *s, const uint8_t *text, size_t size)
{
    size_t begin = SIZE_MAX, end = SIZE_MAX, slow_begin = 0, slow_end = 0;
    uint8_t *line = copy_of(text, size);
    if (s->by == NF_KEY) {
        if (nf_find_key(s, line, size, &begin, &end))
            CHECK(begin > 0 && begin <= end && end < size && line[begin - 1] == '"' && line[end] == '"');
    } else {
        const bool found = nf_find_field(s, line, size, &begin, &end);
        CHECK(found == find_slowly(s, line, size, &slow_begin, &slow_end));
        CHECK(!found || (begin == slow_begin && end == slow_end));
    }
    free(line);
}

static bool counts(const nf_selection *s, const uint8_t *text, size_t size, const nf_hits *hits, size_t i)
{
    const size_t at = (size_t)hits->offset[i];
    size_t start = at, stop = at, begin, end;
    if (s->by == NF_ALL)
        return true;
    if (s->by == NF_FIRST)
        return i == 0 || hits->line[i] != hits->line[i - 1];
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (stop < size && text[stop] != '\n')
        stop++;
    const bool found = s->by == NF_FIELD ? nf_find_field(s, text + start, stop - start, &begin, &end)
                                         : nf_find_key(s, text + start, stop - start, &begin, &end);
    return found && at - start >= begin && at + hits->length[i] - start <= end;
}

static void check_selecting(nf_selection s, const uint8_t *bytes, size_t size, size_t step)
{
    uint8_t *text = copy_of(bytes, size);
    nf_place place = {0, 1};
    nf_hits all = {0}, kept = {0};
    CHECK(nf_hits_reserve(&all, NF_HITS_FOR(size), 0) && nf_hits_reserve(&kept, NF_HITS_FOR(size), 0));
    const nf_policy policy = {false, NF_FIND_IP4 | NF_FIND_IP6};
    nf_scan(text, size, 0, size, policy, &place, &all);
    place.line = 1;
    for (size_t at = 0; at < size;) { /* selected as they are found, a piece of the text at a time */
        const size_t first = kept.n, until = size - at < step ? size : at + step;
        at = nf_scan(text, size, at, until, policy, &place, &kept);
        nf_select(&s, text, size, 0, &kept, first);
    }
    size_t k = 0, lines = 0;
    int64_t last = 0;
    for (size_t i = 0; i < all.n; i++) {
        if (!counts(&s, text, size, &all, i))
            continue;
        CHECK(k < kept.n && kept.offset[k] == all.offset[i] && kept.line[k] == all.line[i]);
        CHECK(kept.length[k] == all.length[i] && kept.version[k] == all.version[i] && kept.code[k] == all.code[i]);
        CHECK(memcmp(kept.packed[k], all.packed[i], 16) == 0);
        lines += all.line[i] != last;
        last = all.line[i];
        k++;
    }
    CHECK(k == kept.n);
    CHECK(s.by == NF_ALL || s.lines == lines);
    nf_hits_free(&all);
    nf_hits_free(&kept);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    nf_selection s = {.by = (nf_selecting)take_below(&input, 4)};
    uint8_t *pieces[NF_PATH_MAX];
    size_t n = 0;
    nf_kernels_use(NULL);
    s.field = 1 + take_below(&input, 6);
    const size_t step = 1 + take_byte(&input);
    n = s.by == NF_FIELD ? take_below(&input, 2) : s.by == NF_KEY ? 1 + take_below(&input, NF_PATH_MAX) : 0;
    for (size_t i = 0; i < n; i++) {
        size_t length = 1 + take_below(&input, 4);
        length = length < input.left ? length : input.left;
        pieces[i] = copy_of(input.at, length);
        s.key[i] = s.separator = pieces[i];
        s.key_size[i] = s.separator_size = length;
        input.at += length;
        input.left -= length;
    }
    s.depth = n;
    uint8_t *text = as_text(input.at, input.left, "0012345::..  \t\n\"\"\"{}[],\\ab");
    if (n == 0 || s.separator_size > 0) {
        check_selecting(s, text, input.left, step);
        if (s.by == NF_FIELD || s.by == NF_KEY)
            check_finding(&s, text, input.left);
    }
    free(text);
    for (size_t i = 0; i < n; i++)
        free(pieces[i]);
    return 0;
}
