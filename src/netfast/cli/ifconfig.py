"""`netfast ifconfig`: network cards, listed and changed as ifconfig(8) does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import DONE, TROUBLE, _output
from ._narrow import fitted, folded
from ._options import Parser, add_color, add_json
from ._output import Column, Style
from ._sockets import reason

if TYPE_CHECKING:
    from ..nic_rows import Interface


def _parser() -> Parser:
    parser = Parser(
        "ifconfig",
        "Lists the network cards that are up, or one card, as ifconfig(8) does; or changes one.",
        "actions, done in the order given; they need CAP_NET_ADMIN:\n"
        "  up, down\n"
        "  mtu N            bytes of its largest packet\n"
        "  add ADDRESS/LEN  one more address, IPv4 or IPv6\n"
        "  del ADDRESS/LEN  one less\n"
        "  hw ADDRESS       its hardware address\n"
        "  name NAME        renames it\n\n"
        "examples:\n  netfast ifconfig\n  netfast ifconfig eth0\n  netfast ifconfig -a --json | jq .hwaddr\n"
        "  netfast ifconfig eth0 mtu 1400 add 192.0.2.1/24 up\n  netfast ifconfig eth0 down hw 02:00:00:00:00:01 up\n\n"
        'Names that begin with "-" stand behind "--".',
    )
    parser.add_argument("card", metavar="CARD", nargs="?", help="the name of a card")
    parser.add_argument("actions", metavar="ACTION", nargs="*", default=[], help="what to do with it")
    parser.add_argument("-a", "--all", action="store_true", help="cards that are down, too")
    parser.add_argument("-s", "--short", action="store_true", help="a line for each card")
    add_json(parser, "a JSON object a line for each card; of one that was changed, as it is then")
    add_color(parser, bars=False)
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    options = parser.parse(given[:end])
    words = [] if options.card is None else [options.card]
    words += [*options.actions, *given[end + 1 :]]
    name, actions = (words[0] if words else None), _actions(parser, words[1:])
    if name is not None and actions:
        if (name := _changed(name, actions)) is None:
            return TROUBLE
        if not options.json:
            return DONE
    try:
        cards = _cards(name, everyone=options.all)
    except OSError as error:
        _output.complain(reason(error))
        return TROUBLE
    if options.json:
        _output.say_objects(card.to_dict() for card in cards)
    else:
        style = _output.style(options.color)
        _output.say_lines(_short(cards, style) if options.short else _long(cards, style))
    return DONE


def _cards(name: str | None, *, everyone: bool) -> list[Interface]:
    from ..nics import interface, interfaces

    if name is not None:
        return [interface(name)]
    return [card for card in interfaces() if card.admin_up or everyone]


# --- what is done ----------------------------------------------------------------------------------------------------


class _Action(NamedTuple):
    verb: str
    value: str

    def __str__(self) -> str:
        return f"{self.verb} {self.value}".rstrip()


_VALUES = {
    "up": "",
    "down": "",
    "mtu": "a number of bytes",
    "add": "an address such as 192.0.2.1/24",
    "del": "an address such as 192.0.2.1/24",
    "hw": "an address such as 02:00:00:00:00:01",
    "name": "a name",
}


def _actions(parser: Parser, words: Sequence[str]) -> list[_Action]:
    """What the words behind the card's name ask for."""
    actions = []
    rest = iter(words)
    for verb in rest:
        if verb not in _VALUES:
            parser.error(f"unknown action {verb!r} (there are {', '.join(_VALUES)})")
        value = _value(verb, rest)
        if value is None or (verb == "mtu" and not re.fullmatch("[0-9]{1,9}", value)):
            parser.error(f"{verb} wants {_VALUES[verb]}")
        actions.append(_Action(verb, value))
    return actions


def _value(verb: str, rest: Iterator[str]) -> str | None:
    """The word that an action wants behind it; None if it is missing."""
    if not _VALUES[verb]:
        return ""
    value = next(rest, None)
    return next(rest, None) if (verb, value) == ("hw", "ether") else value  # as ifconfig(8) has it


