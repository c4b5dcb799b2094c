"""netfast: the fast network toolbox.  `import netfast as nf`; every name in `__all__` is public, nothing else is.

A module is loaded when the first of its names is asked for, so that `import netfast` costs a few milliseconds.
"""

from ._version import __version__
from .errors import AddressError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import (
        addresses,
        datagrams,
        frames,
        free_ports,
        icmp,
        logs,
        netstat,
        nics,
        port_probes,
        ports,
        prefix_sets,
        prefixes,
        sockets,
        streams,
        textbook,
    )
    from .addresses import AddressArray, Classification, classify, format_addresses, parse
    from .datagrams import DatagramBatch, Datagrams, SendResult
    from .frames import FrameStream
    from .free_ports import find_free_port, reserve_port
    from .icmp import aping, aping_iter, ping, ping_iter, ping_many
    from .logs import Extraction, LogSummary, extract, scan, summarize
    from .netstat import connections, listening, port_owner
    from .netstat_table import Connection, ConnectionTable, Process
    from .nic_rows import Interface, InterfaceAddress, InterfaceFlags, LinkStats
    from .nics import add_address, del_address, ifconfig, interface, interfaces, set_interface
    from .ping_errors import PingError
    from .ping_results import PingEvent, PingResult, PingRow, PingTable
    from .port_probes import is_port_open, probe_port, scan_ports, wait_port
    from .port_scan_table import PortScan, ScanRow
    from .ports import PortInfo, Service, classify_ports, port, service_name, service_port
    from .prefix_sets import PrefixSet
    from .prefixes import Matches, PrefixTable
    from .registry import BLOCKS, KINDS, Block
    from .sockets import tcp_connect, tcp_listen, tcp_socket, udp_socket, unix_socket
    from .streams import recv_exactly, recv_exactly_into, send_all
    from .textbook import NETWORK_CLASSES, AddressInfo, NetworkClass, address

__all__ = [
    "BLOCKS",
    "KINDS",
    "NETWORK_CLASSES",
    "AddressArray",
    "AddressError",
    "AddressInfo",
    "Block",
    "Classification",
    "Connection",
    "ConnectionTable",
    "DatagramBatch",
    "Datagrams",
    "Extraction",
    "FrameStream",
    "Interface",
    "InterfaceAddress",
    "InterfaceFlags",
    "LinkStats",
    "LogSummary",
    "Matches",
    "NetworkClass",
    "PingError",
    "PingEvent",
    "PingResult",
    "PingRow",
    "PingTable",
    "PortInfo",
    "PortScan",
    "PrefixSet",
    "PrefixTable",
    "Process",
    "ScanRow",
    "SendResult",
    "Service",
    "__version__",
    "add_address",
    "address",
    "addresses",
    "aping",
    "aping_iter",
    "classify",
    "classify_ports",
    "connections",
    "datagrams",
    "del_address",
    "extract",
    "find_free_port",
    "format_addresses",
    "frames",
    "free_ports",
    "icmp",
    "ifconfig",
    "interface",
    "interfaces",
    "is_port_open",
    "listening",
    "logs",
    "netstat",
    "nics",
    "parse",
    "ping",
    "ping_iter",
    "ping_many",
    "port",
    "port_owner",
    "port_probes",
    "ports",
    "prefix_sets",
    "prefixes",
    "probe_port",
    "recv_exactly",
    "recv_exactly_into",
    "reserve_port",
    "scan",
    "scan_ports",
    "send_all",
    "service_name",
    "service_port",
    "set_interface",
    "sockets",
    "streams",
    "summarize",
    "tcp_connect",
    "tcp_listen",
    "tcp_socket",
    "textbook",
    "udp_socket",
    "unix_socket",
    "wait_port",
]

_MODULES = {
    "addresses": ("AddressArray", "Classification", "classify", "format_addresses", "parse"),
    "datagrams": ("DatagramBatch", "Datagrams", "SendResult"),
    "frames": ("FrameStream",),
    "free_ports": ("find_free_port", "reserve_port"),
    "icmp": ("aping", "aping_iter", "ping", "ping_iter", "ping_many"),
    "logs": ("Extraction", "LogSummary", "extract", "scan", "summarize"),
    "netstat": ("connections", "listening", "port_owner"),
    "netstat_table": ("Connection", "ConnectionTable", "Process"),
    "nic_rows": ("Interface", "InterfaceAddress", "InterfaceFlags", "LinkStats"),
    "nics": ("add_address", "del_address", "ifconfig", "interface", "interfaces", "set_interface"),
    "ping_errors": ("PingError",),
    "ping_results": ("PingEvent", "PingResult", "PingRow", "PingTable"),
    "port_probes": ("is_port_open", "probe_port", "scan_ports", "wait_port"),
    "port_scan_table": ("PortScan", "ScanRow"),
    "ports": ("PortInfo", "Service", "classify_ports", "port", "service_name", "service_port"),
    "prefix_sets": ("PrefixSet",),
    "prefixes": ("Matches", "PrefixTable"),
    "registry": ("BLOCKS", "KINDS", "Block"),
    "sockets": ("tcp_connect", "tcp_listen", "tcp_socket", "udp_socket", "unix_socket"),
    "streams": ("recv_exactly", "recv_exactly_into", "send_all"),
    "textbook": ("NETWORK_CLASSES", "AddressInfo", "NetworkClass", "address"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _MODULES.items():
        if name == module or name in names:
            home = import_module(f"{__name__}.{module}")
            value: object = home if name == module else getattr(home, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


from . import _core as _core  # noqa: E402  -- last: an unknown NETFAST_KERNELS is an ImportError here, not at the first call
