"""The tests that the author's page has its readers write, run as they stand there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.pages import ROOT, blocks, files

PAGE = ROOT / "docs" / "model-author.md"
TESTS = [block.title for block in blocks(PAGE) if block.title and Path(block.title).name.startswith("test_")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has written."""
    home = tmp_path_factory.mktemp("page")
    for title, text in files(PAGE).items():
        (home / title).parent.mkdir(parents=True, exist_ok=True)
        (home / title).write_text(text)
    return home


def examples_in(path: Path) -> Iterator[Callable[[], None]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield from (value for name, value in vars(module).items() if name.startswith("test_"))


@pytest.mark.parametrize("title", TESTS)
def test_the_examples_pass(folder: Path, title: str) -> None:
    ran = 0
    for test in examples_in(folder / title):
        test()
        ran += 1
    assert ran


def test_the_page_says_how_many_they_are(folder: Path) -> None:
    count = sum(1 for title in TESTS for _ in examples_in(folder / title))
    assert f"{count} passed" in PAGE.read_text()
