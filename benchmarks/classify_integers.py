"""Classifying a uint32 column exactly is twice as fast as `numpy.take` from a table of its high halves.

Bound, written down first, for a row:
    numpy    shifts (4 bytes read, 4 written), widens to 8-byte indices in blocks, loads one byte of a 64 KB table,
             writes 1: 9 bytes to memory, some 12 instructions
    netfast  reads 4, writes 1: 5 bytes, which memory would allow at 2 G rows/s; with a table one load a row from the
             second-level cache, 64 KB being twice the first, or by vector compares some 3 instructions a row
The table alone is not exact: blocks longer than /16 need a second look.  Fresh pages: a fault every 4,096 rows.
Bound now: two dependent loads from a table in the first-level cache and their address arithmetic, 7 instructions a
row.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import netfast as nf
from benchmarks import baselines, data
from benchmarks.measure import Race, Rival, Side


def claims(scale: float = 1.0) -> Iterator[Race]:
    n = round(10_000_000 * scale)
    numbers = data.ip4_numbers(n)
    table = nf.classify(np.arange(1 << 16, dtype=np.uint32) << 16).codes

    def agree(found: Any, codes: NDArray[np.uint8]) -> bool:
        decided = ~_split_halves()[numbers >> 16]
        return np.array_equal(found.codes[decided], codes[decided])

    yield Race(
        work=f"classify {n:,} uint32 (NumPy)",
        unit="rows",
        netfast=Side(n, lambda: nf.classify(numbers, threads=1)),
        rivals=[Rival("numpy.take by the high half", 2, lambda: baselines.numpy_take(numbers, table), agree)],
    )


def _split_halves() -> NDArray[np.bool_]:
    """bool[65536]: the high half alone does not tell the block."""
    split = np.zeros(1 << 16, bool)
    for block in nf.BLOCKS:
        address, _, length = block.prefix.partition("/")
        if "." in address and ":" not in address and int(length) > 16:
            split[int(nf.parse([address]).v4[0]) >> 16] = True
    return split
