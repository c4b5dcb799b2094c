"""Hosts of whose ports something is asked: names, addresses and prefixes, each to its addresses or to why none."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

from .ping_errors import PingError
from .ping_hosts import _IP4, _Found, _listed, _literal, look_up, no_address, resolve_all


class Targets:
    """The hosts in order, prefixes expanded, and the addresses of each."""

    def __init__(self, hosts: Any, kind: int = socket.SOCK_STREAM, timeout: float | None = None) -> None:
        """kind: of the sockets that the addresses are for.  TimeoutError if names are not looked up within so many
        seconds."""
        self.names, self._parsed, unknown = _listed(hosts)
        self._looked_up = look_up(unknown, partial(resolve_all, family=None, kind=kind), timeout)
        if self._parsed.packed is None:
            self._parsed.widen([(0, self._parsed.n)])

    def of(self, index: int) -> list[_Found] | PingError:
        """The addresses of a host, or why it has none."""
        name, version = self.names[index], self._parsed.holds[index]
        if not version:
            return self._looked_up[name]
        assert self._parsed.packed is not None
        packed = bytes(self._parsed.packed[16 * index : 16 * index + 16])
        found = _literal(name, packed, self._parsed.zones.get(index), version, None)
        return found if isinstance(found, PingError) else [found]


def one_host(host: Any, for_many: str = "") -> str:
    """The text of one host, checked.  for_many: what takes a prefix, if anything does."""
    if not isinstance(host, str) and type(host).__module__ != "ipaddress":
        raise TypeError(f"host is {type(host).__name__}; wanted a name or an address as str")
    if "/" in str(host):
        raise ValueError(f"{host} is a prefix, not one host{for_many and f'; use {for_many}'}")
    return str(host)


def addresses_of(host: str, kind: int = socket.SOCK_STREAM) -> list[_Found]:
    """The addresses of one host, or socket.gaierror; blocks while a name is looked up, but answers Ctrl-C."""
    found = Targets([host], kind).of(0)
    if isinstance(found, PingError):
        raise no_address(host, found)
    return found


def family_of(found: _Found) -> socket.AddressFamily:
    return socket.AF_INET if found.packed.startswith(_IP4) else socket.AF_INET6
