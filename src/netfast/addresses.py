"""IP addresses in bulk: text, integers, Arrow or NumPy in, classes, kinds and registry blocks out.

Whatever form they come in, addresses become one byte each, the code of their most specific row in `netfast.BLOCKS`;
everything else here is a look-up by that code, made when somebody asks.  `netfast.textbook` explains a single address.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from . import _arrow, _core
from .checks import digits
from .errors import AddressError
from .registry import BLOCKS, CLASS_OF_CODE, CLASSES, IS_GLOBAL, KIND_OF_CODE, KINDS, Block
from .threads import in_ranges, thread_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Errors = Literal["mask", "raise"]

# Below this many rows one thread has finished before a second one has started.
_ROWS_PER_THREAD = 250_000


# --- what comes in ---------------------------------------------------------------------------------------------------


class _Rows:
    """Addresses of any form as either columns in place or a list."""

    __slots__ = ("columns", "items", "n", "source")

    def __init__(self, addresses: Any) -> None:
        self.source = addresses
        self.columns: list[_arrow.Column] | None = None
        self.items: list[Any] | tuple[Any, ...] = ()
        if isinstance(addresses, (list, tuple)):
            self.items = addresses
        elif isinstance(addresses, (str, bytes, bytearray, memoryview)) or not _is_collection(addresses):
            raise TypeError(
                f"addresses is one {type(addresses).__name__}, not a collection of them; "
                "for a single address use nf.address, for text that holds addresses nf.extract"
            )
        elif _is_object_column(addresses):
            self.items = addresses.tolist()
        elif _is_ndarray(addresses):
            self.columns = [_arrow.numpy_column(_plain(addresses))]
        elif (exporter := arrow_exporter(addresses)) is not None:
            self._take_arrow(exporter)
        else:
            self.items = list(addresses)
        self.n = len(self.items) if self.columns is None else sum(map(len, self.columns))

    def _take_arrow(self, addresses: Any) -> None:
        try:
            self.columns = _arrow.arrow_columns(addresses)
        except ImportError:  # pandas without PyArrow exports nothing
            self.items = addresses.tolist()

    def nulls(self) -> bytearray | None:
        """A byte a row, 1 for null; None if no row is (columns only: lists find theirs on the way)."""
        assert self.columns is not None
        parts = [column.nulls() for column in self.columns]
        if all(part is None for part in parts):
            return None
        return bytearray().join(
            bytes(len(column)) if part is None else part for column, part in zip(self.columns, parts, strict=True)
        )

    def text(self, row: int) -> str | bytes | None:
        """The text of a row as written."""
        if self.columns is None:
            item = self.items[row]
            return item if isinstance(item, (str, bytes)) else str(item)
        for column in self.columns:
            if row < len(column):
                text = _core.column_text(column, row)
                return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
            row -= len(column)
        raise IndexError(row)

    def raise_invalid(self, row: int) -> None:
        """Raise what is wrong with a row."""
        if self.columns is None and not isinstance(self.items[row], (str, bytes)):
            raise AddressError(digits(operator.index(self.items[row])), 0, "integer below 0 or above 2**128 - 1", row)
        text = self.text(row)
        if text is not None:
            _core.parse_one(text, row)
        raise AddressError(str(text), 0, "not an address", row)


def _is_collection(source: Any) -> bool:
    """Whether there is any way to more than one address in it; a NumPy array without dimensions is one."""
    if _is_ndarray(source):
        return bool(source.ndim)
    return any(hasattr(source, way) for way in ("__iter__", "__getitem__", "__arrow_c_array__", "__arrow_c_stream__"))


def arrow_exporter(source: Any) -> Any:
    """What exports a source by the Arrow PyCapsule interface, mostly itself; None if nothing does.

    An Index or array of pandas never exports itself, and a Series only from pandas 3 on: what PyArrow holds for one is
    asked for here, as its items would not tell 4 bytes that are an address from 4 bytes of text.
    """
    if hasattr(source, "__arrow_c_array__") or hasattr(source, "__arrow_c_stream__"):
        return source
    dtype = getattr(source, "dtype", None)
    inner = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    if not (hasattr(inner, "pyarrow_dtype") or str(getattr(inner, "storage", "")).startswith("pyarrow")):
        return None
    held = source if inner is dtype else source.astype(inner)
    return getattr(held, "array", held).__arrow_array__()


def _is_ndarray(source: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(source, numpy.ndarray)


def _is_object_column(source: Any) -> bool:
    """A NumPy array or pandas Series of Python objects, or a NumPy array that only Python objects do justice."""
    if not hasattr(source, "tolist"):
        return False
    if _is_ndarray(source) and (source.dtype.kind == "T" or hasattr(source, "mask")):  # StringDType; MaskedArray
        return True
    return str(getattr(source, "dtype", "")) == "object"


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array as the kernels read it: itself, but for foreign byte order, and addresses whose bytes lie apart."""
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 2 and array.strides[1] != array.itemsize:
        import numpy as np

        return np.ascontiguousarray(array)
    return array


