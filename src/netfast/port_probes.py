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
import os
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .ping_errors import PingError, ping_error
from .ping_hosts import _IP4, _LOOPBACK, _Found, _listed, _literal, look_up, resolve_all
from .ping_options import checked_int, checked_seconds
from .ports import checked_port

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PortScan", "ScanRow", "is_port_open", "probe_port", "scan_ports", "wait_port"]

STATES = ("open", "closed", "filtered", "error")
"""What a port can be, in the order in which one answer counts more than another."""

_OPEN, _CLOSED, _FILTERED, _ERROR = range(4)
_IN_FLIGHT_MAX = 1_000_000
_ROWS_MAX = 1 << 27  # of a scan: an hour of probes that are refused at once
_BURST = 64  # probes that are begun before answers are looked for
_ATTEMPT = 2.0  # seconds that `wait_port` gives a connection: a lost packet is sent again after one (RFC 6298)


# --- where to connect ------------------------------------------------------------------------------------------------


class _Targets:
    """The hosts in order, prefixes expanded, and the addresses of each."""

    def __init__(self, hosts: Any, timeout: float | None = None) -> None:
        """TimeoutError if names are not looked up within so many seconds."""
        self.names, self._parsed, unknown = _listed(hosts)
        self._looked_up = look_up(unknown, partial(resolve_all, family=None, kind=socket.SOCK_STREAM), timeout)
        if self._parsed.packed is None:
            self._parsed.widen([(0, self._parsed.n)])

    def of(self, index: int) -> list[_Found] | PingError:
        """The addresses of a host, or why it has none."""
        name, version = self.names[index], self._parsed.holds[index]
        if not version:
            return self._looked_up[name]
        assert self._parsed.packed is not None
        packed = bytes(self._parsed.packed[16 * index : 16 * index + 16])
        found = _literal(name, packed, self._parsed.zones.get(index), version, None)
        if isinstance(found, PingError):
            return found
        if found.packed in _LOOPBACK:  # 0.0.0.0 and :: are this machine (RFC 1122 section 3.2.1.3)
            packed, text = _LOOPBACK[found.packed]
            return [_Found(text, packed, 0)]
        return [found]


def _one_host(host: Any) -> Any:
    if not isinstance(host, str) and type(host).__module__ != "ipaddress":
        raise TypeError(f"host is {type(host).__name__}; wanted a name or an address as str")
    if "/" in str(host):
        raise ValueError(f"{host} is a prefix, not one host; use nf.scan_ports")
    return host


