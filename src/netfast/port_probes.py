"""Is a port of a host open? Of one, or of many hosts and ports at a time.

A probe is an ordinary TCP connection, so it takes no privilege and the far end's program sees it: it is accepted and
reset at once (SO_LINGER of 0 seconds).  A connection that is closed in the usual way would stay in TIME_WAIT for a
minute at this end and keep one of its ports; who asks often would run out of them.

What a machine says of itself is taken with care.  A probe of a port in this machine's ephemeral range may be given that
very port to connect from, and then TCP connects it with itself (RFC 9293 section 3.5): that is no open port.  And Linux
reports a port that an ICMP message calls unreachable, which a firewall sends, as it reports one that is refused: its
error queue (IP_RECVERR, ip(7)) tells them apart.
"""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, Literal, NamedTuple

from .checks import checked_int, checked_port, checked_seconds
from .ping_errors import PingError, ping_error
from .ping_hosts import _LOOPBACK, _Found, no_address
from .port_hosts import Targets, family_of, one_host
from .port_scan_table import CLOSED, ERROR, FILTERED, OPEN, STATES, PortScan

__all__ = ["is_port_open", "probe_port", "scan_ports", "wait_port"]

_IN_FLIGHT_MAX = 1_000_000
_ROWS_MAX = 1 << 27  # of a scan: an hour of probes that are refused at once
_BURST = 64  # probes that are begun before answers are looked for
_LEAST = 1e-3  # seconds that an attempt has, however late it is
_ATTEMPT = 2.0  # seconds that `wait_port` gives a connection: a lost packet is sent again after one (RFC 6298)


# --- where to connect ------------------------------------------------------------------------------------------------


def _connectable(targets: Targets, index: int) -> list[_Found] | PingError:
    """The addresses of a host.  0.0.0.0 and :: are this machine (RFC 1122 section 3.2.1.3)."""
    found = targets.of(index)
    if isinstance(found, list) and found[0].packed in _LOOPBACK:
        packed, text = _LOOPBACK[found[0].packed]
        return [_Found(text, packed, 0)]
    return found


def _addresses(host: Any) -> list[_Found]:
    """The addresses of one host, or socket.gaierror."""
    text = one_host(host, "nf.scan_ports")
    found = _connectable(Targets([text]), 0)
    if isinstance(found, PingError):
        raise no_address(text, found)
    return found


def _many_ports(ports: Any) -> list[int]:
    if isinstance(ports, (str, bytes)):
        raise TypeError(f"ports is {type(ports).__name__}; wanted an int or an iterable of them")
    if not hasattr(ports, "__iter__"):
        return [checked_port("ports", ports, least=1)]
    return [checked_port(f"ports[{index}]", port, least=1) for index, port in enumerate(ports)]


# --- what an attempt to connect says ---------------------------------------------------------------------------------

# linux/in.h and linux/in6.h; sock_extended_err of linux/errqueue.h: errno, origin, type, code, padding, info, data.
_RECVERR: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
_EXTENDED_ERROR = struct.Struct("=IBBBxII")
_OF_ICMP = (2, 3)  # origins: ICMP, ICMPv6
_RESET_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds

_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)
# The handshake was done, and then the far end thought better of it.
_OPEN_AND_RESET = (errno.ECONNRESET, errno.EPIPE)
# This machine's routes and firewall; ICMP messages arrive as these and others.  connect(2), ip-route(8), icmp(7).
_NO_WAY_THERE = (
    errno.EACCES,
    errno.EPERM,
    errno.EINVAL,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
)
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class _Outcome(NamedTuple):
    """What one address said: an index into STATES, and what came in place of an answer."""

    state: int
    error: str | None
    errno: int = 0  # where this machine could not ask


_TIMED_OUT = _Outcome(FILTERED, None)


