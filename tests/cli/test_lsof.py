"""`netfast lsof`."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
import netfast.cli._lsof_specs
import netfast.netstat
from net import lab
from netfast.registry.services import services

Command = Callable[..., Any]

PORT, SERVER, OTHER = 40_080, 40_022, 40_999
HOLDER = f"""
import os, socket, sys

def bound(kind, address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.bind((address, port))
    return sock

STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
held = [bound(STREAM, address, {PORT}) for address in ("127.0.0.1", "127.0.0.2", "::1")]
held.append(bound(STREAM, "::", {SERVER}))
for server in held[:]:
    server.listen()
    client = bound(STREAM, "127.0.0.3" if server is held[3] else server.getsockname()[0], 0)
    client.connect(("127.0.0.1", {SERVER}) if server is held[3] else server.getsockname())
    held += [client, server.accept()[0]]
held[4].shutdown(socket.SHUT_WR)
held += [bound(DGRAM, "0.0.0.0", 123), bound(DGRAM, "::1", 5353), bound(DGRAM, "127.0.0.1", {OTHER})]
held[-1].connect(("127.0.0.1", 123))
if os.fork():
    print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def host(require: Callable[[object, str], None], tool: Callable[[str], str]) -> Iterator[lab.Namespace]:
    """A namespace in which two processes hold the same sockets."""
    lab.check(require, tool)
    with lab.namespace() as host, host.start(HOLDER) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield host
        holder.communicate("")


@pytest.fixture
def inside(host: lab.Namespace) -> Iterator[lab.Namespace]:
    """The test, and the commands it runs, are there."""
    with host.inside():
        yield host


@pytest.fixture
def lsof(tool: Callable[[str], str]) -> Command:
    """lsof(8): its exit code, and its rows without what netfast has no column for: FD, DEVICE, SIZE/OFF."""
    path = tool("lsof")

    def run(*arguments: str) -> tuple[int, list[list[str]]]:
        done = subprocess.run([path, "-nP", *arguments], capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        return done.returncode, sorted([*row[:3], *row[4:5], *row[7:]] for row in rows(done.stdout))

    return run


def rows(text: str) -> list[list[str]]:
    """The words of each row, sorted; a table's heading is left out."""
    words = sorted(line.split() for line in text.splitlines())
    return [row for row in words if row[0] != "COMMAND"]


SPECS = [
    "",
    "4",
    "6",
    "tcp",
    "TCP",
    "6Udp",
    f":{PORT}",
    f":{PORT},{OTHER}",
    f":1-1000,{SERVER}",
    ":ntp",
    "udp:1-ntp",
    f":{SERVER - 5}-{SERVER + 5}",
    "@127.0.0.1",
    "@127.0.0.3",
    f"@127.0.0.1:{PORT}",
    f"tcp@127.0.0.2:1-{PORT}",
    f"4:{SERVER}",
    f"6:{SERVER}",
    "4@127.0.0.1",
    "@[::1]",
    "6@[::1]",
    f"@[::1]:{PORT}",
    "@[0:0::0:1]",
    "@[::ffff:127.0.0.1]",
    f"@localhost:{PORT}",
    "@127.0.0.9",
    ":9",
    "udp:80",
]


@pytest.mark.parametrize("spec", SPECS)
def test_it_finds_what_lsof_finds(cli: Command, inside: lab.Namespace, lsof: Command, spec: str) -> None:
    code, told = lsof(f"-i{spec}")
    run = cli("lsof", "-nP", f"-i{spec}")
    assert (run.code, run.err) == (code, "")
    assert rows(run.out) == told


@pytest.mark.parametrize(
    "arguments",
    [
        ("-iTCP", "-sTCP:LISTEN"),
        ("-i", "-s", "TCP:LISTEN"),
        ("-i", "-s", "tcp:listen,established"),
        ("-i", "-sTCP:^LISTEN"),
        ("-i", "-sTCP:^LISTEN,^ESTABLISHED"),
        ("-i", "-sTCP:FIN_WAIT2"),
        ("-iUDP", "-sTCP:LISTEN"),
        ("-iUDP", "-sTCP:^LISTEN"),
        ("-i", "-sTCP:SYN_SENT"),
        ("-i", f"tcp:{PORT}", "-i", "udp"),
        ("-i:9", "-i4udp"),
        ("-i:9,123",),
        ("-t", "-i"),
        ("-ti", f":{PORT}"),
        (f"-ti:{PORT}",),
        ("-t", "-i:9"),
        ("-Pni",),
    ],
)
def test_it_takes_the_options_of_lsof(
    cli: Command, inside: lab.Namespace, lsof: Command, arguments: tuple[str, ...]
) -> None:
    code, told = lsof(*arguments)
    run = cli("lsof", "-P", *arguments)
    assert (run.code, run.err) == (code, "")
    assert rows(run.out) == told


def test_services(cli: Command, inside: lab.Namespace) -> None:
    names = [line.split(None, 5)[5] for line in cli("lsof", "-i", "udp").out.splitlines()]
    assert {"NAME", "*:ntp", "[::1]:mdns", f"127.0.0.1:{OTHER}->127.0.0.1:ntp"} == set(names)


def test_a_range_may_end_with_a_service(cli: Command, inside: lab.Namespace) -> None:
    assert cli("lsof", "-t", "-i", "udp:100-ntp").code == 0
    assert cli("lsof", "-t", "-i", "udp:124-mdns").code == 0
    assert cli("lsof", "-t", "-i", "udp:1-domain").code == 1


def test_json(cli: Command, inside: lab.Namespace) -> None:
    run = cli("lsof", "-i", f"@[::1]:{PORT}", "-s", "tcp:LISTEN", "--json")
    one, other = map(json.loads, run.out.splitlines())
    assert one.pop("process")["pid"] < other.pop("process")["pid"]
    (row,) = nf.connections("tcp6", states="LISTEN", local_port=PORT)
    told = row.to_dict()
    del told["processes"]
    assert one == other == told
    assert cli("lsof", "-i", ":9", "--json") == (1, "", "")


# --- what -i says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("raw", "unknown protocol 'raw' in 'raw'"),
        ("", "unknown protocol '' in ''"),
        ("46tcp", "unknown protocol '6tcp'"),
        ("tcp,udp", "unknown protocol 'tcp,udp'"),
        ("80", "unknown protocol '80'"),
        ("@", "unacceptable Internet address in '@'"),
        ("tcp@:80", "unacceptable Internet address"),
        ("@::1", "IPv6 address without brackets around it in '@::1'"),
        ("@2001:db8::1", "IPv6 address without brackets"),
        ("tcp@2001:db8::1:80", "IPv6 address without brackets"),
        ("@fe80::1%lo", "IPv6 address without brackets"),
        ("@[fe80::1%]", "unacceptable Internet address"),
        ("@[::1%lo]", "unacceptable Internet address"),
        ("@127.0.0.1%lo", "unknown host '127.0.0.1%lo'"),
        ("@a\0b", r"unknown host 'a\x00b'"),
        ("@[::1", "unacceptable Internet address"),
        ("@[::1]80", "unacceptable Internet address"),
        ("@[127.0.0.1]", "unacceptable Internet address"),
        ("@[]", "unacceptable Internet address"),
        ("4@[::1]", "IPv6 address in '4@[::1]'"),
        ("6@127.0.0.1", "IPv4 address in '6@127.0.0.1'"),
        ("@nosuch.invalid", "unknown host 'nosuch.invalid'"),
        ("@" + "a" * 70, "unknown host 'aaa"),
        (":127.0.0.1", "unknown service '127.0.0.1'"),
        ("@127.0.0.1/8", "unknown host '127.0.0.1/8'"),
        (":", "unacceptable port in ':'"),
        ("tcp:", "unacceptable port"),
        (":80,", "unacceptable port"),
        (":80,,81", "unacceptable port"),
        (":5-2", "unacceptable port"),
        (":65536", "unacceptable port"),
        (":1-65536", "unacceptable port"),
        (":81-http", "unacceptable port"),
        (":" + "9" * 5000, "unknown service '999"),
        (":80-", "unknown service '80-'"),
        (":nosuch", "unknown service 'nosuch' in ':nosuch'"),
        ("tcp:ntp-80", "unknown tcp service 'ntp-80'"),
        (":80:81", "unknown service '80:81'"),
        (":a\x1b[2J\n", r"unknown service 'a\x1b[2J\n'"),
        ("\udcff", r"unknown protocol '\udcff'"),
    ],
)
def test_wrong_specs_are_one_line(cli: Command, spec: str, said: str) -> None:
    run = cli("lsof", f"-i{spec}") if spec else cli("lsof", "-i", "")
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert run.err.startswith("netfast lsof: argument -i: ")
    assert said in run.err


