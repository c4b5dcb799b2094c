"""250 hosts that are dead are given up as soon as fping gives them up: within 1.1 times of its time.

Bound: the timeout, one second, and the time to send.  The hosts are in a network namespace of their own, where nobody
answers an echo request.
Bound now: the timeout.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Claim, Likeness, MissingError
from net import lab

T = TypeVar("T")


def claims(scale: float = 1.0) -> Iterator[Claim]:
    if os.geteuid() != 0:
        raise MissingError("root, for network namespaces")
    hosts = [f"198.18.0.{i}" for i in range(1, 251)]
    with lab.namespace() as silent:
        silent.ip("route add local 198.18.0.0/24 dev lo")
        silent.sysctl(ipv4__icmp_echo_ignore_all=1)
        rival = baselines.fping(hosts, "-t", "1000")

        def ours() -> object:
            found = nf.ping_many(hosts, timeout=1.0, rate=float("inf"))
            assert not found.is_alive.any()
            return found

        yield Likeness(
            work=f"give up {len(hosts)} dead hosts, timeout 1 s",
            unit="s",
            most=1.1,
            figure=lambda: silent.call(seconds, ours),
            other_name="fping -i 0 -r 0 -t 1000",
            other=lambda: silent.call(seconds, rival.run),
        )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
