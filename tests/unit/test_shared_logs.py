"""extract on real logs: the same as the slow oracle finds in them."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

import pytest

import netfast as nf
import reference
from netfast.registry import BLOCKS
from reference import Boundary, Found

PREFIXES = [block.prefix for block in BLOCKS]
LINES = 3000  # of each log: all but the Apache log have fewer


@functools.cache
def head_of_log(path: Path) -> bytes:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return b"".join(data.splitlines(keepends=True)[:LINES])


@functools.cache
def slowly(path: Path, boundary: Boundary) -> list[Found]:
    return reference.extract(head_of_log(path), boundary)


def logs(folder: Path) -> list[Path]:
    paths = sorted((folder / "logs").iterdir())
    assert len(paths) >= 4
    return paths


@pytest.mark.parametrize("boundary", ["word", "loose"])
def test_real_logs_hold_what_the_oracle_finds(kernels: str, shared_data: Path, boundary: Boundary) -> None:
    total = 0
    for path in logs(shared_data):
        text = head_of_log(path)
        found = slowly(path, boundary)
        e = nf.extract(text, boundary=boundary)
        mask = {4: (1 << 32) - 1, 6: (1 << 128) - 1}
        got = [
            (
                int(offset),
                int(length),
                int(version),
                int.from_bytes(packed.tobytes(), "big") & mask[int(version)],
                int(line),
            )
            for offset, length, version, packed, line in zip(
                e.offset, e.length, e.version, e.packed, e.line, strict=True
            )
        ]
        assert got == [(f.offset, f.length, f.version, f.value, f.line) for f in found], path
        blocks = {(f.version, f.value): reference.classify(f.version, f.value, PREFIXES) for f in found}
        assert [BLOCKS[code].prefix for code in e.codes] == [blocks[f.version, f.value] for f in found], path
        total += len(found)
    assert total > 7000


def test_product_versions_in_real_logs_are_what_loose_adds(shared_data: Path) -> None:
    added = set()
    for path in logs(shared_data):
        text = head_of_log(path)
        strict = {f.offset for f in slowly(path, "word")}
        for f in slowly(path, "loose"):
            if f.offset not in strict:
                added.add(text[max(0, f.offset - 10) : f.offset + f.length])
    assert any(b"Chrome/" in piece for piece in added)


def test_scan_of_real_logs_finds_the_same(shared_data: Path) -> None:
    for path in logs(shared_data):
        whole = nf.extract(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        for chunk in (100, 4096, 1 << 20):
            assert [o for piece in nf.scan(path, chunk=chunk) for o in piece.offset.tolist()] == whole.offset.tolist()
