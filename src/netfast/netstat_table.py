"""Sockets of this machine, a row each, and the processes that hold them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .linux import netlink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._netlink import Sockets

# include/net/tcp_states.h: other sockets use the same numbers.
STATES = (
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
)
UNCONNECTED = "UNCONN"  # what CLOSE means where there is no connection to close
PROTOCOLS = ("tcp", "udp", "raw", "unix")  # by the border's number of a transport


def state_name(transport: int, state: int) -> str:
    """The name of a state of a TCP (0) or another socket."""
    name = STATES[state] if state < len(STATES) else str(state)
    return UNCONNECTED if name == "CLOSE" and transport else name


_STATE_NAMES = [state_name(transport, state) for transport in range(len(PROTOCOLS)) for state in range(len(STATES))]

# Columns of numbers, and their types for NumPy.
_NUMBERS = {
    "family": "uint8",
    "type": "uint8",
    "transport": "uint8",
    "state": "uint8",
    "local_port": "uint16",
    "remote_port": "uint16",
    "recv_q": "uint32",
    "send_q": "uint32",
    "uid": "uint32",
    "inode": "uint64",
    "interface": "uint32",
    "v6only": "bool",
}
_ARROW = {"uint8": "C", "uint16": "S", "uint32": "I", "uint64": "L"}  # formats of the Arrow C data interface
_FAMILIES = {int(family): family for family in socket.AddressFamily}
_TYPES = {int(kind): kind for kind in socket.SocketKind}


class Process(NamedTuple):
    """A process that holds a socket.

    Attributes:
        pid: its number.
        name: of its program, at most 15 bytes (/proc/PID/comm), as `os.fsdecode` has it.
        cmdline: its arguments; empty for one that has none, such as a zombie.
        uid: the user it runs as, its real one.
    """

    pid: int
    name: str
    cmdline: tuple[str, ...]
    uid: int


Owners = tuple[Process, ...] | None


class Connection(NamedTuple):
    """A socket: a row of a `ConnectionTable`, which says what the fields are."""

    family: socket.AddressFamily
    type: socket.SocketKind
    protocol: str
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    state: str
    recv_q: int
    send_q: int
    uid: int
    inode: int
    interface: int
    v6only: bool
    processes: Owners

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON: family "inet", "inet6" or "unix", type "stream", "dgram", ..."""
        processes = None if self.processes is None else [process._asdict() for process in self.processes]
        names = {"family": self.family.name[3:].lower(), "type": self.type.name[5:].lower()}  # AF_INET, SOCK_STREAM
        return {**self._asdict(), **names, "processes": processes}


# Places of what is put into words.
_FAMILY, _TYPE, _PROTOCOL, _STATE = map(Connection._fields.index, ("family", "type", "protocol", "state"))


