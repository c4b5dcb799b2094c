/* nf_ip6_rows.c - rows of IPv6 text to network-order bytes.
 *
 * The vector form takes 64 rows through five steps, and no step branches on what is in a row, so that valid, invalid,
 * long, compressed and dotted rows cost much the same:
 *
 *   copy_rows        every text to a slot of its own, where one may read on both sides of it
 *   find_colons      a slot to a mask of its colons
 *   find_ends        four masks at a time: "::" becomes the colons it stands for, so that every address has eight ends
 *   parse_groups     two groups at a time: what ends there are picks a shuffle that lays out their eight digits
 *   parse_ip4_tails  the dotted ends of all rows that have one, gathered, by the IPv4 kernel
 *
 * What is left invalid then is zeroed, and goes to the scalar parser if a "%" says it may have a zone.  Steps over
 * many rows let the stores of one step be over before the loads of the next want them, and run many rows abreast:
 * blocks of 4, 8, 16, 32 and 64 rows ran at 54, 79, 104, 113 and 114 M rows/s (mixed rows in cache, inet_pton 8).
 */
#include "nf_ip6_rows.h"

#include "nf_dispatch.h"
#include "nf_ip6.h"

static inline uint8_t parse_row(const uint8_t *text, size_t size, uint8_t value[16])
{
    size_t zone = 0, position = 0;

    if (nf_ip6_parse(text, size, value, &zone, &position) == NF_OK)
        return zone == size ? NF_IP6 : NF_IP6_ZONED;
    memset(value, 0, 16);
    return NF_NONE;
}

void nf_ip6_parse_rows_scalar(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds)
{
    for (size_t i = 0; i < n; i++)
        holds[i] = parse_row(rows.text[i], rows.size[i], value[i]);
}

#ifdef NF_HAVE_AVX2

#include <immintrin.h>

#include "nf_ip4_rows.h"

enum {
    BLOCK = 64,     /* rows that take the steps together; a bit each in a word */
    LANES = 4,      /* masks to a register: steps take a multiple of it */
    FEW = 3,        /* fewer rows than this are quicker one by one */
    AHEAD = 32,     /* rows from the one copied to the one prefetched */
    FRONT = 16,     /* bytes in front of the text in its slot */
    SEEN = 48,      /* bytes of a row that are looked at; an address has 45 at most, or a "%" among them */
    SLOT = FRONT + SEEN,
    BEHIND = 128    /* bytes behind the last slot: rows that have lost their way read there */
};

typedef struct {
    uint8_t slot[BLOCK * SLOT + BEHIND];
    uint64_t size[BLOCK];      /* of the text in the slot */
    uint64_t dots[BLOCK];      /* bit i: the i-th of the 16 bytes that end the text is a dot */
    uint64_t colons[BLOCK];    /* bit i: byte i of the text is a colon */
    uint64_t above[BLOCK];     /* bits above the last colon */
    uint64_t ends[BLOCK];      /* bit i: a group ends at byte i, "::" filled up; 0 if the colons are wrong */
    uint64_t gap[BLOCK];       /* the bit of the first colon of "::", or 0 */
    uint64_t missing[BLOCK];   /* how far the text behind "::" has moved up in ends; signed */
} nf_block;

NF_AVX2 static inline __m128i load16(const void *bytes)
{
    return _mm_loadu_si128((const __m128i *)bytes);
}

NF_AVX2 static inline __m256i load32(const void *bytes)
{
    return _mm256_loadu_si256((const __m256i *)bytes);
}

NF_AVX2 static inline __m256i load_halves(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(low)), load16(high), 1);
}

NF_AVX2 static inline void store16(void *bytes, __m128i x)
{
    _mm_storeu_si128((__m128i *)bytes, x);
}

NF_AVX2 static inline void store32(void *bytes, __m256i x)
{
    _mm256_storeu_si256((__m256i *)bytes, x);
}

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline uint8_t *slot_text(nf_block *b, size_t i)
{
    return b->slot + i * SLOT + FRONT;
}

