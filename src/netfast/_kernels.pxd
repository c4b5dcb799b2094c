# C names of the kernels, as the headers in kernels/ declare them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "nf_base.h" nogil:
    ctypedef enum nf_reason:
        NF_OK
        NF_EMPTY
        NF_BAD_CHARACTER
        NF_OCTET_COUNT
        NF_OCTET_EMPTY
        NF_OCTET_LONG
        NF_OCTET_ZERO
        NF_OCTET_RANGE
        NF_GROUP_COUNT
        NF_GROUP_LONG
        NF_COLON_LONE
        NF_COLON_DOUBLE
        NF_ZONE_EMPTY
        NF_ZONE_CHARACTER
        NF_REASONS

    ctypedef uint8_t (*nf_packed)[16]

    uint32_t nf_load_be32(const uint8_t* p)

    ctypedef struct nf_rows:
        const uint8_t** text
        const uint32_t* size

cdef extern from "nf_memory.h" nogil:
    void nf_advise_large(void* memory, size_t size)

cdef extern from "nf_ip4.h" nogil:
    enum: NF_IP4_TEXT_MAX
    nf_reason nf_ip4_parse(const uint8_t* text, size_t size, uint32_t* value, size_t* position)
    size_t nf_ip4_format(uint32_t value, uint8_t* out)

cdef extern from "nf_ip6.h" nogil:
    enum: NF_IP6_TEXT_MAX
    nf_reason nf_ip6_parse(const uint8_t* text, size_t size, uint8_t* value, size_t* zone, size_t* position)
    size_t nf_ip6_format(const uint8_t* value, uint8_t* out)

cdef extern from "nf_dispatch.h" nogil:
    ctypedef struct nf_kernels:
        const char* name
        void (*ip4_lookup)(const uint8_t* table, const uint32_t* value, size_t n, int32_t* index) noexcept nogil
        void (*ip6_lookup)(const uint8_t* table, const nf_packed value, size_t n, int32_t* index) noexcept nogil

    const nf_kernels* nf_active
    const char* nf_kernels_name(size_t i)
    bint nf_kernels_use(const char* name)

cdef extern from "nf_classify.h" nogil:
    uint8_t nf_classify_ip4(uint32_t value)
    uint8_t nf_classify_ip6(const uint8_t* value)
    void nf_classify_ip4_column(const uint32_t* value, const uint8_t* holds, size_t n, uint8_t* code)
    bint nf_unwrap(const uint8_t* value, uint32_t* carried)

cdef extern from "nf_rows.h" nogil:
    enum: NF_NONE, NF_IP4, NF_IP6, NF_IP6_ZONED
    void nf_classify_rows(nf_rows rows, size_t n, bint unwrap, uint8_t* code)
    size_t nf_parse_rows(nf_rows rows, size_t n, uint32_t* v4, nf_packed packed, uint8_t* holds)
    void nf_classify_packed(nf_packed packed, const uint8_t* holds, size_t n, bint unwrap, uint8_t* code)
    void nf_pack_ip4(uint32_t value, uint8_t* packed)
    size_t nf_format_row(uint8_t holds, uint32_t v4, const uint8_t* packed, uint8_t* out)

cdef extern from "nf_column.h" nogil:
    ctypedef enum nf_layout:
        NF_TEXT32
        NF_TEXT64
        NF_VIEW
        NF_FIXED
        NF_UCS4
        NF_UINT32
        NF_PACKED4
        NF_PACKED16

    ctypedef struct nf_column:
        nf_layout layout
        size_t n
        const uint8_t* rows
        Py_ssize_t stride
        size_t width
        const uint8_t* data
        const uint8_t** buffers
        const int64_t* buffer_size
        int64_t buffer_count
        const uint8_t* validity
        size_t validity_offset
        bint first_view

    enum: NF_TEXT_ROOM
    bint nf_classify_column(const nf_column* column, size_t first, size_t n, bint unwrap, uint8_t* code)
    bint nf_parse_column(const nf_column* column, size_t first, size_t n, uint32_t* v4, nf_packed packed,
                         uint8_t* holds, size_t* done)
    bint nf_column_text(const nf_column* column, size_t row, uint8_t* room, const uint8_t** text, uint32_t* size)
    bint nf_is_null(const nf_column* column, size_t row)

