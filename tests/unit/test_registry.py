"""netfast.BLOCKS against IANA's files, the generator that writes it, and the kernels' table of the same rows."""

import ipaddress
import pickle
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import reference
from netfast import _core
from netfast.registry import (
    BLOCKS,
    CLASS_OF_CODE,
    CLASSES,
    IS_GLOBAL,
    KIND_OF_CODE,
    KINDS,
    PUBLISHED,
    Block,
    blocks,
    generate,
)

FILES = ("iana/ipv4-special-purpose.csv", "iana/ipv6-special-purpose.csv")
REGISTRY = Path(generate.__file__).parent

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The rows that are not IANA's: RFC 791 section 3.2 (classes), RFC 1112 section 4 and RFC 5771, RFC 4291.
OTHERS = {
    "0.0.0.0/1": ("Class A", "RFC 791 section 3.2", "global", "A"),
    "128.0.0.0/2": ("Class B", "RFC 791 section 3.2", "global", "B"),
    "192.0.0.0/3": ("Class C", "RFC 791 section 3.2", "global", "C"),
    "224.0.0.0/4": ("Multicast", "RFC 5771, RFC 1112 section 4", "multicast", "D"),
    "::/0": ("Reserved by IETF", "RFC 4291", "reserved", ""),
    "2000::/3": ("Global Unicast", "RFC 4291", "global", ""),
    "ff00::/8": ("Multicast", "RFC 4291 section 2.7", "multicast", ""),
}

