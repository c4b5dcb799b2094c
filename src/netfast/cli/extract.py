"""`netfast extract FILE...`: a row for every address in logs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from . import DONE, TROUBLE, _output
from ._columns import COLUMN_RULE, add_column, check_pyarrow, is_columnar, with_columns
from ._inputs import Input, inputs, is_plain, is_same, read, without_output
from ._options import VERSIONS_RULE, Parser, add_files, add_json, add_selection, selection
from ._tables import add_table, read_table, table_file

if TYPE_CHECKING:
    from ..prefixes import PrefixTable

_COLUMNAR = ("parquet", "arrow")


def _parser() -> Parser:
    parser = Parser(
        "extract",
        "Writes a row for every IP address in logs: line, offset in bytes, address, version, kind, class and block; "
        "the file in front if there are several.",
        "examples:\n  netfast extract access.log > addresses.csv\n"
        "  netfast extract --format jsonl --first -o clients.jsonl access.log.*.gz\n"
        "  netfast extract --format parquet -o addresses.parquet access.log\n"
        "  netfast extract --column ip flows.parquet\n\n" + VERSIONS_RULE + "\n\n" + COLUMN_RULE + "\n\n"
        "The line of a row of Parquet or Arrow is its number, and it has no offset.",
    )
    add_files(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", *_COLUMNAR),
        default="csv",
        help="csv with a header (default), JSON lines, Parquet or Arrow (into a file its file format, into a pipe its "
        "stream format); the last two need PyArrow",
    )
    add_json(parser, "the same as --format jsonl")
    add_column(parser)
    add_table(parser, "add the longest prefix in FILE that holds the address, and its label, the value there")
    parser.add_argument("-o", "--output", metavar="FILE", help='write to FILE instead of standard output ("-")')
    add_selection(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    if options.format in _COLUMNAR:
        _check_columnar(parser, options)
    chosen = selection(parser, options)
    table = read_table(parser, options.table)
    listed = with_columns(parser, options, inputs(parser, options.files))
    tables = [] if options.table is None else [_table_input(options.table)]
    _refuse_to_overwrite(parser, options, [*listed, *tables])
    readable = [item for item in listed if _has_column(item, options.column)]
    if not readable:
        return TROUBLE  # and what was in the output is there still
    with _output.Destination(options.output) as out:
        kept = without_output(readable, out.fileno())
        if not kept or without_output(tables, out.fileno()) != tables:
            return TROUBLE
        code = DONE if len(kept) == len(listed) else TROUBLE
        names = [item.name for item in kept] if len(listed) > 1 else None
        with (_as_columns if options.format in _COLUMNAR else _as_text)(options, out, names, table, chosen) as write:
            for number, item in enumerate(kept):
                if not read(item, partial(write, number, item)):
                    code = TROUBLE
    return code


def _check_columnar(parser: Parser, options: argparse.Namespace) -> None:
    if options.json:
        parser.error(f"--json is --format jsonl, and --format {options.format} was given")
    check_pyarrow(parser, parquet=options.format == "parquet")
    if options.output in (None, "-") and sys.stdout is not None and sys.stdout.isatty():
        parser.error(f"--format {options.format} is nothing for a terminal; give -o FILE")


_Write = Callable[[int, Input], object]  # the rows of an input, and its number


@contextmanager
def _as_text(
    options: argparse.Namespace,
    out: _output.Destination,
    names: Sequence[str] | None,
    table: PrefixTable | None,
    chosen: dict[str, Any],
) -> Iterator[_Write]:
    from ..reports import extract_rows, rows_header

    format: Literal["csv", "jsonl"] = "jsonl" if options.json or options.format == "jsonl" else "csv"
    if header := rows_header(format, names is not None, table is not None):
        out.write(header)

    def write(number: int, item: Input) -> None:
        how: dict[str, Any] = {"format": format, "name": names[number] if names else None, "table": table}
        if is_columnar(item):
            from ..arrow_rows import column_rows

            column_rows(item.source, out.write, options.column, versions=chosen["versions"], **how)
        else:
            extract_rows(item.source, out.write, **how, **chosen)

    yield write


@contextmanager
def _as_columns(
    options: argparse.Namespace,
    out: _output.Destination,
    names: Sequence[str] | None,
    table: PrefixTable | None,
    chosen: dict[str, Any],
) -> Iterator[_Write]:
    from ..arrow_rows import Writer, rows_of_column, rows_of_text

    format = options.format
    if format == "arrow" and not is_plain(out.fileno()):
        format = "stream"  # what reads a pipe cannot look at its end first
    with Writer(out.write, format, names, table) as writer:

        def write(number: int, item: Input) -> None:
            if is_columnar(item):
                found = rows_of_column(item.source, options.column, table, chosen["versions"])
            else:
                found = rows_of_text(item.source, table, **chosen)
            for rows in found:
                writer.add(rows, number)

        yield write


def _table_input(text: str) -> Input:
    """The file of --table, which may be mapped: whatever changes it changes the table, or ends the process."""
    path, _ = table_file(text)
    return Input(f"--table {path}", path)


def _refuse_to_overwrite(parser: Parser, options: argparse.Namespace, listed: Sequence[Input]) -> None:
    """Opening the output empties it, so this comes first."""
    for item in listed:
        if options.output not in (None, "-") and is_same(item, options.output):
            parser.error(f"{item.name}: it is also the output")


def _has_column(item: Input, column: str | None) -> bool:
    """Whether there is something to read in an input; says so if not.  Of a pipe, only reading it tells."""
    if not is_columnar(item):
        return True
    from ..arrow_files import parts

    return read(item, lambda: parts(item.source, column))
