# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to prefix tables and sets: prefixes in, sorted columns and look-up tables out, matches by row.

Nothing here is public; `prefixes` and `prefix_sets` are the face.  Sections: prefixes as text, prefixes in order,
look-ups, sets, values.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from libc.stdint cimport SIZE_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from netfast cimport _kernels as nf
from netfast._arrow cimport OBJECTS, STRIDE, Column, raise_damaged, unwritten
from netfast._core cimport (
    SEQUENCE_ITEMS, Address, Memory, Parsed, ParsedRows, ascii_text, format_packed, is_stopped, kernels_in_use,
    match_column_of, match_rows, parse_rows, polars_add, polars_remove, put_value, same_items, sequence_size,
)
from netfast._kernels cimport nf_ip6_number, nf_match_tables, nf_range, nf_rows

import sys

from netfast import _core
from netfast.errors import AddressError, PrefixError

cdef extern from "Python.h":
    int PyBytes_Check(PyObject* item)
    char* BYTES_TEXT "PyBytes_AS_STRING"(PyObject* item)
    Py_ssize_t BYTES_SIZE "PyBytes_GET_SIZE"(PyObject* item)
    int PyLong_CheckExact(PyObject* item)
    int PyFloat_CheckExact(PyObject* item)
    int64_t PyLong_AsLongLongAndOverflow(PyObject* item, int* overflow) except? -1
    double FLOAT_VALUE "PyFloat_AS_DOUBLE"(PyObject* item)

cdef extern from "nf_base.h" nogil:
    void NF_PREFETCH(const void* address)

MOST_PREFIXES = 0x7FFFFFFF     # an index is an int32


cdef class Bytes:
    """The bytes of any object, held for as long as this lives."""
    cdef Py_buffer view
    cdef uint8_t* at
    cdef size_t n

    def __cinit__(self, source):
        PyObject_GetBuffer(source, &self.view, PyBUF_SIMPLE)
        self.at = <uint8_t*>self.view.buf
        self.n = <size_t>self.view.len

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef uint8_t* start(bytearray made) noexcept:
    return <uint8_t*>PyByteArray_AS_STRING(made)


# ---- prefixes as text -----------------------------------------------------------------------------------------------

cdef enum:
    SLICE = 256              # prefixes between two calls of the kernel
    PREFETCH = 96            # objects ahead, as for lists of addresses
    LENGTH_TOO_LARGE = 254   # stands for any number that no family has


cdef struct PrefixSlice:
    const uint8_t* text[SLICE]
    uint32_t size[SLICE]
    uint16_t odd[SLICE]      # items that are neither ASCII str nor bytes
    size_t odd_count


cdef uint32_t address_size(const uint8_t* text, uint32_t size, uint8_t* length) noexcept:
    """How much of a text is in front of "/" and one to three digits; all of it if it does not end on those.

        2001:db8::/32         a "/" anywhere else is in the address then, where no address has one
    """
    cdef uint32_t at = size, value = 0, scale = 1
    while at and size - at < 3 and c"0" <= text[at - 1] <= c"9":
        at -= 1
        value += scale * (text[at] - c"0")
        scale *= 10
    if at == 0 or at == size or text[at - 1] != c"/":
        length[0] = nf.NF_LENGTH_NONE
        return size
    length[0] = <uint8_t>min(value, <uint32_t>LENGTH_TOO_LARGE)
    return at - 1


cdef void gather(PyObject** items, size_t n, size_t ahead, PrefixSlice* rows, uint8_t* length) noexcept:
    """The addresses and lengths of n items; runs no Python code, as in lists of addresses."""
    cdef size_t i
    cdef const uint8_t* text
    cdef uint32_t size = 0
    rows.odd_count = 0
    for i in range(n):
        if i + PREFETCH < ahead:
            NF_PREFETCH(items[i + PREFETCH])
            NF_PREFETCH(<const char*>items[i + PREFETCH] + 56)
        text = ascii_text(items[i], &size)
        if text == NULL and PyBytes_Check(items[i]):
            text = <const uint8_t*>BYTES_TEXT(items[i])
            size = <uint32_t>min(BYTES_SIZE(items[i]), <Py_ssize_t>0xFFFFFFF)
        if text == NULL:
            rows.odd[rows.odd_count] = <uint16_t>i
            rows.odd_count += 1
            rows.text[i] = <const uint8_t*>items[i] + 16   # size 0: the kernel may look at the object's head
            rows.size[i] = 0
        else:
            rows.text[i] = text
            rows.size[i] = address_size(text, size, &length[i])


