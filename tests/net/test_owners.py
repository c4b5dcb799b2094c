"""Who holds a socket: port_owner, and the processes of connections and listening."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from net import lab, sockets_lab
from net.sockets_lab import holder, inode, raw, udp, unix

pytestmark = pytest.mark.usefixtures("alone", "source")

NOBODY = 65_534
PF_KTHREAD = 0x00200000  # include/linux/sched.h


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as sockets:
        yield sockets


def process(pid: int) -> nf.Process:
    """What /proc tells of it."""
    folder = Path("/proc", str(pid))
    name = (folder / "comm").read_bytes().removesuffix(b"\n")
    arguments = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
    (uid,) = re.findall(r"^Uid:\t(\d+)", (folder / "status").read_text(errors="replace"), re.MULTILINE)
    return nf.Process(pid, os.fsdecode(name), tuple(map(os.fsdecode, arguments)), int(uid))


def owners_of(number: int, kind: str = "all") -> tuple[nf.Process, ...] | None:
    """Those of the socket with the inode."""
    (owners,) = [row.processes for row in nf.connections(kind, owners=True) if row.inode == number]
    return owners


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def listening(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


def pids(owners: list[nf.Process] | tuple[nf.Process, ...] | None) -> list[int]:
    assert owners is not None
    return [owner.pid for owner in owners]


# --- one owner ------------------------------------------------------------------------------------------------------


def test_a_process_is_told_in_full(stack: ExitStack) -> None:
    listener = listening(stack)
    own = process(os.getpid())
    assert own.cmdline[0] == sys.orig_argv[0]
    assert owners_of(inode(listener)) == (own,)
    assert nf.port_owner(port_of(listener)) == [own]
    assert [row.processes for row in nf.listening(owners=True)] == [(own,)]
    assert isinstance(nf.port_owner(port_of(listener))[0], nf.Process)


def test_sockets_of_every_kind_have_owners(stack: ExitStack) -> None:
    sockets = [udp(stack, "::1"), raw(stack, "127.0.0.1", 253), raw(stack, "::1", 253)]
    sockets += [unix(stack, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)]
    sockets += map(stack.enter_context, socket.socketpair())
    table = nf.connections("all", owners=True)
    assert sorted(table.inode.tolist()) == sorted(map(inode, sockets))
    assert set(table.processes.tolist()) == {(process(os.getpid()),)}


def test_a_descriptor_more_is_not_an_owner_more(stack: ExitStack) -> None:
    listener = listening(stack)
    for _ in range(3):
        stack.enter_context(listener.dup())
    assert pids(owners_of(inode(listener))) == pids(nf.port_owner(port_of(listener))) == [os.getpid()]


def test_a_process_with_many_descriptors_is_read_to_the_last(alone: lab.Namespace) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
files = [os.dup(0) for _ in range(5000)]
sock = socket.create_server(("127.0.0.1", 0))
told = sock.getsockname()[1]
"""
    with holder(alone, code) as (child, port):
        assert pids(nf.port_owner(port)) == [child.pid]


# --- several owners, and none ---------------------------------------------------------------------------------------

FORKED = """
sock = socket.create_server(("127.0.0.1", 0))
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        wait_for_end()
        os._exit(0)
    children.append(child)
told = [sock.getsockname()[1], os.fstat(sock.fileno()).st_ino, *children]
"""


def test_a_parent_and_its_children_own_the_same_socket(alone: lab.Namespace) -> None:
    with holder(alone, FORKED) as (parent, (port, number, *children)):
        expected = sorted([parent.pid, *children])
        assert pids(nf.port_owner(port)) == expected
        assert sorted(pids(owners_of(number))) == expected
        assert owners_of(number) == tuple(map(process, pids(owners_of(number))))


