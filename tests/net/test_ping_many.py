"""ping at size: ten thousand hosts, more probes than there are sequence numbers, many pings at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import netfast as nf
from builds import SANITIZED
from net import lab
from net.responder import Answer

BENCHMARK = "198.18.0.0/16"
MANY = 10_000


@pytest.fixture
def all_alive(alone: lab.Namespace) -> lab.Namespace:
    """A namespace that is itself every host of 198.18.0.0/16 and 2001:db8::/64."""
    alone.ip(f"route add local {BENCHMARK} dev lo", "route add local 2001:db8::/64 dev lo")
    return alone


def addresses(version: int, count: int, first: int = 1) -> list[str]:
    if version == 4:
        return [f"198.18.{number >> 8}.{number & 255}" for number in range(first, first + count)]
    return [f"2001:db8::{number:x}" for number in range(first, first + count)]


@pytest.mark.parametrize("rate", [50_000, float("inf")])
def test_ten_thousand_hosts_are_found(all_alive: lab.Namespace, version: int, privileged: bool, rate: float) -> None:
    hosts = addresses(version, MANY)
    table = nf.ping_many(hosts, rate=rate, timeout=5, privileged=privileged)
    assert table.address.tolist() == hosts
    assert (table.sent == 1).all()
    assert (table.received == 1).all()
    assert (int(table.duplicates.sum()), int(table.late.sum()), table.foreign, table.corrupted) == (0, 0, 0, 0)
    assert table.elapsed < 5


@pytest.mark.parametrize("size", [0, 7])
def test_more_hosts_than_numbers_without_a_cookie(all_alive: lab.Namespace, privileged: bool, size: int) -> None:
    table = nf.ping_many(BENCHMARK, rate=float("inf"), timeout=5, size=size, privileged=privileged)
    assert (len(table), int(table.received.sum())) == (65_534, 65_534)
    assert (int(table.duplicates.sum()), int(table.late.sum()), table.foreign, table.corrupted) == (0, 0, 0, 0)


def test_hosts_that_all_are_loopback_take_no_time(alone: lab.Namespace, privileged: bool) -> None:
    table = nf.ping_many("127.0.0.0/16", count=2, interval=0, timeout=5, privileged=privileged)
    assert (table.received == 2).all()
    assert (int(table.duplicates.sum()), int(table.late.sum()), table.foreign, table.corrupted) == (0, 0, 0, 0)
    assert table.elapsed < 10


def test_both_families_in_one_batch(all_alive: lab.Namespace, privileged: bool) -> None:
    hosts = [host for pair in zip(addresses(4, 1000), addresses(6, 1000), strict=True) for host in pair]
    table = nf.ping_many(hosts, count=3, interval=0, rate=50_000, privileged=privileged)
    assert table.address.tolist() == hosts
    assert (table.received == 3).all()


def test_a_sequence_number_comes_round_twice(all_alive: lab.Namespace, privileged: bool) -> None:
    result = nf.ping("198.18.0.1", count=140_000, interval=0, timeout=5, privileged=privileged)
    assert (result.sent, result.received, result.duplicates, result.reordered) == (140_000, 140_000, 0, 0)
    assert (result.late, result.foreign, result.corrupted, result.dropped) == (0, 0, 0, 0)
    assert not np.isnan(result.rtts).any()


def test_a_batch_comes_round_twice(all_alive: lab.Namespace, privileged: bool) -> None:
    hosts = addresses(4, 7)
    table = nf.ping_many(hosts, count=20_000, interval=0, rate=100_000, timeout=5, privileged=privileged)
    assert table.sent.tolist() == table.received.tolist() == [20_000] * 7
    assert (table.reordered.sum(), table.duplicates.sum(), table.late.sum(), table.foreign) == (0, 0, 0, 0)


@pytest.mark.slow
def test_two_probes_with_one_number_can_be_under_way(far: lab.FarEnd) -> None:
    # Answers come after 1.7 s: by then the sequence has come round, and most numbers stand for two probes.
    far.play(default=[Answer(delay=1.7)])
    table = nf.ping_many(BENCHMARK, count=2, interval=0, rate=50_000, timeout=20)
    assert far.seen() == 2 * 65_534
    assert (table.received == 2).all()
    assert (table.duplicates.sum(), table.late.sum(), table.foreign, table.corrupted) == (0, 0, 0, 0)
    assert table.rtt_min.min() >= 1.7


def test_many_names_are_resolved_once_each(all_alive: lab.Namespace) -> None:
    hosts = ["localhost", "198.18.0.1"] * 2000
    table = nf.ping_many(hosts, family=4, rate=float("inf"))
    assert table.address.tolist() == ["127.0.0.1", "198.18.0.1"] * 2000
    assert table.is_alive.all()


def test_what_a_slow_reader_misses_is_no_loss_to_the_run(all_alive: lab.Namespace, privileged: bool) -> None:
    # Nobody reads while the consumer of the events is busy, but replies are kept meanwhile.
    events = nf.ping_iter(addresses(4, 2000), count=1, rate=float("inf"), timeout=5, privileged=privileged)
    kinds = [next(events).kind]
    for event in events:
        kinds.append(event.kind)
        if len(kinds) % 500 == 0:
            sum(range(1_000_000))
    assert kinds == ["reply"] * 2000


# Pings in eight threads, each its own hosts, and prints who is alive; half of them are not.
EIGHT_THREADS = """
import json, sys, threading
import netfast as nf

