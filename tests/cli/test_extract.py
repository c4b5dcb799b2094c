"""`netfast extract`."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv(cli: Command, log: str) -> None:
    run = cli("extract", log)
    assert (run.code, run.err) == (0, "")
    found = rows(run.out)
    assert [row["address"] for row in found] == [
        "10.0.0.1",
        "8.8.8.8",
        "2001:4860:4860::8888",
        "192.168.1.7",
        "10.0.0.1",
        "127.0.0.1",
    ]
    assert found[3] == {
        "line": "3",
        "offset": str(Path(log).read_bytes().index(b"192.168.1.7")),
        "address": "192.168.1.7",
        "version": "4",
        "kind": "private",
        "class": "C",
        "block": "192.168.0.0/16",
    }


@pytest.mark.parametrize("options", [("--format", "jsonl"), ("--json",)])
def test_jsonl_says_the_same(cli: Command, log: str, options: tuple[str, ...]) -> None:
    objects = [json.loads(line) for line in cli("extract", *options, log).out.splitlines()]
    assert [{name: str(value) for name, value in item.items()} for item in objects] == rows(cli("extract", log).out)


def test_several_files_are_named_under_one_header(cli: Command, log: str, tmp_path: Path) -> None:
    packed = tmp_path / 'odd, "name".gz'
    packed.write_bytes(gzip.compress(b"::1 here\n"))
    found = rows(cli("extract", log, packed).out)
    assert [row["file"] for row in found] == [log] * 6 + [str(packed)]
    last = cli("extract", "--json", log, packed).out.splitlines()[-1]
    assert json.loads(last)["file"] == str(packed)


def test_output_file(cli: Command, log: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert cli("extract", log, "-o", out) == (0, "", "")
    assert out.read_text() == cli("extract", log, "--output", "-").out
    run = cli("extract", log, "-o", tmp_path)
    assert (run.code, run.err) == (2, f"netfast: {tmp_path}: Is a directory\n")


def test_input_is_not_overwritten(cli: Command, log: str, tmp_path: Path) -> None:
    before = Path(log).read_bytes()
    link = tmp_path / "link"
    os.link(log, link)
    for out in (log, link):
        run = cli("extract", log, "-o", out)
        assert (run.code, run.err.count("\n")) == (2, 1)
        assert "also the output" in run.err
    assert Path(log).read_bytes() == before


@pytest.mark.parametrize("arguments", [("extract",), ("grep", "private"), ("grep", "-v", "private", "-")])
def test_input_does_not_grow_for_ever(log: str, arguments: tuple[str, ...]) -> None:
    size = os.path.getsize(log)
    with open(log, "ab") as out, open(log, "rb") as stdin:
        files = () if "-" in arguments else (log,)
        done = subprocess.run(
            [sys.executable, "-m", "netfast", *arguments, *files],
            stdin=stdin,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr.endswith(b": it is also the output\n")
    assert os.path.getsize(log) - size < 100  # a header


@pytest.mark.parametrize(("options", "n"), [(("--first",), 4), (("-6",), 1), (("--loose",), 7), (("--field", "1"), 3)])
def test_which_addresses_count(cli: Command, log: str, options: tuple[str, ...], n: int) -> None:
    assert len(rows(cli("extract", *options, log).out)) == n


def test_rows_come_as_they_are_found(start: Command, first_line: Command) -> None:
    process = start("extract", "--json")
    process.stdin.write(b"10.0.0.1\n" * 100)
    process.stdin.flush()
    assert json.loads(first_line(process))["address"] == "10.0.0.1"
