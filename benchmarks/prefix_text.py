"""From a column of IPv4 text to a column of labels by a whole routing table is 20 times as fast as polars-iptools'
`is_in` (which only tells whether there is one) and as DuckDB's joins on ranges.

Bound, written down first, for a row of random IPv4 text (13.3 bytes on average):
    netfast  parsing some 45 instructions (see classify_column), the lookup two dependent loads that miss (see
             prefix_lookup_ip4), 4 bytes of address written and read in between, and an index of 4 bytes written, which
             together with the values is the column of labels: 5 to 10 ns
    is_in    reads the million networks in every call (2 to 4 s, some 0.3 µs a row of ten million), then parses each
             text and walks a tree
    DuckDB   BETWEEN sorts the texts' numbers and the ranges and looks for pairs by bitmaps; ASOF, for ranges that do
             not overlap (as these do not), sorts and merges: some µs a row, half of it for the text
is_in has all rows, so that what it does in each call counts for little; DuckDB has a part of them that it joins in a
few seconds, and speeds are compared.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

import netfast as nf
from benchmarks import baselines, data
from benchmarks.measure import Race, Rival, Side

SHARE = 0.1  # of the rows, for DuckDB


def claims(scale: float = 1.0) -> Iterator[Race]:
    ip4, ip6 = data.routes(4, scale), data.routes(6, scale)
    n = round(10_000_000 * scale)
    column = data.ip4_column(n)
    labels = data.labels(len(ip4) + len(ip6))
    networks = ip4.texts() + ip6.texts()
    table = nf.PrefixTable(zip(networks, labels.to_pylist(), strict=True))
    first, last, place = data.disjoint(ip4)
    ranges = pa.table({"first": first, "last": last, "label": labels.take(pa.array(place))})
    part = column[: round(n * SHARE)]
    some = f"{len(part):,} of them"
    yield Race(
        work=f"label {n:,} IPv4 texts (Arrow)",
        unit="rows",
        netfast=Side(n, lambda: pa.array(table.lookup(column, threads=1))),
        rivals=[
            Rival("polars-iptools is_in", 20, lambda: baselines.polars_iptools_is_in(column, networks), same_members),
            Rival(f"DuckDB join BETWEEN, {some}", 20, partial(baselines.duckdb_join, part, ranges, "BETWEEN"), same),
            Rival(f"DuckDB ASOF join, {some}", 20, partial(baselines.duckdb_join, part, ranges, "ASOF"), same),
        ],
    )


def same_members(found: Any, is_in: Any) -> bool:
    return np.array_equal(found.is_valid().to_numpy(zero_copy_only=False), is_in)


def same(found: Any, joined: Any) -> bool:
    """The rows that were joined have the same labels; no other row of those looked at has one."""
    rows = joined["row"].to_numpy()
    ours = found.cast(pa.string()).take(pa.array(rows))
    some = round(len(found) * SHARE)
    theirs = joined["label"].combine_chunks()
    return ours.equals(theirs) and len(found[:some].drop_null()) == len(set(rows.tolist())) == len(rows)
