/* nf_match.c - parsing and looking up by turns, a block at a time. */
#include "nf_match.h"

#include "nf_classify.h"
#include "nf_dispatch.h"
#include "nf_rows.h"

enum {
    ROWS = 512,       /* between two calls of a kernel: what lies between them stays in the first-level cache */
    MANY_ROWS = 8192  /* the same where nothing but the answers does */
};

/* Rows by family, the row each was, and the kernel's answers. */
typedef struct {
    uint32_t value4[ROWS];
    uint8_t value6[ROWS][16];
    uint16_t row4[ROWS], row6[ROWS];
    int32_t answer[ROWS];
} families;

/* At most ROWS of both families. */
static void match_both(const nf_match_tables *tables, const uint8_t *holds, const uint32_t *v4,
                       const uint8_t (*packed)[16], size_t n, bool unwrap, families *f, int32_t *index)
{
    size_t n4 = 0, n6 = 0;
    for (size_t i = 0; i < n; i++) {
        index[i] = -1;
        if (holds[i] == NF_IP4) {
            f->value4[n4] = v4[i];
            f->row4[n4++] = (uint16_t)i;
        } else if (holds[i] != NF_NONE) {
            if (unwrap && nf_unwrap(packed[i], &f->value4[n4]))
                f->row4[n4++] = (uint16_t)i;
            else {
                memcpy(f->value6[n6], packed[i], 16);
                f->row6[n6++] = (uint16_t)i;
            }
        }
    }
    nf_active->ip4_lookup(tables->ip4, f->value4, n4, f->answer);
    for (size_t i = 0; i < n4; i++)
        index[f->row4[i]] = f->answer[i];
    nf_active->ip6_lookup(tables->ip6, f->value6, n6, f->answer);
    for (size_t i = 0; i < n6; i++)
        index[f->row6[i]] = f->answer[i];
}

/* Rows none of which is IPv6. */
static void match_ip4(const nf_match_tables *tables, const uint8_t *holds, const uint32_t *v4, size_t n, int32_t *index)
{
    nf_active->ip4_lookup(tables->ip4, v4, n, index);
    for (size_t i = 0; i < n; i++)
        index[i] |= -(int32_t)(holds[i] == NF_NONE);
}

void nf_match_rows(const nf_match_tables *tables, const uint8_t *holds, const uint32_t *v4,
                   const uint8_t (*packed)[16], size_t n, bool unwrap, int32_t *index)
{
    families f;
    const size_t most = packed ? ROWS : MANY_ROWS;
    for (size_t done = 0; done < n; done += most) {
        const size_t some = n - done < most ? n - done : most;
        if (packed)
            match_both(tables, holds + done, v4 + done, packed + done, some, unwrap, &f, index + done);
        else
            match_ip4(tables, holds + done, v4 + done, some, index + done);
    }
}

static bool match_text(const nf_match_tables *tables, const nf_column *column, size_t first, size_t n, bool unwrap,
                       int32_t *index)
{
    uint8_t holds[ROWS], packed[ROWS][16];
    uint32_t v4[ROWS];
    bool wide = false; /* an IPv6 row has come */
    for (size_t done = 0; done < n;) {
        const size_t some = n - done < ROWS ? n - done : ROWS;
        size_t parsed;
        if (!nf_parse_column(column, first + done, some, v4, wide ? packed : NULL, holds, &parsed))
            return false;
        if (parsed < some) {
            wide = true;
            continue;
        }
        nf_match_rows(tables, holds, v4, wide ? (const uint8_t(*)[16])packed : NULL, some, unwrap, index + done);
        done += some;
    }
    return true;
}

/* Whether a kernel can read the values where they are. */
static bool is_plain(const nf_column *column, nf_layout layout, ptrdiff_t stride)
{
    return column->layout == layout && column->stride == stride && !column->validity;
}

bool nf_match_column(const nf_match_tables *tables, const nf_column *column, size_t first, size_t n, bool unwrap,
                     int32_t *index)
{
    const uint8_t *rows = column->rows + (ptrdiff_t)first * column->stride;
    if (is_plain(column, NF_UINT32, 4) && (uintptr_t)rows % 4 == 0)
        nf_active->ip4_lookup(tables->ip4, (const uint32_t *)(const void *)rows, n, index);
    else if (is_plain(column, NF_PACKED16, 16) && !unwrap)
        nf_active->ip6_lookup(tables->ip6, (const uint8_t(*)[16])rows, n, index);
    else
        return match_text(tables, column, first, n, unwrap, index);
    return true;
}
