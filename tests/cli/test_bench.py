"""`netfast bench`."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from netfast.cli import bench

Command = Callable[..., Any]
SMALL = ("bench", "--rows", "2K", "--rounds", "1")


def test_table(cli: Command) -> None:
    run = cli(*SMALL)
    assert (run.code, run.err) == (0, "")
    heading, *rows = run.out.splitlines()
    assert heading.split() == ["work", "unit", "netfast", "Python", "times"]
    assert len(rows) == 6
    assert "\x1b" not in run.out
    assert "█" in cli(*SMALL, "--color", "always").out


def test_json(cli: Command) -> None:
    results = json.loads(cli(*SMALL, "--json").out)["results"]
    assert all(item["ratio"] == pytest.approx(item["netfast"] / item["python"]) for item in results)


def test_disagreement_is_trouble(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_flags", lambda _: (1, 2, 3))
    run = cli(*SMALL)
    assert (run.code, run.out) == (2, "")
    assert run.err == "netfast: bench: netfast and Python do not agree (classify IPv4 text)\n"
