"""Runs an instance with the runtime spoiled, as fault tests want it: a script in place of the product's own.

`PLANTED` names the bugs, with commas; `TUNED` is a JSON object of TUNES, which make rare moments common
and are no bugs. Nothing in the product knows of either.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pulsar_pipeline.runtime import main
from pulsar_pipeline.runtime.guarantees import exactly_once, partition_log
from pulsar_pipeline.runtime.processing import processor
from pulsar_pipeline.runtime.transport import courier, sink, source
from tests.support.bugs import BUGS, patch


def commit_every_s(seconds: float) -> None:
    patch(exactly_once, "COMMIT_EVERY_S", seconds)


def checkpoint_bytes(count: int) -> None:
    """A checkpoint is due after so many bytes of log."""
    patch(partition_log, "_CHECKPOINT_BYTES", count)
    patch(partition_log, "_CHECKPOINT_FACTOR", 0)


def linger_ms(milliseconds: int) -> None:
    """Outputs stay with the client for so long."""
    patch(sink, "_LINGER_MS", milliseconds)


def max_batch(count: int) -> None:
    """So many events are taken at once, and a commit comes between batches only."""
    patch(source, "MAX_BATCH", count)


def event_s(seconds: float) -> None:
    """Every event takes so long."""

    def ready(self: processor.Steps, *args: Any) -> Any:
        time.sleep(seconds)
        return original(self, *args)

    original = patch(processor.Steps, "ready", ready)


def delivered_after_s(seconds: float) -> None:
    """What a commit has released waits for so long."""

    def go_on(self: courier.Courier) -> bool:
        if self._waiting:
            time.sleep(seconds)
        return original(self)

    original = patch(courier.Courier, "go_on", go_on)


def end_once_recovered(code: int) -> None:
    """The process ends with this code when it has claimed and marked its partitions, before its first event."""

    def keep(*args: Any) -> Any:
        original(*args)
        logging.shutdown()
        os._exit(code)

    from pulsar_pipeline.runtime import instance

    original = patch(instance, "keep", keep)


TUNES: dict[str, Callable[[Any], None]] = {
    tune.__name__: tune
    for tune in (commit_every_s, checkpoint_bytes, linger_ms, max_batch, event_s, delivered_after_s, end_once_recovered)
}


def environment(*bugs: str, **tunes: Any) -> dict[str, str]:
    """What the script is to be started with."""
    assert not (unknown := set(bugs) - BUGS.keys() | tunes.keys() - TUNES.keys()), unknown
    return {"PLANTED": ",".join(bugs), "TUNED": json.dumps(tunes)}


def _wanted() -> Iterator[None]:
    for name in filter(None, os.environ.get("PLANTED", "").split(",")):
        yield BUGS[name]()
    for name, value in json.loads(os.environ.get("TUNED", "{}")).items():
        yield TUNES[name](value)


if __name__ == "__main__":
    for _ in _wanted():
        pass
    code = main.main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
