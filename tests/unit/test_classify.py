"""netfast.classify and Classification: what every name of theirs promises."""

from __future__ import annotations

import inspect
import ipaddress
import sys
from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import netfast as nf

# address, kind, network class, block, is_global: a row of every kind, by hand from the registries (2026-07-18).
ROWS: list[tuple[Any, str, str, str, bool]] = [
    ("8.8.8.8", "global", "A", "0.0.0.0/1", True),
    ("129.0.0.1", "global", "B", "128.0.0.0/2", True),
    ("193.0.0.1", "global", "C", "192.0.0.0/3", True),
    ("2606:4700::1111", "global", "", "2000::/3", True),
    ("10.255.0.1", "private", "A", "10.0.0.0/8", False),
    ("172.31.0.1", "private", "B", "172.16.0.0/12", False),
    ("192.168.1.1", "private", "C", "192.168.0.0/16", False),
    ("fd00::1", "private", "", "fc00::/7", False),
    ("100.127.255.255", "shared", "A", "100.64.0.0/10", False),
    ("127.1.2.3", "loopback", "A", "127.0.0.0/8", False),
    ("::1", "loopback", "", "::1/128", False),
    ("169.254.169.254", "link_local", "B", "169.254.0.0/16", False),
    ("fe80::1", "link_local", "", "fe80::/10", False),
    ("224.0.0.251", "multicast", "D", "224.0.0.0/4", False),
    ("ff0e::1", "multicast", "", "ff00::/8", False),
    ("255.255.255.255", "broadcast", "E", "255.255.255.255/32", False),
    ("0.0.0.0", "unspecified", "A", "0.0.0.0/32", False),
    ("::", "unspecified", "", "::/128", False),
    ("0.1.2.3", "this_network", "A", "0.0.0.0/8", False),
    ("203.0.113.7", "documentation", "C", "203.0.113.0/24", False),
    ("2001:db8::1", "documentation", "", "2001:db8::/32", False),
    ("3fff:fff::1", "documentation", "", "3fff::/20", False),
    ("198.19.0.1", "benchmarking", "C", "198.18.0.0/15", False),
    ("240.0.0.1", "reserved", "E", "240.0.0.0/4", False),
    ("4000::1", "reserved", "", "::/0", False),
    ("192.0.0.1", "protocol", "C", "192.0.0.0/29", False),
    ("192.0.0.100", "protocol", "C", "192.0.0.0/24", False),
    ("192.0.0.9", "anycast", "C", "192.0.0.9/32", True),
    ("192.88.99.2", "anycast", "C", "192.88.99.2/32", False),
    ("192.0.0.170", "translation", "C", "192.0.0.170/32", False),
    ("192.0.0.171", "translation", "C", "192.0.0.171/32", False),
    ("64:ff9b::1", "translation", "", "64:ff9b::/96", True),
    ("64:ff9b:1::1", "translation", "", "64:ff9b:1::/48", False),
    ("::ffff:8.8.8.8", "mapped", "", "::ffff:0:0/96", False),
    ("2002:808:808::1", "tunnel", "", "2002::/16", False),
    ("2001::1", "tunnel", "", "2001::/32", False),
    ("100::1", "discard", "", "100::/64", False),
    ("192.0.0.8", "dummy", "C", "192.0.0.8/32", False),
    ("2001:20::1", "identifier", "", "2001:20::/28", True),
    ("5f00::1", "srv6", "", "5f00::/16", False),
    ("192.88.99.1", "deprecated", "C", "192.88.99.0/24", False),
    ("1.2.3", "invalid", "", "", False),
]
TEXTS = [row[0] for row in ROWS]
BLOCK_OF_PREFIX = {block.prefix: block for block in nf.BLOCKS}
PROPERTIES = (
    *("is_private", "is_shared", "is_loopback", "is_link_local", "is_multicast", "is_broadcast", "is_unspecified"),
    *("is_documentation", "is_reserved"),
)


@pytest.fixture
def classification() -> nf.Classification:
    """The rows above, then a null."""
    return nf.classify([*TEXTS, None])


# ---- what every row is -----------------------------------------------------------------------------------------------


def test_the_rows_here_have_every_kind() -> None:
    assert {row[1] for row in ROWS} == set(nf.KINDS)


def test_every_row_is_what_the_registries_say(classification: nf.Classification) -> None:
    blocks = list(classification)[:-1]
    assert [(b.kind, b.network_class, b.prefix) for b in blocks] == [(kind, c, block) for _, kind, c, block, _ in ROWS]
    assert classification.is_global.tolist() == [*(row[4] for row in ROWS), False]


