"""GSO, GRO and what stands in for them: the same bytes whichever way they go, and as few system calls as it promises.

What a process asks of the kernel is counted by strace: a message of sendmmsg or recvmmsg that holds many datagrams is
GSO's or GRO's.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

import netfast as nf
from net import datagrams_lab as dl, lab, streams_lab

SO_NO_CHECK = 11
IPPROTO_UDP = socket.IPPROTO_UDP


@pytest.fixture(params=["lo", "veth 1500", "veth 1280"])
def way(request: pytest.FixtureRequest, network: None, version: int) -> Iterator[dl.Way]:
    kind: str = request.param
    with lab.namespace() as near:
        if kind == "lo":
            yield dl.Way(near, near, dl.LOOPBACK[version], dl.LOOPBACK[version])
            return
        with lab.namespace() as far:
            yield dl.joined(near, far, version, mtu=int(kind.split()[1]))


# --- sending, counted -----------------------------------------------------------------------------------------------

# Sends datagrams of these sizes to one address, as options say, and tells what came of it.
SEND = """
import json, socket, sys
import netfast as nf
from net import datagrams_lab as dl
options = json.loads(sys.argv[1])
with dl.Opened() as opened:
    sock = opened.udp(options["from"])
    for option in options.get("options", []):
        sock.setsockopt(*option)
    batch = nf.DatagramBatch(sock)
    before = batch.gso
    if "gso" in options:
        batch.gso = options["gso"]
    datagrams = [dl.numbered(number, size) for number, size in enumerate(options["sizes"])]
    if "segment" in options:
        result = batch.send_segments(b"".join(datagrams), options["segment"], tuple(options["to"]))
    else:
        result = batch.send(datagrams, tuple(options["to"]))
    print(json.dumps([result.sent, result.errors, before, batch.gso]))
