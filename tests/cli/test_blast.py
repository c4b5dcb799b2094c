"""`netfast blast` and `netfast sink`, one at each end."""

import argparse
import errno
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import netfast as nf
from cli.servers import address_of, at, ended, interrupted
from net import lab
from netfast.cli import _traffic, blast, sink
from netfast.cli._traffic import DATA, END, HEADER, PING, REPORT, Pace, Tally, header, read_mark, report_of

Command = Callable[..., Any]
Start = Callable[..., subprocess.Popen[bytes]]

UDP = ("udp", "127.0.0.1:0")
TCP = ("127.0.0.1:0",)


def rows(text: str | bytes) -> list[list[str]]:
    """The words of each line."""
    return [
        re.split(r" {2,}", line.strip()) for line in (text.decode() if isinstance(text, bytes) else text).splitlines()
    ]


# --- what is lost ----------------------------------------------------------------------------------------------------


class Obvious:
    """What a tally is to say, by sets."""

    def __init__(self, batches: list[list[int]]) -> None:
        seen: set[int] = set()
        self.duplicates = self.reordered = 0
        self.highest = -1
        for number in (number for batch in batches for number in batch):
            if number in seen:
                self.duplicates += 1
            elif number < self.highest:
                self.reordered += 1
            seen.add(number)
            self.highest = max(self.highest, number)
        self.distinct = len(seen)
        self.lost = self.highest + 1 - self.distinct


def tallied(batches: list[list[int]]) -> Tally:
    tally = Tally()
    for batch in batches:
        tally.take(np.array(batch, dtype=np.int64))
    return tally


def said(tally: Any) -> dict[str, int]:
    return {name: getattr(tally, name) for name in ("highest", "distinct", "duplicates", "reordered", "lost")}


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=20), max_size=12))
def test_tally_against_the_obvious(batches: list[list[int]]) -> None:
    assert said(tallied(batches)) == said(Obvious(batches))


