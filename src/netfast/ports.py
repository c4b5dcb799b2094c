"""Port numbers as a textbook, IANA and this machine explain them.

A port is 16 bits of the headers of TCP, UDP, SCTP and DCCP.  The textbook knows two ranges: well-known ports of servers
(0-1023) and those that are given out dynamically (1024-65535).  RFC 6335 section 6 knows three: system (0-1023), user
(1024-49151) and dynamic (49152-65535).  Which ports need a privilege and which are given to clients is decided by
neither but by the kernel, for each network namespace (ip(7), ip-sysctl).

Names are those of IANA's registry, which comes with netfast: /etc/services is not read.  `netfast.free_ports` finds
ports that are free, `netfast.port_probes` asks whether a port of a host is open.
"""

from __future__ import annotations

import errno
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _arrow
from .addresses import _is_ndarray, _is_object_column, arrow_exporter
from .checks import PORT_MAX, as_int, checked_port, digits
from .plain_text import printable
from .registry.services import PROTOCOLS, services

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .netstat_table import Connection

__all__ = [
    "PortInfo",
    "Service",
    "classify_ports",
    "port",
    "service_name",
    "service_port",
]

# Each range by its name and its first number: it ends where the next begins.  The textbook's; RFC 6335 section 6.
_TEXTBOOK = (("well-known", 0), ("dynamic", 1024))
_IANA = (("system", 0), ("user", 1024), ("dynamic", 49_152))
_SCHEMES = {"iana": _IANA, "textbook": _TEXTBOOK}
# Where there is no kernel to ask: what BSD reserved for root, and the dynamic range of RFC 6335.
_PRIVILEGED_BELOW = 1024
_EPHEMERAL = (49_152, PORT_MAX)
_LISTENING = ("tcp", "udp")  # whose listeners are looked for


# --- one port --------------------------------------------------------------------------------------------------------


class Service(NamedTuple):
    """A row of IANA's registry: who has registered a port.

    Attributes:
        name: such as "http".
        protocol: "tcp", "udp", "sctp" or "dccp"; "" where the registry names none.
        description: in the registry's words, on one line; "" where it has none.
    """

    name: str
    protocol: str
    description: str


