"""`netfast blast ADDR`: sends to a sink as fast as it goes, or as told, and tells how fast that was."""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import DONE, INTERRUPTED, TROUBLE, _output
from ._endpoints import add_target, name_of, no_more, read_target
from ._options import Parser, add_json, number, whole
from ._relay import DATAGRAM_MAX
from ._sockets import reason
from ._traffic import (
    BUFFER,
    DATA,
    END,
    HEADER,
    PING,
    SEQUENCES,
    Count,
    Meter,
    Pace,
    Trips,
    amounts,
    header,
    mark,
    read_mark,
    report_of,
    were,
)

if TYPE_CHECKING:
    from ..datagrams import DatagramBatch

_SIZES = {"udp": 1_400, "tcp": 128 << 10}  # bytes: what fits a frame of Ethernet with room for tunnels; a large write
_PING_SIZE = 64
_WRITE_MAX = 16 << 20
_SECONDS = 10.0
_SECONDS_MAX = 1e6
_BATCH = 64  # datagrams handed over at a time
_ALONE = 2  # of them, in the beginning, that go one by one
_ENDS, _END_WAIT = 10, 0.1  # how often the sink is asked for its report, and seconds it is waited for each time
_TCP_WAIT = 5.0  # seconds until a sink must have read what is on its way, and have told of it
_TICK = 0.2  # seconds between two looks at the clock
_PING_WAIT = 1.0  # seconds after which a ping is lost


def _parser() -> Parser:
    parser = Parser(
        "blast",
        "Sends datagrams, or writes to a connection, to a netfast sink as fast as it goes, and tells how fast that was "
        "and what the sink has got of it. With --ping it sends one at a time and measures how long each takes there "
        "and back.",
        'ADDR: "host:port" or "[IPv6]:port"; a port alone, or ":port", is one of this machine. TCP unless udp stands '
        "in front.\n\n"
        "examples:\n  netfast blast udp 192.0.2.1:5001\n  netfast blast udp :5001 --size 200 --rate 50K --seconds 5\n"
        "  netfast blast udp :5001 --ping --count 10K --json | jq .p99\n\n"
        "Rates are those of the bytes that were sent, without any headers below. Each datagram has a sequence in its "
        "first 16 bytes, by which the sink knows what is lost. Ctrl-C ends with the table.\n\n"
        "Exit codes: 0 something was sent, and of pings one came back; 2 trouble; 130 Ctrl-C before anything was sent.",
        operands="address",
        usage="netfast blast [OPTION]... [tcp|udp] ADDR",
    )
    add_target(parser)
    parser.add_argument(
        "--size",
        type=whole(HEADER.size, _WRITE_MAX),
        metavar="N",
        help="bytes of each datagram (1400), or of each write to a connection (128 KiB); with --ping: 64",
    )
    parser.add_argument("--rate", type=whole(1), metavar="N", help="so many a second (default: as fast as it goes)")
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--seconds", type=number(least=0.001, most=_SECONDS_MAX), metavar="S", help="for so long (10, without --count)"
    )
    many.add_argument("--count", type=whole(1), metavar="N", help="so many datagrams, writes or pings")
    parser.add_argument(
        "--no-gso", action="store_true", help="hand datagrams to the kernel one by one, not as segments of a large one"
    )
    parser.add_argument("--ping", action="store_true", help="measure round trips, one after the other")
    add_json(parser, "a JSON object at the end, and nothing else")
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    target, rest = read_target(parser, options.words, ("tcp", "udp"), least=1)
    no_more(parser, rest)
    options.size = options.size or (_PING_SIZE if options.ping else _SIZES[target.protocol])
    if target.protocol == "udp" and options.size > DATAGRAM_MAX:
        parser.error(f"--size {options.size}: a datagram has at most {DATAGRAM_MAX:,} bytes")
    if options.ping and options.size > DATAGRAM_MAX:
        parser.error(f"--size {options.size}: a ping has at most {DATAGRAM_MAX:,} bytes")
    if options.no_gso and (target.protocol == "tcp" or options.ping):
        parser.error("--no-gso goes with udp, and without --ping")
    options.protocol = target.protocol
    options.limit = math.inf if options.count and not options.seconds else options.seconds or _SECONDS
    try:
        with _connected(target.protocol, target.address) as sock:
            blast = _BLASTS[target.protocol, options.ping](options)
            blast.send(sock)
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    except KeyboardInterrupt:  # before it was connected
        return INTERRUPTED
    return blast.end()


def _connected(protocol: str, address: str) -> socket.socket:
    from ..sockets import tcp_connect, udp_socket

    return tcp_connect(address) if protocol == "tcp" else udp_socket(connect=address, buffer=BUFFER)


