"""Parquet and Arrow files: `netfast classify --column`, `netfast extract --column` and `--format parquet|arrow`."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from netfast import PrefixTable
from netfast.logs import summarize

Command = Callable[..., Any]

VALUES = ["10.0.0.1", None, "no", "8.8.8.8", "2001:db8::1", 'fe80::1%a"b,c', "10.0.0.1", "::"]


def stream_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.fixture(params=["parquet", "arrow", "feather", "arrows"])
def flows(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of each format."""
    path = tmp_path / f"flows.{request.param}"
    table = pa.table({"n": range(8), "ip": VALUES, "client": [{"ip": value, "port": 1} for value in VALUES]})
    if request.param == "parquet":
        pq.write_table(table, path, row_group_size=3)
    elif request.param == "arrows":
        path.write_bytes(stream_of(table))
    else:
        feather.write_feather(table, path)
    return path


@pytest.fixture
def sites(tmp_path: Path) -> str:
    path = tmp_path / "sites.csv"
    path.write_text('prefix,site\n10.0.0.0/8,"our ""own"", really"\n8.0.0.0/8,é\n')
    return str(path)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- classify --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["ip", "client.ip"])
def test_classify(cli: Command, flows: Path, column: str) -> None:
    run = cli("classify", "--json", "--column", column, flows)
    assert (run.code, run.err) == (0, "")
    found = json.loads(run.out)
    assert (found["lines"], found["addresses"], found["invalid"], found["unique"]) == (8, 6, 2, 5)
    assert found["by_kind"] == {"private": 2, "global": 1, "documentation": 1, "link_local": 1, "unspecified": 1}
    assert {**found, "seconds": 0} == {**summarize(flows, column=column).to_dict(), "seconds": 0}
    assert "lines without" in cli("classify", "--column", column, flows).out


def test_classify_beside_logs(cli: Command, flows: Path, log: str) -> None:
    run = cli("classify", "--json", "--column", "ip", log, flows, "-", stdin=b"10.0.0.9\n")
    assert (run.code, json.loads(run.out)["addresses"]) == (0, 6 + 6 + 1)
    run = cli("classify", "--json", "--column", "ip", "-6", log, flows)
    assert json.loads(run.out)["addresses"] == 1 + 3


def test_classify_by_label(cli: Command, flows: Path, sites: str) -> None:
    run = cli("classify", "--json", "--column", "ip", "--table", f"{sites}:site", flows)
    assert json.loads(run.out)["by_label"] == {"": 3, 'our "own", really': 2, "é": 1}


# --- extract ---------------------------------------------------------------------------------------------------------


def test_extract_csv(cli: Command, flows: Path) -> None:
    run = cli("extract", "--column", "client.ip", flows)
    assert (run.code, run.err) == (0, "")
    found = rows(run.out)
    assert [(row["line"], row["address"]) for row in found] == [
        (str(line), value) for line, value in enumerate(VALUES, 1) if value not in (None, "no")
    ]
    assert found[1] == {
        "line": "4",
        "offset": "",
        "address": "8.8.8.8",
        "version": "4",
        "kind": "global",
        "class": "A",
        "block": "0.0.0.0/1",
    }
    assert len(rows(cli("extract", "--column", "ip", "-6", flows).out)) == 3


