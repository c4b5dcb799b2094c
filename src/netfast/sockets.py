"""Sockets of TCP, UDP and Unix, made in one call, and errors that say where.

Every function gives the standard `socket.socket`, which is the caller's from then on: it is a context manager, and
nothing here keeps or changes it.  An address is "host:port" ("[::1]:80" for IPv6), a tuple as `socket` has them, or a
port; that of a Unix socket is a path, or "@name" for Linux's abstract names (unix(7)).

Sockets of IPv6 serve IPv4 too where they are bound to every address: IPV6_V6ONLY is off (RFC 3493 section 5.3).
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

from .checks import checked_int, checked_port, checked_seconds
from .endpoints import (
    Endpoint,
    Place,
    path_text,
    places_to_bind,
    places_to_reach,
    read_endpoint,
    read_family,
    read_path,
)
from .free_ports import _ABSENT
from .ping_hosts import source_address

__all__ = [
    "tcp_connect",
    "tcp_listen",
    "tcp_socket",
    "udp_socket",
    "unix_socket",
]

_INT_MAX = 2**31 - 1


# --- what is made of the caller's wishes -----------------------------------------------------------------------------


def _new(family: int, kind: int) -> socket.socket:
    """A socket of one family that blocks; of IPv6, which serves IPv4 too, or IPv4 where the kernel has none."""
    try:
        sock = socket.socket(socket.AF_INET6 if family == socket.AF_UNSPEC else family, kind)
    except OSError as error:
        if family != socket.AF_UNSPEC or error.errno not in _ABSENT:
            raise
        return _new(socket.AF_INET, kind)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


Prepare = Callable[[socket.socket], None]


def _at(place: Place, kind: int, *steps: Prepare) -> socket.socket:
    """A new socket after these steps, or OSError that names the place."""
    sock = None
    try:
        sock = _new(place.family, kind)
        for step in steps:
            step(sock)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise place.error(error) from None
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    return sock


def _tried(make: Callable[[Place], socket.socket], place: Place) -> socket.socket | OSError:
    try:
        return make(place)
    except OSError as error:
        return error


def _at_first(places: Iterable[Place], make: Callable[[Place], socket.socket]) -> socket.socket:
    """What is made at the first of the places that this machine has."""
    absent: list[OSError] = []
    for place in places:
        made = _tried(make, place)
        if isinstance(made, socket.socket):
            return made
        if made.errno not in _ABSENT:
            raise made
        absent.append(made)
    raise absent[0]


def _reuse_port(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


# --- TCP -------------------------------------------------------------------------------------------------------------


def tcp_socket(family: Literal["inet", "inet6"] | int | None = None) -> socket.socket:
    """A socket of TCP that is not bound, with TCP_NODELAY: what is written is sent at once (RFC 896 has it wait).

    Without a family it is one of IPv6, whose `bind` and `connect` refuse "127.0.0.1" as no address of theirs
    (socket.gaierror, EAI_ADDRFAMILY).  For IPv4 write `family="inet"`; or give the address at once to `tcp_listen` or
    `tcp_connect`, whose socket is of its family.

    Args:
        family: "inet" (IPv4), "inet6", or socket.AF_INET and AF_INET6.  None for IPv6, where "::" serves IPv4 too and
            "::ffff:192.0.2.1" is an address of IPv4; and IPv4 where the kernel has no IPv6.

    Returns:
        The socket, which blocks (its timeout is None).

    Raises:
        OSError: EAFNOSUPPORT if the kernel does not have the family, EMFILE if no descriptor is left.
        ValueError: there is no such family.

    Source: tcp(7), ipv6(7), getaddrinfo(3).

    Example:
        >>> import netfast as nf
        >>> with nf.tcp_socket(family="inet") as sock:
        ...     sock.bind(("127.0.0.1", 0))
        ...     sock.listen()
        ...     sock.getsockname()[0]
        '127.0.0.1'
        >>> with nf.tcp_listen("127.0.0.1:0") as sock:
        ...     sock.getsockname()[0]
        '127.0.0.1'
    """
    return _new(read_family(family), socket.SOCK_STREAM)


def tcp_listen(address: Any = 0, *, backlog: int = 128, reuse_port: bool = False) -> socket.socket:
    """A socket of TCP that listens: `accept` gives the connections.

    SO_REUSEADDR is set, so a server that starts again does not wait for its old connections in TIME_WAIT; two that
    listen on one port it does not allow.

    Args:
        address: a port, ":port", or (None, port) for every address, IPv6 and IPv4; "host:port" or (host, port) for one,
            of a name the first that this machine has.  Port 0 is one of the kernel's choice: `getsockname()[1]`.
        backlog: connections that may wait to be accepted, 0 to 2**31 - 1; the kernel caps it (net.core.somaxconn).
        reuse_port: several sockets may listen on the port, and the kernel shares the connections out among them.

    Raises:
        OSError: as of bind(2), naming address and port: EADDRINUSE if it is taken, EACCES if it is privileged,
            EADDRNOTAVAIL if the host is not this machine.
        socket.gaierror: the host has no address.
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: bind(2), listen(2), socket(7).

    Example:
        >>> import netfast as nf
        >>> with nf.tcp_listen("127.0.0.1:0") as server, nf.tcp_connect(server.getsockname()) as client:
        ...     connection, peer = server.accept()
        ...     with connection:
        ...         peer == client.getsockname()
        True
    """
    endpoint = read_endpoint(address)
    length = checked_int("backlog", backlog, 0, _INT_MAX)

    def make(place: Place) -> socket.socket:
        return _at(
            place,
            socket.SOCK_STREAM,
            lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
            *[_reuse_port] * bool(reuse_port),
            lambda sock: sock.bind(place.address),
            lambda sock: sock.listen(length),
        )

    return _at_first(places_to_bind(endpoint, socket.SOCK_STREAM), make)


def tcp_connect(
    address: Any,
    *,
    timeout: float | None = 10.0,
    source: Any = None,
    nodelay: bool = True,
    keepalive: bool | float | None = None,
) -> socket.socket:
    """A socket of TCP that is connected.

    The addresses of a name are tried in getaddrinfo's order (RFC 6724): the next as soon as one fails, or after 250 ms
    without an answer while the one before goes on (RFC 8305 section 5).  The first that answers counts.

    Args:
        address: "host:port", "[IPv6]:port" or (host, port), or what `getsockname` gave; without a host this machine.
        timeout: seconds for all of it, the name's look-up included; 0 does not wait; None waits as long as it takes.
        source: an address of this machine to connect from, as str or `ipaddress` object, or (address, port).  Only
            addresses of its family are tried.
        nodelay: TCP_NODELAY, so that what is written is sent at once.
        keepalive: a number of seconds after which a silent peer is asked whether it is there, and again as often
            (1 to 32767, rounded up); True for the system's times (tcp_keepalive_time of tcp(7)); None for never.

    Returns:
        The socket, which blocks (its timeout is None).

    Raises:
        OSError: nothing answered or all refused (ConnectionRefusedError): the message names host and port, and what
            each address said; `errno` is that of the first.
        TimeoutError: not in time.
        socket.gaierror: the host has no address.
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: connect(2), tcp(7), RFC 8305.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as taken:
        ...     try:
        ...         nf.tcp_connect(taken.getsockname())
        ...     except ConnectionRefusedError as error:
        ...         str(error).replace(str(taken.getsockname()[1]), "80")
        '[Errno 111] 127.0.0.1:80: Connection refused'
    """
    endpoint = read_endpoint(address, least=1)
    limit = None if timeout is None else checked_seconds("timeout", timeout)
    idle = _keepalive(keepalive)
    local = None if source is None else _source(source)
    deadline = None if limit is None else time.monotonic() + limit
    try:
        places = places_to_reach(endpoint, socket.SOCK_STREAM, local.family if local else socket.AF_UNSPEC, limit)
    except TimeoutError as error:
        raise TimeoutError(errno.ETIMEDOUT, f"{endpoint}: {error.strerror}") from None

    def prepare(sock: socket.socket) -> None:
        if not nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        _keep_alive(sock, idle)
        if local:
            _bind_source(sock, local)

    return _Race(endpoint, limit, prepare).run(places, deadline)


def _source(source: Any) -> Place:
    port = 0
    if isinstance(source, (tuple, list)) and len(source) == 2:
        source, port = source[0], checked_port("source[1]", source[1], least=0)
    version, packed, scope = source_address(source)
    if version == 4:
        return Place(socket.AF_INET, (socket.inet_ntoa(packed[12:]), port))
    return Place(socket.AF_INET6, (socket.inet_ntop(socket.AF_INET6, packed), port, 0, scope))


def _bind_source(sock: socket.socket, local: Place) -> None:
    try:
        sock.bind(local.address)
    except OSError as error:
        raise OSError(error.errno, f"source {local}: {error.strerror}") from None


# tcp(7); macOS has another name for the first.
_KEEP_IDLE: int | None = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
_KEEP_MAX = 32_767  # seconds: linux/tcp.h, MAX_TCP_KEEPIDLE


def _keepalive(wanted: Any) -> int | bool:
    """Seconds, or True for the system's times, or False for none."""
    if wanted is None or isinstance(wanted, bool):
        return bool(wanted)
    seconds = checked_seconds("keepalive", wanted)
    if not 0 < seconds <= _KEEP_MAX:
        raise ValueError(f"keepalive={wanted}: wanted 1 to {_KEEP_MAX} seconds")
    return int(-(-seconds // 1))


def _keep_alive(sock: socket.socket, idle: int | bool) -> None:
    if idle:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if idle is not True and idle and _KEEP_IDLE is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _KEEP_IDLE, idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, idle)


_HEAD_START = 0.25  # seconds: RFC 8305 section 5
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class _Race:
    """Connects to the first of some addresses that answers."""

    def __init__(self, endpoint: Endpoint, limit: float | None, prepare: Prepare) -> None:
        self._endpoint = endpoint
        self._limit = limit  # seconds, for the message
        self._prepare = prepare
        self._flying: dict[socket.socket, Place] = {}
        self._failed: list[tuple[Place, OSError]] = []

    def run(self, places: Sequence[Place], deadline: float | None) -> socket.socket:
        """The socket that is connected, and blocks; OSError if there is none."""
        try:
            with self._new_selector() as self._selector:
                won = self._first(deque(places), deadline)
            won.settimeout(None)
        finally:
            for sock in self._flying:
                sock.close()
        return won

    def _new_selector(self) -> selectors.BaseSelector:
        try:
            return selectors.DefaultSelector()
        except OSError as error:  # it is a descriptor, too
            raise OSError(error.errno, f"{self._endpoint}: {error.strerror}") from None

    def _first(self, waiting: deque[Place], deadline: float | None) -> socket.socket:
        start_next = 0.0
        while waiting or self._flying:
            now = time.monotonic()
            if waiting and (not self._flying or now >= start_next):
                start_next = now + _HEAD_START
                if self._begin(waiting.popleft()) is None:
                    continue
            limits = [start_next] * bool(waiting) + ([] if deadline is None else [deadline])
            answered = self._selector.select(max(0.0, min(limits) - time.monotonic()) if limits else None)
            for key, _ in answered:
                sock: socket.socket = key.data
                place = self._flying.pop(sock)
                self._selector.unregister(sock)
                error = _refusal(sock)
                if error is None:
                    return sock
                sock.close()
                self._failed.append((place, error))
                start_next = 0.0  # one that has failed waits for nothing
            if not answered and deadline is not None and time.monotonic() >= deadline:
                raise self._too_late(waiting)
        raise self._all_failed()

    def _begin(self, place: Place) -> socket.socket | None:
        """A connection under way; None if it has failed already."""
        sock = None
        try:
            sock = _new(place.family, socket.SOCK_STREAM)
            self._flying[sock] = place  # from here on `run` closes it
            self._prepare(sock)
            sock.setblocking(False)
            number = sock.connect_ex(place.address)
            if number not in (0, *_UNDER_WAY):
                raise OSError(number, os.strerror(number))
            self._selector.register(sock, selectors.EVENT_WRITE, sock)
        except OSError as error:
            if sock is not None:
                del self._flying[sock]
                sock.close()
            self._failed.append((place, error))
            return None
        return sock

    def _too_late(self, waiting: Iterable[Place]) -> TimeoutError:
        said = self._said()
        silent = [*map(str, self._flying.values()), *map(str, waiting)]
        if silent != [str(self._endpoint)]:
            said += [f"{place}: no answer" for place in silent]
        met = f": {', '.join(said)}" if said else ""
        return TimeoutError(errno.ETIMEDOUT, f"{self._endpoint}: not connected within {self._limit:g} s{met}")

    def _all_failed(self) -> OSError:
        place, error = self._failed[0]
        if len(self._failed) == 1 and str(place) == str(self._endpoint):
            return place.error(error)
        return OSError(error.errno or errno.EINVAL, f"{self._endpoint}: {', '.join(self._said())}")

    def _said(self) -> list[str]:
        return [str(place.error(error).strerror) for place, error in self._failed]


def _refusal(sock: socket.socket) -> OSError | None:
    """Why a connection has not come about; None if it has."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number == 0:
        with suppress(OSError):  # reset in this very moment, which the first use will tell
            # To connect to a port of this machine that was lent to this very socket: nobody listens (RFC 9293, 3.5).
            if sock.getsockname() == sock.getpeername():
                number = errno.ECONNREFUSED
    return OSError(number, os.strerror(number)) if number else None


# --- UDP -------------------------------------------------------------------------------------------------------------


def udp_socket(
    address: Any = None,
    *,
    family: Literal["inet", "inet6"] | int | None = None,
    connect: Any = None,
    reuse_port: bool = False,
    buffer: int | None = None,
) -> socket.socket:
    """A socket of UDP.

    Without `address`, `connect` and `family` it is one of IPv6, whose `bind`, `connect` and `sendto` refuse "127.0.0.1"
    as no address of theirs (socket.gaierror, EAI_ADDRFAMILY).  For IPv4 write `family="inet"`; or give the address at
    once, and the socket is of its family.

    Args:
        address: where it is bound: a port or ":port" for every address, IPv6 and IPv4; "host:port" or (host, port) for
            one, of a name the first that this machine has; port 0 for one of the kernel's choice.  None: not bound.
        family: "inet" (IPv4), "inet6", or socket.AF_INET and AF_INET6.  None for that of the address; without one for
            IPv6, where "::" serves IPv4 too and "::ffff:192.0.2.1" is an address of IPv4; and IPv4 where the kernel has
            no IPv6.
        connect: "host:port" or (host, port) that it sends to, and alone hears from; of a name the first address that
            there is a way to.  The socket is then of that address's family.
        reuse_port: several sockets may be bound to the port, and the kernel shares the senders out among them.
        buffer: bytes of what the kernel keeps for it, on the way in and on the way out (SO_RCVBUF, SO_SNDBUF; the
            kernel doubles them for its own needs).  More than net.core.rmem_max and wmem_max takes CAP_NET_ADMIN;
            without it one gets as much as they allow.

    Returns:
        The socket, which blocks (its timeout is None).

    Raises:
        OSError: naming address and port, if there are any: EADDRINUSE, EACCES, EADDRNOTAVAIL as of bind(2), ENETUNREACH
            as of connect(2), EAFNOSUPPORT if the kernel does not have the family, EMFILE if no descriptor is left.
        socket.gaierror: a host has no address (of this family).
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: udp(7), ipv6(7), socket(7), getaddrinfo(3).

    Example:
        >>> import netfast as nf
        >>> with nf.udp_socket("127.0.0.1:0") as one, nf.udp_socket(connect=one.getsockname()) as other:
        ...     other.send(b"hello")
        ...     one.recv(100)
        5
        b'hello'
        >>> with nf.udp_socket(family="inet") as sock:
        ...     sock.bind(("127.0.0.1", 0))
        ...     sock.getsockname()[0]
        '127.0.0.1'
    """
    wanted = read_family(family)
    local = None if address is None else read_endpoint(address)
    remote = None if connect is None else read_endpoint(connect, "connect", least=1)
    size = None if buffer is None else checked_int("buffer", buffer, 1, _INT_MAX // 2)
    steps: list[Prepare] = [_reuse_port] * bool(reuse_port)
    if size is not None:
        steps.append(lambda sock: _set_buffers(sock, size))

    def bound(place: Place) -> socket.socket:
        return _at(place, socket.SOCK_DGRAM, *steps, lambda sock: sock.bind(place.address))

    def connected(place: Place) -> socket.socket:
        if local is None:
            return _at(place, socket.SOCK_DGRAM, *steps, lambda sock: sock.connect(place.address))
        sock = _at_first(places_to_bind(local, socket.SOCK_DGRAM, place.family), bound)
        try:
            sock.connect(place.address)
        except OSError as error:
            sock.close()
            raise place.error(error) from None
        return sock

    if remote is not None:
        return _connected(remote, places_to_reach(remote, socket.SOCK_DGRAM, wanted), connected)
    if local is not None:
        return _at_first(places_to_bind(local, socket.SOCK_DGRAM, wanted), bound)
    sock = _new(wanted, socket.SOCK_DGRAM)
    try:
        for step in steps:
            step(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(remote: Endpoint, places: Sequence[Place], make: Callable[[Place], socket.socket]) -> socket.socket:
    """What is made for the first of the places that there is a way to."""
    errors: list[OSError] = []
    for place in places:
        made = _tried(make, place)
        if isinstance(made, socket.socket):
            return made
        errors.append(made)
    if len(errors) == 1:
        raise errors[0]
    raise OSError(errors[0].errno, f"{remote}: {', '.join(str(error.strerror) for error in errors)}")


# asm-generic/socket.h; parisc and sparc have others, and none of these calls fails there for it.
_FORCED = {socket.SO_SNDBUF: 32, socket.SO_RCVBUF: 33}


def _set_buffers(sock: socket.socket, size: int) -> None:
    for option, forced in _FORCED.items():
        if sys.platform == "linux":
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, size)
                continue
            except OSError:  # EPERM, most often: as much as everybody may have will do
                pass
        sock.setsockopt(socket.SOL_SOCKET, option, size)


# --- Unix ------------------------------------------------------------------------------------------------------------

_UNIX_TYPES = {
    "stream": socket.SOCK_STREAM,
    "dgram": socket.SOCK_DGRAM,
    "seqpacket": getattr(socket, "SOCK_SEQPACKET", None),
}
_TRIES = 3  # to bind a path where others come and go


def unix_socket(
    path: Any = None,
    *,
    type: Literal["stream", "dgram", "seqpacket"] = "stream",
    listen: int | None = None,
    connect: Any = None,
) -> socket.socket:
    """A socket between processes of this machine.

    A path stays when the socket is closed, as with `socket`; and so the file of a server that is gone is replaced here:
    if it is a socket, and to connect to it is refused.  A file of any other kind, and one whose socket is still there,
    is left alone; who listens on that notices nothing.

    Args:
        path: where it is bound: a path as str, bytes or path object; "@name" for an abstract name, which is no file
            ("./@name" is one), and "@" for one of the kernel's choice.  None: not bound.
        type: "stream" as TCP, "dgram" as UDP but reliable and in order, "seqpacket" for connections that keep the
            borders of messages.
        listen: connections that may wait to be accepted, 0 to 2**31 - 1: then it listens.  Not for "dgram".
        connect: a path, or "@name", to connect to.

    Raises:
        OSError: naming the path: EADDRINUSE if somebody is there or it is another kind of file, EACCES or EPERM if the
            file of a server that is gone cannot be removed, ENAMETOOLONG beyond 107 bytes, ENOENT and ECONNREFUSED if
            nobody is there to connect to, EMFILE if no descriptor is left.
        TypeError, ValueError: an argument is wrong; the message names it.

    Source: unix(7).

    Example:
        >>> import netfast as nf
        >>> with nf.unix_socket("@", listen=1) as server, nf.unix_socket(connect=server.getsockname()) as client:
        ...     connection, _ = server.accept()
        ...     with connection:
        ...         client.sendall(b"hello")
        ...         connection.recv(100)
        b'hello'
    """
    if type not in tuple(_UNIX_TYPES):  # which asks nothing to be hashed
        raise ValueError(f'type={type!r}: wanted "stream", "dgram" or "seqpacket"')
    kind = _UNIX_TYPES[type]
    if kind is None:
        raise OSError(errno.EPROTONOSUPPORT, f"this system ({sys.platform}) has no Unix sockets of type {type}")
    local = None if path is None else read_path(path)
    remote = None if connect is None else read_path(connect, "connect", least=1)
    backlog = None if listen is None else checked_int("listen", listen, 0, _INT_MAX)
    if backlog is not None and (remote is not None or local is None or type == "dgram"):
        raise ValueError(f"listen={backlog}: wanted a path, and neither connect nor type='dgram'")
    return _unix(kind, local, backlog, remote)


def _unix(kind: int, local: bytes | None, backlog: int | None, remote: bytes | None) -> socket.socket:
    with _naming(remote if local is None else local):
        sock = socket.socket(socket.AF_UNIX, kind)
    bound = False
    try:
        sock.settimeout(None)
        with _naming(local):
            if local is not None:
                _bind_unix(sock, local)
                bound = True
            if backlog is not None:
                sock.listen(backlog)
        with _naming(remote):
            if remote is not None:
                sock.connect(remote)
    except BaseException:
        sock.close()
        if bound and local is not None and _is_file(local):
            with suppress(OSError):
                os.unlink(local)
        raise
    return sock


def _is_file(path: bytes) -> bool:
    return path[:1] not in (b"", b"\0")


@contextmanager
def _naming(path: bytes | None) -> Iterator[None]:
    """An OSError in here names the path, if there is one."""
    try:
        yield
    except OSError as error:
        if path is None:
            raise
        what = path_text(path) or "an abstract name"
        raise OSError(error.errno or errno.EINVAL, f"{what}: {error.strerror or error}") from None


def _bind_unix(sock: socket.socket, path: bytes) -> None:
    """Binds it, in the place of a file that a server has left behind."""
    for _ in range(_TRIES):
        error = _refused_bind(sock, path)
        if error is None:
            return
        if error.errno != errno.EADDRINUSE or not _is_file(path):
            raise error
        if (why := _kept_by(path)) is not None:
            raise OSError(errno.EADDRINUSE, why)
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _refused_bind(sock: socket.socket, path: bytes) -> OSError | None:
    try:
        sock.bind(path)
    except OSError as error:
        return error
    return None


class _File(NamedTuple):
    """What a name stands for: another file may have it in the next moment, and even the same inode."""

    device: int
    inode: int
    changed: int  # nanoseconds
    is_socket: bool


def _file(path: bytes) -> _File | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return _File(found.st_dev, found.st_ino, found.st_ctime_ns, stat.S_ISSOCK(found.st_mode))


def _kept_by(path: bytes) -> str | None:
    """Why a path is not free; None if it is, or is now; OSError if that cannot be found out, or be changed."""
    found = _file(path)
    if found is None:
        return None
    if not found.is_socket:
        return "there is a file already, and it is no socket"
    if _is_alive(path):
        return os.strerror(errno.EADDRINUSE)
    if _file(path) == found:  # and not that of a server that has come since
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            left = "there is the file of a server that is gone, which cannot be removed"
            raise OSError(error.errno, f"{left}: {error.strerror}") from None
    return None


def _is_alive(path: bytes) -> bool:
    """Whether a socket's file has its socket: only a connection that is refused says no.

    It is asked by a socket of datagrams, for a server is not to see anybody come and go: one of connections says
    EPROTOTYPE, and one of datagrams is not told.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)
