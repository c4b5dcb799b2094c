"""The sdist builds a wheel that works, and each holds what it should and nothing else."""

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src"
SHIPPED_BY_SDIST = {".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".typed", ".zlib"}
SHIPPED_BY_WHEEL = {".py", ".pyi", ".typed"}
MADE = ("build", "dist", "*.egg-info", "*.so", "__pycache__", ".*")


def run(*command: str | Path, cwd: Path) -> str:
    """What the command prints; its errors are the assertion's message."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def sources(suffixes: set[str]) -> set[str]:
    """The package's own files with these suffixes, relative to src."""
    return {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.joinpath("netfast").rglob("*")
        if path.suffix in suffixes and path.name not in ("_core.c", "_net.c")
    }


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this tree and the wheel built from that sdist."""
    tree = tmp_path_factory.mktemp("tree") / "netfast"
    shutil.copytree(PROJECT, tree, ignore=shutil.ignore_patterns(*MADE))
    # A developer's tree may hold generated C: it stays there.
    (tree / "src" / "netfast" / "_core.c").write_text("#error generated C was built\n")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, tree, cwd=out)
    return out


@pytest.fixture(scope="module")
def sdist(distributions: Path) -> set[str]:
    """The names of the files in the sdist, without its top folder."""
    (archive,) = distributions.glob("netfast-*.tar.gz")
    with tarfile.open(archive) as tar:
        return {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("netfast-*.whl")
    return path


def test_sdist_holds_every_source(sdist: set[str]) -> None:
    wanted = {f"src/{name}" for name in sources(SHIPPED_BY_SDIST)}
    assert {"src/netfast/_core.pyx", "src/netfast/py.typed", "src/netfast/kernels/nf_base.h"} <= wanted
    assert any(name.startswith("src/netfast/registry/") for name in wanted)
    assert wanted <= sdist
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "Makefile", "tests/conftest.py"} <= sdist


def test_sdist_holds_nothing_made(sdist: set[str]) -> None:
    assert "src/netfast/_core.c" not in sdist
    made = re.compile(r"(^|/)(build|\.venv|__pycache__)/|\.(so|pyc|o)$")
    assert not [name for name in sdist if made.search(name)]


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    package = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    extensions = {name for name in package if name.endswith(".so")}
    assert "netfast/py.typed" in package
    assert {name.split(".")[0] for name in extensions} >= {"netfast/_core"}
    registry = {name for name in sources({".h", ".zlib"}) if name.startswith("netfast/registry/")}
    assert registry
    assert package - extensions == sources(SHIPPED_BY_WHEEL) | registry
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_works_alone(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    run(scripts / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    where = run(scripts / "python", "-c", "import netfast; print(netfast.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))
    assert metadata.version("netfast") in run(scripts / "netfast", "--version", cwd=tmp_path)
    assert metadata.version("netfast") in run(scripts / "python", "-m", "netfast", "--version", cwd=tmp_path)
