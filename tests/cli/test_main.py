"""What all commands share: help, errors in one line, exit codes, pipes and signals."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import netfast.cli
from netfast import __version__
from netfast.cli import COMMANDS, _options, _output

Command = Callable[..., Any]


def test_console_script() -> None:
    assert "netfast.cli:command" in {script.value for script in entry_points(group="console_scripts", name="netfast")}


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(cli: Command, option: str) -> None:
    assert cli(option) == (0, f"netfast {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
def test_help_names_every_command(cli: Command, option: str) -> None:
    run = cli(option)
    assert run.code == 0
    assert all(f"\n  {name} " in run.out for name in COMMANDS)


def test_nothing_is_a_usage_error(cli: Command) -> None:
    run = cli()
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("usage: netfast COMMAND")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(cli: Command, name: str) -> None:
    run = cli(name, "--help")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(f"usage: netfast {name} ")
    assert max(map(len, run.out.splitlines())) <= 100
    assert cli("help", name).out == run.out


@pytest.mark.parametrize("name", ["classify", "extract", "grep"])
def test_help_tells_the_rule_about_versions(cli: Command, name: str) -> None:
    text = " ".join(cli(name, "--help").out.split())
    assert "Chrome/126.0.0.0 is not an address" in text
    assert "NameNode/10.0.0.1:8020 is" in text
    assert "--loose keeps all" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clasify",), "no command 'clasify'; did you mean 'classify'?"),
        (("frobnicate",), "no command 'frobnicate' (there are classify, "),
        (("--frobnicate",), "no option '--frobnicate'"),
        (("a\nb",), "no command 'a\\nb'"),
        (("classify", "--frobnicate"), "unrecognized arguments: --frobnicate"),
        (("classify", "--fir"), "unrecognized arguments: --fir"),
        (("classify", "--top"), "argument --top: expected one argument"),
        (("classify", "--top", "-1"), "argument --top"),
        (("classify", "--top", "ten"), "'ten' is no number"),
        (("classify", "--top", "1.5"), "'1.5' is no whole number"),
        (("classify", "--max-distinct", "0"), "'0' is out of range (wanted 1 or more)"),
        (("classify", "--threads", "10K"), "'10K' is out of range (wanted at most 1,024)"),
        (("classify", "--field", "0"), "'0' is out of range"),
        (("classify", "--field", "9" * 18), "out of range"),
        (("classify", "--first", "--field", "2"), "not allowed with argument"),
        (("classify", "-4", "-6"), "not allowed with argument"),
        (("classify", "--sep", ","), "--sep goes with --field"),
        (("classify", "--field", "1", "--sep", ""), "it is empty"),
        (("classify", "--json-key", "a..b"), "--json-key 'a..b'"),
        (("classify", "--json-key", "\udcff"), "netfast classify: "),
        (("classify", "--color", "blue"), "invalid choice: 'blue'"),
        (("extract", "--format", "xml"), "invalid choice: 'xml'"),
        (("grep",), "the following arguments are required: EXPR (try"),
        (("grep", "-H", "-h", "private"), "not allowed with argument"),
        (("address",), "required: A"),
        (("sample", "--size", "big"), "'big' is no number"),
        (("sample", "extra\x1b[2J"), "unrecognized arguments: extra\\x1b[2J"),
        (("bench", "--rows", "1"), "out of range"),
    ],
)
def test_usage_errors_are_one_line(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err.count("\n") == 1
    assert said in run.err
    assert run.err.isprintable() or run.err[:-1].isprintable()


def test_no_traceback_reaches_a_user(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(netfast.cli, "_command", lambda _: broken)
    run = cli("address")
    assert run.code == 2
    assert run.err.startswith("netfast: internal error, please report: ZeroDivisionError: division\\nby zero")
    assert run.err.count("\n") == 1
    monkeypatch.setenv("NETFAST_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli("address")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("64k", 64_000), ("64K", 64_000), ("1.5G", 1_500_000_000), ("100MB", 10**8), ("1MiB", 1 << 20)],
)
def test_sizes(text: str, value: int) -> None:
    assert _options.size(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [(",", b","), (r"\t", b"\t"), (r"\\", b"\\"), ("||", b"||"), ("é", "é".encode())]
)
def test_separators(text: str, value: bytes) -> None:
    assert _options.separator(text) == value


# --- what is imported ------------------------------------------------------------------------------------------------

BLOCKED = (
    "import sys; sys.modules.update(dict.fromkeys({!r})); from netfast.cli import main; sys.exit(main(sys.argv[1:]))"
)


def without(modules: list[str], *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command where these modules cannot be imported."""
    code = BLOCKED.format(modules)
    return subprocess.run([sys.executable, "-c", code, *arguments], input=stdin, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("address", "::1"), ("address", "--json", "10.0.0.1")]
)
def test_light_commands_need_nothing(arguments: tuple[str, ...]) -> None:
    run = without(["numpy", "rich", "isal"], *arguments)
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [("classify",), ("classify", "--json"), ("extract",), ("grep", "private")])
def test_piped_output_needs_no_rich(arguments: tuple[str, ...]) -> None:
    run = without(["rich"], *arguments, stdin=b"10.0.0.1\n")
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"10.0.0.1" in run.stdout


