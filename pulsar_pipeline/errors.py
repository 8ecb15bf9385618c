"""Every error the product raises on purpose, with its exit code and HTTP status.

    PipelineError                      exit 1   500
    ├── SpecError                      exit 1   400   a YAML file says something it may not (file, line, key)
    ├── SchemaError                    exit 1   400   an Avro schema is missing, wrong or incompatible
    ├── DataError                      exit 1   400   an event cannot be encoded, decoded or sent
    ├── ClusterError                   exit 1   502   a Pulsar cluster answered with a failure
    │   ├── ClusterUnreachable         exit 1   503   no answer from a cluster
    │   ├── ClusterRefused             exit 1   403   the token is missing, wrong or not enough
    │   ├── ClusterNotFound            exit 1   404   the cluster has no such thing
    │   └── ClusterConflict            exit 1   409   the thing is there already, or is in the way
    ├── PlanError                      exit 1   409   the plan cannot be made or applied as asked
    ├── PackageError                   exit 1   400   a function cannot be packaged, or a package is damaged
    ├── RolloutError                   exit 1   409   a deployment cannot take the step asked for
    ├── StateLogError                  exit 1   500   a state log cannot be read, believed or written
    ├── InstanceError                  exit 1   500   a runtime instance cannot start or go on
    ├── TransientError                 exit 1   503   a function cannot take an event now, and may be asked again
    ├── LocalError                     exit 1   500   the local clusters cannot be started or stopped
    ├── TokenError                     exit 1   401   a token cannot be made, read or believed
    └── QueryError                     exit 1   400   a query cannot be answered
        ├── Unauthenticated            exit 1   401   no token, or one that is not believed
        ├── NotFound                   exit 1   404   no such tenant, model or entity (for this role)
        └── ViewUnavailable            exit 1   503   the view is not there yet

Exit codes of the command line: 0 done, 1 an error, 2 changes are pending (`plan` only), 3 done in part (`events send`
left invalid rows out, `query` found some of the entities, `dead-letters replay` left letters), 64 wrong
usage, 70 a bug in this product, 130 interrupted.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the command line answers to its caller."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    PARTIAL = 3
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130


class PipelineError(Exception):
    """An expected failure: what happened, where, and how to mend it.

    `slug` names the kind for machines (`--json` errors and RFC 9457 problem types).
    """

    slug = "error"
    http_status = 500
    exit_code = ExitCode.ERROR

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.mend})" if self.mend else text


class SpecError(PipelineError):
    """A YAML file says something it may not."""

    slug = "spec"
    http_status = 400

    problems: tuple[SpecError, ...] = ()
    """Every mistake, where one error tells of several; empty for a single one."""

    def __init__(
        self,
        what: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        key: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.file, self.line, self.key = file, line, key
        place = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(what, where=" ".join(part for part in (place, key) if part) or None, mend=mend)


class SchemaError(PipelineError):
    slug = "schema"
    http_status = 400


class DataError(PipelineError):
    slug = "data"
    http_status = 400


class ClusterError(PipelineError):
    """A cluster answered with a failure; `where` is the cluster's name."""

    slug = "cluster"
    http_status = 502


class ClusterUnreachable(ClusterError):
    slug = "cluster-unreachable"
    http_status = 503


class ClusterRefused(ClusterError):
    slug = "cluster-refused"
    http_status = 403


class ClusterNotFound(ClusterError):
    slug = "cluster-not-found"
    http_status = 404


class ClusterConflict(ClusterError):
    slug = "cluster-conflict"
    http_status = 409


class PlanError(PipelineError):
    slug = "plan"
    http_status = 409


class PackageError(PipelineError):
    slug = "package"
    http_status = 400


class RolloutError(PipelineError):
    slug = "rollout"
    http_status = 409


class StateLogError(PipelineError):
    slug = "state-log"


class InstanceError(PipelineError):
    slug = "instance"


class TransientError(PipelineError):
    """Raised by a function that waits on something which is away for a moment: the event is tried again, with longer
    and longer pauses, before it becomes a dead letter."""

    slug = "transient"
    http_status = 503


class LocalError(PipelineError):
    slug = "local"


class TokenError(PipelineError):
    slug = "token"
    http_status = 401


class QueryError(PipelineError):
    slug = "query"
    http_status = 400


class Unauthenticated(QueryError):
    slug = "unauthenticated"
    http_status = 401


class NotFound(QueryError):
    slug = "not-found"
    http_status = 404


class ViewUnavailable(QueryError):
    slug = "view-unavailable"
    http_status = 503
