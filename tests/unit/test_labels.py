"""Labels: the values of a table as text, for each prefix."""

from __future__ import annotations

import pytest

import netfast as nf
from netfast.labels import Labels
from netfast.logs import Search

VALUES = {"10.0.0.0/8": "office", "10.1.0.0/16": None, "10.2.0.0/16": 7, "10.3.0.0/16": ("a", True), "::/0": ""}
TEXTS = ["office", None, "7", '["a", true]', ""]


@pytest.mark.parametrize("counted", [True, False])
def test_the_text_of_each_prefix(counted: bool) -> None:
    labels = Labels(nf.PrefixTable(VALUES), counted=counted)
    assert [labels.text_of(number) for number in range(-1, len(VALUES))] == [None, *TEXTS]


def test_what_is_not_counted_is_matched_all_the_same() -> None:
    table = nf.PrefixTable(VALUES)
    found = {}
    for counted in (True, False):
        scanner = Search("word", (4, 6)).scanner(labels=Labels(table, counted=counted).wanted)
        text = b"10.0.0.1 10.1.0.1 8.8.8.8 ::1"
        scanner.room()[: len(text)] = text
        scanner.advance(len(text), True)
        found[counted] = memoryview(scanner.matches()).cast("i").tolist()
    assert found[False] == found[True] == [0, 1, -1, 4]
