"""Tables from files and ranges: CSV, pfx2as, first-last; and what each says of input that cannot be read."""

from __future__ import annotations

import gzip
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netfast as nf

# ---- CSV -------------------------------------------------------------------------------------------------------------

CSV = """prefix,asn,name,country
10.0.0.0/8,64500,"Example, Inc.",DE
2001:db8::/32,64501,"a ""quoted"" name",
10.1.0.0/16,64502,"two
lines",FR
"""


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_csv_columns_are_taken_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, CSV)
    table = nf.PrefixTable.from_csv(path, prefix="prefix", value="name")
    assert list(table) == ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]
    assert [table.exact(prefix) for prefix in table] == ["Example, Inc.", "two\nlines", 'a "quoted" name']
    asns = nf.PrefixTable.from_csv(str(path), prefix="prefix", value="asn")
    assert [str(asns.exact(prefix)) for prefix in asns] == ["64500", "64502", "64501"]
    countries = nf.PrefixTable.from_csv(path, prefix="prefix", value="country")
    assert [countries.exact(prefix) for prefix in countries] == ["DE", "FR", ""]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n",
    ],
    ids=["CRLF", "byte order mark", "no last newline", "an empty line"],
)
def test_csv_of_other_programs(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(change(CSV).encode())
    table = nf.PrefixTable.from_csv(path, prefix="prefix", value="country")
    assert list(table) == ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]


def test_csv_may_be_compressed(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(CSV.encode()), "table.csv.gz")
    assert nf.PrefixTable.from_csv(path, prefix="prefix", value="country").get("10.1.2.3") == "FR"


def test_csv_with_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    assert len(nf.PrefixTable.from_csv(write(tmp_path, "prefix,asn\n"), prefix="prefix", value="asn")) == 0


WRONG_CSV: dict[str, tuple[str, str]] = {  # and what the message says beside the file's name
    "no such column for prefixes": ("network,asn\n10.0.0.0/8,1\n", "prefix"),
    "no such column for values": ("prefix,name\n10.0.0.0/8,1\n", "asn"),
    "a short line": ("prefix,x,asn\n10.0.0.0/8,,1\n11.0.0.0/8\n12.0.0.0/8,,1\n", "line 3"),
    "no prefix": ("prefix,asn\n10.0.0.0/8,1\nnonsense,2\n", "line 3"),
    "host bits": ("prefix,asn\n10.0.0.0/8,1\n10.0.0.1/8,2\n", "line 3"),
    "length": ("prefix,asn\n10.0.0.0/33,1\n", "line 2"),
    "nothing at all": ("", ""),
}


@pytest.mark.parametrize("case", WRONG_CSV)
def test_csv_errors_name_the_file_and_the_line(tmp_path: Path, case: str) -> None:
    text, said = WRONG_CSV[case]
    path = write(tmp_path, text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        nf.PrefixTable.from_csv(path, prefix="prefix", value="asn")
    assert "table.csv" in str(caught.value)
    assert said in str(caught.value)


def test_csv_host_bits_may_be_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, "prefix,asn\n10.0.0.1/8,x\n")
    assert list(nf.PrefixTable.from_csv(path, prefix="prefix", value="asn", strict=False)) == ["10.0.0.0/8"]


# ---- pfx2as ----------------------------------------------------------------------------------------------------------

PFX2AS = "1.0.0.0\t24\t13335\n1.0.4.0\t22\t38803\n1.0.5.0\t24\t38803_4608\n1.0.6.0\t24\t1,2_3\n2001:200::\t32\t2500\n"


@pytest.mark.parametrize("compressed", [False, True])
def test_pfx2as_is_read_plain_and_compressed(tmp_path: Path, compressed: bool) -> None:
    data = PFX2AS.encode()
    path = write(tmp_path, gzip.compress(data) if compressed else data, "pfx2as.gz" if compressed else "pfx2as")
    table = nf.PrefixTable.from_pfx2as(path)
    assert list(table) == ["1.0.0.0/24", "1.0.4.0/22", "1.0.5.0/24", "1.0.6.0/24", "2001:200::/32"]
    # Several origins are separated by '_' (MOAS) and members of an AS set by ','.
    assert [str(table.exact(prefix)) for prefix in table] == ["13335", "38803", "38803_4608", "1,2_3", "2500"]
    assert str(table.get("1.0.4.9")) == "38803"
    with pytest.raises(TypeError, match=r"^values of types int and str together have no Arrow column; "):
        table.lookup([]).__arrow_c_array__()


