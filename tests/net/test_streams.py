"""send_all, recv_exactly and recv_exactly_into, over every kind of stream socket."""

from __future__ import annotations

import array
import errno
import mmap
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netfast as nf
from builds import SANITIZED
from net import lab, streams_lab
from net.streams_lab import Pair, beside, connected, deliver, drain, fill, limits, until, waiting

Call = Callable[..., Any]


def into(sock: socket.socket, n: int, **options: Any) -> bytes:
    """recv_exactly_into with the arguments of recv_exactly."""
    buffer = bytearray(n)
    done = nf.recv_exactly_into(sock, buffer, **options)  # type: ignore[func-returns-value]
    assert done is None
    return bytes(buffer)


@pytest.fixture(params=["recv_exactly", "recv_exactly_into"])
def receive(request: pytest.FixtureRequest) -> Call:
    return into if request.param == "recv_exactly_into" else nf.recv_exactly


def some_bytes(n: int) -> bytes:
    return random.Random(n).randbytes(n)


def unchanged(sock: socket.socket, timeout: float | None) -> None:
    """Open, and set as it was."""
    assert sock.fileno() >= 0
    assert sock.gettimeout() == timeout
    assert os.get_blocking(sock.fileno()) == (timeout is None)


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_buffer_is_sent(pair: Pair, kind: Call) -> None:
    assert nf.send_all(pair.near, kind(b"hello")) == 5
    assert nf.send_all(pair.near, kind(b"")) == 0
    pair.near.close()
    assert drain(pair.far) == b"hello"


@pytest.mark.parametrize("form", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_buffers_are_sent_in_order(pair: Pair, form: Call) -> None:
    numbers = array.array("I", [1, 2, 3])
    two_rows = memoryview(b"abcdef").cast("B", [2, 3])
    buffers = [b"one", b"", bytearray(b"two"), memoryview(b"xthreex")[1:6], numbers, two_rows, np.arange(3), b""]
    expected = b"onetwothree" + numbers.tobytes() + b"abcdef" + np.arange(3).tobytes()
    assert nf.send_all(pair.near, form(buffers)) == len(expected)
    pair.near.close()
    assert drain(pair.far) == expected


def test_nothing_is_sent(pair: Pair) -> None:
    assert nf.send_all(pair.near, []) == 0
    assert nf.send_all(pair.near, [b""] * 5000) == 0
    assert waiting(pair.far) == 0


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2048, 2049, 10_000])
def test_thousands_of_buffers(pair: Pair, count: int) -> None:
    buffers = [some_bytes(index % 7) for index in range(count)]
    expected = b"".join(buffers)
    received: list[bytes] = []
    with beside(lambda: received.append(nf.recv_exactly(pair.far, len(expected)))):
        assert nf.send_all(pair.near, iter(buffers)) == len(expected)
    assert received == [expected]


def test_runs_of_empty_buffers_around_full_ones(pair: Pair) -> None:
    buffers = [b""] * 1024 + [b"a"] + [b""] * 1500 + [b"b"] + [b""] * 2048 + [b"c"]
    assert nf.send_all(pair.near, buffers) == 3
    pair.near.close()
    assert drain(pair.far) == b"abc"


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_what_the_kernel_takes_in_parts_arrives_whole(tiny: Pair, timeout: float | None) -> None:
    # Parts end within buffers, at their ends, and within thousands of them.
    buffers = [some_bytes(size) for size in (1, 300_000, 0, 5, 70_001, *([3] * 3000), 100_000)]
    expected = b"".join(buffers)
    tiny.near.settimeout(timeout)
    received: list[bytes] = []
    with beside(lambda: received.append(nf.recv_exactly(tiny.far, len(expected)))):
        assert nf.send_all(tiny.near, buffers) == len(expected)
    assert received == [expected]
    unchanged(tiny.near, timeout)


def test_one_large_buffer(pair: Pair) -> None:
    data = some_bytes(20_000_000)
    received: list[bytes] = []
    with beside(lambda: received.append(nf.recv_exactly(pair.far, len(data)))):
        assert nf.send_all(pair.near, data) == len(data)
    assert received == [data]


