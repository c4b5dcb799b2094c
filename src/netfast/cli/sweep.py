"""`netfast sweep PREFIX|HOST...`: which hosts are alive, with fping's habits."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import _output
from ._inputs import inputs
from ._options import Parser, add_json, number, whole
from ._pings import add_sender, begun, milliseconds, sender
from ._progress import StatusLine

if TYPE_CHECKING:
    from ..ping_errors import PingError
    from ..ping_results import PingEvent
    from ..ping_runs import Run

# Exit codes: fping's.
_REACHABLE, _UNREACHABLE, _UNKNOWN, _MISUSED, _TROUBLE = range(5)

_MANY = 1 << 16  # addresses that are pinged without further question
_PAUSE = 0.05  # seconds between two writes
_BACKOFF = 1.5  # each time it asks again, it waits so much longer
_PATIENCE = 600_000  # milliseconds, but never longer than this


def _parser() -> Parser:
    parser = Parser(
        "sweep",
        "Pings every host of prefixes and lists, and prints which are alive, one a line, as they answer.",
        "examples:\n  netfast sweep 192.0.2.0/24\n  netfast sweep -u -f hosts.txt\n"
        "  netfast sweep -aue 192.0.2.1 example.org\n  netfast sweep --json 192.0.2.0/24 | jq .rtt\n\n"
        "Exit codes, as fping's: 0 all were alive, 1 some were not, 2 a name has no address, 3 wrong arguments, "
        "4 the system would not let it.",
        operands="host",
        misused=_MISUSED,
    )
    parser.add_argument(
        "hosts",
        metavar="PREFIX|HOST",
        nargs="*",
        default=[],
        help='a prefix, an address or a name; "-" for standard input',
    )
    parser.add_argument(
        "-f", "--file", dest="files", metavar="FILE", action="append", default=[],
        help='hosts from this file too, one a line; "#" begins a comment',
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help=f"more than {_MANY:,} addresses are meant")
    _add_results(parser)
    _add_probes(parser)
    add_sender(parser)
    return parser


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("what is printed")
    group.add_argument("-a", "--alive", action="store_true", help="the hosts that are alive (default)")
    group.add_argument("-u", "--unreachable", action="store_true", help="those that are not, in order, at the end")
    group.add_argument("-e", "--elapsed", action="store_true", help="how long the reply took")
    group.add_argument("-s", "--summary", action="store_true", help="totals at the end, on standard error")
    group.add_argument("-q", "--quiet", action="store_true", help="only what -a, -u and -s ask for")
    add_json(group, "each as a JSON object: host, address, is_alive, rtt (seconds), ttl, error")


def _add_probes(parser: Parser) -> None:
    group = parser.add_argument_group("how they are asked")
    group.add_argument(
        "-r", "--retry", type=whole(0, 100), default=1, metavar="N", help="ask those that are silent N times more (1)"
    )
    group.add_argument(
        "-t", "--timeout", type=number(least=1, most=_PATIENCE), default=500.0, metavar="MS",
        help=f"milliseconds to wait for a reply (500), and each time {_BACKOFF} times as long",
    )  # fmt: skip
    speed = group.add_mutually_exclusive_group()
    speed.add_argument(
        "--rate", type=number(least=0.001, most=1e9), metavar="N", help="probes a second (1000; loopback: no limit)"
    )
    speed.add_argument(
        "-i", "--interval", type=number(most=_PATIENCE), metavar="MS", help="milliseconds between two probes, or 0"
    )


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    hosts = _hosts(parser, options)
    _refuse_many(parser, options, hosts)
    how = {"count": 1, "rate": _rate(options), "timeout": options.timeout / 1000, "family": options.family}
    how |= sender(parser, options)
    with begun(parser, _TROUBLE, hosts, **how) as run:
        sweep = _Sweep(run, options)
        try:
            sweep.ask(run, range(len(run.names)))
            for _ in range(options.retry):
                how["timeout"] = min(how["timeout"] * _BACKOFF, _PATIENCE / 1000)
                sweep.ask_again(parser, how)
            sweep.finish()
        finally:  # on Ctrl-C, too
            sweep.close()
    return sweep.code()


# --- who is asked ----------------------------------------------------------------------------------------------------


def _hosts(parser: Parser, options: argparse.Namespace) -> list[str]:
    hosts: list[str] = []
    for host in options.hosts:
        hosts += _listed(parser, "-") if host == "-" else [host]
    for file in options.files:
        hosts += _listed(parser, file)
    if not hosts:
        parser.error("no hosts: name some, or a -f FILE that does")
    return hosts


def _listed(parser: Parser, file: str) -> list[str]:
    """The first word of each line."""
    from ..sources import opened_text, trouble

    (item,) = inputs(parser, [file])
    try:
        with opened_text(item.source, "replace") as text:
            return [words[0] for line in text if (words := line.partition("#")[0].split())]
    except (OSError, EOFError) as error:
        _output.complain(trouble(item.name, error))
        raise SystemExit(_TROUBLE) from None


def _refuse_many(parser: Parser, options: argparse.Namespace, hosts: Sequence[str]) -> None:
    n = sum(map(_size, hosts))
    if n > _MANY and not options.yes:
        parser.error(f"these are {n:,} addresses, more than a /16 has ({_MANY:,}); --yes if they are meant")


def _size(host: str) -> int:
    """How many addresses a host or prefix is."""
    if "/" not in host:
        return 1
    from ipaddress import ip_network

    try:
        return ip_network(host, strict=False).num_addresses
    except ValueError:  # whoever reads it says what is wrong
        return 1


def _rate(options: argparse.Namespace) -> float | None:
    """Probes a second."""
    if options.interval is None:
        rate: float | None = options.rate
        return rate
    return 1000 / options.interval if options.interval else math.inf


# --- who answers -----------------------------------------------------------------------------------------------------


class _Results:
    """Lines of results, written some at a time, and below them how far it is."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._due = 0.0
        self._status = StatusLine()

    def add(self, line: str) -> None:
        self._lines.append(line)

    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def show(self, progress: str = "") -> None:
        self._due = time.monotonic() + _PAUSE
        self._status.clear()
        _output.say_lines(self._lines)
        if progress:
            self._status.show(progress)


