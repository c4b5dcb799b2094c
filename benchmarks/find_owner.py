"""The owner of a port is found 5 times as fast as by lsof, beside two processes with 10,000 sockets each.

Bound, written down first: the kernel picks the sockets of that port itself; then a readlink for each descriptor of
every process, for any of them may hold one, but no more of a process that was seen to hold one: half of 20,000, 2.6 µs
each.  lsof reads /proc/net and makes six system calls a descriptor.
Bound now: the kernel, with 95 %: 27 ms for the 10,000 descriptors of the other process, which one thread goes through,
and 5 ms to look for the port among the sockets.
"""

import operator
import os
from collections.abc import Iterator
from contextlib import ExitStack

import netfast as nf
from benchmarks import baselines
from benchmarks.list_sockets import hold
from benchmarks.measure import Claim, MissingError, Race, Rival, Side
from net import lab


def claims(scale: float = 1.0) -> Iterator[Claim]:
    if os.geteuid() != 0:
        raise MissingError("root, for network namespaces")
    connections = round(5_000 * scale)
    with lab.namespace() as host, ExitStack() as stack:
        hold(stack, host, connections)
        process = hold(stack, host, connections)
        with host.inside():
            port = next(row.local_port for row in nf.listening(owners=True) if row.processes[0].pid == process.pid)

            def owners() -> list[int]:
                return [owner.pid for owner in nf.port_owner(port)]

            yield Race(
                work=f"find the owner of a port beside {4 * connections:,} sockets",
                unit="calls",
                netfast=Side(1, owners),
                rivals=[Rival("lsof -nP -iTCP:N", 5, lambda: baselines.lsof(port), operator.eq)],
            )