cdef bint is_prefix(uint8_t holds, uint8_t length) noexcept:
    if holds == nf.NF_IP4:
        return length <= 32 or length == nf.NF_LENGTH_NONE
    return holds == nf.NF_IP6 and (length <= 128 or length == nf.NF_LENGTH_NONE)


def read_prefixes(items) -> tuple:
    """The addresses of a list or tuple of prefixes as Parsed, and their lengths (NF_LENGTH_NONE: none was given).

    PrefixError for a text that is no prefix, TypeError for a foreign item.  Host bits are not looked at.
    """
    cdef size_t n = sequence_size(items), first = 0, some, k, done
    cdef Parsed parsed = Parsed(n)
    cdef bytearray lengths = unwritten(n)
    cdef uint8_t* length = start(lengths)
    cdef PrefixSlice rows
    while first < n:
        some = min(n - first, <size_t>SLICE)
        gather(SEQUENCE_ITEMS(same_items(items, n)) + first, some, n - first, &rows, length + first)
        done = parse_rows(nf_rows(&rows.text[0], &rows.size[0]), some, parsed.v4_at(first), parsed.packed_at(first),
                          parsed.holds_at(first))
        if done < some:
            parsed.widen([(0, first)])
            continue
        for k in range(rows.odd_count):
            put_odd(parsed, length, items, n, first + rows.odd[k], first + some)
        for k in range(first, first + some):
            if not is_prefix(parsed.holds_at(k)[0], length[k]):
                read_prefix(<object>SEQUENCE_ITEMS(same_items(items, n))[k], k)     # which says what is wrong
                raise RuntimeError("an item changed while it was read")
        first += some
        if first % 65536 == 0:
            PyErr_CheckSignals()
            with nogil:
                pass
    return parsed, lengths


cdef put_odd(Parsed parsed, uint8_t* length, items, size_t n, size_t row, size_t until):
    cdef Address address
    version, value, bits = read_prefix(<object>SEQUENCE_ITEMS(same_items(items, n))[row], row)
    put_value(version, value, &address)
    parsed.put(row, &address, until)
    length[row] = bits


def split_pairs(pairs) -> tuple:
    """The first and the second items of an iterable of pairs, as two lists."""
    cdef list first = [], second = []
    for pair in pairs:
        if isinstance(pair, list):
            pair = tuple(pair)
        if not isinstance(pair, tuple) or len(<tuple>pair) != 2:
            raise TypeError(f"item {len(first)} is {type(pair).__name__}, not a pair of prefix and value")
        first.append((<tuple>pair)[0])
        second.append((<tuple>pair)[1])
        if len(first) % OBJECTS == 0:
            PyErr_CheckSignals()
    return first, second


cdef bint is_ipaddress_object(item):
    module = sys.modules.get("ipaddress")
    return module is not None and isinstance(item, (module.IPv4Network, module.IPv6Network, module.IPv4Address,
                                                    module.IPv6Address))


def read_prefix(item, index=None) -> tuple:
    """(version, value, length) of one prefix in any form; PrefixError says what is wrong with its text."""
    if is_ipaddress_object(item):
        item = str(item)
    if not isinstance(item, (str, bytes)):
        where = "a prefix" if index is None else f"item {index}"
        raise TypeError(f"{where} is {type(item).__name__}; wanted str, bytes, or an ipaddress network or address")
    slash = "/" if isinstance(item, str) else b"/"
    address, found, digits = item.partition(slash)
    try:
        version, value, zone = _core.parse_one(address)
    except AddressError as error:
        raise PrefixError(item, error.position, error.reason, index) from None
    if zone is not None:
        at = item.index("%" if isinstance(item, str) else b"%")
        raise PrefixError(item, at, "zone id, which no prefix has", index)
    if not found:
        return version, value, 32 if version == 4 else 128
    return version, value, read_length(item, digits, len(address) + 1, 32 if version == 4 else 128, index)


cdef int read_length(item, digits, Py_ssize_t at, int most, index) except -1:
    if not digits:
        raise PrefixError(item, at, "empty prefix length", index)
    for k in range(len(digits)):
        if digits[k:k + 1] not in ("0123456789" if isinstance(item, str) else b"0123456789"):
            raise PrefixError(item, at + k, "character that no prefix length has", index)
    if len(digits) > 3 or int(digits) > most:
        raise PrefixError(item, at, f"prefix length above {most}", index)
    return int(digits)


# ---- prefixes in order ----------------------------------------------------------------------------------------------

cdef nf_ip6_number number6(value):
    return nf_ip6_number(<uint64_t>(value >> 64), <uint64_t>(value & 0xFFFFFFFFFFFFFFFF))


