"""The deployment's config, checked once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pulsar_pipeline.errors import SpecError


@dataclass(frozen=True)
class Config:
    """What each key means is told in the README's table; the defaults equal those of function.yaml."""

    model: str = "forest"
    seed: int = 7
    trees: int = 10
    failure_weight: int = 10
    alert_at: float = 0.1
    remembered_readings: int = 256
    remembered_machines: int = 1000
    metrics_every: int = 50

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Config:
        """Raises SpecError for an unknown key, a wrong type or a value out of range. The model's name is judged by
        `models.build`."""
        kinds = {field.name: type(field.default) for field in fields(cls)}
        for key, value in given.items():
            if key not in kinds:
                raise SpecError("unknown key", key=f"config.{key}", mend=f"known are {', '.join(kinds)}")
            _check(key, value, kinds[key])
        return cls(**given)


def _check(key: str, value: Any, kind: type) -> None:
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or isinstance(value, bool):
        raise SpecError(f"expected {kind.__name__}, got {value!r}", key=f"config.{key}")
    if key == "alert_at" and not 0 <= value <= 1:
        raise SpecError(f"expected a risk from 0 to 1, got {value!r}", key=f"config.{key}")
    if kind is int and key != "seed" and value < 1:
        raise SpecError(f"expected 1 or more, got {value!r}", key=f"config.{key}")