PASSED = """
keep = sys.argv[1] == "keep"
here, there = socket.socketpair()
sender = os.fork()
if sender == 0:
    sock = socket.create_server(("127.0.0.1", 0))
    socket.send_fds(there, [b"x"], [sock.fileno()])
    if not keep:
        sock.close()
    there.send(b"y")
    wait_for_end()
    os._exit(0)
_, (number,), _, _ = socket.recv_fds(here, 1, 1)
here.recv(1)
sock = socket.socket(fileno=number)
told = [sender, sock.getsockname()[1], os.fstat(number).st_ino]
"""


@pytest.mark.parametrize("keeps", [True, False])
def test_who_was_handed_a_socket_owns_it(alone: lab.Namespace, keeps: bool) -> None:
    with holder(alone, PASSED, "keep" if keeps else "close") as (receiver, (sender, port, number)):
        expected = sorted([sender, receiver.pid]) if keeps else [receiver.pid]
        assert pids(nf.port_owner(port)) == expected
        assert sorted(pids(owners_of(number))) == expected


def test_a_socket_on_its_way_has_no_owner_that_is_known(stack: ExitStack) -> None:
    here, there = map(stack.enter_context, socket.socketpair())
    listener = socket.create_server(("127.0.0.1", 0))
    number, port = inode(listener), port_of(listener)
    os.fchown(listener.fileno(), 4321, -1)
    socket.send_fds(here, [b"x"], [listener.fileno()])
    listener.close()
    assert owners_of(number) is None
    with pytest.raises(PermissionError, match="4321"):
        nf.port_owner(port)
    _, (descriptor,), _, _ = socket.recv_fds(there, 1, 1)
    assert pids(nf.port_owner(port)) == [os.getpid()]
    os.close(descriptor)


def test_what_nobody_holds_has_no_owner(alone: lab.Namespace, stack: ExitStack) -> None:
    tcp = sockets_lab.Tcp(alone, "127.0.0.1", stack)
    tcp.not_accepted()
    tcp.time_wait()
    tcp.fin_wait2_of_nobody()
    sockets_lab.settled(tcp.made)
    states = {(row.state, row.processes) for row in nf.connections("tcp", owners=True) if row.inode == 0}
    assert states == {("ESTABLISHED", ()), ("TIME_WAIT", ()), ("FIN_WAIT2", ())}


def test_a_port_that_only_waits_has_no_owner(alone: lab.Namespace, stack: ExitStack) -> None:
    tcp = sockets_lab.Tcp(alone, "127.0.0.1", stack)
    listener, client = tcp.listener(), tcp.bound()
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    port = port_of(client)
    client.close()
    server.close()
    (row,) = nf.connections("tcp", local_port=port, owners=True)
    assert (row.state, row.processes) == ("TIME_WAIT", ())
    assert nf.port_owner(port) == []


def test_a_port_that_nobody_has_is_nobodys() -> None:
    assert nf.port_owner(9) == nf.port_owner(9, "udp") == []
    assert nf.port_owner(65535) == []


# --- port_owner -----------------------------------------------------------------------------------------------------

