"""The option --column NAME: where the addresses are in files of Parquet and Arrow, which may stand among logs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ._inputs import Input, is_empty, is_plain
from ._options import Parser

COLUMN_RULE = """\
Parquet and Arrow (IPC files and streams, Feather) are known by their first bytes and may stand among logs. A row is a
line that holds one address, the whole value of --column, or none; so a null counts as a blank line does. Of the options
that say which addresses count, -4 and -6 mean rows too, the others logs only."""


def add_column(parser: Parser) -> None:
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="the column of addresses in Parquet and Arrow files: ip, or client.ip inside a struct; needs PyArrow",
    )


def is_columnar(item: Input) -> bool:
    """A Parquet or Arrow file, if perhaps a damaged one."""
    from ..arrow_files import file_format

    try:
        return file_format(item.source) is not None
    except ValueError:
        return True


def with_columns(parser: Parser, options: argparse.Namespace, listed: Sequence[Input]) -> list[Input]:
    """The inputs, where standard input may be Arrow too; ends the command where they and --column do not go together,
    before anything is read."""
    listed = [_looked_into(item, options.column) for item in listed]
    columnar = [item for item in listed if is_columnar(item)]
    if columnar:
        check_pyarrow(parser)
    elif options.column is not None and all(map(_is_log, listed)):
        parser.error("--column goes with Parquet and Arrow files, and there is none")
    if columnar and options.column is None:
        _ask(parser, columnar[0])
    return listed


def _looked_into(item: Input, column: str | None) -> Input:
    if isinstance(item.source, str):
        return item
    if is_plain(item.source):
        path = f"/dev/fd/{item.source.fileno()}"
        return Input(item.name, path) if is_columnar(Input(item.name, path)) else item
    from ..sources import Ahead

    return item if column is None else Input(item.name, Ahead(item.source))


def check_pyarrow(parser: Parser) -> None:
    from ..arrow_files import need_pyarrow

    try:
        need_pyarrow()
    except ImportError as error:
        parser.error(str(error))


def _is_log(item: Input) -> bool:
    """Something to read; what is missing or empty is said by whoever reads it."""
    return not isinstance(item.source, str) or (os.path.exists(item.source) and not is_empty(item))


def _ask(parser: Parser, item: Input) -> None:
    from ..arrow_files import address_columns, file_format, listed
    from ..sources import trouble

    try:
        names = address_columns(item.source)
        kind = file_format(item.source)
    except (OSError, ValueError) as error:
        parser.error(trouble(item.name, error))
    parser.error(f"{item.name}: it is {kind}; give --column NAME (columns of text: {listed(names)})")