def _outcome(sock: socket.socket, number: int, found: _Found) -> _Outcome:
    """What a connection that ended with this errno, or 0, says of the port."""
    if number == 0:
        try:
            return _Outcome(CLOSED if sock.getsockname() == sock.getpeername() else OPEN, None)
        except OSError:  # reset in this very moment, or never connected
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ENOTCONN
    if number in _OPEN_AND_RESET:
        return _Outcome(OPEN, None)
    if number == errno.ETIMEDOUT:
        return _TIMED_OUT
    message = _icmp_message(sock)
    if message is not None:
        return _Outcome(FILTERED, str(message))
    if number == errno.ECONNREFUSED:
        return _Outcome(CLOSED, None)
    if number == errno.EINVAL and found.packed[:1] == b"\xfe" and not found.scope:
        return _Outcome(ERROR, "a link-local address wants its zone, as in fe80::1%eth0", number)
    if number in _NO_WAY_THERE:
        return _Outcome(FILTERED, os.strerror(number))
    if number == errno.EADDRNOTAVAIL:
        return _Outcome(ERROR, _nothing_to_connect_from(sock.family, found), number)
    return _Outcome(ERROR, os.strerror(number), number)


def _nothing_to_connect_from(family: int, found: _Found) -> str:
    """EADDRNOTAVAIL in words: UDP, whose ports are others, has the same address to send from, or none either."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if sock.connect_ex(_name(family, found, 9)) == errno.EADDRNOTAVAIL:
            return "this machine has no address to connect from"
    return "no ephemeral port to connect from is left"


def _name(family: int, found: _Found, port: int) -> tuple[Any, ...]:
    """An address and a port as connect(2) takes them."""
    host = found.text.partition("%")[0]
    return (host, port) if family == socket.AF_INET else (host, port, 0, found.scope)


def _icmp_message(sock: socket.socket) -> PingError | None:
    """The ICMP message that ended a connection, if one did."""
    if sys.platform != "linux":
        return None
    try:
        _, controls, _, _ = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except OSError:  # the queue is empty
        return None
    for level, kind, data in controls:
        if (level, kind) in _RECVERR.values() and len(data) >= _EXTENDED_ERROR.size:
            number, origin, type_, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
            if origin in _OF_ICMP:
                is_ip6 = sock.family == socket.AF_INET6
                return ping_error((0, _offender(data[_EXTENDED_ERROR.size :]), type_, code, number, info, is_ip6))
    return None


def _offender(address: bytes) -> str | None:
    """Who sent the message: sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(address[:2], sys.byteorder)
    if family == socket.AF_INET and len(address) >= 8:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if family == socket.AF_INET6 and len(address) >= 24:
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return None


# --- many attempts at a time -----------------------------------------------------------------------------------------


class _Probe:
    """A port of a host, whose addresses are asked one after the other until one has it open."""

    __slots__ = ("addresses", "deadline", "outcomes", "port", "row")

    def __init__(self, row: int, addresses: Sequence[_Found], port: int, deadline: float = math.inf) -> None:
        self.row = row
        self.addresses = addresses
        self.port = port
        self.deadline = deadline  # when all of them shall have been asked
        self.outcomes: list[_Outcome] = []  # of the addresses so far

    @property
    def found(self) -> _Found:
        """The address whose turn it is."""
        return self.addresses[len(self.outcomes)]

    def share(self, now: float) -> float:
        """The seconds that are left for it: the others shall have as many."""
        left = (self.deadline - now) / (len(self.addresses) - len(self.outcomes))
        return max(left, _LEAST)

    def take(self, outcome: _Outcome) -> bool:
        """What this address said; whether the probe is done."""
        self.outcomes.append(outcome)
        return outcome.state == OPEN or len(self.outcomes) == len(self.addresses)

    def answer(self) -> tuple[_Found, _Outcome]:
        """The first outcome that counts most, and whose it is."""
        return min(zip(self.addresses, self.outcomes, strict=False), key=lambda pair: pair[1].state)


class _Attempt(NamedTuple):
    """A connection under way."""

    probe: _Probe
    sock: socket.socket
    deadline: float


