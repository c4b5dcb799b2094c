"""ping, ping_many and ping_iter on a machine alone: what they return, what each option sends, what they refuse."""

from __future__ import annotations

import ipaddress
import itertools
import json
import math
import re
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import netfast as nf
from net import lab

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
NO_NAME = "no-such-host.invalid"  # RFC 6761; a namespace alone has nobody to ask, and is told so at once

pytestmark = pytest.mark.usefixtures("alone")


# --- one host -------------------------------------------------------------------------------------------------------


def test_a_result_says_all_of_a_run(version: int, privileged: bool) -> None:
    result = nf.ping(LOOPBACK[version], count=5, interval=0.01, privileged=privileged)
    assert (result.host, result.address) == (LOOPBACK[version], LOOPBACK[version])
    assert (result.sent, result.received, result.loss) == (5, 5, 0.0)
    assert (result.duplicates, result.reordered, result.late) == (0, 0, 0)
    assert (result.dropped, result.corrupted, result.foreign) == (0, 0, 0)
    assert (result.errors, result.is_alive, result.size) == ([], True, 56)
    assert (result.rtts.dtype, result.rtts.shape) == (np.dtype(np.float64), (5,))
    assert (result.ttls.dtype, result.ttls.tolist()) == (np.dtype(np.uint8), [64] * 5)
    assert ((result.rtts > 0) & (result.rtts < 1)).all()
    assert 0 < result.min <= result.percentile(50) <= result.max
    assert result.min <= result.avg <= result.max
    assert 0.04 <= result.elapsed < 1


def test_a_name_is_resolved_and_kept() -> None:
    result = nf.ping("localhost", count=1, family=4)
    assert (result.host, result.address, result.received) == ("localhost", "127.0.0.1", 1)


def test_a_name_of_the_other_family_does_not_resolve(version: int) -> None:
    with pytest.raises(OSError, match=re.escape(LOOPBACK[version])):
        nf.ping(LOOPBACK[version], count=1, family=10 - version)


def test_any_address_of_the_loopback_network_answers(privileged: bool) -> None:
    assert nf.ping("127.9.8.7", count=2, interval=0, privileged=privileged).received == 2


@pytest.mark.parametrize("host", ["::0:1", "0:0:0:0:0:0:0:1", "::0.0.0.1"])
def test_an_address_may_be_spelled_otherwise(host: str) -> None:
    result = nf.ping(host, count=1)
    assert (result.host, result.address, result.received) == (host, "::1", 1)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "127.0.0.01"])
def test_a_number_that_the_c_library_would_take_for_an_address_is_none(host: str) -> None:
    with pytest.raises(socket.gaierror, match=re.escape(host)):
        nf.ping(host, count=1)


def test_an_unresolvable_name_is_named() -> None:
    with pytest.raises(socket.gaierror, match=re.escape(NO_NAME)):
        nf.ping(NO_NAME, count=1)


def test_without_an_interval_the_next_probe_follows_the_last_answer(version: int, privileged: bool) -> None:
    # After 10 ms each, were the answers not heard: ten seconds.
    result = nf.ping(LOOPBACK[version], count=1000, interval=0, privileged=privileged)
    assert (result.sent, result.received, result.duplicates, result.reordered) == (1000, 1000, 0, 0)
    assert result.elapsed < 3


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 56, 255, 1472, 10_000, 65_507])
def test_every_size_returns(version: int, privileged: bool, size: int) -> None:
    result = nf.ping(LOOPBACK[version], count=3, interval=0, size=size, privileged=privileged)
    assert (result.size, result.sent, result.received, result.corrupted, result.foreign) == (size, 3, 3, 0, 0)


def test_ttls_are_those_of_the_replies(alone: lab.Namespace, privileged: bool) -> None:
    alone.sysctl(ipv4__ip_default_ttl=77)
    assert nf.ping("127.0.0.1", count=2, interval=0, ttl=9, privileged=privileged).ttls.tolist() == [77, 77]


def test_an_interval_is_kept() -> None:
    result = nf.ping("127.0.0.1", count=4, interval=0.1)
    assert 0.3 <= result.elapsed < 0.6


