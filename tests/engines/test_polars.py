"""Polars: the plugin and the way through Python give what `netfast.classify` gives."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import pytest

import netfast as nf
import netfast.engines.polars as engine
from builds import SANITIZED
from engines.cases import (
    BYTES,
    LARGE_INTS,
    LEAK_KIB,
    LEAK_TEXTS,
    NO_COLUMN,
    NUMBERS,
    SET,
    TABLE,
    TRUTHS,
    Texts,
    contained,
    each_column,
    each_table,
    expected,
    found,
    grows_by,
)
from netfast.engines import FLAGS

# `.netfast` is added to expressions when they run.
IP: Any = pl.col("ip")
ELEMENT: Any = pl.element()


@pytest.fixture(params=["plugin", "python"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(engine, "_USES_PLUGIN", request.param == "plugin")
    way: str = request.param
    return way


def _sliced(texts: Texts) -> pl.Series:
    return pl.Series("ip", ["8.8.4.4", None, "::", *texts, "1.1.1.1"], dtype=pl.String).slice(3, len(texts))


def _distinct(texts: Texts) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text is not None))


def _chunked(texts: Texts) -> pl.Series:
    column = pl.Series("ip", [], dtype=pl.String)
    for first in range(0, len(texts), 3):
        column = column.append(pl.Series("ip", list(texts[first : first + 3]), dtype=pl.String))
    return column


LAYOUTS = {
    "text": lambda texts: pl.Series("ip", list(texts), dtype=pl.String),
    "binary": lambda texts: pl.Series(
        "ip", [None if text is None else text.encode() for text in texts], dtype=pl.Binary
    ),
    "sliced": _sliced,
    "chunked": _chunked,
    "categorical": lambda texts: pl.Series("ip", list(texts), dtype=pl.Categorical),
    "enum": lambda texts: pl.Series("ip", list(texts), dtype=pl.Enum(_distinct(texts))),
    "sliced enum": lambda texts: pl.Series(
        "ip", ["a", "b", *texts], dtype=pl.Enum(["a", "b", *_distinct(texts)])
    ).slice(2),
    "chunked categorical": lambda texts: _chunked(texts).cast(pl.Categorical),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
each_unwrap = pytest.mark.parametrize("unwrap", [False, True])


def asked(column: pl.Series, expr: pl.Expr) -> list[Any]:
    """What eager, lazy and streaming say, which must be the same."""
    frame = pl.DataFrame({"ip": column})
    answers = [
        frame.select(expr).to_series().to_list(),
        frame.lazy().select(expr).collect().to_series().to_list(),
        frame.lazy().select(expr).collect(engine="streaming").to_series().to_list(),
    ]
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


@each_column
@each_layout
@each_unwrap
def test_what_they_are(texts: Texts, layout: Any, unwrap: bool) -> None:
    column, right = layout(texts), expected(texts, unwrap=unwrap)
    assert asked(column, IP.netfast.kind(unwrap=unwrap)) == right.kind
    assert asked(column, IP.netfast.network_class(unwrap=unwrap)) == right.network_class
    for flag in FLAGS:
        assert asked(column, getattr(IP.netfast, flag)(unwrap=unwrap)) == right.flags[flag]
    names = ("kind", "network_class", "block", "is_global")
    rows = zip(right.kind, right.network_class, right.block, right.flags["is_global"], strict=True)
    structs = [None if row[0] is None else dict(zip(names, row, strict=True)) for row in rows]
    assert asked(column, IP.netfast.classify(unwrap=unwrap)) == structs


@each_column
@each_layout
def test_canonical_text(texts: Texts, layout: Any) -> None:
    assert asked(layout(texts), IP.netfast.parse()) == expected(texts).text


# Characters at the edges of UTF-8, and bytes that are none.
ODD_ZONES = [
    "ff",
    "80",
    "c0af",
    "c1bf",
    "c280",
    "c3a4",
    "dfbf",
    "df",
    "e09fbf",
    "e0a080",
    "e282",
    "e282ac",
    "e28278",
    "ed9fbf",
    "eda080",
    "efbfbf",
    "f08fbfbf",
    "f0908080",
    "f48fbfbf",
    "f4908080",
    "f09f98",
    "f5808080",
    "61c3",
    "c361a4",
]


def test_zones_that_are_not_utf8_are_replaced() -> None:
    column = pl.Series(
        "ip", [b"fe80::1%" + bytes.fromhex(zone) + end for zone in ODD_ZONES for end in (b"", b"z", b"\xbf")]
    )
    right = [row.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode() for row in column.to_list()]
    assert asked(column, IP.netfast.parse()) == right


@each_column
@each_table
@each_unwrap
def test_values(texts: Texts, table: nf.PrefixTable, unwrap: bool) -> None:
    column = _chunked(texts)
    assert asked(column, IP.netfast.lookup(table, unwrap=unwrap)) == found(texts, table, unwrap=unwrap)


@each_column
@each_unwrap
@pytest.mark.parametrize("prefixes", [SET, TABLE], ids=["set", "table"])
def test_membership(texts: Texts, prefixes: nf.PrefixSet | nf.PrefixTable, unwrap: bool) -> None:
    right = contained(texts, prefixes, unwrap=unwrap)
    assert asked(_sliced(texts), IP.netfast.contains(prefixes, unwrap=unwrap)) == right


def test_numbers_are_ip4() -> None:
    numbers = [0x0A000001, None, 0x08080808, 0xFFFFFFFF]
    column = pl.Series("ip", numbers, dtype=pl.UInt32)
    assert asked(column, IP.netfast.kind()) == ["private", None, "global", "broadcast"]
    assert asked(column, IP.netfast.parse()) == ["10.0.0.1", None, "8.8.8.8", "255.255.255.255"]
    assert asked(column, IP.netfast.lookup(NUMBERS)) == [64512, None, None, None]


def test_a_column_of_nothing_but_nulls() -> None:
    column = pl.Series("ip", [None, None], dtype=pl.Null)
    for expr in (IP.netfast.kind(), IP.netfast.is_private(), IP.netfast.lookup(TABLE), IP.netfast.parse()):
        assert asked(column, expr) == [None, None]


def test_types() -> None:
    frame = pl.LazyFrame({"ip": ["10.0.0.1"]})
    found = frame.select(
        kind=IP.netfast.kind(),
        network_class=IP.netfast.network_class(),
        private=IP.netfast.is_private(),
        text=IP.netfast.parse(),
        label=IP.netfast.lookup(TABLE),
        number=IP.netfast.lookup(NUMBERS),
        bytes=IP.netfast.lookup(BYTES),
        truth=IP.netfast.lookup(TRUTHS),
        large=IP.netfast.lookup(LARGE_INTS),
    )
    schema = found.collect_schema()
    assert schema == found.collect().schema
    assert schema["kind"] == pl.Enum(nf.KINDS)
    assert schema["private"] == pl.Boolean
    assert schema["text"] == pl.String
    assert schema["label"] == pl.Enum(["office", "lab", "docs", "rest"])
    assert schema["number"] == pl.Int64
    assert schema["bytes"] == pl.Binary
    assert schema["truth"] == pl.Boolean
    assert schema["large"] == pl.UInt64


def test_series() -> None:
    column: Any = pl.Series("ip", ["10.0.0.1", None])
    assert column.netfast.kind().to_list() == ["private", None]
    assert column.netfast.lookup(TABLE).name == "ip"
    assert column.netfast.is_private(unwrap=True).to_list() == [True, None]
    assert "is_private" in dir(column.netfast)
    with pytest.raises(AttributeError, match="AddressSeries"):
        _ = column.netfast.nonsense
    for name in ("", "^ip$", "*"):
        assert column.rename(name).netfast.kind().name == name


def test_who_does_the_work(way: str) -> None:
    frame = pl.LazyFrame({"ip": ["10.0.0.1"]})
    for expr in (IP.netfast.kind(), IP.netfast.classify(), IP.netfast.lookup(TABLE), IP.netfast.parse()):
        plan = frame.select(expr).explain()
        assert ("python_udf" in plan) == (way == "python")
        assert ("_core" in plan) == (way == "plugin")


def test_a_literal_and_aggregates() -> None:
    frame = pl.DataFrame({"ip": ["10.0.0.1", "8.8.8.8", "10.0.0.2"]})
    literal: Any = pl.lit("10.0.0.1")
    assert frame.select(literal.netfast.kind()).item() == "private"
    counts = frame.lazy().group_by(IP.netfast.kind().alias("kind")).len().sort("len").collect(engine="streaming")
    assert counts.rows() == [("global", 1), ("private", 2)]
    assert frame.filter(IP.netfast.is_private()).height == 2


WRONG = {
    "Float64": pl.Series([1.5]),
    "Int64": pl.Series([167772161]),
    "List": pl.Series([["10.0.0.1"]]),
    "Date": pl.Series([None], dtype=pl.Date),
    "Struct": pl.Series([{"ip": "10.0.0.1"}]),
    "Boolean": pl.Series([True]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("n", [0, 1])
def test_a_wrong_type_is_an_error_of_polars(wrong: pl.Series, n: int) -> None:
    frame = pl.LazyFrame({"ip": wrong.head(n)})
    for expr in (IP.netfast.kind(), IP.netfast.parse(), IP.netfast.classify(), IP.netfast.lookup(TABLE)):
        for how in ("in-memory", "streaming"):
            with pytest.raises(pl.exceptions.ComputeError, match=r"holds no addresses"):
                frame.select(expr).collect(engine=how)


def test_a_wrong_type_is_told_with_its_column() -> None:
    every: Any = pl.all()
    with pytest.raises(pl.exceptions.ComputeError, match=r"column 'bytes'.*format 'l'\)? holds no addresses; wanted"):
        pl.DataFrame({"ip": ["10.0.0.1"], "bytes": [5]}).select(every.netfast.kind())
    for name, shown in (("bytes", "bytes"), ("", ""), ("地" * 200, "地" * 26), ("^bytes$", "rows")):
        column: Any = pl.Series(name, [1.5])
        with pytest.raises(pl.exceptions.ComputeError, match=f"column '{shown}.*format 'g'"):
            column.netfast.is_private()


@pytest.mark.parametrize("zone", ["%eth0", "%a-zone-of-more-than-twelve-bytes", ""])
@pytest.mark.parametrize("n", [1, 255, 256, 70_000])
def test_many_categories(n: int, zone: str) -> None:
    texts = [
        f"fe80::{1 + (row >> 16):x}:{row & 0xFFFF:x}{zone}" if row % 3 else f"10.0.{row >> 8 & 255}.{row & 255}"
        for row in range(n)
    ]
    rows = [*range(n), *range(0, n, 7)]
    column = pl.Series("ip", [texts[row] for row in rows], dtype=pl.Enum(list(dict.fromkeys(texts))))
    assert asked(column, IP.netfast.parse()) == [texts[row] for row in rows]
    assert asked(column, IP.netfast.is_private()) == [row % 3 == 0 for row in rows]


def test_where_expressions_may_stand() -> None:
    texts = ["10.0.0.1", "8.8.8.8", None, "bad", "10.1.0.1", "fe80::1"]
    frame = pl.DataFrame({"group": [1, 1, 2, 2, 2, 3], "ip": texts})
    kinds = expected(texts).kind
    kind, private = IP.netfast.kind().cast(pl.String), IP.netfast.is_private()
    for how in ("in-memory", "streaming"):

        def rows(lazy: pl.LazyFrame, how: Any = how) -> list[Any]:
            return lazy.collect(engine=how).rows()

        lazy = frame.lazy()
        assert rows(lazy.group_by("group", maintain_order=True).agg(kind)) == [
            (1, kinds[:2]),
            (2, kinds[2:5]),
            (3, kinds[5:]),
        ]
        assert rows(lazy.group_by("group", maintain_order=True).agg(private.sum())) == [(1, 1), (2, 1), (3, 0)]
        assert rows(lazy.select(private.sum().over("group"))) == [(1,), (1,), (1,), (1,), (1,), (0,)]
        assert rows(lazy.select(pl.when(private).then(pl.lit("in")).otherwise(kind))) == [
            ("in",), ("global",), (None,), ("invalid",), ("in",), ("link_local",)
        ]  # fmt: skip
        lists = lazy.select(pl.concat_list("ip").list.eval(ELEMENT.netfast.is_private()))
        assert rows(lists) == [([None if kind is None else kind == "private"],) for kind in kinds]


def test_wrong_prefixes() -> None:
    with pytest.raises(TypeError, match="table is PrefixSet; wanted a PrefixTable"):
        IP.netfast.lookup(SET)
    with pytest.raises(TypeError, match="prefixes is list"):
        IP.netfast.contains(["10.0.0.0/8"])
    with pytest.raises(TypeError, match="values of type tuple have no Arrow column"):
        IP.netfast.lookup(NO_COLUMN)
    with pytest.raises(TypeError, match="have no Arrow column"):
        IP.netfast.lookup(nf.PrefixTable({"10.0.0.0/8": 2**64}))


def test_tables_of_the_last_expressions_are_kept() -> None:
    frame = pl.LazyFrame({"ip": ["10.0.0.1"]})
    queries = [frame.select(IP.netfast.lookup(nf.PrefixTable({"10.0.0.0/8": number}))) for number in range(16)]
    gc.collect()
    assert [query.collect().item() for query in queries] == list(range(16))


def _expressions_of_others() -> None:
    for number in range(100):
        IP.netfast.contains(nf.PrefixSet([f"10.{number}.0.0/16"]))
    gc.collect()


def test_a_table_that_is_gone_is_an_error(way: str) -> None:
    query = pl.LazyFrame({"ip": ["10.0.0.1"]}).select(IP.netfast.lookup(nf.PrefixTable({"10.0.0.0/8": 1})))
    _expressions_of_others()
    if way == "python":
        assert query.collect().item() == 1
    else:
        with pytest.raises(pl.exceptions.ComputeError, match="keep a reference"):
            query.collect()


def test_a_table_that_somebody_has_is_there() -> None:
    frame = pl.LazyFrame({"ip": ["10.0.0.1"]})
    tables = [nf.PrefixTable({"10.0.0.0/8": number}) for number in range(70)]
    prefixes = nf.PrefixSet(["10.0.0.0/8"])
    query = frame.select(*[IP.netfast.lookup(table).alias(str(i)) for i, table in enumerate(tables)])
    other = frame.select(IP.netfast.contains(prefixes), table=IP.netfast.contains(tables[0]))
    _expressions_of_others()
    assert query.collect().row(0) == tuple(range(70))
    assert other.collect().row(0) == (True, True)


def test_tables_that_nobody_has_are_let_go() -> None:
    table, prefixes = nf.PrefixTable({"10.0.0.0/8": 1}), nf.PrefixSet(["10.0.0.0/8"])
    held = [weakref.ref(table._lookup), weakref.ref(prefixes._table())]
    for _ in range(3):
        pl.LazyFrame({"ip": ["10.0.0.1"]}).select(IP.netfast.lookup(table), c=IP.netfast.contains(prefixes)).collect()
    del table, prefixes
    _expressions_of_others()
    assert [ref() for ref in held] == [None, None]


def test_threads_that_ask_for_one_table_get_its_answers() -> None:
    frame = pl.LazyFrame({"ip": ["10.0.0.1", "10.200.0.1"]})
    for _ in range(30):
        table = nf.PrefixTable({f"10.{number}.0.0/16": f"v{number}" for number in range(256)})
        start = threading.Barrier(4)

        def ask(table: nf.PrefixTable = table, start: threading.Barrier = start) -> list[Any]:
            start.wait(10)
            queries = [frame.select(IP.netfast.lookup(table), c=IP.netfast.contains(table)) for _ in range(3)]
            return [query.collect().rows() for query in queries]

        with ThreadPoolExecutor(4) as pool:
            for answer in [pool.submit(ask) for _ in range(4)]:
                assert answer.result(30) == [[("v0", True), ("v200", True)]] * 3


ELSEWHERE = """
import sys, pickle, polars as pl
exec(sys.argv[1])
query = pickle.loads(sys.stdin.buffer.read())
try:
    print(query.collect().rows())
