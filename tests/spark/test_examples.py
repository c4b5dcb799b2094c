"""The programs of examples/ for clusters: each counts what `netfast.summarize` does."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import netfast as nf

FOLDER = Path(__file__).parents[2] / "examples"
LIMIT = 180.0  # seconds that a cluster may take to come up, and to go


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    settings = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
    }
    command = [sys.executable, FOLDER / f"{name}.py", *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **settings}
    )


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    text = b"10.0.0.1 GET / Chrome/126.0.0.0\nfrom 2001:db8::1 to 8.8.8.8 and 10.200.0.1\n" * 50
    plain, packed = tmp_path / "a.log", tmp_path / "b.log.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    return [plain, packed]


def counted(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if re.search("[0-9]$", line)]


def as_shown(logs: list[Path]) -> list[list[str]]:
    return [[kind, f"{count:,}"] for kind, count in nf.summarize(logs).by_kind.items()]


def test_dask(logs: list[Path]) -> None:
    done = run("dask_logs", *logs)
    assert (done.returncode, done.stderr) == (0, "")
    assert counted(done.stdout) == as_shown(logs)


def test_ray(logs: list[Path]) -> None:
    done = run("ray_logs", *logs)
    assert done.returncode == 0, done.stderr
    assert counted(done.stdout) == as_shown(logs)


def test_spark(logs: list[Path], java: None, tmp_path: Path) -> None:
    done = run("spark_logs", *logs)
    assert done.returncode == 0, done.stderr
    assert sorted(counted(done.stdout)) == sorted(as_shown(logs))
    table = tmp_path / "networks.csv"
    table.write_text("prefix,value\n10.0.0.0/8,office\n10.200.0.0/16,lab\n")
    done = run("spark_logs", tmp_path / "?.log*", "--table", table)
    assert done.returncode == 0, done.stderr
    assert ["private", "office", "100"] in counted(done.stdout)
    assert ["private", "lab", "100"] in counted(done.stdout)


@pytest.mark.parametrize("name", ["dask_logs", "ray_logs", "spark_logs"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path, java: None) -> None:
    done = run(name, tmp_path / "none.log")
    assert done.returncode == 1
    assert re.search(rf"^{name}: .*none\.log", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
