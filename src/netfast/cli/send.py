"""`netfast send ADDR TEXT...`: connects, sends a text or standard input, and prints what comes back."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence

from . import DONE, INTERRUPTED, TROUBLE, _output
from ._endpoints import ADDRESSES, Target, add_target, add_type, check_type, name_of, read_target
from ._options import Parser, number
from ._relay import Feed, Printer, add_forms, add_wait, exchange, relay
from ._sockets import reason

_PATIENCE = 1.0  # seconds for answers to a datagram, unless -w says otherwise
_CONNECT = 10.0  # seconds


def _parser() -> Parser:
    parser = Parser(
        "send",
        "Sends a text, or standard input, and prints what comes back: of a connection of TCP or a Unix socket until "
        "the other side ends it, of datagrams until a second has brought none. The words of a text are sent as echo(1) "
        "prints them; of standard input each line is a datagram.",
        f"{ADDRESSES}\n\n"
        "examples:\n  netfast send localhost:8080 < request\n  netfast send udp 127.0.0.1:514 hello\n"
        "  netfast send -w 0.2 /tmp/a.sock status\n\n"
        'Options end at "--": what follows is text. Exit codes: 0 all was sent, and what came back is printed; 2 '
        "trouble, also when not all was sent or could be read; 130 Ctrl-C before all was sent, or anything came back.",
        operands="address",
        usage="netfast send [OPTION]... [tcp|udp|unix] ADDR [TEXT]...",
    )
    add_target(parser, " [TEXT]")
    parser.add_argument("-n", dest="bare", action="store_true", help="no newline behind the text")
    parser.add_argument("--whole", action="store_true", help="standard input is one datagram, not one a line")
    add_type(parser)
    add_wait(parser, "end after so many in which nothing has come or gone (datagrams: 1, once all is sent)")
    parser.add_argument(
        "--connect-timeout", type=number(least=0.001, most=1e6), default=_CONNECT, metavar="SECONDS",
        help="for a connection of TCP to be there (10)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="say where it is connected, and what comes")
    add_forms(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    given = list(arguments)
    literal: list[str] = []
    if "--" in given:
        at = given.index("--")
        given, literal = given[:at], given[at + 1 :]
    options = parser.parse(given)
    target, words = read_target(parser, [*options.words, *literal], least=1)
    check_type(parser, target, options.type)
    text = os.fsencode(" ".join(words)) + b"\n" * (not options.bare) if words else None
    printer = Printer(hex=options.hex, json=options.json)
    feed = _feed(target, text, options)
    try:
        with _connected(target, options) as sock:
            _talk(sock, target, feed, printer, options)
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    except KeyboardInterrupt:
        if feed.has_more or not printer.pieces:
            return INTERRUPTED
    return TROUBLE if feed.is_cut else DONE


def _is_of_datagrams(target: Target, options: argparse.Namespace) -> bool:
    return target.protocol == "udp" or options.type == "dgram"


def _feed(target: Target, text: bytes | None, options: argparse.Namespace) -> Feed:
    if _is_of_datagrams(target, options):
        return Feed(text, "whole" if options.whole else "lines")
    return Feed(text, "lines" if options.type == "seqpacket" else "pieces")


def _connected(target: Target, options: argparse.Namespace) -> socket.socket:
    from ..sockets import tcp_connect, udp_socket, unix_socket

    protocol, address = target
    if protocol == "tcp":
        return tcp_connect(address, timeout=options.connect_timeout)
    if protocol == "udp":
        return udp_socket(connect=address)
    # Who answers a datagram needs a name to answer to.
    own = "@" if options.type == "dgram" else None
    return unix_socket(own, type=options.type, connect=address)


def _talk(sock: socket.socket, target: Target, feed: Feed, printer: Printer, options: argparse.Namespace) -> None:
    """Sends and prints; OSError that names the other side."""

    def tell(said: str) -> None:
        if options.verbose:
            _output.aside(_output.one_line(said))

    peer = name_of(sock.getpeername()) or target.address
    tell(f"{peer}: connected")
    try:
        if _is_of_datagrams(target, options):
            exchange(sock, feed, printer, peer, options.wait or _PATIENCE, tell)
        else:
            relay(sock, feed, printer, peer, options.wait)
    except OSError as error:
        raise OSError(error.errno, f"{peer}: {error.strerror}") from None
