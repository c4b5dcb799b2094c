"""What the benchmarks work on: seeded, always the same, kept in build/bench-data once made.

Texts are put together as fixed-width rows padded with NULs, from tables of ready halves ("192.168." and "1.20"), and
the NULs are squeezed out afterwards: ten million addresses take seconds.
"""

from __future__ import annotations

import functools
import gzip
import os
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.measure import MissingError

CACHE = Path(__file__).parents[1] / "build" / "bench-data"
EDITION = 1  # part of every file's name: raise it when what is generated changes
MB = 10**6

Rows = NDArray[np.uint8]  # [n, width], each row a text padded with NULs
_BLOCK = 1_000_000  # rows made at a time, which bounds the memory that making them takes


def _cached(name: str, write: Callable[[Path], None]) -> Path:
    stem, dot, ending = name.rpartition(".")
    path = CACHE / f"{stem}-{EDITION}{dot}{ending}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        write(part)
        part.replace(path)  # two runs at once may both make it; neither sees half of it
    return path


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    return ((first, min(_BLOCK, n - first)) for first in range(0, n, _BLOCK))


def _squeeze(rows: Rows) -> bytes:
    return rows.tobytes().translate(None, b"\0")


# --- Arrow columns ---------------------------------------------------------------------------------------------------


def _column(blocks: Iterable[Rows]) -> Any:
    """One contiguous utf8 array of the texts of all blocks."""
    texts, lengths = [], [np.zeros(1, np.int32)]
    for rows in blocks:
        texts.append(_squeeze(rows))
        lengths.append((rows != 0).sum(axis=1, dtype=np.int32))
    offsets = np.cumsum(np.concatenate(lengths), dtype=np.int64).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.utf8(), len(offsets) - 1, buffers)


def _saved_column(name: str, blocks: Callable[[], Iterable[Rows]]) -> Any:
    def write(path: Path) -> None:
        batch = pa.record_batch([_column(blocks())], names=["text"])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)

    # Read, not mapped: the first touch of mapped pages would be part of somebody's time.
    with pa.OSFile(str(_cached(f"{name}.arrow", write)), "rb") as source:
        return pa.ipc.open_file(source).get_batch(0).column(0)


def _table(texts: list[str], width: int) -> NDArray[np.uint64]:
    """uint64[len(texts), width / 8]: the texts padded with NULs, in a form that is quick to gather from."""
    return np.array(texts, dtype=f"S{width}").view(np.uint64).reshape(len(texts), -1)


