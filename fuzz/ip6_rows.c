/* ip6_rows.c - every form of ip6_parse_rows against nf_ip6_parse, that against inet_pton, and to text and back. */
#include <arpa/inet.h>

#include "fuzz.h"
#include "nf_ip6.h"

static const uint8_t zeros[16];

static void check_text(const uint8_t value[16])
{
    uint8_t *text = exactly(NF_IP6_TEXT_MAX), again[16];
    size_t zone, position;
    const size_t size = nf_ip6_format(value, text);
    CHECK(size >= 2 && size <= NF_IP6_TEXT_MAX);
    CHECK(nf_ip6_parse(text, size, again, &zone, &position) == NF_OK);
    CHECK(zone == size && memcmp(value, again, 16) == 0);
    free(text);
}

static void check_row(const fuzz_rows *rows, size_t i, const uint8_t value[16], uint8_t holds)
{
    uint8_t single[16], libc[16];
    size_t zone = SIZE_MAX, position = SIZE_MAX;
    char text[64];

    const nf_reason reason = nf_ip6_parse(rows->text[i], rows->size[i], single, &zone, &position);
    const bool zoned = reason == NF_OK && zone != rows->size[i];
    CHECK(reason < NF_REASONS);
    CHECK(holds == (reason != NF_OK ? NF_NONE : zoned ? NF_IP6_ZONED : NF_IP6));
    CHECK(memcmp(value, reason == NF_OK ? single : zeros, 16) == 0);
    CHECK(reason == NF_OK || position <= rows->size[i]);
    CHECK(!zoned || (zone < rows->size[i] && rows->text[i][zone - 1] == '%'));
    if (!memchr(rows->text[i], '%', rows->size[i]) && as_c_text(rows, i, text)) {
        CHECK((inet_pton(AF_INET6, text, libc) == 1) == (reason == NF_OK));
        CHECK(reason != NF_OK || memcmp(value, libc, 16) == 0);
    }
    if (reason == NF_OK)
        check_text(value);
}

static void check(const uint8_t *data, size_t size, const char *noise)
{
    fuzz_rows rows = make_rows(data, size, noise);
    FOR_EACH_FORM(form) {
        uint8_t(*value)[16] = exactly(rows.n * 16);
        uint8_t *holds = exactly(rows.n);
        nf_active->ip6_parse_rows((nf_rows){rows.text, rows.size}, rows.n, value, holds);
        for (size_t i = 0; i < rows.n; i++)
            check_row(&rows, i, value[i], holds[i]);
        free(value);
        free(holds);
    }
    free_rows(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *text = as_text(data, size, "0123456789abcdefAF::::..%\n");
    check(text, size, ":1");
    check(text, size, "::ffff:1.2.");
    check(text, size, "%");
    free(text);
    return 0;
}
