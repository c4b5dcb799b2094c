"""`netfast send`."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def deaf(kind: str, path: Path) -> Iterator[tuple[list[object], str]]:
    """Who takes a connection and reads nothing: the words that lead there, and the name of that place."""
    if kind == "tcp":
        with nf.tcp_listen("127.0.0.1:0") as server:
            yield [at(server)], at(server)
    else:
        with nf.unix_socket(path, type=kind, listen=1):  # type: ignore[arg-type]
            yield ["--type", kind, path], str(path)


@pytest.mark.parametrize("kind", ["tcp", "stream", "seqpacket"])
def test_not_all_was_sent(netfast: Command, tmp_path: Path, kind: str) -> None:
    with deaf(kind, tmp_path / "s") as (words, name):
        run = netfast("send", "-w", "0.2", *words, stdin=b"0123456789abcde\n" * (1 << 20))
    assert run == (2, "", f"netfast: {name}: not all was sent, for nothing has come or gone for 0.2 s\n")


def test_a_line_that_has_not_ended_was_not_sent(start: Start, tmp_path: Path) -> None:
    with deaf("seqpacket", tmp_path / "s") as (words, name):
        process = start("send", "-w", "0.5", *words)
        assert process.stdin is not None
        process.stdin.write(b"one\ntw")
        process.stdin.flush()
        assert process.wait(10) == 2
    said = f"netfast: {name}: not all was sent, for nothing has come or gone for 0.5 s\n"
    process.stdin.close()
    process.stdin = None
    assert ended(process) == (2, b"", said.encode())


def test_who_is_gone_has_not_got_what_was_there_already(start: Start, tmp_path: Path) -> None:
    with nf.unix_socket(tmp_path / "s", listen=1) as server:
        server.settimeout(10)
        process = start("send", tmp_path / "s")
        assert process.stdin is not None
        connection, _ = server.accept()
        with connection:
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.3)
            process.send_signal(signal.SIGSTOP)
            assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.stdin.write(b"late\n")
        process.stdin.flush()
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) == 2
    process.stdin.close()
    process.stdin = None
    assert ended(process)[2] == f"netfast: {tmp_path}/s: Broken pipe\n".encode()


@pytest.mark.parametrize("operands", [(), ("udp",)])
def test_an_input_that_cannot_be_read(
    start: Start, udp: socket.socket, tmp_path: Path, operands: tuple[str, ...]
) -> None:
    with nf.tcp_listen("127.0.0.1:0") as server, (tmp_path / "file").open("wb") as file:
        address = at(udp if operands else server)
        process = start("send", "-w", "0.2", *operands, address, stdin=file)
        assert ended(process) == (2, b"", b"netfast: standard input: Bad file descriptor\n")


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


def test_ctrl_c_before_all_was_sent(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(16 << 20))
    with nf.tcp_listen("127.0.0.1:0") as server, path.open("rb") as file:
        server.settimeout(10)
        process = start("send", at(server), stdin=file)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"x")
            assert process.stdout is not None
            assert process.stdout.read(1) == b"x"
            assert interrupted(process) == (130, b"", b"")


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
        (("unix", "", "hello"), "ADDR is empty; wanted a path, or @name"),
        (("unix", "@", "hello"), "ADDR='@': there is no name behind @"),
        (("@",), "ADDR='@': there is no name behind @"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("send", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


def test_a_path_that_is_too_long(cli: Command) -> None:
    path = "/" + "x" * 107
    said = f"netfast: {path}: 108 bytes, and a Unix socket has at most 107\n"
    assert cli("send", path, "hello") == cli("listen", path) == (2, "", said)
