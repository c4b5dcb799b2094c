# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to the kernels that read this machine's network cards and sockets.  Linux.

Nothing here is public; `nics` and `netstat` are the faces.  Everything is read in the network namespace of the thread
that calls.  Sockets are columns of bytes, of which the garbage collector knows nothing, until somebody asks for rows.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport ENOENT, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from netfast cimport _netlink_kernels as nf
from netfast._arrow cimport unwritten
from netfast._core cimport format_packed
from netfast._kernels cimport NF_IP4, NF_IP6
from netfast._netlink_kernels cimport nf_attributes, nf_link, nf_link_address, nf_owner, nf_request, nf_socket, nf_span

import errno as numbers
import os

cdef extern from "Python.h":
    str PyUnicode_DecodeFSDefaultAndSize(const char* text, Py_ssize_t size)

cdef extern from "<linux/netlink.h>":
    enum: NETLINK_ROUTE, NETLINK_SOCK_DIAG

cdef extern from "<sys/socket.h>":
    enum: AF_INET, AF_INET6, AF_UNIX

cdef extern from "<net/if_arp.h>":
    enum: ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_SIT, ARPHRD_IPGRE
    enum: ARPHRD_IP6GRE "823"

cdef extern from "<net/if.h>":
    enum: IFF_UP, IFF_RUNNING
    char* if_indextoname(unsigned int index, char* name) nogil

cdef enum:
    RECEIVES = 64            # of 32 KiB at most, between two looks at signals: 20 ms
    SLICE = 50_000_000       # nanoseconds of a walk between two of them
    TRIES = 50               # of a dump that something changes meanwhile, every time
    PAIRS = 4096             # owners that are gathered between two looks at signals

# ---- questions and answers


cdef class Netlink:
    """A socket to the kernel, closed with the last reference."""
    cdef nf.nf_netlink c

    def __cinit__(self, int protocol):
        cdef int error = nf.nf_netlink_open(&self.c, protocol)
        if error == numbers.ENOMEM:
            raise MemoryError("no memory for a netlink socket")
        if error:
            raise OSError(error, f"no netlink socket: {os.strerror(error)}")

    def __dealloc__(self):
        if self.c.inbox != NULL:    # it was opened
            nf.nf_netlink_close(&self.c)

    cdef int ask(self, nf_request* request, bint one, nf.nf_netlink_take take, void* into) except -1:
        """Hands every message of the answer over; 0, or the errno that the kernel answers."""
        cdef int status = nf.nf_netlink_send(&self.c, request)
        if status:
            return status
        while True:
            with nogil:
                status = nf.nf_netlink_receive(&self.c, one, RECEIVES, take, into)
            PyErr_CheckSignals()
            if status != nf.NF_NETLINK_MORE:
                return status

    cdef str said(self, int error):
        """What the kernel says of an error, in its own words where it has any."""
        text = (<bytes>self.c.text).decode("utf-8", "replace").rstrip(".")
        return f"{os.strerror(error)} ({text})" if text else os.strerror(error)


cdef class Messages:
    """The messages of an answer, one after the other."""
    cdef nf.nf_heap_bytes heap
    cdef size_t at
    cdef uint16_t type
    cdef const uint8_t* payload
    cdef size_t size

    def __dealloc__(self):
        nf.nf_heap_free(&self.heap)

    cdef bint next(self) noexcept:
        return nf.nf_next_message(&self.heap, &self.at, &self.type, &self.payload, &self.size)


cdef Messages answer(nf_request* request, bint one, str what):
    """All messages of an answer that nothing changed meanwhile; after TRIES, of one that something did.  None if it is
    about a card that there is not."""
    cdef Netlink netlink = Netlink(NETLINK_ROUTE)
    cdef Messages messages = None
    cdef int error = 0
    for _ in range(TRIES):
        messages = Messages()
        error = netlink.ask(request, one, nf.nf_keep_message, &messages.heap)
        if error == numbers.ENODEV:
            return Messages()
        if error and error != numbers.EMSGSIZE:     # then there is more room for it now
            raise OSError(error, f"the kernel does not tell of {what}: {netlink.said(error)}")
        if not error and not netlink.c.interrupted:
            break
    if error:
        raise OSError(error, f"the kernel does not tell of {what}: {netlink.said(error)}")
    return messages


