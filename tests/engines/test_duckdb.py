"""netfast on DuckDB: relations streamed through the kernels and functions of SQL give what netfast says of a list."""

from __future__ import annotations

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import netfast as nf
import netfast.engines.duckdb as engine
from builds import SANITIZED
from engines import cases
from engines.cases import each_column, each_layout, each_table


def relation_of(con: duckdb.DuckDBPyConnection, texts: cases.Texts, kind: str = "VARCHAR") -> Any:
    """A table of the rows, with their numbers."""
    con.execute(f"CREATE OR REPLACE TABLE logs (n BIGINT, ip {kind})")
    rows = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "ip": pa.array(texts, pa.string())})
    con.from_arrow(rows).insert_into("logs")
    return con.table("logs")


def in_order(relation: Any) -> dict[str, list[Any]]:
    """The columns of a relation by name, its rows ordered by n."""
    ordered = relation.order("n")
    rows = ordered.fetchall()
    return {name: [row[place] for row in rows] for place, name in enumerate(ordered.columns)}


streams = pytest.mark.skipif(duckdb.__version__ < "2", reason="needs DuckDB 2, which runs a stream again")


@pytest.fixture
def con() -> Any:
    with duckdb.connect() as made:
        yield made


# --- relations ---


@each_column
def test_classify(con: Any, texts: cases.Texts) -> None:
    want = cases.expected(texts)
    made = engine.classify(relation_of(con, texts), "ip", cases.TABLE)
    assert made.columns == ["n", "ip", "kind", "network_class", "block", "is_global", "label"]
    assert [str(kind) for kind in made.types] == ["BIGINT", *["VARCHAR"] * 4, "BOOLEAN", "VARCHAR"]
    columns = in_order(made)
    assert columns["ip"] == list(texts)
    assert columns["kind"] == want.kind
    assert columns["network_class"] == want.network_class
    assert columns["block"] == want.block
    assert columns["is_global"] == want.flags["is_global"]
    assert columns["label"] == cases.found(texts, cases.TABLE)


@each_layout
@each_column
def test_arrow_layouts(con: Any, texts: cases.Texts, layout: Any) -> None:
    """Relations over Arrow data, which DuckDB hands out in a layout of its own choice."""
    rows = layout(texts)
    chunks = rows if isinstance(rows, pa.ChunkedArray) else pa.chunked_array([rows])
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "ip": chunks})
    columns = in_order(engine.classify(con.from_arrow(table), "ip").select("n, kind, is_global"))
    want = cases.expected(texts)
    assert columns["kind"] == want.kind
    assert columns["is_global"] == want.flags["is_global"]


@each_table
def test_labels(con: Any, table: nf.PrefixTable) -> None:
    texts = cases.COLUMNS["mixed"]
    made = engine.classify(relation_of(con, texts), "ip", table, unwrap=True)
    assert in_order(made)["label"] == cases.found(texts, table, unwrap=True)


@pytest.mark.parametrize("table", [cases.HOLES, cases.COUNTS], ids=["text", "numbers"])
def test_values_of_none_are_null(con: Any, table: nf.PrefixTable) -> None:
    relation = relation_of(con, ["10.0.0.1", "8.8.8.8", "::1"])
    want = [table.exact("10.0.0.0/8"), None, None]
    assert in_order(engine.classify(relation, "ip", table))["label"] == want
    engine.register(con, table)
    assert in_order(con.sql("SELECT n, ip_lookup(ip) AS value FROM logs"))["value"] == want


@each_column
def test_unwrap(con: Any, texts: cases.Texts) -> None:
    want = cases.expected(texts, unwrap=True)
    columns = in_order(engine.classify(relation_of(con, texts), "ip", unwrap=True))
    assert columns["kind"] == want.kind
    assert columns["block"] == want.block


@pytest.mark.parametrize("setting", ["", "SET produce_arrow_string_view = true", "SET arrow_large_buffer_size = true"])
@pytest.mark.parametrize("kind", ["VARCHAR", "BLOB", "ENUM ('10.0.0.1', 'bad', '8.8.8.8')"])
def test_types_and_settings(con: Any, kind: str, setting: str) -> None:
    texts = cases.COLUMNS["repeated"]
    relation = relation_of(con, texts, kind)
    con.execute(setting)
    assert in_order(engine.classify(relation, "ip"))["kind"] == cases.expected(texts).kind


