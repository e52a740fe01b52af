from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import chat_videos
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused, Source
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

FILES: Final = "https://files.example"
SORA: Final = [f"{FILES}/download/2026/boat.mp4", f"{FILES}/2026/boat.mp4"]

#: By file, the places of each film in it, the likeliest first.
FILMS: Final[dict[str, list[list[str]]]] = {
    "9.2-stream-sora.txt": [SORA],
    "9.2-stream-veo.txt": [[f"{FILES}/d/kettle.mp4?sig=c%3D&e=1", f"{FILES}/v/kettle.mp4?sig=a%2Fb&e=1"]],
    "9.2-stream-english.txt": [[f"{FILES}/x/boat.webm", f"{FILES}/w/boat.webm"]],
    "9.2-stream-without-done.txt": [SORA],
    "9.2-stream-without-end.txt": [SORA],
    "9.2-stream-link-only.txt": [[f"{FILES}/x.mp4"]],
    "9.2-stream-video-tag.txt": [[f"{FILES}/t/boat.mp4?a=1&sig=x%2By"]],
    "9.2-stream-bare-url.txt": [[f"{FILES}/b/boat.mov?X-Sig=ab%2Bcd&e=1772643600"]],
    "9.3-link-only.json": [[f"{FILES}/x.mp4"]],
    "9.3-log.json": [SORA],
    "9.4-several-links.json": [["https://b.example/1.mp4", "https://a.example/1.mp4"]],
    "9.4-html-link.json": [[f"{FILES}/dl?id=9&k=v"]],
    "9.4-no-extension.json": [[f"{FILES}/get/9f2c?sig=1", f"{FILES}/play/9f2c"]],
    "9.4-alone.json": [[f"{FILES}/get/9f2c?sig=1"]],
    "9.4-path-in-query.json": [
        ["https://proxy.example/fetch?u=https%3A%2F%2Ffiles.example%2Fx.mp4%3Fs%3D1&sig=a+b"],
    ],
    "9.4-parentheses.json": [[f"{FILES}/boat_(1).mp4?s=1"]],
    "9.4-film-at-the-host-of-the-preview.json": [["https://asyncdata.example/files/boat.mp4"]],
    "9.4-parts.json": [[f"{FILES}/p/boat.mp4"]],
    "9.4-two-choices.json": [[f"{FILES}/c0.mp4"], [f"{FILES}/c1.mp4"]],
    "9.4-failed-once-then-done.json": [[f"{FILES}/second.mp4"]],
    "9.4-error-event-beside-a-film.txt": [[f"{FILES}/x.mp4"]],
}

