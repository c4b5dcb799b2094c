"""Ping: one host precisely, a hundred thousand quickly.

Probes and replies are handled by a loop in C that holds no lock (`nf_pinger.c`); this module says whom to ask and what
the answers mean.  A round-trip time is what the kernel measured: from just before the probe was handed to it to its
stamp on the reply, however long that waits to be read.

A reply counts if it names one of this ping's probes by id, sequence and a 64-bit cookie that only this ping can have
made, and comes from the host that was asked.  Linux; a datagram ICMP socket needs no privilege where
`net.ipv4.ping_group_range` allows it, a raw one needs CAP_NET_RAW (icmp(7), raw(7)).
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from typing import Any

from .checks import checked_int, checked_seconds
from .ping_errors import PingError, ping_error
from .ping_hosts import Hosts, aread_hosts, raise_unresolvable, read_hosts
from .ping_loops import Lease
from .ping_options import COUNT_MAX, How, endless_or, how_of, spacing
from .ping_results import PingEvent, PingResult, PingTable
from .ping_runs import ALL, ERRORS, Run, result_of, unresolved
from .threads import in_ranges, thread_count

__all__ = ["aping", "aping_iter", "ping", "ping_iter", "ping_many"]

_PROBES_PER_THREAD = 2_000  # one thread has sent so many before another has opened its socket


# --- one host, many, and what happens --------------------------------------------------------------------------------


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
    how, family = how_of(timeout, None, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = checked_int("count", count, 1, COUNT_MAX)
    gap = checked_seconds("interval", interval)
    hosts = read_hosts(_one(host), family)
    raise_unresolvable(hosts)
    errors: list[PingError] = []
    start = time.perf_counter()
    # Pace is the interval's: one host gets no more than was asked for.
    run = Run.of(hosts, how._replace(rate=math.inf), probes, *spacing(hosts, gap), watched=ERRORS)
    with run:
        kept = run.pinger.keep(0, probes)
        while not run.done:
            errors += [event.error for event in run.wait() if event.error]
        return result_of(hosts, 0, how, run.pinger, 0, start, kept, errors)


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
    how, family = how_of(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = checked_int("count", count, 1, COUNT_MAX)
    gap = checked_seconds("interval", interval)
    if threads is not None:
        threads = checked_int("threads", threads, 1, 1000)
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


def _shares(hosts: Hosts, how: How, count: int, threads: int | None) -> list[tuple[Hosts, How]]:
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
    how, family = how_of(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = endless_or(count)
    gap = checked_seconds("interval", interval)
    found = read_hosts(hosts, family)
    return _yielded(Run.of(found, how, probes, *spacing(found, gap), watched=ALL))


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
    how, family = how_of(timeout, math.inf, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    probes = checked_int("count", count, 1, COUNT_MAX)
    gap = checked_seconds("interval", interval)
    hosts = await aread_hosts(_one(host), family)
    raise_unresolvable(hosts)
    errors: list[PingError] = []
    start = time.perf_counter()
    with Lease(how, hosts) as lease:
        (target,) = lease.add(probes, *spacing(hosts, gap), watched=ERRORS)
        kept = lease.pinger.keep(target, probes)
        while not lease.done:
            errors += [event.error for event in await lease.wait() if event.error]
        return result_of(hosts, 0, how, lease.pinger, target, start, kept, errors)


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
    how, family = how_of(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
    return _ayielded(hosts, family, how, endless_or(count), checked_seconds("interval", interval))


async def _ayielded(
    hosts: Any, family: int | None, how: How, count: int, interval: float
) -> AsyncGenerator[PingEvent, None]:
    found = await aread_hosts(hosts, family)
    for event in unresolved(found):
        yield event
    with Lease(how.paced(found), found) as lease:
        lease.add(count, *spacing(found, interval), watched=ALL)
        while not lease.done:
            for event in await lease.wait():
                yield event
