"""netfast on Spark: functions of SQL and classified logs give what netfast says on one machine, whatever is lost."""

from __future__ import annotations

import bz2
import doctest
import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark import SparkFiles
from pyspark.errors import AnalysisException, PySparkAttributeError, PythonException
from pyspark.sql import functions as sf

import netfast as nf
import netfast.engines.spark as engine
from engines import cases
from engines.cases import each_column, each_table
from netfast.logs import Search

PATIENCE = 120.0  # seconds that an executor may take to come, or to be missed


def frame_of(spark: Any, texts: cases.Texts, kind: Any = None) -> Any:
    """A DataFrame of the rows, with their numbers, in several partitions."""
    rows = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "ip": pa.array(texts, kind or pa.string())})
    return spark.createDataFrame(rows).repartition(3)


def in_order(frame: Any) -> dict[str, list[Any]]:
    """The columns of a frame by name, its rows ordered by n."""
    columns: dict[str, list[Any]] = frame.toArrow().sort_by("n").to_pydict()
    return columns


# --- functions of SQL -------------------------------------------------------------------------------------------------


@each_column
def test_functions(spark: Any, texts: cases.Texts) -> None:
    engine.register(spark, cases.TABLE)
    want = cases.expected(texts)
    made = frame_of(spark, texts).selectExpr(
        "n",
        "ip_kind(ip) AS kind",
        "ip_class(ip) AS class",
        "ip_is_private(ip) AS private",
        "ip_is_global(ip) AS global",
        "ip_lookup(ip) AS label",
    )
    assert [kind for _, kind in made.dtypes] == ["bigint", "string", "string", "boolean", "boolean", "string"]
    columns = in_order(made)
    assert columns["kind"] == want.kind
    assert columns["class"] == want.network_class
    assert columns["private"] == want.flags["is_private"]
    assert columns["global"] == want.flags["is_global"]
    assert columns["label"] == cases.found(texts, cases.TABLE)


@each_table
def test_lookup(spark: Any, table: nf.PrefixTable) -> None:
    engine.register(spark, table)
    texts = [*cases.COLUMNS["mixed"], *cases.COLUMNS["ip4"]]
    columns = in_order(frame_of(spark, texts).selectExpr("n", "ip_lookup(ip) AS value"))
    assert columns["value"] == cases.found(texts, table)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("int8", "tinyint"),
        ("uint8", "smallint"),
        ("int16", "smallint"),
        ("uint16", "int"),
        ("int32", "int"),
        ("uint32", "bigint"),
        ("int64", "bigint"),
        ("uint64", "decimal(20,0)"),
        ("float32", "float"),
        ("float64", "double"),
        ("bool", "boolean"),
    ],
)
def test_types_of_lookup(spark: Any, dtype: str, kind: str) -> None:
    """The largest number of each type is there whole."""
    whole = np.dtype(dtype).kind in "iu"
    value = np.iinfo(dtype).max if whole else 1
    engine.register(spark, nf.PrefixTable.from_columns(["10.0.0.0"], [8], np.array([value], dtype)))
    made = spark.sql("SELECT ip_lookup('10.0.0.1') AS value, ip_lookup('8.8.8.8') AS none")
    assert made.dtypes == [("value", kind), ("none", kind)]
    assert made.first()[:] == (value, None)


def test_functions_of_text_in_bytes(spark: Any) -> None:
    engine.register(spark)
    texts = cases.COLUMNS["mixed"]
    raw = [None if text is None else text.encode() for text in texts]
    made = frame_of(spark, raw, pa.binary()).selectExpr("n", "ip_kind(ip) AS kind")  # type: ignore[arg-type]
    assert in_order(made)["kind"] == cases.expected(texts).kind


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("spark.sql.execution.arrow.maxRecordsPerBatch", "2"),
        ("spark.sql.execution.arrow.useLargeVarTypes", "true"),
    ],
)
def test_settings_of_arrow(spark: Any, setting: str, value: str) -> None:
    engine.register(spark, cases.TABLE)
    texts = cases.COLUMNS["mixed"]
    spark.conf.set(setting, value)
    try:
        columns = in_order(frame_of(spark, texts).selectExpr("n", "ip_kind(ip) AS kind", "ip_lookup(ip) AS label"))
    finally:
        spark.conf.unset(setting)
    assert columns["kind"] == cases.expected(texts).kind
    assert columns["label"] == cases.found(texts, cases.TABLE)


