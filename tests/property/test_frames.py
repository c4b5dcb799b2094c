"""Frames out of streams that are cut at any place, and into streams, against a slow splitter."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings, strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import netfast as nf
import reference

PREFIXES = [order + size for order in "<>!" for size in "BHIQ" if order + size != "<B"]
# Some begin as they end, so that a search which starts anew behind a near miss goes astray.
DELIMITERS = [
    b"\n", b"\0", b"\r\n", b"\r\n\r\n", b"aa", b"aba", b"abab", b"aab", b"abaabab", b"a" * 16, b"a" * 15 + b"b",
    b"b" + b"a" * 15, bytes(range(240, 256)),
]  # fmt: skip
LARGEST = 70_000


class Rule(NamedTuple):
    """How a stream is cut into frames."""

    prefix: str | None
    delimiter: bytes | None
    max_frame: int

    @property
    def added(self) -> int:
        return len(reference.framed(b"", prefix=self.prefix, delimiter=self.delimiter))

    def stream(self, sock: socket.socket) -> nf.FrameStream:
        return nf.FrameStream(sock, prefix=self.prefix, delimiter=self.delimiter, max_frame=self.max_frame)

    def framed(self, frame: bytes) -> bytes:
        return reference.framed(frame, prefix=self.prefix, delimiter=self.delimiter)

    def split(self, data: bytes) -> reference.Split:
        return reference.split_frames(data, prefix=self.prefix, delimiter=self.delimiter, max_frame=self.max_frame)

    def can_be_sent(self, frame: bytes) -> bool:
        return reference.can_be_sent(frame, prefix=self.prefix, delimiter=self.delimiter, max_frame=self.max_frame)


limits: SearchStrategy[int] = st.one_of(
    st.sampled_from([1, 2, 3, 15, 16, 63, 64, 65, 255, 256, 257, LARGEST]), st.integers(1, 300)
)
rules: SearchStrategy[Rule] = st.one_of(
    st.builds(Rule, st.sampled_from(PREFIXES), st.none(), limits),
    st.builds(Rule, st.none(), st.sampled_from(DELIMITERS) | st.binary(min_size=1, max_size=16), limits),
)


@st.composite
def contents(draw: DrawFn, rule: Rule, size: int) -> bytes:
    """Bytes of a frame: those of the delimiter, so that near misses are frequent, or any."""
    letters = (rule.delimiter or b"\0\x01\xff") + draw(st.binary(max_size=2))
    kind = draw(st.sampled_from(["one", "few", "any"]))
    if kind == "one":
        return letters[:1] * size
    if size <= 40:
        return bytes(draw(st.lists(st.sampled_from(letters), min_size=size, max_size=size)))
    source = random.Random(draw(st.integers(0, 999)))
    return bytes(source.choices(letters, k=size)) if kind == "few" else source.randbytes(size)


def sizes(rule: Rule) -> SearchStrategy[int]:
    """Around nothing, the prefix, what a cache line, two bytes and the rule can hold; few are large."""
    edges = [0, 1, 2, rule.added - 1, rule.added, rule.added + 1, 63, 64, 65]
    edges += [rule.max_frame - 1, rule.max_frame, rule.max_frame + 1]
    near = [edge for edge in edges if 0 <= edge <= 300]
    far = [255, 256, 4095, 4096, 65535, 65536, *(edge for edge in edges if edge > 300)]
    small: SearchStrategy[int] = st.one_of(st.sampled_from(near), st.integers(0, 40))
    return st.integers(0, 15).flatmap(lambda chance: st.sampled_from(far) if chance == 0 else small)


def frame_lists(rule: Rule, most: int = 12) -> SearchStrategy[list[bytes]]:
    return st.lists(sizes(rule).flatmap(lambda size: contents(rule, size)), max_size=most)


@st.composite
def streams(draw: DrawFn) -> tuple[Rule, bytes]:
    """What a sender may send: frames, perhaps one that is too long among them or half of one at the end; or anything.

    A frame that holds the delimiter is two, here as at the receiver.
    """
    rule = draw(rules)
    if draw(st.integers(0, 4)) == 0:
        letters = (rule.delimiter or b"\0\x01\x02") + draw(st.binary(max_size=2))
        return rule, bytes(draw(st.lists(st.sampled_from(letters), max_size=200)))
    can_hold = 256 ** reference.prefix_size(rule.prefix) if rule.prefix else LARGEST + 2
    frames = [frame for frame in draw(frame_lists(rule)) if len(frame) < can_hold]
    frames = [frame for frame in frames if len(frame) <= rule.max_frame]
    if rule.max_frame + 1 < can_hold and draw(st.integers(0, 3)) == 0:
        size = rule.max_frame + draw(st.sampled_from([1, 1, 2, rule.added, 64]))
        frames.insert(draw(st.integers(0, len(frames))), draw(contents(rule, min(size, can_hold - 1))))
    data = b"".join(map(rule.framed, frames))
    if draw(st.booleans()):
        data = data[: len(data) - draw(st.integers(0, min(len(data), rule.added + 2)))]
    return rule, data


@st.composite
def cuts(draw: DrawFn, size: int) -> list[int]:
    """Where the sender cuts what it sends: in pieces that a socket's buffer takes, and in bytes where that is quick."""
    places = draw(st.lists(st.integers(0, size), max_size=20))
    if size <= 64 and draw(st.booleans()):
        places = list(range(size))
    return sorted({*places, *range(0, size, 20_000), size} - {0})


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


