"""Random histories of faults: events flow, instances are killed, paused, doubled and cut off, topics move.

A history is drawn from its seed; how it ends depends on the machine's timing too, so the same seed throws the same
faults at the same times but need not meet the same moment again.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY, InstanceConfig
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.model import Platform, Tenant
from pulsar_pipeline.statelog.records import Position
from tests.support.checker import Checker, Verified
from tests.support.deployed import FUNCTIONS
from tests.support.instances import Instance, Launcher, ended
from tests.support.proxy import Proxy
from tests.support.unload import unload

PARTITIONS = 2
FUNCTION = FUNCTIONS / "ledger"
SETTLE_TIMEOUT_S = 60.0
ACCOUNTS = 40
EVENT_TIMEOUT_S = 4
"""Shorter than pauses may be."""


def ledger_tenant(name: str, histories: list[str]) -> Tenant:
    """A tenant with a deployment of the ledger for each history, each with topics of its own."""
    schemas = FUNCTION / "schemas"
    topics: dict[str, Any] = {}
    deployments: dict[str, Any] = {}
    for each in histories:
        for kind, schema in (("deposits", "deposit"), ("rules", "rule"), ("balances", "balance")):
            topics[f"ledger/{each}-{kind}"] = {
                "partitions": PARTITIONS,
                "schema": str(schemas / f"{schema}.v1.avsc"),
                "key": "account",
            }
        deployments[each] = {
            "function": "ledger",
            "namespace": "ledger",
            "inputs": {"deposits": f"ledger/{each}-deposits", "rules": f"ledger/{each}-rules"},
            "output": f"ledger/{each}-balances",
            "event_timeout": EVENT_TIMEOUT_S,
        }
    return Tenant.model_validate(
        {
            "tenant": name,
            "clusters": ["west"],
            "home": "west",
            "namespaces": {
                "ledger": {
                    "retention": {"time": "1h", "size": "1GB"},
                    "deduplication": True,
                    "schema": {"compatibility": "full_transitive", "enforce": True},
                }
            },
            "topics": topics,
            "deployments": deployments,
        }
    )


class Feeder:
    """Sends events into every partition of both inputs, in a thread, at a rate in all."""

    def __init__(self, client: pulsar.Client, config: InstanceConfig, rng: random.Random, per_s: float) -> None:
        self._rng, self._pause = rng, 0.01
        self._each = max(1, round(per_s * self._pause))
        self._producers = {
            (name, number): _producer(client, binding.topic, number, name)
            for name, binding in config.inputs.items()
            for number in range(binding.partitions)
        }
        self._encoders = {name: Encoder(_schema(name)) for name in config.inputs}
        self.ends: dict[tuple[str, int], Position] = {}
        """The last event of each input's partition; complete after `finish`."""
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def burst(self, count: int) -> None:
        """So many at once, as fast as they can be sent. Not while events flow."""
        for _ in range(count):
            self._send()
        for producer in self._producers.values():
            producer.flush()

    def halt(self) -> None:
        """No more events; what was sent may still be on its way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Stop, and wait until all is stored."""
        self.halt()
        for (name, number), producer in self._producers.items():
            identity = producer.send(self._event(name), partition_key="last")
            self.ends[name, number] = Position(identity.ledger_id(), identity.entry_id(), identity.batch_index())
            producer.close()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            for _ in range(self._each):
                self._send()

    def _send(self) -> None:
        name = "rules" if self._rng.random() < 0.1 else "deposits"
        producer = self._producers[name, self._rng.randrange(PARTITIONS)]
        producer.send_async(self._event(name), None, partition_key=str(self.sent))

    def _event(self, name: str) -> bytes:
        self.sent += 1
        return self._encoders[name]({"account": f"a{self._rng.randrange(ACCOUNTS)}", "n": self.sent})


def _schema(name: str) -> Any:
    return load_schema(FUNCTION / "schemas" / f"{name.removesuffix('s')}.v1.avsc")


def _producer(client: pulsar.Client, topic: str, number: int, name: str) -> Any:
    return client.create_producer(
        parse_topic(topic)[0].partition(number),
        schema=wire_schema(_schema(name)),
        initial_sequence_id=1,
        batching_enabled=True,
        batching_max_publish_delay_ms=5,
        block_if_queue_full=True,
        send_timeout_millis=0,
    )


