# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border between Python and the kernels: get the buffers, call one kernel, box what it wrote or raise.

Nothing here is public; the modules around it are the face.  Sections: kernel forms, one address, bulk calls on columns,
lists, text.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_REFCNT
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove, memset

from netfast cimport _kernels as nf
from netfast._arrow cimport OBJECTS, STRIDE, Column, raise_damaged, unwritten, zeros
from netfast._kernels cimport nf_column, nf_kernels, nf_match_tables, nf_packed, nf_rows

import operator
import os
import sys

from netfast.errors import AddressError

cdef extern from "Python.h":
    int PyBytes_Check(PyObject* item)
    char* BYTES_TEXT "PyBytes_AS_STRING"(PyObject* item)
    Py_ssize_t BYTES_SIZE "PyBytes_GET_SIZE"(PyObject* item)
    object PyUnicode_New(Py_ssize_t size, uint32_t largest)
    void* PyUnicode_DATA(object text)


# ---- kernel forms ---------------------------------------------------------------------------------------------------

def kernel_names() -> tuple:
    """The kernel forms this build and this CPU can run, best first."""
    names = []
    while nf.nf_kernels_name(len(names)) != NULL:
        names.append(nf.nf_kernels_name(len(names)).decode())
    return tuple(names)


def use_kernels(name: str) -> str:
    """Use the kernel form of that name and return the one that was in use."""
    cdef bytes wanted = name.encode()
    previous = nf.nf_active.name.decode()
    if not nf.nf_kernels_use(wanted):
        raise ValueError(f"no kernel form {name!r} here; there are {', '.join(kernel_names())}")
    return previous


cdef const nf_kernels* kernels_in_use() noexcept nogil:
    return nf.nf_active


cdef choose_kernels():
    wanted = os.environ.get("NETFAST_KERNELS")
    cdef bytes name = wanted.encode() if wanted else b""
    if not nf.nf_kernels_use(<const char*>name if wanted else NULL):
        there = ", ".join(kernel_names())
        raise ImportError(f"NETFAST_KERNELS={wanted!r}: no such kernel form here; there are {there}")


choose_kernels()


# ---- one address ----------------------------------------------------------------------------------------------------

REASONS = {
    nf.NF_EMPTY: "empty text",
    nf.NF_BAD_CHARACTER: "character that no address has there",
    nf.NF_OCTET_COUNT: "not four octets",
    nf.NF_OCTET_EMPTY: "empty octet",
    nf.NF_OCTET_LONG: "octet of more than three digits",
    nf.NF_OCTET_ZERO: "octet with a leading zero",
    nf.NF_OCTET_RANGE: "octet above 255",
    nf.NF_GROUP_COUNT: "not eight groups",
    nf.NF_GROUP_LONG: "group of more than four hexadecimal digits",
    nf.NF_COLON_LONE: "single colon at an end",
    nf.NF_COLON_DOUBLE: "more than one '::'",
    nf.NF_ZONE_EMPTY: "empty zone id",
    nf.NF_ZONE_CHARACTER: "'%' or '/' in the zone id",
}


cdef nf.nf_reason read_text(const uint8_t* text, size_t size, Address* address, size_t* position) noexcept nogil:
    """Text of either family; a colon or a zone makes it IPv6."""
    cdef size_t i
    cdef nf.nf_reason reason
    cdef bint ip6 = False
    address.holds = nf.NF_NONE
    address.v4 = 0
    memset(address.packed, 0, 16)
    for i in range(size):
        if text[i] == b":" or text[i] == b"%":
            ip6 = True
            break
    if ip6:
        reason = nf.nf_ip6_parse(text, size, address.packed, &address.zone, position)
        if reason == nf.NF_OK:
            address.holds = nf.NF_IP6 if address.zone == size else nf.NF_IP6_ZONED
    else:
        reason = nf.nf_ip4_parse(text, size, &address.v4, position)
        if reason == nf.NF_OK:
            address.holds = nf.NF_IP4
            nf.nf_pack_ip4(address.v4, address.packed)
    return reason


cdef bytes text_bytes(text):
    """str or bytes as bytes; a lone surrogate becomes bytes that only a zone id may hold."""
    return text if isinstance(text, bytes) else str.encode(text, "utf-8", "surrogatepass")


cdef str zone_text(text):
    """The zone id of an address that has one; bytes that are not UTF-8 survive as the operating system's names do."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return str.partition(text, "%")[2]


def parse_one(text, index=None) -> tuple:
    """(version, value, zone) of an address in str or bytes; AddressError says what is wrong with any other."""
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"an address is str or bytes, not {type(text).__name__}")
    cdef bytes data = text_bytes(text)
    cdef Address address
    cdef size_t position
    cdef nf.nf_reason reason = read_text(<const uint8_t*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data),
                                         &address, &position)
    if reason != nf.NF_OK:
        at = len(data[:position].decode("utf-8", "surrogatepass")) if isinstance(text, str) else position
        raise AddressError(text, at, REASONS[reason], index)
    if address.holds == nf.NF_IP4:
        return 4, address.v4, None
    zone = zone_text(text) if address.holds == nf.NF_IP6_ZONED else None
    return 6, int.from_bytes(address.packed[:16], "big"), zone


def classify_one(version: int, value: int) -> int:
    """The code of the most specific block that holds the address."""
    if version == 4:
        return nf.nf_classify_ip4(value)
    cdef bytes packed = value.to_bytes(16, "big")
    return nf.nf_classify_ip6(<const uint8_t*>PyBytes_AS_STRING(packed))


def unwrap_one(value: int):
    """The IPv4 address (int) that an IPv6 address carries, or None."""
    cdef bytes packed = value.to_bytes(16, "big")
    cdef uint32_t carried
    return carried if nf.nf_unwrap(<const uint8_t*>PyBytes_AS_STRING(packed), &carried) else None


cdef str format_packed(uint8_t holds, const uint8_t* packed):
    cdef uint8_t text[nf.NF_IP6_TEXT_MAX]
    return ascii_str(text, nf.nf_format_row(holds, nf.nf_load_be32(packed + 12), packed, text))


cdef str ascii_str(const uint8_t* text, size_t size):
    cdef object made = PyUnicode_New(<Py_ssize_t>size, 127)
    memcpy(<void*>PyUnicode_DATA(made), text, size)
    return made


def format_one(version: int, value: int) -> str:
    """RFC 5952 text; dotted decimal for IPv4."""
    cdef bytes packed = (value | 0xFFFF_0000_0000 if version == 4 else value).to_bytes(16, "big")
    return format_packed(nf.NF_IP4 if version == 4 else nf.NF_IP6, <const uint8_t*>PyBytes_AS_STRING(packed))


# ---- bulk calls on columns: ranges of rows, so that threads can share them ------------------------------------------

cdef raise_outside():
    raise_damaged("an offset or index points outside its buffer")


cdef bint is_stopped(bytearray stop) noexcept:
    return stop is not None and PyByteArray_AS_STRING(stop)[0] != 0


cdef bint map_codes(Column column, size_t first, size_t n, const uint8_t* inner, uint8_t* code) noexcept nogil:
    cdef size_t i
    cdef int64_t index
    for i in range(n):
        if nf.nf_is_null(&column.c, first + i):
            code[i] = 0
            continue
        index = column.index(first + i)
        if index < 0 or index >= <int64_t>column.dictionary.c.n:
            return False
        code[i] = inner[index]
    return True


def dictionary_codes(Column column, bint unwrap):
    """The codes of a column's dictionary, which `classify_range` wants; None where it has none."""
    if column.dictionary is None:
        return None
    codes = zeros(column.dictionary.c.n)
    inner = dictionary_codes(column.dictionary, unwrap)
    classify_range(column.dictionary, 0, column.dictionary.c.n, unwrap, codes, 0, inner)
    return codes


