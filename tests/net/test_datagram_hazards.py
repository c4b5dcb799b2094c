"""Datagrams when something goes against them: sockets closed or shut meanwhile, floods, what a peer sends beside its
bytes, sockets that are not what they say, and addresses that are none."""

from __future__ import annotations

import array
import asyncio
import errno
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from net import datagrams_lab as dl, lab, streams_lab
from net.streams_lab import Pair
from net.test_datagrams import Full, abstract, link_local, run
from net.test_stream_hazards import (
    ClosingBuffer,
    Successor,
    ended_by,
    nothing_open,
    over_and_over,
    said_to_be,
    sent_by,
    shared,
    truth,
)

# From Linux's headers; the socket module does not know all of them.
SO_TIMESTAMPING, STAMPS = 37, 8 | 16  # SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE
IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 8, 12, 13
IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS = 49, 51, 66


# --- a socket that is closed meanwhile ------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 10.0], ids=["for ever", "timeout"])
@pytest.mark.parametrize("reused", [True, False], ids=["number reused", "number free"])
@pytest.mark.parametrize("call", ["recv", "recv on Unix", "send", "send to an address", "send_segments"])
def test_closed_while_a_call_waits(opened: dl.Opened, call: str, reused: bool, timeout: float | None) -> None:
    full = Full(opened, call != "send to an address")
    wait: Callable[..., object]
    if call.startswith("recv"):
        batch = nf.DatagramBatch(opened.udp() if call == "recv" else opened.unix(abstract()))
        wait = batch.recv
    elif call == "send_segments":
        batch = full.batch
        wait = lambda timeout: batch.send_segments(b"abc", 1, timeout=timeout)  # noqa: E731
    else:
        batch = full.batch
        wait = lambda timeout: full.send(3, timeout=timeout)  # noqa: E731
    with Successor(batch.sock) as other:
        close = other.take if reused else batch.sock.close
        with ended_by(close, errno.EBADF, match="the socket is closed"):
            wait(timeout=timeout)
        other.untouched()
    assert dl.rest(nf.DatagramBatch(full.receiver)) == [b"fill"] * full.waiting


class ClosingPort:
    def __init__(self, port: int, close: Callable[[], object]) -> None:
        self._port = port
        self._close = close

    def __index__(self) -> int:
        self._close()
        return self._port


def closing(close: Callable[[], object], *items: Any) -> Iterator[Any]:
    """The items, and in front of the last of them the socket is closed."""
    *before, last = items
    yield from before
    close()
    yield last


def with_ports(where: dl.Address, port: ClosingPort) -> Any:
    return nf.parse([where[0]] * 2), [where[1], port]


ClosingCall = Callable[[nf.DatagramBatch, Any, Callable[[], object]], object]
CLOSING: dict[str, ClosingCall] = {
    "datagrams": lambda batch, to, close: batch.send(closing(close, b"1", b"2"), to),
    "addresses": lambda batch, to, close: batch.send([b"1", b"2"], closing(close, to, to)),
    "port": lambda batch, to, close: batch.send([b"1"], (to[0], ClosingPort(to[1], close))),
    "port in a list": lambda batch, to, close: batch.send([b"1", b"2"], [to, (to[0], ClosingPort(to[1], close))]),
    "port of columns": lambda batch, to, close: batch.send([b"1", b"2"], with_ports(to, ClosingPort(to[1], close))),
    "port of segments": lambda batch, to, close: batch.send_segments(b"12", 1, (to[0], ClosingPort(to[1], close))),
}
if sys.version_info >= (3, 12):
    CLOSING |= {
        "buffer": lambda batch, to, close: batch.send([b"1", ClosingBuffer(close)], to),
        "buffer of segments": lambda batch, to, close: batch.send_segments(ClosingBuffer(close), 1, to),
    }


@pytest.mark.parametrize("call", CLOSING)
def test_closed_by_what_a_send_is_given(opened: dl.Opened, call: str, version: int) -> None:
    host = dl.LOOPBACK[version]
    receiver, batch = nf.DatagramBatch(opened.udp(host)), nf.DatagramBatch(opened.udp(host))
    far = opened.udp(host)
    with Successor(batch.sock, Pair(opened.connected(far), far)) as other:
        done = False

        def close() -> None:
            nonlocal done
            if not done:  # a port or a buffer may be asked for twice
                other.take()
            done = True

        with pytest.raises(OSError, match="closed") as caught:
            CLOSING[call](batch, dl.address(receiver.sock), close)
        nothing_open(caught)
        other.untouched()
    assert dl.rest(receiver) == []


