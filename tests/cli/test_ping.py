"""`netfast ping`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from net import lab
from net.responder import Answer
from netfast.cli import _output, _ping_reports
from netfast.cli._output import Style

Command = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("pings")

STEPS = "▁▂▃▄▅▆▇█"


@pytest.fixture
def iputils(tool: Callable[[str], str], require: Callable[[object, str], None]) -> Command:
    """ping(8): its exit code, what it printed, and its complaints as netfast's."""
    path = tool("ping")
    version = subprocess.run([path, "-V"], capture_output=True, text=True).stdout
    require("iputils" in version, "the ping of iputils")

    def run(*arguments: object) -> tuple[int, str, str]:
        command = ["ping", *map(str, arguments)]
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, executable=path, capture_output=True, text=True, timeout=60, env=environment)
        return done.returncode, done.stdout, done.stderr.replace("ping: ", "netfast: ")

    return run


def timeless(run: tuple[int, str, str]) -> tuple[int, str, str]:
    """What a command said, but for the times."""
    code, out, err = run
    for pattern in (r"(?<=time=)[\d.]+", r"(?<=time )\d+", r"(?<== )[\d./]+", r"(?<=ewma )[\d./]+", r"^\[\d+\.\d{6}\]"):
        out = re.sub(pattern, "T", out, flags=re.MULTILINE)
    return code, out, err


# --- as ping(8) ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        "-c 3 -i 0.01 127.0.0.1",
        "-c 1 ::1",
        "-c 1 -s 16 ::1",
        "-c 1 -s 65507 127.0.0.1",
        "-q -n -c 2 -i 0.01 127.0.0.1",
        "-c 1 -I lo 127.0.0.1",
        "-c 1 -I lo ::1",
        "-c 1 -I 127.0.0.5 127.0.0.1",
        "-D -O -c 2 -i 0.01 127.0.0.1",
        "-c 1 -t 5 -Q 0x10 -M do -4 127.0.0.1",
        "-c 2 -w 5 -i 0.01 127.0.0.1",
    ],
)
def test_it_says_what_iputils_says(netfast: Command, iputils: Command, arguments: str) -> None:
    assert timeless(netfast("ping", *arguments.split())) == timeless(iputils(*arguments.split()))


@pytest.mark.parametrize("arguments", ["-f -c 5 127.0.0.1", "-q -f -c 100 127.0.0.1", "-i 0 -c 3 127.0.0.1"])
def test_floods_are_those_of_iputils(
    netfast: Command, iputils: Command, require: Callable[[object, str], None], arguments: str
) -> None:
    require(os.geteuid() == 0, "root, to flood")
    assert timeless(netfast("ping", *arguments.split())) == timeless(iputils(*arguments.split()))


@pytest.mark.parametrize(
    "arguments",
    [
        "-c 2 -i 0.3 -W 5 198.18.1.9",  # a neighbour that is not there
        "-c 2 -i 0.3 -W 5 198.18.2.9",  # the router's
        "-c 2 -i 0.3 -W 5 2001:db8:2::9",
        "-c 2 -i 0.01 -t 1 198.18.2.1",
        "-c 2 -i 0.01 -t 1 2001:db8:2::1",
        "-c 2 -i 0.01 -M do -s 3000 198.18.2.1",  # no card takes it
        "-c 2 -i 0.01 -M do -s 3000 2001:db8:2::1",
        "-c 2 -i 0.3 -W 5 -q 198.18.1.9",
        "-c 2 -i 0.3 -W 0.2 -O 198.18.99.1",  # R drops them
        "-c 1 198.18.77.1",
        "-c 1 198.18.78.1",
        "-c 2 -w 1 -i 0.2 198.18.1.9",
    ],
)
def test_errors_are_those_of_iputils(netfast: Command, iputils: Command, hosts: lab.Hosts, arguments: str) -> None:
    hosts.r.ip("route add blackhole 198.18.99.0/24")
    hosts.a.ip("route add unreachable 198.18.77.0/24", "route add blackhole 198.18.78.0/24")
    assert timeless(netfast("ping", *arguments.split())) == timeless(iputils(*arguments.split()))


