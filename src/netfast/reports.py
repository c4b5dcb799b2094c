"""What was found in logs as text: a row an address, or the lines that grep would print."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _core, _tables
from .arrow_files import opened_log
from .errors import AddressError
from .labels import Labels
from .logs import Boundary, Search
from .prefix_inputs import is_prefix, read_strictly
from .prefix_sets import PrefixSet
from .prefix_sources import read_list
from .registry import BLOCKS, KINDS
from .sources import opened, pieces

if TYPE_CHECKING:
    from .prefixes import PrefixTable

# --- rows ------------------------------------------------------------------------------------------------------------


def rows_header(format: Literal["csv", "jsonl"], named: bool, labelled: bool = False) -> bytes:
    """The line in front of the rows of `extract_rows`; JSON lines have none."""
    if format != "csv":
        return b""
    header = b"file,line,offset,address,version,kind,class,block" + (b",prefix,label" if labelled else b"") + b"\n"
    return header[0 if named else len(b"file,") :]


class RowStyle(NamedTuple):
    """What stands between the values of a row, behind the last, and how a prefix and its label are put there."""

    lead: bytes
    mid_offset: bytes
    mid_address: bytes
    tails: list[bytes]  # by code
    end: bytes
    labels: Callable[[str, str], bytes]
    nothing: bytes  # in place of a number
    inside: Callable[[str], bytes]  # an address that may have any zone


def row_style(format: Literal["csv", "jsonl"], name: str | None) -> RowStyle:
    """The style of the rows of a file; `name` is its first column if it has one."""
    if format not in ("csv", "jsonl"):
        raise ValueError(f'format={format!r}: wanted "csv" or "jsonl"')
    return (_csv_style if format == "csv" else _jsonl_style)(name)


def _quoted(text: str) -> bytes:
    """A field of CSV."""
    if set(text) & set(',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode("utf-8", "surrogateescape")


def _csv_style(name: str | None) -> RowStyle:
    lead = b"" if name is None else _quoted(name) + b","
    tails = [f",{_version(b.prefix)},{b.kind},{b.network_class},{b.prefix}".encode() for b in BLOCKS]

    def labels(prefix: str, label: str) -> bytes:
        return b"," + prefix.encode() + b"," + _quoted(label)

    return RowStyle(lead, b",", b",", tails, b"\n", labels, b"", _quoted)


def _jsonl_style(name: str | None) -> RowStyle:
    import json

    lead = "{" if name is None else '{"file":' + json.dumps(name) + ","
    tails = [
        f'","version":{_version(b.prefix)},"kind":"{b.kind}","class":"{b.network_class}","block":"{b.prefix}"'.encode()
        for b in BLOCKS
    ]

    def labels(prefix: str, label: str) -> bytes:
        shown = (json.dumps(prefix), json.dumps(label)) if prefix else ("null", "null")
        return ',"prefix":{},"label":{}'.format(*shown).encode()

    def inside(text: str) -> bytes:
        return json.dumps(text)[1:-1].encode()

    return RowStyle((lead + '"line":').encode(), b',"offset":', b',"address":"', tails, b"}\n", labels, b"null", inside)


def _version(prefix: str) -> int:
    return 6 if ":" in prefix else 4


def extract_rows(
    source: Any,
    write: Callable[[bytes], object],
    *,
    format: Literal["csv", "jsonl"] = "csv",
    name: str | None = None,
    table: PrefixTable | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
) -> None:
    """Write a row an address: line, offset, address (RFC 5952, with its zone), version, kind, class, block.

    `name` adds a first column with the name of the file; `table` adds the longest prefix that holds the address and
    its value as text.  Other arguments are those of `scan`.

    Raises:
        OSError, EOFError: as `scan`.  ValueError: an argument is out of range, or the source is Parquet or Arrow.
    """
    style = row_style(format, name)
    labels = None if table is None else Labels(table, counted=False)
    scanner = Search(boundary, versions, first, field, sep, key).scanner(labels=labels.wanted if labels else None)
    tails = [tail if labels else tail + style.end for tail in style.tails]
    tails += [b""] * (256 - len(tails))
    known: dict[int, bytes] = {}
    with opened_log(source) as file:
        for hits in pieces(scanner, file):
            if hits:
                ends = labels.each(scanner.matches(), style.labels, style.end, known) if labels else None
                write(scanner.rows(style.lead, style.mid_offset, style.mid_address, tails, ends))


# --- grep ------------------------------------------------------------------------------------------------------------


class Matcher:
    """Which addresses are wanted: kinds, classes, prefixes and addresses, any of which may be negated.

    An address matches if it is one of the wanted and none of the negated; with only negated terms, if it is none of
    those.

    Example:
        >>> Matcher.parse("private, !192.168.0.0/16")
        Matcher('private, !192.168.0.0/16')
    """

    def __init__(self, expression: str, wanted: _core.Set | None, unwanted: _core.Set | None) -> None:
        self.expression = expression
        self._wanted = wanted
        self._unwanted = unwanted

    def __repr__(self) -> str:
        return f"Matcher({self.expression!r})"

    @classmethod
    def parse(cls, expression: str) -> Matcher:
        """A matcher of terms separated by commas or white space.

        A term is a kind (`netfast.KINDS`), a class (A to E, or class:A), a prefix or address, @FILE or the path of a
        file of prefixes (one a line, "#" begins a comment), or "!" and one of these.

        Raises:
            ValueError: there is no term, or one is none of these; OSError: its file cannot be read.
        """
        wanted, unwanted = _Terms(), _Terms()
        for term in expression.replace(",", " ").split():
            (unwanted if term.startswith("!") else wanted).add(term.removeprefix("!"))
        if not wanted.seen and not unwanted.seen:
            raise ValueError("the expression is empty; wanted kinds, classes, prefixes or addresses")
        return cls(expression, wanted.packed(), unwanted.packed())

    def matches(self, scanner: _core.Scanner) -> bytearray:
        """A byte a hit of the scanner, 1 where it is wanted."""
        return scanner.matching(self._wanted, self._unwanted)


class _Terms:
    """The addresses that some terms name."""

    def __init__(self) -> None:
        self.seen = False
        self._codes = bytearray(256)
        self._prefixes: list[str] = []
        self._files = PrefixSet()

    def add(self, term: str) -> None:
        self.seen = True
        name = term.removeprefix("class:")
        if term in KINDS[1:]:
            self._mark("kind", term)
        elif name.upper() in "ABCDE" and len(name) == 1:
            self._mark("network_class", name.upper())
        elif term.startswith("@") or (os.path.isfile(term) and not is_prefix(term, strict=True)):
            prefixes, _, _ = read_list(term.removeprefix("@"))
            self._files |= PrefixSet._made(*_tables.ranges_of(prefixes))
        else:
            self._add_prefix(term)

    def _mark(self, field: str, value: str) -> None:
        for code, block in enumerate(BLOCKS):
            self._codes[code] |= getattr(block, field) == value

    def _add_prefix(self, term: str) -> None:
        try:
            read_strictly(term)
        except AddressError as error:
            reason = error.reason.partition(" (")[0]
            raise ValueError(f"{term!r} is no kind, class, prefix or address, nor a file: {reason}") from None
        self._prefixes.append(term)

    def packed(self) -> _core.Set | None:
        """As the kernel wants them; None if there was no term."""
        if not self.seen:
            return None
        addresses = self._files | PrefixSet(self._prefixes)
        return bytes(self._codes), addresses.labels() if addresses else None


def grep_lines(
    source: Any,
    write: Callable[[bytes, int], object],
    matcher: Matcher,
    *,
    invert: bool = False,
    only: bool = False,
    number: bool = False,
    count: bool = False,
    name: str | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
) -> int:
    """Write the lines that hold an address the matcher wants; returns how many there are.

    Args:
        write: takes some of the lines, and how many they are.
        invert: the lines that hold none. only: the addresses instead of the lines. number: line numbers in front.
        count: write nothing. name: written in front of every line, with ":".
        Others are those of `scan`.
    """
    scanner = Search(boundary, versions, first, field, sep, key).scanner(whole_lines=True)
    lead = b"" if name is None else name.encode("utf-8", "surrogateescape") + b":"
    lines = 0
    with opened(source) as file:
        for _ in pieces(scanner, file):
            data, found = scanner.grep(matcher.matches(scanner), lead, number, only, invert, count)
            lines += found
            if found:
                write(data, found)
    return lines
