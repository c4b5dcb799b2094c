# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to the kernels that move datagrams and frames.  Linux.

Nothing here is public; `datagrams`, `frames` and `streams` are the faces.  Descriptors are the caller's.  A wait is in
seconds: negative for ever, 0 not at all; no system call waits but poll.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, ENOMEM, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from netfast cimport _sockets_kernels as nf
from netfast._arrow cimport OBJECTS, unwritten, zeros
from netfast._core cimport Parsed, ascii_text, parse_rows
from netfast._kernels cimport NF_IP4, NF_IP6, nf_rows
from netfast._sockets_kernels cimport iovec, nf_datagram, nf_frame, nf_outgoing

import os

cdef extern from "Python.h":
    bint PyLong_CheckExact(object number)
    long PyLong_AsLongAndOverflow(object number, int* overflow)
    bint PyTuple_CheckExact(object item)
    Py_ssize_t PyTuple_GET_SIZE(object item)
    PyObject* PyTuple_GET_ITEM(object item, Py_ssize_t i)
    Py_ssize_t Py_REFCNT(PyObject* o)
    str PyUnicode_DecodeFSDefaultAndSize(const char* text, Py_ssize_t size)

cdef extern from "<sys/un.h>":
    cdef struct sockaddr_un:
        pass

cdef extern from "<sys/socket.h>" nogil:
    enum: AF_INET, AF_INET6, AF_UNIX, MSG_DONTWAIT

    ctypedef uint16_t sa_family_t

    cdef struct sockaddr:
        sa_family_t sa_family

    ssize_t recv(int fd, void* buffer, size_t size, int flags)

cdef extern from "<netinet/in.h>":
    cdef struct in_addr:
        uint32_t s_addr

    cdef struct in6_addr:
        uint8_t s6_addr[16]

    cdef struct sockaddr_in:
        sa_family_t sin_family
        uint16_t sin_port
        in_addr sin_addr

    cdef struct sockaddr_in6:
        sa_family_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
        uint32_t sin6_scope_id

cdef extern from "<arpa/inet.h>":
    uint16_t ntohs(uint16_t number)
    uint16_t htons(uint16_t number)
    uint32_t ntohl(uint32_t number)
    uint32_t htonl(uint32_t number)

cdef extern from "<net/if.h>":
    char* if_indextoname(unsigned int index, char* name) nogil

cdef enum:
    SLICE = 100              # milliseconds of a wait between two looks at signals
    MOMENT = 1               # and of one for what poll does not tell
    POOL = 4                 # slabs that are kept for the next receives
    CHUNK = 1 << 16          # bytes that are read at a time at least
    CHUNK_MAX = 1 << 20      # and at most, as long as the other side is faster than we are
    FRAMES = 1024            # taken apart in one go
    SEGMENTS = 4096          # of a buffer that are sent in one go
    ADDRESSES = 256          # parsed in one go

SLOTS_MAX, DATAGRAM_MAX = nf.NF_SLOTS_MAX, nf.NF_DATAGRAM_MAX


# ---- waiting

cdef double seconds_now() noexcept:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <double>t.tv_sec + t.tv_nsec * 1e-9


cdef class Patience:
    """How long a call may still wait for a descriptor: in slices, so that a signal is heard whenever it comes."""
    cdef int fd
    cdef bint was_ready      # so said poll, the last time
    cdef double until        # of CLOCK_MONOTONIC; negative: for ever

    def __cinit__(self, int fd, double seconds):
        self.fd = fd
        self.until = seconds if seconds < 0 else seconds_now() + seconds

    cdef void progressed(self) noexcept:
        self.was_ready = False

    cdef double left(self, double seconds) noexcept:
        """Of so many seconds: what is left, and as given where that is no time."""
        return seconds if seconds <= 0 else max(1e-9, self.until - seconds_now())

    cdef int wait(self, bint write) except -1:
        """Waits until there is something to read, or room to write; False if the time is over.

        Where poll said so the last time, and it was not true, a moment is waited: the kernel has no memory for more, a
        Unix socket that is not connected is always said to have room, and an error queue makes any socket ready.
        """
        cdef double left = SLICE * 1e-3
        cdef int status, milliseconds, fd = self.fd
        while True:
            PyErr_CheckSignals()
            if self.until >= 0:
                left = self.until - seconds_now()
                if left <= 0:
                    return False
            milliseconds = MOMENT if self.was_ready else <int>min(SLICE, left * 1e3 + 1)
            with nogil:
                status = nf.nf_wait(-1 if self.was_ready else fd, write, milliseconds)
            if self.was_ready or status == 0:
                self.was_ready = not self.was_ready
                return True
            if status not in (EAGAIN, EINTR):
                raise_os(status)


