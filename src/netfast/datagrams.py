"""Many datagrams a call: recvmmsg(2) and sendmmsg(2), and the kernel's segmentation of UDP (udp(7)).  Linux.

Python has a call a packet.  Here a call moves up to 1,024 messages, each of which may be 64 datagrams that the kernel
puts together and takes apart (GSO and GRO), and makes no object a datagram until somebody looks at one.
"""

from __future__ import annotations

import ipaddress
import operator
import os
import socket
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from .errors import AddressError
from .linux import border
from .ping_options import checked_int
from .waits import UNSET, check_kind, descriptor, patience, raise_late, ready

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._sockets import Addresses, Slab
    from .addresses import AddressArray

__all__ = ["DatagramBatch", "Datagrams", "SendResult"]

_GRO_SLOT = 1 << 16  # bytes: the largest that the kernel puts together
_MOMENT = 0.001  # seconds: a socket may be said to be ready for nothing, as one with an error queue is
_UNIX_PATH_MAX = 107  # bytes: sun_path of unix(7) less its NUL
_IP4_IN_6 = b"\0" * 10 + b"\xff\xff"


class SendResult(NamedTuple):
    """What became of datagrams that were sent.

    Attributes:
        sent: how many the kernel took.
        errors: (index, errno) of each that it refused.  Those from `sent + len(errors)` on were not tried: the time was
            over.
    """

    sent: int
    errors: list[tuple[int, int]]


