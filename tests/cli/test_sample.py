"""`netfast sample`."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netfast as nf
from netfast.cli.sample import SplitMix64, sample, zipf_weights
from netfast.logs import summarize

Command = Callable[..., Any]

DIGEST = "60475b36cd0b2368dbd5200b83c809f8a69d8ae3e52ac4a55270428d9d86c085"


def test_same_bytes_everywhere() -> None:
    assert hashlib.sha256(b"".join(sample(1_000_000))).hexdigest() == DIGEST


def test_splitmix64() -> None:
    # The first values of java.util.SplittableRandom's generator from state 0.
    random = SplitMix64(0)
    random._state = 0
    assert random.bits(2).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert random.bits(1).tolist() == [0x06C45D188009454F]


def test_weights() -> None:
    weights = zipf_weights(1000, 2**31)
    assert sum(weights) == pytest.approx(2**31, rel=1e-5)
    assert weights[0] == pytest.approx(2 * weights[10], rel=1e-5)


@pytest.mark.parametrize("size", [1, 100, 10_000, 3_000_000, 9_000_000])
def test_size_and_whole_lines(size: int) -> None:
    text = b"".join(sample(size))
    assert size - 600 < len(text) <= size
    assert text[-1:] in (b"\n", b"")
    assert b"".join(sample(9_000_000)).startswith(text)


def test_seeds_differ() -> None:
    assert b"".join(sample(10_000, seed=1)) != b"".join(sample(10_000, seed=2))


def test_what_is_in_it() -> None:
    text = b"".join(sample(20_000_000))
    found = summarize(io.BytesIO(text))
    assert found.by_kind.keys() >= {
        "global",
        "private",
        "shared",
        "loopback",
        "link_local",
        "multicast",
        "broadcast",
        "unspecified",
        "documentation",
        "benchmarking",
        "reserved",
        "translation",
        "mapped",
        "tunnel",
    }
    assert next(iter(found.by_kind)) == "global"
    assert found.by_class.keys() == {"", "A", "B", "C", "D", "E"}
    assert found.lines > 50_000
    assert found.unique > 10_000
    busiest = [count for _, count in found.top_addresses]
    assert busiest[0] > found.addresses / 200
    for word in (
        b"Chrome/126.0.0.0",
        b"sshd[",
        b"UFW BLOCK",
        b"NameNode/",
        b"localhost/127.0.0.1",
        b"https://www.example",
    ):
        assert word in text


def test_nothing_in_it_is_malformed() -> None:
    """With --loose nothing more is found than versions."""
    text = b"".join(sample(2_000_000))
    strict, loose = nf.extract(text), nf.extract(text, boundary="loose")
    kept = set(strict.offset.tolist())
    for offset in set(loose.offset.tolist()) - kept:
        assert text[offset - 1 : offset] in b"/v"


def test_command(cli: Command, tmp_path: Path) -> None:
    expected = b"".join(sample(100_000, seed=7)).decode()
    assert cli("sample", "--size", "100K", "--seed", "7") == (0, expected, "")
    out = tmp_path / "sample.log"
    assert cli("sample", "--size", "100KB", "--seed", "7", "-o", out) == (0, "", "")
    assert out.read_text() == expected
    run = cli("sample", "-o", tmp_path / "no" / "folder")
    assert (run.code, run.err.count("\n")) == (2, 1)


def test_it_does_not_fill_a_terminal(terminal: Command) -> None:
    run = terminal("sample")
    assert (run.code, run.out) == (2, "")
    assert "-o FILE" in run.err
    assert terminal("sample", "--size", "1K").code == 0


@pytest.mark.slow
def test_default_size(netfast: Command, tmp_path: Path) -> None:
    out = tmp_path / "sample.log"
    assert netfast("sample", "-o", out).code == 0
    assert 99_999_000 < out.stat().st_size <= 100_000_000
    assert json.loads(netfast("classify", "--json", out).out)["bytes"] == out.stat().st_size
