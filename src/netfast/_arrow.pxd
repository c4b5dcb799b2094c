# What the other border needs of Arrow's: columns, and bytes for results.
from libc.stdint cimport int64_t, uint8_t

from netfast._kernels cimport nf_column

cdef enum:
    STRIDE = 1 << 18      # rows between two looks at the signals: 30 ms where the kernels are slowest
    OBJECTS = 1 << 16     # the same for rows that make Python objects

cdef extern from "nf_arrow.h":
    enum: ARROW_FLAG_NULLABLE

    cdef struct ArrowSchema:
        const char* format
        const char* name
        const char* metadata
        int64_t flags
        int64_t n_children
        ArrowSchema** children
        ArrowSchema* dictionary
        void (*release)(ArrowSchema*) noexcept
        void* private_data

    cdef struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void** buffers
        ArrowArray** children
        ArrowArray* dictionary
        void (*release)(ArrowArray*) noexcept
        void* private_data

    # Without the interpreter lock: a stream may run a query whose threads need it.
    cdef struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream*, ArrowSchema*) noexcept nogil
        int (*get_next)(ArrowArrayStream*, ArrowArray*) noexcept nogil
        const char* (*get_last_error)(ArrowArrayStream*) noexcept nogil
        void (*release)(ArrowArrayStream*) noexcept nogil
        void* private_data


cdef class Chunk:
    cdef ArrowArray array


cdef class Column:
    cdef nf_column c
    cdef object owner              # keeps the memory
    cdef Py_buffer view            # of a NumPy array
    cdef readonly Column dictionary
    cdef readonly str format       # Arrow's
    cdef int index_bytes           # 1, 2, 4 or 8
    cdef bint index_signed
    cdef bint all_null             # Arrow's type of nothing else

    cdef int64_t index(self, size_t row) noexcept nogil


cpdef bytearray unwritten(size_t n)
cpdef bytearray zeros(size_t n)
cdef raise_damaged(str how)
