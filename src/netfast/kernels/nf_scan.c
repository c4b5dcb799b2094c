/* nf_scan.c - masks of 64 bytes of text to candidates, and those to the strict matcher.
 *
 * An IPv4 address holds three dots, each between digits, with one to three digits from one to the next:
 *
 *      text     G E T   1 9 2 . 1 6 8 . 7 . 4 2   v 1 . 2
 *      digit            1 1 1   1 1 1   1   1 1     1   1
 *      dotted                 1       1   1             .      dot & digit << 1 & digit >> 1 (here 1.2 too)
 *      linked                 1       1                        the next one is 2, 3 or 4 on, digits between
 *      chain                  1                                and it is linked itself: the first of three
 *
 * An IPv6 address holds "::", or at least six colons with one to four hexadecimal digits from one to the next; a time
 * of day has two or three, so chains of four colons are looked at.
 *
 * Bits ahead of a block come from the masks of the one behind it, so there are no seams within a call.
 */
#include "nf_scan.h"

#include <stdlib.h>

#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_ip6.h"
#include "nf_memory.h"
#include "nf_policy.h"
#include "nf_rows.h"
#include "nf_text.h"
#include "nf_text_masks.h"

enum {
    BLOCK = 64,
    SPAN = 32,         /* blocks whose masks are made at once */
    REACH = 64,        /* a candidate may lie this far behind the first byte of its address */
    GROUPS_SIZE = 40,  /* and the colons of an IPv6 address lie within this */
    LONG_CHAIN = 4,
};

/* ---- masks to candidates --------------------------------------------------------------------------------------- */

/* The bits k places ahead. */
static inline uint64_t ahead(uint64_t here, uint64_t next, int k) { return here >> k | next << (BLOCK - k); }

/* A bit that is set k places ahead, k = 2..4, with digits all the way; position 1 and position k-1 are known to be. */
static inline uint64_t step_octet(uint64_t here, uint64_t next, uint64_t digit2)
{
    return ahead(here, next, 2) | ahead(here, next, 3) | (ahead(here, next, 4) & digit2);
}

/* `before` is 1 if the byte in front of the block is a digit. */
static inline uint64_t ip4_candidates(const nf_masks *here, const nf_masks *next, uint64_t before)
{
    uint64_t dotted = here->dot & (here->digit << 1 | before) & ahead(here->digit, next->digit, 1);
    uint64_t dotted_next = next->dot & (next->digit << 1 | here->digit >> 63) & (next->digit >> 1 | (uint64_t)1 << 63);
    uint64_t digit2 = ahead(here->digit, next->digit, 2), digit2_next = next->digit >> 2;
    uint64_t linked = dotted & step_octet(dotted, dotted_next, digit2);
    uint64_t linked_next = dotted_next & step_octet(dotted_next, 0, digit2_next);
    return linked & step_octet(linked, linked_next, digit2);
}

/* Positions in `colon` from which a bit of `here` is set 2 to 5 places ahead, hexadecimal digits between. */
static inline uint64_t step_group(uint64_t here, uint64_t next, uint64_t hex, uint64_t hex_next)
{
    uint64_t found = 0, run = ~(uint64_t)0;
    for (int k = 1; k <= 4; k++) {
        run &= ahead(hex, hex_next, k);
        found |= run & (k < 4 ? ahead(here, next, k + 1) : here >> 5 | next << 59);
    }
    return found;
}

static inline uint64_t ip6_candidates(const nf_masks *here, const nf_masks *next)
{
    uint64_t doubled = here->colon & ahead(here->colon, next->colon, 1);
    uint64_t near = next->colon & (((uint64_t)1 << 5 * (LONG_CHAIN - 1)) - 1);
    if (NF_LIKELY(__builtin_popcountll(here->colon) + __builtin_popcountll(near) < LONG_CHAIN))
        return doubled;
    uint64_t chain = here->colon, chain_next = next->colon;
    for (int k = 1; k < LONG_CHAIN; k++) {
        chain = here->colon & step_group(chain, chain_next, here->hex, next->hex);
        chain_next = next->colon & step_group(chain_next, 0, next->hex, 0);
    }
    return doubled | chain;
}

/* ---- candidates to addresses ----------------------------------------------------------------------------------- */

enum { PENDING = 64, IN_FRONT = 16 };

/* IPv6 addresses found and not yet parsed: the row parsers are several times faster than one at a time. */
typedef struct {
    size_t n;
    const uint8_t *text[PENDING];
    uint32_t size[PENDING];
    size_t hit[PENDING];
} nf_pending;

typedef struct {
    const uint8_t *text;
    size_t size, until;
    size_t next;       /* an address may start from here on */
    size_t next_ip6;   /* places before this have been tried for IPv6 */
    nf_policy policy;
    int64_t base;
    nf_hits *hits;
    nf_pending pending;
} nf_search;

static inline void put_ip6(nf_hits *hits, size_t hit, const uint8_t packed[16])
{
    memcpy(hits->packed[hit], packed, 16);
    hits->code[hit] = nf_classify_ip6(packed);
}

