"""The command line in this process: what it prints, and the code it would exit with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pulsar_pipeline.cli.main import exit_code


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Ran:
    """Run a command; a traceback of its own fails the test (a log may hold a function's)."""
    capsys.readouterr()
    code = exit_code([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return Ran(code, captured.out, captured.err)