@pytest.mark.parametrize(
    ("setting", "options", "error", "seconds"),
    [
        (0.2, {}, TimeoutError, 0.2),
        (0.0, {}, BlockingIOError, 0),
        (None, {"timeout": 0.2}, TimeoutError, 0.2),
        (5.0, {"timeout": 0.2}, TimeoutError, 0.2),
        (0.0, {"timeout": 0.2}, TimeoutError, 0.2),
        (None, {"timeout": 0}, TimeoutError, 0),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_what_was_sent_is_told_when_time_is_up(
    pair: Pair, setting: float | None, options: dict[str, Any], error: type[OSError], seconds: float, many: bool
) -> None:
    data = some_bytes(1 << 24)
    buffers = [data[start : start + 5001] for start in range(0, len(data), 5001)]
    pair.near.settimeout(setting)
    with limits(seconds, seconds), pytest.raises(error) as caught:
        nf.send_all(pair.near, buffers if many else data, **options)
    assert type(caught.value) is error
    unchanged(pair.near, setting)
    pair.near.close()
    received = drain(pair.far)
    assert 0 < len(received) < len(data)
    assert caught.value.sent == len(received)  # type: ignore[attr-defined]
    assert f"{len(received):,}" in str(caught.value)
    assert received == data[: len(received)]


def test_nothing_was_sent_when_there_is_no_room(sockets: Pair) -> None:
    fill(sockets.near)
    with limits(0, 0), pytest.raises(TimeoutError) as caught:
        nf.send_all(sockets.near, [b"a"] * 10, timeout=0)
    assert caught.value.sent == 0  # type: ignore[attr-defined]


def test_a_timeout_is_for_the_whole_call(sockets: Pair) -> None:
    fill(sockets.near)
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.05):
            sockets.far.recv(8192)

    with beside(trickle):
        try:
            with limits(0.3, 0.3), pytest.raises(TimeoutError):
                nf.send_all(sockets.near, bytes(1 << 24), timeout=0.3)
        finally:
            done.set()


def test_none_waits_for_ever_whatever_the_socket_says(pair: Pair) -> None:
    for setting in (0.0, 0.1):
        pair.near.settimeout(setting)
        data = some_bytes(1 << 23)
        received: list[bytes] = []

        def read(size: int = len(data), received: list[bytes] = received) -> None:
            time.sleep(0.3)
            received.append(nf.recv_exactly(pair.far, size))

        with beside(read):
            assert nf.send_all(pair.near, data, timeout=None) == len(data)
        assert received == [data]
        unchanged(pair.near, setting)


def test_a_peer_that_has_gone(pair: Pair) -> None:
    pair.far.close()
    with pytest.raises(OSError, match=r".") as caught:
        for _ in range(50):  # a TCP socket hears of it when it has sent
            nf.send_all(pair.near, [b"x"])
            time.sleep(0.01)
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)
    assert caught.value.sent == 0  # type: ignore[attr-defined]
    unchanged(pair.near, None)


def test_a_peer_that_goes_meanwhile(pair: Pair) -> None:
    def leave() -> None:
        nf.recv_exactly(pair.far, 100_000)
        pair.far.close()

    data = bytes(1 << 24)
    with beside(leave), pytest.raises(ConnectionError) as caught:
        nf.send_all(pair.near, data)
    assert type(caught.value) in (BrokenPipeError, ConnectionResetError)
    assert 100_000 <= caught.value.sent < len(data)  # type: ignore[attr-defined]


def test_own_end_shut(pair: Pair) -> None:
    pair.near.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError) as caught:
        nf.send_all(pair.near, b"x")
    assert caught.value.sent == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, ["text"], [5], [None]])
def test_what_is_no_bytes_is_refused(sockets: Pair, wrong: Any) -> None:
    with pytest.raises(TypeError):
        nf.send_all(sockets.near, wrong)
    assert waiting(sockets.far) == 0


@pytest.mark.parametrize("index", [0, 1, 1500])
@pytest.mark.parametrize("form", [list, iter], ids=["list", "iterator"])
def test_text_is_refused_by_its_index(sockets: Pair, index: int, form: Call) -> None:
    with pytest.raises(TypeError, match=rf"\b{index}\b") as caught:
        nf.send_all(sockets.near, form([*[b"a"] * index, "text", b"b"]))
    assert "str" in str(caught.value)