class _Blast:
    """Sends as the options say, until it has or Ctrl-C comes, and tells of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._peer = ""
        self._trouble: OSError | None = None

    def send(self, sock: socket.socket) -> None:
        """Sends all there is to send, and hears what the sink says of it."""
        self._peer = name_of(sock.getpeername())
        try:
            self._run(sock)
        except KeyboardInterrupt:
            pass
        except OSError as error:
            self._trouble = error
        with suppress(KeyboardInterrupt):  # who does not want to wait for the sink need not
            try:
                self._finish(sock)
            except OSError as error:
                self._trouble = self._trouble or error

    def _run(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _finish(self, sock: socket.socket) -> None:
        """Hears what the sink says."""

    def end(self) -> int:
        """Tells what there was, and the exit code."""
        if self._options.json:
            _output.say(json.dumps(self._said()))
        else:
            self._show()
        if self._trouble:
            _output.complain(f"{self._peer}: {reason(self._trouble)}")
            return TROUBLE
        return self._code()

    def _said(self) -> dict[str, Any]:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    def _code(self) -> int:
        raise NotImplementedError

    def _turns(self, most: int, begin: float) -> Iterator[int]:
        """How many to send next, `most` at a time, until all are sent or the time is over.

        The first few go alone: that nobody is there the kernel tells with the next call, if it is not in one with more.
        """
        options = self._options
        pace = Pace(options.rate)
        left = SEQUENCES if options.count is None else options.count
        done = 0
        while done < left and time.monotonic() - begin < options.limit:
            allowed = pace.allowed(done, min(most if done >= _ALONE else 1, left - done))
            if allowed:
                yield allowed
                done += allowed


def _asked_for_report(sock: socket.socket, count: int) -> dict[str, Any] | None:
    """What a sink of datagrams says once it is told that so many were all; None if it says nothing."""
    for _ in range(_ENDS):
        sock.send(header(END, count))
        for data in _heard(sock, _END_WAIT):
            if (said := report_of(data)) is not None:  # and not an echo that is late, or a stranger's chatter
                return said
    return None


def _heard(sock: socket.socket, seconds: float) -> Iterator[bytes]:
    """What comes within so many seconds, however much that is."""
    until = time.monotonic() + seconds
    with suppress(TimeoutError):
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            yield sock.recv(DATAGRAM_MAX)


# --- as fast as it goes ----------------------------------------------------------------------------------------------


class _Traffic(_Blast):
    """One direction, which the sink tells of at the end."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._meter = Meter(options.protocol, quiet=options.json)
        self._count = Count()
        self._report: dict[str, Any] | None = None

    def _show(self) -> None:
        self._meter.total(self._count, self._meter.seconds, "sent")
        said = self._report
        if said is not None:
            got = Count(said.get("datagrams", 0), said["bytes"], said.get("lost"))
            self._meter.total(got, said["seconds"], "received by the sink")
        elif self._code() == DONE and not self._trouble:
            _output.complain(f"{self._peer}: no report has come, as of a netfast sink")

    def _said(self) -> dict[str, Any]:
        options = self._options
        return {
            "protocol": options.protocol,
            "peer": self._peer,
            "size": options.size,
            **amounts(options.protocol, self._count, self._meter.seconds),
            "sink": self._report,
        }

    def _code(self) -> int:
        return DONE if self._count.bytes else INTERRUPTED


class _Datagrams(_Traffic):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._sequence = 0
        self._refused: dict[int, int] = {}  # by errno
        self._batch: DatagramBatch | None = None

    def _run(self, sock: socket.socket) -> None:
        import numpy as np

        from ..datagrams import DatagramBatch

        size = self._options.size
        self._batch = batch = DatagramBatch(sock, batch=_BATCH)
        if self._options.no_gso:
            batch.gso = False
        buffer = bytearray(_BATCH * size)
        view = memoryview(buffer)
        marks = np.ndarray((_BATCH,), ">u8", buffer, 0, (size,))
        times = np.ndarray((_BATCH,), ">u8", buffer, 8, (size,))
        steps = np.arange(_BATCH, dtype=np.uint64) + np.uint64(mark(DATA))
        meter = self._meter
        meter.start()
        assert meter.begin is not None
        for n in self._turns(_BATCH, meter.begin):
            marks[:n] = steps[:n] + np.uint64(self._sequence)
            times[:n] = time.monotonic_ns()
            sent, errors = batch.send_segments(view[: n * size], size)
            self._sequence += n
            meter.last = time.monotonic()
            self._count = Count(self._count.datagrams + sent, self._count.bytes + sent * size)
            if errors:
                self._note(errors)
            meter.tell(self._count, meter.last)

    def _note(self, errors: Sequence[tuple[int, int]]) -> None:
        """Counts what was refused; OSError if nobody is there."""
        for _, code in errors:
            self._refused[code] = self._refused.get(code, 0) + 1
        if errno.ECONNREFUSED in self._refused:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    def _finish(self, sock: socket.socket) -> None:
        if not self._trouble:
            self._report = _asked_for_report(sock, self._sequence)

    def _show(self) -> None:
        super()._show()
        for code, count in self._refused.items():
            datagrams = "datagram" + "s" * (count != 1)
            _output.complain(f"{self._peer}: {count:,} {datagrams} {were(count)} not sent: {os.strerror(code)}")

    def _said(self) -> dict[str, Any]:
        refused = {errno.errorcode.get(code, str(code)): count for code, count in self._refused.items()}
        return {**super()._said(), "gso": self._batch.gso if self._batch else None, "refused": refused}


