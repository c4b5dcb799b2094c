"""ping and the process: who may, what signals do, what a fork keeps."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

import netfast as nf
from net import lab
from net.responder import Answer

NOBODY = 65_534

# Becomes nobody once the module is there, and says what came of `CALL`. It keeps one of root's rights, to read any file
# (CAP_DAC_READ_SEARCH): the interpreter may lie where only root reads, and modules are loaded when they are needed.
AS_NOBODY = f"""
import ctypes, json, os, struct
import netfast as nf
import numpy
nf.ping
libc = ctypes.CDLL(None)
assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
assert libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 1 << 2, 1 << 2, 0, 0, 0, 0)) == 0
try:
    print(json.dumps(CALL))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def as_nobody(host: lab.Namespace, call: str) -> Any:
    return json.loads(host.python(AS_NOBODY.replace("CALL", call)))


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("privileged", [None, False])
def test_nobody_may_ping_where_groups_may(alone: lab.Namespace, address: str, privileged: bool | None) -> None:
    call = f"nf.ping({address!r}, count=3, interval=0, privileged={privileged}).received"
    assert as_nobody(alone, call) == 3


def test_nobody_may_ping_many_where_groups_may(alone: lab.Namespace) -> None:
    call = "nf.ping_many(['127.0.0.1', '::1', '127.0.0.2'] * 100).received.tolist()"
    assert as_nobody(alone, call) == [1] * 300


def test_nobody_hears_errors(hosts: lab.Hosts, version: int) -> None:
    address = "198.18.2.1" if version == 4 else "2001:db8:2::1"
    router = "198.18.1.2" if version == 4 else "2001:db8:1::2"
    call = f"[(e.kind, e.source) for e in nf.ping({address!r}, count=2, interval=0, ttl=1).errors]"
    assert as_nobody(hosts.a, call) == [["ttl_exceeded", router]] * 2


@pytest.mark.parametrize("groups", ["0 2147483647", f"{NOBODY} {NOBODY}", f"0 {NOBODY - 1}", "1 0"])
def test_who_may_ping_goes_by_group(alone: lab.Namespace, groups: str) -> None:
    alone.sysctl(ipv4__ping_group_range=groups)
    low, high = map(int, groups.split())
    answer = as_nobody(alone, "nf.ping('127.0.0.1', count=1).received")
    if low <= NOBODY <= high:
        assert answer == 1
    else:
        assert answer[0] == "PermissionError"


@pytest.mark.parametrize("privileged", [None, True, False])
@pytest.mark.parametrize(
    "call",
    [
        "nf.ping('127.0.0.1', privileged={})",
        "nf.ping('::1', privileged={})",
        "nf.ping_many(['127.0.0.1', '::1'], privileged={})",
        "list(nf.ping_iter('127.0.0.1', privileged={}))",
        "__import__('asyncio').run(nf.aping('127.0.0.1', privileged={}))",
    ],
)
def test_who_may_not_is_told_what_would_help(alone: lab.Namespace, call: str, privileged: bool | None) -> None:
    alone.sysctl(ipv4__ping_group_range="1 0")
    kind, text = as_nobody(alone, call.format(privileged))
    assert kind == "PermissionError"
    assert "net.ipv4.ping_group_range" in text
    assert "CAP_NET_RAW" in text


def test_nobody_may_not_ping_raw(alone: lab.Namespace) -> None:
    kind, _ = as_nobody(alone, "nf.ping('127.0.0.1', count=1, privileged=True)")
    assert kind == "PermissionError"


def test_root_pings_where_no_group_may(alone: lab.Namespace, version: int) -> None:
    alone.sysctl(ipv4__ping_group_range="1 0")
    address = "127.0.0.1" if version == 4 else "::1"
    assert nf.ping(address, count=1).received == 1
    assert nf.ping(address, count=1, privileged=True).received == 1
    with pytest.raises(PermissionError, match="ping_group_range"):
        nf.ping(address, count=1, privileged=False)


def test_the_kind_of_socket_is_as_asked(alone: lab.Namespace) -> None:
    def open_now(privileged: bool | None) -> list[str]:
        # As the kernel lists them; those of datagrams for ping have tables of their own.
        events = nf.ping_iter("127.0.0.1", count=None, interval=10, privileged=privileged)
        next(events)
        counts = []
        for table in ("raw", "icmp"):
            with open(f"/proc/thread-self/net/{table}") as file:
                counts += [table] * (len(file.readlines()) - 1)
        events.close()
        return counts

    assert open_now(None) == ["icmp"]
    assert open_now(False) == ["icmp"]
    assert open_now(True) == ["raw"]


# --- signals --------------------------------------------------------------------------------------------------------


