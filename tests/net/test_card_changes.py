"""Changes of cards and of their addresses: what ip(8) shows afterwards, and what is refused, with nothing changed."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netfast as nf
from net import cards_lab, lab
from net.cards_lab import Fields, ip

ANY: Any = None  # makes arguments of the wrong type


@pytest.fixture
def cards(alone: lab.Namespace) -> lab.Namespace:
    """The test runs beside the cards v0 and v1, which are each other's peers and down, and a macvlan m0 on v0."""
    ip("link add v0 address 02:00:00:00:00:10 type veth peer name v1 address 02:00:00:00:00:11")
    ip("link add m0 link v0 address 02:00:00:00:00:12 type macvlan mode bridge")
    return alone


def state() -> dict[str, Fields]:
    """All that ip shows, but what goes on by itself."""
    fields = {name: cards_lab.expected(card) for name, card in cards_lab.shown().items()}
    for card in fields.values():
        del card["stats"], card["details"]
        for address in card["addresses"]:
            address["valid_lft"] = address["valid_lft"] is not None
            address["preferred_lft"] = address["preferred_lft"] is not None
            address["flags"].discard("tentative")
    return fields


def address_of(name: str, local: str) -> cards_lab.Shown:
    found: list[cards_lab.Shown] = cards_lab.shown()[name]["addr_info"]
    found = [address for address in found if address["local"] == local]
    (address,) = found
    return address


# --- set_interface ---------------------------------------------------------------------------------------------------


def test_up_and_down(cards: lab.Namespace) -> None:
    assert nf.set_interface("v0", up=True).admin_up
    assert "UP" in cards_lab.shown()["v0"]["flags"]
    card = nf.set_interface("v0", up=False)
    assert not card.admin_up
    assert not card.running
    assert "UP" not in cards_lab.shown()["v0"]["flags"]
    assert nf.interface("v1").admin_up is False


@pytest.mark.parametrize("mtu", [68, 1279, 1280, 1499, 9000, 65535])
def test_mtu(cards: lab.Namespace, mtu: int) -> None:
    assert nf.set_interface("v0", mtu=mtu).mtu == mtu
    assert cards_lab.shown()["v0"]["mtu"] == mtu


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("hwaddr", ["02:00:00:00:0A:bC", "fe:ff:ff:ff:ff:ff", "00:00:00:00:00:01"])
def test_hwaddr(cards: lab.Namespace, hwaddr: str, up: bool) -> None:
    nf.set_interface("v0", up=up)
    card = nf.set_interface("v0", hwaddr=hwaddr)
    assert (card.hwaddr, card.admin_up) == (hwaddr.lower(), up)
    assert cards_lab.shown()["v0"]["address"] == hwaddr.lower()


NAMES = ["a", "ä", "fifteen-bytes-x", "-x", "$(id)", "日本", 'a"b', "bad\udcff", "\x1b[0m", "v0.100", "...", "9"]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_name(cards: lab.Namespace, name: str) -> None:
    index = socket.if_nametoindex("v0")
    card = nf.set_interface("v0", new_name=name)
    assert (card.name, card.index) == (name, index)
    assert cards_lab.shown().keys() == {"lo", "v1", "m0", name}
    assert nf.set_interface(os.fsencode(name), new_name="v0").name == "v0"


def test_a_card_that_is_up_is_renamed_where_the_kernel_does_so(cards: lab.Namespace) -> None:
    ip("link set v0 up")
    ip("link set v1 up")
    index = socket.if_nametoindex("v0")
    try:
        ip("link set v1 name w1")
    except RuntimeError:  # the device is busy, before Linux 6.0
        with pytest.raises(OSError, match="v0") as caught:
            nf.set_interface("v0", new_name="w0")
        assert caught.value.errno == errno.EBUSY
    else:
        card = nf.set_interface("v0", new_name="w0")
        assert (card.name, card.admin_up, card.running) == ("w0", True, True)
    assert nf.set_interface(index, up=False, new_name="z0", mtu=1400).name == "z0"


def test_all_at_once(cards: lab.Namespace) -> None:
    index = socket.if_nametoindex("v0")
    card = nf.set_interface(index, up=True, mtu=1400, hwaddr="02:00:00:00:00:77", new_name="w0")
    assert (card.index, card.name, card.admin_up, card.mtu, card.hwaddr) == (
        *(index, "w0", True, 1400),
        "02:00:00:00:00:77",
    )
    shown = cards_lab.shown()["w0"]
    assert (shown["ifindex"], shown["mtu"], shown["address"]) == (index, 1400, "02:00:00:00:00:77")
    assert "UP" in shown["flags"]
    assert cards_lab.found(card) == cards_lab.found(nf.interface("w0"))


def test_what_is_not_asked_for_stays(cards: lab.Namespace) -> None:
    before = state()
    nf.set_interface("v0", mtu=1400)
    after = state()
    assert after["v0"].pop("mtu") == 1400
    before["v0"].pop("mtu")
    after["m0"].pop("mtu"), before["m0"].pop("mtu")  # goes with the card below
    assert after == before


