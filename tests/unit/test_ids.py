"""TypeIDs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from typeid import TypeID

from shared import ids
from shared.ids import Prefix

PREFIXES = get_args(Prefix)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_its_prefix_and_26_characters(prefix: Prefix) -> None:
    made = ids.new(prefix)

    assert re.fullmatch(rf"{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}", made)
    assert ids.is_id(prefix, made)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_of_one_kind_only(prefix: Prefix) -> None:
    made = ids.new(prefix)

    assert [kind for kind in PREFIXES if ids.is_id(kind, made)] == [prefix]


def test_ids_sort_as_they_were_made_and_never_repeat() -> None:
    made = [ids.new("job") for _ in range(20_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job",
        "job_",
        "job_01k",
        "01h455vb4pex5vsknk084sn02q",
        "job_01h455vb4pex5vsknk084sn02q0",
        "job_81h455vb4pex5vsknk084sn02q",
        "job_01h455vb4pex5vsknk084sn02u",
        "JOB_01h455vb4pex5vsknk084sn02q",
        "job_01H455VB4PEX5VSKNK084SN02Q",
        "job_01h455vb4pex5vsknk084sn02q'; DROP TABLE jobs",
        "job_\x0001h455vb4pex5vsknk084sn02q",
        "job_" + "é" * 26,
    ],
)
def test_what_is_no_id_is_told_without_asking_the_database(text: str) -> None:
    assert not ids.is_id("job", text)


def test_an_id_can_be_part_of_an_object_key_and_of_a_file_name() -> None:
    assert "-" not in ids.new("job")
    assert re.fullmatch(r"[a-z0-9_]+", ids.new("artifact"))


def test_the_first_id_of_a_moment_parts_what_was_made_before_from_what_comes_after() -> None:
    made = ids.new("job")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=TypeID.from_string(made).uuid.int >> 80)

    first, next_one = (ids.first_of("job", moment + timedelta(milliseconds=later)) for later in (0, 1))

    assert first <= made < next_one
    assert ids.is_id("job", first)
