/* nf_scan.c - places where an address may be, to addresses.
 *
 * Masks of a span of text (nf_text_masks) leave a few candidates (nf_candidates.h).  What stands around a candidate is
 * looked at here, the strict rules of nf_policy decide, and the addresses are parsed many at a time by the row parsers:
 * digit by digit every octet would be a mispredicted branch, a third of the whole time.
 */
#include "nf_scan.h"

#include <stdlib.h>

#include "nf_candidates.h"
#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_ip6.h"
#include "nf_memory.h"
#include "nf_policy.h"
#include "nf_rows.h"
#include "nf_text.h"

enum {
    BLOCK = 64,
    REACH = 64,        /* a candidate may lie this far behind the first byte of its address */
    GROUPS_SIZE = 40,  /* and the colons of an IPv6 address lie within this */
    PENDING = 256,     /* of which a tenth may be IPv6, whose parser wants some dozens */
    IN_FRONT = 16,     /* rows need so much in front of their end */
};

/* ---- addresses found -------------------------------------------------------------------------------------------- */

/* Addresses of both families in order, and the rows of each.  Those of IPv4 may turn out to be none (1.2.3.999). */
typedef struct {
    size_t n, n4, n6;
    size_t start[PENDING];
    int64_t line[PENDING];
    uint8_t size[PENDING], version[PENDING];
    const uint8_t *text4[PENDING], *text6[PENDING];
    uint32_t size4[PENDING], size6[PENDING];
} nf_pending;

typedef struct {
    const uint8_t *text;
    size_t size, until;
    size_t next;       /* an address may start from here on */
    size_t next_ip6;   /* places before this have been tried for IPv6 */
    nf_policy policy;
    uint8_t word;      /* the classes of bytes that go on a word at either side of IPv4 */
    int64_t base;
    nf_hits *hits;
    nf_pending pending;
} nf_search;

static inline void put(nf_search *search, size_t start, size_t size, uint8_t version, int64_t line, uint8_t code,
                       const uint8_t packed[16])
{
    nf_hits *hits = search->hits;
    const size_t n = hits->n++;
    hits->offset[n] = search->base + (int64_t)start;
    hits->line[n] = line;
    hits->length[n] = (uint8_t)size;
    hits->version[n] = version;
    hits->code[n] = code;
    memcpy(hits->packed[n], packed, 16);
    if (start + size > search->next)
        search->next = start + size;
}

static void parse_pending(nf_search *search)
{
    nf_pending *p = &search->pending;
    uint32_t v4[PENDING];
    uint8_t packed4[16], packed6[PENDING][16], holds4[PENDING], holds6[PENDING], code4[PENDING], code6[PENDING];
    nf_active->ip4_parse_rows((nf_rows){p->text4, p->size4}, p->n4, v4, holds4);
    nf_classify_ip4_column(v4, holds4, p->n4, code4);
    if (p->n6) {
        nf_active->ip6_parse_rows((nf_rows){p->text6, p->size6}, p->n6, packed6, holds6);
        nf_classify_ip6_column((const uint8_t(*)[16])packed6, p->n6, code6);
    }
    size_t k4 = 0, k6 = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->version[i] == 6) {
            put(search, p->start[i], p->size[i], 6, p->line[i], code6[k6], packed6[k6]);
            k6++;
        } else if (holds4[k4++] == NF_IP4) {
            nf_pack_ip4(v4[k4 - 1], packed4);
            put(search, p->start[i], p->size[i], 4, p->line[i], code4[k4 - 1], packed4);
        }
    }
    p->n = p->n4 = p->n6 = 0;
}

static inline void keep(nf_search *search, size_t start, size_t size, uint8_t version, int64_t line)
{
    nf_pending *p = &search->pending;
    const size_t n = p->n++;
    p->start[n] = start;
    p->line[n] = line;
    p->size[n] = (uint8_t)size;
    p->version[n] = version;
    if (p->n == PENDING)
        parse_pending(search);
}

static inline void keep_ip4(nf_search *search, size_t start, size_t size, int64_t line)
{
    nf_pending *p = &search->pending;
    p->text4[p->n4] = search->text + start;
    p->size4[p->n4++] = (uint32_t)size;
    keep(search, start, size, 4, line);
}

static void keep_ip6(nf_search *search, size_t start, const nf_match *match, int64_t line)
{
    nf_pending *p = &search->pending;
    search->next = start + match->size;
    if (!(search->policy.find & NF_FIND_IP6))
        return;
    if (start + match->plain >= IN_FRONT) {
        p->text6[p->n6] = search->text + start;
        p->size6[p->n6++] = (uint32_t)match->plain;
        keep(search, start, match->size, 6, line);
        return;
    }
    uint8_t packed[16];
    size_t zone, position;
    parse_pending(search); /* hits stay in order */
    nf_ip6_parse(search->text + start, match->plain, packed, &zone, &position);
    put(search, start, match->size, 6, line, nf_classify_ip6(packed), packed);
}