cdef extern from "nf_scan.h" nogil:
    ctypedef struct nf_hits:
        int64_t* offset
        int64_t* line
        uint8_t* length
        uint8_t* version
        uint8_t* code
        nf_packed packed
        size_t n
        size_t capacity

    enum: NF_FIND_IP4, NF_FIND_IP6

    ctypedef struct nf_policy:
        bint loose
        unsigned int find

    ctypedef struct nf_place:
        int64_t base
        int64_t line

    size_t nf_scan(const uint8_t* text, size_t size, size_t start, size_t until, nf_policy policy, nf_place* place,
                   nf_hits* hits)
    bint nf_hits_reserve(nf_hits* hits, size_t more, size_t expected)
    void nf_hits_free(nf_hits* hits)
    size_t NF_HITS_FOR(size_t bytes)

cdef extern from "nf_policy.h" nogil:
    enum: NF_LOOK_BEHIND, NF_LOOK_AHEAD

cdef extern from "nf_tally.h" nogil:
    ctypedef struct nf_tally:
        pass

    ctypedef struct nf_top:
        uint8_t packed[16]
        uint8_t version
        uint64_t count

    nf_tally* nf_tally_new(uint64_t max_distinct, uint64_t seed)
    void nf_tally_free(nf_tally* tally)
    bint nf_tally_add(nf_tally* tally, const nf_hits* hits)
    uint64_t nf_tally_unique(const nf_tally* tally, c_bool* estimated)
    uint64_t nf_tally_error(const nf_tally* tally)
    uint64_t nf_tally_most(const nf_tally* tally)
    size_t nf_tally_top(const nf_tally* tally, size_t k, nf_top* top)
    bint nf_tally_top_networks(nf_tally* tally, size_t k, nf_top* top, size_t* n)

cdef extern from "nf_select.h" nogil:
    ctypedef enum nf_selecting:
        NF_ALL
        NF_FIRST
        NF_FIELD
        NF_KEY

    enum: NF_PATH_MAX

    ctypedef struct nf_selection:
        nf_selecting by
        size_t field
        const uint8_t* separator
        size_t separator_size
        const uint8_t* key[NF_PATH_MAX]
        size_t key_size[NF_PATH_MAX]
        size_t depth
        int64_t part_line
        int64_t part_begin
        int64_t part_end
        int64_t last_line
        uint64_t lines

    void nf_select(nf_selection* selection, const uint8_t* text, size_t size, int64_t base, nf_hits* hits, size_t first)

cdef extern from "nf_labels.h" nogil:
    ctypedef struct nf_labels:
        const uint8_t* ip4
        const uint8_t* ip6
        const int32_t* label
        size_t labels

    void nf_match_hits(const nf_labels* labels, const nf_hits* hits, size_t first, size_t n, int32_t* index)
    void nf_count_labels(const nf_labels* labels, const nf_hits* hits, size_t first, uint64_t* count)

cdef extern from "nf_report.h" nogil:
    ctypedef struct nf_output:
        uint8_t* bytes
        size_t size
        size_t capacity

    void nf_output_free(nf_output* output)

    ctypedef struct nf_row_style:
        const uint8_t* lead
        const uint8_t* mid_offset
        const uint8_t* mid_address
        size_t lead_size
        size_t mid_offset_size
        size_t mid_address_size
        const uint8_t** tail
        const size_t* tail_size
        const uint8_t** end
        const size_t* end_size

    bint nf_report_rows(const nf_hits* hits, const uint8_t* text, int64_t base, const nf_row_style* style,
                        nf_output* output)

    ctypedef struct nf_set:
        const uint8_t* codes
        const nf_labels* prefixes

    void nf_mark_hits(const nf_hits* hits, const nf_set* wanted, const nf_set* unwanted, uint8_t* mark)

    ctypedef struct nf_grep_style:
        const uint8_t* lead
        size_t lead_size
        bint number
        bint only
        bint invert
        bint count

    bint nf_report_lines(const nf_hits* hits, const uint8_t* wanted, const uint8_t* text, size_t size, int64_t base,
                         int64_t line, const nf_grep_style* style, nf_output* output, uint64_t* lines)

