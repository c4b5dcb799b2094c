"""What `import netfast` costs, and what it does not drag in."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MS = 30
ROUNDS = 11
LAZY = {"numpy", "rich", "isal", "backports.zstd", "pyarrow", "polars", "pandas", "duckdb"}


def cpu_ms(code: str, environment: dict[str, str]) -> float:
    """The CPU time of a Python process that runs the code."""
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1000


def test_import_is_quick(tmp_path: Path) -> None:
    # Byte code is read, as it is wherever netfast is installed, from a folder that is filled first.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    cpu_ms("import netfast", environment)
    rounds = [(cpu_ms("pass", environment), cpu_ms("import netfast", environment)) for _ in range(ROUNDS)]
    bare, loaded = (statistics.median(times) for times in zip(*rounds, strict=True))
    assert loaded - bare < LIMIT_MS


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, netfast; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "netfast" in loaded
    assert LAZY.isdisjoint(loaded)


@pytest.mark.parametrize("name", ["mmx", "AVX2 ", "scalar,avx2"])
def test_unknown_kernels_are_refused_by_name(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import netfast"],
        capture_output=True,
        text=True,
        env=os.environ | {"NETFAST_KERNELS": name},
    )
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1
    assert last.startswith("ImportError: ")
    assert name in last


def test_every_form_can_be_asked_for(kernels: str) -> None:
    code = "from netfast import _core; print(_core.use_kernels('scalar'))"
    environment = os.environ | {"NETFAST_KERNELS": kernels}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == kernels