def _dotted_halves() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The texts of the upper 16 bits with the dot behind them, and of the lower."""
    pairs = [f"{a}.{b}" for a in range(256) for b in range(256)]
    return _table([f"{pair}." for pair in pairs], 8), _table(pairs, 8)


def _dotted(values: NDArray[np.uint32]) -> Rows:
    upper, lower = _dotted_halves()
    rows = np.hstack([upper[values >> 16], lower[values & 0xFFFF]])
    return rows.view(np.uint8).reshape(len(values), 16)


def ip4_numbers(n: int) -> NDArray[np.uint32]:
    """n random IPv4 addresses, host order."""
    return np.random.default_rng(4).integers(0, 2**32, n, dtype=np.uint32)


def ip4_column(n: int, invalid: float = 0.0) -> Any:
    """The texts of `ip4_numbers`, that share of them, at random places, replaced by what is no address."""

    def blocks() -> Iterator[Rows]:
        rng = np.random.default_rng(5)
        numbers = ip4_numbers(n)
        wrong = _table(_no_ip4(), 16).view(np.uint8)
        for first, count in _blocks(n):
            rows = _dotted(numbers[first : first + count])
            _replace(rows, wrong, invalid, rng)
            yield rows

    return _saved_column(f"ip4-{n}-{invalid:.0%}", blocks)


def _replace(rows: Rows, wrong: Rows, share: float, rng: np.random.Generator) -> None:
    # Exactly that share in every block, so that small columns keep it too.
    places = rng.permutation(len(rows))[: round(share * len(rows))]
    rows[places] = wrong[rng.integers(0, len(wrong), len(places))]


def _no_ip4() -> list[str]:
    """4,096 texts such as stand where an address should: octets out of range, too few, leading zeros, names."""
    pick = random.Random(6)
    spoil: list[Callable[[list[str]], str]] = [
        lambda octets: ".".join([*octets[:3], str(pick.randrange(256, 1000))]),
        lambda octets: ".".join(octets[:3]),
        lambda octets: ".".join(["0" + octets[0], *octets[1:]]),
        lambda octets: ".".join(octets) + "x",
        lambda octets: ".".join([octets[0], "", *octets[2:]]),
        lambda octets: "host" + octets[0],
        lambda octets: pick.choice(["", "-", "unknown", "localhost"]),
    ]
    return [pick.choice(spoil)([str(pick.randrange(256)) for _ in range(4)]) for _ in range(4096)]


# --- IPv6 ------------------------------------------------------------------------------------------------------------

# Share, and how the left (at most 32 bytes) and right (at most 16) part of the text is made from random groups.
_Maker = Callable[[random.Random], str]
_POOL = 1 << 14


def _groups(n: int) -> _Maker:
    return lambda pick: ":".join(f"{pick.getrandbits(16):x}" for _ in range(n))


def _some_groups(pick: random.Random) -> str:
    return _groups(pick.randint(1, 3))(pick)


def _quad(pick: random.Random) -> str:
    return ".".join(str(pick.randrange(256)) for _ in range(4))


def _text(text: str) -> _Maker:
    return lambda pick: text


_IP6_FORMS: list[tuple[float, _Maker, _Maker]] = [
    (0.40, lambda pick: f"2{pick.randrange(4096):03x}:{_groups(4)(pick)}:", _groups(3)),
    (0.15, lambda pick: f"2001:db8:{_some_groups(pick)}::", _groups(2)),
    (0.10, lambda pick: f"fe80::{_groups(1)(pick)}:", _groups(3)),
    (0.05, lambda pick: f"2A02:{_groups(2)(pick).upper()}::", _some_groups),
    (0.03, _text("::"), _some_groups),
    (0.02, lambda pick: f"ff0{pick.randrange(16):x}::", _groups(1)),
    (0.12, _text("::ffff:"), _quad),
    (0.08, _text("64:ff9b::"), _quad),
    (0.05, lambda pick: f"fd00:{_groups(5)(pick)}:", _quad),
]


def ip6_column(n: int, invalid: float = 0.01) -> Any:
    """IPv6 in mixed forms: 40 % full, 35 % compressed, a quarter with an embedded IPv4 address; some invalid."""

    def blocks() -> Iterator[Rows]:
        rng = np.random.default_rng(7)
        left, right = _ip6_halves()
        wrong = _table(_no_ip6(), 48).view(np.uint8)
        shares = [share for share, _, _ in _IP6_FORMS]
        for _, count in _blocks(n):
            form = rng.choice(len(shares), count, p=shares) * _POOL
            halves = [table[form + rng.integers(0, _POOL, count)] for table in (left, right)]
            rows = np.hstack(halves).view(np.uint8).reshape(count, 48)
            _replace(rows, wrong, invalid, rng)
            yield rows

    return _saved_column(f"ip6-{n}-{invalid:.0%}", blocks)


def _ip6_halves() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    pick = random.Random(8)
    left = [make(pick) for _, make, _ in _IP6_FORMS for _ in range(_POOL)]
    right = [make(pick) for _, _, make in _IP6_FORMS for _ in range(_POOL)]
    return _table(left, 32), _table(right, 16)


def _no_ip6() -> list[str]:
    pick = random.Random(9)
    spoil: list[Callable[[str], str]] = [
        lambda text: text + ":1",
        lambda text: text[:-5],
        lambda text: text.replace(":", ":::", 1),
        lambda text: "g" + text[1:],
        lambda text: "12345:" + text.partition(":")[2],
        lambda text: text.rpartition(":")[0] + ":1.2.3",
    ]
    return [pick.choice(spoil)(_groups(8)(pick)) for _ in range(4096)]


def nul_terminated(column: Any) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The texts of a column with a NUL behind each, and where each begins: what C functions want."""
    _, offsets, texts = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[1 : len(column) + 1] + np.arange(len(column), dtype=np.int32)
    is_text = np.ones(len(texts) + len(column), bool)
    is_text[ends] = False
    terminated = np.zeros(len(is_text), np.uint8)
    terminated[is_text] = np.frombuffer(texts, np.uint8)
    return terminated, np.concatenate([np.zeros(1, np.int32), ends[:-1] + np.int32(1)])


# --- Python lists ----------------------------------------------------------------------------------------------------


def ip4_list(n: int, *, shuffled: bool = False) -> list[str]:
    """n distinct str objects, allocated in the order of the list or, shuffled, in any other."""
    texts: list[str] = ip4_column(n).to_pylist()
    if shuffled:
        random.Random(10).shuffle(texts)
    return texts


# --- Logs ------------------------------------------------------------------------------------------------------------


