"""IANA's service names as netfast carries them, against IANA's own file, and the generator that writes them."""

import csv
import re
import timeit
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import netfast as nf
from netfast.registry import generate_services, services as registry
from netfast.registry.services import PROTOCOLS, services

FILE = "iana/service-names-port-numbers.csv"
TABLE = Path(registry.__file__).with_name("services.zlib")
SIZE_LIMIT = 150_000

Row = tuple[str, str, str, str]


def text_of(path: Path) -> str:
    return zlib.decompress(path.read_bytes()).decode()


def registered(path: Path) -> Iterator[Row]:
    """The rows with a name and a number, descriptions on one line: all that the table is made from, read anew."""
    with path.open(encoding="utf-8", newline="") as file:
        for name, ports, protocol, description in list(csv.reader(file))[1:]:
            if name and ports:
                yield name, ports, protocol, " ".join(part.strip() for part in description.split("\n"))


def numbers(ports: str) -> range:
    first, _, last = ports.partition("-")
    return range(int(first), int(last or first) + 1)


# ---- the rows --------------------------------------------------------------------------------------------------------


def test_every_row_is_the_registrys(shared_data: Path) -> None:
    expected: dict[int, list[tuple[str, str, str]]] = {}
    count = 0
    for name, ports, protocol, description in registered(shared_data / FILE):
        count += 1
        for number in numbers(ports):
            expected.setdefault(number, []).append((name, protocol, description))
    assert count > 11_000
    assert services().by_port == expected


def test_every_name_and_number_is_found(shared_data: Path) -> None:
    names: dict[tuple[int, str], str] = {}
    ports: dict[tuple[str, str], int] = {}
    for name, span, protocol, _ in registered(shared_data / FILE):
        ports.setdefault((name.lower(), protocol), numbers(span)[0])
        for number in numbers(span):
            names.setdefault((number, protocol), name)
    for protocol in PROTOCOLS:
        for number in range(65536):
            expected = names.get((number, protocol)) or names.get((number, ""))
            assert nf.service_name(number, protocol) == expected, (number, protocol)
        for name, _ in ports:
            either = ports.get((name, protocol)), ports.get((name, ""))
            found = next((port for port in either if port is not None), None)
            assert nf.service_port(name, protocol) == nf.service_port(name.upper(), protocol) == found, (name, protocol)


def test_rows_without_a_name_are_no_services(shared_data: Path) -> None:
    with (shared_data / FILE).open(encoding="utf-8", newline="") as file:
        nameless = [row for row in csv.reader(file) if not row[0]]
    assert len(nameless) > 1000
    assert not any(name == "" for rows in services().by_port.values() for name, _, _ in rows)
    assert not {0, 4, 26, 60} & set(services().by_port)


@pytest.mark.parametrize(
    ("name", "protocol", "number"),
    [
        ("ftp-data", "tcp", 20),
        ("ssh", "tcp", 22),
        ("telnet", "tcp", 23),
        ("smtp", "tcp", 25),
        ("domain", "udp", 53),
        ("http", "tcp", 80),
        ("pop3", "tcp", 110),
        ("ntp", "udp", 123),
        ("snmp", "udp", 161),
        ("https", "tcp", 443),
        ("mysql", "tcp", 3306),
        ("x11", "tcp", 6000),
        ("vrml-multi-use", "sctp", 4200),  # registered without a protocol
        ("boe-cms", "udp", 6400),
    ],
)
def test_names_that_everybody_knows(name: str, protocol: str, number: int) -> None:
    assert nf.service_port(name, protocol) == number
    assert nf.service_name(number, protocol) == name


def test_ranges_count_for_each_of_their_ports() -> None:
    assert [nf.service_name(number) for number in (5999, 6000, 6031, 6063)] == ["cvsup", "x11", "x11", "x11"]
    assert nf.service_name(6064) != "x11"
    assert nf.service_name(4299, "udp") == "vrml-multi-use"
    assert nf.service_port("ircu") == 6665


def test_a_name_leads_to_all_its_ports(shared_data: Path) -> None:
    expected: dict[tuple[str, str], set[int]] = {}
    for name, span, protocol, _ in registered(shared_data / FILE):
        for each in {"", protocol} if protocol else {"", *PROTOCOLS}:
            expected.setdefault((each, name.lower()), set()).update(numbers(span))
    found = {
        (protocol, name): {number for ports in spans for number in ports}
        for protocol, names in services().ports_of.items()
        for name, spans in names.items()
    }
    assert found == expected


def test_a_replaced_name_is_kept_with_what_it_replaces() -> None:
    rows = [row for row in services().by_port[66] if row[1] == "tcp"]
    assert rows[0] == (
        "sql-net",
        "tcp",
        'Oracle SQL*NET IANA assigned this well-formed service name as a replacement for "sql*net".',
    )


