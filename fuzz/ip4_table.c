/* ip4_table.c - tables of any bytes: what the check accepts is safe to look up in.  Tables of any prefixes: every
 * answer against a slow look at all of them, and sorting too. */
#include "fuzz.h"
#include "nf_ip4_table.h"

enum { MOST = 64, QUERIES = 5 * MOST };

static uint32_t take_number(fuzz_input *input)
{
    uint32_t number = 0;
    for (int k = 0; k < 4; k++)
        number = number << 8 | take_byte(input);
    return number;
}

static uint32_t mask_of(unsigned length) { return length ? UINT32_MAX << (32 - length) : 0; }

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
    if (size && nf_ip4_table_check(bytes, size, first, n)) {
        uint32_t value[QUERIES];
        int32_t *index = exactly(sizeof value);
        for (uint32_t k = 0; k < QUERIES; k++)
            value[k] = k * 0x9E3779B1u;
        FOR_EACH_FORM (f) {
            nf_active->ip4_lookup(bytes, value, QUERIES, index);
            for (size_t k = 0; k < QUERIES; k++)
                CHECK(index[k] == -1 || (index[k] >= first && (size_t)(index[k] - first) < n));
        }
        free(index);
    }
    free(bytes);
}

static size_t take_prefixes(fuzz_input *input, uint32_t *address, uint8_t *length)
{
    const size_t n = take_below(input, MOST);
    uint32_t last = 0;
    for (size_t k = 0; k < n; k++) { /* near the one before, or anywhere */
        last = take_byte(input) % 2 ? take_number(input) : last + ((uint32_t)take_byte(input) << take_below(input, 32));
        length[k] = (uint8_t)take_below(input, 33);
        address[k] = last & mask_of(length[k]);
    }
    return n;
}

static void check_sorted(const uint32_t *address, const uint8_t *length, const uint32_t *order, size_t n,
                         const uint32_t *given, const uint8_t *given_length, size_t given_n)
{
    for (size_t k = 0; k < n; k++) {
        CHECK(k == 0 || address[k - 1] < address[k] || (address[k - 1] == address[k] && length[k - 1] < length[k]));
        CHECK(order[k] < given_n && given[order[k]] == address[k] && given_length[order[k]] == length[k]);
    }
    for (size_t i = 0; i < given_n; i++) { /* each one is there, or a later one is in its place */
        size_t k = 0;
        while (k < n && (address[k] != given[i] || length[k] != given_length[i]))
            k++;
        CHECK(k < n && order[k] >= i);
    }
}

static int32_t longest(const uint32_t *address, const uint8_t *length, size_t n, uint32_t value)
{
    int32_t best = -1;
    for (size_t k = 0; k < n; k++)
        if ((value & mask_of(length[k])) == address[k] && (best < 0 || length[k] > length[best]))
            best = (int32_t)k;
    return best;
}

static void check_lookups(const uint8_t *table, const uint32_t *address, const uint8_t *length, size_t n, int32_t first)
{
    uint32_t *value = exactly(sizeof *value * QUERIES);
    int32_t *index = exactly(sizeof *index * QUERIES);
    size_t queries = 0;
    for (size_t k = 0; k < n; k++) {
        const uint32_t end = address[k] | ~mask_of(length[k]);
        const uint32_t here[] = {address[k], address[k] - 1, end, end + 1, address[k] + (end - address[k]) / 3};
        memcpy(&value[queries], here, sizeof here);
        queries += 5;
    }
    FOR_EACH_FORM (f) {
        nf_active->ip4_lookup(table, value, queries, index);
        for (size_t q = 0; q < queries; q++) {
            const int32_t k = longest(address, length, n, value[q]);
            CHECK(index[q] == (k < 0 ? -1 : first + k));
        }
    }
    free(value);
    free(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    uint32_t address[MOST], given[MOST], order[MOST];
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
    const size_t n = nf_sort_prefixes4(address, length, order, given_n);
    CHECK(n != SIZE_MAX);
    check_sorted(address, length, order, n, given, given_length, given_n);
    CHECK(nf_ip4_table_build(address, length, n, first, &table));
    CHECK(nf_ip4_table_check(table.bytes, table.size, first, n));
    check_lookups(table.bytes, address, length, n, first);
    check_bytes(&input, table.bytes, table.size, n, first);
    free(table.bytes);
    return 0;
}