def test_what_is_not_contiguous_is_refused(sockets: Pair) -> None:
    view, matrix = memoryview(b"abcdef")[::2], np.arange(12).reshape(3, 4).T
    for buffers in (view, matrix, [b"a", view], [b"a", matrix]):
        with pytest.raises((BufferError, ValueError, TypeError), match="contiguous"):
            nf.send_all(sockets.near, buffers)
    assert waiting(sockets.far) == 0


def test_buffers_are_let_go(sockets: Pair) -> None:
    buffers = [bytearray(b"abc") for _ in range(3)]
    nf.send_all(sockets.near, buffers)
    with pytest.raises(TypeError):
        nf.send_all(sockets.near, [*buffers, "text"])
    fill(sockets.near)
    with pytest.raises(TimeoutError):
        nf.send_all(sockets.near, buffers, timeout=0)
    sockets.far.close()
    with pytest.raises(ConnectionError):
        nf.send_all(sockets.near, buffers)
    for buffer in buffers:
        buffer.append(1)  # a BufferError as long as it is held


def test_a_buffer_is_held_while_it_is_sent(sockets: Pair) -> None:
    buffer = bytearray(1 << 24)
    received: list[bytes] = []

    def look() -> None:
        until(lambda: waiting(sockets.far) > 0)
        try:
            with pytest.raises(BufferError):
                buffer.append(1)
        finally:
            received.append(nf.recv_exactly(sockets.far, 1 << 24))

    with beside(look):
        assert nf.send_all(sockets.near, [buffer]) == 1 << 24
    assert received == [bytes(1 << 24)]
    buffer.append(1)


def test_what_an_iterator_raises_comes_through(sockets: Pair) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        nf.send_all(sockets.near, broken())


# --- receiving --------------------------------------------------------------------------------------------------------


def test_as_much_as_was_asked_for(pair: Pair, receive: Call) -> None:
    data = some_bytes(1000)
    deliver(pair, data)
    got = [receive(pair.near, n) for n in (1, 0, 9, 490, 500)]
    assert got == [data[:1], b"", data[1:10], data[10:500], data[500:]]
    assert all(type(part) is bytes for part in got)
    unchanged(pair.near, None)


def test_pieces_are_put_together(tiny: Pair, receive: Call) -> None:
    data = some_bytes(300_000)
    with beside(lambda: tiny.far.sendall(data)):
        assert receive(tiny.near, 299_999) == data[:-1]
    assert receive(tiny.near, 1) == data[-1:]


def test_a_piece_at_a_time(sockets: Pair, receive: Call) -> None:
    def trickle() -> None:
        for letter in b"netfast":
            time.sleep(0.02)
            sockets.far.send(bytes([letter]))

    with beside(trickle):
        assert receive(sockets.near, 7) == b"netfast"


def test_a_megabyte_and_more(pair: Pair, receive: Call) -> None:
    data = some_bytes(50_000_000)
    with beside(lambda: pair.far.sendall(data)):
        assert receive(pair.near, len(data)) == data


@pytest.mark.parametrize("got", [0, 1, 999])
def test_the_end_comes_too_soon(pair: Pair, receive: Call, got: int) -> None:
    pair.far.sendall(bytes(got))
    pair.far.close()
    with pytest.raises(EOFError, match=rf"\b{got}\b.*\b1,000\b"):
        receive(pair.near, 1000)
    unchanged(pair.near, None)


def test_nothing_is_always_there(pair: Pair, receive: Call) -> None:
    assert receive(pair.near, 0) == b""
    pair.near.settimeout(0)
    assert receive(pair.near, 0) == b""
    pair.far.close()
    assert receive(pair.near, 0) == b""
    assert receive(pair.near, 0, timeout=0) == b""


@pytest.mark.parametrize(
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
@pytest.mark.parametrize("got", [0, 3])
def test_time_is_up(
    pair: Pair,
    receive: Call,
    setting: float | None,
    options: dict[str, Any],
    error: type[OSError],
    seconds: float,
    got: int,
) -> None:
    deliver(pair, bytes(got))
    pair.near.settimeout(setting)
    with limits(seconds, seconds), pytest.raises(error) as caught:
        receive(pair.near, 10, **options)
    assert type(caught.value) is error
    unchanged(pair.near, setting)


def test_what_is_there_needs_no_time(pair: Pair, receive: Call) -> None:
    deliver(pair, b"abcdef")
    assert receive(pair.near, 3, timeout=0) == b"abc"
    pair.near.settimeout(0)
    assert receive(pair.near, 3) == b"def"


def test_a_timeout_is_not_for_each_piece(sockets: Pair, receive: Call) -> None:
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.05):
            sockets.far.send(b"x")

    with beside(trickle):
        try:
            with limits(0.3, 0.3), pytest.raises(TimeoutError):
                receive(sockets.near, 1000, timeout=0.3)
        finally:
            done.set()


