"""netfast.scan: every source, every compression, damage, and memory that stays flat however long the stream."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
import reference
from netfast import scan
from netfast.sources import Part, opened

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"10.0.0.1 a\nfrom [2001:db8::1]:80\n\n1.1.1.1 Chrome/126.0.0.0 8.8.8.8\n"
OFFSETS = [0, 17, 34, 59]
LINES = [1, 2, 4, 4]


@functools.cache
def log(lines: int) -> bytes:
    rng = random.Random(1)
    return b"".join(
        b'%d.%d.%d.%d - - [%d] "GET /%x HTTP/1.1" 200\n' % (*rng.randbytes(4), i, rng.getrandbits(60))
        for i in range(lines)
    )


def offsets(source: Any, **options: Any) -> list[int]:
    return [offset for piece in scan(source, **options) for offset in piece.offset.tolist()]


def assert_scans_as_text(source: Any, **options: Any) -> None:
    pieces = list(scan(source, **options))
    assert [offset for piece in pieces for offset in piece.offset.tolist()] == OFFSETS
    assert [line for piece in pieces for line in piece.line.tolist()] == LINES


# --- sources --------------------------------------------------------------------------------------------------------


class OnlyRead:
    """The least that can be called a file."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, n: int) -> bytes:
        return self._file.read(n)