#: The same where two films were asked for.
TWO: Final[dict[str, list[list[str]]]] = {
    "9.4-two-films-in-one.json": [
        [f"{FILES}/download/1/a.mp4", f"{FILES}/1/a.mp4"],
        [f"{FILES}/download/2/a.mp4", f"{FILES}/2/a.mp4"],
    ],
    "9.4-two-films-to-watch.json": [[f"{FILES}/get?file=1.mp4"], [f"{FILES}/get?file=2.mp4"]],
    "9.4-two-choices.json": FILMS["9.4-two-choices.json"],
    "9.3-log.json": [SORA],
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no film in it: class, code, and whether it is counted as paid.
NO_FILM: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "9.2-stream-cut-in-the-link.txt": (UNKNOWN, "broken_stream", False),
    "9.2-stream-broken.txt": (UNKNOWN, "broken_stream", False),
    "9.2-stream-broken-and-done.txt": (UNKNOWN, "broken_stream", False),
    "9.2-stream-cut-off.txt": (UNKNOWN, "broken_stream", False),
    "9.2-stream-without-film.txt": (UNKNOWN, "no_link", False),
    "9.3-content-null.json": (UNKNOWN, "no_link", False),
    "9.3-content-filter.json": (POLICY, "content_filter", True),
    "9.3-no-choices.json": (UNKNOWN, "unreadable_reply", False),
    "9.3-refusal-field.json": (NO_MEDIA, "refusal_text", True),
    "9.3-refusal.json": (NO_MEDIA, "refusal_text", True),
    "9.4-preview-alone.json": (UNKNOWN, "no_link", False),
    "9.4-echo-of-the-request.json": (UNKNOWN, "no_link", False),
    "9.4-link-in-thoughts.json": (NO_MEDIA, "refusal_text", True),
    "9.4-empty.txt": (UNKNOWN, "no_link", False),
    "9.4-failed-policy.txt": (POLICY, "generation_failed", True),
    "9.4-failed-policy-english.json": (POLICY, "generation_failed", True),
    "9.4-failed-third-party.json": (POLICY, "generation_failed", True),
    "9.4-failed-load.txt": (NO_MEDIA, "generation_failed", True),
    "9.4-failed-load-chinese.json": (NO_MEDIA, "generation_failed", True),
    "9.4-failed-timeout.json": (NO_MEDIA, "generation_failed", True),
    "9.4-failed-size.json": (ErrorClass.INVALID_REQUEST, "generation_failed", True),
    "9.4-error-event.txt": (UNKNOWN, "do_request_failed", True),
    "9.4-error-event-policy.txt": (POLICY, "moderation_blocked", True),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(f"chat_videos/{name}" for name in (*FILMS, *TWO, *NO_FILM, "9.4-data-url.json"))


def asked(*images: Media, model: str = "sora-2", prompt: str = "a tin robot", **params: Any) -> Call:
    return replace(call("video.chat", *images, **params), model=model, prompt=prompt)


def built(*images: Media, **more: Any) -> Request:
    return chat_videos.build(asked(*images, **more))


def read(response: Response, to: Call | None = None) -> Outcome:
    to = to or asked()
    return reading.outcome_of(response, lambda answer: chat_videos.read(answer, to))


def produced(name: str, **params: Any) -> Produced:
    outcome = read(reply(f"chat_videos/{name}"), asked(**params))
    assert isinstance(outcome, Produced), outcome
    return outcome


def refused(name: str, **params: Any) -> Refused:
    outcome = read(reply(f"chat_videos/{name}"), asked(**params))
    assert isinstance(outcome, Refused), outcome
    return outcome


def completion(content: str, reason: str | None = "stop") -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
    return Response(200, body=json.dumps({"choices": [choice]}).encode())


def places(outcome: Produced) -> list[list[str]]:
    assert {output.kind for output in outcome.outputs} == {"video"}
    return [[str(source.url) for source in output.sources] for output in outcome.outputs]


# What was filmed.


@pytest.mark.parametrize("name", sorted(FILMS))
def test_a_log_that_ends_with_a_link_is_a_film(name: str) -> None:
    assert places(produced(name)) == FILMS[name]


@pytest.mark.parametrize("name", sorted(TWO))
def test_where_two_were_asked_for_each_link_may_be_a_film_of_its_own(name: str) -> None:
    outcome = produced(name, n=2)

    assert places(outcome) == TWO[name]
    assert (outcome.result["delivered"], outcome.result["requested"]) == (len(TWO[name]), 2)


def test_where_one_was_asked_for_all_links_are_places_of_it() -> None:
    assert len(places(produced("9.4-two-films-to-watch.json"))) == 1


def test_a_film_inside_the_answer_is_decoded_and_is_not_in_its_text() -> None:
    outcome = produced("9.4-data-url.json")

    (output,) = outcome.outputs
    assert output.sources == (Source(content=b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 16),)
    assert "base64" not in str(outcome.result)


def test_what_was_said_is_kept_to_go_on_with() -> None:
    result = produced("9.2-stream-sora.txt").result

    assert result["task_id"] == "task_01abc2def3ghi4jkl5mno6pqr7"
    assert result["text"].startswith('```json\n{"prompt":"a tin robot"')
    assert result["text"].endswith("(https://files.example/download/2026/boat.mp4)")
    assert result["usage"] == {"prompt_tokens": 13, "completion_tokens": 148, "total_tokens": 161}
    assert produced("9.2-stream-veo.txt").result["task_id"] == "veo3-pro:3f6c2a10-9d3e-4a55-8b1e-0c6d7e8f9a0b"


def test_an_error_beside_a_film_is_told_with_it() -> None:
    assert produced("9.4-error-event-beside-a-film.txt").result["errors"] == [
        {"code": "upstream_error", "message": "usage could not be counted"}
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "like https://files.example/x.mp4, but at night"},
        {"prompt": "", "messages": [{"role": "user", "content": [{"type": "text", "text": f"from {FILES}/x.mp4"}]}]},
    ],
)
def test_an_address_that_was_asked_with_is_no_result(given: dict[str, Any]) -> None:
    outcome = read(completion(f"> 进度 3..\n> {FILES}/x.mp4\n"), asked(**given))

    assert isinstance(outcome, Refused)
    assert outcome.error.code == "no_link"