def test_rows_are_blocks_by_index_from_either_end(classification: nf.Classification) -> None:
    assert len(classification) == len(ROWS) + 1
    assert classification[0] is BLOCK_OF_PREFIX["0.0.0.0/1"]
    assert classification[-2] is classification[len(ROWS) - 1] is classification[-1] is nf.BLOCKS[0]
    assert classification[np.int64(4)].prefix == "10.0.0.0/8"  # type: ignore[index]
    assert [classification[row] for row in range(len(classification))] == list(classification)


@pytest.mark.parametrize("row", [len(ROWS) + 1, -len(ROWS) - 2, 10**30])
def test_a_row_that_is_not_there_is_an_index_error(classification: nf.Classification, row: int) -> None:
    with pytest.raises(IndexError):
        classification[row]


@pytest.mark.parametrize("row", ["0", 0.0, slice(2), None])
def test_a_row_number_is_an_integer(classification: nf.Classification, row: Any) -> None:
    with pytest.raises(TypeError):
        classification[row]


def test_iteration_starts_anew_each_time(classification: nf.Classification) -> None:
    assert list(classification) == list(classification)
    assert nf.BLOCKS[0] in classification


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_columns_have_the_types_and_shapes_they_promise(classification: nf.Classification) -> None:
    n = len(classification)
    assert (classification.codes.dtype, classification.codes.shape) == (np.dtype(np.uint8), (n,))
    assert (classification.kind_codes.dtype, classification.kind_codes.shape) == (np.dtype(np.int8), (n,))
    for name in ("valid", "null", "is_global", *PROPERTIES):
        column = getattr(classification, name)
        assert (name, column.dtype, column.shape) == (name, np.dtype(bool), (n,))
    for name in ("kind", "network_class"):
        column = getattr(classification, name)
        assert (name, column.dtype, column.shape) == (name, np.dtype(object), (n,))


def test_codes_are_rows_of_blocks(classification: nf.Classification) -> None:
    assert [nf.BLOCKS[code].prefix for code in classification.codes] == [*(row[3] for row in ROWS), ""]


def test_kind_codes_are_indices_into_kinds(classification: nf.Classification) -> None:
    assert [nf.KINDS[code] for code in classification.kind_codes] == [*(row[1] for row in ROWS), "invalid"]


def test_kind_and_network_class_are_strings_and_none_where_null(classification: nf.Classification) -> None:
    assert classification.kind.tolist() == [*(row[1] for row in ROWS), None]
    assert classification.network_class.tolist() == [*(row[2] for row in ROWS), None]


def test_kinds_share_the_strings_of_kinds(classification: nf.Classification) -> None:
    shared = {id(kind) for kind in nf.KINDS}
    assert {id(kind) for kind in classification.kind[:-1]} == shared


def test_valid_and_null_tell_addresses_invalid_rows_and_nulls_apart() -> None:
    c = nf.classify(["1.2.3.4", "1.2.3", None, "::1", ""])
    assert c.valid.tolist() == [True, False, False, True, False]
    assert c.null.tolist() == [False, False, True, False, False]
    assert c.codes[1:3].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["codes", "null"])
@pytest.mark.parametrize("rows", [["1.2.3.4"], [None]])
def test_columns_in_place_are_read_only(name: str, rows: list[Any]) -> None:
    column = getattr(nf.classify(rows), name)
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        column.flags.writeable = True


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_is_property_means_that_kind_and_no_other(classification: nf.Classification, name: str) -> None:
    kind = name.removeprefix("is_")
    assert getattr(classification, name).tolist() == [*(row[1] == kind for row in ROWS), False]
    assert getattr(classification, name).any()


def test_the_is_properties_are_those_of_the_contract() -> None:
    public = {name for name, _ in inspect.getmembers(nf.Classification) if name.startswith("is_")}
    assert public == {*PROPERTIES, "is_global"}


def test_private_is_the_textbooks_and_not_ipaddress_s() -> None:
    rows = ["192.0.2.1", "127.0.0.1", "10.0.0.1", "fc00::1", "169.254.0.1"]
    assert all(ipaddress.ip_address(row).is_private for row in rows)
    assert nf.classify(rows).is_private.tolist() == [False, False, True, True, False]


