"""Progress on standard error, on a terminal only, of work that takes long enough to be worth it: a bar, a line."""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from . import _output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

_PATIENCE = 0.4  # seconds before anything is drawn: rich takes a tenth to load, and most files are done by then


class Bar:
    """Draws how far a call of `summarize` is; a context that takes the bar away again."""

    def __init__(self, color: str) -> None:
        self._color = color
        self._due = time.monotonic() + _PATIENCE
        self._drawn: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._drawn[0].stop()

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() < self._due:
            return
        if self._drawn is None:
            progress = _progress(self._color, total)
            progress.start()
            self._drawn = progress, progress.add_task("", total=total)
        progress, task = self._drawn
        progress.update(task, completed=done, total=total)
        progress.refresh()


def bar(color: str) -> Bar | None:
    """A bar if somebody could see it."""
    return Bar(color) if _is_seen() else None


def _is_seen() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class StatusLine:
    """A line that is taken away for each result and written again below it."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _PATIENCE if _is_seen() else math.inf
        self._shown = False

    def show(self, text: str) -> None:
        if time.monotonic() >= self._due:
            self._write(text[: _output.columns_of(sys.stderr) - 1])
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone
            sys.stderr.write(text)
            sys.stderr.flush()


def _progress(color: str, total: int | None) -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        FileSizeColumn,
        Progress,
        SpinnerColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    if total is None:  # nobody knows how far it is
        columns: tuple[ProgressColumn, ...] = (SpinnerColumn(), FileSizeColumn(), TransferSpeedColumn())
    else:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    # Drawn by the calls themselves: no thread of its own, nothing to stop when Ctrl-C comes.
    return Progress(*columns, console=console(color, sys.stderr), auto_refresh=False, transient=True)


def console(color: str, stream: TextIO) -> Console:
    """The terminal behind a stream, as rich sees it."""
    from rich.console import Console

    class VisibleCursor(Console):
        """Ctrl-Z and SIGTERM leave no chance to bring a hidden cursor back."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    return VisibleCursor(file=stream, no_color=not _output.use_color(color, terminal=True), highlight=False)
