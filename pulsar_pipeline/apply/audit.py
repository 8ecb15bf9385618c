"""Who applied what, when, and how each step ended: JSON lines, one file per platform, only ever appended to.

    {"event": "apply", "id", "at", "user", "roles": {cluster: role}, "tenants", "plan": digest, "steps": number}
    {"event": "step",  "id", "at", "number", "step": {…}, "outcome": "done" | "failed", "error"}
    {"event": "end",   "id", "at", "done": number, "remaining": number}

An `apply` with no `end` was cut short by something worse than a failing step. No token is ever written.
"""

from __future__ import annotations

import json
import os
import pwd
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt

from pulsar_pipeline.apply.execute import Outcome
from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.errors import PipelineError, PlanError
from pulsar_pipeline.plan.explain import digest, step_document
from pulsar_pipeline.plan.steps import Plan, Step
from pulsar_pipeline.spec.model import Cluster


def audit_file(platform_file: Path) -> Path:
    """Where the applies to a platform are recorded: beside its platform file."""
    return platform_file.resolve().parent / "audit" / "apply.jsonl"


def role_of(cluster: Cluster) -> str | None:
    """The role that the cluster's token names; None without a token, or with one that is not a JWT."""
    if cluster.auth is None:
        return None
    claim = cluster.tokens.role_claim if cluster.tokens else "sub"
    try:
        claims = jwt.decode(read_token(cluster.auth.token_file), options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    role = claims.get(claim)
    return None if role is None else str(role)


class Audit:
    """The record of one apply; a progress listener of `execute`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._id = str(uuid.uuid4())
        self._number = 0

    def start(self, plan: Plan, roles: Mapping[str, str | None]) -> None:
        """Raises PlanError if the record cannot be written: nothing is applied without one."""
        self._write(
            "apply",
            user=_user(),
            roles=dict(roles),
            tenants=list(plan.tenants),
            plan=digest(plan),
            steps=len(plan.steps),
        )

    def step(self, step: Step, error: PipelineError | None) -> None:
        """One step's end."""
        self._number += 1
        outcome = "done" if error is None else "failed"
        told = None if error is None else str(error)
        self._write("step", number=self._number, step=step_document(step), outcome=outcome, error=told)

    def end(self, outcome: Outcome) -> None:
        """The end of the apply."""
        self._write("end", done=len(outcome.done), remaining=len(outcome.remaining))

    def _write(self, event: str, **entries: Any) -> None:
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "id": self._id, "at": at, **entries}) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # one write of one whole line to a file opened for appending: two applies do not mix theirs
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
        except OSError as error:
            raise PlanError(
                f"cannot write the audit record: {error.strerror}",
                where=str(self._path),
                mend="make the folder of the platform file writable",
            ) from error


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