def test_an_earlier_film_of_the_conversation_is_not_the_new_one() -> None:
    turns = [
        {"role": "user", "content": "a boat"},
        {"role": "assistant", "content": f"[下载]({FILES}/first.mp4)"},
        {"role": "user", "content": "at night"},
    ]

    outcome = read(
        completion(f"from [下载]({FILES}/first.mp4): [下载]({FILES}/night.mp4)"), asked(prompt="", messages=turns)
    )

    assert isinstance(outcome, Produced)
    assert places(outcome) == [[f"{FILES}/night.mp4"]]


@pytest.mark.parametrize(
    "text",
    [
        "I follow the rules at https://openai.example/policies",
        "![cover](https://files.example/video.png)",
        "[video cover](https://files.example/cover.jpg)",
    ],
)
def test_an_address_that_nothing_calls_a_film_is_none(text: str) -> None:
    assert isinstance(read(completion(text)), Refused)


def test_a_link_is_read_whole_wherever_a_stream_cuts_it() -> None:
    text = f"[⏬ 下载视频]({FILES}/a/boat.mp4?sig=ab%2Bcd)"
    head = {"id": "c", "object": "chat.completion.chunk"}
    for size in range(1, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        chunks = [{**head, "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)

        outcome = read(Response(200, {"content-type": "text/event-stream"}, body.encode()))

        assert isinstance(outcome, Produced)
        assert places(outcome) == [[f"{FILES}/a/boat.mp4?sig=ab%2Bcd"]]


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "https://" * 20_000, "<video " * 20_000, "进度 1." * 50_000, "x" * 10**6]
)
def test_a_long_answer_is_read_in_little_time(text: str) -> None:
    began = time.process_time()

    read(completion(text))

    assert time.process_time() - began < 5


# What was not.


@pytest.mark.parametrize("name", sorted(NO_FILM))
def test_a_log_without_a_link_is_none_and_says_why(name: str) -> None:
    error = refused(name).error

    assert (error.error_class, error.code, error.charged) == NO_FILM[name]


def test_who_must_look_for_a_film_that_may_exist_is_told_its_task_and_how_far_it_was() -> None:
    broken, ended = refused("9.2-stream-broken.txt").error, refused("9.2-stream-without-film.txt").error

    assert "(task task_01abc2def3ghi4jkl5mno6pqr7, at 76 percent)" in broken.message
    assert broken.message.startswith("the stream broke off before its end")
    assert ended.message.startswith("the answer ended without a film, and without a reason")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("> 进度 12..31..58..76..", "at 76 percent"),
        ("Progress 36%\nPROGRESS: 81%", "at 81 percent"),
        ("Rendering 12%, 55%", "at 55 percent"),
        ("> 进度 14..37..[100](https://videos.example/web/x)", "at 100 percent"),
        ("> 进度 14..37..2026", "at 37 percent"),
        ("> ID：`veo3:1-a`", "(task veo3:1-a)"),
        ("> sid: s_1\n> 进度 3..", "(at 3 percent)"),
    ],
)
def test_a_log_tells_how_far_it_came(text: str, told: str) -> None:
    outcome = read(completion(text))

    assert isinstance(outcome, Refused)
    assert told in outcome.error.message


