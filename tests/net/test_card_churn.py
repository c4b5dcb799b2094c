"""Many cards, and cards that come, go and change their names while they are listed."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pytest

import netfast as nf
from net import cards_lab, lab

T = TypeVar("T")

# Each is a process: batches of ip without end, until it is told to stop. A batch goes on after an error.
CHURNS = {
    "cards come and go": (
        [f"link add come{i} type veth peer name come{i}p" for i in range(30)]
        + [f"link set come{i} up" for i in range(30)]
        + [f"addr add 10.8.{i}.1/24 dev come{i}" for i in range(30)]
        + [f"link del come{i}" for i in range(30)]
    ),
    "names go round": [f"link set name{i} name name{i + 1}" for i in range(20)] + ["link set name20 name name0"],
    "names are swapped": ["link set swap0 name swap2", "link set swap1 name swap0", "link set swap2 name swap1"],
    "addresses come and go": (
        [f"addr add 10.9.{i}.1/24 dev addr0" for i in range(50)]
        + [f"addr add 2001:db8:9:{i}::1/64 dev addr0 nodad" for i in range(50)]
        + ["addr flush dev addr0"]
    ),
    "states change": [
        "link set state0 down",
        "link set state0 mtu 1400",
        "link set state0 up",
        "link set state0 mtu 1500",
    ],
}

CHURN = """
import json, subprocess, sys, time
lines = json.loads(sys.argv[1])
batch = "\\n".join(lines) + "\\n"
rounds = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    subprocess.run(["ip", "-force", "-batch", "-"], input=batch, text=True, capture_output=True)
    rounds += 1
