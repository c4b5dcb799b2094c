"""The statistics of ping results against slow, obvious ones, over round trips that a far end has made long or short."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import netfast as nf
import reference
from net import lab, responder
from net.responder import LOST, Action, Answer, Error

# --- the oracle itself ----------------------------------------------------------------------------------------------

times = st.lists(st.floats(1e-6, 10), max_size=30)


@given(times)
def test_the_oracle_agrees_with_the_stdlib(rtts: list[float]) -> None:
    if not rtts:
        assert math.isnan(reference.mean_rtt(rtts))
        assert math.isnan(reference.mdev(rtts))
        return
    assert reference.mean_rtt(rtts) == pytest.approx(statistics.fmean(rtts), rel=1e-12)
    assert reference.mdev(rtts) == pytest.approx(statistics.pstdev(rtts), rel=1e-9)


@given(times.filter(bool), st.floats(0, 100))
def test_the_oracle_finds_percentiles_as_numpy_does(rtts: list[float], q: float) -> None:
    assert reference.percentile(rtts, q) == pytest.approx(np.percentile(rtts, q), rel=1e-12)


@given(times, st.data())
def test_the_oracle_leaves_out_what_was_lost(rtts: list[float], data: st.DataObject) -> None:
    holes = list(rtts)
    for _ in range(data.draw(st.integers(0, 5))):
        holes.insert(data.draw(st.integers(0, len(holes))), math.nan)
    for function in (reference.mean_rtt, reference.mdev, reference.jitter):
        assert repr(function(holes)) == repr(function(rtts))
    assert repr(reference.percentile(holes, 40)) == repr(reference.percentile(rtts, 40))


def test_jitter_is_the_mean_step() -> None:
    assert reference.jitter([1.0, 3.0, 2.0, 2.0]) == 1.0
    assert reference.jitter([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(reference.jitter([1.0]))


def test_the_checksum_of_the_rfc() -> None:
    # RFC 1071, section 3: its example sums to ddf2.
    assert reference.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@given(st.binary(max_size=200))
def test_a_message_with_its_checksum_sums_to_nothing(data: bytes) -> None:
    even = data + bytes(len(data) % 2)
    assert reference.checksum(even + reference.checksum(even).to_bytes(2, "big")) == 0
    assert responder.checksum(data) == reference.checksum(data)


# --- results --------------------------------------------------------------------------------------------------------

numbers = itertools.count()


@pytest.fixture(scope="module")
def far_host(
    require: Callable[[object, str], None], tool: Callable[[str], str]
) -> Iterator[tuple[lab.Namespace, lab.FarEnd]]:
    lab.check(require, tool)
    with lab.namespace() as host, lab.far_end(host) as far:
        yield host, far


class Story(NamedTuple):
    """What becomes of each probe of a host: the delay of its answer, or None where an error comes instead."""

    delays: list[float | None]

    def steps(self, version: int) -> list[list[Action]]:
        # An error and not silence, so that no example waits for a timeout.
        unreachable = Error(3, 1) if version == 4 else Error(1, 3)
        return [[unreachable] if delay is None else [Answer(delay=delay)] for delay in self.delays]


# Below the 10 ms after which the next probe would not wait: replies come in the order of the probes.
delays = st.one_of(st.none(), st.just(0.0), st.floats(0, 0.006))
stories = st.lists(delays, min_size=1, max_size=12).map(Story)


def agree(found: float, expected: float) -> None:
    """Equal to a thousandth of a nanosecond, or both unknown."""
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(max_examples=min(settings().max_examples, 100))  # each takes milliseconds that nothing shortens
@given(story=stories, version=st.sampled_from([4, 6]), privileged=st.booleans(), q=st.floats(0, 100))
def test_statistics_are_those_of_the_round_trips(
    far_host: tuple[lab.Namespace, lab.FarEnd], story: Story, version: int, privileged: bool, q: float
) -> None:
    host, far = far_host
    address = "198.18.20.1" if version == 4 else "2001:db8::20:1"
    far.play({address: story.steps(version)})
    with host.inside():
        result = nf.ping(address, count=len(story.delays), interval=0, timeout=5, privileged=privileged)
    lost = [delay is None for delay in story.delays]
    assert np.isnan(result.rtts).tolist() == lost
    assert (result.ttls == 0).tolist() == lost
    assert (result.sent, result.received) == (len(lost), lost.count(False))
    assert [error.index for error in result.errors] == [index for index, gone in enumerate(lost) if gone]
    for rtt, delay in zip(result.rtts.tolist(), story.delays, strict=True):
        assert delay is None or delay <= rtt < 5
    rtts = result.rtts.tolist()
    replies = [rtt for rtt in rtts if not math.isnan(rtt)]
    agree(result.loss, float(reference.loss(result.sent, result.received)))
    agree(result.min, min(replies, default=math.nan))
    agree(result.max, max(replies, default=math.nan))
    agree(result.avg, reference.mean_rtt(rtts))
    # Nanoseconds are what is measured: near to no deviation the root of a rounded difference is no exacter.
    assert result.mdev == pytest.approx(reference.mdev(rtts), rel=1e-6, abs=1e-9, nan_ok=True)
    if result.reordered == 0:  # a machine too busy for 10 ms may have overtaken one
        agree(result.jitter, reference.jitter(rtts))
    for percent in (0, q, 50, 100):
        agree(result.percentile(percent), reference.percentile(rtts, percent))


@settings(max_examples=min(settings().max_examples, 20))
@given(batch=st.lists(st.lists(delays, min_size=3, max_size=3).map(Story), min_size=1, max_size=20))
def test_columns_are_those_of_the_events(far_host: tuple[lab.Namespace, lab.FarEnd], batch: list[Story]) -> None:
    # The table and the events of two like runs cannot be compared, but the table's own numbers bind each other.
    host, far = far_host
    names = [f"198.18.21.{number}" for number in range(1, len(batch) + 1)]
    far.play({name: story.steps(4) for name, story in zip(names, batch, strict=True)})
    with host.inside():
        table = nf.ping_many(names, count=3, interval=0.01, timeout=5, rate=math.inf)
    assert table.address.tolist() == names
    for row, story in zip(table, batch, strict=True):
        answered = [delay for delay in story.delays if delay is not None]
        assert (row.sent, row.received) == (3, len(answered))
        agree(row.loss, float(Fraction(3 - len(answered), 3)))
        assert (row.error is None) == (len(answered) == 3)
        if not answered:
            assert all(math.isnan(number) for number in row[8:13])
            continue
        # Of up to three times the least, the greatest and the mean give all of them, if not their order.
        known = [row.rtt_min, row.rtt_max, 3 * row.rtt_avg - row.rtt_min - row.rtt_max][: len(answered)]
        assert row.rtt_min >= min(answered)
        assert row.rtt_max >= max(answered)
        agree(row.rtt_avg, reference.mean_rtt(known))
        assert row.rtt_mdev == pytest.approx(reference.mdev(known), rel=1e-6, abs=1e-9)
        orders = [reference.jitter(order) for order in itertools.permutations(known)]
        assert any(row.rtt_jitter == pytest.approx(jitter, rel=1e-6, abs=1e-9, nan_ok=True) for jitter in orders)


@settings(max_examples=min(settings().max_examples, 20))
@given(story=stories)
def test_the_text_says_what_the_numbers_say(far_host: tuple[lab.Namespace, lab.FarEnd], story: Story) -> None:
    host, far = far_host
    address = "198.18.20.2"
    far.play({address: story.steps(4)})
    with host.inside():
        result = nf.ping(address, count=len(story.delays), interval=0, timeout=5)
    lines = result.to_text().splitlines()
    errors = f"+{len(result.errors)} errors, " if result.errors else ""
    percent = f"{100 * float(1 - Fraction(result.received, result.sent)):g}"
    assert lines[0] == f"--- {address} ping statistics ---"
    assert lines[1].startswith(
        f"{result.sent} packets transmitted, {result.received} received, {errors}{percent}% packet loss, time "
    )
    if result.received:
        numbers = "/".join(f"{seconds * 1000:.3f}" for seconds in (result.min, result.avg, result.max, result.mdev))
        assert lines[2] == f"rtt min/avg/max/mdev = {numbers} ms"
    else:
        assert lines[2:] == []


def test_silence_is_loss(far_host: tuple[lab.Namespace, lab.FarEnd]) -> None:
    host, far = far_host
    patterns = list(itertools.product([False, True], repeat=5))
    names = [f"198.18.22.{number}" for number in range(1, 33)]
    steps = [[LOST if gone else (Answer(),) for gone in pattern] for pattern in patterns]
    far.play(dict(zip(names, steps, strict=True)))
    with host.inside():
        table = nf.ping_many(names, count=5, interval=0, rate=10_000, timeout=0.5)
    assert table.received.tolist() == [pattern.count(False) for pattern in patterns]
    assert table.loss.tolist() == pytest.approx([float(reference.loss(5, p.count(False))) for p in patterns])
