"""Matcher and grep_lines: which addresses match, which lines come out, and in what form."""

from __future__ import annotations

import functools
import gzip
import io
import ipaddress
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import reference
import strategies
from netfast.registry import BLOCKS, KINDS
from netfast.reports import Matcher, grep_lines

PREFIXES = [block.prefix for block in BLOCKS]
TEXT = (
    b"10.0.0.1 private\n"
    b"no address\n"
    b"8.8.8.8 and 192.168.1.1\r\n"
    b"\n"
    b"fe80::1%eth0 link-local, ::ffff:10.0.0.1 mapped\n"
    b"Chrome/126.0.0.0 224.0.0.251"
)
LINES = TEXT.split(b"\n")


def grep(expression: str, source: Any = TEXT, **options: Any) -> tuple[bytes, int]:
    written: list[tuple[bytes, int]] = []
    source = io.BytesIO(source) if isinstance(source, bytes) else source
    count = grep_lines(source, lambda data, lines: written.append((data, lines)), Matcher.parse(expression), **options)
    assert all(lines > 0 for _, lines in written)
    assert sum(lines for _, lines in written) == count
    return b"".join(data for data, _ in written), count


def matching_lines(expression: str, **options: Any) -> list[int]:
    """The numbers of the lines of TEXT that come out."""
    out, count = grep(expression, number=True, **options)
    numbers = [int(line.partition(b":")[0]) for line in out.splitlines()]
    assert len(numbers) == count
    return numbers


