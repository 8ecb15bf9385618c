"""What the kernel says of a process: CPU time and memory."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_USER, _SYSTEM = 11, 12
"""Fields of /proc/PID/stat behind the command's closing parenthesis."""


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, of all its threads, those that have ended too. OSError if there is none."""
    return cpu_ticks((_PROC / str(pid) / "stat").read_text()) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process now, and the most it ever had, in units of 1,000,000 bytes."""
    status = (_PROC / str(pid) / "status").read_text()
    return kilobytes(status, "VmRSS") * 1024 / 1e6, kilobytes(status, "VmHWM") * 1024 / 1e6


def cpu_ticks(stat: str) -> int:
    """User and system time out of the text of /proc/PID/stat; the command may hold spaces and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[_USER]) + int(fields[_SYSTEM])


def kilobytes(status: str, name: str) -> int:
    """A line such as `VmRSS:   1234 kB` of /proc/PID/status; 0 for a process that is about to end and has none."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return 0
