"""python peak.py COMMAND...: runs it, throws its output away and prints its peak memory in KiB.

This is a process of its own because it is small: what a process had at its peak before it became the command counts
as the command's (exec keeps ru_maxrss), and a benchmark with its data loaded has gigabytes.
"""

import os
import sys


def main(command: list[str]) -> int:
    null = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    _, status, usage = os.wait4(pid, 0)
    print(usage.ru_maxrss)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
