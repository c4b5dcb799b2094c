"""Classifying a column of IPv6 text in mixed forms is 6 times as fast as glibc's `inet_pton` in a C loop (which only
parses), 250 times as fast as `ipaddress`.

Bound, written down first, for a row (26 bytes on average, at most 45): 30 bytes read with the offset, 1 written, which
memory would allow at 300 M rows/s; so instructions and branches bound it.  glibc goes byte by byte and mispredicts at
each group's length, some 5 times a row at 15 cycles.  Without branches: the masks of colons, dots and digits (10
vector instructions), eight groups found by bit work, gathered by shuffles; 30 to 40 cycles a row.  A quarter of the
rows embeds an IPv4 address, and the first bytes alone do not tell which.
No cache misses but the streams'; no system calls but those for the result's memory.
Bound now: instructions: half of the time in the row parser (about 7.5 ns a full row, 3.4 more for a dotted tail), a
fifth in the steps to a code, the rest in gathering rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import netfast as nf
from benchmarks import baselines, data
from benchmarks.classify_column import same_flags
from benchmarks.measure import Race, Rival, Side

SAMPLE = 50_000


def claims(scale: float = 1.0) -> Iterator[Race]:
    n = round(10_000_000 * scale)
    column = data.ip6_column(n)
    texts = column[:SAMPLE].to_pylist()

    def c_loop() -> Side:
        return baselines.c_inet_pton(*data.nul_terminated(column), version=6)

    yield Race(
        work=f"classify {n:,} IPv6 texts (Arrow), mixed forms",
        unit="rows",
        netfast=Side(n, lambda: nf.classify(column, threads=1)),
        rivals=[
            Rival("C loop of inet_pton", 6, c_loop, agree),
            Rival("ipaddress, four flags", 250, lambda: baselines.ipaddress_flags(texts), same_flags),
        ],
    )


def agree(found: Any, parsed: Any) -> bool:
    """The same rows are valid, and the bytes that inet_pton found are classified as the texts were."""
    packed, valid = parsed
    codes = nf.classify(packed).codes
    return np.array_equal(found.valid, valid) and np.array_equal(found.codes[valid], codes[valid])
