"""Writes blocks.py and nf_blocks.h from IANA's two special-purpose address registries.

    python -m netfast.registry.generate IPV4.csv IPV6.csv --date 2026-07-18

IPV4.csv and IPV6.csv are the registries' own CSV files (REGISTRIES says where they are published), and --date is the
day they were published.  A row is a prefix, and its number is the code that the kernels answer: row 0 stands for text
that is no address, then comes IPv4 by (address, length), then IPv6 likewise.  The most specific row counts.

This needs the standard library only, and no compiled core: where netfast cannot be imported, run the file by its path.
"""

from __future__ import annotations

import argparse
import csv
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

REGISTRIES = {
    4: (
        "IANA IPv4 Special-Purpose Address Registry",
        "https://www.iana.org/assignments/iana-ipv4-special-registry/",
    ),
    6: (
        "IANA IPv6 Special-Purpose Address Registry",
        "https://www.iana.org/assignments/iana-ipv6-special-registry/",
    ),
}

# The kind (netfast.KINDS) of every name in the two registries.
KIND_OF_NAME = {
    "This network": "this_network",
    "This host on this network": "unspecified",
    "Private-Use": "private",
    "Shared Address Space": "shared",
    "Loopback": "loopback",
    "Link Local": "link_local",
    "IETF Protocol Assignments": "protocol",
    "IPv4 Service Continuity Prefix": "protocol",
    "IPv4 dummy address": "dummy",
    "Port Control Protocol Anycast": "anycast",
    "Traversal Using Relays around NAT Anycast": "anycast",
    "NAT64/DNS64 Discovery": "translation",
    "Documentation (TEST-NET-1)": "documentation",
    "AS112-v4": "anycast",
    "AMT": "anycast",
    "Deprecated (6to4 Relay Anycast)": "deprecated",
    "6a44-relay anycast address": "anycast",
    "Direct Delegation AS112 Service": "anycast",
    "Benchmarking": "benchmarking",
    "Documentation (TEST-NET-2)": "documentation",
    "Documentation (TEST-NET-3)": "documentation",
    "Reserved": "reserved",
    "Limited Broadcast": "broadcast",
    "Loopback Address": "loopback",
    "Unspecified Address": "unspecified",
    "IPv4-mapped Address": "mapped",
    "IPv4-IPv6 Translat.": "translation",
    "Discard-Only Address Block": "discard",
    "Dummy IPv6 Prefix": "dummy",
    "TEREDO": "tunnel",
    "DNS-SD Service Registration Protocol Anycast": "anycast",
    "AS112-v6": "anycast",
    "Deprecated (previously ORCHID)": "deprecated",
    "ORCHIDv2": "identifier",
    "Drone Remote ID Protocol Entity Tags (DETs) Prefix": "identifier",
    "Documentation": "documentation",
    "6to4": "tunnel",
    "Segment Routing (SRv6) SIDs": "srv6",
    "Unique-Local": "private",
    "Link-Local Unicast": "link_local",
}

# What completes both families beside the special-purpose rows: (prefix, name, rfc, kind).
# Classes A to C by their leading bits, RFC 791 section 3.2; class D, RFC 1112 section 4, now assigned by RFC 5771.
# Class E is IANA's own row 240.0.0.0/4.  IPv6: RFC 4291, section 2.4 for the types and 2.7 for multicast.
OTHER_BLOCKS = (
    ("0.0.0.0/1", "Class A", "RFC 791 section 3.2", "global"),
    ("128.0.0.0/2", "Class B", "RFC 791 section 3.2", "global"),
    ("192.0.0.0/3", "Class C", "RFC 791 section 3.2", "global"),
    ("224.0.0.0/4", "Multicast", "RFC 5771, RFC 1112 section 4", "multicast"),
    ("::/0", "Reserved by IETF", "RFC 4291", "reserved"),
    ("2000::/3", "Global Unicast", "RFC 4291", "global"),
    ("ff00::/8", "Multicast", "RFC 4291 section 2.7", "multicast"),
)

