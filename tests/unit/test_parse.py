"""netfast.parse, AddressArray and format_addresses: what every name of theirs promises."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import netfast as nf

ROWS: list[Any] = ["10.0.0.1", "bad", None, "255.255.255.255", "0.0.0.0"]
MIXED: list[Any] = ["10.0.0.1", "2001:db8::1", "bad", None, "fe80::1%eth0", "::ffff:1.2.3.4", "::"]


def packed(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_columns_of_ipv4_rows() -> None:
    a = nf.parse(ROWS)
    assert len(a) == 5
    assert (a.version.dtype, a.version.tolist()) == (np.dtype(np.uint8), [4, 0, 0, 4, 4])
    assert (a.null.dtype, a.null.tolist()) == (np.dtype(bool), [False, False, True, False, False])
    assert (a.v4.dtype, a.v4.tolist()) == (np.dtype(np.uint32), [0x0A000001, 0, 0, 0xFFFFFFFF, 0])
    assert a.zone == [None] * 5
    assert a.to_list() == ["10.0.0.1", None, None, "255.255.255.255", "0.0.0.0"]


def test_columns_of_mixed_rows() -> None:
    a = nf.parse(MIXED)
    assert a.version.tolist() == [4, 6, 0, 0, 6, 6, 6]
    assert a.null.tolist() == [False, False, False, True, False, False, False]
    assert a.zone == [None, None, None, None, "eth0", None, None]
    assert a.to_list() == ["10.0.0.1", "2001:db8::1", None, None, "fe80::1%eth0", "::ffff:1.2.3.4", "::"]


@pytest.mark.parametrize("rows", [ROWS, MIXED, ["::1"], [None], []])
def test_packed_is_16_bytes_a_row_in_network_order(rows: list[Any]) -> None:
    a = nf.parse(rows)
    assert (a.packed.dtype, a.packed.shape) == (np.dtype(np.uint8), (len(rows), 16))
    texts = [text and text.partition("%")[0] for text in a.to_list()]
    assert [bytes(row) for row in a.packed] == [packed(text) if text else bytes(16) for text in texts]
    assert a.packed.flags.c_contiguous


def test_an_ipv4_address_and_its_mapped_twin_differ_by_version_only() -> None:
    a = nf.parse(["1.2.3.4", "::ffff:1.2.3.4"])
    assert bytes(a.packed[0]) == bytes(a.packed[1])
    assert a.version.tolist() == [4, 6]
    assert a.to_list() == ["1.2.3.4", "::ffff:1.2.3.4"]
    assert a.classify().kind.tolist() == ["global", "mapped"]


@pytest.mark.parametrize("row", [0, 1, 300, 999])
def test_v4_is_a_value_error_where_any_row_is_ipv6(row: int) -> None:
    rows = ["1.2.3.4"] * 1000
    rows[row] = "::1"
    with pytest.raises(ValueError, match=r"^1 rows are IPv6.*packed"):
        nf.parse(rows).v4  # noqa: B018


def test_v4_is_there_as_long_as_no_row_is_ipv6() -> None:
    a = nf.parse(["1.2.3.4", "::1::", ":", "::%", None])
    assert a.v4.tolist() == [0x01020304, 0, 0, 0, 0]
    assert a.packed.shape == (5, 16)
    assert a.v4.tolist() == [0x01020304, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["version", "null", "v4", "packed"])
def test_columns_in_place_are_read_only(name: str) -> None:
    column = getattr(nf.parse(["1.2.3.4", None]), name)
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 6
    with pytest.raises(ValueError, match="WRITEABLE"):
        column.flags.writeable = True


def test_columns_are_of_one_memory_however_often_they_are_asked_for() -> None:
    a = nf.parse(["1.2.3.4", "::1"])
    for name in ("version", "packed"):
        assert np.shares_memory(getattr(a, name), getattr(a, name))


def test_repr_counts_both_versions() -> None:
    assert repr(nf.parse(MIXED)) == "<AddressArray of 7 rows: 1 IPv4, 4 IPv6>"
    assert repr(nf.parse(["1.2.3.4"] * 1234)) == "<AddressArray of 1,234 rows: 1,234 IPv4, 0 IPv6>"
    assert repr(nf.parse([])) == "<AddressArray of 0 rows: 0 IPv4, 0 IPv6>"


def test_parsing_parsed_addresses_gives_them_back() -> None:
    a = nf.parse(MIXED)
    assert nf.parse(a) is a


# ---- zones -----------------------------------------------------------------------------------------------------------

ZONES = [
    "eth0",
    "0",
    "a b",
    ".",
    "::1",
    "1.2.3.4",
    "\u00e9",
    "\u5730\u5740",
    "\U0001f600",
    "x" * 500,
    "\n",
    "\0",
    "\x7f",
]


@pytest.mark.parametrize("zone", ZONES, ids=repr)
@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda rows: [row.encode() for row in rows],
        pa.array,
        lambda rows: pa.array(rows, pa.string_view()),
        lambda rows: pa.array(rows, pa.large_binary()),
        lambda rows: pa.array(rows).dictionary_encode(),
        lambda rows: [ipaddress.ip_address(row) for row in rows],
    ],
)
def test_zones_are_kept_apart_as_they_were_written(zone: str, form: Callable[[list[str]], Any]) -> None:
    rows = [f"fe80::1%{zone}", "::1", f"::ffff:1.2.3.4%{zone}", "1.2.3.4", f"FE80::1%{zone}"]
    a = nf.parse(form(rows))
    assert a.zone == [zone, None, zone, None, zone]
    assert a.version.tolist() == [6, 6, 6, 4, 6]
    assert bytes(a.packed[0]) == packed("fe80::1")
    assert a.to_list() == [f"fe80::1%{zone}", "::1", f"::ffff:1.2.3.4%{zone}", "1.2.3.4", f"fe80::1%{zone}"]
    assert a.to_list() == nf.format_addresses(form(rows))


@pytest.mark.parametrize("zone", [zone for zone in ZONES if not zone.endswith("\0")], ids=repr)
@pytest.mark.parametrize("wide", [0, 20])
def test_zones_in_numpy_text_are_kept_as_they_were_written(zone: str, wide: int) -> None:
    text = f"fe80::1%{zone}"
    assert nf.parse(np.array([text, "::1"], f"U{len(text) + wide}")).zone == [zone, None]
    encoded = text.encode()
    assert nf.parse(np.array([encoded, b"::1"], f"S{len(encoded) + wide}")).zone == [zone, None]


@pytest.mark.parametrize("text", ["fe80::1%" + "a" * 500 + end for end in ("%", "/", "%b", "/b")])
def test_a_long_zone_is_looked_at_to_its_end(text: str) -> None:
    for form in ([text], [text.encode()], np.array([text]), np.array([text.encode()]), pa.array([text])):
        assert nf.parse(form).version.tolist() == [0]


@pytest.mark.parametrize("size", [118, 119, 120, 121, 127, 128, 129, 2000])
@pytest.mark.parametrize("bad", ["", "%", "/"])
def test_numpy_text_of_any_length_may_end_in_a_zone(size: int, bad: str) -> None:
    text = "fe80::1%" + "\u00e9" * size + bad
    assert nf.parse(np.array([text, "1.2.3.4"])).zone == [None if bad else text[8:], None]
    assert nf.parse(np.array([text[8:], "1" * size, "1.2.3.4" * size])).version.tolist() == [0, 0, 0]


def test_zones_that_are_not_utf8_survive_as_names_of_the_operating_system_do() -> None:
    for form in ([b"fe80::1%\xff\xfe"], pa.array([b"fe80::1%\xff\xfe"], pa.binary()), np.array([b"fe80::1%\xff\xfe"])):
        assert nf.parse(form).zone == ["\udcff\udcfe"]
    assert nf.parse(["fe80::1%\udcff\ud800"]).zone == ["\udcff\ud800"]


def test_zones_that_are_not_utf8_are_replaced_in_arrow() -> None:
    made = pa.array(nf.parse([b"fe80::1%\xff", "::1"]))
    made.validate(full=True)
    assert made.to_pylist() == ["fe80::1%?", "::1"]


def test_a_zone_never_takes_part_in_the_class() -> None:
    c = nf.classify(["fe80::1%eth0", "::1%1", "2001:db8::%x"])
    assert c.kind.tolist() == ["link_local", "loopback", "documentation"]


@pytest.mark.parametrize(
    "text", ["1.2.3.4%eth0", "1.2.3.4%", "%eth0", "%", "fe80::1%", "fe80::1%%", "::1%a%b", "::1%/"]
)
def test_ipv4_has_no_zone_and_a_zone_is_not_empty_and_has_no_percent_or_slash(text: str) -> None:
    assert nf.parse([text]).version.tolist() == [0]


# ---- errors ----------------------------------------------------------------------------------------------------------

BAD: list[tuple[str, int, str]] = [
    ("", 0, "empty text"),
    ("x", 0, "character that no address has there"),
    (" 1.2.3.4", 0, "character that no address has there"),
    ("1.2.3.4 ", 7, "character that no address has there"),
    ("1.2.3.4/8", 7, "character that no address has there"),
    ("1.2.3", 5, "not four octets"),
    ("1.2.3.4.5", 7, "not four octets"),
    ("1..2.3", 2, "empty octet"),
    ("1.2.3.", 6, "empty octet"),
    ("1234.5.6.7", 3, "octet of more than three digits"),
    ("1.2.03.4", 4, "octet with a leading zero"),
    ("1.2.3.256", 6, "octet above 255"),
    ("1.2.3.\u0664", 6, "character that no address has there"),
    ("1:2:3:4:5:6:7", 13, "not eight groups"),
    ("1:2:3:4:5:6:7:8:9", 16, "not eight groups"),
    ("1:2:3:4::5:6:7:8", 7, "not eight groups"),
    ("12345::", 4, "group of more than four hexadecimal digits"),
    ("::g", 2, "character that no address has there"),
    (":1::", 0, "single colon at an end"),
    ("1::2:", 4, "single colon at an end"),
    ("1::2::3", 5, "more than one '::'"),
    (":::", 2, "more than one '::'"),
    ("::1.2.3", 7, "not four octets"),
    ("::1.2.3.256", 8, "octet above 255"),
    ("fe80::1%", 8, "empty zone id"),
    ("fe80::1%a%b", 9, "'%' or '/' in the zone id"),
    ("fe80::1%\u00e9\u00e9/", 10, "'%' or '/' in the zone id"),
]


@pytest.mark.parametrize(("text", "position", "reason"), BAD)
def test_errors_raise_says_where_and_why(text: str, position: int, reason: str) -> None:
    with pytest.raises(nf.AddressError) as caught:
        nf.parse(["1.2.3.4", text], errors="raise")
    error = caught.value
    assert (error.text, error.index, error.position, error.reason) == (text, 1, position, reason)


def test_all_reasons_are_covered_here() -> None:
    from netfast import _core

    assert {reason for _, _, reason in BAD} == set(_core.REASONS.values())


@pytest.mark.parametrize(("text", "position", "reason"), BAD)
@pytest.mark.parametrize(
    "form",
    [
        pa.array,
        lambda rows: pa.array(rows, pa.string_view()),
        lambda rows: pa.chunked_array([rows[:1], rows[1:]]),
        lambda rows: pa.array(rows).dictionary_encode(),
        pl.Series,
        np.array,
    ],
)
def test_errors_raise_says_the_same_of_a_column(
    form: Callable[[list[str]], Any], text: str, position: int, reason: str
) -> None:
    with pytest.raises(nf.AddressError) as caught:
        nf.parse(form(["1.2.3.4", text]), errors="raise")
    error = caught.value
    assert (error.text, error.index, error.position, error.reason) == (text, 1, position, reason)


def test_the_text_of_an_error_is_the_bytes_that_were_given() -> None:
    with pytest.raises(nf.AddressError) as caught:
        nf.parse([b"::1", b"fe80::1%\xff\xc3\xa9/"], errors="raise")
    error = caught.value
    assert (error.text, error.index, error.position) == (b"fe80::1%\xff\xc3\xa9/", 1, 11)


def test_bytes_of_a_column_that_are_no_text_are_shown_escaped() -> None:
    with pytest.raises(nf.AddressError) as caught:
        nf.parse(pa.array([b"1.2.3.4\xff"], pa.binary()), errors="raise")
    assert (caught.value.text, caught.value.position) == ("1.2.3.4\\xff", 7)


@pytest.mark.parametrize("number", [-1, -(2**200), 2**128, 10**5000, np.int64(-5)], ids=lambda n: hex(n)[:9])
def test_integers_out_of_range_are_invalid_rows(number: int) -> None:
    assert nf.parse([number, 1]).version.tolist() == [0, 4]
    with pytest.raises(nf.AddressError) as caught:
        nf.parse(["1.2.3.4", number], errors="raise")
    assert caught.value.index == 1
    assert caught.value.reason == "integer below 0 or above 2**128 - 1"
    assert isinstance(caught.value.text, str)
    assert int(caught.value.text, 0) == number


@pytest.mark.parametrize(
    ("number", "version"), [(0, 4), (2**32 - 1, 4), (2**32, 6), (2**64, 6), (2**127, 6), (2**128 - 1, 6)]
)
def test_integers_below_2_to_the_32_are_ipv4_and_the_rest_ipv6(number: int, version: int) -> None:
    a = nf.parse([number])
    assert a.version.tolist() == [version]
    assert int.from_bytes(a.packed[0].tobytes(), "big") == number + (0xFFFF << 32 if version == 4 else 0)


@pytest.mark.parametrize("index", [0, 255, 256, 300])
def test_errors_raise_finds_the_first_bad_row_among_nulls(index: int) -> None:
    rows: list[Any] = [None, "1.2.3.4"] * 200
    rows[index] = "bad"
    rows[-1] = "worse"
    for form in (rows, pa.array(rows), pa.chunked_array([rows[:100], rows[100:]])):
        with pytest.raises(nf.AddressError) as caught:
            nf.parse(form, errors="raise")
        assert (caught.value.index, caught.value.text) == (index, "bad")


@pytest.mark.parametrize("errors", ["coerce", "", None])
def test_other_values_of_errors_are_value_errors(errors: Any) -> None:
    with pytest.raises(ValueError, match='wanted "mask" or "raise"'):
        nf.parse(["1.2.3.4"], errors=errors)


@pytest.mark.parametrize("rows", [["1.2.3.4"], pa.array(["1.2.3.4"]), nf.parse([])], ids=type)
def test_fewer_than_one_thread_is_a_value_error(rows: Any) -> None:
    with pytest.raises(ValueError, match="wanted at least 1"):
        nf.parse(rows, threads=0)


# ---- truncate --------------------------------------------------------------------------------------------------------

TRUNCATED = [
    "255.255.255.255",
    "1.2.3.4",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8:1:2:3:4:5:6",
    "::ffff:9.9.9.9",
]


@pytest.mark.parametrize("v4", range(33))
def test_truncate_zeroes_what_is_past_the_length_of_ipv4(v4: int) -> None:
    for rows in (TRUNCATED[:2], TRUNCATED):
        made = nf.parse(rows).truncate(v4=v4)
        expected = [str(ipaddress.ip_network(f"{row}/{v4}", strict=False)[0]) for row in rows[:2]]
        assert made.to_list()[:2] == expected
        assert made.classify().codes[:2].tolist() == nf.classify(expected).codes.tolist()


@pytest.mark.parametrize("v6", range(129))
def test_truncate_zeroes_what_is_past_the_length_of_ipv6(v6: int) -> None:
    made = nf.parse(TRUNCATED).truncate(v6=v6)
    expected = [ipaddress.ip_network(f"{row}/{v6}", strict=False)[0].packed for row in TRUNCATED[2:]]
    assert [bytes(row) for row in made.packed[2:]] == expected


def test_truncate_takes_24_and_48_bits_unless_told() -> None:
    a = nf.parse(["192.0.2.77", "2001:db8:1:2::3"])
    assert a.truncate().to_list() == ["192.0.2.0", "2001:db8:1::"]
    assert a.truncate(8, 32).to_list() == ["192.0.0.0", "2001:db8::"]


def test_truncate_drops_zones_keeps_nulls_and_leaves_the_source_alone() -> None:
    a = nf.parse(["fe80::1%eth0", None, "bad", "10.1.2.3"])
    made = a.truncate(16, 64)
    assert made.zone == [None] * 4
    assert made.to_list() == ["fe80::", None, None, "10.1.0.0"]
    assert made.null.tolist() == a.null.tolist() == [False, True, False, False]
    assert made.version.tolist() == a.version.tolist() == [6, 0, 0, 4]
    assert a.to_list() == ["fe80::1%eth0", None, None, "10.1.2.3"]


def test_truncate_keeps_the_integers_of_ipv4_rows() -> None:
    a = nf.parse(["255.255.255.255", "1.2.3.4", None])
    assert a.packed.shape == (3, 16)  # asked for before
    assert a.truncate(20).v4.tolist() == [0xFFFFF000, 0x01020000, 0]
    assert nf.parse(["255.255.255.255"]).truncate(1).v4.tolist() == [0x80000000]


@pytest.mark.parametrize(("v4", "v6", "name"), [(-1, 48, "v4"), (33, 48, "v4"), (24, -1, "v6"), (24, 129, "v6")])
def test_prefix_lengths_out_of_range_are_value_errors(v4: int, v6: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}=.*wanted a prefix length of 0 to"):
        nf.parse(["1.2.3.4"]).truncate(v4, v6)


@pytest.mark.parametrize("length", ["24", None, 24.5, [24]])
def test_prefix_lengths_that_are_no_integers_are_type_errors(length: Any) -> None:
    with pytest.raises(TypeError):
        nf.parse(["1.2.3.4"]).truncate(length)


# ---- text ------------------------------------------------------------------------------------------------------------

FORMATTED: list[tuple[Any, str | None]] = [
    (1, "0.0.0.1"),
    (2**127, "8000::"),
    ("2001:DB8:0:0::1", "2001:db8::1"),
    ("nonsense", None),
    (None, None),
    # RFC 5952: the longest run of zero groups, the first of equals, never one group; lower case, no leading zeros
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("0:0:1:0:0:0:1:0", "0:0:1::1:0"),
    ("1:0:0:0:0:0:0:0", "1::"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("0:0:0:0:0:0:0:0", "::"),
    ("00AB:0c00:000d:E:F:0:1:0", "ab:c00:d:e:f:0:1:0"),
    # dotted decimal in ::ffff:0:0/96 only
    ("::ffff:102:304", "::ffff:1.2.3.4"),
    ("::ffff:0:0", "::ffff:0.0.0.0"),
    ("::1.2.3.4", "::102:304"),
    ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ("::ffff:0:1.2.3.4", "::ffff:0:102:304"),
    ("fe80::0:1%Eth0", "fe80::1%Eth0"),
]


@pytest.mark.parametrize(("item", "text"), FORMATTED)
def test_text_is_that_of_rfc_5952(item: Any, text: str | None) -> None:
    assert nf.format_addresses([item]) == nf.parse([item]).to_list() == [text]


def test_format_addresses_takes_and_refuses_what_parse_does() -> None:
    assert nf.format_addresses([]) == []
    assert nf.format_addresses(np.array([0x01020304], np.uint32)) == ["1.2.3.4"]
    assert nf.format_addresses(row for row in MIXED) == nf.parse(MIXED).to_list()
    with pytest.raises(TypeError, match="item 1 is float"):
        nf.format_addresses(["1.2.3.4", 1.5])
    with pytest.raises(TypeError, match=r"nf\.address"):
        nf.format_addresses("1.2.3.4")


def test_text_is_plain_str() -> None:
    texts = nf.format_addresses([np.str_("1.2.3.4"), b"::1", "fe80::1%x"])
    assert [type(text) for text in texts] == [str] * 3
    assert all(text is not None and text.isascii() and hash(text) == hash(str(text)) for text in texts)


# ---- Arrow -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [ROWS, MIXED, [None], ["bad"], [], ["::1%\u00e9", "1.2.3.4"] * 100], ids=len)
def test_arrow_export_is_utf8_and_null_where_there_is_no_address(rows: list[Any]) -> None:
    a = nf.parse(rows)
    made = pa.array(a)
    made.validate(full=True)
    assert made.type == pa.string()
    assert made.to_pylist() == a.to_list()
    assert made.null_count == a.to_list().count(None)
    assert hasattr(a, "__arrow_c_array__")
    assert not hasattr(a, "__arrow_c_stream__")


def test_arrow_export_round_trips() -> None:
    a = nf.parse(MIXED)
    again = nf.parse(pa.array(a))
    assert again.to_list() == a.to_list()
    assert again.zone == a.zone
    assert again.packed.tolist() == a.packed.tolist()


def test_polars_and_duckdb_read_the_export() -> None:
    a = nf.parse(MIXED)
    assert pl.Series(a).to_list() == a.to_list()
    table = pa.table({"ip": pa.array(a)})
    connection = duckdb.connect()
    connection.register("found", table)
    assert connection.sql("SELECT ip FROM found").fetchall() == [(text,) for text in a.to_list()]


# --- memory ----------------------------------------------------------------------------------------------------------


def test_a_large_result_takes_over_the_memory_of_one_that_died() -> None:
    numbers = np.arange(5_000_000, dtype=np.uint32)
    dying = nf.parse(numbers)
    first = dying.v4.ctypes.data
    del dying
    again = nf.parse(numbers + 1)
    assert again.v4.ctypes.data == first
    assert np.array_equal(again.v4, numbers + 1)


def test_memory_that_an_array_looks_at_is_not_taken_over() -> None:
    numbers = np.arange(5_000_000, dtype=np.uint32)
    kept = nf.parse(numbers).v4
    other = nf.parse(numbers + 1).v4
    assert np.array_equal(kept, numbers)
    assert np.array_equal(other, numbers + 1)