def test_a_result_is_json_when_asked() -> None:
    result = nf.ping("127.0.0.1", count=3, interval=0)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert {name: plain[name] for name in ("host", "address", "sent", "received", "duplicates", "reordered")} == {
        "host": "127.0.0.1",
        "address": "127.0.0.1",
        "sent": 3,
        "received": 3,
        "duplicates": 0,
        "reordered": 0,
    }
    assert plain["rtts"] == result.rtts.tolist()


def test_a_result_without_a_reply_is_json_all_the_same(alone: lab.Namespace) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1)
    result = nf.ping("127.0.0.1", count=2, interval=0, timeout=0.05)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (plain["received"], plain["rtts"]) == (0, [None, None])


def test_without_a_reply_no_time_is_known(alone: lab.Namespace, version: int, privileged: bool) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1, ipv6__icmp__echo_ignore_all=1)
    result = nf.ping(LOOPBACK[version], count=3, interval=0, timeout=0.1, privileged=privileged)
    assert (result.sent, result.received, result.loss, result.is_alive) == (3, 0, 1.0, False)
    assert np.isnan(result.rtts).all()
    assert result.ttls.tolist() == [0, 0, 0]
    numbers = (result.min, result.avg, result.max, result.mdev, result.jitter, result.percentile(50))
    assert all(math.isnan(number) for number in numbers)
    assert 0.1 <= result.elapsed < 0.5


def test_one_reply_has_no_jitter() -> None:
    result = nf.ping("127.0.0.1", count=1)
    assert result.min == result.avg == result.max == result.rtts[0]
    assert result.mdev == 0
    assert math.isnan(result.jitter)


@pytest.mark.parametrize("q", [-1, 100.5, math.nan])
def test_a_percentile_outside_a_hundred_is_refused(q: float) -> None:
    result = nf.ping("127.0.0.1", count=1)
    with pytest.raises(ValueError, match="q"):
        result.percentile(q)


def normalised(text: str) -> list[str]:
    """The closing lines with their times taken out."""
    lines = text[text.index("--- ") :].strip().splitlines()
    return [re.sub(r"\d+\.\d+(/\d+\.\d+)+", "TIMES", re.sub(r"time \d+ms", "time", line)) for line in lines]


def test_the_text_is_that_of_iputils(version: int, tool: Callable[[str], str]) -> None:
    command = [tool("ping"), "-n", "-c", "3", "-i", "0.01", LOOPBACK[version]]
    expected = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    text = nf.ping(LOOPBACK[version], count=3, interval=0.01).to_text()
    assert not text.endswith("\n")
    assert normalised(text) == normalised(expected)


def test_the_text_has_the_numbers_of_the_result() -> None:
    result = nf.ping("127.0.0.1", count=3, interval=0)
    numbers = "/".join(f"{seconds * 1000:.3f}" for seconds in (result.min, result.avg, result.max, result.mdev))
    assert result.to_text().splitlines()[-1] == f"rtt min/avg/max/mdev = {numbers} ms"


# --- what is sent ---------------------------------------------------------------------------------------------------

# (family of the rule, what it matches, the option that should make it match)
SENT: list[tuple[int, str, dict[str, Any]]] = [
    (4, "ip ttl 7", {"ttl": 7}),
    (4, "ip ttl 255", {"ttl": 255}),
    (4, "ip ttl 64", {}),
    (4, "ip dscp 46", {"tos": 46 << 2}),
    (4, "ip dscp 0", {"tos": 0}),
    (4, "ip saddr 127.0.0.9", {"source": "127.0.0.9"}),
    (4, "ip frag-off & 0x4000 == 0x4000", {"dont_fragment": True}),
    (4, "ip length 84", {}),
    (4, "ip length 128", {"size": 100}),
    (6, "ip6 hoplimit 7", {"ttl": 7}),
    (6, "ip6 hoplimit 64", {}),
    (6, "ip6 dscp 46", {"tos": 46 << 2}),
    (6, "ip6 saddr 2001:db8::9", {"source": "2001:db8::9"}),
    (6, "ip6 length 108", {"size": 100}),
    (4, 'oifname "lo"', {"interface": "lo"}),
    (6, 'oifname "lo"', {"interface": "lo"}),
]