cdef extern from "nf_prefixes.h" nogil:
    ctypedef struct nf_ip6_number:
        uint64_t high
        uint64_t low

    ctypedef struct nf_table:
        uint8_t* bytes
        size_t size

    size_t nf_sort_prefixes4(uint32_t* address, uint8_t* length, uint32_t* order, size_t n)
    size_t nf_sort_prefixes6(nf_ip6_number* address, uint8_t* length, uint32_t* order, size_t n)

cdef extern from "nf_ip4_table.h" nogil:
    bint nf_ip4_table_build(const uint32_t* address, const uint8_t* length, size_t n, int32_t first, nf_table* table)
    bint nf_ip4_table_check(const uint8_t* bytes, size_t size, int32_t first, size_t n)

cdef extern from "nf_ip6_table.h" nogil:
    bint nf_ip6_table_build(const nf_ip6_number* address, const uint8_t* length, size_t n, int32_t first,
                            nf_table* table)
    bint nf_ip6_table_check(const uint8_t* bytes, size_t size, int32_t first, size_t n)

cdef extern from "nf_prefix_columns.h" nogil:
    enum: NF_LENGTH_NONE

    ctypedef struct nf_prefix_rows:
        const uint8_t* holds
        const uint32_t* v4
        nf_packed packed
        const uint8_t* length

    ctypedef struct nf_prefix_columns:
        uint32_t* address4
        nf_ip6_number* address6
        uint8_t* length4
        uint8_t* length6
        uint32_t* row4
        uint32_t* row6
        size_t n4
        size_t n6

    size_t nf_split_prefixes(const nf_prefix_rows* rows, size_t start, size_t until, bint mask,
                             nf_prefix_columns* columns)
    bint nf_prefixes4_in_order(const uint32_t* address, const uint8_t* length, size_t n)
    bint nf_prefixes6_in_order(const nf_ip6_number* address, const uint8_t* length, size_t n)
    size_t nf_prefixes4_before(const uint32_t* address, const uint8_t* length, size_t n, uint32_t prefix,
                               unsigned int prefix_length)
    size_t nf_prefixes6_before(const nf_ip6_number* address, const uint8_t* length, size_t n, nf_ip6_number prefix,
                               unsigned int prefix_length)

cdef extern from "nf_ranges.h" nogil:
    enum: NF_KEEP_NEITHER, NF_KEEP_ONLY_A, NF_KEEP_ONLY_B, NF_KEEP_BOTH

    ctypedef struct nf_range:
        nf_ip6_number first
        nf_ip6_number last

    size_t nf_ranges_of_prefixes4(const uint32_t* address, const uint8_t* length, size_t n, nf_range* range)
    size_t nf_ranges_of_prefixes6(const nf_ip6_number* address, const uint8_t* length, size_t n, nf_range* range)
    size_t nf_ranges_combine(const nf_range* a, size_t n_a, const nf_range* b, size_t n_b, unsigned int keep,
                             unsigned int bits, nf_range* out, size_t room)
    size_t nf_prefixes_of_ranges4(const nf_range* ranges, size_t n, uint32_t* address, uint8_t* length,
                                  uint32_t* range)
    size_t nf_prefixes_of_ranges6(const nf_range* ranges, size_t n, nf_ip6_number* address, uint8_t* length,
                                  uint32_t* range)
    nf_ip6_number nf_ranges_span(const nf_range* range, size_t n)
    bint nf_ranges_hold(const nf_range* range, size_t n, nf_ip6_number address)

cdef extern from "nf_match.h" nogil:
    ctypedef struct nf_match_tables:
        const uint8_t* ip4
        const uint8_t* ip6

    bint nf_match_column(const nf_match_tables* tables, const nf_column* column, size_t first, size_t n, bint unwrap,
                         int32_t* index)
    void nf_match_rows(const nf_match_tables* tables, const uint8_t* holds, const uint32_t* v4, const nf_packed packed,
                       size_t n, bint unwrap, int32_t* index)

cdef extern from "nf_polars.h" nogil:
    enum:
        NF_POLARS_TABLES

    void nf_polars_start(const uint8_t** tables, uint64_t before)
    uint64_t nf_polars_add(nf_match_tables tables, const void* values)
    void nf_polars_remove(uint64_t id)