cdef raise_os(int error):
    if error == ENOMEM:
        raise MemoryError("no memory for the buffers of a socket")
    raise OSError(error, os.strerror(error))


# ---- datagrams in

cdef class Slab:
    """Memory with the datagrams of one receive.  Whoever looks at it holds a reference: views of its bytes, too."""
    cdef nf.nf_slab* c

    def __cinit__(self, uint32_t slots, uint32_t size):
        self.c = nf.nf_slab_new(slots, size)
        if self.c == NULL:
            raise MemoryError(f"no memory for {slots} datagrams of {size:,} bytes")

    def __dealloc__(self):
        nf.nf_slab_free(self.c)

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef size_t size
        cdef const uint8_t* data = nf.nf_slab_data(self.c, &size)
        PyBuffer_FillInfo(view, self, <void*>data, <Py_ssize_t>size, 1, flags)

    def __len__(self):
        return <Py_ssize_t>nf.nf_slab_count(self.c)

    def bytes_total(self) -> int:
        return nf.nf_slab_bytes(self.c)

    def dropped(self) -> int:
        """SO_RXQ_OVFL, as the last datagram told."""
        return nf.nf_slab_dropped(self.c)

    def span(self, size_t i) -> tuple:
        """The first byte of a datagram, and the first behind it."""
        cdef nf_datagram d = nf.nf_slab_datagram(self.c, i)
        return d.offset, d.offset + d.size

    def to_list(self) -> list:
        cdef size_t size, i
        cdef const char* data = <const char*>nf.nf_slab_data(self.c, &size)
        cdef nf_datagram d
        cdef list made = []
        for i in range(nf.nf_slab_count(self.c)):
            d = nf.nf_slab_datagram(self.c, i)
            made.append(PyBytes_FromStringAndSize(data + d.offset, <Py_ssize_t>d.size))
        return made

    def lengths(self) -> bytearray:
        """uint32 each."""
        cdef size_t i, n = nf.nf_slab_count(self.c)
        cdef bytearray made = unwritten(4 * n)
        cdef uint32_t* to = <uint32_t*>PyByteArray_AS_STRING(made)
        for i in range(n):
            to[i] = nf.nf_slab_datagram(self.c, i).size
        return made

    def stamps(self) -> bytearray:
        """int64 each: nanoseconds since the epoch."""
        cdef size_t i, n = nf.nf_slab_count(self.c)
        cdef bytearray made = unwritten(8 * n)
        cdef int64_t* to = <int64_t*>PyByteArray_AS_STRING(made)
        cdef nf_datagram d
        for i in range(n):
            d = nf.nf_slab_datagram(self.c, i)
            to[i] = nf.nf_slab_stamp(self.c, &d)
        return made

    def cut(self) -> bytearray:
        """A byte each: 1 if it was longer than its slot."""
        cdef size_t i, n = nf.nf_slab_count(self.c)
        cdef bytearray made = unwritten(n)
        cdef nf_datagram d
        for i in range(n):
            d = nf.nf_slab_datagram(self.c, i)
            PyByteArray_AS_STRING(made)[i] = nf.nf_slab_is_cut(self.c, &d)
        return made

    cdef const sockaddr* sender(self, size_t i, size_t* size) noexcept:
        cdef nf_datagram d = nf.nf_slab_datagram(self.c, i)
        return <const sockaddr*>nf.nf_slab_sender(self.c, &d, size)

    def ports(self) -> bytearray:
        """uint16 each: of who sent it."""
        cdef size_t i, size, n = nf.nf_slab_count(self.c)
        cdef bytearray made = zeros(2 * n)
        cdef uint16_t* to = <uint16_t*>PyByteArray_AS_STRING(made)
        cdef const sockaddr* a
        for i in range(n):
            a = self.sender(i, &size)
            if size >= sizeof(sockaddr_in) and a.sa_family in (AF_INET, AF_INET6):
                to[i] = ntohs((<const sockaddr_in*>a).sin_port)      # at the same place in both
        return made

    def addresses(self) -> Parsed:
        """Who sent each."""
        cdef size_t i, size, n = nf.nf_slab_count(self.c)
        cdef Parsed made = Parsed(n)
        cdef const sockaddr* a
        cdef const sockaddr_in6* six
        if n and self.sender(0, &size).sa_family == AF_INET6:
            made.widen([])
        for i in range(n):
            a = self.sender(i, &size)
            made.v4_at(i)[0] = 0
            if size < sizeof(sockaddr_in):
                made.holds_at(i)[0] = 0
            elif a.sa_family == AF_INET:
                made.holds_at(i)[0] = NF_IP4
                made.v4_at(i)[0] = ntohl((<const sockaddr_in*>a).sin_addr.s_addr)
            else:
                six = <const sockaddr_in6*>a
                made.holds_at(i)[0] = NF_IP6
                memcpy(made.packed_at(i)[0], six.sin6_addr.s6_addr, 16)
                if six.sin6_scope_id:
                    made.zones[i] = card_name(six.sin6_scope_id)
        return made

    def paths(self) -> list:
        """Who sent each, of Unix sockets: a path, "@name" for an abstract one, None for one without a name."""
        cdef size_t i, size
        cdef const char* path
        cdef const sockaddr* a
        cdef list made = []
        for i in range(nf.nf_slab_count(self.c)):
            a = self.sender(i, &size)
            path = <const char*>a + sizeof(sa_family_t)
            if size <= sizeof(sa_family_t):
                made.append(None)
            elif path[0] == 0:
                size -= sizeof(sa_family_t) + 1
                made.append("@" + PyUnicode_DecodeFSDefaultAndSize(path + 1, <Py_ssize_t>size))
            else:
                made.append(os.fsdecode(path[:size - sizeof(sa_family_t)].split(b"\0")[0]))
        return made