def test_functions_in_filters_groups_and_frames(spark: Any) -> None:
    engine.register(spark)
    rows = spark.range(70_000).selectExpr("concat('10.0.', id div 256, '.', id % 256) AS ip")
    counts = rows.where("NOT ip_is_global(ip)").groupBy(sf.call_function("ip_kind", "ip").alias("kind")).count()
    assert sorted(counts.collect()) == [("invalid", 70_000 - 65_536), ("private", 65_536)]


def test_functions_of_constants_and_nulls(spark: Any) -> None:
    engine.register(spark)
    row = spark.sql("SELECT ip_kind('::1'), ip_kind(NULL), ip_is_private(NULL), ip_class('')").first()
    assert row[:] == ("loopback", None, None, "")


def test_registering_again_replaces(spark: Any) -> None:
    for name in ("first", "second"):
        engine.register(spark, nf.PrefixTable({"10.0.0.0/8": name}))
        assert spark.sql("SELECT ip_lookup('10.0.0.1')").first()[0] == name
    engine.register(spark)
    assert spark.sql("SELECT ip_kind('10.0.0.1')").first()[0] == "private"
    with pytest.raises(AnalysisException, match="ip_lookup"):
        spark.sql("SELECT ip_lookup('10.0.0.1')").collect()


def test_a_table_is_sent_once(spark: Any, tmp_path: Path) -> None:
    def sent() -> list[str]:
        return [name for name in os.listdir(SparkFiles.getRootDirectory()) if name.startswith("netfast-")]

    log = tmp_path / "log"
    log.write_bytes(b"10.1.2.3\n")
    before = len(sent())
    for _ in range(2):
        engine.register(spark, nf.PrefixTable({"10.1.0.0/16": "only here"}))
        rows = engine.classify_logs(spark, log, nf.PrefixTable({"10.1.0.0/16": "only here"}))
        assert rows.first()["label"] == "only here"
    assert len(sent()) == before + 1


def test_threads_that_register_tables_of_their_own(spark: Any) -> None:
    tables = [nf.PrefixTable((f"10.{i}.{j}.0/24", n) for i in range(40) for j in range(256)) for n in range(8)]
    for _ in range(3):
        with ThreadPoolExecutor(len(tables)) as pool:
            names = list(pool.map(partial(engine._shipped, spark), tables))
        there = [nf.PrefixTable.load(SparkFiles.get(name)).get("10.1.1.1") for name in names]
        assert there == list(range(len(tables)))
        engine._SENT.clear()


# --- logs -------------------------------------------------------------------------------------------------------------

TEXT = (
    b"10.0.0.1 - - GET /1.2.3.4.5 Chrome/126.0.0.0\n"
    b"\n"
    b"no address, but a line that is longer than some blocks are\r\n"
    b"from fe80::1%eth0 to [2001:DB8:0:0::1]:443, via ::ffff:192.0.2.1\n"
    b"8.8.8.8\n"
    b"8.8.4.4\n"
    b"\xff\xfe 192.168.100.200 " + b"x" * 70 + b" 172.16.254.254\n"
    b"\n\n"
    b"224.0.0.1,255.255.255.255 at the end without a new line 100.64.0.1"
)

Row = tuple[str, int, str, str, str, str]


def found_in(path: Any, text: bytes, **how: Any) -> list[Row]:
    """What netfast finds on one machine, in the columns of `classify_logs`."""
    rows: list[Row] = []
    for part in nf.scan([text], **how):
        spans = zip(part.offset.tolist(), part.length.tolist(), strict=True)
        texts = nf.format_addresses([text[start : start + length].decode() for start, length in spans])
        blocks = [nf.BLOCKS[code] for code in part.codes]
        for offset, address, block in zip(part.offset.tolist(), texts, blocks, strict=True):
            rows.append((str(path), offset, str(address), block.kind, block.network_class, block.prefix))
    return rows