def test_the_card_may_be_named_in_every_way(cards: lab.Namespace) -> None:
    ip("link property add dev v0 altname a-name-of-more-than-fifteen-bytes")
    names: list[str | bytes | int] = ["v0", b"v0", socket.if_nametoindex("v0"), "a-name-of-more-than-fifteen-bytes"]
    for number, name in enumerate(names):
        assert nf.set_interface(name, mtu=1000 + number).name == "v0"
        assert cards_lab.shown()["v0"]["mtu"] == 1000 + number
        nf.add_address(name, f"10.0.{number}.1/24")
        assert address_of("v0", f"10.0.{number}.1")["label"] == "v0"
        nf.del_address(name, f"10.0.{number}.1/24")
    assert cards_lab.shown()["v0"]["addr_info"] == []


def test_a_port_of_a_bridge_may_change(cards: lab.Namespace, require: Callable[[object, str], None]) -> None:
    cards_lab.make(require, "br0 type bridge")
    ip("link set v1 master br0")
    card = nf.set_interface("v1", up=True, mtu=1300)
    assert (card.master, card.port_kind, card.mtu) == ("br0", "bridge", 1300)


def test_a_tunnel_has_no_hardware_address(alone: lab.Namespace) -> None:
    ip("tuntap add tun0 mode tun")
    assert nf.set_interface("tun0", up=True, mtu=1300, new_name="tun5").mtu == 1300
    with pytest.raises((ValueError, OSError), match="tun5"):
        nf.set_interface("tun5", hwaddr="02:00:00:00:00:01")
    with pytest.raises(ValueError, match=r"hwaddr|tun5"):
        nf.set_interface("tun5", hwaddr="")


# --- what is wrong is refused before anything is sent ----------------------------------------------------------------

# (arguments, the error, what its text must name)
WRONG: list[tuple[dict[str, object], type[Exception], str]] = [
    ({}, ValueError, "set_interface|change|nothing"),
    ({"mtu": 67}, ValueError, "mtu"),
    ({"mtu": 65536}, ValueError, "mtu"),
    ({"mtu": 0}, ValueError, "mtu"),
    ({"mtu": -1}, ValueError, "mtu"),
    ({"mtu": 2**32 + 1400}, ValueError, "mtu"),
    ({"mtu": 2**80}, ValueError, "mtu"),
    ({"mtu": "1400"}, TypeError, "mtu"),
    ({"mtu": 1400.0}, TypeError, "mtu"),
    ({"mtu": True}, TypeError, "mtu"),
    ({"up": "yes"}, TypeError, "up"),
    ({"up": 2}, TypeError, "up"),
    ({"hwaddr": "01:00:00:00:00:01"}, ValueError, "hwaddr"),  # multicast
    ({"hwaddr": "ff:ff:ff:ff:ff:ff"}, ValueError, "hwaddr"),
    ({"hwaddr": "00:00:00:00:00:00"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00:01:02"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00:0g"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00:001"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00:-1"}, ValueError, "hwaddr"),
    ({"hwaddr": "02:00:00:00:00:٠١"}, ValueError, "hwaddr"),
    ({"hwaddr": ""}, ValueError, "hwaddr"),
    ({"hwaddr": 2}, TypeError, "hwaddr"),
    ({"new_name": ""}, ValueError, "new_name"),
    ({"new_name": "."}, ValueError, "new_name"),
    ({"new_name": ".."}, ValueError, "new_name"),
    ({"new_name": "a/b"}, ValueError, "new_name"),
    ({"new_name": "a:b"}, ValueError, "new_name"),
    ({"new_name": "a b"}, ValueError, "new_name"),
    ({"new_name": "a\tb"}, ValueError, "new_name"),
    ({"new_name": "a\nb"}, ValueError, "new_name"),
    ({"new_name": "a\x0bb"}, ValueError, "new_name"),
    ({"new_name": "v%d"}, ValueError, "new_name"),  # the kernel would number it
    ({"new_name": "à"}, ValueError, "new_name"),  # b"\xc3\xa0", the second of which is a space to the kernel
    ({"mtu": 1400, "new_name": "all"}, ValueError, "new_name"),  # these are below /proc/sys/net/ipv4/conf
    ({"mtu": 1400, "new_name": "default"}, ValueError, "new_name"),
    ({"new_name": "a\0"}, ValueError, "new_name"),
    ({"new_name": "\0"}, ValueError, "new_name"),
    ({"new_name": "sixteen-bytes-xx"}, ValueError, "new_name"),
    ({"new_name": "日本日本日本"}, ValueError, "new_name"),  # of 18 bytes
    ({"new_name": "\ud800"}, ValueError, "new_name"),  # no name can hold it
    ({"new_name": 5}, TypeError, "new_name"),
    ({"mtu": 1400, "new_name": "a/b"}, ValueError, "new_name"),
    ({"up": True, "hwaddr": "02:00:00:00:00:77", "mtu": 67}, ValueError, "mtu"),
    ({"up": True, "mtu": 1400, "hwaddr": "01:00:00:00:00:01"}, ValueError, "hwaddr"),
]


