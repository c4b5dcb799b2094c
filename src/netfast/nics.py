"""Network cards of this machine, listed and configured as ifconfig(8) and ip(8) do, by rtnetlink(7).  Linux.

What is read and changed is in the network namespace of the thread that calls.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import operator
import os
import socket
from collections.abc import Iterable
from typing import Any, SupportsIndex

from . import nic_changes
from .linux import netlink
from .nic_rows import Interface, InterfaceAddress, InterfaceFlags, LinkStats

__all__ = ["add_address", "del_address", "ifconfig", "interface", "interfaces", "set_interface"]


class _Words(dict[int, str]):
    """Words for numbers; a number that has none stands for itself."""

    def __missing__(self, number: int) -> str:
        return str(number)


class _Names(dict[int, "str | None"]):
    """Names of cards by index; 0 is none, and one that is not known is called as by ip(8)."""

    def __missing__(self, index: int) -> str | None:
        return f"if{index}" if index else None


# IF_OPER_*, linux/if.h, by the names that /sys/class/net/*/operstate has (RFC 2863).
_OPERSTATES = _Words(enumerate(("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")))
_ADDRGENMODES = _Words(enumerate(("eui64", "none", "stable_secret", "random")))  # IN6_ADDR_GEN_MODE_*, linux/if_link.h

# ARPHRD_*, linux/if_arp.h, by the names that ip(8) prints behind "link/".
_TYPES = _Words(
    {
        1: "ether",
        24: "ieee1394",
        32: "infiniband",
        280: "can",
        512: "ppp",
        768: "ipip",
        769: "tunnel6",
        772: "loopback",
        776: "sit",
        778: "gre",
        801: "ieee802.11",
        802: "ieee802.11/prism",
        803: "ieee802.11/radiotap",
        804: "ieee802.15.4",
        823: "gre6",
        824: "netlink",
        825: "6lowpan",
        0xFFFE: "none",
        0xFFFF: "void",
    }
)

_SCOPES = _Words({0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"})  # RT_SCOPE_*, linux/rtnetlink.h

# IFA_F_*, linux/if_addr.h, by the names that ip(8) prints.
_FLAG_NAMES = (
    "secondary",
    "nodad",
    "optimistic",
    "dadfailed",
    "home",
    "deprecated",
    "tentative",
    "permanent",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "stable-privacy",
)

_flags = functools.cache(InterfaceFlags)  # making one takes longer than all other fields of a card
_made: Any = tuple.__new__  # NamedTuple._make without its count of the fields: 0.4 µs less a card

# Places of what is put into words.
_FLAGS, _OPERSTATE, _TYPE, _KIND, _DETAILS = map(
    Interface._fields.index, ("flags", "operstate", "type", "kind", "details")
)
_MASTER, _LINK, _LINK_NETNSID, _ADDRGENMODE, _STATS, _ADDRESSES = map(
    Interface._fields.index, ("master", "link", "link_netnsid", "addrgenmode", "stats", "addresses")
)
_SCOPE, _ADDRESS_FLAGS = map(InterfaceAddress._fields.index, ("scope", "flags"))


def interfaces() -> list[Interface]:
    """The network cards, each once, in the order of their indices.

    Raises OSError with the kernel's errno if it does not list them.

    Source: RTM_GETLINK and RTM_GETADDR of rtnetlink(7).  A list that changes while it is read is read again, up to 50
    times; the last is taken as it is.

    Example:
        >>> import netfast as nf
        >>> [card.name for card in nf.interfaces() if card.flags & nf.InterfaceFlags.LOOPBACK]
        ['lo']
    """
    kernel = netlink()
    rows = kernel.links()
    names = _Names({row[0]: row[1] for row in rows})
    addresses = kernel.addresses()
    return [_card(row, names, addresses.get(row[0], ())) for row in rows]


def interface(name_or_index: str | bytes | int) -> Interface:
    """One network card, by its name, by one of its further names, or by its index.

    Raises OSError (ENODEV) if there is none.

    Example:
        >>> import netfast as nf
        >>> nf.interface(1).name, nf.interface("lo").stats.rx_errors
        ('lo', 0)
    """
    return _completed(found(name_or_index))


def _completed(row: list[Any]) -> Interface:
    """The card of a row, with what else the kernel must be asked for."""
    kernel = netlink()
    is_here = row[_LINK_NETNSID] is None
    around = [kernel.link(index) for index in (row[_MASTER], row[_LINK] if is_here else 0) if index]
    names = _Names({other[0]: other[1] for other in around if other})
    return _card(row, names, kernel.addresses(row[0]).get(row[0], ()))


def found(name_or_index: Any) -> Any:
    """The border's row of the card that is meant; OSError (ENODEV) if there is none."""
    if isinstance(name_or_index, (str, bytes)):
        name = nic_changes.raw_name(name_or_index)
        # The kernel would read a name up to its first NUL, and 127 bytes are the most that one may have.
        row = netlink().link(0, name) if name and b"\0" not in name and len(name) < 128 else None
        what = f"no network card {os.fsdecode(name_or_index)!r}"
    elif isinstance(name_or_index, SupportsIndex) and not isinstance(name_or_index, bool):
        index = operator.index(name_or_index)
        row = netlink().link(index) if 0 < index < 2**31 else None
        what = f"no network card with index {index}"
    else:
        raise TypeError(f"a network card is a name or an index, not {type(name_or_index).__name__}")
    if row is None:
        raise OSError(errno.ENODEV, what)
    return row


