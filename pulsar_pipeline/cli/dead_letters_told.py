"""How `functions dead-letters` prints: a line a letter, one letter whole, and what came of a replay."""

from __future__ import annotations

import json
import sys
from typing import Any

from pulsar_pipeline.cli.output import err, out, print_json
from pulsar_pipeline.letters.choice import Survey
from pulsar_pipeline.letters.letter import Letter
from pulsar_pipeline.letters.settle import Settled
from pulsar_pipeline.letters.tell import hex_lines, summary
from pulsar_pipeline.names import DeploymentName

_LONGEST_ERROR = 200


def counted(found: Survey) -> str:
    if not found.events:
        return "no dead letters wait"
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.reasons.items()))
    return f"{found.events} dead letter{'s' if found.events > 1 else ''} ({reasons})"


def print_line(letter: Letter, *, as_json: bool) -> None:
    told = summary(letter)
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    error = " ".join(letter.error.split())
    error = error if len(error) <= _LONGEST_ERROR else f"{error[:_LONGEST_ERROR]}…"
    key = f" key {letter.key}" if letter.key else ""
    topic = told["topic"].removeprefix("persistent://")
    text = f"{letter.position} {told['set_aside_at']} {letter.reason or 'unknown'} from {topic}{key}: {error}"
    out.print(text, markup=False, soft_wrap=True)


def print_letter(told: dict[str, Any], letter: Letter) -> None:
    lines = [
        ("position", told["position"]),
        ("reason", told["reason"] or "unknown"),
        ("error", told["error"]),
        ("set aside", f"{told['set_aside_at']} by {told['function']}"),
        ("from", f"{letter.source_topic} at {told['source_position']}"),
        ("schema version", told["schema_version"]),
        ("key", told["key"]),
        ("event time", told["event_time"]),
        *((f"property {name}", value) for name, value in sorted(told["properties"].items())),
        ("mend", told["mend"]),
    ]
    for name, value in lines:
        if value is not None:
            out.print(f"{name}: {value}", markup=False, soft_wrap=True)
    if told["unread"] is None:
        out.print(f"event: {json.dumps(told['event'], indent=2)}", markup=False, soft_wrap=True)
        return
    out.print(f"the bytes, which cannot be read ({told['unread']}):", markup=False, soft_wrap=True)
    for line in hex_lines(letter.payload):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def tell(deployment: DeploymentName, cluster: str, settled: Settled, *, as_json: bool) -> None:
    refused = [{"what": what, "mend": mend, "letters": count} for (what, mend), count in settled.refused.items()]
    counts = {
        "replayed": settled.replayed,
        "sent_before": settled.sent_before,
        "doubles": settled.doubles,
        "dismissed": settled.dismissed,
    }
    if as_json:
        print_json({"deployment": str(deployment), "cluster": cluster, **counts, "refused": refused})
        return
    notes = {
        "replayed": "replayed",
        "sent_before": "had been sent by a replay that was interrupted",
        "doubles": "were second letters of the same event",
        "dismissed": "dismissed",
    }
    said = [f"{counts[name]} {text}" for name, text in notes.items() if counts[name]]
    out.print(f"{deployment}: {', '.join(said) or 'nothing to do'}", markup=False, soft_wrap=True)
    for each in refused:
        err.print(f"{each['letters']} stay: {each['what']}", markup=False, soft_wrap=True)
        if each["mend"]:
            err.print(f"  mend: {each['mend']}", markup=False, soft_wrap=True)
