/* scan_test.c - every form of the text scan against the strict matcher tried at every place of the text.
 *
 * Texts are exhaustive where that is small (all short ones over what decides), and seeded random otherwise.  Around a
 * text is noise that would make sense as part of an address, or a page that faults; the room for hits is exactly what
 * is promised to be enough, in heap blocks of its own, for AddressSanitizer.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_ip6.h"
#include "nf_policy.h"
#include "nf_rows.h"
#include "nf_scan.h"
#include "nf_text_masks.h"

enum { TEXT_MAX = 8192, HITS_MAX = NF_HITS_FOR(TEXT_MAX), SMALL = 300, NOISE = 256 };

#ifdef __has_feature /* clang's way to say so */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
enum { THOROUGH = 0 };
#else
enum { THOROUGH = 1 };
#endif

typedef struct {
    int64_t offset, line;
    uint8_t length, version, code, packed[16];
} hit;

static size_t scans, found;

/* ---- seeded numbers */

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du >> 16;
}

static size_t below(size_t n)
{
    return (size_t)(draw() % n);
}

/* ---- texts */

static const char LETTERS[] = "0123456789afAFgGxzXZ_:::...%//[]()-,;'\" \t\r\n\n\0\x80\xff";
static const char *const PIECES[] = {
    "1.2.3.4",   "255.255.255.255", "256.1.1.1", "01.2.3.4",  "10.0.0.1", "::1",       "::",       "2001:db8::1",
    "fe80::1%",  "fe80::1%eth0",    "::ffff:",   "1:2:3:4:",  "5:6:7:8",  "1:2:3",     "12:34:56", "::/0",
    "[::]",      "Chrome/",         "Name/",     "localhost", "/24",      ":80",       "IPv6:",    "dead::beefs",
    "abcd:",     "ffff:ffff:",      "1::2::3",   "1.2.3",     ".",        ":",         " ",        "\n",
    "00:1a:2b:", "%25",             "%-",        "x10.0.0.1", "v1.",      "in-addr.arpa", "a",     "7",
};
enum { PIECE_COUNT = sizeof PIECES / sizeof *PIECES };

static uint8_t letter(void)
{
    return (uint8_t)LETTERS[below(sizeof LETTERS - 1)];
}

/* Fills exactly `size` bytes: pieces and letters, or one kind only, or a long name and a long zone. */
static void make_text(uint8_t *text, size_t size)
{
    const size_t kind = below(8), run = 1 + below(70);
    for (size_t i = 0; i < size;) {
        const char *piece = PIECES[below(PIECE_COUNT)];
        size_t n = strlen(piece);
        if (kind == 0 || (kind < 6 && below(3) == 0)) {
            text[i++] = letter();
        } else if (kind == 7 && below(4) == 0) {
            for (size_t k = 0; k < run && i < size; k++)
                text[i++] = (uint8_t)"Aaf0.-"[below(3) ? kind % 3 : below(6)];
        } else {
            n = n < size - i ? n : size - i;
            memcpy(text + i, piece, n);
            i += n;
        }
    }
}

/* ---- comparing */

static void show(const uint8_t *text, size_t size)
{
    for (size_t k = 0; k < size; k++)
        printf(text[k] > 31 && text[k] < 127 && text[k] != '\\' ? "%c" : "\\x%02x", text[k]);
}

static void fail(const char *why, const uint8_t *text, size_t size, size_t got, size_t wanted)
{
    printf("%s (%s): %zu, not %zu, of %zu bytes at %p: \"", why, nf_active->name, got, wanted, size,
           (const void *)text);
    show(text, size);
    printf("\"\n");
    exit(1);
}

static void set_value(hit *h, const uint8_t *text, const nf_match *match)
{
    size_t zone, position;
    if (match->version == 4) {
        nf_pack_ip4(match->v4, h->packed);
        h->code = nf_classify_ip4(match->v4);
        return;
    }
    if (nf_ip6_parse(text, match->plain, h->packed, &zone, &position) != NF_OK || zone != match->plain)
        fail("a match that does not parse", text, match->size, zone, match->plain);
    h->code = nf_classify_ip6(h->packed);
}

