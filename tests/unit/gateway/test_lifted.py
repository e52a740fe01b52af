"""Large answers: read as small ones are, and without copies of them."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import pytest

from shared.gateway import lifted, reading
from shared.gateway.adapter import Adapter
from shared.gateway.adapters import chat_images, gemini_images, images
from shared.gateway.outcome import Produced, Source
from shared.gateway.request import Response
from tests.unit.gateway.replies import call


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


SMALL, LARGE = noise(100), noise(300_000)
CODE: Final = base64.b64encode(LARGE).decode()


def answer(body: bytes) -> Response:
    return Response(200, {"x-oneapi-request-id": "2026Ab"}, body)


@pytest.mark.parametrize(
    "written",
    [
        CODE,
        CODE.rstrip("="),
        f"data:image/png;base64,{CODE}",
        f" {CODE}\n",
        "\n".join(CODE[at : at + 76] for at in range(0, len(CODE), 76)),
        CODE.replace("+", "-").replace("/", "_"),
        base64.b64encode(SMALL).decode(),
    ],
    ids=["bare", "unpadded", "data URL", "among blanks", "in lines", "URL-safe", "small"],
)
@pytest.mark.parametrize("escape", [str, lambda text: text.replace("/", "\\/").replace("=", "\\u003d")])
def test_a_run_is_decoded_as_it_would_be_if_it_had_stayed(written: str, escape: Callable[[str], str]) -> None:
    body = escape(json.dumps({"a": 1, "b64_json": written, "c": "x"})).encode()

    found = lifted.lift(answer(body))
    text = json.loads(found.response.body)["b64_json"]

    assert found.decoded(text) == reading.decoded(written)
    assert found.source(text) == reading.source(written)
    assert len(found.response.body) < 1000
    assert json.loads(found.response.body).keys() == {"a", "b64_json", "c"}
    assert found.response.headers["x-oneapi-request-id"] == "2026Ab"


def test_a_run_before_a_quotation_mark_inside_a_text_is_cut_at_it() -> None:
    body = json.dumps({"content": f'<img src="data:image/png;base64,{CODE}">'}).encode()

    found = lifted.lift(answer(body))
    (start, end) = json.loads(found.response.body)["content"].split("data:image/png;base64,")

    assert start == '<img src="'
    assert found.decoded(end.removesuffix('">')) == LARGE


def test_runs_that_came_in_pieces_are_decoded_together() -> None:
    cuts = [0, 100_001, 250_003, len(CODE)]
    pieces = [CODE[start:end] for start, end in pairwise(cuts)]
    body = "".join(f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n" for piece in pieces).encode()

    found = lifted.lift(answer(body))
    events = [event for event in reading.events(found.response.body) if event is not None]
    text = "".join(event["choices"][0]["delta"]["content"] for event in events)

    assert found.decoded(f"data:image/png;base64,{text}") == LARGE
    assert len(text) < 100


def test_what_is_no_base64_in_the_end_is_nothing() -> None:
    found = lifted.lift(answer(json.dumps({"b64_json": "=" + "A" * 100_000}).encode()))

    assert found.decoded(json.loads(found.response.body)["b64_json"]) is None
    assert found.source(json.loads(found.response.body)["b64_json"]) is None


def test_a_mark_is_never_a_word_of_the_answer() -> None:
    body = json.dumps({"said": "LIFTED0000 LIFTEDX0000", "b64_json": CODE}).encode()

    found = lifted.lift(answer(body))
    small = json.loads(found.response.body)

    assert found.decoded(small["b64_json"]) == LARGE
    assert found.without_runs(small["said"]) == "LIFTED0000 LIFTEDX0000"
    assert found.without_runs(f"a {small['b64_json']} b") == "a  b"


def test_a_small_answer_is_left_as_it_is() -> None:
    response = answer(json.dumps({"b64_json": base64.b64encode(SMALL).decode()}).encode())

    assert lifted.lift(response).response is response


# What it is for.

PICTURE: Final = noise(22_500_000)
PICTURE_CODE: Final = base64.b64encode(PICTURE)


BODIES: Final[dict[str, tuple[Adapter, bytes, bytes]]] = {
    "an images body": (images.GENERATE, b'{"created":1,"data":[{"b64_json":"', b'"}]}'),
    "an images stream": (
        images.GENERATE,
        b'data: {"type":"image_generation.completed","b64_json":"',
        b'"}\n\ndata: [DONE]\n\n',
    ),
    "a completion": (
        chat_images.CHAT,
        b'{"choices":[{"message":{"content":"![image](data:image/png;base64,',
        b')"},"finish_reason":"stop"}]}',
    ),
    "a stream of one": (
        chat_images.CHAT,
        b'data: {"choices":[{"delta":{"content":"![image](data:image/png;base64,',
        b')"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    ),
    "a Gemini answer": (
        gemini_images.GEMINI,
        b'{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"',
        b'"}}]},"finishReason":"STOP"}]}',
    ),
    "a Gemini stream": (
        gemini_images.GEMINI,
        b'data: {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"',
        b'"}}]},"finishReason":"STOP"}]}\n\n',
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_picture_of_22_mb_takes_two_and_a_half_times_its_size_to_read(name: str) -> None:
    adapter, before, after = BODIES[name]
    response = answer(before + PICTURE_CODE + after)
    asked = call(adapter.name)

    tracemalloc.start()
    outcome: Any = reading.outcome_of(response, lambda reply: adapter.read(reply, asked))
    peak = len(response.body) + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=PICTURE),)
    assert peak < 2.5 * len(PICTURE)
