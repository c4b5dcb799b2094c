"""Changes of network cards: what is asked, checked before anything is sent, and what the kernel makes of it."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import _core
from .checks import checked_flag, checked_int
from .errors import AddressError
from .linux import netlink
from .nic_rows import Interface, InterfaceAddress, InterfaceFlags

_NAME_MAX = 15  # bytes, IFNAMSIZ of linux/if.h less the NUL
_NO_NAMES = (b".", b"..", b"all", b"default")
_NOT_IN_NAMES = b"/:%\0 \t\n\v\f\r\xa0"  # the last is white space to the kernel, whatever the encoding
_LIFETIME_MAX = 2**32 - 2  # seconds; one more means for ever (linux/if_addr.h)
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}  # RT_SCOPE_*, linux/rtnetlink.h
_NOPREFIXROUTE = 0x200  # IFA_F_NOPREFIXROUTE, linux/if_addr.h
_HWADDR_TEXT = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2})*)?")

# Places in the border's row of a card.
_INDEX, _NAME, _FLAGS, _MTU, _MIN_MTU, _MAX_MTU, _TYPE, _HWADDR = map(
    Interface._fields.index, ("index", "name", "flags", "mtu", "min_mtu", "max_mtu", "type", "hwaddr")
)
_ETHER = 1  # ARPHRD_ETHER, linux/if_arp.h


# ---- of a card


class Changes(NamedTuple):
    """What is asked of a card; None is not."""

    up: bool | None
    mtu: int | None
    hwaddr: bytes | None
    new_name: bytes | None


class Step(NamedTuple):
    """One change, in words before and after, and the call that makes it."""

    doing: str
    done: str
    call: Callable[[], tuple[int, str]]


def checked_changes(up: Any, mtu: Any, hwaddr: Any, new_name: Any) -> Changes:
    """What can be checked without the card."""
    changes = Changes(
        None if up is None else checked_flag("up", up),
        None if mtu is None else checked_int("mtu", mtu, 1, 2**31 - 1),
        _hwaddr(hwaddr),
        _new_name(new_name),
    )
    if changes == (None,) * len(changes):
        raise ValueError("nothing to change: wanted up, mtu, hwaddr or new_name")
    return changes


def _check_text(what: str, value: Any, example: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}; wanted text such as {example!r}")


def _hwaddr(text: Any) -> bytes | None:
    if text is None:
        return None
    _check_text("hwaddr", text, "02:00:00:00:00:01")
    if not _HWADDR_TEXT.fullmatch(text):
        raise ValueError(f"hwaddr {text!r}: wanted pairs of hexadecimal digits, such as '02:00:00:00:00:01'")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def _new_name(name: Any) -> bytes | None:
    """As the kernel will take it: dev_valid_name of net/core/dev.c; "%d" is a number of its own choice there, and below
    /proc/sys/net "all" and "default" are no cards."""
    if name is None:
        return None
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"new_name is {type(name).__name__}; wanted str or bytes")
    raw = raw_name(name)
    if raw is None or not 1 <= len(raw) <= _NAME_MAX:
        raise ValueError(f"new_name {name!r}: wanted 1 to {_NAME_MAX} bytes")
    if raw in _NO_NAMES or any(byte in _NOT_IN_NAMES for byte in raw):
        rule = "it may not be '.', '..', 'all' or 'default', nor hold '/', ':', '%', NUL or white space"
        raise ValueError(f"new_name {name!r}: {rule}")
    return raw


def raw_name(name: str | bytes) -> bytes | None:
    """The bytes of a card's name; None if it is none that can be written."""
    try:
        return bytes(os.fsencode(name))  # of a subclass, too
    except UnicodeEncodeError:
        return None


def steps(row: list[Any], wanted: Changes) -> list[Step]:
    """The changes that are left to be made, in order; ValueError for what this card cannot have."""
    _check_for(row, wanted)
    kernel, index, is_up = netlink(), row[_INDEX], bool(row[_FLAGS] & InterfaceFlags.UP)
    made = []
    if wanted.up is False and is_up:
        made.append(Step("setting it down", "it was set down", lambda: kernel.set_up(index, False)))
    if wanted.hwaddr is not None and (text := wanted.hwaddr.hex(":")) != row[_HWADDR]:
        made.append(_step("hardware address", text, lambda: kernel.set_hwaddr(index, wanted.hwaddr)))
    if wanted.mtu is not None and wanted.mtu != row[_MTU]:
        made.append(_step("MTU", str(wanted.mtu), lambda: kernel.set_mtu(index, wanted.mtu)))
    if wanted.new_name is not None and wanted.new_name != os.fsencode(row[_NAME]):
        text = repr(os.fsdecode(wanted.new_name))
        made.append(_step("name", text, lambda: kernel.set_name(index, wanted.new_name)))
    if wanted.up and not is_up:
        made.append(Step("setting it up", "it was set up", lambda: kernel.set_up(index, True)))
    return made


