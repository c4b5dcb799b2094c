"""`netfast port N...`: what a port is for, and who listens on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..registry.services import PROTOCOLS
from . import DONE, TROUBLE, _output
from ._narrow import wrapped
from ._options import Parser, add_json
from ._sockets import reason

if TYPE_CHECKING:
    from ..ports import PortInfo


def _parser() -> Parser:
    parser = Parser(
        "port",
        "Explains port numbers: their range, the services that IANA has registered, and who listens on them here.",
        "examples:\n  netfast port 80\n  netfast port ssh 2425/udp\n  netfast port --json https | jq .number",
        operands="port",
    )
    parser.add_argument(
        "ports", metavar="PORT", nargs="+", help="a number or the name of a service; N/udp: of this protocol only"
    )
    add_json(parser, "a JSON object a line for each port")
    return parser


def run(arguments: Sequence[str]) -> int:
    options = _parser().parse(arguments)
    code = DONE
    blank = ""
    for text in options.ports:
        try:
            info = _info(text)
        except OSError as error:
            _output.complain(f"{text}: {reason(error)}")
            code = TROUBLE
            continue
        except ValueError as error:
            _output.complain(str(error))
            code = TROUBLE
            continue
        if options.json:
            import json

            _output.say(json.dumps(info.to_dict()))
        else:
            _output.say(blank + "\n".join(_lines(info, _output.style("auto").width)))
            blank = "\n"
    return code


def _info(text: str) -> PortInfo:
    from ..ports import port

    name, slash, protocol = text.rpartition("/")
    # There are names with "/" in them, such as 914c/g.
    if slash and (protocol.lower() in PROTOCOLS or name.isdecimal()):
        return port(name, protocol.lower())
    return port(text)


def _lines(info: PortInfo, width: int | None) -> Iterator[str]:
    for line in info.to_text().split("\n"):
        yield from wrapped(line, width, "    ")
