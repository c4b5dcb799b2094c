"""Frames over a stream: messages behind their length, or in front of a delimiter, many a call.  Linux."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from typing import Any

from .checks import checked_int
from .linux import border
from .streams import check_stream, raise_unsent
from .waits import UNSET, Turns, listed, patience, raise_late

__all__ = ["FrameStream"]

_WIDTHS = {"B": 1, "H": 2, "I": 4, "Q": 8}
_PREFIX = re.compile("([<>!])([BHIQ])")
_DELIMITER_MAX = 16  # bytes


class FrameStream:
    """Cuts a TCP or Unix stream into frames, and sends frames through it; the socket stays the caller's.

    Args:
        sock: a `socket.socket` of SOCK_STREAM.  Its timeout and blocking mode are obeyed and never changed.
        prefix: how the length stands in front of a frame, as `struct` has it: ">B", ">H", ">I", ">Q" (network order;
            "!" is the same) or with "<" (little endian).
        delimiter: in its place, 1 to 16 bytes behind each frame, which no frame holds.
        max_frame: bytes of the largest frame that is taken or sent.

    Many frames come of one read, and many go with one system call.  What was read and is no whole frame yet stays here:
    a timeout, Ctrl-C or a cancelled task loses nothing.

    Iterating gives frame by frame to the end of the stream, and raises what `recv` does.  It reads many at a time, too:
    those that the loop has not come to stay here, for whoever goes on.

    Raises TypeError for what is no socket, prefix or delimiter; ValueError for a socket of another kind or one of TLS,
    for both a prefix and a delimiter or neither, and for a number out of its range; OSError for a closed socket.  Linux
    only, elsewhere OSError (ENOSYS).

    One thread or task receives at a time, and one sends: another that tries is told so by a RuntimeError.

    Source: recv(2), sendmsg(2); TCP keeps no boundaries of messages (RFC 9293, 3.7), so a stream needs such marks.

    Example:
        >>> import netfast as nf, socket
        >>> one, other = socket.socketpair()
        >>> with one, other:
        ...     nf.FrameStream(one, prefix=">H").send([b"hello", b"", b"world"])
        ...     nf.FrameStream(other, prefix=">H").recv()
        3
        [b'hello', b'', b'world']
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        prefix: str | None = None,
        delimiter: bytes | None = None,
        max_frame: int = 16 * 2**20,
    ) -> None:
        kernel = border("_sockets", "frames are cut out of large reads")
        check_stream(sock)
        if (prefix is None) == (delimiter is None):
            raise ValueError("wanted a prefix or a delimiter, and not both")
        width, little_endian = _checked_prefix(prefix)
        most = checked_int("max_frame", max_frame, 1, 2**62)
        self.sock = sock
        self._kernel = kernel
        self._frames = kernel.Frames(width, little_endian, _checked_delimiter(delimiter), most)
        self._turns = Turns(sock, "stream")

    def __repr__(self) -> str:
        return f"<FrameStream of {self.sock!r}>"

    @property
    def buffered(self) -> bytes:
        """What has been read and not been handed out."""
        return bytes(self._frames.buffered())

    # -- in

    def recv(self, max: int = 1024, *, timeout: float | None = UNSET) -> list[bytes]:
        """Waits for a frame, and takes all whole ones that came with it, up to `max`; [] at the end of the stream.

        timeout: seconds to wait, None for ever; without it, as the socket is set.

        Raises EOFError if the stream ends inside a frame, ValueError if a frame is over `max_frame` (the ones before it
        are handed out first), TimeoutError, BlockingIOError where the socket does not wait, or OSError as of recv(2);
        RuntimeError while another thread receives from this stream.

        Source: recv(2).
        """
        most = checked_int("max", max, 1, 2**31 - 1)
        seconds = patience(self.sock, timeout)
        frames: list[bytes] | None = self._frames.receive(self.sock, most, seconds)
        if frames is None:
            raise_late("no whole frame came", seconds, timeout)
        return frames

    def __iter__(self) -> Iterator[bytes]:
        """Each frame, to the end of the stream; those that are not handed out yet stay here, for whoever goes on."""
        each: Iterator[bytes] = self._kernel.FrameIterator(self._frames, self.recv)
        return each

    async def arecv(self, max: int = 1024) -> list[bytes]:
        """`recv` on the running event loop, which waits as long as it takes; to be cancelled costs no frame.

        Raises what `recv` does but for TimeoutError and BlockingIOError, and RuntimeError while another task awaits
        frames of this stream.

        Source: recv(2), once the loop says that there is something.

        Example:
            >>> import asyncio, netfast as nf, socket
            >>> async def main(sock):
            ...     return await nf.FrameStream(sock, delimiter=b"\\n").arecv()
            >>> one, other = socket.socketpair()
            >>> with one, other:
            ...     one.sendall(b"hello\\nworld\\n")
            ...     asyncio.run(main(other))
            [b'hello', b'world']
        """
        most = checked_int("max", max, 1, 2**31 - 1)
        with self._turns.taken(to_write=False):
            await self._turns.breathe()
            while (frames := self._frames.receive(self.sock, most, 0.0)) is None:
                await self._turns.ready(to_write=False)
            found: list[bytes] = frames
            return found

    # -- out

    def send(self, frames: Any, *, timeout: float | None = UNSET) -> int:
        """Sends frames, an iterable of bytes-like objects; how many that were.

        Raises ValueError with the index, before anything is sent, for a frame that is over `max_frame` or too long for
        the prefix, or holds the delimiter; TypeError for one that is no bytes.  Raises TimeoutError, BlockingIOError
        where the socket does not wait, or OSError as of send(2): their attribute `sent` says how many frames are gone.
        If one of them went in part, the rest of it goes in front of what is sent next.  RuntimeError while another
        thread sends to this stream.

        Source: sendmsg(2).
        """
        seconds = patience(self.sock, timeout)
        sending = self._kernel.FrameSending(self._frames, listed("frames", frames))
        try:
            error = sending.go_on(self.sock, seconds)
        finally:
            sent: int = sending.end()
        if error:
            raise_unsent(error, f"{sent:,} frames were sent, and no more", sent, seconds, timeout)
        return sent

    async def asend(self, frames: Any) -> int:
        """`send` on the running event loop, which waits as long as it takes.  One that is cancelled may have sent some
        of its frames; what is missing of the last of these goes in front of what is sent next.

        Raises what `send` does but for TimeoutError and BlockingIOError, and RuntimeError while another task sends to
        this stream.

        Source: sendmsg(2), once the loop says that there is room.

        Example:
            >>> import asyncio, netfast as nf, socket
            >>> one, other = socket.socketpair()
            >>> with one, other:
            ...     asyncio.run(nf.FrameStream(one, prefix=">B").asend([b"hello", b"world"]))
            ...     other.recv(100)
            2
            b'\\x05hello\\x05world'
        """
        with self._turns.taken(to_write=True):
            sending = self._kernel.FrameSending(self._frames, listed("frames", frames))
            try:
                while True:
                    await self._turns.breathe()
                    error = sending.go_on(self.sock, 0.0, True)
                    if error == errno.EAGAIN:
                        await self._turns.ready(to_write=True)
                    elif error != errno.EINTR:
                        break
            finally:
                sent: int = sending.end()
        if error:
            raise_unsent(error, "", sent, 0.0, UNSET)
        return sent


def _checked_prefix(prefix: Any) -> tuple[int, bool]:
    """Bytes of the length, and whether the lowest comes first."""
    if prefix is None:
        return 0, False
    if not isinstance(prefix, str):
        raise TypeError(f"prefix is {type(prefix).__name__}; wanted a str such as '>I'")
    match = _PREFIX.fullmatch(prefix)
    if not match:
        raise ValueError(f"prefix {prefix!r}: wanted '>' (or '!') or '<', and B, H, I or Q, as in '>I'")
    return _WIDTHS[match[2]], match[1] == "<"


def _checked_delimiter(delimiter: Any) -> bytes:
    if delimiter is None:
        return b""
    if not isinstance(delimiter, (bytes, bytearray)):
        raise TypeError(f"delimiter is {type(delimiter).__name__}; wanted bytes")
    if not 1 <= len(delimiter) <= _DELIMITER_MAX:
        raise ValueError(f"delimiter has {len(delimiter)} bytes; wanted 1 to {_DELIMITER_MAX}")
    return bytes(delimiter)
