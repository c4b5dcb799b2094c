"""FrameStream on a running event loop: beside other tasks, cancelled, on sockets that are set in every way."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

import netfast as nf
from net import datagrams_lab as dl, lab, streams_lab
from net.streams_lab import Pair, Rule, connected, some_frames, waiting, wire

T = TypeVar("T")


def unchanged(sock: socket.socket, timeout: float | None) -> None:
    """Open, and set as it was."""
    assert sock.fileno() >= 0
    assert sock.gettimeout() == timeout
    assert os.get_blocking(sock.fileno()) == (timeout is None)


def watched() -> int:
    """The descriptors that the running loop watches."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    return len(selector.get_map())


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, within bounds, after which the loop watches nothing of the test's."""

    async def bounded() -> T:
        before = watched()
        result = await asyncio.wait_for(main, 30)
        await asyncio.sleep(0)
        assert watched() == before
        return result

    before = lab.descriptors()
    result = asyncio.run(bounded())
    assert lab.descriptors() == before
    return result


@pytest.fixture(params=[None, 0.0, 5.0], ids=["blocking", "non-blocking", "timeout"])
def setting(request: pytest.FixtureRequest) -> float | None:
    timeout: float | None = request.param
    return timeout


def test_frames_beside_other_tasks(pair: Pair, rule: Rule, setting: float | None) -> None:
    frames = some_frames(20_000)
    pair.near.settimeout(setting)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)

    async def echo() -> None:
        while some := await far.arecv():
            assert await far.asend(some) == len(some)

    async def read() -> list[bytes]:
        received: list[bytes] = []
        while len(received) < len(frames):
            some = await near.arecv(500)
            assert 0 < len(some) <= 500
            received += some
        return received

    async def main() -> list[bytes]:
        server = asyncio.ensure_future(echo())
        # More than both ways hold: who sends must give way to who reads.
        received, sent = await asyncio.gather(read(), near.asend(frames))
        assert sent == len(frames)
        pair.near.shutdown(socket.SHUT_WR)
        await server
        return received

    assert run(main()) == frames
    unchanged(pair.near, setting)
    unchanged(pair.far, None)


def test_the_loop_runs_while_frames_are_waited_for(sockets: Pair, rule: Rule, setting: float | None) -> None:
    sockets.near.settimeout(setting)
    stream = nf.FrameStream(sockets.near, **rule)

    async def main() -> list[bytes]:
        task = asyncio.ensure_future(stream.arecv())
        for byte in wire([b"slow"], rule):
            await asyncio.sleep(0.01)
            assert not task.done()
            sockets.far.send(bytes([byte]))
        return await task

    assert run(main()) == [b"slow"]
    unchanged(sockets.near, setting)


def test_cancelled_waits_lose_nothing(pair: Pair, rule: Rule) -> None:
    frames = some_frames(200, 50)
    data = wire(frames, rule)
    stream = nf.FrameStream(pair.near, **rule)
    source = random.Random(1)

    async def main() -> list[bytes]:
        received: list[bytes] = []
        before = watched()
        at = 0
        while len(received) < len(frames):
            size = source.randrange(1, 60)
            task = asyncio.ensure_future(stream.arecv())
            for _ in range(source.randrange(4)):
                await asyncio.sleep(0)
            pair.far.sendall(data[at : at + size])
            at += size
            for _ in range(source.randrange(4)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                received += await task
            except asyncio.CancelledError:
                assert watched() == before
        return received

    assert run(main()) == frames
    assert stream.buffered == b""


def test_wait_for_loses_nothing(sockets: Pair, rule: Rule) -> None:
    data = wire([b"one", b"two"], rule)
    stream = nf.FrameStream(sockets.near, **rule)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.arecv(), 0.05)
        sockets.far.sendall(data[:4])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.arecv(), 0.05)
        assert stream.buffered == data[:4]
        sockets.far.sendall(data[4:])
        assert await asyncio.wait_for(stream.arecv(1), 5) == [b"one"]
        assert stream.recv(timeout=0) == [b"two"]

    run(main())


def test_a_cancelled_send_tears_no_frame(pair: Pair, rule: Rule) -> None:
    frame = b"x" * (1 << 23)
    near, far = nf.FrameStream(pair.near, **rule), nf.FrameStream(pair.far, **rule)

    async def read() -> list[bytes]:
        received: list[bytes] = []
        try:
            while some := await asyncio.wait_for(far.arecv(), 2):
                received += some
        except (EOFError, asyncio.TimeoutError):
            pass
        return received

    async def main() -> None:
        before = watched()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(near.asend([b"first", frame]), 0.1)
        assert watched() == before
        task = asyncio.ensure_future(read())
        try:
            assert await near.asend([b"next"]) == 1
            then = [b"first", frame, b"next"]
        except (OSError, ValueError, RuntimeError):
            then = [b"first"]
        pair.near.shutdown(socket.SHUT_WR)
        assert await task == then

    run(main())


