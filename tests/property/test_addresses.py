"""classify, parse and format_addresses against the oracle, on every form of the kernels."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

import netfast as nf
import reference
import strategies

CODE_OF_PREFIX = {block.prefix: code for code, block in enumerate(nf.BLOCKS)}
PREFIXES = tuple(CODE_OF_PREFIX)
NETWORKS = [ipaddress.ip_network(prefix) for prefix in PREFIXES if prefix]

Parsed = tuple[int, int, str | None] | None
Answer = tuple[int, int, bytes, str | None, str | None]  # code, version, packed, zone, text


def answer(parsed: Parsed) -> Answer:
    """What netfast must say of a row that the oracle reads so."""
    if parsed is None:
        return 0, 0, bytes(16), None, None
    version, value, zone = parsed
    packed = (value | 0xFFFF << 32 if version == 4 else value).to_bytes(16, "big")
    text = reference.format_address(version, value) + (f"%{zone}" if zone else "")
    return CODE_OF_PREFIX[reference.classify(version, value, PREFIXES)], version, packed, zone, text


def answers(addresses: Any) -> list[Answer]:
    """What netfast says of each row, by classifying and by parsing."""
    codes, parsed = nf.classify(addresses).codes.tolist(), nf.parse(addresses)
    assert parsed.classify().codes.tolist() == codes
    packed = [bytes(row) for row in parsed.packed]
    return list(zip(codes, parsed.version.tolist(), packed, parsed.zone, parsed.to_list(), strict=True))


# Text that every form can hold: NumPy pads with NUL.
storable = strategies.any_texts.filter(lambda text: not text.endswith("\0"))
FORMS: dict[str, Callable[[Sequence[str]], Any]] = {
    "list of str": list,
    "list of bytes": lambda texts: [text.encode() for text in texts],
    "utf8": pa.array,
    "large_utf8": lambda texts: pa.array(texts, pa.large_string()),
    "string_view": lambda texts: pa.array(texts, pa.string_view()),
    "dictionary": lambda texts: pa.array(texts).dictionary_encode(),
    "U": np.array,
    "S": lambda texts: np.array([text.encode() for text in texts]),
}


# ---- text ------------------------------------------------------------------------------------------------------------


@given(strategies.any_texts)
def test_one_text_is_what_the_oracle_says(kernels: str, text: str) -> None:
    assert answers([text]) == [answer(reference.parse(text))]
    assert answers([text.encode()]) == [answer(reference.parse(text.encode()))]


@given(strategies.spelled)
def test_every_spelling_of_an_address_is_read(kernels: str, address: strategies.Spelled) -> None:
    assert answers([address.text] * 9) == [answer(address[1:])] * 9


@given(strategies.spelled_ipv6(strategies.odd_zones))
def test_every_zone_is_kept(kernels: str, address: strategies.Spelled) -> None:
    assert answers([address.text] * 9) == [answer(address[1:])] * 9


@given(st.binary(max_size=64))
def test_bytes_that_are_no_text_are_what_the_oracle_says(kernels: str, data: bytes) -> None:
    expected = [answer(reference.parse(data))] * 9
    assert answers([data] * 9) == expected
    assert answers(pa.array([data] * 9, pa.binary())) == expected


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30)
@given(st.lists(storable, min_size=1, max_size=12))
def test_a_text_is_the_same_at_every_place_of_a_block(kernels: str, form: str, texts: list[str]) -> None:
    # As many rows as make an odd period: after 256 periods every text has stood at every place of 256, 64 and 8 rows.
    period = [*texts, "192.168.100.1"] if len(texts) % 2 == 0 else texts
    expected = [answer(reference.parse(text)) for text in period]
    assert answers(FORMS[form](period * 256)) == expected * 256


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20)
@given(st.lists(storable, min_size=1, max_size=40), st.integers(0, 70), strategies.address_texts)
def test_a_text_is_the_same_in_columns_of_every_length(
    kernels: str, form: str, texts: list[str], before: int, filler: str
) -> None:
    rows = [filler] * before + texts
    assert answers(FORMS[form](rows)) == [answer(reference.parse(text)) for text in rows]


def texts_of(size: int, seed: int) -> list[str]:
    """Texts of exactly that many characters: addresses, near misses, and noise of the letters addresses are made of."""
    draw = random.Random(seed * 1000 + size)

    def octet(digits: int) -> str:
        return str(draw.randint(10 ** (digits - 1) if digits > 1 else 0, min(255, 10**digits - 1)))

    def ipv4() -> str:
        return ".".join(octet(draw.randint(1, 3)) for _ in range(4))

    def group() -> str:
        return f"{draw.randrange(65536) >> 4 * draw.randrange(4):0{draw.randint(1, 4)}{draw.choice('xX')}}"

    def ipv6() -> str:
        groups = [group() for _ in range(draw.randint(1, 8))]
        if draw.random() < 0.3:
            groups[-2:] = [ipv4()]
        if draw.random() < 0.7:
            groups.insert(draw.randint(0, len(groups)), "")
        return ":".join(groups).replace(":::", "::")

    def noise(letters: str) -> str:
        return "".join(draw.choices(letters, k=size))

    made = [noise("0123456789."), noise("0123456789abcdefABCDEF::.%"), noise("01.:"), noise("\0 1.:/\u00e9%")]
    while len(made) < 40:
        text = draw.choice([ipv4, ipv6])()
        if len(text) <= size:
            filling = size - len(text)
            made.append(text + "%" * (filling > 0) + "z" * (filling - 1))  # a zone fills it up
            made.append("0" * filling + text)
            made.append(text + text[-1] * filling)
        else:
            made.append(text[:size])
            made.append(text[-size:] if size else "")
    return made


@pytest.mark.parametrize("size", range(65))
def test_every_length_around_the_vectors(kernels: str, size: int) -> None:
    for seed in range(3):
        texts = texts_of(size, seed)
        expected = [answer(reference.parse(text)) for text in texts]
        for make in (FORMS["list of str"], FORMS["list of bytes"], FORMS["utf8"], FORMS["string_view"]):
            assert answers(make(texts)) == expected
        for make in (FORMS["U"], FORMS["S"]):
            stored = [text.rstrip("\0") for text in texts]
            assert answers(make(stored)) == [answer(reference.parse(text)) for text in stored]


@pytest.mark.parametrize("offset", range(64))
def test_every_alignment(kernels: str, offset: int) -> None:
    """Text at every place modulo 64, behind bytes that would make another address of it."""
    texts = [text for size in (2, 7, 11, 15, 16, 17, 31, 39, 45) for text in texts_of(size, offset) if "\0" not in text]
    expected = [answer(reference.parse(text)) for text in texts]
    data = [text.encode() for text in texts]
    for before in (b"1" * offset, b":" * offset, b"." * offset):
        ends = np.cumsum([0, *map(len, data)], dtype=np.int32) + offset
        buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(before + b"".join(data) + b".1:1" * 16)]
        assert answers(pa.Array.from_buffers(pa.binary(), len(data), buffers)) == expected
    width = max(map(len, data)) + 3
    room = np.frombuffer(bytearray(b"1:." * 22 + bytes(width * len(data))), np.uint8)
    placed = room[offset : offset + width * len(data)].view(f"S{width}")
    placed[:] = data
    assert answers(placed) == expected


@given(st.lists(storable, min_size=1, max_size=8), st.data())
def test_null_rows_do_not_disturb_their_neighbours(kernels: str, texts: list[str], data: st.DataObject) -> None:
    nulls = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    rows = [None if null else text for null, text in zip(nulls, texts, strict=True)] * 40
    expected = [answer(None if text is None else reference.parse(text)) for text in rows]
    for made in (rows, pa.array(rows), pa.array(rows, pa.string_view()), pa.array(rows).dictionary_encode()):
        assert answers(made) == expected
        assert nf.classify(made).null.tolist() == nf.parse(made).null.tolist() == nulls * 40


# ---- values ----------------------------------------------------------------------------------------------------------


def packed_rows(values: Sequence[int]) -> Any:
    return np.array([list(value.to_bytes(16, "big")) for value in values], np.uint8).reshape(-1, 16)


@given(st.lists(strategies.ipv4_values, min_size=1, max_size=20))
def test_ipv4_values_are_what_the_oracle_says(kernels: str, values: list[int]) -> None:
    expected = [answer((4, value, None)) for value in values]
    texts = [reference.format_address(4, value) for value in values]
    for made in (values, np.array(values, np.uint32), pa.array(values, pa.uint32()), texts, pa.array(texts)):
        assert answers(made) == expected
    assert nf.parse(texts).v4.tolist() == values


@given(st.lists(strategies.ipv6_values, min_size=1, max_size=20))
def test_ipv6_values_are_what_the_oracle_says(kernels: str, values: list[int]) -> None:
    expected = [answer((6, value, None)) for value in values]
    texts = [reference.format_address(6, value) for value in values]
    binary = pa.array([value.to_bytes(16, "big") for value in values], pa.binary(16))
    for made in ([ipaddress.IPv6Address(value) for value in values], packed_rows(values), binary, texts):
        assert answers(made) == expected


@given(st.integers(-(2**130), 2**130))
def test_integers_are_what_their_size_says(kernels: str, number: int) -> None:
    version = (4 if number < 2**32 else 6) if 0 <= number < 2**128 else 0
    assert answers([number]) == [answer((version, number, None) if version else None)]


@given(st.lists(strategies.values, min_size=1, max_size=30))
def test_formatting_and_parsing_are_inverse(kernels: str, values: list[tuple[int, int]]) -> None:
    parsed = nf.parse([reference.format_address(*value) for value in values])
    texts = parsed.to_list()
    assert texts == [reference.format_address(*value) for value in values]
    again = nf.parse(texts)
    assert again.version.tolist() == parsed.version.tolist() == [version for version, _ in values]
    assert again.packed.tolist() == parsed.packed.tolist()
    assert nf.format_addresses(pa.array(parsed)) == texts


@given(strategies.spelled)
def test_formatting_is_what_every_spelling_leads_to(kernels: str, address: strategies.Spelled) -> None:
    canonical = nf.format_addresses([address.text])
    assert canonical == [answer(address[1:])[4]]
    assert nf.format_addresses(canonical) == canonical


@given(st.lists(strategies.values, min_size=1, max_size=20), st.integers(0, 32), st.integers(0, 128))
def test_truncating_is_what_the_stdlib_calls_the_network(
    kernels: str, values: list[tuple[int, int]], v4: int, v6: int
) -> None:
    expected = []
    for version, value in values:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = (
            ipaddress.IPv4Address(value) if version == 4 else ipaddress.IPv6Address(value)
        )
        network = ipaddress.ip_network((address, v4 if version == 4 else v6), strict=False)
        expected.append(answer((version, int(network[0]), None)))
    texts = [reference.format_address(*value) for value in values]
    made = nf.parse(texts).truncate(v4, v6)
    assert made.to_list() == [text for *_, text in expected]
    assert [bytes(row) for row in made.packed] == [packed for _, _, packed, _, _ in expected]
    assert made.classify().codes.tolist() == [code for code, *_ in expected]


# ---- blocks ----------------------------------------------------------------------------------------------------------


def boundary(version: int) -> list[int]:
    """The first and last address of every block, and the ones before and behind."""
    most = 2 ** (32 if version == 4 else 128) - 1
    ends = [end for net in NETWORKS if net.version == version for end in (int(net[0]), int(net[-1]))]
    return sorted({value for end in ends for value in (end - 1, end, end + 1) if 0 <= value <= most})


def codes_of(version: int, values: Sequence[int]) -> list[int]:
    return [CODE_OF_PREFIX[reference.classify(version, value, PREFIXES)] for value in values]


def test_blocks_begin_and_end_where_they_should_for_ipv4(kernels: str) -> None:
    values = boundary(4)
    texts = [reference.format_address(4, value) for value in values]
    for form in (values, texts, np.array(values, np.uint32), pa.array(texts), pa.array(values, pa.uint32())):
        assert nf.classify(form).codes.tolist() == codes_of(4, values)
    assert len(values) > 60


def test_blocks_begin_and_end_where_they_should_for_ipv6(kernels: str) -> None:
    values = boundary(6)
    texts = [reference.format_address(6, value) for value in values]
    for form in (texts, packed_rows(values), pa.array(texts), nf.parse(texts)):
        assert nf.classify(form).codes.tolist() == codes_of(6, values)
    assert len(values) > 60


@st.composite
def inside_a_block(draw: st.DrawFn) -> tuple[int, int]:
    """(version, value): an address of a block, or one a few bits away from it."""
    net = draw(st.sampled_from(NETWORKS))
    value = int(net[0]) + draw(st.integers(0, net.num_addresses - 1))
    for _ in range(draw(st.integers(0, 2))):
        value ^= 1 << draw(st.integers(0, net.max_prefixlen - 1))
    return net.version, value


@given(st.lists(inside_a_block(), min_size=1, max_size=30))
def test_the_most_specific_block_wins(kernels: str, values: list[tuple[int, int]]) -> None:
    expected = [CODE_OF_PREFIX[reference.classify(version, value, PREFIXES)] for version, value in values]
    texts = [reference.format_address(version, value) for version, value in values]
    assert nf.classify(texts).codes.tolist() == nf.parse(texts).classify().codes.tolist() == expected
    of_ipv4 = [(value, code) for (version, value), code in zip(values, expected, strict=True) if version == 4]
    numbers = np.array([value for value, _ in of_ipv4], np.uint32)
    assert nf.classify(numbers).codes.tolist() == [code for _, code in of_ipv4]


# ---- unwrap ----------------------------------------------------------------------------------------------------------

MAPPED, NAT64 = 0xFFFF << 32, 0x0064FF9B << 96


def carried(value: int) -> int | None:
    """The IPv4 address that an IPv6 address carries."""
    address = ipaddress.IPv6Address(value)
    if value & ~0xFFFFFFFF in (MAPPED, NAT64):
        return value & 0xFFFFFFFF
    if address.sixtofour is not None:
        return int(address.sixtofour)
    return None if address.teredo is None else int(address.teredo[1])


@st.composite
def carriers(draw: st.DrawFn) -> int:
    """An IPv6 address that carries one, or differs from such a one by a bit."""
    ipv4 = draw(strategies.ipv4_values)
    rest = draw(st.integers(0, 2**64 - 1))
    value = draw(
        st.sampled_from(
            [
                MAPPED | ipv4,
                NAT64 | ipv4,
                0x2002 << 112 | ipv4 << 80 | rest,
                0x20010000 << 96 | rest >> 32 << 64 | (rest & 0xFFFFFFFF) << 32 | ipv4,
                0x0064FF9B0001 << 80 | ipv4,
                ipv4,
            ]
        )
    )
    return value ^ (1 << draw(st.integers(0, 127)) if draw(st.booleans()) else 0)


@given(st.lists(carriers() | strategies.ipv6_values, min_size=1, max_size=20))
def test_unwrap_classifies_what_is_carried(kernels: str, values: list[int]) -> None:
    expected = []
    for value in values:
        ipv4 = carried(value)
        prefix = reference.classify(6, value, PREFIXES) if ipv4 is None else reference.classify(4, ipv4, PREFIXES)
        expected.append(CODE_OF_PREFIX[prefix])
    texts = [reference.format_address(6, value) for value in values]
    objects = [ipaddress.IPv6Address(value) for value in values]
    for form in (texts, objects, packed_rows(values), pa.array(texts), pa.array(texts).dictionary_encode()):
        assert nf.classify(form, unwrap=True).codes.tolist() == expected
        assert nf.parse(form).classify(unwrap=True).codes.tolist() == expected


@given(st.lists(strategies.ipv4_values, min_size=1, max_size=20))
def test_unwrap_leaves_ipv4_alone(kernels: str, values: list[int]) -> None:
    numbers = np.array(values, np.uint32)
    assert nf.classify(numbers, unwrap=True).codes.tolist() == nf.classify(numbers).codes.tolist()
