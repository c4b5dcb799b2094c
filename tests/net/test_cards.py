"""What is read of cards, against ip(8), ifconfig(8) and psutil: every kind of card, every field at an unusual value."""

from __future__ import annotations

import errno
import gc
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import psutil
import pytest

import netfast as nf
from net import cards_lab, lab
from net.cards_lab import Fields, ip, make

Require = Callable[[object, str], None]


class Zoo(NamedTuple):
    host: lab.Namespace
    other: lab.Namespace


@pytest.fixture(scope="module")
def all_cards(network: None, require: Require) -> Iterator[Zoo]:
    """A namespace with cards of every kind, each of them unlike the others, and the namespace at one's other end."""
    with ExitStack() as stack:
        host, other = stack.enter_context(lab.namespace()), stack.enter_context(lab.namespace())
        stack.enter_context(host.inside())
        make(require, "v0 numtxqueues 3 numrxqueues 2 type veth peer name v1")
        ip("link set v0 address 02:00:00:00:00:10 mtu 1400 txqueuelen 77 group 42 promisc on allmulticast on up")
        ip("link set v0 alias", b"uplink \xff\xe2\x82\xac")
        ip("link property add dev v0 altname a-name-of-more-than-fifteen-bytes altname zwei")
        host.run("tc", "qdisc", "replace", "dev", "v0", "root", "pfifo", "limit", "9")
        ip("link set v0 gso_max_size 60003 gso_max_segs 60 gro_max_size 60004")
        # IFLA_GSO_IPV4_MAX_SIZE and IFLA_GRO_IPV4_MAX_SIZE, of which this ip knows nothing.
        cards_lab.set_attribute("v0", 63, struct.pack("=I", 60_001))
        cards_lab.set_attribute("v0", 64, struct.pack("=I", 60_002))

        make(require, "br0 type bridge")
        ip("link set v1 master br0 up")
        ip("link set br0 up type bridge stp_state 1 priority 4096 ageing_time 1200 group_fwd_mask 8 mcast_snooping 0")
        far = _cable(host, other)
        ip(f"link set {far} name far0 up")
        make(require, "mv0 link v0 type macvlan mode source")
        ip("link set mv0 type macvlan macaddr add 02:00:00:00:00:99")
        make(require, "vx0 type vxlan id 42 dev far0 group 239.1.1.1 dstport 4789 ttl 7 tos 4 nolearning")
        make(require, "vx1 type vxlan external dstport 4790")
        make(require, "vx2 type vxlan id 7 local 2001:db8::1 remote 2001:db8::2 dstport 4791 srcport 1000 2000 df set")
        ip("link set vx2 up")
        make(require, "ifb7 type ifb")
        ip("tuntap add tap9 mode tap user 0 group 4000000000 multi_queue vnet_hdr")
        ip("tuntap add tun9 mode tun pi")
        stack.enter_context(cards_lab.tap("tun8", tun=True))
        ip("link set tun8 up")

        make(require, "low0 type veth peer name low1")  # its peer is down
        ip("link set low0 up")
        make(require, "dorm0 type veth peer name dorm1")
        ip("link set dorm1 mode dormant")
        ip("link set dorm0 up")
        ip("link set dorm1 up")
        make(require, "test0 type veth peer name test1")
        ip("link set test1 up")
        ip("link set test0 up")
        cards_lab.set_attribute("test0", 16, b"\4")  # IFLA_OPERSTATE, IF_OPER_TESTING
        make(require, "odd0 type veth peer name odd1")
        host.run("ifconfig", "odd0", "dynamic")
        host.run("ifconfig", "odd0", "trailers")
        ip("link set odd0 arp off multicast off up")
        ip("link set odd1 up mtu 1000")  # too small for IPv6
        for mode in ("none", "random"):
            make(require, f"{mode} type veth peer name {mode}1")
            ip(f"link set {mode} addrgenmode {mode}")
        make(require, "secret type veth peer name secret1")
        host.sysctl(ipv6__conf__secret__stable_secret="2001:db8::5ec1")
        ip("link set secret up")
        ip("link set secret1 up")
        _count(host, other)
        yield Zoo(host, other)


def _cable(host: lab.Namespace, other: lab.Namespace) -> str:
    near, far = lab.cable(host, other)
    other.ip(f"link set {far} name peer0")
    return near


