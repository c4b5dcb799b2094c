"""What was found in logs as text: a row an address, or the lines that grep would print."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal

from . import _core
from .logs import Boundary, Search
from .registry import BLOCKS, KINDS
from .sources import opened, pieces

# --- rows ------------------------------------------------------------------------------------------------------------


def rows_header(format: Literal["csv", "jsonl"], named: bool) -> bytes:
    """The line in front of the rows of `extract_rows`; JSON lines have none."""
    if format != "csv":
        return b""
    return b"file,line,offset,address,version,kind,class,block\n"[0 if named else len(b"file,") :]


def _csv_style(name: str | None) -> tuple[bytes, bytes, bytes, list[bytes]]:
    lead = b""
    if name is not None:
        quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name
        lead = quoted.encode("utf-8", "surrogateescape") + b","
    tails = [f",{_version(b.prefix)},{b.kind},{b.network_class},{b.prefix}\n".encode() for b in BLOCKS]
    return lead, b",", b",", tails


def _jsonl_style(name: str | None) -> tuple[bytes, bytes, bytes, list[bytes]]:
    import json

    lead = "{" if name is None else '{"file":' + json.dumps(name) + ","
    tails = [
        f'","version":{_version(b.prefix)},"kind":"{b.kind}","class":"{b.network_class}","block":"{b.prefix}"}}\n'.encode()
        for b in BLOCKS
    ]
    return (lead + '"line":').encode(), b',"offset":', b',"address":"', tails


def _version(prefix: str) -> int:
    return 6 if ":" in prefix else 4


def extract_rows(
    source: Any,
    write: Callable[[bytes], object],
    *,
    format: Literal["csv", "jsonl"] = "csv",
    name: str | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
) -> None:
    """Write a row an address: line, offset, address (RFC 5952, with its zone), version, kind, class, block.

    `name` adds a first column with the name of the file.  Other arguments are those of `scan`.
    """
    if format not in ("csv", "jsonl"):
        raise ValueError(f'format={format!r}: wanted "csv" or "jsonl"')
    scanner = Search(boundary, versions, first, field, sep, key).scanner()
    lead, mid_offset, mid_address, tails = (_csv_style if format == "csv" else _jsonl_style)(name)
    tails += [b""] * (256 - len(tails))
    with opened(source) as file:
        for hits in pieces(scanner, file):
            if hits:
                write(scanner.rows(lead, mid_offset, mid_address, tails))


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
        self._ranges: list[tuple[int, int, int]] = []

    def add(self, term: str) -> None:
        self.seen = True
        name = term.removeprefix("class:")
        if term in KINDS[1:]:
            self._mark("kind", term)
        elif name.upper() in "ABCDE" and len(name) == 1:
            self._mark("network_class", name.upper())
        elif term.startswith("@") or (os.path.isfile(term) and not _is_prefix(term)):
            self._add_file(term.removeprefix("@"))
        else:
            self._ranges.append(_range(term))

    def _mark(self, field: str, value: str) -> None:
        for code, block in enumerate(BLOCKS):
            self._codes[code] |= getattr(block, field) == value

    def _add_file(self, path: str) -> None:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                text = line.partition("#")[0].strip()
                if not text:
                    continue
                try:
                    self._ranges.append(_range(text.split()[0]))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None

    def packed(self) -> _core.Set | None:
        """As the kernel wants them; None if there was no term."""
        if not self.seen:
            return None
        return bytes(self._codes), _joined(self._ranges, 4), _joined(self._ranges, 6)


def _is_prefix(term: str) -> bool:
    try:
        _range(term)
    except ValueError:
        return False
    return True


def _range(term: str) -> tuple[int, int, int]:
    """(version, first, last) of a prefix or address."""
    text, slash, length = term.partition("/")
    try:
        version, value, zone = _core.parse_one(text)
    except ValueError:
        raise ValueError(f"{term!r} is no kind, class, prefix or address, nor a file") from None
    if zone is not None:
        raise ValueError(f"{term!r} has a zone; an address matches whatever its zone is")
    bits = 32 if version == 4 else 128
    if slash and not (length.isdecimal() and length.isascii() and int(length) <= bits):
        raise ValueError(f"{term!r}: the length of the prefix is not 0 to {bits}")
    host = (1 << bits - int(length)) - 1 if slash else 0
    if value & host:
        network = _core.format_one(version, value & ~host)
        raise ValueError(f"{term!r} has host bits set; the prefix is {network}/{length}")
    return version, value, value | host


def _joined(ranges: list[tuple[int, int, int]], version: int) -> bytes:
    """The ranges of one family in order and apart: 16 bytes first, 16 bytes last, IPv4 as ::ffff:a.b.c.d."""
    joined: list[list[int]] = []
    for first, last in sorted((first, last) for family, first, last in ranges if family == version):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    mapped = 0xFFFF << 32 if version == 4 else 0
    return b"".join((end | mapped).to_bytes(16, "big") for ends in joined for end in ends)


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
