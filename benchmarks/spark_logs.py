"""In Spark, `classify_logs` counts the kinds of all addresses in a log of 2 GB 30 times as fast as a regular expression
of Spark's and a UDF with `ipaddress` do.

Bound, written down first, for 1 GB of log and one core: the scan takes 0.4 s; to write its 4.5 M addresses as rows of
text, and to read that into Arrow, 0.2 s each; Spark takes the columns as they are, 50 ns a row and text, of which there
are five: 1 s.  A regular expression in Java looks at 50 to 100 MB/s; a UDF takes several µs a row.
Bound now: Spark's work on rows.  All columns take it 3 s and more, that of kinds alone, for which no text is written,
1.5 s; the scan is a fifth of it.
"""

import ipaddress
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.baselines import IP4
from benchmarks.extract_log import VERSION
from benchmarks.measure import Claim, Race, Rival, Side
from benchmarks.spark_session import session

SAMPLE = 64  # MB for the UDF


def claims(scale: float = 1.0) -> Iterator[Claim]:
    spark = session()
    import netfast.engines.spark as engine

    size = round(2000 * data.MB * scale)
    log = data.access_log(size, distinct=max(1000, size // 1000))
    text = data.sample(log, min(SAMPLE * data.MB, size))
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.log"
        part.write_bytes(text)
        yield Race(
            work=f"count the kinds of addresses in a log of {size // data.MB:,} MB, Spark on two cores",
            unit="bytes",
            netfast=Side(
                log.stat().st_size,
                lambda: engine.classify_logs(spark, log, columns=["kind"]).groupBy("kind").count().collect(),
                lambda: engine.classify_logs(spark, part).groupBy("address", "kind").count().collect(),
            ),
            rivals=[
                Rival("regexp_extract_all and a UDF, IPv4", 30, lambda: by_expression(spark, part), same_counts(text))
            ],
        )


def by_expression(spark: Any, path: Path) -> Side:
    """What one writes without netfast."""
    from pyspark.sql import functions as sf

    def ask(text: str) -> str:
        address = ipaddress.ip_address(text)
        if address.is_loopback:
            return "loopback"
        return "private" if address.is_private else "global" if address.is_global else "other"

    kind = sf.udf(ask, "string", useArrow=False)
    found = sf.explode(sf.regexp_extract_all("value", sf.lit(f"({IP4})")))
    rows = spark.read.text(str(path)).select(found.alias("address")).withColumn("kind", kind("address"))
    return Side(
        path.stat().st_size,
        lambda: rows.groupBy("kind").count().collect(),
        lambda: rows.groupBy("address", "kind").count().collect(),
    )


def same_counts(text: bytes) -> Callable[[Any, Any], bool]:
    """As many rows of every IPv4 address are there, product versions apart; and what is private is private there."""

    def agree(ours: Any, theirs: Any) -> bool:
        counts = Counter({address: n for address, _, n in theirs}) - Counter(
            version.decode() for version in VERSION.findall(text)
        )
        private = {address for address, kind, _ in theirs if kind == "private"}
        mine = {address: n for address, _, n in ours if ":" not in address}
        return mine == counts and private.issuperset(address for address, kind, _ in ours if kind == "private")

    return agree
