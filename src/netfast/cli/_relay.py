"""What `listen` and `send` do with a socket: what comes is printed, and what standard input holds is sent.

A connection has ended when both sides have: the end of standard input shuts down one half, which tells the other side,
and what it still sends is printed.  Where somebody types, nobody waits for the end of that.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import select
import socket
import sys
import termios
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

from . import _output
from ._endpoints import name_of
from ._options import Parser, add_json, number

_PIECE = 1 << 16  # bytes of a read
_RECEIVED_MAX = 1 << 18  # bytes of what comes at a time; a message of a Unix socket may be longer than one of UDP
DATAGRAM_MAX = 65_507  # bytes of UDP in a packet of IPv4
_WAIT_MAX = 1e6


def add_wait(parser: Parser, help: str) -> None:
    parser.add_argument("-w", dest="wait", type=number(least=0.001, most=_WAIT_MAX), metavar="SECONDS", help=help)


def add_forms(parser: Parser) -> None:
    """How what comes is printed: read back by `Printer`."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--hex", action="store_true", help="print what comes as hexdump -C does")
    add_json(forms, "print a JSON object a line for each piece or datagram that comes: peer, time, bytes, text, hex")


# --- what comes ------------------------------------------------------------------------------------------------------


class Printer:
    """Prints what comes, as it is, in hexadecimal or as JSON, and counts it."""

    def __init__(self, *, hex: bool, json: bool) -> None:
        self.pieces = 0
        self._print = _print_json if json else _print_hex if hex else self._print_bytes
        self._out = _output.Destination()
        self._offset = 0

    def begin(self) -> None:
        """What comes next is of another connection, or another datagram."""
        self._offset = 0

    def take(self, data: bytes, peer: str) -> None:
        self.pieces += 1
        self._print(data, peer, self._offset)
        self._offset += len(data)
        _output.flush()

    def _print_bytes(self, data: bytes, peer: str, offset: int) -> None:
        self._out.write(data)


_ROW = 16


def _print_hex(data: bytes, peer: str, offset: int) -> None:
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        halves = f"{row[: _ROW // 2].hex(' ')}  {row[_ROW // 2 :].hex(' ')}"
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        _output.say(f"{offset + at:08x}  {halves:<{3 * _ROW}}  |{shown}|")


def _print_json(data: bytes, peer: str, offset: int) -> None:
    text = data.decode(errors="backslashreplace")
    said = {"peer": peer, "time": time.time(), "bytes": len(data), "text": text, "hex": data.hex()}
    _output.say(json.dumps(said))


# --- what goes -------------------------------------------------------------------------------------------------------


