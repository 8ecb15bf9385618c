"""Models by key: live objects that are part of a function's state.

    def setup(self, context):
        self.models = Models(context, lambda key: preprocessing.StandardScaler() | linear_model.LogisticRegression())

    @on("readings")
    def predict(self, event, context):
        model = self.models[event["machine_id"]]

Under our runtime with `exactly_once` each partition has models of its own, kept with the state of that partition: they
survive crashes and go to whoever owns the partition next. They have to be picklable. Elsewhere (another guarantee, a
unit test, Pulsar's own Python runtime) they live as long as the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Model = TypeVar("Model")


class Models(Generic[Model]):
    """`models[key]` is the live model of a key, made at first use. Whatever is done to it while the event is processed
    is part of the state; so ask for it with each event, and keep none in an attribute."""

    def __init__(self, context: Any, factory: Callable[[str], Model], *, name: str = "models") -> None:
        """`context` is the one `setup` is given; `factory(key)` makes a new model. A function with several collections
        gives each a name of its own."""
        self._kept = getattr(context, "get_state_object", None)
        self._factory = factory
        self._name = name
        self._local: dict[str, Model] = {}

    def __getitem__(self, key: str) -> Model:
        if self._kept is not None:
            model: Model = self._kept(f"{self._name}/{key}", lambda: self._factory(key))
            return model
        if key not in self._local:
            self._local[key] = self._factory(key)
        return self._local[key]