def _count(host: lab.Namespace, other: lab.Namespace) -> None:
    """Makes the counters count that can be made to without a real card."""
    ip("addr add 10.77.0.1/24 dev far0")
    other.ip("addr add 10.77.0.2/24 dev peer0")
    host.run("ping", "-c", "3", "-i", "0", "-s", "1000", "10.77.0.2")
    with other.inside():
        cards_lab.send_frames("peer0", 5)  # rx_dropped
    # rx_errors and rx_frame_errors: a congested packet around one that cannot say so (RFC 6040).
    ip("link add ecn0 type vxlan id 5 remote 10.77.0.2 dev far0 dstport 4795")
    ip("link set ecn0 up")
    mac = bytes.fromhex(cards_lab.shown()["ecn0"]["address"].replace(":", ""))
    packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes([10, 1, 1, 1]), bytes([10, 1, 1, 2]))
    frame = struct.pack(">II", 0x08000000, 5 << 8) + mac + bytes.fromhex("0200000000020800") + packet + bytes(8)
    with other.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 3)
        for _ in range(4):
            sender.sendto(frame, ("10.77.0.1", 4795))
    # tx_errors, tx_carrier_errors and collisions: a tunnel without a way, and one that leads into itself.
    ip("link add lost0 type vxlan id 6 remote 10.88.0.1 dstport 4796")
    ip("link set lost0 up")
    cards_lab.send_frames("lost0", 3)
    ip("route add 10.88.0.1 dev lost0")
    cards_lab.send_frames("lost0", 2)
    # tx_dropped: nobody reads.
    ip("link set tun8 txqueuelen 3")
    ip("addr add 10.99.0.1 peer 10.99.0.2/24 dev tun8")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(10):
            sender.sendto(b"nobody reads this", ("10.99.0.2", 9))
    # multicast
    ip("link add multi0 link far0 type macvlan mode bridge")
    ip("link set multi0 up")
    with other.inside():
        cards_lab.send_frames("peer0", 6, ethertype=0x0800, to="01:00:5e:00:00:01")


@pytest.fixture
def zoo(all_cards: Zoo) -> Iterator[Zoo]:
    with all_cards.host.inside():
        yield all_cards


