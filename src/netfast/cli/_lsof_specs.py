"""What lsof's options -i and -s ask for."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ._sockets import ends, unmapped

if TYPE_CHECKING:
    from ..netstat_table import Connection


class Spec(NamedTuple):
    """What an -i asks for; None: any."""

    family: socket.AddressFamily | None = None
    protocol: str | None = None
    addresses: frozenset[str] | None = None
    ports: Sequence[range] | None = None

    def holds(self, connection: Connection) -> bool:
        if self.protocol not in (None, connection.protocol):
            return False
        if self.addresses is None and self.ports is None:
            return self.family in (None, connection.family)
        return any(self._has(address, port) for address, port in ends(connection) if port)

    def _has(self, address: str, port: int) -> bool:
        return (
            self.family in (None, _family_of(address))
            and (self.addresses is None or address.partition("%")[0] in self.addresses)
            and (self.ports is None or any(port in ports for ports in self.ports))
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


def spec(text: str) -> Spec:
    """An option's type: `6`, `tcp:80`, `4udp@192.0.2.1:1-1023,ntp`, `@[2001:db8::1]`, `@localhost`."""
    parts = _PARTS.fullmatch(text)
    if not parts:
        raise _wrong("unacceptable Internet address", text)
    version, protocol, host, ports = parts.groups()
    family = _FAMILIES.get(version)
    if protocol.lower() not in ("", "tcp", "udp") or not text:
        raise _wrong(f"unknown protocol {protocol!r}", text)
    protocol = protocol.lower() or None
    return Spec(
        family,
        protocol,
        None if host is None else _addresses(host, family, text),
        None if ports is None else [_range(item, protocol, text) for item in ports.split(",")],
    )


def _wrong(what: str, text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{what} in {text!r}")


def _addresses(host: str, family: socket.AddressFamily | None, text: str) -> frozenset[str]:
    """The addresses of a host, as rows have them."""
    in_brackets = host.startswith("[")
    address = _canonical(socket.AF_INET6, host[1:-1]) if in_brackets else _canonical(socket.AF_INET, host)
    if address is None:
        if in_brackets or not host:
            raise _wrong("unacceptable Internet address", text)
        return _looked_up(host, family, text)
    if family not in (None, _family_of(address)):
        raise _wrong(f"IPv{6 if family == socket.AF_INET else 4} address", text)
    return frozenset([address])


def _family_of(address: str) -> socket.AddressFamily:
    """IPv4 for what `unmapped` has made IPv4."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _canonical(family: socket.AddressFamily, address: str) -> str | None:
    try:
        return unmapped(socket.inet_ntop(family, socket.inet_pton(family, address)))
    except (OSError, ValueError):
        return None


def _looked_up(host: str, family: socket.AddressFamily | None, text: str) -> frozenset[str]:
    try:
        found = socket.getaddrinfo(host, None, family or 0, socket.SOCK_STREAM)
    except (OSError, ValueError):  # also what no name can be, such as one of 64 letters
        raise _wrong(f"unknown host {host!r}", text) from None
    return frozenset(unmapped(str(address[0])).partition("%")[0] for *_, address in found)


def _range(item: str, protocol: str | None, text: str) -> range:
    """80, 1-1023, smtp, 1-smtp.  No range begins with a name: there may be "-" in names."""
    parts = re.fullmatch(r"(?:([0-9]{1,9})-)?(.+)", item, re.DOTALL)
    if not parts:
        raise _wrong("unacceptable port", text)
    begin, end = parts.groups()
    high = int(end) if re.fullmatch("[0-9]{1,9}", end) else _service(end, protocol, text)
    low = high if begin is None else int(begin)
    if not low <= high <= 65535:
        raise _wrong("unacceptable port", text)
    return range(low, high + 1)


def _service(name: str, protocol: str | None, text: str) -> int:
    from ..ports import service_port

    found = {each: service_port(name, each) for each in ([protocol] if protocol else ["tcp", "udp"])}
    ports = {port for port in found.values() if port is not None}
    if not ports:
        raise _wrong(f"unknown {f'{protocol} ' if protocol else ''}service {name!r}", text)
    if len(ports) > 1:
        raise _wrong(f"{name!r} is tcp:{found['tcp']} and udp:{found['udp']}, say which", text)
    return ports.pop()