def test_rows_of_many_batches(con: Any) -> None:
    """More than one batch of Arrow, and of vectors."""
    logs = con.sql("SELECT i AS n, format('10.{}.{}.{}', i >> 16, i >> 8 & 255, i & 255) AS ip FROM range(300000) r(i)")
    table = nf.PrefixTable({"10.0.0.0/16": "low", "10.4.0.0/16": "high"})
    made = engine.classify(logs, "ip", table)
    got = made.aggregate("label, kind, count(*) AS rows, sum(n) AS total").order("rows, label").fetchall()
    low, middle, high = range(65536), range(65536, 4 * 65536), range(4 * 65536, 300000)
    want = zip(("high", "low", None), (high, low, middle), strict=True)
    assert got == [(label, "private", len(rows), sum(rows)) for label, rows in want]


@streams
def test_is_lazy_and_can_be_asked_again(con: Any) -> None:
    relation = relation_of(con, ["10.0.0.1"])
    made = engine.classify(relation, "ip")
    con.execute("INSERT INTO logs VALUES (1, '8.8.8.8')")
    assert sorted(made.select("kind").fetchall()) == [("global",), ("private",)]
    con.execute("DELETE FROM logs WHERE n = 0")
    assert made.select("kind").fetchall() == [("global",)]
    assert len(made.limit(1).fetchall()) == 1
    assert con.execute("SELECT count(*) FROM logs").fetchall() == [(1,)]


def test_a_relation_can_be_classified_again(con: Any) -> None:
    relation = relation_of(con, ["10.0.0.1"])
    for prefix in ("first_", "second_"):
        assert engine.classify(relation, "ip", prefix=prefix).select(f"{prefix}kind").fetchall() == [("private",)]


def test_outlives_names(con: Any) -> None:
    made = engine.classify(relation_of(con, ["10.0.0.1"]), "ip").filter("kind = 'private'").select("block")
    gc.collect()
    assert made.fetchall() == [("10.0.0.0/8",)]


def test_columns_named_oddly(con: Any) -> None:
    relation = con.sql('SELECT \'::1\' AS "the ""address""", 1 AS kind')
    made = engine.classify(relation, 'the "address"', prefix="ip ")
    assert made.columns == ['the "address"', "kind", "ip kind", "ip network_class", "ip block", "ip is_global"]
    assert made.fetchall() == [("::1", 1, "loopback", "", "::1/128", False)]


def test_joins_on_a_cursor(con: Any) -> None:
    con.execute("CREATE TABLE names AS SELECT 'private' AS kind, 'inside' AS name")
    cursor = con.cursor()
    made = engine.classify(relation_of(con, ["10.0.0.1", "8.8.8.8"]), "ip", connection=cursor)
    assert made.join(cursor.table("names"), "kind").select("ip, name").fetchall() == [("10.0.0.1", "inside")]
    made.create("classified")
    assert con.execute("SELECT ip FROM classified WHERE kind = 'global'").fetchall() == [("8.8.8.8",)]


def test_joins_of_results(con: Any) -> None:
    """Which live on one connection, and whose relations are of one each."""
    cursor, source = con.cursor(), con.cursor()
    relation_of(con, ["10.0.0.1", "8.8.8.8"])
    left = engine.classify(con.table("logs"), "ip", connection=cursor).select("n, kind")
    right = engine.classify(source.table("logs"), "ip", prefix="ip_", connection=cursor).select("n, ip_kind")
    assert left.join(right, "n").order("n").fetchall() == [(0, "private", "private"), (1, "global", "global")]


def test_chains(con: Any) -> None:
    made = engine.classify(relation_of(con, ["10.0.0.1", None]), "ip")
    made = engine.classify(made, "ip", cases.NUMBERS, prefix="ip_")
    made = engine.classify(made.filter("n = 0"), "ip", prefix="third_")
    assert made.select("kind, ip_kind, ip_label, third_kind").fetchall() == [("private", "private", 64512, "private")]