def test_none_waits_whatever_the_socket_says(pair: Pair, receive: Call) -> None:
    for setting in (0.0, 0.05):
        pair.near.settimeout(setting)

        def late() -> None:
            time.sleep(0.3)
            pair.far.sendall(b"late")

        with beside(late):
            assert receive(pair.near, 4, timeout=None) == b"late"
        unchanged(pair.near, setting)


@pytest.mark.parametrize("timeout", [86_400, 1e6])
def test_a_timeout_may_be_very_long(sockets: Pair, receive: Call, timeout: float) -> None:
    def late() -> None:
        time.sleep(0.05)
        sockets.far.sendall(b"late")

    with beside(late):
        assert receive(sockets.near, 4, timeout=timeout) == b"late"


def test_a_socket_may_be_set_to_wait_longer(sockets: Pair, receive: Call) -> None:
    sockets.near.settimeout(5e9)

    def late() -> None:
        time.sleep(0.05)
        sockets.far.sendall(b"late")

    with beside(late):
        assert receive(sockets.near, 4) == b"late"


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
def test_a_timeout_may_be_wrong(sockets: Pair, receive: Call, timeout: Any, error: type[Exception]) -> None:
    deliver(sockets, b"x")
    for call in (
        lambda: receive(sockets.near, 1, timeout=timeout),
        lambda: nf.send_all(sockets.near, b"x", timeout=timeout),
    ):
        with pytest.raises(error):
            call()
    assert waiting(sockets.near) == 1
    assert waiting(sockets.far) == 0


@pytest.mark.parametrize("n", [-1, -(2**31), -(2**63), -(2**70)])
def test_less_than_nothing_is_refused(sockets: Pair, n: int) -> None:
    deliver(sockets, b"x")
    with pytest.raises((ValueError, OverflowError) if n < -(2**63) else ValueError):
        nf.recv_exactly(sockets.near, n)
    assert waiting(sockets.near) == 1


@pytest.mark.parametrize("n", [1.0, "1", None, b"1"])
def test_a_count_is_an_integer(sockets: Pair, n: Any) -> None:
    with pytest.raises(TypeError):
        nf.recv_exactly(sockets.near, n)


@pytest.mark.parametrize("n", [2**40, 2**62, 2**63 - 1, 2**63, 2**64 + 5])
def test_more_than_there_can_be(sockets: Pair, n: int) -> None:
    # Whether it asks for the memory at once or as bytes come: quickly, and without touching it.
    sockets.far.send(b"hello")
    sockets.far.close()
    with limits(0, 1), pytest.raises((MemoryError, OverflowError, ValueError, EOFError)):
        nf.recv_exactly(sockets.near, n)


GREEDY = """
say(status("VmHWM"))
try:
    nf.recv_exactly(sock, 1 << 32, timeout=0.2)
except (TimeoutError, MemoryError):
    say(status("VmHWM"))
"""


def test_memory_is_touched_as_bytes_come(sockets: Pair) -> None:
    with streams_lab.child(GREEDY, sockets.near) as process:
        before = int(process.says())
        assert int(process.says()) - before < 64 << 20 or SANITIZED
        process.end()


def test_any_writable_buffer_is_filled(sockets: Pair) -> None:
    numbers = array.array("H", bytes(6))
    matrix = np.zeros((2, 3), np.uint8)
    mapped = mmap.mmap(-1, 6)
    whole = bytearray(b"xxxxxxxxxx")
    for buffer in (numbers, matrix, mapped, memoryview(whole)[2:8]):
        sockets.far.send(b"abcdef")
        nf.recv_exactly_into(sockets.near, buffer)
    assert numbers.tobytes() == matrix.tobytes() == mapped[:] == b"abcdef"
    assert whole == b"xxabcdefxx"
    mapped.close()