def _check(errors: str, threads: int | None) -> None:
    if errors not in ("mask", "raise"):
        raise ValueError(f'errors={errors!r}: wanted "mask" or "raise"')
    if threads is not None and operator.index(threads) < 1:
        raise ValueError(f"threads={threads}: wanted at least 1")


def _view(data: bytearray, dtype: Any) -> NDArray[Any]:
    """A NumPy array in place and read-only: what it shows is not the caller's to change."""
    import numpy as np

    return np.frombuffer(memoryview(data).toreadonly(), dtype=dtype)


# --- classify --------------------------------------------------------------------------------------------------------


def classify(
    addresses: Any, *, unwrap: bool = False, errors: Errors = "mask", threads: int | None = None
) -> Classification:
    """Classify every address by its most specific block in the IANA registries, multicast and classes A to E.

    Args:
        addresses: a list, tuple or iterable of str, bytes (text), int (below 2**32 IPv4, else IPv6), `ipaddress`
            objects or None; any object with the Arrow PyCapsule interface, or of pandas that PyArrow holds (utf8,
            large_utf8, string_view, binary, a dictionary of those, uint32 as IPv4, fixed-size binary of 4 or 16 bytes
            in network order); a NumPy array of uint32 (IPv4, host order), S, U, object, or uint8[n, 16] (network
            order); an `AddressArray`.  Arrow and NumPy memory is read in place.
        unwrap: classify an IPv6 address that carries an IPv4 one (IPv4-mapped, 64:ff9b::/96, 6to4, the client of
            Teredo) as what it carries.
        errors: "mask" gives an invalid row code 0 and goes on; "raise" raises on the first.
        threads: for large columns; None for one per CPU this process may use.  Lists are read by one thread.

    Returns:
        A `Classification` of one row an address, in order.

    Raises:
        AddressError: a text is no address, with errors="raise".
        TypeError: an item is of a foreign type (the message has its index), or `addresses` is one str.

    Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (`netfast.BLOCKS`).

    Example:
        >>> import netfast as nf
        >>> c = nf.classify(["192.168.0.1", "8.8.8.8", "::1", "1.2.3", None])
        >>> [str(kind) for kind in c.kind]
        ['private', 'global', 'loopback', 'invalid', 'None']
        >>> c[0].rfc
        'RFC 1918'
        >>> c.is_private.tolist()
        [True, False, False, False, False]
    """
    _check(errors, threads)
    if isinstance(addresses, AddressArray):
        return addresses._checked(errors).classify(unwrap=unwrap)
    rows = _Rows(addresses)
    if rows.columns is None:
        codes, nulls = _core.classify_items(rows.items, unwrap)
    else:
        codes, nulls = _classify_columns(rows.columns, rows.n, unwrap, threads), rows.nulls()
    if errors == "raise" and (bad := _core.first_invalid(codes, nulls)) >= 0:
        rows.raise_invalid(bad)
    return Classification(codes, nulls)