def test_global_is_true_only_where_the_most_specific_row_says_so_or_for_ordinary_unicast() -> None:
    for code, block in enumerate(nf.BLOCKS[1:], 1):
        address = block.prefix.partition("/")[0]
        if nf.classify([address])[0] is not block:  # a narrower block begins there too
            address = str(ipaddress.ip_network(block.prefix)[-1])
        c = nf.classify([address])
        if c.codes[0] == code:
            assert c.is_global[0] == (block.is_global is True or block.kind == "global"), block


def test_multicast_teredo_and_6to4_are_not_global() -> None:
    assert nf.classify(["224.0.0.1", "239.1.1.1", "ff0e::1", "2001::1", "2002::1", "192.88.99.1"]).is_global.any() == 0


# ---- counts ----------------------------------------------------------------------------------------------------------

COUNTED = ["10.0.0.1"] * 3 + ["8.8.8.8"] * 5 + ["x"] + [None] * 7 + ["::1"] * 4 + ["192.168.0.1"] * 3 + ["172.16.0.1"]


def test_counts_are_by_kind_largest_first_without_nulls() -> None:
    counts = nf.classify(COUNTED).counts()
    assert list(counts.items()) == [("private", 7), ("global", 5), ("loopback", 4), ("invalid", 1)]
    assert nf.classify(COUNTED).counts(by="kind") == counts
    assert all(type(count) is int for count in counts.values())


def test_counts_are_by_network_class_with_ipv6_and_invalid_rows_under_the_empty_string() -> None:
    assert list(nf.classify(COUNTED).counts("network_class").items()) == [("A", 8), ("", 5), ("C", 3), ("B", 1)]


def test_counts_are_by_block_under_its_prefix() -> None:
    assert list(nf.classify(COUNTED).counts(by="block").items()) == [
        ("0.0.0.0/1", 5),
        ("::1/128", 4),
        ("10.0.0.0/8", 3),
        ("192.168.0.0/16", 3),
        ("", 1),
        ("172.16.0.0/12", 1),
    ]


@pytest.mark.parametrize("by", ["kind", "network_class", "block"])
def test_counts_are_the_columns_counted(by: Any) -> None:
    c = nf.classify([*TEXTS, None] * 3 + TEXTS[::2])
    columns = {
        "kind": c.kind.tolist(),
        "network_class": c.network_class.tolist(),
        "block": [None if null else block.prefix for block, null in zip(c, c.null, strict=True)],
    }
    expected = Counter(name for name in columns[by] if name is not None)
    assert c.counts(by) == dict(expected)
    assert list(c.counts(by).values()) == sorted(expected.values(), reverse=True)


def test_nothing_but_nulls_counts_nothing() -> None:
    assert nf.classify([None, None]).counts() == {}


@pytest.mark.parametrize("by", ["kinds", "", None, 1])
def test_counts_by_anything_else_is_a_value_error(by: Any) -> None:
    with pytest.raises(ValueError, match='wanted "kind", "network_class" or "block"'):
        nf.classify(["1.2.3.4"]).counts(by)


# ---- unwrap ----------------------------------------------------------------------------------------------------------

CARRIERS: list[tuple[str, str, str]] = [
    ("::ffff:192.168.0.1", "mapped", "private"),
    ("::ffff:8.8.8.8", "mapped", "global"),
    ("64:ff9b::10.0.0.1", "translation", "private"),
    ("64:ff9b::127.0.0.1", "translation", "loopback"),
    ("2002:c0a8:1::1", "tunnel", "private"),
    ("2002:e000:1::", "tunnel", "multicast"),
    # Teredo: the last four bytes are those of the client, inverted (RFC 4380 section 4)
    ("2001:0:1234::f5ff:fffe", "tunnel", "private"),
    ("2001::", "tunnel", "broadcast"),
]
CARRY_NOTHING = [
    *("64:ff9b:1::10.0.0.1", "64:ff9b::1:10.0.0.1", "::10.0.0.1", "::fffe:10.0.0.1", "::1:ffff:10.0.0.1"),
    *("2001:1::f5ff:fffe", "2003:c0a8:1::1", "10.0.0.1", "::ffff:0:10.0.0.1", "x"),
]


@pytest.mark.parametrize(("text", "kind", "carried"), CARRIERS)
def test_unwrap_classifies_what_an_address_carries(text: str, kind: str, carried: str) -> None:
    for form in ([text], [text.encode()], [ipaddress.ip_address(text)], pa.array([text]), nf.parse([text])):
        assert nf.classify(form).kind.tolist() == [kind]
        assert nf.classify(form, unwrap=True).kind.tolist() == [carried]
    packed = np.frombuffer(ipaddress.ip_address(text).packed, np.uint8).reshape(1, 16)
    assert nf.classify(packed, unwrap=True).kind.tolist() == [carried]
    assert nf.classify(pa.array([text]).dictionary_encode(), unwrap=True).kind.tolist() == [carried]
    assert nf.parse([text]).classify(unwrap=True).kind.tolist() == [carried]


