"""Process entry of an instance without a functions worker: `python -m pulsar_pipeline.runtime.foreground ARGUMENTS`.

The arguments are those of a functions worker (`rollout/instance_arguments.py` makes them); the log goes to standard
error, for people or a container's log. It ends on SIGTERM and Ctrl-C, and when the process that started it is gone.
"""

from __future__ import annotations

import logging
import os
import sys
import time

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime import arguments as worker_arguments
from pulsar_pipeline.runtime.instance import EXIT_FAILED
from pulsar_pipeline.runtime.main import run
from pulsar_pipeline.settings import Settings


def log_to_terminal(instance: int, level: str) -> None:
    """Everything any logger of this process says goes to standard error, a line each, times in UTC."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter(f"%(asctime)s.%(msecs)03dZ %(levelname)s instance {instance}: %(message)s")
    formatter.converter, formatter.default_time_format = time.gmtime, "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = None
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def main() -> int:
    """Run one instance until it is stopped."""
    try:
        arguments = worker_arguments.parse(sys.argv[1:])
    except InstanceError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    settings = Settings()
    log_to_terminal(arguments.instance_id, settings.log_level)
    arguments.log_path.parent.mkdir(parents=True, exist_ok=True)  # the client library's own log goes there
    return run(arguments, settings)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # the client library's threads and a function's own must not keep the process