def test_why_it_failed_is_told_from_the_first_line_that_says_so() -> None:
    assert refused("9.4-failed-policy.txt").error.message == "> ❌ 生成失败 > 原因: 该内容可能违反我们的内容政策"
    assert refused("9.4-failed-timeout.json").error.message == "> 任务超时，额度已退回"


@pytest.mark.parametrize("name", ["9.4-failed-load.txt", "9.4-failed-load-chinese.json"])
def test_who_has_too_much_to_do_is_asked_again_in_minutes(name: str) -> None:
    assert refused(name).error.retry_after_s == 120


def test_other_failures_name_no_time() -> None:
    assert refused("9.4-failed-timeout.json").error.retry_after_s is None


def test_words_of_the_prompt_are_no_failure() -> None:
    prompt = "an error on a policy poster, timeout"

    outcome = read(completion(f"Filming: {prompt}\n进度 12.."), asked(prompt=prompt))

    assert isinstance(outcome, Refused)
    assert outcome.error.code == "no_link"


# Asking.


def test_a_film_is_asked_for_as_a_stream() -> None:
    request = built()

    assert (request.method, request.path, request.name) == ("POST", "/v1/chat/completions", "video.chat")
    assert request.json == {
        "model": "sora-2",
        "messages": [{"role": "user", "content": "a tin robot"}],
        "stream": True,
    }
    assert request.timeout_s == OPERATIONS["video.chat"].timeout_s


def test_what_no_field_says_is_said_in_the_prompt() -> None:
    request = built(seconds=10, orientation="landscape", stream=False, n=2)

    assert request.json["messages"] == [{"role": "user", "content": "a tin robot\n\nLandscape, 10 seconds."}]
    assert (request.json["stream"], request.json["n"]) == (False, 2)


@pytest.mark.parametrize(("watermark", "query"), [(True, "?watermark=true"), (False, "?watermark=false")])
def test_the_mark_of_the_provider_is_said_in_the_address(watermark: bool, query: str) -> None:
    assert built(watermark=watermark).path == f"/v1/chat/completions{query}"


@pytest.mark.parametrize(("given", "kind"), [({}, "image_url"), ({"images_as": "file_url"}, "file_url")])
def test_pictures_stand_beside_the_words(given: dict[str, Any], kind: str) -> None:
    request = built(PNG, JPEG, **given)

    assert request.json["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a tin robot"},
                {"type": kind, kind: {"url": PNG.data_url}},
                {"type": kind, kind: {"url": JPEG.data_url}},
            ],
        }
    ]


def test_a_conversation_goes_on_as_it_was_given() -> None:
    turns = [
        {"role": "user", "content": "a boat"},
        {"role": "assistant", "content": "> ID: `task_1`"},
        {"role": "user", "content": "at night"},
    ]

    request = built(PNG, prompt="", messages=turns, seconds=8)

    assert request.json["messages"][:2] == turns[:2]
    assert request.json["messages"][2]["content"] == [
        {"type": "text", "text": "at night"},
        {"type": "text", "text": "8 seconds."},
        {"type": "image_url", "image_url": {"url": PNG.data_url}},
    ]


def test_a_model_that_films_pictures_is_not_asked_without_any() -> None:
    with pytest.raises(InputRefused, match="veo3-pro-frames makes films of pictures, and there are none"):
        built(model="veo3-pro-frames")

    assert built(PNG, model="veo3-pro-frames").json["model"] == "veo3-pro-frames"


@pytest.mark.parametrize("kind", ["image_url", "file_url"])
def test_the_pictures_of_a_conversation_are_in_it(kind: str) -> None:
    said = {"role": "user", "content": [{"type": kind, kind: {"url": "https://mine.example/frame.png"}}]}
    turns = [said, {"role": "assistant", "content": "> ID: `task_1`"}, {"role": "user", "content": "at night"}]

    assert built(model="veo3-pro-frames", prompt="", messages=turns).json["messages"] == turns
    with pytest.raises(InputRefused, match="there are none"):
        built(model="veo3-pro-frames", prompt="", messages=turns[1:])
