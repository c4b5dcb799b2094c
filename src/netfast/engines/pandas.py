"""netfast on pandas: `import netfast.engines.pandas` gives every Series the accessor `.netfast`.

Example:
    >>> import pandas as pd, netfast.engines.pandas
    >>> hosts = pd.Series(["10.0.0.1", "8.8.8.8", "1.2.3", None], index=["a", "b", "c", "d"])
    >>> hosts.netfast.kind().value_counts(sort=False).head(3).to_dict()
    {'invalid': 1, 'global': 1, 'private': 1}
    >>> hosts[hosts.netfast.is_private()].index.tolist()
    ['a']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

import netfast as nf
from netfast.registry import CLASS_OF_CODE, CLASSES, KIND_OF_CODE

from . import flag_doc, needs, needs_prefixes, needs_table

needs("pandas", "pandas")

import pandas as pd  # noqa: E402

__all__ = ["AddressAccessor"]


class _Coded:
    """A categorical column by the codes of `netfast.BLOCKS`."""

    def __init__(self, categories: tuple[str, ...], table: bytes) -> None:
        self.dtype = pd.CategoricalDtype(list(categories))
        self.table = table

    def of(self, rows: nf.Classification) -> Any:
        # A bytearray, as the codes are the result's own, to be written to.
        codes = np.frombuffer(bytearray(rows.codes).translate(self.table), np.uint8)
        codes = codes.view(np.int8) if len(self.dtype.categories) <= 128 else codes.astype(np.int16)
        return pd.Categorical.from_codes(_masked(codes, rows.null), dtype=self.dtype, validate=False)


_KIND = _Coded(nf.KINDS, KIND_OF_CODE)
_NETWORK_CLASS = _Coded(CLASSES, CLASS_OF_CODE)
_BLOCK = _Coded(tuple(block.prefix for block in nf.BLOCKS), bytes(range(256)))


def _flag(flag: str) -> Callable[..., Any]:
    def is_flag(self: AddressAccessor, *, unwrap: bool = False) -> Any:
        c = self._classified(unwrap)
        return self._like(_nullable(getattr(c, flag), c.null))

    is_flag.__name__, is_flag.__qualname__ = flag, f"AddressAccessor.{flag}"
    is_flag.__doc__ = flag_doc(
        flag, "boolean", "pandas as pd, netfast.engines.pandas", "pd.Series({rows}).netfast.{flag}().tolist()"
    )
    return is_flag


@pd.api.extensions.register_series_accessor("netfast")
class AddressAccessor:
    """Addresses of a Series: `series.netfast.kind()` and so on.

    The Series holds text (object, str, string, category, or Arrow-backed in any layout `netfast.classify` reads; text
    that PyArrow holds is read where it lies), `ipaddress` objects, or integers (below 2**32 IPv4, else IPv6).  Results
    have its index and name, and rows that are NA stay NA.  `unwrap` is that of `netfast.classify`.

    Raises:
        TypeError: the Series is of any other type, or an object of a foreign one.
    """

    def __init__(self, series: Any) -> None:
        self._series = series

    def kind(self, *, unwrap: bool = False) -> Any:
        """category of all `netfast.KINDS`; "invalid" where a text is no address.

        Example:
            >>> import pandas as pd, netfast.engines.pandas
            >>> pd.Series(["10.0.0.1", "1.2.3"]).netfast.kind().tolist()
            ['private', 'invalid']
        """
        return self._like(_KIND.of(self._classified(unwrap)))

    def network_class(self, *, unwrap: bool = False) -> Any:
        """category: "A" to "E" by the leading bits, "" for IPv6 and invalid rows.

        Example:
            >>> import pandas as pd, netfast.engines.pandas
            >>> pd.Series(["10.0.0.1", "224.0.0.1", "::1"]).netfast.network_class().tolist()
            ['A', 'D', '']
        """
        return self._like(_NETWORK_CLASS.of(self._classified(unwrap)))

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

    def classify(self, *, unwrap: bool = False) -> Any:
        """A DataFrame with the Series' index of kind, network_class, block (category) and is_global (boolean).

        Example:
            >>> import pandas as pd, netfast.engines.pandas
            >>> pd.Series(["10.0.0.1"]).netfast.classify().to_dict("records")
            [{'kind': 'private', 'network_class': 'A', 'block': '10.0.0.0/8', 'is_global': False}]
        """
        c = self._classified(unwrap)
        columns = {
            "kind": _KIND.of(c),
            "network_class": _NETWORK_CLASS.of(c),
            "block": _BLOCK.of(c),
            "is_global": _nullable(c.is_global, c.null),
        }
        return pd.DataFrame(columns, index=self._series.index, copy=False)

    def lookup(self, table: nf.PrefixTable, *, unwrap: bool = False) -> Any:
        """The value of the longest prefix that holds each address, NA where no prefix does or its value is None.

        Text and bytes are a category of the table's values (wants PyArrow); numbers are Int64, Float64, boolean and so
        on, of the table's own width.

        Raises:
            TypeError: it is no table, or its values are neither numbers of one type nor text nor bytes.

        Example:
            >>> import netfast as nf, pandas as pd, netfast.engines.pandas
            >>> table = nf.PrefixTable({"10.0.0.0/8": 64512})
            >>> pd.Series(["10.1.2.3", "8.8.8.8"]).netfast.lookup(table).tolist()
            [64512, <NA>]
        """
        needs_table(table)
        matches = self._read(table.lookup, unwrap=unwrap)
        if isinstance(table.lookup([]).values(), np.ndarray):
            return self._like(_nullable(matches.values(default=0), matches.index < 0))
        return self._like(_from_arrow(matches))

    def contains(self, prefixes: nf.PrefixSet | nf.PrefixTable, *, unwrap: bool = False) -> Any:
        """boolean: whether a set or table of prefixes holds each address; False where a text is no address.

        Raises:
            TypeError: it is neither.

        Example:
            >>> import netfast as nf, pandas as pd, netfast.engines.pandas
            >>> pd.Series(["10.1.2.3", "8.8.8.8"]).netfast.contains(nf.PrefixSet(["10.0.0.0/8"])).tolist()
            [True, False]
        """
        needs_prefixes(prefixes)
        parsed = self._read(nf.parse)  # which knows the nulls; the text is read once
        return self._like(_nullable(prefixes.contains(parsed, unwrap=unwrap), parsed.null))

    def parse(self) -> Any:
        """The addresses as RFC 5952 writes them, NA where a row is NA or no address; of the Series' type if it is text.

        Example:
            >>> import pandas as pd, netfast.engines.pandas
            >>> pd.Series(["2001:DB8:0:0::1", "10.0.0.01"], dtype="string").netfast.parse().tolist()
            ['2001:db8::1', <NA>]
        """
        dtype = self._series.dtype
        if not _is_text(dtype):
            dtype = pd.Series([""]).dtype  # what pandas makes of text: str, or object before pandas 3
        parsed = self._read(nf.parse)
        return self._like(pd.array(_texts(parsed, dtype), dtype=dtype))

    def _like(self, values: Any) -> Any:
        return pd.Series(values, index=self._series.index, name=self._series.name, copy=False)

    def _classified(self, unwrap: bool) -> nf.Classification:
        classification: nf.Classification = self._read(nf.classify, unwrap=unwrap)
        return classification

    def _read(self, function: Callable[..., Any], **options: Any) -> Any:
        """What a function of netfast says of the addresses; its error names the Series."""
        try:
            return function(_addresses(self._series), **options)
        except (TypeError, NotImplementedError) as error:  # PyArrow's, of a type that Arrow has not, is the latter
            name, dtype = self._series.name, self._series.dtype
            is_any = str(dtype) in ("object", "category")  # and the error tells which item is wrong
            why = f": {error}" if is_any else " holds no addresses; wanted text, integers or `ipaddress` objects"
            raise TypeError(f"{'the Series' if name is None else f'Series {name!r}'} of {dtype}{why}") from None


# --- in ---------------------------------------------------------------------------------------------------------------


def _addresses(series: Any) -> Any:
    """The Series as netfast reads it: itself where that is in place."""
    dtype = series.dtype
    if _is_text(dtype) or str(dtype) == "string_view[pyarrow]":  # a type that pandas itself hardly knows
        return series
    if isinstance(dtype, pd.CategoricalDtype):
        if pd.api.types.infer_dtype(dtype.categories, skipna=False) == "string":
            return series
        inner = dtype.categories.dtype
        return _addresses(series.astype(inner)) if isinstance(inner, pd.ArrowDtype) else series.astype(object)
    if pd.api.types.is_integer_dtype(dtype):
        return _integers(series)
    if pd.api.types.is_float_dtype(dtype) and series.isna().all():  # what pandas makes of a column of nothing
        return [None] * len(series)
    return series


def _integers(series: Any) -> Any:
    """uint32, which is read in place, if all of them are IPv4; else objects."""
    known = series.dropna()
    if len(known) and not 0 <= known.min() <= known.max() < 2**32:
        return series.astype(object)
    return series.to_numpy(np.uint32) if len(known) == len(series) else series.astype("UInt32")


def _is_text(dtype: Any) -> bool:
    if isinstance(dtype, pd.ArrowDtype):
        return str(dtype.pyarrow_dtype) in ("string", "large_string")
    return isinstance(dtype, pd.StringDtype)


# --- out --------------------------------------------------------------------------------------------------------------


def _nullable(values: Any, null: Any) -> Any:
    """NumPy numbers or bools as a nullable array, which may be written to."""
    null = np.require(null, requirements="W")  # copies what may not
    if values.dtype == bool:
        return pd.arrays.BooleanArray(np.require(values, requirements="W"), null)
    if values.dtype == np.float16:  # pandas has no nullable one
        values = values.astype(np.float32)
    array = pd.arrays.FloatingArray if values.dtype.kind == "f" else pd.arrays.IntegerArray
    return array(np.require(values, requirements="W"), null)


def _texts(parsed: nf.AddressArray, dtype: Any) -> Any:
    """What makes a column of that type quickest: an Arrow array if PyArrow is to hold it, else a list."""
    if not isinstance(dtype, pd.ArrowDtype) and getattr(dtype, "storage", "python") != "pyarrow":
        return parsed.to_list()
    import pyarrow as pa

    return pa.array(parsed)


def _from_arrow(matches: nf.Matches) -> Any:
    """Values that are no column of numbers: a category of text or bytes, or numbers with holes."""
    needs("pyarrow", "arrow")
    import pyarrow as pa

    values = pa.array(matches)
    null = values.is_null().to_numpy(zero_copy_only=False)
    if not pa.types.is_dictionary(values.type):
        zero = pa.scalar(0).cast(values.type)
        return _nullable(values.fill_null(zero).to_numpy(zero_copy_only=False), null)
    dtype = _category(matches._table._lookup, values.dictionary)
    codes = np.frombuffer(values.indices.buffers()[1], np.int32, len(null))  # fill_null takes three times as long
    codes = codes.astype(np.min_scalar_type(-1 - len(dtype.categories)))
    return pd.Categorical.from_codes(_masked(codes, null), dtype=dtype, validate=False)


# As long as what finds in the table: to make the categories of a large table takes longer than many a look-up.
_category_of: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _category(lookup: Any, values: Any) -> Any:
    """The type of a category of a table's values."""
    dtype = _category_of.get(lookup)
    if dtype is None:
        dtype = _category_of[lookup] = pd.CategoricalDtype(values.to_pandas())
    return dtype


def _masked(codes: Any, null: Any) -> Any:
    """With -1 where null; without a branch, and so at the same speed whatever is null."""
    return np.where(null, codes.dtype.type(-1), codes) if null.any() else codes
