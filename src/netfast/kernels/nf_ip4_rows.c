/* nf_ip4_rows.c - rows of IPv4 text to integers.
 *
 * The vector form never branches on the data.  A row is loaded so that its text ENDS at byte 15:
 *
 *      byte   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
 *      text   ?  ?  ?  ?  1  9  2  .  1  6  8  .  7  .  4  2        size 12
 *      dots                        1           1     1              compared, movemask
 *      start           1                                            the byte in front of the text: 15 - size
 *      layout = dots of the text | start: 4 bits at distances 2..4, so 81 of the 32,768 patterns can be addresses
 *
 * The layout picks a shuffle that puts the digits of every octet at fixed places, and a vector to subtract from them:
 *
 *      byte      0    1     2    3     4    5     6    7   |  8    9    10   11   12   13   14   15
 *      digit   tens ones  tens ones  tens ones  tens ones  | hund lead hund lead hund lead hund lead
 *      minus   '0'  '0'   ...                              | '0'  '1'  ...        (0 where there is no such digit)
 *      limit    9    9    ...                              |  9    8   ...
 *      weight   10   1    ...                              | 100   0   ...
 *
 * "lead" is the first digit of an octet of two or three: minus '1' and at most 8 says it is 1-9, so the one compare
 * that finds foreign bytes finds leading zeros too.  A pattern that is no layout selects a shuffle of nothing and
 * a subtrahend of 1, and so fails that same compare.
 */
#include "nf_ip4_rows.h"

#include "nf_ip4.h"

void nf_ip4_parse_rows_scalar(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict)
{
    for (size_t i = 0; i < n; i++) {
        size_t position;
        value[i] = 0;
        verdict[i] = nf_ip4_parse(rows.text[i], rows.size[i], &value[i], &position) == NF_OK ? NF_ROW_VALID
                                                                                            : NF_ROW_INVALID;
    }
}

#ifdef NF_HAVE_AVX2

#include <immintrin.h>

enum { LAYOUTS = 81, NO_LAYOUT = LAYOUTS, PATTERNS = 1 << 15 };

static uint8_t layout_of[PATTERNS];
static struct {
    uint8_t shuffle[16], minus[16];
} layouts[LAYOUTS + 1];

/* The digits of one octet of the given width that ends at byte `end`. */
static void lay_octet(uint8_t *shuffle, uint8_t *minus, int k, int width, int end)
{
    const struct { int place, used, from, subtract; } digits[4] = {
        {2 * k + 1, 1, end, '0'},
        {2 * k, width >= 2, end - 1, '0'},
        {2 * k + 8, width == 3, end - 2, '0'},
        {2 * k + 9, width >= 2, end - width + 1, '1'},
    };
    for (int d = 0; d < 4; d++) {
        shuffle[digits[d].place] = digits[d].used ? (uint8_t)digits[d].from : 0x80;
        minus[digits[d].place] = digits[d].used ? (uint8_t)digits[d].subtract : 0;
    }
}

void nf_ip4_rows_init(void)
{
    memset(layout_of, NO_LAYOUT, sizeof layout_of);
    memset(layouts[NO_LAYOUT].shuffle, 0x80, 16);
    memset(layouts[NO_LAYOUT].minus, 1, 16);
    for (int i = 0; i < LAYOUTS; i++) {
        const int width[4] = {i / 27 + 1, i / 9 % 3 + 1, i / 3 % 3 + 1, i % 3 + 1};
        unsigned pattern = 0;
        int end = 15;
        for (int k = 3; k >= 0; k--) {
            lay_octet(layouts[i].shuffle, layouts[i].minus, k, width[k], end);
            end -= width[k] + 1;
            pattern |= 1u << (end + 1);
        }
        layout_of[pattern] = (uint8_t)i;
    }
}

/* Dots and size of one row to its layout.  `dots` may have bits from the bytes in front of the text. */
NF_AVX2 static inline unsigned row_layout(uint32_t dots, uint32_t size)
{
    uint32_t front = 0x10000u >> (size & 31);                  /* the first byte of the text */
    uint32_t pattern = (dots & (0u - front)) | front >> 1;     /* its dots, and the byte in front of it */
    pattern = size - 7 < 9 ? pattern : 0;                      /* 7 to 15 characters: a conditional move */
    return layout_of[pattern & (PATTERNS - 1)];
}

typedef struct {
    __m256i value; /* words: tens and ones of four octets, then their hundreds; a row a lane */
    __m256i bad;   /* not zero where a digit is not one */
} nf_pair;

