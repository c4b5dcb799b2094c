"""Logs classified by a Spark cluster: how many addresses of each kind, and by network with a table.

    python spark_logs.py logs/*.log.gz --table networks.csv
    spark-submit --master spark://host:7077 spark_logs.py /shared/logs --table networks.csv

The workers read the files themselves, so each must see them under the same name.  networks.csv is a table with a line
of names, "prefix,value".  It wants PySpark 4.1 and Java 17: pip install 'netfast[spark]'
"""

from __future__ import annotations

import argparse
import os
import re
import sys

import netfast as nf


def main() -> None:
    options = arguments()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # before the session is made; else Spark takes python3
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    import netfast.engines.spark as nfs

    try:
        table = nf.PrefixTable.from_csv(options.table, value="value") if options.table else None
        # What goes wrong is told below: Spark's own log would show it several times, with all its calls.
        spark = SparkSession.builder.appName("spark_logs").config("spark.log.level", "OFF").getOrCreate()
        columns = ["kind", "label"] if options.table else ["kind"]
        rows = nfs.classify_logs(spark, options.log, table, columns=columns)
        counts = rows.groupBy(*columns).count().orderBy("count", ascending=False)
        for row in counts.collect():
            print(*(f"{'' if value is None else value:<20}" for value in row[:-1]), f"{row[-1]:>12,}")
    except (OSError, ValueError) as error:
        raise SystemExit(f"spark_logs: {error}") from None
    except PySparkException as error:
        raise SystemExit(f"spark_logs: {reason(str(error))}") from None


def reason(message: str) -> str:
    """What a worker says last of all, such as "OSError: /logs/a.log: No such file or directory"."""
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in reversed(lines) if re.match(r"\w*(Error|Exception): ", line)), lines[0])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Counts the addresses in logs by kind, on Spark.")
    parser.add_argument("log", nargs="+", help="files, folders or patterns; compressed or not")
    parser.add_argument("--table", metavar="FILE", help="a CSV of prefixes and values, to count by network too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
