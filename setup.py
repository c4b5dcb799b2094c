"""Builds the extensions; everything that is not about C stands in pyproject.toml.

Build switches, each an environment variable set to 1:
NETFAST_SANITIZE  address and undefined-behaviour sanitizers: the first error ends the process
NETFAST_COVERAGE  gcov counters, for the kernels and (by line directives) for the .pyx
NETFAST_DEBUG     no optimisation, full debug information
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGE = "src/netfast"

SWITCHES = {
    "sanitize": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    "coverage": ["-O0", "-g", "--coverage"],
    "debug": ["-O0", "-g3", "-UNDEBUG"],
}
LINK = {"sanitize": ["-fsanitize=address,undefined"], "coverage": ["--coverage"]}

active = [name for name in SWITCHES if os.environ.get(f"NETFAST_{name.upper()}", "0") not in ("", "0")]
# A directory for each kind of build, or the next one would take these objects for its own.
build = "build/" + ("-".join(active) or "release")

# No -march: the kernels carry their instruction sets as target attributes, and one is chosen at import.
compile_args = ["-std=c11", "-O3", "-fvisibility=hidden"]
link_args = []
for name in active:
    compile_args += SWITCHES[name]
    link_args += LINK.get(name, [])

# The kernels and what they keep (the form in use, their tables) are in one extension only; what builds prefix tables
# keeps nothing, and is in another; what pings, what asks the kernel of this machine
# and what moves datagrams and frames are three more, on Linux.
kernels = set(glob(f"{PACKAGE}/kernels/nf_*.c"))
tables = {
    f"{PACKAGE}/kernels/nf_{name}.c" for name in ("prefixes", "prefix_columns", "ranges", "ip4_table", "ip6_table")
}
net = {f"{PACKAGE}/kernels/nf_{name}.c" for name in ("icmp", "ping", "ping_socket", "pinger")}
netlink = {
    f"{PACKAGE}/kernels/nf_{name}.c" for name in ("netlink", "link", "sock_diag", "proc_net", "inodes", "owners")
}
sockets = {f"{PACKAGE}/kernels/nf_{name}.c" for name in ("datagrams", "frames", "stream", "wait")}
parts = [("_core", kernels - tables - net - netlink - sockets), ("_arrow", set()), ("_tables", tables)]
if sys.platform == "linux":
    parts += [("_net", net), ("_netlink", netlink), ("_sockets", sockets)]

extensions = [
    Extension(
        f"netfast.{name}",
        sources=[f"{PACKAGE}/{name}.pyx", *sorted(sources)],
        include_dirs=[f"{PACKAGE}/kernels", f"{PACKAGE}/registry"],
        depends=sorted(glob(f"{PACKAGE}/*.pxd") + glob(f"{PACKAGE}/kernels/*.h") + glob(f"{PACKAGE}/registry/*.h")),
        libraries=["m", "pthread"] if name in ("_core", "_netlink") else ["m"],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for name, sources in parts
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir=f"{build}/cython",
        compiler_directives={"language_level": 3},
        emit_linenums=bool(active),
    ),
    options={"build": {"build_base": build}},
)
