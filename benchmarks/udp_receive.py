"""1,400-byte datagrams that wait in a socket are received within 1.15 times the time of a loop in C with recvmmsg, and
faster than by Python's own ways; with GRO 8 times as fast as by recv_into.

Bound, written down first: a recvmmsg of 64 is 64 times what the kernel does for a datagram (0.6 µs: off the queue,
1,400 bytes copied, who sent it, the stamp) and one system call.  Python's recvfrom adds a call, a bytes object and a
tuple; asyncio a turn of the loop.  With GRO up to 64 datagrams come off the queue as one, so copying is what is left.
Bound now: the kernel.  A receive of 64 costs us some 3 µs: headers made ready again, memory that nobody looks at, two
objects; the loop in C is no faster.  So 30 times asyncio's speed is out of reach where that takes 3.6 µs a datagram, as
is 4 times uvloop's where that takes 1.9: the kernel has 0.6 of each.
"""

import operator
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import netfast as nf
from benchmarks import baselines, paths
from benchmarks.measure import Claim, Likeness, Race, Rival, Side, in_milliseconds

SIZE = 1400


class Queue:
    """A socket in which datagrams wait, and the one that fills it."""

    def __init__(self, stack: ExitStack, path: paths.Path, count: int, *, gro: bool) -> None:
        self.count = count
        with path.far():
            self.sock = stack.enter_context(nf.udp_socket((path.host, 0), buffer=count * 8192))
        if gro:
            nf.DatagramBatch(self.sock, gro=True)  # before the first datagram comes
        with path.near():
            sender = stack.enter_context(nf.udp_socket(connect=self.sock.getsockname()))
        self.sender = nf.DatagramBatch(sender)
        self.data = bytes(SIZE) * count

    def fill(self) -> None:
        self.drain()
        assert self.sender.send_segments(self.data, SIZE).sent == self.count

    def drain(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.sock.recv(1 << 16, socket.MSG_DONTWAIT)

    def side(self, work: Callable[[], int]) -> Side:
        """What is found is how many bytes came."""

        def filled() -> int:
            self.fill()
            return work()

        return Side(self.count, work, filled, before=self.fill)

    def nanoseconds(self, work: Callable[[], int]) -> Callable[[], float]:
        """For a datagram."""

        def figure() -> float:
            self.fill()
            return in_milliseconds(work) * 1e6 / self.count

        return figure


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = max(64, round(1_280 * scale) // 64 * 64)
    for path_of in (paths.loopback, paths.veth):
        with ExitStack() as stack:
            path = stack.enter_context(path_of())
            plain, packed = (Queue(stack, path, count, gro=gro) for gro in (False, True))
            work = f"receive {count:,} datagrams of {SIZE:,} bytes that wait, {path.name}"
            yield from received(plain, work)
            yield packed_received(plain, packed, f"{work}, with GRO")


def packed_received(plain: Queue, packed: Queue, work: str) -> Race:
    batch, count = nf.DatagramBatch(packed.sock, gro=True), packed.count
    return Race(
        work=work,
        unit="hosts",
        netfast=packed.side(lambda: drained(batch, count)),
        rivals=[Rival("loop of recv_into", 8, lambda: plain.side(lambda: recv_into(plain.sock, count)), operator.eq)],
    )


def received(queue: Queue, work: str) -> Iterator[Claim]:
    batch, sock, count = nf.DatagramBatch(queue.sock), queue.sock, queue.count
    yield Likeness(
        work=work,
        unit="ns each",
        most=1.15,
        figure=queue.nanoseconds(lambda: drained(batch, count)),
        other_name="C loop of recvmmsg",
        other=queue.nanoseconds(lambda: baselines.c_udp_drain(sock, count)),
    )
    yield Race(
        work=work,
        unit="hosts",
        netfast=queue.side(lambda: drained(batch, count)),
        rivals=[
            Rival("loop of recvfrom", 1.8, lambda: queue.side(lambda: recvfrom(sock, count)), operator.eq),
            Rival("asyncio", 30, lambda: queue.side(baselines.asyncio_drain(sock, count)), operator.eq),
            Rival("uvloop", 4, lambda: queue.side(baselines.uvloop_drain(sock, count)), operator.eq),
        ],
    )


def drained(batch: nf.DatagramBatch, count: int) -> int:
    total = 0
    while count > 0:
        found = batch.recv()
        total += found.bytes_total
        count -= len(found)
    return total


def recvfrom(sock: socket.socket, count: int) -> int:
    total = 0
    for _ in range(count):
        data, _address = sock.recvfrom(2048)
        total += len(data)
    return total


def recv_into(sock: socket.socket, count: int) -> int:
    room = bytearray(2048)
    return sum(sock.recv_into(room) for _ in range(count))
