"""ping across a router: its errors, those of the machine itself, firewalls, and neighbours that are not there."""

from __future__ import annotations

import errno
import ipaddress
import math
import os
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import netfast as nf
from net import lab
from netfast import ping_runs

B = {4: "198.18.2.1", 6: "2001:db8:2::1"}
R = {4: "198.18.1.2", 6: "2001:db8:1::2"}


def ping(host: str, privileged: bool, **options: object) -> nf.PingResult:
    """One probe, an error for which ends the wait: the timeout is not to be reached."""
    return nf.ping(host, **{"count": 1, "timeout": 5, "privileged": privileged, **options})  # type: ignore[arg-type]


def test_the_far_host_answers(hosts: lab.Hosts, version: int, privileged: bool) -> None:
    result = nf.ping(B[version], count=3, interval=0, privileged=privileged)
    assert (result.received, result.ttls.tolist(), result.errors) == (3, [63] * 3, [])


def test_a_card_may_be_named(hosts: lab.Hosts, version: int, privileged: bool) -> None:
    assert ping(B[version], privileged, interface=hosts.card).is_alive
    assert not ping(B[version], privileged, interface="lo", timeout=0.2).is_alive


def test_a_zone_may_be_part_of_a_host(hosts: lab.Hosts, privileged: bool) -> None:
    shown = hosts.r.run("ip", "-o", "-6", "addr", "show", "scope", "link")
    addresses = [line.split()[3].partition("/")[0] for line in shown.splitlines()]
    results = [ping(f"{address}%{hosts.card}", privileged, timeout=0.5) for address in addresses]
    # One of the router's two addresses is on our link.
    assert sorted(result.received for result in results) == [0, 1]
    (alive,) = [result for result in results if result.is_alive]
    assert alive.host.endswith(f"%{hosts.card}")
    assert ipaddress.ip_address(alive.address.partition("%")[0]).is_link_local


@pytest.mark.parametrize("quoted", [4, 6])
def test_a_probe_that_outlives_its_hops_comes_back_from_the_router(
    hosts: lab.Hosts, quoted: int, privileged: bool
) -> None:
    result = ping(B[quoted], privileged, ttl=1, count=3, interval=0)
    assert (result.sent, result.received, result.loss) == (3, 0, 1.0)
    assert [(error.kind, error.index, error.source) for error in result.errors] == [
        ("ttl_exceeded", index, R[quoted]) for index in range(3)
    ]
    assert {(error.type, error.code) for error in result.errors} == ({(11, 0)} if quoted == 4 else {(3, 0)})
    text = "Time to live exceeded" if quoted == 4 else "Time exceeded: Hop limit"
    assert (result.errors[0].text, str(result.errors[0])) == (text, f"{text}, from {R[quoted]}")
    assert result.elapsed < 2


def test_a_probe_too_big_is_refused_by_the_router_and_then_here(
    hosts: lab.Hosts, version: int, privileged: bool
) -> None:
    result = ping(B[version], privileged, size=1400, dont_fragment=True, count=3, interval=0.05)
    assert (result.sent, result.received) == (3, 0)
    assert [(error.kind, error.index, error.mtu) for error in result.errors] == [
        ("message_too_big", index, 1280) for index in range(3)
    ]
    first, second, third = result.errors
    assert (first.source, first.type, first.code) == (R[version], *((3, 4) if version == 4 else (2, 0)))
    assert first.text == ("Frag needed and DF set (mtu = 1280)" if version == 4 else "Packet too big: mtu=1280")
    for local in (second, third):
        assert (local.source, local.type, local.code, local.errno) == (None, None, None, errno.EMSGSIZE)
        # iputils has two spellings as well.
        assert local.text == ("message too long, mtu=1280" if version == 4 else "message too long, mtu: 1280")
    # What still fits does pass.
    fits = 1280 - (28 if version == 4 else 48)
    assert ping(B[version], privileged, size=fits, dont_fragment=True).received == 1
    assert ping(B[version], privileged, size=fits + 1, dont_fragment=True).received == 0


def test_a_probe_that_may_be_cut_arrives(hosts: lab.Hosts, version: int, privileged: bool) -> None:
    result = ping(B[version], privileged, size=4000, count=3, interval=0.05, timeout=1)
    # In IPv6 only the sender cuts: the first tells it how small.
    assert np.isnan(result.rtts).tolist() == [version == 6, False, False]


# --- errors of the router -------------------------------------------------------------------------------------------