def _step(what: str, value: str, call: Callable[[], tuple[int, str]]) -> Step:
    return Step(f"changing its {what} to {value}", f"its {what} was changed to {value}", call)


def _check_for(row: list[Any], wanted: Changes) -> None:
    name, least, most, hwaddr = row[_NAME], row[_MIN_MTU], row[_MAX_MTU], row[_HWADDR]
    if wanted.mtu is not None and not least <= wanted.mtu <= (most or 2**31 - 1):
        raise ValueError(f"mtu={wanted.mtu}: the MTU of {name} may be {least} to {most or 2**31 - 1} bytes")
    if wanted.hwaddr is None:
        return
    text = wanted.hwaddr.hex(":")
    if hwaddr is None or len(text) != len(hwaddr):
        raise ValueError(f"hwaddr '{text}' has another size than that of {name}, {hwaddr or 'which has none'}")
    if row[_TYPE] == _ETHER and (wanted.hwaddr[0] & 1 or not any(wanted.hwaddr)):
        raise ValueError(f"hwaddr '{text}': a card's own address is no multicast address and not all zeros")


def apply(steps: Sequence[Step], name: str) -> None:
    """Makes one change after the other; the error of one that fails says what was changed before."""
    done: list[str] = []
    for step in steps:
        error, why = step.call()
        if error:
            raise _refused(error, f"{name}: {step.doing}", why, f" ({' and '.join(done)} before)" if done else "")
        done.append(step.done)


def _refused(error: int, doing: str, why: str, before: str = "") -> OSError:
    if error == errno.EPERM:
        return PermissionError(error, f"{doing} needs CAP_NET_ADMIN, which this process does not have{before}")
    return OSError(error, f"{doing} failed: {why}{before}")


# ---- of an address


class Address(NamedTuple):
    """An address to add or to take off, as the border takes it."""

    text: str
    local: bytes
    prefixlen: int
    peer: bytes | None
    broadcast: bytes | None
    scope: int
    flags: int
    valid: int | None
    preferred: int | None


def checked_address(
    address: Any,
    peer: Any,
    broadcast: Any = None,
    scope: Any = None,
    valid_lft: Any = None,
    preferred_lft: Any = None,
    noprefixroute: Any = False,
) -> Address:
    text, local, prefixlen = _with_prefixlen(address)
    far = None if peer is None else _ip("peer", peer)
    if far is not None and len(far) != len(local):
        raise ValueError(f"peer {peer!r} is of another family than {text}")
    valid, preferred = _lifetimes(valid_lft, preferred_lft)
    return Address(
        text=text,
        local=local,
        prefixlen=prefixlen,
        peer=None if far == local else far,  # the kernel keeps none then
        broadcast=_broadcast(broadcast, text, far or local, prefixlen),
        scope=_scope(scope, local),
        flags=_NOPREFIXROUTE if checked_flag("noprefixroute", noprefixroute) else 0,
        valid=valid,
        preferred=preferred,
    )


def _with_prefixlen(address: Any) -> tuple[str, bytes, int]:
    if isinstance(address, (ipaddress.IPv4Interface, ipaddress.IPv6Interface)):
        address = str(address)
    if not isinstance(address, str):
        what = "text such as '10.0.0.1/24' or an ipaddress.IPv4Interface or IPv6Interface"
        raise TypeError(f"address is {type(address).__name__}; wanted {what}")
    ip, slash, digits = address.partition("/")
    local = _ip("address", ip)
    if not slash:
        raise ValueError(f"address {address!r} has no prefix length; wanted one such as '{ip}/{6 * len(local)}'")
    if not re.fullmatch("[0-9]{1,3}", digits):
        raise ValueError(f"address {address!r}: the prefix length {digits!r} is no number of bits")
    if int(digits) > 8 * len(local):
        raise ValueError(f"address {address!r}: the prefix length is above {8 * len(local)}")
    return address, local, int(digits)


