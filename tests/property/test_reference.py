"""The oracle itself: against the stdlib, against every example of the policy, against itself."""

from __future__ import annotations

import ipaddress
import json
import re
import sys

import pytest
from hypothesis import given, strategies as st

import strategies
from reference import (
    Boundary,
    Found,
    classify,
    extract,
    field_range,
    first_of_lines,
    format_address,
    json_range,
    parse,
    registry_rows,
)

# --- parse ----------------------------------------------------------------------------------------------------------


def stdlib_parse(text: str) -> tuple[int, int, str | None] | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.version, int(address), getattr(address, "scope_id", None)


@given(strategies.any_texts)
def test_parse_agrees_with_the_stdlib(text: str) -> None:
    assert parse(text) == stdlib_parse(text)


@given(strategies.spelled)
def test_parse_reads_every_spelling(address: strategies.Spelled) -> None:
    assert parse(address.text) == address[1:] == stdlib_parse(address.text)


@given(strategies.spelled_ipv6(strategies.odd_zones))
def test_parse_takes_any_zone_the_stdlib_takes(address: strategies.Spelled) -> None:
    assert parse(address.text) == address[1:] == stdlib_parse(address.text)


@given(strategies.any_texts)
def test_parse_of_bytes_is_parse_of_text(text: str) -> None:
    assert parse(text.encode()) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "...", "1", "1.2.3", "1.2.3.4.5", "1..2.34", "1234.5.6.7", "256.1.1.1", "01.2.3.4", "1.2.3.00"),
        *("127.1", "0x7f.0.0.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\n", "1.2.3.4\0", "1.2.3.4/32", "1.2.3.4%eth0"),
        *("\u0661.2.3.4", "\uff11.2.3.4", "1.2.3.\u00b2", "+1.2.3.4", "1_0.2.3.4", ".1.2.3.4", "1.2.3.4."),
        *(":", ":::", "::::", "1::2::3", ":1::2", "1::2:", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::"),
        *("::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "12345::", "::g", "::1%", "::1%a%b", "::1%a/b", "::1/64", "[::1]"),
        *("::1.2.3", "::01.2.3.4", "::256.1.1.1", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::\uff11"),
        *("1:2:3:4:5:6:7::1.2.3.4", "1:2:3:4:5:6:1.2.3.4:7", " ::1", "::1 ", ":: 1", "1.2.3.4:80", "%eth0"),
    ],
)
def test_parse_rejects(text: str) -> None:
    assert parse(text) is None
    assert stdlib_parse(text) is None


@pytest.mark.parametrize(
    ("text", "value", "zone"),
    [
        ("::", 0, None),
        ("::1", 1, None),
        ("1::", 1 << 112, None),
        ("1:2:3:4:5:6:7::", 0x00010002000300040005000600070000, None),
        ("::2:3:4:5:6:7:8", 0x00000002000300040005000600070008, None),
        ("0000:0000:0000:0000:0000:0000:255.255.255.255", 0xFFFFFFFF, None),
        ("ffff:FFFF:ffff:ffff:ffff:ffff:255.255.255.255", (1 << 128) - 1, None),
        ("::ffff:1.2.3.4", 0xFFFF01020304, None),
        ("1::1.2.3.4", 1 << 112 | 0x01020304, None),
        ("::%eth0", 0, "eth0"),
        ("fe80::1%eth0 ", 0xFE80 << 112 | 1, "eth0 "),
        ("::1%\u00e9\n", 1, "\u00e9\n"),
    ],
)
def test_parse_accepts(text: str, value: int, zone: str | None) -> None:
    assert parse(text) == (6, value, zone)


def test_a_zone_keeps_bytes_that_are_not_utf8() -> None:
    assert parse(b"::1%bad\xff") == (6, 1, "bad\udcff")
    assert parse(b"1.2.3.\xff") is None


# --- format_address -------------------------------------------------------------------------------------------------


def stdlib_text(version: int, value: int) -> str:
    if version == 4:
        return str(ipaddress.IPv4Address(value))
    address = ipaddress.IPv6Address(value)
    # The text of the newest stdlib; before 3.13 a mapped address was all hexadecimal.
    if sys.version_info < (3, 13) and address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    return address.compressed


@given(strategies.values)
def test_format_agrees_with_the_stdlib(address: tuple[int, int]) -> None:
    assert format_address(*address) == stdlib_text(*address)


@given(strategies.values)
def test_format_is_read_back(address: tuple[int, int]) -> None:
    assert parse(format_address(*address)) == (*address, None)


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "255.255.255.255", "::", "::1", "1::", "1:0:0:1::", "1::1:0:0:1", "1:0:2:0:3:0:4:0"),
        *("::ffff:0.0.0.0", "::ffff:1.2.3.4", "::fffe:102:304", "::102:304", "64:ff9b::a00:1", "2001:db8:0:1:1:1:1:1"),
    ],
)
def test_format_is_canonical(text: str) -> None:
    parsed = parse(text)
    assert parsed is not None
    assert format_address(*parsed[:2]) == text


