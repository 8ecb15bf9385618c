from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.view.position import NOWHERE, Position, parse_token, token

ids = st.integers(min_value=-1, max_value=2**62)


@given(st.from_regex(r"[a-z0-9][a-z0-9_\-]{0,20}", fullmatch=True), st.integers(0, 1023), ids, ids, ids)
def test_a_token_reads_back(cluster, partition, ledger, entry, batch):
    position = Position(ledger, entry, batch)
    assert parse_token(token(cluster, partition, position)) == (cluster, partition, position)


@pytest.mark.parametrize("text", ["", "v1", "v2.west.0.1.2.3", "v1.west.0.1.2", "v1.west.0.1.2.x", "v1.west.0.1.2.3.4"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):
        parse_token(text)


def test_positions_compare_in_the_order_of_the_log():
    ordered = [NOWHERE, Position(3, 0, -1), Position(3, 1, 0), Position(3, 1, 7), Position(3, 2, -1), Position(4, 0, 0)]
    assert all(earlier < later for earlier, later in pairwise(ordered))