def test_a_buffer_must_be_writable_and_contiguous(sockets: Pair) -> None:
    deliver(sockets, b"abcdef")
    wrong: list[tuple[Any, type[Exception] | tuple[type[Exception], ...]]] = [
        (b"abcdef", (TypeError, BufferError, ValueError)),
        (memoryview(b"abcdef"), (TypeError, BufferError, ValueError)),
        (memoryview(bytearray(6))[::2], (TypeError, BufferError, ValueError)),
        ("abcdef", TypeError),
        (6, TypeError),
        (None, TypeError),
        ([bytearray(6)], TypeError),
    ]
    for buffer, error in wrong:
        with pytest.raises(error):
            nf.recv_exactly_into(sockets.near, buffer)
    assert waiting(sockets.near) == 6


def test_a_buffer_is_held_meanwhile_and_let_go(sockets: Pair) -> None:
    buffer = bytearray(4)

    def look() -> None:
        time.sleep(0.1)
        try:
            with pytest.raises(BufferError):
                buffer.append(1)
        finally:
            sockets.far.send(b"abcd")

    with beside(look):
        nf.recv_exactly_into(sockets.near, buffer)
    buffer.append(1)
    with pytest.raises(TimeoutError):
        nf.recv_exactly_into(sockets.near, buffer, timeout=0)
    buffer.append(1)
    sockets.far.close()
    with pytest.raises(EOFError):
        nf.recv_exactly_into(sockets.near, buffer)
    buffer.append(1)


def test_a_reset_is_no_end(tmp_path: Path, receive: Call) -> None:
    both = connected("tcp", tmp_path)
    with both.near:
        streams_lab.reset(both.far)
        until(lambda: both.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x07")  # TCP_CLOSE
        with pytest.raises(ConnectionResetError):
            receive(both.near, 5)


def test_an_end_is_heard_in_a_wait(pair: Pair, receive: Call) -> None:
    def leave() -> None:
        time.sleep(0.1)
        pair.far.close()

    with beside(leave), limits(0.1, 0.2), pytest.raises(EOFError):
        receive(pair.near, 5)


# --- both -------------------------------------------------------------------------------------------------------------

CALLS: list[Call] = [
    lambda sock: nf.send_all(sock, b"x"),
    lambda sock: nf.send_all(sock, [b"x"]),
    lambda sock: nf.recv_exactly(sock, 1),
    lambda sock: nf.recv_exactly_into(sock, bytearray(1)),
]
every_call = pytest.mark.parametrize("call", CALLS, ids=["one", "many", "recv_exactly", "recv_exactly_into"])


@every_call
def test_a_closed_socket_is_named_so(call: Call) -> None:
    near, far = socket.socketpair()
    near.close()
    with far, pytest.raises(OSError, match="closed") as caught:
        call(near)
    assert caught.value.errno == errno.EBADF


@every_call
def test_datagrams_are_no_stream(call: Call) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        far.send(b"x")
        for wrong in (near, udp):
            with pytest.raises(ValueError, match="stream"):
                call(wrong)
        assert near.recv(10, socket.MSG_DONTWAIT) == b"x"


@every_call
@pytest.mark.parametrize("wrong", [None, 3, "127.0.0.1:80", sys.stdout])
def test_what_is_no_socket(call: Call, wrong: Any) -> None:
    with pytest.raises(TypeError):
        call(wrong)


@every_call
def test_tls_is_not_gone_beneath(call: Call, sockets: Pair) -> None:
    # What is sent would not be encrypted, and what is read not be decrypted.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    sockets.far.send(b"x")
    with context.wrap_socket(sockets.near, server_hostname="localhost", do_handshake_on_connect=False) as secured:
        with pytest.raises((TypeError, ValueError)):
            call(secured)
        assert waiting(sockets.far) == 0


@every_call
def test_a_socket_without_a_peer(call: Call) -> None:
    with socket.socket() as alone, pytest.raises(OSError, match=r".") as caught:
        call(alone)
    assert caught.value.errno in (errno.ENOTCONN, errno.EPIPE)


@pytest.mark.parametrize(
    "call",
    [
        "nf.send_all(sock, bytes(1 << 26))",
        "nf.send_all(sock, [bytes(100)] * 1_000_000)",
        "nf.send_all(sock, bytes(1 << 26), timeout=30)",
        "nf.recv_exactly(sock, 10)",
        "nf.recv_exactly(sock, 10, timeout=30)",
        "nf.recv_exactly_into(sock, bytearray(10))",
    ],
)
def test_ctrl_c_is_heard_at_once(pair: Pair, call: str) -> None:
    code = f"""
nf.send_all, nf.recv_exactly
try:
    say("ready")
    {call}
except KeyboardInterrupt:
    say(time.monotonic())
"""
    with streams_lab.child(code, pair.near) as process:
        assert process.says() == "ready"
        assert 0 < process.interrupt() < 0.2
        process.end()


@pytest.mark.parametrize("call", ["nf.send_all(sock, [data] * 100)", "nf.recv_exactly_into(sock, room)"])
def test_ctrl_c_is_heard_while_bytes_flow(sockets: Pair, call: str) -> None:
    code = f"""
data, room = bytes(1 << 26), bytearray(1 << 29)
nf.send_all, nf.recv_exactly
try:
    say("ready")
    {call}
    say("ended")
except KeyboardInterrupt:
    say(time.monotonic())
"""
    done = threading.Event()

    def flow() -> None:
        part = bytearray(1 << 16)
        sockets.far.settimeout(0.1)
        while not done.is_set():
            with suppress(TimeoutError):
                if "send" in call:
                    sockets.far.recv_into(part)
                else:
                    sockets.far.send(part)
                    time.sleep(0.0005)

    with streams_lab.child(code, sockets.near) as process, beside(flow):
        try:
            assert process.says() == "ready"
            assert 0 < process.interrupt() < 0.2
            process.end()
        finally:
            done.set()


def test_signals_change_nothing(sockets: Pair, receive: Call) -> None:
    rings = 0

    def ring(number: int, frame: object) -> None:
        nonlocal rings
        rings += 1

    before = signal.signal(signal.SIGUSR1, ring)
    done = threading.Event()

    def annoy() -> None:
        while not done.wait(0.002):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    try:
        with beside(annoy):
            try:
                with limits(0.3, 0.3), pytest.raises(TimeoutError):
                    receive(sockets.near, 10, timeout=0.3)
                sockets.far.send(b"x")
                with limits(0.2, 0.2), pytest.raises(TimeoutError):
                    receive(sockets.near, 10, timeout=0.2)
                fill(sockets.near)
                with limits(0.3, 0.3), pytest.raises(TimeoutError):
                    nf.send_all(sockets.near, b"x", timeout=0.3)
            finally:
                done.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert rings > 50


def test_others_run_meanwhile(sockets: Pair, receive: Call) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.01):
            ticks += 1
        sockets.far.send(b"done")

    timer = threading.Timer(0.3, done.set)
    timer.start()
    with beside(tick):
        assert receive(sockets.near, 4) == b"done"
    timer.join()
    assert ticks >= 10


