"""Pulsar's own modules: fetched once through Maven into the download cache, checked against a packaged list."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import mkdtemp

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local.lock import exclusive
from pulsar_pipeline.local.progress import Report

VERSION = "4.0.7"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"
_DONE = ".done"
_EVERY = 25
"""Jars between two lines of progress."""


def pulsar_modules(cache: Path, *, java_home: Path | None, report: Report) -> Sequence[Path]:
    """The jars of Pulsar, sorted; fetched if the cache lacks them (about 250 MB, half a minute on a good line).

    `java_home` is for Maven, where no Java is on PATH. Raises LocalError.
    """
    folder = cache / f"pulsar-{VERSION}"
    if not (folder / _DONE).exists():
        with exclusive(cache / f"pulsar-{VERSION}.lock", waiting="waiting for another download", report=report):
            if not (folder / _DONE).exists():
                _install(folder, java_home=java_home, report=report)
    return sorted(folder.glob("*.jar"))


def expected_hashes() -> dict[str, str]:
    """File name → SHA-256 of every module."""
    lines = files(__package__).joinpath(f"conf/pulsar-{VERSION}.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def damage(found: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """What is wrong with a set of modules (file name → SHA-256), None if nothing is."""
    missing = sorted(expected.keys() - found.keys())
    if missing:
        return f"{len(missing)} of {len(expected)} modules are missing, {missing[0]} among them"
    changed = sorted(name for name in expected if found[name] != expected[name])
    if changed:
        return f"{changed[0]} is not the file it should be (SHA-256 {found[changed[0]]})"
    return None


def _install(folder: Path, *, java_home: Path | None, report: Report) -> None:
    """Build aside, check, rename, mark as done."""
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalError(
            "Maven (`mvn`) is needed once, to fetch Pulsar's modules, and is not on PATH",
            mend="install it, for example with `apt-get install maven` or `brew install maven`",
        )
    expected = expected_hashes()
    report(f"fetching Pulsar {VERSION}: {len(expected)} modules, about 250 MB, into {folder}")
    aside = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fetch(maven, aside, total=len(expected), java_home=java_home, report=report)
        for stray in {path.name for path in aside.iterdir()} - expected.keys():
            (aside / stray).unlink()
        wrong = damage(dict(_hashes(aside)), expected)
        if wrong is not None:
            raise LocalError(
                wrong,
                where=f"Pulsar {VERSION} from Maven",
                mend="remove it from the local Maven repository and try again",
            )
        (aside / _DONE).touch()
        aside.chmod(0o755)
        if folder.exists():  # without its done marker: the rest of something that broke off
            shutil.rmtree(folder)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetch(maven: str, into: Path, *, total: int, java_home: Path | None, report: Report) -> None:
    environment = ["env", f"JAVA_HOME={java_home}"] if java_home else []
    with as_file(files(__package__).joinpath("conf/pom.xml")) as pom:
        command = [
            *environment,
            *(maven, "--batch-mode", "--file", str(pom), _PLUGIN),
            *("-DincludeScope=runtime", f"-DoutputDirectory={into}"),
        ]
        tail: list[str] = []
        copied = 0
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=into
        ) as process:
            for line in process.stdout or ():
                tail = [*tail[-200:], line.strip()]
                if "Copying " in line:
                    copied += 1
                    if copied % _EVERY == 0:
                        report(f"  {copied} of {total} modules")
    if process.returncode != 0:
        errors = [line for line in tail if line.startswith("[ERROR]")] or tail[-1:]
        raise LocalError(
            f"Maven could not fetch Pulsar's modules: {errors[0].removeprefix('[ERROR] ')}",
            mend="check the network and Maven's settings.xml, then try again",
        )


def _hashes(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("*.jar"):
        with path.open("rb") as file:
            yield path.name, hashlib.file_digest(file, "sha256").hexdigest()
