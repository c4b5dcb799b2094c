"""`netfast classify`."""

import bz2
import gzip
import json
import lzma
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from netfast.cli import classify
from netfast.cli._output import Style
from netfast.logs import LogSummary, summarize

Command = Callable[..., Any]


def zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.compress(data)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": partial(gzip.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=0),
    "bz2": bz2.compress,
    "zst": zstd,
}


def counted(text: str) -> dict[str, str]:
    """The first two words of each line."""
    return {words[0]: words[1] for line in text.splitlines() if len(words := line.split()) > 1}


def test_counts(cli: Command, log: str) -> None:
    run = cli("classify", log)
    assert (run.code, run.err) == (0, "")
    found = counted(run.out)
    expected = {"lines": "5", "addresses": "6", "unique": "5", "private": "3", "global": "2", "loopback": "1"}
    assert expected.items() <= found.items()
    assert {"A": "4", "C": "1", "IPv6": "1", "10.0.0.1": "2", "10.0.0.0/24": "2"}.items() <= found.items()
    assert "50.0 %" in run.out
    assert run.out.rstrip().endswith("MB/s")
    assert "\x1b" not in run.out
    assert "█" not in run.out


def test_json_is_one_object_of_everything(cli: Command, log: str) -> None:
    run = cli("classify", "--json", log)
    assert (run.code, run.err, run.out.count("\n")) == (0, "", 1)
    found = json.loads(run.out)
    expected = summarize([log]).to_dict()
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}


@pytest.mark.parametrize("files", [(), ("-",)])
def test_standard_input(cli: Command, files: tuple[str, ...]) -> None:
    assert counted(cli("classify", *files, stdin=b"10.0.0.1\n8.8.8.8\n").out)["addresses"] == "2"


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        (("--first",), 4),
        (("--field", "1"), 3),
        (("--field", "2"), 2),
        (("-4",), 5),
        (("-6",), 1),
        (("--loose",), 7),
        (("--loose", "--first", "-4"), 4),
    ],
)
def test_which_addresses_count(cli: Command, log: str, options: tuple[str, ...], addresses: int) -> None:
    assert json.loads(cli("classify", "--json", *options, log).out)["addresses"] == addresses


def test_fields_and_keys(cli: Command) -> None:
    def kinds(*options: str, stdin: bytes) -> object:
        return json.loads(cli("classify", "--json", *options, stdin=stdin).out)["by_kind"]

    assert kinds("--field", "2", "--sep", ",", stdin=b"8.8.8.8,10.0.0.1\n") == {"private": 1}
    assert kinds("--field", "2", "--sep", r"\t", stdin=b"8.8.8.8\t10.0.0.1\n") == {"private": 1}
    line = b'{"ip": "8.8.8.8", "client": {"ip": "10.0.0.1"}}\n'
    assert kinds("--json-key", "client.ip", stdin=line) == {"private": 1}


def test_lines_without_an_address_at_the_place_are_counted(cli: Command, log: str) -> None:
    assert re.search(r"^lines without +2$", cli("classify", "--field", "1", log).out, re.MULTILINE)
    assert "lines without" not in cli("classify", log).out


def test_top(cli: Command, log: str) -> None:
    assert len(json.loads(cli("classify", "--json", "--top", "2", log).out)["top_addresses"]) == 2
    assert "top" not in cli("classify", "--top", "0", log).out


@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_threads(cli: Command, log: str, threads: str) -> None:
    assert counted(cli("classify", "--threads", threads, *[log] * 5).out)["addresses"] == "30"


def test_options_stand_anywhere(cli: Command, log: str) -> None:
    assert counted(cli("classify", log, "--top", "1", log, "-4", "--", log).out)["addresses"] == "15"


def test_estimates_are_marked(cli: Command) -> None:
    lines = b"".join(b"10.%d.%d.%d\n" % (i >> 16, i >> 8 & 255, i & 255) for i in range(200_000))
    run = cli("classify", "--max-distinct", "1K", "--top", "2", stdin=lines)
    unique = counted(run.out)["unique"]
    assert unique.startswith("~")
    assert abs(int(unique[1:].replace(",", "")) - 200_000) < 10_000
    assert "~ estimated: " in run.out
    assert json.loads(cli("classify", "--max-distinct", "1K", "--json", stdin=lines).out)["estimated"] is True
    assert "~" not in cli("classify", "--max-distinct", "200K", stdin=lines).out


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_input(cli: Command, log: str, tmp_path: Path, suffix: str) -> None:
    packed = tmp_path / "a.log"  # the name says nothing
    packed.write_bytes(COMPRESS[suffix](Path(log).read_bytes()))
    assert counted(cli("classify", packed).out)["addresses"] == "6"
    assert counted(cli("classify", stdin=packed.read_bytes()).out)["addresses"] == "6"