def test_threads_are_not_in_each_others_way() -> None:
    def counts(number: int) -> list[Any]:
        with duckdb.connect() as own:
            logs = own.sql(f"SELECT '10.0.0.' || (i % {number + 2}) AS ip FROM range(20000) r(i)")
            return [
                engine.classify(logs, "ip").aggregate("count(DISTINCT ip), count(kind)").fetchall() for _ in "x" * 15
            ]

    with ThreadPoolExecutor(4) as pool:
        for number, made in enumerate(pool.map(counts, range(4))):
            assert made == [[(number + 2, 20000)]] * 15


def test_an_open_result_is_in_nobodys_way(con: Any) -> None:
    reader = engine._reader(engine.classify(con.sql("SELECT '10.0.0.1' AS ip FROM range(500000)"), "ip"))
    rows = len(reader.read_next_batch())
    with duckdb.connect() as other:
        logs = other.sql("SELECT '::1' AS ip FROM range(300000)")
        assert engine.classify(logs, "ip").aggregate("kind, count(*)").fetchall() == [("loopback", 300000)]
    assert rows + sum(len(batch) for batch in reader) == 500000


@pytest.mark.parametrize("its_own", [True, False])
def test_results_keep_where_they_live(con: Any, its_own: bool) -> None:
    relation = relation_of(con, ["10.0.0.1", "::1"])
    made = engine.classify(relation, "ip", connection=None if its_own else con.cursor()).select("kind")
    gc.collect()
    made = made.filter("kind = 'private'")
    gc.collect()
    reader = engine._reader(made)
    del made
    gc.collect()
    assert reader.read_all().to_pydict() == {"kind": ["private"]}


def test_temporary_tables(con: Any) -> None:
    """Which only the relation's own connection sees."""
    con.execute("CREATE TEMPORARY TABLE few AS SELECT '::1' AS ip")
    assert engine.classify(con.table("few"), "ip").select("kind").fetchall() == [("loopback",)]


def test_to_arrow(con: Any) -> None:
    texts = cases.COLUMNS["mixed"]
    made = engine.classify(relation_of(con, texts), "ip").order("n")
    made = made.to_arrow_table() if hasattr(made, "to_arrow_table") else made.arrow()
    assert made.column("kind").to_pylist() == cases.expected(texts).kind


# --- functions of SQL ---


@each_column
def test_functions(con: Any, texts: cases.Texts) -> None:
    engine.register(con, cases.TABLE)
    want = cases.expected(texts)
    relation_of(con, texts)
    made = con.sql(
        "SELECT n, ip_kind(ip) AS kind, ip_class(ip) AS class, ip_is_private(ip) AS private,"
        " ip_is_global(ip) AS global, ip_lookup(ip) AS label FROM logs"
    )
    assert [str(kind) for kind in made.types] == ["BIGINT", "VARCHAR", "VARCHAR", "BOOLEAN", "BOOLEAN", "VARCHAR"]
    columns = in_order(made)
    assert columns["kind"] == want.kind
    assert columns["class"] == want.network_class
    assert columns["private"] == want.flags["is_private"]
    assert columns["global"] == want.flags["is_global"]
    assert columns["label"] == cases.found(texts, cases.TABLE)


@each_table
def test_function_lookup(con: Any, table: nf.PrefixTable) -> None:
    engine.register(con, table)
    texts = cases.COLUMNS["mixed"] + cases.COLUMNS["ip4"]  # type: ignore[operator]
    relation_of(con, texts)
    made = con.sql("SELECT n, ip_lookup(ip) AS value FROM logs")
    assert made.types[1:] == con.from_arrow(pa.table({"value": pa.array(table.lookup([]))})).types
    assert in_order(made)["value"] == cases.found(texts, table)


def test_functions_of_many_rows_in_filters_and_groups(con: Any) -> None:
    engine.register(con)
    con.execute("CREATE TABLE logs AS SELECT '10.0.' || (i >> 8) || '.' || (i & 255) AS ip FROM range(70000) r(i)")
    got = con.execute("SELECT ip_kind(ip), count(*) FROM logs WHERE NOT ip_is_global(ip) GROUP BY ALL ORDER BY ALL")
    assert got.fetchall() == [("invalid", 70000 - 65536), ("private", 65536)]


