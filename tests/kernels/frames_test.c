/* frames_test.c - streams cut into frames, however they come: against a slow splitter, on bytes that end at a page that
 * cannot be touched.
 */
#define _GNU_SOURCE
#include "nf_frames.h"

#include "kit.h"

enum { FRAMES = 64, BYTES = 4096 };

typedef struct {
    size_t count, sizes[FRAMES], starts[FRAMES];
    size_t size;
    uint8_t bytes[BYTES];
} stream;

static nf_frame_rule prefixed(uint8_t width, bool little)
{
    return (nf_frame_rule){.prefix = width, .little_endian = little, .max_frame = 300};
}

static nf_frame_rule delimited(const char *text)
{
    nf_frame_rule rule = {.delimiter_size = (uint8_t)strlen(text), .max_frame = 300};
    memcpy(rule.delimiter, text, strlen(text));
    return rule;
}

/* Whether the delimiter is there before the one behind the bytes. */
static bool holds(const nf_frame_rule *rule, const uint8_t *bytes, size_t size)
{
    return nf_frame_delimiter(rule, bytes, 0, size) < size || nf_frame_overlaps_delimiter(rule, bytes, size);
}

static void add_frame(stream *s, const nf_frame_rule *rule, size_t size)
{
    uint8_t prefix[8];
    nf_frame_prefix(rule, size, prefix);
    memcpy(s->bytes + s->size, prefix, rule->prefix);
    s->size += rule->prefix;
    s->starts[s->count] = s->size;
    s->sizes[s->count++] = size;
    for (size_t i = 0; i < size; i++) /* of an alphabet in which delimiters nearly happen, and end in none */
        s->bytes[s->size++] = rule->prefix ? (uint8_t)draw() : (uint8_t)("ab"[draw() % 2]);
    if (rule->delimiter_size && holds(rule, s->bytes + s->size - size, size))
        memset(s->bytes + s->size - size, 'x', size);
    memcpy(s->bytes + s->size, rule->delimiter, rule->delimiter_size);
    s->size += rule->delimiter_size;
}

/* The same, looked at byte by byte. */
static bool slow_holds(const nf_frame_rule *rule, const uint8_t *bytes, size_t size)
{
    uint8_t whole[64];
    memcpy(whole, bytes, size);
    memcpy(whole + size, rule->delimiter, rule->delimiter_size);
    size_t i = 0;
    while (memcmp(whole + i, rule->delimiter, rule->delimiter_size) != 0)
        i++;
    return i < size;
}

/* The stream comes in pieces; so many frames are taken at a time at most. */
static void check_pieces(const stream *s, const nf_frame_rule *rule)
{
    nf_frame_cursor cursor = {0};
    nf_frame frames[8];
    size_t seen = 0;
    for (size_t there = 0; there < s->size;) {
        there += 1 + draw() % 40;
        there = there < s->size ? there : s->size;
        uint8_t *bytes = guarded(there);
        memcpy(bytes, s->bytes, there);
        for (size_t n = 1; n;) {
            n = nf_frames_split(rule, &cursor, bytes, there, frames, 1 + draw() % 8);
            for (size_t i = 0; i < n; i++, seen++)
                check(seen < s->count && frames[i].offset == s->starts[seen] && frames[i].size == s->sizes[seen],
                      "a frame");
        }
        check(!cursor.too_large && cursor.at <= there, "where the next frame begins");
    }
    check(seen == s->count && cursor.at == s->size, "all frames");
}

static void test_streams(nf_frame_rule rule)
{
    for (int round = 0; round < 2000; round++) {
        stream s = {0};
        for (size_t i = draw() % 12; i; i--)
            add_frame(&s, &rule, draw() % 5 ? draw() % 6 : draw() % (rule.prefix == 1 ? 256 : 301));
        check_pieces(&s, &rule);
    }
}

static void test_too_large(nf_frame_rule rule)
{
    nf_frame_cursor cursor = {0};
    nf_frame frames[2];
    uint8_t *bytes = guarded(400);
    memset(bytes, 'x', 400);
    nf_frame_prefix(&rule, 301, bytes);
    check(nf_frames_split(&rule, &cursor, bytes, rule.prefix ? rule.prefix : 400, frames, 2) == 0, "no frame");
    check(cursor.too_large, "a frame over the most");
}

static void test_largest(nf_frame_rule rule)
{
    nf_frame_cursor cursor = {0};
    nf_frame frame;
    uint8_t *bytes = guarded(320);
    memset(bytes, 'x', 320);
    nf_frame_prefix(&rule, 300, bytes);
    memcpy(bytes + rule.prefix + 300, rule.delimiter, rule.delimiter_size);
    const size_t size = rule.prefix + 300u + rule.delimiter_size;
    check(nf_frames_split(&rule, &cursor, bytes, size - 1, &frame, 1) == 0 && !cursor.too_large, "not yet the largest");
    check(nf_frames_split(&rule, &cursor, bytes, size, &frame, 1) == 1 && frame.size == 300, "the largest");
}

static void test_delimiters(void)
{
    for (int round = 0; round < 20000; round++) {
        char text[5] = {0};
        for (size_t i = 0; i < 1 + draw() % 4; i++)
            text[i] = "ab"[draw() % 2];
        const nf_frame_rule rule = delimited(text);
        const size_t size = draw() % 20;
        uint8_t *bytes = guarded(size);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)("ab"[draw() % 2]);
        check(holds(&rule, bytes, size) == slow_holds(&rule, bytes, size), "whether it is there");
    }
}

int main(void)
{
    static const char *const delimiters[] = {"\n", "\r\n", "aa", "aba", "abab", "0123456789abcdef"};
    for (uint8_t width = 1; width <= 8; width *= 2)
        for (int little = 0; little < 2; little++) {
            test_streams(prefixed(width, little));
            if (width > 1) {
                test_too_large(prefixed(width, little));
                test_largest(prefixed(width, little));
            }
        }
    for (size_t i = 0; i < sizeof delimiters / sizeof *delimiters; i++) {
        test_streams(delimited(delimiters[i]));
        test_too_large(delimited(delimiters[i]));
        test_largest(delimited(delimiters[i]));
    }
    test_delimiters();
    return 0;
}
