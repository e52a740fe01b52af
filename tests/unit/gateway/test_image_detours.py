"""Where a channel cannot express a picture's request, nothing was charged and another format may do (images 8)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import Call, Media
from shared.gateway.outcome import Continued, ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Ambiguous, Response
from tests.unit.gateway.replies import PNG, call, reply

ONLY_IMAGEN: Final = "images/4.3-500-only-imagen.json"
NEEDS_A_FIELD: Final = "images/4.4-500-image-is-required.json"
REPLIES: Final = frozenset({ONLY_IMAGEN, NEEDS_A_FIELD})


def asked_of(model: str, operation: str = "image.generate", *pictures: Media, **params: Any) -> Call:
    return replace(call(operation, *pictures, **params), model=model)


def outcome(asked: Call, answer: Response | Ambiguous) -> Outcome:
    return reading.outcome_for(asked, BY_OPERATION[asked.operation], answer)


def detour(asked: Call, name: str) -> Continued:
    found = outcome(asked, reply(name, 500))
    assert isinstance(found, Continued), found
    return found


@pytest.mark.parametrize("operation", ["image.generate", "image.edit"])
def test_a_gemini_channel_that_draws_only_in_a_conversation_is_asked_in_one(operation: str) -> None:
    found = detour(asked_of("nano-banana", operation, PNG, aspect_ratio="3:2"), ONLY_IMAGEN)

    body = found.request.json
    assert (found.request.path, found.charged) == ("/v1/chat/completions", False)
    assert body["extra_body"]["google"]["image_config"] == {"aspect_ratio": "3:2"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "a tin robot\n\nAspect ratio 3:2."},
        {"type": "image_url", "image_url": {"url": PNG.data_url}},
    ]


def test_what_a_conversation_answers_is_read_as_one() -> None:
    read = detour(asked_of("nano-banana"), ONLY_IMAGEN).read
    assert read is not None

    found = reading.outcome_of(reply("chat_images/3.3-V9-url.json"), read)

    assert isinstance(found, Produced)
    assert found.outputs[0].kind == "image"


def test_an_edit_that_wants_no_form_is_sent_as_a_picture_with_references() -> None:
    found = detour(asked_of("nano-banana", "image.edit", PNG), NEEDS_A_FIELD)

    assert (found.request.path, found.request.json["image"]) == ("/v1/images/generations", PNG.data_url)
    assert found.read is None


def no_detour(asked: Call, answer: Response | Ambiguous) -> Refused:
    found = outcome(asked, answer)
    assert isinstance(found, Refused), found
    return found


@pytest.mark.parametrize("name", [ONLY_IMAGEN, NEEDS_A_FIELD])
@pytest.mark.parametrize("model", ["gpt-image-1", "doubao-seedream-4-0-250828", "the-model"])
def test_other_models_might_drop_the_pictures_and_charge_so_they_are_not_asked_again(model: str, name: str) -> None:
    error = no_detour(asked_of(model, "image.edit", PNG), reply(name, 500)).error

    assert (error.error_class, error.charged) == (ErrorClass.INVALID_REQUEST, False)


def test_a_mask_has_no_place_in_another_format() -> None:
    asked = replace(call("image.edit", PNG, mask=PNG), model="nano-banana")

    assert no_detour(asked, reply(ONLY_IMAGEN, 500)).error.code == "convert_request_failed"


@pytest.mark.parametrize(
    "answer",
    [
        Ambiguous("read timed out"),
        Response(500, body=b"<html>convert_request_failed</html>"),
        Response(200, body=reply(ONLY_IMAGEN).body),
        Response(
            500, body=json.dumps({"error": {"code": "do_request_failed", "message": "image is required"}}).encode()
        ),
        Response(400, body=json.dumps({"error": {"code": "moderation_blocked", "message": "no"}}).encode()),
        Response(400, body=json.dumps({"error": {"code": "invalid_value", "message": "size"}}).encode()),
    ],
)
def test_what_may_be_paid_for_or_would_fail_again_is_not_asked_in_another_way(answer: Response | Ambiguous) -> None:
    no_detour(asked_of("nano-banana", "image.edit", PNG), answer)
