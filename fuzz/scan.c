/* scan.c - every form of the text scan, in one call and in two, against the strict matcher tried at every place; and
 * every form of the text masks. */
#include "fuzz.h"
#include "nf_classify.h"
#include "nf_ip6.h"
#include "nf_policy.h"
#include "nf_rows.h"
#include "nf_scan.h"
#include "nf_text_masks.h"

enum { TEXT_MAX = 1 << 14 };

typedef struct {
    int64_t offset, line;
    size_t length;
    uint8_t version, code, packed[16];
} hit;

static size_t find_slowly(const uint8_t *text, size_t size, nf_policy policy, hit *hits)
{
    size_t n = 0, at = 0, zone, position;
    int64_t line = 1;
    while (at < size) {
        nf_match match;
        if (!nf_match_ip4(text, size, at, policy.loose, &match) && !nf_match_ip6(text, size, at, &match)) {
            line += text[at++] == '\n';
            continue;
        }
        CHECK(match.plain > 0 && match.plain <= match.size && match.size <= size - at && match.size < 62);
        if (policy.find & (match.version == 4 ? NF_FIND_IP4 : NF_FIND_IP6)) {
            hit *h = &hits[n++];
            *h = (hit){(int64_t)at, line, match.size, match.version, 0, {0}};
            if (match.version == 4)
                nf_pack_ip4(match.v4, h->packed);
            else
                CHECK(nf_ip6_parse(text + at, match.plain, h->packed, &zone, &position) == NF_OK &&
                      zone == match.plain);
            h->code = match.version == 4 ? nf_classify_ip4(match.v4) : nf_classify_ip6(h->packed);
        }
        at += match.size;
    }
    return n;
}

static nf_hits room_for(size_t capacity)
{
    return (nf_hits){exactly(8 * capacity), exactly(8 * capacity), exactly(capacity), exactly(capacity),
                     exactly(capacity), exactly(16 * capacity), 0, capacity};
}

static void check_hits(const nf_hits *hits, const hit *wanted)
{
    for (size_t i = 0; i < hits->n; i++) {
        CHECK(hits->offset[i] == wanted[i].offset && hits->length[i] == wanted[i].length);
        CHECK(hits->line[i] == wanted[i].line);
        CHECK(hits->version[i] == wanted[i].version && hits->code[i] == wanted[i].code);
        CHECK(memcmp(hits->packed[i], wanted[i].packed, 16) == 0);
    }
}

/* One call of a stream: it sees what it was promised, and has room for as many hits as it was promised to find. */
static size_t scan_part(const uint8_t *text, size_t size, size_t from, size_t until, nf_policy policy,
                        nf_place *place, const hit *wanted, size_t *n)
{
    const size_t base = from < NF_LOOK_BEHIND ? 0 : from - NF_LOOK_BEHIND;
    const size_t end = size - until < NF_LOOK_AHEAD ? size : until + NF_LOOK_AHEAD;
    uint8_t *window = copy_of(text + base, end - base);
    nf_hits hits = room_for(NF_HITS_FOR(until - from));
    place->base = (int64_t)base;
    const size_t next = base + nf_scan(window, end - base, from - base, until - base, policy, place, &hits);
    CHECK(next >= until && next <= size);
    check_hits(&hits, wanted + *n);
    *n += hits.n;
    nf_hits_free(&hits);
    free(window);
    return next;
}

static nf_masks masks_at(uint64_t *m, size_t n)
{
    return (nf_masks){m, m + n, m + 2 * n, m + 3 * n, m + 4 * n};
}

static void check_masks(const uint8_t *text, size_t size)
{
    static nf_text_masks *const forms[] = {
#ifdef NF_HAVE_AVX2
        nf_text_masks_avx2,
#endif
#ifdef NF_HAVE_NEON
        nf_text_masks_neon,
#endif
        nf_text_masks_scalar,
    };
    const size_t blocks = size / 64;
    uint8_t *whole = copy_of(text, 64 * blocks);
    const size_t kinds = 5;
    uint64_t *wanted = exactly(kinds * blocks * sizeof *wanted), *got = exactly(kinds * blocks * sizeof *got);
    nf_text_masks_scalar(whole, blocks, masks_at(wanted, blocks));
    for (size_t form = nf_kernels_name(1) ? 0 : sizeof forms / sizeof *forms - 1;
         form < sizeof forms / sizeof *forms; form++) {
        forms[form](whole, blocks, masks_at(got, blocks));
        CHECK(memcmp(got, wanted, kinds * blocks * sizeof *got) == 0);
    }
    free(whole);
    free(wanted);
    free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hit wanted[NF_HITS_FOR(TEXT_MAX)];
    nf_kernels_use(NULL);
    if (size < 3 || size > TEXT_MAX)
        return 0;
    const nf_policy policy = {data[0] & 1, 1 + (data[0] >> 1) % 3};
    uint8_t *text = as_text(data + 3, size -= 3, "0123456789abfG_::::......%/ [](,;\"\n\x80");
    const size_t cut = (size_t)(data[1] << 8 | data[2]) % (size + 1);
    const size_t n = find_slowly(text, size, policy, wanted);
    FOR_EACH_FORM(form) {
        nf_place whole = {0, 1}, parts = {0, 1};
        size_t found = 0, at = 0;
        if (size)
            CHECK(scan_part(text, size, 0, size, policy, &whole, wanted, &found) == size);
        CHECK(found == n);
        found = 0;
        if (cut)
            at = scan_part(text, size, 0, cut, policy, &parts, wanted, &found);
        if (at < size)
            CHECK(scan_part(text, size, at, size, policy, &parts, wanted, &found) == size);
        CHECK(found == n && parts.line == whole.line);
    }
    check_masks(text, size);
    free(text);
    return 0;
}