_FLAG_COLUMNS = ("Source", "Destination", "Forwardable", "Globally Reachable", "Reserved-by-Protocol")
_COLUMNS = ("Address Block", "Name", "RFC", *_FLAG_COLUMNS)
_FLAGS = {"True": True, "False": False, "N/A": None, "": None}
_FOOTNOTE = re.compile(r"\s*\[\d+\]")
_REFERENCES = re.compile(r"((?:\[[^\]]+\])+)(?:, Section ([\d.]+))?")


class RegistryError(ValueError):
    """A file that is not the registry it should be; the message names the row."""


class Row(NamedTuple):
    """One line of blocks.py: the fields of `netfast.Block`, in its order."""

    prefix: str
    name: str
    rfc: str
    kind: str
    network_class: str
    source: bool | None = None
    destination: bool | None = None
    forwardable: bool | None = None
    is_global: bool | None = None
    reserved: bool | None = None


INVALID = Row("", "Invalid", "", "invalid", "")


def read_registry(path: Path, version: int) -> list[Row]:
    """The rows of one registry's CSV file, one a prefix, in the file's order.

    Raises RegistryError for a file of other columns, and for a row with an unknown name, flag, prefix or reference.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise RegistryError(f"{path}: no column {', '.join(missing)}: not the {REGISTRIES[version][0]}?")
        return [row for record in reader for row in _rows_of_record(record, version, f"{path}:{reader.line_num}")]


def _rows_of_record(record: dict[str, str], version: int, where: str) -> Iterator[Row]:
    block = _FOOTNOTE.sub("", record["Address Block"])
    name = record["Name"].strip('"')
    where = f"{where}: {block} {name!r}"
    if name not in KIND_OF_NAME:
        raise RegistryError(f"{where}: KIND_OF_NAME does not say which kind this name is")
    rfc = reference_text(record["RFC"], where)
    flags = [_flag(record[column], f"{where}: {column}") for column in _FLAG_COLUMNS]
    for text in block.split(","):
        prefix = _checked_prefix(text.strip(), version, where)
        yield Row(prefix, name, rfc, KIND_OF_NAME[name], network_class(prefix), *flags)


def reference_text(references: str, where: str = "RFC") -> str:
    """The RFC column as people write it.

    >>> reference_text("[RFC8880][RFC7050], Section 2.2")
    'RFC 8880, RFC 7050 section 2.2'
    """
    match = _REFERENCES.fullmatch(references)
    if match is None:
        raise RegistryError(f"{where}: cannot read the reference {references!r}")
    names = [re.sub(r"^RFC(?=\d)", "RFC ", name) for name in re.findall(r"\[([^\]]+)\]", match[1])]
    return ", ".join(names) + (f" section {match[2]}" if match[2] else "")


def _flag(text: str, where: str) -> bool | None:
    value = _FOOTNOTE.sub("", text)
    if value not in _FLAGS:
        raise RegistryError(f"{where}: {text!r} is neither True nor False nor N/A")
    return _FLAGS[value]


def _checked_prefix(text: str, version: int, where: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise RegistryError(f"{where}: {error}") from None
    # From Python 3.13 on, str() writes IANA's ::ffff:0:0/96 as ::ffff:0.0.0.0/96.
    if network.version != version or text not in (str(network), "::ffff:0:0/96"):
        raise RegistryError(f"{where}: {text!r} is not an IPv{version} prefix in its usual form")
    return text


def network_class(prefix: str) -> str:
    """The class of a prefix by its leading bits (RFC 791, RFC 1112 section 4); "" for IPv6.

    >>> network_class("127.0.0.0/8"), network_class("255.255.255.255/32"), network_class("::1/128")
    ('A', 'E', '')
    """
    if ":" in prefix:
        return ""
    octet = int(prefix.split(".")[0])
    return "ABCDE"[sum(octet >= first for first in (0b1000_0000, 0b1100_0000, 0b1110_0000, 0b1111_0000))]


def all_rows(ip4: Iterable[Row], ip6: Iterable[Row]) -> list[Row]:
    """Row 0, then the registries' rows and OTHER_BLOCKS in the order of codes."""
    others = [Row(*block, network_class(block[0])) for block in OTHER_BLOCKS]
    rows = sorted([*ip4, *ip6, *others], key=_order)
    for row, following in pairwise(rows):
        if _order(row) == _order(following):
            raise RegistryError(f"{row.prefix}: both {row.name!r} and {following.name!r}")
    if len(rows) >= 256:
        raise RegistryError(f"{len(rows)} rows and the invalid one: a code is one byte")
    return [INVALID, *rows]


