"""Port numbers explained and classified, and ports that are free."""

from __future__ import annotations

import errno
import ipaddress
import json
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import netfast as nf
from netfast import netstat, ports as module

BOUNDS = (0, 1, 1023, 1024, 49_151, 49_152, 65_535)


def iana(number: int) -> str:
    """RFC 6335 section 6, written down once more."""
    return "system" if number <= 1023 else "user" if number <= 49_151 else "dynamic"


def textbook(number: int) -> str:
    return "well-known" if number <= 1023 else "dynamic"


def bound(port: int, host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


# ---- one port --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", BOUNDS)
def test_ranges(number: int) -> None:
    info = nf.port(number)
    assert (info.number, info.textbook_range, info.iana_range) == (number, textbook(number), iana(number))


def test_what_this_kernel_says() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    for number in {*BOUNDS, first - 1, first, last, min(last + 1, 65_535), start}:
        info = nf.port(number)
        assert info.ephemeral == (first <= number <= last)
        assert info.privileged == (0 < number < start)
        assert (info.ephemeral_range, info.unprivileged_start) == ((first, last), start)


def test_where_there_is_no_such_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_setting", lambda name: "")
    assert nf.port(49_152).ephemeral
    assert not nf.port(49_151).ephemeral
    assert (nf.port(1023).privileged, nf.port(1024).privileged) == (True, False)


def test_services_are_the_registrys_in_order() -> None:
    assert [(s.name, s.protocol) for s in nf.port(80).services] == [
        *(("http", "tcp"), ("http", "udp"), ("www", "tcp"), ("www", "udp"), ("www-http", "tcp"), ("www-http", "udp")),
        ("http", "sctp"),
    ]
    assert [s.name for s in nf.port(80, "sctp").services] == ["http"]
    assert nf.port(80, "dccp").services == ()
    assert nf.port(6400, "udp").services == (nf.Service("boe-cms", "", "Business Objects CMS contact port"),)
    assert nf.port(6063).services[0].name == "x11"
    assert nf.port(4).services == ()  # unassigned


@pytest.mark.parametrize(
    ("name", "protocol", "number"),
    [
        ("http", None, 80),
        ("HTTP", "udp", 80),
        ("80", None, 80),
        ("00080", "tcp", 80),
        ("0", None, 0),
        ("x11", None, 6000),
        ("914c/g", None, 211),
        ("boe-cms", "dccp", 6400),
        ("tftp", "udp", 69),
    ],
)
def test_names(name: str, protocol: str | None, number: int) -> None:
    assert nf.port(name, protocol).number == number


@pytest.mark.parametrize("number", [np.uint16(443), np.int64(443), 443])
def test_integers_of_any_type(number: Any) -> None:
    assert type(nf.port(number).number) is int
    assert nf.service_name(number) == "https"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1,), "port=-1: wanted 0 to 65535"),
        ((65_536,), "port=65536"),
        ((1 << 20_000,), "port=0x1000"),
        (("65536",), "port=65536"),
        (("9" * 5000,), "wanted 0 to 65535"),
        (("no such",), "no service is registered with a port by the name 'no such'"),
        (("http", "dccp"), "no service of dccp"),
        (("",), "''"),
        (("-1",), "'-1'"),
        (("８０",), "'８０'"),
        ((80, "icmp"), "protocol='icmp': wanted one of tcp, udp, sctp, dccp"),
        ((80, "TCP"), "protocol='TCP'"),
        ((80, ""), "protocol=''"),
    ],
)
def test_what_is_no_port(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        nf.port(*arguments)


@pytest.mark.parametrize("number", [True, 80.0, None, b"http", np.float64(80), np.bool_(True), [80]])
def test_what_is_neither_number_nor_name(number: Any) -> None:
    with pytest.raises(TypeError, match=f"port is {type(number).__name__}; wanted an int or a str"):
        nf.port(number)
    with pytest.raises(TypeError, match=type(number).__name__):
        nf.service_name(number)


def test_protocol_is_a_str() -> None:
    for call in (nf.port, nf.service_name):
        with pytest.raises(TypeError, match="protocol is int"):
            call(80, 6)  # type: ignore[arg-type]


# ---- who listens -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of `nf.listening`, which finds one socket with an owner of an odd name."""
    calls: list[tuple[Any, ...]] = []

    def fake(kind: str = "tcp", *, local_port: int | None = None, owners: bool = False) -> list[nf.Connection]:
        calls.append((kind, local_port, owners))
        process = nf.Process(12, "a\x1b[2Jb", ("/bin/a", "-x"), 0)
        inet6, stream = socket.AddressFamily.AF_INET6, socket.SocketKind.SOCK_STREAM
        return [
            nf.Connection(inet6, stream, kind, "::1", 80, "::", 0, "LISTEN", 0, 5, 0, 77, 0, False, (process,)),
            nf.Connection(inet6, stream, kind, "::", 80, "::", 0, "LISTEN", 0, 5, 0, 78, 0, False, None),
            nf.Connection(inet6, stream, kind, "::2", 80, "::", 0, "LISTEN", 0, 5, 0, 79, 0, False, ()),
        ]

    monkeypatch.setattr(netstat, "listening", fake)
    return calls


def test_listeners_are_of_the_protocol(listening: list[tuple[Any, ...]]) -> None:
    assert [c.protocol for c in nf.port(80).listeners] == ["tcp"] * 3 + ["udp"] * 3
    assert [c.protocol for c in nf.port(80, "udp").listeners] == ["udp"] * 3
    assert nf.port(80, "sctp").listeners == ()
    assert nf.port(0).listeners == ()
    assert listening == [("tcp", 80, True), ("udp", 80, True), ("udp", 80, True)]


def test_text_names_who_listens(listening: list[tuple[Any, ...]]) -> None:
    lines = nf.port(80, "tcp").to_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("listening"))
    assert [line[18:] for line in lines[at : at + 3]] == [
        r"tcp [::1]:80 by a\x1b[2Jb (pid 12)",
        "tcp [::]:80 by a process that cannot be seen",
        "tcp [::2]:80 by no process",
    ]
    assert str(nf.port(80, "tcp")).endswith("3 sockets listen")


