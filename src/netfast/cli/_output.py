"""What commands print, and how: results on standard output, trouble on standard error, tables that fit a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, NamedTuple, TextIO

from ..plain_text import printable

STDOUT = "standard output"


class WriteError(Exception):
    """Results have nowhere to go.  No OSError, lest it be taken for trouble with the input that was being read."""

    def __init__(self, name: str, error: OSError | None = None) -> None:
        super().__init__(f"{name}: {'it is closed' if error is None else error.strerror or error}")
        self.closed_pipe = isinstance(error, BrokenPipeError)


# --- where results go ------------------------------------------------------------------------------------------------


class Destination:
    """A file by its path, or standard output for None and "-", for bytes; a context."""

    def __init__(self, path: str | None = None) -> None:
        self.name = STDOUT if path in (None, "-") else str(path)
        self._own: BinaryIO | None = None
        if path is None or path == "-":
            self._file: BinaryIO = _stdout().buffer
        else:
            try:
                self._own = self._file = open(path, "wb")  # noqa: SIM115
            except OSError as error:
                raise WriteError(path, error) from None

    def write(self, data: bytes | memoryview) -> None:
        """Writes all of it now: data comes in large pieces, and whoever reads a pipe shall not wait for the next."""
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise WriteError(self.name, error) from None

    def fileno(self) -> int | None:
        try:
            return self._file.fileno()
        except OSError:  # a stand-in that is no file
            return None

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            try:
                self._own.close()
            except OSError as error:
                raise WriteError(self.name, error) from None


def _stdout() -> TextIO:
    stdout: TextIO | None = sys.stdout  # None if the process was started with it closed
    if stdout is None:
        raise WriteError(STDOUT)
    return stdout


def say(text: str, end: str = "\n") -> None:
    """Prints a result, in the characters the output has."""
    out = _stdout()
    encoding = out.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAINER).encode(encoding, "backslashreplace").decode(encoding)
    try:
        out.write(text + end)
    except OSError as error:
        raise WriteError(STDOUT, error) from None


_FEW = 16  # lines, which the buffer of a stream has room for


def say_lines(lines: list[str]) -> None:
    """Prints results so that they are seen now, and takes them from the list.

    Ctrl-C may come at any time: what is in a stream's buffer stays whole there until the next `flush`, but of what is
    too large for it, the rest would be lost.
    """
    while lines:
        few = lines[:_FEW]
        del lines[:_FEW]
        say("\n".join(few))
        flush()


def say_objects(objects: Iterable[object]) -> None:
    """Prints results as JSON, each on a line."""
    import json

    say_lines([json.dumps(one) for one in objects])


_PLAINER = str.maketrans({"–": "-", "×": "x", "…": "..."})


def complain(message: str) -> None:
    """Says in one line what went wrong, wherever it can be heard."""
    aside(f"netfast: {one_line(message)}")


def aside(text: str) -> None:
    """Prints on standard error, if it can be heard there, what is no result."""
    if sys.stderr is None:  # started with it closed; print would take standard output instead
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # closed: there is nobody left to tell
        abandon(sys.stderr)


def one_line(text: str) -> str:
    """The text with everything a terminal would act upon spelt out: names of files hold any character."""
    return printable(text)


def flush() -> None:
    """Sends off what was printed: left to the interpreter's exit, a closed pipe would be a traceback."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise WriteError(STDOUT, error) from None


def abandon(stream: TextIO | None = None) -> None:
    """Leads standard output to nowhere, with what was not written yet, so that the interpreter can exit quietly."""
    stream = stream or sys.stdout
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass  # closed already, or a stand-in that is no file


# --- how it looks ----------------------------------------------------------------------------------------------------


class Style(NamedTuple):
    """What the output can show: columns (None: any number, for it is no terminal), colours, and what is drawn with ("":
    nothing is)."""

    width: int | None = None
    color: bool = False
    blocks: str = ""  # of a bar, by width
    steps: str = ""  # of a sparkline, by height

    @property
    def room(self) -> int:
        """The columns that there are for what is drawn; where any number is, as many as a terminal has."""
        return self.width if self.width is not None else 80 if self.blocks or self.steps else 0

    def bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.color else text

    def bar(self, text: str) -> str:
        return f"\x1b[36m{text}\x1b[0m" if self.color else text


_EIGHTHS = "▏▎▍▌▋▊▉█"
_STEPS = "▁▂▃▄▅▆▇█"
_PLAIN_STEPS = ".:-=+*#@"