# --- the oracle itself ------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=5), st.sampled_from(PREFIXES))
def test_the_oracle_knows_prefixes_as_struct_does(frames: list[bytes], prefix: str) -> None:
    frames = [frame for frame in frames if prefix[1] != "B" or len(frame) < 256]
    data = b"".join(struct.pack(prefix, len(frame)) + frame for frame in frames)
    assert data == b"".join(reference.framed(frame, prefix=prefix) for frame in frames)
    split = reference.split_frames(data, prefix=prefix, max_frame=300)
    assert split[::2] == (frames, b"")
    assert split.too_long is None


@given(st.lists(st.sampled_from([b"a", b"b", b"ab", b"\n"])).map(b"".join), st.sampled_from(DELIMITERS))
def test_the_oracle_splits_as_bytes_do(data: bytes, delimiter: bytes) -> None:
    split = reference.split_frames(data, delimiter=delimiter, max_frame=1000)
    assert [*split.frames, split.rest] == data.split(delimiter)


@given(streams())
def test_the_oracle_finds_all_again(case: tuple[Rule, bytes]) -> None:
    rule, data = case
    split = rule.split(data)
    assert b"".join(map(rule.framed, split.frames)) + split.rest == data
    assert split.ends == sorted(split.ends)
    assert max((len(frame) for frame in split.frames), default=0) <= rule.max_frame


# --- receiving --------------------------------------------------------------------------------------------------------


def receive_all(stream: nf.FrameStream, most: int | None) -> tuple[list[bytes], str]:
    """The frames that are there, and what comes then: "wait", "end", "inside" or "too long"."""
    frames: list[bytes] = []
    while True:
        try:
            some = stream.recv(timeout=0) if most is None else stream.recv(most, timeout=0)
        except TimeoutError:
            return frames, "wait"
        except EOFError:
            return frames, "inside"
        except ValueError:
            return frames, "too long"
        assert all(type(frame) is bytes for frame in some)
        if not some:
            return frames, "end"
        assert most is None or len(some) <= most
        frames += some


