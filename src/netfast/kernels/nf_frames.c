/* nf_frames.c - frames out of a stream, and what stands around them. */
#define _GNU_SOURCE
#include "nf_frames.h"

static uint64_t length_of(const nf_frame_rule *rule, const uint8_t *prefix)
{
    uint64_t length = 0;
    for (int i = 0; i < rule->prefix; i++)
        length = length << 8 | prefix[rule->little_endian ? rule->prefix - 1 - i : i];
    return length;
}

void nf_frame_prefix(const nf_frame_rule *rule, uint64_t size, uint8_t *prefix)
{
    for (int i = 0; i < rule->prefix; i++, size >>= 8)
        prefix[rule->little_endian ? i : rule->prefix - 1 - i] = (uint8_t)size;
}

/* Whether there is a whole frame at the cursor. */
static bool next_prefixed(const nf_frame_rule *rule, nf_frame_cursor *c, const uint8_t *bytes, size_t size,
                          nf_frame *frame)
{
    const size_t left = size - c->at;
    if (left < rule->prefix)
        return false;
    c->length = length_of(rule, bytes + c->at);
    c->too_large = c->length > rule->max_frame;
    if (c->too_large || left - rule->prefix < c->length)
        return false;
    *frame = (nf_frame){c->at + rule->prefix, (size_t)c->length};
    return true;
}

size_t nf_frame_delimiter(const nf_frame_rule *rule, const uint8_t *bytes, size_t from, size_t size)
{
    if (size - from < rule->delimiter_size)
        return size; /* and `bytes` may be NULL */
    const uint8_t *found = memmem(bytes + from, size - from, rule->delimiter, rule->delimiter_size);
    return found ? (size_t)(found - bytes) : size;
}

static bool next_delimited(const nf_frame_rule *rule, nf_frame_cursor *c, const uint8_t *bytes, size_t size,
                           nf_frame *frame)
{
    const size_t left = size - c->at;
    const size_t end = nf_frame_delimiter(rule, bytes, c->at + c->searched, size);
    const size_t length = end < size ? end - c->at : left;
    /* Without a delimiter yet, the last bytes may be the beginning of one. */
    const size_t sure = end < size ? length : length < rule->delimiter_size ? 0 : length - rule->delimiter_size + 1;
    if (sure > rule->max_frame) {
        c->too_large = true;
        return false;
    }
    c->searched = sure;
    *frame = (nf_frame){c->at, length};
    return end < size;
}

size_t nf_frames_split(const nf_frame_rule *rule, nf_frame_cursor *c, const uint8_t *bytes, size_t size,
                       nf_frame *frames, size_t room)
{
    size_t count = 0;
    while (count < room && !c->too_large) {
        nf_frame *frame = frames + count;
        if (rule->prefix ? !next_prefixed(rule, c, bytes, size, frame) : !next_delimited(rule, c, bytes, size, frame))
            break;
        c->at = frame->offset + frame->size + rule->delimiter_size;
        c->searched = 0;
        count++;
    }
    return count;
}

bool nf_frame_overlaps_delimiter(const nf_frame_rule *rule, const uint8_t *bytes, size_t size)
{
    /* The end of the frame, and all but the last byte of the delimiter: what is whole in there begins in the frame. */
    const size_t length = rule->delimiter_size, end = size < length - 1 ? size : length - 1;
    uint8_t seam[2 * NF_DELIMITER_MAX];
    memcpy(seam, bytes + size - end, end);
    memcpy(seam + end, rule->delimiter, length - 1);
    return nf_frame_delimiter(rule, seam, 0, end + length - 1) < end + length - 1;
}
