"""What only Linux has: netlink, or in its place one clear error."""

from __future__ import annotations

import errno
import sys
from typing import Any


def netlink() -> Any:
    """The border to netlink, the module `_netlink`; OSError (ENOSYS) where the system has none."""
    if not sys.platform.startswith("linux"):
        what = f"netlink, which this system ({sys.platform}) does not have"
        raise OSError(errno.ENOSYS, f"network cards and sockets are read by {what}")
    from . import _netlink

    return _netlink
