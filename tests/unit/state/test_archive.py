from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.state.archive import (
    FORMAT,
    ArchiveRecord,
    ArchiveWriter,
    End,
    Entries,
    Header,
    Section,
    archive_key,
    read_archive,
)
from pulsar_pipeline.statelog.records import Entry
from tests.support.statelog import KEY, commits

HEADER = Header("acme/risk", "west", 2, 1_700_000_000_000)
ARCHIVE_KEY = archive_key(KEY)

entries = st.lists(
    st.builds(Entry, st.text(st.characters(codec="utf-8"), max_size=6), st.binary(max_size=30)), max_size=4
)
sections = st.lists(st.tuples(st.none() | commits, st.lists(entries.map(tuple), max_size=3)), max_size=3)


def write(content: list[tuple[object, list[tuple[Entry, ...]]]]) -> tuple[bytes, list[ArchiveRecord]]:
    """A file, and what it should say."""
    file = io.BytesIO()
    writer = ArchiveWriter(file, ARCHIVE_KEY, HEADER)
    told: list[ArchiveRecord] = [HEADER]
    for partition, (commit, packed) in enumerate(content):
        told.append(Section(partition, commit))  # type: ignore[arg-type]
        writer.section(told[-1])  # type: ignore[arg-type]
        for each in packed:
            told.append(Entries(each))
            writer.entries(each)
    told.append(writer.end())
    return file.getvalue(), told


def read(data: bytes, key: bytes = ARCHIVE_KEY) -> list[ArchiveRecord]:
    return list(read_archive(io.BytesIO(data), key, "risk.state"))


@given(sections)
def test_a_file_is_read_as_it_was_written(content):
    data, told = write(content)
    assert read(data) == told
    stored = [entry for record in told if isinstance(record, Entries) for entry in record.entries]
    assert told[-1] == End(len(stored), sum(len(entry.value) for entry in stored))


@given(sections, st.data())
def test_no_change_to_a_file_is_believed(content, data):
    whole, _ = write(content)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(changed), whole[:at], whole + b"\0"):
        with pytest.raises(StateLogError) as refused:
            read(broken)
        assert refused.value.where == "risk.state"
        assert refused.value.mend


def test_frames_cannot_change_places_or_be_left_out():
    one = (Entry("v:a", b"1"),)
    whole, _ = write([(None, [one, (Entry("v:b", b"2"),)])])
    frames, at = [], len(FORMAT)
    while at < len(whole):
        size = 4 + int.from_bytes(whole[at : at + 4], "big")
        frames.append(whole[at : at + size])
        at += size
    header, section, first, second, end = frames
    for order in ([header, section, second, first, end], [header, section, first, end], [section, header, first]):
        with pytest.raises(StateLogError):
            read(FORMAT + b"".join(order))


def test_another_key_is_told_as_such():
    whole, _ = write([])
    with pytest.raises(StateLogError) as refused:
        read(whole, archive_key(b"x" * 32))
    assert "--file-key" in refused.value.mend
    with pytest.raises(StateLogError):
        read(whole, KEY)
