from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import chat
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

COLOURS: Final = "Three colours."
TIDE: Final = {"id": "call_7Yk", "name": "get_tide", "arguments": {"port": "Brest"}}
PDF: Final = Media("application/pdf", "files-0.pdf", b"%PDF-1.7", "document")
SONG: Final = Media("audio/mpeg", "audio-0.mp3", b"ID3-song", "audio")
FILM: Final = Media("video/mp4", "videos-0.mp4", b"ftyp-film", "video")

#: By file, the text, the calls of tools and why it ended.
SAID: Final[dict[str, tuple[str, list[Any], str | None]]] = {
    "5.1.json": (COLOURS, [], "stop"),
    "5.1-content-array.json": (COLOURS, [], "stop"),
    "5.1-finish-null.json": (COLOURS, [], None),
    "5.1-wrapped.json": (COLOURS, [], "stop"),
    "5.1-citations.json": (COLOURS, [], "stop"),
    "5.1-several.json": (COLOURS, [], "stop"),
    "5.1-logprobs.json": (COLOURS, [], "stop"),
    "5.1-picture.json": (COLOURS, [], "stop"),
    "5.1-sound.json": ("", [], "stop"),
    "5.2-stream.txt": (COLOURS, [], "stop"),
    "5.2-stream-with-pings.txt": (COLOURS, [], "stop"),
    "5.2-stream-in-one-chunk.txt": (COLOURS, [], "stop"),
    "5.2-stream-of-messages.txt": (COLOURS, [], "stop"),
    "5.2-stream-thoughts.txt": (COLOURS, [], "stop"),
    "5.2-stream-logprobs.txt": (COLOURS, [], "stop"),
    "5.2-stream-sound.txt": ("", [], "stop"),
    "5.2-stream-vendor-keys.txt": ("", [TIDE], "tool_calls"),
    "5.2-stream-tools.txt": ("", [TIDE, {"id": "call_8Zm", "name": "get_wind", "arguments": {}}], "tool_calls"),
    "2.4-one-of-two-filtered.json": (COLOURS, [], "stop"),
    "5.4-tools.json": ("", [TIDE], "tool_calls"),
    "5.4-tools-stop.json": ("", [TIDE], "tool_calls"),
    "5.4-tools-arguments.json": (
        "",
        [
            {"id": None, "name": "get_tide", "arguments": {}},
            {"id": None, "name": "get_wind", "arguments": '{"port":'},
        ],
        "tool_calls",
    ),
    "5.4-tools-cut-off.json": ("", [{**TIDE, "arguments": '{"port":"Br'}], "length"),
    "5.4-custom-tool.json": ("", [{"id": "call_7Yk", "name": "run_query", "arguments": "SELECT 1"}], "tool_calls"),
    "5.4-function-call.json": ("", [{**TIDE, "id": None}], "tool_calls"),
    "5.5-json.json": ('{"port":"Brest","high":"06:12"}', [], "stop"),
    "5.5-length.json": ('{"port":"Bre', [], "length"),
    "5.6-reasoning-content.json": ("At 06:12.", [], "stop"),
    "5.6-reasoning.json": ("At 06:12.", [], "stop"),
    "5.6-think.json": ("At 06:12.", [], "stop"),
    "5.6-budget-spent.json": ("", [], "length"),
}