def _classify_columns(columns: list[_arrow.Column], n: int, unwrap: bool, threads: int | None) -> bytearray:
    codes = _arrow.unwritten(n)
    base = 0
    stop = bytearray(1)
    for column in columns:
        inner = _core.dictionary_codes(column, unwrap)

        def classify_rows(
            first: int, count: int, column: _arrow.Column = column, base: int = base, inner: bytearray | None = inner
        ) -> None:
            _core.classify_range(column, first, count, unwrap, codes, base + first, inner, stop)

        in_ranges(classify_rows, len(column), thread_count(threads, len(column), _ROWS_PER_THREAD), stop)
        base += len(column)
    return codes


class Classification:
    """What `classify` found, a row an address: one byte a row, and look-ups by that byte.

    Rows are `netfast.Block`s: `c[i]`, iteration, `len(c)`.  Columns are NumPy arrays of length n, made when asked for.

    Example:
        >>> import netfast as nf
        >>> c = nf.classify(["10.0.0.1", "10.0.0.2", "2606:4700::1111"])
        >>> c[0].prefix, c.counts(), c.counts(by="network_class")
        ('10.0.0.0/8', {'private': 2, 'global': 1}, {'A': 2, '': 1})

    The `is_...` columns are True where `kind` is that kind, no more: `is_private` is RFC 1918 and RFC 4193, the
    textbook's private addresses, whereas `ipaddress`'s `is_private` means "not globally reachable".  `is_global` is
    IANA's flag, True where the most specific row of the registry says True or the address is ordinary unicast.
    """

    __slots__ = ("_codes", "_nulls")

    def __init__(self, codes: bytearray, nulls: bytearray | None) -> None:
        self._codes = codes
        self._nulls = nulls

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, row: int) -> Block:
        return BLOCKS[self._codes[operator.index(row)]]

    def __iter__(self) -> Iterator[Block]:
        return map(BLOCKS.__getitem__, self._codes)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.counts().items())
        return f"<Classification of {len(self):,} addresses: {kinds or 'none'}>"

    def _column(self, table: bytes, dtype: str = "uint8") -> NDArray[Any]:
        import numpy as np

        return np.frombuffer(self._codes.translate(table), dtype=dtype)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """uint8[n]: rows of `netfast.BLOCKS`; 0 is invalid or null."""
        return _view(self._codes, "uint8")

    @property
    def kind_codes(self) -> NDArray[np.int8]:
        """int8[n]: indices into `netfast.KINDS`."""
        return self._column(KIND_OF_CODE, "int8")

    @property
    def valid(self) -> NDArray[np.bool_]:
        """bool[n]: the row is an address."""
        valid: NDArray[np.bool_] = self.codes != 0
        return valid

    @property
    def null(self) -> NDArray[np.bool_]:
        """bool[n]: the row was None, NaN, pd.NA or an Arrow null."""
        return _view(bytearray(len(self)) if self._nulls is None else self._nulls, "bool")

    @property
    def kind(self) -> NDArray[np.object_]:
        """object[n]: the strings of `netfast.KINDS`, shared; None where null."""
        return self._strings(KINDS, KIND_OF_CODE)

    @property
    def network_class(self) -> NDArray[np.object_]:
        """object[n]: "A" to "E" by the leading bits, "" for IPv6 and invalid rows; None where null."""
        return self._strings(CLASSES, CLASS_OF_CODE)

    def _strings(self, strings: tuple[str, ...], table: bytes) -> NDArray[np.object_]:
        import numpy as np

        column: NDArray[np.object_] = np.array(strings, dtype=object)[self._column(table)]
        if self._nulls is not None:
            column[self.null] = None
        return column

    def counts(self, by: Literal["kind", "network_class", "block"] = "kind") -> dict[str, int]:
        """How many rows of each kind, class or block (by its prefix), largest first; nulls are not counted."""
        return count_codes(self._code_counts(), by)

    def _code_counts(self) -> list[int]:
        counts = _core.count_codes(self._codes)
        if self._nulls is not None:
            counts[0] -= self._nulls.count(1)
        return counts

    def _is(self, kind: str) -> NDArray[np.bool_]:
        return self._column(_KIND_TABLES[kind], "bool")

    @property
    def is_private(self) -> NDArray[np.bool_]:
        """bool[n]: RFC 1918 or RFC 4193 (not `ipaddress`'s "not global")."""
        return self._is("private")

    @property
    def is_shared(self) -> NDArray[np.bool_]:
        """bool[n]: 100.64.0.0/10, carrier-grade NAT (RFC 6598)."""
        return self._is("shared")

    @property
    def is_loopback(self) -> NDArray[np.bool_]:
        """bool[n]: 127.0.0.0/8 or ::1."""
        return self._is("loopback")

    @property
    def is_link_local(self) -> NDArray[np.bool_]:
        """bool[n]: 169.254.0.0/16 or fe80::/10."""
        return self._is("link_local")

    @property
    def is_multicast(self) -> NDArray[np.bool_]:
        """bool[n]: 224.0.0.0/4 or ff00::/8."""
        return self._is("multicast")

    @property
    def is_broadcast(self) -> NDArray[np.bool_]:
        """bool[n]: 255.255.255.255."""
        return self._is("broadcast")

    @property
    def is_unspecified(self) -> NDArray[np.bool_]:
        """bool[n]: 0.0.0.0 or ::."""
        return self._is("unspecified")

    @property
    def is_documentation(self) -> NDArray[np.bool_]:
        """bool[n]: the prefixes for examples, such as 192.0.2.0/24 and 2001:db8::/32."""
        return self._is("documentation")

    @property
    def is_reserved(self) -> NDArray[np.bool_]:
        """bool[n]: 240.0.0.0/4 (but not broadcast), and the IPv6 space outside 2000::/3 and the registry."""
        return self._is("reserved")

    @property
    def is_global(self) -> NDArray[np.bool_]:
        """bool[n]: IANA's "globally reachable", or ordinary unicast; multicast is not."""
        return self._column(IS_GLOBAL, "bool")

    def _validity(self) -> tuple[bytearray | None, int]:
        return (None, 0) if self._nulls is None else _arrow.arrow_validity(self._nulls)

    def _dictionary(self, name: str, values: tuple[str, ...], table: bytes) -> _arrow.ArrowData:
        bits, null_count = self._validity()
        indices = self._codes.translate(table)
        strings = _arrow.arrow_text(values)
        return _arrow.ArrowData("c", len(self), [bits, indices], name=name, null_count=null_count, dictionary=strings)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """dictionary<int8, utf8> over `netfast.KINDS`, null where the row is."""
        data = self._dictionary("kind", KINDS, KIND_OF_CODE)
        return data.schema_capsule(), data.array_capsule()

    def to_table(self) -> ClassificationTable:
        """The columns kind, network_class, block (its prefix) and is_global, for any reader of Arrow streams."""
        return ClassificationTable(self)


