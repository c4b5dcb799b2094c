"""Work shared by threads that live for one call, so that a fork between calls is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

# Seconds of a wait for a lock between two looks at signals.  A signal does not end the wait where somebody has set its
# handler so that system calls go on (SA_RESTART), as Polars does with the first query of a process.
SLICE = 0.1


def result_of(future: Future[_Made]) -> _Made:
    """Waits for it, and hears Ctrl-C meanwhile."""
    from concurrent.futures import wait

    while not future.done():
        wait([future], SLICE)
    return future.result()


def thread_count(threads: int | None, n: int, per_thread: int) -> int:
    """How many threads to use for n rows or bytes, when one thread is quick with `per_thread` of them."""
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads={threads}: wanted at least 1")
        return threads
    if n < 2 * per_thread:
        return 1
    import os

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, n // per_thread))


def in_ranges(
    call: Callable[[int, int], Any], n: int, threads: int, stop: bytearray | None = None
) -> list[tuple[int, int, Any]]:
    """call(first, count) over n rows in as many ranges; (first, count, result) of each.  Threads live for this call.

    On Ctrl-C, or when one of them fails, the byte in `stop` tells the others to leave.
    """
    share = -(-n // threads) if n else 0
    ranges = [(first, min(share, n - first)) for first in range(0, n, share)] if share else []
    if len(ranges) <= 1:
        return [(first, count, call(first, count)) for first, count in ranges]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(ranges)) as pool:
        try:
            futures = [(first, count, pool.submit(call, first, count)) for first, count in ranges]
            return [(first, count, result_of(future)) for first, count, future in futures]
        except BaseException:
            if stop is not None:
                stop[0] = 1
            raise


def from_thread(items: Iterable[_Item]) -> Iterator[_Item]:
    """The items, which a thread makes, one ahead.  So Ctrl-C is heard however long one takes.

    The thread is a daemon, for which a process that ends does not wait.

    Example:
        >>> list(from_thread(range(3)))
        [0, 1, 2]
    """
    import threading
    from queue import Empty, SimpleQueue

    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # an item, or with False what ended them
    wanted: SimpleQueue[bool] = SimpleQueue()

    def make() -> None:
        try:
            for item in items:
                made.put((True, item))
                if not wanted.get():
                    return
            made.put((False, None))
        except BaseException as error:
            made.put((False, error))

    threading.Thread(target=make, daemon=True).start()
    wanted.put(True)
    try:
        while True:
            try:
                more, item = made.get(timeout=SLICE)
            except Empty:
                continue
            if not more:
                break
            wanted.put(True)
            yield item
    finally:
        wanted.put(False)
    if item is not None:
        raise item


def in_order(work: Callable[[_Item], _Made], items: Iterable[_Item], threads: int) -> Iterator[_Made]:
    """work(item) of each in order, `threads` of them at a time, and few ahead.  Threads live as long as the iterator.

    When the items end in an error, it comes behind what was made of those before it.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        left = iter(items)
        failure: Exception | None = None
        try:
            while True:
                try:
                    waiting.append(pool.submit(work, next(left)))
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                if len(waiting) > threads:
                    yield result_of(waiting.popleft())
            while waiting:
                yield result_of(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()
        if failure is not None:
            raise failure
