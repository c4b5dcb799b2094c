"""PrefixSet: a set of addresses in the fewest prefixes, and its algebra."""

from __future__ import annotations

import ipaddress
import operator
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

import netfast as nf

EVERYTHING = ["0.0.0.0/0", "::/0"]


def prefixes(*given: str) -> list[str]:
    return list(nf.PrefixSet(given))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], []),
        (["10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.0.0.0/8", "10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32"], ["10.0.0.0/8"]),
        (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"]),
        (["10.128.0.0/9", "11.0.0.0/9"], ["10.128.0.0/9", "11.0.0.0/9"]),  # side by side, and no prefix holds just both
        (["0.0.0.0/1", "128.0.0.0/1"], ["0.0.0.0/0"]),
        (["::/1", "8000::/1", "0.0.0.0/0"], EVERYTHING),
        (["255.255.255.255/32", "255.255.255.254/32"], ["255.255.255.254/31"]),
        (["::/128", "::1/128", "::2/127"], ["::/126"]),
        (["ffff::/16", "0.0.0.0/32"], ["0.0.0.0/32", "ffff::/16"]),
        ([f"10.0.0.{n}/32" for n in range(256)], ["10.0.0.0/24"]),
        ([f"10.0.0.{n}/32" for n in range(1, 255)], None),
    ],
)
def test_a_set_is_minimal(given: list[str], wanted: list[str] | None) -> None:
    if wanted is None:
        networks = map(ipaddress.IPv4Network, given)
        wanted = [str(network) for network in ipaddress.collapse_addresses(networks)]
    for order in (given, given[::-1]):
        made = nf.PrefixSet(order)
        assert list(made) == wanted
        assert len(made) == len(wanted)
        assert bool(made) is bool(wanted)


FORMS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "generator": lambda texts: (text for text in texts),
    "networks": lambda texts: [ipaddress.ip_network(text) for text in texts],
    "set itself": nf.PrefixSet,
}


@pytest.mark.parametrize("form", FORMS)
def test_prefixes_come_in_any_form(form: str) -> None:
    texts = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"]
    assert list(nf.PrefixSet(FORMS[form](texts))) == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]


def test_host_bits_are_an_error_that_names_the_prefix() -> None:
    for prefix in ("10.0.0.1/8", "2001:db8::1/32"):
        with pytest.raises(ValueError, match="host bits") as caught:
            nf.PrefixSet(["192.0.2.0/24", prefix])
        assert prefix in str(caught.value)
    assert list(nf.PrefixSet(["10.0.0.1/8", "2001:db8::1/32"], strict=False)) == ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize("wrong", ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "1.2.3/8"])
def test_what_is_no_prefix_is_an_error_that_names_it(wrong: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        nf.PrefixSet(["192.0.2.0/24", wrong])
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["10.0.0.0/8", b"10.0.0.0/8", 5, None, [1.5], [None], [("10.0.0.0/8", 1)]])
def test_foreign_types_are_type_errors(wrong: Any) -> None:
    with pytest.raises(TypeError):
        nf.PrefixSet(wrong)


# ---- what it holds ---------------------------------------------------------------------------------------------------


def test_contains(kernels: str) -> None:
    made = nf.PrefixSet(["10.0.0.0/8", "2000::/8", "192.0.2.1/32"])
    asked = ["10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0", "192.0.2.1", "192.0.2.0", "32.0.0.1"]
    asked += ["2000::", "20ff:ffff::1", "2100::", "::ffff:10.0.0.1"]
    wanted = [True, True, False, False, True, False, False, True, True, False, False]
    found = made.contains([*asked, None, "x"])
    assert found.dtype == np.bool_
    assert found.tolist() == [*wanted, False, False]
    assert made.contains(pa.array(asked)).tolist() == wanted
    assert made.contains(np.array([10 << 24, 11 << 24, 0x20000001], np.uint32)).tolist() == [True, False, False]
    assert [text in made for text in asked] == wanted


def test_an_empty_set_holds_nothing(kernels: str) -> None:
    empty = nf.PrefixSet([])
    assert (len(empty), empty.num_addresses, list(empty)) == (0, 0, [])
    assert empty.contains(["10.0.0.1", "::1"]).tolist() == [False, False]
    assert list(empty.complement()) == EVERYTHING
    assert empty == nf.PrefixSet(())
    assert empty.issubset(empty)
    assert not empty.overlaps(nf.PrefixSet(EVERYTHING))


def test_the_full_set_holds_everything(kernels: str) -> None:
    full = nf.PrefixSet(EVERYTHING)
    assert full.num_addresses == 2**32 + 2**128
    assert full.contains(["0.0.0.0", "255.255.255.255", "::", "ffff::"]).all()
    assert full.complement() == nf.PrefixSet([])


def test_num_addresses_is_exact_however_large() -> None:
    assert nf.PrefixSet(["10.0.0.0/8", "10.0.0.0/9"]).num_addresses == 2**24
    assert nf.PrefixSet(["::/1", "10.0.0.1/32"]).num_addresses == 2**127 + 1
    assert type(nf.PrefixSet([]).num_addresses) is int


# ---- algebra ---------------------------------------------------------------------------------------------------------

A, B = nf.PrefixSet(["10.0.0.0/8", "2001:db8::/32"]), nf.PrefixSet(["10.0.0.0/9", "11.0.0.0/8", "2001:db8:8000::/33"])


