"""PrefixTable: what it takes and refuses, what its values come back as, and what a lookup leaves behind."""

from __future__ import annotations

import enum
import gc
import ipaddress
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import netfast as nf
from builds import SANITIZED

ROUTES: dict[str, object] = {
    "10.0.0.0/8": "private",
    "10.1.0.0/16": "office",
    "10.1.2.0/24": "lab",
    "10.1.2.3/32": "printer",
    "192.0.2.0/24": "documentation",
    "2001:db8::/32": "documentation six",
    "2001:db8:1::/48": "site",
    "2001:db8:1::1/128": "router",
}


@pytest.fixture
def table() -> nf.PrefixTable:
    return nf.PrefixTable(ROUTES)


# ---- items -----------------------------------------------------------------------------------------------------------


def pairs() -> Iterator[tuple[str, object]]:
    yield from ROUTES.items()


ITEMS: dict[str, Callable[[], Any]] = {
    "dict": lambda: dict(ROUTES),
    "list of pairs": lambda: list(ROUTES.items()),
    "tuple of lists": lambda: tuple(map(list, ROUTES.items())),
    "generator": pairs,
    "dict items": ROUTES.items,
    "reversed": lambda: reversed(list(ROUTES.items())),
    "networks": lambda: {ipaddress.ip_network(prefix): value for prefix, value in ROUTES.items()},
    "pairs with networks": lambda: [(ipaddress.ip_network(prefix), value) for prefix, value in ROUTES.items()],
}


@pytest.mark.parametrize("form", ITEMS)
def test_items_come_in_any_form(form: str) -> None:
    table = nf.PrefixTable(ITEMS[form]())
    assert list(table) == list(ROUTES)
    assert [table.exact(prefix) for prefix in ROUTES] == list(ROUTES.values())


def test_prefixes_are_in_order_whatever_order_they_came_in() -> None:
    wanted = ["0.0.0.0/0", "0.0.0.0/8", "1.0.0.0/8", "1.0.0.0/24", "1.0.1.0/24", "255.255.255.255/32"]
    wanted += ["::/0", "::/8", "::/128", "1::/16", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]
    table = nf.PrefixTable([(prefix, None) for prefix in reversed(wanted)])
    assert list(table) == list(table.prefixes) == wanted
    assert len(table) == len(table.prefixes) == len(wanted)
    assert [table.prefixes[place] for place in (0, 5, 6, -1)] == [wanted[place] for place in (0, 5, 6, -1)]


def test_the_last_of_equal_prefixes_wins() -> None:
    table = nf.PrefixTable([("10.0.0.0/8", "a"), ("::/0", 1), ("10.0.0.0/8", "b"), ("::/0", 2), ("10.0.0.0/8", "c")])
    assert len(table) == 2
    assert (table.get("10.1.1.1"), table.get("::1")) == ("c", 2)
    assert table.lookup(["10.1.1.1", "::1"]).index.tolist() == [0, 1]


def test_the_last_wins_among_prefixes_that_are_equal_without_their_host_bits() -> None:
    table = nf.PrefixTable([("10.0.0.0/8", "a"), ("10.9.9.9/8", "b")], strict=False)
    assert list(table) == ["10.0.0.0/8"]
    assert table.get("10.0.0.0") == "b"


@pytest.mark.parametrize(
    "prefix", ["10.0.0.1/8", "0.0.0.1/0", "10.0.0.128/24", "2001:db8::1/32", "::1/0", "8000::/0", "::1/127"]
)
def test_host_bits_are_an_error_that_names_the_prefix(prefix: str) -> None:
    with pytest.raises(ValueError, match="host bits") as caught:
        nf.PrefixTable([("192.0.2.0/24", 1), (prefix, 2)])
    assert prefix in str(caught.value)
    network = str(ipaddress.ip_network(prefix, strict=False))
    assert network in list(nf.PrefixTable([("192.0.2.0/24", 1), (prefix, 2)], strict=False))


