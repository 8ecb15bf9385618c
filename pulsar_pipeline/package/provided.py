"""What a runtime brings along: installed distributions, by their metadata."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.requirements import Locked

PRODUCT = "pulsar-pipeline"
BASE = ("pulsar-client", "fastavro")
"""What every runtime of a package has, the stock one with the client's Avro extra included."""


def runtime_distributions(root: str = PRODUCT) -> frozenset[str]:
    """Canonical names of `root`'s requirements in this environment, and of theirs; itself not."""
    return frozenset(_closure([root])) - {canonicalize_name(root)}


def split_provided(pins: Iterable[Locked], provided: Collection[str], where: Path) -> tuple[list[Locked], list[Locked]]:
    """Which pins need a wheel and which the runtime has.

    Raises PackageError when the runtime has another version than the lock: both would want to be imported.
    """
    names = {canonicalize_name(name) for name in provided}
    needed: list[Locked] = []
    present: list[Locked] = []
    for pin in pins:
        if pin.name not in names:
            needed.append(pin)
            continue
        installed = _find(pin.name).version
        if not _same_version(installed, pin.version):
            raise PackageError(
                f"{pin.name}: the function locks {pin.version}, the runtime has {installed}",
                where=f"{where}:{pin.line}",
                mend=f"lock {pin.name}=={installed}, or build without --slim",
            )
        present.append(pin)
    return needed, present


def expose(names: Iterable[str], folder: Path) -> None:
    """Link the distributions and what they need into `folder`, as an import path that holds nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(_closure(names)):
        found = _find(name)
        for entry in sorted({file.parts[0] for file in found.files or () if file.parts[0] != ".."}):
            link = folder / entry
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(entry))).resolve())


def _closure(names: Iterable[str]) -> set[str]:
    known: set[str] = set()
    pending = [(canonicalize_name(name), True) for name in names]
    while pending:
        name, required = pending.pop()
        if name in known:
            continue
        try:
            found = _find(name)
        except PackageError:
            if required:
                raise
            continue
        known.add(name)
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                # Extras (`uvicorn[standard]`) may be missing without harm; only what is there is provided.
                extras = [(canonicalize_name(extra), False) for extra in _of_extras(requirement)]
                pending.extend([(canonicalize_name(requirement.name), True), *extras])
    return known


def _of_extras(requirement: Requirement) -> list[str]:
    if not requirement.extras:
        return []
    wanted = []
    for text in _find(requirement.name).requires or ():
        inner = Requirement(text)
        if inner.marker and any(inner.marker.evaluate({"extra": extra}) for extra in requirement.extras):
            wanted.append(inner.name)
    return wanted


def _find(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise PackageError(f"{name} is not installed here", mend="run make again, it installs what is locked") from None


def _same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return re.sub(r"\s", "", one) == re.sub(r"\s", "", other)
