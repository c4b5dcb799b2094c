"""`netfast grep`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def lines(log: str, *numbers: int) -> str:
    every = Path(log).read_text().splitlines(keepends=True)
    return "".join(every[number - 1] for number in numbers)


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("private", (1, 3, 5)),
        ("global", (2, 3)),
        ("loopback", (5,)),
        ("C", (3,)),
        ("class:A", (1, 2, 5)),
        ("10.0.0.0/8", (1, 5)),
        ("2001:4860::/32", (3,)),
        ("8.8.8.8", (2,)),
        ("8.8.8.8,loopback", (2, 5)),
        ("private !10.0.0.0/8", (3,)),
        ("!private", (2, 3, 5)),
    ],
)
def test_expressions(cli: Command, log: str, expression: str, numbers: tuple[int, ...]) -> None:
    assert cli("grep", expression, log) == (0, lines(log, *numbers), "")


def test_prefixes_of_a_file(cli: Command, log: str, tmp_path: Path) -> None:
    prefixes = tmp_path / "prefixes"
    prefixes.write_text("# comment\n8.8.8.0/24 dns\n\n2001:4860::/32\n")
    for expression in (f"@{prefixes}", prefixes):
        assert cli("grep", expression, log) == (0, lines(log, 2, 3), "")
    assert cli("grep", f"!@{prefixes}", log).out == lines(log, 1, 3, 5)


def test_exit_codes(cli: Command, log: str) -> None:
    assert cli("grep", "private", log).code == 0
    assert cli("grep", "multicast", log) == (1, "", "")
    found = "".join(f"{log}:{line}\n" for line in lines(log, 1, 3, 5).splitlines())
    assert cli("grep", "private", log, "missing") == (2, found, "netfast: missing: No such file or directory\n")
    assert cli("grep", "multicast", log, "missing").code == 2


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("privat", "'privat'"),
        ("10.0.0.0/33", "'10.0.0.0/33'"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("10.0.0.256", "'10.0.0.256'"),
        ("@missing", "missing: No such file or directory"),
        ("", "empty"),
        (" , ", "empty"),
    ],
)
def test_bad_expressions_are_one_line(cli: Command, log: str, expression: str, said: str) -> None:
    run = cli("grep", expression, log)
    assert (run.code, run.out) == (2, "")
    assert said in run.err
    assert run.err.count("\n") == 1


def test_invert(cli: Command, log: str) -> None:
    assert cli("grep", "-v", "private", log).out == lines(log, 2, 4)
    assert cli("grep", "--invert-match", "global private loopback", log).out == lines(log, 4)


@pytest.mark.parametrize("option", ["-c", "--count"])
def test_count(cli: Command, log: str, option: str) -> None:
    assert cli("grep", option, "private", log) == (0, "3\n", "")
    assert cli("grep", option, "multicast", log) == (1, "0\n", "")
    assert cli("grep", option, "-v", "private", log).out == "2\n"
    assert cli("grep", option, "private", log, log).out == f"{log}:3\n{log}:3\n"
    assert cli("grep", "-co", "private", log).out == "3\n"


@pytest.mark.parametrize("option", ["-o", "--only-matching"])
def test_only_the_addresses(cli: Command, log: str, option: str) -> None:
    assert cli("grep", option, "private loopback", log).out == "10.0.0.1\n192.168.1.7\n10.0.0.1\n127.0.0.1\n"


def test_line_numbers_and_names(cli: Command, log: str) -> None:
    assert cli("grep", "-n", "8.8.8.8", log).out == "2:" + lines(log, 2)
    assert cli("grep", "-no", "C", log).out == "3:192.168.1.7\n"
    assert cli("grep", "-H", "8.8.8.8", log).out == f"{log}:" + lines(log, 2)
    assert cli("grep", "-Hn", "8.8.8.8", log).out == f"{log}:2:" + lines(log, 2)
    assert cli("grep", "-h", "8.8.8.8", log, log).out == lines(log, 2, 2)
    assert cli("grep", "8.8.8.8", log, log).out == f"{log}:{lines(log, 2)}" * 2
    assert cli("grep", "-H", "private", stdin=b"10.0.0.1\n").out == "(standard input):10.0.0.1\n"


def test_quiet(cli: Command, log: str) -> None:
    assert cli("grep", "-q", "private", log) == (0, "", "")
    assert cli("grep", "-q", "multicast", log) == (1, "", "")
    assert cli("grep", "-qc", "private", log, "missing") == (0, "", "")  # it stops at the first match
    assert cli("grep", "-q", "private", "missing", log).code == 0


def test_json(cli: Command, log: str) -> None:
    found = [json.loads(line) for line in cli("grep", "--json", "loopback 8.8.8.8", log).out.splitlines()]
    assert found == [
        {"line": 2, "text": lines(log, 2)[:-1]},
        {"line": 5, "text": "10.0.0.1 NameNode/127.0.0.1:8020"},
    ]
    assert json.loads(cli("grep", "--json", "-oH", "loopback", log).out) == {
        "file": log,
        "line": 5,
        "address": "127.0.0.1",
    }
    assert json.loads(cli("grep", "--json", "-cH", "private", log).out) == {"file": log, "count": 3}
    assert json.loads(cli("grep", "--json", "private", stdin=b"10.0.0.1 \xff:\n").out)["text"] == "10.0.0.1 \ufffd:"


def test_last_line_without_an_end(cli: Command) -> None:
    assert cli("grep", "private", stdin=b"a\n10.0.0.1").out == "10.0.0.1\n"
    assert cli("grep", "-c", "private", stdin=b"a\n10.0.0.1").out == "1\n"


@pytest.mark.parametrize(
    ("options", "count"),
    [(("--loose",), 2), (("--first",), 1), (("--field", "2"), 0), (("-6",), 0), (("-4",), 1)],
)
def test_which_addresses_count(cli: Command, options: tuple[str, ...], count: int) -> None:
    text = b"8.8.8.8 10.0.0.1x\n10.0.0.1 Chrome/126.0.0.0\n"
    assert cli("grep", "-c", "private", *options, stdin=text).out == f"{count}\n"


def test_options_stand_anywhere(cli: Command, log: str) -> None:
    assert cli("grep", "private", log, "-c", "-h", log, "-4").out == "3\n3\n"
    assert cli("grep", "-c", "--", "private", log).out == "3\n"


def test_files_that_look_like_options(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-c").write_bytes(b"10.0.0.1\n")
    assert cli("grep", "private", "--", "-c").out == "10.0.0.1\n"
    assert cli("grep", "-H", "private", "--", "-c", "-", stdin=b"::1\n").out == "./-c:10.0.0.1\n"


def test_lines_come_as_they_are_found(start: Command, first_line: Command) -> None:
    process = start("grep", "private")
    process.stdin.write(b"8.8.8.8\n10.0.0.1 as soon as it is there\n")
    process.stdin.flush()
    assert first_line(process) == b"10.0.0.1 as soon as it is there\n"
