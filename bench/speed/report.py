"""Figures, and what is told of them: percentiles, medians, the table, the JSON file."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

PARTED = "avro_logreg"
CLIENT_LOOP = ("client", "at_least_once")


@dataclass(frozen=True)
class Figures:
    """Of one measurement, or the medians of several."""

    messages_per_s: float
    cpu_us_per_message: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    rss_peak_mb: float
    rss_growth_mb: float
    """From the middle of the drain to its end."""
    steady_cpu_us_per_message: float
    """At the steady rate, where batches are small."""

    def __str__(self) -> str:
        return (
            f"{self.messages_per_s:,.0f} messages/s, {self.cpu_us_per_message:.1f} us, p50 {self.p50_ms:.1f} ms, "
            f"p99 {self.p99_ms:.1f} ms, {self.rss_mb:.0f} MB"
        )


@dataclass(frozen=True)
class Result:
    """A case under one guarantee by one kind of instance."""

    case: str
    guarantee: str
    instance: str
    runs: tuple[Figures, ...]

    @property
    def figures(self) -> Figures:
        """The median of each figure."""
        return Figures(
            **{
                field.name: statistics.median(getattr(run, field.name) for run in self.runs)
                for field in fields(Figures)
            }
        )

    def as_json(self) -> dict[str, Any]:
        names = {"case": self.case, "guarantee": self.guarantee, "instance": self.instance}
        figures = {name: round(value, 2) for name, value in asdict(self.figures).items()}
        return names | figures | {"runs": len(self.runs)}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed; 0 of none."""
    if not values:
        return 0.0
    rank = -(-len(values) * percent // 100)
    return sorted(values)[max(0, int(rank) - 1)]


def report(
    machine: Mapping[str, Any], results: Sequence[Result], parts: Sequence[Mapping[str, float]] = ()
) -> dict[str, Any]:
    """The content of runtime.json."""
    answer: dict[str, Any] = {"machine": dict(machine), "cases": [result.as_json() for result in results]}
    return answer | {"parts": whole_and_parts(results, parts)} if parts else answer


def whole_and_parts(results: Sequence[Result], parts: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """CPU of avro_logreg's parts in microseconds an event, their sum, and how many times that each guarantee takes.

    The bare loop's figure for the same events is the part `receive+publish`.
    """
    whole = {
        (each.instance, each.guarantee): each.figures.cpu_us_per_message for each in results if each.case == PARTED
    }
    alone = {"receive+publish": whole[CLIENT_LOOP]} if CLIENT_LOOP in whole else {}
    alone |= {name: statistics.median(each[name] for each in parts) for name in parts[0]}
    total = sum(alone.values())
    ratios = {guarantee: round(us / total, 3) for (name, guarantee), us in whole.items() if name == "ours"}
    return {"case": PARTED, "us": {name: round(us, 2) for name, us in alone.items()}, "sum_us": total, "ratio": ratios}


def parts_line(parts: Mapping[str, Any]) -> str:
    """The same as a sentence."""
    alone = " + ".join(f"{name} {us:.1f}" for name, us in parts["us"].items())
    ratios = ", ".join(f"{guarantee} {ratio:.2f} times that" for guarantee, ratio in parts["ratio"].items())
    return f"{parts['case']}: {alone} = {parts['sum_us']:.1f} us alone; {ratios}"


_COLUMNS = {
    "messages/s": ("messages_per_s", "{:,.0f}"),
    "CPU us": ("cpu_us_per_message", "{:.1f}"),
    "p50 ms": ("p50_ms", "{:.1f}"),
    "p99 ms": ("p99_ms", "{:.1f}"),
    "RSS MB": ("rss_mb", "{:.0f}"),
    "peak MB": ("rss_peak_mb", "{:.0f}"),
    "growth MB": ("rss_growth_mb", "{:+.1f}"),
}


def table(results: Sequence[Result]) -> str:
    """One line a result; `ratio` is throughput against the first other instance of the case, if there is one."""
    rows = [["case", "guarantee", "instance", *_COLUMNS, "ratio"]]
    for result in results:
        figures = result.figures
        rows.append(
            [result.case, result.guarantee, result.instance]
            + [_cell(name, getattr(figures, name), form) for name, form in _COLUMNS.values()]
            + [_ratio(result, results)]
        )
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 3 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cell(name: str, value: float, form: str) -> str:
    """No latency is told where the steady stream was left out."""
    return "-" if name in ("p50_ms", "p99_ms") and not value else form.format(value)


def _ratio(result: Result, results: Sequence[Result]) -> str:
    if result.instance != "ours":
        return ""
    others = [other for other in results if other.case == result.case and other.instance not in ("ours", "client")]
    return f"{result.figures.messages_per_s / others[0].figures.messages_per_s:.1f}" if others else ""


def machine() -> dict[str, Any]:
    """What the figures were taken on, before anything is measured."""
    return {
        "cores": os.cpu_count(),
        "model": cpu_model(Path("/proc/cpuinfo").read_text()),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("pulsar-client", "fastavro", "river")},
    }


def cpu_model(cpuinfo: str) -> str:
    """Out of the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()
