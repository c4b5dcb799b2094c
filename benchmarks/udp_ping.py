"""A datagram there and back between two processes takes at most 1.15 times what it takes in a loop in C.

Bound, written down first: two sends, two receives and two times that a process wakes, 15 to 25 µs; of ours there is a
call in Python for each half, 1 µs.
Bound now: the kernel's scheduler.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import netfast as nf
from benchmarks import baselines, paths
from benchmarks.measure import Claim, Likeness, in_milliseconds
from net import lab

ECHO = """
import socket, sys
from benchmarks import baselines
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 0))
print(sock.getsockname()[1], flush=True)
baselines.c_udp_echo(sock)
"""


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = max(20, round(5_000 * scale))
    for path_of in (paths.loopback, paths.veth):
        with ExitStack() as stack:
            path = stack.enter_context(path_of())
            port = echo(stack, path)
            with path.near():
                sock = stack.enter_context(nf.udp_socket(connect=(path.host, port)))
            yield ping(path, sock, count)


def ping(path: paths.Path, sock: socket.socket, count: int) -> Likeness:
    batch = nf.DatagramBatch(sock, batch=1)
    return Likeness(
        work=f"a datagram of 64 bytes there and back, {path.name}",
        unit="µs",
        most=1.15,
        figure=lambda: in_milliseconds(lambda: there_and_back(batch, count)) * 1e3 / count,
        other_name="the same loop in C",
        other=lambda: in_milliseconds(lambda: baselines.c_udp_ping(sock, count)) * 1e3 / count,
    )


def echo(stack: ExitStack, path: paths.Path) -> int:
    """The port of a process that sends back what comes."""
    environment = lab.python_environment()
    environment["PYTHONPATH"] += f":{baselines.BUILD.parents[1]}"
    with path.far():
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", ECHO, path.host], stdout=subprocess.PIPE, text=True, env=environment
            )
        )
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def there_and_back(batch: nf.DatagramBatch, count: int) -> None:
    item = [bytes(64)]
    for _ in range(count):
        batch.send(item)
        batch.recv()
