"""DatagramBatch: what it says of each datagram, on which sockets, how long it waits, and what it refuses."""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import gc
import itertools
import json
import math
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import netfast as nf
from net import datagrams_lab as dl, lab

T = TypeVar("T")
_names = itertools.count()


@pytest.fixture
def pair(opened: dl.Opened, version: int) -> tuple[nf.DatagramBatch, nf.DatagramBatch]:
    """Two that are not connected, of either version."""
    host = dl.LOOPBACK[version]
    return nf.DatagramBatch(opened.udp(host)), nf.DatagramBatch(opened.udp(host))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name short enough for the paths of sockets."""
    with tempfile.TemporaryDirectory(prefix="nf") as name:
        yield Path(name)


def hosts_of(d: nf.Datagrams) -> list[str | None]:
    """Who sent each, as text."""
    assert isinstance(d.addresses, nf.AddressArray)
    return d.addresses.to_list()


def abstract() -> str:
    """A name that nobody else has, as the kernel's sockets write it: b"\\0..."."""
    return f"\0netfast-{os.getpid()}-{next(_names)}"


# --- fields ---------------------------------------------------------------------------------------------------------


def test_fields(opened: dl.Opened, version: int) -> None:
    host = dl.LOOPBACK[version]
    batch = nf.DatagramBatch(opened.udp(host), size=100)
    one, other = opened.udp(host), opened.udp(host)
    sent = [(one, b"first"), (other, b""), (one, b"x" * 100), (other, b"y" * 101), (one, b"\0")]
    before = time.time_ns()
    for sender, datagram in sent:
        sender.sendto(datagram, dl.address(batch.sock))
    d = batch.recv(timeout=5)
    after = time.time_ns()
    assert isinstance(d, nf.Datagrams)
    assert len(d) == 5
    assert d.tolist() == [b"first", b"", b"x" * 100, b"y" * 100, b"\0"]
    assert [bytes(view) for view in d] == d.tolist()
    assert (d.lengths.dtype, d.lengths.tolist()) == (np.dtype("uint32"), [5, 0, 100, 100, 1])
    assert hosts_of(d) == [host] * 5
    assert isinstance(d.addresses, nf.AddressArray)
    assert d.addresses.version.tolist() == [version] * 5
    ports = [sender.getsockname()[1] for sender, _ in sent]
    assert (d.ports.dtype, d.ports.tolist()) == (np.dtype("uint16"), ports)
    assert (d.timestamps.dtype, d.timestamps.shape) == (np.dtype("int64"), (5,))
    assert all(before - 10_000_000 <= stamp <= after for stamp in d.timestamps.tolist())
    assert (d.truncated.dtype, d.truncated.tolist()) == (np.dtype("bool"), [False, False, False, True, False])
    assert (d.dropped, d.bytes_total) == (0, 206)
    assert type(d.dropped) is type(d.bytes_total) is int


def test_columns_stay_as_they_are(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    batch, sender = pair
    sender.send([b"a", b"bb"], dl.address(batch.sock))
    d = batch.recv(timeout=5)
    told = [c.tolist() for c in (d.lengths, d.ports, d.timestamps, d.truncated)] + [hosts_of(d)]
    for _ in range(5):
        sender.send([b"x" * 9] * 3, dl.address(batch.sock))
        batch.recv(timeout=5)
    assert [c.tolist() for c in (d.lengths, d.ports, d.timestamps, d.truncated)] + [hosts_of(d)] == told


def test_indices(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    texts = [b"zero", b"one", b"two", b"three"]
    for text in texts:
        sender.sendto(text, dl.address(batch.sock))
    d = batch.recv(timeout=5)
    assert [bytes(d[i]) for i in range(-4, 4)] == texts + texts
    assert bytes(d[np.int64(2)]) == b"two"
    assert isinstance(d[1], memoryview)
    for part in (slice(None), slice(1, 3), slice(None, None, -1), slice(9, 12), slice(-2, None), slice(0, 4, 2)):
        views = d[part]
        assert isinstance(views, list)
        assert all(isinstance(view, memoryview) for view in views)
        assert [bytes(view) for view in views] == texts[part]
    for bad in (4, -5, 1 << 70):
        with pytest.raises(IndexError):
            d[bad]
    for wrong in ("1", 1.0, None):
        with pytest.raises(TypeError):
            d[wrong]
    assert list(reversed(d)) == [memoryview(text) for text in reversed(texts)]
    assert memoryview(b"two") in d


def test_representations_are_short(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    for _ in range(3):
        sender.sendto(b"x" * 1000, dl.address(batch.sock))
    text = repr(batch.recv(timeout=5))
    assert text.startswith("<Datagrams")
    assert "3" in text
    assert "3,000" in text or "3000" in text
    assert len(text) < 120
    assert "DatagramBatch" in repr(batch)
    assert len(repr(batch)) < 250


@pytest.mark.parametrize("size", [1, 2, 100, 2048, 65_507])
def test_a_byte_too_long_is_cut(opened: dl.Opened, size: int) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), size=size), opened.udp()
    sizes = [max(0, size - 1), size, min(size + 1, dl.LONGEST), dl.LONGEST]
    for length in sizes:
        sender.sendto(bytes(length), dl.address(batch.sock))
    d = batch.recv(timeout=5)
    assert d.lengths.tolist() == [len(view) for view in d] == [min(length, size) for length in sizes]
    assert d.truncated.tolist() == [length > size for length in sizes]
    assert d.bytes_total == sum(min(length, size) for length in sizes)


def test_the_longest_of_ipv6(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp("::1"), size=65_535), nf.DatagramBatch(opened.udp("::1"))
    datagram = os.urandom(65_527)
    assert sender.send([datagram], dl.address(batch.sock)) == (1, [])
    assert batch.recv(timeout=5).tolist() == [datagram]
    assert sender.send([b"x" * 65_528], dl.address(batch.sock)) == (0, [(0, errno.EMSGSIZE)])


def test_nothing_in_a_datagram_is_something(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    batch, sender = pair
    assert sender.send([b""], dl.address(batch.sock)) == (1, [])
    d = batch.recv(timeout=5)
    assert (len(d), d.tolist(), d.bytes_total, d.truncated.tolist()) == (1, [b""], 0, [False])
    assert sender.send([b""] * 100, dl.address(batch.sock)) == (100, [])
    assert dl.rest(batch) == [b""] * 100
    mixed = [b"", b"a", b"", b"", b"bc", b"de", b""]
    assert sender.send(mixed, dl.address(batch.sock)) == (7, [])
    assert dl.rest(batch) == mixed


@pytest.mark.parametrize("batch_size", [1, 2, 63, 64, 1000, 1024])
def test_a_receive_takes_as_many_as_the_batch_has(opened: dl.Opened, batch_size: int) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), batch=batch_size, size=64), nf.DatagramBatch(opened.udp())
    assert sender.send([dl.numbered(i, 20) for i in range(1100)], dl.address(batch.sock)) == (1100, [])
    lengths: list[int] = []
    numbers: list[int] = []
    while len(numbers) < 1100:
        d = batch.recv(timeout=5)
        lengths.append(len(d))
        numbers += [dl.number_of(view) for view in d]
    assert lengths[:-1] == [batch_size] * (len(lengths) - 1)
    assert numbers == list(range(1100))


def test_timestamps_are_those_of_arrival(opened: dl.Opened, version: int) -> None:
    host = dl.LOOPBACK[version]
    batch, sender = nf.DatagramBatch(opened.udp(host)), opened.udp(host)
    time.sleep(0.05)  # the kernel begins to stamp a little after it is asked to
    windows = []
    for _ in range(5):
        before = time.time_ns()
        sender.sendto(b"x", dl.address(batch.sock))
        windows.append((before, time.time_ns()))
        time.sleep(0.02)
    stamps = batch.recv(timeout=5).timestamps.tolist()
    for (before, after), stamp in zip(windows, stamps, strict=True):
        assert before - 1_000_000 <= stamp <= after + 1_000_000


# --- kinds of sockets -----------------------------------------------------------------------------------------------


