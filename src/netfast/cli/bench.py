"""`netfast bench`: netfast against pure Python on this machine, in a few seconds."""

from __future__ import annotations

import io
import ipaddress
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from . import DONE, TROUBLE, _output
from ._options import Parser, add_color, add_json, whole
from ._output import Column

_SHARE = 10  # Python gets a tenth of the work: it is rates that are compared
_BYTES_PER_ROW = 40  # of log for each address of a list, so that all cases take about as long


def _parser() -> Parser:
    parser = Parser(
        "bench",
        "Compares netfast with pure Python (the standard library's ipaddress and re) on generated addresses and logs, "
        "one thread each. The results of both are checked against each other.",
    )
    parser.add_argument(
        "--rows",
        type=whole(1000, 10**7),
        default=200_000,
        metavar="N",
        help="addresses for netfast (200K); Python: 1/10",
    )
    parser.add_argument("--rounds", type=whole(1, 1000), default=3, metavar="N", help="rounds, of which the median (3)")
    add_json(parser, "print a JSON object")
    add_color(parser)
    return parser


class Case(NamedTuple):
    """One kind of work, done by both: a function of `inputs[: size]` each, and what a second's work is counted in."""

    name: str
    unit: str
    scale: float
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]
    data: Any


class Result(NamedTuple):
    work: str
    unit: str
    netfast: float
    python: float

    @property
    def ratio(self) -> float:
        return self.netfast / self.python


def run(arguments: Sequence[str]) -> int:
    options = _parser().parse(arguments)
    results = []
    for case in _cases(options.rows):
        few = case.data[: max(1, len(case.data) // _SHARE)]
        if isinstance(few, bytes):
            few = few[: few.rfind(b"\n") + 1]
        if case.ours(few) != case.theirs(few):
            _output.complain(f"bench: netfast and Python do not agree ({case.name})")
            return TROUBLE
        ours, theirs = (
            _rate(work, data, options.rounds) for work, data in ((case.ours, case.data), (case.theirs, few))
        )
        results.append(Result(case.name, case.unit, ours / case.scale, theirs / case.scale))
    _output.say(_json(results) if options.json else _table(results, _output.style(options.color)))
    return DONE


def _rate(work: Callable[[Any], object], data: Any, rounds: int) -> float:
    """Items (or bytes) a second, in the median round."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work(data)
        times.append(time.perf_counter() - started)
    return float(len(data) / max(statistics.median(times), 1e-9))


def _json(results: Sequence[Result]) -> str:
    return json.dumps({"results": [{**result._asdict(), "ratio": result.ratio} for result in results]})


def _table(results: Sequence[Result], style: _output.Style) -> str:
    columns = [
        Column("work", [result.work for result in results], right=False),
        Column("unit", [result.unit for result in results], right=False, needed=False),
        Column("netfast", [f"{result.netfast:,.1f}" for result in results]),
        Column("Python", [f"{result.python:,.2f}" for result in results]),
        Column("times", [f"{result.ratio:,.0f}" for result in results]),
    ]
    return _output.table(columns, style, _output.bars([round(result.ratio) for result in results], style))


# --- the work --------------------------------------------------------------------------------------------------------


def _cases(rows: int) -> Iterator[Case]:
    from ..addresses import format_addresses, parse
    from ..logs import summarize
    from .sample import SplitMix64, sample

    random = SplitMix64(1)
    ip4 = random.below(1 << 32, rows).tolist()
    ip6 = [high << 64 | low for high, low in zip(random.bits(rows).tolist(), random.bits(rows).tolist(), strict=True)]
    text4, text6 = format_addresses(ip4), format_addresses(ip6)
    yield Case("classify IPv4 text", "M/s", 1e6, _kinds, _flags, text4)
    yield Case("classify IPv6 text", "M/s", 1e6, _kinds, _flags, text6)
    yield Case(
        "parse IPv4 text",
        "M/s",
        1e6,
        lambda texts: parse(texts).v4.tolist(),
        lambda texts: [int(ipaddress.IPv4Address(text)) for text in texts],
        text4,
    )
    yield Case("write IPv4 text", "M/s", 1e6, format_addresses, _formatted, ip4)
    yield Case("write IPv6 text", "M/s", 1e6, format_addresses, _formatted, ip6)
    log = b"".join(sample(rows * _BYTES_PER_ROW, seed=1))
    yield Case(
        "count IPv4 in a log by class",
        "MB/s",
        1e6,
        lambda text: summarize(io.BytesIO(text), versions=(4,), threads=1).by_class,
        _summary,
        log,
    )


def _kinds(texts: Sequence[str]) -> tuple[int, ...]:
    from ..addresses import classify

    counts = classify(texts, threads=1).counts()
    return counts.get("loopback", 0), counts.get("multicast", 0), counts.get("link_local", 0)


def _flags(texts: Sequence[str]) -> tuple[int, ...]:
    """What one would write without netfast."""
    loopback = multicast = link_local = 0
    for text in texts:
        address = ipaddress.ip_address(text)
        loopback += address.is_loopback
        multicast += address.is_multicast
        link_local += address.is_link_local
    return loopback, multicast, link_local


def _formatted(values: Sequence[int]) -> list[str]:
    return [str(ipaddress.ip_address(value)) for value in values]


# What netfast.logs takes for IPv4, as regular expressions that suffice for the generated log: the end of ::ffff:1.2.3.4
# is none, nor is a product version, unless a port follows.
_QUAD = re.compile(rb"(?<![A-Za-z0-9_.])(?<!:ffff:)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_]|\.[A-Za-z0-9_])")
_PORT = re.compile(rb":[0-9]")
_VERSION = re.compile(rb"(?:^|[\s\"'(;,])(?=[a-z]*[A-Z])[A-Za-z]{1,64}/$")


def _summary(log: bytes) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for line in log.splitlines():
        for match in _QUAD.finditer(line):
            try:
                value = int(ipaddress.IPv4Address(match[0].decode()))
            except ValueError:
                continue
            if _PORT.match(line, match.end()) or not _VERSION.search(line[max(0, match.start() - 66) : match.start()]):
                counts["AAAAAAAABBBBCCDE"[value >> 28]] += 1
    return dict(counts.most_common())
