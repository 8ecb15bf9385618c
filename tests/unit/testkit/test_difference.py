"""Where two values differ."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy
import pytest

from pulsar_pipeline.testkit.difference import difference, stored_difference


class Node:
    """A model with parts, and a way round."""

    def __init__(self, value: Any, *children: Node) -> None:
        self.value = value
        self.children = children
        self.parent: Node | None = None
        for child in children:
            child.parent = self


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: Any) -> None:
        self.a = a


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1),
        ("a", "a"),
        (math.nan, math.nan),
        ({"a": 1, "b": [2, (3, {4})]}, {"b": [2, (3, {4})], "a": 1}),
        (Node(1, Node(2), Node(3)), Node(1, Node(2), Node(3))),
        (Slotted([1]), Slotted([1])),
        (numpy.array([1.0, 2.0]), numpy.array([1.0, 2.0])),
        (numpy.random.default_rng(1), numpy.random.default_rng(1)),
        (len, len),
        (Node, Node),
    ],
    ids=str,
)
def test_equal_values(one: object, other: object) -> None:
    assert difference(one, other) is None


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (1, 2, "value: expected 1, found 2"),
        (1, 1.0, "value: expected 1, found 1.0"),
        (True, 1, "value: expected True, found 1"),
        (None, 0, "value: expected None, found 0"),
        ({"a": 1}, {"a": 1, "b": 2}, "value: expected {'a': 1}, found {'a': 1, 'b': 2}"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "['a'][1]: expected 2, found 3"),
        ([1], [1, 2], "value: expected [1], found [1, 2]"),
        (Node(1, Node(2), Node(3)), Node(1, Node(2), Node(4)), ".children[1].value: expected 3, found 4"),
        (Slotted(1), Slotted(2), ".a: expected 1, found 2"),
        (len, max, "value: expected <built-in function len>, found <built-in function max>"),
        (math.nan, 1.0, "value: expected nan, found 1.0"),
    ],
    ids=str,
)
def test_the_place_is_told(one: object, other: object, told: str) -> None:
    assert difference(one, other) == told


def test_an_attribute_that_is_missing() -> None:
    one, other = Node(1), Node(1)
    del other.value
    assert difference(one, other, "object 'm'") == "object 'm'.value: expected 1, found nothing"


def test_arrays_that_differ() -> None:
    assert difference(numpy.array([1.0]), numpy.array([2.0])) is not None
    assert difference(numpy.array([1.0]), numpy.array([1.0, 2.0])) is not None


def test_what_has_no_way_to_be_pickled_is_compared_by_itself() -> None:
    lock = type("Locked", (), {"__reduce_ex__": lambda *_: (_ for _ in ()).throw(TypeError("no"))})
    assert difference(lock(), lock()) is not None


def test_equal_objects_may_have_other_bytes() -> None:
    text = "".join(["ab", "cd"])
    shared, apart = [text, text], [text, "".join(["abc", "d"])]
    one, other = pickle.dumps(shared), pickle.dumps(apart)
    assert one != other
    assert stored_difference(one, other, "it") is None
    assert stored_difference(one, pickle.dumps(["abcd", "x"]), "it") == "it[1]: expected 'abcd', found 'x'"


def test_bytes_that_cannot_be_read() -> None:
    told = stored_difference(b"cno_such_module\nX\n.", b"", "it")
    assert told is not None
    assert told.startswith("it: other bytes, which cannot be read here: ModuleNotFoundError")
