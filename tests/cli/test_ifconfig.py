"""`netfast ifconfig`."""

import errno
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netfast as nf
import netfast.nics
from net import lab

Command = Callable[..., Any]

ODD = b"\x1b[2J\xff\xe2\x80\xae"  # what clears a screen, what is no UTF-8, what turns text around
ODD_SHOWN = r"\x1b[2J\xff\u202e"


@pytest.fixture
def host(require: Callable[[object, str], None], tool: Callable[[str], str]) -> Iterator[lab.Namespace]:
    """The test, and the commands it runs, are in a namespace with the cards lo (up), one (up) and two (down).

    Without IPv6 a card sends nothing by itself: counters shall stand still.
    """
    lab.check(require, tool)
    with lab.namespace() as host, host.inside():
        host.sysctl(ipv6__conf__default__disable_ipv6=1)
        host.ip("tuntap add dev one mode tap", "tuntap add dev two mode tap")
        host.ip(
            "link set one address 02:00:00:00:00:01",
            "link set two address 02:00:00:00:00:02",
            "addr add 192.0.2.1/24 broadcast + dev one",
            "addr add 2001:db8::1/64 dev lo nodad",
            "link set one up",
        )
        yield host


def card() -> nf.Interface:
    return nf.interface("one")


# --- what is listed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("-a",), ("one",), ("two",), ("-a", "lo")])
def test_it_prints_what_ifconfig_prints(
    cli: Command, host: lab.Namespace, tool: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    told = host.run(tool("ifconfig"), *arguments)
    run = cli("ifconfig", *arguments)
    assert (run.code, run.err) == (0, "")
    assert paragraphs(run.out) == paragraphs(told)
    names = [name for name in arguments if name != "-a"]
    assert run.out == nf.ifconfig(*names, all="-a" in arguments) + "\n"


def paragraphs(text: str) -> list[list[str]]:
    """In no order: ifconfig(8) has cards by name, and IPv6 addresses as they come."""
    return sorted(sorted(paragraph.splitlines()) for paragraph in text.rstrip("\n").split("\n\n"))


@pytest.mark.parametrize("arguments", [("-s",), ("-as",), ("-s", "two"), ("lo", "-s")])
def test_the_short_table_has_the_fields_of_ifconfig(
    cli: Command, host: lab.Namespace, tool: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    host.ip("link set lo multicast on", "link set two arp off promisc on allmulticast on")
    host.run("ping", "-c", "2", "-i", "0.01", "127.0.0.1")
    options = [*(["-a"] if "-as" in arguments else []), "-s"]
    told = host.run(tool("ifconfig"), *options, *(name for name in arguments if "-" not in name))
    run = cli("ifconfig", *arguments)
    assert (run.code, run.err) == (0, "")
    assert sorted(map(str.split, run.out.splitlines())) == sorted(map(str.split, told.splitlines()))


def test_a_short_table_of_large_numbers(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    large = nf.LinkStats(*range(10**18, 10**18 + 24))
    flags = nf.InterfaceFlags(0)
    card = nf.interface("lo")._replace(name="x" * 15, flags=flags, stats=large)
    monkeypatch.setattr(netfast.nics, "interfaces", lambda: [card])
    fields = cli("ifconfig", "-s").out.splitlines()[1].split()
    assert fields[2:6] == [str(n) for n in (10**18, 10**18 + 4, large.rx_drops, 10**18 + 14)]
    assert (fields[0], " ".join(fields[-2:])) == ("x" * 15, "[NO FLAGS]")


@pytest.mark.parametrize(
    ("arguments", "names"), [((), ["lo", "one"]), (("-a",), ["lo", "one", "two"]), (("two",), ["two"])]
)
def test_json(cli: Command, host: lab.Namespace, arguments: tuple[str, ...], names: list[str]) -> None:
    run = cli("ifconfig", "--json", *arguments)
    told = [json.loads(line) for line in run.out.splitlines()]
    assert [card["name"] for card in told] == names
    assert told[-1] == json.loads(json.dumps(nf.interface(names[-1]).to_dict()))
    assert "LOWER_UP" not in told[-1]["flags"] or told[-1]["carrier"]


def test_nothing_is_up(cli: Command, host: lab.Namespace) -> None:
    host.ip("link set lo down", "link set one down")
    assert cli("ifconfig") == (0, "", "")
    assert cli("ifconfig", "--json") == (0, "", "")
    assert cli("ifconfig", "-s").out.split()[0] == "Iface"


def test_names_of_any_bytes(cli: Command, host: lab.Namespace) -> None:
    name = os.fsdecode(ODD)
    subprocess.run([b"ip", b"link", b"add", b"name", ODD, b"type", b"bridge"], check=True)
    shown = cli("ifconfig", name)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"{ODD_SHOWN}: flags=")
    assert f"\n{ODD_SHOWN}  " in cli("ifconfig", "-as").out
    assert json.loads(cli("ifconfig", "--json", name).out)["name"] == name
    assert cli("ifconfig", name, "mtu", "1300", "name", "three") == (0, "", "")
    assert nf.interface("three").mtu == 1300
    run = cli("ifconfig", name)
    assert (run.code, run.out) == (2, "")
    assert run.err.isprintable() or run.err[:-1].isprintable()


# --- what is done ----------------------------------------------------------------------------------------------------


def test_actions(cli: Command, host: lab.Namespace) -> None:
    host.sysctl(ipv6__conf__one__disable_ipv6=0)
    before = card()

    def changed(words: str) -> nf.Interface:
        assert cli("ifconfig", "one", *words.split()) == (0, "", "")
        return card()

    assert changed("mtu 1400").mtu == 1400
    assert "198.51.100.1/25" in addresses(changed("add 198.51.100.1/25"))
    assert "2001:db8::7/48" in addresses(changed("add 2001:db8::7/48"))
    assert addresses(changed("del 198.51.100.1/25"))[0] == addresses(before)[0]
    assert "198.51.100.1/25" not in addresses(card())
    assert changed("hw 02:00:00:00:00:aa").hwaddr == "02:00:00:00:00:aa"
    assert changed("hw ether 02:00:00:00:00:bb").hwaddr == "02:00:00:00:00:bb"
    assert not changed("down").admin_up
    assert changed("up").admin_up
    assert cli("ifconfig", "one", "name", "three") == (0, "", "")
    assert nf.interface("three").index == before.index


def addresses(card: nf.Interface) -> list[str]:
    return [str(address.interface) for address in card.addresses]


def test_actions_are_done_in_order(cli: Command, host: lab.Namespace) -> None:
    words = "down add 198.51.100.1/24 del 198.51.100.1/24 name three mtu 1400 name one up add 198.51.100.9/24"
    assert cli("ifconfig", "one", *words.split()) == (0, "", "")
    assert (card().mtu, card().admin_up) == (1400, True)
    assert [text for text in addresses(card()) if text.startswith("198")] == ["198.51.100.9/24"]


def test_a_changed_card_as_json(cli: Command, host: lab.Namespace) -> None:
    run = cli("ifconfig", "two", "--json", "mtu", "1300", "name", "three")
    assert json.loads(run.out) == json.loads(json.dumps(nf.interface("three").to_dict()))


def test_names_that_begin_with_a_dash(cli: Command, host: lab.Namespace) -> None:
    assert cli("ifconfig", "--", "two", "name", "-s") == (0, "", "")
    assert cli("ifconfig", "--", "-s").out.startswith("-s: flags=")
    assert cli("ifconfig", "-s", "--", "-s").out.splitlines()[1].startswith("-s ")
    assert cli("ifconfig", "--", "-s", "mtu", "1300", "name", "two") == (0, "", "")
    assert nf.interface("two").mtu == 1300


def test_after_trouble_nothing_more_is_done(cli: Command, host: lab.Namespace) -> None:
    run = cli("ifconfig", "one", "mtu", "1400", "add", "192.0.2.1/24", "hw", "02:00:00:00:00:aa", "down")
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert "192.0.2.1" in run.err
    assert run.err.endswith(" (done before: mtu 1400; not done: hw 02:00:00:00:00:aa, down)\n")
    assert (card().mtu, card().hwaddr, card().admin_up) == (1400, "02:00:00:00:00:01", True)
    run = cli("ifconfig", "one", "mtu", "1401", "name", "three", "add", "192.0.2.1/24")
    assert run.err.endswith(" (done before: mtu 1401, name three)\n")
    assert nf.interface("three").mtu == 1401


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("down hw zz up", "hwaddr 'zz'"),
        ("down hw ff:ff:ff:ff:ff:ff up", "no multicast address"),
        ("down mtu 99999999 up", "mtu=99999999"),
        ("down add 10.0.0.1 up", "no prefix length"),
        ("down del 10.0.0.1/33 up", "above 32"),
        ("down name a/b up", "a/b"),
    ],
)
def test_a_wrong_value_is_found_before_anything_is_done(
    cli: Command, host: lab.Namespace, words: str, said: str
) -> None:
    before = card()
    run = cli("ifconfig", "one", *words.split())
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err
    assert run.err.endswith(" (nothing was done)\n")
    assert card().flags == before.flags


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nosuch", "'nosuch'"),
        ("nosuch up", "'nosuch'"),
        ("one mtu 1", "mtu"),
        ("one mtu 99999999", "mtu"),
        ("one add 192.0.2.9", "192.0.2.9"),
        ("one add 192.0.2.9/33", "192.0.2.9/33"),
        ("one del 192.0.2.9/24", "192.0.2.9/24"),
        ("one hw 02:00", "02:00"),
        ("one hw ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"),
        ("one name a/b", "a/b"),
        ("one name two", "two"),
    ],
)
def test_trouble_is_one_line(cli: Command, host: lab.Namespace, words: str, said: str) -> None:
    run = cli("ifconfig", *words.split())
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert run.err.startswith("netfast: ")
    assert "internal error" not in run.err
    assert "Errno" not in run.err
    assert said in run.err


