"""Sets of addresses: written as prefixes, kept as ranges, and combined by one walk along two of them.

A set is always minimal: two sets of the same addresses are equal, have the same prefixes, and as few as there can be.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from . import _core, _tables
from .addresses import _view
from .prefix_inputs import in_order, matches_of, one_address
from .prefixes import PrefixTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_INTERSECTION = _tables.KEEP_BOTH
_UNION = _tables.KEEP_ONLY_A | _tables.KEEP_ONLY_B | _tables.KEEP_BOTH
_DIFFERENCE = _tables.KEEP_ONLY_A
_SYMMETRIC_DIFFERENCE = _tables.KEEP_ONLY_A | _tables.KEEP_ONLY_B

_Families = tuple[_tables.Ranges, _tables.Ranges]


class PrefixSet:
    """An immutable set of IPv4 and IPv6 addresses, given and read as prefixes.

    Args:
        prefixes: an iterable of prefixes as `PrefixTable` takes them; of another set or a table, its prefixes.
        strict: False clears host bits; True refuses them.

    Raises:
        AddressError: a text is no prefix, or has host bits set; has text, index, position and reason.
        TypeError: an item is of a foreign type, or `prefixes` is one str.

    `len` and iteration are those of the fewest prefixes that make up the set: IPv4 first, then by address.  The
    operators `|`, `&`, `-`, `^`, `<=`, `<`, `>=`, `>` and `==` take another set; the methods of the same meaning take
    any iterable of prefixes too.  Each takes time in proportion to the ranges of both.

    Example:
        >>> import netfast as nf
        >>> office = nf.PrefixSet(["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"])
        >>> list(office), office.num_addresses == 2**24 + 2**96, "10.1.2.3" in office
        (['10.0.0.0/8', '2001:db8::/32'], True, True)
        >>> list(office - nf.PrefixSet(["10.0.0.0/10", "::/0"]))
        ['10.64.0.0/10', '10.128.0.0/9']
    """

    __slots__ = ("__weakref__", "_four", "_lock", "_lookup", "_six")

    def __init__(self, prefixes: Any = (), *, strict: bool = True) -> None:
        if isinstance(prefixes, PrefixSet):
            self._take(prefixes._four, prefixes._six)
        elif isinstance(prefixes, PrefixTable):
            self._take(*_tables.ranges_of(prefixes._prefixes))
        else:
            self._take(*_tables.ranges_of(in_order(prefixes, strict)[0]))

    def _take(self, four: _tables.Ranges, six: _tables.Ranges) -> None:
        self._four = four
        self._six = six
        self._lookup: _tables.Lookup | None = None
        self._lock = threading.Lock()

    @classmethod
    def _made(cls, four: _tables.Ranges, six: _tables.Ranges) -> PrefixSet:
        made = cls.__new__(cls)
        made._take(four, six)
        return made

    def __reduce__(self) -> tuple[type[PrefixSet], tuple[list[str]]]:
        return type(self), (list(self),)

    # --- what is in it

    def __len__(self) -> int:
        return self._four.count_prefixes() + self._six.count_prefixes()

    def __bool__(self) -> bool:
        return bool(self._four.data or self._six.data)

    def __iter__(self) -> Iterator[str]:
        prefixes = _tables.prefixes_of(self._four, self._six)
        for first in range(0, len(prefixes), 4096):
            yield from prefixes.texts(first, 4096)

    @property
    def num_addresses(self) -> int:
        """How many addresses are in the set, of both families."""
        return self._four.count_addresses() + self._six.count_addresses()

    def __contains__(self, address: Any) -> bool:
        """Whether one address (str, bytes, int or `ipaddress`) is in the set; AddressError for text that is none."""
        version, value = one_address(address)
        return (self._four if version == 4 else self._six).holds(value)

    def contains(self, addresses: Any, *, unwrap: bool = False, threads: int | None = None) -> NDArray[np.bool_]:
        """bool[n]: whether each address is in the set; arguments and errors as for `PrefixTable.lookup`.

        Example:
            >>> import netfast as nf
            >>> nf.PrefixSet(["10.0.0.0/8"]).contains(["10.1.2.3", "11.0.0.0", "bad"]).tolist()
            [True, False, False]
        """
        return _view(_tables.flags(matches_of(self._table(), addresses, unwrap, threads)), "bool")

    def _table(self) -> _tables.Lookup:
        """What finds many addresses, made when first asked for."""
        with self._lock:
            if self._lookup is None:
                self._lookup = _tables.Lookup(_tables.prefixes_of(self._four, self._six))
            return self._lookup

    def labels(self) -> _core.Labels:
        """What finds the addresses of text; all have one label."""
        lookup = self._table()
        return _core.Labels(lookup.table4, lookup.table6, b"", 0)

    @property
    def nbytes(self) -> int:
        """Bytes of the structures that `contains` reads, of both families; they are made at its first call."""
        lookup = self._table()
        return len(lookup.table4) + len(lookup.table6)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of each part: the "ranges", and "ip4" and "ip6", the structures that `contains` reads."""
        lookup = self._table()
        ranges = len(self._four.data) + len(self._six.data)
        return {"ip4": len(lookup.table4), "ip6": len(lookup.table6), "ranges": ranges}

    def __repr__(self) -> str:
        return f"<PrefixSet of {self._four.count_prefixes():,} IPv4 and {self._six.count_prefixes():,} IPv6 prefixes>"

    # --- sets out of sets

    def _combined(self, other: PrefixSet, keep: int) -> PrefixSet:
        return self._made(self._four.combined(other._four, keep), self._six.combined(other._six, keep))

    def __or__(self, other: object) -> PrefixSet:
        return self._combined(other, _UNION) if isinstance(other, PrefixSet) else NotImplemented

    def __and__(self, other: object) -> PrefixSet:
        return self._combined(other, _INTERSECTION) if isinstance(other, PrefixSet) else NotImplemented

    def __sub__(self, other: object) -> PrefixSet:
        return self._combined(other, _DIFFERENCE) if isinstance(other, PrefixSet) else NotImplemented

    def __xor__(self, other: object) -> PrefixSet:
        return self._combined(other, _SYMMETRIC_DIFFERENCE) if isinstance(other, PrefixSet) else NotImplemented

    def union(self, other: Any) -> PrefixSet:
        """The addresses in either."""
        return self | _as_set(other)

    def intersection(self, other: Any) -> PrefixSet:
        """The addresses in both."""
        return self & _as_set(other)

    def difference(self, other: Any) -> PrefixSet:
        """The addresses in this set alone."""
        return self - _as_set(other)

    def symmetric_difference(self, other: Any) -> PrefixSet:
        """The addresses in one of the two."""
        return self ^ _as_set(other)

    def complement(self, version: Literal[4, 6] | None = None) -> PrefixSet:
        """The addresses that are not in the set; with a version, those of that family only.

        Example:
            >>> import netfast as nf
            >>> list(nf.PrefixSet(["0.0.0.0/1"]).complement())
            ['128.0.0.0/1', '::/0']
            >>> list(nf.PrefixSet(["0.0.0.0/1"]).complement(4))
            ['128.0.0.0/1']
        """
        if version not in (None, 4, 6):
            raise ValueError(f"version={version!r}: wanted 4, 6 or None")
        none = PrefixSet()
        four, six = (
            mine.combined(empty, _tables.KEEP_NEITHER) if version in (None, family) else empty
            for mine, empty, family in ((self._four, none._four, 4), (self._six, none._six, 6))
        )
        return self._made(four, six)

    # --- sets against sets

    def _any(self, other: PrefixSet, keep: int) -> bool:
        return self._four.any(other._four, keep) or self._six.any(other._six, keep)

    def overlaps(self, other: Any) -> bool:
        """Whether any address is in both."""
        return self._any(_as_set(other), _INTERSECTION)

    def isdisjoint(self, other: Any) -> bool:
        """Whether no address is in both."""
        return not self.overlaps(other)

    def issubset(self, other: Any) -> bool:
        """Whether all addresses of this set are in the other."""
        return not self._any(_as_set(other), _DIFFERENCE)

    def issuperset(self, other: Any) -> bool:
        """Whether all addresses of the other are in this set."""
        return _as_set(other).issubset(self)

    def __le__(self, other: object) -> bool:
        return self.issubset(other) if isinstance(other, PrefixSet) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return other.issubset(self) if isinstance(other, PrefixSet) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self != other and self.issubset(other) if isinstance(other, PrefixSet) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self != other and other.issubset(self) if isinstance(other, PrefixSet) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PrefixSet):
            return NotImplemented
        return self._four.data == other._four.data and self._six.data == other._six.data

    def __hash__(self) -> int:
        return hash((bytes(self._four.data), bytes(self._six.data)))


def _as_set(other: Any) -> PrefixSet:
    return other if isinstance(other, PrefixSet) else PrefixSet(other)
