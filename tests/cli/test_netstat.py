"""`netfast netstat`."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netfast as nf
import netfast.netstat
from net import lab

Command = Callable[..., Any]

HOLDER = """
import os, socket, sys
INET6, DGRAM, RAW, UNIX = socket.AF_INET6, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.AF_UNIX

def server(address, *more):
    sock = socket.create_server((address, 0), family=INET6 if ":" in address else socket.AF_INET, **dict(more))
    held.append(sock)
    return sock

def client(address, port):
    held.append(socket.create_connection((address, port)))

def bound(family, kind, address, *number):
    sock = socket.socket(family, kind, *number)
    sock.bind(address)
    held.append(sock)
    return sock

held = []
four, six = server("127.0.0.1"), server("::1")
both = server("::", ("dualstack_ipv6", True))
for sock, address in ((four, "127.0.0.1"), (six, "::1"), (both, "127.0.0.1")):
    client(address, sock.getsockname()[1])
    held.append(sock.accept()[0])
server("0.0.0.0")
bound(socket.AF_INET, DGRAM, ("127.0.0.1", 53))
bound(INET6, DGRAM, ("::", 5353))
bound(socket.AF_INET, DGRAM, ("127.0.0.1", 0)).connect(("127.0.0.1", 53))
held += [socket.socket(socket.AF_INET, RAW, 1), socket.socket(INET6, RAW, 58)]
bound(socket.AF_INET, RAW, ("127.0.0.1", 0), 17).connect(("127.0.0.1", 0))
waiting = bound(UNIX, socket.SOCK_STREAM, "\\0abs\\0tract")
waiting.listen()
held.append(socket.socket(UNIX))
held[-1].connect(waiting.getsockname())  # which nobody accepts
bound(UNIX, socket.SOCK_SEQPACKET, sys.argv[1] + "/seq").listen()
bound(UNIX, DGRAM, sys.argv[1] + "/datagram")
held += socket.socketpair()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def host(
    require: Callable[[object, str], None], tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[lab.Namespace]:
    """A namespace in which a process holds a socket of every kind."""
    lab.check(require, tool)
    with lab.namespace() as host:
        holder = host.start(HOLDER, tmp_path_factory.mktemp("sockets"))
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            yield host
            holder.communicate("")


@pytest.fixture
def inside(host: lab.Namespace) -> Iterator[lab.Namespace]:
    """The test, and the commands it runs, are there."""
    with host.inside():
        yield host


# --- which sockets ---------------------------------------------------------------------------------------------------


def fields(text: str) -> list[list[str]]:
    """The rows as netstat(8) and netfast have them, sorted by words.

    Left out is what netfast does not print: how often a Unix socket is held, those that nobody has accepted yet, and
    the 0 that is netstat's Send-Q of a listener, of which netfast tells the length of the queue.
    """
    rows = []
    for line in text.splitlines():
        words = line.split()
        if "CONNECTING" in words:
            continue
        if words[0] == "unix" and re.match(r"unix +\d+ +\[", line):
            del words[1]
        if words[:2] == ["Proto", "RefCnt"]:
            del words[1]
        if "LISTEN" in words:
            del words[2]
        rows.append(words)
    return sorted(rows)


@pytest.mark.parametrize(
    "options",
    [
        *("", "-a", "-l", "-al", "-t", "-u", "-w", "-x", "-4", "-6", "-46", "-ta", "-ul", "-wa", "-xl", "-xa", "-4x"),
        *("-6ta", "-tul", "-tw6a", "-ap", "-ae", "-aep", "-tlp", "-xp", "-ep"),
    ],
)
def test_it_says_what_netstat_says(
    netfast: Command, inside: lab.Namespace, tool: Callable[[str], str], options: str
) -> None:
    arguments = [options, "-n"] if options else ["-n"]
    told = subprocess.run([tool("netstat"), *arguments, "-W"], capture_output=True, text=True, check=True)
    run = netfast("netstat", *arguments)
    assert (run.code, run.err) == (0, "")
    assert fields(run.out) == fields(told.stdout)


def test_order_and_titles(cli: Command, inside: lab.Namespace) -> None:
    lines = cli("netstat", "-an").out.splitlines()
    rows = [line.split()[0] for line in lines]
    kinds = ["Active", "Proto", "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "Active", "Proto", "unix"]
    assert [kind for at, kind in enumerate(rows) if at == 0 or rows[at - 1] != kind] == kinds
    assert lines[0] == "Active Internet connections (servers and established)"
    assert lines[rows.index("unix") - 2] == "Active UNIX domain sockets (servers and established)"


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ("-x", "Active UNIX domain sockets (w/o servers)"),
        ("-w", "Active Internet connections (w/o servers)"),
        ("-wl", "Active Internet connections (only servers)"),
    ],
)
def test_nothing_of_the_kind(cli: Command, require: Command, tool: Command, options: str, title: str) -> None:
    lab.check(require, tool)
    with lab.namespace() as empty, empty.inside():
        run = cli("netstat", options)
    assert (run.code, run.err) == (0, "")
    heading, columns = run.out.splitlines()
    assert (heading, columns.split()[0]) == (title, "Proto")