@dataclass
class Report:
    """What happened in a history."""

    seed: int
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    """Exit code → how many; -9 are our kills."""
    late: list[float] = field(default_factory=list)
    """Seconds from being resumed to the end, of instances that had been replaced meanwhile."""
    seconds: float = 0.0
    verified: list[Verified] = field(default_factory=list)

    def __str__(self) -> str:
        verdicts = sum((each.verdicts for each in self.verified), Counter())
        fed = sum((each.fed for each in self.verified), Counter())
        late = f", replaced ones ended after {', '.join(f'{s:.1f}' for s in sorted(self.late))} s" if self.late else ""
        return (
            f"seed {self.seed}: {self.events} events in {self.seconds:.1f} s; {dict(self.faults)}; exits"
            f" {dict(self.exits)}{late}; outputs { {v.value: n for v, n in verdicts.items()} },"
            f" log { {f.value: n for f, n in fed.items()} }"
        )


@dataclass(frozen=True)
class Ground:
    """What a history takes place on: an applied tenant and its cluster."""

    platform: Platform
    tenant: Tenant
    package: BuiltPackage
    function_tokens: Path
    folder: Path

    @property
    def cluster(self) -> Any:
        return self.platform.clusters[self.tenant.home]

    def config(self, deployment: str) -> InstanceConfig:
        whole = function_config(self.tenant, deployment, self.package.manifest, self.package.digest)
        return InstanceConfig.model_validate(whole["userConfig"][USER_CONFIG_KEY])

    def launcher(self, deployment: str, **options: Any) -> Launcher:
        return Launcher(
            self.tenant, deployment, self.package, self.function_tokens, self.folder / deployment, **options
        )

    @contextmanager
    def checker(self, deployment: str) -> Iterator[tuple[pulsar.Client, Checker]]:
        client = open_client(self.cluster)
        key = load_state_key(state_key_file(self.function_tokens, self.tenant.tenant))
        checker = Checker(client, self.config(deployment), key, FUNCTION)
        try:
            yield client, checker
        finally:
            checker.close()
            client.close()


class Team:
    """As many processes for each instance id as wanted, started anew when they end."""

    def __init__(self, launcher: Launcher, proxies: list[Proxy], report: Report) -> None:
        """The n-th process of an instance id connects through the n-th proxy."""
        self._launcher, self._proxies, self._report = launcher, proxies, report
        self.parallelism = 1
        self.all: list[Instance] = []
        self.members: dict[tuple[int, int], Instance] = {}
        """(instance id, which of the doubled) → process."""
        self.paused: dict[tuple[int, int], float] = {}
        """Until when."""
        self._replaced: dict[int, float] = {}
        """Pid → when it was resumed."""

    def fill(self) -> None:
        """Start what is missing."""
        for slot in itertools.product(range(self.parallelism), range(len(self._proxies))):
            if slot not in self.members:
                self.members[slot] = self._start(*slot)

    def _start(self, instance_id: int, which: int) -> Instance:
        instance = self._launcher.start(instance_id, self.parallelism, self._proxies[which].url)
        self.all.append(instance)
        return instance

    def look(self) -> None:
        """Start anew what has ended, resume what has been paused for long enough."""
        now = time.monotonic()
        for slot, instance in list(self.members.items()):
            if instance.code is not None:
                self._note_end(instance, now)
                self.paused.pop(slot, None)
                del self.members[slot]
        self.fill()
        for slot, until in list(self.paused.items()):
            if now >= until:
                self.resume(slot)

    def pause(self, slot: tuple[int, int], seconds: float) -> None:
        self.members[slot].pause()
        self.paused[slot] = time.monotonic() + seconds

    def resume(self, slot: tuple[int, int]) -> None:
        self.paused.pop(slot)
        self.members[slot].resume()

    def change(self, parallelism: int) -> None:
        """As a deploy does: the old ones are told to stop, the new ones come at once."""
        self.resume_all()
        for instance in self.members.values():
            instance.stop()
        self.parallelism = parallelism

    def resume_all(self) -> None:
        for slot in list(self.paused):
            self.resume(slot)

    def expect_end(self, pid: int) -> None:
        """It was resumed just now, and has been replaced meanwhile."""
        self._replaced[pid] = time.monotonic()

    def stop(self) -> None:
        self.resume_all()
        for instance in self.members.values():
            instance.stop()
        for instance in self.members.values():
            code = instance.wait_ended()
            self._report.exits[code] += 1

    def _note_end(self, instance: Instance, now: float) -> None:
        self._report.exits[instance.code or 0] += 1
        if instance.pid in self._replaced:
            self._report.late.append(now - self._replaced.pop(instance.pid))


@dataclass(frozen=True)
class Plan:
    """What a history is like."""

    seconds: float = 6.0
    """How long events flow and faults are thrown."""
    events_per_s: float = 1500.0
    between_s: tuple[float, float] = (0.3, 1.5)
    pauses_s: tuple[float, ...] = (0.3, 1.0, 2.0, 6.0)
    cuts_s: tuple[float, ...] = (0.2, 1.0, 3.0)
    faults: tuple[str, ...] = ("kill", "kill", "pause", "pause", "unload", "drop", "cut", "stop")
    doubled: int = 2