@pytest.mark.parametrize("text", CARRY_NOTHING)
def test_unwrap_leaves_everything_else_as_it_is(text: str) -> None:
    assert nf.classify([text], unwrap=True)[0] is nf.classify([text])[0]


def test_unwrap_gives_the_class_of_what_is_carried() -> None:
    texts = [text for text, _, _ in CARRIERS]
    assert nf.classify(texts, unwrap=True).network_class.tolist() == ["C", "A", "A", "A", "C", "D", "A", "E"]
    assert set(nf.classify(texts).network_class) == {""}


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_invalid_rows_are_rows_unless_asked_otherwise() -> None:
    c = nf.classify(["1.2.3.4", "1.2.3.256", None])
    assert c.kind.tolist() == ["global", "invalid", None]
    assert nf.classify(["1.2.3.256"], errors="mask").kind.tolist() == ["invalid"]


def test_errors_raise_tells_which_row_where_and_why() -> None:
    with pytest.raises(nf.AddressError) as caught:
        nf.classify(["1.2.3.4", None, "::1", "1.2.3.256", "also bad"], errors="raise")
    error = caught.value
    assert (error.text, error.index, error.position, error.reason) == ("1.2.3.256", 3, 6, "octet above 255")
    assert str(error) == "row 3: '1.2.3.256' is not an IP address: octet above 255 (at character 7)"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 257, 999])
@pytest.mark.parametrize(
    "form", [list, tuple, pa.array, np.array, pl.Series, pd.Series, lambda rows: pa.array(rows).dictionary_encode()]
)
def test_errors_raise_finds_the_first_bad_row_in_every_form(form: Any, index: int) -> None:
    rows = ["1.2.3.4"] * 1000
    rows[index:] = ["01.2.3.4"] * (1000 - index)
    with pytest.raises(nf.AddressError) as caught:
        nf.classify(form(rows), errors="raise")
    assert (caught.value.index, caught.value.text, caught.value.position) == (index, "01.2.3.4", 0)
    assert caught.value.reason == "octet with a leading zero"


def test_errors_raise_accepts_nulls_and_valid_rows() -> None:
    assert nf.classify(["1.2.3.4", None, "::1"], errors="raise").kind.tolist() == ["global", None, "loopback"]


@pytest.mark.parametrize("errors", ["ignore", "", None, True])
def test_other_values_of_errors_are_value_errors(errors: Any) -> None:
    with pytest.raises(ValueError, match='wanted "mask" or "raise"'):
        nf.classify([], errors=errors)


@pytest.mark.parametrize("threads", [0, -1])
@pytest.mark.parametrize("rows", [["1.2.3.4"], [], pa.array(["1.2.3.4"]), nf.parse(["1.2.3.4"])], ids=type)
def test_fewer_than_one_thread_is_a_value_error_for_every_form(rows: Any, threads: int) -> None:
    with pytest.raises(ValueError, match="wanted at least 1"):
        nf.classify(rows, threads=threads)


@pytest.mark.parametrize("threads", ["2", 1.5, [1]])
def test_threads_that_are_no_number_are_type_errors(threads: Any) -> None:
    with pytest.raises(TypeError):
        nf.classify(["1.2.3.4"], threads=threads)


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError):
        nf.classify(["1.2.3.4"], True)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        nf.classify(["1.2.3.4"], strict=True)  # type: ignore[call-arg]


# ---- repr ------------------------------------------------------------------------------------------------------------


def test_repr_says_how_many_and_of_which_kinds() -> None:
    assert repr(nf.classify(["10.0.0.1", "10.0.0.2", "x", None])) == (
        "<Classification of 4 addresses: private 2, invalid 1>"
    )
    assert repr(nf.classify(["8.8.8.8"] * 1234)) == "<Classification of 1,234 addresses: global 1,234>"
    assert repr(nf.classify([])) == "<Classification of 0 addresses: none>"


# ---- Arrow -----------------------------------------------------------------------------------------------------------


def test_arrow_export_is_a_dictionary_of_kinds(classification: nf.Classification) -> None:
    made = pa.array(classification)
    made.validate(full=True)
    assert made.type == pa.dictionary(pa.int8(), pa.string())
    assert made.dictionary.to_pylist() == list(nf.KINDS)
    assert made.to_pylist() == classification.kind.tolist()
    assert made.null_count == 1