# ---- cards

cdef str text_of(const nf_span* span):
    """As os.fsdecode: names are bytes."""
    return None if span.data == NULL else PyUnicode_DecodeFSDefaultAndSize(<const char*>span.data, span.size)


cdef bytes bytes_of(const nf_span* span):
    return None if span.data == NULL else PyBytes_FromStringAndSize(<const char*>span.data, <Py_ssize_t>span.size)


cdef str address_of(const nf_span* span):
    """The text of 4 or 16 bytes."""
    cdef uint8_t packed[16]
    if span.data == NULL:
        return None
    memset(packed, 0, 16)
    memcpy(packed + 16 - span.size, span.data, span.size)
    return format_packed(NF_IP4 if span.size == 4 else NF_IP6, packed)


cdef tuple altnames_of(const nf_span* properties):
    cdef nf_attributes rest = nf_attributes(properties.data, properties.size)
    cdef nf_span name
    cdef list made = []
    while nf.nf_link_altname(&rest, &name):
        made.append(text_of(&name))
    return tuple(made)


cdef str link_layer_of(const nf_span* span, uint16_t type):
    """Bytes as hexadecimal pairs; the IP address that a tunnel has in their place (ARPHRD_*, linux/if_arp.h)."""
    if span.data == NULL or span.size == 0:
        return None
    if ((span.size == 4 and type in (ARPHRD_TUNNEL, ARPHRD_SIT, ARPHRD_IPGRE))
            or (span.size == 16 and type in (ARPHRD_TUNNEL6, ARPHRD_IP6GRE))):
        return address_of(span)
    return colons(span)


cdef str colons(const nf_span* span):
    """Pairs of hexadecimal digits."""
    cdef char text[3 * 32]          # MAX_ADDR_LEN of linux/netdevice.h
    cdef size_t i, n = min(span.size, 32)
    for i in range(n):
        text[3 * i] = b"0123456789abcdef"[span.data[i] >> 4]
        text[3 * i + 1] = b"0123456789abcdef"[span.data[i] & 15]
        text[3 * i + 2] = b":"
    return text[:3 * n - 1].decode("ascii")


cdef list link_row(const nf_link* link):
    """The fields of `nic_rows.Interface`, in their order, as the kernel has them: states, types, modes and the cards
    around it are numbers, details are bytes, addresses are missing."""
    cdef const uint32_t* n = link.numbers
    cdef const nf_span* s = link.spans
    cdef size_t i
    return [
        link.index, text_of(&s[nf.NF_LINK_NAME]), altnames_of(&s[nf.NF_LINK_PROPERTIES]), text_of(&s[nf.NF_LINK_ALIAS]),
        link.flags, bool(link.flags & IFF_UP), bool(link.flags & IFF_RUNNING), n[nf.NF_LINK_OPERSTATE],
        bool(n[nf.NF_LINK_CARRIER]), bool(n[nf.NF_LINK_LINKMODE]),
        n[nf.NF_LINK_MTU], n[nf.NF_LINK_MIN_MTU], n[nf.NF_LINK_MAX_MTU], n[nf.NF_LINK_TXQUEUELEN],
        text_of(&s[nf.NF_LINK_QDISC]) or "", n[nf.NF_LINK_GROUP], link.type, text_of(&s[nf.NF_LINK_KIND]),
        text_of(&s[nf.NF_LINK_PORT_KIND]), bytes_of(&s[nf.NF_LINK_DETAILS]),
        link_layer_of(&s[nf.NF_LINK_HWADDR], link.type), link_layer_of(&s[nf.NF_LINK_BROADCAST], link.type),
        link_layer_of(&s[nf.NF_LINK_PERMANENT], link.type), n[nf.NF_LINK_MASTER], n[nf.NF_LINK_LINK],
        None if link.netnsid == nf.NF_NO_NUMBER else link.netnsid,
        n[nf.NF_LINK_PROMISCUITY], n[nf.NF_LINK_ALLMULTI], n[nf.NF_LINK_TX_QUEUES], n[nf.NF_LINK_RX_QUEUES],
        n[nf.NF_LINK_GSO_MAX_SIZE], n[nf.NF_LINK_GSO_MAX_SEGS], n[nf.NF_LINK_TSO_MAX_SIZE],
        n[nf.NF_LINK_TSO_MAX_SEGS], n[nf.NF_LINK_GRO_MAX_SIZE], n[nf.NF_LINK_GSO_IPV4_MAX_SIZE],
        n[nf.NF_LINK_GRO_IPV4_MAX_SIZE], None if link.addrgenmode == nf.NF_NO_NUMBER else link.addrgenmode,
        n[nf.NF_LINK_CARRIER_CHANGES], [link.stats[i] for i in range(nf.NF_LINK_STATS)], (),
    ]


