from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import chat_images
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused, Source
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, ROOT, call, reply

URL: Final = Source(url="https://cdn.example.net/i/8f2a.png")
SIGNED: Final = Source(url="https://cdn.example.net/i/8f2a.png?X-Expires=86400&X-Signature=ab%2Bcd")
CDN: Final = Source(url="https://cdn.example.net/cdn/20260118/9d1c.png")
ARK: Final = "https://ark-content.example.com/"

#: By file, the source of each picture in it; `bytes` where the picture is in the answer.
PICTURES: Final[dict[str, list[Source | type[bytes]]]] = {
    "3.3-V8-data.json": [bytes],
    "3.3-V8-data-in-lines-twice.json": [bytes, bytes],
    "3.3-V8-stream.txt": [bytes],
    "3.3-V9-url.json": [SIGNED],
    "3.3-V9-url-with-title.json": [URL],
    "3.3-V9-url-with-parentheses.json": [
        Source(url="https://cdn.example.net/i/kite_(1).png"),
        Source(url="https://cdn.example.net/i/kite_(2).png"),
    ],
    "3.3-V9-stream.txt": [SIGNED],
    "3.3-V10-progress.json": [CDN],
    "3.3-V10-link-alone.json": [Source(url="https://cdn.example.net/cdn/download/20260118/9d1c.png")],
    "3.3-V10-stream.txt": [CDN],
    "3.3-V11-bare-url.json": [Source(url="https://cdn.example.net/i/8f2a")],
    "3.3-V11-bare-url-in-a-sentence.json": [URL],
    "3.3-V11-link.json": [Source(url="https://cdn.example.net/i/8f2a")],
    "3.3-V11-stream.txt": [Source(url="https://cdn.example.net/i/8f2a")],
    "3.3-V12-image-url.json": [bytes],
    "3.3-V12-image-source.json": [bytes, URL],
    "3.3-V12-output-image.json": [URL],
    "3.3-V12-stream.txt": [bytes],
    "3.3-V13-images.json": [bytes],
    "3.3-V13-images-and-markdown.json": [bytes],
    "3.3-V13-stream.txt": [bytes],
    "3.3-V14-media.json": [URL],
    "3.3-V14-media-strings.json": [URL],
    "3.3-V14-media-stream.txt": [URL],
    "3.3-V14-images-body.json": [URL],
    "3.3-V14-images-body-mixed.json": [URL],
    "3.3-V14-images-body-stream.txt": [URL],
    "3.3-V15-split-data.txt": [bytes],
    "3.3-V15-in-thoughts.txt": [bytes],
    "3.4-html.json": [Source(url="https://cdn.example.net/i/8f2a.png?a=1&b=2")],
    "3.4-bare-data.json": [bytes],
    "3.4-drafts.json": [bytes, bytes],
    "3.4-the-same-twice.json": [
        Source(url="https://cdn.example.net/i/8f2a.png?sig=1"),
        Source(url="https://cdn.example.net/view?id=1"),
        Source(url="https://cdn.example.net/view?id=2"),
    ],
    "3.5-at-the-gateway.json": [Source(path="/v1/files/img_1/content?sig=abc"), URL],
    "4.12-seedream.json": [
        Source(url=f"{ARK}a.jpeg?X-Tos-Signature=1"),
        Source(url=f"{ARK}b.jpeg?X-Tos-Signature=2"),
    ],
    "4.12-seedream-stream.txt": [Source(url=f"{ARK}a.jpeg")],
    "5.2-message-in-a-stream.txt": [URL],
    "5.6-draft-in-thoughts.json": [bytes],
    "2.1-E11-beside-a-picture.txt": [URL],
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no picture in it: class, code, and whether it is counted as paid.
NO_PICTURE: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "2.4-refusal.json": (NO_MEDIA, "refusal_text", True),
    "2.4-refusal-in-chinese.json": (NO_MEDIA, "refusal_text", True),
    "2.4-refusal-field.json": (NO_MEDIA, "refusal_text", True),
    "2.4-refusal-stream.txt": (NO_MEDIA, "refusal_text", True),
    "2.4-content-filter.json": (POLICY, "content_filter", True),
    "2.4-content-filter-null.json": (POLICY, "content_filter", True),
    "2.4-content-filter-stream.txt": (POLICY, "content_filter", True),
    "2.4-empty.json": (NO_MEDIA, "empty_answer", True),
    "2.4-empty-stream.txt": (POLICY, "empty_stream", True),
    "2.4-empty-stream-stopped.txt": (POLICY, "empty_stream", True),
    "2.4-failed.json": (NO_MEDIA, "generation_failed", True),
    "2.4-failed-policy.json": (POLICY, "generation_failed", True),
    "2.4-failed-stream.txt": (POLICY, "generation_failed", True),
    "2.4-failed-without-a-reason.json": (NO_MEDIA, "generation_failed", True),
    "4.1-length.json": (NO_MEDIA, "finish_length", True),
    "4.8-only-preview.json": (NO_MEDIA, "refusal_text", True),
    "5.1-no-choices.json": (NO_MEDIA, "empty_answer", True),
    "3.3-V14-images-body-failed.json": (POLICY, "outputimagesensitivecontentdetected", True),
    "3.3-V6-task.json": (UNKNOWN, "async_receipt", True),
    "2.1-E10.txt": (UNKNOWN, "do_request_failed", True),
    "2.1-E11.txt": (UNKNOWN, "internal", True),
    "2.1-E11-policy.txt": (POLICY, "moderation_blocked", True),
    "2.1-E11-empty-response.txt": (NO_MEDIA, "empty_response", True),
    "2.5-error-200.json": (POLICY, "content_policy_violation", True),
    "5.2-broken-before-the-picture.txt": (UNKNOWN, "broken_stream", True),
    "5.2-broken-after-the-picture.txt": (UNKNOWN, "broken_stream", True),
    "5.2-broken-in-the-url.txt": (UNKNOWN, "broken_stream", True),
    "5.2-cut-in-the-picture.txt": (UNKNOWN, "broken_stream", True),
    "5.1-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

#: By file, its HTTP status and what it means.
ERRORS: Final[dict[str, tuple[int, ErrorClass, bool]]] = {
    "2.2-prompt-blocked.json": (400, POLICY, True),
    "2.2-empty-response.json": (500, NO_MEDIA, True),
}

REPLIES: Final = frozenset(f"chat_images/{name}" for name in (*PICTURES, *NO_PICTURE, *ERRORS))

SENSITIVE: Final = {
    "code": "outputimagesensitivecontentdetected",
    "message": "The output image may contain sensitive information.",
}


def asked_of(model: str, *images: Media, prompt: str = "a tin robot", **params: Any) -> Call:
    return replace(call("image.chat", *images, **params), model=model, prompt=prompt)


def read(response: Response, asked: Call | None = None) -> Outcome:
    asked = asked or call("image.chat")
    return reading.outcome_of(response, lambda answer: chat_images.read(answer, asked))


def produced(name: str, asked: Call | None = None) -> Produced:
    outcome = read(reply(f"chat_images/{name}"), asked)
    assert isinstance(outcome, Produced), outcome
    return outcome


def refused(name: str, status: int = 200) -> Refused:
    outcome = read(reply(f"chat_images/{name}", status))
    assert isinstance(outcome, Refused), outcome
    return outcome


def sources(outcome: Produced) -> list[Source | type[bytes]]:
    """Of each picture where it is; each has one place."""
    found = [source for output in outcome.outputs for source in output.sources]
    assert len(found) == len(outcome.outputs)
    return [bytes if source.content else source for source in found]


def said(content: Any, reason: str = "stop") -> Response:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}]}
    return Response(200, body=json.dumps(body).encode())


