"""State log records for tests."""

from __future__ import annotations

from hypothesis import strategies as st

from pulsar_pipeline.statelog.records import Chunk, Claim, Commit, Entry, Identity, Part, Position, Writer

KEY = b"k" * 32

numbers = st.integers(0, 10**18 - 1)
runs_texts = st.from_regex("([a-z][1-9][0-9]{0,3}){0,4}", fullmatch=True)

_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_ids = st.none() | st.binary(max_size=20)
_positions = st.builds(Position, *[st.integers(-1, 2**40)] * 3)
_entries = st.lists(st.builds(Entry, _names, st.none() | st.binary(max_size=30)), max_size=5).map(tuple)
_writer = {"epoch": numbers, "incarnation": numbers, "nonce": _names}
_small = st.integers(0, 2**31 - 1)

claims = st.builds(Claim, **_writer, writer=_names, checkpoint=_ids)
parts = st.builds(Part, **_writer, number=numbers, index=_small, entries=_entries, checkpoint=_ids)
commits = st.builds(
    Commit,
    **_writer,
    number=numbers,
    parts=_small,
    positions=st.dictionaries(_names, _positions, max_size=3),
    seq=numbers,
    runs=runs_texts,
    outputs_from=_ids,
    entries=_entries,
    checkpoint=_ids,
    at_ms=numbers,
    identities=st.lists(st.builds(Identity, _names, _names, numbers, numbers), max_size=3).map(tuple),
)
chunks = st.builds(
    Chunk,
    **_writer,
    checkpoint_id=_names,
    index=_small,
    count=_small,
    base=st.none() | commits,
    entries=_entries,
    checkpoint=_ids,
    writer=_names,
)
records = claims | parts | commits | chunks


def entries(changes: dict[str, bytes | None]) -> tuple[Entry, ...]:
    return tuple(Entry(key, value) for key, value in changes.items())


def claim(by: Writer, checkpoint: bytes | None = None) -> Claim:
    return Claim(*by, writer="test", checkpoint=checkpoint)


def part(by: Writer, number: int, index: int, changes: dict[str, bytes | None]) -> Part:
    return Part(*by, number=number, index=index, entries=entries(changes))


def commit(by: Writer, number: int, changes: dict[str, bytes | None] | None = None, *, parts: int = 0) -> Commit:
    """A commit after whose number all else in it is told."""
    return Commit(
        *by,
        number=number,
        parts=parts,
        positions={"events": Position(1, number, -1)},
        seq=number * 10,
        runs="",
        outputs_from=b"output %d" % number,
        entries=entries(changes or {}),
        checkpoint=None,
        at_ms=number * 200,
    )


def chunk(
    by: Writer, identity: str, index: int, count: int, state: dict[str, bytes], *, base: Commit | None = None
) -> Chunk:
    return Chunk(*by, checkpoint_id=identity, index=index, count=count, base=base, entries=entries(dict(state)))
