"""PrefixTable and PrefixSet against the oracle (a dict for each length), on every form of the kernels."""

from __future__ import annotations

import operator
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, strategies as st

import netfast as nf
import reference
import strategies
from reference import BITS, Prefix, PrefixOracle, prefix_text
from strategies import Address

Items = list[tuple[Prefix, int]]


def numbered(prefixes: Sequence[Prefix]) -> Items:
    """Each prefix with its place for a value, so that a duplicate shows which one was taken."""
    return [(prefix, place) for place, prefix in enumerate(prefixes)]


def table_of(items: Items) -> nf.PrefixTable:
    return nf.PrefixTable([(prefix_text(prefix), value) for prefix, value in items])


def texts(addresses: Sequence[Address]) -> list[str]:
    return [reference.format_address(version, value) for version, value in addresses]


def packed(addresses: Sequence[Address]) -> Any:
    rows = b"".join(value.to_bytes(16, "big") for _, value in addresses)
    return np.frombuffer(rows, np.uint8).reshape(-1, 16)


BOTH: dict[str, Callable[[Sequence[Address]], Any]] = {
    "list of str": texts,
    "list of bytes": lambda addresses: [text.encode() for text in texts(addresses)],
    "utf8": lambda addresses: pa.array(texts(addresses), pa.string()),
    "dictionary": lambda addresses: pa.array(texts(addresses), pa.string()).dictionary_encode(),
    "polars": lambda addresses: pl.Series(texts(addresses), dtype=pl.String),
    "AddressArray": lambda addresses: nf.parse(texts(addresses)),
}
IP4: dict[str, Callable[[Sequence[Address]], Any]] = {
    "uint32": lambda addresses: np.array([value for _, value in addresses], np.uint32),
    "uint32, every other": lambda addresses: np.repeat(np.array([v for _, v in addresses], np.uint32), 2)[::2],
    "Arrow uint32": lambda addresses: pa.array([value for _, value in addresses], pa.uint32()),
    "AddressArray": lambda addresses: nf.parse(np.array([value for _, value in addresses], np.uint32)),
}
IP6: dict[str, Callable[[Sequence[Address]], Any]] = {
    "uint8[n, 16]": packed,
    "uint8[n, 16], bytes apart": lambda addresses: np.asfortranarray(packed(addresses)),
    "Arrow binary(16)": lambda addresses: pa.array(
        [value.to_bytes(16, "big") for _, value in addresses], pa.binary(16)
    ),
    "AddressArray": lambda addresses: nf.parse(packed(addresses)),
}


# ---- longest match ---------------------------------------------------------------------------------------------------


@given(strategies.tables())
def test_the_longest_match_is_found_in_every_form(kernels: str, asked: tuple[list[Prefix], list[Address]]) -> None:
    prefixes, addresses = asked
    oracle, table = PrefixOracle(numbered(prefixes)), table_of(numbered(prefixes))
    assert list(table.prefixes) == list(map(prefix_text, oracle.prefixes))
    wanted = [oracle.index(*address) for address in addresses]
    for name, form in BOTH.items():
        assert table.lookup(form(addresses)).index.tolist() == wanted, name
    for version, forms in ((4, IP4), (6, IP6)):
        mine = [address for address in addresses if address[0] == version]
        wanted = [oracle.index(*address) for address in mine]
        for name, form in forms.items():
            assert table.lookup(form(mine), threads=1).index.tolist() == wanted, name


@given(strategies.tables())
def test_what_is_found_has_its_value_and_its_prefix(kernels: str, asked: tuple[list[Prefix], list[Address]]) -> None:
    prefixes, addresses = asked
    items = [(prefix, f"value {place}") for place, prefix in enumerate(prefixes)]
    oracle = PrefixOracle(items)
    table = nf.PrefixTable([(prefix_text(prefix), value) for prefix, value in items])
    matches = table.lookup(texts(addresses))
    places = [oracle.index(*address) for address in addresses]
    found = [None if place < 0 else oracle.prefixes[place] for place in places]
    assert matches.values() == [None if prefix is None else oracle.values[prefix] for prefix in found]
    assert list(matches.prefixes()) == [None if prefix is None else prefix_text(prefix) for prefix in found]
    assert table.contains(texts(addresses)).tolist() == [prefix is not None for prefix in found]
    for address, text in zip(addresses, texts(addresses), strict=True):
        assert table.get(text) == oracle.get(*address)
        assert table.get(text, "nothing") == oracle.get(*address, "nothing")
        assert (text in table) is (oracle.index(*address) >= 0)


