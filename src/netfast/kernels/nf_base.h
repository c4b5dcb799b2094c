/* nf_base.h - what every kernel shares: verdicts, row spans and instruction-set attributes.
 *
 * Kernels are plain C11 without Python.h.  They return a status and write through pointers; a length travels with
 * every pointer; nothing relies on a NUL and nothing reads outside the bytes it was promised.
 */
#ifndef NF_BASE_H
#define NF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define NF_HAVE_AVX2 1
/* Put on whole loops and on the static helpers they inline: never on a function that plain code is to inline. */
#define NF_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#endif

#if defined(__aarch64__) && defined(__ARM_NEON)
#define NF_HAVE_NEON 1
#endif

#define NF_LIKELY(x) __builtin_expect(!!(x), 1)
#define NF_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NF_PREFETCH(p) __builtin_prefetch((p), 0, 3)

/* Memory that need not be aligned, in the order of this machine and in network order. */
static inline int32_t nf_load_int32(const void *p)
{
    int32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline int64_t nf_load_int64(const void *p)
{
    int64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline uint32_t nf_load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* How many bits are set.  The built-in is a call where a CPU need not have the instruction, as on plain x86-64. */
static inline uint32_t nf_count_bits(uint32_t x)
{
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    return ((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101u >> 24;
}

/* Why a text is not an address.  The scalar parsers say which and where; the row kernels only say "no". */
typedef enum {
    NF_OK = 0,
    NF_EMPTY,            /* nothing there */
    NF_BAD_CHARACTER,    /* a byte no address of this family has */
    NF_OCTET_COUNT,      /* not four octets */
    NF_OCTET_EMPTY,      /* two dots side by side, or one at an end */
    NF_OCTET_LONG,       /* more than three digits */
    NF_OCTET_ZERO,       /* a leading zero: octal to some, decimal to others */
    NF_OCTET_RANGE,      /* above 255 */
    NF_GROUP_COUNT,      /* not eight groups, or "::" standing for none */
    NF_GROUP_LONG,       /* more than four hexadecimal digits */
    NF_COLON_LONE,       /* one colon at an end */
    NF_COLON_DOUBLE,     /* a second "::", or ":::" */
    NF_ZONE_EMPTY,       /* "%" with nothing behind it */
    NF_ZONE_CHARACTER,   /* "%" or "/" inside a zone id */
    NF_REASONS           /* how many there are */
} nf_reason;

/* What a row holds: one byte.  NF_OPEN is an answer on the way: no IPv4 address, and not yet known whether IPv6. */
enum { NF_NONE = 0, NF_OPEN = 1, NF_IP4 = 4, NF_IP6 = 6, NF_IP6_ZONED = 0x86 };

/* A column of packed addresses: 16 network-order bytes a row. */
typedef uint8_t (*nf_packed)[16];

/* Rows of text: row i is the size[i] bytes at text[i].
 *
 * PROMISE made by whoever builds the rows: the 16 bytes that END at text[i] + size[i] may be read, whatever the size.
 * (A str or bytes object has a header in front of its characters, a column has the row before; only the first few
 * rows of a buffer need a padded copy.)  Nothing behind text[i] + size[i] may be read, and when size[i] > 16 nothing
 * in front of text[i] either.
 */
typedef struct {
    const uint8_t *const *text;
    const uint32_t *size;
} nf_rows;

#endif
