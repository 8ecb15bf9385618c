"""Process entry of an instance: `pythonInstanceLocation` of a functions worker points at this file."""

from __future__ import annotations

import sys
from pathlib import Path

# As a script Python puts this folder first, where our module names would hide the standard library's.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    del sys.path[0]

import logging
import os
import signal

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime import arguments as worker_arguments
from pulsar_pipeline.runtime.instance import EXIT_FAILED, Instance
from pulsar_pipeline.runtime.logs import log_to_file
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.settings import Settings, environment


def main() -> int:
    """Run one instance until the worker stops it."""
    try:
        arguments = worker_arguments.parse(sys.argv[1:])
    except InstanceError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    settings = Settings()
    log_to_file(arguments.log_path, settings.log_level)
    return run(arguments, settings)


def run(arguments: worker_arguments.Arguments, settings: Settings) -> int:
    """One instance in this process, until a signal or its end; the exit code. The log is set up before."""
    stop = StopSignal()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stop.set(f"signal {received}"))
    try:
        return Instance(arguments, settings, environment(), stop).run()
    except InstanceError as error:
        logging.getLogger(__name__).error("%s", error)
        return EXIT_FAILED
    except Exception:  # the process's edge: threads that still run would keep it alive otherwise
        logging.getLogger(__name__).exception("the instance ends")
        return EXIT_FAILED


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # the client library's threads and a function's own must not keep the process
