"""What is read from /proc."""

from __future__ import annotations

import os
import time

import pytest

from bench.speed import proc

STAT = "4242 (a (strange) name) S 1 4242 4242 0 -1 4194560 2581 0 0 0 731 52 9 9 20 0 12 0 8866 1 2 3"
STATUS = "Name:\tpython3\nVmPeak:\t  400000 kB\nVmHWM:\t  120000 kB\nVmRSS:\t  100000 kB\nThreads:\t12\n"


def test_time_of_a_process_is_its_own_user_and_system_time() -> None:
    assert proc.cpu_ticks(STAT) == 731 + 52, "and not that of its children, 9 and 9"


def test_memory_of_a_process() -> None:
    assert (proc.kilobytes(STATUS, "VmRSS"), proc.kilobytes(STATUS, "VmHWM")) == (100_000, 120_000)
    assert proc.kilobytes("Name:\tends\n", "VmRSS") == 0


def test_of_a_process_that_runs() -> None:
    before = proc.cpu_s(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.05:
        sum(range(1000))
    assert 0.03 < proc.cpu_s(os.getpid()) - before < 5
    resident, peak = proc.memory_mb(os.getpid())
    assert 5 < resident <= peak


def test_of_a_process_that_does_not_run() -> None:
    with pytest.raises(OSError, match="No such file"):
        proc.cpu_s(2**22 + 1)
