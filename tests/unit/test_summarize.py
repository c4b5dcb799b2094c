"""netfast.summarize: every number against a Counter, many sources, bad ones too, bounded memory, interruption."""

from __future__ import annotations

import functools
import gzip
import io
import ipaddress
import json
import lzma
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
import reference
from netfast import LogSummary, summarize
from netfast.registry import BLOCKS

PREFIXES = [block.prefix for block in BLOCKS]
TEXT = b"10.0.0.1 a\nfrom [2001:db8::1]:80\n\n1.1.1.1 Chrome/126.0.0.0 10.0.0.1\n"

Address = tuple[int, int]  # version, value


def log(lines: int, seed: int = 1) -> bytes:
    """Some addresses often, some once, both families."""
    rng = random.Random(seed)
    often = [f"10.{i}.0.1" for i in range(50)] + [f"2001:db8:{i:x}::1" for i in range(20)]
    made = []
    for i in range(lines):
        once = ipaddress.ip_address(rng.randbytes(16 if i % 5 == 0 else 4)).compressed
        made.append(f'{rng.choice(often)} - [{i}] {once} "GET /{rng.getrandbits(90):x}" Chrome/1.2.3.4\n')
    return "".join(made).encode()


# --- what is wanted -------------------------------------------------------------------------------------------------


@functools.cache
def block_of(version: int, value: int) -> int:
    return PREFIXES.index(reference.classify(version, value, PREFIXES))


def network_of(address: Address) -> Address:
    version, value = address
    bits = 8 if version == 4 else 80
    return version, value >> bits << bits


