"""250 hosts that are dead are given up as soon as fping gives them up: within 1.1 times of its time.

Bound: the timeout, one second, and the time to send.  The hosts are in a network namespace of their own, where nobody
answers an echo request.
Bound now: the timeout.
"""

import os
import time
from collections.abc import Callable, Iterator

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Claim, Likeness, MissingError
from net import lab

HOSTS = [f"198.18.0.{i}" for i in range(1, 251)]


def claims(scale: float = 1.0) -> Iterator[Claim]:
    if os.geteuid() != 0:
        raise MissingError("root, for network namespaces")
    yield Likeness(
        work=f"give up {len(HOSTS)} dead hosts, timeout 1 s",
        unit="s",
        most=1.1,
        figure=lambda: seconds(ours),
        other_name="fping -i 0 -r 0 -t 1000",
        other=lambda: seconds(baselines.fping(HOSTS, "-t", "1000").run),
    )


def ours() -> None:
    assert not nf.ping_many(HOSTS, timeout=1.0, rate=float("inf")).is_alive.any()


def seconds(work: Callable[[], object]) -> float:
    """How long it takes where nobody answers."""

    def measured() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    with lab.namespace() as silent:
        silent.ip("route add local 198.18.0.0/24 dev lo")
        silent.sysctl(ipv4__icmp_echo_ignore_all=1)
        return silent.call(measured)
