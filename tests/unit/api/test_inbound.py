"""JSON from outside."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import inbound
from shared.errors import InvalidRequest

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_good_json_is_read_as_it_is(value: object) -> None:
    assert inbound.read(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall_over(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        inbound.read(body)


def test_brackets_inside_of_text_are_no_nesting() -> None:
    assert inbound.read(json.dumps(["[" * 100 + '"\\{']).encode()) == ["[" * 100 + '"\\{']


@pytest.mark.parametrize(
    "body", [b"[" + b"[]," * 5_000_000 + b"[]]", b"[" * 16_000_000, b'"' * 16_000_000, b'"' + b"\\" * 16_000_000]
)
def test_sixteen_megabytes_that_mean_harm_cost_little(body: bytes) -> None:
    began_at = time.process_time()

    with pytest.raises(InvalidRequest):
        inbound.read(body)

    assert time.process_time() - began_at < 10
