"""Columns of Parquet and Arrow files: every type, row by row what nf.classify says; formats; errors."""

import gzip
import io
import os
import random
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import netfast as nf
from netfast import arrow_files, arrow_rows
from netfast.arrow_rows import Rows, Writer, rows_of_column, rows_of_text
from netfast.prefixes import PrefixTable

TEXTS = [
    "10.0.0.1",
    None,
    "",
    "8.8.8.8",
    "8.8.8.8:53",
    " 8.8.8.8",
    "010.0.0.1",
    "::",
    "0::0",
    "::1",
    "2001:DB8:0:0::1",
    "::ffff:192.0.2.1",
    "fe80::1%eth0",
    'fe80::2%a"b,c\\d',
    "::%lo",
    "fe80::3%" + "x" * 40,
    "Chrome/126.0.0.0",
    "two\n8.8.8.8",
    "224.0.0.1",
    "no",
    "10.0.0.1",
]
PACKED = [b"\x7f\0\0\1", None, b"\x08" * 4, b"\xff" * 4]

COLUMNS: dict[str, pa.Array] = {
    "string": pa.array(TEXTS),
    "large_string": pa.array(TEXTS, pa.large_string()),
    "string_view": pa.array(TEXTS, pa.string_view()),
    "binary": pa.array([None if text is None else text.encode() for text in TEXTS], pa.binary()),
    "large_binary": pa.array([None if text is None else text.encode() for text in TEXTS], pa.large_binary()),
    "binary_view": pa.array([None if text is None else text.encode() for text in TEXTS], pa.binary_view()),
    "long views": pa.array(["10.0.0.1", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", None, "x" * 50], pa.string_view()),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "uint32": pa.array([0x0A000001, None, 0, 2**32 - 1], pa.uint32()),
    "packed4": pa.array(PACKED, pa.binary(4)),
    "packed16": pa.array([b"\0" * 15 + b"\1", None, b"\0" * 16, b"\0" * 10 + b"\xff\xff\1\2\3\4"], pa.binary(16)),
    "null": pa.nulls(3),
    "all valid": pa.array(["10.0.0.1", "8.8.8.8"]),
    "nothing": pa.array([], pa.string()),
    "nothing valid": pa.array(["x", None, "y"]),
}


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=5)


def write_file(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=True)) as writer:
        writer.write_table(table, 4)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, 4)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": write_parquet,
    "arrow": write_file,
    "arrows": write_stream,
}


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Writes columns into a file of each format, whose name says nothing."""

    def written(**columns: Any) -> Path:
        path = tmp_path / "file"
        try:
            WRITERS[request.param](pa.table(columns), path)
        except pa.ArrowNotImplementedError as error:
            pytest.skip(f"PyArrow {pa.__version__}: {error}")
        return path

    return written


def expected(array: Any) -> tuple[int, Counter[str], Counter[str | None]]:
    """How many rows hold an address, their blocks, and their texts without zones, by nf.classify and nf.parse."""
    found = nf.classify(array)
    blocks = [block.prefix for block in found if block.prefix]
    texts = [text.partition("%")[0] for text in nf.parse(array).to_list() if text is not None]
    return len(blocks), Counter(blocks), Counter(texts)


@pytest.mark.parametrize("type", COLUMNS)
def test_every_type_is_counted_as_classify_says(write: Callable[..., Path], type: str) -> None:
    array = COLUMNS[type]
    addresses, blocks, texts = expected(array)
    for threads in (1, 3):
        found = nf.summarize(write(other=range(len(array)), ip=array), column="ip", top=100, threads=threads)
        assert found.errors == []
        assert (found.lines, found.addresses, found.invalid) == (len(array), addresses, len(array) - addresses)
        assert found.by_block == blocks
        assert dict(found.top_addresses) == texts


@pytest.mark.parametrize("type", COLUMNS)
def test_every_type_is_found_row_by_row(write: Callable[..., Path], type: str) -> None:
    array = COLUMNS[type]
    path = write(ip=array)
    texts = nf.parse(array).to_list()
    rows = [(line, text) for line, text in enumerate(texts, 1) if text is not None]
    found = list(rows_of_column(path, "ip"))
    assert [row for part in found for row in zip(part.line.tolist(), decoded(part), strict=True)] == rows
    codes = nf.classify(array).codes
    assert [code for part in found for code in part.codes] == codes[codes != 0].tolist()
    six = [row for part in rows_of_column(path, "ip", versions=(6,)) for row in decoded(part)]
    assert six == [text for _, text in rows if ":" in text]


def decoded(rows: Rows) -> list[str]:
    return [text.decode() for text in rows.address.to_pylist()]


def test_random_columns(write: Callable[..., Path]) -> None:
    random.seed(5)

    def one() -> str | None:
        kind = random.randrange(6)
        if kind == 0:
            return None
        if kind == 1:
            return "".join(random.choices("0123456789abcdef:.%/ ", k=random.randrange(20)))
        if kind == 2:
            groups = [f"{random.choice((0, 0, random.getrandbits(16))):x}" for _ in range(8)]
            at = random.randrange(8)
            shown = ":".join(groups[:at]) + "::" + ":".join(groups[at + random.randrange(1, 8 - at) if at < 7 else 8 :])
            return random.choice((str.upper, str.lower))(shown)
        return ".".join(str(random.getrandbits(8)) for _ in range(4))

    array = pa.array([one() for _ in range(20_000)])
    addresses, blocks, texts = expected(array)
    found = nf.summarize(write(ip=array), column="ip", top=20_000, threads=2)
    assert (found.lines, found.addresses, found.by_block) == (len(array), addresses, blocks)
    assert dict(found.top_addresses) == texts


def test_versions_labels_and_text_beside(write: Callable[..., Path]) -> None:
    path = write(ip=["10.0.0.1", "::1", None, "8.8.8.8"])
    assert nf.summarize(path, column="ip", versions=(6,)).by_kind == {"loopback": 1}
    table = PrefixTable({"10.0.0.0/8": "ours"})
    text = io.BytesIO(b"10.9.9.9 and 10.9.9.8\nnothing\n")
    found = nf.summarize([path, text], column="ip", table=table)
    assert found.by_label == {"ours": 3, "": 2}
    assert (found.lines, found.addresses, found.invalid) == (6, 5, 1)  # a row without; of lines, every address counts
    assert nf.summarize([path, io.BytesIO(b"x\n")], column="ip", first=True).invalid == 2
    match = [x for part in rows_of_column(path, "ip", table) if part.match is not None for x in part.match]
    assert match == [0, -1, -1]


def test_structs(write: Callable[..., Path]) -> None:
    rows = [{"ip": "10.0.0.1", "n": {"ip": "::1"}}, None, {"ip": None, "n": None}]
    path = write(client=rows, **{"client.ip": ["8.8.8.8"] * 3, "a.b": [{"c.d": "1.2.3.4"}] * 3})
    for name, kinds in {"client.ip": {"global": 3}, "client.n.ip": {"loopback": 1}, "a.b.c.d": {"global": 3}}.items():
        found = nf.summarize(path, column=name)
        assert (found.errors, found.by_kind, found.lines) == ([], kinds, 3)
    assert nf.summarize(write(client=rows), column="client.ip").by_kind == {"private": 1}


def test_a_null_struct_hides_what_is_in_it(write: Callable[..., Path]) -> None:
    inside = pa.array(["10.0.0.1", "10.0.0.2"])
    hidden = pa.StructArray.from_arrays([inside], ["ip"], mask=pa.array([False, True]))
    assert nf.summarize(write(client=hidden), column="client.ip").addresses == 1


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_feather(tmp_path: Path, compression: str) -> None:
    feather.write_feather(pa.table({"ip": TEXTS}), tmp_path / "x", compression=compression)
    assert nf.summarize(tmp_path / "x", column="ip").lines == len(TEXTS)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_compressed_parquet(tmp_path: Path, compression: str) -> None:
    pq.write_table(pa.table({"ip": TEXTS * 100}), tmp_path / "x", compression=compression)
    assert nf.summarize(tmp_path / "x", column="ip").lines == 100 * len(TEXTS)


def test_no_rows_and_no_row_groups(write: Callable[..., Path]) -> None:
    path = write(ip=pa.array([], pa.string()))
    found = nf.summarize(path, column="ip")
    assert (found.lines, found.bytes, found.errors) == (0, 0, [])
    assert nf.summarize(path, column="x").errors != []


def test_many_parts(tmp_path: Path) -> None:
    """More row groups than parts; a name that is no UTF-8."""
    path = bytes(tmp_path / "x") + b"\xff"
    pq.write_table(pa.table({"ip": ["10.0.0.1"] * 1000}), pa.OSFile(path, "w"), row_group_size=7)
    assert len(arrow_files.parts(path, "ip")) <= 64
    assert nf.summarize(path, column="ip", threads=4).addresses == 1000


def test_streams_that_are_open(tmp_path: Path) -> None:
    write_stream(pa.table({"n": range(len(TEXTS)), "ip": TEXTS}), tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    found = nf.summarize(io.BytesIO(data), column="ip")
    assert (found.lines, found.errors) == (len(TEXTS), [])
    for cut in (9, len(data) // 2, len(data) - 8):
        ((name, message),) = nf.summarize(io.BytesIO(data[:cut]), column="ip").errors or [("", "")]
        assert (name == "BytesIO") == (cut != len(data) - 8)  # a stream may end without saying so
        assert "\n" not in message
    write_parquet(pa.table({"ip": TEXTS}), tmp_path / "y")
    ((_, message),) = nf.summarize(io.BytesIO((tmp_path / "y").read_bytes()), column="ip").errors
    assert "name the file instead" in message
    assert nf.summarize(io.BytesIO(b"10.0.0.1\n"), column="ip").addresses == 1


def test_bad_columns(write: Callable[..., Path]) -> None:
    path = write(ip=["10.0.0.1"], n=[1], client=[{"ip": "::1", "k": 2.5}], some=[["1.2.3.4"]])
    for column, message in {
        "x": "no column 'x'; there are ip, n, client.ip, client.k, some",
        "client.x": "no column 'client.x'",
        "": "no column ''",
        "n": "column 'n' is int64; wanted text, uint32 (IPv4), or 4 or 16 bytes",
        "client": "column 'client' is struct",
        "client.k": "is double",
        "some": "is list",
    }.items():
        found = nf.summarize([path, io.BytesIO(b"::1\n")], column=column)
        ((name, told),) = found.errors
        assert name == str(path)
        assert message in told
        assert found.addresses == 1
    ((_, told),) = nf.summarize(path).errors
    assert "column= chooses one of ip, client.ip" in told


def test_many_columns_are_not_all_listed(write: Callable[..., Path]) -> None:
    ((_, told),) = nf.summarize(write(**{f"c{i}": [1] for i in range(100)}), column="x").errors
    assert told.endswith("c19 and 80 more")


def test_columns_of_the_same_name(tmp_path: Path) -> None:
    table = pa.table([pa.array(["1.2.3.4"]), pa.array(["::1"])], names=["ip", "ip"])
    write_file(table, tmp_path / "x")
    assert nf.summarize(tmp_path / "x", column="ip").errors[0][1] == "it has 2 columns 'ip'"


def structs(*names: str) -> pa.Array:
    """A column of a struct, whose members hold their numbers."""
    return pa.StructArray.from_arrays([pa.array([f"10.0.0.{i}"]) for i, _ in enumerate(names)], list(names))


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    ("names", "columns", "wanted"),
    [
        (["client", "client"], [structs("ip"), structs("ip")], "client.ip"),
        (["client", "client"], [structs("ip"), structs("port")], "client.ip"),
        (["client", "x"], [structs("ip", "ip"), structs("x")], "client.ip"),
        (["a.b", "a"], [structs("c"), structs("b.c")], "a.b.c"),
    ],
)
def test_names_that_lead_to_two_places(
    tmp_path: Path, format: str, names: list[str], columns: list[pa.Array], wanted: str
) -> None:
    WRITERS[format](pa.table([*columns, pa.array(["8.8.8.8"])], names=[*names, "last"]), tmp_path / "x")
    found = nf.summarize(tmp_path / "x", column=wanted)
    assert found.addresses == 0
    assert "it has 2 columns" in found.errors[0][1]
    assert nf.summarize(tmp_path / "x", column="last").addresses == 1


@pytest.mark.parametrize("format", WRITERS)
def test_text_that_is_no_utf8_is_a_row_without_an_address(tmp_path: Path, format: str) -> None:
    for type in (pa.string(), pa.large_string()):
        wide = pa.binary() if type == pa.string() else pa.large_binary()
        texts = pa.array([b"10.0.0.1", b"caf\xe9", b"8.8.8.8"], wide)
        column = pa.Array.from_buffers(type, 3, texts.buffers())
        WRITERS[format](pa.table({"ip": column}), tmp_path / "x")
        found = nf.summarize(tmp_path / "x", column="ip")
        assert (found.lines, found.addresses, found.errors) == (3, 2, [])
    if format != "parquet":
        keys = pa.DictionaryArray.from_arrays(pa.array([2, 1, None, 0], pa.int8()), column)
        WRITERS[format](pa.table({"ip": keys}), tmp_path / "x")
        assert [text for part in rows_of_column(tmp_path / "x", "ip") for text in decoded(part)] == [
            "8.8.8.8",
            "10.0.0.1",
        ]


@pytest.mark.parametrize("format", ["arrow", "arrows"])
def test_dictionaries_of_views(tmp_path: Path, format: str) -> None:
    values = pa.array(["10.0.0.1", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", "no"], pa.string_view())
    column = pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 2], pa.int8()), values)
    WRITERS[format](pa.table({"ip": column}), tmp_path / "x")
    found = nf.summarize(tmp_path / "x", column="ip")
    assert (found.lines, found.addresses, found.errors) == (4, 2, [])


def test_keys_outside_a_dictionary_are_told(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int8()), pa.array(["::1"]), safe=False)
    write_stream(pa.table({"ip": column}), tmp_path / "x")
    found = nf.summarize(tmp_path / "x", column="ip")
    assert (found.addresses, len(found.errors)) == (0, 1)


def test_streams_one_behind_the_other(tmp_path: Path) -> None:
    write_stream(pa.table({"ip": ["10.0.0.1", None]}), tmp_path / "a")
    write_stream(pa.table({"n": [1, 2], "ip": pa.array(["::1", "8.8.8.8"]).dictionary_encode()}), tmp_path / "b")
    both = (tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes()
    path = tmp_path / "both"
    path.write_bytes(both)
    rows = [row for part in rows_of_column(path, "ip") for row in zip(part.line, decoded(part), strict=True)]
    assert rows == [(1, "10.0.0.1"), (3, "::1"), (4, "8.8.8.8")]
    for source in (path, io.BytesIO(both)):
        found = nf.summarize(source, column="ip")
        assert (found.lines, found.addresses, found.errors) == (4, 3, [])
    found = nf.summarize(io.BytesIO(both + b"and more"), column="ip")
    assert (found.addresses, len(found.errors)) == (3, 1)


@pytest.mark.parametrize("text", [False, True])
def test_a_named_pipe_is_opened_once(tmp_path: Path, text: bool) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    write_stream(pa.table({"ip": TEXTS}), tmp_path / "x")
    data = b"10.0.0.1 x\n" * 3 if text else (tmp_path / "x").read_bytes()
    threading.Thread(target=path.write_bytes, args=(data,), daemon=True).start()
    found = nf.summarize(path, column="ip")
    assert (found.lines, found.errors) == (3 if text else len(TEXTS), [])


@pytest.mark.parametrize("format", WRITERS)
def test_what_is_no_text_is_not_searched(tmp_path: Path, format: str) -> None:
    WRITERS[format](pa.table({"ip": ["10.0.0.1"]}), tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "gz").write_bytes(gzip.compress(data))
    for source in (io.BytesIO(data), io.BytesIO(gzip.compress(data)), tmp_path / "gz"):
        found = nf.summarize(source)
        assert (found.addresses, found.lines) == (0, 0)
        assert ", not text; --column" in found.errors[0][1]
    with pytest.raises(ValueError, match="not text"):
        list(rows_of_text(tmp_path / "gz"))


def test_text_that_begins_like_parquet(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PARENT 10.0.0.1\n")
    for source in (tmp_path / "x", io.BytesIO(b"PARENT 10.0.0.1\n")):
        assert nf.summarize(source).addresses == 1


@pytest.mark.parametrize("dictionary", [False, True])
def test_long_texts_are_read_few_at_a_time(tmp_path: Path, dictionary: bool) -> None:
    texts = ["x" * 20_000] * 2_000 + ["10.0.0.1"]
    pq.write_table(pa.table({"ip": texts}), tmp_path / "x", use_dictionary=dictionary)
    sizes = [array.nbytes for part in arrow_files.parts(tmp_path / "x", "ip") for array in part.arrays()]
    assert max(sizes) < 10 << 20
    assert nf.summarize(tmp_path / "x", column="ip").addresses == 1


@pytest.mark.parametrize("format", WRITERS)
def test_small_batches_are_joined(tmp_path: Path, format: str) -> None:
    WRITERS[format](pa.table({"ip": TEXTS * 200}), tmp_path / "x")
    arrays = [array for part in arrow_files.parts(tmp_path / "x", "ip") for array in part.arrays()]
    assert sum(map(len, arrays)) == 200 * len(TEXTS)
    assert len(arrays) <= 64  # of 840 and more


def test_rows_behind_damage_count_and_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    texts = [f"10.0.{i >> 8}.{i & 255}" for i in range(10_000)]
    pq.write_table(pa.table({"ip": texts}), path, row_group_size=1000, compression="none", use_dictionary=False)
    metadata = pq.ParquetFile(path).metadata
    data = bytearray(path.read_bytes())
    for group in (3, 6):
        at = metadata.row_group(group).column(0).data_page_offset
        data[at : at + 12] = b"\xff" * 12
    path.write_bytes(data)
    left = [i for i in range(10_000) if i // 1000 not in (3, 6)]
    for threads in (1, 3):
        found = nf.summarize(path, column="ip", threads=threads)
        ((name, message),) = found.errors
        assert (name, found.addresses) == (str(path), len(left))
        assert message.endswith("(and with 1 more of its parts)")
        monkeypatch.setattr(arrow_rows, "_threads", lambda path, threads=threads: threads)
        rows = []
        with pytest.raises(ValueError, match="and with 1 more of its parts"):
            for part in rows_of_column(path, "ip"):
                rows += list(zip(part.line.tolist(), decoded(part), strict=True))
        assert rows == [(i + 1, texts[i]) for i in left]


@pytest.mark.parametrize("format", ["arrow", "arrows"])
def test_large_batches_are_not_read_by_the_thread_that_hears_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    WRITERS[format](pa.table({"ip": TEXTS}), tmp_path / "x")
    seen: list[threading.Thread] = []
    slices = arrow_files._slices

    def noted(*batch: Any) -> Any:
        seen.append(threading.current_thread())
        return slices(*batch)

    monkeypatch.setattr(arrow_files, "_slices", noted)
    nf.summarize(tmp_path / "x", column="ip", threads=1)
    list(rows_of_column(tmp_path / "x", "ip"))
    assert len(set(seen)) == 2
    assert threading.main_thread() not in seen


def test_pyarrow_without_parquet(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(ip=TEXTS)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    found = nf.summarize(path, column="ip")
    if found.errors:
        assert "it cannot be read (import of pyarrow.parquet" in found.errors[0][1]
    else:
        assert path.read_bytes()[:4] != b"PAR1"


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_half_a_file_has_no_end(format: Any, error: type[BaseException]) -> None:
    rows, *_ = rows_of_text([b"10.0.0.1 ::1 8.8.8.8\n" * 100])
    for kth in range(1, 1000):
        file, writes = io.BytesIO(), 0

        def write(data: bytes) -> None:
            nonlocal writes
            writes += 1
            if writes == kth:  # noqa: B023
                file.write(data[: len(data) // 2])  # noqa: B023
                raise error
            file.write(data)  # noqa: B023

        try:
            with Writer(write, format) as writer:
                for _ in range(4):
                    writer.add(rows)
                    writer._write()
        except error:
            with pytest.raises((pa.ArrowInvalid, OSError)):
                pq.ParquetFile(file) if format == "parquet" else pa.ipc.open_file(file)
        else:
            break
    assert 20 < kth < 999


def test_views_of_nulls_lead_anywhere(tmp_path: Path) -> None:
    """As Arrow allows; PyArrow's cast follows them."""
    views = pa.array(["10.0.0.1", "8.8.8.8", "::1"], pa.string_view())
    _, rows, *data = views.buffers()
    wild = bytearray(rows.to_pybytes())
    wild[16:32] = b"\xff\xff\xff\x7fabcd\xff\xff\xff\x7f\xff\xff\xff\x7f"
    try:
        column = pa.Array.from_buffers(views.type, 3, [pa.py_buffer(b"\5"), pa.py_buffer(wild), *data])
    except ValueError as error:
        pytest.skip(f"PyArrow {pa.__version__}: {error}")
    write_stream(pa.table({"ip": column}), tmp_path / "x")
    found = nf.summarize(tmp_path / "x", column="ip")
    assert (found.lines, found.by_kind) == (3, {"private": 1, "loopback": 1})
    assert [text for part in rows_of_column(tmp_path / "x", "ip") for text in decoded(part)] == ["10.0.0.1", "::1"]


