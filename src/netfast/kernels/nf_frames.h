/* nf_frames.h - frames in a stream of bytes: each behind its length, or in front of a delimiter.
 *
 *   a prefix of 2 bytes   | 00 05 | h e l l o | 00 00 | 00 02 | h i |      "hello", "", "hi"
 *   the delimiter "\n"    | h e l l o \n | \n | h i \n |
 */
#ifndef NF_FRAMES_H
#define NF_FRAMES_H

#include "nf_base.h"

enum { NF_DELIMITER_MAX = 16 };

typedef struct {
    uint8_t prefix;         /* bytes of the length in front: 1, 2, 4, 8; 0: there is a delimiter */
    bool little_endian;
    uint8_t delimiter_size;
    uint8_t delimiter[NF_DELIMITER_MAX];
    uint64_t max_frame;     /* bytes of the largest frame that is taken */
} nf_frame_rule;

typedef struct {
    size_t offset, size;    /* without prefix and delimiter */
} nf_frame;

typedef struct {
    size_t at;              /* where the next frame begins */
    size_t searched;        /* behind `at`: bytes in which no delimiter begins */
    uint64_t length;        /* of the frame at `at`, as its prefix says */
    bool too_large;         /* it is over max_frame; nothing more is taken */
} nf_frame_cursor;

/* Takes up to `room` whole frames out of bytes, from the cursor on; how many. */
size_t nf_frames_split(const nf_frame_rule *rule, nf_frame_cursor *cursor, const uint8_t *bytes, size_t size,
                       nf_frame *frames, size_t room);

/* The prefix of a frame of a size. */
void nf_frame_prefix(const nf_frame_rule *rule, uint64_t size, uint8_t *prefix);

/* Where a delimiter begins, from a place on; `size` if it is nowhere as a whole. */
size_t nf_frame_delimiter(const nf_frame_rule *rule, const uint8_t *bytes, size_t from, size_t size);

/* Whether one would begin in the last bytes of a frame and end in the one behind it: "a" in front of "aa". */
bool nf_frame_overlaps_delimiter(const nf_frame_rule *rule, const uint8_t *bytes, size_t size);

#endif
