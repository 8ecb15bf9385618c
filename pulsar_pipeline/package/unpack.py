"""A package laid out for an instance: built aside under a lock, then renamed: it is there whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.archive import REBUILD, extract, file_digest, open_zip, package_digest, read_manifest
from pulsar_pipeline.package.manifest import Manifest

MARKER = ".done"
SITE = "site"


@dataclass(frozen=True)
class UnpackedPackage:
    """Folders to put on the import path: `src` first, then `site`."""

    src: Path
    manifest: Manifest
    site: Path | None
    """The package's wheels, unpacked; None when it has none."""


def unpack(archive: Path, into: Path) -> UnpackedPackage:
    """Lay `archive` (`NAME.zip`) out below `into`, once per digest however many instances ask at the same time.

    Blocks while another process unpacks the same package. Raises PackageError for a damaged or unsafe archive or a
    wheel whose hash is not the manifest's; nothing is left behind then.
    """
    digest = package_digest(archive).removeprefix("sha256:")
    home = into / digest[:32]
    if not (home / MARKER).is_file():
        into.mkdir(parents=True, exist_ok=True)
        with _lock(into / f"{digest[:32]}.lock"):
            if not (home / MARKER).is_file():
                _build(archive, home, digest)
    src = home / "src"
    site = home / SITE
    manifest = Manifest.load(src)
    _check_python(manifest, archive)
    return UnpackedPackage(src, manifest, site if site.is_dir() else None)


def _check_python(manifest: Manifest, archive: Path) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if manifest.python not in ("", own):
        raise PackageError(
            f"its wheels are for Python {manifest.python}, this is {own}",
            where=str(archive),
            mend=f"build the package with Python {own}",
        )


def _build(archive: Path, home: Path, digest: str) -> None:
    aside = home.with_name(f"{home.name}.building")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that died here; the lock is ours
    try:
        _lay_out(archive, aside)
        (aside / MARKER).write_text(f"{digest}\n")
        shutil.rmtree(home, ignore_errors=True)
        aside.rename(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:  # released by the kernel whatever becomes of this process
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lay_out(path: Path, home: Path) -> None:
    with open_zip(path) as archive:
        manifest = read_manifest(archive, path)
        wheels: list[Path] = []
        for info in archive.infolist():
            if info.is_dir():
                continue
            folder, *rest = PurePosixPath(info.filename).parts[1:] or ("",)
            match folder, rest:
                case "src", [_, *_]:
                    extract(archive, info.filename, home.joinpath("src", *rest))
                case "deps", [name] if name.endswith(".whl"):
                    wheels.append(home / "deps" / name)
                    extract(archive, info.filename, wheels[-1])
        check_wheels({wheel.name: file_digest(wheel) for wheel in wheels}, manifest, path)
    for wheel in sorted(wheels):
        install_wheel(wheel, home / SITE)
    shutil.rmtree(home / "deps", ignore_errors=True)


def check_wheels(found: dict[str, str], manifest: Manifest, path: Path) -> None:
    """Wheel names and hashes in the archive are those of the manifest. Raises PackageError."""
    if found == manifest.wheels:
        return
    wrong = sorted(
        name for name in found.keys() | manifest.wheels.keys() if found.get(name) != manifest.wheels.get(name)
    )
    raise PackageError(f"{wrong[0]} is not the wheel that the manifest names", where=str(path), mend=REBUILD)


def install_wheel(wheel: Path, site: Path) -> None:
    """Unpack a wheel's modules into `site`: its root and the purelib and platlib parts of its `.data` folder.

    Scripts, headers and data files have no use in an instance and are left out. Raises PackageError.
    """
    with open_zip(wheel) as archive:
        for info in archive.infolist():
            target = _installed_path(info.filename)
            if target is not None and not info.is_dir():
                extract(archive, info.filename, site / target)


def _installed_path(name: str) -> PurePosixPath | None:
    parts = PurePosixPath(name).parts
    if not parts[0].endswith(".data"):
        return PurePosixPath(*parts)
    if len(parts) > 2 and parts[1] in ("purelib", "platlib"):
        return PurePosixPath(*parts[2:])
    return None
