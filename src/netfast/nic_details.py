"""What the kind of a virtual card adds to it: the payload of `IFLA_INFO_DATA`, by the names of `ip -d -j link`."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator, Mapping

_Fields = dict[str, object]
_Reader = Callable[[bytes], object]
_Number = Callable[[bytes], int]
_Table = dict[int, tuple[str, _Reader]]

# A number of two bytes each for the length, its own four included, and the type, whose top two bits are flags
# (NLA_F_NESTED and NLA_F_NET_BYTEORDER of linux/netlink.h).
_HEADER = struct.Struct("=HH")
_TYPE = 0x3FFF

_LEFT_OUT = object()  # what a reader returns where there is nothing to tell


def decoded(kind: str, data: bytes, name_of: Callable[[int], str] | None = None) -> _Fields:
    """The fields of a card's kind, by the names and with the values of `ip -d -j link` (`linkinfo.info_data`).

    `data` is the payload of `IFLA_INFO_DATA`, a row of netlink attributes. `name_of` gives the name of another card of
    which they tell the index; without it the kernel is asked. A kind that is not known has no fields, and what is
    damaged is left out: nothing raises.

    Source: linux/if_link.h, linux/if_tunnel.h, linux/if_bridge.h, and the order of bytes that the kernel's drivers use.

    Example:
        >>> decoded("vrf", struct.pack("=HHI", 8, 1, 1000))  # length, number and value of the one attribute
        {'table': 1000}
    """
    known = _KINDS.get(kind)
    if known is None:
        return {}
    table, finish = known
    fields = _read(table, data)
    for name in _CARDS.intersection(fields):
        index = fields[name]
        if isinstance(index, int):
            fields[name] = (name_of or _name_of)(index)
    if finish is not None:
        finish(fields)
    return fields


def _read(table: _Table, data: bytes) -> _Fields:
    fields: _Fields = {}
    for number, payload in _attributes(data):
        name, reader = table.get(number, ("", None))
        if reader is not None and (value := _value(reader, payload)) is not _LEFT_OUT:
            fields[name] = value
    return fields


def _value(reader: _Reader, payload: bytes) -> object:
    try:
        return reader(payload)
    except (struct.error, ValueError):  # shorter than it should be
        return _LEFT_OUT


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and payload of each attribute, as far as their lengths can be believed."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, number = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            return
        yield number & _TYPE, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


# --- readers ---------------------------------------------------------------------------------------------------------


def _number(form: str) -> _Number:
    layout = struct.Struct(form)

    def read(data: bytes) -> int:
        number: int
        (number,) = layout.unpack_from(data)
        return number

    return read


_u8, _u16, _u32, _u64 = (_number(form) for form in ("=B", "=H", "=I", "=Q"))
_be16, _be32 = _number(">H"), _number(">I")


def _unless_zero(reader: _Number) -> _Reader:
    return lambda data: reader(data) or _LEFT_OUT


def _hexadecimal(reader: _Number) -> _Reader:
    """As C's %#x: zero has no 0x."""
    return lambda data: f"{number:#x}" if (number := reader(data)) else "0"


def _hexadecimal_unless_zero(reader: _Number) -> _Reader:
    return lambda data: f"{number:#x}" if (number := reader(data)) else _LEFT_OUT


def _yes_or_no(data: bytes) -> object:
    return bool(_u8(data))


def _yes(data: bytes) -> object:
    """True, or nothing."""
    return True if _u8(data) else _LEFT_OUT


def _present(data: bytes) -> object:
    """An attribute that says all by being there."""
    return True


def _choice(reader: _Number, *names: str | None, unknown: str = "UNKNOWN") -> _Reader:
    """The name of a number from 0."""
    return _name(reader, dict(enumerate(names)), unknown)


def _name(reader: _Number, names: Mapping[int, str | None], unknown: object) -> _Reader:
    return lambda data: names.get(reader(data), unknown)


def _ipv4(data: bytes) -> object:
    return socket.inet_ntop(socket.AF_INET, data[:4])


