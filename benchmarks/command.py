"""`netfast classify` of a log of 1 GB takes at most four times as long as `wc -l` of it, as whole processes on two
threads; it takes under 200 MB with 1 M distinct addresses and under 600 MB with 50 M.

Bound, written down first, for the 1 GB in the system's cache, 4.3 M lines, 4.5 M addresses:
    wc -l    copies it to a buffer by 4,000 to 65,000 reads and looks at each byte once: 3 to 5 GB/s
    netfast  the same reads, or a mapping with 250,000 page faults (0.1 µs each by fault-around, 0.25 µs without); the
             scan at 2 GB/s a thread; a look-up in a table of the distinct addresses each: 1 M of them at 16 bytes and
             more are past the caches, one miss, 90 ns without prefetch and 15 with it: 0.1 to 0.5 s
Starting Python is 15 ms, importing what the command needs as much again.
Memory: 1 M distinct addresses need 32 to 50 MB, 10 M (the limit of exact counting) ten times as much.
Bound now: the scan; then cache misses of the table that the threads share, a fifth of the time with a million distinct
addresses, and the kernel's copy of the file, a tenth.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import baselines, data
from benchmarks.measure import Ceiling, Claim, Race, Rival, Side

CLASSIFY = [sys.executable, "-m", "netfast", "classify", "--threads", "2"]
PEAK = [sys.executable, "-I", "-S", str(Path(__file__).with_name("peak.py"))]


def claims(scale: float = 1.0) -> Iterator[Claim]:
    size = round(1000 * data.MB * scale)
    log = data.access_log(size, distinct=max(1000, size // 1000))
    yield Race(
        work=f"netfast classify of a log of {size // data.MB:,} MB, whole process, two threads",
        unit="bytes",
        netfast=Side(log.stat().st_size, run(log), lambda: summary(log)),
        rivals=[Rival("wc -l", 0.25, lambda: baselines.wc_lines(log), same_count)],
    )
    few, many = round(1_000_000 * scale), round(50_000_000 * scale)
    for what, path, most in (
        (f"{size // data.MB:,} MB, {few:,} distinct addresses", log, 200),
        (f"{many:,} distinct addresses", data.address_log(many), 600),
    ):
        yield Ceiling(work=f"netfast classify, peak memory: {what}", unit="MB", most=most, figure=peak(path), rounds=3)


def same_count(found: dict[str, Any], count: bytes) -> bool:
    return bool(found["lines"] == int(count.split()[0]))


def run(path: Path) -> Callable[[], object]:
    return lambda: subprocess.run([*CLASSIFY, str(path)], stdout=subprocess.DEVNULL, check=True)


def summary(path: Path) -> dict[str, Any]:
    done = subprocess.run([*CLASSIFY, "--json", str(path)], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def peak(path: Path) -> Callable[[], float]:
    """Peak memory of the whole process in MB."""

    def figure() -> float:
        done = subprocess.run([*PEAK, *CLASSIFY, str(path)], stdout=subprocess.PIPE, check=True)
        return int(done.stdout) * 1024 / 1e6

    return figure
