"""A deployment's state in one file, for runtimes that have no state log: Pulsar's own Python instance starts from it.

    pulsar-pipeline checkpoint 1
    {"partition": 0, "key": "o:models/m1", "value": "gASV…"}

First the format, then a JSON object a line: partition (null where there is but one without a number), key as a
partition's state has it (`online/state.py`), value in base64. Values hold pickles, and unpickling runs code, so a file
is read only where it is part of the package, or where its SHA-256 is known: both are as trustworthy as the function's
own code then.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from pulsar_pipeline.errors import StateLogError

FILE_NAME = "checkpoint.jsonl"
"""Of a package: beside the modules."""

_FORMAT = b"pulsar-pipeline checkpoint 1\n"

States = Mapping[int | None, Mapping[str, bytes]]
"""By partition: stored key → bytes."""


def write_checkpoint(path: Path, states: States) -> str:
    """Write the file, for its owner's eyes; its SHA-256 in hexadecimal."""
    lines = [
        json.dumps({"partition": partition, "key": key, "value": base64.b64encode(value).decode()})
        for partition, state in states.items()
        for key, value in sorted(state.items())
    ]
    data = _FORMAT + "".join(f"{line}\n" for line in lines).encode()
    path.touch(mode=0o600)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_checkpoint(path: Path, sha256: str | None = None) -> dict[int | None, dict[str, bytes]]:
    """The states in the file. Raises StateLogError where it is missing, of another format, damaged, or has another
    SHA-256 than the given one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateLogError(f"the checkpoint cannot be read: {error.strerror}", where=str(path)) from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and not hmac.compare_digest(found, sha256.lower()):
        raise StateLogError(
            f"the checkpoint is not the one that the config names: its SHA-256 is {found}",
            where=str(path),
            mend="put the right file there, or correct the config",
        )
    if not data.startswith(_FORMAT):
        raise StateLogError(f"not a checkpoint that begins with {_FORMAT.decode().strip()!r}", where=str(path))
    states: dict[int | None, dict[str, bytes]] = {}
    for number, line in enumerate(data[len(_FORMAT) :].splitlines(), start=2):
        try:
            entry = json.loads(line)
            state = states.setdefault(entry["partition"], {})
            state[entry["key"]] = base64.b64decode(entry["value"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise StateLogError(f"not a line of a checkpoint: {error}", where=f"{path}:{number}") from error
    return states