def test_extract_jsonl_says_the_same(cli: Command, flows: Path, sites: str, log: str) -> None:
    options = ("--column", "ip", "--table", f"{sites}:site", flows, log)
    objects = [json.loads(line) for line in cli("extract", "--json", *options).out.splitlines()]
    assert {type(item["offset"]) for item in objects[:6]} == {type(None)}
    plain = [{name: "" if value is None else str(value) for name, value in item.items()} for item in objects]
    assert plain == rows(cli("extract", *options).out)
    assert {item["file"] for item in objects} == {str(flows), log}


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("labelled", [False, True])
def test_extract_as_a_table_says_the_same(
    cli: Command, flows: Path, log: str, sites: str, tmp_path: Path, format: str, labelled: bool
) -> None:
    out = tmp_path / "out"
    options = ("--column", "ip", *(("--table", f"{sites}:site") if labelled else ()), log, flows, log)
    assert cli("extract", "--format", format, "-o", out, *options) == (0, "", "")
    table = pq.read_table(out) if format == "parquet" else feather.read_table(out)
    assert table.schema.field("line").type == pa.int64()
    assert table.schema.field("address").type == pa.string()
    objects = [json.loads(line) for line in cli("extract", "--json", *options).out.splitlines()]
    assert table.to_pylist() == objects


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_the_label_of_no_value_is_null(cli: Command, flows: Path, log: str, tmp_path: Path, format: str) -> None:
    out, saved = tmp_path / "out", tmp_path / "table.nft"
    PrefixTable({"10.0.0.0/8": None, "8.0.0.0/8": "null", "2001::/16": ""}).save(saved)
    options = ("--column", "ip", "--table", saved)
    assert cli("extract", "--format", format, "-o", out, *options, flows) == (0, "", "")
    table = pq.read_table(out) if format == "parquet" else feather.read_table(out)
    assert table.select(["prefix", "label"]).to_pylist() == [
        {"prefix": "10.0.0.0/8", "label": None},
        {"prefix": "8.0.0.0/8", "label": "null"},
        {"prefix": "2001::/16", "label": ""},
        {"prefix": None, "label": None},
        {"prefix": "10.0.0.0/8", "label": None},
        {"prefix": None, "label": None},
    ]
    assert cli("extract", "--format", format, "-o", out, *options[2:], log) == (0, "", "")
    table = pq.read_table(out) if format == "parquet" else feather.read_table(out)
    assert table.column("label").to_pylist() == [None, "null", "", None, None, None]
    assert [row["label"] for row in rows(cli("extract", *options[2:], log).out)][:2] == ["null", "null"]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_extract_of_one_log_or_of_nothing(cli: Command, log: str, tmp_path: Path, format: str) -> None:
    out = tmp_path / "out"
    read = pq.read_table if format == "parquet" else feather.read_table
    assert cli("extract", "--format", format, "-o", out, log) == (0, "", "")
    columns = ["line", "offset", "address", "version", "kind", "class", "block"]
    assert read(out).column_names == columns
    assert read(out).num_rows == 6
    assert cli("extract", "--format", format, "-o", out, stdin=b"nothing\n").code == 0
    assert (read(out).column_names, read(out).num_rows) == (columns, 0)


