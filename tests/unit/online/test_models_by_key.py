from __future__ import annotations

from typing import Any

from pulsar_pipeline.online.models import Models


class Keeping:
    """A context that keeps objects, as our runtime's does."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get_state_object(self, key: str, factory: Any) -> Any:
        return self.kept.setdefault(key, factory())


def test_models_are_the_contexts_where_it_keeps_them() -> None:
    context = Keeping()
    models = Models(context, lambda key: [key])
    models["m1"].append(1)
    assert context.kept == {"models/m1": ["m1", 1]}
    context.kept = {"models/m1": ["another partition's"]}
    assert models["m1"] == ["another partition's"]


def test_collections_of_one_function_are_told_apart_by_name() -> None:
    context = Keeping()
    first, second = Models(context, lambda key: [key]), Models(context, lambda key: [key], name="scalers")
    assert first["m1"] is not second["m1"]
    assert sorted(context.kept) == ["models/m1", "scalers/m1"]


def test_models_live_in_the_process_elsewhere() -> None:
    models = Models(object(), lambda key: [key])
    models["m1"].append(1)
    assert models["m1"] == ["m1", 1]
    assert models["m2"] == ["m2"]
