"""`netfast classify FILE...`: what addresses are in logs, counted by kind, class, address and network."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import DONE, TROUBLE, _output, _progress
from ._columns import COLUMN_RULE, add_column, with_columns
from ._inputs import EMPTY, Input, inputs, is_empty
from ._options import VERSIONS_RULE, Parser, add_color, add_files, add_json, add_selection, selection, whole
from ._output import Column, Style
from ._tables import add_table, read_table

if TYPE_CHECKING:
    from ..logs import LogSummary


def _parser() -> Parser:
    parser = Parser(
        "classify",
        "Counts every IP address in logs by kind (private, global, loopback, ...) and class, and lists the most "
        "frequent addresses and networks.",
        "examples:\n  netfast classify access.log auth.log.gz\n  zcat app.log.gz | netfast classify --first\n"
        "  netfast classify --json-key client.ip --json app.jsonl | jq .by_kind\n"
        "  netfast classify --column client.ip flows.parquet\n\n" + VERSIONS_RULE + "\n\n" + COLUMN_RULE,
    )
    add_files(parser)
    parser.add_argument(
        "--top", type=whole(0, 10**6), default=10, metavar="N", help="how many addresses and networks to list (10)"
    )
    add_column(parser)
    add_table(parser, "count by label too, the value of the longest prefix in FILE that holds an address")
    add_json(parser, "print a JSON object")
    add_color(parser)
    add_selection(parser)
    group = parser.add_argument_group("how much it may take")
    group.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads to use (default: one per CPU)")
    group.add_argument(
        "--max-distinct",
        type=whole(1),
        default=10_000_000,
        metavar="N",
        help="different addresses to count one by one (10M); beyond, memory is bounded and estimates are marked ~",
    )
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    chosen = selection(parser, options)
    chosen["table"] = read_table(parser, options.table)
    chosen["column"] = options.column
    listed = with_columns(parser, options, inputs(parser, options.files))
    summary = _summarize(options, listed, chosen)
    if options.json:
        _output.say(json.dumps(summary.to_dict()))
    elif summary.bytes or not summary.errors:
        _output.say(render(summary, _output.style(options.color), options.top))
    _output.flush()  # before what it says on standard error
    for name, message in summary.errors:
        _output.complain(f"{name}: {message}")
    return TROUBLE if summary.errors else DONE


def _summarize(options: argparse.Namespace, listed: Sequence[Input], chosen: dict[str, Any]) -> LogSummary:
    empty = [item for item in listed if is_empty(item)]
    summary = _read(options, [item.source for item in listed if item not in empty], chosen)
    errors = [(_name(source, listed), message) for source, message in summary.errors]
    return summary._replace(errors=[*errors, *((item.name, EMPTY) for item in empty)])


def _name(source: str, listed: Sequence[Input]) -> str:
    """What the command calls a source; standard input may have been read by a path."""
    return next((item.name for item in listed if item.source == source), source)


def _read(options: argparse.Namespace, sources: Sequence[Any], chosen: dict[str, Any]) -> LogSummary:
    from ..logs import summarize

    how = {**chosen, "top": options.top, "max_distinct": options.max_distinct, "threads": options.threads}
    bar = _progress.bar(options.color)
    if bar is None:
        return summarize(sources, **how)
    with bar:
        return summarize(sources, progress=bar, **how)


# --- as text ---------------------------------------------------------------------------------------------------------


def render(summary: LogSummary, style: Style, labels: int = 10) -> str:
    """The summary as tables, and a histogram where the output can show one; so many labels are shown."""
    return "\n\n".join(_parts(summary, style, labels))


def _parts(summary: LogSummary, style: Style, labels: int) -> Iterator[str]:
    from ..logs import NO_LABEL

    about = "~" if summary.estimated else ""
    yield _totals(summary, about)
    if summary.addresses:
        yield _counts("kind", list(summary.by_kind.items()), summary.addresses, style)
        classes = [(name or "IPv6", count) for name, count in summary.by_class.items()]
        yield _counts("class", classes, summary.addresses, style)
    if summary.by_label and labels:
        shown = [(name or NO_LABEL, count) for name, count in islice(summary.by_label.items(), labels)]
        yield _counts("label", shown, summary.addresses, style)
    if summary.top_addresses:
        kinds = [_kind(text) for text, _ in summary.top_addresses]
        yield _counts("top addresses", summary.top_addresses, summary.addresses, style, about, kinds)
    if summary.top_networks:
        yield _counts("top networks", summary.top_networks, summary.addresses, style, about)
    if summary.estimated:
        wrong = f"; the counts marked so may be too low by up to {summary.count_error:,}" if summary.count_error else ""
        yield f"~ estimated: more different addresses than --max-distinct{wrong}"
    yield _speed(summary)


def _totals(summary: LogSummary, about: str) -> str:
    rows = [
        ("lines", f"{summary.lines:,}"),
        ("bytes", f"{summary.bytes:,}"),
        ("addresses", f"{summary.addresses:,}"),
        ("unique", f"{about}{summary.unique:,}"),
    ]
    if summary.invalid:
        rows.append(("lines without", f"{summary.invalid:,}"))
    names, values = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{name:<{names}}  {value:>{values}}" for name, value in rows)


def _counts(
    title: str,
    rows: Sequence[tuple[str, int]],
    total: int,
    style: Style,
    about: str = "",
    kinds: Sequence[str] | None = None,
) -> str:
    counts = [count for _, count in rows]
    columns = [
        Column(title, [name for name, _ in rows], right=False),
        Column("times" if title.startswith("top") else "addresses", [f"{about}{count:,}" for count in counts]),
        Column("share", [f"{100 * count / total:.1f} %" for count in counts], needed=False),
    ]
    if kinds is not None:
        columns.append(Column("kind", kinds, right=False, needed=False))
    return _output.table(columns, style, _output.bars(counts, style))


def _kind(text: str) -> str:
    from ..textbook import address

    return address(text).kind


def _speed(summary: LogSummary) -> str:
    speed = summary.bytes / summary.seconds / 1e6 if summary.seconds else 0.0
    return f"{summary.seconds:.2f} s, {speed:,.0f} MB/s"
