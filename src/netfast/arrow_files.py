"""A column of addresses in a Parquet or Arrow file, some rows at a time: what `summarize` and the commands read.

Formats are known by their first bytes, as compression is: Parquet, and the file and the stream format of Arrow IPC, of
which Feather is a name.  A row is an address or it is none, as for `netfast.classify`; nothing is searched for in a
longer text.  Everything but `file_format` needs PyArrow, which is imported by the first call.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._arrow import ArrowData, arrow_text
from .registry import BLOCKS
from .sources import Ahead, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .addresses import AddressArray

Format = Literal["Parquet", "Arrow", "Arrow stream", "Feather 1"]

SUFFIXES = (".parquet", ".arrow", ".arrows", ".feather")

_ROWS = 1 << 16  # worked on at a time: their text fits a processor's cache
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
    if head[:4] in (b"PAR1", b"PARE"):  # E: the footer is encrypted
        return "Parquet"
    if head[:6] == b"ARROW1":
        return "Arrow"
    if head[:4] == b"\xff\xff\xff\xff" and 0 < int.from_bytes(head[4:], "little") < 1 << 28:
        return "Arrow stream"
    return "Feather 1" if head[:4] == b"FEA1" else None


def need_pyarrow() -> None:
    """Raises ImportError that says what to install if there is no PyArrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError("Parquet and Arrow files need PyArrow: pip install 'netfast[arrow]'") from None