class Datagrams:
    """What one receive brought, in order of arrival.

    Attributes:
        dropped: how many datagrams the kernel had dropped at the socket, for want of room, when the last of these came;
            it counts to 2**32 and begins anew (SO_RXQ_OVFL, socket(7)).

    `datagrams[i]` is a memoryview of one, read-only; slices and iteration give these.  A view stays valid as long as
    anything holds it, or a part of it, or this object.  Columns are NumPy arrays, made when asked for.

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

    __slots__ = ("_is_unix", "_slab", "_view", "dropped")

    def __init__(self, slab: Slab, is_unix: bool) -> None:
        self._slab = slab
        self._view: memoryview | None = None
        self._is_unix = is_unix
        self.dropped = slab.dropped()

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
        """int64[n]: nanoseconds since the epoch, when the kernel received each; 0 where it does not tell."""
        return self._column(self._slab.stamps(), "int64")

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """bool[n]: it was longer than `size`, and its end is lost."""
        return self._column(self._slab.cut(), "bool")

    def _column(self, data: bytearray, dtype: str) -> NDArray[Any]:
        from .addresses import _view

        return _view(data, dtype)


class DatagramBatch:
    """Receives and sends many datagrams a call through a socket of UDP, or a Unix one, that stays the caller's.

    Args:
        sock: a `socket.socket` of SOCK_DGRAM; AF_INET, AF_INET6 or AF_UNIX.  Its timeout and blocking mode are obeyed
            and never changed.  These options are set: SO_TIMESTAMPNS, SO_RXQ_OVFL, and UDP_GRO if asked for.
        batch: messages a system call, 1 to 1,024.
        size: bytes that a datagram may have, 1 to 65,535; of a longer one the end is lost.
        gro: lets the kernel put together what comes in a row from one sender; it is handed out as the datagrams it was.
            Each message then has 64 KiB of memory, whatever `size` is.

    Attributes:
        sock: the socket.
        gso: whether runs of equal datagrams are sent in one piece, which the kernel cuts.  Set to False to forbid it;
            it becomes False where the kernel or the card cannot.

    Memory: a receive takes memory that nobody looks at any more, or new one; `batch` times `size` bytes each.

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
        kernel.receive_options(descriptor(sock), bool(gro))
        self._kernel = kernel
        self._receiver = kernel.Receiver(slots, _GRO_SLOT if gro else length)
        self._sender = kernel.Sender(descriptor(sock), slots)
        self._drops_before = kernel.drops(descriptor(sock))
        self._awaited = False

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
        """How many datagrams the kernel has dropped at this socket for want of room since the batch was made."""
        now = self._kernel.drops(descriptor(self.sock))
        return 0 if self._is_unix or now < 0 else int(now - self._drops_before) % 2**32

    def __repr__(self) -> str:
        return f"<DatagramBatch of {self.sock!r}>"

    # -- in

    def recv(self, *, timeout: float | None = UNSET) -> Datagrams:
        """Waits for a datagram, and takes all that are there, up to `batch` messages.

        timeout: seconds to wait, None for ever; without it, as the socket is set.

        Raises TimeoutError if nothing came in time (BlockingIOError where the socket does not wait), and OSError as of
        recv(2): of a connected socket an ICMP error, such as ConnectionRefusedError.
        """
        number, seconds = patience(self.sock, timeout)
        slab = self._receiver.receive(number, seconds)
        if slab is None:
            raise_late("no datagram came", seconds, timeout)
        return Datagrams(slab, self._is_unix)

    async def arecv(self) -> Datagrams:
        """The same on the running event loop, which waits as long as it takes; to be cancelled costs no datagram."""
        if self._awaited:
            raise RuntimeError("somebody else is awaiting datagrams of this batch")
        self._awaited = True
        try:
            pause = 0.0
            while (slab := self._receiver.receive(descriptor(self.sock), 0.0)) is None:
                await ready(self.sock, to_write=False, pause=pause)
                pause = _MOMENT
        finally:
            self._awaited = False
        return Datagrams(slab, self._is_unix)

    # -- out

    def send(self, datagrams: Any, addresses: Any = None, *, timeout: float | None = UNSET) -> SendResult:
        """Sends datagrams, each to its address, and goes on behind one that is refused.

        datagrams: an iterable of bytes-like objects.
        addresses: None for those of a connected socket; one (host, port) for all, or a path; an iterable with one for
            each; or (AddressArray, ports) with one for each.  A host is an IP address as text, with a zone where one is
            needed; names are not looked up.
        timeout: as for `recv`; where the time is over, what is done is returned.  None at all done is a TimeoutError.

        Runs of datagrams of one size to one address go in one piece (UDP_SEGMENT) where the kernel takes it, which
        changes nothing of what arrives.

        Raises TypeError and ValueError, with the index, for what is no datagram or no address; OSError where nothing
        can be sent at all.
        """
        items = list(_iterable("datagrams", datagrams))
        packed = self._packed(addresses, len(items))
        number, seconds = patience(self.sock, timeout)
        sent, done, errors = self._sender.send(number, items, packed, seconds)
        return self._result(sent, done, errors, len(items), seconds, timeout)

    def send_segments(
        self, buffer: Any, segment: int, address: Any = None, *, timeout: float | None = UNSET
    ) -> SendResult:
        """Sends one buffer as datagrams of `segment` bytes, the last perhaps shorter; 64 of them a piece.

        address: None for that of a connected socket, or one (host, port), or a path.
        """
        length = checked_int("segment", segment, 1, self._kernel.DATAGRAM_MAX)
        count = -(-memoryview(buffer).nbytes // length)
        packed = None if address is None else self._one(address)
        number, seconds = patience(self.sock, timeout)
        sent, done, errors = self._sender.send_segments(number, buffer, length, packed, seconds)
        return self._result(sent, done, errors, count, seconds, timeout)

    def _result(
        self, sent: int, done: int, errors: list[tuple[int, int]], count: int, seconds: float, timeout: Any
    ) -> SendResult:
        if count and not done:
            raise_late("no datagram could be sent", seconds, timeout)
        return SendResult(sent, errors)

    # -- addresses

    def _packed(self, addresses: Any, count: int) -> Addresses | None:
        """Of each of so many, or one for all, as the kernel has them."""
        if addresses is None:
            return None
        if _is_columns(addresses):
            return self._of_columns(*addresses, count)
        if _is_address(addresses):
            return self._one(addresses)
        items = list(_iterable("addresses", addresses))
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
        numbers = list(ports) if hasattr(ports, "__iter__") else [ports] * len(hosts)
        if len(numbers) != len(hosts):
            raise ValueError(f"there are {len(hosts):,} addresses and {len(numbers):,} ports")
        made.put_parsed(hosts._parsed, bytearray(array("H", map(_port, numbers, range(count)))))
        texts = hosts.to_list() if made.missing(0) >= 0 else []
        self._put_others(made, lambda row: (texts[row], numbers[row]))
        return made

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


def _iterable(what: str, items: Any) -> Any:
    if isinstance(items, (str, bytes, bytearray, memoryview)) or not hasattr(items, "__iter__"):
        raise TypeError(f"{what} is {type(items).__name__}; wanted an iterable of them")
    return items


def _is_columns(addresses: Any) -> bool:
    """(AddressArray, ports)."""
    from .addresses import AddressArray

    return isinstance(addresses, tuple) and len(addresses) == 2 and isinstance(addresses[0], AddressArray)


def _is_address(addresses: Any) -> bool:
    """One for all: a path, or (host, port, ...)."""
    if isinstance(addresses, (str, bytes, os.PathLike)):
        return True
    return isinstance(addresses, tuple) and len(addresses) >= 2 and hasattr(addresses[1], "__index__")


def _of(index: int | None) -> str:
    return "address" if index is None else f"address {index}"


def _no_address(address: Any, index: int | None) -> TypeError:
    return TypeError(f"{_of(index)} is {address!r:.60}; wanted (host, port), or a path of a Unix socket")


def _unix_bytes(path: Any, index: int | None) -> bytes:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise _no_address(path, index)
    raw = os.fsencode(path)
    if raw.startswith(b"@"):
        raw = b"\0" + raw[1:]
    most = _UNIX_PATH_MAX + raw.startswith(b"\0")  # which needs no NUL behind it
    if not 1 <= len(raw) <= most:
        raise ValueError(f"{_of(index)} has {len(raw)} bytes; a path of a Unix socket has 1 to {most}")
    return struct.pack("=H", socket.AF_UNIX) + raw + (b"" if raw.startswith(b"\0") else b"\0")


def _ip_bytes(address: Any, family: int, index: int | None) -> bytes:
    if not isinstance(address, tuple) or not 2 <= len(address) <= 4:
        raise _no_address(address, index)
    host, port, *more = address
    number = _port(port, index)
    version, value, zone = _parsed(host, index)
    if family == socket.AF_INET:
        if version != 4:
            raise ValueError(f"{_of(index)}: {host} is IPv6, and the socket IPv4")
        return struct.pack("=H", family) + struct.pack(">HI8x", number, value)
    packed = _IP4_IN_6 + value.to_bytes(4, "big") if version == 4 else value.to_bytes(16, "big")
    scope = int(more[1]) if len(more) == 2 else _scope(zone, index)
    return (
        struct.pack("=H", family)
        + struct.pack(">HI", number, more[0] if more else 0)
        + packed
        + struct.pack("=I", scope)
    )


def _port(port: Any, index: int | None) -> int:
    if isinstance(port, bool) or not hasattr(port, "__index__"):
        raise TypeError(f"{_of(index)}: the port is {type(port).__name__}; wanted an int")
    number = operator.index(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"{_of(index)}: the port {number} is out of range (wanted 0 to 65535)")
    return number


def _parsed(host: Any, index: int | None) -> tuple[int, int, str | None]:
    if isinstance(host, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        host = str(host)
    if not isinstance(host, str):
        raise TypeError(f"{_of(index)}: the host is {type(host).__name__}; wanted an IP address as text")
    try:
        return _core.parse_one(host)
    except AddressError as error:
        raise ValueError(f"{_of(index)}: {error}; names are not looked up") from None


def _scope(zone: str | None, index: int | None) -> int:
    if zone is None:
        return 0
    try:
        return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    except OSError:
        raise ValueError(f"{_of(index)}: there is no network card {zone!r}") from None
