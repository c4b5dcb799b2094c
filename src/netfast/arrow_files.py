"""A column of addresses in a Parquet or Arrow file, some rows at a time: what `summarize` and the commands read.

Formats are known by their first bytes, as compression is: Parquet, and the file and the stream format of Arrow IPC, of
which Feather is a name.  A row is an address or it is none, as for `netfast.classify`; nothing is searched for in a
longer text.  Everything but `file_format` needs PyArrow, which is imported by the first call.

Memory: some megabytes a thread, and of Arrow IPC a record batch as a whole, for that is what PyArrow reads.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from .arrow_columns import as_written, constant, joined
from .registry import BLOCKS
from .sources import Ahead, opened

Format = Literal["Parquet", "Arrow", "Arrow stream", "Feather 1"]

SUFFIXES = (".parquet", ".arrow", ".arrows", ".feather")

ROWS = 1 << 16  # worked on at a time: their text fits a processor's cache
_BYTES = 4 << 20  # of text, for which there are fewer of them where it is long
_SAMPLE = 64  # rows, which tell how long
_PARTS = 64  # that a file is cut into at most, for as many threads
_PAGES = 1 << 20  # bytes of a column of Parquet read at a time
_SHOWN = 20  # names that a message lists


# --- what a file is --------------------------------------------------------------------------------------------------


def file_format(source: Any) -> Format | None:
    """What a path leads to, or what `Ahead` has seen of another file; None for text, and for trouble.

    What is no plain file may be read once only, and is text unless somebody has looked `Ahead`.

    Source: Parquet's and Arrow's "File format" and "Encapsulated message format"; Feather 1 begins with FEA1.

    Raises:
        ValueError: its name says that it is such a file, and its first bytes say that it is none.

    Example:
        >>> import io
        >>> file_format(Ahead(io.BytesIO(b"PAR1....")))
        'Parquet'
    """
    if isinstance(source, Ahead):
        return _known(source.head)
    try:
        if not isinstance(source, (str, bytes, os.PathLike)) or not stat.S_ISREG(os.stat(source).st_mode):
            return None
        with open(source, "rb", buffering=0) as file:
            head = file.read(8)
    except (OSError, ValueError):
        return None  # whoever reads it meets the error again, and says so
    known = _known(head)
    if known is None and head and os.fsdecode(source).lower().endswith(SUFFIXES):
        raise ValueError("it is damaged: its name says Parquet or Arrow, its first bytes do not")
    return known


def _known(head: bytes) -> Format | None:
    size = int.from_bytes(head[4:], "little")  # of what follows; four letters would be a larger number
    if head[:4] == b"PAR1" or (head[:4] == b"PARE" and 0 < size < 1 << 28):  # E: the footer is encrypted
        return "Parquet"
    if head[:6] == b"ARROW1":
        return "Arrow"
    if head[:4] == b"\xff\xff\xff\xff" and 0 < size < 1 << 28:
        return "Arrow stream"
    return "Feather 1" if head[:4] == b"FEA1" else None


def looked_into(source: Any) -> Any:
    """What can be read once only, an open file or the path of a pipe, as `Ahead`; anything else as it is.

    Raises:
        OSError: it cannot be opened or read.
    """
    if isinstance(source, Ahead):
        return source
    if hasattr(source, "read"):
        return Ahead(source)
    return Ahead(open(source, "rb", buffering=0), own=True) if _is_pipe(source) else source


def _is_pipe(source: Any) -> bool:
    """A named pipe, or another device: no plain file, no folder, and not missing."""
    try:
        mode = os.stat(source).st_mode
    except (OSError, TypeError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextmanager
def opened_log(source: Any) -> Iterator[Any]:
    """The same as `netfast.sources.opened`, for text.

    Raises:
        ValueError: it is Parquet or Arrow, in which a scanner would find what nobody has written there.
    """
    with opened(source) as file:
        if format := file_format(file):
            how = "uncompressed" if format == "Arrow stream" else "from a plain file"
            raise ValueError(f"it is {format}, not text; --column (in Python column=) reads it {how}")
        yield file


def need_pyarrow(*, parquet: bool = False) -> None:
    """Raises ImportError that says what to install if there is no PyArrow, or what is wrong with it."""
    try:
        import pyarrow

        if parquet:  # which not every build of it has
            import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyarrow":
            raise ImportError("Parquet and Arrow files need PyArrow: pip install 'netfast[arrow]'") from None
        raise ImportError(f"PyArrow is installed, but cannot be imported: {error}") from error


@contextmanager
def _told() -> Iterator[None]:
    """PyArrow's own errors as ValueError: a file that it cannot read is damaged (and may want any amount of memory),
    or newer than it is, or of a kind that this build of it does not know."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ImportError, MemoryError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise ValueError(f"it cannot be read ({error or type(error).__name__})") from error