except pl.exceptions.ComputeError as error:
    print(error)
"""


@pytest.mark.parametrize("imports", ["", "import netfast", "import netfast.engines.polars", "lookup", "contains"])
@pytest.mark.parametrize("asks", ["kind", "lookup", "contains"])
@pytest.mark.parametrize("way", ["plugin"], indirect=True)  # functions of Python travel by cloudpickle
def test_expressions_of_another_process(asks: str, imports: str) -> None:
    expr = {"kind": IP.netfast.kind(), "lookup": IP.netfast.lookup(NUMBERS), "contains": IP.netfast.contains(SET)}[asks]
    query = pickle.dumps(pl.LazyFrame({"ip": ["10.0.0.1", None]}).select(expr))
    first = {
        "lookup": "import netfast as nf, netfast.engines.polars; t = nf.PrefixTable({'8.0.0.0/8': -1}); "
        "pl.col('ip').netfast.lookup(t)",
        "contains": "import netfast as nf, netfast.engines.polars; s = nf.PrefixSet(['8.0.0.0/8']); "
        "pl.col('ip').netfast.contains(s)",
    }.get(imports, imports)
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, first], input=query, capture_output=True, check=True)
    says = done.stdout.decode()
    if "engines" not in first:
        assert "netfast.engines.polars has not been imported" in says
    elif asks == "kind":
        assert says.strip() == "[('private',), (None,)]"
    else:
        assert "are gone" in says


def test_many_rows() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**32, 1_000_000, dtype=np.uint32)
    column = pl.Series("ip", nf.format_addresses(numbers))
    right = nf.classify(numbers)
    frame = pl.DataFrame({"ip": column})
    for how in ("in-memory", "streaming"):
        found = frame.lazy().select(IP.netfast.kind(), p=IP.netfast.is_private()).collect(engine=how)
        assert (found["ip"].to_physical().to_numpy() == right.kind_codes).all()
        assert (found["p"].to_numpy() == right.is_private).all()


def test_memory_is_flat() -> None:
    frame = pl.DataFrame({"ip": LEAK_TEXTS})
    exprs = [IP.netfast.classify(), IP.netfast.parse().alias("p"), IP.netfast.lookup(TABLE).alias("l")]
    assert grows_by(lambda: frame.select(exprs)) < LEAK_KIB or SANITIZED


def test_a_missing_polars_is_told() -> None:
    code = "import sys; sys.modules['polars'] = None; import netfast.engines.polars"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        run.stderr.splitlines()[-1] == "ImportError: netfast.engines.polars needs polars: pip install 'netfast[polars]'"
    )
