/* nf_ip4_rows.c - rows of IPv4 text to integers.
 *
 * The vector form never branches on the data.  A row is loaded so that its text ENDS at byte 15:
 *
 *      byte   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
 *      text   ?  ?  ?  ?  1  9  2  .  1  6  8  .  7  .  4  2        size 12
 *      dots   ?  ?  ?  ?           1           1     1          1   compared, movemask, and a bit behind the last
 *      pattern = dots >> (16 - size): the text's dots and its end, and nothing of what lay in front of it.
 *
 * 81 of the 65,536 patterns can be addresses.  Each picks a shuffle that puts the digits of every octet at fixed places:
 *
 *      byte      0    1     2    3     4    5     6    7   |  8    9    10   11   12   13   14   15
 *      digit   tens ones  tens ones  tens ones  tens ones  | hund lead hund lead hund lead hund lead
 *      wanted  0-9  0-9   ...                              | 0-9  not 0 ...
 *      weight   10   1    ...                              | 100   0   ...
 *
 * "lead" is the first digit of an octet of two or three, which must not be 0, or a dot beside an octet of one, which is
 * not.  A pattern that is no layout selects a shuffle of nothing, whose leads are 0: it fails that same compare.
 */
#include "nf_ip4_rows.h"

#include "nf_ip4.h"
#include "nf_ip6_rows.h"
#include "nf_offsets.h"

nf_left nf_ip4_parse_rows_scalar(nf_rows rows, size_t n, uint32_t *value, uint8_t *holds)
{
    nf_left left = NF_LEFT_NONE;
    for (size_t i = 0; i < n; i++) {
        size_t position;
        value[i] = 0;
        holds[i] = NF_IP4;
        if (nf_ip4_parse(rows.text[i], rows.size[i], &value[i], &position) != NF_OK) {
            holds[i] = nf_may_be_ip6(rows.text[i], rows.size[i]) ? NF_OPEN : NF_NONE;
            left |= holds[i] == NF_OPEN ? NF_LEFT_OPEN | NF_LEFT_SOME : NF_LEFT_SOME;
        }
    }
    return left;
}

nf_left nf_ip4_parse_text32_scalar(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last, uint32_t *value,
                                   uint8_t *holds)
{
    enum { SOME = 64 };
    const uint8_t *text[SOME];
    uint32_t size[SOME];
    nf_left left = NF_LEFT_NONE;
    for (size_t i = 0; i < n && !(left & NF_LEFT_OUTSIDE); i += SOME) {
        size_t some = n - i < SOME ? n - i : SOME;
        if (nf_offset_rows_scalar(data, offsets + 4 * i, some, last, text, size))
            left |= nf_ip4_parse_rows_scalar((nf_rows){text, size}, some, value + i, holds + i);
        else
            left |= NF_LEFT_OUTSIDE;
    }
    return left;
}

#ifdef NF_HAVE_AVX2

#include <immintrin.h>

enum { LAYOUTS = 81, NO_LAYOUT = LAYOUTS, PATTERNS = 1 << 16, SHUFFLE = 16 };

static uint16_t shuffle_of[PATTERNS]; /* where its shuffle begins: the index is scaled once, here, and not in every row */
static uint8_t shuffles[(LAYOUTS + 1) * SHUFFLE];

/* The digits of one octet of the given width that ends at byte `end`; the dot beside it is at `dot`. */
static void lay_octet(uint8_t *shuffle, int k, int width, int end, int dot)
{
    enum { ABSENT = 0x80 };
    shuffle[2 * k] = (uint8_t)(width >= 2 ? end - 1 : ABSENT);
    shuffle[2 * k + 1] = (uint8_t)end;
    shuffle[2 * k + 8] = (uint8_t)(width == 3 ? end - 2 : ABSENT);
    shuffle[2 * k + 9] = (uint8_t)(width >= 2 ? end - width + 1 : dot);
}

void nf_ip4_rows_init(void)
{
    for (int i = 0; i < PATTERNS; i++)
        shuffle_of[i] = NO_LAYOUT * SHUFFLE;
    memset(shuffles + NO_LAYOUT * SHUFFLE, 0x80, SHUFFLE);
    for (int i = 0; i < LAYOUTS; i++) {
        const int width[4] = {i / 27 + 1, i / 9 % 3 + 1, i / 3 % 3 + 1, i % 3 + 1};
        const int size = width[0] + width[1] + width[2] + width[3] + 3;
        unsigned pattern = 1u << size;
        for (int k = 0, end = 15 - size; k < 4; k++) {
            end += width[k] + (k > 0);
            lay_octet(shuffles + i * SHUFFLE, k, width[k], end, k > 0 ? end - width[k] : end + 1);
            if (k < 3)
                pattern |= 1u << (end + 1 - (16 - size));
        }
        shuffle_of[pattern] = (uint16_t)(i * SHUFFLE);
    }
}

