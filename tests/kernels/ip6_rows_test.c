/* ip6_rows_test.c - every form of ip6_parse_rows against the scalar one, and the scalar one against inet_pton.
 *
 * The rows are exhaustive where that is small (layouts of colons and dots, lengths of the eight groups), and seeded
 * random otherwise.  What stands around a row is always noise that would make sense as part of an address, except
 * where the row ends or starts at a page that faults, or fills a heap block of its own, for AddressSanitizer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nf_dispatch.h"
#include "nf_ip6.h"
#include "nf_ip6_rows.h"

enum { ROWS = 4096, TEXT_MAX = 160, CELL = 64 + 64 + TEXT_MAX + 64, GUARDED = 150, REACH = 16 };

#ifdef __SANITIZE_ADDRESS__
enum { THOROUGH = 0 };
#else
enum { THOROUGH = 1 };
#endif

static const char ALPHABET[] = "0123456789abcdefABCDEF:::...%g/ \0\xff";
enum { LETTERS = sizeof ALPHABET - 1 };

static struct {
    size_t n;
    const uint8_t *text[ROWS];
    uint32_t size[ROWS];
    bool known[ROWS];            /* a valid address whose value is expected[] */
    uint8_t expected[ROWS][16];
    uint8_t arena[ROWS * CELL];
} batch;

static size_t total, valid, forms;

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

/* ---- comparing */

static void fail(const char *why, size_t i, int got, int wanted)
{
    printf("%s: row %zu of %zu, %u bytes: \"", why, i, batch.n, (unsigned)batch.size[i]);
    for (size_t k = 0; k < batch.size[i] && k < 200; k++)
        printf(batch.text[i][k] > 31 && batch.text[i][k] < 127 ? "%c" : "\\x%02x", batch.text[i][k]);
    printf("\": %d, not %d\n", got, wanted);
    exit(1);
}

/* What comes out of one form; guard bytes show a write past the end. */
typedef struct {
    uint8_t before[64], value[ROWS][16], behind[64], holds[ROWS + 64];
} answers;

static void ask(void (*parse)(nf_rows, size_t, uint8_t (*)[16], uint8_t *), answers *a)
{
    memset(a, 0xA5, sizeof *a);
    parse((nf_rows){batch.text, batch.size}, batch.n, a->value, a->holds);
    for (size_t k = 0; k < 64; k++)
        if (a->before[k] != 0xA5 || a->behind[k] != 0xA5 || a->holds[batch.n + k] != 0xA5)
            fail("a write outside the answers", batch.n - 1, (int)k, 0);
    for (size_t k = 0; k < 16 && batch.n < ROWS; k++)
        if (a->value[batch.n][k] != 0xA5)
            fail("a write behind the values", batch.n - 1, (int)k, 0);
}

/* inet_pton wants a NUL at the end and knows no zones. */
static void compare_with_libc(size_t i, const answers *scalar)
{
    char text[TEXT_MAX + 1];
    uint8_t value[16];

    const size_t size = batch.size[i];

    if (size > TEXT_MAX || memchr(batch.text[i], '%', size) || memchr(batch.text[i], 0, size))
        return;
    memcpy(text, batch.text[i], size);
    text[size] = 0;
    const int good = inet_pton(AF_INET6, text, value) == 1;
    if ((scalar->holds[i] == NF_IP6) != good)
        fail("scalar against inet_pton", i, scalar->holds[i], good);
    if (good && memcmp(scalar->value[i], value, 16) != 0)
        fail("value of scalar against inet_pton", i, scalar->value[i][15], value[15]);
}

