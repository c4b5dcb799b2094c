"""IP addresses as a textbook explains them: classes, network and host parts, and what the registries say today.

The five classes are RFC 791 section 3.2 (A to C) and RFC 1112 section 4 (D and E).  The textbook's usable ranges are
narrower than the leading bits: the network of all zeros, the loopback network and the first and last address are left
out.  Routing has not looked at classes since CIDR (RFC 1519, now RFC 4632), so a default mask says nothing about a real
network, and what an address may be used for is said by the registries (`netfast.BLOCKS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import _core
from .plain_text import printable
from .registry import BLOCKS, IS_GLOBAL, PUBLISHED, Block


class NetworkClass(NamedTuple):
    """One of the five classes of IPv4 (`netfast.NETWORK_CLASSES`).

    Attributes:
        name: "A" to "E".
        leading_bits: the bits all its addresses begin with, such as "110".
        first: lowest address with these leading bits.
        last: highest address with these leading bits.
        textbook_first: first usable address by the textbook.
        textbook_last: last usable address by the textbook.
        networks: how many networks the textbook counts; None where there are none (D, E).
        hosts_per_network: how many hosts a network has, without its all-zeros and all-ones address; None for D and E.
        use: what the class is for.

    Example:
        >>> c = NETWORK_CLASSES[2]
        >>> c.name, c.leading_bits, c.textbook_first, c.networks, c.hosts_per_network
        ('C', '110', '192.0.1.1', 2097152, 254)
    """

    name: str
    leading_bits: str
    first: str
    last: str
    textbook_first: str
    textbook_last: str
    networks: int | None
    hosts_per_network: int | None
    use: str


# Leading bits, first and last: RFC 791 section 3.2, RFC 1112 section 4.  Networks: 7, 14 and 21 bits of network number
# (RFC 1166), of which the textbook takes 0 and 127 away in class A only: 2^7 - 2, 2^14, 2^21.  Hosts: the 24, 16 and 8
# bits that remain, without all zeros (the network) and all ones (its broadcast, RFC 919 section 7): 2^n - 2.
NETWORK_CLASSES: tuple[NetworkClass, ...] = (
    NetworkClass(
        "A", "0", "0.0.0.0", "127.255.255.255", "1.0.0.1", "126.255.255.254", 126, 16_777_214, "unicast, large networks"
    ),
    NetworkClass(
        "B", "10", "128.0.0.0", "191.255.255.255", "128.1.0.1", "191.255.255.254", 16_384, 65_534,
        "unicast, medium networks",
    ),
    NetworkClass(
        "C", "110", "192.0.0.0", "223.255.255.255", "192.0.1.1", "223.255.255.254", 2_097_152, 254,
        "unicast, small networks",
    ),
    NetworkClass(
        "D", "1110", "224.0.0.0", "239.255.255.255", "224.0.0.1", "239.255.255.254", None, None, "multicast"
    ),
    NetworkClass(
        "E", "1111", "240.0.0.0", "255.255.255.255", "240.0.0.0", "255.255.255.255", None, None, "reserved"
    ),
)  # fmt: skip
"""The classes A to E, each by its leading bits and by the textbook's usable range."""

_BY_NAME = {network_class.name: network_class for network_class in NETWORK_CLASSES}
_NETWORK_OCTETS = {"A": 1, "B": 2, "C": 3}  # how many of the four are the network part, RFC 791 section 3.2


