"""The cases every engine is tested with: columns of addresses, the layouts they may come in, and what netfast says.

What is expected comes from `netfast.classify` and the like on a list, which share no code with columns but the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

import netfast as nf
from netfast.engines import FLAGS

Texts = Sequence[str | None]


def _first(prefix: str) -> str:
    return prefix.partition("/")[0]


COLUMNS: dict[str, Texts] = {
    "empty": [],
    "one": ["10.0.0.1"],
    "nulls": [None, None, None],
    "invalid": ["", " ", "1.2.3", "256.0.0.1", "10.0.0.01", "::g", "10.0.0.1 ", "地址"],
    "ip4": ["10.0.0.1", "8.8.8.8", "127.0.0.1", "255.255.255.255", "0.0.0.0", "224.0.0.1", "100.64.0.1", "240.0.0.1"],
    "ip6": ["::1", "fe80::1", "2001:DB8:0:0::1", "2606:4700::1111", "fc00::1", "ff02::1", "4000::1"],
    "carriers": ["::ffff:10.0.0.1", "64:ff9b::8.8.8.8", "2002:c0a8:101::1", "2001:0:1:2::f5ff:fffe", "::ffff:8.8.8.8"],
    "zones": ["fe80::1%eth0", None, "fe80::2%a-very-long-zone-id-of-more-than-twelve-bytes", "ff02::1%1"],
    "mixed": ["192.168.0.1", None, "fe80::1%eth0", "nonsense", "2001:db8::1", "8.8.8.8", None, "172.16.0.1", ""] * 5,
    "blocks": [_first(block.prefix) or "none" for block in nf.BLOCKS],
    "repeated": ["10.0.0.1", "10.0.0.1", None, "8.8.8.8", "10.0.0.1", "bad", "bad"] * 20,
}


# --- layouts ----------------------------------------------------------------------------------------------------------


def _as(kind: Any) -> Callable[[Texts], Any]:
    return lambda texts: pa.array(texts, kind)


def _binary(texts: Texts) -> Any:
    return pa.array([None if text is None else text.encode() for text in texts], pa.binary())


def _dictionary(texts: Texts) -> Any:
    return pa.array(texts, pa.string()).dictionary_encode()


def _null_in_dictionary(texts: Texts) -> Any:
    """A dictionary that holds the null, which no index is."""
    values = [None, *dict.fromkeys(text for text in texts if text is not None)]
    indices = pa.array([values.index(text) for text in texts], pa.int16())
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def _sliced(kind: Any) -> Callable[[Texts], Any]:
    """In the middle of a longer array, at an offset that is in no byte's beginning."""
    return lambda texts: pa.array(["8.8.4.4", None, "::", *texts, "1.1.1.1", None], kind).slice(3, len(texts))


def _chunked(kind: Any) -> Callable[[Texts], Any]:
    """In chunks of 3 rows, with empty ones at both ends and between."""

    def chunks(texts: Texts) -> Any:
        parts = [[], *(texts[first : first + 3] for first in range(0, len(texts), 3)), []]
        parts.insert(1, [])
        return pa.chunked_array(parts, kind)

    return chunks


LAYOUTS: dict[str, Callable[[Texts], Any]] = {
    "utf8": _as(pa.string()),
    "large_utf8": _as(pa.large_string()),
    "string_view": _as(pa.string_view()),
    "binary": _binary,
    "dictionary": _dictionary,
    "null in dictionary": _null_in_dictionary,
    "sliced": _sliced(pa.string()),
    "sliced large": _sliced(pa.large_string()),
    "sliced view": _sliced(pa.string_view()),
    "chunked": _chunked(pa.string()),
    "chunked large": _chunked(pa.large_string()),
    "chunked dictionary": lambda texts: _chunked(pa.string())(texts).dictionary_encode(),
    "no chunks": lambda texts: pa.chunked_array([pa.array(texts, pa.string())] if texts else [], pa.string()),
}

each_column = pytest.mark.parametrize("texts", COLUMNS.values(), ids=COLUMNS)
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


# --- what netfast says ------------------------------------------------------------------------------------------------

