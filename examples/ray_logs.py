"""Logs summed up by a Ray cluster, a task a file: how many addresses of each kind.

    python ray_logs.py logs/*.log.gz

The workers read the files themselves, so each must see them under the same name: pip install netfast ray
"""

from __future__ import annotations

import argparse
import os
from collections import Counter

import netfast as nf


def kinds(path: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """How many addresses of each kind a log holds, and what was wrong with it."""
    found = nf.summarize(path, threads=1)  # Ray runs as many tasks as there are CPUs
    return found.by_kind, found.errors


def main() -> None:
    logs = arguments().log
    import ray

    ray.init(log_to_driver=False, include_dashboard=False)
    task = ray.remote(kinds)
    counts: Counter[str] = Counter()
    troubles = []
    for by_kind, errors in ray.get([task.remote(os.path.abspath(path)) for path in logs]):
        counts.update(by_kind)
        troubles += errors
    for kind, count in counts.most_common():
        print(f"{kind:<20} {count:>12,}")
    if troubles:
        raise SystemExit("\n".join(f"ray_logs: {path}: {message}" for path, message in troubles))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Counts the addresses in logs by kind, on Ray.")
    parser.add_argument("log", nargs="+", help="a file, compressed or not")
    return parser.parse_args()


if __name__ == "__main__":
    main()
