"""netfast.threads: work in order, errors behind what came before them, threads that end."""

import threading
from collections.abc import Iterator

import pytest

from netfast.threads import in_order


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