class PortInfo(NamedTuple):
    """What a textbook, IANA and this machine say about a port; `str()` in a line, `to_text()` in full.

    Attributes:
        number: 0 to 65535.
        services: who has registered it, in the registry's order.
        textbook_range: "well-known" (0-1023) or "dynamic" (1024-65535).
        iana_range: "system" (0-1023), "user" (1024-49151) or "dynamic" (49152-65535), RFC 6335 section 6.
        privileged: binding it takes CAP_NET_BIND_SERVICE, for it lies below `unprivileged_start`.  Port 0 is no port
            but asks for any, which takes no privilege.
        ephemeral: it lies in `ephemeral_range`.
        listeners: the sockets of this machine that listen on it now, TCP and UDP, with their owners; () on systems
            without netlink.
        unprivileged_start: this kernel's net.ipv4.ip_unprivileged_port_start; 1024 where there is none.
        ephemeral_range: first and last port that this kernel gives to who asks for none
            (net.ipv4.ip_local_port_range); RFC 6335's dynamic range where there is none.  Both settings are those of
            the calling thread's network namespace, and hold for IPv6 too.
        reserved: it is kept out of that range, by net.ipv4.ip_local_reserved_ports.
        protocol: to which services and listeners are limited; None for all.

    Example:
        >>> import netfast as nf
        >>> info = nf.port("ssh", "tcp")
        >>> info.number, info.services[0], info.textbook_range, info.iana_range
        (22, Service(name='ssh', protocol='tcp', description='The Secure Shell (SSH) Protocol'), 'well-known', 'system')
    """

    number: int
    services: tuple[Service, ...]
    textbook_range: str
    iana_range: str
    privileged: bool
    ephemeral: bool
    listeners: tuple[Connection, ...]
    unprivileged_start: int
    ephemeral_range: tuple[int, int]
    reserved: bool
    protocol: str | None

    def __str__(self) -> str:
        none = f"no service registered for {self.protocol}" if self.protocol else "no service registered"
        facts = [self.textbook_range, f"IANA {self.iana_range}"]
        facts += ["privileged"] * self.privileged + ["ephemeral"] * self.ephemeral + ["reserved"] * self.reserved
        count = len(self.listeners)
        facts += [f"{count} {'socket listens' if count == 1 else 'sockets listen'}"] * bool(count)
        return f"{self.number}: {', '.join(_names(self.services)) or none}; {', '.join(facts)}"

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON: services and listeners are lists of dicts, the range is a list."""
        return {
            **self._asdict(),
            "services": [service._asdict() for service in self.services],
            "listeners": [listener.to_dict() for listener in self.listeners],
            "ephemeral_range": list(self.ephemeral_range),
        }

    def to_text(self) -> str:
        """The explanation for a terminal: a heading, a line or more for each fact, then notes; no newline at the end.

        Example:
            >>> import netfast as nf
            >>> print(nf.port(23, "tcp").to_text())
            port 23 (telnet)
              number          0000000000010111, one of 2^16: 0–65535
              textbook range  well-known, 0–1023: for servers whose port everybody knows
              IANA range      system, 0–1023: assigned by IANA with the IETF's approval (RFC 6335 section 6)
              ...
              tcp             telnet: Telnet
              ...
        """
        from textwrap import wrap

        facts = list(_facts(self))
        width = max(len(label) for label, _ in facts)
        lines = [_heading(self)]
        for label, value in facts:
            indent = f"  {label:<{width}}  "
            lines += wrap(value, _WIDTH, initial_indent=indent, subsequent_indent=" " * (width + 6))
        for note in _notes(self):
            lines += wrap(note, _WIDTH, initial_indent="  * ", subsequent_indent="    ")
        return "\n".join(lines)


def port(number_or_name: int | str, protocol: str | None = None) -> PortInfo:
    """Explains a port: its ranges, who has registered it, what this kernel does with it, and who listens on it now.

    Args:
        number_or_name: 0 to 65535; or a registered name in any case, which stands for its first port.  Digits in a str
            are a number.
        protocol: "tcp", "udp", "sctp" or "dccp" to hear of its services and listeners only; services that are
            registered without a protocol count.  None for all.

    Returns:
        A `PortInfo`; print it for one line, or its `to_text()` for everything.

    Raises:
        ValueError: no port has this name or number, or the protocol is unknown.
        TypeError: neither an int nor a str.

    Source: RFC 6335 section 6; IANA's Service Name and Transport Protocol Port Number Registry; ip(7); sock_diag(7).

    Example:
        >>> import netfast as nf
        >>> nf.port(443, "tcp").services
        (Service(name='https', protocol='tcp', description='http protocol over TLS/SSL'),)
        >>> nf.port("HTTPS").number, nf.port("8080").iana_range
        (443, 'user')
    """
    if protocol is not None:
        checked_protocol(protocol)
    number = _number(number_or_name, protocol)
    start, ephemeral = _unprivileged_start(), ephemeral_range()
    registered = services().by_port.get(number, ())
    return PortInfo(
        number=number,
        services=tuple(Service._make(row) for row in registered if protocol is None or row[1] in (protocol, "")),
        textbook_range=_range(_TEXTBOOK, number)[0],
        iana_range=_range(_IANA, number)[0],
        privileged=0 < number < start,
        ephemeral=ephemeral[0] <= number <= ephemeral[1],
        listeners=_listeners(number, protocol),
        unprivileged_start=start,
        ephemeral_range=ephemeral,
        reserved=any(number in ports for ports in reserved_ports()),
        protocol=protocol,
    )


def _number(port: Any, protocol: str | None) -> int:
    if not isinstance(port, str):
        return checked_port("port", port, least=0, wanted="an int or a str")
    if port.isascii() and port.isdecimal():
        digits = port.lstrip("0") or "0"
        if len(digits) > 5:
            raise ValueError(f"port={port}: wanted 0 to {PORT_MAX}")
        return checked_port("port", int(digits), least=0)
    spans = services().ports_of[protocol or ""].get(port.lower())
    if spans is None:
        of = f" of {protocol}" if protocol else ""
        raise ValueError(f"no service{of} is registered with a port by the name {port!r}")
    return spans[0].start


def checked_protocol(protocol: Any, known: Sequence[str] = PROTOCOLS) -> str:
    """The protocol, or TypeError or ValueError."""
    if not isinstance(protocol, str):
        raise TypeError(f"protocol is {type(protocol).__name__}; wanted a str")
    if protocol not in known:
        raise ValueError(f"protocol={protocol!r}: wanted one of {', '.join(known)}")
    return protocol


def _range(scheme: Sequence[tuple[str, int]], number: int) -> tuple[str, int, int]:
    """The name, the first and the last port of the range that holds the number."""
    last = PORT_MAX
    for name, first in reversed(scheme):
        if first <= number:
            return name, first, last
        last = first - 1
    raise ValueError(number)


def _setting(name: str) -> str:
    """The text of a file of /proc/sys/net/ipv4, which is that of the calling thread's namespace; empty without it."""
    try:
        with open(f"/proc/sys/net/ipv4/{name}") as file:
            return file.read().strip()
    except OSError:
        return ""


