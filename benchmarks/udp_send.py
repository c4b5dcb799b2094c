"""Equal 1,400-byte datagrams are sent 15 times as fast as by a loop of sock.send, to a receiver with UDP_GRO in another
process; to many addresses, where nothing can be put together, 1.2 times as fast as by a loop of sock.sendto.

Bound, written down first: a send is a system call and a walk through the kernel, 1.5 µs on loopback.  In one piece
(GSO) 64 datagrams walk it once; what is left is copying 90 KB.  To many addresses each has its own walk, and sendmmsg
spares the system call, 0.1 to 0.2 µs, and Python its objects.
Bound now: the kernel.  Of a datagram to an address of its own we need 0.03 µs, sendmmsg 2.8 µs without a receiver that
is woken, and a call of sendto 2.9 µs and 0.3 µs in Python: where the walk takes so long, 1.15 times is all there is.
On loopback and veth a piece is taken apart by the receiver, or not at all where that has GRO.
"""

import operator
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import netfast as nf
from benchmarks import paths
from benchmarks.measure import Claim, Race, Rival, Side
from net import lab

SIZE = 1400
SINK = """
import netfast as nf
sock = nf.udp_socket(("0.0.0.0", 0), buffer=1 << 24)
batch = nf.DatagramBatch(sock, gro=True)
print(sock.getsockname()[1], flush=True)
while True:
    batch.recv()
"""


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = max(128, round(20_000 * scale))
    items = [bytes(SIZE)] * count
    for path_of in (paths.loopback, paths.veth):
        with ExitStack() as stack:
            path = stack.enter_context(path_of())
            port = sink(stack, path)
            with path.near():
                sock = stack.enter_context(nf.udp_socket(connect=(path.host, port)))
                loose = stack.enter_context(nf.udp_socket(family="inet"))
            yield to_one(path, sock, items)
            addresses = [(f"{path.hosts}.{i >> 8 & 255}.{1 + (i & 127)}", port) for i in range(count)]
            yield to_many(path, loose, items, addresses)


def to_one(path: paths.Path, sock: socket.socket, items: list[bytes]) -> Race:
    count, batch = len(items), nf.DatagramBatch(sock)
    return Race(
        work=f"send {count:,} datagrams of {SIZE:,} bytes to one address, {path.name}",
        unit="hosts",
        netfast=Side(count, lambda: batch.send(items).sent),
        rivals=[Rival("loop of sock.send", 15, lambda: Side(count, lambda: sent(sock, items)), operator.eq)],
    )


def to_many(path: paths.Path, sock: socket.socket, items: list[bytes], addresses: list[tuple[str, int]]) -> Race:
    count, batch = len(items), nf.DatagramBatch(sock)
    return Race(
        work=f"send {count:,} datagrams of {SIZE:,} bytes to as many addresses, {path.name}",
        unit="hosts",
        netfast=Side(count, lambda: batch.send(items, addresses).sent),
        rivals=[
            Rival("loop of sock.sendto", 1.2, lambda: Side(count, lambda: sent_to(sock, items, addresses)), operator.eq)
        ],
    )


def sink(stack: ExitStack, path: paths.Path) -> int:
    """The port of a process that takes all that comes, on every address."""
    command = [sys.executable, "-c", SINK]
    with path.far():
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=lab.python_environment())
        )
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def sent(sock: socket.socket, items: list[bytes]) -> int:
    for item in items:
        sock.send(item)
    return len(items)


def sent_to(sock: socket.socket, items: list[bytes], addresses: list[tuple[str, int]]) -> int:
    for item, address in zip(items, addresses, strict=True):
        sock.sendto(item, address)
    return len(items)
