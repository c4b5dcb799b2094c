"""How long a call waits for a socket: as the socket is set, or as the call is told."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from .checks import checked_seconds

_BREATH = 0.005  # seconds: so long a task may find what it wants, and let no other run
_MOMENT = 0.001  # seconds of a wait for what the loop cannot tell
_LOOK = 0.1  # seconds between two looks at whether the socket is still there


class _Unset:
    def __repr__(self) -> str:
        return "<as the socket is set>"


UNSET: Any = _Unset()
FOREVER = -1.0


def patience(sock: socket.socket, timeout: Any) -> float:
    """The seconds to wait: negative for ever."""
    if timeout is UNSET:
        own = sock.gettimeout()
        return FOREVER if own is None else own
    return FOREVER if timeout is None else checked_seconds("timeout", timeout)


def raise_late(what: str, seconds: float, timeout: Any) -> NoReturn:
    """What a socket that is set so raises: that it would have to wait, or that it has."""
    if timeout is UNSET and seconds == 0:
        raise BlockingIOError(errno.EAGAIN, f"{what}, and the socket does not wait")
    raise TimeoutError(errno.ETIMEDOUT, f"{what} within {seconds:g} s")


def descriptor(sock: socket.socket) -> int:
    number = sock.fileno()
    if number < 0:
        raise OSError(errno.EBADF, "the socket is closed")
    return number


def check_kind(sock: Any, families: Iterable[int], kind: int, what: str) -> None:
    """As the kernel says, for a socket.socket may be made with any family and type for a descriptor."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock is {type(sock).__name__}; wanted a socket.socket")
    descriptor(sock)
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        raise ValueError("the socket is one of TLS, which this would go beneath")
    family = sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    if family not in families or found != kind:
        raise ValueError(f"the socket is one of {_names(family, found)}; wanted {what}")
    if (sock.family, sock.type) != (family, found):
        made = _names(sock.family, sock.type)
        raise ValueError(f"the socket is one of {_names(family, found)}, and was made as one of {made}")


def _names(family: int, kind: int) -> str:
    return f"{_name(socket.AddressFamily, family)} and {_name(socket.SocketKind, kind)}"


def _name(names: Any, number: int) -> str:
    try:
        return str(names(number).name)
    except ValueError:
        return str(int(number))


def listed(what: str, items: Any, wanted: str = "an iterable of bytes-like objects") -> list[Any]:
    if isinstance(items, (str, bytes, bytearray, memoryview)) or not hasattr(items, "__iter__"):
        raise TypeError(f"{what} is {type(items).__name__}; wanted {wanted}")
    return list(items)


def raise_system(error: int) -> NoReturn:
    raise OSError(error, os.strerror(error))


class Turns:
    """One task at a time in each direction of a socket, which others wait beside."""

    def __init__(self, sock: socket.socket, what: str) -> None:
        self._sock = sock
        self._what = what
        self._taken = set[bool]()
        self._ran = 0.0  # when other tasks last could
        self._erred = set[bool]()  # directions in which the last wait ended with an error, and nothing else

    @contextmanager
    def taken(self, *, to_write: bool) -> Iterator[None]:
        """RuntimeError while another task is at it."""
        if to_write in self._taken:
            raise RuntimeError(f"somebody else is awaiting this {self._what}")
        self._taken.add(to_write)
        self._erred.discard(to_write)
        try:
            yield
        finally:
            self._taken.discard(to_write)

    async def breathe(self) -> None:
        """Lets other tasks run, if none could for a while: whoever always finds something never waits."""
        import asyncio

        loop = asyncio.get_running_loop()
        if loop.time() - self._ran > _BREATH:
            await asyncio.sleep(0)
            self._ran = loop.time()

    def _only_error(self, number: int, to_write: bool) -> bool:
        """Notes whether an error is all that there is now: of an operation before, or one in the error queue."""
        asked = select.poll()
        asked.register(number, select.POLLOUT if to_write else select.POLLIN)
        erred = [event for _, event in asked.poll(0)] == [select.POLLERR]
        (self._erred.add if erred else self._erred.discard)(to_write)
        return erred

    async def ready(self, *, to_write: bool) -> None:
        """Waits on the running event loop until there is something to read, or room to write; OSError if the socket is
        closed meanwhile.

        By a descriptor of its own, for a loop has one reader for each, which may be somebody else's.

        An error queue that nobody reads makes a socket ready as long as it has something, so no loop can wait at it:
        where an error was all that there was the last time, a moment is waited instead.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        if to_write in self._erred:
            await asyncio.sleep(_MOMENT)
            self._ran = loop.time()
            if self._only_error(descriptor(self._sock), to_write):
                return
        come = loop.create_future()
        number = descriptor(self._sock)
        own = os.dup(number)
        add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)

        later: asyncio.TimerHandle

        def tell() -> None:
            if not come.done():
                come.set_result(None)

        def look() -> None:
            nonlocal later
            if self._sock.fileno() == number:
                later = loop.call_later(_LOOK, look)
            elif not come.done():
                come.set_exception(OSError(errno.EBADF, "the socket is closed"))

        later = loop.call_later(_LOOK, look)
        try:
            add(own, tell)
            try:
                await come
            finally:
                remove(own)
            self._only_error(own, to_write)
        finally:
            later.cancel()
            os.close(own)
            self._ran = loop.time()
