"""A whole `pulsar.Context` in memory: what a function sees when there is no broker."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError

TENANT = "public"
NAMESPACE = "default"


@dataclass(frozen=True)
class Published:
    """A message a function published by itself, to whatever topic it named."""

    topic: str
    payload: Any
    properties: dict[str, str]
    conf: dict[str, Any]
    """The `message_conf` it was published with: `partition_key`, `event_timestamp`, …"""


@dataclass
class Current:
    """The event in hand."""

    topic: str = ""
    index: int = -1
    key: str | None = None
    event_time_ms: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


class MemoryContext(pulsar.Context):  # type: ignore[misc]  # the client library has no types
    """Captures metrics, published messages, acks, counters and state; `current` is set before each event."""

    def __init__(
        self,
        *,
        name: str = "function",
        inputs: tuple[str, ...] = (),
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.current = Current()
        self.published: list[Published] = []
        self.metrics: dict[str, list[float]] = {}
        self.acked: list[tuple[Any, str]] = []
        self._name = name
        self._inputs = [topic_of(name) for name in inputs]
        self._config = dict(config or {})
        self._secrets = dict(secrets or {})
        self._counters: dict[str, int] = {}
        self._state: dict[str, Any] = {}

    def get_message_id(self) -> pulsar.MessageId:
        return pulsar.MessageId(0, 0, self.current.index, -1)

    def get_message_key(self) -> str | None:
        return self.current.key

    def get_partition_key(self) -> str | None:
        return self.current.key

    def get_ordering_key(self) -> str | None:
        return None

    def get_message_eventtime(self) -> int:
        return self.current.event_time_ms or 0

    def get_message_properties(self) -> dict[str, str]:
        return dict(self.current.properties)

    def get_current_message_topic_name(self) -> str:
        return self.current.topic

    def get_function_tenant(self) -> str:
        return TENANT

    def get_function_namespace(self) -> str:
        return NAMESPACE

    def get_function_name(self) -> str:
        return self._name

    def get_function_id(self) -> str:
        return f"{TENANT}/{NAMESPACE}/{self._name}"

    def get_instance_id(self) -> int:
        return 0

    def get_function_version(self) -> str:
        return "0"

    def get_logger(self) -> logging.Logger:
        return logging.getLogger(f"function.{self._name}")

    def get_user_config_value(self, key: str) -> Any:
        return self._config.get(key)

    def get_user_config_map(self) -> dict[str, Any]:
        return dict(self._config)

    def get_secret(self, secret_name: str) -> str | None:
        return self._secrets.get(secret_name)

    def record_metric(self, metric_name: str, metric_value: float) -> None:
        if not isinstance(metric_value, numbers.Number):
            raise DataError(f"metric {metric_name} has to be a number, not {metric_value!r}")
        self.metrics.setdefault(metric_name, []).append(float(metric_value))

    def publish(
        self,
        topic_name: str,
        message: Any,
        serde_class_name: str = "serde.IdentitySerDe",
        properties: Mapping[str, str] | None = None,
        compression_type: Any = None,  # noqa: ARG002 - nothing is compressed here
        callback: Callable[..., Any] | None = None,
        message_conf: Mapping[str, Any] | None = None,
    ) -> None:
        del serde_class_name
        self.published.append(Published(topic_name, message, dict(properties or {}), dict(message_conf or {})))
        if callback is not None:
            callback(pulsar.Result.Ok, self.get_message_id())

    def get_input_topics(self) -> list[str]:
        return list(self._inputs)

    def get_output_topic(self) -> str:
        return topic_of("output")

    def get_output_serde_class_name(self) -> str:
        return "serde.IdentitySerDe"

    def ack(self, msgid: Any, topic: str) -> None:
        self.acked.append((msgid, topic))

    def incr_counter(self, key: str, amount: int) -> None:
        self._counters[key] = self._counters.get(key, 0) + amount

    def get_counter(self, key: str) -> int:
        return self._counters.get(key, 0)

    def del_counter(self, key: str) -> None:
        self._counters.pop(key, None)

    def put_state(self, key: str, value: Any) -> None:
        self._state[key] = value

    def get_state(self, key: str) -> Any:
        return self._state.get(key)


def topic_of(name: str) -> str:
    """Topic of a named input here: its last part is the name, so that it needs no binding."""
    return f"persistent://{TENANT}/{NAMESPACE}/{name}"