class Trickle(OnlyRead):
    """Gives a byte or two at a time, as a slow connection may."""

    def read(self, n: int) -> bytes:
        return super().read(min(n, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.log"
    path.write_bytes(TEXT)
    return path


def test_a_path_may_be_of_any_type(path: Path) -> None:
    assert_scans_as_text(path)
    assert_scans_as_text(str(path))
    assert_scans_as_text(os.fsencode(path))


def test_a_path_need_not_be_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n.log"
    with open(path, "wb") as file:
        file.write(TEXT)
    assert_scans_as_text(path)
    assert_scans_as_text(os.fsdecode(path))


@pytest.mark.parametrize(
    "make",
    [
        io.BytesIO,
        lambda data: io.BufferedReader(io.BytesIO(data)),
        OnlyRead,
        Trickle,
        lambda data: [data],
        lambda data: (data[i : i + 1] for i in range(len(data))),
        lambda data: iter([b"", data[:20], b"", memoryview(data)[20:30], bytearray(data[30:]), b""]),
    ],
    ids=["BytesIO", "BufferedReader", "only read()", "trickle", "list", "bytes one by one", "chunks of any type"],
)
@pytest.mark.parametrize("chunk", [1, 10, 1 << 20])
def test_files_and_chunks_give_the_same(make: Callable[[bytes], Any], chunk: int) -> None:
    assert_scans_as_text(make(TEXT), chunk=chunk)


def test_an_open_file_is_read_from_where_it_is_and_stays_open(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(11)
        assert offsets(file) == [6, 23, 48]
        assert not file.closed
    with path.open("rb", buffering=0) as raw:
        assert_scans_as_text(raw)
        assert not raw.closed


def test_a_pipe_is_a_file() -> None:
    reader, writer = os.pipe()
    thread = threading.Thread(target=write_all, args=(writer, TEXT * 20_000))
    thread.start()
    with open(reader, "rb", buffering=0) as file:
        assert len(offsets(file)) == 4 * 20_000
    thread.join()


def write_all(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)


def test_a_named_pipe_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(TEXT,))
    thread.start()
    assert_scans_as_text(path)
    thread.join()


def test_a_process_is_read_through_its_pipe() -> None:
    command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({TEXT!r})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert_scans_as_text(process.stdout)


def test_files_of_the_standard_library_serve(tmp_path: Path) -> None:
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(TEXT)
        spooled.seek(0)
        assert_scans_as_text(spooled)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log", TEXT)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("log") as member:
        assert_scans_as_text(member)


def test_a_file_open_for_text_is_a_type_error(path: Path) -> None:
    with path.open() as file, pytest.raises(TypeError, match="open for text"):
        list(scan(file))
    with pytest.raises(TypeError, match="open for text"):
        list(scan(io.StringIO("10.0.0.1")))


@pytest.mark.parametrize("source", [["10.0.0.1"], [1, 2], [None], [b"10.0.0.1", "x"], 5, None, object()])
def test_what_is_neither_file_nor_chunks_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError):
        list(scan(source))


@pytest.mark.parametrize("name", ["missing", "missing/deeper", "a\0b"])
def test_a_path_that_cannot_be_opened_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises((OSError, ValueError)):
        list(scan(f"{tmp_path}/{name}"))


def test_a_directory_raises(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        list(scan(tmp_path))


def test_nothing_to_read_yet_is_not_the_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, TEXT)
    with open(reader, "rb", buffering=0) as file, open(writer, "wb"):
        seen = []
        with pytest.raises(BlockingIOError):
            seen += [piece.offset.tolist() for piece in scan(file)]
    assert seen == []


def test_a_file_that_fails_gives_first_what_it_had() -> None:
    def chunks() -> Iterator[bytes]:
        yield TEXT
        raise OSError(5, "Input/output error")

    found: list[int] = []
    with pytest.raises(OSError, match="Input/output error"):
        for piece in scan(chunks()):
            found += piece.offset.tolist()
    assert found == OFFSETS


def test_an_empty_source_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    sources: list[Any] = [tmp_path / "empty", io.BytesIO(), [], [b""], iter([b"", b""])]
    for source in sources:
        assert list(scan(source)) == []


@pytest.mark.parametrize("size", range(12))
def test_files_shorter_than_any_magic_are_text(size: int) -> None:
    text = b"::1 1.1.1.1"[:size]
    assert offsets(io.BytesIO(text)) == [f.offset for f in reference.extract(text)]


def test_a_scan_can_be_given_up(path: Path) -> None:
    pieces = scan(io.BytesIO(TEXT * 1000), chunk=100)
    assert len(next(pieces)) > 0
    pieces.close()  # type: ignore[attr-defined]
    assert list(pieces) == []


def test_pieces_stay_as_they_were_when_the_next_comes() -> None:
    pieces = list(scan(io.BytesIO(TEXT * 1000), chunk=1000))
    assert len(pieces) > 50
    text = TEXT * 1000
    for piece in pieces:
        for offset, length, packed, version in zip(
            piece.offset, piece.length, piece.packed, piece.version, strict=True
        ):
            value = int.from_bytes(packed.tobytes(), "big") & (0xFFFFFFFF if version == 4 else ~0)
            assert reference.parse(text[offset : offset + length]) == (version, value, None)


# --- compressed -----------------------------------------------------------------------------------------------------

Compress = Callable[[bytes], bytes]

FORMATS: dict[str, Compress] = {
    "gz": functools.partial(gzip.compress, compresslevel=1),
    "zst": functools.partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),  # as the tool does
    "xz": functools.partial(lzma.compress, preset=0),
    "bz2": functools.partial(bz2.compress, compresslevel=1),
}
formats = pytest.mark.parametrize("compress", FORMATS.values(), ids=FORMATS.keys())


@formats
@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
def test_compressed_text_is_known_by_its_first_bytes(tmp_path: Path, compress: Compress, chunk: int) -> None:
    path = tmp_path / "no ending"
    path.write_bytes(compress(TEXT))
    assert_scans_as_text(path, chunk=chunk)
    assert_scans_as_text(io.BytesIO(compress(TEXT)), chunk=chunk)
    assert_scans_as_text(OnlyRead(compress(TEXT)), chunk=chunk)
    assert_scans_as_text(Trickle(compress(TEXT)), chunk=chunk)
    assert_scans_as_text([compress(TEXT)], chunk=chunk)
    assert_scans_as_text((compress(TEXT)[i : i + 1] for i in range(1000)), chunk=chunk)


