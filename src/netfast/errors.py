"""The exceptions of netfast's own; whatever the operating system says arrives as its built-in OSError."""

from __future__ import annotations

_SHOWN = 60  # characters of a text that a message repeats: a whole line of a log tells nobody more


class AddressError(ValueError):
    """A text that is not an IP address: which, where and why.

    Attributes:
        text: what was given, whole, as `str` or `bytes`.
        index: its row in a bulk call, counted from 0; None for a single address.
        position: offset into `text` of the character to blame (of the byte, in `bytes`), counted from 0;
            `len(text)` where the text ends too soon. The message counts characters from 1, as people do.
        reason: why, in a few words.

    Example:
        >>> error = AddressError("1.2.3.256", 6, "octet above 255")
        >>> print(error)
        '1.2.3.256' is not an IP address: octet above 255 (at character 7)
        >>> error.text[error.position :]
        '256'
        >>> print(AddressError("1.2.3", 5, "not four octets", index=12))
        row 12: '1.2.3' is not an IP address: not four octets (at the end)
    """

    text: str | bytes
    index: int | None
    position: int
    reason: str
    _what = "address"

    def __init__(self, text: str | bytes, position: int, reason: str, index: int | None = None) -> None:
        row = "" if index is None else f"row {index}: "
        super().__init__(f"{row}{_shortened(text)} is not an IP {self._what}: {reason}{_place(text, position)}")
        self.text = text
        self.index = index
        self.position = position
        self.reason = reason

    def __reduce__(
        self,
    ) -> tuple[type[AddressError], tuple[str | bytes, int, str, int | None], dict[str, object]]:
        # BaseException would call the class with the message alone.  The dictionary carries notes (PEP 678).
        return type(self), (self.text, self.position, self.reason, self.index), self.__dict__


class PrefixError(AddressError):
    """A text that is not an IP prefix, or has host bits set; what it says is as for an address.

    Example:
        >>> print(PrefixError("10.0.0.0/33", 9, "prefix length above 32"))
        '10.0.0.0/33' is not an IP prefix: prefix length above 32 (at character 10)
    """

    _what = "prefix"


def _shortened(text: str | bytes) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def _place(text: str | bytes, position: int) -> str:
    if not text:
        return ""
    if position >= len(text):
        return " (at the end)"
    return f" (at {'byte' if isinstance(text, bytes) else 'character'} {position + 1})"