cdef str prefix_text4(uint32_t address, int length):
    cdef int k
    cdef uint8_t packed[16]
    for k in range(4):
        packed[12 + k] = <uint8_t>(address >> (24 - 8 * k))
    return format_packed(nf.NF_IP4, packed) + "/" + str(length)


cdef str prefix_text6(nf_ip6_number address, int length):
    cdef int k
    cdef uint8_t packed[16]
    for k in range(8):
        packed[k] = <uint8_t>(address.high >> (56 - 8 * k))
        packed[8 + k] = <uint8_t>(address.low >> (56 - 8 * k))
    return format_packed(nf.NF_IP6, packed) + "/" + str(length)


cdef class Prefixes:
    """Distinct prefixes, IPv4 first, then by address, then by length.

    address4: uint32[n4], length4: uint8[n4], address6: (high, low) uint64[n6, 2], length6: uint8[n6]; host order.
    """
    cdef readonly size_t n4, n6
    cdef readonly object columns
    cdef Bytes address4, length4, address6, length6

    def __init__(self, address4, length4, address6, length6):
        self.columns = (address4, length4, address6, length6)
        self.address4, self.length4 = Bytes(address4), Bytes(length4)
        self.address6, self.length6 = Bytes(address6), Bytes(length6)
        self.n4, self.n6 = self.length4.n, self.length6.n
        if self.address4.n != 4 * self.n4 or self.address6.n != 16 * self.n6:
            raise ValueError("columns of prefixes differ in length")

    cdef uint32_t* v4(self) noexcept:
        return <uint32_t*>self.address4.at

    cdef nf_ip6_number* v6(self) noexcept:
        return <nf_ip6_number*>self.address6.at

    def __len__(self):
        return <Py_ssize_t>(self.n4 + self.n6)

    def in_order(self) -> bool:
        """Whether they are what this class says, which foreign columns may not be."""
        cdef bint fine
        cdef const uint32_t* v4 = self.v4()
        cdef const nf_ip6_number* v6 = self.v6()
        with nogil:
            fine = (nf.nf_prefixes4_in_order(v4, self.length4.at, self.n4) and
                    nf.nf_prefixes6_in_order(v6, self.length6.at, self.n6))
        return fine

    cdef str text(self, size_t i):
        if i < self.n4:
            return prefix_text4(self.v4()[i], self.length4.at[i])
        return prefix_text6(self.v6()[i - self.n4], self.length6.at[i - self.n4])

    def texts(self, size_t first, size_t n) -> list:
        """Prefixes [first, first + n), as far as there are any."""
        cdef size_t i, until = min(first + n, self.n4 + self.n6)
        made = []
        for i in range(first, until):
            made.append(self.text(i))
            if i % 65536 == 0:
                PyErr_CheckSignals()
        return made

    def before(self, int version, value, int length) -> int:
        """How many prefixes, of both families, come before this one."""
        if version == 4:
            return nf.nf_prefixes4_before(self.v4(), self.length4.at, self.n4, value, length)
        return self.n4 + nf.nf_prefixes6_before(self.v6(), self.length6.at, self.n6, number6(value), length)

    def find(self, int version, value, int length) -> int:
        """The index of this prefix; -1 if it is not there."""
        cdef size_t i = self.before(version, value, length)
        cdef nf_ip6_number number
        if version == 4:
            return i if i < self.n4 and self.v4()[i] == value and self.length4.at[i] == length else -1
        number = number6(value)
        if i == self.n4 + self.n6 or self.length6.at[i - self.n4] != length:
            return -1
        return i if self.v6()[i - self.n4].high == number.high and self.v6()[i - self.n4].low == number.low else -1


cdef class GivenPrefixes:
    """Prefixes as they were given, by family, and which row each is of."""
    cdef nf.nf_prefix_columns columns
    cdef bytearray address4, length4, row4, address6, length6, row6

    def __init__(self, size_t room4, size_t room6):
        self.address4, self.length4, self.row4 = unwritten(4 * room4), unwritten(room4), unwritten(4 * room4)
        self.address6, self.length6, self.row6 = unwritten(16 * room6), unwritten(room6), unwritten(4 * room6)
        self.columns.address4 = <uint32_t*>start(self.address4)
        self.columns.address6 = <nf_ip6_number*>start(self.address6)
        self.columns.length4, self.columns.length6 = start(self.length4), start(self.length6)
        self.columns.row4, self.columns.row6 = <uint32_t*>start(self.row4), <uint32_t*>start(self.row6)

    def sorted(self) -> tuple:
        """The distinct ones as Prefixes, and int32[n] of the rows they were given in.  Ends the use of this object."""
        cdef nf.nf_prefix_columns* c = &self.columns
        cdef size_t n4, n6, i
        cdef bytearray order4 = unwritten(4 * c.n4), order6 = unwritten(4 * c.n6), rows
        cdef uint32_t* from4 = <uint32_t*>start(order4)
        cdef uint32_t* from6 = <uint32_t*>start(order6)
        cdef uint32_t* row
        with nogil:
            n4 = nf.nf_sort_prefixes4(c.address4, c.length4, from4, c.n4)
            n6 = nf.nf_sort_prefixes6(c.address6, c.length6, from6, c.n6)
        if n4 == SIZE_MAX or n6 == SIZE_MAX:
            raise MemoryError()
        rows = unwritten(4 * (n4 + n6))
        row = <uint32_t*>start(rows)
        with nogil:
            for i in range(n4):
                row[i] = c.row4[from4[i]]
            for i in range(n6):
                row[n4 + i] = c.row6[from6[i]]
        PyErr_CheckSignals()
        cut(self.address4, 4 * n4)
        cut(self.length4, n4)
        cut(self.address6, 16 * n6)
        cut(self.length6, n6)
        return Prefixes(self.address4, self.length4, self.address6, self.length6), rows