# (destination, route of the router to it or None, kind, type, code, text)
ROUTER: list[tuple[str, str | None, str, int, int, str]] = [
    ("198.18.3.1", None, "network_unreachable", 3, 0, "Destination Net Unreachable"),
    ("198.18.3.1", "unreachable", "host_unreachable", 3, 1, "Destination Host Unreachable"),
    ("198.18.3.1", "prohibit", "prohibited", 3, 13, "Packet filtered"),
    ("198.18.2.99", None, "host_unreachable", 3, 1, "Destination Host Unreachable"),  # no such neighbour
    ("2001:db8:3::1", None, "network_unreachable", 1, 0, "Destination unreachable: No route"),
    # What an unreachable route of IPv6 answers is that there is none.
    ("2001:db8:3::1", "unreachable", "network_unreachable", 1, 0, "Destination unreachable: No route"),
    ("2001:db8:3::1", "prohibit", "prohibited", 1, 1, "Destination unreachable: Administratively prohibited"),
    ("2001:db8:2::99", None, "host_unreachable", 1, 3, "Destination unreachable: Address unreachable"),
]


@pytest.mark.parametrize(("host", "route", "kind", "number", "code", "text"), ROUTER)
def test_an_error_of_the_router_is_the_hosts(
    hosts: lab.Hosts, host: str, route: str | None, kind: str, number: int, code: int, text: str, privileged: bool
) -> None:
    version = ipaddress.ip_address(host).version
    if route:
        hosts.r.ip(f"route add {route} {host}")
    result = ping(host, privileged)
    assert (result.sent, result.received, result.is_alive) == (1, 0, False)
    (error,) = result.errors
    # A router names itself by the card on which the error leaves, or the one the probe would have left by.
    assert error.source in (R[version], "2001:db8:2::2")
    assert (error.kind, error.index, error.type, error.code, error.text) == (kind, 0, number, code, text)
    assert result.elapsed < 3  # an error ends the wait
    # In a batch it costs that host only.
    table = nf.ping_many([B[version], host, R[version]], privileged=privileged, timeout=5)
    assert table.is_alive.tolist() == [True, False, True]
    assert [error and error.kind for error in table.error] == [None, kind, None]


# (what nft says, kind, type, code, text)
REJECTED: list[tuple[int, str, str, int, int, str]] = [
    (4, "icmp type net-unreachable", "network_unreachable", 3, 0, "Destination Net Unreachable"),
    (4, "icmp type host-unreachable", "host_unreachable", 3, 1, "Destination Host Unreachable"),
    (4, "icmp type prot-unreachable", "protocol_unreachable", 3, 2, "Destination Protocol Unreachable"),
    (4, "icmp type port-unreachable", "port_unreachable", 3, 3, "Destination Port Unreachable"),
    (4, "icmp type net-prohibited", "prohibited", 3, 9, "Destination Net Prohibited"),
    (4, "icmp type host-prohibited", "prohibited", 3, 10, "Destination Host Prohibited"),
    (4, "icmp type admin-prohibited", "prohibited", 3, 13, "Packet filtered"),
    (6, "icmpv6 type no-route", "network_unreachable", 1, 0, "Destination unreachable: No route"),
    (6, "icmpv6 type admin-prohibited", "prohibited", 1, 1, "Destination unreachable: Administratively prohibited"),
    (6, "icmpv6 type addr-unreachable", "host_unreachable", 1, 3, "Destination unreachable: Address unreachable"),
    (6, "icmpv6 type port-unreachable", "port_unreachable", 1, 4, "Destination unreachable: Port unreachable"),
]


@pytest.mark.parametrize(("quoted", "reject", "kind", "number", "code", "text"), REJECTED)
def test_a_firewall_on_the_way_is_heard(
    hosts: lab.Hosts,
    tool: Callable[[str], str],
    quoted: int,
    reject: str,
    kind: str,
    number: int,
    code: int,
    text: str,
    privileged: bool,
) -> None:
    tool("nft")
    match = f"{'ip' if quoted == 4 else 'ip6'} daddr {B[quoted]}"
    hosts.r.nft(f"table inet t {{ chain f {{ type filter hook forward priority 0; {match} reject with {reject}; }} }}")
    result = ping(B[quoted], privileged, count=2, interval=0)
    assert (result.sent, result.received) == (2, 0)
    assert [(error.kind, error.index, error.type, error.code, error.text) for error in result.errors] == [
        (kind, index, number, code, text) for index in range(2)
    ]


# --- errors of the machine itself -----------------------------------------------------------------------------------

LOCAL: list[tuple[str, str, int]] = [
    ("blackhole", "not_sent", errno.EINVAL),
    ("prohibit", "prohibited", errno.EACCES),
    ("unreachable", "host_unreachable", errno.EHOSTUNREACH),
    ("throw", "network_unreachable", errno.ENETUNREACH),
]
ELSEWHERE = {4: "198.18.2.7", 6: "2001:db8:2::7"}


