"""What is known of a network card: itself, its counters, its addresses."""

from __future__ import annotations

import enum
import ipaddress
import socket
from typing import NamedTuple


class InterfaceFlags(enum.IntFlag):
    """Flags of a network card, `IFF_*` of linux/if.h.

    Example:
        >>> InterfaceFlags(0x1003).names()
        ['UP', 'BROADCAST', 'MULTICAST']
    """

    UP = 0x1
    BROADCAST = 0x2
    DEBUG = 0x4
    LOOPBACK = 0x8
    POINTOPOINT = 0x10
    NOTRAILERS = 0x20
    RUNNING = 0x40
    NOARP = 0x80
    PROMISC = 0x100
    ALLMULTI = 0x200
    MASTER = 0x400
    SLAVE = 0x800
    MULTICAST = 0x1000
    PORTSEL = 0x2000
    AUTOMEDIA = 0x4000
    DYNAMIC = 0x8000
    LOWER_UP = 0x10000
    DORMANT = 0x20000
    ECHO = 0x40000

    def names(self) -> list[str]:
        """The names of the flags that are set, lowest bit first; bits without a name are left out."""
        return [flag.name or "" for flag in InterfaceFlags if flag & self]


class LinkStats(NamedTuple):
    """A card's counters since it was made, `struct rtnl_link_stats64` of linux/if_link.h.

    Attributes:
        rx_packets, tx_packets, rx_bytes, tx_bytes: received and sent.
        rx_errors, tx_errors: bad packets received; packets that could not be sent.
        rx_dropped, tx_dropped: for want of room, or because nobody wanted them.
        multicast: multicast packets received.
        collisions: while sending, half duplex.
        rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors: kinds of `rx_errors`.
        rx_fifo_errors, tx_fifo_errors: overruns of a queue of the card.
        rx_missed_errors: the host had no room for them.
        tx_aborted_errors, tx_carrier_errors, tx_heartbeat_errors, tx_window_errors: kinds of `tx_errors`.
        rx_compressed, tx_compressed: of those, compressed (PPP, SLIP).
        rx_nohandler: nobody was there for the card's protocol or it was an inactive port of its master.

    Example:
        >>> LinkStats(*range(24)).frame  # 10 + 11 + 12 + 13
        46
    """

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int
    multicast: int
    collisions: int
    rx_length_errors: int
    rx_over_errors: int
    rx_crc_errors: int
    rx_frame_errors: int
    rx_fifo_errors: int
    rx_missed_errors: int
    tx_aborted_errors: int
    tx_carrier_errors: int
    tx_fifo_errors: int
    tx_heartbeat_errors: int
    tx_window_errors: int
    rx_compressed: int
    tx_compressed: int
    rx_nohandler: int

    # As /proc/net/dev sums them up (net/core/net-procfs.c), and with it ifconfig(8).

    @property
    def rx_drops(self) -> int:
        """Received and dropped, by the kernel or for want of room in the host."""
        return self.rx_dropped + self.rx_missed_errors

    @property
    def rx_overruns(self) -> int:
        """`rx_fifo_errors`, by ifconfig's name."""
        return self.rx_fifo_errors

    @property
    def tx_overruns(self) -> int:
        """`tx_fifo_errors`, by ifconfig's name."""
        return self.tx_fifo_errors

    @property
    def frame(self) -> int:
        """Received with a wrong length, checksum or frame, or with too many bits."""
        return self.rx_length_errors + self.rx_over_errors + self.rx_crc_errors + self.rx_frame_errors

    @property
    def carrier(self) -> int:
        """Not sent for what the medium did."""
        return self.tx_aborted_errors + self.tx_carrier_errors + self.tx_heartbeat_errors + self.tx_window_errors


