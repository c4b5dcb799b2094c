"""Addresses in Polars: `import netfast.engines.polars`, and every expression and every series has `.netfast`.

    >>> import netfast.engines.polars, polars as pl
    >>> frame = pl.DataFrame({"ip": ["10.1.2.3", "8.8.8.8", "2001:db8::1", "bad", None]})
    >>> frame.select(pl.col("ip").netfast.kind())["ip"].to_list()
    ['private', 'global', 'documentation', 'invalid', None]

Columns of String or Binary, Categorical and Enum, and of UInt32 for IPv4; any other is Polars' ComputeError.  Polars
runs the kernels in its own threads and without Python, in its streaming engine, too: they are a plugin (nf_polars.h).
With NETFAST_POLARS_PLUGIN=0 in the environment batches go through Python instead, with the same result.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from .. import _core
from .._tables import Lookup, PolarsPrefixes
from ..addresses import Classification, classify, parse
from ..prefix_sets import PrefixSet
from ..prefix_values import OBJECTS, Values, column_of
from ..prefixes import PrefixTable
from ..registry import BLOCKS, CLASS_OF_CODE, CLASSES, IS_GLOBAL, KIND_OF_CODE, KINDS
from . import FLAGS, flag_doc, needs, needs_prefixes, needs_table

needs("polars", "polars")

import polars as pl  # noqa: E402
from polars.plugins import register_plugin_function  # noqa: E402

__all__ = ["AddressExpressions", "AddressSeries"]

KIND = pl.Enum(KINDS)
NETWORK_CLASS = pl.Enum(CLASSES)
BLOCK = pl.Enum([block.prefix for block in BLOCKS])

_USES_PLUGIN = os.environ.get("NETFAST_POLARS_PLUGIN", "1") != "0"


def _flag_of_code(flag: str) -> bytes:
    if flag == "is_global":
        return IS_GLOBAL
    return bytes(KINDS[kind] == flag.removeprefix("is_") for kind in KIND_OF_CODE)


# Ids are counted from a random number: an expression of another process finds nothing, and not what it did not mean.
_core.polars_start(KIND_OF_CODE, CLASS_OF_CODE, [_flag_of_code(flag) for flag in FLAGS], secrets.randbits(63))

# What the plugin gives, before numbers become what they stand for.
_CODES = pl.Struct({"kind": pl.UInt8, "network_class": pl.UInt8, "block": pl.UInt8, "is_global": pl.Boolean})


# --- tables and sets -------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """What expressions find in a table or a set."""

    prefixes: PolarsPrefixes  # which the plugin reads
    function: str  # of the plugin
    raw: Any  # the type that it gives
    batch: Callable[[Any, pl.Series, bool], pl.Series]  # the same in Python; of a table or set, which it keeps not
    finish: Callable[[pl.Expr], pl.Expr]


# Kept as long as what finds in the table or set; and that for a few expressions, as nothing tells when one has run.
_found = WeakKeyDictionary[Lookup, dict[bool, _Found]]()
_recent = deque[Lookup](maxlen=16)
_lock = Lock()


def _found_in(lookup: Lookup, values: Values | None) -> _Found:
    """The values, or without them whether there is one."""
    with _lock:
        _recent.append(lookup)
        made = _found.setdefault(lookup, {})
        wanted = values is not None
        if wanted not in made:
            made[wanted] = _membership(lookup) if values is None else _values(lookup, values)
        return made[wanted]


def _membership(lookup: Lookup) -> _Found:
    def batch(prefixes: PrefixSet | PrefixTable, column: pl.Series, unwrap: bool) -> pl.Series:
        return _masked(pl.Series(prefixes.contains(column, unwrap=unwrap, threads=1)), column)

    return _Found(PolarsPrefixes(lookup), "contains", pl.Boolean, batch, _same)


def _values(lookup: Lookup, values: Values) -> _Found:
    return _objects(lookup, values) if values.dtype == OBJECTS else _numbers(lookup, values)


def _numbers(lookup: Lookup, values: Values) -> _Found:
    numbers, dtype = _widened(values)
    wide = str(numbers.dtype)

    def batch(table: PrefixTable, column: pl.Series, unwrap: bool) -> pl.Series:
        return pl.Series(table.lookup(column, unwrap=unwrap, threads=1)).cast(_NUMBERS[wide])

    prefixes = PolarsPrefixes(lookup, numbers)
    return _Found(prefixes, f"lookup_{wide}", _NUMBERS[wide], batch, _cast_to(dtype))


def _widened(values: Values) -> tuple[Any, Any]:
    """Numbers as NumPy of 8 bytes each, which is what the plugin reads, and Polars' type of them."""
    import numpy as np

    numbers = np.frombuffer(values.items, values.dtype)
    dtype = _NUMBERS.get(values.dtype) or pl.Series(numbers[:0]).dtype
    return numbers.astype({"f": "float64", "u": "uint64"}.get(numbers.dtype.kind, "int64")), dtype


