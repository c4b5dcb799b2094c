"""Addresses in text, on every form of the kernels: against the oracle, wherever the text lies, however it arrives."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

import netfast as nf
import reference
import strategies
from netfast.registry import BLOCKS
from reference import Boundary, Found

PREFIXES = [block.prefix for block in BLOCKS]
SLICE = 1 << 16  # the scanner looks at so much text at a time
BLOCK = 64

BOUNDARIES: tuple[Boundary, ...] = ("word", "loose")


def examples(share: float) -> settings:
    """So many times the examples of the profile."""
    return settings(max_examples=max(1, int(share * settings().max_examples)))


boundaries = st.sampled_from(BOUNDARIES)
version_sets = st.sampled_from([(4,), (6,), (4, 6)])
# Text that `scan` would take for compressed is of no use here.
texts = st.one_of(strategies.log_texts, strategies.rule_texts).filter(
    lambda text: not text.startswith((b"\x1f\x8b", b"\x28\xb5", b"\xfd7z", b"BZh"))
)


class Row(NamedTuple):
    offset: int
    length: int
    version: int
    value: int
    line: int
    code: int


@functools.cache
def code_of(version: int, value: int) -> int:
    return PREFIXES.index(reference.classify(version, value, PREFIXES))


def expected(found: Iterable[Found], offset: int = 0, line: int = 0) -> list[Row]:
    """What the oracle found, moved on."""
    return [
        Row(f.offset + offset, f.length, f.version, f.value, f.line + line, code_of(f.version, f.value)) for f in found
    ]


def rows(*pieces: nf.Extraction) -> list[Row]:
    return [row for piece in pieces for row in rows_of_piece(piece)]


def rows_of_piece(piece: nf.Extraction) -> Iterator[Row]:
    columns = (piece.offset, piece.length, piece.version, piece.packed, piece.line, piece.codes)
    for offset, length, version, packed, line, code in zip(*columns, strict=True):
        value = int.from_bytes(packed.tobytes(), "big")
        if version == 4:
            assert value >> 32 == 0xFFFF
            value &= 0xFFFFFFFF
        yield Row(int(offset), int(length), int(version), value, int(line), int(code))


# --- against the oracle ---------------------------------------------------------------------------------------------


@examples(2)
@given(texts, boundaries, version_sets)
def test_extract_finds_what_the_oracle_finds(
    kernels: str, text: bytes, boundary: Boundary, versions: Collection[int]
) -> None:
    found = reference.extract(text, boundary, versions)
    assert rows(nf.extract(text, boundary=boundary, versions=versions)) == expected(found)


@given(st.lists(st.sampled_from(b"0123456789:.%/ afG[]\n"), max_size=200).map(bytes), boundaries)
def test_extract_finds_what_the_oracle_finds_in_noise(kernels: str, text: bytes, boundary: Boundary) -> None:
    assert rows(nf.extract(text, boundary=boundary)) == expected(reference.extract(text, boundary))


@given(st.lists(st.one_of(strategies.log_texts.map(lambda t: t.decode("latin-1")), st.text(max_size=9))), boundaries)
def test_a_str_has_its_addresses_at_character_offsets(kernels: str, parts: list[str], boundary: Boundary) -> None:
    text = "".join(parts)
    data = text.encode("utf-8", "surrogatepass")
    found = reference.extract(data, boundary)
    in_characters = [f._replace(offset=len(data[: f.offset].decode("utf-8", "surrogatepass"))) for f in found]
    got = rows(nf.extract(text, boundary=boundary))
    assert got == expected(in_characters)
    assert [text[r.offset : r.offset + r.length].encode() for r in got] == [
        data[f.offset : f.offset + f.length] for f in found
    ]


# --- wherever the text lies -----------------------------------------------------------------------------------------


def around(text: bytes, before: int, behind: int = 100) -> tuple[bytes, int]:
    """The text as whole lines behind `before` bytes of other text; and the lines in front of it."""
    other = b"GET /a:b HTTP/1.1 3.14 12:30:01 ::x \xe5\x9c\xb0\n"
    front = (other * (before // len(other) + 1))[len(other) - before % len(other) :] if before else b""
    assert len(front) == before
    return front + text + b"\n" + other * (behind // len(other)), front.count(b"\n")


def assert_found_at(text: bytes, found: list[Found], at: int, boundary: Boundary) -> None:
    moved, lines = around(text, at)
    assert rows(nf.extract(moved, boundary=boundary)) == expected(found, at, lines), at


@examples(1 / 4)
@given(texts, boundaries)
def test_no_place_in_a_block_changes_what_is_found(kernels: str, text: bytes, boundary: Boundary) -> None:
    found = reference.extract(text, boundary)
    for at in range(2 * BLOCK + 3):
        assert_found_at(text, found, at, boundary)


@examples(1 / 25)
@given(texts.filter(lambda text: len(text) > 20), boundaries, st.integers(1, 2))
def test_no_place_at_a_seam_of_slices_changes_what_is_found(
    kernels: str, text: bytes, boundary: Boundary, seam: int
) -> None:
    found = reference.extract(text, boundary)
    for at in range(SLICE * seam - len(text) - 2, SLICE * seam + 3):
        assert_found_at(text, found, at, boundary)


LONGEST = [
    b"255.255.255.255",
    b"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%abcdefghijklmno",
    b"1111:2222:3333:4444:5555:6666:7777:8888",
    b"[::]:80",
    b"(" + b"A" * 64 + b"/10.0.0.1 " + b"A" * 65 + b"/10.0.0.1",
    b"1.2.3.4.5 1::2::3 1:2:3:4:5:6:7:8:9 12:34:56 10.0.0.1.",
]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("text", LONGEST)
def test_the_longest_rules_work_over_a_seam_of_slices(kernels: str, text: bytes, boundary: Boundary) -> None:
    found = reference.extract(text, boundary)
    for at in range(SLICE - len(text) - 2, SLICE + 3):
        assert_found_at(text, found, at, boundary)


# --- however the text arrives ---------------------------------------------------------------------------------------


def cut(text: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


chunk_sizes = st.one_of(st.integers(1, 9), st.integers(1, 300), st.sampled_from([64, 1024, SLICE, 1 << 20]))


@given(texts, boundaries, version_sets, chunk_sizes)
def test_scan_finds_what_extract_finds_in_chunks_of_any_size(
    kernels: str, text: bytes, boundary: Boundary, versions: Collection[int], chunk: int
) -> None:
    whole = rows(nf.extract(text, boundary=boundary, versions=versions))
    assert rows(*nf.scan(io.BytesIO(text), boundary=boundary, versions=versions, chunk=chunk)) == whole
    assert rows(*nf.scan([text], boundary=boundary, versions=versions, chunk=chunk)) == whole


@given(texts, boundaries, st.lists(st.integers(0)), chunk_sizes)
def test_scan_finds_what_extract_finds_whatever_the_cuts(
    kernels: str, text: bytes, boundary: Boundary, places: list[int], chunk: int
) -> None:
    chunks = cut(text, places)
    assert rows(*nf.scan(chunks, boundary=boundary, chunk=chunk)) == rows(nf.extract(text, boundary=boundary))


@examples(1 / 3)
@given(texts, chunk_sizes, st.lists(st.integers(0), max_size=3))
def test_scan_finds_what_extract_finds_in_gzip_members(
    kernels: str, text: bytes, chunk: int, places: list[int]
) -> None:
    packed = b"".join(gzip.compress(part, 1) for part in cut(text, places))
    assert rows(*nf.scan(io.BytesIO(packed), chunk=chunk)) == rows(nf.extract(text))


@examples(1 / 10)
@given(texts.filter(bool), st.integers(SLICE - 100, SLICE + 100))
def test_scan_of_large_chunks_finds_what_extract_finds(kernels: str, text: bytes, chunk: int) -> None:
    large = text * (3 * SLICE // len(text))
    assert rows(*nf.scan(io.BytesIO(large), chunk=chunk)) == rows(nf.extract(large))


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 61, 63, 64, 65, 68, 69])
def test_scan_finds_what_the_oracle_finds_in_every_rule_at_once(kernels: str, chunk: int) -> None:
    text = b" ".join(LONGEST) + b"\n" + b"\n".join(LONGEST)
    assert rows(*nf.scan(io.BytesIO(text), chunk=chunk)) == expected(reference.extract(text))


# --- which address of a line counts ---------------------------------------------------------------------------------


def selected(text: bytes, span_of: Any) -> list[Row]:
    """What the oracle finds within span_of(line) of every line."""
    found = []
    starts = [0, *(i + 1 for i, byte in enumerate(text) if byte == ord("\n"))]
    spans = [span_of(line) for line in text.split(b"\n")]
    for f in reference.extract(text):
        start, span = starts[f.line - 1], spans[f.line - 1]
        if span and span[0] <= f.offset - start and f.offset - start + f.length <= span[1]:
            found.append(f)
    return expected(found)


@given(texts, boundaries, chunk_sizes)
def test_first_keeps_the_first_of_every_line(text: bytes, boundary: Boundary, chunk: int) -> None:
    found = reference.first_of_lines(reference.extract(text, boundary))
    assert rows(*nf.scan(io.BytesIO(text), boundary=boundary, first=True, chunk=chunk)) == expected(found)


@given(texts, st.integers(1, 5), chunk_sizes)
def test_field_keeps_what_lies_in_that_field(text: bytes, field: int, chunk: int) -> None:
    got = rows(*nf.scan(io.BytesIO(text), field=field, chunk=chunk))
    assert got == selected(text, lambda line: reference.field_range(line, field))


separators = st.sampled_from([b",", b"|", b": ", b"\t", b" ", b"::", b"aa", b"\xff", b"..."])


@given(st.lists(st.one_of(texts, separators)).map(b"".join), st.integers(1, 5), separators, chunk_sizes)
def test_field_with_a_separator_keeps_what_lies_between_two(text: bytes, field: int, sep: bytes, chunk: int) -> None:
    got = rows(*nf.scan(io.BytesIO(text), field=field, sep=sep, chunk=chunk))
    assert got == selected(text, lambda line: reference.field_range(line, field, sep))


names = st.sampled_from(["ip", "client", "a", "0", "1", "a b", "é"])
strings = st.one_of(strategies.address_texts, texts.map(lambda text: text.decode("utf-8", "replace")))


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(inner, st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4))


leaves = st.one_of(strings, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
json_values = nested(nested(nested(leaves)))
json_texts = st.builds(
    lambda value, separators: json.dumps(value, separators=separators, ensure_ascii=False).encode(),
    st.one_of(st.dictionaries(names, json_values), json_values),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\r")]),
)
paths = st.lists(names, min_size=1, max_size=4).map(".".join)


@given(st.lists(json_texts, max_size=4).map(b"\n".join), paths, chunk_sizes)
def test_key_keeps_what_lies_in_that_string(text: bytes, key: str, chunk: int) -> None:
    got = rows(*nf.scan(io.BytesIO(text), key=key, chunk=chunk))
    assert got == selected(text, lambda line: reference.json_range(line, key))


@given(st.lists(strategies.address_texts, min_size=1, max_size=3), st.lists(names, min_size=1, max_size=4))
def test_key_finds_every_string_it_leads_to(addresses: list[str], path: list[str]) -> None:
    lines = []
    for address in addresses:
        value: Any = f"from [{address}]"
        for name in reversed(path):
            value = {"x": [address, {"y": address}], name: value, "z": address}
        lines.append(json.dumps(value, ensure_ascii=False).encode())
    text = b"\n".join(lines)
    got = rows(*nf.scan([text], key=".".join(path)))
    assert [row.line for row in got] == list(range(1, len(addresses) + 1))
    assert got == selected(text, lambda line: reference.json_range(line, ".".join(path)))


@given(texts, paths)
def test_key_keeps_some_of_what_extract_finds_in_text_of_any_kind(text: bytes, key: str) -> None:
    assert set(rows(*nf.scan([text], key=key))) <= set(rows(nf.extract(text)))
