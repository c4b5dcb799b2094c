"""`netfast grep EXPR FILE...`: the lines that hold an address of a kind, class or prefix."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import DONE, NO_MATCH, TROUBLE, _output
from ._inputs import Input, inputs, read, without_output
from ._options import VERSIONS_RULE, Parser, add_files, add_json, add_selection, selection

if TYPE_CHECKING:
    from ..reports import Matcher


def _parser() -> Parser:
    from ..registry import KINDS

    parser = Parser(
        "grep",
        "Prints the lines that hold a wanted IP address.",
        "EXPR is terms separated by commas or blanks: a kind, a class (A to E), a prefix (10.0.0.0/8), an address, a\n"
        'file of prefixes (@FILE, or its path). An address is wanted if it is any of these and none behind "!".\n'
        f"\nKinds: {', '.join(KINDS[1:])}.\n\n"
        "examples:\n  netfast grep private access.log\n"
        "  netfast grep '10.0.0.0/8, 2001:db8::/32, !10.1.0.0/16' access.log\n"
        "  netfast grep -v global --first access.log.gz\n"
        "  netfast grep -co @blocklist.txt *.log\n\n"
        f"{VERSIONS_RULE}\n\nExit codes: 0 a line matched, 1 none did, 2 trouble.",
        add_help=False,  # -h is grep's
    )
    parser.add_argument("expression", metavar="EXPR", help="which addresses are wanted (see below)")
    add_files(parser)
    _add_output(parser)
    add_selection(parser)
    return parser


def _add_output(parser: Parser) -> None:
    parser.add_argument("-v", "--invert-match", action="store_true", help="the lines that hold no wanted address")
    parser.add_argument("-c", "--count", action="store_true", help="only the number of lines, for each file")
    parser.add_argument("-o", "--only-matching", action="store_true", help="only the wanted addresses, one a line")
    parser.add_argument("-n", "--line-number", action="store_true", help="the number of the line in front of it")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing, stop at the first match")
    names = parser.add_mutually_exclusive_group()
    names.add_argument(
        "-H",
        "--with-filename",
        dest="named",
        action="store_true",
        default=None,
        help="the name of the file in front of it (default if there are several)",
    )
    names.add_argument("-h", "--no-filename", dest="named", action="store_false", help="no name of the file")
    add_json(parser, "a JSON object for each line: file, line, text (or address, or count)")
    parser.add_argument("--help", action="help", help="print this help")


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    chosen = selection(parser, options)
    matcher = _matcher(parser, options.expression)
    listed = inputs(parser, options.files)
    named = len(listed) > 1 if options.named is None else options.named
    with _output.Destination() as out:
        kept = without_output(listed, out.fileno())
        trouble = len(kept) < len(listed)
        matched = False
        for item in kept:
            job = _File(item, out, options, named)
            try:
                trouble |= not job.search(matcher, chosen)
            except _Enough:
                return DONE
            matched |= job.lines > 0
    return TROUBLE if trouble else DONE if matched else NO_MATCH


def _matcher(parser: Parser, expression: str) -> Matcher:
    from ..reports import Matcher

    try:
        return Matcher.parse(expression)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        parser.error(str(error))


class _Enough(Exception):  # noqa: N818 - it is good news
    """--quiet has its answer."""


class _File:
    """The search of one file.  `lines` counts as they come, so that what was found before an error counts."""

    def __init__(self, item: Input, out: _output.Destination, options: argparse.Namespace, named: bool) -> None:
        self.item, self.out, self.options, self.named = item, out, options, named
        self.lines = 0

    def search(self, matcher: Matcher, chosen: dict[str, Any]) -> bool:
        """False if there was trouble with the file."""
        from ..reports import grep_lines

        options = self.options
        plain = not (options.json or options.count or options.quiet)
        how = {
            "invert": options.invert_match,
            "only": options.only_matching,
            "count": options.count or options.quiet,
            "number": options.line_number if plain else options.json,
            "name": self.item.name if plain and self.named else None,
        }
        work = partial(grep_lines, self.item.source, self._write(), matcher, **how, **chosen)
        well = read(self.item, work)
        if options.count and not options.quiet:
            self._write_count()
        return well

    def _write(self) -> Callable[[bytes, int], None]:
        if self.options.quiet:
            return self._stop
        if self.options.count:
            return self._count
        return self._objects() if self.options.json else self._through

    def _stop(self, data: bytes, lines: int) -> None:
        raise _Enough

    def _count(self, data: bytes, lines: int) -> None:
        self.lines += lines

    def _through(self, data: bytes, lines: int) -> None:
        self.lines += lines
        self.out.write(data)

    def _objects(self) -> Callable[[bytes, int], None]:
        """Turns `number:text` into JSON objects."""
        key = "address" if self.options.only_matching else "text"
        lead = {"file": self.item.name} if self.named else {}

        def write(data: bytes, lines: int) -> None:
            self.lines += lines
            objects = []
            for line in data[:-1].split(b"\n"):
                number, _, text = line.partition(b":")
                objects.append(json.dumps({**lead, "line": int(number), key: text.decode("utf-8", "replace")}) + "\n")
            self.out.write("".join(objects).encode())

        return write

    def _write_count(self) -> None:
        if self.options.json:
            lead = {"file": self.item.name} if self.named else {}
            text = json.dumps({**lead, "count": self.lines})
            self.out.write(text.encode() + b"\n")
        else:
            lead_bytes = self.item.name.encode("utf-8", "surrogateescape") + b":" if self.named else b""
            self.out.write(lead_bytes + b"%d\n" % self.lines)
