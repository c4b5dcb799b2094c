"""The slow, obvious oracle every kernel and every public call is tested against.

Nothing here looks at netfast. The grammars are written out by hand, because the running Python may be older than the
`ipaddress` whose verdicts are the contract. Where the running stdlib may differ from this file:

- verdicts: CPython 3.14.0b2 refuses IPv6 text over 39 characters, also the valid 45 of a full form with embedded IPv4
  (gh-128840, put right before 3.14.0). The limit of 45 that stayed changes no verdict: no valid form is longer.
- text: before CPython 3.13 `compressed` writes ::ffff:1.2.3.4 as ::ffff:102:304 (gh-87799).
- nothing else: white space around an address is invalid, but behind a '%' it is part of the zone, here as there.
"""

from __future__ import annotations

import csv
import functools
import io
import ipaddress
import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

Boundary = Literal["word", "loose"]
Span = tuple[int, int]

# --- Addresses: text to value and back ------------------------------------------------------------------------------

_DECIMAL = frozenset("0123456789")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


def parse(text: str | bytes) -> tuple[int, int, str | None] | None:
    """(version, value, zone), or None where the newest `ipaddress` raises."""
    if isinstance(text, bytes):
        # Only a zone can hold such bytes in a valid address; they survive as the operating system's names do.
        text = text.decode("utf-8", "surrogateescape")
    value = _ipv4_value(text)
    if value is not None:
        return 4, value, None
    address, percent, zone = text.partition("%")
    if percent and (not zone or "%" in zone or "/" in zone):
        return None
    value = _ipv6_value(address)
    return None if value is None else (6, value, zone if percent else None)


def _ipv4_value(text: str) -> int | None:
    octets = text.split(".")
    if len(octets) != 4 or not all(_is_octet(octet) for octet in octets):
        return None
    return int.from_bytes(bytes(int(octet) for octet in octets), "big")


def _is_octet(text: str) -> bool:
    if not 1 <= len(text) <= 3 or not _DECIMAL.issuperset(text):
        return False
    if len(text) > 1 and text[0] == "0":
        return False
    return int(text) <= 255


def _ipv6_value(text: str) -> int | None:
    """RFC 4291 section 2.2: eight groups, or fewer around one '::' that stands for at least one group."""
    sides = text.split("::")
    if len(sides) > 2:
        return None
    groups = [_groups(side, ends_address=side is sides[-1]) for side in sides]
    left, right = groups[0], groups[-1]
    if left is None or right is None:
        return None
    if len(sides) == 1:
        return _join_groups(left) if len(left) == 8 else None
    missing = 8 - len(left) - len(right)
    return _join_groups(left + [0] * missing + right) if missing >= 1 else None


def _groups(side: str, *, ends_address: bool) -> list[int] | None:
    """The 16-bit groups on one side of the '::'; dotted decimal may stand in for the last two of the address."""
    if not side:
        return []
    groups: list[int] = []
    parts = side.split(":")
    for index, part in enumerate(parts):
        if 1 <= len(part) <= 4 and _HEXADECIMAL.issuperset(part):
            groups.append(int(part, 16))
            continue
        embedded = _ipv4_value(part) if ends_address and index == len(parts) - 1 else None
        if embedded is None:
            return None
        groups += [embedded >> 16, embedded & 0xFFFF]
    return groups


def _join_groups(groups: Iterable[int]) -> int:
    value = 0
    for group in groups:
        value = value << 16 | group
    return value


