"""Open, closed and filtered ports, on machines made for the purpose."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

import netfast as nf
from net import lab
from netfast import port_scan_table

ADDRESS = {4: "198.18.2.1", 6: "2001:db8:2::1"}  # of B
ROUTER = {4: "198.18.1.2", 6: "2001:db8:1::2"}  # of R, as A sees it
OWN = {4: "198.18.1.1", 6: "2001:db8:1::1"}  # of A
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
QUICK = 0.2  # seconds to wait for what does not come


def listener(host: str, port: int = 0, backlog: int = 100) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=backlog)


def number(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def nothing_left(bounded: None) -> Iterator[None]:
    """Every test ends with the descriptors it began with."""
    before = lab.descriptors()
    yield
    assert lab.descriptors() == before


@pytest.fixture
def b(hosts: lab.Hosts, version: int) -> Iterator[socket.socket]:
    """A listener on B, two routers' hops away from the test on A."""
    with hosts.b.call(listener, ADDRESS[version]) as sock:
        yield sock


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[None]:
    """The name "many.test" has these addresses, in this order."""

    def fake(name: str, port: object, family: int = 0, type: int = 0, **keywords: int) -> list[tuple[Any, ...]]:
        assert name == "many.test"
        return [
            (socket.AF_INET6, type, 6, "", (address, 0, 0, 0))
            if ":" in address
            else (socket.AF_INET, type, 6, "", (address, 0))
            for address in addresses
        ]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fake)
        yield


