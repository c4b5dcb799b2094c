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

import operator
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _core
from .addresses import count_codes
from .arrow_files import ColumnPart, file_format, looked_into, opened_log, parts
from .sources import (
    BAD_INPUT,
    CHUNK,
    Ahead,
    cut_at_lines,
    more_parts,
    opened,
    opened_part,
    pieces,
    plain_size,
    source_name,
    trouble,
)
from .threads import in_ranges, thread_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .labels import Labels
    from .prefixes import PrefixTable

Boundary = Literal["word", "loose"]

_CHUNK_MOST = 1 << 30
_SEGMENT = 32 << 20  # bytes of a plain file that a thread takes at a time
_BYTES_PER_THREAD = 4 << 20  # below this much text one thread has finished before a second one has started
_TICK = 0.1  # seconds between two reports of progress


# --- what is looked for ----------------------------------------------------------------------------------------------


class Search:
    """The policy and the selection of one call, checked once."""

    __slots__ = ("selects", "settings")

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
        if field is not None and operator.index(field) < 1:
            raise ValueError(f"field={field}: fields are counted from 1")
        if sep is not None and field is None:
            raise ValueError("sep goes with field")
        if sep is not None and not sep:
            raise ValueError("sep is empty")
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key is {type(key).__name__}; wanted str")
        self.selects = first or field is not None or key is not None  # one place of a line, which may hold none
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

    def scanner(self, chunk: int = CHUNK, **more: Any) -> _core.Scanner:
        return _core.Scanner(chunk, **self.settings, **more)

    def in_rows(self) -> Search:
        """The same versions in lines that hold an address or nothing, the rows of a column."""
        return Search("word", [version for version in (4, 6) if self.settings[f"ip{version}"]], first=True)


# --- extract ---------------------------------------------------------------------------------------------------------


class Extraction:
    """Addresses found in text, a row each, in the order of the text.  Columns are NumPy arrays, made when asked for.

    Example:
        >>> import netfast as nf
        >>> e = nf.extract("up\\nfrom 192.0.2.7 to ::1")
        >>> len(e), e.line.tolist(), e.offset.tolist(), e.length.tolist(), e.version.tolist()
        (2, [2, 2], [8, 21], [9, 3], [4, 6])
        >>> [nf.BLOCKS[code].kind for code in e.codes]
        ['documentation', 'loopback']
    """

    __slots__ = ("_columns", "_n")

    def __init__(self, columns: tuple[Any, ...]) -> None:
        self._columns = columns
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

    Raises:
        ValueError: an argument is out of range; TypeError: `text` is neither str nor a buffer.

    Example:
        >>> import netfast as nf
        >>> text = "192.0.2.7 - GET / Chrome/126.0.0.0 from [2001:db8::1]:443"
        >>> e = nf.extract(text)
        >>> [text[o : o + n] for o, n in zip(e.offset, e.length)]
        ['192.0.2.7', '2001:db8::1']
    """
    search = Search(boundary, versions)
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    size = memoryview(data).nbytes
    options = {name: search.settings[name] for name in ("loose", "ip4", "ip6")}
    stop = bytearray(1)
    cuts = _cut_at_lines(data, size, thread_count(threads, size, _BYTES_PER_THREAD))

    def find(first: int, count: int) -> list[tuple[Any, int]]:
        return [_core.find_all(data, cuts[i], cuts[i + 1], stop, **options) for i in range(first, first + count)]

    parts = [part for _, _, found in in_ranges(find, len(cuts) - 1, len(cuts) - 1, stop) for part in found]
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
            found = bytes(view[at : at + CHUNK]).find(b"\n")
            if found >= 0:
                cuts.append(at + found + 1)
                break
            at += CHUNK
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
    chunk: int = CHUNK,
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
            from 0; the first of repeated names counts.  Names are compared as they are written, escapes included.
        chunk: bytes read at a time.

    Raises:
        OSError: the file cannot be read. EOFError: compressed data ends too soon. Both after everything before it.

    Example:
        >>> import netfast as nf
        >>> [e.offset.tolist() for e in nf.scan([b"from 192.0", b".2.7 to 192.0.2.8"])]
        [[5, 18]]
    """
    if not 1 <= operator.index(chunk) <= _CHUNK_MOST:
        raise ValueError(f"chunk={chunk}: wanted 1 to {_CHUNK_MOST}")
    search = Search(boundary, versions, first, field, sep, key)
    return _scan(source, search.scanner(chunk))


def _scan(source: Any, scanner: _core.Scanner) -> Iterator[Extraction]:
    with opened(source) as file:
        for hits in pieces(scanner, file):
            if hits:
                yield Extraction(scanner.take())


# --- summarize -------------------------------------------------------------------------------------------------------


NO_LABEL = "no prefix"  # what "" among the labels is shown as


