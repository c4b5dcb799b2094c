"""Sockets of TCP, UDP and Unix: what they are set to, where they go, and what errors say."""

import errno
import ipaddress
import os
import resource
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from net import lab
from netfast import endpoints, sockets
from netfast.endpoints import Place, read_endpoint

pytestmark = pytest.mark.timed

HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = lab.sockets()
    yield
    assert lab.sockets() == before


def port_of(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


@contextmanager
def full(host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """A listener whose queue is full: who connects hears nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(nf.tcp_listen((host, 0), backlog=0))
        for _ in range(2):
            client = stack.enter_context(closing(socket.socket(listener.family)))
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield host, port_of(listener)


@contextmanager
def descriptors(left: int) -> Iterator[None]:
    """So many more may be opened."""
    found = [os.open(os.devnull, os.O_RDONLY) for _ in range(left + 1)]
    for one in found:
        os.close(one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (found[-1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answers(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Every name has these addresses and ports."""
    found = [
        Place(socket.AF_INET6, (host, port, 0, 0)) if ":" in host else Place(socket.AF_INET, (host, port))
        for host, port in places
    ]
    monkeypatch.setattr(sockets, "places_to_reach", lambda *_: found)


# --- where -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected", "text"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80), "127.0.0.1:80"),
        ("example.org:65535", ("example.org", 65535), "example.org:65535"),
        ("[::1]:80", ("::1", 80), "[::1]:80"),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
        (":80", (None, 80), ":80"),
        ("80", (None, 80), ":80"),
        (80, (None, 80), ":80"),
        (0, (None, 0), ":0"),
        (("::1", 80), ("::1", 80), "[::1]:80"),
        (["localhost", 80], ("localhost", 80), "localhost:80"),
        ((None, 80), (None, 80), ":80"),
        (("", 80), (None, 80), ":80"),
        (("::1", 80, 0, 0), ("::1", 80), "[::1]:80"),
        (("fe80::1", 80, 0, 3), ("fe80::1%3", 80), "[fe80::1%3]:80"),
        (("fe80::1%eth0", 80, 0, 3), ("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
        ((ipaddress.ip_address("192.0.2.1"), 80), ("192.0.2.1", 80), "192.0.2.1:80"),
    ],
)
def test_forms_of_an_address(given: Any, expected: tuple[str | None, int], text: str) -> None:
    found = read_endpoint(given)
    assert found == expected
    assert str(found) == text


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("", ValueError, "no port"),
        ("localhost", ValueError, "no port"),
        ("localhost:", ValueError, "no port"),
        ("localhost:http", ValueError, "no port"),
        ("localhost:-1", ValueError, "no port"),
        ("localhost:８0", ValueError, "no port"),
        ("localhost:65536", ValueError, "wanted a port of 0 to 65535"),
        ("localhost:" + "9" * 5000, ValueError, "wanted a port of 0 to 65535"),
        ("::1", ValueError, r"brackets.*\[::1\]:80"),
        ("::1:80", ValueError, "brackets"),
        ("[::1]", ValueError, "brackets"),
        ("[127.0.0.1]:80:1", ValueError, "brackets"),
        (65536, ValueError, "address=65536"),
        (-1, ValueError, "address=-1"),
        (b"localhost:80", TypeError, "bytes; wanted"),
        (None, TypeError, "NoneType"),
        (True, TypeError, "bool"),
        (80.0, TypeError, "float"),
        ((), TypeError, "tuple"),
        (("localhost",), TypeError, "tuple"),
        ((b"localhost", 80), TypeError, r"address\[0\] is bytes"),
        (("localhost", "80"), TypeError, r"address\[1\] is str"),
        (("localhost", 70000), ValueError, r"address\[1\]=70000"),
        (("fe80::1", 80, 0, "eth0"), TypeError, r"address\[3\] is str"),
        (("fe80::1", 80, 0, -1), ValueError, r"address\[3\]=-1"),
    ],
)
def test_what_is_no_address(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_endpoint(given)


def test_port_0_is_only_to_bind() -> None:
    with pytest.raises(ValueError, match=r"address='127.0.0.1:0': wanted a port of 1 to 65535"):
        nf.tcp_connect("127.0.0.1:0")
    with pytest.raises(ValueError, match=r"connect='127.0.0.1:0': wanted a port of 1 to 65535"):
        nf.udp_socket(connect="127.0.0.1:0")


@pytest.mark.parametrize(
    ("family", "expected"),
    [(None, 0), ("inet", socket.AF_INET), ("inet6", socket.AF_INET6), (socket.AF_INET, 2), (int(socket.AF_INET6), 10)],
)
def test_families(family: Any, expected: int) -> None:
    assert endpoints.read_family(family) == expected


@pytest.mark.parametrize("family", ["ipv4", "", 0, 1, 99, 4.0, True, b"inet", [2]])
def test_what_is_no_family(family: Any) -> None:
    for make in (nf.tcp_socket, lambda family: nf.udp_socket(family=family)):
        with pytest.raises(ValueError, match="family="):
            make(family)


def test_places_are_text_with_zones() -> None:
    assert str(Place(socket.AF_INET6, ("fe80::1", 80, 0, 3))) == "[fe80::1%3]:80"
    assert str(Place(socket.AF_INET, ("127.0.0.1", 80))) == "127.0.0.1:80"


# --- TCP -------------------------------------------------------------------------------------------------------------


def test_a_socket_of_tcp(opened: ExitStack) -> None:
    sock = opened.enter_context(nf.tcp_socket())
    assert sock.family == (socket.AF_INET6 if HAS_IPV6 else socket.AF_INET)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert port_of(sock) == 0
    assert sock.gettimeout() is None
    assert not os.get_inheritable(sock.fileno())
    assert opened.enter_context(nf.tcp_socket("inet")).family == socket.AF_INET
    assert opened.enter_context(nf.tcp_socket(socket.AF_INET6)).family == socket.AF_INET6


def test_the_default_timeout_of_the_process_counts_for_nothing(opened: ExitStack) -> None:
    socket.setdefaulttimeout(0.1)
    try:
        server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
        for sock in (server, nf.tcp_connect(server.getsockname()), nf.udp_socket(), nf.unix_socket()):
            assert opened.enter_context(sock).gettimeout() is None
    finally:
        socket.setdefaulttimeout(None)


@pytest.mark.skipif(not HAS_IPV6, reason="needs IPv6")
def test_without_a_host_both_families_are_served(opened: ExitStack) -> None:
    server = opened.enter_context(nf.tcp_listen())
    number = port_of(server)
    for host in ("127.0.0.1", "[::1]"):
        client = opened.enter_context(nf.tcp_connect(f"{host}:{number}"))
        connection, _ = server.accept()
        opened.enter_context(connection)
        assert client.getpeername()[1] == number
    receiver = opened.enter_context(nf.udp_socket(0))
    for host in ("127.0.0.1", "::1"):
        sender = opened.enter_context(nf.udp_socket(connect=(host, port_of(receiver))))
        sender.send(b"x")
        assert receiver.recv(10) == b"x"


def test_without_ipv6_it_is_ipv4(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.socket

    class WithoutIpv6(socket.socket):
        def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: Any = None) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, kind, proto, fileno)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    assert opened.enter_context(nf.tcp_socket()).family == socket.AF_INET
    assert opened.enter_context(nf.tcp_listen()).getsockname()[0] == "0.0.0.0"
    assert opened.enter_context(nf.udp_socket(0)).getsockname()[0] == "0.0.0.0"
    with pytest.raises(OSError, match="Address family"):
        nf.tcp_socket("inet6")
    with pytest.raises(OSError, match=r"\[::1\]:80: Address family"):
        nf.tcp_connect("[::1]:80")
    monkeypatch.setattr(socket, "socket", original)


