/* ip6_table.c - tables of any bytes: what the check accepts is safe to look up in.  Tables of any prefixes: every
 * answer against a slow look at all of them, and sorting too. */
#include "fuzz.h"
#include "nf_ip6_table.h"

enum { MOST = 64, QUERIES = 5 * MOST };

static uint32_t take_number(fuzz_input *input)
{
    uint32_t number = 0;
    for (int k = 0; k < 4; k++)
        number = number << 8 | take_byte(input);
    return number;
}

static nf_ip6_number mask_of(unsigned length)
{
    return (nf_ip6_number){length == 0 ? 0 : length < 64 ? UINT64_MAX << (64 - length) : UINT64_MAX,
                           length <= 64 ? 0 : UINT64_MAX << (128 - length)};
}

static nf_ip6_number masked(nf_ip6_number a, unsigned length)
{
    return (nf_ip6_number){a.high & mask_of(length).high, a.low & mask_of(length).low};
}

static nf_ip6_number plus(nf_ip6_number a, nf_ip6_number b)
{
    return (nf_ip6_number){a.high + b.high + (a.low + b.low < a.low), a.low + b.low};
}

static bool same(nf_ip6_number a, nf_ip6_number b) { return a.high == b.high && a.low == b.low; }
static bool below(nf_ip6_number a, nf_ip6_number b) { return a.high < b.high || (a.high == b.high && a.low < b.low); }

static void pack(nf_ip6_number a, uint8_t packed[16])
{
    for (int k = 0; k < 8; k++) {
        packed[k] = (uint8_t)(a.high >> (56 - 8 * k));
        packed[8 + k] = (uint8_t)(a.low >> (56 - 8 * k));
    }
}

/* Bytes, which may begin as a sound table does: the second half of the input is written over it, at places it names. */
static void check_bytes(fuzz_input *input, const uint8_t *sound, size_t sound_size, size_t n, int32_t first)
{
    const size_t size = sound ? sound_size : input->left / 64 * 64;
    uint8_t *bytes = aligned_alloc(64, size ? size : 64);
    CHECK(bytes);
    memcpy(bytes, sound ? sound : input->at, size);
    while (sound && input->left >= 5) {
        const uint32_t at = take_number(input);
        bytes[at % size] ^= take_byte(input);
    }
    if (size && nf_ip6_table_check(bytes, size, first, n)) {
        uint8_t value[QUERIES][16];
        int32_t *index = exactly(QUERIES * sizeof *index);
        for (uint32_t k = 0; k < QUERIES; k++) /* many windows of zeros, where tables are deep */
            pack((nf_ip6_number){k * 0x9E3779B97F4A7C15u >> (k % 4 ? k % 64 : 0), k % 3 ? 0 : k}, value[k]);
        FOR_EACH_FORM (f) {
            nf_active->ip6_lookup(bytes, (const uint8_t(*)[16])value, QUERIES, index);
            for (size_t k = 0; k < QUERIES; k++)
                CHECK(index[k] == -1 || (index[k] >= first && (size_t)(index[k] - first) < n));
        }
        free(index);
    }
    free(bytes);
}

static size_t take_prefixes(fuzz_input *input, nf_ip6_number *address, uint8_t *length)
{
    const size_t n = take_below(input, MOST);
    nf_ip6_number last = {0, 0};
    for (size_t k = 0; k < n; k++) { /* near the one before, or anywhere */
        const uint64_t step = take_byte(input);
        if (step % 2)
            last = (nf_ip6_number){(uint64_t)take_number(input) << take_below(input, 33), take_number(input)};
        else
            last = plus(last, take_byte(input) % 2 ? (nf_ip6_number){0, step << take_below(input, 57)}
                                                   : (nf_ip6_number){step << take_below(input, 57), 0});
        length[k] = (uint8_t)take_below(input, 129);
        address[k] = masked(last, length[k]);
    }
    return n;
}

static void check_sorted(const nf_ip6_number *address, const uint8_t *length, const uint32_t *order, size_t n,
                         const nf_ip6_number *given, const uint8_t *given_length, size_t given_n)
{
    for (size_t k = 0; k < n; k++) {
        CHECK(k == 0 || below(address[k - 1], address[k]) ||
              (same(address[k - 1], address[k]) && length[k - 1] < length[k]));
        CHECK(order[k] < given_n && same(given[order[k]], address[k]) && given_length[order[k]] == length[k]);
    }
    for (size_t i = 0; i < given_n; i++) { /* each one is there, or a later one is in its place */
        size_t k = 0;
        while (k < n && (!same(address[k], given[i]) || length[k] != given_length[i]))
            k++;
        CHECK(k < n && order[k] >= i);
    }
}

static int32_t longest(const nf_ip6_number *address, const uint8_t *length, size_t n, nf_ip6_number value)
{
    int32_t best = -1;
    for (size_t k = 0; k < n; k++)
        if (same(masked(value, length[k]), address[k]) && (best < 0 || length[k] > length[best]))
            best = (int32_t)k;
    return best;
}

static void check_lookups(const uint8_t *table, const nf_ip6_number *address, const uint8_t *length, size_t n,
                          int32_t first)
{
    nf_ip6_number value[QUERIES];
    uint8_t(*packed)[16] = exactly(sizeof *packed * QUERIES);
    int32_t *index = exactly(sizeof *index * QUERIES);
    size_t queries = 0;
    for (size_t k = 0; k < n; k++) {
        const nf_ip6_number mask = mask_of(length[k]), begin = address[k];
        const nf_ip6_number end = {begin.high | ~mask.high, begin.low | ~mask.low};
        const nf_ip6_number inside = {begin.high | (~mask.high / 3), begin.low | (~mask.low / 3)};
        const nf_ip6_number here[] = {begin, plus(begin, mask_of(128)), end, plus(end, (nf_ip6_number){0, 1}), inside};
        memcpy(&value[queries], here, sizeof here);
        queries += 5;
    }
    for (size_t q = 0; q < queries; q++)
        pack(value[q], packed[q]);
    FOR_EACH_FORM (f) {
        nf_active->ip6_lookup(table, (const uint8_t(*)[16])packed, queries, index);
        for (size_t q = 0; q < queries; q++) {
            const int32_t k = longest(address, length, n, value[q]);
            CHECK(index[q] == (k < 0 ? -1 : first + k));
        }
    }
    free(packed);
    free(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    nf_ip6_number address[MOST], given[MOST];
    uint32_t order[MOST];
    uint8_t length[MOST], given_length[MOST];
    nf_table table;
    nf_kernels_use(NULL);
    if (take_byte(&input) % 8 == 0) {
        check_bytes(&input, NULL, 0, 1 + take_byte(&input), 0);
        return 0;
    }
    const int32_t first = take_byte(&input) * 1000;
    const size_t given_n = take_prefixes(&input, given, given_length);
    memcpy(address, given, sizeof given);
    memcpy(length, given_length, sizeof given_length);
    const size_t n = nf_sort_prefixes6(address, length, order, given_n);
    CHECK(n != SIZE_MAX);
    check_sorted(address, length, order, n, given, given_length, given_n);
    CHECK(nf_ip6_table_build(address, length, n, first, &table));
    CHECK(nf_ip6_table_check(table.bytes, table.size, first, n));
    check_lookups(table.bytes, address, length, n, first);
    check_bytes(&input, table.bytes, table.size, n, first);
    free(table.bytes);
    return 0;
}
