"""`netfast port`."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import netfast as nf

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("9", (9,)),
        ("ssh", ("ssh",)),
        ("SSH", ("ssh",)),
        ("53/udp", (53, "udp")),
        ("domain/TCP", ("domain", "tcp")),
        ("914c/g", ("914c/g",)),  # there is a name with a slash
        ("914c/g/udp", ("914c/g", "udp")),
        ("0", (0,)),
        ("65535", (65535,)),
    ],
)
def test_explains(cli: Command, text: str, arguments: tuple[Any, ...]) -> None:
    assert cli("port", text) == (0, nf.port(*arguments).to_text() + "\n", "")


def test_several_have_a_line_between(cli: Command) -> None:
    assert cli("port", "80", "ssh").out == nf.port(80).to_text() + "\n\n" + nf.port(22).to_text() + "\n"


def test_json(cli: Command) -> None:
    run = cli("port", "7", "--json", "53/udp")
    assert [json.loads(line) for line in run.out.splitlines()] == [nf.port(7).to_dict(), nf.port(53, "udp").to_dict()]


def test_bad_ones_are_named_and_the_others_explained(cli: Command) -> None:
    run = cli("port", "nosuch", "9", "65536", "9/icmp", "a\x1b[2J\n", "http/icmp", "1.5")
    assert (run.code, run.out) == (2, nf.port(9).to_text() + "\n")
    said = run.err.splitlines()
    assert all(line.startswith("netfast: ") for line in said)
    assert [
        word in line
        for word, line in zip(("nosuch", "65536", "icmp", "a\\x1b[2J\\n", "icmp", "1.5"), said, strict=True)
    ]
    assert len(said) == 6


def test_who_listens_is_spelt_out(cli: Command) -> None:
    """A process may have any name."""
    name = b"a\x1b[2J\n\xff"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = _named(name)
        try:
            run = cli("port", port)
            told = json.loads(cli("port", "--json", port).out)
        finally:
            _named(before)
    assert run.code == 0
    assert "\\x1b[2J" in run.out
    assert "\x1b" not in run.out
    assert [process["name"] for row in told["listeners"] for process in row["processes"]] == ["a\x1b[2J\n\udcff"]


def _named(name: bytes) -> bytes:
    """Names this process, and returns what it was called."""
    with open(f"/proc/self/task/{threading.main_thread().native_id}/comm", "r+b", buffering=0) as file:
        before = file.read().removesuffix(b"\n")
        file.write(name)
    return before


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "required: PORT"), (("--", "-1"), "'-1' is no port"), (("--tcp", "1"), "unrecognized")]
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("port", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


def test_a_narrow_terminal(terminal: Command) -> None:
    run = terminal("port", "9", "80", columns=40)
    assert (run.code, run.err) == (0, "")
    assert max(map(len, run.out.splitlines())) <= 40
    assert run.out.split() == (nf.port(9).to_text() + "\n" + nf.port(80).to_text()).split()
    assert terminal("port", "9", columns=120).out == nf.port(9).to_text() + "\n"


def test_closed_pipe_ends_quietly(start: Command) -> None:
    process = start("port", "80")
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""