# A field, and what it is on most cards: None where each has its own.
FIELDS: dict[str, object] = {
    "index": None,
    "name": None,
    "altnames": (),
    "alias": None,
    "flags": {"BROADCAST", "MULTICAST", "UP", "LOWER_UP"},
    "admin_up": True,
    "running": True,
    "operstate": "up",
    "carrier": True,
    "dormant": False,
    "mtu": 1500,
    "min_mtu": 68,
    "max_mtu": 65535,
    "txqueuelen": 1000,
    "qdisc": "noqueue",
    "group": 0,
    "type": "ether",
    "kind": "veth",
    "port_kind": None,
    "hwaddr": None,
    "broadcast": "ff:ff:ff:ff:ff:ff",
    "master": None,
    "link": None,
    "link_netnsid": None,
    "promiscuity": 0,
    "allmulti": 0,
    "tx_queues": 2,
    "rx_queues": 2,
    "gso_max_size": 65536,
    "gso_max_segs": 65535,
    "tso_max_size": 524280,
    "gro_max_size": 65536,
    "addrgenmode": "eui64",
    "carrier_changes": 2,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_what_ip_shows(zoo: Zoo, field: str) -> None:
    ips, cards = cards_lab.settled(nf.interfaces)
    want = {name: fields[field] for name, card in ips.items() if field in (fields := cards_lab.expected(card))}
    got = {card.name: cards_lab.found(card)[field] for card in cards if card.name in want}
    assert got == want
    assert any(value != FIELDS[field] for value in want.values())  # ... and is unusual somewhere


def test_cards_come_by_index_each_once(zoo: Zoo) -> None:
    ips, cards = cards_lab.settled(nf.interfaces)
    assert [card.index for card in cards] == sorted(card["ifindex"] for card in ips.values())
    assert len(cards) == len({card.name for card in cards}) == len(ips)


def test_every_state_of_a_card(zoo: Zoo) -> None:
    # All but "notpresent", which takes a card that can be pulled out.
    states = {card.operstate for card in nf.interfaces()}
    assert states == {"up", "down", "unknown", "lowerlayerdown", "dormant", "testing"}
    ip("link set mv0 up")
    ip("link set v0 down")
    try:
        assert (nf.interface("v0").operstate, nf.interface("mv0").operstate) == ("down", "lowerlayerdown")
    finally:
        ip("link set v0 up")
        ip("link set mv0 down")


def test_up_and_running_are_two_things(zoo: Zoo) -> None:
    for name, admin_up, running in (("v0", True, True), ("low0", True, False), ("mv0", False, False)):
        card = nf.interface(name)
        assert (card.admin_up, card.running) == (admin_up, running)
        assert (nf.InterfaceFlags.UP in card.flags, nf.InterfaceFlags.RUNNING in card.flags) == (admin_up, running)
        assert card.carrier is (name != "low0")


def test_a_queue_of_no_length(zoo: Zoo) -> None:
    ip("link set low1 txqueuelen 0")
    assert nf.interface("low1").txqueuelen == 0


@pytest.mark.parametrize("name", ["br0", "mv0", "multi0", "vx0", "vx1", "vx2", "tap9", "tun9", "tun8"])
def test_details_are_those_of_ip(zoo: Zoo, name: str) -> None:
    ips, card = cards_lab.settled(lambda: nf.interface(name))
    want = cards_lab.expected(ips[name])["details"]
    assert want
    newer = {"localbypass", "mst_enabled", "mdb_offload_fail_notification", "fdb_local_vlan_0"}
    newer |= {"fdb_n_learned", "fdb_max_learned"}
    for field, value in want.items():
        if field.endswith("_timer"):
            assert card.details[field] == pytest.approx(value, abs=5)
        else:
            assert (field, card.details[field]) == (field, value)
    assert card.details.keys() - want.keys() <= newer


def test_a_kind_without_details_has_none(zoo: Zoo) -> None:
    assert [nf.interface(name).details for name in ("v0", "ifb7", "lo")] == [{}, {}, {}]


def test_a_peer_elsewhere_is_a_number(zoo: Zoo) -> None:
    card = nf.interface("far0")
    with zoo.other.inside():
        peer = nf.interface("peer0")
    assert (card.link, card.link_netnsid) == (f"if{peer.index}", cards_lab.shown()["far0"]["link_netnsid"])
    assert peer.link == f"if{card.index}"
    assert nf.interface("v0").link == "v1"
    assert nf.interface("v0").link_netnsid is None


def test_the_limits_of_segments_that_ip_does_not_show(zoo: Zoo) -> None:
    card = nf.interface("v0")
    if card.gso_ipv4_max_size:  # from Linux 6.3 on
        assert (card.gso_ipv4_max_size, card.gro_ipv4_max_size) == (60_001, 60_002)
    assert (card.gso_max_size, card.gso_max_segs, card.gro_max_size) == (60_003, 60, 60_004)


def test_a_permanent_address_stays(zoo: Zoo) -> None:
    want = {name: card["permaddr"] for name, card in cards_lab.shown().items() if "permaddr" in card}
    for name, address in want.items():  # ip shows it where it is not the present one
        assert nf.interface(name).permanent_hwaddr == address
    assert nf.interface("lo").permanent_hwaddr is None


COUNTED = (
    *("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped"),
    *("multicast", "collisions", "rx_frame_errors", "tx_carrier_errors"),
)


def test_counters_are_those_of_ip(zoo: Zoo) -> None:
    ips, cards = cards_lab.settled(nf.interfaces)
    counters = {card.name: card.stats._asdict() for card in cards}
    assert counters == {name: cards_lab.expected(card)["stats"] for name, card in ips.items()}
    assert [name for name in COUNTED if not any(stats[name] for stats in counters.values())] == []


def test_sums_of_counters_are_those_of_proc_net_dev(zoo: Zoo) -> None:
    def lines() -> dict[str, list[int]]:
        with open(f"/proc/self/task/{threading.get_native_id()}/net/dev") as file:
            rows = (line.split(":") for line in file.readlines()[2:])
            return {name.strip(): list(map(int, numbers.split())) for name, numbers in rows}

    _, (cards, table) = cards_lab.settled(lambda: (nf.interfaces(), lines()))
    for card in cards:
        stats = card.stats
        received = [stats.rx_bytes, stats.rx_packets, stats.rx_errors, stats.rx_drops, stats.rx_overruns, stats.frame]
        sent = [stats.tx_bytes, stats.tx_packets, stats.tx_errors, stats.tx_dropped, stats.tx_overruns]
        rest = [stats.collisions, stats.carrier, stats.tx_compressed]
        assert [*received, stats.rx_compressed, stats.multicast, *sent, *rest] == table[card.name]


def test_traffic_is_counted_to_the_packet(alone: lab.Namespace, network: None) -> None:
    with lab.namespace() as other:
        alone.sysctl(ipv6__conf__default__disable_ipv6=1)
        other.sysctl(ipv6__conf__default__disable_ipv6=1)
        near, far = lab.cable(alone, other)
        before = nf.interface(near).stats
        cards_lab.send_frames(near, 1000)
        with other.inside():
            cards_lab.send_frames(far, 10)
        after = nf.interface(near).stats
        assert (after.tx_packets - before.tx_packets, after.tx_bytes - before.tx_bytes) == (1000, 64_000)
        assert (after.rx_packets - before.rx_packets, after.rx_bytes - before.rx_bytes) == (10, 640)
        assert after.rx_dropped - before.rx_dropped == 10  # of a protocol that nobody knows


def test_a_card_as_a_dict_is_ready_for_json(zoo: Zoo) -> None:
    for card in nf.interfaces():
        again = json.loads(json.dumps(card.to_dict()))
        assert list(again) == list(nf.Interface._fields)
        assert again["flags"] == card.flags.names()
        assert again["stats"] == card.stats._asdict()
        assert [address["ip"] for address in again["addresses"]] == [address.ip for address in card.addresses]


# --- looking one up --------------------------------------------------------------------------------------------------


def test_a_card_by_name_alternative_name_and_index(zoo: Zoo) -> None:
    index = socket.if_nametoindex("v0")
    for name in ("v0", b"v0", index, "zwei", b"zwei", "a-name-of-more-than-fifteen-bytes"):
        assert (nf.interface(name).name, nf.interface(name).index) == ("v0", index)


def test_one_card_is_as_in_the_list(zoo: Zoo) -> None:
    def both() -> list[tuple[nf.Interface, nf.Interface]]:
        return [(card, nf.interface(card.index)) for card in nf.interfaces()]

    _, pairs = cards_lab.settled(both)
    for listed, asked in pairs:
        fields = cards_lab.found(listed), cards_lab.found(asked)
        for card in fields:
            for address in card["addresses"]:
                del address["valid_lft"], address["preferred_lft"]
            card["details"] = {name: value for name, value in card["details"].items() if not name.endswith("_timer")}
        assert fields[0] == fields[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("eth9", "no network card 'eth9'"),
        (b"eth9", "no network card 'eth9'"),
        ("", "no network card ''"),
        ("x" * 300, "no network card"),
        ("v", "no network card 'v'"),
        ("v0 ", "no network card 'v0 '"),
        ("lo:1", "no network card 'lo:1'"),
        ("\ud800", "no network card"),  # which no bytes are
        (7_000_000, "no network card with index 7000000"),
        (0, "no network card with index 0"),
    ],
)
def test_an_unknown_card(zoo: Zoo, name: str | bytes | int, text: str) -> None:
    with pytest.raises(OSError, match=text) as caught:
        nf.interface(name)
    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize("name", [None, 1.0, True, ["lo"], ipaddress.ip_address("127.0.0.1")])
