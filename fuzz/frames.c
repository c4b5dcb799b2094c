/* frames.c - any bytes, in any pieces, by any rule: frames lie within them and in order, and pieces change nothing. */
#include "fuzz.h"
#include "nf_frames.h"

enum { MOST = 1000 };

static nf_frame_rule rule_of(fuzz_input *input)
{
    nf_frame_rule rule = {.max_frame = take_byte(input) * 4u, .little_endian = take_byte(input) & 1};
    const uint8_t kind = take_byte(input);
    if (kind & 1) {
        rule.prefix = (uint8_t)(1 << (kind >> 1 & 3));
    } else {
        rule.delimiter_size = (uint8_t)(1 + take_below(input, NF_DELIMITER_MAX));
        for (int i = 0; i < rule.delimiter_size; i++)
            rule.delimiter[i] = kind & 2 ? take_byte(input) : (uint8_t)("ab"[take_byte(input) & 1]);
    }
    return rule;
}

static size_t split_whole(const nf_frame_rule *rule, const uint8_t *bytes, size_t size, nf_frame *frames)
{
    nf_frame_cursor cursor = {0};
    return nf_frames_split(rule, &cursor, bytes, size, frames, MOST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    const nf_frame_rule rule = rule_of(&input);
    uint8_t *bytes = copy_of(input.at, input.left);
    nf_frame *whole = exactly(MOST * sizeof *whole), frame;
    const size_t count = split_whole(&rule, bytes, input.left, whole);
    size_t before = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(whole[i].offset >= before && whole[i].offset + whole[i].size <= input.left);
        CHECK(whole[i].size <= rule.max_frame);
        if (rule.delimiter_size) {
            const uint8_t *frame_bytes = bytes + whole[i].offset;
            CHECK(nf_frame_delimiter(&rule, frame_bytes, 0, whole[i].size) == whole[i].size);
            CHECK(!nf_frame_overlaps_delimiter(&rule, frame_bytes, whole[i].size));
        }
        before = whole[i].offset + whole[i].size;
    }
    /* A byte more at a time, a frame at a time. */
    nf_frame_cursor cursor = {0};
    size_t seen = 0;
    for (size_t there = 0; there <= input.left && input.left < 2000; there++) {
        uint8_t *piece = copy_of(bytes, there);
        while (nf_frames_split(&rule, &cursor, piece, there, &frame, 1)) {
            CHECK(seen < count && frame.offset == whole[seen].offset && frame.size == whole[seen].size);
            seen++;
        }
        free(piece);
    }
    CHECK(input.left >= 2000 || seen == count);
    free(whole);
    free(bytes);
    return 0;
}
