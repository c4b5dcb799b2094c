"""Runs the C tests of the kernels: plain, under sanitizers, and for another instruction set.

A C test is a `*_test.c` beside this file: a program that exits with 0 if all is well.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "src" / "netfast"
KERNELS = sorted(PACKAGE.glob("kernels/nf_*.c"))
TESTS = sorted(HERE.glob("*_test.c"))
COMMON = ("-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{PACKAGE}/kernels", f"-I{PACKAGE}/registry")


@dataclass(frozen=True)
class Target:
    """How to build a program, and what runs it."""

    name: str
    compiler: str = "gcc"
    flags: tuple[str, ...] = ()
    runner: str | None = None


TARGETS = [
    Target("plain"),
    Target("sanitized", flags=("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")),
    Target("aarch64", compiler="aarch64-linux-gnu-gcc", flags=("-static",), runner="qemu-aarch64"),
]


Command = list[str | Path]


def check(command: Command, seconds: int) -> None:
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    assert run.returncode == 0, f"exit code {run.returncode}\n{run.stdout[-4000:]}\n{run.stderr[-8000:]}"


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest, tool: Callable[[str], str]) -> Target:
    wanted: Target = request.param
    for name in filter(None, (wanted.compiler, wanted.runner)):
        tool(name)
    return wanted


@pytest.fixture(scope="module")
def objects(target: Target, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The kernels, compiled once for all tests of a target, as many at a time as there are CPUs."""
    folder = tmp_path_factory.mktemp(target.name)
    made = [folder / f"{source.stem}.o" for source in KERNELS]
    waiting = list(zip(KERNELS, made, strict=True))
    while waiting:
        batch, waiting = waiting[: os.cpu_count()], waiting[os.cpu_count() :]
        commands: list[Command] = [
            [target.compiler, *COMMON, *target.flags, "-c", source, "-o", out] for source, out in batch
        ]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
        errors = [process.communicate()[1] for process in running]
        assert not any(process.returncode for process in running), "".join(errors)
    return made


def test_there_are_tests() -> None:
    assert KERNELS
    assert TESTS


@pytest.mark.parametrize("source", TESTS, ids=lambda source: source.stem)
def test_c(source: Path, target: Target, objects: list[Path], tmp_path: Path) -> None:
    program = tmp_path / source.stem
    check([target.compiler, *COMMON, *target.flags, source, *objects, "-lm", "-o", program], seconds=120)
    check([target.runner, program] if target.runner else [program], seconds=600)
