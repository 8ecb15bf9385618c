"""Building a package: what is in it, that it is the same everywhere, and what stops it."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError, PackageError, PipelineError, SchemaError
from pulsar_pipeline.package.archive import write_archive
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.package.unpack import unpack
from pulsar_pipeline.testing import Event, run_function
from tests.support.tiny_functions import ECHO, SAMPLE, cache_wheel, sha256, write_function, write_wheel

WITH_DEP = ECHO.replace("class Echo", "import tinydep\n\n\nclass Echo")


def build(source: Path, tmp_path: Path, **options: object) -> BuiltPackage:
    return build_package(source, tmp_path / "out", cache=tmp_path / "cache", **options)  # type: ignore[arg-type]


def names_in(built: BuiltPackage) -> set[str]:
    with zipfile.ZipFile(built.path) as archive:
        return set(archive.namelist())


def test_the_layout_is_the_workers(tmp_path: Path) -> None:
    source = write_function(
        tmp_path,
        files={
            "README.md": "read me",
            "tests/test_function.py": "",
            "test_function.py": "",
            "conftest.py": "",
            "helper.py": "",
            "model/__init__.py": "",
            "model/weights.csv": "1,2",
            "model/.hidden": "",
            "model/__pycache__/x.pyc": "",
            "data/raw.csv": "1,2",
            ".hidden": "",
            "schemas/unused.v1.avsc": "{}",
        },
    )
    built = build(source, tmp_path)
    own = {name for name in names_in(built) if "/pulsar_pipeline/" not in name}
    assert own == {
        "echo/requirements.txt",
        "echo/src/manifest.json",
        "echo/src/function.py",
        "echo/src/helper.py",
        "echo/src/model/__init__.py",
        "echo/src/model/weights.csv",
        "echo/src/schemas/reading.v1.avsc",
    }
    assert built.path == tmp_path / "out" / "echo.zip"
    assert built.digest == f"sha256:{sha256(built.path)}"
    assert (built.trial.events, built.trial.outputs, built.trial.metrics) == (2, 2, {"value": 2.0})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["echo.zip"]


def test_the_manifest_describes_the_function(tmp_path: Path) -> None:
    built = build(write_function(tmp_path), tmp_path)
    with zipfile.ZipFile(built.path) as archive:
        manifest = Manifest.from_json(archive.read("echo/src/manifest.json").decode())
    assert manifest == built.manifest
    assert (manifest.class_name, manifest.inputs, manifest.output) == (
        "function.Echo",
        {"readings": "reading.v1.avsc"},
        "reading.v1.avsc",
    )
    assert (manifest.config, manifest.output_key, manifest.slim, manifest.wheels) == ({"add": 1}, "id", False, {})
    assert (manifest.python, manifest.platform) == ("", "")


def test_equal_content_gives_equal_bytes_anywhere(tmp_path: Path) -> None:
    first = write_function(tmp_path / "here")
    second = tmp_path / "quite" / "elsewhere" / "echo"
    old_mask = os.umask(0o077)
    try:
        shutil.copytree(first, second, copy_function=shutil.copyfile)
        for path in second.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        (second / "function.py").chmod(0o700)
        one = build_package(first, tmp_path / "one")
        two = build_package(second, tmp_path / "two")
    finally:
        os.umask(old_mask)
    assert one.digest == two.digest
    assert one.path.read_bytes() == two.path.read_bytes()


def test_other_content_gives_another_digest(tmp_path: Path) -> None:
    one = build(write_function(tmp_path), tmp_path)
    two = build(write_function(tmp_path, code=ECHO + "\n"), tmp_path)
    assert one.digest != two.digest


ENTRIES = st.dictionaries(
    st.text("abcdefgh/", min_size=1, max_size=12).filter(lambda name: all(name.split("/"))),
    st.binary(max_size=200),
    max_size=8,
)


@given(ENTRIES, st.randoms(use_true_random=False), st.integers(315_532_800, 2_000_000_000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_time_and_source_do_not_show(
    tmp_path: Path, entries: dict[str, bytes], random: object, time: int
) -> None:
    shuffled = list(entries.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    files: dict[str, Path | bytes] = {}
    for index, (name, content) in enumerate(shuffled):
        path = tmp_path / f"source-{index}"
        path.write_bytes(content)
        os.utime(path, (time, time))
        files[name] = path
    write_archive(tmp_path / "one.zip", entries)
    write_archive(tmp_path / "two.zip", files)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_same_package_runs_in_a_unit_test(tmp_path: Path) -> None:
    package = unpack(build(write_function(tmp_path), tmp_path).path, tmp_path / "unpacked")
    results = run_function(package.src, [Event(entry["input"], entry["event"]) for entry in SAMPLE])
    assert [output.record["value"] for output in results.outputs] == [2.5, 3.0]


# ── wheels ────────────────────────────────────────────────────────────────────────────────────


def test_wheels_come_along_and_are_used(tmp_path: Path) -> None:
    line = cache_wheel(tmp_path / "cache", write_wheel(tmp_path, "tinydep"))
    code = WITH_DEP.replace('context.record_metric("value", event["value"])', 'assert "/site/" in tinydep.__file__')
    built = build(write_function(tmp_path, code=code, files={"requirements.txt": line}), tmp_path)
    assert "echo/deps/tinydep-1.0-py3-none-any.whl" in names_in(built)
    assert list(built.manifest.wheels) == ["tinydep-1.0-py3-none-any.whl"]
    package = unpack(built.path, tmp_path / "unpacked")
    assert package.site is not None
    assert (package.site / "tinydep.py").is_file()


def test_the_products_own_dependencies_are_not_there_in_the_trial(tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        build(write_function(tmp_path, code="import river\n" + ECHO), tmp_path)
    assert "No module named 'river'" in caught.value.what
    assert str(caught.value.where).endswith("echo/function.py:1 in <module>")
    assert "requirements.txt" in str(caught.value.mend)


def test_a_slim_package_leaves_out_what_the_runtime_has(tmp_path: Path) -> None:
    from importlib.metadata import version

    wheel = write_wheel(tmp_path, "sortedcontainers_like")
    lock = cache_wheel(tmp_path / "cache", wheel) + f"numpy=={version('numpy')} --hash=sha256:{'0' * 64}\n"
    source = write_function(tmp_path, code="import numpy\n" + ECHO, files={"requirements.txt": lock})
    built = build(source, tmp_path, slim=True, provided=runtime_distributions())
    assert built.manifest.slim
    assert list(built.manifest.wheels) == ["sortedcontainers_like-1.0-py3-none-any.whl"]
    assert not any("numpy" in name for name in names_in(built))


def test_a_version_unlike_the_runtimes_stops_a_slim_build(tmp_path: Path) -> None:
    source = write_function(tmp_path, files={"requirements.txt": f"numpy==1.0 --hash=sha256:{'0' * 64}\n"})
    with pytest.raises(PackageError, match=r"numpy: the function locks 1\.0, the runtime has "):
        build(source, tmp_path, slim=True, provided=runtime_distributions())


def test_a_wheel_damaged_in_the_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = cache_wheel(tmp_path / "cache", write_wheel(tmp_path, "tinydep"))
    [wheel] = (tmp_path / "cache").glob("*/*.whl")
    wheel.write_bytes(b"damaged")
    asked: list[str] = []
    monkeypatch.setattr(
        "pulsar_pipeline.package.wheels._pip_download", lambda lock, *_: asked.append(lock.read_text().split()[0])
    )
    with pytest.raises(PackageError, match=r"tinydep 1\.0 was not downloaded"):
        build(write_function(tmp_path, files={"requirements.txt": line}), tmp_path)
    assert asked == ["tinydep==1.0"]


def test_provided_distributions_are_those_of_the_runtime() -> None:
    provided = runtime_distributions()
    assert {"numpy", "river", "pulsar-client", "fastavro", "uvloop"} <= provided
    assert not {"pytest", "ruff", "pulsar-pipeline"} & provided


# ── what stops a build ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "what", "where"),
    [
        ("x = 1\nraise RuntimeError('broken')\n", "import: RuntimeError: broken", "function.py:2 in <module>"),
        ("x = 1\n", "import: AttributeError: module 'function' has no attribute 'Echo'", "echo"),
        (ECHO.replace('["add"]', '["no"]'), "sample: KeyError: 'no'", "function.py:6 in setup"),
        (ECHO.replace("self.add}", "None}"), "sample event 1: TypeError: unsupported", "function.py:11 in echo"),
        (ECHO.replace("{**event, ", "{"), "sample event 1: field id: is missing", "echo"),
        (
            ECHO + "    def __init__(self):\n        raise OSError('no GPU')\n",
            "constructor: OSError: no GPU",
            ":13 in __init__",
        ),
        (ECHO.replace('"readings"', '"labels"'), "schemas: function.Echo: no handler for input readings", "echo"),
        ("import sys\nsys.exit(3)\n", "import: SystemExit: 3", "function.py:2 in <module>"),
        ("import os\nos._exit(9)\n", "the trial died with exit code 9", "echo"),
    ],
)
def test_the_functions_own_error_is_told_with_its_line(tmp_path: Path, code: str, what: str, where: str) -> None:
    with pytest.raises(PackageError) as caught:
        build(write_function(tmp_path, code=code), tmp_path)
    assert caught.value.what.startswith(what)
    assert str(caught.value.where).endswith(where)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_environment_does_not_reach_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_SETTING", "x")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import os, sys\n" + ECHO.replace(
        "self.add =",
        f"assert 'ECHO_SETTING' not in os.environ and {str(tmp_path)!r} not in sys.path\n        self.add =",
    )
    assert build(write_function(tmp_path, code=code), tmp_path).trial.outputs == 2


@pytest.mark.parametrize(
    ("files", "error", "what"),
    [
        ({"schemas/reading.v1.avsc": '{"type": "record"'}, SchemaError, "not JSON"),
        ({"sample/events.jsonl": "not json\n"}, PackageError, "sample: line 1: not a sample event"),
        (
            {"sample/events.jsonl": '{"input": "x", "event": {}}\n'},
            PackageError,
            "sample event 1: the function has no input",
        ),
        (
            {"sample/events.jsonl": '{"input": "readings", "event": {"id": 1}}\n'},
            PackageError,
            "sample event 1: field id",
        ),
        ({"pulsar_pipeline.py": ""}, PackageError, "the name pulsar_pipeline.py is taken"),
        ({"requirements.txt": "river\n"}, PackageError, "river is not pinned"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, files: dict[str, str], error: type[PipelineError], what: str) -> None:
    with pytest.raises(error) as caught:
        build(write_function(tmp_path, files=files), tmp_path)
    assert what in caught.value.what
    assert not issubclass(error, DataError)


def test_an_output_key_has_to_be_a_field(tmp_path: Path) -> None:
    source = write_function(tmp_path)
    definition = source / "function.yaml"
    definition.write_text(definition.read_text().replace("key: id", "key: machine"))
    with pytest.raises(PackageError, match="the output's key 'machine' is no field"):
        build(source, tmp_path)


def test_a_missing_module_and_a_link_are_told(tmp_path: Path) -> None:
    source = write_function(tmp_path)
    (source / "linked.py").symlink_to(source / "function.py")
    with pytest.raises(PackageError, match="a link has no place"):
        build(source, tmp_path)
    (source / "linked.py").unlink()
    (source / "function.py").unlink()
    with pytest.raises(PackageError, match=r"there is no module function\.py"):
        build(source, tmp_path)


def test_two_schemas_of_one_name_are_refused(tmp_path: Path) -> None:
    source = write_function(tmp_path)
    shutil.copytree(source / "schemas", source / "schemas" / "other")
    definition = source / "function.yaml"
    definition.write_text(
        definition.read_text().replace("output: {schema: schemas/", "output: {schema: schemas/other/")
    )
    with pytest.raises(PackageError, match=r"two schemas are called reading\.v1\.avsc"):
        build(source, tmp_path)


def test_a_failed_build_leaves_the_last_one(tmp_path: Path) -> None:
    good = build(write_function(tmp_path), tmp_path)
    before = good.path.read_bytes()
    with pytest.raises(PackageError):
        build(write_function(tmp_path, code="raise ValueError\n"), tmp_path)
    assert good.path.read_bytes() == before
