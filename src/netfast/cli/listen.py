"""`netfast listen ADDR`: waits for a connection or datagrams, prints what comes, and sends what is typed."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from . import DONE, INTERRUPTED, TROUBLE, _output
from ._endpoints import ADDRESSES, Target, add_target, add_type, check_type, name_of, no_more, peer_of, read_target
from ._options import Parser
from ._relay import Feed, Printer, add_forms, add_wait, answer, relay
from ._sockets import reason


def _parser() -> Parser:
    parser = Parser(
        "listen",
        "Listens on an address and prints what comes: of one connection of TCP or a Unix socket until both sides have "
        "ended it, or of datagrams until Ctrl-C. Standard input is sent back: down the connection; or each line of it "
        "as a datagram to who was heard last.",
        f"{ADDRESSES}\n\n"
        "examples:\n  netfast listen 8080\n  netfast listen -v udp 127.0.0.1:514\n"
        "  netfast listen 127.0.0.1:8080 < file\n  netfast listen --hex -k /tmp/a.sock\n\n"
        "Exit codes: 0 something came, or a connection was there; 2 trouble, also when not all of standard input was "
        "sent or could be read, or with -w nobody came; 130 Ctrl-C before anybody came.",
        operands="address",
        usage="netfast listen [OPTION]... [tcp|udp|unix] ADDR",
    )
    add_target(parser)
    many = parser.add_mutually_exclusive_group()
    many.add_argument("-k", "--keep", action="store_true", help="take one connection after another, until Ctrl-C")
    many.add_argument("--once", action="store_true", help="end after the first datagram, and its answer")
    add_type(parser)
    add_wait(parser, "end after so many in which nothing has come or gone; while nobody is there, too")
    parser.add_argument("-v", "--verbose", action="store_true", help="say where it listens, and who comes")
    add_forms(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    target, rest = read_target(parser, options.words)
    no_more(parser, rest)
    check_type(parser, target, options.type)
    server = _Server(target, options)
    try:
        with server.open() as sock:
            server.serve(sock)
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    except KeyboardInterrupt:
        if not server.visitors:
            return INTERRUPTED
    if not server.visitors:
        _output.complain(f"{target.address}: nobody has come within {options.wait:g} s")
        return TROUBLE
    return TROUBLE if server.feed.is_cut else DONE


class _Server:
    """Listens as the options say."""

    def __init__(self, target: Target, options: argparse.Namespace) -> None:
        self._target = target
        self._options = options
        self._printer = Printer(hex=options.hex, json=options.json)
        self._of_datagrams = target.protocol == "udp" or options.type == "dgram"
        self.feed = Feed(None, "lines" if self._of_datagrams or options.type == "seqpacket" else "pieces")
        self._connections = 0

    @property
    def visitors(self) -> int:
        """Connections and pieces that came."""
        return self._connections + self._printer.pieces

    @contextmanager
    def open(self) -> Iterator[socket.socket]:
        """The socket, whose file is removed in the end."""
        from ..sockets import tcp_listen, udp_socket, unix_socket

        protocol, address = self._target
        if protocol == "tcp":
            sock = tcp_listen(address)
        elif protocol == "udp":
            sock = udp_socket(address)
        else:
            sock = unix_socket(address, type=self._options.type, listen=None if self._of_datagrams else 128)
        with sock:
            try:
                self._tell(f"listening on {name_of(sock.getsockname())}")
                yield sock
            finally:
                if protocol == "unix" and not address.startswith("@"):
                    with suppress(OSError):
                        os.unlink(address)

    def _tell(self, text: str) -> None:
        if self._options.verbose:
            _output.aside(_output.one_line(text))

    def serve(self, sock: socket.socket) -> None:
        options = self._options
        if self._of_datagrams:
            answer(sock, self.feed, self._printer, options.wait, self._tell, once=options.once)
            return
        sock.settimeout(options.wait)
        while True:
            try:
                connection, _ = sock.accept()
            except TimeoutError:
                return
            with connection:
                self._connections += 1
                trouble = self._talk(connection)
            if not options.keep:
                if trouble:
                    raise trouble
                return
            if trouble:
                _output.complain(reason(trouble))

    def _talk(self, connection: socket.socket) -> OSError | None:
        """One connection; what was wrong with it."""
        peer = "somebody"
        try:
            peer = peer_of(connection)
            self._tell(f"{peer}: connected")
            self._printer.begin()
            relay(connection, self.feed, self._printer, peer, self._options.wait)
        except OSError as error:
            return OSError(error.errno, f"{peer}: {error.strerror}")
        self._tell(f"{peer}: ended")
        return None