def build(asked: Call) -> Request:
    return chat_images.CHAT.build(asked)


# What comes back.


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_each_way_a_picture_comes_back_is_read(name: str) -> None:
    outcome = produced(name)

    assert [output.kind for output in outcome.outputs] == ["image"] * len(PICTURES[name])
    assert sources(outcome) == PICTURES[name]


@pytest.mark.parametrize("name", sorted(name for name, found in PICTURES.items() if bytes in found))
def test_a_picture_in_the_answer_is_decoded(name: str) -> None:
    for source in (source for output in produced(name).outputs for source in output.sources):
        if source.content is not None:
            assert source.content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
            assert source.content.endswith((b"IEND\xaeB`\x82", b"\xff\xd9"))


@pytest.mark.parametrize("name", sorted(NO_PICTURE))
def test_an_answer_without_a_picture_says_why(name: str) -> None:
    error = refused(name).error

    assert (error.error_class, error.code, error.charged) == NO_PICTURE[name]
    assert error.upstream_status == 200
    assert error.message


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_errors_that_are_billed_count_as_paid(name: str) -> None:
    status, error_class, charged = ERRORS[name]

    error = refused(name, status).error

    assert (error.error_class, error.charged) == (error_class, charged)


def test_an_error_under_the_type_of_a_stream_is_an_error() -> None:
    response = reply("chat_images/2.2-prompt-blocked.json", 400, content_type="text/event-stream")

    outcome = read(response)

    assert isinstance(outcome, Refused)
    assert (outcome.error.error_class, outcome.error.code) == (POLICY, "prompt_blocked")