THOUGHT: Final = {
    "5.2-stream-thoughts.txt": "Red, green, blue.",
    "5.2-stream-vendor-keys.txt": "Brest lies west.",
    "5.6-reasoning-content.json": "Brest lies west.",
    "5.6-reasoning.json": "Brest lies west.",
    "5.6-think.json": "Brest lies west.",
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no answer in it: class, code, and whether it is counted as paid.
NOT_SAID: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "5.1-no-choices.json": (NO_MEDIA, "empty_answer", True),
    "5.1-empty.json": (NO_MEDIA, "empty_answer", True),
    "5.1-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    "5.2-broken.txt": (UNKNOWN, "unreadable_reply", False),
    "5.2-broken-in-an-event.txt": (UNKNOWN, "unreadable_reply", False),
    "2.1-E10.txt": (UNKNOWN, "do_request_failed", True),
    "2.1-E11.txt": (UNKNOWN, "unknown_outcome", True),
    "2.1-E11-policy.txt": (POLICY, "content_filter", True),
    "2.4-content-filter.json": (POLICY, "content_filter", True),
    "2.4-content-filter-null.json": (POLICY, "content_filter", True),
    "2.4-content-filter-midway.json": (POLICY, "content_filter", True),
    "2.4-content-filter-stream.txt": (POLICY, "content_filter", True),
    "2.5-200-error.json": (UNKNOWN, "rate_limit_exceeded", True),
    "5.5-refusal.json": (POLICY, "refusal", True),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(
    f"chat/{name}" for name in (*SAID, *NOT_SAID, "2.4-empty-stream.txt", "5.3-500-count-token-failed.json")
)


def read(response: Response, asked: Call | None = None) -> Outcome:
    asked = asked or call("chat.completion")
    return reading.outcome_of(response, lambda answer: chat.read(answer, asked))


def produced(name: str) -> Produced:
    outcome = read(reply(f"chat/{name}"))
    assert isinstance(outcome, Produced), outcome
    return outcome


def result(name: str) -> dict[str, Any]:
    return dict(produced(name).result)


def build(*images: Media, model: str = "the-model", files: tuple[Media, ...] = (), **params: Any) -> Request:
    return chat.CHAT.build(asked_of(*images, model=model, files=files, **params))


def asked_of(*images: Media, model: str = "the-model", files: tuple[Media, ...] = (), **params: Any) -> Call:
    made = call("chat.completion", **params)
    return replace(made, model=model, inputs={"images": images, "files": files})


# What comes back.


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_answer_has_its_text_its_calls_and_why_it_ended(name: str) -> None:
    said = result(name)

    assert (said["text"], said["tool_calls"], said["finish_reason"]) == SAID[name]
    assert said["model"] == "gpt-4.1-mini"
    assert said["message"]["role"] == "assistant"


@pytest.mark.parametrize("name", sorted(NOT_SAID))
def test_what_is_no_answer_says_why(name: str) -> None:
    outcome = read(reply(f"chat/{name}"))

    assert isinstance(outcome, Refused), outcome
    error = outcome.error
    assert (error.error_class, error.code, error.charged) == NOT_SAID[name]
    assert error.upstream_status == 200
    assert error.message


def test_a_refusal_is_told_in_the_models_own_words() -> None:
    messages = {name: read(reply(f"chat/{name}")) for name in ("5.5-refusal.json", "2.4-content-filter-midway.json")}

    told = {name: outcome.error.message for name, outcome in messages.items() if isinstance(outcome, Refused)}
    assert told == {
        "5.5-refusal.json": "I'm sorry, I can't assist with that request.",
        "2.4-content-filter-midway.json": "Three colours of",
    }


@pytest.mark.parametrize(("model", "code"), [("gemini-2.5-flash", "empty_stream"), ("gpt-5", "unreadable_reply")])
def test_a_stream_without_a_word_is_a_blocked_prompt_only_where_gemini_may_stand_behind_it(
    model: str, code: str
) -> None:
    outcome = read(reply("chat/2.4-empty-stream.txt"), asked_of(model=model))

    assert isinstance(outcome, Refused)
    assert outcome.error.code == code
    assert (outcome.error.error_class is POLICY) == (code == "empty_stream")


def test_a_file_that_the_gateway_could_not_look_at_is_our_mistake() -> None:
    outcome = read(reply("chat/5.3-500-count-token-failed.json", 500))

    assert isinstance(outcome, Refused)
    assert (outcome.error.error_class, outcome.error.charged) == (ErrorClass.INVALID_REQUEST, False)


@pytest.mark.parametrize("name", sorted(set(SAID) - set(THOUGHT)))
def test_an_answer_without_thoughts_has_no_place_for_them(name: str) -> None:
    assert "reasoning" not in result(name)


@pytest.mark.parametrize("name", sorted(THOUGHT))
def test_thoughts_stand_apart_wherever_they_came(name: str) -> None:
    assert result(name)["reasoning"] == THOUGHT[name]


def test_usage_is_kept_as_the_vendor_counts() -> None:
    assert result("5.1.json")["usage"]["total_tokens"] == 25
    assert result("5.1-content-array.json")["usage"]["claude_cache_creation_5_m_tokens"] == 0
    assert result("5.2-stream.txt")["usage"]["completion_tokens"] == 4
    assert result("5.1-finish-null.json")["usage"] is None


@pytest.mark.parametrize(
    "name", ["5.4-tools.json", "5.4-function-call.json", "5.6-reasoning.json", "5.1-citations.json"]
)
def test_the_message_of_a_whole_answer_is_the_one_that_came(name: str) -> None:
    whole = json.loads(reply(f"chat/{name}").body)["choices"][0]["message"]

    assert result(name)["message"] == whole


def test_the_message_of_a_stream_is_put_together_so_that_it_can_be_given_back() -> None:
    message = result("5.2-stream-tools.txt")["message"]

    assert message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_7Yk", "type": "function", "function": {"name": "get_tide", "arguments": '{"port":"Brest"}'}},
            {"id": "call_8Zm", "type": "function", "function": {"name": "get_wind", "arguments": "{}"}},
        ],
    }
    assert result("5.2-stream-thoughts.txt")["message"]["reasoning_content"] == "Red, green, blue."