print(rounds)
"""

OWN = {"come": ("10.8.",), "addr": ("10.9.", "2001:db8:9:"), "name": (), "swap": ()}  # addresses start with
STAYING = 40
STAYING_ADDRESSES = 20


@contextmanager
def churning(host: lab.Namespace, seconds: float) -> Iterator[list[subprocess.Popen[str]]]:
    """All of these at once, beside cards that stay as they are."""
    host.ip(
        *(f"link add stay{i} type veth peer name stay{i}p" for i in range(STAYING // 2)),
        *(f"link set stay{i} alias {'x' * 200}" for i in range(STAYING // 2)),
        *(f"addr add 10.{i}.{j}.1/24 dev stay{i}" for i in range(4) for j in range(STAYING_ADDRESSES)),
        *(f"addr add 2001:db8:{i}:{j}::1/64 dev stay{i} nodad" for i in range(4) for j in range(STAYING_ADDRESSES)),
        "link add name0 type veth peer name name0p",
        "link add swap0 type veth peer name swap1",
        "link add addr0 type veth peer name addr0p",
        "link add state0 type veth peer name state0p",
    )
    processes = [host.start(CHURN, json.dumps(lines), seconds) for lines in CHURNS.values()]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def look_and_check() -> int:
    """The cards there are; whatever changes, each is listed once, and who stays is there as it is."""
    cards = nf.interfaces()
    indexes = [card.index for card in cards]
    assert indexes == sorted(set(indexes))
    by_name = {card.name: card for card in cards}
    assert by_name["lo"].index == 1
    for i in range(STAYING // 2):
        card = by_name[f"stay{i}"]
        assert (card.alias, card.link, card.kind) == ("x" * 200, f"stay{i}p", "veth")
        assert f"stay{i}p" in by_name
        wanted = 2 * STAYING_ADDRESSES if i < 4 else 0
        assert len(card.addresses) == len({address.ip for address in card.addresses}) == wanted
    for card in cards:
        counted = Counter((address.ip, address.prefixlen) for address in card.addresses)
        assert not counted or counted.most_common(1)[0][1] == 1
        # An address belongs to the card that it was given to.
        for prefix, starts in OWN.items():
            if card.name.startswith(prefix):
                assert all(address.ip.startswith((*starts, "fe80:")) for address in card.addresses)
    # The two that swap their names are two, whatever they are called.
    assert sum(name.startswith("swap") for name in by_name) in (1, 2)
    return len(cards)


def tried(function: Callable[[], T]) -> T | OSError:
    try:
        return function()
    except OSError as error:
        return error


def looked_at_while_all_changes(host: lab.Namespace, seconds: float) -> None:
    seen: set[int] = set()
    found: Counter[str] = Counter()
    looks = failures = 0
    with churning(host, seconds + 1) as processes, host.inside():
        gc.collect()
        before = lab.descriptors()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seen.add(look_and_check())
            looks += 1
            for name in ("come7", "name5", "swap0", "addr0", "stay3"):
                outcome = tried(partial(nf.interface, name))
                if isinstance(outcome, OSError):
                    assert str(outcome).endswith(f"no network card {name!r}")
                    failures += 1
                else:
                    assert outcome.name == name
                    found[name] += 1
            text = nf.ifconfig(all=True)
            assert "stay0: flags=" in text
        assert lab.descriptors() == before
        rounds = [int(process.communicate(timeout=30)[0]) for process in processes]
    assert min(rounds) > 0
    assert looks > seconds
    assert len(seen) > 1  # cards did come and go ...
    assert failures > 0
    assert failures + sum(found.values()) == 5 * looks
    assert found["addr0"] == found["stay3"] == looks
    assert found["swap0"] > 0


def test_cards_that_come_and_go_while_they_are_listed(network: None) -> None:
    with lab.namespace() as host:
        looked_at_while_all_changes(host, 4)


@pytest.mark.slow
def test_cards_that_come_and_go_for_a_minute(network: None) -> None:
    signal.setitimer(signal.ITIMER_REAL, 3 * lab.LIMIT)  # longer than other tests may take
    with lab.namespace() as host:
        looked_at_while_all_changes(host, 60)


# --- many ------------------------------------------------------------------------------------------------------------


def pairs(host: lab.Namespace, names: Sequence[str]) -> None:
    host.ip(*(f"link add {name} type veth peer name {name}p" for name in names))


def test_a_thousand_cards(alone: lab.Namespace) -> None:
    pairs(alone, [f"c{i}" for i in range(500)])
    alone.ip(*(f"addr add 10.{i // 250}.{i % 250}.1/24 dev c{i}" for i in range(500)))
    alone.ip(*(f"link set c{i} alias {'long-' * 40}" for i in range(0, 500, 7)))
    shown, cards = cards_lab.settled(nf.interfaces)
    assert len(cards) == 1001
    assert [card.index for card in cards] == sorted(card["ifindex"] for card in shown.values())
    for card in cards:
        want = cards_lab.expected(shown[card.name])
        want["details"] = {}
        found = cards_lab.found(card)
        assert {field: found[field] for field in want} == want | {"flags": found["flags"]}
        assert found["flags"] - {"RUNNING"} == want["flags"] - {"RUNNING"}
    start = time.perf_counter()
    for _ in range(5):
        assert len(nf.interfaces()) == 1001
    assert (time.perf_counter() - start) / 5 < 0.5  # ten times what it takes
    assert nf.interface("c499p").link == "c499"
    assert nf.ifconfig(all=True).count(": flags=") == 1001


def test_cards_that_go_while_they_are_changed(alone: lab.Namespace) -> None:
    """A card that is gone is an OSError, whichever step it goes at."""
    process = alone.start(CHURN, json.dumps(CHURNS["cards come and go"]), 3)
    outcomes: Counter[str] = Counter()
    changes: list[Callable[[str], object]] = [
        lambda name: nf.set_interface(name, mtu=1400, up=True),
        lambda name: nf.add_address(name, "10.77.0.1/24"),
        lambda name: nf.del_address(name, "10.77.0.1/24"),
    ]
    try:
        while process.poll() is None:
            for i in range(0, 30, 5):
                for change in changes:
                    outcome = tried(partial(change, f"come{i}"))
                    if isinstance(outcome, OSError):
                        assert f"come{i}" in str(outcome)
                        assert outcome.errno is not None
                        outcomes["refused"] += 1
                    else:
                        outcomes["done"] += 1
    finally:
        process.kill()
        process.communicate()
    assert outcomes["refused"] > 0
    assert outcomes["done"] > 0
