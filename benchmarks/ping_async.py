"""1,000 hosts are pinged from asyncio at least 20 times as fast as by the same program with aioping, and at least 10
times as fast as by aioping at its best.

Bound: what a sweep takes on one CPU (5.5 µs a host), and what asyncio makes of a call: a coroutine, a task and a
future, 10 µs.  aioping opens a raw socket for each host, which hears what all the others get: with 1,000 at a time
their buffers overflow, and most replies are lost; with 5 at a time it takes 115 µs a host.
Bound now: for a call a host, Python: 18 µs to check the options, look at the host and make the result.  For one call
with all hosts, the kernel: three quarters of 7.7 µs.
"""

import asyncio
import operator
from collections.abc import Iterator

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Claim, Race, Rival, Side
from benchmarks.ping_sweep import local_hosts


def claims(scale: float = 1.0) -> Iterator[Claim]:
    hosts = local_hosts(max(50, round(1_000 * scale)))

    async def a_call_each() -> int:
        found = await asyncio.gather(*(nf.aping(host, count=1) for host in hosts))
        return sum(result.is_alive for result in found)

    async def one_call() -> int:
        return sum([event.kind == "reply" async for event in nf.aping_iter(hosts, count=1)])

    yield Race(
        work=f"ping {len(hosts):,} hosts from asyncio, a call each, all at a time",
        unit="hosts",
        netfast=Side(len(hosts), lambda: asyncio.run(a_call_each())),
        # aioping loses replies that netfast gets.
        rivals=[Rival("aioping", 20, lambda: baselines.aioping_all(hosts, len(hosts)), operator.ge)],
    )
    yield Race(
        work=f"ping {len(hosts):,} hosts from asyncio, one call",
        unit="hosts",
        netfast=Side(len(hosts), lambda: asyncio.run(one_call())),
        rivals=[Rival("aioping, 5 at a time", 10, lambda: baselines.aioping_all(hosts, 5), operator.ge)],
    )
