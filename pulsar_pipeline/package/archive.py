"""The zip itself: written so that the same content gives the same bytes anywhere, read so that nothing gets out.

Nothing is compressed. Compressed bytes differ between builds of zlib, so a digest over them would depend on the
machine; wheels, which are nearly all of a package, are compressed already.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can say."""

REBUILD = "build the package again"

DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)
"""What zipfile raises on bytes that are not, or no longer, a zip."""

_UNIX = 3
_MODE = (stat.S_IFREG | 0o644) << 16


def write_archive(path: Path, entries: Mapping[str, Path | bytes]) -> None:
    """Write `path` from archive name → file or content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = _UNIX, _MODE
            content = entries[name]
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            info.file_size = content.stat().st_size
            with content.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_digest(path: Path) -> str:
    """`sha256:…` of a package, the same as of its content. Raises PackageError if it cannot be read."""
    try:
        return f"sha256:{file_digest(path)}"
    except OSError as error:
        raise PackageError(f"cannot read the package: {error.strerror}", where=str(path)) from error


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose every member is a plain file below the top. Raises PackageError, also for damage met inside."""
    if not path.is_file():
        raise PackageError("there is no such file", where=str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _refuse_escape(info, path)
            yield archive
    except DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a full disk is not the archive's fault; a seek to nowhere is
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> PackageError:
    return PackageError(f"the archive is damaged: {error}", where=str(path), mend=REBUILD)


def _refuse_escape(info: zipfile.ZipInfo, path: Path) -> None:
    parts = PurePosixPath(info.filename).parts
    unsafe = info.filename.startswith("/") or ".." in parts or "\\" in info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if unsafe or not parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PackageError(f"the archive holds what it may not: {info.filename!r}", where=str(path), mend=REBUILD)


def read_manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """The manifest of an opened package, which lies where the functions worker looks. Raises PackageError."""
    name = f"{path.stem}/src/{FILE_NAME}"
    try:
        text = archive.read(name).decode("utf-8")
        return Manifest.from_json(text)
    except KeyError:
        mend = "the file has to be called NAME.zip after the function, as it was built"
        raise PackageError(f"no {name} inside", where=str(path), mend=mend) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise PackageError(f"the manifest cannot be read: {error}", where=str(path), mend=REBUILD) from error


def member_digest(archive: zipfile.ZipFile, name: str) -> str:
    """sha256 of one member, in hex. A damaged one raises BadZipFile."""
    digest = hashlib.sha256()
    with archive.open(name) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def extract(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    """One member to a file. A damaged one raises BadZipFile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