# --- which column ----------------------------------------------------------------------------------------------------


def address_columns(path: Any) -> list[str]:
    """The columns that may hold addresses as text, those inside structs as "client.ip"."""
    need_pyarrow()
    with _read(path) as file:
        return [name for name, type in _leaves(file.schema) if _is_text(type)]


def _leaves(fields: Iterable[Any], lead: str = "") -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, f"{lead}{field.name}.")
        else:
            yield lead + field.name, field.type


def _is_text(type: Any) -> bool:
    import pyarrow as pa

    inner = type.value_type if pa.types.is_dictionary(type) else type
    return str(inner) in ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


def _is_number(type: Any) -> bool:
    """An address as a number or as bytes, which netfast.classify takes; a column of nulls alone has the type null."""
    import pyarrow as pa

    inner = type.value_type if pa.types.is_dictionary(type) else type
    return str(inner) in ("uint32", "fixed_size_binary[4]", "fixed_size_binary[16]", "null")


def _found(schema: Any, name: str) -> list[str]:
    """The names that lead to a column, one a struct.  Raises ValueError if there is none, or it holds no addresses."""
    ways = _ways(list(schema), name)
    if not ways:
        raise ValueError(f"it has no column {name!r}; there are {listed([name for name, _ in _leaves(schema)])}")
    if len(ways) > 1:
        raise ValueError(f"it has {len(ways)} columns {name!r}")
    type = ways[0][-1].type
    if not _is_text(type) and not _is_number(type):
        raise ValueError(f"column {name!r} is {type}; wanted text, uint32 (IPv4), or 4 or 16 bytes")
    return [field.name for field in ways[0]]


def _ways(fields: Sequence[Any], name: str) -> list[list[Any]]:
    """The fields that lead to a name, for each way there is.  Names may hold dots themselves: one that is the whole
    name hides others.  Raises ValueError if a name on the way is not the only one, for PyArrow goes by names."""
    import pyarrow as pa

    whole = [field for field in fields if field.name == name]
    structs = [f for f in fields if name.startswith(f"{f.name}.") and pa.types.is_struct(f.type)]
    taken = [field.name for field in whole or structs]
    for one in taken:
        if taken.count(one) > 1:
            raise ValueError(f"it has {taken.count(one)} columns {one!r}")
    if whole:
        return [whole]
    return [[field, *rest] for field in structs for rest in _ways(list(field.type), name[len(field.name) + 1 :])]


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown


# --- reading ---------------------------------------------------------------------------------------------------------