# --- what matches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("private", [1, 3]),
        ("global", [3]),
        ("link_local", [5]),
        ("mapped", [5]),
        ("multicast", [6]),
        ("private,multicast", [1, 3, 6]),
        ("private multicast", [1, 3, 6]),
        (" private ,\t,multicast\n", [1, 3, 6]),
        ("A", [1, 3]),
        ("a", [1, 3]),
        ("class:A", [1, 3]),
        ("class:d", [6]),
        ("C,D", [3, 6]),
        ("10.0.0.0/8", [1]),
        ("10.0.0.1", [1]),
        ("10.0.0.1/32", [1]),
        ("10.0.0.2", []),
        ("0.0.0.0/0", [1, 3, 6]),
        ("::/0", [5]),
        ("fe80::/10", [5]),
        ("fe80::1", [5]),
        ("::ffff:10.0.0.1", [5]),
        ("::ffff:0:0/96", [5]),
        ("::ffff:10.0.0.0/104", [5]),
        ("8.8.8.8,fe80::1", [3, 5]),
        ("!private", [3, 5, 6]),
        ("!private,!mapped,!link_local", [3, 6]),
        ("!0.0.0.0/0", [5]),
        ("0.0.0.0/0,!private", [3, 6]),
        ("!private,0.0.0.0/0", [3, 6]),
        ("private,!192.168.0.0/16", [1]),
        ("private,!10.0.0.1", [3]),
        ("A,!10.0.0.0/8", [3]),
        ("private,!private", []),
        ("0.0.0.0/1,128.0.0.0/1,!::/0", [1, 3, 6]),
        ("loopback", []),
    ],
)
def test_lines_that_match(kernels: str, expression: str, lines: list[int]) -> None:
    assert matching_lines(expression) == lines


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("nonsense", "nonsense"),
        ("private,nonsense", "nonsense"),
        ("invalid", "invalid"),
        ("F", "'F'"),
        ("class:", "class:"),
        ("class:F", "class:F"),
        ("class:private", "class:private"),
        ("AB", "'AB'"),
        ("!", "''"),
        ("!!private", "!private"),
        ("1.2.3", "1.2.3"),
        ("1.2.3.4/33", "length above 32"),
        ("1.2.3.4/-1", "prefix length"),
        ("1.2.3.4/", "empty prefix length"),
        ("1.2.3.4/x", "prefix length"),
        ("1.2.3.4/255.255.255.0", "prefix length"),
        ("1.2.3.4/²", "prefix length"),
        ("::1/129", "length above 128"),
        ("1.2.3.4/24", r"host bits set, the network is 1\.2\.3\.0/24"),
        ("2001:db8::1/32", "host bits set, the network is 2001:db8::/32"),
        ("fe80::1%eth0", "zone"),
        ("01.2.3.4", "01.2.3.4"),
    ],
)
def test_terms_that_mean_nothing_are_named(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Matcher.parse(expression)


def test_every_kind_is_a_term() -> None:
    for kind in KINDS[1:]:
        addresses = [address_in(block.prefix) for block in BLOCKS if block.kind == kind]
        text = "\n".join(f"[{address}]" for address in addresses)
        _, count = grep(kind, text.encode())
        _, against = grep("!" + kind, text.encode())
        assert (count, against) == (len(addresses), 0), kind


def address_in(prefix: str) -> str:
    """An address that no narrower block holds."""
    network = ipaddress.ip_network(prefix)
    first = int(network.network_address)
    candidates = [first, *(first + (1 << bit) for bit in range(network.max_prefixlen - network.prefixlen))]
    value = next(v for v in candidates if reference.classify(network.version, v, PREFIXES) == prefix)
    return reference.format_address(network.version, value)


def test_a_matcher_shows_its_expression() -> None:
    assert repr(Matcher.parse("private, !10.0.0.0/8")) == "Matcher('private, !10.0.0.0/8')"


# Against the slow way.


def prefix_around(address: tuple[int, int], length: int) -> str:
    version, value = address
    width = 32 if version == 4 else 128
    host_bits = width - min(length, width)
    return f"{reference.format_address(version, value >> host_bits << host_bits)}/{width - host_bits}"


prefixes = st.builds(prefix_around, strategies.values, st.integers(0, 128))
terms = st.one_of(st.sampled_from(KINDS[1:]), st.sampled_from("ABCDE"), prefixes)
expressions = st.lists(st.tuples(st.booleans(), terms), min_size=1, max_size=6)


@functools.cache
def block_of(version: int, value: int) -> Any:
    return BLOCKS[PREFIXES.index(reference.classify(version, value, PREFIXES))]


def holds(term: str, version: int, value: int) -> bool:
    block = block_of(version, value)
    if term in KINDS:
        return bool(block.kind == term)
    if term in "ABCDE":
        return bool(block.network_class == term)
    network = ipaddress.ip_network(term)
    return network.version == version and value >> network.max_prefixlen - network.prefixlen == (
        int(network.network_address) >> network.max_prefixlen - network.prefixlen
    )


@given(st.lists(strategies.values, min_size=1, max_size=30), expressions)
def test_matching_is_what_the_terms_say_one_by_one(
    kernels: str, addresses: list[tuple[int, int]], expression: list[tuple[bool, str]]
) -> None:
    text = "".join(f"[{reference.format_address(*address)}]/0\n" for address in addresses).encode()
    wanted = [term for negated, term in expression if not negated]
    unwanted = [term for negated, term in expression if negated]
    lines = [
        number
        for number, address in enumerate(addresses, 1)
        if (not wanted or any(holds(term, *address) for term in wanted))
        and not any(holds(term, *address) for term in unwanted)
    ]
    out, _ = grep(",".join("!" * negated + term for negated, term in expression), text, number=True)
    assert [int(line.partition(b":")[0]) for line in out.splitlines()] == lines


def test_many_prefixes_are_searched_fast() -> None:
    rng = random.Random(1)
    wanted = [f"{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}.0/24" for _ in range(30_000)]
    matcher = Matcher.parse(",".join(wanted))
    networks = {prefix.removesuffix(".0/24") for prefix in wanted}
    addresses = [".".join(str(byte) for byte in rng.randbytes(4)) for _ in range(100_000)]
    lines = grep_lines([("\n".join(addresses)).encode()], lambda data, lines: None, matcher)
    assert lines == sum(address.rpartition(".")[0] in networks for address in addresses)


# --- files of prefixes ----------------------------------------------------------------------------------------------


def test_a_file_of_prefixes_is_a_term(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_text("# these\n\n10.0.0.0/8  # private\n\t8.8.8.8 and more words\n::/0\r\n")
    for term in (f"@{path}", str(path)):
        assert matching_lines(term) == [1, 3, 5]
        assert matching_lines(f"!{term}") == [3, 6]
        assert matching_lines(f"A,!{term}") == []


def test_an_empty_file_of_prefixes_matches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_text("# none\n")
    assert matching_lines(f"@{path}") == []
    assert matching_lines(f"!@{path}") == [1, 3, 5, 6]


def test_a_bad_line_in_a_file_of_prefixes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"10.0.0.0/8\n\n10.0.0.1/8\n")
    with pytest.raises(ValueError, match=r"prefixes, line 3: '10.0.0.1/8' .*host bits set"):
        Matcher.parse(f"@{path}")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="line 1"):
        Matcher.parse(f"@{path}")


