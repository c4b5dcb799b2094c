/* ip4_rows.c - every form of ip4_parse_rows against nf_ip4_parse, that against inet_pton, and back to text. */
#include <arpa/inet.h>

#include "fuzz.h"
#include "nf_ip4.h"

static void check_row(const fuzz_rows *rows, size_t i, uint32_t value, uint8_t holds)
{
    uint32_t single = 0;
    size_t position = SIZE_MAX;
    struct in_addr libc;
    char text[64];
    uint8_t written[NF_IP4_TEXT_MAX];

    const nf_reason reason = nf_ip4_parse(rows->text[i], rows->size[i], &single, &position);
    CHECK(reason < NF_REASONS);
    CHECK(reason == NF_OK ? holds == NF_IP4 : holds == NF_NONE || holds == NF_OPEN);
    CHECK(value == (reason == NF_OK ? single : 0));
    CHECK(reason == NF_OK || position <= rows->size[i]);
    if (as_c_text(rows, i, text)) {
        CHECK((inet_pton(AF_INET, text, &libc) == 1) == (reason == NF_OK));
        CHECK(reason != NF_OK || ntohl(libc.s_addr) == value);
    }
    if (reason == NF_OK) { /* strict text is its own canonical form */
        CHECK(nf_ip4_format(value, written) == rows->size[i]);
        CHECK(memcmp(written, rows->text[i], rows->size[i]) == 0);
    }
}

static void check(const uint8_t *data, size_t size, const char *noise)
{
    fuzz_rows rows = make_rows(data, size, noise);
    FOR_EACH_FORM(form) {
        uint32_t *value = exactly(rows.n * sizeof *value);
        uint8_t *holds = exactly(rows.n);
        nf_active->ip4_parse_rows((nf_rows){rows.text, rows.size}, rows.n, value, holds);
        for (size_t i = 0; i < rows.n; i++)
            check_row(&rows, i, value[i], holds[i]);
        free(value);
        free(holds);
    }
    free_rows(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *text = as_text(data, size, "0123456789125.....\n");
    check(text, size, "1.");
    check(text, size, ".22");
    check(text, size, "\xff");
    free(text);
    return 0;
}