def _unprivileged_start() -> int:
    return int(_setting("ip_unprivileged_port_start") or _PRIVILEGED_BELOW)


def ephemeral_range() -> tuple[int, int]:
    """First and last port that this kernel gives to who asks for none."""
    numbers = list(map(int, _setting("ip_local_port_range").split()))
    return (numbers[0], numbers[1]) if numbers else _EPHEMERAL


def reserved_ports() -> list[range]:
    """The ports that it gives to nobody who asks for none: 8080,9148-9150."""
    found = []
    for item in filter(None, _setting("ip_local_reserved_ports").split(",")):
        first, _, last = item.partition("-")
        found.append(range(int(first), int(last or first) + 1))
    return found


def _listeners(number: int, protocol: str | None) -> tuple[Connection, ...]:
    """Who listens now, of TCP and then of UDP; nobody can on port 0."""
    from .netstat import listening

    found: list[Connection] = []
    for kind in _LISTENING:
        if number and protocol in (None, kind):
            try:
                found += listening(kind, local_port=number, owners=True)
            except OSError as error:
                if error.errno != errno.ENOSYS:  # this system has no netlink
                    raise
    return tuple(found)


# --- its explanation -------------------------------------------------------------------------------------------------

_WIDTH = 100  # columns that values and notes are wrapped to
_TEXTBOOK_MEANS = {
    "well-known": "for servers whose port everybody knows",
    "dynamic": "given out when somebody asks, and free for any program",
}
# RFC 6335 sections 6 and 8.1.
_IANA_MEANS = {
    "system": "assigned by IANA with the IETF's approval",
    "user": "assigned by IANA to who asks, after review",
    "dynamic": "never assigned, for whoever needs one for a while",
}


def _names(services: Iterable[Service]) -> list[str]:
    return list(dict.fromkeys(service.name for service in services))


def _heading(info: PortInfo) -> str:
    """With the names of other protocols where the one that is asked for has none."""
    names = _names(info.services or map(Service._make, services().by_port.get(info.number, ())))
    return f"port {info.number} ({', '.join(names)})" if names else f"port {info.number}"