# --- sockets that are not what they say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "said", "word"),
    [
        ((socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_INET, socket.SOCK_DGRAM), "unix"),
        ((socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_DGRAM), "unix"),
        ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_DGRAM), "inet"),
        ((socket.AF_INET6, socket.SOCK_DGRAM), (socket.AF_INET, socket.SOCK_DGRAM), "inet6"),
        ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), "stream"),
        ((socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM), "stream"),
        ((socket.AF_UNIX, socket.SOCK_SEQPACKET), (socket.AF_UNIX, socket.SOCK_DGRAM), "seqpacket"),
    ],
)
def test_a_socket_that_lies(opened: dl.Opened, real: tuple[int, int], said: tuple[int, int], word: str) -> None:
    sock = opened.enter_context(socket.socket(*real))
    liar = opened.enter_context(said_to_be(sock, *said))
    with pytest.raises(ValueError, match=r".") as caught:
        nf.DatagramBatch(liar)
    assert word in truth(caught.value)


@pytest.mark.parametrize("said", [(77, 99), (77, socket.SOCK_DGRAM), (socket.AF_INET, 99)])
def test_a_family_or_type_that_python_does_not_know(opened: dl.Opened, said: tuple[int, int]) -> None:
    liar = opened.enter_context(said_to_be(opened.udp(), *said))
    with pytest.raises(ValueError, match=r"(?i)inet\b|dgram"):
        nf.DatagramBatch(liar)


# --- what comes beside the bytes ------------------------------------------------------------------------------------

PASSED = """
import asyncio
batch = nf.DatagramBatch(sock)
asyncio.run(asyncio.sleep(0))
before, got = len(os.listdir("/proc/self/fd")), []
say("ready")
while len(got) < 50:
    d = RECEIVE
    got += d.tolist()
    assert not d.truncated.any()
say(len(os.listdir("/proc/self/fd")) - before)
say(got == [b"%d" % number for number in range(50)])
"""


@pytest.mark.parametrize("receive", ["batch.recv(timeout=5)", "asyncio.run(batch.arecv())"], ids=["recv", "arecv"])
def test_descriptors_that_a_peer_passes_do_not_stay(opened: dl.Opened, receive: str) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far, open(os.devnull) as file, streams_lab.child(PASSED.replace("RECEIVE", receive), far) as process:
        assert process.says() == "ready"
        passed = array.array("i", [file.fileno()] * 20)
        for number in range(50):
            near.sendmsg([b"%d" % number], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        assert process.says() == "0"
        assert process.says() == "True"
        process.end()


@pytest.mark.parametrize("early", [True, False], ids=["before the batch", "after the batch"])
def test_pieces_are_cut_whatever_else_the_kernel_tells(opened: dl.Opened, version: int, early: bool) -> None:
    host = dl.LOOPBACK[version]
    sock, sender = opened.udp(host), nf.DatagramBatch(opened.udp(host))

    def ask() -> None:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPS)
        for option in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
            sock.setsockopt(socket.IPPROTO_IP, option, 1)
        if version == 6:
            for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS):
                sock.setsockopt(socket.IPPROTO_IPV6, option, 1)

    if early:
        ask()
    batch = nf.DatagramBatch(sock, batch=1, gro=True)
    if not early:
        ask()
    texts = [bytes([number]) * 100 for number in range(10)]
    for _ in range(3):
        assert sender.send(texts, dl.address(sock)) == (10, [])
        assert sender.gso is True
        d = batch.recv(timeout=5)  # one message, and all of them
        assert d.tolist() == texts
        assert d.truncated.tolist() == [False] * 10
        assert d.ports.tolist() == [dl.address(sender.sock)[1]] * 10
        assert all(abs(stamp - time.time_ns()) < 10**10 for stamp in d.timestamps.tolist())


