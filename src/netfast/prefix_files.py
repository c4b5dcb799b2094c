"""Files of prefix tables: written at once, mapped into memory, and believed in nothing that was not checked.

     0   8  "\\x89NFT\\r\\n\\x1a\\n", which a transfer as text changes
     8   4  version of this form
    12   4  0x01020304 in the byte order of all that follows
    16   8  size of the file
    24   8  CRC-32 of all of it but these 8 bytes
    32  16  how many IPv4 and IPv6 prefixes
    48   8  type of the values: NumPy's name of a type of numbers, or "object"
    56  64  sizes of the sections
   128      sections, each at the next multiple of 64, zeros between them:
            IPv4 addresses, uint32; their lengths, uint8; IPv6 addresses, pairs of uint64 (high, low); their lengths
            the look-up tables of IPv4 and of IPv6 (nf_ip4_lookup.h, nf_ip6_lookup.h)
            the values, a number a prefix, or an int32 into the objects; the objects, JSON

A checksum finds what broke by itself; whoever means harm can have it right, so sizes, order, indices and tables are
checked as well.  What a hostile file can do is to give wrong answers.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from base64 import b64decode, b64encode
from itertools import accumulate
from typing import Any

from . import _tables
from .prefix_values import NUMBERS, OBJECTS, Values

_MAGIC = b"\x89NFT\r\n\x1a\n"
_VERSION = 1
_ORDER = 0x01020304
_HEAD = struct.Struct("=8sIIQQ")
_BODY = struct.Struct("=QQ8s8Q")
_SECTIONS = 128  # where they begin
_ALIGNED = 64


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as those of `save` do."""
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


# --- writing ---------------------------------------------------------------------------------------------------------


def save(path: str | os.PathLike[str], prefixes: _tables.Prefixes, lookup: _tables.Lookup, values: Values) -> None:
    """Writes a table to a new file, which then takes the place of an old one."""
    objects = _encoded(values.objects) if values.dtype == OBJECTS else b""
    sections = [*prefixes.columns, lookup.table4, lookup.table6, values.items, objects]
    sizes = [len(section) for section in sections]
    body = _BODY.pack(prefixes.n4, prefixes.n6, values.dtype.encode(), *sizes)
    pieces = [body + bytes(_SECTIONS - _HEAD.size - len(body))]
    for section in sections:
        pieces += [section, bytes(-len(section) % _ALIGNED)]
    size = _HEAD.size + sum(map(len, pieces))
    start = _HEAD.pack(_MAGIC, _VERSION, _ORDER, size, 0)[:-8]
    head = start + struct.pack("=Q", _checksum([start, *pieces]))
    _write(os.fspath(path), [head, *pieces])


def _write(path: str, pieces: list[Any]) -> None:
    new = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        with open(new, "xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        if os.path.exists(new):
            os.unlink(new)
        raise


def _checksum(pieces: list[Any]) -> int:
    from isal.isal_zlib import crc32

    checksum = 0
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return checksum


# --- reading ---------------------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> tuple[_tables.Prefixes, _tables.Lookup, Values]:
    """A table that stays in the file; ValueError, which names the file, for anything that `save` would not write."""
    with open(path, "rb") as file:
        try:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:  # of an empty file
            mapped = memoryview(b"")
    try:
        return _checked(mapped)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _checked(file: memoryview) -> tuple[_tables.Prefixes, _tables.Lookup, Values]:
    _check_head(file)
    n4, n6, name, *sizes = _BODY.unpack_from(file, _HEAD.size)
    starts = list(accumulate([size + -size % _ALIGNED for size in sizes], initial=_SECTIONS))
    if starts[-1] != len(file):
        raise ValueError("a damaged prefix table: its sections do not fill it")
    sections = [file[start : start + size] for start, size in zip(starts, sizes, strict=False)]
    dtype = name.rstrip(b"\0").decode("ascii", "replace")
    if dtype != OBJECTS and dtype not in NUMBERS:
        raise ValueError(f"a damaged prefix table: it has values of type {dtype!r}")
    values = Values(dtype, sections[6], _decoded(sections[7]) if dtype == OBJECTS else [])
    prefixes = _tables.Prefixes(*sections[:4])
    if (prefixes.n4, prefixes.n6) != (n4, n6) or len(sections[6]) != values.width * len(prefixes):
        raise ValueError("a damaged prefix table: its columns differ in length")
    if len(prefixes) > _tables.MOST_PREFIXES or not prefixes.in_order():
        raise ValueError("a damaged prefix table: its prefixes are not in order")
    if dtype == OBJECTS and not _tables.all_below(values.items, len(values.objects)):
        raise ValueError("a damaged prefix table: a value is missing")
    return prefixes, _tables.Lookup(prefixes, sections[4], sections[5]), values


def _check_head(file: memoryview) -> None:
    if len(file) < _SECTIONS or file[: len(_MAGIC)] != _MAGIC:
        raise ValueError("no prefix table of netfast, or one that was cut off")
    _, version, order, size, checksum = _HEAD.unpack_from(file)
    if order != _ORDER:
        raise ValueError("a prefix table of a machine with another byte order, or a damaged one")
    if version != _VERSION:
        raise ValueError(f"a prefix table of version {version}; wanted {_VERSION}")
    if size != len(file):
        raise ValueError(f"a prefix table of {size:,} bytes that was cut off, or grew, to {len(file):,}")
    if checksum != _checksum([file[: _HEAD.size - 8], file[_HEAD.size :]]):
        raise ValueError("a damaged prefix table: its checksum is wrong")


# --- objects as JSON -------------------------------------------------------------------------------------------------
#
# What JSON knows is itself, but for a list: its first item says what it is, ["list", ...], ["tuple", ...],
# ["bytes", base64] or ["dict", key, value, ...].


def _encoded(objects: list[Any]) -> bytes:
    try:
        return json.dumps([_to_json(value) for value in objects], separators=(",", ":")).encode()
    except RecursionError:
        raise ValueError("a value is nested too deeply to be saved") from None


def _to_json(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        return [kind.__name__, *map(_to_json, value)]
    if kind is bytes:
        return ["bytes", b64encode(value).decode()]
    if kind is dict:
        return ["dict", *(_to_json(part) for item in value.items() for part in item)]
    raise TypeError(
        f"a value of type {kind.__module__}.{kind.__qualname__} cannot be saved; None, bool, int, float, "
        "str, bytes, tuple, list and dict can"
    )


def _decoded(section: memoryview) -> list[Any]:
    try:
        objects = json.loads(bytes(section))
        if not isinstance(objects, list):
            raise ValueError("no list")
        return [_from_json(value) for value in objects]
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise ValueError(f"a damaged prefix table: its values cannot be read ({error})") from error


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError("an object that was never written")
    if not isinstance(value, list):
        return value
    kind, *parts = value
    if kind == "bytes":
        (text,) = parts
        return b64decode(text, validate=True)
    items = [_from_json(part) for part in parts]
    if kind == "dict":
        return dict(zip(items[::2], items[1::2], strict=True))
    if kind not in ("list", "tuple"):
        raise ValueError(f"an object of the kind {kind!r}")
    return items if kind == "list" else tuple(items)
