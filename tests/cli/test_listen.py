"""`netfast listen`."""

import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.servers import address_of, at, ended, interrupted, line_of

Command = Callable[..., Any]
Start = Callable[..., subprocess.Popen[bytes]]


def to(address: str) -> socket.socket:
    """A connection of TCP, or to a path."""
    if "/" in address:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


def everything(sock: socket.socket) -> bytes:
    said = b""
    while data := sock.recv(65536):
        said += data
    return said


@pytest.mark.parametrize("operands", [("127.0.0.1:0",), ("tcp", "127.0.0.1:0"), ("tcp", "[::1]:0")])
def test_a_connection_both_ways(start: Start, operands: tuple[str, ...]) -> None:
    process = start("listen", "-v", *operands)
    with to(address_of(process)) as client:
        client.sendall(b"hello\xff\n")
        client.shutdown(socket.SHUT_WR)
        assert line_of(process).endswith(": connected")
        code, out, err = ended(process, b"answer\n")
        assert everything(client) == b"answer\n"
    assert (code, out) == (0, b"hello\xff\n")
    assert err.endswith(b": ended\n")


def test_without_v_nothing_is_said(start: Start) -> None:
    process = start("listen", "-w", "0.2", "127.0.0.1:0")
    assert ended(process) == (2, b"", b"netfast: 127.0.0.1:0: nobody has come within 0.2 s\n")


def test_much_goes_both_ways(start: Start) -> None:
    """More than fits any buffer, and neither side waits for the other."""
    data = os.urandom(8 << 20)
    process = start("listen", "-v", "127.0.0.1:0")
    client = start("send", address_of(process))
    results: list[tuple[int, bytes, bytes]] = []
    thread = threading.Thread(target=lambda: results.append(ended(client, data)))
    thread.start()
    code, out, _ = ended(process, data[::-1])
    thread.join(30)
    assert (code, out == data) == (0, True)
    assert (results[0][0], results[0][1] == data[::-1]) == (0, True)


def test_it_goes_on_sending_when_the_other_side_has_sent_all(start: Start) -> None:
    process = start("listen", "-v", "127.0.0.1:0")
    assert process.stdin is not None
    with to(address_of(process)) as client:
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        process.stdin.write(b"late\n")
        process.stdin.close()
        assert everything(client) == b"late\n"
    assert process.wait(10) == 0


def test_one_connection_after_the_other(start: Start) -> None:
    process = start("listen", "-k", "-v", "127.0.0.1:0")
    assert process.stdin is not None
    process.stdin.close()
    address = address_of(process)
    for text in (b"one ", b"two "):
        with to(address) as client:
            client.sendall(text)
        assert line_of(process).endswith(": connected")
        assert line_of(process).endswith(": ended")
    process.stdin = None
    assert interrupted(process)[:2] == (0, b"one two ")


def test_a_reset_is_said(start: Start) -> None:
    process = start("listen", "-v", "127.0.0.1:0")
    with to(address_of(process)) as client:
        client.sendall(b"x")
        assert line_of(process).endswith(": connected")
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    code, _, err = ended(process)
    assert code == 2
    assert err.startswith(b"netfast: 127.0.0.1:")
    assert err.endswith(b": Connection reset by peer\n")


def test_idle(start: Start) -> None:
    process = start("listen", "-w", "0.3", "-v", "127.0.0.1:0")
    with to(address_of(process)) as client:
        client.sendall(b"x")
        assert process.wait(10) == 0
        assert everything(client) == b""
    assert ended(process)[1] == b"x"


def test_not_all_was_sent(start: Start, tmp_path: Path) -> None:
    path, file = tmp_path / "s", tmp_path / "file"
    file.write_bytes(bytes(3 << 20))
    with file.open("rb") as stdin:
        process = start("listen", "-w", "0.3", "-v", path, stdin=stdin)
        address_of(process)
        with to(str(path)):
            assert process.wait(10) == 2
    _, out, err = ended(process)
    who = f"process {os.getpid()}"
    said = f"{who}: connected\nnetfast: {who}: not all was sent, for nothing has come or gone for 0.3 s\n"
    assert (out, err.decode()) == (b"", said)