def _ipv6(data: bytes) -> object:
    return socket.inet_ntop(socket.AF_INET6, data[:16])


def _unless_unspecified(reader: _Reader) -> _Reader:
    return lambda data: reader(data) if any(data) else _LEFT_OUT


def _or_any(reader: _Reader) -> _Reader:
    return lambda data: reader(data) if any(data) else "any"


def _hardware(data: bytes) -> object:
    return data.hex(":") or _LEFT_OUT


def _listed(reader: _Reader) -> _Reader:
    """A row of attributes of one form."""

    def read(data: bytes) -> object:
        values = (_value(reader, payload) for _, payload in _attributes(data))
        return [value for value in values if value is not _LEFT_OUT]

    return read


def _nested(table: _Table) -> _Reader:
    return lambda data: _read(table, data)


def _ethernet_protocol(data: bytes) -> object:
    """IEEE 802.1Q and 802.1ad by name (linux/if_ether.h); another as ip(8) has one that it has no name for."""
    number = _be16(data)
    return {0x8100: "802.1Q", 0x88A8: "802.1ad"}.get(number, f"[{number}]")


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"if{index}"  # it has gone, or is in another namespace


# --- vlan, vrf, ipvlan, macvlan --------------------------------------------------------------------------------------

_VLAN_FLAGS = {"REORDER_HDR": 1, "GVRP": 2, "MVRP": 8, "LOOSE_BINDING": 4, "BRIDGE_BINDING": 16}  # linux/if_vlan.h


def _vlan_flags(data: bytes) -> object:
    flags = _u32(data)
    names = [name for name, bit in _VLAN_FLAGS.items() if flags & bit]
    rest = flags & ~31
    return [*names, f"{rest:x}"] if rest else names


def _priorities(data: bytes) -> object:
    source, target = struct.unpack_from("=II", data)
    return {"from": source, "to": target}


_VLAN: _Table = {
    1: ("id", _u16),
    2: ("flags", _vlan_flags),
    3: ("egress_qos", _listed(_priorities)),
    4: ("ingress_qos", _listed(_priorities)),
    5: ("protocol", _ethernet_protocol),
}

_VRF: _Table = {1: ("table", _u32)}

_IPVLAN: _Table = {1: ("mode", _choice(_u16, "l2", "l3", "l3s", unknown="unknown")), 2: ("flags", _u16)}


def _finish_ipvlan(fields: _Fields) -> None:
    flags = _taken(fields, "flags")
    if flags is not None:  # IPVLAN_F_PRIVATE 1, IPVLAN_F_VEPA 2
        fields["private" if flags & 1 else "vepa" if flags & 2 else "bridge"] = True


_MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_MACVLAN: _Table = {
    1: ("mode", _name(_u32, _MACVLAN_MODES, "unknown")),
    2: ("flags", _u16),
    5: ("macaddr_data", _listed(_hardware)),
    6: ("macaddr_count", _u32),
    7: ("bcqueuelen", _u32),
    8: ("usedbcqueuelen", _u32),
}


def _finish_macvlan(fields: _Fields) -> None:
    flags = _taken(fields, "flags") or 0
    if flags & 1:  # MACVLAN_FLAG_NOPROMISC
        fields["nopromisc"] = True
    if flags & 2:  # MACVLAN_FLAG_NODST
        fields["nodst"] = True
    if fields.get("mode") != "source":
        fields.pop("macaddr_count", None)
    if "macaddr_count" not in fields:
        fields.pop("macaddr_data", None)


# --- tun -------------------------------------------------------------------------------------------------------------


def _user(data: bytes) -> object:
    import pwd

    number = _u32(data)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return number


def _group(data: bytes) -> object:
    import grp

    number = _u32(data)
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return number


def _tun_type(data: bytes) -> object:
    number = _u8(data)
    return {1: "tun", 2: "tap"}.get(number, f"UNKNOWN:{number}")


