"""Work shared by threads that live for one call, so that a fork between calls is safe."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
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
    return from_threads([items], 1, 1)


def from_threads(sources: Iterable[Iterable[_Item]], threads: int, ahead: int) -> Iterator[_Item]:
    """The items of each source in order.  So many sources are under way, in a thread each, which makes so many items
    ahead; Ctrl-C and the end of the process as for `from_thread`.

    Example:
        >>> list(from_threads([range(3), range(5, 7)], threads=2, ahead=10))
        [0, 1, 2, 5, 6]
    """
    from collections import deque
    from itertools import islice

    begun: deque[Generator[Any, None, None]] = deque()
    left = iter(sources)
    try:
        while True:
            for source in islice(left, threads - len(begun)):
                begun.append(_made(source, ahead))
                next(begun[-1])  # starts its thread
            if not begun:
                return
            yield from begun[0]
            begun.popleft()
    finally:
        for items in begun:
            items.close()


def _made(items: Iterable[Any], ahead: int) -> Generator[Any, None, None]:
    """None when the thread has started, then the items."""
    import threading
    from queue import Empty, SimpleQueue

    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # an item, or with False what ended them
    room = threading.Semaphore(ahead - 1)
    ended = threading.Event()

    def make() -> None:
        try:
            for item in items:
                made.put((True, item))
                room.acquire()
                if ended.is_set():
                    return
            made.put((False, None))
        except BaseException as error:
            made.put((False, error))

    try:
        threading.Thread(target=make, daemon=True).start()
        yield None
        while True:
            try:
                more, item = made.get(timeout=SLICE)
            except Empty:
                continue
            if not more:
                break
            room.release()
            yield item
    finally:
        ended.set()
        room.release()
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
