"""1,000,000 probes to one host at 50,000 a second: there is no ceiling, and none is miscounted.

A 16-bit sequence is used up in 1.3 s at that rate; fping refuses more than 65,535 probes under way, and cannot tell a
late reply from one to the same sequence of the next round.  Here the cookie tells.
Bound: 5 µs a probe, a quarter of what there is between two.
"""

from collections.abc import Iterator

import netfast as nf
from benchmarks.measure import Ceiling, Claim


def claims(scale: float = 1.0) -> Iterator[Claim]:
    count = round(1_000_000 * scale)

    def miscounted() -> float:
        found = nf.ping_many(["127.0.0.1"], count=count, interval=0, rate=50_000)
        odd = found.duplicates + found.reordered + found.late
        return float(count - found.received[0] + odd[0] + found.dropped + found.corrupted + found.foreign)

    def longer() -> float:
        return nf.ping_many(["127.0.0.1"], count=count, interval=0, rate=50_000).elapsed / (count / 50_000)

    yield Ceiling(
        work=f"{count:,} probes to one host at 50,000/s", unit="miscounted", most=0, figure=miscounted, rounds=1
    )
    yield Ceiling(
        work=f"{count:,} probes to one host at 50,000/s", unit="× the time", most=1.05, figure=longer, rounds=1
    )
