"""Addresses out of log text: from memory, from a stream, or summed up over many files.

What counts as an address in text is a policy, the same everywhere here (`boundary="word"`):

- IPv4: the byte before is not an ASCII letter, digit, "_" or "."; the byte behind is not a letter, digit or "_", nor
  a "." followed by one of those.  So a sentence may end on an address, 1.2.3.4:80 and 1.2.3.4/24 hold one, and
  1.2.3.4.5 and 4.3.2.1.in-addr.arpa hold none.  Bytes from 0x80 up are boundaries.
- Product versions: a quad directly behind Name/ is a version, not an address, where Name is 1-64 letters with at least
  one capital that begins the text or follows white space, a quote, "(", ";" or ",": Chrome/126.0.0.0.  It is an address
  if :digit follows (NameNode/10.0.0.1:8020), and behind other names: localhost/127.0.0.1, web-1/10.0.0.1.
- IPv6: as for IPv4, and the text on neither side continues the chain of colons: 1::2::3 and nine groups hold none,
  "from 2001:db8::1: ok" and IPv6:2001:db8::1 hold one.  A zone of 1-15 letters, digits, "_", "." and "-" belongs to the
  address (fe80::1%eth0).  Bare "::" counts only as [::] and in front of /digits.
- `boundary="loose"` keeps product versions and lets letters touch an IPv4 address.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _core
from .addresses import count_codes, in_ranges, thread_count
from .registry import BLOCKS, KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Boundary = Literal["word", "loose"]

_CHUNK = 1 << 20
_SEGMENT = 32 << 20  # bytes of a plain file that a thread takes at a time
_BYTES_PER_THREAD = 4 << 20  # below this much text one thread has finished before a second one has started
_TICK = 0.1  # seconds between two reports of progress


# --- what is looked for ----------------------------------------------------------------------------------------------


class _Search:
    """The policy and the selection of one call, checked once."""

    __slots__ = ("settings",)

    def __init__(
        self,
        boundary: str,
        versions: Iterable[int],
        first: bool = False,
        field: int | None = None,
        sep: str | bytes | None = None,
        key: str | None = None,
    ) -> None:
        if boundary not in ("word", "loose"):
            raise ValueError(f'boundary={boundary!r}: wanted "word" or "loose"')
        wanted = set(versions)
        if not wanted or not wanted <= {4, 6}:
            raise ValueError(f"versions={versions!r}: wanted 4, 6 or both")
        if first + (field is not None) + (key is not None) > 1:
            raise ValueError("first, field and key each choose the address of a line: give one of them")
        if field is not None and field < 1:
            raise ValueError(f"field={field}: fields are counted from 1")
        if sep is not None and field is None:
            raise ValueError("sep goes with field")
        if sep is not None and not sep:
            raise ValueError("sep is empty")
        path = key.encode().split(b".") if key is not None else None
        if path is not None and (len(path) > _core.PATH_MAX or b"" in path):
            raise ValueError(f"key={key!r}: wanted 1 to {_core.PATH_MAX} names joined by dots")
        self.settings: dict[str, Any] = {
            "loose": boundary == "loose",
            "ip4": 4 in wanted,
            "ip6": 6 in wanted,
            "first": first,
            "field": field or 0,
            "separator": sep.encode() if isinstance(sep, str) else sep,
            "path": path,
        }

    def scanner(self, chunk: int = _CHUNK, **more: Any) -> _core.Scanner:
        return _core.Scanner(chunk, **self.settings, **more)


# --- extract ---------------------------------------------------------------------------------------------------------


class Extraction:
    """Addresses found in text, a row each, in the order of the text.  Columns are NumPy arrays, made when asked for."""

    __slots__ = ("_columns", "_n")

    def __init__(self, columns: tuple[_core.Memory, ...]) -> None:
        self._columns: tuple[Any, ...] = columns
        self._n = len(columns[2])

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"<Extraction of {len(self):,} addresses>"

    def _column(self, index: int, dtype: str) -> NDArray[Any]:
        import numpy as np

        return np.frombuffer(self._columns[index], dtype=dtype)

    @property
    def offset(self) -> NDArray[np.int64]:
        """int64[n]: where the address begins, in bytes; in characters for a str, so that text[o:o+n] is the address."""
        return self._column(0, "int64")

    @property
    def line(self) -> NDArray[np.int64]:
        """int64[n]: the line it is in, from 1."""
        return self._column(1, "int64")

    @property
    def length(self) -> NDArray[np.uint8]:
        """uint8[n]: the size of its text, zone included."""
        return self._column(2, "uint8")

    @property
    def version(self) -> NDArray[np.uint8]:
        """uint8[n]: 4 or 6."""
        return self._column(3, "uint8")

    @property
    def codes(self) -> NDArray[np.uint8]:
        """uint8[n]: rows of `netfast.BLOCKS`."""
        return self._column(4, "uint8")

    @property
    def packed(self) -> NDArray[np.uint8]:
        """uint8[n, 16]: network order, IPv4 as ::ffff:a.b.c.d."""
        return self._column(5, "uint8").reshape(-1, 16)


def extract(
    text: Any, *, boundary: Boundary = "word", versions: Iterable[int] = (4, 6), threads: int | None = None
) -> Extraction:
    """Every IP address in a text.

    Args:
        text: str, bytes, or any object with the buffer protocol (such as a memory map).
        boundary: "word" or "loose": see `netfast.logs`.
        versions: which of the addresses found are kept.
        threads: for large text; None for one per CPU this process may use.

    Returns:
        An `Extraction`.  Offsets count bytes; characters for a str.

    Example:
        >>> import netfast as nf
        >>> text = "192.0.2.7 - GET / Chrome/126.0.0.0 from [2001:db8::1]:443"
        >>> e = nf.extract(text)
        >>> [text[o : o + n] for o, n in zip(e.offset, e.length)]
        ['192.0.2.7', '2001:db8::1']
    """
    search = _Search(boundary, versions)
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    size = memoryview(data).nbytes
    options = {name: search.settings[name] for name in ("loose", "ip4", "ip6")}
    cuts = _cut_at_lines(data, size, thread_count(threads, size, _BYTES_PER_THREAD))

    def find(first: int, count: int) -> list[tuple[Any, int]]:
        return [_core.find_all(data, cuts[i], cuts[i + 1], **options) for i in range(first, first + count)]

    parts = [part for _, _, found in in_ranges(find, len(cuts) - 1, len(cuts) - 1) for part in found]
    extraction = Extraction(parts[0][0]) if len(parts) == 1 else _joined(parts)
    if isinstance(text, str) and len(data) != len(text):
        _core.to_characters(data, extraction.offset)
    return extraction


def _cut_at_lines(data: Any, size: int, parts: int) -> list[int]:
    """Where to cut text into about as many parts, each of whole lines."""
    cuts = [0]
    view = memoryview(data).cast("B")
    for part in range(1, parts):
        at = max(cuts[-1], size * part // parts)
        while at < size:
            found = bytes(view[at : at + _CHUNK]).find(b"\n")
            if found >= 0:
                cuts.append(at + found + 1)
                break
            at += _CHUNK
    return [*cuts, size]


def _joined(parts: list[tuple[Any, int]]) -> Extraction:
    """The parts of a text as one, with lines counted on."""
    import numpy as np

    line = 0
    for columns, lines in parts:
        np.frombuffer(columns[1], dtype=np.int64)[:] += line
        line += lines
    dtypes = ("int64", "int64", "uint8", "uint8", "uint8", "uint8")
    joined = [
        np.concatenate([np.frombuffer(columns[i], dtype=dtype) for columns, _ in parts])
        for i, dtype in enumerate(dtypes)
    ]
    return Extraction(tuple(joined))


# --- where text comes from -------------------------------------------------------------------------------------------


class _Chunks(io.RawIOBase):
    """An iterable of chunks of bytes as a binary file."""

    def __init__(self, chunks: Iterable[Any]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            if isinstance(chunk, str):
                raise TypeError("a chunk is str; wanted bytes")
            self._left = memoryview(chunk).cast("B")
        n = min(len(room), len(self._left))
        room[:n] = self._left[:n]
        self._left = self._left[n:]
        return n


class _Ahead(io.RawIOBase):
    """A binary file whose first bytes have been read already, as `head`."""

    def __init__(self, file: Any) -> None:
        self._read = getattr(file, "readinto1", None) or getattr(file, "readinto", None)
        self._file = file
        self.head = self._next(_MAGIC_SIZE)
        while 0 < len(self.head) < _MAGIC_SIZE and (more := self._next(_MAGIC_SIZE - len(self.head))):
            self.head += more
        self._left = self.head

    def _next(self, n: int) -> bytes:
        data = self._file.read(n)
        if isinstance(data, str):
            raise TypeError("the file is open for text; wanted one open for bytes")
        return bytes(data or b"")

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if self._read and not self._left:
            return self._read(room) or 0
        data = self._left[: len(room)] or self._next(len(room))
        self._left = self._left[len(data) :]
        room[: len(data)] = data
        return len(data)


class _Part:
    """The rest of a plain file up to a number of bytes."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._left = size

    def readinto(self, room: Any) -> int:
        n: int = self._file.readinto(room[: self._left])
        self._left -= n
        return n