WRONG_PREFIXES = [
    *("", "/", "/8", "x", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8 "),
    *(" 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0/8", "10/8", "010.0.0.0/8", "256.0.0.0/8", "10.0.0.0/0x8", "10.0.0.0/1e1"),
    *(
        "::/129",
        "::/-1",
        "::/",
        "1::2::3/64",
        "fe80::%eth0/64",
        "10.0.0.0/\u0668",
        "10.0.0.0/8\0",
        "10.0.0.0/99999999999",
    ),
]


@pytest.mark.parametrize("prefix", WRONG_PREFIXES)
def test_what_is_no_prefix_is_an_error_that_names_it(prefix: str) -> None:
    for strict in (True, False):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
            nf.PrefixTable([("192.0.2.0/24", 1), (prefix, 2)], strict=strict)
        assert repr(prefix) in str(caught.value)


@pytest.mark.parametrize(
    "item", [None, 5, 1.5, ("10.0.0.0/8",), ("10.0.0.0/8", 1, 2), (5.5, 1), (None, 1), "10.0.0.0/8"]
)
def test_items_that_are_no_pairs_are_errors(item: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        nf.PrefixTable([("192.0.2.0/24", 1), item])


@pytest.mark.parametrize("items", [None, 5, "10.0.0.0/8", b"10.0.0.0/8"])
def test_what_is_no_collection_of_items_is_an_error(items: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        nf.PrefixTable(items)


def test_what_an_iterable_raises_comes_through() -> None:
    def broken() -> Iterator[tuple[str, int]]:
        yield "10.0.0.0/8", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nf.PrefixTable(broken())


def test_a_table_cannot_be_changed(table: nf.PrefixTable) -> None:
    with pytest.raises(TypeError):
        table["10.0.0.0/8"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        del table["10.0.0.0/8"]  # type: ignore[attr-defined]
    with pytest.raises((AttributeError, TypeError)):
        table.prefixes = []  # type: ignore[misc,assignment]


# ---- empty tables and default routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [[], {}, ()])
def test_an_empty_table_finds_nothing(kernels: str, items: Any) -> None:
    table = nf.PrefixTable(items)
    matches = table.lookup(["10.0.0.1", "::1", None, "x"])
    assert (len(table), list(table), matches.index.tolist()) == (0, [], [-1] * 4)
    assert (matches.values(), list(matches.prefixes())) == ([None] * 4, [None] * 4)
    assert matches.values("none") == ["none"] * 4
    assert table.get("10.0.0.1") is None
    assert "10.0.0.1" not in table
    assert table.contains(np.arange(70, dtype=np.uint32)).tolist() == [False] * 70
    assert table.covering("10.0.0.0/8") == table.covered("::/0") == []


def test_default_routes_hold_everything_of_their_family(kernels: str) -> None:
    rng = np.random.default_rng(1)
    four, six = rng.integers(0, 2**32, 1000, np.uint32), rng.integers(0, 256, (1000, 16), np.uint8)
    for prefix, fours, sixes in (("0.0.0.0/0", 0, -1), ("::/0", -1, 0)):
        table = nf.PrefixTable({prefix: "default"})
        assert set(table.lookup(four).index.tolist()) == {fours}
        assert set(table.lookup(six).index.tolist()) == {sixes}
    both = nf.PrefixTable({"::/0": 6, "0.0.0.0/0": 4})
    assert both.lookup(["0.0.0.0", "255.255.255.255", "::", "ffff::"]).index.tolist() == [0, 0, 1, 1]


def test_no_rows_are_no_matches(table: nf.PrefixTable, kernels: str) -> None:
    nothings: list[Any] = [[], np.zeros(0, np.uint32), np.zeros((0, 16), np.uint8), pa.array([], pa.string())]
    for nothing in nothings:
        matches = table.lookup(nothing)
        assert (matches.index.tolist(), matches.values(), list(matches.prefixes())) == ([], [], [])
        assert matches.index.dtype == np.int32
        assert table.contains(nothing).dtype == np.bool_


# ---- one family is never the other -----------------------------------------------------------------------------------


def test_the_families_are_never_confused(kernels: str) -> None:
    table = nf.PrefixTable({"2000::/8": "six", "::/96": "compatible", "c000::/8": "six too"})
    assert table.lookup(["32.0.0.1", "192.0.0.1", "10.0.0.1", "0.0.0.0"]).index.tolist() == [-1] * 4
    assert table.get("32.0.0.1") is None
    assert table.lookup(np.array([0x20000001, 0], np.uint32)).index.tolist() == [-1, -1]
    four = nf.PrefixTable({"32.0.0.0/8": "four", "0.0.0.0/8": "zero"})
    assert four.lookup(["2000::", "2000::1", "::", "::20.0.0.1", "::ffff:32.0.0.1"]).index.tolist() == [-1] * 5
    assert four.exact("2000::/8") is None
    assert four.covered("::/0") == []


def test_unwrapping_asks_for_what_an_address_carries(kernels: str) -> None:
    table = nf.PrefixTable({"10.0.0.0/8": "four", "::ffff:0:0/96": "mapped", "2001:db8::/32": "six"})
    asked = ["::ffff:10.0.0.1", "::ffff:11.0.0.1", "10.0.0.1", "2001:db8::1"]
    assert table.lookup(asked).values() == ["mapped", "mapped", "four", "six"]
    unwrapped = table.lookup(asked, unwrap=True).values()
    assert unwrapped[0] == "four"
    assert unwrapped[2:] == ["four", "six"]


def test_a_zone_makes_no_difference(table: nf.PrefixTable, kernels: str) -> None:
    zoned = nf.PrefixTable({"fe80::/10": "link"})
    assert zoned.lookup(["fe80::1%eth0", "fe80::1"]).values() == ["link", "link"]
    assert zoned.get("fe80::1%eth0") == "link"
    assert table.lookup(["2001:db8::1%x"]).values() == ["documentation six"]


# ---- lookups ---------------------------------------------------------------------------------------------------------

ASKED = ["10.9.9.9", "10.1.9.9", "10.1.2.9", "10.1.2.3", "11.0.0.0", None, "nonsense", "2001:db8:1::1", "2001:db8:1::2"]
FOUND = ["private", "office", "lab", "printer", None, None, None, "router", "site"]


def test_the_longest_prefix_wins(table: nf.PrefixTable, kernels: str) -> None:
    matches = table.lookup(ASKED)
    assert matches.values() == FOUND
    assert matches.values(default="-") == [value or "-" for value in FOUND]
    assert matches.index.dtype == np.int32
    assert len(matches) == len(ASKED)
    prefixes = [None if place < 0 else table.prefixes[place] for place in matches.index.tolist()]
    assert list(matches.prefixes()) == prefixes
    assert prefixes[3] == "10.1.2.3/32"


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_any_number_of_threads_finds_the_same(threads: int | None, kernels: str) -> None:
    rng = np.random.default_rng(2)
    table = nf.PrefixTable({f"{a}.{b}.0.0/16": a * b for a in range(0, 256, 2) for b in range(0, 256, 3)})
    numbers = rng.integers(0, 2**32, 300_007, np.uint32)
    high, middle = (numbers >> 24).astype(int), (numbers >> 16 & 255).astype(int)
    hit = (high % 2 == 0) & (middle % 3 == 0)
    wanted = np.where(hit, (high // 2) * 86 + middle // 3, -1)
    assert np.array_equal(table.lookup(numbers, threads=threads).index, wanted)
    packed = nf.parse(numbers).packed
    assert np.array_equal(table.lookup(packed, unwrap=True, threads=threads).index, wanted)
    column = pa.array(nf.parse(numbers).to_list())
    assert np.array_equal(table.lookup(column, threads=threads).index, wanted)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_cannot_be_is_an_error(table: nf.PrefixTable, threads: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        table.lookup(["10.0.0.1"], threads=threads)


@pytest.mark.parametrize("one", ["10.0.0.1", b"10.0.0.1"])
def test_one_address_in_place_of_a_collection_is_a_type_error(table: nf.PrefixTable, one: Any) -> None:
    with pytest.raises(TypeError):
        table.lookup(one)
    with pytest.raises(TypeError):
        table.contains(one)


@pytest.mark.parametrize("wrong", [[1.5], [object()], np.array([1.5]), pa.array([1.5]), 5, None])
def test_addresses_of_a_foreign_type_are_type_errors(table: nf.PrefixTable, wrong: Any) -> None:
    with pytest.raises(TypeError):
        table.lookup(wrong)
    with pytest.raises(TypeError):
        table.contains(wrong)


ONE = ["10.1.2.3", b"10.1.2.3", 0x0A010203, ipaddress.ip_address("10.1.2.3"), nf.address("10.1.2.3").text]


@pytest.mark.parametrize("address", ONE, ids=lambda address: type(address).__name__)
def test_get_and_in_take_one_address_in_any_form(table: nf.PrefixTable, address: Any) -> None:
    assert table.get(address) == "printer"
    assert address in table
    assert table.get("11.0.0.1") is None
    assert table.get("11.0.0.1", 7) == 7
    assert "11.0.0.1" not in table


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.256", "10.0.0.0/8", "10.0.0.1 ", "::1::"])
def test_get_refuses_what_is_no_address(table: nf.PrefixTable, text: str) -> None:
    with pytest.raises(nf.AddressError):
        table.get(text)


@pytest.mark.parametrize("wrong", [1.5, None, [], object()])
def test_get_refuses_foreign_types(table: nf.PrefixTable, wrong: Any) -> None:
    with pytest.raises(TypeError):
        table.get(wrong)


# ---- exact, covering, covered ----------------------------------------------------------------------------------------


def test_exact_covering_and_covered(table: nf.PrefixTable) -> None:
    assert table.exact("10.1.0.0/16") == "office"
    assert table.exact("10.1.0.0/17") is None
    assert names(table.covering("10.1.2.0/25")) == ["private", "office", "lab"]
    assert names(table.covering("10.1.2.3/32")) == ["private", "office", "lab", "printer"]
    assert names(table.covered("10.1.0.0/16")) == ["office", "lab", "printer"]
    assert table.covered("10.1.2.128/25") == table.covering("11.0.0.0/8") == []
    assert names(table.covered("2001::/16")) == ["documentation six", "site", "router"]
    assert table.covered("0.0.0.0/0") == list(ROUTES.items())[:5]
    network = ipaddress.ip_network("10.1.0.0/16")
    assert table.exact(network) == "office"
    assert names(table.covering(network)) == ["private", "office"]


def names(found: list[tuple[str, Any]]) -> list[Any]:
    """The values, once each is known to stand with its prefix."""
    assert found == [(prefix, ROUTES[prefix]) for prefix, _ in found]
    return [value for _, value in found]


@pytest.mark.parametrize("call", ["exact", "covering", "covered"])
def test_questions_about_what_is_no_prefix_are_errors(table: nf.PrefixTable, call: str) -> None:
    for wrong in ("x", "10.0.0.0/33", "10.0.0.1/8", ""):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
            getattr(table, call)(wrong)
        assert repr(wrong) in str(caught.value) or wrong in str(caught.value).split("'")
    with pytest.raises(TypeError):
        getattr(table, call)(1.5)


# ---- values ----------------------------------------------------------------------------------------------------------

KINDS: dict[str, list[Any]] = {
    "text": ["a", "b"],
    "bytes": [b"a", b"b"],
    "None": [None, "x"],
    "unhashable": [["a"], {"b": 1}],
    "mixed": [1, "one"],
    "objects": [object(), object()],
    "large ints": [2**70, -(2**70)],
    "decimals": [Decimal(1), Decimal("1.50")],
    "equal but different": [1, True],
    "ones of three kinds": [1.0, 1],
    "tuples": [("a", 1), ("a", 1.0)],
    "nan": [float("nan"), "x"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_kind_come_back_as_they_were_given(kind: str) -> None:
    first, second = KINDS[kind]
    table = nf.PrefixTable({"10.0.0.0/8": first, "11.0.0.0/8": second, "12.0.0.0/8": first})
    found = table.lookup(["10.0.0.1", "11.0.0.1", "12.0.0.1"]).values()
    got = [*found, table.get("10.0.0.1"), table.get("11.0.0.1"), table.exact("12.0.0.0/8")]
    for value, wanted in zip(got, [first, second, first, first, second, first], strict=True):
        assert type(value) is type(wanted)
        assert value == wanted or value != value  # nan is no value's equal


def test_a_value_of_none_is_no_miss() -> None:
    table = nf.PrefixTable({"10.0.0.0/8": None})
    matches = table.lookup(["10.0.0.1", "11.0.0.1"])
    assert matches.values("missed") == [None, "missed"]
    assert table.get("10.0.0.1", "missed") is None
    assert "10.0.0.1" in table
    assert matches.index.tolist() == [0, -1]


def test_each_value_is_stored_once() -> None:
    values = ["".join(["label ", str(place % 3)]) for place in range(1000)]  # equal texts, each an object of its own
    table = nf.PrefixTable({f"10.{n >> 8}.{n & 255}.0/24": value for n, value in enumerate(values)})
    del values
    found = table.lookup(np.arange(1000, dtype=np.uint32) * 256 + (10 << 24)).values()
    assert len({id(value) for value in found}) == 3


def test_objects_come_back_themselves_and_are_let_go() -> None:
    made = object()
    before = sys.getrefcount(made)
    table = nf.PrefixTable({f"10.0.{n}.0/24": made for n in range(200)})
    assert sys.getrefcount(made) - before <= 2  # stored once
    found = table.lookup([f"10.0.{n}.1" for n in range(200)]).values()
    assert all(value is made for value in found)
    assert sys.getrefcount(made) - before >= 200
    del found, table
    gc.collect()
    assert sys.getrefcount(made) == before


NUMBERS: dict[str, tuple[list[Any], str]] = {
    "int": ([64500, 64501], "i"),
    "negative int": ([-1, 1], "i"),
    "float": ([0.5, 1.5], "f"),
    "NumPy int32": ([np.int32(4), np.int32(5)], "i"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_come_back_as_numpy(kind: str) -> None:
    (first, second), dtype_kind = NUMBERS[kind]
    table = nf.PrefixTable({"10.0.0.0/8": first, "11.0.0.0/8": second})
    hit = table.lookup(["11.0.0.1", "10.0.0.1"]).values()
    assert isinstance(hit, np.ndarray)
    assert hit.dtype.kind == dtype_kind
    assert hit.tolist() == [second, first]
    missed = table.lookup(["11.0.0.1", "12.0.0.1"])
    with pytest.raises(ValueError, match="default"):
        missed.values()
    assert missed.values(0).tolist() == [second, 0]


@pytest.mark.parametrize("dtype", ["u1", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_a_numpy_column_of_values_comes_back_as_one(dtype: str) -> None:
    values = np.array([3, 1, 2], dtype)
    table = nf.PrefixTable.from_columns(["12.0.0.0", "10.0.0.0", "::"], np.array([8, 8, 0], np.uint8), values)
    found = table.lookup(["10.0.0.1", "12.0.0.1", "::1"]).values()
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.tolist()) == (np.dtype(dtype), [1, 3, 2])
    assert table.lookup(["13.0.0.1", "10.0.0.1"]).values(9).tolist() == [9, 1]


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["c", "a", None]),
        pa.array(["c", "a", "a"], pa.large_string()),
        pa.array([3, 1, None], pa.uint32()),
        pa.array([3, 1, 1], pa.int64()),
        pa.array([1.5, None, 2.5]),
        pa.array([b"x", b"y", b"x"]),
        pa.array([b"x", b"y", None]),
        pa.array(["c", "a", "a"]).dictionary_encode(),
        pa.array([True, False, False]),
        pa.array([True, None, False]),
        pa.array([None, *[False] * 8, True, False, True]).slice(9),
        pa.chunked_array([pa.array([False, True]).slice(1), pa.array([], pa.bool_()), [True, False]]),
    ],
    ids=lambda values: f"{values.type}{' with null' if values.null_count else ''}",
)
def test_an_arrow_column_of_values_comes_back_as_one(values: Any) -> None:
    table = nf.PrefixTable.from_columns(["12.0.0.0", "10.0.0.0", "::"], np.array([8, 8, 0], np.uint8), values)
    exported = pa.array(table.lookup(["10.0.0.1", "12.0.0.1", "::1", "13.0.0.1", None]))
    c, a, six = values.to_pylist()
    assert exported.to_pylist() == [a, c, six, None, None]
    assert [table.get("10.0.0.1"), table.get("12.0.0.1"), table.get("::1")] == [a, c, six]


@pytest.mark.parametrize("values", [pa.array([None, 0], pa.date32()), pa.array([[1]]), pa.array([{"asn": 1}])])
def test_arrow_columns_of_what_is_no_text_and_no_number_are_type_errors(values: Any) -> None:
    with pytest.raises(TypeError, match="Arrow values of format"):
        nf.PrefixTable.from_columns(["12.0.0.0"], np.array([8], np.uint8), values)


class Site(enum.IntEnum):
    OFFICE = 7
    LAB = 8


class Ratio(float):
    pass


EXPORTED: dict[str, tuple[list[Any], Any]] = {
    "bool": ([True, False], pa.bool_()),
    "bool or None": ([True, None], pa.bool_()),
    "int": ([1, -1], pa.int64()),
    "int or None": ([-(2**63), None], pa.int64()),
    "int and one above int64": ([2**63, 1], pa.uint64()),
    "int above int64 or None": ([2**64 - 1, None], pa.uint64()),
    "enumeration": ([Site.OFFICE, Site.LAB], pa.int64()),
    "enumeration or None": ([Site.LAB, None], pa.int64()),
    "a class of float": ([Ratio(0.5), Ratio(2)], pa.float64()),
    "NumPy bool or None": ([np.True_, None], pa.bool_()),
    "NumPy int8 or None": ([np.int8(-1), None], pa.int8()),
    "nothing but None": ([None, None], pa.dictionary(pa.int32(), pa.string())),
}


@pytest.mark.parametrize("kind", EXPORTED)
def test_numbers_are_exported_as_a_column(kind: str) -> None:
    (first, second), wanted = EXPORTED[kind]
    table = nf.PrefixTable({"10.0.0.0/8": first, "11.0.0.0/8": second})
    exported = pa.array(table.lookup(["11.0.0.1", "12.0.0.1", "10.0.0.1", *["10.0.0.1"] * 9]))
    exported.validate(full=True)
    assert exported.type == wanted
    assert exported.to_pylist() == [second, None, *[first] * 10]
    assert pa.array(table.lookup([])).type == wanted


WITHOUT_A_COLUMN: dict[str, tuple[list[Any], str]] = {
    "tuple": ([("a", 1), None], "values of type tuple have"),
    "int and str": ([64496, "64497_64498"], "values of types int and str together have"),
    "str and bytes": (["a", b"a"], "values of types str and bytes together have"),
    "bool and int": ([True, 1], "values of types bool and int together have"),
    "int and float": ([1, 1.5], "values of types int and float together have"),
    "large int and float": ([2**63, 1.5], "values of types int and float together have"),
    "three": ([1, "a", None, b"", "b"], "values of types int, str and bytes together have"),
    "int below int64": ([-(2**63) - 1, 0], "integers from -9223372036854775809 to 0 have"),
    "int above uint64": ([2**64], "integers from 18446744073709551616 to 18446744073709551616 have"),
    "ints of both signs": ([-1, 2**63], "integers from -1 to 9223372036854775808 have"),
    "huge int": ([10**5000], "integers from 0x"),
    "complex": ([1j], "values of type complex have"),
}


@pytest.mark.parametrize("kind", WITHOUT_A_COLUMN)
def test_values_without_an_arrow_column_are_named_by_their_types(kind: str) -> None:
    values, said = WITHOUT_A_COLUMN[kind]
    table = nf.PrefixTable({f"10.{row}.0.0/16": value for row, value in enumerate(values)})
    with pytest.raises(TypeError, match=f"^{said}.* no Arrow column; "):
        pa.array(table.lookup(["10.0.0.1"]))


def test_matches_are_read_by_arrow_and_polars() -> None:
    matches = nf.PrefixTable(ROUTES).lookup(ASKED)
    assert pa.array(matches).to_pylist() == FOUND
    assert pl.Series(matches).cast(pl.String).to_list() == FOUND
    numbers = nf.PrefixTable({"10.0.0.0/8": 7, "11.0.0.0/8": 8}).lookup(["11.0.0.1", "9.0.0.1", "10.0.0.1"])
    exported = pa.array(numbers)
    assert pa.types.is_integer(exported.type)
    assert exported.to_pylist() == pl.Series(numbers).to_list() == [8, None, 7]


def test_matches_outlive_their_table() -> None:
    matches = nf.PrefixTable(dict(ROUTES)).lookup(ASKED)
    exported = pa.array(matches)
    gc.collect()
    assert matches.values() == FOUND
    assert list(matches.prefixes())[3] == "10.1.2.3/32"
    del matches
    gc.collect()
    assert exported.to_pylist() == FOUND


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_columns_take_addresses_in_any_form() -> None:
    texts, lengths = ["10.0.0.0", "2001:db8::", "10.1.0.0"], np.array([8, 32, 16], np.uint8)
    for addresses in (texts, [text.encode() for text in texts], pa.array(texts), nf.parse(texts), np.array(texts)):
        table = nf.PrefixTable.from_columns(addresses, lengths, ["a", "b", "c"])
        assert [table.exact(prefix) for prefix in table] == ["a", "c", "b"]
        assert list(table) == ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]
    numbers = np.array([10 << 24, 11 << 24], np.uint32)
    assert list(nf.PrefixTable.from_columns(numbers, lengths[:2] * 0 + 8, [1, 2])) == ["10.0.0.0/8", "11.0.0.0/8"]
    packed = np.zeros((2, 16), np.uint8)
    packed[1, 0] = 0x20
    assert list(nf.PrefixTable.from_columns(packed, np.array([128, 8], np.uint8), [1, 2])) == ["::/128", "2000::/8"]


@pytest.mark.parametrize(
    ("addresses", "lengths", "values"),
    [
        (["10.0.0.0"], [8, 9], ["a"]),
        (["10.0.0.0"], [8], ["a", "b"]),
        (["10.0.0.0", "11.0.0.0"], [8], ["a"]),
        (["10.0.0.0"], [33], ["a"]),
        (["::"], [129], ["a"]),
        (["x"], [8], ["a"]),
        ([None], [8], ["a"]),
        (["10.0.0.1"], [8], ["a"]),
        (["fe80::%eth0"], [64], ["a"]),
    ],
)
def test_columns_that_do_not_fit_are_value_errors(addresses: Any, lengths: list[int], values: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
        nf.PrefixTable.from_columns(addresses, np.array(lengths, np.uint8), values)


# ---- many at once ----------------------------------------------------------------------------------------------------


def test_eight_threads_may_use_one_table(kernels: str) -> None:
    table = nf.PrefixTable({f"{a}.{b}.0.0/16": a * 256 + b for a in range(0, 256, 2) for b in range(256)})
    start = threading.Barrier(8)

    def work(seed: int) -> bool:
        numbers = np.random.default_rng(seed).integers(0, 2**32, 50_000, np.uint32)
        wanted = np.where(numbers >> 24 & 1, -1, (numbers >> 16).astype(int))
        start.wait()
        return all(np.array_equal(table.lookup(numbers).values(-1), wanted) for _ in range(5)) and all(
            table.get(int(number), -1) == value
            for number, value in zip(numbers[:300].tolist(), wanted[:300].tolist(), strict=True)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


class _Blocks:
    """Python's blocks and the resident pages that a call leaves behind, at the least of some trials."""

    def __init__(self, call: Callable[[], object], rounds: int) -> None:
        trials = []
        for _ in range(4):  # memory that is kept for later grows in some of them, a leak in all
            gc.collect()
            before = sys.getallocatedblocks(), self._pages()
            for _ in range(rounds):
                call()
            gc.collect()
            trials.append((sys.getallocatedblocks() - before[0], self._pages() - before[1]))
        self.blocks, self.pages = (min(column) for column in zip(*trials, strict=True))

    @staticmethod
    def _pages() -> int:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1])


@pytest.mark.parametrize("name", ["build", "lookup", "export", "get", "refuse", "set"])
def test_memory_stays_flat(name: str) -> None:
    items = [(f"10.{n >> 8}.{n & 255}.0/24", f"v{n % 50}") for n in range(3000)]
    prefixes = [prefix for prefix, _ in items[::2]]
    table = nf.PrefixTable(items)
    asked = [f"10.{n >> 8}.{n & 255}.9" for n in range(3000)]

    def refuse() -> None:
        for wrong in ([*items, ("10.0.0.1/8", 1)], [*items, 5]):
            with pytest.raises((TypeError, ValueError)):
                nf.PrefixTable(wrong)

    def export() -> None:
        assert len(pa.array(table.lookup(asked))) == len(asked)
        table.lookup(asked).__arrow_c_array__()

    calls: dict[str, Callable[[], object]] = {
        "build": lambda: nf.PrefixTable(items),
        "lookup": lambda: (table.lookup(asked).values(), list(table.lookup(asked).prefixes())),
        "export": export,
        "get": lambda: [table.get(text, 1) for text in asked[:200]],
        "refuse": refuse,
        "set": lambda: (nf.PrefixSet(prefixes) ^ nf.PrefixSet(prefixes[:900])).complement().contains(asked),
    }
    left = _Blocks(calls[name], 60)
    assert left.blocks < 60
    assert left.pages < 256 or SANITIZED


def test_items_keep_their_reference_counts() -> None:
    items = [("".join(["10.0.", str(n), ".0/24"]), f"value {n}") for n in range(200)]
    addresses = ["".join(["10.0.", str(n), ".7"]) for n in range(200)]
    objects = [part for item in items for part in item] + addresses
    before = [sys.getrefcount(part) for part in objects]
    for _ in range(5):
        table = nf.PrefixTable(items)
        table.lookup(addresses).values()
        assert len([table.get(address) for address in addresses]) == len(table.contains(addresses))
        assert addresses[0] in table
        del table
    gc.collect()
    assert [sys.getrefcount(part) for part in objects] == before


def test_a_table_says_what_it_is(table: nf.PrefixTable) -> None:
    assert {"PrefixTable", "5", "3"} <= set(repr(table).strip("<>").split())


def test_a_table_travels_or_says_that_it_does_not(table: nf.PrefixTable) -> None:
    try:
        twin = pickle.loads(pickle.dumps(table))
    except TypeError:
        return
    assert list(twin) == list(table)
    assert twin.lookup(ASKED).values() == FOUND


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

LONG_CALLS = {
    "uint32": "numbers = np.zeros(250_000_000, np.uint32)\ncall = lambda: table.lookup(numbers, threads=1)",
    "uint8[n, 16]": "rows = np.zeros((120_000_000, 16), np.uint8)\ncall = lambda: table.lookup(rows, threads=1)",
    "text": "call = lambda: table.lookup(np.broadcast_to(text, 60_000_000), threads=1)",
    "threads": "numbers = np.zeros(400_000_000, np.uint32)\ncall = lambda: table.lookup(numbers, threads=2)",
    "contains": "numbers = np.zeros(250_000_000, np.uint32)\ncall = lambda: table.contains(numbers, threads=1)",
    "values": "matches = table.lookup(np.zeros(40_000_000, np.uint32))\ncall = matches.values",
    "prefixes": "matches = table.lookup(np.zeros(40_000_000, np.uint32))\ncall = lambda: list(matches.prefixes())",
}
CODE = """
import time
import numpy as np
import netfast as nf

text = np.array(["2001:db8:1111:2222:3333:4444:5555:6666"])
table = nf.PrefixTable({{"0.0.0.0/1": "label", "10.0.0.0/8": "ten", "2001:db8::/32": "six", "::/0": "all"}})
{call}
print("ready", flush=True)
try:
    call()
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
else:
    print("finished", flush=True)
"""


def interrupt(call: str) -> float | None:
    """Seconds from Ctrl-C to the exception in a process that makes the call; None if it was done before."""
    command = [sys.executable, "-c", CODE.format(call=call)]
    environment = os.environ | {"NETFAST_KERNELS": "scalar"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.stdout.readline().strip()
        process.kill()
    assert said, "the process died"
    return None if said == "finished" else float(said) - sent


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("name", LONG_CALLS)
def test_ctrl_c_answers_within_a_fifth_of_a_second(name: str) -> None:
    waited = interrupt(LONG_CALLS[name])
    assert waited is not None, "the call was done before Ctrl-C came: nothing was tested"
    assert waited < 0.2