@pytest.mark.parametrize(("arguments", "kind", "named"), WRONG)
def test_a_wrong_change_changes_nothing(
    cards: lab.Namespace, arguments: dict[str, object], kind: type[Exception], named: str
) -> None:
    before = state()
    with pytest.raises(kind, match=named):
        nf.set_interface("v0", **arguments)  # type: ignore[arg-type]
    assert state() == before


# (address, arguments, the error, what its text must name)
WRONG_ADDRESSES: list[tuple[object, dict[str, object], type[Exception], str]] = [
    ("10.0.0.1", {}, ValueError, "/"),
    ("2001:db8::1", {}, ValueError, "/"),
    ("10.0.0.1/33", {}, ValueError, "10.0.0.1/33"),
    ("10.0.0.1/-1", {}, ValueError, "10.0.0.1/-1"),
    ("10.0.0.1/", {}, ValueError, "10.0.0.1/"),
    ("10.0.0.1/255.255.255.0", {}, ValueError, "255.255.255.0"),
    ("10.0.0.1/0.0.0.255", {}, ValueError, "0.0.0.255"),
    ("10.0.0.1/24/24", {}, ValueError, "24"),
    ("10.0.0.1/٢٤", {}, ValueError, "٢٤"),
    ("10.0.0.256/24", {}, ValueError, "10.0.0.256"),
    ("10.0.0/24", {}, ValueError, "10.0.0"),
    ("010.0.0.1/24", {}, ValueError, "010"),
    (" 10.0.0.1/24", {}, ValueError, "10.0.0.1"),
    ("10.0.0.1/24\n", {}, ValueError, "10.0.0.1"),
    ("2001:db8::1/129", {}, ValueError, "129"),
    ("fe80::1%v0/64", {}, ValueError, "fe80::1%v0"),
    ("fe80::1/64%v0", {}, ValueError, "fe80::1"),
    ("", {}, ValueError, "address"),
    ("v0", {}, ValueError, "v0"),
    (5, {}, TypeError, "address"),
    (None, {}, TypeError, "address"),
    (b"10.0.0.1/24", {}, TypeError, "address"),
    (ipaddress.ip_address("10.0.0.1"), {}, TypeError, "address"),
    ("10.0.0.1/24", {"peer": "10.0.0.2/24"}, ValueError, "peer"),
    ("10.0.0.1/24", {"peer": "2001:db8::1"}, ValueError, "peer"),
    ("2001:db8::1/64", {"peer": "10.0.0.2"}, ValueError, "peer"),
    ("10.0.0.1/24", {"peer": "x"}, ValueError, "peer"),
    ("10.0.0.1/24", {"peer": 5}, TypeError, "peer"),
    ("10.0.0.1/24", {"broadcast": "10.0.0"}, ValueError, "broadcast"),
    ("10.0.0.1/24", {"broadcast": "2001:db8::1"}, ValueError, "broadcast"),
    ("10.0.0.1/24", {"broadcast": 5}, TypeError, "broadcast"),
    ("2001:db8::1/64", {"broadcast": True}, ValueError, "broadcast"),
    ("2001:db8::1/64", {"broadcast": "10.0.0.255"}, ValueError, "broadcast"),
    ("2001:db8::1/64", {"label": "v0:1"}, ValueError, "label"),
    ("10.0.0.1/24", {"label": "v1"}, ValueError, "label"),
    ("10.0.0.1/24", {"label": "v"}, ValueError, "label"),
    ("10.0.0.1/24", {"label": ""}, ValueError, "label"),
    ("10.0.0.1/24", {"label": "v0:fifteen-bytes"}, ValueError, "label"),
    ("10.0.0.1/24", {"label": "v0:\0"}, ValueError, "label"),
    ("10.0.0.1/24", {"label": 5}, TypeError, "label"),
    ("10.0.0.1/24", {"scope": "planet"}, ValueError, "scope"),
    ("10.0.0.1/24", {"scope": 256}, ValueError, "scope"),
    ("10.0.0.1/24", {"scope": -1}, ValueError, "scope"),
    ("10.0.0.1/24", {"scope": 1.5}, TypeError, "scope"),
    ("10.0.0.1/24", {"scope": True}, TypeError, "scope"),
    ("10.0.0.1/24", {"valid_lft": 0}, ValueError, "valid_lft"),
    ("10.0.0.1/24", {"valid_lft": -5}, ValueError, "valid_lft"),
    ("10.0.0.1/24", {"valid_lft": 2**32}, ValueError, "valid_lft"),
    ("10.0.0.1/24", {"valid_lft": 10, "preferred_lft": 11}, ValueError, "preferred_lft"),
    ("10.0.0.1/24", {"valid_lft": 10, "preferred_lft": -1}, ValueError, "preferred_lft"),
    ("10.0.0.1/24", {"preferred_lft": 2**32 + 5}, ValueError, "preferred_lft"),
    ("10.0.0.1/24", {"valid_lft": "10"}, TypeError, "valid_lft"),
    ("10.0.0.1/24", {"valid_lft": True}, TypeError, "valid_lft"),
    ("10.0.0.1/24", {"valid_lft": 10, "preferred_lft": 1.5}, TypeError, "preferred_lft"),
    ("10.0.0.1/24", {"noprefixroute": "yes"}, TypeError, "noprefixroute"),
]


