# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to other people's columns: Arrow and NumPy memory in, read in place; Arrow arrays and streams out.

No kernel runs here.  Sections: columns in, arrays out.
"""
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from netfast cimport _kernels as nf

import os

cdef extern from *:
    """
    /* An integer of that many bytes, aligned or not; one of 8 without a sign that is too large is negative. */
    static inline int64_t load_index(const uint8_t *at, int bytes, int is_signed)
    {
        uint16_t two;
        uint32_t four;
        int64_t eight;
        switch (bytes) {
        case 1: return is_signed ? (int8_t)*at : *at;
        case 2: memcpy(&two, at, 2); return is_signed ? (int16_t)two : two;
        case 4: memcpy(&four, at, 4); return is_signed ? (int32_t)four : (int64_t)four;
        default: memcpy(&eight, at, 8); return eight;
        }
    }
    """
    int64_t load_index(const uint8_t* at, int bytes, bint is_signed) nogil


# ---- columns in: read in place --------------------------------------------------------------------------------------

cdef class Chunk:
    """An Arrow array taken over from its exporter; released with the last column that reads it."""

    def __dealloc__(self):
        if self.array.release != NULL:
            self.array.release(&self.array)


cdef class Column:
    """Rows of addresses somewhere in memory.  With a dictionary, rows are indices into it."""

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    def __len__(self):
        return <Py_ssize_t>self.c.n

    def nulls(self):
        """A byte a row, 1 for null; None if no row is."""
        cdef bytearray inner = None if self.dictionary is None else self.dictionary.nulls()
        if self.all_null and self.c.n:
            return bytearray(b"\1") * self.c.n
        if self.c.validity == NULL and inner is None:
            return None
        cdef bytearray made = zeros(self.c.n)
        cdef uint8_t* null = <uint8_t*>PyByteArray_AS_STRING(made)
        cdef const uint8_t* inner_null = <const uint8_t*>PyByteArray_AS_STRING(inner) if inner is not None else NULL
        cdef size_t some, done = 0, found = 0
        while done < self.c.n:
            some = min(self.c.n - done, <size_t>STRIDE)
            with nogil:
                found += find_nulls(self, done, some, inner_null, null + done)
            done += some
            PyErr_CheckSignals()
        return made if found else None

    def numbers(self) -> bytes:
        """The numbers of an Arrow column of them as they lie in memory; of booleans, a byte each."""
        if self.format == "b":
            return bool_bytes(self)
        return (<const char*>self.c.rows)[:<Py_ssize_t>(self.c.n * self.c.width)]

    cdef int64_t index(self, size_t row) noexcept nogil:
        """The row's index into the dictionary; not checked, so in a damaged column it may be any number."""
        return load_index(self.c.rows + row * <size_t>self.index_bytes, self.index_bytes, self.index_signed)


cdef size_t find_nulls(Column column, size_t first, size_t n, const uint8_t* inner, uint8_t* null) noexcept nogil:
    """Rows [first, first + n); `inner` has the nulls of the dictionary or is NULL.  Returns how many are."""
    cdef size_t i, found = 0
    cdef int64_t index
    for i in range(n):
        null[i] = nf.nf_is_null(&column.c, first + i)
        if inner != NULL and not null[i]:
            index = column.index(first + i)
            if 0 <= index < <int64_t>column.dictionary.c.n:
                null[i] = inner[index]
        found += null[i]
    return found