@given(st.data(), st.sampled_from([4, 6]))
def test_the_numbers_of_rows_around_a_batch_make_no_difference(kernels: str, data: st.DataObject, version: int) -> None:
    prefixes, addresses = data.draw(strategies.tables(version))
    addresses = [address for address in addresses if address[0] == version] or [(version, 0)]
    oracle, table = PrefixOracle(numbered(prefixes)), table_of(numbered(prefixes))
    n = data.draw(
        st.one_of(st.sampled_from([1, 7, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257]), st.integers(0, 999))
    )
    skip = data.draw(st.integers(0, 9))
    rows = [addresses[row % len(addresses)] for row in range(n + skip)]
    column = (IP4["uint32"] if version == 4 else IP6["uint8[n, 16]"])(rows)[skip:]
    assert table.lookup(column).index.tolist() == [oracle.index(*row) for row in rows[skip:]]


@given(st.lists(st.tuples(st.integers(0, 1023), st.integers(20, 32)), max_size=60), st.sampled_from([4, 6]), st.data())
def test_every_address_of_a_crowded_block(
    kernels: str, crowd: list[tuple[int, int]], version: int, data: st.DataObject
) -> None:
    """Prefixes of all lengths in 4,096 neighbouring addresses, wherever in the number these twelve bits stand."""
    bits = BITS[version]
    shift = data.draw(st.sampled_from([0, 4, 8, 12, 20] if version == 4 else [0, 8, 48, 60, 64, 70, 80, 92, 100, 116]))
    base = data.draw(strategies.prefixes(version))[1] >> shift + 12 << shift + 12
    first = bits - shift - 32  # a length of 20 is the whole block's, 32 a single place's
    prefixes = [reference.truncated(version, base | place << shift + 2, first + length) for place, length in crowd]
    oracle, table = PrefixOracle(numbered(prefixes)), table_of(numbered(prefixes))
    rest = data.draw(st.integers(0, (1 << shift) - 1))
    rows = [(version, base | place << shift | rest) for place in range(4096)]
    column = (IP4["uint32"] if version == 4 else IP6["uint8[n, 16]"])(rows)
    assert table.lookup(column).index.tolist() == [oracle.index(*row) for row in rows]


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_a_chain_of_every_length_answers_at_every_step(kernels: str, version: int, data: st.DataObject) -> None:
    value = data.draw(strategies.prefixes(version).map(lambda prefix: prefix[1]))
    bits = BITS[version]
    steps = data.draw(st.sampled_from([range(bits + 1), range(1, bits + 1), range(0, bits + 1, 2), range(bits)]))
    items = numbered([reference.truncated(version, value, length) for length in steps])
    oracle, table = PrefixOracle(items), table_of(items)
    # Each differs from the chain at another bit, so it leaves the chain there.
    leaving = [(version, value), *((version, value ^ 1 << bit) for bit in range(bits))]
    column = (IP4["uint32"] if version == 4 else IP6["uint8[n, 16]"])(leaving)
    assert table.lookup(column).index.tolist() == [oracle.index(*row) for row in leaving]


@given(strategies.tables(4))
def test_mapped_addresses_match_ipv4_prefixes_only_when_unwrapped(
    kernels: str, asked: tuple[list[Prefix], list[Address]]
) -> None:
    prefixes, addresses = asked
    oracle, table = PrefixOracle(numbered(prefixes)), table_of(numbered(prefixes))
    plain = [value for version, value in addresses if version == 4]
    mapped = [(6, 0xFFFF << 32 | value) for value in plain]
    nat64 = [(6, 0x64FF9B << 96 | value) for value in plain]
    assert table.lookup(packed(mapped)).index.tolist() == [-1] * len(plain)
    for form in (BOTH["list of str"], BOTH["utf8"], BOTH["AddressArray"], packed):
        found = table.lookup(form(mapped), unwrap=True).index.tolist()
        assert found == [oracle.index(4, value) for value in plain]
    carried = nf.parse(texts(nat64))
    assert table.lookup(carried).index.tolist() == [-1] * len(plain)