# --- trouble with input ----------------------------------------------------------------------------------------------


@cache
def lines_of_noise(n: int) -> bytes:
    """Text that does not compress to nothing."""
    state, lines = 1, []
    for _ in range(n):
        state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
        lines.append(b"10.%d.%d.%d at %x\n" % (state >> 56, state >> 48 & 255, state >> 40 & 255, state))
    return b"".join(lines)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["classify", "extract", "grep"])
def test_truncated_input_counts_as_far_as_it_goes(cli: Command, tmp_path: Path, name: str, suffix: str) -> None:
    packed = COMPRESS[suffix](lines_of_noise(100_000))
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(packed[: len(packed) * 3 // 4])
    options = {"classify": ("classify", "--json"), "extract": ("extract",), "grep": ("grep", "private")}[name]
    run = cli(*options, cut)
    assert run.code == 2
    assert run.err.startswith(f"netfast: {cut}: ")
    assert run.err.count("\n") == 1
    found = json.loads(run.out)["addresses"] if name == "classify" else run.out.count("\n")
    assert 50_000 < found < 80_000


@pytest.mark.parametrize("name", ["classify", "extract", "grep"])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_damaged_input_is_trouble(cli: Command, tmp_path: Path, name: str, suffix: str) -> None:
    packed = bytearray(COMPRESS[suffix](lines_of_noise(20_000)))
    packed[len(packed) // 2 :] = bytes(len(packed) - len(packed) // 2)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(packed)
    run = cli(name, *["private"] * (name == "grep"), damaged)
    assert run.code == 2
    assert run.err.startswith(f"netfast: {damaged}: ")
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("name", ["classify", "extract", "grep"])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing", "No such file or directory"),
        ("folder", "Is a directory"),
        ("dangling", "No such file or directory"),
        ("/proc/self/mem", "Input/output error"),  # a file that even root cannot read
        ("empty", "it is empty"),
    ],
)
def test_bad_files_are_named_and_the_others_counted(
    cli: Command, log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty").touch()
    Path("dangling").symlink_to("nowhere")
    options = [name, *["private"] * (name == "grep")]
    run = cli(*options, log, file, log)
    assert run.code == 2
    assert run.err.startswith(f"netfast: {file}: ")
    assert message in run.err
    assert run.err.count("\n") == 1
    assert run.out.splitlines()[1:-1] == cli(*options, log, log).out.splitlines()[1:-1] or name == "classify"
    if name == "classify":
        assert counted(run.out)["addresses"] == "12"


def test_nothing_readable_prints_no_table(cli: Command) -> None:
    run = cli("classify", "missing")
    assert (run.code, run.out) == (2, "")
    assert json.loads(cli("classify", "--json", "missing").out)["errors"][0]["source"] == "missing"


def test_an_empty_pipe_is_no_trouble(cli: Command) -> None:
    run = cli("classify")
    assert (run.code, run.err) == (0, "")
    assert counted(run.out)["addresses"] == "0"
    assert cli("extract").code == 0
    assert cli("grep", "private") == (1, "", "")


def test_files_that_only_say_that_they_are_empty(cli: Command) -> None:
    assert json.loads(cli("classify", "--json", "/proc/self/status").out)["lines"] > 10


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe 10.0.0.1 \x80\n",
        b"\0\0 10.0.0.1 \0\n",
        b"\x7fELF 10.0.0.1",
        b"x" * 10_000_000 + b" 10.0.0.1",
    ],
    ids=["no UTF-8", "NUL", "binary", "10 MB line"],
)
def test_any_bytes_are_counted(cli: Command, data: bytes) -> None:
    found = json.loads(cli("classify", "--json", stdin=data).out)
    assert (found["lines"], found["bytes"], found["addresses"]) == (1, len(data), 1)
    run = cli("grep", "-o", "private", stdin=data)
    assert (run.code, run.out) == (0, "10.0.0.1\n")


