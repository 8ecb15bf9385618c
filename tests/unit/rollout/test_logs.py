from __future__ import annotations

import json

from pulsar_pipeline.rollout.logs import LogLine, parse_line


def test_a_line_of_our_runtime() -> None:
    payload = json.dumps({"event": "running", "level": "info", "exception": "Traceback …"}).encode()
    assert parse_line(payload, {"instance": "1", "level": "ERROR"}, 5) == LogLine(
        5, "1", "error", "running", "Traceback …"
    )


def test_a_line_of_the_stock_runtime_is_text() -> None:
    assert parse_line(b"hello\n", {"loglevel": "INFO"}, 5) == LogLine(5, "", "info", "hello")


def test_anything_else_is_shown_as_it_is() -> None:
    assert parse_line(b"\xff[1]", {}, 5).message == "\ufffd[1]"
    assert parse_line(b"[1]", {}, 5).message == "[1]"
