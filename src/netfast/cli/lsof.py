"""`netfast lsof -i`: the processes that hold sockets, as lsof(8) lists them."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import DONE, NO_MATCH, TROUBLE, _output
from ._lsof_specs import Spec, States, spec, states
from ._narrow import fitted
from ._options import Parser, add_color, add_json
from ._output import Column, Style
from ._sockets import ends, note_unseen, port_texts, reason, user_name

if TYPE_CHECKING:
    from ..netstat_table import Connection, ConnectionTable, Process


def _parser() -> Parser:
    parser = Parser(
        "lsof",
        "Lists the processes that hold TCP and UDP sockets, as lsof -i does: a row for each process and socket.",
        "examples:\n  netfast lsof -i\n  netfast lsof -nP -iTCP -sTCP:LISTEN\n  netfast lsof -i :80,443 -i udp:53\n"
        "  netfast lsof -i 4tcp@192.0.2.1:1-1023\n  kill $(netfast lsof -t -i tcp:8080 -s TCP:LISTEN)\n\n"
        "SPEC is [4|6][tcp|udp][@HOST][:PORTS]. HOST is a name, an IPv4 address, or an IPv6 address in brackets; PORTS "
        "are numbers, names of services (each for all its ports) and ranges such as 1-1023, with commas between. They "
        "may be those of this end or of the other.\n\n"
        "Exit codes: 0 each -i has found something, 1 one has not, 2 trouble.",
    )
    parser.add_argument(
        "-i", dest="specs", metavar="SPEC", nargs="?", action="append", type=spec, const=Spec(),
        help="the sockets that match SPEC, or all; with several -i, those that match one",
    )  # fmt: skip
    parser.add_argument(
        "-s", dest="states", metavar="TCP:STATE", action="extend", type=states, default=[],
        help="only those in this state, such as LISTEN (several: commas between); ^STATE: only the others",
    )  # fmt: skip
    parser.add_argument("-n", action="store_true", help="ignored: addresses are never looked up")
    parser.add_argument("-P", dest="numeric", action="store_true", help="ports as numbers, no names of services")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-t", dest="terse", action="store_true", help="only the numbers of the processes")
    add_json(form, "a JSON object a line for each process and socket")
    add_color(parser, bars=False)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    if options.specs is None:
        parser.error("it lists sockets only, and wants -i")
    try:
        rows = [row for row in _table(options) if _matches(row, options)]
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    found = [_Held(process, row) for row in rows for process in row.processes or ()]
    found.sort(key=lambda held: held.process.pid)
    _print(found, options)
    note_unseen(rows)
    has_all = all(any(one.holds(held.socket) for held in found) for one in options.specs)
    return DONE if has_all else NO_MATCH


class _Held(NamedTuple):
    """A socket, and one of the processes that hold it."""

    process: Process
    socket: Connection


def _table(options: argparse.Namespace) -> ConnectionTable:
    """The sockets that may match: the kernel leaves out what it can."""
    from ..netstat import connections

    protocols = {one.protocol for one in options.specs}
    kind = protocols.pop() if len(protocols) == 1 else None
    wanted: set[str] = set()
    wanted.update(*(group.names for group in options.states if group.wanted))
    return connections(kind or "inet", states=sorted(wanted) or None, owners=True)


def _matches(connection: Connection, options: argparse.Namespace) -> bool:
    specs: Sequence[Spec] = options.specs
    groups: Sequence[States] = options.states
    return any(one.holds(connection) for one in specs) and all(group.holds(connection) for group in groups)


# --- how it is printed -----------------------------------------------------------------------------------------------


def _print(found: Sequence[_Held], options: argparse.Namespace) -> None:
    if options.terse:
        _output.say_lines([str(pid) for pid in dict.fromkeys(held.process.pid for held in found)])
    elif options.json:
        _output.say_objects(map(_object, found))
    elif found:
        _output.say_lines(_lines(found, port_texts(options.numeric), _output.style(options.color)))


def _object(held: _Held) -> dict[str, object]:
    fields = held.socket.to_dict()
    del fields["processes"]
    return {"process": held.process._asdict(), **fields}


def _lines(found: Sequence[_Held], port_text: Callable[[int, str], str], style: Style) -> list[str]:
    columns = [
        Column("COMMAND", [_output.one_line(process.name) for process, _ in found], right=False),
        Column("PID", [str(process.pid) for process, _ in found]),
        Column("USER", [user_name(process.uid) or str(process.uid) for process, _ in found], right=False, needed=False),
        Column("TYPE", [_type(row) for _, row in found], right=False, needed=False),
        Column("PROTO", [row.protocol.upper() for _, row in found], right=False),
        Column("NAME", [_name(row, port_text) for _, row in found], right=False),
    ]
    return fitted(columns, style)


def _type(connection: Connection) -> str:
    return "IPv6" if connection.family == socket.AF_INET6 else "IPv4"


def _name(connection: Connection, port_text: Callable[[int, str], str]) -> str:
    here, there = ends(connection)
    shown = [here, there] if there[1] else [here]
    text = "->".join(f"{_host(address)}:{port_text(port, connection.protocol)}" for address, port in shown)
    return f"{text} ({connection.state})" if connection.protocol == "tcp" else text


def _host(address: str) -> str:
    if address in ("0.0.0.0", "::"):
        return "*"
    address = _output.one_line(address)
    return f"[{address}]" if ":" in address else address