class Feed:
    """What is to be sent: a text, or standard input as it comes: in pieces, a message for each line, or all in one."""

    def __init__(self, text: bytes | None, form: Literal["pieces", "lines", "whole"]) -> None:
        self.queue: deque[bytes] = deque()
        self.descriptor: int | None = None  # where there may be more to read
        self.is_terminal = False
        self.is_cut = False  # a part of standard input could not be read, which has been said
        self._form = form
        self._rest = b""  # of a message that has not ended
        if text is not None:
            self.queue.append(text)
        elif sys.stdin is not None:
            self._open()

    def _open(self) -> None:
        try:
            self.descriptor = sys.stdin.fileno()
        except OSError:  # a stand-in that is no file
            self._put(sys.stdin.buffer.read(), ended=True)
        else:
            self.is_terminal = os.isatty(self.descriptor)

    @property
    def has_ended(self) -> bool:
        return self.descriptor is None and not self.queue

    @property
    def has_unsent(self) -> bool:
        """Whether something was read, or given, that is not sent yet."""
        return bool(self.queue or self._rest)

    @property
    def has_more(self) -> bool:
        """Whether there is something to send, as far as is known without a wait."""
        return self.has_unsent or (self.descriptor is not None and bool(_ready({self.descriptor: select.POLLIN}, 0)))

    def read(self) -> None:
        """Takes what standard input has, for which somebody has waited."""
        assert self.descriptor is not None
        try:
            data = os.read(self.descriptor, _PIECE)
        except BlockingIOError:  # somebody else who has it open was faster
            return
        except OSError as error:
            _output.complain(f"standard input: {error.strerror}")
            self.is_cut = True
            data = b""
        if not data:
            self.descriptor = None
        self._put(data, ended=not data)

    def _put(self, data: bytes, *, ended: bool) -> None:
        data = self._rest + data
        self._rest = b""
        pieces = list(_lines(data)) if self._form == "lines" else [data] * bool(data)
        if pieces and not ended and self._goes_on(pieces[-1]):
            self._rest = pieces.pop()
        self.queue.extend(pieces)

    def _goes_on(self, piece: bytes) -> bool:
        """Whether what comes next may belong to the same message."""
        if self._form == "lines":
            return not piece.endswith(b"\n") and len(piece) < DATAGRAM_MAX
        # What is too long is left to the kernel to refuse.
        return self._form == "whole" and len(piece) <= _PIECE


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines with their ends, none longer than a datagram."""
    start = 0
    while start < len(data):
        end = min(data.find(b"\n", start) + 1 or len(data), start + DATAGRAM_MAX)
        yield data[start:end]
        start = end


# --- both ways -------------------------------------------------------------------------------------------------------

_GONE = select.POLLHUP | select.POLLERR


def _ready(wanted: dict[int, int], seconds: float | None) -> dict[int, int]:
    """What has happened by descriptor, after so many seconds at most."""
    poll = select.poll()
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    return dict(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))


def _wanted(descriptor: int, feed: Feed, *, may_send: bool, hears: bool = True) -> dict[int, int]:
    """What to wait for, by descriptor: of a socket, and of standard input if there is nothing else to send."""
    wanted = {descriptor: select.POLLIN * hears | select.POLLOUT * bool(may_send and feed.queue)}
    if may_send and not feed.queue and feed.descriptor is not None:
        wanted[feed.descriptor] = select.POLLIN
    return wanted


def relay(sock: socket.socket, feed: Feed, printer: Printer, peer: str, wait: float | None) -> None:
    """A connection, until both sides have ended or nothing has come or gone for so many seconds.

    OSError as of both, and TimeoutError if by then not all that was read is sent.
    """
    sock.setblocking(False)
    hears = says = True
    while hears or says:
        if says and feed.has_ended:
            with suppress(OSError):  # the other side is gone, which the next read tells
                sock.shutdown(socket.SHUT_WR)
            says = False
            continue
        if not hears and feed.is_terminal and not feed.queue:
            return
        ready = _ready(_wanted(sock.fileno(), feed, may_send=says, hears=hears), wait)
        if not ready:
            _check_idle(feed, wait)
            return
        state = ready.get(sock.fileno(), 0)
        if hears and state & (select.POLLIN | _GONE):
            hears = _heard(sock, printer, peer)
        elif state & _GONE:
            if feed.descriptor in ready:  # what is there already was to be sent
                feed.read()
            _check_gone(sock, feed)
            return
        if says and state & select.POLLOUT:
            _send_one(feed, sock.send)
        if feed.descriptor in ready:
            feed.read()


def _heard(sock: socket.socket, printer: Printer, peer: str) -> bool:
    """Prints what came; False at the end."""
    try:
        data = sock.recv(_RECEIVED_MAX)
    except BlockingIOError:
        return True
    if not data and _has_hung_up(sock):
        return False
    printer.take(data, peer)
    return True


def _has_hung_up(sock: socket.socket) -> bool:
    """Whether a read of nothing was the end, and not a message of no bytes."""
    if sock.type != socket.SOCK_SEQPACKET:
        return True
    if not _ready({sock.fileno(): select.POLLRDHUP}, 0):
        return False
    # Nothing is added any more, but what was sent before is still to be read.
    left = array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, left)
    return not left[0]


def _check_idle(feed: Feed, seconds: float | None, peer: str = "") -> None:
    """Nothing has come or gone for so long: TimeoutError if that is no good end."""
    if feed.has_unsent and seconds is not None:
        why = f"not all was sent, for nothing has come or gone for {seconds:g} s"
        raise TimeoutError(errno.ETIMEDOUT, f"{peer}: {why}" if peer else why)


def _check_gone(sock: socket.socket, feed: Feed) -> None:
    """Nobody is there any more: OSError if that is no good end."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or (errno.EPIPE if feed.has_unsent else 0)
    if number:
        raise OSError(number, os.strerror(number))