def test_duplicates_are_those_of_iputils(netfast: Command, iputils: Command, far: lab.FarEnd) -> None:
    arguments = "-c", 2, "-i", 0.2, "198.18.0.7"
    script = {"198.18.0.7": [[Answer(copies=3)], [Answer()]]}
    far.play(script)
    ours = netfast("ping", *arguments)
    far.play(script)
    assert timeless(ours) == timeless(iputils(*arguments))
    assert ours.out.count("(DUP!)") == 2
    assert "2 received, +2 duplicates, 0% packet loss" in ours.out


def test_a_reply_that_is_late_is_shown_and_lost(netfast: Command, far: lab.FarEnd) -> None:
    far.play({"198.18.0.8": [[Answer(delay=0.3)], [Answer()]]})
    run = netfast("ping", "-c", 2, "-i", 0.5, "-W", 0.1, "198.18.0.8")
    lines = run.out.splitlines()
    assert re.fullmatch(r"64 bytes from 198.18.0.8: icmp_seq=1 ttl=64 time=3\d\d ms \(LATE!\)", lines[1])
    assert re.fullmatch(r"64 bytes from 198.18.0.8: icmp_seq=2 ttl=64 time=[\d.]+ ms", lines[2])
    assert "2 packets transmitted, 1 received, 50% packet loss" in run.out


def test_the_mtu_of_a_path(netfast: Command, hosts: lab.Hosts) -> None:
    run = netfast("ping", "-c", 2, "-i", 0.1, "-M", "do", "-s", 1400, "198.18.2.1")
    assert "\nFrom 198.18.1.2 icmp_seq=1 Frag needed and DF set (mtu = 1280)\n" in run.out
    assert run.err == "netfast: local error: message too long, mtu=1280\n"
    assert (run.code, "+2 errors" in run.out) == (1, True)


