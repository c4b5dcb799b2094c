"""Sockets for tests: in every state, held by whoever it may be; and what else tells of them, read slowly.

The tellers are /proc/net, `ss` and `netstat`; each gives rows of `Told`. What one of them leaves out, it leaves out for
everybody who compares: the tests say where.
"""

from __future__ import annotations

import ctypes
import ipaddress
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import netfast as nf
from net import lab

# include/net/tcp_states.h, from 1; UNCONN is what ss(8) calls a CLOSE that is not of TCP.
TCP_STATES = (
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
)
STATES = (*TCP_STATES, "UNCONN")
INET_KINDS = ("inet", "inet4", "inet6", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "raw", "raw4", "raw6")
KINDS = (*INET_KINDS, "unix", "all")
LOOPBACKS = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


class Told(NamedTuple):
    """A socket of TCP, UDP or raw IP, as somebody tells."""

    protocol: str
    family: int
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str
    recv_q: int
    send_q: int
    uid: int
    inode: int


def told(row: nf.Connection) -> Told:
    return Told(
        row.protocol,
        int(row.family),
        row.local_address.partition("%")[0],  # only ss knows of zones
        row.local_port,
        row.remote_address.partition("%")[0],
        row.remote_port,
        row.state,
        row.recv_q,
        row.send_q,
        row.uid,
        row.inode,
    )


def told_all(rows: Iterable[nf.Connection]) -> list[Told]:
    return sorted(map(told, rows))


def kept(rows: Iterable[nf.Connection], kind: str) -> list[nf.Connection]:
    """Those of a full table that are of the kind."""
    protocols = {"inet": ("tcp", "udp"), "all": ("tcp", "udp", "raw", "unix")}.get(kind.rstrip("46"), (kind[:3],))
    if kind == "unix":
        protocols = ("unix",)
    families = {"4": (socket.AF_INET,), "6": (socket.AF_INET6,)}.get(kind[-1], tuple(socket.AddressFamily))
    return [row for row in rows if row.protocol in protocols and row.family in families]


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for something that the kernel is about to do."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.002)


# --- /proc/net ------------------------------------------------------------------------------------------------------


def _address(text: str) -> tuple[str, int]:
    """Words of 32 bits in the order of this machine, as hexadecimal numbers."""
    digits, port = text.split(":")
    packed = b"".join(struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed), int(port, 16)


def from_proc(*tables: str) -> list[Told]:
    """The rows of "tcp", "tcp6", "udp" ... in the calling thread's namespace."""
    rows = []
    for table in tables:
        protocol = table.rstrip("6")
        for line in Path("/proc/thread-self/net", table).read_text().splitlines()[1:]:
            _, local, remote, state, queues, _, _, uid, _, number, *_ = line.split()
            send_q, recv_q = (int(part, 16) for part in queues.split(":"))
            name = TCP_STATES[int(state, 16) - 1]
            if protocol != "tcp" and name == "CLOSE":
                name = "UNCONN"
            family = socket.AF_INET6 if table.endswith("6") else socket.AF_INET
            addresses = *_address(local), *_address(remote)
            rows.append(Told(protocol, family, *addresses, name, recv_q, send_q, int(uid), int(number)))
    return sorted(rows)


# --- ss(8) and netstat(8) -------------------------------------------------------------------------------------------


class Details(NamedTuple):
    """What only ss knows of a socket."""

    interface: str  # "" for any
    v6only: bool


def _ss_address(text: str) -> tuple[str, str, int]:
    """The address, the card and the port of "[fe80::1]%eth0:80", "*:80", "127.0.0.1:*"."""
    found = re.fullmatch(r"\[?([^\]%]*?)\]?(?:%([^:]*))?:(\d+|\*)", text)
    assert found, text
    host, card, port = found.groups()
    return "::" if host == "*" else host, card or "", 0 if port == "*" else int(port)


