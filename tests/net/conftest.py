"""What tests on networks of their own may ask for. They need root: with NETFAST_REQUIRE=all that is an error."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from net import datagrams_lab, lab
from net.streams_lab import KINDS, LINES, PREFIX, Pair, Rule, connected
from netfast import _netlink


@pytest.fixture(scope="session")
def network(require: Callable[[object, str], None], tool: Callable[[str], str]) -> None:
    """Namespaces can be made."""
    lab.check(require, tool)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A test that hangs fails: everything in these waits with an eye on signals."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test has not ended in {lab.LIMIT:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, lab.LIMIT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=[True, False], ids=["raw", "datagram"])
def privileged(request: pytest.FixtureRequest) -> bool:
    """Runs the test on both kinds of socket."""
    kind: bool = request.param
    return kind


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(params=["netlink", "proc"])
def source(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where sockets are read: from the kernel, or from /proc/net where a module is missing."""
    name: str = request.param
    before = _netlink.force_proc(name == "proc")
    yield name
    _netlink.force_proc(before)


@pytest.fixture
def alone(network: None) -> Iterator[lab.Namespace]:
    """The test runs inside a namespace with nothing but lo, and is given it."""
    with lab.namespace() as host, host.inside():
        yield host


@pytest.fixture
def hosts(network: None) -> Iterator[lab.Hosts]:
    """A - R - B; the test runs on A."""
    with lab.three_hosts() as three, three.a.inside():
        yield three


@pytest.fixture(scope="session")
def far_host(network: None) -> Iterator[tuple[lab.Namespace, lab.FarEnd]]:
    """The namespace with the responder: the one process serves all tests."""
    with lab.namespace() as host, lab.far_end(host) as far:
        yield host, far


@pytest.fixture
def far(far_host: tuple[lab.Namespace, lab.FarEnd]) -> Iterator[lab.FarEnd]:
    """The test runs in front of the responder, which answers everything until it is told otherwise."""
    host, far = far_host
    far.play()
    with host.inside():
        yield far


# --- sockets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened() -> Iterator[datagrams_lab.Opened]:
    """Sockets of datagrams, which are closed in the end."""
    with datagrams_lab.Opened() as stack:
        yield stack


@pytest.fixture
def sockets() -> Iterator[Pair]:
    """Stream sockets that are connected."""
    both = Pair(*socket.socketpair())
    with both.near, both.far:
        yield both


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """The same, of each kind."""
    both = connected(request.param, tmp_path)
    with both.near, both.far:
        yield both


@pytest.fixture(params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """The same, with the smallest buffers that the kernel gives."""
    both = connected(request.param, tmp_path, sending=1, receiving=1)
    with both.near, both.far:
        yield both


@pytest.fixture(params=[PREFIX, LINES], ids=["prefix", "delimiter"])
def rule(request: pytest.FixtureRequest) -> Rule:
    """How a stream is cut into frames."""
    options: Rule = request.param
    return options
