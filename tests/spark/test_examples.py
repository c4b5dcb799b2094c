"""The programs of examples/ for clusters: each counts what `netfast.summarize` does."""

import gzip
import os
import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.threaded
import pytest

import netfast as nf

FOLDER = Path(__file__).parents[2] / "examples"
LIMIT = 180.0  # seconds that a cluster may take to come up, and to go


def run(name: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    settings = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
    }
    command = [sys.executable, FOLDER / f"{name}.py", *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=LIMIT, cwd=cwd, env={**os.environ, **settings}
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


def test_dask_takes_the_scheduler_that_is_set(logs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As a `distributed.Client` sets its own when it is made."""
    calls = []

    def scheduler(graph: Any, keys: Any, **options: Any) -> Any:
        calls.append(keys)
        return dask.threaded.get(graph, keys, **options)

    monkeypatch.setattr(sys, "argv", ["dask_logs", *map(str, logs)])
    with dask.config.set(scheduler=scheduler):
        runpy.run_path(str(FOLDER / "dask_logs.py"), run_name="__main__")
    assert len(calls) == 1


def test_summaries_travel(logs: list[Path]) -> None:
    """A cluster's workers are other processes."""
    found = nf.summarize(logs)
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()


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
    done = run("spark_logs", "?.log*", "--table", table, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ["private", "office", "100"] in counted(done.stdout)
    assert ["private", "lab", "100"] in counted(done.stdout)


@pytest.mark.parametrize("name", ["dask_logs", "ray_logs", "spark_logs"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path, java: None) -> None:
    done = run(name, tmp_path / "none.log")
    assert done.returncode == 1
    assert re.search(rf"^{name}: .*none\.log", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_a_file_that_spark_cannot_read_to_its_end(tmp_path: Path, java: None) -> None:
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(os.urandom(10_000))[:-100])
    done = run("spark_logs", damaged)
    assert done.returncode == 1
    assert re.search(r"^spark_logs: OSError: .*damaged\.gz: .* ends too soon$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