def _changed(card: str, actions: Sequence[_Action]) -> str | None:
    """Does what was asked, up to the first trouble, and returns the card's name then; None if there was trouble."""
    done = 0
    try:
        _check(card, actions)
        for action in actions:
            card = _change(card, action)
            done += 1
    except OSError as error:
        why = reason(error)
    except ValueError as error:
        why = str(error)
    else:
        return card
    if done:
        why += f" (done before: {_listed(actions[:done])}"
        why += f"; not done: {_listed(actions[done + 1 :])})" if actions[done + 1 :] else ")"
    elif actions[1:]:
        why += " (nothing was done)"
    _output.complain(why)
    return None


def _listed(actions: Sequence[_Action]) -> str:
    return ", ".join(map(str, actions))


def _check(card: str, actions: Sequence[_Action]) -> None:
    """OSError for an unknown card, ValueError for what it cannot have: before anything is done."""
    from ..nic_changes import checked_address, checked_changes, steps
    from ..nics import found

    row = found(card)
    for verb, value in actions:
        if verb in ("add", "del"):
            checked_address(value, None)
        else:
            steps(row, checked_changes(**_changes(verb, value)))


def _changes(verb: str, value: str) -> dict[str, Any]:
    """An action that is none of addresses, as arguments of `nics.set_interface`."""
    changes: dict[str, Any] = {"up": None, "mtu": None, "hwaddr": None, "new_name": None}
    if verb == "mtu":
        changes["mtu"] = int(value)
    elif verb == "hw":
        changes["hwaddr"] = value
    elif verb == "name":
        changes["new_name"] = value
    else:
        changes["up"] = verb == "up"
    return changes


def _change(card: str, action: _Action) -> str:
    """One action; the card's name afterwards."""
    from ..nics import add_address, del_address, set_interface

    verb, value = action
    if verb == "add":
        add_address(card, value)
    elif verb == "del":
        del_address(card, value)
    else:
        return set_interface(card, **_changes(verb, value)).name
    return card


# --- what is printed -------------------------------------------------------------------------------------------------


def _long(cards: Sequence[Interface], style: Style) -> list[str]:
    """What ifconfig(8) prints, with a blank line between cards."""
    from ..nic_text import card_text

    lines: list[str] = []
    for card in cards:
        if lines:
            lines.append("")
        for line in card_text(card).split("\n"):
            lines += _line(_output.one_line(line), style)
    return lines


def _line(line: str, style: Style) -> Iterator[str]:
    """A line with the card's name, where it begins with one, in bold; folded where two blanks are."""
    body = line.lstrip(" ")
    lead = line[: len(line) - len(body)]
    first, *others = folded(body.split("  "), style.width, lead + "    ", lead)
    name, colon, rest = first.partition(": ")
    yield first if lead or not colon else style.bold(name) + colon + rest
    yield from others


# In the order of ifconfig(8), which has two P: its man page tells only of PROMISC's.
_LETTERS = (
    ("ALLMULTI", "A"), ("BROADCAST", "B"), ("DEBUG", "D"), ("LOOPBACK", "L"), ("MULTICAST", "M"), ("DYNAMIC", "d"),
    ("PROMISC", "P"), ("NOTRAILERS", "N"), ("NOARP", "O"), ("POINTOPOINT", "P"), ("SLAVE", "s"), ("MASTER", "m"),
    ("RUNNING", "R"), ("UP", "U"),
)  # fmt: skip


def _letters(card: Interface) -> str:
    names = set(card.flags.names())
    return "".join(letter for name, letter in _LETTERS if name in names) or "[NO FLAGS]"


def _short(cards: Sequence[Interface], style: Style) -> list[str]:
    """The table of `ifconfig -s`."""
    counters = [
        ("RX-OK", [card.stats.rx_packets for card in cards]),
        ("RX-ERR", [card.stats.rx_errors for card in cards]),
        ("RX-DRP", [card.stats.rx_drops for card in cards]),
        ("RX-OVR", [card.stats.rx_overruns for card in cards]),
        ("TX-OK", [card.stats.tx_packets for card in cards]),
        ("TX-ERR", [card.stats.tx_errors for card in cards]),
        ("TX-DRP", [card.stats.tx_dropped for card in cards]),
        ("TX-OVR", [card.stats.tx_overruns for card in cards]),
    ]
    columns = [
        Column("Iface", [_output.one_line(card.name) for card in cards], right=False),
        Column("MTU", [str(card.mtu) for card in cards], needed=False),
        *(Column(title, list(map(str, values)), needed=title.endswith("OK")) for title, values in counters),
        Column("Flg", [_letters(card) for card in cards], right=False),
    ]
    return fitted(columns, style)