def test_a_file_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Matcher.parse(f"@{tmp_path}/missing")
    with pytest.raises(IsADirectoryError):
        Matcher.parse(f"@{tmp_path}")
    with pytest.raises(ValueError, match="nor a file"):
        Matcher.parse(f"{tmp_path}/missing")


def test_a_file_named_like_a_term_takes_an_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("private", "A", "10.0.0.1", "list"):
        (tmp_path / name).write_text("224.0.0.0/4")
    assert matching_lines("private") == [1, 3]
    assert matching_lines("A") == [1, 3]
    assert matching_lines("10.0.0.1") == [1]
    assert matching_lines("list") == [6]
    for name in ("private", "A", "10.0.0.1", "list"):
        assert matching_lines(f"@{name}") == [6]


# --- the lines ------------------------------------------------------------------------------------------------------


def joined(*numbers: int) -> bytes:
    return b"".join(LINES[number - 1] + b"\n" for number in numbers)


def test_lines_come_out_as_they_are_each_with_a_newline() -> None:
    assert grep("private") == (joined(1, 3), 2)
    assert grep("multicast") == (joined(6), 1)


def test_invert_writes_the_others() -> None:
    assert grep("private", invert=True) == (joined(2, 4, 5, 6), 4)
    assert grep("loopback", invert=True) == (TEXT + b"\n", 6)


def test_only_writes_the_addresses() -> None:
    assert grep("0.0.0.0/0", only=True) == (b"10.0.0.1\n8.8.8.8\n192.168.1.1\n224.0.0.251\n", 3)
    assert grep("::/0", only=True) == (b"fe80::1%eth0\n::ffff:10.0.0.1\n", 1)
    assert grep("private", only=True) == (b"10.0.0.1\n192.168.1.1\n", 2)


def test_only_and_invert_write_nothing() -> None:
    assert grep("private", only=True, invert=True) == (b"", 4)


def test_number_and_name_stand_in_front() -> None:
    assert grep("private", number=True) == (b"1:" + LINES[0] + b"\n3:" + LINES[2] + b"\n", 2)
    assert grep("multicast", name="a.log") == (b"a.log:" + LINES[5] + b"\n", 1)
    assert grep("multicast", name="a", number=True) == (b"a:6:" + LINES[5] + b"\n", 1)
    assert grep("private", name="a", number=True, only=True) == (b"a:1:10.0.0.1\na:3:192.168.1.1\n", 2)
    assert grep("multicast", name="\udcff\n") == (b"\xff\n:" + LINES[5] + b"\n", 1)
    assert grep("multicast", name="") == (b":" + LINES[5] + b"\n", 1)


def test_count_writes_nothing() -> None:
    assert grep("private", count=True) == (b"", 2)
    assert grep("private", count=True, invert=True) == (b"", 4)
    assert grep("private", count=True, only=True) == (b"", 2)


def test_boundary_and_versions_decide_what_an_address_is() -> None:
    assert matching_lines("126.0.0.0/8") == []
    assert matching_lines("126.0.0.0/8", boundary="loose") == [6]
    assert matching_lines("!private", versions=(4,)) == [3, 6]
    assert matching_lines("!private", versions=(6,)) == [5]


def test_a_selection_decides_which_address_of_a_line_counts() -> None:
    assert matching_lines("private", first=True) == [1]
    assert matching_lines("private", field=3) == [3]
    assert matching_lines("private", field=1, sep=" ") == [1]
    assert matching_lines("!private", field=1, invert=True) == [1, 2, 4, 6]
    text = b'{"ip": "10.0.0.1", "to": "8.8.8.8"}\n{"to": "10.0.0.2", "ip": "8.8.8.8"}\n'
    assert grep("private", text, key="ip", only=True) == (b"10.0.0.1\n", 1)


