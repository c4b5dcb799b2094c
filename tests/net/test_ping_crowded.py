"""Ping where much happens at a time: storms of errors and of copies, slow readers, names, forgotten loops."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import resource
import socket
import subprocess
import sys
import threading
import time

import pytest

import netfast as nf
from net import lab, responder
from net.responder import Answer, Error
from netfast import ping_hosts, ping_loops, ping_runs


def test_a_storm_of_errors_costs_no_live_host(far: lab.FarEnd, privileged: bool) -> None:
    # Each error fails a send through a datagram socket, which is not the fault of the host that was sent to.
    hosts = [f"198.18.{i >> 8}.{i & 255}" for i in range(16_000)]
    live = set(hosts[::2])
    far.play({host: [responder.PLAIN] for host in live}, default=(Error(3, 1),))
    table = nf.ping_many(hosts, rate=60_000, timeout=3, privileged=privileged, threads=1)
    assert [row.host for row in table if row.is_alive != (row.host in live)] == []
    assert {row.error.kind for row in table if row.error} == {"host_unreachable"}
    assert all(row.error is None or row.error.source for row in table)


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_of_replies_send_no_more_probes(far: lab.FarEnd, copies: int) -> None:
    far.play(default=(Answer(delay=0.005),) * copies)
    start = time.monotonic()
    result = nf.ping("198.18.5.5", count=60, interval=0)
    assert time.monotonic() - start > 60 * 0.005
    assert (result.received, result.sent) == (60, 60)


def test_a_busy_event_loop_loses_no_replies(far: lab.FarEnd) -> None:
    far.play(default=(Answer(delay=0.1),))

    async def busy() -> int:
        hosts = (f"198.18.{i // 250}.{1 + i % 250}" for i in range(1500))
        tasks = [asyncio.create_task(nf.aping(host, count=1, timeout=5)) for host in hosts]
        await asyncio.sleep(0.08)
        time.sleep(0.4)  # replies come meanwhile, more than a socket holds by itself
        results = await asyncio.gather(*tasks)
        return sum(result.received for result in results)

    assert asyncio.run(busy()) == 1500


def test_one_lost_probe_keeps_no_other_waiting(far: lab.FarEnd) -> None:
    # More probes follow it than there are sequences.
    far.play({"198.18.7.7": [responder.LOST]})

    async def crowded() -> tuple[float, int]:
        lost = asyncio.create_task(nf.aping("198.18.7.7", count=1, timeout=8))
        flood = nf.aping_iter("127.0.0.1", count=None, interval=0, timeout=8, rate=math.inf)
        seen, longest, last = 0, 0.0, time.monotonic()
        async for _ in flood:
            now = time.monotonic()
            seen, longest, last = seen + 1, max(longest, now - last), now
            if seen == 70_000:
                break
        await flood.aclose()
        lost.cancel()
        return longest, seen

    longest, seen = asyncio.run(crowded())
    assert seen == 70_000
    assert longest < 1


def test_a_closed_loop_is_forgotten(alone: lab.Namespace) -> None:
    def abandon() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(nf.aping("127.0.0.1", count=1000))
        loop.run_until_complete(asyncio.sleep(0.02))
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # the warning is asyncio's to give

    for _ in range(3):
        abandon()
    gc.collect()
    assert asyncio.run(nf.aping("127.0.0.1", count=1)).is_alive
    assert ping_loops._SHARED == {}


def test_a_slow_name_holds_up_no_loop_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*_: object) -> None:
        release.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def impatient() -> None:
        await asyncio.wait_for(nf.aping("slow.invalid"), 0.1)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    start = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(impatient())
    assert time.monotonic() - start < 2
    release.set()
    with pytest.raises(socket.gaierror) as caught:
        nf.ping("slow.invalid")
    assert caught.value.errno == socket.EAI_AGAIN


def test_names_of_many_calls_share_some_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    def slow(*_: object) -> None:
        nonlocal most
        most = max(most, threading.active_count())
        time.sleep(0.002)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def many() -> list[BaseException]:
        calls = (nf.aping(f"host{i}.invalid") for i in range(300))
        return await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[return-value]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = threading.active_count()
    assert {type(found) for found in asyncio.run(many())} == {socket.gaierror}
    assert most <= before + 32


def test_a_name_without_a_thread_to_ask_in_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ping_hosts, "_resolvers", ping_hosts._Resolvers())  # without threads that there are already
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start"):
        nf.ping("some.invalid")
    with pytest.raises(RuntimeError, match="can't start"):
        asyncio.run(nf.aping("some.invalid"))


def test_a_resolver_that_fails_in_its_own_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise LookupError("no such table")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    with pytest.raises(socket.gaierror, match="LookupError: no such table"):
        asyncio.run(nf.aping("some.invalid"))


def test_a_resolver_without_descriptors_costs_its_names_only(
    alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    table = nf.ping_many(["some.invalid", "127.0.0.1"])
    assert (table.is_alive.tolist(), str(table.error[0])) == ([False, True], "Too many open files")


def test_a_narrow_link_takes_small_probes_in_fragments(network: None) -> None:
    with lab.namespace() as near, lab.namespace() as other:
        card, other_card = lab.cable(near, other, mtu=200)
        near.ip(f"addr add 198.18.0.1/16 dev {card}")
        other.ip(f"addr add 198.18.9.9/16 dev {other_card}")
        with near.inside():
            for size in (172, 180, 250, 300):
                assert nf.ping("198.18.9.9", count=2, interval=0, size=size).received == 2
            result = nf.ping("198.18.9.9", count=2, interval=0, size=180, dont_fragment=True)
            assert [(error.kind, error.mtu) for error in result.errors] == [("message_too_big", 200)] * 2


def test_a_narrow_path_takes_small_probes_after_the_first(hosts: lab.Hosts) -> None:
    # The kernel believes in no path below 552 bytes, so it has to be told not to set DF.
    for end, own in ((hosts.r, "198.18.2.2"), (hosts.b, "198.18.2.1")):
        (card,) = filter(None, json.loads(end.run("ip", "-j", "address", "show", "to", own)))
        end.ip(f"link set {card['ifname']} mtu 200")
    assert nf.ping("198.18.2.1", count=4, interval=0, size=240, timeout=1).received == 3


@pytest.mark.parametrize(
    ("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::ffff:127.0.0.7", "127.0.0.7")]
)
def test_the_address_is_the_one_that_is_asked(alone: lab.Namespace, host: str, asked: str) -> None:
    assert nf.ping(host, count=1).address == asked
    table = nf.ping_many([host, "127.0.0.1"])
    assert (table.host.tolist(), table.address.tolist()) == ([host, "127.0.0.1"], [asked, "127.0.0.1"])
    (event,) = nf.ping_iter(host, count=1)
    assert (event.host, event.address, event.source) == (host, asked, asked)


def test_room_is_given_back_once(alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crowded() -> None:
        stays = asyncio.create_task(nf.aping("127.0.0.1", count=100))
        await asyncio.sleep(0.01)
        (shared,) = ping_loops._SHARED.values()
        held = shared._held
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))  # no socket of IPv6 can be had
        try:
            for _ in range(3):
                with pytest.raises(OSError, match="Too many open files"):
                    await nf.aping("::1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert shared._held == held
        stays.cancel()

    asyncio.run(crowded())


def test_rounds_follow_each_other(alone: lab.Namespace) -> None:
    with ping_runs.Run(["127.0.0.1", "127.0.0.2", "127.0.0.3"], count=4, interval=0, rate=2000, sent=True) as run:
        events = []
        while not run.done:
            events += run.wait()
    assert [event.row for event in events if event.kind == "sent"] == [0, 1, 2] * 4


def test_many_probes_need_no_memory_before_they_are_sent(alone: lab.Namespace) -> None:
    code = """
import pathlib, signal, netfast as nf
signal.setitimer(signal.ITIMER_REAL, 0.3)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    nf.ping("127.0.0.1", count=400_000_000, interval=1)
except KeyboardInterrupt:
    print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert int(done.stdout) < 1_000_000  # KiB, of which sanitizers take some; the results of all would be 3.6 GB


@pytest.mark.parametrize("host", ["fe80::1%99999999999", "::ffff:127.0.0.1"])
def test_what_cannot_be_pinged_over_ip6_is_said(alone: lab.Namespace, host: str) -> None:
    with pytest.raises(socket.gaierror, match=r"no interface|mapped"):
        nf.ping(host, family=6)
    assert nf.ping_many([host, "::1"], family=6).is_alive.tolist() == [False, True]
