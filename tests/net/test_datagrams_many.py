"""A million datagrams: every byte is accounted for, and every one that is lost is counted."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections.abc import Sequence

import pytest

import netfast as nf
from net import datagrams_lab as dl

MILLION = 1_000_000


def mixed(seed: int, count: int, *, longest: int = 1472) -> list[int]:
    """Sizes as they come: runs of equal ones, such as go as one send, and single ones."""
    chance, sizes = random.Random(seed), list[int]()
    while len(sizes) < count:
        run = chance.choice([1, 1, 2, 3, 10, 70])
        sizes += [chance.choice([12, 13, 64, 512, 1200, longest, chance.randint(12, longest)])] * run
    return sizes[:count]


def window(sock: socket.socket) -> int:
    """How many datagrams of mixed sizes surely have room at the socket."""
    room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return max(8, min(2048, room // 8192))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "gso", "gro"), [(4, False, False), (6, True, False), (4, True, True), (6, True, True)]
)
def test_every_byte_of_a_million_datagrams(opened: dl.Opened, version: int, gso: bool, gro: bool) -> None:
    sock = opened.udp(dl.LOOPBACK[version])
    receiver = nf.DatagramBatch(sock, batch=256, gro=gro)
    sender = nf.DatagramBatch(opened.udp(dl.LOOPBACK[version]), batch=256)
    if not gso:
        sender.gso = False
    sizes = mixed(version, MILLION)
    step = window(sock)
    free = threading.Semaphore(0)  # a permit: so many datagrams as a step has may be sent
    errors: list[BaseException] = []

    def send() -> None:
        try:
            for start in range(0, MILLION, step):
                if not free.acquire(timeout=20):
                    raise TimeoutError("the receiver takes nothing any more")
                part = [dl.numbered(start + i, size) for i, size in enumerate(sizes[start : start + step])]
                assert sender.send(part, dl.address(sock)) == (len(part), [])
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    free.release()
    free.release()
    got = bytes_got = 0
    try:
        while got < MILLION:
            d = receiver.recv(timeout=5)
            before = got
            for view in d:
                assert dl.number_of(view) == got
                assert len(view) == sizes[got]
                got += 1
            bytes_got += d.bytes_total
            for _ in range(got // step - before // step):
                free.release()
    finally:
        for _ in range(MILLION // step + 1):
            free.release()
        thread.join()
    assert not errors
    assert bytes_got == sum(sizes)
    assert receiver.dropped == 0
    assert dl.rest(receiver) == []


def in_order(datagrams: Sequence[bytes]) -> int:
    """How many there are: each whole, none twice, none before an earlier one."""
    numbers = [dl.number_of(datagram) for datagram in datagrams]
    assert all(one < other for one, other in itertools.pairwise(numbers))
    return len(numbers)


@pytest.mark.parametrize("gso", [False, True], ids=["plain", "gso"])
def test_what_comes_and_what_is_dropped_is_what_was_sent(opened: dl.Opened, version: int, gso: bool) -> None:
    """Nobody receives while a burst is sent; and SO_RXQ_OVFL, which a later datagram brings, is not yet there."""
    sock = opened.udp(dl.LOOPBACK[version], room=20_000)
    receiver, sender = nf.DatagramBatch(sock), nf.DatagramBatch(opened.udp(dl.LOOPBACK[version]))
    if not gso:
        sender.gso = False
    assert receiver.dropped == 0
    sent = received = 0
    for _ in range(5):
        part = [dl.numbered(sent + i, 500) for i in range(1000)]
        assert sender.send(part, dl.address(sock)) == (1000, [])
        sent += 1000
        received += in_order(dl.rest(receiver))
        assert 0 < received < sent
        assert receiver.dropped == sent - received


def test_with_gro_a_piece_is_dropped_as_one(opened: dl.Opened) -> None:
    """The kernel counts what it has put together, not what is in it."""
    sock = opened.udp(room=200_000)
    receiver, sender = nf.DatagramBatch(sock, gro=True), nf.DatagramBatch(opened.udp())
    sent = [dl.numbered(i, 500) for i in range(6400)]
    assert sender.send(sent, dl.address(sock)) == (6400, [])
    received = dl.rest(receiver)
    assert 0 < len(received) < 6400
    assert received == sent[: len(received)]
    assert len(received) / dl.MOST_SEGMENTS + receiver.dropped == 100


def test_a_hundred_and_nothing_after(opened: dl.Opened) -> None:
    sock = opened.udp(room=20_000)
    batch = nf.DatagramBatch(sock, batch=128)
    with opened.udp() as sender:
        for number in range(100):
            sender.sendto(dl.numbered(number, 1000), dl.address(sock))
    assert 0 < batch.dropped < 100  # before anything is received, too
    d = batch.recv(timeout=1)
    assert len(d) + batch.dropped == 100
    assert batch.dropped == dl.drops(sock)


def test_datagrams_say_what_was_dropped_before_the_last_of_them(opened: dl.Opened) -> None:
    sock, sender = opened.udp(room=20_000), opened.udp()
    batch = nf.DatagramBatch(sock, batch=128)
    for number in range(100):
        sender.sendto(dl.numbered(number, 1000), dl.address(sock))
    first = batch.recv(timeout=1)
    assert first.dropped == 0  # the last of these had come before anything was dropped
    sender.sendto(dl.numbered(100, 1000), dl.address(sock))
    second = batch.recv(timeout=1)
    assert second.dropped == 100 - len(first) == batch.dropped
    sender.sendto(dl.numbered(101, 1000), dl.address(sock))
    assert batch.recv(timeout=1).dropped == second.dropped  # since the beginning, not since the last receive


def test_drops_before_the_batch_are_not_its_own(opened: dl.Opened) -> None:
    sock, sender = opened.udp(room=20_000), opened.udp()
    for number in range(100):
        sender.sendto(dl.numbered(number, 1000), dl.address(sock))
    assert dl.drops(sock) > 0
    batch = nf.DatagramBatch(sock, batch=128)
    assert batch.dropped == 0
    assert len(dl.rest(batch)) == 100 - dl.drops(sock)
    before = dl.drops(sock)
    for number in range(100):
        sender.sendto(dl.numbered(number, 1000), dl.address(sock))
    assert batch.dropped == dl.drops(sock) - before > 0
    assert len(dl.rest(batch)) + batch.dropped == 100


@pytest.mark.slow
def test_a_receiver_that_does_not_keep_up_knows_what_it_missed(opened: dl.Opened) -> None:
    """A sender at full speed, a receiver that falls asleep now and then."""
    sock = opened.udp(room=100_000)
    receiver, sender = nf.DatagramBatch(sock), nf.DatagramBatch(opened.udp())
    sizes = mixed(7, 200_000)
    done = threading.Event()
    errors: list[BaseException] = []

    def send() -> None:
        try:
            for start in range(0, len(sizes), 500):
                part = [dl.numbered(start + i, size) for i, size in enumerate(sizes[start : start + 500])]
                assert sender.send(part, dl.address(sock)) == (len(part), [])
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=send)
    thread.start()
    received, last, turns = 0, -1, 0
    while True:
        over = done.is_set()  # asked before the receive: what comes after it has all been sent
        try:
            datagrams = receiver.recv(timeout=0 if over else 0.05)
        except TimeoutError:
            if over:
                break
            continue
        for view in datagrams:
            number = dl.number_of(view)
            assert number > last
            assert len(view) == sizes[number]
            last = number
        received += len(datagrams)
        turns += 1
        if turns % 50 == 0:
            time.sleep(0.01)
    thread.join()
    assert not errors
    assert 0 < receiver.dropped < len(sizes)
    assert received + receiver.dropped == len(sizes)


def test_unix_sockets_drop_nothing(opened: dl.Opened) -> None:
    sock = opened.unix(b"\0netfast-%d-many" % threading.get_native_id())
    receiver, sender = nf.DatagramBatch(sock), nf.DatagramBatch(opened.unix())
    sender.sock.connect(sock.getsockname())
    sizes = mixed(3, 100_000, longest=1900)
    sent: list[nf.SendResult] = []

    def send() -> None:
        sent.append(sender.send((dl.numbered(i, size) for i, size in enumerate(sizes)), timeout=30))

    thread = threading.Thread(target=send)
    thread.start()
    datagrams = dl.taken(receiver, len(sizes))
    thread.join()
    assert sent == [(len(sizes), [])]
    assert [dl.number_of(datagram) for datagram in datagrams] == list(range(len(sizes)))
    assert [len(datagram) for datagram in datagrams] == sizes
    assert receiver.dropped == 0