/* Three loads of 16 bytes cover a row of any size, and none leaves what nf_rows promises:
 *
 *   size      first         second         tail
 *   0 - 16    the 16 bytes that end the text, three times; what is in front of the text lands in front of it again
 *   17 - 32   0 - 15        the last 16    the last 16
 *   33 - 48   0 - 15        16 - 31        the last 16
 *   more      0 - 15        16 - 31        32 - 47
 *
 * The prefetch is worth 1.1 to 1.4 times where rows lie anywhere in memory, and costs nothing in cache.
 */
NF_AVX2 static inline void copy_rows(nf_block *b, nf_rows rows, size_t n, size_t last)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *const text = rows.text[i];
        uint8_t *const slot = b->slot + i * SLOT;
        const size_t size = smaller(rows.size[i], SEEN), first = smaller(size, 16), second = smaller(size, 32);
        const __m128i tail = load16(text + size - 16);

        NF_PREFETCH(rows.text[smaller(i + AHEAD, last)]);
        store16(slot + first, load16(text + first - 16));
        store16(slot + second, load16(text + second - 16));
        store16(slot + size, tail);
        b->size[i] = size;
        b->dots[i] = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tail, _mm_set1_epi8('.')));
    }
}

/* Where that byte is in the text of a slot. */
NF_AVX2 static inline uint64_t find_byte(nf_block *b, size_t i, char byte)
{
    const uint8_t *const text = slot_text(b, i);
    const __m256i low = _mm256_cmpeq_epi8(load32(text), _mm256_set1_epi8(byte));
    const __m128i high = _mm_cmpeq_epi8(load16(text + 32), _mm_set1_epi8(byte));
    const uint64_t mask = (uint64_t)(uint32_t)_mm_movemask_epi8(high) << 32 | (uint32_t)_mm256_movemask_epi8(low);

    return _bzhi_u64(mask, (unsigned)b->size[i]);
}

NF_AVX2 static inline void find_colons(nf_block *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t colons = find_byte(b, i, ':');

        b->colons[i] = colons;
        b->above[i] = _lzcnt_u64(colons);
    }
}

/* The bits set in each of four words. */
NF_AVX2 static inline __m256i count_bits(__m256i x)
{
    const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                          0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(ones, _mm256_and_si256(x, nibble));
    const __m256i high = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));

    return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

/* All ones where a row has a dotted end: one of the bytes 12 to 14 of its last 16 is a dot, and part of the text. */
NF_AVX2 static inline __m256i has_ip4(const nf_block *b, size_t i)
{
    const __m256i dots = _mm256_and_si256(load32(b->dots + i), _mm256_set1_epi64x(7 << 12));
    const __m256i none = _mm256_cmpeq_epi64(dots, _mm256_setzero_si256());

    return _mm256_andnot_si256(none, _mm256_cmpgt_epi64(load32(b->size + i), _mm256_set1_epi64x(3)));
}

/* Makes "::" the colons it stands for:
 *
 *   text      2 0 0 1 : d b 8 : : 4 2 : 7
 *   ends      . . . . 1 . . . 1 1 . . 1 . 1                5 of 8: the colons, and the end of the text
 *   gap       . . . . . . . . 1
 *   front     . . . . 1                                    ends below the gap
 *   run       . . . . . . . . 1 1 1 1 1                    the two of the gap and 3 more
 *   back      . . . . . . . . . . . . . . . 1 . 1          ends above the gap, 3 higher
 *   filled    . . . . 1 . . . 1 1 1 1 1 . . 1 . 1          8 ends of groups of 4 3 0 0 0 0 2 1 digits
 *
 * Without "::" gap, run and back are 0, and gap - 1 is all ones.  At an edge of the text "::" has an end too many, as
 * in "::2:3:4:5:6:7:8", and -1 are missing: so back goes down by one, then up by missing1 = missing + 1.
 * Compressed rows are as fast as full ones this way (132 and 134 M/s), and the step on four words at a time, not one,
 * is worth 1.4 to 1.5 times all of it.
 */
