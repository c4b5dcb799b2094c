"""AddressError: what it says, what it holds, and that it travels between processes."""

import copy
import pickle

import pytest

from netfast.errors import AddressError

CASES = [
    (("1.2.3.256", 6, "octet above 255"), "'1.2.3.256' is not an IP address: octet above 255 (at character 7)"),
    (("1.2.3", 5, "not four octets"), "'1.2.3' is not an IP address: not four octets (at the end)"),
    (("", 0, "empty text"), "'' is not an IP address: empty text"),
    (("x", 0, "bad", 0), "row 0: 'x' is not an IP address: bad (at character 1)"),
    (("1.2.3.4\n", 7, "bad", 12), "row 12: '1.2.3.4\\n' is not an IP address: bad (at character 8)"),
    ((b"1.2.3.\xff", 6, "bad"), "b'1.2.3.\\xff' is not an IP address: bad (at byte 7)"),
]


@pytest.mark.parametrize(("arguments", "message"), CASES)
def test_message(arguments: tuple[str, int, str], message: str) -> None:
    assert str(AddressError(*arguments)) == message


def test_attributes() -> None:
    error = AddressError("1.2.3.256", 6, "octet above 255", index=12)
    assert (error.text, error.position, error.reason, error.index) == ("1.2.3.256", 6, "octet above 255", 12)
    assert isinstance(error, ValueError)
    assert AddressError("x", 0, "bad").index is None


@pytest.mark.parametrize("size", [0, 1, 59, 60, 61, 10_000_000])
@pytest.mark.parametrize("letter", ["x", b"x", "\N{SNOWMAN}"])
def test_long_texts_are_shortened_in_the_message_only(size: int, letter: str | bytes) -> None:
    text = letter * size
    error = AddressError(text, size // 2, "bad", 3)
    assert error.text == text
    assert len(str(error)) < 150
    assert str(error).startswith(f"row 3: {text[:60]!r}{'...' if size > 60 else ''} is not an IP address: bad")


@pytest.mark.parametrize("index", [None, 0, 12])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(index: int | None, protocol: int) -> None:
    error = AddressError("1.2.3.256", 6, "octet above 255", index)
    error.__dict__["__notes__"] = ["in access.log"]  # as add_note() of Python 3.11 leaves it
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is AddressError
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


def test_raised_as_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^'1\.2' is not an IP address: not four octets \(at the end\)$"):
        raise AddressError("1.2", 3, "not four octets")
