from __future__ import annotations

import base64
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog import sealed
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.packing import ROOM, pack
from pulsar_pipeline.statelog.records import MAX_RECORD, Entry, Writer, encode
from pulsar_pipeline.statelog.sealed import seal, unseal
from tests.support.statelog import KEY, chunk, claim, commit, part, records

OWNER = Writer(1, 1, "n")


@given(records)
def test_a_record_comes_back_as_it_was_sealed(record):
    assert unseal(seal(record, KEY), KEY) == record


@given(records, st.data())
def test_no_changed_byte_is_believed(record, data):
    whole = seal(record, KEY)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateLogError):
        unseal(bytes(changed), KEY)


@given(records, st.data())
def test_no_cut_record_is_believed(record, data):
    whole = seal(record, KEY)
    with pytest.raises(StateLogError):
        unseal(whole[: data.draw(st.integers(0, len(whole) - 1))], KEY)
    with pytest.raises(StateLogError):
        unseal(whole + b"\0", KEY)


def test_another_key_is_refused_before_anything_is_parsed(monkeypatch):
    whole = seal(claim(OWNER), KEY)
    monkeypatch.setattr(sealed.zstandard, "decompress", None)
    monkeypatch.setattr(sealed, "decode", None)
    with pytest.raises(StateLogError) as refused:
        unseal(whole, b"x" * 32)
    assert "key" in refused.value.what
    assert refused.value.mend


@pytest.mark.parametrize("data", [b"", b"PP", b"PPS1", b"PPS2" + bytes(64), b"PPS3" + bytes(64), b"\x80\x04pickle" * 9])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(StateLogError) as refused:
        unseal(data, KEY)
    assert refused.value.slug == "state-log"


def test_a_signed_body_that_is_no_record_is_refused():
    for body in (b"not zstd", sealed.zstandard.compress(b"\xff\xff"), sealed.zstandard.compress(b"")):
        with pytest.raises(StateLogError):
            unseal(sealed.FORMAT + sealed._mac(sealed.FORMAT, body, KEY) + body, KEY)


def test_a_record_that_a_bookie_would_not_take_is_refused():
    with pytest.raises(StateLogError) as refused:
        seal(commit(OWNER, 1, {"model": bytes(MAX_RECORD)}), KEY)
    assert "4,000,000" in refused.value.what


def test_what_avro_cannot_hold_is_refused():
    with pytest.raises(StateLogError):
        seal(commit(OWNER, 1, {"\ud800": b""}), KEY)
    with pytest.raises(StateLogError):
        seal(dataclasses.replace(commit(OWNER, 1), seq=2**63), KEY)


def test_logs_of_a_tenant_have_keys_of_their_own():
    first, second = (log_key(KEY, f"persistent://acme/_state/risk-state-partition-{index}") for index in (0, 1))
    assert first != second
    with pytest.raises(StateLogError):
        unseal(seal(claim(OWNER), first), second)


def test_packed_entries_fit_and_keep_their_order():
    state = [Entry(f"key {number} é", bytes(300_000)) for number in range(9)] + [Entry("gone", None)]
    packed = list(pack(state))
    assert [entry for entries in packed for entry in entries] == state
    assert len(packed) == 3
    for entries in packed:
        assert len(encode(dataclasses.replace(commit(OWNER, 1), entries=entries))) <= MAX_RECORD
    assert list(pack([])) == []


@given(st.lists(st.builds(Entry, st.text(max_size=3), st.none() | st.binary(max_size=40)), max_size=30))
def test_packing_never_makes_a_record_larger_than_its_room(entries):
    room = 200
    empty = len(encode(commit(OWNER, 1)))
    packed = list(pack(entries, room))
    assert [entry for fitting in packed for entry in fitting] == entries
    for fitting in packed:
        assert len(encode(dataclasses.replace(commit(OWNER, 1), entries=fitting))) <= empty + room


def test_an_entry_that_fits_nowhere_is_refused_by_name():
    with pytest.raises(StateLogError) as refused:
        list(pack([Entry("forest", bytes(ROOM))]))
    assert "forest" in str(refused.value)


FIRST_FORMAT = {  # by record
    claim(
        Writer(1, 2, "a"), b"where"
    ): "UFBTMfpnQK1duIOVDveCAHXW8N88vdnoI6tlZHIM59jvnuUHKLUv/SARiQAAAAIEAmEIdGVzdAIKd2hlcmU=",
    part(Writer(1, 2, "a"), 3, 0, {"x": b"1", "y": None}): (
        "UFBTMVBaC29zo2OMTYKQYeE4Vzi217Nem3gp5+9NytbBYJIgKLUv/SASkQAAAgIEAmEGAAQCeAICMQJ5AAAA"
    ),
}
"""Records as the first format had them, sealed with KEY."""

FIRST_COMMIT = (
    "UFBTMUu+Q7hHeFL0z814ene3DcXzyNM8Okw/wzaiFIu7UYQ4KLUv/SAwgQEABAIEAmEGAgIMZXZlbnRzAgYBADwAAhBvdXRwdXQgMwIGdjprAgwA"
    "dmFsdWUAALAJ"
)
FIRST_CHUNK = (
    "UFBTMcC1KUoYDWC1jnWgo/ONZLewORx4LmXjXBY4CpHzS+8xKLUv/SA96QEABgIEAmEGMi4zAAICAgQCYQYAAgxldmVudHMCBgEAPAACEG91dHB1"
    "dCAzAACwCQIGdjprAgwAdmFsdWUAAA=="
)


def test_records_of_the_first_format_are_read():
    by = Writer(1, 2, "a")
    for record, text in FIRST_FORMAT.items():
        assert unseal(base64.b64decode(text), KEY) == record
    assert unseal(base64.b64decode(FIRST_COMMIT), KEY) == commit(by, 3, {"v:k": b"\0value"}, parts=1)
    assert unseal(base64.b64decode(FIRST_CHUNK), KEY) == chunk(by, "2.3", 0, 1, {"v:k": b"\0value"}, base=commit(by, 3))


def test_the_format_is_part_of_what_is_signed():
    second = seal(claim(OWNER), KEY)
    with pytest.raises(StateLogError):
        unseal(b"PPS1" + second[4:], KEY)
