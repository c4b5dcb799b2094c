/* ip4_rows_test.c - every form of ip4_parse_rows against the scalar one, and the scalar one against inet_pton; then
 * columns of every layout, on every form, against the parsers of one address.
 *
 * What is read is watched: around a row stands noise that would make sense as part of an address, and rows and the
 * buffers of columns end (or start) where a page that faults begins (or ends), or fill a heap block of their own, for
 * AddressSanitizer.  What is written is watched by guard bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nf_classify.h"
#include "nf_column.h"
#include "nf_dispatch.h"
#include "nf_ip4.h"
#include "nf_ip4_rows.h"
#include "nf_ip6.h"
#include "nf_rows.h"

enum { ROWS = 4096, TEXT_MAX = 200, CELL = 64 + 64 + TEXT_MAX + 64, GUARDED = 150, REACH = 16, GUARD = 0xA5 };

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
enum { SCALE = 1 };
#else
enum { SCALE = 10 };
#endif

static const char ALPHABET[] = "0123456789.... :/\0\xff-";
enum { LETTERS = sizeof ALPHABET - 1 };

static struct {
    size_t n;
    const uint8_t *text[ROWS];
    uint32_t size[ROWS];
    bool known[ROWS];            /* a valid address whose value is expected[] */
    uint32_t expected[ROWS];
    uint8_t arena[ROWS * CELL];
} batch;

static size_t total, valid, forms, columns;

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

static uint8_t letter(void)
{
    return (uint8_t)ALPHABET[below(LETTERS)];
}

/* ---- comparing rows */

static void show(const uint8_t *text, size_t size)
{
    for (size_t k = 0; k < size && k < 200; k++)
        printf(text[k] > 31 && text[k] < 127 ? "%c" : "\\x%02x", text[k]);
}

static void fail(const char *why, size_t i, unsigned got, unsigned wanted)
{
    printf("%s: row %zu of %zu, %u bytes: \"", why, i, batch.n, (unsigned)batch.size[i]);
    show(batch.text[i], batch.size[i]);
    printf("\": %x, not %x\n", got, wanted);
    exit(1);
}

/* What comes out of one form; guard bytes show a write past the end. */
typedef struct {
    uint8_t before[64];
    uint32_t value[ROWS + 16];
    uint8_t between[64], holds[ROWS + 64];
} answers;

static void ask(nf_left (*parse)(nf_rows, size_t, uint32_t *, uint8_t *), answers *a)
{
    nf_left left = NF_LEFT_NONE;

    memset(a, GUARD, sizeof *a);
    const nf_left told = parse((nf_rows){batch.text, batch.size}, batch.n, a->value, a->holds);
    for (size_t i = 0; i < batch.n; i++) {
        left |= a->holds[i] != NF_IP4 ? NF_LEFT_SOME : NF_LEFT_NONE;
        left |= a->holds[i] == NF_OPEN ? NF_LEFT_OPEN : NF_LEFT_NONE;
    }
    if (told != left)
        fail("what is left", batch.n - 1, told, left);
    for (size_t k = 0; k < 64; k++)
        if (a->before[k] != GUARD || a->between[k] != GUARD || a->holds[batch.n + k] != GUARD)
            fail("a write outside the answers", batch.n - 1, (unsigned)k, 0);
    for (size_t k = 0; k < 16; k++)
        if (a->value[batch.n + k] != 0xA5A5A5A5u)
            fail("a write behind the values", batch.n - 1, (unsigned)k, 0);
}

/* inet_pton wants a NUL at the end. */
static void compare_with_libc(size_t i, const answers *scalar)
{
    char text[TEXT_MAX + 1];
    uint32_t value = 0;

    if (batch.size[i] > TEXT_MAX || memchr(batch.text[i], 0, batch.size[i]))
        return;
    memcpy(text, batch.text[i], batch.size[i]);
    text[batch.size[i]] = 0;
    const int good = inet_pton(AF_INET, text, &value) == 1;
    if ((scalar->holds[i] == NF_IP4) != good)
        fail("scalar against inet_pton", i, scalar->holds[i], (unsigned)good);
    if (good && scalar->value[i] != ntohl(value))
        fail("value of scalar against inet_pton", i, scalar->value[i], ntohl(value));
}

/* The parser of one address says where it stopped, and writes nothing unless it is one. */
static void compare_with_one(size_t i, const answers *scalar)
{
    uint32_t value = 0x5A5A5A5Au;
    size_t position = (size_t)-1;
    const nf_reason reason = nf_ip4_parse(batch.text[i], batch.size[i], &value, &position);

    if ((reason == NF_OK) != (scalar->holds[i] == NF_IP4))
        fail("one against many", i, reason, scalar->holds[i]);
    if (reason != NF_OK && (value != 0x5A5A5A5Au || position > batch.size[i] || reason >= NF_REASONS))
        fail("position of the byte to blame", i, (unsigned)position, batch.size[i]);
}