# ---- exact, covering, covered ----------------------------------------------------------------------------------------


@given(strategies.tables(), st.data())
def test_exact_covering_and_covered(asked: tuple[list[Prefix], list[Address]], data: st.DataObject) -> None:
    prefixes, addresses = asked
    oracle, table = PrefixOracle(numbered(prefixes)), table_of(numbered(prefixes))
    questions = [*prefixes, *data.draw(st.lists(strategies.prefixes(), max_size=3))]
    questions += [reference.truncated(*address, data.draw(strategies.lengths(address[0]))) for address in addresses[:9]]
    for prefix in questions:
        text = prefix_text(prefix)
        assert table.exact(text) == oracle.values.get(prefix)
        assert table.covering(text) == with_values(oracle, oracle.covering(prefix))
        assert table.covered(text) == with_values(oracle, oracle.covered(prefix))


def with_values(oracle: PrefixOracle, prefixes: list[Prefix]) -> list[tuple[str, object]]:
    return [(prefix_text(prefix), oracle.values[prefix]) for prefix in prefixes]


# ---- builders and files ----------------------------------------------------------------------------------------------


@given(strategies.tables(), st.randoms(use_true_random=False))
def test_columns_in_any_order_build_the_same_table(asked: tuple[list[Prefix], list[Address]], random: Any) -> None:
    prefixes, addresses = asked
    distinct = list(dict.fromkeys(prefixes))
    random.shuffle(distinct)
    oracle = PrefixOracle(numbered(distinct))
    table = nf.PrefixTable.from_columns(
        nf.parse(texts([(version, value) for version, value, _ in distinct])),
        np.array([length for _, _, length in distinct], np.uint8),
        np.arange(len(distinct), dtype=np.int64),
    )
    assert list(table) == list(map(prefix_text, oracle.prefixes))
    wanted = [oracle.get(*address, -1) for address in addresses]
    assert np.asarray(table.lookup(texts(addresses)).values(-1)).tolist() == wanted


@given(strategies.tables())
def test_a_saved_table_answers_as_before(kernels: str, asked: tuple[list[Prefix], list[Address]]) -> None:
    prefixes, addresses = asked
    items = [(prefix_text(prefix), f"v{place}") for place, prefix in enumerate(prefixes)]
    table = nf.PrefixTable(items)
    handle, name = tempfile.mkstemp()
    os.close(handle)
    try:
        table.save(name)
        loaded = nf.PrefixTable.load(name)
        assert list(loaded) == list(table)
        there, here = loaded.lookup(texts(addresses)), table.lookup(texts(addresses))
        assert there.index.tolist() == here.index.tolist()
        assert there.values() == here.values()
    finally:
        Path(name).unlink()


@given(st.lists(st.integers(0, 2**32), min_size=2, max_size=20, unique=True), st.data())
def test_ranges_cover_what_they_name_and_nothing_else(ends: list[int], data: st.DataObject) -> None:
    ends.sort()
    ranges = [(first, end - 1, place) for place, (first, end) in enumerate(zip(ends[::2], ends[1::2], strict=False))]
    spelled = [(*texts([(4, first), (4, last)]), value) for first, last, value in ranges]
    table = nf.PrefixTable.from_ranges(data.draw(st.permutations(spelled)))
    split = [prefix for first, last, _ in ranges for prefix in reference.range_prefixes(4, first, last)]
    assert sorted(table) == sorted(map(prefix_text, split))
    for first, last, value in ranges:
        for place in {first, last, (first + last) // 2}:
            assert table.get(texts([(4, place)])[0]) == value
        for place in (first - 1, last + 1):
            if 0 <= place < 2**32 and not any(a <= place <= b for a, b, _ in ranges):
                assert table.get(texts([(4, place)])[0]) is None


# ---- sets ------------------------------------------------------------------------------------------------------------


_VERSIONS: list[Literal[4, 6] | None] = [None, 4, 6]


def set_of(prefixes: Sequence[Prefix]) -> nf.PrefixSet:
    return nf.PrefixSet(list(map(prefix_text, prefixes)))


def spelled(prefixes: Sequence[Prefix]) -> list[str]:
    return list(map(prefix_text, prefixes))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Prefix], list[Prefix]]:
    """Two lists of prefixes that have much to do with each other."""
    pool = draw(strategies.prefix_lists(most=8))[:24]
    sides = [[prefix for prefix in pool if draw(st.booleans())] for _ in range(2)]
    return sides[0] + draw(strategies.prefix_lists(most=1))[:4], sides[1] + draw(strategies.prefix_lists(most=1))[:4]