def test_what_names_no_card(zoo: Zoo, name: object) -> None:
    with pytest.raises(TypeError):
        nf.interface(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [-1, 2**31, 2**32 + 1, 2**70])
def test_an_index_that_no_card_can_have(zoo: Zoo, index: int) -> None:
    with pytest.raises((OSError, ValueError), match=str(index)):
        nf.interface(index)


@pytest.mark.parametrize("name", ["lo\0", "\0", b"lo\0x"])
def test_a_name_with_a_nul_is_none(zoo: Zoo, name: str | bytes) -> None:
    with pytest.raises((OSError, ValueError)):
        nf.interface(name)


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = [
    b"bad\xff",
    b"-x",
    b"$(id)",
    "日本".encode(),
    b'a"b',
    b"\\",
    b"a'b",
    b"\x1b[31m",
    b"\x01",
    b"fifteen-bytes-x",
    b"7",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_the_kernel_takes(alone: lab.Namespace, name: bytes) -> None:
    cards_lab.named(name)
    text = os.fsdecode(name)
    card = nf.interface(name)
    assert card.name == text
    assert nf.interface(text) == nf.interface(card.index)
    listed = cards_lab.names(nf.interfaces())
    assert text in listed
    assert len(listed) == 3
    peer = nf.interfaces()[1 if listed[2] == text else 2]
    assert peer.link == text
    assert card.link == peer.name
    assert json.loads(json.dumps(card.to_dict()))["name"] == text
    assert nf.ifconfig(name).startswith(f"{text}: flags=")
    assert f"{text}: flags=" in nf.ifconfig(all=True)


def test_alternative_names_and_aliases_of_any_bytes(alone: lab.Namespace) -> None:
    ip("link add v0 type veth peer name v1")
    ip("link property add dev v0 altname", b"n\xff\xfe" + b"x" * 100)
    ip("link property add dev v0 altname", "日本".encode())
    ip("link set v0 alias", b'a "card" of \xff \x1b[31m' + b"y" * 200)
    card = nf.interface("日本")
    assert set(card.altnames) == {os.fsdecode(b"n\xff\xfe" + b"x" * 100), "日本"}
    assert card.alias == os.fsdecode(b'a "card" of \xff \x1b[31m' + b"y" * 200)
    assert nf.interface(b"n\xff\xfe" + b"x" * 100) == card


def test_more_names_than_fit_into_a_small_buffer(alone: lab.Namespace) -> None:
    alone.ip("link add v0 type veth peer name v1")
    alone.ip(*(f"link property add dev v0 altname {number:0127d}" for number in range(450)))
    card = nf.interface(f"{449:0127d}")
    assert (card.name, len(set(card.altnames))) == ("v0", 450)
    assert [len(other.altnames) for other in nf.interfaces()] == [0, 0, 450]


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.fixture
def addressed(network: None, require: Require) -> Iterator[lab.Namespace]:
    """The test runs on a host whose cards have addresses of all sorts."""
    with lab.namespace() as host, host.inside():
        host.sysctl(ipv6__conf__default__accept_dad=1)
        make(require, "v0 type veth peer name v1")
        make(require, "w0 type veth peer name w1")
        for name in ("v0", "v1", "w0"):
            ip(f"link set {name} up")
        for line in (
            "10.0.0.1/24 broadcast + dev v0",
            "10.0.0.2/24 dev v0",  # secondary
            "10.0.1.1/8 broadcast 10.9.9.9 dev v0 label v0:1",
            "10.1.0.1/32 dev v0 scope host label v0:10",
            "10.2.0.1 peer 10.2.0.2/30 dev v0 scope link",
            "10.3.0.1/24 dev v0 scope site valid_lft 1000 preferred_lft 500",
            "10.4.0.1/24 dev v0 scope 77 noprefixroute metric 99",
            "10.5.0.1/24 dev v0 scope nowhere valid_lft 1000 preferred_lft 0",
            "239.5.5.5/32 dev v0 autojoin",
            "0.0.0.9/0 dev v0",
            "2001:db8::1/64 dev v0 nodad",
            "2001:db8:1::1 peer 2001:db8:2::2/128 dev v0 nodad",
            "2001:db8:3::1/48 dev v0 nodad noprefixroute valid_lft 1000 preferred_lft 500",
            "2001:db8:4::1/64 dev v0 nodad valid_lft 1000 preferred_lft 0",
            "2001:db8:5::1/64 dev v0 nodad home metric 55",
            "fec0::1/64 dev v0 nodad",
            "::ffff:192.0.2.1/128 dev v0 nodad",
            "2001:db8:6::1/64 dev w0",  # tentative
            "2001:db8:7::1/64 dev v1 nodad",
            "2001:db8:7::1/64 dev v0",  # the other end has it
        ):
            ip(f"addr add {line}")
        host.sysctl(ipv6__conf__v0__use_tempaddr=2)
        ip("addr add 2001:db8:8::1/64 dev v0 nodad mngtmpaddr valid_lft 100000 preferred_lft 50000")
        # IFA_PROTO, which this ip does not know.
        body = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, socket.if_nametoindex("v0"))
        for number in (1, 2):
            body += cards_lab.attribute(number, bytes([10, 6, 0, 1]))
        cards_lab.ask(20, body + cards_lab.attribute(11, b"\x63"), 0x600)
        yield host