def test_segments_are_for_udp_only(opened: dl.Opened) -> None:
    one, other = map(opened.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    batch, receiver = nf.DatagramBatch(one), nf.DatagramBatch(other)
    for allowed in (True, False, True):
        batch.gso = allowed
        assert batch.gso is False
        assert batch.send([b"one", b"two", b"six"]) == (3, [])
        assert batch.gso is False
        assert receiver.recv(timeout=5).tolist() == [b"one", b"two", b"six"]
    udp = nf.DatagramBatch(opened.udp())
    for allowed in (False, True, True, False, True):
        udp.gso = allowed
        assert udp.gso is allowed
    udp.send([b"x"] * 3, dl.address(udp.sock))
    assert udp.gso is True
    assert udp.recv(timeout=5).tolist() == [b"x"] * 3


# --- addresses ------------------------------------------------------------------------------------------------------


def test_a_path_does_not_end_at_a_nul(opened: dl.Opened) -> None:
    """As the kernel has it, it would: and the datagram would go to another path."""
    with tempfile.TemporaryDirectory(prefix="nf") as folder:
        path = f"{folder}/a"
        receiver, sender = nf.DatagramBatch(opened.unix(path)), nf.DatagramBatch(opened.unix())
        for wrong in (f"{path}\0b", f"{path}\0", f"{path}\0b".encode(), Path(f"{path}\0b")):
            with pytest.raises(ValueError, match="address"):
                sender.send([b"x"], wrong)
            with pytest.raises(ValueError, match="address"):
                sender.send_segments(b"x", 1, wrong)
            with pytest.raises(ValueError, match=r"address.*\b5\b"):
                sender.send([b"x"] * 6, [path] * 5 + [wrong])
        assert dl.rest(receiver) == []
        name = f"@netfast-{os.getpid()}-\0-inside"  # where a NUL is as good as any other byte
        hidden = opened.unix("\0" + name[1:])
        assert sender.send([b"x"], name) == (1, [])
        assert dl.heard(hidden, 1) == [b"x"]


@pytest.mark.parametrize(
    "path", ["/" + "x" * 108, b"y" * 108, "z" * 5000, "@" + "a" * 108, Path("b" * 108)], ids=lambda path: str(path)[:2]
)
def test_a_path_that_is_too_long(opened: dl.Opened, path: Any) -> None:
    sender = nf.DatagramBatch(opened.unix())
    sends: list[Callable[[], object]] = [
        lambda: sender.send([b"x"], path),
        lambda: sender.send([b"x", b"y"], ["@nobody", path]),
        lambda: sender.send_segments(b"x", 1, path),
    ]
    for send in sends:
        with pytest.raises(OSError, match=r".") as caught:
            send()
        assert caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize(
    "wrong",
    [
        ("::1", 9, -1, 0),
        ("::1", 9, 2**32, 0),
        ("::1", 9, 0, 2**40),
        ("::1", 9, 0, -1),
        ("::1", 9, "a"),
        ("::1", 9, None),
        ("::1", 9, 0, None),
        ("::1", 9, 0, 1.5),
        ("::1", 9, 2**70, 2**70),
        ("fe80::1%99999999999999", 9),
        ("fe80::1%4294967296", 9),
        ("fe80::1%99999999999999", 9, 0, 0),
    ],
    ids=repr,
)
def test_an_address_that_is_none(opened: dl.Opened, wrong: Any) -> None:
    sender = nf.DatagramBatch(opened.udp("::1"))
    with pytest.raises((TypeError, ValueError), match="address"):
        sender.send([b"x"], wrong)
    with pytest.raises((TypeError, ValueError), match="address"):
        sender.send_segments(b"x", 1, wrong)
    for index in (0, 7):
        with pytest.raises((TypeError, ValueError), match=rf"\baddress\D*\b{index}\b"):
            sender.send([b"x"] * 8, [("::1", 9)] * index + [wrong] + [("::1", 9)] * (7 - index))


def test_a_zone_stays_where_the_last_number_is_0(network: None, opened: dl.Opened) -> None:
    """Two cards with the same network: each datagram goes out through the one that is named."""
    with lab.namespace() as one, lab.namespace() as other:
        cards = [lab.cable(one, other) for _ in range(2)]
        with other.inside():
            receiver = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            receiver.bind(("::", 0))
            port = receiver.getsockname()[1]
        with one.inside():
            sender = nf.DatagramBatch(opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)))
            for near, far in cards:
                host, number = link_local(other, far), socket.if_nametoindex(near)
                for address in (
                    (f"{host}%{near}", port),
                    (f"{host}%{near}", port, 0, 0),
                    (f"{host}%{number}", port, 0, 0),
                    (host, port, 0, number),
                ):
                    assert sender.send([b"one"], address) == (1, [])
                    assert sender.send([b"two"], [address]) == (1, [])
                    assert dl.heard(receiver, 2, timeout=5) == [b"one", b"two"]