class AddressInfo(NamedTuple):
    """What a textbook, and today's registries, say about one address; `str()` in a line, `to_text()` in full.

    Attributes:
        text: the address in its usual form (RFC 5952 for IPv6), with its zone.
        version: 4 or 6.
        kind: one of `netfast.KINDS`.
        block: the most specific row of `netfast.BLOCKS` that holds it.
        rfc: where that block is defined.
        network_class: "A" to "E" by the leading bits; "" for IPv6, as are all texts that follow from the class.
        leading_bits: the bits that make it that class, such as "110".
        network_part: octets of the network number, such as "192.168.1"; "" for classes D and E.
        host_part: octets of the host number, such as "1"; "" for classes D and E.
        default_mask: such as "255.255.255.0"; "" for classes D and E.
        textbook_range: first and last usable address of the class, such as "192.0.1.1–223.255.255.254".
        networks_in_class: how many networks the class has; None for D, E and IPv6.
        hosts_per_network: how many hosts each of them has; None for D, E and IPv6.
        binary: the bits, by octets and dots for IPv4, by 16 bits and colons for IPv6.
        is_private: kind "private": RFC 1918 and RFC 4193. `ipaddress.is_private` means something else: "not global".
        is_loopback: kind "loopback".
        is_global: the registry says globally reachable, or the block is ordinary unicast.
        notes: where textbook and registry differ, and what else a reader should know; one sentence or two each.
    """

    text: str
    version: int
    kind: str
    block: Block
    rfc: str
    network_class: str
    leading_bits: str
    network_part: str
    host_part: str
    default_mask: str
    textbook_range: str
    networks_in_class: int | None
    hosts_per_network: int | None
    binary: str
    is_private: bool
    is_loopback: bool
    is_global: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        family = f"class {self.network_class}" if self.network_class else "IPv6"
        return f"{printable(self.text)}: {family}, {self.kind}, in {self.block.prefix} {self.block.name} ({self.rfc})"

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON: `block` is a dict, `notes` a list."""
        return {**self._asdict(), "block": self.block.to_dict(), "notes": list(self.notes)}

    def to_text(self) -> str:
        """The explanation for a terminal: a heading, a line for each fact, then the notes; no newline at the end."""
        from textwrap import wrap

        facts = [(label, value) for label, value in _facts(self) if value]
        width = max(len(label) for label, _ in facts)
        lines = [f"{printable(self.text)} (IPv{self.version})"]
        lines += [f"  {label:<{width}}  {value}" for label, value in facts]
        for note in self.notes:
            lines += wrap(note, _WIDTH, initial_indent="  * ", subsequent_indent="    ")
        return "\n".join(lines)


_WIDTH = 88  # columns that notes are wrapped to
_IP6_HALF = 4 * 17  # four groups of 16 bits, each with a colon: all eight are too wide for one line


def address(text: str | bytes) -> AddressInfo:
    """Explains one IP address as a textbook does, and says where today's registries see it differently.

    Args:
        text: IPv4 in strict dotted decimal, or IPv6 (RFC 4291) with or without a zone.

    Returns:
        An `AddressInfo`; print it for one line, or its `to_text()` for everything.

    Raises:
        AddressError: the text is not an IP address; a ValueError with `.text`, `.position` and `.reason`.

    Source: RFC 791 section 3.2 and RFC 1112 section 4 for classes, IANA's special-purpose registries for the rest.

    Example:
        >>> info = address("192.168.1.1")
        >>> print(info)
        192.168.1.1: class C, private, in 192.168.0.0/16 Private-Use (RFC 1918)
        >>> info.network_part, info.host_part, info.default_mask, info.hosts_per_network
        ('192.168.1', '1', '255.255.255.0', 254)
        >>> address("0.1.2.3").network_class, address("0.1.2.3").kind
        ('A', 'this_network')
        >>> print(address("100.64.0.1").notes[0])  # doctest: +NORMALIZE_WHITESPACE
        The textbook takes this for an ordinary address of class A; IANA sets 100.64.0.0/10 aside: Shared Address Space
        (RFC 6598), not globally reachable.
    """
    version, value, zone = _core.parse_one(text)
    code = _core.classify_one(version, value)
    canonical = _core.format_one(version, value) + (f"%{zone}" if zone else "")
    explain = _explain_ip4 if version == 4 else _explain_ip6
    return explain(canonical, value, BLOCKS[code], IS_GLOBAL[code] == 1)


def _explain_ip4(text: str, value: int, block: Block, is_global: bool) -> AddressInfo:
    network_class = _BY_NAME[block.network_class]
    octets = text.split(".")
    split = _NETWORK_OCTETS.get(network_class.name, 0)
    return AddressInfo(
        text=text,
        version=4,
        kind=block.kind,
        block=block,
        rfc=block.rfc,
        network_class=network_class.name,
        leading_bits=network_class.leading_bits,
        network_part=".".join(octets[:split]),
        host_part=".".join(octets[split:]) if split else "",
        default_mask=".".join(["255"] * split + ["0"] * (4 - split)) if split else "",
        textbook_range=f"{network_class.textbook_first}–{network_class.textbook_last}",
        networks_in_class=network_class.networks,
        hosts_per_network=network_class.hosts_per_network,
        binary=".".join(f"{int(octet):08b}" for octet in octets),
        is_private=block.kind == "private",
        is_loopback=block.kind == "loopback",
        is_global=is_global,
        notes=tuple(_notes_ip4(value, network_class, block)),
    )


def _explain_ip6(text: str, value: int, block: Block, is_global: bool) -> AddressInfo:
    return AddressInfo(
        text=text,
        version=6,
        kind=block.kind,
        block=block,
        rfc=block.rfc,
        network_class="",
        leading_bits="",
        network_part="",
        host_part="",
        default_mask="",
        textbook_range="",
        networks_in_class=None,
        hosts_per_network=None,
        binary=":".join(f"{value >> shift & 0xFFFF:016b}" for shift in range(112, -1, -16)),
        is_private=block.kind == "private",
        is_loopback=block.kind == "loopback",
        is_global=is_global,
        notes=tuple(_notes_ip6(text, value, block)),
    )


# The textbook's special blocks, which are the registries' too: RFC 1918 section 3, RFC 1122 section 3.2.1.3 (g),
# RFC 1112 section 4.
_ALIKE = {
    "10.0.0.0/8": "The textbook and IANA agree: 10.0.0.0/8, one network of class A, is private.",
    "172.16.0.0/12": "The textbook and IANA agree: 172.16.0.0/12, which is 16 networks of class B, is private.",
    "192.168.0.0/16": "The textbook and IANA agree: 192.168.0.0/16, which is 256 networks of class C, is private.",
    "127.0.0.0/8": "The textbook and IANA agree: 127.0.0.0/8 is for loopback tests and never leaves the host.",
    "224.0.0.0/4": "The textbook and IANA agree: 224.0.0.0/4 is multicast, a group of receivers and not one host.",
    "240.0.0.0/4": "The textbook and IANA agree: 240.0.0.0/4 is reserved.",
}
_REACHABLE = {True: "globally reachable", False: "not globally reachable", None: "reachability not stated"}


def _notes_ip4(value: int, network_class: NetworkClass, block: Block) -> Iterator[str]:
    usable = _value(network_class.textbook_first) <= value <= _value(network_class.textbook_last)
    if not usable:
        yield from _notes_unusable(value, network_class, block)
    if block.prefix in _ALIKE:
        if usable or block.kind == "loopback":
            yield _ALIKE[block.prefix]
    elif block.kind != "global":
        before = f"The textbook takes this for {_taken_for(network_class)}; " if usable else ""
        yield f"{before}IANA sets {block.prefix} aside: {block.name} ({block.rfc}), {_REACHABLE[block.is_global]}."
    if block.kind in ("global", "private"):
        yield from _notes_host_part(value, network_class)


def _taken_for(network_class: NetworkClass) -> str:
    ordinary = network_class.networks is not None
    return f"{'an ordinary' if ordinary else f'a {network_class.use}'} address of class {network_class.name}"


def _notes_unusable(value: int, network_class: NetworkClass, block: Block) -> Iterator[str]:
    bits = "bit" if len(network_class.leading_bits) == 1 else "bits"
    yield (
        f"Class {network_class.name} by its leading {bits} {network_class.leading_bits}, but outside the textbook's "
        f"usable range {network_class.textbook_first}–{network_class.textbook_last}."
    )
    if block.kind == "global":
        yield f"Today's registries (IANA, {PUBLISHED}) are wider: no special use, so it is ordinary unicast."
    elif block.kind == "multicast":
        yield f"Today's registries are wider: {block.prefix} is multicast from its first to its last address."
    # The counts 2^14 and 2^21 hold every network number, the ranges begin at the second.
    if network_class.name in "BC" and value < _value(network_class.textbook_first) - 1:
        yield f"The textbook's count of {network_class.networks:,} networks includes this one, its range does not."


def _notes_host_part(value: int, network_class: NetworkClass) -> Iterator[str]:
    host_bits = 32 - 8 * _NETWORK_OCTETS[network_class.name]
    host = value & ((1 << host_bits) - 1)
    if host == 0:
        yield "Under the default mask the host part is all zeros: the network itself, not a host."
    elif host == (1 << host_bits) - 1:
        yield "Under the default mask the host part is all ones: the network's broadcast (RFC 919 section 7)."


def _value(text: str) -> int:
    """The value of an address of the tables above, which are known to be right."""
    return int.from_bytes(bytes(map(int, text.split("."))), "big")


def _notes_ip6(text: str, value: int, block: Block) -> Iterator[str]:
    carried = _core.unwrap_one(value)
    if carried is not None:
        kind = BLOCKS[_core.classify_one(4, carried)].kind
        yield f"Carries the IPv4 address {_core.format_one(4, carried)} ({block.name}, {block.rfc}), of kind {kind}."
    if value >> 118 == 0xFEC0 >> 6:
        yield "Textbooks know fec0::/10 as site-local: deprecated by RFC 3879, and no row of IANA's registry."
    _, separator, zone = text.partition("%")
    if separator:
        yield f"The zone {zone!r} names the link it is meant on; it is no part of the 128 bits (RFC 4007)."


def _facts(info: AddressInfo) -> Iterator[tuple[str, str]]:
    """Labels and values of `to_text`; a value "" has no line."""
    if info.network_class:
        yield from _class_facts(info, _BY_NAME[info.network_class])
    yield "binary", info.binary[:_IP6_HALF]
    yield "", info.binary[_IP6_HALF:]
    yield "kind", info.kind
    yield "private", _yes(info.is_private)
    yield "loopback", _yes(info.is_loopback)
    yield "globally reachable", _yes(info.is_global)
    yield "block", f"{info.block.prefix} {info.block.name}"
    yield "source", info.rfc


def _class_facts(info: AddressInfo, network_class: NetworkClass) -> Iterator[tuple[str, str]]:
    yield "class", f"{network_class.name} ({network_class.use})"
    yield "leading bits", f"{network_class.leading_bits}, so {network_class.first}–{network_class.last}"
    yield "textbook range", info.textbook_range
    yield "network part", info.network_part
    yield "host part", info.host_part
    if info.default_mask:
        yield "default mask", f"{info.default_mask} (/{8 * _NETWORK_OCTETS[network_class.name]})"
    if info.networks_in_class is not None and info.hosts_per_network is not None:
        yield "networks", f"{info.networks_in_class:,} in class {network_class.name}"
        yield "hosts", f"{info.hosts_per_network:,} in each network"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
