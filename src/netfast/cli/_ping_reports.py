"""What `netfast ping` says of what happens: the lines of ping(8), the dots of its flood, JSON, a live table."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from . import _output
from ._output import Column, Style
from ._pings import leaves_from, milliseconds

if TYPE_CHECKING:
    from rich.live import Live

    from ..ping_results import PingEvent, PingResult
    from ..ping_runs import Run


# --- a host ----------------------------------------------------------------------------------------------------------

_PENDING = math.nan


class _Trail:
    """What became of the last probes: an RTT each, `_PENDING`, or None for a lost one."""

    def __init__(self, size: int = 256) -> None:
        self._marks: list[float | None] = [_PENDING] * size
        self._end = 0

    def put(self, index: int, mark: float | None) -> None:
        if index >= self._end - len(self._marks):
            self._end = max(self._end, index + 1)
            self._marks[index % len(self._marks)] = mark

    def last(self, n: int) -> list[float | None]:
        """Those of the last n, or of as many as there are."""
        first = max(0, self._end - min(n, len(self._marks)))
        return [self._marks[index % len(self._marks)] for index in range(first, self._end)]


class Host:
    """One host: what its run has counted, and what that does not keep."""

    def __init__(self, run: Run, row: int, address: str) -> None:
        self._run, self._row = run, row
        self.name, self.address = run.names[row], address
        self.sent = self.received = 0
        self.first_sent = self.last_sent = 0.0
        self.answered = -1  # the highest index of a probe that was
        self.most_open = 0  # the most probes that were waited for at a time
        self.smoothed: float | None = None  # RTT, of which a new one is an eighth
        self.errors = 0
        self.error: str | None = None  # the last
        self.trail = _Trail()

    def figures(self) -> PingResult:
        return self._run.result(self._row)

    def note(self, event: PingEvent) -> None:
        index = event.index
        if event.kind == "sent":
            self._note_sent(index, event.time)
        elif event.kind == "reply":
            self._note_reply(index, event.rtt or 0.0)
        elif event.kind == "late":
            self.answered = max(self.answered, index)
        elif event.kind == "timeout":
            self.trail.put(index, None)
        elif event.kind == "error":
            self._note_error(index, str(event.error))

    def _note_sent(self, index: int, time: float) -> None:
        self.sent = index + 1
        self.last_sent = time
        if index == 0:
            self.first_sent = time
        self.trail.put(index, _PENDING)

    def _note_reply(self, index: int, rtt: float) -> None:
        self.received += 1
        self.answered = max(self.answered, index)
        self.most_open = max(self.most_open, self.sent - index)
        self.smoothed = rtt if self.smoothed is None else self.smoothed + (rtt - self.smoothed) / 8
        self.trail.put(index, rtt)

    def _note_error(self, index: int, text: str) -> None:
        self.most_open = max(self.most_open, self.sent - index)
        self.errors += 1
        self.error = text
        self.trail.put(index, None)


# --- reports ---------------------------------------------------------------------------------------------------------


def report_for(run: Run, options: argparse.Namespace) -> Report:
    if options.json:
        return _Objects(run, options)
    if options.quiet:
        return Report(run, options)
    if len(run.names) > 1 and _is_terminal():
        return _Table(run, options)
    return (_Flood if options.flood else _Lines)(run, options)


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Report:
    """The first line and the statistics of each host; what there is between them, others say."""

    def __init__(self, run: Run, options: argparse.Namespace) -> None:
        self.options = options
        self.style = _output.style(options.color)
        known = ((row, address) for row, address in enumerate(run.addresses) if address is not None)
        self.hosts = {row: Host(run, row, address) for row, address in known}
        self.unknown = 0  # hosts without an address
        self._wanting = set(self.hosts)  # those that have neither answered as often as is wanted nor failed
        self.lines: list[str] = []  # that `show` shall print

    def begin(self) -> None:
        for host in self.hosts.values():
            _output.say(_first_line(host, self.options))
        _output.flush()

    def take(self, event: PingEvent) -> None:
        """Something has happened."""
        host = self.hosts.get(event.row)
        if host is None:
            self.unknown += 1
            _output.complain(f"{event.host}: {event.error}")
        else:
            host.note(event)
            if host.errors or host.received >= (self.options.count or math.inf):
                self._wanting.discard(event.row)
            self.tell(host, event)

    @property
    def has_enough(self) -> bool:
        """Whether each host has answered as often as is wanted, or failed."""
        return not self._wanting

    def tell(self, host: Host, event: PingEvent) -> None:
        """Says it, now or when `show` is called."""

    def show(self) -> None:
        """Whatever was told is seen now."""
        _output.say_lines(self.lines)

    def end(self) -> None:
        for host in self.hosts.values():
            _output.say(f"\n{_closing(host, self.options, self.style)}")

    def status(self) -> None:
        """How it stands, on standard error."""
        for host in self.hosts.values():
            lead = f"{host.name}: " if len(self.hosts) > 1 else ""
            _output.aside(f"\r{lead}{_status(host)}")


class _Lines(Report):
    """A line for each reply and each error."""

    def tell(self, host: Host, event: PingEvent) -> None:
        if event.error is not None and event.source is None:
            self._complain(host, event.error.kind, event.error.text)
        elif line := self._line(host, event):
            self.lines.append(f"[{event.time:.6f}] {line}" if self.options.stamped else line)

    def _line(self, host: Host, event: PingEvent) -> str:
        if event.rtt is not None:
            return _reply(host, event, event.rtt)
        if event.error is not None:
            return f"From {event.source} icmp_seq={_sequence(event.index)} {event.error.text}"
        if event.kind == "sent" and self.options.outstanding and host.answered < event.index - 1:
            return f"no answer yet for icmp_seq={_sequence(event.index - 1)}"
        return ""

    def _complain(self, host: Host, kind: str, text: str) -> None:
        """What this machine refuses is no part of the output."""
        self.show()
        lead = f"{host.name}: " if len(self.hosts) > 1 else ""
        _output.complain(f"{lead}{'local error' if kind == 'message_too_big' else 'sendmsg'}: {text}")


class _Flood(Report):
    """A dot for each probe, taken back by its reply: those that stand are lost, or waited for."""

    def __init__(self, run: Run, options: argparse.Namespace) -> None:
        super().__init__(run, options)
        self._drawn: list[str] = []

    def tell(self, host: Host, event: PingEvent) -> None:
        if event.kind == "sent":
            self._drawn.append(".")
        elif event.rtt is not None:
            self._drawn.append("\b \b")
        elif event.error is not None:
            self._drawn.append("\bE")

    def show(self) -> None:
        drawn, self._drawn = self._drawn, []
        if drawn:
            _output.say("".join(drawn), end="")
            _output.flush()


class _Objects(Report):
    """A JSON object a line."""

    def begin(self) -> None:
        pass

    def tell(self, host: Host, event: PingEvent) -> None:
        if event.kind != "sent" and not self.options.quiet:
            self.lines.append(json.dumps(event.to_dict()))

    def end(self) -> None:
        for host in self.hosts.values():
            figures = host.figures().to_dict()
            del figures["rtts"], figures["ttls"]  # each has been said
            del figures["errors"]
            _output.say(json.dumps({"kind": "statistics", **figures, "failed": host.errors}))


class _Table(Report):
    """A table of all hosts, drawn anew while they are pinged."""

    _EVERY = 0.1  # seconds

    def __init__(self, run: Run, options: argparse.Namespace) -> None:
        super().__init__(run, options)
        self._live = _live(options.color)
        self._due = 0.0
        self._is_stale = True

    def begin(self) -> None:
        self._live.start()
        self.show()

    def tell(self, host: Host, event: PingEvent) -> None:
        self._is_stale = True

    def show(self) -> None:
        if self._is_stale and time.monotonic() >= self._due:
            self._draw(max(1, self._live.console.height - 3))
            self._is_stale = False
            self._due = time.monotonic() + self._EVERY

    def _draw(self, most: int | None) -> None:
        """The first so many hosts, which are as many as can be seen."""
        from rich.text import Text

        style = _output.style(self.options.color)  # anew, for the window may have got another size
        hosts = list(islice(self.hosts.values(), most))
        table = _table(hosts, style)
        if more := len(self.hosts) - len(hosts):
            table += f"\nand {more:,} more"
        self._live.update(Text.from_ansi(table, no_wrap=True), refresh=True)

    def end(self) -> None:
        self._draw(None)
        self._live.stop()
        for host in self.hosts.values():
            if host.error is not None:
                _output.complain(f"{host.name}: {host.error}")

    def status(self) -> None:
        """It is seen already."""


def _live(color: str) -> Live:
    """Draws on standard output, above which goes what is said on a terminal's standard error meanwhile."""
    from rich.live import Live

    from ._progress import console

    is_above = sys.stderr is not None and sys.stderr.isatty()
    screen = console(color, sys.stdout)
    return Live(console=screen, auto_refresh=False, redirect_stdout=False, redirect_stderr=is_above)