def column_text(Column column, Py_ssize_t row):
    """A row as written, in bytes (of NumPy's U: str), None where there is no text."""
    cdef uint8_t room[nf.NF_TEXT_ROOM]
    cdef const uint8_t* text
    cdef uint32_t size
    if column.dictionary is not None:
        return None if nf.nf_is_null(&column.c, row) else column_text(column.dictionary, column.index(row))
    if column.all_null:
        return None
    if column.c.layout == nf.NF_UCS4:
        text = column.c.rows + row * column.c.stride
        return (<const char*>text)[:column.c.width].decode(UTF_32, "surrogatepass").rstrip("\0")
    if not nf.nf_column_text(&column.c, row, room, &text, &size):
        return None
    return (<const char*>text)[:size]


UTF_32 = f"utf-32-{sys.byteorder[0]}e"   # as NumPy's U has it: no mark in front


def classify_range(Column column, size_t first, size_t n, bint unwrap, bytearray codes, size_t at, bytearray inner=None,
                   bytearray stop=None):
    """Rows [first, first + n) to codes[at:at + n].  A byte in `stop` ends it early."""
    cdef uint8_t* code = <uint8_t*>PyByteArray_AS_STRING(codes) + at
    cdef size_t some, done = 0
    cdef bint fine
    cdef const uint8_t* inner_code = <const uint8_t*>PyByteArray_AS_STRING(inner) if inner is not None else NULL
    while done < n and not is_stopped(stop):
        some = min(n - done, <size_t>STRIDE)
        with nogil:
            if inner_code != NULL:
                fine = map_codes(column, first + done, some, inner_code, code + done)
            else:
                fine = nf.nf_classify_column(&column.c, first + done, some, unwrap, code + done)
        if not fine:
            raise_outside()
        done += some
        PyErr_CheckSignals()


cdef size_t parse_rows(nf_rows rows, size_t n, uint32_t* v4, nf_packed packed, uint8_t* holds) noexcept nogil:
    return nf.nf_parse_rows(rows, n, v4, packed, holds)


cdef bint match_column_of(const nf_match_tables* tables, const nf_column* column, size_t first, size_t n, bint unwrap,
                          int32_t* index) noexcept nogil:
    return nf.nf_match_column(tables, column, first, n, unwrap, index)


cdef void match_rows(const nf_match_tables* tables, const ParsedRows* rows, size_t n, bint unwrap,
                     int32_t* index) noexcept nogil:
    nf.nf_match_rows(tables, rows.holds, rows.v4, rows.packed, n, unwrap, index)


cdef uint64_t polars_add(nf_match_tables tables, const void* values) noexcept:
    return nf.nf_polars_add(tables, values)


cdef void polars_remove(uint64_t id) noexcept nogil:
    nf.nf_polars_remove(id)


def polars_start(bytes kinds, bytes classes, list flags, uint64_t before) -> None:
    """What becomes of a code in expressions of Polars: 256 bytes each, the flags in the order of nf_polars.h."""
    cdef const uint8_t* tables[nf.NF_POLARS_TABLES]
    cdef int i
    made = [kinds, classes, *flags]
    for i in range(nf.NF_POLARS_TABLES):
        tables[i] = <const uint8_t*>PyBytes_AS_STRING(made[i])
    nf.nf_polars_start(tables, before)