class _Sweep:
    """What is known of each host, and who says it."""

    def __init__(self, run: Run, options: argparse.Namespace) -> None:
        self._options = options
        self._names, self._addresses = run.names, run.addresses
        self._alive = bytearray(len(self._names))
        self._errors: dict[int, PingError] = {}  # the last of a host
        self._tally = _Tally()
        self._results = _Results()
        self._started = time.monotonic()
        self._says_alive = options.alive or not (options.unreachable or options.quiet)
        self._line = _line(options)

    def ask(self, run: Run, rows: Sequence[int]) -> None:
        """Takes what a run tells; rows: which host each of its own is."""
        before = self._tally.settled
        try:
            while not run.done:
                events = run.wait(_PAUSE)
                self._take(events, rows)
                if not events or self._results.is_due():
                    settled = self._tally.settled - before
                    self._results.show(f"{settled:,} of {len(rows):,} asked, {len(self._tally.rtts):,} alive")
        finally:
            self._tally.sent += run.sent

    def ask_again(self, parser: Parser, how: dict[str, object]) -> None:
        """Those that have an address and are silent."""
        rows = list(self._silent())
        if rows:
            with begun(parser, _TROUBLE, [self._addresses[row] or "" for row in rows], **how) as run:
                self.ask(run, rows)

    def _silent(self) -> Iterator[int]:
        return (row for row, address in enumerate(self._addresses) if address is not None and not self._alive[row])

    def _unreachable(self) -> Iterator[int]:
        """Those without an address are named elsewhere, but not for programs."""
        return (
            (row for row in range(len(self._names)) if not self._alive[row]) if self._options.json else self._silent()
        )

    def _take(self, events: Sequence[PingEvent], rows: Sequence[int]) -> None:
        tally = self._tally
        for event in events:
            if event.kind == "reply":
                tally.replies += 1
                self._take_reply(event, rows[event.row])
            elif event.kind == "late":  # those are alive, too
                tally.late += 1
                self._take_reply(event, rows[event.row])
            elif event.kind == "timeout":
                tally.timeouts += 1
            elif event.error is not None:
                self._take_error(event, event.error, rows[event.row])

    def _take_reply(self, event: PingEvent, row: int) -> None:
        if self._alive[row] or event.rtt is None:
            return
        self._alive[row] = 1
        self._tally.rtts.append(event.rtt)
        if self._says_alive:
            state = _State(self._names[row], event.address, True, event.rtt, event.ttl, None)
            self._results.add(self._line(state, self._options.elapsed))

    def _take_error(self, event: PingEvent, error: PingError, row: int) -> None:
        if self._addresses[row] is None:
            self._tally.unknown += 1
            self._errors[row] = error
            _output.complain(f"{event.host}: {error}")
        else:
            self._tally.errors += 1
            self._errors[row] = error

    def finish(self) -> None:
        """All have been asked."""
        if self._options.unreachable:
            for row in self._unreachable():
                state = _State(self._names[row], self._addresses[row], False, None, None, self._errors.get(row))
                self._results.add(self._line(state, False))
        self._results.show()
        if not self._options.quiet:
            self._complain_of_this_machine()

    def _complain_of_this_machine(self) -> None:
        """What it refused to send, each reason once."""
        errors = (self._errors[row] for row in self._silent() if row in self._errors)
        errors = (error for error in errors if error.source is None)
        for text, n in Counter(error.text for error in errors).items():
            _output.complain(f"{text} ({n:,} of {len(self._names):,} hosts)")

    def close(self) -> None:
        """Nothing more comes; what did is seen."""
        self._results.show()
        _output.flush()
        if self._options.summary:
            _output.aside(_summary(self._tally, len(self._names), time.monotonic() - self._started))

    def code(self) -> int:
        if self._tally.unknown:
            return _UNKNOWN
        return _REACHABLE if all(self._alive) else _UNREACHABLE