/* The matcher at every place, left to right: what the scan must find. */
static size_t find_slowly(const uint8_t *text, size_t size, nf_policy policy, hit *hits)
{
    size_t n = 0, at = 0;
    int64_t line = 1;
    while (at < size) {
        nf_match match;
        if (nf_match_ip4(text, size, at, policy.loose, &match) || nf_match_ip6(text, size, at, &match)) {
            if (policy.find & (match.version == 4 ? NF_FIND_IP4 : NF_FIND_IP6)) {
                hit *h = &hits[n++];
                *h = (hit){.offset = (int64_t)at, .line = line, .length = (uint8_t)match.size,
                           .version = match.version};
                set_value(h, text + at, &match);
            }
            at += match.size;
        } else {
            line += text[at++] == '\n';
        }
    }
    return n;
}

/* Columns with room for exactly so many hits. */
static nf_hits room_for(size_t capacity)
{
    nf_hits hits = {.capacity = capacity};
    hits.offset = malloc(capacity * sizeof *hits.offset);
    hits.line = malloc(capacity * sizeof *hits.line);
    hits.length = malloc(capacity);
    hits.version = malloc(capacity);
    hits.code = malloc(capacity);
    hits.packed = malloc(capacity * 16);
    return hits;
}

static void compare(const char *why, const uint8_t *text, size_t size, const nf_hits *hits, const hit *wanted, size_t n)
{
    for (size_t i = 0; i < hits->n && i < n; i++) {
        const hit *w = &wanted[i];
        if (hits->offset[i] != w->offset)
            fail(why, text, size, (size_t)hits->offset[i], (size_t)w->offset);
        if (hits->line[i] != w->line)
            fail("line", text, size, (size_t)hits->line[i], (size_t)w->line);
        if (hits->length[i] != w->length || hits->version[i] != w->version || hits->code[i] != w->code ||
            memcmp(hits->packed[i], w->packed, 16) != 0)
            fail("value", text, size, hits->length[i], w->length);
    }
    if (hits->n != n)
        fail(why, text, size, hits->n, n);
}