cdef void pack_rows(ParsedRows* rows, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if rows.holds[i] == nf.NF_IP4:
            nf.nf_pack_ip4(rows.v4[i], rows.packed[i])


cdef void mask_rows(const ParsedRows* rows, size_t n, uint32_t mask, const uint8_t* mask4, const uint8_t* mask6,
                    ParsedRows* into) noexcept nogil:
    cdef size_t i, k
    cdef const uint8_t* bits
    for i in range(n):
        into.v4[i] = rows.v4[i] & mask
        if rows.packed != NULL:
            bits = mask4 if rows.holds[i] == nf.NF_IP4 else mask6
            for k in range(16):
                into.packed[i][k] = rows.packed[i][k] & bits[k]


# Fresh pages take a quarter of the time in which a large column is parsed, so the memory of the last that died waits
# here for the next of its size, as allocators have it with smaller blocks.
cdef enum:
    SPARE_MIN = 16 << 20
    SPARE_MAX = 64 << 20

cdef bytearray spare = None


cdef bytearray take_spare(size_t n):
    """A bytearray that has yet to be filled: the spare one, if it has that size."""
    global spare
    if spare is None or <size_t>len(spare) != n:
        return unwritten(n)
    made, spare = spare, None
    return made


cdef leave_spare(bytearray memory):
    """Keep memory whose owner dies, unless an array still looks at it."""
    global spare
    if memory is not None and SPARE_MIN <= len(memory) <= SPARE_MAX and Py_REFCNT(memory) == 2:   # owner, argument
        spare = memory


cdef class Parsed:
    """Addresses of n rows: `holds` says what a row is, `v4` has the IPv4 values, `packed` all once a row is IPv6."""
    def __init__(self, size_t n):
        self.n = n
        self.holds = unwritten(n)
        self.v4 = take_spare(4 * n)
        self.zones = {}

    def __dealloc__(self):
        leave_spare(self.v4)

    cdef uint8_t* holds_at(self, size_t i) noexcept:
        return <uint8_t*>PyByteArray_AS_STRING(self.holds) + i

    cdef uint32_t* v4_at(self, size_t i) noexcept:
        return <uint32_t*>PyByteArray_AS_STRING(self.v4) + i

    cdef ParsedRows rows_at(self, size_t i) noexcept:
        return ParsedRows(self.holds_at(i), self.v4_at(i), self.packed_at(i))

    cdef nf_packed packed_at(self, size_t i) noexcept:
        """NULL until an IPv6 row has come."""
        return <nf_packed>PyByteArray_AS_STRING(self.packed) + i if self.packed is not None else NULL

    def widen(self, ranges):
        """Make room for IPv6; `ranges` are the (first, n) parsed so far."""
        cdef size_t first, n, some
        cdef ParsedRows rows
        cdef bytearray packed = self.packed if self.packed is not None else zeros(16 * self.n)
        for first, n in ranges:
            while n:
                some = min(n, <size_t>STRIDE)
                rows = self.rows_at(first)
                rows.packed = <nf_packed>PyByteArray_AS_STRING(packed) + first
                with nogil:
                    pack_rows(&rows, some)
                first += some
                n -= some
                PyErr_CheckSignals()
        self.packed = packed     # not before: other threads may be reading these rows

    cdef put(self, size_t i, Address* address, size_t parsed):
        """Row i, when rows [0, parsed) have been parsed but for some that are to be put."""
        if address.holds != nf.NF_IP4 and address.holds != nf.NF_NONE and self.packed is None:
            self.widen([(0, parsed)])
        self.holds_at(i)[0] = address.holds
        self.v4_at(i)[0] = address.v4
        if self.packed is not None:
            memcpy(self.packed_at(i)[0], address.packed, 16)

    def truncate(self, int v4_length, int v6_length) -> Parsed:
        """A copy with every bit past the prefix lengths zero, and without zones."""
        cdef Parsed made = Parsed(self.n)
        cdef uint32_t mask = <uint32_t>(<uint64_t>0xFFFFFFFF << (32 - v4_length))
        cdef uint8_t mask4[16]
        cdef uint8_t mask6[16]
        cdef size_t some, done = 0
        cdef int k
        cdef ParsedRows rows, into
        for k in range(16):
            mask4[k] = <uint8_t>(0xFF00 >> min(8, max(0, 96 + v4_length - 8 * k)))
            mask6[k] = <uint8_t>(0xFF00 >> min(8, max(0, v6_length - 8 * k)))
        made.holds[:] = self.holds
        if self.packed is not None:
            made.packed = unwritten(16 * self.n)
        while done < self.n:
            some = min(self.n - done, <size_t>STRIDE)
            rows = self.rows_at(done)
            rows.packed = rows.packed if made.packed is not None else NULL   # another thread may have widened it
            into = made.rows_at(done)
            with nogil:
                mask_rows(&rows, some, mask, mask4, mask6, &into)
            done += some
            PyErr_CheckSignals()
        return made

    def note_zone(self, size_t i, zone):
        self.zones[i] = zone
        self.holds_at(i)[0] = nf.NF_IP6


def parse_range(Column column, size_t first, size_t n, Parsed into, size_t at, Parsed inner=None,
                bytearray stop=None) -> int:
    """Rows [first, first + n) to into[at:at + n]; returns how many were done, fewer when `into` must be widened first.

    `inner` has the column's dictionary, from `dictionary_addresses`.  A byte in `stop` ends it early.
    """
    cdef size_t some, parsed = 0, done = 0
    cdef nf_packed packed
    cdef bint fine
    if inner is not None:
        return parse_indices(column, first, n, into, at, inner, stop)
    while done < n and not is_stopped(stop):
        some = min(n - done, <size_t>STRIDE)
        packed = into.packed_at(at + done)
        fine = parse_some(column, first + done, some, into, at + done, packed, &parsed)
        if not fine:
            raise_outside()
        if packed != NULL:
            note_zones(column, first + done, parsed, into, at + done)
        done += parsed
        if parsed < some:
            break
        PyErr_CheckSignals()
    return done


cdef note_zones(Column column, size_t first, size_t n, Parsed into, size_t at):
    """The zone ids among rows just parsed, which are few: memchr finds them."""
    cdef Py_ssize_t row = into.holds.find(nf.NF_IP6_ZONED, at, at + n)
    while row >= 0:
        into.note_zone(row, zone_text(column_text(column, first + row - at)))
        PyErr_CheckSignals()
        row = into.holds.find(nf.NF_IP6_ZONED, row + 1, at + n)


cdef bint parse_some(Column column, size_t first, size_t n, Parsed into, size_t at, nf_packed packed, size_t* done):
    cdef uint32_t* v4 = into.v4_at(at)
    cdef uint8_t* holds = into.holds_at(at)
    cdef bint fine
    with nogil:
        fine = nf.nf_parse_column(&column.c, first, n, v4, packed, holds, done)
    return fine


def dictionary_addresses(Column column):
    """The addresses of a column's dictionary as Parsed, which `parse_range` wants; None where it has none."""
    cdef Column dictionary = column.dictionary
    if dictionary is None:
        return None
    inner = dictionary_addresses(dictionary)
    cdef Parsed parsed = Parsed(dictionary.c.n)
    cdef size_t done = parse_range(dictionary, 0, parsed.n, parsed, 0, inner)
    if done < parsed.n:
        parsed.widen([(0, done)])
        parse_range(dictionary, done, parsed.n - done, parsed, done, inner)
    return parsed


cdef size_t parse_indices(Column column, size_t first, size_t n, Parsed into, size_t at, Parsed inner,
                          bytearray stop) except? 0:
    cdef size_t some, done = 0, i
    cdef ParsedRows source = inner.rows_at(0), to
    cdef bint fine
    if inner.packed is not None and into.packed is None:
        return 0          # the rows before these need widening too
    while done < n and not is_stopped(stop):
        some = min(n - done, <size_t>STRIDE)
        to = into.rows_at(at + done)
        with nogil:
            fine = map_addresses(column, first + done, some, &source, inner.n, &to)
        if not fine:
            raise_outside()
        if inner.zones:
            for i in range(done, done + some):
                if not nf.nf_is_null(&column.c, first + i) and (zone := inner.zones.get(column.index(first + i))):
                    into.note_zone(at + i, zone)
                if i % OBJECTS == 0:
                    PyErr_CheckSignals()
        done += some
        PyErr_CheckSignals()
    return done


cdef bint map_addresses(Column column, size_t first, size_t n, const ParsedRows* inner, size_t inner_n,
                        ParsedRows* into) noexcept nogil:
    cdef size_t i
    cdef int64_t index
    for i in range(n):
        into.holds[i] = nf.NF_NONE
        into.v4[i] = 0
        if nf.nf_is_null(&column.c, first + i):
            continue
        index = column.index(first + i)
        if index < 0 or index >= <int64_t>inner_n:
            return False
        into.holds[i] = inner.holds[index]
        into.v4[i] = inner.v4[index]
        if inner.packed != NULL:
            memcpy(<void*>into.packed[i], <const void*>inner.packed[index], 16)
        elif into.packed != NULL and into.holds[i] == nf.NF_IP4:
            nf.nf_pack_ip4(into.v4[i], into.packed[i])
    return True


def classify_parsed(Parsed parsed, bint unwrap) -> bytearray:
    """The codes of parsed rows."""
    cdef bytearray codes = unwritten(parsed.n)
    cdef uint8_t* code = <uint8_t*>PyByteArray_AS_STRING(codes)
    cdef size_t some, done = 0
    cdef ParsedRows rows
    while done < parsed.n:
        some = min(parsed.n - done, <size_t>STRIDE)
        rows = parsed.rows_at(done)
        with nogil:
            classify_some(&rows, some, unwrap, code + done)
        done += some
        PyErr_CheckSignals()
    return codes


cdef void classify_some(const ParsedRows* rows, size_t n, bint unwrap, uint8_t* code) noexcept nogil:
    if rows.packed != NULL:
        nf.nf_classify_packed(rows.packed, rows.holds, n, unwrap, code)
        return
    nf.nf_classify_ip4_column(rows.v4, rows.holds, n, code)


def format_parsed(Parsed parsed) -> list:
    """Texts (RFC 5952, with zones), None where there is no address."""
    cdef size_t i, size
    cdef uint8_t text[nf.NF_IP6_TEXT_MAX]
    made = [None] * parsed.n
    for i in range(parsed.n):
        size = format_row(parsed, i, text)
        if size:
            made[i] = ascii_str(text, size)
        if i % 65536 == 0:
            PyErr_CheckSignals()
    for row, zone in parsed.zones.items():
        made[row] += "%" + zone
    return made


cdef size_t format_row(Parsed parsed, size_t i, uint8_t* text) noexcept:
    return nf.nf_format_row(parsed.holds_at(i)[0], parsed.v4_at(i)[0], <const uint8_t*>parsed.packed_at(i), text)


def format_column(Parsed parsed) -> tuple:
    """The same texts in a row, where each of them ends (int64[n + 1], from 0), and a byte a row, 1 for None."""
    cdef size_t i, more, size = 0, room = 0
    cdef bytearray data = bytearray(), ends = unwritten(8 * (parsed.n + 1))
    cdef int64_t* end = <int64_t*>PyByteArray_AS_STRING(ends)
    cdef bytes zone = b""
    cdef bint zoned = len(parsed.zones) > 0
    end[0] = 0
    for i in range(parsed.n):
        if zoned:
            zone = zone_bytes(parsed.zones.get(i))
        more = nf.NF_IP6_TEXT_MAX + <size_t>len(zone)
        if room - size < more:
            room = 2 * room + 65536 + more
            PyByteArray_Resize(data, <Py_ssize_t>room)
        size += format_row(parsed, i, <uint8_t*>PyByteArray_AS_STRING(data) + size)
        memcpy(PyByteArray_AS_STRING(data) + size, PyBytes_AS_STRING(zone), <size_t>len(zone))
        size += <size_t>len(zone)
        end[i + 1] = <int64_t>size
        if i % 65536 == 0:
            PyErr_CheckSignals()
    PyByteArray_Resize(data, <Py_ssize_t>size)
    return data, ends, parsed.holds.translate(IS_NONE)


IS_NONE = bytes([1]) + bytes(255)


cdef bytes zone_bytes(zone):
    return b"" if zone is None else ("%" + zone).encode("utf-8", "replace")     # it may hold what UTF-8 cannot


# ---- lists: gathered under the interpreter lock, a slice at a time --------------------------------------------------
#
# The characters of an ASCII str lie behind a header of at least 40 bytes, those of bytes behind 32, so the 16 bytes in
# front of a text's end that the kernels may read are always the object's own.

cdef enum:
    SLICE = 256           # rows between two calls of a kernel: they and their results stay in the first-level cache
    PREFETCH = 96         # objects ahead: a miss takes as long as gathering that many, and two lines each still fit


cdef extern from "nf_base.h" nogil:
    void NF_PREFETCH(const void* address)


cdef struct Slice:
    const uint8_t* text[SLICE]
    uint32_t size[SLICE]
    uint16_t odd[SLICE]   # rows that are neither ASCII str nor bytes
    size_t odd_count


cdef size_t gather(PyObject** items, size_t n, size_t ahead, Slice* rows) noexcept:
    """The texts of n items; runs no Python code, so the items stay where they are until the kernel has read them."""
    cdef size_t i
    cdef const uint8_t* text
    cdef uint32_t size = 0
    rows.odd_count = 0
    for i in range(n):
        if i + PREFETCH < ahead:
            NF_PREFETCH(items[i + PREFETCH])
            NF_PREFETCH(<const char*>items[i + PREFETCH] + 56)
        text = ascii_text(items[i], &size)
        if text == NULL:
            if PyBytes_Check(items[i]):
                text = <const uint8_t*>BYTES_TEXT(items[i])
                size = <uint32_t>min(BYTES_SIZE(items[i]), <Py_ssize_t>0xFFFFFFF)
            else:
                rows.odd[rows.odd_count] = <uint16_t>i
                rows.odd_count += 1
                text = <const uint8_t*>items[i] + 16   # size 0: the kernel may look at the object's head, no more
                size = 0
        rows.text[i] = text
        rows.size[i] = size
    return rows.odd_count


cdef frozenset NUMPY_FLOATS = frozenset(("float16", "float32", "float128", "longdouble"))   # float64 is a float


cdef bint is_null_item(item):
    if item is None:
        return True
    name = type(item).__name__
    return name in ("NAType", "NaTType") or ((isinstance(item, float) or name in NUMPY_FLOATS) and bool(item != item))


cdef bint is_ipaddress(item):
    module = sys.modules.get("ipaddress")
    return module is not None and isinstance(item, (module.IPv4Address, module.IPv6Address))


cdef int read_odd(item, size_t index, Address* address, list zone) except -1:
    """An item that is not ASCII text.  Returns 1 for a null; TypeError for what is no address of any form."""
    cdef bytes data
    cdef size_t position
    memset(address, 0, sizeof(Address))
    if type(item) is int:      # the usual odd item, so it is asked for first
        put_int(item, address)
        return 0
    if is_null_item(item):
        return 1
    if isinstance(item, str):
        data = text_bytes(item)
        read_text(<const uint8_t*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), address, &position)
        if address.holds == nf.NF_IP6_ZONED:
            zone.append(zone_text(item))
        return 0
    if is_ipaddress(item):
        put_value(item.version, int(item), address)
        if getattr(item, "scope_id", None):
            zone.append(item.scope_id)
        return 0
    if not isinstance(item, (bool, type)) and hasattr(item, "__index__"):
        try:
            value = operator.index(item)
        except TypeError:      # such as an array of one element
            value = None
        if value is not None:
            put_int(value, address)
            return 0
    raise TypeError(f"item {index} is {type(item).__name__}, not an address: wanted str, bytes, int, an ipaddress "
                    "object or None")


