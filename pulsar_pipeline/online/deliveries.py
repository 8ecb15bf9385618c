"""What an event has published, on its way to the broker: waited for, or followed by an acknowledgement."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pulsar

from pulsar_pipeline.errors import ClusterError

Callback = Callable[[Any, Any], None]


class Deliveries:
    """Messages of one event. Callbacks come from the client's threads."""

    def __init__(self, when_stored: Callable[[], None] | None = None) -> None:
        """`when_stored()` is called once the event is done and all its messages are stored; never if one was not."""
        self._when_stored = when_stored
        self._changed = threading.Condition()
        self._open = 1  # the event itself, until it is done
        self._failure: ClusterError | None = None

    def one_more(self, topic: str, then: Callback | None = None) -> Callback:
        """The callback for a message that is about to be sent; `then` is the author's own."""
        with self._changed:
            self._open += 1

        def heard(result: Any, identity: Any) -> None:
            try:
                if then is not None:
                    then(result, identity)
            finally:
                self._close(
                    None if result == pulsar.Result.Ok else ClusterError(f"not published: {result}", where=topic)
                )

        return heard

    def done(self) -> None:
        """The event is processed; nothing more is sent."""
        self._close(None)

    def wait(self) -> None:
        """Until all is stored. Raises ClusterError where something is not."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0)
            if self._failure is not None:
                raise self._failure

    def _close(self, failure: ClusterError | None) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._open -= 1
            complete = self._open == 0
            self._changed.notify_all()
        if complete and self._failure is None and self._when_stored is not None:
            self._when_stored()