@pytest.fixture
def watched(alone: lab.Namespace, tool: Callable[[str], str]) -> Callable[[int, str], Callable[[], dict[str, int]]]:
    """Counts the requests that leave, and those among them that match."""
    tool("nft")
    alone.ip("addr add 2001:db8::9/128 dev lo nodad")

    def watch(version: int, match: str) -> Callable[[], dict[str, int]]:
        request = "icmp type echo-request" if version == 4 else "icmpv6 type echo-request"
        alone.nft(
            "table inet t { counter requests {} counter matching {} chain o { type filter hook output priority 0;"
            f" {request} counter name requests; {request} {match} counter name matching; }} }}"
        )
        return alone.counters

    return watch


@pytest.mark.parametrize(("sent_version", "match", "options"), SENT, ids=[f"{v}-{m}" for v, m, _ in SENT])
def test_an_option_reaches_the_packet(
    watched: Callable[[int, str], Callable[[], dict[str, int]]],
    sent_version: int,
    match: str,
    options: dict[str, Any],
    privileged: bool,
) -> None:
    counters = watched(sent_version, match)
    result = nf.ping(LOOPBACK[sent_version], count=3, interval=0, privileged=privileged, **options)
    assert (result.received, counters()) == (3, {"requests": 3, "matching": 3})


def test_a_batch_takes_the_same_options(watched: Callable[[int, str], Callable[[], dict[str, int]]]) -> None:
    counters = watched(4, "ip ttl 7 ip dscp 46 ip length 38 ip saddr 127.0.0.9")
    table = nf.ping_many("127.0.0.0/29", ttl=7, tos=46 << 2, size=10, source="127.0.0.9", count=2, interval=0)
    assert (table.received.tolist(), counters()) == ([2] * 6, {"requests": 12, "matching": 12})


def test_events_take_the_same_options(watched: Callable[[int, str], Callable[[], dict[str, int]]]) -> None:
    counters = watched(4, "ip ttl 7 ip dscp 46 ip length 38 ip saddr 127.0.0.9")
    events = list(nf.ping_iter("127.0.0.1", ttl=7, tos=46 << 2, size=10, source="127.0.0.9", count=2, interval=0))
    assert ([event.size for event in events], counters()) == ([18, 18], {"requests": 2, "matching": 2})


@pytest.mark.parametrize("options", [{"source": "198.18.7.7"}, {"interface": "nosuch0"}])
def test_a_card_or_an_address_that_is_not_here_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(OSError, match=re.escape(next(iter(options.values())))):
        nf.ping("127.0.0.1", count=1, **options)


# --- what is refused ------------------------------------------------------------------------------------------------

WRONG_TYPES: list[dict[str, Any]] = [
    {"count": "4"},
    {"count": 1.5},
    {"interval": "1"},
    {"interval": None},
    {"timeout": "1"},
    {"timeout": None},
    {"size": 1.5},
    {"size": "56"},
    {"size": None},
    {"ttl": "64"},
    {"ttl": 1.5},
    {"tos": "0"},
    {"tos": 1.5},
    {"dont_fragment": "yes"},
    {"source": 5},
    {"interface": 3},
    {"family": "4"},
    {"privileged": "yes"},
]
WRONG_VALUES: list[dict[str, Any]] = [
    {"count": 0},
    {"count": -1},
    {"interval": -0.5},
    {"interval": math.nan},
    {"timeout": 0},
    {"timeout": -1},
    {"timeout": math.nan},
    {"size": -1},
    {"size": 65_508},
    {"ttl": 0},
    {"ttl": 256},
    {"ttl": -1},
    {"tos": -1},
    {"tos": 256},
    {"source": "nonsense"},
    {"source": "127.0.0.256"},
    {"family": 5},
    {"family": 0},
]
WRONG_RATES: list[tuple[Any, type[Exception]]] = [
    ("fast", TypeError),
    (0, ValueError),
    (-5, ValueError),
    (math.nan, ValueError),
]
CALLS: dict[str, Callable[..., object]] = {
    "ping": nf.ping,
    "ping_many": nf.ping_many,
    "ping_iter": lambda *hosts, **options: list(nf.ping_iter(*hosts, **options)),
}


