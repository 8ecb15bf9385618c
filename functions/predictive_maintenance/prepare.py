"""The AI4I 2020 rows as events: readings, and labels that come later.

    python functions/predictive_maintenance/prepare.py --out DIR [--rows N] [--machines N] [--label-delay N]

writes `readings.jsonl` and `labels.jsonl` for `pulsar-pipeline events send`, and `events.jsonl`, both of them in order
of time, for the test kit (`{"input": …, "event": …}`). Times are milliseconds since the Unix epoch. The same options
give the same bytes. Standard library only.

Machines: the data are one machine's log, whose tool wear grows from row to row until the tool is changed (119 times).
So each life of a tool becomes one shift of one machine: the first life is machine 1's, the second machine 2's, and
after the last machine the first is on again with a new tool. Within a machine, rows keep their order and wear
accumulates, as it does on a shop floor; over all machines, event order is the file's order.

Labels: reading and outcome are two events. The outcome of a reading becomes known `--label-delay` readings later, and
says `failed` and no more: the modes TWF, HDF, PWF, OSF and RNF are parts of the label and never leave the file.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data" / "ai4i2020.csv.gz"

START = datetime(2020, 1, 1, tzinfo=UTC)
"""Time of the first reading; the data have none."""

READING_EVERY_MS = 60_000
MACHINES = 40
LABEL_DELAY = 10

MEASURED = {
    "air_temperature_k": "Air temperature [K]",
    "process_temperature_k": "Process temperature [K]",
    "rotational_speed_rpm": "Rotational speed [rpm]",
    "torque_nm": "Torque [Nm]",
    "tool_wear_min": "Tool wear [min]",
}
"""Field of a reading → column of the file."""

Event = dict[str, Any]


def rows(path: Path = DATA, limit: int | None = None) -> list[dict[str, str]]:
    """The file's first `limit` rows, in order."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8-sig")
    return list(islice(csv.DictReader(io.StringIO(text, newline="")), limit))


def readings_and_labels(
    table: Iterable[Mapping[str, str]], machines: int = MACHINES, label_delay: int = LABEL_DELAY
) -> Iterator[tuple[Event, Event]]:
    """Each row's reading and its label, in the order of the rows."""
    start = int(START.timestamp() * 1000)
    life, wear_before = 0, 0.0
    for position, row in enumerate(table):
        wear = float(row["Tool wear [min]"])
        life += wear < wear_before
        wear_before = wear
        at = start + position * READING_EVERY_MS
        identity = {"machine_id": machine_id(life, machines), "reading_id": int(row["UDI"])}
        measured = {field: float(row[column]) for field, column in MEASURED.items()}
        reading = {**identity, "at": at, "product_type": row["Type"], **measured}
        failed = row["Machine failure"] == "1"
        yield reading, {**identity, "at": at + label_delay * READING_EVERY_MS, "failed": failed}


def machine_id(life: int, machines: int) -> str:
    """The machine of a tool's life, counted from 0: the machines take turns."""
    return f"mill-{life % machines + 1:0{max(2, len(str(machines)))}d}"


def interleaved(pairs: Iterable[tuple[Event, Event]]) -> list[Event]:
    """Readings and labels in order of time, as `{"input", "event", "key", "event_time_ms"}`; of one instant the
    reading first."""
    events = [
        {"input": name, "event": event, "key": event["machine_id"], "event_time_ms": event["at"]}
        for pair in pairs
        for name, event in zip(("readings", "labels"), pair, strict=True)
    ]
    return sorted(events, key=lambda event: (event["event_time_ms"], event["input"] == "labels"))


def write_lines(path: Path, events: Iterable[Event]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    options = _parse(arguments)
    pairs = list(readings_and_labels(rows(limit=options.rows), options.machines, options.label_delay))
    options.out.mkdir(parents=True, exist_ok=True)
    write_lines(options.out / "readings.jsonl", (reading for reading, _ in pairs))
    write_lines(options.out / "labels.jsonl", (label for _, label in pairs))
    write_lines(options.out / "events.jsonl", interleaved(pairs))
    print(f"{len(pairs)} readings and as many labels in {options.out}")  # noqa: T201 - a command's answer


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write the AI4I 2020 data as readings and labels (JSON lines).")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; made if need be")
    parser.add_argument("--rows", type=_positive, default=None, help="first rows only (all 10,000 by default)")
    parser.add_argument("--machines", type=_positive, default=MACHINES, help=f"how many machines ({MACHINES})")
    parser.add_argument(
        "--label-delay",
        type=_positive,
        default=LABEL_DELAY,
        help=f"readings until the outcome is known ({LABEL_DELAY})",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return number


if __name__ == "__main__":
    main()
