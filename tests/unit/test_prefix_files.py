"""save and load: the same answers from the mapping, in any process; a hostile file is an error and never a crash."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import netfast as nf

HEADER = 512  # bytes at the beginning, each of which is flipped: the header is among them


def prefixes(n: int) -> list[str]:
    """n prefixes, most of them IPv4, of many lengths."""
    pick = random.Random(n)
    found = ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "2001:db8::1/128"][:n]
    while len(found) < n:
        if pick.random() < 0.7:
            length = pick.choice([8, 12, 16, 19, 24, 24, 24, 28, 32])
            value = pick.getrandbits(32) >> 32 - length << 32 - length
            found.append(f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}/{length}")
        else:
            found.append(f"2{pick.getrandbits(12):03x}:{pick.getrandbits(16):x}:{pick.getrandbits(16):x}::/48")
    return list(dict.fromkeys(found))


TEXTS = prefixes(300)
VALUES: dict[str, Callable[[int], Any]] = {
    "text": lambda n: f"label {n % 7}",
    "int": lambda n: n,
    "float": lambda n: n / 2,
    "None": lambda n: None,
}


def asked() -> list[str]:
    pick = random.Random(5)
    four = [f"10.{pick.getrandbits(8)}.{pick.getrandbits(8)}.{pick.getrandbits(8)}" for _ in range(50)]
    return [*four, *(text.partition("/")[0] for text in TEXTS), "10.1.2.3", "::1", "2001:db8::1", "2001:db8::2", "x"]


ASKED = asked()


def answers(table: nf.PrefixTable) -> tuple[list[str], list[int], list[Any], Any]:
    found = table.lookup(ASKED)
    values = list(found.values(default=-1))
    return list(table), found.index.tolist(), values, pa.array(found).to_pylist()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "table.nf"
    nf.PrefixTable([(text, f"label {n % 7}") for n, text in enumerate(TEXTS)]).save(path)
    return path


# ---- the same answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_what_was_saved_answers_as_before(tmp_path: Path, kind: str, n: int, kernels: str) -> None:
    table = nf.PrefixTable([(text, VALUES[kind](place)) for place, text in enumerate(prefixes(n))])
    path = tmp_path / "table.nf"
    table.save(path)
    loaded = nf.PrefixTable.load(path)
    assert answers(loaded) == answers(table)
    assert [loaded.get(text, "-") for text in ASKED[:-1]] == [table.get(text, "-") for text in ASKED[:-1]]
    for text in prefixes(n):
        assert loaded.exact(text) == table.exact(text)
        assert loaded.covering(text) == table.covering(text)
        assert loaded.covered(text) == table.covered(text)
    assert loaded.contains(ASKED).tolist() == table.contains(ASKED).tolist()
    assert len(nf.PrefixTable.load(str(path))) == len(table)


COLUMNS = {
    "NumPy u4": np.arange(3, dtype=np.uint32),
    "NumPy f4": np.arange(3, dtype=np.float32),
    "Arrow text": pa.array(["a", None, "a"]),
    "Arrow uint16": pa.array([1, None, 3], pa.uint16()),
    "Arrow dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "text": ["a", "\u5730", "a"],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_values_are_kept(tmp_path: Path, kind: str) -> None:
    lengths = np.array([8, 8, 32], np.uint8)
    table = nf.PrefixTable.from_columns(["10.0.0.0", "11.0.0.0", "2001:db8::"], lengths, COLUMNS[kind])
    table.save(tmp_path / "table.nf")
    loaded = nf.PrefixTable.load(tmp_path / "table.nf")
    rows = ["2001:db8::1", "10.0.0.1", "11.0.0.1"]
    before, after = table.lookup(rows), loaded.lookup(rows)
    assert type(after.values()) is type(before.values())
    assert list(after.values()) == list(before.values())
    assert getattr(after.values(), "dtype", None) == getattr(before.values(), "dtype", None)
    assert pa.array(after).to_pylist() == pa.array(before).to_pylist()
    assert pa.array(after).type == pa.array(before).type


def test_a_loaded_table_may_be_saved_again(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.nf"
    nf.PrefixTable.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_a_table_may_be_saved_over_the_file_that_it_is_mapped_from(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.nf"
    path.write_bytes(saved.read_bytes())
    loaded = nf.PrefixTable.load(path)
    before = answers(loaded)
    loaded.save(path)
    assert answers(loaded) == answers(nf.PrefixTable.load(path)) == before


def test_matches_outlive_the_loaded_table_and_its_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.nf"
    path.write_bytes(saved.read_bytes())
    loaded = nf.PrefixTable.load(path)
    wanted = answers(loaded)
    matches = loaded.lookup(ASKED)
    exported = pa.array(matches)
    path.unlink()
    assert answers(loaded) == wanted
    del loaded
    assert matches.index.tolist() == wanted[1]
    assert list(matches.values(default=-1)) == wanted[2]
    assert exported.to_pylist() == wanted[3]


def test_values_that_a_file_cannot_hold_are_an_error_that_leaves_no_file(tmp_path: Path) -> None:
    table = nf.PrefixTable({"10.0.0.0/8": object()})
    with pytest.raises((TypeError, ValueError)):
        table.save(tmp_path / "table.nf")
    assert list(tmp_path.iterdir()) == []


# ---- whole or not at all ---------------------------------------------------------------------------------------------


def test_saving_leaves_nothing_beside_the_file(saved: Path, tmp_path: Path) -> None:
    nf.PrefixTable.load(saved).save(tmp_path / "table.nf")
    assert [path.name for path in tmp_path.iterdir()] == ["table.nf"]


def test_saving_into_a_folder_that_is_not_there_is_the_systems_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        nf.PrefixTable.load(saved).save(tmp_path / "nowhere" / "table.nf")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        nf.PrefixTable.load(saved).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_who_has_the_old_file_keeps_it_and_who_reads_meanwhile_sees_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "table.nf"
    small, large = (nf.PrefixTable(dict.fromkeys(prefixes(n), "x")) for n in (5, 300))
    small.save(path)
    mapped = nf.PrefixTable.load(path)
    wanted = answers(mapped)
    done = threading.Event()
    seen: list[Any] = []

    def read() -> None:
        while not done.is_set():
            seen.append(size_of(path))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        large.save(path)
        small.save(path)
    done.set()
    reader.join()
    assert set(seen) <= {5, len(large)}, [error for error in seen if not isinstance(error, int)][:3]
    assert answers(mapped) == wanted


def size_of(path: Path) -> int | Exception:
    try:
        return len(nf.PrefixTable.load(path))
    except (OSError, ValueError) as error:
        return error


# ---- two processes ---------------------------------------------------------------------------------------------------

CHILD = """
import sys
import netfast as nf