/* Two rows, one in each half. */
NF_AVX2 static inline nf_pair parse_pair(const uint8_t *text_a, uint32_t size_a, const uint8_t *text_b, uint32_t size_b)
{
    const __m256i limit = _mm256_setr_epi8(9, 9, 9, 9, 9, 9, 9, 9, 9, 8, 9, 8, 9, 8, 9, 8,
                                           9, 9, 9, 9, 9, 9, 9, 9, 9, 8, 9, 8, 9, 8, 9, 8);
    const __m256i weight = _mm256_setr_epi8(10, 1, 10, 1, 10, 1, 10, 1, 100, 0, 100, 0, 100, 0, 100, 0,
                                            10, 1, 10, 1, 10, 1, 10, 1, 100, 0, 100, 0, 100, 0, 100, 0);
    __m256i text = _mm256_loadu2_m128i((const __m128i *)(const void *)(text_b + size_b - 16),
                                       (const __m128i *)(const void *)(text_a + size_a - 16));
    uint32_t dots = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, _mm256_set1_epi8('.')));
    unsigned a = row_layout(dots & 0xFFFF, size_a), b = row_layout(dots >> 16, size_b);
    __m256i shuffle = _mm256_loadu2_m128i((const __m128i *)(const void *)layouts[b].shuffle,
                                          (const __m128i *)(const void *)layouts[a].shuffle);
    __m256i minus = _mm256_loadu2_m128i((const __m128i *)(const void *)layouts[b].minus,
                                        (const __m128i *)(const void *)layouts[a].minus);
    __m256i digit = _mm256_sub_epi8(_mm256_shuffle_epi8(text, shuffle), minus);
    return (nf_pair){_mm256_maddubs_epi16(digit, weight), _mm256_subs_epu8(digit, limit)};
}

/* Rows k and k+4 shared a register, so that these unpacks leave rows 0 1 | 4 5 (2 3 | 6 7) in order. */
NF_AVX2 static inline __m256i add_halves(__m256i x, __m256i y)
{
    return _mm256_add_epi16(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
}

NF_AVX2 static inline __m256i or_halves(__m256i x, __m256i y)
{
    return _mm256_or_si256(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
}

/* Eight rows.  *good gets a bit a row; invalid rows become 0. */
NF_AVX2 static inline __m256i parse_eight(const uint8_t *const *text, const uint32_t *size, uint32_t *good)
{
    nf_pair p0 = parse_pair(text[0], size[0], text[4], size[4]);
    nf_pair p1 = parse_pair(text[1], size[1], text[5], size[5]);
    nf_pair p2 = parse_pair(text[2], size[2], text[6], size[6]);
    nf_pair p3 = parse_pair(text[3], size[3], text[7], size[7]);
    __m256i octets01 = add_halves(p0.value, p1.value), octets23 = add_halves(p2.value, p3.value);
    /* A word above 255 shows in its high byte; a sum with a bad digit may be anything, but then bad is set. */
    __m256i bad01 = _mm256_or_si256(or_halves(p0.bad, p1.bad), _mm256_srli_epi16(octets01, 8));
    __m256i bad23 = _mm256_or_si256(or_halves(p2.bad, p3.bad), _mm256_srli_epi16(octets23, 8));
    __m256i good01 = _mm256_cmpeq_epi64(bad01, _mm256_setzero_si256());
    __m256i good23 = _mm256_cmpeq_epi64(bad23, _mm256_setzero_si256());
    __m256i mask = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(good01), _mm256_castsi256_ps(good23), 0x88));
    const __m256i host_order = _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
                                                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    __m256i value = _mm256_shuffle_epi8(_mm256_packus_epi16(octets01, octets23), host_order);
    *good = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
    return _mm256_and_si256(value, mask);
}

NF_AVX2 void nf_ip4_parse_rows_avx2(nf_rows rows, size_t n, uint32_t *value, uint8_t *verdict)
{
    size_t i = 0;
    uint32_t good;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_si256((__m256i *)(void *)(value + i), parse_eight(rows.text + i, rows.size + i, &good));
        uint64_t bytes = _pdep_u64(good, 0x0101010101010101u);
        memcpy(verdict + i, &bytes, 8);
    }
    nf_ip4_parse_rows_scalar((nf_rows){rows.text + i, rows.size + i}, n - i, value + i, verdict + i);
}

#else

void nf_ip4_rows_init(void) {}

#endif
