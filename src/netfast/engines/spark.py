"""netfast on Spark: SQL functions, and logs of any size classified by all workers of a cluster.

`register` adds functions to SQL that work on Arrow arrays.  `classify_logs` makes a DataFrame of the addresses in
files, which the workers read themselves: by blocks, not by lines.  Both want PySpark 4.1 or newer, netfast and PyArrow
on every worker, and workers with the driver's version of Python: set PYSPARK_PYTHON before the session is made
(`sys.executable` where all is one machine), for Spark takes `python3` from PATH otherwise.  Both work with sessions of
Spark Connect too.

A table is saved to a file once, which Spark copies to each executor once (`SparkContext.addFile`, with Spark Connect
`SparkSession.addArtifacts`); the workers map that file, and share its memory.
"""

from __future__ import annotations

import atexit
import errno
import glob
import hashlib
import os
import pickle
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import netfast as nf
from netfast.arrow_files import file_format
from netfast.arrow_rows import Rows, distinct_numbers, rows_of_file
from netfast.labels import Labels
from netfast.logs import Boundary, Extraction, Search
from netfast.sources import BAD_INPUT, Ahead, Part, is_compressed, line_start, opened, pieces, trouble
from netfast.threads import in_order

from . import needs, needs_table

needs("pyspark", "spark")
needs("pyarrow", "spark")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyspark  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402

from . import arrow  # noqa: E402

try:
    from pyspark.sql.functions import arrow_udf
except ImportError:
    message = f"netfast.engines.spark needs PySpark 4.1 or newer, not {pyspark.__version__}"
    raise ImportError(f"{message}: pip install 'netfast[spark]'", name="pyspark") from None

__all__ = ["classify_logs", "register"]

# --- functions of SQL -------------------------------------------------------------------------------------------------


def register(spark: SparkSession, table: nf.PrefixTable | None = None) -> None:
    """Add ip_kind, ip_class, ip_is_private and ip_is_global to a session's SQL, and with a table ip_lookup.

    Each takes one STRING.  NULL stays NULL; a text that is no address is of kind 'invalid', class '', neither private
    nor global, and has no value.  ip_kind and ip_class return STRING, ip_is_private and ip_is_global BOOLEAN,
    ip_lookup what the table's values are; Spark has no unsigned numbers, which become the next wider type.
    Registering again replaces the functions.  With DataFrames: `pyspark.sql.functions.call_function("ip_kind", "ip")`.

    Raises:
        TypeError: `table` is no table, or its values have no Arrow column (`netfast.Matches`).
        RuntimeError: the session has been stopped.  After an error the functions are those of before.

    Example:
        >>> import netfast as nf, netfast.engines.spark as nfs
        >>> nfs.register(spark, nf.PrefixTable({"10.0.0.0/8": "office"}))
        >>> spark.sql("SELECT ip_kind('10.0.0.1'), ip_is_private('10.0.0.1'), ip_lookup('10.0.0.1')").first()[:]
        ('private', True, 'office')
    """
    _context(spark)
    lookup = None if table is None else _lookup(spark, table)  # before anything changes, for it may fail
    for name, returns, function in (
        ("ip_kind", "string", arrow.kind),
        ("ip_class", "string", arrow.network_class),
        ("ip_is_private", "boolean", arrow.is_private),
        ("ip_is_global", "boolean", arrow.is_global),
    ):
        _add(spark, name, returns, partial(_column, function.__name__))
    if lookup is None:
        spark.sql("DROP TEMPORARY FUNCTION IF EXISTS ip_lookup")
    else:
        _add(spark, "ip_lookup", *lookup)


def _lookup(spark: SparkSession, table: nf.PrefixTable) -> tuple[str, Callable[[Any], Any]]:
    """The function that looks up in a table, and Spark's name of the type it returns."""
    needs_table(table)
    returns, wide = _spark_type(arrow.decoded(pa.array(table.lookup([]))).type)
    return returns, partial(_values, _shipped(spark, table), wide)


