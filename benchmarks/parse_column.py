"""Parsing an Arrow column of IPv4 text runs at 0.6 of the speed at which the same bytes can be copied, or better.

Bound, written down first, for a row of random IPv4 text (13.3 bytes on average):
    memcpy   reads 13.3 + 4 bytes of text and offset, writes as many: 34.6 bytes moved
    netfast  reads the same 17.3, writes 4 of number and 1 of version: 22.3 bytes moved, so memory alone would allow
             1.5 of memcpy's speed; but it writes into fresh pages, 5 bytes a row, one page fault every 819 rows
No cache misses but the streams', which the hardware prefetches; no system calls but those for the result's memory.
Bound now: instructions, 23 a row at more than 4 a cycle, in the caches (730 M rows/s); from memory nearly as much, so
both bounds are close.  Numbers (40 MB) are written where those of the call before were: fresh pages cost a quarter
more.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import netfast as nf
from benchmarks import baselines, data
from benchmarks.measure import Race, Rival, Side


def claims(scale: float = 1.0) -> Iterator[Race]:
    n = round(10_000_000 * scale)
    column = data.ip4_column(n)
    numbers = data.ip4_numbers(n)

    def agree(parsed: Any, copied: bool) -> bool:
        return copied and bool((parsed.version == 4).all()) and np.array_equal(parsed.v4, numbers)

    yield Race(
        work=f"parse {n:,} IPv4 texts (Arrow) to uint32",
        unit="rows",
        netfast=Side(n, lambda: nf.parse(column, threads=1)),
        rivals=[Rival("memcpy of the column", 0.6, lambda: baselines.memcpy(column), agree)],
    )