def _addresses(host: Any, timeout: float | None = None) -> list[_Found]:
    """The addresses of one host, or socket.gaierror."""
    found = _Targets([_one_host(host)], timeout).of(0)
    if isinstance(found, PingError):
        raise socket.gaierror(found.errno or socket.EAI_NONAME, f"{host}: {found.text}")
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
_OPENED = (errno.ECONNRESET, errno.EPIPE)
# This machine's routes and firewall; ICMP messages arrive as these and others.  connect(2), ip-route(8), icmp(7).
_REFUSED_HERE = (
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


_TIMED_OUT = _Outcome(_FILTERED, None)


def _outcome(sock: socket.socket, number: int, found: _Found) -> _Outcome:
    """What a connection that ended with this errno, or 0, says of the port."""
    if number == 0:
        try:
            return _Outcome(_CLOSED if sock.getsockname() == sock.getpeername() else _OPEN, None)
        except OSError:  # reset in this very moment, or never connected
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ENOTCONN
    if number in _OPENED:
        return _Outcome(_OPEN, None)
    if number == errno.ETIMEDOUT:
        return _TIMED_OUT
    message = _icmp_message(sock)
    if message is not None:
        return _Outcome(_FILTERED, str(message))
    if number == errno.ECONNREFUSED:
        return _Outcome(_CLOSED, None)
    if number == errno.EINVAL and found.packed[:1] == b"\xfe" and not found.scope:
        return _Outcome(_ERROR, "a link-local address wants its zone, as in fe80::1%eth0", number)
    if number in _REFUSED_HERE:
        return _Outcome(_FILTERED, os.strerror(number))
    return _Outcome(_ERROR, os.strerror(number), number)


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

    __slots__ = ("addresses", "at", "best", "best_at", "port", "row")

    def __init__(self, row: int, addresses: Sequence[_Found], port: int) -> None:
        self.row = row
        self.addresses = addresses
        self.port = port
        self.at = 0  # the address whose turn it is
        self.best: _Outcome | None = None  # of the addresses so far, the first that counts most
        self.best_at = 0

    def take(self, outcome: _Outcome) -> bool:
        """What the address said whose turn it was; whether the probe is done."""
        if self.best is None or outcome.state < self.best.state:
            self.best, self.best_at = outcome, self.at
        self.at += 1
        return outcome.state == _OPEN or self.at == len(self.addresses)


class _Attempt(NamedTuple):
    """A connection under way."""

    probe: _Probe
    sock: socket.socket
    deadline: float


class _Prober:
    """Probes, so many at a time, by one thread; those that are done are yielded."""

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
        found = probe.addresses[probe.at]
        family = socket.AF_INET if found.packed.startswith(_IP4) else socket.AF_INET6
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                raise _no_descriptor(error, f"{found.text} port {probe.port}") from None
            self._take(probe, _Outcome(_ERROR, error.strerror, error.errno or 0))  # this kernel has no such family
            return
        attempt = _Attempt(probe, sock, time.monotonic() + self._timeout)
        try:
            number = self._connected(sock, family, found, probe.port)
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

    def _connected(self, sock: socket.socket, family: int, found: _Found, port: int) -> int:
        """The errno of connect(2)."""
        sock.setblocking(False)
        if sys.platform == "linux":
            sock.setsockopt(*_RECVERR[family], 1)
        host = found.text.partition("%")[0]
        return sock.connect_ex((host, port) if family == socket.AF_INET else (host, port, 0, found.scope))

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
            probe = key.data.probe
            self._end(key.data, _outcome(sock, number, probe.addresses[probe.at]))
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
    outcome = _asked(_addresses(host), number, seconds)
    if outcome.state == _ERROR:
        raise OSError(outcome.errno, f"{host} port {number} cannot be probed: {outcome.error}")
    state: Literal["open", "closed", "filtered"] = STATES[outcome.state]  # type: ignore[assignment]
    return state


def _asked(addresses: Sequence[_Found], port: int, timeout: float) -> _Outcome:
    (probe,) = _Prober(timeout, 1).run(iter([_Probe(0, addresses, port)]))
    assert probe.best is not None
    return probe.best


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
        host: as for `probe_port`; a name is looked up anew each time.
        port: 1 to 65535.
        timeout: seconds to wait at most, looking up included.
        interval: seconds from the end of one attempt to the next.  An attempt without an answer ends after 2 seconds.

    Returns:
        The seconds it took.

    Raises:
        TimeoutError: it was not open in time; the message names the host, the port, the time and what the last attempt
            met.
        socket.gaierror: the host has no address; that its name cannot be looked up now (EAI_AGAIN) is waited out.
        OSError, TypeError, ValueError: as of `probe_port`.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     sock.listen()
        ...     nf.wait_port("127.0.0.1", sock.getsockname()[1]) < 1
        True
    """
    number = checked_port("port", port, least=1)
    limit = checked_seconds("timeout", timeout, more_than_none=True)
    pause = checked_seconds("interval", interval)
    begin = time.monotonic()
    said = ""
    while True:
        answer = _attempted(host, number, max(begin + limit - time.monotonic(), _LEAST))
        now = time.monotonic()
        if answer is None:
            return now - begin
        said = answer or said
        left = begin + limit - now
        if left <= 0:
            break
        time.sleep(min(pause, left))  # so that the last attempt is at the end
    text = f"{host} port {number} was not open within {limit:g} s; the last attempt met: {said or 'no answer'}"
    raise TimeoutError(errno.ETIMEDOUT, text)


_LEAST = 1e-3  # seconds that an attempt has
_WORDS = {_CLOSED: "connection refused", _FILTERED: "no answer"}


def _attempted(host: Any, port: int, left: float) -> str | None:
    """Why a port is not open, within so many seconds; None if it is, "" if there was no time to hear of it."""
    deadline = time.monotonic() + left
    try:
        addresses = _addresses(host, left)
    except TimeoutError as error:
        return str(error.strerror)
    except socket.gaierror as error:
        if error.errno != socket.EAI_AGAIN:
            raise
        return str(error.strerror)
    said = []
    for found in addresses:
        seconds = min(_ATTEMPT, max(deadline - time.monotonic(), _LEAST))
        outcome = _asked([found], port, seconds)
        if outcome.state == _OPEN:
            return None
        if outcome != _TIMED_OUT or seconds == _ATTEMPT:
            said.append(f"{found.text}: {outcome.error or _WORDS[outcome.state]}")
    return ", ".join(said)


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
    targets = _Targets(hosts)
    rows = len(targets.names) * len(wanted)
    if rows > _ROWS_MAX:
        what = f"{len(targets.names):,} hosts with {len(wanted):,} ports each are {rows:,} rows"
        raise ValueError(f"{what}; wanted at most {_ROWS_MAX:,}")
    scan = PortScan(targets.names, wanted)
    with closing(_Prober(seconds, limit).run(_probes(targets, wanted, scan))) as done:
        for probe in done:
            assert probe.best is not None
            scan._settle(probe.row, probe.addresses[probe.best_at].text, probe.best)
    return scan


def _probes(targets: _Targets, ports: list[int], scan: PortScan) -> Iterator[_Probe]:
    """A probe for each row; hosts without an address are settled."""
    for index in range(len(targets.names)):
        found = targets.of(index)
        if isinstance(found, PingError):
            scan._settle_host(index, found.text)
            continue
        scan._addresses[index] = found[0].text
        for row, port in enumerate(ports, index * len(ports)):
            yield _Probe(row, found, port)


class ScanRow(NamedTuple):
    """What a scan found of one port of one host.

    Attributes:
        host: as given, prefixes expanded.
        address: which of its addresses said so; None if it has none.
        port: the number.
        state: "open", "closed" or "filtered", as `probe_port` has them; "error" if this machine could not ask.
        error: the ICMP message, what this machine's routes said, or why it could not ask; None for an answer, and
            where none came.
    """

    host: str
    address: str | None
    port: int
    state: str
    error: str | None


class PortScan:
    """What a scan found, a row for each port of each host, hosts in order and for each its ports in order.

    Rows are `ScanRow`s: `scan[i]`, iteration, `len(scan)`.  Columns are NumPy arrays, made when asked for; as an Arrow
    stream the same columns, `state` as dictionary<int8, utf8>, and `error`.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     scan = nf.scan_ports("127.0.0.1", sock.getsockname()[1])
        >>> scan, scan.open
        (<PortScan of 1 ports: closed 1>, [])
    """

    __slots__ = ("_addresses", "_errors", "_hosts", "_others", "_ports", "_states")

    def __init__(self, hosts: Sequence[str], ports: Sequence[int]) -> None:
        self._hosts = hosts
        self._ports = ports
        self._addresses: list[str | None] = [None] * len(hosts)  # the first of each host
        self._others: dict[int, str] = {}  # by row, where another of its addresses said so
        self._states = bytearray([_ERROR]) * (len(hosts) * len(ports))
        self._errors: dict[int, str] = {}  # by row

    def _settle(self, row: int, address: str, outcome: _Outcome) -> None:
        self._states[row] = outcome.state
        if outcome.error is not None:
            self._errors[row] = outcome.error
        if address != self._addresses[row // len(self._ports)]:
            self._others[row] = address

    def _settle_host(self, index: int, error: str) -> None:
        first = index * len(self._ports)
        self._errors.update(dict.fromkeys(range(first, first + len(self._ports)), error))

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        return self._row(range(len(self))[index])

    def _row(self, row: int) -> ScanRow:
        host, port = divmod(row, len(self._ports))
        state, error = STATES[self._states[row]], self._errors.get(row)
        return ScanRow(self._hosts[host], self._address(row), self._ports[port], state, error)

    def _address(self, row: int) -> str | None:
        return self._others.get(row, self._addresses[row // len(self._ports)])

    def __iter__(self) -> Iterator[ScanRow]:
        return map(self._row, range(len(self)))

    def __repr__(self) -> str:
        counts = ((state, self._states.count(code)) for code, state in enumerate(STATES))
        said = ", ".join(f"{state} {count:,}" for state, count in counts if count)
        return f"<PortScan of {len(self):,} ports: {said or 'none'}>"

    @property
    def open(self) -> list[ScanRow]:
        """The rows of open ports."""
        rows = []
        row = self._states.find(_OPEN)
        while row >= 0:
            rows.append(self._row(row))
            row = self._states.find(_OPEN, row + 1)
        return rows

    def _objects(self, values: Iterable[object]) -> NDArray[np.object_]:
        import numpy as np

        return np.fromiter(values, dtype=object, count=len(self))

    @property
    def host(self) -> NDArray[np.object_]:
        """object[n]: str as given, prefixes expanded."""
        return self._objects(host for host in self._hosts for _ in self._ports)

    @property
    def address(self) -> NDArray[np.object_]:
        """object[n]: the address that said so, as str; None where the host has none."""
        return self._objects(map(self._address, range(len(self))))

    @property
    def port(self) -> NDArray[np.uint16]:
        """uint16[n]: the port."""
        import numpy as np

        return np.tile(np.array(self._ports, dtype=np.uint16), len(self._hosts))

    @property
    def state(self) -> NDArray[np.object_]:
        """object[n]: "open", "closed", "filtered" or "error"; equal texts are one object."""
        import numpy as np

        found: NDArray[np.object_] = np.array(STATES, dtype=object)[np.frombuffer(self._states, dtype=np.uint8)]
        return found

    @property
    def error(self) -> NDArray[np.object_]:
        """object[n]: what came in place of an answer, as str; None elsewhere."""
        return self._objects(map(self._errors.get, range(len(self))))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from ._arrow import ArrowData, arrow_text

        n = len(self)
        columns = [
            arrow_text(self.host.tolist(), "host"),
            arrow_text(self.address.tolist(), "address"),
            ArrowData("S", n, [None, bytearray(self.port.tobytes())], name="port"),
            ArrowData("c", n, [None, self._states], name="state", dictionary=arrow_text(STATES)),
            arrow_text(self.error.tolist(), "error"),
        ]
        return ArrowData("+s", n, [None], children=columns).stream_capsule()
