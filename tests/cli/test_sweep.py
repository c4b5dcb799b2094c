"""`netfast sweep`."""

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from net import lab
from net.responder import LOST, PLAIN, Answer

Command = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("pings")


@pytest.fixture
def fping(tool: Callable[[str], str]) -> Command:
    """fping(8): its exit code, and what it printed."""
    path = tool("fping")

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout

    return run


def timeless(text: str) -> str:
    return re.sub(r"[\d.]+(?= ms)", "T", text)


# --- who is alive ----------------------------------------------------------------------------------------------------


def test_prefixes_and_hosts(netfast: Command) -> None:
    run = netfast("sweep", "127.0.0.0/29", "::1", "localhost")
    assert (run.code, run.err) == (0, "")
    assert sorted(run.out.splitlines()) == [*(f"127.0.0.{n}" for n in range(1, 7)), "::1", "localhost"]


@pytest.mark.parametrize("options", ["-a", "-u", "-ae", "-aq", "-uq", "-q"])
def test_it_says_what_fping_says(netfast: Command, fping: Command, hosts: lab.Hosts, options: str) -> None:
    arguments = options, "-r", 0, "-t", 300, "198.18.2.1", "198.18.1.9", "127.0.0.1", "198.18.2.9"
    run = netfast("sweep", *arguments)
    code, out = fping(*arguments)
    assert run.code == code == 1
    assert sorted(timeless(run.out).splitlines()) == sorted(timeless(out).splitlines())


@pytest.mark.parametrize("options", ["", "-e"])
def test_both_are_what_fping_says_when_nothing_is_asked(
    netfast: Command, fping: Command, hosts: lab.Hosts, options: str
) -> None:
    arguments = *options.split(), "-r", 0, "-t", 300, "198.18.2.1", "198.18.1.9", "127.0.0.1", "198.18.2.9"
    run = netfast("sweep", "-a", "-u", *arguments)
    code, out = fping(*arguments)
    assert run.code == code == 1
    assert sorted(timeless(run.out).splitlines()) == sorted(timeless(out).splitlines())
    assert run.out.endswith("198.18.1.9 is unreachable\n198.18.2.9 is unreachable\n")


def test_unreachable_hosts_come_in_order(netfast: Command, hosts: lab.Hosts) -> None:
    run = netfast("sweep", "-u", "-r", 0, "198.18.1.0/29")
    assert (run.code, run.err) == (1, "")
    assert run.out.splitlines() == [f"198.18.1.{n}" for n in (3, 4, 5, 6)]


def test_a_silent_host_is_asked_again(netfast: Command, far: lab.FarEnd) -> None:
    for retries, alive in ((0, False), (1, True)):
        far.play({"198.18.0.1": [LOST, PLAIN]})
        run = netfast("sweep", "-t", 100, "-r", retries, "198.18.0.1", "198.18.0.2")
        assert run.code == (0 if alive else 1)
        assert ("198.18.0.1" in run.out.splitlines()) is alive
        assert (far.seen("198.18.0.1"), far.seen("198.18.0.2")) == (retries + 1, 1)


def test_each_time_it_waits_longer(netfast: Command, far: lab.FarEnd) -> None:
    far.play(default=[Answer(delay=0.25)])
    assert netfast("sweep", "-t", 100, "-r", 1, "198.18.0.3").code == 1
    assert netfast("sweep", "-t", 100, "-r", 3, "198.18.0.3").code == 0  # 100, 150, 225, 337 ms


def test_a_late_reply_is_a_sign_of_life(netfast: Command, far: lab.FarEnd) -> None:
    far.play({"198.18.0.4": [[Answer(delay=0.2)]], "198.18.0.5": [[Answer(delay=0.4)]]}, default=[])
    run = netfast("sweep", "-r", 0, "-t", 100, "-i", 400, "198.18.0.4", "198.18.0.6")
    assert run.out == "198.18.0.4\n"


def test_what_this_machine_refuses_is_said_once(netfast: Command, hosts: lab.Hosts) -> None:
    hosts.a.ip("route add unreachable 198.18.77.0/24")
    run = netfast("sweep", "-r", 1, "198.18.77.0/28", "127.0.0.1")
    assert (run.code, run.out) == (1, "127.0.0.1\n")
    assert run.err == "netfast: No route to host (14 of 15 hosts)\n"
    assert netfast("sweep", "-q", "198.18.77.0/28") == (1, "", "")


def test_a_name_without_an_address(netfast: Command) -> None:
    run = netfast("sweep", "-u", "nosuch.invalid", "127.0.0.1")
    assert (run.code, run.out) == (2, "")
    assert re.fullmatch(r"netfast: nosuch\.invalid: .+\n", run.err)


