"""Under a runtime that is not ours: what a plain `pulsar.Context` lacks, added around it.

Pulsar's own Python instance acknowledges an event when `process` comes back, so what the event publishes is waited for
before that: at least once. With `processingGuarantees: MANUAL` (or `autoAck: false`) in the function's config nothing
is waited for: the event is acknowledged here, once all that it published is stored. That is many times as fast.

An output goes to the output's partition of the same number as the event's, as under our runtime. Live objects
(`Models`) are in memory, for each partition apart; so are values and counters where the instance has no state store.
They begin as a checkpoint has them: the file that the config names, `pulsar_pipeline: {checkpoint: {file: PATH,
sha256: HEX}}`, or the one in the package (`online/checkpoint.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.names import PARTITION_SUFFIX, parse_topic
from pulsar_pipeline.online.checkpoint import States, read_checkpoint
from pulsar_pipeline.online.context import RESERVED_KEY
from pulsar_pipeline.online.deliveries import Callback, Deliveries
from pulsar_pipeline.online.state import MemoryState, State
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.wire import wire_schema

_log = logging.getLogger(__name__)

_PROBE = "pulsar_pipeline.probe"
"""State key that is read, never written, to learn whether there is a store."""


_MANUAL = 3
"""Of `ProcessingGuarantees` in Function.proto."""


@dataclass(frozen=True, slots=True)
class OutputMessage:
    """An encoded output."""

    payload: bytes
    key: str | None
    event_time_ms: int | None

    def options(self) -> dict[str, Any]:
        """Of the client's `send`, or `message_conf` of `publish`."""
        named = {"partition_key": self.key, "event_timestamp": self.event_time_ms}
        return {name: value for name, value in named.items() if value is not None}


class StockContext:
    """Everything of the given context, and state, outputs and acknowledgements that can be relied on."""

    def __init__(self, context: Any, output: Schema | None, packaged: Path | None = None) -> None:
        """`output` is the schema that outputs are published with where the context tells its client, `packaged` a
        checkpoint that the package has. Raises StateLogError for a checkpoint that cannot be read."""
        self._context = context
        self._output = output
        self._client = _client_of(context)
        self._producers: dict[str, Any] = {}
        self._output_topics: dict[int | None, str] = {}
        self._acks_itself = _acks_itself(context)
        self._deliveries = Deliveries()
        self._has_store = _has_store(context)
        self._states: dict[int | None, State] = {
            partition: MemoryState(stored) for partition, stored in _checkpoint(context, packaged).items()
        }
        if not hasattr(context, "get_state_object"):
            self.get_state_object, self.del_state_object = self._object, self._forget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def is_of(self, context: Any) -> bool:
        """Whether it is this context that was given."""
        return self._context is context

    # ── an event's messages ─────────────────────────────────────────────────────────────────────

    @contextmanager
    def event(self) -> Iterator[None]:
        """The event in work. At its end, if it has not failed, what it published is stored, or will be followed by its
        acknowledgement. Raises ClusterError for what could not be stored."""
        self._deliveries = deliveries = Deliveries(None if self._acks_itself else self._acknowledgement())
        yield
        deliveries.done()
        if self._acks_itself:
            deliveries.wait()

    def answer(self, messages: Sequence[OutputMessage]) -> None:
        """The outputs of the event in work."""
        if not messages:
            return
        topic = self._output_topic()
        for message in messages:
            if self._client is None:
                self.publish(topic, message.payload, message_conf=message.options())
            else:
                heard = self._deliveries.one_more(topic)
                self._producer(topic).send_async(message.payload, heard, **message.options())

    def publish(
        self,
        topic_name: str,
        message: Any,
        serde_class_name: str = "serde.IdentitySerDe",
        properties: Mapping[str, str] | None = None,
        compression_type: Any = None,
        callback: Callback | None = None,
        message_conf: Mapping[str, Any] | None = None,
    ) -> None:
        """As the context's own, and part of the event in work."""
        self._context.publish(
            topic_name,
            message,
            serde_class_name=serde_class_name,
            properties=properties,
            compression_type=compression_type,
            callback=self._deliveries.one_more(topic_name, callback),
            message_conf=dict(message_conf) if message_conf else None,
        )

    def get_output_topic(self) -> str:
        """The deployment's output: the stock instance's own answer to this is an AttributeError."""
        bound = (self._context.get_user_config_value(RESERVED_KEY) or {}).get("output")
        if bound is not None:
            return str(bound["topic"])
        sink = getattr(_details_of(self._context), "sink", None)
        return str(sink.topic) if sink is not None else str(self._context.get_output_topic())

    def _acknowledgement(self) -> Callable[[], None]:
        identity, topic = self._context.get_message_id(), self._context.get_current_message_topic_name()

        def acknowledge() -> None:
            self._context.ack(identity, topic)

        return acknowledge

    def _output_topic(self) -> str:
        partition = self._partition()
        if partition not in self._output_topics:
            topic = self.get_output_topic()
            own = None if partition is None else f"{topic}{PARTITION_SUFFIX}{partition}"
            known = [] if self._client is None else self._client.get_topic_partitions(topic)
            self._output_topics[partition] = own if own is not None and own in known else topic
        return self._output_topics[partition]

    def _producer(self, topic: str) -> Any:
        if topic not in self._producers:
            options = {"schema": wire_schema(self._output)} if self._output is not None else {}
            self._producers[topic] = self._client.create_producer(
                topic,
                block_if_queue_full=True,
                # Where each event waits for its outputs, a batch would only wait for company that does not come.
                batching_enabled=not self._acks_itself,
                batching_max_publish_delay_ms=2,
                initial_sequence_id=1,
                **options,
            )
        return self._producers[topic]

    # ── state ───────────────────────────────────────────────────────────────────────────────────

    def get_state(self, key: str) -> bytes | None:
        return self._context.get_state(key) if self._has_store else self._state().get(key)

    def put_state(self, key: str, value: bytes | str) -> None:
        if self._has_store:
            self._context.put_state(key, value)
        else:
            self._state().put(key, value.encode() if isinstance(value, str) else bytes(value))

    def del_state(self, key: str) -> None:
        if self._has_store:
            # The stock context has one way to delete, named after counters.
            getattr(self._context, "del_state", self._context.del_counter)(key)
        else:
            self._state().delete(key)

    def get_counter(self, key: str) -> int:
        """0 for one that is not there, where the stock context gives None."""
        return int(self._context.get_counter(key) or 0) if self._has_store else self._state().counter(key)

    def incr_counter(self, key: str, amount: int) -> None:
        if self._has_store:
            self._context.incr_counter(key, amount)
        else:
            self._state().set_counter(key, self._state().counter(key) + amount)

    def del_counter(self, key: str) -> None:
        if self._has_store:
            self._context.del_counter(key)
        else:
            self._state().delete_counter(key)

    def _object(self, key: str, factory: Callable[[], Any]) -> Any:
        return self._state().object(key, factory)

    def _forget(self, key: str) -> None:
        self._state().delete_object(key)

    def _forget_object(self, key: str) -> None:
        self._state().delete_object(key)

    def _state(self) -> State:
        return self._states.setdefault(self._partition(), MemoryState())

    def _partition(self) -> int | None:
        return parse_topic(self._context.get_current_message_topic_name())[1]


