"""Rows of addresses as Arrow: found in logs or in a column of a file, written as Parquet or Arrow, or as text.

What a row holds is what `netfast.reports` writes: line, offset, address, version, kind, class, block, and with a table
prefix and label.  Of a column, the line is the number of the row, and there is no offset.  All of it needs PyArrow.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .arrow_columns import addresses_of, joined, numbers_of, texts_of
from .arrow_files import ROWS, ColumnPart, opened_log, parts
from .labels import Labels
from .logs import Boundary, Search
from .registry import BLOCKS, CLASS_OF_CODE, CLASSES, KIND_OF_CODE, KINDS
from .reports import RowStyle, row_style
from .sources import BAD_INPUT, CHUNK, Ahead, more_parts, pieces, trouble
from .threads import from_thread, from_threads, in_order, thread_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .prefixes import PrefixTable

_BYTES_PER_THREAD = 4 << 20  # of a file; below, one thread has finished before a second one has started
_READERS = 4  # threads that read a file at most: the one that writes the rows takes no more than so many give
_AHEAD = 16  # arrays that each of them may be ahead: a row group of a million rows, some 20 MB
_TOGETHER = 1 << 17  # rows of a row group or record batch, or a little more


class Rows(NamedTuple):
    """Some addresses, a row each."""

    line: NDArray[np.int64]
    offset: NDArray[np.int64] | None
    address: Any  # binary Arrow text
    codes: NDArray[np.uint8]
    match: NDArray[np.int32] | None  # the prefix of the table, -1 for none


# --- found -----------------------------------------------------------------------------------------------------------


def rows_of_text(
    source: Any,
    table: PrefixTable | None = None,
    *,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    **how: Any,
) -> Iterator[Rows]:
    """The addresses of a log; arguments are those of `scan`.

    Raises:
        OSError, EOFError: as `scan`.  ValueError: an argument is out of range, or the source is Parquet or Arrow.

    Example:
        >>> [(rows.line.tolist(), rows.address.to_pylist()) for rows in rows_of_text([b"from 10.0.0.1\\nand ::1"])]
        [([1, 2], [b'10.0.0.1', b'::1'])]
    """
    search = Search(boundary, versions, **how)
    labels = None if table is None else Labels(table, counted=False)
    with opened_log(source) as file:
        yield from rows_of_file(file, search, labels)


def rows_of_file(file: Any, search: Search, labels: Labels | None = None, chunk: int = CHUNK) -> Iterator[Rows]:
    """The addresses in the rest of a file with `readinto`, as it is: nothing is decompressed."""
    import numpy as np
    from pyarrow import csv

    scanner = search.scanner(chunk, labels=labels.wanted if labels else None)
    ends = [b",%d\n" % code for code in range(256)]
    names = ["line", "offset", "address", "code"]
    types = dict(zip(names, ("int64", "int64", "large_binary", "uint8"), strict=True))
    for hits in pieces(scanner, file):
        if not hits:
            continue
        match = np.frombuffer(scanner.matches(), "int32") if labels else None
        text = scanner.rows(b"", b",", b",", ends)
        found = csv.read_csv(
            io.BytesIO(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            convert_options=csv.ConvertOptions(column_types=types),
        ).combine_chunks()
        columns: dict[str, Any] = {name: found[name].chunk(0) for name in names}
        line, offset, code = (_numpy(columns[name]) for name in ("line", "offset", "code"))
        yield Rows(line, offset, columns["address"], code, match)


def _numpy(column: Any) -> NDArray[Any]:
    """A column of numbers without nulls in place; its own to_numpy imports pandas."""
    import numpy as np

    return np.from_dlpack(column)


def rows_of_column(
    path: Any, column: str, table: PrefixTable | None = None, versions: Iterable[int] = (4, 6)
) -> Iterator[Rows]:
    """The addresses in a column of a Parquet or Arrow file.

    Raises:
        ValueError: the file is damaged, has no such column, or it cannot hold addresses.  Of a damaged file this comes
        last, behind the rows of every row group that is whole (of Arrow, of those in front of the damage).

    Example:
        >>> import os, pyarrow as pa, pyarrow.parquet as pq, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "flows.parquet")
        >>> pq.write_table(pa.table({"ip": ["10.0.0.1", None, "::1"]}), path)
        >>> [(rows.line.tolist(), rows.address.to_pylist()) for rows in rows_of_column(path, "ip")]
        [([1, 3], [b'10.0.0.1', b'::1'])]
    """
    find = _finder(table, versions)
    threads = _threads(path)
    return in_order(find, _numbered(path, column, threads), threads)


def _numbered(path: Any, column: str, threads: int) -> Iterator[tuple[int, Any]]:
    """The rows of a column some at a time, and the number of the first of them."""
    if isinstance(path, Ahead):
        found = _arrays(parts(path, column))
    else:
        found = from_threads(from_thread(_sources(path, column)), min(threads, _READERS), _AHEAD)
    failures: list[Exception] = []
    for one in found:
        if isinstance(one, Exception):
            failures.append(one)
        else:
            yield one
    if failures:
        told = trouble("", failures[0])[len(": ") :]
        raise ValueError(told + more_parts(len(failures) - 1)) from failures[0]


def _sources(path: Any, column: str) -> Iterator[Iterator[tuple[int, Any] | Exception]]:
    """What each thread reads: a part, or all of them in a row where only that tells the numbers of their rows."""
    found = parts(path, column, _AHEAD * ROWS)
    if any(part.first is None for part in found):
        yield _arrays(found)
    else:
        yield from (_arrays([part]) for part in found)


def _arrays(parts: Iterable[ColumnPart]) -> Iterator[tuple[int, Any] | Exception]:
    """The rows of some parts, one behind the other, up to what goes wrong: behind it nobody knows their numbers."""
    first = 1
    try:
        for part in parts:
            first = part.first or first
            for array in part.arrays():
                yield first, array
                first += len(array)
    except BAD_INPUT as error:
        yield error


def _threads(path: Any) -> int:
    """One per CPU for a large file; one for what comes from a pipe, whose rows shall not wait for more."""
    return 1 if isinstance(path, Ahead) else thread_count(None, os.stat(path).st_size, _BYTES_PER_THREAD)


def _finder(table: PrefixTable | None, versions: Iterable[int]) -> Callable[[tuple[int, Any]], Rows]:
    import numpy as np

    from .addresses import parse

    wanted = np.zeros(256, bool)
    wanted[list(versions)] = True

    def find(numbered: tuple[int, Any]) -> Rows:
        first, array = numbered
        parsed = parse(array, threads=1)
        kept = wanted[parsed.version].nonzero()[0]
        match = None if table is None else table.lookup(parsed, threads=1).index
        address, codes = addresses_of(array, parsed), parsed.classify().codes
        if len(kept) < len(array):
            address, codes = address.take(numbers_of(kept)), codes[kept]
            match = None if match is None else match[kept]
        return Rows(kept + first, None, address, codes, match)

    return find


# --- as text ---------------------------------------------------------------------------------------------------------


def column_rows(
    path: Any,
    write: Callable[[bytes | memoryview], object],
    column: str,
    *,
    format: Literal["csv", "jsonl"] = "csv",
    name: str | None = None,
    table: PrefixTable | None = None,
    versions: Iterable[int] = (4, 6),
) -> None:
    """Write a row an address of a column, as `netfast.reports.extract_rows` does for logs.

    Raises:
        ValueError: as `rows_of_column`, and likewise behind what could be written.

    Example:
        >>> import os, pyarrow as pa, pyarrow.parquet as pq, sys, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "flows.parquet")
        >>> pq.write_table(pa.table({"ip": ["10.0.0.1", None, "::1"]}), path)
        >>> column_rows(path, lambda rows: print(bytes(rows).decode(), end=""), "ip")
        1,,10.0.0.1,4,private,A,10.0.0.0/8
        3,,::1,6,loopback,,::1/128
    """
    import pyarrow as pa

    style = row_style(format, name)
    labels = None if table is None else Labels(table, counted=False)
    tails = texts_of([tail if labels else tail + style.end for tail in style.tails])
    middle = style.mid_offset + style.nothing + style.mid_address
    find = _finder(table, versions)

    def written(numbered: tuple[int, Any]) -> memoryview:
        rows = find(numbered)
        line = numbers_of(rows.line).cast(pa.large_string())
        columns = [style.lead, line, middle, _inside(rows.address, style), tails.take(numbers_of(rows.codes))]
        if labels and rows.match is not None:
            numbers, places = distinct_numbers(rows.match)
            ends = texts_of([style.labels(*labels.of(number)) + style.end for number in numbers])
            columns.append(ends.take(places))
        return joined(*columns)

    threads = _threads(path)
    for text in in_order(written, _numbered(path, column, threads), threads):
        if text:
            write(text)


def _inside(address: Any, style: RowStyle) -> Any:
    """Addresses as the style writes them.  Only a zone holds what could need more than writing it down."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zoned = pc.match_substring(address, b"%")
    if not pc.any(zoned).as_py():
        return address
    shown = [style.inside(text.decode("utf-8", "replace")) for text in address.filter(zoned).to_pylist()]
    return pc.replace_with_mask(address, zoned, texts_of(shown).cast(pa.large_binary()))