def _ss_state(text: str, protocol: str) -> str:
    name = {"ESTAB": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2"}.get(text)
    name = name or text.replace("-", "_")
    return "CLOSE" if (name, protocol) == ("UNCONN", "tcp") else name


def from_ss(host: lab.Namespace, protocol: str) -> dict[Told, Details]:
    """The sockets of "tcp", "udp" or "raw" in the namespace. A socket of TCP that is only bound is not told."""
    option = {"tcp": "-t", "udp": "-u", "raw": "-w"}[protocol]
    rows = {}
    for line in host.run("ss", "-H", "-ane", option).splitlines():
        state, recv_q, send_q, local, remote, *more = line.split()
        name, card, port = _ss_address(local)
        peer, _, peer_port = _ss_address(remote)
        extra = dict(word.split(":", 1) for word in more if ":" in word)
        row = Told(
            protocol,
            socket.AF_INET6 if ":" in name else socket.AF_INET,
            name,
            port,
            peer,
            peer_port,
            _ss_state(state, protocol),
            int(recv_q),
            int(send_q),
            int(extra.get("uid", 0)),
            int(extra.get("ino", 0)),
        )
        assert row not in rows, f"ss tells twice of {row}"
        rows[row] = Details(card, extra.get("v6only") == "1")
    return rows


class UnixTold(NamedTuple):
    """A Unix socket, as ss tells: it names the peer by its inode."""

    type: int
    state: str
    recv_q: int
    send_q: int
    local: str
    inode: int
    peer_inode: int


def from_ss_unix(host: lab.Namespace) -> list[UnixTold]:
    """Paths with a newline are beyond it."""
    types = {"u_str": socket.SOCK_STREAM, "u_dgr": socket.SOCK_DGRAM, "u_seq": socket.SOCK_SEQPACKET}
    row = re.compile(r"(u_\w+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(.*) (\d+)\s+\* (\d+)\s.*")
    rows = []
    for line in host.run("ss", "-H", "-xane").splitlines():
        found = row.fullmatch(line)
        assert found, line
        kind, state, recv_q, send_q, local, number, peer = found.groups()
        name = "" if local == "*" else local
        state = _ss_state(state, "unix")
        rows.append(UnixTold(types[kind], state, int(recv_q), int(send_q), name, int(number), int(peer)))
    return sorted(rows)


def from_netstat(host: lab.Namespace) -> list[Told]:
    """Of TCP, UDP and raw IP. An IPv4 address in IPv6 loses its "::ffff:"."""
    rows = []
    for line in host.run("netstat", "-tuwaneW").splitlines():
        name, *fields = line.split()
        if name.rstrip("6") not in ("tcp", "udp", "raw"):
            continue
        state = fields[4] if len(fields) == 7 else "UNCONN"  # which it leaves blank
        state = {"7": "UNCONN", "1": "ESTABLISHED"}.get(state, state)  # a number, of raw IP
        (local, _, local_port), (remote, _, remote_port) = fields[2].rpartition(":"), fields[3].rpartition(":")
        rows.append(
            Told(
                name.rstrip("6"),
                socket.AF_INET6 if name.endswith("6") else socket.AF_INET,
                local,
                int(local_port),
                remote,
                0 if remote_port == "*" else int(remote_port),
                state,
                int(fields[0]),
                int(fields[1]),
                int(fields[-2]),
                int(fields[-1]),
            )
        )
    return sorted(rows)


# --- sockets of TCP in every state ----------------------------------------------------------------------------------


class Made(NamedTuple):
    """A socket brought into a state. Its inode is 0 once nobody holds it, or before anybody does."""

    state: str
    local: str
    local_port: int
    remote: str
    remote_port: int
    inode: int


def made(row: nf.Connection) -> Made:
    return Made(row.state, row.local_address, row.local_port, row.remote_address, row.remote_port, row.inode)


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6


def _tcp_state(sock: socket.socket) -> str:
    """The first byte of struct tcp_info."""
    return TCP_STATES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] - 1]


_ports = itertools.cycle(range(1024, 32768))  # those the kernel does not choose


