"""`netfast netstat`: the sockets of this machine, as netstat(8) lists them."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import DONE, TROUBLE, _output
from ._narrow import fitted, wrapped
from ._options import Parser, add_color, add_json
from ._output import Column, Style
from ._sockets import ends, note_unseen, port_texts, reason, user_name

if TYPE_CHECKING:
    from ..netstat_table import Connection, ConnectionTable, Process

_INET = ("tcp", "udp", "raw")


def _parser() -> Parser:
    parser = Parser(
        "netstat",
        "Lists sockets as netstat(8) does: without -a or -l those that are connected; without -t, -u, -w or -x all "
        "kinds, and with -4 or -6 all but Unix sockets.",
        "examples:\n  netfast netstat -tlnp\n  netfast netstat -anp\n"
        "  netfast netstat -tl --json | jq .local_port\n\n"
        "Addresses are never looked up. Send-Q of a listener is how many connections may wait to be accepted. Behind "
        "PID and program, +2 says that two more processes hold the socket (--json names them).",
    )
    which = parser.add_argument_group("which sockets")
    which.add_argument("-a", "--all", action="store_true", help="all, connected or not")
    which.add_argument("-l", "--listening", action="store_true", help="only those that wait for others")
    which.add_argument(
        "-t", "--tcp", dest="protocols", action="append_const", const="tcp", default=[], help="those of TCP"
    )
    which.add_argument("-u", "--udp", dest="protocols", action="append_const", const="udp", help="of UDP")
    which.add_argument("-w", "--raw", dest="protocols", action="append_const", const="raw", help="raw ones")
    which.add_argument("-x", "--unix", action="store_true", help="Unix sockets")
    which.add_argument(
        "-4", "--inet", dest="families", action="append_const", const=socket.AF_INET, default=[], help="those of IPv4"
    )
    which.add_argument(
        "-6", "--inet6", dest="families", action="append_const", const=socket.AF_INET6, help="those of IPv6"
    )
    what = parser.add_argument_group("what is told of them")
    what.add_argument("-n", "--numeric", action="store_true", help="ports and users as numbers")
    what.add_argument("-p", "--programs", action="store_true", help="the processes that hold them")
    what.add_argument("-e", "--extend", action="store_true", help="user and inode")
    add_json(parser, "a JSON object a line for each socket")
    add_color(parser, bars=False)
    return parser


def run(arguments: Sequence[str]) -> int:
    options = _parser().parse(arguments)
    wanted = _Wanted(options)
    try:
        rows = sorted(filter(wanted.holds, wanted.table()), key=_rank)
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    if options.json:
        _output.say_objects(row.to_dict() for row in rows)
    else:
        _print_tables(rows, wanted, options)
    if options.programs:
        note_unseen(rows)
    return DONE


# --- which -----------------------------------------------------------------------------------------------------------


class _Wanted:
    """What the options ask for."""

    def __init__(self, options: argparse.Namespace) -> None:
        any_inet = options.protocols or not options.unix or options.families
        self.inet = set(options.protocols or _INET) if any_inet else set()
        self.unix = options.unix or not (options.protocols or options.families)
        self._families = {*(options.families or (socket.AF_INET, socket.AF_INET6)), socket.AF_UNIX}
        self._options = options

    def table(self) -> ConnectionTable:
        from ..netstat import connections

        # The kernel leaves out what it can, for there may be a million of them.
        states = ("LISTEN", "UNCONN") if self._options.listening and not self._options.all else None
        return connections(self._kind(), states=states, owners=self._options.programs)

    def _kind(self) -> str:
        """The least kind that holds them all."""
        if self.unix:
            return "all" if self.inet else "unix"
        families = self._families - {socket.AF_UNIX}
        version = "" if len(families) > 1 else "4" if socket.AF_INET in families else "6"
        if len(self.inet) == 1:
            (protocol,) = self.inet
            return f"{protocol}{version}"
        return "all" if "raw" in self.inet else f"inet{version}"

    def holds(self, connection: Connection) -> bool:
        is_unix = connection.protocol == "unix"
        if not (self.unix if is_unix else connection.protocol in self.inet):
            return False
        if connection.family not in self._families:
            return False
        if self._options.all:
            return True
        waits = connection.state == "LISTEN" or (connection.state == "UNCONN" and not is_unix)
        # A TCP socket that is only bound is neither.
        is_idle = connection.state == "CLOSE" and not connection.remote_port
        return waits if self._options.listening else not (waits or is_idle)


_RANKS = {"tcp": 0, "udp": 1, "raw": 2, "unix": 3}


def _rank(connection: Connection) -> tuple[int, int]:
    """Rows come by protocol, IPv4 first."""
    return _RANKS[connection.protocol], connection.family


# --- how -------------------------------------------------------------------------------------------------------------


def _print_tables(rows: Sequence[Connection], wanted: _Wanted, options: argparse.Namespace) -> None:
    style = _output.style(options.color)
    asked = "servers and established" if options.all else "only servers" if options.listening else "w/o servers"
    lines: list[str] = []
    if wanted.inet:
        inet = [row for row in rows if row.protocol != "unix"]
        lines += [*wrapped(f"Active Internet connections ({asked})", style.width), *_inet(inet, options, style)]
    if wanted.unix:
        unix = [row for row in rows if row.protocol == "unix"]
        lines += [*wrapped(f"Active UNIX domain sockets ({asked})", style.width), *_unix(unix, options, style)]
    _output.say_lines(lines)


def _inet(rows: Sequence[Connection], options: argparse.Namespace, style: Style) -> list[str]:
    port_text = port_texts(options.numeric)
    here: list[str] = []
    there: list[str] = []
    for row in rows:
        for texts, (address, port) in zip((here, there), ends(row), strict=True):
            texts.append(f"{_output.one_line(address)}:{port_text(port, row.protocol)}")
    columns = [
        Column("Proto", [row.protocol + ("6" if row.family == socket.AF_INET6 else "") for row in rows], right=False),
        Column("Recv-Q", [str(row.recv_q) for row in rows], needed=False),
        Column("Send-Q", [str(row.send_q) for row in rows], needed=False),
        Column("Local Address", here, right=False),
        Column("Foreign Address", there, right=False),
        Column("State", [_inet_state(row) for row in rows], right=False),
    ]
    if options.extend:
        columns.append(Column("User", [_user(row.uid, options.numeric) for row in rows], right=False))
        columns.append(Column("Inode", [str(row.inode) for row in rows], right=False))
    return fitted([*columns, *_programs(rows, options)], style)


_RAW_STATES = {"ESTABLISHED": "1", "UNCONN": "7"}  # which netstat(8) prints as numbers


def _inet_state(row: Connection) -> str:
    if row.protocol == "raw":
        return _RAW_STATES.get(row.state, row.state)
    return "" if row.state == "UNCONN" else row.state


def _user(uid: int, numeric: bool) -> str:
    return (None if numeric else user_name(uid)) or str(uid)


_UNIX_STATES = {"ESTABLISHED": "CONNECTED", "LISTEN": "LISTENING", "UNCONN": ""}


def _unix(rows: Sequence[Connection], options: argparse.Namespace, style: Style) -> list[str]:
    columns = [
        Column("Proto", ["unix"] * len(rows), right=False),
        Column("Flags", ["[ ACC ]" if row.state == "LISTEN" else "[ ]" for row in rows], right=False, needed=False),
        Column("Type", [row.type.name.removeprefix("SOCK_") for row in rows], right=False, needed=False),
        Column("State", [_UNIX_STATES.get(row.state, row.state) for row in rows], right=False),
        Column("I-Node", [str(row.inode) for row in rows], right=False, needed=False),
        *_programs(rows, options),
        Column("Path", [_output.one_line(row.local_address) for row in rows], right=False),
    ]
    return fitted(columns, style)


def _programs(rows: Iterable[Connection], options: argparse.Namespace) -> list[Column]:
    if not options.programs:
        return []
    return [Column("PID/Program name", [_program(row.processes) for row in rows], right=False)]


def _program(processes: Sequence[Process] | None) -> str:
    if not processes:
        return "-"
    first, *others = processes
    more = f" +{len(others)}" if others else ""
    return f"{first.pid}/{_output.one_line(first.name)}{more}"
