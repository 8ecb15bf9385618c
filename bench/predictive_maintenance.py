"""Quality and cost of the predictive maintenance models on the whole data set, without a broker.

    .venv/bin/python bench/predictive_maintenance.py [--models forest,logistic] [--seeds 1,2,3] [--partitions 1,4]
        [--label-delays 10] [--rows 10000] [--json]

Every event in order: predict, then learn each label when it comes. ROC AUC and average precision are over readings
2,001 to the last, of the risk as it was predicted; so are the precision and recall of alerts at the default threshold.
With several partitions, machines are spread over them and each has a model of its own; the risks are judged together.
ms/event is the time of one reading and its label; state is the largest model with its memory, pickled.
"""

# ruff: noqa: T201 - a benchmark's answer is what it prints

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FUNCTION = Path(__file__).resolve().parents[1] / "functions" / "predictive_maintenance"
sys.path.insert(0, str(FUNCTION))

from maintenance.config import Config  # noqa: E402 - the function's folder is no package of the product
from maintenance.features import features_of  # noqa: E402
from maintenance.state import State  # noqa: E402
from prepare import interleaved, readings_and_labels, rows  # noqa: E402

from pulsar_pipeline.online.metrics import BinaryMetrics  # noqa: E402

WARM_UP = 2000
"""Readings that are learned from but not counted."""


@dataclass(frozen=True)
class Run:
    """One pass over the events."""

    auc: float
    average_precision: float
    alert_precision: float
    alert_recall: float
    ms_per_event: float
    state_bytes: int


@dataclass(frozen=True)
class Result:
    """One setting, over its seeds."""

    model: str
    partitions: int
    label_delay: int
    auc: float
    auc_spread: float
    average_precision: float
    average_precision_spread: float
    alert_precision: float
    alert_recall: float
    ms_per_event: float
    state_bytes: int


def replay(config: Config, events: Sequence[dict[str, Any]], partitions: int) -> Run:
    """Predict and learn in order; each partition with a state of its own."""
    states = [State(config) for _ in range(partitions)]
    risks: dict[int, float] = {}
    outcomes: dict[int, bool] = {}
    seconds = 0.0
    for entry in events:
        event, key = entry["event"], entry["key"]
        state = states[zlib.crc32(key.encode()) % partitions]
        started = time.perf_counter()
        if entry["input"] == "readings":
            risks[event["reading_id"]] = state.predict(key, event["reading_id"], features_of(event))
        else:
            state.learn(key, event["reading_id"], event["failed"])
            outcomes[event["reading_id"]] = event["failed"]
        seconds += time.perf_counter() - started
    return judged(config, risks, outcomes, seconds / len(risks) * 1e3, max(len(pickle.dumps(s)) for s in states))


def judged(
    config: Config, risks: dict[int, float], outcomes: dict[int, bool], ms_per_event: float, state_bytes: int
) -> Run:
    """Risks against outcomes, by reading, after the warm-up."""
    quality = BinaryMetrics()
    counted = [reading_id for reading_id in outcomes if reading_id > WARM_UP]
    for reading_id in counted:
        quality.update(risks[reading_id], outcomes[reading_id])
    alerts = [reading_id for reading_id in counted if risks[reading_id] >= config.alert_at]
    hits = sum(outcomes[reading_id] for reading_id in alerts)
    return Run(
        auc=quality.roc_auc or 0.0,
        average_precision=quality.average_precision or 0.0,
        alert_precision=hits / max(len(alerts), 1),
        alert_recall=hits / max(quality.positives, 1),
        ms_per_event=ms_per_event,
        state_bytes=state_bytes,
    )


def summary(model: str, partitions: int, label_delay: int, runs: Sequence[Run]) -> Result:
    """Means over the seeds, and the distance between the best and the worst."""
    auc = [run.auc for run in runs]
    precision = [run.average_precision for run in runs]
    return Result(
        model=model,
        partitions=partitions,
        label_delay=label_delay,
        auc=statistics.mean(auc),
        auc_spread=max(auc) - min(auc),
        average_precision=statistics.mean(precision),
        average_precision_spread=max(precision) - min(precision),
        alert_precision=statistics.mean(run.alert_precision for run in runs),
        alert_recall=statistics.mean(run.alert_recall for run in runs),
        ms_per_event=statistics.mean(run.ms_per_event for run in runs),
        state_bytes=max(run.state_bytes for run in runs),
    )


def results(options: argparse.Namespace) -> Iterable[Result]:
    """Every combination asked for."""
    table = rows(limit=options.rows)
    for label_delay in options.label_delays:
        events = interleaved(readings_and_labels(table, label_delay=label_delay))
        for model in options.models:
            for partitions in options.partitions:
                runs = [replay(Config(model=model, seed=seed), events, partitions) for seed in options.seeds]
                yield summary(model, partitions, label_delay, runs)


def main() -> None:
    """The command line."""
    options = _parse()
    if options.rows <= WARM_UP:
        raise SystemExit(f"--rows has to be over {WARM_UP}, the readings that do not count")
    if not options.json:
        print("model     partitions  delay           ROC AUC    avg. precision  alert p / r  ms/event  state kB")
    for result in results(options):
        print(json.dumps(asdict(result)) if options.json else line(result), flush=True)


def line(result: Result) -> str:
    """A row of the table; ± is half the distance between the best seed and the worst."""
    return (
        f"{result.model:10}{result.partitions:10}{result.label_delay:7}"
        f"{result.auc:11.4f} ±{result.auc_spread / 2:.4f}"
        f"{result.average_precision:11.4f} ±{result.average_precision_spread / 2:.4f}"
        f"{result.alert_precision:8.2f} {result.alert_recall:.2f}"
        f"{result.ms_per_event:10.3f}{result.state_bytes / 1000:10.0f}"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Quality and cost of the predictive maintenance models.")
    parser.add_argument("--models", type=_words, default=["forest", "logistic"])
    parser.add_argument("--seeds", type=_numbers, default=[1, 2, 3])
    parser.add_argument("--partitions", type=_numbers, default=[1, 4])
    parser.add_argument("--label-delays", type=_numbers, default=[10], help="in readings")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    main()
