# What the border to the tables needs of the border to the kernels: addresses that are parsed, and the kernels in use.
# The kernels keep state, so only one extension has them: the functions below are the others' way to them.
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from netfast._kernels cimport nf_column, nf_kernels, nf_match_tables, nf_packed, nf_rows

cdef extern from *:
    """
    /* The characters of a str that is ASCII, in place; NULL for any other object. */
    static inline const uint8_t *ascii_text(PyObject *item, uint32_t *size)
    {
        if (!PyUnicode_Check(item) || !PyUnicode_IS_COMPACT_ASCII(item))
            return NULL;
        Py_ssize_t n = PyUnicode_GET_LENGTH(item);
        *size = n > 0xFFFFFFF ? 0xFFFFFFF : (uint32_t)n;
        return (const uint8_t *)PyUnicode_DATA(item);
    }
    #define SEQUENCE_ITEMS(sequence) PySequence_Fast_ITEMS(sequence)
    #define SEQUENCE_SIZE(sequence) PySequence_Fast_GET_SIZE(sequence)
    """
    const uint8_t* ascii_text(PyObject* item, uint32_t* size)
    # Of a list or tuple as it lies in memory, whatever a subclass makes of len() and [].
    PyObject** SEQUENCE_ITEMS(object sequence)
    Py_ssize_t SEQUENCE_SIZE(object sequence)


cdef struct Address:
    uint8_t holds        # NF_NONE, NF_IP4, NF_IP6 or NF_IP6_ZONED
    uint32_t v4
    uint8_t packed[16]
    size_t zone


cdef struct ParsedRows:
    uint8_t* holds
    uint32_t* v4
    nf_packed packed     # NULL until an IPv6 row has come


cdef class Parsed:
    cdef readonly size_t n
    cdef readonly bytearray holds, v4, packed
    cdef readonly dict zones

    cdef uint8_t* holds_at(self, size_t i) noexcept
    cdef uint32_t* v4_at(self, size_t i) noexcept
    cdef ParsedRows rows_at(self, size_t i) noexcept
    cdef nf_packed packed_at(self, size_t i) noexcept
    cdef put(self, size_t i, Address* address, size_t parsed)


cdef class Memory:
    cdef void* data
    cdef Py_ssize_t size


cdef const nf_kernels* kernels_in_use() noexcept nogil
cdef bint match_column_of(const nf_match_tables* tables, const nf_column* column, size_t first, size_t n, bint unwrap,
                          int32_t* index) noexcept nogil
cdef void match_rows(const nf_match_tables* tables, const ParsedRows* rows, size_t n, bint unwrap,
                     int32_t* index) noexcept nogil
cdef uint64_t polars_add(nf_match_tables tables, const void* values) noexcept
cdef void polars_remove(uint64_t id) noexcept nogil
cdef size_t parse_rows(nf_rows rows, size_t n, uint32_t* v4, nf_packed packed, uint8_t* holds) noexcept nogil
cdef str format_packed(uint8_t holds, const uint8_t* packed)
cdef put_value(int version, value, Address* address)
cdef bint is_stopped(bytearray stop) noexcept
cdef object same_items(object items, size_t n)
cdef size_t sequence_size(object items) except? 0
