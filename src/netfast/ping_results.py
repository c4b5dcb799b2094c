"""What a ping found: of one host, of many, and one event at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .ping_errors import PingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._net import Result


class PingEvent(NamedTuple):
    """Something that happened to a probe.

    Attributes:
        kind: "reply", "duplicate" (a further one), "late" (after the timeout), "timeout", "error"; "sent" where asked.
        row: which of the hosts, prefixes expanded, from 0.
        host, address: as given, and as text; no address if the host has none.
        index: which of the host's probes, from 0; -1 where its name has no address.
        source: who answered, or sent the error; None for a timeout, and for what this machine refused.
        rtt: seconds from sending to the arrival of the reply, by the kernel's stamp.
        ttl: of the reply, None where the kernel does not tell.
        size: bytes of the ICMP message that came: the payload and 8.
        time: seconds since the epoch; of a reply, when it arrived.
        error: what came instead of a reply.
    """

    kind: str
    row: int
    host: str
    address: str | None
    index: int  # type: ignore[assignment]  # over tuple's method
    source: str | None
    rtt: float | None
    ttl: int | None
    size: int | None
    time: float
    error: PingError | None

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON."""
        return {**self._asdict(), "error": self.error and self.error.to_dict()}


def closing_lines(
    host: str,
    *,
    sent: int,
    received: int,
    duplicates: int,
    corrupted: int,
    errors: int,
    elapsed: float,
    rtts: tuple[float, float, float, float] | None,
) -> str:
    """The three lines that ping(8) ends on; the last is empty without RTTs (min, avg, max, mdev in seconds)."""
    parts = [f"{sent} packets transmitted", f"{received} received"]
    odd = (("duplicates", duplicates), ("corrupted", corrupted), ("errors", errors))
    parts += [f"+{count} {what}" for what, count in odd if count]
    parts += [f"{_loss(sent, received) * 100:g}% packet loss", f"time {elapsed * 1000:.0f}ms"]
    times = "" if rtts is None else f"rtt min/avg/max/mdev = {'/'.join(f'{x * 1000:.3f}' for x in rtts)} ms"
    return f"--- {host} ping statistics ---\n{', '.join(parts)}\n{times}"


def _loss(sent: int, received: int) -> float:
    return 1 - received / sent if sent else 1.0


