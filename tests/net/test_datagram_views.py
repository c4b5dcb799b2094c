"""The memory of received datagrams: valid while anything holds it, and used again when nothing does."""

from __future__ import annotations

import gc
import random
import socket
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import netfast as nf
from builds import SANITIZED
from net import datagrams_lab as dl


def content(holder: Any) -> Any:
    """What a holder of memory says now, as bytes or lists of them."""
    if isinstance(holder, nf.Datagrams):
        return holder.tolist()
    if isinstance(holder, list):
        return [bytes(view) for view in holder]
    return holder.tobytes() if isinstance(holder, np.ndarray) else bytes(holder)


class Views(RuleBasedStateMachine):
    """Receives, takes views of views, drops some of them: whatever is left must say what it said at first.

    Holders stand in a list of the machine's own, for hypothesis would keep alive what it knew of.
    """

    size = 96
    gro = False

    def __init__(self) -> None:
        super().__init__()
        self.opened = dl.Opened()
        self.sock = self.opened.udp()
        self.sender = self.opened.udp()
        self.batch = self.new_batch(8)
        self.holders: list[tuple[Any, Any]] = []  # what holds memory, and what it must say
        self.columns: list[tuple[list[Any], list[Any]]] = []
        self.random = random.Random(1)

    def new_batch(self, batch: int) -> nf.DatagramBatch:
        return nf.DatagramBatch(self.sock, batch=batch, size=self.size, gro=self.gro)

    def teardown(self) -> None:
        self.opened.close()

    def keep(self, holder: Any, *, like: Any = None) -> None:
        self.holders.append((holder, content(holder) if like is None else like))

    def chosen(self, number: int, kind: type) -> Any:
        """One of the holders of a kind, or None."""
        fitting = [holder for holder, _ in self.holders if isinstance(holder, kind)]
        return fitting[number % len(fitting)] if fitting else None

    @rule(sizes=st.lists(st.integers(0, 100), min_size=1, max_size=8))
    def receive(self, sizes: list[int]) -> None:
        sent = [self.random.randbytes(size) for size in sizes]
        for datagram in sent:
            self.sender.sendto(datagram, dl.address(self.sock))
        got = 0
        while got < len(sent):
            datagrams = self.batch.recv(timeout=5)
            wanted = [s if self.gro else s[: self.size] for s in sent[got : got + len(datagrams)]]
            self.keep(datagrams, like=wanted)
            got += len(datagrams)
        assert got == len(sent)

    @rule(number=st.integers(0, 999))
    def hold_columns(self, number: int) -> None:
        if d := self.chosen(number, nf.Datagrams):
            held = [d.lengths, d.ports, d.timestamps, d.truncated, d.addresses.packed]
            self.columns.append((held, [column.tolist() for column in held]))

    @rule(number=st.integers(0, 999), index=st.integers(0, 7))
    def view(self, number: int, index: int) -> None:
        if d := self.chosen(number, nf.Datagrams):
            self.keep(d[index % len(d)])

    @rule(
        number=st.integers(0, 999), start=st.integers(-9, 9), stop=st.integers(-9, 9), step=st.sampled_from([1, 2, -1])
    )
    def views(self, number: int, start: int, stop: int, step: int) -> None:
        if d := self.chosen(number, nf.Datagrams):
            self.keep(d[start:stop:step])

    @rule(
        number=st.integers(0, 999),
        start=st.integers(-99, 99),
        stop=st.integers(-99, 99),
        step=st.sampled_from([1, 3, -2]),
    )
    def slice_of_view(self, number: int, start: int, stop: int, step: int) -> None:
        if (v := self.chosen(number, memoryview)) is not None:
            self.keep(v[start:stop:step])

    @rule(number=st.integers(0, 999))
    def view_of_view(self, number: int) -> None:
        if (v := self.chosen(number, memoryview)) is not None:
            self.keep(memoryview(v))

    @rule(number=st.integers(0, 999))
    def array(self, number: int) -> None:
        v = self.chosen(number, memoryview)
        if v is not None and v.contiguous and len(v):
            self.keep(np.frombuffer(v, "uint8"))

    @rule(number=st.integers(0, 999))
    def slice_of_array(self, number: int) -> None:
        if (a := self.chosen(number, np.ndarray)) is not None:
            self.keep(a[1::2])

    @rule(number=st.integers(0, 999))
    def copy(self, number: int) -> None:
        if (v := self.chosen(number, memoryview)) is not None:
            self.keep(bytes(v))

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 999))
    def release(self, number: int) -> None:
        """What was made of the view before is still there to read."""
        places = [place for place, (holder, _) in enumerate(self.holders) if isinstance(holder, memoryview)]
        if places:
            place = places[number % len(places)]
            try:
                self.holders[place][0].release()
            except BufferError:  # something reads it right now: it is not released
                return
            del self.holders[place]

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 999))
    def drop(self, number: int) -> None:
        del self.holders[number % len(self.holders)]

    @rule()
    def drop_datagrams(self) -> None:
        """The views outlive what they are of."""
        self.holders = [held for held in self.holders if not isinstance(held[0], nf.Datagrams)]

    @rule()
    def drop_all_but_arrays(self) -> None:
        self.holders = [held for held in self.holders if isinstance(held[0], np.ndarray)]

    @rule(batch=st.sampled_from([1, 3, 8]))
    def another_batch(self, batch: int) -> None:
        """The views outlive what received them."""
        self.batch = self.new_batch(batch)

    @rule()
    def collect(self) -> None:
        gc.collect(1)  # what the machine has made is young; the rest of the process is large

    @invariant()
    def nothing_has_changed(self) -> None:
        for holder, wanted in self.holders:
            assert content(holder) == wanted
        for held, values in self.columns:
            assert [column.tolist() for column in held] == values


