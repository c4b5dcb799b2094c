"""Every rival, in the form that suits it best, on one thread, and what its answer is compared with.

A function makes a `Side` of what it is to work on, or raises `MissingError`.  What can be prepared (tables loaded,
buffers warmed, texts terminated by NULs) is prepared before the clock starts.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import functools
import importlib
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import Routes
from benchmarks.measure import MissingError, Side

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
def _library(name: str) -> Any:
    """What a C file beside this one defines."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise MissingError("a C compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    library = BUILD / f"{name}-{os.getpid()}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    library.unlink()
    return loaded


@functools.cache
def _inet_pton_loop() -> Any:
    loop = _library("inet_pton_loop").inet_pton_loop
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


def polars_iptools_kinds(frame: Any) -> Side:
    """The commonest kinds of a Polars column "ip", as one writes them with polars-iptools: by when and then."""
    polars, iptools = _module("polars"), _module("polars_iptools")
    ip = polars.col("ip")
    networks = {
        "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        "loopback": ["127.0.0.0/8"],
        "link_local": ["169.254.0.0/16"],
        "multicast": ["224.0.0.0/4"],
    }
    kind = polars.when(~iptools.is_valid(ip)).then(polars.lit("invalid"))
    for name, prefixes in networks.items():
        kind = kind.when(iptools.is_in(ip, polars.lit(polars.Series(prefixes)))).then(polars.lit(name))
    return Side(len(frame), lambda: frame.select(kind.otherwise(polars.lit("other"))))


def polars_iptools_is_in(column: Any, networks: list[str]) -> Side:
    """polars-iptools' `is_in` on a Polars column; it reads the networks in each call, and they cannot be prepared."""
    polars, iptools = _module("polars"), _module("polars_iptools")
    frame = polars.DataFrame({"text": polars.from_arrow(column)}).rechunk()
    wanted = polars.lit(polars.Series(networks))  # nothing to convert from Python's objects
    is_in = iptools.is_in(polars.col("text"), wanted)

    def answer() -> Any:
        return frame.select(is_in)["text"].to_numpy()

    return Side(len(column), lambda: frame.select(is_in), answer)


_IP4_NUMBER = " | ".join(f"(split_part(text, '.', {k + 1})::BIGINT << {24 - 8 * k})" for k in range(4))
_JOINS = {
    "BETWEEN": "JOIN routes ON number BETWEEN first AND last",
    "ASOF": "ASOF JOIN routes ON number >= first",  # for ranges that do not overlap; `last` decides afterwards
}


def duckdb_join(column: Any, ranges: Any, how: str) -> Side:
    """DuckDB's join of IPv4 texts with ranges that do not overlap, both in tables of its own; (row, label).

    `ranges`: an Arrow table of `first`, `last` and `label`.  The texts are read by SQL, its INET being an extension
    that is not part of it, and the labels leave as an Arrow table.
    """
    arrow, session = _module("pyarrow"), _module("duckdb").connect()
    session.execute("SET threads = 1")
    texts = arrow.table({"text": column, "row": np.arange(len(column))})
    session.register("ranges", ranges)
    session.register("texts", texts)
    session.execute("CREATE TABLE routes AS SELECT * FROM ranges")
    session.execute("CREATE TABLE addresses AS SELECT * FROM texts")
    numbered = f"(SELECT row, {_IP4_NUMBER} AS number FROM addresses)"
    query = f"SELECT row, label FROM {numbered} {_JOINS[how]} WHERE number <= last"

    def run() -> Any:
        return arrow.table(session.sql(query))

    return Side(len(column), run)


# --- Prefix tables ---------------------------------------------------------------------------------------------------

# Each row: packed address, length, value.  The trees take packed addresses quicker than any other form.
Entries = list[tuple[bytes, int, int]]


def _entries(table: Routes, order: NDArray[np.int64], first: int = 0) -> Entries:
    addresses = [row.tobytes() for row in table.packed[order]]
    return list(zip(addresses, table.lengths[order].tolist(), (order + first).tolist(), strict=True))


