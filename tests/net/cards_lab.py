"""Cards for tests: what ip(8) shows of them, as netfast has it, and what takes more than a line of ip to make."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import netfast as nf
from net import lab

Shown = dict[str, Any]
Fields = dict[str, Any]
T = TypeVar("T")

FOREVER = 2**32 - 1  # of a lifetime
SCOPES = {"global", "site", "link", "host", "nowhere"}
ADDRESS_FLAGS = (
    *("secondary", "temporary", "nodad", "optimistic", "dadfailed", "home", "deprecated", "tentative"),
    *("mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy"),
)


def output(*command: str | bytes) -> str:
    """What a command in the caller's namespace prints. Bytes that are no UTF-8 come as os.fsdecode has them."""
    done = subprocess.run(command, capture_output=True, timeout=lab.LIMIT)
    if done.returncode != 0:
        raise RuntimeError(f"{command!r}: {os.fsdecode(done.stderr) or os.fsdecode(done.stdout)}")
    return os.fsdecode(done.stdout)


def ip(line: str, *more: str | bytes) -> None:
    """`ip` with the words of the line, and with others that need not be words."""
    output("ip", *line.split(), *more)


def shown() -> dict[str, Shown]:
    """What ip shows of each card of the caller's namespace, by name."""
    cards: dict[str, Shown] = {}
    for what in ("addr", "link"):  # each shows something that the other does not
        # Not strict: ip leaves control characters as they are.
        for card in json.loads(output("ip", "-s", "-s", "-d", "-j", what, "show"), strict=False):
            cards[card["ifname"]] = {**cards.get(card["ifname"], {}), **card}
    return cards


def settled(look: Callable[[], T]) -> tuple[dict[str, Shown], T]:
    """What ip shows, before and after alike, and what `look` returns in between: counters may stand still no longer."""
    for _ in range(100):
        before, seen, after = shown(), look(), shown()
        if json.dumps(_without_clocks(before)) == json.dumps(_without_clocks(after)):
            return after, seen
        time.sleep(0.05)
    raise TimeoutError("the cards do not come to rest")


def _without_clocks(value: object) -> object:
    if isinstance(value, dict):
        clocks = re.compile("_timer$|_life_time$")
        return {name: _without_clocks(item) for name, item in value.items() if not clocks.search(name)}
    return [_without_clocks(item) for item in value] if isinstance(value, list) else value


# --- what ip shows, as netfast has it --------------------------------------------------------------------------------

NUMBERS = {
    "index": "ifindex",
    "mtu": "mtu",
    "min_mtu": "min_mtu",
    "max_mtu": "max_mtu",
    "promiscuity": "promiscuity",
    "allmulti": "allmulti",
    "tx_queues": "num_tx_queues",
    "rx_queues": "num_rx_queues",
    "gso_max_size": "gso_max_size",
    "gso_max_segs": "gso_max_segs",
    "tso_max_size": "tso_max_size",
    "tso_max_segs": "tso_max_segs",
    "gro_max_size": "gro_max_size",
}
TEXTS = {
    "name": "ifname",
    "alias": "ifalias",
    "qdisc": "qdisc",
    "type": "link_type",
    "hwaddr": "address",
    "broadcast": "broadcast",
    "master": "master",
    "link_netnsid": "link_netnsid",
    "addrgenmode": "inet6_addr_gen_mode",
}
# How struct rtnl_link_stats64 names what ip names otherwise; the rest have the direction before ip's name.
COUNTERS = {"multicast": ("rx", "multicast"), "collisions": ("tx", "collisions")}


def expected(card: Shown) -> Fields:
    """The fields of a card as netfast has them, of all that ip shows."""
    flags = set(card["flags"])
    up = "UP" in flags
    info = card.get("linkinfo", {})
    fields = {name: card[of_ip] for name, of_ip in NUMBERS.items()} | {
        name: card.get(of_ip) for name, of_ip in TEXTS.items()
    }
    fields |= {
        "altnames": tuple(card.get("altnames", ())),
        "flags": flags - {"NO-CARRIER", "M-DOWN"},  # ip's own: up without RUNNING; the card below is down
        "admin_up": up,
        "operstate": card["operstate"].lower(),
        "dormant": card["linkmode"] == "DORMANT",
        "txqueuelen": card.get("txqlen", 0),
        "group": 0 if card["group"] == "default" else int(card["group"]),
        "kind": info.get("info_kind"),
        "port_kind": info.get("info_slave_kind"),
        "details": info.get("info_data", {}),
        "link": card.get("link") or (f"if{card['link_index']}" if card.get("link_index") else None),
        "carrier_changes": card["stats64"]["tx"]["carrier_changes"],
        "stats": _counters(card["stats64"]),
        "addresses": [_address(address) for address in card["addr_info"]],
    }
    if up:
        fields |= {"running": "NO-CARRIER" not in flags, "carrier": "LOWER_UP" in flags}
    return fields


