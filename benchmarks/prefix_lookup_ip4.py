"""Looking IPv4 numbers up in a routing table, 4 M a call: 1.8 times as fast as DPDK's `rte_lpm_lookup_bulk` for
uniform addresses, 1.5 times for addresses inside prefixes and for those of a few popular prefixes; 200 times as fast
as pytricia's `get`, 100 times on a tree that has been frozen.

Bound, written down first, for a row (and 8 bytes of query and answer besides, which stream):
    rte_lpm  one load from 64 MB at a random place, in pages of 4 KiB: a miss of the third-level cache and of the TLB,
             some 100 ns, of which the processor overlaps ten or so within a burst; 100 M/s
    netfast  two dependent loads from 8 MB, both prefetched a batch ahead: what misses is answered by the third-level
             cache in some 40 cycles; a dozen instructions, so 200 to 300 M/s if all misses overlap
Skewed queries hit what is in the caches in either table: then instructions and the dependent loads decide, of which
rte_lpm has fewer.  pytricia walks 20 nodes, in a call of its own for each row: 1 to 2 µs.
DPDK's table is filled directly (adding takes minutes) and answers from a process of its own; libdpdk-dev and
pkg-config are needed for that.  pytricia is asked for a part of the rows, and speeds are compared.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import netfast as nf
from benchmarks import baselines, data
from benchmarks.data import Routes
from benchmarks.measure import Race, Rival, Side

CALL = 4_000_000  # rows a call: the 16 MB of answers are the last call's memory again
SUBSET = 500_000  # of the rows, for pytricia


def claims(scale: float = 1.0) -> Iterator[Race]:
    routes = data.routes(4, scale)
    table = nf.PrefixTable.from_columns(routes.addresses, routes.lengths, np.arange(len(routes), dtype=np.int32))
    n = round(10_000_000 * scale)
    uniform = data.ip4_numbers(n)
    yield race(f"look up {n:,} uniform IPv4 numbers", table, routes, uniform, over_dpdk=1.8, over_pytricia=(200, 100))
    yield race(f"look up {n:,} IPv4 numbers inside prefixes", table, routes, data.inside(routes, n), over_dpdk=1.5)
    yield race(f"look up {n:,} IPv4 numbers, Zipf over prefixes", table, routes, data.skewed(routes, n), over_dpdk=1.5)


def race(
    work: str,
    table: nf.PrefixTable,
    routes: Routes,
    queries: NDArray[Any],
    over_dpdk: float,
    over_pytricia: tuple[float, float] | None = None,
) -> Race:
    bulk = {4: "rte_lpm_lookup_bulk", 6: "rte_lpm6_lookup_bulk_func"}[routes.version]
    rivals = [Rival(f"DPDK {bulk}", over_dpdk, partial(baselines.rte_lpm, routes, queries), same)]
    if over_pytricia is not None:
        part = queries[:SUBSET]
        some = "" if len(part) == len(queries) else f", {len(part):,} of them"
        plain, tuned = over_pytricia
        rivals.append(Rival(f"pytricia get{some}", plain, partial(baselines.pytricia_get, routes, part), same))
        best = partial(baselines.pytricia_get, routes, part, tuned=True)
        rivals.append(Rival(f"pytricia get, frozen{some}", tuned, best, same))
    calls = [queries[first : first + CALL] for first in range(0, len(queries), CALL)]

    def run() -> None:
        for call in calls:
            table.lookup(call, threads=1)

    return Race(work, "rows", Side(len(queries), run, partial(table.lookup, queries, threads=1)), rivals)


def same(matches: Any, places: NDArray[Any]) -> bool:
    """Both found the same prefix for every row that the other looked up; there is one at least that was found."""
    index = matches.index[: len(places)]
    return np.array_equal(index, places) and bool((index >= 0).any())
