"""Tables and lines that fit a narrow terminal: columns are left out, then rows are folded; nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ._output import Column, Style

_GAP = _INDENT = "  "
_LONG = 48  # characters of the last column that count: for one long path nobody shall lose the other columns
_PIECES = re.compile(r" *.+?(?:->|[, ]|$)")  # where a cell may be broken that is longer than a line


def fitted(columns: Sequence[Column], style: Style) -> list[str]:
    """The lines of a table. Where it is too wide, columns that are not needed go, the last first, then rows fold."""
    shown = list(columns)
    widths = [max(map(len, (column.title, *column.cells))) for column in shown]
    if style.width is not None:
        while _total(widths) > style.width and not all(column.needed for column in shown):
            at = max(i for i, column in enumerate(shown) if not column.needed)
            del shown[at], widths[at]
    if not shown[-1].right:
        widths[-1] = 0  # nothing stands behind it
    texts = ((column.title, *column.cells) for column in shown)
    padded = [
        [f"{text:>{width}}" if column.right else f"{text:<{width}}" for text in cells]
        for column, width, cells in zip(shown, widths, texts, strict=True)
    ]
    heading, *rows = ([*folded(cells, style.width, _INDENT)] for cells in zip(*padded, strict=True))
    return [style.bold(line) for line in heading] + [line for row in rows for line in row]


def _total(widths: Sequence[int]) -> int:
    return sum(widths[:-1]) + len(_GAP) * (len(widths) - 1) + min(widths[-1], _LONG)


def folded(cells: Sequence[str], width: int | None, indent: str, lead: str = "") -> Iterator[str]:
    """Cells one behind the other, on further lines where there is no more room; `lead` is in front of the first."""
    if width is None:
        yield lead + _GAP.join(cells).rstrip()
        return
    *lines, line = _broken(cells[0], width, lead, indent)
    yield from lines
    for cell in cells[1:]:
        if len(line) + len(_GAP) + len(cell) <= width:
            line += _GAP + cell
        elif cell.strip():
            yield line.rstrip()
            *lines, line = _broken(cell, width, indent, indent)
            yield from lines
    yield line.rstrip()


def _broken(cell: str, width: int, lead: str, indent: str) -> list[str]:
    """A cell as lines: one that is too long is broken behind "->", a comma or a blank; what has none stays whole."""
    text = cell.rstrip()
    if not text or len(lead) + len(text) <= width:
        return [lead + cell]
    first, *others = _PIECES.findall(text)
    lines = [_indented(first, width, lead)]
    for piece in others:
        if len(lines[-1]) + len(piece.rstrip()) <= width:
            lines[-1] += piece
        else:
            lines[-1] = lines[-1].rstrip()
            lines.append(_indented(piece, width, indent))
    lines[-1] += cell[len(text) :]
    return lines


def _indented(piece: str, width: int, indent: str) -> str:
    """Less indented if that makes room for it, for an address shall not be cut."""
    room = width - len(piece.rstrip())
    return (indent if room < 0 else indent[:room]) + piece