# --- The registry ---------------------------------------------------------------------------------------------------

REGISTRY = """\
Address Block,Name,RFC,Allocation Date,Termination Date,Source,Destination,Forwardable,Globally Reachable,\
Reserved-by-Protocol
127.0.0.0/8,Loopback,"[RFC1122], Section 3.2.1.3",1981-09,N/A,False [1],False [1],False [1],False [1],True
192.0.0.0/24 [2],IETF Protocol Assignments,"[RFC6890], Section 2.1",2010-01,N/A,False,False,False,False,False
"192.0.0.170/32, 192.0.0.171/32",NAT64/DNS64 Discovery,[RFC8880],2013-02,N/A,False,False,False,False,True
192.88.99.0/24,Deprecated (6to4 Relay Anycast),[RFC7526],2001-06,2015-03,,,,,
2002::/16 [3],6to4,[RFC3056],2001-02,N/A,True,True,True,N/A [3],False
"""


def test_registry_rows() -> None:
    false, none = (False,) * 5, (None,) * 5
    assert registry_rows(REGISTRY) == [
        ("127.0.0.0/8", "Loopback", "[RFC1122], Section 3.2.1.3", False, False, False, False, True),
        ("192.0.0.0/24", "IETF Protocol Assignments", "[RFC6890], Section 2.1", *false),
        ("192.0.0.170/32", "NAT64/DNS64 Discovery", "[RFC8880]", False, False, False, False, True),
        ("192.0.0.171/32", "NAT64/DNS64 Discovery", "[RFC8880]", False, False, False, False, True),
        ("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "[RFC7526]", *none),
        ("2002::/16", "6to4", "[RFC3056]", True, True, True, None, False),
    ]


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("192.0.0.170", "192.0.0.170/32"),
        ("192.0.0.169", "192.0.0.0/24"),
        ("127.255.255.255", "127.0.0.0/8"),
        ("128.0.0.0", ""),
        ("2002::1", "2002::/16"),
        # Only equal in their leading bits: the families stay apart.
        ("32.2.0.0", ""),
        ("::7f00:1", ""),
    ],
)
def test_classify(text: str, prefix: str) -> None:
    parsed = parse(text)
    assert parsed is not None
    assert classify(*parsed[:2], ["", *(row.prefix for row in registry_rows(REGISTRY))]) == prefix


# --- extract: every example of the policy ---------------------------------------------------------------------------


def texts(text: str | bytes, boundary: Boundary = "word") -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [data[one.offset : one.offset + one.length].decode() for one in extract(data, boundary)]


