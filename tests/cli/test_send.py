"""`netfast send`."""

import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from cli.servers import ended, interrupted

Command = Callable[..., Any]
Start = Callable[..., subprocess.Popen[bytes]]
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server of TCP that answers one connection as told once that has sent all: its address."""
    threads: list[threading.Thread] = []

    def begin(answer: Callable[[socket.socket, bytes], object], host: str = "127.0.0.1") -> str:
        server = nf.tcp_listen((host, 0))
        server.settimeout(10)

        def run() -> None:
            with server:
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(10)
                    said = b""
                    while data := connection.recv(65536):
                        said += data
                    answer(connection, said)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"[{host}]:{server.getsockname()[1]}" if ":" in host else f"{host}:{server.getsockname()[1]}"

    yield begin
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def at(sock: socket.socket) -> str:
    host, port = sock.getsockname()
    return f"{host}:{port}"


def turned(connection: socket.socket, said: bytes) -> None:
    connection.sendall(said[::-1])


@pytest.mark.parametrize(
    ("arguments", "stdin", "sent"),
    [
        (("hello", "world"), b"", b"hello world\n"),
        (("-n", "hello", "world"), b"", b"hello world"),
        (("--", "-n", "--help"), b"", b"-n --help\n"),
        (("über",), b"", "über\n".encode()),
        ((), b"a\nb\xff", b"a\nb\xff"),
        ((), b"", b""),
    ],
)
def test_what_is_sent(cli: Command, serve: Serve, arguments: tuple[str, ...], stdin: bytes, sent: bytes) -> None:
    heard: list[bytes] = []
    run = cli("send", serve(lambda _, said: heard.append(said)), *arguments, stdin=stdin)
    assert (run.code, run.out, run.err) == (0, "", "")
    assert heard == [sent]


def test_what_comes_back(cli: Command, serve: Serve) -> None:
    assert cli("send", serve(turned), "-n", "abc") == (0, "cba", "")
    run = cli("send", "-v", "--hex", serve(turned, "::1"), "-n", "abc")
    assert (run.code, run.out) == (0, "00000000  63 62 61                                          |cba|\n")
    assert run.err.startswith("[::1]:")
    assert run.err.endswith(": connected\n")


def test_json(cli: Command, serve: Serve) -> None:
    address = serve(turned)
    row = json.loads(cli("send", "--json", address, "-n", "abc").out)
    assert row.pop("time") == pytest.approx(time.time(), abs=5)
    assert row == {"peer": address, "bytes": 3, "text": "cba", "hex": "636261"}


def test_a_file(serve: Serve, tmp_path: Path) -> None:
    heard: list[bytes] = []
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 << 20))
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "netfast", "send", serve(lambda _, said: heard.append(said))],
            stdin=file,
            capture_output=True,
            timeout=30,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert heard == [path.read_bytes()]


def test_a_server_that_does_not_end(cli: Command) -> None:
    with nf.tcp_listen("127.0.0.1:0") as server:
        begin = time.monotonic()
        assert cli("send", "-w", "0.3", at(server), "hello") == (0, "", "")
        assert 0.25 < time.monotonic() - begin < 3


def test_refused(cli: Command, tmp_path: Path) -> None:
    with nf.reserve_port(host="127.0.0.1") as sock:
        assert cli("send", at(sock), "x") == (2, "", f"netfast: {at(sock)}: Connection refused\n")
    with nf.udp_socket("127.0.0.1:0") as sock:
        address = at(sock)
    assert cli("send", "udp", address, "x") == (2, "", f"netfast: {address}: Connection refused\n")
    path = tmp_path / "no\x1b"
    assert cli("send", path, "x") == (2, "", f"netfast: {tmp_path}/no\\x1b: No such file or directory\n")


def test_an_answer_of_no_bytes_is_not_the_end(cli: Command) -> None:
    name = f"@netfast.test.send.{os.getpid()}.empty"
    with nf.unix_socket(name, type="seqpacket", listen=1) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b"hello\n"
                for text in (b"", b"one\n", b"", b"two\n"):
                    connection.send(text)

        thread = threading.Thread(target=answer)
        thread.start()
        assert cli("send", "--type", "seqpacket", name, "hello") == (0, "one\ntwo\n", "")
        thread.join(20)


# --- datagrams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "stdin", "sent"),
    [
        (("one", "two"), b"", [b"one two\n"]),
        (("-n", "one\ntwo"), b"", [b"one\ntwo"]),
        (("-n", ""), b"", [b""]),
        ((), b"one\n\ntwo", [b"one\n", b"\n", b"two"]),
        (("--whole",), b"one\n\ntwo", [b"one\n\ntwo"]),
        ((), b"x" * 65_507 + b"y", [b"x" * 65_507, b"y"]),
    ],
)
def test_datagrams(
    cli: Command, udp: socket.socket, arguments: tuple[str, ...], stdin: bytes, sent: list[bytes]
) -> None:
    assert cli("send", "udp", "-w", "0.01", at(udp), *arguments, stdin=stdin) == (0, "", "")
    assert [udp.recv(70_000) for _ in sent] == sent


def test_one_that_is_too_long(netfast: Command, udp: socket.socket) -> None:
    run = netfast("send", "udp", "--whole", at(udp), stdin=b"x" * 200_000)
    assert run == (2, "", f"netfast: {at(udp)}: Message too long\n")


def test_answers(cli: Command, udp: socket.socket) -> None:
    def answer() -> None:
        _, sender = udp.recvfrom(100)
        time.sleep(0.2)
        udp.sendto(b"late\n", sender)

    thread = threading.Thread(target=answer)
    thread.start()
    begin = time.monotonic()
    run = cli("send", "-v", "udp", at(udp), "hello")
    assert 1.1 < time.monotonic() - begin < 4  # a second after the last
    thread.join()
    assert run == (0, "late\n", f"{at(udp)}: connected\n{at(udp)}: 5 bytes\n")


# --- how it ends -----------------------------------------------------------------------------------------------------


def test_ctrl_c(start: Start) -> None:
    with nf.tcp_listen("127.0.0.1:0") as server:
        server.settimeout(10)
        for answer, code in ((b"", 130), (b"x", 0)):
            process = start("send", at(server))
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
                assert process.stdout is not None
                assert process.stdout.read(len(answer)) == answer
                assert interrupted(process) == (code, b"", b"")


def test_a_terminal_is_not_waited_for(start: Start) -> None:
    master, slave = pty.openpty()
    with nf.tcp_listen("127.0.0.1:0") as server:
        server.settimeout(10)
        process = start("send", at(server), stdin=slave)
        os.close(slave)
        connection, _ = server.accept()
        with connection:
            os.write(master, b"typed\n")
            assert connection.recv(100) == b"typed\n"
            connection.sendall(b"bye\n")
        assert process.wait(10) == 0
    os.close(master)
    assert ended(process)[1] == b"bye\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no address"),
        (("localhost", "hello"), "there is no port"),
        (("127.0.0.1:0", "hello"), "wanted a port of 1 to 65535"),
        (("--type", "seqpacket", "udp", "127.0.0.1:1"), "--type goes with unix"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("send", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err
