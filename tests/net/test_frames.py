"""FrameStream over TCP and Unix sockets: waits, ends, limits, and what it asks of the kernel."""

from __future__ import annotations

import array
import errno
import gc
import itertools
import os
import random
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
import reference
from builds import SANITIZED
from net import lab, streams_lab
from net.streams_lab import (
    LINES,
    PREFIX,
    Pair,
    Rule,
    beside,
    connected,
    deliver,
    drain,
    fill,
    limits,
    some_frames,
    until,
    waiting,
    wire,
)


def receive(stream: nf.FrameStream, count: int, most: int = 1024) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < count:
        some = stream.recv(most)
        assert some
        frames += some
    return frames


def unchanged(sock: socket.socket, timeout: float | None) -> None:
    """Open, and set as it was."""
    assert sock.fileno() >= 0
    assert sock.gettimeout() == timeout
    assert os.get_blocking(sock.fileno()) == (timeout is None)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_frames_go_there_and_back(pair: Pair, rule: Rule, timeout: float | None) -> None:
    pair.near.settimeout(timeout)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)
    assert near.send([b"hello", b"", b"world"]) == 3
    assert receive(far, 3) == [b"hello", b"", b"world"]
    assert far.send(iter([b"back"])) == 1
    assert near.recv() == [b"back"]
    assert near.send([]) == 0
    assert near.buffered == far.buffered == b""
    unchanged(pair.near, timeout)


@pytest.mark.parametrize("prefix", [">B", ">H", ">I", ">Q", "<H", "<I", "<Q", "!B", "!H", "!I", "!Q"])
def test_every_prefix(sockets: Pair, prefix: str) -> None:
    frames = [b"", b"a", b"b" * 255]
    stream = nf.FrameStream(sockets.near, prefix=prefix)
    sockets.far.sendall(wire(frames, {"prefix": prefix}))
    assert receive(stream, 3) == frames
    stream.send(frames)
    assert nf.recv_exactly(sockets.far, waiting(sockets.far)) == wire(frames, {"prefix": prefix})


@pytest.mark.parametrize("size", [0, 1, 64, 255, 256, 4095, 4096, 65535, 65536, 1 << 20, 16 << 20])
def test_every_size(pair: Pair, rule: Rule, size: int) -> None:
    frame = bytes(size)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)
    received: list[bytes] = []
    with beside(lambda: received.extend(receive(far, 3))):
        assert near.send([b"before", frame, b"behind"]) == 3
    assert received == [b"before", frame, b"behind"]


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_frames_through_a_narrow_way(tiny: Pair, rule: Rule, timeout: float | None) -> None:
    # What the kernel takes and gives ends anywhere: within prefixes, frames and delimiters.
    frames = [*some_frames(2000), b"x" * 300_000, *some_frames(500, 5000)]
    tiny.near.settimeout(timeout)
    near, far = nf.FrameStream(tiny.near, **rule), nf.FrameStream(tiny.far, **rule)
    received: list[bytes] = []
    with beside(lambda: received.extend(receive(far, len(frames)))):
        assert near.send(frames) == len(frames)
    assert received == frames
    unchanged(tiny.near, timeout)


def test_a_non_blocking_socket_with_a_timeout_waits(tiny: Pair, rule: Rule) -> None:
    frames = some_frames(3000)
    tiny.near.setblocking(False)
    tiny.far.setblocking(False)
    near, far = nf.FrameStream(tiny.near, **rule), nf.FrameStream(tiny.far, **rule)
    received: list[bytes] = []

    def read() -> None:
        while len(received) < len(frames):
            received.extend(far.recv(timeout=20))

    with beside(read):
        assert near.send(frames, timeout=20) == len(frames)
    assert received == frames
    unchanged(tiny.near, 0.0)
    unchanged(tiny.far, 0.0)


def test_a_byte_at_a_time(sockets: Pair, rule: Rule) -> None:
    frames = [b"one", b"", b"three"]
    stream = nf.FrameStream(sockets.near, **rule)
    received: list[bytes] = []
    for byte in wire(frames, rule):
        sockets.far.send(bytes([byte]))
        try:
            received += stream.recv(timeout=0)
        except TimeoutError:
            continue
    assert received == frames


def test_no_more_frames_than_asked_for(pair: Pair, rule: Rule) -> None:
    frames = some_frames(100)
    deliver(pair, wire(frames, rule))
    stream = nf.FrameStream(pair.near, **rule)
    received = [stream.recv(1), stream.recv(max=7), stream.recv(92)]
    assert [len(some) for some in received] == [1, 7, 92]
    assert [*received[0], *received[1], *received[2]] == frames


def test_a_thousand_frames_unless_more_are_asked_for(sockets: Pair) -> None:
    deliver(sockets, bytes(5000))
    stream = nf.FrameStream(sockets.near, prefix=">B")
    assert stream.recv() == [b""] * 1024
    assert len(stream.recv(5000)) > 1024


