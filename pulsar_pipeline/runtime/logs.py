"""Where an instance's log goes: a rotating file of JSON lines, and the deployment's log topic where it has one."""

from __future__ import annotations

import contextlib
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pulsar
import structlog

_MAX_BYTES = 50_000_000
_KEPT_FILES = 3
_PENDING = 1000
"""Log messages on their way to the log topic; more are dropped there (never from the file)."""


def _formatter() -> logging.Formatter:
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(default=str),
        ],
        foreign_pre_chain=shared,
    )


def log_to_file(path: Path, level: str) -> None:
    """Everything any logger of this process says goes to `path`, one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT_FILES)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


class LogTopic(logging.Handler):
    """Sends records to a topic; never waits and never fails the function for the sake of a log line."""

    def __init__(self, client: pulsar.Client, topic: str, instance_id: int) -> None:
        super().__init__()
        self.setFormatter(_formatter())
        self._properties = {"instance": str(instance_id)}
        self._producer: Any = client.create_producer(
            topic,
            batching_enabled=True,
            batching_max_publish_delay_ms=100,
            max_pending_messages=_PENDING,
            block_if_queue_full=False,
            initial_sequence_id=1,  # 0 counts as unset where deduplication is on
        )

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(pulsar.PulsarException):
            self._producer.send_async(
                self.format(record).encode(), None, properties=self._properties | {"level": record.levelname}
            )

    def close(self) -> None:
        with contextlib.suppress(pulsar.PulsarException):
            self._producer.close()
        super().close()