def test_dict_is_ready_for_json(listening: list[tuple[Any, ...]]) -> None:
    made = json.loads(json.dumps(nf.port(80, "tcp").to_dict()))
    assert made["services"][0] == {"name": "http", "protocol": "tcp", "description": "World Wide Web HTTP"}
    assert made["listeners"][0]["processes"] == [
        {"pid": 12, "name": "a\x1b[2Jb", "cmdline": ["/bin/a", "-x"], "uid": 0}
    ]
    assert made["ephemeral_range"] == list(nf.port(80).ephemeral_range)


def test_systems_without_netlink_have_no_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSYS, "no netlink")

    monkeypatch.setattr(netstat, "listening", fake)
    assert nf.port(80).listeners == ()

    def broken(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    monkeypatch.setattr(netstat, "listening", broken)
    with pytest.raises(OSError, match="no descriptor"):
        nf.port(80)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_real_listener(protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with bound(0, kind=kind) as sock:
        if protocol == "tcp":
            sock.listen()
        number = sock.getsockname()[1]
        (found,) = nf.port(number, protocol).listeners
        assert (found.protocol, found.local_address, found.local_port) == (protocol, "127.0.0.1", number)
        assert found in nf.port(number).listeners
    assert nf.port(number, protocol).listeners == ()


# ---- in words --------------------------------------------------------------------------------------------------------


def test_one_line() -> None:
    assert str(nf.port(70, "tcp")) == "70: gopher; well-known, IANA system, privileged"
    assert str(nf.port(4)) == "4: no service registered; well-known, IANA system, privileged"
    assert str(nf.port(4, "sctp")) == "4: no service registered for sctp; well-known, IANA system, privileged"


def test_text_of_a_well_known_port(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ip_local_port_range": "32768\t60999", "ip_unprivileged_port_start": "1024"}
    monkeypatch.setattr(module, "_setting", lambda name: settings.get(name, ""))
    assert nf.port(3, "sctp").to_text() == (
        "port 3\n"
        "  number          0000000000000011, one of 2^16: 0–65535\n"
        "  textbook range  well-known, 0–1023: for servers whose port everybody knows\n"
        "  IANA range      system, 0–1023: assigned by IANA with the IETF's approval (RFC 6335 section 6)\n"
        "  privileged      yes: to bind it takes root or CAP_NET_BIND_SERVICE, as all below 1024 here\n"
        "  ephemeral       no: clients that ask for no port get one of 32768–60999\n"
        "  services        none for sctp that IANA has registered (2025-07)\n"
        "  listening       not known: listeners of sctp are not looked for, only those of TCP and UDP"
    )


def test_text_says_what_it_is_limited_to() -> None:
    for protocol, services, listening in (
        (None, "services none that IANA", "no TCP or UDP socket"),
        ("tcp", "services none for tcp that IANA", "no TCP socket"),
        ("udp", "services none for udp that IANA", "no UDP socket"),
        ("dccp", "services none for dccp that IANA", "listeners of dccp are not looked for"),
    ):
        info = nf.port(4, protocol)
        assert (info.protocol, info.to_dict()["protocol"], nf.PortInfo._fields[-1]) == (protocol, protocol, "protocol")
        text = " ".join(info.to_text().split())
        assert services in text
        assert listening in text
    assert nf.port(80, "dccp").to_text().startswith("port 80 (http, www, www-http)\n")
    assert nf.port(80, "sctp").to_text().startswith("port 80 (http)\n")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("http-alt",), "http-alt is also 8008, 8080: "),
        ((8080,), "http-alt is also 591, 8008: "),
        (("x11", "tcp"), "x11 is also 6001–6063: "),
        ((6010,), "x11 is also 6000–6009, 6011–6063: "),
    ],
)
def test_text_names_the_other_ports_of_a_service(asked: tuple[Any, ...], said: str) -> None:
    assert said in " ".join(nf.port(*asked).to_text().split())
    assert "is also" not in nf.port(22).to_text()


