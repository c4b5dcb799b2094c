"""Columns of PyArrow: made of numbers and texts, of addresses as text, and joined to rows of text.

pa.array and pa.scalar import pandas, if there is any, to see whether what they got is a Series: 0.2 s and 40 MB.  So
they are only given what says by itself that it is Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ._arrow import ArrowData, arrow_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .addresses import AddressArray


def numbers_of(values: NDArray[Any]) -> Any:
    """A column of NumPy, numbers or bool, as Arrow.

    Example:
        >>> import numpy as np
        >>> numbers_of(np.array([3, 1], np.uint8)).to_pylist()
        [3, 1]
    """
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(values, bitorder="little") if values.dtype == bool else np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(bits)])


class _Texts(NamedTuple):
    data: ArrowData

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.data.schema_capsule(), self.data.array_capsule()


def texts_of(texts: Sequence[str | bytes | None]) -> Any:
    """Texts as Arrow.

    Example:
        >>> texts_of(["a", None]).to_pylist()
        ['a', None]
    """
    import pyarrow as pa

    return pa.array(_Texts(arrow_text(texts)))


def constant(text: bytes) -> Any:
    """A text as a scalar of binary Arrow text."""
    import pyarrow as pa

    return texts_of([text]).cast(pa.large_binary())[0]


def addresses_of(array: Any, parsed: AddressArray) -> Any:
    """Rows as binary text as RFC 5952 has it, with their zones; null where a row is null or no address.

    Example:
        >>> import netfast as nf, pyarrow as pa
        >>> rows = pa.array(["10.0.0.1", "2001:DB8::1", "no"])
        >>> addresses_of(rows, nf.parse(rows)).to_pylist()
        [b'10.0.0.1', b'2001:db8::1', None]
    """
    import pyarrow as pa

    if (parsed.version == 6).any():
        return pa.array(parsed).cast(pa.large_binary())
    return as_written(array, parsed)


def as_written(array: Any, parsed: AddressArray) -> Any:
    """The same, but that a row of text may stay as it is.

    IPv4 has one way to be written only.  Not to write it again spares 30 of 77 ns that it takes to count a row.
    """
    import numpy as np
    import pyarrow as pa

    if str(array.type) not in ("string", "large_string", "binary", "large_binary"):
        return pa.array(parsed).cast(pa.large_binary())
    valid = parsed.version != 0
    plain = array.cast(pa.large_binary())
    if valid.all():
        return plain
    bits = np.packbits(np.concatenate([np.zeros(plain.offset, bool), valid]), bitorder="little")
    buffers = [pa.py_buffer(bits), *plain.buffers()[1:]]
    return pa.Array.from_buffers(plain.type, len(plain), buffers, offset=plain.offset)


def joined(*columns: Any) -> memoryview:
    """The texts of each row, nothing for null, one behind the other, and the rows likewise.

    Example:
        >>> import pyarrow as pa
        >>> bytes(joined(b"<", pa.array(["a", None, "b"]), b">"))
        b'<a><><b>'
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wide = [constant(c) if isinstance(c, bytes) else c.cast(pa.large_binary()) for c in columns]
    rows = pc.binary_join_element_wise(*wide, constant(b""), null_handling="replace", null_replacement="")
    _, offsets, data = rows.buffers()  # a text array has the bytes of its rows in a row, which is what is wanted
    if data is None or not len(rows):
        return memoryview(b"")
    ends = memoryview(offsets).cast("B").cast("q")
    return memoryview(data)[ends[rows.offset] : ends[rows.offset + len(rows)]]
