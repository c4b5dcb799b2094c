"""A collector of UDP datagrams (syslog, NetFlow, statsd): who sends how much, by kind of address and by network.

    python udp_collector.py 127.0.0.1:5140 --seconds 60 --table networks.csv

A batch of datagrams takes one system call, and the addresses of a batch are classified and labelled in one call each.
networks.csv is a table with a line of names, "prefix,value":

    prefix,value
    10.0.0.0/8,office
    2001:db8::/32,data centre
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import suppress

import netfast as nf


class Collector:
    """Counts datagrams by who sends them."""

    def __init__(self, table: nf.PrefixTable | None) -> None:
        self.table = table
        self.kinds: Counter[str] = Counter()
        self.networks: Counter[str] = Counter()
        self.datagrams = 0
        self.bytes = 0

    def collect(self, batch: nf.DatagramBatch, seconds: float, most: int) -> None:
        """Takes what comes in so many seconds, or until there were so many datagrams."""
        until = time.monotonic() + seconds
        while self.datagrams < most and (left := until - time.monotonic()) > 0:
            self.take(batch.recv(timeout=left))

    def take(self, datagrams: nf.Datagrams) -> None:
        self.datagrams += len(datagrams)
        self.bytes += datagrams.bytes_total
        # A socket of IPv6 has the addresses of IPv4 as ::ffff:192.0.2.1; what such a one carries counts.
        self.kinds.update(nf.classify(datagrams.addresses, unwrap=True).counts())
        if self.table is not None:
            matches = self.table.lookup(datagrams.addresses, unwrap=True)
            self.networks.update(matches.values(default="elsewhere"))

    def show(self) -> None:
        print(f"{self.datagrams:,} datagrams, {self.bytes:,} bytes")
        for title, counts in (("kind", self.kinds), ("network", self.networks)):
            for name, count in counts.most_common():
                print(f"{title:<8} {name:<20} {count:>12,}")


def main() -> None:
    options = arguments()
    try:
        collector = Collector(nf.PrefixTable.from_csv(options.table, value="value") if options.table else None)
        with nf.udp_socket(options.address, buffer=8 << 20) as sock:
            print("listening on", *sock.getsockname()[:2], flush=True)
            batch = nf.DatagramBatch(sock, batch=256)
            with suppress(TimeoutError, KeyboardInterrupt):
                collector.collect(batch, options.seconds, options.count)
            collector.show()
            print(f"{batch.dropped:,} were dropped by the kernel for want of room")
    except (OSError, ValueError) as error:
        raise SystemExit(f"udp_collector: {error}") from None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Counts datagrams by the kind and the network of who sends them.")
    parser.add_argument("address", help="host:port, or a port alone for every address")
    parser.add_argument("--seconds", type=float, default=3600.0, metavar="S", help="end after so long (3600)")
    parser.add_argument("--count", type=int, default=2**63, metavar="N", help="end after so many datagrams or more")
    parser.add_argument("--table", metavar="FILE", help="a CSV of prefixes and values, to count by network too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