cdef str card_name(uint32_t index):
    cdef char name[16]
    return os.fsdecode(<bytes>name) if if_indextoname(index, name) != NULL else str(index)


cdef class Receiver:
    """Receives into slabs that nobody looks at any more."""
    cdef uint32_t slots, size
    cdef bint waited         # for what came last
    cdef list pool

    def __cinit__(self, uint32_t slots, uint32_t size):
        self.slots = slots
        self.size = size
        self.pool = []

    cdef Slab free_slab(self):
        cdef Py_ssize_t i
        for i in range(len(self.pool)):
            if Py_REFCNT(PyList_GET_ITEM(self.pool, i)) == 1:    # the pool's own reference
                return self.pool[i]
        slab = Slab(self.slots, self.size)
        self.pool.append(slab)
        if len(self.pool) > POOL:
            del self.pool[0]                                     # it lives as long as somebody looks at it
        return slab

    def receive(self, int fd, double seconds) -> Slab | None:
        """What is there, once something is; None if nothing came in time."""
        cdef Slab slab = self.free_slab()
        cdef Patience patience = None
        cdef int n
        if self.waited and seconds != 0:    # as the last time: spares a call that finds nothing
            patience = Patience(fd, seconds)
            self.waited = patience.wait(False)
        while True:
            with nogil:
                n = nf.nf_slab_receive(slab.c, fd)
            if n > 0:
                self.waited = patience is not None
                return slab
            if n == -EINTR:
                PyErr_CheckSignals()
            elif n != -EAGAIN:
                raise_os(-n)
            elif seconds == 0:
                return None
            else:
                patience = patience or Patience(fd, seconds)
                if not patience.wait(False):
                    return None


def receive_options(int fd, bint gro) -> None:
    cdef int error = nf.nf_receive_options(fd, gro)
    if error:
        raise_os(error)


def drops(int fd) -> int:
    """How many datagrams the kernel has dropped at a socket for want of room; -1 if it does not tell."""
    return nf.nf_socket_drops(fd)


# ---- buffers of others

