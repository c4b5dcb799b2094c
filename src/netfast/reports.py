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

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._codes = {True: bytearray(256), False: bytearray(256)}
        self._ranges: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
        self._disjoint: dict[bool, list[tuple[int, bytes, bytes]]] = {True: [], False: []}
        self._seen = {True: False, False: False}

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
        matcher = cls(expression)
        for term in expression.replace(",", " ").split():
            matcher._add(term.removeprefix("!"), not term.startswith("!"))
        if not any(matcher._seen.values()):
            raise ValueError("the expression is empty; wanted kinds, classes, prefixes or addresses")
        matcher._disjoint = {wanted: _disjoint(ranges) for wanted, ranges in matcher._ranges.items()}
        return matcher

    def _add(self, term: str, wanted: bool) -> None:
        self._seen[wanted] = True
        name = term.removeprefix("class:")
        if term in KINDS[1:]:
            self._mark(wanted, [code for code, block in enumerate(BLOCKS) if block.kind == term])
        elif name.upper() in "ABCDE" and len(name) == 1:
            self._mark(wanted, [code for code, block in enumerate(BLOCKS) if block.network_class == name.upper()])
        elif term.startswith("@") or (os.path.isfile(term) and not _is_prefix(term)):
            self._add_file(term.removeprefix("@"), wanted)
        else:
            self._ranges[wanted].append(_range(term))

    def _mark(self, wanted: bool, codes: list[int]) -> None:
        for code in codes:
            self._codes[wanted][code] = 1

    def _add_file(self, path: str, wanted: bool) -> None:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                text = line.partition("#")[0].strip()
                if not text:
                    continue
                try:
                    self._ranges[wanted].append(_range(text.split()[0]))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None

    def matches(self, scanner: _core.Scanner) -> bytearray:
        """A byte a hit of the scanner, 1 where it is wanted."""
        if not self._seen[True]:
            found = bytearray(b"\1") * scanner.hit_count
        else:
            found = scanner.matching(bytes(self._codes[True]), self._disjoint[True])
        if self._seen[False]:
            against = scanner.matching(bytes(self._codes[False]), self._disjoint[False])
            found = bytearray(a & ~b & 1 for a, b in zip(found, against, strict=True))
        return found


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


def _disjoint(ranges: list[tuple[int, int, int]]) -> list[tuple[int, bytes, bytes]]:
    """The same addresses as ranges in order that do not overlap, their ends as 16 bytes."""
    joined: list[list[int]] = []
    for version, first, last in sorted(ranges):
        if joined and joined[-1][0] == version and first <= joined[-1][2] + 1:
            joined[-1][2] = max(joined[-1][2], last)
        else:
            joined.append([version, first, last])
    mapped = {4: 0xFFFF << 32, 6: 0}
    return [
        (version, (first | mapped[version]).to_bytes(16, "big"), (last | mapped[version]).to_bytes(16, "big"))
        for version, first, last in joined
    ]


def grep_lines(
    source: Any,
    write: Callable[[bytes], object],
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
            if data:
                write(data)
    return lines
