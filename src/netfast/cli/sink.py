"""`netfast sink ADDR`: receives what `blast` sends, and tells how fast it came and what is lost; pings go back."""

from __future__ import annotations

import argparse
import json
import math
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import DONE, INTERRUPTED, TROUBLE, _output
from ._endpoints import add_target, name_of, no_more, read_target
from ._options import Parser, add_json, number, whole
from ._sockets import reason
from ._traffic import (
    BUFFER,
    DATA,
    END,
    HEADER,
    PING,
    SEQUENCE_BITS,
    SEQUENCES,
    Count,
    Meter,
    Tally,
    amounts,
    mark,
    read_mark,
    report,
    share,
    were,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..datagrams import DatagramBatch, Datagrams

_SIZES = {"udp": 65_535, "tcp": 256 << 10}  # bytes
_SIZE_MAX = 16 << 20
_SECONDS_MAX = 1e6
_BATCH = 64
_LINGER = 0.3  # seconds of silence after which a sender that has said so has ended
_TICK = 0.2  # seconds between two looks at the clock
_LEAST = 1e-3  # seconds of a wait, for none would be another kind of socket


def _parser() -> Parser:
    parser = Parser(
        "sink",
        "Receives what a netfast blast sends until that ends, and tells how much came, how fast, and of datagrams what "
        "is lost, came twice, or came late. Pings are sent back. What anybody else sends is counted too.",
        'ADDR: "host:port", "[IPv6]:port"; a port alone, or ":port", on every address of this machine. TCP unless udp '
        "stands in front.\n\n"
        "examples:\n  netfast sink udp :5001\n  netfast sink udp :5001 --gro --seconds 60 --json\n"
        "  netfast sink 127.0.0.1:5001\n\n"
        "Lost are those up to the highest sequence, or the end as the sender tells it, that have not come. Ctrl-C ends "
        "with the table.\n\n"
        "Exit codes: 0 something came; 2 trouble, behind the table of what came until then, or nothing within "
        "--seconds; 130 Ctrl-C before anything came.",
        operands="address",
        usage="netfast sink [OPTION]... [tcp|udp] ADDR",
    )
    add_target(parser)
    parser.add_argument("--gro", action="store_true", help="take datagrams from the kernel as segments of large ones")
    parser.add_argument(
        "--size",
        type=whole(1, _SIZE_MAX),
        metavar="N",
        help="bytes that are kept of a datagram (65535; with --gro always), or of each read (256 KiB)",
    )
    parser.add_argument(
        "--seconds", type=number(least=0.001, most=_SECONDS_MAX), metavar="S", help="end after so long in any case"
    )
    add_json(parser, "a JSON object at the end, and nothing else")
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    target, rest = read_target(parser, options.words, ("tcp", "udp"))
    no_more(parser, rest)
    options.protocol = target.protocol
    options.size = options.size or _SIZES[target.protocol]
    if target.protocol == "udp" and options.size > _SIZES["udp"]:
        parser.error(f"--size {options.size}: a datagram has at most {_SIZES['udp']:,} bytes")
    if options.gro and target.protocol != "udp":
        parser.error("--gro goes with udp")
    sink = _Datagrams(options) if target.protocol == "udp" else _Stream(options)
    try:
        with _bound(target.protocol, target.address) as sock:
            _output.aside(f"listening on {name_of(sock.getsockname())}")
            interrupted = sink.receive(sock)
    except OSError as error:  # before it listened
        _output.complain(reason(error))
        return TROUBLE
    sink.end()
    if sink.trouble:
        _output.complain(reason(sink.trouble))
        return TROUBLE
    if sink.count.datagrams or sink.count.bytes:
        return DONE
    if interrupted:
        return INTERRUPTED
    _output.complain(f"{target.address}: nothing has come" + f" within {options.seconds:g} s" * bool(options.seconds))
    return TROUBLE


def _bound(protocol: str, address: str) -> socket.socket:
    from ..sockets import tcp_listen, udp_socket

    return tcp_listen(address) if protocol == "tcp" else udp_socket(address, buffer=BUFFER)


class _Sink:
    """Receives until the sender has ended, the time is over or Ctrl-C comes, and tells of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.trouble: OSError | None = None  # what ended it before its time
        self._meter = Meter(options.protocol, quiet=options.json)
        self._until = time.monotonic() + options.seconds if options.seconds else math.inf

    @property
    def count(self) -> Count:
        """What has come until now."""
        raise NotImplementedError

    def receive(self, sock: socket.socket) -> bool:
        """Whether it was Ctrl-C that ended it."""
        try:
            self._run(sock)
        except KeyboardInterrupt:
            return True
        except OSError as error:
            self.trouble = error
        return False

    def _run(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _patience(self) -> float:
        """Seconds until there is something else to do."""
        now = time.monotonic()
        return max(0.0, min(_TICK, self._until - now, self._meter.due - now))

    def end(self) -> None:
        """Tells what there was."""
        if self._options.json:
            said = {**amounts(self._options.protocol, self.count, self._meter.seconds), **self._more()}
            _output.say(json.dumps({"protocol": self._options.protocol, **said}))
        elif self._meter.begin is not None:
            self._meter.total(self.count, self._meter.seconds, "received")
            for line in self._notes():
                _output.say(line)

    def _more(self) -> dict[str, Any]:
        """What else there is to tell, for JSON."""
        return {}

    def _notes(self) -> list[str]:
        """And in words."""
        return []


# --- datagrams -------------------------------------------------------------------------------------------------------


class _Sender:
    """Somebody who sends: an address and a port."""

    def __init__(self, now: float) -> None:
        self.tally = Tally()
        self.count = Count()
        self.begin = self.last = now
        self.has_ended = False

    def add(self, datagrams: int, size: int, now: float) -> None:
        self.count = Count(self.count.datagrams + datagrams, self.count.bytes + size)
        self.last = now

    def report(self) -> bytes:
        """What is known of it, for itself."""
        tally = self.tally
        return report(
            {
                **amounts("udp", self.count, self.last - self.begin),
                "lost": tally.lost,
                "loss": share(tally.lost, tally.highest + 1),
                "duplicates": tally.duplicates,
                "reordered": tally.reordered,
            }
        )


class _Datagrams(_Sink):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._count = Count()
        self._senders: dict[tuple[str, int], _Sender] = {}
        self._foreign = 0  # datagrams that are none of blast's
        self._truncated = 0
        self._dropped = 0
        self._silent_since = 0.0

    @property
    def count(self) -> Count:
        return self._count._replace(lost=self._sum("lost"))

    def _sum(self, name: str) -> int:
        return sum(getattr(sender.tally, name) for sender in self._senders.values())

    def _run(self, sock: socket.socket) -> None:
        import numpy  # noqa: F401  -- now, for it takes long enough to lose what comes meanwhile

        from .. import addresses  # noqa: F401
        from ..datagrams import DatagramBatch

        batch = DatagramBatch(sock, batch=_BATCH, size=self._options.size, gro=self._options.gro)
        try:
            while not self._is_over():
                try:
                    datagrams = batch.recv(timeout=self._patience())
                except TimeoutError:
                    pass
                else:
                    self._take(batch, datagrams)
                now = time.monotonic()
                if now >= self._meter.due:
                    self._meter.tell(self.count, now)
        finally:
            self._dropped = batch.dropped

    def _is_over(self) -> bool:
        now = time.monotonic()
        if now >= self._until:
            return True
        ended = bool(self._senders) and all(sender.has_ended for sender in self._senders.values())
        return ended and now >= self._silent_since + _LINGER

    def _take(self, batch: DatagramBatch, datagrams: Datagrams) -> None:
        """Counts what came, and answers what wants an answer."""
        import numpy as np

        now = self._silent_since = time.monotonic()
        if self._meter.begin is None:
            self._meter.start()
        self._meter.last = now
        marks = _marks(datagrams)
        ours = marks >> np.uint64(48) == mark(0) >> 48
        kinds = (marks >> np.uint64(SEQUENCE_BITS)).astype(np.uint8)
        kinds[~ours] = 0
        numbers = (marks % np.uint64(SEQUENCES)).astype(np.int64)
        self._foreign += int(np.count_nonzero(~ours))
        self._truncated += int(np.count_nonzero(datagrams.truncated))
        ends = int(np.count_nonzero(kinds == END))
        size = datagrams.bytes_total - int(datagrams.lengths[kinds == END].sum())
        self._count = Count(self._count.datagrams + len(datagrams) - ends, self._count.bytes + size)
        for address, rows in _by_sender(datagrams):
            known = rows[ours[rows]]
            if len(known):
                self._take_from(address, batch, datagrams, known, kinds[known], numbers[known], now)

    def _take_from(
        self,
        address: tuple[str, int],
        batch: DatagramBatch,
        datagrams: Datagrams,
        rows: NDArray[np.intp],
        kinds: NDArray[np.uint8],
        numbers: NDArray[np.int64],
        now: float,
    ) -> None:
        """The rows that one blast has sent."""
        sender = self._senders.get(address)
        if sender is None:
            sender = self._senders[address] = _Sender(now)
        is_end = kinds == END
        counted = rows[~is_end]
        if len(counted):
            sender.tally.take(numbers[~is_end])
            sender.add(len(counted), int(datagrams.lengths[counted].sum()), now)
        pings = rows[kinds == PING]
        if len(pings):
            batch.send([datagrams[row] for row in pings.tolist()], address)
        if len(counted) < len(rows):
            sender.tally.expect(int(numbers[is_end].max()))
            sender.has_ended = True
            batch.send([sender.report()], address)

    def _more(self) -> dict[str, Any]:
        lost = self._sum("lost")
        return {
            "senders": len(self._senders),
            "lost": lost,
            "loss": share(lost, lost + self._sum("distinct")),
            "duplicates": self._sum("duplicates"),
            "reordered": self._sum("reordered"),
            "dropped": self._dropped,
            "truncated": self._truncated,
            "foreign": self._foreign,
        }

    def _notes(self) -> list[str]:
        dropped = were(self._dropped)
        if self._options.gro:
            dropped = f"piece{'s' * (self._dropped != 1)} of one or more datagrams {dropped}"
        counts = {
            "came twice": self._sum("duplicates"),
            "came behind a later one": self._sum("reordered"),
            f"{dropped} dropped by this machine's kernel, for datagrams came faster than they were read": self._dropped,
            f"{were(self._truncated)} cut to --size": self._truncated,
            f"{were(self._foreign)} not sent by blast": self._foreign,
        }
        return [f"{count:,} {what}" for what, count in counts.items() if count]


def _marks(datagrams: Datagrams) -> NDArray[np.uint64]:
    """The first eight bytes of each; 0 of those that are too short for a header."""
    import numpy as np

    # Copies of all are made in one go, which takes a third of the time of a view for each.
    starts = [datagram[:8] for datagram in datagrams.tolist()]
    for row in np.flatnonzero(datagrams.lengths < HEADER.size).tolist():
        starts[row] = bytes(8)
    return np.frombuffer(b"".join(starts), dtype=">u8").astype(np.uint64)


def _by_sender(datagrams: Datagrams) -> Iterator[tuple[tuple[str, int], NDArray[np.intp]]]:
    """The rows of each sender."""
    import numpy as np

    from ..addresses import AddressArray

    addresses, ports = datagrams.addresses, datagrams.ports
    assert isinstance(addresses, AddressArray)
    hosts = list(map(str, addresses.to_list()))
    n = len(hosts)
    if hosts.count(hosts[0]) == n and bool((ports == ports[0]).all()):
        yield (hosts[0], int(ports[0])), np.arange(n)
        return
    senders = list(zip(hosts, ports.tolist(), strict=True))
    for sender in dict.fromkeys(senders):
        yield sender, np.array([row for row, other in enumerate(senders) if other == sender], dtype=np.intp)


# --- connections -----------------------------------------------------------------------------------------------------


class _Stream(_Sink):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._bytes = 0

    @property
    def count(self) -> Count:
        return Count(0, self._bytes)

    def _run(self, sock: socket.socket) -> None:
        while time.monotonic() < self._until:
            sock.settimeout(self._patience() or _LEAST)
            with suppress(TimeoutError):
                connection, address = sock.accept()
                break
        else:
            return
        with connection:
            self._meter.start()
            try:
                self._read(connection)
            except OSError as error:
                raise OSError(error.errno, f"{name_of(address)}: {reason(error)}") from None

    def _read(self, connection: socket.socket) -> None:
        """All of one connection, which is sent back if it is pings."""
        buffer = memoryview(bytearray(self._options.size))
        start = b""  # until there is a header
        kind: int | None = None
        connection.settimeout(_TICK)
        for _ in self._ticks():
            try:
                size = connection.recv_into(buffer)
            except TimeoutError as error:
                _check_tick(error)
                continue
            if not size:
                break
            self._meter.last = time.monotonic()
            self._bytes += size
            if kind is None:
                start += buffer[:size]
                if len(start) < HEADER.size:
                    continue
                kind = (read_mark(start) or (0, 0))[0]
                if kind == PING:
                    self._echo(connection, memoryview(start))
            elif kind == PING:
                self._echo(connection, buffer[:size])
        if kind == DATA:
            with suppress(OSError):  # who does not want to hear it
                connection.sendall(report(amounts("tcp", self.count, self._meter.seconds)))

    def _echo(self, connection: socket.socket, data: memoryview) -> None:
        """Sends it back, however long that takes: `sendall` would have the timeout of a single call for all of it."""
        for _ in self._ticks():
            if not data:
                return
            try:
                data = data[connection.send(data) :]
            except TimeoutError as error:
                _check_tick(error)

    def _ticks(self) -> Iterator[None]:
        """Turns until the time is over, in each of which nothing may wait for longer than a tick."""
        while (now := time.monotonic()) < self._until:
            self._meter.tell(self.count, now)
            yield


def _check_tick(error: TimeoutError) -> None:
    """Only a wait for a tick has no errno: ETIMEDOUT is that of a connection which TCP has given up."""
    if error.errno is not None:
        raise error
