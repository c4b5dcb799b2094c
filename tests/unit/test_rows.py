"""extract_rows: csv and JSON lines, read back by csv and json, are what extract finds."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given, strategies as st

import netfast as nf
import reference
import strategies
from netfast.registry import BLOCKS
from netfast.reports import extract_rows, rows_header

Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl")
formats = pytest.mark.parametrize("format", FORMATS)

COLUMNS = ["line", "offset", "address", "version", "kind", "class", "block"]
TEXT = b"10.0.0.1 a\nfrom [2001:DB8:0:0::1]:80\n\n1.1.1.1 Chrome/126.0.0.0 fe80::0001%eth0.1 ::ffff:1.2.3.4\n"
NAMES = [
    "a.log",
    "",
    "a,b.log",
    'say "hello".log',
    '"',
    '""',
    "two\nlines.log",
    "carriage\rreturn",
    "tab\tand space ",
    " front",
    "日本.log",
    "back\\slash\\",
    "'single'",
    ",",
    "\x1b[31m",
    "\u2028",
]


def rows(source: Any, format: Format, **options: Any) -> bytes:
    written: list[bytes] = []
    extract_rows(source, written.append, format=format, **options)
    assert all(written)
    return b"".join(written)


def read_back(data: bytes, format: Format, named: bool = False) -> list[dict[str, Any]]:
    """The rows as Python's own readers see them; numbers as numbers."""
    if format == "jsonl":
        return [json.loads(line) for line in data.split(b"\n")[:-1]]
    text = (rows_header("csv", named) + data).decode("utf-8", "surrogateescape")
    made: list[dict[str, Any]] = []
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        assert None not in row
        assert None not in row.values()
        made.append(
            {name: int(value) if name in ("line", "offset", "version") else value for name, value in row.items()}
        )
    return made


def wanted(text: bytes, **options: Any) -> list[dict[str, Any]]:
    e = nf.extract(text, **options)
    made = []
    for offset, length, version, packed, line, code in zip(
        e.offset, e.length, e.version, e.packed, e.line, e.codes, strict=True
    ):
        value = int.from_bytes(packed.tobytes(), "big") & ((1 << 32) - 1 if version == 4 else ~0)
        address = reference.format_address(int(version), value)
        zone = text[offset : offset + length].partition(b"%")[2].decode()
        made.append(
            {
                "line": int(line),
                "offset": int(offset),
                "address": f"{address}%{zone}" if zone else address,
                "version": int(version),
                "kind": BLOCKS[code].kind,
                "class": BLOCKS[code].network_class,
                "block": BLOCKS[code].prefix,
            }
        )
    return made


# --- rows -----------------------------------------------------------------------------------------------------------


def test_rows_look_like_this() -> None:
    assert rows_header("csv", named=False) == b"line,offset,address,version,kind,class,block\n"
    assert rows_header("csv", named=True) == b"file,line,offset,address,version,kind,class,block\n"
    assert rows_header("jsonl", named=True) == b""
    assert rows(io.BytesIO(TEXT), "csv") == (
        b"1,0,10.0.0.1,4,private,A,10.0.0.0/8\n"
        b"2,17,2001:db8::1,6,documentation,,2001:db8::/32\n"
        b"4,38,1.1.1.1,4,global,A,0.0.0.0/1\n"
        b"4,63,fe80::1%eth0.1,6,link_local,,fe80::/10\n"
        b"4,81,::ffff:1.2.3.4,6,mapped,,::ffff:0:0/96\n"
    )
    assert rows(io.BytesIO(b"::1"), "jsonl", name="x") == (
        b'{"file":"x","line":1,"offset":0,"address":"::1","version":6,"kind":"loopback","class":"","block":"::1/128"}\n'
    )


@formats
def test_rows_read_back_are_what_extract_finds(kernels: str, format: Format) -> None:
    got = read_back(rows(io.BytesIO(TEXT), format), format)
    assert got == wanted(TEXT)
    assert [list(row) for row in got] == [COLUMNS] * 5


@formats
def test_every_block_makes_a_row(format: Format) -> None:
    text = "\n".join(f"[{block.prefix.partition('/')[0]}]/0" for block in BLOCKS[1:]).encode()
    got = read_back(rows(io.BytesIO(text), format), format)
    assert got == wanted(text)
    assert len({row["block"] for row in got}) > 50