def test_functions_of_constants_and_nulls(con: Any) -> None:
    engine.register(con)
    assert con.execute("SELECT ip_kind('::1'), ip_kind(NULL), ip_is_private(NULL), ip_class('')").fetchall() == [
        ("loopback", None, None, "")
    ]


def test_registering_again_replaces(con: Any) -> None:
    for name in ("first", "second"):
        engine.register(con, nf.PrefixTable({"10.0.0.0/8": name}))
        assert con.execute("SELECT ip_lookup('10.0.0.1')").fetchall() == [(name,)]
    engine.register(con, nf.PrefixTable({"10.0.0.0/8": 7}))
    assert con.execute("SELECT ip_lookup('10.0.0.1')").fetchall() == [(7,)]
    engine.register(con)
    assert con.execute("SELECT ip_kind('10.0.0.1')").fetchall() == [("private",)]
    with pytest.raises(duckdb.CatalogException, match="ip_lookup"):
        con.execute("SELECT ip_lookup('10.0.0.1')")


# --- who has registered ---


def lookups(con: Any) -> list[Any]:
    """What ip_kind and ip_lookup say of an address."""
    return list(con.execute("SELECT ip_kind('10.0.0.1'), ip_lookup('10.0.0.1')").fetchall()[0])


FIRST, SECOND, THIRD = (nf.PrefixTable({"10.0.0.0/8": name}) for name in ("first", "second", "third"))


def test_any_connection_registers_for_all(con: Any) -> None:
    cursor = con.cursor()
    for one, table, name in ((con, FIRST, "first"), (cursor, SECOND, "second"), (con, THIRD, "third")):
        engine.register(one, table)
        assert lookups(con) == lookups(cursor) == ["private", name]
    engine.register(cursor)
    with pytest.raises(duckdb.CatalogException, match="ip_lookup"):
        lookups(con)


def test_two_connections_to_a_file(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "db") as one, duckdb.connect(tmp_path / "db") as other:
        engine.register(one, FIRST)
        engine.register(other, SECOND)
        assert lookups(one) == lookups(other) == ["private", "second"]


def test_registering_in_many_threads(con: Any) -> None:
    cursors = [con.cursor() for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda cursor: engine.register(cursor, FIRST), cursors * 3))
    assert lookups(con) == ["private", "first"]


def test_after_a_roll_back(con: Any) -> None:
    con.begin()
    engine.register(con, FIRST)
    assert lookups(con) == ["private", "first"]
    con.rollback()
    with pytest.raises(duckdb.CatalogException):
        lookups(con)
    engine.register(con, SECOND)
    assert lookups(con) == ["private", "second"]
    con.begin()
    engine.register(con, THIRD)
    con.rollback()
    engine.register(con, THIRD)
    assert lookups(con) == lookups(con.cursor()) == ["private", "third"]


def test_after_a_roll_back_in_the_next_transaction(con: Any) -> None:
    con.begin()
    engine.register(con, FIRST)
    con.rollback()
    con.begin()
    with pytest.raises(duckdb.TransactionException, match="ip_kind was registered in a transaction that was rolled"):
        engine.register(con, SECOND)
    con.rollback()
    engine.register(con, SECOND)
    assert lookups(con) == ["private", "second"]


def test_in_a_transaction(con: Any) -> None:
    engine.register(con.cursor())
    con.begin()
    engine.register(con, FIRST)
    con.commit()
    assert lookups(con) == lookups(con.cursor()) == ["private", "first"]


def test_functions_that_duckdb_has_let_go() -> None:
    """Which it calls nevertheless: in a process of its own, for that may be the end of it."""
    code = """if True:
        import duckdb, gc, netfast as nf, netfast.engines.duckdb as engine
        table = nf.PrefixTable({"10.0.0.0/8": "office"})
        ask = "SELECT ip_{}(ip) FROM (VALUES ('10.0.0.1'), ('::1')) t(ip)"

        def says(con):
            gc.collect()
            for name in ("kind", "is_global"):
                print(con.execute(ask.format(name)).fetchall()[0][0])
            try:
                print(con.execute(ask.format("lookup")).fetchall()[0][0])
            except duckdb.Error as error:
                print("register it again" in str(error))

        con = duckdb.connect()
        cursor = con.cursor()
        engine.register(cursor, table)
        cursor.close()
        says(con)
        engine.register(con, table)
        says(con)
        con.begin()
        engine.register(con, table)
        con.rollback()
        says(con)
    """
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == ["private", "False", "True", "private", "False", "office", "private", "False", "True"]