def test_ends_and_limits_beside_other_tasks(sockets: Pair, rule: Rule) -> None:
    async def main() -> None:
        sockets.far.sendall(wire([b"a", b"too long"], rule))
        stream = nf.FrameStream(sockets.near, **rule, max_frame=5)
        assert await stream.arecv() == [b"a"]
        with pytest.raises(ValueError, match="5"):
            await stream.arecv()
        with pytest.raises(ValueError, match="5"):
            await stream.asend([b"a", b"too long"])
        assert waiting(sockets.far) == 0
        for rest, then in ((b"", []), (wire([b"half"], rule)[:-1], EOFError)):
            other = Pair(*socket.socketpair())
            with other.near, other.far:
                other.far.sendall(wire([b"a"], rule) + rest)
                other.far.close()
                stream = nf.FrameStream(other.near, **rule)
                assert await stream.arecv() == [b"a"]
                if then == []:
                    assert await stream.arecv() == []
                    continue
                with pytest.raises(EOFError):
                    await stream.arecv()
                assert stream.buffered == rest

    run(main())


def test_a_reset_beside_other_tasks(tmp_path: Path, rule: Rule) -> None:
    async def main() -> None:
        both = connected("tcp", tmp_path)
        with both.near:
            stream = nf.FrameStream(both.near, **rule)
            task = asyncio.ensure_future(stream.arecv())
            await asyncio.sleep(0.02)
            streams_lab.reset(both.far)
            with pytest.raises(ConnectionResetError):
                await task

    run(main())


def test_many_streams_at_once(rule: Rule) -> None:
    async def one(number: int) -> None:
        both = Pair(*socket.socketpair())
        with both.near, both.far:
            near, far = nf.FrameStream(both.near, **rule), nf.FrameStream(both.far, **rule)
            for turn in range(5):
                frame = b"%d.%d" % (number, turn)
                assert await near.asend([frame]) == 1
                task = asyncio.ensure_future(far.arecv())
                await asyncio.sleep(0)
                assert await task == [frame]

    async def main() -> None:
        await asyncio.gather(*map(one, range(500)))

    run(main())


def test_ctrl_c_in_a_loop() -> None:
    code = """
import asyncio
stream = nf.FrameStream(sock, prefix=">I")
try:
    say("ready")
    asyncio.run(stream.arecv())
except KeyboardInterrupt:
    say(time.monotonic())
say(stream.recv())
"""
    near, far = socket.socketpair()
    with near, far, streams_lab.child(code, near) as process:
        assert process.says() == "ready"
        far.sendall(b"\0\0\0\2x")
        assert 0 < process.interrupt() < 0.2
        far.sendall(b"y")
        assert process.says() == str([b"xy"])
        process.end()


SO_TIMESTAMPING, SENT_STAMPS = 37, 2 | 16  # SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE (Linux)


@pytest.mark.parametrize("way", ["arecv", "asend"])
def test_an_error_queue_that_is_the_callers_makes_no_loop_spin(tmp_path: Path, rule: Rule, way: str) -> None:
    """The stamps of what was sent wait there until the caller reads them, and the socket is said to be ready."""
    both = connected("tcp", tmp_path)
    with both.near, both.far:
        both.near.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SENT_STAMPS)
        stream, other = nf.FrameStream(both.near, **rule), nf.FrameStream(both.far, **rule)
        stream.send([b"stamped"])
        assert other.recv() == [b"stamped"]
        if way == "asend":
            before = streams_lab.fill(both.near)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in range(3):
                frame = b"%d" % number
                if way == "arecv":
                    task = asyncio.ensure_future(stream.arecv())
                    loop.call_later(0.3, other.send, [frame])
                    with dl.lasting(0.29, 0.5), dl.idle(0.25):
                        assert await task == [frame]
            if way == "asend":
                with dl.idle(0.25), pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(stream.asend([bytes(1 << 23)]), 0.5)

        asyncio.run(main())
        if way == "asend":
            assert len(nf.recv_exactly(both.far, before)) == before
        both.near.recvmsg(999, 999, socket.MSG_ERRQUEUE)  # still there
