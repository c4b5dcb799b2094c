"""Logs summed up by Ray Data, a block a file: how many addresses of each kind.

    python ray_logs.py logs/*.log.gz

The workers read the files themselves, so each must see them under the same name: pip install netfast 'ray[data]'
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from typing import Any

import netfast as nf


def kinds(row: dict[str, str]) -> dict[str, Any]:
    """How many addresses of each kind a log holds, and what was wrong with it."""
    found = nf.summarize(row["path"], threads=1)  # Ray runs as many tasks as there are CPUs
    return {"by_kind": json.dumps(found.by_kind), "errors": json.dumps(found.errors)}  # a column has one type


def main() -> None:
    logs = arguments().log
    import ray.data

    ray.init(log_to_driver=False, include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    paths = [{"path": os.path.abspath(path)} for path in logs]
    counts: Counter[str] = Counter()
    troubles = []
    for found in ray.data.from_items(paths, override_num_blocks=len(paths)).map(kinds).iter_rows():
        counts.update(json.loads(found["by_kind"]))
        troubles += json.loads(found["errors"])
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
