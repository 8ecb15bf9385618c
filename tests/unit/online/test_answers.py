"""What a function may answer."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.answers import Answer, answers_of, key_of


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, []),
        ([], []),
        ({"a": 1}, [{"a": 1}]),
        (MappingProxyType({"a": 1}), [{"a": 1}]),
        (Answer({"a": 1}), [Answer({"a": 1})]),
        ([{"a": 1}, Answer({"a": 2}, key="k")], [{"a": 1}, Answer({"a": 2}, key="k")]),
        (({"a": 1},), [{"a": 1}]),
    ],
)
def test_answers(returned: object, expected: list[object]) -> None:
    assert list(answers_of(returned)) == expected


@pytest.mark.parametrize("returned", ["text", 3, b"bytes", [{"a": 1}, None], [[]], ({"a": 1} for _ in "x")])
def test_what_is_no_answer_is_refused(returned: object) -> None:
    with pytest.raises(DataError):
        answers_of(returned)


@pytest.mark.parametrize(
    ("answer", "field", "expected"),
    [
        ({"id": 7}, None, "event"),
        ({"id": 7}, "id", "7"),
        (Answer({"id": 7}), "id", "7"),
        (Answer({"id": 7}, key="own"), "id", "own"),
        (Answer({"id": 7}), None, "event"),
    ],
)
def test_the_key_of_an_output(answer: object, field: str | None, expected: str) -> None:
    assert key_of(answer, field, "event") == expected  # type: ignore[arg-type]