# What IANA's prefixes are, by prefix where the generator goes by name.
PREFIXES_OF_KIND = {
    "unspecified": ["0.0.0.0/32", "::/128"],
    "this_network": ["0.0.0.0/8"],
    "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    "shared": ["100.64.0.0/10"],
    "loopback": ["127.0.0.0/8", "::1/128"],
    "link_local": ["169.254.0.0/16", "fe80::/10"],
    "broadcast": ["255.255.255.255/32"],
    "documentation": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"],
    "benchmarking": ["198.18.0.0/15", "2001:2::/48"],
    "reserved": ["240.0.0.0/4"],
    "protocol": ["192.0.0.0/24", "192.0.0.0/29", "2001::/23"],
    "anycast": [
        *("192.0.0.9/32", "192.0.0.10/32", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.2/32", "192.175.48.0/24"),
        *("2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48", "2620:4f:8000::/48"),
    ],
    "translation": ["192.0.0.170/32", "192.0.0.171/32", "64:ff9b::/96", "64:ff9b:1::/48"],
    "mapped": ["::ffff:0:0/96"],
    "tunnel": ["2001::/32", "2002::/16"],
    "discard": ["100::/64"],
    "dummy": ["192.0.0.8/32", "100:0:0:1::/64"],
    "identifier": ["2001:20::/28", "2001:30::/28"],
    "srv6": ["5f00::/16"],
    "deprecated": ["192.88.99.0/24", "2001:10::/28"],
}

# Where `ipaddress.is_global` says something else than the registry of 2026-07-18, and what it says then. Which of
# these rows are in dispute depends on the running Python; where it is newer, there are fewer.
STDLIB_DISAGREES = {
    # Another definition: CPython knows private and shared blocks, and calls all the rest global.
    "224.0.0.0/4": True,
    "ff00::/8": True,
    "::/0": True,
    "::ffff:0:0/96": True,  # since gh-113171 it answers for the address that is mapped: here 128.0.0.0
    # CPython's tables, also the newest ones, do not have these.
    "192.88.99.0/24": True,
    "192.88.99.2/32": True,
    "100:0:0:1::/64": True,
    "2001:1::3/128": False,
    "5f00::/16": True,
    # Before RFC 9637 came to it.
    "3fff::/20": True,
    # Before gh-113171 (3.13, and later micro versions of those in front).
    "192.0.0.0/24": True,
    "192.0.0.8/32": True,
    "64:ff9b:1::/48": True,
    "2001:1::1/128": False,
    "2001:1::2/128": False,
    "2001:3::/32": False,
    "2001:4:112::/48": False,
    "2001:20::/28": False,
    "2001:30::/28": False,
    "2002::/16": True,
}


def network(block: Block) -> Network:
    return ipaddress.ip_network(block.prefix)


def by_prefix(prefix: str) -> Block:
    return next(block for block in BLOCKS if block.prefix == prefix)


def own_address(block: Block) -> Address:
    """An address of which this block is the most specific: its middle, its last, or one bit away from its first."""
    net = network(block)
    free_bits = net.max_prefixlen - net.prefixlen
    indices = [net.num_addresses // 2, -1, *(1 << bit for bit in range(free_bits)), 0]
    return next(net[index] for index in indices if owner(net[index]) == block.prefix)


def owner(address: Address) -> str:
    """The prefix of the most specific block, by the slow way."""
    return reference.classify(address.version, int(address), [block.prefix for block in BLOCKS])


def rfc_text(references: str) -> str:
    text = references.replace("][", ", ").replace("[", "").replace("]", "").replace(", Section", " section")
    return re.sub(r"RFC(?=\d)", "RFC ", text)


# ---- the rows --------------------------------------------------------------------------------------------------------


def test_every_row_is_the_registries(shared_data: Path) -> None:
    kinds = {prefix: kind for kind, prefixes in PREFIXES_OF_KIND.items() for prefix in prefixes}
    expected = set()
    for file in FILES:
        for row in reference.registry_rows((shared_data / file).read_text(encoding="utf-8")):
            net = ipaddress.ip_network(row.prefix)
            leading = f"{int(net.network_address) >> 28:04b}" if net.version == 4 else ""
            network_class = leading and "ABCDE"[(leading + "0").index("0")]
            facts = (row.prefix, row.name.strip('"'), rfc_text(row.rfc), kinds.pop(row.prefix), network_class)
            expected.add((*facts, row.source, row.destination, row.forwardable, row.is_global, row.reserved))
    assert not kinds
    expected |= {(prefix, *facts, None, None, None, None, None) for prefix, facts in OTHERS.items()}
    assert {tuple(block.to_dict().values()) for block in BLOCKS[1:]} == expected
    assert len(BLOCKS) - 1 == len(expected)


def test_row_0_is_invalid() -> None:
    assert BLOCKS[0] == Block("", "Invalid", "", "invalid", "")
    assert BLOCKS[0].is_global is None
    assert [block.prefix for block in BLOCKS].count("") == 1
    assert (KIND_OF_CODE[0], CLASS_OF_CODE[0], IS_GLOBAL[0]) == (0, 0, 0)


def test_order_and_uniqueness() -> None:
    keys = [(net.version, int(net.network_address), net.prefixlen) for net in map(network, BLOCKS[1:])]
    assert all(a < b for a, b in pairwise(keys))
    assert len(BLOCKS) < 64


def test_prefixes_are_in_their_usual_form() -> None:
    prefixes = [str(network(block)) for block in BLOCKS[1:]]
    # From Python 3.13 on, str() writes IANA's ::ffff:0:0/96 in the mixed notation.
    usual = [prefix.replace("::ffff:0.0.0.0/96", "::ffff:0:0/96") for prefix in prefixes]
    assert [block.prefix for block in BLOCKS[1:]] == usual


def test_kinds() -> None:
    assert list(KINDS) == [
        *("invalid", "global", "private", "shared", "loopback", "link_local", "multicast", "broadcast", "unspecified"),
        *("this_network", "documentation", "benchmarking", "reserved", "protocol", "anycast", "translation", "mapped"),
        *("tunnel", "discard", "dummy", "identifier", "srv6", "deprecated"),
    ]
    assert {block.kind for block in BLOCKS} == set(KINDS)


def test_every_address_has_a_block() -> None:
    ip4 = [net for net in map(network, BLOCKS[1:]) if isinstance(net, ipaddress.IPv4Network)]
    assert list(ipaddress.collapse_addresses(ip4)) == [ipaddress.IPv4Network("0.0.0.0/0")]
    assert by_prefix("::/0").kind == "reserved"


def test_network_class_is_by_leading_bits() -> None:
    for block in BLOCKS[1:]:
        assert bool(block.network_class) == (network(block).version == 4)
    firsts = {"A": 0, "B": 128, "C": 192, "D": 224, "E": 240}
    for block in BLOCKS[1:]:
        if block.network_class:
            octets = [int(str(address).split(".")[0]) for address in (network(block)[0], network(block)[-1])]
            names = {max(name for name, first in firsts.items() if first <= octet) for octet in octets}
            assert names == {block.network_class}


def test_tables_by_code() -> None:
    assert len(KIND_OF_CODE) == len(CLASS_OF_CODE) == len(IS_GLOBAL) == 256
    for code, block in enumerate(BLOCKS):
        assert KINDS[KIND_OF_CODE[code]] == block.kind
        assert CLASSES[CLASS_OF_CODE[code]] == block.network_class
        ordinary = block.prefix in ("0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3", "2000::/3")
        assert IS_GLOBAL[code] == (block.is_global is True or ordinary)
    for table in (KIND_OF_CODE, CLASS_OF_CODE, IS_GLOBAL):
        assert not any(table[len(BLOCKS) :])


# ---- most specific wins ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("0.0.0.0", "0.0.0.0/32"),
        ("0.0.0.1", "0.0.0.0/8"),
        ("1.0.0.0", "0.0.0.0/1"),
        ("192.0.0.0", "192.0.0.0/29"),
        ("192.0.0.8", "192.0.0.8/32"),
        ("192.0.0.11", "192.0.0.0/24"),
        ("192.0.0.171", "192.0.0.171/32"),
        ("192.0.1.0", "192.0.0.0/3"),
        ("192.88.99.2", "192.88.99.2/32"),
        ("192.88.99.3", "192.88.99.0/24"),
        ("255.255.255.254", "240.0.0.0/4"),
        ("255.255.255.255", "255.255.255.255/32"),
        ("::", "::/128"),
        ("::2", "::/0"),
        ("100::1:0:0:0:1", "100:0:0:1::/64"),
        ("2001::1", "2001::/32"),
        ("2001:1::3", "2001:1::3/128"),
        ("2001:1::4", "2001::/23"),
        ("2001:200::", "2000::/3"),
        ("fec0::1", "::/0"),
    ],
)
def test_most_specific_wins(address: str, prefix: str) -> None:
    version, value, _ = _core.parse_one(address)
    assert BLOCKS[_core.classify_one(version, value)].prefix == prefix