cdef put_int(value, Address* address):
    """Below 2**32 IPv4, else IPv6; what fits neither is no address."""
    if 0 <= value <= 0xFFFFFFFF:
        put_value(4, value, address)
    elif 0 < value < 1 << 128:
        put_value(6, value, address)


cdef put_value(int version, value, Address* address):
    cdef bytes packed
    if version == 4:
        address.holds = nf.NF_IP4
        address.v4 = value
        nf.nf_pack_ip4(address.v4, address.packed)
    else:
        address.holds = nf.NF_IP6
        packed = value.to_bytes(16, "big")
        memcpy(address.packed, PyBytes_AS_STRING(packed), 16)


cdef uint8_t classify_address(Address* address, bint unwrap) noexcept:
    cdef uint32_t carried
    if address.holds == nf.NF_NONE:
        return 0
    if address.holds == nf.NF_IP4:
        return nf.nf_classify_ip4(address.v4)
    if unwrap and nf.nf_unwrap(address.packed, &carried):
        return nf.nf_classify_ip4(carried)
    return nf.nf_classify_ip6(address.packed)


cdef object same_items(object items, size_t n):
    """The sequence again, after Python code has run that could have changed it."""
    if <size_t>SEQUENCE_SIZE(items) != n:
        raise RuntimeError("the list changed size while it was read")
    return items


