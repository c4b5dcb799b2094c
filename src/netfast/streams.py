"""All of it: bytes into a stream socket, and a number of bytes out of it.  Linux."""

from __future__ import annotations

import errno
import socket
from typing import Any, NoReturn

from .checks import checked_int
from .linux import border
from .waits import UNSET, check_kind, patience, raise_late, raise_system

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def _kernel() -> Any:
    return border("_sockets", "streams are read and written many buffers a call")


def check_stream(sock: Any) -> None:
    check_kind(sock, _FAMILIES, socket.SOCK_STREAM, "one of SOCK_STREAM: TCP, or a Unix stream")


def send_all(sock: socket.socket, buffers: Any, *, timeout: float | None = UNSET) -> int:
    """Sends bytes, or many buffers one after the other, 1,024 a system call; how many bytes that were.

    buffers: bytes-like, or an iterable of these.
    timeout: seconds to wait for room, None for ever; without it, as the socket is set.

    Raises TimeoutError, BlockingIOError where the socket does not wait, or OSError as of send(2); their attribute
    `sent` says how many bytes had gone.  TypeError with the index for what is no bytes.

    Source: sendmsg(2).

    Example:
        >>> import netfast as nf, socket
        >>> one, other = socket.socketpair()
        >>> with one, other:
        ...     nf.send_all(one, [b"GET ", b"/", b"\\r\\n"]), nf.recv_exactly(other, 7)
        (7, b'GET /\\r\\n')
    """
    kernel = _kernel()
    check_stream(sock)
    if isinstance(buffers, str):
        raise TypeError("buffers is str; wanted bytes, or an iterable of bytes-like objects")
    items = [buffers] if _is_buffer(buffers) else list(buffers)
    seconds = patience(sock, timeout)
    sent, error = kernel.send_buffers(sock, items, "buffer", seconds)
    if error:
        raise_unsent(error, f"{sent:,} bytes were sent, and no more", sent, seconds, timeout)
    return int(sent)


def _is_buffer(item: Any) -> bool:
    try:
        memoryview(item).release()
    except TypeError:
        return not hasattr(item, "__iter__")  # which is then said to be no bytes
    return True


def raise_unsent(error: int, what: str, sent: int, seconds: float, timeout: Any) -> NoReturn:
    """The error of a send that did not end, with what had gone."""
    try:
        if error == errno.EAGAIN:
            raise_late(what, seconds, timeout)
        raise_system(error)
    except OSError as raised:
        raised.sent = sent  # type: ignore[attr-defined]
        raise


def recv_exactly(sock: socket.socket, n: int, *, timeout: float | None = UNSET) -> bytes:
    """So many bytes, however many pieces they come in.

    timeout: seconds to wait for all of them, None for ever; without it, as the socket is set.

    Raises EOFError if the stream ends before, TimeoutError, BlockingIOError where the socket does not wait, or OSError
    as of recv(2).  What had come is lost then: a `FrameStream` keeps it.  TypeError and ValueError for what is no
    stream socket or no count; MemoryError for more bytes than there is memory for.

    Source: recv(2).

    Example:
        >>> import netfast as nf, socket
        >>> one, other = socket.socketpair()
        >>> with one, other:
        ...     one.sendall(b"hello")
        ...     nf.recv_exactly(other, 4)
        b'hell'
    """
    kernel = _kernel()
    check_stream(sock)
    wanted = checked_int("n", n, 0, 2**62)
    seconds = patience(sock, timeout)
    made, came, ended = kernel.receive_exactly(sock, wanted, seconds)
    _check_all(came, wanted, ended, seconds, timeout)
    return bytes(made)


def recv_exactly_into(sock: socket.socket, buffer: Any, *, timeout: float | None = UNSET) -> None:
    """The same into a writable buffer, all of which is filled.

    Raises what `recv_exactly` does, when the buffer holds what had come; TypeError or BufferError, with its type, for a
    buffer that is read-only or not contiguous.

    Source: recv(2).

    Example:
        >>> import netfast as nf, socket
        >>> one, other = socket.socketpair()
        >>> room = bytearray(3)
        >>> with one, other:
        ...     one.sendall(b"hello")
        ...     nf.recv_exactly_into(other, room)
        >>> room
        bytearray(b'hel')
    """
    kernel = _kernel()
    check_stream(sock)
    seconds = patience(sock, timeout)
    wanted, came, ended = kernel.receive_into(sock, buffer, seconds)
    _check_all(came, wanted, ended, seconds, timeout)


def _check_all(came: int, wanted: int, ended: bool, seconds: float, timeout: Any) -> None:
    if ended:
        raise EOFError(f"the stream ended after {came:,} of {wanted:,} bytes")
    if came < wanted:
        raise_late(f"{came:,} of {wanted:,} bytes came", seconds, timeout)