table = nf.PrefixTable.load(sys.argv[1])
numbers = __import__("numpy").arange(0, 2**32, 4099, dtype="u4")
print(int(table.lookup(numbers, threads=1).index.sum(dtype="i8")), flush=True)
sys.stdin.readline()
"""


def test_two_processes_share_the_pages_of_one_file(tmp_path: Path) -> None:
    """Each maps the file itself: its pages are shared, not private, and nobody has copied them."""
    lengths = np.full(200_000, 24, np.uint8)
    numbers = np.arange(200_000, dtype=np.uint32) * (2**32 // 200_000) & np.uint32(0xFFFFFF00)
    table = nf.PrefixTable.from_columns(numbers, lengths, np.arange(200_000, dtype=np.uint32))
    path = tmp_path / "table.nf"
    table.save(path)
    wanted = int(table.lookup(np.arange(0, 2**32, 4099, dtype="u4")).index.sum(dtype="i8"))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == f"{wanted}\n"
        for process in (one, other):
            mapping = mapped(process.pid, path)
            assert mapping.get("Size", 0) * 1024 >= path.stat().st_size // 2
            assert mapping.get("Private_Dirty", 0) == 0
            assert mapping.get("Rss", 0) > 0
        one.communicate("\n")
        other.communicate("\n")


def mapped(pid: int, path: Path) -> dict[str, int]:
    """The sums, in KiB, over the mappings of a file in a process."""
    sums: dict[str, int] = {}
    ours = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in line.split()[0] and not name[0].isupper():
            ours = line.endswith(str(path))
        elif ours and rest.endswith("kB"):
            sums[name] = sums.get(name, 0) + int(rest.split()[0])
    return sums


@pytest.mark.timed
@pytest.mark.slow
def test_loading_does_not_rebuild(tmp_path: Path) -> None:
    """Loading takes a fraction of what building takes, although the prefixes are in order already."""
    n = 2_000_000
    numbers = np.arange(n, dtype=np.uint32) * (2**32 // n) & np.uint32(0xFFFFFF00)
    lengths, values = np.full(n, 24, np.uint8), np.arange(n, dtype=np.uint32)
    path = tmp_path / "table.nf"
    nf.PrefixTable.from_columns(numbers, lengths, values).save(path)
    building, loading = [], []
    for _ in range(5):
        start = time.perf_counter()
        nf.PrefixTable.from_columns(numbers, lengths, values)
        building.append(time.perf_counter() - start)
        start = time.perf_counter()
        nf.PrefixTable.load(path).get("10.0.0.1")
        loading.append(time.perf_counter() - start)
    assert min(loading) < min(building) / 2


# ---- hostile files ---------------------------------------------------------------------------------------------------


def harmless(path: Path) -> bool:
    """Whether the file is refused with a ValueError that names it; if not, it is asked everything."""
    try:
        table = nf.PrefixTable.load(path)
    except ValueError as error:
        assert path.name in str(error), error  # noqa: PT017 - the caller counts both outcomes
        return True
    answers(table)
    return False


def test_every_header_byte_counts(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    path = tmp_path / "flipped.nf"
    for place in range(min(HEADER, len(data))):
        for flip in (0xFF, 0x01, 0x80):
            path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            assert harmless(path), f"byte {place} ^ {flip:#x} went unnoticed"


def test_any_byte_anywhere_counts(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    pick = random.Random(7)
    path = tmp_path / "flipped.nf"
    places = [*range(len(data) - 200, len(data)), *(pick.randrange(len(data)) for _ in range(600))]
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << pick.randrange(8)]) + data[place + 1 :])
        assert harmless(path), f"a flip at byte {place} of {len(data)} went unnoticed"


def test_a_file_that_is_cut_off_is_refused_at_every_length(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    pick = random.Random(8)
    path = tmp_path / "cut.nf"
    ends = [
        *range(min(600, len(data))),
        *range(len(data) - 100, len(data)),
        *(pick.randrange(len(data)) for _ in range(99)),
    ]
    for end in ends:
        path.write_bytes(data[:end])
        assert harmless(path), f"{end} of {len(data)} bytes were taken for a table"


@pytest.mark.parametrize("more", [b"\0", b"x" * 7, bytes(4096)])
def test_a_file_with_more_behind_its_end_is_refused(saved: Path, tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "longer.nf"
    path.write_bytes(saved.read_bytes() + more)
    assert harmless(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    pick = random.Random(9)
    for data in (b"", b"\0", bytes(100_000), b"prefix,asn\n10.0.0.0/8,1\n", pick.randbytes(10_000), b"\xff" * 9999):
        path = tmp_path / "other.nf"
        path.write_bytes(data)
        assert harmless(path)


def test_what_cannot_be_opened_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        nf.PrefixTable.load(tmp_path / "nothing")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        nf.PrefixTable.load(tmp_path)


def test_pieces_of_two_files_are_refused(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.nf"
    nf.PrefixTable([(text, f"label {n % 5}") for n, text in enumerate(prefixes(250))]).save(other)
    ours, theirs = saved.read_bytes(), other.read_bytes()
    path = tmp_path / "mixed.nf"
    for cut in (16, 64, 100, 256, 1000, len(theirs) // 2):
        for data in (ours[:cut] + theirs[cut:], theirs[:cut] + ours[cut:]):
            path.write_bytes(data)
            assert data in (ours, theirs) or harmless(path)
