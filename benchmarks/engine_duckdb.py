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
    engine.register(con)
    sample = con.execute("SELECT count(*) FROM few").fetchall()[0][0]

    def streamed(name: str) -> Any:
        found = engine.classify(con.sql(f"SELECT ip FROM {name}"), "ip")
        return found.aggregate("kind, count(*) AS n", "kind").order("kind").fetchall()

    def by_function() -> Any:
        return con.execute("SELECT ip_kind(ip) AS kind, count(*) FROM logs GROUP BY 1 ORDER BY 1").fetchall()

    def by_rows() -> Any:
        return con.execute("SELECT count(*) FROM few WHERE py_private(ip)").fetchall()[0][0]

    for work, run, wanted in (("a relation that streams", lambda: streamed("logs"), 100), ("ip_kind", by_function, 30)):
        yield Race(
            work=f"count kinds of {n:,} IPv4 texts in DuckDB, {work}",
            unit="rows",
            netfast=Side(n, run, lambda: dict(streamed("few"))),
            rivals=[Rival("row-wise ipaddress function", wanted, lambda: Side(sample, by_rows), agree)],
        )


def is_private(text: str) -> bool:
    return ipaddress.ip_address(text).is_private


def agree(ours: dict[str, int], theirs: int) -> bool:
    """`ipaddress` counts more than the textbook's as private."""
    return ours.get("private", 0) <= theirs <= sum(ours.values())