/* ---- candidates to addresses ------------------------------------------------------------------------------------ */

/* The lowest bit that is set; any where none is. */
static inline unsigned lowest(uint64_t bits) { return (unsigned)__builtin_ctzll(bits | (uint64_t)1 << (BLOCK - 1)); }

static inline uint64_t below(size_t n) { return n < BLOCK ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0; }

/* How many digits end in front of a bit, three at most. */
static inline size_t digits_before(const uint64_t *digit, unsigned bit)
{
    const uint64_t before = digit[0] << 1 << (BLOCK - 1 - bit) | digit[-1] >> bit; /* the nearest is the top one */
    const size_t run = (size_t)__builtin_clzll(~before | 1);
    return run < 3 ? run : 3;
}

/* How far behind a bit the third run of digits ends; there is one byte between two runs. */
static inline size_t three_runs(const uint64_t *digit, unsigned bit)
{
    uint64_t stops = ~(digit[0] >> 1 >> bit | digit[1] << (BLOCK - 1 - bit));
    stops &= stops - 1;
    stops &= stops - 1;
    return lowest(stops);
}

/* Where the text begins and ends there is no room for the quick way. */
static void look_ip4_at_edge(nf_search *search, size_t start, int64_t line)
{
    nf_match match;
    uint8_t packed[16];
    if (!nf_match_ip4(search->text, search->size, start, search->policy.loose, &match))
        return;
    parse_pending(search);
    nf_pack_ip4(match.v4, packed);
    put(search, start, match.size, 4, line, nf_classify_ip4(match.v4), packed);
}

/* An address whose first dot is `bit` of the block at `at`; `digit` has the block's mask, those beside it around it. */
static inline void look_ip4(nf_search *search, size_t at, unsigned bit, const uint64_t *digit, int64_t line)
{
    const size_t dot = at + bit, start = dot - digits_before(digit, bit), end = dot + 1 + three_runs(digit, bit);
    if (start < search->next || start >= search->until || !(search->policy.find & NF_FIND_IP4))
        return;
    if (start == 0 || end < IN_FRONT || end + 1 >= search->size) {
        look_ip4_at_edge(search, start, line);
        return;
    }
    const uint8_t before = search->text[start - 1], behind = search->text[end + (search->text[end] == '.')];
    if ((before == '.') | ((nf_byte_class[before] | nf_byte_class[behind]) & search->word) | (end - start > 15))
        return;
    if (before == '/' && !search->policy.loose && nf_is_version(search->text, search->size, start, end))
        return;
    keep_ip4(search, start, end - start, line);
}

/* A run of colons and hexadecimal digits around a bit: how much of it lies in front, and from there on the colons. */
typedef struct {
    size_t front, size;
    uint64_t colons;
} nf_run;

static inline nf_run run_around(const uint64_t *hex, const uint64_t *colon, unsigned bit)
{
    const uint64_t here = hex[0] | colon[0], last = hex[-1] | colon[-1], next = hex[1] | colon[1];
    const uint64_t before = here << 1 << (BLOCK - 1 - bit) | last >> bit; /* the nearest is the top one */
    const uint64_t behind = here >> bit | next << 1 << (BLOCK - 1 - bit);
    const size_t front = (size_t)__builtin_clzll(~before | 1);
    const uint64_t colons = colon[0] >> bit | colon[1] << 1 << (BLOCK - 1 - bit);
    const uint64_t colons_before = colon[0] << 1 << (BLOCK - 1 - bit) | colon[-1] >> bit;
    const size_t size = front + lowest(~behind);
    return (nf_run){front, size, front ? colons << front | colons_before >> (BLOCK - front) : colons};
}

/* Whether a run as a whole is an address without a dotted end: groups of one to four digits, eight of them or fewer
 * and one "::".  False where it may still hold one. */
static inline bool run_is_ip6(nf_run run)
{
    if (run.size < 3 || run.size > GROUPS_SIZE)
        return false;
    const uint64_t colons = run.colons & below(run.size), digits = ~colons & below(run.size);
    const uint64_t gap = colons & colons >> 1, top = (uint64_t)1 << (run.size - 1);
    const int groups = __builtin_popcountll(digits & ~(digits << 1)), gaps = __builtin_popcountll(gap);
    const bool long_group = digits & digits >> 1 & digits >> 2 & digits >> 3 & digits >> 4;
    const bool lone_colon = (colons & ~gap & 1) || (colons & top & ~(gap << 1));
    return !long_group && !lone_colon && (gaps == 0 ? groups == 8 : gaps == 1 && groups < 8);
}

