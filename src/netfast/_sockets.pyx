# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to the kernels that move datagrams and frames.  Linux.

Nothing here is public; `datagrams`, `frames` and `streams` are the faces.  Sockets are the caller's, who may close one
while we wait: its number may be another's then, so it is looked at again behind each wait.  A wait is in seconds:
negative for ever, 0 not at all; no system call waits but poll.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EBADF, EINTR, ENOBUFS, ENOMEM, ESHUTDOWN, errno
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

cdef extern from *:
    """
    /* A row of no bytes: kernels may read the 16 in front of a row's end. */
    static const uint8_t empty_row[32];
    #define EMPTY_ROW (empty_row + 16)
    """
    const uint8_t* EMPTY_ROW

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
    PIECE = 1 << 16          # bytes of the largest that the kernel puts together
    CHUNK = 1 << 16          # bytes that are read at a time at least
    CHUNK_MAX = 1 << 20      # of room that is kept once a large frame is gone
    FRAMES = 1024            # taken apart in one go
    SEGMENTS = 4096          # of a buffer that are sent in one go
    SEARCHED = 1 << 22       # bytes in which a delimiter is looked for in one go
    ADDRESSES = 256          # parsed in one go

SLOTS_MAX, DATAGRAM_MAX = nf.NF_SLOTS_MAX, nf.NF_DATAGRAM_MAX


# ---- waiting

cdef double seconds_now() noexcept:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <double>t.tv_sec + t.tv_nsec * 1e-9


cdef int descriptor(object sock) except -1:
    cdef int fd = sock.fileno()
    if fd < 0:
        raise_os(EBADF)
    return fd


cdef class Patience:
    """How long a call may still be at a socket: in slices, so that a signal is heard whenever it comes."""
    cdef object sock
    cdef int fd
    cdef double seconds
    cdef double until        # of CLOCK_MONOTONIC, if there is an end
    cdef bint was_ready      # so said poll, the last time
    cdef bint hung_up        # nothing more will come

    def __cinit__(self, sock, double seconds):
        self.sock = sock
        self.fd = descriptor(sock)
        self.seconds = seconds
        if seconds > 0:
            self.until = seconds_now() + seconds

    cdef double left(self) noexcept:
        return self.until - seconds_now() if self.seconds > 0 else SLICE * 1e-3

    cdef int goes_on(self) except -1:
        """Between two pieces of the work: looks at signals and at the socket; False if the time is over."""
        PyErr_CheckSignals()
        if descriptor(self.sock) != self.fd:
            raise_os(EBADF)
        return self.left() > 0

    cdef int wait(self, bint write) except -1:
        """Waits until there is something to read, or room to write; False if the time is over.

        Where poll said so the last time, and it was not true, a moment is waited: the kernel has no memory for more, a
        Unix socket that is not connected is always said to have room, and an error queue makes any socket ready.
        """
        cdef double left
        cdef int status, milliseconds, fd = -1 if self.was_ready else self.fd
        while self.seconds != 0 and self.goes_on():
            left = self.left()
            milliseconds = MOMENT if self.was_ready else <int>min(SLICE, left * 1e3 + 1)
            with nogil:
                status = nf.nf_wait(fd, write, milliseconds)
            if status == EAGAIN and self.was_ready:
                self.was_ready = False
                return self.goes_on()
            if status == 0 or status == nf.NF_HUNG_UP:
                self.was_ready = True
                self.hung_up = status == nf.NF_HUNG_UP
                return self.goes_on()
            if status not in (EAGAIN, EINTR):
                raise_os(status)
        return False


cdef raise_os(int error):
    if error == ENOMEM:
        raise MemoryError("no memory for the buffers of a socket")
    raise OSError(error, "the socket is closed" if error == EBADF else os.strerror(error))


# ---- datagrams in