@contextmanager
def _told() -> Iterator[None]:
    """PyArrow's own errors as ValueError: a file that it cannot read is damaged (and may want any amount of memory),
    or newer than it is."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise ValueError(f"it cannot be read ({error})") from error


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
    path = _path(list(schema), name)
    if path is None:
        raise ValueError(f"it has no column {name!r}; there are {listed([name for name, _ in _leaves(schema)])}")
    type = path[-1].type
    if not _is_text(type) and not _is_number(type):
        raise ValueError(f"column {name!r} is {type}; wanted text, uint32 (IPv4), or 4 or 16 bytes")
    return [field.name for field in path]


def _path(fields: Sequence[Any], name: str) -> list[Any] | None:
    """The fields that lead to a name; names may hold dots themselves."""
    import pyarrow as pa

    same = [field for field in fields if field.name == name]
    if len(same) > 1:
        raise ValueError(f"it has {len(same)} columns {name!r}")
    if same:
        return same
    for field in fields:
        if name.startswith(f"{field.name}.") and pa.types.is_struct(field.type):
            rest = _path(list(field.type), name[len(field.name) + 1 :])
            if rest:
                return [field, *rest]
    return None


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown


# --- reading ---------------------------------------------------------------------------------------------------------


class _Parquet:
    """A Parquet file, cut at its row groups.  Pages are read one by one, however large a row group is."""

    def __init__(self, source: Any, metadata: Any = None) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(source, metadata=metadata, buffer_size=_PAGES, pre_buffer=False)
        self.schema = self._file.schema_arrow
        self.shared = self._file.metadata  # spares the other parts to read it again
        self.count = self._file.num_row_groups

    def batches(self, groups: range, column: list[str]) -> Iterator[Any]:
        name = ".".join(column)
        return iter(self._file.iter_batches(_ROWS, list(groups), [name], use_threads=False) if groups else ())


class _Arrow:
    """A file of Arrow IPC, cut at its record batches; a stream has one part."""

    def __init__(self, source: Any, *, stream: bool, once: bool) -> None:
        self._source, self._stream, self._once = source, stream, once
        self.shared = None
        self._reader = self._opened()
        self.schema = self._reader.schema
        self.count = 1 if stream else self._reader.num_record_batches

    def _opened(self, **options: Any) -> Any:
        import pyarrow as pa

        how = pa.ipc.IpcReadOptions(use_threads=False, **options)
        return (pa.ipc.open_stream if self._stream else pa.ipc.open_file)(self._source, options=how)

    def batches(self, numbers: range, column: list[str]) -> Iterator[Any]:
        reader = self._reader
        if not self._once:
            self._source.seek(0)
            reader = self._opened(included_fields=[self.schema.get_field_index(column[0])])
        for batch in reader if self._stream else map(reader.get_batch, numbers):
            batch.validate(full=True)  # nothing else looks at what lies in the file
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)


@contextmanager
def _read(source: Any, shared: Any = None) -> Iterator[_Parquet | _Arrow]:
    format = file_format(source)
    stream = format == "Arrow stream"
    if format == "Feather 1":
        raise ValueError("it is Feather of version 1; write it again as version 2, which is Arrow IPC")
    if isinstance(source, Ahead) and not stream:
        raise ValueError(f"it is {format}, of which the end is read first; name the file instead")
    once = isinstance(source, Ahead)
    with _told(), _file(source) as file:
        yield _Parquet(file, shared) if format == "Parquet" else _Arrow(file, stream=stream, once=once)


def _file(source: Any) -> Any:
    import pyarrow as pa

    if isinstance(source, Ahead):  # PyArrow takes less than it asked for as the end
        return pa.PythonFile(io.BufferedReader(source, _PAGES), mode="r")
    return pa.OSFile(os.fsencode(source))  # no map: all of the file would count as memory in use


class ColumnPart(NamedTuple):
    """Some row groups or record batches of one column, for one thread."""

    source: Any
    column: str
    numbers: range
    shared: Any

    @property
    def is_part(self) -> bool:
        return True

    def opened(self) -> AbstractContextManager[Any]:
        """A file of text: a row a line, which is blank where the row is null or no address."""
        return opened(map(_lines, self.arrays()))

    def arrays(self) -> Iterator[Any]:
        """The rows as Arrow arrays of a type that netfast.classify takes."""
        with _read(self.source, self.shared) as file:
            names = _found(file.schema, self.column)
            for batch in file.batches(self.numbers, names):
                yield _inner(batch, names)


def parts(source: Any, column: str | None) -> list[ColumnPart]:
    """A column of a file in parts.

    Raises:
        ValueError: the file is damaged, has no such column, or it cannot hold addresses; or `column` is None.
        ImportError: there is no PyArrow.
    """
    need_pyarrow()
    if column is None:
        raise ValueError(f"it is {file_format(source)}; column= chooses one of {listed(address_columns(source))}")
    if isinstance(source, Ahead):
        return [ColumnPart(source, column, range(1), None)]  # what is looked at is gone
    with _read(source) as file:
        _found(file.schema, column)
        step = -(-file.count // _PARTS) or 1
        cuts = range(0, file.count, step)
        return [ColumnPart(source, column, range(at, min(at + step, file.count)), file.shared) for at in cuts]


def _inner(batch: Any, names: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = batch.column(batch.schema.get_field_index(names[0]))
    if len(names) > 1:
        array = pc.struct_field(array, names[1:])  # null where a struct around it is
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


# --- as Arrow --------------------------------------------------------------------------------------------------------
# pa.array and pa.scalar import pandas, if there is any, to see whether what it got is a Series: 0.2 s and 40 MB.


def numbers_of(values: NDArray[Any]) -> Any:
    """A column of NumPy, numbers or bool, as Arrow."""
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(values, bitorder="little") if values.dtype == bool else np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(bits)])


class _Texts(NamedTuple):
    data: ArrowData

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.data.schema_capsule(), self.data.array_capsule()


def texts_of(texts: Sequence[str | bytes | None]) -> Any:
    """Texts as Arrow."""
    import pyarrow as pa

    return pa.array(_Texts(arrow_text(texts)))


def _constant(text: bytes) -> Any:
    import pyarrow as pa

    return texts_of([text]).cast(pa.large_binary())[0]


# --- as text ---------------------------------------------------------------------------------------------------------

_UNSPECIFIED = next(code for code, block in enumerate(BLOCKS) if block.prefix == "::/128")


def texts(array: Any, parsed: AddressArray) -> Any:
    """Rows as binary text as RFC 5952 has it, with their zones; null where a row is null or no address.

    IPv4 has one way to be written only, which spares to write it again.
    """
    import pyarrow as pa

    if _is_text(array.type) and not (parsed.version == 6).any():
        return _valid(array, parsed)
    return pa.array(parsed).cast(pa.large_binary())


def _valid(array: Any, parsed: AddressArray) -> Any:
    """Rows of text as binary text, null where they are no address."""
    import numpy as np
    import pyarrow as pa

    valid = parsed.version != 0
    plain = (_emptied(array, valid) if str(array.type).endswith("_view") else array).cast(pa.large_binary())
    if valid.all():
        return plain
    bits = np.packbits(np.concatenate([np.zeros(plain.offset, bool), valid]), bitorder="little")
    buffers = [pa.py_buffer(bits), *plain.buffers()[1:]]
    return pa.Array.from_buffers(plain.type, len(plain), buffers, offset=plain.offset)


def _emptied(views: Any, valid: NDArray[np.bool_]) -> Any:
    """The views with no text in the other rows, for PyArrow follows those of nulls, which may lead anywhere."""
    import numpy as np
    import pyarrow as pa

    if not len(views):
        return views
    _, rows, *data = views.buffers()
    pairs = np.frombuffer(rows, np.int64, 2 * (views.offset + len(views))).reshape(-1, 2)[views.offset :]
    made = pa.py_buffer(np.where(valid[:, None], pairs, 0))
    try:
        return pa.Array.from_buffers(views.type, len(views), [None, made, *data])
    except ValueError:  # PyArrow 17 makes no views of buffers
        return pa.array(views.to_pylist(), pa.large_binary())


def _lines(array: Any) -> memoryview:
    """Rows as lines of text in which the scanner finds one address each, without a zone, and none in a blank line."""
    import pyarrow.compute as pc

    from .addresses import parse

    parsed = parse(array, threads=1)
    rows = _valid(array, parsed) if _is_text(array.type) else texts(array, parsed)
    if (parsed.version == 6).any():
        if pc.any(pc.match_substring(rows, b"%")).as_py():
            rows = pc.replace_substring_regex(rows, b"(?s)%.*", b"")
        if (parsed.classify().codes == _UNSPECIFIED).any():  # in text, two colons may be anything
            rows = pc.if_else(pc.equal(rows, _constant(b"::")), _constant(b"0::"), rows)
    return joined(rows, b"\n")


def joined(*columns: Any) -> memoryview:
    """The texts of each row, nothing for null, one behind the other, and the rows likewise.

    Example:
        >>> import pyarrow as pa
        >>> bytes(joined(b"<", pa.array(["a", None, "b"]), b">"))
        b'<a><><b>'
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wide = [_constant(c) if isinstance(c, bytes) else c.cast(pa.large_binary()) for c in columns]
    rows = pc.binary_join_element_wise(*wide, _constant(b""), null_handling="replace", null_replacement="")
    _, offsets, data = rows.buffers()  # a text array has the bytes of its rows in a row, which is what is wanted
    if data is None or not len(rows):
        return memoryview(b"")
    ends = memoryview(offsets).cast("B").cast("q")
    return memoryview(data)[ends[rows.offset] : ends[rows.offset + len(rows)]]
