/* nf_ip6_table.c - builds and checks the tables that nf_ip6_lookup.h draws. */
#include "nf_ip6_table.h"

#include <stdlib.h>

#include "nf_ip6_lookup.h"

enum {
    SLOTS = 65536,
    WIDE = 256,      /* changes from which on a node has all 65,536 slots */
    CACHE_LINE = 64,
    TAIL = 64, /* behind the last object: a line's keys are loaded sixteen at a time */
};

/* From this slot of a window on, this ref. */
typedef struct {
    uint32_t slot;
    int32_t ref;
} change;

typedef struct {
    const nf_runs6 *runs;
    uint8_t *bytes; /* the table so far */
    size_t used, room;
    change *changes; /* a stack: those of a region lie above those of the region around it */
    size_t change_count, change_room;
} builder;

/* ---- room -------------------------------------------------------------------------------------------------------- */

static bool grow(void **memory, size_t *room, size_t wanted, size_t each)
{
    if (wanted <= *room)
        return true;
    const size_t more = wanted + wanted / 2 + 4096;
    void *moved = realloc(*memory, more * each);
    if (!moved)
        return false;
    *memory = moved;
    *room = more;
    return true;
}

/* A place for an object, a multiple of `unit`, that shares a cache line with the first `head` bytes if they fit.
 * SIZE_MAX: memory ran out. */
