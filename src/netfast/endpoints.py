"""Where to bind or to connect: "host:port" and its other forms as socket addresses, and those as text again.

Hosts are read as everywhere in netfast: an address is strict text, anything else is a name that is looked up in a
thread of its own, so that Ctrl-C and a timeout need not wait for the resolver.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from typing import Any, NamedTuple

from . import _core
from .checks import PORT_MAX, as_int, checked_port
from .errors import AddressError
from .ping_errors import PingError
from .ping_hosts import _IP4, _Found, _literal, look_up, resolve_all

_FORMS = '"host:port", (host, port) or a port'
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_VERSIONS: dict[int | None, int | None] = {socket.AF_UNSPEC: None, socket.AF_INET: 4, socket.AF_INET6: 6}


class Endpoint(NamedTuple):
    """A host and a port as somebody has written them; None for no host."""

    host: str | None
    port: int

    def __str__(self) -> str:
        return joined(self.host or "", self.port)


class Place(NamedTuple):
    """An address as sockets take it."""

    family: int
    address: tuple[Any, ...]

    def __str__(self) -> str:
        host, port, *more = self.address
        zone = f"%{more[1]}" if more and more[1] and "%" not in host else ""
        return joined(f"{host}{zone}", port)

    def error(self, error: OSError) -> OSError:
        """The same error with the address in front."""
        number = error.errno or errno.EINVAL
        text = error.strerror or str(error)
        if number == errno.EINVAL and self.address[0].startswith("fe80:") and not self.address[3]:
            text = "a link-local address wants its zone, as in fe80::1%eth0"
        return OSError(number, f"{self}: {text}")


def joined(host: str, port: int) -> str:
    """Host and port as one text; an address of IPv6 is in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- from what is given ----------------------------------------------------------------------------------------------


def read_endpoint(address: Any, name: str = "address", *, least: int = 0) -> Endpoint:
    """An endpoint of any form; TypeError or ValueError with the argument's name.

    Forms: "host:port", "[IPv6]:port", ":port" and "port"; (host, port), or what getsockname of IPv6 gives; a port.
    least: 0 if the kernel may choose the port, 1 if not.
    """
    if isinstance(address, str):
        return _of_text(address, name, least)
    if isinstance(address, (tuple, list)) and 2 <= len(address) <= 4:
        return _of_tuple(address, name, least)
    if as_int(address) is None:
        raise TypeError(f"{name} is {type(address).__name__}; wanted {_FORMS}")
    return Endpoint(None, checked_port(name, address, least=least))


def _of_text(text: str, name: str, least: int) -> Endpoint:
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]") and ":" in host:
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{name}={text!r}: an address of IPv6 wants brackets and a port, as in [::1]:80")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"{name}={text!r}: there is no port; wanted host:port" + ("" if colon else " or a port"))
    if len(digits) > 20 or not least <= int(digits) <= PORT_MAX:
        raise ValueError(f"{name}={text!r}: wanted a port of {least} to {PORT_MAX}")
    return Endpoint(host or None, int(digits))


def _of_tuple(parts: Any, name: str, least: int) -> Endpoint:
    host = parts[0]
    if type(host).__module__ == "ipaddress":
        host = str(host)
    if host is not None and not isinstance(host, str):
        raise TypeError(f"{name}[0] is {type(host).__name__}; wanted a name or an address as str")
    scope = checked_scope(f"{name}[3]", parts[3]) if len(parts) == 4 else 0
    if host and scope and "%" not in host:
        host = f"{host}%{scope}"
    return Endpoint(host or None, checked_port(f"{name}[1]", parts[1], least=least))


def checked_scope(name: str, scope: Any) -> int:
    number = as_int(scope)
    if number is None:
        raise TypeError(f"{name} is {type(scope).__name__}; wanted the index of an interface")
    if not 0 <= number <= 0xFFFF_FFFF:
        raise ValueError(f"{name}={number}: wanted the index of an interface")
    return number


def read_family(family: Any) -> int:
    """AF_INET, AF_INET6, or AF_UNSPEC for None."""
    if family is None:
        return socket.AF_UNSPEC
    found = _FAMILIES.get(family) if isinstance(family, str) else as_int(family)
    if found is None or found not in _VERSIONS or found == socket.AF_UNSPEC:
        raise ValueError(f'family={family!r}: wanted "inet", "inet6", socket.AF_INET or socket.AF_INET6')
    return found


