"""Labels: the values of a prefix table as text, as the counts and rows of logs show them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _core, _tables
from .prefixes import PrefixTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Labels:
    """A table's values as text, each text once, and the number of the text of each prefix.

    The numbers are for counts, and take 0.3 s and 80 MB for a million prefixes; where nothing is counted, all are 0.
    """

    __slots__ = ("names", "table", "wanted")

    def __init__(self, table: PrefixTable, *, counted: bool = True) -> None:
        self.table = table
        self.names, numbers = _numbered(table) if counted else ([""], bytes(4 * len(table)))
        self.wanted = _core.Labels(table._lookup.table4, table._lookup.table6, numbers, len(self.names))

    def no_counts(self) -> NDArray[np.uint64]:
        """Where counts are summed up: one a name, and one for no prefix."""
        import numpy as np

        return np.zeros(len(self.names) + 1, np.uint64)

    def counted(self, counts: NDArray[np.uint64]) -> dict[str, int]:
        """The labels that occur, the most frequent first; "" is of addresses that no prefix holds."""
        found: dict[str, int] = {}
        for number in counts.nonzero()[0].tolist():
            name = self.names[number] if number < len(self.names) else ""
            found[name] = found.get(name, 0) + int(counts[number])
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def each(
        self, index: bytearray, text: Callable[[str, str], bytes], end: bytes, known: dict[int, bytes]
    ) -> list[bytes]:
        """text(prefix, label) + end of the prefix that each address matched; of ("", "") where none does.

        `known` keeps what has been made, from one call to the next.
        """
        made = []
        for match in array("i", bytes(index)):
            if match not in known:
                known[match] = text(*self.of(match)) + end
            made.append(known[match])
        return made

    def of(self, match: int) -> tuple[str, str]:
        """The prefix with this number, and its label; ("", "") for -1."""
        if match < 0:
            return "", ""
        return self.table.prefixes[match], label(self.table._values.one(match))

    def text_of(self, match: int) -> str | None:
        """The label of the prefix with this number; None for -1, and where the value is None."""
        value = None if match < 0 else self.table._values.one(match)
        return None if value is None else label(value)


def label(value: Any) -> str:
    """A value as text: str as it is, numbers as Python writes them, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _numbered(table: PrefixTable) -> tuple[list[str], bytes | bytearray]:
    """The texts of all values, and the number (int32) of that of each prefix."""
    values, codes = table._values.distinct()
    number_of: dict[str, int] = {}
    numbers = array("i", (number_of.setdefault(label(value), len(number_of)) for value in values))
    return list(number_of), _tables.take(numbers, 4, codes, bytes(4))
