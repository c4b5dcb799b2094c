"""20,000 TCP sockets are listed 1.5 times as fast as by `ss -tan` and 10 times as fast as by psutil; with their owners
twice as fast as by `ss -tanp` and 3.5 times as fast as by psutil.  What listens beside them is listed 10 times as fast
as by `ss -tln`, in less than a millisecond.

Bound, written down first: the kernel writes 124 bytes a socket in 0.75 µs, 15 ms for all; ss prints what it reads.  For
owners there are a listing and a readlink for each descriptor of every process, 0.6 + 2 µs: 52 ms for 20,000, half of it
where two CPUs share the processes.  Sockets that listen are in a table of their own: a dump of those is some 20 µs.
Bound now: the kernel, with 85 % of the list, of which our rows, columns and texts of addresses are the rest, and with
95 % of the owners.
"""

import operator
import os
from collections.abc import Iterator
from contextlib import ExitStack
from subprocess import Popen

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Ceiling, Claim, MissingError, Race, Rival, Side, in_milliseconds
from net import lab

# A process may not have 20,000 descriptors everywhere, so two share them.
HOLDER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0), backlog=1000)
held = []
for _ in range(int(sys.argv[1])):
    held.append(socket.create_connection(server.getsockname()))
    held.append(server.accept()[0])
print("holds", flush=True)
sys.stdin.read()
"""


def claims(scale: float = 1.0) -> Iterator[Claim]:
    if os.geteuid() != 0:
        raise MissingError("root, for network namespaces")
    count = round(20_000 * scale) // 4 * 4
    with lab.namespace() as host, ExitStack() as stack:
        for _ in range(2):
            hold(stack, host, count // 4)
        with host.inside():
            yield Race(
                work=f"list {count:,} TCP sockets",
                unit="sockets",
                netfast=Side(count, columns, lambda: len(columns())),
                rivals=[
                    Rival("ss -tan", 1.5, lambda: baselines.ss(count, "-tan"), operator.eq),
                    Rival("psutil", 10, lambda: baselines.psutil_sockets(count), operator.eq),
                ],
            )
            yield Race(
                work=f"list {count:,} TCP sockets with their owners",
                unit="sockets",
                netfast=Side(count, lambda: columns(owners=True), owned),
                rivals=[
                    Rival("ss -tanp", 2, lambda: baselines.ss(count, "-tan", "-p"), operator.eq),
                    Rival("psutil", 3.5, lambda: baselines.psutil_sockets(count, owners=True), operator.eq),
                ],
            )
            yield Race(
                work=f"list what listens beside {count:,} connections",
                unit="calls",
                netfast=Side(1, nf.listening, lambda: len(nf.listening())),
                rivals=[Rival("ss -tln", 10, lambda: baselines.ss(1, "-tln"), operator.eq)],
            )
            yield Ceiling(
                work=f"list what listens beside {count:,} connections",
                unit="µs",
                most=1000,
                figure=lambda: in_milliseconds(nf.listening) * 1e3,
            )


def hold(stack: ExitStack, host: lab.Namespace, connections: int) -> Popen[str]:
    """A process that holds both ends of so many connections, and a listener, until the stack is left."""
    process = stack.enter_context(host.start(HOLDER, connections))
    stack.callback(process.kill)
    assert process.stdout is not None
    if process.stdout.readline() != "holds\n":
        raise MissingError("a process that may have 10,000 descriptors (ulimit -n)")
    return process


def columns(*, owners: bool = False) -> nf.ConnectionTable:
    """The table with every column made, which happens when it is asked for."""
    table = nf.connections("tcp", owners=owners)
    for name in nf.Connection._fields:
        getattr(table, name)
    return table


def owned() -> int:
    return sum(bool(row.processes) for row in columns(owners=True))