"""


class Sent(NamedTuple):
    sent: int
    errors: list[list[int]]
    gso_before: bool
    gso_after: bool
    calls: list[dl.Call]


@pytest.fixture
def counted(tool: Callable[[str], str], tmp_path: Path) -> Callable[..., Sent]:
    """Sends from a process of its own that strace watches: `counted(way, receiver, sizes, inject=..., gso=False)`."""
    tool("strace")

    def run(
        way: dl.Way, receiver: socket.socket, sizes: list[int], *, inject: str | None = None, **options: Any
    ) -> Sent:
        told = {"from": way.near_host, "to": dl.address(receiver), "sizes": sizes, **options}
        answer, calls = dl.traced(
            SEND, json.dumps(told), calls=dl.SENDS, log=tmp_path / "log", host=way.near, inject=inject
        )
        assert isinstance(answer, list)
        sent, errors, before, after = answer
        return Sent(sent, errors, before, after, [call for call in calls if " AF_NETLINK" not in call.text])

    return run


def came(receiver: socket.socket, sizes: list[int]) -> None:
    """All datagrams are there, in order and whole; the standard library says so."""
    found = dl.heard(receiver, len(sizes), timeout=2)
    assert [len(datagram) for datagram in found] == sizes
    assert [dl.number_of(datagram) for datagram in found] == list(range(len(sizes)))


def test_equal_ones_go_as_segments(way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    receiver, sizes = way.receiver(opened), [1000] * 1600
    told = counted(way, receiver, sizes)
    assert (told.sent, told.errors, told.gso_before, told.gso_after) == (1600, [], True, True)
    assert dl.messages(told.calls) == 25  # of 64 segments
    came(receiver, sizes)


def test_forbidden_segments_go_one_by_one(way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    receiver, sizes = way.receiver(opened), [1000] * 1600
    told = counted(way, receiver, sizes, gso=False)
    assert (told.sent, told.errors, told.gso_after) == (1600, [], False)
    assert dl.messages(told.calls) == 1600
    assert len(told.calls) == 25  # batches of 64
    came(receiver, sizes)


@pytest.fixture
def around(alone: lab.Namespace) -> dl.Way:
    """From 127.0.0.1 to itself."""
    return dl.Way(alone, alone, "127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("segment", [None, 1000], ids=["send", "send_segments"])
@pytest.mark.parametrize("error", ["EIO", "EINVAL", "EMSGSIZE", "ENOPROTOOPT"])
def test_refused_segments_go_one_by_one(
    around: dl.Way, opened: dl.Opened, counted: Callable[..., Sent], error: str, segment: int | None
) -> None:
    receiver, sizes = around.receiver(opened), [1000] * 200 + [300]
    options = {} if segment is None else {"segment": segment}
    told = counted(around, receiver, sizes, inject=f"sendmmsg,sendmsg,sendto:error={error}:when=1", **options)
    assert (told.sent, told.errors) == (201, [])
    assert told.gso_after is (error in ("EINVAL", "EMSGSIZE"))  # which may be of this destination alone
    came(receiver, sizes)


def test_the_kernel_itself_refuses(around: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    """Without checksums the kernel makes no segments of UDP: EINVAL, or EIO."""
    receiver, sizes = around.receiver(opened), [1000] * 200
    told = counted(around, receiver, sizes, options=[[socket.SOL_SOCKET, SO_NO_CHECK, 1]])
    assert (told.sent, told.errors) == (200, [])
    assert dl.messages(told.calls) == 200
    assert any("EINVAL" in call.text or "EIO" in call.text for call in told.calls)
    came(receiver, sizes)


@pytest.mark.parametrize("size", [1273, 1281, 1453, 1473, 2000, 9000])
def test_segments_over_the_mtu_go_one_by_one(
    way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent], size: int
) -> None:
    """Fragments carry what GSO does not: over lo, which takes 65,536 bytes, all of these are segments still."""
    receiver, sizes = way.receiver(opened), [size] * 100
    told = counted(way, receiver, sizes)
    assert (told.sent, told.errors) == (100, [])
    came(receiver, sizes)
    mtu = 65_536 if way.near is way.far else int(way.near.run("ip", "-o", "link").split(" mtu ")[2].split()[0])
    headers = 28 if receiver.family == socket.AF_INET else 48
    if size + headers <= mtu:
        assert dl.messages(told.calls) == -(-100 // min(64, dl.LONGEST // size))
    else:
        assert dl.messages(told.calls) >= 100
    assert dl.messages(told.calls) <= 202  # a refused one is tried once


def test_after_ones_over_the_mtu_others_come_too(way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    receiver, sizes = way.receiver(opened), [1000] * 130 + [3000] * 130 + [1100] * 130 + [12] * 3
    told = counted(way, receiver, sizes)
    assert (told.sent, told.errors) == (len(sizes), [])
    came(receiver, sizes)


def test_send_segments_cuts(way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    receiver, sizes = way.receiver(opened), [1000] * 1600 + [12]
    told = counted(way, receiver, sizes, segment=1000)
    assert (told.sent, told.errors, told.gso_after) == (1601, [], True)
    assert 26 <= dl.messages(told.calls) <= 27
    came(receiver, sizes)


def test_send_segments_cuts_without_gso(way: dl.Way, opened: dl.Opened, counted: Callable[..., Sent]) -> None:
    receiver, sizes = way.receiver(opened), [1000] * 160 + [12]
    told = counted(way, receiver, sizes, segment=1000, gso=False)
    assert (told.sent, told.errors, told.gso_after) == (161, [], False)
    assert dl.messages(told.calls) == 161
    came(receiver, sizes)


@pytest.mark.parametrize(
    ("size", "count", "least"),
    [
        (12, 64, 1),
        (12, 65, 2),
        (12, 128, 2),
        (12, 129, 3),
        (1023, 64, 1),  # 65,472 bytes
        (1024, 64, 2),  # 65,536 bytes are too many
        (1024, 63, 1),
        (32_753, 2, 1),
        (32_754, 2, 2),  # a byte over 65,507
        (65_507, 3, 3),
    ],
)
def test_the_limits_of_the_kernel(
    network: None, opened: dl.Opened, counted: Callable[..., Sent], version: int, size: int, count: int, least: int
) -> None:
    with lab.namespace() as near:
        way = dl.Way(near, near, dl.LOOPBACK[version], dl.LOOPBACK[version])
        receiver = way.receiver(opened)
        told = counted(way, receiver, [size] * count)
        assert (told.sent, told.errors) == (count, [])
        assert dl.messages(told.calls) == least
        came(receiver, [size] * count)


# --- receiving, counted ---------------------------------------------------------------------------------------------

RECEIVE = """
import json, socket, sys
import netfast as nf
from net import datagrams_lab as dl
options = json.loads(sys.argv[1])
with dl.Opened() as opened:
    sock = opened.udp(options["at"], room=32 << 20)
    batch = nf.DatagramBatch(sock, gro=options["gro"], size=options.get("size", 2048))
    print(sock.getsockname()[1], file=sys.stderr, flush=True)
    input()
    numbers, lengths, ports, stamps = [], [], set(), []
    while len(numbers) < options["count"]:
        d = batch.recv(timeout=2)
        numbers += [dl.number_of(view) for view in d]
        lengths += d.lengths.tolist()
        assert d.lengths.tolist() == [len(view) for view in d]
        assert set(d.addresses.to_list()) == {options["of"]}
        ports |= set(d.ports.tolist())
        stamps += d.timestamps.tolist()
        assert not d.truncated.any()
        assert len(d.ports) == len(d.timestamps) == len(d.truncated) == len(d.addresses) == len(d)
    print(json.dumps([numbers, lengths, sorted(ports), min(stamps) > 0]))