@formats
def test_several_compressed_parts_in_a_row_are_one_text(compress: Compress) -> None:
    parts = [TEXT[:20], b"", TEXT[20:50], TEXT[50:]]
    assert_scans_as_text(io.BytesIO(b"".join(map(compress, parts))))
    many = b"".join(compress(TEXT[i : i + 1]) for i in range(len(TEXT)))
    assert_scans_as_text(io.BytesIO(many), chunk=7)
    for piece in (1, 2, 3, 7, 100):
        assert_scans_as_text(many[i : i + piece] for i in range(0, len(many), piece))


@formats
def test_parts_that_begin_where_a_read_ends_are_found(compress: Compress) -> None:
    """Files are read in blocks, and the first bytes of a part may lie in two of them."""
    noise = bytes(byte | 0x80 for byte in random.Random(7).randbytes(280_000))
    one, other = compress(noise + b" 10.0.0.1\n"), compress(b"10.0.0.2")
    assert 200_000 < len(one) < 256 << 10
    for place in range(256 << 10, (256 << 10) + 8):
        padded = one + bytes(place - 4 - len(one)) + other
        assert len(offsets(io.BytesIO(padded))) == 2


def test_zstd_may_begin_with_a_frame_to_skip() -> None:
    for user in range(16):
        skipped = bytes([0x50 + user]) + b"\x2a\x4d\x18\x04\0\0\0abcd"
        assert_scans_as_text(io.BytesIO(skipped + zstd.compress(TEXT) + skipped))


@formats
def test_large_compressed_text_is_found_whole(compress: Compress) -> None:
    text = log(30_000)
    assert offsets(io.BytesIO(compress(text))) == nf.extract(text).offset.tolist()


@formats
def test_nothing_compressed_gives_nothing(compress: Compress) -> None:
    assert offsets(io.BytesIO(compress(b""))) == []


@formats
@pytest.mark.parametrize("zeros", [1, 512, 300_000])
def test_zeros_behind_compressed_text_are_padding(compress: Compress, zeros: int) -> None:
    assert_scans_as_text(io.BytesIO(compress(TEXT) + bytes(zeros)))
    assert offsets(io.BytesIO(compress(TEXT) + bytes(zeros) + compress(TEXT))) == OFFSETS + [
        o + len(TEXT) for o in OFFSETS
    ]


def test_gzip_headers_of_every_kind_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    with gzip.GzipFile("a name", "wb", fileobj=out, mtime=1) as file:
        file.write(TEXT)
    assert_scans_as_text(io.BytesIO(out.getvalue()))
    raw = gzip.compress(TEXT)
    extra = raw[:3] + bytes([raw[3] | 4 | 16]) + raw[4:10] + b"\x03\0abc" + b"a comment\0" + raw[10:]
    assert_scans_as_text(io.BytesIO(extra))


# How much of a text can be had from 3/4 of its compressed bytes.
CUT_OFF = {"gz": 0.74, "zst": 0.7, "xz": 0.74, "bz2": 0.7}


