"""A whole routing table: every answer equals pytricia's, from every form of the kernels and from eight threads."""

from __future__ import annotations

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytricia

import netfast as nf

pytestmark = pytest.mark.slow

QUERIES = 500_000  # of each family and kind


@cache
def routes(folder: Path) -> list[str]:
    return gzip.decompress((folder / "bgp" / "prefixes.txt.gz").read_bytes()).decode().split()


@cache
def table_of(folder: Path) -> nf.PrefixTable:
    """Every prefix with itself for its value, in an order that is nobody's."""
    texts = routes(folder)
    order = np.random.default_rng(1).permutation(len(texts)).tolist()
    return nf.PrefixTable([(texts[place], texts[place]) for place in order])


@cache
def peers(folder: Path) -> dict[int, Any]:
    """pytricia keeps the families in one object only if they may be confused: one for each."""
    four, six = pytricia.PyTricia(32), pytricia.PyTricia(128, socket.AF_INET6)
    for text in routes(folder):
        if ":" in text:
            six.insert(text, text)
        else:
            four.insert(text, text)
    return {4: four, 6: six}


@cache
def queries(folder: Path, version: int, kind: str) -> Any:
    """uint8[n, 4 or 16]: anywhere, or inside prefixes drawn at random."""
    rng = np.random.default_rng(version)
    width = 4 if version == 4 else 16
    rows = rng.integers(0, 256, (QUERIES, width), np.uint8)
    if kind == "uniform":
        if version == 6:
            rows[:, 0] = rows[:, 0] & 0x1F | 0x20  # 2000::/3, where there is something
        return rows
    mine = [text for text in routes(folder) if (":" in text) is (version == 6)]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    drawn = [mine[place].split("/") for place in rng.integers(0, len(mine), QUERIES).tolist()]
    networks = np.frombuffer(b"".join(socket.inet_pton(family, address) for address, _ in drawn), np.uint8)
    lengths = np.array([int(length) for _, length in drawn])
    bits = np.arange(width * 8) < lengths[:, None]
    masks = np.packbits(bits, axis=1)
    return networks.reshape(-1, width) & masks | rows & ~masks


def as_input(version: int, rows: Any) -> Any:
    return rows.view(">u4").ravel().astype(np.uint32) if version == 4 else rows


@cache
def wanted(folder: Path, version: int, kind: str) -> list[str | None]:
    """pytricia's answers."""
    get = peers(folder)[version].get
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return [get(socket.inet_ntop(family, row.tobytes())) for row in queries(folder, version, kind)]


def test_the_table_holds_every_prefix_once_in_order(shared_data: Path) -> None:
    table, texts = table_of(shared_data), routes(shared_data)
    assert len(texts) == len(table) == 1_062_046
    assert set(table) == set(texts)
    four = [text for text in table if ":" not in text]
    assert len(four) == 901_899
    assert list(table)[: len(four)] == four
    keys = [(socket.inet_aton(text.split("/")[0]), int(text.split("/")[1])) for text in four]
    assert keys == sorted(keys)
    six = [text.split("/") for text in list(table)[len(four) :]]
    wide = [(socket.inet_pton(socket.AF_INET6, address), int(length)) for address, length in six]
    assert wide == sorted(wide)


@pytest.mark.parametrize("kind", ["uniform", "inside"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_million_answers_equal_pytricias(shared_data: Path, kernels: str, version: int, kind: str) -> None:
    rows = queries(shared_data, version, kind)
    found = table_of(shared_data).lookup(as_input(version, rows))
    assert found.values() == wanted(shared_data, version, kind)
    hits = (found.index >= 0).mean()
    assert hits == 1 if kind == "inside" else 0 < hits < 1


def test_addresses_at_both_ends_of_every_prefix(shared_data: Path, kernels: str) -> None:
    """The first address of a prefix is its own or a longer one's that begins there; so is the last."""
    table, texts = table_of(shared_data), routes(shared_data)
    known = peers(shared_data)
    for version in (4, 6):
        mine = [text for text in texts if (":" in text) is (version == 6)]
        first = nf.parse([text.split("/")[0] for text in mine])
        packed = first.packed[:, 12:] if version == 4 else first.packed
        width = packed.shape[1]
        lengths = np.array([int(text.split("/")[1]) for text in mine])
        rest = np.packbits(np.arange(width * 8) >= lengths[:, None], axis=1)
        for ends in (packed, packed | rest):
            found = table.lookup(as_input(version, np.ascontiguousarray(ends)))
            assert (found.index >= 0).all()
            prefixes = list(found.prefixes())
            for place in range(0, len(mine), 101):
                family = socket.AF_INET if version == 4 else socket.AF_INET6
                address = socket.inet_ntop(family, ends[place].tobytes())
                assert prefixes[place] == known[version].get(address)


def test_text_finds_what_numbers_find(shared_data: Path) -> None:
    table = table_of(shared_data)
    for version in (4, 6):
        rows = queries(shared_data, version, "inside")[:100_000]
        texts = nf.parse(as_input(version, rows)).to_list()
        assert np.array_equal(table.lookup(texts).index, table.lookup(as_input(version, rows)).index)


def test_eight_threads_on_one_table(shared_data: Path) -> None:
    table = table_of(shared_data)
    asked = [as_input(version, queries(shared_data, version, "inside")) for version in (4, 6)]
    alone = [table.lookup(column, threads=1).index for column in asked]
    start = threading.Barrier(8)

    def work(place: int) -> bool:
        start.wait()
        return all(
            np.array_equal(table.lookup(asked[turn % 2], threads=1 + turn % 2).index, alone[turn % 2])
            for turn in range(place, place + 6)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_exact_covering_and_covered_equal_pytricias(shared_data: Path) -> None:
    table = table_of(shared_data)
    for version, peer in peers(shared_data).items():
        mine = [text for text in routes(shared_data) if (":" in text) is (version == 6)]
        for text in mine[::997]:
            assert table.exact(text) == text
            parents = [text]
            while (above := peer.parent(parents[-1])) is not None:
                parents.append(above)
            assert table.covering(text) == [(parent, parent) for parent in reversed(parents)]
            assert {found for found, _ in table.covered(text)} == {text, *peer.children(text)}


def test_it_is_the_same_from_a_file(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "routes.nf"
    table_of(shared_data).save(path)
    loaded = nf.PrefixTable.load(path)
    for version in (4, 6):
        column = as_input(version, queries(shared_data, version, "inside"))
        assert np.array_equal(loaded.lookup(column).index, table_of(shared_data).lookup(column).index)


def test_a_set_of_them_all_holds_what_the_table_finds(shared_data: Path, kernels: str) -> None:
    made = nf.PrefixSet(routes(shared_data))
    assert len(made) < 1_062_046
    for version in (4, 6):
        for kind in ("uniform", "inside"):
            column = as_input(version, queries(shared_data, version, kind))
            assert np.array_equal(made.contains(column), table_of(shared_data).lookup(column).index >= 0)
    nothing = made & made.complement()
    assert len(nothing) == 0
    assert (made | made.complement()).num_addresses == 2**32 + 2**128
