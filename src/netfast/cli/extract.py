"""`netfast extract FILE...`: a row for every address in logs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from typing import Literal

from . import DONE, TROUBLE, _output
from ._inputs import Input, inputs, read, without_output
from ._options import VERSIONS_RULE, Parser, add_files, add_json, add_selection, selection
from ._tables import add_table, read_table


def _parser() -> Parser:
    parser = Parser(
        "extract",
        "Writes a row for every IP address in logs: line, offset in bytes, address, version, kind, class and block; "
        "the file in front if there are several.",
        "examples:\n  netfast extract access.log > addresses.csv\n"
        "  netfast extract --format jsonl --first -o clients.jsonl access.log.*.gz\n\n" + VERSIONS_RULE,
    )
    add_files(parser)
    parser.add_argument(
        "--format", choices=("csv", "jsonl"), default="csv", help="csv with a header (default), or JSON lines"
    )
    add_json(parser, "the same as --format jsonl")
    add_table(parser, "add the longest prefix in FILE that holds the address, and its label, the value there")
    parser.add_argument("-o", "--output", metavar="FILE", help='write to FILE instead of standard output ("-")')
    add_selection(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    chosen = selection(parser, options)
    table = read_table(parser, options.table)
    from ..reports import extract_rows, rows_header

    listed = inputs(parser, options.files)
    format: Literal["csv", "jsonl"] = "jsonl" if options.json or options.format == "jsonl" else "csv"
    named = len(listed) > 1
    _refuse_to_overwrite(parser, options, listed)
    code = DONE
    with _output.Destination(options.output) as out:
        kept = without_output(listed, out.fileno())
        if len(kept) < len(listed):
            code = TROUBLE
        if header := rows_header(format, named, table is not None):
            out.write(header)
        for item in kept:
            name = item.name if named else None
            how = {"format": format, "name": name, "table": table, **chosen}
            if not read(item, partial(extract_rows, item.source, out.write, **how)):
                code = TROUBLE
    return code


def _refuse_to_overwrite(parser: Parser, options: argparse.Namespace, listed: Sequence[Input]) -> None:
    """Opening the output empties it, so this comes first."""
    if options.output in (None, "-"):
        return
    for item in listed:
        both = isinstance(item.source, str) and os.path.exists(item.source) and os.path.exists(options.output)
        if both and os.path.samefile(item.name, options.output):
            parser.error(f"{item.name}: it is also the output")