class History:
    """One history of a deployment, drawn from `seed`."""

    def __init__(self, ground: Ground, deployment: str, seed: int, plan: Plan, **launcher: Any) -> None:
        self._ground, self._deployment, self._plan = ground, deployment, plan
        self._rng = random.Random(seed)
        self._launcher = ground.launcher(deployment, **launcher)
        self._config = ground.config(deployment)
        self.report = Report(seed)
        self._later: list[tuple[float, Callable[[], None]]] = []

    def run(self) -> Report:
        """Raises Wrong, with the seed, where the promise was broken."""
        started = time.monotonic()
        with ExitStack() as stack:
            client, checker = stack.enter_context(self._ground.checker(self._deployment))
            self._proxies = [Proxy(self._ground.cluster.broker_url) for _ in range(self._plan.doubled)]
            for proxy in self._proxies:
                stack.callback(proxy.close)
            self._http = stack.enter_context(AdminHttp(self._ground.tenant.home, self._ground.cluster))
            self._team = team = Team(self._launcher, self._proxies, self.report)
            stack.enter_context(ended(team.all))
            self._checker = checker
            team.fill()
            feeder = Feeder(client, self._config, random.Random(self.report.seed), self._plan.events_per_s)
            feeder.start()
            self._throw()
            feeder.finish()
            self.report.events = feeder.sent
            self._heal()
            self._settle(feeder.ends)
            team.stop()
            self.report.verified = checker.verify()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _throw(self) -> None:
        start = time.monotonic()
        due = start + self._rng.uniform(0.5, 1.5)
        while time.monotonic() < start + self._plan.seconds:
            self._look()
            if time.monotonic() >= due:
                fault = self._rng.choice(self._plan.faults)
                getattr(self, f"_{fault}")()
                self.report.faults[fault] += 1
                due = time.monotonic() + self._rng.uniform(*self._plan.between_s)
            time.sleep(0.02)

    def _look(self) -> None:
        owners = {log.owner_pid for log in self._checker.logs}
        paused = {self._team.members[slot].pid for slot in self._team.paused}
        self._was_owner = {pid for pid in getattr(self, "_was_owner", set()) | owners if pid in paused | owners}
        self._checker.look()
        self._team.look()
        owners = {log.owner_pid for log in self._checker.logs}
        resumed = paused - {self._team.members[slot].pid for slot in self._team.paused if slot in self._team.members}
        for pid in resumed & self._was_owner - owners:
            self._team.expect_end(pid)
        for when, what in list(self._later):
            if time.monotonic() >= when:
                self._later.remove((when, what))
                what()

    def _settle(self, ends: dict[tuple[str, int], Position]) -> None:
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            try:
                self._look()
                self._checker.wait_done(ends, 0.1)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _heal(self) -> None:
        self._team.resume_all()
        for proxy in self._proxies:
            proxy.mend()
        self._later.clear()

    def _slot(self) -> tuple[int, int]:
        return self._rng.choice(sorted(self._team.members))

    # ── faults ──────────────────────────────────────────────────────────────────────────────────

    def _kill(self) -> None:
        self._team.members[self._slot()].kill()

    def _pause(self) -> None:
        slot, seconds = self._slot(), self._rng.choice(self._plan.pauses_s)
        if slot not in self._team.paused:
            self._team.pause(slot, seconds)

    def _stop(self) -> None:
        slot = self._slot()
        if slot not in self._team.paused:
            self._team.members[slot].stop()

    def _drop(self) -> None:
        self._rng.choice(self._proxies).drop()

    def _cut(self) -> None:
        proxy = self._rng.choice(self._proxies)
        proxy.cut()
        self._later.append((time.monotonic() + self._rng.choice(self._plan.cuts_s), proxy.mend))

    def _unload(self) -> None:
        config = self._config
        topics = [*(binding.topic for binding in config.inputs.values()), config.output.topic, config.state_topic]  # type: ignore[union-attr]
        topic, _ = parse_topic(str(self._rng.choice(topics)))
        unload(self._http, [topic.partition(self._rng.randrange(PARTITIONS))])

    def _change(self) -> None:
        self._team.change(3 - self._team.parallelism)


def seed_of(number: int) -> int:
    """Of the n-th history; `PULSAR_PIPELINE_SEED` stands in for the first one's."""
    given = os.environ.get("PULSAR_PIPELINE_SEED")
    return int(given) + number if given else random.SystemRandom().randrange(10**9)
