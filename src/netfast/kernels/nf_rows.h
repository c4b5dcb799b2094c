/* nf_rows.h - rows of text of either family: the whole of bulk parsing and bulk classification. */
#ifndef NF_ROWS_H
#define NF_ROWS_H

#include "nf_dispatch.h"

/* Text rows to codes; 0 where the text is no address.  With `unwrap` an IPv6 address that carries an IPv4 one counts
 * as what it carries. */
void nf_classify_rows(nf_rows rows, size_t n, bool unwrap, uint8_t *code);

/* Text rows to addresses: holds[i] is one of the above, v4[i] the host-order value of an IPv4 row (else 0), and
 * packed[i], unless packed is NULL, the 16 network-order bytes with IPv4 as ::ffff:a.b.c.d (all zero where invalid).
 * Returns the rows done: n, or fewer when packed is NULL and an IPv6 row has come; call again from there. */
size_t nf_parse_rows(nf_rows rows, size_t n, uint32_t *v4, nf_packed packed, uint8_t *holds);

/* The two halves of these, on NF_BLOCK rows at most: so many stay in the first-level cache between the halves.
 *
 * First IPv4, as ip4_parse_rows has it; but where rows look like IPv6 it is left for later (NF_LEFT_UNTRIED). */
enum { NF_BLOCK = 256 };
nf_left nf_parse_ip4_block(nf_rows rows, size_t n, uint32_t *v4, uint8_t *holds);

/* Then what that left.  `rows` is read only if NF_LEFT_OPEN is in it.  nf_parse_block returns false, and v4 and holds
 * of the block are undefined, if an IPv6 row has no place to go. */
void nf_classify_block(nf_rows rows, size_t n, nf_left left, uint32_t *v4, uint8_t *holds, bool unwrap, uint8_t *code);
bool nf_parse_block(nf_rows rows, size_t n, nf_left left, uint32_t *v4, nf_packed packed, uint8_t *holds);

/* The codes of `n` rows already parsed, as nf_parse_rows leaves them. */
void nf_classify_packed(const uint8_t (*packed)[16], const uint8_t *holds, size_t n, bool unwrap, uint8_t *code);

/* The text of a row already parsed (RFC 5952, without a zone): writes at most NF_IP6_TEXT_MAX bytes, returns how many,
 * 0 where the row is no address. */
size_t nf_format_row(uint8_t holds, uint32_t v4, const uint8_t packed[16], uint8_t *out);

/* 16 bytes of an IPv4 address as ::ffff:a.b.c.d. */
void nf_pack_ip4(uint32_t value, uint8_t packed[16]);

#endif
