"""An echo server, step by step as textbooks have it: create, bind, listen, accept, receive, send, close.

    python echo_server.py tcp 127.0.0.1 2007
    python echo_server.py udp :: 2007
    python echo_server.py unix /tmp/echo.sock

It serves one client at a time, and everybody until Ctrl-C.  `netfast.tcp_listen` is the first three steps in one.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

import netfast as nf


def main() -> None:
    options = arguments()
    try:
        if options.protocol == "tcp":
            serve_tcp(options.address, options.port)
        elif options.protocol == "udp":
            serve_udp(options.address, options.port)
        else:
            serve_unix(options.address)
    except OSError as error:
        raise SystemExit(f"echo_server: {error}") from None
    except (TypeError, ValueError, OverflowError) as error:  # a wrong address or port: 2, as argparse has it
        print(f"echo_server: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("ended")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sends everybody back what they send.")
    parser.add_argument("protocol", choices=("tcp", "udp", "unix"))
    parser.add_argument("address", help="an address of this machine (0.0.0.0 or :: for all), or a path for unix")
    parser.add_argument("port", type=int, nargs="?", default=0, help="0 or none: one of the kernel's choice")
    return parser.parse_args()


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(address: str, port: int) -> None:
    with nf.tcp_socket(family(address)) as server:  # create, and close at the end
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen()
        print("listening on", *server.getsockname()[:2], flush=True)
        while True:
            connection, client = server.accept()
            print("client", *client[:2], flush=True)
            echo(connection)


def echo(connection: socket.socket) -> None:
    """Serves one client until it has sent all, or is gone: that is no reason to end for the others."""
    try:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)
    except OSError as error:
        print("client:", error, flush=True)


def serve_udp(address: str, port: int) -> None:
    with nf.udp_socket(family=family(address)) as server:
        server.bind((address, port))  # no listen and no accept: a datagram says who has sent it
        print("listening on", *server.getsockname()[:2], flush=True)
        while True:
            data, client = server.recvfrom(65536)
            try:
                server.sendto(data, client)
            except OSError as error:  # there may be no way back
                print("client", *client[:2], error, flush=True)


def serve_unix(path: str) -> None:
    with nf.unix_socket(path, listen=16) as server:  # in the place of a file that a server has left behind
        print("listening on", path, flush=True)
        try:
            while True:
                connection, _ = server.accept()
                print("client", flush=True)
                echo(connection)
        finally:
            if Path(path).is_socket():
                os.unlink(path)


if __name__ == "__main__":
    main()
