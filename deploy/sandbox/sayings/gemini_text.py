"""Rarer answers of Gemini's own format in words.

Contract: gateway/images-text-audio-system.md 2.1, 2.4, 4.5, 4.7, 5.13.  Pure.
"""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.claude import COMPLETION
from deploy.sandbox.sayings.gemini_images import (
    SIGNATURE,
    array,
    candidate,
    candidates,
    event,
    events,
)
from deploy.sandbox.sayings.saying import Sayings, Usual, body, instead

RATED: Final = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}]
CALL: Final = {"functionCall": {"name": "get_wind", "id": "fc-2"}}
RAN: Final[list[Any]] = [
    {"executableCode": {"language": "PYTHON", "code": "print(2+2)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}},
    {"text": "Four."},
]


def _first(usual: Usual) -> dict[str, Any]:
    return dict(usual.body["candidates"][0])


def _parts(usual: Usual) -> list[Any]:
    return list(_first(usual)["content"]["parts"])


def _snake(usual: Usual) -> Any:
    call = _parts(usual)[0]["functionCall"]
    told = {"content": {"role": "model", "parts": [{"function_call": call}]}, "finish_reason": "STOP"}
    head = {"model_version": usual.body["modelVersion"], "response_id": usual.body["responseId"]}
    return {"candidates": [told], "usage_metadata": {"prompt_token_count": 4}, **head}


def _grounded(usual: Usual) -> list[Any]:
    first = _first(usual)
    more = {"webSearchQueries": ["tides"], "groundingSupports": []}
    cited = {"citationSources": [{"startIndex": 0, "endIndex": 6, "uri": "https://example.com/neap"}]}
    grounds = {**first["groundingMetadata"], **more}
    return [{**first, "groundingMetadata": grounds, "citationMetadata": cited, "safetyRatings": []}]


def _signed(usual: Usual) -> list[Any]:
    """The signature stands beside the last words."""
    *rest, last = _parts(usual)
    return [candidate([*rest, {**last, "thoughtSignature": SIGNATURE}], "STOP")]


def _ends_in_last(usual: Usual) -> list[Any]:
    """The reason stands beside the last words."""
    *rest, last, _ = usual.events
    return [*rest, event(usual, {**last["candidates"][0], "finishReason": "STOP"})]


def _ends_with(usual: Usual, **part: Any) -> list[Any]:
    """The reason stands beside a part without words."""
    return [*usual.events[:-1], event(usual, candidate([{"text": "", **part}], "STOP"))]


def _functions(usual: Usual) -> list[Any]:
    first, second, _ = usual.events
    [unsigned] = second["candidates"][0]["content"]["parts"]
    told = event(usual, candidate([{"functionCall": unsigned["functionCall"]}]))
    return [first, told, event(usual, candidate([{"text": ""}], "STOP"))]


def _cut_in_event(usual: Usual) -> Reply:
    told = events(_ends_in_last)(usual)
    return Reply(200, str(told.body).rstrip()[:-30], told.media_type)


SAYINGS: Final[Sayings] = {
    "blocked_with_message": instead(
        {
            "candidates": None,
            "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "The prompt was blocked for safety."},
        }
    ),
    "blank": candidates(lambda usual: [candidate([{"text": ""}], "STOP")]),
    "first_blocked": candidates(lambda usual: [candidate(None, "SAFETY"), candidate(_parts(usual), "STOP", 1)]),
    "malformed_call": candidates(
        lambda usual: [candidate(None, "MALFORMED_FUNCTION_CALL", finishMessage="Malformed function call: get_tide(")]
    ),
    "other": candidates(lambda usual: [candidate(None, "OTHER")]),
    "prohibited": candidates(
        lambda usual: [candidate(None, "PROHIBITED_CONTENT", finishMessage="The answer was blocked.")]
    ),
    "recitation": candidates(lambda usual: [candidate([{"text": "Shall I compare"}], "RECITATION")]),
    "rated": candidates(lambda usual: [candidate(None, "SAFETY", safetyRatings=RATED)]),
    "snake": body(_snake),
    "array": array,
    "blocked_safety": events(lambda usual: [{**usual.events[0], "promptFeedback": {"blockReason": "SAFETY"}}]),
    "cut_in_event": _cut_in_event,
    "functions": events(_functions),
    "safety_in_the_end": events(lambda usual: [*usual.events[:-1], event(usual, candidate(None, "SAFETY"))]),
    "signed_end": events(lambda usual: _ends_with(usual, thoughtSignature=SIGNATURE)),
    "ends_in_last": events(_ends_in_last),
    "no_parts": candidates(lambda usual: [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]),
    "no_content": candidates(lambda usual: [candidate(None, "MAX_TOKENS")]),
    "code": candidates(lambda usual: [candidate(RAN, "STOP")]),
    "second_call": candidates(lambda usual: [candidate([*_parts(usual), CALL], "STOP")]),
    "grounded": candidates(_grounded),
    "logprobs": candidates(lambda usual: [{**_first(usual), "avgLogprobs": -0.02}]),
    "signed": candidates(_signed),
    "another_kind": instead(COMPLETION),
}