WRONG_PFX2AS: dict[str, tuple[str, str]] = {
    "a short line": ("1.0.0.0\t24\t1\n1.0.4.0\t22\n", "line 2"),
    "a word for a length": ("1.0.0.0\t24\t1\n1.0.4.0\tx\t5\n", "line 2"),
    "a length too long": ("1.0.0.0\t33\t1\n", "line 1"),
    "a negative length": ("1.0.0.0\t-1\t1\n", "line 1"),
    "no address": ("1.0.0.0\t24\t1\n1.0.0\t24\t1\n", "line 2"),
    "host bits": ("1.0.0.0\t24\t1\n\n1.0.4.1\t22\t5\n", "line 3"),
    "no origin": ("1.0.0.0\t24\t\n", "line 1"),
}


@pytest.mark.parametrize("case", WRONG_PFX2AS)
def test_pfx2as_errors_name_the_file_and_the_line(tmp_path: Path, case: str) -> None:
    text, said = WRONG_PFX2AS[case]
    for path in (write(tmp_path, text, "routes.txt"), write(tmp_path, gzip.compress(text.encode()), "routes.gz")):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
            nf.PrefixTable.from_pfx2as(path)
        assert path.name in str(caught.value)
        assert said in str(caught.value)


# ---- damaged and missing files ---------------------------------------------------------------------------------------

READERS: dict[str, tuple[Callable[[Path], nf.PrefixTable], str]] = {
    "csv": (lambda path: nf.PrefixTable.from_csv(path, prefix="prefix", value="asn"), CSV),
    "pfx2as": (nf.PrefixTable.from_pfx2as, PFX2AS),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_gzip_is_an_error_that_names_the_file(tmp_path: Path, reader: str) -> None:
    read, text = READERS[reader]
    whole = gzip.compress(text.encode() * 100)
    for name, data in {
        "cut": whole[:-12],
        "half": whole[: len(whole) // 2],
        "no end": whole[:-8],
        "wrong checksum": whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:],
        "flipped": whole[:30] + bytes([whole[30] ^ 255]) + whole[31:],
    }.items():
        path = write(tmp_path, data, f"{name}.gz")
        with pytest.raises((ValueError, OSError)) as caught:
            read(path)
        assert path.name in str(caught.value), name


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_is_the_systems_error(tmp_path: Path, reader: str) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        READERS[reader][0](tmp_path / "nothing-here")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("data", [b"\xff\xfe\x00\x01" * 50, b"\0" * 100, bytes(range(256)) * 4])
def test_binary_junk_is_an_error_that_names_the_file(tmp_path: Path, reader: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="junk"):
        READERS[reader][0](write(tmp_path, data, "junk"))


# ---- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("10.0.0.0", "10.255.255.255"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.254"),
        ("0.0.0.0", "255.255.255.255"),
        ("0.0.0.1", "255.255.255.254"),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"),
        ("2001:db8::", "2001:db8::ffff:ffff"),
        ("::fffe:0:0", "::1:0:0:0"),
    ],
)
def test_a_range_is_split_into_the_fewest_prefixes(first: str, last: str) -> None:
    table = nf.PrefixTable.from_ranges([(first, last, "here")])
    ends: Any = ipaddress.ip_address(first), ipaddress.ip_address(last)
    assert list(table) == [str(network) for network in ipaddress.summarize_address_range(*ends)]
    assert {table.exact(prefix) for prefix in table} == {"here"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("10.0.0.2", "10.0.0.1", "x"), ["10.0.0.2", "10.0.0.1"]),
        (("10.0.0.0", "::1", "x"), ["10.0.0.0", "::1"]),
        (("::2", "::1", "x"), ["::2", "::1"]),
        (("nonsense", "10.0.0.1", "x"), ["'nonsense'"]),
        (("10.0.0.1", "", "x"), ["''"]),
        (("10.0.0.0/8", "10.0.0.1", "x"), ["'10.0.0.0/8'"]),
    ],
)
def test_ranges_that_cannot_be_are_errors_that_name_them(wrong: tuple[str, str, str], named: list[str]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        nf.PrefixTable.from_ranges([("9.0.0.0", "9.0.0.1", "fine"), wrong])
    for text in ["1", *named]:  # the row, and what is wrong there
        assert text in str(caught.value)


def test_no_ranges_are_an_empty_table() -> None:
    assert len(nf.PrefixTable.from_ranges([])) == 0


@pytest.mark.parametrize("wrong", [None, 5, [5], [("10.0.0.1",)], [("10.0.0.1", 1.5, "x")]])
def test_ranges_of_foreign_types_are_errors(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        nf.PrefixTable.from_ranges(wrong)