"""


@pytest.mark.parametrize("gro", [True, False], ids=["gro", "plain"])
def test_segments_arrive_as_one(
    way: dl.Way, opened: dl.Opened, tool: Callable[[str], str], tmp_path: Path, gro: bool
) -> None:
    log = tmp_path / "log"
    sizes = ([1000] * 64 + [500]) * 20
    options = {"at": way.far_host, "of": way.near_host, "gro": gro, "count": len(sizes)}
    command = [tool("strace"), "-f", "-qq", "-s", "0", "-o", str(log), "-e", "trace=recvmmsg,recvmsg,recvfrom"]
    process = lab_process(way.far, command, RECEIVE, json.dumps(options))
    try:
        assert process.stderr is not None
        port = int(process.stderr.readline())
        batch = nf.DatagramBatch(way.sender(opened))
        assert batch.send([dl.numbered(i, n) for i, n in enumerate(sizes)], (way.far_host, port)) == (len(sizes), [])
        assert batch.gso is True
        out, error = process.communicate("go\n", timeout=lab.LIMIT)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error
    numbers, lengths, ports, stamped = json.loads(out)
    assert numbers == list(range(len(sizes)))
    assert lengths == sizes
    assert ports == [batch.sock.getsockname()[1]]
    assert stamped
    calls = dl.logged(log)
    if gro:
        assert dl.messages(calls) <= 40
    else:
        assert dl.messages(calls) == len(sizes)


def lab_process(host: lab.Namespace, command: list[str], code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process inside, behind a command."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with host.inside():
        return subprocess.Popen(
            [*command, sys.executable, "-c", code, *arguments], text=True, env=lab.python_environment(), **pipes
        )


# --- the same bytes, whichever way ----------------------------------------------------------------------------------

SIZES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 12, 100, 1000, 1400, 9000]) | st.integers(0, 3000), st.sampled_from([1, 2, 5, 70])
    ),
    min_size=1,
    max_size=8,
).map(lambda runs: [size for size, count in runs for _ in range(count)])


def patterned(sizes: list[int]) -> list[bytes]:
    return [bytes((i * 7 + j) & 255 for j in range(min(size, 64))) * (size // 64 or 1) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("gro", [False, True], ids=["plain", "gro"])
@pytest.mark.parametrize("gso", [False, True], ids=["one by one", "gso"])
@given(sizes=SIZES)
def test_the_same_bytes(gso: bool, gro: bool, sizes: list[int]) -> None:
    datagrams = patterned(sizes)
    with dl.Opened() as opened:
        receiver, sender = nf.DatagramBatch(opened.udp(), gro=gro, size=9000), nf.DatagramBatch(opened.udp())
        if not gso:
            sender.gso = False
        assert sender.send(datagrams, dl.address(receiver.sock)) == (len(datagrams), [])
        assert dl.rest(receiver) == datagrams


@pytest.mark.parametrize("gro", [False, True], ids=["plain", "gro"])
@pytest.mark.parametrize("gso", [False, True], ids=["one by one", "gso"])
@given(length=st.integers(0, 200_000), segment=st.sampled_from([1000, 1400, 9000, 65_507]) | st.integers(500, 65_507))
def test_the_same_segments(gso: bool, gro: bool, length: int, segment: int) -> None:
    buffer = patterned([length + 64])[0][:length]
    with dl.Opened() as opened:
        receiver = nf.DatagramBatch(opened.udp(room=32 << 20), gro=gro, size=65_535)
        sender = nf.DatagramBatch(opened.udp())
        if not gso:
            sender.gso = False
        wanted = [buffer[start : start + segment] for start in range(0, len(buffer), segment)]
        assert sender.send_segments(buffer, segment, dl.address(receiver.sock)) == (len(wanted), [])
        assert dl.rest(receiver) == wanted


@given(runs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(1, 70)), min_size=1, max_size=12))
def test_each_goes_where_it_shall(runs: list[tuple[int, int, int]]) -> None:
    """Runs to three receivers, of equal and unequal sizes: no segment goes along with those of another address."""
    with dl.Opened() as opened:
        receivers = [nf.DatagramBatch(opened.udp(room=16 << 20), size=4096) for _ in range(3)]
        sender = nf.DatagramBatch(opened.udp())
        wanted: list[list[bytes]] = [[], [], []]
        datagrams: list[bytes] = []
        addresses: list[dl.Address] = []
        for to, size, count in runs:
            for _ in range(count):
                datagram = dl.numbered(len(datagrams), 12 + 250 * size)
                datagrams.append(datagram)
                addresses.append(dl.address(receivers[to].sock))
                wanted[to].append(datagram)
        assert sender.send(datagrams, addresses) == (len(datagrams), [])
        assert [dl.rest(receiver) for receiver in receivers] == wanted


def test_a_connected_socket_segments_too(opened: dl.Opened, version: int) -> None:
    one = opened.udp(dl.LOOPBACK[version])
    other = opened.connected(one)
    sender, receiver = nf.DatagramBatch(one), nf.DatagramBatch(other, gro=True)
    datagrams = [dl.numbered(number, 700) for number in range(500)]
    assert sender.send(datagrams) == (500, [])
    assert sender.gso is True
    assert dl.rest(receiver) == datagrams
    assert sender.send_segments(b"".join(datagrams), 700) == (500, [])
    assert dl.rest(receiver) == datagrams


def test_gro_cuts_nothing(opened: dl.Opened, version: int) -> None:
    """With GRO a slot has 65,535 bytes, whatever `size` says; and an odd last segment, empty ones, and one alone."""
    receiver = nf.DatagramBatch(opened.udp(dl.LOOPBACK[version]), size=1, gro=True)
    sender = nf.DatagramBatch(opened.udp(dl.LOOPBACK[version]))
    datagrams = [b"", b"x" * 65_507, b"", b"", b"a" * 900, b"b" * 900, b"c" * 899, b"d" * 900, b"", b"e"]
    assert sender.send(datagrams, dl.address(receiver.sock)) == (len(datagrams), [])
    assert dl.rest(receiver) == datagrams


def test_gro_is_set_only_when_asked_for(opened: dl.Opened) -> None:
    plain, gro = opened.udp(), opened.udp()
    nf.DatagramBatch(plain)
    nf.DatagramBatch(gro, gro=True)
    assert plain.getsockopt(IPPROTO_UDP, dl.UDP_GRO) == 0
    assert gro.getsockopt(IPPROTO_UDP, dl.UDP_GRO) == 1


def gro_by_batch(sock: socket.socket) -> object:
    return nf.DatagramBatch(sock, gro=True)


def gro_by_caller(sock: socket.socket) -> object:
    sock.setsockopt(IPPROTO_UDP, dl.UDP_GRO, 1)
    return None


@pytest.mark.parametrize("ask", [gro_by_batch, gro_by_caller])
@pytest.mark.parametrize("when", ["before", "after", "after a receive", "while it waits", "while a task waits"])
def test_gro_of_others_costs_no_datagram(
    opened: dl.Opened, version: int, ask: Callable[[socket.socket], object], when: str
) -> None:
    """A batch that did not ask for pieces gets them all the same, whoever set the option of the socket, and when."""
    host = dl.LOOPBACK[version]
    sock, sender = opened.udp(host), nf.DatagramBatch(opened.udp(host))
    datagrams = [dl.numbered(number, 1000) for number in range(200)]
    older: object = None
    if when == "before":
        older = ask(sock)
    batch = nf.DatagramBatch(sock, batch=2)
    if when == "after a receive":
        sender.send([b"first"], dl.address(sock))
        first = batch.recv(timeout=5)

    def go() -> None:
        nonlocal older
        time.sleep(0.1)
        older = ask(sock)
        sender.send(datagrams, dl.address(sock))

    if when.startswith("while"):
        with streams_lab.beside(go):
            d = batch.recv(timeout=5) if when == "while it waits" else asyncio.run(batch.arecv())
            found = d.tolist()
            assert not d.truncated.any()
    else:
        if when != "before":
            older = ask(sock)
        sender.send(datagrams, dl.address(sock))
        found = []
    while len(found) < len(datagrams):
        d = batch.recv(timeout=5)
        assert not d.truncated.any()
        assert set(d.lengths.tolist()) == {1000}
        found += d.tolist()
    assert found == datagrams
    assert batch.dropped == 0
    if when == "after a receive":
        assert first.tolist() == [b"first"]
    if isinstance(older, nf.DatagramBatch):  # and that one is as it was
        sender.send(datagrams, dl.address(sock))
        assert dl.taken(older, 200) == datagrams
    assert sock.getsockopt(IPPROTO_UDP, dl.UDP_GRO) == 1


def test_gro_where_there_is_none(alone: lab.Namespace, opened: dl.Opened) -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    sock = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
    with pytest.raises(OSError, match=r"gro=True: .*UDP_GRO.*Linux 5\.0") as caught:
        nf.DatagramBatch(sock, gro=True)
    assert caught.value.errno == errno.ENOPROTOOPT
    batch = nf.DatagramBatch(sock)
    with pytest.raises(TimeoutError):
        batch.recv(timeout=0)


def test_gso_of_the_socket_itself_stays_as_it_was(opened: dl.Opened) -> None:
    sock, other = opened.udp(), opened.udp()
    batch = nf.DatagramBatch(sock)
    batch.send([b"x" * 100] * 100, dl.address(other))
    assert batch.gso is True
    assert sock.getsockopt(IPPROTO_UDP, dl.UDP_SEGMENT) == 0
    dl.rest(nf.DatagramBatch(other))
    sock.sendto(b"y" * 5000, dl.address(other))
    assert len(other.recv(9000)) == 5000


def test_gso_may_be_forbidden_only(opened: dl.Opened) -> None:
    batch, other = nf.DatagramBatch(opened.udp()), opened.udp()
    assert batch.gso is True
    batch.send([b"x"] * 3, dl.address(other))
    assert batch.gso is True
    batch.gso = False
    assert batch.gso is False
    batch.send([b"x"] * 3, dl.address(other))
    assert batch.gso is False


# --- what cannot be sent --------------------------------------------------------------------------------------------


@pytest.fixture
def near(network: None, opened: dl.Opened, version: int) -> Iterator[dl.Way]:
    """A cable, and the test is at its near end."""
    with lab.namespace() as one, lab.namespace() as other:
        way = dl.joined(one, other, version, mtu=1500)
        with one.inside():
            yield way


def beside(way: dl.Way, last: int) -> str:
    """Another host of the far network."""
    return f"{way.far_host[:-1]}{last}"


BAD = {"unreachable": errno.EHOSTUNREACH, "prohibit": errno.EACCES, "blackhole": errno.EINVAL}


@pytest.mark.parametrize("gso", [True, False], ids=["gso", "plain"])
@pytest.mark.parametrize(("kind", "number"), BAD.items())
@pytest.mark.parametrize("where", [[0], [50], [99], [0, 1, 2], [10, 50, 99], list(range(40, 60)), list(range(100))])
def test_a_bad_destination_costs_no_other(
    near: dl.Way, opened: dl.Opened, kind: str, number: int, where: list[int], gso: bool
) -> None:
    bad = beside(near, 9)
    near.near.ip(f"route add {kind} {bad}")
    if near.far_host.startswith("2001") and kind == "blackhole":
        number = errno.EINVAL
    receiver, sender = near.receiver(opened), nf.DatagramBatch(near.sender(opened))
    if not gso:
        sender.gso = False
    addresses = [(bad, 7) if index in where else dl.address(receiver) for index in range(100)]
    datagrams = [dl.numbered(index, 300) for index in range(100)]
    result = sender.send(datagrams, addresses)
    assert result == (100 - len(where), [(index, number) for index in where])
    good = [datagram for index, datagram in enumerate(datagrams) if index not in where]
    assert dl.heard(receiver, len(good), timeout=2) == good
    with pytest.raises(BlockingIOError):
        receiver.recv(1, socket.MSG_DONTWAIT)


@pytest.mark.parametrize("gso", [True, False], ids=["gso", "plain"])
def test_a_filtered_destination_is_told(
    near: dl.Way, opened: dl.Opened, tool: Callable[[str], str], version: int, gso: bool
) -> None:
    tool("nft")
    bad = beside(near, 9)
    family = "ip" if version == 4 else "ip6"
    near.near.nft(
        f"table {family} t {{ chain out {{ type filter hook output priority 0; {family} daddr {bad} drop; }} }}"
    )
    receiver, sender = near.receiver(opened), nf.DatagramBatch(near.sender(opened))
    if not gso:
        sender.gso = False
    addresses = [(bad, 7) if 20 <= index < 30 else dl.address(receiver) for index in range(100)]
    datagrams = [dl.numbered(index, 300) for index in range(100)]
    assert sender.send(datagrams, addresses) == (90, [(index, errno.EPERM) for index in range(20, 30)])
    assert dl.heard(receiver, 90, timeout=2) == datagrams[:20] + datagrams[30:]


def test_what_a_far_filter_drops_is_not_known(
    near: dl.Way, opened: dl.Opened, tool: Callable[[str], str], version: int
) -> None:
    tool("nft")
    receiver, deaf = near.receiver(opened), near.receiver(opened)
    port = deaf.getsockname()[1]
    near.far.nft(f"table inet t {{ chain in {{ type filter hook input priority 0; udp dport {port} drop; }} }}")
    sender = nf.DatagramBatch(near.sender(opened))
    addresses = [dl.address(deaf if index == 50 else receiver) for index in range(100)]
    datagrams = [dl.numbered(index, 300) for index in range(100)]
    assert sender.send(datagrams, addresses) == (100, [])
    assert dl.heard(receiver, 99, timeout=2) == datagrams[:50] + datagrams[51:]
    assert dl.rest(nf.DatagramBatch(deaf)) == []


def test_all_kinds_of_trouble_in_one_batch(near: dl.Way, opened: dl.Opened) -> None:
    addresses, wanted = [], []
    receiver = near.receiver(opened)
    for index, (kind, number) in enumerate(BAD.items()):
        near.near.ip(f"route add {kind} {beside(near, 5 + index)}")
        addresses += [dl.address(receiver), (beside(near, 5 + index), 9)]
        wanted.append((2 * index + 1, number))
    datagrams = [dl.numbered(index, 100) for index in range(6)]
    datagrams.append(b"z" * 65_536)  # longer than any packet
    addresses.append(dl.address(receiver))
    wanted.append((6, errno.EMSGSIZE))
    datagrams.append(dl.numbered(7, 100))
    addresses.append(dl.address(receiver))
    result = nf.DatagramBatch(near.sender(opened)).send(datagrams, addresses)
    assert result == (4, wanted)
    assert dl.heard(receiver, 4, timeout=2) == [datagrams[i] for i in (0, 2, 4, 7)]


def test_segments_to_a_bad_destination(near: dl.Way, opened: dl.Opened) -> None:
    bad = beside(near, 9)
    near.near.ip(f"route add unreachable {bad}")
    sender = nf.DatagramBatch(near.sender(opened))
    result = sender.send_segments(bytes(1000 * 150 + 1), 1000, (bad, 7))
    assert result == (0, [(index, errno.EHOSTUNREACH) for index in range(151)])


def test_the_mtu_of_the_path_is_learnt(hosts: lab.Hosts, opened: dl.Opened, version: int) -> None:
    """A's card takes 1,500 bytes, the way from R to B 1,280: what A learns of it makes fragments of segments."""
    near, far = ("198.18.1.1", "198.18.2.1") if version == 4 else ("2001:db8:1::1", "2001:db8:2::1")
    way = dl.Way(hosts.a, hosts.b, near, far)
    receiver = nf.DatagramBatch(way.receiver(opened))
    sender = nf.DatagramBatch(way.sender(opened))
    datagrams = [dl.numbered(number, 1400) for number in range(100)]
    found: list[bytes] = []
    for _ in range(5):  # the first are lost, and teach
        assert sender.send(datagrams, dl.address(receiver.sock)) == (100, [])
        found = dl.taken(receiver, 100, timeout=0.5)
        if len(found) == 100:
            break
    assert found == datagrams
    short = [dl.numbered(number, 1200) for number in range(100)]
    assert sender.send(short, dl.address(receiver.sock)) == (100, [])
    assert dl.taken(receiver, 100, timeout=2) == short


