"""`netfast address A...`: what a textbook, and today's registries, say about an address."""

from __future__ import annotations

from collections.abc import Sequence

from . import DONE, TROUBLE, _output
from ._options import Parser, add_json


def _parser() -> Parser:
    parser = Parser(
        "address",
        "Explains IP addresses as a textbook does: class, leading bits, network and host part, default mask, how many "
        "networks and hosts; and what today's registries say: kind, block, RFC.",
        "examples:\n  netfast address 192.168.1.1\n  netfast address --json 2001:db8::1 | jq .kind",
    )
    parser.add_argument(
        "addresses", metavar="A", nargs="+", help="an IPv4 or IPv6 address (with a zone: fe80::1%%eth0)"
    )
    add_json(parser, "a JSON object a line for each address")
    return parser


def run(arguments: Sequence[str]) -> int:
    from ..textbook import address

    options = _parser().parse(arguments)
    code = DONE
    blank = ""
    for text in options.addresses:
        try:
            info = address(text)
        except ValueError as error:
            _output.complain(str(error))
            code = TROUBLE
            continue
        if options.json:
            import json

            _output.say(json.dumps(info.to_dict()))
        else:
            _output.say(blank + info.to_text())
            blank = "\n"
    return code
