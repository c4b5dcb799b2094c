"""How a claim is measured: two sides in turns (A B A B ...), medians, a row of the table.

The machine may be slower in one minute than in the next, so the ratio is that of the two runs of one round, and the
row has the median of these; the figures beside it are medians as well.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

SKIPPED: dict[str, str] = {}  # every rival that was missing, and how to get it
PATIENCE = 30.0  # seconds a row may take before it makes do with fewer rounds, three at least


class MissingError(Exception):
    """A rival that is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Side:
    """Something that works through `amount` rows or bytes each time it is run."""

    amount: float
    run: Callable[[], object]
    answer: Callable[[], Any] | None = None  # what it found, where `run` itself does not say
    before: Callable[[], object] | None = None  # what each run must find done, and is not measured for

    def found(self) -> Any:
        return self.run() if self.answer is None else self.answer()

    def speed(self) -> float:
        """Rows or bytes a second of one run; letting go of the result is part of it."""
        if self.before is not None:
            self.before()
        start = time.perf_counter()
        self.run()
        return self.amount / (time.perf_counter() - start)


@dataclass(frozen=True)
class Rival:
    name: str
    wanted: float  # netfast's speed in its speeds, at least
    side: Callable[[], Side]  # made when its turn comes; raises MissingError
    agree: Callable[[Any, Any], bool]  # do netfast's answer and this one say the same?


@dataclass(frozen=True)
class Row:
    work: str
    netfast: str
    rival: str
    figure: str
    ratio: str
    wanted: str
    met: bool

    def cells(self) -> tuple[str, ...]:
        ratio = self.ratio if self.met else f"**{self.ratio}** (missed)"
        return self.work, self.netfast, self.rival, self.figure, ratio, self.wanted


@dataclass(frozen=True)
class Race:
    """Netfast against rivals at the same work."""

    work: str
    unit: str  # "rows", "hosts", "cards", "sockets", "bytes", or "calls", of which it says how long one takes
    netfast: Side
    rivals: Sequence[Rival]

    def rows(self, rounds: int) -> Iterator[Row]:
        return (row for rival in self.rivals if (row := self._row(rival, rounds)) is not None)

    def _row(self, rival: Rival, rounds: int) -> Row | None:
        note(f"{self.work} against {rival.name}")
        try:
            theirs = rival.side()
        except MissingError as missing:
            SKIPPED[rival.name] = str(missing)
            note(f"  skipped: {rival.name} is missing ({missing})")
            return None
        # This warms both sides as well.
        agree = rival.agree(self.netfast.found(), theirs.found())
        ours, others = zip(*in_turns(self.netfast.speed, theirs.speed, rounds), strict=True)
        ratio = median(one / other for one, other in zip(ours, others, strict=True))
        figures = [self._figure(median(speeds)) for speeds in (ours, others)]
        wanted = f"≥ {rival.wanted:,g}×"
        if not agree:
            return Row(self.work, figures[0], rival.name, figures[1], "answers differ", wanted, met=False)
        return Row(self.work, figures[0], rival.name, figures[1], times(ratio), wanted, ratio >= rival.wanted)

    def _figure(self, speed: float) -> str:
        if self.unit == "rows":
            return f"{speed / 1e6:.3g} M/s"
        if self.unit in ("hosts", "cards", "sockets"):
            return f"{speed / 1e3:.3g} k/s"
        if self.unit == "calls":
            return f"{1e3 / speed:.3g} ms"
        return f"{speed / 1e9:.2f} GB/s" if speed >= 1e9 else f"{speed / 1e6:.0f} MB/s"


@dataclass(frozen=True)
class Ceiling:
    """A figure that may not be higher than so much."""

    work: str
    unit: str
    most: float
    figure: Callable[[], float]  # of one run
    beside: tuple[str, Callable[[], float]] | None = None  # the name and figure of what is taken off first
    rounds: int | None = None  # instead of the usual

    def rows(self, rounds: int) -> Iterator[Row]:
        note(self.work)
        self.figure()  # warms it
        if self.beside is None:
            figure = median(self.figure() for _ in range(self.rounds or rounds))
            yield self._row(figure, "", "", f"{figure:.0f} {self.unit}")
            return
        name, other = self.beside
        ours, others = zip(*in_turns(self.figure, other, self.rounds or rounds), strict=True)
        more = median(one - base for one, base in zip(ours, others, strict=True))
        yield self._row(median(ours), name, f"{median(others):.0f} {self.unit}", f"{more:+.1f} {self.unit}", more)

    def _row(self, ours: float, rival: str, figure: str, ratio: str, judged: float | None = None) -> Row:
        met = (ours if judged is None else judged) <= self.most
        sign = "" if judged is None else "+"
        return Row(
            self.work, f"{ours:.0f} {self.unit}", rival, figure, ratio, f"≤ {sign}{self.most:g} {self.unit}", met
        )


@dataclass(frozen=True)
class Likeness:
    """A figure of netfast's that may be at most so many times another: of time, where less is better."""

    work: str
    unit: str
    most: float
    figure: Callable[[], float]
    other_name: str
    other: Callable[[], float]  # raises MissingError

    def rows(self, rounds: int) -> Iterator[Row]:
        note(f"{self.work} beside {self.other_name}")
        try:
            self.figure(), self.other()  # warms both
        except MissingError as missing:
            SKIPPED[self.other_name] = str(missing)
            note(f"  skipped: {self.other_name} is missing ({missing})")
            return
        ours, others = zip(*in_turns(self.figure, self.other, rounds), strict=True)
        ratio = median(one / other for one, other in zip(ours, others, strict=True))
        medians = median(ours), median(others)
        figures = [f"{value:,.0f} {self.unit}" if value >= 1000 else f"{value:.3g} {self.unit}" for value in medians]
        wanted = f"≤ {self.most:g}×"
        yield Row(self.work, figures[0], self.other_name, figures[1], times(ratio), wanted, ratio <= self.most)


Claim = Race | Ceiling | Likeness


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Figures of both, round by round."""
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    gc.disable()
    try:
        while len(pairs) < rounds and (len(pairs) < 3 or time.perf_counter() - start < PATIENCE):
            pairs.append((_tidied(ours), _tidied(theirs)))
    finally:
        gc.enable()
    return pairs


def _tidied(figure: Callable[[], float]) -> float:
    """A figure where the cycles that the other side left are gone: they would cost this one fresh pages."""
    gc.collect()
    return figure()


def in_milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def times(ratio: float) -> str:
    if ratio < 0.1:
        return f"{ratio:.2g}×"
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.1f}×" if ratio >= 10 else f"{ratio:.2f}×"


def note(text: str) -> None:
    """Says what is going on, beside the table."""
    print(text, file=sys.stderr, flush=True)