def test_standard_input_is_named(netfast: Command) -> None:
    run = netfast("classify", stdin=gzip.compress(lines_of_noise(1000))[:-20])
    assert run.code == 2
    assert run.err.startswith("netfast: (standard input): ")


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_terminal_shows_colours_and_a_histogram(terminal: Command, log: str) -> None:
    run = terminal("classify", log)
    assert run.code == 0
    assert "\x1b[1mkind" in run.out
    assert "█" * 30 in run.out


@pytest.mark.parametrize(
    ("options", "env"), [((), {"NO_COLOR": "1"}), (("--color", "never"), {}), ((), {"TERM": "dumb"})]
)
def test_no_colour(terminal: Command, log: str, options: tuple[str, ...], env: dict[str, str]) -> None:
    run = terminal("classify", *options, log, env=env)
    assert "\x1b" not in run.out + run.err
    assert "█" in run.out


def test_colour_when_asked_for(terminal: Command, cli: Command, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1m" in terminal("classify", log, env={"NO_COLOR": ""}).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1m" in cli("classify", "--color", "always", log).out
    assert "█" in cli("classify", "--color", "always", log).out


def test_terminal_without_blocks(terminal: Command, log: str) -> None:
    run = terminal("classify", log, env={"PYTHONIOENCODING": "ascii"})
    assert "#" * 20 in run.out
    assert run.out.isascii()


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 200])
def test_lines_fit_the_terminal(terminal: Command, columns: int) -> None:
    text = b"10.0.0.1\n8.8.8.8\n224.0.0.1\n" * 500
    run = terminal("classify", columns=columns, env={"NO_COLOR": "1"}, stdin=text)
    widest = max(map(len, run.out.splitlines()))
    assert widest <= max(columns, len("top addresses  times"))
    assert ("█" in run.out) == (columns >= 40)
    assert ("share" in run.out) == (columns >= 30)


def summary(**changes: Any) -> LogSummary:
    made = summarize([], top=0)
    return made._replace(**changes)


def test_narrow_tables_lose_the_least_needed_first() -> None:
    found = summary(addresses=4, by_kind={"global": 3, "private": 1}, top_addresses=[("2001:db8::1", 3)])
    wide, middle, narrow = (classify.render(found, Style(width, False, "#")) for width in (80, 34, 22))
    assert "documentation  #" in wide
    assert "documentation" not in middle
    assert "75.0 %" in middle
    assert "#" not in middle.split("top")[1]
    assert "%" not in narrow.split("top")[1]
    assert "2001:db8::1" in narrow


def test_long_tables_take_no_longer_a_line() -> None:
    top = [(f"10.0.{i >> 8 & 255}.{i & 255}", i) for i in range(50_000, 0, -1)]
    text = classify.render(summary(addresses=10**6, top_addresses=top), Style(80, False, "#"))
    assert text.count("\n") > 50_000


def test_what_is_not_nothing_has_a_bar() -> None:
    text = classify.render(
        summary(addresses=10**6 + 1, by_kind={"global": 10**6, "private": 1}), Style(80, False, "▏▎▍▌▋▊▉█")
    )
    assert text.splitlines()[-5].endswith("0.0 %  ▏")


def test_progress_is_for_terminals_only(start: Command, terminal: Command) -> None:
    process = start("classify")
    process.stdin.write(b"10.0.0.1\n" * 10)
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == b""
    assert terminal("classify", stdin=b"10.0.0.1\n").err == ""  # done before it is worth one


def test_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from netfast.cli import _progress

    monkeypatch.setattr(_progress, "_PATIENCE", 0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = _progress.bar("auto")
    assert bar is not None
    with bar:
        bar(50_000_000, 100_000_000)
    shown = capsys.readouterr().err
    assert "50.0/100.0 MB" in shown
    assert "\x1b[?25l" not in shown  # the cursor stays
    with _progress.Bar("never") as unknown:
        unknown(99_000_000, None)
    shown = capsys.readouterr().err
    assert "99.0 MB" in shown
    assert "/?" not in shown
    monkeypatch.setenv("TERM", "dumb")
    assert _progress.bar("auto") is None
