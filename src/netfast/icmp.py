"""Ping: one host precisely, a hundred thousand quickly.

Probes and replies are handled by a loop in C that holds no lock (`nf_pinger.c`); this module says whom to ask and what
the answers mean.  A round-trip time is what the kernel measured: from just before the probe was handed to it to its
stamp on the reply, however long that waits to be read.

A reply counts if it names one of this ping's probes by id, sequence and a 64-bit cookie that only this ping can have
made, and comes from the host that was asked.  Linux; a datagram ICMP socket needs no privilege where
`net.ipv4.ping_group_range` allows it, a raw one needs CAP_NET_RAW (icmp(7), raw(7)).
"""

from __future__ import annotations

import errno
import math
import operator
import os
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from .ping_errors import PingError, ping_error
from .ping_hosts import Hosts, aread_hosts, raise_unresolvable, read_hosts, source_address
from .ping_results import PingEvent, PingResult, PingTable
from .threads import in_ranges, thread_count

if TYPE_CHECKING:
    import asyncio

    from ._net import Event, Losses, Pinger

__all__ = ["aping", "aping_iter", "ping", "ping_iter", "ping_many"]

_COUNT_MAX = 2**31 - 1
_SECONDS_MAX = 1e6
_FLOOD = 0.01  # with interval=0, the longest wait for a reply before the next probe: ping(8)'s flood
_USUAL_RATE = 1000.0  # probes a second that no network minds; loopback takes what it is given
_PROBES_PER_THREAD = 2_000  # one thread has sent so many before another has opened its socket
_RESOLUTION = 3.0  # seconds that the kernel looks for a neighbour (neigh/default: mcast_solicit of retrans_time_ms)

# What a host is watched for: bits by kind of event, as in `_net`.
_KINDS = ("reply", "duplicate", "late", "timeout", "error", "done", "sent")
_DONE = _KINDS.index("done")
_ERRORS, _END, _SENT = (1 << _KINDS.index(kind) for kind in ("error", "done", "sent"))
_ALL = _END - 1


# --- how: what all of them take ---------------------------------------------------------------------------------------


class _How(NamedTuple):
    """How probes are sent and waited for; pings of one event loop that agree in this share their sockets."""

    timeout: float
    rate: float | None
    size: int
    ttl: int
    tos: int
    dont_fragment: bool
    source: bytes | None
    source_scope: int
    interface: bytes | None
    privileged: bool | None

    def paced(self, hosts: Hosts) -> _How:
        """With the rate that suits these hosts if none was asked for."""
        if self.rate is not None:
            return self
        return self._replace(rate=math.inf if hosts.all_loopback else _USUAL_RATE)

    def pinger(self) -> Pinger:
        """Sockets, not yet open."""
        try:
            from ._net import Pinger
        except ImportError:
            raise OSError(errno.ENOSYS, "netfast pings on Linux only") from None
        return Pinger(
            timeout=self.timeout,
            gap=1 / self.rate if self.rate else 0.0,
            size=self.size,
            privileged=self.privileged,
            ttl=self.ttl,
            tos=self.tos,
            dont_fragment=self.dont_fragment,
            source=self.source,
            source_scope=self.source_scope,
            interface=self.interface,
        )


def _how(
    timeout: float,
    rate: float | None,
    size: int,
    ttl: int | None,
    dont_fragment: bool,
    tos: int | None,
    source: Any,
    interface: str | None,
    family: int | None,
    privileged: bool | None,
) -> tuple[_How, int | None]:
    """The options, checked; and the family, which is that of the source if nobody says."""
    if family is not None and _whole("family", family, 4, 6) == 5:
        raise ValueError("family=5: wanted 4, 6 or None")
    packed, scope = None, 0
    if source is not None:
        version, packed, scope = source_address(source)
        if family not in (None, version):
            raise ValueError(f"source={source} is an IPv{version} address, and family={family}")
        family = version
    how = _How(
        timeout=_seconds("timeout", timeout, more_than_none=True),
        rate=None if rate is None else _rate(rate),
        size=_whole("size", size, 0, 65507),
        ttl=-1 if ttl is None else _whole("ttl", ttl, 1, 255),
        tos=-1 if tos is None else _whole("tos", tos, 0, 255),
        dont_fragment=_flag("dont_fragment", dont_fragment),
        source=packed,
        source_scope=scope,
        interface=None if interface is None else _card(interface),
        privileged=None if privileged is None else _flag("privileged", privileged),
    )
    return how, family


