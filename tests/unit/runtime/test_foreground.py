from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pulsar_pipeline.runtime.foreground import log_to_terminal


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before


@pytest.mark.usefixtures("_root_logger")
def test_a_line_tells_time_level_and_instance(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_terminal(3, "INFO")
    logging.getLogger("anything").debug("not this")
    logging.getLogger("anything").warning("look at %s", "this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Z WARNING instance 3: look at this")
    assert (line[4], line[7], line[10]) == ("-", "-", "T")
