"""Whom to ping: names, addresses and prefixes, each to the 16 bytes that the sockets want, or to why there are none."""

from __future__ import annotations

import errno
import math
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from . import _core
from .errors import AddressError
from .ping_errors import PingError, unresolvable
from .threads import SLICE

PREFIX_MAX = 1 << 20  # addresses of one prefix
_RESOLVERS = 32  # names that are looked up at a time

# What inet_aton reads as an address and nobody else does: 127.1, 0x7f.0.0.1, 010.0.0.1.
_NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]*))*")
_IP4 = b"\0" * 10 + b"\xff\xff"  # in front of the four bytes of an IPv4 address
# The loopback address in place of the unspecified one.
_LOOPBACK = {
    bytes(16): (b"\0" * 15 + b"\1", "::1"),
    _IP4 + b"\0\0\0\0": (_IP4 + b"\x7f\0\0\1", "127.0.0.1"),
}
_LOOPBACK_BYTES = (_IP4 + b"\x7f", b"\0" * 15 + b"\1")  # what 127.0.0.0/8 and ::1 begin with


class Hosts(NamedTuple):
    """Hosts in order, a row each; those with an address are targets, the others have an error."""

    names: Sequence[str]  # as given, prefixes expanded
    addresses: Sequence[str | None]  # as text
    packed: bytearray  # 16 bytes a target, IPv4 as ::ffff:a.b.c.d
    scopes: dict[int, int]  # by target: the interface of a link-local address
    rows: Sequence[int]  # by target
    errors: dict[int, PingError]  # by row

    @property
    def all_loopback(self) -> bool:
        """Whether every target is this machine: 127.0.0.0/8 or ::1 (RFC 1122, RFC 4291)."""
        rows = range(0, len(self.packed), 16)
        # Most often all are of one family: then bytes of all rows are counted at a time.
        for first in _LOOPBACK_BYTES:
            if all(self.packed[at::16].count(byte) == len(rows) for at, byte in enumerate(first)):
                return True
        return all(self.packed.startswith(_LOOPBACK_BYTES, at) for at in rows)

    def part(self, first: int, count: int) -> Hosts:
        """So many of the targets; errors are nobody's."""
        rows = self.rows[first : first + count]
        scopes = {at - first: scope for at, scope in self.scopes.items() if first <= at < first + count}
        return self._replace(packed=self.packed[16 * first : 16 * (first + count)], scopes=scopes, rows=rows, errors={})


class _Found(NamedTuple):
    """An address of a host."""

    text: str
    packed: bytes
    scope: int


A = TypeVar("A")  # what somebody wants to know of a name

_Answers = dict[str, "_Found | PingError"]  # by name


# --- many ------------------------------------------------------------------------------------------------------------


def read_hosts(hosts: Any, family: int | None) -> Hosts:
    """Hosts of any form; blocks while names are looked up, but answers Ctrl-C."""
    names, addresses, unknown = _listed(hosts)
    return _hosts(names, addresses, family, look_up(unknown, partial(resolve, family=family)))


async def aread_hosts(hosts: Any, family: int | None) -> Hosts:
    """The same while an event loop goes on."""
    names, addresses, unknown = _listed(hosts)
    found = await _alook_up(unknown, family) if unknown else {}
    return _hosts(names, addresses, family, found)


