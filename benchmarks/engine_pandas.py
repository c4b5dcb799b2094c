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
    yield Race(
        work=f"is_private of {n:,} IPv4 texts in pandas (PyArrow)",
        unit="rows",
        netfast=Side(n, lambda: series.netfast.is_private(), lambda: sample.netfast.is_private().tolist()),
        rivals=[
            Rival("series.map(ipaddress...)", 200, lambda: Side(len(sample), lambda: mapped(sample).tolist()), agree)
        ],
    )


def mapped(series: Any) -> Any:
    return series.map(lambda text: ipaddress.ip_address(text).is_private)


def agree(ours: list[bool], theirs: list[bool]) -> bool:
    """What is private for us is for `ipaddress`, which means "not global" by it."""
    return all(there for here, there in zip(ours, theirs, strict=True) if here)