def test_families(netfast: Command) -> None:
    assert netfast("sweep", "-4", "localhost", "127.0.0.1").out == "localhost\n127.0.0.1\n"
    run = netfast("sweep", "-6", "127.0.0.1", "::1")
    assert (run.code, run.out) == (2, "::1\n")


def test_json(netfast: Command, hosts: lab.Hosts) -> None:
    run = netfast("sweep", "--json", "-a", "-u", "-r", 0, "127.0.0.1", "198.18.1.9")
    alive, dead = map(json.loads, run.out.splitlines())
    assert {
        "host": "127.0.0.1",
        "address": "127.0.0.1",
        "is_alive": True,
        "ttl": 64,
        "error": None,
    }.items() <= alive.items()
    assert 0 < alive["rtt"] < 1
    assert {
        "host": "198.18.1.9",
        "address": "198.18.1.9",
        "is_alive": False,
        "rtt": None,
        "ttl": None,
    }.items() <= dead.items()
    assert (dead["error"]["kind"], dead["error"]["source"]) == ("host_unreachable", "198.18.1.1")


def test_summary(netfast: Command, hosts: lab.Hosts) -> None:
    run = netfast("sweep", "-s", "-r", 0, "127.0.0.0/29", "198.18.1.9", "nosuch.invalid")
    assert (run.code, run.out.count("\n")) == (2, 6)
    counts = {what: int(count) for count, what in re.findall(r"^ +(\d+) ([^\d\n]+)$", run.err, re.MULTILINE)}
    assert counts == {
        "targets": 8,
        "alive": 6,
        "unreachable": 1,
        "unknown addresses": 1,
        "timeouts (waiting for response)": 0,
        "ICMP Echos sent": 7,
        "ICMP Echo Replies received": 6,
        "other ICMP received": 1,
    }
    times = re.findall(r"^ ([\d.]+) ms \((min|avg|max) round trip time\)$", run.err, re.MULTILINE)
    assert [name for _, name in times] == ["min", "avg", "max"]
    assert re.search(r"^ +\d+\.\d{3} sec \(elapsed real time\)$", run.err, re.MULTILINE)


# --- whom it asks ----------------------------------------------------------------------------------------------------

LIST = b"127.0.0.1 a router\n# nothing\n\n  127.0.0.2# another\n127.0.0.4/31\n"
LISTED = ["127.0.0.1", "127.0.0.2", "127.0.0.4", "127.0.0.5"]


@pytest.mark.parametrize("arguments", [("-",), ("-f", "-")])
def test_hosts_from_standard_input(netfast: Command, arguments: tuple[str, ...]) -> None:
    assert netfast("sweep", *arguments, stdin=LIST).out.splitlines() == LISTED


def test_hosts_from_files(netfast: Command, tmp_path: Path) -> None:
    plain, packed = tmp_path / "hosts", tmp_path / "hosts.gz"
    plain.write_bytes(LIST)
    packed.write_bytes(gzip.compress(b"127.0.0.9\n"))
    assert netfast("sweep", "127.0.0.8", "-f", plain, "-f", packed).out.splitlines() == [
        "127.0.0.8",
        *LISTED,
        "127.0.0.9",
    ]