HOLD_ONE = [
    # The issue, item 6
    ("1.2.3.4:80", "1.2.3.4"),
    ("[::1]:80", "::1"),
    ("1.2.3.4/24", "1.2.3.4"),
    ("(1.2.3.4)", "1.2.3.4"),
    ("IPv6:2001:db8::1", "2001:db8::1"),
    ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
    ("It came from 1.2.3.4.", "1.2.3.4"),
    ("It came from 2001:db8::1. Then", "2001:db8::1"),
    ("rhost=1.2.3.4", "1.2.3.4"),
    ("(localhost/127.0.0.1)", "127.0.0.1"),
    # API.md, IPv4
    ("地址192.168.1.1是", "192.168.1.1"),
    *((f"{mark}1.2.3.4{mark}", "1.2.3.4") for mark in "-:=/%[](){}<>\"'"),
    # API.md, product versions
    ("Chrome/126.0.0.0:80", "126.0.0.0"),
    ("NameNode/10.0.0.1:8020", "10.0.0.1"),
    ("localhost/127.0.0.1", "127.0.0.1"),
    ("msra-sa-41/10.190.173.170", "10.190.173.170"),
    ("/10.10.34.13:3888", "10.10.34.13"),
    ("A" * 65 + "/1.2.3.4", "1.2.3.4"),
    ("x=Chrome/1.2.3.4", "1.2.3.4"),
    ("9Chrome/1.2.3.4", "1.2.3.4"),
    ("éChrome/1.2.3.4", "1.2.3.4"),
    ("Chrome//1.2.3.4", "1.2.3.4"),
    ("/Chrome/1.2.3.4", "1.2.3.4"),
    # API.md, IPv6
    ("from 2001:db8::1: icmp_seq=1", "2001:db8::1"),
    *((f"{tag}:2001:db8::1", "2001:db8::1") for tag in ("ipv6", "IPV6", "Ipv6", "node", "12345", "z_9")),
    ("fe80::1%eth0", "fe80::1%eth0"),
    ("fe80::1%eth0.100: up", "fe80::1%eth0.100"),
    ("fe80::1%br-lan.", "fe80::1%br-lan"),
    ("fe80::1%eth0-.", "fe80::1%eth0"),
    ("fe80::1%eth0. Then", "fe80::1%eth0"),
    ("fe80::1%" + "a" * 15, "fe80::1%" + "a" * 15),
    ("fe80::1%" + "a" * 14 + "-b", "fe80::1%" + "a" * 14),
    ("fe80::1%" + "a" * 16, "fe80::1"),
    ("fe80::1%" + "a" * 14 + ".b", "fe80::1"),
    ("fe80::1%-.", "fe80::1"),
    ("fe80::1%", "fe80::1"),
    ("fe80::1%%eth0", "fe80::1"),
    ("fe80::1%eth0:80", "fe80::1%eth0"),
    ("fe80::%eth0", "fe80::%eth0"),
    ("[::]", "::"),
    ("[::]:80", "::"),
    ("::/0", "::"),
    ("default ::/0 via", "::"),
    ("2001:db8::/32", "2001:db8::"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7:8:x", "1:2:3:4:5:6:7:8"),
    (" :2001:db8::1", "2001:db8::1"),
    (",:1::2", "1::2"),
    ("地址2001:db8::1是", "2001:db8::1"),
    ("face:2001:db8::1", "face:2001:db8::1"),
    # 'x2001' can be no group, so it is a tag as 'node' is.
    ("x2001:db8::1", "db8::1"),
    ("a::", "a::"),
    ("::1", "::1"),
    ("::0", "::0"),
    ("FE80::A", "FE80::A"),
    # The ':' in front stands alone, as in ' :2001:db8::1'.
    (":::1", "::1"),
    # The port could be a group: no IPv6 address ends there, and behind a ':' the quad stands alone.
    ("::ffff:1.2.3.4:80", "1.2.3.4"),
    ("1:2:3:4:5:6:7:8:1.2.3.4", "1.2.3.4"),
    ("80:1.2.3.4", "1.2.3.4"),
    ("1.2.3.4::1", "1.2.3.4"),
]

HOLD_NONE = [
    # The issue, item 6
    *("1.2.3.4.5", "01.02.03.04", "256.1.1.1", "v1.2.3.4", "x10.0.0.1y", "12:34:56", "00:1a:2b:3c:4d:5e"),
    *("00-1a-2b-3c-4d-5e", "std::vector", "dead::beefs", "Chrome/126.0.0.0", "Firefox/2.0.0.4"),
    # API.md, IPv4
    *("4.3.2.1.in-addr.arpa", "1.2.3.4_", "_1.2.3.4", ".1.2.3.4", "1.2.3.4x", "1.2.3.4._x", "1.2.3", "1234.5.6.7"),
    *("1..2.34", "1.2.3.256", "1.2.3.04", "1.2.3.4567"),
    # API.md, product versions
    *('"Firefox/2.0.0.4"', "(Chrome/1.2.3.4)", "a;Chrome/1.2.3.4", "a,Chrome/1.2.3.4", "'Chrome/1.2.3.4'"),
    *(f"a{white}Chrome/1.2.3.4" for white in " \t\n\r\v\f"),
    *("A" * 64 + "/1.2.3.4", "iPhone/1.2.3.4", "Chrome/1.2.3.4:", "Chrome/1.2.3.4:x", "Chrome/1.2.3.4/24"),
    # API.md, IPv6
    *("::", "std::", "[::", "::]", "[::%eth0]", "::%eth0", "::%eth0/64", "::/", "::/x", "x::/0"),
    *("1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4:5:6:7", "2001:db8:::1", "1:::2", "12345::1", "x1::1", ".::1"),
    *("2001:db8::1x", "2001:db8::1_", "2001:db8::1.x", "2001:db8::256.1.1.1", "_::1", "x.beef:2001:db8::1"),
    *("2001:db8::1.2.3.4.5", "2001:db8::1.2.3.4x", "1::2::", "1:2:3:4:5:6:7:8::", "2001:db8::12345", "::g"),
]


@pytest.mark.parametrize(("text", "address"), HOLD_ONE)
def test_text_that_holds_one_address(text: str, address: str) -> None:
    assert texts(text) == [address]


@pytest.mark.parametrize("text", HOLD_NONE)
def test_text_that_holds_no_address(text: str) -> None:
    assert texts(text) == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("Chrome/126.0.0.0 Firefox/2.0.0.4", ["126.0.0.0", "2.0.0.4"]),
        ("v1.2.3.4", ["1.2.3.4"]),
        ("x10.0.0.1y", ["10.0.0.1"]),
        ("4.3.2.1.in-addr.arpa", ["4.3.2.1"]),
        ("1.2.3.4a5.6.7.8", ["1.2.3.4", "5.6.7.8"]),
        ("1.2.3.4.5", []),
        ("1.2.3.4._", []),
        ("1.2.3.4_", []),
        ("_1.2.3.4", []),
        ("x.1.2.3.4", []),
        ("01.02.03.04", []),
        ("256.1.1.1", []),
        ("dead::beefs", []),
        ("x::1", []),
        ("x::ffff:1.2.3.4y", ["1.2.3.4"]),
        ("::ffff:1.2.3.4", ["::ffff:1.2.3.4"]),
    ],
)
def test_loose(text: str, addresses: list[str]) -> None:
    assert texts(text, "loose") == addresses


