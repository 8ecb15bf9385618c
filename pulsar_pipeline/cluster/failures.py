"""Exceptions of the Pulsar client library → errors of this product, which name the cluster and the mend."""

from __future__ import annotations

import pulsar

from pulsar_pipeline.errors import ClusterConflict, ClusterError, ClusterNotFound, ClusterRefused, ClusterUnreachable

_KINDS: tuple[tuple[tuple[type[Exception], ...], type[ClusterError], str | None], ...] = (
    (
        (pulsar.AuthorizationError, pulsar.AuthenticationError, pulsar.ErrorGettingAuthenticationData),
        ClusterRefused,
        "use a token whose role is allowed to do this",
    ),
    (
        (pulsar.ConnectError, pulsar.NotConnected, pulsar.Timeout, pulsar.LookupError, pulsar.ServiceUnitNotReady),
        ClusterUnreachable,
        "is the cluster up, and is this its broker_url?",
    ),
    ((pulsar.TopicNotFound,), ClusterNotFound, "is the tenant's spec applied? (pulsar-pipeline apply)"),
    (
        (pulsar.IncompatibleSchema,),
        ClusterConflict,
        "the topic has another schema: pulsar-pipeline plan tells which",
    ),
    (
        (pulsar.ProducerBlockedQuotaExceededError, pulsar.ProducerBlockedQuotaExceededException),
        ClusterError,
        "the namespace's backlog quota is used up: consume, or raise it in the tenant's spec",
    ),
)


def client_failure(error: Exception, *, where: str, doing: str) -> ClusterError:
    """What to raise for a `pulsar.PulsarException`; `doing` says what was tried ("cannot send to …")."""
    what = f"{doing}: {type(error).__name__}"
    for kinds, failure, mend in _KINDS:
        if isinstance(error, kinds):
            return failure(what, where=where, mend=mend)
    return ClusterError(f"{what}: {error}", where=where)