def test_text_of_a_reserved_port(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ip_local_port_range": "32768\t60999", "ip_local_reserved_ports": "80,40000,40010-40012"}
    monkeypatch.setattr(module, "_setting", lambda name: settings.get(name, ""))
    infos = [nf.port(number, "sctp") for number in (80, 40_000, 40_009, 40_010, 40_012, 40_013)]
    assert [info.reserved for info in infos] == [True, True, False, True, True, False]
    assert [info.ephemeral for info in infos] == [False, *[True] * 5]
    for info in infos[1:]:
        text = " ".join(info.to_text().split())
        assert ("In the ephemeral range" in text) is not info.reserved
        assert (
            "ephemeral reserved: clients that ask for no port get one of 32768–60999, but not" in text
        ) is info.reserved
    assert str(infos[1]).endswith("ephemeral, reserved")


def test_text_says_where_textbook_kernel_and_registry_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ip_local_port_range": "1024\t60999", "ip_unprivileged_port_start": "80"}
    monkeypatch.setattr(module, "_setting", lambda name: settings.get(name, ""))
    text = " ".join(nf.port(8080).to_text().split())
    assert "ephemeral yes: clients that ask for no port get one of 1024–60999" in text
    assert "net.ipv4.ip_unprivileged_port_start is 80 here" in text
    assert "The textbook calls all from 1024 dynamic; IANA registers 1024–49151" in text
    assert "http-alt: HTTP Alternate (see port 80)" in text
    assert "privileged no: anybody may bind it" in " ".join(nf.port(80).to_text().split())
    assert "yes" not in nf.port(70).to_text().split("ephemeral")[1].split("\n")[0]
    assert "asks the kernel" not in text


def test_text_fits_a_terminal() -> None:
    for number in range(0, 65_536, 97):
        lines = nf.port(number, "sctp").to_text().splitlines() + nf.port(4646, "dccp").to_text().splitlines()
        assert max(map(len, lines)) <= 100
    long = next(n for n in range(65_536) for s in nf.port(n, "dccp").services if len(s.description) > 30)
    assert max(map(len, nf.port(long).to_text().splitlines())) <= 100


def test_it_is_a_value() -> None:
    info = nf.port(22, "sctp")
    assert pickle.loads(pickle.dumps(info)) == info
    assert hash(info) == hash(nf.port("ssh", "sctp"))


# ---- many ports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "reference"), [("iana", iana), ("textbook", textbook)])
def test_classify_every_port(scheme: Any, reference: Callable[[int], str]) -> None:
    found = nf.classify_ports(range(65_536), scheme)
    assert found.tolist() == list(map(reference, range(65_536)))
    assert len(set(map(id, found))) == len(set(found))
    assert found.dtype == object


NUMPY_TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">u2", ">i4", ">u8"]


