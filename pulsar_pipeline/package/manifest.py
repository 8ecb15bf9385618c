"""`manifest.json` of a package: what the function is, as its runtime needs to know it.

Layout of an archive (the one the functions worker takes for Python):

    NAME/src/manifest.json            this
    NAME/src/*.py                     the function's modules
    NAME/src/schemas/*.avsc           its Avro schemas
    NAME/src/pulsar_pipeline/…        the modules of this product it imports, for runtimes that lack them
    NAME/requirements.txt             empty: what it locked is in deps/
    NAME/deps/*.whl                   the wheels (none in a slim package)

Standard library only: this module is copied into packages.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """One function, packaged. Schema values are file names below `src/schemas/`."""

    name: str
    class_name: str
    inputs: dict[str, str]
    output: str | None
    output_key: str | None
    config: dict[str, Any]
    product_version: str
    python: str = ""
    platform: str = ""
    wheels: dict[str, str] = field(default_factory=dict)
    """Wheel file name → sha256."""
    slim: bool = False
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises ValueError on a format this version does not know."""
        document = json.loads(text)
        if document.get("format") != FORMAT:
            raise ValueError(f"package format {document.get('format')!r}; this version reads format {FORMAT}")
        return cls(**document)

    @classmethod
    def load(cls, src: Path) -> Manifest:
        """From an unpacked package's `src` folder."""
        return cls.from_json((src / FILE_NAME).read_text())
