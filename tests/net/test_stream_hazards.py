"""Streams and frames when something goes against them: sockets closed meanwhile, peers that never stop, tasks that
are cancelled, signals, and sockets that are not what they say."""

from __future__ import annotations

import asyncio
import errno
import itertools
import mmap
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
import reference
from net import datagrams_lab as dl, lab, streams_lab
from net.streams_lab import Pair, Rule, beside, connected, deliver, until, waiting, wire
from net.test_frames_async import run

Call = Callable[[], object]
MIB = 1 << 20


@pytest.fixture(params=["socketpair", "tcp"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    both = connected(request.param, tmp_path)
    with both.near, both.far:
        yield both


def sent_by(error: BaseException) -> int:
    """What an error says of how much had gone."""
    sent: int = error.sent  # type: ignore[attr-defined]
    assert type(sent) is int
    return sent


# --- a socket that is closed meanwhile ------------------------------------------------------------------------------


class Successor(ExitStack):
    """Closes a socket, and gives its number to another at once, which has a peer and something to read."""

    def __init__(self, sock: socket.socket, other: Pair | None = None) -> None:
        super().__init__()
        self.sock = sock
        self.other = other or Pair(*map(self.enter_context, socket.socketpair(socket.AF_UNIX, sock.type)))
        self.other.far.send(b"another's")
        until(lambda: waiting(self.other.near))

    def take(self) -> None:
        number = self.sock.fileno()
        self.sock.close()
        os.dup2(self.other.near.fileno(), number, inheritable=False)
        self.callback(os.close, number)

    def untouched(self) -> None:
        """Nothing was read from it, and nothing written."""
        assert self.other.near.recv(99, socket.MSG_DONTWAIT) == b"another's"
        with pytest.raises(BlockingIOError):
            self.other.far.recv(99, socket.MSG_DONTWAIT)


@contextmanager
def ended_by(
    act: Call, number: int, *, match: str = ".", within: float = 0.3
) -> Iterator[pytest.ExceptionInfo[OSError]]:
    """Another thread acts in a tenth of a second; so soon after it, what waits inside raises OSError of the number."""
    acted = []

    def late() -> None:
        time.sleep(0.1)
        acted.append(time.monotonic())
        act()

    with beside(late):
        with pytest.raises(OSError, match=match) as caught:
            yield caught
        heard = time.monotonic()
    assert caught.value.errno == number
    assert 0 < heard - acted[0] < within


def nothing_open(error: pytest.ExceptionInfo[OSError]) -> None:
    assert error.value.errno == errno.EBADF
    assert "the socket is closed" in str(error.value)


class Waits:
    """The calls that wait: for a peer that sends nothing, and takes no more than the kernel has room for."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.stream = nf.FrameStream(sock, prefix=">I")

    def send_all(self, **how: Any) -> object:
        return nf.send_all(self.sock, bytes(64 * MIB), **how)

    def recv_exactly(self, **how: Any) -> object:
        return nf.recv_exactly(self.sock, 9, **how)

    def recv_exactly_into(self, **how: Any) -> object:
        nf.recv_exactly_into(self.sock, bytearray(9), **how)
        return None

    def receive_frames(self, **how: Any) -> object:
        return self.stream.recv(**how)

    def send_frames(self, **how: Any) -> object:
        return self.stream.send([bytes(16 * MIB)] * 4, **how)


@pytest.mark.parametrize("timeout", [None, 10.0], ids=["for ever", "timeout"])
@pytest.mark.parametrize("reused", [True, False], ids=["number reused", "number free"])
@pytest.mark.parametrize("call", ["send_all", "recv_exactly", "recv_exactly_into", "receive_frames", "send_frames"])
def test_closed_while_a_call_waits(pair: Pair, call: str, reused: bool, timeout: float | None) -> None:
    wait = getattr(Waits(pair.near), call)
    with Successor(pair.near) as other:
        close = other.take if reused else pair.near.close
        with ended_by(close, errno.EBADF, match="the socket is closed"):
            wait(timeout=timeout)
        other.untouched()


def _closing_iterator(close: Call) -> Iterator[bytes]:
    yield b"one"
    close()
    yield b"two"


class ClosingBuffer:
    """Bytes whose maker closes the socket (PEP 688)."""

    def __init__(self, close: Call) -> None:
        self._close = close
        self._bytes = bytearray(b"bytes")

    def __buffer__(self, flags: int) -> memoryview:
        self._close()
        return memoryview(self._bytes)


CLOSING: dict[str, Callable[[socket.socket, Any, Call], object]] = {
    "send_all, iterator": lambda sock, stream, close: nf.send_all(sock, _closing_iterator(close)),
    "send, iterator": lambda sock, stream, close: stream.send(_closing_iterator(close)),
    "asend, iterator": lambda sock, stream, close: asyncio.run(stream.asend(_closing_iterator(close))),
}
if sys.version_info >= (3, 12):
    CLOSING |= {
        "send_all, buffer": lambda sock, stream, close: nf.send_all(sock, [b"one", ClosingBuffer(close)]),
        "send_all, one buffer": lambda sock, stream, close: nf.send_all(sock, ClosingBuffer(close)),
        "send, buffer": lambda sock, stream, close: stream.send([b"one", ClosingBuffer(close)]),
        "asend, buffer": lambda sock, stream, close: asyncio.run(stream.asend([b"one", ClosingBuffer(close)])),
        "recv, buffer": lambda sock, stream, close: nf.recv_exactly_into(sock, ClosingBuffer(close)),
    }


@pytest.mark.parametrize("call", CLOSING)
def test_closed_by_what_the_call_is_given(pair: Pair, rule: Rule, call: str) -> None:
    deliver(pair, b"for it")
    stream = nf.FrameStream(pair.near, **rule)
    done = False
    with Successor(pair.near) as other:

        def close() -> None:
            nonlocal done
            if not done:  # a buffer may be asked for twice
                other.take()
            done = True

        with pytest.raises(OSError, match="closed") as caught:
            CLOSING[call](pair.near, stream, close)
        nothing_open(caught)
        other.untouched()


# --- sockets that are not what they say -----------------------------------------------------------------------------

TAKERS: dict[str, Callable[[socket.socket], object]] = {
    "FrameStream": lambda sock: nf.FrameStream(sock, prefix=">I"),
    "send_all": lambda sock: nf.send_all(sock, b"not sent"),
    "recv_exactly": lambda sock: nf.recv_exactly(sock, 1, timeout=1),
    "recv_exactly_into": lambda sock: nf.recv_exactly_into(sock, bytearray(1), timeout=1),
}
every_taker = pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS.keys())


def said_to_be(real: socket.socket, family: int, kind: int) -> socket.socket:
    """A socket object of the same socket that says something else of it."""
    return socket.socket(family, kind, 0, fileno=os.dup(real.fileno()))


def truth(error: BaseException) -> str:
    """What a message says of the socket, less what was wanted of it."""
    return str(error).partition("wanted")[0].lower()


@every_taker
@pytest.mark.parametrize(
    ("kind", "said", "word"),
    [
        (socket.SOCK_STREAM, (socket.AF_INET, socket.SOCK_STREAM), "unix"),
        (socket.SOCK_DGRAM, (socket.AF_UNIX, socket.SOCK_STREAM), "dgram"),
        (socket.SOCK_DGRAM, (socket.AF_INET, socket.SOCK_STREAM), "dgram"),
        (socket.SOCK_SEQPACKET, (socket.AF_UNIX, socket.SOCK_STREAM), "seqpacket"),
    ],
    ids=["family", "type", "both", "packets"],
)
def test_a_socket_that_lies(
    take: Callable[[socket.socket], object], kind: int, said: tuple[int, int], word: str
) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    with near, far, said_to_be(near, *said) as liar:
        far.send(b"x")
        with pytest.raises(ValueError, match=r".") as caught:
            take(liar)
        assert word in truth(caught.value)
        assert near.recv(9, socket.MSG_DONTWAIT) == b"x"
        with pytest.raises(BlockingIOError):
            far.recv(9, socket.MSG_DONTWAIT)


@every_taker
@pytest.mark.parametrize("said", [(77, 99), (77, socket.SOCK_STREAM), (socket.AF_UNIX, 99)])
def test_a_family_or_type_that_python_does_not_know(
    sockets: Pair, take: Callable[[socket.socket], object], said: tuple[int, int]
) -> None:
    with said_to_be(sockets.near, *said) as liar, pytest.raises(ValueError, match=r"(?i)unix|stream"):
        take(liar)


# --- a loop that others use, too ------------------------------------------------------------------------------------


@contextmanager
def over_and_over(work: Call, seconds: float = 2.0) -> Iterator[None]:
    """Another thread does it again and again meanwhile, for so long at most; a timeout is nothing to it."""
    done, end = threading.Event(), time.monotonic() + seconds

    def repeat() -> None:
        while not done.is_set() and time.monotonic() < end:
            with suppress(TimeoutError):
                work()

    with beside(repeat):
        try:
            yield
        finally:
            done.set()


async def shared(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """A task does it again and again for half a second: how long it had the loop for itself, and how long it took."""
    longest, last = 0.0, time.monotonic()

    def note() -> None:
        nonlocal longest, last
        now = time.monotonic()
        longest, last = max(longest, now - last), now

    async def tick() -> None:
        while True:
            note()
            await asyncio.sleep(0)

    async def repeat() -> None:
        while True:
            await work()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    start = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(repeat(), 0.5)
    note()
    ticking.cancel()
    return longest, last - start


@pytest.mark.parametrize("most", [1, 1024])
def test_frames_that_never_end_leave_the_loop_to_others(sockets: Pair, rule: Rule, most: int) -> None:
    flood = wire([b""] * 50_000, rule)  # of which a part is as good
    sockets.far.settimeout(0.1)
    stream = nf.FrameStream(sockets.near, **rule)
    with over_and_over(lambda: sockets.far.send(flood)):
        longest, took = asyncio.run(shared(lambda: stream.arecv(most)))
    assert longest < 0.25
    assert 0.45 < took < 0.8


@pytest.mark.parametrize("frames", [[b"x"], [b"x" * 100] * 1000, [bytes(MIB)] * 100], ids=["one", "many", "long"])
def test_a_reader_that_never_rests_leaves_the_loop_to_others(tmp_path: Path, rule: Rule, frames: list[bytes]) -> None:
    both = connected("tcp", tmp_path, sending=64 * MIB)  # room for what one second brings, even if nobody reads
    both.far.settimeout(0.1)
    room = bytearray(MIB)
    stream = nf.FrameStream(both.near, **rule)
    with both.near, both.far, over_and_over(lambda: both.far.recv_into(room)):
        longest, took = asyncio.run(shared(lambda: stream.asend(frames)))
    assert longest < 0.25
    assert 0.45 < took < 0.8


async def to_the_end(sock: socket.socket) -> None:
    """Reads until the peer has closed."""
    sock.setblocking(False)
    while await asyncio.get_running_loop().sock_recv(sock, MIB):
        pass


@pytest.mark.parametrize("reused", [True, False], ids=["number reused", "number free"])
@pytest.mark.parametrize("way", ["arecv", "asend"])
@pytest.mark.parametrize("kind", ["tcp", "socketpair"])
def test_closed_while_a_task_waits(tmp_path: Path, rule: Rule, kind: str, way: str, reused: bool) -> None:
    async def main() -> None:
        both = connected(kind, tmp_path)
        with both.near, both.far, Successor(both.near) as other:
            stream = nf.FrameStream(both.near, **rule)
            task = asyncio.ensure_future(stream.arecv() if way == "arecv" else stream.asend([bytes(10 * MIB)]))
            await asyncio.sleep(0.1)
            assert not task.done()
            end = asyncio.ensure_future(to_the_end(both.far))
            await asyncio.sleep(0)  # it reads on, and has not come to the end
            if reused:
                other.take()
            else:
                both.near.close()
            with pytest.raises(OSError, match="closed") as caught:
                await asyncio.wait_for(task, 1)
            nothing_open(caught)
            await asyncio.wait_for(end, 1)
            other.untouched()

    run(main())


@pytest.mark.parametrize("way", ["recv", "send"])
def test_what_a_second_task_wants_is_refused_at_once(sockets: Pair, rule: Rule, way: str) -> None:
    """Even where it would not have to wait: nothing is taken, and nothing sent, beside the first."""
    stream = nf.FrameStream(sockets.near, **rule)
    first = [b"first" * 60_000, b"and more"]

    async def receive() -> None:
        task = asyncio.ensure_future(stream.arecv())
        await asyncio.sleep(0.02)
        deliver(sockets, wire([b"frame"], rule))
        with dl.lasting(0, 0.3), pytest.raises(RuntimeError):
            await stream.arecv()
        assert await task == [b"frame"]
        deliver(sockets, wire([b"next"], rule))
        assert await stream.arecv() == [b"next"]

    async def send() -> None:
        task = asyncio.ensure_future(stream.asend(first))
        await asyncio.sleep(0.02)
        got = nf.recv_exactly(sockets.far, min(150_000, waiting(sockets.far)))  # and there is room
        for frames in ([b"second"] * 2, [], [bytes(MIB)]):
            with dl.lasting(0, 0.3), pytest.raises(RuntimeError):
                await stream.asend(frames)
        loop = asyncio.get_running_loop()
        sockets.far.setblocking(False)
        while len(got) < len(wire(first, rule)):
            got += await loop.sock_recv(sockets.far, MIB)
        assert await task == 2
        assert got == wire(first, rule)
        assert await stream.asend([b"next"]) == 1
        assert await loop.sock_recv(sockets.far, MIB) == wire([b"next"], rule)

    run(receive() if way == "recv" else send())


@pytest.mark.parametrize("then", ["send", "asend"])
def test_cancelled_sends_leave_whole_frames_only(tmp_path: Path, rule: Rule, then: str) -> None:
    both = connected("socketpair", tmp_path, sending=20_000)
    source = random.Random(1)
    rounds = [[b"%d.%d;" % (turn, index) * 2000 for index in range(20)] for turn in range(40)]
    got = bytearray()

    async def main() -> None:
        stream = nf.FrameStream(both.near, **rule)
        for frames in rounds:
            task = asyncio.ensure_future(stream.asend(frames))
            for _ in range(source.randrange(1, 6)):
                await asyncio.sleep(0)
                with suppress(BlockingIOError):
                    got.extend(both.far.recv(source.randrange(1, 60_000), socket.MSG_DONTWAIT))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with over_and_over(lambda: got.extend(both.far.recv(MIB)), 10):
            both.far.settimeout(0.1)
            if then == "asend":
                assert await stream.asend([b"end"]) == 1
            else:
                assert stream.send([b"end"], timeout=10) == 1
        both.near.close()
        got.extend(streams_lab.drain(both.far))

    with both.near, both.far:
        asyncio.run(main())
    frames = unframed(bytes(got), rule)
    assert frames[-1] == b"end"
    cut = 0
    for turn, sent in enumerate(rounds):
        found = [frame for frame in frames if frame.startswith(b"%d." % turn)]
        assert found == sent[: len(found)]
        cut += 0 < len(found) < len(sent)
    assert sorted(frames[:-1], key=lambda frame: int(frame.partition(b".")[0])) == frames[:-1]
    assert cut > 3


def unframed(data: bytes, rule: Rule) -> list[bytes]:
    """The frames of a stream that ends with one."""
    near, far = socket.socketpair()

    def send() -> None:
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)

    with near, far, beside(send):
        return list(nf.FrameStream(near, **rule))


# --- what sending on a loop costs -----------------------------------------------------------------------------------

DRAIN = """
room, total = bytearray(1 << 16), 0
say("ready")
while n := sock.recv_into(room):
    total += n
    time.sleep(PAUSE)
say(total)
"""


@pytest.mark.parametrize(
    "frames", [[bytes(64 * MIB)], [b"x" * 100] * 1_000_000], ids=["a long frame", "many small frames"]
)
def test_sending_on_a_loop_costs_no_more_than_its_own_send(sockets: Pair, rule: Rule, frames: list[bytes]) -> None:
    """Less than half a second of CPU time more than `loop.sock_sendall` of as many bytes, to a reader that makes the
    sender wait a thousand times."""
    stream = nf.FrameStream(sockets.near, **rule, max_frame=1 << 30)
    content = bytes(sum(len(reference.framed(frame, **rule)) for frame in frames))

    async def cost(work: Callable[[], Awaitable[object]]) -> float:
        start = time.process_time()
        await asyncio.wait_for(work(), 50)
        return time.process_time() - start

    async def main() -> tuple[float, float]:
        sockets.near.setblocking(False)
        loop = asyncio.get_running_loop()
        plain = await cost(lambda: loop.sock_sendall(sockets.near, content))
        return plain, await cost(lambda: stream.asend(frames))

    with streams_lab.child(DRAIN.replace("PAUSE", "0.0002"), sockets.far) as reader:
        assert reader.says() == "ready"
        plain, framed = run(main())
        sockets.near.close()
        assert int(reader.says()) == 2 * len(content)
        reader.end()
    assert framed < plain + 0.5


# --- timeouts, while bytes flow -------------------------------------------------------------------------------------

FLOOD = """
part = bytes(1 << 20)
say("ready")
while True:
    sock.sendall(part)
"""


def test_a_sender_that_never_rests_does_not_outlast_a_timeout(tmp_path: Path) -> None:
    near, far = connected("socketpair", tmp_path)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * MIB)  # so that there is always more
    room = mmap.mmap(-1, 4096 * MIB)  # of which the kernel has none until it is written to
    try:
        with near, far, streams_lab.child(FLOOD, far) as sender:
            assert sender.says() == "ready"
            with dl.lasting(0.2, 0.6), pytest.raises(TimeoutError):
                nf.recv_exactly_into(near, room, timeout=0.2)
    finally:
        room.close()


SENDS: dict[str, Callable[[socket.socket], object]] = {
    "one buffer, many times": lambda sock: nf.send_all(sock, [bytes(64 * MIB)] * 1000, timeout=0.2),
    "small buffers": lambda sock: nf.send_all(sock, [b"x" * 1000] * 3_000_000, timeout=0.2),
    "long frames": lambda sock: nf.FrameStream(sock, prefix=">I").send([bytes(MIB)] * 100_000, timeout=0.2),
    "small frames": lambda sock: nf.FrameStream(sock, prefix=">I").send([b"x" * 1000] * 3_000_000, timeout=0.2),
}


@pytest.mark.parametrize("call", SENDS)
def test_a_reader_that_never_rests_does_not_outlast_a_timeout(sockets: Pair, call: str) -> None:
    with streams_lab.child(DRAIN.replace("time.sleep(PAUSE)", "pass"), sockets.far) as reader:
        assert reader.says() == "ready"
        with dl.lasting(0.2, 0.6), pytest.raises(TimeoutError) as caught:
            SENDS[call](sockets.near)
        assert sent_by(caught.value) > 0


# --- Ctrl-C, and other threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule_", "frames"),
    [
        ("delimiter=b'ab'", "[b'a' * (16 << 20)] * 60"),
        ("prefix='>I'", "[b''] * 10_000_000"),
        ("delimiter=b'ab'", "[b''] * 10_000_000"),
    ],
    ids=["what is almost a delimiter", "empty with a prefix", "empty with a delimiter"],
)
def test_ctrl_c_is_heard_while_frames_are_looked_at(sockets: Pair, rule_: str, frames: str) -> None:
    code = f"""
frames = {frames}
stream = nf.FrameStream(sock, {rule_})
try:
    say("ready")
    stream.send(frames)
except KeyboardInterrupt:
    say(time.monotonic())
else:
    say("ended")
"""
    with streams_lab.child(code, sockets.near) as process:
        assert process.says() == "ready"
        assert 0 < process.interrupt() < 0.3
        process.end()


@contextmanager
def others_run(most: float = 0.2) -> Iterator[None]:
    """Another thread, which sleeps a millisecond at a time, is never stopped for so long."""
    gaps, done = [0.0], threading.Event()

    def tick() -> None:
        last = time.monotonic()
        while not done.is_set():
            time.sleep(0.001)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    with beside(tick):
        try:
            yield
        finally:
            done.set()
    assert len(gaps) > 10
    assert max(gaps) < most


def test_others_run_while_frames_are_looked_at(sockets: Pair) -> None:
    stream = nf.FrameStream(sockets.near, delimiter=b"\0\0\0\1", max_frame=1 << 30)
    with others_run(), pytest.raises(TimeoutError) as caught:
        stream.send([bytes(64 * MIB)] * 4, timeout=0.1)
    assert sent_by(caught.value) <= 1  # gone in part


def test_ctrl_c_is_heard_while_frames_are_iterated_over(sockets: Pair) -> None:
    code = """
import collections
try:
    say("ready")
    collections.deque(nf.FrameStream(sock, prefix=">B"), maxlen=0)
except KeyboardInterrupt:
    say(time.monotonic())
"""
    sockets.far.settimeout(0.1)
    with over_and_over(lambda: sockets.far.send(bytes(MIB)), 5), streams_lab.child(code, sockets.near) as process:
        assert process.says() == "ready"
        assert 0 < process.interrupt() < 0.3
        process.end()


def test_others_run_while_frames_are_iterated_over(sockets: Pair) -> None:
    """Many in one read: a large frame has made room for it."""
    large, count = bytes(16 * MIB - 1), 16 * MIB
    stream = nf.FrameStream(sockets.near, delimiter=b"\n")
    with beside(lambda: sockets.far.sendall(large + b"\n" * count)), others_run():
        assert next(iter(stream)) == large
        assert sum(1 for _ in itertools.islice(stream, count - 1)) == count - 1


# --- what cannot be ------------------------------------------------------------------------------------------------


def test_more_than_there_can_be_is_no_memory_and_nothing_else(sockets: Pair) -> None:
    code = """
try:
    nf.recv_exactly(sock, 2**62)
except MemoryError:
    say("MemoryError")
"""
    with streams_lab.child(code, sockets.near) as process:
        assert process.says() == "MemoryError"
        _, error = process.process.communicate(timeout=lab.LIMIT)
        assert (process.process.returncode, error) == (0, "")


@pytest.mark.parametrize("wrong", [b"abc", memoryview(b"abc"), "abc", None, 3], ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_room_is_called_by_its_name(sockets: Pair, wrong: Any) -> None:
    deliver(sockets, b"abc")
    with pytest.raises((TypeError, BufferError), match="buffer"):
        nf.recv_exactly_into(sockets.near, wrong)
    assert waiting(sockets.near) == 3