def rows_of(frame: Any) -> list[Any]:
    columns = frame.toArrow().to_pydict().values()
    return list(zip(*columns, strict=True))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("block", [5, 8, 31, 64, TEXT.index(b"8.8.8.8"), len(TEXT) - 1, len(TEXT), None])
def test_blocks(spark: Any, log: Path, block: int | None) -> None:
    """Borders lie inside of addresses, right before and behind new lines, and in a line longer than a block."""
    made = engine.classify_logs(spark, log, block=block)
    want = found_in(log, TEXT)
    assert rows_of(made) == want
    assert len(want) == 11


def test_columns(spark: Any, log: Path) -> None:
    strings = ["file", "address", "kind", "network_class", "block"]
    made = engine.classify_logs(spark, log)
    assert made.dtypes == [(n, "string" if n in strings else "bigint") for n in [strings[0], "position", *strings[1:]]]
    labelled = engine.classify_logs(spark, log, cases.TABLE)
    assert labelled.dtypes == [*made.dtypes, ("label", "string")]


@pytest.mark.parametrize("columns", [["kind"], ["label", "position"], ["block", "file"], ["address", "label"]])
def test_some_columns(spark: Any, log: Path, columns: list[str]) -> None:
    every = engine.classify_logs(spark, log, cases.TABLE, block=100)
    made = engine.classify_logs(spark, log, cases.TABLE, block=100, columns=columns)
    assert made.columns == columns
    assert rows_of(made) == rows_of(every.select(*columns))


@pytest.mark.parametrize("how", [{"first": True}, {"field": 3}, {"versions": [6]}, {"boundary": "loose"}])
def test_what_counts(spark: Any, log: Path, how: dict[str, Any]) -> None:
    assert rows_of(engine.classify_logs(spark, log, block=40, **how)) == found_in(log, TEXT, **how)


@each_table
def test_labels(spark: Any, log: Path, table: nf.PrefixTable) -> None:
    made = engine.classify_logs(spark, log, table, block=100).select("address", "label").collect()
    addresses = [address for _, _, address, *_ in found_in(log, TEXT)]
    assert [row["address"] for row in made] == addresses
    matched = table.lookup(addresses).prefixes()
    values = dict(table.items())
    assert [row["label"] is None for row in made] == [values.get(prefix or "") is None for prefix in matched]
    texts = {prefix: value for prefix, value in values.items() if isinstance(value, str)}
    assert all(row["label"] == texts[p] for row, p in zip(made, matched, strict=True) if p in texts)


def test_labels_of_any_values(spark: Any, log: Path) -> None:
    """Labels are text, as the summaries show them, also where no column of Arrow could hold the values."""
    labels = engine.classify_logs(spark, log, cases.NO_COLUMN).select("label").distinct().collect()
    assert sorted(label or "" for (label,) in labels) == ["", '["a", 1]']


@pytest.mark.parametrize("table", [cases.HOLES, cases.COUNTS], ids=["text", "numbers"])
def test_values_of_none_are_null(spark: Any, log: Path, table: nf.PrefixTable) -> None:
    """As ip_lookup gives them."""
    engine.register(spark, table)
    made = engine.classify_logs(spark, log, table).selectExpr("address", "label", "ip_lookup(address) AS value")
    rows = {row["address"]: (row["label"], row["value"]) for row in made.collect()}
    assert rows["8.8.8.8"] == rows["8.8.4.4"] == (None, None)
    assert rows["10.0.0.1"][0] == str(rows["10.0.0.1"][1])


