"""netfast: the fast network toolbox.  `import netfast as nf`; every name below is public, nothing else is."""

from ._version import __version__
from .addresses import AddressArray, Classification, classify, format_addresses, parse
from .errors import AddressError
from .logs import Extraction, LogSummary, extract, scan, summarize
from .registry import BLOCKS, KINDS, Block
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
    "Extraction",
    "LogSummary",
    "NetworkClass",
    "__version__",
    "address",
    "classify",
    "extract",
    "format_addresses",
    "parse",
    "scan",
    "summarize",
]