def test_listening(opened: ExitStack) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0", backlog=5))
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    client = opened.enter_context(nf.tcp_connect(server.getsockname()))
    connection, peer = server.accept()
    opened.enter_context(connection)
    assert peer == client.getsockname()
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_named(opened: ExitStack) -> None:
    number = port_of(opened.enter_context(nf.tcp_listen("127.0.0.1:0")))
    with pytest.raises(OSError, match=rf"^\[Errno 98\] 127.0.0.1:{number}: Address already in use$") as raised:
        nf.tcp_listen(f"127.0.0.1:{number}")
    assert raised.value.errno == errno.EADDRINUSE
    datagrams = port_of(opened.enter_context(nf.udp_socket("127.0.0.1:0")))
    with pytest.raises(OSError, match=f"127.0.0.1:{datagrams}: Address already in use"):
        nf.udp_socket(("127.0.0.1", datagrams))


def test_a_server_may_start_again_at_once(opened: ExitStack) -> None:
    """Its old connections are in TIME_WAIT."""
    with nf.tcp_listen("127.0.0.1:0") as server:
        number = port_of(server)
        with nf.tcp_connect(("127.0.0.1", number)) as client:
            connection, _ = server.accept()
            connection.close()  # first, so that this end waits
            assert client.recv(1) == b""
    opened.enter_context(nf.tcp_listen(("127.0.0.1", number)))