cdef cut(bytearray column, size_t size):
    if <size_t>len(column) != size:
        PyByteArray_Resize(column, <Py_ssize_t>size)


def given_prefixes(Parsed parsed, lengths, bint mask) -> tuple:
    """The rows as GivenPrefixes, and how many of them are prefixes before one that is not."""
    cdef Bytes length = Bytes(lengths)
    cdef size_t done = 0, got, until, ip4 = <size_t>parsed.holds.count(nf.NF_IP4)
    cdef GivenPrefixes given
    cdef ParsedRows rows = parsed.rows_at(0)
    cdef nf.nf_prefix_rows source = nf.nf_prefix_rows(rows.holds, rows.v4, rows.packed, length.at)
    if length.n != parsed.n:
        raise ValueError(f"{parsed.n} addresses, but {length.n} lengths")
    if parsed.n > <size_t>MOST_PREFIXES:
        raise ValueError(f"{parsed.n} prefixes are more than the {MOST_PREFIXES} that a table holds")
    given = GivenPrefixes(ip4, parsed.n - ip4)
    while done < parsed.n:
        until = min(parsed.n, done + <size_t>STRIDE)
        with nogil:
            got = nf.nf_split_prefixes(&source, done, until, mask, &given.columns)
        done = got
        if got < until:
            break
        PyErr_CheckSignals()
    return given, done


def given_ranges(Parsed firsts, Parsed lasts) -> tuple:
    """The prefixes that make up ranges, as GivenPrefixes, and how many rows are ranges before one that is not."""
    cdef Py_ssize_t row
    cdef bytearray four = bytearray(), six = bytearray(), rows4 = bytearray(), rows6 = bytearray()
    cdef GivenPrefixes given
    cdef nf_range one
    cdef uint32_t at
    for row in range(<Py_ssize_t>firsts.n):
        if not range_of(firsts, lasts, row, &one):
            return None, row
        at = <uint32_t>row
        if firsts.holds_at(row)[0] == nf.NF_IP4:
            four += (<char*>&one)[:sizeof(nf_range)]
            rows4 += (<char*>&at)[:4]
        else:
            six += (<char*>&one)[:sizeof(nf_range)]
            rows6 += (<char*>&at)[:4]
        if row % 65536 == 0:
            PyErr_CheckSignals()
    given = prefixes_of_ranges(four, six)
    name_rows(given.columns.row4, given.columns.n4, <uint32_t*>start(rows4))
    name_rows(given.columns.row6, given.columns.n6, <uint32_t*>start(rows6))
    return given, firsts.n


cdef void name_rows(uint32_t* row, size_t n, const uint32_t* names) noexcept:
    cdef size_t i
    for i in range(n):
        row[i] = names[row[i]]


cdef bint range_of(Parsed firsts, Parsed lasts, size_t row, nf_range* out) noexcept:
    """Whether both ends are of one family, and in order."""
    if firsts.holds_at(row)[0] != lasts.holds_at(row)[0]:
        return False
    if firsts.holds_at(row)[0] == nf.NF_IP4:
        out.first = nf_ip6_number(0, firsts.v4_at(row)[0])
        out.last = nf_ip6_number(0, lasts.v4_at(row)[0])
    elif firsts.holds_at(row)[0] == nf.NF_IP6:
        out.first = number_at(firsts.packed_at(row)[0])
        out.last = number_at(lasts.packed_at(row)[0])
    else:
        return False
    return out.first.high < out.last.high or (out.first.high == out.last.high and out.first.low <= out.last.low)