def format_address(version: int, value: int) -> str:
    """RFC 5952; dotted decimal inside IPv6 only for ::ffff:0:0/96."""
    if version == 4:
        return _dotted(value)
    if value >> 32 == 0xFFFF:
        return f"::ffff:{_dotted(value & 0xFFFFFFFF)}"
    groups = [f"{value >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
    start, end = _longest_zeros(groups)
    if end - start < 2:
        return ":".join(groups)
    return ":".join(groups[:start]) + "::" + ":".join(groups[end:])


def _dotted(value: int) -> str:
    return ".".join(str(octet) for octet in value.to_bytes(4, "big"))


def _longest_zeros(groups: list[str]) -> Span:
    """The longest run of zero groups, the first of equals (RFC 5952 section 4.2.3)."""
    runs = [(0, 0)]
    for start in range(8):
        end = start
        while end < 8 and groups[end] == "0":
            end += 1
        runs.append((start, end))
    return max(runs, key=lambda run: run[1] - run[0])


# --- The registry ---------------------------------------------------------------------------------------------------


class RegistryRow(NamedTuple):
    prefix: str
    name: str
    rfc: str
    source: bool | None
    destination: bool | None
    forwardable: bool | None
    is_global: bool | None
    reserved: bool | None


def registry_rows(csv_text: str) -> list[RegistryRow]:
    """IANA's special-purpose table, one row a prefix, in file order; footnote marks dropped, N/A and blank None."""
    rows: list[RegistryRow] = []
    for cells in csv.DictReader(io.StringIO(csv_text, newline="")):
        flags = (
            _flag(cells["Source"]),
            _flag(cells["Destination"]),
            _flag(cells["Forwardable"]),
            _flag(cells["Globally Reachable"]),
            _flag(cells["Reserved-by-Protocol"]),
        )
        name, rfc = _without_marks(cells["Name"]), cells["RFC"]
        prefixes = cells["Address Block"].split(",")
        rows += [RegistryRow(_without_marks(prefix), name, rfc, *flags) for prefix in prefixes]
    return rows


def _without_marks(cell: str) -> str:
    """'192.0.0.0/24 [2]' -> '192.0.0.0/24'. References such as [RFC791] are no footnote marks."""
    return re.sub(r"\[[0-9]+\]", "", cell).strip()


def _flag(cell: str) -> bool | None:
    return {"True": True, "False": False, "N/A": None, "": None}[_without_marks(cell)]


def classify(version: int, value: int, rows: Iterable[str]) -> str:
    """The longest of the given prefixes that holds the address; '' (the invalid row's prefix) where none does."""
    address = ipaddress.IPv4Address(value) if version == 4 else ipaddress.IPv6Address(value)
    holding = [row for row in rows if row and address in _network(row)]
    return max(holding, key=lambda row: _network(row).prefixlen, default="")


@functools.cache
def _network(prefix: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(prefix)


# --- Logs: every address in text ------------------------------------------------------------------------------------


class Found(NamedTuple):
    offset: int
    length: int
    version: int
    value: int
    zone: str | None
    line: int


class _Match(NamedTuple):
    length: int
    version: int
    value: int
    zone: str | None


_DIGIT = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_CAPITAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTER = _CAPITAL | frozenset(b"abcdefghijklmnopqrstuvwxyz")
_WORD = _LETTER | _DIGIT | frozenset(b"_")
_ZONE = _WORD | frozenset(b".-")
_BEFORE_PRODUCT = frozenset(b" \t\n\r\v\f\"'(;,")

_IPV4_TEXT = _DIGIT | frozenset(b".")
_IPV4_LONGEST = len("255.255.255.255")
_IPV6_TEXT = _HEX | frozenset(b":.")
_IPV6_LONGEST = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
_ZONE_LONGEST = 15  # IFNAMSIZ less its NUL
_NAME_LONGEST = 64


def extract(text: bytes, boundary: Boundary = "word", versions: Collection[int] = (4, 6)) -> list[Found]:
    """Every address in text, left to right, by the policy of API.md, section Logs."""
    found: list[Found] = []
    position, line, lines_counted_to = 0, 1, 0
    while position < len(text):
        match = _ipv4_at(text, position, boundary) or _ipv6_at(text, position)
        if match is None:
            position += 1
            continue
        line += text.count(b"\n", lines_counted_to, position)
        lines_counted_to = position
        found.append(Found(position, match.length, match.version, match.value, match.zone, line))
        position += match.length
    # Filtered last: an IPv4 address inside an IPv6 one is not found by leaving the IPv6 one out.
    return [address for address in found if address.version in versions]


def _byte(text: bytes, index: int) -> int:
    """The byte there, or -1 (in no class of bytes) outside the text."""
    return text[index] if 0 <= index < len(text) else -1


def _is(text: bytes, index: int, character: bytes) -> bool:
    return _byte(text, index) == character[0]


def _candidate_ends(text: bytes, start: int, alphabet: frozenset[int], longest: int) -> range:
    """Every end an address text starting there could have, the furthest first."""
    end = start
    while end - start < longest and _byte(text, end) in alphabet:
        end += 1
    return range(end, start, -1)


def _word_starts(text: bytes, start: int) -> bool:
    return _byte(text, start - 1) not in _WORD and not _is(text, start - 1, b".")


def _word_ends(text: bytes, end: int) -> bool:
    """A sentence may end on an address, so a '.' rejects only before more of a word."""
    return _byte(text, end) not in _WORD and not (_is(text, end, b".") and _byte(text, end + 1) in _WORD)


# IPv4


def _ipv4_at(text: bytes, start: int, boundary: Boundary) -> _Match | None:
    if not _ipv4_may_start(text, start, boundary):
        return None
    for end in _candidate_ends(text, start, _IPV4_TEXT, _IPV4_LONGEST):
        value = _ipv4_value(text[start:end].decode("ascii"))
        if value is None or not _ipv4_may_end(text, end, boundary):
            continue
        if boundary == "word" and _is_product_version(text, start, end):
            continue
        return _Match(end - start, 4, value, None)
    return None


def _ipv4_may_start(text: bytes, start: int, boundary: Boundary) -> bool:
    return _word_starts(text, start) or (boundary == "loose" and _byte(text, start - 1) in _LETTER)


def _ipv4_may_end(text: bytes, end: int, boundary: Boundary) -> bool:
    if boundary == "word":
        return _word_ends(text, end)
    after = end + 1 if _is(text, end, b".") else end
    return _word_ends(text, end) or _byte(text, after) in _LETTER


def _is_product_version(text: bytes, start: int, end: int) -> bool:
    """Chrome/126.0.0.0 is one, localhost/127.0.0.1 and NameNode/10.0.0.1:8020 are addresses."""
    slash = start - 1
    if not _is(text, slash, b"/") or (_is(text, end, b":") and _byte(text, end + 1) in _DIGIT):
        return False
    name = slash
    while _byte(text, name - 1) in _LETTER:
        name -= 1
    if not 1 <= slash - name <= _NAME_LONGEST or _CAPITAL.isdisjoint(text[name:slash]):
        return False
    return name == 0 or text[name - 1] in _BEFORE_PRODUCT


# IPv6


def _ipv6_at(text: bytes, start: int) -> _Match | None:
    if not _word_starts(text, start) or _continues_colon_chain(text, start):
        return None
    for end in _candidate_ends(text, start, _IPV6_TEXT, _IPV6_LONGEST):
        value = _ipv6_value(text[start:end].decode("ascii"))
        if value is None or not _ipv6_may_end(text, end):
            continue
        if text[start:end] == b"::" and not _bare_double_colon_counts(text, start):
            continue
        zone = _zone_at(text, end)
        length = end - start if zone is None else end - start + 1 + len(zone)
        return _Match(length, 6, value, zone)
    return None


def _continues_colon_chain(text: bytes, start: int) -> bool:
    """Is the ':' before the start part of '::', or does it follow what could be a group? (In 'IPv6:' it does not.)"""
    colon = start - 1
    if not _is(text, colon, b":"):
        return False
    word = colon
    while _byte(text, word - 1) in _WORD:
        word -= 1
    if word == colon:
        return _is(text, colon - 1, b":")
    return colon - word <= 4 and _HEX.issuperset(text[word:colon])


def _ipv6_may_end(text: bytes, end: int) -> bool:
    chain_goes_on = _is(text, end, b":") and (_byte(text, end + 1) in _HEX or _is(text, end + 1, b":"))
    return _word_ends(text, end) and not chain_goes_on


def _bare_double_colon_counts(text: bytes, start: int) -> bool:
    """'[::]' and '::/0' are addresses; any other '::' alone is punctuation (std::vector)."""
    in_brackets = _is(text, start - 1, b"[") and _is(text, start + 2, b"]")
    return in_brackets or (_is(text, start + 2, b"/") and _byte(text, start + 3) in _DIGIT)


def _zone_at(text: bytes, end: int) -> str | None:
    """The zone behind an address that ends there; None where it is too long or runs on: the address stands alone."""
    if not _is(text, end, b"%"):
        return None
    start = stop = end + 1
    while stop - start < _ZONE_LONGEST and _byte(text, stop) in _ZONE:
        stop += 1
    zone = text[start:stop].rstrip(b".-")
    return zone.decode("ascii") if zone and _word_ends(text, start + len(zone)) else None


# --- Logs: which address of a line counts ---------------------------------------------------------------------------


def first_of_lines(found: Iterable[Found]) -> list[Found]:
    """The first of the given addresses on each line that has one."""
    first: dict[int, Found] = {}
    for address in found:
        first.setdefault(address.line, address)
    return list(first.values())


def field_range(line: bytes, n: int, sep: bytes | None = None) -> Span | None:
    """(start, end) of the n-th field from 1 of a line without its newline; runs of blanks or every `sep` separate."""
    fields = _blank_separated(line) if sep is None else _separated(line, sep)
    return fields[n - 1] if 1 <= n <= len(fields) else None


def _blank_separated(line: bytes) -> list[Span]:
    return [match.span() for match in re.finditer(rb"[^ \t]+", line)]


def _separated(line: bytes, sep: bytes) -> list[Span]:
    fields: list[Span] = []
    start = 0
    for field in line.split(sep):
        fields.append((start, start + len(field)))
        start += len(field) + len(sep)
    return fields


# Numbers stay text: a long one must not be refused (int's limit of 4,300 digits).
_JSON = json.JSONDecoder(parse_int=str, parse_float=str)


def json_range(line: bytes, key: str) -> Span | None:
    """(start, end) of the bytes between the quotes of the string at a path such as 'client.ip' or 'hops.0.ip'.

    None where the line is not one valid JSON value, or the path leads to no string. Of equal keys the last counts, as
    in `json.loads`. A segment of digits is an index in a list and a key in an object.
    """
    text = line.decode("utf-8", "surrogateescape")
    try:
        _JSON.decode(text)
    except ValueError:
        return None
    value = _skip_blanks(text, 0)
    for segment in key.split("."):
        member = _member(text, value, segment)
        if member is None:
            return None
        value = member
    if text[value] != '"':
        return None
    return _byte_offset(text, value + 1), _byte_offset(text, _value_end(text, value) - 1)


def _member(text: str, value: int, segment: str) -> int | None:
    """Where the member of that name or index starts, in the object or list that starts at `value`."""
    if text[value] == "{":
        return dict(_object_members(text, value)).get(segment)
    if text[value] == "[" and segment.isascii() and segment.isdigit():
        items = _list_items(text, value)
        return items[int(segment)] if int(segment) < len(items) else None
    return None


def _object_members(text: str, value: int) -> list[tuple[str, int]]:
    """(unescaped key, start of its value) for each member. The text is known to be valid."""
    members: list[tuple[str, int]] = []
    position = _skip_blanks(text, value + 1)
    while text[position] != "}":
        key, key_end = _JSON.raw_decode(text, position)
        start = _skip_blanks(text, _skip_blanks(text, key_end) + 1)
        members.append((key, start))
        position = _next_item(text, start)
    return members


def _list_items(text: str, value: int) -> list[int]:
    items: list[int] = []
    position = _skip_blanks(text, value + 1)
    while text[position] != "]":
        items.append(position)
        position = _next_item(text, position)
    return items


def _next_item(text: str, start: int) -> int:
    """Where the next member starts, or the closing bracket stands."""
    position = _skip_blanks(text, _value_end(text, start))
    return _skip_blanks(text, position + 1) if text[position] == "," else position


def _value_end(text: str, start: int) -> int:
    return _JSON.raw_decode(text, start)[1]


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\n\r":
        position += 1
    return position


def _byte_offset(text: str, position: int) -> int:
    return len(text[:position].encode("utf-8", "surrogateescape"))


# --- Prefixes: longest match, and sets of addresses -----------------------------------------------------------------

Prefix = tuple[int, int, int]  # version, first address, length: sorted as a table's prefixes are
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
BITS = {4: 32, 6: 128}


def prefix_text(prefix: Prefix) -> str:
    version, value, length = prefix
    return f"{format_address(version, value)}/{length}"


def network_of(prefix: Prefix) -> Network:
    version, value, length = prefix
    return ipaddress.IPv4Network((value, length)) if version == 4 else ipaddress.IPv6Network((value, length))


def prefix_of(network: Network) -> Prefix:
    return network.version, int(network.network_address), network.prefixlen


def truncated(version: int, value: int, length: int) -> Prefix:
    """The prefix of that length that an address is in."""
    rest = BITS[version] - length
    return version, value >> rest << rest, length


def last_address(prefix: Prefix) -> int:
    version, value, length = prefix
    return value + (1 << BITS[version] - length) - 1


class PrefixOracle:
    """Longest match by a dict for each version and length. Of equal prefixes the last wins."""

    def __init__(self, items: Iterable[tuple[Prefix, object]]) -> None:
        self.values: dict[Prefix, object] = dict(items)
        self.prefixes: list[Prefix] = sorted(self.values)
        self._index: dict[tuple[int, int], dict[int, int]] = {}
        for index, (version, value, length) in enumerate(self.prefixes):
            self._index.setdefault((version, length), {})[value] = index

    def index(self, version: int, value: int) -> int:
        """The place, among the sorted prefixes, of the longest one that holds an address; -1 for none."""
        for length in range(BITS[version], -1, -1):
            index = self._index.get((version, length), {}).get(truncated(version, value, length)[1])
            if index is not None:
                return index
        return -1

    def get(self, version: int, value: int, default: object = None) -> object:
        index = self.index(version, value)
        return default if index < 0 else self.values[self.prefixes[index]]

    def covering(self, prefix: Prefix) -> list[Prefix]:
        """Those that hold the whole prefix, itself too, the shortest first."""
        return [other for other in self.prefixes if _holds(other, prefix)]

    def covered(self, prefix: Prefix) -> list[Prefix]:
        """Those inside the prefix, itself too."""
        return [other for other in self.prefixes if _holds(prefix, other)]


def _holds(outer: Prefix, inner: Prefix) -> bool:
    version, value, length = inner
    return outer[0] == version and outer[2] <= length and truncated(version, value, outer[2]) == outer


def minimal(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """The fewest prefixes that hold the same addresses, sorted."""
    collapsed: list[Prefix] = []
    for version in BITS:
        networks = [network_of(prefix) for prefix in prefixes if prefix[0] == version]
        collapsed += [prefix_of(network) for network in ipaddress.collapse_addresses(networks)]  # type: ignore[type-var]
    return sorted(collapsed)


def combined(a: Iterable[Prefix], b: Iterable[Prefix], keep: Callable[[bool, bool], bool]) -> list[Prefix]:
    """The minimal prefixes of all addresses for which keep(is in a, is in b) holds.

    Between two neighbouring ends of prefixes all addresses are alike: one of them answers for all.
    """
    a, b = list(a), list(b)
    kept: list[Prefix] = []
    for version, bits in BITS.items():
        ours = [prefix for prefix in [*a, *b] if prefix[0] == version]
        ends = {0, 1 << bits, *(prefix[1] for prefix in ours), *(last_address(prefix) + 1 for prefix in ours)}
        cuts = sorted(ends)
        for first, end in itertools.pairwise(cuts):
            if keep(_is_in(a, version, first), _is_in(b, version, first)):
                kept += range_prefixes(version, first, end - 1)
    return minimal(kept)


def _is_in(prefixes: list[Prefix], version: int, value: int) -> bool:
    return any(_holds(prefix, (version, value, BITS[version])) for prefix in prefixes)


def range_prefixes(version: int, first: int, last: int) -> list[Prefix]:
    """The prefixes that a range of addresses splits into, both ends included."""
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return [prefix_of(network) for network in ipaddress.summarize_address_range(kind(first), kind(last))]


def count_addresses(prefixes: Iterable[Prefix]) -> int:
    return sum(network_of(prefix).num_addresses for prefix in minimal(prefixes))


# --- Ping: statistics of round-trip times, and the checksum -----------------------------------------------------------


def rtts_of_replies(rtts: Iterable[float]) -> list[Fraction]:
    """The times of the probes that were answered, exact: what was lost has NaN."""
    return [Fraction(rtt) for rtt in rtts if not math.isnan(rtt)]


def loss(sent: int, received: int) -> Fraction:
    return Fraction(sent - received, sent)


def _mean(numbers: list[Fraction]) -> float:
    return float(sum(numbers, Fraction(0)) / len(numbers)) if numbers else math.nan


def mean_rtt(rtts: Iterable[float]) -> float:
    return _mean(rtts_of_replies(rtts))


def mdev(rtts: Iterable[float]) -> float:
    """The mean of squares less the square of the mean, and the root of that."""
    replies = rtts_of_replies(rtts)
    if not replies:
        return math.nan
    count = len(replies)
    return math.sqrt(sum(rtt**2 for rtt in replies) / count - (sum(replies) / count) ** 2)


def jitter(rtts: Iterable[float]) -> float:
    """The mean difference between each reply and the one after it."""
    replies = rtts_of_replies(rtts)
    return _mean([abs(replies[i] - replies[i - 1]) for i in range(1, len(replies))])


def percentile(rtts: Iterable[float], q: float) -> float:
    """On the line from the shortest to the longest, between the two nearest where it falls between."""
    replies = sorted(rtts_of_replies(rtts))
    if not replies:
        return math.nan
    place = Fraction(q) / 100 * (len(replies) - 1)
    below = math.floor(place)
    above = math.ceil(place)
    return float(replies[below] + (replies[above] - replies[below]) * (place - below))


def checksum(data: bytes) -> int:
    """RFC 1071: the complement of the sum of 16-bit words, in which what is carried out is carried in again."""
    total = 0
    for index in range(0, len(data), 2):
        high = data[index]
        low = data[index + 1] if index + 1 < len(data) else 0
        total += high * 256 + low
        if total > 0xFFFF:
            total = total - 0x10000 + 1
    return 0xFFFF - total


# --- Frames: a stream of bytes cut by length prefixes or by a delimiter -----------------------------------------------

_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big", "!": "big"}
_PREFIX_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}


class Split(NamedTuple):
    """What a stream holds; offsets count the bytes of the stream."""

    frames: list[bytes]
    ends: list[int]  # behind the last byte of each frame, its delimiter included
    rest: bytes  # begun, but no frame yet
    too_long: int | None  # where it is certain that the rest begins a frame that is too long


def prefix_size(prefix: str) -> int:
    return _PREFIX_SIZES[prefix[1]]


def framed(frame: bytes, *, prefix: str | None = None, delimiter: bytes | None = None) -> bytes:
    """A frame as it stands in a stream."""
    if delimiter is not None:
        return frame + delimiter
    assert prefix is not None
    return len(frame).to_bytes(prefix_size(prefix), _ORDERS[prefix[0]]) + frame


def split_frames(data: bytes, *, prefix: str | None = None, delimiter: bytes | None = None, max_frame: int) -> Split:
    """The frames of a stream up to the first that is too long or not whole."""
    frames: list[bytes] = []
    ends: list[int] = []
    start = 0
    while True:
        if delimiter is not None:
            body, size = start, _size_to(data, start, delimiter)
            end = None if size is None else start + size + len(delimiter)
            # As long as the start of a delimiter may stand behind the longest frame, its end may come.
            certain = start + max_frame + len(delimiter)
            is_too_long = len(data) >= certain if size is None else size > max_frame
        else:
            assert prefix is not None
            body = certain = start + prefix_size(prefix)
            size = int.from_bytes(data[start:body], _ORDERS[prefix[0]]) if len(data) >= body else None
            end = None if size is None else body + size
            is_too_long = size is not None and size > max_frame
        if is_too_long:
            return Split(frames, ends, data[start:], certain)
        if size is None or end is None or end > len(data):
            return Split(frames, ends, data[start:], None)
        frames.append(data[body : body + size])
        ends.append(end)
        start = end


def _size_to(data: bytes, start: int, delimiter: bytes) -> int | None:
    """How many bytes stand before the first delimiter."""
    for place in range(start, len(data) - len(delimiter) + 1):
        if data[place : place + len(delimiter)] == delimiter:
            return place - start
    return None


def can_be_sent(
    frame: bytes, *, prefix: str | None = None, delimiter: bytes | None = None, max_frame: int = 16 * 2**20
) -> bool:
    """Whether a frame comes out at the other end as it went in."""
    if len(frame) > max_frame:
        return False
    if prefix is not None:
        return len(frame) < 1 << 8 * prefix_size(prefix)
    assert delimiter is not None
    # "ba" before "aa" is read as "b" before "aa", and an "a" too many.
    return _size_to(frame + delimiter, 0, delimiter) == len(frame)
