"""A far end that answers echo requests as a script says: late, twice, out of order, corrupted, forged, with errors.

`lab.far_end` runs it as a process inside a network namespace, behind a TUN device. A script is what to do with the
first, second ... probe that reaches a destination, each a sequence of actions; none is a lost probe. What it sends
depends on what has arrived and on nothing else, so tests can tell every counter in advance: an answer that is to
overtake others is held until those have come (`after`), not for a time.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import pickle
import select
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

DEVICE = "far0"
ROUTER = "198.19.0.2"  # in whose name errors come
ROUTER6 = "2001:db8:ffff::2"

KEPT = 1000  # so many requests of a script are remembered with their bytes
BATCH = 512  # packets between two looks at the clock and at the control pipe


class Answer(NamedTuple):
    """An echo reply. What has a default is as the request has it."""

    delay: float = 0.0  # seconds
    after: int = 0  # held until so many more probes of the same destination have come, and their actions are done
    copies: int = 1
    source: str | None = None
    ttl: int = 64
    identifier: int = 0  # added to the one of the request, modulo 65,536; so is the next
    sequence: int = 0
    flip: tuple[int, ...] = ()  # payload bytes to invert; the checksum is that of what is sent
    length: int | None = None  # of the payload: cut there
    spoil: int = 0  # exclusive-or on the checksum


class Error(NamedTuple):
    """An ICMP error from the router, with what it quotes of the request."""

    type: int
    code: int
    mtu: int = 0  # the last four bytes of the error's header in IPv6, the last two in IPv4
    quote: int | None = None  # bytes of the ICMP message behind the IP header that are quoted; None: all that fit
    source: str | None = None
    destination: str | None = None  # forged in the quote, as are the next two
    identifier: int = 0
    sequence: int = 0
    delay: float = 0.0
    after: int = 0


Action: TypeAlias = Answer | Error
Steps: TypeAlias = Sequence[Sequence[Action]]

PLAIN: tuple[Action, ...] = (Answer(),)
LOST: tuple[Action, ...] = ()


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def with_checksum(message: bytes, pseudo_header: bytes = b"") -> bytes:
    """An ICMP message, its checksum filled in."""
    blank = message[:2] + b"\0\0" + message[4:]
    return message[:2] + checksum(pseudo_header + blank).to_bytes(2, "big") + message[4:]


class Request(NamedTuple):
    """An echo request as it came."""

    packet: bytes
    version: int
    header: int  # bytes of the IP header

    @property
    def source(self) -> bytes:
        return self.packet[12:16] if self.version == 4 else self.packet[8:24]

    @property
    def destination(self) -> bytes:
        return self.packet[16:20] if self.version == 4 else self.packet[24:40]

    @property
    def message(self) -> bytes:
        return self.packet[self.header :]

    @property
    def identifier(self) -> int:
        return int.from_bytes(self.message[4:6], "big")

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.message[6:8], "big")

    @property
    def payload(self) -> bytes:
        return self.message[8:]


def request_of(packet: bytes) -> Request | None:
    """None for whatever is no whole echo request: the kernel greets its neighbours on any card."""
    if len(packet) < 28:
        return None
    if packet[0] >> 4 == 4:
        if int.from_bytes(packet[6:8], "big") & 0x3FFF:  # a fragment
            return None
        header = (packet[0] & 15) * 4
        return Request(packet, 4, header) if packet[9] == 1 and packet[header] == 8 else None
    return Request(packet, 6, 40) if packet[6] == 58 and packet[40] == 128 else None


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ip_packet(version: int, source: bytes, destination: bytes, message: bytes, ttl: int, spoil: int = 0) -> bytes:
    """The message with its checksum, off by what is to spoil it, behind an IP header."""
    if version == 4:
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 0, 0, ttl, 1, 0, source, destination)
        header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
        message = with_checksum(message)
    else:
        header = struct.pack("!IHBB16s16s", 6 << 28, len(message), 58, ttl, source, destination)
        message = with_checksum(message, source + destination + struct.pack("!II", len(message), 58))
    if spoil:
        message = message[:2] + (int.from_bytes(message[2:4], "big") ^ spoil).to_bytes(2, "big") + message[4:]
    return header + message


def renumbered(message: bytes, identifier: int, sequence: int) -> bytes:
    """An echo message with something added to both numbers."""
    old_identifier, old_sequence = struct.unpack("!HH", message[4:8])
    numbers = struct.pack("!HH", (old_identifier + identifier) & 0xFFFF, (old_sequence + sequence) & 0xFFFF)
    return message[:4] + numbers + message[8:]


def answer_packet(request: Request, action: Answer) -> bytes:
    payload = bytearray(request.payload[: action.length])
    for place in action.flip:
        payload[place] ^= 0xFF
    kind = b"\0\0" if request.version == 4 else b"\x81\0"
    message = renumbered(kind + b"\0\0" + request.message[4:8] + payload, action.identifier, action.sequence)
    source = packed(action.source) if action.source else request.destination
    return ip_packet(request.version, source, request.source, message, action.ttl, action.spoil)


def error_packet(request: Request, action: Error) -> bytes:
    quoted = renumbered(request.message, action.identifier, action.sequence)
    header = request.packet[: request.header]
    if action.destination:  # the end of either header
        address = packed(action.destination)
        header = header[: -len(address)] + address
    # A message may be 576 bytes long (RFC 1812), or 1,280 (RFC 4443).
    most = 576 - 28 if request.version == 4 else 1280 - 48
    quote = (header + quoted[: action.quote])[:most]
    message = struct.pack("!BBHI", action.type, action.code, 0, action.mtu) + quote
    router = packed(action.source or (ROUTER if request.version == 4 else ROUTER6))
    return ip_packet(request.version, router, request.source, message, 64)


def plain_answer(request: Request) -> bytes:
    """`answer_packet(request, Answer())` of a request without IP options: no sum changes but by the type."""
    packet = request.packet
    if request.version == 4:
        total = int.from_bytes(packet[22:24], "big") + 0x0800
        total = (total & 0xFFFF) + (total >> 16)
        return b"%b%b%b\0\0%b%b" % (packet[:12], packet[16:20], packet[12:16], total.to_bytes(2, "big"), packet[24:])
    total = int.from_bytes(packet[42:44], "big") - 0x0100
    total = total + 0xFFFF if total < 0 else total
    return b"%b%b%b\x81\0%b%b" % (packet[:8], packet[24:40], packet[8:24], total.to_bytes(2, "big"), packet[44:])


class Held(NamedTuple):
    """An action that waits for further probes."""

    at: int  # the count of probes that sets it free
    request: Request
    action: Action


class Far:
    """What happens to each packet; the time and the device are the caller's."""

    def __init__(self) -> None:
        self.play({}, PLAIN)

    def play(self, script: Mapping[str, Steps], default: Sequence[Action]) -> None:
        """A script from now on: the steps of the destinations it names, the default for others and for later probes."""
        self.steps = {packed(address): [tuple(step) for step in steps] for address, steps in script.items()}
        self.default = tuple(default)
        self.seen: defaultdict[bytes, int] = defaultdict(int)
        self.requests: list[bytes] = []
        self.held: defaultdict[bytes, list[Held]] = defaultdict(list)
        self.due: list[tuple[float, int, bytes]] = []
        self.order = itertools.count()

    def take(self, packet: bytes) -> list[bytes]:
        """The packets that go back at once for one that came."""
        request = request_of(packet)
        if request is None:
            return []
        destination = request.destination
        count = self.seen[destination]
        self.seen[destination] = count + 1
        if len(self.requests) < KEPT:
            self.requests.append(packet)
        steps = self.steps.get(destination)
        if steps is None and self.default == PLAIN:
            return [plain_answer(request)]
        actions = steps[count] if steps is not None and count < len(steps) else self.default
        now: list[bytes] = []
        for action in actions:
            if action.after:
                self.held[destination].append(Held(count + action.after, request, action))
            else:
                now += self.done(request, action)
        if destination in self.held:
            waiting = self.held.pop(destination)
            for held in waiting:
                if held.at <= count:
                    now += self.done(held.request, held.action)
            if left := [held for held in waiting if held.at > count]:
                self.held[destination] = left
        return now

    def done(self, request: Request, action: Action) -> list[bytes]:
        if isinstance(action, Answer):
            packets = [answer_packet(request, action)] * action.copies
        else:
            packets = [error_packet(request, action)]
        if not action.delay:
            return packets
        when = time.monotonic() + action.delay
        for packet in packets:
            heapq.heappush(self.due, (when, next(self.order), packet))
        return []

    def ready(self) -> list[bytes]:
        """The delayed packets whose time has come."""
        now = time.monotonic()
        packets = []
        while self.due and self.due[0][0] <= now:
            packets.append(heapq.heappop(self.due)[2])
        return packets

    def wait(self) -> float | None:
        """Seconds until the next of them."""
        return max(0.0, self.due[0][0] - time.monotonic()) if self.due else None


