"""netfast on pandas: every type of Series gives what netfast says of a list, with its index; NA stays NA."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import netfast as nf
import netfast.engines.pandas
from builds import SANITIZED
from engines import cases
from engines.cases import each_column, each_layout
from netfast.addresses import _Rows
from netfast.engines import FLAGS

DTYPES: dict[str, Any] = {
    "object": object,
    "inferred": None,
    "string[python]": "string[python]",
    "string[pyarrow]": "string[pyarrow]",
    "category": "category",
    "arrow string": pd.ArrowDtype(pa.string()),
    "arrow large string": pd.ArrowDtype(pa.large_string()),
    "arrow dictionary": pd.ArrowDtype(pa.dictionary(pa.int16(), pa.string())),
}
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)


def series_of(texts: cases.Texts, dtype: Any = object) -> Any:
    """With an index of its own, which also repeats, and a name."""
    index = pd.Index([f"row {number // 2}" for number in range(len(texts))], name="line", dtype=object)
    return pd.Series(list(texts), index=index, name="ip", dtype=dtype)


def listed(values: Any) -> list[Any]:
    """Values as a list, None for NA."""
    return [None if pd.isna(value) else value for value in values.tolist()]


def same_rows(made: Any, series: Any) -> bool:
    return bool(made.index.equals(series.index)) and made.index.name == series.index.name


# --- types ---


@each_dtype
@each_column
def test_kind_and_class(texts: cases.Texts, dtype: Any) -> None:
    series = series_of(texts, dtype)
    want = cases.expected(texts)
    kinds, classes = series.netfast.kind(), series.netfast.network_class()
    assert listed(kinds) == want.kind
    assert listed(classes) == want.network_class
    assert kinds.dtype.categories.tolist() == list(nf.KINDS)
    assert classes.dtype.categories.tolist() == ["", "A", "B", "C", "D", "E"]
    for made in (kinds, classes):
        assert same_rows(made, series)
        assert made.name == "ip"


@each_dtype
@each_column
def test_flags(texts: cases.Texts, dtype: Any) -> None:
    series = series_of(texts, dtype)
    want = cases.expected(texts)
    for flag in FLAGS:
        made = getattr(series.netfast, flag)()
        assert made.dtype == "boolean"
        assert listed(made) == want.flags[flag], flag
        assert same_rows(made, series)
        assert made.name == "ip"


@each_dtype
@each_column
def test_classify(texts: cases.Texts, dtype: Any) -> None:
    series = series_of(texts, dtype)
    want = cases.expected(texts)
    frame = series.netfast.classify()
    assert frame.columns.tolist() == ["kind", "network_class", "block", "is_global"]
    assert same_rows(frame, series)
    assert listed(frame["kind"]) == want.kind
    assert listed(frame["network_class"]) == want.network_class
    assert listed(frame["block"]) == want.block
    assert listed(frame["is_global"]) == want.flags["is_global"]
    assert [str(dtype) for dtype in frame.dtypes] == ["category", "category", "category", "boolean"]


@each_dtype
@each_column
def test_parse(texts: cases.Texts, dtype: Any) -> None:
    series = series_of(texts, dtype)
    parsed = series.netfast.parse()
    assert listed(parsed) == cases.expected(texts).text
    assert same_rows(parsed, series)
    is_text = isinstance(series.dtype, pd.StringDtype) or series.dtype in (
        DTYPES["arrow string"],
        DTYPES["arrow large string"],
    )
    assert parsed.dtype == (series.dtype if is_text else pd.Series(["text"]).dtype)


@each_dtype
@each_column
def test_contains(texts: cases.Texts, dtype: Any) -> None:
    series = series_of(texts, dtype)
    for prefixes in (cases.SET, cases.TABLE):
        held = series.netfast.contains(prefixes)
        assert held.dtype == "boolean"
        assert listed(held) == cases.contained(texts, prefixes)
        assert same_rows(held, series)


LOOKUP_DTYPES = {
    "text": "category",
    "numbers": "Int64",
    "floats": "Float64",
    "int8": "Int8",
    "uint64": "UInt64",
    "bool": "boolean",
    "bytes": "category",
    "text or None": "category",
    "numbers or None": "Int64",
    "truths": "boolean",
    "truth or None": "boolean",
    "large ints": "UInt64",
    "large int or None": "UInt64",
    "empty": "category",
}


@each_dtype
@pytest.mark.parametrize("name", cases.TABLES)
def test_lookup(name: str, dtype: Any) -> None:
    table = cases.TABLES[name]
    for texts in cases.COLUMNS.values():
        series = series_of(texts, dtype)
        values = series.netfast.lookup(table)
        assert values.dtype == LOOKUP_DTYPES[name]
        assert listed(values) == cases.found(texts, table)
        assert same_rows(values, series)


@pytest.mark.parametrize("table", [cases.HOLES, cases.COUNTS], ids=["text", "numbers"])
def test_values_of_none_are_na(table: nf.PrefixTable) -> None:
    assert listed(series_of(["10.0.0.1", "8.8.8.8", "::1"]).netfast.lookup(table)) == [
        table.exact("10.0.0.0/8"),
        None,
        None,
    ]


def test_lookup_of_half_floats() -> None:
    table = nf.PrefixTable.from_columns(["10.0.0.0"], [8], np.array([1.5], np.float16))
    values = series_of(["10.0.0.1", "::1"]).netfast.lookup(table)
    assert values.dtype == "Float32"  # pandas has none of 16 bits that may be NA
    assert listed(values) == [1.5, None]


@each_layout
@each_column
def test_arrow_layouts(texts: cases.Texts, layout: Any) -> None:
    """What Arrow may hold a column as, pandas may too."""
    rows = layout(texts)
    series = pd.Series(pd.arrays.ArrowExtensionArray(rows), name="ip")
    want = cases.expected(texts)
    assert listed(series.netfast.kind()) == want.kind
    assert listed(series.netfast.is_global()) == want.flags["is_global"]
    assert listed(series.netfast.lookup(cases.TABLE)) == cases.found(texts, cases.TABLE)
    assert listed(series.netfast.parse()) == want.text


PACKED = {
    "4 bytes": (pa.array([b"\x0a\0\0\1", None, b"\x08\x08\x08\x08"], pa.binary(4)), ["private", None, "global"]),
    "16 bytes": (pa.array([None, bytes(15) + b"\1"], pa.binary(16)), [None, "loopback"]),
    "chunks": (pa.chunked_array([pa.array([b"::::", None], pa.binary(4))] * 2), ["global", None] * 2),
    "no rows": (pa.array([], pa.binary(4)), []),
}


@pytest.mark.parametrize(("packed", "kinds"), PACKED.values(), ids=PACKED)
def test_packed_addresses(packed: Any, kinds: list[str | None]) -> None:
    """Which are no text, in whatever pandas keeps them."""
    array = pd.arrays.ArrowExtensionArray(packed)
    series = pd.Series(array, name="ip")
    for one in (series, series.astype("category")):
        assert listed(one.netfast.kind()) == kinds
        assert listed(one.netfast.is_private()) == [kind and kind == "private" for kind in kinds]
    for rows in (series, series.astype("category"), pd.Index(array), array):
        assert nf.classify(rows).kind.tolist() == kinds
        assert nf.parse(rows).null.tolist() == [kind is None for kind in kinds]


@pytest.mark.parametrize("dtype", ["string[pyarrow]", "arrow string", "arrow large string", "arrow dictionary"])
def test_what_arrow_holds_is_read_in_place(dtype: str) -> None:
    series = series_of(cases.COLUMNS["mixed"], DTYPES[dtype])
    for rows in (series, pd.Index(series), series.array):
        assert _Rows(rows).columns is not None
        assert nf.classify(rows).kind.tolist() == cases.expected(cases.COLUMNS["mixed"]).kind


@pytest.mark.parametrize("kind", [pa.int16(), pa.float32(), pa.bool_(), pa.string(), pa.binary()])
def test_values_that_arrow_holds(kind: Any) -> None:
    values = pa.array(["1", "0"]).cast(kind)
    for held in (values, pa.array([values[0], None], kind)):
        series = pd.Series(pd.arrays.ArrowExtensionArray(held))
        table = nf.PrefixTable.from_columns(["10.0.0.0", "8.0.0.0"], [8, 8], series)
        exported = pa.array(table.lookup(["10.0.0.1", "8.8.8.8", "::1"]))
        assert exported.to_pylist() == [*held.to_pylist(), None]
        if not held.null_count:
            assert getattr(exported.type, "value_type", exported.type) == kind


@each_column
def test_unwrap(texts: cases.Texts) -> None:
    of = series_of(texts).netfast
    want = cases.expected(texts, unwrap=True)
    assert listed(of.kind(unwrap=True)) == want.kind
    assert listed(of.network_class(unwrap=True)) == want.network_class
    assert listed(of.is_private(unwrap=True)) == want.flags["is_private"]
    assert listed(of.classify(unwrap=True)["block"]) == want.block
    assert listed(of.lookup(cases.TABLE, unwrap=True)) == cases.found(texts, cases.TABLE, unwrap=True)
    assert listed(of.contains(cases.SET, unwrap=True)) == cases.contained(texts, cases.SET, unwrap=True)


INTEGERS = {
    "int64": ([1, 0x0A000001, 2**32 - 1], "int64"),
    "int32": ([1, 0x0A000001], "int32"),
    "uint32": ([1, 0x0A000001, 2**32 - 1], "uint32"),
    "uint64": ([2**64 - 1, 1], "uint64"),
    "IPv6 too": ([1, 2**32, 2**40], "int64"),
    "negative": ([1, -1], "int64"),
    "Int64": ([1, None, 0x0A000001], "Int64"),
    "Int64, IPv6": ([1, None, 2**40], "Int64"),
    "UInt32": ([1, None], "UInt32"),
    "only NA": ([None, None], "Int64"),
    "empty": ([], "int64"),
    "arrow": ([0x0A000001, None], pd.ArrowDtype(pa.int64())),
    "category": ([1, 0x0A000001, 1], "category"),
    "objects": ([1, 2**127, None], object),
}


@pytest.mark.parametrize(("integers", "dtype"), INTEGERS.values(), ids=INTEGERS)
def test_integers(integers: list[int | None], dtype: Any) -> None:
    series = pd.Series(integers, dtype=dtype)
    assert listed(series.netfast.kind()) == nf.classify(integers).kind.tolist()
    assert listed(series.netfast.parse()) == nf.format_addresses(integers)
    assert listed(series.netfast.contains(cases.SET)) == cases.contained(integers, cases.SET)  # type: ignore[arg-type]


def test_objects_of_all_kinds() -> None:
    items = ["10.0.0.1", b"::1", ipaddress.ip_address("8.8.8.8"), 1, None, float("nan"), pd.NA]
    series = pd.Series(items, dtype=object)
    assert listed(series.netfast.kind()) == ["private", "loopback", "global", "this_network", None, None, None]
    assert listed(series.astype("category").netfast.is_global())[:4] == [False, False, True, False]


def test_a_column_of_nothing() -> None:
    """Which pandas reads as float64."""
    series = pd.Series([float("nan")] * 3)
    assert listed(series.netfast.kind()) == [None] * 3
    assert listed(series.netfast.lookup(cases.NUMBERS)) == [None] * 3


# --- what comes out ---


def test_results_may_be_written_to() -> None:
    series = series_of(["10.0.0.1", None, "8.8.8.8"]).reset_index(drop=True)
    results = [
        (series.netfast.kind(), "global"),
        (series.netfast.is_private(), False),
        (series.netfast.contains(cases.SET), False),
        (series.netfast.lookup(cases.NUMBERS), 5),
        (series.netfast.lookup(cases.TABLE), "lab"),
        (series.netfast.parse(), "::1"),
        (series.netfast.classify()["block"], "10.0.0.0/8"),
    ]
    for made, value in results:
        for row in range(3):
            made.iloc[row] = value
        assert made.tolist() == [value] * 3
        made.iloc[0] = pd.NA
        assert listed(made) == [None, value, value]
    assert listed(series) == ["10.0.0.1", None, "8.8.8.8"]


def test_look_ups_of_many_values() -> None:
    """Whose codes need 8, 16 or 32 bits."""
    for values in (126, 127, 128, 129, 40_000):
        table = nf.PrefixTable({f"10.{row >> 8}.{row & 255}.0/24": f"site {row}" for row in range(values)})
        texts = [f"10.{row >> 8}.{row & 255}.1" for row in (0, values - 1, values)]
        made = pd.Series(texts).netfast.lookup(table)
        assert listed(made) == ["site 0", f"site {values - 1}", None]
        made.iloc[2] = "site 1"
        made.iloc[0] = pd.NA
        assert listed(made) == [None, f"site {values - 1}", "site 1"]


def test_look_ups_share_their_categories() -> None:
    """They are made once a table, and go with it."""
    table = nf.PrefixTable({"10.0.0.0/8": "office", "8.0.0.0/8": "branch"})
    kept = len(netfast.engines.pandas._category_of)
    first, second = (series_of(["10.0.0.1", "8.8.8.8"]).netfast.lookup(table) for _ in range(2))
    assert first.cat.categories is second.cat.categories
    renamed = first.cat.rename_categories({"office": "home"})
    first.iloc[1] = "office"
    assert [renamed.tolist(), first.tolist(), second.tolist()] == [
        ["home", "branch"],
        ["office"] * 2,
        ["office", "branch"],
    ]
    assert len(netfast.engines.pandas._category_of) == kept + 1
    del table
    assert len(netfast.engines.pandas._category_of) == kept


def test_results_go_on_in_pandas() -> None:
    frame = pd.DataFrame({"ip": ["10.0.0.1", "8.8.8.8", "10.0.0.2", None], "bytes": [1, 2, 3, 4]})
    frame["kind"] = frame["ip"].netfast.kind()
    assert frame.groupby("kind", observed=True)["bytes"].sum().to_dict() == {"global": 2, "private": 4}
    assert frame[frame["ip"].netfast.is_private()]["bytes"].tolist() == [1, 3]
    assert frame[["ip"]].join(frame["ip"].netfast.classify())["block"].tolist()[0] == "10.0.0.0/8"


def test_slices_and_multi_indices() -> None:
    series = pd.Series(
        ["10.0.0.1", "8.8.8.8", None, "::1"], index=pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a"), (2, "b")])
    ).astype("string[pyarrow]")
    part = series[::-2]
    assert listed(part.netfast.kind()) == ["loopback", "global"]
    assert part.netfast.kind().index.equals(part.index)
    assert listed(series.loc[2].netfast.is_loopback()) == [None, True]


# --- memory ---


@pytest.mark.parametrize("dtype", ["string[pyarrow]", "arrow string", "arrow large string", "arrow dictionary"])
def test_text_is_not_copied(dtype: str) -> None:
    """PyArrow, which holds the text, allocates nothing to hand it over."""
    series = pd.Series(["a-text-of-no-address-that-takes-some-room"] * 20_000, dtype=DTYPES[dtype])
    before = pa.total_allocated_bytes()
    made = [series.netfast.kind(), series.netfast.is_private(), series.netfast.contains(cases.SET)]
    assert pa.total_allocated_bytes() - before < 1_000
    assert made[0].iloc[0] == "invalid"


def test_memory_stays_flat() -> None:
    series = pd.Series(cases.LEAK_TEXTS, dtype="string[pyarrow]")
    objects = pd.Series(cases.LEAK_TEXTS[:1_000], dtype=object)

    def work() -> None:
        series.netfast.classify()
        series.netfast.is_private()
        series.netfast.lookup(cases.TABLE)
        series.netfast.lookup(cases.NUMBERS)
        series.netfast.contains(cases.SET)
        objects.netfast.kind()
        objects.netfast.parse()

    assert cases.grows_by(work) < cases.LEAK_KIB or SANITIZED


# --- errors ---


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1.5]),
        pd.Series([True]),
        pd.Series(pd.to_datetime(["2020-01-01"])),
        pd.Series([["10.0.0.1"]]),
        pd.Series([1.5], dtype=object),
        pd.Series([1.5, 2.5]).astype("category"),
        pd.Series([1.0, float("nan")]),
        pd.Series([1j]),
        pd.Series([1.5, None], dtype="Float64"),
        pd.Series([1.5], dtype=pd.ArrowDtype(pa.float64())),
    ],
    ids=["float", "bool", "time", "lists", "float objects", "category", "NaN", "complex", "Float64", "arrow float"],
)
def test_foreign_types(series: Any) -> None:
    of = series.rename("bytes").netfast
    for call in (of.kind, of.is_private, of.classify, of.parse, lambda: of.contains(cases.SET)):
        with pytest.raises(
            TypeError, match=f"^Series 'bytes' of {re.escape(str(series.dtype))}( holds no addresses|: item 0)"
        ):
            call()
    with pytest.raises(TypeError, match=r"^the Series of "):
        series.netfast.lookup(cases.TABLE)


def test_foreign_items() -> None:
    series = pd.Series(["::1", None, 1.5], name=("log", 1), dtype=object)
    with pytest.raises(TypeError, match=r"^Series \('log', 1\) of object: item 2 is float, not an address"):
        series.netfast.kind()


def test_values_without_a_column() -> None:
    with pytest.raises(TypeError, match="have no Arrow column"):
        series_of(["10.0.0.1"]).netfast.lookup(cases.NO_COLUMN)


@pytest.mark.parametrize("wrong", [["10.0.0.0/8"], {"10.0.0.0/8": 1}, "10.0.0.0/8", None])
def test_what_is_no_table(wrong: Any) -> None:
    of = series_of(["10.0.0.1"]).netfast
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=f"^table is {name}; wanted a PrefixTable$"):
        of.lookup(wrong)
    with pytest.raises(TypeError, match=f"^prefixes is {name}; wanted a PrefixSet or a PrefixTable$"):
        of.contains(wrong)


def test_a_set_has_no_values() -> None:
    with pytest.raises(TypeError, match=r"^table is PrefixSet; wanted a PrefixTable$"):
        series_of(["10.0.0.1"]).netfast.lookup(cases.SET)


def test_a_frame_has_no_addresses() -> None:
    with pytest.raises(AttributeError):
        _ = pd.DataFrame({"ip": ["::1"]}).netfast


def test_without_pyarrow() -> None:
    """Which pandas does not need, and of netfast's methods only the look-up of text."""
    code = """if True:
        import sys
        sys.modules["pyarrow"] = None
        import pandas as pd, netfast as nf, netfast.engines.pandas
        for dtype in (object, "category", None):
            series = pd.Series(["10.0.0.1", None, "bad"], dtype=dtype)
            of = series.netfast
            assert of.kind().fillna("global").tolist() == ["private", "global", "invalid"]
            assert of.is_private().fillna(False).tolist() == [True, False, False]
            assert of.lookup(nf.PrefixTable({"10.0.0.0/8": 7})).fillna(0).tolist() == [7, 0, 0]
            assert of.parse().isna().tolist() == [False, True, True]
            assert of.classify()["block"].tolist()[0] == "10.0.0.0/8"
        assert pd.Series([1, None], dtype="Int64").netfast.kind().tolist()[0] == "this_network"
        try:
            of.lookup(nf.PrefixTable({"10.0.0.0/8": "text"}))
        except ImportError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr == ""
    assert "pip install 'netfast[arrow]'" in run.stdout


def test_is_not_imported_by_netfast() -> None:
    code = "import netfast, pandas, sys; print(hasattr(pandas.Series, 'netfast'), 'netfast.engines' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