@pytest.mark.parametrize(("route", "kind", "number"), LOCAL, ids=[route for route, _, _ in LOCAL])
def test_a_route_that_refuses_costs_its_host_only(
    hosts: lab.Hosts, route: str, kind: str, number: int, version: int, privileged: bool
) -> None:
    bad = ELSEWHERE[version]
    hosts.a.ip(f"route add {route} {bad}")
    result = ping(bad, privileged, count=2, interval=0)
    assert (result.sent, result.received) == (2, 0)  # as in iputils, what could not be sent counts as sent
    assert [(error.kind, error.index, error.source, error.errno) for error in result.errors] == [
        (kind, index, None, number) for index in range(2)
    ]
    assert result.errors[0].text == os.strerror(number)
    assert (result.errors[0].type, result.errors[0].code, result.errors[0].mtu) == (None, None, None)

    batch = [B[version], R[version]] * 20 + [bad] + [R[version], B[version]] * 20
    table = nf.ping_many(batch, rate=float("inf"), privileged=privileged)
    assert table.sent.tolist() == [1] * 81
    assert table.is_alive.tolist() == [True] * 40 + [False] + [True] * 40
    found = [error and (error.kind, error.errno) for error in table.error]
    assert found == [None] * 40 + [(kind, number)] + [None] * 40


def test_without_a_route_there_is_no_network(alone: lab.Namespace, version: int, privileged: bool) -> None:
    result = ping(B[version], privileged)
    (error,) = result.errors
    assert (error.kind, error.source, error.errno) == ("network_unreachable", None, errno.ENETUNREACH)
    assert error.text == os.strerror(errno.ENETUNREACH)


def test_a_broadcast_is_refused(hosts: lab.Hosts, privileged: bool) -> None:
    table = nf.ping_many([B[4], "198.18.1.255", R[4]], privileged=privileged)
    assert table.is_alive.tolist() == [True, False, True]
    error = table[1].error
    assert error is not None
    assert (error.kind, error.source, error.errno) == ("prohibited", None, errno.EACCES)


def test_a_firewall_here_costs_its_host_only(
    hosts: lab.Hosts, tool: Callable[[str], str], version: int, privileged: bool
) -> None:
    tool("nft")
    bad = ELSEWHERE[version]
    match = f"{'ip' if version == 4 else 'ip6'} daddr {bad}"
    hosts.a.nft(f"table inet t {{ chain o {{ type filter hook output priority 0; {match} drop; }} }}")
    table = nf.ping_many([B[version], bad, R[version]] * 10, rate=float("inf"), privileged=privileged)
    assert table.sent.tolist() == [1] * 30
    assert table.is_alive.tolist() == [True, False, True] * 10
    # The kernel tells a datagram socket of IPv6 that all went well.
    refused = None if (version, privileged) == (6, False) else ("prohibited", None, errno.EPERM)
    assert [error and (error.kind, error.source, error.errno) for error in table.error] == [None, refused, None] * 10


# --- loss -----------------------------------------------------------------------------------------------------------


def test_loss_is_what_was_lost(hosts: lab.Hosts, tool: Callable[[str], str], version: int, privileged: bool) -> None:
    tool("nft")
    request = "icmp type echo-request" if version == 4 else "icmpv6 type echo-request"
    reply = request.replace("request", "reply")
    hosts.r.nft(
        "table inet t { counter asked {} counter lost {} counter answers {} counter lost_answers {}"
        " chain f { type filter hook forward priority 0;"
        f" {request} counter name asked; {request} numgen random mod 10 < 2 counter name lost drop;"
        f" {reply} counter name answers; {reply} numgen random mod 10 < 1 counter name lost_answers drop; }} }}"
    )
    table = nf.ping_many([B[version]], count=2000, interval=0, rate=20_000, timeout=0.3, privileged=privileged)
    row, seen = table[0], hosts.r.counters()
    # Every single one is accounted for ...
    assert row.sent == seen["asked"] == 2000
    assert seen["answers"] == row.sent - seen["lost"]
    assert row.received == seen["answers"] - seen["lost_answers"]
    assert row.loss == pytest.approx(1 - row.received / 2000, abs=1e-12)
    assert (row.duplicates, row.reordered, row.late, row.error) == (0, 0, 0, None)
    # ... and nft threw its dice well: 28 %, within six standard deviations.
    assert abs(row.loss - 0.28) < 6 * (0.28 * 0.72 / 2000) ** 0.5


# --- neighbours -----------------------------------------------------------------------------------------------------