def silence(host: lab.Namespace) -> None:
    """127.1.0.0/16 is dead."""
    host.nft("table ip t { chain in { type filter hook input priority 0; ip daddr 127.1.0.0/16 drop; } }")


ALARMED = """
import json, signal
import netfast as nf

rings = 0
def ring(number, frame):
    global rings
    rings += 1
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
one = nf.ping("127.0.0.1", count=200, interval=0.002, privileged=PRIVILEGED)
fast = nf.ping("127.0.0.1", count=5000, interval=0, privileged=PRIVILEGED)
many = nf.ping_many("127.0.0.0/20", rate=20_000, privileged=PRIVILEGED)
dead = nf.ping("127.1.0.1", count=2, interval=0.1, timeout=0.3, privileged=PRIVILEGED)
events = [event.kind for event in nf.ping_iter(["127.0.0.1", "127.1.0.1"], count=20, interval=0.01, timeout=0.3)]
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps({
    "rings": rings,
    "one": [one.sent, one.received, one.late, one.duplicates],
    "fast": [fast.sent, fast.received, fast.late, fast.duplicates],
    "many": [int(many.sent.sum()), int(many.received.sum()), int(many.late.sum())],
    "dead": [dead.sent, dead.received],
    "elapsed": [one.elapsed, dead.elapsed],
    "events": sorted(events),
}))
"""


def test_a_signal_a_millisecond_changes_nothing(
    alone: lab.Namespace, tool: Callable[[str], str], privileged: bool
) -> None:
    tool("nft")
    silence(alone)
    told = json.loads(alone.python(ALARMED.replace("PRIVILEGED", str(privileged))))
    assert told["rings"] > 300
    assert told["one"] == [200, 200, 0, 0]
    assert told["fast"] == [5000, 5000, 0, 0]
    assert told["many"] == [4094, 4094, 0]
    assert told["dead"] == [2, 0]
    assert told["events"] == ["reply"] * 20 + ["timeout"] * 20
    assert 0.398 <= told["elapsed"][0] < 1.5
    assert 0.4 <= told["elapsed"][1] < 1.0


def test_what_a_handler_raises_ends_the_ping(alone: lab.Namespace, privileged: bool) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1)

    def stop(number: int, frame: object) -> None:
        raise LookupError("enough")

    before, start = lab.descriptors(), time.monotonic()
    handler = signal.signal(signal.SIGUSR1, stop)
    signaller = subprocess.Popen(["sh", "-c", "sleep 0.2; kill -USR1 $PPID"])
    try:
        with pytest.raises(LookupError, match="enough"):
            nf.ping("127.0.0.1", count=1, timeout=30, privileged=privileged)
    finally:
        signaller.wait()
        signal.signal(signal.SIGUSR1, handler)
    assert time.monotonic() - start < 2
    assert lab.descriptors() == before


# Says when it begins and when Ctrl-C was heard, and which sockets are left then.
INTERRUPTED = """
import os, sys, time, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import asyncio, itertools
import netfast as nf, numpy

def sockets():
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count

nf.ping("127.0.0.1", count=1)
before = sockets()
try:
    print("ready", flush=True)
    CALL
except KeyboardInterrupt:
    heard = time.monotonic()
else:
    heard = "ended"
print(heard, sockets() - before, flush=True)  # once the traceback has let go of what was under way
"""
DEAD = "[f'127.1.{n >> 8}.{n & 255}' for n in range(5000)]"


@pytest.mark.parametrize(
    "call",
    [
        "nf.ping('127.1.0.1', count=1, timeout=30)",
        "nf.ping('127.0.0.1', count=1000, interval=30)",
        "nf.ping('127.0.0.1', count=10_000_000, interval=0)",
        f"nf.ping_many({DEAD}, rate=100)",
        f"nf.ping_many({DEAD}, timeout=30)",
        "nf.ping_many('127.0.0.0/20', count=10_000, interval=0)",
        "nf.ping_many('127.0.0.0/20', count=10_000, interval=20)",
        "list(nf.ping_iter('127.1.0.1', count=1, timeout=30))",
        "[None for _ in nf.ping_iter('127.0.0.1', count=None, interval=0)]",
        f"list(nf.ping_iter({DEAD}, rate=100))",
        "asyncio.run(nf.aping('127.1.0.1', count=1, timeout=30))",
    ],
)
def test_ctrl_c_is_heard_at_once(alone: lab.Namespace, tool: Callable[[str], str], call: str, privileged: bool) -> None:
    tool("nft")
    silence(alone)
    call = call.replace("nf.ping('", f"nf.ping(privileged={privileged}, host='")
    for name in ("nf.ping_many(", "nf.ping_iter("):
        call = call.replace(name, f"{name}privileged={privileged}, hosts=")
    process = alone.start(INTERRUPTED.replace("CALL", call))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error
    heard, left = out.split()
    assert 0 < float(heard) - sent < 0.2
    assert left == "0"


