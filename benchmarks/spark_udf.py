"""In Spark, ip_kind is wanted 30 times as fast as a UDF that asks `ipaddress` row by row, and is as fast as Spark can
call any function: it takes at most 1.15 of the time of an Arrow UDF that gives back what it gets.

Bound, written down first: the kernels take 4 to 6 ns a row of text (classify_column.py).  Spark writes its rows into
Arrow batches of 10,000, sends them to a Python worker over a socket, reads what comes back, and joins it to the rows:
100 to 300 ns a row of a core, whatever the function does.  So the function is within a few per cent of nothing; and a
row by row UDF pickles each text besides, and `ipaddress` takes several µs for it.
Bound now: Spark's own work, which is more than was written down, 400 ns a row of a core, of which the function is 9;
and the UDF with `ipaddress` takes 9 µs.  So the 30 times are missed: an Arrow UDF that gives back what it gets is 20 to
26 times as fast as that one, and no function of a column of IPv4 text can be faster.  A row of the table shows it.
"""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import data
from benchmarks.measure import Claim, Likeness, Race, Rival, Side, in_milliseconds
from benchmarks.spark_session import run_through, session

SAMPLE = 400_000  # rows for the UDF, which needs several µs for each


def claims(scale: float = 1.0) -> Iterator[Claim]:
    spark = session()
    import pyarrow as pa
    from pyspark.sql.functions import arrow_udf, udf

    import netfast.engines.spark as engine

    def ask(text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return "invalid"
        if address.is_loopback:
            return "loopback"
        if address.is_link_local:
            return "link_local"
        if address.is_multicast:
            return "multicast"
        if address.is_private:
            return "private"
        return "global" if address.is_global else "reserved"

    def same(rows: pa.Array) -> pa.Array:
        return rows

    engine.register(spark)
    spark.udf.register("ask_ipaddress", udf(ask, "string", useArrow=False))
    spark.udf.register("same", arrow_udf(same, "string"))
    n = round(20_000_000 * scale)
    few = min(n, SAMPLE)
    column = data.ip4_column(n, 0.1)
    frame, sample = _kept(spark, column), _kept(spark, column[:few])
    kinds, back = frame.selectExpr("ip_kind(ip)"), frame.selectExpr("same(ip)")
    theirs = sample.selectExpr("ask_ipaddress(ip)")

    def answer(function: str) -> Any:
        return sample.selectExpr("ip", f"{function}(ip) AS kind").distinct().toArrow().to_pylist()

    def row_wise(wanted: float, agree: Callable[[Any, Any], bool]) -> Rival:
        def side() -> Side:
            return Side(few, lambda: run_through(theirs), lambda: answer("ask_ipaddress"))

        return Rival("UDF with ipaddress", wanted, side, agree)

    yield Race(
        work=f"ip_kind of {n:,} IPv4 texts in Spark, two cores",
        unit="rows",
        netfast=Side(n, lambda: run_through(kinds), lambda: answer("ip_kind")),
        rivals=[row_wise(30, same_kinds)],
    )
    yield Race(
        work=f"as much as Spark allows: an Arrow UDF that gives back {n:,} IPv4 texts, two cores",
        unit="rows",
        netfast=Side(n, lambda: run_through(back), lambda: answer("same")),
        rivals=[row_wise(1, same_texts)],
    )
    yield Likeness(
        work=f"ip_kind of {n:,} IPv4 texts in Spark, two cores",
        unit="ms",
        most=1.15,
        figure=lambda: in_milliseconds(lambda: run_through(kinds)),
        other_name="Arrow UDF that gives back its rows",
        other=lambda: in_milliseconds(lambda: run_through(back)),
    )


def _kept(spark: Any, column: Any) -> Any:
    """A DataFrame of a column "ip", in Spark's memory."""
    import pyarrow as pa

    frame = spark.createDataFrame(pa.table({"ip": column.cast(pa.string())})).repartition(8).persist()
    frame.count()
    return frame


def same_texts(ours: Any, theirs: Any) -> bool:
    return {row["ip"] for row in ours} == {row["ip"] for row in theirs}


def same_kinds(ours: Any, theirs: Any) -> bool:
    """The same texts are invalid, loopback, link-local and multicast, and what is private for us is for `ipaddress`,
    which calls private what is not global."""
    mine, other = ({row["ip"]: row["kind"] for row in rows} for rows in (ours, theirs))
    alike = ("invalid", "loopback", "link_local", "multicast")
    return mine.keys() == other.keys() and all(
        other[ip] == kind if kind in (*alike, "private") else other[ip] not in alike for ip, kind in mine.items()
    )