def _ip(what: str, text: Any) -> bytes:
    """4 or 16 bytes."""
    if isinstance(text, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        text = str(text)
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}; wanted an address as text")
    try:
        version, value, zone = _core.parse_one(text)
    except AddressError as error:
        raise ValueError(f"{what}: {error}") from None
    if zone is not None:
        raise ValueError(f"{what} {text!r}: the card is named beside it, so no zone is wanted")
    return value.to_bytes(4 if version == 4 else 16, "big")


def _broadcast(broadcast: Any, text: str, network: bytes, prefixlen: int) -> bytes | None:
    """network: an address of it, which is the peer's where there is one."""
    if broadcast is None or broadcast is False:
        return None
    if len(network) != 4:
        raise ValueError(f"broadcast={broadcast!r}: IPv6, as in {text}, has none")
    if broadcast is not True:
        made = _ip("broadcast", broadcast)
        if len(made) != 4:
            raise ValueError(f"broadcast {broadcast!r} is no IPv4 address")
        return made
    if prefixlen > 30:
        raise ValueError(f"broadcast=True: the network of {text} has no broadcast address (RFC 3021)")
    return (int.from_bytes(network, "big") | (1 << 32 - prefixlen) - 1).to_bytes(4, "big")


def _scope(scope: Any, local: bytes) -> int:
    if scope is None:  # as ip(8): an address of 127.0.0.0/8 is this host's own; IPv6's follows from the address
        return _SCOPES["host"] if len(local) == 4 and local[0] == 127 else _SCOPES["global"]
    if isinstance(scope, str):
        if scope not in _SCOPES:
            raise ValueError(f"scope {scope!r}: wanted one of {', '.join(_SCOPES)}, or a number")
        return _SCOPES[scope]
    return checked_int("scope", scope, 0, 255)


def _lifetimes(valid: Any, preferred: Any) -> tuple[int | None, int | None]:
    valid, preferred = _lifetime("valid_lft", valid, 1), _lifetime("preferred_lft", preferred, 0)
    if valid is not None and preferred is not None and preferred > valid:
        raise ValueError(f"preferred_lft={preferred} is more than valid_lft={valid}")
    return valid, valid if preferred is None else preferred


def _lifetime(what: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    return checked_int(what, value, least, _LIFETIME_MAX, wanted="seconds, or None for ever")


def checked_label(label: str | None, wanted: Address, name: str) -> bytes | None:
    if label is None:
        return None
    _check_text("label", label, f"{name}:1")
    raw = raw_name(label) or b""
    if len(wanted.local) != 4:
        raise ValueError(f"label {label!r}: IPv6, as in {wanted.text}, has none")
    if not raw.startswith(os.fsencode(name)) or b"\0" in raw or len(raw) > _NAME_MAX:
        raise ValueError(f"label {label!r}: wanted {name!r}, and perhaps more, in at most {_NAME_MAX} bytes")
    return raw


def check_there(row: list[Any], wanted: Address, label: bytes | None) -> None:
    """OSError (EADDRNOTAVAIL) unless the card has exactly this address: the kernel takes off another of its network."""
    ip, peer = _text_of(wanted.local), None if wanted.peer is None else _text_of(wanted.peer)
    name = None if label is None else os.fsdecode(label)
    for there in map(InterfaceAddress._make, netlink().addresses(row[_INDEX]).get(row[_INDEX], ())):
        if (there.ip, there.prefixlen, there.peer) == (ip, wanted.prefixlen, peer) and name in (None, there.label):
            return
    what = wanted.text + (f" with the peer {peer}" if peer else "") + (f" and the label {name!r}" if name else "")
    raise OSError(errno.EADDRNOTAVAIL, f"{row[_NAME]} has no address {what}")


def _text_of(packed: bytes) -> str:
    return _core.format_one(4 if len(packed) == 4 else 6, int.from_bytes(packed, "big"))


def change_address(add: bool, row: list[Any], wanted: Address, label: bytes | None) -> None:
    error, why = netlink().change_address(
        add,
        row[_INDEX],
        wanted.local,
        wanted.prefixlen,
        peer=wanted.peer,
        broadcast=wanted.broadcast,
        label=label,
        scope=wanted.scope,
        flags=wanted.flags,
        valid=wanted.valid,
        preferred=wanted.preferred,
    )
    if error:
        doing = f"adding {wanted.text}" if add else f"taking off {wanted.text}"
        raise _refused(error, f"{row[_NAME]}: {doing}", why)