class ConnectionTable:
    """The sockets of a network namespace as they were, a row each; columns are NumPy arrays, made when they are asked
    for.

    Attributes:
        family: uint8[n]: `socket.AF_INET`, `AF_INET6` or `AF_UNIX`.
        type: uint8[n]: `socket.SOCK_STREAM`, ...
        protocol: object[n]: "tcp", "udp", "raw", "unix".
        local_address, remote_address: object[n]: str, with a zone where one is needed; of Unix sockets the path, an
            abstract name as "@name", or ""; that of the peer where it is known.
        local_port, remote_port: uint16[n]: 0 where there is none; of raw sockets the IP protocol.
        state: object[n]: as in tcp_states.h of the kernel ("ESTABLISHED", "LISTEN", ...); "CLOSE" for a TCP socket that
            is only bound; "UNCONN" for others that are neither connected nor listening.
        recv_q, send_q: uint32[n]: bytes that wait to be read, and to be acknowledged or sent; of a TCP or Unix listener
            the connections that wait to be accepted, and how many may.
        uid: uint32[n]: the user who made it.
        inode: uint64[n]: its number, as in /proc/PID/fd; 0 for one that belongs to no file.
        interface: uint32[n]: index of the network card it is bound to, 0 for any.
        v6only: bool[n]: a listening or unconnected IPv6 socket that takes no IPv4.
        processes: object[n]: who holds it, a tuple of `Process`.  () for one that belongs to no file: TIME_WAIT,
            half open, or not yet accepted.  None where it is not known: it was not asked for, or no process that this
            one may look at holds it.

    It is an Arrow stream, too: `protocol`, addresses and `state` as text, `processes` as their pids ("12,13").

    Example:
        >>> import netfast as nf, socket
        >>> with nf.reserve_port(host="127.0.0.1") as mine:
        ...     mine.listen(5)
        ...     found = nf.listening(local_port=mine.getsockname()[1], owners=True)
        >>> found[0].local_address, found[0].state, found.send_q.tolist(), len(found[0].processes)
        ('127.0.0.1', 'LISTEN', [5], 1)
    """

    __slots__ = ("_owners", "_sockets")

    def __init__(self, sockets: Sockets, owners: list[Owners] | None) -> None:
        self._sockets = sockets
        self._owners = owners

    def __len__(self) -> int:
        return len(self._sockets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        fields = list(self._sockets.row(row))
        transport, state = fields[_PROTOCOL], fields[_STATE]
        fields[_FAMILY] = _FAMILIES[fields[_FAMILY]]
        fields[_TYPE] = _TYPES[fields[_TYPE]]
        fields[_PROTOCOL] = PROTOCOLS[transport]
        fields[_STATE] = state_name(transport, state)
        return Connection._make([*fields, self._owners[row] if self._owners else None])

    def __iter__(self) -> Iterator[Connection]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"<ConnectionTable of {len(self):,} sockets>"

    def to_dicts(self) -> list[dict[str, object]]:
        """The rows, each as `Connection.to_dict` has it."""
        return [row.to_dict() for row in self]

    # -- columns

    def _bytes(self, name: str) -> bytearray:
        return self._sockets.column(getattr(netlink(), name.upper()))

    def _numbers(self, name: str) -> NDArray[Any]:
        from .addresses import _view

        return _view(self._bytes(name), _NUMBERS[name])

    def _words(self, words: Sequence[str], codes: NDArray[np.uint8]) -> NDArray[np.object_]:
        import numpy as np

        made: NDArray[np.object_] = np.array(words, dtype=object)[codes]
        return made

    def _addresses(self, remote: bool) -> NDArray[np.object_]:
        import numpy as np

        return np.array(self._sockets.texts(remote), dtype=object)

    @property
    def family(self) -> NDArray[np.uint8]:
        return self._numbers("family")

    @property
    def type(self) -> NDArray[np.uint8]:
        return self._numbers("type")

    @property
    def protocol(self) -> NDArray[np.object_]:
        return self._words(PROTOCOLS, self._numbers("transport"))

    @property
    def local_address(self) -> NDArray[np.object_]:
        return self._addresses(remote=False)

    @property
    def local_port(self) -> NDArray[np.uint16]:
        return self._numbers("local_port")

    @property
    def remote_address(self) -> NDArray[np.object_]:
        return self._addresses(remote=True)

    @property
    def remote_port(self) -> NDArray[np.uint16]:
        return self._numbers("remote_port")

    @property
    def state(self) -> NDArray[np.object_]:
        return self._words(_STATE_NAMES, self._numbers("transport") * len(STATES) + self._numbers("state"))

    @property
    def recv_q(self) -> NDArray[np.uint32]:
        return self._numbers("recv_q")

    @property
    def send_q(self) -> NDArray[np.uint32]:
        return self._numbers("send_q")

    @property
    def uid(self) -> NDArray[np.uint32]:
        return self._numbers("uid")

    @property
    def inode(self) -> NDArray[np.uint64]:
        return self._numbers("inode")

    @property
    def interface(self) -> NDArray[np.uint32]:
        return self._numbers("interface")

    @property
    def v6only(self) -> NDArray[np.bool_]:
        return self._numbers("v6only")

    @property
    def processes(self) -> NDArray[np.object_]:
        import numpy as np

        made = np.empty(len(self), dtype=object)
        for row, owners in enumerate(self._owners or ()):  # at once, tuples would be taken for rows of a table
            made[row] = owners
        return made

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from ._arrow import ArrowData, arrow_bits, arrow_text

        n = len(self)

        def column(name: str) -> ArrowData:
            if name == "processes":
                return arrow_text(list(map(_pids, self._owners or [None] * n)), name)
            if name == "v6only":
                return ArrowData("b", n, [None, arrow_bits(self._bytes(name))], name=name)
            if name in _NUMBERS and name != "state":
                return ArrowData(_ARROW[_NUMBERS[name]], n, [None, self._bytes(name)], name=name)
            return arrow_text(list(map(_utf8, getattr(self, name))), name)

        columns = [column(name) for name in Connection._fields]
        return ArrowData("+s", n, [None], children=columns).stream_capsule()


def _pids(owners: Owners) -> str | None:
    return None if owners is None else ",".join(str(process.pid) for process in owners)


def _utf8(text: str) -> str:
    """Arrow's text is UTF-8, and a path need not be: what is not is spelt out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