def style(color: str, stream: TextIO | None = None) -> Style:
    """What to show on a stream (standard output by default): everything on a terminal, or if `color` is "always"."""
    stream = stream or _stdout()
    terminal = stream.isatty()
    if not terminal and color != "always":
        return Style()
    try:
        (_EIGHTHS + _STEPS).encode(stream.encoding or "ascii")
        blocks, steps = _EIGHTHS, _STEPS
    except UnicodeEncodeError:
        blocks, steps = "#", _PLAIN_STEPS
    return Style(columns_of(stream) if terminal else None, use_color(color, terminal), blocks, steps)


def use_color(color: str, terminal: bool) -> bool:
    """--color if it says so, else on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    if color == "auto":
        return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return color == "always"


def columns_of(stream: TextIO) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


# --- tables ----------------------------------------------------------------------------------------------------------

GAP = "  "
_TAIL_MIN, _TAIL_MAX = 6, 40


class Column(NamedTuple):
    """A column of a table; one that is not `needed` is left out where the terminal is too narrow, the last first."""

    title: str
    cells: Sequence[str]
    right: bool = True
    needed: bool = True


Tails = Callable[[int], Sequence[str]]  # what the rows of a table end in, drawn in at most so many characters


def table(columns: Sequence[Column], style: Style, tails: Tails | None = None) -> str:
    """Columns as text under their titles; each row ends in its tail if there is room."""
    shown = that_fit(columns, style.width)
    rows = rows_of(shown)
    widths = widths_of(rows)
    width = total(widths)
    heading, *lines = (GAP.join(padded(row, widths, shown)).rstrip() for row in rows)
    longest = min(_TAIL_MAX, style.room - width - len(GAP))
    if tails and longest >= _TAIL_MIN:
        ends = map(style.bar, tails(longest))
        lines = [f"{line}{' ' * (width - width_of(line))}{GAP}{end}" for line, end in zip(lines, ends, strict=True)]
    return "\n".join([style.bold(heading), *lines])


def that_fit(columns: Sequence[Column], room: int | None, longest: int | None = None) -> list[Column]:
    """The columns without those that there is no room for; of the last one, so many characters count at most."""
    shown = list(columns)
    widths = widths_of(rows_of(shown))
    if longest is not None:
        widths[-1] = min(widths[-1], longest)
    while room is not None and total(widths) > room and not all(column.needed for column in shown):
        at = max(i for i, column in enumerate(shown) if not column.needed)
        del shown[at], widths[at]
    return shown


def rows_of(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """The titles, then the rows."""
    return list(zip(*((column.title, *column.cells) for column in columns), strict=True))


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(width_of, cells)) for cells in zip(*rows, strict=True)]


def total(widths: Sequence[int]) -> int:
    """The width of a row."""
    return sum(widths) + len(GAP) * (len(widths) - 1)


def padded(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> list[str]:
    """The cells of a row, each as wide as its column."""
    texts = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        blanks = " " * (width - width_of(cell))
        texts.append(blanks + cell if column.right else cell + blanks)
    return texts


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters two (Unicode Standard Annex 11), accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 0 if combining(c) else 1 for c in text)


def bars(values: Sequence[int], style: Style) -> Tails | None:
    """A bar for each row, the largest as long as there is room; None where nothing can be drawn."""
    if not style.blocks or not values:
        return None
    return lambda longest: [_bar(value, max(values), longest, style.blocks) for value in values]


def _bar(value: int, largest: int, longest: int, blocks: str) -> str:
    """A bar in steps of a part of a character; what is not nothing shows."""
    steps = value * longest * len(blocks) // largest if largest else 0
    full, rest = divmod(max(steps, 1 if value else 0), len(blocks))
    return blocks[-1] * full + (blocks[rest - 1] if rest else "")


LOST = "×"


def sparkline(values: Sequence[float | None], style: Style) -> str:
    """A character a value, by height from the least to the greatest; NaN is a gap, None is `LOST`."""
    known = [value for value in values if value is not None and value == value]
    least, most = min(known, default=0.0), max(known, default=0.0)
    scale = len(style.steps) / (most - least) if most > least else 0.0

    def drawn(value: float | None) -> str:
        if value is None:
            return LOST
        return style.steps[min(int((value - least) * scale), len(style.steps) - 1)] if value == value else " "

    return "".join(map(drawn, values))