@pytest.mark.parametrize("options", [(), ("-k",)])
def test_an_input_that_cannot_be_read(start: Start, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Whatever comes is printed all the same."""
    with (tmp_path / "file").open("wb") as stdin:
        process = start("listen", "-v", *options, "127.0.0.1:0", stdin=stdin)
        with to(address_of(process)) as client:
            assert line_of(process).endswith(": connected")
            assert line_of(process) == "netfast: standard input: Bad file descriptor"
            client.sendall(b"x")
        assert line_of(process).endswith(": ended")
        assert (interrupted if options else ended)(process) == (2, b"x", b"")


def test_datagrams_without_an_input_that_can_be_read(start: Start, udp: socket.socket, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stdin:
        process = start("listen", "-v", "--once", "udp", "127.0.0.1:0", stdin=stdin)
        udp.sendto(b"x", at(address_of(process)))
        assert ended(process)[:2] == (2, b"x")


def test_hexadecimal(start: Start) -> None:
    process = start("listen", "-v", "--hex", "127.0.0.1:0")
    with to(address_of(process)) as client:
        client.sendall(bytes(range(0x30, 0x42)) + b"\x1b\xff")
    assert ended(process)[1].decode().splitlines() == [
        "00000000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|",
        "00000010  40 41 1b ff                                       |@A..|",
    ]


# --- datagrams -------------------------------------------------------------------------------------------------------


def test_datagrams(start: Start, udp: socket.socket) -> None:
    process = start("listen", "-v", "udp", "127.0.0.1:0")
    address = address_of(process)
    for data in (b"one", b"", b"\n", b"two\n"):
        udp.sendto(data, at(address))
        assert line_of(process) == f"127.0.0.1:{udp.getsockname()[1]}: {len(data)} byte{'s' * (len(data) != 1)}"
    assert interrupted(process)[:2] == (0, b"one\ntwo\n")


def test_each_line_goes_to_who_was_heard_last(start: Start, udp: socket.socket) -> None:
    process = start("listen", "-v", "udp", "127.0.0.1:0")
    assert process.stdin is not None
    process.stdin.write(b"first\nsecond\n")  # before anybody has come
    process.stdin.flush()
    address = at(address_of(process))
    udp.sendto(b"x", address)
    assert [udp.recv(100), udp.recv(100)] == [b"first\n", b"second\n"]
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.settimeout(10)
        other.sendto(b"y", address)
        line_of(process)
        line_of(process)
        process.stdin.write(b"third\nno newline")
        process.stdin.close()
        process.stdin = None
        assert [other.recv(100), other.recv(100)] == [b"third\n", b"no newline"]
    assert interrupted(process)[:2] == (0, b"xy")


def test_once(start: Start, udp: socket.socket) -> None:
    process = start("listen", "-v", "--once", "udp", "127.0.0.1:0")
    address = at(address_of(process))
    assert process.stdin is not None
    process.stdin.write(b"answer\n")
    process.stdin.close()
    process.stdin = None
    for _ in range(3):
        udp.sendto(b"x", address)
    assert process.wait(10) == 0
    assert udp.recv(100) == b"answer\n"
    assert ended(process)[1] == b"x"


def test_json(start: Start, udp: socket.socket) -> None:
    process = start("listen", "-v", "--json", "udp", "127.0.0.1:0")
    address = at(address_of(process))
    begin = time.time()
    udp.sendto(b"a\xff\n", address)
    udp.sendto(b"b", address)
    assert process.stdout is not None
    rows = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert all(begin - 1 < row.pop("time") < time.time() + 1 for row in rows)
    peer = f"127.0.0.1:{udp.getsockname()[1]}"
    assert rows == [
        {"peer": peer, "bytes": 3, "text": "a\\xff\n", "hex": "61ff0a"},
        {"peer": peer, "bytes": 1, "text": "b", "hex": "62"},
    ]
    assert interrupted(process)[0] == 0


# --- Unix ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operands", [(), ("unix",)])
def test_a_unix_socket(start: Start, tmp_path: Path, operands: tuple[str, ...]) -> None:
    path = tmp_path / "s"
    process = start("listen", "-v", *operands, path)
    assert address_of(process) == str(path)
    with to(str(path)) as client:
        client.sendall(b"hello")
        assert line_of(process) == f"process {os.getpid()}: connected"
        client.shutdown(socket.SHUT_WR)
        assert ended(process, b"back")[:2] == (0, b"hello")
        assert everything(client) == b"back"
    assert not os.path.lexists(path)


def test_what_was_left_behind_is_replaced_and_nothing_else(start: Start, cli: Command, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(path))
    process = start("listen", "-v", path)
    address_of(process)
    said = f"netfast: {path}: Address already in use\n"
    assert cli("listen", path) == (2, "", said)
    assert interrupted(process)[0] == 130
    path.write_text("precious")
    assert cli("listen", path) == (2, "", f"netfast: {path}: there is a file already, and it is no socket\n")
    assert path.read_text() == "precious"


def test_names_are_spelt_out(start: Start, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/a\x1b[2J\xff\n"
    process = start("listen", "-v", os.fsdecode(path))
    assert address_of(process) == f"{tmp_path}/a\\x1b[2J\\xff\\n"
    assert os.path.exists(path)
    assert interrupted(process)[0] == 130
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["dgram", "seqpacket"])
def test_messages(start: Start, netfast: Command, kind: str) -> None:
    name = f"@netfast.test.listen.{os.getpid()}.{kind}"
    process = start("listen", "-v", "--json", "--type", kind, name)
    assert address_of(process) == name
    run = netfast("send", "--type", kind, "-w", "0.3", name, stdin=b"one\ntwo")
    assert (run.code, run.out, run.err) == (0, "", "")
    _, out, _ = interrupted(process) if kind == "dgram" else ended(process)
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["one\n", "two"]


@pytest.mark.parametrize("options", [(), ("--once",)])
def test_whose_queue_is_full_is_waited_for(start: Start, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a processor's whole time, and as long as -w allows."""
    path, lines = tmp_path / "s", tmp_path / "lines"
    lines.write_bytes(b"x\n" * 3000)
    with lines.open("rb") as stdin, closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as client:
        client.bind(str(tmp_path / "c"))
        client.settimeout(10)
        process = start("listen", "-v", "-w", "1.5", "--type", "dgram", *options, path, stdin=stdin)
        address_of(process)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        client.sendto(b"hello", str(path))
        time.sleep(0.5)
        assert client.recv(10) == b"x\n"
        assert process.wait(10) == 2
        taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    code, out, err = ended(process)
    assert (code, out) == (2, b"hello")
    said = f"netfast: {tmp_path}/c: not all was sent, for nothing has come or gone for 1.5 s"
    assert err.decode().splitlines()[-1] == said
    assert taken < 1


@pytest.mark.parametrize("at_once", [False, True])
def test_a_message_of_no_bytes_is_not_the_end(start: Start, first_line: Command, at_once: bool) -> None:
    """Whether the client is still there as it is read, or has gone already."""
    name = f"@netfast.test.listen.{os.getpid()}.empty"
    process = start("listen", "-v", "--json", "--type", "seqpacket", name)
    address_of(process)
    messages = ["one", "", "", "two", "", "three"]
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as client:
        if at_once:
            process.send_signal(signal.SIGSTOP)
        client.connect("\0" + name[1:])
        for text in messages:
            client.send(text.encode())
            if not at_once:
                assert json.loads(first_line(process))["text"] == text
    process.send_signal(signal.SIGCONT)
    code, out, _ = ended(process)
    assert (code, [json.loads(line)["text"] for line in out.splitlines()]) == (0, messages * at_once)


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operands", [("127.0.0.1:0",), ("udp", "127.0.0.1:0")])
def test_ctrl_c_before_anybody_came(start: Start, operands: tuple[str, ...]) -> None:
    process = start("listen", "-v", *operands)
    address_of(process)
    assert interrupted(process)[:2] == (130, b"")


def test_a_closed_pipe_ends_it_quietly(start: Start) -> None:
    process = start("listen", "-v", "127.0.0.1:0")
    assert process.stdout is not None
    process.stdout.close()
    with to(address_of(process)) as client:
        client.sendall(b"x")
        assert process.wait(10) == 141


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no address"),
        (("tcp",), "there is no address"),
        (("localhost",), "there is no port"),
        (("::1",), "wants brackets"),
        (("tcp", "127.0.0.1:1", "more"), "'more' is one word too many"),
        (("--type", "dgram", "127.0.0.1:1"), "--type goes with unix"),
        (("unix", ""), "ADDR is empty; wanted a path, or @name"),
        (("--once", "-k", "1"), "not allowed with"),
        (("--hex", "--json", "1"), "not allowed with"),
        (("-w", "0", "1"), "out of range"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("listen", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.1:1", "192.0.2.1:1: Cannot assign requested address"),
        ("256.1.1.1:1", "256.1.1.1:1: octet above 255"),
    ],
)
def test_what_cannot_be_bound(cli: Command, address: str, said: str) -> None:
    assert cli("listen", address) == (2, "", f"netfast: {said}\n")
    assert cli("listen", "udp", address) == (2, "", f"netfast: {said}\n")