def test_a_refusal_is_handed_on_in_the_models_own_words() -> None:
    assert refused("2.4-refusal-stream.txt").error.message == "I can't create that image."
    assert refused("2.4-refusal-field.json").error.message == "I'm sorry, I can't help with that."


def test_the_reason_in_a_progress_log_is_handed_on() -> None:
    assert refused("2.4-failed-policy.json").error.message == "input_moderation"
    assert refused("2.4-failed.json").error.message == "超时"


def test_a_broken_stream_tells_how_far_it_came() -> None:
    message = refused("5.2-broken-before-the-picture.txt").error.message

    assert message.startswith("the stream broke off before its end, after: ")
    assert "https://async.example.net/source/task_01kb7q2m9x" in message


def test_a_gemini_model_shows_its_drafts_and_the_last_picture_is_the_result() -> None:
    whole = produced("3.4-drafts.json").outputs

    (last,) = produced("3.4-drafts.json", asked_of("gemini-3-pro-image-preview")).outputs
    both = produced("3.4-drafts.json", asked_of("nano-banana-pro", n=2)).outputs

    assert last == whole[-1]
    assert both == whole


def test_an_error_after_a_picture_of_a_gemini_model_may_have_come_after_a_draft() -> None:
    outcome = read(reply("chat_images/2.1-E11-beside-a-picture.txt"), asked_of("nano-banana-pro"))

    assert isinstance(outcome, Refused)
    assert outcome.error.charged


def test_an_answer_has_its_counts_its_text_and_its_usage() -> None:
    one = produced("3.3-V8-stream.txt", call("image.chat", n=2)).result

    assert one == {
        "delivered": 1,
        "requested": 2,
        "text": "Here is the lighthouse.",
        "usage": {"prompt_tokens": 12, "completion_tokens": 1297, "total_tokens": 1309},
    }


def test_the_text_keeps_what_a_later_edit_needs_and_no_pictures() -> None:
    assert produced("3.3-V8-data-in-lines-twice.json").result["text"] == "First:\n\nSecond:\n\nBoth are yours."
    assert produced("3.4-bare-data.json").result["text"] == "The picture follows.  That was it."
    assert "![gen_01kb7q2m9x](https://cdn" in produced("3.3-V10-stream.txt").result["text"]


def test_pictures_that_are_missing_are_told_beside_those_that_came() -> None:
    result = produced("3.3-V14-images-body-mixed.json", call("image.chat", n=2)).result

    assert (result["delivered"], result["requested"], result["errors"]) == (1, 2, [SENSITIVE])
    assert produced("2.1-E11-beside-a-picture.txt").result["errors"][0]["code"] == "content_policy_violation"


def test_addresses_of_the_request_are_no_results() -> None:
    response = said(f"I used {URL.url} as you said: ![ref]({URL.url}) ![new](https://cdn.example.net/new.png)")

    in_prompt = read(response, asked_of("gpt-4o-image", prompt=f"like {URL.url}"))
    in_messages = read(
        response,
        replace(asked_of("gpt-4o-image", messages=[{"role": "user", "content": f"like {URL.url}"}]), prompt=""),
    )
    as_input = read(response, asked_of("gpt-4o-image", replace(PNG, url=URL.url)))

    for outcome in (in_prompt, in_messages, as_input):
        assert isinstance(outcome, Produced)
        assert sources(outcome) == [Source(url="https://cdn.example.net/new.png")]