class InterfaceAddress(NamedTuple):
    """An IP address of a card.

    Attributes:
        family: `socket.AF_INET` or `socket.AF_INET6`.
        ip: the address as text.
        prefixlen: bits of the network; with a peer, of the peer's network.
        broadcast: of IPv4, None where none is set.
        peer: the address at the other end, of a point-to-point link; None without.
        scope: where it is valid: "global", "site", "link", "host", "nowhere", or a number (rtnetlink(7)).
        label: of IPv4, the card's name or an alias such as "eth0:1"; None for IPv6.
        flags: of "secondary" (IPv4), "temporary" (IPv6), "nodad", "optimistic", "dadfailed", "home", "deprecated",
            "tentative", "permanent", "mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy".
        valid_lft, preferred_lft: seconds until it goes, and until it is used for nothing new; None for never.
        metric: of the route to its network; None where none was given.
        protocol: who set it (`IFAPROT_*`); None where nobody said.

    Example:
        >>> address = InterfaceAddress(2, "192.0.2.1", 24, "192.0.2.255", None, "global", "eth0", ("permanent",))
        >>> str(address.interface), address.netmask
        ('192.0.2.1/24', '255.255.255.0')
    """

    family: int
    ip: str
    prefixlen: int
    broadcast: str | None
    peer: str | None
    scope: str
    label: str | None
    flags: tuple[str, ...]
    valid_lft: int | None = None
    preferred_lft: int | None = None
    metric: int | None = None
    protocol: int | None = None

    @property
    def interface(self) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
        """The address with its prefix length, as an object of the standard library."""
        return ipaddress.ip_interface(f"{self.ip}/{self.prefixlen}")

    @property
    def netmask(self) -> str:
        """The prefix length as a mask, such as "255.255.255.0" or "ffff:ffff:ffff:ffff::"."""
        return str(self.interface.netmask)

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON; family "inet" or "inet6"."""
        family = "inet6" if self.family == socket.AF_INET6 else "inet"
        return {**self._asdict(), "family": family, "flags": list(self.flags)}


class Interface(NamedTuple):
    """A network card: what ifconfig(8) and `ip -s -d addr` print of it.

    Attributes:
        index: its number in this network namespace, from 1.
        name: as `os.fsdecode` has it: the kernel's names are bytes, and need not be UTF-8.
        altnames: further names.
        alias: a description that somebody gave it; None without.
        flags: `InterfaceFlags`.
        admin_up: somebody set it up (`IFF_UP`).
        running: it can send and receive (`IFF_RUNNING`).
        operstate: "unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant" or "up" (RFC 2863).
        carrier: the cable is in, or its like.
        dormant: it comes up in two steps (link mode "dormant"), such as after 802.1X.
        mtu: bytes of the largest packet.
        min_mtu, max_mtu: what `mtu` may be; a `max_mtu` of 0: no limit is told.
        txqueuelen: packets that may wait to be sent.
        qdisc: what they wait in.
        group: the number of its group.
        type: of the link: "ether", "loopback", "none", ... as ip(8) has it, or the number (`ARPHRD_*`).
        kind: of a virtual card, such as "veth", "bridge", "vxlan"; None for the others.
        port_kind: of its master, such as "bridge"; None without.
        details: what its kind adds, by the names of `ip -d -j`; empty where there is nothing.
        hwaddr, broadcast, permanent_hwaddr: link-layer addresses, such as "02:00:00:00:00:01"; None without.
        master: the name of the card it is a port of; None without.
        link: the name of the card below it, or of its peer; "if5" for number 5 of another namespace; None without.
        link_netnsid: this namespace's number of the one that `link` is in; None for this one.
        promiscuity, allmulti: how many want every packet, every multicast packet.
        tx_queues, rx_queues: how many it has.
        gso_max_size, tso_max_size, gro_max_size, gso_ipv4_max_size, gro_ipv4_max_size: bytes that may be put together,
            to be sent or as they come; 0 where the kernel does not tell.
        gso_max_segs, tso_max_segs: packets that these are.
        addrgenmode: how it makes IPv6 addresses: "eui64", "none", "stable_secret", "random"; None without IPv6.
        carrier_changes: how often `carrier` has changed.
        stats: its counters.
        addresses: its IP addresses, in the kernel's order.

    Example:
        >>> import netfast as nf
        >>> lo = nf.interface("lo")
        >>> lo.index, lo.type, lo.admin_up, lo.addresses[0].ip
        (1, 'loopback', True, '127.0.0.1')
    """

    index: int  # type: ignore[assignment]  # over tuple's method
    name: str
    altnames: tuple[str, ...]
    alias: str | None
    flags: InterfaceFlags
    admin_up: bool
    running: bool
    operstate: str
    carrier: bool
    dormant: bool
    mtu: int
    min_mtu: int
    max_mtu: int
    txqueuelen: int
    qdisc: str
    group: int
    type: str
    kind: str | None
    port_kind: str | None
    details: dict[str, object]
    hwaddr: str | None
    broadcast: str | None
    permanent_hwaddr: str | None
    master: str | None
    link: str | None
    link_netnsid: int | None
    promiscuity: int
    allmulti: int
    tx_queues: int
    rx_queues: int
    gso_max_size: int
    gso_max_segs: int
    tso_max_size: int
    tso_max_segs: int
    gro_max_size: int
    gso_ipv4_max_size: int
    gro_ipv4_max_size: int
    addrgenmode: str | None
    carrier_changes: int
    stats: LinkStats
    addresses: tuple[InterfaceAddress, ...]

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON: flags by name, counters and addresses as dicts."""
        return {
            **self._asdict(),
            "altnames": list(self.altnames),
            "details": dict(self.details),
            "flags": self.flags.names(),
            "stats": self.stats._asdict(),
            "addresses": [address.to_dict() for address in self.addresses],
        }