def links() -> list:
    """A row for each card, in the order of their indices; each index once."""
    cdef nf_request request
    cdef nf_link link
    cdef Messages messages
    cdef dict rows = {}
    nf.nf_ask_links(&request)
    messages = answer(&request, False, "network cards")
    while messages.next():
        if nf.nf_link_read(messages.type, messages.payload, messages.size, &link):
            rows[link.index] = link_row(&link)
    return [rows[index] for index in sorted(rows)]


def link(int32_t index, bytes name=None) -> list | None:
    """The row of one card, by index, or by name with index 0; None if there is none."""
    cdef nf_request request
    cdef nf_link found
    cdef Messages messages
    cdef bytes text = name or b""
    nf.nf_ask_link(&request, index, <const uint8_t*>PyBytes_AS_STRING(text), <size_t>len(text))
    messages = answer(&request, True, "a network card")
    if messages.next() and nf.nf_link_read(messages.type, messages.payload, messages.size, &found):
        return link_row(&found)
    return None


def addresses(int32_t index=0) -> dict:
    """By index, the addresses of a card, or of all with 0: the fields of `nic_rows.InterfaceAddress`, in order, as the
    kernel has them: scope and flags are numbers."""
    cdef nf_request request
    cdef nf_link_address a
    cdef Messages messages
    cdef dict made = {}
    cdef list rows
    nf.nf_ask_addresses(&request, index)
    messages = answer(&request, False, "the addresses of network cards")
    while messages.next():
        if not nf.nf_link_address_read(messages.type, messages.payload, messages.size, &a):
            continue
        rows = made.setdefault(a.index, [])
        rows.append([
            a.family, address_of(&a.local), a.prefixlen, address_of(&a.broadcast), address_of(&a.peer), a.scope,
            text_of(&a.label), a.flags, None if a.valid == nf.NF_FOREVER else a.valid,
            None if a.preferred == nf.NF_FOREVER else a.preferred, a.metric or None,
            None if a.protocol == nf.NF_NO_NUMBER else a.protocol,
        ])
    return made


cdef int drop(void* into, uint16_t type, const uint8_t* payload, size_t size) noexcept nogil:
    return 0


cdef tuple changed(nf_request* request):
    """Asks for a change: the errno, 0 if it was made, and what the kernel says of it."""
    cdef Netlink netlink = Netlink(NETLINK_ROUTE)
    error = netlink.ask(request, False, drop, NULL)
    return error, netlink.said(error)


def set_up(int32_t index, bint up) -> tuple:
    """Each of these changes one thing of a card: (errno or 0, what the kernel says of it)."""
    cdef nf_request request
    nf.nf_set_link_flags(&request, index, up, 1)
    return changed(&request)


def set_mtu(int32_t index, uint32_t mtu) -> tuple:
    cdef nf_request request
    nf.nf_set_link_mtu(&request, index, mtu)
    return changed(&request)


def set_hwaddr(int32_t index, bytes hwaddr) -> tuple:
    cdef nf_request request
    nf.nf_set_link_hwaddr(&request, index, <const uint8_t*>PyBytes_AS_STRING(hwaddr), <size_t>len(hwaddr))
    return changed(&request)


def set_name(int32_t index, bytes name) -> tuple:
    cdef nf_request request
    nf.nf_set_link_name(&request, index, <const uint8_t*>PyBytes_AS_STRING(name), <size_t>len(name))
    return changed(&request)


cdef nf_span span_of(bytes data) noexcept:
    if data is None:
        return nf_span(NULL, 0)
    return nf_span(<const uint8_t*>PyBytes_AS_STRING(data), <size_t>len(data))


