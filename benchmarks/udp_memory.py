"""A receiver that takes all that comes for 60 s, and looks at some of it, has as much memory at the end as after a
tenth of the time.

Bound, written down first: the slabs that a batch keeps, four at most, and those that somebody looks at; all of them
are there after a few receives.
"""

import subprocess
import sys
import time
from collections.abc import Iterator

import netfast as nf
from benchmarks.measure import Ceiling, Claim
from net import lab
from net.datagrams_lab import resident

BLAST = """
import sys
import netfast as nf
batch = nf.DatagramBatch(nf.udp_socket(connect=("127.0.0.1", int(sys.argv[1]))))
data = bytes(1400 * 64)
while True:
    batch.send_segments(data, 1400)
"""


def claims(scale: float = 1.0) -> Iterator[Claim]:
    seconds = 60 * scale
    for gro in (False, True):
        yield Ceiling(
            work=f"memory gained in {seconds:g} s of receiving{', with GRO' if gro else ''}",
            unit="KiB",
            most=256,
            figure=lambda gro=gro: max(0.0, gained(seconds, gro=gro) / 1024),
            rounds=1,
        )


def gained(seconds: float, *, gro: bool) -> int:
    """Bytes."""
    with nf.udp_socket(("127.0.0.1", 0)) as sock:
        batch = nf.DatagramBatch(sock, gro=gro)
        command = [sys.executable, "-c", BLAST, str(sock.getsockname()[1])]
        with subprocess.Popen(command, env=lab.python_environment()) as sender:
            try:
                receive(batch, seconds / 10)
                before = resident()
                receive(batch, seconds)
                return resident() - before
            finally:
                sender.kill()


def receive(batch: nf.DatagramBatch, seconds: float) -> None:
    """What came last is looked at until the next is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = batch.recv()
        held = found[0], found.lengths, found.addresses
        assert len(held[1]) == len(found)