class Tcp:
    """Sockets of a namespace at one address; `cut` loses whatever is sent to a port from then on."""

    def __init__(self, host: lab.Namespace, address: str, stack: ExitStack) -> None:
        self.host = host
        self.address = address
        self.family = family_of(address)
        self.stack = stack
        self.made: list[Made] = []

    def bound(self) -> socket.socket:
        """Bound to a port that no other of these has, whatever its address: what is cut off is a port."""
        sock = self.stack.enter_context(socket.socket(self.family, socket.SOCK_STREAM))
        sock.bind((self.address, next(_ports)))
        return sock

    def listener(self, backlog: int = 5) -> socket.socket:
        sock = self.bound()
        sock.listen(backlog)
        self.note("LISTEN", sock.getsockname(), (ANY[self.family], 0), sock)
        return sock

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection, its maker's first."""
        listener, client = self.listener(), self.bound()
        client.connect(listener.getsockname())
        return client, self.stack.enter_context(listener.accept()[0])

    def cut(self, sock: socket.socket) -> None:
        self.host.run("nft", "add", "element", "inet", "cut", "ports", f"{{ {sock.getsockname()[1]} }}")

    def note(self, state: str, local: Any, remote: Any, holder: socket.socket | None = None) -> None:
        number = 0 if holder is None else inode(holder)
        self.made.append(Made(state, local[0], local[1], remote[0], remote[1], number))

    def note_pair(self, client: socket.socket, state: str, server: socket.socket, server_state: str) -> None:
        self.note(state, client.getsockname(), server.getsockname(), client)
        self.note(server_state, server.getsockname(), client.getsockname(), server)

    # A state each.

    def bound_only(self) -> None:
        sock = self.bound()
        self.note("CLOSE", sock.getsockname(), (ANY[self.family], 0), sock)

    def syn_sent(self) -> None:
        listener, client = self.listener(), self.bound()
        self.cut(listener)
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        self.note("SYN_SENT", client.getsockname(), listener.getsockname(), client)

    def syn_recv(self) -> None:
        listener, client = self.listener(), self.bound()
        self.cut(client)
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        self.note("SYN_SENT", client.getsockname(), listener.getsockname(), client)
        self.note("SYN_RECV", listener.getsockname(), client.getsockname())

    def established(self) -> None:
        client, server = self.pair()
        self.note_pair(client, "ESTABLISHED", server, "ESTABLISHED")

    def not_accepted(self) -> None:
        listener, client = self.listener(), self.bound()
        client.connect(listener.getsockname())
        self.note("ESTABLISHED", client.getsockname(), listener.getsockname(), client)
        self.note("ESTABLISHED", listener.getsockname(), client.getsockname())

    def fin_wait1(self) -> None:
        client, server = self.pair()
        self.cut(server)
        client.shutdown(socket.SHUT_WR)
        self.note_pair(client, "FIN_WAIT1", server, "ESTABLISHED")

    def fin_wait2(self) -> None:
        client, server = self.half_closed()
        self.note_pair(client, "FIN_WAIT2", server, "CLOSE_WAIT")

    def fin_wait2_of_nobody(self) -> None:
        client, server = self.pair()
        self.note("FIN_WAIT2", client.getsockname(), server.getsockname())
        self.note("CLOSE_WAIT", server.getsockname(), client.getsockname(), server)
        client.close()

    def half_closed(self) -> tuple[socket.socket, socket.socket]:
        """A pair whose maker has said all, and knows that it was heard."""
        client, server = self.pair()
        client.shutdown(socket.SHUT_WR)
        until(lambda: _tcp_state(client) == "FIN_WAIT2")
        return client, server

    def last_ack(self) -> None:
        client, server = self.half_closed()
        self.cut(client)
        server.shutdown(socket.SHUT_WR)
        self.note_pair(client, "FIN_WAIT2", server, "LAST_ACK")

    def last_ack_of_nobody(self) -> None:
        client, server = self.half_closed()
        self.cut(client)
        self.note("FIN_WAIT2", client.getsockname(), server.getsockname(), client)
        self.note("LAST_ACK", server.getsockname(), client.getsockname())
        server.close()

    def closing(self) -> None:
        # The server has not heard the client's end, nor that its own was heard.
        client, server = self.pair()
        self.cut(server)
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        self.note_pair(client, "CLOSING", server, "FIN_WAIT1")

    def time_wait(self) -> None:
        client, server = self.pair()
        self.note("TIME_WAIT", client.getsockname(), server.getsockname())
        client.close()
        server.close()

    def every_state(self) -> None:
        self.bound_only()
        self.syn_sent()
        self.syn_recv()
        self.established()
        self.not_accepted()
        self.fin_wait1()
        self.fin_wait2()
        self.fin_wait2_of_nobody()
        self.last_ack()
        self.last_ack_of_nobody()
        self.closing()
        self.time_wait()


def can_cut(host: lab.Namespace) -> None:
    host.nft(
        "table inet cut { set ports { type inet_service; }"
        " chain in { type filter hook input priority 0; tcp dport @ports drop; } }"
    )


@contextmanager
def every_tcp_state(host: lab.Namespace, *addresses: str) -> Iterator[list[Made]]:
    """All sockets of TCP that are then in the namespace, which must be the calling thread's own."""
    can_cut(host)
    with ExitStack() as stack:
        all_made: list[Made] = []
        for address in addresses:
            tcp = Tcp(host, address, stack)
            tcp.every_state()
            all_made += tcp.made
        settled(all_made)
        yield sorted(all_made)