_TUN: _Table = {
    1: ("user", _user),
    2: ("group", _group),
    3: ("type", _tun_type),
    4: ("pi", _yes_or_no),
    5: ("vnet_hdr", _yes_or_no),
    6: ("persist", _yes_or_no),
    7: ("multi_queue", _yes_or_no),
    8: ("numqueues", _u32),
    9: ("numdisabled", _u32),
}


def _finish_tun(fields: _Fields) -> None:
    if not fields.get("multi_queue"):
        fields.pop("numqueues", None)
        fields.pop("numdisabled", None)


# --- vxlan, geneve ---------------------------------------------------------------------------------------------------

_DF = _name(_u8, {0: "unset", 1: "set", 2: "inherit"}, _LEFT_OUT)

_VXLAN: _Table = {
    1: ("id", _u32),
    2: ("remote", _unless_unspecified(_ipv4)),
    3: ("link", _unless_zero(_u32)),
    4: ("local", _unless_unspecified(_ipv4)),
    5: ("ttl", _u8),
    6: ("tos", _hexadecimal_unless_zero(_u8)),
    7: ("learning", _yes_or_no),
    8: ("ageing", _u32),
    9: ("limit", _unless_zero(_u32)),
    10: ("port_range", lambda data: dict(zip(("low", "high"), struct.unpack_from(">HH", data), strict=True))),
    11: ("proxy", _yes),
    12: ("rsc", _yes),
    13: ("l2miss", _yes),
    14: ("l3miss", _yes),
    15: ("port", _be16),
    16: ("remote6", _unless_unspecified(_ipv6)),
    17: ("local6", _unless_unspecified(_ipv6)),
    18: ("udp_csum", _yes_or_no),
    19: ("udp_zero_csum6_tx", _yes_or_no),
    20: ("udp_zero_csum6_rx", _yes_or_no),
    21: ("remcsum_tx", _yes),
    22: ("remcsum_rx", _yes),
    23: ("gbp", _present),
    25: ("external", _yes),
    26: ("label", _hexadecimal_unless_zero(_be32)),
    27: ("gpe", _present),
    28: ("ttl_inherit", _yes),
    29: ("df", _DF),
    30: ("vnifilter", _yes),
    31: ("localbypass", _yes_or_no),
}

_GENEVE: _Table = {
    1: ("id", _u32),
    2: ("remote", _unless_unspecified(_ipv4)),
    3: ("ttl", _u8),
    4: ("tos", _hexadecimal_unless_zero(_u8)),
    5: ("port", _be16),
    6: ("external", _present),
    7: ("remote6", _unless_unspecified(_ipv6)),
    8: ("udp_csum", _yes_or_no),
    9: ("udp_zero_csum6_tx", _yes_or_no),
    10: ("udp_zero_csum6_rx", _yes_or_no),
    11: ("label", _hexadecimal_unless_zero(_be32)),
    12: ("ttl_inherit", _yes),
    13: ("df", _DF),
    14: ("inner_proto_inherit", _present),
}


def _finish_vxlan(fields: _Fields) -> None:
    _finish_geneve(fields)
    for name, group in (("remote", "group"), ("remote6", "group6")):
        if name in fields and ipaddress.ip_address(str(fields[name])).is_multicast:
            fields[group] = fields.pop(name)


def _finish_geneve(fields: _Fields) -> None:
    if fields.pop("ttl_inherit", None):
        fields.pop("ttl", None)


# --- bridge ----------------------------------------------------------------------------------------------------------

_BRIDGE_OPTIONS = (  # enum br_boolopt_id of linux/if_bridge.h
    "no_linklocal_learn",
    "mcast_vlan_snooping",
    "mst_enabled",
    "mdb_offload_fail_notification",
    "fdb_local_vlan_0",
)


def _hundredths(data: bytes) -> object:
    """Seconds, of which the kernel tells hundredths (USER_HZ)."""
    return _u64(data) / 100


def _bridge_id(data: bytes) -> object:
    first, second, *address = struct.unpack_from("8B", data)
    return f"{first:02x}{second:02x}." + ":".join(f"{byte:x}" for byte in address)