NF_AVX2 static inline __m256i fill_gap(__m256i ends, __m256i gap, __m256i missing1)
{
    const __m256i one = _mm256_set1_epi64x(1), gap4 = _mm256_slli_epi64(gap, 2);
    const __m256i front = _mm256_and_si256(ends, _mm256_sub_epi64(gap, one));
    const __m256i run = _mm256_sub_epi64(_mm256_sllv_epi64(gap, _mm256_add_epi64(missing1, one)), gap);
    const __m256i above = _mm256_and_si256(ends, _mm256_sub_epi64(_mm256_setzero_si256(), gap4));
    const __m256i back = _mm256_sllv_epi64(_mm256_srli_epi64(above, 1), missing1);

    return _mm256_or_si256(_mm256_or_si256(front, run), back);
}

/* All ones where no colon is out of place: none alone at an edge of the text, one "::" at most, and groups missing
 * where it stands (0 will do; at an edge -1).  That ends without "::" are eight, no more, is the same compare; that
 * they are no fewer shows in parse_groups. */
NF_AVX2 static inline __m256i colons_fit(__m256i colons, __m256i gap, __m256i stop, __m256i missing1)
{
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi64x(1);
    const __m256i both = _mm256_add_epi64(gap, _mm256_add_epi64(gap, gap));
    const __m256i edges = _mm256_or_si256(one, _mm256_srli_epi64(stop, 1));
    const __m256i lone = _mm256_and_si256(_mm256_andnot_si256(both, colons), edges);
    const __m256i second = _mm256_and_si256(gap, _mm256_sub_epi64(gap, one));
    const __m256i regular = _mm256_cmpeq_epi64(_mm256_or_si256(lone, second), zero);
    const __m256i gap_edges = _mm256_or_si256(one, _mm256_srli_epi64(stop, 2));
    const __m256i inside = _mm256_cmpeq_epi64(_mm256_and_si256(gap, gap_edges), zero);      /* -1: not at an edge */
    const __m256i enough = _mm256_cmpgt_epi64(_mm256_add_epi64(missing1, inside), _mm256_set1_epi64x(-1));

    return _mm256_and_si256(regular, enough);
}

/* Colons to ends of groups, four rows at a time; returns which rows have a dotted end.  For them the text is cut behind
 * the last colon, and two empty groups stand in:
 *
 *   text      6 4 : f f 9 b : : 1 9 2 . 0 . 2 . 3 3
 *   colons    . . 1 . . . . 1 1
 *   stop      . . . . . . . . . . 1
 *   ends      . . 1 . . . . 1 1 1 1
 */
NF_AVX2 static inline uint64_t find_ends(nf_block *b, size_t n)
{
    const __m256i one = _mm256_set1_epi64x(1);
    uint64_t ip4_rows = 0;

    for (size_t i = 0; i < n; i += LANES) {
        const __m256i ip4 = has_ip4(b, i), colons = load32(b->colons + i);
        const __m256i behind_ip4 = _mm256_sub_epi64(_mm256_set1_epi64x(65), load32(b->above + i));
        const __m256i stop = _mm256_sllv_epi64(one, _mm256_blendv_epi8(load32(b->size + i), behind_ip4, ip4));
        const __m256i ip4_group = _mm256_and_si256(ip4, _mm256_srli_epi64(stop, 1));
        const __m256i ends = _mm256_or_si256(_mm256_or_si256(colons, stop), ip4_group);
        const __m256i gap = _mm256_and_si256(colons, _mm256_srli_epi64(colons, 1));
        const __m256i missing1 = _mm256_sub_epi64(_mm256_set1_epi64x(9), count_bits(ends));
        const __m256i fit = colons_fit(colons, gap, stop, missing1);

        store32(b->ends + i, _mm256_and_si256(fill_gap(ends, gap, missing1), fit));
        store32(b->gap + i, gap);
        store32(b->missing + i, _mm256_sub_epi64(missing1, one));
        ip4_rows |= (uint64_t)(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(ip4)) << i;
    }
    return ip4_rows;
}