def _checkpoint(context: Any, packaged: Path | None) -> States:
    asked = getattr(context, "get_user_config_value", lambda _key: None)(RESERVED_KEY) or {}
    given = asked.get("checkpoint")
    if given is not None:
        if not isinstance(given, dict) or given.keys() != {"file", "sha256"}:
            raise StateLogError(f"not a checkpoint: {given!r}", mend="give its file and sha256")
        return read_checkpoint(Path(given["file"]), given["sha256"])
    return read_checkpoint(packaged) if packaged is not None else {}


def _client_of(context: Any) -> Any:
    """The context's pulsar.Client, if it tells."""
    ask = getattr(context, "get_pulsar_client", None)
    return ask() if ask is not None else getattr(context, "pulsar_client", None)


def _details_of(context: Any) -> Any:
    """The stock instance's FunctionDetails, or None."""
    return getattr(getattr(context, "instance_config", None), "function_details", None)


def _acks_itself(context: Any) -> bool:
    """Whether the instance acknowledges events; where it does not tell it is taken to."""
    details = _details_of(context)
    manual = getattr(details, "processingGuarantees", None) == _MANUAL
    return bool(getattr(details, "autoAck", True)) and not manual


def _has_store(context: Any) -> bool:
    """Whether values and counters that are put into the context are kept at all."""
    if hasattr(context, "get_state_object"):
        return True
    if getattr(type(context), "put_state", None) in (None, pulsar.Context.put_state):
        return False
    backend = getattr(context, "state_context", ...)
    if backend is None or type(backend).__name__ == "NullStateContext":
        return False
    try:
        context.get_state(_PROBE)
    except Exception as error:  # noqa: BLE001 - another runtime's code, which says so in ways of its own
        _log.warning("no state store here, state is kept in memory: %s: %s", type(error).__name__, error)
        return False
    return True
