"""System calls that fail as they may: each is made to by strace, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from net import lab

PING = "r = nf.ping('127.0.0.1', count=3, interval=0.01, timeout=5, privileged=True)"
TABLE = "t = nf.ping_many(['127.0.0.1', '::1', '127.0.0.2'], timeout=5, privileged=True, threads=1)"

Injected = Callable[[str, str, str], Any]


@pytest.fixture
def injected(alone: lab.Namespace, tool: Callable[[str], str]) -> Injected:
    """What an expression is after a statement while calls fail: `injected("sendto:error=EPERM", PING, "r.sent")`.

    Calls are counted by thread; an exception is its type and text.
    """
    strace = tool("strace")

    def run(fault: str, statement: str, expression: str) -> Any:
        call = fault.partition(":")[0]
        code = f"""
import json, netfast as nf
nf.icmp  # imported before anything counts
try:
    {statement}
    print(json.dumps({expression}))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
        command = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}"]
        return json.loads(alone.run(*command, sys.executable, "-c", code))

    return run


def test_strace_is_no_reason_to_fail(injected: Injected) -> None:
    assert injected("sendto:delay_enter=1", PING, "[r.sent, r.received]") == [3, 3]


@pytest.mark.parametrize(
    "fault",
    [
        "sendto:error=EINTR:when=1..3",
        "sendto:error=EAGAIN:when=1..3",  # the socket is full
        "sendto:error=ENOBUFS:when=1..9",  # the table of neighbours is, or a queue
        "sendto:error=EHOSTUNREACH:when=2",  # an error about an earlier probe, or somebody else's
        "recvmmsg:error=EINTR:when=1..3",
        "recvmmsg:error=EHOSTUNREACH:when=1..2",
        "recvmsg:error=EINTR:when=1",  # the error queue
        "ppoll:error=EINTR:when=1..5",
        "setsockopt:error=EPERM:when=8",  # SO_RCVBUFFORCE, or what is there in its place
    ],
)
def test_a_call_that_fails_in_passing_costs_no_reply(injected: Injected, fault: str) -> None:
    assert injected(fault, PING, "[r.sent, r.received, r.duplicates, len(r.errors)]") == [3, 3, 0, 0]


@pytest.mark.parametrize(
    ("number", "kind"), [("EPERM", "prohibited"), ("EINVAL", "not_sent"), ("ENETUNREACH", "network_unreachable")]
)
def test_a_probe_that_cannot_be_sent_costs_no_other(injected: Injected, number: str, kind: str) -> None:
    found = injected(
        f"sendto:error={number}:when=2..3", PING, "[r.sent, r.received, [(e.kind, e.index) for e in r.errors]]"
    )
    assert found == [3, 2, [[kind, 1]]]


def test_a_kernel_without_ip6_costs_its_hosts_only(injected: Injected) -> None:
    found = injected("socket:error=EAFNOSUPPORT:when=2+", TABLE, "[t.received.tolist(), str(t.error[1])]")
    assert found == [[1, 0, 1], "Address family not supported by protocol"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("socket:error=EMFILE:when=1+", ["OSError", "[Errno 24] no ICMP socket: Too many open files"]),
        (
            "setsockopt:error=ENOPROTOOPT:when=1",
            ["OSError", "[Errno 92] no ICMP socket with these options: Protocol not available"],
        ),
    ],
)
def test_a_socket_that_cannot_be_had_is_said(injected: Injected, fault: str, said: Sequence[str]) -> None:
    assert injected(fault, PING, "r.sent") == said


@pytest.mark.parametrize("kind", [None, True, False])
def test_a_socket_that_may_not_be_had_names_both_settings(injected: Injected, kind: bool | None) -> None:
    statement = PING.replace("privileged=True", f"privileged={kind}")
    name, text = injected("socket:error=EACCES:when=1+", statement, "r.sent")
    assert name == "PermissionError"
    assert "net.ipv4.ping_group_range" in text
    assert "CAP_NET_RAW" in text


def test_elsewhere_than_on_linux_it_is_said() -> None:
    code = "import sys; sys.modules['netfast._net'] = None; import netfast as nf; nf.ping('127.0.0.1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "OSError: [Errno 38] netfast pings on Linux only"
