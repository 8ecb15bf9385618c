from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.ingest.rows import STANDARD_INPUT, BadRow, Format, Row, RowFile, format_of


def read(path: Path, format_: Format | None = None) -> list[Row | BadRow]:
    with RowFile(path, format_) as file:
        return list(file.rows(lambda _: None))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", Format.CSV), ("a.CSV", Format.CSV), ("a.jsonl.gz", Format.JSONL), ("a.ndjson", Format.JSONL)],
)
def test_the_suffix_tells_the_format(name: str, expected: Format) -> None:
    assert format_of(Path(name)) is expected


def test_an_unknown_suffix_asks_for_the_format() -> None:
    with pytest.raises(DataError, match="cannot tell the format") as raised:
        format_of(Path("events.txt"))
    assert "--format" in str(raised.value.mend)


def test_csv_rows_have_the_line_they_start_on(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\n1,"two\nlines"\n\n2,plain\n')
    assert read(path) == [Row(2, {"id": "1", "text": "two\nlines"}), Row(5, {"id": "2", "text": "plain"})]


def test_a_csv_row_of_another_length_is_bad_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\n1\n2,b,c\n3,d\n")
    rows = read(path)
    assert [(row.line, type(row)) for row in rows] == [(2, BadRow), (3, BadRow), (4, Row)]
    assert rows[0] == BadRow(2, "1 fields, the header has 2", ["1"])


def test_an_open_quote_is_a_bad_row(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "a.csv", 'id\n1\n"2\n3\n'))
    assert rows[0] == Row(2, {"id": "1"})
    assert isinstance(rows[1], BadRow)
    assert rows[1].line == 3


def test_bytes_that_are_not_utf8_spoil_their_row_only(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "a.csv", b"id\n\xff\n2\n"))
    assert rows == [BadRow(2, "not UTF-8 text", {"id": "\ufffd"}), Row(3, {"id": "2"})]


@pytest.mark.parametrize(
    ("content", "what"), [("", "no header"), ("id,id\n", "names id twice"), ("\n1\n", "no header")]
)
def test_a_wrong_header_refuses_the_file(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(DataError, match=what):
        read(write(tmp_path, "a.csv", content))


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", b"\xef\xbb\xbfid\n1\n")) == [Row(2, {"id": "1"})]


def test_json_lines(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "a.jsonl", '{"id": 1}\n\n[1]\n{"id": \n{"id": 2}'))
    assert [row.line for row in rows] == [1, 3, 4, 5]
    assert rows[0] == Row(1, {"id": 1})
    assert rows[1] == BadRow(3, "not a JSON object", [1])
    assert isinstance(rows[2], BadRow)
    assert rows[2].reason.startswith("not JSON: ")
    assert rows[3] == Row(5, {"id": 2})


def test_gzip_and_its_damage(tmp_path: Path) -> None:
    whole = gzip.compress(b"id\n" + b"1\n" * 10_000)
    assert len(read(write(tmp_path, "a.csv.gz", whole))) == 10_000
    with pytest.raises(DataError, match="gzip file is damaged"):
        read(write(tmp_path, "b.csv.gz", whole[: len(whole) // 2]))
    with pytest.raises(DataError, match="gzip file is damaged"):
        read(write(tmp_path, "c.csv.gz", b"id\n1\n"))


def test_standard_input_needs_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="standard input"):
        RowFile(STANDARD_INPUT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 7}\n')))
    assert read(STANDARD_INPUT, Format.JSONL) == [Row(1, {"id": 7})]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        RowFile(tmp_path / "none.csv")


def test_the_columns_may_refuse_the_file(tmp_path: Path) -> None:
    def refuse(header: list[str]) -> None:
        raise DataError(f"not {header}")

    with RowFile(write(tmp_path, "a.csv", "x\n1\n")) as file, pytest.raises(DataError, match=r"not \['x'\]"):
        list(file.rows(refuse))
