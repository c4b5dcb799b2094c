"""The round-trip time that is reported is the network's: for one host that is otherwise idle within 1.5 times of what
`ping -f` of iputils says, and in the middle of 10,000 others within twice that.

Bound: both take the time before `sendto` and the kernel's stamp of the reply.  What lies between is the kernel's way
out and back, 3 µs on loopback.  A program that takes the time when it gets to read a reply reports its own queue.
Bound now: nothing of ours is in between but two readings of a clock (0.05 µs).  iputils prints whole microseconds.
"""

from collections.abc import Iterator

import numpy as np

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Claim, Likeness
from benchmarks.ping_sweep import local_hosts


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = max(100, round(5_000 * scale))
    hosts = local_hosts(max(100, round(10_000 * scale)))

    def idle() -> float:
        return nf.ping("127.0.0.1", count=count, interval=0).avg * 1e6

    def idle_median() -> float:
        return nf.ping("127.0.0.1", count=count, interval=0).percentile(50) * 1e6

    def sweeping() -> float:
        return float(np.median(nf.ping_many(hosts).rtt_avg)) * 1e6

    yield Likeness(
        work="RTT reported for one idle host",
        unit="µs",
        most=1.5,
        figure=idle,
        other_name="iputils ping -f",
        other=lambda: baselines.iputils_time(count),
    )
    yield Likeness(
        work=f"median RTT reported while {len(hosts):,} hosts are swept",
        unit="µs",
        most=2,
        figure=sweeping,
        other_name="the same idle",
        other=idle_median,
    )
    yield Likeness(
        work=f"median RTT reported while {len(hosts):,} hosts are swept",
        unit="µs",
        most=0.05,
        figure=sweeping,
        other_name="icmplib multiping, a tenth of them",
        other=lambda: baselines.icmplib_median(hosts[: max(100, len(hosts) // 10)]),
    )