static void check_scalar(const answers *scalar)
{
    for (size_t i = 0; i < batch.n; i++) {
        compare_with_libc(i, scalar);
        compare_with_one(i, scalar);
        if (batch.known[i] && scalar->holds[i] != NF_IP4)
            fail("a valid row", i, scalar->holds[i], NF_IP4);
        if (batch.known[i] && scalar->value[i] != batch.expected[i])
            fail("value of a valid row", i, scalar->value[i], batch.expected[i]);
        if (scalar->holds[i] != NF_IP4 && scalar->value[i] != 0)
            fail("value of an invalid row", i, scalar->value[i], 0);
        valid += scalar->holds[i] == NF_IP4;
    }
}

/* What is no IPv4 address may be called open or not, but IPv6 must be. */
static void compare_forms(const char *name, size_t i, const answers *scalar, const answers *other)
{
    uint8_t value[16];
    size_t zone, position;

    if ((scalar->holds[i] == NF_IP4) != (other->holds[i] == NF_IP4))
        fail(name, i, other->holds[i], scalar->holds[i]);
    if (scalar->value[i] != other->value[i])
        fail("value against scalar", i, other->value[i], scalar->value[i]);
    if (other->holds[i] == NF_IP4 || other->holds[i] == NF_OPEN)
        return;
    if (other->holds[i] != NF_NONE || nf_ip6_parse(batch.text[i], batch.size[i], value, &zone, &position) == NF_OK)
        fail("a row that may be IPv6", i, other->holds[i], NF_OPEN);
}

static void check_batch(void)
{
    static answers scalar, other;

    ask(nf_ip4_parse_rows_scalar, &scalar);
    check_scalar(&scalar);
    forms = 0;
    for (const char *name; (name = nf_kernels_name(forms)) != NULL; forms++) {
        nf_kernels_use(name);
        ask(nf_active->ip4_parse_rows, &other);
        for (size_t i = 0; i < batch.n; i++)
            compare_forms(name, i, &scalar, &other);
    }
    total += batch.n;
}

static void flush(void)
{
    check_batch();
    memset(batch.known, 0, sizeof batch.known);
    batch.n = 0;
}

/* Adds a row amid noise, at an alignment of its own. */
static void add(const uint8_t *text, size_t size)
{
    uint8_t *const place = batch.arena + batch.n * CELL + 64 + below(64);

    for (size_t k = 1; k <= 16; k++) {
        place[0 - k] = letter();
        place[size + k - 1] = letter();
    }
    memcpy(place, text, size);
    batch.text[batch.n] = place;
    batch.size[batch.n] = (uint32_t)size;
    if (++batch.n == ROWS)
        flush();
}

static void add_known(const char *text, uint32_t value)
{
    batch.known[batch.n] = true;
    batch.expected[batch.n] = value;
    add((const uint8_t *)text, strlen(text));
}

/* ---- making texts */

typedef struct {
    uint8_t text[TEXT_MAX];
    size_t size;
} row;

static void put(row *r, const char *text)
{
    const size_t size = strlen(text);

    memcpy(r->text + r->size, text, size);
    r->size += size;
}

static row any_ip4(void)
{
    char text[20];
    row r = {.size = 0};

    snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(draw() & 255) >> below(8), (unsigned)(draw() & 255) >> below(8),
             (unsigned)(draw() & 255) >> below(8), (unsigned)(draw() & 255) >> below(8));
    put(&r, text);
    return r;
}

static row any_ip6(void)
{
    char text[8];
    row r = {.size = 0};
    const size_t groups = below(2) ? 8 : 1 + below(7), gap = groups == 8 ? 9 : below(groups + 1);
    const bool dotted = groups > 2 && below(4) == 0;

    for (size_t i = 0; i < groups - 2 * dotted; i++) {
        put(&r, i == gap ? "::" : i ? ":" : "");
        snprintf(text, sizeof text, below(2) ? "%x" : "%04X", (unsigned)(draw() & 0xffff) >> 4 * below(4));
        put(&r, text);
    }
    if (dotted) {
        const row tail = any_ip4();
        put(&r, gap == groups - 2 ? "::" : ":");
        memcpy(r.text + r.size, tail.text, tail.size);
        r.size += tail.size;
    } else if (gap == groups) {
        put(&r, "::");
    }
    return r;
}

static row any_garbage(size_t size)
{
    row r = {.size = size};

    for (size_t k = 0; k < size; k++)
        r.text[k] = letter();
    return r;
}

