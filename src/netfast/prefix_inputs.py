"""What prefix tables and sets read: prefixes, addresses to look up, columns of both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import _arrow, _core, _tables
from .addresses import AddressArray, _check, _Rows, parse
from .errors import AddressError, PrefixError
from .threads import in_ranges, thread_count

# Below this many rows one thread has finished before a second one has started.
_ROWS_PER_THREAD = 500_000


# --- prefixes in -----------------------------------------------------------------------------------------------------


def in_order(items: Any, strict: bool) -> tuple[_tables.Prefixes, bytearray]:
    """Prefixes of any form in a table's order, each once, and the item (int32) that each is of, the last of equals."""
    items = listed(items)
    parsed, lengths = _tables.read_prefixes(items)
    return sorted_rows(parsed, lengths, strict, items.__getitem__)


def listed(items: Any) -> list[Any] | tuple[Any, ...]:
    """Items in a list or tuple; TypeError for one str in place of a collection."""
    if isinstance(items, (list, tuple)):
        return items
    if isinstance(items, (str, bytes)):
        raise TypeError(f"prefixes is one {type(items).__name__}, not a collection of them")
    return list(items)


def sorted_rows(
    parsed: _core.Parsed, lengths: Any, strict: bool, item: Callable[[int], Any]
) -> tuple[_tables.Prefixes, bytearray]:
    """The same of parsed rows; item(row) is what an error shows."""
    given, done = _tables.given_prefixes(parsed, lengths, not strict)
    if done < parsed.n:
        read_strictly(item(done), done)
        raise RuntimeError("an item changed while it was read")
    return given.sorted()


def read_strictly(item: Any, index: int | None = None) -> tuple[int, int, int]:
    """(version, value, length) of one prefix; PrefixError if it is none or has host bits set."""
    version, value, length = _tables.read_prefix(item, index)
    host = (1 << (32 if version == 4 else 128) - length) - 1
    if value & host:
        text = item if isinstance(item, bytes) else str(item)
        slash = text.index(b"/" if isinstance(text, bytes) else "/")  # type: ignore[arg-type]
        network = f"{_core.format_one(version, value & ~host)}/{length}"
        raise PrefixError(text, slash, f"host bits set, the network is {network} (strict=False masks them)", index)
    return version, value, length


def is_prefix(item: str, *, strict: bool) -> bool:
    """Whether a text is a prefix; with `strict`, one without host bits."""
    try:
        (read_strictly if strict else _tables.read_prefix)(item)
    except AddressError:
        return False
    return True


def pairs(items: Any) -> tuple[list[Any], list[Any]]:
    """The prefixes and the values of a mapping, or of an iterable of pairs."""
    if isinstance(items, Mapping):
        return list(items.keys()), list(items.values())
    if isinstance(items, (str, bytes)):
        raise TypeError(f"items is one {type(items).__name__}; wanted a mapping or pairs of prefix and value")
    return _tables.split_pairs(items.items() if hasattr(items, "items") else items)


def parsed_rows(addresses: Any) -> _core.Parsed:
    """Addresses of prefixes: all valid, without zones."""
    array = parse(addresses, errors="raise")
    parsed = array._parsed
    if array._nulls is not None and (row := array._nulls.find(1)) >= 0:
        raise ValueError(f"row {row} is null; wanted an address")
    if parsed.zones:
        row, zone = next(iter(parsed.zones.items()))
        raise ValueError(f"row {row} has the zone id {zone!r}, which no prefix has")
    return parsed


def address_at(parsed: _core.Parsed, row: int) -> tuple[int, int]:
    if parsed.holds[row] == 4:
        return 4, int.from_bytes(parsed.v4[4 * row : 4 * row + 4], sys.byteorder)
    assert parsed.packed is not None
    return 6, int.from_bytes(parsed.packed[16 * row : 16 * row + 16], "big")


def length_column(lengths: Any) -> bytes:
    """A byte a row."""
    if isinstance(lengths, (bytes, bytearray)):
        bits = bytes(lengths)
        if bits and max(bits) > 128:
            raise ValueError(f"a prefix length is {max(bits)}; wanted 0 to 128")
        return bits
    import numpy as np

    column = np.asarray(lengths)
    if column.ndim != 1 or (column.dtype.kind not in "iu" and column.size):
        raise TypeError(f"lengths is {column.dtype}{list(column.shape)}; wanted one integer a prefix")
    if column.size and not 0 <= column.min() <= column.max() <= 128:
        raise ValueError(f"prefix lengths are {column.min()} to {column.max()}; wanted 0 to 128")
    return column.astype(np.uint8).tobytes()


# --- addresses in ----------------------------------------------------------------------------------------------------


def matches_of(lookup: _tables.Lookup, addresses: Any, unwrap: bool, threads: int | None) -> bytearray:
    """The index (int32) of the longest prefix that holds each address, -1 if none does."""
    _check("mask", threads)
    if isinstance(addresses, AddressArray):
        return _matches_of_parsed(lookup, addresses._parsed, unwrap, threads)
    rows = _Rows(addresses)
    if rows.columns is None:
        return _matches_of_parsed(lookup, _core.parse_items(rows.items)[0], unwrap, 1 if threads is None else threads)
    index = _arrow.unwritten(4 * rows.n)
    base = 0
    stop = bytearray(1)
    for column in rows.columns:
        inner = _tables.match_dictionary(lookup, column, unwrap)

        def match_rows(
            first: int, count: int, column: Any = column, base: int = base, inner: bytearray | None = inner
        ) -> None:
            _tables.match_column(lookup, column, first, count, unwrap, index, base + first, inner, stop)

        in_ranges(match_rows, len(column), thread_count(threads, len(column), _ROWS_PER_THREAD), stop)
        base += len(column)
    return index


def _matches_of_parsed(lookup: _tables.Lookup, parsed: _core.Parsed, unwrap: bool, threads: int | None) -> bytearray:
    index = _arrow.unwritten(4 * parsed.n)
    stop = bytearray(1)

    def match_rows(first: int, count: int) -> None:
        _tables.match_parsed(lookup, parsed, first, count, unwrap, index, stop)

    in_ranges(match_rows, parsed.n, thread_count(threads, parsed.n, _ROWS_PER_THREAD), stop)
    return index


def one_address(address: Any) -> tuple[int, int]:
    """(version, value) of one address in any form; AddressError for text that is none."""
    if isinstance(address, (str, bytes)):
        return _core.parse_one(address)[:2]
    if address is None:
        raise TypeError("an address is wanted, not None")
    parsed = parse([address], errors="raise")._parsed
    if parsed.holds[0] == 4:
        return 4, int.from_bytes(parsed.v4, sys.byteorder)
    if parsed.packed is None:
        raise TypeError(f"an address is wanted, not {address!r}")
    return 6, int.from_bytes(parsed.packed, "big")