cdef nf_ip6_number number_at(const uint8_t* packed) noexcept nogil:
    return nf_ip6_number(<uint64_t>nf.nf_load_be32(packed) << 32 | nf.nf_load_be32(packed + 4),
                         <uint64_t>nf.nf_load_be32(packed + 8) << 32 | nf.nf_load_be32(packed + 12))


cdef GivenPrefixes prefixes_of_ranges(bytearray four, bytearray six):
    cdef const nf_range* range4 = <const nf_range*>start(four)
    cdef const nf_range* range6 = <const nf_range*>start(six)
    cdef size_t n4 = <size_t>len(four) // sizeof(nf_range), n6 = <size_t>len(six) // sizeof(nf_range), made4, made6
    cdef GivenPrefixes given
    cdef nf.nf_prefix_columns* c
    with nogil:
        made4 = nf.nf_prefixes_of_ranges4(range4, n4, NULL, NULL, NULL)
        made6 = nf.nf_prefixes_of_ranges6(range6, n6, NULL, NULL, NULL)
    if made4 + made6 > <size_t>MOST_PREFIXES:
        raise ValueError(f"the ranges are {made4 + made6} prefixes, more than the {MOST_PREFIXES} that a table holds")
    given = GivenPrefixes(made4, made6)
    c = &given.columns
    with nogil:
        c.n4 = nf.nf_prefixes_of_ranges4(range4, n4, c.address4, c.length4, c.row4)
        c.n6 = nf.nf_prefixes_of_ranges6(range6, n6, c.address6, c.length6, c.row6)
    return given


# ---- look-ups -------------------------------------------------------------------------------------------------------

cdef class Lookup:
    """The longest prefix that matches, by row: its index in Prefixes, -1 if there is none."""
    cdef readonly object table4, table6     # the tables' bytes
    cdef Bytes bytes4, bytes6
    cdef object __weakref__

    def __init__(self, Prefixes prefixes, table4=None, table6=None):
        """Tables that were made before must be of these prefixes; ValueError if they are damaged."""
        self.table4 = build4(prefixes) if table4 is None else table4
        self.table6 = build6(prefixes) if table6 is None else table6
        self.bytes4, self.bytes6 = Bytes(self.table4), Bytes(self.table6)
        if table4 is not None:
            self.check(<int32_t>prefixes.n4, <int32_t>prefixes.n6)

    cdef check(self, int32_t n4, int32_t n6):
        cdef bint fine
        if (<size_t>self.bytes4.at | <size_t>self.bytes6.at) % 64:
            raise ValueError("a table is not aligned to 64 bytes")
        with nogil:
            fine = (nf.nf_ip4_table_check(self.bytes4.at, self.bytes4.n, 0, <size_t>n4) and
                    nf.nf_ip6_table_check(self.bytes6.at, self.bytes6.n, n4, <size_t>n6))
        if not fine:
            raise ValueError("a table points outside itself")

    cdef nf_match_tables tables(self) noexcept:
        return nf_match_tables(self.bytes4.at, self.bytes6.at)

    def one(self, int version, value) -> int:
        """The match of one address."""
        cdef int32_t index
        cdef Address address
        put_value(version, value, &address)
        if version == 4:
            kernels_in_use().ip4_lookup(self.bytes4.at, &address.v4, 1, &index)
        else:
            kernels_in_use().ip6_lookup(self.bytes6.at, &address.packed, 1, &index)
        return index


@cython.no_gc_clear                          # what expressions read is there until they have ended
cdef class PolarsPrefixes:
    """Prefixes that expressions of Polars find by `id`, for as long as this lives.

    values: by prefix, int32 of which a negative one is null, or 8 bytes; None for no values.
    """
    cdef readonly uint64_t id
    cdef Bytes bytes4, bytes6, values

    def __init__(self, Lookup lookup, values=None):
        self.bytes4, self.bytes6 = lookup.bytes4, lookup.bytes6
        self.values = None if values is None else Bytes(values)
        self.id = polars_add(lookup.tables(), NULL if values is None else self.values.at)
        if self.id == 0:
            raise MemoryError()

    def __dealloc__(self):
        with nogil:
            polars_remove(self.id)


cdef Memory build4(Prefixes prefixes):
    cdef nf.nf_table table
    cdef bint fine
    cdef const uint32_t* v4 = prefixes.v4()
    with nogil:
        fine = nf.nf_ip4_table_build(v4, prefixes.length4.at, prefixes.n4, 0, &table)
    return own_table(fine, &table)


cdef Memory build6(Prefixes prefixes):
    cdef nf.nf_table table
    cdef bint fine
    cdef const nf_ip6_number* v6 = prefixes.v6()
    with nogil:
        fine = nf.nf_ip6_table_build(v6, prefixes.length6.at, prefixes.n6, <int32_t>prefixes.n4, &table)
    return own_table(fine, &table)


