"""Unpacking and verifying: whole or not at all, once per content, and nothing outside of its folder."""

from __future__ import annotations

import stat
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulsar_pipeline.errors import PackageError, PipelineError
from pulsar_pipeline.package import unpack as unpack_module
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.package.unpack import install_wheel, unpack
from pulsar_pipeline.package.verify import verify_package
from tests.support.tiny_functions import READING, sha256, write_wheel

SCHEMA = str(READING).replace("'", '"')


def manifest_of(**changes: object) -> Manifest:
    plain = Manifest("echo", "function.Echo", {"readings": "reading.v1.avsc"}, "reading.v1.avsc", "id", {}, "0")
    return replace(plain, **changes)  # type: ignore[arg-type]


def write_package(path: Path, manifest: Manifest | None = None, extra: dict[str, bytes] | None = None) -> Path:
    contents = {
        "echo/src/manifest.json": (manifest or manifest_of()).to_json().encode(),
        "echo/src/function.py": b"class Echo: ...\n",
        "echo/src/schemas/reading.v1.avsc": SCHEMA.encode(),
        "echo/requirements.txt": b"",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**contents, **(extra or {})}.items():
            archive.writestr(name, content)
    return path


def with_wheel(tmp_path: Path) -> Path:
    wheel = write_wheel(tmp_path, "tinydep")
    manifest = manifest_of(wheels={wheel.name: sha256(wheel)})
    return write_package(tmp_path / "echo.zip", manifest, {f"echo/deps/{wheel.name}": wheel.read_bytes()})


def test_a_package_is_laid_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, into = with_wheel(tmp_path), tmp_path / "into"
    package = unpack(archive, into)
    assert package.manifest.name == "echo"
    assert package.site is not None
    assert (package.src / "function.py").read_text() == "class Echo: ...\n"
    assert (package.site / "tinydep.py").is_file()
    monkeypatch.delattr(unpack_module, "_build")
    assert unpack(archive, into) == package
    assert sorted(path.suffix for path in into.iterdir()) == ["", ".lock"]


def test_without_wheels_there_is_no_site(tmp_path: Path) -> None:
    assert unpack(write_package(tmp_path / "echo.zip"), tmp_path / "into").site is None


def test_what_a_dead_process_left_is_built_anew(tmp_path: Path) -> None:
    archive, into = write_package(tmp_path / "echo.zip"), tmp_path / "into"
    first = unpack(archive, into)
    home = first.src.parent
    (home / ".done").unlink()
    (home / "src" / "function.py").unlink()
    aside = home.with_name(f"{home.name}.building")
    aside.mkdir()
    (aside / "rubbish").touch()
    again = unpack(archive, into)
    assert (again.src / "function.py").is_file()
    assert not aside.exists()


def test_instances_that_start_together_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, into = with_wheel(tmp_path), tmp_path / "into"
    built: list[Path] = []
    build: Callable[..., None] = unpack_module._build

    def counting(source: Path, home: Path, digest: str) -> None:
        built.append(home)
        build(source, home, digest)

    monkeypatch.setattr(unpack_module, "_build", counting)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(unpack(archive, into).src)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), len(built)) == (8, 1, 1)


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "echo/src/../../../evil.py", "echo\\..\\evil.py"])
def test_nothing_gets_out_of_the_folder(tmp_path: Path, name: str) -> None:
    archive = write_package(tmp_path / "deep" / "echo.zip", extra={name: b"evil"})
    for check in (lambda: unpack(archive, tmp_path / "deep" / "into"), lambda: verify_package(archive)):
        with pytest.raises(PackageError, match="holds what it may not"):
            check()
    assert not list(tmp_path.rglob("evil.py"))