@settings(deadline=None)
@given(case=streams(), most=st.sampled_from([None, 1, 2, 3, 1000]), data=st.data())
def test_frames_are_those_of_the_stream_wherever_it_is_cut(
    case: tuple[Rule, bytes], most: int | None, data: st.DataObject
) -> None:
    rule, sent = case
    split = rule.split(sent)
    frames: list[bytes] = []
    then = "wait"
    with pair() as (near, far):
        stream = rule.stream(near)
        before = taken = 0
        for cut in data.draw(cuts(len(sent))):
            far.sendall(sent[before:cut])
            before = cut
            # The buffer of the socket takes some pieces, not all.
            if cut - taken < 60_000 and data.draw(st.booleans()):
                continue
            taken = cut
            some, then = receive_all(stream, most)
            frames += some
            assert frames == split.frames[: sum(end <= cut for end in split.ends)]
            if split.too_long is not None and cut >= split.too_long:
                assert then == "too long"
            # Behind the longest frame, a delimiter that has begun leaves it open whether this one is too long.
            begun = sent[split.ends[len(frames) - 1] if frames else 0 : cut]
            if then == "too long":
                assert split.too_long is not None or (rule.delimiter is not None and len(begun) > rule.max_frame)
                assert len(begun) > rule.max_frame or rule.prefix is not None
                break
            assert then == "wait"
            assert stream.buffered == begun
        far.shutdown(socket.SHUT_WR)
        some, then = receive_all(stream, most)
        frames += some
        assert frames == split.frames
        undecided = rule.delimiter is not None and len(split.rest) > rule.max_frame and split.too_long is None
        if split.too_long is not None:
            assert then == "too long"
        elif undecided:
            assert then in ("inside", "too long")
        else:
            assert then == ("inside" if split.rest else "end")
        if then == "inside":
            assert stream.buffered == split.rest
        # Nothing changes any more.
        assert receive_all(stream, most) == ([], then)
        assert near.fileno() >= 0
        assert near.gettimeout() is None


@settings(deadline=None)
@given(rule=rules, data=st.data())
def test_no_more_than_was_asked_for_and_nothing_lost(rule: Rule, data: st.DataObject) -> None:
    frames = [frame for frame in data.draw(frame_lists(rule, 40)) if len(frame) < 300 and rule.can_be_sent(frame)]
    with pair() as (near, far):
        stream = rule.stream(near)
        far.sendall(b"".join(map(rule.framed, frames)))
        far.shutdown(socket.SHUT_WR)
        left = frames
        while left:
            most = data.draw(st.integers(1, 8))
            some = stream.recv(max=most, timeout=0)
            assert 0 < len(some) <= most
            assert some == left[: len(some)]
            left = left[len(some) :]
        assert stream.recv(timeout=0) == []


@pytest.mark.parametrize("delimiter", DELIMITERS, ids=repr)
def test_a_delimiter_is_found_over_every_cut(delimiter: bytes) -> None:
    # Behind every near miss: as much of the delimiter as can stand there without being one.
    bodies = [delimiter[:size] for size in range(len(delimiter))] + [delimiter[1:], b"x" + delimiter[:-1], b""]
    sent = b"".join(body + delimiter for body in bodies)
    split = reference.split_frames(sent, delimiter=delimiter, max_frame=100)
    for cut in range(1, len(sent)):
        with pair() as (near, far):
            stream = nf.FrameStream(near, delimiter=delimiter, max_frame=100)
            far.sendall(sent[:cut])
            frames, then = receive_all(stream, None)
            assert then == "wait"
            far.sendall(sent[cut:])
            frames += receive_all(stream, None)[0]
            assert frames == split.frames
            assert stream.buffered == split.rest