cdef Memory own_table(bint fine, nf.nf_table* table):
    if not fine:
        raise MemoryError()
    cdef Memory memory = Memory.__new__(Memory)
    memory.data = table.bytes
    memory.size = <Py_ssize_t>table.size
    PyErr_CheckSignals()
    return memory


cdef int32_t* index_at(bytearray index, size_t i) noexcept:
    return <int32_t*>start(index) + i


def match_parsed(Lookup lookup, Parsed parsed, size_t first, size_t n, bint unwrap, bytearray index,
                 bytearray stop=None):
    """Rows [first, first + n) to index[first:first + n].  A byte in `stop` ends it early."""
    cdef size_t some, done = 0
    cdef int32_t* to = index_at(index, first)
    cdef nf_match_tables tables = lookup.tables()
    cdef ParsedRows rows
    while done < n and not is_stopped(stop):
        some = min(n - done, <size_t>STRIDE)
        rows = parsed.rows_at(first + done)
        with nogil:
            match_rows(&tables, &rows, some, unwrap, to + done)
        done += some
        PyErr_CheckSignals()


cdef bint map_indices(Column column, size_t first, size_t n, const int32_t* inner, int32_t* index) noexcept nogil:
    cdef size_t i
    cdef int64_t at
    for i in range(n):
        index[i] = -1
        if nf.nf_is_null(&column.c, first + i):
            continue
        at = column.index(first + i)
        if at < 0 or at >= <int64_t>column.dictionary.c.n:
            return False
        index[i] = inner[at]
    return True


def match_dictionary(Lookup lookup, Column column, bint unwrap):
    """The matches of a column's dictionary, which `match_column` wants; None where it has none."""
    if column.dictionary is None:
        return None
    cdef bytearray index = unwritten(4 * column.dictionary.c.n)
    inner = match_dictionary(lookup, column.dictionary, unwrap)
    match_column(lookup, column.dictionary, 0, column.dictionary.c.n, unwrap, index, 0, inner)
    return index


def match_column(Lookup lookup, Column column, size_t first, size_t n, bint unwrap, bytearray index, size_t at,
                 bytearray inner=None, bytearray stop=None):
    """Rows [first, first + n) to index[at:at + n].  A byte in `stop` ends it early."""
    cdef size_t some, done = 0
    cdef int32_t* to = index_at(index, at)
    cdef const int32_t* inner_index = index_at(inner, 0) if inner is not None else NULL
    cdef nf_match_tables tables = lookup.tables()
    cdef bint fine
    while done < n and not is_stopped(stop):
        some = min(n - done, <size_t>STRIDE)
        with nogil:
            if inner_index != NULL:
                fine = map_indices(column, first + done, some, inner_index, to + done)
            else:
                fine = match_column_of(&tables, &column.c, first + done, some, unwrap, to + done)
        if not fine:
            raise_damaged("an offset or index points outside its buffer")
        done += some
        PyErr_CheckSignals()


# ---- sets -----------------------------------------------------------------------------------------------------------

KEEP_NEITHER, KEEP_ONLY_A = nf.NF_KEEP_NEITHER, nf.NF_KEEP_ONLY_A
KEEP_ONLY_B, KEEP_BOTH = nf.NF_KEEP_ONLY_B, nf.NF_KEEP_BOTH


cdef class Ranges:
    """Addresses of one family as ranges, in order and apart: nf_range[n], of which `data` has the bytes."""
    cdef readonly unsigned int bits
    cdef readonly bytearray data

    def __init__(self, unsigned int bits, bytearray data):
        self.bits = bits
        self.data = data

    cdef nf_range* at(self) noexcept:
        return <nf_range*>start(self.data)

    cdef size_t n(self) noexcept:
        return <size_t>len(self.data) // sizeof(nf_range)

    def combined(self, Ranges other, unsigned int keep) -> Ranges:
        """The addresses that `keep` names by where they are (NF_KEEP_...)."""
        cdef size_t room = self.n() + other.n() + 1
        cdef bytearray made = unwritten(room * sizeof(nf_range))
        cut(made, self.combine(other, keep, <nf_range*>start(made), room) * sizeof(nf_range))
        return Ranges(self.bits, made)

    def any(self, Ranges other, unsigned int keep) -> bool:
        """Whether `combined` would hold any address."""
        cdef nf_range one
        return self.combine(other, keep, &one, 1) != 0

    cdef size_t combine(self, Ranges other, unsigned int keep, nf_range* out, size_t room) noexcept:
        cdef const nf_range* a = self.at()
        cdef const nf_range* b = other.at()
        cdef size_t n_a = self.n(), n_b = other.n(), made
        with nogil:
            made = nf.nf_ranges_combine(a, n_a, b, n_b, keep, self.bits, out, room)
        return made

    def count_prefixes(self) -> int:
        """How many prefixes make them up at least."""
        if self.bits == 32:
            return nf.nf_prefixes_of_ranges4(self.at(), self.n(), NULL, NULL, NULL)
        return nf.nf_prefixes_of_ranges6(self.at(), self.n(), NULL, NULL, NULL)

    def count_addresses(self) -> int:
        """How many addresses they hold."""
        cdef nf_ip6_number span = nf.nf_ranges_span(self.at(), self.n())
        return (<object>span.high << 64) + span.low + self.n()

    def holds(self, value) -> bool:
        """Whether they hold an address."""
        return nf.nf_ranges_hold(self.at(), self.n(), number6(value))