def neighbourhood(one: lab.Namespace, other: lab.Namespace) -> str:
    """Two hosts on a link of 1,022 addresses, or of as many in IPv6: three of them are the other's."""
    card, other_card = lab.cable(one, other)
    one.ip(f"addr add 198.18.0.1/22 dev {card}", f"addr add 2001:db8::1/118 dev {card} nodad")
    for number in (0x002, 0x14D, 0x3FE):
        other.ip(
            f"addr add {ipaddress.ip_address('198.18.0.0') + number}/22 dev {other_card}",
            f"addr add {ipaddress.ip_address('2001:db8::') + number}/118 dev {other_card} nodad",
        )
    return card


SWEPT = {4: "198.18.0.0/22", 6: "2001:db8::/118"}
FOUND = {4: ["198.18.0.1", "198.18.0.2", "198.18.1.77", "198.18.3.254"], 6: ["2001:db8::1", "2001:db8::2"]}
FOUND[6] += ["2001:db8::14d", "2001:db8::3fe"]


@pytest.mark.parametrize("rate", [2000, float("inf")])
def test_a_sweep_of_dead_neighbours_finds_the_living(
    network: None, version: int, privileged: bool, rate: float
) -> None:
    # The table of neighbours holds some 500 that are not known yet, of all namespaces together.
    with lab.namespace() as one, lab.namespace() as other:
        card = neighbourhood(one, other)
        lab.impatient(one, card)
        with one.inside():
            # An impatient kernel gives up a neighbour that a busy machine lets wait; the next probe asks again.
            table = nf.ping_many(SWEPT[version], count=3, interval=0.5, rate=rate, timeout=1, privileged=privileged)
    assert len(table) == (1022 if version == 4 else 1023)
    assert table.sent.tolist() == [3] * len(table)
    assert table.address[table.is_alive].tolist() == FOUND[version]
    # Silence, or the kernel's word that there is no such neighbour: never that a table was full.
    assert {error.kind for error in table.error if error is not None} <= {"host_unreachable"}


@pytest.mark.slow
def test_a_sweep_waits_for_neighbours_as_long_as_the_kernel_does(network: None) -> None:
    # With the kernel's own patience a dead neighbour keeps its place for three seconds.
    with lab.namespace() as one, lab.namespace() as other:
        neighbourhood(one, other)
        with one.inside():
            table = nf.ping_many(["198.18.0.0/23", "198.18.2.0/24"], rate=float("inf"), timeout=1)
    assert table.address[table.is_alive].tolist() == FOUND[4][:3]
    assert {error.kind for error in table.error if error is not None} <= {"host_unreachable"}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture
def lan(network: None) -> Iterator[tuple[str, str]]:
    """The test runs on a host beside one neighbour, of which it is given both addresses; nobody else is there.

    All namespaces share the kernel's table of neighbours, so who fills it is in this file: one test at a time.
    """
    with lab.namespace() as near, lab.namespace() as other:
        card, other_card = lab.cable(near, other)
        near.ip(f"addr add 198.18.0.1/16 dev {card}", f"addr add 2001:db8::1/64 dev {card} nodad")
        other.ip(f"addr add 198.18.9.9/16 dev {other_card}", f"addr add 2001:db8::2/64 dev {other_card} nodad")
        both = "198.18.9.9", "2001:db8::2"
        with near.inside():
            nf.ping_many(both, count=10, interval=0.2)  # IPv6 may take a moment to be ready
            yield both


def test_dead_neighbours_hold_nobody_up(lan: tuple[str, str], privileged: bool) -> None:
    # What waits for a neighbour fills the buffer of a socket, unless that is made larger: 600 are more than it holds.
    dead = [f"198.18.{16 + i // 250}.{1 + i % 250}" for i in range(600)]
    start, cpu = time.monotonic(), cpu_seconds()
    table = nf.ping_many([*dead, *lan], rate=math.inf, timeout=1, privileged=privileged)
    assert table.is_alive.tolist() == [False] * 600 + [True] * 2
    assert time.monotonic() - start < 5
    assert cpu_seconds() - cpu < 1


def test_a_socket_that_is_full_neither_spins_nor_stops_the_other_family(
    lan: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ping_runs, "held", lambda *_: (0, 0))  # as where nobody grants a larger buffer
    dead = [f"198.18.{16 + i // 250}.{1 + i % 250}" for i in range(400)]
    start, cpu = time.monotonic(), cpu_seconds()
    seen = {}
    for event in nf.ping_iter([*dead, *lan], count=1, rate=math.inf, timeout=1, privileged=False):
        if event.kind == "reply":
            seen[event.host] = time.monotonic() - start
    assert set(seen) == set(lan)
    assert seen[lan[1]] < 0.5
    assert cpu_seconds() - cpu < 1
