"""Bringing a deployment to the state its spec asks for: a state table from what is found to the step to take.

found on the worker                         step
nothing                                     register
the same package and config, running        none
the same, starting                          wait
the same, failed                            restart
another package or config                   update
another input, subscription, … (for life)   refuse: delete it first
a function this product did not deploy      refuse: delete it first
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.protocol import ClusterReader
from pulsar_pipeline.errors import ClusterNotFound, RolloutError
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.rollout.functions_config import (
    ALTERABLE,
    FunctionConfig,
    differences,
    digest_of,
    function_config,
    topics_of,
)
from pulsar_pipeline.rollout.status import FunctionStatus, Health, health
from pulsar_pipeline.rollout.worker import FunctionsWorker
from pulsar_pipeline.spec.model import Tenant

POLL_S = 0.25
_REPLACED_WITHIN_S = 15.0
"""After an update the worker soon stops the old instances. Longer than this is taken for having missed it."""


class Found(Enum):
    """What the worker has under a deployment's name."""

    NOTHING = "nothing"
    SAME_RUNNING = "the same, running"
    SAME_STARTING = "the same, starting"
    SAME_FAILED = "the same, failed"
    CHANGED = "another package or config"
    BOUND = "what an update may not change"
    FOREIGN = "a function of another origin"


class Step(Enum):
    """What to do about it."""

    REGISTER = "registered"
    UPDATE = "updated"
    RESTART = "restarted"
    WAIT = "starting already"
    NONE = "unchanged"
    REFUSE = "refused"


STEPS: dict[Found, Step] = {
    Found.NOTHING: Step.REGISTER,
    Found.SAME_RUNNING: Step.NONE,
    Found.SAME_STARTING: Step.WAIT,
    Found.SAME_FAILED: Step.RESTART,
    Found.CHANGED: Step.UPDATE,
    Found.BOUND: Step.REFUSE,
    Found.FOREIGN: Step.REFUSE,
}


@dataclass(frozen=True)
class Observation:
    """What was found, and in which keys of the FunctionConfig it is otherwise."""

    found: Found
    differing: frozenset[str] = frozenset()
    received: int = 0
    """Events its instances have counted; a new process starts at 0."""


@dataclass(frozen=True)
class Rollout:
    """A step that was taken."""

    config: FunctionConfig
    step: Step
    before: Observation = field(default_factory=lambda: Observation(Found.NOTHING))


