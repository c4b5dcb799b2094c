"""In Spark, ip_is_private is 30 times as fast as a UDF that asks `ipaddress` row by row, and ip_kind takes at most 1.15
of the time of an Arrow UDF that gives back what it gets.

Bound, written down first: the kernels take 4 to 6 ns a row of text (classify_column.py).  Spark writes its rows into
Arrow batches of 10,000, sends them to a Python worker over a socket, reads what comes back, and joins it to the rows:
100 to 300 ns a row of a core, whatever the function does.  So the function is within a few per cent of nothing; and a
row by row UDF pickles each text besides, and `ipaddress` takes 3 µs for it.
Bound now: Spark's own work.
"""

import ipaddress
from collections.abc import Iterator
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

    def ask(text: str) -> bool | None:
        try:
            return ipaddress.ip_address(text).is_private
        except ValueError:
            return None

    def same(rows: pa.Array) -> pa.Array:
        return rows

    engine.register(spark)
    row_by_row, identity = udf(ask, "boolean", useArrow=False), arrow_udf(same, "string")
    n = round(20_000_000 * scale)
    few = min(n, SAMPLE)
    column = data.ip4_column(n, 0.1)
    frame, sample = _kept(spark, column), _kept(spark, column[:few])
    ours = frame.selectExpr("ip_is_private(ip) AS private")

    def answer(frame: Any, function: str) -> Any:
        return frame.selectExpr("ip", f"{function} AS private").where("private").select("ip").toArrow()["ip"]

    spark.udf.register("ask_ipaddress", row_by_row)
    theirs = sample.select(row_by_row("ip").alias("private"))
    yield Race(
        work=f"ip_is_private of {n:,} IPv4 texts in Spark, two cores",
        unit="rows",
        netfast=Side(n, lambda: run_through(ours), lambda: answer(sample, "ip_is_private(ip)")),
        rivals=[
            Rival(
                "UDF with ipaddress",
                30,
                lambda: Side(few, lambda: run_through(theirs), lambda: answer(sample, "ask_ipaddress(ip)")),
                same_private,
            )
        ],
    )
    kinds, back = frame.selectExpr("ip_kind(ip) AS kind"), frame.select(identity("ip").alias("ip"))
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


def same_private(ours: Any, theirs: Any) -> bool:
    """What is private for us is for `ipaddress`, which calls private what is not global."""
    private = set(theirs.to_pylist())
    return len(ours) > 0 and private.issuperset(ours.to_pylist())