def test_several_share_a_port(opened: ExitStack) -> None:
    number = port_of(opened.enter_context(nf.tcp_listen("127.0.0.1:0", reuse_port=True)))
    opened.enter_context(nf.tcp_listen(f"127.0.0.1:{number}", reuse_port=True))
    number = port_of(opened.enter_context(nf.udp_socket("127.0.0.1:0", reuse_port=True)))
    opened.enter_context(nf.udp_socket(f"127.0.0.1:{number}", reuse_port=True))


def test_addresses_of_others_are_named() -> None:
    for make in (nf.tcp_listen, nf.udp_socket):
        with pytest.raises(OSError, match=r"192\.0\.2\.1:80: Cannot assign") as raised:
            make("192.0.2.1:80")
        assert raised.value.errno == errno.EADDRNOTAVAIL


def test_hosts_without_an_address() -> None:
    for make in (nf.tcp_listen, nf.tcp_connect, nf.udp_socket):
        for host in ("256.1.1.1", "127.1", "a b", "x" * 300, "a\0b"):
            with pytest.raises(socket.gaierror) as raised:
                make((host, 80))
            assert f"{host}:80: " in str(raised.value)


@pytest.mark.parametrize("arguments", [{"backlog": -1}, {"backlog": 2**31}])
def test_what_is_no_backlog(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="backlog"):
        nf.tcp_listen(0, **arguments)


# --- TCP connections -------------------------------------------------------------------------------------------------


def test_a_connection(opened: ExitStack) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    number = port_of(server)
    for address in (f"127.0.0.1:{number}", ("127.0.0.1", number), server.getsockname()):
        client = opened.enter_context(nf.tcp_connect(address))
        assert client.gettimeout() is None
        assert client.getblocking()
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not os.get_inheritable(client.fileno())
    plain = opened.enter_context(nf.tcp_connect(server.getsockname(), nodelay=False, timeout=None))
    assert not plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert opened.enter_context(nf.tcp_connect(server.getsockname(), timeout=0)).getpeername()[1] == number


def test_without_a_host_it_is_this_machine(opened: ExitStack) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    assert opened.enter_context(nf.tcp_connect(port_of(server))).getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("keepalive", "on", "idle"), [(None, 0, None), (False, 0, None), (True, 1, None), (30, 1, 30), (0.2, 1, 1)]
)
def test_keepalive(opened: ExitStack, keepalive: Any, on: int, idle: int | None) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    client = opened.enter_context(nf.tcp_connect(server.getsockname(), keepalive=keepalive))
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == on
    if idle is not None:
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == idle