def _objects(lookup: Lookup, values: Values) -> _Found:
    """They are stored once each: what is looked up is the number of one."""
    import numpy as np

    there = np.array([value is not None for value in values.objects], bool)
    number_of = np.where(there, np.cumsum(there) - 1, -1).astype(np.int32)
    numbers = number_of[np.frombuffer(values.items, np.int32)]

    def batch(table: PrefixTable, column: pl.Series, unwrap: bool) -> pl.Series:
        index = table.lookup(column, unwrap=unwrap, threads=1).index
        found = np.append(numbers, np.int32(-1))[index]  # the last is of no match, -1
        return pl.select(pl.when(pl.lit(pl.Series(found)) >= 0).then(pl.Series(found)).cast(pl.UInt32)).to_series()

    finish = _meaning([value for value in values.objects if value is not None])
    return _Found(PolarsPrefixes(lookup, numbers), "lookup", pl.UInt32, batch, finish)


def _meaning(values: list[Any]) -> Callable[[pl.Expr], pl.Expr]:
    """From the numbers of values to the values."""
    found = column_of(values)
    if found is not None:
        wide, dtype = _widened(found)
        column = pl.Series(wide).cast(dtype)
    elif values and isinstance(values[0], bytes):
        column = pl.Series(values)
    else:
        texts = pl.Enum([str.__str__(value) for value in values])  # and no class of str, which Polars refuses
        return lambda numbers: _as_enum(numbers, texts)
    return lambda numbers: numbers.replace_strict(pl.Series(range(len(column)), dtype=pl.UInt32), column, default=None)


_NUMBERS: dict[str, Any] = {
    "bool": pl.Boolean,
    "float16": pl.Float32,
    "int64": pl.Int64,
    "uint64": pl.UInt64,
    "float64": pl.Float64,
}


def _cast_to(dtype: Any) -> Callable[[pl.Expr], pl.Expr]:
    return lambda found: found.cast(dtype)


def _same(found: pl.Expr) -> pl.Expr:
    return found


# --- in Python, where Polars does not run the kernels itself ---------------------------------------------------------


def _masked(found: pl.Series, column: pl.Series) -> pl.Series:
    """Null where the column is."""
    return pl.select(pl.when(column.is_not_null()).then(found)).to_series()


def _classified(column: pl.Series, unwrap: bool) -> Classification:
    return classify(column, unwrap=unwrap, threads=1)


def _translated(table: bytes, dtype: Any) -> Callable[[pl.Series, bool], pl.Series]:
    """What becomes of the codes."""

    def batch(column: pl.Series, unwrap: bool) -> pl.Series:
        codes = _classified(column, unwrap).codes
        return _masked(_column(codes.tobytes().translate(table)).cast(dtype), column)

    return batch


def _column(data: bytes) -> pl.Series:
    import numpy as np

    return pl.Series(np.frombuffer(data, np.uint8))


def _classify_batch(column: pl.Series, unwrap: bool) -> pl.Series:
    codes = _classified(column, unwrap).codes.tobytes()
    made = {
        "kind": _column(codes.translate(KIND_OF_CODE)),
        "network_class": _column(codes.translate(CLASS_OF_CODE)),
        "block": _column(codes),
        "is_global": _column(codes.translate(IS_GLOBAL)).cast(pl.Boolean),
    }
    return _masked(pl.DataFrame(made).to_struct(), column)