def change_address(bint add, int32_t index, bytes local, uint8_t prefixlen, *, bytes peer=None, bytes broadcast=None,
                   bytes label=None, uint8_t scope=0, uint32_t flags=0, valid=None, preferred=None) -> tuple:
    """The same of an address: adds it, or takes it off.  Lifetimes are in seconds, None for ever."""
    cdef nf_link_address a
    cdef nf_request request
    memset(&a, 0, sizeof(a))
    a.family = AF_INET if len(local) == 4 else AF_INET6
    a.prefixlen = prefixlen
    a.scope = scope
    a.index = index
    a.flags = flags
    a.valid = nf.NF_FOREVER if valid is None else valid
    a.preferred = nf.NF_FOREVER if preferred is None else preferred
    a.local = span_of(local)
    a.peer = span_of(peer)
    a.broadcast = span_of(broadcast)
    a.label = span_of(label)
    nf.nf_change_address(&request, add, &a)
    return changed(&request)


# ---- sockets

TCP, UDP, RAW, UNIX = nf.NF_TCP, nf.NF_UDP, nf.NF_RAW, nf.NF_UNIX
ANY_PORT, ALL_STATES = nf.NF_ANY_PORT, nf.NF_ALL_STATES
# The columns of numbers, as `Sockets.column` takes them.
FAMILY, TYPE, TRANSPORT, STATE, V6ONLY = (nf.NF_SOCKET_FAMILY, nf.NF_SOCKET_TYPE, nf.NF_SOCKET_TRANSPORT,
                                          nf.NF_SOCKET_STATE, nf.NF_SOCKET_V6ONLY)
LOCAL_PORT, REMOTE_PORT, RECV_Q, SEND_Q = (nf.NF_SOCKET_LOCAL_PORT, nf.NF_SOCKET_REMOTE_PORT, nf.NF_SOCKET_RECV_Q,
                                           nf.NF_SOCKET_SEND_Q)
UID, INTERFACE, INODE = nf.NF_SOCKET_UID, nf.NF_SOCKET_INTERFACE, nf.NF_SOCKET_INODE

_FILES = ("tcp", "udp", "raw", "unix")  # by transport, in /proc/net; with a 6 for IPv6

# What a kernel without sock_diag for something answers, or one that does not let it be used.
_NO_DIAG = (numbers.ENOENT, numbers.EOPNOTSUPP, numbers.EPROTONOSUPPORT, numbers.EAFNOSUPPORT, numbers.EPERM,
            numbers.EACCES)

cdef bint by_proc = False


def force_proc(bint forced) -> bool:
    """Reads all sockets from /proc/net from now on, or only those the kernel does not tell of; what was so before."""
    global by_proc
    before = by_proc
    by_proc = forced
    return before


cdef int64_t now_ns() noexcept:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1_000_000_000 + t.tv_nsec


