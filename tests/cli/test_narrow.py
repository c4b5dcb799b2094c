"""Tables and lines in few columns."""

import pytest

from netfast.cli._narrow import fitted, folded
from netfast.cli._output import Column, Style

TABLE = [
    Column("Proto", ["tcp", "tcp6"], right=False),
    Column("Q", ["10", "9"], needed=False),
    Column("Local", ["10.0.0.1:80", "::1:80"], right=False),
    Column("Note", ["a, b", "c"], right=False, needed=False),
    Column("Name", ["x->y (Z)", ""], right=False),
]


def lines(width: int | None) -> list[str]:
    return fitted(TABLE, Style(width))


def test_everything_where_there_is_room() -> None:
    whole = [
        "Proto   Q  Local        Note  Name",
        "tcp    10  10.0.0.1:80  a, b  x->y (Z)",
        "tcp6    9  ::1:80       c",
    ]
    assert lines(None) == lines(38) == whole


def test_columns_go_the_last_first() -> None:
    assert lines(37) == ["Proto   Q  Local        Name", "tcp    10  10.0.0.1:80  x->y (Z)", "tcp6    9  ::1:80"]
    assert lines(31) == ["Proto  Local        Name", "tcp    10.0.0.1:80  x->y (Z)", "tcp6   ::1:80"]


def test_rows_are_folded_between_columns() -> None:
    assert lines(27) == ["Proto  Local        Name", "tcp    10.0.0.1:80", "  x->y (Z)", "tcp6   ::1:80"]
    assert lines(20) == ["Proto  Local", "  Name", "tcp    10.0.0.1:80", "  x->y (Z)", "tcp6   ::1:80"]
    assert lines(9) == ["Proto", "  Local", "  Name", "tcp", "  10.0.0.1:80", "  x->y", "  (Z)", "tcp6", "  ::1:80"]


def test_one_long_name_costs_no_column() -> None:
    table = [*TABLE[:4], Column("Path", ["/" * 108, "/b"], right=False)]
    assert fitted(table, Style(80))[:3] == [
        "Proto   Q  Local        Note  Path",
        "tcp    10  10.0.0.1:80  a, b",
        "  " + "/" * 108,
    ]


def test_headings_are_bold() -> None:
    assert fitted(TABLE, Style(8, color=True))[:2] == ["\x1b[1mProto\x1b[0m", "\x1b[1m  Local\x1b[0m"]


@pytest.mark.parametrize(
    ("cells", "width", "shown"),
    [
        (["a", "b"], 4, ["a  b"]),
        (["a", "b"], 3, ["a", "  b"]),
        (["ab->cd (EF)"], 7, ["ab->cd", "   (EF)"]),
        (["ab->cd"], 5, ["ab->", "   cd"]),
        (["A,B,C"], 4, ["A,B,", "   C"]),
        (["", "b"], 9, ["  b"]),
        ([""], 1, [""]),
        (["a", "", "b"], 2, ["a", " b"]),
    ],
)
def test_folded(cells: list[str], width: int, shown: list[str]) -> None:
    assert list(folded(cells, width, "    ")) == shown


def test_an_address_stays_whole() -> None:
    cells = ["inet6 2001:db8::1", "prefixlen 64"]
    assert list(folded(cells, 19, "    ", "  ")) == ["  inet6 2001:db8::1", "    prefixlen 64"]
    assert list(folded(cells, 18, "    ", "  ")) == ["  inet6", "    2001:db8::1", "    prefixlen 64"]
    assert list(folded(cells, 12, "    ", "  ")) == ["  inet6", " 2001:db8::1", "   prefixlen", "    64"]
    assert list(folded(cells, 5, "  ", "  ")) == ["inet6", "  2001:db8::1", "  prefixlen", "  64"]
