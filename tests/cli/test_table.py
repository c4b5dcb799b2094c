"""`--table FILE[:COLUMN]`: labels of a prefix table in counts and rows."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netfast as nf

Command = Callable[..., Any]

SITES = """\
prefix,site,rack
10.0.0.0/8,Berlin,7
10.0.0.0/30,"Ham,burg",8
2001:4860::/32,Mountain View,9
"""


@pytest.fixture
def sites(tmp_path: Path) -> str:
    path = tmp_path / "sites.csv"
    path.write_text(SITES)
    return str(path)


def labels(cli: Command, log: str, table: str) -> dict[str, int]:
    run = cli("classify", "--json", "--table", table, log)
    assert (run.code, run.err) == (0, "")
    return dict(json.loads(run.out)["by_label"])


def test_counts_by_label(cli: Command, log: str, sites: str) -> None:
    found = labels(cli, log, f"{sites}:site")
    assert found == {"": 3, "Ham,burg": 2, "Mountain View": 1}
    assert list(found) == ["", "Ham,burg", "Mountain View"]
    assert sum(found.values()) == 6


def test_the_first_column_beside_the_prefix_is_the_default(cli: Command, log: str, sites: str) -> None:
    assert labels(cli, log, sites) == labels(cli, log, f"{sites}:site")
    assert labels(cli, log, f"{sites}:rack") == {"": 3, "8": 2, "9": 1}


def test_labels_as_text(cli: Command, log: str, sites: str) -> None:
    run = cli("classify", "--table", sites, log)
    part = run.out[run.out.index("label") :].split("\n\n")[0].splitlines()
    assert [line.split("  ")[0] for line in part[1:]] == ["no prefix", "Ham,burg", "Mountain View"]
    assert "no prefix" not in cli("classify", "--table", sites, "--top", "0", log).out


def test_without_a_table_there_are_no_labels(cli: Command, log: str) -> None:
    assert json.loads(cli("classify", "--json", log).out)["by_label"] == {}


def test_rows_have_the_longest_prefix_and_its_label(cli: Command, log: str, sites: str) -> None:
    found = list(csv.DictReader(io.StringIO(cli("extract", "--table", sites, log).out)))
    assert [(row["address"], row["prefix"], row["label"]) for row in found] == [
        ("10.0.0.1", "10.0.0.0/30", "Ham,burg"),
        ("8.8.8.8", "", ""),
        ("2001:4860:4860::8888", "2001:4860::/32", "Mountain View"),
        ("192.168.1.7", "", ""),
        ("10.0.0.1", "10.0.0.0/30", "Ham,burg"),
        ("127.0.0.1", "", ""),
    ]


def test_json_rows_have_null_where_no_prefix_holds(cli: Command, log: str, sites: str) -> None:
    lines = cli("extract", "--json", "--table", sites, log).out.splitlines()
    found = [json.loads(line) for line in lines]
    assert (found[0]["prefix"], found[0]["label"]) == ("10.0.0.0/30", "Ham,burg")
    assert (found[1]["prefix"], found[1]["label"]) == (None, None)


def test_rows_without_a_table_are_as_ever(cli: Command, log: str) -> None:
    assert cli("extract", log).out.splitlines()[0] == "line,offset,address,version,kind,class,block"


# --- kinds of files --------------------------------------------------------------------------------------------------


def test_a_list_of_prefixes_labels_with_the_prefixes(cli: Command, log: str, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# ours\n10.0.0.0/8 # all of it\n\n8.8.8.8\n")
    assert labels(cli, log, str(path)) == {"": 3, "10.0.0.0/8": 2, "8.8.8.8": 1}


def test_caida_text(cli: Command, log: str, tmp_path: Path) -> None:
    path = tmp_path / "pfx2as.gz"
    path.write_bytes(gzip.compress(b"8.8.8.0\t24\t15169\n10.0.0.0\t8\t64496_64497\n"))
    assert labels(cli, log, str(path)) == {"": 3, "64496_64497": 2, "15169": 1}


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_separators_of_csv(cli: Command, log: str, tmp_path: Path, mark: str) -> None:
    path = tmp_path / "networks.csv"
    path.write_text(SITES.replace('"Ham,burg"', "Hamburg").replace(",", mark).replace("prefix", "network"))
    assert labels(cli, log, str(path)) == {"": 3, "Hamburg": 2, "Mountain View": 1}


def test_a_saved_table(cli: Command, log: str, tmp_path: Path) -> None:
    path = tmp_path / "table.nft"
    nf.PrefixTable({"10.0.0.0/8": 7, "8.8.8.0/24": 7, "::/0": 1}).save(path)
    assert labels(cli, log, str(path)) == {"7": 3, "": 2, "1": 1}


def test_values_that_are_no_text_are_json(cli: Command, log: str, tmp_path: Path) -> None:
    path = tmp_path / "table.nft"
    nf.PrefixTable({"10.0.0.0/8": {"site": "Köln"}, "8.8.8.0/24": None, "::/0": True}).save(path)
    assert labels(cli, log, str(path)) == {'{"site": "Köln"}': 2, "": 2, "null": 1, "true": 1}


def test_a_maxmind_file(cli: Command, tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "one.log"
    path.write_text("from 2.125.160.216 and 81.2.69.142\n")
    mmdb = shared_data / "mmdb" / "GeoIP2-City-Test.mmdb"
    assert labels(cli, str(path), f"{mmdb}:country.iso_code") == {"GB": 2}
    assert labels(cli, str(path), f"{mmdb}:city.names.en") == {"Boxford": 1, "London": 1}


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["classify", "extract"])
@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("missing", None, "missing: No such file"),
        ("sites.csv:town", SITES, "no column 'town'"),
        ("list:site", "10.0.0.0/8\n", "no columns by name"),
        ("words", "one two three\n", "line 1: 'one' is not an IP prefix"),
        ("host", "10.0.0.1/8\n", "line 1"),
        ("short.csv", "prefix,site\n10.0.0.0/8\n", "short.csv"),
        ("bad.gz", "\x1f\x8b\x08 no", "bad.gz"),
    ],
)
def test_trouble_with_a_table_is_one_line(
    cli: Command, log: str, tmp_path: Path, command: str, name: str, content: str | None, wanted: str
) -> None:
    if content is not None:
        (tmp_path / name.partition(":")[0]).write_text(content, encoding="latin-1")
    run = cli(command, "--table", tmp_path / name, log)
    assert run.code == 2
    assert wanted in run.err
    assert run.err.count("\n") == 1
    assert run.out == ""


def test_a_colon_in_the_name_of_a_file(cli: Command, log: str, tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text(SITES)
    assert labels(cli, log, str(path)) == labels(cli, log, f"{path}:site")


@pytest.mark.parametrize("kind", ["saved", "csv", "column", "list", "mmdb"])
@pytest.mark.parametrize("way", ["itself", "symlink", "link"])
def test_the_table_is_not_overwritten(
    netfast: Command, log: str, tmp_path: Path, shared_data: Path, kind: str, way: str
) -> None:
    path = tmp_path / "table"
    if kind == "saved":
        nf.PrefixTable({"10.0.0.0/8": 7}).save(path)
    elif kind == "mmdb":
        path.write_bytes((shared_data / "mmdb" / "GeoIP2-City-Test.mmdb").read_bytes())
    else:
        path.write_text("10.0.0.0/8\n" if kind == "list" else SITES)
    before = path.read_bytes()
    out = path if way == "itself" else tmp_path / "link"
    if way == "symlink":
        out.symlink_to(path)
    elif way == "link":
        os.link(path, out)
    named = f"{path}:site" if kind == "column" else path
    for format in ("csv", "parquet") if kind == "saved" else ("csv",):
        run = netfast("extract", "--table", named, "--format", format, "-o", out, log)
        assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
        assert f"{path}: it is also the output" in run.err
        assert path.read_bytes() == before


def test_nothing_is_added_to_the_table(log: str, tmp_path: Path) -> None:
    path = tmp_path / "table.nft"
    nf.PrefixTable({"10.0.0.0/8": 7}).save(path)
    before = path.read_bytes()
    command = [sys.executable, "-m", "netfast", "extract", "--table", str(path), log]
    with path.open("ab") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"netfast: --table {path}: it is also the output\n".encode())
    assert path.read_bytes() == before
