"""netfast.extract: what counts as an address, every kind of text, and the columns that come out."""

from __future__ import annotations

import gc
import ipaddress
import mmap
import random
import string
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netfast as nf
import reference
from netfast import Extraction, extract
from netfast.registry import BLOCKS


def found(text: str, **options: Any) -> list[str]:
    e = extract(text, **options)
    return [text[o : o + n] for o, n in zip(e.offset, e.length, strict=True)]


# --- the policy -----------------------------------------------------------------------------------------------------

ACCEPTED = [
    ("1.2.3.4", "1.2.3.4"),
    ("1.2.3.4:80", "1.2.3.4"),
    ("1.2.3.4/24", "1.2.3.4"),
    ("(1.2.3.4)", "1.2.3.4"),
    ("[1.2.3.4]", "1.2.3.4"),
    ("<1.2.3.4>", "1.2.3.4"),
    ("{1.2.3.4}", "1.2.3.4"),
    ('"1.2.3.4"', "1.2.3.4"),
    ("'1.2.3.4'", "1.2.3.4"),
    ("1.2.3.4-", "1.2.3.4"),
    ("-1.2.3.4", "1.2.3.4"),
    ("1.2.3.4%", "1.2.3.4"),
    ("rhost=1.2.3.4", "1.2.3.4"),
    ("from 1.2.3.4.", "1.2.3.4"),
    ("from 1.2.3.4. And", "1.2.3.4"),
    ("1.2.3.4...", "1.2.3.4"),
    ("地址192.168.1.1是", "192.168.1.1"),
    ("é1.2.3.4", "1.2.3.4"),
    ("localhost/127.0.0.1", "127.0.0.1"),
    ("msra-sa-41/10.190.173.170", "10.190.173.170"),
    ("/10.10.34.13:3888", "10.10.34.13"),
    ("NameNode/10.0.0.1:8020", "10.0.0.1"),
    ("web-1/10.0.0.1", "10.0.0.1"),
    ("Web1/10.0.0.1", "10.0.0.1"),
    ("x=Chrome/126.0.0.0", "126.0.0.0"),
    ("Chrome/ 126.0.0.0", "126.0.0.0"),
    ("A" * 65 + "/10.0.0.1", "10.0.0.1"),
    ("255.255.255.255", "255.255.255.255"),
    ("0.0.0.0", "0.0.0.0"),
    ("::1", "::1"),
    ("[::1]:80", "::1"),
    ("::1/128", "::1"),
    ("IPv6:2001:db8::1", "2001:db8::1"),
    ("ipv6:2001:db8::1", "2001:db8::1"),
    ("IPV6:::1", "::1"),
    ("from 2001:db8::1: icmp_seq=1", "2001:db8::1"),
    ("at 2001:db8::1.", "2001:db8::1"),
    ("2001:db8::1,x", "2001:db8::1"),
    ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
    ("::ffff:1.2.3.4:80", "1.2.3.4"),  # ":8" could go on with the colons, so there is no IPv6 address
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:7.8.9.10"),
    ("fe80::1%eth0", "fe80::1%eth0"),
    ("fe80::1%eth0.100", "fe80::1%eth0.100"),
    ("fe80::1%eth0.", "fe80::1%eth0"),
    ("fe80::1%br-lan:", "fe80::1%br-lan"),
    ("fe80::1%abcdefghijklmno", "fe80::1%abcdefghijklmno"),
    ("fe80::1%abcdefghijklmnop", "fe80::1"),
    ("fe80::1%", "fe80::1"),
    ("fe80::1%-.", "fe80::1"),
    ("[::]", "::"),
    ("::/0", "::"),
    ("DEAD:BEEF::", "DEAD:BEEF::"),
    ("地址fe80::1是", "fe80::1"),
]