def test_algebra() -> None:
    assert list(A | B) == ["10.0.0.0/7", "2001:db8::/32"]
    assert list(A & B) == ["10.0.0.0/9", "2001:db8:8000::/33"]
    assert list(A - B) == ["10.128.0.0/9", "2001:db8::/33"]
    assert list(B - A) == ["11.0.0.0/8"]
    assert list(A ^ B) == ["10.128.0.0/9", "11.0.0.0/8", "2001:db8::/33"]
    assert list(A) == ["10.0.0.0/8", "2001:db8::/32"]  # neither operand changes


def test_cutting_an_address_out_of_everything() -> None:
    cut = nf.PrefixSet(EVERYTHING) - nf.PrefixSet(["255.255.255.255/32", "::/128"])
    assert len(cut) == 32 + 128
    assert cut.num_addresses == 2**32 + 2**128 - 2
    four = ipaddress.IPv4Network("0.0.0.0/0").address_exclude(ipaddress.IPv4Network("255.255.255.255/32"))
    assert list(cut)[:32] == [str(network) for network in sorted(four)]
    assert (cut | nf.PrefixSet(["255.255.255.255/32", "::/128"])) == nf.PrefixSet(EVERYTHING)


@pytest.mark.parametrize("operation", [operator.or_, operator.and_, operator.sub, operator.xor])
@pytest.mark.parametrize("other", [None, 5, "10.0.0.0/8", {"10.0.0.0/8"}])
def test_other_types_are_no_operands(operation: Callable[[Any, Any], Any], other: Any) -> None:
    with pytest.raises(TypeError):
        operation(A, other)


def test_comparison() -> None:
    assert nf.PrefixSet(["10.0.0.0/9", "10.128.0.0/9"]) == nf.PrefixSet(["10.0.0.0/8"])
    assert nf.PrefixSet(["10.0.0.0/9"]) != nf.PrefixSet(["10.0.0.0/8"])
    assert A != ["10.0.0.0/8", "2001:db8::/32"]
    assert A != 5
    assert nf.PrefixSet(["10.0.0.0/9"]).issubset(A)
    assert not A.issubset(B)
    assert A.overlaps(B)
    assert not A.overlaps(nf.PrefixSet(["9.0.0.0/8", "11.0.0.0/8", "2001:db9::/32"]))
    assert not nf.PrefixSet(["32.0.0.0/8"]).overlaps(nf.PrefixSet(["2000::/8"]))


def test_equal_sets_have_equal_hashes_or_none() -> None:
    one, other = nf.PrefixSet(["10.0.0.0/9", "10.128.0.0/9"]), nf.PrefixSet(["10.0.0.0/8"])
    try:
        hashes = {hash(one), hash(other)}
    except TypeError:
        return
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (
            4,
            [
                "0.0.0.0/5",
                "8.0.0.0/7",
                "11.0.0.0/8",
                "12.0.0.0/6",
                "16.0.0.0/4",
                "32.0.0.0/3",
                "64.0.0.0/2",
                "128.0.0.0/1",
            ],
        ),
        (6, ["8000::/1"]),
    ],
)
def test_complement_of_one_family(version: Literal[4, 6], wanted: list[str]) -> None:
    made = nf.PrefixSet(["10.0.0.0/8", "::/1"])
    assert list(made.complement(version)) == wanted
    assert set(wanted) <= set(made.complement())


@pytest.mark.parametrize("version", [0, 5, 32, "4"])
def test_a_version_that_is_none_is_an_error(version: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        A.complement(version)


def test_a_set_says_what_it_is() -> None:
    assert "PrefixSet" in repr(A)
    assert len(repr(nf.PrefixSet(f"10.{n >> 8}.{n & 255}.0/25" for n in range(60_000)))) < 300


# ---- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.timed
@pytest.mark.slow
def test_algebra_on_a_million_prefixes_takes_less_than_a_second() -> None:
    """The least of three runs; the answers are checked on bitmaps of all /24s' halves."""
    rng = np.random.default_rng(3)
    chosen = [np.unique(rng.integers(0, 1 << 25, 1_300_000)) for _ in range(2)]  # /25s
    bitmaps = [np.zeros(1 << 25, bool) for _ in range(2)]
    for bitmap, places in zip(bitmaps, chosen, strict=True):
        bitmap[places] = True
    a, b = (nf.PrefixSet(_texts_of_halves(places)) for places in chosen)
    assert min(len(a), len(b)) > 1_000_000
    last_bit = np.arange(1 << 25, dtype=np.uint32) << 7
    for operation in (operator.or_, operator.and_, operator.sub, operator.xor):
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            result = operation(a, b)
            taken.append(time.perf_counter() - start)
        with np.errstate(all="ignore"):
            wanted = bitmaps[0] & ~bitmaps[1] if operation is operator.sub else operation(*bitmaps)
        assert np.array_equal(result.contains(last_bit), wanted)
        assert result.num_addresses == int(wanted.sum()) * 128
        assert min(taken) < 1, f"{operation.__name__}: {min(taken):.2f} s"
    start = time.perf_counter()
    rest = a.complement(4)
    assert time.perf_counter() - start < 1
    assert rest.num_addresses == 2**32 - a.num_addresses


def _texts_of_halves(places: Any) -> list[str]:
    return [f"{n >> 17}.{n >> 9 & 255}.{n >> 1 & 255}.{(n & 1) << 7}/25" for n in places.tolist()]
