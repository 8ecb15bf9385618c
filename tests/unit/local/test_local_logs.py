from __future__ import annotations

from pathlib import Path

from pulsar_pipeline.local.layout import Layout
from pulsar_pipeline.local.logs import follow, last_complaint, last_error, tail, why_it_failed

LOG = """\
2026-11-22T16:32:10,000+0000 ERROR [main] o.a.b.Journal - Problems reading lastMark (this is okay the first time)
2026-11-22T16:32:15,672+0000 WARN  [pulsar-web-50-7] o.e.j.HttpChannel - unhandled
Caused by: java.lang.NullPointerException: of a request that came too early
2026-11-22T16:32:16,316+0000 ERROR [main] o.a.p.PulsarStandaloneStarter - Failed to start pulsar service.
java.lang.RuntimeException: outer
\tat somewhere
Caused by: java.io.IOException: middle
\tat elsewhere
Caused by: java.net.BindException: Address already in use
\t... 12 more
2026-11-22T16:32:17,000+0000 INFO  [main] o.a.p.X - Shutdown completed.
2026-11-22T16:32:17,100+0000 ERROR [main] o.a.p.X - Shutdown failed: whatever
Caused by: java.lang.IllegalStateException: of the shutdown
""".splitlines()


def test_the_last_error_is_told_with_its_innermost_cause() -> None:
    assert last_error(LOG) == "Failed to start pulsar service. java.net.BindException: Address already in use"


def test_harmless_errors_and_warnings_are_not_told() -> None:
    assert last_error(LOG[:3]) is None


def test_an_error_without_a_cause_is_its_message() -> None:
    assert last_error(["2026-11-22T16:32:16,316+0000 ERROR [a b] o.a.C - no space"]) == "no space"


def test_what_java_complains_of_before_there_is_a_log() -> None:
    lines = [
        "WARNING: JAXBContext implementation could not be found.",
        "Error: Could not find or load main class x",
        "Exception: java.lang.IllegalThreadStateException thrown from the UncaughtExceptionHandler in thread y",
    ]
    assert last_complaint(lines) == "Error: Could not find or load main class x"
    assert last_complaint(lines[:1]) is None


def test_the_log_speaks_before_the_console(tmp_path: Path) -> None:
    cluster = Layout(tmp_path).cluster("west")
    assert why_it_failed(cluster) == ("the log says nothing", cluster.log)
    cluster.logs.mkdir(parents=True)
    cluster.console.write_text("Error: bad option\n")
    assert why_it_failed(cluster) == ("Error: bad option", cluster.console)
    cluster.log.write_text("\n".join(LOG))
    assert why_it_failed(cluster)[1] == cluster.log


def test_tail_is_the_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert tail(file, 2) == []
    file.write_text("one\ntwo\nthree\n")
    assert tail(file, 2) == ["two", "three"]
    assert tail(file, 0) == []


def test_follow_gives_what_is_appended_and_a_replaced_file_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("old\n")

    def ticks() -> object:
        yield
        with file.open("a") as log:
            log.write("new\n")
        yield
        file.write_text("x\n")
        yield

    assert list(follow(file, ticks())) == ["new\n", "x\n"]