@pytest.mark.parametrize(("address", "arguments", "kind", "named"), WRONG_ADDRESSES)
def test_a_wrong_address_is_not_added(
    cards: lab.Namespace, address: Any, arguments: dict[str, Any], kind: type[Exception], named: str
) -> None:
    before = state()
    with pytest.raises(kind, match=re.escape(named)):
        nf.add_address("v0", address, **arguments)
    assert state() == before


@pytest.mark.parametrize(
    ("address", "arguments", "kind", "named"),
    [row for row in WRONG_ADDRESSES if row[1].keys() <= {"peer", "label"}],
)
def test_a_wrong_address_is_not_deleted(
    cards: lab.Namespace, address: Any, arguments: dict[str, Any], kind: type[Exception], named: str
) -> None:
    for line in ("10.0.0.1/24", "10.0.0.1/32", "2001:db8::1/64"):
        ip(f"addr add {line} dev v0")
    before = state()
    with pytest.raises(kind, match=re.escape(named)):
        nf.del_address("v0", address, **arguments)
    assert state() == before


@pytest.mark.parametrize("name", [None, 1.5, True, ["v0"]])
def test_what_names_no_card(cards: lab.Namespace, name: Any) -> None:
    for change in (
        lambda: nf.set_interface(name, up=True),
        lambda: nf.add_address(name, "10.0.0.1/24"),
        lambda: nf.del_address(name, "10.0.0.1/24"),
    ):
        with pytest.raises(TypeError):
            change()


@pytest.mark.parametrize("name", ["eth9", b"eth9", 7_000_000, "", "lo:1"])
def test_an_unknown_card(cards: lab.Namespace, name: str | bytes | int) -> None:
    before = state()
    for change in (
        lambda: nf.set_interface(name, up=True),
        lambda: nf.set_interface(name, mtu=1400, new_name="x"),
        lambda: nf.add_address(name, "10.0.0.1/24"),
        lambda: nf.add_address(name, "2001:db8::1/64"),
        lambda: nf.del_address(name, "10.0.0.1/24"),
    ):
        with pytest.raises(OSError, match="no network card") as caught:
            change()
        assert caught.value.errno == errno.ENODEV
    assert state() == before


def test_nothing_is_sent_for_a_wrong_argument(cards: lab.Namespace, tool: Callable[[str], str], tmp_path: Path) -> None:
    """What the process asks of the kernel, as strace(1) sees it."""
    code = """
import sys
import netfast as nf
nf.set_interface("v0", mtu=1400)
nf.add_address("v0", "10.9.9.9/24")
nf.del_address("v0", "10.9.9.9/24")
print("---", file=sys.stderr, flush=True)
for arguments in ({"mtu": 67}, {"mtu": 1300, "new_name": "a/b"}, {"hwaddr": "01:00:00:00:00:01", "up": True}, {},
                  {"mtu": "x"}, {"hwaddr": "02:00", "new_name": "w0"}):
    try:
        nf.set_interface("v0", **arguments)
    except (TypeError, ValueError):
        pass
for arguments in ({"label": "w0"}, {"scope": 256}, {"valid_lft": 0}, {"peer": "x"}, {"broadcast": "x"}):
    try:
        nf.add_address("v0", "10.0.0.1/24", **arguments)
    except ValueError:
        pass
for address in ("10.0.0.1", "10.0.0.1/33", "fe80::1%v0/64"):
    for change in (nf.add_address, nf.del_address):
        try:
            change("v0", address)
        except ValueError:
            pass
"""
    trace = tmp_path / "trace"
    (tmp_path / "code.py").write_text(code)
    command = [tool("strace"), "-f", "-o", str(trace), "-e", "trace=sendto,sendmsg,sendmmsg,write"]
    cards_lab.output(*command, sys.executable, str(tmp_path / "code.py"))
    # RTM_NEWLINK, RTM_SETLINK, RTM_NEWADDR, RTM_DELADDR, which strace may know by number only.
    changes = r"nlmsg_type=(?:0x1[0345]\b|RTM_(?:NEWLINK|SETLINK|NEWADDR|DELADDR))"
    before, after = trace.read_text().split("---")
    assert (len(re.findall(changes, before)), len(re.findall(changes, after))) == (3, 0)


