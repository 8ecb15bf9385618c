"""A plan for people (a few short lines per cluster) and for machines (one JSON document): both tell every step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.text import Text

from pulsar_pipeline.plan.describe import Action, Described, describe
from pulsar_pipeline.plan.steps import Plan, Step

_SIGNS: dict[Action, tuple[str, str]] = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "bold red"),
}


def explain(plan: Plan) -> Iterator[Text]:
    """Lines for a terminal. A step that is the same in several clusters is told once, under all their names."""
    told: dict[str, tuple[Described, list[str]]] = {}
    for step in plan.steps:
        described = describe(step)
        told.setdefault(repr(described), (described, []))[1].append(step.cluster)
    rows = sorted(told.values(), key=lambda row: row[1])
    for clusters, group in groupby(rows, key=lambda row: row[1]):
        yield Text(f"in {', '.join(clusters)}", style="bold")
        for described, _ in group:
            yield from _lines(described)
    for note in plan.notes:
        yield Text(f"note: {note}", style="dim")
    yield Text(summary(plan), style="bold")


def _lines(described: Described) -> Iterator[Text]:
    sign, style = _SIGNS[described.action]
    yield Text.assemble((f"  {sign} ", style), f"{described.kind} {described.object}: {described.text}")
    if described.warning:
        yield Text(f"      ! {described.warning}", style=style)


def summary(plan: Plan) -> str:
    """One line: how many steps of each kind."""
    if not plan.steps:
        return "Nothing to do: the clusters are as declared."
    count = counts(plan)
    clusters = len({step.cluster for step in plan.steps})
    changes = f"{count['create']} to create, {count['update']} to update, {count['delete']} to delete"
    return f"Plan: {changes}, in {clusters} cluster{'s' if clusters > 1 else ''}."


def counts(plan: Plan) -> dict[Action, int]:
    """Action → number of steps."""
    actions = [describe(step).action for step in plan.steps]
    return {action: actions.count(action) for action in _SIGNS}


def step_document(step: Step) -> dict[str, Any]:
    """One step as JSON-able values."""
    described = describe(step)
    return {
        "cluster": step.cluster,
        "action": described.action,
        "kind": described.kind,
        "object": described.object,
        "before": described.before,
        "after": described.after,
        "warning": described.warning,
    }


def plan_document(plan: Plan) -> dict[str, Any]:
    """`{digest, tenants, changes, counts, steps: [{cluster, action, kind, object, before, after, warning}], notes}`."""
    return {
        "digest": digest(plan),
        "tenants": list(plan.tenants),
        "changes": bool(plan.steps),
        "counts": counts(plan),
        "steps": [step_document(step) for step in plan.steps],
        "notes": list(plan.notes),
    }


def digest(plan: Plan) -> str:
    """`sha256:…` of the steps, so that a record can say which plan was applied."""
    steps = json.dumps([step_document(step) for step in plan.steps], sort_keys=True)
    return f"sha256:{hashlib.sha256(steps.encode()).hexdigest()}"