def test_damage_is_told_in_a_line(write: Callable[..., Path]) -> None:
    path = write(ip=[f"10.0.{i >> 8}.{i & 255}" for i in range(3000)])
    whole = path.read_bytes()
    for cut in (8, 12, len(whole) // 3, len(whole) * 2 // 3):
        path.write_bytes(whole[:cut])
        for name, message in nf.summarize(path, column="ip").errors:
            assert name == str(path)
            assert message.count("\n") == 0
    random.seed(1)
    for _ in range(60):
        damaged = bytearray(whole)
        at = random.randrange(8, len(damaged))
        damaged[at : at + 8] = random.randbytes(8)
        path.write_bytes(damaged)
        found = nf.summarize(path, column="ip", threads=1)
        assert found.errors or found.lines


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".ARROWS"])
def test_a_name_that_promises_too_much(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"10.0.0.1\n")
    assert "it is damaged" in nf.summarize(path, column="ip").errors[0][1]
    path.write_bytes(b"FEA1" + b"\0" * 20)
    assert "version 1" in nf.summarize(path, column="ip").errors[0][1]


def test_text_gives_the_rows_that_extract_gives() -> None:
    text = b"10.0.0.1 fe80::1%eth0 [::] x\n\n8.8.8.8\n" * 5000
    table = PrefixTable({"8.0.0.0/8": 1})
    found = list(rows_of_text(io.BytesIO(text), table))
    plain = nf.extract(text)
    for name in ("line", "offset", "codes"):
        assert [x for part in found for x in getattr(part, name)] == getattr(plain, name).tolist()
    assert [x for part in found for x in decoded(part)] == ["10.0.0.1", "fe80::1%eth0", "::", "8.8.8.8"] * 5000
    assert [x for part in found if part.match is not None for x in part.match] == [-1, -1, -1, 0] * 5000