def test_what_is_already_so_is_not_sent(cards: lab.Namespace) -> None:
    """A process without the privilege may ask for it."""
    code = f"""
import netfast as nf
{WITHOUT_PRIVILEGE}
card = nf.set_interface("v0", up=False, mtu=1500, hwaddr="02:00:00:00:00:10", new_name="v0")
print(card.name, card.mtu)
"""
    assert cards.python(code).split() == ["v0", "1500"]


# --- privileges ------------------------------------------------------------------------------------------------------

# Everything is imported, then CAP_NET_ADMIN (12) goes: capset(2) with _LINUX_CAPABILITY_VERSION_3.
WITHOUT_PRIVILEGE = """
import ctypes, struct
nf.ifconfig()
libc = ctypes.CDLL(None, use_errno=True)
header = ctypes.create_string_buffer(struct.pack("=II", 0x20080522, 0), 8)
data = ctypes.create_string_buffer(24)
assert libc.capget(header, data) == 0
words = list(struct.unpack("=6I", data.raw))
words[0] &= ~(1 << 12)
words[1] &= ~(1 << 12)
assert libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", *words), 24)) == 0
"""

TRIES = """
import json, os
def tried(change):
    try:
        change()
    except OSError as error:
        return type(error).__name__, error.errno, str(error)
    return "done", 0, ""
print(json.dumps([
    tried(lambda: nf.set_interface("v0", up=True)),
    tried(lambda: nf.set_interface("v0", mtu=1400)),
    tried(lambda: nf.set_interface("v0", hwaddr="02:00:00:00:00:77")),
    tried(lambda: nf.set_interface("v0", new_name="w0")),
    tried(lambda: nf.add_address("v0", "10.0.0.1/24")),
    tried(lambda: nf.add_address("v0", "2001:db8::1/64")),
    tried(lambda: nf.del_address("v0", "10.7.0.1/24")),
]))
"""
ASKED = ["up", "1400", "02:00:00:00:00:77", "w0", "10.0.0.1/24", "2001:db8::1/64", "10.7.0.1/24"]


@pytest.mark.parametrize("who", ["root without the capability", "nobody"])
def test_without_privilege_the_error_says_what_it_takes(cards: lab.Namespace, who: str) -> None:
    ip("addr add 10.7.0.1/24 dev v0")
    before = state()
    drop = WITHOUT_PRIVILEGE
    if who == "nobody":
        drop = "nf.ifconfig()\nimport json, os\nos.setresgid(65534, 65534, 65534)\nos.setresuid(65534, 65534, 65534)\n"
    warm = "try:\n    nf.set_interface('eth9', up=True)\nexcept OSError:\n    pass\n"
    results = json.loads(cards.python(f"import netfast as nf\n{warm}{drop}{TRIES}"))
    assert len(results) == len(ASKED)
    for (kind, number, text), asked in zip(results, ASKED, strict=True):
        assert (kind, number) == ("PermissionError", errno.EPERM)
        assert "v0" in text
        assert asked in text
        assert "CAP_NET_ADMIN" in text
    assert state() == before


# --- changes that fail half-way --------------------------------------------------------------------------------------


def failed(change: Callable[[], object]) -> OSError:
    with pytest.raises(OSError) as caught:  # noqa: PT011  (what it says is looked at by who called)
        change()
    return caught.value


def test_a_name_that_is_taken(cards: lab.Namespace) -> None:
    error = failed(lambda: nf.set_interface("v0", new_name="v1"))
    assert error.errno == errno.EEXIST
    assert "v0" in str(error)
    assert "v1" in str(error)
    assert state().keys() == {"lo", "v0", "v1", "m0"}


def test_what_was_changed_before_a_step_failed_is_told(cards: lab.Namespace) -> None:
    error = failed(lambda: nf.set_interface("v0", hwaddr="02:00:00:00:00:77", mtu=1400, new_name="v1", up=True))
    text = str(error)
    assert error.errno == errno.EEXIST
    for said in (
        "v0: ",
        "hardware address",
        "02:00:00:00:00:77",
        "MTU",
        "1400",
        "name",
        "v1",
        os.strerror(error.errno),
    ):
        assert said in text
    shown = cards_lab.shown()["v0"]
    assert (shown["address"], shown["mtu"]) == ("02:00:00:00:00:77", 1400)
    assert "UP" not in shown["flags"]  # which comes last


def test_an_mtu_that_the_card_below_forbids(cards: lab.Namespace) -> None:
    assert nf.interface("m0").max_mtu > 9000
    error = failed(lambda: nf.set_interface("m0", hwaddr="02:00:00:00:00:78", mtu=9000))
    assert error.errno == errno.EINVAL
    for said in ("m0: ", "hardware address", "02:00:00:00:00:78", "MTU", "9000", os.strerror(error.errno)):
        assert said in str(error)
    assert (nf.interface("m0").hwaddr, nf.interface("m0").mtu) == ("02:00:00:00:00:78", 1500)