class PingResult:
    """What came of the probes of one host.

    Attributes:
        host, address: as given, and the address that was pinged.
        sent, received: probes; each probe is received once at most.
        duplicates: replies to probes that were answered already.
        reordered: replies to a probe before the highest that was answered (RFC 4737 section 3).
        late: replies that came after the timeout; not in `received`.
        errors: a `PingError` for each probe that met one, in order of arrival.
        min, avg, max, mdev, jitter: of the RTTs, in seconds; NaN without any.  mdev is the population standard
            deviation; jitter the mean absolute difference of RTTs that came one after the other, of two at least.
        size: bytes of payload of a probe.
        elapsed: seconds from the first probe to the end.
        dropped: replies that the kernel dropped, because nobody had read the ones before; also ICMPv6 replies with a
            wrong checksum.
        corrupted: replies whose checksum or payload is wrong.
        foreign: replies with this ping's id that answer none of its probes: forged, or of another.

    Example:
        >>> import netfast as nf
        >>> found = nf.ping("127.0.0.1", count=3, interval=0)
        >>> found.sent, found.received, found.loss, found.ttls.tolist(), found.is_alive
        (3, 3, 0.0, [64, 64, 64], True)
        >>> bool(found.min <= found.percentile(50) <= found.max < 1)
        True
    """

    __slots__ = (
        "_failed",
        "_rtts",
        "_span",
        "_ttls",
        "address",
        "avg",
        "corrupted",
        "dropped",
        "duplicates",
        "elapsed",
        "errors",
        "foreign",
        "host",
        "jitter",
        "late",
        "max",
        "mdev",
        "min",
        "received",
        "reordered",
        "sent",
        "size",
    )

    def __init__(
        self,
        host: str,
        address: str,
        size: int,
        counted: Result,
        rtts: bytearray,
        ttls: bytearray,
        errors: Sequence[PingError],
        elapsed: float,
        losses: tuple[int, int, int],
    ) -> None:
        self.host = host
        self.address = address
        self.size = size
        self.sent, self.received, self.duplicates, self.reordered, self.late = counted[:5]
        self.min, self.avg, self.max, self.mdev, self.jitter, self._span, self._failed = counted[5:]
        self._rtts = rtts
        self._ttls = ttls
        self.errors = list(errors)
        self.elapsed = elapsed
        self.dropped, self.corrupted, self.foreign = losses

    @property
    def is_alive(self) -> bool:
        """Whether any probe was answered in time."""
        return self.received > 0

    @property
    def loss(self) -> float:
        """The share of probes that were not answered in time, 0 to 1."""
        return _loss(self.sent, self.received)

    @property
    def rtts(self) -> NDArray[np.float64]:
        """float64[sent]: seconds from sending each probe to the arrival of its reply; NaN where it was lost."""
        from .addresses import _view

        return _view(self._rtts, "float64")[: self.sent]

    @property
    def ttls(self) -> NDArray[np.uint8]:
        """uint8[sent]: the TTL (hop limit) each reply arrived with; 0 where the probe was lost."""
        from .addresses import _view

        return _view(self._ttls, "uint8")[: self.sent]

    def percentile(self, q: float) -> float:
        """The RTT in seconds that q percent (0 to 100) of the received do not exceed, interpolated; NaN without any."""
        import numpy as np

        if not 0 <= q <= 100:
            raise ValueError(f"q={q}: wanted 0 to 100")
        answered = self.rtts[~np.isnan(self.rtts)]
        return float(np.percentile(answered, q)) if len(answered) else math.nan

    def to_text(self) -> str:
        """The three lines that ping(8) ends on; no newline at the end."""
        return closing_lines(
            self.host,
            sent=self.sent,
            received=self.received,
            duplicates=self.duplicates,
            corrupted=self.corrupted,
            errors=self._failed,
            elapsed=self._span,
            rtts=(self.min, self.avg, self.max, self.mdev) if self.received else None,
        )

    def to_dict(self) -> dict[str, object]:
        """The figures by name, ready for JSON: NaN is None, `rtts` and `ttls` are lists, errors are dicts."""
        plain = ("host", "address", "size", "sent", "received", "duplicates", "reordered", "late", "loss")
        times = ("min", "avg", "max", "mdev", "jitter")
        rest = ("elapsed", "dropped", "corrupted", "foreign")
        made: dict[str, object] = {name: getattr(self, name) for name in plain}
        made |= {name: _known(getattr(self, name)) for name in times}
        made["rtts"] = [_known(rtt) for rtt in memoryview(self._rtts).cast("d")[: self.sent]]
        made["ttls"] = list(self._ttls[: self.sent])
        made["errors"] = [error.to_dict() for error in self.errors]
        return made | {name: getattr(self, name) for name in rest}

    def __repr__(self) -> str:
        figures = "no reply" if not self.received else f"{self.avg * 1000:.3f} ms on average"
        return f"<PingResult of {self.host}: {self.received:,} of {self.sent:,} received, {figures}>"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


class PingRow(NamedTuple):
    """What came of the probes of one host among many; the columns of a `PingTable`, times in seconds."""

    host: str
    address: str | None
    sent: int
    received: int
    duplicates: int
    reordered: int
    late: int
    loss: float
    rtt_min: float
    rtt_avg: float
    rtt_max: float
    rtt_mdev: float
    rtt_jitter: float
    error: PingError | None

    @property
    def is_alive(self) -> bool:
        """Whether any probe was answered in time."""
        return self.received > 0


_COUNTS = ("sent", "received", "duplicates", "reordered", "late")
_TIMES = ("rtt_min", "rtt_avg", "rtt_max", "rtt_mdev", "rtt_jitter")