static void check_scalar(const answers *scalar)
{
    static const uint8_t zeros[16];

    for (size_t i = 0; i < batch.n; i++) {
        compare_with_libc(i, scalar);
        if (batch.known[i] && scalar->holds[i] == NF_NONE)
            fail("a valid row", i, NF_NONE, NF_IP6);
        if (batch.known[i] && memcmp(scalar->value[i], batch.expected[i], 16) != 0)
            fail("value of a valid row", i, scalar->value[i][15], batch.expected[i][15]);
        if (scalar->holds[i] == NF_NONE && memcmp(scalar->value[i], zeros, 16) != 0)
            fail("value of an invalid row", i, scalar->value[i][0], 0);
        valid += scalar->holds[i] != NF_NONE;
    }
}

static void check_batch(void)
{
    static answers scalar, other;

    ask(nf_ip6_parse_rows_scalar, &scalar);
    check_scalar(&scalar);
    forms = 0;
    for (const char *name; (name = nf_kernels_name(forms)) != NULL; forms++) {
        nf_kernels_use(name);
        ask(nf_active->ip6_parse_rows, &other);
        for (size_t i = 0; i < batch.n; i++) {
            if (scalar.holds[i] != other.holds[i])
                fail(name, i, other.holds[i], scalar.holds[i]);
            if (memcmp(scalar.value[i], other.value[i], 16) != 0)
                fail("value against scalar", i, other.value[i][15], scalar.value[i][15]);
        }
    }
    total += batch.n;
}

static void make_noise(void)
{
    for (size_t k = 0; k < sizeof batch.arena; k++)
        batch.arena[k] = letter();
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

    memcpy(place, text, size);
    batch.text[batch.n] = place;
    batch.size[batch.n] = (uint32_t)size;
    if (++batch.n == ROWS)
        flush();
}

static void add_known(const uint8_t *text, size_t size, const uint8_t value[16])
{
    batch.known[batch.n] = true;
    memcpy(batch.expected[batch.n], value, 16);
    add(text, size);
}

/* ---- making addresses */

typedef struct {
    uint8_t text[TEXT_MAX];
    size_t size;
    uint8_t value[16];
} address;

static void put(address *a, const char *text)
{
    const size_t size = strlen(text);

    memcpy(a->text + a->size, text, size);
    a->size += size;
}

/* A group of that many digits, 0 for any. */
static void put_group(address *a, size_t i, size_t digits)
{
    char text[8];
    unsigned group = (unsigned)draw() & 0xffff;

    digits = digits ? digits : 1 + below(4);
    group >>= 16 - 4 * digits;
    if (below(4) == 0)
        group >>= 4 * below(4);
    snprintf(text, sizeof text, below(2) ? "%0*x" : "%0*X", (int)digits, group);
    put(a, text);
    a->value[2 * i] = (uint8_t)(group >> 8);
    a->value[2 * i + 1] = (uint8_t)group;
}

static void put_ip4(address *a)
{
    char text[20];
    uint8_t *const v = a->value + 12;

    for (int k = 0; k < 4; k++)
        v[k] = (uint8_t)((draw() & 0xff) >> below(8));
    snprintf(text, sizeof text, "%d.%d.%d.%d", v[0], v[1], v[2], v[3]);
    put(a, text);
}

/* Groups front and back around "::" (front 8: none), the last two of them dotted if ip4, digits[] long (0: any). */
static address make_address(size_t front, size_t back, bool ip4, const uint8_t *digits)
{
    address a = {.size = 0};
    const bool gap = front < 8;

    for (size_t i = 0; i < front; i++) {
        if (i)
            put(&a, ":");
        if (ip4 && !gap && i == 6) {
            put_ip4(&a);
            return a;
        }
        put_group(&a, i, digits ? digits[i] : 0);
    }
    if (gap)
        put(&a, "::");
    for (size_t i = 8 - back; gap && i < 8; i++) {
        if (i > 8 - back)
            put(&a, ":");
        if (ip4 && i == 6) {
            put_ip4(&a);
            return a;
        }
        put_group(&a, i, digits ? digits[i] : 0);
    }
    return a;
}

static address any_address(void)
{
    const bool gap = below(2);
    const size_t front = gap ? below(8) : 8, back = gap ? below(8 - front) : 0;
    const bool room = !gap || back >= 2;

    return make_address(front, back, room && below(3) == 0, NULL);
}

