"""What comes instead of an echo reply: ICMP messages, and this machine's own refusals to send."""

from __future__ import annotations

import errno as numbers
import os
from typing import NamedTuple


class PingError(NamedTuple):
    """Why a probe was not answered.

    Attributes:
        kind: "network_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "message_too_big",
            "source_route_failed", "prohibited" (by a router, a host, or this machine's own routes or firewall),
            "ttl_exceeded", "reassembly_timeout", "parameter_problem", "not_sent" (this machine refused for another
            reason) or "unresolvable" (the host's name has no address).
        index: which of the host's probes, from 0; -1 for an unresolvable host.
        source: the address of who sent the ICMP message; None for this machine.
        type, code: of the ICMP or ICMPv6 message; None for this machine.
        mtu: in bytes, of the link a packet was too big for; None for other kinds, and where it was not told.
        errno: of this machine's refusal; for an unresolvable name what getaddrinfo(3) returned; None for messages.
        text: the same in words, as ping(8) has them.

    Source: RFC 792, RFC 1812 section 5.2.7 and RFC 1191 for IPv4, RFC 4443 for IPv6.

    Example:
        >>> import netfast as nf
        >>> error = nf.PingError("ttl_exceeded", 0, "192.0.2.1", 11, 0, None, None, "Time to live exceeded")
        >>> print(error)
        Time to live exceeded, from 192.0.2.1
    """

    kind: str
    index: int  # type: ignore[assignment]  # over tuple's method
    source: str | None
    type: int | None
    code: int | None
    mtu: int | None
    errno: int | None
    text: str

    def __str__(self) -> str:
        return self.text if self.source is None else f"{self.text}, from {self.source}"

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON."""
        return self._asdict()


# By (type, code): the kind, and the words of ping(8).  RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.
_ICMP = {
    (3, 0): ("network_unreachable", "Destination Net Unreachable"),
    (3, 1): ("host_unreachable", "Destination Host Unreachable"),
    (3, 2): ("protocol_unreachable", "Destination Protocol Unreachable"),
    (3, 3): ("port_unreachable", "Destination Port Unreachable"),
    (3, 4): ("message_too_big", "Frag needed and DF set (mtu = {info})"),
    (3, 5): ("source_route_failed", "Source Route Failed"),
    (3, 6): ("network_unreachable", "Destination Net Unknown"),
    (3, 7): ("host_unreachable", "Destination Host Unknown"),
    (3, 8): ("host_unreachable", "Source Host Isolated"),
    (3, 9): ("prohibited", "Destination Net Prohibited"),
    (3, 10): ("prohibited", "Destination Host Prohibited"),
    (3, 11): ("network_unreachable", "Destination Net Unreachable for Type of Service"),
    (3, 12): ("host_unreachable", "Destination Host Unreachable for Type of Service"),
    (3, 13): ("prohibited", "Packet filtered"),
    (3, 14): ("prohibited", "Precedence Violation"),
    (3, 15): ("prohibited", "Precedence Cutoff"),
    (11, 0): ("ttl_exceeded", "Time to live exceeded"),
    (11, 1): ("reassembly_timeout", "Frag reassembly time exceeded"),
    (12, 0): ("parameter_problem", "Parameter problem: pointer = {info}"),
}
# RFC 4443 section 3; codes 5 and 6 of type 1 are of RFC 4443 too, code 7 of RFC 6550, code 8 of RFC 8883.
_ICMP6 = {
    (1, 0): ("network_unreachable", "Destination unreachable: No route"),
    (1, 1): ("prohibited", "Destination unreachable: Administratively prohibited"),
    (1, 2): ("host_unreachable", "Destination unreachable: Beyond scope of source address"),
    (1, 3): ("host_unreachable", "Destination unreachable: Address unreachable"),
    (1, 4): ("port_unreachable", "Destination unreachable: Port unreachable"),
    (1, 5): ("prohibited", "Destination unreachable: Source address failed ingress/egress policy"),
    (1, 6): ("prohibited", "Destination unreachable: Reject route to destination"),
    (2, 0): ("message_too_big", "Packet too big: mtu={info}"),
    (3, 0): ("ttl_exceeded", "Time exceeded: Hop limit"),
    (3, 1): ("reassembly_timeout", "Time exceeded: Defragmentation failure"),
    (4, 0): ("parameter_problem", "Parameter problem: Wrong header field at {info}"),
    (4, 1): ("parameter_problem", "Parameter problem: Unknown header at {info}"),
    (4, 2): ("parameter_problem", "Parameter problem: Unknown option at {info}"),
}
# What a type means where its code is one that nobody has defined.
_TYPES = {3: "host_unreachable", 11: "ttl_exceeded", 12: "parameter_problem"}
_TYPES6 = {1: "host_unreachable", 2: "message_too_big", 3: "ttl_exceeded", 4: "parameter_problem"}
# What this machine says: its routes ("prohibit" is EACCES), its firewall (EPERM), its cards.  send(2), ip-route(8).
_LOCAL = {
    numbers.EACCES: "prohibited",
    numbers.EPERM: "prohibited",
    numbers.EHOSTUNREACH: "host_unreachable",
    numbers.ENETUNREACH: "network_unreachable",
    numbers.EMSGSIZE: "message_too_big",
}

Fields = tuple[int, "str | None", "int | None", "int | None", int, int, bool]  # as the border gives them


def ping_error(fields: Fields) -> PingError:
    """An error as the kernel told it: index, source, type, code, errno, MTU or pointer, is it IPv6."""
    index, source, type_, code, errno, info, is_ip6 = fields
    if type_ is None or code is None:
        kind = _LOCAL.get(errno, "not_sent")
        mtu = info if kind == "message_too_big" and info else None
        text = os.strerror(errno) if mtu is None else f"message too long, mtu{': ' if is_ip6 else '='}{mtu}"
        return PingError(kind, index, source, None, None, mtu, errno, text)
    known = (_ICMP6 if is_ip6 else _ICMP).get((type_, code))
    kind, text = known or (
        (_TYPES6 if is_ip6 else _TYPES).get(type_, "host_unreachable"),
        f"ICMP type {type_}, code {code}",
    )
    mtu = info if kind == "message_too_big" and info else None
    return PingError(kind, index, source, type_, code, mtu, None, text.format(info=info))


def unresolvable(reason: str, number: int | None = None) -> PingError:
    return PingError("unresolvable", -1, None, None, None, None, number, reason)