static void mutate(row *r)
{
    const size_t at = below(r->size + 1);
    uint8_t *const place = r->text + at;

    switch (below(4)) {
    case 0:
        memmove(place + 1, place, r->size - at);
        *place = letter();
        r->size++;
        break;
    case 1:
        if (at < r->size) {
            memmove(place, place + 1, r->size - at - 1);
            r->size--;
        }
        break;
    default:
        if (at < r->size)
            *place = letter();
    }
}

static row any_row(void)
{
    row r = below(8) ? any_ip4() : any_garbage(below(65));

    for (size_t k = below(4); k > 1; k--)
        mutate(&r);
    return r;
}

/* Of either family, with zones long and short. */
static row any_text(void)
{
    row r = below(3) ? any_row() : any_ip6();

    if (below(6) == 0) {
        put(&r, "%");
        for (size_t size = below(4) ? below(12) : below(130); size > 0; size--)
            r.text[r.size++] = below(30) ? 'z' : letter();
    }
    if (below(4) == 0)
        mutate(&r);
    return r;
}

/* ---- the tests of rows */

/* Every text of up to `longest` of these letters: every layout there is, and every one that nearly is. */
static void test_layouts(const char *letters, size_t longest)
{
    const size_t base = strlen(letters);
    size_t texts = 1;

    for (size_t size = 0; size <= longest; size++, texts *= base) {
        for (size_t number = 0; number < texts; number++) {
            uint8_t text[32];
            size_t rest = number;
            for (size_t k = 0; k < size; k++, rest /= base)
                text[k] = (uint8_t)letters[rest % base];
            add(text, size);
        }
    }
}

/* Every octet of one to four digits at every place. */
static void test_octets(void)
{
    char octet[4][12], text[60];

    for (int place = 0; place < 4; place++)
        for (int digits = 1, numbers = 10; digits <= 4; digits++, numbers *= 10)
            for (int number = 0; number < numbers; number++) {
                for (int k = 0; k < 4; k++)
                    snprintf(octet[k], sizeof octet[k], "%u", (unsigned)(draw() & 255) >> below(8));
                snprintf(octet[place], sizeof octet[place], "%0*d", digits, number);
                snprintf(text, sizeof text, "%s.%s.%s.%s", octet[0], octet[1], octet[2], octet[3]);
                add((const uint8_t *)text, strlen(text));
            }
}

/* Both sides of every change of an octet's digits, all with all. */
static void test_values(void)
{
    static const unsigned edge[] = {0, 1, 9, 10, 19, 99, 100, 101, 199, 200, 249, 250, 254, 255};
    enum { EDGES = sizeof edge / sizeof *edge };
    char text[20];

    for (size_t number = 0; number < (size_t)EDGES * EDGES * EDGES * EDGES; number++) {
        const unsigned a = edge[number % EDGES], b = edge[number / EDGES % EDGES];
        const unsigned c = edge[number / (EDGES * EDGES) % EDGES], d = edge[number / (EDGES * EDGES * EDGES)];
        snprintf(text, sizeof text, "%u.%u.%u.%u", a, b, c, d);
        add_known(text, a << 24 | b << 16 | c << 8 | d);
    }
}

/* All 256 bytes at every place of some addresses, instead of what is there and between; and one byte less. */
static void test_single_mutations(size_t addresses)
{
    while (addresses-- > 0) {
        const row a = any_ip4();
        for (size_t at = 0; at <= a.size; at++) {
            row b = a;
            memmove(b.text + at, a.text + at + 1, at < a.size ? a.size - at - 1 : 0);
            add(b.text, a.size - (at < a.size));
            for (unsigned byte = 0; byte < 256; byte++) {
                b = a;
                b.text[at] = (uint8_t)byte;
                add(b.text, a.size);
                memcpy(b.text + at + 1, a.text + at, a.size - at);
                add(b.text, a.size + 1);
            }
        }
    }
}

static void test_any(size_t times)
{
    while (times-- > 0) {
        const row a = any_row();
        add(a.text, a.size);
    }
}

static void test_garbage(size_t times)
{
    while (times-- > 0)
        for (size_t size = 0; size <= 64; size++) {
            const row a = any_garbage(size);
            add(a.text, size);
        }
}

/* A longer text that ends as an address does, and has its size but for a multiple of 16. */
static void test_addresses_at_the_end(size_t times)
{
    while (times-- > 0)
        for (size_t more = 0; more <= 130; more++) {
            const row tail = any_ip4();
            row a = any_garbage(more);
            memcpy(a.text + more, tail.text, tail.size);
            add(a.text, more + tail.size);
        }
}

