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
from concurrent.futures import Future, ThreadPoolExecutor
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
from tests.support.checker import Checker, Verified, Wrong
from tests.support.clusters import Restartable
from tests.support.deployed import FUNCTIONS
from tests.support.instances import Instance, Launcher, ended
from tests.support.proxy import Proxy
from tests.support.stalls import Stalls
from tests.support.unload import unload

PARTITIONS = 2
FUNCTION = FUNCTIONS / "ledger"
SETTLE_TIMEOUT_S = 120.0
ACCOUNTS = 40
EVENT_TIMEOUT_S = 4
"""Shorter than pauses may be."""

ENDS_WITHIN_S = 1.0
"""After it is resumed, a replaced instance has ended."""
STALLS = 20
"""So many turns it may have to wait for on a busy machine until then."""


RESTART_TIMEOUT_S = 180.0

DISTURBING = ("unload", "drop", "cut", "broker_killed", "broker_restarted")
"""Faults that keep an instance from finding out that it was replaced, for a moment."""


UNREADABLE = 211
"""One event in so many cannot be decoded."""

KINDS = {"deposits": "deposit", "rules": "rule", "balances": "balance", "audit": "rule"}
"""Topics of a deployment, with their schemas."""


def ledger_tenant(name: str, histories: list[str]) -> Tenant:
    """A tenant with a deployment of the ledger for each history, each with topics of its own."""
    schemas = FUNCTION / "schemas"
    topics: dict[str, Any] = {}
    deployments: dict[str, Any] = {}
    for each in histories:
        for kind, schema in KINDS.items():
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
            "retry": {"attempts": 2},
            "config": {"audit": f"persistent://{name}/ledger/{each}-audit"},
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
                    "schema": {"compatibility": "full_transitive", "enforce": False},  # `audit` holds text
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
        event = self._event(name)
        payload = event[:-1] if self.sent % UNREADABLE == 0 else event
        producer.send_async(payload, None, partition_key=str(self.sent))

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


@dataclass(frozen=True)
class Late:
    """How long an instance went on after it was resumed, replaced; and the longest stall of this machine meanwhile."""

    seconds: float
    stall: float
    disturbed: bool
    """It could not reach the broker, or was cut off from it once more, before it ended."""

    @property
    def too_late(self) -> bool:
        return not self.disturbed and self.seconds > ENDS_WITHIN_S + STALLS * self.stall

    def __str__(self) -> str:
        return f"{self.seconds:.2f} ({'disturbed' if self.disturbed else f'stalls to {self.stall:.2f}'})"