def _whole(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {type(value).__name__}; wanted an int") from None
    if not least <= number <= most:
        raise ValueError(f"{name}={number}: wanted {least} to {most:,}")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # NumPy's is another
        raise TypeError(f"{name} is {type(value).__name__}; wanted a bool")
    return bool(value)


def _seconds(name: str, value: Any, *, more_than_none: bool = False) -> float:
    number = _number(name, value)
    if not 0 <= number <= _SECONDS_MAX or (more_than_none and number < 1e-9):
        wanted = "more than 0" if more_than_none else "0 or more"
        raise ValueError(f"{name}={value}: wanted {wanted} seconds, {_SECONDS_MAX:,.0f} at most")
    return number


def _rate(value: Any) -> float:
    number = _number("rate", value)
    if not number >= 1e-6:
        raise ValueError(f"rate={value}: wanted probes a second, or math.inf")
    return number


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError(f"{name} is {type(value).__name__}; wanted a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is an int that is too large for a float") from None


def _card(name: Any) -> bytes:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"interface is {type(name).__name__}; wanted the name of one")
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < 16 or b"\0" in encoded or b"/" in encoded:
        raise ValueError(f"interface={name!r}: wanted a name of 1 to 15 bytes")
    return encoded


def _spacing(hosts: Hosts, interval: float) -> tuple[float, bool]:
    """The interval, and whether a reply cuts it short: a single host without one is sent what it can answer."""
    adaptive = interval == 0 and len(hosts.names) == 1
    return (_FLOOD if adaptive else interval), adaptive


def _endless_or(count: int | None) -> int:
    """0 stands for no end."""
    return 0 if count is None else _whole("count", count, 1, _COUNT_MAX)


# --- a run -----------------------------------------------------------------------------------------------------------


