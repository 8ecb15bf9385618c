"""What a deployment tells its runtime instances: the reserved `pulsar_pipeline` entry of the function's user config.

Written by rollout at deploy time, read by runtime at start. Everything an instance needs to know beyond what the
functions worker passes, so that an instance asks no other service.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pulsar_pipeline.spec.model import Guarantee, OnError, Retry

USER_CONFIG_KEY = "pulsar_pipeline"


class TopicBinding(BaseModel):
    """A partitioned topic."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    topic: str
    """`persistent://tenant/namespace/topic`."""
    partitions: int
    stamped: bool = False
    """Written by an exactly-once deployment: its messages carry stamps, and not all of them count."""


class InstanceConfig(BaseModel):
    """One deployment, as its instances see it. Unknown keys are ignored: an older instance reads a newer config."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    deployment: str
    """Name within the tenant; also the Pulsar function's name."""
    digest: str
    """Content digest of the package, `sha256:…`."""
    inputs: dict[str, TopicBinding]
    """The function's input name → topic."""
    output: TopicBinding | None
    late: TopicBinding | None = None
    """Where events go that are late for the function's windows."""
    dead_letter_topic: str
    subscription: str
    guarantee: Guarantee
    event_timeout_s: float
    retry: Retry = Retry()
    on_error: OnError = "dead_letter"
    concurrency: int = 100
    log_topic: str | None = None
    """`persistent://tenant/namespace/NAME-logs`, with one partition; None for logs in files alone."""
    state_topic: str | None = None
    """`persistent://tenant/_state/NAME-state`, with as many partitions as the inputs; None unless exactly-once."""
    epoch: int = 1
    """Grows with each change of the home cluster; from 1."""