static size_t place_object(builder *b, size_t size, size_t head, size_t unit)
{
    size_t at = (b->used + unit - 1) / unit * unit;
    if (at / CACHE_LINE != (at + head - 1) / CACHE_LINE)
        at = (at + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    if (!grow((void **)&b->bytes, &b->room, at + size, 1))
        return SIZE_MAX;
    memset(b->bytes + b->used, 0, at + size - b->used);
    b->used = at + size;
    return at;
}

static bool make_region(builder *b, unsigned window, size_t from, size_t to, int32_t before, int32_t *ref);

static bool push(builder *b, uint32_t slot, int32_t ref, size_t bottom)
{
    if (b->change_count > bottom && b->changes[b->change_count - 1].ref == ref)
        return true;
    if (!grow((void **)&b->changes, &b->change_room, b->change_count + 1, sizeof *b->changes))
        return false;
    b->changes[b->change_count++] = (change){slot, ref};
    return true;
}

static int32_t line_ref(size_t at) { return (int32_t)(UINT32_C(3) << 30 | (uint32_t)(at / NF_IP6_LINE_UNIT)); }

static int32_t node_ref(unsigned window, unsigned size, size_t at)
{
    return (int32_t)(UINT32_C(2) << 30 | window << 27 | size << 25 | (uint32_t)(at / NF_IP6_NODE_UNIT));
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* Of changes [from, to); the first one is what holds at the beginning. */
static bool make_line(builder *b, unsigned window, size_t from, size_t to, int32_t *ref)
{
    const unsigned keys = (unsigned)(to - from - 1);
    const size_t head = nf_ip6_line_head(keys), size = head + 4 * (keys + 1);
    const size_t at = place_object(b, size, size < CACHE_LINE ? size : head, NF_IP6_LINE_UNIT);
    if (at == SIZE_MAX || at / NF_IP6_LINE_UNIT >= NF_IP6_LINE_PLACES)
        return false;
    nf_ip6_line *line = (nf_ip6_line *)(b->bytes + at);
    int32_t *refs = (int32_t *)(b->bytes + at + head);
    line->window = (uint8_t)window;
    line->keys = (uint8_t)keys;
    refs[0] = b->changes[from].ref;
    for (unsigned k = 0; k < keys; k++) {
        line->key[k] = (uint16_t)b->changes[from + 1 + k].slot;
        refs[k + 1] = b->changes[from + 1 + k].ref;
    }
    *ref = line_ref(at);
    return true;
}

static const uint8_t rest_of[] = {0, 4, 7, 10}; /* by a node's size: bits of the window that it leaves to lines */

/* The smallest node in which no slot wants more than one line; sixteen slots never do. */
static unsigned size_for(const builder *b, unsigned window, size_t from, size_t to)
{
    if (window == 0 || to - from > WIDE)
        return 0;
    unsigned size = 3;
    for (size_t k = from; k + NF_IP6_KEYS < to; k++)
        while (size > 1 &&
               b->changes[k].slot >> rest_of[size] == b->changes[k + NF_IP6_KEYS].slot >> rest_of[size])
            size--;
    return size;
}

/* Replaces the changes of a region by those of its slots; what varies inside a slot becomes a line. */
static bool gather_slots(builder *b, unsigned window, unsigned rest, size_t from, size_t to)
{
    const size_t bottom = b->change_count;
    for (size_t k = from; k < to;) {
        const uint32_t slot = b->changes[k].slot >> rest;
        const bool starts = (b->changes[k].slot & ((1u << rest) - 1)) == 0;
        const size_t first = starts ? k : k - 1; /* what holds at the slot's beginning */
        size_t end = k + 1;
        while (end < to && b->changes[end].slot >> rest == slot)
            end++;
        int32_t ref = b->changes[first].ref;
        if (end - first > 1 && !make_line(b, window, first, end, &ref))
            return false;
        if (!push(b, slot, ref, bottom))
            return false;
        if (slot + 1 < (uint32_t)SLOTS >> rest && (end == to || b->changes[end].slot >> rest != slot + 1) &&
            !push(b, slot + 1, b->changes[end - 1].ref, bottom))
            return false;
        k = end;
    }
    return true;
}

static bool make_node(builder *b, unsigned window, size_t from, size_t to, unsigned size, int32_t *ref)
{
    const size_t bottom = b->change_count, records = SLOTS / 32 >> rest_of[size];
    if (rest_of[size]) {
        if (!gather_slots(b, window, rest_of[size], from, to))
            return false;
        from = bottom;
        to = b->change_count;
    }
    const size_t head = records * sizeof(nf_ip6_record);
    const size_t at = place_object(b, head + 4 * (to - from), 1, NF_IP6_NODE_UNIT);
    if (at == SIZE_MAX || at / NF_IP6_NODE_UNIT >= NF_IP6_NODE_PLACES)
        return false;
    nf_ip6_record *record = (nf_ip6_record *)(b->bytes + at);
    int32_t *refs = (int32_t *)(record + records);
    uint32_t base = (uint32_t)((at + head) / 4) - 1;
    size_t k = from;
    for (size_t r = 0; r < records; r++) {
        record[r].base = base;
        for (; k < to && b->changes[k].slot / 32 == r; k++, base++) {
            record[r].changes |= 1u << b->changes[k].slot % 32;
            *refs++ = b->changes[k].ref;
        }
    }
    b->change_count = bottom;
    *ref = node_ref(window, size, at);
    return true;
}

/* ---- regions ----------------------------------------------------------------------------------------------------- */

static inline uint32_t window_of(nf_ip6_number a, unsigned window)
{
    return (window < 4 ? a.high >> (48 - 16 * window) : a.low >> (112 - 16 * window)) & 0xffff;
}

/* Nothing but zeros behind that window. */
static inline bool ends_in(nf_ip6_number a, unsigned window)
{
    if (window < 4)
        return a.low == 0 && (window == 3 || (a.high & (UINT64_MAX >> (16 * (window + 1)))) == 0);
    return window == 7 || (a.low & (UINT64_MAX >> (16 * (window - 3)))) == 0;
}

/* The changes of a region inside which the runs [from, to) start; `before` is the answer at its beginning. */
static bool gather_changes(builder *b, unsigned window, size_t from, size_t to, int32_t before)
{
    const nf_runs6 *runs = b->runs;
    const size_t bottom = b->change_count;
    uint32_t resumes = 0; /* where the slot behind a region goes on with `before`, unless a run starts there */
    for (size_t k = from, end; k < to; k = end) {
        const uint32_t slot = window_of(runs->start[k], window);
        if (resumes < slot && !push(b, resumes, before, bottom))
            return false;
        if (ends_in(runs->start[k], window))
            before = runs->answer[k++];
        for (end = k; end < to && window_of(runs->start[end], window) == slot;)
            end++;
        int32_t ref = before;
        if (end > k && !make_region(b, window + 1, k, end, before, &ref))
            return false;
        if (!push(b, slot, ref, bottom))
            return false;
        resumes = end > k ? slot + 1 : SLOTS;
        before = runs->answer[end - 1];
    }
    return resumes >= SLOTS || push(b, resumes, before, bottom);
}

static bool make_region(builder *b, unsigned window, size_t from, size_t to, int32_t before, int32_t *ref)
{
    const size_t bottom = b->change_count;
    if (!gather_changes(b, window, from, to, before))
        return false;
    const size_t top = b->change_count;
    bool fine = true;
    if (top - bottom == 1)
        *ref = b->changes[bottom].ref;
    else if (top - bottom <= NF_IP6_KEYS + 1)
        fine = make_line(b, window, bottom, top, ref);
    else
        fine = make_node(b, window, bottom, top, size_for(b, window, bottom, top), ref);
    b->change_count = bottom;
    return fine;
}

static bool build(const nf_runs6 *runs, nf_table *table)
{
    builder b = {.runs = runs};
    int32_t root = -1;
    bool fine = place_object(&b, sizeof(nf_ip6_header), 1, 1) == 0 &&
                make_region(&b, 0, 1, runs->n, runs->answer[0], &root) &&
                nf_table_new(b.used + TAIL, table);
    if (fine) {
        memcpy(table->bytes, b.bytes, b.used);
        ((nf_ip6_header *)table->bytes)->root = root;
    }
    free(b.bytes);
    free(b.changes);
    return fine;
}

bool nf_ip6_table_build(const nf_ip6_number *address, const uint8_t *length, size_t n, int32_t first, nf_table *table)
{
    nf_runs6 runs;
    if (!nf_runs6_make(address, length, n, first, &runs))
        return false;
    const bool fine = build(&runs, table);
    nf_runs6_free(&runs);
    return fine;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *bytes;
    size_t size, seen; /* seen: bytes of objects; each is there once, so they are no more than there are */
    int32_t first;
    size_t n;
} checker;

static bool check_refs(checker *c, const int32_t *refs, size_t count, unsigned window, bool same);

/* Whether that many bytes lie there, and are new. */
static bool see(checker *c, size_t at, size_t size)
{
    if (at > c->size || size > c->size - at || size > c->size - c->seen)
        return false;
    c->seen += size;
    return true;
}

static bool check_line(checker *c, size_t at, unsigned window)
{
    const nf_ip6_line *line = (const nf_ip6_line *)(c->bytes + at);
    if (at > c->size || c->size - at < sizeof *line + 2 * NF_IP6_KEYS)
        return false;
    if (line->window < window || line->window >= NF_IP6_WINDOWS || line->keys > NF_IP6_KEYS)
        return false;
    const size_t head = nf_ip6_line_head(line->keys);
    return see(c, at, head + 4 * (line->keys + 1u)) &&
           check_refs(c, (const int32_t *)(c->bytes + at + head), line->keys + 1u, line->window + 1u, false);
}

static bool check_node(checker *c, int32_t ref, unsigned window)
{
    const unsigned own = nf_ip6_node_window(ref), rest = nf_ip6_node_rest(ref);
    const size_t at = nf_ip6_node_place(ref), records = SLOTS / 32 >> rest, head = records * sizeof(nf_ip6_record);
    if (own < window || !see(c, at, head))
        return false;
    const nf_ip6_record *record = (const nf_ip6_record *)(c->bytes + at);
    const size_t first = (at + head) / 4;
    size_t next = first;
    for (size_t r = 0; r < records; r++) {
        if (record[r].base != next - 1 || (r == 0 && !(record[r].changes & 1)))
            return false;
        next += nf_count_bits(record[r].changes);
    }
    return see(c, at + head, 4 * (next - first)) &&
           check_refs(c, (const int32_t *)c->bytes + first, next - first, rest ? own : own + 1, rest);
}

static bool check_answer(const checker *c, int32_t ref)
{
    return ref == -1 || (ref >= c->first && (size_t)(ref - c->first) < c->n);
}

/* Each ref is an answer, or an object that decides by `window` or a later one: if `same`, by that one only a line. */
static bool check_refs(checker *c, const int32_t *refs, size_t count, unsigned window, bool same)
{
    for (size_t k = 0; k < count; k++) {
        const int32_t ref = refs[k];
        if (nf_ip6_is_node(ref)   ? !check_node(c, ref, window + same)
            : nf_ip6_is_line(ref) ? !check_line(c, nf_ip6_line_place(ref), window)
                                  : !check_answer(c, ref))
            return false;
    }
    return true;
}

bool nf_ip6_table_check(const uint8_t *bytes, size_t size, int32_t first, size_t n)
{
    checker c = {bytes, size, 0, first, n};
    return first >= 0 && see(&c, 0, sizeof(nf_ip6_header)) &&
           check_refs(&c, &((const nf_ip6_header *)bytes)->root, 1, 0, false);
}
