"""Tables from MaxMind DB files: what `maxminddb` itself says, for every network of every file."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import maxminddb
import pytest

import netfast as nf


def files(folder: Path) -> list[Path]:
    found = sorted((folder / "mmdb").glob("*.mmdb"))
    assert len(found) >= 5
    return found


def readable(folder: Path) -> Iterator[tuple[Path, maxminddb.Reader]]:
    for path in files(folder):
        with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
            yield path, reader


def records(reader: maxminddb.Reader) -> dict[str, Any]:
    """What the file says of each network it lists."""
    return {str(network): record for network, record in reader}


def in_table(network: str) -> str:
    """A file for both families keeps IPv4 in ::/96, and lists that as IPv4."""
    made = ipaddress.ip_network(network)
    if made.version == 6 and made.prefixlen >= 96 and int(made.network_address) < 2**32:
        return str(ipaddress.IPv4Network((int(made.network_address), made.prefixlen - 96)))
    return network


def follow(record: Any, path: str) -> Any:
    """What stands at a path such as country.iso_code; None where it leads nowhere."""
    for key in path.split("."):
        if isinstance(record, dict):
            record = record.get(key)
        elif isinstance(record, list) and key.isdigit():
            record = record[int(key)] if int(key) < len(record) else None
        else:
            return None
    return record


def test_whole_records_equal_maxminddbs_for_every_network(shared_data: Path, kernels: str) -> None:
    total = 0
    for path, reader in readable(shared_data):
        table = nf.PrefixTable.from_mmdb(path)
        networks = records(reader)
        assert networks, path
        for network in networks:
            made = ipaddress.ip_network(in_table(network))
            for address in {made[0], made[-1], made[made.num_addresses // 2]}:
                assert table.get(address) == reader.get(address), (path.name, network, address)
                total += 1
    assert total > 500


def test_addresses_beside_the_networks_equal_maxminddbs(shared_data: Path) -> None:
    for path, reader in readable(shared_data):
        table = nf.PrefixTable.from_mmdb(path)
        asked = [
            type(network[0])(value)
            for network in map(ipaddress.ip_network, map(in_table, records(reader)))
            for value in (int(network[0]) - 1, int(network[-1]) + 1)
            if 0 <= value < 1 << network.max_prefixlen and network.version <= reader.metadata().ip_version
        ]
        missing = object()
        found = table.lookup(asked)
        for address, place in zip(asked, found.index.tolist(), strict=True):
            theirs, length = reader.get_with_prefix_len(address)
            assert table.get(address, missing) == (missing if theirs is None else theirs), (path.name, address)
            assert (place >= 0) is (theirs is not None)
            if place >= 0 and not table.prefixes[place].startswith("::"):
                assert int(table.prefixes[place].partition("/")[2]) <= length


FIELDS = {
    "GeoIP2-City-Test.mmdb": ["country.iso_code", "city.names.en", "location.latitude", "subdivisions.0.iso_code"],
    "GeoLite2-ASN-Test.mmdb": ["autonomous_system_number", "autonomous_system_organization"],
    "GeoLite2-Country-Test.mmdb": ["country.iso_code", "registered_country.names.de", "no.such.path"],
    "MaxMind-DB-test-ipv4-32.mmdb": ["ip"],
    "MaxMind-DB-test-mixed-24.mmdb": ["ip"],
}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in FIELDS for field in FIELDS[name]])
def test_a_field_equals_what_stands_there(shared_data: Path, name: str, field: str) -> None:
    path = shared_data / "mmdb" / name
    table = nf.PrefixTable.from_mmdb(path, field)
    with maxminddb.open_database(path) as reader:
        for network in records(reader):
            made = ipaddress.ip_network(in_table(network))
            for address in (made[0], made[-1]):
                assert table.get(address) == follow(reader.get(address), field), (network, field)


def test_every_file_is_named_above(shared_data: Path) -> None:
    assert {path.name for path in files(shared_data)} <= set(FIELDS)


# ---- a file made by hand ---------------------------------------------------------------------------------------------


class Unsigned(int):
    """A number of so many bits, which the metadata must have."""

    bits: int

    def __new__(cls, value: int, bits: int) -> Unsigned:
        made = super().__new__(cls, value)
        made.bits = bits
        return made


def encoded(value: Any) -> bytes:
    """Data in the format's own coding: a control byte of type and length, and types above 7 in a byte of their own."""
    if isinstance(value, dict):
        return bytes([7 << 5 | len(value)]) + b"".join(encoded(part) for item in value.items() for part in item)
    if isinstance(value, str):
        return bytes([2 << 5 | len(value)]) + value.encode()
    if isinstance(value, bool):
        return bytes([int(value), 14 - 7])
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(map(encoded, value))
    if isinstance(value, Unsigned) and value.bits == 16:
        return bytes([5 << 5 | 2]) + int(value).to_bytes(2, "big")
    if isinstance(value, Unsigned) and value.bits == 64:
        return bytes([8, 9 - 7]) + int(value).to_bytes(8, "big")
    return bytes([6 << 5 | 4]) + int(value).to_bytes(4, "big")


