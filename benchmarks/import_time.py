"""`import netfast` takes at most 30 ms more than a bare interpreter.

Bound, written down first: the files opened and mapped.  A Python module costs some 0.2 ms (find, stat, open, read,
unmarshal), an extension 0.5 to 1 ms (map, relocate, run its module body), the standard library's `re` 4 ms, `typing` 3,
`dataclasses` with `inspect` 8, NumPy 80.  Ten modules and one extension: 5 ms, if none of the heavy ones is imported.
System calls: some 10 a module.
Bound now: the interpreter's own start, and the loading of two extensions.
"""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.measure import Ceiling


def claims(scale: float = 1.0) -> Iterator[Ceiling]:
    yield Ceiling(
        work="import netfast, whole process",
        unit="ms",
        most=30,
        figure=functools.partial(milliseconds, "import netfast"),
        beside=("bare interpreter", functools.partial(milliseconds, "pass")),
        rounds=25,
    )


# Bytecode is kept, as it is for users: the run that nobody times compiles.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def milliseconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)
    return (time.perf_counter() - start) * 1e3