static int64_t count_lines(const uint8_t *text, size_t size)
{
    int64_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

/* One call over the whole text. */
static void scan_whole(const uint8_t *text, size_t size, nf_policy policy, const hit *wanted, size_t n)
{
    nf_hits hits = room_for(NF_HITS_FOR(size));
    nf_place place = {.base = 0, .line = 1};
    const size_t end = nf_scan(text, size, 0, size, policy, &place, &hits);
    if (end != size)
        fail("where the scan ends", text, size, end, size);
    if (place.line != count_lines(text, size))
        fail("lines", text, size, (size_t)place.line, (size_t)count_lines(text, size));
    compare("hits", text, size, &hits, wanted, n);
    nf_hits_free(&hits);
    scans++;
}

/* As a stream is scanned: each call sees, in a heap block of its own, just what it was promised. */
static void scan_in_parts(const uint8_t *text, size_t size, const size_t *cuts, size_t parts, nf_policy policy,
                          const hit *wanted, size_t n)
{
    nf_hits all = room_for(NF_HITS_FOR(size) + 2 * parts);
    nf_place place = {.base = 0, .line = 1};
    size_t at = 0;
    for (size_t p = 0; p < parts; p++) {
        const size_t until = p + 1 < parts ? cuts[p] : size;
        if (at >= until)
            continue;
        const size_t base = at < NF_LOOK_BEHIND ? 0 : at - NF_LOOK_BEHIND;
        const size_t end = size - until < NF_LOOK_AHEAD ? size : until + NF_LOOK_AHEAD;
        uint8_t *window = malloc(end - base);
        memcpy(window, text + base, end - base);
        nf_hits hits = room_for(NF_HITS_FOR(until - at));
        place.base = (int64_t)base;
        at = base + nf_scan(window, end - base, at - base, until - base, policy, &place, &hits);
        for (size_t i = 0; i < hits.n; i++, all.n++) {
            all.offset[all.n] = hits.offset[i];
            all.line[all.n] = hits.line[i];
            all.length[all.n] = hits.length[i];
            all.version[all.n] = hits.version[i];
            all.code[all.n] = hits.code[i];
            memcpy(all.packed[all.n], hits.packed[i], 16);
        }
        nf_hits_free(&hits);
        free(window);
    }
    if (at != size)
        fail("where the parts end", text, size, at, size);
    if (place.line != count_lines(text, size))
        fail("lines of parts", text, size, (size_t)place.line, (size_t)count_lines(text, size));
    compare("hits of parts", text, size, &all, wanted, n);
    nf_hits_free(&all);
    scans += parts;
}

static const nf_policy POLICIES[] = {
    {false, NF_FIND_IP4 | NF_FIND_IP6}, {true, NF_FIND_IP4 | NF_FIND_IP6},
    {false, NF_FIND_IP4},               {false, NF_FIND_IP6},
};
enum { POLICY_COUNT = sizeof POLICIES / sizeof *POLICIES };

/* Every form on a text as it lies; the word policy always, another one sometimes. */
static void check(const uint8_t *text, size_t size)
{
    static hit wanted[HITS_MAX];
    for (int turn = 0; turn < 2; turn++) {
        const nf_policy policy = POLICIES[turn ? 1 + below(POLICY_COUNT - 1) : 0];
        const size_t n = find_slowly(text, size, policy, wanted);
        found += n;
        for (size_t form = 0; nf_kernels_name(form); form++) {
            nf_kernels_use(nf_kernels_name(form));
            scan_whole(text, size, policy, wanted, n);
        }
    }
}

/* ---- masks */

static nf_text_masks *const MASKS[] = {
    nf_text_masks_scalar,
#ifdef NF_HAVE_AVX2
    nf_text_masks_avx2,
#endif
#ifdef NF_HAVE_NEON
    nf_text_masks_neon,
#endif
};

/* Each byte's bits are what the strict parsers take it for; every form makes the same. */
static void test_masks(size_t times)
{
    enum { MOST = 40, EACH = MOST + 1, KINDS = 5 }; /* a guard behind the masks of each kind */
    static uint64_t wanted[KINDS * EACH], got[KINDS * EACH];
    const nf_masks w = {wanted, wanted + EACH, wanted + 2 * EACH, wanted + 3 * EACH, wanted + 4 * EACH};
    const nf_masks g = {got, got + EACH, got + 2 * EACH, got + 3 * EACH, got + 4 * EACH};
    for (size_t k = 0; k < times; k++) {
        const size_t blocks = 1 + below(MOST);
        uint8_t *text = malloc(64 * blocks);
        for (size_t i = 0; i < 64 * blocks; i++)
            text[i] = k % 2 ? (uint8_t)draw() : k < 256 ? (uint8_t)k : letter();
        memset(wanted, 0xA5, sizeof wanted);
        nf_text_masks_scalar(text, blocks, w);
        for (size_t i = 0; i < 64 * blocks; i++) {
            int got_bits = 0;
            for (size_t kind = 0; kind < KINDS; kind++)
                got_bits |= (int)(wanted[kind * EACH + i / 64] >> i % 64 & 1) << kind;
            const int bits = text[i] >= '0' && text[i] <= '9'                                              ? 3
                             : (text[i] >= 'a' && text[i] <= 'f') || (text[i] >= 'A' && text[i] <= 'F') ? 2
                             : text[i] == '.'                                                              ? 4
                             : text[i] == ':'                                                              ? 8
                             : text[i] == '\n'                                                             ? 16
                                                                                                           : 0;
            if (got_bits != bits)
                fail("the bits of a byte", text + i, 1, (size_t)got_bits, (size_t)bits);
        }
        const bool runs = nf_kernels_name(1) != NULL; /* this CPU has the vector form too */
        for (size_t form = 0; form < (runs ? sizeof MASKS / sizeof *MASKS : 1); form++) {
            memset(got, 0xA5, sizeof got);
            MASKS[form](text, blocks, g);
            if (memcmp(got, wanted, sizeof got) != 0)
                fail("masks, or a write behind them", text, 64 * blocks, 0, 0);
        }
        free(text);
    }
}

/* ---- all short texts */

static void test_all(const char *const *pieces, size_t count, size_t most)
{
    uint8_t text[64];
    size_t place[16] = {0};
    for (size_t length = 0; length <= most; length++) {
        memset(place, 0, sizeof place);
        for (;;) {
            size_t size = 0, k = 0;
            for (size_t i = 0; i < length; i++) {
                const size_t n = strlen(pieces[place[i]]);
                memcpy(text + size, pieces[place[i]], n);
                size += n;
            }
            check(text, size);
            while (k < length && ++place[k] == count)
                place[k++] = 0;
            if (k == length)
                break;
        }
    }
}

static void test_short_texts(void)
{
    static const char *const ip6[] = {":", "1", ".", " ", "/", "[", "]", "%", "a"};
    static const char *const ip4[] = {"1.", "22.", "255.", "1", ".", " ", "G", ":", "X/", "\n"};
    static const char *const both[] = {"::1", "1.2.3.4", "::", ":", "1", "f", "%", "/", ".", "1:2:3:4:5:6:"};
    test_all(ip6, sizeof ip6 / sizeof *ip6, THOROUGH ? 6 : 4);
    test_all(ip4, sizeof ip4 / sizeof *ip4, THOROUGH ? 5 : 4);
    test_all(both, sizeof both / sizeof *both, THOROUGH ? 5 : 4);
}

/* ---- everywhere */

static void test_alignments(size_t times)
{
    static uint8_t arena[NOISE + 64 + SMALL + NOISE];
    for (size_t size = 0; size <= SMALL; size++) {
        for (size_t k = 0; k < times; k++) {
            for (size_t align = 0; align < 64; align += 1 + (!THOROUGH ? below(16) : 0)) {
                make_text(arena, sizeof arena);
                make_text(arena + NOISE + align, size);
                check(arena + NOISE + align, size);
            }
        }
    }
}

/* A text that ends where a page that faults begins, or begins where one ends. */
static void test_pages(size_t times)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (TEXT_MAX + page - 1) / page * page;
    uint8_t *const map = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map, page, PROT_NONE) || mprotect(map + page + room, page, PROT_NONE)) {
        perror("mmap");
        exit(1);
    }
    uint8_t *const first = map + page, *const last = map + page + room;
    for (size_t k = 0; k < times; k++) {
        for (size_t size = 0; size <= SMALL; size++) {
            make_text(last - size, size);
            check(last - size, size);
            make_text(first, size);
            check(first, size);
        }
        const size_t size = below(TEXT_MAX);
        make_text(last - size, size);
        check(last - size, size);
        make_text(first, size);
        check(first, size);
    }
    munmap(map, room + 2 * page);
}

