"""Every metric the product exposes: its name, meaning and what to do about it. No state; exporters read this table.

Metrics that the functions worker expects of an instance (`pulsar_function_*`) keep Pulsar's own names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` hold names of the platform only (tenant, view, partition, route), never an entity or
    anything out of an event. `remedy` says what to look at when it goes wrong."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...]
    remedy: str


HTTP_REQUESTS = Metric(
    "pulsar_pipeline_http_requests_total",
    "counter",
    "HTTP requests answered, by route template and status.",
    ("route", "method", "status"),
    "Many 401: a client's token has expired. 503: see pulsar_pipeline_view_ready. Any 500 is a bug: see the log.",
)
HTTP_SECONDS = Metric(
    "pulsar_pipeline_http_request_seconds",
    "histogram",
    "Time from the request's arrival at the worker to the last byte handed to the server, in seconds.",
    ("route", "method"),
    "Above a few milliseconds: add --workers, or see whether the machine is short of memory for the view's pages.",
)
VIEW_READY = Metric(
    "pulsar_pipeline_view_ready",
    "gauge",
    "1 once the view has caught up with its topic for the first time, else 0.",
    ("tenant", "view"),
    "Stays 0: does the output topic exist in this cluster (plan), and does the materialiser's log tell of an error?",
)
VIEW_LAG_SECONDS = Metric(
    "pulsar_pipeline_view_lag_seconds",
    "gauge",
    "Bound on how old the view is: it holds all that the topic held that long ago. 0 while caught up.",
    ("tenant", "view"),
    "Grows evenly: the materialiser is down or cannot reach the broker. Grows under load: it lacks CPU or disk.",
)
VIEW_ROWS = Metric(
    "pulsar_pipeline_view_rows",
    "gauge",
    "Entities in the view.",
    ("tenant", "view"),
    "Grows without end: is the message key an entity, or something unique to each event?",
)
VIEW_APPLIED = Metric(
    "pulsar_pipeline_view_messages_applied_total",
    "counter",
    "Output messages taken into the view since it was built.",
    ("tenant", "view", "partition"),
    "Stands still while the topic moves: see pulsar_pipeline_view_lag_seconds.",
)
VIEW_SKIPPED = Metric(
    "pulsar_pipeline_view_messages_skipped_total",
    "counter",
    "Output messages that could not become a row (undecodable, or without a key) since the view was built.",
    ("tenant", "view", "partition"),
    "Any: somebody else produces into the output topic, or its schema was changed by hand. The log has positions.",
)
VIEW_DROPPED = Metric(
    "pulsar_pipeline_view_messages_dropped_total",
    "counter",
    "Outputs left out since the view was built, as they count for nobody: sent late by a former owner, or made again.",
    ("tenant", "view", "partition"),
    "Some after a crash, a pause or a lost connection are right: nothing is missing. All the time: two owners contend.",
)
VIEW_GAPS = Metric(
    "pulsar_pipeline_view_gaps_total",
    "counter",
    "Places where outputs are missing from the topic, since the view was built. The view goes on behind them.",
    ("tenant", "view", "partition"),
    "Any: the cluster or its replication lost messages; the log has positions. Compare with the home cluster's view.",
)
VIEW_POSITION_LEDGER = Metric(
    "pulsar_pipeline_view_position_ledger",
    "gauge",
    "Ledger of the last message the view has taken from the partition (-1: none yet).",
    ("tenant", "view", "partition"),
    "Compare with the partition's internal stats to see how far behind it is.",
)
VIEW_POSITION_ENTRY = Metric(
    "pulsar_pipeline_view_position_entry",
    "gauge",
    "Entry, within the ledger, of the last message the view has taken from the partition (-1: none yet).",
    ("tenant", "view", "partition"),
    "Compare with the partition's internal stats to see how far behind it is.",
)

QUERY_METRICS = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    VIEW_READY,
    VIEW_LAG_SECONDS,
    VIEW_ROWS,
    VIEW_APPLIED,
    VIEW_SKIPPED,
    VIEW_DROPPED,
    VIEW_GAPS,
    VIEW_POSITION_LEDGER,
    VIEW_POSITION_ENTRY,
)
"""What `serve` exposes at `/metrics`."""


# ── a runtime instance: Pulsar's own names and labels ──────────────────────────────────────────

_FUNCTION = ("tenant", "namespace", "name", "instance_id", "cluster", "fqfn")

FUNCTION_RECEIVED = Metric(
    "pulsar_function_received_total",
    "counter",
    "Events the instance took from its inputs.",
    _FUNCTION,
    "Stands still while the inputs' backlog grows: see `functions status` for what the instance waits for.",
)
FUNCTION_PROCESSED = Metric(
    "pulsar_function_processed_successfully_total",
    "counter",
    "Events the function came back from without an error.",
    _FUNCTION,
    "Falls behind received: events go to the dead-letter topic; see pulsar_function_user_exceptions_total.",
)
FUNCTION_USER_EXCEPTIONS = Metric(
    "pulsar_function_user_exceptions_total",
    "counter",
    "Events set aside: undecodable, invalid, or the function raised.",
    _FUNCTION,
    "`functions status` shows the latest; the events lie in the deployment's dead-letter topic.",
)
FUNCTION_SYSTEM_EXCEPTIONS = Metric(
    "pulsar_function_system_exceptions_total",
    "counter",
    "Failures of the instance itself: its start, its connection, its storing of outputs.",
    _FUNCTION,
    "The instance restarts by itself; if it goes on, its log tells which broker or permission is at fault.",
)
FUNCTION_LATENCY = Metric(
    "pulsar_function_process_latency_ms",
    "summary",
    "Time in the function's process(), milliseconds.",
    _FUNCTION,
    "Higher than the author's own measurement: the machine is short of CPU; else profile the function.",
)
FUNCTION_LAST_INVOCATION = Metric(
    "pulsar_function_last_invocation",
    "gauge",
    "When the function last ran, milliseconds since the epoch.",
    _FUNCTION,
    "Long ago while events come in: see `functions status`.",
)
FUNCTION_USER_METRIC = Metric(
    "pulsar_function_user_metric",
    "summary",
    "The function's own metrics, as `context.record_metric` gave them.",
    (*_FUNCTION, "metric"),
    "Its meaning is the author's: see the function's README.",
)
FUNCTION_USER_METRIC_LAST = Metric(
    "pulsar_function_user_metric_last",
    "gauge",
    "The latest value of each of the function's own metrics; the one to watch for a model's quality.",
    (*_FUNCTION, "metric"),
    "Its meaning is the author's: see the function's README.",
)

PER_MINUTE_SUFFIX = "_1min"
"""Pulsar's name for a counter's gauge over the running minute."""

FUNCTION_METRICS = (
    FUNCTION_RECEIVED,
    FUNCTION_PROCESSED,
    FUNCTION_USER_EXCEPTIONS,
    FUNCTION_SYSTEM_EXCEPTIONS,
    FUNCTION_LATENCY,
    FUNCTION_LAST_INVOCATION,
    FUNCTION_USER_METRIC,
    FUNCTION_USER_METRIC_LAST,
)
"""What an instance exposes at `/metrics` of its metrics port."""

ALL = QUERY_METRICS + FUNCTION_METRICS