/* The shuffle for two groups, by the ten bits of ends that begin where they begin:
 *
 *   byte      0  1  2  3  4  5  6  7  8  9
 *   text      d  b  8  :  4  2  :  7              the seventh bit ends the pair; what is behind it is any
 *   bits      .  .  .  1  .  .  1  .  1  .
 *   shuffle   -  0  1  2  -  -  4  5              - is 0xb0: a zero byte, and '0' by its low bits (see lay_digits)
 *
 * A group of more than four digits, or an end too few, shuffles eight zero bytes, which no group accepts.
 */
enum { PAIR_BITS = 10, PAIRS = 1 << PAIR_BITS };

#define NF_SHIFT(digits) (8 * (4 - (digits)))
#define NF_GROUP(at, digits)                                                                                           \
    (((0x03020100u + 0x01010101ull * (at)) << NF_SHIFT(digits) & 0xffffffffu) | (0xb0b0b0b0ull >> 8 * (digits)))
#define NF_GROUPS(a, b) (NF_GROUP(0, a) | NF_GROUP((a) + 1, b) << 32)
#define NF_NO_GROUPS 0x8080808080808080u
#define NF_BIT(bits, i) ((bits) >> (i) & 1)
#define NF_SECOND(bits, a)                                                                                             \
    (NF_BIT(bits, a + 1)   ? NF_GROUPS(a, 0)                                                                           \
     : NF_BIT(bits, a + 2) ? NF_GROUPS(a, 1)                                                                           \
     : NF_BIT(bits, a + 3) ? NF_GROUPS(a, 2)                                                                           \
     : NF_BIT(bits, a + 4) ? NF_GROUPS(a, 3)                                                                           \
     : NF_BIT(bits, a + 5) ? NF_GROUPS(a, 4)                                                                           \
                           : NF_NO_GROUPS)
#define NF_PAIR(bits)                                                                                                  \
    (NF_BIT(bits, 0)   ? NF_SECOND(bits, 0)                                                                            \
     : NF_BIT(bits, 1) ? NF_SECOND(bits, 1)                                                                            \
     : NF_BIT(bits, 2) ? NF_SECOND(bits, 2)                                                                            \
     : NF_BIT(bits, 3) ? NF_SECOND(bits, 3)                                                                            \
     : NF_BIT(bits, 4) ? NF_SECOND(bits, 4)                                                                            \
                       : NF_NO_GROUPS)
#define NF_PAIR4(i) NF_PAIR(i), NF_PAIR(i + 1), NF_PAIR(i + 2), NF_PAIR(i + 3)
#define NF_PAIR16(i) NF_PAIR4(i), NF_PAIR4(i + 4), NF_PAIR4(i + 8), NF_PAIR4(i + 12)
#define NF_PAIR64(i) NF_PAIR16(i), NF_PAIR16(i + 16), NF_PAIR16(i + 32), NF_PAIR16(i + 48)
#define NF_PAIR256(i) NF_PAIR64(i), NF_PAIR64(i + 64), NF_PAIR64(i + 128), NF_PAIR64(i + 192)

/* One more than there are pairs, for 16 bytes are loaded where eight are wanted. */
static const uint64_t SHUFFLE[PAIRS + 1] = {NF_PAIR256(0), NF_PAIR256(256), NF_PAIR256(512), NF_PAIR256(768)};

typedef struct {
    const uint8_t *text;       /* where two groups begin */
    const uint64_t *shuffle;
} nf_pair;

/* The pair that begins behind `end`, a bit of ends.  Behind the gap ends has moved up, and text is that much lower. */
NF_AVX2 static inline nf_pair pair_behind(uint64_t end, uint64_t ends, uint64_t gap, const uint8_t *text,
                                          const uint8_t *moved)
{
    const uint64_t at = _tzcnt_u64(end);

    return (nf_pair){(end >= gap ? moved : text) + at + 1, SHUFFLE + (ends >> 1 >> (at & 63) & (PAIRS - 1))};
}

/* The 32 digits of a row.  Pairs 0 and 2 share a register, 1 and 3 another, so that the unpack leaves them in order.
 * If "::" is in front of everything, the first pair begins behind the gap, so to speak. */
