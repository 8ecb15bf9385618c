"""Functions of a few lines, written into a test's folder."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

READING = {
    "type": "record",
    "name": "Reading",
    "fields": [{"name": "id", "type": "string"}, {"name": "value", "type": "double"}],
}

DEFINITION = """\
name: {name}
description: For tests.
class: function.Echo
inputs:
  readings: {{schema: schemas/reading.v1.avsc}}
output: {{schema: schemas/reading.v1.avsc, key: id}}
config: {{add: 1}}
sample: sample/events.jsonl
"""

ECHO = """\
from pulsar_pipeline.online.function import StreamFunction, on


class Echo(StreamFunction):
    def setup(self, context):
        self.add = self.config(context)["add"]

    @on("readings")
    def echo(self, event, context):
        context.record_metric("value", event["value"])
        return {**event, "value": event["value"] + self.add}
"""

SAMPLE = [
    {"input": "readings", "event": {"id": "a", "value": 1.5}},
    {"input": "readings", "event": {"id": "b", "value": 2}},
]


def write_function(
    parent: Path, name: str = "echo", *, code: str = ECHO, files: Mapping[str, str] | None = None
) -> Path:
    """`parent/NAME` with a definition, a schema, a sample and `function.py`; `files` are further ones, or others."""
    folder = parent / name
    contents = {
        "function.yaml": DEFINITION.format(name=name),
        "function.py": code,
        "schemas/reading.v1.avsc": json.dumps(READING),
        "sample/events.jsonl": "".join(json.dumps(event) + "\n" for event in SAMPLE),
    }
    contents |= files or {}
    for relative, text in contents.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_wheel(folder: Path, name: str = "tinydep", version: str = "1.0", files: dict[str, str] | None = None) -> Path:
    """A pure wheel `NAME-VERSION-py3-none-any.whl` with a module NAME, or the given files."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    contents = {f"{name}.py": f"VERSION = {version!r}\n"} if files is None else files
    contents = contents | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_record_hash(text)},{len(text)}\n" for file, text in contents.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file, text in {**contents, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(file, text)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cache_wheel(cache: Path, wheel: Path) -> str:
    """Put a wheel where the build looks before it downloads; returns its line for a lock."""
    digest = sha256(wheel)
    home = cache / digest
    home.mkdir(parents=True, exist_ok=True)
    wheel.replace(home / wheel.name)
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
