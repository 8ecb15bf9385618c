from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pulsar_pipeline.cli import main
from pulsar_pipeline.errors import ExitCode, RolloutError
from tests.support.cli import run


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in inner.items():
        yield from commands(each, (*path, name))


ALL = dict(commands(typer.main.get_command(main.build())))


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the verb `plan` raise."""

    def build(_verbs: Any) -> typer.Typer:
        app = typer.Typer()
        app.callback()(lambda: None)

        @app.command()
        def plan(as_json: bool = typer.Option(False, "--json")) -> None:
            raise error

        return app

    monkeypatch.setattr(main, "build", build)


def test_help_lists_the_verbs_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "--help")
    assert ran.code == ExitCode.OK
    shown = re.findall(r"^│ (\w+) ", ran.out, re.MULTILINE)
    assert tuple(shown) == main.VERBS


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, *path, "--help")
    assert ran.code == ExitCode.OK
    assert "Example" in ran.out
    assert ALL[path].help


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "--version")
    assert (ran.code, ran.out.startswith("pulsar-pipeline ")) == (ExitCode.OK, True)


@pytest.mark.parametrize(
    ("arguments", "what", "help_"),
    [
        (["nonsense"], "No such command 'nonsense'", "pulsar-pipeline --help"),
        (["functions", "stats"], "Missing argument", "pulsar-pipeline functions stats --help"),
        (["functions", "stats", "acme"], "expected TENANT/NAME", "pulsar-pipeline functions stats --help"),
        (["query", "--nonsense"], "No such option", "pulsar-pipeline query --help"),
        (
            ["events", "send", "a", "b", "c", "--rate", "0"],
            "greater than or equal to",
            "pulsar-pipeline events send --help",
        ),
    ],
)
def test_wrong_usage_has_its_own_code_and_points_to_the_help(
    arguments: list[str], what: str, help_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, *arguments)
    assert ran.code == ExitCode.USAGE
    assert what in ran.err
    assert f"mend: see {help_}" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("arguments", [[], ["functions"], ["events"]])
def test_a_bare_command_shows_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, *arguments)
    assert ran.code == ExitCode.USAGE
    assert "Usage: pulsar-pipeline" in ran.out + ran.err


def test_an_error_says_what_where_and_the_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(RolloutError("it is [broken]", where="acme/risk", mend="mend it"), monkeypatch)
    ran = run(capsys, "plan")
    assert (ran.code, ran.out) == (ExitCode.ERROR, "")
    assert ran.err == "error: acme/risk: it is [broken]\n  mend: mend it\n"


def test_an_error_for_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(RolloutError("broken", where="acme/risk", mend="mend it"), monkeypatch)
    ran = run(capsys, "plan", "--json")
    assert (ran.code, ran.err) == (ExitCode.ERROR, "")
    assert json.loads(ran.out) == {"error": "rollout", "what": "broken", "where": "acme/risk", "mend": "mend it"}


def test_a_bug_is_told_as_a_bug_with_its_trace_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raising(KeyError("oops"), monkeypatch)
    ran = run(capsys, "plan")
    assert ran.code == ExitCode.BUG
    assert ran.err.startswith("bug: KeyError: 'oops'")
    (trace,) = tmp_path.glob("*.trace")
    assert str(trace) in ran.err
    assert "KeyError: 'oops'" in trace.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interrupt(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error, monkeypatch)
    ran = run(capsys, "plan")
    assert (ran.code, ran.err) == (ExitCode.INTERRUPTED, "interrupted\n")


def test_a_shell_completes_verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_PULSAR_PIPELINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "pulsar-pipeline functions st")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit) as exited:
        run(capsys)
    assert exited.value.code == 0
    assert capsys.readouterr().out.split() == ["status", "stats", "state"]


def test_a_declined_question_is_an_error_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda *_args, **_options: False)
    ran = run(capsys, "local", "reset", "--folder", tmp_path)
    assert ran.code == ExitCode.ERROR
    assert "not agreed; nothing was changed" in ran.err