/* A row stays what it is wherever its block is cut: every number of rows. */
static void test_every_count(void)
{
    for (size_t n = 1; n < 300; n++) {
        while (batch.n < n) {
            const row a = any_row();
            add(a.text, a.size);
        }
        flush();
    }
}

/* Rows far longer than any address. */
static void test_long(void)
{
    static uint8_t text[8][70000];

    for (size_t k = 0; k < 8; k++) {
        memset(text[k], k & 1 ? '.' : '1', sizeof text[k]);
        memcpy(text[k], "1.2.3.4", 7);
        memcpy(text[k] + sizeof text[k] - 7, "1.2.3.4", 7);
        batch.text[batch.n] = text[k];
        batch.size[batch.n++] = (uint32_t)(k & 4 ? sizeof text[k] : 65536 + 7);
    }
    flush();
}

/* Each row in a heap block of exactly the bytes that may be read. */
static void test_blocks(size_t times)
{
    static uint8_t *block[ROWS];

    for (size_t k = 0; k < times; k++) {
        const size_t rows = 1 + below(300);
        for (size_t i = 0; i < rows; i++) {
            const row a = any_row();
            const size_t size = a.size < REACH ? REACH : a.size;
            block[i] = malloc(size);
            for (size_t q = 0; q < size; q++)
                block[i][q] = letter();
            batch.text[i] = memcpy(block[i] + size - a.size, a.text, a.size);
            batch.size[i] = (uint32_t)a.size;
        }
        batch.n = rows;
        flush();
        for (size_t i = 0; i < rows; i++)
            free(block[i]);
    }
}

/* ---- memory that faults on both sides */

static size_t page;

/* `size` bytes that end where a page does, or start there. */
static uint8_t *guarded(size_t size, bool at_end)
{
    const size_t pages = size / page + 1;
    uint8_t *const start = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (start == MAP_FAILED || mprotect(start + page, pages * page, PROT_READ | PROT_WRITE) != 0)
        exit(2);
    memset(start + page, '1', pages * page);
    return start + page + (at_end ? pages * page - size : 0);
}

static void release(uint8_t *block, size_t size, bool at_end)
{
    const size_t pages = size / page + 1;

    munmap(block - (at_end ? pages * page - size : 0) - page, (pages + 2) * page);
}

/* Rows that end where a page does, and rows of more than 16 bytes that start where a page does. */
static void test_pages(size_t times)
{
    static uint8_t *place[GUARDED];

    for (size_t i = 0; i < GUARDED; i++)
        place[i] = guarded(page - 1, false);
    for (size_t k = 0; k < times; k++) {
        for (size_t i = 0; i < GUARDED; i++) {
            const row a = any_row();
            const bool at_start = k % 2 && a.size > REACH;
            uint8_t *const text = at_start ? place[i] : place[i] + page - a.size;
            for (size_t q = 1; q <= 32; q++)
                text[at_start ? a.size + q - 1 : 0 - q] = letter();
            batch.text[i] = memcpy(text, a.text, a.size);
            batch.size[i] = (uint32_t)a.size;
        }
        batch.n = 1 + below(GUARDED);
        flush();
    }
    for (size_t i = 0; i < GUARDED; i++)
        release(place[i], page - 1, false);
}

/* ---- formatting */

static void check_format(uint32_t value)
{
    char wanted[20];
    uint8_t text[NF_IP4_TEXT_MAX + 1];
    uint32_t again = 0;
    size_t position;

    memset(text, GUARD, sizeof text);
    const size_t size = nf_ip4_format(value, text);
    snprintf(wanted, sizeof wanted, "%u.%u.%u.%u", (unsigned)(value >> 24), (unsigned)(value >> 16 & 255),
             (unsigned)(value >> 8 & 255), (unsigned)(value & 255));
    if (size != strlen(wanted) || memcmp(text, wanted, size) != 0 || text[size] != GUARD ||
        nf_ip4_parse(text, size, &again, &position) != NF_OK || again != value) {
        printf("format of %s: \"", wanted);
        show(text, size);
        printf("\"\n");
        exit(1);
    }
}

static void test_format(void)
{
    for (uint32_t octet = 0; octet < 256; octet++)
        for (int shift = 0; shift < 32; shift += 8)
            check_format(octet << shift | ((uint32_t)draw() & ~(255u << shift)));
    for (uint64_t value = 0; value < (uint64_t)1 << 32; value += 40009 / SCALE)
        check_format((uint32_t)value);
    check_format(0xFFFFFFFFu);
}

/* ---- columns */

enum { COLUMN_MAX = 700, BUFFERS = 3, SPACE = 8 };

