"""Datagrams for tests: sockets that a test closes, datagrams that say whether they are whole, and calls as strace(1)
counts them."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import netfast as nf
from net import lab

# From Linux's headers; the socket module of Python 3.10 does not know them.
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8
UDP_SEGMENT = 103
UDP_GRO = 104

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
LONGEST = 65_507  # bytes of UDP in a packet of IPv4
MOST_SEGMENTS = 64
ROOM = 4 << 20

Address = tuple[str, int]


class Opened(ExitStack):
    """Opens sockets, and closes them in the end."""

    def udp(self, host: str = "127.0.0.1", *, room: int = ROOM) -> socket.socket:
        """A UDP socket bound to the host, with room for as much as the machine allows up to `room` bytes."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        roomy(sock, room)
        sock.bind((host, 0))
        return sock

    def connected(self, sock: socket.socket) -> socket.socket:
        """A UDP socket that is connected to another: both hear of each other only."""
        new = self.udp(sock.getsockname()[0])
        new.connect(sock.getsockname())
        sock.connect(new.getsockname())
        return new

    def unix(self, path: str | bytes | None = None) -> socket.socket:
        """A Unix datagram socket: bound to a path, to an abstract name (b"\\0..."), or without a name."""
        sock = self.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        if path is not None:
            sock.bind(path)
        return sock


class Way(NamedTuple):
    """From a socket in one namespace to a socket in another, or in the same."""

    near: lab.Namespace
    far: lab.Namespace
    near_host: str
    far_host: str

    def sender(self, opened: Opened) -> socket.socket:
        with self.near.inside():
            return opened.udp(self.near_host)

    def receiver(self, opened: Opened, *, room: int = 32 << 20) -> socket.socket:
        with self.far.inside():
            return opened.udp(self.far_host, room=room)


def joined(near: lab.Namespace, far: lab.Namespace, version: int, *, mtu: int) -> Way:
    near_card, far_card = lab.cable(near, far, mtu=mtu)
    near_host, far_host = ("198.18.1.1", "198.18.1.2") if version == 4 else ("2001:db8:1::1", "2001:db8:1::2")
    length, more = (24, "") if version == 4 else (64, " nodad")
    near.ip(f"addr add {near_host}/{length} dev {near_card}{more}")
    far.ip(f"addr add {far_host}/{length} dev {far_card}{more}")
    near.ip(f"neigh replace {far_host} lladdr {hardware(far, far_card)} dev {near_card} nud permanent")
    far.ip(f"neigh replace {near_host} lladdr {hardware(near, near_card)} dev {far_card} nud permanent")
    return Way(near, far, near_host, far_host)


def hardware(host: lab.Namespace, card: str) -> str:
    with host.inside():
        address: str = json.loads(host.run("ip", "-j", "link", "show", "dev", card))[0]["address"]
    return address


def roomy(sock: socket.socket, room: int) -> None:
    """Room for so many bytes waiting: beyond the machine's limit where the process may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)


def address(sock: socket.socket) -> Address:
    """Where the socket hears: host and port."""
    host, port = sock.getsockname()[:2]
    return host, port


def drops(sock: socket.socket) -> int:
    """How many datagrams the kernel says that it dropped at the socket."""
    told = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
    return int(struct.unpack("9I", told)[SK_MEMINFO_DROPS])


HEADER = struct.Struct(">IQ")  # checksum of all that follows it, number
_POOL = bytes(range(251)) * 600  # a length prime to everything: what stands at the wrong place is wrong


def numbered(number: int, size: int) -> bytes:
    """A datagram of so many bytes, at least 12, that says which it is and whether it is whole."""
    start = number % 251
    content = struct.pack(">Q", number) + _POOL[start : start + size - HEADER.size]
    return struct.pack(">I", zlib.crc32(content)) + content


def number_of(datagram: bytes | memoryview) -> int:
    """The number of a datagram, which must be whole."""
    checksum, number = HEADER.unpack_from(datagram)
    assert zlib.crc32(datagram[4:]) == checksum, f"datagram {number} of {len(datagram)} bytes is not as it was sent"
    return int(number)


def taken(batch: nf.DatagramBatch, count: int, *, timeout: float = 10.0) -> list[bytes]:
    """So many datagrams, however many receives they take; what is missing after the timeout stays missing."""
    found: list[bytes] = []
    with suppress(TimeoutError):
        while len(found) < count:
            found += batch.recv(timeout=timeout).tolist()
    return found


def rest(batch: nf.DatagramBatch) -> list[bytes]:
    """All that waits at the socket now."""
    return taken(batch, sys.maxsize, timeout=0)


def heard(sock: socket.socket, count: int, *, timeout: float = 10.0) -> list[bytes]:
    """So many datagrams as the standard library receives them, one at a time."""
    before = sock.gettimeout()
    sock.settimeout(timeout)
    try:
        return [sock.recv(65_535) for _ in range(count)]
    finally:
        sock.settimeout(before)


@contextmanager
def lasting(least: float, most: float) -> Iterator[None]:
    """What is done inside takes from `least` to `most` seconds, whether it raises or not."""
    start = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - start
        assert least - 0.005 <= took < most


@contextmanager
def idle(share: float = 0.5) -> Iterator[None]:
    """What is done inside waits without burning more of a CPU than this share of its time."""
    start, busy = time.monotonic(), time.process_time()
    yield
    assert time.process_time() - busy < share * (time.monotonic() - start)


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Call(NamedTuple):
    """A system call as strace(1) tells of it."""

    name: str
    result: int
    text: str


_CALL = re.compile(r"(?:<\.\.\. )?(\w+)(?:\(| resumed).* = (-?\d+)\b(.*)")
SENDS = ("sendmmsg", "sendmsg", "sendto")
RECEIVES = ("recvmmsg", "recvmsg", "recvfrom")


def traced(
    code: str,
    *arguments: object,
    calls: Sequence[str],
    log: Path,
    host: lab.Namespace | None = None,
    inject: str | None = None,
) -> tuple[object, list[Call]]:
    """What a Python process prints as JSON, and its system calls of these names.

    `inject` is as strace(1) has it: "sendmmsg:error=EIO:when=1".
    """
    command = ["strace", "-f", "-qq", "-s", "0", "-o", str(log), "-e", f"trace={','.join(calls)}"]
    if inject is not None:
        command += ["-e", f"inject={inject}"]
    command += [sys.executable, "-c", code, *map(str, arguments)]
    out = host.run(*command) if host is not None else _output(command)
    return json.loads(out), logged(log)


def logged(log: Path) -> list[Call]:
    """The calls that strace has written down."""
    found = (_CALL.search(line) for line in log.read_text().splitlines())
    return [Call(call[1], int(call[2]), call[0]) for call in found if call]


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=lab.LIMIT, env=lab.python_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def messages(calls: Sequence[Call]) -> int:
    """How many messages went over the border of the kernel: sendmmsg and recvmmsg say how many they took."""
    return sum(call.result if call.name.endswith("mmsg") else 1 for call in calls if call.result >= 0)
