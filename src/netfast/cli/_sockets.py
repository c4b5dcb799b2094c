"""What netstat and lsof have in common: addresses, ports and users as text, and what only root may see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from . import _output

if TYPE_CHECKING:
    from ..netstat_table import Connection

_MAPPED = "::ffff:"


def ends(connection: Connection) -> tuple[tuple[str, int], tuple[str, int]]:
    """Address and port at this end and at the other; that of IPv4 in an IPv6 socket is IPv4's, as people write it."""
    return (
        (unmapped(connection.local_address), connection.local_port),
        (unmapped(connection.remote_address), connection.remote_port),
    )


def unmapped(address: str) -> str:
    """127.0.0.1 for ::ffff:127.0.0.1, any other address as it is."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) and "." in address else address


def port_texts(numeric: bool) -> Callable[[int, str], str]:
    """A function from port and protocol to text: the number, or the name of its service."""
    if numeric:
        return lambda port, protocol: str(port or "*")
    from ..ports import service_name

    def text(port: int, protocol: str) -> str:
        # In the place of a port, raw sockets have the number of a protocol.
        name = service_name(port, protocol) if port and protocol != "raw" else None
        return name or str(port or "*")

    return text


@cache
def user_name(uid: int) -> str | None:
    """The name of a user; None without."""
    import pwd

    try:
        return _output.one_line(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return None


def note_unseen(rows: Iterable[Connection]) -> None:
    """Says of how many sockets only root could tell who holds them."""
    count = sum(row.processes is None for row in rows)
    if count and os.geteuid() != 0:
        _output.complain(f"who holds {count} socket{'s' if count > 1 else ''}, only root may see")


def reason(error: OSError) -> str:
    return error.strerror or str(error)