cdef class Sockets:
    """Sockets of this network namespace: a row each, and its columns."""
    cdef nf.nf_sockets c
    cdef bint all_unix       # Unix sockets in all states were read
    cdef dict cards          # index -> name
    cdef dict paths          # inode -> path, of Unix sockets

    def __cinit__(self):
        self.cards = {}
        self.paths = {}

    def __dealloc__(self):
        nf.nf_sockets_free(&self.c)

    def __len__(self):
        return <Py_ssize_t>nf.nf_sockets_count(&self.c)

    def read(self, nf.nf_transport transport, uint8_t family, uint32_t states, int32_t local_port) -> None:
        """Adds those of a transport and family in some states, a bit each; with NF_ANY_PORT (-1) on any port."""
        cdef size_t first = nf.nf_sockets_count(&self.c)
        cdef int error = ENOENT if by_proc else self.dumped(transport, family, states, local_port)
        if error in _NO_DIAG:
            error = self.listed(transport, family, states, local_port)
        if transport == nf.NF_UNIX:
            self.all_unix = states == nf.NF_ALL_STATES
        if error == 0:
            with nogil:
                error = 0 if nf.nf_sockets_unique(&self.c, first) else ENOMEM
        if error == ENOMEM:
            raise MemoryError("no memory for the sockets of this machine")
        if error:
            raise OSError(error, f"the kernel does not list its {_FILES[transport]} sockets: {os.strerror(error)}")

    cdef int dumped(self, nf.nf_transport transport, uint8_t family, uint32_t states, int32_t port) except -1:
        cdef nf_request request
        cdef nf.nf_socket_sink sink = nf.nf_socket_sink(&self.c, transport)
        cdef size_t rows = self.c.rows.size, names = self.c.names.size
        cdef int error
        cdef Netlink netlink
        nf.nf_ask_sockets(&request, transport, family, states, port)
        try:
            netlink = Netlink(NETLINK_SOCK_DIAG)
        except OSError as failed:
            if failed.errno in _NO_DIAG:
                return failed.errno
            raise
        error = netlink.ask(&request, False, nf.nf_take_socket, &sink)
        if error:       # what came of it is no list
            self.c.rows.size, self.c.names.size = rows, names
        return error

    cdef int listed(self, nf.nf_transport transport, uint8_t family, uint32_t states, int32_t port) except -1:
        cdef bytes text
        cdef const uint8_t* characters
        cdef size_t size
        cdef int error
        folder = "/proc/thread-self/net"
        try:
            with open(f"{folder}/{_FILES[transport]}{'6' if family == AF_INET6 else ''}", "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return 0 if os.path.isdir(folder) else ENOENT    # a kernel without that family, or no /proc
        characters = <const uint8_t*>PyBytes_AS_STRING(text)
        size = <size_t>len(text)
        with nogil:
            error = nf.nf_read_proc_net(&self.c, transport, family, states, port, characters, size)
        return error

    # -- columns and rows

    def column(self, nf.nf_socket_column column) -> bytearray:
        """The numbers of a column, row after row, in this machine's byte order."""
        cdef bytearray made = unwritten(nf.nf_sockets_count(&self.c) * nf.nf_socket_column_size(column))
        nf.nf_socket_column_copy(&self.c, column, <uint8_t*>PyByteArray_AS_STRING(made))
        return made

    def texts(self, bint remote) -> list:
        """The local or remote address of each row."""
        cdef size_t i, n = nf.nf_sockets_count(&self.c)
        cdef const nf_socket* before = NULL
        cdef const nf_socket* s
        cdef list made = [None] * n
        cdef str text = None
        for i in range(n):
            s = nf.nf_sockets_at(&self.c, i)
            # Sockets of one server share an address, and this makes one text for all that follow each other.
            if before == NULL or not same_address(s, before, remote):
                text = self.address(s, remote)
            made[i] = text
            before = s
        return made

    cdef str address(self, const nf_socket* s, bint remote):
        cdef const uint8_t* packed = s.remote if remote else s.local
        cdef str text
        if s.family == AF_UNIX:
            return self.peer_path(s) if remote else self.path(s)
        text = format_packed(NF_IP6 if s.family == AF_INET6 else NF_IP4, packed)
        # fe80::/10 (RFC 4291) means nothing without its card.
        if s.interface and s.family == AF_INET6 and packed[0] == 0xfe and packed[1] & 0xc0 == 0x80:
            text += "%" + self.card(s.interface)
        return text

    cdef str path(self, const nf_socket* s):
        cdef const char* name = <const char*>self.c.names.bytes + s.name
        if s.name_size == 0:
            return ""
        text = PyUnicode_DecodeFSDefaultAndSize(name, s.name_size)
        return text.replace("\0", "@") if name[0] == 0 else text    # abstract, as ss(8) prints it

    cdef str peer_path(self, const nf_socket* s):
        return self.paths.get(s.peer, "")

    def settle(self) -> None:
        """Looks up what rows refer to, cards and Unix peers, while this thread is in their namespace."""
        cdef size_t i
        cdef const nf_socket* s
        cdef bint has_peers = False
        for i in range(nf.nf_sockets_count(&self.c)):
            s = nf.nf_sockets_at(&self.c, i)
            has_peers |= s.peer != 0
            if s.interface:
                self.card(s.interface)
        if has_peers:
            self.paths = self.named() if self.all_unix else all_unix_sockets().named()

    cdef dict named(self):
        """The paths of Unix sockets that have one, by inode."""
        cdef size_t i
        cdef const nf_socket* s
        cdef dict made = {}
        for i in range(nf.nf_sockets_count(&self.c)):
            s = nf.nf_sockets_at(&self.c, i)
            if s.name_size:
                made[s.inode] = self.path(s)
        return made

    cdef str card(self, uint32_t index):
        cdef char name[16]
        if index not in self.cards:
            self.cards[index] = os.fsdecode(<bytes>name) if if_indextoname(index, name) != NULL else str(index)
        return self.cards[index]

    def row(self, size_t i) -> tuple:
        """One row, in the order of `netstat_table.Connection`, without its processes: numbers and text."""
        cdef const nf_socket* s
        if i >= nf.nf_sockets_count(&self.c):
            raise IndexError(i)
        s = nf.nf_sockets_at(&self.c, i)
        return (s.family, s.type, s.transport, self.address(s, False), s.local_port, self.address(s, True),
                s.remote_port, s.state, s.recv_q, s.send_q, s.uid, s.inode, s.interface, bool(s.v6only))

    # -- owners

    def owners(self, int threads) -> list:
        """The pids that hold each row, in order; () for those that no file belongs to; None where no process that this
        one may look at was seen to hold it."""
        cdef Walk walk = Walk()
        cdef size_t i, n = nf.nf_sockets_count(&self.c)
        cdef uint64_t inode
        cdef list holders, made = [()] * n
        walk.run(&self.c, False, threads)
        holders = walk.holders()
        for i in range(n):
            inode = nf.nf_sockets_at(&self.c, i).inode
            if inode:
                made[i] = holders[nf.nf_inodes_slot(&walk.c.wanted, inode)]
        return made

    def holders(self, int threads) -> list | None:
        """The pids that hold any of them, in order; None if no file belongs to any."""
        cdef Walk walk = Walk()
        walk.run(&self.c, True, threads)
        if walk.c.wanted.count == 0:
            return None
        return sorted({pid for pids in walk.holders() for pid in pids or ()})


cdef Sockets all_unix_sockets():
    """The peers of those that were read may be in other states."""
    made = Sockets()
    made.read(nf.NF_UNIX, AF_UNIX, nf.NF_ALL_STATES, nf.NF_ANY_PORT)
    return made


cdef bint same_address(const nf_socket* one, const nf_socket* other, bint remote) noexcept:
    return (one.family == other.family != AF_UNIX and one.interface == other.interface
            and memcmp(one.remote if remote else one.local, other.remote if remote else other.local, 16) == 0)


cdef class Walk:
    """Looks at the descriptors of every process."""
    cdef nf.nf_owner_walk c
    cdef bint begun

    def __dealloc__(self):
        if self.begun:
            nf.nf_owners_end(&self.c)

    cdef run(self, const nf.nf_sockets* sockets, bint any, int threads):
        cdef size_t i, count = 0, n = nf.nf_sockets_count(sockets)
        cdef bytearray inodes = unwritten(8 * n)
        cdef uint64_t* inode = <uint64_t*>PyByteArray_AS_STRING(inodes)
        cdef bint done = False
        cdef int64_t until
        for i in range(n):
            if nf.nf_sockets_at(sockets, i).inode:
                inode[count] = nf.nf_sockets_at(sockets, i).inode
                count += 1
        cdef int error
        self.begun = True
        with nogil:
            error = nf.nf_owners_begin(&self.c, inode, count, any, threads)
        self.check(error)
        while count and not done:
            until = now_ns() + SLICE
            with nogil:
                done = nf.nf_owners_run(&self.c, until)
            PyErr_CheckSignals()
        self.check(self.c.error)

    cdef check(self, int error):
        if error == numbers.ENOMEM:
            raise MemoryError("no memory for the owners of sockets")
        if error:
            raise OSError(error, f"cannot look at the processes in /proc: {os.strerror(error)}")

    cdef list holders(self):
        """The pids by slot, in order; equal ones are one tuple."""
        cdef list made = [None] * self.c.wanted.count, pids
        cdef dict sets = {}
        cdef const nf_owner* pair
        cdef size_t i
        cdef int w
        for w in range(self.c.walkers):
            pair = <const nf_owner*>self.c.walker[w].pairs.bytes
            for i in range(self.c.walker[w].pairs.size // sizeof(nf_owner)):
                if i % PAIRS == 0:
                    PyErr_CheckSignals()
                pids = made[pair[i].slot]
                if pids is None:
                    made[pair[i].slot] = pids = []
                pids.append(pair[i].pid)
        for i in range(self.c.wanted.count):
            if made[i] is not None:
                holders = tuple(sorted(made[i]))
                made[i] = sets.setdefault(holders, holders)
            if i % PAIRS == 0:
                PyErr_CheckSignals()
        return made