# --- a full way -----------------------------------------------------------------------------------------------------


def narrow(way: dl.Way, tool: Callable[[str], str]) -> None:
    """The near card sends 20 Mbit/s."""
    tool("tc")
    name = way.near.run("ip", "-o", "link", "show", "type", "veth").split(": ")[1].split("@")[0]
    way.near.run(*f"tc qdisc add dev {name} root tbf rate 20mbit burst 5000 limit 10000000".split())


@pytest.mark.parametrize("gso", [True, False], ids=["gso", "plain"])
def test_a_full_socket_is_waited_for(near: dl.Way, opened: dl.Opened, tool: Callable[[str], str], gso: bool) -> None:
    narrow(near, tool)
    receiver, sock = near.receiver(opened), near.sender(opened)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    sender = nf.DatagramBatch(sock)
    if not gso:
        sender.gso = False
    datagrams = [dl.numbered(index, 1000) for index in range(1000)]
    with dl.lasting(0.2, 3), dl.idle():
        assert sender.send(datagrams, dl.address(receiver)) == (1000, [])
    assert dl.heard(receiver, 1000, timeout=2) == datagrams


def test_a_full_socket_is_waited_for_so_long(near: dl.Way, opened: dl.Opened, tool: Callable[[str], str]) -> None:
    narrow(near, tool)
    receiver, sock = near.receiver(opened), near.sender(opened)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    datagrams = [dl.numbered(index, 1000) for index in range(10_000)]
    with dl.lasting(0.3, 0.6), dl.idle():
        sent, errors = nf.DatagramBatch(sock).send(datagrams, dl.address(receiver), timeout=0.3)
    assert 0 < sent < 10_000
    assert errors == []
    assert dl.heard(receiver, sent, timeout=2) == datagrams[:sent]


