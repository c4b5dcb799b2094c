"""The claims at small size: netfast and its rivals find the same, so that the benchmarks do not rot.  Times nothing
that decides anything; pytest-benchmark prints what netfast's side took.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import data
from benchmarks.__main__ import NAMES
from benchmarks.measure import Claim, MissingError, Race

SCALE = 0.002


@pytest.fixture(autouse=True)
def small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "CACHE", tmp_path)  # made anew, so that the generators are tested too


@pytest.mark.parametrize("name", NAMES)
def test_answers_agree(name: str, benchmark: Any) -> None:
    missing: list[str] = []
    for number, claim in enumerate(_claims(name)):
        missing += _check(claim)
        if number == 0:
            _time(benchmark, claim)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def _time(benchmark: Any, claim: Claim) -> None:
    if not isinstance(claim, Race):
        benchmark.pedantic(claim.figure, rounds=3, warmup_rounds=1)
        return
    side = claim.netfast
    prepare = (lambda: side.before() and None) if side.before else None  # pytest-benchmark wants None of it
    benchmark.pedantic(side.run, setup=prepare, rounds=3, warmup_rounds=1)


def _claims(name: str) -> Iterator[Claim]:
    try:
        yield from importlib.import_module(f"benchmarks.{name}").claims(SCALE)
    except MissingError as error:
        pytest.skip(f"needs {error}")


def _check(claim: Claim) -> list[str]:
    """Holds netfast's answer against every rival's; returns who is missing."""
    if not isinstance(claim, Race):
        assert claim.figure() >= 0
        return []
    missing = []
    for rival in claim.rivals:
        try:
            theirs = rival.side()
        except MissingError as error:
            missing.append(f"{rival.name} ({error})")
            continue
        assert rival.agree(claim.netfast.found(), theirs.found()), f"{claim.work}: {rival.name} differs"
    return missing
