"""Work that threads share is given up on Ctrl-C, even where a signal does not end system calls."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from netfast.threads import in_ranges


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
