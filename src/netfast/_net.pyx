# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
"""The border to the kernels that talk to the operating system.  Linux.

Nothing here is public; `icmp` is the face.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport errno
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from posix.unistd cimport getpid

from netfast cimport _net_kernels as nf
from netfast._arrow cimport unwritten
from netfast._core cimport format_packed, is_stopped
from netfast._kernels cimport NF_IP4, NF_IP6
from netfast._net_kernels cimport nf_ping_error, nf_ping_event, nf_ping_target

import errno as numbers
import os

# Kinds of events: a host is watched for those whose bits are set, `1 << ERROR | 1 << DONE`.
REPLY, DUPLICATE, LATE, TIMEOUT = nf.NF_EVENT_REPLY, nf.NF_EVENT_DUPLICATE, nf.NF_EVENT_LATE, nf.NF_EVENT_TIMEOUT
ERROR, DONE, SENT = nf.NF_EVENT_ERROR, nf.NF_EVENT_DONE, nf.NF_EVENT_SENT

cdef enum:                   # nanoseconds
    SLICE = 50_000_000       # between two looks at signals
    FULL = 1_000_000         # between two tries to send where the kernel took no more

cdef double in_seconds(int64_t time) noexcept:
    return <double>time / nf.NF_SECOND


cdef str address_text(const uint8_t* address):
    return format_packed(NF_IP6 if nf.nf_ping_is_ip6(address) else NF_IP4, address)


cdef tuple error_fields(const nf_ping_error* error, const nf_ping_target* target):
    """(index, source text or None, type, code, errno, MTU or pointer, is it IPv6); no type: this machine's."""
    local = error.origin == nf.NF_ORIGIN_LOCAL
    source = address_text(error.source) if error.has_source else None
    return (error.index, source, None if local else error.type, None if local else error.code, error.number,
            error.info, bool(nf.nf_ping_is_ip6(target.address)))


cdef struct Times:           # in seconds; NaN without any
    double least, mean, most, mdev, jitter


cdef Times times_of(const nf_ping_target* t) noexcept:
    if t.received == 0:
        return Times(NAN, NAN, NAN, NAN, NAN)
    return Times(in_seconds(t.rtt_min), t.rtt_mean / nf.NF_SECOND, in_seconds(t.rtt_max),
                 nf.nf_ping_mdev(t) / nf.NF_SECOND, nf.nf_ping_jitter(t) / nf.NF_SECOND)


cdef raise_unopened(nf.nf_open_step step, int number, bint ip6, nf.nf_socket_kind kind, interface, source):
    family = "ICMPv6" if ip6 else "ICMP"
    if step == nf.NF_NO_MEMORY:
        raise MemoryError("no memory for the buffers of a ping")
    if step == nf.NF_NO_INTERFACE:
        raise OSError(number, f"no ping through the interface {interface!r}: {os.strerror(number)}")
    if step == nf.NF_NO_SOURCE:
        raise OSError(number, f"no ping from the address {source}: {os.strerror(number)}")
    if step == nf.NF_NO_SOCKET and number in (numbers.EACCES, numbers.EPERM):
        ways = {
            nf.NF_SOCKET_ANY: "let net.ipv4.ping_group_range include one of its groups, or give it CAP_NET_RAW",
            nf.NF_SOCKET_DATAGRAM: "let net.ipv4.ping_group_range include one of its groups (privileged=True wants "
                                   "CAP_NET_RAW instead)",
            nf.NF_SOCKET_RAW: "give it CAP_NET_RAW (privileged=False wants it in net.ipv4.ping_group_range instead)",
        }
        raise PermissionError(number, f"this process may open no {family} socket: {ways[kind]}")
    what = "socket" if step == nf.NF_NO_SOCKET else "socket with these options"
    raise OSError(number, f"no {family} {what}: {os.strerror(number)}")