def _pytricia(tables: list[tuple[int, Entries]]) -> dict[int, Any]:
    trees = {}
    make = _module("pytricia").PyTricia
    for version, entries in tables:
        tree = make(32) if version == 4 else make(128, socket.AF_INET6)
        insert = tree.insert
        for address, length, value in entries:
            insert(address, length, value)
        trees[version] = tree
    return trees


def pytricia_build(ip4: Routes, ip6: Routes, seed: int) -> Side:
    """A pytricia of each family, filled in random order with each prefix's place in a table of both."""
    _module("pytricia")
    tables = _shuffled(ip4, ip6, seed)
    return Side(len(ip4) + len(ip6), lambda: _pytricia(tables))


def py_radix_build(ip4: Routes, ip6: Routes, seed: int) -> Side:
    """A py-radix of both families, filled in random order; the value is an item of each node's dictionary."""
    make = _module("radix").Radix
    tables = _shuffled(ip4, ip6, seed)

    def run() -> Any:
        tree = make()
        for _, entries in tables:
            for address, length, value in entries:
                tree.add(packed=address, masklen=length).data["value"] = value
        return tree

    return Side(len(ip4) + len(ip6), run)


def _shuffled(ip4: Routes, ip6: Routes, seed: int) -> list[tuple[int, Entries]]:
    rng = np.random.default_rng(seed)
    return [
        (table.version, _entries(table, rng.permutation(len(table)), first))
        for table, first in ((ip4, 0), (ip6, len(ip4)))
    ]


def pytricia_get(table: Routes, queries: NDArray[Any], *, tuned: bool = False) -> Side:
    """pytricia's `get` for each query, as text; tuned: on a frozen tree, and of IPv6 the packed bytes."""
    tree = _pytricia([(table.version, _entries(table, np.arange(len(table))))])[table.version]
    family = socket.AF_INET if table.version == 4 else socket.AF_INET6
    packed = table.as_packed(queries)
    keys: list[Any] = packed if tuned and table.version == 6 else [socket.inet_ntop(family, key) for key in packed]
    if tuned:
        tree.freeze()

    def answer() -> NDArray[np.int64]:
        return np.array([tree.get(key, -1) for key in keys])

    return Side(len(keys), lambda: list(map(tree.get, keys)), answer)