def _two_numbers(data: bytes) -> object:
    return struct.unpack_from("=II", data)


_BRIDGE: _Table = {
    1: ("forward_delay", _u32),
    2: ("hello_time", _u32),
    3: ("max_age", _u32),
    4: ("ageing_time", _u32),
    5: ("stp_state", _u32),
    6: ("priority", _u16),
    7: ("vlan_filtering", _u8),
    8: ("vlan_protocol", _ethernet_protocol),
    9: ("group_fwd_mask", _hexadecimal(_u16)),
    10: ("root_id", _bridge_id),
    11: ("bridge_id", _bridge_id),
    12: ("root_port", _u16),
    13: ("root_path_cost", _u32),
    14: ("topology_change", _u8),
    15: ("topology_change_detected", _u8),
    16: ("hello_timer", _hundredths),
    17: ("tcn_timer", _hundredths),
    18: ("topology_change_timer", _hundredths),
    19: ("gc_timer", _hundredths),
    20: ("group_addr", _hardware),
    22: ("mcast_router", _u8),
    23: ("mcast_snooping", _u8),
    24: ("mcast_query_use_ifaddr", _u8),
    25: ("mcast_querier", _u8),
    26: ("mcast_hash_elasticity", _u32),
    27: ("mcast_hash_max", _u32),
    28: ("mcast_last_member_cnt", _u32),
    29: ("mcast_startup_query_cnt", _u32),
    30: ("mcast_last_member_intvl", _u64),
    31: ("mcast_membership_intvl", _u64),
    32: ("mcast_querier_intvl", _u64),
    33: ("mcast_query_intvl", _u64),
    34: ("mcast_query_response_intvl", _u64),
    35: ("mcast_startup_query_intvl", _u64),
    36: ("nf_call_iptables", _u8),
    37: ("nf_call_ip6tables", _u8),
    38: ("nf_call_arptables", _u8),
    39: ("vlan_default_pvid", _u16),
    41: ("vlan_stats_enabled", _u8),
    42: ("mcast_stats_enabled", _u8),
    43: ("mcast_igmp_version", _u8),
    44: ("mcast_mld_version", _u8),
    45: ("vlan_stats_per_port", _u8),
    46: ("options", _two_numbers),  # struct br_boolopt_multi
    48: ("fdb_n_learned", _u32),
    49: ("fdb_max_learned", _u32),
}


def _finish_bridge(fields: _Fields) -> None:
    options = fields.pop("options", None)
    if isinstance(options, tuple):
        values, mask = options
        for bit, name in enumerate(_BRIDGE_OPTIONS):
            if mask >> bit & 1:
                fields[name] = values >> bit & 1


# --- bond ------------------------------------------------------------------------------------------------------------

_BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
_BOND_VALIDATES = (None, "active", "backup", "all", "filter", "filter_active", "filter_backup")
_BOND_POLICIES = ("layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac")

_BOND: _Table = {
    1: ("mode", _choice(_u8, *_BOND_MODES)),
    2: ("active_slave", _unless_zero(_u32)),
    3: ("miimon", _u32),
    4: ("updelay", _u32),
    5: ("downdelay", _u32),
    6: ("use_carrier", _u8),
    7: ("arp_interval", _u32),
    8: ("arp_ip_target", _listed(_ipv4)),
    9: ("arp_validate", _choice(_u32, *_BOND_VALIDATES)),
    10: ("arp_all_targets", _choice(_u32, "any", "all")),
    11: ("primary", _unless_zero(_u32)),
    12: ("primary_reselect", _choice(_u8, "always", "better", "failure")),
    13: ("fail_over_mac", _choice(_u8, "none", "active", "follow")),
    14: ("xmit_hash_policy", _choice(_u8, *_BOND_POLICIES)),
    15: ("resend_igmp", _u32),
    16: ("num_peer_notif", _u8),
    17: ("all_slaves_active", _u8),
    18: ("min_links", _u32),
    19: ("lp_interval", _u32),
    20: ("packets_per_slave", _u32),
    21: ("ad_lacp_rate", _choice(_u8, "slow", "fast")),
    22: ("ad_select", _choice(_u8, "stable", "bandwidth", "count")),
    23: (
        "ad_info",
        _nested(
            {
                1: ("aggregator", _u16),
                2: ("num_ports", _u16),
                3: ("actor_key", _u16),
                4: ("partner_key", _u16),
                5: ("partner_mac", _hardware),
            }
        ),
    ),
    24: ("ad_actor_sys_prio", _u16),
    25: ("ad_user_port_key", _u16),
    26: ("ad_actor_system", _hardware),
    27: ("tlb_dynamic_lb", _u8),
    28: ("peer_notify_delay", _u32),
    29: ("ad_lacp_active", _choice(_u8, "off", "on")),
    30: ("arp_missed_max", _u8),
    31: ("ns_ip6_target", _listed(_ipv6)),
}


