"""Speed, latency and memory of an instance on a real broker, in one run.

    .venv/bin/python bench/runtime.py [--cases identity_100b,avro_logreg] [--guarantees exactly_once]
        [--messages 200000] [--rate 2000] [--seconds 20] [--partitions 1] [--repeats 1]
        [--client] [--instance NAME=PATH] [--platform .local/platform.yaml]

For each case a backlog is filled and drained by a fresh process, started by the command line that a functions worker
uses; then the process answers a steady stream. messages/s is over the drain, from the first output's publish time to
the last one's; CPU is that of the process over the drain, its start left out; p50 and p99 are of the steady stream,
from the call that sends an event to the receipt of its output. With `--repeats` the measurements take turns, and
medians are given. The figures go to bench/out/runtime.json, too.
"""

# ruff: noqa: T201 - a benchmark's answer is what it prints

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.speed.cases import CASES, Case  # noqa: E402 - the repository's folder is not on a script's path
from bench.speed.instances import Job, Kind, client_loop, ours  # noqa: E402
from bench.speed.measure import Load, measure  # noqa: E402
from bench.speed.report import Figures, Result, machine, report, table  # noqa: E402
from bench.speed.world import World, build_packages, tenant_of, world  # noqa: E402
from pulsar_pipeline.spec.model import Guarantee  # noqa: E402

OUT = ROOT / "bench" / "out" / "runtime.json"
GUARANTEES: tuple[Guarantee, ...] = ("at_least_once", "exactly_once")


@dataclass(frozen=True)
class Measurement:
    case: Case
    guarantee: Guarantee
    kind: Kind

    def __str__(self) -> str:
        return f"{self.case.name} {self.guarantee} {self.kind.name}"


def measurements(options: argparse.Namespace) -> Iterator[Measurement]:
    """In the order of the table. Only our instance knows exactly_once."""
    for name in options.cases:
        if options.client:
            yield Measurement(CASES[name], "at_least_once", client_loop())
        for kind in options.instance:
            yield Measurement(CASES[name], "at_least_once", kind)
        for guarantee in options.guarantees:
            yield Measurement(CASES[name], guarantee, ours())


def run(options: argparse.Namespace, on: World, chosen: list[Measurement]) -> dict[Measurement, list[Figures]]:
    """Repeats take turns, so that what else the machine does meets all alike."""
    packages = build_packages(on.folder, {name: CASES[name] for name in options.cases})
    work = Load(options.messages, options.rate, options.seconds)
    found: dict[Measurement, list[Figures]] = {each: [] for each in chosen}
    for repeat in range(options.repeats):
        for each in chosen:
            tenant = tenant_of(f"bench-{secrets.token_hex(4)}", on.name, each.case, each.guarantee, options.partitions)
            tell(f"{each} ({repeat + 1} of {options.repeats})")
            with on.tenant(tenant):
                figures = measure(each.kind, Job(on, tenant, each.case, packages[each.case.function]), work)
            found[each].append(figures)
            tell(
                f"  {figures.messages_per_s:,.0f} messages/s, {figures.cpu_us_per_message:.1f} us, "
                f"p50 {figures.p50_ms:.1f} ms, p99 {figures.p99_ms:.1f} ms, {figures.rss_mb:.0f} MB"
            )
    return found


def main() -> None:
    """The command line."""
    options = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    told = machine()
    with world(options.platform, tell) as on:
        found = run(options, on, list(measurements(options)))
    results = [Result(each.case.name, each.guarantee, each.kind.name, tuple(runs)) for each, runs in found.items()]
    print(table(results))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report(told, results), indent=2) + "\n")
    tell(f"written to {OUT.relative_to(ROOT)}")


def tell(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed, latency and memory of an instance on a real broker.")
    parser.add_argument("--cases", type=_among(tuple(CASES)), default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--guarantees", type=_among(GUARANTEES), default=list(GUARANTEES))
    parser.add_argument("--messages", type=int, default=200_000, help="of the backlog")
    parser.add_argument("--rate", type=float, default=2000, help="events a second of the steady stream")
    parser.add_argument("--seconds", type=float, default=20, help="of the steady stream; 0 leaves it out")
    parser.add_argument("--partitions", type=int, default=1, help="of the input and the output")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--client", action="store_true", help="a loop of the client library alone, too")
    parser.add_argument("--instance", type=_kind, action="append", default=[], help="[NAME=]PATH of another instance")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that the other instances run on")
    parser.add_argument("--platform", type=Path, help="file of local clusters that run; else a cluster is started")
    options = parser.parse_args()
    options.instance = [Kind(name, path, options.python, ours=False) for name, path in options.instance]
    return options


def _among(known: tuple[str, ...]):  # noqa: ANN202 - what argparse wants
    def words(text: str) -> list[str]:
        strangers = set(text.split(",")) - set(known)
        if strangers:
            raise argparse.ArgumentTypeError(f"{', '.join(strangers)}: choose of {', '.join(known)}")
        return text.split(",")

    return words


def _kind(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    return name or "stock", Path(path).resolve()


if __name__ == "__main__":
    main()