def _order(row: Row) -> tuple[int, int, int]:
    network = ipaddress.ip_network(row.prefix)
    return network.version, int(network.network_address), network.prefixlen


def _header(published: date) -> list[str]:
    return [
        "Generated by netfast.registry.generate: do not edit, run it again.",
        "",
        *(f"{name}, {url}" for name, url in REGISTRIES.values()),
        f"as published on {published.isoformat()}; the rows that are not IANA's name the RFC they are from.",
    ]


def render_python(rows: Sequence[Row], published: date) -> str:
    """The text of blocks.py: a row a line, which takes one-letter names for the flags."""
    lines = [f"# {line}".rstrip() for line in _header(published)]
    lines += [
        '"""The rows of netfast.BLOCKS as plain tuples, in the order of codes and with the fields of netfast.Block."""',
        "",
        "T, F, N = True, False, None",
        "",
        "Flag = bool | None",
        "Row = tuple[str, str, str, str, str, Flag, Flag, Flag, Flag, Flag]",
        "",
        f'PUBLISHED = "{published.isoformat()}"',
        "",
        "ROWS: tuple[Row, ...] = (",
        *(f"    ({', '.join(_python_field(field) for field in row)})," for row in rows),
        ")",
    ]
    return "\n".join(lines) + "\n"


def _python_field(field: str | bool | None) -> str:
    return json.dumps(field) if isinstance(field, str) else str(field)[0]


def render_header(rows: Sequence[Row], published: date) -> str:
    """The text of nf_blocks.h."""
    first, *rest = _header(published)
    lines = [f"/* {first}", *(f" * {line}".rstrip() for line in rest), " */"]
    lines += [
        "#ifndef NF_BLOCKS_H",
        "#define NF_BLOCKS_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define NF_BLOCK_COUNT {len(rows)}",
        "",
        "/* IPv4 in the first four bytes, both in network order; version 0 is no address at all. */",
        "typedef struct { uint8_t version, bits; uint8_t prefix[16]; } nf_block;",
        "",
        "static const nf_block NF_BLOCKS[NF_BLOCK_COUNT] = {",
        *(_c_line(row) for row in rows),
        "};",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _c_line(row: Row) -> str:
    if not row.prefix:
        return "    {0, 0, {0}}, /* invalid */"
    network = ipaddress.ip_network(row.prefix)
    octets = network.network_address.packed.rstrip(b"\0")
    prefix = ", ".join(map(str, octets) if network.version == 4 else _ip6_octets(octets)) or "0"
    return f"    {{{network.version}, {network.prefixlen}, {{{prefix}}}}}, /* {row.prefix} {row.name} */"


def _ip6_octets(octets: bytes) -> Iterator[str]:
    """In hexadecimal, without the zeros: behind some of them C is told where it goes on."""
    for i, octet in enumerate(octets):
        if octet:
            skipped = i > 0 and not octets[i - 1]
            yield f"[{i}] = 0x{octet:02x}" if skipped else f"0x{octet:02x}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the two files and writes the two tables; SystemExit(2) with one line where that cannot be done."""
    parser = argparse.ArgumentParser(prog="generate", description="Write blocks.py and nf_blocks.h from IANA's files.")
    for version, (name, url) in REGISTRIES.items():
        parser.add_argument(f"ip{version}", metavar=f"IPV{version}.csv", type=Path, help=f"{name}, {url}")
    parser.add_argument("--date", required=True, type=date.fromisoformat, help="day of publication, YYYY-MM-DD")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="directory (beside this script)")
    options = parser.parse_args(arguments)
    try:
        rows = all_rows(read_registry(options.ip4, 4), read_registry(options.ip6, 6))
        # Both texts before either file: an error leaves the tables as they were.
        texts = {"blocks.py": render_python(rows, options.date), "nf_blocks.h": render_header(rows, options.date)}
        for name, text in texts.items():
            (options.output / name).write_text(text, encoding="utf-8", newline="\n")
    except (RegistryError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
