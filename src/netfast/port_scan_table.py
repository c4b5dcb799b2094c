"""What a scan of ports found: `PortScan`, and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PortScan", "ScanRow"]

STATES = ("open", "closed", "filtered", "error")
"""What a port can be, in the order in which one answer counts more than another."""

OPEN, CLOSED, FILTERED, ERROR = range(len(STATES))


class ScanRow(NamedTuple):
    """What a scan found of one port of one host.

    Attributes:
        host: as given, prefixes expanded.
        address: which of its addresses said so; None if it has none.
        port: the number.
        state: "open", "closed" or "filtered", as `probe_port` has them; "error" if this machine could not ask.
        error: the ICMP message, what this machine's routes said, or why it could not ask; None for an answer, and
            where none came.
    """

    host: str
    address: str | None
    port: int
    state: str
    error: str | None


class PortScan:
    """What a scan found, a row for each port of each host, hosts in order and for each its ports in order.

    Rows are `ScanRow`s: `scan[i]`, iteration, `len(scan)`.  Columns are NumPy arrays, made when asked for; as an Arrow
    stream the same columns, `state` as dictionary<int8, utf8>, and `error`.

    Example:
        >>> import netfast as nf
        >>> with nf.reserve_port(host="127.0.0.1") as sock:
        ...     scan = nf.scan_ports("127.0.0.1", sock.getsockname()[1])
        >>> scan, scan.open
        (<PortScan of 1 ports: closed 1>, [])
    """

    __slots__ = ("_addresses", "_errors", "_hosts", "_others", "_ports", "_states")

    def __init__(self, hosts: Sequence[str], ports: Sequence[int]) -> None:
        self._hosts = hosts
        self._ports = ports
        self._addresses: list[str | None] = [None] * len(hosts)  # the first of each host
        self._others: dict[int, str] = {}  # by row, where another of its addresses said so
        self._states = bytearray([ERROR]) * (len(hosts) * len(ports))
        self._errors: dict[int, str] = {}  # by row

    def set_host(self, index: int, address: str) -> None:
        """The first address of a host, which is that of its rows unless their answer comes from another."""
        self._addresses[index] = address

    def set_host_error(self, index: int, error: str) -> None:
        """Why a host has no address."""
        first = index * len(self._ports)
        self._errors.update(dict.fromkeys(range(first, first + len(self._ports)), error))

    def set_answer(self, row: int, address: str, state: int, error: str | None) -> None:
        """What was found of a port, and which address said so."""
        self._states[row] = state
        if error is not None:
            self._errors[row] = error
        if address != self._addresses[row // len(self._ports)]:
            self._others[row] = address

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        return self._row(range(len(self))[index])

    def _row(self, row: int) -> ScanRow:
        host, port = divmod(row, len(self._ports))
        state, error = STATES[self._states[row]], self._errors.get(row)
        return ScanRow(self._hosts[host], self._address(row), self._ports[port], state, error)

    def _address(self, row: int) -> str | None:
        return self._others.get(row, self._addresses[row // len(self._ports)])

    def __iter__(self) -> Iterator[ScanRow]:
        return map(self._row, range(len(self)))

    def __repr__(self) -> str:
        counts = ((state, self._states.count(code)) for code, state in enumerate(STATES))
        said = ", ".join(f"{state} {count:,}" for state, count in counts if count)
        return f"<PortScan of {len(self):,} ports: {said or 'none'}>"

    @property
    def open(self) -> list[ScanRow]:
        """The rows of open ports."""
        rows = []
        row = self._states.find(OPEN)
        while row >= 0:
            rows.append(self._row(row))
            row = self._states.find(OPEN, row + 1)
        return rows

    def _objects(self, values: Iterable[object]) -> NDArray[np.object_]:
        import numpy as np

        return np.fromiter(values, dtype=object, count=len(self))

    @property
    def host(self) -> NDArray[np.object_]:
        """object[n]: str as given, prefixes expanded."""
        return self._objects(host for host in self._hosts for _ in self._ports)

    @property
    def address(self) -> NDArray[np.object_]:
        """object[n]: the address that said so, as str; None where the host has none."""
        return self._objects(map(self._address, range(len(self))))

    @property
    def port(self) -> NDArray[np.uint16]:
        """uint16[n]: the port."""
        import numpy as np

        return np.tile(np.array(self._ports, dtype=np.uint16), len(self._hosts))

    @property
    def state(self) -> NDArray[np.object_]:
        """object[n]: "open", "closed", "filtered" or "error"; equal texts are one object."""
        import numpy as np

        found: NDArray[np.object_] = np.array(STATES, dtype=object)[np.frombuffer(self._states, dtype=np.uint8)]
        return found

    @property
    def error(self) -> NDArray[np.object_]:
        """object[n]: what came in place of an answer, as str; None elsewhere."""
        return self._objects(map(self._errors.get, range(len(self))))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from ._arrow import ArrowData, arrow_text

        n = len(self)
        columns = [
            arrow_text(self.host.tolist(), "host"),
            arrow_text(self.address.tolist(), "address"),
            ArrowData("S", n, [None, bytearray(self.port.tobytes())], name="port"),
            ArrowData("c", n, [None, self._states], name="state", dictionary=arrow_text(STATES)),
            arrow_text(self.error.tolist(), "error"),
        ]
        return ArrowData("+s", n, [None], children=columns).stream_capsule()
