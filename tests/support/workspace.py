"""A reader at work: a page's blocks typed in order in a copy of the repository, against running clusters."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pulsar_pipeline.local import processes
from pulsar_pipeline.local.ports import is_free
from tests.support.pages import ROOT, Block
from tests.support.wait import wait_until

TIMEOUT_S = 240
RETRY_S = 90

_COPIED = ("tenants", "functions", "docs", "deploy")

_AROUND = """
set -eo pipefail -o allexport
if [ -f "$READER_STATE" ]; then . "$READER_STATE"; fi
trap 'code=$?; {{ declare -px; printf "cd %q\\n" "$PWD"; }} > "$READER_STATE"; exit $code' EXIT
{}
"""
"""Variables and the folder go from block to block, as in one shell."""


class Workspace:
    """A folder that looks like a clone in which `make demo` has run. Close it: what blocks left running is ended."""

    def __init__(self, folder: Path, platform_file: Path, replaced: Mapping[str, str]) -> None:
        """`replaced` are texts that are typed, written and printed otherwise than they stand in the pages."""
        self.folder, self._replaced = folder, dict(replaced)
        self._state, self._outputs = folder / ".reader", folder / ".output"
        self._groups: list[int] = []
        for name in _COPIED:
            shutil.copytree(ROOT / name, folder / name)
        (folder / ".venv").symlink_to(sys.prefix)
        local = folder / ".local"
        local.mkdir()
        for name in ("platform.yaml", "secrets"):
            (local / name).symlink_to(platform_file.parent / (platform_file.name if name.endswith("yaml") else name))

    def write(self, block: Block) -> None:
        """A file that the page shows."""
        path = self.folder / self.here(str(block.title))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(block.text))

    def here(self, text: str) -> str:
        """A page's text as it is in this folder."""
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        return text

    def type(self, text: str, *, exits: int = 0, retry: bool = False) -> tuple[str, str]:
        """Run shell text; standard output, and that with standard error after it. Fails on another exit code."""
        text = self.here(text)
        deadline = time.monotonic() + (RETRY_S if retry else 0)
        while (done := self._run(text))[0] != exits and time.monotonic() < deadline:
            time.sleep(0.2)
        code, out, err = done
        assert code == exits, f"{text}\nended with {code}:\n{out}{err}"
        return out, err + out

    def close(self) -> None:
        running = [group for group in self._groups if _alive(group)]
        for group in running:
            processes.signal_group(group, signal.SIGTERM)
        for group in running:
            wait_until(lambda group=group: not _alive(group), 20, "what the blocks started has ended")

    def _run(self, text: str) -> tuple[int, str, str]:
        out, err = self._outputs.with_suffix(".out"), self._outputs.with_suffix(".err")
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                ["bash", "-c", _AROUND.format(text)],
                cwd=self.folder,
                env=_environment() | {"READER_STATE": str(self._state)},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                code = process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"not done after {TIMEOUT_S} s: {text}\n{err.read_text()}") from None
        if _alive(process.pid):  # it left something running; else the number may become another's
            self._groups.append(process.pid)
        return code, out.read_text(), err.read_text()


def free_ports(count: int) -> list[int]:
    """Ports for servers of a test. Below those that the system hands out, of which the functions worker takes one for
    each instance: between the choice and the server's start it could take one of these."""
    candidates = random.SystemRandom().sample(range(12_000, 20_000), 8_000)
    return list(islice(filter(is_free, candidates), count))


def _environment() -> dict[str, str]:
    """A fresh login's: no virtual environment, none of our own variables."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "JAVA_HOME") if name in os.environ}
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return kept | {"PATH": os.pathsep.join(folder for folder in path if not folder.startswith(sys.prefix))}


def _alive(group: int) -> bool:
    """Whether a process of the group runs; the remains of one that nobody has reaped do not count."""
    return any(process.group == group for process in processes.everything())


# ── what was printed, against what the page says ──────────────────────────────────────────────

_VARYING = re.compile(r"sha256:[0-9a-f]+|\d[\d.,:TZ-]*")


def assert_printed(expected: str, printed: str) -> None:
    """Each line of `expected` was printed, in that order. Numbers, times and digests may be others, rules and gaps as
    long as they like; `…` stands for anything."""
    lines = iter([_like(line) for line in printed.splitlines()])
    for line in expected.splitlines():
        wanted = _like(line)
        if wanted in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("…")))
        assert any(pattern.match(each) for each in lines), f"not printed (here): {line!r}\nin:\n{printed}"


def _like(line: str) -> str:
    return " ".join(re.sub("─+", "─", _VARYING.sub("#", line)).split())


def assert_same_shape(expected: str, printed: str) -> None:
    """The JSON that was printed has the keys and the types that the page shows."""
    assert _shape(json.loads(printed)) == _shape(json.loads(expected))


def _shape(value: Any) -> Any:
    match value:
        case dict():
            return {key: _shape(each) for key, each in sorted(value.items())}
        case list():
            return [_shape(value[0])] if value else []
        case bool() | None | str():
            return type(value).__name__
        case _:
            return "number"
