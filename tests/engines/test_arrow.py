"""netfast on PyArrow: every layout gives what netfast says of a list, in the same chunks, and nothing is copied."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import netfast as nf
from builds import SANITIZED
from engines import cases
from engines.cases import each_column, each_layout, each_table
from netfast.engines import FLAGS, arrow


def chunk_lengths(values: Any) -> list[int] | None:
    """None for an array, which is not in chunks."""
    return [len(chunk) for chunk in values.iterchunks()] if isinstance(values, pa.ChunkedArray) else None


# --- arrays and chunked arrays ---


@each_layout
@each_column
def test_kind_and_class(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    want = cases.expected(texts)
    kinds, classes = arrow.kind(rows), arrow.network_class(rows)
    assert kinds.to_pylist() == want.kind
    assert classes.to_pylist() == want.network_class
    assert kinds.type == classes.type == pa.dictionary(pa.int8(), pa.string())
    assert chunk_lengths(kinds) == chunk_lengths(classes) == chunk_lengths(rows)
    kinds.validate(full=True)
    classes.validate(full=True)


@each_layout
@each_column
def test_flags(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    want = cases.expected(texts)
    for flag in FLAGS:
        values = getattr(arrow, flag)(rows)
        assert values.type == pa.bool_()
        assert values.to_pylist() == want.flags[flag], flag
        assert chunk_lengths(values) == chunk_lengths(rows)


@each_layout
@each_column
def test_classify(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    want = cases.expected(texts)
    columns = arrow.classify(rows)
    assert isinstance(columns, pa.Table if isinstance(rows, pa.ChunkedArray) else pa.RecordBatch)
    assert columns.to_pydict() == {
        "kind": want.kind,
        "network_class": want.network_class,
        "block": want.block,
        "is_global": want.flags["is_global"],
    }


@each_layout
@each_column
def test_parse(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    parsed = arrow.parse(rows)
    assert parsed.type == pa.string()
    assert parsed.to_pylist() == cases.expected(texts).text
    assert chunk_lengths(parsed) == chunk_lengths(rows)


@each_layout
@each_column
def test_contains(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    for prefixes in (cases.SET, cases.TABLE):
        held = arrow.contains(rows, prefixes)
        assert held.type == pa.bool_()
        assert held.to_pylist() == cases.contained(texts, prefixes)


@each_layout
@each_table
def test_lookup(table: nf.PrefixTable, layout: Any) -> None:
    for texts in cases.COLUMNS.values():
        rows = layout(texts)
        values = arrow.lookup(rows, table)
        assert values.to_pylist() == cases.found(texts, table)
        assert values.type == pa.array(table.lookup([])).type
        assert chunk_lengths(values) == chunk_lengths(rows)


@pytest.mark.parametrize("table", [cases.HOLES, cases.COUNTS], ids=["text", "numbers"])
def test_values_of_none_are_null(table: nf.PrefixTable) -> None:
    rows = pa.array(["10.0.0.1", "8.8.8.8", "::1"])
    want = [table.exact("10.0.0.0/8"), None, None]
    assert arrow.lookup(rows, table).to_pylist() == want
    assert arrow.lookup(rows, table).null_count == 2
    made = arrow.classify_reader(pa.table({"ip": rows}), "ip", table).read_all()
    assert made.column("label").to_pylist() == want


def test_decoded() -> None:
    kinds = arrow.kind(pa.array(["10.0.0.1", None]))
    for values in (kinds, pa.chunked_array([kinds, kinds])):
        assert arrow.decoded(values).type == pa.string()
        assert arrow.decoded(values).to_pylist() == values.to_pylist()
    numbers = pa.array([1, None])
    assert arrow.decoded(numbers) is numbers


@each_column
def test_unwrap(texts: cases.Texts) -> None:
    rows = pa.array(texts, pa.string())
    want = cases.expected(texts, unwrap=True)
    assert arrow.kind(rows, unwrap=True).to_pylist() == want.kind
    assert arrow.network_class(rows, unwrap=True).to_pylist() == want.network_class
    assert arrow.is_private(rows, unwrap=True).to_pylist() == want.flags["is_private"]
    assert arrow.classify(rows, unwrap=True).column("block").to_pylist() == want.block
    assert arrow.lookup(rows, cases.TABLE, unwrap=True).to_pylist() == cases.found(texts, cases.TABLE, unwrap=True)
    assert arrow.contains(rows, cases.SET, unwrap=True).to_pylist() == cases.contained(texts, cases.SET, unwrap=True)


def test_integers_and_packed() -> None:
    numbers = pa.array([0x0A000001, None, 0x08080808], pa.uint32())
    assert arrow.kind(numbers).to_pylist() == ["private", None, "global"]
    packed = pa.array([bytes(15) + b"\1", None], pa.binary(16))
    assert arrow.kind(packed).to_pylist() == ["loopback", None]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads(threads: int) -> None:
    texts = cases.COLUMNS["mixed"]
    rows = pa.chunked_array([texts, texts[5:]])
    assert arrow.kind(rows, threads=threads).to_pylist() == cases.expected([*texts, *texts[5:]]).kind


# --- tables and readers ---


def table_of(texts: cases.Texts) -> Any:
    return pa.table({"n": range(len(texts)), "ip": cases.LAYOUTS["chunked"](texts).combine_chunks()})


@each_column
def test_tables_and_batches(texts: cases.Texts) -> None:
    want = cases.expected(texts)
    table = table_of(texts)
    assert arrow.kind(table, "ip").to_pylist() == want.kind
    assert arrow.parse(table, column="ip").to_pylist() == want.text
    assert arrow.classify(table, "ip").column("block").to_pylist() == want.block
    batch = pa.record_batch({"ip": pa.array(texts, pa.string())})
    assert arrow.is_private(batch, "ip").to_pylist() == want.flags["is_private"]
    assert isinstance(arrow.classify(batch, "ip"), pa.RecordBatch)


@each_column
def test_readers_are_read_by_the_batch(texts: cases.Texts) -> None:
    want = cases.expected(texts)
    kinds = arrow.kind(table_of(texts).to_reader(max_chunksize=4), "ip")
    assert kinds.to_pylist() == want.kind
    assert all(length <= 4 for length in chunk_lengths(kinds) or [])
    columns = arrow.classify(table_of(texts).to_reader(max_chunksize=4), "ip")
    assert columns.column("block").to_pylist() == want.block
    values = arrow.lookup(table_of(texts).to_reader(max_chunksize=4), cases.TABLE, "ip")
    assert values.to_pylist() == cases.found(texts, cases.TABLE)


@each_layout
@each_column
def test_classify_reader(texts: cases.Texts, layout: Any) -> None:
    rows = layout(texts)
    chunks = rows if isinstance(rows, pa.ChunkedArray) else pa.chunked_array([rows])
    table = pa.table({"ip": chunks, "n": pa.array(range(len(texts)), pa.int64())})
    want = cases.expected(texts)
    reader = arrow.classify_reader(table.to_reader(), "ip", cases.TABLE, "ip_")
    assert reader.schema.names == ["ip", "n", "ip_kind", "ip_network_class", "ip_block", "ip_is_global", "ip_label"]
    made = reader.read_all()
    made.validate(full=True)
    assert made.schema == reader.schema
    assert made.select(["ip", "n"]) == table
    assert made.column("ip_kind").to_pylist() == want.kind
    assert made.column("ip_network_class").to_pylist() == want.network_class
    assert made.column("ip_block").to_pylist() == want.block
    assert made.column("ip_is_global").to_pylist() == want.flags["is_global"]
    assert made.column("ip_label").to_pylist() == cases.found(texts, cases.TABLE)


@each_table
def test_classify_reader_labels(table: nf.PrefixTable) -> None:
    texts = cases.COLUMNS["mixed"]
    made = arrow.classify_reader(table_of(texts), "ip", table, unwrap=True).read_all()
    assert made.column("label").to_pylist() == cases.found(texts, table, unwrap=True)


@pytest.mark.parametrize("values", [0, 4_096, 4_097])
def test_classify_reader_has_no_large_dictionary(values: int) -> None:
    table = nf.PrefixTable({f"10.0.{row >> 8}.{row & 255}/32": f"host {row}" for row in range(values)})
    made = arrow.classify_reader(table_of(["10.0.0.1", None, "10.0.16.1"]), "ip", table).read_all()
    text = pa.string() if values != 4_096 else pa.dictionary(pa.int32(), pa.string())
    assert made.schema.field("label").type == text
    assert made.column("label").to_pylist() == ["host 1" if values else None, None, None]


def test_classify_reader_reads_when_asked() -> None:
    """A batch in, a batch out: what comes later is not touched, and its error comes when it is."""
    schema = pa.schema([("ip", pa.string())])
    read = []

    def batches() -> Iterator[Any]:
        for number in range(3):
            if number == 2:
                raise OSError("the disk is gone")
            read.append(number)
            yield pa.record_batch([pa.array(["10.0.0.1"])], schema=schema)

    reader = arrow.classify_reader(pa.RecordBatchReader.from_batches(schema, batches()), "ip")
    assert read == []
    assert reader.read_next_batch().column(1).to_pylist() == ["private"]
    assert read == [0]
    reader.read_next_batch()
    with pytest.raises(OSError, match="the disk is gone"):
        reader.read_next_batch()


def test_metadata_stays() -> None:
    schema = pa.schema([pa.field("ip", pa.string(), metadata={"unit": "address"})], metadata={"made": "by hand"})
    table = pa.table([pa.array(["::1"])], schema=schema)
    made = arrow.classify_reader(table, "ip").read_all()
    assert made.schema.metadata == {b"made": b"by hand"}
    assert made.schema.field("ip").metadata == {b"unit": b"address"}


# --- memory ---


@pytest.mark.parametrize("layout", ["utf8", "large_utf8", "string_view", "dictionary", "chunked", "sliced"])
def test_text_is_not_copied(layout: str) -> None:
    """PyArrow allocates nothing to hand a column over; the results are netfast's, but for bits of flags."""
    rows = cases.LAYOUTS[layout](["a-text-of-no-address-that-fits-in-no-view-at-all"] * 20_000)
    before = pa.total_allocated_bytes()
    kinds = arrow.kind(rows)
    assert pa.total_allocated_bytes() - before < len(rows) // 4
    assert kinds[0].as_py() == "invalid"


