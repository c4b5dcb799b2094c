"""Classifying an Arrow column of IPv4 text: 0.4 of memcpy's speed whatever the share of invalid rows, 1.5 of chdb's
(which only parses), 5 of polars-iptools' `is_private`, 2,000 of `ipaddress`'s.

Bound, written down first, for a row of random IPv4 text (13.3 bytes on average):
    memcpy   reads 13.3 + 4 bytes of text and offset, writes as many: 34.6 bytes moved
    netfast  reads the same 17.3, writes 1: 18.3 bytes moved, so memory alone would allow 1.9 of memcpy's speed.
             Parsing costs instructions, some 5 a byte; exact blocks by comparison another 20 vector instructions per
             eight rows, or by a table of the high half one load a row from 64 KB, which stay in the second-level cache
An invalid row costs as much as a valid one only if nothing branches on it: at 50 % every second branch is mispredicted,
some 15 cycles, which alone would halve the speed.  No system calls but those for the result's memory, 1 byte a row.
Bound now: instructions, about 31 a row, 7 of them the two table steps (470 M rows/s in the caches). A row that is no
address costs what any other does, unless it has a colon and is tried as IPv6. Nothing branches on a row.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import netfast as nf
from benchmarks import baselines, data
from benchmarks.measure import Race, Rival, Side

SHARES = (0.0, 0.1, 0.5)  # of invalid rows
SAMPLE = 50_000  # rows for `ipaddress`, which needs 20 µs for each


def claims(scale: float = 1.0) -> Iterator[Race]:
    n = round(10_000_000 * scale)
    for share in SHARES:
        column = data.ip4_column(n, share)
        yield Race(
            work=f"classify {n:,} IPv4 texts (Arrow), {share:.0%} invalid",
            unit="rows",
            netfast=Side(n, partial(nf.classify, column, threads=1)),
            rivals=_rivals(column, everyone=share == 0),
        )


def _rivals(column: Any, *, everyone: bool) -> list[Rival]:
    rivals = [
        Rival("memcpy of the column", 0.4, lambda: baselines.memcpy(column), lambda _, copied: bool(copied)),
        Rival("chdb IPv4StringToNumOrDefault", 1.5, lambda: baselines.chdb_ip4_to_number(column), same_sum(column)),
    ]
    if everyone:
        texts = column[:SAMPLE].to_pylist()
        rivals += [
            Rival("polars-iptools is_private", 5, lambda: baselines.polars_iptools_is_private(column), same_private),
            Rival("ipaddress, four flags", 2000, lambda: baselines.ipaddress_flags(texts), same_flags),
        ]
    return rivals


def same_sum(column: Any) -> Callable[[Any, int], bool]:
    """The sum of the valid rows' numbers is the rival's, and the rows counted are those classified as valid."""

    def agree(found: Any, their_sum: int) -> bool:
        parsed = nf.parse(column, threads=1)
        same_rows = np.array_equal(parsed.version != 0, found.valid)
        return same_rows and int(parsed.v4.sum(dtype=np.uint64)) == their_sum

    return agree


def same_private(found: Any, private: Any) -> bool:
    return np.array_equal(found.is_private, private)


def same_flags(found: Any, flags: list[tuple[bool, ...] | None]) -> bool:
    """Valid rows are the same, and so are loopback, link-local and multicast; what is private is private there too.

    `ipaddress` calls private whatever is not global, and newer ones look into IPv4-mapped addresses.
    """
    rows = slice(len(flags))
    valid = np.array([row is not None for row in flags])
    theirs = np.array([row or (False,) * 4 for row in flags])
    ours = np.stack([found.is_private, found.is_loopback, found.is_link_local, found.is_multicast], axis=1)[rows]
    plain = found.kind[rows] != "mapped"
    return (
        np.array_equal(found.valid[rows], valid)
        and np.array_equal(ours[plain, 1:], theirs[plain, 1:])
        and bool((theirs[:, 0] | ~ours[:, 0]).all())
    )
