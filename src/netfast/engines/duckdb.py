"""netfast on DuckDB: a relation streamed through the kernels, or SQL functions.

`classify` is the quick way: DuckDB hands over Arrow record batches of many rows, and takes them back with new columns.
`register` adds functions to SQL, which DuckDB calls with 2,048 rows at a time; use them where they are handier.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import netfast as nf

from . import arrow, needs

needs("duckdb", "duckdb")

import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402

__all__ = ["classify", "register"]

_BATCH_ROWS = 131_072  # DuckDB's own default
_STREAMS_AGAIN = int(duckdb.__version__.partition(".")[0]) >= 2  # before, a relation over a stream runs only once


def classify(
    relation: duckdb.DuckDBPyRelation,
    column: str,
    table: nf.PrefixTable | None = None,
    prefix: str = "",
    *,
    unwrap: bool = False,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> duckdb.DuckDBPyRelation:
    """The relation with the columns kind, network_class, block (VARCHAR) and is_global (BOOLEAN) added.

    Nothing is computed until the result is asked for; then the rows stream through, and memory stays flat.  Each time
    it is asked for, the relation runs again, as relations do.  (Before DuckDB 2 it runs here and now, into memory.)

    Args:
        relation: any relation; select the columns that are wanted first, for all of them are carried along.
        column: its column of addresses: VARCHAR, or BLOB of text.
        table: whose values become the column `label`, as `netfast.Matches` exports them to Arrow.
        prefix: goes before the names of the new columns.
        unwrap: as for `netfast.classify`.
        connection: where the result lives.  The relation's own connection is busy with the relation while the result
            is read, so it must be another: None is a database in memory that all results share; with `con.cursor()`
            the result can be joined to, and written as, tables of con's database.

    Raises:
        KeyError, ValueError, TypeError: as `netfast.engines.arrow.classify_reader`.

    Example:
        >>> import duckdb, netfast.engines.duckdb as nfd
        >>> con = duckdb.connect()
        >>> logs = con.sql("SELECT * FROM (VALUES (1, '10.0.0.1'), (2, '8.8.8.8'), (3, NULL)) AS logs(id, ip)")
        >>> nfd.classify(logs, "ip").select("id, kind").order("id").fetchall()
        [(1, 'private'), (2, 'global'), (3, None)]
    """
    added: Any = _Stream(relation, column, table, prefix, unwrap)
    if not _STREAMS_AGAIN:
        added = pa.table(added)
    return (_memory() if connection is None else connection).from_arrow(added)


@cache
def _memory() -> duckdb.DuckDBPyConnection:
    """Where results live: kept, for before DuckDB 2 a relation does not keep its connection."""
    return duckdb.connect()


class _Stream:
    """A relation and what is added to it, as an Arrow stream that may be read again."""

    def __init__(self, relation: Any, column: str, table: nf.PrefixTable | None, prefix: str, unwrap: bool) -> None:
        self.relation = relation
        self.added = (column, table, prefix)
        self.unwrap = unwrap
        with _reader(relation.limit(0)) as empty:
            self.schema = arrow.classify_reader(empty, *self.added).schema

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = arrow.classify_reader(_reader(self.relation), *self.added, unwrap=self.unwrap)
        return reader.__arrow_c_stream__(requested_schema)


def _reader(relation: Any) -> Any:
    if hasattr(type(relation), "to_arrow_reader"):
        return relation.to_arrow_reader(_BATCH_ROWS)
    return relation.fetch_arrow_reader(_BATCH_ROWS)  # its name before DuckDB 2


# --- functions of SQL -------------------------------------------------------------------------------------------------


def register(con: duckdb.DuckDBPyConnection, table: nf.PrefixTable | None = None) -> None:
    """Add ip_kind, ip_class, ip_is_private and ip_is_global to a connection's SQL, and with a table ip_lookup.

    Each takes one VARCHAR.  NULL stays NULL; a text that is no address is of kind 'invalid', class '', neither private
    nor global, and has no value.  ip_kind and ip_class return VARCHAR, ip_is_private and ip_is_global BOOLEAN,
    ip_lookup what the table's values are.  Registering again replaces the functions.

    Raises:
        TypeError: the table's values have no Arrow column (`netfast.Matches`).

    Example:
        >>> import duckdb, netfast as nf, netfast.engines.duckdb as nfd
        >>> con = duckdb.connect()
        >>> nfd.register(con, nf.PrefixTable({"10.0.0.0/8": "office"}))
        >>> con.sql("SELECT ip_kind('10.0.0.1'), ip_is_private('10.0.0.1'), ip_lookup('10.0.0.1')").fetchall()
        [('private', True, 'office')]
    """
    _add(con, "ip_kind", "VARCHAR", lambda rows: arrow.kind(rows, threads=1))
    _add(con, "ip_class", "VARCHAR", lambda rows: arrow.network_class(rows, threads=1))
    _add(con, "ip_is_private", "BOOLEAN", lambda rows: arrow.is_private(rows, threads=1))
    _add(con, "ip_is_global", "BOOLEAN", lambda rows: arrow.is_global(rows, threads=1))
    if table is None:
        with suppress(duckdb.InvalidInputException):
            con.remove_function("ip_lookup")
        return
    values = pa.table({"value": pa.array(table.lookup([]))})
    _add(con, "ip_lookup", con.from_arrow(values).types[0], lambda rows: _decoded(arrow.lookup(rows, table, threads=1)))


def _add(con: Any, name: str, returns: Any, function: Callable[[Any], Any]) -> None:
    with suppress(duckdb.InvalidInputException):  # there is none to replace
        con.remove_function(name)

    def whole(rows: Any) -> Any:  # DuckDB's chunked array of one chunk; an array is quicker
        return function(rows.chunk(0) if rows.num_chunks == 1 else rows)

    con.create_function(name, whole, ["VARCHAR"], returns, type="arrow", null_handling="special")


def _decoded(values: Any) -> Any:
    """Without the dictionary, which DuckDB would read as a whole for every 2,048 rows."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