class Report(NamedTuple):
    """What has come since the script began."""

    seen: dict[bytes, int]  # packed destination: probes
    requests: list[bytes]  # the first KEPT packets


def open_tun() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return device


def received(pipe: int) -> Any:
    """A message of the control pipe; None at its end."""
    size = os.read(pipe, 4)
    if not size:
        return None
    left, pieces = int.from_bytes(size, "big"), []
    while left and (piece := os.read(pipe, left)):
        pieces.append(piece)
        left -= len(piece)
    return pickle.loads(b"".join(pieces))


def sent(pipe: int, message: object) -> None:
    data = pickle.dumps(message)
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(pipe, data) :]


def serve() -> None:
    """The process: orders on standard input, each confirmed on standard output, until the input ends."""
    control, confirm = sys.stdin.fileno(), sys.stdout.fileno()
    device, far = open_tun(), Far()
    sent(confirm, "open")
    while True:
        readable, _, _ = select.select([device, control], [], [], far.wait())
        for packet in far.ready():
            os.write(device, packet)
        if control in readable:
            order = received(control)
            if order is None:
                return
            if order == "report":
                sent(confirm, Report(dict(far.seen), far.requests))
            else:
                far.play(*order)
                sent(confirm, "plays")
        if device in readable:
            for _ in range(BATCH):
                try:
                    packet = os.read(device, 1 << 16)
                except BlockingIOError:
                    break
                for reply in far.take(packet):
                    os.write(device, reply)
