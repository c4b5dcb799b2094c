"""How probes are sent and waited for: the arguments that all pings take, checked."""

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from .checks import checked_flag, checked_int, checked_number, checked_seconds
from .ping_hosts import Hosts, source_address

if TYPE_CHECKING:
    from ._net import Pinger

COUNT_MAX = 2**31 - 1
_PAYLOAD_MAX = 65507  # 65,535 less the headers of IPv4 and ICMP
_FLOOD = 0.01  # with interval=0, the longest wait for a reply before the next probe: ping(8)'s flood
_USUAL_RATE = 1000.0  # probes a second that no network minds; loopback takes what it is given


class How(NamedTuple):
    """How probes are sent and waited for; pings of one event loop that agree in this share their sockets."""

    timeout: float
    rate: float | None
    size: int
    ttl: int
    tos: int
    dont_fragment: bool
    source: bytes | None
    source_scope: int
    interface: bytes | None
    privileged: bool | None

    def paced(self, hosts: Hosts) -> How:
        """With the rate that suits these hosts if none was asked for."""
        if self.rate is not None:
            return self
        return self._replace(rate=math.inf if hosts.all_loopback else _USUAL_RATE)

    def pinger(self) -> Pinger:
        """Sockets, not yet open."""
        try:
            from ._net import Pinger
        except ImportError:
            raise OSError(errno.ENOSYS, "netfast pings on Linux only") from None
        return Pinger(
            timeout=self.timeout,
            gap=1 / self.rate if self.rate else 0.0,
            size=self.size,
            privileged=self.privileged,
            ttl=self.ttl,
            tos=self.tos,
            dont_fragment=self.dont_fragment,
            source=self.source,
            source_scope=self.source_scope,
            interface=self.interface,
        )


def how_of(
    timeout: float,
    rate: float | None,
    size: int,
    ttl: int | None,
    dont_fragment: bool,
    tos: int | None,
    source: Any,
    interface: str | None,
    family: int | None,
    privileged: bool | None,
) -> tuple[How, int | None]:
    """The options, checked; and the family, which is that of the source if nobody says."""
    if family is not None and checked_int("family", family, 4, 6) == 5:
        raise ValueError("family=5: wanted 4, 6 or None")
    packed, scope = None, 0
    if source is not None:
        version, packed, scope = source_address(source)
        if family not in (None, version):
            raise ValueError(f"source={source} is an IPv{version} address, and family={family}")
        family = version
    how = How(
        timeout=checked_seconds("timeout", timeout, more_than_none=True),
        rate=None if rate is None else _rate(rate),
        size=checked_int("size", size, 0, _PAYLOAD_MAX),
        ttl=-1 if ttl is None else checked_int("ttl", ttl, 1, 255),
        tos=-1 if tos is None else checked_int("tos", tos, 0, 255),
        dont_fragment=checked_flag("dont_fragment", dont_fragment),
        source=packed,
        source_scope=scope,
        interface=None if interface is None else _card(interface),
        privileged=None if privileged is None else checked_flag("privileged", privileged),
    )
    return how, family


def _rate(value: Any) -> float:
    number = checked_number("rate", value)
    if not number >= 1e-6:
        raise ValueError(f"rate={value}: wanted probes a second, or math.inf")
    return number


def _card(name: Any) -> bytes:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"interface is {type(name).__name__}; wanted the name of one")
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < 16 or b"\0" in encoded or b"/" in encoded:
        raise ValueError(f"interface={name!r}: wanted a name of 1 to 15 bytes")
    return encoded


def spacing(hosts: Hosts, interval: float) -> tuple[float, bool]:
    """The interval, and whether a reply cuts it short: a single host without one is sent what it can answer."""
    adaptive = interval == 0 and len(hosts.names) == 1
    return (_FLOOD if adaptive else interval), adaptive


def endless_or(count: int | None) -> int:
    """0 stands for no end."""
    return 0 if count is None else checked_int("count", count, 1, COUNT_MAX)