def _parse_batch(column: pl.Series, _unwrap: bool) -> pl.Series:
    return pl.Series(parse(column, threads=1)).cast(pl.String)


# --- expressions -----------------------------------------------------------------------------------------------------


def _as_enum(codes: pl.Expr, dtype: pl.Enum) -> pl.Expr:
    """Numbers as what they stand for; older Polars casts them."""
    return codes.cat.to(dtype) if hasattr(codes.cat, "to") else codes.cast(dtype)


def _flag(flag: str) -> Callable[..., pl.Expr]:
    batch = _translated(_flag_of_code(flag), pl.Boolean)

    def is_flag(self: AddressExpressions, *, unwrap: bool = False) -> pl.Expr:
        return self._call(flag, unwrap, batch, pl.Boolean)

    is_flag.__name__, is_flag.__qualname__ = flag, f"AddressExpressions.{flag}"
    is_flag.__doc__ = flag_doc(
        flag, "Boolean", "netfast.engines.polars, polars as pl", "pl.Series({rows}).netfast.{flag}().to_list()"
    )
    return is_flag


@pl.api.register_expr_namespace("netfast")
class AddressExpressions:
    """`.netfast` of an expression.  Null stays null; what is no address is "invalid", or false, or has no value.

    `unwrap` reads an IPv6 address that carries an IPv4 one as what it carries, as `netfast.classify` does.
    """

    def __init__(self, expr: pl.Expr) -> None:
        self._expr = expr

    def kind(self, *, unwrap: bool = False) -> pl.Expr:
        """Enum of `netfast.KINDS`; "invalid" where a text is no address.

        Example:
            >>> import netfast.engines.polars, polars as pl
            >>> pl.DataFrame({"ip": ["10.1.2.3", "1.2.3"]}).select(pl.col("ip").netfast.kind())["ip"].to_list()
            ['private', 'invalid']
        """
        return _as_enum(self._call("kind", unwrap, _translated(KIND_OF_CODE, pl.UInt8), pl.UInt8), KIND)

    def network_class(self, *, unwrap: bool = False) -> pl.Expr:
        """Enum: "A" to "E", and "" for IPv6 and for what is no address.

        Example:
            >>> import netfast.engines.polars, polars as pl
            >>> pl.Series(["10.1.2.3", "224.0.0.1", "::1"]).netfast.network_class().to_list()
            ['A', 'D', '']
        """
        batch = _translated(CLASS_OF_CODE, pl.UInt8)
        return _as_enum(self._call("network_class", unwrap, batch, pl.UInt8), NETWORK_CLASS)

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

    def classify(self, *, unwrap: bool = False) -> pl.Expr:
        """Struct of kind, network_class, block (its prefix) and is_global; `unnest` makes columns of it.

        Example:
            >>> import netfast.engines.polars, polars as pl
            >>> pl.Series(["10.1.2.3"]).netfast.classify().to_list()
            [{'kind': 'private', 'network_class': 'A', 'block': '10.0.0.0/8', 'is_global': False}]
        """
        return self._call("classify", unwrap, _classify_batch, _CODES).struct.with_fields(
            _as_enum(pl.field("kind"), KIND),
            _as_enum(pl.field("network_class"), NETWORK_CLASS),
            _as_enum(pl.field("block"), BLOCK),
        )

    def parse(self) -> pl.Expr:
        """String: the canonical form (RFC 5952); null for what is no address.

        Example:
            >>> import netfast.engines.polars, polars as pl
            >>> pl.Series(["2001:DB8:0:0::1", "10.0.0.01"]).netfast.parse().to_list()
            ['2001:db8::1', None]
        """
        return self._call("parse", False, _parse_batch, pl.String)

    def contains(self, prefixes: PrefixSet | PrefixTable, *, unwrap: bool = False) -> pl.Expr:
        """Boolean: whether a prefix of the set or table holds it.  Keep the set or table, as for `lookup`.

        Raises:
            TypeError: it is neither.

        Example:
            >>> import netfast as nf, netfast.engines.polars, polars as pl
            >>> office = nf.PrefixSet(["10.0.0.0/8"])
            >>> pl.Series(["10.1.2.3", "8.8.8.8"]).netfast.contains(office).to_list()
            [True, False]
        """
        needs_prefixes(prefixes)
        lookup = prefixes._table() if isinstance(prefixes, PrefixSet) else prefixes._lookup
        return self._find(prefixes, _found_in(lookup, None), unwrap)

    def lookup(self, table: PrefixTable, *, unwrap: bool = False) -> pl.Expr:
        """The value of the longest prefix that holds it: Enum of text, Binary, or numbers.

        Null where no prefix holds it, or its value is None.  Keep the table until the query has run: the expression
        only knows its number, in this process (the tables of the last 16 expressions are kept anyway).

        Raises:
            TypeError: it is no table, or its values are neither text nor bytes nor numbers of one type.

        Example:
            >>> import netfast as nf, netfast.engines.polars, polars as pl
            >>> table = nf.PrefixTable({"10.0.0.0/8": 64512})
            >>> pl.Series(["10.1.2.3", "8.8.8.8"]).netfast.lookup(table).to_list()
            [64512, None]
        """
        needs_table(table)
        return self._find(table, _found_in(table._lookup, table._values), unwrap)

    def _find(self, prefixes: PrefixSet | PrefixTable, found: _Found, unwrap: bool) -> pl.Expr:
        id = pl.lit(found.prefixes.id, dtype=pl.UInt64)
        batch = functools.partial(found.batch, prefixes)
        return found.finish(self._call(found.function, unwrap, batch, found.raw, id))

    def _call(
        self, function: str, unwrap: bool, batch: Callable[[pl.Series, bool], pl.Series], raw: Any, *more: pl.Expr
    ) -> pl.Expr:
        if not _USES_PLUGIN:
            return self._expr.map_batches(
                functools.partial(_in_python, batch, unwrap), return_dtype=raw, is_elementwise=True
            )
        return register_plugin_function(
            plugin_path=_core.__file__,
            function_name=f"{function}_unwrapped" if unwrap else function,
            args=[self._expr, *more],
            is_elementwise=True,
        )


