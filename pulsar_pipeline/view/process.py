"""The materialiser as a process of its own: `python -m pulsar_pipeline.view.process CONFIG LIFELINE_FD`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import PipelineError
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.lifeline import hold_on
from pulsar_pipeline.view.materialise import materialise

LOG_FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Runs until SIGTERM, SIGINT or the parent's end; 1 after an error."""
    config = ServeConfig.model_validate_json(Path(arguments[0]).read_text())
    logging.basicConfig(level=config.log_level, format=LOG_FORMAT.replace("%(processName)s", "materialiser"))
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # not in the handler itself: it may interrupt the very wait that holds the event's lock
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    hold_on(int(arguments[1]))
    try:
        _run(config, stop)
    except PipelineError as error:
        _log.error("%s", error)
        return 1
    return 0


def _run(config: ServeConfig, stop: threading.Event) -> None:
    client = open_client(config.cluster, log_file=config.run_folder / "client.log")
    try:
        with AdminHttp(config.cluster_name, config.cluster) as admin:
            materialise(config.views, config.folder, client=client, admin=admin, clock=SystemClock(), stop=stop)
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
