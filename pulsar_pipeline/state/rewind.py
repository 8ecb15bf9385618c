"""A deployment's place in its inputs, set back to where an imported state stands: what came after it comes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, ClusterNotFound, RolloutError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.statelog.records import Position

LET_GO_S = 30.0
"""How long an instance that was told to stop may hold its inputs."""


def rewind(
    http: AdminHttp,
    inputs: Mapping[str, TopicName],
    subscription: str,
    positions: Mapping[tuple[str, int], Position],
) -> None:
    """Nothing happens where the subscription is gone: a new one begins with the first event there is, and events up to
    the state's positions are passed over. Waits for instances that are just ending. Raises ClusterErrors, and
    RolloutError where somebody goes on reading."""
    for (name, partition), position in positions.items():
        if name not in inputs:
            continue
        topic = f"{inputs[name].path}-partition-{partition}"
        path = f"/admin/v2/persistent/{topic}/subscription/{subscription}/resetcursor"
        body = {"ledgerId": position.ledger, "entryId": position.entry, "partitionIndex": partition}
        with suppress(ClusterNotFound):
            _patiently(lambda path=path, body=body: http.post(path, json=body), topic)  # type: ignore[misc]


def _patiently(request: Callable[[], Any], topic: str) -> None:
    retrying = Retrying(
        retry=retry_if_exception(lambda error: type(error) is ClusterError),  # the subscription is in use
        wait=wait_fixed(0.25),
        stop=stop_after_delay(LET_GO_S),
    )
    try:
        retrying(request)
    except RetryError as error:
        raise RolloutError(
            "somebody still reads it under the deployment's subscription",
            where=topic,
            mend="stop that: an instance that was started without the functions worker, say",
        ) from error