def test_a_service_is_each_of_its_ports() -> None:
    spec = netfast.cli._lsof_specs.spec
    several = [range(591, 592), range(8008, 8009), range(8080, 8081)]
    assert spec(":http-alt").ports == {"tcp": several, "udp": several}
    assert spec("tcp:9,X11").ports == {"tcp": [range(9, 10), range(6000, 6064)]}
    assert spec(":whosockami").ports == {"tcp": [range(2019, 2020)], "udp": [range(2009, 2010)]}
    assert spec(":shell").ports == {"tcp": [range(514, 515)], "udp": []}  # of UDP, 514 is syslog's
    assert spec(":1-whosockami").ports == {"tcp": [range(1, 2020)], "udp": [range(1, 2010)]}
    assert spec(":7-9,80").ports == {name: [range(7, 10), range(80, 81)] for name in ("tcp", "udp")}


def test_every_name_that_is_shown_finds_its_port() -> None:
    registry = services()
    for protocol in ("tcp", "udp"):
        for port, name in registry.name_of[protocol].items():
            assert any(port in ports for ports in registry.ports_of[protocol][name.lower()]), (name, port)
    row = SOCKET._replace(family=socket.AF_INET, local_address="127.0.0.1", local_port=8080, remote_port=0)
    assert netfast.cli._lsof_specs.spec(f":{nf.service_name(8080)}").holds(row)
    assert not netfast.cli._lsof_specs.spec("udp:http-alt").holds(row)