# --- to where it is --------------------------------------------------------------------------------------------------


def places_to_bind(endpoint: Endpoint, kind: int, family: int = socket.AF_UNSPEC) -> list[Place]:
    """Where to bind: without a host every address of IPv6, which serves IPv4 too, and where there is none, of IPv4."""
    return _places(endpoint, kind, family, None, ("::", "0.0.0.0"))


def places_to_reach(
    endpoint: Endpoint, kind: int, family: int = socket.AF_UNSPEC, timeout: float | None = None
) -> list[Place]:
    """Where to connect: without a host this machine; TimeoutError if a name is not looked up in so many seconds."""
    return _places(endpoint, kind, family, timeout, ("::1", "127.0.0.1"))


def _places(
    endpoint: Endpoint, kind: int, family: int, timeout: float | None, without_host: tuple[str, str]
) -> list[Place]:
    """The places in the order in which they are to be tried; socket.gaierror if the host has no address."""
    port = endpoint.port
    if endpoint.host is None:
        both = [
            Place(socket.AF_INET6, (without_host[0], port, 0, 0)),
            Place(socket.AF_INET, (without_host[1], port)),
        ]
        return [place for place in both if family in (socket.AF_UNSPEC, place.family)]
    found = _addresses(endpoint.host, kind, _VERSIONS[family], timeout)
    if isinstance(found, PingError):
        raise socket.gaierror(found.errno or socket.EAI_NONAME, f"{endpoint}: {found.text}")
    return [_place(one, port) for one in found]


def _addresses(host: str, kind: int, version: int | None, timeout: float | None) -> list[_Found] | PingError:
    try:
        found_version, value, zone = _core.parse_one(host)
    except AddressError:
        return look_up([host], partial(resolve_all, family=version, kind=kind), timeout)[host]
    packed = (value | 0xFFFF_0000_0000 if found_version == 4 else value).to_bytes(16, "big")
    found = _literal(host, packed, zone, found_version, version)
    return found if isinstance(found, PingError) else [found]


def _place(found: _Found, port: int) -> Place:
    host = found.text.partition("%")[0]
    if found.packed.startswith(_IP4):
        return Place(socket.AF_INET, (host, port))
    return Place(socket.AF_INET6, (host, port, 0, found.scope))


# --- Unix ------------------------------------------------------------------------------------------------------------

_UNIX_MAX = 107  # bytes of a path or an abstract name, for sun_path holds 108 with the NUL: unix(7)


def read_path(path: Any, name: str = "path", *, least: int = 0) -> bytes:
    """A path as sockets take it: that of a file, or b"\\0name" for "@name"; b"" for "@", a name of the kernel's choice.

    OSError (ENAMETOOLONG) if it is too long, TypeError or ValueError if it is none.
    least: 0 if the kernel may choose an abstract name, 1 if there must be one behind "@".
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} is {type(path).__name__}; wanted a path, or @name")
    encoded = os.fsencode(path)
    if not encoded:
        raise ValueError(f"{name} is empty; wanted a path, or @name")
    if encoded[:1] in (b"@", b"\0") and not isinstance(path, os.PathLike):
        if len(encoded) <= least:
            raise ValueError(f"{name}={path!r}: there is no name behind @")
        encoded = b"\0" + encoded[1:] if len(encoded) > 1 else b""
    elif b"\0" in encoded:
        raise ValueError(f"{name}={path!r}: a path cannot hold a NUL")
    size = len(encoded) - encoded.startswith(b"\0")
    if size > _UNIX_MAX:
        what = f"{size} bytes, and a Unix socket has at most {_UNIX_MAX}"
        raise OSError(errno.ENAMETOOLONG, f"{path_text(encoded)}: {what}")
    return encoded


def path_text(path: str | bytes | None) -> str:
    """The address of a Unix socket as text: a path, "@name", or "" without any."""
    text = os.fsdecode(path or b"")
    return f"@{text[1:]}" if text.startswith("\0") else text
