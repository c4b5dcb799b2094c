"""`netfast address`."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import netfast as nf

Command = Callable[..., Any]


@pytest.mark.parametrize("text", ["192.168.1.1", "255.255.255.255", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_explains(cli: Command, text: str) -> None:
    assert cli("address", text) == (0, nf.address(text).to_text() + "\n", "")


def test_several_have_a_line_between(cli: Command) -> None:
    texts = ["10.0.0.1", "::1"]
    assert cli("address", *texts).out == "\n".join(nf.address(text).to_text() + "\n" for text in texts)


def test_json(cli: Command) -> None:
    run = cli("address", "10.0.0.1", "--json", "2001:db8::1")
    assert [json.loads(line) for line in run.out.splitlines()] == [
        nf.address(text).to_dict() for text in ("10.0.0.1", "2001:db8::1")
    ]


def test_bad_ones_are_named_and_the_others_explained(cli: Command) -> None:
    run = cli("address", "10.0.0.256", "10.0.0.1", "a\x1b[2J\n")
    assert run.code == 2
    assert run.out == nf.address("10.0.0.1").to_text() + "\n"
    first, second = run.err.splitlines()
    assert first == "netfast: '10.0.0.256' is not an IP address: octet above 255 (at character 8)"
    assert second.startswith("netfast: 'a\\x1b[2J\\n' is not")