# --- memory ---


def test_memory_stays_flat(con: Any) -> None:
    made = engine.classify(relation_of(con, cases.LEAK_TEXTS), "ip", cases.TABLE)
    engine.register(con, cases.TABLE)

    def work() -> None:
        made.aggregate("kind, label, count(*)").fetchall()
        con.execute("SELECT ip_kind(ip), ip_lookup(ip), count(*) FROM logs GROUP BY ALL").fetchall()

    assert cases.grows_by(work) < cases.LEAK_KIB or SANITIZED


# --- errors ---


def test_columns_that_do_not_do(con: Any) -> None:
    relation = con.sql("SELECT 1.5::DOUBLE AS x, '::1' AS kind")
    with pytest.raises(KeyError, match=r"no columns are named 'ip', of \['x', 'kind'\]"):
        engine.classify(relation, "ip")
    with pytest.raises(TypeError, match="holds no addresses"):
        engine.classify(relation, "x", prefix="ip_")
    with pytest.raises(ValueError, match=r"a column 'kind' already; give a prefix="):
        engine.classify(relation, "kind")
    assert con.execute("SELECT 1").fetchall() == [(1,)]  # nothing of them is left open


def test_case_does_not_matter(con: Any) -> None:
    added = engine.classify(con.sql("""SELECT '10.0.0.1' AS "IP" """), "ip")
    assert added.columns[0] == "IP"
    assert added.select("kind").fetchall() == [("private",)]
    with pytest.raises(ValueError, match="a column 'Kind' already; give a prefix="):
        engine.classify(con.sql("""SELECT '10.0.0.1' AS ip, 'mine' AS "Kind" """), "ip")


def test_what_is_no_relation_and_no_connection(con: Any) -> None:
    with pytest.raises(TypeError, match=r"wanted a relation, as con.sql\(\) and con.table\(\) give it, not str"):
        engine.classify("logs", "ip")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"wanted a connection, as duckdb.connect\(\) gives it, not str"):
        engine.register("logs")  # type: ignore[arg-type]


def test_values_without_a_column(con: Any) -> None:
    with pytest.raises(TypeError, match="have no Arrow column"):
        engine.classify(relation_of(con, ["::1"]), "ip", cases.NO_COLUMN)
    with pytest.raises(TypeError, match="table is dict; wanted a PrefixTable"):
        engine.classify(relation_of(con, ["::1"]), "ip", {"::/0": 1})  # type: ignore[arg-type]


def test_a_table_that_does_not_do_changes_nothing(con: Any) -> None:
    for wrong, error in ((cases.NO_COLUMN, "have no Arrow column"), ([], "table is list; wanted a PrefixTable")):
        with pytest.raises(TypeError, match=error):
            engine.register(con, wrong)  # type: ignore[arg-type]
        with pytest.raises(duckdb.CatalogException, match="ip_kind"):
            con.execute("SELECT ip_kind('10.0.0.1')")
    engine.register(con, FIRST)
    with pytest.raises(TypeError, match="have no Arrow column"):
        engine.register(con, cases.NO_COLUMN)
    assert lookups(con) == ["private", "first"]


def test_errors_of_the_relation_come_through(con: Any) -> None:
    """One that only comes up on the way: the rows before it are no answer."""
    con.execute("CREATE TABLE t AS SELECT CASE WHEN i = 250000 THEN 'x' ELSE '1' END AS x FROM range(300000) r(i)")
    with pytest.raises((duckdb.Error, OSError), match="Could not convert string 'x'"):
        engine.classify(con.sql("SELECT x::INTEGER AS x, '::1' AS ip FROM t"), "ip").aggregate("sum(x)").fetchall()
    assert con.execute("SELECT 1").fetchall() == [(1,)]


@streams
def test_on_its_own_connection_is_an_error(con: Any) -> None:
    made = engine.classify(relation_of(con, ["::1"]), "ip", connection=con)
    with pytest.raises(duckdb.Error, match="use a separate connection"):
        made.fetchall()
