"""A Spark session for all tests: a cluster of two executors, processes of their own, on this machine."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def java(require: Callable[[object, str], None]) -> None:
    require(shutil.which("java") or os.environ.get("JAVA_HOME"), "Java 17, for Spark")


@pytest.fixture(scope="session")
def spark(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import pyspark
    from pyspark.sql import SparkSession

    # Executors write into SPARK_HOME.
    home = tmp_path_factory.mktemp("spark")
    for name in ("bin", "jars", "python"):
        if (there := Path(pyspark.__file__).parent / name).exists():
            (home / name).symlink_to(there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local-cluster[2,1,1024]")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", str(home / "local"))
            .config("spark.sql.warehouse.dir", str(home / "warehouse"))
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "OFF")
            .getOrCreate()
        )
        yield session
        session.stop()