# --- as text ---------------------------------------------------------------------------------------------------------

_HEADERS = 28  # bytes in front of the payload, of IPv4 and ICMP
_MARKS = {"reply": "", "duplicate": " (DUP!)", "late": " (LATE!)"}


def _first_line(host: Host, options: argparse.Namespace) -> str:
    way = _way(host, options)
    if ":" in host.address:
        return f"PING {host.name}({_who(host, host.address)}) {way}{options.size} data bytes"
    return f"PING {host.name} ({host.address}) {way}{options.size}({options.size + _HEADERS}) bytes of data."


def _way(host: Host, options: argparse.Namespace) -> str:
    """Where probes leave, for who chose that."""
    if not options.sender:
        return ""
    source = options.sender.get("source", "")
    with suppress(OSError):  # then no probe leaves, either
        source = leaves_from(host.address, **options.sender)
    return f"from {source} {options.sender.get('interface', '')}: "


def _who(host: Host, address: str | None) -> str:
    """An address of the host, behind its name if it was given one."""
    return str(address) if host.name == host.address else f"{host.name} ({address})"


def _reply(host: Host, event: PingEvent, rtt: float) -> str:
    ttl = "" if event.ttl is None else f" ttl={event.ttl}"
    return (
        f"{event.size} bytes from {_who(host, event.source)}: icmp_seq={_sequence(event.index)}{ttl} "
        f"time={milliseconds(rtt)} ms{_MARKS[event.kind]}"
    )