class ClassificationTable:
    """A `Classification` as an Arrow stream of kind, network_class, block and is_global.

    Example:
        >>> import netfast as nf, pyarrow as pa
        >>> pa.table(nf.classify(["10.0.0.1"]).to_table()).to_pylist()
        [{'kind': 'private', 'network_class': 'A', 'block': '10.0.0.0/8', 'is_global': False}]
    """

    __slots__ = ("_classification",)

    def __init__(self, classification: Classification) -> None:
        self._classification = classification

    def __len__(self) -> int:
        return len(self._classification)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        c = self._classification
        validity, null_count = c._validity()
        is_global = _arrow.arrow_bits(c._codes.translate(IS_GLOBAL))
        columns = [
            c._dictionary("kind", KINDS, KIND_OF_CODE),
            c._dictionary("network_class", CLASSES, CLASS_OF_CODE),
            c._dictionary("block", tuple(block.prefix for block in BLOCKS), _SAME),
            _arrow.ArrowData("b", len(c), [validity, is_global], name="is_global", null_count=null_count),
        ]
        return _arrow.ArrowData("+s", len(c), [None], children=columns).stream_capsule()


_SAME = bytes(range(256))
_KIND_TABLES = {kind: bytes(code == index for code in KIND_OF_CODE) for index, kind in enumerate(KINDS)}