class _Prober:
    """Probes, so many at a time, by one thread; those that are done are yielded.  An address has `timeout` seconds, or
    its share of those that its probe has; but then probes are made one at a time."""

    def __init__(self, timeout: float, in_flight: int) -> None:
        self._timeout = timeout
        self._in_flight = in_flight
        self._flying: dict[int, _Attempt] = {}  # by descriptor; the deadlines are in order, for all wait equally long
        self._again: deque[_Probe] = deque()  # their next address comes first
        self._done: list[_Probe] = []

    def run(self, probes: Iterator[_Probe]) -> Generator[_Probe, None, None]:
        """Every probe, once it is done.  OSError if there is no descriptor for a single one."""
        try:
            with _new_selector() as self._selector:
                more = True
                while more or self._flying or self._again:
                    more = self._begin(probes)
                    self._read(may_wait=not more or len(self._flying) >= self._in_flight)
                    yield from self._done
                    self._done.clear()
        finally:
            for attempt in self._flying.values():
                attempt.sock.close()
            self._flying.clear()

    def _begin(self, probes: Iterator[_Probe]) -> bool:
        """Begins some probes; False if none more can be, for now or at all."""
        for _ in range(min(_BURST, self._in_flight - len(self._flying))):
            probe = self._again.popleft() if self._again else next(probes, None)
            if probe is None:
                return False
            try:
                self._connect(probe)
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR or not self._flying:
                    raise
                self._again.appendleft(probe)  # until one of those under way has ended
                return False
        return True

    def _connect(self, probe: _Probe) -> None:
        """Begins to connect to the address whose turn it is; OSError if there is no descriptor."""
        found = probe.found
        family = family_of(found)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                raise _no_descriptor(error, f"{found.text} port {probe.port}") from None
            self._take(probe, _Outcome(ERROR, error.strerror, error.errno or 0))  # this kernel has no such family
            return
        now = time.monotonic()
        attempt = _Attempt(probe, sock, now + min(self._timeout, probe.share(now)))
        try:
            sock.setblocking(False)
            if sys.platform == "linux":
                sock.setsockopt(*_RECVERR[family], 1)
            number = sock.connect_ex(_name(family, found, probe.port))
            if number in _UNDER_WAY:
                self._flying[sock.fileno()] = attempt
                self._selector.register(sock, selectors.EVENT_WRITE, attempt)
                return
            outcome = _outcome(sock, number, found)
        except BaseException:
            self._flying.pop(sock.fileno(), None)
            sock.close()
            raise
        _reset(sock)
        self._take(probe, outcome)

    def _take(self, probe: _Probe, outcome: _Outcome) -> None:
        if probe.take(outcome):
            self._done.append(probe)
        else:
            self._again.append(probe)

    def _read(self, *, may_wait: bool) -> None:
        """Takes what came, and gives up what is late; waits for either if nothing else is to be done."""
        if not self._flying:
            return
        wait = 0.0
        if may_wait and not self._done:
            wait = max(0.0, next(iter(self._flying.values())).deadline - time.monotonic())
        for key, _ in self._selector.select(wait):
            sock = key.data.sock
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._end(key.data, _outcome(sock, number, key.data.probe.found))
        # After the answers, which may have waited to be read.
        now = time.monotonic()
        while self._flying and (attempt := next(iter(self._flying.values()))).deadline <= now:
            self._end(attempt, _TIMED_OUT)

    def _end(self, attempt: _Attempt, outcome: _Outcome) -> None:
        self._selector.unregister(attempt.sock)
        del self._flying[attempt.sock.fileno()]
        _reset(attempt.sock)
        self._take(attempt.probe, outcome)


def _reset(sock: socket.socket) -> None:
    """Closes a connection without TIME_WAIT."""
    with suppress(OSError):  # some systems say that it is not connected
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    sock.close()


def _new_selector() -> selectors.BaseSelector:
    try:
        return selectors.DefaultSelector()
    except OSError as error:
        raise _no_descriptor(error, "ports") from None


def _no_descriptor(error: OSError, what: str) -> OSError:
    return OSError(error.errno, f"no descriptor is left to probe {what}: {error.strerror}")


# --- one port --------------------------------------------------------------------------------------------------------