def _finish_bond(fields: _Fields) -> None:
    for name in ("arp_ip_target", "ns_ip6_target"):
        if not fields.get(name):
            fields.pop(name, None)


# --- tunnels ---------------------------------------------------------------------------------------------------------

_GRE: _Table = {
    1: ("link", _unless_zero(_u32)),
    2: ("iflags", _be16),
    3: ("oflags", _be16),
    4: ("ikey", _ipv4),
    5: ("okey", _ipv4),
    6: ("local", _or_any(_ipv4)),
    7: ("remote", _or_any(_ipv4)),
    8: ("ttl", _u8),
    9: ("tos", _hexadecimal_unless_zero(_u8)),
    10: ("pmtudisc", _yes_or_no),
    14: ("encap_type", _unless_zero(_u16)),
    15: ("encap_flags", _u16),
    16: ("encap_sport", _be16),
    17: ("encap_dport", _be16),
    18: ("external", _present),
    19: ("ignore_df", _yes),
    20: ("fwmark", _hexadecimal_unless_zero(_u32)),
}

_PROTOCOLS = {0: "any", 4: "ipip", 41: "ip6ip", 137: "mplsip"}  # linux/in.h
_PROTOCOLS6 = {0: "any", 4: "ipip6", 41: "ip6ip6"}


_TUNNEL: _Table = {  # what ipip, sit and ip6tnl have in common
    1: ("link", _unless_zero(_u32)),
    4: ("ttl", _u8),
    15: ("encap_type", _unless_zero(_u16)),
    16: ("encap_flags", _u16),
    17: ("encap_sport", _be16),
    18: ("encap_dport", _be16),
    19: ("external", _present),
    20: ("fwmark", _hexadecimal_unless_zero(_u32)),
}
_IPIP: _Table = {
    **_TUNNEL,
    2: ("local", _or_any(_ipv4)),
    3: ("remote", _or_any(_ipv4)),
    5: ("tos", _hexadecimal_unless_zero(_u8)),
    9: ("proto", _name(_u8, _PROTOCOLS, _LEFT_OUT)),
    10: ("pmtudisc", _yes_or_no),
}
_SIT: _Table = {
    **_IPIP,
    8: ("isatap", lambda data: True if _u16(data) & 1 else _LEFT_OUT),
    11: ("prefix", _ipv6),
    12: ("relay_prefix", _unless_unspecified(_ipv4)),
    13: ("prefixlen", _u16),
    14: ("relay_prefixlen", _u16),
}
_IP6TNL: _Table = {
    **_TUNNEL,
    2: ("local", _or_any(_ipv6)),
    3: ("remote", _or_any(_ipv6)),
    6: ("encap_limit", _u8),
    7: ("flowinfo", _be32),
    8: ("flags", _u32),
    9: ("proto", _name(_u8, _PROTOCOLS6, _LEFT_OUT)),
}
_IP6TNL_FLAGS = (  # IP6_TNL_F_* of linux/ip6_tunnel.h
    "ip6_tnl_f_ign_encap_limit",
    "ip6_tnl_f_use_orig_tclass",
    "ip6_tnl_f_use_orig_flowlabel",
    "ip6_tnl_f_mip6_dev",
    "ip6_tnl_f_rcv_dscp_copy",
    "ip6_tnl_f_use_orig_fwmark",
    "ip6_tnl_f_allow_local_remote",
)
_GRE_FLAGS = ((0x1000, "seq"), (0x8000, "csum"))  # linux/if_tunnel.h; 0x2000 is that there is a key
_GRE_KEY = 0x2000


