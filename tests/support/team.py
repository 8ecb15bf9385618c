"""The instances of a deployment that a history misuses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from tests.support.instances import Instance, Launcher
from tests.support.proxy import Proxy


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