def test_a_thread_in_each_direction(pair: Pair) -> None:
    data = some_bytes(8_000_000)
    results: list[bytes] = []

    def echo() -> None:
        for _ in range(8):
            nf.send_all(pair.far, nf.recv_exactly(pair.far, 1_000_000))

    def read() -> None:
        results.append(nf.recv_exactly(pair.near, len(data)))

    with beside(echo), beside(read):
        nf.send_all(pair.near, [data[:4_000_001], data[4_000_001:]])
    assert results == [data]


SENDING = """
buffers = [b"x" * 10] * 10_000
nf.send_all
say("ready")
hear()
say(nf.send_all(sock, buffers))
"""


def test_buffers_go_by_the_thousand(sockets: Pair, tool: Callable[[str], str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with streams_lab.traced(tool("strace"), log, SENDING, sockets.near) as process:
        assert process.says() == "ready"
        process.hears()
        assert nf.recv_exactly(sockets.far, 100_000) == b"x" * 100_000
        assert process.says() == "100000"
        process.end()
    sent = streams_lab.calls(log, sockets.near, *streams_lab.SENDING)
    assert 1 <= len(sent) <= 20


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = lab.descriptors()
    for _ in range(1000):
        near, far = socket.socketpair()
        nf.send_all(near, [b"ab", b"c"])
        assert nf.recv_exactly(far, 3) == b"abc"
        near.close()
        with pytest.raises(EOFError):
            nf.recv_exactly(far, 1)
        far.close()
    assert lab.descriptors() == before