cdef class Slab:
    """Memory with the datagrams of one receive.  Whoever looks at it holds a reference: views of its bytes, too."""
    cdef nf.nf_slab* c
    cdef uint32_t size       # bytes a slot

    def __cinit__(self, uint32_t slots, uint32_t size, bint told):
        self.size = size
        self.c = nf.nf_slab_new(slots, size, told)
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

    def truncated(self) -> bytearray:
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
            if is_four(a, size) or is_six(a, size):
                to[i] = ntohs((<const sockaddr_in*>a).sin_port)      # at the same place in both
        return made

    def addresses(self) -> Parsed:
        """Who sent each."""
        cdef size_t i, size, n = nf.nf_slab_count(self.c)
        cdef Parsed made = Parsed(n)
        cdef const sockaddr* a
        cdef const sockaddr_in6* six
        if any_six(self, n):
            made.widen([])
        for i in range(n):
            a = self.sender(i, &size)
            made.v4_at(i)[0] = 0
            made.holds_at(i)[0] = 0
            if is_four(a, size):
                made.holds_at(i)[0] = NF_IP4
                made.v4_at(i)[0] = ntohl((<const sockaddr_in*>a).sin_addr.s_addr)
            elif is_six(a, size):
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


cdef bint is_four(const sockaddr* a, size_t size) noexcept:
    return size >= sizeof(sockaddr_in) and a.sa_family == AF_INET


cdef bint is_six(const sockaddr* a, size_t size) noexcept:
    return size >= sizeof(sockaddr_in6) and a.sa_family == AF_INET6


cdef bint any_six(Slab slab, size_t n) noexcept:
    cdef size_t i, size
    cdef const sockaddr* a
    for i in range(n):
        a = slab.sender(i, &size)
        if is_six(a, size):
            return True
    return False


cdef str card_name(uint32_t index):
    cdef char name[16]
    return os.fsdecode(<bytes>name) if if_indextoname(index, name) != NULL else str(index)


cdef class Receiver:
    """Receives into slabs that nobody looks at any more."""
    cdef uint32_t slots, size
    cdef bint told           # when each came, how many were dropped, in which pieces
    cdef bint waited         # for what came last
    cdef bint may_grow       # pieces are larger than a slot, and nobody has set UDP_GRO yet
    cdef list pool

    def __cinit__(self, uint32_t slots, uint32_t size, bint told, bint gro):
        self.slots = slots
        self.size = <uint32_t>PIECE if gro else size
        self.told = told
        self.may_grow = told and self.size < PIECE
        self.pool = []

    cdef void look_for_pieces(self, int fd) noexcept:
        """Room for pieces once the socket has UDP_GRO, whoever set it: in less room datagrams would be lost."""
        cdef int pieces = nf.nf_gets_pieces(fd)
        if pieces:
            self.may_grow = False
        if pieces > 0:
            self.size = PIECE

    cdef Slab free_slab(self):
        cdef Py_ssize_t i
        for i in range(len(self.pool)):
            if Py_REFCNT(PyList_GET_ITEM(self.pool, i)) != 1:    # the pool's own reference
                continue
            if (<Slab>PyList_GET_ITEM(self.pool, i)).size == self.size:
                return self.pool[i]
        slab = Slab(self.slots, self.size, self.told)
        self.pool.append(slab)
        if len(self.pool) > POOL:
            del self.pool[0]                                     # it lives as long as somebody looks at it
        return slab

    def receive(self, sock, double seconds) -> Slab | None:
        """What is there, once something is; None if nothing came in time."""
        cdef Slab slab = None
        cdef Patience patience = Patience(sock, seconds)
        cdef bint waits = self.waited and seconds != 0           # as the last time: spares a call that finds nothing
        cdef int n
        self.waited = False
        while True:
            if waits:
                if not patience.wait(False):
                    return None
                self.waited = True
            if self.may_grow:
                self.look_for_pieces(patience.fd)
            if slab is None or slab.size != self.size:
                slab = self.free_slab()
            with nogil:
                n = nf.nf_slab_receive(slab.c, patience.fd)
            if n > 0:
                return slab
            if n == -EINTR:
                waits = False
                patience.goes_on()
            elif n != -EAGAIN:
                raise_os(-n)
            elif patience.hung_up or (seconds == 0 and nf.nf_wait(patience.fd, False, 0) == nf.NF_HUNG_UP):
                raise_os(ESHUTDOWN)
            else:
                waits = True


def receive_options(sock, bint gro) -> None:
    cdef int error = nf.nf_receive_options(descriptor(sock), gro)
    if error:
        raise_os(error)


