"""Many datagrams a call: recvmmsg(2) and sendmmsg(2), and the kernel's segmentation of UDP (udp(7)).  Linux.

Python has a call a packet.  Here a call moves up to 1,024 messages, each of which may be 64 datagrams that the kernel
puts together and takes apart (GSO and GRO), and makes no object a datagram until somebody looks at one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from .checks import PORT_MAX, as_int, checked_int
from .endpoints import read_path
from .errors import AddressError
from .linux import border
from .waits import UNSET, Turns, check_kind, listed, patience, raise_late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._sockets import Addresses, Slab
    from .addresses import AddressArray

__all__ = ["DatagramBatch", "Datagrams", "SendResult"]

_IP4_IN_6 = b"\0" * 10 + b"\xff\xff"


class SendResult(NamedTuple):
    """What became of datagrams that were sent.

    Attributes:
        sent: how many the kernel took.
        errors: (index, errno) of each that it refused.  Those from `sent + len(errors)` on were not tried: the time was
            over.

    Source: sendmmsg(2), which stops at the first that is refused; `DatagramBatch.send` goes on behind it.

    Example:
        >>> import netfast as nf
        >>> with nf.udp_socket(("127.0.0.1", 0)) as sock:
        ...     nf.DatagramBatch(sock).send([b"fits", bytes(65_536)], sock.getsockname())  # errno.EMSGSIZE is 90
        SendResult(sent=1, errors=[(1, 90)])
    """

    sent: int
    errors: list[tuple[int, int]]


class Datagrams:
    """What one receive brought, in order of arrival.

    `datagrams[i]` is a memoryview of one, read-only; slices and iteration give these.  A view stays valid as long as
    anything holds it, or a part of it, or this object.  Columns are NumPy arrays, made when asked for.

    Raises IndexError for an index that is not there; ImportError where a column is asked for and there is no NumPy.

    Source: recvmmsg(2); addresses are those of ip(7), ipv6(7) and unix(7).

    Example:
        >>> import netfast as nf, socket
        >>> with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        ...     sock.bind(("127.0.0.1", 0))
        ...     for text in (b"one", b"two", b"three"):
        ...         _ = sock.sendto(text, sock.getsockname())
        ...     found = nf.DatagramBatch(sock).recv()
        >>> len(found), bytes(found[2]), found.lengths.tolist(), found.addresses.to_list()[0], found.bytes_total
        (3, b'three', [3, 3, 5], '127.0.0.1', 11)
    """

    __slots__ = ("_is_unix", "_slab", "_view")

    def __init__(self, slab: Slab, is_unix: bool) -> None:
        self._slab = slab
        self._view: memoryview | None = None
        self._is_unix = is_unix

    def __len__(self) -> int:
        return len(self._slab)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        first, end = self._slab.span(range(len(self))[index])
        if self._view is None:
            self._view = memoryview(self._slab)
        return self._view[first:end]

    def __iter__(self) -> Iterator[memoryview]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"<Datagrams: {len(self):,} of {self.bytes_total:,} bytes>"

    @property
    def bytes_total(self) -> int:
        """The bytes of all."""
        return self._slab.bytes_total()

    @property
    def dropped(self) -> int:
        """How many datagrams the kernel had dropped at the socket, for want of room, when the last of these came; it
        counts to 2**32 and begins anew (SO_RXQ_OVFL, socket(7)).  What comes in one piece counts as one."""
        return self._slab.dropped()

    def tolist(self) -> list[bytes]:
        """Copies of all."""
        return self._slab.to_list()

    @property
    def lengths(self) -> NDArray[np.uint32]:
        """uint32[n]: bytes of each."""
        return self._column(self._slab.lengths(), "uint32")

    @property
    def addresses(self) -> AddressArray | list[str | None]:
        """Who sent each: an `AddressArray` [n]; of Unix sockets a list of paths, "@name" for an abstract one, None for
        one without a name.  An IPv6 socket that takes IPv4 tells of it as ::ffff:a.b.c.d."""
        if self._is_unix:
            return self._slab.paths()
        from .addresses import AddressArray

        return AddressArray(self._slab.addresses(), None)

    @property
    def ports(self) -> NDArray[np.uint16]:
        """uint16[n]: the port of who sent each; 0 of Unix sockets."""
        return self._column(self._slab.ports(), "uint16")

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """int64[n]: nanoseconds since the epoch, when the kernel received each (SO_TIMESTAMPNS, socket(7)).

        0 of Unix sockets: the kernel stamps what comes over a network, and of these no control messages are taken, for
        a peer may pass open descriptors by them.
        """
        return self._column(self._slab.stamps(), "int64")

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """bool[n]: it was longer than `size`, and its end is lost (MSG_TRUNC, recv(2))."""
        return self._column(self._slab.truncated(), "bool")

    def _column(self, data: bytearray, dtype: str) -> NDArray[Any]:
        from .addresses import _view

        return _view(data, dtype)


class DatagramBatch:
    """Receives and sends many datagrams a call through a socket of UDP, or a Unix one, that stays the caller's.

    Args:
        sock: a `socket.socket` of SOCK_DGRAM; AF_INET, AF_INET6 or AF_UNIX.  Its timeout and blocking mode are obeyed
            and never changed.  These options are set, and stay set after the batch: SO_TIMESTAMPNS, SO_RXQ_OVFL, and
            UDP_GRO if asked for.
        batch: messages a system call, 1 to 1,024.
        size: bytes that a datagram may have, 1 to 65,535; of a longer one the end is lost.
        gro: lets the kernel put together what comes in a row from one sender; it is handed out as the datagrams it was.
            Each message then has 64 KiB of memory, whatever `size` is.  The option is the socket's, and is never taken
            back: where another batch or the caller has set it, a batch with gro=False receives likewise.

    Attributes:
        sock: the socket.
        gso: whether runs of equal datagrams are sent in one piece, which the kernel cuts.  Set to False to forbid it;
            it becomes False where the kernel or the card cannot.

    Memory: a receive takes memory that nobody looks at any more, or new one: `batch` times `size` bytes each, of which
    four are kept at most.  Descriptors that a peer passes through a Unix socket are not taken.

    Raises TypeError for what is no socket; ValueError for one of another kind, one of TLS, a number out of its range,
    or gro=True with a Unix socket; OSError for a closed socket, and with gro=True where there is no UDP_GRO
    (ENOPROTOOPT: Linux before 5.0, or a socket that is not of UDP).  Linux only, elsewhere OSError (ENOSYS).

    Threads may share a batch: each receives on its own, but one sends at a time, and another that tries is told so by a
    RuntimeError.

    Source: recvmmsg(2), sendmmsg(2); UDP_SEGMENT and UDP_GRO of udp(7); SO_TIMESTAMPNS and SO_RXQ_OVFL of socket(7).

    Example:
        >>> import netfast as nf
        >>> with nf.udp_socket(("127.0.0.1", 0)) as sock:
        ...     batch = nf.DatagramBatch(sock)
        ...     batch.send([b"one", b"two"], sock.getsockname())
        ...     batch.recv().tolist()
        SendResult(sent=2, errors=[])
        [b'one', b'two']
    """

    def __init__(self, sock: socket.socket, *, batch: int = 64, size: int = 2048, gro: bool = False) -> None:
        kernel = border("_sockets", "batches of datagrams are moved by recvmmsg and sendmmsg")
        families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        check_kind(sock, families, socket.SOCK_DGRAM, "one of SOCK_DGRAM: UDP, or Unix datagrams")
        slots = checked_int("batch", batch, 1, kernel.SLOTS_MAX)
        length = checked_int("size", size, 1, kernel.DATAGRAM_MAX)
        self._sock = sock
        self._is_unix = sock.family == socket.AF_UNIX
        if gro and self._is_unix:
            raise ValueError("gro=True: Unix sockets have no GRO")
        _set_options(kernel, sock, bool(gro))
        self._kernel = kernel
        self._receiver = kernel.Receiver(slots, length, not self._is_unix, bool(gro))
        self._sender = kernel.Sender(sock, slots)
        self._drops_before = kernel.drops(sock)
        self._turns = Turns(sock, "batch")

    @property
    def sock(self) -> socket.socket:
        return self._sock

    @property
    def gso(self) -> bool:
        return bool(self._sender.gso)

    @gso.setter
    def gso(self, allowed: bool) -> None:
        self._sender.gso = bool(allowed)

    @property
    def dropped(self) -> int:
        """How many datagrams the kernel has dropped at this socket for want of room since the batch was made.  What
        comes in one piece counts as one."""
        now = self._kernel.drops(self.sock)
        return 0 if self._is_unix or now < 0 else int(now - self._drops_before) % 2**32

    def __repr__(self) -> str:
        return f"<DatagramBatch of {self.sock!r}>"

    # -- in

    def recv(self, *, timeout: float | None = UNSET) -> Datagrams:
        """Waits for a datagram, and takes all that are there, up to `batch` messages.

        timeout: seconds to wait, None for ever; without it, as the socket is set.

        Raises TimeoutError if nothing came in time (BlockingIOError where the socket does not wait), and OSError as of
        recv(2): of a connected socket an ICMP error, such as ConnectionRefusedError; ESHUTDOWN once it is shut down,
        EBADF once it is closed.  MemoryError where there is none for the datagrams.

        Source: recvmmsg(2).
        """
        seconds = patience(self.sock, timeout)
        slab = self._receiver.receive(self.sock, seconds)
        if slab is None:
            raise_late("no datagram came", seconds, timeout)
        return Datagrams(slab, self._is_unix)

    async def arecv(self) -> Datagrams:
        """The same on the running event loop, which waits as long as it takes; to be cancelled costs no datagram.

        Raises what `recv` does but for TimeoutError and BlockingIOError, and RuntimeError while another task awaits
        this batch.

        Source: recvmmsg(2), once the loop says that there is something.

        Example:
            >>> import asyncio, netfast as nf
            >>> async def main(sock):
            ...     sock.sendto(b"hello", sock.getsockname())
            ...     return (await nf.DatagramBatch(sock).arecv()).tolist()
            >>> with nf.udp_socket(("127.0.0.1", 0)) as sock:
            ...     asyncio.run(main(sock))
            [b'hello']
        """
        with self._turns.taken(to_write=False):
            await self._turns.breathe()
            while (slab := self._receiver.receive(self.sock, 0.0)) is None:
                await self._turns.ready(to_write=False)
            return Datagrams(slab, self._is_unix)

    # -- out

    def send(self, datagrams: Any, addresses: Any = None, *, timeout: float | None = UNSET) -> SendResult:
        """Sends datagrams, each to its address, and goes on behind one that is refused.

        datagrams: an iterable of bytes-like objects.
        addresses: None for those of a connected socket; one (host, port) for all, or a path; an iterable with one for
            each; or (AddressArray, ports) with one for each, as `Datagrams` has them of who sent.  A host is an IP
            address as text, with a zone where one is needed; names are not looked up.
        timeout: as for `recv`; where the time is over, what is done is returned.  None at all done is a TimeoutError.

        Runs of datagrams of one size to one address go in one piece (UDP_SEGMENT) where the kernel takes it, which
        changes nothing of what arrives.

        Raises TypeError and ValueError, with the index, for what is no datagram or no address; OSError where nothing
        can be sent at all, whose attribute `sent` says how many had gone; RuntimeError while another thread sends by
        this batch.

        An ICMP error of an earlier datagram, which a connected socket tells of, costs one datagram of a later call
        (ECONNREFUSED).  One that comes in the middle of a system call is not told: the kernel forgets it.

        Source: sendmmsg(2); UDP_SEGMENT of udp(7).
        """
        items = listed("datagrams", datagrams)
        packed = None if addresses is None else self._packed(addresses, len(items))
        seconds = patience(self.sock, timeout)
        sent, done, errors = self._sender.send(self.sock, items, packed, seconds)
        return self._result(sent, done, errors, len(items), seconds, timeout)

    def send_segments(
        self, buffer: Any, segment: int, address: Any = None, *, timeout: float | None = UNSET
    ) -> SendResult:
        """Sends one buffer as datagrams of `segment` bytes, the last perhaps shorter; 64 of them a piece.

        buffer: a bytes-like object in one piece.
        segment: 1 to 65,535.
        address: None for that of a connected socket, or one (host, port), or a path.
        timeout: as for `send`, and likewise what is returned and raised; an index is that of a segment.

        Source: UDP_SEGMENT of udp(7).

        Example:
            >>> import netfast as nf
            >>> with nf.udp_socket(("127.0.0.1", 0)) as sock:
            ...     batch = nf.DatagramBatch(sock)
            ...     batch.send_segments(b"onetwofin.", 3, sock.getsockname())
            ...     batch.recv().tolist()
            SendResult(sent=4, errors=[])
            [b'one', b'two', b'fin', b'.']
        """
        length = checked_int("segment", segment, 1, self._kernel.DATAGRAM_MAX)
        count = -(-_bytes_of(buffer) // length)
        packed = None if address is None else self._one(address)
        seconds = patience(self.sock, timeout)
        sent, done, errors = self._sender.send_segments(self.sock, buffer, length, packed, seconds)
        return self._result(sent, done, errors, count, seconds, timeout)

    def _result(
        self, sent: int, done: int, errors: list[tuple[int, int]], count: int, seconds: float, timeout: Any
    ) -> SendResult:
        if count and not done:
            raise_late("no datagram could be sent", seconds, timeout)
        return SendResult(sent, errors)

    # -- addresses

    def _packed(self, addresses: Any, count: int) -> Addresses:
        """Of each of so many, or one for all, as the kernel has them."""
        if _is_columns(addresses):
            hosts, ports = addresses
            return self._of_columns(hosts, ports, count)
        if _is_address(addresses, self._is_unix):
            return self._one(addresses)
        items = listed("addresses", addresses, "an iterable of one for each")
        made = self._places(count, len(items))
        if not self._is_unix:
            made.put_plain(items)
        self._put_others(made, items.__getitem__)
        return made

    def _one(self, address: Any) -> Addresses:
        made = self._places(1, 1)
        if not self._is_unix:
            made.put_plain([address])
        if made.missing(0) == 0:
            made.put(0, self._bytes(address, None))
        return made

    def _of_columns(self, hosts: AddressArray, ports: Any, count: int) -> Addresses:
        made = self._places(count, len(hosts))
        numbers = _listed_ports(ports, len(hosts))
        if len(numbers) != len(hosts):
            raise ValueError(f"there are {len(hosts):,} addresses and {len(numbers):,} ports")
        packed = bytearray(array("H", map(_port, numbers, range(count))))
        made.put_parsed(hosts._parsed, packed, self._scopes(hosts._parsed.zones))
        texts = hosts.to_list() if made.missing(0) >= 0 else []
        self._put_others(made, lambda row: (texts[row], numbers[row]))
        return made

    def _scopes(self, zones: dict[int, str]) -> dict[int, int]:
        """The number of the card of each row that has a zone."""
        if self.sock.family != socket.AF_INET6:
            return {}
        rows = {zone: row for row, zone in reversed(zones.items())}  # the first of each
        numbers = {zone: _scope(zone, row) for zone, row in rows.items()}
        return {row: numbers[zone] for row, zone in zones.items()}

    def _places(self, count: int, addresses: int) -> Addresses:
        if count != addresses:
            raise ValueError(f"there are {count:,} datagrams and {addresses:,} addresses")
        made: Addresses = self._kernel.Addresses(count, self.sock.family)
        return made

    def _put_others(self, made: Addresses, address: Callable[[int], Any]) -> None:
        """Those that are not there yet, each of which wants a closer look."""
        row = -1
        while (row := made.missing(row + 1)) >= 0:
            made.put(row, self._bytes(address(row), row))

    def _bytes(self, address: Any, index: int | None) -> bytes:
        """A struct sockaddr."""
        return _unix_bytes(address, index) if self._is_unix else _ip_bytes(address, self.sock.family, index)


def _is_columns(addresses: Any) -> bool:
    """(AddressArray, ports)."""
    from .addresses import AddressArray

    return isinstance(addresses, tuple) and len(addresses) == 2 and isinstance(addresses[0], AddressArray)


def _is_address(addresses: Any, is_unix: bool) -> bool:
    """One for all: a path, or (host, port, ...), also one whose port is wrong."""
    if isinstance(addresses, (str, bytes, os.PathLike)):
        return True
    if not isinstance(addresses, tuple) or len(addresses) < 2:
        return False
    is_host = isinstance(addresses[0], (str, ipaddress.IPv4Address, ipaddress.IPv6Address))
    return hasattr(addresses[1], "__index__") or (is_host and not is_unix and not isinstance(addresses[1], tuple))


def _listed_ports(ports: Any, count: int) -> list[Any]:
    """Of each of so many; one int is for all."""
    if as_int(ports) is not None:
        return [ports] * count
    if isinstance(ports, (str, bytes, bytearray)) or not hasattr(ports, "__iter__"):
        raise TypeError(f"ports is {type(ports).__name__}; wanted an iterable of ints")
    return list(ports)


def _bytes_of(buffer: Any) -> int:
    """How many a buffer has, which must be in one piece."""
    wanted = "wanted bytes, or an object of contiguous bytes"
    try:
        with memoryview(buffer) as view:
            if not view.c_contiguous:
                raise BufferError(wanted)
            return view.nbytes
    except TypeError:
        raise TypeError(f"buffer is {type(buffer).__name__}; {wanted}") from None
    except (BufferError, ValueError) as error:
        raise type(error)(f"buffer: {error}") from None


def _set_options(kernel: Any, sock: socket.socket, gro: bool) -> None:
    try:
        kernel.receive_options(sock, gro)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        wanted = "gro=True: the socket has no UDP_GRO, which sockets of UDP have since Linux 5.0"
        raise OSError(error.errno, wanted) from None


def _named(index: int | None) -> str:
    return "address" if index is None else f"address {index}"


def _no_address(address: Any, index: int | None) -> TypeError:
    return TypeError(f"{_named(index)} is {address!r:.60}; wanted (host, port), or a path of a Unix socket")


def _unix_bytes(path: Any, index: int | None) -> bytes:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise _no_address(path, index)
    name = read_path(path, _named(index))
    if not name:
        raise ValueError(f"{_named(index)} is {path!r}; wanted a path, or @name")
    return struct.pack("=H", socket.AF_UNIX) + name + (b"" if name.startswith(b"\0") else b"\0")


def _ip_bytes(address: Any, family: int, index: int | None) -> bytes:
    if not isinstance(address, tuple) or not 2 <= len(address) <= 4:
        raise _no_address(address, index)
    host, port, *more = address
    number = _port(port, index)
    version, value, zone = _parsed(host, index)
    if family == socket.AF_INET:
        if version != 4:
            raise ValueError(f"{_named(index)}: {host} is IPv6, and the socket IPv4")
        return struct.pack("=H", family) + struct.pack(">HI8x", number, value)
    packed = _IP4_IN_6 + value.to_bytes(4, "big") if version == 4 else value.to_bytes(16, "big")
    flow = checked_int(f"{_named(index)}: flow information", more[0], 0, 2**20 - 1) if more else 0
    scope = checked_int(f"{_named(index)}: scope", more[1], 0, 2**32 - 1) if len(more) == 2 else 0
    return (
        struct.pack("=H", family)
        + struct.pack(">HI", number, flow)
        + packed
        + struct.pack("=I", scope or _scope(zone, index))
    )


def _port(port: Any, index: int | None) -> int:
    return checked_int(f"{_named(index)}: port", port, 0, PORT_MAX)


def _parsed(host: Any, index: int | None) -> tuple[int, int, str | None]:
    if isinstance(host, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        host = str(host)
    if not isinstance(host, str):
        raise TypeError(f"{_named(index)}: the host is {type(host).__name__}; wanted an IP address as text")
    try:
        return _core.parse_one(host)
    except AddressError as error:
        raise ValueError(f"{_named(index)}: {error}; names are not looked up") from None


def _scope(zone: str | None, index: int | None) -> int:
    if zone is None:
        return 0
    try:
        if zone.isdecimal():
            return checked_int(f"{_named(index)}: zone", int(zone), 0, 2**32 - 1)
        return socket.if_nametoindex(zone)
    except OSError:
        raise ValueError(f"{_named(index)}: there is no network card {zone!r}") from None
