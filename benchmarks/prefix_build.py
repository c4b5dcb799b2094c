"""A whole routing table of both families, from parsed prefixes in random order, is built 15 times as fast as
pytricia's, 30 times as fast as py-radix's, and in 0.4 s; to look addresses up takes 12 MB for IPv4, 8 MB for IPv6, and
8 MB for the set of all of them.

Bound, written down first, for 901,899 IPv4 and 160,147 IPv6 prefixes:
    trees    a walk of some 20 nodes for each, of which the last ten are not in a cache: 1 to 2 µs, and an allocation
             or two; some 2 s in all, and 100 bytes a prefix at least
    netfast  a sort (4 passes over 12 bytes a prefix, random writes into 256 places: some 20 ms), the nested prefixes
             unfolded into stretches that have one answer (a pass with a stack: 10 ms), the tables written in the order
             of addresses: 10 MB, some 10 ms.  So memory would allow 50 ms; then the prefixes themselves and their
             values are put into the new order
An IPv4 table of one bit for each /24 and four bytes for each stretch takes 2 + 4 · 0.9 MB at least.
"""

import contextlib
import ctypes
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np

import netfast as nf
from benchmarks import baselines, data
from benchmarks.data import Routes
from benchmarks.measure import Ceiling, Claim, Race, Rival, Side

SEED = 20  # of the order that the prefixes come in
SAMPLE = 20_000  # addresses that the answers of both are compared for


def claims(scale: float = 1.0) -> Iterator[Claim]:
    ip4, ip6 = data.routes(4, scale), data.routes(6, scale)
    n = len(ip4) + len(ip6)
    columns = parsed(ip4, ip6)

    def build() -> nf.PrefixTable:
        return nf.PrefixTable.from_columns(*columns)

    def seconds() -> float:
        start = perf_counter()
        build()
        return perf_counter() - start

    yield Race(
        work=f"build a table of {n:,} prefixes",
        unit="rows",
        netfast=Side(n, build, before=tidy_heap),
        rivals=[
            Rival("pytricia", 15, lambda: baselines.pytricia_build(ip4, ip6, SEED), same_as_pytricia(ip4, ip6)),
            Rival("py-radix", 30, lambda: baselines.py_radix_build(ip4, ip6, SEED), same_as_py_radix(ip4, ip6)),
        ],
    )
    yield Ceiling(f"build a table of {n:,} prefixes", "ms", 400, lambda: seconds() * 1e3)
    memory = build().memory
    yield Ceiling(f"memory to look up in {len(ip4):,} IPv4 prefixes", "MB", 12, lambda: memory["ip4"] / 1e6)
    yield Ceiling(f"memory to look up in {len(ip6):,} IPv6 prefixes", "MB", 8, lambda: memory["ip6"] / 1e6)
    held = nf.PrefixSet(ip4.texts() + ip6.texts())
    held.contains(["::"])  # what finds addresses is made by the first call
    yield Ceiling(f"memory of a set of {n:,} prefixes", "MB", 8, lambda: held.nbytes / 1e6)


def tidy_heap() -> None:
    """Has the C library put together the millions of small pieces that a tree leaves behind, and give them back.

    Whoever asks for memory next would do that otherwise: a quarter of a second that is the tree's.
    """
    with contextlib.suppress(AttributeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def parsed(ip4: Routes, ip6: Routes) -> tuple[Any, Any, Any]:
    """Addresses, lengths and values in random order; the value is the place in the finished table."""
    order = np.random.default_rng(SEED).permutation(len(ip4) + len(ip6))
    mapped = np.zeros((len(ip4), 16), np.uint8)
    mapped[:, 10:12], mapped[:, 12:] = 255, ip4.packed
    packed = np.concatenate([mapped, ip6.packed])[order]
    texts = np.array(ip4.texts() + ip6.texts())[order]
    addresses = nf.parse([text.partition("/")[0] for text in texts.tolist()])
    assert np.array_equal(addresses.packed, packed)
    return addresses, np.concatenate([ip4.lengths, ip6.lengths])[order], order.astype(np.int32)


def same_as_pytricia(ip4: Routes, ip6: Routes) -> Any:
    def agree(table: nf.PrefixTable, trees: dict[int, Any]) -> bool:
        return all(
            np.array_equal(_values(table, queries), [trees[version].get(key) for key in keys])
            for version, queries, keys in _sample(ip4, ip6)
        )

    return agree


def same_as_py_radix(ip4: Routes, ip6: Routes) -> Any:
    def agree(table: nf.PrefixTable, tree: Any) -> bool:
        return all(
            np.array_equal(_values(table, queries), [tree.search_best(packed=key).data["value"] for key in keys])
            for _, queries, keys in _sample(ip4, ip6)
        )

    return agree


def _sample(ip4: Routes, ip6: Routes) -> Iterator[tuple[int, Any, list[bytes]]]:
    """Addresses that are in the table, as netfast takes them and packed."""
    for table in (ip4, ip6):
        queries = data.inside(table, SAMPLE)
        yield table.version, queries, table.as_packed(queries)


def _values(table: nf.PrefixTable, queries: Any) -> Any:
    return table.lookup(queries, threads=1).values(-1)
