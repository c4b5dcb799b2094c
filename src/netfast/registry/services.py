"""IANA's service names and port numbers: read from services.zlib when somebody first asks, found by dictionary.

`generate_services.py` wrote that file and says what its lines are.  /etc/services is not read: what a port is called
does not depend on the machine.
"""

from __future__ import annotations

import zlib
from functools import cache
from os.path import dirname, join
from typing import NamedTuple

PROTOCOLS = ("tcp", "udp", "sctp", "dccp")
"""The transport protocols of the registry."""

Service = tuple[str, str, str]  # name, protocol ("" where the registry has none), description


class Services(NamedTuple):
    """The registry, by number and by name.

    A row without a protocol counts for each of them, behind those that have it.  A range of ports is found by each of
    its numbers.
    """

    published: str  # the state of the registry, such as "2025-07"
    by_port: dict[int, list[Service]]  # in the registry's order
    name_of: dict[str, dict[int, str]]  # by protocol and number: the first that is registered
    ports_of: dict[str, dict[str, list[range]]]  # by protocol ("": all of them) and name in lower case


@cache
def services() -> Services:
    """The registry; the first call reads it, in some 20 ms."""
    with open(join(dirname(__file__), "services.zlib"), "rb") as file:
        text = zlib.decompress(file.read()).decode()
    by_port: dict[int, list[Service]] = {}
    name_of: dict[str, dict[int, str]] = {protocol: {} for protocol in ("", *PROTOCOLS)}
    ports_of: dict[str, dict[str, list[range]]] = {protocol: {} for protocol in ("", *PROTOCOLS)}
    of_all: dict[str, list[range]] = {}
    published = ""
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("#"):
            published = line.rpartition(" ")[2]
            continue
        name, span, protocols, description = line.split("\t")
        first, _, last = span.partition("-")
        ports = range(int(first), int(last or first) + 1)
        key = name.lower()  # RFC 6335 section 5.1: case does not count
        of_all.setdefault(key, []).append(ports)
        for protocol in protocols.split(" "):
            ports_of[protocol].setdefault(key, []).append(ports)
            names, service = name_of[protocol], (name, protocol, description)
            for number in ports:
                by_port.setdefault(number, []).append(service)
                names.setdefault(number, name)
    for protocol in PROTOCOLS:
        name_of[protocol] = {**name_of[""], **name_of[protocol]}
        for key, spans in ports_of[""].items():
            ports_of[protocol].setdefault(key, []).extend(spans)
    ports_of[""] = of_all
    del name_of[""]
    return Services(published, by_port, name_of, ports_of)