TABLE = nf.PrefixTable({"10.0.0.0/8": "office", "10.0.0.0/30": "lab", "2001:db8::/32": "docs", "0.0.0.0/0": "rest"})
NUMBERS = nf.PrefixTable({"10.0.0.0/8": 64512, "2001:db8::/32": 64513})
FLOATS = nf.PrefixTable({"10.0.0.0/8": 0.5, "8.0.0.0/8": 2.25})
BYTE_NUMBERS = nf.PrefixTable.from_columns(["10.0.0.0", "fe80::"], [8, 10], pa.array([1, -2], pa.int8()))
LARGE = nf.PrefixTable.from_columns(["10.0.0.0", "fe80::"], [8, 10], pa.array([2**64 - 1, 2**63], pa.uint64()))
BOOLEANS = nf.PrefixTable.from_columns(["10.0.0.0", "fe80::"], [8, 10], np.array([True, False]))
BYTES = nf.PrefixTable({"10.0.0.0/8": b"office", "8.0.0.0/8": b"\xff\x00"})
HOLES = nf.PrefixTable({"10.0.0.0/8": "office", "8.8.8.0/24": None})
COUNTS = nf.PrefixTable({"10.0.0.0/8": 7, "8.8.8.0/24": None})
TRUTHS = nf.PrefixTable({"10.0.0.0/8": True, "8.0.0.0/8": False})
LARGE_INTS = nf.PrefixTable({"10.0.0.0/8": 2**63, "8.0.0.0/8": 5})
TABLES = {
    "text": TABLE,
    "numbers": NUMBERS,
    "floats": FLOATS,
    "int8": BYTE_NUMBERS,
    "uint64": LARGE,
    "bool": BOOLEANS,
    "bytes": BYTES,
    "text or None": HOLES,
    "numbers or None": COUNTS,
    "truths": TRUTHS,
    "truth or None": nf.PrefixTable({"10.0.0.0/8": False, "8.8.8.0/24": None}),
    "large ints": LARGE_INTS,
    "large int or None": nf.PrefixTable({"10.0.0.0/8": 2**64 - 1, "8.8.8.0/24": None}),
    "empty": nf.PrefixTable({}),
}
SET = nf.PrefixSet(["10.0.0.0/8", "fe80::/10", "8.8.8.8"])
NO_COLUMN = nf.PrefixTable({"10.0.0.0/8": ("a", 1)})  # whose values have none in Arrow

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


class Expected(NamedTuple):
    """Lists of a value a row, None where the row is null."""

    kind: list[str | None]
    network_class: list[str | None]
    block: list[str | None]
    flags: dict[str, list[bool | None]]
    text: list[str | None]


def expected(texts: Texts, *, unwrap: bool = False) -> Expected:
    """What every engine has to say of these rows."""
    c = nf.classify(list(texts), unwrap=unwrap)
    return Expected(
        c.kind.tolist(),
        c.network_class.tolist(),
        [None if null else block.prefix for null, block in zip(c.null, c, strict=True)],
        {flag: _where(texts, getattr(c, flag).tolist()) for flag in FLAGS},
        nf.format_addresses(list(texts)),
    )


def found(texts: Texts, table: nf.PrefixTable, *, unwrap: bool = False) -> list[Any]:
    """The value of the longest prefix, None where there is none."""
    prefixes = table.lookup(list(texts), unwrap=unwrap).prefixes()
    return [None if prefix is None else table.exact(prefix) for prefix in prefixes]


def contained(texts: Texts, prefixes: nf.PrefixSet | nf.PrefixTable, *, unwrap: bool = False) -> list[bool | None]:
    """Whether the set holds the row, None where it is null."""
    return _where(texts, prefixes.contains(list(texts), unwrap=unwrap).tolist())


def _where(texts: Texts, values: list[bool]) -> list[bool | None]:
    return [None if text is None else value for text, value in zip(texts, values, strict=True)]


# --- memory -----------------------------------------------------------------------------------------------------------


def resident_kib() -> int:
    """What this process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def grows_by(call: Callable[[], object], rounds: int = 300) -> int:
    """KiB that the process has grown by after so many calls, when some before have filled what stays."""
    for _ in range(rounds // 10):
        call()
    before = resident_kib()
    for _ in range(rounds):
        call()
    return resident_kib() - before


LEAK_TEXTS = ["10.0.0.1", None, "2001:db8::1", "bad", "8.8.8.8"] * 6_000
LEAK_KIB = (
    5_000  # a leak of the smallest result, a byte a row, is 9,000 in 300 rounds; engines take some for themselves
)
