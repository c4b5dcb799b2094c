"""netfast on PyArrow: arrays, chunked arrays, tables and streams in, Arrow out with the same chunks.

Every function takes a `pyarrow.Array` or `ChunkedArray` of addresses in any layout `netfast.classify` reads (text,
binary, views, dictionaries of those, uint32, fixed-size binary), or a `Table`, `RecordBatch` or `RecordBatchReader` and
the name of its column.  Text is read where it lies.  A reader is read a batch at a time and is spent afterwards.

Rows that are null stay null; `unwrap` and `threads` are those of `netfast.classify`.  Raises: TypeError for any other
input or layout, KeyError for a column that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import netfast as nf
from netfast.registry import CLASS_OF_CODE, CLASSES

from . import flag_doc, needs, needs_prefixes, needs_table

needs("pyarrow", "arrow")

import pyarrow as pa  # noqa: E402

__all__ = [
    "classify",
    "classify_reader",
    "contains",
    "is_broadcast",
    "is_documentation",
    "is_global",
    "is_link_local",
    "is_loopback",
    "is_multicast",
    "is_private",
    "is_reserved",
    "is_shared",
    "is_unspecified",
    "kind",
    "lookup",
    "network_class",
    "parse",
]

_MOST_IN_DICTIONARY = 4_096

# --- a column ---------------------------------------------------------------------------------------------------------


def kind(addresses: Any, column: str | None = None, *, unwrap: bool = False, threads: int | None = None) -> Any:
    """dictionary<int8, utf8> over `netfast.KINDS`; "invalid" where a text is no address.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.kind(pa.array(["10.0.0.1", "1.2.3", None])).to_pylist()
        ['private', 'invalid', None]
    """
    return _mapped(addresses, column, lambda rows: pa.array(nf.classify(rows, unwrap=unwrap, threads=threads)))


def network_class(
    addresses: Any, column: str | None = None, *, unwrap: bool = False, threads: int | None = None
) -> Any:
    """dictionary<int8, utf8>: "A" to "E" by the leading bits, "" for IPv6 and invalid rows.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.network_class(pa.array(["10.0.0.1", "224.0.0.1", "::1"])).to_pylist()
        ['A', 'D', '']
    """

    def one(rows: Any) -> Any:
        c = nf.classify(rows, unwrap=unwrap, threads=threads)
        codes = pa.array(np.frombuffer(bytearray(c.codes).translate(CLASS_OF_CODE), np.int8), mask=_mask(c))
        return pa.DictionaryArray.from_arrays(codes, pa.array(CLASSES))

    return _mapped(addresses, column, one)


def _flag(name: str) -> Callable[..., Any]:
    def flag(addresses: Any, column: str | None = None, *, unwrap: bool = False, threads: int | None = None) -> Any:
        def one(rows: Any) -> Any:
            c = nf.classify(rows, unwrap=unwrap, threads=threads)
            return pa.array(getattr(c, name), mask=_mask(c))

        return _mapped(addresses, column, one)

    flag.__name__ = flag.__qualname__ = name
    flag.__doc__ = flag_doc(
        name, "bool", "pyarrow as pa, netfast.engines.arrow as nfa", "nfa.{flag}(pa.array({rows})).to_pylist()"
    )
    return flag


is_private = _flag("is_private")
is_shared = _flag("is_shared")
is_loopback = _flag("is_loopback")
is_link_local = _flag("is_link_local")
is_multicast = _flag("is_multicast")
is_broadcast = _flag("is_broadcast")
is_unspecified = _flag("is_unspecified")
is_documentation = _flag("is_documentation")
is_reserved = _flag("is_reserved")
is_global = _flag("is_global")


def lookup(
    addresses: Any,
    table: nf.PrefixTable,
    column: str | None = None,
    *,
    unwrap: bool = False,
    threads: int | None = None,
) -> Any:
    """The value of the longest prefix that holds each address, of a type as of `netfast.Matches`.

    Null where no prefix holds it or its value is None.

    Raises:
        TypeError: it is no table, or its values are neither numbers of one type nor text nor bytes.

    Example:
        >>> import netfast as nf, pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.lookup(pa.array(["10.1.2.3", "8.8.8.8"]), nf.PrefixTable({"10.0.0.0/8": 64512})).to_pylist()
        [64512, None]
    """
    needs_table(table)
    return _mapped(addresses, column, lambda rows: pa.array(table.lookup(rows, unwrap=unwrap, threads=threads)))


def contains(
    addresses: Any,
    prefixes: nf.PrefixSet | nf.PrefixTable,
    column: str | None = None,
    *,
    unwrap: bool = False,
    threads: int | None = None,
) -> Any:
    """bool: whether a set or table of prefixes holds each address; False where a text is no address.

    Raises:
        TypeError: it is neither.

    Example:
        >>> import netfast as nf, pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.contains(pa.array(["10.1.2.3", "8.8.8.8", None]), nf.PrefixSet(["10.0.0.0/8"])).to_pylist()
        [True, False, None]
    """
    needs_prefixes(prefixes)

    def one(rows: Any) -> Any:
        parsed = nf.parse(rows, threads=threads)  # which knows the nulls; the text is read once
        return pa.array(prefixes.contains(parsed, unwrap=unwrap, threads=threads), mask=_mask(parsed))

    return _mapped(addresses, column, one)


def parse(addresses: Any, column: str | None = None, *, threads: int | None = None) -> Any:
    """utf8: the address as RFC 5952 writes it, null where a row is null or no address.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.parse(pa.chunked_array([["2001:DB8:0:0::1"], ["10.0.0.1", "10.0.0.01"]])).to_pylist()
        ['2001:db8::1', '10.0.0.1', None]
    """
    return _mapped(addresses, column, lambda rows: pa.array(nf.parse(rows, threads=threads)))


def classify(addresses: Any, column: str | None = None, *, unwrap: bool = False, threads: int | None = None) -> Any:
    """The columns kind, network_class, block (its prefix) and is_global: of an array a RecordBatch, else a Table.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> nfa.classify(pa.table({"ip": ["10.0.0.1"]}), "ip").to_pylist()
        [{'kind': 'private', 'network_class': 'A', 'block': '10.0.0.0/8', 'is_global': False}]
    """
    return _mapped(addresses, column, lambda rows: _batch(nf.classify(rows, unwrap=unwrap, threads=threads)))


# --- a stream ---------------------------------------------------------------------------------------------------------


def classify_reader(
    reader: Any,
    column: str,
    table: nf.PrefixTable | None = None,
    prefix: str = "",
    *,
    unwrap: bool = False,
    threads: int | None = None,
) -> Any:
    """A stream of record batches with the columns of `classify` added, and with a table also `label`.

    Args:
        reader: a `pyarrow.RecordBatchReader`, or any object with `__arrow_c_stream__`.
        column: the column of addresses.
        table: whose values become the column `label`, as `lookup` gives them (null where no prefix holds the address
            or its value is None); but text of which a table has more than 4,096 is no dictionary, which many readers
            would go through with every batch.
        prefix: goes before the names of the new columns.
        unwrap, threads: as for `netfast.classify`; threads are for large batches.

    Returns:
        A `pyarrow.RecordBatchReader`.  Batches are read and classified as they are asked for; none is kept.

    Raises:
        KeyError: there is no such column, or there are several.
        ValueError: the stream has a column of a new one's name; a prefix helps.
        TypeError: the column holds no addresses, or `table` is no table, or its values have no Arrow column.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> reader = nfa.classify_reader(pa.table({"ip": ["10.0.0.1"]}), "ip", prefix="ip_")
        >>> reader.read_all().select(["ip", "ip_kind"]).to_pylist()
        [{'ip': '10.0.0.1', 'ip_kind': 'private'}]
    """
    if table is not None:
        needs_table(table)
    if not isinstance(reader, pa.RecordBatchReader):
        reader = pa.RecordBatchReader.from_stream(reader)
    place = _place(reader.schema, column)

    def added(rows: Any) -> list[tuple[str, Any]]:
        parsed = rows if table is None else nf.parse(rows, threads=threads)  # both answers from one pass over the text
        found = _batch(nf.classify(parsed, unwrap=unwrap, threads=threads))
        columns = list(zip(found.schema.names, found.columns, strict=True))
        if table is not None:
            columns.append(("label", _small(pa.array(table.lookup(parsed, unwrap=unwrap, threads=threads)))))
        return [(prefix + name, values) for name, values in columns]

    schema = reader.schema
    for name, values in added(pa.array([], schema.field(place).type)):
        if name in schema.names:
            raise ValueError(f"there is a column {name!r} already; give a prefix= for the new ones")
        schema = schema.append(pa.field(name, values.type))

    def batches() -> Iterator[Any]:
        for batch in reader:
            new = [values for _, values in added(batch.column(place))]
            yield pa.RecordBatch.from_arrays([*batch.columns, *new], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


# --- for engines that take no dictionaries, or are slow with them -----------------------------------------------------


def decoded(values: Any) -> Any:
    """An array without its dictionary, as the values themselves; any other array as it is.

    Example:
        >>> import pyarrow as pa, netfast.engines.arrow as nfa
        >>> str(nfa.decoded(nfa.kind(pa.array(["10.0.0.1"]))).type)
        'string'
    """
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


# --- how it is done ---------------------------------------------------------------------------------------------------


def _mapped(addresses: Any, column: str | None, one: Callable[[Any], Any]) -> Any:
    """`one` of the addresses, as an array or batch, cut into the chunks they came in."""
    if isinstance(addresses, pa.RecordBatchReader):
        place = _place(addresses.schema, column)
        made = [one(batch.column(place)) for batch in addresses]
        return _joined(made, one(pa.array([], addresses.schema.field(place).type)))
    if isinstance(addresses, (pa.Table, pa.RecordBatch)):
        addresses = addresses.column(_place(addresses.schema, column))
    elif column is not None:
        raise TypeError(f"column={column!r} is for tables and readers, not for {type(addresses).__name__}")
    if isinstance(addresses, pa.Array):
        return one(addresses)
    if not isinstance(addresses, pa.ChunkedArray):
        raise TypeError(
            f"wanted a PyArrow array, chunked array, table or reader, not {type(addresses).__name__}; "
            "netfast.classify takes the rest"
        )
    whole = one(addresses)  # all chunks in one call, which shares them between threads
    made = []
    first = 0
    for chunk in addresses.iterchunks():
        made.append(whole.slice(first, len(chunk)))
        first += len(chunk)
    return _joined(made, whole)


def _joined(made: list[Any], like: Any) -> Any:
    if isinstance(like, pa.RecordBatch):
        return pa.Table.from_batches(made, like.schema)
    return pa.chunked_array(made, like.type)


def _place(schema: Any, column: str | None) -> int:
    """Where the one column of that name is."""
    if column is None:
        raise TypeError("a table has several columns: give the name of that of the addresses as column=")
    places = schema.get_all_field_indices(column)
    if len(places) != 1:
        raise KeyError(f"{len(places) or 'no'} columns are named {column!r}, of {schema.names}")
    return int(places[0])


def _small(values: Any) -> Any:
    """Without their dictionary, if it is large, or empty, which DuckDB 1.4 does not survive."""
    if pa.types.is_dictionary(values.type) and 0 < len(values.dictionary) <= _MOST_IN_DICTIONARY:
        return values
    return decoded(values)


def _batch(classification: nf.Classification) -> Any:
    return pa.RecordBatchReader.from_stream(classification.to_table()).read_next_batch()


def _mask(rows: nf.Classification | nf.AddressArray) -> Any:
    """bool[n] of the nulls, or None, which is quicker."""
    null = rows.null
    return null if null.any() else None
