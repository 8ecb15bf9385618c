"""The package on the worker's disk → the function's class, ready to construct."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.package.unpack import unpack
from pulsar_pipeline.runtime.failures import describe


@dataclass(frozen=True)
class Bundle:
    """An unpacked package on `sys.path`."""

    src: Path
    manifest: Manifest

    def construct(self, context: Any) -> Any:
        """A new object of the function's class, prepared where it knows how to be.

        Raises InstanceError with what the author's module, constructor or setup raised.
        """
        module_name, _, class_name = self.manifest.class_name.rpartition(".")
        try:
            function = getattr(importlib.import_module(module_name), class_name)()
            if prepare := getattr(function, "prepare", None):
                prepare(context)
        except Exception as error:  # whatever the author's code raises is told in `status`
            raise InstanceError(f"{self.manifest.class_name} cannot be constructed: {describe(error)}") from error
        return function


def open_bundle(archive: Path, cache: Path) -> Bundle:
    """Unpack `archive` (once per content; instances of one machine share it) and put it on `sys.path`."""
    unpacked = unpack(archive, cache)
    for folder in (unpacked.site, unpacked.src):
        if folder is not None and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return Bundle(unpacked.src, unpacked.manifest)
