"""A progress bar on standard error, on a terminal only, for work that takes long enough to be worth one."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from . import _output

if TYPE_CHECKING:
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
    stderr = sys.stderr
    if stderr is None or not stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return Bar(color)


def _progress(color: str, total: int | None) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        FileSizeColumn,
        Progress,
        SpinnerColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    class VisibleCursor(Console):
        """Ctrl-Z and SIGTERM leave no chance to bring a hidden cursor back."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = VisibleCursor(file=sys.stderr, no_color=not _output.use_color(color, terminal=True), highlight=False)
    if total is None:  # nobody knows how far it is
        columns: tuple[ProgressColumn, ...] = (SpinnerColumn(), FileSizeColumn(), TransferSpeedColumn())
    else:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    # Drawn by the calls themselves: no thread of its own, nothing to stop when Ctrl-C comes.
    return Progress(*columns, console=console, auto_refresh=False, transient=True)
