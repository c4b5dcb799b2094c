"""netfast.address and netfast.NETWORK_CLASSES: every number a textbook gives, and where the registries differ."""

import ipaddress
import json
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from netfast.errors import AddressError
from netfast.registry import BLOCKS, KINDS
from netfast.textbook import NETWORK_CLASSES, AddressInfo, address

CLASSES = {network_class.name: network_class for network_class in NETWORK_CLASSES}

# name, leading bits, first, last, textbook first, textbook last, networks, hosts per network
TEXTBOOK = [
    ("A", "0", "0.0.0.0", "127.255.255.255", "1.0.0.1", "126.255.255.254", 126, 16_777_214),
    ("B", "10", "128.0.0.0", "191.255.255.255", "128.1.0.1", "191.255.255.254", 16_384, 65_534),
    ("C", "110", "192.0.0.0", "223.255.255.255", "192.0.1.1", "223.255.255.254", 2_097_152, 254),
    ("D", "1110", "224.0.0.0", "239.255.255.255", "224.0.0.1", "239.255.255.254", None, None),
    ("E", "1111", "240.0.0.0", "255.255.255.255", "240.0.0.0", "255.255.255.255", None, None),
]


def notes(text: str) -> str:
    return "\n".join(address(text).notes)


# ---- the classes -----------------------------------------------------------------------------------------------------


def test_classes_are_the_textbooks() -> None:
    assert [tuple(network_class)[:-1] for network_class in NETWORK_CLASSES] == TEXTBOOK
    assert CLASSES["D"].use == "multicast"
    assert CLASSES["E"].use == "reserved"


@pytest.mark.parametrize("name", "ABCDE")
def test_full_range_follows_from_the_leading_bits(name: str) -> None:
    network_class = CLASSES[name]
    bits = network_class.leading_bits
    assert int(ipaddress.IPv4Address(network_class.first)) == int(bits.ljust(32, "0"), 2)
    assert int(ipaddress.IPv4Address(network_class.last)) == int(bits.ljust(32, "1"), 2)


@pytest.mark.parametrize(("name", "network_bits", "without"), [("A", 7, 2), ("B", 14, 0), ("C", 21, 0)])
def test_counts_follow_from_the_bits(name: str, network_bits: int, without: int) -> None:
    network_class = CLASSES[name]
    host_bits = 32 - network_bits - len(network_class.leading_bits)
    assert network_class.networks == 2**network_bits - without
    assert network_class.hosts_per_network == 2**host_bits - 2


# ---- one address -----------------------------------------------------------------------------------------------------


def test_the_textbooks_example() -> None:
    info = address("192.168.1.1")
    block = next(block for block in BLOCKS if block.prefix == "192.168.0.0/16")
    assert info._replace(notes=()) == AddressInfo(
        text="192.168.1.1",
        version=4,
        kind="private",
        block=block,
        rfc="RFC 1918",
        network_class="C",
        leading_bits="110",
        network_part="192.168.1",
        host_part="1",
        default_mask="255.255.255.0",
        textbook_range="192.0.1.1–223.255.255.254",
        networks_in_class=2_097_152,
        hosts_per_network=254,
        binary="11000000.10101000.00000001.00000001",
        is_private=True,
        is_loopback=False,
        is_global=False,
        notes=(),
    )
    assert str(info) == "192.168.1.1: class C, private, in 192.168.0.0/16 Private-Use (RFC 1918)"


@pytest.mark.parametrize(
    ("text", "network_part", "host_part", "mask"),
    [
        ("10.1.2.3", "10", "1.2.3", "255.0.0.0"),
        ("127.0.0.1", "127", "0.0.1", "255.0.0.0"),
        ("172.16.5.4", "172.16", "5.4", "255.255.0.0"),
        ("223.255.255.254", "223.255.255", "254", "255.255.255.0"),
        ("224.0.0.1", "", "", ""),
        ("240.0.0.1", "", "", ""),
        ("2001:db8::1", "", "", ""),
    ],
)
def test_parts(text: str, network_part: str, host_part: str, mask: str) -> None:
    info = address(text)
    assert (info.network_part, info.host_part, info.default_mask) == (network_part, host_part, mask)


