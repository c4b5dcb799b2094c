"""What only Linux has: the borders to its kernel, or in their place one clear error."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import Any


def border(name: str, what: str) -> Any:
    """The border of a name; OSError (ENOSYS) that says what there is not, where the system is another."""
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, f"{what}, which this system ({sys.platform}) does not have")
    return import_module(f".{name}", __package__)


def netlink() -> Any:
    """The border to netlink."""
    return border("_netlink", "network cards and sockets are read by netlink")