def test_many_files(spark: Any, tmp_path: Path) -> None:
    """Plain and compressed ones, empty ones of both, in more members than one, named oddly, each in its order."""
    contents: list[tuple[str, bytes, bytes]] = [
        ("a.log", TEXT, TEXT),
        ("b.log.gz", TEXT, gzip.compress(TEXT)),
        ("c empty.log", b"", b""),
        ("d empty.gz", b"", gzip.compress(b"")),
        ("e.bz2", TEXT, bz2.compress(TEXT)),
        ("f [1] ü.log", b"\n\n", b"\n\n"),
        ("g two members", TEXT + b"9.9.9.9\n", gzip.compress(TEXT) + gzip.compress(b"9.9.9.9\n")),
        ("h no suffix says so", b"1.1.1.1", b"1.1.1.1"),
    ]
    want: list[Row] = []
    for name, text, stored in contents:
        (tmp_path / name).write_bytes(stored)
        want += found_in(tmp_path / name, text)
    (tmp_path / "_SUCCESS").write_bytes(b"7.7.7.7")
    (tmp_path / ".hidden").write_bytes(b"7.7.7.7")
    (tmp_path / "z folder").mkdir()
    (tmp_path / "z folder" / "inside").write_bytes(b"7.7.7.7")
    for block in (50, None):
        assert rows_of(engine.classify_logs(spark, tmp_path, block=block)) == want
    each = [tmp_path / name for name, _, _ in contents]
    assert rows_of(engine.classify_logs(spark, each)) == want