def test_a_hardware_address_that_is_taken(cards: lab.Namespace) -> None:
    ip("link add m1 link v0 type macvlan mode bridge")
    for name in ("v0", "m0", "m1"):
        ip(f"link set {name} up")
    error = failed(lambda: nf.set_interface("m1", up=True, hwaddr="02:00:00:00:00:12", mtu=1400))
    assert error.errno == errno.EADDRINUSE
    assert re.search(r"m1: .*02:00:00:00:00:12", str(error))
    assert nf.interface("m1").mtu == 1500  # the step after it


def test_a_card_that_was_set_down_before_a_step_failed(cards: lab.Namespace) -> None:
    ip("link set v0 up")
    error = failed(lambda: nf.set_interface("v0", up=False, new_name="v1"))
    assert error.errno == errno.EEXIST
    for said in ("v0: ", "down", "name", "v1", os.strerror(error.errno)):
        assert said in str(error)
    assert not nf.interface("v0").admin_up


def test_a_card_that_cannot_come_up(cards: lab.Namespace, require: Callable[[object, str], None]) -> None:
    cards_lab.make(require, "vx0 type vxlan id 7 remote 10.0.0.9 dstport 4789")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 4789))
        error = failed(lambda: nf.set_interface("vx0", mtu=1400, new_name="vx5", up=True))
    assert error.errno == errno.EADDRINUSE
    for said in ("vx0", "up", "MTU", "1400", "vx5", os.strerror(error.errno)):
        assert said in str(error)
    card = nf.interface("vx5")
    assert (card.mtu, card.admin_up) == (1400, False)
    assert nf.set_interface("vx5", up=True).admin_up


# --- add_address and del_address -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "arguments", "line"),
    [
        ("10.0.0.1/24", {}, "10.0.0.1/24"),
        ("10.0.0.1/24", {"broadcast": True}, "10.0.0.1/24 broadcast +"),
        ("10.0.0.1/24", {"broadcast": False}, "10.0.0.1/24"),
        ("10.0.0.1/31", {"broadcast": None}, "10.0.0.1/31"),
        ("10.0.0.1/24", {"broadcast": "10.9.9.9"}, "10.0.0.1/24 broadcast 10.9.9.9"),
        ("10.0.0.1/24", {"label": "v0:1"}, "10.0.0.1/24 label v0:1"),
        ("10.0.0.1/24", {"label": "v0"}, "10.0.0.1/24"),
        ("10.0.0.1/24", {"label": "v0:fifteen-byte"}, "10.0.0.1/24 label v0:fifteen-byte"),
        ("10.0.0.1/24", {"peer": "10.0.0.2"}, "10.0.0.1 peer 10.0.0.2/24"),
        ("10.0.0.1/32", {"peer": "192.168.5.5"}, "10.0.0.1 peer 192.168.5.5/32"),
        ("10.0.0.1/24", {"scope": "site"}, "10.0.0.1/24 scope site"),
        ("10.0.0.1/24", {"scope": "link"}, "10.0.0.1/24 scope link"),
        ("10.0.0.1/24", {"scope": "host"}, "10.0.0.1/24 scope host"),
        ("10.0.0.1/24", {"scope": "global"}, "10.0.0.1/24 scope global"),
        ("10.0.0.1/24", {"scope": 77}, "10.0.0.1/24 scope 77"),
        ("10.0.0.1/24", {"scope": 0}, "10.0.0.1/24 scope global"),
        ("10.0.0.1/24", {"scope": 255}, "10.0.0.1/24 scope nowhere"),
        ("10.0.0.1/24", {"noprefixroute": True}, "10.0.0.1/24 noprefixroute"),
        ("127.0.0.5/8", {}, "127.0.0.5/8"),
        ("10.0.0.0/24", {}, "10.0.0.0/24"),
        ("10.0.0.255/24", {}, "10.0.0.255/24"),
        ("10.0.0.1/0", {}, "10.0.0.1/0"),
        (ipaddress.ip_interface("10.0.0.1/24"), {}, "10.0.0.1/24"),
        (ipaddress.ip_interface("10.0.0.1"), {}, "10.0.0.1/32"),
        (ipaddress.ip_interface("2001:db8::1/64"), {}, "2001:db8::1/64"),
        ("2001:db8::1/64", {}, "2001:db8::1/64"),
        ("2001:DB8:0:0::1/64", {}, "2001:db8::1/64"),
        ("2001:db8::1/0", {}, "2001:db8::1/0"),
        ("2001:db8::/64", {}, "2001:db8::/64"),
        ("fe80::5/64", {}, "fe80::5/64"),
        ("::ffff:10.0.0.1/128", {}, "::ffff:10.0.0.1/128"),
        ("2001:db8::1/128", {"peer": "2001:db8:5::5"}, "2001:db8::1 peer 2001:db8:5::5/128"),
        ("2001:db8::1/64", {"noprefixroute": True}, "2001:db8::1/64 noprefixroute"),
    ],
)
def test_an_address_is_added_as_ip_adds_it(
    cards: lab.Namespace, address: Any, arguments: dict[str, Any], line: str
) -> None:
    ip(f"addr add {line} dev v0")
    want = state()["v0"]["addresses"]
    ip("addr flush dev v0")
    assert state()["v0"]["addresses"] == []
    nf.add_address("v0", address, **arguments)
    assert state()["v0"]["addresses"] == want
    with pytest.raises(FileExistsError, match="v0") as caught:
        nf.add_address("v0", address, **arguments)
        assert caught.value.errno == errno.EEXIST
    assert state()["v0"]["addresses"] == want
    nf.del_address("v0", address, **{name: arguments[name] for name in ("peer", "label") if name in arguments})
    assert state()["v0"]["addresses"] == []
    with pytest.raises(OSError, match="v0") as gone:
        nf.del_address("v0", address)
    assert gone.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("address", ["10.0.0.1/24", "2001:db8::1/64"])