def _listed(hosts: Any) -> tuple[list[str], _core.Parsed, list[str]]:
    """The hosts' texts with prefixes expanded, their addresses as far as they are any, and the names among them."""
    import ipaddress

    single = (str, ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
    if isinstance(hosts, single):
        hosts = [hosts]
    elif isinstance(hosts, (bytes, bytearray, memoryview)) or not hasattr(hosts, "__iter__"):
        raise TypeError(f"hosts is {type(hosts).__name__}; wanted names, addresses or prefixes as str")
    texts = list(hosts)
    if set(map(type, texts)) != {str}:
        texts = [_text(host, index) for index, host in enumerate(texts)]
    parsed = _core.parse_items(texts)[0]
    if 0 in parsed.holds and any("/" in text for text in texts):
        texts = [host for text in texts for host in (_expanded(text) if "/" in text else (text,))]
        parsed = _core.parse_items(texts)[0]
    unknown = [text for text, holds in zip(texts, parsed.holds, strict=True) if not holds] if 0 in parsed.holds else []
    return texts, parsed, list(dict.fromkeys(unknown))


def _text(host: Any, index: int) -> str:
    if isinstance(host, str):
        return host
    if type(host).__module__ == "ipaddress":
        return str(host)
    raise TypeError(f"host {index} is {type(host).__name__}; wanted a name, an address or a prefix as str")


def _expanded(prefix: str) -> list[str]:
    """The hosts of a prefix, as `ipaddress` counts them: without the network's and the broadcast address."""
    import ipaddress

    from ._tables import read_prefix

    version, value, length = read_prefix(prefix)
    bits = 32 if version == 4 else 128
    if 1 << bits - length > PREFIX_MAX:
        raise ValueError(f"{prefix} has 2**{bits - length} addresses; wanted at most {PREFIX_MAX:,} of one prefix")
    first = value >> bits - length << bits - length
    if version == 6:
        return list(map(str, ipaddress.IPv6Network((first, length)).hosts()))
    last = first + (1 << bits - length) - 1
    if length < 31:
        first, last = first + 1, last - 1
    return _core.format_parsed(_core.parse_items(list(range(first, last + 1)))[0])  # type: ignore[return-value]


def _hosts(names: list[str], parsed: _core.Parsed, family: int | None, looked_up: _Answers) -> Hosts:
    if parsed.packed is None:
        parsed.widen([(0, parsed.n)])
    assert parsed.packed is not None
    # Row by row only where something is not an ordinary address.
    if parsed.holds.count(4) == parsed.n and family != 6:
        return _at_loopback(Hosts(names, names, parsed.packed, {}, range(parsed.n), {}))
    return _odd_hosts(names, parsed, family, looked_up)


def _odd_hosts(names: list[str], parsed: _core.Parsed, family: int | None, looked_up: _Answers) -> Hosts:
    assert parsed.packed is not None
    addresses: list[str | None] = []
    packed = bytearray()
    scopes: dict[int, int] = {}
    rows: list[int] = []
    errors: dict[int, PingError] = {}
    for row, name in enumerate(names):
        holds = parsed.holds[row]
        found: _Found | PingError
        if holds:
            found = _literal(name, bytes(parsed.packed[16 * row : 16 * row + 16]), parsed.zones.get(row), holds, family)
        else:
            found = looked_up[name]
        if isinstance(found, PingError):
            errors[row] = found
            addresses.append(None)
            continue
        if found.scope:
            scopes[len(rows)] = found.scope
        rows.append(row)
        packed += found.packed
        addresses.append(found.text)
    return _at_loopback(Hosts(names, addresses, packed, scopes, rows, errors))


def _at_loopback(hosts: Hosts) -> Hosts:
    """0.0.0.0 and :: are this machine, which is pinged, and answers, at its loopback address (RFC 1122 3.2.1.3)."""
    addresses = hosts.addresses
    for unspecified, (loopback, text) in _LOOPBACK.items():
        at = hosts.packed.find(unspecified)
        while at >= 0:
            if at % 16 == 0:
                hosts.packed[at : at + 16] = loopback
                addresses = list(addresses)
                addresses[hosts.rows[at // 16]] = text
            at = hosts.packed.find(unspecified, at + 1)
    return hosts._replace(addresses=addresses)


# --- one -------------------------------------------------------------------------------------------------------------


def _literal(text: str, packed: bytes, zone: str | None, version: int, family: int | None) -> _Found | PingError:
    """An address as it is; or what is wrong with its family or zone."""
    if family not in (None, version):
        return unresolvable(f"an IPv{version} address, where IPv{family} was asked for")
    if version == 4:
        return _Found(text, packed, 0)
    if packed.startswith(_IP4):  # which is asked as the IPv4 address it is
        if family == 6:
            return unresolvable("an IPv4 address mapped to IPv6, where IPv6 was asked for")
        return _Found(_core.format_one(4, int.from_bytes(packed[12:], "big")), packed, 0)
    text = _core.format_one(6, int.from_bytes(packed, "big"))
    try:
        return _Found(text, packed, 0) if zone is None else _Found(f"{text}%{zone}", packed, _scope(zone))
    except OSError:
        return unresolvable(f"no interface {zone!r}")


def _scope(zone: str) -> int:
    """The index of an interface by its number or name; OSError if there can be none."""
    if not (zone.isdecimal() and zone.isascii()):
        try:
            return socket.if_nametoindex(zone)
        except ValueError:  # a NUL
            raise OSError(errno.ENODEV, "no such interface") from None
    if len(zone) > 10 or int(zone) > 0xFFFF_FFFF:
        raise OSError(errno.ENXIO, "no such interface")
    return int(zone)


class _Question:
    """Names of which somebody wants to know something; told(found) is called from another thread, once all is known."""

    def __init__(
        self, names: Sequence[str], ask: Callable[[str], Any], told: Callable[[dict[str, Any]], object]
    ) -> None:
        self.todo = list(reversed(names))
        self._ask = ask
        self._left = len(names)
        self._found: dict[str, Any] = {}
        self._told = told

    def answer(self, name: str) -> None:
        try:
            self._found[name] = self._ask(name)
        except Exception as error:  # of a resolver in Python; who asked shall not wait for ever
            self._found[name] = unresolvable(f"{type(error).__name__}: {error}")
        if len(self._found) == self._left:
            self._told(self._found)


class _Resolvers:
    """Threads that wait for the resolver, so that who asks can be interrupted, and need not be waited for by a process
    that ends.  There are so many at most, for everybody; each ends when there is nothing to ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: deque[_Question] = deque()
        self._threads = 0

    def ask(self, question: _Question) -> None:
        with self._lock:
            self._asked.append(question)
            wanted = min(_RESOLVERS, self._threads + len(question.todo))
            try:
                while self._threads < wanted:
                    threading.Thread(target=self._work, daemon=True).start()
                    self._threads += 1
            except RuntimeError:  # no more threads: those there are will do
                if not self._threads:
                    self._asked.remove(question)
                    raise

    def _work(self) -> None:
        while (job := self._next()) is not None:
            question, name = job
            question.answer(name)

    def _next(self) -> tuple[_Question, str] | None:
        with self._lock:
            while self._asked and not self._asked[0].todo:
                self._asked.popleft()
            if not self._asked:
                self._threads -= 1
                return None
            return self._asked[0], self._asked[0].todo.pop()


_resolvers = _Resolvers()


def _forget_resolvers() -> None:
    """A child of fork has none of the threads."""
    global _resolvers
    _resolvers = _Resolvers()


os.register_at_fork(after_in_child=_forget_resolvers)


def look_up(
    names: Sequence[str], ask: Callable[[str], A | PingError], timeout: float | None = None
) -> dict[str, A | PingError]:
    """What `ask` says of each name, different ones; TimeoutError if it takes longer than so many seconds."""
    if not names:
        return {}
    answers: list[dict[str, A | PingError]] = []
    finished = threading.Semaphore(0)

    def told(found: dict[str, A | PingError]) -> None:
        answers.append(found)
        finished.release()

    question = _Question(names, ask, told)
    try:
        _resolvers.ask(question)
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not finished.acquire(timeout=max(0.0, min(SLICE, until - time.monotonic()))):
            if time.monotonic() >= until:
                raise TimeoutError(errno.ETIMEDOUT, f"{', '.join(names)}: the resolver has not answered in time")
    except BaseException:
        question.todo.clear()
        raise
    return answers[0]


async def _alook_up(names: Sequence[str], family: int | None) -> _Answers:
    """The same while the event loop goes on."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Answers] = loop.create_future()

    def settle(found: _Answers) -> None:
        if not future.done():
            future.set_result(found)

    def told(found: _Answers) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, found)

    question = _Question(names, partial(resolve, family=family), told)
    try:
        _resolvers.ask(question)
        return await future
    except BaseException:
        question.todo.clear()
        raise


_FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}


def resolve(name: str, family: int | None) -> _Found | PingError:
    """The first address of a name."""
    found = resolve_all(name, family)
    return found if isinstance(found, PingError) else found[0]


def resolve_all(name: str, family: int | None, kind: int = socket.SOCK_DGRAM) -> list[_Found] | PingError:
    """The addresses of a name, one at least, as getaddrinfo(3) orders them (RFC 6724) for a kind of socket."""
    if not name or name.isspace():
        return unresolvable("empty name")
    if "\0" in name:  # where the resolver would stop reading
        return unresolvable("no host name: it holds a NUL")
    if _NUMERIC.fullmatch(name) or ":" in name:
        return unresolvable(_what_is_wrong(name))
    try:
        answers = socket.getaddrinfo(name, None, _FAMILIES[family], kind)
    except socket.gaierror as error:
        return unresolvable(error.strerror or str(error), error.errno)
    except UnicodeError as error:  # a label that is empty or too long
        return unresolvable(f"no host name: {error}")
    except OSError as error:  # the resolver has no descriptors left
        return unresolvable(error.strerror or str(error), error.errno)
    found = []
    for found_family, _, _, _, where in answers:
        if found_family == socket.AF_INET:
            found.append(_Found(str(where[0]), _IP4 + socket.inet_aton(str(where[0])), 0))
        elif found_family == socket.AF_INET6:
            scope = int(where[3]) if len(where) == 4 else 0
            packed = socket.inet_pton(socket.AF_INET6, str(where[0]).partition("%")[0])
            found.append(_Found(str(where[0]), packed, scope))
    return list(dict.fromkeys(found)) or unresolvable("no address of IPv4 or IPv6")


def _what_is_wrong(text: str) -> str:
    try:
        _core.parse_one(text)
    except AddressError as error:
        return error.reason
    return "not an address"


def raise_unresolvable(hosts: Hosts) -> None:
    """Raises why a host has no address, where there is but one host."""
    for row, error in hosts.errors.items():
        raise no_address(hosts.names[row], error)


def no_address(host: str, error: PingError) -> Exception:
    """Why a host that was asked for alone has no address."""
    if "\0" in host:
        return ValueError(f"{host!r} is no host: it holds a NUL")
    if error.errno in (errno.EMFILE, errno.ENFILE):  # it may have one
        return OSError(error.errno, f"no descriptor is left to look up {host}: {error.text}")
    return socket.gaierror(error.errno or socket.EAI_NONAME, f"{host}: {error.text}")


def source_address(text: Any) -> tuple[int, bytes, int]:
    """The version, the 16 bytes and the scope of an address to send from."""
    text = str(text) if type(text).__module__ == "ipaddress" else text
    if not isinstance(text, str):
        raise TypeError(f"source is {type(text).__name__}; wanted an address as str")
    try:
        version, value, zone = _core.parse_one(text)
        scope = 0 if zone is None else _scope(zone)
    except AddressError as error:
        raise ValueError(f"source: {error}") from None
    except OSError:
        raise ValueError(f"source: there is no interface {zone!r}") from None
    packed = (value | 0xFFFF_0000_0000 if version == 4 else value).to_bytes(16, "big")
    return 4 if packed.startswith(_IP4) else 6, packed, scope