def probe_port(host: Any, port: int, *, timeout: float = 1.0) -> Literal["open", "closed", "filtered"]:
    """What a TCP port of a host is: asked by connecting to it, and resetting the connection.

    Args:
        host: a name, or an address as str or an `ipaddress` object; link-local ones with their zone.  The addresses of
            a name are tried in getaddrinfo's order until one has the port open.
        port: 1 to 65535.
        timeout: seconds to wait for an answer of each address.  Looking up a name takes as long as it takes.

    Returns:
        "open": a program accepts connections (a firewall may accept them in its place).  "closed": the host refuses
        them.  "filtered": no answer came in time, or an ICMP message, or this machine's own routes or firewall are in
        the way; a listener whose queue is full does not answer either.  Of several addresses, "closed" if none is open
        and any is closed.

    Raises:
        socket.gaierror: the host has no address.
        OSError: this machine cannot ask, for it has no descriptor left (EMFILE) or no address of this family.
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: RFC 9293 section 3.5, RFC 1122 section 4.2.3.9, connect(2).

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     closed = nf.probe_port("127.0.0.1", sock.getsockname()[1])
        ...     sock.listen()
        ...     closed, nf.probe_port("127.0.0.1", sock.getsockname()[1])
        ('closed', 'open')
    """
    number = checked_port("port", port, least=1)
    seconds = checked_seconds("timeout", timeout, more_than_none=True)
    _, outcome = _asked(_addresses(host), number, seconds).answer()
    if outcome.state == ERROR:
        raise _cannot_be_probed(host, number, outcome)
    state: Literal["open", "closed", "filtered"] = STATES[outcome.state]  # type: ignore[assignment]
    return state


def _asked(addresses: Sequence[_Found], port: int, timeout: float, deadline: float = math.inf) -> _Probe:
    (probe,) = _Prober(timeout, 1).run(iter([_Probe(0, addresses, port, deadline)]))
    return probe


def _cannot_be_probed(host: Any, port: int, outcome: _Outcome) -> OSError:
    return OSError(outcome.errno, f"{host} port {port} cannot be probed: {outcome.error}")


def is_port_open(host: Any, port: int, *, timeout: float = 1.0) -> bool:
    """Whether a TCP port of a host accepts connections: `probe_port` is "open", with its arguments and its errors.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     sock.listen()
        ...     nf.is_port_open("127.0.0.1", sock.getsockname()[1])
        True
    """
    return probe_port(host, port, timeout=timeout) == "open"


def wait_port(host: Any, port: int, *, timeout: float = 30.0, interval: float = 0.1) -> float:
    """Waits until a TCP port of a host is open, as of a server that is starting.

    Args:
        host: as for `probe_port`; a name is looked up anew each time, and may be one that does not exist yet: that of
            a container, for one, comes up with it.
        port: 1 to 65535.
        timeout: seconds to wait at most, looking up included.
        interval: seconds from the end of one attempt to the next.  Of a name's addresses each has its share of the time
            that is left, and 2 seconds at most.

    Returns:
        The seconds it took.

    Raises:
        TimeoutError: it was not open in time; the message names the host, the port, the time and what the last attempt
            met, such as that the name is not known.
        socket.gaierror: the host is no name or address at all.
        OSError: as of `probe_port`, for what waiting does not change: a link-local address without its zone, a family
            that this kernel does not have.  That no ephemeral port or no address to connect from is left may change.
        TypeError, ValueError: an argument is wrong; the message names it.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     sock.listen()
        ...     nf.wait_port("127.0.0.1", sock.getsockname()[1]) < 1
        True
    """
    text = one_host(host, "nf.scan_ports")
    number = checked_port("port", port, least=1)
    limit = checked_seconds("timeout", timeout, more_than_none=True)
    pause = checked_seconds("interval", interval)
    begin = time.monotonic()
    deadline = begin + limit
    met = ""
    while True:
        met = _attempted(text, number, deadline, met)
        now = time.monotonic()
        if not met:
            return now - begin
        if now >= deadline:
            break
        time.sleep(min(pause, deadline - now))  # so that the last attempt is at the end
    raise TimeoutError(
        errno.ETIMEDOUT, f"{host} port {number} was not open within {limit:g} s; the last attempt met: {met}"
    )


