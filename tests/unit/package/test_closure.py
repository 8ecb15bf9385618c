"""Which product modules a function needs, from its imports."""

from __future__ import annotations

from pathlib import Path

import pytest

import pulsar_pipeline
from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.closure import product_closure

THREE = """
import typing
if typing.TYPE_CHECKING:
    from pulsar_pipeline import heavy
else:
    import pulsar_pipeline.light
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    folder = tmp_path / "pulsar_pipeline"
    modules = {
        "__init__.py": "",
        "errors.py": "import json\n",
        "names.py": "from pulsar_pipeline.errors import X\n",
        "part/__init__.py": "import pulsar_pipeline.names\n",
        "part/one.py": "from . import two\nfrom .. import errors\n",
        "part/two.py": "def f():\n    from pulsar_pipeline.part.three import g\n",
        "part/three.py": THREE,
        "heavy.py": "import pydantic\n",
        "light.py": "",
        "unused.py": "",
    }
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def closure_of(source: str, product: Path, tmp_path: Path) -> set[str]:
    file = tmp_path / "function.py"
    file.write_text(source)
    return {name.removeprefix("pulsar_pipeline/") for name in product_closure([file], product)}


def test_it_is_transitive_with_packages_and_nested_imports(product: Path, tmp_path: Path) -> None:
    found = closure_of("from pulsar_pipeline.part import one\nimport numpy\n", product, tmp_path)
    everything = {"part/one.py", "part/two.py", "part/three.py", "light.py"}
    assert found == {"__init__.py", "part/__init__.py", "names.py", "errors.py", *everything}


@pytest.mark.parametrize(
    "source", ["import json\n", "from . import pulsar_pipeline\n", "import pulsar_pipelines\n", ""]
)
def test_what_imports_nothing_of_it_needs_nothing(source: str, product: Path, tmp_path: Path) -> None:
    assert closure_of(source, product, tmp_path) == set()


def test_names_that_are_no_modules_are_attributes(product: Path, tmp_path: Path) -> None:
    assert closure_of("from pulsar_pipeline.errors import anything\n", product, tmp_path) == {
        "__init__.py",
        "errors.py",
    }


def test_a_module_that_does_not_exist_is_told_with_its_line(product: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        closure_of("import json\nimport pulsar_pipeline.nothing\n", product, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'function.py'}:2: there is no module pulsar_pipeline.nothing")


def test_a_syntax_error_is_told_with_its_line(product: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"function\.py:2: not Python"):
        closure_of("x = 1\ndef (:\n", product, tmp_path)


def test_the_base_class_needs_no_heavy_part(tmp_path: Path) -> None:
    product = Path(pulsar_pipeline.__file__).parent
    found = product_closure([], product, always=["pulsar_pipeline.online.rehearsal"])
    parts = {name.split("/")[1] for name in found}
    assert parts == {"__init__.py", "errors.py", "names.py", "online", "package", "schemas"}
    imported = {
        line.split()[1].split(".")[0]
        for file in found.values()
        for line in file.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert not imported & {"pydantic", "yaml", "httpx", "fastapi", "packaging", "typer", "lmdb"}