def test_services(cli: Command, inside: lab.Namespace) -> None:
    run = cli("netstat", "-ua")
    assert "127.0.0.1:domain" in run.out
    assert ":::mdns" in run.out
    assert ":53 " not in run.out
    assert "0.0.0.0:1 " in cli("netstat", "-wa").out  # of ICMP, not of the service on port 1


def test_long_options(cli: Command, inside: lab.Namespace) -> None:
    long = "--all --tcp --udp --raw --unix --numeric --programs --extend --inet --inet6"
    assert cli("netstat", *long.split()) == cli("netstat", "-atuwxnpe46")
    assert cli("netstat", "--listening") == cli("netstat", "-l")


# --- who holds them --------------------------------------------------------------------------------------------------


def test_several_holders(cli: Command, inside: lab.Namespace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = "import sys; print('ready', flush=True); sys.stdin.read()"
        others = [inside.start(code, pass_fds=[server.fileno()]) for _ in range(2)]
        try:
            for other in others:
                assert other.stdout is not None
                other.stdout.readline()
            (row,) = [line for line in cli("netstat", "-tlnp").out.splitlines() if f":{port} " in line]
            told = [json.loads(line) for line in cli("netstat", "-tlp", "--json").out.splitlines()]
        finally:
            for other in others:
                other.communicate("")
    (processes,) = [one["processes"] for one in told if one["local_port"] == port]
    assert len(processes) == 3
    first = min(processes, key=lambda process: process["pid"])
    assert row.endswith(f"  {first['pid']}/{first['name']} +2")


def test_json(cli: Command, inside: lab.Namespace) -> None:
    run = cli("netstat", "-ap", "--json")
    told = [json.loads(line) for line in run.out.splitlines()]
    rows = json.loads(json.dumps(nf.connections("all", owners=True).to_dicts()))
    assert sorted(map(json.dumps, told)) == sorted(map(json.dumps, rows))
    assert [socket["state"] for socket in map(json.loads, cli("netstat", "-xl", "--json").out.splitlines())] == [
        "LISTEN"
    ] * 2


class Table(list[nf.Connection]):
    """Sockets that no test can have for real."""

    def to_dicts(self) -> list[dict[str, object]]:
        return [row.to_dict() for row in self]


SOCKET = nf.Connection(
    socket.AF_INET, socket.SOCK_STREAM, "tcp", "10.0.0.1", 50000, "10.0.0.2", 22, "ESTABLISHED", 0, 0, 4242, 99, 0,
    False, None,
)  # fmt: skip
PROCESS = nf.Process(7, "a\x1b[2J\n\udcff", ("a",), 4242)


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has the kernel tell of these sockets, and no others."""

    def change(*sockets: nf.Connection) -> None:
        monkeypatch.setattr(netfast.netstat, "connections", lambda *_, **__: Table(sockets))

    return change


@pytest.mark.parametrize(
    ("user", "options", "processes", "noted"),
    [
        (4242, "-p", None, True),
        (4242, "", None, False),
        (4242, "-p", (), False),
        (4242, "-p", (PROCESS,), False),
        (0, "-p", None, False),
    ],
)
def test_what_only_root_sees(
    cli: Command,
    tell: Command,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    options: str,
    processes: tuple[nf.Process, ...] | None,
    noted: bool,
) -> None:
    tell(SOCKET._replace(processes=processes))
    monkeypatch.setattr("os.geteuid", lambda: user)
    run = cli("netstat", "-tn", *options.split())
    assert run.code == 0
    assert run.out.splitlines()[2].split()[:6] == ["tcp", "0", "0", "10.0.0.1:50000", "10.0.0.2:22", "ESTABLISHED"]
    if options and not processes:
        assert run.out.splitlines()[2].endswith("  -")
    assert run.err == "netfast: who holds 1 socket, only root may see\n" * noted


def test_names_of_any_bytes(cli: Command, tell: Command) -> None:
    path = "/tmp/\x1b]0;x\x07\n\udcff"
    unix = SOCKET._replace(
        family=socket.AF_UNIX, protocol="unix", local_address=path, state="LISTEN", remote_address=""
    )
    zone = SOCKET._replace(family=socket.AF_INET6, local_address="fe80::1%\x1b\udcff", processes=(PROCESS,))
    tell(unix, zone)
    run = cli("netstat", "-apn")
    assert (run.code, run.err) == (0, "")
    assert run.out.replace("\n", "").isprintable()
    assert r"fe80::1%\x1b\xff:50000" in run.out
    assert r"7/a\x1b[2J\n\xff" in run.out
    assert run.out.endswith("  /tmp/\\x1b]0;x\\x07\\n\\xff\n")
    told = [json.loads(line) for line in cli("netstat", "-ap", "--json").out.splitlines()]
    assert [row["local_address"] for row in told] == [zone.local_address, path]


@pytest.mark.parametrize(("options", "user"), [("-tne", "4242"), ("-te", "4242"), ("-tn", None)])
def test_a_user_without_a_name(cli: Command, tell: Command, options: str, user: str | None) -> None:
    tell(SOCKET)
    row = cli("netstat", options).out.splitlines()[2].split()
    assert row[6:] == ([user, "99"] if user else [])


@pytest.mark.parametrize(
    ("protocol", "state", "port", "options", "shown"),
    [
        ("tcp", "CLOSE", 0, "", False),  # bound, nothing else
        ("tcp", "CLOSE", 0, "-l", False),
        ("tcp", "CLOSE", 0, "-a", True),
        ("tcp", "CLOSE", 22, "", True),
        ("tcp", "TIME_WAIT", 22, "", True),
        ("tcp", "SYN_RECV", 22, "", True),
        ("udp", "UNCONN", 0, "", False),
        ("udp", "UNCONN", 0, "-l", True),
        ("udp", "ESTABLISHED", 53, "-l", False),
    ],
)
def test_who_is_connected(
    cli: Command, tell: Command, protocol: str, state: str, port: int, options: str, shown: bool
) -> None:
    tell(SOCKET._replace(protocol=protocol, state=state, remote_port=port, inode=0))
    assert len(cli("netstat", "-tu", *options.split()).out.splitlines()) == 2 + shown


# --- how it looks ----------------------------------------------------------------------------------------------------


def test_a_narrow_terminal(terminal: Command, inside: lab.Namespace) -> None:
    shown = {columns: terminal("netstat", "-tn", columns=columns).out.splitlines() for columns in (100, 60, 40)}
    assert shown[40][:2] == ["Active Internet connections (w/o", "  servers)"]
    del shown[40][0]
    assert [len(lines[1].split()) for lines in shown.values()] == [8, 7, 5]
    assert all(len(line) <= columns + len("\x1b[1m\x1b[0m") for columns, lines in shown.items() for line in lines)
    whole = " ".join(" ".join(shown[40]).split())
    for line in shown[100][2:]:
        proto, _, _, *rest = line.split()
        assert " ".join([proto, *rest]) in whole


def test_colors(terminal: Command, inside: lab.Namespace) -> None:
    assert re.findall(r"\x1b\[1m(\w+).*?\x1b\[0m", terminal("netstat").out) == ["Proto", "Proto"]
    assert "\x1b" not in terminal("netstat", env={"NO_COLOR": "1"}).out
    assert "\x1b" in terminal("netstat", "--color", "always", env={"NO_COLOR": "1"}).out


def test_colors_into_a_pipe_know_no_width(netfast: Command, inside: lab.Namespace) -> None:
    colored = netfast("netstat", "-anpe", "--color", "always", env={"COLUMNS": "20"}).out
    assert "\x1b[1mProto" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == netfast("netstat", "-anpe").out


def test_one_long_address_folds_no_other_row(terminal: Command, inside: lab.Namespace) -> None:
    with lab.namespace() as host, host.inside():
        long = "2001:db8:1111:2222:3333:4444:5555:6666"
        host.ip(f"addr add {long}/64 dev lo nodad")
        with (
            socket.create_server(("127.0.0.1", 40_001)),
            socket.create_server((long, 40_002), family=socket.AF_INET6) as six,
            socket.create_connection(six.getsockname()[:2]),
        ):
            lines = terminal("netstat", "-tan", "--color", "never", columns=80).out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["tcp", "127.0.0.1:40001", "0.0.0.0:*", "LISTEN"],
        ["tcp6", f"{long}:40002", ":::*", "LISTEN"],
    ]
    assert max(map(len, lines)) <= 80


def test_no_terminal_gets_it_all(netfast: Command, inside: lab.Namespace) -> None:
    assert netfast("netstat", "-anpe", env={"COLUMNS": "20"}) == netfast("netstat", "-anpe", env={"COLUMNS": "500"})


@pytest.mark.parametrize(
    ("arguments", "said"), [(("-r",), "unrecognized arguments: -r"), (("5",), "unrecognized arguments: 5")]
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("netstat", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


def test_trouble_is_one_line(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "no netlink\nhere")

    monkeypatch.setattr(netfast.netstat, "connections", refuse)
    assert cli("netstat") == (2, "", "netfast: no netlink\\nhere\n")


@pytest.mark.parametrize("arguments", [("-a",), ("-a", "--json")])
def test_closed_pipe_ends_quietly(start: Command, inside: lab.Namespace, arguments: tuple[str, ...]) -> None:
    process = start("netstat", *arguments)
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""


@pytest.mark.parametrize("arguments", ["netstat -aep", "netstat -a --json", "lsof -i", "port 80", "ifconfig -as"])
def test_it_needs_no_numpy(arguments: str) -> None:
    code = "import sys; sys.modules['numpy'] = None; from netfast.cli import main; sys.exit(main(sys.argv[1:]))"
    run = subprocess.run([sys.executable, "-c", code, *arguments.split()], capture_output=True, timeout=60)
    assert run.returncode == 0 or arguments == "lsof -i"
    assert run.stderr == b""


@pytest.mark.parametrize("arguments", [("netstat",), ("lsof", "-i")])
def test_interrupt(cli: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(netfast.netstat, "connections", interrupted)
    assert cli(*arguments) == (130, "", "")