def _add(spark: SparkSession, name: str, returns: str, function: Callable[[Any], Any]) -> None:
    def call(rows: pa.Array) -> pa.Array:  # these types say what kind of function it is
        return function(rows)

    spark.udf.register(name, arrow_udf(call, returns))


def _column(name: str, rows: Any) -> Any:
    return arrow.decoded(getattr(arrow, name)(rows, threads=1))  # Spark takes no dictionaries


def _values(file: str, wide: Any, rows: Any) -> Any:
    return arrow.decoded(arrow.lookup(rows, _table(_arrived(file)), threads=1)).cast(wide)


# Source: "Supported Data Types" of Spark SQL, pyspark.sql.pandas.types.
_SPARK_TYPES = {
    "bool": ("boolean", pa.bool_()),
    "int8": ("tinyint", pa.int8()),
    "uint8": ("smallint", pa.int16()),
    "int16": ("smallint", pa.int16()),
    "uint16": ("int", pa.int32()),
    "int32": ("int", pa.int32()),
    "uint32": ("bigint", pa.int64()),
    "int64": ("bigint", pa.int64()),
    "uint64": ("decimal(20,0)", pa.decimal128(20, 0)),
    "halffloat": ("float", pa.float32()),
    "float": ("float", pa.float32()),
    "double": ("double", pa.float64()),
    "binary": ("binary", pa.binary()),
}


def _spark_type(type: Any) -> tuple[str, Any]:
    """Spark's name of an Arrow type, and the Arrow type that Spark takes for it; text for that of no values."""
    return _SPARK_TYPES.get(str(type), ("string", pa.string()))


# --- logs -------------------------------------------------------------------------------------------------------------


def classify_logs(
    spark: SparkSession,
    paths: Any,
    table: nf.PrefixTable | None = None,
    *,
    columns: Sequence[str] | None = None,
    block: int | None = None,
    boundary: Boundary = "word",
    versions: Iterable[int] = (4, 6),
    **how: Any,
) -> DataFrame:
    """The addresses in text files of any size, a row each.

    Nothing is read until the result is asked for.  A plain file is cut into blocks, which different workers read; a
    line belongs to the block it begins in, so that no address is lost, halved or doubled.  A compressed file (.gz .zst
    .xz .bz2, by its first bytes) is read as a whole by one worker.  What a worker does depends on nothing but its
    blocks: work of an executor that is lost is done again by another one, with the same result.

    Args:
        paths: a path or a list of them; each a file, a folder (its files, but those that begin with "." or "_"), or a
            pattern ("logs/*.gz"; a folder that it matches stands for its files too).  Every worker must be able to
            read them by the same name, for which relative ones are made absolute here.  Names with "://" are files
            that `pyarrow.fs` opens ("s3://bucket/access.log", "hdfs://host/access.log").
        table: whose values, as text, become the column `label`.
        columns: which of the columns below; None for all.  Spark takes the more time the more there are, and cannot
            find out which a query needs: give them where few are enough, such as ["kind"] to count kinds.
        block: bytes of a block; None for what shares the files between the cores of the cluster, 64 MiB at most (and
            64 MiB with Spark Connect, which does not tell how many cores there are).
        boundary, versions, how: as for `netfast.scan`: first, field, sep, key.

    Returns:
        file (STRING; as in `paths`), position (BIGINT; the byte of the decompressed file at which the address begins,
        as of `netfast.scan`: lines could only be counted by reading a file from its beginning), address (STRING, as
        RFC 5952 writes it, with its zone), kind, network_class, block (STRING), and with a table label (STRING, null
        where no prefix holds the address or its value is None).  Rows are in the order of the files and of the text.
        A file counts up to the size it had when this was called: it may grow meanwhile.

    Raises:
        OSError: a file is not there, or cannot be opened here. ValueError: an argument is out of range, or a file is no
        text (read Parquet with Spark, and use `register`), or no plain file, which a worker could read again.
        TypeError: `table` is no table. RuntimeError: the session has been stopped.
        When it runs, Spark's PythonException: a file cannot be read, or not to its end, or it has become shorter or
        another one since this was called; the message names it.

    Example:
        >>> import netfast.engines.spark as nfs, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "access.log")
        >>> with open(path, "w") as file:
        ...     _ = file.write("10.0.0.1 GET /\\nfrom 2001:db8::1\\n")
        >>> nfs.classify_logs(spark, path).select("position", "address", "kind").collect()[1]
        Row(position=20, address='2001:db8::1', kind='documentation')
    """
    if block is not None and block < 1:
        raise ValueError(f"block={block}: wanted 1 or more")
    if table is not None:
        needs_table(table)
    context = _context(spark)
    types = _COLUMNS if table is None else {**_COLUMNS, "label": "string"}
    wanted = list(types) if columns is None else list(columns)
    if not wanted or isinstance(columns, str) or not set(wanted) <= set(types) or len(set(wanted)) < len(wanted):
        raise ValueError(f"columns={columns!r}: wanted some of {', '.join(types)}")
    search = Search(boundary, versions, **how)
    files = _files(paths)
    # A task is sent all of this, so what the others have to do stays unread.
    work = [pickle.dumps(task) for task in _shared_out(files, block or _block(context, files))]
    sent = None if table is None or "label" not in wanted else _shipped(spark, table)
    find = partial(_found, work, search, wanted, sent)

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        return find(batches)

    schema = ", ".join(f"{name} {types[name]}" for name in wanted)
    return spark.range(0, len(work), 1, max(len(work), 1)).mapInArrow(run, schema)