def test_an_answer_goes_out_through_the_card_its_question_came_by(network: None, opened: dl.Opened) -> None:
    """Two cards with the same network: who sent a datagram is known by address and zone, also in a column."""
    with lab.namespace() as one, lab.namespace() as other:
        cards = [lab.cable(one, other) for _ in range(2)]
        with one.inside():
            batch = nf.DatagramBatch(opened.udp("::"))
            port = batch.sock.getsockname()[1]
        askers = []
        for near, far in cards:
            host = link_local(one, near)
            with other.inside():
                own = link_local(other, far)
                asker = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                asker.bind((own, 0, 0, socket.if_nametoindex(far)))
                askers.append(asker)
                asker.sendto(far.encode(), (host, port, 0, socket.if_nametoindex(far)))
        questions = dl.taken(batch, 0)
        with one.inside():
            while len(questions) < 2:
                d = batch.recv(timeout=5)
                questions += d.tolist()
                assert batch.send(d, (d.addresses, d.ports)) == (len(d), [])
        for asker, (_, far) in zip(askers, cards, strict=True):
            assert dl.heard(asker, 1, timeout=5) == [far.encode()]


def test_a_zone_of_a_column_that_is_none(network: None, opened: dl.Opened) -> None:
    sender = nf.DatagramBatch(opened.udp("::1"))
    with pytest.raises(ValueError, match=r"address 1: there is no network card 'none0'"):
        sender.send([b"x"] * 3, (nf.parse(["::1", "fe80::1%none0", "fe80::2%none0"]), [9] * 3))
    with pytest.raises(ValueError, match=r"address 1: zone"):
        sender.send([b"x"] * 2, (nf.parse(["::1", "fe80::1%4294967296"]), [9] * 2))
    four = nf.DatagramBatch(opened.udp())
    with pytest.raises(ValueError, match=r"address 1: fe80::1%none0 is IPv6, and the socket IPv4"):
        four.send([b"x"] * 2, (nf.parse(["127.0.0.1", "fe80::1%none0"]), [9] * 2))


@pytest.mark.parametrize("port", ["53", b"53", 53.0, None, True], ids=repr)
def test_a_port_that_is_no_int_is_named_so(opened: dl.Opened, port: Any) -> None:
    sender = nf.DatagramBatch(opened.udp())
    with pytest.raises(TypeError, match=rf"^address: port is {type(port).__name__}; wanted an int$"):
        sender.send([b"x"], ("127.0.0.1", port))
    with pytest.raises(TypeError, match=rf"^address: port is {type(port).__name__}; wanted an int$"):
        sender.send_segments(b"x", 1, ("127.0.0.1", port))
    with pytest.raises(TypeError, match=rf"^ports is {type(port).__name__}; wanted an iterable of ints$"):
        sender.send([b"x"], (nf.parse(["127.0.0.1"]), port))
    with pytest.raises(TypeError, match=rf"^address 1: port is {type(port).__name__}; wanted an int$"):
        sender.send([b"x"] * 2, (nf.parse(["127.0.0.1"] * 2), [7, port]))


def test_addresses_in_a_tuple_are_one_for_each(opened: dl.Opened) -> None:
    sender, receiver = nf.DatagramBatch(opened.udp()), nf.DatagramBatch(opened.udp())
    assert sender.send([b"1", b"2"], (dl.address(receiver.sock), dl.address(receiver.sock))) == (2, [])
    assert dl.rest(receiver) == [b"1", b"2"]
    paths = [abstract(), abstract()]
    receivers = [nf.DatagramBatch(opened.unix(path)) for path in paths]
    told = nf.DatagramBatch(opened.unix()).send([b"1", b"2"], tuple(path.replace("\0", "@") for path in paths))
    assert told == (2, [])
    assert [dl.rest(receiver) for receiver in receivers] == [[b"1"], [b"2"]]


# --- a loop that others use, too ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_flood_leaves_the_loop_to_others(opened: dl.Opened, batch_size: int) -> None:
    batch = nf.DatagramBatch(opened.udp(), batch=batch_size, size=100)
    sender = nf.DatagramBatch(opened.udp())
    where, flood = dl.address(batch.sock), [b"x" * 100] * 640

    async def receive() -> None:
        for _ in await batch.arecv():
            pass

    with over_and_over(lambda: sender.send(flood, where)):
        longest, took = asyncio.run(shared(receive))
    assert longest < 0.25
    assert 0.45 < took < 0.8


