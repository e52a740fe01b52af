from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import gemini_images
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused, Source
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, ROOT, call, reply

URL: Final = Source(url="https://cdn.example.net/i/8f2a.png")
IS_PNG, IS_JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"

#: By file, the source of its picture; the first bytes where the picture is in the answer.
PICTURES: Final[dict[str, Source | bytes]] = {
    "4.5-V16-inline.json": IS_JPEG,
    "3.3-V17-inline-snake.json": IS_PNG,
    "3.3-V18-markdown-data.json": IS_PNG,
    "3.3-V18-markdown-url.json": URL,
    "3.3-V18-url.json": Source(url="https://cdn.example.net/i/8f2a"),
    "3.3-V19-file.json": URL,
    "3.3-V19-file-snake.json": URL,
    "3.3-V1-images-body.json": URL,
    "3.4-draft-is-a-thought.json": IS_PNG,
    "3.4-thought-comes-last.json": IS_PNG,
    "3.4-drafts.json": IS_PNG,
    "3.4-only-a-thought.json": IS_PNG,
    "3.4-two-candidates.json": IS_PNG,
    "3.4-second-candidate-blocked.json": IS_PNG,
    "3.4-label-lies.json": IS_JPEG,
    "3.4-sound-beside-the-picture.json": IS_PNG,
    "4.7-stream.txt": IS_PNG,
    "4.7-stream-drafts.txt": IS_PNG,
    "4.7-stream-openai-channel.txt": URL,
    "4.7-array.json": IS_PNG,
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no picture in it: class, code, and whether it is counted as paid.
NO_PICTURE: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "2.4-text.json": (NO_MEDIA, "refusal_text", True),
    "2.4-text-stream.txt": (NO_MEDIA, "refusal_text", True),
    "2.4-image-safety.json": (POLICY, "image_safety", True),
    "2.4-image-safety-stream.txt": (POLICY, "image_safety", True),
    "2.4-prohibited-content.json": (POLICY, "prohibited_content", True),
    "2.4-safety-with-a-text.json": (POLICY, "safety", True),
    "2.4-draft-then-safety.json": (POLICY, "image_safety", True),
    "2.4-no-image.json": (NO_MEDIA, "no_image", True),
    "2.4-image-other.json": (NO_MEDIA, "image_other", True),
    "2.4-max-tokens.json": (NO_MEDIA, "max_tokens", True),
    "2.4-blocked.json": (POLICY, "prohibited_content", True),
    "2.4-blocked-null.json": (POLICY, "safety", True),
    "2.4-blocked-stream.txt": (POLICY, "image_safety", True),
    "2.4-no-candidates.json": (NO_MEDIA, "empty_answer", True),
    "2.4-null-parts.json": (NO_MEDIA, "empty_answer", True),
    "3.3-V6-task.json": (UNKNOWN, "async_receipt", True),
    "2.1-E11.txt": (UNKNOWN, "unavailable", True),
    "2.1-E11-beside-a-picture.txt": (UNKNOWN, "internal", True),
    "4.7-broken-before-the-picture.txt": (UNKNOWN, "broken_stream", True),
    "4.7-broken-after-a-picture.txt": (UNKNOWN, "broken_stream", True),
    "4.7-cut-in-the-picture.txt": (UNKNOWN, "broken_stream", True),
    "4.5-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(f"gemini_images/{name}" for name in (*PICTURES, *NO_PICTURE, "2.1-E7.json"))


def asked_of(model: str, *images: Media, prompt: str = "a tin robot", **params: Any) -> Call:
    return replace(call("image.gemini", *images, **params), model=model, prompt=prompt)


def read(response: Response, asked: Call | None = None) -> Outcome:
    asked = asked or call("image.gemini")
    return reading.outcome_of(response, lambda answer: gemini_images.read(answer, asked))


def produced(name: str) -> Produced:
    outcome = read(reply(f"gemini_images/{name}"))
    assert isinstance(outcome, Produced), outcome
    return outcome


def refused(name: str, status: int = 200) -> Refused:
    outcome = read(reply(f"gemini_images/{name}", status))
    assert isinstance(outcome, Refused), outcome
    return outcome


def build(asked: Call) -> Request:
    return gemini_images.GEMINI.build(asked)


# What comes back.


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_each_way_a_picture_comes_back_is_read_and_drafts_are_left_out(name: str) -> None:
    (output,) = produced(name).outputs

    (source,) = output.sources
    expected = PICTURES[name]
    assert output.kind == "image"
    if isinstance(expected, Source):
        assert source == expected
    else:
        assert (source.content or b"").startswith(expected)
        assert (source.content or b"").endswith((b"IEND\xaeB`\x82", b"\xff\xd9"))


@pytest.mark.parametrize("name", sorted(NO_PICTURE))
def test_an_answer_without_a_picture_says_why(name: str) -> None:
    error = refused(name).error

    assert (error.error_class, error.code, error.charged) == NO_PICTURE[name]
    assert error.upstream_status == 200
    assert error.message


def test_googles_own_error_is_understood_by_its_word_and_by_its_number() -> None:
    error = refused("2.1-E7.json", 429).error

    assert (error.error_class, error.code, error.charged) == (ErrorClass.RATE_LIMITED, "resource_exhausted", False)


def test_a_refusal_is_handed_on_in_the_models_own_words() -> None:
    assert refused("2.4-text.json").error.message == "I can't create images of real people."
    assert refused("2.4-blocked-null.json").error.message == "SAFETY: The prompt was blocked for safety."
    assert refused("2.4-safety-with-a-text.json").error.message == "SAFETY: This cannot be shown."


def test_an_answer_has_its_counts_its_text_and_its_usage() -> None:
    result = produced("3.4-draft-is-a-thought.json").result

    assert (result["delivered"], result["requested"], result["text"]) == (1, 1, "Here it is.")
    assert result["usage"]["totalTokenCount"] == 1389
    assert set(result) == {"delivered", "requested", "text", "usage", "message"}
    assert produced("4.7-stream.txt").result["usage"]["candidatesTokenCount"] == 1290
    assert "text" not in produced("3.3-V18-markdown-data.json").result


def test_an_address_of_the_request_is_no_result() -> None:
    asked = replace(call("image.gemini"), prompt=f"like {URL.url}")
    turns = [{"role": "user", "parts": [{"text": f"like {URL.url}"}]}]

    for one in (asked, replace(call("image.gemini", contents=turns), prompt="")):
        outcome = read(reply("gemini_images/3.3-V18-markdown-url.json"), one)

        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is NO_MEDIA


def test_an_answer_that_is_the_picture_itself_is_taken() -> None:
    outcome = read(Response(200, {"content-type": "image/webp"}, b"RIFF-webp"))

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=b"RIFF-webp"),)