def test_connected(opened: dl.Opened, version: int) -> None:
    one = opened.udp(dl.LOOPBACK[version])
    other = opened.connected(one)
    stranger = opened.udp(dl.LOOPBACK[version])
    left, right = nf.DatagramBatch(one), nf.DatagramBatch(other)
    assert left.send([b"a", b"bc", b""]) == (3, [])
    stranger.sendto(b"from a stranger", dl.address(other))
    d = right.recv(timeout=5)
    assert d.tolist() == [b"a", b"bc", b""]
    assert d.ports.tolist() == [one.getsockname()[1]] * 3
    assert hosts_of(d) == [dl.LOOPBACK[version]] * 3
    with pytest.raises(TimeoutError):
        right.recv(timeout=0)


def test_dual_stack(opened: dl.Opened) -> None:
    sock = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    batch, port = nf.DatagramBatch(sock), sock.getsockname()[1]
    four, six = opened.udp(), opened.udp("::1")
    four.sendto(b"4", ("127.0.0.1", port))
    six.sendto(b"6", ("::1", port))
    d = batch.recv(timeout=5)
    assert d.tolist() == [b"4", b"6"]
    assert hosts_of(d) == ["::ffff:127.0.0.1", "::1"]
    assert d.ports.tolist() == [dl.address(four)[1], dl.address(six)[1]]
    # Answers go where the datagrams came from.
    assert batch.send([b"to 4", b"to 6"], (d.addresses, d.ports)) == (2, [])
    assert dl.heard(four, 1) == [b"to 4"]
    assert dl.heard(six, 1) == [b"to 6"]
    assert batch.send([b"again"], ("::ffff:127.0.0.1", dl.address(four)[1])) == (1, [])
    assert dl.heard(four, 1) == [b"again"]


def test_link_local_addresses_have_their_card(network: None, opened: dl.Opened) -> None:
    with lab.namespace() as one, lab.namespace() as other:
        near_card, far_card = lab.cable(one, other)
        with one.inside():
            near = link_local(one, near_card)
            far = link_local(other, far_card)
            sock = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            sock.bind(("::", 0))
            port = sock.getsockname()[1]
            batch = nf.DatagramBatch(sock)
            with other.inside():
                peer = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                peer.bind(("::", 0))
                index = socket.if_nametoindex(far_card)
            peer.sendto(b"hello", (near, port, 0, index))
            d = batch.recv(timeout=5)
            assert hosts_of(d) == [f"{far}%{near_card}"]
            assert isinstance(d.addresses, nf.AddressArray)
            assert d.addresses.zone == [near_card]
            assert batch.send([b"by name"], (f"{far}%{near_card}", int(d.ports[0]))) == (1, [])
            assert batch.send([b"back"], (d.addresses, d.ports)) == (1, [])
            number = socket.if_nametoindex(near_card)
            assert batch.send([b"by number"], (f"{far}%{number}", int(d.ports[0]))) == (1, [])
            assert dl.heard(peer, 3) == [b"by name", b"back", b"by number"]
            with pytest.raises((ValueError, OSError), match="no-such-card"):
                batch.send([b"x"], (f"{far}%no-such-card", 7))


def link_local(host: lab.Namespace, card: str) -> str:
    """Once the kernel has made sure that nobody else has it: before, nothing is sent from it or taken for it."""
    deadline = time.monotonic() + 10
    while True:
        cards = json.loads(host.run("ip", "-j", "-6", "addr", "show", "dev", card, "scope", "link"))
        for address in cards[0].get("addr_info", ()) if cards else ():
            if not address.get("tentative"):
                found: str = address["local"]
                return found
        assert time.monotonic() < deadline, f"{card} has no address"
        time.sleep(0.01)


def test_unix(opened: dl.Opened, folder: Path) -> None:
    path, name = str(folder / "here"), abstract()
    batch = nf.DatagramBatch(opened.unix(path))
    named, hidden, unnamed = opened.unix(str(folder / "there")), opened.unix(name), opened.unix()
    for sender, text in ((named, b"path"), (hidden, b"abstract"), (unnamed, b"unnamed")):
        sender.sendto(text, path)
    d = batch.recv(timeout=5)
    assert d.tolist() == [b"path", b"abstract", b"unnamed"]
    assert d.addresses == [str(folder / "there"), f"@{name[1:]}", None]
    assert d.ports.tolist() == [0, 0, 0]
    assert d.truncated.tolist() == [False] * 3
    now = time.time_ns()
    assert all(stamp == 0 or abs(stamp - now) < 10**9 for stamp in d.timestamps.tolist())
    assert (d.dropped, batch.dropped, d.bytes_total) == (0, 0, 19)
    # One for all, and one each.
    assert batch.send([b"1", b"2"], str(folder / "there")) == (2, [])
    assert batch.send([b"3", b"4"], [f"@{name[1:]}", str(folder / "there")]) == (2, [])
    assert dl.heard(named, 3) == [b"1", b"2", b"4"]
    assert dl.heard(hidden, 1) == [b"3"]


def test_unix_cuts_and_takes_nothing(opened: dl.Opened) -> None:
    name = abstract()
    batch, sender = nf.DatagramBatch(opened.unix(name), size=10), nf.DatagramBatch(opened.unix())
    sender.sock.connect(name)
    assert sender.send([b"", b"x" * 10, b"y" * 11]) == (3, [])
    d = batch.recv(timeout=5)
    assert d.tolist() == [b"", b"x" * 10, b"y" * 10]
    assert d.truncated.tolist() == [False, False, True]
    long = os.urandom(65_535)
    wide = nf.DatagramBatch(batch.sock, size=65_535)
    assert sender.send([long, long[1:]]) == (2, [])
    assert wide.recv(timeout=5).tolist() == [long, long[1:]]


def test_unix_names_of_any_bytes(opened: dl.Opened, folder: Path) -> None:
    receiver = nf.DatagramBatch(opened.unix(abstract()))
    where = f"@{receiver.sock.getsockname()[1:].decode()}"
    longest = os.fsencode(folder / "x") + b"y" * (106 - len(os.fsencode(folder)) - 1)
    assert len(longest) == 107
    names = [b"\0nf\xff\xfe-%d" % os.getpid(), b"\0nf\0in-the-middle-%d" % os.getpid(), longest]
    names += [os.fsencode(folder) + b"/\xe9\xff", b"\0" + b"z" * 107]
    for name in names:
        peer = opened.unix(name)
        peer.connect(receiver.sock.getsockname())
        peer.send(b"x")
        addresses = receiver.recv(timeout=5).addresses
        assert isinstance(addresses, list)
        (told,) = addresses
        assert told == os.fsdecode(name.replace(b"\0", b"@", 1) if name[:1] == b"\0" else name)
        peer.connect(receiver.sock.getsockname())
        assert receiver.send([b"back"], told) == (1, [])
        assert dl.heard(peer, 1) == [b"back"]
    with pytest.raises(OSError, match="109 bytes, and a Unix socket has at most 107") as raised:
        receiver.send([b"x"], "/" + "x" * 108)
    assert raised.value.errno == errno.ENAMETOOLONG
    assert receiver.send([b"to itself"], where) == (1, [])


def test_unix_destinations_that_are_not_there(opened: dl.Opened, folder: Path) -> None:
    sock, dead = opened.unix(str(folder / "alive")), opened.unix(str(folder / "dead"))
    dead.close()
    paths = [str(folder / name) for name in ("alive", "missing", "alive", "dead")]
    result = nf.DatagramBatch(opened.unix()).send([b"1", b"2", b"3", b"4"], paths)
    assert result == (2, [(1, errno.ENOENT), (3, errno.ECONNREFUSED)])
    assert dl.heard(sock, 2) == [b"1", b"3"]


