from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.cluster.state_keys import STATE_KEY_BYTES, load_state_key, new_state_key, state_key_file
from pulsar_pipeline.errors import TokenError


def test_a_key_is_read_as_it_was_made(tmp_path: Path) -> None:
    key = new_state_key()
    path = state_key_file(tmp_path, "acme")
    path.write_bytes(key)
    assert load_state_key(path) == key
    assert path.name == "acme.key"
    assert len(key) == STATE_KEY_BYTES


def test_no_two_keys_are_alike() -> None:
    assert new_state_key() != new_state_key()


@pytest.mark.parametrize("content", [None, b"", b"k" * (STATE_KEY_BYTES - 1)])
def test_a_key_that_is_missing_or_short_is_told_with_the_way_out(tmp_path: Path, content: bytes | None) -> None:
    path = state_key_file(tmp_path, "acme")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenError) as caught:
        load_state_key(path)
    assert caught.value.where == str(path)
    assert "token state-key create" in (caught.value.mend or "")
    assert "kkk" not in str(caught.value)
