"""Reading a function's requirements.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.requirements import read_locked

A, B = "a" * 64, "b" * 64


def locked(tmp_path: Path, text: str) -> list[tuple[str, str, int]]:
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return [(pin.name, pin.version, pin.line) for pin in read_locked(path)]


def test_no_file_pins_nothing(tmp_path: Path) -> None:
    assert read_locked(tmp_path / "requirements.txt") == []


def test_pins_with_continuations_comments_and_markers(tmp_path: Path) -> None:
    text = f"""\
# made by uv
Some_Thing==1.2 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via another

numpy==2.4.6 ; python_full_version < '3' --hash=sha256:{A}
numpy==2.5.0 ; python_full_version >= '3' --hash=sha256:{B}
extra[one]==3 --hash=sha256:{A}  # why
"""
    assert locked(tmp_path, text) == [("extra", "3", 9), ("numpy", "2.5.0", 8), ("some-thing", "1.2", 2)]
    pins = {pin.name: pin for pin in read_locked(tmp_path / "requirements.txt")}
    assert pins["some-thing"].hashes == {A, B}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("river==0.26.1", "river has no hash"),
        (f"river>=0.26 --hash=sha256:{A}", "river is not pinned"),
        (f"river --hash=sha256:{A}", "river is not pinned"),
        (f"river==0.* --hash=sha256:{A}", "river is not pinned"),
        (f"river==1,<2 --hash=sha256:{A}", "river is not pinned"),
        (f"river @ https://example.org/river.whl --hash=sha256:{A}", "river is not pinned"),
        ("river==1 --hash=sha256:abc", "not a requirement"),
        ("river==1 --hash=md5:abc", "not a requirement"),
        ("./local.whl", "not a requirement"),
        ("--index-url https://example.org/simple", "an option has no place"),
        ("-r other.txt", "an option has no place"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(PackageError) as caught:
        locked(tmp_path, f"# first\nok==1 --hash=sha256:{A}\n{line}\n")
    assert what in caught.value.what
    assert caught.value.where == f"{tmp_path / 'requirements.txt'}:3"
    assert caught.value.mend


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="a-b is pinned twice"):
        locked(tmp_path, f"a_b==1 --hash=sha256:{A}\nA.B==2 --hash=sha256:{A}\n")
