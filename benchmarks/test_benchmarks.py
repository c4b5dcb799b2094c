"""The claims at small size: netfast and its rivals find the same, so that the benchmarks do not rot.  Times nothing
that decides anything; pytest-benchmark prints what netfast's side took.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
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
    ours: list[Callable[[], object]] = []
    for claim in _claims(name):
        missing += _check(claim)
        ours.append(claim.netfast.run if isinstance(claim, Race) else claim.figure)
    benchmark.pedantic(lambda: [run() for run in ours], rounds=3, warmup_rounds=1)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


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
