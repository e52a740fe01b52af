"""A picture is drawn, and then drawn again: what the model said goes back to it whole, signatures included (4.6)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import gemini_images, gemini_text
from shared.gateway.call import Call
from shared.gateway.outcome import Produced
from shared.gateway.request import Response
from tests.unit.gateway.replies import JPEG, PNG, call, reply

SIGNED: Final = "gemini_images/4.6-signed.json"
REPLIES: Final = frozenset({SIGNED})

MESSAGE: Final = {
    "role": "model",
    "parts": [
        {"text": "Here it is.", "thoughtSignature": "CsoBAR4hPq"},
        {"inlineData": {"mimeType": "image/jpeg", "artifact_index": 0}, "thoughtSignature": "Eq4BCqsB"},
    ],
}
ASKED: Final = {"role": "user", "parts": [{"text": "a tin robot"}]}
AGAIN: Final = {"role": "user", "parts": [{"text": "at night"}]}


def produced(response: Response, **params: Any) -> Produced:
    asked = call("image.gemini", **params)
    outcome = reading.outcome_of(response, lambda answer: gemini_images.read(answer, asked))
    assert isinstance(outcome, Produced), outcome
    return outcome


def conversation(operation: str, *turns: Any) -> Call:
    return replace(call(operation, contents=list(turns)), prompt="")


def test_what_the_model_said_is_kept_with_its_signatures_and_without_its_drafts() -> None:
    answer = produced(reply(SIGNED))

    assert answer.result["message"] == MESSAGE
    assert len(answer.outputs) == 1


@pytest.mark.parametrize("field", ["thoughtSignature", "thought_signature"])
def test_a_signature_of_any_length_comes_back_as_it_was(field: str) -> None:
    whole = json.loads(reply(SIGNED).body)
    part = whole["candidates"][0]["content"]["parts"][-1]
    del part["thoughtSignature"]
    part[field] = "Ab+/" * 40_000

    answer = produced(Response(200, body=json.dumps(whole).encode()), contents=[ASKED])

    assert answer.result["message"]["parts"][-1][field] == "Ab+/" * 40_000


def test_a_message_too_long_for_a_row_is_kept_for_who_is_in_a_conversation_alone() -> None:
    body = reply(SIGNED).body.replace(b"Eq4BCqsB", b"Ab+/" * 40_000)

    assert "message" not in produced(Response(200, body=body)).result
    assert "message" in produced(Response(200, body=body), contents=[ASKED]).result


@pytest.mark.parametrize("name", ["3.3-V18-markdown-data.json", "3.3-V19-file.json", "3.3-V1-images-body.json"])
def test_a_channel_that_does_not_speak_geminis_format_has_no_message_to_give_back(name: str) -> None:
    assert "message" not in produced(reply(f"gemini_images/{name}")).result


@pytest.mark.parametrize("adapter", [gemini_images.GEMINI, gemini_text.GEMINI])
def test_an_input_picture_goes_where_the_message_has_its_artifact(adapter: Any) -> None:
    asked = replace(conversation(adapter.name, ASKED, MESSAGE, AGAIN), inputs={"images": (JPEG, PNG)})

    contents = adapter.build(asked).json["contents"]

    text, picture = contents[1]["parts"]
    assert text == MESSAGE["parts"][0]
    assert picture == {
        "inlineData": {"mimeType": "image/jpeg", "data": JPEG.base64},
        "thoughtSignature": "Eq4BCqsB",
    }
    assert contents[2]["parts"] == [
        {"text": "at night"},
        {"inlineData": {"mimeType": "image/png", "data": PNG.base64}},
    ]


def test_pictures_take_their_places_in_the_order_of_the_turns() -> None:
    snake = {"role": "model", "parts": [{"inline_data": {"mime_type": "image/png", "artifact_index": 0}}]}
    asked = replace(conversation("image.gemini", ASKED, MESSAGE, AGAIN, snake, AGAIN), inputs={"images": (JPEG, PNG)})

    contents = gemini_images.GEMINI.build(asked).json["contents"]

    assert contents[1]["parts"][1]["inlineData"]["data"] == JPEG.base64
    assert contents[3]["parts"] == [{"inline_data": {"mime_type": "image/png", "data": PNG.base64}}]
    assert contents[4] == AGAIN


def test_a_place_without_a_picture_is_refused_before_anything_is_sent() -> None:
    asked = replace(conversation("image.gemini", ASKED, MESSAGE, AGAIN, MESSAGE, AGAIN), inputs={"images": (JPEG,)})

    with pytest.raises(InputRefused, match="contents name 2 pictures by artifact_index; inputs have 1"):
        gemini_images.GEMINI.build(asked)