static void put_zone(address *a)
{
    size_t size = below(4) ? below(12) : below(80);

    put(a, "%");
    while (size-- > 0) {
        const uint8_t byte = letter();
        a->text[a->size++] = byte == '%' || byte == '/' ? (below(8) ? 'z' : byte) : byte;
    }
}

static void mutate(address *a)
{
    const size_t at = below(a->size + 1);
    uint8_t *const place = a->text + at;

    switch (below(4)) {
    case 0:
        memmove(place + 1, place, a->size - at);
        *place = letter();
        a->size++;
        break;
    case 1:
        if (at < a->size) {
            memmove(place, place + 1, a->size - at - 1);
            a->size--;
        }
        break;
    default:
        if (at < a->size)
            *place = letter();
    }
}

static address any_garbage(size_t size)
{
    address a = {.size = size};

    for (size_t k = 0; k < size; k++)
        a.text[k] = letter();
    return a;
}

/* Anything at all. */
static address any_row(void)
{
    address a = below(8) ? any_address() : any_garbage(below(65));

    if (below(12) == 0)
        put_zone(&a);
    for (size_t k = below(4); k > 1; k--)
        mutate(&a);
    return a;
}

/* ---- the tests */

/* Every text of up to `longest` of these letters: every layout there is. */
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

/* Every length of every group. */
static void test_group_lengths(void)
{
    for (size_t number = 0; number < 65536; number++) {
        uint8_t digits[8];
        for (size_t k = 0; k < 8; k++)
            digits[k] = (uint8_t)(1 + (number >> 2 * k & 3));
        const address a = make_address(8, 0, false, digits);
        add_known(a.text, a.size, a.value);
        const address b = make_address(8, 0, true, digits);
        add_known(b.text, b.size, b.value);
    }
}

/* Every place and width of "::". */
static void test_gaps(size_t times)
{
    for (size_t front = 0; front < 8; front++)
        for (size_t back = 0; front + back < 8; back++)
            for (size_t k = 0; k < times; k++) {
                address a = make_address(front, back, back >= 2 && k % 2, NULL);
                add_known(a.text, a.size, a.value);
                if (k % 8 == 0) {
                    put(&a, "%eth0");
                    add_known(a.text, a.size, a.value);
                }
            }
}

/* The longest addresses there are, 45 characters, and what is a little longer. */
static void test_longest(size_t times)
{
    static const uint8_t four[8] = {4, 4, 4, 4, 4, 4, 4, 4};

    while (times-- > 0) {
        address a;
        do
            a = make_address(8, 0, true, four);
        while (a.size < NF_IP6_TEXT_MAX - below(3));
        add_known(a.text, a.size, a.value);
        for (size_t more = 0; more < 4; more++) {
            a.text[a.size++] = (uint8_t)('0' + below(10));
            add(a.text, a.size);
        }
    }
}

/* Too many groups, or none missing. */
static void test_group_counts(size_t times)
{
    for (size_t k = 0; k < times; k++) {
        address a = {.size = 0};
        const size_t groups = below(11), gap = below(12);
        for (size_t i = 0; i < groups; i++) {
            put(&a, i == gap ? "::" : i ? ":" : "");
            put_group(&a, 0, 0);
        }
        if (gap == groups)
            put(&a, "::");
        if (below(4) == 0) {
            put(&a, below(4) ? ":" : "");
            put_ip4(&a);
        }
        add(a.text, a.size);
    }
}

