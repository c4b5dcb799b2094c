"""What `blast` and `sink` say to each other and to people: the header of a datagram, what is lost, a table.

Each datagram, and each write to a connection, begins with 16 bytes in network order:

     0        2     3               8                      16
    +--------+-----+---------------+----------------------+- - -
    | 0xb1a5 | kind| sequence      | time                 | filling
    +--------+-----+---------------+----------------------+- - -

kind: 1 data; 2 a ping, which the sink sends back as it is; 3 the end, where the sequence is how many there were;
4 the sink's report, with JSON behind the header.  Sequences count from 0, in 40 bits; of a ping over a connection,
whose first header stands for all that follows, it is the size of a message.  Time is the sender's clock, nanoseconds
since whenever, as its batch was handed to the kernel.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER = struct.Struct(">QQ")
DATA, PING, END, REPORT = 1, 2, 3, 4
SEQUENCE_BITS = 40
SEQUENCES = 1 << SEQUENCE_BITS
_MAGIC = 0xB1A5
BUFFER = 8 << 20  # bytes that the kernel is asked to keep for a socket


def mark(kind: int, sequence: int = 0) -> int:
    """The first eight bytes of a header."""
    return _MAGIC << 48 | kind << SEQUENCE_BITS | sequence


def header(kind: int, sequence: int) -> bytes:
    return HEADER.pack(mark(kind, sequence), time.monotonic_ns())


def read_mark(data: bytes | bytearray | memoryview) -> tuple[int, int] | None:
    """Kind and sequence of what begins with a header; None for anything else."""
    if len(data) < HEADER.size:
        return None
    first, _ = HEADER.unpack_from(data)
    if first >> 48 != _MAGIC:
        return None
    return first >> SEQUENCE_BITS & 0xFF, first % SEQUENCES


def report_of(data: bytes) -> dict[str, Any] | None:
    """What the sink says, which may come from anybody; None if it is no report."""
    found = read_mark(data)
    if found is None or found[0] != REPORT:
        return None
    try:
        said = json.loads(data[HEADER.size :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not {"seconds", "bytes"} <= said.keys():
        return None
    return said if all(_is_sane(name, value) for name, value in said.items()) else None


_COUNTS = ("bytes", "datagrams", "lost")
_COUNT_MAX = (1 << 63) - 1
_REPORT_SECONDS = (1e-9, 1e9)  # the least is what a clock tells apart, so that no rate is beyond all numbers


def _is_sane(name: str, value: object) -> bool:
    """Whether a sink may say so.  What came in one go came in 0 seconds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if name == "seconds":
        least, most = _REPORT_SECONDS
        return value == 0 or least <= value <= most
    return 0 <= value <= _COUNT_MAX and (isinstance(value, int) or name not in _COUNTS)


def report(said: dict[str, Any]) -> bytes:
    return header(REPORT, 0) + json.dumps(said).encode()


# --- what is lost ----------------------------------------------------------------------------------------------------

_WINDOW = 1 << 20  # sequences behind the highest that are remembered one by one; an older one counts as a duplicate


