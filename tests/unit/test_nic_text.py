"""The text of a card, against what ifconfig of net-tools 2.10 printed where the kernel's answers were these."""

from __future__ import annotations

import socket
import textwrap

import pytest

from netfast.nic_rows import Interface, InterfaceAddress, InterfaceFlags, LinkStats
from netfast.nic_text import card_text

NOTHING = LinkStats(*[0] * 24)


def card(**fields: object) -> Interface:
    """An Ethernet card that is up, but for the fields."""
    flags = fields.pop("flags", 0x11043)
    assert isinstance(flags, int)
    values: dict[str, object] = dict.fromkeys(Interface._fields, 0)
    values |= {"name": "eth0", "mtu": 1500, "txqueuelen": 1000, "type": "ether", "hwaddr": "02:fc:00:00:00:0a"}
    values |= {"stats": NOTHING, "addresses": (), "flags": InterfaceFlags(flags), **fields}
    return Interface(**values)  # type: ignore[arg-type]


def ipv4(
    ip: str, prefixlen: int, label: str | None = "eth0", *, broadcast: str | None = None, peer: str | None = None
) -> InterfaceAddress:
    return InterfaceAddress(socket.AF_INET, ip, prefixlen, broadcast, peer, "global", label, ())


def ipv6(ip: str, prefixlen: int, scope: str) -> InterfaceAddress:
    return InterfaceAddress(socket.AF_INET6, ip, prefixlen, None, None, scope, None, ())