def settled(rows: Iterable[Made]) -> None:
    """Waits until /proc/net shows these, all but the ones that are only bound: of those it does not tell."""
    wanted = {row for row in rows if row.state != "CLOSE"}

    def there() -> bool:
        shown = from_proc("tcp", "tcp6")
        return wanted <= {
            Made(row.state, row.local, row.local_port, row.remote, row.remote_port, row.inode) for row in shown
        }

    until(there)


# --- sockets of UDP, of raw IP, and of Unix -------------------------------------------------------------------------


def udp(stack: ExitStack, address: str, port: int = 0, peer: Any = None) -> socket.socket:
    """Bound to the address, or connected to the peer."""
    sock = stack.enter_context(socket.socket(family_of(address), socket.SOCK_DGRAM))
    if peer is None:
        sock.bind((address, port))
    else:
        sock.connect(peer)
    return sock


def raw(stack: ExitStack, address: str, protocol: int, *, connected: bool = False) -> socket.socket:
    sock = stack.enter_context(socket.socket(family_of(address), socket.SOCK_RAW, protocol))
    if connected:
        sock.connect((address, 0))
    else:
        sock.bind((address, 0))
    return sock


def unix(stack: ExitStack, kind: int, name: str | bytes | None = None) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
    if name is not None:
        sock.bind(name)
    return sock


_libc = ctypes.CDLL(None, use_errno=True)


def bind_path(sock: socket.socket, path: bytes) -> None:
    """Python leaves room for a NUL behind a path; the kernel wants none."""
    address = struct.pack("=H", socket.AF_UNIX) + path
    assert _libc.bind(sock.fileno(), address, len(address)) == 0, os.strerror(ctypes.get_errno())


def disconnect(sock: socket.socket) -> None:
    """The peer is AF_UNSPEC, which Python cannot say."""
    assert _libc.connect(sock.fileno(), bytes(16), 16) == 0, os.strerror(ctypes.get_errno())


def unix_sockets(stack: ExitStack, folder: Path) -> None:
    """Of each type, by path, by abstract name and without any; at both ends."""
    for number, kind in enumerate((socket.SOCK_STREAM, socket.SOCK_SEQPACKET)):
        for name in (bytes(folder / f"listener {number}"), b"\0a\0b" + bytes([65 + number])):
            listener = unix(stack, kind, name)
            listener.listen(3 + number)
            client = unix(stack, kind)
            client.connect(name)
            server = stack.enter_context(listener.accept()[0])
            server.send(b"to the client")
            client.send(b"to")
            unix(stack, kind).connect(name)  # not accepted
    receiver = unix(stack, socket.SOCK_DGRAM, bytes(folder / "datagrams"))
    unix(stack, socket.SOCK_DGRAM, b"\0not connected")
    sender = unix(stack, socket.SOCK_DGRAM, b"\0sender")
    sender.connect(receiver.getsockname())
    sender.send(b"two")
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        for sock in socket.socketpair(socket.AF_UNIX, kind):
            stack.enter_context(sock)
        unix(stack, kind)


@contextmanager
def zoo(host: lab.Namespace, folder: Path) -> Iterator[None]:
    """Sockets of every kind in every state, in the namespace that the calling thread is in. None of them changes."""
    with every_tcp_state(host, *LOOPBACKS), ExitStack() as stack:
        for address in LOOPBACKS:
            receiver = udp(stack, address)
            sender = udp(stack, address, peer=receiver.getsockname())
            sender.send(b"a datagram")
        for address in ("127.0.0.1", "::1"):
            for protocol in (252, 253, 255):
                raw(stack, address, protocol)
            raw(stack, address, 254, connected=True)
        unix_sockets(stack, folder)
        yield


# --- processes that hold sockets ------------------------------------------------------------------------------------

_HOLDER = """
import ctypes, json, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def ok(status):
    assert status == 0, os.strerror(ctypes.get_errno())
def wait_for_end():
    sys.stdin.buffer.read()
"""


@contextmanager
def holder(host: lab.Namespace, code: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A process inside that has run the code, which leaves a value in `told`, and waits for the end of the test.

    A child that it forks is to call wait_for_end() and os._exit(); then it ends as well.
    """
    process = host.start(f"{_HOLDER}\n{code}\nprint(json.dumps(told), flush=True)\nwait_for_end()\n", *arguments)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            process.kill()
            raise RuntimeError(f"the process ended:\n{process.stderr.read()}")
        yield process, json.loads(line)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