class Tally:
    """Which sequences of one sender have come."""

    def __init__(self) -> None:
        import numpy as np

        self.distinct = 0
        self.duplicates = 0
        self.reordered = 0  # came behind a higher one, for the first time
        self.highest = -1
        self._seen = np.zeros(_WINDOW, dtype=bool)  # by sequence modulo its size

    @property
    def lost(self) -> int:
        return self.highest + 1 - self.distinct

    def expect(self, count: int) -> None:
        """So many were sent: the last ones, too, may be lost."""
        if count - 1 > self.highest:
            self._forget_up_to(count - 1)
            self.highest = count - 1

    def take(self, numbers: NDArray[np.int64]) -> None:
        """Sequences as they came, one at least."""
        import numpy as np

        n = len(numbers)
        if int(numbers[0]) == self.highest + 1 and bool((np.diff(numbers) == 1).all()):
            self._set(self.highest + 1, n, True)
            self.highest += n
            self.distinct += n
            return
        before = np.maximum.accumulate(np.concatenate(([self.highest], numbers[:-1])))
        behind = int(np.count_nonzero(numbers <= before))
        unique = np.unique(numbers)
        at = int(np.searchsorted(unique, self.highest, side="right"))
        old, above = unique[:at], unique[at:]
        slots = old[old > self.highest - _WINDOW] % _WINDOW
        new = len(above) + int(np.count_nonzero(~self._seen[slots]))
        self._seen[slots] = True
        if len(above):
            self._forget_up_to(int(above[-1]))
            self.highest = int(above[-1])
            self._seen[above[above > self.highest - _WINDOW] % _WINDOW] = True
        self.distinct += new
        self.duplicates += n - new
        self.reordered += behind - (n - new)

    def _forget_up_to(self, highest: int) -> None:
        """Makes room for what is above the highest so far."""
        first = max(self.highest + 1, highest + 1 - _WINDOW)
        self._set(first, highest + 1 - first, False)

    def _set(self, first: int, count: int, value: bool) -> None:
        at = first % _WINDOW
        self._seen[at : at + count] = value
        self._seen[: max(0, at + count - _WINDOW)] = value


def share(lost: int, of: int) -> float:
    return lost / of if of else 0.0


def percentiles(values: Sequence[int]) -> dict[str, float]:
    """Of nanoseconds, in seconds: the least, p50, p90, p99 and the most, each a value that was there (nearest rank)."""
    ordered = sorted(values)
    ranks = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[max(0, math.ceil(q * len(ordered)) - 1)] / 1e9 for name, q in ranks.items()}


# --- how it is told --------------------------------------------------------------------------------------------------


class Count(NamedTuple):
    """What has come or gone until now."""

    datagrams: int = 0
    bytes: int = 0
    lost: int | None = None


def amounts(protocol: str, count: Count, seconds: float) -> dict[str, Any]:
    """For JSON: how much, and how fast."""

    def a_second(amount: int) -> float:
        return amount / seconds if seconds else 0.0

    said = {"seconds": seconds, "bytes": count.bytes, "bits_per_second": a_second(count.bytes * 8)}
    if protocol == "udp":
        said |= {"datagrams": count.datagrams, "datagrams_per_second": a_second(count.datagrams)}
    return said


_SECONDS = ("seconds", 11)
_RATES = {
    "udp": (_SECONDS, ("datagrams", 13), ("MB", 11), ("datagrams/s", 13), ("Gb/s", 9), ("lost", 20)),
    "tcp": (_SECONDS, ("MB", 13), ("Gb/s", 9)),
}
_TRIPS = (_SECONDS, ("round trips", 13), ("lost", 7), ("p50 µs", 10), ("p90 µs", 10), ("p99 µs", 10), ("max µs", 10))


class Table:
    """Rows under their titles as they come: one a second on a terminal, and what all of it was in the end."""

    def __init__(self, columns: Sequence[tuple[str, int]], *, quiet: bool) -> None:
        """quiet: nothing is printed."""
        self._columns = columns
        self._quiet = quiet
        self.is_live = not quiet and sys.stdout is not None and sys.stdout.isatty()
        self._begun = False

    def row(self, cells: Sequence[str], note: str = "") -> None:
        if self._quiet:
            return
        if not self._begun:
            self._begun = True
            self._say([title for title, _ in self._columns], "")
        self._say(cells, note)

    def _say(self, cells: Sequence[str], note: str) -> None:
        # A cell that is too wide for its column has a blank in front, too.
        texts = [f" {cell:>{width - 1}}" for cell, (_, width) in zip(cells, self._columns, strict=True)]
        _output.say("".join([*texts, f"  {note}" * bool(note)]))
        _output.flush()