REJECTED = [
    *("1.2.3.4.5", "01.02.03.04", "1.2.3.04", "256.1.1.1", "1.2.3.256", "1.2.3", "1.2.3.", ".1.2.3.4", "1..2.3.4"),
    *(
        "v1.2.3.4",
        "x10.0.0.1y",
        "1.2.3.4x",
        "1.2.3.4_",
        "_1.2.3.4",
        "1.2.3.4.x",
        "1.2.3.4._",
        "1234.5.6.7",
        "1.2.3.4567",
    ),
    *("4.3.2.1.in-addr.arpa", "0x7f.0.0.1", "1.2.3.4.5.6.7.8"),
    *("Chrome/126.0.0.0", '"Firefox/2.0.0.4"', " Opera/9.80.1.2", "(Gecko/1.9.0.5", ";Win/1.2.3.4", ",A/1.2.3.4"),
    *("x\tChrome/126.0.0.0", "x\nChrome/126.0.0.0", "Chrome/126.0.0.0:", "Chrome/126.0.0.0:x", "A" * 64 + "/10.0.0.1"),
    *("12:34:56", "2024-01-02T03:04:05.678Z", "00:1a:2B:3c:4d:5e", "00-1A-2B-3C-4D-5E", "00:11:22:33:44:55:66:77:88"),
    *(
        "std::vector",
        "a::b::c",
        "Foo::Bar",
        "dead::beefs",
        "1::2::3",
        "1:2:3:4:5:6:7:8:9",
        ":::",
        "::",
        ":",
        "12345::1",
    ),
    *(
        "x::1",
        "::1x",
        "::1_",
        ".::1",
        "::1.x",
        "::g",
        "1:2:3:4:5:6:7",
        "::1:2:3:4:5:6:7:8:9",
        "1:::2",
        "2001:db8::1:::",
    ),
]


@pytest.mark.parametrize(("text", "address"), ACCEPTED)
def test_text_that_holds_one_address(kernels: str, text: str, address: str) -> None:
    assert found(text) == [address]
    assert [f.length for f in reference.extract(text.encode())] == [len(address)]


@pytest.mark.parametrize("text", REJECTED)
def test_text_that_holds_none(kernels: str, text: str) -> None:
    assert found(text) == []
    assert reference.extract(text.encode()) == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("Chrome/126.0.0.0", ["126.0.0.0"]),
        ("v1.2.3.4", ["1.2.3.4"]),
        ("x10.0.0.1y", ["10.0.0.1"]),
        ("1.2.3.4.x", ["1.2.3.4"]),
        ("4.3.2.1.in-addr.arpa", ["4.3.2.1"]),
        ("x10.0.0.1", ["10.0.0.1"]),
        ("_1.2.3.4", []),
        ("1.2.3.4_", []),
        ("1.2.3.4.5", []),
        ("x::1", []),
        ("::1x", []),
        ("256.1.1.1", []),
    ],
)
def test_loose_keeps_versions_and_lets_letters_touch(kernels: str, text: str, addresses: list[str]) -> None:
    assert found(text, boundary="loose") == addresses


@pytest.mark.parametrize(
    "mac", ["00:1a:2b:3c:4d:5e", "00-1a-2b-3c-4d-5e", "001a.2b3c.4d5e", "00:1A:2B:FF:FE:3C:4D:5E:00"]
)
@pytest.mark.parametrize("boundary", ["word", "loose"])
def test_hardware_addresses_are_none(mac: str, boundary: Any) -> None:
    assert found(f"ether {mac} up", boundary=boundary) == []


def test_any_other_byte_is_a_boundary(kernels: str) -> None:
    for byte in {*range(256)} - set(b".:_" + string.digits.encode() + string.ascii_letters.encode()):
        other = bytes([byte])
        text = other + b"10.0.0.1" + other + b" " + other + b"fe80::1" + other
        assert extract(text).offset.tolist() == [1, 12], byte


def test_many_in_one_text(kernels: str) -> None:
    text = "192.0.2.7 - GET / Chrome/126.0.0.0 from [2001:db8::1]:443\n10.0.0.1,10.0.0.2;::1"
    e = extract(text)
    assert found(text) == ["192.0.2.7", "2001:db8::1", "10.0.0.1", "10.0.0.2", "::1"]
    assert e.line.tolist() == [1, 1, 2, 2, 2]
    assert e.version.tolist() == [4, 6, 4, 4, 6]
    assert [BLOCKS[code].kind for code in e.codes] == [
        "documentation",
        "documentation",
        "private",
        "private",
        "loopback",
    ]


# --- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "addresses"),
    [((4,), ["1.2.3.4"]), ((6,), ["::ffff:5.6.7.8", "::1"]), ((6, 4), ["1.2.3.4", "::ffff:5.6.7.8", "::1"])],
)
def test_versions_choose_among_what_would_be_found(
    kernels: str, versions: tuple[int, ...], addresses: list[str]
) -> None:
    assert found("1.2.3.4 ::ffff:5.6.7.8 ::1", versions=versions) == addresses