def test_frames_that_are_there_need_no_wait(pair: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(pair.near, **rule)
    deliver(pair, wire([b"a", b"b", b"c"], rule))
    assert stream.recv(1, timeout=0) == [b"a"]
    pair.near.setblocking(False)
    assert stream.recv(1) == [b"b"]
    assert stream.recv(timeout=None) == [b"c"]


def test_what_is_no_frame_yet_can_be_read(pair: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(pair.near, **rule)
    assert stream.buffered == b""
    whole = wire([b"one", b"twenty"], rule)
    deliver(pair, whole[:-3])
    assert stream.recv() == [b"one"]
    with pytest.raises(TimeoutError):
        stream.recv(timeout=0)
    rest = wire([b"twenty"], rule)[:-3]
    assert stream.buffered == rest
    assert type(stream.buffered) is bytes
    assert stream.buffered == rest  # reading it takes nothing
    with pytest.raises(AttributeError):
        stream.buffered = b""  # type: ignore[misc]
    deliver(pair, whole[-3:])
    assert stream.recv() == [b"twenty"]
    assert stream.buffered == b""


def test_iteration(pair: Pair, rule: Rule) -> None:
    frames = some_frames(3000, 20)
    stream = nf.FrameStream(pair.near, **rule)
    assert iter(iter(stream)) is not None

    def send() -> None:
        nf.FrameStream(pair.far, **rule).send(frames)
        pair.far.shutdown(socket.SHUT_WR)

    with beside(send):
        assert list(stream) == frames
    assert list(stream) == []


def test_iteration_that_stops_loses_nothing(sockets: Pair, rule: Rule) -> None:
    frames = some_frames(50)
    sockets.far.sendall(wire(frames, rule))
    stream = nf.FrameStream(sockets.near, **rule)
    received = []
    for frame in stream:
        received.append(frame)
        if len(received) == 10:
            break
    sockets.far.close()
    received += stream.recv(5)
    received += stream
    assert received == frames


class Counting(socket.socket):
    asked = 0

    def fileno(self) -> int:
        self.asked += 1
        return super().fileno()


def test_iteration_asks_the_socket_for_what_has_not_been_read_only(sockets: Pair, rule: Rule) -> None:
    frames = some_frames(2000, 20)
    sockets.far.sendall(wire(frames, rule))
    sockets.far.shutdown(socket.SHUT_WR)
    with Counting(fileno=sockets.near.detach()) as sock:
        stream = nf.FrameStream(sock, **rule)
        sock.asked = 0
        assert list(stream) == frames
        assert sock.asked < 100


def test_iteration_leaves_what_it_has_not_come_to(sockets: Pair, rule: Rule) -> None:
    """Two iterators and receives by turns: each frame comes once and in order, and `buffered` has the rest."""
    frames = some_frames(3000, 30)
    data, at = wire(frames, rule), 0
    chance = random.Random(3)
    sockets.near.setblocking(False)
    stream = nf.FrameStream(sockets.near, **rule)
    iterators = [iter(stream), iter(stream)]
    received: list[bytes] = []
    takes: list[Callable[[], object]] = [
        lambda: received.append(next(iterators[0])),
        lambda: received.append(next(iterators[1])),
        lambda: received.extend(itertools.islice(iterators[0], chance.randrange(100))),
        lambda: received.extend(stream.recv(chance.randrange(1, 50))),
        lambda: received.extend(itertools.islice(stream, chance.randrange(100))),
    ]
    while len(received) < len(frames):
        size = chance.randrange(3000)
        sockets.far.sendall(data[at : at + size])
        at = min(len(data), at + size)
        for _ in range(chance.randrange(12)):
            with suppress(BlockingIOError):
                chance.choice(takes)()
            assert received == frames[: len(received)]
            assert data[:at].startswith(wire(received, rule) + stream.buffered)
    sockets.far.close()
    assert [*iterators[0], *iterators[1], *stream] == []


def test_iteration_goes_on_after_a_timeout(sockets: Pair, rule: Rule) -> None:
    sockets.near.settimeout(0.05)
    whole = wire([b"one", b"two", b"three"], rule)
    sockets.far.sendall(whole[:-1])
    each = iter(nf.FrameStream(sockets.near, **rule))
    assert [next(each), next(each)] == [b"one", b"two"]
    with limits(0.05, 0.05), pytest.raises(TimeoutError):
        next(each)
    sockets.far.sendall(whole[-1:])
    assert next(each) == b"three"
    sockets.near.setblocking(False)
    with pytest.raises(BlockingIOError):
        next(each)
    sockets.far.close()
    assert list(each) == []


def test_iteration_to_a_frame_that_is_too_large(sockets: Pair, rule: Rule) -> None:
    sockets.far.sendall(wire([b"a", b"b", b"x" * 100, b"c"], rule))
    stream = nf.FrameStream(sockets.near, max_frame=10, **rule)
    each = iter(stream)
    assert [next(each), next(each)] == [b"a", b"b"]
    for _ in range(2):
        with pytest.raises(ValueError, match="10 are the most"):
            next(each)
        with pytest.raises(ValueError, match="10 are the most"):
            list(stream)
    assert stream.buffered == wire([b"x" * 100, b"c"], rule)


def test_iteration_while_another_thread_receives(sockets: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(sockets.near, **rule)
    received: list[bytes] = []
    with beside(lambda: received.extend(stream.recv(timeout=5))):
        time.sleep(0.1)
        with pytest.raises(RuntimeError, match="somebody else is receiving from this stream"):
            next(iter(stream))
        sockets.far.sendall(wire([b"for the other"], rule))
    assert received == [b"for the other"]


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_clean_end(pair: Pair, rule: Rule) -> None:
    pair.far.sendall(wire([b"last"], rule))
    pair.far.close()
    stream = nf.FrameStream(pair.near, **rule)
    assert stream.recv() == [b"last"]
    assert stream.recv() == []
    assert stream.recv(timeout=0) == []
    unchanged(pair.near, None)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_an_end_inside_a_frame(pair: Pair, rule: Rule, cut: int) -> None:
    rest = wire([b"half"], rule)[: -min(cut, len(wire([b"half"], rule)) - 1)]
    pair.far.sendall(wire([b"first"], rule) + rest)
    pair.far.close()
    stream = nf.FrameStream(pair.near, **rule)
    assert stream.recv() == [b"first"]
    for _ in range(2):
        with pytest.raises(EOFError):
            stream.recv()
        assert stream.buffered == rest
    pair.near.close()
    assert stream.buffered == rest


def test_iteration_to_an_end_inside_a_frame(sockets: Pair, rule: Rule) -> None:
    sockets.far.sendall(wire([b"a", b"b", b"half"], rule)[:-1])
    sockets.far.close()
    received = []
    with pytest.raises(EOFError):
        for frame in nf.FrameStream(sockets.near, **rule):
            received.append(frame)  # noqa: PERF402
    assert received == [b"a", b"b"]


def test_an_end_wakes_who_waits(pair: Pair, rule: Rule) -> None:
    def leave() -> None:
        time.sleep(0.1)
        pair.far.close()

    with beside(leave), limits(0.1, 0.2):
        assert nf.FrameStream(pair.near, **rule).recv() == []


def test_own_end_shut_wakes_who_waits(pair: Pair, rule: Rule) -> None:
    def leave() -> None:
        time.sleep(0.1)
        pair.near.shutdown(socket.SHUT_RD)

    with beside(leave), limits(0.1, 0.2):
        assert nf.FrameStream(pair.near, **rule).recv() == []


@pytest.mark.parametrize("kind", ["tcp", "tcp6"])
def test_a_reset_is_an_error_behind_the_frames_before_it(tmp_path: Path, rule: Rule, kind: str) -> None:
    both = connected(kind, tmp_path)
    with both.near:
        deliver(both, wire([b"a", b"b"], rule) + wire([b"half"], rule)[:-1])
        streams_lab.reset(both.far)
        until(lambda: both.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x07")  # TCP_CLOSE
        stream = nf.FrameStream(both.near, **rule)
        assert stream.recv() == [b"a", b"b"]
        with pytest.raises(ConnectionResetError):
            stream.recv()
        assert stream.buffered == wire([b"half"], rule)[:-1]


def test_a_reset_of_a_unix_socket(sockets: Pair, rule: Rule) -> None:
    # A peer that closes without having read all is a reset here, too.
    sockets.near.sendall(b"unread")
    sockets.far.sendall(wire([b"a"], rule))
    sockets.far.close()
    stream = nf.FrameStream(sockets.near, **rule)
    assert stream.recv() == [b"a"]
    with pytest.raises(ConnectionResetError):
        stream.recv()


def test_a_peer_that_has_gone(pair: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(pair.near, **rule)
    pair.far.close()
    with pytest.raises(ConnectionError) as caught:
        for _ in range(50):  # a TCP socket hears of it when it has sent
            stream.send([b"x"])
            time.sleep(0.01)
    assert type(caught.value) in (BrokenPipeError, ConnectionResetError)
    unchanged(pair.near, None)


def test_a_socket_closed_meanwhile(sockets: Pair, rule: Rule) -> None:
    # Its number may be another's by then.
    stream = nf.FrameStream(sockets.near, **rule)
    sockets.near.close()
    other, peer = socket.socketpair()
    with other, peer:
        peer.sendall(wire([b"not for you"], rule))
        for call in (
            stream.recv,
            lambda: stream.recv(timeout=1),
            lambda: stream.send([b"x"]),
            lambda: next(iter(stream)),
        ):
            with pytest.raises(OSError, match="closed") as caught:
                call()
            assert caught.value.errno == errno.EBADF


def test_the_socket_belongs_to_the_caller(pair: Pair, rule: Rule) -> None:
    for _ in range(3):
        stream = nf.FrameStream(pair.near, **rule)
        stream.send([b"x"])
        del stream
        gc.collect()
    unchanged(pair.near, None)
    assert waiting(pair.far) >= 0
    pair.near.close()
    assert drain(pair.far) == wire([b"x"] * 3, rule)


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 64, 1000])
def test_the_longest_frame(pair: Pair, rule: Rule, size: int) -> None:
    stream = nf.FrameStream(pair.near, **rule, max_frame=size)
    deliver(pair, wire([b"x" * size, b"", b"y" * size], rule))
    assert receive(stream, 3) == [b"x" * size, b"", b"y" * size]


@pytest.mark.parametrize("more", [1, 2, 17, 5000])
def test_a_frame_that_is_too_long(pair: Pair, rule: Rule, more: int) -> None:
    stream = nf.FrameStream(pair.near, **rule, max_frame=10)
    deliver(pair, wire([b"a", b"b" * 10, b"x" * (10 + more), b"behind"], rule))
    assert receive(stream, 2) == [b"a", b"b" * 10]
    for _ in range(3):
        with pytest.raises(ValueError, match="10"):
            stream.recv()
    assert type(stream.buffered) is bytes
    # The other direction is as it was.
    assert stream.send([b"bye"]) == 1
    pair.near.shutdown(socket.SHUT_WR)
    assert drain(pair.far) == wire([b"bye"], rule)
    unchanged(pair.near, None)
    pair.near.close()


def test_a_frame_is_known_to_be_too_long_before_it_is_there(sockets: Pair) -> None:
    sockets.far.sendall(b"\0\0\0\x0b")
    with pytest.raises(ValueError, match=r"\b10\b"):
        nf.FrameStream(sockets.near, **PREFIX, max_frame=10).recv()
    other = Pair(*socket.socketpair())
    with other.near, other.far:
        stream = nf.FrameStream(other.near, **LINES, max_frame=10)
        other.far.sendall(b"x" * 10 + b"\r")
        with pytest.raises(TimeoutError):  # may still be the longest
            stream.recv(timeout=0)
        other.far.sendall(b"y")
        with pytest.raises(ValueError, match="10"):
            stream.recv()


def test_iteration_to_a_frame_that_is_too_long(sockets: Pair, rule: Rule) -> None:
    sockets.far.sendall(wire([b"a", b"b", b"too long"], rule))
    received = []
    with pytest.raises(ValueError, match="5"):
        for frame in nf.FrameStream(sockets.near, **rule, max_frame=5):
            received.append(frame)  # noqa: PERF402
    assert received == [b"a", b"b"]


HOSTILE = """
prefix, most = hear().split()
stream = nf.FrameStream(sock, prefix=prefix, max_frame=int(most))
before = status("VmPeak")
try:
    stream.recv(timeout=0.2)
except (ValueError, TimeoutError) as error:
    say(type(error).__name__, status("VmPeak") - before, len(stream.buffered))
"""


@pytest.mark.parametrize(
    ("prefix", "length", "most", "told"),
    [
        (">I", 2**32 - 1, 16 * 2**20, "ValueError"),
        (">I", 2**32 - 1, 2**32 - 2, "ValueError"),
        (">I", 2**32 - 1, 2**32, "TimeoutError"),
        ("<I", 2**32 - 1, 2**40, "TimeoutError"),
        (">Q", 2**64 - 1, 16 * 2**20, "ValueError"),
        (">Q", 2**63, 2**40, "ValueError"),
        ("<Q", 2**64 - 8, 2**62, "ValueError"),
        ("<Q", 2**62, 2**62, "TimeoutError"),
    ],
)
def test_a_hostile_prefix_takes_no_memory(sockets: Pair, prefix: str, length: int, most: int, told: str) -> None:
    sockets.far.sendall(struct.pack(prefix, length) + b"x" * 1000)
    with streams_lab.child(HOSTILE, sockets.near) as process:
        process.hears(f"{prefix} {most}")
        error, grown, _ = process.says().split()
        assert error == told
        assert int(grown) < 64 << 20
        process.end()


FLOODED = """
stream = nf.FrameStream(sock, delimiter=b"\\r\\n", max_frame=1 << 20)
before = status("VmHWM")
say("ready")
try:
    stream.recv()
except ValueError:
    say(status("VmHWM") - before)
hear()
"""


def test_a_flood_without_a_delimiter_takes_no_more_than_the_longest_frame(sockets: Pair) -> None:
    with streams_lab.child(FLOODED, sockets.near) as process:
        assert process.says() == "ready"
        sockets.far.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                sent += sockets.far.send(bytes(65536))
        assert 1 << 20 < sent < 16 << 20
        assert int(process.says()) < 16 << 20
        process.hears()
        process.end()


def test_a_flood_of_frames_waits_in_the_kernel(sockets: Pair, rule: Rule) -> None:
    # One frame a call must not read the sender's whole stream.
    stream = nf.FrameStream(sockets.near, **rule)
    part = wire([b"x" * 100] * 500, rule)
    sent = 0
    tracemalloc.start()
    try:
        for _ in range(300):
            try:
                while sent < 256 << 20:
                    sent += sockets.far.send(part, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            assert len(stream.recv(1)) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent < 8 << 20
    assert peak < 16 << 20


def test_memory_is_given_back_after_a_long_frame(sockets: Pair) -> None:
    stream = nf.FrameStream(sockets.near, prefix=">I")
    far = nf.FrameStream(sockets.far, prefix=">I")
    frame = bytes(16 << 20)
    before = resident()
    with beside(lambda: far.send([frame])):
        assert len(stream.recv()[0]) == 16 << 20
    far.send([b"x"])
    assert stream.recv() == [b"x"]
    gc.collect()
    assert resident() - before < 24 << 20 or SANITIZED


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_frames_and_streams_are_let_go(sockets: Pair, rule: Rule) -> None:
    def once() -> None:
        stream = nf.FrameStream(sockets.near, **rule)
        sockets.far.sendall(wire([bytes(1000)] * 20, rule) + wire([b"half"], rule)[:-1])
        while len(stream.recv(3)) == 3:
            pass
        stream.send([bytearray(1000)] * 20)
        sockets.far.recv(1 << 20)
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0)

    for _ in range(200):
        once()
    gc.collect()
    before = resident()
    for _ in range(2000):
        once()
    gc.collect()
    assert resident() - before < 8 << 20


# --- speed that is not lost -------------------------------------------------------------------------------------------


def test_a_long_frame_in_small_pieces_is_searched_once(sockets: Pair) -> None:
    stream = nf.FrameStream(sockets.near, delimiter=b"ab")
    piece = b"a" * 2048
    start = time.monotonic()
    for _ in range(8000):
        sockets.far.send(piece)
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0)
    sockets.far.send(b"b")
    assert stream.recv() == [b"a" * (2048 * 8000 - 1)]
    assert time.monotonic() - start < 5


def test_one_frame_a_call_moves_no_mountain(sockets: Pair) -> None:
    stream = nf.FrameStream(sockets.near, prefix=">B")

    def send() -> None:
        for _ in range(100):
            sockets.far.sendall(b"\x01x" * 2000)

    start = time.monotonic()
    with beside(send):
        for _ in range(200_000):
            assert stream.recv(1) == [b"x"]
    assert time.monotonic() - start < 10


SENT = """
stream = nf.FrameStream(sock, **eval(hear()))
frames = [b"x" * 20] * 10_000
say("ready")
hear()
say(stream.send(frames))
"""


def test_frames_are_sent_by_the_hundred(sockets: Pair, rule: Rule, tool: Callable[[str], str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with streams_lab.traced(tool("strace"), log, SENT, sockets.near) as process:
        process.hears(repr(rule))
        assert process.says() == "ready"
        process.hears()
        assert receive(nf.FrameStream(sockets.far, **rule), 10_000) == [b"x" * 20] * 10_000
        assert process.says() == "10000"
        process.end()
    # Two buffers a frame, 1024 a call: 20 calls, and some more where the socket took less.
    assert 1 <= len(streams_lab.calls(log, sockets.near, *streams_lab.SENDING)) <= 60


RECEIVED = """
stream = nf.FrameStream(sock, **eval(hear()))
say("ready")
hear()
count = calls = 0
while frames := stream.recv(10_000):
    count += len(frames)
    calls += 1
say(count, calls)
"""


def test_frames_are_received_by_the_hundred(
    sockets: Pair, rule: Rule, tool: Callable[[str], str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sockets.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    data = wire([b"x" * 20] * 10_000, rule)
    with streams_lab.traced(tool("strace"), log, RECEIVED, sockets.near) as process:
        process.hears(repr(rule))
        assert process.says() == "ready"
        deliver(sockets, data)
        sockets.far.close()
        process.hears()
        count, calls = map(int, process.says().split())
        process.end()
    assert count == 10_000
    assert calls <= 30
    assert 1 <= len(streams_lab.calls(log, sockets.near, *streams_lab.RECEIVING)) <= 30


# --- waits ------------------------------------------------------------------------------------------------------------

WAITS = pytest.mark.parametrize(
    ("setting", "options", "error", "seconds"),
    [
        (0.2, {}, TimeoutError, 0.2),
        (0.0, {}, BlockingIOError, 0),
        (None, {"timeout": 0.2}, TimeoutError, 0.2),
        (5.0, {"timeout": 0.2}, TimeoutError, 0.2),
        (0.0, {"timeout": 0.2}, TimeoutError, 0.2),
        (None, {"timeout": 0}, TimeoutError, 0),
        (0.0, {"timeout": 0}, TimeoutError, 0),
    ],
)


@WAITS
@pytest.mark.parametrize("half", [False, True])
def test_time_is_up_and_nothing_is_lost(
    pair: Pair, rule: Rule, setting: float | None, options: Rule, error: type[OSError], seconds: float, half: bool
) -> None:
    data = wire([b"whole"], rule)
    stream = nf.FrameStream(pair.near, **rule)
    cut = len(data) - 1 if half else 0
    deliver(pair, data[:cut])
    pair.near.settimeout(setting)
    for _ in range(2):
        with limits(seconds, seconds), pytest.raises(error) as caught:
            stream.recv(**options)
        assert type(caught.value) is error
        unchanged(pair.near, setting)
    deliver(pair, data[cut:])
    assert stream.recv(**options) == [b"whole"]


@WAITS
def test_time_is_up_in_sending(
    pair: Pair, rule: Rule, setting: float | None, options: Rule, error: type[OSError], seconds: float
) -> None:
    before = fill(pair.near)
    stream = nf.FrameStream(pair.near, **rule)
    pair.near.settimeout(setting)
    with limits(seconds, seconds), pytest.raises(error) as caught:
        stream.send([b"x" * 100_000] * 100, **options)
    assert type(caught.value) is error
    unchanged(pair.near, setting)
    pair.near.close()
    sent = drain(pair.far)[before:]
    assert wire([b"x" * 100_000] * 100, rule).startswith(sent)


def test_a_frame_cut_by_a_timeout_is_not_followed_by_another(pair: Pair, rule: Rule) -> None:
    # Either the rest of the frame goes first, or nothing goes any more: half a frame before a whole one is garbage.
    frame = b"x" * (1 << 23)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)
    with pytest.raises(TimeoutError):
        near.send([b"first", frame], timeout=0)
    received: list[bytes] = []

    def read() -> None:
        with pytest.raises((EOFError, TimeoutError)):
            while some := far.recv(timeout=2):
                received.extend(some)
            raise EOFError

    with beside(read):
        try:
            near.send([b"next"], timeout=10)
            then = [b"first", frame, b"next"]
        except (OSError, ValueError, RuntimeError):
            then = [b"first"]
        pair.near.shutdown(socket.SHUT_WR)
    assert received == then


def sent_at_once(stream: nf.FrameStream, frames: list[bytes]) -> int:
    try:
        return stream.send(frames, timeout=0)
    except TimeoutError as error:
        sent: int = error.sent  # type: ignore[attr-defined]
        return sent


def test_what_was_not_sent_is_sent_later(tiny: Pair, rule: Rule) -> None:
    frames = some_frames(3000)
    near, far = nf.FrameStream(tiny.near, **rule), nf.FrameStream(tiny.far, **rule)
    received: list[bytes] = []
    left = frames[sent_at_once(near, frames) :]
    assert left
    with beside(lambda: received.extend(receive(far, len(frames)))):
        while left:
            left = left[sent_at_once(near, left) :]
        near.send([], timeout=None)  # the rest of the last one
    assert received == frames


def test_the_rest_of_a_frame_is_what_it_was(sockets: Pair, rule: Rule) -> None:
    buffer = bytearray(b"x" * (1 << 23))
    near, far = nf.FrameStream(sockets.near, **rule), nf.FrameStream(sockets.far, **rule)
    with pytest.raises(TimeoutError):
        near.send([buffer], timeout=0)
    buffer[:] = b"y"
    received: list[bytes] = []
    with beside(lambda: received.extend(receive(far, 2))):
        assert near.send([b"next"]) == 1
    assert received == [b"x" * (1 << 23), b"next"]


def test_none_waits_whatever_the_socket_says(pair: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(pair.near, **rule)
    for setting in (0.0, 0.05):
        pair.near.settimeout(setting)

        def late() -> None:
            time.sleep(0.2)
            pair.far.sendall(wire([b"late"], rule))

        with beside(late), limits(0.2, 0.3):
            assert stream.recv(timeout=None) == [b"late"]
        unchanged(pair.near, setting)


def test_the_setting_of_the_moment_counts(sockets: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(sockets.near, **rule)
    sockets.near.setblocking(False)
    with pytest.raises(BlockingIOError):
        stream.recv()
    sockets.near.settimeout(0.1)
    with limits(0.1, 0.1), pytest.raises(TimeoutError):
        stream.recv()


def test_a_timeout_is_for_the_whole_call(sockets: Pair, rule: Rule) -> None:
    stream = nf.FrameStream(sockets.near, **rule)
    done = threading.Event()
    sockets.far.sendall(wire([bytes(1000)], rule)[:10])

    def trickle() -> None:
        while not done.wait(0.05):
            sockets.far.send(b"x")

    with beside(trickle):
        try:
            with limits(0.3, 0.3), pytest.raises(TimeoutError):
                stream.recv(timeout=0.3)
        finally:
            done.set()


@pytest.mark.parametrize("timeout", [86_400, 1e6])
def test_a_timeout_may_be_very_long(sockets: Pair, timeout: float) -> None:
    def late() -> None:
        time.sleep(0.05)
        sockets.far.sendall(b"\0\0\0\1x")

    with beside(late):
        assert nf.FrameStream(sockets.near, prefix=">I").recv(timeout=timeout) == [b"x"]


INTERRUPTED = """
stream = nf.FrameStream(sock, **eval(hear()))
try:
    say("ready")
    stream.recv(TIMEOUT)
except KeyboardInterrupt:
    say(time.monotonic())
say(len(stream.buffered))
say([bytes(frame) for frame in stream])
"""


@pytest.mark.parametrize("timeout", ["", "timeout=30", "timeout=None"])
def test_ctrl_c_is_heard_at_once_and_nothing_is_lost(pair: Pair, rule: Rule, timeout: str) -> None:
    data = wire([b"whole", b"more"], rule)
    with streams_lab.child(INTERRUPTED.replace("TIMEOUT", timeout), pair.near) as process:
        process.hears(repr(rule))
        assert process.says() == "ready"
        pair.far.sendall(data[:6])
        assert 0 < process.interrupt() < 0.2
        assert process.says() == "6"
        pair.far.sendall(data[6:])
        pair.far.shutdown(socket.SHUT_WR)
        assert process.says() == str([b"whole", b"more"])
        process.end()


def test_ctrl_c_is_heard_in_sending(pair: Pair, rule: Rule) -> None:
    code = """
stream = nf.FrameStream(sock, **eval(hear()))
frames = [b"x" * 1000] * 100_000
try:
    say("ready")
    stream.send(frames)
except KeyboardInterrupt:
    say(time.monotonic())
"""
    with streams_lab.child(code, pair.near) as process:
        process.hears(repr(rule))
        assert process.says() == "ready"
        assert 0 < process.interrupt() < 0.2
        process.end()


def test_ctrl_c_is_heard_while_a_frame_flows(sockets: Pair, rule: Rule) -> None:
    code = """
stream = nf.FrameStream(sock, **eval(hear()), max_frame=1 << 31)
try:
    say("ready")
    stream.recv()
except KeyboardInterrupt:
    say(time.monotonic())
"""
    done = threading.Event()

    def flow() -> None:
        sockets.far.settimeout(0.1)
        sockets.far.sendall((1 << 31).to_bytes(4, "big"))
        while not done.is_set():
            with suppress(TimeoutError):
                sockets.far.send(bytes(1 << 15))
            time.sleep(0.0005)

    with streams_lab.child(code, sockets.near) as process, beside(flow):
        try:
            process.hears(repr(rule))
            assert process.says() == "ready"
            assert 0 < process.interrupt() < 0.2
            process.end()
        finally:
            done.set()


def test_signals_change_nothing(sockets: Pair, rule: Rule) -> None:
    rings = 0

    def ring(number: int, frame: object) -> None:
        nonlocal rings
        rings += 1

    before = signal.signal(signal.SIGUSR1, ring)
    done = threading.Event()
    frames = some_frames(20_000)

    def annoy() -> None:
        while not done.wait(0.001):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    try:
        with beside(annoy):
            try:
                stream = nf.FrameStream(sockets.near, **rule)
                with limits(0.3, 0.3), pytest.raises(TimeoutError):
                    stream.recv(timeout=0.3)
                with beside(lambda: sockets.far.sendall(wire(frames, rule))):
                    assert receive(stream, len(frames), 50) == frames
                received: list[bytes] = []
                far = nf.FrameStream(sockets.far, **rule)
                with beside(lambda: received.extend(receive(far, len(frames)))):
                    assert stream.send(frames) == len(frames)
                assert received == frames
            finally:
                done.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert rings > 50


# --- sending ----------------------------------------------------------------------------------------------------------


def test_every_kind_of_bytes(sockets: Pair, rule: Rule) -> None:
    numbers = array.array("I", [1, 2, 3])
    frames = [b"a", bytearray(b"bc"), memoryview(b"xdefx")[1:4], numbers, memoryview(b"123456").cast("B", [2, 3])]
    assert nf.FrameStream(sockets.near, **rule).send(frames) == 5
    sockets.near.close()
    assert drain(sockets.far) == wire([b"a", b"bc", b"def", numbers.tobytes(), b"123456"], rule)


@pytest.mark.parametrize("index", [0, 1, 700, 3000])
@pytest.mark.parametrize("form", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_a_wrong_frame_is_named_and_nothing_is_sent(
    sockets: Pair, rule: Rule, index: int, form: Callable[[list[Any]], Any]
) -> None:
    stream = nf.FrameStream(sockets.near, **rule, max_frame=100)
    wrong: list[tuple[Any, type[Exception], str]] = [
        ("text", TypeError, "str"),
        (None, TypeError, "None"),
        (5, TypeError, "int"),
        (b"x" * 101, ValueError, r"\b10[01]\b"),
    ]
    if rule is LINES:
        wrong += [(b"with\r\nit", ValueError, "delimiter"), (bytearray(b"\r\n"), ValueError, "delimiter")]
    for frame, error, text in wrong:
        with pytest.raises(error, match=text) as caught:
            stream.send(form([*[b"a"] * index, frame, b"b"]))
        assert str(index) in str(caught.value)
        assert waiting(sockets.far) == 0
    assert stream.send([b"good"]) == 1


def test_a_frame_that_makes_a_delimiter_with_the_delimiter_is_refused(sockets: Pair) -> None:
    for delimiter, wrong, right in [
        (b"aa", b"ba", b"ab"),
        (b"aba", b"xab", b"xa"),
        (b"abab", b"ab", b"ba"),
        (b"a" * 16, b"a", b"ab"),
    ]:
        stream = nf.FrameStream(sockets.near, delimiter=delimiter)
        with pytest.raises(ValueError, match="delimiter"):
            stream.send([right, wrong])
        assert waiting(sockets.far) == 0
        assert stream.send([right]) == 1
        assert nf.recv_exactly(sockets.far, len(right + delimiter)) == right + delimiter


@pytest.mark.parametrize("prefix", [">B", "!B", ">H", "<H", "!H"])
def test_a_frame_that_is_too_long_for_its_prefix(sockets: Pair, prefix: str) -> None:
    most = 256 ** reference.prefix_size(prefix) - 1
    stream = nf.FrameStream(sockets.near, prefix=prefix)
    with pytest.raises(ValueError, match=rf"\b1\b.*\b{most:,}\b"):
        stream.send([b"a", bytes(most + 1)])
    assert waiting(sockets.far) == 0
    received: list[bytes] = []
    with beside(lambda: received.append(nf.recv_exactly(sockets.far, most + reference.prefix_size(prefix)))):
        assert stream.send([bytes(most)]) == 1
    assert received == [wire([bytes(most)], {"prefix": prefix})]


@pytest.mark.parametrize("wrong", [b"frame", bytearray(b"frame"), "text", 5, None])
def test_frames_must_be_several(sockets: Pair, rule: Rule, wrong: Any) -> None:
    with pytest.raises(TypeError):
        nf.FrameStream(sockets.near, **rule).send(wrong)
    assert waiting(sockets.far) == 0


def test_what_is_not_contiguous_is_refused(sockets: Pair, rule: Rule) -> None:
    with pytest.raises((BufferError, ValueError, TypeError), match="contiguous"):
        nf.FrameStream(sockets.near, **rule).send([b"a", memoryview(b"abcdef")[::2]])
    assert waiting(sockets.far) == 0


def test_what_an_iterator_raises_comes_before_anything_is_sent(sockets: Pair, rule: Rule) -> None:
    def broken() -> Iterator[bytes]:
        yield from [b"a"] * 5000
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        nf.FrameStream(sockets.near, **rule).send(broken())
    assert waiting(sockets.far) == 0


def test_an_iterator_that_closes_the_socket(rule: Rule) -> None:
    # Its number is another's when the frames are there.
    near, far = socket.socketpair()
    others: list[socket.socket] = []

    def closing() -> Iterator[bytes]:
        near.close()
        others.extend(socket.socketpair())
        yield b"not for you"

    try:
        with far, pytest.raises(OSError, match="closed"):
            nf.FrameStream(near, **rule).send(closing())
        assert [waiting(other) for other in others] == [0, 0]
    finally:
        for other in others:
            other.close()


def test_buffers_are_let_go(sockets: Pair, rule: Rule) -> None:
    buffers = [bytearray(b"abc") for _ in range(3)]
    stream = nf.FrameStream(sockets.near, **rule)
    stream.send(buffers)
    with pytest.raises(TypeError):
        stream.send([*buffers, "text"])
    fill(sockets.near)
    with pytest.raises(TimeoutError):
        stream.send(buffers, timeout=0)
    for buffer in buffers:
        buffer.append(1)  # a BufferError as long as it is held


def test_a_generator_may_reuse_its_buffer(sockets: Pair) -> None:
    buffer = bytearray(b"0000")

    def views() -> Iterator[bytes]:
        for number in range(100):
            buffer[:] = b"%04d" % number
            yield bytes(buffer)

    assert nf.FrameStream(sockets.near, prefix=">B").send(views()) == 100
    expected = b"".join(b"\x04%04d" % number for number in range(100))
    assert nf.recv_exactly(sockets.far, len(expected)) == expected


# --- threads, many connections ----------------------------------------------------------------------------------------


def test_a_thread_in_each_direction(pair: Pair, rule: Rule) -> None:
    frames = some_frames(30_000)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)
    received: list[bytes] = []

    def echo() -> None:
        while some := far.recv():
            far.send(some)

    with beside(echo):
        try:
            with beside(lambda: received.extend(receive(near, len(frames)))):
                for start in range(0, len(frames), 1000):
                    near.send(frames[start : start + 1000])
        finally:
            pair.near.shutdown(socket.SHUT_WR)
    assert received == frames


def test_two_threads_in_one_direction_tear_no_frame(sockets: Pair, rule: Rule) -> None:
    # Whether the second waits or is refused: every frame comes once and whole.
    frames = [b"%06d" % number * 10 for number in range(20_000)]
    stream = nf.FrameStream(sockets.near, **rule)
    received: list[list[bytes]] = [[], []]

    def read(into: list[bytes]) -> None:
        while True:
            try:
                some = stream.recv(7)
            except RuntimeError:  # in use
                time.sleep(0)
                continue
            if not some:
                return
            into.extend(some)

    def send() -> None:
        sockets.far.sendall(wire(frames, rule))
        sockets.far.shutdown(socket.SHUT_WR)

    with beside(send), beside(lambda: read(received[0])):
        read(received[1])
    assert sorted(received[0] + received[1]) == frames


def test_others_run_meanwhile(sockets: Pair, rule: Rule) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.01):
            ticks += 1
        sockets.far.send(wire([b"done"], rule))

    timer = threading.Timer(0.3, done.set)
    timer.start()
    with beside(tick):
        assert nf.FrameStream(sockets.near, **rule).recv() == [b"done"]
    timer.join()
    assert ticks >= 10


def test_ten_thousand_connections_leave_nothing(rule: Rule) -> None:
    before = lab.descriptors()
    with socket.socket() as listener:
        # A server on every address, since a port that was used rests for a minute.
        listener.bind(("0.0.0.0", 0))
        listener.listen(16)
        for number in range(10_000):
            client = socket.create_connection((f"127.0.{number % 50}.1", listener.getsockname()[1]))
            server, _ = listener.accept()
            near, far = nf.FrameStream(client, **rule), nf.FrameStream(server, **rule)
            assert near.send([b"question"]) == 1
            assert far.recv() == [b"question"]
            assert far.send([b"answer", b"more"]) == 2
            server.close()
            assert list(near) == [b"answer", b"more"]
            client.close()
    del near, far
    assert lab.descriptors() == before


# --- wrong arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError),
        ({"prefix": None, "delimiter": None}, ValueError),
        ({"prefix": ">I", "delimiter": b"\n"}, ValueError),
        *[
            ({"prefix": prefix}, ValueError)
            for prefix in ["", "I", ">", ">L", "=I", "@I", ">i", ">II", " >I", ">I ", ">3", ">s", "I>", ">é", ">I\0"]
        ],
        ({"prefix": 4}, (TypeError, ValueError)),
        ({"prefix": b">I"}, (TypeError, ValueError)),
        ({"delimiter": b""}, ValueError),
        ({"delimiter": b"x" * 17}, ValueError),
        ({"delimiter": "\n"}, TypeError),
        ({"delimiter": 10}, TypeError),
        ({"prefix": ">I", "max_frame": 0}, ValueError),
        ({"prefix": ">I", "max_frame": -1}, ValueError),
        ({"prefix": ">I", "max_frame": -(2**70)}, (ValueError, OverflowError)),
        ({"prefix": ">I", "max_frame": 2**70}, (ValueError, OverflowError)),
        ({"prefix": ">I", "max_frame": "1"}, TypeError),
        ({"prefix": ">I", "max_frame": 1.5}, TypeError),
        ({"prefix": ">I", "max_frame": None}, TypeError),
    ],
    ids=repr,
)
def test_a_rule_may_be_wrong(sockets: Pair, options: Rule, error: type[Exception]) -> None:
    with pytest.raises(error):
        nf.FrameStream(sockets.near, **options)
    unchanged(sockets.near, None)


def test_options_have_names(sockets: Pair) -> None:
    with pytest.raises(TypeError):
        nf.FrameStream(sockets.near, ">I")  # type: ignore[call-arg]


def test_errors_name_what_was_given(sockets: Pair) -> None:
    with pytest.raises(ValueError, match=">L"):
        nf.FrameStream(sockets.near, prefix=">L")
    with pytest.raises(ValueError, match="17"):
        nf.FrameStream(sockets.near, delimiter=b"x" * 17)
    with pytest.raises(ValueError, match="max_frame"):
        nf.FrameStream(sockets.near, prefix=">I", max_frame=0)
    with pytest.raises(ValueError, match=r"prefix.*delimiter|delimiter.*prefix"):
        nf.FrameStream(sockets.near)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET),
    ],
)
def test_a_stream_wants_a_stream_socket(family: int, kind: int) -> None:
    with socket.socket(family, kind) as sock, pytest.raises(ValueError, match="stream"):
        nf.FrameStream(sock, prefix=">I")


def test_a_stream_does_not_go_beneath_tls(sockets: Pair) -> None:
    # What it would send is not encrypted, and what it would read is not decrypted.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with context.wrap_socket(sockets.near, server_hostname="localhost", do_handshake_on_connect=False) as secured:
        with pytest.raises((TypeError, ValueError)):
            nf.FrameStream(secured, prefix=">I").send([b"secret"])
        assert waiting(sockets.far) == 0


@pytest.mark.parametrize("wrong", [None, 3, "127.0.0.1:80", sys.stdout])
def test_a_stream_wants_a_socket(wrong: Any) -> None:
    with pytest.raises(TypeError):
        nf.FrameStream(wrong, prefix=">I")


def test_a_stream_wants_an_open_socket() -> None:
    closed = socket.socket()
    closed.close()
    with pytest.raises(OSError, match="closed") as caught:
        nf.FrameStream(closed, prefix=">I")
    assert caught.value.errno == errno.EBADF


def test_a_stream_wants_a_peer() -> None:
    with socket.socket() as alone, pytest.raises(OSError, match=r".") as caught:
        nf.FrameStream(alone, prefix=">I").recv()
    assert caught.value.errno == errno.ENOTCONN


@pytest.mark.parametrize(
    ("most", "error"),
    [(0, ValueError), (-1, ValueError), (-(2**70), (ValueError, OverflowError)), ("1", TypeError), (1.5, TypeError)],
)
def test_how_many_may_be_wrong(sockets: Pair, rule: Rule, most: Any, error: type[Exception]) -> None:
    deliver(sockets, wire([b"x"], rule))
    stream = nf.FrameStream(sockets.near, **rule)
    with pytest.raises(error):
        stream.recv(most)
    assert stream.recv(10**6) == [b"x"]


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (-0.001, ValueError),
        (float("nan"), ValueError),
        (1_000_001, ValueError),
        (float("inf"), ValueError),
        ("1", TypeError),
        (b"", TypeError),
    ],
)
def test_a_timeout_may_be_wrong(sockets: Pair, rule: Rule, timeout: Any, error: type[Exception]) -> None:
    deliver(sockets, wire([b"x"], rule))
    stream = nf.FrameStream(sockets.near, **rule)
    with pytest.raises(error):
        stream.recv(timeout=timeout)
    with pytest.raises(error):
        stream.send([b"x"], timeout=timeout)
    assert waiting(sockets.far) == 0
    assert stream.recv() == [b"x"]