STUBBORN = """
import json, time
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    batch, other = nf.DatagramBatch(opened.udp()), opened.udp()
    start, busy = time.monotonic(), time.process_time()
    try:
        result = [list(batch.send([b"x" * 10, b"y" * 20, b"z"], dl.address(other), timeout=TIMEOUT))]
    except TimeoutError:
        result = "TimeoutError"
    took, busy = time.monotonic() - start, time.process_time() - busy
    print(json.dumps([result, took, busy, len(dl.rest(nf.DatagramBatch(other)))]))
"""


@pytest.mark.parametrize("error", ["EAGAIN", "ENOBUFS", "EINTR"])
@pytest.mark.parametrize("times", ["1..3", "2..3", "2"])
def test_what_passes_is_tried_again(tool: Callable[[str], str], tmp_path: Path, error: str, times: str) -> None:
    tool("strace")
    code = STUBBORN.replace("TIMEOUT", "5")
    fault = f"sendmmsg,sendmsg,sendto:error={error}:when={times}"
    told, _ = dl.traced(code, calls=dl.SENDS, log=tmp_path / "log", inject=fault)
    assert isinstance(told, list)
    assert told[0] == [[3, []]]
    assert told[1] < 2
    assert told[3] == 3


@pytest.mark.parametrize("error", ["EAGAIN", "ENOBUFS"])
def test_what_does_not_pass_is_given_up_in_time(tool: Callable[[str], str], tmp_path: Path, error: str) -> None:
    """The socket says that it can be written to, and the write fails: nothing spins."""
    tool("strace")
    code = STUBBORN.replace("TIMEOUT", "0.5")
    fault = f"sendmmsg,sendmsg,sendto:error={error}:when=1+"
    told, calls = dl.traced(code, calls=dl.SENDS, log=tmp_path / "log", inject=fault)
    assert isinstance(told, list)
    assert told[0] == "TimeoutError"
    assert 0.5 <= told[1] < 1
    assert told[2] < 0.3
    assert len(calls) < 2000
    assert told[3] == 0