def test_link_local_addresses_have_a_zone(cli: Command, require: Command, tool: Command) -> None:
    lab.check(require, tool)
    with lab.namespace() as alone, alone.inside():
        alone.ip("addr add fe80::5/64 dev lo nodad")
        with_zones(cli)


def with_zones(cli: Command) -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("fe80::5", 0, 0, 1))
        sock.listen()
        for host, code in (
            ("fe80::5%lo", 0),
            ("fe80::5%1", 0),
            ("fe80:0::5", 0),
            ("fe80::5%eth9", 1),
            ("fe80::6%lo", 1),
        ):
            assert cli("lsof", "-t", "-i", f"@[{host}]").code == code


def test_a_name_without_an_address_of_the_family(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    assert "'here.test' has no IPv6 address in '6tcp@here.test'" in cli("lsof", "-i6tcp@here.test").err
    assert netfast.cli._lsof_specs.spec("4tcp@here.test").addresses == frozenset({"127.0.0.1"})


def test_a_look_up_can_be_interrupted(start: Command, tmp_path: Path) -> None:
    """The resolver does not answer."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\n"
        "def slow(*arguments, **keywords):\n    print('asked', flush=True)\n    time.sleep(20)\n"
        "socket.getaddrinfo = slow\n"
    )
    process = start("lsof", "-i", "@slow.test", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "it lists sockets only, and wants -i"),
        (("-t",), "wants -i"),
        (("-i", "-s", "LISTEN"), "'LISTEN' is no state of TCP (wanted one such as TCP:LISTEN)"),
        (("-i", "-s", "udp:Idle"), "'udp:Idle' is no state of TCP"),
        (("-i", "-s", "tcp:FOO"), "unknown state in 'tcp:FOO' (there are ESTABLISHED, "),
        (("-i", "-s", "tcp:"), "unknown state in 'tcp:'"),
        (("-i", "-s", "tcp:UNCONN"), "unknown state"),
        (("-i", "-t", "--json"), "not allowed with"),
        (("-i", "4", "/tmp"), "unrecognized arguments: /tmp"),
        (("-u", "root"), "unrecognized arguments: -u root"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("lsof", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


# --- what cannot be seen ---------------------------------------------------------------------------------------------

SOCKET = nf.Connection(
    socket.AF_INET6, socket.SOCK_STREAM, "tcp", "fe80::1%\x1b\udcff", 50000, "fe80::2%\x1b\udcff", 4000,
    "ESTABLISHED", 0, 0, 4242, 99, 0, False, None,
)  # fmt: skip
PROCESS = nf.Process(7, "a\x1b[2J\n\udcff", ("a",), 4_000_000_000)


@pytest.mark.parametrize(
    ("user", "hidden", "said"),
    [
        (4242, 0, ""),
        (4242, 1, "netfast: who holds 1 socket, only root may see\n"),
        (4242, 2, "netfast: who holds 2 sockets, only root may see\n"),
        (0, 2, ""),
    ],
)
@pytest.mark.parametrize("shown", [0, 1])
def test_what_only_root_sees(
    cli: Command, monkeypatch: pytest.MonkeyPatch, user: int, hidden: int, said: str, shown: int
) -> None:
    over = SOCKET._replace(state="TIME_WAIT", processes=())
    sockets = [SOCKET] * hidden + [over, SOCKET._replace(local_port=9, remote_port=9)]
    sockets += [SOCKET._replace(processes=(PROCESS,))] * shown
    monkeypatch.setattr(netfast.netstat, "connections", lambda *_, **__: sockets)
    monkeypatch.setattr("os.geteuid", lambda: user)
    run = cli("lsof", "-i", ":4000")
    assert (run.code, run.err) == (0 if shown else 1, said)
    assert run.out.count("\n") == 2 * shown


def test_names_of_any_bytes(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = [SOCKET._replace(processes=(PROCESS,))]
    monkeypatch.setattr(netfast.netstat, "connections", lambda *_, **__: sockets)
    run = cli("lsof", "-i", "-P")
    assert (run.code, run.err) == (0, "")
    assert run.out.replace("\n", "").isprintable()
    shown = r"[fe80::1%\x1b\xff]:50000->[fe80::2%\x1b\xff]:4000"
    assert run.out.splitlines()[1].split() == [
        r"a\x1b[2J\n\xff", "7", "4000000000", "IPv6", "TCP", shown, "(ESTABLISHED)",
    ]  # fmt: skip
    assert json.loads(cli("lsof", "-i", "@[fe80::2]", "--json").out)["process"]["name"] == PROCESS.name


def test_trouble_is_one_line(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "no netlink\nhere")

    monkeypatch.setattr(netfast.netstat, "connections", refuse)
    assert cli("lsof", "-i") == (2, "", "netfast: no netlink\\nhere\n")


@pytest.mark.parametrize(
    ("command", "bars"), [("lsof", False), ("netstat", False), ("ifconfig", False), ("bench", True)]
)
def test_help_tells_of_bars_where_there_are_some(cli: Command, command: str, bars: bool) -> None:
    assert ("(bars too," in " ".join(cli(command, "--help").out.split())) is bars


# --- how it looks ----------------------------------------------------------------------------------------------------


def test_a_narrow_terminal(terminal: Command, inside: lab.Namespace) -> None:
    wide = terminal("lsof", "-i", f":{PORT}", columns=100)
    narrow = terminal("lsof", "-i", f":{PORT}", columns=40)
    assert (narrow.code, narrow.err) == (0, "")
    heading, *lines = narrow.out.splitlines()
    assert heading.split()[1:] == ["PID", "PROTO", "NAME\x1b[0m"]
    assert max(map(len, lines)) <= 40
    folded = " ".join(line.strip() for line in lines).replace("-> ", "->")
    for line in wide.out.splitlines()[1:]:
        command, pid, _, _, protocol, name = line.split(None, 5)
        assert re.search(rf"{command} +{pid} +{protocol} +{re.escape(name)}", folded)


def test_colors(terminal: Command, inside: lab.Namespace) -> None:
    assert terminal("lsof", "-i").out.startswith("\x1b[1mCOMMAND")
    assert "\x1b" not in terminal("lsof", "-i", env={"NO_COLOR": "1"}).out


def test_no_terminal_gets_it_all(netfast: Command, inside: lab.Namespace) -> None:
    assert netfast("lsof", "-i", env={"COLUMNS": "20"}) == netfast("lsof", "-i", env={"COLUMNS": "500"})


@pytest.mark.parametrize("arguments", [(), ("--json",), ("-t",)])
def test_closed_pipe_ends_quietly(start: Command, inside: lab.Namespace, arguments: tuple[str, ...]) -> None:
    process = start("lsof", "-i", *arguments)
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""