@pytest.mark.parametrize("name", NUMPY_TYPES)
def test_classify_numpy(name: str) -> None:
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    items = [n for n in (-1, *BOUNDS, 65_536, 2**31, 2**63, 2**64 - 1, -(2**63)) if limits.min <= n <= limits.max]
    expected = [iana(n) if 0 <= n <= 65_535 else "invalid" for n in items]
    array = np.array(items, dtype=dtype)
    assert nf.classify_ports(array).tolist() == expected
    assert nf.classify_ports(array[::-1]).tolist() == expected[::-1]
    assert nf.classify_ports(np.repeat(array, 2)[::2]).tolist() == expected


MIXED = [80, None, 8080, 50_000, 80]
EXPECTED = ["system", None, "user", "dynamic", "system"]


@pytest.mark.parametrize(
    "column",
    [
        MIXED,
        tuple(MIXED),
        iter(MIXED),
        np.array(MIXED, dtype=object),
        np.ma.array([80, 1, 8080, 50_000, 80], mask=[False, True, False, False, False]),
        [np.uint16(80), None, np.int64(8080), 50_000, 80],
        [80, pd.NA, 8080, 50_000, 80],
        pd.Series(MIXED, dtype="Int64"),
        pd.Series(MIXED, dtype="UInt16"),
        pd.Series(MIXED, dtype=object),
        *(pa.array(MIXED, type) for type in (pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64())),
        pa.array([7, *MIXED, 9], pa.uint16())[1:-1],
        pa.chunked_array([pa.array(MIXED[:2], pa.int32()), pa.array([], pa.int32()), pa.array(MIXED[2:], pa.int32())]),
        pl.Series(MIXED, dtype=pl.UInt16),
        pl.Series(MIXED, dtype=pl.Int64),
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__} {getattr(column, 'dtype', '')}",
)
def test_classify_forms(column: Any) -> None:
    assert nf.classify_ports(column).tolist() == EXPECTED


def test_classify_nothing_and_nulls() -> None:
    nothing: Any
    for nothing in ([], (), np.array([], dtype="u2"), pa.array([], pa.int32()), pa.chunked_array([], pa.int32())):
        assert nf.classify_ports(nothing).tolist() == []
    assert nf.classify_ports([None, None]).tolist() == [None, None]
    assert nf.classify_ports(pa.nulls(2)).tolist() == [None, None]
    assert nf.classify_ports(pa.nulls(2, pa.int8()), errors="raise").tolist() == [None, None]


def test_classify_a_column_of_duckdb() -> None:
    with duckdb.connect() as connection:
        column = connection.sql("select unnest([80, NULL, 50000])::USMALLINT as p").to_arrow_table()["p"]
    assert nf.classify_ports(column).tolist() == ["system", None, "dynamic"]