def _facts(info: PortInfo) -> Iterator[tuple[str, str]]:
    """Labels and values of `to_text`."""
    name, first, last = _range(_TEXTBOOK, info.number)
    yield "number", f"{info.number:016b}, one of 2^16: 0–{PORT_MAX}"
    yield "textbook range", f"{name}, {first}–{last}: {_TEXTBOOK_MEANS[name]}"
    name, first, last = _range(_IANA, info.number)
    yield "IANA range", f"{name}, {first}–{last}: {_IANA_MEANS[name]} (RFC 6335 section 6)"
    yield "privileged", _privilege(info)
    yield "ephemeral", _lending(info)
    yield from _service_facts(info)
    listeners = list(map(_listener, info.listeners)) or [_nobody(info.protocol)]
    yield from zip(["listening", *[""] * (len(listeners) - 1)], listeners, strict=True)


def _privilege(info: PortInfo) -> str:
    if info.privileged:
        return f"yes: to bind it takes root or CAP_NET_BIND_SERVICE, as all below {info.unprivileged_start} here"
    if info.number == 0:
        return "no: to bind port 0 is to ask the kernel for any free port"
    return f"no: anybody may bind it, for here ports from {info.unprivileged_start} are free to all"


def _lending(info: PortInfo) -> str:
    others = "clients that ask for no port get one of {}–{}".format(*info.ephemeral_range)
    if info.ephemeral and info.reserved:
        return f"reserved: {others}, but not this one (net.ipv4.ip_local_reserved_ports)"
    return f"{'yes' if info.ephemeral else 'no'}: {others}"


def _nobody(protocol: str | None) -> str:
    if protocol in (None, *_LISTENING):
        return f"no {protocol.upper() if protocol else 'TCP or UDP'} socket now that this system tells of"
    return f"not known: listeners of {protocol} are not looked for, only those of TCP and UDP"


def _service_facts(info: PortInfo) -> Iterator[tuple[str, str]]:
    """A line for each name and description, under the protocols that have them."""
    said: dict[tuple[str, str], dict[str, None]] = {}
    for service in info.services:
        protocols = said.setdefault((service.name, service.description), {})
        protocols[service.protocol or "any protocol"] = None
    by_protocols: dict[str, list[str]] = {}
    for (name, description), found in said.items():
        by_protocols.setdefault(", ".join(found), []).append(f"{name}: {description}" if description else name)
    if not said:
        of = f" for {info.protocol}" if info.protocol else ""
        yield "services", f"none{of} that IANA has registered ({services().published})"
    for label, lines in by_protocols.items():
        yield from zip([label, *[""] * (len(lines) - 1)], lines, strict=True)


def _listener(listener: Connection) -> str:
    address = f"[{listener.local_address}]" if ":" in listener.local_address else listener.local_address
    owners = [f"{printable(process.name)} (pid {process.pid})" for process in listener.processes or ()]
    unknown = "a process that cannot be seen" if listener.processes is None else "no process"
    return f"{listener.protocol} {address}:{listener.local_port} by {', '.join(owners) or unknown}"


def _notes(info: PortInfo) -> Iterator[str]:
    if info.number == 0:
        yield "Port 0 is reserved: it stands for no port in particular, and nothing can be sent to it."
    if info.unprivileged_start != _PRIVILEGED_BELOW:
        yield (
            f"The textbook has root bind what lies below {_PRIVILEGED_BELOW}; net.ipv4.ip_unprivileged_port_start is "
            f"{info.unprivileged_start} here."
        )
    for name in _names(info.services):
        if others := _other_ports(name, info):
            yield f"{name} is also {others}: a name may have several ports."
    if info.ephemeral and info.number and not info.reserved:
        yield (
            "In the ephemeral range: the kernel may have lent it to a client when a server wants it. A server's port "
            "is kept out by net.ipv4.ip_local_reserved_ports."
        )
    if info.iana_range == "user" and info.services:
        yield "A registration keeps nobody from using a port, so another service may be found on it."
    if info.textbook_range == "dynamic" and info.iana_range == "user":
        yield "The textbook calls all from 1024 dynamic; IANA registers 1024–49151 and leaves 49152–65535 alone."


