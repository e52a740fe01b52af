from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import gemini_text
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, PNG, call, reply

TIDES: Final = "Spring, neap and brown."
CALLED: Final = {"id": None, "name": "get_tide", "arguments": {"port": "Brest"}}
PDF: Final = Media("application/pdf", "files-0.pdf", b"%PDF-1.7", "document")
SONG: Final = Media("audio/mpeg", "audio-0.mp3", b"ID3-song", "audio")
FILM: Final = Media("video/mp4", "videos-0.mp4", b"ftyp-film", "video")

#: By file, the text, the calls of tools and why it ended.
SAID: Final[dict[str, tuple[str, list[Any], str]]] = {
    "5.13.json": (TIDES, [], "stop"),
    "5.13-thoughts.json": (TIDES, [], "stop"),
    "5.13-json.json": ('["spring","neap"]', [], "stop"),
    "5.13-functions.json": ("", [CALLED, {"id": "fc-2", "name": "get_wind", "arguments": {}}], "tool_calls"),
    "5.13-budget-spent.json": ("", [], "length"),
    "5.13-budget-spent-no-parts.json": ("", [], "length"),
    "5.13-cut-off.json": ("Spring, ne", [], "length"),
    "5.13-code.json": ("Four.", [], "stop"),
    "5.13-grounded.json": (TIDES, [], "stop"),
    "4.5-snake.json": ("", [CALLED], "tool_calls"),
    "3.3-V16.json": ("Here it is.", [], "stop"),
    "2.4-first-of-two-blocked.json": (TIDES, [], "stop"),
    "4.7-stream.txt": (TIDES, [], "stop"),
    "4.7-stream-thoughts.txt": (TIDES, [], "stop"),
    "4.7-stream-functions.txt": ("", [CALLED, {"id": None, "name": "get_wind", "arguments": {}}], "tool_calls"),
    "4.7-stream-empty-end.txt": (TIDES, [], "stop"),
    "4.7-array.json": (TIDES, [], "stop"),
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no answer in it: class, code, and whether it is counted as paid.
NOT_SAID: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "2.4-blocked.json": (POLICY, "prohibited_content", True),
    "2.4-blocked-with-a-message.json": (POLICY, "safety", True),
    "2.4-safety.json": (POLICY, "safety", True),
    "2.4-recitation-midway.json": (POLICY, "recitation", True),
    "2.4-prohibited-with-a-message.json": (POLICY, "prohibited_content", True),
    "2.4-other.json": (NO_MEDIA, "other", True),
    "2.4-malformed-call.json": (NO_MEDIA, "malformed_function_call", True),
    "2.4-no-candidates.json": (NO_MEDIA, "empty_answer", True),
    "2.4-empty.json": (NO_MEDIA, "empty_answer", True),
    "5.13-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    "4.7-stream-blocked.txt": (POLICY, "safety", True),
    "4.7-stream-safety.txt": (POLICY, "safety", True),
    "4.7-stream-broken.txt": (UNKNOWN, "unreadable_reply", False),
    "4.7-stream-broken-in-an-event.txt": (UNKNOWN, "unreadable_reply", False),
    "2.1-E11.txt": (UNKNOWN, "unavailable", True),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(f"gemini_text/{name}" for name in (*SAID, *NOT_SAID, "2.1-E7.json"))


def read(response: Response) -> Outcome:
    asked = call("gemini.generate")
    return reading.outcome_of(response, lambda answer: gemini_text.read(answer, asked))


def produced(name: str) -> Produced:
    outcome = read(reply(f"gemini_text/{name}"))
    assert isinstance(outcome, Produced), outcome
    return outcome


def refused(name: str, status: int = 200) -> Refused:
    outcome = read(reply(f"gemini_text/{name}", status))
    assert isinstance(outcome, Refused), outcome
    return outcome


def build(asked: Call) -> Request:
    return gemini_text.GEMINI.build(asked)


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_answer_has_its_text_its_calls_and_why_it_ended(name: str) -> None:
    said = produced(name).result

    assert (said["text"], said["tool_calls"], said["finish_reason"]) == SAID[name]
    assert said["message"]["role"] == "model"
    if name != "4.7-array.json":
        assert (said["model"], said["id"]) == ("gemini-2.5-flash", "w4lsaYyKD6")
    assert said["usage"]


@pytest.mark.parametrize("name", sorted(NOT_SAID))
def test_what_is_no_answer_says_why(name: str) -> None:
    error = refused(name).error

    assert (error.error_class, error.code, error.charged) == NOT_SAID[name]
    assert error.message


def test_a_refusal_is_told_in_the_words_that_came_with_it() -> None:
    assert refused("2.4-blocked-with-a-message.json").error.message == "The prompt was blocked for safety."
    assert refused("2.4-prohibited-with-a-message.json").error.message == "The answer was blocked."
    assert refused("2.4-recitation-midway.json").error.message == "Shall I compare"


def test_googles_own_error_is_understood_by_its_word_and_by_its_number() -> None:
    error = refused("2.1-E7.json", 429).error

    assert (error.error_class, error.code, error.charged) == (ErrorClass.RATE_LIMITED, "resource_exhausted", False)


@pytest.mark.parametrize("name", ["5.13-thoughts.json", "4.7-stream-thoughts.txt"])
def test_thoughts_stand_apart(name: str) -> None:
    assert produced(name).result["reasoning"] == "Tides are named by the moon."


def test_every_signature_is_kept_where_it_stood() -> None:
    called = produced("5.13-functions.json").result["message"]["parts"]
    whole = produced("5.13-thoughts.json").result["message"]["parts"]
    stream = produced("4.7-stream-thoughts.txt").result["message"]["parts"]

    assert called[0] == {
        "functionCall": {"name": "get_tide", "args": {"port": "Brest"}},
        "thoughtSignature": "Eq4BCqsB",
    }
    assert whole[-1] == {"text": TIDES, "thoughtSignature": "Eq4BCqsB"}
    assert stream == [
        {"text": "Tides are named by the moon.", "thought": True},
        {"text": TIDES},
        {"text": "", "thoughtSignature": "Eq4BCqsB"},
    ]


def test_code_that_the_provider_ran_is_kept() -> None:
    parts = produced("5.13-code.json").result["message"]["parts"]

    assert [next(iter(part)) for part in parts] == ["executableCode", "codeExecutionResult", "text"]


def test_sources_are_told() -> None:
    said = produced("5.13-grounded.json").result

    assert said["annotations"] == [
        {"startIndex": 0, "endIndex": 6, "uri": "https://example.com/neap"},
        {"web": {"uri": "https://example.com/tides", "title": "Tides"}},
    ]
    assert said["details"]["groundingMetadata"]["webSearchQueries"] == ["tides"]
    assert produced("5.13-json.json").result["details"] == {"avgLogprobs": -0.02}


def test_a_picture_in_an_answer_becomes_an_artifact() -> None:
    made = produced("3.3-V16.json")

    (output,) = made.outputs
    assert output.kind == "image"
    assert (output.sources[0].content or b"").startswith(b"\x89PNG")
    assert made.result["message"]["parts"][1] == {
        "inlineData": {"mimeType": "image/png", "artifact_index": 0},
        "thoughtSignature": "Eq4B",
    }


@pytest.mark.parametrize("name", ["4.7-stream.txt", "4.7-stream-thoughts.txt", "4.7-stream-functions.txt"])
def test_a_stream_that_broke_off_anywhere_is_no_answer(name: str) -> None:
    body = reply(f"gemini_text/{name}").body
    end = body.index(b'"finishReason"')

    for cut in range(0, end, 13):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, body[:cut]))

        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is UNKNOWN


