"""A datagram there and back between two processes takes at most 1.15 times what it takes in a loop in C.

Bound, written down first: two sends, two receives and two times that a process wakes, 15 to 25 µs; of ours there is a
call in Python for each half, 1 µs.
Bound now: the kernel's scheduler.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import netfast as nf
from benchmarks import baselines
from benchmarks.measure import Claim, Likeness, in_milliseconds
from net import lab

ECHO = """
import socket
from benchmarks import baselines
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
baselines.c_udp_echo(sock)
"""


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = max(20, round(5_000 * scale))
    with ExitStack() as stack:
        sock = stack.enter_context(nf.udp_socket(connect=("127.0.0.1", echo(stack))))
        batch = nf.DatagramBatch(sock, batch=1)
        yield Likeness(
            work="a datagram of 64 bytes there and back",
            unit="µs",
            most=1.15,
            figure=lambda: in_milliseconds(lambda: there_and_back(batch, count)) * 1e3 / count,
            other_name="the same loop in C",
            other=lambda: in_milliseconds(lambda: baselines.c_udp_ping(sock, count)) * 1e3 / count,
        )


def echo(stack: ExitStack) -> int:
    """The port of a process that sends back what comes."""
    environment = lab.python_environment()
    environment["PYTHONPATH"] += f":{baselines.BUILD.parents[1]}"
    process = stack.enter_context(
        subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True, env=environment)
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def there_and_back(batch: nf.DatagramBatch, count: int) -> None:
    item = [bytes(64)]
    for _ in range(count):
        batch.send(item)
        batch.recv()