@pytest.mark.parametrize(
    ("valid", "preferred"), [(None, None), (1000, 500), (1000, 1000), (1000, 0), (None, 500), (None, 0), (2**31, 5)]
)
def test_lifetimes(cards: lab.Namespace, address: str, valid: int | None, preferred: int | None) -> None:
    nf.add_address("v0", address, valid_lft=valid, preferred_lft=preferred)
    (shown,) = cards_lab.shown()["v0"]["addr_info"]
    told = preferred if valid or ":" in address else None  # of IPv4, Linux tells no part of a lifetime without an end
    for of_ip, asked in ((shown["valid_life_time"], valid), (shown["preferred_life_time"], told)):
        if asked is None:
            assert of_ip == cards_lab.FOREVER
        else:
            assert asked - 5 <= of_ip <= asked
    (read,) = nf.interface("v0").addresses
    assert (read.valid_lft is None, read.preferred_lft is None) == (valid is None, told is None)
    assert ("deprecated" in read.flags) == (preferred == 0)


def test_an_end_holds_for_both_lifetimes(cards: lab.Namespace) -> None:
    for address in ("10.0.0.1", "2001:db8::1"):
        nf.add_address("v0", f"{address}/32" if "." in address else f"{address}/64", valid_lft=1000)
        shown = address_of("v0", address)
        assert 990 <= shown["preferred_life_time"] <= shown["valid_life_time"] <= 1000


def test_an_address_on_a_card_whose_name_is_no_text(alone: lab.Namespace) -> None:
    cards_lab.named(b"bad\xff")
    nf.add_address(b"bad\xff", "10.0.0.1/24", label="bad\udcff:1")
    nf.add_address("bad\udcff", "10.1.0.2/24")
    (card,) = (card for card in nf.interfaces() if card.name == "bad\udcff")
    assert [(address.ip, address.label) for address in card.addresses] == [
        ("10.0.0.1", "bad\udcff:1"),
        ("10.1.0.2", "bad\udcff"),
    ]
    assert nf.set_interface(b"bad\xff", up=True, mtu=1300).mtu == 1300
    nf.del_address("bad\udcff", "10.0.0.1/24", label="bad\udcff:1")
    assert [address.ip for address in nf.interface(b"bad\xff").addresses][:1] == ["10.1.0.2"]


def test_of_several_only_the_one_asked_for_goes(cards: lab.Namespace) -> None:
    lines = ("10.0.0.1/24", "10.0.0.1/25", "10.0.0.2/24", "10.0.0.1 peer 10.9.0.2/24", "10.1.0.1/24 label v0:1")
    for line in (*lines, "2001:db8::1/64", "2001:db8::2/64"):
        ip(f"addr add {line} dev v0")
    cards.sysctl(ipv4__conf__v0__promote_secondaries=1)

    def listed() -> list[tuple[str, int, str | None]]:
        return [(address.ip, address.prefixlen, address.peer) for address in nf.interface("v0").addresses]

    left = listed()
    for arguments, gone in (
        (("10.0.0.1/25",), ("10.0.0.1", 25, None)),
        (("10.0.0.1/24",), ("10.0.0.1", 24, None)),
        (("10.1.0.1/24",), ("10.1.0.1", 24, None)),
        (("2001:db8::1/64",), ("2001:db8::1", 64, None)),
    ):
        nf.del_address("v0", *arguments)
        left.remove(gone)
        assert sorted(listed(), key=str) == sorted(left, key=str)
    nf.del_address("v0", "10.0.0.1/24", peer="10.9.0.2")
    left.remove(("10.0.0.1", 24, "10.9.0.2"))
    assert sorted(listed(), key=str) == sorted(left, key=str)
    assert left


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("10.0.0.9/24", {}),  # no such address
        ("10.0.0.1/25", {}),  # another prefix
        ("10.0.0.1/24", {"label": "v0:9"}),
        ("10.0.0.1/24", {"peer": "10.0.0.9"}),
        ("2001:db8::9/64", {}),
        ("2001:db8::1/65", {}),
    ],
)
def test_an_address_that_is_not_there(cards: lab.Namespace, address: str, arguments: dict[str, Any]) -> None:
    ip("addr add 10.0.0.1/24 dev v0")
    ip("addr add 2001:db8::1/64 dev v0")
    before = state()
    with pytest.raises(OSError, match="v0") as caught:
        nf.del_address("v0", address, **arguments)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert address in str(caught.value)
    assert state() == before