def count_codes(counts: list[int], by: str) -> dict[str, int]:
    """Counts by code to counts by kind, class or block, largest first, zeros left out."""
    if by == "kind":
        names = [block.kind for block in BLOCKS]
    elif by == "network_class":
        names = [block.network_class for block in BLOCKS]
    elif by == "block":
        names = [block.prefix for block in BLOCKS]
    else:
        raise ValueError(f'by={by!r}: wanted "kind", "network_class" or "block"')
    totals: dict[str, int] = {}
    for name, count in zip(names, counts, strict=False):
        if count:
            totals[name] = totals.get(name, 0) + count
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


# --- parse -----------------------------------------------------------------------------------------------------------


def parse(addresses: Any, *, errors: Errors = "mask", threads: int | None = None) -> AddressArray:
    """Parse addresses of any form `classify` takes into an `AddressArray` of integers.

    Text is strict: dotted decimal without leading zeros, octal, hexadecimal or missing octets; IPv6 as in RFC 4291
    section 2.2, with embedded IPv4 and a zone id (RFC 4007) that is kept apart; no white space around it.

    Args:
        addresses: as `classify` takes them.
        errors: "mask" gives an invalid row version 0; "raise" raises on the first.
        threads: as for `classify`.

    Raises:
        AddressError: a text is no address, with errors="raise"; has text, index, position and reason.
        TypeError: an item is of a foreign type, or `addresses` is one str.

    Example:
        >>> import netfast as nf
        >>> a = nf.parse(["10.0.0.1", "bad", None])
        >>> a.v4.tolist(), a.version.tolist(), a.null.tolist()
        ([167772161, 0, 0], [4, 0, 0], [False, False, True])
    """
    _check(errors, threads)
    if isinstance(addresses, AddressArray):
        return addresses._checked(errors)
    rows = _Rows(addresses)
    if rows.columns is None:
        parsed, nulls = _core.parse_items(rows.items)
    else:
        parsed, nulls = _parse_columns(rows.columns, rows.n, threads), rows.nulls()
    if errors == "raise" and (bad := _core.first_invalid(parsed.holds, nulls)) >= 0:
        rows.raise_invalid(bad)
    return AddressArray(parsed, nulls)


def _parse_columns(columns: list[_arrow.Column], n: int, threads: int | None) -> _core.Parsed:
    parsed = _core.Parsed(n)
    base = 0
    for column in columns:
        inner = _core.dictionary_addresses(column)
        todo = [(0, len(column))]
        while todo:
            todo = _parse_ranges(column, inner, todo, parsed, base, threads)
        base += len(column)
    return parsed


def _parse_ranges(
    column: _arrow.Column,
    inner: _core.Parsed | None,
    ranges: list[tuple[int, int]],
    parsed: _core.Parsed,
    base: int,
    threads: int | None,
) -> list[tuple[int, int]]:
    """Parse these ranges of a column; what is left, once the rows have room for IPv6, if an IPv6 row came."""
    done = []
    stop = bytearray(1)
    for start, n in ranges:

        def parse_rows(first: int, count: int, start: int = start) -> int:
            return _core.parse_range(column, start + first, count, parsed, base + start + first, inner, stop)

        workers = thread_count(threads, n, _ROWS_PER_THREAD)
        done += [(start + first, count, got) for first, count, got in in_ranges(parse_rows, n, workers, stop)]
    left = [(first + got, count - got) for first, count, got in done if got < count]
    if left:
        before = [(0, base)] if base else []
        parsed.widen(before + [(base + first, got) for first, _, got in done])
    return left


