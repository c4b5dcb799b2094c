/* nf_match.h - the longest prefix that holds each address of a column, or of parsed rows. */
#ifndef NF_MATCH_H
#define NF_MATCH_H

#include "nf_column.h"

/* A table of each family: nf_ip4_table.h, nf_ip6_table.h. */
typedef struct {
    const uint8_t *ip4, *ip6;
} nf_match_tables;

/* Rows [first, first + n) to the answers of the tables, -1 where there is none.  With `unwrap` an IPv6 address that
 * carries an IPv4 one is looked up as what it carries.  False if an offset or view points outside its buffer. */
bool nf_match_column(const nf_match_tables *tables, const nf_column *column, size_t first, size_t n, bool unwrap,
                     int32_t *index);

/* The same of rows as nf_parse_rows leaves them; packed may be NULL if none is IPv6. */
void nf_match_rows(const nf_match_tables *tables, const uint8_t *holds, const uint32_t *v4,
                   const uint8_t (*packed)[16], size_t n, bool unwrap, int32_t *index);

#endif
