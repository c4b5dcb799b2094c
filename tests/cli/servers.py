"""Commands that listen, as the tests of sockets start them."""

import select
import signal
import subprocess
import time

LIMIT = 30.0  # seconds that anything may take


def line_of(process: subprocess.Popen[bytes]) -> str:
    """The next line of its standard error."""
    assert process.stderr is not None
    line = b""
    while not line.endswith(b"\n"):  # byte by byte, for a buffer would keep the next from select
        ready, _, _ = select.select([process.stderr], [], [], LIMIT)
        assert ready, "nothing has come"
        byte = process.stderr.raw.read(1)  # type: ignore[attr-defined]
        assert byte, f"it has ended with {process.wait()}"
        line += byte
    return line.decode().rstrip("\n")


def address_of(process: subprocess.Popen[bytes]) -> str:
    """Where a command listens that says so."""
    line = line_of(process)
    assert line.startswith("listening on ")
    return line.removeprefix("listening on ")


def ended(process: subprocess.Popen[bytes], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Code, output and errors of a command that ends by itself after this input."""
    out, err = process.communicate(stdin, timeout=LIMIT)
    return process.returncode, out, err


def interrupted(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """The same after Ctrl-C, which it answers at once."""
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    process.wait(LIMIT)
    took = time.monotonic() - begin
    assert took < 2
    return ended(process)


def at(address: str) -> tuple[str, int]:
    """ "host:port" as sockets take it."""
    host, _, port = address.rpartition(":")
    return host, int(port)