def test_many_rows_are_few_groups(cli: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = b"".join(b"10.%d.%d.%d\n" % (i >> 16, i >> 8 & 255, i & 255) for i in range(300_000))
    assert cli("extract", "--format", "parquet", "-o", out, stdin=text).code == 0
    file = pq.ParquetFile(out)
    assert (file.metadata.num_rows, file.num_row_groups) == (300_000, 2)
    assert json.loads(cli("classify", "--json", "--column", "address", out).out)["addresses"] == 300_000


def test_pipes_carry_the_stream_format(netfast: Command, log: str) -> None:
    code = "import sys; from netfast.cli import main; sys.exit(main())"
    first = subprocess.Popen([sys.executable, "-c", code, "extract", "--format", "arrow", log], stdout=subprocess.PIPE)
    second = subprocess.run(
        [sys.executable, "-c", code, "classify", "--json", "--column", "address"],
        stdin=first.stdout,
        capture_output=True,
        timeout=60,
    )
    assert first.stdout is not None
    first.stdout.close()
    assert (first.wait(timeout=60), second.returncode, second.stderr) == (0, 0, b"")
    assert json.loads(second.stdout)["addresses"] == 6


def test_standard_input(cli: Command, flows: Path, netfast: Command) -> None:
    table = pa.table({"ip": VALUES})
    assert len(rows(cli("extract", "--column", "ip", stdin=stream_of(table)).out)) == 6
    assert json.loads(cli("classify", "--json", "--column", "ip", stdin=stream_of(table)).out)["addresses"] == 6
    for options in (("classify", "--json"), ("extract", "--json")):
        with flows.open("rb") as stdin:  # the shell's "<": a file as any other
            done = subprocess.run(
                [sys.executable, "-m", "netfast", *options, "--column", "ip"],
                stdin=stdin,
                capture_output=True,
                timeout=60,
            )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b'"address"' in done.stdout


# --- trouble ---------------------------------------------------------------------------------------------------------


def refused(run: Any) -> str:
    """The one line of a command that came to nothing."""
    assert run.code == 2
    assert run.err.count("\n") == 1, run.err
    assert "Traceback" not in run.err
    message: str = run.err
    return message


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_no_column_is_asked_for(cli: Command, flows: Path, log: str, command: str) -> None:
    run = cli(command, log, flows)
    assert run.out == ""
    message = refused(run)
    assert f"{flows}: it is " in message
    assert "--column NAME (columns of text: ip, client.ip)" in message


@pytest.mark.parametrize("command", ["classify", "extract"])
@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("x", "it has no column 'x'; there are n, ip, client.ip, client.port"),
        ("n", "column 'n' is int64; wanted text"),
        ("client", "column 'client' is struct<"),
        ("client.port", "column 'client.port' is int64"),
    ],
)
def test_columns_that_will_not_do(cli: Command, flows: Path, log: str, command: str, column: str, message: str) -> None:
    run = cli(command, "--column", column, flows, log)
    assert refused(run).startswith(f"netfast: {flows}: {message}")
    assert "10.0.0.1" in run.out  # the log's


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_column_without_such_a_file(cli: Command, log: str, command: str) -> None:
    run = cli(command, "--column", "ip", log)
    assert run.out == ""
    assert "--column goes with Parquet and Arrow files, and there is none" in refused(run)
    assert refused(cli(command, "--column", "ip", "missing")) == "netfast: missing: No such file or directory\n"


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_damaged_files(cli: Command, flows: Path, command: str) -> None:
    whole = flows.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:8], b"text\n", whole[:8] + b"\xff" * (len(whole) - 8)):
        flows.write_bytes(damaged)
        message = refused(cli(command, "--column", "ip", flows))
        assert message.startswith(f"netfast: {flows}: it ")
        assert f"{flows}: it " in refused(cli(command, flows))


def test_what_was_whole_of_a_damaged_file_counts(cli: Command, tmp_path: Path) -> None:
    whole = stream_of(pa.concat_tables([pa.table({"ip": ["10.0.0.1"] * 1000})] * 50))
    path = tmp_path / "x"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    run = cli("extract", "--column", "ip", path)
    refused(run)
    assert 30_000 < run.out.count("\n") < 45_000
    run = cli("classify", "--json", "--column", "ip", path)
    refused(run)
    assert 30_000 < json.loads(run.out)["addresses"] < 45_000


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_a_column_that_is_not_there_leaves_the_output_alone(
    cli: Command, flows: Path, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "out"
    out.write_text("precious")
    run = cli("extract", "--format", format, "--column", "typo", "-o", out, flows)
    assert "it has no column 'typo'" in refused(run)
    assert out.read_text() == "precious"


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_output_that_is_the_input(flows: Path, format: str, tmp_path: Path) -> None:
    before = flows.read_bytes()
    options = [sys.executable, "-m", "netfast", "extract", "--format", format, "--column", "ip"]
    for more in ([str(flows)], ["-"], ["-", "-o", str(flows)]):
        with flows.open("rb") as stdin, flows.open("ab") as stdout:
            done = subprocess.run(
                [*options, *more], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False
            )
        assert done.returncode == 2
        assert done.stderr.count(b"it is also the output") == 1
        assert flows.read_bytes() == before
    log = tmp_path / "log"
    log.write_text("10.0.0.1\n")
    with log.open("rb") as stdin, log.open("ab") as stdout:
        done = subprocess.run(
            [*options, "-", str(flows)], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60
        )
    assert done.stderr == b"netfast: (standard input): it is also the output\n"
    out = tmp_path / "out"
    out.write_text("old")
    with flows.open("rb") as stdin:
        done = subprocess.run([*options, "-o", str(out)], stdin=stdin, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert out.stat().st_size > 100


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_standard_input_is_called_so(flows: Path, command: str) -> None:
    with flows.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "netfast", command, "--column", "nope"],
            stdin=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"netfast: (standard input): it has no column 'nope'")