@pytest.mark.parametrize(
    "text",
    [
        "wow![1] see the [docs](https://docs.example.com/page)",
        "![broken](https://cdn.example.net/a.png",
        "see https://docs.example.com/page and https://docs.example.com/other",
        "[100%](https://videos.example.com/raw/x.png)",
        "[raw](https://asyncdata.example.net/a.png)",
        "![sound](data:audio/wav;base64,UklGRiQAAABXQVZF)",
        "![nothing]() ![blank](   )",
        "![](data:image/png;base64,!!!)",
        '```json\n{"prompt": "like https://pics.example.com/a.png"}\n```',
        "<img alt='no source'>",
        "![" * 5000,
        "[" * 5000,
        "```" * 5001,
        "<img" * 5000,
    ],
)
def test_what_is_no_picture_is_not_taken_for_one(text: str) -> None:
    outcome = read(said(text))

    is_found = text.startswith("![broken]")  # its address is whole and stands bare
    assert isinstance(outcome, Produced) == is_found


@pytest.mark.parametrize("part", [7, None, "a word", {}, {"type": "image_url"}, {"type": "image_url", "image_url": {}}])
def test_a_part_without_a_picture_is_none(part: Any) -> None:
    assert isinstance(read(said([part])), Refused)


def test_a_film_or_a_sound_in_a_part_is_no_picture() -> None:
    parts = [
        {"type": "video_url", "url": "https://a.example/b.mp4"},
        {"type": "input_audio", "url": "https://a.example/b.wav"},
    ]

    assert isinstance(read(said(parts)), Refused)


def test_an_answer_that_is_the_picture_itself_is_taken() -> None:
    outcome = read(Response(200, {"content-type": "image/png"}, PNG.content))

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=PNG.content),)


STREAMS: Final = sorted(name for name in PICTURES if name.endswith(".txt") and "E11" not in name and "body" not in name)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_broke_off_anywhere_gives_its_whole_picture_or_an_unknown_outcome(name: str) -> None:
    whole = (ROOT / "chat_images" / name).read_bytes()
    outputs = produced(name).outputs

    for cut in range(0, len(whole), 37):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, whole[:cut]))

        if isinstance(outcome, Produced):
            assert outcome.outputs == outputs
        else:
            assert isinstance(outcome, Refused)
            assert outcome.error.error_class is UNKNOWN, (cut, outcome)


# What is asked.


def test_a_prompt_is_one_message() -> None:
    request = build(asked_of("seedream-4-0"))

    assert (request.method, request.path, request.name) == ("POST", "/v1/chat/completions", "image.chat")
    assert request.json == {
        "model": "seedream-4-0",
        "messages": [{"role": "user", "content": "a tin robot"}],
        "stream": False,
    }
    assert request.timeout_s == 330


def test_pictures_go_along_as_data_urls_behind_the_words() -> None:
    (message,) = build(asked_of("gpt-4o-image", PNG, JPEG)).json["messages"]

    assert message["content"] == [
        {"type": "text", "text": "a tin robot"},
        {"type": "image_url", "image_url": {"url": PNG.data_url}},
        {"type": "image_url", "image_url": {"url": JPEG.data_url}},
    ]


def test_a_last_message_without_words_has_the_picture_alone() -> None:
    turns = [{"role": "user", "content": None}]

    (message,) = build(replace(asked_of("gpt-4o-image", PNG, messages=turns), prompt="")).json["messages"]

    assert message["content"] == [{"type": "image_url", "image_url": {"url": PNG.data_url}}]