def test_the_same_address_on_two_cards(cards: lab.Namespace) -> None:
    for name in ("v0", "v1"):
        nf.add_address(name, "10.0.0.1/24")
        nf.add_address(name, "2001:db8::1/64")
    nf.del_address("v1", "10.0.0.1/24")
    assert [address.ip for address in nf.interface("v0").addresses] == ["10.0.0.1", "2001:db8::1"]
    assert [address.ip for address in nf.interface("v1").addresses] == ["2001:db8::1"]


def test_an_ipv6_address_where_there_is_no_ipv6(cards: lab.Namespace) -> None:
    ip("link set v0 mtu 1000")
    with pytest.raises(OSError, match="v0") as caught:
        nf.add_address("v0", "2001:db8::1/64")
    assert "2001:db8::1/64" in str(caught.value)
    assert nf.interface("v0").addresses == ()


def test_the_kernels_own_refusal_is_told(cards: lab.Namespace) -> None:
    """A multicast address is none of a card's."""
    with pytest.raises((OSError, ValueError), match="ff02::5"):
        nf.add_address("v0", "ff02::5/64")
    assert nf.interface("v0").addresses == ()


# --- threads, descriptors, races -------------------------------------------------------------------------------------


def test_nothing_stays_open(cards: lab.Namespace) -> None:
    nf.set_interface("v0", mtu=1400)
    before = lab.descriptors()
    for number in range(100):
        nf.set_interface("v0", mtu=1300 + number, up=bool(number % 2))
        nf.add_address("v0", "10.0.0.1/24")
        nf.del_address("v0", "10.0.0.1/24")
        with pytest.raises(OSError, match="v0"):
            nf.del_address("v0", "10.0.0.1/24")
        with pytest.raises(OSError, match="v1"):
            nf.set_interface("v0", new_name="v1")
        with pytest.raises(ValueError, match="mtu"):
            nf.set_interface("v0", mtu=1)
        with pytest.raises(OSError, match="no network card"):
            nf.set_interface("eth9", up=True)
    assert lab.descriptors() == before


def test_a_change_is_made_in_the_threads_own_namespace(network: None) -> None:
    with lab.namespace() as one, lab.namespace() as other:
        for host in (one, other):
            host.ip("link add v0 type veth peer name v1")
        one.call(nf.set_interface, "v0", mtu=1300)
        other.call(nf.add_address, "v0", "10.0.0.1/24")
        assert (one.call(nf.interface, "v0").mtu, other.call(nf.interface, "v0").mtu) == (1300, 1500)
        assert one.call(nf.interface, "v0").addresses == ()
        assert [address.ip for address in other.call(nf.interface, "v0").addresses] == ["10.0.0.1"]


def test_what_is_no_matter_of_privilege_is_not_called_so(alone: lab.Namespace) -> None:
    alone.ip("link add v0 type ifb")
    alone.sysctl(ipv6__conf__v0__disable_ipv6=1)
    with pytest.raises(PermissionError) as caught:
        nf.add_address("v0", "2001:db8::1/64")
    assert "CAP_NET_ADMIN" not in str(caught.value)
    assert "v0" in str(caught.value)


def test_the_computed_broadcast_address_is_that_of_the_peers_network(alone: lab.Namespace) -> None:
    alone.ip("link add v0 type ifb")
    nf.add_address("v0", "10.0.0.1/24", peer="10.9.9.2", broadcast=True)
    assert nf.interface("v0").addresses[0].broadcast == "10.9.9.255"


def test_a_peer_that_is_the_address_itself_is_none(alone: lab.Namespace) -> None:
    alone.ip("link add v0 type ifb")
    nf.add_address("v0", "10.3.0.1/24", peer="10.3.0.1")
    assert nf.interface("v0").addresses[0].peer is None
    nf.del_address("v0", "10.3.0.1/24", peer="10.3.0.1")
    assert nf.interface("v0").addresses == ()


def test_types_of_numpy_are_taken(alone: lab.Namespace) -> None:
    alone.ip("link add v0 type ifb")
    index = np.int64(nf.interface("v0").index)
    card = nf.set_interface(index, mtu=np.int32(1300), new_name=np.bytes_(b"v1"), up=np.True_)  # type: ignore[arg-type]
    assert (card.name, card.mtu, card.admin_up) == ("v1", 1300, True)
    assert nf.interface(np.bytes_(b"v1")).index == index