NF_AVX2 static inline __m256i lay_digits(nf_block *b, size_t i)
{
    const uint64_t ends = b->ends[i], gap = b->gap[i];
    const uint8_t *const text = slot_text(b, i), *const moved = text - (int64_t)b->missing[i];
    const nf_pair p0 = {gap == 1 ? moved : text, SHUFFLE + (ends & (PAIRS - 1))};
    const nf_pair p1 = pair_behind(_pdep_u64(1 << 1, ends), ends, gap, text, moved);
    const nf_pair p2 = pair_behind(_pdep_u64(1 << 3, ends), ends, gap, text, moved);
    const nf_pair p3 = pair_behind(_pdep_u64(1 << 5, ends), ends, gap, text, moved);
    const __m256i even = load_halves(p0.shuffle, p2.shuffle), odd = load_halves(p1.shuffle, p3.shuffle);
    const __m256i even_digits = _mm256_shuffle_epi8(load_halves(p0.text, p2.text), even);
    const __m256i odd_digits = _mm256_shuffle_epi8(load_halves(p1.text, p3.text), odd);
    const __m256i zeros = _mm256_and_si256(_mm256_unpacklo_epi64(even, odd), _mm256_set1_epi8('0'));

    return _mm256_or_si256(_mm256_unpacklo_epi64(even_digits, odd_digits), zeros);
}

/* The values of hexadecimal digits; above 15 what is none.  "0-9" and "A-Fa-f" are each moved to where saturation cuts
 * off what lies on one side and wrapping throws far what lies on the other; the smaller of both is the value. */
NF_AVX2 static inline __m256i hex_values(__m256i byte)
{
    const __m256i top = _mm256_add_epi8(byte, _mm256_set1_epi8((char)(0xff - '9')));      /* 0xf6 - 0xff */
    const __m256i down = _mm256_subs_epu8(top, _mm256_set1_epi8(6));                      /* 0xf0 - 0xf9 */
    const __m256i digit = _mm256_sub_epi8(down, _mm256_set1_epi8((char)0xf0));            /* 0 - 9 */
    const __m256i upper = _mm256_and_si256(byte, _mm256_set1_epi8((char)~0x20));
    const __m256i letter = _mm256_sub_epi8(upper, _mm256_set1_epi8('A'));                 /* 0 - 5 */

    return _mm256_min_epu8(digit, _mm256_adds_epu8(letter, _mm256_set1_epi8(10)));
}

/* A row is valid if its 32 digits are: every byte of the text is one of them, or a colon that ends a group. */
NF_AVX2 static inline void parse_groups(nf_block *b, size_t n, uint8_t (*value)[16], uint8_t *holds)
{
    const __m256i weight = _mm256_set1_epi16(1 << 8 | 16), no_digit = _mm256_set1_epi8((char)0xf0);

    for (size_t i = 0; i < n; i += 2) {
        const __m256i x = hex_values(lay_digits(b, i)), y = hex_values(lay_digits(b, i + 1));
        const __m256i bytes = _mm256_packus_epi16(_mm256_maddubs_epi16(x, weight), _mm256_maddubs_epi16(y, weight));

        store32(value[i], _mm256_permute4x64_epi64(bytes, 0xd8));      /* x y x y to x x y y */
        holds[i] = (uint8_t)(_mm256_testz_si256(x, no_digit) * NF_IP6);
        holds[i + 1] = (uint8_t)(_mm256_testz_si256(y, no_digit) * NF_IP6);
    }
}