def written(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_a_card() -> None:
    stats = NOTHING._replace(rx_packets=44940, rx_bytes=1542248878, tx_packets=24321, tx_bytes=2090820)
    addresses = (
        ipv4("192.0.2.2", 24, broadcast="192.0.2.255"),
        ipv6("fd00::2", 64, "global"),
        ipv6("fe80::fc:ff:fe00:1", 64, "link"),
    )
    text = """
        eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1400
                inet 192.0.2.2  netmask 255.255.255.0  broadcast 192.0.2.255
                inet6 fd00::2  prefixlen 64  scopeid 0x0<global>
                inet6 fe80::fc:ff:fe00:1  prefixlen 64  scopeid 0x20<link>
                ether 02:fc:00:00:00:0a  txqueuelen 1000  (Ethernet)
                RX packets 44940  bytes 1542248878 (1.4 GiB)
                RX errors 0  dropped 0  overruns 0  frame 0
                TX packets 24321  bytes 2090820 (1.9 MiB)
                TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0
    """
    assert card_text(card(mtu=1400, stats=stats, addresses=addresses)) == written(text)


def test_the_loopback() -> None:
    addresses = ipv4("127.0.0.1", 8, "lo"), ipv6("::1", 128, "host")
    lo = card(name="lo", flags=0x10049, mtu=65536, type="loopback", hwaddr="00:00:00:00:00:00", addresses=addresses)
    text = """
        lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536
                inet 127.0.0.1  netmask 255.0.0.0
                inet6 ::1  prefixlen 128  scopeid 0x10<host>
                loop  txqueuelen 1000  (Local Loopback)
                RX packets 0  bytes 0 (0.0 B)
                RX errors 0  dropped 0  overruns 0  frame 0
                TX packets 0  bytes 0 (0.0 B)
                TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0
    """
    assert card_text(lo) == written(text)


def test_a_tunnel_is_point_to_point() -> None:
    addresses = ipv4("10.3.0.1", 30, "tun0", peer="10.3.0.2"), ipv4("10.3.0.9", 32, "tun0")
    tun = card(name="tun0", flags=0x1091, type="none", hwaddr=None, txqueuelen=500, addresses=addresses)
    text = """
        tun0: flags=4241<UP,POINTOPOINT,NOARP,MULTICAST>  mtu 1500
                inet 10.3.0.1  netmask 255.255.255.252  destination 10.3.0.2
                inet 10.3.0.9  netmask 255.255.255.255  destination 10.3.0.9
                unspec 00-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 500  (UNSPEC)
                RX packets 0  bytes 0 (0.0 B)
                RX errors 0  dropped 0  overruns 0  frame 0
                TX packets 0  bytes 0 (0.0 B)
                TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0
    """
    assert card_text(tun) == written(text)


def test_aliases_are_paragraphs_in_the_order_of_their_numbers() -> None:
    addresses = (
        ipv4("10.0.0.2", 24, "eth0:10"),
        ipv4("10.0.0.1", 24, "eth0:2", broadcast="10.0.0.255"),
        ipv4("10.1.0.3", 24),
        ipv4("10.0.0.3", 16, "eth0:2"),
        ipv4("10.1.0.4", 32, None),
        ipv4("10.4.0.1", 8, "eth0:web"),
        ipv6("2001:db8::1", 64, "global"),
    )
    text = """
        eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
                inet 10.1.0.3  netmask 255.255.255.0  broadcast 0.0.0.0
                inet 10.1.0.4  netmask 255.255.255.255  broadcast 0.0.0.0
                inet6 2001:db8::1  prefixlen 64  scopeid 0x0<global>
                ether 02:fc:00:00:00:0a  txqueuelen 1000  (Ethernet)
                RX packets 0  bytes 0 (0.0 B)
                RX errors 0  dropped 0  overruns 0  frame 0
                TX packets 0  bytes 0 (0.0 B)
                TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0

        eth0:2: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
                inet 10.0.0.1  netmask 255.255.255.0  broadcast 10.0.0.255
                inet 10.0.0.3  netmask 255.255.0.0  broadcast 0.0.0.0
                ether 02:fc:00:00:00:0a  txqueuelen 1000  (Ethernet)

        eth0:10: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
                inet 10.0.0.2  netmask 255.255.255.0  broadcast 0.0.0.0
                ether 02:fc:00:00:00:0a  txqueuelen 1000  (Ethernet)

        eth0:web: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
                inet 10.4.0.1  netmask 255.0.0.0  broadcast 0.0.0.0
                ether 02:fc:00:00:00:0a  txqueuelen 1000  (Ethernet)
    """
    assert card_text(card(addresses=addresses)) == written(text)


def test_counters_are_summed_as_proc_net_dev_does() -> None:
    stats = LinkStats(*range(1, 25))
    text = """
        eth0: flags=4098<BROADCAST,MULTICAST>  mtu 1500
                ether 02:fc:00:00:00:0a  txqueuelen 0  (Ethernet)
                RX packets 1  bytes 3 (3.0 B)
                RX errors 5  dropped 23  overruns 15  frame 50
                TX packets 2  bytes 4 (4.0 B)
                TX errors 6  dropped 8 overruns 19  carrier 76  collisions 10
    """
    assert card_text(card(flags=0x1002, txqueuelen=0, stats=stats)) == written(text)


def test_a_line_that_compresses_says_so() -> None:
    stats = NOTHING._replace(rx_compressed=21, tx_compressed=22)
    lines = card_text(card(type="cslip", hwaddr=None, stats=stats)).splitlines()
    assert lines[1] == "        cslip  txqueuelen 1000  (VJ Serial Line IP)"
    assert lines[3] == "        RX compressed:21"
    assert lines[6] == "        TX compressed 22"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (0x1, "1<UP>"),
        (
            0x7FFF,
            "32767<UP,BROADCAST,DEBUG,LOOPBACK,POINTOPOINT,NOTRAILERS,RUNNING,NOARP,PROMISC,ALLMULTI,"
            "SLAVE,MASTER,MULTICAST>",
        ),
        (0x9043, "-28605<UP,BROADCAST,RUNNING,MULTICAST,DYNAMIC>"),
        (0x8000, "-32768<DYNAMIC>"),
        (0x71043, "4163<UP,BROADCAST,RUNNING,MULTICAST>"),
        (0x6040, "24640<RUNNING>"),
        (0x0, "0<>"),  # where ifconfig forgets the second bracket
    ],
)
def test_flags(flags: int, text: str) -> None:
    assert card_text(card(flags=flags)).splitlines()[0] == f"eth0: flags={text}  mtu 1500"


