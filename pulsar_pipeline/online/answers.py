"""What a function may answer to an event: nothing, one output, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.errors import DataError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One output whose message key or event time are not those of its event.

    `key` goes before the function's key field and the event's key; `event_time_ms` before the event's time. The output
    stays in the event's partition whatever its key is.
    """

    record: Record
    key: str | None = None
    event_time_ms: int | None = None


Answers = Record | Answer | Sequence[Record | Answer] | None
"""What `process` may return."""


def answers_of(returned: Any) -> Sequence[Record | Answer]:
    """The outputs of what `process` returned, in their order. Raises DataError for what is no answer."""
    if returned is None:
        return ()
    if isinstance(returned, dict | Answer):
        return (returned,)
    if isinstance(returned, Mapping):
        return (dict(returned),)
    if isinstance(returned, list | tuple):
        for each in returned:
            if not isinstance(each, dict | Answer):
                raise DataError(f"an output has to be a dict or an Answer, not {type(each).__name__}")
        return returned
    raise DataError(
        f"a function answers with None, a dict, an Answer or a list of these, not with {type(returned).__name__}"
    )


def key_of(answer: Record | Answer, key_field: str | None, event_key: str | None) -> str | None:
    """The message key of an output: the answer's own, that of its key field, or the event's."""
    if isinstance(answer, Answer):
        if answer.key is not None:
            return answer.key
        answer = answer.record
    return str(answer[key_field]) if key_field else event_key