cdef class Buffers:
    """Bytes-like objects, whose memory stays while this does."""
    cdef Py_ssize_t n
    cdef list kept           # the bytes objects, which need no more than a reference
    cdef Py_buffer* views
    cdef Py_ssize_t viewed
    cdef const uint8_t** data
    cdef size_t* sizes

    def __cinit__(self, list items, str what):
        cdef Py_ssize_t i
        self.n = len(items)
        self.kept = items
        self.data = <const uint8_t**>calloc(self.n or 1, sizeof(void*))
        self.sizes = <size_t*>calloc(self.n or 1, sizeof(size_t))
        if self.data == NULL or self.sizes == NULL:
            raise MemoryError(f"no memory to send {self.n:,} buffers")
        for i in range(self.n):
            if i % OBJECTS == 0:
                PyErr_CheckSignals()
            item = items[i]
            if PyBytes_Check(item):
                self.data[i] = <const uint8_t*>PyBytes_AS_STRING(item)
                self.sizes[i] = <size_t>PyBytes_GET_SIZE(item)
            else:
                self.take_view(i, item, what)

    cdef take_view(self, Py_ssize_t i, object item, str what):
        if self.views == NULL:
            self.views = <Py_buffer*>calloc(self.n, sizeof(Py_buffer))
            if self.views == NULL:
                raise MemoryError(f"no memory to send {self.n:,} buffers")
        try:
            PyObject_GetBuffer(item, &self.views[self.viewed], PyBUF_SIMPLE)
        except TypeError:
            wanted = "bytes, or an object of contiguous bytes"
            raise TypeError(f"{what} {i} is {type(item).__name__}; wanted {wanted}") from None
        except (BufferError, ValueError) as error:
            raise type(error)(f"{what} {i}: {error}") from None
        self.data[i] = <const uint8_t*>self.views[self.viewed].buf
        self.sizes[i] = <size_t>self.views[self.viewed].len
        self.viewed += 1

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.viewed):
            PyBuffer_Release(&self.views[i])
        free(self.views)
        free(self.data)
        free(self.sizes)


# ---- where they go

cdef class Addresses:
    """Where datagrams go: struct sockaddr of each, or one for all.  Those that are not plain are put one by one."""
    cdef nf.nf_addresses c
    cdef uint8_t* rows
    cdef uint32_t* sizes     # 0: not put yet
    cdef readonly size_t n
    cdef int family

    def __cinit__(self, size_t n, int family):
        self.n = n
        self.family = family
        self.c.stride = (sizeof(sockaddr_in) if family == AF_INET else
                         sizeof(sockaddr_in6) if family == AF_INET6 else sizeof(sockaddr_un))
        self.rows = <uint8_t*>calloc(n or 1, self.c.stride)
        self.sizes = <uint32_t*>calloc(n or 1, sizeof(uint32_t))
        if self.rows == NULL or self.sizes == NULL:
            raise MemoryError(f"no memory for {n:,} addresses")
        self.c.bytes, self.c.sizes = self.rows, self.sizes

    def __dealloc__(self):
        free(self.rows)
        free(self.sizes)

    def missing(self, size_t first) -> int:
        """The first from there on that is not put yet; -1 if all are."""
        cdef size_t i
        for i in range(first, self.n):
            if self.sizes[i] == 0:
                return <Py_ssize_t>i
        return -1

    def put(self, size_t i, bytes address) -> None:
        """A struct sockaddr."""
        self.sizes[i] = <uint32_t>min(<size_t>len(address), self.c.stride)
        memcpy(self.rows + i * self.c.stride, PyBytes_AS_STRING(address), self.sizes[i])

    def put_plain(self, list items) -> None:
        """Those that are (str, int), both of just this type, an address without a zone of the socket's family."""
        cdef const uint8_t* text[ADDRESSES]
        cdef uint32_t size[ADDRESSES]
        cdef uint16_t port[ADDRESSES]
        cdef uint32_t v4[ADDRESSES]
        cdef uint8_t packed[ADDRESSES][16]
        cdef uint8_t holds[ADDRESSES]
        cdef nf_rows rows
        cdef size_t first, i, n
        rows.text, rows.size = text, size
        for first in range(0, self.n, ADDRESSES):
            PyErr_CheckSignals()
            n = min(<size_t>ADDRESSES, self.n - first)
            for i in range(n):
                text[i] = plain_host(PyList_GET_ITEM(items, <Py_ssize_t>(first + i)), &size[i], &port[i])
            parse_rows(rows, n, v4, packed, holds)
            for i in range(n):
                self.put_ip(first + i, holds[i], v4[i], packed[i], port[i])

    def put_parsed(self, Parsed parsed, bytearray ports) -> None:
        """Those of a column without a zone and of the socket's family; ports: uint16 each."""
        cdef const uint16_t* port = <const uint16_t*>PyByteArray_AS_STRING(ports)
        cdef size_t i
        for i in range(self.n):
            self.put_ip(i, parsed.holds_at(i)[0], parsed.v4_at(i)[0],
                        NULL if parsed.packed is None else parsed.packed_at(i)[0], port[i])

    cdef void put_ip(self, size_t i, uint8_t holds, uint32_t v4, const uint8_t* packed, uint16_t port) noexcept:
        cdef sockaddr_in* four = <sockaddr_in*>(self.rows + i * self.c.stride)
        cdef sockaddr_in6* six = <sockaddr_in6*>(self.rows + i * self.c.stride)
        if holds == NF_IP4 and self.family == AF_INET:
            four.sin_family = AF_INET
            four.sin_port = htons(port)
            four.sin_addr.s_addr = htonl(v4)
        elif self.family == AF_INET6 and (holds == NF_IP4 or holds == NF_IP6):
            six.sin6_family = AF_INET6
            six.sin6_port = htons(port)
            if holds == NF_IP4:
                memset(six.sin6_addr.s6_addr + 10, 0xFF, 2)                         # ::ffff:a.b.c.d
                (<uint32_t*>(six.sin6_addr.s6_addr + 12))[0] = htonl(v4)
            else:
                memcpy(six.sin6_addr.s6_addr, packed, 16)
        else:
            return
        self.sizes[i] = <uint32_t>self.c.stride

    cdef bint repeats(self, size_t i) noexcept:
        """It is the address before."""
        cdef const uint8_t* row = self.rows + i * self.c.stride
        return i > 0 and self.sizes[i] == self.sizes[i - 1] and memcmp(row, row - self.c.stride, self.sizes[i]) == 0