/* A column in guarded memory, and the texts or values it was made of. */
typedef struct {
    nf_column c;
    bool at_end;
    size_t blocks, size[SPACE];
    uint8_t *block[SPACE];
    const uint8_t *view_data[BUFFERS];
    int64_t view_size[BUFFERS];
    row text[COLUMN_MAX];
    bool null[COLUMN_MAX];
} made;

static uint8_t *room(made *m, size_t size)
{
    m->size[m->blocks] = size;
    return m->block[m->blocks++] = guarded(size, m->at_end);
}

static void make_text(made *m, size_t before)
{
    const size_t width = m->c.layout == NF_TEXT32 ? 4 : 8;
    size_t size = before, end = before;

    for (size_t i = 0; i < m->c.n; i++)
        size += m->text[i].size;
    uint8_t *const data = room(m, size), *const offsets = room(m, (m->c.n + 1) * width);
    for (size_t k = 0; k < before; k++)
        data[k] = letter();
    for (size_t i = 0; i <= m->c.n; i++) {
        const int32_t end32 = (int32_t)end;
        const int64_t end64 = (int64_t)end;
        memcpy(offsets + i * width, width == 4 ? (const void *)&end32 : &end64, width);
        if (i < m->c.n) {
            memcpy(data + end, m->text[i].text, m->text[i].size);
            end += m->text[i].size;
        }
    }
    m->c.data = data;
    m->c.rows = offsets;
    m->c.stride = (ptrdiff_t)width;
}

static void put_view(made *m, size_t i, uint8_t *view, uint8_t *const *data, size_t *used)
{
    const int32_t size = (int32_t)m->text[i].size, buffer = (int32_t)(i % BUFFERS);

    memset(view, '1', 16);
    memcpy(view, &size, 4);
    if (size <= 12) {
        memcpy(view + 4, m->text[i].text, m->text[i].size);
        return;
    }
    const int32_t offset = (int32_t)used[buffer];
    memcpy(data[buffer] + offset, m->text[i].text, m->text[i].size);
    memcpy(view + 4, m->text[i].text, 4);
    memcpy(view + 8, &buffer, 4);
    memcpy(view + 12, &offset, 4);
    used[buffer] += m->text[i].size;
}

/* With `before`, other rows stand in front of row 0. */
static void make_view(made *m, size_t before)
{
    size_t used[BUFFERS] = {0};
    uint8_t *data[BUFFERS];

    for (size_t i = 0; i < m->c.n; i++)
        used[i % BUFFERS] += m->text[i].size > 12 ? m->text[i].size : 0;
    for (size_t k = 0; k < BUFFERS; k++) {
        m->view_size[k] = (int64_t)used[k];
        m->view_data[k] = used[k] ? data[k] = room(m, used[k]) : NULL;
        used[k] = 0;
    }
    uint8_t *const views = room(m, (before + m->c.n) * 16);
    for (size_t i = 0; i < m->c.n; i++)
        put_view(m, i, views + (before + i) * 16, data, used);
    m->c.rows = views + before * 16;
    m->c.stride = 16;
    m->c.first_view = before == 0;
    m->c.buffers = m->view_data;
    m->c.buffer_size = m->view_size;
    m->c.buffer_count = BUFFERS;
}

static size_t without_nul(const row *r)
{
    size_t size = r->size;

    while (size > 0 && r->text[size - 1] == 0)
        size--;
    return size;
}

/* NumPy's S (letters of 1 byte) and U (4), perhaps backwards, perhaps with something between the rows. */
static void make_fixed(made *m, size_t letter_size, size_t gap)
{
    size_t width = 0;

    for (size_t i = 0; i < m->c.n; i++) {
        m->text[i].size = without_nul(&m->text[i]);
        width = m->text[i].size > width ? m->text[i].size : width;
    }
    width *= letter_size;
    const size_t stride = width + gap;
    uint8_t *const rows = room(m, m->c.n * stride - (m->c.n ? gap : 0));
    const bool backwards = below(2);
    for (size_t i = 0; i < m->c.n; i++) {
        uint8_t *const at = rows + (backwards ? m->c.n - 1 - i : i) * stride;
        memset(at, 0, width);
        for (size_t k = 0; k < m->text[i].size; k++) {
            const uint32_t character = m->text[i].text[k] < 0x80 ? m->text[i].text[k] : 0x100u * m->text[i].text[k];
            memcpy(at + k * letter_size, letter_size == 4 ? (const void *)&character : &m->text[i].text[k], letter_size);
        }
    }
    m->c.width = width;
    m->c.stride = backwards ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
    m->c.rows = backwards && m->c.n ? rows + (m->c.n - 1) * stride : rows;
}

