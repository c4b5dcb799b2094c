"""Where there is no netlink, what would ask it says so in one clear error, and everything else works."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable

import pytest

import netfast as nf

ASKS: dict[str, Callable[[], object]] = {
    "interfaces": nf.interfaces,
    "interface": lambda: nf.interface("lo"),
    "ifconfig": nf.ifconfig,
    "set_interface": lambda: nf.set_interface("lo", up=True),
    "add_address": lambda: nf.add_address("lo", "127.0.0.2/8"),
    "del_address": lambda: nf.del_address("lo", "127.0.0.2/8"),
    "connections": nf.connections,
    "listening": nf.listening,
    "port_owner": lambda: nf.port_owner(80),
}


@pytest.mark.parametrize("name", ASKS)
def test_without_netlink_there_is_one_clear_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netfast.linux.sys.platform", "darwin")
    with pytest.raises(OSError, match=r"netlink, which this system \(darwin\) does not have") as caught:
        ASKS[name]()
    assert caught.value.errno == errno.ENOSYS


def test_a_port_is_explained_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netfast.linux.sys.platform", "darwin")
    assert nf.port(80).listeners == ()


def test_all_else_works_where_the_borders_to_linux_are_missing() -> None:
    code = """
import sys
sys.platform = "darwin"
sys.modules["netfast._net"] = sys.modules["netfast._netlink"] = None
import netfast as nf
assert nf.classify(["10.0.0.1"]).is_private[0] and nf.service_name(80) == "http"
assert nf.classify_ports([80])[0] == "system" and nf.address("10.0.0.1").network_class == "A"
for name in nf.__all__:
    getattr(nf, name)
try:
    nf.interfaces()
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "this system (darwin) does not have" in done.stdout