def test_seams_of_every_block() -> None:
    for net in map(network, BLOCKS[1:]):
        first, last = int(net[0]), int(net[-1])
        for value in (first - 1, first, first + 1, last - 1, last, last + 1):
            if 0 <= value < 2**net.max_prefixlen:
                address = type(net[0])(value)
                assert BLOCKS[_core.classify_one(net.version, value)].prefix == owner(address), address


# ---- the standard library, whose tables are older --------------------------------------------------------------------


def test_where_the_standard_library_disagrees() -> None:
    disagreeing = {}
    for code, block in enumerate(BLOCKS[1:], 1):
        theirs = own_address(block).is_global
        if theirs != bool(IS_GLOBAL[code]):
            disagreeing[block.prefix] = theirs
    assert disagreeing.items() <= STDLIB_DISAGREES.items()


def test_private_is_private_to_the_standard_library_too() -> None:
    for block in BLOCKS[1:]:
        if block.kind == "private":
            assert own_address(block).is_private
    assert ipaddress.ip_address("203.0.113.1").is_private  # but not the other way: there it means "not global"
    assert by_prefix("203.0.113.0/24").kind == "documentation"


# ---- Block -----------------------------------------------------------------------------------------------------------


def test_block_is_a_value() -> None:
    block = by_prefix("10.0.0.0/8")
    assert (block.name, block.rfc, block.kind, block.network_class) == ("Private-Use", "RFC 1918", "private", "A")
    assert [block.source, block.destination, block.forwardable, block.is_global, block.reserved] == [
        *(True, True, True, False, False)
    ]
    twin = pickle.loads(pickle.dumps(block))
    assert twin == block
    assert hash(twin) == hash(block)
    assert block != by_prefix("172.16.0.0/12")
    assert block != "10.0.0.0/8"
    assert repr(block).startswith("Block(prefix='10.0.0.0/8', name='Private-Use', rfc='RFC 1918', kind='private', ")
    assert len(set(BLOCKS)) == len(BLOCKS)


