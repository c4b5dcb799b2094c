"""Pings of one event loop: the hosts of each call, on sockets that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ping_hosts import Hosts
from .ping_options import How
from .ping_results import PingEvent
from .ping_runs import DONE, END, event_of, held

if TYPE_CHECKING:
    import asyncio

    from ._net import Event


class Lease:
    """The hosts of one call on the sockets of its event loop; a context that gives them back."""

    def __init__(self, how: How, hosts: Hosts) -> None:
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
        for place in range(len(self._hosts.rows)):
            packed = self._hosts.packed[16 * place : 16 * place + 16]
            scope = self._hosts.scopes.get(place)
            target = self.pinger.add(packed, {0: scope} if scope else None, count, interval, watched | END, adaptive)
            self._places[target] = place
            self._left += 1
            self._shared.leases[target] = self
        self._held = held(len(self._hosts.rows), count, interval, self._how)
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
        if event[0] == DONE:
            self._left -= 1
        else:
            self._events.append(event_of(self._hosts, event, self._places[event[1]]))
        self._wake()

    def fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __enter__(self) -> Lease:
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

    def __init__(self, how: How, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pinger = how.pinger()
        self.leases: dict[int, Lease] = {}  # by target
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


_SHARED: dict[tuple[asyncio.AbstractEventLoop, How], _Shared] = {}


def _shared(how: How) -> _Shared:
    import asyncio

    loop = asyncio.get_running_loop()
    for key in [key for key in _SHARED if key[0].is_closed()]:  # with pings that nobody cancelled
        _SHARED.pop(key).pinger.close()
    if (loop, how) not in _SHARED:
        _SHARED[loop, how] = _Shared(how, loop)
    return _SHARED[loop, how]