class LogSummary(NamedTuple):
    """What `summarize` counted.

    `invalid` counts lines where the chosen place (first, field, key, column) holds no address; 0 when every address
    counts.  The rows of a column are its lines, null or not, and `bytes` are those of its text, a line each.
    `by_label` counts the values of the table as text, the most frequent first; "" is of addresses that no prefix holds.
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
    by_label: dict[str, int]
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
        counts = (self.by_kind, self.by_class)
        parts += [[(name or "IPv6", f"{count:,}") for name, count in by.items()] for by in counts]
        labels = islice(self.by_label.items(), max(10, len(self.top_addresses)))
        parts.append([(name or NO_LABEL, f"{count:,}") for name, count in labels])
        tops = (self.top_addresses, self.top_networks)
        parts += [[(text, f"{about}{count:,}") for text, count in top] for top in tops]
        width = max(len(name) for part in parts for name, _ in part)
        text = "\n\n".join("\n".join(f"{name:<{width}}  {value:>14}" for name, value in part) for part in parts if part)
        speed = self.bytes / self.seconds / 1e6 if self.seconds else 0.0
        return f"{text}\n\n{self.seconds:.2f} s, {speed:,.0f} MB/s"


class _Segment(NamedTuple):
    """A part of the work for one thread: a whole source, or lines [start, stop) of a plain file."""

    source: Any
    start: int
    stop: int | None

    @property
    def is_part(self) -> bool:
        return self.stop is not None

    def opened(self) -> AbstractContextManager[Any]:
        if self.stop is None:
            return opened_log(self.source)
        return opened_part(self.source, self.start, self.stop)


def _labels(table: PrefixTable) -> Labels:
    from .labels import Labels

    return Labels(table)


class _Job:
    """The state of one `summarize` that its threads share."""

    def __init__(self, search: Search, max_distinct: int, table: PrefixTable | None) -> None:
        self.search = search
        self.tally = _core.Tally(max_distinct)
        self.lock = threading.Lock()
        self.stopped = False
        self.bytes = self.read = self.lines = self.addresses = self.invalid = 0
        self.by_code = [0] * 256
        self.labels = None if table is None else _labels(table)
        self.by_label = self.labels.no_counts() if self.labels else None
        self.errors: list[tuple[str, str]] = []
        self.more: dict[str, int] = {}  # by source: more parts of a column that there was trouble with

    def segments(self, source: Any, column: str | None) -> list[_Segment | ColumnPart]:
        """What is to be done about a source; nothing if there is trouble with it, which is noted."""
        try:
            if column is not None:
                source = looked_into(source)
            return [*parts(source, column)] if file_format(source) else [*_segments(source)]
        except BAD_INPUT as error:
            self.note(_Segment(source, 0, None), error)
            return []

    def run(self, segment: _Segment | ColumnPart, tick: Callable[[], None]) -> None:
        """Counts a segment; trouble with it is noted and stops nothing else."""
        search = self.search.in_rows() if isinstance(segment, ColumnPart) else self.search
        scanner = search.scanner(tally=self.tally, labels=self.labels.wanted if self.labels else None)
        seen = 0
        try:
            for _ in self.pieces(segment, scanner):
                with self.lock:
                    self.read += scanner.bytes_read - seen
                seen = scanner.bytes_read
                if self.stopped:
                    return
                tick()
        finally:
            self.add(scanner, search.selects)

    def pieces(self, segment: _Segment | ColumnPart, scanner: _core.Scanner) -> Iterator[int]:
        """As `pieces`, ending at trouble.  What the caller does between two of them is no trouble with the source."""
        try:
            with segment.opened() as file:
                yield from pieces(scanner, file)
        except BAD_INPUT as error:
            self.note(segment, error)

    def note(self, segment: _Segment | ColumnPart, error: BaseException) -> None:
        name = source_name(segment.source)
        with self.lock:
            if segment.is_part and name in self.more:
                self.more[name] += isinstance(segment, ColumnPart)
                return
            if segment.is_part:
                self.more[name] = 0
            self.errors.append((name, trouble(name, error)[len(name) + 2 :]))

    def told(self) -> list[tuple[str, str]]:
        """The sources that there was trouble with, and what it was: one line for all parts of a file."""
        return [(name, message + more_parts(self.more.get(name, 0))) for name, message in self.errors]

    def add(self, scanner: _core.Scanner, selects: bool) -> None:
        scanner.settle()
        with self.lock:
            self.bytes += scanner.bytes_read
            self.lines += scanner.lines
            self.addresses += scanner.found
            self.invalid += scanner.lines - scanner.lines_with_hits if selects else 0
            self.by_code = [a + b for a, b in zip(self.by_code, scanner.counts(), strict=True)]
            if self.by_label is not None:
                self.by_label += scanner.label_counts()


def _segments(source: Any) -> list[_Segment]:
    """A large plain file in parts of whole lines, anything else as it is."""
    size = plain_size(source)
    if size is None or size < 2 * _SEGMENT:
        return [_Segment(source, 0, None)]
    try:
        cuts = cut_at_lines(source, size, _SEGMENT)
    except OSError:
        return [_Segment(source, 0, None)]  # whoever counts it meets the error again, and says so
    return [_Segment(source, start, stop) for start, stop in pairwise(cuts)]


def summarize(
    sources: Any,
    *,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    first: bool = False,
    field: int | None = None,
    sep: str | bytes | None = None,
    key: str | None = None,
    column: str | None = None,
    top: int = 10,
    table: PrefixTable | None = None,
    max_distinct: int = 10_000_000,
    progress: Callable[[int, int | None], object] | None = None,
    threads: int | None = None,
) -> LogSummary:
    """Count the addresses of logs by kind, class and block, and find the most frequent ones.

    Args:
        sources: a path or binary file, or a list of them; compressed ones are known by their magic bytes, and so are
            the paths of Parquet and Arrow IPC files, which need PyArrow; with `column`, so are open files and pipes of
            Arrow's stream format.
        boundary, versions, first, field, sep, key: as for `scan`; of a column only `versions` says something.
        column: the column of Parquet and Arrow files that holds the addresses, one a row as `netfast.classify` takes
            them, such as "ip" or "client.ip" inside a struct.  Text among the sources is read as ever.
        top: how many addresses and networks (/24, /48) to list.
        table: count also by label, the value of the longest prefix that holds an address.
        max_distinct: up to so many different addresses everything is exact; beyond, memory stays bounded and what is
            estimated is marked.
        progress: called about ten times a second with the bytes read so far and in all (None if that is unknown).
        threads: None for one per CPU this process may use.

    Returns:
        A `LogSummary`.  A source that cannot be read, or not to its end, or that has no such column, is named in
        `errors` once; what was found before that counts, and what is whole in its other parts.

    Raises:
        ValueError: an argument is out of range; ImportError: a source needs PyArrow, and there is none.

    Example:
        >>> import io
        >>> import netfast as nf
        >>> s = nf.summarize(io.BytesIO(b"10.0.0.1 ok\\n10.0.0.1 ok\\n8.8.8.8 Chrome/126.0.0.0\\n"))
        >>> s.lines, s.addresses, s.unique, s.by_kind
        (3, 3, 2, {'private': 2, 'global': 1})
    """
    if not 0 <= operator.index(top) < 1 << 32:
        raise ValueError(f"top={top}: wanted 0 to 2**32 - 1")
    if not 1 <= operator.index(max_distinct) < 1 << 63:
        raise ValueError(f"max_distinct={max_distinct}: wanted 1 to 2**63 - 1")
    started = time.perf_counter()
    job = _Job(Search(boundary, versions, first, field, sep, key), max_distinct, table)
    one = isinstance(sources, (str, bytes, os.PathLike)) or hasattr(sources, "read")
    listed = _each_once([sources] if one else list(sources))
    todo = deque(segment for source in listed for segment in job.segments(source, column))
    total = _total(listed) if progress and not any(isinstance(part, ColumnPart) for part in todo) else None
    workers = min(len(todo), thread_count(threads, len(todo), 1))
    reports = _Reports(job, progress, total)
    if workers <= 1 and not any(map(_is_deaf, todo)):
        while todo:
            job.run(todo.popleft(), reports.tick)
    else:
        _run_threads(job, todo, workers, reports)
    reports.last()
    return _summary(job, top, started)


def _is_deaf(part: _Segment | ColumnPart) -> bool:
    """Whether Ctrl-C is not heard while some of it is read: a record batch of any size may be decompressed at once."""
    return isinstance(part, ColumnPart) and not isinstance(part.source, Ahead)


def _each_once(sources: list[Any]) -> list[Any]:
    """A path may be listed twice and is read twice; a stream that has been read has nothing more."""
    seen: set[int] = set()
    kept = []
    for source in sources:
        if isinstance(source, (str, bytes, os.PathLike)) or id(source) not in seen:
            kept.append(source)
            seen.add(id(source))
    return kept


def _total(sources: list[Any]) -> int | None:
    """Bytes of all sources, if they are plain files."""
    sizes = [plain_size(source) for source in sources]
    return None if None in sizes else sum(size for size in sizes if size is not None)


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


def _run_threads(job: _Job, todo: deque[_Segment | ColumnPart], workers: int, reports: _Reports) -> None:
    """Works through the segments.  The threads are daemons: one that waits for input ends with the process."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not job.stopped:
                try:
                    segment = todo.popleft()
                except IndexError:
                    return  # another thread took the last one
                job.run(segment, lambda: None)
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


def _summary(job: _Job, top: int, started: float) -> LogSummary:
    unique, estimated = job.tally.unique()
    top_addresses = job.tally.top(top)
    top_networks = job.tally.top_networks(top)
    return LogSummary(
        lines=job.lines,
        bytes=job.bytes,
        addresses=job.addresses,
        invalid=job.invalid,
        unique=unique,
        estimated=estimated,
        count_error=job.tally.error(),
        by_kind=count_codes(job.by_code, "kind"),
        by_class=count_codes(job.by_code, "network_class"),
        by_block=count_codes(job.by_code, "block"),
        by_label=job.labels.counted(job.by_label) if job.labels and job.by_label is not None else {},
        top_addresses=top_addresses,
        top_networks=top_networks,
        errors=job.told(),
        seconds=time.perf_counter() - started,
    )