first, step, rounds, privileged = (int(word) for word in sys.argv[1:])
found, errors = {}, []

def work(number):
    try:
        start = first + number * step
        hosts = [f"198.18.{n >> 8}.{n & 255}" for n in range(start, start + step)]
        for _ in range(rounds):
            table = nf.ping_many(hosts, rate=10_000, timeout=0.6, privileged=bool(privileged))
            for host, alive, received, duplicates in zip(hosts, table.is_alive, table.received, table.duplicates):
                found.setdefault(host, []).append([bool(alive), int(received), int(duplicates)])
    except BaseException as error:
        errors.append(repr(error))
        raise

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([found, errors]))
"""


def test_pings_at_the_same_time_do_not_mistake_each_others_hosts(
    all_alive: lab.Namespace, tool: Callable[[str], str], privileged: bool
) -> None:
    tool("nft")
    # Odd addresses are dead. A raw socket hears all requests and all replies of everybody here.
    all_alive.nft(
        "table ip t { chain in { type filter hook input priority 0;"
        " icmp type echo-request ip daddr & 0.0.0.1 == 0.0.0.1 drop; } }"
    )
    step, rounds = 400, 2
    processes = [
        all_alive.start(EIGHT_THREADS, first, step, rounds, int(privileged)) for first in (256, 256 + 8 * step)
    ]
    found: dict[str, list[list[int]]] = {}
    for process in processes:
        out, error = process.communicate(timeout=50)
        assert process.returncode == 0, error
        part, errors = json.loads(out)
        assert errors == []
        found |= part
    assert len(found) == 16 * step
    for host, seen in found.items():
        alive = int(host.rpartition(".")[2]) % 2 == 0
        assert (host, seen) == (host, [[alive, int(alive), 0]] * rounds)


def test_another_ping_does_not_disturb(all_alive: lab.Namespace, tool: Callable[[str], str], privileged: bool) -> None:
    # fping's replies reach every raw socket here.
    command = [tool("fping"), "-q", "-C", "60", "-p", "10", "-i", "1", *addresses(4, 100)]
    other = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        table = nf.ping_many(addresses(4, 100), count=50, interval=0.01, rate=float("inf"), privileged=privileged)
    finally:
        other.kill()
        other.wait()
    assert (table.received == 50).all()
    assert (table.duplicates.sum(), table.reordered.sum(), table.late.sum(), table.foreign) == (0, 0, 0, 0)


def test_what_a_socket_heard_before_it_was_ready_stands_in_nobodys_way(
    alone: lab.Namespace, tool: Callable[[str], str], privileged: bool
) -> None:
    # A raw socket hears everybody from its first moment, and its buffer is full when the options take their time.
    slowed = [tool("strace"), "-f", "-qq", "-o", "/dev/null", "-e", "trace=setsockopt"]
    slowed += ["-e", "inject=setsockopt:delay_exit=20000"]
    code = f"import netfast as nf; r = nf.ping('127.0.0.1', count=3, interval=0, privileged={privileged})"
    code += "; print(r.sent, r.received, r.foreign, r.dropped)"
    flood = [tool("ping"), "-f", "-q", "127.0.0.2"]
    floods = [subprocess.Popen(flood, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        out = alone.run(*slowed, sys.executable, "-c", code)
    finally:
        for process in floods:
            process.kill()
            process.wait()
    assert out == "3 3 0 0\n"


def test_a_thousand_calls_leave_no_descriptor(alone: lab.Namespace, privileged: bool) -> None:
    before = lab.descriptors()
    for _ in range(500):
        assert nf.ping("127.0.0.1", count=1, privileged=privileged).received == 1
        assert nf.ping_many(["127.0.0.1", "::1"], privileged=privileged).is_alive.all()
    for _ in range(100):
        next(nf.ping_iter(["127.0.0.1", "::1"], interval=10, privileged=privileged))
    for options in ({"source": "198.18.7.7"}, {"interface": "nosuch0"}):
        for _ in range(50):
            with pytest.raises(OSError, match=next(iter(options.values()))):
                nf.ping("127.0.0.1", count=1, privileged=privileged, **options)  # type: ignore[arg-type]
    assert lab.descriptors() == before


def test_a_thousand_calls_leave_no_memory(alone: lab.Namespace, privileged: bool) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def work() -> None:
        for _ in range(300):
            nf.ping("127.0.0.1", count=1, size=60_000, privileged=privileged)
            nf.ping_many("127.0.0.0/25", privileged=privileged)

    work()
    before = resident()
    work()
    assert resident() - before < 8 << 20 or SANITIZED
