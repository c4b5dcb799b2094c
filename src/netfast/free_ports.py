"""Ports of this machine that are free: found, or kept by a socket that is bound."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from .checks import checked_port
from .port_hosts import addresses_of, family_of, one_host
from .ports import checked_protocol, ephemeral_range, reserved_ports

__all__ = ["find_free_port", "reserve_port"]

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_TAKEN = (errno.EADDRINUSE, errno.EACCES)  # by somebody, or by the kernel for who is privileged
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # the address, or its whole family
_TRIES = 20  # ports of the kernel's choice, before all are tried


class _Place(NamedTuple):
    """An address to bind."""

    family: socket.AddressFamily
    text: str
    scope: int = 0
    dual: bool = False  # an IPv6 socket that is to serve IPv4 too

    def name(self, port: int) -> tuple[Any, ...]:
        """As bind(2) takes it."""
        if self.family == socket.AF_INET:
            return self.text, port
        return self.text.partition("%")[0], port, 0, self.scope

    def at(self, port: int) -> str:
        return f"[{self.text}]:{port}" if self.family == socket.AF_INET6 else f"{self.text}:{port}"


# A socket that serves both families is what proves a port free in both.
_EVERYWHERE = (_Place(socket.AF_INET6, "::", dual=True), _Place(socket.AF_INET, "0.0.0.0"))


def find_free_port(
    host: Any = None, *, protocol: Literal["tcp", "udp"] = "tcp", ports: Iterable[int] | None = None
) -> int:
    """A port that nobody uses at this moment.  Another program may take it in the next: `reserve_port` keeps it.

    Args:
        host: an address of this machine or a name of it, all of whose addresses count; None for every address of IPv4
            and IPv6.
        protocol: "tcp" or "udp".
        ports: candidates, of which the first that is free counts; None lets the kernel choose one of its ephemeral
            range.

    Returns:
        The port, which is free in the sense of a bind without SO_REUSEADDR: no socket is bound to it, not even one in
        TIME_WAIT.

    Raises:
        OSError: EADDRINUSE if none is free, naming the candidates; EACCES if all of them are privileged;
            EADDRNOTAVAIL if the host is not this machine.
        socket.gaierror: the host has no address.
        TypeError, ValueError: an argument is wrong; the message names it.

    Example:
        >>> import netfast as nf
        >>> 0 < nf.find_free_port() <= 65535, nf.find_free_port("127.0.0.1", ports=range(40000, 41000)) >= 40000
        (True, True)
    """
    checked_protocol(protocol, tuple(_KINDS))
    bound = _reserved(_places(host, protocol), protocol, _candidates(ports), every=host is not None)
    number: int = bound[0].getsockname()[1]
    for sock in bound:
        sock.close()
    return number


def reserve_port(
    port: int = 0,
    *,
    host: Any = None,
    protocol: Literal["tcp", "udp"] = "tcp",
    ports: Iterable[int] | None = None,
) -> socket.socket:
    """A socket that is bound, and so keeps a port for whoever has it: to listen on, or to hand to another process.

    SO_REUSEADDR and SO_REUSEPORT are not set, for with them two sockets may be bound to one port; what has been in use
    and is in TIME_WAIT still counts as taken.

    Args:
        port: the port; 0 for one of the kernel's choice.
        host: an address of this machine, or a name, of whose addresses the first that it has counts; None for every
            address: then the socket is one of IPv6 that serves IPv4 too, or one of IPv4 where the kernel has no IPv6.
        protocol: "tcp" or "udp".
        ports: candidates in place of `port`, of which the first that is free counts.

    Returns:
        The socket, not listening; its port is `getsockname()[1]`.  Close it, or use it in a with statement.

    Raises:
        OSError: as of bind(2), naming the address and the port: EADDRINUSE if it is taken (or all candidates are),
            EACCES if it is privileged, EADDRNOTAVAIL if the host is not this machine.
        socket.gaierror: the host has no address.
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: bind(2), ip(7), ipv6(7).

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     sock.listen()
        ...     address, number = sock.getsockname()
        >>> address, number > 0
        ('127.0.0.1', True)
    """
    checked_protocol(protocol, tuple(_KINDS))
    number = checked_port("port", port, least=0)
    if ports is not None and number:
        raise ValueError(f"port={number} and ports: wanted one of them")
    candidates = iter([number]) if number else _candidates(ports)
    return _reserved(_places(host, protocol), protocol, candidates, every=False)[0]


def _candidates(ports: Any) -> Iterator[int] | None:
    """The candidates, checked one by one; None for the kernel's choice."""
    if ports is None:
        return None
    if isinstance(ports, (str, bytes)) or not hasattr(ports, "__iter__"):
        raise TypeError(f"ports is {type(ports).__name__}; wanted an iterable of int")
    return (checked_port(f"ports[{index}]", port, least=1) for index, port in enumerate(ports))