@pytest.mark.parametrize("keepalive", [-1, 0, 32768, float("nan")])
def test_what_is_no_keepalive(keepalive: float) -> None:
    with pytest.raises(ValueError, match="keepalive"):
        nf.tcp_connect("127.0.0.1:80", keepalive=keepalive)


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError)]
)
def test_what_is_no_timeout(timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        nf.tcp_connect("127.0.0.1:80", timeout=timeout)


def test_from_where(opened: ExitStack) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    address = server.getsockname()
    client = opened.enter_context(nf.tcp_connect(address, source="127.0.0.2"))
    assert client.getsockname()[0] == "127.0.0.2"
    number = nf.find_free_port("127.0.0.3")
    source = (ipaddress.ip_address("127.0.0.3"), number)
    assert opened.enter_context(nf.tcp_connect(address, source=source)).getsockname() == ("127.0.0.3", number)
    with pytest.raises(OSError, match=r"^\[Errno 99\] 127.0.0.1:80: source 192.0.2.1:0: Cannot assign"):
        nf.tcp_connect("127.0.0.1:80", source="192.0.2.1")
    with pytest.raises(socket.gaierror, match="an IPv4 address, where IPv6 was asked for"):
        nf.tcp_connect("127.0.0.1:80", source="::1")
    with pytest.raises(ValueError, match="source"):
        nf.tcp_connect("127.0.0.1:80", source="localhost")
    with pytest.raises(TypeError, match="source is int"):
        nf.tcp_connect("127.0.0.1:80", source=1)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not HAS_IPV6, reason=""))])
def test_refused(opened: ExitStack, host: str) -> None:
    number = port_of(opened.enter_context(nf.reserve_port(host=host)))
    shown = endpoints.joined(host, number)
    with pytest.raises(ConnectionRefusedError) as raised:
        nf.tcp_connect((host, number))
    assert str(raised.value) == f"[Errno 111] {shown}: Connection refused"


