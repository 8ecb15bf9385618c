"""The wheels a lock pins: from the cache by hash, or downloaded once by pip with its own index configuration."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.archive import file_digest
from pulsar_pipeline.package.requirements import Locked

DOWNLOAD_TIMEOUT_S = 900


def fetch_wheels(pins: Sequence[Locked], cache: Path, where: Path) -> dict[Path, str]:
    """Wheel file → sha256 for every pin, in the order of file names. Raises PackageError.

    The cache holds `SHA256/NAME.whl`; what is there is used without a network, after its hash is checked again.
    """
    cache.mkdir(parents=True, exist_ok=True)
    tags = list(sys_tags())
    found = {pin.name: _cached(pin, cache, tags) for pin in pins}
    missing = [pin for pin in pins if found[pin.name] is None]
    if missing:
        _download(missing, cache, where)
        found |= {pin.name: _cached(pin, cache, tags) for pin in missing}
    for pin in pins:
        if found[pin.name] is None:
            raise PackageError(f"{pin.name} {pin.version} was not downloaded", where=f"{where}:{pin.line}")
    wheels = [path for path in found.values() if path is not None]
    return {path: path.parent.name for path in sorted(wheels, key=lambda path: path.name)}


def built_for(wheels: Sequence[str]) -> tuple[str, str]:
    """(python, platform) that the wheels need, for the manifest; empty texts when any will do."""
    if all(name.endswith("-none-any.whl") for name in wheels):
        return "", ""
    return f"{sys.version_info.major}.{sys.version_info.minor}", sysconfig.get_platform()


def _cached(pin: Locked, cache: Path, tags: Sequence[Tag]) -> Path | None:
    """The wheel this machine likes best among those of the pin that the cache has."""
    rank = {tag: index for index, tag in enumerate(tags)}
    candidates: list[tuple[int, str, Path]] = []
    for sha256 in pin.hashes:
        for path in (cache / sha256).glob("*.whl"):
            usable = [rank[tag] for tag in parse_wheel_filename(path.name)[3] if tag in rank]
            if usable and file_digest(path) == sha256:
                candidates.append((min(usable), path.name, path))
    return min(candidates)[2] if candidates else None


def _download(pins: Sequence[Locked], cache: Path, where: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text("".join(f"{pin.text}\n" for pin in pins), encoding="utf-8")
        _pip_download(lock, Path(folder), where)
        for path in sorted(Path(folder).glob("*.whl")):
            _expect(path, pins, where)
            home = cache / file_digest(path)
            home.mkdir(exist_ok=True)
            path.replace(home / path.name)


def _pip_download(lock: Path, into: Path, where: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock), "-d", str(into)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"the wheels were not there after {DOWNLOAD_TIMEOUT_S} s", where=str(where), mend="is the index reachable?"
        ) from error
    if done.returncode:
        raise PackageError(
            f"pip cannot download the wheels: {_reason(done.stderr)}",
            where=str(where),
            mend="every distribution needs a wheel for this Python and platform under one of its hashes",
        )


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it gave no reason"])[-1]


def _expect(path: Path, pins: Sequence[Locked], where: Path) -> None:
    try:
        name = canonicalize_name(parse_wheel_filename(path.name)[0])
    except InvalidWheelFilename as error:
        raise PackageError(f"not the name of a wheel: {path.name}", where=str(where)) from error
    if name not in {pin.name for pin in pins}:
        raise PackageError(f"pip brought {path.name}, which no line asks for", where=str(where))
