/* fuzz.h - what the fuzz targets share: input in pieces, buffers of exact size, forms held against each other.
 *
 * Every buffer a kernel gets is a heap block of its own and not a byte longer than was promised, so that
 * AddressSanitizer sees the first byte read or written outside.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "nf_dispatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: %s (kernels: %s)\n", __FILE__, __LINE__, #condition, nf_active->name);            \
            abort();                                                                                                  \
        }                                                                                                             \
    } while (0)

/* Runs what follows on every form, the reference last. */
#define FOR_EACH_FORM(i) for (size_t i = 0; nf_kernels_name(i) && nf_kernels_use(nf_kernels_name(i)); i++)

typedef struct {
    const uint8_t *at;
    size_t left;
} fuzz_input;

static inline uint8_t take_byte(fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static inline size_t take_below(fuzz_input *input, size_t n) { return n < 2 ? 0 : take_byte(input) % n; }

/* Never NULL: a kernel may be given nothing, but not nowhere. */
static inline void *exactly(size_t size)
{
    void *block = malloc(size);
    CHECK(block);
    return block;
}

static inline uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = exactly(size);
    memcpy(copy, bytes, size);
    return copy;
}

/* Half of the inputs are taken for places in an alphabet: text that means something, sooner. */
static inline uint8_t *as_text(const uint8_t *data, size_t size, const char *alphabet)
{
    uint8_t *text = exactly(size);
    for (size_t i = 0; i < size; i++)
        text[i] = size % 2 ? data[i] : (uint8_t)alphabet[data[i] % strlen(alphabet)];
    return text;
}

/* ---- rows of text, as nf_base.h promises them ------------------------------------------------------------------- */

enum { FUZZ_ROWS = 80, FUZZ_FRONT = 16 };

typedef struct {
    size_t n;
    uint8_t *block[FUZZ_ROWS];
    const uint8_t **text;
    uint32_t *size;
} fuzz_rows;

/* A row a line of the input; what stands in front of a short one is noise. */
static inline fuzz_rows make_rows(const uint8_t *data, size_t size, const char *noise)
{
    fuzz_rows rows = {.n = 1};
    for (size_t i = 0; i < size && rows.n < FUZZ_ROWS; i++)
        rows.n += data[i] == '\n';
    rows.text = exactly(rows.n * sizeof *rows.text);
    rows.size = exactly(rows.n * sizeof *rows.size);
    for (size_t i = 0, at = 0; i < rows.n; i++) {
        const uint8_t *newline = i + 1 < rows.n ? memchr(data + at, '\n', size - at) : NULL;
        const size_t length = newline ? (size_t)(newline - data) - at : size - at;
        const size_t front = length < FUZZ_FRONT ? FUZZ_FRONT - length : 0;
        rows.block[i] = exactly(front + length);
        for (size_t k = 0; k < front; k++)
            rows.block[i][k] = (uint8_t)noise[(k + i) % strlen(noise)];
        memcpy(rows.block[i] + front, data + at, length);
        rows.text[i] = rows.block[i] + front;
        rows.size[i] = (uint32_t)length;
        at += length + 1;
    }
    return rows;
}

static inline void free_rows(fuzz_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->block[i]);
    free(rows->text);
    free(rows->size);
}

/* The row as C text for libc; false if it cannot be that. */
static inline bool as_c_text(const fuzz_rows *rows, size_t i, char room[64])
{
    if (rows->size[i] >= 64 || memchr(rows->text[i], 0, rows->size[i]))
        return false;
    memcpy(room, rows->text[i], rows->size[i]);
    room[rows->size[i]] = 0;
    return true;
}

#endif
