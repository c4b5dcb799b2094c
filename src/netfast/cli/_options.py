"""What the commands' options have in common: one-line errors, numbers with units, which address of a line counts."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from . import _output

VERSIONS_RULE = """\
What counts as an address: it touches no letter, digit, "_" or "." (a dot behind it may end a sentence). 1.2.3.4:80,
1.2.3.4/24, [::1]:80 and rhost=1.2.3.4 hold one; v1.2.3.4 and 1.2.3.4.5 hold none.

Product versions look like addresses: Chrome/126.0.0.0 is not an address, NameNode/10.0.0.1:8020 is, and so is
localhost/127.0.0.1. Four numbers directly behind a name and "/" are a version if the name has only letters, at least
one of them a capital, unless ":" and a digit follow. --loose keeps all, and addresses that touch letters too."""

LIMIT = 2**31 - 1  # of any count on the command line


class _Formatter(argparse.HelpFormatter):
    """Fills paragraphs to the width of the terminal and keeps indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from textwrap import wrap

        lines: list[str] = []
        paragraph: list[str] = []
        for line in [*text.splitlines(), ""]:
            if line and not line.startswith(" "):
                paragraph.append(line)
                continue
            lines += [*wrap(" ".join(paragraph), width, break_on_hyphens=False), line]
            paragraph = []
        return "\n".join(lines[:-1])


class Parser(argparse.ArgumentParser):
    """The options of one command.  Errors are one line; options and files may come in any order."""

    def __init__(
        self, command: str, description: str, epilog: str = "", *, operands: str = "file", misused: int = 2, **more: Any
    ) -> None:
        """operands: what the arguments are that are no options.  misused: the exit code for wrong ones."""
        super().__init__(
            prog=f"netfast {command}",
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            **more,
        )
        self._operands = operands
        self._misused = misused

    def error(self, message: str) -> NoReturn:
        self.exit(self._misused, _output.one_line(f"{self.prog}: {message} (try '{self.prog} --help')") + "\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As inherited, but a help text that cannot be written is noticed."""
        if file is sys.stdout and message:
            _output.say(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        # Options may stand between files, as everybody's grep allows; argparse wants files in one go, and if not, then
        # it takes -x behind "--" for an option again.
        given = list(arguments)
        if "--" in given:
            at = given.index("--")
            given[at:] = [self._operand(name) for name in given[at + 1 :]]
        try:
            return self.parse_intermixed_args(given)
        except AttributeError as error:  # what argparse makes of Ctrl-C
            raise (error.__context__ if isinstance(error.__context__, KeyboardInterrupt) else error) from None

    def _operand(self, text: str) -> str:
        if not text.startswith("-") or text == "-":
            return text
        if self._operands != "file":
            self.error(f"{text!r} is no {self._operands}")
        return f"./{text}"


def whole(least: int = 0, most: int = LIMIT) -> Callable[[str], int]:
    """An option's type: a whole number in a range, such as 10 or 5M."""

    def parse(text: str) -> int:
        value = size(text)
        if not least <= value <= most:
            wanted = f"{least:,} or more" if value < least else f"at most {most:,}"
            raise argparse.ArgumentTypeError(f"{text!r} is out of range (wanted {wanted})")
        return value

    return parse


_UNITS: dict[str, int] = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
}


def size(text: str) -> int:
    """An option's type: 500, 64K (thousands), 100M, 1.5G, 1GiB."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(ki?|mi?|gi?|t)?b?", text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no number (wanted one such as 500, 64K, 100M or 1.5G)")
    number, unit = match.groups()
    factor = _UNITS[unit or ""]
    if "." not in number:
        return int(number) * factor
    ahead, behind = number.split(".")
    tenths: int = 10 ** len(behind)
    value, rest = divmod(int(ahead + behind) * factor, tenths)
    if rest and factor == 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return value


def number(*, least: float = 0, most: float) -> Callable[[str], float]:
    """An option's type: a number of seconds, milliseconds or the like in a range, such as 10 or 0.2."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}", text):
            raise argparse.ArgumentTypeError(f"{text!r} is no number (wanted one such as 10 or 0.2)")
        if not least <= float(text) <= most:
            wanted = f"{least:g} or more" if float(text) < least else f"at most {most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is out of range (wanted {wanted})")
        return float(text)

    return parse


def add_files(parser: Parser) -> None:
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        default=[],
        help='a log; "-" or none is standard input; .gz, .zst, .xz and .bz2 are known by their first bytes',
    )


def add_json(parser: argparse._ActionsContainer, help: str) -> None:
    parser.add_argument("--json", action="store_true", help=help)


def add_color(parser: Parser, *, bars: bool = True) -> None:
    """bars: the command draws some."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        metavar="WHEN",
        help="auto (default: on a terminal, unless NO_COLOR is set), "
        f"always ({'bars too, ' if bars else ''}wherever it goes) or never",
    )


def add_selection(parser: Parser) -> None:
    """Which addresses count: read back with `selection`."""
    group = parser.add_argument_group("which addresses count (default: every one)")
    place = group.add_mutually_exclusive_group()
    place.add_argument("--first", action="store_true", help="the first of each line")
    place.add_argument(
        "--field", type=whole(1), metavar="N", help="those in field N of each line, from 1; blanks separate (see --sep)"
    )
    place.add_argument(
        "--json-key", metavar="PATH", help="those in this string of JSON lines: client.ip, hops.0 (the first of a list)"
    )
    group.add_argument(
        "--sep", metavar="S", type=separator, help=r"what separates the fields of --field, such as , or ; or \t"
    )
    group.add_argument("--loose", action="store_true", help="product versions too, and addresses that touch letters")
    version = group.add_mutually_exclusive_group()
    version.add_argument("-4", dest="versions", action="store_const", const=(4,), help="IPv4 only")
    version.add_argument("-6", dest="versions", action="store_const", const=(6,), help="IPv6 only")


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}


def separator(text: str) -> bytes:
    r"""An option's type: bytes, where \t is a tab, for shells make one hard to type."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return os.fsencode(re.sub(r"\\([tnr0\\])", lambda match: _ESCAPES[match[1]], text))


def selection(parser: Parser, options: argparse.Namespace) -> dict[str, Any]:
    """The arguments for netfast.logs; what it does not like ends the command here, before any file is blamed for it."""
    if options.sep is not None and options.field is None:
        parser.error("--sep goes with --field")
    chosen = {
        "boundary": "loose" if options.loose else "word",
        "versions": options.versions or (4, 6),
        "first": options.first,
        "field": options.field,
        "sep": options.sep,
        "key": options.json_key,
    }
    from ..logs import scan

    try:
        scan((), chunk=1, **chosen)
    except ValueError as error:
        parser.error(str(error).replace("key=", "--json-key "))
    return chosen