_COLUMNS = {
    "file": "string",
    "position": "bigint",
    "address": "string",
    "kind": "string",
    "network_class": "string",
    "block": "string",
}

_BLOCK_MOST = 64 << 20
_OPENING = 1 << 20  # a file costs as much as so many bytes of text, however short it is
_CHUNK = 4 << 20  # bytes of text whose addresses make a batch
_AT_ONCE = 16  # files looked at: a shared file system answers after milliseconds
_SAMPLE = 512  # bytes at either end that tell a file from another
_CHANGED = "it has become shorter or another file since classify_logs was called"


# --- which worker reads what ---


class _File(NamedTuple):
    name: str  # as it was given
    path: str  # the same from any folder
    size: int
    plain: bool  # may be cut
    mark: bytes


class _Piece(NamedTuple):
    """The lines that begin in [start, stop) of a file of that size; with no stop, all of a compressed file."""

    name: bytes
    path: bytes
    start: int
    stop: int | None
    size: int
    mark: bytes


def _files(paths: Any) -> list[_File]:
    one = isinstance(paths, (str, bytes, os.PathLike))
    names = [name for path in ([paths] if one else paths) for name in _below(os.fsdecode(path))]
    return list(in_order(_file, names, min(_AT_ONCE, len(names))))


def _below(path: str) -> list[str]:
    """The files that a path stands for."""
    if os.path.isdir(path):
        return _inside(path)
    if not glob.has_magic(path) or "://" in path or os.path.lexists(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        raise FileNotFoundError(errno.ENOENT, "no file matches", path)
    return [name for match in found for name in (_inside(match) if os.path.isdir(match) else [match])]


def _inside(folder: str) -> list[str]:
    with os.scandir(folder) as inside:
        return sorted(entry.path for entry in inside if entry.is_file() and not entry.name.startswith((".", "_")))


def _file(name: str) -> _File:
    """What is to be known of a file before it is read."""
    local = "://" not in name
    if local and not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError(f"{name}: it is no plain file")
    path = os.path.abspath(name) if local else name
    with _opened(name) as file:
        ahead = Ahead(file)
        if format := file_format(ahead):
            raise ValueError(f"{name}: it is {format}, not text")
        size = file.seek(0, os.SEEK_END)
        return _File(name, path, size, not is_compressed(ahead.head), _mark(file, size))


def _mark(file: Any, size: int) -> bytes:
    """Tells a file from what takes its place: its beginning, and the end of what it was when it had that size.

    Both stay what they are when a file grows.  Its number (inode) and its times would not do: each machine may see
    others, where a file system is mounted with FUSE or copied.
    """
    file.seek(0)
    head = file.read(min(size, _SAMPLE))
    file.seek(max(_SAMPLE, size - _SAMPLE))
    tail = file.read(max(0, min(size - _SAMPLE, _SAMPLE)))
    return hashlib.blake2b(head + tail, digest_size=16).digest()


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A file as it is."""
    if "://" in path:
        from pyarrow.fs import FileSystem

        system, name = FileSystem.from_uri(path)
        with system.open_input_file(name) as file:
            yield file
    else:
        with open(path, "rb", buffering=0) as file:
            yield file


def _block(context: Any, files: list[_File]) -> int:
    """Bytes of a block so that every core has work."""
    if context is None:  # nobody tells how many there are
        return _BLOCK_MOST
    total = sum(file.size + _OPENING for file in files)
    cores: int = context.defaultParallelism
    return min(_BLOCK_MOST, max(_OPENING, -(-total // cores)))


def _shared_out(files: list[_File], block: int) -> list[list[_Piece]]:
    """The files in pieces, those that a task is to read together; small files share one."""
    work: list[list[_Piece]] = []
    room = 0
    for file in files:
        name, path = os.fsencode(file.name), os.fsencode(file.path)
        cuts = [*range(0, file.size, block if file.plain else file.size or 1), file.size]
        for start, stop in pairwise(cuts):
            cost = stop - start + min(_OPENING, block)
            if cost > room:
                work.append([])
                room = block + min(_OPENING, block)
            work[-1].append(_Piece(name, path, start, stop if file.plain else None, file.size, file.mark))
            room -= cost
    return work


# --- what a worker does ---


def _found(work: list[bytes], search: Search, columns: list[str], table: str | None, tasks: Any) -> Iterator[Any]:
    """The addresses in what the tasks with these numbers are to read, as record batches."""
    labels = None if table is None else _labels(_arrived(table))
    for batch in tasks:
        for task in batch.column(0).to_pylist():
            for piece in pickle.loads(work[task]):
                yield from _batches(piece, search, labels, columns)


def _batches(piece: _Piece, search: Search, labels: Labels | None, columns: list[str]) -> Iterator[Any]:
    name = piece.name.decode("utf-8", "replace")  # Arrow's text is UTF-8, and names of files need not be
    try:
        for start, rows in _found_in(piece, search, labels, "address" in columns):
            yield _batch(name, start, rows, labels, columns)
    except BAD_INPUT as error:
        raise OSError(trouble(piece.path.decode("utf-8", "replace"), error)) from error


def _found_in(piece: _Piece, search: Search, labels: Labels | None, text: bool) -> Iterator[tuple[int, Rows]]:
    """Rows, and where in the file their offsets begin."""
    with _opened(os.fsdecode(piece.path)) as file:
        if _mark(file, piece.size) != piece.mark:
            raise OSError(_CHANGED)
        start, stop = (0, piece.size) if piece.stop is None else _lines(file, piece.start, piece.stop, piece.size)
        file.seek(start)
        part = Part(file, stop - start)
        with opened(part) if piece.stop is None else nullcontext(part) as plain:
            for rows in _rows(plain, search, labels, text):
                yield start, rows
        if part.left:
            raise OSError(_CHANGED)


def _lines(file: Any, start: int, stop: int, size: int) -> tuple[int, int]:
    """Where the lines that begin in [start, stop) begin and end; there are none in one that goes on through all."""
    first = line_start(file, start, stop) if start else 0
    if first is None:
        return start, start
    return first, (line_start(file, stop, size) if stop < size else None) or size


def _rows(file: Any, search: Search, labels: Labels | None, text: bool) -> Iterator[Rows]:
    """With or without the addresses as text, which take half of the time."""
    if text:
        yield from rows_of_file(file, search, labels, _CHUNK)
        return
    scanner = search.scanner(_CHUNK, labels=labels.wanted if labels else None)
    for hits in pieces(scanner, file):
        if hits:
            match = np.frombuffer(scanner.matches(), "int32") if labels else None
            found = Extraction(scanner.take())
            yield Rows(found.line, found.offset, None, found.codes, match)


def _batch(name: str, start: int, rows: Rows, labels: Labels | None, columns: list[str]) -> Any:
    codes = pa.array(rows.codes)
    made = []
    for column in columns:
        if column == "file":
            made.append(pa.repeat(pa.scalar(name, pa.string()), len(codes)))
        elif column == "position":
            offset: Any = rows.offset
            made.append(pa.array(offset + start))
        elif column == "address":
            made.append(rows.address.cast(pa.string()))
        elif column == "label":
            made.append(_label(rows.match, labels))
        else:
            made.append(_of_codes()[column].take(codes))
    return pa.RecordBatch.from_arrays(made, columns)


@cache
def _of_codes() -> dict[str, Any]:
    """What each block has in a column."""
    return {
        "kind": pa.array([block.kind for block in nf.BLOCKS]),
        "network_class": pa.array([block.network_class for block in nf.BLOCKS]),
        "block": pa.array([block.prefix for block in nf.BLOCKS]),
    }


def _label(match: Any, labels: Any) -> Any:
    numbers, places = distinct_numbers(match)
    return pa.array([labels.text_of(number) for number in numbers], pa.string()).take(places)


# --- sessions ---------------------------------------------------------------------------------------------------------


def _context(spark: SparkSession) -> Any:
    """A session's SparkContext, or None with Spark Connect, which has none; raises RuntimeError if it is stopped."""
    try:
        context = spark.sparkContext
    except AttributeError:  # PySpark's own error is one
        context, stopped = None, getattr(spark, "is_stopped", False)
    else:
        stopped = context._jsc is None
    if stopped:
        raise RuntimeError("the Spark session has been stopped: make another one")
    return context


# --- tables -----------------------------------------------------------------------------------------------------------

_LOCK = threading.Lock()  # threads of the driver may send tables at the same time
_SENT: set[tuple[str, str]] = set()  # application or session, and file: Spark warns of what it has


def _shipped(spark: SparkSession, table: nf.PrefixTable) -> str:
    """Sends a table's file to the executors, now and later ones; its name there is that of its content."""
    with _LOCK:
        folder = _folder()
    handle, new = tempfile.mkstemp(dir=folder)
    os.close(handle)
    table.save(new)
    with open(new, "rb") as file:
        digest = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
    name = f"netfast-{digest}.table"
    with _LOCK:
        os.replace(new, os.path.join(folder, name))
        _send(spark, os.path.join(folder, name))
    return name


@cache
def _folder() -> str:
    """Where the driver keeps the files until it ends."""
    made = tempfile.TemporaryDirectory(prefix="netfast-")
    atexit.register(made.cleanup)
    return made.name


def _send(spark: SparkSession, path: str) -> None:
    context = _context(spark)
    sent = (context.applicationId if context else spark.session_id, path)
    if sent in _SENT:
        return
    if context:
        context.addFile(path)
    else:
        spark.addArtifacts(path, file=True)
    _SENT.add(sent)


def _arrived(name: str) -> str:
    """Where a file that was sent is on a worker."""
    from pyspark import SparkFiles

    return str(SparkFiles.get(name))


@lru_cache(8)
def _table(path: str) -> nf.PrefixTable:
    return nf.PrefixTable.load(path)


@lru_cache(8)
def _labels(path: str) -> Labels:
    return Labels(_table(path), counted=False)
