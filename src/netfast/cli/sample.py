"""`netfast sample`: a realistic log, always the same for a seed, to try things on.

Lines are drawn from templates whose slots are filled from pools of prepared texts, so that a line costs a few look-ups
and one join.  All randomness is integers of SplitMix64, which NumPy computes alike on every platform and in every
version (what `numpy.random` draws may change, and so may the last bit of a logarithm).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

from . import DONE, _output
from ._options import Parser, size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEFAULT = 100_000_000


def _parser() -> Parser:
    parser = Parser(
        "sample",
        "Writes a log such as servers write: web requests, ssh, kernel and daemons, with IPv4 and IPv6 clients of "
        "every kind, a few of them very busy. The same seed gives the same bytes everywhere.",
        "examples:\n  netfast sample > sample.log\n  netfast sample --size 1M --seed 7 | netfast classify",
    )
    parser.add_argument("--size", type=size, metavar="N", help="at most so many bytes, in whole lines (100M)")
    parser.add_argument("--seed", type=size, default=0, metavar="N", help="another seed, another log (0)")
    parser.add_argument("-o", "--output", metavar="FILE", help='write to FILE instead of standard output ("-")')
    return parser


def run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse(arguments)
    if options.size is None and options.output is None and sys.stdout is not None and sys.stdout.isatty():
        parser.error("this would fill the terminal with 100 MB: say -o FILE, > FILE or --size N")
    with _output.Destination(options.output) as out:
        for block in sample(_DEFAULT if options.size is None else options.size, options.seed):
            out.write(block)
    return DONE


def sample(size: int, seed: int = 0) -> Iterator[bytes]:
    """A log of at most so many bytes, in blocks of whole lines; a shorter one begins a longer one."""
    left = size
    writer = _Writer(seed)
    while left > 0:
        block = writer.block()
        if len(block) > left:
            block = block[: block.rfind(b"\n", 0, left) + 1]
            left = 0
        left -= len(block)
        if block:
            yield block


# --- randomness ------------------------------------------------------------------------------------------------------

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


class SplitMix64:
    """SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), many at a time."""

    def __init__(self, seed: int) -> None:
        self._state = (seed + 1) * 0xD1342543DE82EF95 & _MASK  # far apart for seeds that are neighbours

    def bits(self, n: int) -> NDArray[np.uint64]:
        """uint64[n]."""
        import numpy as np

        u64 = np.uint64
        z = np.arange(1, n + 1, dtype=u64) * u64(_GOLDEN) + u64(self._state)
        self._state = self._state + n * _GOLDEN & _MASK
        z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
        return z ^ (z >> u64(31))

    def below(self, limit: int, n: int) -> NDArray[np.int64]:
        """int64[n] in [0, limit), limit up to 2**32."""
        import numpy as np

        return ((self.bits(n) >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32)).astype(np.int64)


class _Pool:
    """Texts, each drawn as often as its weight says."""

    def __init__(self, texts: Sequence[str], weights: Sequence[int]) -> None:
        import numpy as np

        self._texts = np.array(texts, dtype=object)
        self._sums = np.cumsum(np.array(weights, dtype=np.int64))

    @classmethod
    def zipf(cls, texts: Sequence[str]) -> _Pool:
        """The r-th text is drawn about 1 / r as often as the first (r counts from 10: the first is not everything)."""
        return cls(texts, zipf_weights(len(texts), 2**31))

    @classmethod
    def even(cls, texts: Sequence[str]) -> _Pool:
        return cls(texts, [1] * len(texts))

    def draw(self, random: SplitMix64, n: int) -> list[Any]:
        import numpy as np

        drawn = random.below(int(self._sums[-1]), n)
        texts: list[Any] = self._texts[np.searchsorted(self._sums, drawn, side="right")].tolist()
        return texts


def zipf_weights(n: int, total: int) -> list[int]:
    """Whole numbers that fall like 1 / (rank + 10) and add up to about `total`."""
    weights = [2**40 // (rank + 10) for rank in range(n)]
    whole = sum(weights)
    return [max(1, weight * total // whole) for weight in weights]


# --- clients ---------------------------------------------------------------------------------------------------------

# First octets without any special block in IANA's registries, and global unicast prefixes likewise.
_OCTETS = [octet for octet in range(1, 224) if octet not in (10, 100, 127, 169, 172, 192, 198, 203)]
_IP6_NETS = [0x2400, 0x2404, 0x2600, 0x2607, 0x2610, 0x2800, 0x2804, 0x2A00, 0x2A01, 0x2A02, 0x2A03, 0x2C0F]


def _ip4(random: SplitMix64, network: int, length: int, n: int) -> list[int]:
    return [network + host for host in random.below(1 << 32 - length, n).tolist()]


def _global4(random: SplitMix64, n: int) -> list[int]:
    """Addresses in a few thousand networks of 256, some of which hold many."""
    octets = random.below(len(_OCTETS), 4096).tolist()
    rest = random.below(1 << 16, 4096).tolist()
    networks = [_OCTETS[octet] << 24 | middle << 8 for octet, middle in zip(octets, rest, strict=True)]
    near, far = random.below(4096, n).tolist(), random.below(4096, n).tolist()
    hosts = random.below(254, n).tolist()
    return [networks[min(pair)] + 1 + host for *pair, host in zip(near, far, hosts, strict=True)]


def _ip6(random: SplitMix64, network: int, n: int) -> list[int]:
    """Half with a random interface identifier, half with a small one."""
    subnets, interfaces = random.below(1 << 16, n).tolist(), random.bits(n).tolist()
    return [
        network + (subnet << 64) + (interface if interface & 1 else interface >> 56)
        for subnet, interface in zip(subnets, interfaces, strict=True)
    ]


def _global6(random: SplitMix64, n: int) -> list[int]:
    sites = random.below(1 << 32, 2048).tolist()
    nets = [(_IP6_NETS[site % len(_IP6_NETS)] << 112) + (site << 80) for site in sites]
    near, far = random.below(2048, n).tolist(), random.below(2048, n).tolist()
    inside = _ip6(random, 0, n)
    return [nets[min(pair)] + rest for *pair, rest in zip(near, far, inside, strict=True)]


# Share of the clients in a thousand; how they are made.
_CLIENTS: tuple[tuple[int, Callable[[SplitMix64], list[int]]], ...] = (
    (580, lambda random: _global4(random, 50_000)),
    (180, lambda random: _global6(random, 25_000)),
    (90, lambda random: _ip4(random, 0x0A000000, 8, 3_000)),
    (30, lambda random: _ip4(random, 0xAC100000, 12, 800)),
    (40, lambda random: _ip4(random, 0xC0A80000, 16, 800)),
    (12, lambda random: _ip6(random, 0xFD12_3456_789A << 80, 400)),  # unique local
    (14, lambda random: _ip4(random, 0x64400000, 10, 800)),  # shared: carrier-grade NAT
    (20, lambda random: [0x7F000001, 0x7F000101]),
    (6, lambda random: [0xFFFF << 32 | 0x7F000001, 0xFFFF << 32 | 0x0A000001]),  # IPv4-mapped
    (3, lambda random: _ip4(random, 0xA9FE0000, 16, 60)),  # link-local
    (3, lambda random: _ip4(random, 0xC0000200, 24, 60)),  # documentation
    (2, lambda random: _ip4(random, 0xC6336400, 24, 60)),
    (3, lambda random: _ip6(random, 0x20010DB8 << 96, 60)),
    (2, lambda random: _ip4(random, 0xC6120000, 15, 60)),  # benchmarking
    (1, lambda random: _ip4(random, 0xF0000000, 4, 60)),  # reserved
    (3, lambda random: _ip6(random, 0x2002_0808_0808 << 80, 60)),  # 6to4
    (2, lambda random: [(0x20010000 << 96) + bits for bits in random.bits(60).tolist()]),  # Teredo
    (3, lambda random: [(0x64FF9B << 96) + ip4 for ip4 in _global4(random, 60)]),  # NAT64
)


def _clients(random: SplitMix64) -> _Pool:
    from ..addresses import format_addresses

    texts: list[str] = ["::1"]
    weights = [6 << 20]
    for share, make in _CLIENTS:
        found = format_addresses(make(random))
        texts += [text for text in found if text is not None]
        weights += zipf_weights(len(found), share << 20)
    return _Pool(texts, weights)


# --- what lines say --------------------------------------------------------------------------------------------------

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_START = datetime(2026, 6, 1, tzinfo=timezone.utc)
_LINES_PER_SECOND = 24
_BLOCK = 1 << 14  # lines made at a time

# Weight, text; a slot is a column of `_Writer`.
_TEMPLATES = (
    (700, '{client} - {user} [{web_time}] "{request}" {status} {bytes} "{referer}" "{agent}"\n'),
    (20, '{client} - - [{web_time}] "{request}" {status} {bytes} "{referer}" "{agent}" "{client}, {private}"\n'),
    (60, "{time} {host} sshd[{pid}]: Failed password for {login} from {client} port {port} ssh2\n"),
    (12, "{time} {host} sshd[{pid}]: Failed password for invalid user {login} from {client} port {port} ssh2\n"),
    (12, "{time} {host} sshd[{pid}]: Connection closed by authenticating user {login} {client} port {port} "
         "[preauth]\n"),
    (8, "{time} {host} sshd[{pid}]: Received disconnect from {client} port {port}:11: Bye Bye [preauth]\n"),
    (20, "{time} {host} sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh "
         "ruser= rhost={client}  user={login}\n"),
    (8, "{time} {host} sshd[{pid}]: Accepted publickey for deploy from {private} port {port} ssh2: ED25519 "
        "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8\n"),
    (1, "{time} {host} sshd[{pid}]: Server listening on 0.0.0.0 port 22.\n"),
    (1, "{time} {host} sshd[{pid}]: Server listening on :: port 22.\n"),
    (40, "{time} {host} kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00:16:3e:5e:6c:{octet}:00:16:3e:1a:2b:3c:08:00 "
         "SRC={client} DST={private} LEN=40 TOS=0x00 PREC=0x00 TTL=244 ID={port} PROTO=TCP SPT={port} DPT=23 SYN\n"),
    (6, "{time} {host} kernel: [UFW BLOCK] IN=eth0 OUT= MAC=01:00:5e:00:00:01:00:16:3e:1a:2b:{octet}:08:00 "
        "SRC={private} DST={group} LEN=36 TOS=0x00 PREC=0xC0 TTL=1 ID=0 DF PROTO=2\n"),
    (20, "{time} {host} named[811]: client @0x7f3c2c0d{octet}{octet} {private}#{port} (www.example.com): query: "
         "www.example.com IN AAAA +E(0)K (10.0.0.53)\n"),
    (4, "{time} {host} dhclient[{pid}]: DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval 7\n"),
    (4, "{time} {host} dhclient[{pid}]: bound to {private} -- renewal in {port} seconds.\n"),
    (4, "{time} {host} avahi-daemon[612]: Joining mDNS multicast group on interface eth0.IPv6 with address {link}.\n"),
    (4, "{time} {host} radvd[733]: sending RA to ff02::1 on eth0 ({link}), 0.100000 seconds\n"),
    (8, "{time} {host} java[{pid}]: INFO ipc.Client: Retrying connect to server: NameNode/{private}:8020\n"),
    (4, "{time} {host} java[{pid}]: INFO server.Main: Started at localhost/127.0.0.1:9000, build v2.10.0.4\n"),
    (6, "{time} {host} haproxy[904]: [{client}]:{port} [{web_time}] fe_https be_app/app-1 0/0/1/12/13 {status} "
        "{bytes}\n"),
    (4, "{time} {host} ntpd[777]: Soliciting pool server {client}\n"),
    (20, "{time} {host} CRON[{pid}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)\n"),
    (20, "{time} {host} systemd[1]: session-{pid}.scope: Succeeded.\n"),
)  # fmt: skip


def _agents() -> list[str]:
    """Browsers by how common they are; their versions look like addresses."""
    systems = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    webkit = "AppleWebKit/537.36 (KHTML, like Gecko)"
    agents = [
        f"Mozilla/5.0 ({system}) {webkit} Chrome/{version}.0.0.0 Safari/537.36"
        for version in range(126, 112, -1)
        for system in systems
    ]
    agents += [f"{agent} Edg/{126 - i}.0.2592.{87 - i}" for i, agent in enumerate(agents[:9])]
    agents += [
        f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        for version in range(127, 118, -1)
        for system in systems
    ]
    agents += [
        f"Mozilla/5.0 (Linux; Android {12 + i % 3}; K) {webkit} Chrome/125.0.6422.{165 - i} Mobile Safari/537.36"
        for i in range(20)
    ]
    return [
        *agents[:6],
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        *agents[6:20],
        "curl/8.5.0",
        "python-requests/2.31.0",
        "Go-http-client/1.1",
        "-",
        *agents[20:],
        "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.8.1.4) Gecko/20070515 Firefox/2.0.0.4",
        "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1; .NET CLR 2.0.50727)",
        "Opera/9.80 (Windows NT 6.1; U; en) Presto/2.10.229 Version/11.62",
    ]


def _requests() -> list[str]:
    pages = ("/", "/index.html", "/login", "/search?q=netfast", "/api/v1/orders", "/favicon.ico", "/robots.txt")
    made = [f"GET {page} HTTP/1.1" for page in pages]
    made += [f"GET /api/v1/orders/{1000 + 37 * i} HTTP/2.0" for i in range(400)]
    made += [f"GET /static/app.{i * 2654435761 % 2**32:08x}.js HTTP/2.0" for i in range(1, 200)]
    made += [f"POST /api/v1/items/{i}?ref=10.2.{i}.html HTTP/1.1" for i in range(100)]
    return [*made, "GET /wp-login.php HTTP/1.1", "GET /.env HTTP/1.1", "HEAD / HTTP/1.0"]


_REFERERS = (
    "-",
    "https://www.example.com/",
    "https://www.google.com/",
    "https://www.example.com/search?q=ip+address",
    "https://shop.example.net/basket",
    "http://192.168.1.10/admin/",
    "http://[2001:db8:0:1::80]:8080/status",
    *(f"https://www.example.com/articles/{i}" for i in range(200)),
)
_USERS = ("-",) * 60 + ("alice", "bob", "deploy")
_STATUS = ("200",) * 70 + ("304",) * 10 + ("301",) * 5 + ("404",) * 10 + ("403",) * 2 + ("500", "502", "206")
_LOGINS = ("root", "admin", "test", "oracle", "ubuntu", "git", "postgres", "pi", "ftpuser", "nagios")
_GROUPS = ("224.0.0.1", "224.0.0.251", "239.255.255.250", "224.0.0.22", "ff02::fb", "ff02::16")


class _Writer:
    """Makes blocks of lines, one after the other."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._random = SplitMix64(seed)
        self._now = 0  # seconds since _START
        self._templates = [re.split(r"\{(\w+)\}", text) for _, text in _TEMPLATES]
        self._sums = np.cumsum([weight for weight, _ in _TEMPLATES])

    @cached_property
    def _pools(self) -> dict[str, _Pool]:
        """The columns that are drawn from a pool."""
        from ..addresses import format_addresses

        random = self._random
        private = [*_ip4(random, 0x0A000000, 16, 400), *_ip4(random, 0xC0A80100, 24, 200)]
        links = [link % 2**64 | 0xFE80 << 112 for link in _ip6(random, 0, 40)]
        numbers = random.below(60_000, 4_000).tolist()
        return {
            "client": _clients(random),
            "private": _Pool.zipf([text or "" for text in format_addresses(private)]),
            "link": _Pool.even([f"{text}%eth0" for text in format_addresses(links)]),
            "group": _Pool.even(_GROUPS),
            "user": _Pool.even(_USERS),
            "request": _Pool.zipf(_requests()),
            "status": _Pool.even(_STATUS),
            "bytes": _Pool.even([str(number * number // 60_000 + 120) for number in numbers]),
            "referer": _Pool.zipf(_REFERERS),
            "agent": _Pool.zipf(_agents()),
            "login": _Pool.zipf(_LOGINS),
            "host": _Pool.zipf(["web-1", "web-2", "db-1", "gw"]),
            "pid": _Pool.even([str(400 + number // 2) for number in numbers]),
            "port": _Pool.even([str(1024 + number) for number in numbers]),
            "octet": _Pool.even([f"{octet:02x}" for octet in range(256)]),
        }

    def block(self) -> bytes:
        """The next lines."""
        import numpy as np

        random = self._random
        pools = self._pools
        seconds = self._now + np.cumsum(random.below(_LINES_PER_SECOND, _BLOCK) == 0)
        times = _Times(self._now, int(seconds[-1]))
        self._now = int(seconds[-1])
        chosen = np.searchsorted(self._sums, random.below(int(self._sums[-1]), _BLOCK), side="right")
        lines = np.empty(_BLOCK, dtype=object)
        for number, pieces in enumerate(self._templates):
            rows = np.flatnonzero(chosen == number)
            columns: list[Any] = []
            for at, piece in enumerate(pieces):  # text, slot, text, slot, ..., text
                if at % 2 == 0:
                    columns.append(repeat(piece))
                elif piece in pools:
                    columns.append(pools[piece].draw(random, len(rows)))
                else:
                    columns.append(times.column(piece, seconds[rows]))
            lines[rows] = list(map("".join, zip(*columns, strict=False)))
        return "".join(lines.tolist()).encode("ascii")


class _Times:
    """The seconds of a block as logs write them."""

    def __init__(self, first: int, last: int) -> None:
        import numpy as np

        self._first = first
        moments = [_START + timedelta(seconds=second) for second in range(first, last + 1)]
        self._texts = {
            "web_time": np.array(
                [f"{m.day:02}/{_MONTHS[m.month - 1]}/{m.year}:{m:%H:%M:%S} +0000" for m in moments], object
            ),
            "time": np.array([f"{_MONTHS[m.month - 1]} {m.day:2} {m:%H:%M:%S}" for m in moments], object),
        }

    def column(self, name: str, seconds: NDArray[np.int64]) -> list[Any]:
        column: list[Any] = self._texts[name][seconds - self._first].tolist()
        return column