def drops(sock) -> int:
    """How many datagrams the kernel has dropped at a socket for want of room; -1 if it does not tell."""
    return nf.nf_socket_drops(descriptor(sock))


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

    def put_parsed(self, Parsed parsed, bytearray ports, dict scopes) -> None:
        """Those of a column that are of the socket's family; ports: uint16 each.

        scopes: the number of the card of each row that has a zone.
        """
        cdef const uint16_t* port = <const uint16_t*>PyByteArray_AS_STRING(ports)
        cdef size_t i
        for i in range(self.n):
            self.put_ip(i, parsed.holds_at(i)[0], parsed.v4_at(i)[0],
                        NULL if parsed.packed is None else parsed.packed_at(i)[0], port[i])
        if self.family == AF_INET6:
            for i, scope in scopes.items():
                (<sockaddr_in6*>(self.rows + i * self.c.stride)).sin6_scope_id = scope

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
    """The text of the host of (host, port); none if there is anything about them that wants a closer look."""
    cdef const uint8_t* text
    cdef PyObject* host
    cdef PyObject* number
    cdef int overflow
    cdef long value
    size[0] = 0
    port[0] = 0
    if not PyTuple_CheckExact(<object>item) or PyTuple_GET_SIZE(<object>item) != 2:
        return EMPTY_ROW
    host, number = PyTuple_GET_ITEM(<object>item, 0), PyTuple_GET_ITEM(<object>item, 1)
    if not PyLong_CheckExact(<object>number):
        return EMPTY_ROW
    value = PyLong_AsLongAndOverflow(<object>number, &overflow)
    text = ascii_text(host, size)
    if text == NULL or overflow or not 0 <= value <= 65535:
        size[0] = 0
        return EMPTY_ROW
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
    cdef bint sending, knows_gso, uses_gso

    def __cinit__(self, sock, uint32_t slots):
        self.c = nf.nf_sender_new(slots)
        if self.c == NULL:
            raise MemoryError(f"no memory to send {slots} datagrams at a time")
        self.uses_gso = self.knows_gso = nf.nf_knows_gso(descriptor(sock))

    @property
    def gso(self) -> bool:
        """Runs of equal datagrams go in one piece.  Where the kernel knows nothing of it, they would arrive as one."""
        return self.uses_gso

    @gso.setter
    def gso(self, bint allowed):
        self.uses_gso = allowed and self.knows_gso

    def __dealloc__(self):
        nf.nf_sender_free(self.c)

    def send(self, sock, list datagrams, Addresses addresses, double seconds) -> tuple:
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
            return self.send_on(Patience(sock, seconds), out, <size_t>buffers.n, addresses)
        finally:
            free(out)

    def send_segments(self, sock, buffer, uint32_t segment, Addresses addresses, double seconds) -> tuple:
        """The same of one buffer, cut every so many bytes."""
        cdef nf_outgoing out[SEGMENTS]
        cdef Patience patience
        cdef Py_buffer view
        cdef size_t i, n, at = 0, all_sent = 0, all_done = 0
        cdef list errors = []
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            patience = Patience(sock, seconds)
            while at < <size_t>view.len:
                n = min(<size_t>SEGMENTS, (<size_t>view.len - at + segment - 1) // segment)
                for i in range(n):
                    out[i].data = <const uint8_t*>view.buf + at + i * segment
                    out[i].size = <uint32_t>min(<size_t>segment, <size_t>view.len - at - i * segment)
                    out[i].address = 0
                sent, done, refused = self.send_on(patience, out, n, addresses)
                errors += [(all_done + index, error) for index, error in refused]
                all_sent += sent
                all_done += done
                at += n * segment
                if done < n or not patience.goes_on():
                    break
            return all_sent, all_done, errors
        finally:
            PyBuffer_Release(&view)

    cdef tuple send_on(self, Patience patience, const nf_outgoing* out, size_t n, Addresses addresses):
        cdef nf.nf_addresses to
        cdef nf.nf_progress progress
        cdef list errors = []
        cdef size_t before
        cdef int status
        if self.sending:
            raise RuntimeError("somebody else is sending by this batch")
        memset(&to, 0, sizeof(to))
        memset(&progress, 0, sizeof(progress))
        progress.no_gso = not self.uses_gso
        if addresses is not None:
            to = addresses.c
        self.sending = True
        try:
            while True:
                before = progress.done
                with nogil:
                    status = nf.nf_send_datagrams(self.c, patience.fd, out, n, &to, &progress, note_refused,
                                                  <void*>errors)
                self.uses_gso = self.uses_gso and not progress.no_gso
                if status == 0:
                    break
                if progress.done > before:
                    patience.was_ready = False
                if status == EINTR or status == nf.NF_SEND_MORE:
                    if not patience.goes_on():
                        break
                elif status in (EAGAIN, ENOBUFS):
                    if not patience.wait(True):
                        break
                else:
                    raise_after(status, progress.sent)
        finally:
            self.sending = False
        return progress.sent, progress.done, errors


cdef raise_after(int error, sent):
    """The error of a socket through which something had gone: so much."""
    try:
        raise_os(error)
    except OSError as raised:
        raised.sent = sent
        raise


# ---- streams

def send_buffers(sock, list items, str what, double seconds) -> tuple:
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
        status = send_on(Patience(sock, seconds), &s, False)
        return s.sent, status
    finally:
        free(vectors)


cdef int send_on(Patience patience, nf.nf_sending* s, bint a_while) except -1:
    """Sends until all is gone, or for a while; 0 or errno.  EAGAIN: the time is over; EINTR: the while is."""
    cdef uint64_t before
    cdef int status
    while True:
        before = s.sent
        with nogil:
            status = nf.nf_send_buffers(s, patience.fd)
        if s.sent > before:
            patience.was_ready = False
        if status == EINTR:
            if not patience.goes_on():
                return EAGAIN
            if a_while:
                return EINTR
        elif status in (EAGAIN, ENOBUFS):
            if not patience.wait(True):
                return EAGAIN
        else:
            return status


cdef ssize_t receive_some(Patience patience, uint8_t* to, size_t size) except -2:
    """Bytes that came, 0 at the end; -1 if nothing came in time."""
    cdef ssize_t n
    while True:
        with nogil:
            n = recv(patience.fd, to, size, MSG_DONTWAIT)
        if n >= 0:
            patience.was_ready = False
            return n
        if errno == EINTR:
            patience.goes_on()
        elif errno != EAGAIN:
            raise_os(errno)
        elif not patience.wait(False):
            return -1


cdef tuple receive_all(Patience patience, uint8_t* to, size_t size):
    """Fills memory: (bytes that came, whether the other side has ended).  Fewer than there is room for, and no end: the
    time is over."""
    cdef size_t done = 0
    cdef ssize_t n
    while done < size:
        n = receive_some(patience, to + done, min(size - done, <size_t>CHUNK_MAX))
        if n <= 0:
            return done, n == 0
        done += <size_t>n
        if not patience.goes_on():
            break
    return done, False


def receive_exactly(sock, Py_ssize_t n, double seconds) -> tuple:
    """So many bytes: (bytes, how many of them came, whether the other side has ended)."""
    cdef bytes made = PyBytes_FromStringAndSize(NULL, n)
    came, ended = receive_all(Patience(sock, seconds), <uint8_t*>PyBytes_AS_STRING(made), <size_t>n)
    return made, came, ended


def receive_into(sock, buffer, double seconds) -> tuple:
    """Fills a writable buffer: (bytes that it has room for, how many came, whether the other side has ended)."""
    cdef Py_buffer view
    try:
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    except (TypeError, BufferError) as error:
        raise type(error)(f"buffer is {type(buffer).__name__}; wanted contiguous bytes to write into") from None
    try:
        return view.len, *receive_all(Patience(sock, seconds), <uint8_t*>view.buf, <size_t>view.len)
    finally:
        PyBuffer_Release(&view)


# ---- frames out of a stream

cdef class Frames:
    """The frames of a stream: what was read and not yet taken, and what is left of a frame that was sent in part."""
    cdef nf.nf_frame_rule rule
    cdef nf.nf_frame_cursor cursor
    cdef uint8_t* data
    cdef size_t end, room
    cdef bint ended, receiving
    cdef bytes rest          # the end of a frame whose beginning has been sent
    cdef size_t rest_at      # what of that has been sent, too
    cdef bint sending

    def __cinit__(self, int prefix, bint little_endian, bytes delimiter, uint64_t max_frame):
        memset(&self.rule, 0, sizeof(self.rule))
        memset(&self.cursor, 0, sizeof(self.cursor))
        self.rule.prefix = <uint8_t>prefix
        self.rule.little_endian = little_endian
        self.rule.delimiter_size = <uint8_t>len(delimiter)
        memcpy(self.rule.delimiter, PyBytes_AS_STRING(delimiter), len(delimiter))
        self.rule.max_frame = max_frame
        self.rest = b""

    def __dealloc__(self):
        free(self.data)

    def buffered(self) -> bytes:
        cdef size_t left = self.end - self.cursor.at
        return PyBytes_FromStringAndSize(<const char*>self.data + self.cursor.at, <Py_ssize_t>left)

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

    cdef bytes next_read(self):
        """The next of these; None if none is whole."""
        cdef nf_frame frame
        cdef size_t before = self.cursor.at
        if nf.nf_frames_split(&self.rule, &self.cursor, self.data, self.end, &frame, 1) == 0:
            return None
        try:
            return PyBytes_FromStringAndSize(<const char*>self.data + frame.offset, <Py_ssize_t>frame.size)
        except MemoryError:
            self.cursor.at = before
            raise

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

    def receive(self, sock, size_t most, double seconds) -> list | None:
        """Frames, once there is one; [] at the end, None if none came in time."""
        if self.receiving:
            raise RuntimeError("somebody else is receiving from this stream")
        self.receiving = True
        try:
            return self.next_frames(Patience(sock, seconds), most)
        finally:
            self.receiving = False

    cdef list next_frames(self, Patience patience, size_t most):
        cdef bint in_time = True
        cdef list frames
        cdef ssize_t n
        while True:
            frames = self.split(most)
            if frames:
                return frames
            if self.cursor.too_large:
                size = f"{self.cursor.length:,}" if self.rule.prefix else f"more than {self.rule.max_frame:,}"
                raise ValueError(f"a frame has {size} bytes; {self.rule.max_frame:,} are the most that is taken")
            if self.ended and self.end > self.cursor.at:
                raise EOFError(f"the stream ended inside a frame, of which {self.end - self.cursor.at:,} bytes came")
            if self.ended:
                return []
            if not in_time:
                return None
            self.make_room()
            n = receive_some(patience, self.data + self.end, self.room - self.end)
            if n < 0:
                return None
            self.ended = n == 0
            self.end += <size_t>n
            in_time = patience.goes_on()


cdef class FrameIterator:
    """Each frame of a stream, one by one: whatever is not handed out yet stays with the stream.

    What has been read needs no more than this; only for more the stream is asked, which costs ten times as much.
    """
    cdef Frames frames
    cdef object receive      # the next frames, one at most
    cdef uint32_t taken      # since the last look at signals

    def __cinit__(self, Frames frames, receive):
        self.frames = frames
        self.receive = receive

    def __iter__(self):
        return self

    def __next__(self):
        cdef bytes frame
        self.taken += 1
        if self.taken == FRAMES:                        # list() of it looks at nothing else
            self.taken = 0
            PyErr_CheckSignals()
            with nogil:
                pass                                    # other threads may want their turn
        if self.frames.receiving:
            raise RuntimeError("somebody else is receiving from this stream")
        frame = self.frames.next_read()
        if frame is not None:
            return frame
        for frame in self.receive(1):
            return frame
        raise StopIteration


# ---- frames into a stream

cdef class FrameSending:
    """Frames on their way, however many calls that takes.  Each is two buffers: the prefix and itself, or itself and
    the delimiter; in front of all goes what is left of one before."""
    cdef Frames stream
    cdef Buffers frames
    cdef iovec* vectors
    cdef uint8_t* prefixes
    cdef nf.nf_sending s

    def __cinit__(self, Frames stream, list frames):
        """ValueError with the index for a frame that cannot be sent by the rule of the stream."""
        cdef size_t n
        if stream.sending:
            raise RuntimeError("somebody else is sending to this stream")
        self.frames = Buffers(frames, "frame")
        n = <size_t>self.frames.n
        self.vectors = <iovec*>malloc((2 * n + 1) * sizeof(iovec))
        self.prefixes = <uint8_t*>malloc(8 * n + 1)
        if self.vectors == NULL or self.prefixes == NULL:
            raise MemoryError(f"no memory to send {n:,} frames")
        self.s.buffers = self.vectors
        self.s.count = 2 * n + 1
        self.fill(&stream.rule)
        if stream.sending:                              # whoever made the frames
            raise RuntimeError("somebody else is sending to this stream")
        if stream.rest is None:
            raise RuntimeError("there was no memory to keep the rest of a frame, and nothing more can be sent")
        self.vectors[0] = iovec(PyBytes_AS_STRING(stream.rest) + stream.rest_at,
                                <size_t>len(stream.rest) - stream.rest_at)
        self.stream = stream
        stream.sending = True

    def __dealloc__(self):
        free(self.vectors)
        free(self.prefixes)

    cdef fill(self, const nf.nf_frame_rule* rule):
        cdef uint64_t most = rule.max_frame
        cdef size_t i, size
        if rule.prefix and rule.prefix < 8:
            most = min(most, (<uint64_t>1 << 8 * rule.prefix) - 1)
        for i in range(<size_t>self.frames.n):
            if i % OBJECTS == 0:
                PyErr_CheckSignals()
            size = self.frames.sizes[i]
            if size > most:
                raise ValueError(f"frame {i} has {size:,} bytes; {most:,} are the most")
            if rule.prefix:
                nf.nf_frame_prefix(rule, size, self.prefixes + 8 * i)
                self.vectors[2 * i + 1] = iovec(self.prefixes + 8 * i, rule.prefix)
                self.vectors[2 * i + 2] = iovec(<void*>self.frames.data[i], size)
            else:
                if holds_delimiter(rule, self.frames.data[i], size):
                    raise ValueError(f"frame {i} holds the delimiter")
                self.vectors[2 * i + 1] = iovec(<void*>self.frames.data[i], size)
                self.vectors[2 * i + 2] = iovec(<void*>rule.delimiter, rule.delimiter_size)

    def go_on(self, sock, double seconds, bint a_while=False) -> int:
        """0 once all is sent, or errno.  EAGAIN: the time is over; EINTR: the while is, which some milliseconds are."""
        return send_on(Patience(sock, seconds), &self.s, a_while)

    def end(self) -> int:
        """How many frames are gone; what is left of one that was begun is kept, and counts as gone."""
        cdef size_t at = self.s.at, frame = (at - 1) // 2 if at else 0
        cdef Frames stream = self.stream
        cdef bytes rest = b""
        stream.sending = False
        if at == 0:                                     # not even what was left before
            stream.rest_at = <size_t>len(stream.rest) - self.vectors[0].iov_len
            return 0
        if at == self.s.count:
            stream.rest, stream.rest_at = b"", 0
            return (self.s.count - 1) // 2
        stream.rest = None                              # until what follows has found its memory
        if at % 2 == 0:                                 # its first half is gone
            rest = vector_bytes(&self.vectors[at])
        elif self.vectors[at].iov_len < (stream.rule.prefix or self.frames.sizes[frame]):
            rest = vector_bytes(&self.vectors[at]) + vector_bytes(&self.vectors[at + 1])
        stream.rest, stream.rest_at = rest, 0
        return frame + 1 if rest else frame


cdef int holds_delimiter(const nf.nf_frame_rule* rule, const uint8_t* data, size_t size) except -1:
    """Whether a frame has it inside, or would have together with the one behind the frame."""
    cdef size_t at = 0, end, found
    while at < size:
        end = min(size, at + SEARCHED)
        with nogil:
            found = nf.nf_frame_delimiter(rule, data, at, end)
        if found < end:
            return True
        if end == size:
            break
        PyErr_CheckSignals()
        at = end - rule.delimiter_size + 1
    return nf.nf_frame_overlaps_delimiter(rule, data, size)


cdef bytes vector_bytes(const iovec* v):
    return PyBytes_FromStringAndSize(<const char*>v.iov_base, <Py_ssize_t>v.iov_len)
