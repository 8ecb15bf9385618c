"""Histories that lead straight to the moments at which a wrong runtime shows: each finds certain bugs, and finds
nothing in the runtime as it is."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import parse_topic
from tests.support import planted
from tests.support.checker import Checker, Verified, Wrong
from tests.support.ground import EVENT_TIMEOUT_S, Feeder, Ground
from tests.support.instances import Instance, Launcher, ended
from tests.support.proxy import Proxy
from tests.support.reports import Late
from tests.support.stalls import Stalls
from tests.support.unload import unload
from tests.support.wait import PATIENCE, wait_until

ENTRY = Path(planted.__file__)
STEP_TIMEOUT_S = 20.0
ENDS_WITHIN_S = 3.0
"""After it can reach the cluster again, a replaced instance has ended; leaves a loaded machine some time."""
ENDED_ITSELF = 9


@dataclass(frozen=True)
class Stage:
    """One deployment, its events, and a proxy between its instances and the broker."""

    launcher: Launcher
    checker: Checker
    feeder: Feeder
    proxy: Proxy
    broker_url: str
    bugs: tuple[str, ...]
    settle_s: float
    patience: float
    running: list[Instance]
    stalls: Stalls
    unload_inputs: Callable[[], None]

    def start(self, *, proxied: bool = False, **tunes: Any) -> Instance:
        launcher = replace(self.launcher, entry=ENTRY, environment=planted.environment(*self.bugs, **tunes))
        instance = launcher.start(0, 1, self.proxy.url if proxied else self.broker_url)
        self.running.append(instance)
        return instance

    def wait_commits(self, instance: Instance, count: int = 1) -> None:
        """Until the instance has committed so many times in every partition, or has ended."""

        def enough() -> bool:
            self.checker.look()
            return instance.code is not None or all(log.commits[instance.pid] >= count for log in self.checker.logs)

        self.wait(enough, f"instance {instance.pid} has committed {count} times", STEP_TIMEOUT_S)

    def wait(self, condition: Any, what: str, timeout_s: float) -> None:
        try:
            wait_until(condition, timeout_s, what, poll_s=0.005, patience=self.patience)
        except AssertionError as error:
            raise Wrong(str(error)) from error

    def ends_at_once(self, replaced: Instance) -> None:
        """It is resumed, and finds out by itself."""
        since = time.monotonic()
        replaced.resume()
        self.wait(lambda: replaced.code is not None, "the replaced instance ends", 10.0)
        ended = replaced.ended or time.monotonic()
        late = Late(ended - since, self.stalls.longest(since, ended), disturbed=False)
        sys.stdout.write(f"resumed, the replaced instance ended after {late} s\n")
        if late.too_late:
            raise Wrong(f"resumed, the replaced instance ended after {late} s only")

    def settle(self) -> list[Verified]:
        """With the last instance at work: all is processed, and right."""
        self.feeder.finish()
        self.checker.wait_done(self.feeder.ends, self.settle_s)
        for instance in self.running:
            if instance.code is None:
                instance.stop()
                instance.wait_ended()
        return self.checker.verify()


@contextmanager
def stage(
    ground: Ground,
    deployment: str,
    *bugs: str,
    settle_s: float = 120.0,
    patience: float = PATIENCE,
    per_s: float = 1500.0,
) -> Iterator[Stage]:
    with ExitStack() as stack:
        client, checker = stack.enter_context(ground.checker(deployment))
        proxy = Proxy(ground.cluster.broker_url)
        stack.callback(proxy.close)
        feeder = Feeder(client, ground.config(deployment), random.Random(1), per_s)
        stack.callback(feeder.halt)
        running: list[Instance] = []
        stalls = stack.enter_context(Stalls())
        http = stack.enter_context(AdminHttp(ground.tenant.home, ground.cluster))
        inputs = [
            parse_topic(binding.topic)[0].partition(number)
            for binding in ground.config(deployment).inputs.values()
            for number in range(binding.partitions)
        ]
        stack.enter_context(ended(running))
        yield Stage(
            ground.launcher(deployment),
            checker,
            feeder,
            proxy,
            ground.cluster.broker_url,
            bugs,
            settle_s,
            patience,
            running,
            stalls,
            lambda: _unload_all(http, inputs),
        )


def _unload_all(http: AdminHttp, partitions: list[str]) -> None:
    assert unload(http, partitions) > 0


def killed_twice(on: Stage) -> list[Verified]:
    """An owner is killed long after its last commit; the next one right at its first, with outputs still to be made
    again."""
    on.feeder.start()
    first = on.start(commit_every_s=0.8)
    on.wait_commits(first)
    time.sleep(0.5)
    first.kill()
    second = on.start(commit_every_s=0.01, max_batch=20, event_s=0.001, checkpoint_bytes=1)
    on.wait_commits(second)
    second.kill()
    on.start()
    return on.settle()


def killed_at_commits(on: Stage) -> list[Verified]:
    """An owner whose outputs stay with the client for long is killed when a commit has come."""
    on.feeder.start()
    first = on.start(commit_every_s=0.1, linger_ms=1000)
    on.wait_commits(first, 2)
    first.kill()
    on.start()
    return on.settle()


def killed_with_outputs_in_hand(on: Stage) -> list[Verified]:
    """An owner whose outputs stay with the client is killed between two commits; nobody knows in which order it took
    its inputs, so the next one takes them in another."""
    on.feeder.start()
    first = on.start(commit_every_s=1.5, linger_ms=3000)
    on.wait_commits(first)
    time.sleep(0.8)
    first.kill()
    on.start(max_batch=50)
    return on.settle()


def killed_before_delivery(on: Stage) -> list[Verified]:
    """An owner is killed when a commit has come, before it has published what the commit released."""
    on.feeder.start()
    first = on.start(commit_every_s=0.1, delivered_after_s=0.5)
    on.wait_commits(first, 2)
    first.kill()
    on.start()
    return on.settle()


def cut_off(on: Stage) -> list[Verified]:
    """An owner is cut off with events in hand; another claims, marks and dies; then the first is back."""
    on.feeder.burst(12_000)
    first = on.start(proxied=True, event_s=0.0003, commit_every_s=0.2)
    on.wait_commits(first)
    on.proxy.refuse()
    second = on.start(end_once_recovered=ENDED_ITSELF)
    code = second.wait_ended(STEP_TIMEOUT_S)
    if code != ENDED_ITSELF:
        raise Wrong(f"the second instance ended with {code}:\n{second.told()[-2000:]}")
    on.proxy.mend()
    on.wait(lambda: first.code is not None, "the replaced instance ends", ENDS_WITHIN_S)
    on.start(max_batch=50)  # so that it takes inputs in another order than the first
    return on.settle()


def first_outputs_lost(on: Stage) -> list[Verified]:
    """A connection is lost, and with it the first outputs on their way."""
    on.feeder.start()
    on.proxy.lose_from(b"1.1:1:")
    first = on.start(proxied=True)
    on.wait_commits(first, 3)
    return on.settle()


def handed_over(on: Stage) -> list[Verified]:
    """An owner is told to stop, and the next takes its place, three times."""
    on.feeder.start()
    for _ in range(3):
        instance = on.start()
        on.wait_commits(instance)
        instance.stop()
        if code := instance.wait_ended():
            raise Wrong(f"told to stop, the instance ended with {code}:\n{instance.told()[-2000:]}")
    on.start()
    return on.settle()


def paused(on: Stage) -> list[Verified]:
    """An owner is paused until another has taken over; resumed, it ends at once and changes nothing."""
    on.feeder.start()
    first = on.start()
    on.wait_commits(first)
    first.pause()
    on.wait_commits(on.start())
    on.ends_at_once(first)
    return on.settle()


def paused_through_an_unload(on: Stage) -> list[Verified]:
    """While an owner is paused the broker lets go of its inputs, and another takes them."""
    on.feeder.start()
    first = on.start()
    on.wait_commits(first)
    first.pause()
    on.unload_inputs()
    on.wait_commits(on.start())
    on.ends_at_once(first)
    return on.settle()


def paused_in_an_event(on: Stage) -> list[Verified]:
    """An instance is paused in the midst of an event, for longer than an event may take; that is no hang."""
    on.feeder.burst(200)
    only = on.start(event_s=0.02, max_batch=50)
    on.wait_commits(only)
    only.pause()
    time.sleep(EVENT_TIMEOUT_S + 1)
    only.resume()
    found = on.settle()
    if only.code:
        raise Wrong(f"the instance ended with {only.code}:\n{only.told()[-2000:]}")
    return found


SCENES = {
    scene.__name__: scene
    for scene in (
        killed_twice,
        killed_at_commits,
        killed_with_outputs_in_hand,
        killed_before_delivery,
        cut_off,
        first_outputs_lost,
        handed_over,
        paused,
        paused_through_an_unload,
        paused_in_an_event,
    )
}
