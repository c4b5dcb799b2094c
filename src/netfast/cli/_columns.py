"""The option --column NAME: where the addresses are in files of Parquet and Arrow, which may stand among logs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

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
    listed = _looked_into_each(listed) if options.column is not None else [_named(item) for item in listed]
    columnar = [item for item in listed if is_columnar(item)]
    if columnar:
        check_pyarrow(parser)
    elif options.column is not None and all(map(_is_log, listed)):
        parser.error("--column goes with Parquet and Arrow files, and there is none")
    if columnar and options.column is None:
        _ask(parser, columnar[0])
    return listed


def _named(item: Input) -> Input:
    """Standard input by a path if it is a Parquet or Arrow file, of which any place can be read."""
    if isinstance(item.source, str) or not is_plain(item.source):
        return item
    path = f"/dev/fd/{item.source.fileno()}"
    return Input(item.name, path) if is_columnar(Input(item.name, path)) else item


def _looked_into_each(listed: Sequence[Input]) -> list[Input]:
    """The same, and what can be read once only as what tells whether it is Arrow; named twice, it is one."""
    from ..arrow_files import looked_into

    @cache
    def look(source: Any) -> Any:
        try:
            return source if is_plain(source) else looked_into(source)
        except OSError:
            return source  # whoever reads it meets the error again, and says so

    return [Input(item.name, look(item.source)) for item in map(_named, listed)]


def check_pyarrow(parser: Parser, *, parquet: bool = False) -> None:
    """Ends the command if there is no PyArrow, and makes what there is fit for one."""
    from ..arrow_files import need_pyarrow

    try:
        need_pyarrow(parquet=parquet)
    except ImportError as error:
        parser.error(str(error))
    import pyarrow

    pyarrow.enable_signal_handlers(False)  # its own, set while it reads CSV, loses a Ctrl-C that comes near the end


def _is_log(item: Input) -> bool:
    """Something to read; what is missing, empty or a folder is said by whoever reads it."""
    if not isinstance(item.source, str):
        return True
    return os.path.exists(item.source) and not os.path.isdir(item.source) and not is_empty(item)


def _ask(parser: Parser, item: Input) -> None:
    from ..arrow_files import address_columns, file_format, listed
    from ..sources import trouble

    try:
        names = address_columns(item.source)
        kind = file_format(item.source)
    except (OSError, ValueError) as error:
        parser.error(trouble(item.name, error))
    parser.error(f"{item.name}: it is {kind}; give --column NAME (columns of text: {listed(names)})")
