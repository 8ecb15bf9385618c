"""Processes on this machine, told apart even when the system gives a process id out again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _GROUP, _STARTED = 0, 2, 19
"""Fields of /proc/PID/stat behind the command's closing parenthesis."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that runs now. `started` differs for two processes that had the same id at different times."""

    pid: int
    group: int
    started: str
    command: str


def find(pid: int) -> Process | None:
    """The process with this id, None if there is none (or only its remains, a zombie)."""
    if _PROC.joinpath("self/stat").exists():
        return _from_proc(pid)
    return next((process for process in _from_ps() if process.pid == pid), None)


def everything() -> Iterator[Process]:
    """All processes that can be seen."""
    if not _PROC.joinpath("self/stat").exists():
        yield from _from_ps()
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (process := _from_proc(int(entry.name))):
            yield process


def _from_proc(pid: int) -> Process | None:
    folder = _PROC / str(pid)
    try:
        fields = folder.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()
        command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # gone between two reads, or not ours to see
        return None
    if not fields or fields[_STATE] in "ZX":
        return None
    return Process(pid, int(fields[_GROUP]), f"{boot}:{fields[_STARTED]}", command)


def reap(pid: int) -> None:
    """Let go of the remains of this process if it was a child of ours and has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _from_ps() -> Iterator[Process]:
    """For systems without /proc."""
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,pgid=,stat=,lstart=,command="], capture_output=True, text=True, check=True
    ).stdout
    for line in listing.splitlines():
        pid, group, state, *rest = line.split(None, 8)
        if state[0] not in "ZX" and len(rest) == 6:
            yield Process(int(pid), int(group), " ".join(rest[:5]), rest[5])


def signal_group(group: int, number: int) -> None:
    """Send a signal to every process of a group; one that is gone already is no error."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def signal_one(pid: int, number: int) -> None:
    """Send a signal to one process; one that is gone already is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