def test_block_does_not_change() -> None:
    block = by_prefix("10.0.0.0/8")
    with pytest.raises(AttributeError, match="'kind'"):
        block.kind = "global"
    with pytest.raises(AttributeError, match="'kind'"):
        del block.kind
    with pytest.raises(AttributeError):
        block.other = 1
    assert block.kind == "private"


def test_importing_it_needs_no_heavy_module() -> None:
    heavy = {"re", "typing", "collections", "dataclasses", "ipaddress", "enum", "numpy"}
    code = f"import sys; sys.path.insert(0, {str(REGISTRY.parent)!r}); import registry; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert "registry" in run.stdout.split()
    assert heavy.isdisjoint(run.stdout.split())


# ---- the generator ---------------------------------------------------------------------------------------------------

HEADER = (
    "Address Block,Name,RFC,Allocation Date,Termination Date,"
    "Source,Destination,Forwardable,Globally Reachable,Reserved-by-Protocol\n"
)
IP4 = HEADER + "10.0.0.0/8 [7],Private-Use,[RFC1918],1996-02,N/A,True,True [1],True,False,N/A [2]\n"
IP6 = HEADER + "::1/128,Loopback Address,[RFC4291],2006-02,N/A,False,False,False,False,True\n"


def run_generator(folder: Path, ip4: str, ip6: str) -> None:
    (folder / "4.csv").write_text(ip4, encoding="utf-8")
    (folder / "6.csv").write_text(ip6, encoding="utf-8")
    generate.main([str(folder / "4.csv"), str(folder / "6.csv"), "--date", "2026-07-18", "--output", str(folder)])


def test_committed_tables_are_what_the_generator_writes(shared_data: Path, tmp_path: Path) -> None:
    generate.main([*(str(shared_data / file) for file in FILES), "--date", PUBLISHED, "--output", str(tmp_path)])
    for name in ("blocks.py", "nf_blocks.h"):
        assert (tmp_path / name).read_bytes() == (REGISTRY / name).read_bytes()


@pytest.mark.parametrize("name", ["blocks.py", "nf_blocks.h"])
def test_tables_name_their_sources(name: str) -> None:
    head = (REGISTRY / name).read_text(encoding="utf-8")[:600]
    assert "Generated by netfast.registry.generate" in head
    assert "https://www.iana.org/assignments/iana-ipv4-special-registry/" in head
    assert "https://www.iana.org/assignments/iana-ipv6-special-registry/" in head
    assert f"as published on {PUBLISHED}" in head


def test_blocks_are_the_generated_rows() -> None:
    assert tuple(tuple(block.to_dict().values()) for block in BLOCKS) == blocks.ROWS