def test_what_is_no_port_is_a_row_or_an_error() -> None:
    items = [1, -1, 65_536, 2**80, -(2**80), 2]
    assert nf.classify_ports(items).tolist() == ["system", "invalid", "invalid", "invalid", "invalid", "system"]
    wide = pa.array([2**64 - 1, 2**63, 65_535], pa.uint64())
    assert nf.classify_ports(wide).tolist() == ["invalid", "invalid", "dynamic"]
    for column, said in (
        (items, "port 1 is -1: wanted 0 to 65535"),
        ([None, 2**80], f"port 1 is {2**80}"),
        ([1 << 20_000], "port 0 is 0x1000"),
        (np.array([5, 70_000]), "port 1 is 70000"),
        (pa.array([None, 1, 65_536]), "port 2 is 65536"),
        (pa.array([2**64 - 1], pa.uint64()), f"port 0 is {2**64 - 1}: "),
        (pa.chunked_array([pa.array([1], pa.uint64()), pa.array([2**63], pa.uint64())]), f"port 1 is {2**63}: "),
        ([np.int32(-3)], "port 0 is -3"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            nf.classify_ports(column, errors="raise")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1, True], "port 1 is bool"),
        ([1, None, 80.0], "port 2 is float"),
        ([float("nan")], "port 0 is float"),
        (["80"], "port 0 is str"),
        ([np.bool_(True)], "port 0 is bool"),
        ([[80]], "port 0 is list"),
        (np.array([1.0]), "NumPy array of float64[1]"),
        (np.array([True]), "NumPy array of bool[1]"),
        (np.array(["80"]), "NumPy array of <U2[1]"),
        (np.array([[80]]), "int64[1, 1]"),
        (np.array(80), "int64[]"),
        (pa.array([1.0]), "format 'g'"),
        (pa.array(["80"]), "format 'u'"),
        (pa.array([80]).dictionary_encode(), "Arrow dictionary"),
        (pa.array([True]), "'b'"),
        (80, "one int, not a collection"),
        ("80", "one str, not a collection"),
        (b"80", "one bytes, not a collection"),
        (None, "one NoneType"),
    ],
)
def test_what_is_no_column_of_ports(column: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        nf.classify_ports(column)


def test_options_of_classify() -> None:
    with pytest.raises(ValueError, match="scheme='rfc'"):
        nf.classify_ports([], "rfc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"scheme=\[\]: wanted"):
        nf.classify_ports([1], [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="errors='ignore'"):
        nf.classify_ports([], errors="ignore")  # type: ignore[arg-type]


# ---- names and numbers -----------------------------------------------------------------------------------------------


def test_look_ups() -> None:
    assert nf.service_name(514, "udp") == "syslog"
    assert nf.service_name(514, "tcp") == "shell"
    assert nf.service_name(65_535) is None
    assert nf.service_port("NFS", "udp") == 2049
    assert nf.service_port("80") is None


def test_look_ups_are_checked() -> None:
    for call in (nf.service_name, nf.service_port):
        with pytest.raises(ValueError, match="protocol='icmp': wanted one of tcp, udp, sctp, dccp"):
            call(80 if call is nf.service_name else "http", "icmp")  # type: ignore[arg-type]
    for number in (-1, 65_536, 1 << 70):
        with pytest.raises(ValueError, match=f"port={number}"):
            nf.service_name(number)
    with pytest.raises(TypeError, match="name is int"):
        nf.service_port(80)  # type: ignore[arg-type]
    for call in (nf.service_name, nf.service_port):
        with pytest.raises(TypeError, match="protocol is list; wanted a str"):
            call(80 if call is nf.service_name else "http", ["tcp"])  # type: ignore[arg-type]


def test_import_is_cheap() -> None:
    code = """
import sys, netfast.ports, netfast.port_probes, netfast.free_ports
from netfast.registry import services
assert not services.services.cache_info().currsize
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "ipaddress", "pathlib", "csv", "netfast.netstat"}.isdisjoint(loaded)


# ---- free ports ------------------------------------------------------------------------------------------------------

KINDS = [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)]
LOOPBACK = ["127.0.0.1", "::1", None, "localhost"]


@pytest.fixture(params=KINDS, ids=["tcp", "udp"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param[0]
    return name


@pytest.mark.parametrize("host", [*LOOPBACK, ipaddress.ip_address("127.0.0.2"), "0.0.0.0", "::"])
def test_reserved_is_bound_and_no_more(host: Any, protocol: Any) -> None:
    with nf.reserve_port(host=host, protocol=protocol) as sock:
        assert sock.type == dict(KINDS)[protocol]
        assert sock.getsockname()[1] > 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        assert sock.gettimeout() is None
        assert not sock.get_inheritable()
        if host is None:
            assert sock.family == socket.AF_INET6
            assert not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


@pytest.mark.parametrize("taken", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"])
def test_a_port_is_free_on_every_address_or_it_is_not(taken: str, protocol: Any) -> None:
    with bound(0, taken, dict(KINDS)[protocol]) as sock:
        number = sock.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"{protocol} \[::\]:{number} cannot be bound: Address already in use"
        ) as caught:
            nf.reserve_port(number, protocol=protocol)
        assert caught.value.errno == errno.EADDRINUSE
        assert nf.find_free_port(protocol=protocol, ports=[number, number + 1, number + 2]) != number


def test_what_is_reserved_is_taken(protocol: Any) -> None:
    with nf.reserve_port(protocol=protocol) as sock:
        number = sock.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with pytest.raises(OSError, match="in use"):
                bound(number, host, dict(KINDS)[protocol])


def test_tcp_and_udp_are_apart() -> None:
    with nf.reserve_port() as sock:
        number = sock.getsockname()[1]
        assert nf.find_free_port(protocol="udp", ports=[number]) == number


def test_a_listener_that_lets_others_bind_is_seen() -> None:
    """With SO_REUSEADDR, two sockets could be bound as long as none listens."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            nf.find_free_port(ports=[sock.getsockname()[1]])


@pytest.mark.parametrize("host", LOOPBACK)
def test_found_can_be_bound(host: str | None, protocol: Any) -> None:
    number = nf.find_free_port(host, protocol=protocol)
    with nf.reserve_port(number, host=host, protocol=protocol) as sock:
        assert sock.getsockname()[1] == number
        if protocol == "tcp":
            sock.listen()


def test_ports_of_any_number_are_tried_in_order(protocol: Any) -> None:
    with nf.reserve_port(protocol=protocol) as sock:
        taken = sock.getsockname()[1]
        free = nf.find_free_port(protocol=protocol)
        assert nf.find_free_port(protocol=protocol, ports=iter([taken, free, 1])) == free
        with nf.reserve_port(protocol=protocol, ports=(taken, free)) as other:
            assert other.getsockname()[1] == free


@pytest.fixture
def three_taken() -> Iterator[int]:
    """The first of three ports in a row that are taken."""
    while True:
        with nf.reserve_port() as one:
            first = one.getsockname()[1]
            try:
                with nf.reserve_port(first + 1), nf.reserve_port(first + 2):
                    yield first
                    return
            except (OSError, ValueError):
                continue


def test_if_all_are_taken_they_are_named(three_taken: int) -> None:
    first = three_taken
    for candidates, said in (
        (range(first, first + 3), f"no tcp port of every address is free among {first}–{first + 2}: Address already"),
        ([first + 2, first], f"among {first + 2}, {first}: "),
        ([first, first + 1] * 10, f"{first + 1} and 12 more: "),
        ([first], f"tcp [::]:{first} cannot be bound"),
    ):
        for call in (nf.find_free_port, nf.reserve_port):
            with pytest.raises(OSError, match="in use") as caught:
                call(ports=candidates)
            assert caught.value.errno == errno.EADDRINUSE
            assert said in str(caught.value)
    with pytest.raises(OSError, match=rf"port of 127\.0\.0\.1 is free among {first}–{first + 1}:"):
        nf.find_free_port("127.0.0.1", ports=(first, first + 1))


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """The name "many.test" has these addresses."""

    def fake(name: str, port: int, family: int = 0, type: int = 0, **keywords: int) -> list[tuple[Any, ...]]:
        assert name == "many.test"
        six = [":" in address for address in addresses]
        return [
            (socket.AF_INET6, type, 0, "", (address, 0, 0, 0))
            if is_six
            else (socket.AF_INET, type, 0, "", (address, 0))
            for address, is_six in zip(addresses, six, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


def test_every_address_of_a_name_is_free(monkeypatch: pytest.MonkeyPatch, protocol: Any) -> None:
    names(monkeypatch, "127.0.0.1", "::1", "127.0.0.3")
    with bound(0, "127.0.0.3", dict(KINDS)[protocol]) as sock:
        number = sock.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.3:{number} cannot"):
            nf.find_free_port("many.test", protocol=protocol, ports=[number])
        with nf.reserve_port(number, host="many.test", protocol=protocol) as reserved:
            assert reserved.getsockname() == ("127.0.0.1", number)
        assert nf.find_free_port("many.test", protocol=protocol) != number


def test_a_link_local_address_has_its_zone() -> None:
    with pytest.raises(OSError, match=r"udp \[fe80::77%lo\]:0 cannot be bound: Cannot assign"):
        nf.reserve_port(host="fe80::77%lo", protocol="udp")
    with pytest.raises(socket.gaierror, match="no interface 'nix'"):
        nf.reserve_port(host="fe80::77%nix")


@pytest.mark.timed
def test_a_look_up_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(20))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for call in (nf.find_free_port, nf.reserve_port):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            begin = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                call(host="slow.test")
            assert time.monotonic() - begin < 0.3
    finally:
        signal.signal(signal.SIGALRM, before)
        ended.set()


def test_addresses_of_other_machines_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "192.0.2.1", "127.0.0.1")
    with nf.reserve_port(host="many.test") as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    assert nf.find_free_port("many.test")
    names(monkeypatch, "192.0.2.1", "2001:db8::1")
    for call in (nf.find_free_port, nf.reserve_port):
        with pytest.raises(OSError, match=r"tcp 192\.0\.2\.1:0 cannot be bound: Cannot assign") as caught:
            call(host="many.test")
        assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match=r"tcp 192\.0\.2\.1:8080 cannot be bound"):
        nf.reserve_port(8080, host="many.test")


def test_a_kernel_without_ipv6(monkeypatch: pytest.MonkeyPatch, protocol: Any) -> None:
    class Socket(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **keywords: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **keywords)

    monkeypatch.setattr(socket, "socket", Socket)
    with nf.reserve_port(protocol=protocol) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
        number = sock.getsockname()[1]
        with pytest.raises(OSError, match=rf"0\.0\.0\.0:{number} cannot be bound"):
            nf.reserve_port(number, protocol=protocol)
    assert nf.find_free_port(protocol=protocol)
    with pytest.raises(OSError, match=r"\[::1\]:0 cannot be bound: Address family") as caught:
        nf.reserve_port(host="::1", protocol=protocol)
    assert caught.value.errno == errno.EAFNOSUPPORT


@pytest.mark.parametrize("call", [nf.find_free_port, nf.reserve_port])
@pytest.mark.parametrize(
    ("keywords", "kind", "said"),
    [
        ({"protocol": "sctp"}, ValueError, "protocol='sctp': wanted one of tcp, udp"),
        ({"protocol": None}, TypeError, "protocol is NoneType"),
        ({"ports": []}, ValueError, "ports is empty"),
        ({"ports": [0]}, ValueError, r"ports\[0\]=0: wanted 1 to 65535"),
        ({"ports": [65536]}, ValueError, r"ports\[0\]=65536"),
        ({"ports": [1.5]}, TypeError, r"ports\[0\] is float"),
        ({"ports": 80}, TypeError, "ports is int; wanted an iterable"),
        ({"ports": "80"}, TypeError, "ports is str"),
        ({"host": b"::1"}, TypeError, "host is bytes"),
        ({"host": 1}, TypeError, "host is int"),
        ({"host": ""}, ValueError, "host is empty"),
        ({"host": "nowhere.invalid"}, socket.gaierror, "nowhere.invalid: "),
        ({"host": "localhost\0.test"}, ValueError, r"'localhost\\x00.test' is no host: it holds a NUL"),
        ({"host": "fe80::1%lo\0"}, ValueError, "it holds a NUL"),
        ({"host": "127.0.0.0/30"}, ValueError, "127.0.0.0/30 is a prefix, not one host$"),
        ({"host": "127.1"}, socket.gaierror, "127.1: not four octets"),
        ({"host": "a" * 70 + ".test"}, socket.gaierror, "no host name|not known"),
    ],
)
def test_wrong_arguments(call: Any, keywords: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        call(**keywords)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"port": -1}, ValueError, "port=-1: wanted 0 to 65535"),
        ({"port": 65_536}, ValueError, "port=65536"),
        ({"port": "80"}, TypeError, "port is str"),
        ({"port": True}, TypeError, "port is bool"),
        ({"port": 80, "ports": [81]}, ValueError, "port=80 and ports"),
    ],
)
def test_wrong_ports_to_reserve(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        nf.reserve_port(**arguments)


def test_no_descriptor_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    class Socket(socket.socket):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            opened.append(self)

    monkeypatch.setattr(socket, "socket", Socket)
    with closing(nf.reserve_port()) as kept:
        number = kept.getsockname()[1]
        nf.find_free_port("localhost")
        nf.find_free_port(ports=[number, *range(number + 1, number + 9)])
        for call in (lambda: nf.find_free_port(ports=[number]), lambda: nf.reserve_port(host="192.0.2.1")):
            with pytest.raises(OSError, match="cannot be bound"):
                call()
        assert len(opened) >= 6
        assert [sock for sock in opened if sock.fileno() >= 0] == [kept]
