"""What `listen`, `send`, `blast` and `sink` have in common: [tcp|udp|unix] ADDR, and who is at the other end."""

from __future__ import annotations

import argparse
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..endpoints import joined, path_text, read_endpoint, read_path
from ._options import Parser
from ._sockets import unmapped

ADDRESSES = (
    'ADDR: "host:port", "[IPv6]:port", ":port" or a port alone; of a Unix socket a path, or "@name" for an abstract '
    "one. What begins with / or ./ or @ is that of a Unix socket, anything else of TCP, unless tcp, udp or unix stands "
    "in front."
)
_UNIX_MARKS = ("/", "./", "@")


class Target(NamedTuple):
    """A protocol, and the address as it was written."""

    protocol: str
    address: str


def add_target(parser: Parser, more: str = "") -> None:
    """The operands, which `read_target` reads back."""
    parser.add_argument("words", nargs="*", metavar=f"ADDR{more}", help=argparse.SUPPRESS)


def read_target(
    parser: Parser, words: Sequence[str], protocols: Sequence[str] = ("tcp", "udp", "unix"), *, least: int = 0
) -> tuple[Target, list[str]]:
    """The protocol and the address, and the words behind them; what is wrong ends the command here, in a line.

    least: 0 if the kernel may choose the port, or an abstract name; 1 if not.
    """
    rest = list(words)
    protocol = rest.pop(0) if rest and rest[0] in protocols else None
    if not rest:
        parser.error("there is no address (wanted such as localhost:8080)")
    address = rest.pop(0)
    if protocol is None:
        protocol = "unix" if "unix" in protocols and address.startswith(_UNIX_MARKS) else "tcp"
    try:
        if protocol != "unix":
            read_endpoint(address, "ADDR", least=least)
        else:
            read_path(address, "ADDR", least=least)
    except ValueError as error:
        parser.error(str(error))
    except OSError:  # a path that is too long, as who opens the socket will say
        pass
    return Target(protocol, address), rest


def add_type(parser: Parser) -> None:
    """--type, which `check_type` holds against the protocol."""
    parser.add_argument(
        "--type", choices=("stream", "dgram", "seqpacket"), default="stream", metavar="TYPE",
        help="of a Unix socket: stream (default), dgram or seqpacket",
    )  # fmt: skip


def check_type(parser: Parser, target: Target, type: str) -> None:
    if target.protocol != "unix" and type != "stream":
        parser.error("--type goes with unix")


def no_more(parser: Parser, words: Sequence[str]) -> None:
    if words:
        parser.error(f"{words[0]!r} is one word too many")


def name_of(address: Any) -> str:
    """The address of a socket as text; that of IPv4 in an IPv6 socket is IPv4's, and "" is that of nobody."""
    if isinstance(address, tuple):
        zone = f"%{address[3]}" if len(address) == 4 and address[3] and "%" not in address[0] else ""
        return joined(unmapped(address[0]) + zone, address[1])
    return path_text(address)


_UCRED = struct.Struct("iII")  # pid, uid, gid: unix(7)


def peer_of(sock: socket.socket) -> str:
    """Who is at the other end of a connection; the process, if it has no name."""
    name = name_of(sock.getpeername())
    if name or not hasattr(socket, "SO_PEERCRED"):
        return name or "somebody"
    pid, _, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"process {pid}"