def test_kernels_table_has_the_same_rows() -> None:
    text = (REGISTRY / "nf_blocks.h").read_text(encoding="utf-8")
    count = re.search(r"^#define NF_BLOCK_COUNT (\d+)$", text, re.MULTILINE)
    assert count is not None
    assert int(count[1]) == len(BLOCKS)
    rows = re.findall(r"^    \{(\d+), (\d+), \{(.*)\}\}, /\* (.*) \*/$", text, re.MULTILINE)
    assert rows[0] == ("0", "0", "0", "invalid")
    for (version, length, octets, comment), block in zip(rows, BLOCKS, strict=True):
        if block.prefix:
            net = network(block)
            assert comment == f"{block.prefix} {block.name}"
            assert (int(version), int(length)) == (net.version, net.prefixlen)
            assert initializer(octets)[: net.max_prefixlen // 8] == net.network_address.packed


def initializer(text: str) -> bytes:
    """What C makes of the elements of a uint8_t[16], those with designators included."""
    values, at = bytearray(16), 0
    for element in text.split(", "):
        designator, _, number = element.rpartition(" = ")
        at = int(designator.strip("[]")) if designator else at
        values[at] = int(number, 0)
        at += 1
    return bytes(values)


def test_generator_reads_notes_and_blanks(tmp_path: Path) -> None:
    run_generator(tmp_path, IP4, IP6)
    text = (tmp_path / "blocks.py").read_text(encoding="utf-8")
    assert '    ("10.0.0.0/8", "Private-Use", "RFC 1918", "private", "A", T, T, T, F, N),\n' in text
    header = (tmp_path / "nf_blocks.h").read_text(encoding="utf-8")
    assert "#define NF_BLOCK_COUNT 10\n" in header
    assert "    {4, 8, {10}}, /* 10.0.0.0/8 Private-Use */\n" in header


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("[RFC791], Section 3.2", "RFC 791 section 3.2"),
        ("[RFC1122], Section 3.2.1.3", "RFC 1122 section 3.2.1.3"),
        ("[RFC8880][RFC7050], Section 2.2", "RFC 8880, RFC 7050 section 2.2"),
        ("[RFC5180][RFC Errata 1752]", "RFC 5180, RFC Errata 1752"),
    ],
)
def test_reference_text(written: str, text: str) -> None:
    assert generate.reference_text(written) == text


@pytest.mark.parametrize(
    ("ip4", "ip6", "message"),
    [
        (IP4.replace("Private-Use", "Lunar-Use"), IP6, r"4\.csv:2: 10\.0\.0\.0/8 'Lunar-Use': KIND_OF_NAME"),
        (IP4.replace("False", "Maybe"), IP6, "10.0.0.0/8 'Private-Use': Globally Reachable: 'Maybe' is neither"),
        (IP4.replace("[RFC1918]", "folklore"), IP6, "10.0.0.0/8 'Private-Use': cannot read the reference 'folklore'"),
        (IP4.replace("10.0.0.0/8", "10.0.0.1/8"), IP6, "10.0.0.1/8 has host bits set"),
        (IP4.replace("10.0.0.0/8", "10.0.0.0"), IP6, "'10.0.0.0' is not an IPv4 prefix in its usual form"),
        (IP4, IP6.replace("::1/128", "0::1/128"), r"6\.csv:2: .*'0::1/128' is not an IPv6 prefix in its usual form"),
        (IP6, IP4, "'::1/128' is not an IPv4 prefix"),
        (IP4.replace("10.0.0.0/8 [7]", '"10.0.0.0/8, 10.0.0.0/8"'), IP6, "10.0.0.0/8: both 'Private-Use' and 'Private"),
        (IP4.replace("10.0.0.0/8", "224.0.0.0/4"), IP6, "224.0.0.0/4: both"),
        (IP4.replace("Reserved-by", "Deserved-by"), IP6, r"4\.csv: no column Reserved-by-Protocol"),
        ("", IP6, r"4\.csv: no column Address Block"),
        (IP4[:150], IP6, r"4\.csv: no column|cannot read|neither|KIND_OF_NAME"),
    ],
)
def test_generator_refuses_what_it_does_not_know(
    ip4: str, ip6: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_generator(tmp_path, ip4, ip6)
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.csv", "6.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv", "missing.csv", "--date", "2026-07-18"], "missing.csv"),
        (["4.csv", "6.csv", "--date", "18 July"], "--date"),
        (["4.csv", "6.csv"], "--date"),
    ],
)
def test_generator_refuses_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        generate.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_generator_runs_by_its_path_without_the_package() -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-S", generate.__file__, "--help"], capture_output=True, text=True, check=True
    )
    assert "IPV4.csv" in run.stdout