@pytest.mark.parametrize("name", ["4.7-stream.txt", "4.7-stream-drafts.txt", "4.7-stream-openai-channel.txt"])
def test_a_stream_that_broke_off_anywhere_gives_its_whole_picture_or_an_unknown_outcome(name: str) -> None:
    whole = (ROOT / "gemini_images" / name).read_bytes()
    outputs = produced(name).outputs

    for cut in range(0, len(whole), 7):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, whole[:cut]))

        if isinstance(outcome, Produced):
            assert outcome.outputs == outputs
        else:
            assert isinstance(outcome, Refused)
            assert outcome.error.error_class is UNKNOWN


# What is asked.


def test_a_prompt_is_one_turn_and_both_kinds_of_answer_are_asked_for() -> None:
    request = build(asked_of("gemini-2.5-flash-image"))

    path = "/v1beta/models/gemini-2.5-flash-image:generateContent"
    assert (request.method, request.path, request.name) == ("POST", path, "image.gemini")
    assert request.json == {
        "contents": [{"role": "user", "parts": [{"text": "a tin robot"}]}],
        "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]},
    }
    assert request.timeout_s == 330


def test_a_stream_is_asked_for_in_the_query() -> None:
    request = build(asked_of("a/b:c", stream=True))

    assert request.path == "/v1beta/models/a%2Fb%3Ac:streamGenerateContent?alt=sse"
    assert "stream" not in request.json


def test_pictures_go_along_inline_behind_the_words() -> None:
    body = build(asked_of("gemini-2.5-flash-image", PNG, JPEG)).json

    assert body["contents"][0]["parts"] == [
        {"text": "a tin robot"},
        {"inlineData": {"mimeType": "image/png", "data": PNG.base64}},
        {"inlineData": {"mimeType": "image/jpeg", "data": JPEG.base64}},
    ]


def test_everything_that_survives_the_gateway_is_sent_in_its_own_spelling() -> None:
    body = build(
        asked_of(
            "gemini-3-pro-image-preview",
            aspect_ratio="3:2",
            image_size="2K",
            generation_config={
                "response_modalities": ["IMAGE"],
                "image_config": {"image_size": "4K"},
                "temperature": 0.5,
                "top_k": 40,
                "thinking_config": {"thinking_level": "low"},
            },
            safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            system_instruction="Draw in ink.",
            tools=[{"google_search": {}}],
            cached_content="cachedContents/1",
        )
    ).json

    assert body["generationConfig"] == {
        "responseModalities": ["IMAGE"],
        "imageConfig": {"aspectRatio": "3:2", "imageSize": "4K"},
        "temperature": 0.5,
        "topK": 40,
        "thinkingConfig": {"thinkingLevel": "low"},
    }
    assert body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    assert body["systemInstruction"] == {"parts": [{"text": "Draw in ink."}]}
    assert (body["tools"], body["cachedContent"]) == ([{"google_search": {}}], "cachedContents/1")
    assert set(body) == {
        *("contents", "generationConfig", "safetySettings", "systemInstruction", "tools", "cachedContent"),
    }


def test_a_conversation_goes_as_it_is_with_the_pictures_in_its_last_turn() -> None:
    turns = [
        {"role": "user", "parts": [{"text": "a kite"}]},
        {"role": "model", "parts": [{"text": "Here.", "thoughtSignature": "Eq4B"}]},
        {"parts": [{"text": "in red"}]},
        {"role": "model", "parts": [{"text": "…"}]},
    ]

    contents = build(replace(asked_of("nano-banana", PNG, contents=turns), prompt="")).json["contents"]

    assert [*contents[:2], contents[3]] == [*turns[:2], turns[3]]
    assert contents[2]["parts"][0] == {"text": "in red"}
    assert contents[2]["parts"][1]["inlineData"]["data"] == PNG.base64


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"image_size": "2K"}, 330),
        ({"image_size": "4K"}, 630),
        ({"generation_config": {"image_config": {"image_size": "4K"}}}, 630),
    ],
)
def test_a_large_picture_is_waited_for_longer(asked: dict[str, Any], expected: int) -> None:
    assert build(asked_of("gemini-3-pro-image-preview", **asked)).timeout_s == expected


def test_what_a_gemini_model_cannot_look_at_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InputRefused, match="picture 1 is image/gif"):
        build(asked_of("gemini-2.5-flash-image", Media("image/gif", "a.gif", b"GIF89a")))