class PingTable:
    """What came of the probes of many hosts, a row each, in the order they were given.

    Attributes:
        elapsed: seconds the run took.
        dropped, corrupted, foreign: of the whole run, as in `PingResult`.

    The columns are NumPy arrays; as an Arrow stream the same columns, `error` as text.

    Example:
        >>> import netfast as nf
        >>> found = nf.ping_many(["127.0.0.1", "127.0.0.2", "nowhere.invalid"])
        >>> found.is_alive.tolist(), found.received.tolist(), found.address.tolist()
        ([True, True, False], [1, 1, 0], ['127.0.0.1', '127.0.0.2', None])
        >>> found[2].error.kind
        'unresolvable'
    """

    __slots__ = ("_addresses", "_columns", "_errors", "_names", "corrupted", "dropped", "elapsed", "foreign")

    def __init__(
        self,
        names: Sequence[str],
        addresses: Sequence[str | None],
        columns: Sequence[Any],
        errors: dict[int, PingError],
        elapsed: float,
        losses: tuple[int, int, int],
    ) -> None:
        """columns: five of uint32 and five of float64, n rows each, as `_net.Pinger.results` has them."""
        self._names = names
        self._addresses = addresses
        self._columns = dict(zip(_COUNTS + _TIMES, columns, strict=True))
        self._errors = errors
        self.elapsed = elapsed
        self.dropped, self.corrupted, self.foreign = losses

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        counts = [int(self._column(name)[row]) for name in _COUNTS]
        times = [float(self._column(name)[row]) for name in _TIMES]
        loss = _loss(counts[0], counts[1])
        return PingRow._make((self._names[row], self._addresses[row], *counts, loss, *times, self._errors.get(row)))

    def __iter__(self) -> Iterator[PingRow]:
        return (self[row] for row in range(len(self)))

    def _column(self, name: str) -> NDArray[Any]:
        from .addresses import _view

        return _view(self._columns[name], "uint32" if name in _COUNTS else "float64")

    def _objects(self, values: Sequence[object]) -> NDArray[np.object_]:
        import numpy as np

        made = np.empty(len(self), dtype=object)
        made[:] = values
        return made

    @property
    def host(self) -> NDArray[np.object_]:
        """object[n]: str as given, prefixes expanded."""
        return self._objects(self._names)

    @property
    def address(self) -> NDArray[np.object_]:
        """object[n]: the address that was pinged, as str; None where the host has none."""
        return self._objects(self._addresses)

    @property
    def sent(self) -> NDArray[np.uint32]:
        """uint32[n]: probes."""
        return self._column("sent")

    @property
    def received(self) -> NDArray[np.uint32]:
        """uint32[n]: probes that were answered in time."""
        return self._column("received")

    @property
    def duplicates(self) -> NDArray[np.uint32]:
        """uint32[n]: replies to probes that were answered already."""
        return self._column("duplicates")

    @property
    def reordered(self) -> NDArray[np.uint32]:
        """uint32[n]: replies to a probe before the highest that was answered (RFC 4737 section 3)."""
        return self._column("reordered")

    @property
    def late(self) -> NDArray[np.uint32]:
        """uint32[n]: replies that came after the timeout."""
        return self._column("late")

    @property
    def loss(self) -> NDArray[np.float64]:
        """float64[n]: the share of probes that were not answered in time, 0 to 1; 1 where none could be sent."""
        import numpy as np

        sent = self.sent.astype("float64")
        answered: NDArray[np.float64] = np.divide(self.received, sent, out=np.zeros(len(self)), where=sent > 0)
        return 1 - answered

    @property
    def rtt_min(self) -> NDArray[np.float64]:
        """float64[n]: the shortest time to a reply in seconds, NaN without any."""
        return self._column("rtt_min")

    @property
    def rtt_avg(self) -> NDArray[np.float64]:
        """float64[n]: the mean time to a reply in seconds, NaN without any."""
        return self._column("rtt_avg")

    @property
    def rtt_max(self) -> NDArray[np.float64]:
        """float64[n]: the longest time to a reply in seconds, NaN without any."""
        return self._column("rtt_max")

    @property
    def rtt_mdev(self) -> NDArray[np.float64]:
        """float64[n]: the population standard deviation of the times in seconds, NaN without any."""
        return self._column("rtt_mdev")

    @property
    def rtt_jitter(self) -> NDArray[np.float64]:
        """float64[n]: the mean absolute difference of successive times in seconds, NaN without two."""
        return self._column("rtt_jitter")

    @property
    def is_alive(self) -> NDArray[np.bool_]:
        """bool[n]: any probe was answered in time."""
        return self.received > 0

    @property
    def error(self) -> NDArray[np.object_]:
        """object[n]: the last `PingError` of each host, None where there was none."""
        return self._objects([self._errors.get(row) for row in range(len(self))])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from ._arrow import ArrowData, arrow_bits, arrow_text

        n = len(self)

        def text(name: str, values: Sequence[object]) -> ArrowData:
            return arrow_text([None if value is None else str(value) for value in values], name)

        def numbers(name: str) -> ArrowData:
            return ArrowData("I" if name in _COUNTS else "g", n, [None, self._columns[name]], name=name)

        columns = [text("host", self._names), text("address", self._addresses), *map(numbers, _COUNTS)]
        columns.append(ArrowData("g", n, [None, bytearray(self.loss.tobytes())], name="loss"))
        columns += map(numbers, _TIMES)
        columns.append(ArrowData("b", n, [None, arrow_bits(bytearray(self.is_alive))], name="is_alive"))
        columns.append(text("error", [self._errors.get(row) for row in range(n)]))
        return ArrowData("+s", n, [None], children=columns).stream_capsule()

    def __repr__(self) -> str:
        return f"<PingTable of {len(self):,} hosts: {int(self.is_alive.sum()):,} alive>"
