"""Datagrams in batches on an event loop, which goes on with other work while it waits for them.

Called as

    python asyncio_receiver.py 127.0.0.1:5140 --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from contextlib import suppress

import netfast as nf


class Receiver:
    """Counts what comes to a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.batch = nf.DatagramBatch(sock)
        self.datagrams = 0
        self.bytes = 0

    async def run(self, most: int) -> None:
        while self.datagrams < most:
            datagrams = await self.batch.arecv()
            self.datagrams += len(datagrams)
            self.bytes += datagrams.bytes_total
            for datagram in datagrams:  # a memoryview, valid as long as anything holds it
                if bytes(datagram[:5]) == b"hello":
                    print("somebody says hello", flush=True)


async def tell(receiver: Receiver) -> None:
    """The other work."""
    while True:
        await asyncio.sleep(1)
        print(f"{receiver.datagrams:,} datagrams until now", flush=True)


async def receive(options: argparse.Namespace) -> None:
    with nf.udp_socket(options.address) as sock:
        print("listening on", *sock.getsockname()[:2], flush=True)
        receiver = Receiver(sock)
        telling = asyncio.create_task(tell(receiver))
        with suppress(asyncio.TimeoutError):  # which cancels arecv, and loses nothing
            await asyncio.wait_for(receiver.run(options.count), options.seconds)
        telling.cancel()
        print(f"{receiver.datagrams:,} datagrams, {receiver.bytes:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts datagrams on an event loop.")
    parser.add_argument("address", help="host:port, or a port alone for every address")
    parser.add_argument("--seconds", type=float, default=3600.0, metavar="S", help="end after so long (3600)")
    parser.add_argument("--count", type=int, default=2**63, metavar="N", help="end after so many datagrams or more")
    try:
        asyncio.run(receive(parser.parse_args()))
    except OSError as error:
        raise SystemExit(f"asyncio_receiver: {error}") from None
    except ValueError as error:  # a wrong address: 2, as argparse has it
        print(f"asyncio_receiver: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("ended")


if __name__ == "__main__":
    main()