def shown(options: dict[str, Any]) -> str:
    return ",".join(f"{name}={value!r}" for name, value in options.items())


@pytest.fixture
def silent(watched: Callable[[int, str], Callable[[], dict[str, int]]]) -> Callable[[], int]:
    """How many requests have left."""
    counters = watched(4, "ip ttl 64")
    return lambda: counters()["requests"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", WRONG_TYPES, ids=shown)
def test_a_wrong_type_is_named(call: str, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        CALLS[call]("127.0.0.1", **options)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", WRONG_VALUES, ids=shown)
def test_a_wrong_value_is_named(call: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        CALLS[call]("127.0.0.1", **options)


@pytest.mark.parametrize("call", ["ping_many", "ping_iter"])
@pytest.mark.parametrize(("rate", "error"), WRONG_RATES, ids=str)
def test_a_wrong_rate_is_named(call: str, rate: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="rate"):
        CALLS[call]("127.0.0.1", rate=rate)


def test_only_events_may_go_on_for_ever() -> None:
    for call in ("ping", "ping_many"):
        with pytest.raises(TypeError, match="count"):
            CALLS[call]("127.0.0.1", count=None)


@pytest.mark.parametrize("host", [None, 5, 1.5, ["127.0.0.1"]], ids=str)
def test_a_host_is_a_name_or_an_address(host: Any) -> None:
    with pytest.raises(TypeError, match="host"):
        nf.ping(host, count=1)


@pytest.mark.parametrize("name", ["count", "interval", "timeout", "size", "ttl", "tos"])
def test_a_bool_is_no_number(name: str) -> None:
    for call in CALLS.values():
        with pytest.raises(TypeError, match=f"{name} is bool"):
            call("127.0.0.1", **{name: True})


@pytest.mark.parametrize("host", ["localhost\0.test", "fe80::1%lo\0"])
def test_a_nul_is_in_no_name(host: str) -> None:
    with pytest.raises(ValueError, match="is no host: it holds a NUL"):
        nf.ping(host)
    assert nf.ping_many([host, "127.0.0.1"])[0].error is not None


@pytest.mark.parametrize("hosts", [None, 5, 1.5, [5], ["127.0.0.1", None]], ids=str)
def test_hosts_are_names_addresses_or_prefixes(hosts: Any) -> None:
    with pytest.raises(TypeError, match="host"):
        nf.ping_many(hosts)
    with pytest.raises(TypeError, match="host"):
        list(nf.ping_iter(hosts, count=1))


def test_nothing_is_sent_before_the_options_are_right(silent: Callable[[], int]) -> None:
    for call in CALLS.values():
        for options in ({"timeout": 0}, {"ttl": 256}, {"family": 5}, {"size": "56"}):
            with pytest.raises((TypeError, ValueError)):
                call("127.0.0.1", **options)
    with pytest.raises(TypeError):
        nf.ping_many(["127.0.0.1", "127.0.0.2", None])
    assert silent() == 0


# --- many hosts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.0.0.8/29", [f"127.0.0.{number}" for number in range(9, 15)]),
        ("127.0.0.8/31", ["127.0.0.8", "127.0.0.9"]),
        ("127.0.0.8/32", ["127.0.0.8"]),
        (ipaddress.ip_network("127.0.0.8/30"), ["127.0.0.9", "127.0.0.10"]),
        (ipaddress.ip_address("127.0.0.8"), ["127.0.0.8"]),
        ([], []),
        (["::1", "127.0.0.3", "::1"], ["::1", "127.0.0.3", "::1"]),
        (["127.0.0.8/30", ipaddress.ip_address("::1"), "::1/128"], ["127.0.0.9", "127.0.0.10", "::1", "::1"]),
        (iter(["127.0.0.5", "127.0.0.4"]), ["127.0.0.5", "127.0.0.4"]),
    ],
)
def test_hosts_are_expanded_in_order(hosts: Any, addresses: list[str]) -> None:
    table = nf.ping_many(hosts)
    assert table.address.tolist() == addresses
    assert table.received.tolist() == [1] * len(addresses)


def test_a_prefix_of_ipv6_is_expanded_as_ipaddress_does(alone: lab.Namespace) -> None:
    alone.ip("route add local 2001:db8::/64 dev lo")
    for prefix in ("2001:db8::10/125", "2001:db8::10/127", "2001:db8::10/128"):
        table = nf.ping_many(prefix)
        assert table.address.tolist() == [str(host) for host in ipaddress.ip_network(prefix).hosts()]
        assert table.is_alive.all()


@pytest.mark.parametrize("prefix", ["127.0.0.0/8", "10.0.0.0/11", "2001:db8::/64", ipaddress.ip_network("::/0")])
def test_a_prefix_of_millions_is_refused(prefix: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(str(prefix))):
        nf.ping_many(prefix)


def test_a_table_is_rows_and_columns(version: int, privileged: bool) -> None:
    hosts = ["localhost", "127.0.0.1"] if version == 4 else ["0:0:0::1", "::1"]
    table = nf.ping_many(hosts, count=3, interval=0, privileged=privileged, family=version)
    assert len(table) == 2
    assert (table.host.tolist(), table.address.tolist()) == (hosts, [LOOPBACK[version]] * 2)
    types = {"host": "O", "address": "O", "error": "O", "is_alive": "?", "loss": "d"}
    types |= dict.fromkeys(["sent", "received", "duplicates", "reordered", "late"], "I")
    types |= dict.fromkeys(["rtt_min", "rtt_avg", "rtt_max", "rtt_mdev", "rtt_jitter"], "d")
    assert {name: getattr(table, name).dtype.char for name in types} == types
    assert {name: getattr(table, name).shape for name in types} == dict.fromkeys(types, (2,))
    assert (table.sent.tolist(), table.received.tolist(), table.loss.tolist()) == ([3, 3], [3, 3], [0, 0])
    assert (table.rtt_min <= table.rtt_avg).all()
    assert (table.rtt_avg <= table.rtt_max).all()
    assert (table.dropped, table.corrupted, table.foreign) == (0, 0, 0)
    assert 0 < table.elapsed < 1


def test_a_row_has_what_the_columns_have() -> None:
    table = nf.ping_many("127.0.0.0/29", count=2, interval=0)
    rows = list(table)
    assert [rows[0], rows[-1]] == [table[0], table[-1]]
    names = ["host", "address", "sent", "received", "duplicates", "reordered", "late", "loss"]
    names += ["rtt_min", "rtt_avg", "rtt_max", "rtt_mdev", "rtt_jitter", "error", "is_alive"]
    for name in names:
        assert [getattr(row, name) for row in rows] == getattr(table, name).tolist()
    for index in (6, -7):
        with pytest.raises(IndexError):
            table[index]


def test_a_table_is_an_arrow_stream(alone: lab.Namespace) -> None:
    alone.ip("route add prohibit 198.18.0.1")
    table = nf.ping_many(["127.0.0.1", "198.18.0.1"])
    arrow = pa.table(table)
    frame = pl.DataFrame(table)
    for columns in (arrow.to_pydict(), frame.to_dict(as_series=False)):
        assert columns["host"] == ["127.0.0.1", "198.18.0.1"]
        assert (columns["sent"], columns["received"]) == ([1, 1], [1, 0])
        assert columns["is_alive"] == [True, False]
        assert columns["error"] == [None, str(table[1].error)]
        assert columns["rtt_min"][0] == table.rtt_min[0]
    assert arrow.column_names == frame.columns
    assert arrow.schema.field("sent").type == pa.uint32()
    assert arrow.schema.field("error").type == pa.utf8()


def test_an_unresolvable_name_costs_its_row_only() -> None:
    table = nf.ping_many(["127.0.0.1", NO_NAME, "127.0.0.2"])
    assert (table.host.tolist(), table.address.tolist()) == (
        ["127.0.0.1", NO_NAME, "127.0.0.2"],
        ["127.0.0.1", None, "127.0.0.2"],
    )
    assert table.is_alive.tolist() == [True, False, True]
    assert [error and error.kind for error in table.error] == [None, "unresolvable", None]


def test_hosts_of_loopback_are_pinged_without_a_limit() -> None:
    table = nf.ping_many("127.0.0.0/20")
    assert (len(table), table.received.sum()) == (4094, 4094)
    assert table.elapsed < 2.5  # at the rate of other hosts, 4.1


def test_a_rate_is_kept() -> None:
    table = nf.ping_many("127.0.0.0/26", rate=200)  # 62 hosts
    assert table.is_alive.all()
    assert 61 / 200 <= table.elapsed < 0.8


def test_rounds_follow_at_the_interval() -> None:
    table = nf.ping_many("127.0.0.0/29", count=3, interval=0.15)
    assert table.received.tolist() == [3] * 6
    assert 0.3 <= table.elapsed < 0.8


# --- events ---------------------------------------------------------------------------------------------------------


def test_events_are_the_replies(version: int, privileged: bool) -> None:
    before = time.time()
    events = list(nf.ping_iter([LOOPBACK[version]], count=3, interval=0.01, privileged=privileged))
    assert [(event.kind, event.row, event.index) for event in events] == [("reply", 0, index) for index in range(3)]
    for event in events:
        assert (event.host, event.address, event.source) == (LOOPBACK[version],) * 3
        assert (event.size, event.ttl, event.error) == (64, 64, None)
        assert event.rtt is not None
        assert 0 < event.rtt < 1
        assert before <= event.time <= time.time()
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_events_of_many_hosts_come_as_they_come() -> None:
    events = list(nf.ping_iter("127.0.0.0/28", count=2, interval=0))
    assert {event.kind for event in events} == {"reply"}
    assert sorted((event.row, event.index) for event in events) == list(itertools.product(range(14), range(2)))
    assert all(event.host == event.address == f"127.0.0.{event.row + 1}" for event in events)


def test_events_go_on_without_a_count() -> None:
    events = nf.ping_iter("127.0.0.1", count=None, interval=0)
    assert [event.index for event in itertools.islice(events, 200)] == list(range(200))
    events.close()


def test_an_event_is_had_before_the_run_ends() -> None:
    start = time.monotonic()
    events = nf.ping_iter("127.0.0.1", count=2, interval=30)
    assert next(events).kind == "reply"
    assert time.monotonic() - start < 2
    events.close()


def test_closed_events_leave_no_descriptor() -> None:
    before = lab.descriptors()
    events = nf.ping_iter(["127.0.0.1", "::1"], count=None, interval=0.01)
    next(events)
    assert lab.sockets() > sum(name.startswith("socket:") for name in before)
    events.close()
    assert lab.descriptors() == before
    assert list(events) == []


def test_events_tell_of_lost_probes(alone: lab.Namespace, version: int, privileged: bool) -> None:
    alone.sysctl(ipv4__icmp_echo_ignore_all=1, ipv6__icmp__echo_ignore_all=1)
    host = LOOPBACK[version]
    events = list(nf.ping_iter([host], count=2, interval=0, timeout=0.1, privileged=privileged))
    assert [(event.kind, event.index) for event in events] == [("timeout", 0), ("timeout", 1)]
    for event in events:
        assert (event.host, event.address, event.source) == (host, host, None)
        assert (event.rtt, event.ttl, event.size, event.error) == (None, None, None, None)


def test_events_tell_of_an_unresolvable_name() -> None:
    events = list(nf.ping_iter([NO_NAME, "127.0.0.1"], count=1))
    assert sorted((event.row, event.kind, event.index) for event in events) == [(0, "error", -1), (1, "reply", 0)]
    (error,) = [event.error for event in events if event.row == 0]
    assert error is not None
    assert error.kind == "unresolvable"
