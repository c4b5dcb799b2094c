"""Logs summed up by Dask, a task a file: how many addresses of each kind.

    python dask_logs.py logs/*.log.gz

It runs in threads, for the kernels let go of the interpreter's lock.  On a cluster, make a `distributed.Client` first,
which Dask then takes: the workers read the files themselves, so each must see them under the same name.
pip install netfast dask
"""

from __future__ import annotations

import argparse
import os
from collections import Counter

import netfast as nf


def main() -> None:
    logs = arguments().log
    import dask

    # No scheduler is named: Dask's own choice for these is the client's, if there is one, and threads otherwise.
    summaries = [dask.delayed(nf.summarize)(os.path.abspath(path), threads=1) for path in logs]
    counts: Counter[str] = Counter()
    troubles = []
    for found in dask.compute(*summaries):
        counts.update(found.by_kind)
        troubles += found.errors
    for kind, count in counts.most_common():
        print(f"{kind:<20} {count:>12,}")
    if troubles:
        raise SystemExit("\n".join(f"dask_logs: {path}: {message}" for path, message in troubles))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Counts the addresses in logs by kind, on Dask.")
    parser.add_argument("log", nargs="+", help="a file, compressed or not")
    return parser.parse_args()


if __name__ == "__main__":
    main()
