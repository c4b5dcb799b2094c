"""Where prefix tables come from: ranges, CSV, CAIDA's prefix-to-AS text, lists, MaxMind DB files.

Each reader returns what a table is made of: prefixes in order, the row of each, and the values of the rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

from . import _tables
from .addresses import parse
from .errors import AddressError
from .prefix_inputs import in_order, parsed_rows, sorted_rows
from .prefix_values import Values
from .sources import opened_text, source_name, trouble


class Rows(NamedTuple):
    """What a table is made of."""

    prefixes: _tables.Prefixes
    rows: bytearray
    values: Values


# --- ranges ----------------------------------------------------------------------------------------------------------


def split_ranges(ranges: Any) -> Rows:
    """Ranges as `PrefixTable.from_ranges` takes them."""
    firsts: list[Any] = []
    lasts: list[Any] = []
    values: list[Any] = []
    for row, item in enumerate(ranges.items() if isinstance(ranges, Mapping) else ranges):
        first, last, value = _range(item, row)
        firsts.append(first)
        lasts.append(last)
        values.append(value)
    given, done = _tables.given_ranges(parsed_rows(firsts), parsed_rows(lasts))
    if given is None:
        first, last = parse([firsts[done], lasts[done]]).to_list()
        raise ValueError(f"row {done}: {first}-{last} is no range: it must go up, within one family")
    return Rows(*given.sorted(), Values.of(values))


def _range(item: Any, row: int) -> tuple[Any, Any, Any]:
    """(first, last, value) of those three, or of text "first-last" and value."""
    if isinstance(item, (tuple, list)) and len(item) == 3:
        return item[0], item[1], item[2]
    if isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str):
        first, dash, last = item[0].partition("-")
        if not dash:
            raise ValueError(f"row {row}: {item[0]!r} is no range; wanted two addresses with a '-' between them")
        return first.strip(), last.strip(), item[1]
    raise TypeError(f"row {row} is no range; wanted (first, last, value), or text 'first-last' and a value")


# --- text files ------------------------------------------------------------------------------------------------------


@contextmanager
def _naming(path: Any, lines: list[int]) -> Iterator[None]:
    """Makes errors name the file, and the line: of a row where the error has one, else the last in `lines`."""
    name = source_name(path)
    try:
        yield
    except AddressError as error:
        number = lines[error.index] if error.index is not None else lines[-1]
        error.args = (f"{name}, line {number}: {str(error).removeprefix(f'row {error.index}: ')}",)
        raise
    except (ValueError, EOFError) as error:
        where = f" (line {lines[-1]} was the last read)" if lines else ""
        raise ValueError(trouble(name, error) + where) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(trouble(name, error)) from error  # compressed data that is damaged


def read_csv(
    path: Any, prefix: str | int, value: str | int | Sequence[str | int] | None, delimiter: str, strict: bool
) -> Rows:
    """A CSV file as `PrefixTable.from_csv` takes it."""
    import csv

    prefixes: list[str] = []
    values: list[Any] = []
    lines: list[int] = []
    with _naming(path, lines), opened_text(path) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        records = (record for record in reader if record)
        try:
            place, take = _columns(records, prefix, value)
            for record in records:
                lines.append(reader.line_num)
                prefixes.append(record[place])
                values.append(take(record))
        except IndexError:
            raise ValueError("a column that is wanted is not there") from None
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error
    with _naming(path, lines):
        return Rows(*in_order(prefixes, strict), Values.of(values))


def _columns(records: Iterator[list[str]], prefix: str | int, value: Any) -> tuple[int, Callable[[list[str]], Any]]:
    """The place of the prefix in a record, and what takes the value out of one.  Reads the line of names, if any."""
    wanted = [value] if isinstance(value, (str, int)) else value
    named = wanted is None or any(isinstance(column, str) for column in (prefix, *wanted))
    names = next(records, []) if named else []
    place = _place(prefix, names)
    if wanted is None:
        wanted = [other for other in range(len(names)) if other != place]
    places = [_place(column, names) for column in wanted]
    if len(places) == 1 and (value is None or isinstance(value, (str, int))):
        return place, itemgetter(places[0])
    return place, lambda record: tuple([record[column] for column in places])


def _place(column: str | int, names: list[str]) -> int:
    if isinstance(column, int):
        return column
    if column not in names:
        raise ValueError(f"no column {column!r}; there are {', '.join(map(repr, names)) or 'none'}")
    return names.index(column)


def read_pfx2as(path: Any, strict: bool) -> Rows:
    """CAIDA's text as `PrefixTable.from_pfx2as` takes it."""
    addresses: list[str] = []
    lengths = bytearray()
    origins: list[Any] = []
    lines: list[int] = []
    with _naming(path, lines), opened_text(path) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            lines.append(number)
            fields = line.split()
            if len(fields) != 3 or not fields[1].isdecimal() or int(fields[1]) > 128:
                raise ValueError(f"{line.strip()[:60]!r} is no address, length and origin")
            addresses.append(fields[0])
            lengths.append(int(fields[1]))
            origins.append(int(fields[2]) if fields[2].isdecimal() else fields[2])
    with _naming(path, lines):
        parsed = parsed_rows(addresses)
        ordered = sorted_rows(parsed, lengths, strict, lambda row: f"{addresses[row]}/{lengths[row]}")
        return Rows(*ordered, Values.of(origins))


def read_list(path: Any) -> tuple[_tables.Prefixes, bytearray, list[str]]:
    """The prefixes of a file that has one a line, in order, the row of each, and the rows as written.

    What stands behind white space, a comma or "#" is not read; comments may be in any encoding.
    """
    prefixes: list[str] = []
    lines: list[int] = []
    with _naming(path, lines), opened_text(path, "replace") as text:
        for number, line in enumerate(text, 1):
            words = line.partition("#")[0].replace(",", " ").split()
            if words:
                prefixes.append(words[0])
                lines.append(number)
    with _naming(path, lines):
        return *in_order(prefixes, True), prefixes


# --- MaxMind DB ------------------------------------------------------------------------------------------------------


def read_mmdb(path: Any, field: str | None) -> Rows:
    """A MaxMind DB file as `PrefixTable.from_mmdb` takes it."""
    try:
        import maxminddb
    except ImportError:
        raise ImportError("from_mmdb wants the package maxminddb: pip install 'netfast[mmdb]'") from None
    parts = None if field is None else field.split(".")
    networks: list[str] = []
    values: list[Any] = []
    records: dict[str, Any] = {}  # each different one once: the reader makes a new object for every network
    try:
        # The reader in Python: the one in C writes outside its memory when it walks through a damaged file.
        with maxminddb.open_database(os.fspath(path), maxminddb.MODE_MMAP) as reader:
            for network, record in reader:
                value = record if parts is None else _part(record, parts)
                if parts is None or value is not None:
                    networks.append(str(network))
                    values.append(records.setdefault(repr(value), value))
        return Rows(*in_order(networks, True), Values.of(values))
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(trouble(source_name(path), error)) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file shows in many ways
        raise ValueError(f"{source_name(path)}: no MaxMind DB file, or a damaged one ({error})") from error


def _part(record: Any, parts: list[str]) -> Any:
    """What a path of names, and of numbers into lists, leads to; None if it leads nowhere."""
    for part in parts:
        if isinstance(record, dict):
            record = record.get(part)
        elif isinstance(record, list) and part.isdecimal() and int(part) < len(record):
            record = record[int(part)]
        else:
            return None
    return record