@pytest.mark.parametrize("delimiter", DELIMITERS, ids=repr)
def test_the_longest_frame_is_open_to_its_delimiter_and_no_further(delimiter: bytes) -> None:
    for size in range(len(delimiter)):
        begun = b"x" * 10 + delimiter[:size]
        for rest, frames, then in (
            (delimiter[size:], [b"x" * 10], "wait"),
            (b"x" * (len(delimiter) - size), [], "too long"),
            (b"x" + delimiter, [], "too long"),
        ):
            with pair() as (near, far):
                stream = nf.FrameStream(near, delimiter=delimiter, max_frame=10)
                far.sendall(begun)
                assert receive_all(stream, None) == ([], "wait")
                assert stream.buffered == begun
                far.sendall(rest)
                assert receive_all(stream, None) == (frames, then)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_read_over_every_cut(prefix: str) -> None:
    bodies = [b"", b"x", bytes(range(200)), b"", b"\xff" * 9]
    sent = b"".join(reference.framed(body, prefix=prefix) for body in bodies)
    for cut in range(1, len(sent)):
        with pair() as (near, far):
            stream = nf.FrameStream(near, prefix=prefix)
            far.sendall(sent[:cut])
            frames, then = receive_all(stream, None)
            assert then == "wait"
            far.sendall(sent[cut:])
            assert frames + receive_all(stream, None)[0] == bodies


# --- sending ----------------------------------------------------------------------------------------------------------


def small_buffers(rule: Rule) -> SearchStrategy[list[bytes]]:
    """Frames that a socket's buffer takes as a whole, so that nobody needs to read meanwhile."""
    return frame_lists(rule, 6).filter(lambda frames: sum(len(frame) + rule.added for frame in frames) < 80_000)


@settings(deadline=None)
@given(data=st.data(), rule=rules)
@example(data=None, rule=Rule(None, b"aa", 10))
@example(data=None, rule=Rule(None, b"aba", 10))
def test_what_is_sent_is_read_as_it_was_or_refused(data: st.DataObject | None, rule: Rule) -> None:
    frames = data.draw(small_buffers(rule)) if data else [b"bb", b"ba", b"bab"]
    with pair() as (near, far):
        stream = rule.stream(near)
        if all(map(rule.can_be_sent, frames)):
            assert stream.send(frames) == len(frames)
            near.shutdown(socket.SHUT_WR)
            expected = b"".join(map(rule.framed, frames))
            assert b"".join(iter(lambda: far.recv(1 << 20), b"")) == expected
            assert rule.split(expected)[::2] == (frames, b"") or not expected
        else:
            bad = next(index for index, frame in enumerate(frames) if not rule.can_be_sent(frame))
            with pytest.raises(ValueError, match=rf"\b{bad}\b"):
                stream.send(frames)
            near.shutdown(socket.SHUT_WR)
            assert far.recv(100) == b""


@settings(deadline=None)
@given(rule=rules, data=st.data())
def test_every_kind_of_bytes_is_sent_alike(rule: Rule, data: st.DataObject) -> None:
    frames = [frame for frame in data.draw(frame_lists(rule, 6)) if len(frame) < 300 and rule.can_be_sent(frame)]
    kinds = data.draw(st.lists(st.sampled_from([bytes, bytearray, memoryview]), min_size=6, max_size=6))
    with pair() as (near, far):
        mixed = (kind(frame) for kind, frame in zip(kinds, frames, strict=False))
        assert rule.stream(near).send(mixed) == len(frames)
        near.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: far.recv(1 << 20), b"")) == b"".join(map(rule.framed, frames))


@settings(deadline=None)
@given(rule=rules, data=st.data())
def test_a_stream_sends_what_a_stream_receives(rule: Rule, data: st.DataObject) -> None:
    frames = [frame for frame in data.draw(small_buffers(rule)) if rule.can_be_sent(frame)]
    with pair() as (near, far):
        out, into = rule.stream(near), rule.stream(far)
        received: list[bytes] = []
        while frames != received:
            some = data.draw(st.integers(1, 4))
            out.send(frames[len(received) : len(received) + some])
            end = min(len(received) + some, len(frames))
            while len(received) < end:
                received += into.recv(timeout=5)
        assert into.buffered == b""
        near.shutdown(socket.SHUT_WR)
        assert list(into) == []