typedef struct {
    __m256i value; /* words: tens and ones of four octets, then their hundreds; a row a lane */
    __m256i bad;   /* not zero where a digit is not one */
    __m256i colon; /* not zero where there is one */
} nf_pair;

NF_AVX2 static inline __m256i two_lanes(const uint8_t *a, const uint8_t *b)
{
    return _mm256_loadu2_m128i((const __m128i *)(const void *)b, (const __m128i *)(const void *)a);
}

/* Two rows, one in each half: the 16 bytes that end a text, and the bits in front of it: 16 - size for the first row,
 * 32 - size for the second, whose dots are the upper half of the mask. */
NF_AVX2 static inline nf_pair parse_pair(const uint8_t *a, uint32_t front_a, const uint8_t *b, uint32_t front_b)
{
#define NF_TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
    /* x + bias > limit, with signs: 128 + x above 128 + 9 for digits; for leads only 0 passes 126, as 127. */
    const __m256i bias = NF_TWICE(-128, -128, -128, -128, -128, -128, -128, -128, -128, 127, -128, 127, -128, 127, -128,
                                  127);
    const __m256i limit = NF_TWICE(-119, -119, -119, -119, -119, -119, -119, -119, -119, 126, -119, 126, -119, 126, -119,
                                   126);
    const __m256i weight = NF_TWICE(10, 1, 10, 1, 10, 1, 10, 1, 100, 0, 100, 0, 100, 0, 100, 0);
#undef NF_TWICE
    __m256i text = two_lanes(a, b);
    uint64_t dots = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, _mm256_set1_epi8('.')));
    const uint8_t *shuffle_a = shuffles + shuffle_of[((dots & 0xFFFF) | 0x10000) >> front_a];
    const uint8_t *shuffle_b = shuffles + shuffle_of[(dots | (uint64_t)1 << 32) >> front_b];
    __m256i digits = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    __m256i x = _mm256_shuffle_epi8(digits, two_lanes(shuffle_a, shuffle_b));
    return (nf_pair){_mm256_maddubs_epi16(x, weight), _mm256_cmpgt_epi8(_mm256_add_epi8(x, bias), limit),
                     _mm256_cmpeq_epi8(text, _mm256_set1_epi8(':'))};
}

/* Words of rows k and k+4, and of k+1 and k+5: the halves of each row added. */
NF_AVX2 static inline __m256i add_halves(__m256i x, __m256i y)
{
    return _mm256_add_epi16(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
}

/* Lanes of 64 bits, a row each, in the order 0 1 | 4 5 and 2 3 | 6 7: a word a row, in order, all ones where zero. */
NF_AVX2 static inline __m256i rows_of_zero(__m256i rows01, __m256i rows23)
{
    __m256i zero01 = _mm256_cmpeq_epi64(rows01, _mm256_setzero_si256());
    __m256i zero23 = _mm256_cmpeq_epi64(rows23, _mm256_setzero_si256());
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(zero01), _mm256_castsi256_ps(zero23), 0x88));
}

NF_AVX2 static inline uint32_t row_bits(__m256i words)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(words));
}

/* Bits of eight rows. */
typedef struct {
    uint32_t good, open;
} nf_eight;

/* Eight rows: the 16 bytes that end each, and the sizes.  Invalid rows become 0.
 * Rows k and k+4 share a register, so that packing pairs leaves rows 0 1 | 4 5 and 2 3 | 6 7. */
