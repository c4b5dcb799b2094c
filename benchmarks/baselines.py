"""Every rival, in the form that suits it best, on one thread, and what its answer is compared with.

A function makes a `Side` of what it is to work on, or raises `MissingError`.  What can be prepared (tables loaded,
buffers warmed, texts terminated by NULs) is prepared before the clock starts.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import MissingError, Side

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read once, when Polars is imported

BUILD = Path(__file__).parents[1] / "build" / "bench"
OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IP4 = rf"\b(?:{OCTET}\.){{3}}{OCTET}\b"


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"pip install {name.partition('.')[0].replace('_', '-')}") from error


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingError(f"apt-get install {package}")
    return path


# --- Python ----------------------------------------------------------------------------------------------------------


def ipaddress_flags(texts: list[str]) -> Side:
    """Parse with `ipaddress` and ask four flags; None for an invalid text."""

    def one(text: str) -> tuple[bool, bool, bool, bool] | None:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None
        return address.is_private, address.is_loopback, address.is_link_local, address.is_multicast

    return Side(len(texts), lambda: [one(text) for text in texts])


def socket_inet_pton(texts: list[str]) -> Side:
    """`socket.inet_pton` on every item; all must be valid."""

    def run() -> list[bytes]:
        inet_pton, family = socket.inet_pton, socket.AF_INET
        return [inet_pton(family, text) for text in texts]

    return Side(len(texts), run)


def python_re(text: bytes) -> Side:
    """A strict IPv4 expression over bytes."""
    return Side(len(text), functools.partial(re.compile(IP4.encode()).findall, text))


# --- C ---------------------------------------------------------------------------------------------------------------


@functools.cache
def _inet_pton_loop() -> Any:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise MissingError("a C compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    library = BUILD / f"inet_pton_loop-{os.getpid()}.so"
    source = Path(__file__).with_name("inet_pton_loop.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    loop = ctypes.CDLL(str(library)).inet_pton_loop
    library.unlink()
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    loop.argtypes, loop.restype = [ctypes.c_int, pointer, pointer, size, pointer, size, pointer], None
    return loop


def c_inet_pton(texts: NDArray[np.uint8], starts: NDArray[np.int32], *, version: int) -> Side:
    """glibc's `inet_pton` in a C loop over NUL-terminated texts; finds (uint8[n, 4 or 16], valid)."""
    family, width = {4: (socket.AF_INET, 4), 6: (socket.AF_INET6, 16)}[version]
    loop, n = _inet_pton_loop(), len(starts)
    out, valid = np.zeros((n, width), np.uint8), np.zeros(n, np.uint8)

    def run() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        loop(family, texts.ctypes.data, starts.ctypes.data, n, out.ctypes.data, width, valid.ctypes.data)
        return out, valid.view(np.bool_)

    return Side(n, run)


def memcpy(column: Any) -> Side:
    """Copy the offsets and the texts of a utf8 column into buffers that were touched before."""
    sources = [np.frombuffer(buffer, np.uint8) for buffer in column.buffers()[1:]]
    copies = [np.full_like(source, 1) for source in sources]
    moves = [(copy.ctypes.data, source.ctypes.data, len(source)) for copy, source in zip(copies, sources, strict=True)]

    def run() -> None:
        for move in moves:
            ctypes.memmove(*move)

    def answer() -> bool:
        run()
        return all(np.array_equal(copy, source) for copy, source in zip(copies, sources, strict=True))

    return Side(len(column), run, answer)


# --- Engines ---------------------------------------------------------------------------------------------------------


def numpy_take(numbers: NDArray[np.uint32], table: NDArray[np.uint8]) -> Side:
    """`numpy.take` from a table of 65,536 codes by the high half.  (Of the ways to write it the fastest.)"""
    return Side(len(numbers), lambda: table.take(numbers >> 16))


@functools.cache
def _chdb_session() -> Any:
    return _module("chdb.session").Session()


def chdb_ip4_to_number(column: Any) -> Side:
    """ClickHouse's `IPv4StringToNumOrDefault`, the sum of it, over a Memory table of its own; 0 where invalid."""
    session = _chdb_session()
    arrow_table = _module("pyarrow").table({"text": column})  # found by its name in the query
    session.query("DROP TABLE IF EXISTS addresses")
    session.query("CREATE TABLE addresses (text String) ENGINE = Memory")
    session.query("INSERT INTO addresses SELECT text FROM Python(arrow_table)")
    del arrow_table
    query = "SELECT sum(IPv4StringToNumOrDefault(text)) FROM addresses SETTINGS max_threads = 1"
    return Side(len(column), lambda: int(session.query(query).bytes()))


def polars_iptools_is_private(column: Any) -> Side:
    """polars-iptools' `is_private` on a Polars column."""
    polars, iptools = _module("polars"), _module("polars_iptools")
    frame = polars.DataFrame({"text": polars.from_arrow(column)}).rechunk()
    is_private = iptools.is_private(polars.col("text"))

    def answer() -> Any:
        return frame.select(is_private)["text"].to_numpy()

    return Side(len(column), lambda: frame.select(is_private), answer)


# --- Commands --------------------------------------------------------------------------------------------------------


def warm(path: Path) -> None:
    """Read a file to its end, so that the system has it in memory."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def _command(path: Path, *command: str) -> Side:
    """A command over a file that the system has in memory; its output is thrown away, or taken for an answer."""

    def run() -> None:
        # 1 is "nothing found".
        assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode in (0, 1)

    def answer() -> bytes:
        return subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout

    warm(path)
    return Side(path.stat().st_size, run, answer)


def ripgrep(path: Path) -> Side:
    """`rg -o` with a strict IPv4 expression, one thread, no Unicode (which slows it): a line an address."""
    rg = _tool("rg", "ripgrep")
    quiet = ["--no-config", "--color=never", "--no-line-number", "--no-filename", "--text"]
    return _command(path, rg, "--only-matching", "--threads=1", "--no-unicode", *quiet, IP4, str(path))


def grepcidr(path: Path) -> Side:
    """`grepcidr -c` for 10.0.0.0/8: how many lines hold such an address.

    Few do, so it looks at nearly every IPv4 address of every line; asked for 0.0.0.0/0 it would stop at the first.
    """
    return _command(path, _tool("grepcidr", "grepcidr"), "-c", "10.0.0.0/8", str(path))


def wc_lines(path: Path) -> Side:
    """`wc -l`."""
    return _command(path, _tool("wc", "coreutils"), "-l", str(path))
