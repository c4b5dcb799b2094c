"""Looking IPv6 addresses inside prefixes up in a routing table is twice as fast as DPDK's `rte_lpm6_lookup_bulk_func`,
150 times as fast as pytricia's `get` of text, 50 times where its tree is frozen and its keys are packed.

Bound, written down first, for a row (and 20 bytes of query and answer besides, which stream):
    rte_lpm6  a load for the first 24 bits and one for each 8 after them, each from a place of its own in tables of
              some 100 MB: 3 for a /40, 4 for a /48, one after the other, most of them misses of every cache; the
              bursts do not prefetch, so what overlaps is what the processor finds by itself: 15 to 25 M/s
    netfast   a handful of dependent loads from 8 MB, prefetched a batch ahead; some 40 instructions: 60 to 80 M/s
pytricia walks 30 nodes, in a call of its own for each row: 1 to 2 µs; it is asked for a part of the rows, and speeds
are compared.  DPDK answers from a process of its own; libdpdk-dev and pkg-config are needed for that.
"""

from collections.abc import Iterator

import numpy as np

import netfast as nf
from benchmarks import data
from benchmarks.measure import Race
from benchmarks.prefix_lookup_ip4 import race


def claims(scale: float = 1.0) -> Iterator[Race]:
    routes = data.routes(6, scale)
    table = nf.PrefixTable.from_columns(routes.addresses, routes.lengths, np.arange(len(routes), dtype=np.int32))
    n = round(10_000_000 * scale)
    queries = data.inside(routes, n)
    yield race(
        f"look up {n:,} IPv6 addresses inside prefixes", table, routes, queries, over_dpdk=2, over_pytricia=(150, 50)
    )