def ranked(counts: Counter[Address]) -> list[tuple[Address, int]]:
    """Most first, equals by family and value."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def shown(items: Iterable[tuple[Address, int]], networks: bool = False) -> list[tuple[str, int]]:
    length = {4: "/24", 6: "/48"} if networks else {4: "", 6: ""}
    return [(reference.format_address(*address) + length[address[0]], count) for address, count in items]


def assert_counts(got: LogSummary, found: list[Address], top: int = 10) -> None:
    counts = Counter(found)
    networks: Counter[Address] = Counter()
    for address, count in counts.items():
        networks[network_of(address)] += count
    blocks = [BLOCKS[block_of(*address)] for address in found]
    assert got.addresses == len(found)
    assert (got.unique, got.estimated, got.count_error) == (len(counts), False, 0)
    assert got.by_kind == Counter(block.kind for block in blocks)
    assert got.by_class == Counter(block.network_class for block in blocks)
    assert got.by_block == Counter(block.prefix for block in blocks)
    for by in (got.by_kind, got.by_class, got.by_block):
        assert list(by.values()) == sorted(by.values(), reverse=True)
    assert got.top_addresses == shown(ranked(counts)[:top])
    assert got.top_networks == shown(ranked(networks)[:top], networks=True)


def without_time(summary: LogSummary) -> LogSummary:
    return summary._replace(seconds=0.0)


def addresses_in(text: bytes) -> list[Address]:
    e = nf.extract(text)
    mapped = {4: 0xFFFFFFFF, 6: (1 << 128) - 1}
    return [
        (int(version), int.from_bytes(packed.tobytes(), "big") & mapped[int(version)])
        for version, packed in zip(e.version, e.packed, strict=True)
    ]


# --- every number ---------------------------------------------------------------------------------------------------


@functools.cache
def head_of_log(path: Path, lines: int) -> bytes:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return b"".join(data.splitlines(keepends=True)[:lines])


SELECTIONS: list[dict[str, Any]] = [
    {},
    {"boundary": "loose"},
    {"versions": (4,)},
    {"first": True},
    {"field": 1},
    {"field": 3, "sep": " "},
]


def oracle(text: bytes, options: dict[str, Any]) -> list[reference.Found]:
    found = reference.extract(text, options.get("boundary", "word"), options.get("versions", (4, 6)))
    if options.get("first"):
        return reference.first_of_lines(found)
    if "field" in options:
        lines = text.split(b"\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        sep = options["sep"].encode() if "sep" in options else None
        kept = []
        for f in found:
            span = reference.field_range(lines[f.line - 1], options["field"], sep)
            at = f.offset - starts[f.line - 1]
            if span and span[0] <= at and at + f.length <= span[1]:
                kept.append(f)
        return kept
    return found


@pytest.mark.parametrize("options", SELECTIONS, ids=str)
def test_every_number_is_what_a_counter_says_of_the_shared_logs(shared_data: Path, options: dict[str, Any]) -> None:
    texts = [head_of_log(path, 250) for path in sorted((shared_data / "logs").iterdir())]
    assert len(texts) >= 4
    got = summarize([io.BytesIO(text) for text in texts], **options)
    found = [f for text in texts for f in oracle(text, options)]
    assert_counts(got, [(f.version, f.value) for f in found])
    assert (got.lines, got.bytes) == (sum(text.count(b"\n") for text in texts), sum(map(len, texts)))
    if {"first", "field"} & options.keys():
        with_one = {(i, f.line) for i, text in enumerate(texts) for f in oracle(text, options)}
        assert got.invalid == got.lines - len(with_one)
    else:
        assert got.invalid == 0
    assert got.errors == []
    assert 0 < got.seconds < 60


@pytest.mark.parametrize("threads", [1, 2, None])
def test_whole_shared_logs_from_their_files(shared_data: Path, threads: int | None) -> None:
    paths = sorted((shared_data / "logs").iterdir())
    texts = [head_of_log(path, 1 << 30) for path in paths]
    got = summarize(paths, threads=threads, top=25)
    assert_counts(got, [address for text in texts for address in addresses_in(text)], top=25)
    assert got.bytes == sum(map(len, texts))
    assert got.lines == sum(text.count(b"\n") + (not text.endswith(b"\n")) for text in texts)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"a", 1),
        (b"a\n", 1),
        (b"a\nb", 2),
        (b"\n\n\n", 3),
        (b"::1\n::1", 2),
        (b"\r\n", 1),
        (b"\0", 1),
    ],
)
def test_lines_are_counted_as_people_do(text: bytes, lines: int) -> None:
    assert summarize(io.BytesIO(text)).lines == lines
    assert summarize(io.BytesIO(text), first=True).lines == lines
    assert summarize(io.BytesIO(text), field=1).lines == lines


def test_lines_without_what_was_chosen_are_invalid() -> None:
    assert summarize(io.BytesIO(TEXT)).invalid == 0
    assert summarize(io.BytesIO(TEXT), first=True).invalid == 1
    assert summarize(io.BytesIO(TEXT), field=1).invalid == 2
    assert summarize(io.BytesIO(TEXT), key="ip").invalid == 4
    assert summarize(io.BytesIO(b"10.0.0.1 10.0.0.2\n\n"), field=2).invalid == 1


def test_key_counts_what_json_lines_hold_there() -> None:
    lines = [json.dumps({"ip": f"10.0.0.{i % 3}", "other": "8.8.8.8"}) for i in range(1000)]
    got = summarize(io.BytesIO("\n".join(lines).encode()), key="ip")
    assert got.top_addresses == [("10.0.0.0", 334), ("10.0.0.1", 333), ("10.0.0.2", 333)]
    assert got.by_kind == {"private": 1000}


# --- top ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_equals_among_the_top_are_in_order_of_family_and_value(threads: int) -> None:
    rng = random.Random(2)
    addresses = [f"10.0.{i}.{j}" for i in range(8) for j in range(30)] + [f"2001:db8::{i:x}" for i in range(60)]
    texts = []
    for _ in range(8):
        rng.shuffle(addresses)
        texts.append("\n".join(addresses).encode())
    got = summarize([io.BytesIO(text) for text in texts], top=270, threads=threads)
    assert got.top_addresses[:242] == [
        *[(f"10.0.{i}.{j}", 8) for i in range(8) for j in range(30)],
        ("2001:db8::", 8),
        ("2001:db8::1", 8),
    ]
    assert got.top_networks == [("2001:db8::/48", 480), *[(f"10.0.{i}.0/24", 240) for i in range(8)]]


@pytest.mark.parametrize("top", [0, 1, 2, 3, 100, 100_000, 2**32 - 1])
def test_top_may_be_more_or_less_than_there_are(top: int) -> None:
    got = summarize(io.BytesIO(TEXT), top=top)
    assert_counts(got, addresses_in(TEXT), top=top)


def test_a_large_top_takes_no_time() -> None:
    rng = random.Random(3)
    text = b"\n".join(b"%d.%d.%d.%d" % tuple(rng.randbytes(4)) for _ in range(200_000))
    got = summarize(io.BytesIO(text), top=150_000)
    assert got.top_addresses == shown(ranked(Counter(addresses_in(text)))[:150_000])


# --- sources --------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.log"
    path.write_bytes(TEXT)
    return path


def test_one_source_need_not_be_in_a_list(path: Path) -> None:
    wanted = without_time(summarize([path]))
    assert wanted.addresses == 4
    assert without_time(summarize(path)) == wanted
    assert without_time(summarize(str(path))) == wanted
    assert without_time(summarize(os.fsencode(path))) == wanted
    assert without_time(summarize(io.BytesIO(TEXT))) == wanted
    with path.open("rb") as file:
        assert without_time(summarize(file)) == wanted
        assert not file.closed


def test_sources_may_come_from_any_iterable(path: Path) -> None:
    assert summarize(path for _ in range(3)).addresses == 12
    assert summarize({path}).addresses == 4
    assert summarize(iter([io.BytesIO(TEXT), str(path)])).addresses == 8


def test_no_sources_are_an_empty_summary() -> None:
    got = summarize([])
    assert_counts(got, [])
    assert (got.lines, got.bytes, got.invalid, got.errors) == (0, 0, 0, [])
    assert "0" in got.to_text()


def test_compressed_sources_count_as_their_text(tmp_path: Path) -> None:
    text = log(5000)
    (tmp_path / "a").write_bytes(gzip.compress(text))
    (tmp_path / "b").write_bytes(lzma.compress(text, preset=0))
    got = summarize([tmp_path / "a", tmp_path / "b"])
    assert_counts(got, addresses_in(text) * 2)
    assert got.bytes == 2 * len(text)


def test_a_named_pipe_is_opened_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_bytes, args=(TEXT,))
    thread.start()
    got = summarize(pipe, progress=lambda done, total: None)
    thread.join()
    assert got.addresses == 4


@pytest.mark.parametrize("source", [5, None, [5], [None], [io.StringIO("10.0.0.1")]])
def test_what_is_no_source_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError):
        summarize(source)


def test_a_failure_of_another_kind_is_not_the_files(path: Path) -> None:
    class Broken(io.BytesIO):
        def readinto(self, room: Any) -> int:
            raise IndexError("a bug of somebody's")

        readinto1 = readinto

    for threads in (1, 3):
        with pytest.raises(IndexError, match="somebody's"):
            summarize([path, Broken(TEXT), path], threads=threads)


# --- bad sources among good ones ------------------------------------------------------------------------------------


def bad_sources(folder: Path) -> dict[str, str]:
    """Paths that cannot be read, or not to their end; and a part of what is said of each."""
    good = log(20_000)
    cut_off, damaged = folder / "cut off.gz", folder / "damaged.xz"
    packed = gzip.compress(good, 1)
    cut_off.write_bytes(packed[: len(packed) * 2 // 3])
    bad = bytearray(lzma.compress(good, preset=0))
    bad[len(bad) // 2] ^= 0xFF
    damaged.write_bytes(bad)
    (folder / "directory").mkdir()
    return {
        str(folder / "missing"): "No such file or directory",
        str(folder / "directory"): "Is a directory",
        str(cut_off): "ends too soon",
        str(damaged): "damaged",
        str(folder / "some.log" / "below a file"): "Not a directory",
        str(folder / ("n" * 300)): "File name too long",
        "/proc/self/mem": "Input/output error",
        "nul\0byte": "null byte",
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_bad_sources_are_named_in_a_line_and_the_others_counted(path: Path, tmp_path: Path, threads: int) -> None:
    bad = bad_sources(tmp_path)
    (tmp_path / "empty").touch()
    sources = [path, *bad, tmp_path / "empty", path]
    got = summarize(sources, threads=threads)
    errors = dict(got.errors)
    assert len(got.errors) == len(errors) == len(bad)
    for name, message in bad.items():
        assert message in errors[name], name
        assert "\n" not in errors[name]
        assert name not in errors[name]
    # All of the readable ones, and what came before the place where the others end.
    part = summarize(str(tmp_path / "cut off.gz")).addresses + summarize(str(tmp_path / "damaged.xz")).addresses
    assert part > 20_000
    assert got.addresses == 8 + part


def test_one_bad_source_alone(tmp_path: Path) -> None:
    got = summarize(tmp_path / "missing")
    assert got.errors == [(str(tmp_path / "missing"), "No such file or directory")]
    assert (got.lines, got.bytes, got.addresses) == (0, 0, 0)


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    got = summarize(tmp_path / "empty")
    assert (got.errors, got.lines, got.bytes, got.unique) == ([], 0, 0, 0)


def test_binary_files_are_searched_like_any_other() -> None:
    rng = random.Random(5)
    noise = rng.randbytes(300_000).replace(b"BZh", b"xxx")
    text = b"\0\xff" + noise + b"\n10.0.0.1\0\xff10.0.0.2\0" + noise
    assert_counts(summarize(io.BytesIO(text)), [(f.version, f.value) for f in reference.extract(text)])


def test_a_file_without_permission_is_named(path: Path) -> None:
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody: root may read everything
    try:
        got = summarize(path)
    finally:
        os.seteuid(user)
    assert got.errors == [(str(path), "Permission denied")]


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.log" for i in range(4)]
    for each in paths:
        each.write_bytes(TEXT)

    def remove(done: int, total: int | None) -> None:
        paths[2].unlink(missing_ok=True)

    got = summarize(paths, threads=1, progress=remove)
    assert got.errors == [(str(paths[2]), "No such file or directory")]
    assert got.addresses == 12


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff"
    assert summarize(name).errors == [(os.fsdecode(name), "No such file or directory")]


def test_a_stream_that_fails_is_named_and_what_came_before_counts() -> None:
    class Failing:
        name = "the failing one"
        left = io.BytesIO(TEXT * 3)

        def read(self, n: int) -> bytes:
            data = self.left.read(n)
            if not data:
                raise OSError(5, "Input/output error")
            return data

    got = summarize(Failing())
    assert got.errors == [("the failing one", "Input/output error")]
    assert (got.addresses, got.lines, got.bytes) == (12, 12, 3 * len(TEXT))


def test_a_line_too_long_to_hold_is_named(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(b"10.0.0.1\n")
        file.truncate((66 << 20) + 9)
    got = summarize(path, field=1)
    assert got.errors == [(str(path), "line 2 is longer than 64 MiB")]
    assert got.addresses == 1
    assert summarize(path).errors == []


# --- large plain files, in parallel ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """70 MB and a little: more than two segments."""
    path = tmp_path_factory.mktemp("large") / "large.log"
    block = log(60_000)
    with path.open("wb") as file:
        while file.tell() < 70_000_000:
            file.write(block)
        file.write(b"the end is 192.0.2.7, without a newline")
    yield path
    path.unlink()


@pytest.mark.parametrize("options", [{}, {"first": True}, {"field": 4}], ids=str)
def test_threads_change_nothing_of_a_large_file(large: Path, options: dict[str, Any]) -> None:
    with large.open("rb") as file:
        stream = without_time(summarize(file, top=50, **options))
    assert stream.addresses > 500_000 or options
    assert stream.lines > 500_000
    for threads in (1, 2, 5, None):
        assert without_time(summarize(large, threads=threads, top=50, **options)) == stream


def test_giant_lines_over_the_borders_of_segments_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "giant.log"
    giant = b"10.0.0.1 " * 1000 + b"x" * 50_000_000 + b" 10.0.0.2" * 1000
    short = log(1000)
    text = short + giant + b"\n" + short + giant[::-1] + b"\n\n" + short
    path.write_bytes(text)
    one = without_time(summarize(io.BytesIO(text)))
    assert one.lines == 3003
    assert dict(one.top_addresses)["10.0.0.1"] >= 1000
    for threads in (1, 4):
        assert without_time(summarize(path, threads=threads)) == one


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_newlines_just_at_the_borders_of_segments(tmp_path: Path, shift: int) -> None:
    size, border = 65 << 20, 32 << 20
    text = bytearray(b" ") * size
    for at in (border, 2 * border):
        text[at + shift - 8 : at + shift + 9] = b"10.0.0.1\n10.0.0.2"
    text[-9:] = b" 10.0.0.3"
    path = tmp_path / "borders.log"
    path.write_bytes(text)
    got = summarize(path, threads=2)
    assert got.top_addresses == [("10.0.0.1", 2), ("10.0.0.2", 2), ("10.0.0.3", 1)]
    assert got.lines == 3


def test_a_large_file_that_vanishes_is_named_once(large: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.log"
    os.link(large, path)
    got = summarize(path, threads=1, progress=lambda done, total: path.unlink(missing_ok=True))
    assert got.errors == [(str(path), "No such file or directory")]
    assert 0 < got.bytes < 70_000_000


# --- bounded memory -------------------------------------------------------------------------------------------------

HEAVY = [(f"203.0.113.{i}", 4000 + 100 * i) for i in range(10)]


@functools.cache
def wide_log() -> tuple[bytes, int]:
    """Heavy hitters among 250,000 addresses that come once or twice; and how many different ones."""
    rng = random.Random(8)
    once = {bytes(rng.randbytes(4)) for _ in range(150_000)}
    lines = [b"%d.%d.%d.%d" % tuple(packed) for packed in once] * 2
    lines += [ipaddress.IPv6Address(rng.randbytes(16)).compressed.encode() for _ in range(100_000)]
    lines += [address.encode() for address, count in HEAVY for _ in range(count)]
    rng.shuffle(lines)
    text = b"\n".join(lines)
    return text, len(set(addresses_in(text)))


def test_exactly_as_many_as_max_distinct_are_counted_exactly() -> None:
    text = log(3000)
    found = addresses_in(text)
    assert_counts(summarize(io.BytesIO(text), max_distinct=len(set(found))), found)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("max_distinct", [1000, 20_000, 200_000])
def test_beyond_max_distinct_what_is_estimated_is_near_and_marked(threads: int, max_distinct: int) -> None:
    text, unique = wide_log()
    lines = text.splitlines(keepends=True)
    parts = [io.BytesIO(b"".join(lines[i::threads])) for i in range(threads)]
    got = summarize(parts, max_distinct=max_distinct, threads=threads)
    assert got.addresses == len(lines)
    assert got.estimated
    assert abs(got.unique - unique) < 0.03 * unique
    top = dict(got.top_addresses)
    for address, count in HEAVY:
        assert count - got.count_error <= top.get(address, 0) <= count
    assert got.count_error < 1000 or max_distinct == 1000
    total = sum(count for _, count in HEAVY)
    networks = dict(got.top_networks)
    assert total - 2 * got.count_error <= networks.get("203.0.113.0/24", 0) <= total + 10
    assert got.top_networks[0][0] == "203.0.113.0/24" or total < 2 * got.count_error
    assert sum(got.by_kind.values()) == got.addresses
    assert f"~{got.unique:,}" in got.to_text()


def test_the_smallest_max_distinct_still_counts_all_kinds() -> None:
    text, unique = wide_log()
    got = summarize(io.BytesIO(text), max_distinct=1)
    assert sum(got.by_kind.values()) == got.addresses == len(text.splitlines())
    assert abs(got.unique - unique) < 0.03 * unique


# --- progress and interruption --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_is_told_from_start_to_end(large: Path, threads: int) -> None:
    told: list[tuple[int, int | None]] = []
    summarize([large, large], threads=threads, progress=lambda done, total: told.append((done, total)))
    size = 2 * large.stat().st_size
    assert told[-1] == (size, size)
    assert {total for _, total in told} == {size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 1


def test_progress_has_no_total_where_that_is_unknown(path: Path) -> None:
    told: list[int | None] = []
    summarize([io.BytesIO(TEXT)], progress=lambda done, total: told.append(total))
    summarize([path, io.BytesIO(TEXT)], progress=lambda done, total: told.append(total))
    assert set(told) == {None}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError, ZeroDivisionError])
def test_what_progress_raises_stops_the_work(large: Path, threads: int, error: type[BaseException]) -> None:
    def stop(done: int, total: int | None) -> None:
        raise error("enough")

    before = threading.active_count()
    with pytest.raises(error, match="enough"):
        summarize([large] * 50, threads=threads, progress=stop)
    wait_until(lambda: threading.active_count() <= before)


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


class Endless(io.RawIOBase):
    """A log that somebody writes faster than anybody reads."""

    block = log(2000)

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        n = min(len(room), len(self.block))
        room[:n] = self.block[:n]
        return n


@pytest.mark.timed
@pytest.mark.parametrize("threads", [1, 3])
def test_control_c_stops_within_a_moment(threads: int) -> None:
    before = threading.active_count()
    start = time.monotonic()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        summarize([Endless() for _ in range(threads)], threads=threads)
    assert time.monotonic() - start < 0.3 + 1
    timer.join()
    wait_until(lambda: threading.active_count() <= before)


# --- arguments, and the summary as a thing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": -1}, "top=-1"),
        ({"top": 1 << 32}, "top=4294967296"),
        ({"max_distinct": 0}, "max_distinct=0"),
        ({"max_distinct": 1 << 63}, "max_distinct=9223372036854775808"),
        ({"threads": 0}, "threads=0"),
        ({"boundary": "x"}, "boundary"),
        ({"versions": ()}, "versions"),
        ({"first": True, "field": 1}, "give one of them"),
        ({"field": 0}, "field=0"),
        ({"sep": ","}, "sep"),
        ({"key": "."}, "key"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarize(io.BytesIO(TEXT), **options)


def test_a_summary_is_plain_values_for_json(path: Path) -> None:
    got = summarize([path, path.with_name("missing")])
    plain = json.loads(json.dumps(got.to_dict()))
    assert plain == got.to_dict()
    assert set(plain) == set(LogSummary._fields)
    assert plain["top_addresses"][0] == {"address": "10.0.0.1", "count": 2}
    assert plain["top_networks"][0] == {"network": "10.0.0.0/24", "count": 2}
    assert plain["errors"] == [{"source": str(path.with_name("missing")), "message": "No such file or directory"}]
    assert plain["by_class"] == {"A": 3, "": 1}


def test_a_summary_is_a_table(path: Path) -> None:
    text = summarize(path, first=True).to_text()
    for name, value in (("lines", "4"), ("addresses", "3"), ("unique", "3"), ("lines without", "1"), ("private", "1")):
        assert any(line.split() == [*name.split(), value] for line in text.splitlines()), name
    assert "~" not in text