def access_log(size: int, distinct: int) -> Path:
    """An access log in the combined format of about `size` bytes, with about `distinct` client addresses.

    Four fifths of the clients are IPv4; few clients send most lines, and every client sends at least one, as far as
    the lines go.  User agents carry product versions that look like addresses.
    """

    def write(path: Path) -> None:
        rng = np.random.default_rng(11)
        tails = _tails(random.Random(12))
        clients = _clients(distinct)
        lines = size // (sum(map(len, tails)) // len(tails) + sum(map(len, clients)) // len(clients))
        skewed = (len(clients) * rng.random(max(0, lines - len(clients))) ** 4).astype(np.int64)
        senders = np.concatenate([np.arange(len(clients)), skewed])
        rng.shuffle(senders)
        with path.open("wb") as log:
            for first, count in _blocks(lines):
                ends = rng.integers(0, len(tails), count).tolist()
                who = senders[first : first + count].tolist()
                log.writelines([clients[c] + tails[t] for c, t in zip(who, ends, strict=True)])

    return _cached(f"access-{size}-{distinct}.log", write)


def address_log(distinct: int) -> Path:
    """A log of `distinct` lines of about 21 bytes, each with an IPv4 address of its own."""

    def write(path: Path) -> None:
        tail = np.frombuffer(b" - 200\n\0", np.uint8)
        with path.open("wb") as log:
            for first, count in _blocks(distinct):
                rows = _dotted(_distinct_numbers(first, count))
                log.write(_squeeze(np.hstack([rows, np.broadcast_to(tail, (count, 8))])))

    return _cached(f"addresses-{distinct}.log", write)


def _distinct_numbers(first: int, count: int) -> NDArray[np.uint32]:
    """Scattered numbers, no two alike: each step (of MurmurHash3's finalizer) maps 32 bits to 32 one to one."""
    x = np.arange(first, first + count, dtype=np.uint32)
    x ^= x >> 16
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> 16
    return x