static void parse_pending(nf_search *search)
{
    nf_pending *pending = &search->pending;
    uint8_t packed[PENDING][16], holds[PENDING];
    nf_active->ip6_parse_rows((nf_rows){pending->text, pending->size}, pending->n, packed, holds);
    for (size_t k = 0; k < pending->n; k++)
        put_ip6(search->hits, pending->hit[k], packed[k]);
    pending->n = 0;
}

static void keep_ip6(nf_search *search, size_t start, size_t size, size_t hit)
{
    nf_pending *pending = &search->pending;
    if (start + size < IN_FRONT) { /* rows need so much in front of their end */
        uint8_t packed[16];
        size_t zone, position;
        nf_ip6_parse(search->text + start, size, packed, &zone, &position);
        put_ip6(search->hits, hit, packed);
        return;
    }
    pending->text[pending->n] = search->text + start;
    pending->size[pending->n] = (uint32_t)size;
    pending->hit[pending->n++] = hit;
    if (pending->n == PENDING)
        parse_pending(search);
}

static inline void keep(nf_search *search, size_t start, const nf_match *match, int64_t line)
{
    nf_hits *hits = search->hits;
    size_t n = hits->n;
    search->next = start + match->size;
    if (!(search->policy.find & (match->version == 4 ? NF_FIND_IP4 : NF_FIND_IP6)))
        return;
    hits->offset[n] = search->base + (int64_t)start;
    hits->line[n] = line;
    hits->length[n] = (uint8_t)match->size;
    hits->version[n] = match->version;
    hits->n = n + 1;
    if (match->version == 4) {
        hits->code[n] = nf_classify_ip4(match->v4);
        nf_pack_ip4(match->v4, hits->packed[n]);
    } else {
        keep_ip6(search, start, match->plain, n);
    }
}

/* An address whose first dot is at `dot`. */
static inline void look_ip4(nf_search *search, size_t dot, int64_t line)
{
    nf_match match;
    size_t start = dot;
    while (start > 0 && dot - start < 3 && nf_is_digit(search->text[start - 1]))
        start--;
    if (start >= search->next && start < search->until &&
        nf_match_ip4(search->text, search->size, start, search->policy.loose, &match))
        keep(search, start, &match, line);
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
            keep(search, start, &match, line);
            break;
        }
    }
    search->next_ip6 = start < colon ? start + 1 : colon + 1;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

/* The masks of `blocks` blocks from `at` on; what lies behind the text counts as NUL. */
static void make_masks(const uint8_t *text, size_t size, size_t at, size_t blocks, nf_masks *masks,
                       nf_text_masks *text_masks)
{
    size_t whole = at < size ? (size - at) / BLOCK : 0;
    if (whole > blocks)
        whole = blocks;
    text_masks(text + at, whole, masks);
    if (whole < blocks)
        memset(masks + whole, 0, (blocks - whole) * sizeof *masks);
    at += whole * BLOCK;
    if (whole < blocks && at < size) {
        uint8_t padded[BLOCK] = {0};
        memcpy(padded, text + at, size - at);
        text_masks(padded, 1, masks + whole);
    }
}

static inline uint64_t below(size_t n) { return n < BLOCK ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0; }

/* Inlined into every form: the bit work is the same source, but compiles to the form's own instructions (without popcnt
 * a call for every block). */
static inline __attribute__((always_inline)) size_t scan(const uint8_t *text, size_t size, size_t from, size_t until,
                                                         nf_policy policy, nf_place *place, nf_hits *hits,
                                                         nf_text_masks *text_masks)
{
    nf_masks masks[SPAN + 1];
    nf_search search = {.text = text, .size = size, .until = until, .next = from, .next_ip6 = from,
                        .policy = policy, .base = place->base, .hits = hits, .pending.n = 0};
    size_t end = size - until < REACH ? size : until + REACH;
    uint64_t before = 0; /* no address of this call has its first digit in front of `from` */
    for (size_t span = from; span < end; span += SPAN * BLOCK) {
        size_t blocks = (end - span + BLOCK - 1) / BLOCK;
        if (blocks > SPAN)
            blocks = SPAN;
        make_masks(text, size, span, blocks + 1, masks, text_masks);
        for (size_t b = 0; b < blocks; b++) {
            size_t at = span + b * BLOCK;
            uint64_t newline = at < until ? masks[b].newline & below(until - at) : 0;
            uint64_t ip4 = ip4_candidates(&masks[b], &masks[b + 1], before);
            before = masks[b].digit >> 63;
            uint64_t ip6 = ip6_candidates(&masks[b], &masks[b + 1]);
            for (uint64_t left = ip4 | ip6; left; left &= left - 1) {
                int bit = __builtin_ctzll(left);
                int64_t line = place->line + __builtin_popcountll(newline & below((size_t)bit));
                if (ip4 >> bit & 1)
                    look_ip4(&search, at + (size_t)bit, line);
                else
                    look_ip6(&search, at + (size_t)bit, line);
            }
            place->line += __builtin_popcountll(newline);
        }
    }
    if (search.pending.n)
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