def _gzip(file: Any) -> Any:
    from isal import igzip

    return igzip.IGzipFile(fileobj=file, mode="rb")


def _zstd(file: Any) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    return zstd.ZstdFile(file)


def _xz(file: Any) -> Any:
    import lzma

    return lzma.LZMAFile(file)


def _bz2(file: Any) -> Any:
    import bz2

    return bz2.BZ2File(file)


# The magic bytes of RFC 1952 (with deflate, the only method), RFC 8878, the .xz format and bzip2.
_MAGIC: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b\x08", _gzip),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"\xfd7zXZ\x00", _xz),
    *((b"BZh%d" % level, _bz2) for level in range(1, 10)),
)
_MAGIC_SIZE = max(len(magic) for magic, _ in _MAGIC)


def _decompressor(head: bytes) -> Callable[[Any], Any] | None:
    return next((opener for magic, opener in _MAGIC if head.startswith(magic)), None)


@contextmanager
def _opened(source: Any) -> Iterator[Any]:
    """A path, binary file or iterable of chunks as a file with `readinto`, decompressed by its magic bytes.

    A file that was opened here is closed; one of the caller's is not.
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        with open(source, "rb", buffering=0) as file:
            yield _decompressed(file)
    else:
        yield _decompressed(source if hasattr(source, "read") else _Chunks(source))


def _decompressed(file: Any) -> Any:
    ahead = _Ahead(file)
    opener = _decompressor(ahead.head)
    return opener(io.BufferedReader(ahead, _CHUNK)) if opener else ahead


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
    if isinstance(error, EOFError):
        return f"{name}: the compressed data ends too soon"
    return f"{name}: {' '.join(str(error).split()) or type(error).__name__}"


def _bad_input() -> tuple[type[BaseException], ...]:
    """What reading damaged or missing input raises (the decompressors' own errors among it)."""
    errors: list[type[BaseException]] = [OSError, EOFError, ValueError]
    for module, name in (
        ("zlib", "error"),
        ("isal.isal_zlib", "error"),
        ("lzma", "LZMAError"),
        ("backports.zstd", "ZstdError"),
        ("compression.zstd", "ZstdError"),
    ):
        if module in sys.modules:
            errors.append(getattr(sys.modules[module], name))
    return tuple(errors)


def _pieces(scanner: _core.Scanner, file: Any) -> Iterator[int]:
    """Reads a file to its end through a scanner; yields the hits of each piece, those before an error included."""
    while True:
        try:
            n = file.readinto(scanner.room())
        except BaseException:
            yield scanner.advance(0, True)
            raise
        yield scanner.advance(n or 0, not n)
        if not n:
            return


# --- scan ------------------------------------------------------------------------------------------------------------


def scan(
    source: Any,
    *,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
    chunk: int = _CHUNK,
) -> Iterator[Extraction]:
    """The addresses of a file or stream of any size, piece by piece, in flat memory.

    Together the pieces hold what `extract` finds in the whole text, wherever the seams between chunks lie; offsets
    (in bytes, of the decompressed text) and lines count from its beginning.

    Args:
        source: a path, a file open for bytes, or an iterable of bytes; .gz, .zst, .xz and .bz2 are known by their
            magic bytes.
        boundary, versions: as for `extract`.
        first: only the first address of every line.
        field: only addresses in the N-th field of a line, from 1; fields are separated by `sep`, or by runs of blanks.
        key: only addresses in the string at this path of JSON lines, such as "client.ip"; a number counts list items
            from 0; the first of repeated names counts.
        chunk: bytes read at a time.

    Raises:
        OSError: the file cannot be read. EOFError: compressed data ends too soon. Both after everything before it.

    Example:
        >>> import netfast as nf
        >>> [e.offset.tolist() for e in nf.scan([b"from 192.0", b".2.7 to 192.0.2.8"])]
        [[5, 18]]
    """
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: wanted at least 1")
    search = _Search(boundary, versions, first, field, sep, key)
    return _scan(source, search.scanner(chunk))


def _scan(source: Any, scanner: _core.Scanner) -> Iterator[Extraction]:
    with _opened(source) as file:
        for hits in _pieces(scanner, file):
            if hits:
                yield Extraction(scanner.take())


# --- summarize -------------------------------------------------------------------------------------------------------


class LogSummary(NamedTuple):
    """What `summarize` counted.

    `invalid` counts lines where the chosen place (first, field, key) holds no address; 0 when every address counts.
    With `estimated`, there were more different addresses than max_distinct: `unique` is then HyperLogLog's estimate
    (standard error 0.4 %), and the counts in top_addresses and top_networks may be too low by up to `count_error`.
    """

    lines: int
    bytes: int
    addresses: int
    invalid: int
    unique: int
    estimated: bool
    count_error: int
    by_kind: dict[str, int]
    by_class: dict[str, int]
    by_block: dict[str, int]
    top_addresses: list[tuple[str, int]]
    top_networks: list[tuple[str, int]]
    errors: list[tuple[str, str]]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, as JSON wants them."""
        plain = self._asdict()
        for name in ("top_addresses", "top_networks"):
            key = name[len("top_") :].rstrip("s").replace("addresse", "address")
            plain[name] = [{key: text, "count": count} for text, count in plain[name]]
        plain["errors"] = [{"source": source, "message": message} for source, message in self.errors]
        return plain

    def to_text(self) -> str:
        """A plain table of everything."""
        about = "~" if self.estimated else ""
        rows = [
            ("lines", f"{self.lines:,}"),
            ("bytes", f"{self.bytes:,}"),
            ("addresses", f"{self.addresses:,}"),
            ("unique", f"{about}{self.unique:,}"),
        ]
        if self.invalid:
            rows.append(("lines without", f"{self.invalid:,}"))
        parts = [rows]
        parts += [[(name or "IPv6", f"{count:,}") for name, count in by.items()] for by in (self.by_kind, self.by_class)]
        parts += [[(text, f"{about}{count:,}") for text, count in top] for top in (self.top_addresses, self.top_networks)]
        width = max(len(name) for part in parts for name, _ in part)
        text = "\n\n".join("\n".join(f"{name:<{width}}  {value:>14}" for name, value in part) for part in parts if part)
        speed = self.bytes / self.seconds / 1e6 if self.seconds else 0.0
        return f"{text}\n\n{self.seconds:.2f} s, {speed:,.0f} MB/s"


class _Segment(NamedTuple):
    """A part of the work for one thread: a whole source, or lines [start, stop) of a plain file."""

    source: Any
    start: int
    stop: int | None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        if self.stop is None:
            with _opened(self.source) as file:
                yield file
        else:
            with open(self.source, "rb", buffering=0) as file:
                file.seek(self.start)
                yield _Part(file, self.stop - self.start)


class _Job:
    """The state of one `summarize` that its threads share."""

    def __init__(self, search: _Search, max_distinct: int) -> None:
        self.search = search
        self.tally = _core.Tally(max_distinct)
        self.lock = threading.Lock()
        self.stopped = False
        self.bytes = self.read = self.lines = self.addresses = self.lines_with_hits = 0
        self.by_code = [0] * 256
        self.errors: list[tuple[str, str]] = []

    def run(self, segment: _Segment, tick: Callable[[], None]) -> None:
        """Counts a segment; trouble with it is noted and stops nothing else."""
        name = source_name(segment.source)
        scanner = self.search.scanner(tally=self.tally)
        seen = 0
        try:
            with segment.opened() as file:
                for _ in _pieces(scanner, file):
                    with self.lock:
                        self.read += scanner.bytes - seen
                    seen = scanner.bytes
                    if self.stopped:
                        return
                    tick()
        except _bad_input() as error:
            self.note(name, error)
        finally:
            self.add(scanner)

    def note(self, name: str, error: BaseException) -> None:
        with self.lock:
            self.errors.append((name, trouble(name, error)[len(name) + 2 :]))

    def add(self, scanner: _core.Scanner) -> None:
        with self.lock:
            self.bytes += scanner.bytes
            self.lines += scanner.lines
            self.addresses += scanner.found
            self.lines_with_hits += scanner.lines_with_hits
            self.by_code = [a + b for a, b in zip(self.by_code, scanner.counts(), strict=True)]


def _segments(source: Any) -> list[_Segment]:
    """A large plain file in parts of whole lines, anything else as it is."""
    whole = [_Segment(source, 0, None)]
    if not isinstance(source, (str, bytes, os.PathLike)):
        return whole
    try:
        with open(source, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 2 * _SEGMENT or not file.seekable() or _decompressor(file.read(_MAGIC_SIZE)):
                return whole
            cuts = [0]
            for start in range(_SEGMENT, size, _SEGMENT):
                cut = _line_start(file, start, min(start + _SEGMENT, size))
                if cut is not None:
                    cuts.append(cut)
    except OSError:
        return whole  # whoever counts it meets the error again, and says so
    return [_Segment(source, start, stop) for start, stop in zip(cuts, [*cuts[1:], size], strict=True)]


def _line_start(file: Any, start: int, stop: int) -> int | None:
    """The first place in [start, stop) where a line begins."""
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


def summarize(
    sources: Any,
    *,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
    top: int = 10,
    max_distinct: int = 10_000_000,
    progress: Callable[[int, int | None], object] | None = None,
    threads: int | None = None,
) -> LogSummary:
    """Count the addresses of logs by kind, class and block, and find the most frequent ones.

    Args:
        sources: a path or binary file, or a list of them; compressed ones are known by their magic bytes.
        boundary, versions, first, field, sep, key: as for `scan`.
        top: how many addresses and networks (/24, /48) to list.
        max_distinct: up to so many different addresses everything is exact; beyond, memory stays bounded and what is
            estimated is marked.
        progress: called about ten times a second with the bytes read so far and in all (None if that is unknown).
        threads: None for one per CPU this process may use.

    Returns:
        A `LogSummary`.  A source that cannot be read, or not to its end, is named in `errors`; what was found before
        that counts.

    Example:
        >>> import io
        >>> import netfast as nf
        >>> s = nf.summarize(io.BytesIO(b"10.0.0.1 ok\\n10.0.0.1 ok\\n8.8.8.8 Chrome/126.0.0.0\\n"))
        >>> s.lines, s.addresses, s.unique, s.by_kind
        (3, 3, 2, {'private': 2, 'global': 1})
    """
    if top < 0 or max_distinct < 1:
        raise ValueError("top may not be negative, max_distinct not below 1")
    started = time.perf_counter()
    job = _Job(_Search(boundary, versions, first, field, sep, key), max_distinct)
    one = isinstance(sources, (str, bytes, os.PathLike)) or hasattr(sources, "read")
    listed = [sources] if one else list(sources)
    todo = deque(segment for source in listed for segment in _segments(source))
    total = _total(listed) if progress else None
    workers = min(len(todo), thread_count(threads, len(todo), 1))
    reports = _Reports(job, progress, total)
    if workers <= 1:
        while todo:
            job.run(todo.popleft(), reports.tick)
    else:
        _run_threads(job, todo, workers, reports)
    reports.last()
    return _summary(job, first or field is not None or key is not None, top, started)


def _total(sources: list[Any]) -> int | None:
    """Bytes of all sources, if they are plain files."""
    total = 0
    for source in sources:
        try:
            with open(source, "rb", buffering=0) as file:
                if not file.seekable() or _decompressor(file.read(_MAGIC_SIZE)):
                    return None
                total += os.fstat(file.fileno()).st_size
        except (OSError, TypeError, ValueError):
            return None
    return total


class _Reports:
    """Calls `progress` at most every so often."""

    def __init__(self, job: _Job, progress: Callable[[int, int | None], object] | None, total: int | None) -> None:
        self.job, self.progress, self.total = job, progress, total
        self.due = 0.0

    def tick(self) -> None:
        if self.progress and time.monotonic() >= self.due:
            self.last()

    def last(self) -> None:
        if self.progress:
            self.due = time.monotonic() + _TICK
            self.progress(self.job.read, self.total)


def _run_threads(job: _Job, todo: deque[_Segment], workers: int, reports: _Reports) -> None:
    """Works through the segments.  The threads are daemons: one that waits for input ends with the process."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while todo and not job.stopped:
                job.run(todo.popleft(), lambda: None)
        except IndexError:
            pass  # another thread took the last one
        except BaseException as failure:
            failures.append(failure)
            job.stopped = True

    pool = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in pool:
        thread.start()
    try:
        while any(thread.is_alive() for thread in pool):
            pool[0].join(_TICK / 2)
            for thread in pool[1:]:
                thread.join(0.001)
            reports.tick()
    except BaseException:
        job.stopped = True
        raise
    if failures:
        raise failures[0]


def _summary(job: _Job, selecting: bool, top: int, started: float) -> LogSummary:
    unique, estimated = job.tally.unique()
    top_addresses = job.tally.top(top)
    top_networks = job.tally.top_networks(top)
    return LogSummary(
        lines=job.lines,
        bytes=job.bytes,
        addresses=job.addresses,
        invalid=job.lines - job.lines_with_hits if selecting else 0,
        unique=unique,
        estimated=estimated,
        count_error=job.tally.error(),
        by_kind=count_codes(job.by_code, "kind"),
        by_class=count_codes(job.by_code, "network_class"),
        by_block=count_codes(job.by_code, "block"),
        top_addresses=top_addresses,
        top_networks=top_networks,
        errors=job.errors,
        seconds=time.perf_counter() - started,
    )


# --- rows ------------------------------------------------------------------------------------------------------------


def rows_header(format: Literal["csv", "jsonl"], named: bool) -> bytes:
    """The line in front of the rows of `extract_rows`; JSON lines have none."""
    if format != "csv":
        return b""
    return b"file,line,offset,address,version,kind,class,block\n"[0 if named else len(b"file,") :]


def _csv_style(name: str | None) -> tuple[bytes, bytes, bytes, list[bytes]]:
    lead = b""
    if name is not None:
        quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name
        lead = quoted.encode("utf-8", "surrogateescape") + b","
    tails = [f",{_version(b.prefix)},{b.kind},{b.network_class},{b.prefix}\n".encode() for b in BLOCKS]
    return lead, b",", b",", tails


def _jsonl_style(name: str | None) -> tuple[bytes, bytes, bytes, list[bytes]]:
    import json

    lead = "{" if name is None else '{"file":' + json.dumps(name) + ","
    tails = [
        f'","version":{_version(b.prefix)},"kind":"{b.kind}","class":"{b.network_class}","block":"{b.prefix}"}}\n'.encode()
        for b in BLOCKS
    ]
    return (lead + '"line":').encode(), b',"offset":', b',"address":"', tails


def _version(prefix: str) -> int:
    return 6 if ":" in prefix else 4


def extract_rows(
    source: Any,
    write: Callable[[bytes], object],
    *,
    format: Literal["csv", "jsonl"] = "csv",
    name: str | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
) -> None:
    """Write a row an address: line, offset, address (RFC 5952, with its zone), version, kind, class, block.

    `name` adds a first column with the name of the file.  Other arguments are those of `scan`.
    """
    if format not in ("csv", "jsonl"):
        raise ValueError(f'format={format!r}: wanted "csv" or "jsonl"')
    scanner = _Search(boundary, versions, first, field, sep, key).scanner()
    lead, mid_offset, mid_address, tails = (_csv_style if format == "csv" else _jsonl_style)(name)
    tails += [b""] * (256 - len(tails))
    with _opened(source) as file:
        for hits in _pieces(scanner, file):
            if hits:
                write(scanner.rows(lead, mid_offset, mid_address, tails))


# --- grep ------------------------------------------------------------------------------------------------------------


class Matcher:
    """Which addresses are wanted: kinds, classes, prefixes and addresses, any of which may be negated.

    An address matches if it is one of the wanted and none of the negated; with only negated terms, if it is none of
    those.

    Example:
        >>> Matcher.parse("private, !192.168.0.0/16")
        Matcher('private, !192.168.0.0/16')
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._codes = {True: bytearray(256), False: bytearray(256)}
        self._ranges: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
        self._seen = {True: False, False: False}

    def __repr__(self) -> str:
        return f"Matcher({self.expression!r})"

    @classmethod
    def parse(cls, expression: str) -> Matcher:
        """A matcher of terms separated by commas or white space.

        A term is a kind (`netfast.KINDS`), a class (A to E, or class:A), a prefix or address, @FILE or the path of a
        file of prefixes (one a line, "#" begins a comment), or "!" and one of these.

        Raises:
            ValueError: there is no term, or one is none of these; OSError: its file cannot be read.
        """
        matcher = cls(expression)
        for term in expression.replace(",", " ").split():
            matcher._add(term.removeprefix("!"), not term.startswith("!"))
        if not any(matcher._seen.values()):
            raise ValueError("the expression is empty; wanted kinds, classes, prefixes or addresses")
        return matcher

    def _add(self, term: str, wanted: bool) -> None:
        self._seen[wanted] = True
        name = term.removeprefix("class:")
        if term in KINDS[1:]:
            self._mark(wanted, [code for code, block in enumerate(BLOCKS) if block.kind == term])
        elif name.upper() in "ABCDE" and len(name) == 1:
            self._mark(wanted, [code for code, block in enumerate(BLOCKS) if block.network_class == name.upper()])
        elif term.startswith("@") or (os.path.isfile(term) and not _is_prefix(term)):
            self._add_file(term.removeprefix("@"), wanted)
        else:
            self._ranges[wanted].append(_range(term))

    def _mark(self, wanted: bool, codes: list[int]) -> None:
        for code in codes:
            self._codes[wanted][code] = 1

    def _add_file(self, path: str, wanted: bool) -> None:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                text = line.partition("#")[0].strip()
                if not text:
                    continue
                try:
                    self._ranges[wanted].append(_range(text.split()[0]))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None

    def matches(self, scanner: _core.Scanner) -> bytearray:
        """A byte a hit of the scanner, 1 where it is wanted."""
        if not self._seen[True]:
            found = bytearray(b"\1") * scanner.hit_count
        else:
            found = scanner.matching(bytes(self._codes[True]), _disjoint(self._ranges[True]))
        if self._seen[False]:
            against = scanner.matching(bytes(self._codes[False]), _disjoint(self._ranges[False]))
            found = bytearray(a & ~b & 1 for a, b in zip(found, against, strict=True))
        return found


def _is_prefix(term: str) -> bool:
    try:
        _range(term)
    except ValueError:
        return False
    return True


def _range(term: str) -> tuple[int, int, int]:
    """(version, first, last) of a prefix or address."""
    text, slash, length = term.partition("/")
    try:
        version, value, _ = _core.parse_one(text)
    except ValueError:
        raise ValueError(f"{term!r} is no kind, class, prefix or address, nor a file") from None
    bits = 32 if version == 4 else 128
    if slash and not (length.isdecimal() and length.isascii() and int(length) <= bits):
        raise ValueError(f"{term!r}: the length of the prefix is not 0 to {bits}")
    host = (1 << bits - int(length)) - 1 if slash else 0
    if value & host:
        network = _core.format_one(version, value & ~host)
        raise ValueError(f"{term!r} has host bits set; the prefix is {network}/{length}")
    return version, value, value | host


def _disjoint(ranges: list[tuple[int, int, int]]) -> list[tuple[int, bytes, bytes]]:
    """The same addresses as ranges in order that do not overlap, their ends as 16 bytes."""
    joined: list[list[int]] = []
    for version, first, last in sorted(ranges):
        if joined and joined[-1][0] == version and first <= joined[-1][2] + 1:
            joined[-1][2] = max(joined[-1][2], last)
        else:
            joined.append([version, first, last])
    mapped = {4: 0xFFFF << 32, 6: 0}
    return [
        (version, (first | mapped[version]).to_bytes(16, "big"), (last | mapped[version]).to_bytes(16, "big"))
        for version, first, last in joined
    ]


def grep_lines(
    source: Any,
    write: Callable[[bytes], object],
    matcher: Matcher,
    *,
    invert: bool = False,
    only: bool = False,
    number: bool = False,
    count: bool = False,
    name: str | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
) -> int:
    """Write the lines that hold an address the matcher wants; returns how many there are.

    Args:
        invert: the lines that hold none. only: the addresses instead of the lines. number: line numbers in front.
        count: write nothing. name: written in front of every line, with ":".
        Others are those of `scan`.
    """
    scanner = _Search(boundary, versions, first, field, sep, key).scanner(whole_lines=True)
    lead = b"" if name is None else name.encode("utf-8", "surrogateescape") + b":"
    lines = 0
    with _opened(source) as file:
        for _ in _pieces(scanner, file):
            data, found = scanner.grep(matcher.matches(scanner), lead, number, only, invert, count)
            lines += found
            if data:
                write(data)
    return lines