def test_addresses_are_those_of_ip(addressed: lab.Namespace) -> None:
    def has_failed(name: str) -> bool:
        return any(address.get("dadfailed") for address in cards_lab.shown()[name]["addr_info"])

    cards_lab.until(lambda: has_failed("v0"), "a duplicate address that is found out")
    ips, cards = cards_lab.settled(nf.interfaces)
    for card in cards:
        want, got = cards_lab.expected(ips[card.name])["addresses"], cards_lab.found(card)["addresses"]
        assert [address["ip"] for address in got] == [address["ip"] for address in want]
        for mine, of_ip in zip(got, want, strict=True):
            for clock in ("valid_lft", "preferred_lft"):
                _same_time(mine.pop(clock), of_ip.pop(clock))
            assert mine == of_ip
    addresses = [address for card in cards for address in card.addresses]
    flags = {flag for address in addresses for flag in address.flags}
    assert flags >= set(cards_lab.ADDRESS_FLAGS) - {"optimistic", "stable-privacy", "tentative"} | {"permanent"}
    assert {address.scope for address in addresses} == {*cards_lab.SCOPES, "77"}
    for field in ("broadcast", "peer", "valid_lft", "preferred_lft", "metric"):
        assert len({getattr(address, field) for address in addresses}) > 2, field
    assert all((address.label is None) == (address.family == socket.AF_INET6) for address in addresses)