@dataclass
class Report:
    """What happened in a history."""

    seed: int
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    """Exit code → how many; -9 are our kills."""
    late: list[Late] = field(default_factory=list)
    """Of instances that were resumed after they had been replaced."""
    seconds: float = 0.0
    verified: list[Verified] = field(default_factory=list)

    def __str__(self) -> str:
        verdicts = sum((each.verdicts for each in self.verified), Counter())
        fed = sum((each.fed for each in self.verified), Counter())
        late = f", replaced ones ended after {', '.join(map(str, self.late))} s" if self.late else ""
        return (
            f"seed {self.seed}: {self.events} events in {self.seconds:.1f} s; {dict(self.faults)}; exits"
            f" {dict(self.exits)}{late}; outputs { {v.value: n for v, n in verdicts.items()} },"
            f" published {sum(each.told for each in self.verified)},"
            f" failed {sum(each.failed for each in self.verified)},"
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
    broker: Restartable | None = None
    """The cluster, where a history may end its broker."""

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
        audit = self.tenant.deployments[deployment].config["audit"]
        checker = Checker(client, self.config(deployment), key, FUNCTION, audit)
        try:
            yield client, checker
        finally:
            checker.close()
            client.close()


class Team:
    """As many processes for each instance id as wanted, started anew when they end."""

    def __init__(self, launcher: Launcher, proxies: list[Proxy], ended: Callable[[Instance], None]) -> None:
        """The n-th process of an instance id connects through the n-th proxy. `ended` hears of each that has ended."""
        self._launcher, self._proxies, self._ended = launcher, proxies, ended
        self.parallelism = 1
        self.all: list[Instance] = []
        self.members: dict[tuple[int, int], Instance] = {}
        """(instance id, which of the doubled) → process."""
        self.paused: dict[tuple[int, int], float] = {}
        """Until when."""

    def fill(self) -> None:
        """Start what is missing."""
        for slot in itertools.product(range(self.parallelism), range(len(self._proxies))):
            if slot not in self.members:
                self.members[slot] = self._start(*slot)

    def _start(self, instance_id: int, which: int) -> Instance:
        instance = self._launcher.start(instance_id, self.parallelism, self._proxies[which].url)
        self.all.append(instance)
        return instance

    def look(self) -> list[tuple[int, int]]:
        """Start anew what has ended, resume what has been paused for long enough; gives the latter."""
        for slot, instance in list(self.members.items()):
            if instance.code is not None:
                self._ended(instance)
                self.paused.pop(slot, None)
                del self.members[slot]
        self.fill()
        now = time.monotonic()
        due = [slot for slot, until in self.paused.items() if now >= until]
        for slot in due:
            self.resume(slot)
        return due

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

    def stop(self) -> None:
        self.resume_all()
        for instance in self.members.values():
            instance.stop()
        for instance in self.members.values():
            instance.wait_ended()
            self._ended(instance)


@dataclass(frozen=True)
class Plan:
    """What a history is like."""

    seconds: float = 6.0
    """How long events flow and faults are thrown."""
    events_per_s: float = 1500.0
    between_s: tuple[float, float] = (0.3, 1.5)
    pauses_s: tuple[float, ...] = (0.3, 1.0, 2.0, 6.0)
    cuts_s: tuple[float, ...] = (0.2, 1.0, 3.0)
    faults: tuple[str, ...] = ("kill", "kill", "pause", "pause", "oust", "unload", "drop", "cut", "stop")
    doubled: int = 2
    first: tuple[str, ...] = ()
    """These faults are thrown first, in this order."""


class History:
    """One history of a deployment, drawn from `seed`."""

    def __init__(self, ground: Ground, deployment: str, seed: int, plan: Plan, **launcher: Any) -> None:
        self._ground, self._deployment, self._plan = ground, deployment, plan
        self._rng = random.Random(seed)
        self._launcher = ground.launcher(deployment, **launcher)
        self._config = ground.config(deployment)
        self.report = Report(seed)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._owners_paused: set[int] = set()
        """Pids that were paused as owners."""
        self._replaced: dict[int, float] = {}
        """Pids that were resumed as replaced ones → when."""
        self._disturbed: set[int] = set()
        """Those of them that something else has befallen since."""
        self._restart: Future[None] | None = None
        """Of the broker."""

    def run(self) -> Report:
        """Raises Wrong, with the seed, where the promise was broken."""
        started = time.monotonic()
        with ExitStack() as stack:
            client, checker = stack.enter_context(self._ground.checker(self._deployment))
            self._proxies = [Proxy(self._ground.cluster.broker_url) for _ in range(self._plan.doubled)]
            for proxy in self._proxies:
                stack.callback(proxy.close)
            self._http = stack.enter_context(AdminHttp(self._ground.tenant.home, self._ground.cluster))
            self._stalls = stack.enter_context(Stalls())
            self._beside = stack.enter_context(ThreadPoolExecutor(1))
            self._team = team = Team(self._launcher, self._proxies, self._note_end)
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
        first = list(self._plan.first)
        while time.monotonic() < start + self._plan.seconds:
            self._look()
            if time.monotonic() >= due:
                fault = self._rng.choice(self._plan.faults) if not first else first.pop(0)
                if fault in DISTURBING:
                    self._disturb()
                getattr(self, f"_{fault}")()
                self.report.faults[fault] += 1
                due = time.monotonic() + self._rng.uniform(*self._plan.between_s)
            time.sleep(0.02)

    def _look(self) -> None:
        paused = {self._team.members[slot].pid for slot in self._team.paused}
        self._owners_paused |= paused & {log.owner_pid for log in self._checker.logs}
        self._checker.look()
        owners = {log.owner_pid for log in self._checker.logs}
        for slot in self._team.look():
            pid = self._team.members[slot].pid
            if pid in self._owners_paused - owners:
                self._replaced[pid] = time.monotonic()
                if not self._reaches_the_broker(slot):
                    self._disturbed.add(pid)
            self._owners_paused.discard(pid)
        for when, what in list(self._later):
            if time.monotonic() >= when:
                self._later.remove((when, what))
                self._disturb()
                what()

    def _settle(self, ends: dict[tuple[str, int], Position]) -> None:
        """All is processed, and what was replaced has ended by itself."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            try:
                self._look()
                self._checker.wait_done(ends, 0.1)
                if self._replaced:
                    raise Wrong(f"replaced, and still there: {self._replaced}")
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _note_end(self, instance: Instance) -> None:
        self.report.exits[instance.code or 0] += 1
        if (since := self._replaced.pop(instance.pid, None)) is not None:
            ended = instance.ended or time.monotonic()
            stall = self._stalls.longest(since, ended)
            self.report.late.append(Late(ended - since, stall, instance.pid in self._disturbed))

    def _disturb(self) -> None:
        self._disturbed |= self._replaced.keys()

    def _reaches_the_broker(self, slot: tuple[int, int]) -> bool:
        return self._proxies[slot[1]].open and (self._restart is None or self._restart.done())

    def _heal(self) -> None:
        self._team.resume_all()
        self._disturb()
        if self._restart is not None:
            self._restart.result(RESTART_TIMEOUT_S)
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

    def _oust(self) -> None:
        """An owner is paused, and meanwhile the broker lets go of its inputs, so that another takes over soon."""
        owners = {log.owner_pid for log in self._checker.logs}
        slots = [slot for slot, each in self._team.members.items() if each.pid in owners]
        slot, seconds = self._rng.choice(slots or sorted(self._team.members)), self._rng.choice(self._plan.pauses_s)
        if slot not in self._team.paused:
            self._team.pause(slot, seconds)
            for binding in self._config.inputs.values():
                unload(self._http, map(parse_topic(binding.topic)[0].partition, range(PARTITIONS)))

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

    def _broker_killed(self) -> None:
        self._end_broker(Restartable.kill)

    def _broker_restarted(self) -> None:
        self._end_broker(Restartable.stop)

    def _end_broker(self, end: Callable[[Restartable], None]) -> None:
        """It comes back as soon as it can, while events flow and other faults are thrown."""
        broker = self._ground.broker
        assert broker is not None
        if self._restart is not None and not self._restart.done():
            return

        def restart() -> None:
            end(broker)
            broker.start()

        self._restart = self._beside.submit(restart)

    def _change(self) -> None:
        self._team.change(3 - self._team.parallelism)


def seed_of(number: int, last_digits: int | None = None) -> int:
    """Of the n-th history, with these two last digits if told; `PULSAR_PIPELINE_SEED` stands in for the first one's."""
    given = os.environ.get("PULSAR_PIPELINE_SEED")
    if given:
        return int(given) + number
    drawn = random.SystemRandom().randrange(10**9)
    return drawn if last_digits is None else drawn - drawn % 100 + last_digits
