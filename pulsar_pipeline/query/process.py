"""One HTTP worker as a process: `python -m pulsar_pipeline.query.process CONFIG LIFELINE_FD SOCKET_FD`.

Its counters go to the folder that the environment variable PROMETHEUS_MULTIPROC_DIR names (read by prometheus-client
itself, when it is first imported), which the starting process sets.
"""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import uvicorn

from pulsar_pipeline.errors import PipelineError
from pulsar_pipeline.query.app import create_app
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.lifeline import hold_on
from pulsar_pipeline.view.process import LOG_FORMAT

GRACE_S = 3
"""What requests under way get to end when the worker is told to stop."""

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM, SIGINT or the parent's end; 1 after an error."""
    config = ServeConfig.model_validate_json(Path(arguments[0]).read_text())
    logging.basicConfig(level=config.log_level, format=LOG_FORMAT.replace("%(processName)s", "http"))
    hold_on(int(arguments[1]))
    try:
        app = create_app(config, shared_metrics=config.counters_folder)
    except PipelineError as error:
        _log.error("%s", error)
        return 1
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.run(sockets=[socket.socket(fileno=int(arguments[2]))])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