def test_what_the_gateway_keeps_is_sent_and_the_rest_is_said_in_words() -> None:
    body = build(
        asked_of("seedream-4-0", n=3, aspect_ratio="16:9", image_size="2K", size="2K", seed=7, temperature=0, user="u")
    ).json

    assert {name: body[name] for name in ("n", "size", "seed", "temperature", "user")} == {
        "n": 3,
        "size": "2K",
        "seed": 7,
        "temperature": 0,
        "user": "u",
    }
    assert body["messages"][0]["content"] == "a tin robot\n\nAspect ratio 16:9, resolution 2K, 3 images."
    assert not {"aspect_ratio", "image_size", "extra_body", "modalities"} & set(body)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("auto", "a tin robot"),
        ("3:2", "a tin robot\n\nAspect ratio 3:2."),
        ("1536x1024", "a tin robot\n\n1536x1024 pixels."),
        ("4K", "a tin robot\n\nResolution 4K."),
        ("512", "a tin robot\n\nResolution 512."),
    ],
)
def test_a_size_is_said_as_what_it_is(size: str, words: str) -> None:
    assert build(asked_of("gpt-4o-image", size=size)).json["messages"][0]["content"] == words


def test_a_gemini_model_is_told_in_its_own_words_and_never_a_number() -> None:
    body = build(
        asked_of("gemini-3-pro-image-preview", n=2, aspect_ratio="16:9", image_size="4K", thinking_budget=-1)
    ).json

    assert body["extra_body"] == {
        "google": {
            "image_config": {"aspect_ratio": "16:9", "image_size": "4K"},
            "thinking_config": {"thinking_budget": -1},
        }
    }
    assert body["modalities"] == ["image", "text"]
    assert body["messages"][0]["content"].endswith("Aspect ratio 16:9, resolution 4K, 2 images.")
    assert "n" not in body


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("nano-banana", None, False),
        ("nano-banana", True, True),
        ("gpt-4o-image", None, True),
        ("gpt-4o-image-vip", None, True),
        ("sora_image", False, False),
        ("gpt-image-1", None, False),
    ],
)
def test_models_that_think_for_minutes_are_streamed(model: str, asked: bool | None, expected: bool) -> None:
    body = build(asked_of(model, stream=asked)).json

    assert body["stream"] is expected
    assert body.get("stream_options") == ({"include_usage": True} if expected else None)


def test_a_conversation_goes_as_it_is_with_the_pictures_in_its_last_turn() -> None:
    turns = [
        {"role": "user", "content": "a kite"},
        {"role": "assistant", "content": "![gen_1](https://cdn.example.net/a.png)"},
        {"role": "user", "content": [{"type": "text", "text": "in red"}]},
        {"role": "system", "content": "Draw."},
    ]

    body = build(replace(asked_of("gpt-4o-image", PNG, messages=turns, aspect_ratio="3:2"), prompt="")).json

    assert [*body["messages"][:2], body["messages"][3]] == [*turns[:2], turns[3]]
    assert body["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "in red"},
            {"type": "text", "text": "Aspect ratio 3:2."},
            {"type": "image_url", "image_url": {"url": PNG.data_url}},
        ],
    }


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("nano-banana", {}, 330),
        ("nano-banana-pro", {"image_size": "2K"}, 330),
        ("nano-banana-pro", {"image_size": "4K"}, 630),
        ("seedream-4-0", {"size": "4096x4096"}, 630),
        ("seedream-4-0", {"size": "4K"}, 630),
        ("seedream-4-0", {"n": 2}, 630),
        ("gemini-3-pro-image-preview-4k", {}, 630),
    ],
)
def test_large_pictures_and_several_are_waited_for_longer(model: str, asked: dict[str, Any], expected: int) -> None:
    assert build(asked_of(model, **asked)).timeout_s == expected


def test_what_a_gemini_model_cannot_look_at_is_refused_before_anything_is_sent() -> None:
    gif = Media("image/gif", "a.gif", b"GIF89a")
    large = replace(PNG, content=bytes(15_000_003))

    with pytest.raises(InputRefused, match="picture 2 is image/gif; Gemini models take PNG, JPEG and WebP"):
        build(asked_of("nano-banana", PNG, gif))
    with pytest.raises(InputRefused, match="20000004 bytes in base64"):
        build(asked_of("nano-banana", large))
    assert build(asked_of("seedream-4-0", gif)).json["messages"]