def test_no_line_is_broken() -> None:
    descriptions = [row[2] for rows in services().by_port.values() for row in rows]
    assert not any(re.search(r"[\x00-\x1f\x7f]", text) for text in descriptions)
    assert max(map(len, descriptions)) > 200  # none is cut


# ---- the file --------------------------------------------------------------------------------------------------------


def test_committed_table_is_what_the_generator_writes(shared_data: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        generate_services.main(
            [str(shared_data / FILE), "--date", services().published, "--output", str(folder)],
        )
    one, two = (tmp_path / name / "services.zlib" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert text_of(one) == text_of(TABLE)
    if "zlib-ng" not in zlib.ZLIB_RUNTIME_VERSION and one.stat().st_size == TABLE.stat().st_size:
        assert one.read_bytes() == TABLE.read_bytes()  # another zlib may find other bytes for the same text


def test_table_is_small_and_says_where_it_is_from() -> None:
    assert TABLE.stat().st_size <= SIZE_LIMIT
    head = text_of(TABLE)[:400]
    assert "Generated by netfast.registry.generate_services" in head
    assert "https://www.iana.org/assignments/service-names-port-numbers/" in head
    assert services().published == "2025-07"
    assert "# published 2025-07\n" in head


def test_look_ups_are_quick() -> None:
    calls: list[Callable[[], object]] = [
        lambda: nf.service_name(443),
        lambda: nf.service_name(4, "udp"),
        lambda: nf.service_port("HTTPS"),
        lambda: nf.service_port("nothing", "sctp"),
    ]
    for call in calls:
        call()
        best = min(timeit.repeat(call, number=2000, repeat=20)) / 2000
        assert best < 1e-6


# ---- the generator ---------------------------------------------------------------------------------------------------

HEADER = "Service Name,Port Number,Transport Protocol,Description\n"


def generated(folder: Path, rows: str, header: str = HEADER) -> list[str]:
    (folder / "in.csv").write_text(header + rows, encoding="utf-8")
    generate_services.main([str(folder / "in.csv"), "--date", "2025-07-01", "--output", str(folder)])
    return text_of(folder / "services.zlib").splitlines()[3:]


def test_generator_folds_rows_that_differ_in_their_protocol_only(tmp_path: Path) -> None:
    rows = 'a,1,tcp,"x\n   y\n z"\na,1,udp,"x\n   y\n z"\nb,1,udp,\nb,2-4,,q\n,5,tcp,Reserved\nc,,tcp,no number\n'
    assert generated(tmp_path, rows) == ["a\t1\ttcp udp\tx y z", "b\t1\tudp\t", "b\t2-4\t\tq"]


def test_generator_reads_the_file_with_all_its_columns(tmp_path: Path) -> None:
    header = "Service Name,Port Number,Transport Protocol,Description,Assignee,Contact\n"
    assert generated(tmp_path, "a,1,tcp,x,[A],[B]\n", header) == ["a\t1\ttcp\tx"]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ("a,1,tcp,x\n", "Name,Port Number,Transport Protocol,Description\n", "no column Service Name"),
        ("a,70000,tcp,x\n", HEADER, "'70000' is neither"),
        ("a,9-3,tcp,x\n", HEADER, "'9-3' is neither"),
        ("a,x,tcp,x\n", HEADER, "'x' is neither"),
        ("a,1,icmp,x\n", HEADER, "'icmp' is none of tcp, udp, sctp, dccp"),
        ("a b,1,tcp,x\n", HEADER, "no name of a service"),
        ('ok,1,tcp,x\n"a\tb",1,tcp,x\n', HEADER, "in.csv:3: "),
        ("", HEADER, "in.csv: not a single service with a port"),
        (",5,tcp,Reserved\n", HEADER, "not a single service"),
        ("ok,1,tcp,x\na,1,tcp\n", HEADER, "in.csv:3: not as many fields as columns"),
        ("a,1,tcp,x,y\n", HEADER, "in.csv:2: not as many fields as columns"),
        ('ok,1,tcp,x\na,1,tcp,"x\n', HEADER, "in.csv:3: "),
        ('a,1,tcp,"x"y\n', HEADER, "in.csv:2: "),
        ("", "", "no column Service Name"),
    ],
)
def test_generator_refuses_what_is_not_the_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, header: str, said: str
) -> None:
    (tmp_path / "services.zlib").write_bytes(b"before")
    with pytest.raises(SystemExit) as caught:
        generated(tmp_path, rows, header)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "services.zlib").read_bytes() == b"before"


def test_generator_takes_a_byte_order_mark(tmp_path: Path) -> None:
    assert generated(tmp_path, "a,1,tcp,x\n", "\ufeff" + HEADER) == ["a\t1\ttcp\tx"]


@pytest.mark.parametrize("date", ["2025", "2025-13", "2025-07-32", "July"])
def test_generator_wants_a_date(tmp_path: Path, date: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generate_services.main([str(tmp_path), "--date", date])
    assert "YYYY-MM" in capsys.readouterr().err