@pytest.mark.parametrize("reused", [True, False], ids=["number reused", "number free"])
@pytest.mark.parametrize("kind", ["UDP", "Unix"])
def test_closed_while_a_task_waits(kind: str, reused: bool) -> None:
    async def main() -> None:
        with dl.Opened() as opened:
            name = abstract()
            sock = opened.udp() if kind == "UDP" else opened.unix(name)
            where = sock.getsockname()
            batch = nf.DatagramBatch(sock)
            other = opened.enter_context(Successor(sock))
            task = asyncio.ensure_future(batch.arecv())
            await asyncio.sleep(0.1)
            assert not task.done()
            if reused:
                other.take()
            else:
                sock.close()
            with pytest.raises(OSError, match="closed") as caught:
                await asyncio.wait_for(task, 1)
            nothing_open(caught)
            other.untouched()
            opened.enter_context(socket.socket(sock.family, socket.SOCK_DGRAM)).bind(where)

    run(main())


# --- timeouts and Ctrl-C, while datagrams go ------------------------------------------------------------------------


@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize("batch_size", [64, 1024])
def test_a_send_that_never_waits_does_not_outlast_its_timeout(opened: dl.Opened, gso: bool, batch_size: int) -> None:
    batch = nf.DatagramBatch(opened.connected(opened.udp()), batch=batch_size)
    batch.gso = gso
    datagrams = [b"x" * 100] * 2_000_000
    with dl.lasting(0.2, 0.8):
        sent, errors = batch.send(datagrams, timeout=0.2)
    assert 0 < sent < 2_000_000
    assert errors == []


@pytest.mark.parametrize("gso", [True, False])
def test_ctrl_c_is_heard_while_datagrams_go(opened: dl.Opened, gso: bool) -> None:
    code = f"""
datagrams = [b"x" * 10] * 3_000_000
batch = nf.DatagramBatch(sock, batch=1024)
batch.gso = {gso}
try:
    say("ready")
    batch.send(datagrams)
except KeyboardInterrupt:
    say(time.monotonic())
else:
    say("ended")
"""
    with streams_lab.child(code, opened.connected(opened.udp())) as process:
        assert process.says() == "ready"
        assert 0 < process.interrupt() < 0.3
        process.end()


# --- shut down, and not connected -----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 10.0], ids=["for ever", "timeout"])
def test_shut_while_a_receive_waits(opened: dl.Opened, version: int, timeout: float | None) -> None:
    far = opened.udp(dl.LOOPBACK[version])
    batch = nf.DatagramBatch(opened.connected(far))
    with ended_by(lambda: batch.sock.shutdown(socket.SHUT_RD), errno.ESHUTDOWN):
        batch.recv(timeout=timeout)


def test_what_came_before_the_shutdown_is_handed_out(opened: dl.Opened, version: int) -> None:
    far = opened.udp(dl.LOOPBACK[version])
    batch = nf.DatagramBatch(opened.connected(far), batch=2)
    for text in (b"1", b"2", b"3"):
        far.send(text)
    batch.sock.shutdown(socket.SHUT_RD)
    assert batch.recv(timeout=5).tolist() == [b"1", b"2"]
    assert batch.recv(timeout=5).tolist() == [b"3"]
    for _ in range(2):
        with dl.lasting(0, 0.3), pytest.raises(OSError, match=r".") as caught:
            batch.recv(timeout=5)
        assert caught.value.errno == errno.ESHUTDOWN


def test_shut_while_a_task_waits(opened: dl.Opened, version: int) -> None:
    far = opened.udp(dl.LOOPBACK[version])
    batch = nf.DatagramBatch(opened.connected(far), batch=2)

    async def main() -> None:
        task = asyncio.ensure_future(batch.arecv())
        await asyncio.sleep(0.1)
        assert not task.done()
        batch.sock.shutdown(socket.SHUT_RD)
        with pytest.raises(OSError, match=r".") as caught:
            await asyncio.wait_for(task, 1)
        assert caught.value.errno == errno.ESHUTDOWN

    run(main())


def test_what_came_before_the_shutdown_is_handed_out_to_a_task(opened: dl.Opened, version: int) -> None:
    far = opened.udp(dl.LOOPBACK[version])
    batch = nf.DatagramBatch(opened.connected(far), batch=2)
    for text in (b"1", b"2", b"3"):
        far.send(text)
    batch.sock.shutdown(socket.SHUT_RD)

    async def main() -> None:
        assert (await asyncio.wait_for(batch.arecv(), 1)).tolist() == [b"1", b"2"]
        assert (await asyncio.wait_for(batch.arecv(), 1)).tolist() == [b"3"]
        with pytest.raises(OSError, match=r".") as caught:
            await asyncio.wait_for(batch.arecv(), 1)
        assert caught.value.errno == errno.ESHUTDOWN

    run(main())


