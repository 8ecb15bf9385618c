"""The `pulsar.Context` that a function is called with: the whole standard interface, on the runtime's own parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pulsar
from pulsar.functions import serde as standard_serde

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.sink import Callback, Sink
from pulsar_pipeline.runtime.state import MemoryState, StateStore
from pulsar_pipeline.runtime.stats import Stats


class FunctionContext(pulsar.Context):  # type: ignore[misc]
    """One per instance, used by the loop's thread: `begin` moves it to the event in work."""

    def __init__(
        self,
        arguments: Arguments,
        user_config: Mapping[str, Any],
        secrets: Callable[[str], str | None],
        *,
        client: pulsar.Client,
        sink: Sink,
        stats: Stats,
        logger: logging.Logger,
    ) -> None:
        self._arguments = arguments
        self._details = arguments.details
        self._user_config = dict(user_config)
        self._secrets = secrets
        self._client = client
        self._sink = sink
        self._state: StateStore = MemoryState()  # of no event: what `setup` sees
        self._stats = stats
        self._logger = logger
        self._serdes: dict[str, Any] = {}
        self._message: Any = None
        self._origin: InputPartition | None = None

    def begin(self, message: Any, origin: InputPartition, state: StateStore) -> None:
        """The event that every `get_message_*` speaks of from now on, and the state of its partition."""
        self._state = state
        self._message = message
        self._origin = origin

    # ── the event in work ───────────────────────────────────────────────────────────────────────

    def get_message_id(self) -> Any:
        return self._message.message_id()

    def get_message_key(self) -> str:
        return str(self._message.partition_key())

    def get_message_eventtime(self) -> int:
        return int(self._message.event_timestamp())

    def get_message_properties(self) -> dict[str, str]:
        return dict(self._message.properties())

    def get_current_message_topic_name(self) -> str:
        if self._origin is None:
            raise InstanceError("there is no event in work")
        return self._origin.full_name

    def get_partition_key(self) -> str:
        return self.get_message_key()

    def get_ordering_key(self) -> str:
        return str(self._message.ordering_key())

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
        self._stats.record_metric(metric_name, float(metric_value))

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
        """Queue a message for any topic; it is stored before the event in work is acknowledged."""
        payload = self._serde(serde_class_name).serialize(message)
        options = dict(message_conf or {})
        if properties:
            options["properties"] = {str(name): str(value) for name, value in properties.items()}
        self._sink.send(topic_name, payload.encode() if isinstance(payload, str) else payload, callback, **options)

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
        self._state.increment(key, amount)

    def get_counter(self, key: str) -> int:
        return self._state.counter(key)

    def del_counter(self, key: str) -> None:
        self._state.delete_counter(key)

    def put_state(self, key: str, value: bytes | str) -> None:
        self._state.put(key, value.encode() if isinstance(value, str) else bytes(value))

    def get_state(self, key: str) -> bytes | None:
        return self._state.get(key)

    def del_state(self, key: str) -> None:
        self._state.delete(key)

    def get_state_object(self, key: str, factory: Callable[[], Any]) -> Any:
        """Ours, beyond the standard interface: a live object that is part of the partition's state."""
        return self._state.object(key, factory)