class _Tally:
    """What has come of the probes."""

    def __init__(self) -> None:
        self.sent = self.replies = self.late = self.timeouts = self.errors = 0
        self.unknown = 0  # names without an address
        self.rtts: list[float] = []  # of the first reply of each host

    @property
    def settled(self) -> int:
        """Probes that are waited for no more."""
        return self.replies + self.timeouts + self.errors


# --- as text ---------------------------------------------------------------------------------------------------------


class _State(NamedTuple):
    """What is said of a host."""

    host: str
    address: str | None
    is_alive: bool
    rtt: float | None
    ttl: int | None
    error: PingError | None


def _line(options: argparse.Namespace) -> Callable[[_State, bool], str]:
    """How it is said; the second argument: with the time it took."""
    if options.json:
        return _object
    return _sentence if options.alive and options.unreachable else _name


def _object(state: _State, elapsed: bool) -> str:
    return json.dumps({**state._asdict(), "error": state.error and state.error.to_dict()})


def _sentence(state: _State, elapsed: bool) -> str:
    return f"{state.host} is {'alive' if state.is_alive else 'unreachable'}{_took(state, elapsed)}"


def _name(state: _State, elapsed: bool) -> str:
    return f"{state.host}{_took(state, elapsed)}"


def _took(state: _State, elapsed: bool) -> str:
    return f" ({milliseconds(state.rtt)} ms)" if elapsed and state.rtt is not None else ""


def _summary(tally: _Tally, targets: int, seconds: float) -> str:
    """What fping prints at the end."""
    alive = len(tally.rtts)
    counts = (
        (targets, "targets"),
        (alive, "alive"),
        (targets - alive - tally.unknown, "unreachable"),
        (tally.unknown, "unknown addresses"),
        None,
        (tally.timeouts, "timeouts (waiting for response)"),
        (tally.sent, "ICMP Echos sent"),
        (tally.replies + tally.late, "ICMP Echo Replies received"),
        (tally.errors, "other ICMP received"),
        None,
    )
    lines = ["", *("" if count is None else f"{count[0]:8} {count[1]}" for count in counts)]
    if tally.rtts:
        times = (("min", min(tally.rtts)), ("avg", sum(tally.rtts) / alive), ("max", max(tally.rtts)))
        lines += [f" {milliseconds(rtt)} ms ({name} round trip time)" for name, rtt in times]
    return "\n".join([*lines, f"{seconds:13.3f} sec (elapsed real time)", ""])
