"""A network card as ifconfig(8) of net-tools 2.10 prints it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator

from .nic_rows import Interface, InterfaceAddress, InterfaceFlags as Flags

# By the link type of ip(8): ifconfig's word, the hardware's name, and how an address is written (net-tools' hwtypes).
_LOWER = "{:02x}".format
_UPPER = "{:02X}".format
_HARDWARE: dict[str, tuple[str, str, tuple[str, Callable[[int], str]] | None]] = {
    "cisco": ("hdlc", "(Cisco)-HDLC", None),
    "cslip": ("cslip", "VJ Serial Line IP", None),
    "cslip6": ("cslip6", "VJ 6-bit Serial Line IP", None),
    "ether": ("ether", "Ethernet", (":", _LOWER)),
    "eui64": ("eui64", "Generic EUI-64", (":", _UPPER)),
    "fddi": ("fddi", "Fiber Distributed Data Interface", ("-", _UPPER)),
    "frad": ("frad", "Frame Relay Access Device", None),
    "hippi": ("hippi", "HIPPI", (":", _UPPER)),
    "ipip": ("tunnel ", "IPIP Tunnel", None),
    "lapb": ("lapb", "LAPB", None),
    "loopback": ("loop", "Local Loopback", None),
    "ppp": ("ppp", "Point-to-Point Protocol", None),
    "sit": ("sit", "IPv6-in-IPv4", None),
    "slip": ("slip", "Serial Line IP", None),
    "slip6": ("slip6", "6-bit Serial Line IP", None),
}
_UNSPECIFIED = "unspec", "UNSPEC", ("-", _UPPER)
_UNSPECIFIED_SHOWN, _UNSPECIFIED_LENGTH = 8, 16  # bytes: what there is, and with zeros behind

# In ifconfig's order, which is not that of the bits; the others it does not name.
_FLAGS = (
    Flags.UP,
    Flags.BROADCAST,
    Flags.DEBUG,
    Flags.LOOPBACK,
    Flags.POINTOPOINT,
    Flags.NOTRAILERS,
    Flags.RUNNING,
    Flags.NOARP,
    Flags.PROMISC,
    Flags.ALLMULTI,
    Flags.SLAVE,
    Flags.MASTER,
    Flags.MULTICAST,
    Flags.DYNAMIC,
)

# IPV6_ADDR_* of net/ipv6.h in the kernel, by the scope of ip(8): what /proc/net/if_inet6 tells.
_SCOPES = {"global": 0x00, "host": 0x10, "link": 0x20, "site": 0x40}
_COMPATIBLE = 0x80
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NOT_COMPATIBLE = ipaddress.IPv6Address("::1"), ipaddress.IPv6Address("::")


def card_text(card: Interface) -> str:
    """The card as ifconfig prints it, without a newline at the end.

    Addresses with a label other than the card's name (aliases) are paragraphs of their own, behind an empty line.
    ifconfig prints one IPv4 address a paragraph; this prints each.

    Source: the output of net-tools 2.10; linux/if.h, linux/if_arp.h.
    """
    others = {address.label for address in card.addresses if address.label is not None} - {card.name}
    paragraphs = [_paragraph(card, card.name, [*_first_lines(card), *_hardware(card), *_counters(card)])]
    for label in sorted(others, key=_with_number):
        addresses = (_ipv4(card, address) for address in card.addresses if address.label == label)
        paragraphs.append(_paragraph(card, label, [*addresses, *_hardware(card)]))
    return "\n\n".join(paragraphs)


def _paragraph(card: Interface, name: str, lines: list[str]) -> str:
    return "\n        ".join([f"{name}: {_flags(card.flags)}  mtu {card.mtu}", *lines])


def _with_number(label: str) -> tuple[str, int]:
    """eth0:10 comes after eth0:2."""
    number = label[len(label.rstrip("0123456789")) :]
    return label.removesuffix(number), int(number or -1)


def _flags(flags: int) -> str:
    names = ",".join(flag.name or "" for flag in _FLAGS if flags & flag)
    number = flags & 0xFFFF
    return f"flags={number - 0x10000 if number & 0x8000 else number}<{names}>"  # a short of C


def _first_lines(card: Interface) -> Iterator[str]:
    for address in card.addresses:
        if address.family == socket.AF_INET and address.label in (None, card.name):
            yield _ipv4(card, address)
    for address in card.addresses:
        if address.family == socket.AF_INET6:
            yield _ipv6(address)


def _ipv4(card: Interface, address: InterfaceAddress) -> str:
    line = f"inet {address.ip}  netmask {address.netmask}"
    if card.flags & Flags.BROADCAST:
        line += f"  broadcast {address.broadcast or '0.0.0.0'}"
    if card.flags & Flags.POINTOPOINT:
        line += f"  destination {address.peer or address.ip}"
    return line


def _ipv6(address: InterfaceAddress) -> str:
    number = _SCOPES.get(address.scope, 0)
    names = [address.scope if address.scope in _SCOPES else "global"]
    ip = ipaddress.IPv6Address(address.ip)
    if ip in _IPV4_COMPATIBLE and ip not in _NOT_COMPATIBLE:
        number |= _COMPATIBLE
        names.insert(0, "compat")
    return f"inet6 {address.ip}  prefixlen {address.prefixlen}  scopeid {number:#x}<{','.join(names)}>"


def _hardware(card: Interface) -> Iterator[str]:
    word, title, form = _HARDWARE.get(card.type, _UNSPECIFIED)
    if form is not None:
        address = bytes.fromhex((card.hwaddr or "").replace(":", ""))
        if word == _UNSPECIFIED[0]:
            address = address[:_UNSPECIFIED_SHOWN].ljust(_UNSPECIFIED_LENGTH, b"\0")
        between, byte = form
        word += " " + between.join(map(byte, address))
    yield f"{word}  txqueuelen {card.txqueuelen}  ({title})"


def _counters(card: Interface) -> Iterator[str]:
    stats = card.stats
    compresses = card.type in ("cslip", "cslip6")
    yield f"RX packets {stats.rx_packets}  bytes {stats.rx_bytes} ({_in_units(stats.rx_bytes)})"
    if compresses:
        yield f"RX compressed:{stats.rx_compressed}"
    yield f"RX errors {stats.rx_errors}  dropped {stats.rx_drops}  overruns {stats.rx_overruns}  frame {stats.frame}"
    yield f"TX packets {stats.tx_packets}  bytes {stats.tx_bytes} ({_in_units(stats.tx_bytes)})"
    if compresses:
        yield f"TX compressed {stats.tx_compressed}"
    yield (
        f"TX errors {stats.tx_errors}  dropped {stats.tx_dropped} overruns {stats.tx_overruns}"
        f"  carrier {stats.carrier}  collisions {stats.collisions}"
    )


def _in_units(number: int) -> str:
    """In the largest unit that it exceeds, with one decimal, cut off: 1024 is 1024.0 B, 1025 is 1.0 KiB."""
    for power, unit in ((6, "EiB"), (5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number > 1024**power:
            tenths = number * 10 // 1024**power
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{number}.0 B"
