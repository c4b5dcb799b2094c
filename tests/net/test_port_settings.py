"""What a kernel's settings make of a port: privileged, ephemeral, free."""

from __future__ import annotations

import errno
import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from net import lab

NOBODY = 65_534


def test_settings_are_those_of_the_namespace(alone: lab.Namespace) -> None:
    alone.sysctl(ipv4__ip_local_port_range="20000 20010", ipv4__ip_unprivileged_port_start=80)
    info = nf.port(20_010, "sctp")
    assert (info.ephemeral, info.ephemeral_range, info.unprivileged_start) == (True, (20_000, 20_010), 80)
    assert not nf.port(20_011, "sctp").ephemeral
    alone.sysctl(ipv4__ip_local_reserved_ports="9,20003-20005")
    assert [n for n in range(19_999, 20_012) if nf.port(n, "sctp").reserved] == [20_003, 20_004, 20_005]
    assert [nf.port(n, "sctp").privileged for n in (0, 79, 80)] == [False, True, False]
    assert "net.ipv4.ip_unprivileged_port_start is 80 here" in " ".join(nf.port(443, "sctp").to_text().split())
    with lab.namespace() as other:
        assert other.call(nf.port, 443, "sctp").privileged
        other.sysctl(ipv4__ip_local_port_range="30000 30010")
        assert other.call(nf.port, 1, "sctp").ephemeral_range == (30_000, 30_010)  # in a thread of its own
        assert nf.port(1, "sctp").ephemeral_range == (20_000, 20_010)


def test_listeners_are_those_of_the_namespace(alone: lab.Namespace) -> None:
    with nf.reserve_port(host="127.0.0.1") as sock, nf.reserve_port(sock.getsockname()[1], protocol="udp"):
        sock.listen()
        number = sock.getsockname()[1]
        found = nf.port(number).listeners
        assert [(c.protocol, c.local_address, c.local_port) for c in found] == [
            ("tcp", "127.0.0.1", number),
            ("udp", "::", number),
        ]
        name = Path("/proc/self/comm").read_text().strip()
        assert [[process.name for process in c.processes or ()] for c in found] == [[name]] * 2
        assert f"tcp 127.0.0.1:{number} by {name} (pid " in nf.port(number).to_text()
        with lab.namespace() as other:
            assert other.call(nf.port, number).listeners == ()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_where_every_ephemeral_port_is_taken(alone: lab.Namespace, protocol: Any) -> None:
    """The kernel finds the last one, odd or even, and then says that there is none."""
    alone.sysctl(ipv4__ip_local_port_range="40000 40003")
    with ExitStack() as stack:
        found = {stack.enter_context(nf.reserve_port(protocol=protocol)).getsockname()[1] for _ in range(4)}
        assert found == {40_000, 40_001, 40_002, 40_003}
        calls: list[Any] = [nf.find_free_port, nf.reserve_port]
        for call in calls:
            for host, where in ((None, "every address"), ("127.0.0.1", "127.0.0.1")):
                said = f"no {protocol} port of {where} is free among 40000–40003, its ephemeral range: Address already"
                with pytest.raises(OSError, match=said) as caught:
                    call(host=host, protocol=protocol)
                assert caught.value.errno == errno.EADDRINUSE
        assert nf.find_free_port(protocol=protocol, ports=[40_000, 50_000]) == 50_000


def test_the_one_port_that_several_addresses_have_free_is_found(
    alone: lab.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address has hundreds of free ports, and both have one."""
    alone.sysctl(ipv4__ip_local_port_range="40000 40999", ipv4__ip_local_reserved_ports="40600-40699")
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (2, 3)]
    with ExitStack() as stack:
        for number in (*range(40_000, 40_600), *range(40_700, 41_000)):
            if number != 40_777:
                host = f"127.0.0.{2 + (number < 40_500)}"
                stack.enter_context(nf.reserve_port(number, host=host))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
        assert [nf.find_free_port("two.test") for _ in range(3)] == [40_777] * 3
        said = r"no tcp port of 127\.0\.0\.2, 127\.0\.0\.3 is free among 40000–40999"
        with nf.reserve_port(40_777, host="127.0.0.3"), pytest.raises(OSError, match=said):
            nf.find_free_port("two.test")


def test_a_port_in_time_wait_is_not_free(alone: lab.Namespace) -> None:
    with nf.reserve_port() as sock:
        sock.listen()
        number = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            sock.accept()[0].close()  # who closes first waits
            assert client.recv(1) == b""
    assert len(nf.connections("tcp", states="TIME_WAIT", local_port=number)) == 1
    with pytest.raises(OSError, match="in use"):
        nf.reserve_port(number)
    assert nf.find_free_port() != number


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_without_ipv6_addresses(alone: lab.Namespace, protocol: Any) -> None:
    alone.sysctl(ipv6__conf__all__disable_ipv6=1)
    with nf.reserve_port(protocol=protocol) as sock:
        number = sock.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            nf.reserve_port(number, host="127.0.0.1", protocol=protocol)
    assert nf.find_free_port("127.0.0.1", protocol=protocol)
    with pytest.raises(OSError, match=rf"{protocol} \[::1\]:0 cannot be bound: Cannot assign requested address"):
        nf.find_free_port("::1", protocol=protocol)


def test_other_programs_can_bind_what_was_found(alone: lab.Namespace) -> None:
    code = "import socket, sys; socket.create_server(('', int(sys.argv[1]))).close(); print('bound')"
    assert alone.python(code, nf.find_free_port()) == "bound\n"


# Keeps one of root's rights, to read any file: the interpreter may lie where only root reads.
AS_NOBODY = f"""
import ctypes, json, os, struct, sys
import netfast as nf, numpy
nf.port(1)
libc = ctypes.CDLL(None)
assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
assert libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 1 << 2, 1 << 2, 0, 0, 0, 0)) == 0

def said(call, *arguments, **keywords):
    try:
        return call(*arguments, **keywords)
    except OSError as error:
        return [type(error).__name__, error.errno, str(error)]

def bound(*arguments, **keywords):
    with nf.reserve_port(*arguments, **keywords) as sock:
        return sock.getsockname()[1]

print(json.dumps([
    said(bound, 80),
    said(nf.find_free_port, ports=range(1020, 1024)),
    said(nf.find_free_port, ports=range(1020, 1030)),
    said(bound, 700, host="127.0.0.1", protocol="udp"),
    said(nf.find_free_port),
    said(nf.probe_port, "127.0.0.1", 1),
]))
"""


def test_nobody_and_privileged_ports(alone: lab.Namespace) -> None:
    answers = json.loads(alone.python(AS_NOBODY))
    assert answers[0] == ["PermissionError", errno.EACCES, "[Errno 13] tcp [::]:80 cannot be bound: Permission denied"]
    assert answers[1][:2] == ["PermissionError", errno.EACCES]
    assert "among 1020–1023" in answers[1][2]
    assert answers[2] == 1024
    assert "udp 127.0.0.1:700 cannot be bound: Permission denied" in answers[3][2]
    assert isinstance(answers[4], int)
    assert answers[5] == "closed"
    alone.sysctl(ipv4__ip_unprivileged_port_start=80)
    assert json.loads(alone.python(AS_NOBODY))[0] == 80
