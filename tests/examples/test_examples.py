"""The programs of examples/: each does what it says, ends on Ctrl-C, and explains itself."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = (
    "asyncio_receiver",
    "dask_logs",
    "echo_client",
    "echo_server",
    "ray_logs",
    "spark_logs",
    "udp_collector",
)
# What those of dask, ray and spark do is a matter of tests/spark.
LIMIT = 30.0  # seconds that anything may take

Start = Callable[..., subprocess.Popen[str]]


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(FOLDER / f"{name}.py"), *map(str, arguments)]


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=LIMIT)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an example, and ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(name, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], LIMIT)
    assert ready, "nothing has come"
    return process.stdout.readline().rstrip("\n")


def listening(process: subprocess.Popen[str]) -> str:
    """Where it listens: host:port, or a path."""
    words = line_of(process).removeprefix("listening on ").split()
    if len(words) == 1:
        return words[0]
    host, port = words
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def interrupted(process: subprocess.Popen[str]) -> str:
    """The rest of its output after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (0, "")
    return out


def sent(address: str, datagrams: int, data: bytes) -> None:
    """From 127.0.0.1 to an address of IPv4."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(datagrams):
            sock.sendto(data, (host, int(port)))


def test_every_example_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_help(name: str) -> None:
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_says_how_it_is_called(name: str) -> None:
    assert f"    python {name}.py" in (FOLDER / f"{name}.py").read_text()


@pytest.mark.parametrize(("protocol", "host"), [("tcp", "127.0.0.1"), ("tcp", "::1"), ("udp", "127.0.0.1")])
def test_echo(start: Start, protocol: str, host: str) -> None:
    server = start("echo_server", protocol, host)
    address = listening(server)
    for text in ("hello", "über 10 µs"):
        done = run("echo_client", protocol, address, text)
        assert (done.returncode, done.stdout, done.stderr) == (0, text + "\n", "")
    assert interrupted(server).endswith("ended\n")


def test_echo_over_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(path))
    server = start("echo_server", "unix", path)
    assert listening(server) == str(path)
    done = run("echo_client", "unix", path, "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    interrupted(server)
    assert not os.path.lexists(path)


def test_echo_without_a_server(tmp_path: Path) -> None:
    done = run("echo_client", "unix", tmp_path / "nobody", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"echo_client: [Errno 2] {tmp_path}/nobody: No such file or directory\n"


def test_echo_goes_on_when_a_client_is_gone(start: Start) -> None:
    server = start("echo_server", "tcp", "127.0.0.1")
    address = listening(server)
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"x" * 100_000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that close() resets
    assert run("echo_client", "tcp", address, "hello").stdout == "hello\n"
    assert "Connection reset by peer" in interrupted(server)


def test_echo_goes_on_when_there_is_no_way_back(start: Start, require: Callable[[object, str], None]) -> None:
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        require(False, "CAP_NET_RAW, for a datagram of port 0")
    server = start("echo_server", "udp", "127.0.0.1")
    address = listening(server)
    host, _, port = address.rpartition(":")
    with raw:
        raw.sendto(struct.pack(">HHHH", 0, int(port), 8 + 5, 0) + b"hello", (host, 0))
    assert line_of(server) == "client 127.0.0.1 0 [Errno 22] Invalid argument"
    assert run("echo_client", "udp", address, "hello").stdout == "hello\n"
    interrupted(server)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("echo_server", ("tcp", "127.0.0.1", 99999), "port must be 0-65535"),
        ("echo_server", ("udp", "127.0.0.1", 99999), "port must be 0-65535"),
        ("echo_server", ("tcp", "\udcff", 0), "encoding of hostname failed"),
        ("echo_client", ("tcp", "foo", "hi"), "there is no port"),
        ("echo_client", ("tcp", "127.0.0.1:2007", "\udcff"), "surrogates not allowed"),
        ("asyncio_receiver", ("127.0.0.1:abc",), "there is no port"),
    ],
)
def test_what_is_no_address_port_or_text(name: str, arguments: tuple[object, ...], said: str) -> None:
    done = run(name, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"{name}: ")
    assert said in done.stderr


def test_collector(start: Start, tmp_path: Path) -> None:
    table = tmp_path / "networks.csv"
    table.write_text("prefix,value\n127.0.0.0/8,here\n10.0.0.0/8,office\n")
    process = start("udp_collector", "127.0.0.1:0", "--count", 5, "--seconds", LIMIT, "--table", table)
    sent(listening(process), 5, b"x" * 100)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (0, "")
    assert re.sub(" +", " ", out).splitlines() == [
        "5 datagrams, 500 bytes",
        "kind loopback 5",
        "network here 5",
        "0 were dropped by the kernel for want of room",
    ]


def test_collector_without_datagrams(start: Start) -> None:
    done = run("udp_collector", "127.0.0.1:0", "--seconds", 0.2)
    assert (done.returncode, done.stdout.splitlines()[1:2]) == (0, ["0 datagrams, 0 bytes"])
    process = start("udp_collector", "127.0.0.1:0")
    listening(process)
    time.sleep(0.2)  # until it waits
    assert interrupted(process).startswith("0 datagrams")


def test_collector_with_a_bad_table(tmp_path: Path) -> None:
    done = run("udp_collector", "127.0.0.1:0", "--table", tmp_path / "none.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("udp_collector: ")
    assert done.stderr.count("\n") == 1


def test_asyncio_receiver(start: Start) -> None:
    process = start("asyncio_receiver", "127.0.0.1:0", "--count", 3, "--seconds", LIMIT)
    sent(listening(process), 3, b"hello, world")
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-4:] == [*["somebody says hello"] * 3, "3 datagrams, 36 bytes"]


def test_asyncio_receiver_does_other_work(start: Start) -> None:
    process = start("asyncio_receiver", "127.0.0.1:0", "--seconds", 1.3)
    sent(listening(process), 2, b"x")
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["2 datagrams until now", "2 datagrams, 2 bytes"]