def _other_ports(name: str, info: PortInfo) -> str:
    """The other ports of a service: 8008, 8080."""
    spans = services().ports_of[info.protocol or ""][name.lower()]
    others = sorted({number for span in spans for number in span} - {info.number})
    shown: list[list[int]] = []  # first and last of each range
    for number in others:
        if shown and number == shown[-1][1] + 1:
            shown[-1][1] = number
        else:
            shown.append([number, number])
    return ", ".join(f"{first}–{last}" if first < last else str(first) for first, last in shown)


# --- many ports ------------------------------------------------------------------------------------------------------

_OUTSIDE = PORT_MAX + 1  # in place of what is no port


def classify_ports(
    ports: Any, scheme: Literal["iana", "textbook"] = "iana", *, errors: Literal["mask", "raise"] = "mask"
) -> NDArray[np.object_]:
    """The range of each port.

    Args:
        ports: a list, tuple or other iterable of int or None; a NumPy array of integers [n]; any object with the Arrow
            PyCapsule interface that is one column of integers.
        scheme: "iana" for RFC 6335's ranges, "textbook" for the textbook's.
        errors: "raise" raises on the first number that is no port, "mask" calls it "invalid".

    Returns:
        object[n]: "system", "user" or "dynamic"; "well-known" or "dynamic" with scheme="textbook"; "invalid" for
        numbers outside 0 to 65535; None for null.  Equal texts are one object.

    Raises:
        ValueError: a number is no port, with errors="raise" (the message has its index); an unknown scheme.
        TypeError: an item is no integer (the message has its index); bool is none.

    Source: RFC 6335 section 6.

    Example:
        >>> import netfast as nf
        >>> nf.classify_ports([80, 8080, 50000, 65536, None]).tolist()
        ['system', 'user', 'dynamic', 'invalid', None]
        >>> nf.classify_ports([80, 8080], "textbook").tolist()
        ['well-known', 'dynamic']
    """
    import numpy as np

    if scheme not in tuple(_SCHEMES):
        raise ValueError(f'scheme={scheme!r}: wanted "iana" or "textbook"')
    if errors not in ("mask", "raise"):
        raise ValueError(f'errors={errors!r}: wanted "mask" or "raise"')
    numbers, null, items = _integers(ports)
    invalid = (numbers < 0) | (numbers > PORT_MAX)
    if null is not None:
        invalid &= ~null
    if errors == "raise" and invalid.any():
        at = int(invalid.argmax())
        shown = digits(operator.index(numbers[at] if items is None else items[at]))
        raise ValueError(f"port {at} is {shown}: wanted 0 to {PORT_MAX}")
    ranges = _SCHEMES[scheme]
    codes = np.zeros(len(numbers), dtype=np.intp)
    for _, first in ranges[1:]:
        codes += numbers >= first
    codes[invalid] = len(ranges)
    if null is not None:
        codes[null] = len(ranges) + 1
    labels = np.array([*(name for name, _ in ranges), "invalid", None], dtype=object)
    found: NDArray[np.object_] = labels[codes]
    return found


class _Integers(NamedTuple):
    """Integers of any type [n], which of them are null if any, and the list they came in if in one."""

    numbers: NDArray[Any]
    null: NDArray[np.bool_] | None
    items: list[Any] | None


def _integers(ports: Any) -> _Integers:
    if _is_object_column(ports):
        return _integers_of_items(ports.tolist())
    if _is_ndarray(ports):
        if ports.dtype.kind not in "iu" or ports.ndim != 1:
            raise TypeError(f"ports is a NumPy array of {ports.dtype}{list(ports.shape)}; wanted integers [n]")
        return _Integers(ports, None, None)
    if (exporter := arrow_exporter(ports)) is not None:
        try:
            columns = _arrow.arrow_columns(exporter, True)
        except ImportError:  # pandas without PyArrow exports nothing
            return _integers_of_items(ports.tolist())
        return _integers_of_columns(columns)
    if isinstance(ports, (str, bytes, bytearray, memoryview)) or not hasattr(ports, "__iter__"):
        raise TypeError(f"ports is one {type(ports).__name__}, not a collection of them; for a single port use nf.port")
    return _integers_of_items(list(ports))