HOLDS = """
sock = socket.socket(getattr(socket, sys.argv[1]), getattr(socket, sys.argv[2]))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind((sys.argv[3], int(sys.argv[4])))
if sys.argv[2] == "SOCK_STREAM":
    sock.listen(1)
told = sock.getsockname()[1]
"""


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", "SOCK_STREAM"), ("udp", "SOCK_DGRAM")])
def test_all_who_share_a_port_own_it(alone: lab.Namespace, protocol: str, kind: str) -> None:
    with ExitStack() as stack:
        port, processes = 0, []
        for family, address in [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1"), ("AF_INET", "127.0.0.1")] * 2:
            child, port = stack.enter_context(holder(alone, HOLDS, family, kind, address, port))
            processes.append(child.pid)
        assert pids(nf.port_owner(port, protocol)) == sorted(processes)
        other = "udp" if protocol == "tcp" else "tcp"
        assert nf.port_owner(port, other) == []


def test_the_protocol_is_tcp_unless_said(stack: ExitStack) -> None:
    port = port_of(udp(stack, "127.0.0.1"))
    assert nf.port_owner(port) == []
    assert pids(nf.port_owner(port, "udp")) == pids(nf.port_owner(port, protocol="udp")) == [os.getpid()]


def test_either_end_of_a_connection_owns_its_own_port(alone: lab.Namespace, stack: ExitStack) -> None:
    listener = listening(stack)
    code = f"sock = socket.create_connection(('127.0.0.1', {port_of(listener)})); told = sock.getsockname()[1]"
    with holder(alone, code) as (child, port):
        server = stack.enter_context(listener.accept()[0])
        assert pids(nf.port_owner(port)) == [child.pid]
        assert pids(nf.port_owner(port_of(listener))) == [os.getpid()]
        listener.close()
        assert pids(nf.port_owner(port_of(server))) == [os.getpid()]


def test_a_connected_datagram_socket_owns_its_port(stack: ExitStack) -> None:
    sock = udp(stack, "::1", peer=("::1", 9))
    assert pids(nf.port_owner(port_of(sock), "udp")) == [os.getpid()]
    assert nf.port_owner(9, "udp") == []


def test_who_has_bound_a_port_owns_it(stack: ExitStack, source: str) -> None:
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    # Of a socket of TCP that is only bound /proc/net does not tell.
    assert pids(nf.port_owner(port_of(sock))) == ([os.getpid()] if source == "netlink" else [])


# --- holders that cannot be seen ------------------------------------------------------------------------------------

# Asks once as root, so that every module is there, and then as nobody.
AS_NOBODY = f"""
import json, os, socket, sys
import netfast as nf
from netfast import _netlink
_netlink.force_proc(sys.argv[1] == "proc")
def tell():
    try:
        return CALL
    except Exception as error:
        return [type(error).__name__, getattr(error, "errno", None), str(error)]
tell()
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
PREPARE
print(json.dumps(tell()))
"""


def as_nobody(host: lab.Namespace, source: str, call: str, prepare: str = "") -> Any:
    return json.loads(host.python(AS_NOBODY.replace("CALL", call).replace("PREPARE", prepare), source))


@pytest.mark.parametrize("uid", [0, 4321])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_may_not_see_the_holder_is_told(
    alone: lab.Namespace, stack: ExitStack, source: str, protocol: str, uid: int
) -> None:
    sock = udp(stack, "127.0.0.1") if protocol == "udp" else listening(stack)
    os.fchown(sock.fileno(), uid, -1)
    port = port_of(sock)
    kind, number, text = as_nobody(alone, source, f"nf.port_owner({port}, {protocol!r})")
    assert (kind, number) == ("PermissionError", errno.EACCES)
    assert re.search(rf"\b{port}\b", text)
    assert re.search(rf"\b{protocol}\b", text, re.IGNORECASE)
    assert re.search(rf"\b{uid}\b", text)


def test_owners_that_cannot_be_seen_are_not_known(alone: lab.Namespace, stack: ExitStack, source: str) -> None:
    sockets_lab.Tcp(alone, "127.0.0.1", stack).not_accepted()
    udp(stack, "::1")
    unix(stack, socket.SOCK_STREAM, b"\0name").listen(1)
    raw(stack, "127.0.0.1", 253)
    call = "[[row.protocol, row.state, row.inode, row.processes] for row in nf.connections('all', owners=True)]"
    rows = as_nobody(alone, source, call)
    assert len(rows) == 6
    for _, _, number, owners in rows:
        assert owners == ([] if number == 0 else None)
    assert sum(number == 0 for _, _, number, _ in rows) == 1


OWN_LISTENER = """
own = socket.socket()
own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
own.bind(("127.0.0.2", PORT))
own.listen(1)
"""


def test_an_owner_that_can_be_seen_is_enough(alone: lab.Namespace, stack: ExitStack, source: str) -> None:
    roots = listening(stack)
    prepare = OWN_LISTENER.replace("PORT", str(port_of(roots)))
    call = f"[[owner.pid == os.getpid(), owner.uid] for owner in nf.port_owner({port_of(roots)})]"
    assert as_nobody(alone, source, call, prepare) == [[True, NOBODY]]
    call = "sorted([row.local_address, row.processes is None] for row in nf.listening(owners=True))"
    assert as_nobody(alone, source, call, prepare) == [["127.0.0.1", True], ["127.0.0.2", False]]


# --- names, command lines, users ------------------------------------------------------------------------------------

NAMED = """
name = bytes.fromhex(sys.argv[1])
assert libc.prctl(15, ctypes.c_char_p(name), 0, 0, 0) == 0
sock = socket.create_server(("127.0.0.1", 0))
told = sock.getsockname()[1]
"""


NAMES = [b"bad\xff", b"a b)", b") R 1 1 (", b"new\nline", b"\n", b"", b"x\nUid:\t7\t7", b"\t\\n\\", b"'\"$(id)`"]
NAMES += ["日本".encode(), b" ends ", b"\x1b[31m", b"x" * 15]


@pytest.mark.parametrize("name", NAMES)
def test_a_process_has_any_name(alone: lab.Namespace, name: bytes) -> None:
    with holder(alone, NAMED, name.hex()) as (child, port):
        (owner,) = nf.port_owner(port)
        assert owner == process(child.pid)
        assert (owner.pid, owner.name, owner.uid) == (child.pid, os.fsdecode(name), 0)
        table = nf.listening(owners=True)
        (dicts,) = json.loads(json.dumps(table.to_dicts()))
        assert dicts["processes"] == json.loads(json.dumps([owner._asdict()]))


ARGUMENTS: list[list[bytes]] = [
    [],
    [b""],
    [b"", b"a", b"", b""],
    [b"two words", b"new\nline"],
    [b"\xff\xfe", "日本".encode()],
    [b"x" * 100_000, b"y"],
    [b"a"] * 5000,
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_a_command_line_has_any_arguments(alone: lab.Namespace, stack: ExitStack, arguments: list[bytes]) -> None:
    code = "import socket, sys\nsock = socket.create_server(('127.0.0.1', 0))\n"
    code += "print(sock.getsockname()[1], flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        stack.callback(child.kill)
        assert child.stdout is not None
        (owner,) = nf.port_owner(int(child.stdout.readline()))
        child.kill()
    assert (owner.pid, owner.cmdline) == (child.pid, (sys.executable, "-c", code, *map(os.fsdecode, arguments)))


@pytest.mark.parametrize(
    ("call", "uid"),
    [
        ("os.setuid(4321)", 4321),
        ("os.setresuid(4321, 0, 0)", 4321),
        ("os.seteuid(4321)", 0),
        ("os.setuid(65534)", 65534),
    ],
)
def test_the_uid_of_a_process_is_its_real_one(alone: lab.Namespace, call: str, uid: int) -> None:
    code = f"{call}\nsock = socket.create_server(('127.0.0.1', 0))\ntold = sock.getsockname()[1]"
    with holder(alone, code) as (child, port):
        (owner,) = nf.port_owner(port)
        assert owner == process(child.pid)
        assert owner.uid == uid


IN_A_NAMESPACE = """
ok(libc.unshare(0x20000000))  # CLONE_NEWPID
here, there = socket.socketpair()
child = os.fork()
if child == 0:
    sock = socket.create_server(("127.0.0.1", 0))
    there.send(b"%d %d" % (sock.getsockname()[1], os.getpid()))
    wait_for_end()
    os._exit(0)
told = [child, *map(int, here.recv(100).split())]
"""


def test_a_pid_is_that_which_this_process_knows(alone: lab.Namespace) -> None:
    with holder(alone, IN_A_NAMESPACE) as (_, (child, port, inner)):
        assert inner == 1
        assert pids(nf.port_owner(port)) == [child]


def flags(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[6])


def test_a_kernel_thread_is_never_named(alone: lab.Namespace, stack: ExitStack) -> None:
    here, _ = map(stack.enter_context, socket.socketpair())
    lost = socket.create_server(("127.0.0.1", 0))
    socket.send_fds(here, [b"x"], [lost.fileno()])
    lost.close()
    sockets_lab.Tcp(alone, "127.0.0.1", stack).not_accepted()
    threads = [int(name) for name in os.listdir("/proc") if name.isdigit() and is_kernel_thread(int(name))]
    named = {owner.pid for row in nf.connections("all", owners=True) for owner in row.processes or ()}
    assert named == {os.getpid()}
    assert not named & set(threads)


def is_kernel_thread(pid: int) -> bool:
    try:
        return bool(flags(pid) & PF_KTHREAD)
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return False


# --- processes that come and go -------------------------------------------------------------------------------------

RESTLESS = """
sock = socket.create_server(("127.0.0.1", 0))
os.set_inheritable(sock.fileno(), True)
told = [sock.getsockname()[1], os.fstat(sock.fileno()).st_ino]
print(json.dumps(told), flush=True)
os.set_blocking(0, False)
while True:
    children = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(8)]
    for child in children:
        os.waitpid(child, 0)
    try:
        if os.read(0, 1) == b"":
            os._exit(0)
    except BlockingIOError:
        pass
"""


def test_processes_may_end_while_they_are_looked_at(alone: lab.Namespace) -> None:
    with holder(alone, RESTLESS) as (child, (port, number)):
        seen = 0
        end = time.monotonic() + 3
        while time.monotonic() < end:
            owners = nf.port_owner(port)
            assert child.pid in pids(owners)
            assert len(set(pids(owners))) == len(owners)
            assert pids(owners) == sorted(pids(owners))
            seen += len(owners)
            rows = owners_of(number)
            assert child.pid in pids(rows)
    assert seen > 0


def test_a_process_that_has_ended_owns_nothing(alone: lab.Namespace) -> None:
    code = "sock = socket.create_server(('127.0.0.1', 0)); told = sock.getsockname()[1]"
    with holder(alone, code) as (child, port):
        child.kill()
        # A zombie holds nothing, and is still in /proc.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        sockets_lab.until(lambda: nf.port_owner(port) == [])
        assert len(nf.connections("tcp")) == 0


# --- threads --------------------------------------------------------------------------------------------------------

LEADERLESS = """
import ctypes, os, socket, sys, threading

server = socket.create_server(("127.0.0.1", 0))

def stay():
    print([server.getsockname()[1]], flush=True)
    sys.stdin.read()

threading.Thread(target=stay).start()
number = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
ctypes.CDLL(None).syscall(number, 0)  # exit, of this thread only
"""


def test_a_process_whose_first_thread_has_ended_is_an_owner(alone: lab.Namespace) -> None:
    with holder(alone, LEADERLESS) as (child, (port,)):
        sockets_lab.until(lambda: not os.listdir(f"/proc/{child.pid}/fd"))
        assert pids(nf.port_owner(port)) == [child.pid]


def test_many_holders_of_many_sockets_are_told_quickly(stack: ExitStack) -> None:
    listeners = [listening(stack) for _ in range(100)]
    children = []
    try:
        for _ in range(300):
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
        begin = time.perf_counter()
        table = nf.listening(owners=True)
        assert time.perf_counter() - begin < 5
        assert len(table) == len(listeners)
        for row in table:
            assert pids(row.processes) == sorted([os.getpid(), *children])
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_where_proc_is_missing_nothing_is_told_for_nobody(alone: lab.Namespace) -> None:
    # A mount namespace of its own, in which something else lies over /proc.
    code = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
import netfast as nf
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
nf.listening(owners=True)
assert libc.mount(b"none", b"/proc", b"tmpfs", 0, None) == 0, os.strerror(ctypes.get_errno())
for ask in (lambda: nf.connections("raw"), lambda: nf.connections("tcp", owners=True)):
    try:
        print("told", list(ask()))
    except FileNotFoundError as error:
        print("error", error)
"""
    lines = alone.python(code).splitlines()
    assert [line.split()[0] for line in lines] == ["error", "error"], lines
    assert "/proc" in lines[1]