def _same_time(mine: int | None, of_ip: int | None) -> None:
    """Clocks go on between two looks."""
    assert (mine is None) == (of_ip is None)
    if mine is not None and of_ip is not None:
        assert 0 <= mine - of_ip <= 5


def test_who_set_an_address(addressed: lab.Namespace) -> None:
    protocols = {address.ip: address.protocol for card in nf.interfaces() for address in card.addresses}
    assert protocols["10.6.0.1"] == 0x63
    assert protocols["10.0.0.1"] is None
    assert protocols["::1"] == 1  # IFAPROT_KERNEL_LO
    local = next(address for address in nf.interface("v1").addresses if address.ip.startswith("fe80"))
    assert local.protocol == 3  # IFAPROT_KERNEL_LL


def _of(name: str) -> list[str]:
    return [address.ip for address in nf.interface(name).addresses]


def test_an_address_that_is_not_known_to_be_free_is_tentative(addressed: lab.Namespace) -> None:
    flags = {address.ip: set(address.flags) for address in nf.interface("w0").addresses}
    assert "tentative" in flags["2001:db8:6::1"]  # its card has no carrier


def test_an_optimistic_address_and_one_of_a_secret(alone: lab.Namespace, require: Require) -> None:
    make(require, "v0 type veth peer name v1")
    alone.sysctl(ipv6__conf__v0__stable_secret="2001:db8::5ec1")
    ip("link set v0 up")
    ip("link set v1 up")
    cards_lab.until(lambda: len(nf.interface("v0").addresses) > 0, "a link-local address")
    assert nf.interface("v0").addrgenmode == "stable_secret"
    (address,) = nf.interface("v0").addresses
    assert {"stable-privacy", "permanent"} <= set(address.flags)
    alone.sysctl(ipv6__conf__v1__accept_dad=1, ipv6__conf__v1__dad_transmits=10)
    ip("link set v1 down")
    ip("addr add 2001:db8::1/64 dev v1 optimistic")
    flags = {address.ip: set(address.flags) for address in nf.interface("v1").addresses}
    assert ("optimistic" in flags["2001:db8::1"]) == any(
        address.get("optimistic") for address in cards_lab.shown()["v1"]["addr_info"]
    )


def test_what_follows_from_an_address(addressed: lab.Namespace) -> None:
    addresses = {address.ip: address for address in nf.interface("v0").addresses}
    assert addresses["10.2.0.1"].peer == "10.2.0.2"
    assert addresses["10.2.0.1"].prefixlen == 30  # of the peer
    assert addresses["10.0.0.1"].peer is None
    assert addresses["10.0.0.1"].netmask == "255.255.255.0"
    assert addresses["0.0.0.9"].netmask == "0.0.0.0"
    assert addresses["10.0.1.1"].label == "v0:1"
    assert addresses["10.0.0.1"].label == "v0"
    assert addresses["2001:db8:3::1"].netmask == "ffff:ffff:ffff::"
    assert addresses["2001:db8:1::1"].peer == "2001:db8:2::2"
    for address in addresses.values():
        assert str(address.interface.ip) == str(ipaddress.ip_address(address.ip))
        assert address.interface.network.prefixlen == address.prefixlen


def test_many_addresses_on_a_card(alone: lab.Namespace) -> None:
    ip("link add v0 type veth peer name v1")
    ip("link set v0 up")
    lines = [f"addr add 10.{i // 250}.{i % 250}.1/24 dev v0" for i in range(2000)]
    lines += [f"addr add 2001:db8:0:{i:x}::1/64 dev v0 nodad" for i in range(2000)]
    alone.ip(*lines)
    card = nf.interface("v0")
    assert len(card.addresses) == 4000  # and none of its own: it has no carrier
    listed = [address["local"] for address in cards_lab.shown()["v0"]["addr_info"]]
    assert [address.ip for address in card.addresses] == listed
    assert next(other for other in nf.interfaces() if other.name == "v0").addresses == card.addresses


def test_a_namespace_without_ipv6_addresses(network: None) -> None:
    with lab.namespace() as host:
        host.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1)
        host.ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 10.0.0.1/24 dev v0")
        with host.inside():
            cards = nf.interfaces()
            text = nf.ifconfig(all=True)
    assert [(address.ip, address.family) for card in cards for address in card.addresses] == [
        ("127.0.0.1", socket.AF_INET),
        ("10.0.0.1", socket.AF_INET),
    ]
    assert "inet6" not in text


