from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.errors import RolloutError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.rollout.deploy import STEPS, Deployer, Found, Step
from pulsar_pipeline.rollout.worker import FunctionsWorker
from tests.support.clocks import FakeClock
from tests.support.functions_api import FunctionsApi
from tests.unit.rollout.test_functions_config import MANIFEST, tenant

NAME = "machine-risk"
PATH = f"acme/out/{NAME}"


class Topics(FakeCluster):
    """All topics are there but those named."""

    def __init__(self, missing: tuple[str, ...] = ()) -> None:
        super().__init__("west")
        self._missing = missing

    def partitions(self, topic: TopicName) -> int:
        if topic.topic in self._missing:
            return 0
        return 1 if topic.topic.endswith("-logs") else 4


class Stage:
    """A deployer over a worker's API in this process, with a clock that its own sleeping moves."""

    def __init__(self, package: Path, *, missing: tuple[str, ...] = (), **deployment: Any) -> None:
        self.api = FunctionsApi()
        self.api.instances = [{"running": True}, {"running": True}]
        self.clock = FakeClock()
        self.package = package
        self.spec = tenant(**deployment)
        self.missing = missing
        self.seen: list[int] = []
        self.then: dict[int, list[dict[str, Any]]] = {}
        """Look number → what the instances say from then on."""

    def deployer(self, **deployment: Any) -> Deployer:
        spec = tenant(**deployment) if deployment else self.spec
        worker = FunctionsWorker(self.api.http())
        return Deployer(spec, worker, Topics(self.missing), self.clock, lambda s: self.clock.advance(round(s * 1000)))

    def deploy(self, digest: str = "sha256:aa", **deployment: Any) -> Any:
        return self.deployer(**deployment).deploy(NAME, self.package, MANIFEST, digest)

    def wait(self, rollout: Any, timeout_s: float = 60) -> Any:
        return self.deployer().wait(rollout, timeout_s, self._look)

    def _look(self, status: Any) -> None:
        self.seen.append(sum(each.running for each in status.instances))
        self.api.instances = self.then.get(len(self.seen), self.api.instances)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    package = tmp_path / "risk.zip"
    package.write_bytes(b"package")
    return Stage(package)


def test_the_table_has_a_step_for_everything_that_can_be_found() -> None:
    assert set(STEPS) == set(Found)


def test_the_first_deployment_registers(stage: Stage) -> None:
    assert stage.deploy().step is Step.REGISTER
    assert stage.api.packages[PATH] == ("risk.zip", b"package")


def test_the_same_again_changes_nothing(stage: Stage) -> None:
    stage.deploy()
    again = stage.deploy()
    assert again.step is Step.NONE
    assert sum(request.startswith(("POST", "PUT")) for request in stage.api.requests) == 1


def test_the_same_that_is_starting_is_waited_for(stage: Stage) -> None:
    stage.deploy()
    stage.api.instances = [{"running": True}, {"error": "starting"}]
    assert stage.deploy().step is Step.WAIT


def test_the_same_that_failed_is_tried_again(stage: Stage) -> None:
    stage.deploy()
    stage.api.instances = [{"running": True}, {"error": "no such file"}]
    assert stage.deploy().step is Step.RESTART
    assert stage.api.requests[-1] == f"POST {PATH}/restart"


@pytest.mark.parametrize(
    ("digest", "deployment", "changed"),
    [
        ("sha256:bb", {}, {"userConfig"}),
        ("sha256:aa", {"parallelism": 3}, {"parallelism"}),
        ("sha256:aa", {"config": {"seed": 1}}, {"userConfig"}),
    ],
)
def test_another_package_or_config_updates(
    stage: Stage, digest: str, deployment: dict[str, Any], changed: set[str]
) -> None:
    stage.deploy()
    rollout = stage.deploy(digest, **deployment)
    assert rollout.step is Step.UPDATE
    assert rollout.before.differing == changed


def test_another_input_is_refused_with_the_way_out(stage: Stage) -> None:
    stage.deploy()
    with pytest.raises(RolloutError, match="cannot change inputSpecs") as raised:
        stage.deploy(inputs={"readings": "in/readings"})
    assert raised.value.mend == f"pulsar-pipeline functions delete acme/{NAME}, then deploy again"


def test_a_stranger_of_the_same_name_is_not_touched(stage: Stage) -> None:
    stage.api.configs[PATH] = {"className": "Other"}
    with pytest.raises(RolloutError, match="did not deploy"):
        stage.deploy()
    assert stage.api.configs[PATH] == {"className": "Other"}


def test_missing_topics_are_told_together_before_anything_is_uploaded(stage: Stage) -> None:
    stage.missing = ("readings", f"{NAME}-dead-letters")
    with pytest.raises(RolloutError, match=r"readings \(missing\).*dead-letters \(missing\)") as raised:
        stage.deploy()
    assert raised.value.mend == "pulsar-pipeline apply"
    assert stage.api.requests == []


def test_without_its_state_log_nothing_is_deployed(stage: Stage) -> None:
    stage.missing = (f"{NAME}-state",)
    with pytest.raises(RolloutError, match=rf"persistent://acme/_state/{NAME}-state \(missing\)"):
        stage.deploy()
    assert stage.deploy(guarantee="at_least_once").step is Step.REGISTER


def test_waiting_ends_when_all_instances_run(stage: Stage) -> None:
    rollout = stage.deploy()
    stage.api.instances = []
    stage.then = {2: [{"error": "starting"}, {"running": True}], 4: [{"running": True}] * 2}
    assert len(stage.wait(rollout).instances) == 2
    assert stage.seen == [0, 0, 1, 1, 2]


def test_after_an_update_the_old_instances_do_not_count(stage: Stage) -> None:
    stage.deploy()
    rollout = stage.deploy("sha256:bb")
    stage.then = {3: [{"running": False}] * 2, 5: [{"running": True}] * 2}
    stage.wait(rollout)
    assert stage.seen == [2, 2, 2, 0, 0, 2]


def test_after_an_update_fewer_events_show_a_new_process(stage: Stage) -> None:
    stage.deploy()
    stage.api.instances = [{"running": True, "numReceived": 7}] * 2
    rollout = stage.deploy("sha256:bb")
    stage.then = {2: [{"running": True, "numReceived": 0}] * 2}
    stage.wait(rollout)
    assert stage.seen == [2, 2, 2]


def test_a_function_that_cannot_start_is_told_in_its_own_words(stage: Stage) -> None:
    rollout = stage.deploy()
    stage.api.instances = [{"running": True}, {"error": "function.Risk cannot be constructed: ValueError: no model"}]
    with pytest.raises(RolloutError, match=r"instance 1: function\.Risk cannot be constructed: ValueError: no model"):
        stage.wait(rollout)


def test_time_runs_out(stage: Stage) -> None:
    rollout = stage.deploy()
    stage.api.instances = []
    with pytest.raises(RolloutError, match="does not run after 5 s: the worker has not started it yet"):
        stage.wait(rollout, timeout_s=5)


def test_a_function_is_found_where_it_is_even_when_no_longer_declared(stage: Stage) -> None:
    stage.deploy()
    stage.api.configs["acme/in/old"] = {}
    assert stage.deployer().namespace_of(NAME) == "out"
    assert stage.deployer().namespace_of("old") == "in"
    with pytest.raises(RolloutError, match="not deployed in west"):
        stage.deployer().namespace_of("none")
