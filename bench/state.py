"""Large states: how long they take to be written and to be restored, and how much memory beyond themselves.

    .venv/bin/python bench/state.py [--cases 100mb,100k] [--platform .local/platform.yaml]

A state is written to one partition's log as an owner writes it: first as one commit in parts, then as a checkpoint.
Memory is what this process has beyond the state and what it had before; the stall is the longest time for which a
thread that asks to run each millisecond was kept waiting (by the machine's other work, too). Then an instance, started
by the functions worker's command line, restores it: from the start of the process until it runs; beyond what the same
takes with no state. The figures go to bench/out/state.json, too. docs/benchmarks.md tells more.
"""

# ruff: noqa: T201 - a benchmark's answer is what it prints

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.speed import proc  # noqa: E402 - the repository's folder is not on a script's path
from bench.speed.cases import CASES  # noqa: E402
from bench.speed.command_line import Job  # noqa: E402
from bench.speed.instances import ours, running  # noqa: E402
from bench.speed.report import machine  # noqa: E402
from bench.speed.world import DEPLOYMENT, World, build_packages, tenant_of, world  # noqa: E402
from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file  # noqa: E402
from pulsar_pipeline.errors import PipelineError  # noqa: E402
from pulsar_pipeline.names import state_topic  # noqa: E402
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog  # noqa: E402
from pulsar_pipeline.statelog.keys import log_key  # noqa: E402
from pulsar_pipeline.statelog.records import Commit  # noqa: E402

OUT = ROOT / "bench" / "out" / "state.json"
STATES = {"none": (0, 0), "100mb": (100, 1_000_000), "100k": (100_000, 1_000), "1gb": (1_000, 1_000_000)}
"""Keys and bytes of each; random ones, which nothing compresses."""

FUNCTION = CASES["identity_100b"]
START_TIMEOUT_S = 300.0
_POLL_S = 0.005
_TICK_S = 0.001
_RUNNING = '"running with '


@dataclass(frozen=True)
class Written:
    """How writing went."""

    seconds: float
    memory_mb: float
    stall_ms: float