def _places(host: Any, protocol: str) -> Sequence[_Place]:
    if host is None:
        return _EVERYWHERE
    if host == "":
        raise ValueError("host is empty; wanted a name or an address, or None for every address")
    found = addresses_of(one_host(host), _KINDS[protocol])
    return [_Place(family_of(address), address.text, address.scope) for address in found]


def _bind(place: _Place, port: int, protocol: str) -> socket.socket:
    """A socket that is bound to a port of a place, or OSError that names both."""
    sock = None
    try:
        sock = socket.socket(place.family, _KINDS[protocol])
        if place.dual:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(place.name(port))
    except OSError as error:
        if sock is not None:
            sock.close()
        raise OSError(error.errno, f"{protocol} {place.at(port)} cannot be bound: {error.strerror}") from None
    return sock


def _reserved(
    places: Sequence[_Place], protocol: str, candidates: Iterator[int] | None, *, every: bool
) -> list[socket.socket]:
    """Sockets bound to the first of the candidates that is free, or of those of the kernel's choice, at the first of
    the places or at every one of them; places that this machine does not have do not count."""
    tried: list[int] = []
    errors: dict[int, OSError] = {}  # the first with each errno
    for candidate in _any_port(several=every and len(places) > 1) if candidates is None else candidates:
        tried.append(candidate)
        try:
            return _bound(places, protocol, candidate, every=every)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            errors.setdefault(error.errno, error)
    raise _none_free(places, protocol, tried, errors)


def _any_port(*, several: bool) -> Iterator[int]:
    """0, which has the kernel choose among all there are.  Where several addresses must have the port free, what it
    chooses for the first may be taken at another: then a few times, and at last each port that it would choose from."""
    if not several:
        yield 0
        return
    yield from [0] * _TRIES
    from random import shuffle

    first, last = ephemeral_range()
    kept_out = reserved_ports()
    ports = [port for port in range(first, last + 1) if not any(port in span for span in kept_out)]
    shuffle(ports)
    yield from ports


def _bound(places: Sequence[_Place], protocol: str, port: int, *, every: bool) -> list[socket.socket]:
    bound: list[socket.socket] = []
    absent: list[OSError] = []
    try:
        for place in places:
            try:
                bound.append(_bind(place, bound[0].getsockname()[1] if bound else port, protocol))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent.append(error)
            if bound and not every:
                break
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    if not bound:
        raise absent[0]
    return bound


def _none_free(places: Sequence[_Place], protocol: str, tried: list[int], errors: dict[int, OSError]) -> Exception:
    if not tried:
        return ValueError("ports is empty; wanted candidates")
    if len(tried) == 1 and tried[0]:
        return next(iter(errors.values()))
    where = "every address" if places is _EVERYWHERE else ", ".join(place.at(0).removesuffix(":0") for place in places)
    which = "{}–{}, its ephemeral range".format(*ephemeral_range()) if tried[0] == 0 else _listed(tried)
    number = errno.EADDRINUSE if errno.EADDRINUSE in errors else errno.EACCES
    return OSError(number, f"no {protocol} port of {where} is free among {which}: {os.strerror(number)}")


def _listed(ports: list[int]) -> str:
    """Ports as a range if they are one, else the first of them."""
    if ports == list(range(ports[0], ports[0] + len(ports))):
        return f"{ports[0]}–{ports[-1]}"
    shown = ", ".join(map(str, ports[:8]))
    return shown if len(ports) <= 8 else f"{shown} and {len(ports) - 8:,} more"
