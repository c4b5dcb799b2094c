"""Tables and lines in few columns."""

import pytest

from netfast.cli._narrow import fitted, folded
from netfast.cli._output import Column, Style, table as table_text

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
    assert lines(25) == ["Proto  Local        Name", "tcp    10.0.0.1:80", "  x->y (Z)", "tcp6   ::1:80"]
    assert lines(20) == ["Proto  Local   Name", "tcp    10.0.0.1:80", "  x->y (Z)", "tcp6   ::1:80"]
    assert lines(9) == ["Proto", "  Local", "  Name", "tcp", "  10.0.0.1:80", "  x->y", "  (Z)", "tcp6", "  ::1:80"]


def test_a_row_that_fits_is_not_folded_for_want_of_alignment() -> None:
    assert lines(27) == ["Proto  Local        Name", "tcp  10.0.0.1:80  x->y (Z)", "tcp6   ::1:80"]


def test_only_the_rows_that_are_too_long_are_folded() -> None:
    long = "2001:db8:1111:2222:3333:4444:5555:6666:50000"
    there = ["10.0.0.2:5", "10.0.0.22:50", long, "10.0.0.2:500"]
    table = [
        Column("Proto", ["tcp", "tcp", "tcp6", "tcp"], right=False),
        Column("Local", ["10.0.0.1:80", "10.0.0.1:8080", long, "10.0.0.11:80"], right=False),
        Column("Foreign", there, right=False),
        Column("State", ["LISTEN", "LISTEN", "ESTABLISHED", "CLOSE"], right=False),
    ]
    assert fitted(table, Style(80)) == [
        "Proto  Local          Foreign       State",
        "tcp    10.0.0.1:80    10.0.0.2:5    LISTEN",
        "tcp    10.0.0.1:8080  10.0.0.22:50  LISTEN",
        f"tcp6   {long}",
        f"  {long}  ESTABLISHED",
        "tcp    10.0.0.11:80   10.0.0.2:500  CLOSE",
    ]


def test_wide_characters_take_two_columns() -> None:
    table = [Column("Name", ["日本", "e\u0301e", "ｆ"], right=False), Column("N", ["1", "2", "日"])]
    whole = ["Name   N", "日本   1", "e\u0301e     2", "ｆ    日"]
    assert fitted(table, Style()) == fitted(table, Style(8)) == whole
    assert table_text(table, Style()).splitlines() == whole
    assert fitted(table, Style(7))[1:] == ["日本  1", "e\u0301e    2", "ｆ  日"]
    assert list(folded(["日本", "日本"], 9, "  ")) == ["日本", "  日本"]
    assert list(folded(["日本", "日本"], 10, "  ")) == ["日本  日本"]


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