def test_the_prompt_is_a_turn_of_the_user() -> None:
    request = build(replace(call("gemini.generate"), model="gemini-2.5-flash"))

    assert (request.method, request.name) == ("POST", "gemini.generate")
    assert request.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert request.json == {"contents": [{"role": "user", "parts": [{"text": "a tin robot"}]}]}
    assert request.timeout_s > 300


def test_only_the_query_makes_it_a_stream_and_a_model_is_one_segment_of_the_path() -> None:
    request = build(replace(call("gemini.generate", stream=True), model="google/gemini:free"))

    assert request.path == "/v1beta/models/google%2Fgemini%3Afree:streamGenerateContent?alt=sse"
    assert "stream" not in request.json


def test_all_that_was_asked_for_is_sent_in_googles_spelling_and_free_json_as_it_was_written() -> None:
    schema = {"type": "OBJECT", "properties": {"high_at": {"type": "STRING", "default": None}}}
    turns = [
        {"role": "user", "parts": [{"text": "Tide?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "get_tide"}, "thoughtSignature": "Eq4B"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "get_tide", "response": {"high_at": None}}}]},
    ]

    body = build(
        call(
            "gemini.generate",
            contents=turns,
            system_instruction="Be brief.",
            generation_config={
                "max_output_tokens": 64,
                "response_mime_type": "application/json",
                "response_schema": schema,
                "thinking_config": {"include_thoughts": True, "thinking_budget": 0},
            },
            tools=[{"functionDeclarations": [{"name": "get_tide"}]}, {"googleSearch": {}}],
            tool_config={"functionCallingConfig": {"mode": "ANY"}},
            safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            cached_content="cachedContents/1",
        )
    ).json

    assert body == {
        "contents": turns,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "maxOutputTokens": 64,
            "responseMimeType": "application/json",
            "responseSchema": schema,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0},
        },
        "tools": [{"functionDeclarations": [{"name": "get_tide"}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1",
    }


def test_inputs_of_every_kind_go_inline_behind_the_words() -> None:
    inputs = {"images": (PNG,), "files": (PDF,), "audio": (SONG,), "videos": (FILM,)}

    (turn,) = build(replace(call("gemini.generate"), inputs=inputs)).json["contents"]

    assert turn["parts"] == [
        {"text": "a tin robot"},
        *({"inlineData": {"mimeType": one.content_type, "data": one.base64}} for one in (PNG, PDF, SONG, FILM)),
    ]


def test_inputs_go_to_the_last_turn_of_the_user_who_needs_no_name() -> None:
    turns = [{"parts": [{"text": "What is it?"}]}, {"role": "model", "parts": [{"text": "Where?"}]}]

    contents = build(call("gemini.generate", PNG, contents=turns)).json["contents"]

    assert [len(turn["parts"]) for turn in contents] == [2, 1]
    assert turns[0] == {"parts": [{"text": "What is it?"}]}


def test_inputs_without_a_turn_of_the_user_are_one() -> None:
    turns = [{"role": "model", "parts": [{"text": "Show me."}]}]

    assert [turn["role"] for turn in build(call("gemini.generate", PNG, contents=turns)).json["contents"]] == [
        "model",
        "user",
    ]


def test_what_gemini_does_not_take_is_refused_before_anything_is_sent() -> None:
    gif, large = Media("image/gif", "images-0.gif", b"GIF89a"), replace(FILM, content=b"x" * 15_000_001)

    with pytest.raises(InputRefused, match="picture 1 is image/gif"):
        build(call("gemini.generate", gif))
    with pytest.raises(InputRefused, match="holds 20000000"):
        build(replace(call("gemini.generate"), inputs={"videos": (large,)}))