/* Values of `width` bytes: the text of a row is its bytes. */
static void make_values(made *m, size_t width, size_t gap)
{
    const size_t stride = width + gap;
    uint8_t *const rows = room(m, m->c.n * stride - (m->c.n ? gap : 0));

    for (size_t i = 0; i < m->c.n; i++) {
        for (size_t k = 0; k < width; k++)
            m->text[i].text[k] = below(3) ? (uint8_t)draw() : 0;
        memcpy(rows + i * stride, m->text[i].text, width);
    }
    m->c.rows = rows;
    m->c.stride = (ptrdiff_t)stride;
}

static void make_validity(made *m)
{
    const size_t offset = below(20);
    uint8_t *const bits = room(m, (offset + m->c.n + 7) / 8);

    for (size_t i = 0; i < m->c.n; i++) {
        const size_t bit = offset + i;
        m->null[i] = below(3) == 0;
        bits[bit / 8] = (uint8_t)((bits[bit / 8] & ~(1u << bit % 8)) | (unsigned)!m->null[i] << bit % 8);
    }
    m->c.validity = bits;
    m->c.validity_offset = offset;
}

static void make_column(made *m, nf_layout layout, size_t n)
{
    const size_t more = below(3) ? below(40) : 0;

    memset(&m->c, 0, sizeof m->c);
    memset(m->null, 0, sizeof m->null);
    m->blocks = 0;
    m->at_end = below(2);
    m->c.layout = layout;
    m->c.n = n;
    for (size_t i = 0; i < n; i++)
        m->text[i] = any_text();
    if (layout == NF_TEXT32 || layout == NF_TEXT64)
        make_text(m, more);
    else if (layout == NF_VIEW)
        make_view(m, more);
    else if (layout == NF_FIXED || layout == NF_UCS4)
        make_fixed(m, layout == NF_FIXED ? 1 : 4, more);
    else
        make_values(m, layout == NF_PACKED16 ? 16 : 4, more);
    if (layout == NF_PACKED4) /* Arrow's, side by side */
        for (size_t i = 0; i < n; i++)
            memcpy(m->text[i].text, m->c.rows + (ptrdiff_t)i * m->c.stride, 4);
    if (below(2))
        make_validity(m);
    for (size_t i = 0; i < n; i++)
        if (layout == NF_VIEW && m->null[i]) /* a null's view may hold anything */
            for (size_t k = 0; k < 16; k++)
                ((uint8_t *)(uintptr_t)m->c.rows)[16 * i + k] = (uint8_t)draw();
}

static void free_column(made *m)
{
    while (m->blocks-- > 0)
        release(m->block[m->blocks], m->size[m->blocks], m->at_end);
}

typedef struct {
    uint8_t holds, code, unwrapped, packed[16];
    uint32_t v4;
} meaning;

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mean_ip4(meaning *x, uint32_t value)
{
    x->holds = NF_IP4;
    x->v4 = value;
    nf_pack_ip4(value, x->packed);
    x->code = x->unwrapped = nf_classify_ip4(value);
}

static void mean_ip6(meaning *x, bool zoned)
{
    uint32_t carried;

    x->holds = zoned ? NF_IP6_ZONED : NF_IP6;
    x->code = nf_classify_ip6(x->packed);
    x->unwrapped = nf_unwrap(x->packed, &carried) ? nf_classify_ip4(carried) : x->code;
}

/* What a row of a column is, by the parsers of one address. */
static meaning mean(const made *m, size_t i)
{
    const row *r = &m->text[i];
    meaning x = {.holds = NF_NONE};
    uint8_t packed[16];
    uint32_t value;
    size_t zone = 0, position;

    if (m->null[i])
        return x;
    if (m->c.layout == NF_UINT32)
        mean_ip4(&x, (memcpy(&value, r->text, 4), value));
    else if (m->c.layout == NF_PACKED4)
        mean_ip4(&x, load_be32(r->text));
    else if (m->c.layout == NF_PACKED16)
        memcpy(x.packed, r->text, 16), mean_ip6(&x, false);
    else if (nf_ip4_parse(r->text, r->size, &value, &position) == NF_OK)
        mean_ip4(&x, value);
    else if (nf_ip6_parse(r->text, r->size, packed, &zone, &position) == NF_OK)
        memcpy(x.packed, packed, 16), mean_ip6(&x, zone != r->size);
    return x;
}

static void fail_column(const char *why, const made *m, size_t i)
{
    printf("%s: %s, layout %d, row %zu of %zu%s: \"", why, nf_active->name, (int)m->c.layout, i, m->c.n,
           m->null[i] ? ", null" : "");
    show(m->text[i].text, m->text[i].size);
    printf("\"\n");
    exit(1);
}