def test_every_address_says_why(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (opened.enter_context(nf.reserve_port(host=host)) for host in ("127.0.0.1", "127.0.0.2"))
    answers(monkeypatch, one.getsockname(), two.getsockname())
    with pytest.raises(ConnectionRefusedError) as raised:
        nf.tcp_connect("nowhere.test:80")
    places = [f"127.0.0.{n}:{port_of(sock)}: Connection refused" for n, sock in ((1, one), (2, two))]
    assert raised.value.strerror == f"nowhere.test:80: {', '.join(places)}"


def test_the_next_address_is_tried(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = opened.enter_context(nf.reserve_port(host="127.0.0.1"))
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    answers(monkeypatch, closed.getsockname(), server.getsockname())
    begin = time.monotonic()
    client = opened.enter_context(nf.tcp_connect("some.test:80"))
    assert time.monotonic() - begin < 0.2
    assert client.getpeername() == server.getsockname()


def test_a_silent_address_does_not_keep_the_next(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    server = opened.enter_context(nf.tcp_listen("127.0.0.1:0"))
    with full() as silent:
        answers(monkeypatch, silent, server.getsockname())
        begin = time.monotonic()
        client = opened.enter_context(nf.tcp_connect("some.test:80"))
        assert 0.2 < time.monotonic() - begin < 1.5
    assert client.getpeername() == server.getsockname()


def test_not_in_time(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = opened.enter_context(nf.reserve_port(host="127.0.0.1"))
    with full() as silent:
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            nf.tcp_connect(silent, timeout=0.3)
        assert 0.25 < time.monotonic() - begin < 1.3
        where = f"127.0.0.1:{silent[1]}"
        assert str(raised.value) == f"[Errno 110] {where}: not connected within 0.3 s"
        answers(monkeypatch, closed.getsockname(), silent)
        with pytest.raises(TimeoutError) as raised:
            nf.tcp_connect("some.test:80", timeout=0.05)
        met = f"127.0.0.1:{port_of(closed)}: Connection refused, {where}: no answer"
        assert raised.value.strerror == f"some.test:80: not connected within 0.05 s: {met}"


def test_the_look_up_is_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(*_: Any) -> list[Any]:
        go_on.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"slow.test:80: .*not answered in time"):
        nf.tcp_connect("slow.test:80", timeout=0.2)
    assert time.monotonic() - begin < 1.2
    go_on.set()


def _interrupted(call: Callable[[], object]) -> float:
    """Seconds from Ctrl-C to its KeyboardInterrupt."""
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.2, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    timer.join()
    return time.monotonic() - sent[0]


@pytest.fixture(params=[True, False], ids=["interrupts", "goes on"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether a signal ends system calls: other libraries set its handler so that they go on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.siginterrupt(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, interrupts: None) -> None:
    with full() as silent:
        assert _interrupted(lambda: nf.tcp_connect(silent, timeout=None)) < 0.4
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [go_on.wait(10)][:0])
    assert _interrupted(lambda: nf.tcp_connect("slow.test:80", timeout=None)) < 0.4
    go_on.set()


def test_nobody_connects_to_themselves(opened: ExitStack) -> None:
    """A port that this very socket was lent (RFC 9293 section 3.5)."""
    number = nf.find_free_port("127.0.0.1")
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{number}: Connection refused"):
        nf.tcp_connect(("127.0.0.1", number), source=("127.0.0.1", number))


@pytest.mark.skipif(not HAS_IPV6, reason="needs IPv6")
def test_a_link_local_address_wants_its_zone() -> None:
    with pytest.raises(OSError, match=r"\[fe80::1\]:80: a link-local address wants its zone"):
        nf.tcp_connect("[fe80::1]:80")
    with pytest.raises(socket.gaierror, match=r"\[fe80::1%nosuch\]:80: no interface 'nosuch'"):
        nf.tcp_connect("[fe80::1%nosuch]:80")


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoSocket(socket.socket):
        def __init__(self, *_: Any) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", NoSocket)
    for make in (nf.tcp_connect, nf.tcp_listen, nf.udp_socket):
        with pytest.raises(OSError, match=r"127\.0\.0\.1:80: Too many open files"):
            make("127.0.0.1:80")


@pytest.mark.parametrize("left", [0, 1])
def test_where_no_descriptor_is_left_the_place_is_named(left: int) -> None:
    """The first one is of what waits for the connection."""
    with descriptors(left), pytest.raises(OSError, match=r"127\.0\.0\.1:80: Too many open files") as raised:
        nf.tcp_connect("127.0.0.1:80")
    assert raised.value.errno == errno.EMFILE


@pytest.mark.parametrize("make", [nf.tcp_socket, nf.udp_socket])
def test_ipv4_without_a_place(opened: ExitStack, make: Callable[..., socket.socket]) -> None:
    """As the docstrings say: by its family, or as an address of IPv6."""
    sock = opened.enter_context(make())
    if sock.family == socket.AF_INET6:
        with pytest.raises(socket.gaierror) as raised:
            sock.bind(("127.0.0.1", 0))
        assert raised.value.errno == socket.EAI_ADDRFAMILY
        sock.bind(("::ffff:127.0.0.1", 0))
    four = opened.enter_context(make(family="inet"))
    four.bind(("127.0.0.1", 0))
    assert four.getsockname()[0] == "127.0.0.1"


# --- UDP -------------------------------------------------------------------------------------------------------------


def test_a_socket_of_udp(opened: ExitStack) -> None:
    free = opened.enter_context(nf.udp_socket())
    assert port_of(free) == 0
    assert free.type == socket.SOCK_DGRAM
    four = opened.enter_context(nf.udp_socket(family="inet"))
    assert four.family == socket.AF_INET
    bound = opened.enter_context(nf.udp_socket(0, family="inet"))
    assert bound.getsockname()[0] == "0.0.0.0"
    assert port_of(bound) > 0


def test_datagrams_there_and_back(opened: ExitStack) -> None:
    server = opened.enter_context(nf.udp_socket("127.0.0.1:0"))
    client = opened.enter_context(nf.udp_socket("127.0.0.1:0", connect=server.getsockname()))
    assert client.getpeername() == server.getsockname()
    client.send(b"hello")
    assert server.recvfrom(10) == (b"hello", client.getsockname())
    server.sendto(b"again", client.getsockname())
    assert client.recv(10) == b"again"


def test_the_family_is_that_of_whom_it_is_connected_to(opened: ExitStack) -> None:
    server = opened.enter_context(nf.udp_socket("127.0.0.1:0"))
    client = opened.enter_context(nf.udp_socket(0, connect=server.getsockname()))
    assert client.family == socket.AF_INET
    with pytest.raises(socket.gaierror, match="an IPv4 address, where IPv6 was asked for"):
        nf.udp_socket(connect="127.0.0.1:80", family="inet6")
    with pytest.raises(socket.gaierror, match="an IPv6 address, where IPv4 was asked for"):
        nf.udp_socket("[::1]:0", connect="127.0.0.1:80")


def test_there_is_no_way(require: Callable[[object, str], None], tool: Callable[[str], str]) -> None:
    lab.check(require, tool)

    def try_it() -> str:
        with pytest.raises(OSError) as raised:  # noqa: PT011
            nf.udp_socket(connect="198.18.0.1:80")
        assert raised.value.errno == errno.ENETUNREACH
        return str(raised.value.strerror)

    with lab.namespace() as host:
        assert host.call(try_it) == "198.18.0.1:80: Network is unreachable"


def test_buffers(opened: ExitStack) -> None:
    sock = opened.enter_context(nf.udp_socket("127.0.0.1:0", buffer=100_000))
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 200_000
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 200_000
    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    large = opened.enter_context(nf.udp_socket(buffer=most + 4096))
    allowed = most + 4096 if os.geteuid() == 0 else most
    assert large.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in (2 * allowed, 2 * most)
    for size, error in ((0, ValueError), (-1, ValueError), (2**31, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="buffer"):
            nf.udp_socket(buffer=size)  # type: ignore[arg-type]


# --- Unix ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
@pytest.mark.parametrize("form", [str, os.fsencode, Path])
def test_unix_connections(opened: ExitStack, tmp_path: Path, kind: Any, form: Callable[[Path], Any]) -> None:
    path = form(tmp_path / "s")
    server = opened.enter_context(nf.unix_socket(path, type=kind, listen=1))
    client = opened.enter_context(nf.unix_socket(type=kind, connect=path))
    connection, _ = server.accept()
    opened.enter_context(connection)
    client.sendall(b"hello")
    assert connection.recv(10) == b"hello"
    assert server.gettimeout() is client.gettimeout() is None
    server.close()
    assert stat.S_ISSOCK(os.lstat(path).st_mode)  # as in the standard library


def test_unix_datagrams(opened: ExitStack, tmp_path: Path) -> None:
    server = opened.enter_context(nf.unix_socket(tmp_path / "s", type="dgram"))
    client = opened.enter_context(nf.unix_socket("@", type="dgram", connect=tmp_path / "s"))
    client.send(b"hello")
    data, sender = server.recvfrom(10)
    assert data == b"hello"
    assert sender[:1] == b"\0"
    assert len(sender) == 6  # five digits of the kernel's choice: unix(7)
    server.sendto(b"again", sender)
    assert client.recv(10) == b"again"


def test_abstract_names(opened: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@netfast.test.{os.getpid()}"
    server = opened.enter_context(nf.unix_socket(name, listen=1))
    assert server.getsockname() == b"\0" + name[1:].encode()
    for form in (name, name.encode(), server.getsockname(), "\0" + name[1:]):
        opened.enter_context(nf.unix_socket(connect=form))
        connection, _ = server.accept()
        connection.close()
    with pytest.raises(OSError, match=f"{name}: Address already in use"):
        nf.unix_socket(name)
    monkeypatch.chdir(tmp_path)
    opened.enter_context(nf.unix_socket("./@file"))
    opened.enter_context(nf.unix_socket(Path("@other")))
    assert sorted(os.listdir()) == ["@file", "@other"]


@pytest.mark.parametrize("kind", ["stream", "dgram", "seqpacket"])
def test_a_file_that_was_left_behind_is_replaced(opened: ExitStack, tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "s"
    nf.unix_socket(path, type=kind).close()
    before = os.lstat(path).st_ino, os.lstat(path).st_mtime_ns
    sock = opened.enter_context(nf.unix_socket(path, type=kind))
    assert sock.getsockname() == str(path)
    assert (os.lstat(path).st_ino, os.lstat(path).st_mtime_ns) != before


@pytest.mark.parametrize("theirs", ["stream", "dgram", "seqpacket"])
@pytest.mark.parametrize("mine", ["stream", "dgram", "seqpacket"])
def test_somebody_listens(opened: ExitStack, tmp_path: Path, theirs: Any, mine: Any) -> None:
    path = tmp_path / "s"
    listen = None if theirs == "dgram" else 0
    server = opened.enter_context(nf.unix_socket(path, type=theirs, listen=listen))
    before = os.lstat(path)
    for _ in range(3):
        with pytest.raises(OSError, match=f"^\\[Errno 98\\] {path}: Address already in use$") as raised:
            nf.unix_socket(path, type=mine)
        assert raised.value.errno == errno.EADDRINUSE
    assert os.lstat(path) == before
    server.setblocking(False)
    with pytest.raises(BlockingIOError):  # it has seen nobody
        server.recv(1) if theirs == "dgram" else server.accept()
    server.close()


def test_somebody_is_about_to_listen(opened: ExitStack, tmp_path: Path) -> None:
    opened.enter_context(nf.unix_socket(tmp_path / "s"))
    with pytest.raises(OSError, match="Address already in use"):
        nf.unix_socket(tmp_path / "s")


def test_only_sockets_are_replaced(opened: ExitStack, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    nf.unix_socket(gone).close()
    file, folder, link, broken, fifo = (tmp_path / name for name in ("file", "folder", "link", "broken", "fifo"))
    file.write_text("precious")
    folder.mkdir()
    link.symlink_to(gone)
    broken.symlink_to(tmp_path / "nothing")
    os.mkfifo(fifo)
    for path in (file, folder, link, broken, fifo):
        before = os.lstat(path)
        with pytest.raises(OSError, match=f"{path}: there is a file already, and it is no socket") as raised:
            nf.unix_socket(path)
        assert raised.value.errno == errno.EADDRINUSE
        assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)
    assert file.read_text() == "precious"
    assert stat.S_ISSOCK(os.lstat(gone).st_mode)


def test_a_server_that_has_come_in_between_is_left_alone(
    opened: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    nf.unix_socket(path).close()
    asked = sockets._is_alive
    come: list[socket.socket] = []

    def somebody_comes(path: bytes) -> bool:
        alive = asked(path)
        if not come:
            time.sleep(0.05)  # for a file system's clock to go on
            os.unlink(path)
            come.append(opened.enter_context(socket.socket(socket.AF_UNIX)))
            come[0].bind(path)
            come[0].listen()
        return alive

    monkeypatch.setattr(sockets, "_is_alive", somebody_comes)
    with pytest.raises(OSError, match="Address already in use"):
        nf.unix_socket(path)
    opened.enter_context(nf.unix_socket(connect=path))


def test_nobody_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(FileNotFoundError, match=f"{path}: No such file"):
        nf.unix_socket(connect=path)
    nf.unix_socket(path).close()
    own = tmp_path / "own"
    with pytest.raises(ConnectionRefusedError, match=f"{path}: Connection refused"):
        nf.unix_socket(own, connect=path)
    assert not os.path.lexists(own)  # what a call makes that fails, it takes away
    with pytest.raises(FileNotFoundError, match="none/s"):
        nf.unix_socket(tmp_path / "none" / "s")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_was_left_behind_and_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "s"
    nf.unix_socket(path).close()

    def refuse(path: bytes) -> None:
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(PermissionError) as raised:
            nf.unix_socket(path)
    why = "there is the file of a server that is gone, which cannot be removed"
    assert (raised.value.errno, raised.value.strerror) == (number, f"{path}: {why}: {os.strerror(number)}")
    assert raised.value.filename is None


@pytest.mark.parametrize("left", [0, 1])
def test_where_no_descriptor_is_left_the_path_is_named(tmp_path: Path, left: int) -> None:
    """The second one asks whether the server of a file is gone."""
    path = tmp_path / "s"
    nf.unix_socket(path).close()
    calls: list[dict[str, Any]] = [{"path": path}, {"path": path, "connect": tmp_path / "other"}]
    for arguments in calls + [{"connect": path}] * (not left):
        with descriptors(left), pytest.raises(OSError, match=f"{path}: Too many open files") as raised:
            nf.unix_socket(**arguments)
        assert raised.value.errno == errno.EMFILE
    if not left:
        with descriptors(0), pytest.raises(OSError, match=r"@netfast\.test: Too many open files"):
            nf.unix_socket("@netfast.test")


def test_who_cannot_listen_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(socket.socket):
        def listen(self, *_: Any) -> None:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(socket, "socket", Refuses)
    with pytest.raises(OSError, match=f"{tmp_path}/s: No buffer space"):
        nf.unix_socket(tmp_path / "s", listen=1)
    assert not os.listdir(tmp_path)


def test_whom_to_connect_to_has_a_name() -> None:
    for name in ("@", b"@", b"\0"):
        with pytest.raises(ValueError, match=r"connect=.*there is no name behind @"):
            nf.unix_socket(connect=name)


def test_odd_names(opened: ExitStack, tmp_path: Path) -> None:
    for name in (b"a\xff\x1b[2Jb", b"-x", b"a b", "日本".encode()):
        path = os.fsencode(tmp_path) + b"/" + name
        server = opened.enter_context(nf.unix_socket(path, listen=1))
        opened.enter_context(nf.unix_socket(connect=path))
        with pytest.raises(OSError) as raised:  # noqa: PT011
            nf.unix_socket(path)
        assert os.fsencode(str(raised.value.strerror)).startswith(path + b": ")
        server.close()


def test_paths_that_are_none(tmp_path: Path) -> None:
    longest = tmp_path / ("x" * (107 - len(os.fsencode(tmp_path)) - 1))
    nf.unix_socket(longest).close()
    with pytest.raises(OSError, match="108 bytes, and a Unix socket has at most 107") as raised:
        nf.unix_socket(f"{longest}x")
    assert raised.value.errno == errno.ENAMETOOLONG
    for path, error in (("", ValueError), (f"{tmp_path}/a\0b", ValueError), (1, TypeError), (("a", 1), TypeError)):
        for keyword in ("path", "connect"):
            with pytest.raises(error, match=keyword):
                nf.unix_socket(**{keyword: path})  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == [longest.name]


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "s", "type": "raw"},
        {"path": "s", "type": ["dgram"]},
        {"path": "s", "listen": -1},
        {"listen": 1},
        {"path": "s", "listen": 1, "type": "dgram"},
        {"path": "s", "listen": 1, "connect": "other"},
    ],
)
def test_wishes_that_do_not_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"listen=|type="):
        nf.unix_socket(**arguments)
    assert not os.listdir()