def distinct_numbers(match: NDArray[np.int32]) -> tuple[list[int], Any]:
    """The different numbers, and the place of each row's among them, as an Arrow column."""
    import numpy as np

    numbers, places = np.unique(match, return_inverse=True)
    return numbers.tolist(), numbers_of(places)


# --- as Arrow --------------------------------------------------------------------------------------------------------


class Writer:
    """Writes rows as Parquet or Arrow to something with `write`; a context, at whose end the file is whole; cut off
    by an exception, it does not look whole.

    kind, class, block and file are dictionaries, which Parquet's readers see as text.  label is null where the value
    of the prefix is None, as the engines have it.

    Example:
        >>> import io, pyarrow.parquet as pq
        >>> file = io.BytesIO()
        >>> with Writer(file.write, "parquet") as writer:
        ...     for rows in rows_of_text([b"from 10.0.0.1\\nand ::1"]):
        ...         writer.add(rows)
        >>> pq.read_table(file).select(["address", "kind"]).to_pylist()
        [{'address': '10.0.0.1', 'kind': 'private'}, {'address': '::1', 'kind': 'loopback'}]
    """

    def __init__(
        self,
        write: Callable[[Any], object],
        format: Literal["parquet", "arrow", "stream"],
        names: Sequence[str] | None = None,
        table: PrefixTable | None = None,
    ) -> None:
        """format: "arrow" is Arrow IPC's file format, "stream" the other one.  names: of the files, if rows tell it.

        Raises:
            ImportError: PyArrow, or its part for Parquet, is not there.  What `write` raises, `add` and the end raise.
        """
        self._labels = None if table is None else Labels(table, counted=False)
        self._names = None if names is None else texts_of([_utf8(name) for name in names])
        self._kinds, self._classes = texts_of(KINDS), texts_of(CLASSES)
        self._blocks = texts_of([block.prefix for block in BLOCKS])
        self._waiting: list[Any] = []
        self._rows = 0
        self.schema = self._batch(_none(self._labels), 0).schema
        self._sink = _Sink(write)
        self._writer = self._opened(format)

    def _opened(self, format: str) -> Any:
        import pyarrow as pa

        file = pa.PythonFile(self._sink, mode="w")
        if format == "parquet":
            import pyarrow.parquet as pq

            return pq.ParquetWriter(file, self.schema)
        return (pa.ipc.new_file if format == "arrow" else pa.ipc.new_stream)(file, self.schema)

    def add(self, rows: Rows, file: int = 0) -> None:
        """file: the number of its name."""
        self._waiting.append(self._batch(rows, file))
        self._rows += len(self._waiting[-1])
        if self._rows >= _TOGETHER:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._waiting.clear()
            self._rows = 0
            self._writer.write_table(table)
            self._sink.send()

    def _batch(self, rows: Rows, file: int) -> Any:
        import numpy as np
        import pyarrow as pa

        n, codes = len(rows.codes), rows.codes
        version = np.where(np.frombuffer(_IS_V6, bool).take(codes), 6, 4).astype(np.uint8)

        def named(indices: Any, values: Any) -> Any:
            return pa.DictionaryArray.from_arrays(numbers_of(indices), values)

        columns: dict[str, Any] = {}
        if self._names is not None:
            columns["file"] = named(np.full(n, file, np.int32), self._names)
        columns["line"] = numbers_of(rows.line)
        columns["offset"] = pa.nulls(n, pa.int64()) if rows.offset is None else numbers_of(rows.offset)
        columns["address"] = rows.address.cast(pa.string())
        columns["version"] = numbers_of(version)
        columns["kind"] = named(np.frombuffer(KIND_OF_CODE, np.int8).take(codes), self._kinds)
        columns["class"] = named(np.frombuffer(CLASS_OF_CODE, np.int8).take(codes), self._classes)
        columns["block"] = named(codes.astype(np.int16), self._blocks)
        if self._labels is not None and rows.match is not None:
            numbers, places = distinct_numbers(rows.match)
            prefixes = self._labels.table.prefixes
            columns["prefix"] = texts_of([prefixes[number] if number >= 0 else None for number in numbers]).take(places)
            columns["label"] = texts_of([self._labels.text_of(number) for number in numbers]).take(places)
        return pa.RecordBatch.from_pydict(columns)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write()
            self._writer.close()
            self._sink.send()
            return
        with suppress(Exception):
            self._writer.close()  # which writes an end that is not sent


_IS_V6 = bytes(":" in block.prefix for block in BLOCKS)


def _none(labels: Labels | None) -> Rows:
    """No rows, which have the columns of any."""
    import numpy as np

    number = np.zeros(0, np.int64)
    match = None if labels is None else np.zeros(0, np.int32)
    return Rows(number, number, texts_of([]), np.zeros(0, np.uint8), match)


def _utf8(name: str) -> str:
    """The name of a file, whose bytes may be no UTF-8, as Arrow can hold it."""
    return os.fsencode(name).decode("utf-8", "replace")


class _Sink:
    """What PyArrow takes for a file that can only be written.

    It only collects: when a write fails, PyArrow goes on to write an end, with which half a file looks whole.
    """

    closed = False

    def __init__(self, write: Callable[[Any], object]) -> None:
        self._write = write
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._held.append(bytes(data))
        self._size += len(data)

    def send(self) -> None:
        """Passes on what has come."""
        held, self._held = self._held, []
        for data in held:
            self._write(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
