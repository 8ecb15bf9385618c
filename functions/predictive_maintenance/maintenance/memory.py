"""What was predicted and is not judged yet, and labels that came before their reading: bounded, per machine."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from maintenance.features import Features


class Predicted(NamedTuple):
    """A reading as it was when it was predicted; its label is learned on, and scored against, exactly this."""

    features: Features
    risk: float


class Missed(StrEnum):
    """Why a label found no remembered reading. The values are metric names."""

    EARLY = "labels_early"
    """Its reading is still to come (another topic, another pace): the label waits for it."""
    LATE = "labels_late"
    """Its reading was forgotten, was judged already, or never came though later ones did: the label is dropped."""


@dataclass(slots=True)
class _Machine:
    newest: int = -1
    predicted: OrderedDict[int, Predicted] = field(default_factory=OrderedDict)
    waiting: OrderedDict[int, bool] = field(default_factory=OrderedDict)


class Memory:
    """Keeps the newest `readings` predictions (and as many waiting labels) of each of the `machines` heard last."""

    def __init__(self, readings: int, machines: int) -> None:
        self._readings = readings
        self._most_machines = machines
        self._machines: OrderedDict[str, _Machine] = OrderedDict()

    def __len__(self) -> int:
        """Predictions and labels held."""
        return sum(len(machine.predicted) + len(machine.waiting) for machine in self._machines.values())

    def remember(self, machine_id: str, reading_id: int, predicted: Predicted) -> bool | None:
        """Keep a prediction until its label comes. Gives the label when it came first, and then keeps nothing.

        Readings of a machine grow in id; one that does not (a redelivery, say) is not kept, for its label may have
        been learned.
        """
        machine = self._machine(machine_id)
        if reading_id <= machine.newest:
            return None
        machine.newest = reading_id
        waiting = machine.waiting.pop(reading_id, None)
        if waiting is None:
            machine.predicted[reading_id] = predicted
            _trim(machine.predicted, self._readings)
        return waiting

    def judge(self, machine_id: str, reading_id: int, failed: bool) -> Predicted | Missed:
        """The prediction that a label judges, forgotten here from now on; or why there is none."""
        machine = self._machine(machine_id)
        predicted = machine.predicted.pop(reading_id, None)
        if predicted is not None:
            return predicted
        if reading_id <= machine.newest:
            return Missed.LATE
        machine.waiting[reading_id] = failed
        _trim(machine.waiting, self._readings)
        return Missed.EARLY

    def _machine(self, machine_id: str) -> _Machine:
        machine = self._machines.get(machine_id)
        if machine is None:
            machine = self._machines[machine_id] = _Machine()
            _trim(self._machines, self._most_machines)
        else:
            self._machines.move_to_end(machine_id)
        return machine


def _trim(
    entries: OrderedDict[str, _Machine] | OrderedDict[int, Predicted] | OrderedDict[int, bool], most: int
) -> None:
    while len(entries) > most:
        entries.popitem(last=False)