class Deployer:
    """Deployments of one tenant on its home cluster's functions worker."""

    def __init__(
        self,
        tenant: Tenant,
        worker: FunctionsWorker,
        cluster: ClusterReader,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tenant, self._worker, self._cluster = tenant, worker, cluster
        self._clock, self._sleep = clock, sleep

    def deploy(self, name: str, package: Path, manifest: Manifest, digest: str) -> Rollout:
        """Take the step the table says; instances start later (see `wait`). Raises RolloutError, ClusterError."""
        config = function_config(self._tenant, name, manifest, digest)
        self.check_topics(name)
        before = self.observe(config)
        step = STEPS[before.found]
        where = config["tenant"], config["namespace"], config["name"]
        match step:
            case Step.REGISTER:
                self._worker.register(config, package)
            case Step.UPDATE:
                self._worker.update(config, package)
            case Step.RESTART:
                self._worker.restart(*where)
            case Step.REFUSE:
                raise _refusal(self._tenant.tenant, name, before)
            case Step.NONE | Step.WAIT:
                pass
        return Rollout(config, step, before)

    def observe(self, wanted: FunctionConfig) -> Observation:
        """What the worker has under the name of `wanted`. Changes nothing."""
        where = wanted["tenant"], wanted["namespace"], wanted["name"]
        found = self._worker.config(*where)
        if found is None:
            return Observation(Found.NOTHING)
        differing = differences(wanted, found)
        if digest_of(found) is None:
            return Observation(Found.FOREIGN, differing)
        if differing - ALTERABLE:
            return Observation(Found.BOUND, differing)
        status = self._worker.status(*where)
        received = sum(each.received for each in status.instances)
        if differing:
            return Observation(Found.CHANGED, differing, received)
        return Observation(_SAME[health(status, wanted["parallelism"])], differing, received)

    def wait(self, rollout: Rollout, timeout_s: float, on_status: Callable[[FunctionStatus], None]) -> FunctionStatus:
        """Until every instance runs; `on_status` hears of each look. Raises RolloutError with an instance's own words
        when one cannot start, or when time is up."""
        config = rollout.config
        start = self._clock.monotonic()
        replaced = rollout.step not in (Step.UPDATE, Step.RESTART)
        while True:
            status = self._status(config)
            on_status(status)
            waited = self._clock.monotonic() - start
            replaced = replaced or _is_replaced(status, rollout.before) or waited > _REPLACED_WITHIN_S
            state = health(status, config["parallelism"])
            if replaced and state is Health.RUNNING:
                return status
            if replaced and state is Health.FAILED:
                raise self._failed(config, status, "does not start")
            if waited > timeout_s:
                raise self._failed(config, status, f"does not run after {timeout_s:g} s")
            self._sleep(POLL_S)

    def namespace_of(self, name: str) -> str:
        """Where a function of the tenant is: as declared, or, for one no longer declared, where it is found.

        Raises RolloutError if it is nowhere.
        """
        declared = self._tenant.deployments.get(name)
        candidates = [declared.namespace] if declared else list(self._tenant.namespaces)
        for namespace in candidates:
            if name in self._worker.functions(self._tenant.tenant, namespace):
                return namespace
        raise RolloutError(
            f"it is not deployed in {self._worker.cluster}, the home of {self._tenant.tenant}",
            where=f"{self._tenant.tenant}/{name}",
            mend=f"pulsar-pipeline functions deploy {self._tenant.tenant}/{name}" if declared else None,
        )

    def check_topics(self, name: str) -> None:
        """Raises RolloutError when the cluster lacks a topic of a deployment."""
        wrong = [
            f"{topic} ({f'{there} partitions, not {partitions}' if there else 'missing'})"
            for topic, partitions in topics_of(self._tenant, name).items()
            if (there := self._cluster.partitions(topic)) != partitions
        ]
        if wrong:
            raise RolloutError(
                f"{self._cluster.name} lacks topics as declared: {', '.join(wrong)}",
                where=f"{self._tenant.tenant}/{name}",
                mend="pulsar-pipeline apply",
            )

    def _status(self, config: FunctionConfig) -> FunctionStatus:
        try:
            return self._worker.status(config["tenant"], config["namespace"], config["name"])
        except ClusterNotFound:
            return FunctionStatus(())  # registered, and not scheduled yet

    def _failed(self, config: FunctionConfig, status: FunctionStatus, what: str) -> RolloutError:
        said = {f"instance {each.instance}: {each.error}" for each in status.instances if each.error}
        reasons = "; ".join(sorted(said)) or "the worker has not started it yet"
        name = f"{config['tenant']}/{config['name']}"
        return RolloutError(
            f"{what}: {reasons}",
            where=name,
            mend=f"mend it and deploy again; pulsar-pipeline functions logs {name}",
        )


_SAME = {
    Health.RUNNING: Found.SAME_RUNNING,
    Health.STARTING: Found.SAME_STARTING,
    Health.FAILED: Found.SAME_FAILED,
}


def _is_replaced(status: FunctionStatus, before: Observation) -> bool:
    """The old processes are gone: a status has no version, but a new process starts out not running, from 0."""
    fewer = sum(each.received for each in status.instances) < before.received
    return fewer or not all(each.running for each in status.instances)


def _refusal(tenant: str, name: str, before: Observation) -> RolloutError:
    what = (
        "a function of that name is there that this product did not deploy"
        if before.found is Found.FOREIGN
        else f"the worker cannot change {', '.join(sorted(before.differing - ALTERABLE))} of a function"
    )
    return RolloutError(
        what, where=f"{tenant}/{name}", mend=f"pulsar-pipeline functions delete {tenant}/{name}, then deploy again"
    )
