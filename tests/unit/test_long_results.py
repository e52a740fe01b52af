"""A result that is too long for a row becomes an output, and what is left says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.gateway.outcome import Output, Produced, Source
from workers import submit

SONG = Output("audio", (Source(url="https://cdn.example.net/song.mp3"),))
VECTORS = [{"index": index, "embedding": [0.123456789] * 2_000} for index in range(3)]


def apart(result: dict[str, Any], *outputs: Output) -> Produced:
    return submit.with_long_result_apart(Produced(outputs, result, "done"))


def content_of(output: Output) -> bytes:
    (source,) = output.sources
    assert source.content is not None
    return source.content


@pytest.mark.parametrize("result", [{}, {"text": "Hello", "usage": {"total_tokens": 3}}, {"text": "x" * 65_000}])
def test_what_fits_into_a_row_stays_as_it_is(result: dict[str, Any]) -> None:
    assert apart(result, SONG) == Produced((SONG,), result, "done")


def test_what_does_not_is_the_last_output_and_its_short_fields_stay() -> None:
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    result = {"model": "m", "data": VECTORS, "usage": usage, "text": "x" * 1_500}

    produced = apart(result, SONG)

    assert produced.outputs[0] == SONG
    assert produced.outputs[1].kind == "text"
    assert json.loads(content_of(produced.outputs[1])) == result
    assert produced.result == {"model": "m", "usage": usage, "artifact_index": 1}
    assert produced.status == "done"


@pytest.mark.parametrize(("extra", "count"), [(0, 0), (1, 1)])
def test_the_limit_is_64_kib_of_json(extra: int, count: int) -> None:
    text = "ü" * ((64 * 1024 - len('{"text":""}')) // 2)
    padding = "x" * ((64 * 1024 - len('{"text":""}')) % 2 + extra)

    assert len(apart({"text": text + padding}).outputs) == count


def test_letters_that_no_file_can_hold_do_not_keep_the_rest_from_it() -> None:
    produced = apart({"text": "a\x00b\ud800c" + "x" * 70_000})

    assert json.loads(content_of(produced.outputs[0]))["text"].startswith("ab?c")