@given(
    st.one_of(strategies.log_texts, strategies.rule_texts),
    st.sampled_from(FORMATS),
    st.lists(st.integers(0, 300), max_size=5),
    st.sampled_from(["word", "loose"]),
)
def test_rows_of_any_text_in_any_chunks_are_what_extract_finds(
    kernels: str, text: bytes, format: Format, places: list[int], boundary: Any
) -> None:
    text = b"-" + text  # no magic bytes
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    chunks = [text[a:b] for a, b in itertools.pairwise(bounds)]
    assert read_back(rows(chunks, format, boundary=boundary), format) == wanted(text, boundary=boundary)


@formats
@given(zone=strategies.text_zones)
def test_zones_stay_with_their_addresses(format: Format, zone: str) -> None:
    text = f"fe80::1%{zone} FE80::0:2%{zone}: ::1%{zone},".encode()
    got = read_back(rows([text], format), format)
    assert [row["address"] for row in got] == [f"fe80::1%{zone}", f"fe80::2%{zone}", f"::1%{zone}"]


@formats
def test_a_hundred_thousand_rows(format: Format) -> None:
    text = b"".join(
        b"%d.%d.%d.%d 2001:db8::%x\n" % (i % 224, i % 256, i % 199, i % 97, i % 65536) for i in range(50_000)
    )
    assert read_back(rows(io.BytesIO(text), format), format) == wanted(text)


@formats
def test_no_address_makes_no_row(format: Format) -> None:
    for source in (io.BytesIO(b""), [], [b"nothing"], io.BytesIO(b"\n" * 100_000)):
        assert rows(source, format) == b""


# --- names ----------------------------------------------------------------------------------------------------------


@formats
@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_the_file_comes_back(format: Format, name: str) -> None:
    got = read_back(rows(io.BytesIO(TEXT), format, name=name), format, named=True)
    assert [row["file"] for row in got] == [name] * 5
    assert [{column: row[column] for column in COLUMNS} for row in got] == wanted(TEXT)


@formats
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_any_name_comes_back(format: Format, name: str) -> None:
    got = read_back(rows([b"10.0.0.1 ::1"], format, name=name), format, named=True)
    assert [row["file"] for row in got] == [name] * 2


@formats
def test_a_name_that_is_not_utf_8_comes_back(format: Format) -> None:
    got = read_back(rows([b"10.0.0.1"], format, name="\udcff.log"), format, named=True)
    assert got[0]["file"] == "\udcff.log"


@formats
def test_a_long_name_makes_long_rows(format: Format) -> None:
    text = b"10.0.0.1 " * 3000
    got = read_back(rows([text], format, name='"' * 1000), format, named=True)
    assert len(got) == 3000
    assert {row["file"] for row in got} == {'"' * 1000}


# --- selections, sources, trouble -----------------------------------------------------------------------------------


@formats
def test_options_are_those_of_scan(format: Format) -> None:
    def addresses(text: bytes = TEXT, **options: Any) -> list[str]:
        return [row["address"] for row in read_back(rows([text], format, **options), format)]

    assert addresses(first=True) == ["10.0.0.1", "2001:db8::1", "1.1.1.1"]
    assert addresses(field=2) == ["2001:db8::1"]
    assert addresses(field=1, sep=" ") == ["10.0.0.1", "1.1.1.1"]
    assert addresses(versions=(4,)) == ["10.0.0.1", "1.1.1.1"]
    assert addresses(boundary="loose", versions=(4,)) == ["10.0.0.1", "1.1.1.1", "126.0.0.0"]
    assert addresses(b'{"a": "::1", "b": "::2"}', key="b") == ["::2"]


@formats
def test_compressed_sources_are_read(format: Format) -> None:
    assert rows(io.BytesIO(gzip.compress(TEXT)), format) == rows(io.BytesIO(TEXT), format)


@formats
def test_what_comes_before_trouble_is_written(format: Format) -> None:
    def chunks() -> Iterator[bytes]:
        yield TEXT
        raise OSError(5, "Input/output error")

    written: list[bytes] = []
    with pytest.raises(OSError, match="Input/output error"):
        extract_rows(chunks(), written.append, format=format)
    assert read_back(b"".join(written), format) == wanted(TEXT)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"format": "xml"}, "format='xml'"), ({"boundary": "x"}, "boundary"), ({"key": ""}, "key"), ({"sep": ","}, "sep")],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extract_rows(io.BytesIO(TEXT), lambda data: None, **options)