def test_what_a_vendor_says_besides_is_kept() -> None:
    said = result("5.1-citations.json")

    assert said["annotations"][0]["url_citation"]["title"] == "Colours"
    assert said["details"] == {"citations": ["https://example.com/colours"]}
    assert result("5.1-logprobs.json")["logprobs"]["content"][0]["token"] == "Three"
    assert (said["id"], said["model"]) == ("chatcmpl-CqXw81fT", "gpt-4.1-mini")


def test_the_likelihoods_of_a_stream_are_those_of_its_pieces() -> None:
    logprobs = result("5.2-stream-logprobs.txt")["logprobs"]

    assert [one["token"] for one in logprobs["content"]] == ["Three", " colours", "."]


def test_a_sound_in_pieces_becomes_a_file_that_can_be_played() -> None:
    answer = produced("5.2-stream-sound.txt")

    (output,) = answer.outputs
    content = output.sources[0].content or b""
    assert output.kind == "audio"
    assert content.startswith(b"RIFF")
    assert content.endswith(bytes(range(250)) * 2)
    assert answer.result["message"]["audio"] == {
        "id": "audio_68f1",
        "transcript": COLOURS,
        "expires_at": 1768733610,
        "artifact_index": 0,
    }


def test_what_a_vendor_says_in_a_stream_besides_is_kept_so_that_it_can_be_given_back() -> None:
    said = result("5.2-stream-vendor-keys.txt")

    signature = {"google": {"thought_signature": "CsoBAR4hPq"}}
    assert said["message"]["tool_calls"][0]["extra_content"] == signature
    form = {"format": "google-gemini-v1"}
    assert said["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Brest lies west.", "index": 0, **form},
        {"type": "reasoning.encrypted", "data": "CsoBAR4hPq", "id": "call_7Yk", "index": 1, **form},
    ]
    assert said["details"] == {
        "provider": "Vertex",
        "native_finish_reason": "STOP",
        "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
    }


def test_several_answers_are_told_in_their_order() -> None:
    choices = result("5.1-several.json")["choices"]

    assert [(one["index"], one["text"], one["finish_reason"]) for one in choices] == [
        (0, COLOURS, "stop"),
        (1, "Four.", "length"),
    ]
    assert choices[1]["message"]["content"] == "Four."
    assert "choices" not in result("5.1.json")


def test_an_answer_beside_one_that_was_filtered_is_the_result() -> None:
    said = result("2.4-one-of-two-filtered.json")

    assert [one["finish_reason"] for one in said["choices"]] == ["content_filter", "stop"]
    assert said["message"]["content"] == COLOURS


def test_pictures_and_sounds_in_an_answer_become_artifacts() -> None:
    picture, sound = produced("5.1-picture.json"), produced("5.1-sound.json")

    assert [output.kind for output in (*picture.outputs, *sound.outputs)] == ["image", "audio"]
    assert (picture.outputs[0].sources[0].content or b"").startswith(b"\x89PNG")
    assert (sound.outputs[0].sources[0].content or b"").startswith(b"RIFF")
    assert picture.result["message"]["images"] == [{"type": "image_url", "image_url": {"artifact_index": 0}}]
    assert sound.result["message"]["audio"]["transcript"] == COLOURS
    assert sound.result["message"]["audio"]["artifact_index"] == 0
    assert "data" not in sound.result["message"]["audio"]