def _send_one(feed: Feed, send: Callable[[bytes], int]) -> bool:
    """The first of what is to be sent, as much of it as is taken now; False if nothing is."""
    data = feed.queue[0]
    try:
        sent = send(data)
    except BlockingIOError:
        return False
    if sent < len(data):
        feed.queue[0] = data[sent:]
    else:
        feed.queue.popleft()
    return True


def exchange(
    sock: socket.socket, feed: Feed, printer: Printer, peer: str, wait: float | None, told: Callable[[str], object]
) -> None:
    """Datagrams to and from one address, until all is sent and nothing has come for so many seconds.

    told: is told of each that came.
    """
    sock.setblocking(False)
    descriptor = sock.fileno()
    while ready := _ready(_wanted(descriptor, feed, may_send=True), wait if feed.has_ended else None):
        state = ready.get(descriptor, 0)
        if state & (select.POLLIN | _GONE):
            with suppress(BlockingIOError):
                _print_datagram(sock.recv(_RECEIVED_MAX), printer, peer, told)
        if state & select.POLLOUT and feed.queue:
            _send_one(feed, sock.send)
        if feed.descriptor in ready:
            feed.read()


_NAP = 0.05  # seconds between two tries to send to who has no room for more


def answer(
    sock: socket.socket, feed: Feed, printer: Printer, wait: float | None, told: Callable[[str], object], *, once: bool
) -> None:
    """Datagrams from anybody, and to who came last, until nothing has come for so many seconds.

    once: until the first has come, and who sent it has got what was there for him.
    TimeoutError if whoever came last has taken nothing for so long.
    """
    sock.setblocking(False)
    descriptor = sock.fileno()
    last: Any = None
    moved = time.monotonic()  # when something came or went
    while True:
        hears = not (once and printer.pieces)
        wanted = _wanted(descriptor, feed, may_send=bool(last), hears=hears)
        ready = _ready(wanted, wait if hears else 0)
        if not ready:
            if hears:
                _check_idle(feed, wait, name_of(last))
            return
        state = ready.get(descriptor, 0)
        if hears and state & (select.POLLIN | _GONE):
            with suppress(BlockingIOError):
                data, last = sock.recvfrom(_RECEIVED_MAX)
                moved = time.monotonic()
                _print_datagram(data, printer, name_of(last) or "somebody", told)
        if state & select.POLLOUT and feed.queue:
            if _send_to(sock, feed, last):
                moved = time.monotonic()
            elif wait is not None and time.monotonic() >= moved + wait:
                _check_idle(feed, wait, name_of(last))
            else:
                # A socket without a connection is always ready to send, says poll: the other side's queue is full.
                _ready({descriptor: select.POLLIN * hears}, _NAP)
        if feed.descriptor in ready:
            feed.read()


def _print_datagram(data: bytes, printer: Printer, peer: str, told: Callable[[str], object]) -> None:
    printer.begin()
    printer.take(data, peer)
    told(f"{peer}: {len(data)} byte{'s' * (len(data) != 1)}")


def _send_to(sock: socket.socket, feed: Feed, address: Any) -> bool:
    """A datagram to somebody, False if there is no room for it.

    That it does not get there is said, and keeps nobody else from being heard.
    """
    try:
        return _send_one(feed, lambda data: sock.sendto(data, address))
    except OSError as error:
        feed.queue.popleft()
        _output.complain(f"{name_of(address)}: {error.strerror}")
    return True
