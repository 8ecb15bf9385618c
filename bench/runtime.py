"""Speed, latency and memory of an instance on a real broker, in one run.

    .venv/bin/python bench/runtime.py [--cases identity_100b,avro_logreg] [--guarantees exactly_once]
        [--messages 200000] [--rate 2000] [--seconds 20] [--partitions 1] [--repeats 1]
        [--client] [--parts] [--instance NAME=PATH] [--platform .local/platform.yaml]

For each case a backlog is filled and drained by a fresh process, started by the command line that a functions worker
uses; then the process answers a steady stream. messages/s is over the drain, from the first output's publish time to
the last one's; CPU is that of the process over the drain, its start left out; p50 and p99 are of the steady stream,
from the call that sends an event to the receipt of its output. With `--repeats` the measurements take turns, and
medians are given. The figures go to bench/out/runtime.json, too. docs/benchmarks.md tells more.
"""

# ruff: noqa: T201 - a benchmark's answer is what it prints

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.speed.cases import CASES  # noqa: E402 - the repository's folder is not on a script's path
from bench.speed.instances import CLIENT, OURS, Kind  # noqa: E402
from bench.speed.measure import Load  # noqa: E402
from bench.speed.report import machine, parts_line, report, table  # noqa: E402
from bench.speed.session import GUARANTEES, Choice, run  # noqa: E402
from bench.speed.world import world  # noqa: E402
from pulsar_pipeline.errors import PipelineError  # noqa: E402

OUT = ROOT / "bench" / "out" / "runtime.json"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Gives the exit code: 1 if a measurement failed."""
    options = _parse(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):  # a script's `&` has the latter ignored
        signal.signal(number, signal.default_int_handler)
    measured_on = machine()
    try:
        with world(options.platform, tell) as on:
            found = run(_choice(options), on, tell)
    except KeyboardInterrupt:
        tell("interrupted; what was started is stopped")
        return INTERRUPTED
    except PipelineError as error:
        tell(str(error))
        return 1
    results = found.results()
    answer = report(measured_on | {"load_after": round(os.getloadavg()[0], 2)}, results, found.parts)
    print(table(results))
    if found.parts:
        print(parts_line(answer["parts"]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(answer, indent=2) + "\n")
    tell(f"written to {options.out}")
    for failure in found.failures:
        tell(f"failed: {failure}")
    return 1 if found.failures else 0


def tell(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def _choice(options: argparse.Namespace) -> Choice:
    return Choice(
        cases=options.cases,
        guarantees=options.guarantees,
        load=Load(options.messages, options.rate, options.seconds),
        partitions=options.partitions,
        repeats=options.repeats,
        client=options.client,
        parts=options.parts,
        others=[Kind(name, path, options.python.absolute()) for name, path in options.instance],
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed, latency and memory of an instance on a real broker.")
    parser.add_argument("--cases", type=_among(tuple(CASES)), default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--guarantees", type=_among(GUARANTEES), default=list(GUARANTEES))
    parser.add_argument("--messages", type=_positive, default=200_000, help="of the backlog (200000)")
    parser.add_argument("--rate", type=float, default=2000, help="events a second of the steady stream (2000)")
    parser.add_argument("--seconds", type=float, default=20, help="of the steady stream (20); 0 leaves it out")
    parser.add_argument("--partitions", type=_positive, default=1, help="of the input and the output (1)")
    parser.add_argument("--repeats", type=_positive, default=1, help="they take turns; medians are told (1)")
    parser.add_argument("--client", action="store_true", help="a loop of the client library alone, too")
    parser.add_argument("--parts", action="store_true", help="avro_logreg against the sum of its parts, too")
    parser.add_argument("--instance", type=_named, action="append", default=[], help="[NAME=]PATH of another instance")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that the other instances run on")
    parser.add_argument("--platform", type=Path, help="file of local clusters that run; else a cluster is started")
    parser.add_argument("--out", type=Path, default=OUT, help="where the figures go as JSON")
    return parser.parse_args(arguments)


def _among(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def words(text: str) -> list[str]:
        strangers = sorted(set(text.split(",")) - set(known))
        if strangers:
            raise argparse.ArgumentTypeError(f"{', '.join(strangers)}: choose of {', '.join(known)}")
        return text.split(",")

    return words


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return number


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    if name in (OURS, CLIENT):
        raise argparse.ArgumentTypeError(f"{name!r} is a name that is taken")
    return name or "stock", Path(path).absolute()


if __name__ == "__main__":
    sys.exit(main())