@pytest.mark.parametrize("text", [b"", b"\n", b"\n\n", b"x", b"x\n"])
def test_text_without_addresses(text: bytes) -> None:
    assert grep("private", text) == (b"", 0)
    lines = text.splitlines()
    assert grep("private", text, invert=True) == (b"".join(line + b"\n" for line in lines), len(lines))


# --- wherever the text is cut ---------------------------------------------------------------------------------------


def slow_grep(text: bytes, term: str, *, invert: bool, only: bool, number: bool) -> tuple[bytes, int]:
    out, count = b"", 0
    lines = text.split(b"\n")
    for at, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        hits = [f for f in reference.extract(line) if holds(term, f.version, f.value)]
        lead = b"%d:" % at if number else b""
        if bool(hits) != invert:
            count += 1
            if not only:
                out += lead + line + b"\n"
        if only and not invert:
            out += b"".join(lead + line[f.offset : f.offset + f.length] + b"\n" for f in hits)
    return out, count


@given(
    st.one_of(strategies.log_texts, strategies.rule_texts),
    st.sampled_from(["private", "global", "A", "::/0", "reserved"]),
    st.lists(st.integers(0, 500), max_size=8),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_lines_are_the_slow_ways_wherever_the_chunks_end(
    kernels: str, text: bytes, term: str, places: list[int], invert: bool, only: bool, number: bool
) -> None:
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    chunks = [b"-", *(text[a:b] for a, b in itertools.pairwise(bounds))]  # "-": no magic bytes
    wanted = slow_grep(b"-" + text, term, invert=invert, only=only, number=number)
    assert grep(term, chunks, invert=invert, only=only, number=number) == wanted


@pytest.mark.parametrize("make", [lambda data: [data[i : i + 1] for i in range(len(data))], io.BytesIO, gzip.compress])
def test_sources_of_every_kind_give_the_same(make: Callable[[bytes], Any]) -> None:
    assert grep("private", make(TEXT))[0] == joined(1, 3)


def test_a_large_file_of_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = b"x" * 3_000_000 + b" 10.0.0.1 " + b"y" * 1_000_000
    path.write_bytes(b"\n".join([line, b"no", line, b"10.0.0.2"]))
    assert grep("private", path) == (line + b"\n" + line + b"\n10.0.0.2\n", 3)
    assert grep("private", path, only=True, number=True) == (b"1:10.0.0.1\n3:10.0.0.1\n4:10.0.0.2\n", 3)


# --- trouble --------------------------------------------------------------------------------------------------------


def test_what_comes_before_trouble_is_written() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"10.0.0.1 a\n10.0.0.2 b"
        raise OSError(5, "Input/output error")

    written: list[bytes] = []
    with pytest.raises(OSError, match="Input/output error"):
        grep_lines(chunks(), lambda data, lines: written.append(data), Matcher.parse("private"))
    assert b"".join(written) == b"10.0.0.1 a\n10.0.0.2 b\n"


def test_what_comes_before_the_end_of_a_cut_off_file_is_written() -> None:
    text = b"".join(b"10.0.%d.%d line\n" % (i // 256, i % 256) for i in range(30_000))
    packed = gzip.compress(text)
    written: list[bytes] = []
    with pytest.raises(EOFError):
        grep_lines(io.BytesIO(packed[:-9]), lambda data, lines: written.append(data), Matcher.parse("private"))
    got = b"".join(written)
    assert len(got) > 0.99 * len(text)
    assert text.startswith(got[: got.rindex(b"\n", 0, -1)])


def test_a_line_too_long_to_hold_is_a_value_error() -> None:
    chunks = (b"x" * (1 << 20) for _ in range(80))
    with pytest.raises(ValueError, match="line 1 is longer than 64 MiB"):
        grep_lines(chunks, lambda data, lines: None, Matcher.parse("private"))


def test_an_error_of_write_comes_through() -> None:
    def write(data: bytes, lines: int) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        grep_lines(io.BytesIO(TEXT), write, Matcher.parse("private"))


@pytest.mark.parametrize("options", [{"boundary": "x"}, {"versions": ()}, {"first": True, "field": 1}, {"sep": ","}])
def test_bad_arguments_are_value_errors(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"boundary|versions|give one|sep"):
        grep("private", **options)
