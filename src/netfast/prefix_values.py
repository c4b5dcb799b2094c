"""The values of a prefix table: one a prefix, taken by the index of the prefix that matched.

Numbers of one type are a column.  Anything else is stored once each, and a prefix has the code of its value:

    prefixes   10.0.0.0/8   10.1.0.0/16   192.0.2.0/24
    codes               0             1              0
    objects    ["office", "lab"]
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _arrow, _core, _tables
from .addresses import _is_ndarray, arrow_exporter
from .checks import digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBJECTS = "object"  # in place of a type of numbers
# NumPy's name of a type of numbers: its format in `struct` and in Arrow.
NUMBERS = {
    "int8": ("b", "c"),
    "uint8": ("B", "C"),
    "int16": ("h", "s"),
    "uint16": ("H", "S"),
    "int32": ("i", "i"),
    "uint32": ("I", "I"),
    "int64": ("q", "l"),
    "uint64": ("Q", "L"),
    "float16": ("e", "e"),
    "float32": ("f", "f"),
    "float64": ("d", "g"),
    "bool": ("?", "b"),
}
_TYPE_OF_ARROW = {arrow: name for name, (_, arrow) in NUMBERS.items()}
_ARROW_TEXT = ("u", "U", "vu")
_MISSING = (-1).to_bytes(4, "little", signed=True)  # the same bytes in any order


class Values:
    """A column of numbers, `items`, or of codes into `objects`."""

    __slots__ = ("_export", "dtype", "items", "objects")

    def __init__(self, dtype: str, items: Any, objects: list[Any] | None = None) -> None:
        self.dtype = dtype
        self.items = items
        self.objects = objects or []
        self._export: _Export | None = None

    @classmethod
    def of(cls, source: Any) -> Values:
        """Of a list, a NumPy array, an Arrow column, or any other iterable."""
        if isinstance(source, (str, bytes)):
            raise TypeError(f"values is one {type(source).__name__}, not a collection of them")
        if _is_ndarray(source):
            return cls._of_array(source)
        if (exporter := arrow_exporter(source)) is not None:
            try:
                columns = _arrow.arrow_columns(exporter, True)
            except ImportError:  # pandas without PyArrow exports nothing
                return cls._of_items(source.tolist())
            return cls._of_columns(columns)
        return cls._of_items(source if isinstance(source, (list, tuple)) else list(source))

    @classmethod
    def _of_array(cls, array: NDArray[Any]) -> Values:
        if array.ndim != 1:
            raise TypeError(f"values has {array.ndim} dimensions; wanted one value a prefix")
        if array.dtype.name in NUMBERS and not hasattr(array, "mask"):
            return cls(array.dtype.name, array.astype(array.dtype.newbyteorder("=")).tobytes())
        return cls._of_items(array.tolist())

    @classmethod
    def _of_columns(cls, columns: list[_arrow.Column]) -> Values:
        names = {_TYPE_OF_ARROW.get(column.format or "") for column in columns}
        plain = all(column.dictionary is None and column.nulls() is None for column in columns)
        if plain and len(names) == 1 and (name := names.pop()):
            return cls(name, b"".join(column.numbers() for column in columns))
        return cls._of_items([value for column in columns for value in _listed(column)])

    @classmethod
    def _of_items(cls, items: list[Any] | tuple[Any, ...]) -> Values:
        if items and (numbers := _tables.integers(items)) is not None:
            return cls("int64", numbers)
        if items and (numbers := _tables.floats(items)) is not None:
            return cls("float64", numbers)
        if items and _is_number(items[0]) and all(type(item) is type(items[0]) for item in items):
            import numpy as np

            return cls._of_array(np.array(items))
        return cls(OBJECTS, *_tables.distinct(items))

    @property
    def width(self) -> int:
        """Bytes an item."""
        return 4 if self.dtype == OBJECTS else struct.calcsize(NUMBERS[self.dtype][0])

    def __len__(self) -> int:
        return len(self.items) // self.width

    def ordered(self, rows: bytearray) -> Values:
        """The values at these rows (int32)."""
        return Values(self.dtype, _tables.take(self.items, self.width, rows, bytes(self.width)), self.objects)

    def distinct(self) -> tuple[list[Any], bytearray]:
        """The different values, and the place (int32) of each prefix's among them."""
        if self.dtype == OBJECTS:
            return self.objects, bytearray(self.items)
        import numpy as np

        found, codes = np.unique(np.frombuffer(self.items, self.dtype), return_inverse=True)
        return found.tolist(), bytearray(codes.astype(np.int32))

    def one(self, index: int) -> Any:
        """A value as a Python object."""
        if self.dtype == OBJECTS:
            return self.objects[struct.unpack_from("i", self.items, 4 * index)[0]]
        return struct.unpack_from(NUMBERS[self.dtype][0], self.items, self.width * index)[0]

    def taken(self, index: bytearray, default: Any) -> Any:
        """The values at these indices (int32): a list, or NumPy of numbers; the default where one is negative."""
        if self.dtype == OBJECTS:
            return _tables.take_objects(self.items, self.objects, index, default)
        import numpy as np

        return np.frombuffer(_tables.take(self.items, self.width, index, self._packed(index, default)), self.dtype)

    def _packed(self, index: bytearray, default: Any) -> bytes:
        """The bytes of the default, of which there must be one if an index is negative."""
        if default is None:
            if (row := _tables.first_negative(index)) >= 0:
                raise ValueError(f"row {row} matched no prefix, and the values are {self.dtype}: give a default=")
            return bytes(self.width)
        try:
            return struct.pack(NUMBERS[self.dtype][0], default)
        except (struct.error, OverflowError, TypeError):
            raise ValueError(f"default={default!r} is no {self.dtype}, which the values are") from None

    def arrow(self, index: bytearray) -> _arrow.ArrowData:
        """The same as an Arrow array, null where an index is negative."""
        if self.dtype == OBJECTS:
            return self._arrow_objects(index)
        bits, nulls = _tables.validity(index)
        data = _tables.take(self.items, self.width, index, bytes(self.width))
        if self.dtype == "bool":
            data = _arrow.arrow_bits(data)
        return _arrow.ArrowData(NUMBERS[self.dtype][1], len(index) // 4, [bits, data], null_count=nulls)

    def _arrow_objects(self, index: bytearray) -> _arrow.ArrowData:
        """dictionary<int32, utf8 or binary>, or a column of numbers; None is null, any other object an error."""
        if self._export is None:
            self._export = self._exported()
        export = self._export
        if isinstance(export.values, Values):
            return export.values.arrow(_tables.take(export.codes, 4, index, _MISSING))
        if export.all_known:
            bits, nulls = _tables.validity(index)
            codes = _tables.take(export.codes, 4, index, bytes(4))
        else:
            codes = _tables.take(export.codes, 4, index, _MISSING)
            bits, nulls = _tables.validity(codes)
            if nulls:  # readers may look at the codes of nulls too
                codes = _tables.take(_packed(range(len(self.objects))), 4, codes, bytes(4))
        return _arrow.ArrowData("i", len(codes) // 4, [bits, codes], null_count=nulls, dictionary=export.values)

    def _exported(self) -> _Export:
        known = [value for value in self.objects if value is not None]
        codes = self.items
        if len(known) < len(self.objects):
            places = iter(range(len(known)))
            column = _packed(-1 if value is None else next(places) for value in self.objects)
            codes = _tables.take(column, 4, bytearray(codes), _MISSING)
        numbers = column_of(known)
        values = _arrow.arrow_text(known) if numbers is None else numbers
        return _Export(codes, len(known) == len(self.objects), values)


class _Export(NamedTuple):
    """Objects as Arrow has them, made once: a code a prefix (-1 for None), and what the codes mean."""

    codes: Any
    all_known: bool
    values: _arrow.ArrowData | Values


def column_of(objects: list[Any]) -> Values | None:
    """Objects of one type as a column of numbers; None if they are text or bytes, whose column is themselves.

    Raises:
        TypeError: they are neither; the message names their types.
    """
    kinds = list(dict.fromkeys(map(type, objects)))
    if any(all(issubclass(kind, text) for kind in kinds) for text in (str, bytes)):
        return None
    if len(kinds) == 1:
        numbers = Values._of_items(objects)
        return numbers if numbers.dtype != OBJECTS else _numbers_of(objects, kinds[0])
    *names, last = (kind.__name__ for kind in kinds)
    raise _no_column(f"types {', '.join(names)} and {last} together")


def _numbers_of(objects: list[Any], kind: type) -> Values:
    """Bools, integers that int64 does not hold, and the numbers of a class derived from int or float, as a column."""
    if kind is bool:
        return Values("bool", bytes(objects))
    if issubclass(kind, float):
        return Values("float64", array("d", objects).tobytes())
    if not issubclass(kind, int):
        raise _no_column(f"type {kind.__name__}")
    low, high = int(min(objects)), int(max(objects))
    if low >= -(2**63) and high < 2**63:
        return Values("int64", array("q", objects).tobytes())
    if low < 0 or high >= 2**64:
        raise TypeError(
            f"integers from {digits(low)} to {digits(high)} have no Arrow column; those of int64 or of uint64 have one"
        )
    return Values("uint64", array("Q", objects).tobytes())


def _no_column(types: str) -> TypeError:
    return TypeError(f"values of {types} have no Arrow column; text, bytes and numbers of one type have one")


def _is_number(item: Any) -> bool:
    """Whether an item is a number of NumPy's."""
    return type(item).__module__ == "numpy" and type(item).__name__.rstrip("_") in NUMBERS


def _packed(numbers: Iterable[int]) -> bytes:
    """int32s as bytes."""
    return array("i", numbers).tobytes()


def _listed(column: _arrow.Column) -> list[Any]:
    """The values of an Arrow column as Python objects."""
    inner = column
    while inner.dictionary is not None:
        inner = inner.dictionary
    if inner.format in _TYPE_OF_ARROW:
        if inner is not column:
            raise TypeError("Arrow values in a dictionary of numbers are not understood; wanted one of text")
        form = NUMBERS[_TYPE_OF_ARROW[inner.format]][0]
        numbers = struct.unpack(f"{len(column)}{form}", column.numbers())
        nulls = column.nulls() or bytes(len(column))
        return [None if null else number for number, null in zip(numbers, nulls, strict=True)]
    texts = [_core.column_text(column, row) for row in range(len(column))]
    if inner.format in _ARROW_TEXT:
        return [text.decode() if isinstance(text, bytes) else text for text in texts]
    return texts