@dataclass(frozen=True)
class Figures:
    """Of one state."""

    state_mb: float
    keys: int
    commit: Written
    checkpoint: Written
    restore_s: float
    """From the start of the process until it runs."""
    restore_peak_mb: float
    """Of the whole process."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Gives the exit code: 1 if a measurement failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", default="100mb,100k,1gb", help="some of 100mb,100k,1gb; with commas")
    parser.add_argument("--platform", type=Path, help="running local clusters; else one is started for this")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measured_on = machine()
    try:
        with world(options.platform, tell) as on:
            found = {name: measure(on, name) for name in ("none", *options.cases.split(","))}
    except (PipelineError, RuntimeError) as error:
        tell(str(error))
        return 1
    answer = {
        "machine": measured_on | {"load_after": round(os.getloadavg()[0], 2)},
        "cases": [{"case": name, **asdict(figures)} for name, figures in found.items()],
    }
    print(table(found))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(answer, indent=2) + "\n")
    tell(f"written to {OUT}")
    return 0


def tell(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def measure(on: World, name: str) -> Figures:
    """One state in a tenant of its own."""
    keys, size = STATES[name]
    state = {f"o:models/{number}": secrets.token_bytes(size) for number in range(keys)}
    tenant = tenant_of(f"bench-state-{secrets.token_hex(3)}", on.name, FUNCTION, "exactly_once", 1)
    with on.tenant(tenant):
        key = load_state_key(state_key_file(on.function_tokens, tenant.tenant))
        topic = state_topic(tenant.tenant, DEPLOYMENT).partition(0)
        log = PartitionLog(on.client, topic, log_key(key, topic), None, "bench")
        log.claim()
        log.take_state()
        tell(f"{name}: writing")
        with watching() as commit:
            log.append_commit(_commit(log, 1), state)
            log.flush()
            _until(lambda: log.has_commit(1), "the commit is read back")
        with watching() as checkpoint:
            log.append_commit(_commit(log, 2), {})
            log.append_checkpoint(_commit(log, 2), state)
            while log.go_on():
                log.lost()
            _until(lambda: not log.lost() and log.fold.checkpoint is not None, "the checkpoint is read back")
        log.append_commit(_commit(log, 3), {})
        _until(lambda: log.has_commit(3), "the last commit is read back")
        log.close()
        tell(f"{name}: restoring")
        packages = build_packages(on.folder / name, [FUNCTION.function])
        job = Job(on, tenant, FUNCTION, packages[FUNCTION.function])
        seconds, peak = restored(job, on.folder / "instances" / name)
    return Figures(sum(map(len, state.values())) / 1e6, keys, commit.written(), checkpoint.written(), seconds, peak)


def restored(job: Job, folder: Path) -> tuple[float, float]:
    """Seconds until a fresh instance runs, and the most memory it had, in MB. RuntimeError if it ends before."""
    started = time.monotonic()
    with running(ours(), job, folder) as process:
        while not any(_RUNNING in log.read_text(errors="replace") for log in process.folder.rglob("*.log")):
            process.check()
            if time.monotonic() - started > START_TIMEOUT_S:
                raise RuntimeError(f"the instance does not run:\n{process.told()}")
            time.sleep(_POLL_S)
        return time.monotonic() - started, proc.memory_mb(process.pid)[1]


@dataclass
class Watch:
    """What a span of time took."""

    started: float = field(default_factory=time.monotonic)
    before_mb: float = 0.0
    peak_mb: float = 0.0
    stall_s: float = 0.0
    ended: float = 0.0

    def written(self) -> Written:
        return Written(
            round(self.ended - self.started, 2), round(self.peak_mb - self.before_mb, 1), round(self.stall_s * 1e3, 1)
        )


@contextmanager
def watching() -> Iterator[Watch]:
    """Time, memory and stalls of this process within the block."""
    watch, stop = Watch(before_mb=proc.memory_mb(os.getpid())[0]), threading.Event()

    def tick() -> None:
        last, number = time.perf_counter(), 0
        while not stop.wait(_TICK_S):
            now = time.perf_counter()
            watch.stall_s = max(watch.stall_s, now - last - _TICK_S)
            last, number = now, number + 1
            if number % 20 == 0:
                watch.peak_mb = max(watch.peak_mb, proc.memory_mb(os.getpid())[0])

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended = time.monotonic()
        stop.set()
        thread.join()
        watch.peak_mb = max(watch.peak_mb, watch.before_mb, proc.memory_mb(os.getpid())[0])


def _commit(log: PartitionLog, number: int) -> Commit:
    return Commit(log.epoch, log.incarnation, log.nonce, number, 0, {}, 0, "", None, (), None, int(time.time() * 1000))


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in time: {what}")


def table(found: Mapping[str, Figures]) -> str:
    """For people."""
    none = found["none"]
    lines = [
        f"{'state':8}{'MB':>7}{'keys':>9} |{'commit s':>9}{'+MB':>7}{'stall ms':>9} |{'checkp. s':>10}{'+MB':>7}"
        f"{'stall ms':>9} |{'restore s':>10}{'beyond none':>12}{'peak MB':>9}{'beyond both':>12}"
    ]
    for name, each in found.items():
        beyond = each.restore_peak_mb - none.restore_peak_mb - each.state_mb
        lines.append(
            f"{name:8}{each.state_mb:7.0f}{each.keys:9} |{each.commit.seconds:9.2f}{each.commit.memory_mb:7.0f}"
            f"{each.commit.stall_ms:9.1f} |{each.checkpoint.seconds:10.2f}{each.checkpoint.memory_mb:7.0f}"
            f"{each.checkpoint.stall_ms:9.1f} |{each.restore_s:10.2f}{each.restore_s - none.restore_s:12.2f}"
            f"{each.restore_peak_mb:9.0f}{beyond:12.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
