"""In pandas: `is_private` of a Series that PyArrow holds is 200 times as fast as by `series.map(ipaddress...)`.

Bound, written down first: the kernels take 4 ns a row of text (classify_column.py), read where PyArrow has it; a column
of booleans and its mask are written, two bytes a row.  `ipaddress` makes an object a row, 5 to 7 µs.
Bound now: the kernels.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from benchmarks import data
from benchmarks.measure import MissingError, Race, Rival, Side

SAMPLE = 50_000  # rows for `ipaddress`


def claims(scale: float = 1.0) -> Iterator[Race]:
    try:
        import pandas as pd
        import pyarrow as pa

        import netfast.engines.pandas  # noqa: F401
    except ImportError as missing:
        raise MissingError(missing.name or "pandas") from None

    n = round(5_000_000 * scale)
    column = data.ip4_column(n, 0)
    series = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([column])))
    sample = series[:SAMPLE]
    plain = sample[[is_plain(text) for text in sample]]
    yield Race(
        work=f"is_private of {n:,} IPv4 texts in pandas (PyArrow)",
        unit="rows",
        netfast=Side(n, lambda: series.netfast.is_private(), lambda: plain.netfast.is_private().tolist()),
        rivals=[Rival("series.map(ipaddress...)", 200, lambda: by_rows(sample, plain), agree)],
    )


def by_rows(sample: Any, plain: Any) -> Side:
    return Side(len(sample), lambda: mapped(sample), lambda: mapped(plain).tolist())


def mapped(series: Any) -> Any:
    return series.map(lambda text: ipaddress.ip_address(text).is_private)


# What is private for `ipaddress`, which means "not global" by it, and not for netfast, or not in every Python.
# Source: the IANA IPv4 Special-Purpose Address Registry, without RFC 1918.
DISPUTED = [
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    )
]


def is_plain(text: str) -> bool:
    """Whether `ipaddress` and netfast mean the same by "private" for it."""
    address = ipaddress.ip_address(text)
    return not any(address in block for block in DISPUTED)


def agree(ours: list[bool], theirs: list[bool]) -> bool:
    return ours == theirs and any(theirs)