def test_a_name_is_written_as_given(netfast: Command) -> None:
    lines = netfast("ping", "-4", "-c", 1, "localhost").out.splitlines()
    assert lines[0] == "PING localhost (127.0.0.1) 56(84) bytes of data."
    assert lines[1].startswith("64 bytes from localhost (127.0.0.1): icmp_seq=1 ttl=64 time=")
    assert lines[3] == "--- localhost ping statistics ---"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.000"),
        (0.0000204, "0.020"),
        (0.000999, "0.999"),
        (0.00123456, "1.23"),
        (0.0099949, "9.99"),
        (0.009995, "10.0"),
        (0.09994, "99.9"),
        (0.09995, "100"),
        (1.2345, "1234"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    from netfast.cli._pings import milliseconds

    assert milliseconds(seconds) == text


def test_sequences_are_those_in_the_packets() -> None:
    assert [_ping_reports._sequence(index) for index in (0, 65_534, 65_535, 65_536)] == [1, 65_535, 0, 1]


# --- several hosts ---------------------------------------------------------------------------------------------------


def test_lines_of_several_hosts(netfast: Command) -> None:
    run = netfast("ping", "-c", 2, "-i", 0.01, "127.0.0.1", "::1", "127.0.0.4/30")
    assert (run.code, run.err) == (0, "")
    begun, closed = run.out.split("\n\n", 1)
    assert begun.splitlines()[:4] == [
        "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.",
        "PING ::1(::1) 56 data bytes",
        "PING 127.0.0.5 (127.0.0.5) 56(84) bytes of data.",
        "PING 127.0.0.6 (127.0.0.6) 56(84) bytes of data.",
    ]
    assert sorted(line.split(" ttl=")[0] for line in begun.splitlines()[4:]) == [
        f"64 bytes from {host}: icmp_seq={n}" for host in ("127.0.0.1", "127.0.0.5", "127.0.0.6", "::1") for n in (1, 2)
    ]
    assert closed.count("2 packets transmitted, 2 received, 0% packet loss") == 4


def test_one_dead_host_of_several(netfast: Command, hosts: lab.Hosts) -> None:
    hosts.a.ip("route add unreachable 198.18.77.0/24")
    run = netfast("ping", "-c", 1, "127.0.0.1", "198.18.1.9", "198.18.77.1")
    assert run.code == 1
    assert run.err == "netfast: 198.18.77.1: sendmsg: No route to host\n"
    assert "\nFrom 198.18.1.1 icmp_seq=1 Destination Host Unreachable\n" in run.out
    assert run.out.count("ping statistics") == 3


def test_a_name_without_an_address(netfast: Command) -> None:
    alone = netfast("ping", "nosuch.invalid")
    assert (alone.code, alone.out) == (2, "")
    assert re.fullmatch(r"netfast: nosuch\.invalid: .+\n", alone.err)
    among = netfast("ping", "-c", 1, "127.0.0.1", "nosuch.invalid")
    assert (among.code, among.err) == (2, alone.err)
    assert "1 packets transmitted, 1 received" in among.out
    assert among.out.count("statistics") == 1


# --- what it takes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: HOST"),
        (("-c", "0", "::1"), "argument -c: '0' is out of range"),
        (("-i", "x", "::1"), "argument -i: 'x' is no number"),
        (("-i", "1e3", "::1"), "argument -i: '1e3' is no number"),
        (("-W", "0", "::1"), "argument -W: '0' is out of range (wanted 0.001 or more)"),
        (("-I", "127.0.0.1", "-I", "127.0.0.2", "::1"), "-I 127.0.0.1 and -I 127.0.0.2: wanted a card and an address"),
        (("--", "-x"), "'-x' is no host"),
        (("-s", "65508", "::1"), "argument -s: '65508' is out of range"),
        (("-t", "0", "::1"), "argument -t: '0' is out of range"),
        (("-Q", "256", "::1"), "argument -Q: '256' is out of range (wanted 0 to 255)"),
        (("-M", "maybe", "::1"), "argument -M: invalid choice"),
        (("-4", "-6", "::1"), "not allowed with argument"),
        (("-6", "-I", "127.0.0.1", "::1"), "127.0.0.1"),
        (("127.0.0.0/33",), "prefix length above 32"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("ping", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert run.err.startswith("netfast ping: ")
    assert said in run.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-I", "nosuch", "127.0.0.1"), "'nosuch'"),
        (("-I", "192.0.2.99", "127.0.0.1"), "192.0.2.99"),
        (("-4", "::1"), "netfast: ::1: "),
        (("127.1",), "netfast: 127.1: "),
        (("255.255.255.255",), "netfast: connect: "),
    ],
)
def test_trouble_is_one_line(netfast: Command, arguments: tuple[str, ...], said: str) -> None:
    run = netfast("ping", "-c", 1, *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


@pytest.mark.parametrize("options", [("-f",), ("-i", "0.001"), ("-i", "0"), ("-f", "-i", "0.001")])
def test_floods_need_root(cli: Command, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    run = cli("ping", "-c", 1, *options, "127.0.0.1")
    assert (run.code, run.out) == (2, "")
    assert "needs root" in run.err
    assert cli("ping", "-c", 1, "-i", "0.002", "127.0.0.1").code == 0
    assert cli("ping", "-c", 1, "-f", "-i", "0.2", "127.0.0.1").code == 0


def test_who_may_open_no_socket_is_told_what_helps(hosts: lab.Hosts, tool: Callable[[str], str]) -> None:
    hosts.a.sysctl(ipv4__ping_group_range="1 0")
    less = [tool("setpriv"), "--bounding-set=-net_raw", "--inh-caps=-all"]
    for command, code in (("ping", 2), ("sweep", 4)):
        done = subprocess.run(
            [*less, sys.executable, "-m", "netfast", command, "127.0.0.1"], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
        assert "net.ipv4.ping_group_range" in done.stderr
        assert "CAP_NET_RAW" in done.stderr


@pytest.mark.parametrize("arguments", ["-c 1 127.0.0.1", "-c 1 --json 127.0.0.1", "-c 1 127.0.0.1 localhost"])
def test_it_needs_neither_numpy_nor_rich(arguments: str) -> None:
    code = "import sys; sys.modules.update(numpy=None, rich=None); from netfast.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "ping", *arguments.split()]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


# --- when it ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "sent"),
    [
        ("-w 0.3 -i 0.2 127.0.0.1", 0, 2),
        ("-w 0.3 -i 0.2 -c 9 127.0.0.1", 1, 2),  # not as often as was wanted
        ("-w 30 -i 0.02 -c 2 127.0.0.1", 0, 2),
        ("-w 30 -i 0.02 -c 2 127.0.0.1 ::1", 0, 2),
    ],
)
def test_deadline(netfast: Command, arguments: str, code: int, sent: int) -> None:
    run = netfast("ping", *arguments.split())
    assert run.code == code
    assert f"{sent} packets transmitted, {sent} received" in run.out


def pressed(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> tuple[str, float]:
    """What a process prints from a signal on, and the seconds to its end."""
    process.send_signal(number)
    then = time.monotonic()
    assert process.stdout is not None
    rest = process.stdout.read().decode()
    process.wait(timeout=10)
    return rest, time.monotonic() - then


def test_interrupt_prints_the_statistics(start: Command, first_line: Command) -> None:
    process = start("ping", "-i", 30, "127.0.0.1")
    assert first_line(process).startswith(b"PING ")
    assert process.stdout.readline().startswith(b"64 bytes from ")
    rest, seconds = pressed(process)
    assert (process.returncode, process.stderr.read()) == (0, b"")
    assert rest.startswith("\n--- 127.0.0.1 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, ")
    assert seconds < 0.5  # the loop looks every 50 ms


def test_interrupt_before_any_reply(start: Command, first_line: Command, far: lab.FarEnd) -> None:
    far.play(default=[])
    process = start("ping", "-i", 30, "198.18.0.9")
    assert first_line(process).startswith(b"PING ")
    time.sleep(0.2)
    rest, seconds = pressed(process)
    assert process.returncode == 1
    assert "1 packets transmitted, 0 received, 100% packet loss, time 0ms\n\n" in rest
    assert seconds < 0.5


def test_quit_prints_a_status(start: Command, first_line: Command) -> None:
    for hosts in (["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]):
        process = start("ping", "-i", 30, *hosts)
        first_line(process)
        for _ in range(2 * len(hosts) - 1):
            process.stdout.readline()
        process.send_signal(signal.SIGQUIT)
        said = [process.stderr.readline().decode() for _ in hosts]
        assert process.poll() is None
        pressed(process)
        for host, line in zip(hosts, said, strict=True):
            lead = f"{host}: " if len(hosts) > 1 else ""
            times = r"(\d+\.\d{3}/){3}\d+\.\d{3}"
            assert re.fullmatch(rf"\r{lead}1/1 packets, 0% loss, min/avg/ewma/max = {times} ms\n", line)


def test_closed_pipe_ends_it_quietly(start: Command, first_line: Command) -> None:
    process = start("ping", "-i", 0.05, "127.0.0.1")
    first_line(process)
    process.stdout.close()
    assert process.wait(timeout=10) == 141
    assert process.stderr.read() == b""


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json(netfast: Command, hosts: lab.Hosts) -> None:
    run = netfast("ping", "--json", "-c", 1, "127.0.0.1", "198.18.1.9")
    assert run.code == 1
    reply, error, *closing = map(json.loads, run.out.splitlines())
    expected = {"kind": "reply", "host": "127.0.0.1", "source": "127.0.0.1", "index": 0, "ttl": 64, "size": 64}
    assert expected.items() <= reply.items()
    assert 0 < reply["rtt"] < 1
    assert (error["kind"], error["host"], error["source"]) == ("error", "198.18.1.9", "198.18.1.1")
    assert error["error"]["text"] == "Destination Host Unreachable"
    assert [found["kind"] for found in closing] == ["statistics"] * 2
    assert {"host": "127.0.0.1", "sent": 1, "received": 1, "loss": 0, "failed": 0, "size": 56}.items() <= closing[
        0
    ].items()
    assert closing[0]["min"] == closing[0]["max"] == reply["rtt"]
    assert {"host": "198.18.1.9", "received": 0, "loss": 1, "failed": 1, "min": None}.items() <= closing[1].items()


def test_quiet_json_is_the_statistics(netfast: Command) -> None:
    run = netfast("ping", "--json", "-q", "-c", 2, "-i", 0.01, "127.0.0.1", "::1")
    assert [json.loads(line)["host"] for line in run.out.splitlines()] == ["127.0.0.1", "::1"]


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_sparkline_only_on_a_terminal(terminal: Command, netfast: Command) -> None:
    arguments = "ping", "-c", 5, "-i", 0.01, "127.0.0.1"
    shown = terminal(*arguments)
    assert (shown.code, shown.err) == (0, "")
    assert re.fullmatch(rf"\x1b\[36m[{STEPS}]{{5}}\x1b\[0m", shown.out.splitlines()[-1])
    assert not set(netfast(*arguments).out) & set(STEPS)
    assert set(netfast(*arguments, "--color", "always", env={"PYTHONIOENCODING": "utf-8"}).out) & set(STEPS)
    plain = terminal(*arguments, env={"NO_COLOR": "1"}).out.splitlines()[-1]
    assert re.fullmatch(f"[{STEPS}]{{5}}", plain)
    ascii = terminal(*arguments, env={"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}).out.splitlines()[-1]
    assert re.fullmatch(r"[.:=+*#@-]{5}", ascii)


def test_sparkline_fits_the_terminal(terminal: Command) -> None:
    shown = terminal("ping", "-c", 30, "-i", 0.002, "127.0.0.1", columns=20, env={"NO_COLOR": "1"})
    assert len(shown.out.splitlines()[-1]) == 20


def test_sparkline_marks() -> None:
    style = Style(80, False, "", "12345678")
    assert _output.sparkline([0.1, None, float("nan"), 0.8, 0.44], style) == "1× 84"
    assert _output.sparkline([0.3, 0.3], style) == "11"
    assert _output.sparkline([None], style) == "×"
    assert _output.sparkline([], style) == ""


def test_trail_keeps_the_last() -> None:
    trail = _ping_reports._Trail(3)
    for index in range(5):
        trail.put(index, float(index))
    trail.put(1, None)  # news of long ago
    trail.put(3, None)
    assert trail.last(9) == [2.0, None, 4.0]
    assert trail.last(2) == [None, 4.0]


def test_live_table(terminal: Command) -> None:
    shown = terminal("ping", "-c", 10, "-i", 0.1, "localhost", "127.0.0.2", columns=120)
    assert (shown.code, shown.err) == (0, "")
    heading, first, second = standing(shown.out)
    assert heading.split() == ["host", "address", "sent", "recv", "loss", "last", "min", "avg", "max", "mdev"]
    assert first.split()[:5] == ["localhost", "127.0.0.1", "10", "10", "0.0%"]
    assert second.split()[:5] == ["127.0.0.2", "127.0.0.2", "10", "10", "0.0%"]
    assert all(re.fullmatch(f"[{STEPS}]{{10}}", line.split()[-1]) for line in (first, second))
    assert 3 <= shown.out.count("\x1b[1mhost") <= 14  # a second


def standing(shown: str) -> list[str]:
    """The lines that stand at the end, without colours."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    return [re.sub(r".*\x1b\[2K", "", line) for line in lines[-3:]]


@pytest.mark.parametrize(
    ("columns", "titles"),
    [(80, "host sent recv loss last min avg max mdev"), (34, "host sent recv loss last"), (24, "host loss last")],
)
def test_narrow_terminals_drop_columns(terminal: Command, columns: int, titles: str) -> None:
    shown = terminal("ping", "-c", 2, "-i", 0.01, "127.0.0.1", "127.0.0.2", columns=columns)
    heading, *rows = standing(shown.out)
    assert heading.split() == titles.split()
    assert all(len(line) <= columns for line in (heading, *rows))


def test_live_table_of_a_dead_host(terminal: Command, hosts: lab.Hosts) -> None:
    shown = terminal("ping", "-c", 2, "-i", 0.2, "127.0.0.1", "198.18.1.9", columns=100)
    assert shown.code == 1
    dead = standing(shown.out)[2].split()
    assert dead == ["198.18.1.9", "2", "0", "100.0%", "×", "××"]
    assert shown.err == "netfast: 198.18.1.9: Destination Host Unreachable, from 198.18.1.1\n"


def test_lines_on_a_dumb_terminal(terminal: Command) -> None:
    shown = terminal("ping", "-c", 1, "127.0.0.1", "127.0.0.2", env={"TERM": "dumb"})
    assert shown.out.count("bytes from") == 2
    assert "\x1b" not in shown.out


def test_a_deadline_over_many_hosts_takes_no_longer(netfast: Command) -> None:
    start = time.monotonic()
    run = netfast("ping", "-q", "-c", 1, "-w", 30, "127.0.0.0/19")
    assert (run.code, run.out.count(" 1 received")) == (0, 8190)
    assert time.monotonic() - start < 10


def test_a_table_of_more_hosts_than_lines_shows_some_and_then_all(terminal: Command) -> None:
    run = terminal("ping", "-c", 1, "127.0.0.0/25", columns=90)
    assert run.code == 0
    assert re.search(r"and \d+ more", run.out)
    assert all(f"127.0.0.{number} " in run.out.rpartition("host ")[2] for number in range(1, 127))