class AddressArray:
    """Parsed addresses, a row each: IPv4 as uint32 while no row is IPv6, then also 16 bytes a row.

    Columns are NumPy arrays of length n, made when asked for.

    Example:
        >>> import netfast as nf
        >>> a = nf.parse(["192.0.2.7", "fe80::1%eth0"])
        >>> a.version.tolist(), a.zone, a.to_list()
        ([4, 6], [None, 'eth0'], ['192.0.2.7', 'fe80::1%eth0'])
    """

    __slots__ = ("_nulls", "_parsed")

    def __init__(self, parsed: _core.Parsed, nulls: bytearray | None) -> None:
        self._parsed = parsed
        self._nulls = nulls

    def __len__(self) -> int:
        return self._parsed.n

    def __repr__(self) -> str:
        holds = self._parsed.holds
        return f"<AddressArray of {len(self):,} rows: {holds.count(4):,} IPv4, {holds.count(6):,} IPv6>"

    @property
    def version(self) -> NDArray[np.uint8]:
        """uint8[n]: 4, 6, or 0 where invalid or null."""
        return _view(self._parsed.holds, "uint8")

    @property
    def null(self) -> NDArray[np.bool_]:
        """bool[n]: the row was None, NaN, pd.NA or an Arrow null."""
        return _view(bytearray(len(self)) if self._nulls is None else self._nulls, "bool")

    @property
    def v4(self) -> NDArray[np.uint32]:
        """uint32[n]: IPv4 in host order, 0 where invalid or null; ValueError if any row is IPv6."""
        ip6 = self._parsed.holds.count(6)
        if ip6:
            raise ValueError(f"{ip6:,} rows are IPv6, which no uint32 holds; use .packed")
        return _view(self._parsed.v4, "uint32")

    @property
    def packed(self) -> NDArray[np.uint8]:
        """uint8[n, 16]: network order, IPv4 as ::ffff:a.b.c.d (told apart by `version`), zero where invalid or null."""
        if self._parsed.packed is None:
            self._parsed.widen([(0, len(self))])
        assert self._parsed.packed is not None
        return _view(self._parsed.packed, "uint8").reshape(-1, 16)

    @property
    def zone(self) -> list[str | None]:
        """The zone id of each row (RFC 4007), such as "eth0"; None for most."""
        zones = self._parsed.zones
        return [zones.get(row) for row in range(len(self))]

    def _checked(self, errors: str) -> AddressArray:
        """Itself; with errors="raise" AddressError for the first invalid row, whose text nobody has kept."""
        if errors == "raise" and (bad := _core.first_invalid(self._parsed.holds, self._nulls)) >= 0:
            raise AddressError("", 0, "not an address when it was parsed", bad)
        return self

    def to_list(self) -> list[str | None]:
        """Texts (RFC 5952, zones included); None where invalid or null."""
        return _core.format_parsed(self._parsed)

    def classify(self, *, unwrap: bool = False) -> Classification:
        """The classification of these addresses, as `netfast.classify` gives it."""
        return Classification(_core.classify_parsed(self._parsed, unwrap), self._nulls)

    def truncate(self, v4: int = 24, v6: int = 48) -> AddressArray:
        """The networks these addresses are in: all bits past the prefix length zero, zones dropped.

        Example:
            >>> import netfast as nf
            >>> nf.parse(["192.0.2.77", "2001:db8:1:2::3"]).truncate().to_list()
            ['192.0.2.0', '2001:db8:1::']
        """
        for name, length, most in (("v4", v4, 32), ("v6", v6, 128)):
            if not 0 <= operator.index(length) <= most:
                raise ValueError(f"{name}={length}: wanted a prefix length of 0 to {most}")
        return AddressArray(self._parsed.truncate(v4, v6), self._nulls)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """utf8 (RFC 5952), null where invalid or null."""
        data = _arrow.arrow_cut(*_core.format_column(self._parsed))
        return data.schema_capsule(), data.array_capsule()


def format_addresses(addresses: Any) -> list[str | None]:
    """Addresses of any form `classify` takes as text: RFC 5952, dotted decimal for IPv4 and inside ::ffff:0:0/96 only.

    None where a row is invalid or null.  Raises what `parse` raises.

    Example:
        >>> import netfast as nf
        >>> nf.format_addresses([1, 2**127, "2001:DB8:0:0::1", "nonsense"])
        ['0.0.0.1', '8000::', '2001:db8::1', None]
    """
    return parse(addresses).to_list()