class Meter:
    """Tells of traffic: how much in each second, and in all."""

    def __init__(self, protocol: str, *, quiet: bool) -> None:
        self._is_udp = protocol == "udp"
        self.table = Table(_RATES[protocol], quiet=quiet)
        self.begin: float | None = None  # when the first datagram came or went
        self.last = 0.0  # and the last
        self._told = Count()
        self._told_at = 0.0
        self.due = math.inf

    def start(self) -> None:
        self.begin = self.last = self._told_at = time.monotonic()
        self.due = self.begin + 1 if self.table.is_live else math.inf

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return 0.0 if self.begin is None else self.last - self.begin

    def tell(self, count: Count, now: float) -> None:
        """A row of what there was since the last, if it is time for one."""
        if now < self.due or self.begin is None:
            return
        seconds = now - self._told_at
        new = Count(count.datagrams - self._told.datagrams, count.bytes - self._told.bytes)
        if count.lost is not None:
            # What is late is lost for a while.
            new = new._replace(lost=max(0, count.lost - (self._told.lost or 0)))
        self.total(new, seconds, at=self._told_at - self.begin)
        self._told, self._told_at = count, now
        self.due = max(self.due + 1, now)

    def total(self, count: Count, seconds: float, note: str = "", at: float = 0.0) -> None:
        """A row of what there was in so many seconds."""
        rate = count.bytes * 8 / seconds / 1e9 if seconds else 0.0
        cells = [f"{at:.1f}-{at + seconds:.1f}", f"{count.bytes / 1e6:,.1f}", f"{rate:.3f}"]
        if self._is_udp:
            a_second = count.datagrams / seconds if seconds else 0.0
            cells[1:1] = [f"{count.datagrams:,}"]
            cells[3:3] = [f"{a_second:,.0f}"]
            cells.append(_lost(count))
        self.table.row(cells, note)


def were(count: int) -> str:
    return "was" if count == 1 else "were"


def _lost(count: Count) -> str:
    if count.lost is None:
        return ""
    return f"{count.lost:,} ({share(count.lost, count.datagrams + count.lost):.2%})"


class Trips:
    """Tells of round trips, in nanoseconds: those of each second, and all."""

    def __init__(self, *, quiet: bool) -> None:
        self.table = Table(_TRIPS, quiet=quiet)
        self.times: list[int] = []
        self.lost = 0
        self.begin = self._told_at = time.monotonic()
        self._told = (0, 0)

    def tell(self, now: float) -> None:
        """A row of the trips since the last, if it is time for one."""
        if not self.table.is_live or now < self._told_at + 1:
            return
        times, lost = self._told
        self._row(self.times[times:], self.lost - lost, self._told_at - self.begin, now - self.begin)
        self._told, self._told_at = (len(self.times), self.lost), now

    def total(self, now: float) -> None:
        self._row(self.times, self.lost, 0.0, now - self.begin)

    def _row(self, times: list[int], lost: int, begin: float, end: float) -> None:
        shown = [""] * 4
        if times:
            found = percentiles(times)
            shown = [f"{found[name] * 1e6:,.1f}" for name in ("p50", "p90", "p99", "max")]
        self.table.row([f"{begin:.1f}-{end:.1f}", f"{len(times):,}", f"{lost:,}", *shown])

    def to_dict(self) -> dict[str, Any]:
        found = percentiles(self.times) if self.times else {}
        return {"round_trips": len(self.times), "lost": self.lost, **found}


_NAP = 0.1  # seconds


class Pace:
    """How many may be sent by now: so many a second, or any number."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._begin = time.monotonic()

    def allowed(self, done: int, most: int) -> int:
        """How many more, after a wait if none may be: 0 then."""
        if self._rate is None:
            return most
        passed = time.monotonic() - self._begin
        due = int(passed * self._rate) + 1 - done
        if due > 0:
            return min(due, most)
        time.sleep(min(done / self._rate - passed, _NAP) if done / self._rate > passed else 0)
        return 0
