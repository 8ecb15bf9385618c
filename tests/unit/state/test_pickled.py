from __future__ import annotations

import copyreg
import pickle
from collections import OrderedDict, deque
from datetime import date
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, preprocessing

from pulsar_pipeline.state.pickled import UNKNOWN, class_of


class Plain:
    def __init__(self, *held: Any) -> None:
        self.held = held


class Slotted:
    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = [Plain(), Plain()]


class Pair(NamedTuple):
    left: Any
    right: Any


class Keyed:
    def __new__(cls, *, name: str) -> Keyed:
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str]]:
        return (), {"name": "x"}


HERE = __name__


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Plain(), f"{HERE}.Plain"),
        (Plain(Plain(Slotted())), f"{HERE}.Plain"),
        (Slotted(), f"{HERE}.Slotted"),
        (Pair(Plain(), 1), f"{HERE}.Pair"),
        (Keyed(name="x"), f"{HERE}.Keyed"),
        (date(2026, 1, 1), "datetime.date"),
        (OrderedDict(a=Plain()), "collections.OrderedDict"),
        (deque([Plain()]), "collections.deque"),
        ((Plain(), 1), "tuple"),
        ([Plain()], "list"),
        ({"a": Plain()}, "dict"),
        ("text", "str"),
        (1, "int"),
        (None, "None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_class_is_found_without_running_anything(value: Any, name: str, protocol: int) -> None:
    if isinstance(value, Keyed) and protocol < 4:
        assert class_of(pickle.dumps(value, protocol))  # built by a partial of copyreg there
        return
    assert class_of(pickle.dumps(value, protocol)) == name


def test_models_of_river_are_told() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    model.learn_one({"x": 1.0}, True)
    assert class_of(pickle.dumps(model, pickle.HIGHEST_PROTOCOL)) == "river.compose.pipeline.Pipeline"


class Trap:
    sprung = False

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (Trap,), None, None, iter([(1, 2)])

    def __setitem__(self, key: int, value: int) -> None:
        Trap.sprung = True


def test_nothing_is_run() -> None:
    data = pickle.dumps(Trap(), pickle.HIGHEST_PROTOCOL)
    assert class_of(data) == f"{HERE}.Trap"
    assert not Trap.sprung
    assert class_of(b"cos\nsystem\n(S'false'\ntR.") == "os.system"


@given(st.binary(max_size=60))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert isinstance(class_of(data), str)
    assert class_of(b"") == UNKNOWN