def _counters(stats: Shown) -> dict[str, int]:
    found = {}
    for name in nf.LinkStats._fields:
        direction, _, counter = name.partition("_")
        direction, counter = COUNTERS.get(name, (direction, counter))
        found[name] = stats[direction].get(counter, 0)  # what is zero is not always shown
    return found


def _address(address: Shown) -> Fields:
    valid, preferred = address["valid_life_time"], address["preferred_life_time"]
    return {
        "family": socket.AF_INET if address["family"] == "inet" else socket.AF_INET6,
        "ip": address["local"],
        "prefixlen": address["prefixlen"],
        "broadcast": address.get("broadcast"),
        "peer": address.get("address"),
        "scope": str(address["scope"]),
        "label": address.get("label"),
        "flags": {name for name in ADDRESS_FLAGS if address.get(name)}
        | ({"permanent"} if not address.get("dynamic") else set()),
        "valid_lft": None if valid == FOREVER else valid,
        "preferred_lft": None if preferred == FOREVER else preferred,
        "metric": address.get("metric"),
    }


def found(card: nf.Interface) -> Fields:
    """The same fields of netfast."""
    fields = card._asdict()
    fields["flags"] = set(card.flags.names()) - {"RUNNING"}
    fields["stats"] = card.stats._asdict()
    fields["addresses"] = [
        {**address._asdict(), "flags": set(address.flags), "family": int(address.family)} for address in card.addresses
    ]
    for address in fields["addresses"]:
        del address["protocol"]  # which this ip does not know
    return fields


# --- making and changing cards ---------------------------------------------------------------------------------------


def make(require: Callable[[object, str], None], line: str) -> None:
    """`ip link add ...`, or a skip where the kernel has no such kind."""
    kind = line.split("type ")[1].split()[0]
    try:
        ip(f"link add {line}")
    except RuntimeError as error:
        require("Unknown device type" not in str(error), f"cards of kind {kind}")
        raise


def named(name: bytes) -> None:
    """A card of this name, which a word of ip's line need not be able to hold, and its peer of a plain one."""
    payload = attribute(3, name + b"\0") + attribute(18, attribute(1, b"veth"))  # IFLA_IFNAME, IFLA_LINKINFO
    ask(16, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + payload, 0x600)  # RTM_NEWLINK; NLM_F_CREATE, NLM_F_EXCL


def attribute(number: int, payload: bytes) -> bytes:
    """A netlink attribute."""
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def ask(kind: int, body: bytes, flags: int = 0) -> None:
    """A request to rtnetlink, which must succeed."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.settimeout(5)
        channel.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)  # NLM_F_REQUEST, NLM_F_ACK
        answer = channel.recv(65536)
    (error,) = struct.unpack_from("=i", answer, 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def set_attribute(name: str, number: int, payload: bytes) -> None:
    """Sets IFLA_... of a card, for which ip has no word."""
    ask(16, struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 0, 0) + attribute(number, payload))


@contextmanager
def tap(name: str, *, tun: bool = False) -> Iterator[int]:
    """A card that ends in this process: the descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # TUNSETIFF of linux/if_tun.h; IFF_TUN or IFF_TAP, and IFF_NO_PI.
        fcntl.ioctl(descriptor, 0x400454CA, struct.pack("16sH22x", name.encode(), (1 if tun else 2) | 0x1000))
        yield descriptor
    finally:
        os.close(descriptor)


def send_frames(card: str, number: int, *, ethertype: int = 0x88B5, to: str = "ff:ff:ff:ff:ff:ff") -> None:
    """Frames of 64 bytes, by default of a protocol (set aside for experiments) that nobody knows."""
    frame = (
        bytes.fromhex(to.replace(":", "")) + bytes.fromhex("020000000001") + ethertype.to_bytes(2, "big") + bytes(50)
    )
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((card, 0))
        for _ in range(number):
            sender.send(frame)


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for it."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def names(cards: Sequence[nf.Interface]) -> list[str]:
    return [card.name for card in cards]
