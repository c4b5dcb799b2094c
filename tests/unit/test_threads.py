"""netfast.threads: work in order, errors behind what came before them, threads that end, and Ctrl-C meanwhile."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from netfast.threads import from_thread, from_threads, in_order, in_ranges

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_in_order(threads: int) -> None:
    assert list(in_order(lambda n: n * n, range(100), threads)) == [n * n for n in range(100)]
    assert list(in_order(lambda n: n * n, range(0), threads)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_items_that_end_in_an_error(threads: int) -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise ValueError("damaged")

    found = []
    with pytest.raises(ValueError, match="damaged"):
        for made in in_order(lambda n: n, items(), threads):
            found.append(made)  # noqa: PERF402  -- an error ends it
    assert found == list(range(10))


@pytest.mark.parametrize("threads", [1, 3])
def test_work_that_fails(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda n: 1 // (5 - n), range(10), threads))


def test_few_are_made_ahead_and_threads_end() -> None:
    seen = []

    def items() -> Iterator[int]:
        for n in range(1000):
            seen.append(n)
            yield n

    before = threading.active_count()
    made = in_order(lambda n: n, items(), 3)
    assert next(made) == 0
    assert len(seen) <= 4
    made.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize("interrupts", [True, False])
def test_ctrl_c_is_heard_in_a_wait_for_threads(interrupts: bool) -> None:
    stop = bytearray(1)

    def work(first: int, count: int) -> None:
        until = time.monotonic() + 10
        while not stop[0] and time.monotonic() < until:
            time.sleep(0.01)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.siginterrupt(signal.SIGINT, interrupts)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    start = time.monotonic()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            in_ranges(work, 10, 2, stop)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 1


def test_what_a_thread_raises_is_raised() -> None:
    def work(first: int, count: int) -> int:
        if first:
            raise TimeoutError("of the work")
        return count

    with pytest.raises(TimeoutError, match="of the work"):
        in_ranges(work, 10, 2)


# --- items from a thread ---------------------------------------------------------------------------------------------


def test_items_from_a_thread_and_the_error_behind_them() -> None:
    seen = []

    def items() -> Iterator[int]:
        for n in range(100):
            seen.append(threading.current_thread())
            yield n
        raise ValueError("damaged")

    made = from_thread(items())
    assert [next(made) for _ in range(100)] == list(range(100))
    with pytest.raises(ValueError, match="damaged"):
        next(made)
    assert set(seen).isdisjoint({threading.main_thread()})
    assert list(from_thread([])) == []


def test_a_thread_is_one_item_ahead_and_ends_with_who_asks() -> None:
    closed = threading.Event()
    seen = []

    def items() -> Iterator[int]:
        try:
            for n in range(1000):
                seen.append(n)
                yield n
        finally:
            closed.set()

    made = from_thread(items())
    assert (next(made), next(made)) == (0, 1)
    made.close()  # type: ignore[attr-defined]
    assert closed.wait(10)
    assert len(seen) <= 4


def test_ctrl_c_is_heard_while_an_item_is_made() -> None:
    go_on = threading.Event()

    def items() -> Iterator[bool]:
        yield go_on.wait(10)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    start = time.monotonic()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(from_thread(items()))
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
        go_on.set()
    assert time.monotonic() - start < 1


# --- items from several threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 7, 100])
def test_items_of_several_threads_come_in_order(threads: int, ahead: int) -> None:
    sources = (range(10 * n, 10 * n + n % 4) for n in range(20))
    wanted = [10 * n + i for n in range(20) for i in range(n % 4)]
    assert list(from_threads(sources, threads, ahead)) == wanted
    assert list(from_threads([], threads, ahead)) == []


def test_so_many_sources_are_read_at_a_time() -> None:
    together = threading.Barrier(3)

    def items(n: int) -> Iterator[int]:
        together.wait(10)
        yield n

    assert list(from_threads(map(items, range(9)), 3, 1)) == list(range(9))


def test_an_error_of_a_source_comes_behind_what_was_before_it() -> None:
    def items(n: int) -> Iterator[int]:
        yield n
        if n == 2:
            raise ValueError("damaged")

    found = []
    with pytest.raises(ValueError, match="damaged"):
        for n in from_threads(map(items, range(9)), 3, 5):
            found.append(n)  # noqa: PERF402  -- an error ends it
    assert found == [0, 1, 2]


def test_few_items_of_few_sources_are_made_ahead_and_threads_end() -> None:
    made: list[tuple[int, int]] = []
    closed = [threading.Event() for _ in range(3)]

    def items(source: int) -> Iterator[int]:
        try:
            for n in range(1000):
                made.append((source, n))
                yield n
        finally:
            closed[source].set()

    found = from_threads(map(items, range(100)), 3, 5)  # a fourth would find no event
    assert next(found) == 0
    until = time.monotonic() + 10
    while len(made) < 16 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(made) == [(source, n) for source in range(3) for n in range(6 if source == 0 else 5)]
    found.close()  # type: ignore[attr-defined]
    assert all(event.wait(10) for event in closed)
    assert len(made) == 16