# --- where output goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("sample",), ("extract", "big.log"), ("grep", "!documentation", "big.log")])
def test_closed_pipe_ends_quietly(start: Command, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "big.log").write_bytes(b"10.0.0.1 192.168.0.1 8.8.8.8\n" * 200_000)
    process = start(*arguments, cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == netfast.cli.CLOSED_PIPE
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments",
    [("address", "::1"), ("classify", "--json"), ("extract",), ("--help",), ("grep", "--help"), ("--version",)],
)
def test_pipe_closed_before_anything_is_written(start: Command, arguments: tuple[str, ...]) -> None:
    process = start(*arguments)
    process.stdout.close()
    process.stdin.close()
    assert process.wait(timeout=30) == netfast.cli.CLOSED_PIPE
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments", [("address", "::1"), ("classify",), ("extract",), ("grep", "private"), ("sample",), ("--help",)]
)
def test_full_disk_is_trouble(start: Command, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        process = start(*arguments, stdout=full)
    process.stdin.write(b"10.0.0.1\n" * 1000)
    process.stdin.close()
    assert process.wait(timeout=30) == 2
    assert process.stderr.read() == b"netfast: standard output: No space left on device\n"


def test_closed_descriptors_are_trouble(log: str) -> None:
    def run(shell: str) -> tuple[int, bytes]:
        script = f'exec "$1" -m netfast {shell}'
        done = subprocess.run(["sh", "-c", script, "sh", sys.executable, log], capture_output=True, timeout=60)
        assert done.stdout == b""
        return done.returncode, done.stderr

    assert run('classify "$2" >&-') == (2, b"netfast: standard output: it is closed\n")
    assert run("classify <&-") == (
        2,
        b"netfast classify: standard input is closed; name a file (try 'netfast classify --help')\n",
    )
    assert run("classify missing 2>&-") == (2, b"")
    assert run("2>&-") == (2, b"")


def test_names_reach_no_terminal_as_control_sequences(cli: Command) -> None:
    run = cli("classify", "\x1b[2J\n\udcff")
    assert run.code == 2
    assert run.err == "netfast: \\x1b[2J\\n\\xff: No such file or directory\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_in_few_characters(netfast: Command, encoding: str) -> None:
    run = netfast("address", "192.168.1.1", env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert (run.code, run.err) == (0, "")
    assert "192.0.1.1-223.255.255.254" in run.out


def test_one_line_spells_out_what_a_terminal_acts_upon() -> None:
    assert _output.one_line("ü\t\x07\u202e 日本") == "ü\\t\\x07\\u202e 日本"


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("classify",), ("classify", "--threads", "2", "-"), ("extract",), ("grep", "!private")]
)
def test_interrupt_while_reading_a_pipe(start: Command, arguments: tuple[str, ...]) -> None:
    process = start(*arguments, stdout=subprocess.DEVNULL)
    process.stdin.write(b"10.0.0.1 8.8.8.8\n" * 20_000)  # more than a pipe holds: it has begun to read
    process.stdin.flush()
    interrupt(process)


def test_interrupt_while_writing(start: Command) -> None:
    process = start("sample", "--size", "1T", stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    interrupt(process)


def test_interrupt_while_output_is_stuck(start: Command) -> None:
    process = start("sample")
    process.stdout.readline()
    time.sleep(0.2)  # now the pipe is full and nobody reads
    interrupt(process)


def test_interrupt_while_reading_files(start: Command, tmp_path: Path) -> None:
    log = tmp_path / "big.log"
    with open(log, "wb") as file:
        file.writelines([b"10.0.0.1 192.168.0.1 8.8.8.8 2001:db8::1\n" * 25_000] * 64)
    process = start("classify", *[log] * 200)
    time.sleep(0.5)
    interrupt(process)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C: an answer within a second, quietly."""
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    assert process.wait(timeout=30) == netfast.cli.INTERRUPTED
    assert time.monotonic() - pressed < 1
    assert process.stderr is not None
    assert process.stderr.read() == b""
