"""What the event in work wants to change, held back until it is known that the event succeeds."""

from __future__ import annotations

from pulsar_pipeline.online.state import State, checked_key
from pulsar_pipeline.runtime.processing.turn import Lane
from pulsar_pipeline.runtime.transport.outgoing import Outgoing


class Effects:
    """Values, counters, timers and messages of one event over the state it sees: applied together or forgotten."""

    __slots__ = ("_counters", "_messages", "_output_topic", "_timers", "_values", "any")

    def __init__(self, output_topic: str) -> None:
        """What is published to `output_topic` by hand counts as the event's output."""
        self._output_topic = output_topic
        self._values: dict[str, bytes | None] = {}
        self._counters: dict[str, int | None] = {}
        self._timers: dict[str, int | None] = {}
        self._messages: list[Outgoing] = []
        self.any = False
        """Whether there is anything to apply."""

    def put(self, key: str, value: bytes | None) -> None:
        """None deletes. Raises DataError for a key that no state can hold."""
        self._values[checked_key(key)] = value
        self.any = True

    def get(self, key: str, state: State) -> bytes | None:
        return self._values[key] if key in self._values else state.get(key)

    def increment(self, key: str, amount: int, state: State) -> None:
        self._counters[checked_key(key)] = self.counter(key, state) + amount
        self.any = True

    def counter(self, key: str, state: State) -> int:
        return (self._counters[key] or 0) if key in self._counters else state.counter(key)

    def delete_counter(self, key: str) -> None:
        self._counters[key] = None
        self.any = True

    def set_timer(self, name: str, at_ms: int | None) -> None:
        """None deletes. Raises DataError for a name that no state can hold."""
        self._timers[checked_key(name)] = at_ms
        self.any = True

    def publish(self, message: Outgoing) -> None:
        self._messages.append(message)
        self.any = True

    def apply(self, lane: Lane) -> None:
        """The event has succeeded."""
        self.apply_state(lane)
        self.apply_messages(lane)
        self.clear()

    def apply_state(self, lane: Lane) -> None:
        state = lane.state
        for key, value in self._values.items():
            if value is None:
                state.delete(key)
            else:
                state.put(key, value)
        for key, count in self._counters.items():
            if count is None:
                state.delete_counter(key)
            else:
                state.set_counter(key, count)
        for name, at_ms in self._timers.items():
            if at_ms is None:
                state.timers.delete(name)
            else:
                state.timers.set(name, at_ms)

    def apply_messages(self, lane: Lane) -> None:
        for message in self._messages:
            if message.topic == self._output_topic:
                lane.emit(message.payload, message.key, message.options.get("event_timestamp"))
            else:
                lane.publish(message)

    def clear(self) -> None:
        """The event has failed, or all is applied."""
        if self.any:
            self._values.clear()
            self._counters.clear()
            self._timers.clear()
            self._messages.clear()
            self.any = False
