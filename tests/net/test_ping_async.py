"""aping and aping_iter: the same results, beside other tasks, on one socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest

import netfast as nf
from net import lab

T = TypeVar("T")

NO_NAME = "no-such-host.invalid"

pytestmark = pytest.mark.usefixtures("alone")


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, after which nothing may be left."""
    before = lab.descriptors()
    result = asyncio.run(main)
    assert lab.descriptors() == before
    return result


def readers() -> int:
    """The descriptors that the running loop watches."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    return len(selector.get_map())


class Nothing:
    """Holds the descriptors and readers of a loop against what they were."""

    def __init__(self) -> None:
        self.before = lab.descriptors(), readers(), len(asyncio.all_tasks())

    async def left(self) -> None:
        for _ in range(5):  # what ends with the last call may take its turn of the loop
            await asyncio.sleep(0)
        assert (lab.descriptors(), readers(), len(asyncio.all_tasks())) == self.before


def test_aping_gives_what_ping_gives(version: int, privileged: bool) -> None:
    host = "127.0.0.1" if version == 4 else "::1"
    result = run(nf.aping(host, count=4, interval=0.01, privileged=privileged))
    assert isinstance(result, nf.PingResult)
    assert (result.host, result.address, result.sent, result.received) == (host, host, 4, 4)
    assert (result.duplicates, result.reordered, result.late, result.foreign, result.errors) == (0, 0, 0, 0, [])
    assert result.ttls.tolist() == [64] * 4
    assert not np.isnan(result.rtts).any()
    assert 0.03 <= result.elapsed < 1


def test_a_thousand_at_once(privileged: bool) -> None:
    hosts = [f"127.0.{number >> 8}.{number & 255}" for number in range(1, 1001)]

    async def main() -> list[nf.PingResult]:
        return await asyncio.gather(*(nf.aping(h, count=2, interval=0.1, privileged=privileged) for h in hosts))

    results = run(main())
    assert [result.host for result in results] == hosts
    assert {(result.sent, result.received, result.duplicates, result.foreign) for result in results} == {(2, 2, 0, 0)}


def test_dead_and_alive_are_not_mistaken(alone: lab.Namespace, tool: Callable[[str], str], privileged: bool) -> None:
    tool("nft")
    alone.nft(
        "table ip t { chain in { type filter hook input priority 0;"
        " icmp type echo-request ip daddr & 0.0.0.1 == 0.0.0.1 drop; } }"
    )
    hosts = [f"127.0.0.{number}" for number in range(1, 201)]

    async def main() -> list[nf.PingResult]:
        calls = (nf.aping(h, count=2, interval=0.05, timeout=0.3, privileged=privileged) for h in hosts)
        return await asyncio.gather(*calls)

    assert [result.received for result in run(main())] == [0, 2] * 100


def test_one_host_many_times_at_once(privileged: bool) -> None:
    async def main() -> list[nf.PingResult]:
        calls = (nf.aping("127.0.0.1", count=5, interval=0.02, privileged=privileged) for _ in range(100))
        return await asyncio.gather(*calls)

    results = run(main())
    assert {(r.sent, r.received, r.duplicates, r.reordered, r.foreign) for r in results} == {(5, 5, 0, 0, 0)}


def test_a_socket_is_shared_by_equal_options(privileged: bool) -> None:
    async def more(calls: list[Coroutine[Any, Any, nf.PingResult]]) -> int:
        """How many sockets these calls take while they run."""
        before = lab.sockets()
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0.1)
        during = lab.sockets()
        results = await asyncio.gather(*tasks)
        assert all(result.received == 2 for result in results)
        return during - before

    async def main() -> list[int]:
        def calls(host: str, count: int, **options: Any) -> list[Coroutine[Any, Any, nf.PingResult]]:
            options = {"count": 2, "interval": 0.2, "privileged": privileged, **options}
            return [nf.aping(host, **options) for _ in range(count)]

        nothing = Nothing()
        counts = [
            await more(calls("127.0.0.1", 100)),
            await more(calls("127.0.0.1", 50) + calls("127.0.0.2", 50)),
            await more(calls("127.0.0.1", 50) + calls("::1", 50)),
            await more(calls("127.0.0.1", 5) + calls("127.0.0.1", 5, ttl=9) + calls("127.0.0.1", 5, timeout=1)),
        ]
        await nothing.left()
        return counts

    assert run(main()) == [1, 1, 2, 3]


def test_a_socket_is_shared_with_events(privileged: bool) -> None:
    async def main() -> int:
        before = lab.sockets()
        events = nf.aping_iter("127.0.0.1", count=None, interval=0.05, timeout=2, privileged=privileged)
        await anext(events)
        await nf.aping("127.0.0.1", count=1, timeout=2, privileged=privileged)
        task = asyncio.ensure_future(nf.aping("127.0.0.1", interval=0.1, timeout=2, privileged=privileged))
        await asyncio.sleep(0.05)
        during = lab.sockets() - before
        assert (await task).received == 4
        await events.aclose()
        assert lab.sockets() == before
        return during

    assert run(main()) == 1


def test_other_tasks_go_on(privileged: bool) -> None:
    async def main() -> tuple[int, nf.PingResult]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        result = await nf.aping("127.0.0.1", count=4, interval=0.1, privileged=privileged)
        ticker.cancel()
        return ticks, result

    ticks, result = run(main())
    assert result.received == 4
    assert ticks > 20


def test_events_come_as_they_happen(version: int, privileged: bool) -> None:
    host = "127.0.0.1" if version == 4 else "::1"

    async def main() -> list[nf.PingEvent]:
        return [event async for event in nf.aping_iter(host, count=5, interval=0.02, privileged=privileged)]

    events = run(main())
    assert [(event.kind, event.row, event.index) for event in events] == [("reply", 0, index) for index in range(5)]
    for event in events:
        assert (event.host, event.address, event.source, event.size, event.ttl) == (host, host, host, 64, 64)
        assert event.rtt is not None
        assert 0 < event.rtt < 1


def test_events_of_many_hosts(privileged: bool) -> None:
    async def main() -> list[nf.PingEvent]:
        hosts = ["127.0.0.0/28", "::1", NO_NAME]
        return [event async for event in nf.aping_iter(hosts, count=2, interval=0.01, privileged=privileged)]

    events = run(main())
    expected = [(row, index, "reply") for row in range(15) for index in range(2)] + [(15, -1, "error")]
    assert sorted((event.row, event.index, event.kind) for event in events) == expected


def test_lost_probes_are_told(alone: lab.Namespace, privileged: bool) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1)

    async def main() -> list[str]:
        options = {"count": 3, "interval": 0.01, "timeout": 0.1, "privileged": privileged}
        result = await nf.aping("127.0.0.1", **options)  # type: ignore[arg-type]
        assert (result.sent, result.received) == (3, 0)
        return [event.kind async for event in nf.aping_iter("127.0.0.1", **options)]  # type: ignore[arg-type]

    assert run(main()) == ["timeout"] * 3


@pytest.mark.parametrize("after", [0, 0.05])
def test_cancelling_leaves_nothing(alone: lab.Namespace, privileged: bool, after: float) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1)

    async def main() -> None:
        nothing = Nothing()
        options = {"count": 5, "timeout": 30, "privileged": privileged}
        tasks = [asyncio.ensure_future(nf.aping("127.0.0.1", **options)) for _ in range(50)]  # type: ignore[arg-type]
        await asyncio.sleep(after)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        await nothing.left()

    run(main())


def test_one_cancelled_does_not_disturb_another(alone: lab.Namespace, privileged: bool) -> None:
    async def main() -> nf.PingResult:
        nothing = Nothing()
        first, second = (
            asyncio.ensure_future(nf.aping("127.0.0.1", count=6, interval=0.05, privileged=privileged))
            for _ in range(2)
        )
        await asyncio.sleep(0.12)
        first.cancel()
        result = await second
        assert first.cancelled()
        await nothing.left()
        return result

    result = run(main())
    assert (result.sent, result.received, result.foreign) == (6, 6, 0)


def test_a_time_limit_of_the_caller_is_kept(alone: lab.Namespace, privileged: bool) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1)

    async def main() -> None:
        nothing = Nothing()
        start = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(nf.aping("127.0.0.1", timeout=30, privileged=privileged), 0.2)
        assert time.monotonic() - start < 1
        await nothing.left()

    run(main())


@pytest.mark.parametrize("way", ["close", "cancel"])
def test_events_left_behind_leave_nothing(privileged: bool, way: str) -> None:
    async def main() -> None:
        nothing = Nothing()
        events = nf.aping_iter(["127.0.0.1", "::1"], count=None, interval=0.01, privileged=privileged)
        if way == "close":
            async for event in events:
                if event.index == 3:
                    break
            await events.aclose()
        else:

            async def consume() -> None:
                async for _ in events:
                    pass

            task = asyncio.ensure_future(consume())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await events.aclose()
        await nothing.left()

    run(main())


def test_errors_of_the_call_are_those_of_ping() -> None:
    async def main() -> None:
        nothing = Nothing()
        with pytest.raises(socket.gaierror, match=NO_NAME):
            await nf.aping(NO_NAME)
        with pytest.raises(ValueError, match="count"):
            await nf.aping("127.0.0.1", count=0)
        with pytest.raises(TypeError, match="size"):
            await nf.aping("127.0.0.1", size="56")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timeout"):
            _ = [event async for event in nf.aping_iter("127.0.0.1", timeout=0)]
        with pytest.raises(OSError, match="nosuch0"):
            await nf.aping("127.0.0.1", interface="nosuch0")
        await nothing.left()

    run(main())


def test_errors_of_the_machine_are_heard(alone: lab.Namespace, privileged: bool) -> None:
    alone.ip("route add prohibit 198.18.0.1")

    async def main() -> list[nf.PingResult]:
        hosts = ["198.18.0.1", "127.0.0.1", "198.18.0.2"]
        return await asyncio.gather(*(nf.aping(h, count=2, interval=0.01, privileged=privileged) for h in hosts))

    bad, good, nowhere = run(main())
    assert [error.kind for error in bad.errors] == ["prohibited"] * 2
    assert (good.received, good.errors) == (2, [])
    assert [error.kind for error in nowhere.errors] == ["network_unreachable"] * 2


def test_errors_of_the_way_are_each_tasks_own(hosts: lab.Hosts, privileged: bool) -> None:
    async def main() -> list[nf.PingResult]:
        options = {"count": 3, "interval": 0.02, "privileged": privileged}
        names = ["198.18.2.1", "198.18.2.99", "198.18.1.2"] * 10
        return await asyncio.gather(*(nf.aping(name, **options) for name in names))  # type: ignore[arg-type]

    results = run(main())
    assert [result.received for result in results] == [3, 0, 3] * 10
    # A router need not answer each, but it must have said something of the dead host, and nothing of the others.
    for result in results:
        assert {error.kind for error in result.errors} <= ({"host_unreachable"} if "99" in result.host else set())
    assert any(result.errors for result in results)


def test_loops_of_several_threads_do_not_share(privileged: bool) -> None:
    received: list[int] = []

    async def main() -> int:
        calls = (nf.aping(f"127.0.0.{n}", count=3, interval=0.02, privileged=privileged) for n in range(1, 51))
        return sum(result.received for result in await asyncio.gather(*calls))

    threads = [threading.Thread(target=lambda: received.append(asyncio.run(main()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(lab.LIMIT)
    assert received == [150] * 4


def test_one_loop_after_another(privileged: bool) -> None:
    for _ in range(20):
        assert run(nf.aping("127.0.0.1", count=1, privileged=privileged)).received == 1