@given(strategies.tables())
@example(([(4, 0, 1), (4, 1 << 31, 1), (6, 0, 1), (6, 1 << 127, 1)], [(4, 0), (6, 0)]))
def test_a_set_is_minimal_and_holds_its_addresses(kernels: str, asked: tuple[list[Prefix], list[Address]]) -> None:
    prefixes, addresses = asked
    made, wanted = set_of(prefixes), reference.minimal(prefixes)
    assert list(made) == spelled(wanted)
    assert len(made) == len(wanted)
    assert made.num_addresses == reference.count_addresses(prefixes)
    oracle = PrefixOracle(numbered(wanted))
    held = [oracle.index(*address) >= 0 for address in addresses]
    for form in BOTH.values():
        assert made.contains(form(addresses)).tolist() == held
    for version, forms in ((4, IP4), (6, IP6)):
        mine = [address for address in addresses if address[0] == version]
        for form in forms.values():
            assert made.contains(form(mine)).tolist() == [oracle.index(*address) >= 0 for address in mine]


OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[bool, bool], bool]]] = {
    "|": (operator.or_, lambda a, b: a or b),
    "&": (operator.and_, lambda a, b: a and b),
    "-": (operator.sub, lambda a, b: a and not b),
    "^": (operator.xor, lambda a, b: a is not b),
}


@pytest.mark.parametrize("sign", OPERATIONS)
@given(two=pairs())
def test_set_algebra(sign: str, two: tuple[list[Prefix], list[Prefix]]) -> None:
    a, b = two
    operation, keep = OPERATIONS[sign]
    left, right = set_of(a), set_of(b)
    result = operation(left, right)
    assert list(result) == spelled(reference.combined(a, b, keep))
    assert (list(left), list(right)) == (spelled(reference.minimal(a)), spelled(reference.minimal(b)))
    assert result == nf.PrefixSet(list(result))
    assert result.num_addresses == sum(reference.network_of(p).num_addresses for p in reference.combined(a, b, keep))


@given(pairs())
def test_comparisons(two: tuple[list[Prefix], list[Prefix]]) -> None:
    a, b = two
    left, right = set_of(a), set_of(b)
    common = reference.combined(a, b, lambda x, y: x and y)
    assert (left == right) is (reference.minimal(a) == reference.minimal(b))
    assert (left != right) is (reference.minimal(a) != reference.minimal(b))
    assert left.overlaps(right) is bool(common)
    assert left.issubset(right) is (common == reference.minimal(a))
    assert (left & right).issubset(left)
    assert left.issubset(left | right)


@given(strategies.prefix_lists(), st.sampled_from(_VERSIONS))
def test_a_complement_is_everything_else(prefixes: list[Prefix], version: Literal[4, 6] | None) -> None:
    made = set_of(prefixes)
    families = [4, 6] if version is None else [version]
    everything: list[Prefix] = [(family, 0, 0) for family in families]
    wanted = reference.combined(everything, prefixes, lambda x, y: x and not y)
    assert list(made.complement(version)) == spelled(wanted)
    assert not made.complement(version).overlaps(made)
    assert made.complement().complement() == made
    assert list(made | made.complement()) == ["0.0.0.0/0", "::/0"]