def test_a_namespace_where_nothing_is_up(alone: lab.Namespace) -> None:
    ip("link set lo down")
    ip("addr flush dev lo")
    (lo,) = nf.interfaces()
    assert (lo.name, lo.index, lo.admin_up, lo.running, lo.operstate) == ("lo", 1, False, False, "down")
    assert lo.addresses == ()
    assert nf.ifconfig() == ""
    assert nf.ifconfig(all=True).startswith("lo: flags=8<LOOPBACK>  mtu 65536\n        loop  txqueuelen 1000")


# --- ifconfig's text -------------------------------------------------------------------------------------------------


def paragraphs(text: str) -> dict[str, tuple[str, list[str]]]:
    """By name: what ifconfig is right about, in order; and the lines of IPv6, whose order is any."""
    found = {}
    for paragraph in text.strip("\n").split("\n\n"):
        lines = paragraph.split("\n")
        sixth = sorted(line for line in lines if line.startswith("        inet6 "))
        found[lines[0].split(": flags=")[0]] = ("\n".join(line for line in lines if line not in sixth), sixth)
    return found


def same_text(look: Callable[[], tuple[str, str]]) -> None:
    _, (theirs, ours) = cards_lab.settled(look)
    assert paragraphs(ours) == paragraphs(theirs)


def test_the_text_is_that_of_ifconfig(zoo: Zoo, tool: Callable[[str], str]) -> None:
    tool("ifconfig")
    same_text(lambda: (cards_lab.output("ifconfig", "-a"), nf.ifconfig(all=True)))
    same_text(lambda: (cards_lab.output("ifconfig"), nf.ifconfig()))
    assert len(paragraphs(nf.ifconfig())) < len(paragraphs(nf.ifconfig(all=True)))
    assert nf.ifconfig("v0") == nf.ifconfig(socket.if_nametoindex("v0")) == nf.ifconfig(b"v0")


def test_aliases_are_paragraphs_as_with_ifconfig(alone: lab.Namespace, tool: Callable[[str], str]) -> None:
    tool("ifconfig")
    ip("link add v0 type veth peer name v1")
    for line in (
        "10.0.0.1/24 broadcast + dev v0 label v0:10",
        "10.1.0.1/16 dev v0 label v0:2",
        "10.2.0.1/8 broadcast 10.2.3.4 dev v0",
        "10.3.0.1 peer 10.3.0.2/30 dev v0 label v0:web",
        "2001:db8::1/64 dev v0 nodad",
    ):
        ip(f"addr add {line}")
    ip("link set v0 up")
    ip("link set v1 up")
    same_text(lambda: (cards_lab.output("ifconfig", "-a"), nf.ifconfig(all=True)))
    assert list(paragraphs(nf.ifconfig("v0"))) == ["v0", "v0:2", "v0:10", "v0:web"]


def test_every_address_is_printed(addressed: lab.Namespace) -> None:
    text = nf.ifconfig("v0")
    assert not text.endswith("\n")
    lines = [line.split()[1] for line in text.split("\n") if line.startswith("        inet")]
    assert sorted(lines) == sorted(_of("v0"))


@pytest.mark.parametrize("name", ["v0", "tun8", "lo", "low1", "odd0", "ecn0"])
def test_the_text_of_one_card_is_that_of_ifconfig(zoo: Zoo, tool: Callable[[str], str], name: str) -> None:
    tool("ifconfig")
    same_text(lambda: (cards_lab.output("ifconfig", name), nf.ifconfig(name)))


def test_ifconfig_of_an_unknown_card(zoo: Zoo) -> None:
    with pytest.raises(OSError, match="no network card 'eth9'") as caught:
        nf.ifconfig("eth9")
    assert caught.value.errno == errno.ENODEV


# --- psutil ----------------------------------------------------------------------------------------------------------


def test_psutil_agrees_where_it_is_right(addressed: lab.Namespace) -> None:
    def look() -> tuple[list[nf.Interface], Fields]:
        of_psutil = {
            "addresses": psutil.net_if_addrs(),
            "stats": psutil.net_if_stats(),
            "counters": psutil.net_io_counters(pernic=True, nowrap=False),
        }
        return nf.interfaces(), of_psutil

    _, (cards, theirs) = cards_lab.settled(look)
    for card in cards:
        name = card.name
        known = {address.address.split("%")[0]: address for address in theirs["addresses"][name]}
        for address in card.addresses:
            if address.label in (None, name):  # an alias is another card to psutil
                of_psutil = known[address.ip]
                assert of_psutil.family == address.family
                if address.peer is None:  # which psutil takes for the broadcast
                    assert of_psutil.netmask == address.netmask
                if address.broadcast is not None:
                    assert of_psutil.broadcast == address.broadcast
        assert known[card.hwaddr or ""].family == psutil.AF_LINK
        state = theirs["stats"][name]
        assert (state.isup, state.mtu) == (card.admin_up and card.running, card.mtu)
        assert set(state.flags.split(",")) == {flag.lower() for flag in (card.flags & 0xFFFF).names()}
        counters, stats = theirs["counters"][name], card.stats
        assert counters == (
            *(stats.tx_bytes, stats.rx_bytes, stats.tx_packets, stats.rx_packets),
            *(stats.rx_errors, stats.tx_errors, stats.rx_drops, stats.tx_dropped),
        )