@pytest.mark.parametrize(
    ("text", "kind", "private", "loopback", "is_global"),
    [
        ("10.0.0.1", "private", True, False, False),
        ("172.15.255.255", "global", False, False, True),
        ("172.16.0.0", "private", True, False, False),
        ("172.31.255.255", "private", True, False, False),
        ("172.32.0.0", "global", False, False, True),
        ("192.167.255.255", "global", False, False, True),
        ("192.169.0.0", "global", False, False, True),
        ("127.0.0.1", "loopback", False, True, False),
        ("127.255.255.255", "loopback", False, True, False),
        ("8.8.8.8", "global", False, False, True),
        ("100.64.0.1", "shared", False, False, False),
        ("192.0.0.9", "anycast", False, False, True),
        ("203.0.113.1", "documentation", False, False, False),
        ("224.0.0.1", "multicast", False, False, False),
        ("240.0.0.1", "reserved", False, False, False),
        ("255.255.255.255", "broadcast", False, False, False),
        ("::1", "loopback", False, True, False),
        ("fd00::1", "private", True, False, False),
        ("2606:4700::1111", "global", False, False, True),
        ("64:ff9b::10.0.0.1", "translation", False, False, True),
    ],
)
def test_kinds_and_flags(text: str, kind: str, private: bool, loopback: bool, is_global: bool) -> None:
    info = address(text)
    assert (info.kind, info.is_private, info.is_loopback, info.is_global) == (kind, private, loopback, is_global)


def test_ipv6_has_no_class() -> None:
    info = address("2001:DB8::1")
    assert (info.text, info.version, info.rfc, info.block.prefix) == ("2001:db8::1", 6, "RFC 3849", "2001:db8::/32")
    assert (info.network_class, info.leading_bits, info.textbook_range) == ("", "", "")
    assert info.networks_in_class is None
    assert info.hosts_per_network is None
    assert info.binary.split(":") == [f"{group:016b}" for group in (0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)]
    assert str(info) == "2001:db8::1: IPv6, documentation, in 2001:db8::/32 Documentation (RFC 3849)"


@given(st.ip_addresses(v=4))
def test_any_ipv4(given_address: ipaddress.IPv4Address) -> None:
    info = address(str(given_address))
    network_class = CLASSES[info.network_class]
    assert int(info.binary.replace(".", ""), 2) == int(given_address)
    assert info.binary.startswith(info.leading_bits)
    assert ipaddress.IPv4Address(network_class.first) <= given_address <= ipaddress.IPv4Address(network_class.last)
    assert given_address in ipaddress.ip_network(info.block.prefix)
    if info.network_class in "ABC":
        assert f"{info.network_part}.{info.host_part}" == info.text == str(given_address)
        length = ipaddress.ip_network(f"0.0.0.0/{info.default_mask}").prefixlen
        assert length == 8 * (info.network_part.count(".") + 1)


@given(st.ip_addresses(v=6))
def test_any_ipv6(given_address: ipaddress.IPv6Address) -> None:
    info = address(str(given_address))
    assert int(info.binary.replace(":", ""), 2) == int(given_address)
    assert given_address in ipaddress.ip_network(info.block.prefix)


@given(st.ip_addresses())
def test_any_address_can_be_printed(given_address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    info = address(str(given_address))
    assert info.text in str(info)
    assert max(map(len, info.to_text().splitlines())) <= 100
    assert json.loads(json.dumps(info.to_dict()))["kind"] in KINDS


def test_bytes_and_zones() -> None:
    assert address(b"192.168.1.1") == address("192.168.1.1")
    assert address("fe80::1%eth0").text == "fe80::1%eth0"
    assert address("fe80::1%eth0").kind == "link_local"
    assert "The zone 'eth0'" in notes("fe80::1%eth0")
    assert not address("fe80::1").notes


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.256", "01.2.3.4", " 1.2.3.4", "1.2.3.4/8", "::1::", "x", b"\xff"])
def test_other_texts_are_refused(text: str | bytes) -> None:
    with pytest.raises(AddressError) as caught:
        address(text)
    assert caught.value.index is None


@pytest.mark.parametrize("thing", [None, 1, 1.5, ["1.2.3.4"]])
def test_other_things_are_refused(thing: object) -> None:
    with pytest.raises(TypeError):
        address(thing)  # type: ignore[arg-type]


# ---- textbook and registries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.0.0.1", "126.255.255.254", "128.1.0.1", "191.255.255.254", "192.0.1.1", "223.255.255.254"]
)
def test_agreement_needs_no_note(text: str) -> None:
    assert address(text).notes == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0.0.0.0", "A"),
        ("1.0.0.0", "A"),
        ("126.255.255.255", "A"),
        ("127.0.0.1", "A"),
        ("128.0.0.0", "B"),
        ("128.1.0.0", "B"),
        ("191.255.255.255", "B"),
        ("192.0.0.1", "C"),
        ("192.0.1.0", "C"),
        ("223.255.255.255", "C"),
        ("224.0.0.0", "D"),
        ("239.255.255.255", "D"),
    ],
)
def test_outside_the_textbooks_range(text: str, name: str) -> None:
    info = address(text)
    assert info.network_class == name
    assert "outside the textbook's usable range" in info.notes[0]
    assert info.textbook_range in info.notes[0]
    assert len(info.notes) > 1  # and what the registries say of it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.1.2.3", "The textbook and IANA agree: 10.0.0.0/8, one network of class A, is private."),
        ("172.20.1.1", "172.16.0.0/12, which is 16 networks of class B, is private."),
        ("192.168.1.1", "192.168.0.0/16, which is 256 networks of class C, is private."),
        ("127.0.0.1", "127.0.0.0/8 is for loopback tests"),
        ("224.0.0.1", "224.0.0.0/4 is multicast"),
        ("250.0.0.1", "240.0.0.0/4 is reserved"),
        ("0.1.2.3", "IANA sets 0.0.0.0/8 aside: This network (RFC 791 section 3.2), not globally reachable."),
        ("100.64.0.1", "takes this for an ordinary address of class A; IANA sets 100.64.0.0/10 aside: Shared Address"),
        ("169.254.1.1", "takes this for an ordinary address of class B; IANA sets 169.254.0.0/16 aside: Link Local"),
        ("192.0.0.9", "IANA sets 192.0.0.9/32 aside: Port Control Protocol Anycast (RFC 7723), globally reachable."),
        ("192.88.99.1", "(RFC 7526), reachability not stated."),
        ("255.255.255.255", "a reserved address of class E; IANA sets 255.255.255.255/32 aside: Limited Broadcast"),
        ("128.0.3.4", "no special use, so it is ordinary unicast."),
        ("128.0.3.4", "The textbook's count of 16,384 networks includes this one, its range does not."),
        ("192.0.0.200", "The textbook's count of 2,097,152 networks includes this one, its range does not."),
        ("239.255.255.255", "224.0.0.0/4 is multicast from its first to its last address."),
        ("192.168.1.0", "the host part is all zeros: the network itself"),
        ("10.255.255.255", "the host part is all ones: the network's broadcast"),
        ("::ffff:10.0.0.1", "Carries the IPv4 address 10.0.0.1 (IPv4-mapped Address, RFC 4291), of kind private."),
        ("64:ff9b::8.8.8.8", "Carries the IPv4 address 8.8.8.8 (IPv4-IPv6 Translat., RFC 6052), of kind global."),
        ("2002:7f00:1::", "Carries the IPv4 address 127.0.0.1 (6to4, RFC 3056), of kind loopback."),
        ("2001::f5ff:fffe", "Carries the IPv4 address 10.0.0.1 (TEREDO, RFC 4380, RFC 8190), of kind private."),
        ("fec0::1", "fec0::/10 as site-local: deprecated by RFC 3879"),
    ],
)
def test_notes_say_who_sees_it_how(text: str, said: str) -> None:
    assert said in notes(text)


