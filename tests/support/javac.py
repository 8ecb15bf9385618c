"""Java source files, run on the Java and the modules that the local clusters run on."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from pulsar_pipeline.local.java import find_java
from pulsar_pipeline.local.modules import pulsar_modules
from pulsar_pipeline.settings import Settings

_COMPILER, _COMPILER_SHA256 = "3.33.0", "f7686c4960cf70c2ebc5c500a73a8cfc04541b730c18f1c5c21329889b137f45"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy"
_TIMEOUT_S = 300


def run_java(source: Path, arguments: list[str], folder: Path) -> None:
    """Compile and run a class against Pulsar's own modules; `folder` is for what that makes.

    A Java without a compiler (a bare runtime) gets Eclipse's, through Maven.
    """
    settings = Settings()
    java = find_java(settings.cache, java_home=settings.java_home, report=print)
    jars = pulsar_modules(settings.cache, java_home=java.home, report=print)
    classpath = os.pathsep.join(map(str, jars))
    if _has_compiler(java.executable):
        _run([java.executable, "-cp", classpath, source, *arguments])
        return
    compiler = _eclipse_compiler(settings.cache, java.home)
    _run([java.executable, "-jar", compiler, "-source", "17", "-target", "17", "-cp", classpath, "-d", folder, source])
    _run([java.executable, "-cp", os.pathsep.join((str(folder), classpath)), source.stem, *arguments])


def _has_compiler(java: Path) -> bool:
    modules = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=True).stdout
    return "jdk.compiler@" in modules


def _eclipse_compiler(cache: Path, java_home: Path) -> Path:
    jar = cache / f"ecj-{_COMPILER}.jar"
    if not jar.exists():
        artifact = f"-Dartifact=org.eclipse.jdt:ecj:{_COMPILER}"
        _run(["mvn", "--batch-mode", _COPY, artifact, f"-DoutputDirectory={cache}"], JAVA_HOME=str(java_home))
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == _COMPILER_SHA256, jar
    return jar


def _run(command: list[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, f"{command[-1]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