def ifconfig(name: str | bytes | int | None = None, *, all: bool = False) -> str:
    """What ifconfig(8) prints of the cards that are up, of all of them, or of one; no newline at the end.

    Every address is printed: ifconfig leaves out all but the first of those that have the same label.

    Example:
        >>> import netfast as nf
        >>> print(nf.ifconfig("lo").splitlines()[1])
                inet 127.0.0.1  netmask 255.0.0.0
    """
    from .nic_text import card_text

    cards = [interface(name)] if name is not None else [card for card in interfaces() if all or card.admin_up]
    return "\n\n".join(map(card_text, cards))


def set_interface(
    name: str | bytes | int,
    *,
    up: bool | None = None,
    mtu: int | None = None,
    hwaddr: str | None = None,
    new_name: str | bytes | None = None,
) -> Interface:
    """Sets a network card up or down, its MTU in bytes, its hardware address, its name; returns the card afterwards.

    Everything is checked before anything is changed: TypeError, ValueError; an unknown card is OSError (ENODEV).  Then
    it goes down if it shall, its address, MTU and name are changed, and it goes up if it shall; what is so already is
    left alone.  Where the kernel refuses, the OSError has its errno, and says what was changed before.  Without
    privilege that is a PermissionError: this needs CAP_NET_ADMIN.

    Example:
        >>> import netfast as nf
        >>> nf.set_interface("lo", mtu=0)
        Traceback (most recent call last):
        ...
        ValueError: mtu=0: wanted 1 to 2,147,483,647
        >>> nf.set_interface("lo", up=True).admin_up  # it is already
        True
    """
    wanted = nic_changes.checked_changes(up, mtu, hwaddr, new_name)
    row = found(name)
    nic_changes.apply(nic_changes.steps(row, wanted), row[1])
    after = netlink().link(row[0])
    if after is None:
        raise OSError(errno.ENODEV, f"no network card {row[1]!r} any more")
    return _completed(after)


