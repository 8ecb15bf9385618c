"""The processes that are measured: an instance, ours or another, or a loop that does nothing but receive and send."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.speed.command_line import Job, loop_arguments, worker_arguments
from bench.speed.world import World
from pulsar_pipeline.runtime import main as runtime_main

ROOT = Path(__file__).resolve().parents[2]
OURS, CLIENT = "ours", "client"
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Kind:
    """A sort of process to measure: OURS, CLIENT, or another instance of any name."""

    name: str
    script: Path
    python: Path = Path(sys.executable)

    @property
    def foreign(self) -> bool:
        """It knows nothing of this product but what is in a package."""
        return self.name not in (OURS, CLIENT)


def ours() -> Kind:
    return Kind(OURS, Path(runtime_main.__file__))


def client_loop() -> Kind:
    return Kind(CLIENT, ROOT / "bench" / "speed" / "client_loop.py")


@dataclass(frozen=True)
class Running:
    """A process that runs; its logs are in `folder`."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """RuntimeError with the end of its logs if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise RuntimeError(f"the instance ended with {code}:\n{self.told()}")

    def told(self, characters: int = 3000) -> str:
        """The end of what it logged."""
        logs = [path for path in sorted(self.folder.rglob("*.log")) if path.is_file()]
        return "\n".join(f"{path.name}: …{path.read_text(errors='replace')[-characters:]}" for path in logs)


@contextmanager
def running(kind: Kind, job: Job, folder: Path) -> Iterator[Running]:
    """A process that works on the job within the block; it is stopped after, killed if need be."""
    folder.mkdir(parents=True)
    arguments = loop_arguments(job) if kind.name == CLIENT else worker_arguments(job, folder, ours=not kind.foreign)
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(
            [str(kind.python), str(kind.script), *arguments],
            env=_environment(kind, job.world),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,  # a Ctrl-C is for us, and we stop it
        )
    try:
        yield Running(process, folder)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(kind: Kind, world: World) -> dict[str, str]:
    """A foreign instance gets nothing of this checkout: what it needs is in the package."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    kept["PATH"] = f"{kind.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if kind.foreign:
        return kept
    return kept | {
        "PYTHONPATH": str(ROOT),
        "PULSAR_PIPELINE_FUNCTION_TOKENS": str(world.function_tokens),
        "PULSAR_PIPELINE_CACHE": str(world.folder / "cache"),
    }