def _clients(distinct: int) -> list[bytes]:
    ip4 = distinct * 4 // 5
    numbers = _distinct_numbers(0, ip4 + ip4 // 4 + 64)
    numbers = numbers[(numbers >= 1 << 24) & (numbers < 224 << 24)][:ip4]  # what may be a client at all
    numbers[::20] = 10 << 24 | numbers[::20] >> 8  # one in twenty from inside
    pick = random.Random(13)
    ip6 = [f"2a0{pick.randrange(16):x}:{_groups(7)(pick)}" for _ in range((distinct - ip4) // 2)]
    ip6 += [f"2600:{_groups(2)(pick)}::{_groups(2)(pick)}" for _ in range(distinct - ip4 - len(ip6))]
    clients = _squeeze(np.hstack([_dotted(numbers), np.full((len(numbers), 1), 10, np.uint8)])).split()
    clients += [text.encode() for text in ip6]
    pick.shuffle(clients)
    return clients


_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"
_AGENTS = {  # and how often, of a hundred
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME}": 30,
    f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME.replace('0.0.0', '0.{b}.{w}')}": 10,
    f"Mozilla/5.0 (Linux; Android 10; K) {_CHROME.replace(' Safari', ' Mobile Safari')}": 15,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1": 18,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:{v}.0) Gecko/20100101 Firefox/{v}.0": 12,
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": 7,
    "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.8.1.4) Gecko/20070515 Firefox/2.0.0.4": 1,
    "curl/8.{w}.0": 3,
    "-": 4,
}
_REFERERS = ("-", "-", "https://www.example.com/{p}", "https://search.example/?q={p}", "http://10.1.{v}.{w}:8080/{p}")
_PATHS = (
    "index.html",
    "images/logo-{w}.png",
    "blog/2024/05/{w}/a-longer-title-of-a-post",
    "api/v1/items?id={w}&page=2",
)


def _tails(pick: random.Random) -> list[bytes]:
    """What follows the client in a line, in 65,536 variations."""
    return [_tail(pick) for _ in range(1 << 16)]


def _tail(pick: random.Random) -> bytes:
    numbers = {"v": pick.randrange(60, 130), "b": pick.randrange(3000, 6500), "w": pick.randrange(10, 200)}
    path = pick.choice(_PATHS).format(**numbers)
    day, seconds = pick.randrange(1, 29), pick.randrange(86_400)
    time = f"{day:02}/May/2024:{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    # A referer with an address in it is rare.
    referer = pick.choice([*_REFERERS[:-1] * 8, _REFERERS[-1]]).format(p=path, **numbers)
    agent = pick.choices(list(_AGENTS), list(_AGENTS.values()))[0].format(**numbers)
    request = f"{pick.choice(['GET', 'GET', 'GET', 'POST'])} /{path} HTTP/1.{pick.randrange(2)}"
    status, sent = pick.choice([200, 200, 200, 304, 404]), pick.randrange(100, 100_000)
    return f' - - [{time} +0000] "{request}" {status} {sent} "{referer}" "{agent}"\n'.encode()


def sample(path: Path, size: int) -> bytes:
    """Whole lines from the beginning of a log, at most `size` bytes."""
    with path.open("rb") as log:
        text = log.read(size)
    return text[: text.rfind(b"\n") + 1]


# --- A routing table -------------------------------------------------------------------------------------------------

FEWEST_ROUTES = 2_000  # of a family, however small the scale


@dataclass(frozen=True)
class Routes:
    """The prefixes of one family, sorted by address, then by length, as a table's are."""

    version: int
    packed: NDArray[np.uint8]  # [n, 4 or 16], network order
    lengths: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def addresses(self) -> Any:
        return self._as_queries(self.packed)

    @functools.cached_property
    def masks(self) -> NDArray[np.uint8]:
        return np.packbits(np.arange(8 * self.packed.shape[1]) < self.lengths[:, None], axis=1)

    def texts(self) -> list[str]:
        family = {4: socket.AF_INET, 6: socket.AF_INET6}[self.version]
        rows = zip(self.packed, self.lengths.tolist(), strict=True)
        return [f"{socket.inet_ntop(family, row.tobytes())}/{length}" for row, length in rows]

    def within(self, places: NDArray[np.int64], seed: int) -> Any:
        """A random address inside each of the prefixes at these places."""
        rng = np.random.default_rng(seed)
        blocks = [self._within(places[first : first + count], rng) for first, count in _blocks(len(places))]
        return self._as_queries(np.concatenate(blocks))

    def _within(self, places: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
        rows = rng.integers(0, 256, (len(places), self.packed.shape[1]), np.uint8)
        masks = self.masks[places]
        inside: NDArray[np.uint8] = self.packed[places] & masks | rows & ~masks
        return inside

    def as_packed(self, queries: NDArray[Any]) -> list[bytes]:
        """Such queries in network order, each a `bytes` of its own."""
        rows = queries.astype(">u4").view(np.uint8).reshape(-1, 4) if self.version == 4 else queries
        return [row.tobytes() for row in rows]

    def _as_queries(self, packed: NDArray[np.uint8]) -> Any:
        """IPv4: uint32[n], host order; IPv6: uint8[n, 16]."""
        return packed.view(">u4").ravel().astype(np.uint32) if self.version == 4 else packed


@functools.cache
def routes(version: int, scale: float = 1.0) -> Routes:
    """The shared routing table's prefixes of one family, or that share of them, drawn at random."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    texts = [text.split("/") for text in _routing_table() if (":" in text) is (version == 6)]
    if scale < 1:
        texts = random.Random(14).sample(texts, max(FEWEST_ROUTES, round(scale * len(texts))))
    found = sorted({(socket.inet_pton(family, address), int(length)) for address, length in texts})
    packed = np.frombuffer(b"".join(address for address, _ in found), np.uint8).reshape(len(found), -1)
    return Routes(version, packed, np.array([length for _, length in found], np.uint8))


@functools.cache
def _routing_table() -> list[str]:
    path = Path(os.environ.get("NETFAST_DATA", "")) / "bgp" / "prefixes.txt.gz"
    if not os.environ.get("NETFAST_DATA") or not path.exists():
        raise MissingError("set NETFAST_DATA to the folder of the shared data, which holds bgp/prefixes.txt.gz")
    return gzip.decompress(path.read_bytes()).decode().split()


def inside(table: Routes, n: int) -> Any:
    """n addresses, each inside a prefix drawn at random."""
    return table.within(np.random.default_rng(15).integers(0, len(table), n), seed=16)


def skewed(table: Routes, n: int) -> Any:
    """n addresses inside prefixes drawn by Zipf's law: the k-th most popular has 1/k of the first one's share."""
    rng = np.random.default_rng(17)
    heaped = np.cumsum(1 / np.arange(1, len(table) + 1))
    popular = rng.permutation(len(table))
    return table.within(popular[np.searchsorted(heaped, rng.random(n) * heaped[-1])], seed=18)


def labels(n: int) -> Any:
    """n labels such as routes have, some 70,000 of them distinct."""
    return pa.array([f"AS{number}" for number in np.random.default_rng(19).integers(1, 70_000, n).tolist()])


def disjoint(table: Routes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(first, last, place) of IPv4 ranges that do not overlap: from where to where which prefix is the longest."""
    first = table.addresses.astype(np.int64)
    ends = first + (1 << 32 - table.lengths.astype(np.int64))
    cuts = np.unique(np.concatenate([first, ends]))
    starts, stops = np.searchsorted(cuts, first), np.searchsorted(cuts, ends)
    owner = np.full(len(cuts), -1)
    for place in np.argsort(table.lengths, kind="stable").tolist():  # a longer one paints over a shorter one
        owner[starts[place] : stops[place]] = place
    held = np.flatnonzero(owner[:-1] >= 0)
    return cuts[held], cuts[held + 1] - 1, owner[held]