/* Every letter at every place of some addresses, instead of what is there or between. */
static void test_single_mutations(size_t addresses)
{
    while (addresses-- > 0) {
        const address a = any_address();
        for (size_t at = 0; at <= a.size; at++) {
            address b = a;
            memmove(b.text + at, a.text + at + 1, at < a.size ? a.size - at - 1 : 0);
            add(b.text, a.size - (at < a.size));
            for (size_t k = 0; k < LETTERS; k++) {
                b = a;
                b.text[at] = (uint8_t)ALPHABET[k];
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
        const address a = any_row();
        add(a.text, a.size);
    }
}

static void test_garbage(size_t times)
{
    while (times-- > 0)
        for (size_t size = 0; size <= 64; size++) {
            const address a = any_garbage(size);
            add(a.text, size);
        }
}

/* All 256 bytes at every place. */
static void test_all_bytes(void)
{
    for (size_t times = 0; times < 20; times++) {
        const address a = any_address();
        for (size_t at = 0; at < a.size; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                address b = a;
                b.text[at] = (uint8_t)byte;
                add(b.text, b.size);
            }
    }
}

/* A valid row stays what it is wherever its block is cut: every number of rows. */
static void test_every_count(void)
{
    for (size_t n = 1; n < 300; n++) {
        make_noise();
        while (batch.n < n) {
            const address a = any_row();
            add(a.text, a.size);
        }
        flush();
    }
    flush();
}

/* Rows longer than any address. */
static void test_long(void)
{
    static uint8_t text[8][70000];

    for (size_t k = 0; k < 8; k++) {
        memset(text[k], k & 1 ? 'z' : '1', sizeof text[k]);
        memcpy(text[k], k & 2 ? "fe80::1%" : "fe80::1::", 8);
        text[k][sizeof text[k] - 1] = k & 4 ? '%' : 'x';
        batch.text[batch.n] = text[k];
        batch.size[batch.n++] = sizeof text[k];
    }
    flush();
}

/* Each row in a heap block of exactly the bytes that may be read. */
static void test_blocks(size_t times)
{
    static uint8_t *block[ROWS];

    for (size_t k = 0; k < times; k++) {
        const size_t rows = 1 + below(THOROUGH ? 200 : 400);
        for (size_t i = 0; i < rows; i++) {
            const address a = any_row();
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

/* GUARDED pages, a page that faults in front of and behind each. */
static uint8_t *guarded_pages(size_t page)
{
    uint8_t *const start = mmap(NULL, (2 * GUARDED + 1) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (start == MAP_FAILED)
        exit(2);
    for (size_t i = 0; i < GUARDED; i++)
        if (mprotect(start + (2 * i + 1) * page, page, PROT_READ | PROT_WRITE) != 0)
            exit(2);
    return start + page;
}

/* Rows that end where a page does, and rows of more than 16 bytes that start where a page does. */
static void test_pages(size_t times)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *const pages = guarded_pages(page);

    for (size_t k = 0; k < times; k++) {
        for (size_t i = 0; i < GUARDED; i++) {
            const address a = any_row();
            uint8_t *const from = pages + 2 * i * page;
            uint8_t *const text = k % 2 && a.size > REACH ? from : from + page - a.size;
            for (size_t q = 1; q <= 64; q++)
                text[text == from ? a.size + q - 1 : 0 - q] = letter();
            batch.text[i] = memcpy(text, a.text, a.size);
            batch.size[i] = (uint32_t)a.size;
        }
        batch.n = 1 + below(GUARDED);
        flush();
    }
    munmap(pages - page, (2 * GUARDED + 1) * page);
}

int main(void)
{
    const size_t scale = THOROUGH ? 10 : 1;

    make_noise();
    test_layouts(":1", THOROUGH ? 19 : 15);
    test_layouts(":1.", THOROUGH ? 12 : 9);
    test_layouts(":.2%x", 7);
    test_group_lengths();
    test_gaps(200 * scale);
    test_longest(500);
    test_group_counts(30000 * scale);
    test_single_mutations(20 * scale);
    test_all_bytes();
    test_garbage(2000 * scale);
    test_any(200000 * scale);
    flush();
    test_every_count();
    test_long();
    test_blocks(100 * scale);
    test_pages(200 * scale);
    printf("ip6_rows: %zu forms agree on %zu rows, %zu of them valid\n", forms, total, valid);
    return 0;
}