cdef object item_at(object items, size_t n, size_t row):
    return <object>SEQUENCE_ITEMS(same_items(items, n))[row]


cdef size_t sequence_size(object items) except? 0:
    if not isinstance(items, (list, tuple)):
        raise TypeError(f"wanted a list or tuple, not {type(items).__name__}")
    return <size_t>SEQUENCE_SIZE(items)


def classify_items(items, bint unwrap) -> tuple:
    """Codes of a list or tuple, and a byte a row that is 1 for null (None if no row is)."""
    cdef size_t n = sequence_size(items), first = 0, some, k, row
    cdef bytearray codes = zeros(n), nulls = None
    cdef uint8_t* code = <uint8_t*>PyByteArray_AS_STRING(codes)
    cdef Slice rows
    cdef Address address
    while first < n:
        some = min(n - first, <size_t>SLICE)
        gather(SEQUENCE_ITEMS(same_items(items, n)) + first, some, n - first, &rows)
        nf.nf_classify_rows(nf_rows(&rows.text[0], &rows.size[0]), some, unwrap, code + first)
        for k in range(rows.odd_count):
            row = first + rows.odd[k]
            if read_odd(item_at(items, n, row), row, &address, []):
                if nulls is None:
                    nulls = zeros(n)
                nulls[row] = 1
            code[row] = classify_address(&address, unwrap)
        first += some
        if first % 65536 == 0:
            PyErr_CheckSignals()
            with nogil:
                pass
    return codes, nulls


def parse_items(items) -> tuple:
    """The addresses of a list or tuple as Parsed, and its nulls as above."""
    cdef size_t n = sequence_size(items), first = 0, some, k, row, done
    cdef Parsed parsed = Parsed(n)
    cdef bytearray nulls = None
    cdef Slice rows
    cdef Address address
    while first < n:
        some = min(n - first, <size_t>SLICE)
        gather(SEQUENCE_ITEMS(same_items(items, n)) + first, some, n - first, &rows)
        done = nf.nf_parse_rows(nf_rows(&rows.text[0], &rows.size[0]), some, parsed.v4_at(first),
                                parsed.packed_at(first),
                                parsed.holds_at(first))
        if done < some:
            parsed.widen([(0, first)])
            continue
        for k in range(some):
            if parsed.holds_at(first + k)[0] == nf.NF_IP6_ZONED:
                parsed.note_zone(first + k, zone_text(item_at(items, n, first + k)))
        for k in range(rows.odd_count):
            row = first + rows.odd[k]
            zones = []
            if read_odd(item_at(items, n, row), row, &address, zones):
                if nulls is None:
                    nulls = zeros(n)
                nulls[row] = 1
            parsed.put(row, &address, first + some)
            if zones:
                parsed.note_zone(row, zones[0])
        first += some
        if first % 65536 == 0:
            PyErr_CheckSignals()
            with nogil:
                pass
    return parsed, nulls


def count_codes(bytearray codes) -> list:
    """How many rows have each of the 256 codes."""
    cdef Py_ssize_t i, n = len(codes)
    cdef const uint8_t* code = <const uint8_t*>PyByteArray_AS_STRING(codes)
    cdef uint64_t count[256]
    memset(count, 0, sizeof(count))
    for i in range(n):
        count[code[i]] += 1
    return [count[i] for i in range(256)]


