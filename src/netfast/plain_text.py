"""Text of any kind for a terminal, in one line."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with everything a terminal would act upon spelt out; bytes that are no UTF-8, which `os.fsdecode` has
    made surrogates of, as \xff."""
    return "".join(c if c.isprintable() else _spelt(c) for c in text)


def _spelt(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
