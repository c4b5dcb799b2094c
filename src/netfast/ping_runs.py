"""Hosts being pinged: what is under way, and what has happened so far."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .checks import SECONDS_MAX, checked_seconds
from .ping_errors import PingError, ping_error
from .ping_hosts import Hosts, read_hosts
from .ping_options import COUNT_MAX, How, endless_or, how_of, spacing
from .ping_results import PingEvent, PingResult

if TYPE_CHECKING:
    from ._net import Event, Losses, Pinger

# What a host is watched for: bits by kind of event, as in `_net`.
KINDS = ("reply", "duplicate", "late", "timeout", "error", "done", "sent")
DONE = KINDS.index("done")
ERRORS, END, SENT = (1 << KINDS.index(kind) for kind in ("error", "done", "sent"))
ALL = END - 1

_RESOLUTION = 3.0  # seconds that the kernel looks for a neighbour (neigh/default: mcast_solicit of retrans_time_ms)


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
        how, family = how_of(timeout, rate, size, ttl, dont_fragment, tos, source, interface, family, privileged)
        probes = endless_or(count)
        gap = checked_seconds("interval", interval)
        found = read_hosts(hosts, family)
        self._begin(found, how, probes, *spacing(found, gap), ALL | (SENT if sent else 0))

    @classmethod
    def of(cls, hosts: Hosts, how: How, count: int, interval: float, adaptive: bool, *, watched: int) -> Run:
        """The same of what has been read and checked already."""
        run = cls.__new__(cls)
        run._begin(hosts, how, count, interval, adaptive, watched)
        return run

    def _begin(self, hosts: Hosts, how: How, count: int, interval: float, adaptive: bool, watched: int) -> None:
        how = how.paced(hosts)
        self.names, self.addresses, self.rows = hosts.names, hosts.addresses, hosts.rows
        self.pinger = how.pinger()
        self.pinger.add(hosts.packed, hosts.scopes, count, interval, watched, adaptive)
        self.pinger.make_room(*held(len(hosts.rows), count, interval, how))
        self._hosts = hosts
        self._how = how
        self._start = time.perf_counter()
        self._unresolved = unresolved(hosts) if watched & ALL == ALL else []
        self._all_done = False

    def wait(self, seconds: float | None = None) -> list[PingEvent]:
        """What has happened since the last call; where there is nothing yet, waits for it, but not longer than so."""
        if self._unresolved:
            events, self._unresolved = self._unresolved, []
            return events
        self._all_done = self.pinger.run(SECONDS_MAX if seconds is None else seconds)
        return [event_of(self._hosts, event, event[1]) for event in self.pinger.events() if event[0] != DONE]

    def finish(self, stop: bytearray) -> None:
        """Works until all is done, where nobody watches; or until the byte in `stop` is set."""
        while not (self._all_done or stop[0]):
            self._all_done = self.pinger.run(SECONDS_MAX, stop)

    @property
    def done(self) -> bool:
        """Whether nothing more can happen."""
        return self._all_done and not self._unresolved

    @property
    def losses(self) -> Losses:
        """Replies that the kernel dropped, that were corrupted, that answer no probe of this run."""
        return self.pinger.losses()

    @property
    def sent(self) -> int:
        """Probes, to all hosts."""
        return sum(memoryview(self.pinger.results()[0]).cast("I"))

    def result(self, row: int) -> PingResult:
        """What came of a host so far, without what is kept of single probes; ValueError for one without an address."""
        if row in self._hosts.errors:
            raise ValueError(f"{self.names[row]} has no address")
        return result_of(self._hosts, row, self._how, self.pinger, bisect_left(self._hosts.rows, row), self._start)

    def close(self) -> None:
        self.pinger.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def held(hosts: int, count: int, interval: float, how: How) -> tuple[int, int]:
    """How many replies and how many requests the kernel may hold at a time: of those that are waited for, and of those
    to a neighbour that does not answer."""
    replies, requests = (_sent_in(seconds, hosts, count, interval, how) for seconds in (how.timeout, _RESOLUTION))
    return replies, requests


def _sent_in(seconds: float, hosts: int, count: int, interval: float, how: How) -> int:
    """How many probes at most."""
    of_each = math.ceil(seconds / interval) if interval > seconds / COUNT_MAX else COUNT_MAX
    most = hosts * min(count or of_each, of_each)
    paced = (how.rate or math.inf) * seconds
    return min(most, math.ceil(paced) if paced < most else most)


def unresolved(hosts: Hosts) -> list[PingEvent]:
    """Events of the hosts that have no address."""
    now = time.time()
    return [
        PingEvent("error", row, hosts.names[row], None, -1, None, None, None, None, now, error)
        for row, error in hosts.errors.items()
    ]


def result_of(
    hosts: Hosts,
    row: int,
    how: How,
    pinger: Pinger,
    target: int,
    start: float,
    kept: tuple[bytearray, bytearray] | None = None,
    errors: Sequence[PingError] = (),
) -> PingResult:
    """What came of a host; kept: the RTTs and TTLs of its probes.

    What is counted for a whole run is a host's own where there is no other.
    """
    address = hosts.addresses[row]
    assert address is not None
    rtts, ttls = kept or (bytearray(), bytearray())
    elapsed = time.perf_counter() - start
    counted = pinger.result(target)
    losses = pinger.losses() if len(hosts.rows) == 1 else (0, 0, 0)
    return PingResult(hosts.names[row], address, how.size, counted, rtts, ttls, errors, elapsed, losses)


def event_of(hosts: Hosts, event: Event, place: int) -> PingEvent:
    """An event of the border in the face's words; place: of the target among those of the hosts."""
    kind, _, index, source, rtt, ttl, size, when, fields = event
    row = hosts.rows[place]
    name, address = hosts.names[row], hosts.addresses[row]
    if size:
        return PingEvent(KINDS[kind], row, name, address, index, source or address, rtt, ttl, size, when, None)
    error = None if fields is None else ping_error(fields)
    return PingEvent(KINDS[kind], row, name, address, index, error and error.source, None, None, None, when, error)