class ViewsOfSegments(Views):
    gro = True


@pytest.mark.parametrize("machine", [Views, ViewsOfSegments])
def test_views_stay_valid_in_any_order(machine: type[Views]) -> None:
    examples = min(settings().max_examples, 100)  # of 60 steps each, after which everything held is read
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=60))


def place(view: memoryview) -> int:
    """Where in memory a view lies."""
    found: int = np.frombuffer(view, "uint8").__array_interface__["data"][0]
    return found


def received(batch: nf.DatagramBatch, sender: socket.socket, *sent: bytes) -> nf.Datagrams:
    for datagram in sent:
        sender.sendto(datagram, dl.address(batch.sock))
    return batch.recv(timeout=5)


def test_memory_nobody_holds_is_used_again(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    places = {place(received(batch, sender, b"x")[0]) for _ in range(100)}
    assert len(places) <= 2  # the last may live until the next has come


@pytest.mark.parametrize("how", ["datagrams", "view", "slice", "array", "slice of a released view", "list"])
def test_memory_that_is_held_is_set_aside(opened: dl.Opened, how: str) -> None:
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    d = received(batch, sender, b"first of all")
    where, view = place(d[0]), d[0]
    held: Any = {
        "datagrams": d,
        "view": view,
        "slice": view[2:5],
        "array": np.frombuffer(view, "uint8"),
        "slice of a released view": view[1:],
        "list": d[:],
    }[how]
    wanted = content(held)
    if how == "slice of a released view":
        view.release()
    del d, view
    gc.collect()
    for _ in range(50):
        assert place(received(batch, sender, b"another one!")[0]) != where
        assert content(held) == wanted


def test_an_array_of_a_released_view_is_held(opened: dl.Opened) -> None:
    # NumPy before 2 lets go of the buffer and keeps the view alone: whoever releases that has nothing left to read.
    batch, sender = nf.DatagramBatch(opened.udp()), opened.udp()
    d = received(batch, sender, b"first of all")
    view = d[0]
    array = np.frombuffer(view, "uint8")
    with suppress(BufferError):
        view.release()
    del d, view
    for _ in range(10):
        received(batch, sender, b"another one!")
    assert array.tobytes() == b"first of all"


def test_all_that_is_held_is_apart(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), size=512), opened.udp()
    held = [received(batch, sender, dl.numbered(number, 500)) for number in range(200)]
    assert [dl.number_of(d[0]) for d in held] == list(range(200))
    assert len({place(d[0]) for d in held}) == 200