@pytest.mark.parametrize(
    ("kind", "hwaddr", "text"),
    [
        ("ether", "0a:0b:0c:0d:0e:0f", "ether 0a:0b:0c:0d:0e:0f  txqueuelen 1000  (Ethernet)"),
        ("fddi", "0a:0b:0c:0d:0e:0f", "fddi 0A-0B-0C-0D-0E-0F  txqueuelen 1000  (Fiber Distributed Data Interface)"),
        ("hippi", "01:02:03:04:05:0f", "hippi 01:02:03:04:05:0F  txqueuelen 1000  (HIPPI)"),
        ("eui64", "01:02:03:04:05:06:07:0f", "eui64 01:02:03:04:05:06:07:0F  txqueuelen 1000  (Generic EUI-64)"),
        ("loopback", "00:00:00:00:00:00", "loop  txqueuelen 1000  (Local Loopback)"),
        ("sit", "c0:00:02:01", "sit  txqueuelen 1000  (IPv6-in-IPv4)"),
        ("ipip", "c0:00:02:01", "tunnel   txqueuelen 1000  (IPIP Tunnel)"),
        ("ppp", None, "ppp  txqueuelen 1000  (Point-to-Point Protocol)"),
        ("slip", None, "slip  txqueuelen 1000  (Serial Line IP)"),
        ("slip6", None, "slip6  txqueuelen 1000  (6-bit Serial Line IP)"),
        ("cslip6", None, "cslip6  txqueuelen 1000  (VJ 6-bit Serial Line IP)"),
        ("cisco", None, "hdlc  txqueuelen 1000  ((Cisco)-HDLC)"),
        ("frad", None, "frad  txqueuelen 1000  (Frame Relay Access Device)"),
        ("lapb", None, "lapb  txqueuelen 1000  (LAPB)"),
        ("none", None, "unspec 00-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 1000  (UNSPEC)"),
        ("gre", "c0:00:02:0a", "unspec C0-00-02-0A-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 1000  (UNSPEC)"),
        (
            "infiniband",
            ":".join(f"{byte:02x}" for byte in range(1, 21)),
            "unspec 01-02-03-04-05-06-07-08-00-00-00-00-00-00-00-00  txqueuelen 1000  (UNSPEC)",
        ),
        ("824", "01", "unspec 01-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 1000  (UNSPEC)"),
    ],
)
def test_hardware(kind: str, hwaddr: str | None, text: str) -> None:
    assert card_text(card(type=kind, hwaddr=hwaddr)).splitlines()[1] == f"        {text}"


@pytest.mark.parametrize(
    ("ip", "scope", "text"),
    [
        ("2001:db8::1", "global", "0x0<global>"),
        ("fe80::1", "link", "0x20<link>"),
        ("fec0::1", "site", "0x40<site>"),
        ("::1", "host", "0x10<host>"),
        ("::10.0.0.9", "global", "0x80<compat,global>"),
        ("::a00:9", "host", "0x90<compat,host>"),
        ("::", "global", "0x0<global>"),
        ("::ffff:10.0.0.9", "global", "0x0<global>"),
        ("2001:db8::1", "77", "0x0<global>"),
    ],
)
def test_scopes(ip: str, scope: str, text: str) -> None:
    text_of_card = card_text(card(addresses=(ipv6(ip, 96, scope),)))
    assert text_of_card.splitlines()[1] == f"        inet6 {ip}  prefixlen 96  scopeid {text}"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.0 B"),
        (1, "1.0 B"),
        (1024, "1024.0 B"),
        (1025, "1.0 KiB"),
        (1126, "1.0 KiB"),
        (1127, "1.1 KiB"),
        (2047, "1.9 KiB"),
        (1048576, "1024.0 KiB"),
        (1048577, "1.0 MiB"),
        (1073741824, "1024.0 MiB"),
        (1073741825, "1.0 GiB"),
        (1099511627777, "1.0 TiB"),
        (1125899906842625, "1.0 PiB"),
        (1152921504606846976, "1024.0 PiB"),
        (1152921504606846977, "1.0 EiB"),
        (2**64 - 1, "15.9 EiB"),
    ],
)
def test_units(number: int, text: str) -> None:
    stats = NOTHING._replace(rx_bytes=number, tx_bytes=number)
    lines = card_text(card(stats=stats)).splitlines()
    assert lines[2] == f"        RX packets 0  bytes {number} ({text})"
    assert lines[4] == f"        TX packets 0  bytes {number} ({text})"


def test_a_name_is_left_as_it_is() -> None:
    for name in ("bad\udcff", "-x", "$(id)", "日本", 'a"b'):
        label = f"{name}:1"
        addresses = ipv4("10.0.0.1", 8, label), ipv4("10.0.0.2", 8, name)
        lines = card_text(card(name=name, addresses=addresses)).splitlines()
        assert lines[0].startswith(f"{name}: flags=")
        assert lines[-3].startswith(f"{label}: flags=")
