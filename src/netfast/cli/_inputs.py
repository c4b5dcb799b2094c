"""The files a command reads."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from io import RawIOBase
from typing import BinaryIO, NamedTuple

from . import _output
from ._options import Parser

STDIN = "(standard input)"  # as grep calls it


class Input(NamedTuple):
    """A file by its path, or standard input."""

    name: str
    source: str | BinaryIO | RawIOBase


def inputs(parser: Parser, files: Sequence[str]) -> list[Input]:
    """What FILE... names; nothing, or "-", is standard input."""
    return [Input(STDIN, _stdin(parser)) if file == "-" else Input(file, file) for file in files or ("-",)]


def _stdin(parser: Parser) -> BinaryIO:
    if sys.stdin is None:
        parser.error("standard input is closed; name a file")
    if sys.stdin.isatty():
        _output.complain("reading what you type; Ctrl-D ends it")
    # Read as it comes: a buffer that holds a few bytes waits for more of them, and `tail -f` may have none for hours.
    raw: BinaryIO = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return raw


def without_output(listed: Sequence[Input], out: int | None) -> list[Input]:
    """The inputs but for one that is also the output, which is said: it would grow for as long as it is read."""
    kept = []
    for item in listed:
        if is_same(item, out):
            _output.complain(f"{item.name}: it is also the output")
        else:
            kept.append(item)
    return kept


def is_same(item: Input, file: str | int | None) -> bool:
    """Whether an input is that regular file."""
    found, other = _regular(item.source), _regular(file)
    return found is not None and other is not None and os.path.samestat(found, other)


def _regular(file: str | BinaryIO | RawIOBase | int | None) -> os.stat_result | None:
    """The status of a regular file; None for any other, and for one that whoever reads it will complain about."""
    if file is None:
        return None
    try:
        found = os.stat(file if isinstance(file, (str, int)) else file.fileno())
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def is_plain(file: str | BinaryIO | RawIOBase | int | None) -> bool:
    """Whether it is a regular file."""
    return _regular(file) is not None


EMPTY = "it is empty"  # which is rarely what somebody meant to look at


def is_empty(item: Input) -> bool:
    """A regular file that holds nothing."""
    found = _regular(item.source)
    if found is None or found.st_size:
        return False
    try:  # those of /proc say that their size is 0
        if not isinstance(item.source, str):
            return not os.pread(item.source.fileno(), 1, 0)
        with open(item.source, "rb", buffering=0) as file:
            return not file.read(1)
    except OSError:
        return False


def read(item: Input, work: Callable[[], object]) -> bool:
    """Does work that reads an input.  Trouble with that input, and no other, is said in a line; False then.

    To find nothing in a pipe is no trouble: whatever feeds it may have had nothing to say.
    """
    if is_empty(item):
        _output.complain(f"{item.name}: {EMPTY}")
        return False
    try:
        work()
    except (OSError, EOFError, ValueError) as error:
        from ..sources import trouble

        _output.complain(trouble(item.name, error))
        return False
    return True