def test_without_privilege(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "lo: its MTU was not set to 1400: that takes CAP_NET_ADMIN")

    monkeypatch.setattr(netfast.nics, "set_interface", refuse)
    run = cli("ifconfig", "lo", "mtu", "1400")
    assert run == (2, "", "netfast: lo: its MTU was not set to 1400: that takes CAP_NET_ADMIN\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lo", "upp"), "unknown action 'upp' (there are up, down, mtu, add, del, hw, name)"),
        (("lo", "up", "10.0.0.1"), "unknown action '10.0.0.1'"),
        (("lo", "mtu"), "mtu wants a number of bytes"),
        (("lo", "mtu", "-1"), "mtu wants a number of bytes"),
        (("lo", "--", "mtu", "-1"), "mtu wants a number of bytes"),
        (("lo", "mtu", "9" * 5000), "mtu wants a number of bytes"),
        (("lo", "mtu", "٣"), "mtu wants a number of bytes"),
        (("lo", "up", "add"), "add wants an address such as"),
        (("lo", "hw"), "hw wants an address such as"),
        (("lo", "hw", "ether"), "hw wants an address such as"),
        (("lo", "name"), "name wants a name"),
        (("lo", "up", "\x1b[2J\n"), r"unknown action '\x1b[2J\n'"),
        (("-x",), "unrecognized arguments: -x"),
    ],
)
def test_usage_errors(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    run = cli("ifconfig", *arguments)
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert said in run.err


# --- how it looks ----------------------------------------------------------------------------------------------------


def test_a_narrow_terminal(terminal: Command, host: lab.Namespace) -> None:
    run = terminal("ifconfig", "-a", columns=40)
    assert (run.code, run.err) == (0, "")
    plain = re.sub(r"\x1b\[\d+m", "", run.out)
    assert max(map(len, plain.splitlines())) <= 40
    assert re.sub(r"\s", "", plain) == re.sub(r"\s", "", nf.ifconfig(all=True))
    assert "\n        inet 192.0.2.1\n            netmask 255.255.255.0\n" in plain


def test_a_narrow_short_table(terminal: Command, host: lab.Namespace) -> None:
    heading, *rows = terminal("ifconfig", "-as", columns=40).out.splitlines()
    assert heading == "\x1b[1mIface    MTU  RX-OK  RX-ERR  TX-OK  Flg\x1b[0m"
    assert [row.split()[0] for row in rows] == ["lo", "one", "two"]
    assert len(terminal("ifconfig", "-as", columns=100).out.splitlines()[1].split()) == 11


def test_colors(terminal: Command, host: lab.Namespace) -> None:
    host.ip("addr add 192.0.2.9/24 label one:x dev one")
    shown = terminal("ifconfig", "one").out
    assert re.findall(r"\x1b\[1m(.*?)\x1b\[0m", shown) == ["one", "one:x"]
    assert "\x1b" not in terminal("ifconfig", "one", env={"NO_COLOR": "1"}).out
    assert "\x1b" not in terminal("ifconfig", "one", "--color", "never").out
    assert re.sub(r"\x1b\[\d+m", "", shown) == nf.ifconfig("one") + "\n"


def test_no_terminal_gets_it_all(cli: Command, host: lab.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert cli("ifconfig") == (0, nf.ifconfig() + "\n", "")


@pytest.mark.parametrize("arguments", [(), ("-s",), ("--json",)])
def test_closed_pipe_ends_quietly(start: Command, arguments: tuple[str, ...]) -> None:
    process = start("ifconfig", *arguments)
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""
