"""A whole `pulsar.Context` in memory: what a function sees when there is no broker."""

from __future__ import annotations

import copy
import logging
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.names import PARTITION_SUFFIX
from pulsar_pipeline.online.state import MemoryState, State, Undo

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
    """Captures metrics, published messages, acks, counters and state.

    `begin` moves it to the next event; `take_back` undoes what the event in hand has put into the state or published.
    """

    def __init__(
        self,
        *,
        name: str = "function",
        inputs: tuple[str, ...] = (),
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        state: State | None = None,
    ) -> None:
        self.current = Current()
        self._batch: Sequence[Current] = ()
        self.published: list[Published] = []
        self.metrics: dict[str, list[float]] = {}
        self.acked: list[tuple[Any, str]] = []
        self.late: list[Any] = []
        """Events sent to the late topic."""
        self.now_ms = 0
        """The clock."""
        self.has_timers = True
        """Whether there is somebody to call when a timer fires."""
        self._name = name
        self._inputs = [topic_of(name) for name in inputs]
        self._config = dict(config or {})
        self._secrets = dict(secrets or {})
        self._state = Undo(state or MemoryState())
        self._published_before = 0
        self._late_before = 0

    def begin(self, event: Current, batch: Sequence[Current] = (), state: State | None = None) -> None:
        """The next event, or the first of a micro-batch; `state` is its partition's, the one before when None."""
        self.current, self._batch = event, batch
        self._published_before = len(self.published)
        self._late_before = len(self.late)
        self._state.begin(state or self._state.state)

    def take_back(self) -> None:
        """The event in hand has failed: forget what it has published and put into the state. What it did to live
        objects stays, and so do metrics."""
        del self.published[self._published_before :]
        del self.late[self._late_before :]
        self._state.take_back()

    def get_message_id(self) -> pulsar.MessageId:
        return pulsar.MessageId(0, 0, self.current.index, -1)

    def get_message_key(self) -> str:
        return self.current.key or ""

    def get_message_keys(self) -> list[str]:
        """Ours, beyond the standard interface: the key of each event of a micro-batch."""
        return [each.key or "" for each in self._batch or (self.current,)]

    def get_message_eventtimes(self) -> list[int]:
        """Ours, beyond the standard interface: the time of each event of a micro-batch, 0 for none."""
        return [each.event_time_ms or 0 for each in self._batch or (self.current,)]

    def get_partition_key(self) -> str:
        return self.get_message_key()

    def get_ordering_key(self) -> str:
        return ""

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
        self._state.set_counter(key, self._state.state.counter(key) + amount)

    def get_counter(self, key: str) -> int:
        return self._state.state.counter(key)

    def del_counter(self, key: str) -> None:
        self._state.delete_counter(key)

    def put_state(self, key: str, value: bytes | str) -> None:
        self._state.put(key, value.encode() if isinstance(value, str) else bytes(value))

    def get_state(self, key: str) -> bytes | None:
        return self._state.state.get(key)

    def del_state(self, key: str) -> None:
        """Ours, beyond the standard interface."""
        self._state.delete(key)

    def get_state_object(self, key: str, factory: Callable[[], Any]) -> Any:
        """Ours, beyond the standard interface: a live object that is part of the state. `Models` asks for it."""
        return self._state.state.object(key, factory)

    def del_state_object(self, key: str) -> None:
        """Ours, beyond the standard interface. Not taken back where the event fails."""
        self._state.state.delete_object(key)

    def get_processing_time(self) -> int:
        """Ours, beyond the standard interface: the test's own clock, in milliseconds since the Unix epoch."""
        return self.now_ms

    def set_timer(self, name: str, at_ms: int) -> None:
        """Ours, beyond the standard interface: `on_timer` is called when the test's clock has come to `at_ms`."""
        if not self.has_timers:
            raise InstanceError("the function has no on_timer", mend="define on_timer(self, name, at_ms, context)")
        if type(at_ms) is not int:
            raise DataError(f"a timer is set to milliseconds since 1970, not {at_ms!r}")
        self._state.set_timer(name, at_ms)

    def delete_timer(self, name: str) -> None:
        """Ours, beyond the standard interface."""
        self._state.set_timer(name, None)

    def send_late(self, event: Any) -> None:
        """Ours, beyond the standard interface: the event goes to the deployment's late topic."""
        self.late.append(copy.deepcopy(event))


def topic_of(name: str, partition: int | None = None) -> str:
    """Topic of a named input here: its last part is the name, so that it needs no binding."""
    topic = f"persistent://{TENANT}/{NAMESPACE}/{name}"
    return topic if partition is None else f"{topic}{PARTITION_SUFFIX}{partition}"