def _plainly_named(column: pl.Series) -> pl.Series:
    """By a name that Polars takes for no pattern of names."""
    return column.alias("rows") if column.name.startswith(("^", "*")) else column


def _in_python(batch: Callable[[pl.Series, bool], pl.Series], unwrap: bool, column: pl.Series) -> pl.Series:
    rows = _plainly_named(column)
    if rows.dtype in (pl.Categorical, pl.Enum):
        rows = rows.cast(pl.String)  # before 1.31, Polars exports them as numbers
    try:
        return batch(rows, unwrap).alias(column.name)
    except TypeError as error:  # of the column
        raise pl.exceptions.ComputeError(f"column {column.name!r}: {error}") from None


@pl.api.register_series_namespace("netfast")
class AddressSeries:
    """`.netfast` of a series: the methods of `AddressExpressions`, which give series.

    Example:
        >>> import netfast.engines.polars, polars as pl
        >>> pl.Series(["10.1.2.3", "8.8.8.8"]).netfast.is_private().to_list()
        [True, False]
    """

    def __init__(self, series: pl.Series) -> None:
        self._series = series


def _of_series(method: Callable[..., pl.Expr]) -> Callable[..., pl.Series]:
    @functools.wraps(method)
    def of_series(self: AddressSeries, *arguments: Any, **options: Any) -> pl.Series:
        column = _plainly_named(self._series)
        expr = method(AddressExpressions(pl.col(column.name)), *arguments, **options)
        return column.to_frame().select(expr).to_series().alias(self._series.name)

    return of_series


for _name, _method in vars(AddressExpressions).items():
    if not _name.startswith("_"):
        setattr(AddressSeries, _name, _of_series(_method))