def test_found_says_what_and_where() -> None:
    text = "é 1.2.3.4\n\r\n[fe80::1%eth0]:22 ::ffff:5.6.7.8".encode()
    assert extract(text) == [
        Found(3, 7, 4, 0x01020304, None, 1),
        Found(14, 12, 6, 0xFE80 << 112 | 1, "eth0", 3),
        Found(31, 14, 6, 0xFFFF05060708, None, 3),
    ]


def test_versions_filters_what_both_would_find() -> None:
    text = b"1.2.3.4 ::ffff:5.6.7.8 ::1"
    assert [one.offset for one in extract(text, versions=(4,))] == [0]
    assert [one.offset for one in extract(text, versions=(6,))] == [8, 23]


# --- extract: what holds for any text -------------------------------------------------------------------------------

boundaries: st.SearchStrategy[Boundary] = st.sampled_from(["word", "loose"])
any_log = st.one_of(strategies.log_texts, strategies.rule_texts)


@given(any_log, boundaries)
def test_found_text_is_the_address(text: bytes, boundary: Boundary) -> None:
    end = 0
    for one in extract(text, boundary):
        assert one.offset >= end
        end = one.offset + one.length
        assert parse(text[one.offset : end]) == one[2:5]
        assert one.line == text[: one.offset].count(b"\n") + 1


@given(any_log, boundaries)
def test_lines_are_independent(text: bytes, boundary: Boundary) -> None:
    expected: list[Found] = []
    offset = 0
    for index, line in enumerate(text.split(b"\n")):
        expected += [one._replace(offset=offset + one.offset, line=index + 1) for one in extract(line, boundary)]
        offset += len(line) + 1
    assert extract(text, boundary) == expected


@given(any_log)
def test_loose_only_adds_to_word(text: bytes) -> None:
    assert set(extract(text)) <= set(extract(text, "loose"))


# The IPv4 rules once more, as regular expressions; without ':' there is no IPv6 to take a quad away.
QUAD = re.compile(rb"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_]|\.[A-Za-z0-9_])")
PRODUCT = re.compile(rb"(?:\A|[\s\"'(;,])(?=[a-z]{0,63}[A-Z])[A-Za-z]{1,64}/\Z")


@given(any_log)
def test_ipv4_by_regular_expression(text: bytes) -> None:
    text = text.replace(b":", b"")
    quads = [
        one for one in QUAD.finditer(text) if stdlib_parse(one[0].decode()) and not PRODUCT.search(text[: one.start()])
    ]
    assert [(one.offset, one.length) for one in extract(text)] == [(one.start(), len(one[0])) for one in quads]