@pytest.mark.parametrize("data", [stream_of(pa.table({"ip": VALUES})), b"10.0.0.1\n" * 6], ids=["arrow", "text"])
def test_standard_input_twice(cli: Command, flows: Path, data: bytes) -> None:
    run = cli("classify", "--json", "--column", "ip", "-", flows, "-", stdin=data)
    assert (run.code, run.err, json.loads(run.out)["addresses"]) == (0, "", 12)
    run = cli("extract", "--column", "ip", "-", flows, "-", stdin=data)
    assert (run.code, run.err, len(rows(run.out))) == (0, "", 12)


@pytest.mark.parametrize("command", [("classify", "--json"), ("extract", "--json")])
def test_pipes_with_names(cli: Command, flows: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = stream_of(pa.table({"ip": VALUES}))
    threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
    run = cli(*command, "--column", "ip", pipe)
    assert (run.code, run.err) == (0, "")
    assert run.out.count("10.0.0.1") == (1 if command[0] == "classify" else 2)


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_what_comes_from_a_pipe_is_not_taken_for_a_log(cli: Command, flows: Path, command: str) -> None:
    run = cli(command, "--json", stdin=flows.read_bytes())
    assert ", not text; --column" in refused(run)
    assert "10.0.0.1" not in run.out


@pytest.mark.parametrize("command", ["classify", "extract"])
def test_folders_with_column(cli: Command, tmp_path: Path, command: str) -> None:
    assert refused(cli(command, "--column", "ip", tmp_path)) == f"netfast: {tmp_path}: Is a directory\n"


def test_pyarrow_leaves_ctrl_c_to_the_command(cli: Command, log: str, tmp_path: Path, monkeypatch: Any) -> None:
    said: list[bool] = []
    monkeypatch.setattr(pa, "enable_signal_handlers", said.append)
    assert cli("extract", "--format", "parquet", "-o", tmp_path / "out", log).code == 0
    assert said == [False]


def test_a_broken_pyarrow_is_not_called_missing(netfast: Command, flows: Path, log: str, tmp_path: Path) -> None:
    for broken in ("raise ImportError('no libarrow')", "import nowhere"):
        (tmp_path / "pyarrow.py").write_text(broken)
        env = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
        for arguments in (("classify", "--column", "ip", flows), ("extract", "--format", "arrow", log)):
            message = refused(netfast(*arguments, env=env))
            assert "PyArrow is installed, but cannot be imported: " in message
            assert "pip install" not in message


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_tables_are_nothing_for_a_terminal(terminal: Command, log: str, format: str) -> None:
    run = terminal("extract", "--format", format, log)
    assert run.out == ""
    assert "is nothing for a terminal; give -o FILE" in refused(run)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_output_that_cannot_be_written(cli: Command, netfast: Command, log: str, format: str, tmp_path: Path) -> None:
    assert "json" in refused(cli("extract", "--json", "--format", format, log))
    assert refused(cli("extract", "--format", format, "-o", tmp_path, log)) == f"netfast: {tmp_path}: Is a directory\n"
    run = netfast("extract", "--format", format, "-o", "/dev/full", log)
    assert refused(run) == "netfast: /dev/full: No space left on device\n"
    before = Path(log).read_bytes()
    assert "also the output" in refused(cli("extract", "--format", format, "-o", log, log))
    assert Path(log).read_bytes() == before


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_what_is_cut_off_does_not_look_whole(start: Command, tmp_path: Path, format: str) -> None:
    out = tmp_path / "out"
    process = start("extract", "--format", format, "-o", out)
    process.stdin.write(b"10.0.0.1\n" * 300_000)
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while (not out.exists() or out.stat().st_size < 10_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == b""
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(out) if format == "parquet" else pa.ipc.open_file(out)


def test_closed_pipe(start: Command, flows: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"ip": [f"10.0.{i >> 8 & 255}.{i & 255}" for i in range(400_000)]}), tmp_path / "x")
    for format in ("parquet", "arrow", "csv"):
        process = start("extract", "--format", format, "--column", "ip", tmp_path / "x")
        process.stdout.read(4)
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_without_pyarrow(netfast: Command, flows: Path, log: str, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError('No module named pyarrow', name='pyarrow')\n")
    env = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
    for arguments in (
        ("classify", "--column", "ip", flows),
        ("classify", flows),
        ("extract", "--column", "ip", flows),
        ("extract", "--format", "parquet", "-o", tmp_path / "out", log),
        ("extract", "--format", "arrow", log),
    ):
        assert "need PyArrow: pip install 'netfast[arrow]'" in refused(netfast(*arguments, env=env))
    assert netfast("classify", log, env=env).code == 0  # which needs none


def test_pandas_is_left_alone(flows: Path, log: str, tmp_path: Path) -> None:
    """PyArrow imports it for many a call, which takes longer than a small file."""
    code = """
import sys
from netfast.cli import main
flows, log, out = sys.argv[1:]
for arguments in (
    ["classify", "--column", "ip", flows, log],
    ["extract", "--column", "ip", flows],
    ["extract", "--format", "parquet", "-o", out, "--column", "ip", flows, log],
):
    assert main(arguments) == 0
assert "pyarrow" in sys.modules
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, flows, log, tmp_path / "out"], check=True, capture_output=True)


# --- memory ----------------------------------------------------------------------------------------------------------

PEAK = """
import os, resource, sys
from netfast.cli import main
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # each thread has rows of its own
code = main(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_large(path: Path, groups: int) -> None:
    """Columns of 200,000 rows a row group, all the same."""
    ip = pa.array([f"10.{i >> 14 & 63}.{i >> 7 & 127}.{i & 127}" for i in range(200_000)])
    noise = pa.array([f"{i * 2654435761 % 2**32:x}" * 4 for i in range(200_000)])
    table = pa.table({"ip": ip, "noise": noise})
    with (
        pq.ParquetWriter(path.with_suffix(".parquet"), table.schema, compression="none") as parquet,
        pa.ipc.new_file(path.with_suffix(".arrow"), table.schema) as arrow,
    ):
        for _ in range(groups):
            parquet.write_table(table)
            arrow.write_table(table)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_memory_stays_flat(tmp_path: Path, suffix: str) -> None:
    write_large(tmp_path / "small", 1)
    write_large(tmp_path / "large", 20)
    assert (tmp_path / f"large.{suffix}").stat().st_size > 100e6
    for command in (
        ("classify", "--threads", "2"),
        ("extract", "-o", "/dev/null"),
        ("extract", "--format", "parquet", "-o", "/dev/null"),
    ):
        peaks = []
        for size in ("small", "large"):
            done = subprocess.run(
                [sys.executable, "-c", PEAK, *command, "--column", "ip", str(tmp_path / f"{size}.{suffix}")],
                capture_output=True,
                text=True,
                timeout=120,
            )
            code, peak = map(int, done.stderr.split())
            assert code == 0
            peaks.append(peak)
        assert peaks[1] - peaks[0] < 100_000, (command, peaks)