def test_versions_may_be_any_iterable() -> None:
    assert found("1.2.3.4 ::1", versions=iter([6])) == ["::1"]
    assert found("1.2.3.4 ::1", versions={4}) == ["1.2.3.4"]


# --- kinds of text --------------------------------------------------------------------------------------------------

TEXT = b"a 10.0.0.1 b\n\xff\0 2001:db8::1\r\n"


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        bytearray(TEXT),
        memoryview(TEXT),
        memoryview(b"1.1.1.1" + TEXT + b"9")[7:-1],
        np.frombuffer(TEXT, dtype=np.uint8),
        array("B", TEXT),
        memoryview(bytearray(TEXT)).toreadonly(),
    ],
    ids=lambda text: type(text).__name__,
)
def test_any_buffer_is_text(text: Any) -> None:
    e = extract(text)
    assert e.offset.tolist() == [2, 16]
    assert e.length.tolist() == [8, 11]
    assert e.line.tolist() == [1, 2]


def test_a_buffer_of_wider_items_is_text_byte_by_byte() -> None:
    assert extract(array("I", b"10.0.0.1::::")).length.tolist() == [8]


def test_a_memory_map_is_text(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        e = extract(mapped)
        assert e.offset.tolist() == [2, 16]
    assert e.packed[1].tobytes() == ipaddress.ip_address("2001:db8::1").packed


@pytest.mark.parametrize("text", [None, 7, ["10.0.0.1"], object(), memoryview(TEXT)[::2]])
def test_what_is_no_text_is_a_type_error(text: Any) -> None:
    with pytest.raises(TypeError):
        extract(text)


@pytest.mark.parametrize(
    "text",
    [
        "日本 10.0.0.1 é::1",
        "\U0001f600" * 50 + "10.0.0.1" + "\U0001f600 [::1]" * 3,
        "\udcff10.0.0.1\ud800 ::1",
        "é" * 63 + "1.2.3.4" + "日" * 21 + "1.2.3.5",
        "ascii 10.0.0.1",
        "\x7f10.0.0.1\x80 1.1.1.1",
    ],
)
def test_offsets_of_a_str_count_characters(kernels: str, text: str) -> None:
    e = extract(text)
    addresses = found(text)
    assert addresses
    assert [ipaddress.ip_address(address) for address in addresses] == [
        ipaddress.ip_address(packed.tobytes()[12 * (version == 4) :])
        for packed, version in zip(e.packed, e.version, strict=True)
    ]


def test_offsets_of_a_large_str_count_characters() -> None:
    text = "é" * 9_000_000 + " 10.0.0.1 " + "日" * 12_000_000 + " ::1"
    e = extract(text)
    assert e.offset.tolist() == [9_000_001, len(text) - 3]
    assert found(text) == ["10.0.0.1", "::1"]


def test_text_is_not_copied_or_changed() -> None:
    text = bytearray(TEXT)
    extract(text)
    assert text == TEXT
    text += b"more"  # and no longer held


# --- columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", b"", bytearray(), memoryview(b""), "nothing here", b"\0" * 1000])
def test_nothing_found_is_an_empty_extraction(kernels: str, text: Any) -> None:
    e = extract(text)
    assert len(e) == 0
    assert_columns(e)


def assert_columns(e: Extraction) -> None:
    n = len(e)
    assert (e.offset.dtype, e.offset.shape) == (np.dtype(np.int64), (n,))
    assert (e.line.dtype, e.line.shape) == (np.dtype(np.int64), (n,))
    assert (e.length.dtype, e.length.shape) == (np.dtype(np.uint8), (n,))
    assert (e.version.dtype, e.version.shape) == (np.dtype(np.uint8), (n,))
    assert (e.codes.dtype, e.codes.shape) == (np.dtype(np.uint8), (n,))
    assert (e.packed.dtype, e.packed.shape) == (np.dtype(np.uint8), (n, 16))


def test_columns_have_a_row_an_address() -> None:
    e = extract(b"10.0.0.1 ::1 " * 1000)
    assert len(e) == 2000
    assert_columns(e)
    assert repr(e) == "<Extraction of 2,000 addresses>"
    assert e.packed[0].tobytes() == bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1])
    assert e.packed[1].tobytes() == bytes(15) + b"\x01"