RECEIVER = """
import json
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    batch, other = nf.DatagramBatch(opened.udp()), opened.udp()
    for text in (b"one", b"two", b"three"):
        other.sendto(text, dl.address(batch.sock))
    try:
        found = [text.decode() for text in batch.recv(timeout=2).tolist()]
    except (OSError, MemoryError) as error:
        found = [type(error).__name__] + [text.decode() for text in dl.rest(batch)]
    print(json.dumps(found))
"""


@pytest.mark.parametrize("fault", ["EINTR:when=1..3", "EAGAIN:when=1"])
def test_a_receive_is_tried_again(tool: Callable[[str], str], tmp_path: Path, fault: str) -> None:
    tool("strace")
    told, _ = dl.traced(RECEIVER, calls=dl.RECEIVES, log=tmp_path / "log", inject=f"recvmmsg,recvmsg:error={fault}")
    assert told == ["one", "two", "three"]


@pytest.mark.parametrize(("error", "raised"), [("ENOMEM", "MemoryError"), ("EHOSTUNREACH", "OSError")])
def test_a_receive_that_fails_loses_nothing(
    tool: Callable[[str], str], tmp_path: Path, error: str, raised: str
) -> None:
    tool("strace")
    fault = f"recvmmsg,recvmsg:error={error}:when=1"
    told, _ = dl.traced(RECEIVER, calls=dl.RECEIVES, log=tmp_path / "log", inject=fault)
    assert isinstance(told, list)
    assert told == [raised, "one", "two", "three"]