# --- threads and descriptors -----------------------------------------------------------------------------------------


def test_each_thread_sees_its_own_namespace(network: None) -> None:
    with ExitStack() as stack:
        hosts = [stack.enter_context(lab.namespace()) for _ in range(4)]
        for number, host in enumerate(hosts):
            host.ip(
                f"link add own{number} type veth peer name peer{number}", f"addr add 10.{number}.0.1/24 dev own{number}"
            )
        start = threading.Barrier(len(hosts))
        wrong: list[object] = []

        def look(number: int) -> None:
            with hosts[number].inside():
                start.wait(10)
                for _ in range(200):
                    cards = nf.interfaces()
                    if sorted(cards_lab.names(cards)) != ["lo", f"own{number}", f"peer{number}"]:
                        wrong.append(cards)
                    own = nf.interface(f"own{number}")
                    if [address.ip for address in own.addresses] != [f"10.{number}.0.1"]:
                        wrong.append(own)
                    if f"own{number}" not in nf.ifconfig(all=True):
                        wrong.append("ifconfig")

        threads = [threading.Thread(target=look, args=(number,)) for number in range(len(hosts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(lab.LIMIT)
        assert wrong == []


def test_nothing_stays_open(zoo: Zoo) -> None:
    nf.interfaces()
    gc.collect()
    before = lab.descriptors()
    for _ in range(300):
        nf.interfaces()
        nf.interface("v0")
        nf.ifconfig()
        for name in ("eth9", 7_000_000):
            with pytest.raises(OSError, match="no network card"):
                nf.interface(name)
        with pytest.raises(TypeError):
            nf.interface(None)  # type: ignore[arg-type]
    assert lab.descriptors() == before


def test_without_descriptors_the_error_says_so(zoo: Zoo) -> None:
    code = """
import os, resource
import netfast as nf
nf.interfaces()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open("/", os.O_RDONLY))
except OSError:
    pass
try:
    nf.interfaces()
except OSError as error:
    print(error.errno)
os.close(held.pop())
print(len(nf.interfaces()) > 5)
"""
    assert zoo.host.python(code).split() == [str(errno.EMFILE), "True"]


def test_to_look_needs_no_privilege(zoo: Zoo) -> None:
    code = """
import os
import netfast as nf
nf.ifconfig()  # what is imported may be for root's eyes only
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(len(nf.interfaces()), nf.interface("v0").hwaddr, nf.ifconfig("v0").split(":")[0])
"""
    assert zoo.host.python(code).split() == [str(len(cards_lab.shown())), "02:00:00:00:00:10", "v0"]


def test_reading_is_quick(zoo: Zoo) -> None:
    start = time.perf_counter()
    for _ in range(100):
        nf.interfaces()
    assert time.perf_counter() - start < 5  # 50 ms a look is ten times what it takes


def test_a_card_with_more_names_than_a_message_usually_holds(alone: lab.Namespace) -> None:
    alone.ip("link add many type ifb", "link add beside type ifb")
    names = [f"{number:0127}" for number in range(470)]
    alone.ip(*(f"link property add dev many altname {name}" for name in names))
    assert list(nf.interface("many").altnames) == names
    assert nf.interface(names[-1]).name == "many"
    assert [card.name for card in nf.interfaces()] == ["lo", "many", "beside"]


def test_names_are_those_of_the_file_system(alone: lab.Namespace) -> None:
    code = """
import os, sys, netfast as nf
card = next(card for card in nf.interfaces() if card.name != "lo")
assert sys.getfilesystemencoding() != "utf-8", sys.getfilesystemencoding()
assert os.fsencode(card.name) == "caf\\u00e9".encode(), card.name
assert nf.interface(card.name).index == card.index
"""
    alone.ip("link add café type ifb")
    environment = {**lab.python_environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = alone.call(subprocess.run, [sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
