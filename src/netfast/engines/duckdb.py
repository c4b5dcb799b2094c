"""netfast on DuckDB: a relation streamed through the kernels, or SQL functions.

`classify` is the quick way: DuckDB hands over Arrow record batches of many rows, and takes them back with new columns.
`register` adds functions to SQL, which DuckDB calls with 2,048 rows at a time; use them where they are handier.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any, ClassVar
from weakref import finalize

import netfast as nf

from . import needs, needs_table

needs("duckdb", "duckdb")
needs("pyarrow", "duckdb")

import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402

from . import arrow  # noqa: E402

__all__ = ["classify", "register"]

_BATCH_ROWS = 131_072  # DuckDB's own default
_IS_2 = int(duckdb.__version__.partition(".")[0]) >= 2


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
        column: its column of addresses: VARCHAR, or BLOB of text.  As anywhere in SQL, case does not matter.
        table: whose values become the column `label`, as `netfast.Matches` exports them to Arrow; NULL where no prefix
            holds the address or its value is None.
        prefix: goes before the names of the new columns.
        unwrap: as for `netfast.classify`.
        connection: where the result lives.  None: on a connection of its own, so that threads whose relations are of
            different connections are not in each other's way.  With `con.cursor()` the result can be joined to, and
            written as, tables of con's database; results that are to be joined to each other must live on one.

    In DuckDB 2 the relation's own connection is busy while the result is read, and refuses other queries.  So the
    result cannot live there, and no query can read two results whose relations are of one connection: make one of these
    relations on a cursor of it.  (Before DuckDB 2 a relation does not keep its connection: keep that cursor.)

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
    home = _memory().cursor() if connection is None else connection
    if not _IS_2:  # where a relation over a stream runs only once, and does not keep its connection
        added = pa.table(added)
        finalize(added, id, home).atexit = False  # which holds the connection as long as a relation holds the table
    return home.from_arrow(added)


@cache
def _memory() -> duckdb.DuckDBPyConnection:
    """The database that results live in, a cursor each: to open one takes milliseconds, a cursor microseconds."""
    return duckdb.connect()


class _Stream:
    """A relation and what is added to it, as an Arrow stream that may be read again."""

    def __init__(self, relation: Any, column: str, table: nf.PrefixTable | None, prefix: str, unwrap: bool) -> None:
        if not isinstance(relation, duckdb.DuckDBPyRelation):
            raise TypeError(f"wanted a relation, as con.sql() and con.table() give it, not {type(relation).__name__}")
        self.relation = relation
        self.added = (_as_spelled(column, relation.columns), table, prefix)
        self.unwrap = unwrap
        with _reader(relation.limit(0)) as empty:
            self.schema = arrow.classify_reader(empty, *self.added).schema
        for name in self.schema.names[len(relation.columns) :]:
            if (there := _as_spelled(name, relation.columns)) in relation.columns:
                raise ValueError(f"there is a column {there!r} already; give a prefix= for the new ones")

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = arrow.classify_reader(_reader(self.relation), *self.added, unwrap=self.unwrap)
        return reader.__arrow_c_stream__(requested_schema)


def _as_spelled(column: str, columns: list[str]) -> str:
    """The name as the relation has it: to SQL `IP` and `ip` are one, to Arrow they are two."""
    if column in columns:
        return column
    return next((name for name in columns if name.lower() == column.lower()), column)


def _reader(relation: Any) -> Any:
    if hasattr(type(relation), "to_arrow_reader"):
        return relation.to_arrow_reader(_BATCH_ROWS)
    # Its name before DuckDB 2; DuckDB 1.1 gives the rows of a relation only once, but not those of a projection.
    return relation.project("*").fetch_arrow_reader(_BATCH_ROWS)


# --- functions of SQL -------------------------------------------------------------------------------------------------


# DuckDB calls a function even when it holds it no longer; these are never let go.
_FUNCTIONS = {
    "ip_kind": ("VARCHAR", lambda rows: arrow.kind(_whole(rows), threads=1)),
    "ip_class": ("VARCHAR", lambda rows: arrow.network_class(_whole(rows), threads=1)),
    "ip_is_private": ("BOOLEAN", lambda rows: arrow.is_private(_whole(rows), threads=1)),
    "ip_is_global": ("BOOLEAN", lambda rows: arrow.is_global(_whole(rows), threads=1)),
}
_registering = Lock()


def register(con: duckdb.DuckDBPyConnection, table: nf.PrefixTable | None = None) -> None:
    """Add ip_kind, ip_class, ip_is_private and ip_is_global to a database's SQL, and with a table ip_lookup.

    Each takes one VARCHAR.  NULL stays NULL; a text that is no address is of kind 'invalid', class '', neither private
    nor global, and has no value.  ip_kind and ip_class return VARCHAR, ip_is_private and ip_is_global BOOLEAN,
    ip_lookup what the table's values are, NULL where no prefix holds the address or its value is None.

    The functions are those of all connections to the database that are open in this process, so let one register them.
    Registering again, on any connection, replaces them for all; a query that begins at that moment may be told that
    there is no such function.  Keep the connection that registered a table open: when it is closed, ip_lookup raises an
    error.  (DuckDB itself crashes where a Python function of a closed connection is called.)  The same goes for a
    transaction that replaces a table and is rolled back: register again.

    Raises:
        TypeError: `con` is no connection, `table` no table, or its values have no Arrow column (`netfast.Matches`);
            nothing is changed then.
        duckdb.TransactionException: functions that a transaction has registered went when it was rolled back, and this
            is the next transaction; end it first.  Or another connection's transaction registers them just now.

    Example:
        >>> import duckdb, netfast as nf, netfast.engines.duckdb as nfd
        >>> con = duckdb.connect()
        >>> nfd.register(con, nf.PrefixTable({"10.0.0.0/8": "office"}))
        >>> con.sql("SELECT ip_kind('10.0.0.1'), ip_is_private('10.0.0.1'), ip_lookup('10.0.0.1')").fetchall()
        [('private', True, 'office')]
    """
    if not isinstance(con, duckdb.DuckDBPyConnection):
        raise TypeError(f"wanted a connection, as duckdb.connect() gives it, not {type(con).__name__}")
    functions: dict[str, tuple[Any, Any]] = {**_FUNCTIONS}
    with _registering:  # a connection refuses what comes while it is busy
        if table is not None:
            needs_table(table)
            values = pa.table({"value": pa.array(table.lookup([]))})
            functions["ip_lookup"] = con.from_arrow(values).types[0], _Lookup(table)
        for name in (*_FUNCTIONS, "ip_lookup"):
            _remove(con, name)
        for name, (returns, function) in functions.items():
            _add(con, name, function, "VARCHAR", returns)


class _Lookup:
    """The function ip_lookup."""

    __slots__ = ("table",)
    let_go: ClassVar[list[_Lookup]] = []

    def __init__(self, table: nf.PrefixTable) -> None:
        self.table: nf.PrefixTable | None = table

    def __call__(self, rows: Any) -> Any:
        if self.table is None:
            raise RuntimeError("the connection that registered ip_lookup has let go of it: register it again")
        # DuckDB would read a dictionary as a whole for every 2,048 rows.
        return arrow.decoded(arrow.lookup(_whole(rows), self.table, threads=1))

    def __del__(self) -> None:
        """DuckDB holds it no longer, but may call it: it stays, without its table."""
        self.table = None
        self.let_go.append(self)


def _whole(rows: Any) -> Any:
    """DuckDB's chunked array of one chunk as an array, which is quicker."""
    return rows.chunk(0) if rows.num_chunks == 1 else rows


def _add(con: Any, name: str, function: Any, takes: str, returns: Any) -> None:
    con.create_function(name, function, [takes], returns, type="arrow", null_handling="special")


def _remove(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Remove a function, whichever connection has registered it, or none.

    A function belongs to the database, but a connection removes only what it has registered itself.
    """
    try:
        con.remove_function(name)
    except duckdb.InvalidInputException:  # not registered here; an overload is, and all are removed with it
        _add(con, name, _never_called, "DOUBLE", "DOUBLE")
        con.remove_function(name)
    except duckdb.CatalogException:  # registered here, and rolled back: it must be there to be removed
        with con.cursor() as other:
            _add(other, name, _never_called, "DOUBLE", "DOUBLE")
            try:
                con.remove_function(name)
            except duckdb.Error:
                other.remove_function(name)
                message = f"{name} was registered in a transaction that was rolled back: end this one, then register"
                raise duckdb.TransactionException(message) from None


def _never_called(rows: Any) -> Any:
    return rows
