"""The commands of the demo, run as a user would type them, and shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

from pulsar_pipeline.errors import ExitCode, LocalError

PROGRAM = "pulsar-pipeline"


def program(arguments: Sequence[str]) -> list[str]:
    """How this interpreter runs a command of the product."""
    return [sys.executable, "-m", "pulsar_pipeline.cli", *arguments]


def run(arguments: Sequence[str], show: Callable[[str], None], *, quiet: bool = False) -> None:
    """Run `pulsar-pipeline ARGUMENTS`; its output is the user's to see, on standard error, unless `quiet`: standard
    output is for the demo's own results.

    Raises LocalError when it fails; its own message has been shown then.
    """
    show(f"{PROGRAM} {' '.join(arguments)}")
    done = subprocess.run(program(arguments), check=False, stdout=subprocess.DEVNULL if quiet else sys.stderr)
    if done.returncode == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode != ExitCode.OK:
        raise LocalError(
            f"{PROGRAM} {arguments[0]} ended with exit code {done.returncode}", mend="see its message above"
        )