def _integers_of_items(given: list[Any]) -> _Integers:
    import numpy as np

    items = given if set(map(type, given)) <= {int} else [_item(item, index) for index, item in enumerate(given)]
    null = np.array([item is None for item in items], dtype=bool) if None in items else None
    # What no NumPy integer holds is no port either.
    plain = [_OUTSIDE if item is None or not 0 <= item <= PORT_MAX else item for item in items]
    return _Integers(np.array(plain, dtype=np.int64), null, items)


def _item(item: Any, index: int) -> int | None:
    if item is None or type(item).__name__ == "NAType":  # of pandas
        return None
    number = as_int(item)
    if number is None:
        raise TypeError(f"port {index} is {type(item).__name__}; wanted an int or None")
    return number


# By the format of Arrow's C data interface: NumPy's name.
_ARROW_INTEGERS = {
    "c": "int8",
    "C": "uint8",
    "s": "int16",
    "S": "uint16",
    "i": "int32",
    "I": "uint32",
    "l": "int64",
    "L": "uint64",
}


def _integers_of_columns(columns: list[_arrow.Column]) -> _Integers:
    import numpy as np

    numbers: list[NDArray[Any]] = []
    nulls: list[NDArray[np.bool_]] = []
    for column in columns:  # the parts of one: all are of the same format
        n = len(column)
        if column.format == "n":  # Arrow's column of nothing but nulls
            numbers.append(np.zeros(n, dtype=np.int64))
        elif column.dictionary is None and column.format in _ARROW_INTEGERS:
            numbers.append(np.frombuffer(column.numbers(), dtype=_ARROW_INTEGERS[column.format]))
        else:
            kind = "dictionary" if column.dictionary else f"column of format {column.format!r}"
            raise TypeError(f"ports is an Arrow {kind}; wanted integers")
        null = column.nulls()
        nulls.append(np.zeros(n, dtype=bool) if null is None else np.frombuffer(null, dtype=bool))
    if not columns:
        return _Integers(np.empty(0, dtype=np.int64), None, None)
    null_rows = np.concatenate(nulls)
    return _Integers(np.concatenate(numbers), null_rows if null_rows.any() else None, None)


# --- names and numbers -----------------------------------------------------------------------------------------------


def service_name(port: int, protocol: str = "tcp") -> str | None:
    """The first name that is registered for a port; None without any.

    Args:
        port: 0 to 65535.
        protocol: "tcp", "udp", "sctp" or "dccp".  A name that is registered without a protocol counts where the
            protocol has none of its own.

    Raises:
        ValueError, TypeError: no such port, or no such protocol.

    Source: IANA's Service Name and Transport Protocol Port Number Registry, read in the first call.

    Example:
        >>> import netfast as nf
        >>> nf.service_name(80), nf.service_name(53, "udp"), nf.service_name(4)
        ('http', 'domain', None)
    """
    names = services().name_of[protocol if protocol in PROTOCOLS else checked_protocol(protocol)]
    return names.get(port if type(port) is int and 0 <= port <= PORT_MAX else checked_port("port", port, least=0))


def service_port(name: str, protocol: str = "tcp") -> int | None:
    """The first port that is registered for a name, in any case; None if there is none.

    Args:
        name: such as "https"; RFC 6335 section 5.1.
        protocol: as for `service_name`.

    Raises:
        ValueError, TypeError: no such protocol, or the name is no str.

    Source: IANA's Service Name and Transport Protocol Port Number Registry, read in the first call.

    Example:
        >>> import netfast as nf
        >>> nf.service_port("https"), nf.service_port("SSH"), nf.service_port("x11"), nf.service_port("no such name")
        (443, 22, 6000, None)
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {type(name).__name__}; wanted a str")
    spans = services().ports_of[protocol if protocol in PROTOCOLS else checked_protocol(protocol)].get(name.lower())
    return spans[0].start if spans else None