@pytest.mark.parametrize("threads", [1, 3])
def test_columns_outlive_the_extraction(threads: int) -> None:
    columns = []
    for i in range(20):
        e = extract(f"10.0.0.{i}\n" * 5000, threads=threads)
        columns.append(e.packed)
        del e
    gc.collect()
    assert [column[4999, 15] for column in columns] == list(range(20))
    assert all((column[:, 15] == i).all() for i, column in enumerate(columns))


def test_codes_are_those_of_classify() -> None:
    rng = random.Random(4)
    addresses = [ipaddress.ip_address(rng.randbytes(rng.choice([4, 16]))).compressed for _ in range(2000)]
    addresses += [block.prefix.partition("/")[0] for block in BLOCKS[1:]]
    e = extract("\n".join(f"[{address}]" for address in addresses))
    assert e.codes.tolist() == nf.classify(addresses).codes.tolist()


# --- large text, threads --------------------------------------------------------------------------------------------


def log(size: int) -> bytes:
    rng = random.Random(6)
    lines = []
    for i in range(3000):
        v4 = ".".join(str(byte) for byte in rng.randbytes(4))
        v6 = ipaddress.ip_address(rng.randbytes(16)).compressed
        lines.append(f'{v4} - [{v6}]:{i} "GET /{rng.randrange(10 ** rng.randrange(1, 40))} Chrome/1.2.3.4"\n')
    block = "".join(lines).encode()
    return (block * (size // len(block) + 1))[:size]


@pytest.mark.parametrize("threads", [2, 4, 7, None])
def test_threads_change_nothing_of_30_megabytes(threads: int | None) -> None:
    text = log(30_000_000)
    one, more = extract(text, threads=1), extract(text, threads=threads)
    assert len(one) > 100_000
    for name in ("offset", "line", "length", "version", "codes", "packed"):
        assert np.array_equal(getattr(one, name), getattr(more, name)), name


def test_threads_change_nothing_of_a_str_with_wide_characters() -> None:
    text = "日本 10.0.0.1 é ::1\n" * 20_000
    one, more = extract(text, threads=1), extract(text, threads=4)
    assert np.array_equal(one.offset, more.offset)
    assert np.array_equal(one.line, more.line)
    assert text[one.offset[-1] :] == "::1\n"


@pytest.mark.parametrize("text", [b"", b"\n", b"\n\n\n", b"10.0.0.1", b"\n::1\n::1", b"1.1.1.1\n" * 5])
def test_more_threads_than_lines(text: bytes) -> None:
    e = extract(text, threads=16)
    assert e.offset.tolist() == [f.offset for f in reference.extract(text)]
    assert e.line.tolist() == [f.line for f in reference.extract(text)]


@pytest.mark.parametrize("threads", [1, 4])
def test_10_megabytes_without_a_newline(kernels: str, threads: int) -> None:
    text = b"x" * 5_000_000 + b" 10.0.0.1 " + b"10.0.0.2 " * 555_555 + b"::1"
    e = extract(text, threads=threads)
    assert len(e) == 555_557
    assert set(e.line.tolist()) == {1}
    assert e.offset[-1] == len(text) - 3


@pytest.mark.parametrize("piece", [b"1", b".", b":", b"1.", b"a:", b"::", b"1:", b"1.1.", b"ffff:", b"%", b"A", b"[::"])
def test_a_million_times_the_same_takes_no_time(kernels: str, piece: bytes) -> None:
    """What could make a scanner try one place again and again."""
    assert len(extract(piece * 1_000_000)) == 0


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"boundary": "words"}, ValueError, "boundary='words'"),
        ({"boundary": None}, ValueError, "boundary=None"),
        ({"versions": ()}, ValueError, "versions"),
        ({"versions": (5,)}, ValueError, "versions"),
        ({"versions": (4, 6, 8)}, ValueError, "versions"),
        ({"versions": "4"}, ValueError, "versions"),
        ({"versions": 4}, TypeError, "int"),
        ({"threads": 0}, ValueError, "threads=0"),
        ({"threads": -1}, ValueError, "threads=-1"),
        ({"chunk": 5}, TypeError, "chunk"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        extract(b"10.0.0.1", **options)
