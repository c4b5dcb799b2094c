"""What the kind of a card adds: attributes as the kernel sends them, and what ip(8) prints of them."""

from __future__ import annotations

import grp
import struct
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from netfast.nic_details import decoded

Fields = dict[str, object]


def attribute(number: int, payload: bytes = b"") -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def row(**payloads: bytes) -> bytes:
    """Attributes by number: `row(_1=u8(0))`."""
    return b"".join(attribute(int(number[1:]), payload) for number, payload in payloads.items())


def u8(*values: int) -> bytes:
    return bytes(values)


def u16(value: int) -> bytes:
    return struct.pack("=H", value)


def u32(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *values)


def u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def be16(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def be32(value: int) -> bytes:
    return struct.pack(">I", value)


MAC, MAC_TEXT = u8(2, 0, 0, 0, 0, 1), "02:00:00:00:00:01"
IP, IP_TEXT = u8(192, 0, 2, 1), "192.0.2.1"
IP6, IP6_TEXT = bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"
GROUP6 = bytes.fromhex("ff020000000000000000000000000001")

# What `ip -d -j link show` of iproute2 6.1 printed as linkinfo.info_data where the kernel's answer was this.
CASES: list[tuple[str, bytes, Fields]] = [
    (
        "vlan",
        row(_1=u16(7), _2=u32(0x3F, 0xFFFFFFFF), _3=attribute(1, u32(1, 2)), _4=attribute(1, u32(3, 4)) * 2)
        + row(_5=be16(0x88A8)),
        {
            "protocol": "802.1ad",
            "id": 7,
            "flags": ["REORDER_HDR", "GVRP", "MVRP", "LOOSE_BINDING", "BRIDGE_BINDING", "20"],
            "egress_qos": [{"from": 1, "to": 2}],
            "ingress_qos": [{"from": 3, "to": 4}, {"from": 3, "to": 4}],
        },
    ),
    (
        "vlan",
        row(_1=u16(4094), _2=u32(1, 0), _5=be16(0x8100)),
        {"protocol": "802.1Q", "id": 4094, "flags": ["REORDER_HDR"]},
    ),
    ("vlan", row(_1=u16(1), _5=be16(0x9100)), {"protocol": "[37120]", "id": 1}),
    ("vrf", row(_1=u32(1000)), {"table": 1000}),
    ("ipvlan", row(_1=u16(2), _2=u16(0)), {"mode": "l3s", "bridge": True}),
    ("ipvlan", row(_1=u16(1), _2=u16(1)), {"mode": "l3", "private": True}),
    ("ipvlan", row(_1=u16(0), _2=u16(2)), {"mode": "l2", "vepa": True}),
    ("ipvlan", row(_1=u16(9)), {"mode": "unknown"}),
    ("macvlan", row(_1=u32(1)), {"mode": "private"}),
    ("macvlan", row(_1=u32(2)), {"mode": "vepa"}),
    ("macvlan", row(_1=u32(8)), {"mode": "passthru"}),
    ("macvlan", row(_1=u32(3)), {"mode": "unknown"}),
    (
        "macvlan",
        row(_1=u32(4), _2=u16(3), _7=u32(1000), _8=u32(900), _6=u32(0)),
        {"mode": "bridge", "nopromisc": True, "nodst": True, "bcqueuelen": 1000, "usedbcqueuelen": 900},
    ),
    (
        "macvlan",
        row(_1=u32(16), _6=u32(2), _5=attribute(4, MAC) * 2),
        {"mode": "source", "macaddr_count": 2, "macaddr_data": [MAC_TEXT, MAC_TEXT]},
    ),
    ("macvlan", row(_1=u32(16), _5=attribute(4, MAC)), {"mode": "source"}),
    ("macvtap", row(_1=u32(4)), {"mode": "bridge"}),
    (
        "tun",
        row(_1=u32(0), _2=u32(4_000_000_000), _3=u8(2), _4=u8(1), _5=u8(0), _6=u8(1), _7=u8(1), _8=u32(2), _9=u32(1)),
        {
            "type": "tap",
            "pi": True,
            "vnet_hdr": False,
            "multi_queue": True,
            "numqueues": 2,
            "numdisabled": 1,
            "persist": True,
            "user": "root",
            "group": 4_000_000_000,
        },
    ),
    ("tun", row(_3=u8(1), _7=u8(0), _8=u32(1), _9=u32(1)), {"type": "tun", "multi_queue": False}),
    (
        "tun",
        row(_3=u8(32), _1=u32(4_000_000_000), _2=u32(0)),
        {"type": "UNKNOWN:32", "user": 4_000_000_000, "group": grp.getgrgid(0).gr_name},
    ),
    (
        "vxlan",
        row(_1=u32(42), _2=u8(239, 1, 1, 1), _3=u32(3), _4=IP, _5=u8(7), _6=u8(16), _7=u8(1), _8=u32(300), _9=u32(5))
        + row(_10=be16(1000, 2000), _11=u8(1), _12=u8(1), _13=u8(1), _14=u8(1), _15=be16(4789), _18=u8(1), _19=u8(1))
        + row(_20=u8(1), _21=u8(1), _22=u8(1), _23=b"", _24=b"", _26=be32(0x12345), _27=b"", _28=u8(0), _29=u8(1)),
        {
            "id": 42,
            "group": "239.1.1.1",
            "link": "card 3",
            "local": IP_TEXT,
            "port_range": {"low": 1000, "high": 2000},
            "port": 4789,
            "learning": True,
            "proxy": True,
            "rsc": True,
            "l2miss": True,
            "l3miss": True,
            "tos": "0x10",
            "ttl": 7,
            "df": "set",
            "label": "0x12345",
            "ageing": 300,
            "limit": 5,
            "udp_csum": True,
            "udp_zero_csum6_tx": True,
            "udp_zero_csum6_rx": True,
            "remcsum_tx": True,
            "remcsum_rx": True,
            "gbp": True,
            "gpe": True,
        },
    ),
    (
        "vxlan",  # nothing but zeros
        row(_1=u32(0), _2=bytes(4), _3=u32(0), _4=bytes(4), _5=u8(0), _6=u8(0), _7=u8(0), _8=u32(0), _9=u32(0))
        + row(_10=be16(0, 0), _11=u8(0), _12=u8(0), _13=u8(0), _14=u8(0), _15=be16(0), _18=u8(0), _19=u8(0), _20=u8(0))
        + row(_21=u8(0), _22=u8(0), _25=u8(0), _26=be32(0), _28=u8(0), _29=u8(0), _30=u8(0)),
        {
            "id": 0,
            "port_range": {"low": 0, "high": 0},
            "port": 0,
            "learning": False,
            "ttl": 0,
            "df": "unset",
            "ageing": 0,
            "udp_csum": False,
            "udp_zero_csum6_tx": False,
            "udp_zero_csum6_rx": False,
        },
    ),
    (
        "vxlan",
        row(_25=u8(1), _1=u32(0), _5=u8(0), _28=u8(1), _29=u8(2), _30=u8(1)),
        {"external": True, "vnifilter": True, "id": 0, "df": "inherit"},
    ),
    ("vxlan", row(_1=u32(1), _2=IP, _29=u8(9)), {"id": 1, "remote": IP_TEXT}),
    ("vxlan", row(_1=u32(1), _16=IP6, _17=IP6), {"id": 1, "remote6": IP6_TEXT, "local6": IP6_TEXT}),
    ("vxlan", row(_1=u32(1), _16=GROUP6, _17=bytes(16)), {"id": 1, "group6": "ff02::1"}),
    (
        "geneve",
        row(_1=u32(9), _2=IP, _3=u8(64), _4=u8(1), _5=be16(6081), _8=u8(1), _9=u8(0), _10=u8(1), _11=be32(5))
        + row(_12=u8(0), _13=u8(1), _14=b""),
        {
            "id": 9,
            "remote": IP_TEXT,
            "ttl": 64,
            "tos": "0x1",
            "df": "set",
            "label": "0x5",
            "port": 6081,
            "udp_csum": True,
            "udp_zero_csum6_tx": False,
            "udp_zero_csum6_rx": True,
            "inner_proto_inherit": True,
        },
    ),
    ("geneve", row(_6=b"", _7=IP6, _3=u8(1), _12=u8(1)), {"external": True, "remote6": IP6_TEXT}),
    (
        "bridge",
        row(_1=u32(1500), _2=u32(200), _3=u32(2000), _4=u32(30000), _5=u32(1), _6=u16(32768), _7=u8(1), _9=u16(0))
        + row(_8=be16(0x8100), _10=u8(0x80, 0) + MAC, _11=u8(0x10, 1) + MAC, _12=u16(2), _13=u32(100), _14=u8(1))
        + row(_15=u8(1), _16=u64(12345), _17=u64(99), _18=u64(0), _19=u64(5), _20=MAC, _22=u8(1), _23=u8(1), _24=u8(1))
        + row(_25=u8(1), _26=u32(16), _27=u32(4096), _28=u32(2), _29=u32(3), _30=u64(101), _31=u64(26001))
        + row(_32=u64(25501), _33=u64(12501), _34=u64(1001), _35=u64(3126), _36=u8(1), _37=u8(1), _38=u8(1))
        + row(_39=u16(7), _41=u8(1), _42=u8(1), _43=u8(3), _44=u8(2), _45=u8(1), _46=u32(0b001, 0b011)),
        {
            "forward_delay": 1500,
            "hello_time": 200,
            "max_age": 2000,
            "ageing_time": 30000,
            "stp_state": 1,
            "priority": 32768,
            "vlan_filtering": 1,
            "vlan_protocol": "802.1Q",
            "bridge_id": "1001.2:0:0:0:0:1",
            "root_id": "8000.2:0:0:0:0:1",
            "root_port": 2,
            "root_path_cost": 100,
            "topology_change": 1,
            "topology_change_detected": 1,
            "hello_timer": 123.45,
            "tcn_timer": 0.99,
            "topology_change_timer": 0.0,
            "gc_timer": 0.05,
            "vlan_default_pvid": 7,
            "vlan_stats_enabled": 1,
            "vlan_stats_per_port": 1,
            "group_fwd_mask": "0",
            "group_addr": MAC_TEXT,
            "mcast_snooping": 1,
            "no_linklocal_learn": 1,
            "mcast_vlan_snooping": 0,
            "mcast_router": 1,
            "mcast_query_use_ifaddr": 1,
            "mcast_querier": 1,
            "mcast_hash_elasticity": 16,
            "mcast_hash_max": 4096,
            "mcast_last_member_cnt": 2,
            "mcast_startup_query_cnt": 3,
            "mcast_last_member_intvl": 101,
            "mcast_membership_intvl": 26001,
            "mcast_querier_intvl": 25501,
            "mcast_query_intvl": 12501,
            "mcast_query_response_intvl": 1001,
            "mcast_startup_query_intvl": 3126,
            "mcast_stats_enabled": 1,
            "mcast_igmp_version": 3,
            "mcast_mld_version": 2,
            "nf_call_iptables": 1,
            "nf_call_ip6tables": 1,
            "nf_call_arptables": 1,
        },
    ),
    ("bridge", row(_9=u16(0xC000)), {"group_fwd_mask": "0xc000"}),
    (
        "bond",
        row(_1=u8(4), _2=u32(3), _3=u32(100), _4=u32(200), _5=u32(300), _6=u8(1), _7=u32(0), _9=u32(0), _10=u32(1))
        + row(_8=attribute(0, IP) + attribute(1, u8(192, 0, 2, 2)), _11=u32(4), _12=u8(2), _13=u8(1), _14=u8(1))
        + row(_15=u32(1), _16=u8(2), _17=u8(1), _18=u32(1), _19=u32(5), _20=u32(6), _21=u8(1), _22=u8(2))
        + row(_23=row(_1=u16(1), _2=u16(2), _3=u16(3), _4=u16(4), _5=MAC), _24=u16(65535), _25=u16(8), _26=MAC)
        + row(_27=u8(1), _28=u32(9), _29=u8(1), _30=u8(2), _31=attribute(0, IP6)),
        {
            "mode": "802.3ad",
            "active_slave": "card 3",
            "miimon": 100,
            "updelay": 200,
            "downdelay": 300,
            "peer_notify_delay": 9,
            "use_carrier": 1,
            "arp_interval": 0,
            "arp_missed_max": 2,
            "arp_ip_target": [IP_TEXT, "192.0.2.2"],
            "ns_ip6_target": [IP6_TEXT],
            "arp_validate": None,
            "arp_all_targets": "all",
            "primary": "card 4",
            "primary_reselect": "failure",
            "fail_over_mac": "active",
            "xmit_hash_policy": "layer3+4",
            "resend_igmp": 1,
            "num_peer_notif": 2,
            "all_slaves_active": 1,
            "min_links": 1,
            "lp_interval": 5,
            "packets_per_slave": 6,
            "ad_lacp_active": "on",
            "ad_lacp_rate": "fast",
            "ad_select": "count",
            "ad_info": {
                "aggregator": 1,
                "num_ports": 2,
                "actor_key": 3,
                "partner_key": 4,
                "partner_mac": MAC_TEXT,
            },
            "ad_actor_sys_prio": 65535,
            "ad_user_port_key": 8,
            "ad_actor_system": MAC_TEXT,
            "tlb_dynamic_lb": 1,
        },
    ),
    (
        "bond",
        row(_1=u8(7), _2=u32(0), _8=b"", _9=u32(3), _14=u8(9)),
        {"mode": "UNKNOWN", "arp_validate": "all", "xmit_hash_policy": "UNKNOWN"},
    ),
    (
        "gre",
        row(_2=be16(0xB000), _3=be16(0xB000), _4=be32(0x01020304), _5=be32(7), _14=u16(1), _15=u16(7))
        + row(_16=be16(1000), _17=be16(2000), _1=u32(0), _6=IP, _7=bytes(4), _8=u8(0), _9=u8(0), _10=u8(0), _20=u32(0)),
        {
            "remote": "any",
            "local": IP_TEXT,
            "ttl": 0,
            "pmtudisc": False,
            "ikey": "1.2.3.4",
            "okey": "0.0.0.7",
            "iseq": True,
            "oseq": True,
            "icsum": True,
            "ocsum": True,
            "encap": {"type": "fou", "sport": 1000, "dport": 2000, "csum": True, "csum6": True, "remcsum": True},
        },
    ),
    (
        "gretap",
        row(_18=b"", _19=u8(1), _20=u32(3), _1=u32(3), _2=be16(0), _4=be32(1), _9=u8(1), _10=u8(1), _14=u16(0))
        + row(_16=be16(0), _17=be16(2000)),
        {"external": True, "link": "card 3", "tos": "0x1", "pmtudisc": True, "ignore_df": True, "fwmark": "0x3"},
    ),
    (
        "ipip",
        row(_1=u32(3), _2=IP, _3=IP, _4=u8(9), _5=u8(4), _9=u8(4), _10=u8(1), _15=u16(2), _16=u16(1), _17=be16(0))
        + row(_18=be16(5555), _20=u32(16)),
        {
            "proto": "ipip",
            "remote": IP_TEXT,
            "local": IP_TEXT,
            "link": "card 3",
            "ttl": 9,
            "tos": "0x4",
            "pmtudisc": True,
            "fwmark": "0x10",
            "encap": {"type": "gue", "sport": 0, "dport": 5555, "csum": True, "csum6": False, "remcsum": False},
        },
    ),
    (
        "sit",
        row(_2=bytes(4), _3=IP, _4=u8(64), _8=u16(1), _9=u8(41), _10=u8(0), _11=IP6, _12=u8(10, 0, 0, 0), _13=u16(32))
        + row(_14=u16(8), _15=u16(0)),
        {
            "proto": "ip6ip",
            "remote": IP_TEXT,
            "local": "any",
            "ttl": 64,
            "pmtudisc": False,
            "isatap": True,
            "prefix": IP6_TEXT,
            "prefixlen": 32,
            "relay_prefix": "10.0.0.0",
            "relay_prefixlen": 8,
        },
    ),
    ("sit", row(_9=u8(9), _11=IP6, _12=bytes(4), _13=u16(0), _14=u16(0)), {}),
    (
        "sit",
        row(_9=u8(137), _11=IP6, _12=bytes(4), _13=u16(16)),
        {"proto": "mplsip", "prefix": IP6_TEXT, "prefixlen": 16},
    ),
    (
        "ip6tnl",
        row(_2=bytes(16), _3=IP6, _4=u8(3), _6=u8(4), _7=be32(0x0AB12345), _8=u32(0), _9=u8(41), _20=u32(7)),
        {
            "proto": "ip6ip6",
            "remote": IP6_TEXT,
            "local": "any",
            "ttl": 3,
            "encap_limit": 4,
            "tclass": "0xab",
            "flowlabel": "0x12345",
            "fwmark": "0x7",
        },
    ),
    (
        "ip6tnl",
        row(_6=u8(4), _7=be32(0x0AB12345), _8=u32(0x7F), _9=u8(4), _15=u16(3), _16=u16(5), _17=be16(10), _18=be16(20))
        + row(_20=u32(7)),
        {
            "proto": "ipip6",
            "ip6_tnl_f_ign_encap_limit": True,
            "ip6_tnl_f_use_orig_tclass": True,
            "ip6_tnl_f_use_orig_flowlabel": True,
            "ip6_tnl_f_rcv_dscp_copy": True,
            "ip6_tnl_f_mip6_dev": True,
            "ip6_tnl_f_allow_local_remote": True,
            "ip6_tnl_f_use_orig_fwmark": True,
            "encap": {"type": None, "sport": 10, "dport": 20, "csum": True, "csum6": False, "remcsum": True},
        },
    ),
]
KINDS = sorted({kind for kind, _, _ in CASES})


@pytest.mark.parametrize(("kind", "data", "fields"), CASES)
def test_fields_are_those_of_ip(kind: str, data: bytes, fields: Fields) -> None:
    assert decoded(kind, data, "card {}".format) == fields


def test_what_newer_kernels_tell_has_its_names() -> None:
    assert decoded("vxlan", row(_1=u32(1), _31=u8(1))) == {"id": 1, "localbypass": True}
    assert decoded("bridge", row(_46=u32(0b10100, 0b11100), _48=u32(5), _49=u32(6))) == {
        "mst_enabled": 1,
        "mdb_offload_fail_notification": 0,
        "fdb_local_vlan_0": 1,
        "fdb_n_learned": 5,
        "fdb_max_learned": 6,
    }


@pytest.mark.parametrize("kind", ["veth", "ifb", "wireguard", "dummy", "no such kind", ""])
def test_a_kind_without_details_has_none(kind: str) -> None:
    assert decoded(kind, row(_1=u32(1))) == {}
    assert decoded(kind, b"") == {}


def test_an_attribute_that_is_not_known_is_passed_over() -> None:
    assert decoded("vrf", row(_9=u32(5), _1=u32(1), _16000=b"x" * 100)) == {"table": 1}


def test_the_flags_of_a_type_are_no_part_of_it() -> None:
    assert decoded("vrf", attribute(0x8001, u32(1))) == {"table": 1}
    assert decoded("vrf", attribute(0x4001, u32(2))) == {"table": 2}


def test_another_card_is_asked_of_the_kernel(require: Callable[[object, str], None]) -> None:
    require(sys.platform == "linux", "Linux")
    assert decoded("vxlan", row(_3=u32(1)))["link"] == "lo"
    assert decoded("vxlan", row(_3=u32(2_000_000_000)))["link"] == "if2000000000"


def test_what_is_cut_off_is_left_out() -> None:
    whole = row(_1=u32(42), _15=be16(4789), _8=u32(300))
    assert decoded("vxlan", whole) == {"id": 42, "port": 4789, "ageing": 300}
    assert decoded("vxlan", whole[:-1]) == {"id": 42, "port": 4789}
    assert decoded("vxlan", whole[:13]) == {"id": 42}
    assert decoded("vxlan", whole[:3]) == {}


@pytest.mark.parametrize("length", [0, 1, 3, 9, 0xFFFF])
def test_a_length_that_lies_ends_the_row(length: int) -> None:
    lie = struct.pack("=HH", length, 8) + u32(300)
    assert decoded("vxlan", row(_1=u32(42)) + lie) == {"id": 42}


def test_a_payload_that_is_too_short_is_left_out() -> None:
    data = row(_1=u8(1), _2=u8(192, 0), _10=be16(1), _15=u8(1), _16=u8(1), _8=u32(300), _5=b"", _23=b"")
    assert decoded("vxlan", data) == {"ageing": 300, "gbp": True}


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_no_bytes_raise(kind: str, data: bytes) -> None:
    decoded(kind, data, str)


@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=20) | st.just(bytes(8))), max_size=30),
)
def test_no_attributes_raise(kind: str, attributes: list[tuple[int, bytes]]) -> None:
    fields = decoded(kind, b"".join(attribute(number, payload) for number, payload in attributes), str)
    assert not any(name.endswith("flags") and kind != "vlan" for name in fields)
    assert fields.keys().isdisjoint({"ttl_inherit", "options", "encap_type", "flowinfo", "encap_sport"})


@given(st.sampled_from(CASES), st.data())
def test_no_damage_raises(case: tuple[str, bytes, Fields], draw: st.DataObject) -> None:
    kind, data, _ = case
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    decoded(kind, bytes(damaged), str)