def found_before_error(data: bytes, error: type[Exception], message: str) -> list[int]:
    found: list[int] = []
    with pytest.raises(error, match=message):
        for piece in scan(io.BytesIO(data)):
            found += piece.offset.tolist()
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_what_comes_before_the_place_where_compressed_text_is_cut_off_is_found(name: str) -> None:
    text = log(60_000)
    all_of_it = nf.extract(text).offset.tolist()
    data = FORMATS[name](text)
    found = found_before_error(data[: len(data) * 3 // 4], EOFError, "ends too soon")
    assert found == all_of_it[: len(found)]
    assert len(found) > CUT_OFF[name] * len(all_of_it)


@formats
def test_compressed_text_cut_off_anywhere_raises(compress: Compress) -> None:
    data = compress(TEXT)
    for size in range(6, len(data)):
        found = found_before_error(data[:size], EOFError, "ends too soon")
        assert found == OFFSETS[: len(found)]


def test_all_of_a_small_gzip_that_was_cut_off_is_found() -> None:
    text = log(2000)
    data = gzip.compress(text)
    assert found_before_error(data[:-4], EOFError, "ends too soon") == nf.extract(text).offset.tolist()
    assert len(found_before_error(data[: len(data) // 2], EOFError, "ends too soon")) > 800


@formats
def test_what_comes_before_damage_is_found(compress: Compress) -> None:
    text = log(60_000)
    all_of_it = nf.extract(text).offset.tolist()
    data = bytearray(compress(text))
    at = len(data) * 3 // 4
    data[at : at + 40] = bytes(byte ^ 0x55 for byte in data[at : at + 40])
    found = found_before_error(bytes(data), OSError, "damaged")
    # What comes out of damaged data before it is noticed may be anything; but not in front of the damage.
    assert found[: len(all_of_it) // 2] == all_of_it[: len(all_of_it) // 2]


@formats
def test_what_comes_before_rubbish_behind_the_end_is_found(compress: Compress) -> None:
    assert found_before_error(compress(TEXT) + b"rubbish, and no padding", OSError, "damaged") == OFFSETS


@formats
def test_only_the_beginning_of_a_compressed_file_is_cut_off_text(compress: Compress) -> None:
    assert found_before_error(compress(TEXT)[:6], EOFError, "ends too soon") == []


def test_a_wrong_checksum_is_damage() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1
    found_before_error(bytes(data), OSError, "damaged")


def test_text_that_only_begins_like_compressed_text_is_text() -> None:
    for beginning in (b"\x1f\x8b", b"\x28\xb5\x2f", b"\xfd7zX", b"BZh", b"BZh0", b"BZ"):
        assert offsets([beginning, b" 10.0.0.1"]) == [len(beginning) + 1]


@pytest.mark.parametrize(("name", "ending"), [("gzip", "gz"), ("zstd", "zst"), ("xz", "xz"), ("bzip2", "bz2")])
def test_what_the_tools_write_is_read(tmp_path: Path, tool: Callable[[str], str], name: str, ending: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(log(2000))
    subprocess.run([tool(name), "-k", "-q", path], check=True, stdin=subprocess.DEVNULL)
    assert offsets(f"{path}.{ending}") == nf.extract(log(2000)).offset.tolist()


# --- selections -----------------------------------------------------------------------------------------------------


def test_first_takes_one_of_a_line_wherever_the_seams_are() -> None:
    for chunk in (1, 7, 64, 1 << 20):
        assert offsets(io.BytesIO(TEXT), first=True, chunk=chunk) == OFFSETS[:3]


def test_a_field_is_found_in_lines_longer_than_a_chunk() -> None:
    text = b"x " + b"y" * 5000 + b" 10.0.0.1 z\na b 10.0.0.2\n"
    for chunk in (1, 100, 4096, 1 << 20):
        assert offsets(io.BytesIO(text), field=3, chunk=chunk) == [5003, 5018]


@pytest.mark.parametrize("chunk", [100, 4096])
def test_long_lines_in_small_chunks_take_no_time(chunk: int) -> None:
    text = b"x" * 5_000_000 + b" 10.0.0.1\n"
    assert offsets(io.BytesIO(text), field=2, chunk=chunk) == [5_000_001]


def test_a_line_too_long_to_hold_raises_with_its_number() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"10.0.0.1 a\n"
        for _ in range(80):
            yield b"x" * (1 << 20)

    found: list[int] = []
    with pytest.raises(ValueError, match="line 2 is longer than 64 MiB"):
        for piece in scan(chunks(), field=1):
            found += piece.offset.tolist()
    assert found == [0]


def test_a_selection_of_lines_that_end_in_carriage_returns() -> None:
    text = b"a,10.0.0.1\r\nb,10.0.0.2\r\n"
    assert offsets([text], field=2, sep=",") == [2, 14]
    assert offsets([text], field=2, sep=b",") == [2, 14]


def test_key_reads_json_lines() -> None:
    text = (
        b'{"client": {"ip": "10.0.0.1", "other": "1.1.1.1"}, "ip": "2.2.2.2"}\n'
        b'{"other": "10.0.0.9", "client": {"name": "x \\" } ", "ip": "[::1]:80"}}\n'
        b"no JSON 10.0.0.8\n"
        b'{"client": [{"ip": "10.0.0.2"}]}\n'
    )
    assert [text[o : o + 3] for o in offsets([text], key="client.ip")] == [b"10.", b"::1"]
    assert [text[o : o + 8] for o in offsets([text], key="client.0.ip")] == [b"10.0.0.2"]
    assert offsets([text], key="client") == []


def test_names_are_compared_as_they_are_written() -> None:
    assert offsets([b'{"\\u0069p": "10.0.0.1"}'], key="ip") == []
    assert offsets([b'{"\\u0069p": "10.0.0.1"}'], key="\\u0069p") == [13]
    assert offsets(['{"é": "10.0.0.1"}'.encode()], key="é") == [8]


def test_the_first_of_repeated_names_counts() -> None:
    assert offsets([b'{"ip": "10.0.0.1", "ip": "10.0.0.2"}'], key="ip") == [8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk": 0}, "chunk=0"),
        ({"chunk": -1}, "chunk=-1"),
        ({"boundary": "x"}, "boundary"),
        ({"versions": [5]}, "versions"),
        ({"first": True, "field": 1}, "give one of them"),
        ({"first": True, "key": "a"}, "give one of them"),
        ({"field": 1, "key": "a"}, "give one of them"),
        ({"field": 0}, "field=0"),
        ({"field": -1}, "field=-1"),
        ({"sep": ","}, "sep goes with field"),
        ({"field": 1, "sep": ""}, "sep is empty"),
        ({"key": ""}, "key=''"),
        ({"key": "a..b"}, "key='a..b'"),
        ({"key": ".a"}, "key='.a'"),
        ({"key": ".".join("abcdefghijklmnopq")}, "1 to 16 names"),
    ],
)
def test_bad_arguments_are_named_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan(io.BytesIO(TEXT), **options)


# --- memory ---------------------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("options", [{}, {"first": True}, {"field": 1}], ids=str)
def test_memory_stays_flat_over_300_megabytes(options: dict[str, Any]) -> None:
    block = log(16_000)[: 1 << 20]
    found = 0

    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield block

    pieces = scan(chunks(), **options)
    for _ in range(5):
        found += len(next(pieces))
    before = resident()
    tracemalloc.start()
    try:
        for piece in pieces:
            found += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found > 300 * 15_000
    assert peak < 8 << 20
    assert resident() - before < 32 << 20


def test_memory_stays_flat_over_what_a_small_file_unpacks_to() -> None:
    packed = zstd.compress(b"10.0.0.1 - - some more of the line\n" * 6_000_000)
    assert len(packed) < 100_000
    found = sum(len(piece) for piece in scan(io.BytesIO(packed)))
    before = resident()
    assert found == sum(len(piece) for piece in scan(io.BytesIO(packed))) == 6_000_000
    assert resident() - before < 32 << 20


def test_a_part_ends_where_it_shall() -> None:
    """However it is read, also into a room that is cut by copying it."""
    part = Part(io.BytesIO(b"0123456789"), 7)
    room = bytearray(4)
    assert (part.read(2), part.readinto(room), bytes(room), part.left) == (b"01", 4, b"2345", 1)
    assert (part.readinto(memoryview(room)), bytes(room), part.left) == (1, b"6345", 0)
    assert (part.read(3), part.readinto(room), part.left) == (b"", 0, 0)


def test_a_part_of_a_file_that_is_shorter_has_something_left() -> None:
    part = Part(io.BytesIO(b"0123"), 7)
    assert (part.read(7), part.read(7), part.left) == (b"0123", b"", 3)


@formats
def test_a_part_is_decompressed_up_to_its_end(compress: Compress) -> None:
    packed = compress(b"10.0.0.1")
    with opened(Part(io.BytesIO(packed + compress(b"9.9.9.9")), len(packed))) as file:
        assert file.read() == b"10.0.0.1"
