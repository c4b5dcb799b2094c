"""The option --table FILE[:COLUMN]: a prefix table in a file of any kind, known by what is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._options import Parser

if TYPE_CHECKING:
    from ..prefixes import PrefixTable

_PREFIX_NAMES = ("prefix", "network", "cidr", "subnet", "netblock")
_MMDB_MARK = b"\xab\xcd\xefMaxMind.com"  # in front of the metadata, which is in the last 128 KiB
_MMDB_TAIL = 128 << 10


def add_table(parser: Parser, help: str) -> None:
    parser.add_argument(
        "--table",
        metavar="FILE[:COLUMN]",
        help=f"{help}; FILE is CSV with a line of names, MaxMind DB (COLUMN is a field, such as country.iso_code), "
        "prefix-to-AS text of CAIDA, a list of prefixes, or what PrefixTable.save wrote",
    )


def read_table(parser: Parser, text: str | None) -> PrefixTable | None:
    """The table that the option names; what is wrong with it ends the command here, in a line."""
    if text is None:
        return None
    path, column = table_file(text)
    try:
        return _opened(path, column)
    except (OSError, EOFError) as error:
        from ..sources import trouble

        parser.error(f"--table {trouble(path, error)}")
    except (ValueError, ImportError) as error:
        parser.error(f"--table {error}")


def table_file(text: str) -> tuple[str, str | None]:
    """The path of the file that the option names, and the column if it names one."""
    path, colon, column = text.rpartition(":")
    if os.path.exists(text) or not colon:
        return text, None
    return path, column or None


def _opened(path: str, column: str | None) -> PrefixTable:
    from ..prefix_files import is_saved
    from ..prefix_inputs import is_prefix
    from ..prefixes import PrefixTable

    if is_saved(path):
        return _without_column(path, column, PrefixTable.load)
    if _is_mmdb(path):
        return PrefixTable.from_mmdb(path, column)
    line = _first_line(path)
    fields = line.split("\t")
    if len(fields) == 3 and fields[1].isdecimal() and is_prefix(fields[0], strict=False):
        return _without_column(path, column, PrefixTable.from_pfx2as)
    delimiter = next((mark for mark in ",;\t" if mark in line), None)
    if delimiter is None or is_prefix(line.split(delimiter)[0], strict=False):
        return _without_column(path, column, _listed)
    return _csv(path, line.split(delimiter), column, delimiter)


def _csv(path: str, names: list[str], column: str | None, delimiter: str) -> PrefixTable:
    from ..prefixes import PrefixTable

    prefix = next((name for name in names if name.lower() in _PREFIX_NAMES), names[0])
    value = column or next(name for name in names if name != prefix)
    return PrefixTable.from_csv(path, prefix=prefix, value=value, delimiter=delimiter)


def _listed(path: str) -> PrefixTable:
    """Prefixes that are their own values."""
    from ..prefix_sources import read_list
    from ..prefix_values import Values
    from ..prefixes import PrefixTable

    prefixes, rows, texts = read_list(path)
    return PrefixTable._made(prefixes, rows, Values.of(texts))


def _without_column(path: str, column: str | None, make: Callable[[str], PrefixTable]) -> PrefixTable:
    if column is not None:
        raise ValueError(f"{path}: it has no columns by name, so no {column!r}")
    return make(path)


def _is_mmdb(path: str) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MMDB_TAIL))
        return _MMDB_MARK in file.read()


def _first_line(path: str) -> str:
    from ..sources import opened_text

    with opened_text(path, "replace") as text:
        line: str = next((line for line in text if line.strip() and not line.startswith("#")), "")
    return line.strip()
