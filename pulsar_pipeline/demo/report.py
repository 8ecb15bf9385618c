"""The demo's results: predictions of every entity from every cluster, compared, and the model's own figures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.errors import QueryError, ViewUnavailable
from pulsar_pipeline.query.client import QueryClient
from pulsar_pipeline.rollout.status import FunctionStats

_POLL_S = 0.1


@dataclass(frozen=True)
class Answers:
    """Predictions by cluster, then entity, as the query API gave them."""

    by_cluster: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @property
    def equal(self) -> bool:
        """Every cluster has the same prediction of the same entities."""
        contents = [
            {entity: answer["prediction"] for entity, answer in found.items()} for found in self.by_cluster.values()
        ]
        return all(content == contents[0] for content in contents)


def ask(urls: Mapping[str, str], token: str, tenant: str, model: str, entities: Sequence[str]) -> Answers:
    """The latest predictions of `entities` from the query service of each cluster. Raises QueryError."""
    answers = {}
    for cluster, url in urls.items():
        with QueryClient(url, token) as client:
            found = client.predictions(tenant, model, entities)["found"]
        answers[cluster] = {answer["entity"]: answer for answer in found}
    return Answers(answers)


def settled(
    urls: Mapping[str, str],
    token: str,
    tenant: str,
    model: str,
    expected: Mapping[str, tuple[str, Any]],
    timeout_s: float,
) -> Answers:
    """Ask until every cluster shows, for each entity, the prediction `field = value` that `expected` names.

    Raises QueryError when they do not within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            answers = ask(urls, token, tenant, model, list(expected))
            if answers.equal and _has_all(answers, expected):
                return answers
            last: str = "they differ"
        except ViewUnavailable as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise QueryError(f"the clusters do not agree within {timeout_s:g} s: {last}")
        time.sleep(_POLL_S)


def _has_all(answers: Answers, expected: Mapping[str, tuple[str, Any]]) -> bool:
    return all(
        entity in found and found[entity]["prediction"][field] == value
        for found in answers.by_cluster.values()
        for entity, (field, value) in expected.items()
    )


def quality(stats: FunctionStats, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row per instance: what its own model came to, by the metrics its function records."""
    return [
        {"instance": each.instance, "events": each.processed, "failed": each.user_failures}
        | {name: _figure(each.metrics[name]) for name in names if name in each.metrics}
        for each in stats.instances
    ]


def _figure(value: float) -> float | int:
    """Three places, and none of a whole number: a count is one."""
    return int(value) if value.is_integer() else round(value, 3)
