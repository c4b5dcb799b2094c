"""Prefix tables: which of a million prefixes is the longest that holds each address, and what is known about it.

A table keeps its prefixes in order, the value of each, and a structure a family that finds the longest match of many
addresses at once; DESIGN.md draws them.  IPv4 and IPv6 are looked up apart: 32.0.0.1 is never in 2000::/8.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from . import _core, _tables
from .addresses import _view
from .prefix_inputs import (
    address_at,
    in_order,
    length_column,
    matches_of,
    one_address,
    pairs,
    parsed_rows,
    read_strictly,
    sorted_rows,
)
from .prefix_values import Values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._arrow import ArrowData

# --- the table -------------------------------------------------------------------------------------------------------


class PrefixTable:
    """An immutable table of prefixes, each with a value; finds the longest prefix that holds each of many addresses.

    Args:
        items: a mapping, or an iterable of pairs, of prefix and value.  A prefix is str or bytes such as
            "10.0.0.0/8" (a bare address is a prefix of all its bits), or an `ipaddress` network or address.  A value
            is any object; equal ones of equal type are stored once.  Of equal prefixes the last one counts.
        strict: False clears host bits ("10.1.2.3/8" is 10.0.0.0/8); True refuses them.

    Raises:
        AddressError: a text is no prefix, or has host bits set; has text, index, position and reason.
        TypeError: an item is no pair, or a prefix of a foreign type.

    IPv4 and IPv6 are kept apart.  An IPv4-mapped address (::ffff:a.b.c.d) is IPv6, and matches IPv4 prefixes only with
    `unwrap=True`.  A table may be used by any number of threads at once.

    Source: the longest match is that of RFC 1812 section 5.2.4.3; prefixes are written as in RFC 4632 and RFC 4291.

    Example:
        >>> import netfast as nf
        >>> table = nf.PrefixTable({"10.0.0.0/8": "office", "10.1.0.0/16": "lab", "2001:db8::/32": "docs"})
        >>> table.lookup(["10.1.2.3", "10.9.9.9", "2001:db8::1", "8.8.8.8"]).values()
        ['lab', 'office', 'docs', None]
        >>> table.get("10.1.2.3"), "8.8.8.8" in table, len(table), list(table)
        ('lab', False, 3, ['10.0.0.0/8', '10.1.0.0/16', '2001:db8::/32'])
    """

    __slots__ = ("_lookup", "_prefixes", "_values")

    _lookup: _tables.Lookup
    _prefixes: _tables.Prefixes
    _values: Values

    def __init__(self, items: Any, *, strict: bool = True) -> None:
        prefixes, values = pairs(items)
        self._fill(*in_order(prefixes, strict), Values.of(values))

    def _fill(self, prefixes: _tables.Prefixes, rows: bytearray, values: Values) -> None:
        """Takes prefixes in order; rows says which value each has."""
        self._prefixes = prefixes
        self._lookup = _tables.Lookup(prefixes)
        self._values = values.ordered(rows)

    @classmethod
    def _made(cls, prefixes: _tables.Prefixes, rows: bytearray, values: Values) -> PrefixTable:
        table = cls.__new__(cls)
        table._fill(prefixes, rows, values)
        return table

    @classmethod
    def from_columns(cls, addresses: Any, lengths: Any, values: Any, *, strict: bool = True) -> PrefixTable:
        """A table of three columns, a row a prefix; the quickest way to make one.

        Args:
            addresses: the prefixes' addresses, of any form `netfast.parse` takes (an `AddressArray` is used as it is).
            lengths: integers, 0 to 32 for IPv4 and 0 to 128 for IPv6; uint8[n] is used as it is.
            values: a list, a NumPy array, an Arrow column, or any other iterable, of n values.
            strict: as for `PrefixTable`.

        Raises:
            AddressError: a row is no address, its length is too large, or it has host bits set.
            ValueError: the columns differ in length, or a row is null.

        Example:
            >>> import netfast as nf
            >>> table = nf.PrefixTable.from_columns(["10.0.0.0", "2001:db8::"], [8, 32], [64512, 64513])
            >>> table.lookup(["10.1.2.3", "::1"]).values(default=-1).tolist()
            [64512, -1]
        """
        parsed = parsed_rows(addresses)
        bits = length_column(lengths)
        column = Values.of(values)
        if not parsed.n == len(bits) == len(column):
            raise ValueError(f"{parsed.n:,} addresses, {len(bits):,} lengths and {len(column):,} values")

        def item(row: int) -> str:
            version, value = address_at(parsed, row)
            return f"{_core.format_one(version, value)}/{bits[row]}"

        return cls._made(*sorted_rows(parsed, bits, strict, item), column)

    @classmethod
    def from_ranges(cls, ranges: Iterable[Any] | Mapping[Any, Any]) -> PrefixTable:
        """A table of ranges of addresses, each split into the fewest prefixes.

        Args:
            ranges: (first, last, value) of two addresses of any form, both ends included; or a mapping, or pairs, of
                text "first-last" and value.  Where ranges overlap the longest of their prefixes counts, and of equal
                ones the last.

        Raises:
            AddressError: an end is no address.
            ValueError: a range ends before it begins, its ends are of two families, or one has a zone.

        Example:
            >>> import netfast as nf
            >>> table = nf.PrefixTable.from_ranges([("192.0.2.1", "192.0.2.6", "printers")])
            >>> list(table)
            ['192.0.2.1/32', '192.0.2.2/31', '192.0.2.4/31', '192.0.2.6/32']
            >>> nf.PrefixTable.from_ranges({"::-::ff": 1}).covering("::5")
            [('::/120', 1)]
        """
        from .prefix_sources import split_ranges

        return cls._made(*split_ranges(ranges))

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        prefix: str | int = "prefix",
        value: str | int | Sequence[str | int] | None = None,
        delimiter: str = ",",
        strict: bool = True,
    ) -> PrefixTable:
        """A table of the rows of a CSV file, plain or compressed (gzip, zstd, xz, bzip2, by their magic bytes).

        Args:
            path: the file: UTF-8, fields as the `csv` module reads them.  Empty lines are left out.
            prefix: the column of prefixes: its name in the first line, or its number from 0.  The first line is names
                unless all columns are given by number.
            value: the column of values, which are text; several: a tuple a row; None: all columns but the prefix.
            delimiter: what separates fields.
            strict: as for `PrefixTable`.

        Raises:
            ValueError: the file is damaged, has no such column, or a line too few fields; names file and line.
            AddressError: a prefix is none; the same.  OSError: the file cannot be read.

        Example:
            >>> import netfast as nf, os, tempfile
            >>> path = os.path.join(tempfile.mkdtemp(), "sites.csv")
            >>> with open(path, "w") as file:
            ...     _ = file.write("prefix,site,rack\\n10.0.0.0/8,Berlin,7\\n")
            >>> nf.PrefixTable.from_csv(path, value="site").get("10.1.2.3")
            'Berlin'
        """
        from .prefix_sources import read_csv

        return cls._made(*read_csv(path, prefix, value, delimiter, strict))

    @classmethod
    def from_pfx2as(cls, path: str | os.PathLike[str], *, strict: bool = True) -> PrefixTable:
        """A table of CAIDA's prefix-to-AS text, plain or compressed: address, length and origin, separated by tabs.

        Values are the origin AS as int; where there are several they are str as written: "1_2" for a prefix with two
        origins, "1,2" for an AS set.  Without any such, the values are one int64 column.

        Raises:
            ValueError: a line is not of that form (AddressError: the prefix is none), or the file is damaged; names
                file and line.  OSError: the file cannot be read.

        Source: CAIDA, Routeviews Prefix to AS mappings, README of the data set.

        Example:
            >>> import netfast as nf, os, tempfile
            >>> path = os.path.join(tempfile.mkdtemp(), "routeviews.pfx2as")
            >>> with open(path, "w") as file:
            ...     _ = file.write("192.0.2.0\\t24\\t64496\\n198.51.100.0\\t24\\t64497_64498\\n")
            >>> nf.PrefixTable.from_pfx2as(path).lookup(["192.0.2.1", "198.51.100.1"]).values()
            [64496, '64497_64498']
        """
        from .prefix_sources import read_pfx2as

        return cls._made(*read_pfx2as(path, strict))

    @classmethod
    def from_mmdb(cls, path: str | os.PathLike[str], field: str | None = None) -> PrefixTable:
        """A table of the networks of a MaxMind DB file; wants the package maxminddb (`pip install netfast[mmdb]`).

        Args:
            path: the .mmdb file.
            field: which part of the records, such as "country.iso_code" or "subdivisions.0.iso_code"; networks whose
                record has no such part are left out.  None: the whole record, an empty one too.

        The networks are those that iterating over a `maxminddb.Reader` gives: IPv4 ones are IPv4 prefixes, and the
        aliases of the IPv4 tree (::ffff:0:0/96, 2002::/16, 2001::/32) are left out; `unwrap=True` finds those.

        Raises:
            ValueError: the file is damaged, or no MaxMind DB file; names it.  OSError: it cannot be read.
            ImportError: maxminddb is not installed.

        Source: the MaxMind DB file format, version 2.0.
        """
        from .prefix_sources import read_mmdb

        return cls._made(*read_mmdb(path, field))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PrefixTable:
        """The table that `save` wrote.  It answers from the file, mapped into memory that processes share.

        Raises:
            ValueError: the file is none of `save`'s, of another version, cut off or damaged; names it.
            OSError: it cannot be read.
        """
        from .prefix_files import load

        prefixes, lookup, values = load(path)
        table = cls.__new__(cls)
        table._prefixes, table._lookup, table._values = prefixes, lookup, values
        return table

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table to a file that `load` maps; the file is there whole or not at all.

        Values may be numbers, and None, bool, int, float, str, bytes, and tuples, lists and dicts of those.  No pickle
        is read or written.  The form is that of this machine's byte order, and is checked when it is loaded.

        Raises:
            TypeError: a value is of any other type, which the message names.
            OSError: the file cannot be written.

        Example:
            >>> import netfast as nf, os, tempfile
            >>> path = os.path.join(tempfile.mkdtemp(), "sites.nft")
            >>> nf.PrefixTable({"10.0.0.0/8": ("Berlin", 7)}).save(path)
            >>> nf.PrefixTable.load(path).get("10.1.2.3")
            ('Berlin', 7)
        """
        from .prefix_files import save

        save(path, self._prefixes, self._lookup, self._values)

    # --- many addresses

    def lookup(self, addresses: Any, *, unwrap: bool = False, threads: int | None = None) -> Matches:
        """The longest prefix that holds each address.

        Args:
            addresses: of any form `netfast.classify` takes.  What is invalid or null matches nothing.
            unwrap: look up an IPv6 address that carries an IPv4 one as what it carries, as `classify` does.
            threads: for large columns; None for one per CPU this process may use.  Lists are read by one thread.

        Returns:
            `Matches` of one row an address, in order.

        Raises:
            TypeError: an item is of a foreign type (the message has its index), or `addresses` is one str.

        Example:
            >>> import netfast as nf
            >>> table = nf.PrefixTable([("192.0.2.0/24", "a"), ("::/0", "b")])
            >>> table.lookup(["192.0.2.1", "::ffff:192.0.2.1", "bad"]).values("none")
            ['a', 'b', 'none']
            >>> table.lookup(["::ffff:192.0.2.1"], unwrap=True).prefixes()
            ['192.0.2.0/24']
        """
        return Matches(self, matches_of(self._lookup, addresses, unwrap, threads))

    def contains(self, addresses: Any, *, unwrap: bool = False, threads: int | None = None) -> NDArray[np.bool_]:
        """bool[n]: whether any prefix holds each address; arguments and errors as for `lookup`.

        Example:
            >>> import netfast as nf
            >>> nf.PrefixTable({"10.0.0.0/8": 1}).contains(["10.1.2.3", "11.0.0.0"]).tolist()
            [True, False]
        """
        return _view(_tables.flags(matches_of(self._lookup, addresses, unwrap, threads)), "bool")

    # --- one address or prefix

    def get(self, address: Any, default: Any = None) -> Any:
        """The value of the longest prefix that holds one address (str, bytes, int or `ipaddress`), or the default.

        Raises:
            AddressError: a text is no address.
        """
        index = self._lookup.one(*one_address(address))
        return default if index < 0 else self._values.one(index)

    def __contains__(self, address: Any) -> bool:
        """Whether any prefix holds one address."""
        return self._lookup.one(*one_address(address)) >= 0

    def exact(self, prefix: Any, default: Any = None) -> Any:
        """The value of this very prefix, or the default.

        Raises:
            AddressError: `prefix` is none, or has host bits set.  So do `covering` and `covered`.

        Example:
            >>> import netfast as nf
            >>> table = nf.PrefixTable({"10.0.0.0/8": "office"})
            >>> table.exact("10.0.0.0/8"), table.exact("10.1.0.0/16")
            ('office', None)
        """
        index = self._prefixes.find(*read_strictly(prefix))
        return default if index < 0 else self._values.one(index)

    def covering(self, prefix: Any) -> list[tuple[str, Any]]:
        """(prefix, value) of all prefixes that hold this one, itself included; the longest comes last.

        Example:
            >>> import netfast as nf
            >>> nf.PrefixTable({"10.0.0.0/8": 1, "10.1.0.0/16": 2}).covering("10.1.2.0/24")
            [('10.0.0.0/8', 1), ('10.1.0.0/16', 2)]
        """
        version, value, length = read_strictly(prefix)
        bits = 32 if version == 4 else 128
        found = (
            self._prefixes.find(version, value >> bits - shorter << bits - shorter, shorter)
            for shorter in range(length + 1)
        )
        return [self._item(index) for index in found if index >= 0]

    def covered(self, prefix: Any) -> list[tuple[str, Any]]:
        """(prefix, value) of all prefixes inside this one, itself included, in the table's order.

        Example:
            >>> import netfast as nf
            >>> nf.PrefixTable({"10.0.0.0/8": 1, "10.1.0.0/16": 2, "11.0.0.0/8": 3}).covered("10.0.0.0/8")
            [('10.0.0.0/8', 1), ('10.1.0.0/16', 2)]
        """
        version, value, length = read_strictly(prefix)
        bits = 32 if version == 4 else 128
        last = value | (1 << bits - length) - 1
        first = self._prefixes.before(version, value, length)
        until = self._prefixes.before(version, last, bits + 1)
        texts = self._prefixes.texts(first, until - first)
        return [(text, self._values.one(first + k)) for k, text in enumerate(texts)]

    def _item(self, index: int) -> tuple[str, Any]:
        return self._prefixes.texts(index, 1)[0], self._values.one(index)

    # --- all of it

    def __len__(self) -> int:
        return len(self._prefixes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.prefixes)

    def items(self) -> Iterator[tuple[str, Any]]:
        """(prefix, value) of each, in the table's order."""
        return ((text, self._values.one(index)) for index, text in enumerate(self))

    @property
    def prefixes(self) -> PrefixList:
        """The prefixes as a sequence of str, made as asked for: IPv4 first, then by address, then by length."""
        return PrefixList(self._prefixes)

    @property
    def nbytes(self) -> int:
        """Bytes of the structures that look-ups read, of both families."""
        return len(self._lookup.table4) + len(self._lookup.table6)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of each part: the look-up structures "ip4" and "ip6", "prefixes", and "values" (without objects)."""
        return {
            "ip4": len(self._lookup.table4),
            "ip6": len(self._lookup.table6),
            "prefixes": sum(len(column) for column in self._prefixes.columns),
            "values": len(self._values.items),
        }

    def __repr__(self) -> str:
        return f"<PrefixTable of {self._prefixes.n4:,} IPv4 and {self._prefixes.n6:,} IPv6 prefixes>"


class PrefixList(Sequence[str]):
    """The prefixes of a table, in its order; texts are made as they are asked for."""

    __slots__ = ("_prefixes",)

    def __init__(self, prefixes: _tables.Prefixes) -> None:
        self._prefixes = prefixes

    def __len__(self) -> int:
        return len(self._prefixes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._prefixes.texts(place, 1)[0] for place in range(*index.indices(len(self)))]
        return self._prefixes.texts(range(len(self))[index], 1)[0]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 4096):
            yield from self._prefixes.texts(first, 4096)

    def __contains__(self, prefix: object) -> bool:
        """Whether this very prefix is one of them."""
        try:
            return self._prefixes.find(*read_strictly(prefix)) >= 0
        except (TypeError, ValueError):
            return False

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._prefixes.texts(0, 3)))
        return f"<{len(self):,} prefixes: {shown}{', ...' if len(self) > 3 else ''}>"


class Matches:
    """What `PrefixTable.lookup` found, a row an address.

    Example:
        >>> import netfast as nf
        >>> table = nf.PrefixTable({"10.0.0.0/8": 64512, "10.1.0.0/16": 64513})
        >>> found = table.lookup(["10.1.2.3", "8.8.8.8", None])
        >>> found.index.tolist(), found.prefixes(), found.values(default=0).tolist()
        ([1, -1, -1], ['10.1.0.0/16', None, None], [64513, 0, 0])
    """

    __slots__ = ("_index", "_table")

    def __init__(self, table: PrefixTable, index: bytearray) -> None:
        self._table = table
        self._index = index

    def __len__(self) -> int:
        return len(self._index) // 4

    @property
    def index(self) -> NDArray[np.int32]:
        """int32[n]: which of `table.prefixes` matched, -1 where none did."""
        return _view(self._index, "int32")

    def values(self, default: Any = None) -> Any:
        """The value of each match: NumPy[n] where the table's values are numbers of one type, else a list.

        Args:
            default: for rows that matched nothing; numbers must have one of their own type then.

        Raises:
            ValueError: a row of numbers matched nothing and there is no default (the message names the row), or the
                default is not of the numbers' type.
        """
        return self._table._values.taken(self._index, default)

    def prefixes(self) -> list[str | None]:
        """The prefix that matched each address, None where none did."""
        return _tables.take_texts(self._table._prefixes, self._index)

    def __repr__(self) -> str:
        hits = _tables.flags(self._index).count(1)
        return f"<Matches of {len(self):,} addresses: {hits:,} matched>"

    def _arrow(self) -> ArrowData:
        return self._table._values.arrow(self._index)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The values, null where nothing matched or where they are None.

        Numbers and bool are a column, of int the first of int64 and uint64 that holds them all; text is
        dictionary<int32, utf8>, and bytes are dictionary<int32, binary>.

        Raises:
            TypeError: the values are of another type, or of several, or too large; the message names them.
        """
        data = self._arrow()
        return data.schema_capsule(), data.array_capsule()