cdef const uint8_t* plain_host(PyObject* item, uint32_t* size, uint16_t* port) noexcept:
    """The text of the host of (host, port); "" if there is anything about them that wants a closer look."""
    cdef const uint8_t* text
    cdef PyObject* host
    cdef PyObject* number
    cdef int overflow
    cdef long value
    size[0] = 0
    port[0] = 0
    if not PyTuple_CheckExact(<object>item) or PyTuple_GET_SIZE(<object>item) != 2:
        return b""
    host, number = PyTuple_GET_ITEM(<object>item, 0), PyTuple_GET_ITEM(<object>item, 1)
    if not PyLong_CheckExact(<object>number):
        return b""
    value = PyLong_AsLongAndOverflow(<object>number, &overflow)
    text = ascii_text(host, size)
    if text == NULL or overflow or not 0 <= value <= 65535:
        size[0] = 0
        return b""
    port[0] = <uint16_t>value
    return text


# ---- datagrams out

cdef nf.c_bool note_refused(void* to, size_t index, int error) noexcept nogil:
    with gil:
        try:
            (<list>to).append((index, error))
        except MemoryError:
            return False
    return True


cdef class Sender:
    """Sends many datagrams a system call."""
    cdef nf.nf_sender* c
    cdef public bint gso     # runs of equal datagrams go in one piece
    cdef bint sending

    def __cinit__(self, int fd, uint32_t slots):
        self.c = nf.nf_sender_new(slots)
        if self.c == NULL:
            raise MemoryError(f"no memory to send {slots} datagrams at a time")
        self.gso = nf.nf_knows_gso(fd)

    def __dealloc__(self):
        nf.nf_sender_free(self.c)

    def send(self, int fd, list datagrams, Addresses addresses, double seconds) -> tuple:
        """(sent, done, [(index, errno)]): all of it, unless the time is over.

        addresses: of each, or one for all; None for a connected socket.
        """
        cdef Buffers buffers = Buffers(datagrams, "datagram")
        cdef nf_outgoing* out = <nf_outgoing*>malloc(max(1, buffers.n) * sizeof(nf_outgoing))
        cdef bint each = addresses is not None and addresses.n > 1
        cdef uint32_t place = 0
        cdef Py_ssize_t i
        if out == NULL:
            raise MemoryError(f"no memory to send {buffers.n:,} datagrams")
        try:
            for i in range(buffers.n):
                if each and not addresses.repeats(<size_t>i):
                    place = <uint32_t>i
                out[i].data = buffers.data[i]
                out[i].size = <uint32_t>min(buffers.sizes[i], <size_t>1 << 31)      # too large either way
                out[i].address = place
            return self.send_all(fd, out, <size_t>buffers.n, addresses, seconds)
        finally:
            free(out)

    def send_segments(self, int fd, object buffer, uint32_t segment, Addresses addresses, double seconds) -> tuple:
        """The same of one buffer, cut every so many bytes."""
        cdef nf_outgoing out[SEGMENTS]
        cdef Patience left = Patience(fd, seconds)
        cdef Py_buffer view
        cdef size_t i, n, at = 0, all_sent = 0, all_done = 0
        cdef list errors = []
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            while at < <size_t>view.len:
                PyErr_CheckSignals()
                n = min(<size_t>SEGMENTS, (<size_t>view.len - at + segment - 1) // segment)
                for i in range(n):
                    out[i].data = <const uint8_t*>view.buf + at + i * segment
                    out[i].size = <uint32_t>min(<size_t>segment, <size_t>view.len - at - i * segment)
                    out[i].address = 0
                sent, done, refused = self.send_all(fd, out, n, addresses, left.left(seconds))
                errors += [(all_done + index, error) for index, error in refused]
                all_sent += sent
                all_done += done
                if done < n:
                    break
                at += n * segment
            return all_sent, all_done, errors
        finally:
            PyBuffer_Release(&view)

    cdef tuple send_all(self, int fd, const nf_outgoing* out, size_t n, Addresses addresses, double seconds):
        cdef nf.nf_addresses to
        cdef nf.nf_progress progress
        cdef Patience patience = None
        cdef list errors = []
        cdef size_t before
        cdef int status
        if self.sending:
            raise RuntimeError("somebody else is sending by this batch")
        memset(&to, 0, sizeof(to))
        memset(&progress, 0, sizeof(progress))
        progress.no_gso = not self.gso
        if addresses is not None:
            to = addresses.c
        self.sending = True
        try:
            while True:
                before = progress.done
                with nogil:
                    status = nf.nf_send_datagrams(self.c, fd, out, n, &to, &progress, note_refused, <void*>errors)
                self.gso = self.gso and not progress.no_gso
                if status == 0:
                    break
                if status == EINTR or status == nf.NF_SEND_MORE:
                    PyErr_CheckSignals()
                elif status in (EAGAIN, ENOBUFS):
                    if seconds == 0:
                        break
                    patience = patience or Patience(fd, seconds)
                    if progress.done > before:
                        patience.progressed()
                    if not patience.wait(True):
                        break
                else:
                    raise_os(status)
        finally:
            self.sending = False
        return progress.sent, progress.done, errors


# ---- streams

def send_buffers(int fd, list items, str what, double seconds) -> tuple:
    """Sends bytes-like objects one after the other: (bytes sent, errno or 0).  EAGAIN: the time is over."""
    cdef Buffers buffers = Buffers(items, what)
    cdef iovec* vectors = <iovec*>malloc(max(1, buffers.n) * sizeof(iovec))
    cdef nf.nf_sending s
    cdef Py_ssize_t i
    cdef int status
    if vectors == NULL:
        raise MemoryError(f"no memory to send {buffers.n:,} buffers")
    try:
        for i in range(buffers.n):
            vectors[i] = iovec(<void*>buffers.data[i], buffers.sizes[i])
        memset(&s, 0, sizeof(s))
        s.buffers = vectors
        s.count = <size_t>buffers.n
        status = send_on(fd, &s, seconds)
        return s.sent, status
    finally:
        free(vectors)


cdef int send_on(int fd, nf.nf_sending* s, double seconds) except -1:
    """Sends until all is gone; 0 or errno, of which EAGAIN says that the time is over."""
    cdef Patience patience = None
    cdef uint64_t before
    cdef int status
    while True:
        before = s.sent
        with nogil:
            status = nf.nf_send_buffers(s, fd)
        if status == EINTR:
            PyErr_CheckSignals()
        elif status in (EAGAIN, ENOBUFS) and seconds != 0:
            patience = patience or Patience(fd, seconds)
            if s.sent > before:
                patience.progressed()
            if not patience.wait(True):
                return EAGAIN
        else:
            return status


cdef ssize_t receive_some(int fd, uint8_t* to, size_t size, double seconds) except -2:
    """Bytes that came, 0 at the end; -1 if nothing came in time."""
    cdef Patience patience = None
    cdef ssize_t n
    while True:
        with nogil:
            n = recv(fd, to, size, MSG_DONTWAIT)
        if n >= 0:
            return n
        if errno == EINTR:
            PyErr_CheckSignals()
        elif errno != EAGAIN:
            raise_os(errno)
        elif seconds == 0:
            return -1
        else:
            patience = patience or Patience(fd, seconds)
            if not patience.wait(False):
                return -1


def receive_into(int fd, object buffer, double seconds) -> tuple:
    """Fills a writable buffer: (bytes that came, whether the other side has ended).  Fewer than there is room for, and
    no end: the time is over."""
    cdef Py_buffer view
    cdef Patience left = Patience(fd, seconds)
    cdef Py_ssize_t done = 0
    cdef ssize_t n
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    try:
        while done < view.len:
            n = receive_some(fd, <uint8_t*>view.buf + done, <size_t>(view.len - done), left.left(seconds))
            PyErr_CheckSignals()
            if n <= 0:
                return done, n == 0
            done += n
        return done, False
    finally:
        PyBuffer_Release(&view)


cdef class Frames:
    """The frames of a stream: what was read and not yet taken, and what is left of a frame that was sent in part."""
    cdef nf.nf_frame_rule rule
    cdef nf.nf_frame_cursor cursor
    cdef uint8_t* data
    cdef size_t end, room
    cdef bint ended, receiving, sending
    cdef bytes pending

    def __cinit__(self, int prefix, bint little_endian, bytes delimiter, uint64_t max_frame):
        memset(&self.rule, 0, sizeof(self.rule))
        memset(&self.cursor, 0, sizeof(self.cursor))
        self.rule.prefix = <uint8_t>prefix
        self.rule.little_endian = little_endian
        self.rule.delimiter_size = <uint8_t>len(delimiter)
        memcpy(self.rule.delimiter, PyBytes_AS_STRING(delimiter), len(delimiter))
        self.rule.max_frame = max_frame
        self.pending = b""

    def __dealloc__(self):
        free(self.data)

    def buffered(self) -> bytes:
        cdef size_t left = self.end - self.cursor.at
        return PyBytes_FromStringAndSize(<const char*>self.data + self.cursor.at, <Py_ssize_t>left)

    # -- in

    cdef list split(self, size_t most):
        """The whole frames that have been read."""
        cdef nf_frame frames[FRAMES]
        cdef list made = []
        cdef size_t i, n
        while len(made) < most:
            n = nf.nf_frames_split(&self.rule, &self.cursor, self.data, self.end, frames,
                                   min(most - <size_t>len(made), <size_t>FRAMES))
            for i in range(n):
                made.append(PyBytes_FromStringAndSize(<const char*>self.data + frames[i].offset,
                                                      <Py_ssize_t>frames[i].size))
            if n < FRAMES:
                break
        return made

    cdef make_room(self):
        """Room for a chunk behind what is there; what has been taken makes place."""
        cdef size_t left = self.end - self.cursor.at, room = self.room
        cdef uint8_t* grown
        if self.cursor.at and (left == 0 or self.room - self.end < CHUNK):
            memmove(self.data, self.data + self.cursor.at, left)
            self.cursor.at = 0
            self.end = left
        if left == 0 and room > CHUNK_MAX:
            room = CHUNK                                # after a large frame
        elif room - self.end < CHUNK // 2:
            room = max(2 * room, <size_t>CHUNK)
        if room != self.room:
            grown = <uint8_t*>realloc(self.data, room)
            if grown == NULL:
                raise MemoryError(f"no memory for a frame of more than {left:,} bytes")
            self.data = grown
            self.room = room

    def receive(self, int fd, size_t most, double seconds) -> list | None:
        """Frames, once there is one; [] at the end, None if none came in time."""
        if self.receiving:
            raise RuntimeError("somebody else is receiving from this stream")
        self.receiving = True
        try:
            return self.received(fd, most, seconds)
        finally:
            self.receiving = False

    cdef list received(self, int fd, size_t most, double seconds):
        cdef Patience left = Patience(fd, seconds)
        cdef list frames
        cdef ssize_t n
        while True:
            frames = self.split(most)
            if frames:
                return frames
            if self.cursor.too_large:
                size = f"{self.cursor.needed:,}" if self.rule.prefix else f"more than {self.rule.max_frame:,}"
                raise ValueError(f"a frame has {size} bytes; {self.rule.max_frame:,} are the most that is taken")
            if self.ended and self.end > self.cursor.at:
                raise EOFError(f"the stream ended inside a frame, of which {self.end - self.cursor.at:,} bytes came")
            if self.ended:
                return []
            PyErr_CheckSignals()
            self.make_room()
            n = receive_some(fd, self.data + self.end, self.room - self.end, left.left(seconds))
            if n < 0:
                return None
            self.ended = n == 0
            self.end += <size_t>n

    # -- out

    def send(self, int fd, list frames, double seconds) -> tuple:
        """(frames sent, errno or 0); EAGAIN: the time is over.  What is left of the last goes with the next call."""
        if self.sending:
            raise RuntimeError("somebody else is sending to this stream")
        self.sending = True
        try:
            return self.sent(fd, Buffers(frames, "frame"), seconds)
        finally:
            self.sending = False

    cdef check(self, Buffers frames):
        cdef Py_ssize_t i
        cdef uint64_t most = self.rule.max_frame
        if self.rule.prefix and self.rule.prefix < 8:
            most = min(most, (<uint64_t>1 << 8 * self.rule.prefix) - 1)
        for i in range(frames.n):
            if frames.sizes[i] > most:
                raise ValueError(f"frame {i} has {frames.sizes[i]:,} bytes; {most:,} are the most")
            if nf.nf_frame_holds_delimiter(&self.rule, frames.data[i], frames.sizes[i]):
                raise ValueError(f"frame {i} holds the delimiter")

    cdef tuple sent(self, int fd, Buffers frames, double seconds):
        """Each frame is two buffers: the prefix and itself, or itself and the delimiter."""
        cdef size_t n = <size_t>frames.n
        cdef iovec* vectors
        cdef uint8_t* prefixes
        cdef nf.nf_sending s
        cdef size_t i
        cdef int status
        self.check(frames)
        vectors = <iovec*>malloc((2 * n + 1) * sizeof(iovec))
        prefixes = <uint8_t*>malloc(8 * n + 1)
        try:
            if vectors == NULL or prefixes == NULL:
                raise MemoryError(f"no memory to send {n:,} frames")
            vectors[0] = iovec(<void*>PyBytes_AS_STRING(self.pending), <size_t>len(self.pending))
            for i in range(n):
                if self.rule.prefix:
                    nf.nf_frame_prefix(&self.rule, frames.sizes[i], prefixes + 8 * i)
                    vectors[2 * i + 1] = iovec(prefixes + 8 * i, self.rule.prefix)
                    vectors[2 * i + 2] = iovec(<void*>frames.data[i], frames.sizes[i])
                else:
                    vectors[2 * i + 1] = iovec(<void*>frames.data[i], frames.sizes[i])
                    vectors[2 * i + 2] = iovec(self.rule.delimiter, self.rule.delimiter_size)
            memset(&s, 0, sizeof(s))
            s.buffers = vectors
            s.count = 2 * n + 1
            try:
                status = send_on(fd, &s, seconds)
            finally:
                i = self.keep_rest(&s, frames)
            return i, status
        finally:
            free(vectors)
            free(prefixes)

    cdef size_t keep_rest(self, nf.nf_sending* s, Buffers frames):
        """How many frames are gone, or will go before all others: what is left of one that was begun is kept."""
        cdef size_t at = s.at, frame = (at - 1) // 2 if at else 0
        cdef bytes rest = b""
        if at == 0:                                     # not even what was left before
            self.pending = vector_bytes(&s.buffers[0])
            return 0
        if at == s.count:
            self.pending = b""
            return (s.count - 1) // 2
        if at % 2 == 0:                                 # its first half is gone
            rest = vector_bytes(&s.buffers[at])
        elif s.buffers[at].iov_len < (self.rule.prefix or frames.sizes[frame]):
            rest = vector_bytes(&s.buffers[at]) + vector_bytes(&s.buffers[at + 1])
        self.pending = rest
        return frame + 1 if rest else frame


cdef bytes vector_bytes(const iovec* v):
    return PyBytes_FromStringAndSize(<const char*>v.iov_base, <Py_ssize_t>v.iov_len)