_WORDS = {CLOSED: "connection refused", FILTERED: "no answer"}
# What the resolver says of a name that it may know later.
_MAY_COME = (socket.EAI_AGAIN, socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def _attempted(host: str, port: int, deadline: float, before: str) -> str:
    """What an attempt met, or an earlier one if this had no time to hear of it; "" if the port is open."""
    left = max(deadline - time.monotonic(), _LEAST)
    try:
        found = _connectable(Targets([host], timeout=left), 0)
    except TimeoutError as error:
        return str(error.strerror)
    if isinstance(found, PingError):
        if found.errno not in _MAY_COME:
            raise no_address(host, found)
        return f"{host}: {found.text}"
    probe = _asked(found, port, _ATTEMPT, deadline)
    _, best = probe.answer()
    if best.state == OPEN:
        return ""
    if best.state == ERROR and all(outcome.errno != errno.EADDRNOTAVAIL for outcome in probe.outcomes):
        raise _cannot_be_probed(host, port, best)
    if before and _TIMED_OUT in probe.outcomes and left < _ATTEMPT * len(found):
        return before
    said = zip(found, probe.outcomes, strict=True)
    return ", ".join(f"{address.text}: {outcome.error or _WORDS[outcome.state]}" for address, outcome in said)


# --- many ports ------------------------------------------------------------------------------------------------------


def scan_ports(hosts: Any, ports: Any, *, timeout: float = 1.0, in_flight: int = 512) -> PortScan:
    """Probes every one of some TCP ports on every one of some hosts, as `probe_port` does, many at a time.

    Args:
        hosts: names, addresses and prefixes as str, or `ipaddress` objects, in any iterable; or one of them.  A prefix
            stands for its hosts: without the network's and the broadcast address below /31.
        ports: 1 to 65535: one int, or an iterable of them.
        timeout: seconds to wait for each answer.  Where nobody answers, a scan takes `timeout` for each `in_flight` of
            its probes.
        in_flight: connections under way at a time, at most; fewer where the process may not open so many descriptors.

    Returns:
        A row for each port of each host: hosts in order, and for each its ports in order.  What goes wrong with a host
        stands in its rows and costs no other's.

    Raises:
        OSError: not a single descriptor is left (EMFILE).
        TypeError, ValueError: an argument is wrong, a prefix has more than 2**20 addresses, or there were more than
            2**27 rows.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     sock.listen()
        ...     number = sock.getsockname()[1]
        ...     found = nf.scan_ports(["127.0.0.1", "nowhere.invalid"], [number])
        >>> found.state.tolist(), found.open[0].host, found[1].address
        (['open', 'error'], '127.0.0.1', None)
    """
    wanted = _many_ports(ports)
    seconds = checked_seconds("timeout", timeout, more_than_none=True)
    limit = checked_int("in_flight", in_flight, 1, _IN_FLIGHT_MAX)
    targets = Targets(hosts)
    rows = len(targets.names) * len(wanted)
    if rows > _ROWS_MAX:
        what = f"{len(targets.names):,} hosts with {len(wanted):,} ports each are {rows:,} rows"
        raise ValueError(f"{what}; wanted at most {_ROWS_MAX:,}")
    scan = PortScan(targets.names, wanted)
    with closing(_Prober(seconds, limit).run(_probes(targets, wanted, scan))) as done:
        for probe in done:
            found, outcome = probe.answer()
            scan.set_answer(probe.row, found.text, outcome.state, outcome.error)
    return scan


def _probes(targets: Targets, ports: list[int], scan: PortScan) -> Iterator[_Probe]:
    """A probe for each row; hosts without an address have none."""
    for index in range(len(targets.names)):
        found = _connectable(targets, index)
        if isinstance(found, PingError):
            scan.set_host_error(index, found.text)
            continue
        scan.set_host(index, found[0].text)
        for row, port in enumerate(ports, index * len(ports)):
            yield _Probe(row, found, port)