cdef bytes bool_bytes(Column column):
    """The bits of a column of booleans, as bytes of 0 and 1."""
    cdef size_t i, bit
    cdef bytearray made = unwritten(column.c.n)
    cdef uint8_t* out = <uint8_t*>PyByteArray_AS_STRING(made)
    for i in range(column.c.n):
        bit = column.c.validity_offset + i      # the same for both bitmaps
        out[i] = column.c.rows[bit // 8] >> (bit % 8) & 1
    return bytes(made)


cpdef bytearray unwritten(size_t n):
    """A bytearray that has yet to be filled."""
    made = PyByteArray_FromStringAndSize(NULL, 0)
    PyByteArray_Resize(made, <Py_ssize_t>n)      # made so large, CPython prints a SystemError beside the MemoryError
    nf.nf_advise_large(PyByteArray_AS_STRING(made), n)
    return made


cpdef bytearray zeros(size_t n):
    """A bytearray of n zeros."""
    made = unwritten(n)
    memset(PyByteArray_AS_STRING(made), 0, n)
    return made


cdef dict ARROW_LAYOUTS = {
    "u": nf.NF_TEXT32, "z": nf.NF_TEXT32, "U": nf.NF_TEXT64, "Z": nf.NF_TEXT64, "vu": nf.NF_VIEW, "vz": nf.NF_VIEW,
    "I": nf.NF_UINT32, "w:4": nf.NF_PACKED4, "w:16": nf.NF_PACKED16,
}
cdef dict ARROW_INDICES = {"c": 1, "C": 1, "s": 2, "S": 2, "i": 4, "I": 4, "l": 8, "L": 8}   # capitals: unsigned
cdef dict VALUE_BYTES = {nf.NF_TEXT32: 4, nf.NF_TEXT64: 8, nf.NF_VIEW: 16, nf.NF_UINT32: 4, nf.NF_PACKED4: 4,
                         nf.NF_PACKED16: 16}
cdef dict NUMBER_BYTES = {"c": 1, "C": 1, "s": 2, "S": 2, "i": 4, "I": 4, "l": 8, "L": 8, "e": 2, "f": 4, "g": 8}
cdef uint8_t NOTHING[16]   # what empty arrays may have in place of a buffer


cdef int64_t take_format(Column column, ArrowSchema* schema, bint values=False) except -1:
    """The layout, but for lengths and places.  Returns how many buffers there must be; 0 if none is looked at."""
    cdef str format = schema.format.decode()
    column.format = format
    if schema.dictionary != NULL:
        if format not in ARROW_INDICES:
            raise TypeError(f"an Arrow dictionary with indices of format {format!r} is not understood")
        column.index_bytes = ARROW_INDICES[format]
        column.index_signed = format.islower()
        column.c.stride = column.index_bytes
        take_format(Column(), schema.dictionary, values)
        return 2
    if format == "n":
        column.all_null = True
        column.c.layout = nf.NF_FIXED    # of no width
        return 0
    if values and format == "b":
        column.c.layout = nf.NF_FIXED    # of bits, which have no stride: the rows begin where the buffer does
        return 2
    if values and format in NUMBER_BYTES:
        column.c.layout = nf.NF_FIXED
        column.c.stride = NUMBER_BYTES[format]
        column.c.width = NUMBER_BYTES[format]
        return 2
    if values and format not in ("u", "U", "vu", "z", "Z", "vz"):
        raise TypeError(f"Arrow values of format {format!r} are not understood; wanted numbers, text or binary")
    if format not in ARROW_LAYOUTS:
        raise TypeError(f"an Arrow {'table' if format == '+s' else 'column'} of format {format!r} holds no addresses; "
                        "wanted one column of text, binary, uint32, or fixed-size binary of 4 or 16 bytes")
    column.c.layout = <nf.nf_layout><int>ARROW_LAYOUTS[format]
    column.c.stride = VALUE_BYTES[ARROW_LAYOUTS[format]]
    return 3 if column.c.layout <= nf.NF_VIEW else 2


cdef Column arrow_column(ArrowSchema* schema, ArrowArray* array, Chunk owner, bint values):
    cdef Column column = Column()
    cdef int64_t buffers = take_format(column, schema, values)
    if array.length < 0 or array.offset < 0 or array.n_buffers < buffers:
        raise_damaged("its length, offset or number of buffers is wrong")
    column.owner = owner
    column.c.n = <size_t>array.length
    column.c.rows = NOTHING
    if buffers == 0 or array.length == 0:
        return column
    if array.null_count != 0:
        column.c.validity = <const uint8_t*>array.buffers[0]
    column.c.validity_offset = <size_t>array.offset
    if array.buffers[1] == NULL:
        raise_damaged("a buffer is missing")
    column.c.rows = <const uint8_t*>array.buffers[1] + array.offset * column.c.stride
    if schema.dictionary != NULL:
        if array.dictionary == NULL:
            raise_damaged("its dictionary is missing")
        column.dictionary = arrow_column(schema.dictionary, array.dictionary, owner, values)
    elif column.c.layout == nf.NF_TEXT32 or column.c.layout == nf.NF_TEXT64:
        column.c.data = <const uint8_t*>array.buffers[2]
        if column.c.data == NULL:
            take_empty_texts(column)
    elif column.c.layout == nf.NF_VIEW:
        column.c.first_view = array.offset == 0
        column.c.buffer_count = array.n_buffers - 3
        column.c.buffers = <const uint8_t**>(array.buffers + 2)
        column.c.buffer_size = <const int64_t*>array.buffers[array.n_buffers - 1]
        if column.c.buffer_count and column.c.buffer_size == NULL:
            raise_damaged("a buffer is missing")
    return column


cdef take_empty_texts(Column column):
    """A column of text may have no bytes at all if all its texts are empty."""
    cdef size_t size = <size_t>column.c.stride
    if memcmp(column.c.rows, column.c.rows + column.c.n * size, size) != 0:
        raise_damaged("a buffer is missing")
    column.c.layout = nf.NF_FIXED
    column.c.rows = NOTHING
    column.c.stride = 0


cdef raise_damaged(str how):
    raise ValueError(f"the Arrow column is damaged: {how}")


cdef raise_stream_error(ArrowArrayStream* stream, int code):
    cdef const char* text = stream.get_last_error(stream)
    message = text.decode("utf-8", "replace") if text != NULL else os.strerror(code)
    raise ValueError(f"the Arrow stream failed: {message}")


def arrow_columns(source, bint values=False) -> list:
    """The columns of an object with the Arrow PyCapsule interface, one a chunk; of addresses, or of any values."""
    cdef ArrowSchema* schema
    cdef ArrowArray* array
    cdef Chunk chunk
    if not hasattr(source, "__arrow_c_array__"):
        return stream_columns(source.__arrow_c_stream__(), values)
    schema_capsule, array_capsule = source.__arrow_c_array__()
    schema = <ArrowSchema*>PyCapsule_GetPointer(schema_capsule, "arrow_schema")
    array = <ArrowArray*>PyCapsule_GetPointer(array_capsule, "arrow_array")
    if schema.release == NULL or array.release == NULL:
        raise ValueError("the Arrow array has been consumed before")
    chunk = Chunk()
    memcpy(&chunk.array, array, sizeof(ArrowArray))
    array.release = NULL     # moved: the capsule has nothing left to release
    return [arrow_column(schema, &chunk.array, chunk, values)]


cdef list stream_columns(capsule, bint values):
    cdef ArrowArrayStream* source = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    cdef ArrowArrayStream stream
    cdef ArrowSchema schema
    cdef ArrowArray* array
    cdef Chunk chunk
    cdef int code
    if source.release == NULL:
        raise ValueError("the Arrow stream has been consumed before")
    memcpy(&stream, source, sizeof(ArrowArrayStream))
    source.release = NULL
    memset(&schema, 0, sizeof(ArrowSchema))
    columns = []
    try:
        with nogil:
            code = stream.get_schema(&stream, &schema)
        if code:
            raise_stream_error(&stream, code)
        take_format(Column(), &schema, values)     # also where there are no chunks
        while True:
            chunk = Chunk()
            array = &chunk.array
            with nogil:
                code = stream.get_next(&stream, array)
            if code:
                raise_stream_error(&stream, code)
            if array.release == NULL:
                return columns
            columns.append(arrow_column(&schema, array, chunk, values))
            PyErr_CheckSignals()
    finally:
        if schema.release != NULL:
            schema.release(&schema)
        with nogil:
            stream.release(&stream)


def numpy_column(array) -> Column:
    """The column of a one-dimensional uint32, S or U array, or of uint8[n, 16]."""
    cdef Column column = Column()
    what = array.dtype.kind, array.dtype.itemsize, array.ndim
    if what == ("u", 4, 1):
        column.c.layout = nf.NF_UINT32
    elif what == ("u", 1, 2) and array.shape[1] == 16 and (array.strides[1] == 1 or not array.size):
        column.c.layout = nf.NF_PACKED16
    elif array.dtype.kind == "S" and array.ndim == 1:
        column.c.layout = nf.NF_FIXED
    elif array.dtype.kind == "U" and array.ndim == 1:
        column.c.layout = nf.NF_UCS4
    else:
        raise TypeError(f"a NumPy array of {array.dtype}{list(array.shape)} holds no addresses; wanted uint32[n], "
                        "S, U or object [n], or uint8[n, 16]")
    PyObject_GetBuffer(array, &column.view, PyBUF_STRIDES | PyBUF_FORMAT)
    column.owner = array
    column.c.rows = <const uint8_t*>column.view.buf
    column.c.n = <size_t>column.view.shape[0]
    column.c.stride = column.view.strides[0]
    column.c.width = <size_t>column.view.itemsize
    return column


# ---- arrays out -----------------------------------------------------------------------------------------------------

cdef class ArrowData:
    """An Arrow array to export: its format, buffers (bytes-like or None), children and dictionary."""
    cdef bytes format, name
    cdef int64_t n, null_count
    cdef list buffers, children
    cdef ArrowData dictionary

    def __init__(self, str format, int64_t n, list buffers, *, str name="", int64_t null_count=0, list children=None,
                 ArrowData dictionary=None):
        self.format = format.encode()
        self.name = name.encode()
        self.n = n
        self.null_count = null_count
        self.buffers = buffers
        self.children = children or []
        self.dictionary = dictionary

    def schema_capsule(self):
        """A capsule of the schema."""
        cdef ArrowSchema* schema = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
        fill_schema(self, schema)
        return PyCapsule_New(schema, "arrow_schema", free_schema_capsule)

    def array_capsule(self):
        """A capsule of the array, which keeps the buffers until whoever took it releases it."""
        cdef ArrowArray* array = <ArrowArray*>calloc(1, sizeof(ArrowArray))
        fill_array(self, array)
        return PyCapsule_New(array, "arrow_array", free_array_capsule)

    def stream_capsule(self):
        """A capsule of a stream of this one array."""
        cdef ArrowArrayStream* stream = <ArrowArrayStream*>calloc(1, sizeof(ArrowArrayStream))
        stream.get_schema = stream_schema
        stream.get_next = stream_next
        stream.get_last_error = stream_error
        stream.release = release_stream
        state = [self]     # emptied when the array has been handed out
        Py_INCREF(state)
        Py_INCREF(self)
        stream.private_data = malloc(2 * sizeof(void*))
        (<void**>stream.private_data)[0] = <void*>state
        (<void**>stream.private_data)[1] = <void*>self
        return PyCapsule_New(stream, "arrow_array_stream", free_stream_capsule)


cdef void fill_schema(ArrowData data, ArrowSchema* out) noexcept:
    cdef Py_ssize_t i
    memset(out, 0, sizeof(ArrowSchema))
    out.format = PyBytes_AS_STRING(data.format)
    out.name = PyBytes_AS_STRING(data.name)
    out.flags = ARROW_FLAG_NULLABLE
    out.n_children = len(data.children)
    out.children = <ArrowSchema**>calloc(<size_t>max(1, len(data.children)), sizeof(ArrowSchema*))
    for i in range(len(data.children)):
        out.children[i] = <ArrowSchema*>malloc(sizeof(ArrowSchema))
        fill_schema(data.children[i], out.children[i])
    if data.dictionary is not None:
        out.dictionary = <ArrowSchema*>malloc(sizeof(ArrowSchema))
        fill_schema(data.dictionary, out.dictionary)
    Py_INCREF(data)
    out.private_data = <void*>data
    out.release = release_schema


cdef void release_schema(ArrowSchema* schema) noexcept with gil:
    cdef int64_t i
    for i in range(schema.n_children):
        if schema.children[i].release != NULL:
            schema.children[i].release(schema.children[i])
        free(schema.children[i])
    free(schema.children)
    if schema.dictionary != NULL:
        if schema.dictionary.release != NULL:
            schema.dictionary.release(schema.dictionary)
        free(schema.dictionary)
    Py_DECREF(<object>schema.private_data)
    schema.release = NULL


cdef struct Held:
    Py_ssize_t n
    Py_buffer* views
    const void** buffers


cdef void fill_array(ArrowData data, ArrowArray* out) except *:
    cdef Py_ssize_t i, n = len(data.buffers)
    cdef Held* held = <Held*>calloc(1, sizeof(Held))
    memset(out, 0, sizeof(ArrowArray))
    held.n = n
    held.views = <Py_buffer*>calloc(<size_t>max(1, n), sizeof(Py_buffer))
    held.buffers = <const void**>calloc(<size_t>max(1, n), sizeof(void*))
    for i in range(n):
        if data.buffers[i] is not None:
            PyObject_GetBuffer(data.buffers[i], &held.views[i], PyBUF_SIMPLE)
            held.buffers[i] = held.views[i].buf
    out.length = data.n
    out.null_count = data.null_count
    out.n_buffers = n
    out.buffers = held.buffers
    out.n_children = len(data.children)
    out.children = <ArrowArray**>calloc(<size_t>max(1, len(data.children)), sizeof(ArrowArray*))
    for i in range(len(data.children)):
        out.children[i] = <ArrowArray*>malloc(sizeof(ArrowArray))
        fill_array(data.children[i], out.children[i])
    if data.dictionary is not None:
        out.dictionary = <ArrowArray*>malloc(sizeof(ArrowArray))
        fill_array(data.dictionary, out.dictionary)
    out.private_data = held
    out.release = release_array


cdef void release_array(ArrowArray* array) noexcept with gil:
    cdef Held* held = <Held*>array.private_data
    cdef int64_t i
    for i in range(array.n_children):
        if array.children[i].release != NULL:
            array.children[i].release(array.children[i])
        free(array.children[i])
    free(array.children)
    if array.dictionary != NULL:
        if array.dictionary.release != NULL:
            array.dictionary.release(array.dictionary)
        free(array.dictionary)
    for i in range(held.n):
        PyBuffer_Release(&held.views[i])
    free(held.views)
    free(held.buffers)
    free(held)
    array.release = NULL


cdef int stream_schema(ArrowArrayStream* stream, ArrowSchema* out) noexcept with gil:
    fill_schema(<ArrowData>(<void**>stream.private_data)[1], out)
    return 0


cdef int stream_next(ArrowArrayStream* stream, ArrowArray* out) noexcept with gil:
    cdef list state = <list>(<void**>stream.private_data)[0]
    memset(out, 0, sizeof(ArrowArray))
    if state:
        fill_array(state.pop(), out)
    return 0


cdef const char* stream_error(ArrowArrayStream* stream) noexcept nogil:
    return NULL


cdef void release_stream(ArrowArrayStream* stream) noexcept with gil:
    Py_DECREF(<object>(<void**>stream.private_data)[0])
    Py_DECREF(<object>(<void**>stream.private_data)[1])
    free(stream.private_data)
    stream.release = NULL


cdef void free_schema_capsule(object capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void free_array_capsule(object capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void free_stream_capsule(object capsule) noexcept:
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


def arrow_validity(nulls):
    """Arrow's validity bits (least significant first) of a byte a row that is 1 for null; and how many are null."""
    cdef Py_ssize_t i, n = len(nulls)
    cdef const uint8_t* null = <const uint8_t*>PyByteArray_AS_STRING(nulls)
    cdef bytearray made = zeros((<size_t>n + 7) // 8)
    cdef uint8_t* bits = <uint8_t*>PyByteArray_AS_STRING(made)
    cdef int64_t count = 0
    for i in range(n):
        bits[i // 8] |= <uint8_t>((not null[i]) << (i % 8))
        count += null[i]
    return made, count


def arrow_bits(bytearray flags) -> bytearray:
    """Arrow's booleans, a bit a row, of a byte a row."""
    cdef Py_ssize_t i
    cdef const uint8_t* flag = <const uint8_t*>PyByteArray_AS_STRING(flags)
    cdef bytearray made = zeros((<size_t>len(flags) + 7) // 8)
    cdef uint8_t* bits = <uint8_t*>PyByteArray_AS_STRING(made)
    for i in range(len(flags)):
        bits[i // 8] |= <uint8_t>((flag[i] != 0) << (i % 8))
    return made


def arrow_text(texts, str name="") -> ArrowData:
    """A utf8 array of a list of str and None; binary, of bytes and None."""
    cdef bytearray data = bytearray(), ends = zeros(8 * (<size_t>len(texts) + 1)), nulls = zeros(<size_t>len(texts))
    cdef Py_ssize_t i
    cdef bint binary = any(isinstance(text, bytes) for text in texts)
    for i, text in enumerate(texts):
        if text is None:
            nulls[i] = 1
        else:
            data += text if binary else text.encode("utf-8", "replace")
        (<int64_t*>PyByteArray_AS_STRING(ends))[i + 1] = len(data)
        if i % OBJECTS == 0:
            PyErr_CheckSignals()
    return arrow_cut(data, ends, nulls, binary, name)


def arrow_cut(bytearray data, bytearray ends, bytearray nulls, bint binary=False, str name="") -> ArrowData:
    """A utf8 array, or a binary one, of texts in a row; `ends` (int64[n + 1], from 0) says where each ends.

    From 2 GiB up it is a large_utf8 or large_binary one.
    """
    cdef Py_ssize_t i, n = len(nulls)
    cdef bint large = len(data) > 0x7FFFFFFF
    cdef bytearray offsets = ends
    if not large:
        offsets = unwritten(4 * (<size_t>n + 1))
        for i in range(n + 1):
            (<int32_t*>PyByteArray_AS_STRING(offsets))[i] = <int32_t>(<int64_t*>PyByteArray_AS_STRING(ends))[i]
    validity, null_count = arrow_validity(nulls)
    form = "z" if binary else "u"
    return ArrowData(form.upper() if large else form, n, [validity if null_count else None, offsets, data],
                     name=name, null_count=null_count)