static void check_classify(const made *m, const meaning *wanted, size_t first, size_t n, bool unwrap)
{
    static uint8_t code[COLUMN_MAX + 64];

    memset(code, GUARD, sizeof code);
    if (!nf_classify_column(&m->c, first, n, unwrap, code))
        fail_column("a column that is fine", m, first);
    for (size_t i = 0; i < n; i++)
        if (code[i] != (unwrap ? wanted[first + i].unwrapped : wanted[first + i].code))
            fail_column("code", m, first + i);
    for (size_t k = 0; k < 64; k++)
        if (code[n + k] != GUARD)
            fail_column("a write behind the codes", m, first + n - 1);
}

static void check_parse(const made *m, const meaning *wanted, size_t first, size_t n, bool wide)
{
    static uint32_t v4[COLUMN_MAX + 16];
    static uint8_t packed[COLUMN_MAX + 4][16], holds[COLUMN_MAX + 64];
    size_t done = (size_t)-1;

    memset(v4, GUARD, sizeof v4);
    memset(packed, GUARD, sizeof packed);
    memset(holds, GUARD, sizeof holds);
    if (!nf_parse_column(&m->c, first, n, v4, wide ? packed : NULL, holds, &done))
        fail_column("a column that is fine", m, first);
    if (done > n || (wide && done != n))
        fail_column("rows done", m, first);
    for (size_t i = 0; i < done; i++) {
        const meaning *x = &wanted[first + i];
        if (holds[i] != x->holds || v4[i] != x->v4 || (wide && memcmp(packed[i], x->packed, 16) != 0))
            fail_column("row", m, first + i);
    }
    if (done < n) { /* stopped at a block that has an IPv6 row */
        size_t i = done;
        while (i < n && i < done + 256 && wanted[first + i].holds != NF_IP6 && wanted[first + i].holds != NF_IP6_ZONED)
            i++;
        if (i == n || i == done + 256)
            fail_column("stopped without an IPv6 row", m, first + done);
    }
    for (size_t k = 0; k < 64; k++)
        if (holds[n + k] != GUARD || ((uint8_t *)packed)[16 * n + k] != GUARD || v4[n + k % 16] != 0xA5A5A5A5u)
            fail_column("a write behind the rows", m, first + n - 1);
}

static void check_texts(const made *m)
{
    uint8_t own[NF_TEXT_ROOM];
    const uint8_t *text;
    uint32_t size;

    for (size_t i = 0; i < m->c.n; i += 1 + below(20)) {
        const bool there = nf_column_text(&m->c, i, own, &text, &size);
        if (m->c.layout > NF_UCS4 || m->null[i]) {
            if (there)
                fail_column("text of a row that has none", m, i);
        } else if (m->c.layout != NF_UCS4 &&
                   (!there || size != m->text[i].size || memcmp(text, m->text[i].text, size) != 0)) {
            fail_column("text", m, i);
        }
    }
    if (nf_column_text(&m->c, m->c.n, own, &text, &size) || nf_column_text(&m->c, m->c.n + 1000000, own, &text, &size))
        fail_column("text of a row that is not there", m, 0);
}

static void test_columns(size_t times)
{
    static made m;
    static meaning wanted[COLUMN_MAX];

    for (size_t k = 0; k < times; k++) {
        for (int layout = NF_TEXT32; layout <= NF_PACKED16; layout++) {
            make_column(&m, (nf_layout)layout, below(2) ? below(COLUMN_MAX + 1) : below(20));
            const size_t first = below(m.c.n + 1), n = below(m.c.n - first + 1);
            for (size_t i = 0; i < m.c.n; i++)
                wanted[i] = mean(&m, i);
            for (size_t form = 0; nf_kernels_name(form); form++) {
                nf_kernels_use(nf_kernels_name(form));
                check_classify(&m, wanted, 0, m.c.n, false);
                check_classify(&m, wanted, first, n, true);
                check_parse(&m, wanted, 0, m.c.n, true);
                check_parse(&m, wanted, 0, m.c.n, false);
                check_parse(&m, wanted, first, n, true);
            }
            check_texts(&m);
            free_column(&m);
            columns++;
        }
    }
}

/* ---- damaged columns */

static int64_t integer_at(const made *m, size_t i)
{
    int64_t eight;
    int32_t four;

    if (m->c.layout == NF_TEXT64)
        return memcpy(&eight, m->c.rows + 8 * i, 8), eight;
    return memcpy(&four, m->c.rows + 4 * i, 4), four;
}