NF_AVX2 static inline nf_eight parse_eight(const uint8_t *const *last16, __m256i size, uint32_t *value)
{
    const __m256i host_order = _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
                                                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    __m256i too_long = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(15)); /* as if empty: neither is a layout */
    __m256i unseen = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(16));   /* a colon may be further in front */
    uint32_t front[8];
    _mm256_storeu_si256((__m256i *)(void *)front, _mm256_sub_epi32(_mm256_setr_epi32(16, 16, 16, 16, 32, 32, 32, 32),
                                                                   _mm256_andnot_si256(too_long, size)));
    nf_pair p0 = parse_pair(last16[0], front[0], last16[4], front[4]);
    nf_pair p1 = parse_pair(last16[1], front[1], last16[5], front[5]);
    nf_pair p2 = parse_pair(last16[2], front[2], last16[6], front[6]);
    nf_pair p3 = parse_pair(last16[3], front[3], last16[7], front[7]);
    __m256i octets01 = add_halves(p0.value, p1.value), octets23 = add_halves(p2.value, p3.value);
    /* A word above 255 shows in its high byte; a sum with a bad digit may be anything, but then bad is set. */
    __m256i bad01 = _mm256_or_si256(_mm256_packs_epi16(p0.bad, p1.bad), _mm256_srli_epi16(octets01, 8));
    __m256i bad23 = _mm256_or_si256(_mm256_packs_epi16(p2.bad, p3.bad), _mm256_srli_epi16(octets23, 8));
    __m256i good = rows_of_zero(bad01, bad23);
    __m256i no_colon = rows_of_zero(_mm256_packs_epi16(p0.colon, p1.colon), _mm256_packs_epi16(p2.colon, p3.colon));
    __m256i open = _mm256_or_si256(unseen, _mm256_andnot_si256(no_colon, _mm256_set1_epi32(-1)));
    __m256i packed = _mm256_shuffle_epi8(_mm256_packus_epi16(octets01, octets23), host_order);
    _mm256_storeu_si256((__m256i *)(void *)value, _mm256_and_si256(packed, good));
    return (nf_eight){row_bits(good), row_bits(_mm256_andnot_si256(good, open))};
}

/* Keeps what eight rows hold, and what that leaves. */
NF_AVX2 static inline void keep_eight(nf_eight eight, uint8_t *holds, nf_eight *all)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t bytes = _pdep_u64(eight.good, ones * NF_IP4) | _pdep_u64(eight.open, ones * NF_OPEN);
    memcpy(holds, &bytes, 8);
    all->good &= eight.good;
    all->open |= eight.open;
}

static inline nf_left what_is_left(nf_eight all)
{
    return (all.good != 0xFF ? NF_LEFT_SOME : NF_LEFT_NONE) | (all.open ? NF_LEFT_OPEN : NF_LEFT_NONE);
}

NF_AVX2 nf_left nf_ip4_parse_rows_avx2(nf_rows rows, size_t n, uint32_t *value, uint8_t *holds)
{
    size_t i = 0;
    nf_eight all = {0xFF, 0};
    for (; i + 8 <= n; i += 8) {
        const uint8_t *last16[8];
        for (size_t k = 0; k < 8; k++)
            last16[k] = rows.text[i + k] + rows.size[i + k] - 16;
        __m256i size = _mm256_loadu_si256((const __m256i *)(const void *)(rows.size + i));
        keep_eight(parse_eight(last16, size, value + i), holds + i, &all);
    }
    const nf_rows rest = {rows.text + i, rows.size + i};
    return what_is_left(all) | nf_ip4_parse_rows_scalar(rest, n - i, value + i, holds + i);
}

/* Offsets are foreign: eight rows are read after theirs have been checked.  A sign bit anywhere in `outside` is one
 * that is negative, below its neighbour, or past the last. */
NF_AVX2 nf_left nf_ip4_parse_text32_avx2(const uint8_t *data, const uint8_t *offsets, size_t n, int32_t last,
                                         uint32_t *value, uint8_t *holds)
{
    const __m256i most = _mm256_set1_epi32(last);
    size_t i = 0;
    nf_eight all = {0xFF, 0};
    for (; i + 8 <= n; i += 8) {
        const uint8_t *last16[8], *to = offsets + 4 * (i + 1);
        __m256i begin = _mm256_loadu_si256((const __m256i *)(const void *)(offsets + 4 * i));
        __m256i end = _mm256_loadu_si256((const __m256i *)(const void *)to);
        __m256i size = _mm256_sub_epi32(end, begin);
        __m256i outside = _mm256_or_si256(_mm256_or_si256(begin, end), size); /* a size of two wild ones may be positive */
        outside = _mm256_or_si256(outside, _mm256_cmpgt_epi32(end, most));
        if (NF_UNLIKELY(row_bits(outside)))
            return NF_LEFT_OUTSIDE;
        for (size_t k = 0; k < 8; k++)
            last16[k] = data + nf_load_int32(to + 4 * k) - 16;
        keep_eight(parse_eight(last16, size, value + i), holds + i, &all);
    }
    return what_is_left(all) | nf_ip4_parse_text32_scalar(data, offsets + 4 * i, n - i, last, value + i, holds + i);
}

#else

void nf_ip4_rows_init(void) {}

#endif
