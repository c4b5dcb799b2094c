"""What every test may ask for: the shared data, a system tool, each form of the kernels.

A test that lacks something skips and names it. Under NETFAST_REQUIRE=all it fails instead.
"""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from netfast import _core

SKIPPED = "needs "

# `kernels` lasts for a test, not for an example: the same form serves them all.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300, print_blob=True)
settings.register_profile("quick", settings.get_profile("dev"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def require(condition: object, what: str) -> None:
    """Skips the test that calls it unless the condition holds, naming what is missing."""
    __tracebackhide__ = True  # the report names the test
    if condition:
        return
    if os.environ.get("NETFAST_REQUIRE") == "all":
        pytest.fail(f"{SKIPPED}{what}, and NETFAST_REQUIRE=all allows no skip", pytrace=False)
    pytest.skip(f"{SKIPPED}{what}")


@pytest.fixture(scope="session", name="require")
def require_fixture() -> Callable[[object, str], None]:
    """The function above, for a test that checks for something of its own."""
    return require


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a system tool: `tool("rg")`."""

    def find(name: str) -> str:
        path = shutil.which(name)
        require(path, f"the tool {name}")
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the logs, routing tables and registries that are not part of the project."""
    name = os.environ.get("NETFAST_DATA")
    require(name, "the shared data (set NETFAST_DATA to its folder)")
    folder = Path(name or "")
    require(folder.is_dir(), f"the shared data (NETFAST_DATA names {folder}, which is no folder)")
    return folder


def _can_ping() -> bool:
    """Whether this process may open an ICMP socket of either kind."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except OSError:
            continue
        return True
    return False


_ICMP_SOCKET = "an ICMP socket (CAP_NET_RAW, or a group within net.ipv4.ping_group_range)"


@pytest.fixture(scope="session")
def pings() -> None:
    """The test may ping."""
    require(_can_ping(), _ICMP_SOCKET)


NETWORK_TESTS = (
    "net",
    "test_blast.py",
    "test_ifconfig.py",
    "test_lsof.py",
    "test_netstat.py",
    "test_ping.py",
    "test_sweep.py",
)

# Their tests wait for other processes and for networks: each of them is `timed`.
TIMED = ("cli", "examples", "net", "spark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _group(items)
    _try_again(items)
    _skip_examples_of_ping(items)


def _parts(item: pytest.Item) -> tuple[str, ...]:
    return item.path.relative_to(item.config.rootpath).parts


def _group(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: a process gets whole files, for what a file has built once is built once; and one gets
    all tests with networks, which share what a machine has once, such as its table of neighbours."""
    for item in items:
        is_network = any(part in NETWORK_TESTS for part in _parts(item))
        item.add_marker(pytest.mark.xdist_group("networks" if is_network else item.path.name))


def _try_again(items: list[pytest.Item]) -> None:
    """What a clock decides may fail for what else the machine does, but not three times."""
    for item in items:
        if item.get_closest_marker("timed") or any(part in TIMED for part in _parts(item)):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))


def _skip_examples_of_ping(items: list[pytest.Item]) -> None:
    """They need what the tests of ping need; fixtures do not reach examples."""
    if _can_ping() or os.environ.get("NETFAST_REQUIRE") == "all":
        return
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.startswith(("netfast.icmp.", "netfast.ping_results.")):
            item.add_marker(pytest.mark.skip(f"{SKIPPED}{_ICMP_SOCKET}"))


@pytest.fixture(params=_core.kernel_names())
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every form of the kernels that this build and this CPU have."""
    name: str = request.param
    before = _core.use_kernels(name)
    yield name
    _core.use_kernels(before)


def pytest_configure() -> None:
    wanted = os.environ.get("NETFAST_REQUIRE", "")
    if wanted not in ("", "all"):
        raise pytest.UsageError(f"NETFAST_REQUIRE is {wanted!r}; it may be 'all' or nothing")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests skipped, and for want of what."""
    missing: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        missing[reason.removeprefix("Skipped: ").removeprefix(SKIPPED)] += 1
    terminalreporter.write_line(f"kernels: {', '.join(_core.kernel_names())}; skipped tests: {missing.total()}")
    for what, count in missing.most_common():
        terminalreporter.write_line(f"  {count} for want of {what}")