def ranges_of(Prefixes prefixes) -> tuple:
    """The ranges of each family."""
    cdef bytearray four = unwritten(prefixes.n4 * sizeof(nf_range)), six = unwritten(prefixes.n6 * sizeof(nf_range))
    cdef const uint32_t* v4 = prefixes.v4()
    cdef const nf_ip6_number* v6 = prefixes.v6()
    cdef nf_range* range4 = <nf_range*>start(four)
    cdef nf_range* range6 = <nf_range*>start(six)
    cdef size_t n4, n6
    with nogil:
        n4 = nf.nf_ranges_of_prefixes4(v4, prefixes.length4.at, prefixes.n4, range4)
        n6 = nf.nf_ranges_of_prefixes6(v6, prefixes.length6.at, prefixes.n6, range6)
    cut(four, n4 * sizeof(nf_range))
    cut(six, n6 * sizeof(nf_range))
    return Ranges(32, four), Ranges(128, six)


def prefixes_of(Ranges four, Ranges six) -> Prefixes:
    """The fewest prefixes that make them up."""
    cdef GivenPrefixes given = prefixes_of_ranges(four.data, six.data)
    return Prefixes(given.address4, given.length4, given.address6, given.length6)


# ---- values: one a prefix, taken by index ---------------------------------------------------------------------------

ctypedef fused Item:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef void take_items(const Item* column, const int32_t* index, size_t n, Item other, Item* out) noexcept nogil:
    cdef size_t i
    for i in range(n):
        out[i] = column[index[i]] if index[i] >= 0 else other


cdef void take_some(const uint8_t* column, size_t width, const int32_t* index, size_t n, const uint8_t* other,
                    uint8_t* out) noexcept nogil:
    if width == 1:
        take_items[uint8_t](column, index, n, other[0], out)
    elif width == 2:
        take_items[uint16_t](<const uint16_t*>column, index, n, (<const uint16_t*>other)[0], <uint16_t*>out)
    elif width == 4:
        take_items[uint32_t](<const uint32_t*>column, index, n, (<const uint32_t*>other)[0], <uint32_t*>out)
    else:
        take_items[uint64_t](<const uint64_t*>column, index, n, (<const uint64_t*>other)[0], <uint64_t*>out)


def take(column, size_t width, bytearray index, bytes other) -> bytearray:
    """The items (1, 2, 4 or 8 bytes wide) of a column at int32 indices; `other` where one is negative."""
    cdef size_t n = <size_t>len(index) // 4, done = 0, some
    cdef Bytes source = Bytes(column), no = Bytes(other)
    cdef bytearray made = unwritten(n * width)
    cdef uint8_t* out = start(made)
    cdef const int32_t* at = index_at(index, 0)
    if width not in (1, 2, 4, 8) or no.n != width:
        raise ValueError(f"items of {width} bytes")
    while done < n:
        some = min(n - done, <size_t>STRIDE)
        with nogil:
            take_some(source.at, width, at + done, some, no.at, out + done * width)
        done += some
        PyErr_CheckSignals()
    return made


def take_objects(codes, list objects, bytearray index, default) -> list:
    """objects[codes[i]] for each int32 index i; the default where one is negative."""
    cdef size_t n = <size_t>len(index) // 4, k
    cdef Bytes source = Bytes(codes)
    cdef const int32_t* code = <const int32_t*>source.at
    cdef const int32_t* at = index_at(index, 0)
    cdef list made = [default] * n
    for k in range(n):
        if at[k] >= 0:
            made[k] = objects[code[at[k]]]
        if k % OBJECTS == 0:
            PyErr_CheckSignals()
    return made


