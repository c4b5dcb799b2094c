"""Tables and lines that fit a narrow terminal: columns are left out, then rows are folded; nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ._output import GAP, Column, Style, padded, rows_of, that_fit, total, width_of, widths_of

_INDENT = "  "
_LONG = 48  # characters of the last column that count: for one long path nobody shall lose the other columns
_PIECES = re.compile(r" *.+?(?:->|[, ]|$)")  # where a cell may be broken that is longer than a line


def fitted(columns: Sequence[Column], style: Style) -> list[str]:
    """The lines of a table. Where it is too wide, columns that are not needed go, the last first, and rows that are too
    long are folded."""
    shown = that_fit(columns, style.width, _LONG)
    rows = rows_of(shown)
    widths = _widths(rows, style.width)
    heading, *others = (_lines(row, widths, shown, style.width) for row in rows)
    return [style.bold(line) for line in heading] + [line for lines in others for line in lines]


def _widths(rows: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """The widths of columns in which the titles fit, and as many of the short rows as do: for a long one nobody shall
    be folded but itself."""
    widths = widths_of(rows)
    if room is None or total(widths) <= room:
        return widths
    heading, *others = ([*map(width_of, row)] for row in rows)
    widths = heading
    for row in sorted(others, key=sum):
        for wanted in (row, [*row[:-1], 0]):  # it may be the last cell alone that is folded
            wider = [*map(max, widths, wanted)]
            if total(wider) <= room:
                widths = wider
                break
    return widths


def _lines(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column], room: int | None) -> list[str]:
    cells = padded(row, widths, columns)
    if room is not None and width_of(GAP.join(cells).rstrip()) > room >= total([*map(width_of, row)]):
        return [GAP.join(row)]  # out of its columns, but in one piece
    return [*folded(cells, room, _INDENT)]


def folded(cells: Sequence[str], width: int | None, indent: str, lead: str = "") -> Iterator[str]:
    """Cells one behind the other, on further lines where there is no more room; `lead` is in front of the first."""
    if width is None:
        yield lead + GAP.join(cells).rstrip()
        return
    *lines, line = _broken(cells[0], width, lead, indent)
    yield from lines
    for cell in cells[1:]:
        if width_of(line) + len(GAP) + width_of(cell.rstrip()) <= width:
            line += GAP + cell
        elif cell.strip():
            yield line.rstrip()
            *lines, line = _broken(cell, width, indent, indent)
            yield from lines
    yield line.rstrip()


def _broken(cell: str, width: int, lead: str, indent: str) -> list[str]:
    """A cell as lines: one that is too long is broken behind "->", a comma or a blank; what has none stays whole."""
    text = cell.rstrip()
    if not text or len(lead) + width_of(text) <= width:
        return [lead + cell]
    first, *others = _PIECES.findall(text)
    lines = [_indented(first, width, lead)]
    for piece in others:
        if width_of(lines[-1]) + width_of(piece.rstrip()) <= width:
            lines[-1] += piece
        else:
            lines[-1] = lines[-1].rstrip()
            lines.append(_indented(piece, width, indent))
    lines[-1] += cell[len(text) :]
    return lines


def _indented(piece: str, width: int, indent: str) -> str:
    """Less indented if that makes room for it, for an address shall not be cut."""
    room = width - width_of(piece.rstrip())
    return (indent if room < 0 else indent[:room]) + piece


def wrapped(text: str, width: int | None, indent: str = _INDENT) -> list[str]:
    """A line of words as lines; words are not broken."""
    from textwrap import wrap

    if width is None or width_of(text) <= width:
        return [text]
    return wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
