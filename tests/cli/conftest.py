"""How the tests run the command: in this process, in one of its own, on a terminal."""

import fcntl
import io
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from net import lab
from netfast.cli import main

LOG = b"""\
10.0.0.1 - - "GET / HTTP/1.1" 200 "Mozilla/5.0 Chrome/126.0.0.0 Safari/537.36"
8.8.8.8 - - "GET /a HTTP/1.1" 404 "-"
client 2001:4860:4860::8888 behind 192.168.1.7.
nothing here, at 12:34:56
10.0.0.1 NameNode/127.0.0.1:8020
"""


class Run(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def log(tmp_path: Path) -> str:
    """The path of a small log."""
    path = tmp_path / "a.log"
    path.write_bytes(LOG)
    return str(path)


@pytest.fixture
def cli(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """`cli("grep", "private", file)`: main(argv) in this process."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(list(map(str, arguments)))
        captured = capsysbinary.readouterr()
        return Run(code, captured.out.decode(), captured.err.decode())

    return run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netfast", *map(str, arguments)]


@pytest.fixture
def netfast() -> Callable[..., Run]:
    """The same in a process of its own: `netfast("classify", stdin=b"...", env={...})`."""

    def run(*arguments: object, stdin: bytes = b"", env: dict[str, str] | None = None, **more: Any) -> Run:
        environment = {**os.environ, **(env or {})}
        done = subprocess.run(
            command(*arguments), input=stdin, capture_output=True, env=environment, timeout=60, **more
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a command with pipes to it, and ends it with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: object, **more: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        # A shell's background jobs ignore SIGINT, and their children would with them.
        process = subprocess.Popen(
            command(*arguments), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A socket that a command is to talk with."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def first_line() -> Callable[[subprocess.Popen[bytes]], bytes]:
    """The first line of a command's output; empty if none has come after ten seconds."""

    def read(process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 10)
        return process.stdout.readline() if ready else b""

    return read


@pytest.fixture
def terminal() -> Callable[..., Run]:
    """A command on a terminal of so many columns: `out` is what its standard output shows, `err` its standard error."""

    def run(*arguments: object, columns: int = 100, env: dict[str, str] | None = None, stdin: bytes = b"") -> Run:
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **(env or {})}
        out, out_slave = _terminal(columns)
        err, err_slave = _terminal(columns)
        process = subprocess.Popen(
            command(*arguments), stdin=subprocess.PIPE, stdout=out_slave, stderr=err_slave, env=environment
        )
        os.close(out_slave)
        os.close(err_slave)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        shown = _drained(out), _drained(err)
        return Run(process.wait(timeout=60), *shown)

    return run


def _terminal(columns: int) -> tuple[int, int]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    return master, slave


def _drained(master: int) -> str:
    """Everything a terminal was sent until all its writers are gone."""
    shown = b""
    try:
        while piece := os.read(master, 1 << 16):
            shown += piece
    except OSError:  # EIO: nobody has it open any more
        pass
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


# --- pings -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts(require: Callable[[object, str], None], tool: Callable[[str], str]) -> Iterator[lab.Hosts]:
    """A - R - B; the test, and the commands it runs, are on A."""
    lab.check(require, tool)
    with lab.three_hosts() as three, three.a.inside():
        yield three


@pytest.fixture
def far(require: Callable[[object, str], None], tool: Callable[[str], str]) -> Iterator[lab.FarEnd]:
    """The test runs in front of a far end that answers as it is told."""
    lab.check(require, tool)
    with lab.namespace() as host, lab.far_end(host) as end, host.inside():
        end.play()
        yield end