SENDS: dict[str, Callable[[nf.DatagramBatch], object]] = {
    "one": lambda batch: batch.send([b"x"]),
    "many": lambda batch: batch.send([b"x"] * 1_000_000),
    "with a timeout": lambda batch: batch.send([b"x", b"yy"], timeout=5),
    "without waiting": lambda batch: batch.send([b"x", b"yy"], timeout=0),
    "segments": lambda batch: batch.send_segments(b"xxx", 1),
}
every_send = pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())


@every_send
@pytest.mark.parametrize(
    ("kind", "number"),
    [("127.0.0.1", errno.EDESTADDRREQ), ("::1", errno.EDESTADDRREQ), ("Unix", errno.ENOTCONN)],
    ids=["IPv4", "IPv6", "Unix"],
)
def test_nowhere_to_send(opened: dl.Opened, kind: str, number: int, send: Callable[[nf.DatagramBatch], object]) -> None:
    batch = nf.DatagramBatch(opened.unix() if kind == "Unix" else opened.udp(kind))
    with dl.lasting(0, 0.3), pytest.raises(OSError, match=r".") as caught:
        send(batch)
    assert caught.value.errno == number
    assert sent_by(caught.value) == 0


@every_send
@pytest.mark.parametrize("kind", ["127.0.0.1", "::1", "Unix"], ids=["IPv4", "IPv6", "Unix"])
def test_sending_is_shut(opened: dl.Opened, kind: str, send: Callable[[nf.DatagramBatch], object]) -> None:
    if kind == "Unix":
        sock, _ = map(opened.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    else:
        sock = opened.connected(opened.udp(kind))
    batch = nf.DatagramBatch(sock)
    sock.shutdown(socket.SHUT_WR)
    with dl.lasting(0, 0.3), pytest.raises(BrokenPipeError) as caught:
        send(batch)
    assert caught.value.errno == errno.EPIPE
    assert sent_by(caught.value) == 0


def test_what_went_before_the_shutdown_is_told(opened: dl.Opened) -> None:
    full = Full(opened, connected=False)
    dl.heard(full.receiver, 3)
    with ended_by(lambda: full.sender.shutdown(socket.SHUT_WR), errno.EPIPE, within=1) as caught:
        full.send(500, timeout=10)
    told = sent_by(caught.value)
    found = dl.rest(nf.DatagramBatch(full.receiver))[full.waiting - 3 :]
    assert found == [b"%d" % index for index in range(told)]
    assert told >= 3


def test_what_went_before_the_shutdown_is_told_of_udp(opened: dl.Opened) -> None:
    receiver = opened.udp()
    batch = nf.DatagramBatch(opened.connected(receiver))
    batch.gso = False
    receiver.settimeout(10)

    def shut_in_the_middle() -> None:
        receiver.recv(100)
        batch.sock.shutdown(socket.SHUT_WR)

    with streams_lab.beside(shut_in_the_middle), pytest.raises(BrokenPipeError) as caught:
        batch.send([b"x" * 100] * 3_000_000, timeout=10)
    assert 0 < sent_by(caught.value) < 3_000_000


# --- what are no datagrams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [5, None, 1.5, b"bytes", bytearray(b"bytes"), "text"], ids=repr)
def test_what_was_wanted_is_said(opened: dl.Opened, wrong: Any) -> None:
    batch = nf.DatagramBatch(opened.udp())
    with pytest.raises(TypeError, match="wanted an iterable of bytes-like objects"):
        batch.send(wrong, dl.address(batch.sock))
    assert dl.rest(batch) == []


@pytest.mark.parametrize("wrong", ["text", 5, None, ["a"]], ids=repr)
def test_what_is_no_buffer_of_segments_is_named_so(opened: dl.Opened, wrong: Any) -> None:
    batch = nf.DatagramBatch(opened.udp())
    with pytest.raises(TypeError, match=rf"^buffer is {type(wrong).__name__}; wanted bytes, or an object of"):
        batch.send_segments(wrong, 3, dl.address(batch.sock))
    with pytest.raises(BufferError, match=r"^buffer: .*contiguous"):
        batch.send_segments(memoryview(b"every other")[::2], 3, dl.address(batch.sock))
    released = memoryview(b"x")
    released.release()
    with pytest.raises(ValueError, match=r"^buffer: .*released"):
        batch.send_segments(released, 3, dl.address(batch.sock))
    assert dl.rest(batch) == []
