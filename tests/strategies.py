"""Hypothesis strategies shared by the tests: addresses in every spelling, near misses, log text that strains rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy


class Spelled(NamedTuple):
    """One spelling of an address, and what parsing it must give."""

    text: str
    version: int
    value: int
    zone: str | None


# --- Values ---------------------------------------------------------------------------------------------------------

# Both sides of every change in the number of digits, and of every textbook class.
octets: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, 9, 10, 25, 99, 100, 126, 127, 128, 169, 172, 191, 192, 199, 200, 223, 224, 249, 250, 255]),
    st.integers(0, 255),
)
# Zero often, so that runs of every length and place arise.
groups: SearchStrategy[int] = st.one_of(
    st.just(0),
    st.sampled_from([1, 0xF, 0x10, 0xFF, 0x100, 0xFFF, 0x1000, 0x2001, 0xDB8, 0xFE80, 0xFF02, 0xFFFF]),
    st.integers(0, 0xFFFF),
)
# What carries an IPv4 address: mapped, compatible, NAT64, 6to4.
_CARRIERS = ([0] * 5 + [0xFFFF], [0] * 6, [0x64, 0xFF9B, 0, 0, 0, 0], [0x2002, 0, 0, 0, 0, 0])


def _join(parts: list[int], bits: int) -> int:
    value = 0
    for part in parts:
        value = value << bits | part
    return value


ipv6_groups: SearchStrategy[list[int]] = st.one_of(
    st.lists(groups, min_size=8, max_size=8),
    st.builds(lambda head, tail: head + tail, st.sampled_from(_CARRIERS), st.lists(groups, min_size=2, max_size=2)),
)
ipv4_values: SearchStrategy[int] = st.lists(octets, min_size=4, max_size=4).map(lambda quad: _join(quad, 8))
ipv6_values: SearchStrategy[int] = ipv6_groups.map(lambda eight: _join(eight, 16))
# (version, value)
values: SearchStrategy[tuple[int, int]] = st.one_of(
    st.tuples(st.just(4), ipv4_values), st.tuples(st.just(6), ipv6_values)
)

# --- Valid text -----------------------------------------------------------------------------------------------------

_ZONE_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
# Zones that are found in text, and zones that only `parse` takes (anything but '%' and '/').
text_zones: SearchStrategy[str] = st.one_of(
    st.sampled_from(["eth0", "lo", "1", "br-lan", "eth0.100", "wlan_1", "a" * 15, "en0.a-b"]),
    st.text(_ZONE_CHARACTERS, min_size=1, max_size=15).filter(lambda zone: zone[-1] not in ".-"),
)
odd_zones: SearchStrategy[str] = st.text(min_size=1, max_size=20).filter(lambda zone: not set(zone) & {"%", "/"})


def _dotted(value: int) -> str:
    return ".".join(str(octet) for octet in value.to_bytes(4, "big"))


def _alternating_case(text: str) -> str:
    return "".join(letter.upper() if index % 2 else letter for index, letter in enumerate(text))


_CASES: tuple[Callable[[str], str], ...] = (str.lower, str.upper, _alternating_case)

spelled_ipv4: SearchStrategy[Spelled] = ipv4_values.map(lambda value: Spelled(_dotted(value), 4, value, None))


@st.composite
def _spelled_parts(draw: DrawFn, eight: list[int]) -> list[str]:
    """The groups as text: leading zeros or none, the last two perhaps as dotted decimal."""
    parts = [f"{group:0{draw(st.integers(1, 4))}x}" for group in eight]
    if draw(st.booleans()):
        parts[6:] = [_dotted(_join(eight[6:], 16))]
    return parts


def _compressed(parts: list[str], start: int, end: int) -> str:
    return ":".join(parts[:start]) + "::" + ":".join(parts[end:])


def _compressible(parts: list[str]) -> list[tuple[int, int]]:
    """Every run of zero groups: RFC 4291 lets '::' stand for any one of them, a single group too."""
    runs: list[tuple[int, int]] = []
    for start in range(len(parts)):
        end = start
        while end < len(parts) and set(parts[end]) == {"0"}:
            end += 1
            runs.append((start, end))
    return runs


@st.composite
def spelled_ipv6(draw: DrawFn, zones: SearchStrategy[str] = text_zones) -> Spelled:
    eight = draw(ipv6_groups)
    parts = draw(_spelled_parts(eight))
    runs = _compressible(parts)
    compress = draw(st.booleans()) and runs
    text = _compressed(parts, *draw(st.sampled_from(runs))) if compress else ":".join(parts)
    text = draw(st.sampled_from(_CASES))(text)
    zone = draw(st.one_of(st.none(), zones))
    return Spelled(text if zone is None else f"{text}%{zone}", 6, _join(eight, 16), zone)


spelled: SearchStrategy[Spelled] = st.one_of(spelled_ipv4, spelled_ipv6())
ipv4_texts: SearchStrategy[str] = spelled_ipv4.map(lambda address: address.text)
ipv6_texts: SearchStrategy[str] = spelled_ipv6().map(lambda address: address.text)
address_texts: SearchStrategy[str] = st.one_of(ipv4_texts, ipv6_texts)

# --- Near misses: most are invalid, an oracle decides ---------------------------------------------------------------

# str.isdigit and int take these; an address takes only ASCII digits.
_ARABIC_INDIC = {ord("0") + digit: 0x0660 + digit for digit in range(10)}
_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
_NOT_DECIMAL = ["", " 1", "1 ", "1\n", "0x7f", "+1", "-1", "1_0", "a", "\u00b2"]
_NOT_OCTETS = ["256", "260", "300", "999", "1000", "1234", "00", "01", "007", "0000"]
_NOT_GROUPS = ["00000", "12345", "g", "1.2.3.4", "1.2.3", "256.1.1.1", "01.2.3.4", "\u0661"]


@st.composite
def _near_ipv4(draw: DrawFn) -> str:
    """A quad with one octet replaced, dropped or added, or with a digit of another script."""
    parts = draw(ipv4_texts).split(".")
    index = draw(st.integers(0, 3))
    kind = draw(st.sampled_from(["replace", "drop", "add", "arabic", "full width"]))
    if kind == "replace":
        parts[index] = draw(st.sampled_from(_NOT_DECIMAL + _NOT_OCTETS))
    elif kind == "drop":
        del parts[index]
    elif kind == "add":
        parts.insert(index, draw(st.sampled_from(["", "1", "0"])))
    else:
        parts[index] = parts[index].translate(_ARABIC_INDIC if kind == "arabic" else _FULL_WIDTH)
    return ".".join(parts)


@st.composite
def _near_ipv6(draw: DrawFn) -> str:
    """An IPv6 text with one group replaced, dropped or added; an empty group makes or breaks a '::'."""
    parts = draw(ipv6_texts).split(":")
    index = draw(st.integers(0, len(parts) - 1))
    kind = draw(st.sampled_from(["replace", "drop", "add"]))
    if kind == "drop":
        del parts[index]
    elif kind == "add":
        parts.insert(index, draw(st.sampled_from(["", "0", "1", "1.2.3.4"])))
    else:
        parts[index] = draw(st.sampled_from(_NOT_DECIMAL + _NOT_GROUPS))
    return ":".join(parts)


_BLANKS = ["", " ", "\t", "\n", "\r\n", "\0", "\u00a0", "\ufeff"]
_MORE = [".", ":", "::", "/24", "%", "%%", "%/", "%eth0", "[", "]", "x", ":80"]
_around: SearchStrategy[str] = st.sampled_from(_BLANKS + _MORE)


@st.composite
def _surrounded(draw: DrawFn) -> str:
    return draw(_around) + draw(address_texts) + draw(_around)


_EDIT_CHARACTERS = "0129afAFgx.:%/ \n\0_-\u0663\uff15"


@st.composite
def _edited(draw: DrawFn) -> str:
    """One to three characters inserted, deleted or replaced."""
    text = draw(address_texts)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        removed = draw(st.integers(0, 1))
        text = text[:at] + draw(st.sampled_from(["", *_EDIT_CHARACTERS])) + text[at + removed :]
    return text


near_misses: SearchStrategy[str] = st.one_of(_near_ipv4(), _near_ipv6(), _surrounded(), _edited())
# Anything a bulk call may be given as text: valid, nearly so, made of the right characters, or arbitrary.
any_texts: SearchStrategy[str] = st.one_of(
    address_texts, near_misses, st.text("0123456789abcdefABCDEF:.%", max_size=50), st.text(max_size=20)
)

# --- Log text -------------------------------------------------------------------------------------------------------

# What may touch an address: each is one side of a boundary rule.
_WHITE = [b" ", b"\t", b"\n", b"\r\n", b"\v", b"\f", b"\0", b": ", b" :", b". "]
_MARKS = b". .. : :: ,: / // - = % %25 %eth0 %-. [ ] ]: ( ) < > \" ' ; , @ | /8 /24 /128 :80 :ff".split()
_WORD = b"_ a f g x Z 0 1 9 v".split()
_NOT_ASCII = [b"\x80", b"\xff", b"\xe5\x9c\xb0", b"\xef\xbc\x91", b"\xd9\xa1"]
# Look like addresses, or decide whether what follows is one.
_TRAPS = [
    *b"Chrome/ Chrome/126.0.0.0 Firefox/2.0.0.4 NameNode/10.0.0.1:8020 localhost/127.0.0.1".split(),
    *b"msra-sa-41/10.190.173.170 /10.10.34.13:3888 v1.2.3.4 x10.0.0.1y 4.3.2.1.in-addr.arpa 3.14".split(),
    *b"1.2.3.4.5 01.02.03.04 256.1.1.1 1..2.34 1234.5.6.7 1.2.3 999.999.999.999 10.0.0.1".split(),
    *b"12:34:56 [10/Oct/2000:13:55:36 2024-01-02T03:04:05.678Z 00:1a:2B:3c:4d:5e 00-1A-2B-3C-4D-5E".split(),
    *b"00:11:22:33:44:55:66:77 std::vector dead::beefs a::b Foo::Bar::baz ::: [::] ::/0 ::%eth0 [::1]:80".split(),
    *b"IPv6: ipv6:2001:db8::1 node: face: 12345: z_9: fe80::1% ::ffff: ::ffff:1.2.3.4:80 1::2::3".split(),
    *b"1:2:3:4:5:6:7:8:9 fe80::1%eth0.100 fe80::1%abcdefghijklmnop http://[2001:db8::1]:8080/x".split(),
    *(b"A" * letters + b"/" for letters in (64, 65)),
]

_fragments: SearchStrategy[bytes] = st.one_of(
    address_texts.map(lambda text: text.encode()),
    st.sampled_from(_WHITE + _MARKS + _WORD + _NOT_ASCII),
    st.sampled_from(_TRAPS),
    near_misses.map(lambda text: text.encode()),
    st.binary(max_size=4),
)
log_texts: SearchStrategy[bytes] = st.lists(_fragments, max_size=24).map(b"".join)
# Dense in what decides, so that every short neighbourhood of the rules comes up.
_RULE_PIECES = b"::1 :: 1.2.3.4 fe80::a X/ : . / % a G 0 _ [ ] %".split()
rule_texts: SearchStrategy[bytes] = st.lists(st.sampled_from([*_RULE_PIECES, b" ", b"\n", b"\xff"]), max_size=12).map(
    b"".join
)

# --- Prefixes --------------------------------------------------------------------------------------------------------

Prefix = tuple[int, int, int]  # version, first address, length
Address = tuple[int, int]  # version, value
_BITS = {4: 32, 6: 128}
# The lengths at which tables change their ways stand beside both their neighbours; the rest comes as it comes.
_LENGTHS = {
    4: [0, 1, 7, 8, 9, 12, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 30, 31, 32],
    6: [0, 1, 3, 8, 15, 16, 17, 19, 24, 28, 31, 32, 33, 36, 40, 47, 48, 49, 56, 63, 64, 65, 80, 96, 112, 126, 127, 128],
}


def _prefix(version: int, value: int, length: int) -> Prefix:
    rest = _BITS[version] - length
    return version, (value >> rest << rest) % (1 << _BITS[version]), length


def lengths(version: int) -> SearchStrategy[int]:
    return st.one_of(st.sampled_from(_LENGTHS[version]), st.integers(0, _BITS[version]))


def _numbers(version: int) -> SearchStrategy[int]:
    return st.one_of(ipv4_values if version == 4 else ipv6_values, st.integers(0, (1 << _BITS[version]) - 1))


@st.composite
def prefixes(draw: DrawFn, version: int | None = None) -> Prefix:
    version = version or draw(st.sampled_from([4, 6]))
    return _prefix(version, draw(_numbers(version)), draw(lengths(version)))


@st.composite
def _kin(draw: DrawFn, prefix: Prefix) -> list[Prefix]:
    """What belongs to a prefix: longer ones inside it, shorter ones around it, its neighbours, itself once more."""
    version, value, length = prefix
    bits = _BITS[version]
    kind = draw(st.sampled_from(["inside", "around", "chain", "sibling", "next", "row", "again", "host", "bits"]))
    inside = value | draw(st.integers(0, (1 << bits - length) - 1))
    step = 1 << bits - length
    if kind == "inside":
        return [_prefix(version, inside, draw(st.integers(length, bits)))]
    if kind == "around":
        return [_prefix(version, value, draw(st.integers(0, length)))]
    if kind == "chain":
        every = draw(st.sampled_from([1, 2, 3, 8]))
        return [_prefix(version, inside, longer) for longer in range(length, bits + 1, every)]
    if kind == "sibling":
        return [(version, value ^ step, length)] if length else []
    if kind == "next":
        return [_prefix(version, value + draw(st.sampled_from([-step, step])), length)]
    if kind == "row":  # side by side, across the ends of whatever blocks a table keeps
        return [_prefix(version, value + k * step, length) for k in range(-draw(st.integers(0, 9)), 9)]
    if kind == "host":
        return [(version, draw(st.sampled_from([value, inside, value + step - 1])), bits)]
    if kind == "bits":  # the same leading bits in the other family: 32.0.0.0/8 and 2000::/8
        other = 10 - version
        longest = min(length, _BITS[other])
        return [_prefix(other, value >> bits - longest << _BITS[other] - longest, longest)]
    return [prefix]


@st.composite
def prefix_lists(draw: DrawFn, version: int | None = None, most: int = 12) -> list[Prefix]:
    """Clustered, nested, adjacent and repeated prefixes, host routes and default routes among them."""
    found: list[Prefix] = draw(st.lists(prefixes(version), max_size=4))
    for _ in range(draw(st.integers(0, most))):
        if found:
            found += draw(_kin(draw(st.sampled_from(found))))
    if version is not None:
        found = [prefix for prefix in found if prefix[0] == version]
    if draw(st.integers(0, 5)) == 0:
        found.append((version or draw(st.sampled_from([4, 6])), 0, 0))
    return draw(st.permutations(found)) if len(found) < 30 else found


@st.composite
def near_addresses(draw: DrawFn, around: list[Prefix]) -> list[Address]:
    """Addresses at both ends of the prefixes and beside them, inside them, in the other family, and anywhere."""
    near: list[Address] = []
    for version, value, length in around:
        bits = _BITS[version]
        step = 1 << bits - length
        places = [value, value + step - 1, value - 1, value + step, value + draw(st.integers(0, step - 1))]
        near += [(version, place % (1 << bits)) for place in places]
        near.append((10 - version, (value << 96 if version == 4 else value >> 96) % (1 << _BITS[10 - version])))
    return near + draw(st.lists(values, max_size=8))


@st.composite
def tables(draw: DrawFn, version: int | None = None) -> tuple[list[Prefix], list[Address]]:
    """Prefixes for a table, and what to ask it."""
    found = draw(prefix_lists(version))
    return found, draw(near_addresses(found))
