"""Arguments, checked: numbers, seconds, flags and ports, or TypeError or ValueError with the argument's name."""

from __future__ import annotations

import operator
from typing import Any

SECONDS_MAX = 1e6
PORT_MAX = 65_535


def is_flag(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # NumPy's is another


def as_int(value: Any) -> int | None:
    """An integer of any type as int; None for anything else, and for a bool."""
    if is_flag(value):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def checked_int(name: str, value: Any, least: int, most: int, *, wanted: str = "an int") -> int:
    number = as_int(value)
    if number is None:
        raise TypeError(f"{name} is {type(value).__name__}; wanted {wanted}")
    if not least <= number <= most:
        raise ValueError(f"{name}={digits(number)}: wanted {least} to {most:,}")
    return number


def checked_port(name: str, port: Any, *, least: int, wanted: str = "an int") -> int:
    number = as_int(port)
    if number is None:
        raise TypeError(f"{name} is {type(port).__name__}; wanted {wanted}")
    if not least <= number <= PORT_MAX:
        raise ValueError(f"{name}={digits(number)}: wanted {least} to {PORT_MAX}")
    return number


def checked_flag(name: str, value: Any) -> bool:
    if not is_flag(value):
        raise TypeError(f"{name} is {type(value).__name__}; wanted True or False")
    return bool(value)


def checked_number(name: str, value: Any) -> float:
    is_number = hasattr(value, "__float__") or hasattr(value, "__index__")
    if isinstance(value, (str, bytes)) or is_flag(value) or not is_number:
        raise TypeError(f"{name} is {type(value).__name__}; wanted a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is an int that is too large for a float") from None


def checked_seconds(name: str, value: Any, *, more_than_none: bool = False) -> float:
    number = checked_number(name, value)
    if not 0 <= number <= SECONDS_MAX or (more_than_none and number < 1e-9):
        wanted = "more than 0" if more_than_none else "0 or more"
        raise ValueError(f"{name}={value}: wanted {wanted} seconds, {SECONDS_MAX:,.0f} at most")
    return abs(number)  # -0.0 is 0


def digits(number: int) -> str:
    """Decimal, but hexadecimal for what Python refuses to write in decimal."""
    return str(number) if number.bit_length() <= 2048 else hex(number)