def test_a_subclass_is_a_socket(opened: dl.Opened) -> None:
    class Mine(socket.socket):
        pass

    sock = opened.enter_context(Mine(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(("127.0.0.1", 0))
    batch = nf.DatagramBatch(sock)
    assert batch.sock is sock
    batch.send([b"x"], dl.address(sock))
    assert batch.recv(timeout=1).tolist() == [b"x"]


def test_wrong_kinds(opened: dl.Opened) -> None:
    kinds = [
        (socket.AF_INET, socket.SOCK_STREAM, 0),
        (socket.AF_INET6, socket.SOCK_STREAM, 0),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
        (socket.AF_NETLINK, socket.SOCK_DGRAM, 0),
    ]
    if os.geteuid() == 0:
        kinds += [(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP), (socket.AF_PACKET, socket.SOCK_DGRAM, 0)]
    for kind in kinds:
        with socket.socket(*kind) as sock, pytest.raises(ValueError, match=r"(?i)datagram|udp"):
            nf.DatagramBatch(sock)
    for wrong in (None, 3, "socket", opened.udp().fileno()):
        with pytest.raises(TypeError):
            nf.DatagramBatch(wrong)  # type: ignore[arg-type]
    with pytest.raises((ValueError, OSError)):
        nf.DatagramBatch(opened.unix(), gro=True)


def test_arguments(opened: dl.Opened) -> None:
    sock = opened.udp()
    for batch in (0, -1, 1025, 1 << 40):
        with pytest.raises(ValueError, match="batch"):
            nf.DatagramBatch(sock, batch=batch)
    for size in (0, -1, 65_536, 1 << 40):
        with pytest.raises(ValueError, match="size"):
            nf.DatagramBatch(sock, size=size)
    for wrong in ("64", 64.0, None):
        with pytest.raises(TypeError):
            nf.DatagramBatch(sock, batch=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            nf.DatagramBatch(sock, size=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        nf.DatagramBatch(sock, 64)  # type: ignore[call-arg]
    batch_ = nf.DatagramBatch(sock, batch=1024, size=65_535)
    batch_.send([b"x"], dl.address(sock))
    assert batch_.recv(timeout=1).tolist() == [b"x"]
    with pytest.raises(TypeError):
        batch_.recv(1)  # type: ignore[call-arg]


# --- sending --------------------------------------------------------------------------------------------------------


def test_addresses_in_every_form(opened: dl.Opened, version: int) -> None:
    host = dl.LOOPBACK[version]
    sender, one, other = nf.DatagramBatch(opened.udp(host)), opened.udp(host), opened.udp(host)
    to_one, to_other = dl.address(one), dl.address(other)
    ports = np.array([to_one[1], to_other[1]], "uint16")
    texts = [b"a", b"bc"]
    forms: list[Any] = [
        [to_one, to_other],
        (to_one, to_other),
        iter([to_one, to_other]),
        (address for address in (to_one, to_other)),
        (nf.parse([host, host]), ports),
        (nf.parse([host, host]), ports.tolist()),
        (nf.parse([host, host]), ports.astype("int64")),
        (nf.parse([host, host]), np.array([9, *ports, 9])[1:3]),
        (nf.parse([host, host]), np.repeat(ports, 2)[::2]),
    ]
    for form in forms:
        assert sender.send(texts, form) == (2, [])
        assert dl.heard(one, 1) == [b"a"]
        assert dl.heard(other, 1) == [b"bc"]
    result = sender.send(texts, to_one)
    assert isinstance(result, nf.SendResult)
    assert (result.sent, result.errors) == (2, [])
    assert dl.heard(one, 2) == texts
    assert sender.send([], to_one) == (0, [])
    assert sender.send([], []) == (0, [])
    assert sender.send(iter(()), to_one) == (0, [])


def test_bytes_in_every_form(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    receiver, sender = pair
    forms: list[Any] = [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        memoryview(b"slice of it")[3:7],
        memoryview(bytearray(b"writable")),
        array.array("I", [1, 2, 3]),
        np.arange(5, dtype="int32"),
        np.zeros((3, 4), "uint8"),
        memoryview(b""),
    ]
    wanted = [memoryview(form).tobytes() for form in forms]
    assert sender.send(forms, dl.address(receiver.sock)) == (len(forms), [])
    assert dl.rest(receiver) == wanted
    assert sender.send((bytes([i]) * (i % 100) for i in range(256)), dl.address(receiver.sock)) == (256, [])
    assert dl.rest(receiver) == [bytes([i]) * (i % 100) for i in range(256)]
    assert sender.send((os.urandom(64) and memoryview(b"%d" % i) for i in range(99)), dl.address(receiver.sock)) == (
        99,
        [],
    )
    assert dl.rest(receiver) == [b"%d" % i for i in range(99)]


def test_received_views_are_sent_on(opened: dl.Opened) -> None:
    """An echo: what has come goes back as it lies there."""
    one, other = nf.DatagramBatch(opened.udp()), nf.DatagramBatch(opened.udp())
    texts = [dl.numbered(i, 12 + i % 50) for i in range(60)]
    one.send(texts, dl.address(other.sock))
    d = other.recv(timeout=5)
    assert other.send(d, (d.addresses, d.ports)) == (60, [])
    assert dl.rest(one) == texts
    assert other.send(d[::2], dl.address(one.sock)) == (30, [])
    assert dl.rest(one) == texts[::2]


def test_only_whole_buffers_are_sent(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    receiver, sender = pair
    with pytest.raises((BufferError, ValueError, TypeError), match=r"(?i)contiguous"):
        sender.send([b"one", memoryview(b"every other")[::2]], dl.address(receiver.sock))
    with pytest.raises((BufferError, ValueError, TypeError), match=r"(?i)contiguous"):
        sender.send_segments(memoryview(b"every other")[::2], 2, dl.address(receiver.sock))


@pytest.mark.parametrize("wrong", ["text", 3, None, 1.5, ["a"], object()])
def test_the_index_of_what_is_no_bytes(pair: tuple[nf.DatagramBatch, nf.DatagramBatch], wrong: Any) -> None:
    receiver, sender = pair
    for index in (0, 2, 300):
        datagrams: list[Any] = [b"x"] * 400
        datagrams[index] = wrong
        with pytest.raises(TypeError, match=rf"\b{index}\b"):
            sender.send(datagrams, dl.address(receiver.sock))
    dl.rest(receiver)
    assert sender.send([b"fine"], dl.address(receiver.sock)) == (1, [])
    assert dl.rest(receiver) == [b"fine"]


@pytest.mark.parametrize("wrong", ["text", b"bytes", 3, None, bytearray(b"x"), memoryview(b"xy")])
def test_datagrams_are_many(pair: tuple[nf.DatagramBatch, nf.DatagramBatch], wrong: Any) -> None:
    receiver, sender = pair
    with pytest.raises(TypeError):
        sender.send(wrong, dl.address(receiver.sock))
    assert dl.rest(receiver) == []


def test_names_are_not_looked_up(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    _, sender = pair
    for host in ("localhost", "", "<broadcast>", "127.0.0.1 ", "127.1", "1.2.3.4.5", "::g", "example.org"):
        with pytest.raises(ValueError, match=r"address"):
            sender.send([b"x"], (host, 7))
        with pytest.raises(ValueError, match=r"\b1\b"):
            sender.send([b"x", b"y"], [dl.address(sender.sock), (host, 7)])
        with pytest.raises(ValueError, match=r"address"):
            sender.send_segments(b"xx", 1, (host, 7))


def test_wrong_addresses(pair: tuple[nf.DatagramBatch, nf.DatagramBatch], version: int) -> None:
    _, sender = pair
    host = dl.LOOPBACK[version]
    for port in (-1, 65_536, 1 << 70):
        with pytest.raises(ValueError, match="port"):
            sender.send([b"x"], (host, port))
        with pytest.raises(ValueError, match="port"):
            sender.send([b"x"], (nf.parse([host]), np.array([port if port < 1 << 60 else 99_999])))
    sender.send([b"x"], (host, 7))  # what is equal to 7 and no int is no port, whatever was sent before
    wrong: list[Any] = [
        [(host, 7.0)],
        (host, "7"),
        (host, None),
        (host, 7.5),
        host,
        7,
        (host,),
        (None, 7),
        [host, 7],
        b"x",
    ]
    taken = []
    for address in wrong:
        with suppress(TypeError, ValueError):
            taken.append((address, sender.send([b"x"], address)))
    assert taken == []
    for count in (0, 1, 3):
        with pytest.raises(ValueError, match=r"2|many|each"):
            sender.send([b"x", b"y"], [(host, 7)] * count)
        with pytest.raises(ValueError, match=r"2|many|each"):
            sender.send([b"x", b"y"], (nf.parse([host] * count), np.full(count, 7, "uint16")))
    with pytest.raises(ValueError, match=r"2|many|each"):
        sender.send([b"x", b"y"], (nf.parse([host] * 2), np.array([7], "uint16")))


def test_nothing_of_a_wrong_call_is_sent_after_it(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    """What an iterable raises goes through, and nothing of its datagrams turns up in the next send."""
    receiver, sender = pair

    def broken() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        sender.send(broken(), dl.address(receiver.sock))
    assert dl.rest(receiver) in ([], [b"one"], [b"one", b"two"])
    assert sender.send([b"next"], dl.address(receiver.sock)) == (1, [])
    assert dl.rest(receiver) == [b"next"]


def test_an_iterable_may_use_the_batch(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    receiver, sender = pair
    where = dl.address(receiver.sock)

    def nested() -> Iterator[bytes]:
        for index in range(200):
            yield b"outer %03d" % index
            with suppress(RuntimeError):  # one send at a time may be the rule
                sender.send([b"inner %03d" % index] * 2, where)

    assert sender.send(nested(), where) == (200, [])
    found = dl.rest(receiver)
    assert [text for text in found if text.startswith(b"outer")] == [b"outer %03d" % index for index in range(200)]
    assert set(found) <= {b"%s %03d" % (kind, index) for kind in (b"outer", b"inner") for index in range(200)}


def test_buffers_are_free_after_a_send(pair: tuple[nf.DatagramBatch, nf.DatagramBatch]) -> None:
    receiver, sender = pair
    buffer = bytearray(b"free again")
    assert sender.send([buffer, buffer], dl.address(receiver.sock)) == (2, [])
    buffer.clear()  # nothing holds it any longer
    buffer += b"and again"
    assert sender.send_segments(buffer, 3, dl.address(receiver.sock)) == (3, [])
    buffer.clear()
    wrong: list[Any] = [buffer, "no bytes"]
    with pytest.raises(TypeError):
        sender.send(wrong, dl.address(receiver.sock))
    buffer += b"it may grow, too"
    assert dl.rest(receiver) == [b"free again"] * 2 + [b"and", b" ag", b"ain"]


def test_destinations_of_the_other_version(opened: dl.Opened) -> None:
    """To IPv6 from a socket of IPv4, and to IPv4 from one that takes IPv6 only: told, and the rest goes on."""
    sender, receiver = nf.DatagramBatch(opened.udp()), opened.udp()
    try:
        sent, errors = sender.send([b"1", b"2", b"3"], [dl.address(receiver), ("::1", 7), dl.address(receiver)])
    except ValueError as error:
        assert "1" in str(error)  # noqa: PT017
    else:
        assert (sent, [index for index, _ in errors]) == (2, [1])
        assert dl.heard(receiver, 2) == [b"1", b"3"]


def test_ports_the_kernel_refuses(opened: dl.Opened) -> None:
    sender, receiver = nf.DatagramBatch(opened.udp()), opened.udp()
    addresses = [dl.address(receiver), ("127.0.0.1", 0), ("255.255.255.255", 7), dl.address(receiver)]
    sent, errors = sender.send([b"1", b"2", b"3", b"4"], addresses)
    assert sent == 2
    assert errors == [(1, errno.EINVAL), (2, errno.EACCES)] or errors == [(1, errno.EINVAL), (2, errno.ENETUNREACH)]
    assert dl.heard(receiver, 2) == [b"1", b"4"]


def test_a_socket_that_is_not_connected_needs_addresses(opened: dl.Opened) -> None:
    batch = nf.DatagramBatch(opened.udp())
    try:
        sent, errors = batch.send([b"x", b"y"])
    except OSError as error:
        assert error.errno == errno.EDESTADDRREQ  # noqa: PT017
    else:
        assert (sent, errors) == (0, [(0, errno.EDESTADDRREQ), (1, errno.EDESTADDRREQ)])


def test_send_segments(opened: dl.Opened, version: int) -> None:
    host = dl.LOOPBACK[version]
    receiver, sender = nf.DatagramBatch(opened.udp(host), batch=256), nf.DatagramBatch(opened.udp(host))
    where = dl.address(receiver.sock)
    for buffer, segment, wanted in [
        (b"abcdefg", 3, [b"abc", b"def", b"g"]),
        (b"abcdef", 3, [b"abc", b"def"]),
        (b"abc", 3, [b"abc"]),
        (b"abc", 1000, [b"abc"]),
        (bytearray(b"abcd"), 1, [b"a", b"b", b"c", b"d"]),
        (memoryview(b"abcd")[1:], 2, [b"bc", b"d"]),
        (b"x" * 200, 1, [b"x"] * 200),
    ]:
        assert sender.send_segments(buffer, segment, where) == (len(wanted), [])
        assert dl.rest(receiver) == wanted
    assert sender.send_segments(b"", 3, where) == (0, [])
    for bad in (0, -1):
        with pytest.raises(ValueError, match="segment"):
            sender.send_segments(b"abc", bad, where)
    for wrong in ("abc", 3, None, [b"abc"]):
        with pytest.raises(TypeError):
            sender.send_segments(wrong, 3, where)
    with pytest.raises(TypeError):
        sender.send_segments(b"abc", "3", where)  # type: ignore[arg-type]
    assert dl.rest(receiver) == []


# --- how long it waits ----------------------------------------------------------------------------------------------


def later(seconds: float, sender: socket.socket, address: Any, text: bytes = b"late") -> threading.Timer:
    timer = threading.Timer(seconds, sender.sendto, (text, address))
    timer.start()
    return timer


@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_waits_are_as_the_socket_says(opened: dl.Opened, kind: str) -> None:
    sock = opened.udp() if kind == "udp" else opened.unix(abstract())
    sender, batch = opened.udp() if kind == "udp" else opened.unix(), nf.DatagramBatch(sock)
    sock.settimeout(0.2)  # after the batch was made: the setting of the moment counts
    with dl.lasting(0.2, 0.45), pytest.raises(TimeoutError):
        batch.recv()
    sock.setblocking(False)
    with dl.lasting(0, 0.1), pytest.raises(BlockingIOError) as caught:
        batch.recv()
    assert caught.value.errno == errno.EAGAIN
    sock.setblocking(True)
    timer = later(0.3, sender, sock.getsockname())
    with dl.lasting(0.25, 0.6), dl.idle():
        assert batch.recv().tolist() == [b"late"]
    timer.join()
    sock.settimeout(5)
    timer = later(0.2, sender, sock.getsockname())
    with dl.lasting(0.15, 0.5):
        assert batch.recv().tolist() == [b"late"]
    timer.join()


@pytest.mark.parametrize("setting", [None, 0.0, 5.0], ids=["blocking", "not blocking", "timeout"])
def test_a_timeout_of_the_call_counts_more(opened: dl.Opened, setting: float | None) -> None:
    sock, sender = opened.udp(), opened.udp()
    sock.settimeout(setting)
    batch = nf.DatagramBatch(sock)
    for timeout in (0, 0.0, 0.2, 1 / 3):
        with dl.lasting(timeout, timeout + 0.25), dl.idle(1.0), pytest.raises(TimeoutError):
            batch.recv(timeout=timeout)
    timer = later(0.3, sender, dl.address(sock))
    with dl.lasting(0.25, 0.6):
        assert batch.recv(timeout=None).tolist() == [b"late"]
    timer.join()
    enough: list[Any] = [0, 1e-9, 0.2, 1e6, None, np.float64(0.5), np.int32(1)]
    for seconds in enough:
        sender.sendto(b"there", dl.address(sock))
        with dl.lasting(0, 0.1):
            assert batch.recv(timeout=seconds).tolist() == [b"there"]
    assert sock.gettimeout() == setting


def test_wrong_timeouts(opened: dl.Opened) -> None:
    sock = opened.udp()
    batch = nf.DatagramBatch(sock)
    sock.sendto(b"stays", dl.address(sock))
    for bad in (-1, -0.001, math.nan, -math.inf):
        with pytest.raises(ValueError, match="timeout"):
            batch.recv(timeout=bad)
        with pytest.raises(ValueError, match="timeout"):
            batch.send([b"not sent"], dl.address(sock), timeout=bad)
        with pytest.raises(ValueError, match="timeout"):
            batch.send_segments(b"not sent", 3, dl.address(sock), timeout=bad)
    for wrong in ("1", b"1", [1]):
        with pytest.raises(TypeError):
            batch.recv(timeout=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            batch.send([b"not sent"], dl.address(sock), timeout=wrong)  # type: ignore[arg-type]
    assert dl.rest(batch) == [b"stays"]


class Full:
    """A Unix socket that has as many datagrams as it takes, and one that would send it more."""

    def __init__(self, opened: dl.Opened, connected: bool) -> None:
        self.receiver = opened.unix(abstract())
        self.sender = opened.unix()
        self.batch = nf.DatagramBatch(self.sender)
        name = self.receiver.getsockname()
        self.to: str | None = None if connected else f"@{name[1:].decode()}"
        if connected:
            self.sender.connect(name)
        self.waiting = 0
        filler = opened.unix()
        filler.setblocking(False)
        try:
            while True:
                filler.sendto(b"fill", name)
                self.waiting += 1
        except BlockingIOError:
            pass

    def send(self, count: int = 1, **how: Any) -> nf.SendResult:
        return self.batch.send([b"%d" % index for index in range(count)], self.to, **how)


@pytest.fixture(params=[True, False], ids=["connected", "not connected"])
def full(request: pytest.FixtureRequest, opened: dl.Opened) -> Full:
    return Full(opened, request.param)


def test_sends_wait_as_the_socket_says(full: Full) -> None:
    full.sender.settimeout(0.3)
    with dl.lasting(0.3, 0.6), dl.idle(), pytest.raises(TimeoutError):
        full.send()
    full.sender.setblocking(False)
    with dl.lasting(0, 0.1), pytest.raises(BlockingIOError) as caught:
        full.send()
    assert caught.value.errno == errno.EAGAIN
    for setting in (None, 0.0, 5.0):
        full.sender.settimeout(setting)
        for timeout in (0, 0.3):
            with dl.lasting(timeout, timeout + 0.3), dl.idle(1.0), pytest.raises(TimeoutError):
                full.send(timeout=timeout)
    full.sender.setblocking(True)
    timer = threading.Timer(0.3, dl.heard, (full.receiver, full.waiting))
    timer.start()
    with dl.lasting(0.25, 0.7), dl.idle():
        assert full.send() == (1, [])
    timer.join()
    assert dl.heard(full.receiver, 1) == [b"0"]


def test_sends_go_on_when_there_is_room_again(full: Full) -> None:
    """A receiver that takes a few at a time: all come, in order, each once."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(full.send, 500, timeout=20)
        found = dl.heard(full.receiver, full.waiting + 500)
        assert future.result(5) == (500, [])
    assert found == [b"fill"] * full.waiting + [b"%d" % index for index in range(500)]


def test_a_send_holds_its_buffers_while_it_waits(full: Full) -> None:
    full.batch = nf.DatagramBatch(full.sender)
    buffers = [bytearray(b"buffer %d" % index) for index in range(50)]
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(full.batch.send, buffers, full.to, timeout=20)
        time.sleep(0.1)
        for buffer in buffers:
            with pytest.raises(BufferError):
                buffer.clear()
        found = dl.heard(full.receiver, full.waiting + 50)[full.waiting :]
        assert future.result(5) == (50, [])
    assert found == [b"buffer %d" % index for index in range(50)]
    for buffer in buffers:
        buffer.clear()


@pytest.mark.parametrize("how", ["timeout", "timeout of the socket", "not blocking"])
def test_what_a_timeout_cuts_off_is_told(full: Full, how: str) -> None:
    """Those that went before the time was over are counted, and are the first."""
    dl.heard(full.receiver, 3)
    full.sender.settimeout({"timeout": None, "timeout of the socket": 0.2, "not blocking": 0}[how])
    result = full.send(500, **({"timeout": 0.2} if how == "timeout" else {}))
    found = dl.rest(nf.DatagramBatch(full.receiver))[full.waiting - 3 :]
    assert 3 <= len(found) < 500
    assert found == [b"%d" % index for index in range(len(found))]
    assert result == (len(found), [])


def test_cards_are_looked_up_anew(network: None, opened: dl.Opened) -> None:
    """A card that is taken out and put in again has another number, and the same name."""
    with lab.namespace() as one, lab.namespace() as other, one.inside():
        sock = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        batch = nf.DatagramBatch(sock)
        numbers = set()
        for _ in range(2):
            one.ip(f"link add nfcard type veth peer name nfpeer netns {other.path}", "link set nfcard up")
            other.ip("link set nfpeer up")
            numbers.add(socket.if_nametoindex("nfcard"))
            assert batch.send([b"x"], ("ff02::1%nfcard", 9)) == (1, [])
            one.ip("link del nfcard")
        assert len(numbers) == 2


def test_a_timeout_is_of_the_whole_call(opened: dl.Opened) -> None:
    """Signals that a handler takes do not begin it anew."""
    batch, rings = nf.DatagramBatch(opened.udp()), []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: rings.append(number))
    main, stop = threading.main_thread().ident, threading.Event()
    assert main is not None

    def ring() -> None:
        while not stop.wait(0.005):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=ring)
    thread.start()
    try:
        with dl.lasting(0.5, 0.7), pytest.raises(TimeoutError):
            batch.recv(timeout=0.5)
        timer = later(0.2, batch.sock, dl.address(batch.sock))
        with dl.lasting(0.15, 0.4):
            assert batch.recv(timeout=2).tolist() == [b"late"]
        timer.join()
    finally:
        stop.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(rings) > 20


def test_what_a_handler_raises_ends_the_wait(opened: dl.Opened) -> None:
    batch = nf.DatagramBatch(opened.udp())
    main = threading.main_thread().ident
    assert main is not None

    def stop(number: int, frame: object) -> None:
        raise LookupError("enough")

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        for delay in (0.0, 0.0001, 0.01, 0.1):
            timer = threading.Timer(delay, signal.pthread_kill, (main, signal.SIGUSR1))
            with dl.lasting(0, 0.5), pytest.raises(LookupError, match="enough"):
                timer.start()
                batch.recv(timeout=5)
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    batch.sock.sendto(b"still works", dl.address(batch.sock))
    assert batch.recv(timeout=1).tolist() == [b"still works"]


# --- the socket is the caller's -------------------------------------------------------------------------------------


def settings(sock: socket.socket) -> list[object]:
    """All that a caller may have set."""
    levels = {
        socket.SOL_SOCKET: ("SO_RCVBUF", "SO_SNDBUF", "SO_REUSEADDR", "SO_REUSEPORT", "SO_BROADCAST", "SO_RCVLOWAT"),
        socket.IPPROTO_IP: ("IP_TTL", "IP_TOS"),
    }
    options = [(level, getattr(socket, name)) for level, names in levels.items() for name in names]
    options += [(socket.SOL_SOCKET, 9), (socket.SOL_SOCKET, 11)]  # SO_OOBINLINE, SO_NO_CHECK
    options += [
        (socket.IPPROTO_IP, 10),
        (socket.IPPROTO_IP, 11),
        (socket.IPPROTO_IP, 8),
    ]  # MTU_DISCOVER RECVERR PKTINFO
    options += [(socket.IPPROTO_UDP, number) for number in (1, dl.UDP_SEGMENT, dl.UDP_GRO)]
    if sock.family == socket.AF_UNIX:
        options = [option for option in options if option[0] == socket.SOL_SOCKET]
    times = [sock.getsockopt(socket.SOL_SOCKET, number, 16) for number in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)]
    return [
        sock.gettimeout(),
        sock.getblocking(),
        fcntl.fcntl(sock, fcntl.F_GETFL),
        fcntl.fcntl(sock, fcntl.F_GETFD),
        *times,
        *(sock.getsockopt(*option) for option in options),
    ]


@pytest.mark.parametrize("setting", [None, 0.0, 0.05], ids=["blocking", "not blocking", "timeout"])
@pytest.mark.parametrize("kind", ["IPv4", "IPv6", "unix"])
def test_nothing_of_the_socket_changes(opened: dl.Opened, kind: str, setting: float | None) -> None:
    name = abstract()
    sock = opened.unix(name) if kind == "unix" else opened.udp(dl.LOOPBACK[4 if kind == "IPv4" else 6])
    where: Any = f"@{name[1:]}" if kind == "unix" else dl.address(sock)
    sock.settimeout(setting)
    before = settings(sock)
    batch = nf.DatagramBatch(sock)
    assert settings(sock) == before

    async def on_a_loop(batch: nf.DatagramBatch) -> None:
        batch.send([b"y"], where)
        await batch.arecv()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batch.arecv(), 0.01)
        assert settings(sock) == before

    for _ in range(3):
        batch.send([b"x" * 100] * 9, where)
        assert settings(sock) == before
        dl.rest(batch)
        with pytest.raises(TimeoutError):
            batch.recv(timeout=0.01)
        if setting is not None:
            with pytest.raises((TimeoutError, BlockingIOError)):
                batch.recv()
        assert settings(sock) == before
        asyncio.run(on_a_loop(batch))
        assert settings(sock) == before
    del batch
    gc.collect()
    assert sock.fileno() >= 0
    sock.settimeout(1)
    sock.sendto(b"own", sock.getsockname())
    assert sock.recv(9) == b"own"


def test_a_batch_holds_its_socket_and_no_longer(opened: dl.Opened) -> None:
    sock = opened.udp()
    batch = nf.DatagramBatch(sock)
    told = weakref.ref(sock)
    assert batch.sock is sock
    where = dl.address(sock)
    opened.pop_all()  # the list of what is to be closed
    del sock
    batch.send([b"x"], where)
    assert batch.recv(timeout=1).tolist() == [b"x"]
    batch.sock.close()
    del batch
    gc.collect()
    assert told() is None


def test_nothing_is_left_open(opened: dl.Opened) -> None:
    sock = opened.udp()
    before = lab.descriptors()
    for _ in range(50):
        batch = nf.DatagramBatch(sock, gro=True)
        batch.send([b"x"] * 100, dl.address(sock))
        d = batch.recv(timeout=1)
        with pytest.raises(TimeoutError):
            while True:
                batch.recv(timeout=0.001)
        with pytest.raises(ValueError, match="batch"):
            nf.DatagramBatch(sock, batch=0)
        del d, batch
    assert lab.descriptors() == before


CALLS: dict[str, Callable[[nf.DatagramBatch], object]] = {
    "recv": lambda batch: batch.recv(),
    "recv at once": lambda batch: batch.recv(timeout=0),
    "send": lambda batch: batch.send([b"x"], ("127.0.0.1", 9)),
    "send connected": lambda batch: batch.send([b"x", b"x"]),
    "send_segments": lambda batch: batch.send_segments(b"xx", 1, ("127.0.0.1", 9)),
    "arecv": lambda batch: asyncio.run(batch.arecv()),
}


@pytest.mark.parametrize("how", ["close", "detach"])
@pytest.mark.parametrize("call", CALLS)
def test_closed_sockets(opened: dl.Opened, call: str, how: str) -> None:
    """Said at once; what has got the number of the closed one since then is not touched."""
    sock = opened.udp()
    batch, number = nf.DatagramBatch(sock), sock.fileno()
    if how == "close":
        sock.close()
    else:
        os.close(sock.detach())
    other = opened.udp()
    assert other.fileno() == number
    other.sendto(b"another's", dl.address(other))
    with pytest.raises(OSError, match=r"(?i)closed") as caught:
        CALLS[call](batch)
    assert caught.value.errno == errno.EBADF
    other.settimeout(1)
    assert other.recv(99) == b"another's"
    with pytest.raises(OSError, match=r"(?i)closed") as caught:
        nf.DatagramBatch(sock)
    assert caught.value.errno == errno.EBADF


# --- errors of connected sockets ------------------------------------------------------------------------------------


def refused(opened: dl.Opened, version: int) -> nf.DatagramBatch:
    """Connected to a port where nobody is."""
    host = dl.LOOPBACK[version]
    with dl.Opened() as brief:
        nobody = dl.address(brief.udp(host))
    sock = opened.udp(host)
    sock.connect(nobody)
    return nf.DatagramBatch(sock)


def test_refused(opened: dl.Opened, version: int) -> None:
    batch = refused(opened, version)
    for _ in range(3):
        assert batch.send([b"x"]) == (1, [])
        with dl.lasting(0, 0.3), pytest.raises(ConnectionRefusedError) as caught:
            batch.recv(timeout=5)
        assert caught.value.errno == errno.ECONNREFUSED
        with pytest.raises(TimeoutError):
            batch.recv(timeout=0)


def test_refused_while_it_waits(opened: dl.Opened, version: int) -> None:
    batch = refused(opened, version)
    timer = threading.Timer(0.2, batch.sock.send, (b"x",))
    timer.start()
    with dl.lasting(0.15, 0.5), pytest.raises(ConnectionRefusedError):
        batch.recv(timeout=5)
    timer.join()


def test_refused_on_the_loop(opened: dl.Opened) -> None:
    batch = refused(opened, 4)

    async def main() -> None:
        assert batch.send([b"x"]) == (1, [])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.wait_for(batch.arecv(), 5)
        asyncio.get_running_loop().call_later(0.1, batch.sock.send, b"x")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.wait_for(batch.arecv(), 5)

    asyncio.run(main())


def test_one_refusal_costs_one_datagram(opened: dl.Opened) -> None:
    """Nothing comes back any more when an old refusal meets a run that goes in one piece."""
    one = opened.udp()
    other = opened.connected(one)
    where = other.getsockname()
    other.close()
    batch = nf.DatagramBatch(one)
    batch.send([b"nobody"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.bind(where)
        back.connect(one.getsockname())
        dl.roomy(back, dl.ROOM)
        sent, errors = batch.send([b"y" * 10] * 200)
        assert len(errors) <= 1
        assert sent == 200 - len(errors)
        assert dl.heard(back, sent) == [b"y" * 10] * sent


def test_refusals_heard_by_a_send_are_told(opened: dl.Opened, version: int) -> None:
    """The kernel hands an error of before to the next send, which then sends nothing: each datagram is told of."""
    batch = refused(opened, version)
    batch.gso = False
    sent, errors = batch.send([b"%d" % index for index in range(20)])
    assert sent + len(errors) == 20
    assert {number for _, number in errors} <= {errno.ECONNREFUSED}
    assert errors == sorted(set(errors))


def test_datagrams_before_an_error_are_not_lost(opened: dl.Opened) -> None:
    one = opened.udp()
    other = opened.connected(one)
    batch = nf.DatagramBatch(one)
    other.send(b"before")
    other.close()
    one.send(b"to nobody")
    found: list[bytes] = []
    refusals = 0
    while not (found and refusals):
        try:
            found += batch.recv(timeout=1).tolist()
        except ConnectionRefusedError:  # noqa: PERF203
            refusals += 1
    assert (found, refusals) == ([b"before"], 1)


def test_an_error_queue_that_is_the_callers_makes_nothing_spin(opened: dl.Opened) -> None:
    """With IP_RECVERR the kernel keeps errors, and says so until the caller has read them."""
    batch = refused(opened, 4)
    batch.sock.setsockopt(socket.IPPROTO_IP, 11, 1)
    batch.send([b"x"])
    with pytest.raises(ConnectionRefusedError):
        batch.recv(timeout=5)
    with dl.lasting(0.5, 0.8), dl.idle(), pytest.raises(TimeoutError):
        batch.recv(timeout=0.5)
    assert batch.sock.recvmsg(99, 999, socket.MSG_ERRQUEUE)[0] == b"x"  # still there


@pytest.mark.parametrize("first", ["refusal", "timeout"])
def test_an_error_queue_that_is_the_callers_makes_no_loop_spin(opened: dl.Opened, first: str) -> None:
    batch, sender = refused(opened, 4), opened.udp()
    batch.sock.setsockopt(socket.IPPROTO_IP, 11, 1)
    batch.send([b"x"])
    where = dl.address(batch.sock)
    sender.connect(where)

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.wait_for(batch.arecv(), 5)
        if first == "timeout":
            with dl.lasting(0.5, 0.8), dl.idle(0.25), pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(batch.arecv(), 0.5)
        batch.sock.connect(sender.getsockname())
        for number in range(5):  # what comes is there at once all the same
            asyncio.get_running_loop().call_later(0.1, sender.send, b"%d" % number)
            with dl.lasting(0.09, 0.3), dl.idle(0.25):
                assert (await asyncio.wait_for(batch.arecv(), 5)).tolist() == [b"%d" % number]
        with pytest.raises(OSError, match="closed"):
            task = asyncio.ensure_future(batch.arecv())
            asyncio.get_running_loop().call_later(0.1, batch.sock.close)
            await asyncio.wait_for(task, 1)

    duplicate = opened.enter_context(batch.sock.dup())
    asyncio.run(main())
    assert duplicate.recvmsg(99, 999, socket.MSG_ERRQUEUE)[0] == b"x"  # still there


# --- asyncio --------------------------------------------------------------------------------------------------------


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, after which nothing may be left."""
    before = lab.descriptors()
    result = asyncio.run(main)
    assert lab.descriptors() == before
    return result


def watched() -> int:
    """The descriptors that the running loop watches."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    return len(selector.get_map())


@pytest.mark.parametrize("setting", [None, 0.0, 5.0], ids=["blocking", "not blocking", "timeout"])
def test_arecv(opened: dl.Opened, version: int, setting: float | None) -> None:
    sock = opened.udp(dl.LOOPBACK[version])
    sock.settimeout(setting)
    batch, sender = nf.DatagramBatch(sock), opened.udp(dl.LOOPBACK[version])

    async def main() -> None:
        before = watched()
        sender.sendto(b"there already", dl.address(sock))
        assert (await batch.arecv()).tolist() == [b"there already"]
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, sender.sendto, b"later", dl.address(sock))
        with dl.lasting(0.09, 0.4), dl.idle():
            d = await batch.arecv()
        assert d.tolist() == [b"later"]
        assert hosts_of(d) == [dl.LOOPBACK[version]]
        assert d.ports.tolist() == [sender.getsockname()[1]]
        assert watched() == before

    run(main())


def test_other_tasks_go_on(opened: dl.Opened) -> None:
    batch, ticks = nf.DatagramBatch(opened.udp()), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        task = asyncio.create_task(tick())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batch.arecv(), 0.5)
        task.cancel()

    run(main())
    assert ticks > 20


def test_cancelling_loses_nothing(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), batch=4), opened.udp()
    chance = random.Random(5)
    found: list[bytes] = []

    async def send(count: int) -> None:
        for number in range(count):
            sender.sendto(dl.numbered(number, 30), dl.address(batch.sock))
            if number % 3 == 0:
                await asyncio.sleep(chance.choice([0, 0, 0.0005]))

    async def main() -> None:
        before = watched()
        sending = asyncio.create_task(send(2000))
        cancelled = 0
        while len(found) < 2000:
            receiving = asyncio.create_task(batch.arecv())
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(chance.choice([0, 0, 0.0002]))
            receiving.cancel()
            try:
                found.extend((await receiving).tolist())
            except asyncio.CancelledError:
                cancelled += 1
        await sending
        assert cancelled > 50
        assert watched() == before

    run(main())
    assert [dl.number_of(datagram) for datagram in found] == list(range(2000))


def test_giving_up_loses_nothing(opened: dl.Opened) -> None:
    """A wait_for that runs out in the moment in which a datagram comes."""
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    found: list[bytes] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(200):
            loop.call_later(0.002, sender.sendto, dl.numbered(number, 20), dl.address(batch.sock))
            try:
                found.extend((await asyncio.wait_for(batch.arecv(), 0.0021)).tolist())
            except asyncio.TimeoutError:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)

    run(main())
    found += dl.rest(batch)
    assert [dl.number_of(datagram) for datagram in found] == list(range(200))


def test_many_batches_on_one_loop(opened: dl.Opened) -> None:
    batches = [nf.DatagramBatch(opened.udp(), batch=8, size=64) for _ in range(20)]
    sender = opened.udp()

    async def receive(batch: nf.DatagramBatch) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < 100:
            found += (await batch.arecv()).tolist()
        return found

    async def send() -> None:
        for number in range(100):
            for index, batch in enumerate(batches):
                sender.sendto(b"%d of %d" % (number, index), dl.address(batch.sock))
            await asyncio.sleep(0)

    async def main() -> list[list[bytes]]:
        *results, _ = await asyncio.wait_for(asyncio.gather(*map(receive, batches), send()), 20)
        return [result for result in results if result is not None]

    assert run(main()) == [[b"%d of %d" % (number, index) for number in range(100)] for index in range(20)]


def test_two_tasks_of_one_batch(opened: dl.Opened) -> None:
    """Each gets what comes for it, or is told at once that there may be one only: nobody waits for ever."""
    batch, sender = nf.DatagramBatch(opened.udp(), batch=1), opened.udp()

    async def main() -> list[object]:
        tasks = [asyncio.create_task(batch.arecv()) for _ in range(2)]
        await asyncio.sleep(0.05)
        for text in (b"1", b"2"):
            sender.sendto(text, dl.address(batch.sock))
        return list(await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5))

    results = run(main())
    found = [result.tolist() for result in results if isinstance(result, nf.Datagrams)]
    others = [result for result in results if not isinstance(result, nf.Datagrams)]
    assert sorted(found) in ([[b"1"], [b"2"]], [[b"1"]])
    assert len(found) == 2 or isinstance(others[0], RuntimeError)


def test_two_batches_of_one_socket(opened: dl.Opened) -> None:
    """As two tasks of one batch: nobody waits for ever."""
    sock, sender = opened.udp(), opened.udp()

    async def main() -> list[object]:
        tasks = [asyncio.create_task(nf.DatagramBatch(sock, batch=1).arecv()) for _ in range(2)]
        await asyncio.sleep(0.05)
        for text in (b"1", b"2"):
            sender.sendto(text, dl.address(sock))
        await asyncio.wait(tasks, timeout=1)
        assert all(task.done() for task in tasks)
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    found = [result.tolist() for result in run(main()) if isinstance(result, nf.Datagrams)]
    assert sorted(found) in ([[b"1"], [b"2"]], [[b"1"]])


def test_loops_one_after_another(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    for index in range(5):

        async def main(text: bytes) -> list[bytes]:
            asyncio.get_running_loop().call_later(0.01, sender.sendto, text, dl.address(batch.sock))
            return (await batch.arecv()).tolist()

        assert run(main(b"%d" % index)) == [b"%d" % index]


def test_a_loop_that_ends_in_a_wait(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()

    async def main() -> None:
        task = asyncio.create_task(batch.arecv())
        await asyncio.sleep(0.01)
        assert not task.done()  # and asyncio.run cancels it

    run(main())
    sender.sendto(b"next", dl.address(batch.sock))
    assert batch.recv(timeout=1).tolist() == [b"next"]


def test_arecv_on_unix(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.unix(abstract())), opened.unix()

    async def main() -> list[bytes]:
        asyncio.get_running_loop().call_later(0.05, sender.sendto, b"x", batch.sock.getsockname())
        return (await batch.arecv()).tolist()

    assert run(main()) == [b"x"]


# --- threads and the interpreter lock -------------------------------------------------------------------------------


def ticks(work: Callable[[], object]) -> int:
    """How often another thread has its turn while this one works."""
    count, stop = 0, threading.Event()

    def tick() -> None:
        nonlocal count
        while not stop.is_set():
            time.sleep(0.005)
            count += 1

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join()
    return count


def given_up(call: Callable[[], object]) -> None:
    with pytest.raises(TimeoutError):
        call()


def test_others_go_on_while_one_waits(opened: dl.Opened) -> None:
    batch = nf.DatagramBatch(opened.udp())
    assert ticks(lambda: given_up(lambda: batch.recv(timeout=0.5))) > 40


def test_others_go_on_while_one_waits_to_send(full: Full) -> None:
    assert ticks(lambda: given_up(lambda: full.send(timeout=0.5))) > 40


SLOW_CALLS = """
import json, threading, time
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    batch, other = nf.DatagramBatch(opened.udp()), opened.udp()
    other.sendto(b"x", dl.address(batch.sock))
    gap, stop, last = 0.0, False, 0.0
    def tick():
        global gap
        last = time.monotonic()
        while not stop:
            time.sleep(0.005)
            now = time.monotonic()
            gap, last = max(gap, now - last), now
    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    batch.WORK
    took = time.monotonic() - start
    stop = True
    thread.join()
    print(json.dumps([took, gap]))
"""


@pytest.mark.parametrize(
    ("calls", "work"),
    [
        (dl.RECEIVES, "recv(timeout=5)"),
        (dl.SENDS, "send([b'x', b'y'], dl.address(other))"),
        (dl.SENDS, "send_segments(bytes(1000), 10, dl.address(other))"),
    ],
)
def test_others_go_on_while_the_kernel_works(
    tool: Callable[[str], str], tmp_path: Path, calls: tuple[str, ...], work: str
) -> None:
    """A system call takes 0.4 s; other threads do not notice."""
    tool("strace")
    told, _ = dl.traced(
        SLOW_CALLS.replace("WORK", work),
        calls=calls,
        log=tmp_path / "log",
        inject=f"{','.join(calls)}:delay_enter=400000:when=1",
    )
    assert isinstance(told, list)
    took, gap = told
    assert took >= 0.4
    assert gap < 0.2


def kept_waiting() -> float:
    """Seconds in which this thread could have run, and the machine had no CPU for it."""
    try:
        told = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except FileNotFoundError:
        return 0.0
    return int(told.split()[1]) * 1e-9


def test_threads_scale(opened: dl.Opened) -> None:
    """Two threads, each of which sends to itself: at least 1.6 times what one does, on two CPUs."""
    batches = [nf.DatagramBatch(opened.udp(), batch=128, size=256) for _ in range(2)]
    for batch in batches:
        batch.gso = False
    datagrams = [bytes(200)] * 128

    def work(batch: nf.DatagramBatch, gate: threading.Barrier) -> tuple[float, float]:
        """When it began, and when it would have ended on a machine with nothing else to do."""
        where = dl.address(batch.sock)
        gate.wait(10)
        start, waited = time.perf_counter(), kept_waiting()
        for _ in range(200):
            assert batch.send(datagrams, where).sent == 128
            got = 0
            while got < 128:
                got += len(batch.recv(timeout=5))
        return start, time.perf_counter() - (kept_waiting() - waited)

    def seconds(count: int) -> float:
        gate = threading.Barrier(count)
        with ThreadPoolExecutor(count) as pool:
            starts, ends = zip(*pool.map(work, batches[:count], [gate] * count), strict=True)
        return float(max(ends) - min(starts))

    def gain() -> float:
        """The median of several: chance may hide that one waits for the other, or make it seem so."""
        return statistics.median(2 * seconds(1) / seconds(2) for _ in range(9))

    assert any(gain() >= 1.6 for _ in range(5))


def test_threads_share_a_socket(opened: dl.Opened) -> None:
    """A batch each, one socket: every datagram is received once."""
    sock, sender = opened.udp(), nf.DatagramBatch(opened.udp())
    found: list[list[bytes]] = [[] for _ in range(4)]

    def receive(place: int) -> None:
        batch = nf.DatagramBatch(sock, batch=8, size=64)
        try:
            while True:
                found[place] += batch.recv(timeout=0.5).tolist()
        except TimeoutError:
            pass

    threads = [threading.Thread(target=receive, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for start in range(0, 10_000, 100):
        sender.send([dl.numbered(start + i, 20 + i % 40) for i in range(100)], dl.address(sock))
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert sorted(dl.number_of(one) for part in found for one in part) == list(range(10_000))


def test_threads_share_a_batch(opened: dl.Opened) -> None:
    """Receives and sends of one batch in several threads: each datagram once and whole.  Of sends there is one at a
    time, and who comes too early is told so."""
    batch = nf.DatagramBatch(opened.udp(), batch=8, size=64)
    found: list[list[bytes]] = [[] for _ in range(3)]
    errors: list[BaseException] = []

    def receive(place: int) -> None:
        try:
            while True:
                found[place] += batch.recv(timeout=0.7).tolist()
        except TimeoutError:
            pass
        except BaseException as error:
            errors.append(error)

    def sent(part: list[bytes]) -> bool:
        try:
            assert batch.send(part, dl.address(batch.sock)) == (30, [])
        except RuntimeError as error:
            assert "sending" in str(error)  # noqa: PT017
            return False
        return True

    def send(first: int) -> None:
        try:
            for start in range(first, first + 3000, 30):
                part = [dl.numbered(start + i, 20 + i % 40) for i in range(30)]
                while not sent(part):
                    time.sleep(0.0001)
                time.sleep(0.001)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=receive, args=(place,)) for place in range(3)]
    threads += [threading.Thread(target=send, args=(first,)) for first in (0, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(dl.number_of(one) for part in found for one in part) == list(range(6000))


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import asyncio, os, signal, socket, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    udp, unix = opened.udp(), opened.unix()
    name = "@netfast-ctrl-c-%d" % os.getpid()
    full = opened.unix("\\0" + name[1:])
    filler = opened.unix()
    filler.setblocking(False)
    try:
        while True:
            filler.sendto(b"x", full.getsockname())
    except BlockingIOError:
        pass
    timed = opened.udp()
    timed.settimeout(30)
    connected = opened.unix()
    connected.connect(full.getsockname())
    nf.DatagramBatch(udp).send([b"x"], dl.address(udp))
    nf.DatagramBatch(udp).recv()
    asyncio.run(asyncio.sleep(0))
    try:
        print("ready", flush=True)
        WORK
    except KeyboardInterrupt:
        heard = time.monotonic()
    else:
        heard = "ended"
    print(heard, flush=True)
"""


@pytest.mark.parametrize(
    "work",
    [
        "nf.DatagramBatch(udp).recv()",
        "nf.DatagramBatch(udp).recv(timeout=None)",
        "nf.DatagramBatch(udp).recv(timeout=30)",
        "nf.DatagramBatch(timed).recv()",
        "nf.DatagramBatch(unix).recv()",
        "asyncio.run(nf.DatagramBatch(udp).arecv())",
        "nf.DatagramBatch(connected).send([b'x'] * 3)",
        "nf.DatagramBatch(unix).send([b'x'] * 3, name)",
        "nf.DatagramBatch(unix).send([b'x'] * 3, name, timeout=30)",
        "nf.DatagramBatch(udp).send((b'x' * 100 for _ in iter(int, 1)), dl.address(timed))",
        "nf.DatagramBatch(udp).send([b'x' * 100] * 10_000_000, dl.address(timed))",
        "nf.DatagramBatch(udp).send_segments(bytes(1 << 30), 20, dl.address(timed))",
    ],
)
def test_ctrl_c_is_heard_at_once(work: str) -> None:
    interrupted(INTERRUPTED.replace("WORK", work))


def interrupted(code: str) -> None:
    """A process that says when it is ready, hears of SIGINT within 0.2 s, and says when."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=lab.python_environment()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.4)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0, error
    assert 0 < float(out) - sent < 0.2


@pytest.mark.parametrize("timeout", [5, None], ids=["timeout", "for ever"])
def test_signals_at_any_moment(opened: dl.Opened, timeout: float | None) -> None:
    """A signal just before the wait begins is heard as one in the middle of it."""
    batch, chance = nf.DatagramBatch(opened.udp()), random.Random(1)
    main = threading.main_thread().ident
    assert main is not None

    def stop(number: int, frame: object) -> None:
        raise LookupError

    def kill(go: threading.Event, heard: threading.Event, wait: float) -> None:
        go.wait()
        end = time.perf_counter() + wait
        while time.perf_counter() < end:
            pass
        signal.pthread_kill(main, signal.SIGUSR1)
        if not heard.wait(1):
            batch.sock.sendto(b"to the rescue", dl.address(batch.sock))

    before, longest = signal.signal(signal.SIGUSR1, stop), 0.0
    try:
        for _ in range(1000):
            go, heard = threading.Event(), threading.Event()
            thread = threading.Thread(target=kill, args=(go, heard, chance.uniform(0, 60e-6)))
            thread.start()
            start = time.perf_counter()
            with pytest.raises(LookupError):
                go.set()
                batch.recv(timeout=timeout)
            longest = max(longest, time.perf_counter() - start)
            heard.set()
            thread.join()
            if longest > 0.5:
                break
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert longest < 0.25


ELSEWHERE = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import netfast as nf
from net import datagrams_lab as dl
with dl.Opened() as opened:
    batch = nf.DatagramBatch(opened.udp())
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # so that the other thread gets it
    try:
        print("ready", flush=True)
        batch.recv(timeout=TIMEOUT)
    except KeyboardInterrupt:
        heard = time.monotonic()
    print(heard, flush=True)
"""


@pytest.mark.parametrize("timeout", ["30", "None"])
def test_ctrl_c_is_heard_that_another_thread_takes(timeout: str) -> None:
    """The kernel hands a signal to any thread; Python's handlers run in the main thread, which waits."""
    interrupted(ELSEWHERE.replace("TIMEOUT", timeout))


# --- the kernel's own words -----------------------------------------------------------------------------------------


def test_the_drop_count_is_the_kernels(opened: dl.Opened) -> None:
    sock = opened.udp(room=4000)
    batch = nf.DatagramBatch(sock)
    assert (batch.dropped, type(batch.dropped)) == (0, int)
    for _ in range(50):
        sock.sendto(b"x" * 500, dl.address(sock))
    told = struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, dl.SO_MEMINFO, 36))[dl.SK_MEMINFO_DROPS]
    assert batch.dropped == told > 0
    with pytest.raises(AttributeError):
        batch.dropped = 0  # type: ignore[misc]