/* One integer of the offsets or views becomes anything at all, one off, or the first that is too much. */
static void damage(made *m, size_t first)
{
    static const int64_t odd[] = {-1, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, 12, 13, 16, BUFFERS, (int64_t)1 << 32};
    const size_t width = m->c.layout == NF_TEXT64 ? 8 : 4, integers = m->c.layout == NF_VIEW ? 4 * m->c.n : m->c.n;
    const size_t at = below(4) && first < m->c.n ? first * (integers / m->c.n) + below(4) : below(integers);
    const size_t i = at < integers ? at : integers - 1;
    const int64_t last = m->c.layout == NF_VIEW ? 0 : integer_at(m, m->c.n), wrong[] = {
        odd[below(sizeof odd / sizeof *odd)], (int64_t)below(3000) - 10, integer_at(m, i) + 1, integer_at(m, i) - 1, last + 1,
    };

    memcpy((uint8_t *)(uintptr_t)m->c.rows + i * width, &wrong[below(sizeof wrong / sizeof *wrong)], width);
}

static bool view_is_fine(const made *m, size_t row)
{
    const int64_t size = integer_at(m, 4 * row), buffer = integer_at(m, 4 * row + 2), offset = integer_at(m, 4 * row + 3);

    if (m->null[row] || (size >= 0 && size <= 12))
        return true;
    return size >= 0 && buffer >= 0 && buffer < BUFFERS && offset >= 0 && offset + size <= m->view_size[buffer];
}

/* Of a column of text only the last offset says how much there is: it is taken for true. */
static bool rows_are_fine(const made *m, size_t first, size_t n)
{
    const int64_t last = m->c.layout == NF_VIEW ? 0 : integer_at(m, m->c.n);
    bool fine = m->c.layout == NF_VIEW || n == 0 || integer_at(m, first) >= 0;

    for (size_t i = first; i < first + n; i++) {
        if (m->c.layout == NF_VIEW)
            fine &= view_is_fine(m, i);
        else
            fine &= integer_at(m, i + 1) >= integer_at(m, i) && integer_at(m, i + 1) <= last;
    }
    return fine;
}

static void check_damaged(const made *m, size_t first, size_t n)
{
    static uint8_t code[COLUMN_MAX], packed[COLUMN_MAX][16], holds[COLUMN_MAX];
    static uint32_t v4[COLUMN_MAX];
    const bool fine = rows_are_fine(m, first, n);
    size_t done;

    if (nf_classify_column(&m->c, first, n, below(2), code) != fine)
        fail_column(fine ? "damage that is none" : "damage not seen", m, first);
    if (nf_parse_column(&m->c, first, n, v4, packed, holds, &done) != fine)
        fail_column(fine ? "damage that is none, parsing" : "damage not seen, parsing", m, first);
}

static void check_damaged_text(const made *m, size_t row)
{
    uint8_t own[NF_TEXT_ROOM];
    const uint8_t *text;
    uint32_t size;
    volatile unsigned sum = 0;

    if (nf_column_text(&m->c, row, own, &text, &size) != (rows_are_fine(m, row, 1) && !m->null[row]))
        fail_column("text of a damaged row", m, row);
    for (size_t k = 0; rows_are_fine(m, row, 1) && !m->null[row] && k < size; k++)
        sum += text[k]; /* it is there to be read */
}

static void test_damage(size_t times)
{
    static made m;

    for (size_t k = 0; k < times; k++) {
        for (int layout = NF_TEXT32; layout <= NF_VIEW; layout++) {
            make_column(&m, (nf_layout)layout, 1 + below(COLUMN_MAX));
            for (size_t more = 0; more < 4; more++) {
                const size_t first = below(m.c.n), n = below(m.c.n - first + 1);
                damage(&m, below(2) ? first : first + n);
                for (size_t form = 0; nf_kernels_name(form); form++) {
                    nf_kernels_use(nf_kernels_name(form));
                    check_damaged(&m, first, n);
                    check_damaged(&m, 0, m.c.n);
                }
                check_damaged_text(&m, first);
            }
            free_column(&m);
        }
    }
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    nf_kernels_use(NULL);
    test_layouts("1.", SCALE > 1 ? 18 : 15);
    test_layouts("01.", SCALE > 1 ? 12 : 9);
    test_layouts("9.:", 8);
    test_layouts("2.5/\xff", 6);
    test_octets();
    test_values();
    test_single_mutations(3 * SCALE);
    test_garbage(500 * SCALE);
    test_addresses_at_the_end(50 * SCALE);
    test_any(100000 * SCALE);
    flush();
    test_every_count();
    test_long();
    test_blocks(50 * SCALE);
    test_pages(100 * SCALE);
    test_format();
    test_columns(60 * SCALE);
    test_damage(200 * SCALE);
    printf("ip4_rows: %zu forms agree on %zu rows, %zu of them valid, and on %zu columns\n", forms, total, valid, columns);
    return 0;
}