/* The usual address, between bytes that end it for sure; false: it takes a closer look. */
static inline bool look_ip6_run(nf_search *search, size_t at, unsigned bit, const uint64_t *hex, const uint64_t *colon,
                                int64_t line)
{
    const nf_run run = run_around(hex, colon, bit);
    const size_t start = at + bit - run.front, end = start + run.size;
    if (!run_is_ip6(run) || start < search->next || start < search->next_ip6 || start == 0 || end >= search->size)
        return false;
    const uint8_t before = search->text[start - 1], behind = search->text[end];
    if (before == ':' || before == '.' || behind == '.' || behind == '%' || nf_is_word(before) || nf_is_word(behind))
        return false;
    if (start < search->until)
        keep_ip6(search, start, &(nf_match){.size = run.size, .plain = run.size, .version = 6}, line);
    search->next_ip6 = end;
    return true;
}

/* An address that holds the colon at `colon`, all in front of which is colons and hexadecimal digits.  A place is
 * tried once, whatever the number of candidates behind it. */
static void look_ip6(nf_search *search, size_t colon, int64_t line)
{
    nf_match match;
    size_t low = search->next > search->next_ip6 ? search->next : search->next_ip6, start = colon;
    while (start > low && colon - start < GROUPS_SIZE &&
           (nf_is_hex(search->text[start - 1]) || search->text[start - 1] == ':'))
        start--;
    if (start < low)
        start = low;
    for (; start <= colon && start < search->until; start++) {
        if (nf_match_ip6(search->text, search->size, start, &match)) {
            keep_ip6(search, start, &match, line);
            break;
        }
    }
    search->next_ip6 = start < colon ? start + 1 : colon + 1;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static inline nf_masks masks_from(nf_span *span, size_t b)
{
    return (nf_masks){span->digit + b, span->hex + b, span->dot + b, span->colon + b, span->newline + b};
}

static void clear_masks(nf_span *span, size_t b, size_t n)
{
    memset(span->digit + b, 0, n * sizeof(uint64_t));
    memset(span->hex + b, 0, n * sizeof(uint64_t));
    memset(span->dot + b, 0, n * sizeof(uint64_t));
    memset(span->colon + b, 0, n * sizeof(uint64_t));
    memset(span->newline + b, 0, n * sizeof(uint64_t));
}

/* The masks of `blocks` blocks from `at` on; what lies behind the text counts as NUL. */
static void make_masks(const uint8_t *text, size_t size, size_t at, size_t blocks, nf_span *span,
                       nf_text_masks *text_masks)
{
    size_t whole = at < size ? (size - at) / BLOCK : 0;
    if (whole > blocks)
        whole = blocks;
    text_masks(text + at, whole, masks_from(span, 1));
    at += whole * BLOCK;
    if (whole == blocks)
        return;
    clear_masks(span, 1 + whole, blocks - whole);
    if (at < size) {
        uint8_t padded[BLOCK] = {0};
        memcpy(padded, text + at, size - at);
        text_masks(padded, 1, masks_from(span, 1 + whole));
    }
}

/* New lines from `until` on are not this call's: it is `bytes` into the span. */
static void drop_newlines(nf_span *span, size_t blocks, size_t bytes)
{
    for (size_t b = bytes / BLOCK; b < blocks; b++)
        span->newline[b + 1] &= b * BLOCK < bytes ? below(bytes - b * BLOCK) : 0;
}

/* The candidates of a span, in order, as bits from its first on; lines[b] gets the number of block b's first line.
 * Two are written whether or not there are so many: most blocks have none or one, and which is a coin toss. */
static inline size_t list_candidates(const nf_span *span, size_t blocks, int64_t *line, uint16_t *places,
                                     int64_t *lines)
{
    size_t n = 0;
    for (size_t b = 0; b < blocks; b++) {
        uint64_t left = span->ip4[b + 1] | span->ip6[b + 1];
        const size_t count = (size_t)__builtin_popcountll(left), first = b * BLOCK;
        places[n] = (uint16_t)(first + lowest(left));
        left &= left - 1;
        places[n + 1] = (uint16_t)(first + lowest(left));
        for (size_t k = 2; k < count; k++) {
            left &= left - 1;
            places[n + k] = (uint16_t)(first + lowest(left));
        }
        n += count;
        lines[b] = *line;
        *line += __builtin_popcountll(span->newline[b + 1]);
    }
    return n;
}

/* Inlined into every form: the bit work is the same source, but compiles to the form's own instructions. */
static inline __attribute__((always_inline)) size_t scan(const uint8_t *text, size_t size, size_t from, size_t until,
                                                         nf_policy policy, nf_place *place, nf_hits *hits,
                                                         nf_text_masks *text_masks)
{
    nf_span span;
    uint16_t places[NF_SPAN * BLOCK + 2];
    int64_t lines[NF_SPAN];
    nf_search search;
    search.text = text, search.size = size, search.until = until, search.next = search.next_ip6 = from;
    search.policy = policy, search.base = place->base, search.hits = hits;
    search.word = NF_DIGIT | NF_UNDERSCORE | (policy.loose ? 0 : NF_LETTER);
    search.pending.n = search.pending.n4 = search.pending.n6 = 0;
    size_t end = size - until < REACH ? size : until + REACH;
    span.digit[0] = span.hex[0] = span.colon[0] = 0; /* no address of this call has its first digit in front of `from` */
    for (size_t at = from; at < end; at += NF_SPAN * BLOCK) {
        size_t blocks = (end - at + BLOCK - 1) / BLOCK;
        if (blocks > NF_SPAN)
            blocks = NF_SPAN;
        make_masks(text, size, at, blocks + 1, &span, text_masks);
        if (NF_UNLIKELY(at + blocks * BLOCK > until))
            drop_newlines(&span, blocks, at < until ? until - at : 0);
        nf_find_ip4(&span, blocks);
        nf_find_ip6(&span, blocks);
        const size_t n = list_candidates(&span, blocks, &place->line, places, lines);
        for (size_t k = 0; k < n; k++) {
            const size_t b = places[k] / BLOCK;
            const unsigned bit = places[k] % BLOCK;
            const int64_t line = lines[b] + __builtin_popcountll(span.newline[b + 1] & below(bit));
            if (span.ip4[b + 1] >> bit & 1)
                look_ip4(&search, at + b * BLOCK, bit, &span.digit[b + 1], line);
            else if (!look_ip6_run(&search, at + b * BLOCK, bit, &span.hex[b + 1], &span.colon[b + 1], line))
                look_ip6(&search, at + places[k], line);
        }
        span.digit[0] = span.digit[blocks];
        span.hex[0] = span.hex[blocks];
        span.colon[0] = span.colon[blocks];
    }
    parse_pending(&search);
    return search.next > until ? search.next : until;
}

size_t nf_scan_scalar(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                      nf_hits *hits)
{
    return scan(text, size, from, until, policy, place, hits, nf_text_masks_scalar);
}

#ifdef NF_HAVE_AVX2
NF_AVX2 size_t nf_scan_avx2(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy,
                            nf_place *place, nf_hits *hits)
{
    return scan(text, size, from, until, policy, place, hits, nf_text_masks_avx2);
}
#endif

#ifdef NF_HAVE_NEON
size_t nf_scan_neon(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
                    nf_hits *hits)
{
    return scan(text, size, from, until, policy, place, hits, nf_text_masks_neon);
}
#endif

size_t nf_scan(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy, nf_place *place,
               nf_hits *hits)
{
    return nf_active->scan(text, size, from, until, policy, place, hits);
}

/* ---- room for hits --------------------------------------------------------------------------------------------- */

static bool resize(void *column, size_t item, size_t capacity)
{
    void **memory = column;
    void *moved = realloc(*memory, item * capacity);
    if (moved) {
        *memory = moved;
        nf_advise_large(moved, item * capacity);
    }
    return moved != NULL;
}

static bool resize_all(nf_hits *hits, size_t capacity)
{
    if (!(resize(&hits->offset, sizeof *hits->offset, capacity) && resize(&hits->line, sizeof *hits->line, capacity) &&
          resize(&hits->length, sizeof *hits->length, capacity) &&
          resize(&hits->version, sizeof *hits->version, capacity) &&
          resize(&hits->code, sizeof *hits->code, capacity) &&
          resize(&hits->packed, sizeof *hits->packed, capacity)))
        return false;
    hits->capacity = capacity;
    return true;
}

bool nf_hits_reserve(nf_hits *hits, size_t more, size_t expected)
{
    if (hits->capacity - hits->n >= more)
        return true;
    size_t least = hits->capacity + hits->capacity / 2;
    if (least < hits->n + more)
        least = hits->n + more;
    if (expected > more && least < hits->n + expected && resize_all(hits, hits->n + expected))
        return true;
    return resize_all(hits, least); /* there may be no room for what is only expected */
}

void nf_hits_free(nf_hits *hits)
{
    free(hits->offset);
    free(hits->line);
    free(hits->length);
    free(hits->version);
    free(hits->code);
    free(hits->packed);
    *hits = (nf_hits){0};
}
