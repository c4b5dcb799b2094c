"""Ten million rows through every engine, in some chunks: each row is what `netfast.classify` says of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import netfast as nf
import netfast.engines.arrow as arrow_engine
import netfast.engines.duckdb as duckdb_engine
import netfast.engines.pandas
import netfast.engines.polars

ROWS = 10_000_000
IP: Any = pl.col("ip")  # `.netfast` is added to expressions when they run


@pytest.fixture(scope="module")
def column() -> Any:
    """IPv4 for the most part, and every kind of row among it, in chunks of odd lengths."""
    random = np.random.default_rng(7)
    chunks, left = [], ROWS
    while left:
        n = min(left, int(random.integers(1, 2_500_000)))
        numbers = random.integers(0, 2**32, n, dtype=np.uint32)
        numbers[random.random(n) < 0.3] = 0x0A000001
        text = pa.array(nf.parse(numbers))
        odd = pa.array(["2001:db8::1", "fe80::1%eth0", "bad", "", None, "::ffff:10.0.0.1"]).take(
            pa.array(random.integers(0, 6, n))
        )
        chunks.append(pc.if_else(pa.array(random.random(n) < 0.05), odd, text))
        left -= n
    return pa.chunked_array(chunks)


@pytest.fixture(scope="module")
def right(column: Any) -> Any:
    """int8: the place in KINDS, -1 where null."""
    found = nf.classify(column)
    return np.where(found.null, np.int8(-1), found.kind_codes)


def _places(kinds: Any) -> Any:
    """The same of an Arrow column of the names of kinds."""
    return pc.index_in(kinds, pa.array(nf.KINDS)).fill_null(-1).to_numpy()


def _in_arrow(column: Any) -> Any:
    return _places(arrow_engine.kind(column).cast(pa.string()))


def _in_pandas(column: Any) -> Any:
    series: Any = pd.Series(column.combine_chunks(), dtype=pd.ArrowDtype(pa.string()))
    return series.netfast.kind().cat.codes.to_numpy()


def _in_polars(column: Any, engine: Any = "in-memory") -> Any:
    frame = pl.LazyFrame({"ip": pl.Series(column)})
    return _places(frame.select(IP.netfast.kind()).collect(engine=engine)["ip"].cast(pl.String).to_arrow())


def _in_streams_of_polars(column: Any) -> Any:
    return _in_polars(column, "streaming")


def _in_duckdb(column: Any) -> Any:
    con = duckdb.connect()
    return _places(duckdb_engine.classify(con.from_arrow(pa.table({"ip": column})), "ip").to_arrow_table()["kind"])


def _in_functions_of_duckdb(column: Any) -> Any:
    con = duckdb.connect()
    duckdb_engine.register(con)
    rows = con.from_arrow(pa.table({"ip": column}))
    return _places(rows.select("ip_kind(ip) AS kind").to_arrow_table()["kind"])


WAYS: list[Callable[[Any], Any]] = [
    _in_arrow, _in_pandas, _in_polars, _in_streams_of_polars, _in_duckdb, _in_functions_of_duckdb,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_ten_million_rows(way: Callable[[Any], Any], column: Any, right: Any) -> None:
    assert len(right) == ROWS
    assert (way(column) == right).all()
