"""How long a call waits for a socket: as the socket is set, or as the call is told."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any, NoReturn

from .ping_options import checked_seconds


class _Unset:
    def __repr__(self) -> str:
        return "<as the socket is set>"


UNSET: Any = _Unset()
FOREVER = -1.0


def patience(sock: socket.socket, timeout: Any) -> tuple[int, float]:
    """The descriptor, and the seconds to wait: negative for ever."""
    number = descriptor(sock)
    if timeout is UNSET:
        own = sock.gettimeout()
        return number, FOREVER if own is None else own
    return number, FOREVER if timeout is None else checked_seconds("timeout", timeout)


def descriptor(sock: socket.socket) -> int:
    number = sock.fileno()
    if number < 0:
        raise OSError(errno.EBADF, "the socket is closed")
    return number


def raise_late(what: str, seconds: float, timeout: Any) -> NoReturn:
    """What a socket that is set so raises: that it would have to wait, or that it has."""
    if timeout is UNSET and seconds == 0:
        raise BlockingIOError(errno.EAGAIN, f"{what}, and the socket does not wait")
    raise TimeoutError(errno.ETIMEDOUT, f"{what} within {seconds:g} s")


def check_kind(sock: Any, families: tuple[int, ...], kind: int, what: str) -> None:
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock is {type(sock).__name__}; wanted a socket.socket")
    descriptor(sock)
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        raise ValueError("the socket is one of TLS, which this would go beneath")
    if sock.family not in families or sock.type != kind:
        raise ValueError(f"the socket is one of {sock.family.name} and {sock.type.name}; wanted {what}")


def raise_system(error: int) -> NoReturn:
    raise OSError(error, os.strerror(error))


async def ready(sock: socket.socket, *, to_write: bool, pause: float = 0.0) -> None:
    """Waits on the running event loop until there is something to read, or room to write; `pause` seconds at least.

    By a descriptor of its own, for a loop has one reader for each, which may be somebody else's.
    """
    import asyncio

    if pause:
        await asyncio.sleep(pause)
    loop = asyncio.get_running_loop()
    number = os.dup(descriptor(sock))
    come = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)

    def tell() -> None:
        if not come.done():
            come.set_result(None)

    add(number, tell)
    try:
        await come
    finally:
        remove(number)
        os.close(number)
