"""connections and listening: every state, kind and field, against what ss, netstat, lsof, psutil and /proc/net tell."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

import netfast as nf
from net import lab, sockets_lab
from net.sockets_lab import ANY, INET_KINDS, KINDS, LOOPBACKS, STATES, inode, made, raw, told, told_all, udp, unix

pytestmark = pytest.mark.usefixtures("alone")

SO_BINDTODEVICE = 25  # asm-generic/socket.h


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as sockets:
        yield sockets


@pytest.fixture
def in_zoo(alone: lab.Namespace, tool: Callable[[str], str], tmp_path: Path) -> Iterator[None]:
    """Sockets of every kind and state are there, and stay as they are."""
    tool("nft")
    with sockets_lab.zoo(alone, tmp_path):
        yield


def row_of(sock: socket.socket, kind: str = "all", **options: Any) -> nf.Connection:
    """The one row of the socket."""
    (row,) = [row for row in nf.connections(kind, **options) if row.inode == inode(sock)]
    return row


def ends(row: nf.Connection) -> tuple[str, int, str, int]:
    return row.local_address, row.local_port, row.remote_address, row.remote_port


# --- every state of TCP ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", LOOPBACKS)
def test_every_state_of_tcp_is_told(alone: lab.Namespace, tool: Callable[[str], str], address: str) -> None:
    tool("nft")
    with sockets_lab.every_tcp_state(alone, address) as expected:
        table = nf.connections("tcp")
        assert {row.state for row in table} == set(sockets_lab.TCP_STATES)
        assert sorted(map(made, table)) == expected
    assert {(row.family, row.type, row.protocol) for row in table} == {
        (sockets_lab.family_of(address), socket.SOCK_STREAM, "tcp")
    }


@pytest.mark.parametrize("state", sockets_lab.TCP_STATES)
def test_a_state_is_told_when_nothing_else_is_asked(
    alone: lab.Namespace, tool: Callable[[str], str], state: str
) -> None:
    tool("nft")
    with sockets_lab.every_tcp_state(alone, *LOOPBACKS) as everything:
        found = sorted(map(made, nf.connections("tcp", states=state)))
    assert found == [row for row in everything if row.state == state]
    assert len(found) >= 3


def test_a_socket_that_is_not_bound_is_not_told(stack: ExitStack) -> None:
    stack.enter_context(socket.socket())
    stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    assert len(nf.connections("inet")) == 0


def test_a_connection_to_itself_is_one_socket(stack: ExitStack) -> None:
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    (row,) = nf.connections("tcp")
    assert ends(row) == sock.getsockname() * 2
    assert (row.state, row.inode) == ("ESTABLISHED", inode(sock))


# --- against others -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_zoo")
@pytest.mark.parametrize("protocol", ["tcp", "udp", "raw"])
def test_sockets_are_as_ss_tells(alone: lab.Namespace, tool: Callable[[str], str], protocol: str) -> None:
    tool("ss")
    expected = sockets_lab.from_ss(alone, protocol)
    rows = [row for row in nf.connections(protocol) if row.state != "CLOSE"]  # which this ss does not know
    if protocol == "raw":  # of these ss tells no inode
        assert sorted(told(row)._replace(inode=0) for row in rows) == sorted(expected)
        return
    assert told_all(rows) == sorted(expected)
    for row in rows:
        assert (row.interface, row.v6only) == (0, expected[told(row)].v6only), row


@pytest.mark.usefixtures("in_zoo")
def test_unix_sockets_are_as_ss_tells(alone: lab.Namespace, tool: Callable[[str], str]) -> None:
    tool("ss")
    expected = sockets_lab.from_ss_unix(alone)
    names = {row.inode: row.local for row in expected}
    # ss does not show those that wait to be accepted.
    rows = [row for row in nf.connections("unix") if row.inode != 0]
    assert sorted((row.type, row.state, row.recv_q, row.send_q, row.local_address, row.inode) for row in rows) == [
        row[:-1] for row in expected
    ]
    peers = {row.inode: names.get(row.peer_inode, "") for row in expected}
    assert {row.inode: row.remote_address for row in rows} == peers
    assert {(row.local_port, row.remote_port, row.interface, row.v6only, row.uid) for row in rows} == {
        (0, 0, 0, False, 0)
    }


@pytest.mark.usefixtures("in_zoo")
def test_sockets_are_as_netstat_tells(alone: lab.Namespace, tool: Callable[[str], str]) -> None:
    tool("netstat")

    def unmapped(address: str) -> str:
        return address.removeprefix("::ffff:")

    def as_netstat(row: sockets_lab.Told) -> sockets_lab.Told:
        row = row._replace(local=unmapped(row.local), remote=unmapped(row.remote))
        return row._replace(send_q=0) if row.state == "LISTEN" else row  # how many may wait, it does not know

    table = [*nf.connections("inet"), *nf.connections("raw")]
    assert sorted(as_netstat(told(row)) for row in table if row.state != "CLOSE") == sockets_lab.from_netstat(alone)


PSUTIL = """
import json, psutil
print(json.dumps([
    [s.family, s.type, *(s.laddr or ("", 0)), *(s.raddr or ("", 0)), s.status, s.pid]
    for s in psutil.net_connections("inet")
]))
"""


@pytest.mark.usefixtures("in_zoo")
def test_sockets_are_as_psutil_tells(alone: lab.Namespace) -> None:
    def as_psutil(row: nf.Connection) -> list[object]:
        remote = (row.remote_address, row.remote_port) if row.remote_port else ("", 0)
        state = "NONE" if row.protocol == "udp" else row.state
        pids: list[int | None] = [process.pid for process in row.processes or ()]
        return [row.family, row.type, row.local_address, row.local_port, *remote, state, *(pids or [None])]

    table = nf.connections("inet", owners=True)
    expected = json.loads(alone.python(PSUTIL))
    assert sorted(map(str, expected)) == sorted(
        str(json.loads(json.dumps(as_psutil(row)))) for row in table if row.state != "CLOSE"
    )


@pytest.mark.usefixtures("in_zoo")
def test_sockets_and_owners_are_as_lsof_tells(alone: lab.Namespace, tool: Callable[[str], str]) -> None:
    tool("lsof")
    found: list[dict[str, str]] = []
    pid = ""
    for line in alone.run("lsof", "-nP", "-i", "-F", "pfdPT").splitlines():
        if line[0] == "p":
            pid = line[1:]
        elif line[0] == "f":
            found.append({"pid": pid})
        elif line[:3] == "TST":
            found[-1]["state"] = line[4:]
        else:
            found[-1][line[0]] = line[1:]
    seen = sorted((item["P"].lower(), int(item["d"]), int(item["pid"]), item.get("state", "")) for item in found)

    table = nf.connections("inet", owners=True)
    # lsof writes CLOSED for what it does not find in /proc/net/tcp, and tells no state of UDP.
    assert seen == sorted(
        (row.protocol, row.inode, process.pid, row.state if row.protocol == "tcp" else "")
        for row in table
        if row.state != "CLOSE"
        for process in row.processes or ()
    )


@pytest.mark.usefixtures("in_zoo")
def test_sockets_are_as_proc_tells() -> None:
    rows = [row for row in nf.connections("inet") if row.state != "CLOSE"]
    assert [row._replace(send_q=0) if row.state == "LISTEN" else row for row in told_all(rows)] == (
        sockets_lab.from_proc("tcp", "tcp6", "udp", "udp6")
    )
    assert told_all(nf.connections("raw")) == sockets_lab.from_proc("raw", "raw6")


# --- TCP: each field ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", LOOPBACKS)
def test_queues_hold_what_was_not_read_and_not_acknowledged(
    alone: lab.Namespace, tool: Callable[[str], str], stack: ExitStack, address: str
) -> None:
    tool("nft")
    sockets_lab.can_cut(alone)
    tcp = sockets_lab.Tcp(alone, address, stack)
    client, server = tcp.pair()
    client.sendall(bytes(1000))
    sockets_lab.until(lambda: row_of(server).recv_q == 1000)
    tcp.cut(client)  # what the client says arrives, and it does not learn so
    server.sendall(bytes(555))
    client.sendall(bytes(70_000))
    assert row_of(server).send_q == 555
    assert row_of(client).recv_q == 0
    sockets_lab.until(lambda: row_of(server).recv_q > 1000)
    # 20 bits and more: a queue that no small integer holds.
    assert row_of(client).send_q == 70_000
    expected = {row.inode: (row.recv_q, row.send_q) for row in sockets_lab.from_proc("tcp", "tcp6")}
    for sock in (client, server):
        row = row_of(sock)
        assert (row.recv_q, row.send_q) == expected[inode(sock)]


@pytest.mark.parametrize("address", LOOPBACKS)
@pytest.mark.parametrize("backlog", [0, 1, 77, 3000])
def test_a_listener_tells_how_many_wait_and_how_many_may(
    alone: lab.Namespace, stack: ExitStack, address: str, backlog: int
) -> None:
    tcp = sockets_lab.Tcp(alone, address, stack)
    listener = tcp.listener(backlog)
    assert (row_of(listener).recv_q, row_of(listener).send_q) == (0, backlog)
    for waiting in range(1, min(backlog, 3) + 1):
        tcp.bound().connect(listener.getsockname())
        assert (row_of(listener).recv_q, row_of(listener).send_q) == (waiting, backlog)


def of_every_kind(stack: ExitStack) -> dict[str, socket.socket]:
    """A socket of each kind, as plain as they come."""
    sockets: dict[str, socket.socket] = {}
    for address, digit in (("127.0.0.1", "4"), ("::1", "6")):
        for connected in (False, True):
            sock = stack.enter_context(socket.socket(sockets_lab.family_of(address)))
            sock.bind((address, 0))
            if connected:
                listener = sockets[f"tcp{digit} listener"]
                sock.connect(listener.getsockname())
                sockets[f"tcp{digit} client"] = sock
                sockets[f"tcp{digit} server"] = stack.enter_context(listener.accept()[0])
            else:
                sock.listen(1)
                sockets[f"tcp{digit} listener"] = sock
        sockets[f"tcp{digit} bound"] = stack.enter_context(socket.socket(sockets_lab.family_of(address)))
        sockets[f"tcp{digit} bound"].bind((address, 0))
        sockets[f"udp{digit}"] = udp(stack, address)
        sockets[f"udp{digit} connected"] = udp(stack, address, peer=(address, 9))
        sockets[f"raw{digit}"] = raw(stack, address, 253)
    sockets["unix listener"] = unix(stack, socket.SOCK_STREAM, b"\0listener")
    sockets["unix listener"].listen(1)
    sockets["unix dgram"] = unix(stack, socket.SOCK_DGRAM, b"\0dgram")
    sockets["unix unnamed"] = unix(stack, socket.SOCK_SEQPACKET)
    return sockets


def test_the_inode_is_that_of_fstat(stack: ExitStack) -> None:
    sockets = of_every_kind(stack)
    assert Counter(nf.connections("all").inode.tolist()) == Counter(map(inode, sockets.values()))


def test_the_uid_is_that_of_the_socket(stack: ExitStack) -> None:
    sockets = of_every_kind(stack)
    for number, sock in enumerate(sockets.values()):
        os.fchown(sock.fileno(), 4_000_000_000 + number, -1)
    uids = {row.inode: row.uid for row in nf.connections("all")}
    assert [uids[inode(sock)] for sock in sockets.values()] == [4_000_000_000 + n for n in range(len(sockets))]


UID = """
os.seteuid(4321)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
client.connect(listener.getsockname())
told = listener.getsockname()[1]
"""


def test_the_uid_is_that_of_who_opened_it(alone: lab.Namespace) -> None:
    with sockets_lab.holder(alone, UID) as (_, port):
        table = nf.connections("tcp")
        uids = {(row.state, row.inode != 0): row.uid for row in table}
    assert len(table) == 3
    assert uids[("LISTEN", True)] == uids[("ESTABLISHED", True)] == 4321
    assert table[0].local_address == "127.0.0.1"
    assert port in table.local_port.tolist()


def bound_to_a_card(sock: socket.socket, card: str) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, os.fsencode(card) + b"\0")
    return sock


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_interface_is_the_card_it_is_bound_to(
    alone: lab.Namespace, stack: ExitStack, family: socket.AddressFamily
) -> None:
    cards = ["lo", *lab.cable(alone, alone)]
    for card in cards:
        index = socket.if_nametoindex(card)
        listener = stack.enter_context(socket.socket(family))
        bound_to_a_card(listener, card).bind(("", 0))
        listener.listen(1)
        datagrams = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        bound_to_a_card(datagrams, card).bind(("", 0))
        for sock in (listener, datagrams):
            row = row_of(sock)
            assert (row.interface, row.local_address) == (index, ANY[family])
            assert row.local_port == sock.getsockname()[1]
    client = stack.enter_context(socket.socket(family))
    bound_to_a_card(client, "lo").bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    assert row_of(client).interface == socket.if_nametoindex("lo")  # only bound
    assert row_of(client).local_address == client.getsockname()[0]
    assert len(set(nf.connections("inet").interface.tolist())) == 3


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("v6only", [True, False])
def test_v6only_is_as_set(stack: ExitStack, kind: socket.SocketKind, listens: bool, v6only: bool) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_INET6, kind))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind(("::", 0))
    if listens and kind == socket.SOCK_STREAM:
        sock.listen(1)
    (row,) = nf.connections("inet")
    assert (row.v6only, row.local_address, row.family) == (v6only, "::", socket.AF_INET6)
    assert (row.remote_address, row.remote_port) == ("::", 0)


def test_the_ends_of_a_dual_stack_connection_are_mapped(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    port = listener.getsockname()[1]
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    server = stack.enter_context(listener.accept()[0])
    own = client.getsockname()[1]
    assert ends(row_of(client)) == ("127.0.0.1", own, "127.0.0.1", port)
    assert ends(row_of(server)) == ("::ffff:127.0.0.1", port, "::ffff:127.0.0.1", own)
    assert ends(row_of(listener)) == ("::", port, "::", 0)
    assert [len(nf.connections(kind)) for kind in ("tcp", "tcp4", "tcp6", "inet4", "inet6")] == [3, 1, 2, 1, 2]


def test_addresses_are_spelled_as_ipaddress_does(alone: lab.Namespace, stack: ExitStack) -> None:
    addresses = ["198.18.0.1", "127.255.255.254", "2001:db8::1:0:0:1", "2001:db8:0:0:1::", "::2", "::ffff:198.18.0.1"]
    addresses += ["::c612:1", "2001:db8:1:2:3:4:5:6", "2001:db8:0:1:1:1:1:1", "fd00::ffff:0:0"]
    for address in addresses:
        if not address.startswith("::ffff:"):
            alone.run("ip", "addr", "add", address, "dev", "lo", "nodad")  # to be bound to at once
        udp(stack, address, 1 + addresses.index(address))
    table = nf.connections("udp")
    spelled = dict(zip(table.local_port.tolist(), table.local_address.tolist(), strict=True))
    assert spelled == dict(enumerate(addresses, 1))


@pytest.mark.parametrize("port", [1, 255, 256, 65535])
def test_every_port_is_told(stack: ExitStack, port: int, version: int) -> None:
    sock = udp(stack, "127.0.0.1" if version == 4 else "::1", port)
    assert row_of(sock).local_port == port
    assert row_of(sock, "udp", local_port=port).local_port == port
    assert len(nf.connections("udp", local_port=port ^ 1)) == 0


def test_listeners_that_share_a_port_are_all_told(stack: ExitStack, version: int) -> None:
    address = "127.0.0.1" if version == 4 else "::1"
    first = 0
    inodes = set()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for _ in range(5):
            sock = stack.enter_context(socket.socket(sockets_lab.family_of(address), kind))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, first))
            first = sock.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                sock.listen(1)
            inodes.add(inode(sock))
    assert sorted(nf.connections("inet").inode.tolist()) == sorted(inodes)
    assert sorted(nf.connections("inet", local_port=first).inode.tolist()) == sorted(inodes)


# --- link-local addresses -------------------------------------------------------------------------------------------


@pytest.fixture
def link(alone: lab.Namespace) -> Iterator[tuple[lab.Namespace, str]]:
    """Another namespace, and the card here that leads there: fe80::a here, fe80::b there."""
    with lab.namespace() as other:
        here, there = lab.cable(alone, other)
        alone.ip(f"addr add fe80::a/64 dev {here} nodad")
        other.ip(f"addr add fe80::b/64 dev {there} nodad")
        yield other, here


def test_a_link_local_address_has_its_zone(link: tuple[lab.Namespace, str], stack: ExitStack) -> None:
    other, card = link
    index = socket.if_nametoindex(card)
    listener = stack.enter_context(socket.socket(socket.AF_INET6))
    listener.bind(("fe80::a", 0, 0, index))
    listener.listen(1)
    port = listener.getsockname()[1]

    def connect() -> socket.socket:
        ((_, there),) = [pair for pair in socket.if_nameindex() if pair[1] != "lo"]
        client = socket.socket(socket.AF_INET6)
        client.bind(("fe80::b", 0, 0, socket.if_nametoindex(there)))
        client.connect(("fe80::a", port, 0, socket.if_nametoindex(there)))
        return client

    client = stack.enter_context(other.call(connect))
    server = stack.enter_context(listener.accept()[0])
    row = row_of(listener)
    assert (*ends(row), row.interface) == (f"fe80::a%{card}", port, "::", 0, index)
    row = row_of(server)
    assert ends(row) == (f"fe80::a%{card}", port, f"fe80::b%{card}", client.getsockname()[1])
    assert row.interface == index


def test_a_datagram_socket_on_a_link_has_its_zone(link: tuple[lab.Namespace, str], stack: ExitStack) -> None:
    _, card = link
    index = socket.if_nametoindex(card)
    sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    sock.bind(("fe80::a", 0, 0, index))
    assert ends(row_of(sock)) == (f"fe80::a%{card}", sock.getsockname()[1], "::", 0)
    sock.connect(("fe80::b", 9, 0, index))
    assert ends(row_of(sock)) == (f"fe80::a%{card}", sock.getsockname()[1], f"fe80::b%{card}", 9)


def test_only_a_link_local_address_has_a_zone(stack: ExitStack) -> None:
    for address in ("127.0.0.1", "::1"):
        sock = stack.enter_context(socket.socket(sockets_lab.family_of(address), socket.SOCK_DGRAM))
        bound_to_a_card(sock, "lo").bind((address, 0))
        assert row_of(sock).local_address == address


def test_the_card_of_a_zone_may_be_gone_or_have_any_name(alone: lab.Namespace, stack: ExitStack) -> None:
    near, _ = lab.cable(alone, alone)
    alone.ip(f"addr add fe80::a/64 dev {near} nodad")
    sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    index = socket.if_nametoindex(near)
    sock.bind(("fe80::a", 0, 0, index))
    alone.run("ip", "link", "set", near, "name", "bad\udcff日")
    row = row_of(sock)
    assert (row.local_address, row.interface) == ("fe80::a%bad\udcff日", index)
    table = nf.connections("udp")
    assert json.loads(json.dumps(table.to_dicts()))[0]["local_address"] == "fe80::a%bad\udcff日"
    pa.table(table).validate(full=True)
    alone.run("ip", "link", "del", "bad\udcff日")
    row = row_of(sock)
    assert row.local_address.partition("%")[0] == "fe80::a"
    assert row.interface == index


# --- UDP and raw ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_datagram_socket_is_connected_or_not(stack: ExitStack, address: str) -> None:
    receiver = udp(stack, address)
    port = receiver.getsockname()[1]
    sender = udp(stack, address, peer=(address, port))
    family = sockets_lab.family_of(address)
    row = row_of(receiver)
    assert (row.family, row.type, row.protocol, row.state) == (family, socket.SOCK_DGRAM, "udp", "UNCONN")
    assert ends(row) == (address, port, ANY[family], 0)
    row = row_of(sender)
    assert row.state == "ESTABLISHED"
    assert ends(row) == (address, sender.getsockname()[1], address, port)
    assert (row_of(receiver).recv_q, row_of(sender).send_q) == (0, 0)
    sender.send(b"one")
    sender.send(bytes(1000))
    # The kernel counts the memory that they take.
    assert 1003 <= row_of(receiver).recv_q < 10_000
    receiver.recv(2000)
    receiver.recv(2000)


def test_raw_sockets_have_their_protocol_in_the_place_of_a_port(stack: ExitStack, version: int) -> None:
    address = "127.0.0.1" if version == 4 else "::1"
    family = sockets_lab.family_of(address)
    for protocol in (1, 58, 200, 255):
        row = row_of(raw(stack, address, protocol))
        assert (row.family, row.type, row.protocol, row.state) == (family, socket.SOCK_RAW, "raw", "UNCONN")
        assert ends(row) == (address, protocol, ANY[family], 0)
    row = row_of(raw(stack, address, 253, connected=True))
    assert (row.state, ends(row)) == ("ESTABLISHED", (address, 253, address, 0))
    everything = {1, 58, 200, 253, 255}
    assert set(nf.connections("raw").local_port.tolist()) == everything
    assert len(nf.connections("raw")) == len(nf.connections(f"raw{version}")) == 5
    assert len(nf.connections(f"raw{10 - version}")) == len(nf.connections("inet")) == 0
    assert set(nf.listening("raw").local_port.tolist()) == everything - {253}


def test_a_raw_socket_tells_its_queue(stack: ExitStack) -> None:
    receiver, sender = raw(stack, "127.0.0.1", 253), raw(stack, "127.0.0.2", 253)
    sender.sendto(bytes(100), ("127.0.0.1", 0))
    assert row_of(receiver).recv_q >= 100
    assert row_of(sender).recv_q == 0


# --- Unix -----------------------------------------------------------------------------------------------------------

PATHS = [
    b"plain",
    b"with a space",
    b" at both ends ",
    b"new\nline",
    b"tab\tand \x1b[31m",
    b"\xff\xfe not UTF-8 \xc3",
    "日本".encode(),
    b"@no abstract name",
    b"x" * 107,
    b"x" * 108,
]
ABSTRACT = [b"\0", b"\0name", b"\0a\0b\0", b"\0\0\0", b"\0\xff\n ", b"\0" + b"x" * 107, b"\0" * 108]


def as_text(name: bytes) -> str:
    return os.fsdecode(name.replace(b"\0", b"@"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the kernel keeps a path as it was given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", [*PATHS, *ABSTRACT])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_unix_socket_has_any_name(stack: ExitStack, name: bytes, kind: socket.SocketKind) -> None:
    receiver = unix(stack, kind)
    if len(name) == 108 and name[0]:
        sockets_lab.bind_path(receiver, name)
    else:
        receiver.bind(name)
    if kind == socket.SOCK_DGRAM:
        assert row_of(receiver).state == "UNCONN"
    else:
        receiver.listen(1)
    client = unix(stack, kind)
    if len(name) < 108:
        client.connect(name)
        if kind != socket.SOCK_DGRAM:
            server = stack.enter_context(receiver.accept()[0])
            assert (row_of(server).local_address, row_of(server).remote_address) == (as_text(name), "")
        row = row_of(client)
        assert (row.local_address, row.remote_address, row.state) == ("", as_text(name), "ESTABLISHED")
    row = row_of(receiver)
    assert (row.family, row.type, row.protocol) == (socket.AF_UNIX, kind, "unix")
    assert (row.local_address, row.remote_address) == (as_text(name), "")
    table = nf.connections("unix")
    assert as_text(name) in {item["local_address"] for item in json.loads(json.dumps(table.to_dicts()))}
    pa.table(table).validate(full=True)


def test_a_unix_socket_may_be_named_by_the_kernel(stack: ExitStack) -> None:
    sock = unix(stack, socket.SOCK_STREAM, "")
    name = sock.getsockname()
    assert re.fullmatch(rb"\0[0-9a-f]{5}", name)
    assert row_of(sock).local_address == as_text(name)


def test_unix_pairs_have_no_names(stack: ExitStack) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        for sock in socket.socketpair(socket.AF_UNIX, kind):
            stack.enter_context(sock)
            row = row_of(sock)
            assert (row.type, row.state, *ends(row)) == (kind, "ESTABLISHED", "", 0, "", 0)


def test_a_named_peer_is_told_to_both(stack: ExitStack) -> None:
    listener = unix(stack, socket.SOCK_STREAM, b"\0listener")
    listener.listen(1)
    client = unix(stack, socket.SOCK_STREAM, b"\0client")
    client.connect(b"\0listener")
    server = stack.enter_context(listener.accept()[0])
    assert ends(row_of(client)) == ("@client", 0, "@listener", 0)
    assert ends(row_of(server)) == ("@listener", 0, "@client", 0)


def test_the_peer_is_known_whatever_states_are_asked(stack: ExitStack) -> None:
    receiver = unix(stack, socket.SOCK_DGRAM, b"\0receiver")
    sender = unix(stack, socket.SOCK_DGRAM, b"\0sender")
    sender.connect(b"\0receiver")
    # Who is connected to is ESTABLISHED as well, until it has let go of a peer of its own.
    unix(stack, socket.SOCK_DGRAM, b"\0third")
    receiver.connect(b"\0third")
    sockets_lab.disconnect(receiver)
    assert (row_of(receiver).state, row_of(receiver).remote_address) == ("UNCONN", "")
    for states in (None, "ESTABLISHED", ["UNCONN", "ESTABLISHED"]):
        row = row_of(sender, "unix", states=states)
        assert (row.state, row.remote_address) == ("ESTABLISHED", "@receiver")


def test_a_unix_listener_tells_how_many_wait_and_how_many_may(stack: ExitStack) -> None:
    listener = unix(stack, socket.SOCK_STREAM, b"\0listener")
    listener.listen(7)
    for waiting in range(3):
        row = row_of(listener)
        assert (row.state, row.recv_q, row.send_q) == ("LISTEN", waiting, 7)
        unix(stack, socket.SOCK_STREAM).connect(b"\0listener")


def test_unix_queues_hold_what_was_not_read(stack: ExitStack) -> None:
    one, other = socket.socketpair()
    stack.enter_context(one)
    stack.enter_context(other)
    one.sendall(bytes(12_345))
    assert (row_of(other).recv_q, row_of(other).send_q) == (12_345, 0)
    assert row_of(one).recv_q == 0
    assert row_of(one).send_q >= 12_345  # the memory that they take


def test_those_that_are_gone_are_not_told(stack: ExitStack) -> None:
    sockets = [udp(stack, "127.0.0.1"), unix(stack, socket.SOCK_STREAM, b"\0one"), raw(stack, "::1", 253)]
    sockets += socket.socketpair()
    assert len(nf.connections("all")) == 5
    for sock in sockets:
        sock.close()
    assert len(nf.connections("all")) == 0


# --- kinds and filters ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_zoo")
def test_a_kind_is_its_part_of_all() -> None:
    everything = list(nf.connections("all"))
    for kind in KINDS:
        rows = list(nf.connections(kind))
        assert Counter(rows) == Counter(sockets_lab.kept(everything, kind)), kind
        assert rows, kind
    assert Counter(nf.connections()) == Counter(nf.connections("inet"))
    assert {row.protocol for row in everything} == {"tcp", "udp", "raw", "unix"}


@pytest.mark.usefixtures("in_zoo")
def test_one_or_two_states_are_their_part() -> None:
    for kind in KINDS:
        everything = list(nf.connections(kind))
        for count in (1, 2):
            for states in itertools.combinations(STATES, count):
                expected = Counter(row for row in everything if row.state in states)
                assert Counter(nf.connections(kind, states=states)) == expected, (kind, states)
                if count == 1:
                    assert Counter(nf.connections(kind, states=states[0])) == expected, (kind, states)


@pytest.mark.usefixtures("in_zoo")
def test_a_port_is_its_part() -> None:
    everything = list(nf.connections("all"))
    ports = sorted({row.local_port for row in everything} | {row.remote_port for row in everything} | {0, 65535})
    for kind in INET_KINDS:
        rows = sockets_lab.kept(everything, kind)
        for port in ports:
            found = Counter(nf.connections(kind, local_port=port))
            assert found == Counter(row for row in rows if row.local_port == port), (kind, port)


@pytest.mark.usefixtures("in_zoo")
def test_any_filter_is_its_part() -> None:
    everything = list(nf.connections("all"))
    ports = sorted({row.local_port for row in everything if row.local_port})

    @given(
        kind=st.sampled_from((*INET_KINDS, "all")),
        states=st.none() | st.sets(st.sampled_from(STATES), min_size=1),
        port=st.none() | st.sampled_from(ports),
    )
    def check(kind: str, states: set[str] | None, port: int | None) -> None:
        expected = [
            row
            for row in sockets_lab.kept(everything, kind)
            if (states is None or row.state in states) and port in (None, row.local_port)
        ]
        assert Counter(nf.connections(kind, states=states, local_port=port)) == Counter(expected)

    check()


@pytest.mark.usefixtures("in_zoo")
def test_listening_is_what_can_be_reached() -> None:
    for kind in KINDS:
        expected = [
            row
            for row in nf.connections(kind)
            if row.state == ("LISTEN" if row.protocol in ("tcp", "unix") else "UNCONN")
            and (row.local_port or row.protocol == "unix")
        ]
        assert Counter(nf.listening(kind)) == Counter(expected), kind
        if kind != "unix":
            for port in {row.local_port for row in expected if row.local_port}:
                found = Counter(nf.listening(kind, local_port=port))
                assert found == Counter(row for row in expected if row.local_port == port), (kind, port)
    assert Counter(nf.listening()) == Counter(nf.listening("tcp"))


TRAFFIC = "import sys\nimport netfast as nf\nprint(len(eval(sys.argv[1])))"


def bytes_received(host: lab.Namespace, log: Path, call: str) -> tuple[int, int]:
    """The rows of a call, and how many bytes came from the kernel for them."""
    code = [sys.executable, "-c", TRAFFIC, call]
    rows = int(host.run("strace", "-f", "-qq", "-e", "trace=recvmsg,recvfrom,recvmmsg", "-o", str(log), *code))
    lines = log.read_text().splitlines()
    assert not any("recvmmsg(" in line for line in lines)  # which returns messages, not bytes
    return rows, sum(int(found[1]) for line in lines if (found := re.search(r"= (\d+)$", line)))


def test_the_kernel_filters(alone: lab.Namespace, tool: Callable[[str], str], stack: ExitStack, tmp_path: Path) -> None:
    tool("strace")
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=500))
    port = listener.getsockname()[1]
    for _ in range(400):
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    other = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
    log = tmp_path / "log"
    rows, everything = bytes_received(alone, log, "nf.connections('tcp')")
    assert rows == 802
    assert everything > 802 * 72  # struct inet_diag_msg
    for call, expected in {
        "nf.listening('tcp')": 2,
        f"nf.listening('tcp', local_port={port})": 1,
        f"nf.connections('tcp', local_port={other})": 1,
        f"nf.connections('inet', local_port={other}, states='LISTEN')": 1,
        "nf.connections('inet', states=['SYN_SENT', 'CLOSE_WAIT'])": 0,
        f"nf.port_owner({other})": 1,
    }.items():
        rows, some = bytes_received(alone, log, call)
        assert rows == expected, call
        assert some < 2000, call


# --- the table ------------------------------------------------------------------------------------------------------

DTYPES = {
    "family": np.uint8,
    "type": np.uint8,
    "protocol": object,
    "local_address": object,
    "local_port": np.uint16,
    "remote_address": object,
    "remote_port": np.uint16,
    "state": object,
    "recv_q": np.uint32,
    "send_q": np.uint32,
    "uid": np.uint32,
    "inode": np.uint64,
    "interface": np.uint32,
    "v6only": np.bool_,
    "processes": object,
}


@pytest.mark.usefixtures("in_zoo")
@pytest.mark.parametrize("owners", [False, True])
def test_columns_and_rows_say_the_same(owners: bool) -> None:
    table = nf.connections("all", owners=owners)
    assert nf.Connection._fields == tuple(DTYPES)
    columns = {}
    for name, dtype in DTYPES.items():
        column = getattr(table, name)
        assert isinstance(column, np.ndarray)
        assert (column.dtype, column.shape) == (np.dtype(dtype), (len(table),)), name
        columns[name] = column.tolist()
    assert list(table) == [table[row] for row in range(len(table))]
    assert [tuple(row) for row in table] == list(zip(*columns.values(), strict=True))
    for row in table:
        assert isinstance(row, nf.Connection)
        assert isinstance(row.family, socket.AddressFamily)
        assert isinstance(row.type, socket.SocketKind)
        assert isinstance(row.v6only, bool)
        plain = (row.local_port, row.remote_port, row.recv_q, row.send_q, row.uid, row.inode, row.interface)
        assert {type(value) for value in plain} == {int}
        assert {type(value) for value in (row.protocol, row.local_address, row.remote_address, row.state)} == {str}


@pytest.mark.parametrize("count", [0, 3])
def test_rows_are_counted_from_both_ends(stack: ExitStack, count: int) -> None:
    for _ in range(count):
        udp(stack, "127.0.0.1")
    table = nf.connections("udp")
    assert len(table) == count
    assert [table[row - count] for row in range(count)] == list(table)
    assert [table[np.int64(row)] for row in range(count)] == list(table)
    for row in (count, -count - 1, 2**63, -(2**70)):
        with pytest.raises(IndexError):
            table[row]
    assert table[1:] == list(table)[1:]
    assert table[::-1] == list(table)[::-1]
    for wrong in ("0", 1.0, None):
        with pytest.raises(TypeError):
            table[wrong]
    assert repr(table).startswith("<ConnectionTable")
    assert str(count) in repr(table)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_table_is_one_too(kind: str) -> None:
    table = nf.connections(kind, owners=True)
    assert (len(table), list(table), table.to_dicts()) == (0, [], [])
    for name, dtype in DTYPES.items():
        assert getattr(table, name).dtype == np.dtype(dtype), name
    assert pa.table(table).num_rows == 0
    assert pl.DataFrame(table).shape[0] == 0


@pytest.mark.usefixtures("in_zoo")
@pytest.mark.parametrize("owners", [False, True])
def test_arrow_gets_the_same_columns(owners: bool) -> None:
    table = nf.connections("all", owners=owners)
    arrow, frame = pa.table(table), pl.DataFrame(table)
    arrow.validate(full=True)
    names = [name for name in DTYPES if name != "processes"]
    assert arrow.column_names == frame.columns == list(DTYPES)
    for name in names:
        expected = getattr(table, name).tolist()
        assert arrow[name].to_pylist() == frame[name].to_list() == expected, name
        dtype = np.dtype(DTYPES[name])
        assert arrow.schema.field(name).type == (pa.utf8() if dtype.hasobject else pa.from_numpy_dtype(dtype)), name
    pids = [None if row is None else ",".join(str(process.pid) for process in row) for row in table.processes]
    assert arrow["processes"].to_pylist() == frame["processes"].to_list() == pids
    assert (str(os.getpid()) in pids) == owners


@pytest.mark.usefixtures("in_zoo")
@pytest.mark.parametrize("owners", [False, True])
def test_dicts_are_ready_for_json(owners: bool) -> None:
    table = nf.connections("all", owners=owners)
    dicts = table.to_dicts()
    families = {socket.AF_INET: "inet", socket.AF_INET6: "inet6", socket.AF_UNIX: "unix"}
    types = {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "dgram", socket.SOCK_RAW: "raw"}
    types[socket.SOCK_SEQPACKET] = "seqpacket"
    expected = []
    for row in table:
        processes = None if row.processes is None else [process._asdict() for process in row.processes]
        expected.append(
            {**row._asdict(), "family": families[row.family], "type": types[row.type], "processes": processes}
        )
    assert json.loads(json.dumps(dicts)) == json.loads(json.dumps(expected))


def test_owners_that_were_not_asked_for_are_not_known(stack: ExitStack) -> None:
    of_every_kind(stack)
    for table in (nf.connections("all"), nf.listening("all")):
        assert len(table) > 0
        assert set(table.processes.tolist()) == {None}


def test_a_table_is_what_was_then(stack: ExitStack) -> None:
    sock = udp(stack, "127.0.0.1")
    table = nf.connections("udp")
    sock.close()
    assert (len(table), table[0].state) == (1, "UNCONN")
    assert len(nf.connections("udp")) == 0


# --- wrong arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [nf.connections, nf.listening])
@pytest.mark.parametrize("kind", ["", "tcp5", "TCP ", "sctp", "icmp", "tcp\0", "日本"])
def test_an_unknown_kind_is_refused_with_those_there_are(function: Callable[..., object], kind: str) -> None:
    with pytest.raises(ValueError, match="kind") as raised:
        function(kind)
    for known in KINDS:
        assert known in str(raised.value)


@pytest.mark.parametrize("states", ["", "OPEN", "ESTABLISHED,LISTEN", ["LISTEN", "NONE"], {"LISTEN\0"}, ["日本"]])
def test_an_unknown_state_is_refused_with_those_there_are(states: Any) -> None:
    with pytest.raises(ValueError, match="state") as raised:
        nf.connections(states=states)
    for known in STATES:
        assert known in str(raised.value)


@pytest.mark.parametrize("port", [-1, 65536, 2**31, 2**64, -(2**64)])
@pytest.mark.parametrize("call", [nf.connections, nf.listening])
def test_a_port_out_of_range_is_refused(call: Callable[..., object], port: int) -> None:
    with pytest.raises(ValueError, match=r"port.*65,?535"):
        call("tcp", local_port=port)


@pytest.mark.parametrize("port", [-1, 65536, 2**64])
def test_nobody_owns_a_port_out_of_range(port: int) -> None:
    with pytest.raises(ValueError, match=r"port.*65,?535"):
        nf.port_owner(port)


@pytest.mark.parametrize("wrong", ["80", 80.0, b"80", (80,)])
def test_a_port_is_an_integer(wrong: Any) -> None:
    with pytest.raises(TypeError, match="port"):
        nf.connections("tcp", local_port=wrong)
    with pytest.raises(TypeError, match="port"):
        nf.port_owner(wrong)


def test_a_port_may_be_a_numpy_integer(stack: ExitStack) -> None:
    port = udp(stack, "127.0.0.1").getsockname()[1]
    assert len(nf.connections("udp", local_port=np.uint16(port))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [nf.connections, nf.listening])
def test_unix_sockets_have_no_port(call: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"Unix.*port"):
        call("unix", local_port=80)


@pytest.mark.parametrize("protocol", ["", "sctp", "icmp", "unix", "TCP "])
def test_an_unknown_protocol_is_refused(protocol: str) -> None:
    with pytest.raises(ValueError, match=r"protocol.*tcp.*udp"):
        nf.port_owner(80, protocol)


def test_wrong_types_are_refused() -> None:
    with pytest.raises((TypeError, ValueError), match="kind"):
        nf.connections(6)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="kind"):
        nf.connections(["tcp"])  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="states"):
        nf.connections(states=10)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="state"):
        nf.connections(states=[10])  # type: ignore[list-item]
    with pytest.raises((TypeError, ValueError), match="protocol"):
        nf.port_owner(80, 6)  # type: ignore[arg-type]


# --- threads, signals, descriptors ----------------------------------------------------------------------------------


def test_a_thread_sees_the_namespace_it_is_in(stack: ExitStack) -> None:
    hosts = [stack.enter_context(lab.namespace()) for _ in range(3)]
    wrong: list[object] = []

    def look(host: lab.Namespace, number: int) -> None:
        def loop() -> None:
            with ExitStack() as own:
                for _ in range(number):
                    udp(own, "127.0.0.1")
                    own.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
                    unix(own, socket.SOCK_STREAM)
                    raw(own, "127.0.0.1", 253)
                for _ in range(50):
                    counts = Counter(row.protocol for row in nf.connections("all", owners=True))
                    if counts != dict.fromkeys(("tcp", "udp", "raw", "unix"), number):
                        wrong.append((number, counts))

        host.call(loop)

    threads = [threading.Thread(target=look, args=(host, number)) for number, host in enumerate(hosts, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(nf.connections("all")) == 0


def test_no_descriptor_is_left(stack: ExitStack) -> None:
    of_every_kind(stack)
    port = udp(stack, "127.0.0.1").getsockname()[1]
    before = lab.descriptors()
    for _ in range(100):
        nf.connections("all", owners=True)
        nf.listening("all", owners=True)
        nf.port_owner(port, "udp")
        with pytest.raises(ValueError, match="kind"):
            nf.connections("none")
    assert lab.descriptors() == before


GROWTH = """
import resource, socket
import netfast as nf
sockets = [s for _ in range(400) for s in socket.socketpair()]
for sock in range(100):
    sockets.append(socket.socket(type=socket.SOCK_DGRAM))
    sockets[-1].bind(("127.0.0.1", 0))
