"""The `pulsar.Context` that a function is called with: the whole standard interface, on the runtime's own parts."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import pulsar
from pulsar.functions import serde as standard_serde

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.processing.effects import Effects
from pulsar_pipeline.runtime.processing.late import LateTopic
from pulsar_pipeline.runtime.processing.turn import Lane
from pulsar_pipeline.runtime.supervision.stats import UserMetric
from pulsar_pipeline.runtime.supervision.watchdog import InWork
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.outgoing import Outgoing, check_size
from pulsar_pipeline.runtime.transport.outlet import Callback

_LANE_OF_TASK: ContextVar[Lane | None] = ContextVar("lane of the event in work", default=None)
"""Set where several events are in work at once: what was given this context in `setup` asks it, not the event's own."""


class FunctionContext(pulsar.Context):  # type: ignore[misc]
    """One per instance, used by the loop's thread: `enter` and `message` move it to the event in work.

    What the event puts into the state or publishes is held back in `effects` until it has succeeded. `idle` is the lane
    of no event, which `setup` sees.
    """

    def __init__(
        self,
        arguments: Arguments,
        user_config: Mapping[str, Any],
        secrets: Callable[[str], str | None],
        *,
        client: pulsar.Client,
        idle: Lane,
        in_work: InWork,
        logger: logging.Logger,
    ) -> None:
        self._arguments = arguments
        self._details = arguments.details
        self._user_config = dict(user_config)
        self._secrets = secrets
        self._client = client
        self._lane = idle
        self._in_work = in_work
        self._logger = logger
        self._serdes: dict[str, Any] = {}
        self._origin: InputPartition | None = None
        self._batch: Sequence[Any] = ()
        self._recorded: dict[str, UserMetric] = {}
        self._output_topic = self.get_output_topic()
        self.message: Any = None
        """The event that every `get_message_*` speaks of."""
        self.effects = Effects(self._output_topic)
        """What the event in work wants to change."""
        self.has_timers = False
        """Whether the function defines `on_timer`."""
        self.late: LateTopic | None = None

    def enter(self, origin: InputPartition, lane: Lane, batch: Sequence[Any] = ()) -> None:
        """The partition whose events come now; `batch` are the events of a micro-batch."""
        self._origin, self._lane, self._batch = origin, lane, batch
        self.message = batch[-1] if batch else None

    def of_event(self, message: Any, origin: InputPartition, lane: Lane) -> FunctionContext:
        """A context for one of several events that are in work at once."""
        own = copy.copy(self)
        own._origin, own._lane, own.message = origin, lane, message
        own.effects = Effects(self._output_topic)
        _LANE_OF_TASK.set(lane)
        return own

    def prepared(self) -> None:
        """`setup` is done: what it published goes out; what it put into the state was of no event, and is gone."""
        self.effects.apply(self._lane)

    def take_metrics(self) -> dict[str, UserMetric]:
        """What was recorded since the last time."""
        recorded = dict(self._recorded)
        self._recorded.clear()
        return recorded

    # ── the event in work ───────────────────────────────────────────────────────────────────────

    def get_message_id(self) -> Any:
        return self.message.message_id()

    def get_message_key(self) -> str:
        return str(self.message.partition_key())

    def get_message_eventtime(self) -> int:
        return int(self.message.event_timestamp())

    def get_message_properties(self) -> dict[str, str]:
        return dict(self.message.properties())

    def get_current_message_topic_name(self) -> str:
        if self._origin is None:
            raise InstanceError("there is no event in work")
        return self._origin.full_name

    def get_message_keys(self) -> list[str]:
        """Ours: the message keys of a micro-batch."""
        return [str(message.partition_key()) for message in self._batch]

    def get_message_eventtimes(self) -> list[int]:
        """Ours: the event times of a micro-batch, in milliseconds; 0 where there is none."""
        return [int(message.event_timestamp()) for message in self._batch]

    def get_partition_key(self) -> str:
        return self.get_message_key()

    def get_ordering_key(self) -> str:
        return str(self.message.ordering_key())

    # ── the function ────────────────────────────────────────────────────────────────────────────

    def get_function_tenant(self) -> str:
        return self._details.tenant

    def get_function_namespace(self) -> str:
        return self._details.namespace

    def get_function_name(self) -> str:
        return self._details.name

    def get_function_id(self) -> str:
        return self._arguments.function_id

    def get_function_version(self) -> str:
        return self._arguments.function_version

    def get_instance_id(self) -> int:
        return self._arguments.instance_id

    def get_input_topics(self) -> list[str]:
        return [binding.topic for binding in self._arguments.config.inputs.values()]

    def get_output_topic(self) -> str:
        output = self._arguments.config.output
        return output.topic if output else ""

    def get_output_serde_class_name(self) -> str:
        return "serde.IdentitySerDe"

    def get_pulsar_client(self) -> pulsar.Client:
        return self._client

    def get_logger(self) -> logging.Logger:
        return self._logger

    def get_user_config_value(self, key: str) -> Any:
        return self._user_config.get(key)

    def get_user_config_map(self) -> dict[str, Any]:
        return dict(self._user_config)

    def get_secret(self, secret_name: str) -> str | None:
        return self._secrets(secret_name)

    def record_metric(self, metric_name: str, metric_value: float) -> None:
        metric = self._recorded.get(metric_name)
        if metric is None:
            metric = self._recorded[metric_name] = UserMetric()
        metric.record(float(metric_value))

    # ── publishing and acknowledging ────────────────────────────────────────────────────────────

    def publish(
        self,
        topic_name: str,
        message: Any,
        serde_class_name: str = "serde.IdentitySerDe",
        properties: Mapping[str, str] | None = None,
        compression_type: Any = None,  # noqa: ARG002 - producers are shared, so compression is the topic's
        callback: Callback | None = None,
        message_conf: Mapping[str, Any] | None = None,
    ) -> None:
        """A message for any topic, sent if the event in work succeeds; under exactly-once when it is committed.

        Raises DataError for a topic that is not there or may not be written, an option unknown, a message too large.
        """
        payload = self._serde(serde_class_name).serialize(message)
        options = {name: value for name, value in (message_conf or {}).items() if value is not None}
        if properties:
            options["properties"] = {str(name): str(value) for name, value in properties.items()}
        outgoing = Outgoing(topic_name, payload.encode() if isinstance(payload, str) else payload, options, callback)
        if topic_name != self._output_topic:
            self._check(outgoing)
        else:
            check_size(outgoing.payload, outgoing.key, topic_name)
        self.effects.publish(outgoing)

    def _check(self, outgoing: Outgoing) -> None:
        with self._in_work.suspended():
            self._lane.check(outgoing)

    def ack(self, msgid: Any, topic: str) -> None:
        """Nothing to do: the instance acknowledges an event once all that came of it is stored."""

    def _serde(self, class_name: str) -> Any:
        name = class_name.rpartition(".")[2]
        if name not in self._serdes:
            found = getattr(standard_serde, name, None)
            if found is None:
                raise InstanceError(
                    f"unknown serde {class_name!r}", mend="serialize to bytes yourself, or use IdentitySerDe"
                )
            self._serdes[name] = found()
        return self._serdes[name]

    # ── state ───────────────────────────────────────────────────────────────────────────────────

    def incr_counter(self, key: str, amount: int) -> None:
        self.effects.increment(key, amount, self._lane.state)

    def get_counter(self, key: str) -> int:
        return self.effects.counter(key, self._lane.state)

    def del_counter(self, key: str) -> None:
        self.effects.delete_counter(key)

    def put_state(self, key: str, value: bytes | str) -> None:
        self.effects.put(key, value.encode() if isinstance(value, str) else bytes(value))

    def get_state(self, key: str) -> bytes | None:
        return self.effects.get(key, self._lane.state)

    def del_state(self, key: str) -> None:
        self.effects.put(key, None)

    def get_state_object(self, key: str, factory: Callable[[], Any]) -> Any:
        """Ours, beyond the standard interface: a live object that is part of the partition's state."""
        return (_LANE_OF_TASK.get() or self._lane).state.object(key, factory)

    def del_state_object(self, key: str) -> None:
        """Ours: forgets a live object; nothing where there is none. As what is done to an object, it is not taken back
        where the event fails."""
        (_LANE_OF_TASK.get() or self._lane).state.delete_object(key)

    # ── timers ──────────────────────────────────────────────────────────────────────────────────

    def get_processing_time(self) -> int:
        """Ours: this machine's time, in milliseconds since the Unix epoch. Not the same when an event is processed
        again after a crash."""
        return time.time_ns() // 1_000_000

    def set_timer(self, name: str, at_ms: int) -> None:
        """Ours: `on_timer` of the function is called at `at_ms` (milliseconds since the Unix epoch) or soon after. A
        name has one timer in a partition: setting it again moves it."""
        if not self.has_timers:
            raise InstanceError("the function has no on_timer", mend="define on_timer(self, name, at_ms, context)")
        if type(at_ms) is not int:
            raise DataError(f"a timer is set to milliseconds since 1970, not {at_ms!r}")
        self.effects.set_timer(name, at_ms)

    def delete_timer(self, name: str) -> None:
        """Ours: nothing where there is none."""
        self.effects.set_timer(name, None)

    # ── late events ─────────────────────────────────────────────────────────────────────────────

    def send_late(self, event: Any) -> None:
        """Ours: the event in work goes to the deployment's late topic, where it has one, with its key and event time.

        Raises DataError for a record that is not one of the event's input.
        """
        if self.late is not None and self._origin is not None:
            outgoing = self.late.message(event, self._origin, self.message)
            self._check(outgoing)
            self.effects.publish(outgoing)
