"""What `ping` and `sweep` have in common: which socket sends, what keeps it from opening, how times are written."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _output
from ._options import Parser

if TYPE_CHECKING:
    from ..ping_runs import Run


def add_sender(parser: Parser) -> None:
    """Which family, card and address the probes leave by: `family`, and what `sender` reads back."""
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=4, help="IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=6, help="IPv6 only")
    parser.add_argument(
        "-I",
        dest="sender",
        metavar="FROM",
        action="append",
        default=[],
        help="send through this card, or from this address of this machine; twice for both",
    )


def sender(parser: Parser, options: argparse.Namespace) -> dict[str, str]:
    """The card and the address, as netfast.icmp and `leaves_from` take them."""
    found: dict[str, str] = {}
    for text in options.sender:
        kind = "source" if _is_address(text) else "interface"
        if kind in found:
            parser.error(f"-I {found[kind]} and -I {text}: wanted a card and an address, not two of a kind")
        found[kind] = text
    return found


def _is_address(text: str) -> bool:
    from ..errors import AddressError
    from ..textbook import address

    try:
        address(text)
    except AddressError:
        return False
    return True


def begun(parser: Parser, trouble: int, hosts: Sequence[str], **how: Any) -> Run:
    """A run over these hosts, before its first probe; what keeps it from starting ends the command here, in a line.

    trouble: the exit code if it is the system that refuses.
    """
    from ..ping_runs import Run

    try:
        return Run(hosts, **how)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        _output.complain(error.strerror or str(error))
        raise SystemExit(trouble) from None


def leaves_from(address: str, source: str | None = None, interface: str | None = None) -> str:
    """The address of this machine that packets to that one carry; OSError if there is no way to it."""
    port = 1025  # any: to connect a datagram socket sends nothing
    family, _, _, _, there = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        if interface is not None:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(interface))
        if source is not None:
            probe.bind((source, 0))
        probe.connect(there)
        return str(probe.getsockname()[0])


def milliseconds(seconds: float) -> str:
    """Three digits, or all in front of the point, as ping(8) writes a time; never more exact than a microsecond."""
    digits = 3 if seconds < 0.001 else 2 if seconds < 0.009995 else 1 if seconds < 0.09995 else 0
    return f"{seconds * 1000:.{digits}f}"
