"""The sockets of this machine and who owns them, as netstat(8), ss(8) and lsof(8) tell, by sock_diag(7).  Linux.

Sockets are those of the network namespace of the thread that calls; their owners are looked for in /proc.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .checks import checked_port
from .linux import netlink
from .netstat_table import PROTOCOLS, STATES, UNCONNECTED, ConnectionTable, Owners, Process, state_name

__all__ = ["connections", "listening", "port_owner"]

_TCP, _UDP, _RAW, _UNIX = range(len(PROTOCOLS))
_INET, _INET6 = (socket.AF_INET,), (socket.AF_INET6,)
_BOTH = _INET + _INET6

# Each kind is transports, and the families of each.
_KINDS = {
    "inet": ((_TCP, _UDP), _BOTH),
    "inet4": ((_TCP, _UDP), _INET),
    "inet6": ((_TCP, _UDP), _INET6),
    "tcp": ((_TCP,), _BOTH),
    "tcp4": ((_TCP,), _INET),
    "tcp6": ((_TCP,), _INET6),
    "udp": ((_UDP,), _BOTH),
    "udp4": ((_UDP,), _INET),
    "udp6": ((_UDP,), _INET6),
    "raw": ((_RAW,), _BOTH),
    "raw4": ((_RAW,), _INET),
    "raw6": ((_RAW,), _INET6),
    "unix": ((_UNIX,), ()),
    "all": ((_TCP, _UDP, _RAW, _UNIX), _BOTH),
}

# The kernel has two numbers more: SYN_RECV of a connection that has no socket yet, and TCP sockets that are only bound.
_MORE_BITS = {"SYN_RECV": 1 << 12, "CLOSE": 1 << 13}
_WALKERS = 8  # threads that look at processes, at most


def connections(
    kind: str = "inet",
    *,
    states: str | Iterable[str] | None = None,
    local_port: int | None = None,
    owners: bool = False,
) -> ConnectionTable:
    """The sockets of this network namespace.

    kind: "inet" (TCP and UDP), "tcp", "udp", "raw", each also with a 4 or 6 for one family; "unix"; "all".
    states: one name or several: ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT,
        LAST_ACK, LISTEN, CLOSING; UNCONN for UDP, raw and Unix sockets that are not connected.
    local_port: 0 to 65535, of TCP and UDP; of raw sockets the IP protocol.
    owners: looks for the processes that hold each, in /proc: of other users' only root is told.

    The kernel picks states and ports itself, so to ask for few is quick among many.

    Raises ValueError for a kind, state or port that there is not, OSError if the kernel does not list its sockets.

    Source: sock_diag(7); /proc/net where the kernel has no sock_diag for them, which tells no `v6only`, `interface` or
    size of a backlog, and of Unix sockets no peer, queue or user.  While sockets come and go the kernel, which tells of
    them piece by piece, may leave one out: hardly ever by sock_diag, more often by /proc/net.

    Example:
        >>> import netfast as nf, socket
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     port = server.getsockname()[1]
        ...     with socket.create_connection(("127.0.0.1", port)):
        ...         found = nf.connections("tcp4", states="ESTABLISHED", local_port=port)
        >>> len(found), found[0].inode  # nobody has accepted it yet
        (1, 0)
    """
    return _table(kind, functools.partial(_state_bits, _state_names(states)), local_port, owners)


def listening(kind: str = "tcp", *, local_port: int | None = None, owners: bool = False) -> ConnectionTable:
    """The sockets that wait for others: TCP and Unix sockets that listen, UDP and raw sockets that are not connected.

    kind, local_port, owners: as for `connections`.

    Example:
        >>> import netfast as nf, socket
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     port = server.getsockname()[1]
        ...     [(row.local_address, row.state) for row in nf.listening(local_port=port)]
        [('127.0.0.1', 'LISTEN')]
    """
    return _table(kind, _waiting_bits, local_port, owners)


def port_owner(port: int, protocol: str = "tcp") -> list[Process]:
    """The processes that hold a socket on a local port, in the order of their pids: listening, connected or only bound.

    Every holder owns a socket, as parent and child after a fork; a connection that is over, or that nobody has accepted
    yet, has no owner.  Raises PermissionError (EACCES) if there is a socket but this process may not see by whom it is
    held: who is not root sees its own processes.

    Example:
        >>> import netfast as nf, os, socket
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     os.getpid() in [process.pid for process in nf.port_owner(server.getsockname()[1])]
        True
    """
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"protocol={protocol!r}: wanted 'tcp' or 'udp'")
    number = checked_port("port", port, least=0)
    found = _sockets(protocol, functools.partial(_state_bits, None), number)
    pids = found.holders(_threads())
    if pids == []:
        uid = next(row.uid for row in ConnectionTable(found, None) if row.inode)
        who = "of the kernel, of another PID namespace" if os.geteuid() == 0 else "of another user: root may see whose"
        what = f"port {number}/{protocol} is in use by a socket of user {uid}, held by no process"
        raise PermissionError(errno.EACCES, f"{what} that this one may look at (it may be {who})")
    return [process for pid in pids or () if (process := _process(pid))]


# ---- what is asked


def _table(kind: str, bits_of: Callable[[int], int], local_port: int | None, owners: bool) -> ConnectionTable:
    """bits_of: the states that are asked for, by transport."""
    found = _sockets(kind, bits_of, None if local_port is None else checked_port("local_port", local_port, least=0))
    found.settle()
    return ConnectionTable(found, _owners(found.owners(_threads())) if owners else None)


def _sockets(kind: str, bits_of: Callable[[int], int], port: int | None) -> Any:
    kernel = netlink()
    if kind == "unix" and port is not None:
        raise ValueError("kind='unix': Unix sockets have no port")
    found = kernel.Sockets()
    for transport, family in _wanted(kind):
        if transport == _UNIX and port is not None:
            continue
        if bits := bits_of(transport):
            found.read(transport, family, bits, kernel.ANY_PORT if port is None else port)
    return found


def _wanted(kind: Any) -> Iterator[tuple[int, int]]:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind={kind!r}: wanted one of {', '.join(_KINDS)}")
    transports, families = _KINDS[kind]
    for transport in transports:
        for family in (socket.AF_UNIX,) if transport == _UNIX else families:
            yield transport, family


def _state_names(states: Any) -> tuple[str, ...] | None:
    if states is None:
        return None
    if not isinstance(states, Iterable) or isinstance(states, bytes):
        raise TypeError(f"states is {type(states).__name__}; wanted the name of a state, or several")
    names = (states,) if isinstance(states, str) else tuple(states)
    known = (*STATES[1:], UNCONNECTED)
    for name in names:
        if name not in known:
            raise ValueError(f"no state {name!r}: there are {', '.join(known)}")
    return names


def _state_bits(states: Iterable[str] | None, transport: int) -> int:
    """The states as the kernel counts them, a bit each."""
    if states is None:
        return int(netlink().ALL_STATES)
    bits = 0
    for name in states:
        if name in ("CLOSE", UNCONNECTED) and name != state_name(transport, STATES.index("CLOSE")):
            continue  # the name that others have for it
        bits |= 1 << STATES.index("CLOSE" if name == UNCONNECTED else name) | _MORE_BITS.get(name, 0)
    return bits


def _waiting_bits(transport: int) -> int:
    return _state_bits(("LISTEN",) if transport in (_TCP, _UNIX) else (UNCONNECTED,), transport)


# ---- who holds them


def _threads() -> int:
    return min(_WALKERS, len(os.sched_getaffinity(0)))


def _owners(pids: list[tuple[int, ...] | None]) -> list[Owners]:
    """The processes of each row; one that has ended meanwhile is left out."""
    sets = {id(some): some for some in pids}  # equal ones are one tuple
    processes = {pid: _process(pid) for pid in {pid for some in sets.values() for pid in some or ()}}
    named: dict[int, Owners] = {
        key: None if some is None else tuple(process for pid in some if (process := processes[pid]))
        for key, some in sets.items()
    }
    return [named[id(some)] for some in pids]


def _process(pid: int) -> Process | None:
    try:
        return Process(pid, _name(pid), _cmdline(pid), _uid(pid))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(pid: int, what: str) -> bytes:
    with open(f"/proc/{pid}/{what}", "rb") as file:
        return file.read()


def _name(pid: int) -> str:
    return os.fsdecode(_read(pid, "comm").removesuffix(b"\n"))


def _cmdline(pid: int) -> tuple[str, ...]:
    text = _read(pid, "cmdline")
    return tuple(map(os.fsdecode, text.removesuffix(b"\0").split(b"\0"))) if text else ()


def _uid(pid: int) -> int:
    """The first of the four that /proc/PID/status has: real, effective, saved, of the file system (proc(5))."""
    line = next(line for line in _read(pid, "status").splitlines() if line.startswith(b"Uid:"))
    return int(line.split()[1])
