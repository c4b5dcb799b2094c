"""Types of the border; what each does stands in _net.pyx."""

from typing import Any

from .ping_errors import Fields

REPLY: int
DUPLICATE: int
LATE: int
TIMEOUT: int
ERROR: int
DONE: int
SENT: int

Event = tuple[int, int, int, str | None, float, int | None, int, float, Fields | None]
Result = tuple[int, int, int, int, int, float, float, float, float, float, float, int]
Losses = tuple[int, int, int]

class Pinger:
    def __init__(
        self,
        *,
        timeout: float,
        gap: float,
        size: int,
        privileged: bool | None = None,
        ttl: int = -1,
        tos: int = -1,
        dont_fragment: bool = False,
        source: bytes | None = None,
        source_scope: int = 0,
        interface: bytes | None = None,
    ) -> None: ...
    def close(self) -> None: ...
    def add(
        self,
        addresses: Any,
        scopes: dict[int, int] | None,
        count: int,
        interval: float,
        watched: int,
        adaptive: bool = False,
    ) -> int: ...
    def keep(self, target: int, count: int) -> tuple[bytearray, bytearray]: ...
    def remove(self, target: int) -> None: ...
    def make_room(self, replies: int, requests: int) -> None: ...
    def run(self, seconds: float, stop: bytearray | None = None) -> bool: ...
    def step(self) -> None: ...
    def wait(self) -> float | None: ...
    def files(self) -> list[int]: ...
    def events(self) -> list[Event]: ...
    def result(self, target: int) -> Result: ...
    def results(self) -> tuple[bytearray, ...]: ...
    def errors(self) -> dict[int, Fields]: ...
    def losses(self) -> Losses: ...
