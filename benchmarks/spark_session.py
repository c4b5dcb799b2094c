"""The Spark that both claims about it run on: two cores of this machine, started once."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
from typing import Any

from benchmarks.measure import MissingError


@functools.cache
def session() -> Any:
    """A session of `local[2]`; raises MissingError."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingError("pyspark") from None
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise MissingError("apt-get install openjdk-17-jre-headless")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    made = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    atexit.register(made.stop)
    return made


def run_through(frame: Any) -> None:
    """Computes every row and column, and keeps none."""
    frame.write.format("noop").mode("overwrite").save()
