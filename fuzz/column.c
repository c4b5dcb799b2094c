/* column.c - columns as foreign programs hand them over, damaged ones too: every form classifies and parses a row as
 * the single-address parsers do its text, and nothing is read outside the buffers. */
#include "columns.h"

static void check_range(const nf_column *column, size_t first, size_t n, bool unwrap, bool must)
{
    uint8_t *code = exactly(n), *holds = exactly(n);
    uint32_t *v4 = exactly(4 * n);
    uint8_t(*packed)[16] = exactly(16 * n);
    size_t done = SIZE_MAX;

    const bool fine = nf_classify_column(column, first, n, unwrap, code);
    CHECK(fine || !must);
    CHECK(nf_parse_column(column, first, n, v4, packed, holds, &done) == fine);
    CHECK(!fine || done == n);
    for (size_t i = 0; fine && i < n; i++) {
        const answer a = look_at(column, first + i);
        CHECK(code[i] == a.code[unwrap]);
        CHECK(holds[i] == a.holds);
        CHECK(v4[i] == a.v4);
        CHECK(memcmp(packed[i], a.packed, 16) == 0);
    }
    if (nf_parse_column(column, first, n, v4, NULL, holds, &done)) {
        CHECK(done <= n);
        for (size_t i = 0; i < done; i++) {
            const answer a = look_at(column, first + i);
            CHECK(holds[i] == a.holds && v4[i] == a.v4 && (a.holds == NF_NONE || a.holds == NF_IP4));
        }
    }
    free(code);
    free(holds);
    free(v4);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    nf_kernels_use(NULL);
    fuzz_column c;
    make_column(&c, &input, (nf_layout)take_below(&input, NF_PACKED16 + 1));
    make_validity(&c, &input, 20);
    const bool unwrap = take_below(&input, 2), whole = is_whole(&c.column);
    const size_t first = take_byte(&input) % (c.column.n + 1), n = take_byte(&input) % (c.column.n - first + 1);
    FOR_EACH_FORM(form) {
        check_range(&c.column, 0, c.column.n, unwrap, whole);
        check_range(&c.column, first, n, unwrap, whole);
    }
    free_column(&c);
    return 0;
}