@pytest.mark.parametrize(
    "name", sorted(name for name in SAID if re.match(r"5\.2-stream-(?!in-one|of-m)|5\.2-stream\.", name))
)
def test_a_stream_that_broke_off_anywhere_is_no_answer(name: str) -> None:
    body = reply(f"chat/{name}").body
    finish = body.index(b'"finish_reason":"')

    for cut in range(0, finish, 17):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, body[:cut]))

        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is UNKNOWN


# What is asked.


def test_the_prompt_is_a_message_of_the_user() -> None:
    request = build()

    assert (request.method, request.path, request.name) == ("POST", "/v1/chat/completions", "chat.completion")
    assert request.json == {"model": "the-model", "messages": [{"role": "user", "content": "a tin robot"}]}
    assert request.timeout_s > 300


def test_all_that_was_asked_for_is_sent_as_it_was_written() -> None:
    asked: dict[str, Any] = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Three colours?"}],
        "tools": [{"type": "function", "function": {"name": "get_tide", "parameters": {"a": None}}}],
        "tool_choice": {"type": "function", "function": {"name": "get_tide"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "tide", "schema": {}, "strict": True}},
        "reasoning_effort": "low",
        "web_search_options": {"search_context_size": "low"},
        "stop": ["\n"],
        "temperature": 0,
        "n": 2,
        "logit_bias": {"50256": -100},
        "max_completion_tokens": 64,
    }

    assert build(**asked).json == {"model": "the-model", **asked}


def test_a_stream_tells_its_usage_unless_told_otherwise() -> None:
    assert build(stream=True).json["stream_options"] == {"include_usage": True}
    assert build(stream=True, stream_options={"include_usage": False}).json["stream_options"] == {
        "include_usage": False
    }
    assert "stream_options" not in build(stream=False, stream_options={"include_usage": True}).json


def test_pictures_go_behind_the_words_as_data_urls() -> None:
    (message,) = build(PNG, JPEG).json["messages"]

    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "a tin robot"},
            {"type": "image_url", "image_url": {"url": PNG.data_url}},
            {"type": "image_url", "image_url": {"url": JPEG.data_url}},
        ],
    }


def test_inputs_of_every_kind_go_as_the_parts_that_vendors_know() -> None:
    inputs = {"images": (PNG,), "files": (PDF,), "audio": (SONG,), "videos": (FILM,)}

    (message,) = chat.CHAT.build(replace(call("chat.completion"), inputs=inputs)).json["messages"]

    assert message["content"][1:] == [
        {"type": "image_url", "image_url": {"url": PNG.data_url}},
        {"type": "file", "file": {"filename": "files-0.pdf", "file_data": PDF.data_url}},
        {"type": "input_audio", "input_audio": {"data": SONG.base64, "format": "mp3"}},
        {"type": "video_url", "video_url": {"url": FILM.data_url}},
    ]


@pytest.mark.parametrize("content", ["What is it?", [{"type": "text", "text": "What is it?"}]])
def test_inputs_go_to_the_last_message_of_the_user(content: Any) -> None:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "Where?"}]

    messages = build(PNG, messages=[turns[0], *turns]).json["messages"]

    picture = {"type": "image_url", "image_url": {"url": PNG.data_url}}
    words = {"type": "text", "text": "What is it?"}
    assert messages == [turns[0], {"role": "user", "content": [words, picture]}, turns[1]]


def test_inputs_without_a_message_of_the_user_are_one() -> None:
    turns = [{"role": "system", "content": "Describe what you see."}]

    assert [turn["role"] for turn in build(PNG, messages=turns).json["messages"]] == ["system", "user"]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gpt-4.1-mini"])
def test_what_only_gemini_refuses_is_only_refused_for_gemini(model: str) -> None:
    gif = Media("image/gif", "images-0.gif", b"GIF89a")

    if model.startswith("gemini"):
        with pytest.raises(InputRefused, match="picture 1 is image/gif"):
            build(gif, model=model)
    else:
        assert build(gif, model=model).json["model"] == model


def test_inputs_that_are_too_large_for_gemini_are_refused_before_anything_is_sent() -> None:
    large = replace(PDF, content=b"x" * 8_000_000)

    with pytest.raises(InputRefused, match="21333336 bytes in base64"):
        build(model="gemini-2.5-flash", files=(large, large))