def test_views_outlive_batch_and_socket(opened: dl.Opened) -> None:
    sender, sock = opened.udp(), opened.udp()
    batch = nf.DatagramBatch(sock)
    view = received(batch, sender, b"alive")[0]
    array = np.frombuffer(view[1:], "uint8")
    sock.close()
    del batch, sock
    gc.collect()
    other = nf.DatagramBatch(opened.udp())
    for _ in range(10):
        received(other, sender, b"other")
    assert bytes(view) == b"alive"
    assert array.tobytes() == b"live"


def test_views_are_read_only(opened: dl.Opened) -> None:
    view = received(nf.DatagramBatch(opened.udp()), opened.udp(), b"stone")[0]
    assert view.readonly
    assert (view.format, view.itemsize, view.ndim, view.nbytes, view.contiguous) == ("B", 1, 1, 5, True)
    with pytest.raises(TypeError):
        view[0] = 1
    assert not np.frombuffer(view, "uint8").flags.writeable
    assert hash(view) == hash(b"stone")


def test_other_threads_may_hold_and_let_go(opened: dl.Opened) -> None:
    """One thread receives; three take views over, look at them late and drop them in an order of their own."""
    batch, sender = nf.DatagramBatch(opened.udp(), batch=16, size=256), opened.udp()
    queue: SimpleQueue[tuple[int, Any] | None] = SimpleQueue()
    seen: list[int] = []
    errors: list[BaseException] = []

    def watch(seed: int) -> None:
        chance, held = random.Random(seed), list[tuple[int, Any]]()
        try:
            while (item := queue.get()) is not None:
                held.append(item)
                while len(held) > chance.randrange(40):
                    number, view = held.pop(chance.randrange(len(held)))
                    assert dl.number_of(view) == number
                    seen.append(number)
            for number, view in held:
                assert dl.number_of(view) == number
                seen.append(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=watch, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    total = 0
    while total < 20_000:
        for number in range(total, total + 10):
            sender.sendto(dl.numbered(number, 12 + number % 240), dl.address(batch.sock))
        goal = total + 10
        while total < goal:
            for view in batch.recv(timeout=5):
                queue.put((total, view))
                total += 1
    for _ in threads:
        queue.put(None)
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(seen) == list(range(20_000))


@pytest.mark.parametrize("gro", [False, True], ids=["plain", "gro"])
@pytest.mark.parametrize("held", [0, 3], ids=["dropped", "last three held"])
def test_memory_is_flat_over_100_000_receives(opened: dl.Opened, held: int, gro: bool) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), batch=16, size=2048, gro=gro), opened.udp()
    where, datagram = dl.address(batch.sock), b"x" * 500
    kept: list[Any] = []

    def work(count: int) -> None:
        for _ in range(count):
            sender.sendto(datagram, where)
            d = batch.recv(timeout=5)
            if held:
                kept.append((d, d[0][10:], np.frombuffer(d[0], "uint8")))
                del kept[:-held]

    work(10_000)
    before = dl.resident()
    work(100_000)
    assert dl.resident() - before < 2 << 20 or SANITIZED


def test_memory_is_given_back_when_much_was_held(opened: dl.Opened) -> None:
    batch, sender = nf.DatagramBatch(opened.udp(), batch=64, size=65_535), opened.udp()

    def hold(count: int) -> list[nf.Datagrams]:
        return [received(batch, sender, b"x" * 60_000) for _ in range(count)]

    hold(3)
    before = dl.resident()
    held = hold(300)
    most = dl.resident() - before
    del held
    gc.collect()
    for _ in range(3):
        held = hold(300)
        del held
    assert dl.resident() - before < most + (8 << 20) or SANITIZED  # nothing is added by doing it again


def test_memory_is_flat_over_100_000_sends(opened: dl.Opened) -> None:
    batch = nf.DatagramBatch(opened.udp())
    where = dl.address(opened.udp(room=2304))

    def work(count: int) -> None:
        for _ in range(count):
            batch.send([b"x" * 100, bytearray(100), memoryview(b"z" * 7)], where)

    work(5_000)
    before = dl.resident()
    work(100_000)
    assert dl.resident() - before < 2 << 20 or SANITIZED