def test_arrow_export_without_nulls_has_no_validity() -> None:
    made = pa.array(nf.classify(TEXTS))
    assert made.null_count == 0
    assert made.buffers()[0] is None


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65])
def test_arrow_validity_is_right_at_every_length(n: int) -> None:
    rows = [None if row % 3 == 1 else "10.0.0.1" for row in range(n)]
    expected = [None if row is None else "private" for row in rows]
    assert pa.array(nf.classify(rows)).to_pylist() == expected
    table = pa.table(nf.classify(rows).to_table())
    table.validate(full=True)
    assert table["is_global"].to_pylist() == [None if row is None else False for row in rows]


def test_to_table_has_kind_class_block_and_is_global(classification: nf.Classification) -> None:
    table = pa.table(classification.to_table())
    table.validate(full=True)
    strings = pa.dictionary(pa.int8(), pa.string())
    assert table.schema.names == ["kind", "network_class", "block", "is_global"]
    assert table.schema.types == [strings, strings, strings, pa.bool_()]
    assert table.num_rows == len(classification)
    for row, (_, kind, network_class, block, is_global) in zip(table.to_pylist(), ROWS, strict=False):
        assert row == {"kind": kind, "network_class": network_class, "block": block, "is_global": is_global}
    assert table.to_pylist()[-1] == dict.fromkeys(table.schema.names)


def test_the_dictionaries_of_a_table_repeat_nothing(classification: nf.Classification) -> None:
    table = pa.table(classification.to_table()).combine_chunks()
    for name in ("kind", "network_class", "block"):
        values = table[name].chunk(0).dictionary.to_pylist()
        assert len(set(values)) == len(values)


def test_a_column_exports_an_array_and_a_table_a_stream(classification: nf.Classification) -> None:
    table = classification.to_table()
    assert len(table) == len(classification)
    assert hasattr(classification, "__arrow_c_array__")
    assert not hasattr(classification, "__arrow_c_stream__")
    assert hasattr(table, "__arrow_c_stream__")
    assert not hasattr(table, "__arrow_c_array__")


def test_a_table_can_be_read_again_and_again(classification: nf.Classification) -> None:
    table = classification.to_table()
    assert pa.table(table) == pa.table(table)


def test_polars_pandas_and_duckdb_read_the_export(classification: nf.Classification) -> None:
    kinds = classification.kind.tolist()
    assert pl.Series(classification).cast(pl.String).to_list() == kinds
    frame: Any = pl.from_arrow(pa.table(classification.to_table()))
    assert frame["block"].cast(pl.String).to_list() == [*(row[3] for row in ROWS), None]
    pandas = pa.table(classification.to_table()).to_pandas()
    assert pandas["kind"].astype(object).where(pandas["kind"].notna(), None).tolist() == kinds
    connection = duckdb.connect()
    connection.register("found", pa.table(classification.to_table()))
    counts = connection.sql("SELECT kind::VARCHAR, count(*) FROM found WHERE kind IS NOT NULL GROUP BY 1").fetchall()
    assert dict(counts) == classification.counts()


# ---- addresses that are parsed already -------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[*TEXTS, None], TEXTS[:3], [], [None], ["x"]])
@pytest.mark.parametrize("unwrap", [False, True])
def test_parsed_addresses_classify_as_their_text_does(rows: list[Any], unwrap: bool) -> None:
    direct, parsed = nf.classify(rows, unwrap=unwrap), nf.parse(rows)
    for again in (parsed.classify(unwrap=unwrap), nf.classify(parsed, unwrap=unwrap)):
        assert again.codes.tolist() == direct.codes.tolist()
        assert again.null.tolist() == direct.null.tolist()


def test_errors_raise_sees_the_invalid_rows_of_parsed_addresses() -> None:
    parsed = nf.parse(["1.2.3.4", None, "x"])
    for call in (nf.classify, nf.parse):
        with pytest.raises(nf.AddressError) as caught:
            call(parsed, errors="raise")
        assert caught.value.index == 2
    assert nf.classify(nf.parse(["1.2.3.4", None]), errors="raise").counts() == {"global": 1}


# ---- no more work than asked for -------------------------------------------------------------------------------------


def test_results_take_a_byte_a_row_until_somebody_asks() -> None:
    n = 1_000_000
    c = nf.classify(np.zeros(n, np.uint32))
    assert sum(sys.getsizeof(getattr(c, name)) for name in c.__slots__) < 1.1 * n
