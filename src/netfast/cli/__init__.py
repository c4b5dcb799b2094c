"""The command `netfast`: finds the module of a command, runs it, and turns every end into an exit code.

A command is a module of this package with `run(arguments) -> exit code`, imported only when it is called: `netfast
address` shall not wait for what `netfast classify` needs.  A command raises `_output.WriteError` when its results have
nowhere to go; whatever else it could not do it says in one line on standard error (`_output.complain`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from . import _output

__all__ = ["CLOSED_PIPE", "COMMANDS", "DONE", "INTERRUPTED", "NO_MATCH", "TROUBLE", "command", "main"]

DONE = 0
NO_MATCH = 1  # grep's
TROUBLE = 2  # also when only a part of the input could be read
INTERRUPTED = 130  # 128 + SIGINT, as shells count
CLOSED_PIPE = 141  # 128 + SIGPIPE

COMMANDS = {
    "classify": "count and classify every address in logs",
    "extract": "write a row for every address in logs (csv, jsonl, parquet, arrow)",
    "grep": "print the lines that hold an address of a kind, class or prefix",
    "address": "explain an address as a textbook does",
    "sample": "write a realistic log to try things on",
    "ping": "ping hosts as ping(8) does, many at a time as a live table",
    "sweep": "list the hosts of a prefix or a list that are alive",
    "ifconfig": "list network cards, or change one, as ifconfig(8) does",
    "netstat": "list sockets as netstat(8) does",
    "lsof": "list who holds sockets, as lsof -i does",
    "port": "explain a port: its services, and who listens on it",
    "listen": "wait for a connection or datagrams, and print what comes",
    "send": "send a text or a file to a socket, and print what comes back",
    "sink": "receive what blast sends, and tell how fast it came",
    "blast": "send as fast as it goes, and tell how fast that was",
    "bench": "compare netfast with pure Python on this machine",
}


def command() -> NoReturn:
    """The process `netfast`: `main`, and the end.

    A thread that still reads ends with the process; before Python 3.14 that unwinds its stack, which is the end of the
    process by SIGABRT if PyArrow is on it.  So where there is such a thread, Python's own end is left out.
    """
    code = main()
    threading = sys.modules.get("threading")
    if threading is not None and any(thread.daemon for thread in threading.enumerate()):
        if sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `netfast` with these arguments (those of the process by default) and returns its exit code."""
    try:
        code = _dispatch(sys.argv[1:] if argv is None else argv)
        _output.flush()
    except KeyboardInterrupt:
        _output.abandon()
        return INTERRUPTED
    except _output.WriteError as trouble:
        return _not_written(trouble)
    except SystemExit as stop:  # argparse, after --help or a wrong option
        return _stopped(stop)
    except Exception as failure:
        if os.environ.get("NETFAST_DEBUG"):
            raise
        _output.complain(f"internal error, please report: {type(failure).__name__}: {failure} (NETFAST_DEBUG=1: where)")
        return TROUBLE
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments:
        if sys.stderr is not None:
            print(_usage(), file=sys.stderr)
        return TROUBLE
    name, *rest = arguments
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in COMMANDS:
        return _command(name)(rest)
    if name in ("help", "-h", "--help"):
        _output.say(_usage())
        return DONE
    if name in ("-V", "--version"):
        from .._version import __version__

        _output.say(f"netfast {__version__}")
        return DONE
    _output.complain(f"no {'option' if name.startswith('-') else 'command'} {name!r}{_nearest(name)}")
    return TROUBLE


def _command(name: str) -> Callable[[Sequence[str]], int]:
    from importlib import import_module

    run: Callable[[Sequence[str]], int] = import_module(f".{name}", __package__).run
    return run


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: netfast COMMAND ...\n\n"
        "A fast network toolbox: finds and classifies the IP addresses in logs, pings hosts and networks,\n"
        "shows the cards, sockets and ports of this machine.\n\n"
        f"commands:\n{commands}\n\n"
        "netfast COMMAND --help tells more; netfast --version prints the version."
    )


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else f" (there are {', '.join(COMMANDS)}; try 'netfast --help')"


def _not_written(trouble: _output.WriteError) -> int:
    _output.abandon()
    if trouble.closed_pipe:
        return CLOSED_PIPE
    _output.complain(str(trouble))
    return TROUBLE


def _stopped(stop: SystemExit) -> int:
    try:
        _output.flush()
    except _output.WriteError as trouble:
        return _not_written(trouble)
    return stop.code if isinstance(stop.code, int) else TROUBLE
