"""ping in front of a far end that does what it is told: each counter is known in advance."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import netfast as nf
import reference
from net import lab
from net.responder import LOST, PLAIN, ROUTER, ROUTER6, Action, Answer, Error, Request, Steps

HOST = {4: "198.18.7.1", 6: "2001:db8::7:1"}
OTHER = {4: "198.18.7.2", 6: "2001:db8::7:2"}
ROUTERS = {4: ROUTER, 6: ROUTER6}
COUNTERS = ("sent", "received", "duplicates", "reordered", "late", "dropped", "corrupted", "foreign")


_numbers = itertools.cycle(range(100))


class Scripted:
    """Pings one host that follows a script, each probe when the last is answered or after 10 ms."""

    def __init__(self, far: lab.FarEnd, version: int, privileged: bool) -> None:
        self.far, self.version, self.privileged = far, version, privileged
        # A host of its own for each test: the kernel remembers what it was told of the way to one.
        self.host = f"{HOST[version]}{next(_numbers):02}"
        self.other, self.router = OTHER[version], ROUTERS[version]

    def __call__(self, steps: Steps, **options: Any) -> nf.PingResult:
        self.far.play({self.host: steps})
        defaults = {"interval": 0, "timeout": 0.2, "privileged": self.privileged}
        result = nf.ping(self.host, count=len(steps), **{**defaults, **options})
        assert self.far.seen(self.host) == result.sent == len(steps)
        return result


@pytest.fixture
def scripted(far: lab.FarEnd, version: int, privileged: bool) -> Scripted:
    return Scripted(far, version, privileged)


def counted(result: nf.PingResult, **others: int) -> None:
    """Holds every counter against what it should be: received as given, and nothing unusual unless given."""
    expected = dict.fromkeys(COUNTERS, 0) | {"sent": result.sent} | others
    assert {name: getattr(result, name) for name in COUNTERS} == expected
    assert result.loss == pytest.approx(1 - expected["received"] / expected["sent"], abs=1e-12)


def lost(result: nf.PingResult) -> list[bool]:
    pattern: list[bool] = np.isnan(result.rtts).tolist()
    assert [ttl == 0 for ttl in result.ttls.tolist()] == pattern
    return pattern


# --- replies --------------------------------------------------------------------------------------------------------


def test_every_probe_answered(scripted: Scripted) -> None:
    result = scripted([PLAIN] * 5)
    counted(result, received=5)
    assert (lost(result), result.errors) == ([False] * 5, [])


def test_ttls_go_with_their_probes(scripted: Scripted) -> None:
    result = scripted([[Answer(ttl=ttl)] for ttl in (255, 1, 64)] + [LOST, [Answer(ttl=128)]])
    counted(result, received=4)
    assert result.ttls.tolist() == [255, 1, 64, 0, 128]


def test_delays_go_with_their_probes(scripted: Scripted) -> None:
    delays = [0.02, 0.06, 0.0, 0.04]
    result = scripted([[Answer(delay=delay)] for delay in delays], interval=0.1)
    counted(result, received=4)
    for delay, rtt in zip(delays, result.rtts.tolist(), strict=True):
        assert delay <= rtt < delay + 0.1
    assert result.min == min(result.rtts)
    assert result.max == max(result.rtts)


def test_losses_go_with_their_probes(scripted: Scripted) -> None:
    steps = [PLAIN, LOST, LOST, PLAIN, LOST]
    result = scripted(steps)
    counted(result, received=2)
    assert lost(result) == [step is LOST for step in steps]
    assert (result.errors, result.is_alive) == ([], True)
    assert 0.2 <= result.elapsed < 1.5  # the last was waited for


def test_duplicates_are_counted_beside_what_was_received(scripted: Scripted) -> None:
    result = scripted([[Answer(copies=3)], PLAIN, [Answer(copies=11)], LOST, PLAIN])
    counted(result, received=4, duplicates=12)


def test_a_duplicate_may_come_much_later(scripted: Scripted) -> None:
    result = scripted([[Answer(), Answer(after=2)], PLAIN, PLAIN, PLAIN])
    assert (result.received, result.duplicates, result.late) == (4, 1, 0)
    assert result.rtts[0] < 0.01 or result.rtts[0] < result.elapsed / 3  # that of the first of the two


@pytest.mark.parametrize(
    ("steps", "reordered"),
    [
        ([[Answer(after=1)], PLAIN, PLAIN], 1),  # 1 0 2
        ([[Answer(after=3)], PLAIN, PLAIN, PLAIN], 1),  # 1 2 3 0
        ([[Answer(after=1)], PLAIN, [Answer(after=1)], PLAIN], 2),  # 1 0 3 2
        ([[Answer(after=2)], [Answer(after=1)], PLAIN, PLAIN], 2),  # 2 0 1 3
        ([[Answer(after=2)], PLAIN, [Answer(after=1)], PLAIN], 2),  # 1 0 3 2
        ([LOST, PLAIN, LOST, PLAIN], 0),
    ],
    ids=["102", "1230", "1032", "2013", "1032b", "13"],
)
def test_a_reply_that_was_overtaken_is_reordered(scripted: Scripted, steps: Steps, reordered: int) -> None:
    result = scripted(steps)
    counted(result, received=sum(step is not LOST for step in steps), reordered=reordered)


def test_a_reply_after_the_timeout_is_late_and_not_received(scripted: Scripted) -> None:
    # The answer to the first comes with that to the second, 0.3 s later.
    result = scripted([[Answer(after=1)], PLAIN, PLAIN], interval=0.3, timeout=0.15)
    counted(result, received=2, late=1)
    assert lost(result) == [True, False, False]


def test_without_an_interval_silence_costs_ten_milliseconds(scripted: Scripted) -> None:
    result = scripted([LOST] * 21)
    counted(result, received=0)
    assert 0.2 + 0.2 <= result.elapsed < 1.2


def test_the_last_probe_is_waited_for(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(delay=0.15)]])
    counted(result, received=2)
    assert 0.15 <= result.elapsed < 1


# --- replies that are wrong -----------------------------------------------------------------------------------------


def test_a_changed_payload_is_corrupted(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(flip=(8,))], [Answer(flip=(55,))], [Answer(flip=(20, 21, 40))], PLAIN])
    counted(result, received=2, corrupted=3)


def test_a_wrong_checksum_is_corrupted_where_it_is_seen(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(spoil=1)], [Answer(spoil=0x8000)], PLAIN])
    # The kernel checks for datagram sockets, and in IPv6 for all. It tells how many it kept from a raw socket.
    if not scripted.privileged:
        counted(result, received=2)
    elif scripted.version == 4:
        counted(result, received=2, corrupted=2)
    else:
        counted(result, received=2, dropped=2)


def test_a_truncated_reply_is_a_reply(scripted: Scripted) -> None:
    # As with ping(8): some hosts answer large requests with less, and what came is right.
    result = scripted([PLAIN, [Answer(length=55)], [Answer(length=8)], PLAIN])
    counted(result, received=4)


def test_a_payload_without_room_for_the_cookie_is_no_reply(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(length=7)], [Answer(length=0)], PLAIN])
    assert (result.received, result.corrupted + result.foreign) == (2, 2)


def test_a_reply_without_our_cookie_is_foreign(scripted: Scripted) -> None:
    result = scripted([PLAIN, *([Answer(flip=(place,))] for place in range(8)), PLAIN])
    counted(result, received=2, foreign=8)
    assert lost(result) == [False] + [True] * 8 + [False]


def test_a_reply_from_elsewhere_is_foreign(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(source=scripted.other)], PLAIN])
    counted(result, received=2, foreign=1)


def test_a_reply_to_another_probe_is_foreign(scripted: Scripted) -> None:
    # Its cookie is that of the probe it answers: with the number of another it answers neither.
    result = scripted([PLAIN, PLAIN, *([Answer(sequence=other)] for other in (-1, -2, 1, 1000, 0x8000)), PLAIN])
    counted(result, received=3, foreign=5)
    assert lost(result) == [False] * 2 + [True] * 5 + [False]


def test_a_reply_to_somebody_else_is_not_even_that(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(identifier=1)], [Answer(identifier=0x8000)], PLAIN])
    counted(result, received=2)


def test_forgeries_make_nobody_alive(scripted: Scripted) -> None:
    steps = [[Answer(flip=(0,))], [Answer(source=scripted.other)], [Answer(sequence=7)], [Answer(identifier=7)]]
    result = scripted(steps)
    counted(result, received=0, foreign=3)
    assert (result.is_alive, lost(result)) == (False, [True] * 4)


def test_a_forgery_does_not_stand_in_the_way(scripted: Scripted) -> None:
    forgeries = [Answer(flip=(3,)), Answer(source=scripted.other), Answer(sequence=9), Answer(flip=(30,))]
    result = scripted([[*forgeries, Answer(delay=0.02)]] * 3, interval=0.1)
    counted(result, received=3, foreign=9, corrupted=3)
    assert result.min >= 0.02


@pytest.mark.parametrize("size", [0, 7])
def test_without_a_cookie_source_and_sequence_decide(scripted: Scripted, size: int) -> None:
    forged = [[Answer(source=scripted.other)], [Answer(sequence=1000)], [Answer(identifier=1)]]
    result = scripted([PLAIN, *forged, PLAIN], size=size)
    counted(result, received=2, foreign=2)


def test_a_small_payload_is_looked_at_too(scripted: Scripted) -> None:
    result = scripted([PLAIN, [Answer(flip=(8,))], PLAIN], size=9)
    counted(result, received=2, corrupted=1)


# --- errors ---------------------------------------------------------------------------------------------------------

Row = tuple[int, int, int, str]  # type, code, mtu, kind
ERRORS: dict[int, list[Row]] = {
    4: [
        (3, 0, 0, "network_unreachable"),
        (3, 1, 0, "host_unreachable"),
        (3, 2, 0, "protocol_unreachable"),
        (3, 3, 0, "port_unreachable"),
        (3, 5, 0, "source_route_failed"),
        (3, 6, 0, "network_unreachable"),
        (3, 7, 0, "host_unreachable"),
        (3, 9, 0, "prohibited"),
        (3, 10, 0, "prohibited"),
        (3, 11, 0, "network_unreachable"),
        (3, 12, 0, "host_unreachable"),
        (3, 13, 0, "prohibited"),
        (3, 14, 0, "prohibited"),
        (3, 15, 0, "prohibited"),
        (11, 0, 0, "ttl_exceeded"),
        # 11, 1 (reassembly_timeout) is not passed on by the kernel.
        (12, 0, 0, "parameter_problem"),
        (3, 4, 1300, "message_too_big"),  # the last: what is sent after it may be cut
    ],
    6: [
        (1, 0, 0, "network_unreachable"),
        (1, 1, 0, "prohibited"),
        (1, 3, 0, "host_unreachable"),
        (1, 4, 0, "port_unreachable"),
        (1, 5, 0, "prohibited"),
        (1, 6, 0, "prohibited"),
        (3, 0, 0, "ttl_exceeded"),
        (3, 1, 0, "reassembly_timeout"),
        (4, 0, 0, "parameter_problem"),
        (4, 1, 0, "parameter_problem"),
        (2, 0, 1300, "message_too_big"),
    ],
}


def scripted_errors(version: int, **forged: Any) -> list[list[Error]]:
    return [[Error(number, code, mtu, **forged)] for number, code, mtu, _ in ERRORS[version]]


@pytest.mark.parametrize("quote", [8, 40, None], ids=["8 bytes", "40 bytes", "all"])
def test_an_error_is_that_of_its_probe(scripted: Scripted, quote: int | None) -> None:
    # With a timeout that must not be needed: an error ends the wait.
    rows = ERRORS[scripted.version]
    result = scripted(scripted_errors(scripted.version, quote=quote), timeout=20)
    counted(result, received=0)
    assert [(error.kind, error.index, error.source, error.type, error.code, error.mtu) for error in result.errors] == [
        (kind, index, scripted.router, number, code, mtu or None)
        for index, (number, code, mtu, kind) in enumerate(rows)
    ]
    assert result.elapsed < 5


def test_an_error_may_quote_a_long_probe(scripted: Scripted) -> None:
    result = scripted(scripted_errors(scripted.version), timeout=20, size=4000)
    counted(result, received=0)
    assert [error.kind for error in result.errors] == [kind for *_, kind in ERRORS[scripted.version]]


def test_an_error_reads_as_in_iputils(far: lab.FarEnd, version: int, tool: Callable[[str], str]) -> None:
    # Two codes of IPv6 have no words there, and a pointer is worth none.
    known = [row for row in ERRORS[version] if row[:2] not in ((1, 5), (1, 6))]
    host = f"{HOST[version]}1"
    steps = [[Error(number, code, mtu)] for number, code, mtu, _ in known]
    far.play({host: steps})
    command = [tool("ping"), "-n", "-c", str(len(steps)), "-i", "0.002", "-W", "1", host]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    expected = dict(re.findall(r"^From (?:\S+) icmp_seq=(\d+) (.+?) *$", said, re.MULTILINE))
    assert len(expected) == len(steps)
    far.play({host: steps})
    result = nf.ping(host, count=len(steps), interval=0, timeout=20)
    assert {str(error.index + 1): error.text for error in result.errors} == expected
    assert [str(error) for error in result.errors] == [f"{e.text}, from {ROUTERS[version]}" for e in result.errors]


def test_a_reply_counts_although_an_error_came_first(scripted: Scripted) -> None:
    unreachable = Error(3, 1) if scripted.version == 4 else Error(1, 3)
    result = scripted([[unreachable, Answer(after=1)], PLAIN, PLAIN])
    counted(result, received=3, reordered=1)
    assert [(error.kind, error.index) for error in result.errors] == [("host_unreachable", 0)]


@pytest.mark.parametrize("number", [4, 5])
def test_source_quench_and_redirect_are_no_errors(scripted: Scripted, number: int) -> None:
    # RFC 6633 and RFC 792: nobody is unreachable for them. ICMPv6 has neither.
    advice = Error(number, 0) if scripted.version == 4 else Error(200, 0)
    result = scripted([[advice, Answer(after=1)], PLAIN, PLAIN])
    counted(result, received=3, reordered=1)
    assert result.errors == []


def test_an_error_after_the_reply_takes_nothing_away(scripted: Scripted) -> None:
    unreachable = Error(3, 1, after=1) if scripted.version == 4 else Error(1, 3, after=1)
    result = scripted([[Answer(), unreachable], PLAIN, PLAIN])
    assert (result.received, lost(result)) == (3, [False] * 3)


def test_an_error_for_a_probe_never_sent_is_nobodys(scripted: Scripted) -> None:
    number = 3 if scripted.version == 4 else 1
    # What is forged about the first probe speaks of one before it, which was never sent.
    forged: list[dict[str, Any]] = [{"sequence": -1}, {"sequence": 500}, {"identifier": 1}]
    forged.append({"destination": scripted.other})
    steps = [[Error(number, 1, quote=quote, **forgery) for quote in (8, None)] for forgery in forged]
    result = scripted([*steps, PLAIN, PLAIN])
    assert (result.errors, lost(result)) == ([], [True] * 4 + [False] * 2)
    counted(result, received=2)


def test_a_forged_error_does_not_end_the_wait(scripted: Scripted) -> None:
    number = 3 if scripted.version == 4 else 1
    forged = [
        Error(number, 1, sequence=5),
        Error(number, 1, identifier=5),
        Error(number, 1, destination=scripted.other),
    ]
    result = scripted([[*forged, Answer(delay=0.1)]])
    assert result.errors == []
    assert 0.1 <= result.elapsed < 0.2
    counted(result, received=1)


def test_a_storm_of_errors_is_counted(scripted: Scripted) -> None:
    number = 3 if scripted.version == 4 else 1
    result = scripted([[Error(number, 1)]] * 300, timeout=20)
    counted(result, received=0)
    assert [error.index for error in result.errors] == list(range(300))


# --- many hosts -----------------------------------------------------------------------------------------------------


def network_of(version: int) -> list[str]:
    return [f"198.18.8.{number}" if version == 4 else f"2001:db8::8:{number}" for number in range(1, 13)]


def test_each_host_of_a_batch_has_its_own_story(far: lab.FarEnd, version: int, privileged: bool) -> None:
    names = network_of(version)
    bad = Error(3, 1) if version == 4 else Error(1, 3)
    # Rounds are 0.25 s apart: what is held until the next comes after the timeout, and is late.
    stories: list[tuple[Sequence[Sequence[Action]], tuple[int, int, int, int, str | None]]] = [
        ([PLAIN, PLAIN, PLAIN], (3, 0, 0, 0, None)),
        ([LOST, LOST, LOST], (0, 0, 0, 0, None)),
        ([LOST, PLAIN, LOST], (1, 0, 0, 0, None)),
        ([[Answer(copies=2)], [Answer(copies=4)], PLAIN], (3, 4, 0, 0, None)),
        ([[Answer(after=1)], PLAIN, PLAIN], (2, 0, 0, 1, None)),
        ([[bad], [bad], [bad]], (0, 0, 0, 0, "host_unreachable")),
        ([PLAIN, [bad], PLAIN], (2, 0, 0, 0, "host_unreachable")),
        ([[Answer(flip=(30,))], PLAIN, PLAIN], (2, 0, 0, 0, None)),
        ([[Answer(flip=(0,))], PLAIN, PLAIN], (2, 0, 0, 0, None)),
        ([[Answer(source=names[0])], PLAIN, PLAIN], (2, 0, 0, 0, None)),
        ([[Answer(identifier=1)], PLAIN, PLAIN], (2, 0, 0, 0, None)),
        ([[Answer(delay=0.05)], [Answer(ttl=3)], PLAIN], (3, 0, 0, 0, None)),
    ]
    far.play({name: steps for name, (steps, _) in zip(names, stories, strict=True)})
    table = nf.ping_many(names, count=3, interval=0.3, timeout=0.15, rate=float("inf"), privileged=privileged)
    assert far.seen(*names) == far.seen() == 36
    columns = (table.received, table.duplicates, table.reordered, table.late)
    errors = [error and error.kind for error in table.error]
    assert list(zip(*(column.tolist() for column in columns), errors, strict=True)) == [story for _, story in stories]
    assert table.sent.tolist() == [3] * 12
    assert (table.dropped, table.corrupted, table.foreign) == (0, 1, 2)
    assert table.loss.tolist() == pytest.approx([1 - received / 3 for _, (received, *_) in stories])


def test_replies_of_one_host_out_of_order_in_a_batch(far: lab.FarEnd, version: int, privileged: bool) -> None:
    names = network_of(version)
    far.play({names[0]: [[Answer(after=1)], PLAIN, PLAIN], names[1]: [[Answer(after=2)], [Answer(after=1)], PLAIN]})
    table = nf.ping_many(names[:3], count=3, interval=0, rate=1000, timeout=2, privileged=privileged)
    assert (table.received.tolist(), table.reordered.tolist()) == ([3, 3, 3], [1, 2, 0])
    assert (table.late.tolist(), table.duplicates.tolist()) == ([0, 0, 0], [0, 0, 0])


def test_events_tell_the_whole_story(far: lab.FarEnd, version: int, privileged: bool) -> None:
    names = network_of(version)
    bad = Error(3, 1) if version == 4 else Error(1, 3)
    far.play(
        {
            names[0]: [PLAIN, [Answer(copies=2)], PLAIN],
            names[1]: [LOST, [bad], PLAIN],
            names[2]: [[Answer(after=1)], PLAIN, PLAIN],
            names[3]: [[Answer(flip=(0,))], [Answer(source=names[0])], [Answer(ttl=7)]],
        }
    )
    run = nf.ping_iter(names[:4], count=3, interval=0.3, timeout=0.15, rate=float("inf"), privileged=privileged)
    events = list(run)
    assert sorted((event.row, event.index, event.kind) for event in events) == [
        (0, 0, "reply"),
        (0, 1, "duplicate"),
        (0, 1, "reply"),
        (0, 2, "reply"),
        (1, 0, "timeout"),
        (1, 1, "error"),
        (1, 2, "reply"),
        (2, 0, "late"),
        (2, 0, "timeout"),
        (2, 1, "reply"),
        (2, 2, "reply"),
        (3, 0, "timeout"),
        (3, 1, "timeout"),
        (3, 2, "reply"),
    ]
    by_key = {(event.row, event.index, event.kind): event for event in events}
    late = by_key[2, 0, "late"]
    assert late.rtt is not None
    assert 0.15 < late.rtt < 1
    assert by_key[0, 1, "duplicate"].rtt is not None
    error = by_key[1, 1, "error"]
    assert (error.source, error.rtt is None or error.rtt > 0) == (ROUTERS[version], True)
    assert error.error is not None
    assert (error.error.kind, error.error.index) == ("host_unreachable", 1)
    last = by_key[3, 2, "reply"]
    assert (last.host, last.address, last.source, last.ttl, last.size) == (names[3], names[3], names[3], 7, 64)
    assert events.index(by_key[2, 0, "timeout"]) < events.index(late)


def test_every_host_of_a_16_answers(far: lab.FarEnd, privileged: bool) -> None:
    table = nf.ping_many("198.18.0.0/16", rate=40_000, timeout=3, privileged=privileged)
    assert len(table) == far.seen() == 65_534
    assert (table.received == 1).all()
    assert (table.dropped, table.corrupted, table.foreign, int(table.duplicates.sum())) == (0, 0, 0, 0)


def test_hosts_off_this_machine_are_pinged_at_a_thousand_a_second(far: lab.FarEnd) -> None:
    start = time.monotonic()
    table = nf.ping_many([f"198.18.9.{number}" for number in range(1, 251)] * 2)
    assert table.is_alive.all()
    assert 0.499 <= table.elapsed <= time.monotonic() - start < 1


# --- the request ----------------------------------------------------------------------------------------------------


def sent_by(far: lab.FarEnd, host: str, **options: Any) -> list[Request]:
    far.play()
    result = nf.ping(host, interval=0, **options)
    assert result.received == result.sent
    return far.requests()


def test_requests_are_as_documented(far: lab.FarEnd, version: int, privileged: bool) -> None:
    requests = sent_by(far, HOST[version], count=3, size=300, privileged=privileged)
    assert [request.sequence for request in requests] == [1, 2, 3]
    assert len({request.identifier for request in requests}) == 1
    for request in requests:
        pseudo = b""
        if version == 6:
            pseudo = request.source + request.destination + len(request.message).to_bytes(4, "big") + b"\0\0\0\x3a"
        assert reference.checksum(pseudo + request.message) == 0
        assert request.payload[8:] == bytes(index & 0xFF for index in range(8, 300))
    assert len({request.payload[:8] for request in requests}) == 3  # a cookie each


def test_cookies_cannot_be_told_from_another_run(far: lab.FarEnd, version: int) -> None:
    runs = [sent_by(far, HOST[version], count=4) for _ in range(2)]
    assert len({request.payload[:8] for requests in runs for request in requests}) == 8


@pytest.mark.parametrize("size", [0, 3, 8, 9])
def test_short_payloads_are_as_long_as_asked(far: lab.FarEnd, version: int, privileged: bool, size: int) -> None:
    requests = sent_by(far, HOST[version], count=2, size=size, privileged=privileged)
    assert [len(request.payload) for request in requests] == [size] * 2
    assert all(request.payload[8:] == bytes([8] * (size - 8)) for request in requests)


def test_the_sequence_goes_on_over_a_whole_batch(far: lab.FarEnd, privileged: bool) -> None:
    names = network_of(4)
    nf.ping_many(names, count=3, interval=0, privileged=privileged)
    assert [request.sequence for request in far.requests()] == list(range(1, 37))


def test_the_identifier_of_a_raw_run_is_chance(far: lab.FarEnd, version: int) -> None:
    identifiers = {sent_by(far, HOST[version], count=1, privileged=True)[0].identifier for _ in range(20)}
    assert len(identifiers) >= 15