@contextmanager
def timed(least: float, most: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert least <= time.monotonic() - begin < most


def rules(chain: str, rule: str) -> str:
    return f"table inet probes {{ chain c {{ type filter hook {chain} priority 0; {rule} ; }} }}"


# --- open and closed -------------------------------------------------------------------------------------------------


def test_open_and_closed(hosts: lab.Hosts, version: int, b: socket.socket) -> None:
    host, port = ADDRESS[version], number(b)
    assert nf.probe_port(host, port) == "open"
    assert nf.is_port_open(host, port)
    b.close()
    with timed(0, 0.5):
        assert nf.probe_port(host, port) == "closed"
        assert not nf.is_port_open(host, port)
    scan = nf.scan_ports(host, port)
    assert scan[:] == [nf.ScanRow(host, host, port, "closed", None)]


def test_bound_and_not_listening_is_closed(alone: lab.Namespace, version: int) -> None:
    with nf.reserve_port() as sock:
        assert nf.probe_port(LOOPBACK[version], number(sock)) == "closed"
        sock.listen()
        assert nf.probe_port(LOOPBACK[version], number(sock)) == "open"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::", "localhost"])
def test_this_machine(alone: lab.Namespace, host: str) -> None:
    with nf.reserve_port() as sock:
        sock.listen()
        assert nf.probe_port(host, number(sock)) == "open"


def test_link_local_with_its_zone(hosts: lab.Hosts) -> None:
    with nf.reserve_port() as sock:
        sock.listen()
        address = next(a.ip for a in nf.interface(hosts.card).addresses if a.ip.startswith("fe80::"))
        assert nf.probe_port(f"{address}%{hosts.card}", number(sock)) == "open"
        with pytest.raises(OSError, match=rf"{address} port \d+ cannot be probed: a link-local address wants its zone"):
            nf.probe_port(address, number(sock))
        with pytest.raises(socket.gaierror, match="no interface 'nix'"):
            nf.probe_port(f"{address}%nix", number(sock))


def test_what_answers_and_resets_at_once_is_open(hosts: lab.Hosts, version: int, b: socket.socket) -> None:
    """A handshake was made, whatever came of it."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            connection, _ = b.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    states = {nf.probe_port(ADDRESS[version], number(b)) for _ in range(300)}
    stop.set()
    nf.probe_port(ADDRESS[version], number(b))
    thread.join()
    assert states == {"open"}


def test_probes_leave_nothing_in_time_wait(alone: lab.Namespace, version: int) -> None:
    with listener(LOOPBACK[version]) as sock:
        for _ in range(20):
            assert nf.is_port_open(LOOPBACK[version], number(sock))
            connection, _ = sock.accept()
            with connection, pytest.raises(ConnectionResetError):
                connection.recv(1)
        assert len(nf.connections("tcp", states="TIME_WAIT")) == 0
        assert len(nf.connections("tcp", states="ESTABLISHED")) == 0


def test_a_full_queue_does_not_answer(alone: lab.Namespace, version: int) -> None:
    """A server that accepts nothing looks open until its queue is full."""
    host = LOOPBACK[version]
    with listener(host, backlog=2) as sock:
        states = [nf.probe_port(host, number(sock), timeout=QUICK) for _ in range(6)]
        assert states[:3] == ["open"] * 3
        assert states[-1] == "filtered"
        with timed(QUICK, QUICK + 0.2):
            assert nf.scan_ports(host, number(sock), timeout=QUICK)[0].error is None


# --- filtered --------------------------------------------------------------------------------------------------------


def test_dropped_by_a_firewall(hosts: lab.Hosts, version: int, b: socket.socket, tool: Callable[[str], str]) -> None:
    tool("nft")
    hosts.b.nft(rules("input", f"tcp dport {number(b)} drop"))
    host = ADDRESS[version]
    with timed(QUICK, QUICK + 0.2):
        assert nf.probe_port(host, number(b), timeout=QUICK) == "filtered"
    assert nf.scan_ports(host, number(b), timeout=QUICK)[0] == (host, host, number(b), "filtered", None)


MESSAGES = {
    4: {
        "icmp port-unreachable": "Destination Port Unreachable",
        "icmp host-unreachable": "Destination Host Unreachable",
        "icmp net-unreachable": "Destination Net Unreachable",
        "icmp prot-unreachable": "Destination Protocol Unreachable",
        "icmp host-prohibited": "Destination Host Prohibited",
        "icmp net-prohibited": "Destination Net Prohibited",
        "icmp admin-prohibited": "Packet filtered",
    },
    6: {
        "icmpv6 no-route": "Destination unreachable: No route",
        "icmpv6 admin-prohibited": "Destination unreachable: Administratively prohibited",
        "icmpv6 addr-unreachable": "Destination unreachable: Address unreachable",
        "icmpv6 port-unreachable": "Destination unreachable: Port unreachable",
    },
}


@pytest.mark.parametrize(
    ("version", "kind", "said"), [(version, *row) for version, kinds in MESSAGES.items() for row in kinds.items()]
)
def test_rejected_by_an_icmp_message(hosts: lab.Hosts, version: int, kind: str, said: str, tool: Any) -> None:
    """Some arrive as the same errno as a reset: it is the message that counts, and who sent it is told."""
    tool("nft")
    hosts.r.nft(rules("forward", f"tcp dport 80 reject with {kind}"))
    host = ADDRESS[version]
    with timed(0, 0.5):
        assert nf.probe_port(host, 80, timeout=5) == "filtered"
        row = nf.scan_ports(host, 80, timeout=5)[0]
    assert row == (host, host, 80, "filtered", f"{said}, from {ROUTER[version]}")


def test_rejected_by_a_reset(hosts: lab.Hosts, version: int, tool: Any) -> None:
    tool("nft")
    hosts.r.nft(rules("forward", "tcp dport 80 reject with tcp reset"))
    assert nf.probe_port(ADDRESS[version], 80) == "closed"


@pytest.mark.parametrize("kind", ["prohibit", "unreachable", "blackhole"])
def test_own_routes(hosts: lab.Hosts, version: int, kind: str) -> None:
    hosts.a.ip(f"route add {kind} {ADDRESS[version]}")
    with timed(0, 0.5):
        assert nf.probe_port(ADDRESS[version], 80, timeout=5) == "filtered"
        error = nf.scan_ports(ADDRESS[version], 80, timeout=5)[0].error
    assert error in {
        "prohibit": ["Permission denied"],
        "unreachable": ["No route to host"],
        "blackhole": ["Invalid argument"],
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["prohibit", "unreachable"])
def test_routes_of_a_router(hosts: lab.Hosts, version: int, kind: str) -> None:
    target = {4: "198.18.9.9", 6: "2001:db8:9::9"}[version]
    hosts.r.ip(f"route add {kind} {target}")
    row = nf.scan_ports(target, 80, timeout=5)[0]
    assert row.state == "filtered"
    assert row.error is not None
    assert row.error.endswith(f", from {ROUTER[version]}")


def test_no_route(alone: lab.Namespace, version: int) -> None:
    row = nf.scan_ports(ADDRESS[version], 80)[0]
    assert (row.state, row.error) == ("filtered", "Network is unreachable")


@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_own_firewall(hosts: lab.Hosts, version: int, b: socket.socket, tool: Any, verdict: str) -> None:
    tool("nft")
    hosts.a.nft(rules("output", f"tcp dport {number(b)} {verdict}"))
    with timed(0, QUICK + 0.2):
        assert nf.probe_port(ADDRESS[version], number(b), timeout=QUICK) == "filtered"


def test_a_neighbour_that_is_not_there(hosts: lab.Hosts, version: int) -> None:
    host = {4: "198.18.1.77", 6: "2001:db8:1::77"}[version]
    with timed(0, 2):
        row = nf.scan_ports(host, 80, timeout=3)[0]
    assert row.state == "filtered"
    assert row.error is not None
    assert "nreachable" in row.error


# --- itself ----------------------------------------------------------------------------------------------------------


def test_a_connection_with_itself_is_closed(alone: lab.Namespace, version: int) -> None:
    """The only port to connect from is the one that is asked for."""
    host, port = LOOPBACK[version], 40_000
    alone.sysctl(ipv4__ip_local_port_range=f"{port} {port}")
    with socket.create_connection((host, port)) as sock:
        assert sock.getsockname() == sock.getpeername()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert [nf.probe_port(host, port) for _ in range(5)] == ["closed"] * 5
    assert nf.scan_ports(host, [port, port], in_flight=1).state.tolist() == ["closed"] * 2
    with pytest.raises(TimeoutError, match="connection refused"):
        nf.wait_port(host, port, timeout=QUICK)
    alone.sysctl(ipv4__ip_local_port_range=f"{port} {port + 1}")
    with listener(host, port):
        assert nf.probe_port(host, port) == "open"


def test_a_scan_of_ones_own_ports_finds_none(alone: lab.Namespace, version: int) -> None:
    """By chance alone some connect to themselves; with few ports to connect from, many."""
    host = LOOPBACK[version]
    alone.sysctl(ipv4__ip_local_port_range="40000 40099")
    with listener(host, 40_050) as one, listener(host, 50_000) as other:
        scan = nf.scan_ports(host, [*range(40_000, 40_100)] * 20 + [50_000])
        assert {row.port for row in scan.open} == {number(one), number(other)}
        assert set(scan.state) == {"open", "closed"}


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(hosts: lab.Hosts, tool: Any) -> Iterator[int]:
    """A port of B that its first address accepts, its second refuses and its third drops: OPEN, CLOSED, DROPPED."""
    tool("nft")
    card = hosts.b.run("ip", "-o", "link", "show", "type", "veth").split(": ")[1].split("@")[0]
    hosts.b.ip(f"addr add 198.18.2.11/24 dev {card}", f"addr add 198.18.2.12/24 dev {card}")
    hosts.b.nft(rules("input", f"ip daddr {DROPPED} tcp dport 1-65535 drop"))
    with hosts.b.call(listener, OPEN) as sock:
        yield number(sock)


OPEN, CLOSED, DROPPED = "198.18.2.1", "198.18.2.11", "198.18.2.12"


@pytest.mark.parametrize(
    ("addresses", "state", "address", "waits"),
    [
        ([OPEN, DROPPED], "open", OPEN, 0),
        ([CLOSED, OPEN, DROPPED], "open", OPEN, 0),
        ([DROPPED, OPEN], "open", OPEN, 1),
        ([DROPPED, CLOSED], "closed", CLOSED, 1),
        ([CLOSED, DROPPED], "closed", CLOSED, 1),
        ([DROPPED, DROPPED + "0", CLOSED], "closed", CLOSED, 1),  # no neighbour: R says so
        ([DROPPED], "filtered", DROPPED, 1),
        (["::2", DROPPED], "filtered", "::2", 1),  # no route, and then no answer
        (["::2", CLOSED, OPEN], "open", OPEN, 0),
        ([OPEN, OPEN], "open", OPEN, 0),
    ],
)
def test_a_name_with_many_addresses(
    three: int, monkeypatch: pytest.MonkeyPatch, addresses: list[str], state: str, address: str, waits: int
) -> None:
    with names(monkeypatch, *addresses), timed(waits * QUICK, waits * QUICK + 0.5):
        row = nf.scan_ports("many.test", three, timeout=QUICK)[0]
    assert (row.host, row.state, row.address) == ("many.test", state, address)
    with names(monkeypatch, *addresses):
        assert nf.probe_port("many.test", three, timeout=QUICK) == state
        assert nf.is_port_open("many.test", three, timeout=QUICK) == (state == "open")


def test_addresses_are_tried_in_order(hosts: lab.Hosts, three: int, monkeypatch: pytest.MonkeyPatch, tool: Any) -> None:
    counters = "".join(f"counter c{at} {{ }} " for at in range(3))
    rule = " ; ".join(
        f"ip daddr {address} tcp flags syn counter name c{at}" for at, address in enumerate((OPEN, CLOSED, DROPPED))
    )
    hosts.r.nft(f"table inet seen {{ {counters} chain c {{ type filter hook forward priority 0; {rule} ; }} }}")
    with names(monkeypatch, CLOSED, OPEN, DROPPED):
        assert nf.is_port_open("many.test", three)
    assert hosts.r.counters() == {"c0": 1, "c1": 1, "c2": 0}


def test_a_name_without_address(alone: lab.Namespace) -> None:
    for call in (nf.probe_port, nf.is_port_open, nf.wait_port):
        with timed(0, 1), pytest.raises(socket.gaierror, match=r"no\.\.where: no host name: "):
            call("no..where", 80)
    with pytest.raises(socket.gaierror, match=r"127\.1: not four octets"):
        nf.probe_port("127.1", 80)
    with listener("127.0.0.1") as sock:
        scan = nf.scan_ports(["nowhere.invalid", "127.0.0.1", "::1%nix"], [number(sock), 1])
        assert scan.state.tolist() == ["error", "error", "open", "closed", "error", "error"]
        assert scan.address.tolist() == [None, None, "127.0.0.1", "127.0.0.1", None, None]
        assert [row.error is None for row in scan] == [False, False, True, True, False, False]


def test_a_family_that_this_kernel_does_not_have(alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **keywords: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **keywords)

    with listener("127.0.0.1") as sock, monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Socket)
        with pytest.raises(OSError, match="::1 port 80 cannot be probed: Address family not supported") as caught:
            nf.probe_port("::1", 80)
        assert caught.value.errno == errno.EAFNOSUPPORT
        with names(monkeypatch, "::1", "127.0.0.1"):
            assert nf.probe_port("many.test", number(sock)) == "open"
            assert nf.probe_port("many.test", 1) == "closed"


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_wait_ends_at_once_where_it_is_open(alone: lab.Namespace, version: int) -> None:
    with listener(LOOPBACK[version]) as sock, timed(0, 0.1):
        assert 0 < nf.wait_port(LOOPBACK[version], number(sock), interval=5) < 0.1


def test_wait_ends_when_it_opens(alone: lab.Namespace, version: int) -> None:
    with nf.reserve_port() as sock:
        opener = threading.Timer(0.3, sock.listen)
        opener.start()
        took = nf.wait_port(LOOPBACK[version], number(sock), timeout=10, interval=0.02)
        opener.join()
    assert 0.3 <= took < 0.6


def test_wait_looks_once_more_at_the_end(alone: lab.Namespace) -> None:
    with nf.reserve_port() as sock:
        opener = threading.Timer(0.2, sock.listen)
        opener.start()
        took = nf.wait_port("127.0.0.1", number(sock), timeout=0.4, interval=5)
        opener.join()
    assert 0.4 <= took < 0.6


def test_wait_for_a_host_that_opens_its_firewall(hosts: lab.Hosts, version: int, b: socket.socket, tool: Any) -> None:
    """A connection attempt that got no answer is not waited for to the end."""
    tool("nft")
    hosts.b.nft(rules("input", f"tcp dport {number(b)} drop"))
    opener = threading.Timer(0.3, lambda: hosts.b.nft("flush ruleset"))
    opener.start()
    took = nf.wait_port(ADDRESS[version], number(b), timeout=20)
    opener.join()
    assert 0.3 <= took < 2


def test_waited_in_vain(hosts: lab.Hosts, version: int, b: socket.socket, tool: Any) -> None:
    tool("nft")
    host, port = ADDRESS[version], number(b)
    hosts.b.nft(rules("input", f"tcp dport {port} drop"))
    for at, said in (
        (port, f"{host} port {port} was not open within 0.4 s; the last attempt met: {host}: no answer"),
        (9, f"{host} port 9 was not open within 0.4 s; the last attempt met: {host}: connection refused"),
    ):
        with timed(0.4, 0.7), pytest.raises(TimeoutError, match=said) as caught:
            nf.wait_port(host, at, timeout=0.4)
        assert caught.value.errno == errno.ETIMEDOUT
    hosts.a.ip(f"route add prohibit {host}")
    with pytest.raises(TimeoutError, match=f"met: {host}: Permission denied"):
        nf.wait_port(host, port, timeout=0.2)


def test_wait_tells_of_each_address(three: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said = rf"met: {CLOSED}: connection refused, ::2: Destination unreachable: No route, from {ROUTER[6]}"
    with names(monkeypatch, CLOSED, "::2"), pytest.raises(TimeoutError, match=said):
        nf.wait_port("many.test", three, timeout=QUICK)
    with names(monkeypatch, CLOSED, OPEN):
        assert nf.wait_port("many.test", three) < 0.2


def test_wait_gives_each_address_its_share(three: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address takes the time of no other."""
    with names(monkeypatch, DROPPED, OPEN), timed(0.25, 0.6):
        assert nf.wait_port("many.test", three, timeout=0.6) < 0.6
    with names(monkeypatch, CLOSED, DROPPED, OPEN), timed(0.25, 0.6):
        assert nf.wait_port("many.test", three, timeout=0.6) < 0.6
    said = rf"met: {DROPPED}: no answer, {CLOSED}: connection refused"
    with names(monkeypatch, DROPPED, CLOSED), timed(0.4, 0.7), pytest.raises(TimeoutError, match=said):
        nf.wait_port("many.test", three, timeout=0.4)


def test_wait_does_not_wait_out_what_cannot_pass(hosts: lab.Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    address = next(a.ip for a in nf.interface(hosts.card).addresses if a.ip.startswith("fe80::"))
    with timed(0, 1), pytest.raises(OSError, match=f"{address} port 80 cannot be probed: a link-local") as caught:
        nf.wait_port(address, 80, timeout=5)
    assert caught.value.errno == errno.EINVAL

    class Socket(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **keywords: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Socket)
        with timed(0, 1), pytest.raises(OSError, match="::1 port 80 cannot be probed: Address family") as caught:
            nf.wait_port("::1", 80, timeout=5)
        assert caught.value.errno == errno.EAFNOSUPPORT
        with listener("127.0.0.1") as sock, names(patch, "::1", "127.0.0.1"):
            assert nf.wait_port("many.test", number(sock)) < 1


def test_nothing_to_connect_from(alone: lab.Namespace) -> None:
    """It may pass, and is waited out."""
    alone.sysctl(ipv4__ip_local_port_range="40000 40000")
    with listener("127.0.0.1", 50_000) as sock:
        taken = socket.create_connection(sock.getsockname())
        said = "127.0.0.1 port 50000 cannot be probed: no ephemeral port to connect from is left"
        with pytest.raises(OSError, match=said) as caught:
            nf.probe_port("127.0.0.1", 50_000)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(TimeoutError, match=r"met: 127\.0\.0\.1: no ephemeral port"):
            nf.wait_port("127.0.0.1", 50_000, timeout=QUICK)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        closer = threading.Timer(QUICK, taken.close)
        closer.start()
        assert QUICK / 2 < nf.wait_port("127.0.0.1", 50_000, timeout=5) < 2
        closer.join()
    alone.sysctl(ipv6__conf__all__disable_ipv6=1)
    with pytest.raises(OSError, match="::1 port 9 cannot be probed: this machine has no address to connect from"):
        nf.probe_port("::1", 9)


@pytest.mark.parametrize("number_", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_wait_for_a_name_that_does_not_exist_yet(
    alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch, number_: int
) -> None:
    answers: list[Any] = [socket.gaierror(number_, "Name or service not known")] * 3

    def fake(*arguments: object, **keywords: object) -> Any:
        if answers:
            raise answers.pop()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    with listener("127.0.0.1") as sock, monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fake)
        assert 0.15 <= nf.wait_port("web", number(sock), interval=0.05) < 1
        answers += [socket.gaierror(number_, "Name or service not known")] * 1000
        with timed(QUICK, 1), pytest.raises(TimeoutError, match="met: web: Name or service not known"):
            nf.wait_port("web", number(sock), timeout=QUICK)


def test_a_look_up_without_descriptors(alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*arguments: object, **keywords: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    calls: list[Callable[[], object]] = [
        lambda: nf.probe_port("web", 80),
        lambda: nf.wait_port("web", 80),
        lambda: nf.find_free_port("web"),
        lambda: nf.reserve_port(host="web"),
    ]
    for call in calls:
        with timed(0, 1), pytest.raises(OSError, match="look up web: Too many open files") as caught:
            call()
        assert (type(caught.value), caught.value.errno) == (OSError, errno.EMFILE)
    assert nf.scan_ports("web", 80)[0].error == "Too many open files"


def test_wait_asks_again_for_a_name(alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")] * 3

    def fake(*arguments: object, **keywords: object) -> Any:
        if answers:
            raise answers.pop()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    with listener("127.0.0.1") as sock, monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fake)
        assert 0.15 <= nf.wait_port("many.test", number(sock), interval=0.05) < 1
        answers += [socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")] * 1000
        with timed(QUICK, 1), pytest.raises(TimeoutError, match=r"met: many\.test: Temporary failure"):
            nf.wait_port("many.test", number(sock), timeout=QUICK)


def test_wait_does_not_wait_for_the_resolver(alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def fake(*arguments: object, **keywords: object) -> Any:
        answered.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fake)
        with timed(0.4, 0.8), pytest.raises(TimeoutError, match=r"many\.test: the resolver has not answered in time"):
            nf.wait_port("many.test", 80, timeout=0.4)
        answered.set()


# --- many ------------------------------------------------------------------------------------------------------------


class Counted(socket.socket):
    """A socket that counts how many of its kind are open."""

    now = most = 0

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        Counted.now += 1
        Counted.most = max(Counted.most, Counted.now)

    def close(self) -> None:
        Counted.now -= self.fileno() >= 0
        super().close()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Counted]]:
    """Sockets that are opened are counted, and closed in the end."""
    Counted.now = Counted.most = 0
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Counted)
        yield Counted
    assert Counted.now == 0


PORTS = range(1000, 2000)
HOSTS = ["198.18.2.1", "2001:db8:2::1", "198.18.2.0/30"]  # the prefix is B again, and R's side of the cable


@pytest.mark.parametrize("in_flight", [2, 512])
def test_a_scan_of_thousands(hosts: lab.Hosts, tool: Any, monkeypatch: pytest.MonkeyPatch, in_flight: int) -> None:
    """In order, and never more at a time than asked for."""
    tool("nft")
    hosts.b.nft(rules("input", "tcp dport 1500-1509 drop"))
    hosts.r.nft(rules("forward", "tcp dport 1600-1604 reject with icmpx admin-prohibited"))
    opened = (("198.18.2.1", 1501), ("198.18.2.1", 1550), ("2001:db8:2::1", 1600), ("2001:db8:2::1", 1599))
    with ExitStack() as stack:
        for host, port in opened:
            stack.enter_context(hosts.b.call(listener, host, port))
        waits = 30 / in_flight * QUICK  # three times ten ports are dropped
        with counted(monkeypatch) as count, timed(waits, waits + 4):
            scan = nf.scan_ports(HOSTS, PORTS, timeout=QUICK, in_flight=in_flight)
    if in_flight == 2:
        assert count.most == 2
    else:
        assert 30 <= count.most <= 512  # what is dropped is under way together
    names = ["198.18.2.1", "2001:db8:2::1", "198.18.2.1", "198.18.2.2"]
    assert scan.host.tolist() == scan.address.tolist() == [name for name in names for _ in PORTS]
    assert scan.port.tolist() == [*PORTS] * 4
    for host, first in zip(names, range(0, len(scan), len(PORTS)), strict=True):
        for row, port in zip(scan[first : first + len(PORTS)], PORTS, strict=True):
            expected = "closed"
            if host != "198.18.2.2":
                expected = "open" if (host, port) in ((names[0], 1550), (names[1], 1599)) else expected
                expected = "filtered" if port in range(1500, 1510) or port in range(1600, 1605) else expected
            assert row.state == expected, row
            assert (row.error is not None) == (expected == "filtered" and port >= 1600), row
    assert [row.port for row in scan.open] == [1550, 1599, 1550]


@pytest.mark.parametrize("in_flight", [100, 512])
def test_dead_hosts_take_a_timeout_for_each_in_flight(hosts: lab.Hosts, tool: Any, in_flight: int) -> None:
    tool("nft")
    hosts.r.nft(rules("prerouting", "ip daddr 198.18.64.0/20 drop"))
    targets, ports = ["198.18.64.0/24"], [22, 80, 443, 8080]
    rounds = -(-254 * 4 // in_flight)
    with timed(rounds * QUICK, rounds * QUICK + 1):
        scan = nf.scan_ports(targets, ports, timeout=QUICK, in_flight=in_flight)
    assert len(scan) == 254 * 4
    assert set(scan.state) == {"filtered"}
    assert set(scan.error) == {None}


def test_one_slow_probe_keeps_no_other(hosts: lab.Hosts, tool: Any) -> None:
    tool("nft")
    hosts.b.nft(rules("input", "tcp dport 1000 drop"))
    with timed(0.5, 1.5):
        scan = nf.scan_ports(ADDRESS[4], range(1000, 4000), timeout=0.5, in_flight=2)
    assert scan.state.tolist() == ["filtered"] + ["closed"] * 2999


def test_a_scan_of_every_port(alone: lab.Namespace, version: int) -> None:
    """Thousands of them ephemeral, and not one that is open because it was asked for."""
    with listener(LOOPBACK[version], 33_333), listener(LOOPBACK[version], 7):
        scan = nf.scan_ports(LOOPBACK[version], range(1, 65_536))
        assert [row.port for row in scan.open] == [7, 33_333]
        assert set(scan.state) == {"open", "closed"}
        assert repr(scan) == "<PortScan of 65,535 ports: open 2, closed 65,533>"


def test_scan_as_arrow(alone: lab.Namespace) -> None:
    import pyarrow as pa

    with listener("127.0.0.1") as sock:
        scan = nf.scan_ports(["127.0.0.1", "nowhere.invalid"], [number(sock), 1])
    table = pa.table(scan)
    assert table.schema.names == ["host", "address", "port", "state", "error"]
    assert table.schema.field("port").type == pa.uint16()
    assert [tuple(row.values()) for row in table.to_pylist()] == list(map(tuple, scan))


def test_scan_of_nothing(alone: lab.Namespace) -> None:
    for hosts, ports in (([], [80]), ("127.0.0.1", []), ([], [])):
        scan = nf.scan_ports(hosts, ports)
        assert (len(scan), list(scan), scan.open, scan.port.tolist(), scan.host.tolist()) == (0, [], [], [], [])
        assert repr(scan) == "<PortScan of 0 ports: none>"


def test_rows_of_a_scan(alone: lab.Namespace) -> None:
    scan = nf.scan_ports(["127.0.0.1", "::1"], iter([5, 6, 7]))
    assert scan[-1] == scan[5] == nf.ScanRow("::1", "::1", 7, "closed", None)
    assert scan[1:3] == list(scan)[1:3]
    for index in (6, -7):
        with pytest.raises(IndexError):
            scan[index]
    states = scan.state
    assert len(set(map(id, states))) == 1


# --- descriptors, signals and arguments ------------------------------------------------------------------------------


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """No more than so many can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, before[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_with_few_descriptors_fewer_are_under_way(hosts: lab.Hosts, tool: Any) -> None:
    tool("nft")
    hosts.b.nft(rules("input", "tcp dport 1000-1039 drop"))
    nf.scan_ports(ADDRESS[4], 1)  # what is loaded is loaded
    with descriptors_left(9), timed(5 * QUICK, 5 * QUICK + 2):  # one is the selector's
        scan = nf.scan_ports(ADDRESS[4], range(1000, 1100), timeout=QUICK)
    assert scan.state.tolist() == ["filtered"] * 40 + ["closed"] * 60


@pytest.mark.parametrize(("left", "what"), [(0, "ports"), (1, r"198\.18\.2\.1 port 80")])
def test_without_descriptors_it_says_so(hosts: lab.Hosts, left: int, what: str) -> None:
    nf.probe_port(ADDRESS[4], 80)
    calls: list[Callable[[str, int], object]] = [nf.scan_ports, nf.probe_port, nf.is_port_open, nf.wait_port]
    for call in calls:
        said = f"no descriptor is left to probe {what}: Too many open files"
        with descriptors_left(left), timed(0, 0.5), pytest.raises(OSError, match=said) as caught:
            call(ADDRESS[4], 80)
        assert caught.value.errno == errno.EMFILE


INTERRUPTED = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import netfast as nf, numpy

def descriptors():
    return len(os.listdir("/proc/self/fd"))

nf.scan_ports("127.0.0.1", 1)
before = descriptors()
try:
    print("ready", flush=True)
    CALL
except KeyboardInterrupt:
    heard = time.monotonic()
else:
    heard = "ended"
print(heard, descriptors() - before, flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "nf.probe_port('127.1.0.1', 80, timeout=30)",
        "nf.wait_port('127.1.0.1', 80)",
        "nf.wait_port('127.0.0.1', 80, interval=30)",
        "nf.scan_ports('127.1.0.0/20', range(1, 100), timeout=30)",
        "nf.scan_ports('127.2.0.0/20', range(1, 10000))",
    ],
)
def test_ctrl_c_is_heard_at_once(alone: lab.Namespace, tool: Any, call: str) -> None:
    tool("nft")
    alone.nft(rules("input", "ip daddr 127.1.0.0/16 tcp flags syn drop"))
    process = alone.start(INTERRUPTED.replace("CALL", call))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.4)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error
    heard, left = out.split()
    assert 0 < float(heard) - sent < 0.2
    assert left == "0"
    assert not error


def test_other_signals_are_handled_and_waiting_goes_on(alone: lab.Namespace, tool: Any) -> None:
    tool("nft")
    alone.nft(rules("input", "tcp dport 80 drop"))
    heard: list[int] = []
    handler = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    signaller = subprocess.Popen(["sh", "-c", f"sleep 0.1; kill -USR1 {os.getpid()}"])
    try:
        with timed(0.4, 0.7):
            assert nf.probe_port("127.0.0.1", 80, timeout=0.4) == "filtered"
    finally:
        signaller.wait()
        signal.signal(signal.SIGUSR1, handler)
    assert heard == [signal.SIGUSR1]


@pytest.mark.parametrize("call", [nf.probe_port, nf.is_port_open, nf.wait_port, nf.scan_ports])
@pytest.mark.parametrize(
    ("host", "port", "keywords", "kind", "said"),
    [
        ("::1", 0, {}, ValueError, "ports?=0: wanted 1 to 65535"),
        ("::1", 65_536, {}, ValueError, "ports?=65536"),
        ("::1", -1, {}, ValueError, "ports?=-1"),
        ("::1", 80.0, {}, TypeError, "ports? is float"),
        ("::1", True, {}, TypeError, "ports? is bool"),
        ("::1", "80", {}, TypeError, "ports? is str"),
        ("::1", None, {}, TypeError, "ports? is NoneType"),
        ("::1", 80, {"timeout": 0}, ValueError, "timeout=0: wanted more than 0 seconds"),
        ("::1", 80, {"timeout": -1}, ValueError, "timeout=-1"),
        ("::1", 80, {"timeout": float("nan")}, ValueError, "timeout=nan"),
        ("::1", 80, {"timeout": float("inf")}, ValueError, "timeout=inf"),
        ("::1", 80, {"timeout": "1"}, TypeError, "timeout is str; wanted a number"),
        ("::1", 80, {"timeout": None}, TypeError, "timeout is NoneType"),
        (b"::1", 80, {}, TypeError, "is bytes"),
        (1, 80, {}, TypeError, "is int"),
        ("::1", 80, {"timeout": True}, TypeError, "timeout is bool; wanted a number"),
    ],
)
def test_wrong_arguments(
    call: Any, host: Any, port: Any, keywords: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        call(host, port, **keywords)


def test_wrong_arguments_of_one() -> None:
    for call in (nf.probe_port, nf.is_port_open, nf.wait_port):
        with pytest.raises(ValueError, match=r"127\.0\.0\.0/30 is a prefix, not one host; use nf\.scan_ports"):
            call("127.0.0.0/30", 80)
        with pytest.raises(ValueError, match=r"'localhost\\x00\.test' is no host: it holds a NUL"):
            call("localhost\0.test", 80)
    scan = nf.scan_ports(["localhost\0.test", "fe80::1%lo\0", "127.0.0.1"], 1)
    assert scan.state.tolist() == ["error", "error", "closed"]
    with pytest.raises(ValueError, match="interval=-1"):
        nf.wait_port("127.0.0.1", 80, interval=-1)
    for ports, error in (([80, 0], ValueError), (["80"], TypeError), ([1.0], TypeError), ({1, 70_000}, ValueError)):
        with pytest.raises(error, match=r"ports\["):
            nf.scan_ports("127.0.0.1", ports)
    for in_flight, kind in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="in_flight"):
            nf.scan_ports("127.0.0.1", 80, in_flight=in_flight)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 1,048,576 of one prefix"):
        nf.scan_ports("10.0.0.0/8", 80)
    with pytest.raises(ValueError, match="65,534 hosts with 60,000 ports each are 3,932,040,000 rows; wanted at most"):
        nf.scan_ports("127.1.0.0/16", range(1, 60_001))


def test_states_are_in_the_order_that_counts() -> None:
    assert port_scan_table.STATES == ("open", "closed", "filtered", "error")