def test_a_file_that_is_not_there(cli: Command) -> None:
    assert cli("sweep", "-f", "/nowhere") == (4, "", "netfast: /nowhere: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no hosts"),
        (("-f", "/dev/null"), "no hosts"),
        (("10.0.0.0/8",), "these are 16,777,216 addresses, more than a /16 has (65,536); --yes if they are meant"),
        (("--yes", "10.0.0.0/8"), "10.0.0.0/8 has 2**24 addresses"),
        (("10.0.0.0/16", "10.1.0.1"), "these are 65,537 addresses"),
        (("2001:db8::/64",), "these are 18,446,744,073,709,551,616 addresses"),
        (("10.0.0.0/33",), "'10.0.0.0/33'"),
        (("-t", "0", "::1"), "argument -t/--timeout: '0' is out of range"),
        (("-r", "-1", "::1"), "argument -r/--retry"),
        (("--rate", "0", "::1"), "argument --rate: '0' is out of range"),
        (("--rate", "5", "-i", "5", "::1"), "not allowed with argument"),
        (("--frobnicate", "::1"), "unrecognized arguments"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("sweep", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (3, "", 1)
    assert run.err.startswith("netfast sweep: ")
    assert said in run.err


def test_the_system_refuses(netfast: Command) -> None:
    run = netfast("sweep", "-I", "nosuch", "127.0.0.1")
    assert (run.code, run.out, run.err.count("\n")) == (4, "", 1)
    assert "'nosuch'" in run.err


def test_it_needs_neither_numpy_nor_rich() -> None:
    code = "import sys; sys.modules.update(numpy=None, rich=None); from netfast.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "sweep", "-aues", "127.0.0.1", "localhost"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.count(b"is alive") == 2


# --- how fast --------------------------------------------------------------------------------------------------------


def test_a_whole_network_at_full_speed(netfast: Command) -> None:
    then = time.monotonic()
    run = netfast("sweep", "127.1.0.0/16")
    assert time.monotonic() - then < 20  # a second or less where nothing else runs
    assert run.code == 0
    assert len(set(run.out.splitlines())) == 65_534 == run.out.count("\n")


@pytest.mark.parametrize("options", [("--rate", 50), ("-i", 20)])
def test_pace(netfast: Command, options: tuple[object, ...]) -> None:
    run = netfast("sweep", "-s", *options, "127.0.0.0/28")
    assert run.code == 0
    found = re.search(r"([\d.]+) sec", run.err)
    assert found is not None
    assert 13 / 50 - 0.01 < float(found[1]) < 2


def test_hosts_come_as_they_answer(start: Command, first_line: Command) -> None:
    process = start("sweep", "--rate", 5, "127.0.0.0/24")
    assert first_line(process) == b"127.0.0.1\n"
    assert process.poll() is None


def test_interrupt_keeps_what_was_found(start: Command, first_line: Command) -> None:
    process = start("sweep", "-s", "--rate", 100, "127.0.0.0/20")
    assert first_line(process) == b"127.0.0.1\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    then = time.monotonic()
    rest, said = process.communicate(timeout=10)
    assert time.monotonic() - then < 0.5
    assert process.returncode == 130
    assert len(rest.splitlines()) > 5
    alive = re.search(rb"(\d+) alive", said)
    assert alive is not None
    assert int(alive[1]) == 1 + len(rest.splitlines())


def test_interrupt_cuts_no_line(start: Command) -> None:
    process = start("sweep", "--yes", "-e", "127.0.0.0/13")  # takes seconds
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert rest.endswith(b"\n")
    hosts = [re.fullmatch(rb"(127\.\S+) \([\d.]+ ms\)", line) for line in rest.splitlines()]
    assert None not in hosts
    assert len({host[1] for host in hosts if host}) == len(hosts)


def test_interrupt_again_where_nobody_reads(start: Command) -> None:
    process = start("sweep", "--yes", "127.0.0.0/15")
    process.stdout.readline()
    time.sleep(0.5)  # now the pipe is full
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert process.wait(timeout=5) == 130
    assert process.stderr.read() == b""


def test_closed_pipe_ends_it_quietly(start: Command) -> None:
    process = start("sweep", "--rate", 200, "127.0.0.0/20")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=10) == 141
    assert process.stderr.read() == b""


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_progress(terminal: Command, netfast: Command) -> None:
    arguments = "sweep", "--rate", 200, "127.0.0.0/25", "192.0.2.256.invalid"
    shown = terminal(*arguments)
    assert shown.out.count("\n") == 126
    assert "\x1b" not in shown.out
    assert re.search(r"\r\x1b\[K\d+ of 127 asked, \d+ alive", shown.err)
    assert shown.err.endswith("\r\x1b[K")  # nothing of it stays
    assert "asked" not in netfast(*arguments).err


def test_no_progress_of_what_is_quick(terminal: Command) -> None:
    assert terminal("sweep", "127.0.0.0/29").err == ""


def test_many_retries_wait_no_longer_than_is_allowed(netfast: Command) -> None:
    # The kernel refuses to send to a broadcast address at once, so that no round takes any time.
    run = netfast("sweep", "-u", "-r", 60, "-t", 100_000, "255.255.255.255")
    assert (run.code, run.out) == (1, "255.255.255.255\n")


def test_a_program_is_told_of_names_without_address(netfast: Command) -> None:
    run = netfast("sweep", "--json", "-a", "-u", "127.0.0.1", "nowhere.invalid")
    alive, unknown = map(json.loads, run.out.splitlines())
    assert (run.code, alive["is_alive"], unknown["host"], unknown["address"]) == (2, True, "nowhere.invalid", None)
    assert unknown["error"]["kind"] == "unresolvable"


def test_late_replies_are_no_further_probes(netfast: Command, far: lab.FarEnd) -> None:
    far.play({"198.18.3.1": [[Answer(delay=0.25)]]})
    run = netfast("sweep", "-s", "-r", 0, "-t", 100, "198.18.3.1", "198.18.3.2", stdin=b"")
    assert re.search(r" 2 ICMP Echos sent\n", run.err)