SLEPT = """
import sys
import netfast as nf, numpy

print("ready", flush=True)
result = nf.ping("198.18.30.1", count=1, timeout=0.5, privileged=sys.argv[1] == "True")
print(result.received, result.late, result.rtts[0], flush=True)
"""


def test_time_in_which_the_process_stood_still_is_not_the_hosts(
    far_host: tuple[lab.Namespace, lab.FarEnd], privileged: bool
) -> None:
    # The answer comes after 0.3 s, while the process is stopped: it was in time, and the kernel knows when it came.
    host, far = far_host
    far.play(default=[Answer(delay=0.3)])
    process = host.start(SLEPT, privileged)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not far.seen("198.18.30.1"):
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error
    received, late, rtt = out.split()
    assert (received, late) == ("1", "0")
    assert 0.3 <= float(rtt) < 0.5


def test_time_in_which_nobody_asks_for_events_is_not_the_hosts(alone: lab.Namespace, privileged: bool) -> None:
    rtts = []
    for event in nf.ping_iter("127.0.0.1", count=4, interval=0.05, timeout=0.1, privileged=privileged):
        assert event.kind == "reply"
        rtts.append(event.rtt)
        time.sleep(0.2)
    assert len(rtts) == 4
    assert all(rtt is not None and rtt < 0.1 for rtt in rtts)


# --- fork -----------------------------------------------------------------------------------------------------------

FORKED = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
import netfast as nf

def child(work):
    process = os.fork()
    if process == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return process

def ended(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def works():
    return (nf.ping("127.0.0.1", count=3, interval=0, privileged=PRIVILEGED).received == 3
            and nf.ping_many("127.0.0.0/24", privileged=PRIVILEGED).is_alive.all())
"""


def forked(host: lab.Namespace, privileged: bool, code: str) -> str:
    return host.python((FORKED + code).replace("PRIVILEGED", str(privileged)))


def test_a_child_pings_after_its_parent(alone: lab.Namespace, privileged: bool) -> None:
    code = """
assert works()
children = [child(works) for _ in range(4)]
assert works()
print([ended(process) for process in children])
"""
    assert forked(alone, privileged, code) == "[0, 0, 0, 0]\n"


def test_a_child_pings_while_threads_of_its_parent_do(alone: lab.Namespace, privileged: bool) -> None:
    code = """
stop, totals = threading.Event(), []
def loop():
    sent = received = 0
    while not stop.is_set():
        result = nf.ping("127.0.0.1", count=50, interval=0.001, privileged=PRIVILEGED)
        sent += result.sent
        received += result.received
    totals.append((sent > 0, sent - received))
threads = [threading.Thread(target=loop) for _ in range(3)]
for thread in threads: thread.start()
time.sleep(0.1)
statuses = []
for _ in range(5):
    statuses.append(ended(child(works)))
stop.set()
for thread in threads: thread.join()
print(statuses, totals)
"""
    assert forked(alone, privileged, code) == f"{[0] * 5} {[(True, 0)] * 3}\n"


def test_a_run_goes_on_although_a_child_holds_its_socket(alone: lab.Namespace, privileged: bool) -> None:
    code = """
events = nf.ping_iter("127.0.0.1", count=20, interval=0.02, privileged=PRIVILEGED)
kinds = [next(events).kind for _ in range(3)]
process = child(lambda: (time.sleep(0.1), works(), events.close())[1])
kinds += [event.kind for event in events]
print(ended(process), len(kinds), set(kinds))
"""
    assert forked(alone, privileged, code) == "0 20 {'reply'}\n"


def inherited() -> int:
    """The sockets that a command gets although nobody gave it any."""
    command = ["ls", "-l", "/proc/self/fd"]
    listed = subprocess.run(command, capture_output=True, text=True, close_fds=False, timeout=20)
    return listed.stdout.count("socket:")


def test_a_command_inherits_no_socket(alone: lab.Namespace, privileged: bool) -> None:
    before = inherited()
    events = nf.ping_iter(["127.0.0.1", "::1"], count=None, interval=10, privileged=privileged)
    next(events)
    assert inherited() == before
    events.close()


# --- namespaces -----------------------------------------------------------------------------------------------------


def test_a_thread_pings_in_the_namespace_it_has_entered(alone: lab.Namespace) -> None:
    # The caller's thread opens the sockets: 198.18.0.1 lives in the other namespace only.
    with lab.namespace() as other:
        other.ip("addr add 198.18.0.1/32 dev lo")
        assert not nf.ping("198.18.0.1", count=1, timeout=0.2).is_alive
        assert other.call(nf.ping, "198.18.0.1", count=1, timeout=2).is_alive
        assert other.call(nf.ping_many, ["198.18.0.1"]).is_alive.all()
