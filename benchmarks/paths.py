"""Where datagrams go in benchmarks: over loopback, or over a pair of veth cards from one namespace to another."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from benchmarks.measure import MissingError
from net import datagrams_lab, lab


class Path(NamedTuple):
    name: str
    host: str  # the receiver's
    hosts: str  # of 65,536 addresses that are all the receiver's: what they begin with
    near: Callable[[], AbstractContextManager[None]]  # where the sender is while inside
    far: Callable[[], AbstractContextManager[None]]


@contextmanager
def loopback() -> Iterator[Path]:
    yield Path("loopback", "127.0.0.1", "127.0", nullcontext, nullcontext)


@contextmanager
def veth() -> Iterator[Path]:
    if os.geteuid() != 0:
        raise MissingError("root, for network namespaces")
    with lab.namespace() as near, lab.namespace() as far:
        way = datagrams_lab.joined(near, far, 4, mtu=1500)
        near.ip(f"route add 198.19.0.0/16 via {way.far_host}")
        far.ip("route add local 198.19.0.0/16 dev lo")
        yield Path("veth", way.far_host, "198.19", near.inside, far.inside)