def test_names_that_are_no_text(spark: Any, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.log"
    with open(path, "wb") as file:
        file.write(b"10.0.0.1")
    assert [row[:3] for row in rows_of(engine.classify_logs(spark, path))] == [
        (f"{tmp_path}/caf\ufffd.log", 0, "10.0.0.1")
    ]


def test_patterns(spark: Any, tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).write_bytes(b"10.0.0.1")
    names = [name for name, *_ in rows_of(engine.classify_logs(spark, f"{tmp_path}/*.log"))]
    assert names == [f"{tmp_path}/a.log", f"{tmp_path}/b.log"]


def test_folders_that_a_pattern_matches(spark: Any, tmp_path: Path) -> None:
    """Stand for their files, as folders do that are given by name; what is deeper is left out."""
    for name in ("a.log", "b/one.log", "b/.hidden", "b/deeper/two.log", "c/empty"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"10.0.0.1" if name != "c/empty" else b"")
    names = [name for name, *_ in rows_of(engine.classify_logs(spark, f"{tmp_path}/*"))]
    assert names == [f"{tmp_path}/a.log", f"{tmp_path}/b/one.log"]


def test_relative_paths(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers are in another folder, and so is the driver when the result is asked for."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(TEXT)
    monkeypatch.chdir(tmp_path)
    frames = [engine.classify_logs(spark, path) for path in ("logs/a.log", "logs", "log*/*.log")]
    monkeypatch.chdir("/")
    for frame in frames:
        assert rows_of(frame) == found_in("logs/a.log", TEXT)


def test_a_task_a_partition(spark: Any, log: Path, tmp_path: Path) -> None:
    """Its rows are in the order of the files and of the text."""
    short = tmp_path / "short"
    short.mkdir()
    for number in range(30):
        (short / f"{number:02}").write_bytes(b"8.8.8.8\n")
    made = engine.classify_logs(spark, [log, short], block=100).select(sf.spark_partition_id(), "file", "position")
    rows = [row[:] for row in made.collect()]
    assert [row[1:] for row in rows] == [
        *(row[:2] for row in found_in(log, TEXT)),
        *((f"{short}/{number:02}", 0) for number in range(30)),
    ]
    partitions = [partition for partition, *_ in rows]
    assert partitions == sorted(partitions)
    assert len(set(partitions)) > 4


def test_thousands_of_files(spark: Any, tmp_path: Path) -> None:
    for number in range(5_000):
        (tmp_path / f"{number:04}").write_bytes(b"10.0.%d.%d\n" % divmod(number, 256))
    start = time.monotonic()
    found = engine.classify_logs(spark, tmp_path, columns=["file", "address"]).toArrow()
    assert time.monotonic() - start < PATIENCE
    assert found["file"].to_pylist() == [f"{tmp_path}/{number:04}" for number in range(5_000)]
    assert found["address"].to_pylist() == ["10.0.{}.{}".format(*divmod(number, 256)) for number in range(5_000)]


def test_addresses_of_files(spark: Any, log: Path, tmp_path: Path) -> None:
    """What PyArrow opens, as it would a file on S3 or HDFS."""
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(TEXT))
    want = [*found_in(log.as_uri(), TEXT), *found_in(packed.as_uri(), TEXT)]
    assert rows_of(engine.classify_logs(spark, [log.as_uri(), packed.as_uri()], block=60)) == want


def test_no_files_and_no_addresses(spark: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for paths in ([], [empty], [tmp_path]):
        assert rows_of(engine.classify_logs(spark, paths, cases.TABLE)) == []


def test_a_file_that_grows(spark: Any, log: Path) -> None:
    """Only what was there counts, so that work done again finds the same."""
    made = engine.classify_logs(spark, log, block=100)
    with log.open("ab") as file:
        file.write(b"1 and more\n9.9.9.9\n")
    assert rows_of(made) == found_in(log, TEXT)


def test_a_compressed_file_that_grows(spark: Any, tmp_path: Path) -> None:
    """A member that is appended does not count; nor does one that is not yet whole."""
    log = tmp_path / "log.gz"
    log.write_bytes(gzip.compress(TEXT))
    for more in (gzip.compress(b"9.9.9.9\n"), gzip.compress(b"9.9.9.9\n")[:-5]):
        made = engine.classify_logs(spark, [log, log.as_uri()])
        want = rows_of(made)
        with log.open("ab") as file:
            file.write(more)
        assert rows_of(made) == want
    assert want == [*found_in(log, TEXT + b"9.9.9.9\n"), *found_in(log.as_uri(), TEXT + b"9.9.9.9\n")]


def test_more_than_a_batch(spark: Any, tmp_path: Path) -> None:
    line = b"10.0.0.1 - - " + b"x" * 80 + b"\n"
    log = tmp_path / "large.log"
    log.write_bytes(line * 200_000)
    made = engine.classify_logs(spark, log, cases.TABLE, block=7_000_001)
    counts = made.groupBy("kind", "label").agg(sf.count("*"), sf.sum("position")).collect()
    assert [row[:] for row in counts] == [("private", "lab", 200_000, sum(range(0, len(line) * 200_000, len(line))))]


# --- sessions of other kinds ---


class Elsewhere:
    """A session of Spark Connect, as far as it differs: it has no context, and sends files as artifacts."""

    def __init__(self, spark: Any, *, is_stopped: bool = False) -> None:
        self._spark = spark
        self.is_stopped = is_stopped
        self.session_id = "elsewhere"

    def __getattr__(self, name: str) -> Any:
        if name == "sparkContext":
            raise PySparkAttributeError(errorClass="JVM_ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name})
        return getattr(self._spark, name)


def test_a_session_without_a_context(spark: Any, log: Path) -> None:
    session: Any = Elsewhere(spark)
    assert rows_of(engine.classify_logs(session, log)) == found_in(log, TEXT)
    table = nf.PrefixTable({"10.0.0.0/8": "sent as an artifact"})
    for _ in range(2):
        assert engine.classify_logs(session, log, table).first()["label"] == "sent as an artifact"


def test_a_stopped_session_without_a_context(spark: Any, log: Path) -> None:
    session: Any = Elsewhere(spark, is_stopped=True)
    with pytest.raises(RuntimeError, match="the Spark session has been stopped"):
        engine.classify_logs(session, log)


def in_a_session(making: str, what: str, *arguments: object) -> str:
    """What a program writes that has a session of its own."""
    code = f"""
import sys, netfast as nf
from pyspark.sql import SparkSession
import netfast.engines.spark as engine
spark = SparkSession.builder.{making}.getOrCreate()
table = nf.PrefixTable({{"10.0.0.0/8": "office"}})
{what}
spark.stop()
for call in (lambda: engine.classify_logs(spark, sys.argv[1]), lambda: engine.register(spark)):
    try:
        call()
    except RuntimeError as error:
        print(error)
"""
    settings = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **settings})
    assert done.returncode == 0, done.stderr
    return done.stdout


STOPPED = "the Spark session has been stopped: make another one\n"


@pytest.mark.parametrize(
    "making", ["master('local[2]').config('spark.ui.enabled', 'false')", "remote('local[2]')"], ids=["local", "connect"]
)
def test_a_session_of_another_kind_and_its_end(java: None, log: Path, making: str) -> None:
    """Threads of one process, and a real server of Spark Connect."""
    what = """
print([row[:] for row in engine.classify_logs(spark, sys.argv[1], table).select("position", "label").collect()])
engine.register(spark, table)
print(spark.sql("SELECT ip_kind('10.0.0.1'), ip_lookup('10.0.0.1')").first()[:])
"""
    want = [(row[1], "office" if row[2].startswith("10.") else None) for row in found_in(log, TEXT)]
    answer = f"{want}\n('private', 'office')\n"
    assert in_a_session(making, what, log) == answer + STOPPED * 2


# --- an executor is lost ----------------------------------------------------------------------------------------------


def test_a_lost_executor(spark: Any, tmp_path: Path) -> None:
    """One is killed that holds unfinished work, some of which it has given out already."""
    text = b"".join(b"10.%d.%d.1 - - %s\n" % (i >> 8 & 255, i & 255, b"x" * 80) for i in range(60_000))
    log, started, free = tmp_path / "log", tmp_path / "started", tmp_path / "free"
    log.write_bytes(text)
    made = engine.classify_logs(spark, log, cases.TABLE, block=len(text) // 4)
    want = rows_of(made.select("position", "address", "label"))
    assert len(want) == 60_000
    patience = PATIENCE

    def hold(batches: Iterator[Any]) -> Iterator[Any]:
        """Passes batches on; the first worker to have done so tells its executor's number, and waits for its end."""
        import os
        import time

        for batch in batches:
            yield batch
            try:
                file = os.open(f"{started}.new", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                continue
            with open(f"/proc/{os.getppid()}/status") as status:  # of the daemon that the executor started
                (executor,) = (line.split()[1] for line in status if line.startswith("PPid:"))
            os.write(file, executor.encode())
            os.close(file)
            os.rename(f"{started}.new", started)
            os.close(os.open(f"{started}.new", os.O_CREAT))
            until = time.monotonic() + patience
            while not free.exists() and time.monotonic() < until:
                time.sleep(0.05)

    slow = made.mapInArrow(hold, made.schema).select("position", "address", "label")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(rows_of, slow)
        try:
            until = time.monotonic() + PATIENCE
            while not started.exists() and not answer.done() and time.monotonic() < until:
                time.sleep(0.05)
            executor = int(started.read_text())
            assert b"CoarseGrainedExecutorBackend" in Path(f"/proc/{executor}/cmdline").read_bytes()
            os.kill(executor, signal.SIGKILL)
        finally:
            free.touch()
        assert answer.result(PATIENCE) == want
    assert not Path(f"/proc/{executor}/maps").exists() or not Path(f"/proc/{executor}/maps").read_bytes()


# --- errors -----------------------------------------------------------------------------------------------------------


def last_words(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("package", ["pyspark", "pyarrow"])
def test_without_a_package(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import netfast.engines.spark"
    assert last_words(code) == f"ImportError: netfast.engines.spark needs {package}: pip install 'netfast[spark]'"


def test_an_old_pyspark() -> None:
    """Before 4.1 there is no arrow_udf."""
    code = (
        "import pyspark, pyspark.sql.functions as functions; pyspark.__version__ = '4.0.1'; del functions.arrow_udf\n"
        "import netfast.engines.spark"
    )
    wanted = "ImportError: netfast.engines.spark needs PySpark 4.1 or newer, not 4.0.1: pip install 'netfast[spark]'"
    assert last_words(code) == wanted


def test_values_without_a_column(spark: Any) -> None:
    """Nothing is replaced then."""
    engine.register(spark, cases.TABLE)
    spark.udf.register("ip_kind", lambda ip: "mine")
    with pytest.raises(TypeError, match="have no Arrow column"):
        engine.register(spark, cases.NO_COLUMN)
    assert spark.sql("SELECT ip_kind('10.0.0.1'), ip_lookup('10.0.0.1')").first()[:] == ("mine", "lab")


@pytest.mark.parametrize("table", [["10.0.0.0/8"], nf.PrefixSet(["10.0.0.0/8"])], ids=["list", "set"])
def test_what_is_no_table(spark: Any, log: Path, table: Any) -> None:
    for call in (lambda: engine.register(spark, table), lambda: engine.classify_logs(spark, log, table)):
        with pytest.raises(TypeError, match=r"wanted a PrefixTable"):
            call()


def test_columns_that_hold_no_addresses(spark: Any) -> None:
    engine.register(spark)
    with pytest.raises(PythonException, match="TypeError"):
        spark.sql("SELECT ip_kind(1.5D)").collect()
    assert spark.sql("SELECT ip_kind('::1')").first()[0] == "loopback"


@pytest.mark.parametrize("name", ["none.log", "none/*.log", "file:///none.log"])
def test_missing_files(spark: Any, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        engine.classify_logs(spark, name)


def test_files_that_are_no_text(spark: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: it is no plain file"):
        engine.classify_logs(spark, tmp_path / "pipe")
    pq.write_table(pa.table({"ip": ["10.0.0.1"]}), tmp_path / "some.parquet")
    with pytest.raises(ValueError, match=r"some\.parquet: it is Parquet, not text"):
        engine.classify_logs(spark, tmp_path / "some.parquet")


@pytest.mark.parametrize(
    "how",
    [
        {"block": 0},
        {"boundary": "tight"},
        {"versions": []},
        {"first": True, "field": 1},
        {"field": 0},
        {"columns": "kind"},
        {"columns": []},
        {"columns": ["kind", "kind"]},
        {"columns": ["label"]},
    ],
)
def test_bad_arguments(spark: Any, log: Path, how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"block|boundary|versions|first|field|columns"):
        engine.classify_logs(spark, log, **how)


def test_damaged_files(spark: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(os.urandom(10_000))[:-100])
    with pytest.raises(PythonException, match=r"damaged\.gz: the compressed data ends too soon"):
        engine.classify_logs(spark, damaged).collect()


def test_files_that_are_gone(spark: Any, log: Path) -> None:
    made = engine.classify_logs(spark, log)
    log.unlink()
    with pytest.raises(PythonException, match=r"access\.log: No such file or directory"):
        made.collect()


def shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    """By a larger file of the same name, as a log is by its successor."""
    new = path.with_name("new")
    new.write_bytes(b"7.7.7.7\n" + path.read_bytes())
    new.replace(path)


def written_anew(path: Path) -> None:
    """In place, and longer."""
    path.write_bytes(path.read_bytes()[::-1] * 2)


def changed_at_its_beginning(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"20")


@pytest.mark.parametrize(
    ("change", "name", "form"),
    [
        *((change, "access.log", str) for change in (shorter, empty, replaced, written_anew, changed_at_its_beginning)),
        *((change, "access.log.gz", str) for change in (shorter, replaced)),
        *((shorter, name, Path.as_uri) for name in ("access.log", "access.log.gz")),
    ],
)
def test_files_that_changed(spark: Any, tmp_path: Path, change: Any, name: str, form: Any) -> None:
    """Some of a file, or of two files, would pass for the whole of one."""
    path = tmp_path / name
    text = TEXT * 30 + b"10.0.0.1\n"
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    made = engine.classify_logs(spark, form(path), columns=["kind"])
    change(path)
    with pytest.raises(PythonException, match=rf"{re.escape(name)}: it has become shorter or another file since"):
        made.collect()


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_get_shorter_while_they_are_read(tmp_path: Path, packed: bool) -> None:
    """They end where a line or a compressed member does, so that nothing else tells."""
    path = tmp_path / "access.log"
    text = b"".join(b"10.0.%d.%d %s\n" % (n >> 8, n & 255, os.urandom(300).hex().encode()) for n in range(20_000))
    half = gzip.compress(text, 1) if packed else text
    path.write_bytes(half * 2)
    ((piece,),) = engine._shared_out([engine._file(str(path))], 1 << 30)
    found = engine._found_in(piece, Search("word", (4, 6)), None, text=False)
    next(found)
    os.truncate(path, len(half))
    with pytest.raises(OSError, match="it has become shorter or another file"):
        list(found)


def test_examples_of_docstrings(spark: Any) -> None:
    assert doctest.testmod(engine, extraglobs={"spark": spark}) == doctest.TestResults(failed=0, attempted=7)
