"""Pairs of connected stream sockets, and processes that work on one end of them."""

from __future__ import annotations

import array
import fcntl
import random
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import reference
from net import lab

KINDS = ("socketpair", "tcp", "tcp6", "unix")
Rule = dict[str, Any]  # how frames are cut: the options of FrameStream
PREFIX: Rule = {"prefix": ">I"}
LINES: Rule = {"delimiter": b"\r\n"}
SLACK = 0.5  # seconds that a busy machine may add to a wait


class Pair(NamedTuple):
    near: socket.socket
    far: socket.socket


def _accepted(listener: socket.socket, client: socket.socket) -> Pair:
    with listener:
        listener.listen(1)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    return Pair(client, server)


def connected(kind: str, folder: Path, *, sending: int = 0, receiving: int = 0) -> Pair:
    """A pair of a kind; `sending` and `receiving` are the bytes of its buffers that are asked for, 0 for the usual."""
    if kind == "socketpair":
        pair = Pair(*socket.socketpair())
        _size(pair.near, sending, receiving)
        _size(pair.far, sending, receiving)
        return pair
    addresses: dict[str, tuple[int, Any]] = {
        "tcp": (socket.AF_INET, ("127.0.0.1", 0)),
        "tcp6": (socket.AF_INET6, ("::1", 0)),
        "unix": (socket.AF_UNIX, str(folder / "s")),
    }
    family, address = addresses[kind]
    listener, client = socket.socket(family), socket.socket(family)
    # Before they are connected: a TCP window never shrinks.
    _size(listener, sending, receiving)
    _size(client, sending, receiving)
    listener.bind(address)
    pair = _accepted(listener, client)
    if kind == "unix":
        (folder / "s").unlink()
    else:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return pair


def _size(sock: socket.socket, sending: int, receiving: int) -> None:
    if sending:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sending)
    if receiving:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiving)


def waiting(sock: socket.socket) -> int:
    """The bytes that can be read at once."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
    return count[0]


def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "what was waited for has not come"
        time.sleep(0.001)


def deliver(pair: Pair, data: bytes) -> None:
    """Sends from the far end, and waits until it is there."""
    before = waiting(pair.near)
    pair.far.sendall(data)
    until(lambda: waiting(pair.near) >= before + len(data))


def _sent(sock: socket.socket) -> int:
    try:
        return sock.send(bytes(65536), socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0


def fill(sock: socket.socket) -> int:
    """Sends until the peer that does not read takes no more for a moment: how many bytes that was."""
    total = refusals = 0
    while refusals < 20:
        sent = _sent(sock)
        total += sent
        refusals = 0 if sent else refusals + 1
        if not sent:  # what is on its way may yet make room
            time.sleep(0.002)
    return total


def drain(sock: socket.socket) -> bytes:
    """All that comes until nothing has come for a tenth of a second, or until the end."""
    parts = []
    sock.settimeout(0.1)
    while True:
        try:
            part = sock.recv(1 << 20)
        except TimeoutError:
            break
        if not part:
            break
        parts.append(part)
    sock.settimeout(None)
    return b"".join(parts)


def reset(sock: socket.socket) -> None:
    """Closes a TCP socket so that its peer hears of a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [1, 0]).tobytes())
    sock.close()


@contextmanager
def beside(function: Callable[[], object]) -> Iterator[None]:
    """Runs a function in a thread of its own meanwhile, and raises here what it raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(lab.LIMIT / 2)
        assert not thread.is_alive(), "the other thread has not ended"
    if errors:
        raise errors[0]


@contextmanager
def limits(least: float, most: float) -> Iterator[None]:
    """What happens inside takes that many seconds, and no more than a busy machine adds."""
    start = time.monotonic()
    yield
    elapsed = time.monotonic() - start
    assert least * 0.95 <= elapsed <= most + SLACK, f"it took {elapsed:.3f} s"


# `sock` is the socket of the child; stdin and stdout are the test's to talk with.
PREAMBLE = """
import os, signal, socket, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import netfast as nf
sock = socket.socket(fileno=int(sys.argv[1]))

def say(*words):
    print(*words, flush=True)

def hear():
    return sys.stdin.readline().strip()

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
"""


class Child:
    """A process that has a socket, and says lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hears(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def says(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            _, error = self.process.communicate(timeout=lab.LIMIT)
            raise RuntimeError(f"the process ended with {self.process.returncode} after {line!r}\n{error}")
        return line.rstrip("\n")

    def interrupt(self) -> float:
        """Ctrl-C, once the process has had time to wait; how long it took to say when it was heard."""
        time.sleep(0.2)
        sent = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return float(self.says()) - sent

    def end(self) -> None:
        _, error = self.process.communicate(timeout=lab.LIMIT)
        assert self.process.returncode == 0, error


@contextmanager
def child(code: str, sock: socket.socket, *before: str) -> Iterator[Child]:
    """Runs the code, behind what PREAMBLE defines, with a copy of the socket; `before` is a command that runs it."""
    command = [*before, sys.executable, "-c", PREAMBLE + code, str(sock.fileno())]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[sock.fileno()],
        env=lab.python_environment(),
    )
    with ExitStack() as stack:
        stack.callback(process.communicate)
        stack.callback(process.kill)
        yield Child(process)


@contextmanager
def traced(strace: str, log: Path, code: str, sock: socket.socket) -> Iterator[Child]:
    """The same under strace; `calls` reads the log afterwards."""
    with child(code, sock, strace, "-qq", "-o", str(log), "-e", "trace=network,read,write,readv,writev") as process:
        yield process


def calls(log: Path, sock: socket.socket, *names: str) -> list[str]:
    """The calls of these names on the socket that moved something."""
    pattern = re.compile(rf"(?:{'|'.join(names)})\({sock.fileno()}, .*= [1-9]\d*$")
    return [line for line in log.read_text(errors="replace").splitlines() if pattern.match(line)]


SENDING = ("write", "writev", "sendto", "sendmsg", "sendmmsg")
RECEIVING = ("read", "readv", "recvfrom", "recvmsg", "recvmmsg")


def wire(frames: list[bytes], rule: Rule) -> bytes:
    """Frames as they go through a stream."""
    return b"".join(reference.framed(frame, **rule) for frame in frames)


def some_frames(count: int, largest: int = 100) -> list[bytes]:
    """Frames without a delimiter in them."""
    source = random.Random(count)
    return [source.randbytes(source.randrange(largest + 1)).replace(b"\r", b".") for _ in range(count)]