@functools.cache
def _rte_lpm_program() -> Path:
    """DPDK's tables in a process of their own: rte_lpm.c, built with the flags that libdpdk asks for."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise MissingError("a C compiler")
    flags = [_pkg_config(option) for option in ("--cflags", "--libs")]
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / f"rte_lpm-{os.getpid()}"
    source = str(Path(__file__).with_name("rte_lpm.c"))
    subprocess.run([compiler, "-O3", *flags[0], source, "-o", str(program), *flags[1]], check=True)
    atexit.register(program.unlink, missing_ok=True)
    return program


def _pkg_config(option: str) -> list[str]:
    command = [_tool("pkg-config", "pkg-config"), option, "libdpdk"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError("apt-get install libdpdk-dev")
    return done.stdout.split()


_EAL = ["--no-huge", "-m", "1024", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error"]
_NO_EAL = 2  # the program's status when DPDK does not start


class _RteLpm:
    """A process that holds DPDK's table of these prefixes, and looks all queries up each time it is asked."""

    def __init__(self, table: Routes, queries: NDArray[Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        folder = Path(self._folder.name)
        table.addresses.tofile(folder / "addresses")
        table.lengths.tofile(folder / "lengths")
        queries.tofile(folder / "queries")
        np.zeros(len(queries), np.int32).tofile(folder / "answers")
        self.answers = np.memmap(folder / "answers", np.int32, "r")
        # One logical core of DPDK's, which may run on any that this process may.
        cores = f"0@({','.join(map(str, sorted(os.sched_getaffinity(0))))})"
        command = [_rte_lpm_program(), str(table.version), "--lcores", cores, *_EAL]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        weakref.finalize(self, self._end, self._process, self._folder)
        self._expect(b"ready\n")

    def run(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        self._expect(b"\n")

    def _expect(self, said: bytes) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line == said:
            return
        if self._process.wait() == _NO_EAL:
            raise MissingError("DPDK does not start here: it wants 1,024 MB of memory")
        raise RuntimeError(f"rte_lpm said {line!r} and ended with {self._process.returncode}")

    @staticmethod
    def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
        process.communicate()
        folder.cleanup()


def rte_lpm(table: Routes, queries: NDArray[Any]) -> Side:
    """DPDK's `rte_lpm_lookup_bulk`, for IPv6 `rte_lpm6_lookup_bulk_func`, in bursts; each prefix's place, or -1.

    They run in a process of their own, which has the queries in memory and writes the answers to memory that it
    shares with this one: a call costs two short messages besides, some 50 µs.
    """
    peer = _RteLpm(table, queries)

    def answer() -> NDArray[np.int32]:
        peer.run()
        if table.version == 6:
            return np.array(peer.answers)
        found = peer.answers & 0x01000000  # RTE_LPM_LOOKUP_SUCCESS
        return np.where(found, peer.answers & 0x00FFFFFF, -1)

    return Side(len(queries), peer.run, answer)


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


# --- ping ------------------------------------------------------------------------------------------------------------


def fping(hosts: list[str], *options: str) -> Side:
    """fping, which sends as fast as it can and does not try again; the answer is how many were alive."""
    path = _tool("fping", "fping")
    listed = "\n".join(hosts)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [path, "-i", "0", "-r", "0", *options, *more]
        return subprocess.run(command, input=listed, capture_output=True, text=True, check=False)

    return Side(len(hosts), lambda: run("-q"), lambda: len(run("-a").stdout.split()))


def icmplib_multiping(hosts: list[str]) -> Side:
    """icmplib's multiping with 20 tasks: of 10 to 1,000 the most hosts a second."""
    icmplib = _module("icmplib")

    def run() -> list[Any]:
        return list(icmplib.multiping(hosts, count=1, interval=0, timeout=1, concurrent_tasks=20))

    return Side(len(hosts), run, lambda: sum(host.is_alive for host in run()))


def icmplib_median(hosts: list[str]) -> float:
    """The median of the RTTs that icmplib's multiping reports, in µs."""
    icmplib = _module("icmplib")
    return float(np.median([host.avg_rtt for host in icmplib.multiping(hosts, count=1, interval=0)])) * 1000


def aioping_all(hosts: list[str], at_a_time: int) -> Side:
    """aioping; the answer is how many were found alive, which may be fewer than are."""
    aioping = _module("aioping")

    async def one(host: str, turn: asyncio.Semaphore) -> bool:
        async with turn:
            try:
                await aioping.ping(host, timeout=5)
            except TimeoutError:
                return False
            return True

    async def all_of_them() -> int:
        turn = asyncio.Semaphore(at_a_time)
        return sum(await asyncio.gather(*(one(host, turn) for host in hosts)))

    return Side(len(hosts), lambda: asyncio.run(all_of_them()))


def iputils_time(count: int) -> float:
    """The mean RTT that `ping -f` of iputils reports for 127.0.0.1, in µs."""
    command = [_tool("ping", "iputils-ping"), "-f", "-q", "-c", str(count), "127.0.0.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.rsplit("= ", 1)[1].split("/")[1]) * 1000


# --- cards and sockets of this machine -------------------------------------------------------------------------------


def psutil_cards(count: int) -> Side:
    """Its three calls, which tell of fewer fields; finds the names of the cards."""
    psutil = _module("psutil")

    def run() -> list[str]:
        addresses, counters = psutil.net_if_addrs(), psutil.net_io_counters(pernic=True)
        return sorted(addresses.keys() | counters.keys() | psutil.net_if_stats().keys())

    return Side(count, run)


def pyroute2_cards(count: int) -> Side:
    """Its dumps of links and addresses; a field is read when it is looked at, so each is.  Finds the names."""
    pyroute2 = _module("pyroute2")

    def run() -> list[Any]:
        with pyroute2.IPRoute() as kernel:  # 0.3 ms
            links = list(kernel.get_links())
            for message in (*links, *kernel.get_addr()):
                for _name, _value in map(tuple, message["attrs"]):
                    pass
        return links

    return Side(count, run, lambda: sorted(link.get_attr("IFLA_IFNAME") for link in run()))


def ss(count: int, *options: str) -> Side:
    """ss(8); finds how many sockets it lists, or with -p how many it knows an owner of."""
    command = [_tool("ss", "iproute2"), "-H", *options]

    def run() -> bytes:
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    wanted = b"users:" if "-p" in options else b"\n"
    return Side(count, run, lambda: run().count(wanted))


def psutil_sockets(count: int, *, owners: bool = False) -> Side:
    """TCP sockets, with their owners either way; finds how many, or how many have an owner."""
    psutil = _module("psutil")

    def run() -> list[Any]:
        return list(psutil.net_connections("tcp"))

    return Side(count, run, lambda: sum(row.pid is not None or not owners for row in run()))


def lsof(port: int) -> Side:
    """lsof(8) asked for a TCP port; finds the pids."""
    command = [_tool("lsof", "lsof"), "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"]

    def run() -> bytes:
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    return Side(1, run, lambda: sorted(map(int, run().split())))


# --- sockets ---------------------------------------------------------------------------------------------------------


def c_udp_drain(sock: socket.socket, count: int) -> int:
    """recvmmsg in a loop in C, 64 a call; how many bytes came."""
    drain = _library("udp_loop").udp_drain
    drain.argtypes, drain.restype = [ctypes.c_int, ctypes.c_uint64], ctypes.c_uint64
    return int(drain(sock.fileno(), count))


def c_udp_ping(sock: socket.socket, count: int, size: int = 64) -> None:
    """send and recv in a loop in C, on a connected socket."""
    ping = _library("udp_loop").udp_ping
    ping.argtypes = [ctypes.c_int, ctypes.c_uint64, ctypes.c_size_t]
    assert ping(sock.fileno(), count, size) == 0


def c_udp_echo(sock: socket.socket) -> None:
    """Sends back what comes, in C."""
    _library("udp_loop").udp_echo(sock.fileno())


def _drain_on(new_loop: Callable[[], asyncio.AbstractEventLoop], sock: socket.socket, count: int) -> int:
    """Datagrams by a DatagramProtocol; how many bytes came."""

    class Counter(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.left, self.total = count, 0
            self.done = loop.create_future()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.left -= 1
            self.total += len(data)
            if self.left == 0:
                self.done.set_result(self.total)

    async def work() -> int:
        own = sock.dup()
        own.setblocking(False)
        transport, counter = await loop.create_datagram_endpoint(Counter, sock=own)
        try:
            total: int = await counter.done
            return total
        finally:
            transport.close()

    loop = new_loop()
    blocking = sock.gettimeout()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()
        sock.settimeout(blocking)  # the two share their descriptor's mode


def asyncio_drain(sock: socket.socket, count: int) -> Callable[[], int]:
    return functools.partial(_drain_on, asyncio.new_event_loop, sock, count)


def uvloop_drain(sock: socket.socket, count: int) -> Callable[[], int]:
    return functools.partial(_drain_on, _module("uvloop").new_event_loop, sock, count)


def _frames_on(new_loop: Callable[[], asyncio.AbstractEventLoop], sock: socket.socket, count: int) -> int:
    """Frames behind a length of four bytes, by StreamReader.readexactly."""

    async def work() -> int:
        own = sock.dup()
        reader, writer = await asyncio.open_connection(sock=own)
        for _ in range(count):
            size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(size)
        writer.close()
        return count

    loop = new_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def asyncio_frames(sock: socket.socket, count: int) -> int:
    return _frames_on(asyncio.new_event_loop, sock, count)


def uvloop_frames() -> Callable[[socket.socket, int], int]:
    return functools.partial(_frames_on, _module("uvloop").new_event_loop)