def test_options_the_kernel_refuses(tool: Callable[[str], str], tmp_path: Path) -> None:
    """A kernel without GRO says so when it is asked for, and leaves the rest as it is."""
    tool("strace")
    code = """
import json
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    try:
        nf.DatagramBatch(opened.udp(), gro=True)
        told = None
    except OSError as error:
        told = error.errno
    print(json.dumps(told))
"""
    log = tmp_path / "log"
    plain, calls = dl.traced(code, calls=["setsockopt"], log=log)
    assert plain is None
    names = [index for index, call in enumerate(calls, 1) if "UDP_GRO" in call.text or f"0x{dl.UDP_GRO:x}" in call.text]
    assert len(names) == 1
    told, _ = dl.traced(code, calls=["setsockopt"], log=log, inject=f"setsockopt:error=ENOPROTOOPT:when={names[0]}")
    assert told == errno.ENOPROTOOPT


def test_segments_of_arrays(opened: dl.Opened) -> None:
    """Any buffer of bytes in one piece, whatever its items are."""
    receiver, sender = nf.DatagramBatch(opened.udp()), nf.DatagramBatch(opened.udp())
    numbers = np.arange(1000, dtype=">u4")
    assert sender.send_segments(numbers, 400, dl.address(receiver.sock)) == (10, [])
    assert b"".join(dl.rest(receiver)) == numbers.tobytes()
