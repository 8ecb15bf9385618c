"""When predictions arrive in each cluster, seen by a consumer there."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any
from uuid import uuid4

import pulsar

from pulsar_pipeline.schemas.codec import Decoder
from pulsar_pipeline.schemas.wire import version_of, writer_lookup

_WAIT_MS = 200


class ArrivalWatch:
    """Notes the time of arrival of each prediction in one cluster, by a field of it, from now on.

    A thread consumes the topic's partitions under a subscription of its own, which is removed at the end.
    """

    def __init__(self, client: pulsar.Client, partitions: Sequence[str], topic: str, field: str) -> None:
        """`partitions` are full names. Raises pulsar.PulsarException when they cannot be read."""
        self.arrived_at: dict[Any, float] = {}
        """Field's value → seconds of `time.time`, the first time it came."""
        self._field = field
        self._decode = Decoder(None, writer_lookup(client, topic))
        self._consumer = client.subscribe(
            list(partitions), f"demo-{uuid4().hex[:8]}", initial_position=pulsar.InitialPosition.Latest
        )
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def __enter__(self) -> ArrivalWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.unsubscribe()

    def wait_for(self, names: Collection[Any], timeout_s: float) -> bool:
        """True as soon as all these have arrived; False when they have not within `timeout_s`."""
        with self._news:
            return self._news.wait_for(lambda: all(name in self.arrived_at for name in names), timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                message = self._consumer.receive(_WAIT_MS)
            except pulsar.Timeout:
                continue
            now = time.time()
            self._consumer.acknowledge(message)
            if message.has_null_value():
                continue  # a marker of the exactly-once protocol
            record = self._decode(message.data(), version_of(message))
            with self._news:
                self.arrived_at.setdefault(record[self._field], now)
                self._news.notify_all()


def percentiles_ms(earlier: Mapping[Any, float], later: Mapping[Any, float]) -> dict[str, float]:
    """p50, p95, p99 and max of `later - earlier` in milliseconds, over what both know; empty when that is nothing."""
    differences = sorted((later[name] - earlier[name]) * 1e3 for name in earlier.keys() & later.keys())
    if not differences:
        return {}
    last = len(differences) - 1
    return {
        "p50": differences[round(0.50 * last)],
        "p95": differences[round(0.95 * last)],
        "p99": differences[round(0.99 * last)],
        "max": differences[last],
    }
