"""In Polars: `is_private` twice as fast as polars-iptools' and kinds three times as fast as by its functions; in a
query that streams, wanted 1.5 times as fast as through Python.

Bound, written down first: the kernels take 4 to 6 ns a row of text (classify_column.py), of one thread; Polars runs an
expression over a column in memory by one thread, and over morsels by all.  A plugin gets the column's buffers and gives
a bit a row; through Python there are a call, a lock and some objects a morsel, and one morsel at a time.
Bound now: views, 16 bytes a row and half of the time of a kernel that knows offsets in 1.6 ns; and in a query over a
file Polars' reader.  Of the 17 ns a row of processor time that the query below takes, 7 are the reader's, 3 those that
group, and 5 the kernel's; Python adds 4.  Without a kernel it would be 1.9 times as fast as through Python.  (In a file
of addresses that are all different the reader takes 22 ns, and nothing else counts: 1.15 times.)
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import baselines, data
from benchmarks.measure import Claim, MissingError, Race, Rival, Side


def claims(scale: float = 1.0) -> Iterator[Claim]:
    try:
        import polars as pl
    except ImportError:
        raise MissingError("polars") from None
    import netfast.engines.polars as engine

    n = round(5_000_000 * scale)
    column = data.ip4_column(n, 0.1)
    frame = pl.DataFrame({"ip": pl.Series(column)})
    ip: Any = pl.col("ip")
    yield Race(
        work=f"is_private of {n:,} IPv4 texts in Polars",
        unit="rows",
        netfast=Side(n, lambda: frame.select(ip.netfast.is_private())),
        rivals=[Rival("polars-iptools is_private", 2, lambda: baselines.polars_iptools_is_private(column), same_hits)],
    )
    yield Race(
        work=f"kinds of {n:,} IPv4 texts in Polars",
        unit="rows",
        netfast=Side(n, lambda: frame.select(ip.netfast.kind())),
        rivals=[Rival("polars-iptools, when and then", 3, lambda: baselines.polars_iptools_kinds(frame), same_kinds)],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        frame.select(ip.gather(as_in_logs(n))).write_parquet(path)

        def counted(uses_plugin: bool) -> Any:
            engine._USES_PLUGIN = uses_plugin
            try:
                query = pl.scan_parquet(path).group_by(ip.netfast.kind().alias("kind")).len()
                return query.collect(engine="streaming").sort("kind")
            finally:
                engine._USES_PLUGIN = True

        yield Race(
            work=f"count kinds of {n:,} IPv4 texts of a log in a Parquet file, streaming",
            unit="rows",
            netfast=Side(n, lambda: counted(True)),
            rivals=[Rival("the same with map_batches", 1.5, lambda: Side(n, lambda: counted(False)), same_counts)],
        )


def as_in_logs(n: int) -> Any:
    """Places of 100,000 addresses, of which few are there often: the exponent of Zipf's law is 1.2."""
    import numpy as np

    return np.minimum(np.random.default_rng(1).zipf(1.2, n), min(n, 100_000)) - 1


def same_hits(ours: Any, theirs: Any) -> bool:
    """The same rows are private, and there are some."""
    return bool((ours.to_series().to_numpy() == theirs).all() and theirs.any())


def same_kinds(ours: Any, theirs: Any) -> bool:
    """The same rows are of each kind that polars-iptools was asked for; some are private, some invalid."""
    mine, other = ours.to_series().cast(str), theirs.to_series()
    asked = ("invalid", "private", "loopback", "link_local", "multicast")
    return all(((mine == kind) == (other == kind)).all() for kind in asked) and {*asked[:2]} < {*other}


def same_counts(ours: Any, theirs: Any) -> bool:
    """The same kinds as often, and more than one."""
    return bool(ours.equals(theirs)) and len(ours) > 1
