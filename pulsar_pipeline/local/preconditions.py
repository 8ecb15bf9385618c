"""What must hold before a cluster is started; told in words instead of by a JVM's stack trace."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.names import is_name

NEEDED_DISK_BYTES = 1 << 30
_UNFIT = re.compile(r"[^\w./@:+,=~-]")
"""What may not stand in a URL as it is; Pulsar builds URLs from paths."""


def check_names(names: Sequence[str]) -> None:
    """Raises LocalError for a name no cluster can have, or one that stands twice."""
    wrong = next((name for name in names if not is_name(name)), None)
    if wrong is not None:
        raise LocalError(f"not a name for a cluster: {wrong!r}", mend="use small letters, digits, - and _")
    if len(set(names)) != len(names):
        raise LocalError("a cluster is named twice")


def check_folder(folder: Path) -> None:
    """Raises LocalError for a folder under which Pulsar cannot store data."""
    if _UNFIT.search(str(folder)):
        raise LocalError(
            "Pulsar cannot store its data under a path with blanks or special characters",
            where=str(folder),
            mend="put the clusters elsewhere with --folder",
        )


def check_disk(folder: Path) -> None:
    """Raises LocalError when the folder's disk is nearly full."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_DISK_BYTES:
        raise LocalError(
            f"only {free >> 20} MB of disk are free; the clusters need {NEEDED_DISK_BYTES >> 20} MB to start",
            where=str(folder),
            mend="free some, or put the clusters elsewhere with --folder",
        )