static void test_large(size_t times)
{
    static uint8_t text[TEXT_MAX];
    for (size_t k = 0; k < times; k++) {
        const size_t size = below(TEXT_MAX);
        make_text(text, size);
        check(text, size);
    }
}

/* Hits as dense as they come: the room that NF_HITS_FOR promises is enough. */
static void test_dense(void)
{
    static const char *const dense[] = {"::1 ", "::1\n", "1::,", "[::]", "::1%a ", "1.1.1.1 ", "::/0 ", "1:: "};
    static uint8_t text[SMALL];
    for (size_t p = 0; p < sizeof dense / sizeof *dense; p++) {
        for (size_t skip = 0; skip < 4; skip++) {
            for (size_t size = 0; size < SMALL; size++) {
                for (size_t i = 0; i < size; i++)
                    text[i] = (uint8_t)dense[p][(i + skip) % strlen(dense[p])];
                check(text, size);
            }
        }
    }
}

/* Two calls cut at every place, and many calls, equal one. */
static void check_cuts(const uint8_t *text, size_t size, nf_policy policy)
{
    static hit wanted[HITS_MAX];
    static size_t cuts[TEXT_MAX];
    const size_t n = find_slowly(text, size, policy, wanted);
    for (size_t form = 0; nf_kernels_name(form); form++) {
        nf_kernels_use(nf_kernels_name(form));
        for (cuts[0] = 0; cuts[0] <= size; cuts[0]++)
            scan_in_parts(text, size, cuts, 2, policy, wanted, n);
        size_t parts = 0;
        const size_t step = 1 + below(80);
        for (size_t at = below(step); at < size; at += step)
            cuts[parts++] = at;
        scan_in_parts(text, size, cuts, parts + 1, policy, wanted, n);
    }
}