def test_results_outlive_what_they_came_from() -> None:
    rows = pa.chunked_array([["10.0.0.1"] * 1000, ["::1"] * 1000])
    kinds, table = arrow.kind(rows), arrow.classify(rows)
    del rows
    [bytearray(2000) for _ in range(100)]
    assert kinds.to_pylist() == table.column("kind").to_pylist() == ["private"] * 1000 + ["loopback"] * 1000


def test_memory_stays_flat() -> None:
    table = pa.table({"ip": pa.chunked_array([cases.LEAK_TEXTS, cases.LEAK_TEXTS])})

    def work() -> None:
        arrow.kind(table, "ip")
        arrow.is_private(table, "ip")
        arrow.lookup(table, cases.TABLE, "ip")
        arrow.contains(table, cases.SET, "ip")
        arrow.classify_reader(table, "ip", cases.TABLE).read_all()

    assert cases.grows_by(work) < cases.LEAK_KIB or SANITIZED


# --- errors ---


@pytest.mark.parametrize("wrong", ["10.0.0.1", ["10.0.0.1"], None, 7])
def test_foreign_input(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
        arrow.kind(wrong)


@pytest.mark.parametrize("values", [pa.array([1.5]), pa.array([1]), pa.array([[1]]), pa.array([True])])
def test_foreign_layout(values: Any) -> None:
    with pytest.raises(TypeError, match="holds no addresses"):
        arrow.kind(values)
    with pytest.raises(TypeError, match="holds no addresses"):
        arrow.classify_reader(pa.table({"ip": values}), "ip")


def test_columns_that_are_not_there() -> None:
    table = table_of(["::1"])
    with pytest.raises(KeyError, match=r"no columns are named 'address', of \['n', 'ip'\]"):
        arrow.kind(table, "address")
    with pytest.raises(TypeError, match="column="):
        arrow.kind(table)
    with pytest.raises(TypeError, match="column='ip' is for tables"):
        arrow.kind(pa.array(["::1"]), "ip")
    with pytest.raises(KeyError, match="2 columns are named 'ip'"):
        arrow.classify_reader(pa.table([["::1"], ["::2"]], names=["ip", "ip"]), "ip")


def test_columns_that_are_there_already() -> None:
    with pytest.raises(ValueError, match=r"a column 'kind' already; give a prefix="):
        arrow.classify_reader(pa.table({"ip": ["::1"], "kind": [1]}), "ip")
    with pytest.raises(ValueError, match="a column 'label' already"):
        arrow.classify_reader(pa.table({"ip": ["::1"], "label": [1]}), "ip", cases.TABLE)


def test_values_without_a_column() -> None:
    rows = pa.array(["10.0.0.1"])
    with pytest.raises(TypeError, match="have no Arrow column"):
        arrow.lookup(rows, cases.NO_COLUMN)


@pytest.mark.parametrize("wrong", [["10.0.0.0/8"], {"10.0.0.0/8": 1}, "10.0.0.0/8", None])
def test_what_is_no_table(wrong: Any) -> None:
    rows = pa.array(["10.0.0.1"])
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=f"^table is {name}; wanted a PrefixTable$"):
        arrow.lookup(rows, wrong)
    with pytest.raises(TypeError, match=f"^prefixes is {name}; wanted a PrefixSet or a PrefixTable$"):
        arrow.contains(rows, wrong)
    if wrong is not None:  # which is no table to add
        with pytest.raises(TypeError, match=f"^table is {name}; wanted a PrefixTable$"):
            arrow.classify_reader(pa.table({"ip": rows}), "ip", wrong)


def test_a_set_has_no_values() -> None:
    with pytest.raises(TypeError, match=r"^table is PrefixSet; wanted a PrefixTable$"):
        arrow.lookup(pa.array(["10.0.0.1"]), cases.SET)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "missing"),
    [
        ("arrow", "pyarrow"),
        ("pandas", "pandas"),
        ("duckdb", "duckdb"),
        ("duckdb", "pyarrow"),
        ("duckdb", "duckdb pyarrow"),
    ],
)
def test_missing_engine_names_the_extra(engine: str, missing: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({missing.split()!r})); import netfast.engines.{engine}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        f"ImportError: netfast.engines.{engine} needs {missing.split()[0]}: pip install 'netfast[{engine}]'"
    )