@pytest.mark.parametrize("seed", range(5))
def test_tally_of_a_bad_line(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, duplicates and swaps, many times around a small memory."""
    monkeypatch.setattr(_traffic, "_WINDOW", 64)
    rng = random.Random(seed)
    numbers: list[int] = []
    for number in range(5000):
        numbers += [number] * rng.choice((0, 1, 1, 1, 1, 1, 1, 2))
        if numbers and rng.random() < 0.1:
            numbers.insert(max(0, len(numbers) - rng.randrange(20)), numbers.pop())
    batches = []
    while numbers:
        n = rng.randrange(1, 40)
        batches.append(numbers[:n])
        del numbers[:n]
    assert said(tallied(batches)) == said(Obvious(batches))


def test_tally_of_leaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_traffic, "_WINDOW", 64)
    batches = [[0, 1], [1000], [1001, 1002, 5000], [5001], [4990, 4990], [64 * 1000]]
    assert said(tallied(batches)) == said(Obvious(batches))


def test_what_is_too_old_counts_as_seen() -> None:
    tally = tallied([[0], [1 << 21], [1, 2]])
    assert (tally.distinct, tally.duplicates, tally.reordered) == (2, 2, 0)


def test_the_end_tells_of_the_last_ones() -> None:
    tally = tallied([[0, 1, 2]])
    tally.expect(10)
    tally.expect(5)
    assert (tally.lost, tally.distinct) == (7, 3)
    tally.take(np.array([9, 8]))
    assert (tally.lost, tally.duplicates, tally.reordered) == (5, 0, 2)


def test_headers() -> None:
    data = header(DATA, 2**40 - 1)
    assert len(data) == HEADER.size == 16
    assert data[:8] == bytes.fromhex("b1a5 01 ffffffffff")
    assert read_mark(data + b"filling") == (DATA, 2**40 - 1)
    assert read_mark(data[:15]) is None
    assert read_mark(b"\xb1\xa4" + data[2:]) is None
    assert abs(int.from_bytes(data[8:], "big") - time.monotonic_ns()) < 10**10


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b"{}", b'{"seconds": 1}', b'{"seconds": "1", "bytes": 1}', b'{"seconds": NaN, "bytes": 1}',
     b'{"seconds": 1, "bytes": Infinity}', b'{"seconds": true, "bytes": 1}', b"\xff", b"[" * 5000,
     b'{"seconds": -1, "bytes": 1}', b'{"seconds": 1e10, "bytes": 1}', b'{"seconds": 1e-320, "bytes": 1}',
     b'{"seconds": 1%s, "bytes": 1}' % (b"0" * 400), b'{"seconds": 1, "bytes": 1.5}', b'{"seconds": 1, "bytes": -1}',
     b'{"seconds": 1, "bytes": 9223372036854775808}', b'{"seconds": 1, "bytes": 1, "lost": -1}',
     b'{"seconds": 1, "bytes": 1, "lost": null}', b'{"seconds": 1, "bytes": 1, "datagrams": 1.0}',
     b'{"seconds": 1, "bytes": 1, "duplicates": 1%s}' % (b"0" * 400), b'{"seconds": 1, "bytes": 1, "loss": 1e400}'],
)  # fmt: skip
def test_reports_that_are_none(said: bytes) -> None:
    assert report_of(header(REPORT, 0) + said) is None


@pytest.mark.parametrize("seconds", [0, 0.0, 1e-9, 1, 2.5, 1e9])
@pytest.mark.parametrize("more", [{}, {"datagrams": 2**63 - 1, "lost": 2**63 - 1, "loss": 0.5, "reordered": 0}])
def test_reports_that_are_some(seconds: float, more: dict[str, float]) -> None:
    said = {"seconds": seconds, "bytes": 2**63 - 1, **more}
    assert report_of(_traffic.report(said)) == said


def test_percentiles() -> None:
    assert _traffic.percentiles([7]) == dict.fromkeys(("min", "p50", "p90", "p99", "max"), 7e-9)
    expected = {"min": 1e-9, "p50": 50e-9, "p90": 90e-9, "p99": 99e-9, "max": 100e-9}
    assert _traffic.percentiles(list(range(100, 0, -1))) == pytest.approx(expected)


def test_pace() -> None:
    pace = Pace(1000)
    done = 0
    begin = time.monotonic()
    while done < 200:
        done += pace.allowed(done, 64)
    assert 0.19 < time.monotonic() - begin < 1
    assert Pace(None).allowed(0, 64) == 64


# --- datagrams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--gro",)])
@pytest.mark.parametrize("more", [(), ("--no-gso",)])
def test_datagrams(start: Start, netfast: Command, options: tuple[str, ...], more: tuple[str, ...]) -> None:
    sink = start("sink", "--json", *options, *UDP)
    address = address_of(sink)
    run = netfast("blast", "udp", address, "--count", 500, "--size", 300, "--rate", "5K", "--json", *more)
    assert (run.code, run.err) == (0, "")
    sent = json.loads(run.out)
    assert (sent["protocol"], sent["peer"], sent["size"]) == ("udp", address, 300)
    assert (sent["datagrams"], sent["bytes"], sent["refused"]) == (500, 150_000, {})
    assert sent["datagrams_per_second"] == pytest.approx(500 / sent["seconds"])
    assert sent["bits_per_second"] == pytest.approx(150_000 * 8 / sent["seconds"])
    if more:
        assert sent["gso"] is False
    code, out, err = ended(sink)
    assert (code, err) == (0, b"")
    got = json.loads(out)
    assert (got["datagrams"], got["bytes"], got["senders"]) == (500, 150_000, 1)
    assert [got[name] for name in ("lost", "duplicates", "reordered", "dropped", "truncated", "foreign")] == [0] * 6
    assert (sent["sink"]["datagrams"], sent["sink"]["bytes"], sent["sink"]["lost"]) == (500, 150_000, 0)


def test_a_table(start: Start, netfast: Command) -> None:
    sink = start("sink", *UDP)
    run = netfast("blast", "udp", address_of(sink), "--count", 1000, "--rate", "10K")
    assert (run.code, run.err) == (0, "")
    titles, sent, received = rows(run.out)
    assert titles == ["seconds", "datagrams", "MB", "datagrams/s", "Gb/s", "lost"]
    assert re.fullmatch(r"0\.0-0\.\d", sent[0])
    assert (sent[1:3], sent[-1]) == (["1,000", "1.4"], "sent")
    assert (received[1:3], received[-2:]) == (["1,000", "1.4"], ["0 (0.00%)", "received by the sink"])
    code, out, _ = ended(sink)
    assert code == 0
    assert rows(out)[0] == titles
    assert (rows(out)[1][1:3], rows(out)[1][-2:]) == (["1,000", "1.4"], ["0 (0.00%)", "received"])


def test_what_is_lost_came_twice_or_late(start: Start, udp: socket.socket) -> None:
    sink = start("sink", *UDP, "--json", "--size", "100")
    address = at(address_of(sink))
    for number in (0, 1, 1, 5, 3, 6, 3):
        udp.sendto(header(DATA, number), address)
    udp.sendto(b"x" * 200, address)
    udp.sendto(b"", address)
    for _ in range(2):
        udp.sendto(header(END, 10), address)
        report = report_of(udp.recv(1000))
        assert report is not None
        assert [report[name] for name in ("lost", "duplicates", "reordered", "datagrams")] == [5, 2, 1, 7]
        assert report["loss"] == 0.5
    code, out, _ = ended(sink)
    got = json.loads(out)
    assert code == 0
    assert {name: got[name] for name in ("lost", "duplicates", "reordered", "foreign", "truncated", "senders")} == {
        "lost": 5, "duplicates": 2, "reordered": 1, "foreign": 2, "truncated": 1, "senders": 1,
    }  # fmt: skip
    assert (got["datagrams"], got["loss"]) == (9, 0.5)


def test_several_senders(start: Start) -> None:
    """Each has sequences of its own, and all must have ended."""
    sink = start("sink", *UDP)
    address = at(address_of(sink))
    one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with one, two:
        for number in range(10):
            one.sendto(header(DATA, number), address)
            two.sendto(header(DATA, number * 2), address)
        one.sendto(header(END, 10), address)
        time.sleep(0.5)
        assert sink.poll() is None
        two.sendto(header(END, 19), address)
        code, out, _ = ended(sink)
    assert code == 0
    assert rows(out)[1][1] == "20"
    assert rows(out)[1][-2:] == ["9 (31.03%)", "received"]


def test_lines_a_second_on_a_terminal(start: Start, terminal: Command) -> None:
    sink = start("sink", *UDP)
    run = terminal("blast", "udp", address_of(sink), "--seconds", 2.3, "--rate", 1000, "--size", 200)
    assert (run.code, run.err) == (0, "")
    table = rows(run.out)
    assert [row[0] for row in table[:3]] == ["seconds", "0.0-1.0", "1.0-2.0"]
    assert len(table) == 5
    assert all(800 < int(row[1].replace(",", "")) < 1200 for row in table[1:3])
    assert [row[-1] for row in table[3:]] == ["sent", "received by the sink"]
    assert ended(sink)[0] == 0


@pytest.mark.parametrize("options", [(), ("--ping",)])
def test_nobody_is_there(cli: Command, options: tuple[str, ...]) -> None:
    with nf.udp_socket("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
    begin = time.monotonic()
    run = cli("blast", "udp", f"127.0.0.1:{port}", *options)
    assert time.monotonic() - begin < 5
    assert run.code == 2
    assert f"netfast: 127.0.0.1:{port}: Connection refused\n" in run.err
    with nf.reserve_port(host="127.0.0.1") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli("blast", address, *options) == (2, "", f"netfast: {address}: Connection refused\n")


def test_who_is_no_sink(cli: Command, udp: socket.socket) -> None:
    address = f"127.0.0.1:{udp.getsockname()[1]}"
    run = cli("blast", "udp", address, "--count", 3)
    assert run.code == 0
    assert rows(run.out)[-1][-1] == "sent"
    assert run.err == f"netfast: {address}: no report has come, as of a netfast sink\n"
    marks = [read_mark(udp.recv(2000)) for _ in range(4)]
    assert marks == [(DATA, 0), (DATA, 1), (DATA, 2), (END, 3)]
    run = cli("blast", "udp", address, "--count", 1, "--ping")
    assert run.code == 2
    assert run.err == f"netfast: {address}: nothing has come back, as of a netfast sink\n"


@pytest.fixture
def peer(udp: socket.socket) -> Iterator[Callable[[Callable[[tuple[str, int]], object]], str]]:
    """Somebody who sends pings back, and does as told with the address of who says the end: where that is."""
    threads: list[threading.Thread] = []

    def begin(at_the_end: Callable[[tuple[str, int]], object]) -> str:
        def run() -> None:
            while True:
                data, sender = udp.recvfrom(2000)
                found = read_mark(data)
                assert found is not None
                if found[0] == END:
                    at_the_end(sender)
                    return
                if found[0] == PING:
                    udp.sendto(data, sender)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"127.0.0.1:{udp.getsockname()[1]}"

    yield begin
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "said",
    [
        '{"seconds":1,"bytes":1%s}' % ("0" * 400),
        '{"seconds":1%s,"bytes":1}' % ("0" * 400),
        '{"seconds":1,"bytes":1,"lost":1%s}' % ("0" * 400),
        '{"seconds":1e-320,"bytes":1}',
    ],
    ids=["bytes", "seconds", "lost", "no time"],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_absurd_reports_are_none(
    cli: Command, peer: Command, udp: socket.socket, said: str, options: tuple[str, ...]
) -> None:
    address = peer(lambda sender: udp.sendto(header(REPORT, 0) + said.encode(), sender))
    run = cli("blast", "udp", address, "--count", 1, *options)
    assert run.code == 0
    if options:
        assert (json.loads(run.out)["sink"], run.err) == (None, "")
    else:
        assert (len(rows(run.out)), run.err) == (2, f"netfast: {address}: no report has come, as of a netfast sink\n")


def test_a_report_of_no_time(cli: Command, peer: Command, udp: socket.socket) -> None:
    said = {"seconds": 0, "bytes": 1400, "datagrams": 1, "lost": 0}
    address = peer(lambda sender: udp.sendto(_traffic.report(said), sender))
    run = cli("blast", "udp", address, "--count", 1)
    assert (run.code, run.err) == (0, "")
    assert rows(run.out)[-1][3:] == ["0", "0.000", "0 (0.00%)", "received by the sink"]


def test_a_sink_takes_no_less_than_no_time(start: Start, udp: socket.socket) -> None:
    sink = start("sink", *UDP)
    address = at(address_of(sink))
    for data in (header(DATA, 0), header(END, 1)):
        udp.sendto(data, address)
    report = report_of(udp.recv(1000))
    assert report is not None
    assert (report["seconds"], report["datagrams"]) == (0, 1)
    assert ended(sink)[0] == 0


@pytest.mark.parametrize("options", [(), ("--ping",)])
def test_who_never_stops_talking_is_no_sink(
    cli: Command, peer: Command, udp: socket.socket, options: tuple[str, ...]
) -> None:
    """What is no report does not make the wait for one longer."""
    over = threading.Event()

    def flood(sender: tuple[str, int]) -> None:
        until = time.monotonic() + 10
        while not over.wait(0.02) and time.monotonic() < until:
            udp.sendto(b"chargen", sender)

    address = peer(flood)
    begin = time.monotonic()
    run = cli("blast", "udp", address, "--count", 3, *options)
    took = time.monotonic() - begin
    over.set()
    assert run.code == 0
    assert took < 5


@pytest.mark.parametrize(("refused", "said"), [(1, "1 datagram was"), (2, "2 datagrams were")])
def test_what_the_kernel_refuses(
    cli: Command, udp: socket.socket, monkeypatch: pytest.MonkeyPatch, refused: int, said: str
) -> None:
    send_segments = nf.DatagramBatch.send_segments
    refusals = iter(range(refused))

    def send(batch: nf.DatagramBatch, *arguments: Any) -> nf.SendResult:
        if next(refusals, None) is not None:
            return nf.SendResult(0, [(0, errno.EPERM)])
        return send_segments(batch, *arguments)

    monkeypatch.setattr(nf.DatagramBatch, "send_segments", send)
    address = f"127.0.0.1:{udp.getsockname()[1]}"
    run = cli("blast", "udp", address, "--count", 3)
    assert (run.code, rows(run.out)[1][1]) == (0, str(3 - refused))
    assert run.err.endswith(f"netfast: {address}: {said} not sent: Operation not permitted\n")


@pytest.mark.parametrize(("strangers", "said"), [(1, "1 was"), (2, "2 were")])
def test_what_others_send(start: Start, udp: socket.socket, strangers: int, said: str) -> None:
    sink = start("sink", *UDP)
    address = at(address_of(sink))
    for _ in range(strangers):
        udp.sendto(b"x", address)
    udp.sendto(header(END, 0), address)
    code, out, _ = ended(sink)
    assert (code, out.decode().splitlines()[-1]) == (0, f"{said} not sent by blast")


def test_across_a_router_that_loses(require: Command, tool: Command) -> None:
    """What a firewall on the way drops is what the sink misses."""
    lab.check(require, tool)
    tool("nft")
    with lab.three_hosts() as three:
        three.r.nft(
            "table inet t { chain c { type filter hook forward priority 0; "
            "ip daddr 198.18.2.1 udp dport 5001 meta length > 100 numgen inc mod 10 < 3 counter drop } }"
        )
        command = [sys.executable, "-m", "netfast"]
        with three.b.inside():
            sink = subprocess.Popen(
                [*command, "sink", "udp", "198.18.2.1:5001", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        try:
            address_of(sink)
            wanted = [
                "blast",
                "udp",
                "198.18.2.1:5001",
                "--count",
                "1000",
                "--rate",
                "5000",
                "--size",
                "200",
                "--no-gso",
            ]
            sent = json.loads(three.a.run(*command, *wanted, "--json"))
            code, out, _ = ended(sink)
        finally:
            sink.kill()
            sink.communicate()
    got = json.loads(out)
    assert (code, sent["datagrams"], got["datagrams"]) == (0, 1000, 700)
    assert (got["lost"], sent["sink"]["lost"], got["duplicates"]) == (300, 300, 0)


# --- connections -----------------------------------------------------------------------------------------------------


def test_a_connection(start: Start, netfast: Command) -> None:
    sink = start("sink", "--json", *TCP)
    run = netfast("blast", address_of(sink), "--count", 50, "--size", 100_000, "--json")
    assert (run.code, run.err) == (0, "")
    sent = json.loads(run.out)
    assert (sent["protocol"], sent["bytes"], sent["sink"]["bytes"]) == ("tcp", 5_000_000, 5_000_000)
    assert "datagrams" not in sent
    code, out, _ = ended(sink)
    got = json.loads(out)
    assert (code, got["protocol"], got["bytes"]) == (0, "tcp", 5_000_000)
    assert got["bits_per_second"] == pytest.approx(40e6 / got["seconds"])


def test_a_connection_for_a_time(start: Start, netfast: Command) -> None:
    sink = start("sink", *TCP)
    run = netfast("blast", address_of(sink), "--seconds", 0.5)
    titles, sent, received = rows(run.out)
    assert titles == ["seconds", "MB", "Gb/s"]
    assert sent[0] in ("0.0-0.5", "0.0-0.6", "0.0-0.7")
    assert (sent[1], sent[-1], received[-1]) == (received[1], "sent", "received by the sink")
    code, out, _ = ended(sink)
    assert (code, rows(out)[1][1]) == (0, sent[1])


def test_a_sink_that_does_not_read(netfast: Command) -> None:
    with nf.tcp_listen("127.0.0.1:0") as server:
        begin = time.monotonic()
        run = netfast("blast", f"127.0.0.1:{server.getsockname()[1]}", "--seconds", 0.3)
        assert time.monotonic() - begin < 15
    assert run.code == 0
    assert "no report has come" in run.err


def test_a_server_that_never_stops_talking(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are no report, however long they go on."""
    monkeypatch.setattr(blast, "_TCP_WAIT", 0.5)
    with nf.tcp_listen("127.0.0.1:0") as server:
        over = threading.Event()

        def chatter() -> None:
            connection, _ = server.accept()
            until = time.monotonic() + 10
            with connection, suppress(OSError):
                while not over.wait(0.02) and time.monotonic() < until:
                    connection.sendall(b"x")

        thread = threading.Thread(target=chatter)
        thread.start()
        begin = time.monotonic()
        run = cli("blast", f"127.0.0.1:{server.getsockname()[1]}", "--count", 1)
        took = time.monotonic() - begin
        over.set()
        thread.join(20)
    assert run.code == 0
    assert "no report has come" in run.err
    assert took < 5


def test_a_sink_takes_anything(start: Start) -> None:
    sink = start("sink", "--json", *TCP)
    with socket.create_connection(at(address_of(sink))) as client:
        client.sendall(b"GET")
        time.sleep(0.1)
        client.sendall(b" / HTTP/1.0\r\n\r\n")
    code, out, _ = ended(sink)
    assert (code, json.loads(out)["bytes"]) == (0, 18)


def test_a_sink_that_is_cut_off_tells_what_came(start: Start) -> None:
    for options in ((), ("--json",)):
        sink = start("sink", *options, *TCP)
        with socket.create_connection(at(address_of(sink))) as client:
            client.sendall(header(DATA, 0) + bytes(5_000_000))
            time.sleep(0.5)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer = f"127.0.0.1:{client.getsockname()[1]}"
        code, out, err = ended(sink)
        assert (code, err.decode()) == (2, f"netfast: {peer}: Connection reset by peer\n")
        if options:
            assert json.loads(out)["bytes"] == 5_000_016
        else:
            assert (rows(out)[1][1], rows(out)[1][-1]) == ("5.0", "received")


class GivenUp:
    """A connection whose other side has vanished, of which TCP tells once, and then that it has ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._told = False

    def settimeout(self, seconds: float) -> None:
        pass

    def recv_into(self, buffer: memoryview) -> int:
        data, self._data = self._data, b""
        buffer[: len(data)] = data
        return len(data) or self._tell()

    def send(self, data: memoryview) -> int:
        return self._tell() or len(data)

    sendall = send

    def _tell(self) -> int:
        if not self._told:
            self._told = True
            raise TimeoutError(errno.ETIMEDOUT, "given up")
        return 0


@pytest.mark.parametrize("data", [b"", header(DATA, 0), header(PING, 64)], ids=["nothing", "data", "a ping"])
def test_a_connection_that_is_given_up_is_trouble(data: bytes) -> None:
    """As it is read, or as a ping is sent back: it is no wait that is over."""
    options = argparse.Namespace(protocol="tcp", size=1000, seconds=None, json=True)
    connection: Any = GivenUp(data)
    with pytest.raises(TimeoutError, match="given up"):
        sink._Stream(options)._read(connection)


# --- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operands", "size"), [(UDP, 64), (UDP, 1400), (TCP, 64), (TCP, 65_507)])
def test_pings(start: Start, netfast: Command, operands: tuple[str, ...], size: int) -> None:
    sink = start("sink", "--json", *operands)
    wanted = [*operands[:-1], address_of(sink), "--ping", "--count", 200, "--size", size, "--json"]
    run = netfast("blast", *wanted)
    assert (run.code, run.err) == (0, "")
    trips = json.loads(run.out)
    assert (trips["round_trips"], trips["lost"], trips["size"]) == (200, 0, size)
    times = [trips[name] for name in ("min", "p50", "p90", "p99", "max")]
    assert times == sorted(times)
    assert times[0] > 1e-6
    assert times[-1] < 5
    assert sum(times[:1]) * 200 <= trips["seconds"]
    code, out, _ = ended(sink)
    got = json.loads(out)
    assert (code, got["bytes"]) == (0, 200 * size)
    if operands is UDP:
        assert (got["datagrams"], got["lost"]) == (200, 0)


class Slow:
    """Who sends pings over a connection, more than any buffer holds, and does not read what comes back until told."""

    def __init__(self, address: str) -> None:
        self.data = header(PING, 64) + random.Random(1).randbytes(16 << 20)
        self.sock = socket.create_connection(at(address), timeout=10)
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        with suppress(OSError):
            self.sock.sendall(self.data)
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_an_echo_takes_its_time(start: Start) -> None:
    sink = start("sink", "--json", *TCP)
    with closing(Slow(address_of(sink))) as slow:
        back = b""
        for _ in range(3):
            time.sleep(0.5)
            back += slow.sock.recv(100_000)
        while data := slow.sock.recv(1 << 20):
            back += data
    assert back == slow.data
    code, out, err = ended(sink)
    assert (code, json.loads(out)["bytes"], err) == (0, len(slow.data), b"")


@pytest.mark.parametrize("options", [(), ("--seconds", "1.5")])
def test_an_echo_that_nobody_reads_ends(start: Start, options: tuple[str, ...]) -> None:
    """By Ctrl-C, or as the time is over."""
    sink = start("sink", "--json", *TCP, *options)
    with closing(Slow(address_of(sink))):
        time.sleep(1)
        assert sink.poll() is None
        code, out, err = ended(sink) if options else interrupted(sink)
    assert (code, err) == (0, b"")
    assert json.loads(out)["bytes"] > 100_000


def test_wide_cells_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    trips = _traffic.Trips(quiet=False)
    trips.times = [1_229_960_000] * 3
    trips.total(trips.begin + 4)
    assert capsys.readouterr().out.split()[-7:] == ["0.0-4.0", "3", "0", *["1,229,960.0"] * 4]


def test_a_table_of_pings(start: Start, netfast: Command) -> None:
    sink = start("sink", *UDP)
    run = netfast("blast", "udp", address_of(sink), "--ping", "--count", 20, "--rate", 100)
    titles, trips = rows(run.out)
    assert titles == ["seconds", "round trips", "lost", "p50 µs", "p90 µs", "p99 µs", "max µs"]
    assert trips[:3] == ["0.0-0.2", "20", "0"]
    assert len(trips) == 7
    assert ended(sink)[0] == 0


def test_an_echo_that_is_late_is_not_another(cli: Command, udp: socket.socket) -> None:
    """Each comes back, but always the one before."""

    def echo() -> None:
        before = b""
        while True:
            data, sender = udp.recvfrom(2000)
            found = read_mark(data)
            assert found is not None
            if found[0] == END:
                return
            if before:
                udp.sendto(before, sender)
            before = data

    thread = threading.Thread(target=echo)
    thread.start()
    run = cli("blast", "udp", f"127.0.0.1:{udp.getsockname()[1]}", "--ping", "--count", 3, "--json")
    thread.join(20)
    assert run.code == 2
    assert json.loads(run.out)["lost"] == 3


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operands", [UDP, TCP])
@pytest.mark.parametrize("options", [(), ("--ping",)])
def test_ctrl_c_ends_with_the_report(start: Start, operands: tuple[str, ...], options: tuple[str, ...]) -> None:
    sink = start("sink", "--json", *operands)
    blast = start("blast", "--json", *operands[:-1], address_of(sink), "--rate", 1000, "--size", 64, *options)
    time.sleep(1)
    code, out, err = interrupted(blast)
    assert (code, err) == (0, b"")
    found = json.loads(out)
    assert found["round_trips" if options else "bytes"] > 10
    code, out, _ = ended(sink)
    assert code == 0
    assert json.loads(out)["bytes"] > 640


def test_ctrl_c_at_the_sink(start: Start, udp: socket.socket) -> None:
    sink = start("sink", *UDP)
    address = at(address_of(sink))
    for number in range(3):
        udp.sendto(header(DATA, number), address)
    time.sleep(0.5)
    code, out, err = interrupted(sink)
    assert (code, err) == (0, b"")
    assert rows(out)[1][1] == "3"


@pytest.mark.parametrize("operands", [UDP, TCP])
def test_ctrl_c_before_anything_came(start: Start, operands: tuple[str, ...]) -> None:
    sink = start("sink", *operands)
    address_of(sink)
    time.sleep(0.3)
    assert interrupted(sink) == (130, b"", b"")


@pytest.mark.parametrize("operands", [UDP, TCP])
def test_nothing_comes(cli: Command, operands: tuple[str, ...]) -> None:
    run = cli("sink", *operands, "--seconds", 0.2, "--json")
    assert run.code == 2
    assert json.loads(run.out)["bytes"] == 0
    assert run.err.endswith("netfast: 127.0.0.1:0: nothing has come within 0.2 s\n")


def test_a_time_ends_what_does_not(start: Start, udp: socket.socket) -> None:
    sink = start("sink", *UDP, "--seconds", 1, "--json")
    address = at(address_of(sink))
    begin = time.monotonic()
    while sink.poll() is None and time.monotonic() - begin < 10:
        udp.sendto(header(PING, 0), address)
        time.sleep(0.01)
    code, out, _ = ended(sink)
    assert (code, json.loads(out)["senders"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("blast",), "there is no address"),
        (("blast", "unix", "/tmp/s"), "there is no port"),
        (("blast", "udp", "127.0.0.1:0"), "wanted a port of 1 to 65535"),
        (("blast", "udp", ":1", "--size", 65_508), "at most 65,507 bytes"),
        (("blast", "udp", ":1", "--size", 15), "out of range"),
        (("blast", ":1", "--size", "1M", "--ping"), "at most 65,507 bytes"),
        (("blast", ":1", "--no-gso"), "--no-gso goes with udp"),
        (("blast", "udp", ":1", "--seconds", 1, "--count", 1), "not allowed with"),
        (("blast", "udp", ":1", "--rate", 0), "out of range"),
        (("sink",), "there is no address"),
        (("sink", "udp", ":1", "x"), "one word too many"),
        (("sink", ":1", "--gro"), "--gro goes with udp"),
        (("sink", "udp", ":1", "--size", 65_536), "at most 65,535 bytes"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[object, ...], said: str) -> None:
    run = cli(*arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


def test_a_closed_pipe_ends_it_quietly(start: Start, netfast: Command) -> None:
    sink = start("sink", *UDP)
    assert sink.stdout is not None
    sink.stdout.close()
    assert netfast("blast", "udp", address_of(sink), "--count", 1).code == 0
    assert sink.wait(10) == 141
