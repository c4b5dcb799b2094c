"""`netfast ping HOST...`: what ping(8) prints, for one host or many; on a terminal many are a live table."""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import DONE, NO_MATCH, TROUBLE, _output
from ._options import Parser, add_color, add_json, number, whole
from ._ping_reports import Report, report_for
from ._pings import add_sender, begun, leaves_from, sender

if TYPE_CHECKING:
    from ..ping_runs import Run

_TICK = 0.1  # seconds between two looks at the clock
SECONDS = 1e6  # that anything may take
_SHORT = 0.002  # an interval that only root may ask for, as in ping(8)


def _parser() -> Parser:
    parser = Parser(
        "ping",
        "Sends echo requests to hosts and prints what comes back, line for line as ping(8) of iputils does. Several "
        "hosts are a live table on a terminal; anywhere else, their lines are mixed as they come.",
        "examples:\n  netfast ping -c 4 example.org\n  netfast ping 192.0.2.1 2001:db8::1 example.org\n"
        "  netfast ping --json -c 10 -i 0.2 192.0.2.1 | jq 'select(.kind == \"reply\").rtt'\n\n"
        "Nothing is looked up in reverse. Ctrl-C ends with the statistics, Ctrl-\\ prints a short line of them.\n\n"
        "Exit codes: 0 every host answered (with -w: -c times), 1 one did not, 2 a name has no address, or trouble.",
        operands="host",
    )
    parser.add_argument(
        "hosts", metavar="HOST", nargs="+", help="a name, an address (with a zone: fe80::1%%eth0) or a prefix"
    )
    probes = parser.add_argument_group("probes")
    probes.add_argument("-c", dest="count", type=whole(1), metavar="N", help="so many to each host (default: no end)")
    probes.add_argument(
        "-i",
        dest="interval",
        type=number(most=SECONDS),
        metavar="S",
        help="seconds between two to a host (1); below 0.002: root",
    )
    probes.add_argument(
        "-f",
        dest="flood",
        action="store_true",
        help="flood: without -i the next as soon as one is answered; needs root",
    )
    probes.add_argument(
        "-s", dest="size", type=whole(0, 65507), default=56, metavar="N", help="bytes of payload of each (56)"
    )
    probes.add_argument("-t", dest="ttl", type=whole(1, 255), metavar="N", help="their TTL, or hop limit")
    probes.add_argument(
        "-M", dest="pmtu", choices=("do", "dont"), metavar="do|dont", help="do: nobody may fragment them"
    )
    probes.add_argument("-Q", dest="tos", type=_tos, metavar="N", help="type of service or traffic class, such as 0x10")
    add_sender(parser)
    waiting = parser.add_argument_group("waiting")
    waiting.add_argument(
        "-W", dest="timeout", type=number(least=0.001, most=SECONDS), default=2.0, metavar="S",
        help="seconds after which a reply is late, and its probe lost (2)",
    )  # fmt: skip
    waiting.add_argument(
        "-w", dest="deadline", type=number(least=0.001, most=SECONDS), metavar="S",
        help="seconds after which all ends; until then, probes are sent until -c of them are answered or one fails",
    )  # fmt: skip
    _add_output(parser)
    return parser


def _add_output(parser: Parser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="only the first line and the statistics")
    parser.add_argument("-D", dest="stamped", action="store_true", help="seconds since 1970 in front of each line")
    parser.add_argument(
        "-O", dest="outstanding", action="store_true", help="say when a probe has no answer as the next is sent"
    )
    parser.add_argument("-n", action="store_true", help="no names for addresses, which is always so")
    add_json(parser, "a JSON object a line for each event, and one with the statistics of each host")
    add_color(parser)


def _tos(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range (wanted 0 to 255)")
    return value


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    _set_interval(parser, options)
    options.sender = sender(parser, options)
    with begun(parser, TROUBLE, options.hosts, **_how(options)) as run:
        if (why := _no_way(run, options)) is not None:
            _output.complain(f"connect: {why}")
            return TROUBLE
        report = report_for(run, options)
        report.begin()
        with _on_quit(report.status):
            _watch(run, report, options)
        report.end()
    return _code(report, options)


def _set_interval(parser: Parser, options: argparse.Namespace) -> None:
    if options.interval is None:
        options.interval = 0.0 if options.flood else 1.0
    if os.geteuid() != 0 and options.interval < _SHORT:
        what = f"an interval of less than {_SHORT} s" if options.interval or not options.flood else "-f without -i"
        parser.error(f"{what} needs root")


def _how(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments for netfast.icmp."""
    return {
        # With a deadline it is answers that are counted.
        "count": None if options.deadline else options.count,
        "interval": options.interval,
        "rate": math.inf if options.interval < _SHORT else None,
        "timeout": options.timeout,
        "size": options.size,
        "ttl": options.ttl,
        "tos": options.tos,
        "dont_fragment": options.pmtu == "do",
        "sent": True,
        "family": options.family,
        **options.sender,
    }


def _watch(run: Run, report: Report, options: argparse.Namespace) -> None:
    """Tells what happens until all is done, enough has come, the deadline is over or Ctrl-C comes."""
    until = time.monotonic() + (options.deadline or math.inf)
    try:
        while not (run.done or (options.deadline and report.has_enough)) and (left := until - time.monotonic()) > 0:
            _tell(run, report, min(left, _TICK))
    except KeyboardInterrupt:
        _tell(run, report, 0)


def _tell(run: Run, report: Report, seconds: float) -> None:
    for event in run.wait(seconds):
        report.take(event)
    report.show()


def _code(report: Report, options: argparse.Namespace) -> int:
    if report.unknown:
        return TROUBLE
    wanted = options.count if options.count and options.deadline else 1
    return DONE if all(host.received >= wanted for host in report.hosts.values()) else NO_MATCH


def _no_way(run: Run, options: argparse.Namespace) -> str | None:
    """Why nothing can be sent to the one host there is; of several, the others shall be pinged."""
    if len(run.names) > 1 or run.addresses[0] is None:
        return None
    try:
        leaves_from(run.addresses[0], **options.sender)
    except OSError as error:
        return error.strerror or str(error)
    return None


@contextmanager
def _on_quit(call: Callable[[], None]) -> Iterator[None]:
    """Calls it on Ctrl-\\, which would end the process with a core dump otherwise."""
    before = signal.signal(signal.SIGQUIT, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(signal.SIGQUIT, before)
