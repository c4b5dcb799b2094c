"""python benchmarks [names]: every claim against its rivals, side by side in one run, as a Markdown table.

A name is that of a module here (`parse_column`).  A row's ratio is the median of its rounds' ratios, its figures are
medians; what is missing is named and skipped.  Other work on the machine spoils the figures more than the ratios.
"""

import argparse
import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))  # for the networks that tests have

from benchmarks.measure import SKIPPED, MissingError, Row, note

NAMES = (
    "parse_column",
    "classify_column",
    "classify_list",
    "classify_integers",
    "classify_ip6",
    "prefix_build",
    "prefix_lookup_ip4",
    "prefix_lookup_ip6",
    "prefix_text",
    "extract_log",
    "command",
    "import_time",
    "ping_sweep",
    "ping_time",
    "ping_async",
    "ping_dead",
    "ping_long",
    "list_cards",
    "list_sockets",
    "find_owner",
    "udp_receive",
    "udp_send",
    "udp_ping",
    "udp_memory",
    "split_frames",
    "engine_polars",
    "engine_pandas",
    "engine_duckdb",
    "spark_udf",
    "spark_logs",
)
HEAD = ("work", "netfast", "peer", "peer's figure", "ratio", "wanted")


def main() -> None:
    options = _options()
    print(_machine(), flush=True)
    _print_cells(HEAD)
    _print_cells(("---", "---:", "---", "---:", "---:", "---:"))
    for name in options.names or NAMES:  # a row as soon as it is known: the whole takes minutes
        for row in measured(name, options.scale, options.rounds):
            _print_cells(row.cells())
    for name, how_to_get_it in SKIPPED.items():
        print(f"\nSkipped: {name} is missing ({how_to_get_it}).")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (all)")
    parser.add_argument("--rounds", type=int, default=11, help="rounds a row (11)")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the claimed sizes to work on (1)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such claim: {', '.join(sorted(unknown))}")
    return options


def measured(name: str, scale: float, rounds: int) -> Iterator[Row]:
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        for claim in module.claims(scale):
            yield from claim.rows(rounds)
    except MissingError as missing:  # what the whole claim works on
        SKIPPED[name] = str(missing)
        note(f"skipped: {name} ({missing})")


def _print_cells(cells: Iterable[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _machine() -> str:
    """The machine and every version that matters, in two paragraphs."""
    cpu = f"{_cpu_model()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = [
        f"{name} {version}"
        for name in (
            "netfast",
            "numpy",
            "pyarrow",
            "chdb",
            "duckdb",
            "polars",
            "polars-iptools",
            "pytricia",
            "py-radix",
            "icmplib",
            "aioping",
            "psutil",
            "pyroute2",
            "pyspark",
        )
        if (version := _version(name))
    ]
    tools = [_tool_version(name) for name in ("rg", "grepcidr", "fping", "ping", "ss", "lsof") if shutil.which(name)]
    return f"{cpu}; {python}; {' '.join(platform.libc_ver())}\n\n{', '.join(packages + tools)}\n"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tool_version(name: str) -> str:
    option = {"grepcidr": "-V", "ping": "-V", "ss": "-V", "lsof": "-v"}.get(name, "--version")
    done = subprocess.run([name, option], capture_output=True, text=True, check=False)
    words = (done.stdout or done.stderr).replace("iproute2-", "").split()
    return f"{name} {next((word for word in words if word[0].isdecimal()), words[1])}"


if __name__ == "__main__":
    main()