def database(left: Any, right: Any) -> bytes:
    """An IPv4 file of one node: 0.0.0.0/1 has one record, 128.0.0.0/1 the other."""
    first, second = encoded(left), encoded(right)
    node = b"".join((1 + 16 + place).to_bytes(3, "big") for place in (0, len(first)))
    metadata: dict[str, Any] = {
        "node_count": 1,
        "record_size": Unsigned(24, 16),
        "ip_version": Unsigned(4, 16),
        "database_type": "made by hand",
        "languages": ["en"],
        "binary_format_major_version": Unsigned(2, 16),
        "binary_format_minor_version": Unsigned(0, 16),
        "build_epoch": Unsigned(1, 64),
        "description": {"en": "two halves"},
    }
    return node + bytes(16) + first + second + b"\xab\xcd\xefMaxMind.com" + encoded(metadata)


RECORDS: list[Any] = [{}, {"is": True}, "text", "", 0, 7, [], [{}, 1], {"a": {"b": [1, {"c": "deep"}]}}]


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_records_of_every_form_are_found_an_empty_one_too(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "made.mmdb"
    path.write_bytes(database(record, "the other half"))
    with maxminddb.open_database(path) as reader:
        assert reader.get("1.2.3.4") == record  # the file is what it should be
    table = nf.PrefixTable.from_mmdb(path)
    assert list(table) == ["0.0.0.0/1", "128.0.0.0/1"]
    assert table.get("1.2.3.4", "missed") == record
    assert type(table.get("1.2.3.4")) is type(record)
    assert "1.2.3.4" in table
    assert table.get("200.0.0.1") == "the other half"


def test_a_path_leads_through_maps_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "made.mmdb"
    path.write_bytes(database(RECORDS[-1], {"a": {"b": []}}))
    assert nf.PrefixTable.from_mmdb(path, "a.b.1.c").get("1.2.3.4") == "deep"
    assert nf.PrefixTable.from_mmdb(path, "a.b.1.c").get("200.0.0.1") is None
    assert nf.PrefixTable.from_mmdb(path, "a.b").get("200.0.0.1", "missed") == []


# ---- damage ----------------------------------------------------------------------------------------------------------


def spoiled(data: bytes, how: int) -> bytes:
    """The file with one thing wrong."""
    half = len(data) // 2
    metadata = data.rindex(b"\xab\xcd\xefMaxMind.com")
    return [
        b"",
        b"no such thing",
        data[:half],
        data[:metadata],
        data[: metadata + 14],
        data[: metadata + 40],
        data[metadata:],
        data.replace(b"node_count", b"node_coumt"),
        data[:metadata] + data[metadata:].replace(b"record_size", b"record_sise"),
    ][how]


@pytest.mark.parametrize("how", range(9))
def test_a_damaged_file_is_a_value_error_that_names_it(shared_data: Path, tmp_path: Path, how: int) -> None:
    for path in files(shared_data):
        broken = tmp_path / f"broken-{path.name}"
        broken.write_bytes(spoiled(path.read_bytes(), how))
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
            nf.PrefixTable.from_mmdb(broken)
        assert broken.name in str(caught.value)


def test_flipped_bytes_are_a_value_error_that_names_the_file_or_another_answer(
    shared_data: Path, tmp_path: Path
) -> None:
    """A flip may go unnoticed by the format, which has no checksum; anything but a ValueError is wrong."""
    refused = 0
    for path in files(shared_data):
        data = path.read_bytes()
        broken = tmp_path / f"flipped-{path.name}"
        for place in range(0, len(data), max(1, len(data) // 150)):
            broken.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
            said = refusal(broken)
            assert said is None or broken.name in said
            refused += said is not None
    assert refused > 50


def refusal(path: Path) -> str | None:
    """What the ValueError says; None where there is none."""
    try:
        nf.PrefixTable.from_mmdb(path)
    except ValueError as error:
        return str(error)
    return None


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        nf.PrefixTable.from_mmdb(tmp_path / "nothing-here.mmdb")


def test_the_file_may_go_once_it_is_read(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "mmdb" / "GeoLite2-Country-Test.mmdb"
    copy = tmp_path / "copy.mmdb"
    shutil.copy(path, copy)
    table = nf.PrefixTable.from_mmdb(copy, "country.iso_code")
    copy.unlink()
    with maxminddb.open_database(path) as reader:
        asked = [ipaddress.ip_network(in_table(network))[0] for network in records(reader)]
        assert [table.get(address) for address in asked] == [follow(reader.get(a), "country.iso_code") for a in asked]