class _Stream(_Traffic):
    def _run(self, sock: socket.socket) -> None:
        size = self._options.size
        view = memoryview(bytearray(size))
        sock.settimeout(_TICK)
        meter = self._meter
        meter.start()
        assert meter.begin is not None
        until = meter.begin + self._options.limit
        for sequence, _ in enumerate(self._turns(1, meter.begin)):
            view[: HEADER.size] = header(DATA, sequence)
            rest = view
            while rest and time.monotonic() < until:
                with suppress(TimeoutError):
                    sent = sock.send(rest)
                    rest = rest[sent:]
                    self._count = Count(0, self._count.bytes + sent)
                meter.last = time.monotonic()
                meter.tell(self._count, meter.last)

    def _finish(self, sock: socket.socket) -> None:
        if self._trouble:
            return
        sock.shutdown(socket.SHUT_WR)
        said = b""
        for piece in _heard(sock, _TCP_WAIT):
            said += piece
            if not piece or len(said) > DATAGRAM_MAX:
                break
        self._report = report_of(said)


# --- there and back --------------------------------------------------------------------------------------------------


class _Pings(_Blast):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._sent = 0
        self._data = bytearray(options.size)
        self._back = bytearray(options.size)
        self._trips = Trips(quiet=options.json)
        self._ended = self._trips.begin

    def _run(self, sock: socket.socket) -> None:
        trips = self._trips
        sock.settimeout(_PING_WAIT)
        for _ in self._turns(1, trips.begin):
            began = time.perf_counter_ns()
            if self._came_back(sock):
                trips.times.append(time.perf_counter_ns() - began)
            else:
                trips.lost += 1
            self._ended = time.monotonic()
            trips.tell(self._ended)

    def _came_back(self, sock: socket.socket) -> bool:
        """One round trip; False if it is lost."""
        raise NotImplementedError

    def _show(self) -> None:
        self._trips.total(self._ended)

    def _said(self) -> dict[str, Any]:
        options = self._options
        said = {"protocol": options.protocol, "peer": self._peer, "size": options.size}
        return {**said, "seconds": self._ended - self._trips.begin, **self._trips.to_dict()}

    def _code(self) -> int:
        if self._trips.times:
            return DONE
        if not self._sent:
            return INTERRUPTED
        _output.complain(f"{self._peer}: nothing has come back, as of a netfast sink")
        return TROUBLE


class _DatagramPings(_Pings):
    def _came_back(self, sock: socket.socket) -> bool:
        wanted = (PING, self._sent)
        self._data[: HEADER.size] = header(*wanted)
        sock.send(self._data)
        self._sent += 1
        until = time.monotonic() + _PING_WAIT
        while time.monotonic() < until:
            try:
                size = sock.recv_into(self._back)
            except TimeoutError:
                return False
            if read_mark(memoryview(self._back)[:size]) == wanted:  # and not one that was given up
                return True
        return False

    def _finish(self, sock: socket.socket) -> None:
        if not self._trouble:
            _asked_for_report(sock, self._sent)  # so that the sink ends, too


class _StreamPings(_Pings):
    def _came_back(self, sock: socket.socket) -> bool:
        # The first header tells the sink to echo; the others are filling.
        self._data[: HEADER.size] = header(PING, self._options.size)
        sock.sendall(self._data)
        self._sent += 1
        rest = memoryview(self._back)
        while rest:
            size = sock.recv_into(rest)
            if not size:
                raise ConnectionResetError(errno.ECONNRESET, "the sink has ended the connection")
            rest = rest[size:]
        return True


_BLASTS: dict[tuple[str, bool], type[_Blast]] = {
    ("udp", False): _Datagrams,
    ("tcp", False): _Stream,
    ("udp", True): _DatagramPings,
    ("tcp", True): _StreamPings,
}