def first_invalid(bytearray codes, bytearray nulls) -> int:
    """The first row whose code is 0 and that is not null; -1 if there is none."""
    cdef Py_ssize_t i, n = len(codes)
    cdef const uint8_t* code = <const uint8_t*>PyByteArray_AS_STRING(codes)
    cdef const uint8_t* null = <const uint8_t*>PyByteArray_AS_STRING(nulls) if nulls is not None else NULL
    for i in range(n):
        if code[i] == 0 and (null == NULL or null[i] == 0):
            return i
    return -1


# ---- text: addresses out of a stream of bytes -----------------------------------------------------------------------

cdef enum:
    TEXT_SLICE = 1 << 16        # bytes between two looks at what was found: hits of a slice stay in the caches
    TALLY_AT_ONCE = 1 << 16     # hits: a thousand for every shard of the tally, whose pages then stay at hand
    LONGEST_LINE = 64 << 20     # with a field or key: a line is held whole, but no longer one than this


PATH_MAX = nf.NF_PATH_MAX


cdef class Memory:
    """Memory that a kernel has made, such as a column of hits, freed with the last array that looks at it."""

    def __dealloc__(self):
        free(self.data)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data if self.data != NULL else <void*>&self.size, self.size, 0, flags)

    def __len__(self):
        return self.size


cdef Memory own(void* data, size_t size):
    """Takes over malloc'ed memory, cut to size."""
    cdef Memory memory = Memory()
    cdef void* fitting = realloc(data, max(size, <size_t>1)) if data != NULL else NULL
    memory.data = fitting if fitting != NULL else data
    memory.size = <Py_ssize_t>size
    return memory


cdef tuple own_hits(nf.nf_hits* hits):
    """(offset int64, line int64, length uint8, version uint8, code uint8, packed uint8[16]) of the hits, moved out."""
    cdef size_t n = hits.n
    made = (own(hits.offset, 8 * n), own(hits.line, 8 * n), own(hits.length, n), own(hits.version, n),
            own(hits.code, n), own(hits.packed, 16 * n))
    memset(hits, 0, sizeof(nf.nf_hits))
    return made


cdef class Tally:
    """How often each address occurs; shared by the scanners of several threads."""
    cdef nf.nf_tally* tally

    def __cinit__(self, uint64_t max_distinct):
        self.tally = nf.nf_tally_new(max_distinct, <uint64_t>int.from_bytes(os.urandom(8), "little"))
        if self.tally == NULL:
            raise MemoryError()

    def __dealloc__(self):
        nf.nf_tally_free(self.tally)

    def unique(self) -> tuple:
        """How many different addresses, and whether that is an estimate."""
        cdef nf.c_bool estimated = False
        cdef uint64_t unique
        unique = nf.nf_tally_unique(self.tally, &estimated)
        return unique, estimated

    def error(self) -> int:
        """By how much a count can be too low."""
        return nf.nf_tally_error(self.tally)

    cdef nf.nf_top* room(self, size_t* k) except NULL:
        """Room for the k most frequent; k is cut to how many there may be."""
        k[0] = min(k[0], nf.nf_tally_most(self.tally))
        cdef nf.nf_top* top = <nf.nf_top*>calloc(max(k[0], <size_t>1), sizeof(nf.nf_top))
        if top == NULL:
            raise MemoryError()
        return top

    def top(self, size_t k) -> list:
        """The k most frequent addresses as (text, count)."""
        cdef nf.nf_top* top = self.room(&k)
        cdef size_t n
        with nogil:
            n = nf.nf_tally_top(self.tally, k, top)
        return boxed_top(top, n)

    def top_networks(self, size_t k) -> list:
        """The k most frequent /24s and /48s as (text, count); ends the counting."""
        cdef nf.nf_top* top = self.room(&k)
        cdef size_t n = 0
        cdef bint fine
        with nogil:
            fine = nf.nf_tally_top_networks(self.tally, k, top, &n)
        networks = boxed_top(top, n)
        if not fine:
            raise MemoryError()
        return [(text + ("/48" if ":" in text else "/24"), count) for text, count in networks]


cdef list boxed_top(nf.nf_top* top, size_t n):
    cdef size_t i
    made = [(format_packed(top[i].version, top[i].packed), top[i].count) for i in range(n)]
    free(top)
    return made


cdef class Labels:
    """A prefix table as scanners ask it: the bytes of its look-ups, and the number of the label of each prefix."""
    cdef nf.nf_labels c
    cdef Py_buffer view4, view6, view_of_label

    def __cinit__(self, table4, table6, label_of, size_t labels):
        PyObject_GetBuffer(table4, &self.view4, PyBUF_SIMPLE)
        PyObject_GetBuffer(table6, &self.view6, PyBUF_SIMPLE)
        PyObject_GetBuffer(label_of, &self.view_of_label, PyBUF_SIMPLE)
        self.c = nf.nf_labels(<const uint8_t*>self.view4.buf, <const uint8_t*>self.view6.buf,
                              <const int32_t*>self.view_of_label.buf, labels)

    def __dealloc__(self):
        PyBuffer_Release(&self.view4)
        PyBuffer_Release(&self.view6)
        PyBuffer_Release(&self.view_of_label)