def _finish_gre(fields: _Fields) -> None:
    for side in "io":
        flags = _taken(fields, f"{side}flags") or 0
        if not flags & _GRE_KEY:
            fields.pop(f"{side}key", None)
        fields.update({f"{side}{name}": True for bit, name in _GRE_FLAGS if flags & bit})
    _finish_encapsulation(fields)


def _finish_sit(fields: _Fields) -> None:
    if not fields.get("prefixlen"):
        for name in ("prefix", "prefixlen", "relay_prefix"):
            fields.pop(name, None)
    if "relay_prefix" not in fields:
        fields.pop("relay_prefixlen", None)
    _finish_encapsulation(fields)


def _finish_ip6tnl(fields: _Fields) -> None:
    flags = _taken(fields, "flags") or 0
    fields.update({name: True for bit, name in enumerate(_IP6TNL_FLAGS) if flags >> bit & 1})
    flow = _taken(fields, "flowinfo")
    if "ip6_tnl_f_ign_encap_limit" in fields:
        fields.pop("encap_limit", None)
    if "ip6_tnl_f_use_orig_fwmark" in fields:
        fields.pop("fwmark", None)
    # A flow label's 32 bits: 4 of nothing, 8 of the traffic class, 20 of the label.
    if flow is not None and "ip6_tnl_f_use_orig_tclass" not in fields:
        fields["tclass"] = f"0x{flow >> 20 & 0xFF:02x}"
    if flow is not None and "ip6_tnl_f_use_orig_flowlabel" not in fields:
        fields["flowlabel"] = f"0x{flow & 0xFFFFF:05x}"
    _finish_encapsulation(fields)


def _finish_encapsulation(fields: _Fields) -> None:
    kind, flags = _taken(fields, "encap_type"), _taken(fields, "encap_flags") or 0
    sport, dport = fields.pop("encap_sport", 0), fields.pop("encap_dport", 0)
    if kind is None:
        return
    fields["encap"] = {  # TUNNEL_ENCAP_* of linux/if_tunnel.h
        "type": {1: "fou", 2: "gue"}.get(kind),
        "sport": sport,
        "dport": dport,
        **{name: bool(flags >> bit & 1) for bit, name in enumerate(("csum", "csum6", "remcsum"))},
    }


def _taken(fields: _Fields, name: str) -> int | None:
    """A number that is not told as such."""
    value = fields.pop(name, None)
    return value if isinstance(value, int) else None


_CARDS = frozenset({"link", "active_slave", "primary"})  # fields that are the index of another card

_KINDS: dict[str, tuple[_Table, Callable[[_Fields], None] | None]] = {
    "bond": (_BOND, _finish_bond),
    "bridge": (_BRIDGE, _finish_bridge),
    "geneve": (_GENEVE, _finish_geneve),
    "gre": (_GRE, _finish_gre),
    "gretap": (_GRE, _finish_gre),
    "ip6tnl": (_IP6TNL, _finish_ip6tnl),
    "ipip": (_IPIP, _finish_encapsulation),
    "ipvlan": (_IPVLAN, _finish_ipvlan),
    "macvlan": (_MACVLAN, _finish_macvlan),
    "macvtap": (_MACVLAN, _finish_macvlan),
    "sit": (_SIT, _finish_sit),
    "tun": (_TUN, _finish_tun),
    "vlan": (_VLAN, None),
    "vrf": (_VRF, None),
    "vxlan": (_VXLAN, _finish_vxlan),
}
