"""Types of the border to this machine's cards and sockets; what each does stands in _netlink.pyx."""

from typing import Any

def links() -> list[list[Any]]: ...
def link(index: int, name: bytes | None = None) -> list[Any] | None: ...
def addresses(index: int = 0) -> dict[int, list[list[Any]]]: ...
def set_up(index: int, up: bool) -> tuple[int, str]: ...
def set_mtu(index: int, mtu: int) -> tuple[int, str]: ...
def set_hwaddr(index: int, hwaddr: bytes) -> tuple[int, str]: ...
def set_name(index: int, name: bytes) -> tuple[int, str]: ...
def change_address(
    add: bool,
    index: int,
    local: bytes,
    prefixlen: int,
    *,
    peer: bytes | None = None,
    broadcast: bytes | None = None,
    label: bytes | None = None,
    scope: int = 0,
    flags: int = 0,
    valid: int | None = None,
    preferred: int | None = None,
) -> tuple[int, str]: ...

TCP: int
UDP: int
RAW: int
UNIX: int
ANY_PORT: int
ALL_STATES: int
FAMILY: int
TYPE: int
TRANSPORT: int
STATE: int
V6ONLY: int
LOCAL_PORT: int
REMOTE_PORT: int
RECV_Q: int
SEND_Q: int
UID: int
INTERFACE: int
INODE: int

def force_proc(forced: bool) -> bool: ...

class Sockets:
    def __len__(self) -> int: ...
    def settle(self) -> None: ...
    def read(self, transport: int, family: int, states: int, local_port: int) -> None: ...
    def column(self, column: int) -> bytearray: ...
    def texts(self, remote: bool) -> list[str]: ...
    def row(self, i: int) -> tuple[Any, ...]: ...
    def owners(self, threads: int) -> list[tuple[int, ...] | None]: ...