class Run:
    """Hosts being pinged: a context that knows what has happened so far.

    `hosts` and the options are those of `ping_iter`; sent=True adds events of kind "sent".
    """

    def __init__(
        self,
        hosts: Any,
        *,
        count: int | None,
        rate: float | None = None,
        interval: float = 1.0,
        timeout: float = 2.0,
        size: int = 56,
        ttl: int | None = None,
        dont_fragment: bool = False,
        tos: int | None = None,
        source: Any = None,
        interface: str | None = None,
        family: int | None = None,
        privileged: bool | None = None,
        sent: bool = False,
    ) -> None:
        how, family = _how(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
        probes = _endless_or(count)
        gap = _seconds("interval", interval)
        found = read_hosts(hosts, family)
        self._begin(found, how, probes, *_spacing(found, gap), _ALL | (_SENT if sent else 0))

    @classmethod
    def of(cls, hosts: Hosts, how: _How, count: int, interval: float, adaptive: bool, *, watched: int) -> Run:
        """The same of what has been read and checked already."""
        run = cls.__new__(cls)
        run._begin(hosts, how, count, interval, adaptive, watched)
        return run

    def _begin(self, hosts: Hosts, how: _How, count: int, interval: float, adaptive: bool, watched: int) -> None:
        how = how.paced(hosts)
        self.names, self.addresses, self.rows = hosts.names, hosts.addresses, hosts.rows
        self.pinger = how.pinger()
        self.pinger.add(hosts.packed, hosts.scopes, count, interval, watched, adaptive)
        self.pinger.make_room(*_held(len(hosts.rows), count, interval, how))
        self._hosts = hosts
        self._how = how
        self._start = time.perf_counter()
        self._unresolved = _unresolved(hosts) if watched & _ALL == _ALL else []
        self._all_done = False

    def wait(self, seconds: float | None = None) -> list[PingEvent]:
        """What has happened since the last call; where there is nothing yet, waits for it, but not longer than so."""
        if self._unresolved:
            events, self._unresolved = self._unresolved, []
            return events
        self._all_done = self.pinger.run(_SECONDS_MAX if seconds is None else seconds)
        return [_event(self._hosts, event, event[1]) for event in self.pinger.events() if event[0] != _DONE]

    def finish(self, stop: bytearray) -> None:
        """Works until all is done, where nobody watches; or until the byte in `stop` is set."""
        while not (self._all_done or stop[0]):
            self._all_done = self.pinger.run(_SECONDS_MAX, stop)

    @property
    def done(self) -> bool:
        """Whether nothing more can happen."""
        return self._all_done and not self._unresolved

    @property
    def losses(self) -> Losses:
        """Replies that the kernel dropped, that were corrupted, that answer no probe of this run."""
        return self.pinger.losses()

    def result(self, row: int) -> PingResult:
        """What came of a host so far, without what is kept of single probes; ValueError for one without an address."""
        if row in self._hosts.errors:
            raise ValueError(f"{self.names[row]} has no address")
        return _result(self._hosts, row, self._how, self.pinger, bisect_left(self._hosts.rows, row), self._start)

    def close(self) -> None:
        self.pinger.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _held(hosts: int, count: int, interval: float, how: _How) -> tuple[int, int]:
    """How many replies and how many requests the kernel may hold at a time: of those that are waited for, and of those
    to a neighbour that does not answer."""
    replies, requests = (_sent_in(seconds, hosts, count, interval, how) for seconds in (how.timeout, _RESOLUTION))
    return replies, requests


def _sent_in(seconds: float, hosts: int, count: int, interval: float, how: _How) -> int:
    """How many probes at most."""
    of_each = math.ceil(seconds / interval) if interval > seconds / _COUNT_MAX else _COUNT_MAX
    most = hosts * min(count or of_each, of_each)
    paced = (how.rate or math.inf) * seconds
    return min(most, math.ceil(paced) if paced < most else most)


def _unresolved(hosts: Hosts) -> list[PingEvent]:
    """Events of the hosts that have no address."""
    now = time.time()
    return [
        PingEvent("error", row, hosts.names[row], None, -1, None, None, None, None, now, error)
        for row, error in hosts.errors.items()
    ]


def _result(
    hosts: Hosts,
    row: int,
    how: _How,
    pinger: Pinger,
    target: int,
    start: float,
    kept: tuple[bytearray, bytearray] | None = None,
    errors: Sequence[PingError] = (),
) -> PingResult:
    """What came of a host; kept: the RTTs and TTLs of its probes."""
    address = hosts.addresses[row]
    assert address is not None
    rtts, ttls = kept or (bytearray(), bytearray())
    elapsed = time.perf_counter() - start
    counted = pinger.result(target)
    return PingResult(hosts.names[row], address, how.size, counted, rtts, ttls, errors, elapsed, pinger.losses())


def _event(hosts: Hosts, event: Event, place: int) -> PingEvent:
    """An event of the border in the face's words; place: of the target among those of the hosts."""
    kind, _, index, source, rtt, ttl, size, when, fields = event
    row = hosts.rows[place]
    name, address = hosts.names[row], hosts.addresses[row]
    if size:
        return PingEvent(_KINDS[kind], row, name, address, index, source or address, rtt, ttl, size, when, None)
    error = None if fields is None else ping_error(fields)
    return PingEvent(_KINDS[kind], row, name, address, index, error and error.source, None, None, None, when, error)


# --- the face --------------------------------------------------------------------------------------------------------


def _one(host: Any) -> list[Any]:
    if not isinstance(host, str) and type(host).__module__ != "ipaddress":
        raise TypeError(f"host is {type(host).__name__}; wanted a name or an address as str")
    if "/" in str(host):
        raise ValueError(f"{host} is a prefix, not one host; use nf.ping_many")
    return [host]


def ping(
    host: Any,
    *,
    count: int = 4,
    interval: float = 1.0,
    timeout: float = 2.0,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: bool = False,
    tos: int | None = None,
    source: Any = None,
    interface: str | None = None,
    family: int | None = None,
    privileged: bool | None = None,
) -> PingResult:
    """Sends echo requests to one host and waits for the replies.

    Args:
        host: a name, or an address as str or an `ipaddress` object; link-local ones with their zone ("fe80::1%eth0").
        count: probes, from 1.
        interval: seconds from one probe to the next; 0 sends each as soon as the last is answered, at most 10 ms later.
        timeout: seconds after which a reply is late, and its probe lost.
        size: bytes of payload, 0 to 65,507.  From 8 up they begin with a cookie that no one else can know; below, the
            id, the sequence and the source have to do.
        ttl: the TTL (hop limit) of probes, 1 to 255; None for the system's.
        dont_fragment: probes larger than the path takes fail, and the error tells the path's MTU.
        tos: the type of service (traffic class) byte, 0 to 255.
        source: an address of this machine to send from.
        interface: the name of a card to send through.
        family: 4 or 6, for names that have addresses of both.
        privileged: None tries a datagram ICMP socket and then a raw one, False and True only one of them.

    Returns:
        The counts, the RTTs in seconds and the errors; see `PingResult`.

    Raises:
        socket.gaierror: the host has no address.
        PermissionError: neither kind of socket may be opened; the message names the two settings that help.
        OSError: the source or the interface is not this machine's.
        TypeError, ValueError: an argument is wrong; the message names it.

    A host that does not answer, or cannot be reached, is no error but a result.  Source: RFC 792, RFC 4443.

    Example:
        >>> import netfast as nf
        >>> found = nf.ping("127.0.0.1", count=2, interval=0.01)
        >>> found.received, found.address, bool(0 < found.avg < 1), found.errors
        (2, '127.0.0.1', True, [])
    """
    how, family = _how(timeout, None, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = _whole("count", count, 1, _COUNT_MAX)
    gap = _seconds("interval", interval)
    hosts = read_hosts(_one(host), family)
    raise_unresolvable(hosts)
    errors: list[PingError] = []
    start = time.perf_counter()
    # Pace is the interval's: one host gets no more than was asked for.
    run = Run.of(hosts, how._replace(rate=math.inf), probes, *_spacing(hosts, gap), watched=_ERRORS)
    with run:
        kept = run.pinger.keep(0, probes)
        while not run.done:
            errors += [event.error for event in run.wait() if event.error]
        return _result(hosts, 0, how, run.pinger, 0, start, kept, errors)


def ping_many(
    hosts: Any,
    *,
    count: int = 1,
    rate: float | None = None,
    interval: float = 1.0,
    timeout: float = 1.0,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: bool = False,
    tos: int | None = None,
    source: Any = None,
    interface: str | None = None,
    family: int | None = None,
    privileged: bool | None = None,
    threads: int | None = None,
) -> PingTable:
    """Pings many hosts at a time.

    Args:
        hosts: names, addresses and prefixes as str, or `ipaddress` objects, in any iterable; or one of them.  A prefix
            stands for its hosts: without the network's and the broadcast address below /31.
        count: probes to each host.
        rate: probes a second, over all hosts; None for 1,000, and for any number where every host is this machine's
            loopback; math.inf for as many as go.
        interval: seconds from one probe to the next of the same host.
        timeout, size, ttl, dont_fragment, tos, source, interface, family, privileged: as for `ping`.
        threads: None for one a CPU where many hosts are pinged without a rate, else one.

    Returns:
        A row a host, in order; what goes wrong with a host stands in its row (`error`) and costs no other's.

    Raises:
        AddressError: a text with "/" is no prefix.
        ValueError: a prefix has more than 2**20 addresses, or an argument is wrong.
        PermissionError, OSError, TypeError: as for `ping`.

    Example:
        >>> import netfast as nf
        >>> found = nf.ping_many(["127.0.0.1", "127.1.0.0/30"])
        >>> found.host.tolist(), found.is_alive.tolist()
        (['127.0.0.1', '127.1.0.1', '127.1.0.2'], [True, True, True])
    """
    how, family = _how(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = _whole("count", count, 1, _COUNT_MAX)
    gap = _seconds("interval", interval)
    if threads is not None:
        threads = _whole("threads", threads, 1, 1000)
    found = read_hosts(hosts, family)
    how = how.paced(found)
    start = time.perf_counter()
    stop = bytearray(1)
    with ExitStack() as opened:
        runs = [
            opened.enter_context(Run.of(part, share, probes, gap, False, watched=0))
            for part, share in _shares(found, how, probes, threads)
        ]

        def work(first: int, count: int) -> None:
            runs[first].finish(stop)

        in_ranges(work, len(runs), len(runs), stop)
        elapsed = time.perf_counter() - start
        columns = _by_row(
            found, [b"".join(parts) for parts in zip(*(run.pinger.results() for run in runs), strict=True)]
        )
        errors = found.errors | _errors(runs)
        dropped, corrupted, foreign = map(sum, zip(*(run.losses for run in runs), strict=True))
        return PingTable(found.names, found.addresses, columns, errors, elapsed, (dropped, corrupted, foreign))


def _shares(hosts: Hosts, how: _How, count: int, threads: int | None) -> list[tuple[Hosts, _How]]:
    """The hosts of each thread, and its pace.  A rate is one thread's work; without one the CPUs are the limit."""
    targets, rate = len(hosts.rows), how.rate or math.inf
    if threads is None and not math.isinf(rate):
        threads = 1
    workers = min(thread_count(threads, targets * count, _PROBES_PER_THREAD), max(targets, 1))
    if workers == 1:
        return [(hosts, how)]
    share = -(-targets // workers)
    firsts = range(0, targets, share)
    paced = how._replace(rate=rate / len(firsts))
    return [(hosts.part(first, share), paced) for first in firsts]


def _errors(runs: list[Run]) -> dict[int, PingError]:
    """The last error of each host, by row."""
    return {run.rows[target]: ping_error(fields) for run in runs for target, fields in run.pinger.errors().items()}


def _by_row(hosts: Hosts, columns: list[bytes]) -> list[bytearray]:
    """Columns by target as columns by row: hosts without an address sent nothing."""
    if not hosts.errors:
        return list(map(bytearray, columns))
    import numpy as np

    made = []
    for place, column in enumerate(columns):
        by_row = np.zeros(len(hosts.names), "uint32") if place < 5 else np.full(len(hosts.names), math.nan)
        by_row[list(hosts.rows)] = np.frombuffer(column, by_row.dtype)
        made.append(bytearray(by_row.tobytes()))
    return made


def ping_iter(
    hosts: Any,
    *,
    count: int | None = 4,
    rate: float | None = None,
    interval: float = 1.0,
    timeout: float = 2.0,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: bool = False,
    tos: int | None = None,
    source: Any = None,
    interface: str | None = None,
    family: int | None = None,
    privileged: bool | None = None,
) -> Generator[PingEvent, None, None]:
    """Pings one host or many and yields what happens, as it happens.

    Args:
        hosts: as for `ping_many`.
        count: probes to each host; None for no end.
        rate, interval, timeout, size, ttl, dont_fragment, tos, source, interface, family, privileged: as for
            `ping_many`; with interval=0 a single host gets its next probe when it has answered, at most 10 ms later.

    Yields:
        A `PingEvent` for each reply, duplicate, late reply, timeout and error.  A host without an address is one error.

    Raises what `ping_many` raises, at the call.  Probes are sent while the next event is waited for; one that falls due
    earlier goes out then.  Closing the iterator, or leaving its loop, closes the sockets.

    Example:
        >>> import netfast as nf
        >>> for event in nf.ping_iter("127.0.0.1", count=2, interval=0.01):
        ...     print(event.kind, event.index, event.source, event.ttl, event.size)
        reply 0 127.0.0.1 64 64
        reply 1 127.0.0.1 64 64
    """
    how, family = _how(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = _endless_or(count)
    gap = _seconds("interval", interval)
    found = read_hosts(hosts, family)
    return _yielded(Run.of(found, how, probes, *_spacing(found, gap), watched=_ALL))


def _yielded(run: Run) -> Generator[PingEvent, None, None]:
    with run:
        while not run.done:
            yield from run.wait()


# --- asyncio ---------------------------------------------------------------------------------------------------------


async def aping(
    host: Any,
    *,
    count: int = 4,
    interval: float = 1.0,
    timeout: float = 2.0,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: bool = False,
    tos: int | None = None,
    source: Any = None,
    interface: str | None = None,
    family: int | None = None,
    privileged: bool | None = None,
) -> PingResult:
    """`ping` for asyncio.

    All that run in an event loop at a time share a socket a family, if they agree in the timeout and in what a socket
    is opened with; count and interval are each one's own.  (So `dropped`, `corrupted` and `foreign` are those of all.)
    A cancelled one leaves nothing behind.

    Example:
        >>> import asyncio
        >>> import netfast as nf
        >>> async def main():
        ...     return await asyncio.gather(*(nf.aping(f"127.0.0.{i}", count=1) for i in range(1, 4)))
        >>> [found.received for found in asyncio.run(main())]
        [1, 1, 1]
    """
    how, family = _how(timeout, math.inf, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = _whole("count", count, 1, _COUNT_MAX)
    gap = _seconds("interval", interval)
    hosts = await aread_hosts(_one(host), family)
    raise_unresolvable(hosts)
    errors: list[PingError] = []
    start = time.perf_counter()
    with _Lease(how, hosts) as lease:
        (target,) = lease.add(probes, *_spacing(hosts, gap), watched=_ERRORS)
        kept = lease.pinger.keep(target, probes)
        while not lease.done:
            errors += [event.error for event in await lease.wait() if event.error]
        return _result(hosts, 0, how, lease.pinger, target, start, kept, errors)


def aping_iter(
    hosts: Any,
    *,
    count: int | None = 4,
    rate: float | None = None,
    interval: float = 1.0,
    timeout: float = 2.0,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: bool = False,
    tos: int | None = None,
    source: Any = None,
    interface: str | None = None,
    family: int | None = None,
    privileged: bool | None = None,
) -> AsyncGenerator[PingEvent, None]:
    """`ping_iter` for asyncio; shares its sockets, and then its rate, as `aping` does.

    Probes are sent and replies are read while the event loop runs, whether or not somebody waits for the next event;
    events that nobody has taken yet are kept.

    Example:
        >>> import asyncio
        >>> import netfast as nf
        >>> async def main():
        ...     return [event.source async for event in nf.aping_iter("127.0.0.0/30", count=1)]
        >>> asyncio.run(main())
        ['127.0.0.1', '127.0.0.2']
    """
    how, family = _how(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    return _ayielded(hosts, family, how, _endless_or(count), _seconds("interval", interval))


async def _ayielded(
    hosts: Any, family: int | None, how: _How, count: int, interval: float
) -> AsyncGenerator[PingEvent, None]:
    found = await aread_hosts(hosts, family)
    for event in _unresolved(found):
        yield event
    with _Lease(how.paced(found), found) as lease:
        lease.add(count, *_spacing(found, interval), watched=_ALL)
        while not lease.done:
            for event in await lease.wait():
                yield event


class _Lease:
    """The hosts of one call on the sockets of its event loop; a context that gives them back."""

    def __init__(self, how: _How, hosts: Hosts) -> None:
        self._hosts = hosts
        self._how = how
        self._held = (0, 0)  # replies and requests that the kernel may hold
        self._shared = _shared(how)
        self.pinger = self._shared.pinger
        self._places: dict[int, int] = {}  # of targets among those of the hosts
        self._left = 0  # targets that are not done
        self._events: list[PingEvent] = []
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def add(self, count: int, interval: float, adaptive: bool, *, watched: int) -> list[int]:
        """Begins to ping the hosts; their targets."""
        self._held = _held(len(self._hosts.rows), count, interval, self._how)
        for place in range(len(self._hosts.rows)):
            packed = self._hosts.packed[16 * place : 16 * place + 16]
            scope = self._hosts.scopes.get(place)
            target = self.pinger.add(packed, {0: scope} if scope else None, count, interval, watched | _END, adaptive)
            self._places[target] = place
            self._left += 1
            self._shared.leases[target] = self
        self._shared.begin(self._held)
        return list(self._places)

    @property
    def done(self) -> bool:
        return self._left == 0 and not self._events

    async def wait(self) -> list[PingEvent]:
        """What has happened since the last call; waits where there is nothing yet."""
        if self._left and not self._events and self._failure is None:
            self._waiter = self._shared.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None:
            raise self._failure
        events, self._events = self._events, []
        return events

    def take(self, event: Event) -> None:
        if event[0] == _DONE:
            self._left -= 1
        else:
            self._events.append(_event(self._hosts, event, self._places[event[1]]))
        self._wake()

    def fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __enter__(self) -> _Lease:
        self._shared.users += 1
        return self

    def __exit__(self, *_: object) -> None:
        for target in self._places:
            self.pinger.remove(target)
            self._shared.leases.pop(target, None)
        self._shared.end(self._held)
        self._shared.users -= 1
        if not self._shared.users:
            self._shared.close()


class _Shared:
    """Sockets that the calls of one event loop share, open while there is any."""

    def __init__(self, how: _How, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pinger = how.pinger()
        self.leases: dict[int, _Lease] = {}  # by target
        self.users = 0
        self._how = how
        self._files: set[int] = set()
        self._held = self._room = (0, 0)  # replies and requests that the kernel may hold, and what it was asked for
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, held: tuple[int, int]) -> None:
        """Takes notice of new hosts, and perhaps new sockets."""
        self._held = self._held[0] + held[0], self._held[1] + held[1]
        files = set(self.pinger.files())
        if files != self._files or self._held[0] > self._room[0] or self._held[1] > self._room[1]:
            self._room = 2 * self._held[0], 2 * self._held[1]
            self.pinger.make_room(*self._room)
        for file in files - self._files:
            self.loop.add_reader(file, self._work)
        self._files = files
        self._work_in(0.0)

    def end(self, held: tuple[int, int]) -> None:
        """Hosts are given back."""
        self._held = self._held[0] - held[0], self._held[1] - held[1]

    def _work_in(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._work)

    def _work(self) -> None:
        try:
            self.pinger.step()
            for event in self.pinger.events():
                self.leases[event[1]].take(event)
            self._work_in(self.pinger.wait())
        except Exception as failure:
            for lease in self.leases.values():
                lease.fail(failure)

    def close(self) -> None:
        self._work_in(None)
        for file in self._files:
            self.loop.remove_reader(file)
        self.pinger.close()
        _SHARED.pop((self.loop, self._how), None)


_SHARED: dict[tuple[asyncio.AbstractEventLoop, _How], _Shared] = {}


def _shared(how: _How) -> _Shared:
    import asyncio

    loop = asyncio.get_running_loop()
    for key in [key for key in _SHARED if key[0].is_closed()]:  # with pings that nobody cancelled
        _SHARED.pop(key).pinger.close()
    if (loop, how) not in _SHARED:
        _SHARED[loop, how] = _Shared(how, loop)
    return _SHARED[loop, how]