def test_memory_is_given_back(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ip": TEXTS * 50}), tmp_path / "x", row_group_size=100)

    def work() -> None:
        nf.summarize(tmp_path / "x", column="ip", threads=1)
        for _ in rows_of_column(tmp_path / "x", "ip"):
            pass

    for _ in range(5):
        work()
    tracemalloc.start()
    try:
        work()
        before, arrow = tracemalloc.get_traced_memory()[0], pa.total_allocated_bytes()
        for _ in range(50):
            work()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
        assert pa.total_allocated_bytes() <= arrow
    finally:
        tracemalloc.stop()


def by_polars(path: Path, table: pa.Table) -> None:
    import polars as pl

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(path.with_suffix(".polars.parquet"), row_group_size=10)
    frame.write_ipc(path.with_suffix(".polars.arrow"), compression="lz4")
    frame.write_ipc_stream(path.with_suffix(".polars.arrows"))


def by_pandas(path: Path, table: pa.Table) -> None:
    frame = table.to_pandas()
    frame.to_parquet(path.with_suffix(".pandas.parquet"))
    frame.to_feather(path.with_suffix(".pandas.feather"))


def by_duckdb(path: Path, table: pa.Table) -> None:
    import duckdb

    with duckdb.connect() as con:
        con.register("flows", table)
        con.execute(f"COPY flows TO '{path.with_suffix('.duckdb.parquet')}' (FORMAT parquet)")


@pytest.mark.parametrize("by", [by_polars, by_pandas, by_duckdb])
def test_files_of_other_writers(tmp_path: Path, by: Callable[[Path, pa.Table], None]) -> None:
    texts = [text for text in TEXTS if text is None or text.isprintable()]
    by(tmp_path / "x", pa.table({"n": range(len(texts)), "ip": texts, "client": [{"ip": text} for text in texts]}))
    addresses, blocks, _ = expected(pa.array(texts))
    written = sorted(tmp_path.iterdir())
    assert written
    for path in written:
        for column in ("ip", "client.ip"):
            found = nf.summarize(path, column=column)
            assert (found.errors, found.lines, found.addresses) == ([], len(texts), addresses)
            assert found.by_block == blocks


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    texts = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" if i % 7 else None for i in range(400_000)]
    pq.write_table(pa.table({"ip": texts}), tmp_path / "x", row_group_size=30_000)
    monkeypatch.setattr(arrow_rows, "_threads", lambda path: threads)
    found = list(rows_of_column(tmp_path / "x", "ip"))
    assert [line for part in found for line in part.line.tolist()] == [i + 1 for i in range(400_000) if i % 7]
    written: list[bytes] = []
    arrow_rows.column_rows(tmp_path / "x", lambda data: written.append(bytes(data)), "ip")
    rows = b"".join(written).decode().splitlines()
    assert [row.split(",")[0::2][:2] for row in rows] == [[str(i + 1), texts[i]] for i in range(400_000) if i % 7]


def test_row_groups_are_read_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"ip": TEXTS}), tmp_path / "x", row_group_size=2)
    together = threading.Barrier(2)
    arrays = arrow_files.ColumnPart.arrays

    def waiting(part: Any) -> Any:
        if part.numbers[0] < 10:
            together.wait(10)
        return arrays(part)

    monkeypatch.setattr(arrow_files.ColumnPart, "arrays", waiting)
    monkeypatch.setattr(arrow_rows, "_threads", lambda path: 2)
    _, _, texts = expected(pa.array(TEXTS))
    found = [text for part in rows_of_column(tmp_path / "x", "ip") for text in decoded(part)]
    assert Counter(text.partition("%")[0] for text in found) == texts


def test_few_row_groups_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    pq.write_table(pa.table({"ip": ["10.0.0.1"] * 5000}), path, row_group_size=20)
    assert len(arrow_files.parts(path, "ip", 20)) == 250
    assert len(arrow_files.parts(path, "ip", 1)) == 250
    assert [len(part.numbers) for part in arrow_files.parts(path, "ip", 45)] == [2] * 125
    assert len(arrow_files.parts(path, "ip", 1_000_000)) == len(arrow_files.parts(path, "ip")) <= 64
    read: list[int] = []
    arrays = arrow_files.ColumnPart.arrays

    def noted(part: Any) -> Any:
        read.append(part.first)
        return arrays(part)

    monkeypatch.setattr(arrow_files.ColumnPart, "arrays", noted)
    monkeypatch.setattr(arrow_rows, "_threads", lambda path: 2)
    monkeypatch.setattr(arrow_rows, "_AHEAD", 1)
    found = rows_of_column(path, "ip")
    assert next(found).line[0] == 1
    time.sleep(0.1)
    assert 2 <= len(read) <= 8
    assert [line for part in found for line in part.line.tolist()][-1] == 5000
