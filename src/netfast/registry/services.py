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

    A row without a protocol counts for each of them, where no row with it has that number or name.  A range of ports
    is found by each of its numbers, and its name leads to the first.
    """

    published: str  # the state of the registry, such as "2025-07"
    by_port: dict[int, list[Service]]  # in the registry's order
    name_of: dict[str, dict[int, str]]  # by protocol and number: the first that is registered
    port_of: dict[str, dict[str, int]]  # by protocol and name in lower case; by "" for any protocol


@cache
def services() -> Services:
    """The registry; the first call reads it, in some 15 ms."""
    with open(join(dirname(__file__), "services.zlib"), "rb") as file:
        text = zlib.decompress(file.read()).decode()
    by_port: dict[int, list[Service]] = {}
    name_of: dict[str, dict[int, str]] = {protocol: {} for protocol in ("", *PROTOCOLS)}
    port_of: dict[str, dict[str, int]] = {protocol: {} for protocol in ("", *PROTOCOLS)}
    for_any: dict[str, int] = {}
    published = ""
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("#"):
            published = line.rpartition(" ")[2]
            continue
        name, ports, protocols, description = line.split("\t")
        first, _, last = ports.partition("-")
        key = name.lower()  # RFC 6335 section 5.1: case does not count
        for_any.setdefault(key, int(first))
        for protocol in protocols.split(" "):
            port_of[protocol].setdefault(key, int(first))
            names, service = name_of[protocol], (name, protocol, description)
            for number in range(int(first), int(last or first) + 1):
                by_port.setdefault(number, []).append(service)
                names.setdefault(number, name)
    for protocol in PROTOCOLS:
        name_of[protocol] = {**name_of[""], **name_of[protocol]}
        port_of[protocol] = {**port_of[""], **port_of[protocol]}
    port_of[""] = for_any
    del name_of[""]
    return Services(published, by_port, name_of, port_of)