def take_texts(Prefixes prefixes, bytearray index) -> list:
    """The text of each prefix, made once; None where an index is negative."""
    cdef size_t n = <size_t>len(index) // 4, k
    cdef const int32_t* at = index_at(index, 0)
    cdef list texts = [None] * len(prefixes), made = [None] * n
    for k in range(n):
        if at[k] >= 0:
            text = texts[at[k]]
            if text is None:
                text = texts[at[k]] = prefixes.text(<size_t>at[k])
            made[k] = text
        if k % OBJECTS == 0:
            PyErr_CheckSignals()
    return made


def first_negative(bytearray index) -> int:
    """The first row whose int32 is negative; -1 if there is none."""
    cdef Py_ssize_t i, n = len(index) // 4
    cdef const int32_t* at = index_at(index, 0)
    for i in range(n):
        if at[i] < 0:
            return i
    return -1


def flags(bytearray index) -> bytearray:
    """A byte a row, 1 where the int32 is not negative."""
    cdef Py_ssize_t i, n = len(index) // 4
    cdef const int32_t* at = index_at(index, 0)
    cdef bytearray made = unwritten(<size_t>n)
    cdef uint8_t* flag = start(made)
    with nogil:
        for i in range(n):
            flag[i] = at[i] >= 0
    return made


def validity(bytearray index) -> tuple:
    """Arrow's validity bits of int32s that are negative where null (None if none is); and how many are."""
    cdef size_t i, n = <size_t>len(index) // 4
    cdef const int32_t* at = index_at(index, 0)
    cdef bytearray made = bytearray((n + 7) // 8)
    cdef uint8_t* bits = start(made)
    cdef int64_t nulls = 0
    with nogil:
        for i in range(n):
            nulls += at[i] < 0
        for i in range(n // 8):
            bits[i] = validity_byte(at + 8 * i, 8)
        if n % 8:
            bits[n // 8] = validity_byte(at + n // 8 * 8, n % 8)
    return (made if nulls else None), nulls


cdef inline uint8_t validity_byte(const int32_t* at, size_t n) noexcept nogil:
    cdef size_t i
    cdef unsigned int bits = 0
    for i in range(n):
        bits |= <unsigned int>(at[i] >= 0) << i
    return <uint8_t>bits


def all_below(codes, int32_t n) -> bool:
    """Whether all int32s are in [0, n)."""
    cdef Bytes source = Bytes(codes)
    cdef const int32_t* code = <const int32_t*>source.at
    cdef size_t i, outside = 0
    with nogil:
        for i in range(source.n // 4):
            outside += code[i] < 0 or code[i] >= n
    return outside == 0


def integers(items):
    """A list or tuple of int as int64 bytes; None if an item is anything else or too large."""
    cdef size_t n = sequence_size(items), i
    cdef PyObject** item = SEQUENCE_ITEMS(items)
    cdef bytearray made = unwritten(8 * n)
    cdef int64_t* out = <int64_t*>start(made)
    cdef int overflow = 0
    for i in range(n):
        if not PyLong_CheckExact(item[i]):
            return None
        out[i] = PyLong_AsLongLongAndOverflow(item[i], &overflow)
        if overflow:
            return None
    return made


def floats(items):
    """A list or tuple of float as float64 bytes; None if an item is anything else."""
    cdef size_t n = sequence_size(items), i
    cdef PyObject** item = SEQUENCE_ITEMS(items)
    cdef bytearray made = unwritten(8 * n)
    cdef double* out = <double*>start(made)
    for i in range(n):
        if not PyFloat_CheckExact(item[i]):
            return None
        out[i] = FLOAT_VALUE(item[i])
    return made


def distinct(items) -> tuple:
    """(int32 codes, list): each different object once.  Equal ones of equal type are one; unhashable ones never."""
    cdef size_t n = sequence_size(items), i
    cdef bytearray codes = unwritten(4 * n)
    cdef int32_t* code = index_at(codes, 0)
    cdef list objects = []
    cdef dict texts = {}, others = {}, known
    for i in range(n):
        item = <object>SEQUENCE_ITEMS(same_items(items, n))[i]
        known = texts if type(item) is str else others
        key = item if type(item) is str else identity(item)
        at = known.get(key)
        if at is None:
            at = known[key] = len(objects)
            objects.append(item)
        code[i] = at
        if i % OBJECTS == 0:
            PyErr_CheckSignals()
    return codes, objects


cdef object identity(item):
    """A key that tells 1, 1.0 and True apart, in tuples too, and 0.0 from -0.0."""
    if type(item) is tuple:
        return (tuple, *[identity(part) for part in item])
    if type(item) is float:
        return float, item.hex()
    try:
        hash(item)
    except TypeError:
        return object, id(item)
    return type(item), item
