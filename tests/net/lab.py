"""Networks for tests: namespaces, cables between them, and a far end that answers as told (responder.py).

A namespace here has no name: it lives as long as a descriptor of this process, so whatever becomes of a test, nothing
is left behind. Addresses are those set aside for benchmarks and documentation, and never leave it.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from net import responder
from net.responder import Action, Request, Steps

T = TypeVar("T")

TESTS = Path(__file__).parents[1]
CLONE_NEWNET = 0x40000000
LIMIT = 60.0  # seconds that anything may take

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _own_namespace() -> int:
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """A network namespace, and what can be done inside."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.path = f"/proc/{os.getpid()}/fd/{descriptor}"  # `ip` takes it in the place of a name

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread, and what it starts, is in the namespace: sockets, files of /proc/sys/net, children."""
        before = _own_namespace()
        try:
            _checked(_libc.setns(self.descriptor, CLONE_NEWNET), "setns")
            try:
                yield
            finally:
                _checked(_libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)

    def call(self, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """The result of a call inside, in a thread of its own."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                with self.inside():
                    results.append(function(*arguments, **keywords))
            except BaseException as error:  # raised again below, in the thread that wants to know
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(LIMIT)
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError(f"{function} has not ended in {LIMIT:.0f} s")
        return results[0]

    def run(self, *command: str, text: str | None = None) -> str:
        """The output of a command, which must succeed."""
        with self.inside():
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, timeout=LIMIT, env=python_environment()
            )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}\n{text or ''}")
        return done.stdout

    def ip(self, *lines: str) -> None:
        """`ip` with each of the lines."""
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def nft(self, rules: str) -> None:
        """The rules, which may be a single line: nft itself wants one at each closing brace."""
        self.run("nft", "-f", "-", text=rules.replace("}", "\n}\n"))

    def counters(self) -> dict[str, int]:
        """The packets that each named counter of nft has seen."""
        listed = json.loads(self.run("nft", "-j", "list", "counters"))["nftables"]
        return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}

    def sysctl(self, **values: object) -> None:
        """Below /proc/sys/net: `sysctl(ipv4__ping_group_range="0 0")`."""
        with self.inside():
            for name, value in values.items():
                Path("/proc/sys/net", *name.split("__")).write_text(f"{value}\n")

    def start(self, code: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
        """A Python process inside that runs the code, with pipes to it."""
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.inside():
            return subprocess.Popen(command, text=True, env=python_environment(), **{**pipes, **more})

    def python(self, code: str, *arguments: object) -> str:
        """The output of such a process, which must succeed."""
        process = self.start(code, *arguments)
        try:
            out, error = process.communicate(timeout=LIMIT)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        if process.returncode != 0:
            raise RuntimeError(f"the process ended with {process.returncode}:\n{error}")
        return out


def python_environment() -> dict[str, str]:
    """For a Python process that imports what tests import."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new namespace, lo up: any process may ping, and errors come at any rate unless a test says otherwise."""
    before = _own_namespace()
    try:
        _checked(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            new = Namespace(_own_namespace())
        finally:
            _checked(_libc.setns(before, CLONE_NEWNET), "setns")
    finally:
        os.close(before)
    try:
        new.ip("link set lo up")
        new.sysctl(
            ipv4__ping_group_range="0 2147483647",
            ipv4__icmp_ratelimit=0,
            ipv6__icmp__ratelimit=0,
            ipv4__conf__all__rp_filter=0,
            ipv4__conf__default__rp_filter=0,
            ipv6__conf__default__accept_dad=0,  # link-local addresses, too, can be used at once
        )
        # Since Linux 6.12 each namespace has these of its own; before, they belong to the machine.
        with new.inside():
            for name in ("icmp_msgs_per_sec", "icmp_msgs_burst"):
                if os.path.exists(f"/proc/sys/net/ipv4/{name}"):
                    new.sysctl(**{f"ipv4__{name}": 1_000_000})
        yield new
    finally:
        os.close(new.descriptor)


def check(require: Callable[[object, str], None], tool: Callable[[str], str]) -> None:
    """Asks for all that the networks of this file need."""
    require(os.geteuid() == 0, "root, for network namespaces")
    tool("ip")
    require(os.path.exists("/dev/net/tun"), "/dev/net/tun")
    try:
        with namespace():
            pass
    except PermissionError:
        require(False, "CAP_SYS_ADMIN and CAP_NET_ADMIN, for network namespaces")


_names = itertools.count()


def cable(one: Namespace, other: Namespace, *, mtu: int = 1500) -> tuple[str, str]:
    """Joins two namespaces: the names of the two cards, which are up."""
    number = next(_names)
    near, far = f"nfa{number}", f"nfb{number}"
    one.ip(f"link add {near} mtu {mtu} type veth peer name {far} mtu {mtu} netns {other.path}", f"link set {near} up")
    other.ip(f"link set {far} up")
    return near, far


class Hosts(NamedTuple):
    """A - R - B: 198.18.1.1 - 198.18.1.2, 198.18.2.2 - 198.18.2.1, and 2001:db8:1::1 - ...1::2, ...2::2 - ...2::1."""

    a: Namespace
    r: Namespace
    b: Namespace
    card: str  # of A


@contextmanager
def three_hosts() -> Iterator[Hosts]:
    """R forwards, and frames between R and B hold 1280 bytes. A neighbour that does not answer is given up quickly."""
    with namespace() as a, namespace() as r, namespace() as b:
        a_card, r_left = cable(a, r)
        r_right, b_card = cable(r, b, mtu=1280)
        r.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        _address(a, a_card, "198.18.1.1/24", "2001:db8:1::1/64")
        _address(r, r_left, "198.18.1.2/24", "2001:db8:1::2/64")
        _address(r, r_right, "198.18.2.2/24", "2001:db8:2::2/64")
        _address(b, b_card, "198.18.2.1/24", "2001:db8:2::1/64")
        a.ip("route add default via 198.18.1.2", "route add default via 2001:db8:1::2")
        b.ip("route add default via 198.18.2.2", "route add default via 2001:db8:2::2")
        impatient(a, a_card)
        impatient(r, r_left)
        impatient(r, r_right)
        yield Hosts(a, r, b, a_card)


def _address(host: Namespace, card: str, ipv4: str, ipv6: str) -> None:
    host.ip(f"addr add {ipv4} dev {card}", f"addr add {ipv6} dev {card} nodad")


def impatient(host: Namespace, card: str) -> None:
    """A neighbour is given up after a tenth of a second: three seconds are the default."""
    for version in ("ipv4", "ipv6"):
        settings = {"mcast_solicit": 1, "ucast_solicit": 1, "retrans_time_ms": 100, "delay_first_probe_time": 1}
        host.sysctl(**{f"{version}__neigh__{card}__{name}": value for name, value in settings.items()})


class FarEnd:
    """The responder behind the card `far0` of a namespace: all of 198.18.0.0/16 and 2001:db8::/48."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.orders = process.stdin.fileno()
        self.confirmations = process.stdout.fileno()

    def play(self, script: Mapping[str, Steps] | None = None, default: Sequence[Action] = responder.PLAIN) -> None:
        """The script from now on; counting starts anew."""
        responder.sent(self.orders, (dict(script or {}), tuple(default)))
        assert responder.received(self.confirmations) == "plays"

    def _report(self) -> responder.Report:
        responder.sent(self.orders, "report")
        report = responder.received(self.confirmations)
        assert isinstance(report, responder.Report)
        return report

    def seen(self, *hosts: str) -> int:
        """The probes that came for these hosts, or for any."""
        seen = self._report().seen
        return sum(seen.get(responder.packed(host), 0) for host in hosts) if hosts else sum(seen.values())

    def requests(self) -> list[Request]:
        """The first of the probes that came."""
        return [request for packet in self._report().requests if (request := responder.request_of(packet))]


@contextmanager
def far_end(host: Namespace) -> Iterator[FarEnd]:
    """Puts the responder behind a namespace."""
    command = [sys.executable, "-c", "from net import responder; responder.serve()"]
    with ExitStack() as stack:
        with host.inside():
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=python_environment())
            )
        stack.callback(process.kill)
        far = FarEnd(process)
        assert responder.received(far.confirmations) == "open"
        host.ip(
            # The queue takes a burst of a probe to each host of a /16; nothing on the way fragments.
            f"link set {responder.DEVICE} up mtu 65535 txqueuelen 100000",
            f"addr add 198.19.0.1/24 dev {responder.DEVICE}",
            f"addr add 2001:db8:ffff::1/64 dev {responder.DEVICE} nodad",
            f"route add 198.18.0.0/16 dev {responder.DEVICE}",
            f"route add 2001:db8::/48 dev {responder.DEVICE}",
        )
        yield far


def _target(descriptor: str) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:  # the one that listed them
        return None


def descriptors() -> list[str]:
    """What each open descriptor of this process is, sorted."""
    return sorted(name for name in map(_target, os.listdir("/proc/self/fd")) if name is not None)


def sockets() -> int:
    """How many sockets this process has open."""
    return sum(name.startswith("socket:") for name in descriptors())