static void test_cuts(size_t times, size_t longest)
{
    static uint8_t text[TEXT_MAX];
    for (size_t k = 0; k < times; k++) {
        const size_t size = 1 + below(longest);
        make_text(text, size);
        check_cuts(text, size, POLICIES[below(POLICY_COUNT)]);
    }
}

/* The longest that the rules look at, in front of an address and behind its first byte, cut at every place. */
#define LETTERS64 "Abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
static void test_longest(void)
{
    static const char *const front[] = {"", "1", " ", "::", "1111:2222:3333:4444:5555:6666:7777:8888 "};
    static const char *const body[] = {
        LETTERS64 "/10.0.0.1",
        "z" LETTERS64 "/10.0.0.1",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%abcdefghijklmno",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
        "1111:2222:3333:4444:5555:6666:7777:8888%abcdefghijklmno",
        "1111:2222:3333:4444:5555:6666:7777::",
        "1111::2222",
        "255.255.255.255",
    };
    static const char *const back[] = {"", "p", ".", ".x", ".. ", ":", ":1", "::", ":8888", "%", "-", "_", ".1.1.1.1"};
    char text[512];
    for (size_t f = 0; f < sizeof front / sizeof *front; f++)
        for (size_t m = 0; m < sizeof body / sizeof *body; m++)
            for (size_t b = 0; b < sizeof back / sizeof *back; b++)
                for (size_t p = 0; p < POLICY_COUNT; p += THOROUGH ? 1 : 3) {
                    const int size = snprintf(text, sizeof text, "%s%s%s", front[f], body[m], back[b]);
                    check_cuts((const uint8_t *)text, (size_t)size, POLICIES[p]);
                }
}

/* Addresses whose dots and colons come late, at every place in a block, cut at every place. */
static void test_late(void)
{
    static const char *const late[] = {"1111:2222:3333:: ", "255.255.255.255 ", "1111:2:3333::4 ", "(ffff:ffff:ffff::)"};
    char text[256];
    for (size_t k = 0; k < sizeof late / sizeof *late; k++)
        for (int before = 0; before < 66; before++) {
            const int size = snprintf(text, sizeof text, "%*s%s", before, "", late[k]);
            check_cuts((const uint8_t *)text, (size_t)size, POLICIES[0]);
        }
}

int main(void)
{
    const size_t scale = THOROUGH ? 10 : 1;
    nf_kernels_use(NULL);
    test_masks(300 * scale);
    test_short_texts();
    test_alignments(THOROUGH ? 3 : 1);
    test_pages(5 * scale);
    test_large(50 * scale);
    test_dense();
    test_longest();
    test_late();
    test_cuts(THOROUGH ? 300 : 50, THOROUGH ? 600 : 300);
    printf("scan: the forms find the %zu addresses of the slow search, in %zu calls\n", found, scans);
    return found ? 0 : 1;
}