cdef class Scanner:
    """Finds addresses in a stream: write bytes into `room()`, then `advance` over them.

    Between two calls of `room` the hits are those of the last `advance`.  With a tally, hits are counted and let go
    when there are many, and when `settle` is called.
    """
    cdef bytearray buffer
    cdef uint8_t* data                     # of the buffer
    cdef size_t chunk, fill, done          # bytes in the buffer, and how many of them are scanned
    cdef size_t reported                   # where the text of the hits began
    cdef int64_t reported_line
    cdef nf.nf_place place                 # base is the offset of buffer[0]
    cdef nf.nf_policy policy
    cdef nf.nf_selection selection
    cdef nf.nf_hits hits
    cdef nf.nf_output output
    cdef uint64_t by_code[256]
    cdef Tally tally
    cdef Labels labels
    cdef bytearray by_label                # uint64 a label, and one for no prefix
    cdef uint64_t* label_count             # the same in place
    cdef bint whole_lines, ends_line
    cdef list kept_alive
    cdef readonly int64_t bytes_read
    cdef readonly uint64_t found

    def __init__(self, size_t chunk, *, bint loose=False, bint ip4=True, bint ip6=True, bint first=False,
                 size_t field=0, bytes separator=None, list path=None, bint whole_lines=False, Tally tally=None,
                 Labels labels=None):
        cdef size_t i
        self.chunk = max(chunk, <size_t>1)
        self.set_buffer(self.chunk + 1024)
        self.policy = nf.nf_policy(loose, (nf.NF_FIND_IP4 if ip4 else 0) | (nf.NF_FIND_IP6 if ip6 else 0))
        self.place.line = 1
        self.tally = tally
        self.labels = labels
        self.by_label = zeros(8 * (labels.c.labels + 1) if labels is not None else 0)
        self.label_count = <uint64_t*>PyByteArray_AS_STRING(self.by_label)
        self.ends_line = True
        self.kept_alive = [separator, path]
        self.selection.by = nf.NF_FIRST if first else nf.NF_FIELD if field else nf.NF_KEY if path else nf.NF_ALL
        self.selection.field = field
        if separator:
            self.selection.separator = <const uint8_t*>PyBytes_AS_STRING(separator)
            self.selection.separator_size = <size_t>len(separator)
        for i, key in enumerate(path or []):
            self.selection.key[i] = <const uint8_t*>PyBytes_AS_STRING(key)
            self.selection.key_size[i] = <size_t>len(key)
            self.selection.depth = i + 1
        self.whole_lines = whole_lines or field or path

    def __dealloc__(self):
        nf.nf_hits_free(&self.hits)
        nf.nf_output_free(&self.output)

    def room(self) -> memoryview:
        """Writable memory for the next bytes.  Lets go of scanned text, but for what the rules look back at."""
        cdef size_t behind = 0 if self.whole_lines else nf.NF_LOOK_BEHIND
        cdef size_t keep = self.done - min(self.done, behind)
        if keep:
            memmove(self.data, self.data + keep, self.fill - keep)
            self.fill -= keep
            self.done -= keep
            self.place.base += <int64_t>keep
        if self.fill + self.chunk > <size_t>len(self.buffer):
            outgrown = self.buffer
            self.set_buffer(2 * self.fill + self.chunk)
            memcpy(self.data, PyByteArray_AS_STRING(outgrown), self.fill)
        return memoryview(self.buffer)[self.fill:self.fill + self.chunk]

    cdef set_buffer(self, size_t size):
        self.buffer = unwritten(size)
        self.data = <uint8_t*>PyByteArray_AS_STRING(self.buffer)

    def advance(self, size_t n, bint final=False) -> int:
        """Scan the n bytes just written as far as they can be judged (to the end if `final`); how many hits."""
        cdef bint fine
        if n > <size_t>len(self.buffer) - self.fill:
            raise ValueError("more bytes than there was room for")
        self.fill += n
        self.bytes_read += <int64_t>n
        if n:
            self.ends_line = self.data[self.fill - 1] == b"\n"
        if self.tally is None:
            self.hits.n = 0
        self.reported = self.done
        self.reported_line = self.place.line
        with nogil:
            fine = self.scan(self.limit(n, final))
        if not fine:
            raise MemoryError()
        if self.whole_lines and self.fill - self.done > LONGEST_LINE:
            raise ValueError(f"line {self.place.line} is longer than {LONGEST_LINE >> 20} MiB")
        return <Py_ssize_t>self.hits.n

    cdef size_t limit(self, size_t n, bint final) noexcept nogil:
        """How far the text can be judged now, with n bytes more: of what came before the last line has not ended."""
        cdef size_t end = self.fill
        if final:
            return end
        if not self.whole_lines:
            return max(self.done, end - min(end, <size_t>nf.NF_LOOK_AHEAD))
        while end > self.fill - n and self.data[end - 1] != b"\n":
            end -= 1
        return end if end > self.fill - n else self.done

    cdef bint scan(self, size_t limit) noexcept nogil:
        cdef const uint8_t* text = self.data
        cdef size_t until, first, size = limit if self.whole_lines else self.fill
        while self.done < limit:
            until = min(limit, self.done + TEXT_SLICE)
            first = self.hits.n
            if not nf.nf_hits_reserve(&self.hits, nf.NF_HITS_FOR(until - self.done), 0):
                return False
            self.done = nf.nf_scan(text, size, self.done, until, self.policy, &self.place, &self.hits)
            self.keep(text, size, first)
            if self.tally is not None and self.hits.n >= TALLY_AT_ONCE and not self.count():
                return False
        return True

    cdef void keep(self, const uint8_t* text, size_t size, size_t first) noexcept nogil:
        """Of the hits from `first` on, those that count."""
        cdef size_t i
        nf.nf_select(&self.selection, text, size, self.place.base, &self.hits, first)
        self.found += self.hits.n - first
        for i in range(first, self.hits.n):
            self.by_code[self.hits.code[i]] += 1
        if self.labels is not None:
            nf.nf_count_labels(&self.labels.c, &self.hits, first, self.label_count)

    cdef bint count(self) noexcept nogil:
        """Hand the hits to the tally."""
        fine = nf.nf_tally_add(self.tally.tally, &self.hits)
        self.hits.n = 0
        return fine

    def settle(self):
        """With a tally: count the hits that wait for more."""
        cdef bint fine
        with nogil:
            fine = self.count()
        if not fine:
            raise MemoryError()

    @property
    def hit_count(self) -> int:
        """Hits of the last `advance`."""
        return self.hits.n

    def take(self) -> tuple:
        """The hits of the last `advance` as columns, moved out."""
        return own_hits(&self.hits)

    @property
    def lines(self) -> int:
        """Lines so far, one that has not ended included."""
        return self.place.line - 1 + (not self.ends_line)

    @property
    def lines_with_hits(self) -> int:
        """Lines that had a hit, of a selection (first, field, key)."""
        return self.selection.lines

    def counts(self) -> list:
        """Hits by code."""
        return [self.by_code[code] for code in range(256)]

    def label_counts(self):
        """Hits by label, uint64[labels + 1]; the last is of those that no prefix holds."""
        import numpy as np

        return np.frombuffer(self.by_label, dtype=np.uint64)

    def matches(self) -> bytearray:
        """The longest prefix (int32) that holds each hit of the last `advance`, -1 where none does."""
        cdef bytearray index = unwritten(4 * self.hits.n)
        nf.nf_match_hits(&self.labels.c, &self.hits, 0, self.hits.n, <int32_t*>PyByteArray_AS_STRING(index))
        return index

    cdef bytes written(self):
        made = (<const char*>self.output.bytes)[:self.output.size]
        self.output.size = 0
        return made

    def rows(self, bytes lead, bytes mid_offset, bytes mid_address, list tails, list ends=None) -> bytes:
        """The hits of the last `advance`, a row each: lead, line, mid_offset, offset, mid_address, address, tail.

        `ends` has what stands behind the tail, for each hit.
        """
        cdef nf.nf_row_style style
        cdef bytearray end_at, end_size
        cdef size_t i
        cdef const uint8_t* tail[256]
        cdef size_t tail_size[256]
        cdef const uint8_t* text = self.data
        cdef bint fine
        for code in range(256):
            tail[code] = <const uint8_t*>PyBytes_AS_STRING(tails[code])
            tail_size[code] = <size_t>len(tails[code])
        style.lead, style.lead_size = <const uint8_t*>PyBytes_AS_STRING(lead), <size_t>len(lead)
        style.mid_offset = <const uint8_t*>PyBytes_AS_STRING(mid_offset)
        style.mid_offset_size = <size_t>len(mid_offset)
        style.mid_address = <const uint8_t*>PyBytes_AS_STRING(mid_address)
        style.mid_address_size = <size_t>len(mid_address)
        style.tail, style.tail_size = &tail[0], &tail_size[0]
        style.end = NULL
        if ends is not None:
            end_at, end_size = unwritten(sizeof(void*) * len(ends)), unwritten(sizeof(size_t) * len(ends))
            style.end = <const uint8_t**>PyByteArray_AS_STRING(end_at)
            style.end_size = <const size_t*>PyByteArray_AS_STRING(end_size)
            for i, end in enumerate(ends):
                (<const uint8_t**>style.end)[i] = <const uint8_t*>PyBytes_AS_STRING(end)
                (<size_t*>style.end_size)[i] = <size_t>len(end)
        with nogil:
            fine = nf.nf_report_rows(&self.hits, text, self.place.base, &style, &self.output)
        if not fine:
            raise MemoryError()
        return self.written()

    def matching(self, wanted, unwanted) -> bytearray:
        """A byte a hit of the last `advance`: 1 if in `wanted` (None: all are) and not in `unwanted` (None: none is).

        A set is (a byte a code, 1 for those in it; the `Labels` of its prefixes, or None).
        """
        cdef bytearray made = unwritten(self.hits.n)
        cdef nf.nf_set sets[2]
        if wanted is not None:
            sets[0] = set_of(wanted)
        if unwanted is not None:
            sets[1] = set_of(unwanted)
        nf.nf_mark_hits(&self.hits, &sets[0] if wanted is not None else NULL,
                        &sets[1] if unwanted is not None else NULL, <uint8_t*>PyByteArray_AS_STRING(made))
        return made

    def grep(self, bytearray wanted, bytes lead, bint number, bint only, bint invert, bint count) -> tuple:
        """The lines of the text just scanned that hold a wanted hit, as bytes; and how many.  Needs whole lines."""
        cdef nf.nf_grep_style style = nf.nf_grep_style(<const uint8_t*>PyBytes_AS_STRING(lead), <size_t>len(lead),
                                                       number, only, invert, count)
        cdef const uint8_t* text = self.data + self.reported
        cdef const uint8_t* byte = <const uint8_t*>PyByteArray_AS_STRING(wanted)
        cdef size_t size = self.done - self.reported
        cdef uint64_t lines
        cdef bint fine
        with nogil:
            fine = nf.nf_report_lines(&self.hits, byte, text, size, self.place.base + <int64_t>self.reported,
                                      self.reported_line, &style, &self.output, &lines)
        if not fine:
            raise MemoryError()
        return self.written(), lines


