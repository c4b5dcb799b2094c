"""In DuckDB: kinds counted of a relation that streams through the kernels, 100 times as fast as by a function of
`ipaddress` that DuckDB calls with each row; and by an SQL function, which it calls with 2,048 rows.

Bound, written down first: DuckDB hands its text over as Arrow, some 20 ns a row, and takes it back; the kernels need 4.
An SQL function that does nothing costs 40 ns a row.  A row by itself costs a call of Python and an object, 5 µs.
Bound now: DuckDB's export of text to Arrow, nine tenths of the time.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from benchmarks import data
from benchmarks.engine_pandas import is_plain
from benchmarks.measure import MissingError, Race, Rival, Side

SAMPLE = 50_000  # rows for `ipaddress`


def claims(scale: float = 1.0) -> Iterator[Race]:
    try:
        import duckdb
        import pyarrow as pa

        import netfast.engines.duckdb as engine
    except ImportError as missing:
        raise MissingError(missing.name or "duckdb") from None

    n = round(5_000_000 * scale)
    con = duckdb.connect()
    logs = pa.table({"ip": data.ip4_column(n, 0)})
    con.register("arrow", logs)
    con.execute("CREATE TABLE logs AS SELECT ip FROM arrow")
    con.execute(f"CREATE TABLE few AS SELECT ip FROM logs LIMIT {SAMPLE}")
    con.create_function("py_private", is_private, ["VARCHAR"], "BOOLEAN")
    con.create_function("py_plain", is_plain, ["VARCHAR"], "BOOLEAN")
    con.execute("CREATE TABLE plain AS SELECT ip FROM few WHERE py_plain(ip)")
    engine.register(con)
    sample = con.execute("SELECT count(*) FROM few").fetchall()[0][0]

    def streamed() -> Any:
        found = engine.classify(con.sql("SELECT ip FROM logs"), "ip")
        return found.aggregate("kind, count(*) AS n", "kind").order("kind").fetchall()

    def streamed_private() -> Any:
        found = engine.classify(con.sql("SELECT ip FROM plain"), "ip")
        return found.filter("kind = 'private'").select("ip").order("ip").fetchall()

    def by_function() -> Any:
        return con.execute("SELECT ip_kind(ip) AS kind, count(*) FROM logs GROUP BY 1 ORDER BY 1").fetchall()

    def private(condition: str) -> Any:
        return con.execute(f"SELECT ip FROM plain WHERE {condition} ORDER BY ip").fetchall()

    def by_rows() -> Any:
        return con.execute("SELECT count(*) FROM few WHERE py_private(ip)").fetchall()

    for work, wanted, ours in (
        ("a relation that streams", 100, Side(n, streamed, streamed_private)),
        ("ip_kind", 30, Side(n, by_function, lambda: private("ip_kind(ip) = 'private'"))),
    ):
        theirs = Side(sample, by_rows, lambda: private("py_private(ip)"))
        yield Race(
            work=f"count kinds of {n:,} IPv4 texts in DuckDB, {work}",
            unit="rows",
            netfast=ours,
            rivals=[Rival("row-wise ipaddress function", wanted, lambda theirs=theirs: theirs, agree)],
        )


def is_private(text: str) -> bool:
    return ipaddress.ip_address(text).is_private


def agree(ours: list[tuple[str]], theirs: list[tuple[str]]) -> bool:
    """The private addresses are the same, and there are some."""
    return ours == theirs and len(ours) > 0
