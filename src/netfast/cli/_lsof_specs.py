"""What lsof's options -i and -s ask for."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ._sockets import ends, unmapped

if TYPE_CHECKING:
    from ..netstat_table import Connection


class Spec(NamedTuple):
    """What an -i asks for; None: any."""

    family: socket.AddressFamily | None = None
    protocol: str | None = None
    addresses: frozenset[str] | None = None
    ports: Mapping[str, Sequence[range]] | None = None  # by protocol, for a name may have other ports in each

    def holds(self, connection: Connection) -> bool:
        if self.protocol not in (None, connection.protocol):
            return False
        if self.addresses is None and self.ports is None:
            return self.family in (None, connection.family)
        return any(self._has(address, port, connection.protocol) for address, port in ends(connection) if port)

    def _has(self, address: str, port: int, protocol: str) -> bool:
        return (
            self.family in (None, _family_of(address))
            and (self.addresses is None or not self.addresses.isdisjoint((address, address.partition("%")[0])))
            and (self.ports is None or any(port in ports for ports in self.ports[protocol]))
        )


class States(NamedTuple):
    """What an -s asks for."""

    names: frozenset[str]
    wanted: bool

    def holds(self, connection: Connection) -> bool:
        # Of UDP, the kernel tells of TCP's states, and so does lsof(8).
        return (connection.state in self.names) is self.wanted


def states(text: str) -> list[States]:
    """An option's type: `TCP:LISTEN`, `TCP:^CLOSE_WAIT,^TIME_WAIT`."""
    from ..netstat_table import STATES

    known = STATES[1:]
    protocol, _, listed = text.partition(":")
    if protocol.lower() != "tcp":
        raise argparse.ArgumentTypeError(f"{text!r} is no state of TCP (wanted one such as TCP:LISTEN)")
    names = listed.upper().split(",")
    for name in names:
        if name.removeprefix("^") not in known:
            raise argparse.ArgumentTypeError(f"unknown state in {text!r} (there are {', '.join(known)})")
    wanted = States(frozenset(name for name in names if not name.startswith("^")), True)
    unwanted = States(frozenset(name[1:] for name in names if name.startswith("^")), False)
    return [group for group in (wanted, unwanted) if group.names]


# --- [46][protocol][@host][:ports] -----------------------------------------------------------------------------------

_PARTS = re.compile(r"([46])?([^@:]*)(?:@(\[[^]]*\]|[^:]*))?(?::(.*))?", re.DOTALL)
_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
_TRANSPORTS = ("tcp", "udp")
_LINK_LOCAL = re.compile("fe[89ab]")  # fe80::/10, RFC 4291 section 2.5.6


def spec(text: str) -> Spec:
    """An option's type: `6`, `tcp:80`, `4udp@192.0.2.1:1-1023,ntp`, `@[fe80::1%eth0]`, `@localhost`."""
    where = text.partition("@")[2]
    if _canonical(socket.AF_INET6, where) or _canonical(socket.AF_INET6, where.rpartition(":")[0]):
        raise _wrong("IPv6 address without brackets around it", text)
    parts = _PARTS.fullmatch(text)
    if not parts:
        raise _wrong("unacceptable Internet address", text)
    version, protocol, host, ports = parts.groups()
    family = _FAMILIES.get(version)
    if protocol.lower() not in ("", *_TRANSPORTS) or not text:
        raise _wrong(f"unknown protocol {protocol!r}", text)
    protocol = protocol.lower() or None
    return Spec(
        family,
        protocol,
        None if host is None else _addresses(host, family, text),
        None if ports is None else _ports(ports, protocol, text),
    )


def _wrong(what: str, text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{what} in {text!r}")


def _addresses(host: str, family: socket.AddressFamily | None, text: str) -> frozenset[str]:
    """The addresses of a host, as rows have them."""
    in_brackets = host.startswith("[")
    found = _canonical(socket.AF_INET6, host[1:-1]) if in_brackets else _canonical(socket.AF_INET, host)
    if found is None and (in_brackets or not host):
        raise _wrong("unacceptable Internet address", text)
    addresses = _looked_up(host, text) if found is None else [found]
    of_family = frozenset(address for address in addresses if family in (None, _family_of(address)))
    if not of_family:
        if found is None:
            raise _wrong(f"{host!r} has no IPv{4 if family == socket.AF_INET else 6} address", text)
        raise _wrong(f"IPv{6 if family == socket.AF_INET else 4} address", text)
    return of_family


def _family_of(address: str) -> socket.AddressFamily:
    """IPv4 for what `unmapped` has made IPv4."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _canonical(family: socket.AddressFamily, text: str) -> str | None:
    """An address as rows have it; None if it is none.  A link-local one may have its zone."""
    address, percent, zone = text.partition("%")
    try:
        canonical = unmapped(socket.inet_ntop(family, socket.inet_pton(family, address)))
    except (OSError, ValueError):
        return None
    if not percent:
        return canonical
    return f"{canonical}%{_card(zone)}" if zone and _LINK_LOCAL.match(canonical) else None


def _card(zone: str) -> str:
    """Its name, which may be asked for by its index."""
    try:
        return socket.if_indextoname(int(zone)) if re.fullmatch("[0-9]{1,9}", zone) else zone
    except OSError:
        return zone


def _looked_up(host: str, text: str) -> list[str]:
    from ..port_hosts import addresses_of

    try:
        found = addresses_of(host)
    except (OSError, ValueError):
        raise _wrong(f"unknown host {host!r}", text) from None
    return [unmapped(address.text).partition("%")[0] for address in found]


def _ports(listed: str, protocol: str | None, text: str) -> dict[str, list[range]]:
    found: dict[str, list[range]] = {each: [] for each in ([protocol] if protocol else _TRANSPORTS)}
    for item in listed.split(","):
        for each, ranges in _ranges(item, list(found), text).items():
            found[each] += ranges
    return found


def _ranges(item: str, protocols: Sequence[str], text: str) -> dict[str, list[range]]:
    """80, 1-1023, smtp, 1-smtp.  No range begins with a name: there may be "-" in names."""
    parts = re.fullmatch(r"(?:([0-9]{1,9})-)?(.+)", item, re.DOTALL)
    if not parts:
        raise _wrong("unacceptable port", text)
    begin, end = parts.groups()
    if re.fullmatch("[0-9]{1,9}", end):
        found = {each: [range(int(end), int(end) + 1)] for each in protocols}
    else:
        found = _service(end, protocols, text)
    if begin is not None:
        found = {each: [range(int(begin), ranges[0].stop)] for each, ranges in found.items()}
    if not all(0 <= ports.start < ports.stop <= 65536 for ranges in found.values() for ports in ranges):
        raise _wrong("unacceptable port", text)
    return found


def _service(name: str, protocols: Sequence[str], text: str) -> dict[str, list[range]]:
    """All the ports that a name is registered for."""
    from ..registry.services import services

    named = {each: services().ports_of[each].get(name.lower()) for each in protocols}
    found = {each: ranges for each, ranges in named.items() if ranges}
    if not found:
        of = f"{protocols[0]} " if len(protocols) == 1 else ""
        raise _wrong(f"unknown {of}service {name!r}", text)
    return found