# --- Which address of a line counts ---------------------------------------------------------------------------------


def test_first_of_lines() -> None:
    found = extract(b"none\n1.1.1.1 2.2.2.2\n\n::1 3.3.3.3\n")
    assert [(one.line, format_address(one.version, one.value)) for one in first_of_lines(found)] == [
        (2, "1.1.1.1"),
        (4, "::1"),
    ]


@given(any_log)
def test_first_of_lines_is_one_a_line(text: bytes) -> None:
    found = extract(text)
    first = first_of_lines(found)
    assert [one.line for one in first] == sorted({one.line for one in found})
    assert all(one == min(other for other in found if other.line == one.line) for one in first)


@pytest.mark.parametrize(
    ("line", "n", "sep", "field"),
    [
        (b"a b  c", 1, None, b"a"),
        (b" \ta \t b", 2, None, b"b"),
        (b"a b ", 3, None, None),
        (b"", 1, None, None),
        (b"a\rb\vc", 1, None, b"a\rb\vc"),
        (b"a,,c", 2, b",", b""),
        (b",a", 1, b",", b""),
        (b"a,", 2, b",", b""),
        (b"a,", 3, b",", None),
        (b"a::b::c", 2, b"::", b"b"),
        (b" a", 1, b" ", b""),
        (b"a", 0, None, None),
        (b"", 1, b",", b""),
    ],
)
def test_field_range(line: bytes, n: int, sep: bytes | None, field: bytes | None) -> None:
    span = field_range(line, n, sep)
    assert (None if span is None else line[slice(*span)]) == field


@pytest.mark.parametrize(
    ("line", "key", "content"),
    [
        ('{"client": {"ip": "1.2.3.4"}}', "client.ip", "1.2.3.4"),
        (' {"a" : [ "x" , {"b":"1.2.3.4"} ] } ', "a.1.b", "1.2.3.4"),
        ('["x", "y"]', "1", "y"),
        ('["x", "y"]', "2", None),
        ('{"0": "x"}', "0", "x"),
        ('{"é": "ü", "ip": "::1"}', "ip", "::1"),
        ('{"\\u0069p": "\\u0031.2.3.4"}', "ip", "\\u0031.2.3.4"),
        ('{"q": "a\\"}", "ip": "x"}', "ip", "x"),
        ('{"ip": "x", "ip": "y"}', "ip", "y"),
        ('{"n": ' + "9" * 5000 + ', "ip": ""}', "ip", ""),
        ('{"ip": 1}', "ip", None),
        ('{"ip": null}', "ip", None),
        ('{"ip": {}}', "ip.x", None),
        ('{"ip": []}', "ip.0", None),
        ('{"ip": "x"}', "ip.0", None),
        ('{"client.ip": "x"}', "client.ip", None),
        ('{"ip": "x"', "ip", None),
        ('{"ip": "x"} y', "ip", None),
        ("", "ip", None),
        ('"ip"', "ip", None),
    ],
)
def test_json_range(line: str, key: str, content: str | None) -> None:
    data = line.encode()
    span = json_range(data, key)
    assert (None if span is None else data[slice(*span)].decode()) == content


def test_json_range_counts_bytes() -> None:
    assert json_range('{"é": "ü"}'.encode(), "é") == (8, 10)
    assert json_range(b'{"a": "\xff", "ip": "x"}', "ip") == (18, 19)


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    names = st.sampled_from(["a", "b", "0", "é"])
    return st.one_of(inner, st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3))


documents = nested(nested(nested(leaves)))


@given(documents, st.lists(st.sampled_from(["a", "b", "0", "1", "é"]), min_size=1, max_size=3), st.booleans())
def test_json_range_agrees_with_json(document: object, path: list[str], ascii_only: bool) -> None:
    expected = document
    for segment in path:
        if isinstance(expected, dict):
            expected = expected.get(segment)
        elif isinstance(expected, list) and segment.isdigit() and int(segment) < len(expected):
            expected = expected[int(segment)]
        else:
            expected = None
    line = json.dumps(document, ensure_ascii=ascii_only, indent=1 if ascii_only else None).encode()
    span = json_range(line, ".".join(path))
    if isinstance(expected, str):
        assert span is not None
        assert json.loads(line[span[0] - 1 : span[1] + 1]) == expected
    else:
        assert span is None
