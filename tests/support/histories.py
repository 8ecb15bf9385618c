"""Random histories of faults: events flow, instances are killed, paused, doubled and cut off, topics move.

A history is drawn from its seed; how it ends depends on the machine's timing too, so the same seed throws the same
faults at the same times but need not meet the same moment again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.statelog.records import Position
from tests.support.checker import Wrong
from tests.support.clusters import Restartable
from tests.support.ground import PARTITIONS, Feeder, Ground
from tests.support.instances import Instance, ended
from tests.support.proxy import Proxy
from tests.support.reports import Late, Report
from tests.support.stalls import Stalls
from tests.support.team import Team
from tests.support.unload import unload

SETTLE_TIMEOUT_S = 120.0
RESTART_TIMEOUT_S = 180.0

DISTURBING = ("unload", "drop", "cut", "broker_killed", "broker_restarted")
"""Faults that keep an instance from finding out that it was replaced, for a moment."""


@dataclass(frozen=True)
class Plan:
    """What a history is like."""

    seconds: float = 6.0
    """How long events flow and faults are thrown."""
    events_per_s: float = 1500.0
    between_s: tuple[float, float] = (0.3, 1.5)
    pauses_s: tuple[float, ...] = (0.3, 1.0, 2.0, 6.0)
    ousts_s: tuple[float, ...] = (1.5, 2.5)
    """Pauses of owners whose inputs are taken from them meanwhile."""
    cuts_s: tuple[float, ...] = (0.2, 1.0, 3.0)
    faults: tuple[str, ...] = ("kill", "kill", "pause", "pause", "oust", "oust", "unload", "drop", "cut", "stop")
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
        slot, seconds = self._rng.choice(slots or sorted(self._team.members)), self._rng.choice(self._plan.ousts_s)
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
