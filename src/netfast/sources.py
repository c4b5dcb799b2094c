"""Where bytes come from: files, streams and chunks, compressed or not, known by their magic bytes."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import _core

CHUNK = 1 << 20  # bytes read at a time
BAD_INPUT = (OSError, EOFError, ValueError)  # what reading damaged or missing input raises

_COMPRESSED = 256 << 10  # bytes of compressed data read at a time
_PART = 64 << 10  # and of what comes out of them
_HEAD = 8  # that tell what a file is


# --- reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def opened(source: Any) -> Iterator[Any]:
    """A path, binary file or iterable of chunks as `Ahead`, decompressed by its magic bytes.

    A file that was opened here is closed; one of the caller's is not.
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        with open(source, "rb", buffering=0) as file:
            yield _decompressed(file)
    else:
        yield _decompressed(source if hasattr(source, "read") else _Chunks(source))


def _decompressed(file: Any) -> Ahead:
    ahead = Ahead(file)
    opener = _decompressor(ahead.head)
    return Ahead(_Decompressed(ahead, opener)) if opener else ahead


@contextmanager
def opened_text(source: Any, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
    """The same as lines of UTF-8 text, with or without a byte order mark; `errors` as for `open`."""
    with (
        opened(source) as file,
        io.TextIOWrapper(io.BufferedReader(file, CHUNK), "utf-8-sig", errors, newline="") as text,
    ):
        yield text


@contextmanager
def opened_part(path: Any, start: int, stop: int) -> Iterator[Any]:
    """Bytes [start, stop) of a plain file."""
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        yield Part(file, stop - start)


def pieces(scanner: _core.Scanner, file: Any) -> Iterator[int]:
    """Reads a file to its end through a scanner; yields the hits of each piece, those before an error included."""
    while True:
        try:
            n = file.readinto(scanner.room())
        except Exception:
            yield scanner.advance(0, True)
            raise
        yield scanner.advance(n or 0, not n)
        if not n:
            return


def plain_size(source: Any) -> int | None:
    """The size of a source that is the path of a plain, uncompressed file; None for any other, and for trouble.

    Other things may be opened once only: a named pipe ends when that is closed.
    """
    try:
        if not isinstance(source, (str, bytes, os.PathLike)) or not stat.S_ISREG(os.stat(source).st_mode):
            return None
        with open(source, "rb", buffering=0) as file:
            return None if _decompressor(file.read(_MAGIC_SIZE)) else os.fstat(file.fileno()).st_size
    except (OSError, ValueError):
        return None


def is_compressed(head: bytes) -> bool:
    """Whether the first 8 bytes of a file say so."""
    return _decompressor(head) is not None


def cut_at_lines(path: Any, size: int, step: int) -> list[int]:
    """Places about `step` bytes apart where lines of a plain file begin, 0 and its size included."""
    cuts = [0]
    with open(path, "rb", buffering=0) as file:
        for start in range(step, size, step):
            cut = line_start(file, start, min(start + step, size))
            if cut is not None:
                cuts.append(cut)
    return [*cuts, size]


def line_start(file: Any, start: int, stop: int) -> int | None:
    """The first place in [start, stop) where a line begins; start is not 0."""
    file.seek(start - 1)
    at = start - 1
    while at < stop:
        piece = file.read(min(1 << 16, stop - at))
        if not piece:
            return None
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1 if at + found + 1 < stop else None
        at += len(piece)
    return None


# --- telling ---------------------------------------------------------------------------------------------------------


def source_name(source: Any) -> str:
    """What to call a source in a message."""
    if isinstance(source, (str, bytes, os.PathLike)):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    return "(standard input)" if name == "<stdin>" else str(name or type(source).__name__)


def trouble(name: str, error: BaseException) -> str:
    """One line that says what went wrong with which input."""
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return f"{name}: {' '.join(str(error).split()) or type(error).__name__}"


def more_parts(count: int) -> str:
    """What is added to the trouble with a part of a file if there was trouble with so many others."""
    return f" (and with {count:,} more of its parts)" if count else ""


# --- kinds of files --------------------------------------------------------------------------------------------------


class _Chunks(io.RawIOBase):
    """An iterable of chunks of bytes as a binary file."""

    def __init__(self, chunks: Iterable[Any]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        while not self._left:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                return 0
            if isinstance(chunk, str):
                raise TypeError("a chunk is str; wanted bytes")
            self._left = memoryview(chunk).cast("B")
        n = min(len(room), len(self._left))
        room[:n] = self._left[:n]
        self._left = self._left[n:]
        return n


def _now(got: Any) -> Any:
    """What a file gave; None, from one that does not block and has nothing yet, must not pass for its end."""
    if got is None:
        raise BlockingIOError(errno.EAGAIN, "the file does not block, and had nothing to read yet")
    return got


class Ahead(io.RawIOBase):
    """A binary file whose first bytes have been read already, as `head`.  It closes the file only if it is its own."""

    def __init__(self, file: Any, *, own: bool = False) -> None:
        self._read = getattr(file, "readinto1", None) or getattr(file, "readinto", None)
        self._file, self._own = file, own
        self.name = source_name(file)
        self.head = self._next(_HEAD)
        with suppress(*BAD_INPUT):  # behind the first bytes; whoever reads on meets it again
            while 0 < len(self.head) < _HEAD and (more := self._next(_HEAD - len(self.head))):
                self.head += more
        self._left = self.head

    def close(self) -> None:
        if self._own:
            self._file.close()
            super().close()

    def _next(self, n: int) -> bytes:
        data = self._file.read(n)
        if isinstance(data, str):
            raise TypeError("the file is open for text; wanted one open for bytes")
        return bytes(_now(data))

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if self._read and not self._left:
            n: int = _now(self._read(room))
            return n
        data = self._left[: len(room)] or self._next(len(room))
        self._left = self._left[len(data) :]
        room[: len(data)] = data
        return len(data)


class Part:
    """The rest of a file up to a number of bytes, of which `left` are still to come."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self.left = size

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(min(size, self.left))
        self.left -= len(data)
        return data

    def readinto(self, room: Any) -> int:
        n: int = self._file.readinto(memoryview(room)[: self.left])
        self.left -= n
        return n


# --- compression -----------------------------------------------------------------------------------------------------


class _Decompressed(io.RawIOBase):
    """The text of a compressed file, all its members in a row.

    Python's own files for this lose what they have read when the data turns out to end too soon or to be damaged;
    here it comes first, and the error then (of damaged data all but the last _PART).
    """

    def __init__(self, file: Any, new: Callable[[], Any]) -> None:
        self._file, self._new, self._member = file, new, new()
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        while self._more():
            try:
                text = self._member.decompress(self._input, min(len(room), _PART))
            except MemoryError:
                raise
            except Exception as error:  # each library has its own
                raise OSError(f"the compressed data is damaged ({error})") from error
            self._input = b""
            if text:
                room[: len(text)] = text
                return len(text)
        return 0

    def _more(self) -> bool:
        """Sees to it that there is something to decompress; False at the end."""
        if self._member.eof:
            rest = self._member.unused_data.lstrip(b"\0")  # zeros may fill up a tape's last block
            while len(rest) < _MAGIC_SIZE and (data := self._file.read(_COMPRESSED)):
                rest = (rest + data).lstrip(b"\0")
            if not rest:
                return False
            if not _decompressor(rest[:_MAGIC_SIZE]):
                raise OSError("the compressed data is damaged (something else follows its end)")
            self._input, self._member = rest, self._new()
        elif self._member.needs_input:
            self._input = self._file.read(_COMPRESSED)
            if not self._input:
                raise EOFError("the compressed data ends too soon")
        return True


def _gzip() -> Any:
    from isal import igzip_lib

    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    return zstd.ZstdDecompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor()


def _bz2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


# The magic bytes of RFC 1952 (with deflate, the only method), RFC 8878, the .xz format and bzip2.
_MAGIC: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", _gzip),
    (b"\x28\xb5\x2f\xfd", _zstd),
    *((bytes([0x50 + user]) + b"\x2a\x4d\x18", _zstd) for user in range(16)),  # skippable frames may come first
    (b"\xfd7zXZ\x00", _xz),
    *((b"BZh%d" % level, _bz2) for level in range(1, 10)),
)
_MAGIC_SIZE = max(len(magic) for magic, _ in _MAGIC)


def _decompressor(head: bytes) -> Callable[[], Any] | None:
    return next((opener for magic, opener in _MAGIC if head.startswith(magic)), None)