cdef class Pinger:
    """Sockets, and the hosts that are pinged by them.  Times are in seconds.

    timeout: until a probe is lost.  gap: between two probes, 0 for none.  size: bytes of payload.  privileged: None for
    a datagram socket or else a raw one, True for raw, False for datagram.
    ttl, tos: -1 for the system's.  source: 16 bytes, IPv4 as ::ffff:a.b.c.d.
    """
    cdef nf.nf_pinger c
    cdef nf.nf_ping_options options
    cdef bint begun          # there may be something to close
    cdef int owner
    cdef uint16_t id
    cdef object interface
    cdef dict kept           # target -> the bytearrays its RTTs and TTLs go to

    def __cinit__(self, *, double timeout, double gap, uint32_t size, privileged=None, int ttl=-1, int tos=-1,
                  bint dont_fragment=False, bytes source=None, uint32_t source_scope=0,
                  bytes interface=None):
        memset(&self.c, 0, sizeof(self.c))
        self.c.sockets[0].fd = self.c.sockets[1].fd = -1
        self.begun = True
        cdef bytes random = os.urandom(18)
        cdef uint64_t key[2]
        memcpy(key, <const char*>random, 16)
        self.id = <uint16_t>(random[16] << 8 | random[17])
        self.owner = getpid()
        self.interface = interface
        self.kept = {}
        memset(&self.options, 0, sizeof(self.options))
        self.options.kind = (nf.NF_SOCKET_ANY if privileged is None else
                             nf.NF_SOCKET_RAW if privileged else nf.NF_SOCKET_DATAGRAM)
        self.options.payload = size
        self.options.ttl = ttl
        self.options.tos = tos
        self.options.dont_fragment = dont_fragment
        self.options.source_scope = source_scope
        self.options.has_source = source is not None
        if source is not None:
            memcpy(self.options.source, <const char*>source, 16)
        if interface is not None:
            self.options.interface = <const char*>interface
        if not nf.nf_ping_init(&self.c.ping, key, <int64_t>(timeout * nf.NF_SECOND),
                               <int64_t>(gap * nf.NF_SECOND), size >= nf.NF_ICMP_COOKIE):
            raise MemoryError("no memory for the probes of a ping")

    def __dealloc__(self):
        if self.begun:
            self.close_sockets()
            nf.nf_ping_free(&self.c.ping)

    cdef close_sockets(self):
        nf.nf_ping_close(&self.c.sockets[0])
        nf.nf_ping_close(&self.c.sockets[1])

    def close(self) -> None:
        """Closes the sockets; what was counted stays."""
        self.close_sockets()

    cdef check_owner(self):
        if getpid() != self.owner:
            raise RuntimeError("a ping belongs to the process that began it, not to a fork of that")

    cdef open_socket(self, bint ip6):
        cdef nf.nf_ping_socket* s = &self.c.sockets[ip6]
        if s.fd >= 0:
            return
        s.id = self.id
        cdef nf.nf_open_step step = nf.nf_ping_open(s, ip6, &self.options)
        if step == nf.NF_NO_SOCKET and errno == numbers.EAFNOSUPPORT:
            return      # a kernel without IPv6: costs those hosts their answers, and nobody else's
        if step != nf.NF_OPENED:
            raise_unopened(step, errno, ip6, self.options.kind, os.fsdecode(self.interface or b""),
                           address_text(self.options.source))

    # -- hosts

    def add(self, addresses, scopes, uint32_t count, double interval, int watched, bint adaptive=False) -> int:
        """Adds hosts, 16 bytes each; the number of the first.  scopes: a dict by place, of those that have one.

        count: probes to each, 0 for no end.  Their sockets are open afterwards, or OSError says why not.
        """
        self.check_owner()
        cdef Py_buffer view
        PyObject_GetBuffer(addresses, &view, PyBUF_SIMPLE)
        try:
            return self.add_rows(<const uint8_t*>view.buf, <uint32_t>(view.len // 16), scopes, count,
                                 <int64_t>(interval * nf.NF_SECOND), <uint8_t>watched, adaptive)
        finally:
            PyBuffer_Release(&view)

    cdef uint32_t add_rows(self, const uint8_t* address, uint32_t n, dict scopes, uint32_t count, int64_t interval,
                           uint8_t watched, bint adaptive) except? 0:
        cdef uint32_t i, target, first = nf.NF_NO_TARGET
        cdef int64_t now = nf.nf_clocks_now().mono
        for i in range(n):
            self.open_socket(nf.nf_ping_is_ip6(address + 16 * i))
        if not nf.nf_ping_reserve(&self.c.ping, n):
            raise MemoryError(f"no memory for {n:,} hosts")
        for i in range(n):
            target = nf.nf_ping_add(&self.c.ping, address + 16 * i, scopes.get(i, 0) if scopes else 0, count, interval,
                                    now)
            self.c.ping.targets[target].watched = watched
            self.c.ping.targets[target].adaptive = adaptive
            if i == 0:
                first = target
        return first

    def keep(self, uint32_t target, uint32_t count) -> tuple:
        """The bytearrays of the RTTs (float64, NaN: lost) and TTLs (uint8) of a host's probes, once sent."""
        cdef bytearray rtts = unwritten(8 * <size_t>count), ttls = unwritten(count)
        self.c.ping.targets[target].rtts = <double*>PyByteArray_AS_STRING(rtts)
        self.c.ping.targets[target].ttls = <uint8_t*>PyByteArray_AS_STRING(ttls)
        self.kept[target] = (rtts, ttls)
        return rtts, ttls

    def remove(self, uint32_t target) -> None:
        """Forgets a host; what is under way to it is waited for no more, and its number is given to another."""
        nf.nf_ping_remove(&self.c.ping, target)
        self.kept.pop(target, None)

    def make_room(self, uint64_t replies, uint64_t requests) -> None:
        """Asks the kernel for room for so many replies that wait to be read, and requests that wait for neighbours."""
        for i in range(2):
            if self.c.sockets[i].fd >= 0:
                nf.nf_ping_make_room(&self.c.sockets[i], replies, requests)

    # -- the loop

    def run(self, double seconds, bytearray stop=None) -> bool:
        """Works for so long, or until there are events or all is done; returns whether all is.  Answers signals, and
        leaves when the byte in `stop` is set."""
        self.check_owner()
        cdef nf.nf_pinger_pause pause = nf.NF_PINGER_TIME
        cdef int64_t now = nf.nf_clocks_now().mono, until = now + <int64_t>(min(seconds, 1e9) * nf.NF_SECOND)
        while True:
            with nogil:
                pause = nf.nf_pinger_run(&self.c, min(until, now + <int64_t>SLICE))
            PyErr_CheckSignals()
            now = nf.nf_clocks_now().mono
            if pause == nf.NF_PINGER_DONE or pause == nf.NF_PINGER_EVENTS or now >= until or is_stopped(stop):
                return self.c.ping.open_count == 0

    def step(self) -> None:
        """Does what can be done without waiting."""
        self.check_owner()
        with nogil:
            nf.nf_pinger_step(&self.c)

    def wait(self):
        """Seconds until there is something to do besides reading; None if there is nothing."""
        cdef int64_t wake = nf.nf_pinger_wake(&self.c)
        if nf.nf_pinger_is_full(&self.c):    # nobody here waits for the sockets to take more
            wake = min(wake, nf.nf_clocks_now().mono + <int64_t>FULL)
        return None if wake == nf.NF_NEVER else max(0.0, in_seconds(wake - nf.nf_clocks_now().mono))

    def files(self) -> list:
        """The descriptors of the open sockets."""
        return [self.c.sockets[i].fd for i in range(2) if self.c.sockets[i].fd >= 0]

    # -- what came

    def events(self) -> list:
        """What happened since the last call: (kind, target, index, source or None for the host itself, RTT, TTL or
        None, size, seconds since the epoch, error fields or None) each."""
        cdef nf.nf_ping* ping = &self.c.ping
        cdef nf_ping_event* e
        cdef list made = []
        cdef size_t i
        if ping.lost_events:
            raise MemoryError("no memory for the events of a ping")
        for i in range(ping.event_count):
            e = &ping.events[i]
            same = memcmp(e.source, ping.targets[e.target].address, 16) == 0
            failed = e.error.origin != nf.NF_ORIGIN_NONE
            made.append((e.kind, e.target, e.index, None if same or e.size == 0 else address_text(e.source),
                         in_seconds(e.rtt), e.ttl if e.has_ttl else None, e.size, in_seconds(e.real),
                         error_fields(&e.error, &ping.targets[e.target]) if failed else None))
        ping.event_count = 0
        return made

    def result(self, uint32_t target) -> tuple:
        """(sent, received, duplicates, reordered, late, RTT min, average, max, mdev, jitter, first to last probe,
        errors) of a host."""
        cdef const nf_ping_target* t = &self.c.ping.targets[target]
        cdef Times rtt = times_of(t)
        return (t.sent, t.received, t.duplicates, t.reordered, t.late, rtt.least, rtt.mean, rtt.most, rtt.mdev,
                rtt.jitter, in_seconds(t.last_sent - t.first_sent), t.failed)

    def results(self) -> tuple:
        """The same of all hosts, as columns: five bytearrays of uint32, five of float64."""
        cdef uint32_t n = self.c.ping.target_count, i
        cdef tuple columns = tuple(unwritten((4 if k < 5 else 8) * <size_t>n) for k in range(10))
        cdef uint32_t* count[5]
        cdef double* time[5]
        cdef const nf_ping_target* t
        cdef Times rtt
        for i in range(5):
            count[i] = <uint32_t*>PyByteArray_AS_STRING(columns[i])
            time[i] = <double*>PyByteArray_AS_STRING(columns[5 + i])
        for i in range(n):
            t = &self.c.ping.targets[i]
            count[0][i] = t.sent
            count[1][i] = t.received
            count[2][i] = t.duplicates
            count[3][i] = t.reordered
            count[4][i] = t.late
            rtt = times_of(t)
            time[0][i] = rtt.least
            time[1][i] = rtt.mean
            time[2][i] = rtt.most
            time[3][i] = rtt.mdev
            time[4][i] = rtt.jitter
        return columns

    def errors(self) -> dict:
        """The last error of each host that has one, as error fields."""
        cdef dict found = {}
        cdef uint32_t i
        for i in range(self.c.ping.target_count):
            if self.c.ping.targets[i].failed:
                found[i] = error_fields(&self.c.ping.targets[i].error, &self.c.ping.targets[i])
        return found

    def losses(self) -> tuple:
        """Of the whole run: replies that the kernel dropped, that were corrupted, that answer no probe."""
        cdef uint64_t dropped = 0
        for i in range(2):
            if self.c.sockets[i].fd >= 0:
                dropped += nf.nf_ping_dropped(&self.c.sockets[i])
        return dropped, self.c.ping.corrupted, self.c.ping.foreign
