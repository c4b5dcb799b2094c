/* nf_polars.h - expressions that Polars runs in its own threads, without Python: its plugin interface.
 *
 * A small C ABI over the Arrow C data interface (the crate polars-ffi, version 0.1; Polars 1.30 to 2).  Polars opens
 * this library by its path and asks for symbols:
 *
 *   _polars_plugin_get_version              (major << 16) + minor
 *   _polars_plugin_field_NAME               the type of a result, of those of the arguments
 *   _polars_plugin_NAME                     the result: series in, each some chunks of Arrow, a series out
 *   _polars_plugin_get_last_error_message   why one of these left its result empty
 *
 * NAME is kind, network_class, block, classify, parse, contains, lookup, or one of the flags below; NAME_unwrapped
 * reads an IPv6 address that carries an IPv4 one as what it carries.  contains and lookup have a second argument, a
 * uint64 that nf_polars_add has given; lookup_int64, lookup_uint64 and lookup_float64 are for values of these types.
 */
#ifndef NF_POLARS_H
#define NF_POLARS_H

#include "nf_arrow.h"
#include "nf_match.h"

/* A series of Polars: a type, and its chunks. */
typedef struct nf_series {
    struct ArrowSchema *field;
    struct ArrowArray **chunks;
    size_t count;
    void (*release)(struct nf_series *);
    void *private_data; /* NULL: there is none, and the last message says why */
} nf_series;

/* What becomes of a block's code, where it is looked up: 256 bytes each. */
typedef enum {
    NF_POLARS_KIND,
    NF_POLARS_NETWORK_CLASS,
    NF_POLARS_IS_PRIVATE,
    NF_POLARS_IS_SHARED,
    NF_POLARS_IS_LOOPBACK,
    NF_POLARS_IS_LINK_LOCAL,
    NF_POLARS_IS_MULTICAST,
    NF_POLARS_IS_BROADCAST,
    NF_POLARS_IS_UNSPECIFIED,
    NF_POLARS_IS_DOCUMENTATION,
    NF_POLARS_IS_RESERVED,
    NF_POLARS_IS_GLOBAL,
    NF_POLARS_TABLES
} nf_polars_table;

/* Before this, expressions fail.  Ids come after `before`: where it is drawn at random, an id that another process has
 * given is nobody's here. */
void nf_polars_start(const uint8_t *const tables[NF_POLARS_TABLES], uint64_t before);

/* Prefixes for contains and lookup, and what lookup says for each, by the answer of the tables: int32, of which a
 * negative one is null, or 8 bytes.  They stay the caller's, who may free them once they are removed.  0: no memory. */
uint64_t nf_polars_add(nf_match_tables tables, const void *values);

/* Waits until no expression reads them any more; one that comes later is told that they are gone. */
void nf_polars_remove(uint64_t id);

#endif