def test_a_link_in_the_archive_is_refused(tmp_path: Path) -> None:
    archive = write_package(tmp_path / "echo.zip")
    link = zipfile.ZipInfo("echo/src/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(PackageError, match="holds what it may not"):
        unpack(archive, tmp_path / "into")


def test_a_wheel_cannot_get_out_either(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "bad", files={"../evil.py": ""})
    manifest = manifest_of(wheels={wheel.name: sha256(wheel)})
    archive = write_package(tmp_path / "echo.zip", manifest, {f"echo/deps/{wheel.name}": wheel.read_bytes()})
    with pytest.raises(PackageError, match="holds what it may not"):
        unpack(archive, tmp_path / "into")
    assert [path.suffix for path in (tmp_path / "into").iterdir()] == [".lock"]


def test_parts_of_a_wheels_data_folder_are_installed(tmp_path: Path) -> None:
    files = {
        "mod.py": "",
        "mod.libs/lib.so": "binary",
        "mod-1.0.data/purelib/pure.py": "",
        "mod-1.0.data/platlib/plat.so": "",
        "mod-1.0.data/scripts/tool": "",
        "mod-1.0.data/headers/h.h": "",
    }
    install_wheel(write_wheel(tmp_path, "mod", files=files), tmp_path / "site")
    found = {
        path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*") if path.is_file()
    }
    assert {name for name in found if "dist-info" not in name} == {"mod.py", "mod.libs/lib.so", "pure.py", "plat.so"}


@pytest.mark.parametrize("changed", [{}, {"other-1.0-py3-none-any.whl": "0" * 64}])
def test_a_wheel_that_is_not_the_manifests_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    wheel = write_wheel(tmp_path, "tinydep")
    manifest = manifest_of(wheels=changed)
    archive = write_package(tmp_path / "echo.zip", manifest, {f"echo/deps/{wheel.name}": wheel.read_bytes()})
    for check in (lambda: unpack(archive, tmp_path / "into"), lambda: verify_package(archive)):
        with pytest.raises(PackageError, match="is not the wheel that the manifest names"):
            check()


def test_wheels_for_another_python_are_refused(tmp_path: Path) -> None:
    archive = write_package(tmp_path / "echo.zip", manifest_of(python="2.7"))
    with pytest.raises(PackageError, match=r"its wheels are for Python 2\.7"):
        unpack(archive, tmp_path / "into")


def test_a_renamed_archive_is_told(tmp_path: Path) -> None:
    archive = write_package(tmp_path / "renamed.zip")
    with pytest.raises(PackageError, match=r"no renamed/src/manifest\.json inside"):
        unpack(archive, tmp_path / "into")


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="cannot read the package"):
        unpack(tmp_path / "echo.zip", tmp_path / "into")
    with pytest.raises(PackageError, match="there is no such file"):
        verify_package(tmp_path / "echo.zip")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all"])
def test_something_else_than_a_zip_is_told(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "echo.zip"
    archive.write_bytes(content)
    with pytest.raises(PackageError, match="the archive is damaged"):
        unpack(archive, tmp_path / "into")


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_anywhere_is_a_package_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    whole = with_wheel(tmp_path).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    if data.draw(st.booleans(), label="truncate"):
        damaged = damaged[:at]
    else:
        damaged[at] ^= data.draw(st.integers(1, 255))
    archive = tmp_path / "damaged" / "echo.zip"
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(damaged)
    for check in (lambda: unpack(archive, tmp_path / "into").manifest, lambda: verify_package(archive)):
        try:
            assert check().name == "echo"
        except PipelineError as error:
            assert error.what


# ── verify alone ──────────────────────────────────────────────────────────────────────────────


def test_a_sound_package_is_believed(tmp_path: Path) -> None:
    assert verify_package(with_wheel(tmp_path)).name == "echo"


@pytest.mark.parametrize(
    ("manifest", "extra", "what"),
    [
        (manifest_of(class_name="other.Echo"), {}, "no module for the class other.Echo"),
        (manifest_of(output="missing.v1.avsc"), {}, "no readable echo/src/schemas/missing.v1.avsc"),
        (manifest_of(), {"stranger/file": b""}, "stranger/file is outside of echo/"),
        (manifest_of(), {"echo/src/schemas/reading.v1.avsc": b"{}"}, "not an Avro record"),
        (manifest_of(format=99), {}, "package format 99"),
    ],
)
def test_a_package_that_is_not_what_it_says_is_refused(
    tmp_path: Path, manifest: Manifest, extra: dict[str, bytes], what: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        verify_package(write_package(tmp_path / "echo.zip", manifest, extra))
    assert what in caught.value.what


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    archive = write_package(tmp_path / "echo.zip")
    with zipfile.ZipFile(archive, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("echo/src/function.py", "other")
    with pytest.raises(PackageError, match="a name stands twice"):
        verify_package(archive)