def add_address(
    name: str | bytes | int,
    address: str | ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    *,
    peer: str | None = None,
    broadcast: str | bool | None = None,
    label: str | None = None,
    scope: str | int | None = None,
    valid_lft: int | None = None,
    preferred_lft: int | None = None,
    noprefixroute: bool = False,
) -> None:
    """Gives a network card an address, with its prefix length: "10.0.0.1/24".

    peer: the address at the other end of a point-to-point link; the prefix length is then the peer's.
    broadcast: of IPv4, an address, or True for the last of the network; None sets none.
    label: of IPv4, such as "eth0:1"; the card's name, and perhaps more, in 15 bytes at most.
    scope: "global", "site", "link", "host" or a number; by default "host" for 127.0.0.0/8, else "global".  IPv6 has it
        from the address.
    valid_lft, preferred_lft: seconds until it goes, and until it is used for nothing new; None for never.
    noprefixroute: adds no route to the network.

    Everything is checked before anything is changed: TypeError, ValueError; an unknown card is OSError (ENODEV).  An
    address that is there already is a FileExistsError; without privilege it is a PermissionError: this needs
    CAP_NET_ADMIN.

    Example:
        >>> import netfast as nf
        >>> nf.add_address("lo", "127.0.0.2")
        Traceback (most recent call last):
        ...
        ValueError: address '127.0.0.2' has no prefix length; wanted one such as '127.0.0.2/24'
    """
    wanted = nic_changes.checked_address(address, peer, broadcast, scope, valid_lft, preferred_lft, noprefixroute)
    row = found(name)
    nic_changes.change_address(True, row, wanted, nic_changes.checked_label(label, wanted, row[1]))


def del_address(
    name: str | bytes | int,
    address: str | ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    *,
    peer: str | None = None,
    label: str | None = None,
) -> None:
    """Takes an address off a network card; prefix length and peer must be those it has.

    An address that is not there is OSError (EADDRNOTAVAIL); all else is as for `add_address`.  With the first address
    of an IPv4 network the kernel takes off its secondary ones, too, unless net.ipv4.conf.*.promote_secondaries is set.

    Example:
        >>> import netfast as nf
        >>> nf.del_address("lo", "127.0.0.1/33")
        Traceback (most recent call last):
        ...
        ValueError: address '127.0.0.1/33': the prefix length is above 32
    """
    wanted = nic_changes.checked_address(address, peer)
    row = found(name)
    raw_label = nic_changes.checked_label(label, wanted, row[1])
    nic_changes.check_there(row, wanted, raw_label)
    nic_changes.change_address(False, row, wanted, raw_label)


# ---- what the kernel says, in words


def _card(row: list[Any], names: _Names, addresses: Iterable[list[Any]]) -> Interface:
    """A card of the border's row, in which words take the place of numbers.  names: of the cards around it."""
    row[_FLAGS] = _flags(row[_FLAGS])
    row[_OPERSTATE] = _OPERSTATES[row[_OPERSTATE]]
    row[_TYPE] = _TYPES[row[_TYPE]]
    row[_DETAILS] = _details(row[_KIND], row[_DETAILS]) if row[_DETAILS] else {}
    row[_MASTER] = names[row[_MASTER]]
    row[_LINK] = names[row[_LINK]] if row[_LINK_NETNSID] is None else _Names()[row[_LINK]]
    if row[_ADDRGENMODE] is not None:
        row[_ADDRGENMODE] = _ADDRGENMODES[row[_ADDRGENMODE]]
    row[_STATS] = _made(LinkStats, row[_STATS])
    row[_ADDRESSES] = tuple(map(_address, addresses))
    card: Interface = _made(Interface, row)
    return card


def _details(kind: str, data: bytes) -> dict[str, object]:
    from .nic_details import decoded

    return decoded(kind, data)


def _address(row: list[Any]) -> InterfaceAddress:
    """An address of the border's row, as above."""
    row[_SCOPE] = _SCOPES[row[_SCOPE]]
    row[_ADDRESS_FLAGS] = _flag_names(row[0], row[_ADDRESS_FLAGS])
    address: InterfaceAddress = _made(InterfaceAddress, row)
    return address


@functools.cache
def _flag_names(family: int, flags: int) -> tuple[str, ...]:
    names = [name for bit, name in enumerate(_FLAG_NAMES) if flags >> bit & 1]
    # The lowest bit has two names: IFA_F_SECONDARY, and IFA_F_TEMPORARY for IPv6 (RFC 8981).
    return tuple("temporary" if name == "secondary" and family == socket.AF_INET6 else name for name in names)