cdef nf.nf_set set_of(tuple parts):
    """A set for as long as its parts live."""
    cdef bytes codes = parts[0]
    cdef Labels prefixes = parts[1]
    cdef nf.nf_set made = nf.nf_set(<const uint8_t*>PyBytes_AS_STRING(codes), NULL)
    if prefixes is not None:
        made.prefixes = &prefixes.c
    return made


def find_all(text, size_t start, size_t end, bytearray stop, *, bint loose, bint ip4, bint ip6) -> tuple:
    """Every address in text[start:end] (whole lines, or all of it) as columns, and the lines counted there.

    A byte in `stop` ends it early.
    """
    cdef Py_buffer view
    cdef nf.nf_policy policy = nf.nf_policy(loose, (nf.NF_FIND_IP4 if ip4 else 0) | (nf.NF_FIND_IP6 if ip6 else 0))
    cdef nf.nf_place place = nf.nf_place(<int64_t>start, 1)
    cdef nf.nf_hits hits
    cdef size_t at = 0, until, expected
    cdef const uint8_t* data
    cdef bint fine = True
    memset(&hits, 0, sizeof(hits))
    PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
    try:
        data = <const uint8_t*>view.buf + start
        end -= start
        while at < end and not is_stopped(stop):
            with nogil:
                until = min(end, at + 64 * TEXT_SLICE)
                while fine and at < until:
                    # As dense as so far to the end: memory that is not used in the end is never touched.
                    expected = <size_t>(1.1 * <double>hits.n / <double>max(at, <size_t>1) * <double>(end - at))
                    fine = nf.nf_hits_reserve(&hits, nf.NF_HITS_FOR(TEXT_SLICE), expected)
                    if fine:
                        at = nf.nf_scan(data, end, at, min(until, at + TEXT_SLICE), policy, &place, &hits)
            if not fine:
                raise MemoryError()
            PyErr_CheckSignals()
        return own_hits(&hits), place.line - 1
    finally:
        nf.nf_hits_free(&hits)
        PyBuffer_Release(&view)


def to_characters(text, offsets) -> None:
    """Byte offsets into UTF-8 text (int64, ascending) to offsets in characters, in place."""
    cdef Py_buffer view
    cdef Py_buffer offset_view
    cdef const uint8_t* data
    cdef int64_t* offset
    cdef int64_t at = 0, behind = 0, until
    cdef Py_ssize_t i = 0, n
    PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(offsets, &offset_view, PyBUF_WRITABLE)
        data, offset, n = <const uint8_t*>view.buf, <int64_t*>offset_view.buf, offset_view.len // 8
        try:
            while i < n:
                until = at + 256 * TEXT_SLICE
                with nogil:
                    while i < n and at < until:
                        while at < offset[i] and at < until:
                            behind += (data[at] & 0xC0) == 0x80
                            at += 1
                        if at == offset[i]:
                            offset[i] -= behind
                            i += 1
                PyErr_CheckSignals()
        finally:
            PyBuffer_Release(&offset_view)
    finally:
        PyBuffer_Release(&view)