def grown(calls):
    for _ in range(calls):
        for row in nf.connections("all", owners=True):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
first = grown(50)
print(grown(250) - first)
"""


def test_no_memory_is_left(alone: lab.Namespace) -> None:
    assert int(alone.python(GROWTH)) < 4096  # KiB


ALARMED = """
import json, signal, socket
import netfast as nf
rings = 0
def ring(number, frame):
    global rings
    rings += 1
sockets = [s for _ in range(200) for s in socket.socketpair()]
server = socket.create_server(("127.0.0.1", 0), backlog=300)
sockets += [socket.create_connection(server.getsockname()) for _ in range(200)]
len(nf.connections("all", owners=True))
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
counts = {len(nf.connections("all", owners=True)) for _ in range(100)}
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps([rings, sorted(counts)]))
"""


def test_signals_change_nothing(alone: lab.Namespace) -> None:
    rings, counts = json.loads(alone.python(ALARMED))
    assert rings > 50
    assert counts == [400 + 401]


def test_the_loopback_card_may_be_down(alone: lab.Namespace, stack: ExitStack) -> None:
    udp(stack, "127.0.0.1")
    alone.ip("link set lo down")
    assert len(nf.connections("all")) == 1


# --- netlink, and /proc/net where a module is missing ---------------------------------------------------------------


class TestEitherSource:
    """What both tell is the same. Of /proc/net there is less: no socket of TCP that is only bound, no card, no v6only,
    no limit of a listener, no peer and no queue of a Unix socket."""

    @pytest.mark.usefixtures("in_zoo")
    def test_internet_sockets_are_as_proc_tells(self, source: str) -> None:
        rows = [row for row in nf.connections("inet") if row.state != "CLOSE"]
        assert [row._replace(send_q=0) if row.state == "LISTEN" else row for row in told_all(rows)] == (
            sockets_lab.from_proc("tcp", "tcp6", "udp", "udp6")
        )
        assert told_all(nf.connections("raw")) == sockets_lab.from_proc("raw", "raw6")

    @pytest.mark.usefixtures("in_zoo")
    def test_unix_sockets_are_as_ss_tells(self, source: str, alone: lab.Namespace, tool: Callable[[str], str]) -> None:
        tool("ss")
        rows = [row for row in nf.connections("unix") if row.inode != 0]
        expected = sockets_lab.from_ss_unix(alone)
        assert sorted((row.inode, row.type, row.state, row.local_address) for row in rows) == sorted(
            (row.inode, row.type, row.state, row.local) for row in expected
        )

    @pytest.mark.usefixtures("in_zoo")
    def test_a_kind_and_a_state_are_their_part_of_all(self, source: str) -> None:
        everything = list(nf.connections("all"))
        for kind in KINDS:
            rows = list(nf.connections(kind))
            assert Counter(rows) == Counter(sockets_lab.kept(everything, kind)), kind
            assert rows, kind
            for state in STATES:
                expected = Counter(row for row in rows if row.state == state)
                assert Counter(nf.connections(kind, states=state)) == expected, (kind, state)

    @pytest.mark.usefixtures("in_zoo")
    def test_a_port_is_its_part_of_all(self, source: str) -> None:
        everything = list(nf.connections("all"))
        for kind in INET_KINDS:
            rows = sockets_lab.kept(everything, kind)
            for port in sorted({row.local_port for row in everything if row.local_port}):
                found = Counter(nf.connections(kind, local_port=port))
                assert found == Counter(row for row in rows if row.local_port == port), (kind, port)

    @pytest.mark.usefixtures("in_zoo")
    def test_listening_is_what_can_be_reached(self, source: str) -> None:
        for kind in KINDS:
            expected = [
                row
                for row in nf.connections(kind)
                if row.state == ("LISTEN" if row.protocol in ("tcp", "unix") else "UNCONN")
            ]
            assert Counter(nf.listening(kind)) == Counter(expected), kind

    @pytest.mark.usefixtures("in_zoo")
    def test_columns_are_of_the_same_types(self, source: str) -> None:
        table = nf.connections("all", owners=True)
        for name, dtype in DTYPES.items():
            column = getattr(table, name)
            assert (column.dtype, column.shape) == (np.dtype(dtype), (len(table),)), name
        assert pa.table(table).num_rows == pl.DataFrame(table).shape[0] == len(table)
        json.dumps(table.to_dicts())

    @pytest.mark.usefixtures("in_zoo")
    def test_owners_are_the_same(self, source: str) -> None:
        for row in nf.connections("all", owners=True):
            assert row.processes is not None
            assert [process.pid for process in row.processes] == ([] if row.inode == 0 else [os.getpid()])

    @pytest.mark.usefixtures("folder")
    @pytest.mark.parametrize("name", [*PATHS, *ABSTRACT])
    def test_a_unix_socket_has_any_name(self, source: str, stack: ExitStack, name: bytes) -> None:
        sock = unix(stack, socket.SOCK_STREAM)
        if len(name) == 108 and name[0]:
            sockets_lab.bind_path(sock, name)
        else:
            sock.bind(name)
        unix(stack, socket.SOCK_STREAM, b"\0another")
        assert row_of(sock).local_address == as_text(name)
        assert sorted(nf.connections("unix").local_address.tolist()) == sorted([as_text(name), "@another"])

    @pytest.mark.usefixtures("folder")
    def test_a_path_is_no_row(self, source: str, stack: ExitStack) -> None:
        # /proc/net/unix writes paths as they are: this one goes on like the row of a listener of somebody else.
        path = b"x\n0000000000000000: 00000002 00000000 00010000 0001 01 4294967 fake"
        sock = unix(stack, socket.SOCK_STREAM, path)
        if source == "netlink":
            assert [row.local_address for row in nf.connections("unix")] == [as_text(path)]
        assert row_of(sock).state == "UNCONN"

    def test_owners_of_a_port_are_the_same(self, source: str, stack: ExitStack) -> None:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        assert [owner.pid for owner in nf.port_owner(listener.getsockname()[1])] == [os.getpid()]

    def test_a_call_takes_no_longer_than_it_must(self, source: str, stack: ExitStack) -> None:
        of_every_kind(stack)
        start = time.monotonic()
        for _ in range(20):
            nf.connections("all")
        assert time.monotonic() - start < 2

    def test_no_descriptor_is_left(self, source: str, stack: ExitStack) -> None:
        of_every_kind(stack)
        before = lab.descriptors()
        for _ in range(50):
            nf.connections("all", owners=True)
        assert lab.descriptors() == before


# --- what a row refers to -------------------------------------------------------------------------------------------


def test_subflows_of_mptcp_share_an_inode_and_are_all_told(require: Callable[[object, str], None]) -> None:
    require(os.path.exists("/proc/sys/net/mptcp/enabled"), "a kernel with MPTCP")
    with lab.namespace() as near, lab.namespace() as far, ExitStack() as stack:
        cards = [lab.cable(near, far) for _ in range(2)]
        for number, (here, there) in enumerate(cards, 1):
            near.ip(f"addr add 198.18.{number}.1/24 dev {here}")
            far.ip(f"addr add 198.18.{number}.2/24 dev {there}")
        for host in (near, far):
            host.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
        near.run("ip", "mptcp", "endpoint", "add", "198.18.2.1", "dev", cards[1][0], "subflow")
        with far.inside():
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP))
            server.bind(("198.18.1.2", 5555))
            server.listen()
        with near.inside():
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP))
            client.connect(("198.18.1.2", 5555))
        accepted = stack.enter_context(server.accept()[0])
        client.send(b"x")
        accepted.send(accepted.recv(1))
        with near.inside():
            sockets_lab.until(lambda: len(sockets_lab.from_proc("tcp")) == 2)
            rows = list(nf.connections("tcp", states="ESTABLISHED"))
            assert {row.local_address for row in rows} == {"198.18.1.1", "198.18.2.1"}
            assert len({row.inode for row in rows}) == 1


def test_a_table_stays_that_of_its_namespace(alone: lab.Namespace) -> None:
    alone.ip("link add own7 type ifb", "link set own7 up", "addr add fe80::7/64 dev own7 nodad")
    index = nf.interface("own7").index
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        sock.bind(("fe80::7", 0, 0, index))
        server = unix(stack, socket.SOCK_DGRAM, b"\0a peer")
        client = unix(stack, socket.SOCK_DGRAM)
        client.connect(b"\0a peer")
        table, peers = nf.connections("udp"), nf.connections("unix", states="ESTABLISHED")
        server.close()
    with lab.namespace() as other, other.inside():
        assert [row.local_address for row in table] == ["fe80::7%own7"]
        assert table.local_address.tolist() == ["fe80::7%own7"]
        assert "@a peer" in [row.remote_address for row in peers]
