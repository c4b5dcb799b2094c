"""A client of echo_server.py, step by step as textbooks have it: create, connect, send, receive, close.

Called as

    python echo_client.py tcp 127.0.0.1:2007 hello
    python echo_client.py udp "[::1]:2007" hello
    python echo_client.py unix /tmp/echo.sock hello
"""

from __future__ import annotations

import argparse
import socket
import sys

import netfast as nf


def main() -> None:
    options = arguments()
    try:
        data = options.text.encode()
        # Create and connect; the with statement closes.
        with connected(options.protocol, options.address) as sock:
            sock.settimeout(options.timeout)
            if options.protocol == "udp":
                sock.send(data)  # one datagram, and one comes back
                answer = sock.recv(65536)
            else:
                nf.send_all(sock, data)
                answer = nf.recv_exactly(sock, len(data))  # a stream knows no borders: it may come in pieces
        print(answer.decode())
    except (OSError, EOFError) as error:
        raise SystemExit(f"echo_client: {error}") from None
    except ValueError as error:  # a wrong address or text: 2, as argparse has it
        print(f"echo_client: {error}", file=sys.stderr)
        sys.exit(2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sends a text to an echo server, and prints what comes back.")
    parser.add_argument("protocol", choices=("tcp", "udp", "unix"))
    parser.add_argument("address", help="host:port, [IPv6]:port, or a path for unix")
    parser.add_argument("text")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds to wait for the answer (5)")
    return parser.parse_args()


def connected(protocol: str, address: str) -> socket.socket:
    if protocol == "tcp":
        return nf.tcp_connect(address)
    if protocol == "udp":
        return nf.udp_socket(connect=address)
    return nf.unix_socket(connect=address)


if __name__ == "__main__":
    main()