@pytest.mark.parametrize("text", ["64:ff9b:1::1", "2003::1", "::1.2.3.4", "2001:db8::1"])
def test_what_carries_nothing(text: str) -> None:
    assert "Carries" not in notes(text)


# ---- printed ---------------------------------------------------------------------------------------------------------


def test_to_text() -> None:
    assert address("172.16.0.255").to_text() == (
        "172.16.0.255 (IPv4)\n"
        "  class               B (unicast, medium networks)\n"
        "  leading bits        10, so 128.0.0.0–191.255.255.255\n"
        "  textbook range      128.1.0.1–191.255.255.254\n"
        "  network part        172.16\n"
        "  host part           0.255\n"
        "  default mask        255.255.0.0 (/16)\n"
        "  networks            16,384 in class B\n"
        "  hosts               65,534 in each network\n"
        "  binary              10101100.00010000.00000000.11111111\n"
        "  kind                private\n"
        "  private             yes\n"
        "  loopback            no\n"
        "  globally reachable  no\n"
        "  block               172.16.0.0/12 Private-Use\n"
        "  source              RFC 1918\n"
        "  * The textbook and IANA agree: 172.16.0.0/12, which is 16 networks of class B, is\n"
        "    private."
    )


def test_to_text_of_ipv6_leaves_classes_out() -> None:
    lines = address("2001:db8::1").to_text().splitlines()
    assert lines[0] == "2001:db8::1 (IPv6)"
    assert lines[1] == f"  binary              {0x2001:016b}:{0xDB8:016b}:{0:016b}:{0:016b}:"
    assert lines[2] == f"                      {0:016b}:{0:016b}:{0:016b}:{1:016b}"
    assert "class" not in address("2001:db8::1").to_text()


def test_a_zone_sends_nothing_to_the_terminal() -> None:
    info = address("fe80::1%\x1b[31m")
    assert info.text == "fe80::1%\x1b[31m"
    assert "\x1b" not in str(info) + info.to_text()
    assert str(info).startswith(r"fe80::1%\x1b[31m: IPv6")


def test_to_dict_is_ready_for_json() -> None:
    info = address("192.168.1.1")
    data = json.loads(json.dumps(info.to_dict()))
    assert list(data) == list(info._fields)
    assert data["block"] == info.block.to_dict()
    assert data["notes"] == list(info.notes)
    assert data["hosts_per_network"] == 254


def test_needs_no_numpy() -> None:
    code = "import sys; from netfast.textbook import address; address('::1').to_text(); print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