def _sequence(index: int) -> int:
    return (index + 1) & 0xFFFF


def _closing(host: Host, options: argparse.Namespace, style: Style) -> str:
    lines, _, times = host.figures().to_text().rpartition("\n")
    times = ", ".join(filter(None, [times, *_more(host, options)]))
    return "\n".join([lines, times, *_drawn(host, style)])


def _more(host: Host, options: argparse.Namespace) -> Iterator[str]:
    """What ping(8) adds for who sends faster than replies come, and for who floods."""
    if host.most_open > 1:
        yield f"pipe {host.most_open}"
    if (options.flood or options.interval == 0) and host.sent > 1 and host.smoothed is not None:
        gap = (host.last_sent - host.first_sent) / (host.sent - 1)
        yield f"ipg/ewma {gap * 1000:.3f}/{host.smoothed * 1000:.3f} ms"


def _drawn(host: Host, style: Style) -> Iterator[str]:
    """The last RTTs as a line of their own, where such can be seen."""
    if style.steps and host.sent > 1:
        yield style.bar(_output.sparkline(host.trail.last(style.room), style))


def _status(host: Host) -> str:
    figures = host.figures()
    text = f"{figures.received}/{figures.sent} packets, {int(figures.loss * 100)}% loss"
    if host.smoothed is None:
        return text
    times = (figures.min, figures.avg, host.smoothed, figures.max)
    return f"{text}, min/avg/ewma/max = {'/'.join(f'{seconds * 1000:.3f}' for seconds in times)} ms"


def _table(hosts: Sequence[Host], style: Style) -> str:
    figures = [host.figures() for host in hosts]
    columns = [
        Column("host", [host.name for host in hosts], right=False),
        Column("address", [host.address for host in hosts], right=False, needed=False),
        Column("sent", [f"{found.sent}" for found in figures], needed=False),
        Column("recv", [f"{found.received}" for found in figures], needed=False),
        Column("loss", [f"{100 * found.loss:.1f}%" if found.sent else "" for found in figures]),
        Column("last", [_last(host) for host in hosts]),
        Column("min", [_time(found.min) for found in figures], needed=False),
        Column("avg", [_time(found.avg) for found in figures], needed=False),
        Column("max", [_time(found.max) for found in figures], needed=False),
        Column("mdev", [_time(found.mdev) for found in figures], needed=False),
    ]
    if all(host.name == host.address for host in hosts):
        del columns[1]
    return _output.table(columns, style, lambda n: [_output.sparkline(host.trail.last(n), style) for host in hosts])


def _last(host: Host) -> str:
    """What became of the newest probe of which it is known."""
    known = [mark for mark in host.trail.last(16) if mark is None or not math.isnan(mark)]
    if not known:
        return ""
    return _output.LOST if known[-1] is None else _time(known[-1])


def _time(seconds: float) -> str:
    return "" if math.isnan(seconds) else milliseconds(seconds)