class _Parquet:
    """A Parquet file, cut at its row groups.  Pages are read one by one, however large a row group is."""

    def __init__(self, file: Any, metadata: Any = None) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(file, metadata=metadata, buffer_size=_PAGES, pre_buffer=False)
        self.schema = self._file.schema_arrow
        self.shared = self._file.metadata  # spares the other parts to read it again

    def firsts(self) -> Sequence[int | None]:
        sizes = [self.shared.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        return list(accumulate(sizes, initial=1))[:-1]

    def arrays(self, groups: range, column: str) -> Iterator[Any]:
        names = _found(self.schema, column)
        path = ".".join(names)
        for batch in self._batches(self._rows(groups, path), groups, path):
            yield _inside(batch.column(names[0]), names)

    def _batches(self, rows: int, groups: range, path: str) -> Iterator[Any]:
        batches: Iterator[Any] = self._file.iter_batches(rows, list(groups), [path], use_threads=False)
        return batches

    def _rows(self, groups: range, path: str) -> int:
        """How many to read at a time.  Long texts may be told by a row group's size, or stand once in a dictionary."""
        leaves = [leaf for leaf in range(self.shared.num_columns) if self.shared.schema.column(leaf).path == path]
        width = 0.0
        for group in map(self.shared.row_group, groups):
            for leaf in leaves:
                width = max(width, group.column(leaf).total_uncompressed_size / max(group.num_rows, 1))
        for sample in self._batches(_SAMPLE, groups, path):
            width = max(width, sample.nbytes / max(len(sample), 1))
            break
        return max(1, min(ROWS, int(_BYTES / max(width, 1))))


class _Arrow:
    """A file of Arrow IPC, cut at its record batches."""

    shared = None

    def __init__(self, file: Any) -> None:
        import pyarrow as pa

        self._file = file
        reader = pa.ipc.open_file(file, options=_options())
        self.schema, self._count = reader.schema, reader.num_record_batches

    def firsts(self) -> Sequence[int | None]:
        return [None] * self._count  # to know them, all that is before would have to be read

    def arrays(self, numbers: range, column: str) -> Iterator[Any]:
        import pyarrow as pa

        names = _found(self.schema, column)
        reader = pa.ipc.open_file(self._file, options=_options(self.schema.get_field_index(names[0])))
        for number in numbers:
            yield from _slices(reader.get_batch(number), names)


class _Streams:
    """Streams of Arrow IPC, one behind the other as `cat` puts them, which have one part."""

    shared = None

    def __init__(self, source: Any) -> None:
        import pyarrow as pa

        raw = source if isinstance(source, Ahead) else open(source, "rb", buffering=0)  # noqa: SIM115
        self._bytes = io.BufferedReader(raw, _PAGES)  # PyArrow takes less than it asked for as the end
        self._file = pa.PythonFile(self._bytes, mode="r")

    @property
    def schema(self) -> Any:
        """The first one's, which is not read again."""
        return self._opened().schema

    def firsts(self) -> Sequence[int | None]:
        return [1]

    def arrays(self, _: range, column: str) -> Iterator[Any]:
        while self._bytes.peek(1):
            start = self._bytes.tell() if self._bytes.seekable() else None
            reader = self._opened()
            names = _found(reader.schema, column)
            if start is not None:  # the other columns need not be decompressed
                self._bytes.seek(start)
                reader = self._opened(reader.schema.get_field_index(names[0]))
            for batch in reader:
                yield from _slices(batch, names)

    def _opened(self, *fields: int) -> Any:
        import pyarrow as pa

        return pa.ipc.open_stream(self._file, options=_options(*fields))

    def close(self) -> None:
        self._bytes.close()


def _options(*fields: int) -> Any:
    import pyarrow as pa

    return pa.ipc.IpcReadOptions(use_threads=False, included_fields=list(fields))


@contextmanager
def _read(source: Any, shared: Any = None) -> Iterator[_Parquet | _Arrow | _Streams]:
    format = file_format(source)
    if format == "Feather 1":
        raise ValueError("it is Feather of version 1; write it again as version 2, which is Arrow IPC")
    if isinstance(source, Ahead) and format != "Arrow stream":
        raise ValueError(f"it is {format}, of which the end is read first; name the file instead")
    with _told():
        if format == "Arrow stream":
            with closing(_Streams(source)) as streams:
                yield streams
        else:
            import pyarrow as pa

            with pa.OSFile(os.fsencode(source)) as file:  # no map: all of the file would count as memory in use
                yield _Parquet(file, shared) if format == "Parquet" else _Arrow(file)


class ColumnPart(NamedTuple):
    """Some row groups or record batches of one column, for one thread."""

    source: Any
    column: str
    numbers: range
    first: int | None  # the number of its first row; None if only those who read what is before it know
    shared: Any = None

    @property
    def is_part(self) -> bool:
        return True

    def opened(self) -> AbstractContextManager[Any]:
        """A file of text: a row a line, which is blank where the row is null or no address."""
        return opened(map(_lines, self.arrays()))

    def arrays(self) -> Iterator[Any]:
        """The rows as Arrow arrays of a type that netfast.classify takes."""
        with _read(self.source, self.shared) as file:
            arrays = file.arrays(self.numbers, self.column)
            yield from arrays if isinstance(self.source, Ahead) else _together(arrays)


def parts(source: Any, column: str | None, rows: int | None = None) -> list[ColumnPart]:
    """A column of a file in parts; with `rows`, those of Parquet have about so many at most, but a row group at least.

    Raises:
        ValueError: the file is damaged, has no such column, or it cannot hold addresses; or `column` is None.
        ImportError: there is no PyArrow.

    Example:
        >>> import os, pyarrow as pa, pyarrow.parquet as pq, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "flows.parquet")
        >>> pq.write_table(pa.table({"ip": ["10.0.0.1", "::1", None]}), path, row_group_size=2)
        >>> [(part.first, list(part.numbers)) for part in parts(path, "ip")]
        [(1, [0]), (3, [1])]
    """
    need_pyarrow()
    if column is None:
        raise ValueError(f"it is {file_format(source)}; column= chooses one of {listed(address_columns(source))}")
    if isinstance(source, Ahead):
        return [ColumnPart(source, column, range(1), 1)]  # what is looked at is gone
    with _read(source) as file:
        _found(file.schema, column)
        firsts = file.firsts()  # the number of the first row of each row group or record batch
        count = len(firsts)
        step = -(-count // _PARTS) or 1
        if rows is not None and file.shared is not None:
            step = max(1, min(step, count * rows // max(file.shared.num_rows, 1)))
        cuts = [range(at, min(at + step, count)) for at in range(0, count, step)]
        return [ColumnPart(source, column, cut, firsts[cut[0]], file.shared) for cut in cuts]


def _together(arrays: Iterable[Any]) -> Iterator[Any]:
    """Small ones joined: each costs as much as thousands of rows do."""
    import pyarrow as pa

    waiting: list[Any] = []
    rows = size = 0
    failure: Exception | None = None
    left = iter(arrays)
    while True:
        try:
            array: Any = next(left, None)
        except Exception as error:
            array, failure = None, error  # behind what is waiting
        # Each may have a dictionary of its own, and not all can be united.
        alone = array is None or pa.types.is_dictionary(array.type)
        if waiting and (alone or rows + len(array) > ROWS or size + array.nbytes > _BYTES):
            yield waiting[0] if len(waiting) == 1 else pa.concat_arrays(waiting)
            waiting, rows, size = [], 0, 0
        if failure is not None:
            raise failure
        if array is None:
            return
        waiting.append(array)
        rows, size = rows + len(array), size + array.nbytes


def _slices(batch: Any, names: list[str]) -> Iterator[Any]:
    """A column of a record batch, some rows at a time."""
    column = batch.column(names[0])
    column.validate()  # the size of each buffer; nothing else looks at what lies in the file
    array = _validated(_inside(column, names))
    for start in range(0, len(array), ROWS):
        yield array.slice(start, ROWS)


def _validated(array: Any) -> Any:
    """The same with text as bytes: one that is no UTF-8 is one row without an address.  Raises pa.ArrowInvalid."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _validated(array.dictionary))
    plain = {"string": pa.binary(), "large_string": pa.large_binary(), "string_view": pa.binary_view()}
    array = array.view(plain.get(str(array.type), array.type))
    array.validate(full=True)
    return array


def _inside(column: Any, names: list[str]) -> Any:
    """What the names behind the first lead to; null where a struct around it is."""
    import pyarrow.compute as pc

    return pc.struct_field(column, names[1:]) if len(names) > 1 else column


# --- as text ---------------------------------------------------------------------------------------------------------

_UNSPECIFIED = next(code for code, block in enumerate(BLOCKS) if block.prefix == "::/128")


def _lines(array: Any) -> memoryview:
    """Rows as lines of text in which the scanner finds one address each, without a zone, and none in a blank line."""
    import pyarrow.compute as pc

    from .addresses import parse

    parsed = parse(array, threads=1)
    rows = as_written(array, parsed)
    if (parsed.version == 6).any():
        if pc.any(pc.match_substring(rows, b"%")).as_py():
            rows = pc.replace_substring_regex(rows, b"(?s)%.*", b"")
        if (parsed.classify().codes == _UNSPECIFIED).any():  # in text, two colons may be anything
            rows = pc.if_else(pc.equal(rows, constant(b"::")), constant(b"0::"), rows)
    return joined(rows, b"\n")
