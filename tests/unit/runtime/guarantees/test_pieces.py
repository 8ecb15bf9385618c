from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.runtime.guarantees import pieces
from pulsar_pipeline.runtime.guarantees.pieces import entries_of, join

KEYS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=5)


@given(st.lists(st.dictionaries(KEYS, st.none() | st.binary(max_size=40), max_size=5), max_size=6))
def test_state_goes_through_the_log_unchanged(changes: list[dict[str, bytes | None]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", 7)
        stored: dict[str, bytes] = {}
        expected: dict[str, bytes] = {}
        for change in changes:
            for entry in entries_of(change):
                assert entry.value is None or len(entry.value) <= 8
                if entry.value is None:
                    stored.pop(entry.key, None)
                else:
                    stored[entry.key] = entry.value
            for key, value in change.items():
                if value is None:
                    expected.pop(key, None)
                else:
                    expected[key] = value
        assert join(stored) == expected