/* Gathered, a dotted end costs 3.4 ns; by nf_ip4_parse, row by row, 13: 1.3 times all of it on mixed rows. */
NF_AVX2 static inline void parse_ip4_tails(nf_block *b, uint64_t which, uint8_t (*value)[16], uint8_t *holds)
{
    enum { STEP = 8 };      /* what the kernel takes at a time */
    const uint8_t *text[BLOCK + STEP];
    uint32_t size[BLOCK + STEP], ip4[BLOCK + STEP];
    uint8_t row[BLOCK], good[BLOCK + STEP];
    size_t n = 0;

    for (; which; which &= which - 1, n++) {
        const size_t i = _tzcnt_u64(which), start = 64 - b->above[i];

        row[n] = (uint8_t)i;
        text[n] = slot_text(b, i) + start;
        size[n] = (uint32_t)(b->size[i] - start);
    }
    for (size_t k = n; k < n + STEP; k++) {
        text[k] = slot_text(b, 0);
        size[k] = 0;
    }
    nf_ip4_parse_rows_avx2((nf_rows){text, size}, (n + STEP - 1) / STEP * STEP, ip4, good);
    for (size_t k = 0; k < n; k++) {
        const uint32_t network_order = __builtin_bswap32(ip4[k]);

        memcpy(value[row[k]] + 12, &network_order, 4);
        holds[row[k]] &= (uint8_t)-(good[k] == NF_IP4);
    }
}

/* Bit i: row i of the block is invalid. */
NF_AVX2 static inline uint64_t invalid_rows(const uint8_t holds[BLOCK])
{
    const __m256i zero = _mm256_setzero_si256();
    const uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(load32(holds), zero));
    const uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(load32(holds + 32), zero));

    return (uint64_t)high << 32 | low;
}

NF_AVX2 static inline void settle_invalid(nf_block *b, nf_rows rows, uint64_t which, uint8_t (*value)[16],
                                          uint8_t *holds)
{
    for (; which; which &= which - 1) {
        const size_t i = _tzcnt_u64(which);

        store16(value[i], _mm_setzero_si128());
        if (find_byte(b, i, '%'))
            holds[i] = parse_row(rows.text[i], rows.size[i], value[i]);
    }
}

/* n rows, a multiple of LANES; value and holds have room for BLOCK.  rows.text[last] is the last there is. */
NF_AVX2 static inline void parse_block(nf_block *b, nf_rows rows, size_t n, size_t last, uint8_t (*value)[16],
                                       uint8_t *holds)
{
    copy_rows(b, rows, n, last);
    find_colons(b, n);
    const uint64_t ip4_rows = find_ends(b, n);
    parse_groups(b, n, value, holds);
    if (ip4_rows)
        parse_ip4_tails(b, ip4_rows, value, holds);
    const uint64_t invalid = invalid_rows(holds) & ~(uint64_t)0 >> (BLOCK - n);
    if (invalid)
        settle_invalid(b, rows, invalid, value, holds);
}

/* Fewer rows than a block has. */
NF_AVX2 static void parse_last(nf_block *b, nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds)
{
    static const uint8_t nothing[16];
    const uint8_t *text[BLOCK];
    uint32_t size[BLOCK];
    uint8_t values[BLOCK][16], some_holds[BLOCK] = {0};
    const size_t all = (n + LANES - 1) / LANES * LANES;

    for (size_t i = 0; i < all; i++) {
        text[i] = i < n ? rows.text[i] : nothing + sizeof nothing;
        size[i] = i < n ? rows.size[i] : 0;
    }
    parse_block(b, (nf_rows){text, size}, all, all - 1, values, some_holds);
    memcpy(value, values, n * sizeof values[0]);
    memcpy(holds, some_holds, n);
}

NF_AVX2 void nf_ip6_parse_rows_avx2(nf_rows rows, size_t n, uint8_t (*value)[16], uint8_t *holds)
{
    nf_block block;
    size_t i = 0;

    if (n >= FEW)
        memset(block.slot, 0, smaller(n + LANES, BLOCK) * SLOT + BEHIND);
    for (; i + BLOCK <= n; i += BLOCK)
        parse_block(&block, (nf_rows){rows.text + i, rows.size + i}, BLOCK, n - i - 1, value + i, holds + i);
    const nf_rows rest = {rows.text + i, rows.size + i};
    if (n - i < FEW)
        nf_ip6_parse_rows_scalar(rest, n - i, value + i, holds + i);
    else
        parse_last(&block, rest, n - i, value + i, holds + i);
}

#endif
