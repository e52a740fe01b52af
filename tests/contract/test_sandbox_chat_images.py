"""The sandbox and our adapters agree on pictures over chat and over Gemini's own format, in every shape there is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, get_args

import httpx
import pytest
from PIL import Image

from deploy.sandbox import behaviour
from deploy.sandbox.routes import chat_image_view, gemini_image_view
from shared.catalog.operations.table import OPERATIONS
from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, GatewayError, Outcome, Produced, Refused, Source
from shared.gateway.request import Response
from tests.sandbox import SandboxServer

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME
PICTURE: Final = None
"""It gives a picture."""

#: By shape, what comes of it where it is no stream, and where it is one.
CHAT: Final[Mapping[str, tuple[ErrorClass | None, ErrorClass | None]]] = {
    **dict.fromkeys(("url", "data_uri", "progress", "bare_url", "link", "img_tag"), (PICTURE, PICTURE)),
    **dict.fromkeys(("parts", "parts_source", "message_images", "media", "images_body"), (PICTURE, PICTURE)),
    **dict.fromkeys(("thoughts", "drafts", "whole_message", "raw"), (PICTURE, PICTURE)),
    **dict.fromkeys(("no_media", "refusal", "failed", "empty_response"), (NO_MEDIA, NO_MEDIA)),
    **dict.fromkeys(("content_filter", "failed_moderation", "prompt_blocked", "moderation"), (POLICY, POLICY)),
    **dict.fromkeys(("error200", "error_event", "error_ping"), (POLICY, POLICY)),
    **dict.fromkeys(("receipt", "html200"), (UNKNOWN, UNKNOWN)),
    "empty": (NO_MEDIA, POLICY),
    "unfinished": (PICTURE, UNKNOWN),
}
GEMINI: Final[Mapping[str, tuple[ErrorClass | None, ErrorClass | None]]] = {
    **dict.fromkeys(("inline", "inline_snake", "data_uri", "url", "bare_url", "file"), (PICTURE, PICTURE)),
    **dict.fromkeys(("drafts", "thoughts", "raw"), (PICTURE, PICTURE)),
    **dict.fromkeys(("no_media", "no_image", "image_other", "max_tokens", "empty"), (NO_MEDIA, NO_MEDIA)),
    **dict.fromkeys(("image_safety", "prohibited", "blocked", "error200", "moderation"), (POLICY, POLICY)),
    **dict.fromkeys(("receipt", "html200", "error_event"), (UNKNOWN, UNKNOWN)),
    "unfinished": (PICTURE, UNKNOWN),
}
UNPAID: Final = frozenset({"moderation"})
"""Refused before the charge."""

CHANNEL: Final = {"image.chat": "gpt-4o-image", "image.gemini": "nano-banana-pro"}
TABLES: Final = {"image.chat": CHAT, "image.gemini": GEMINI}
CASES: Final = [
    (operation, variant, is_stream)
    for operation, table in TABLES.items()
    for variant in table
    for is_stream in (False, True)
]

_numbers = count()


def own(words: str) -> str:
    """A prompt that no other test uses."""
    return f"{words} {next(_numbers)}"


def png(size: tuple[int, int] = (64, 48)) -> Media:
    buffer = io.BytesIO()
    Image.new("RGB", size, "orange").save(buffer, "PNG")
    return Media("image/png", "in.png", buffer.getvalue())


@dataclass(frozen=True)
class Gateway:
    """Asks the sandbox as an operation does, and reads what it says as its adapter does."""

    client: httpx.Client

    def exchange(
        self, operation: str, prompt: str, *images: Media, model: str = "", **params: Any
    ) -> tuple[Outcome, httpx.Response]:
        typed = OPERATIONS[operation].params.model_validate(params)
        call = Call(operation, model or CHANNEL[operation], prompt, typed, {"images": images})
        adapter = BY_OPERATION[operation]
        request = adapter.build(call)
        answer = self.client.request(request.method, request.path, json=request.json)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        response = Response(answer.status_code, headers, answer.content)
        return reading.outcome_of(response, lambda reply: adapter.read(reply, call)), answer

    def ask(self, operation: str, prompt: str, *images: Media, **params: Any) -> Outcome:
        return self.exchange(operation, prompt, *images, **params)[0]

    def refused(self, operation: str, prompt: str, *images: Media, **params: Any) -> GatewayError:
        outcome = self.ask(operation, prompt, *images, **params)
        assert isinstance(outcome, Refused), outcome
        return outcome.error

    def produced(self, operation: str, prompt: str, *images: Media, **params: Any) -> Produced:
        outcome = self.ask(operation, prompt, *images, **params)
        assert isinstance(outcome, Produced), outcome
        return outcome

    def pictures(self, produced: Produced) -> list[Image.Image]:
        """Each output's picture, from wherever it is."""
        found = []
        for output in produced.outputs:
            image = Image.open(io.BytesIO(self.content(output.sources[0])))
            image.load()
            found.append(image)
        return found

    def content(self, source: Source) -> bytes:
        return source.content or httpx.get(source.url or "").raise_for_status().content


@pytest.fixture
def gateway(client: httpx.Client) -> Gateway:
    return Gateway(client)


def test_every_shape_of_the_contract_is_offered_and_has_a_meaning_here() -> None:
    chat, gemini = set(get_args(behaviour.ChatImageVariant)), set(get_args(behaviour.GeminiImageVariant))

    assert chat_image_view.VARIANTS == chat == set(CHAT) - UNPAID
    assert gemini_image_view.VARIANTS == gemini == set(GEMINI) - UNPAID


@pytest.mark.parametrize(("operation", "variant", "is_stream"), CASES)
def test_every_shape_is_read_for_what_it_is_and_paid_for_once(
    server: SandboxServer, gateway: Gateway, operation: str, variant: str, is_stream: bool
) -> None:
    prompt = own(f"a cat [[sandbox variant={variant} render=plain]]")

    outcome = gateway.ask(operation, prompt, stream=is_stream)

    expected = TABLES[operation][variant][is_stream]
    if expected is PICTURE:
        assert isinstance(outcome, Produced), outcome
        assert gateway.pictures(outcome)[-1].size == (256, 144)
        assert outcome.result["delivered"] == len(outcome.outputs)
    else:
        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is expected, outcome
        assert outcome.error.upstream_request_id
    assert [entry["kind"] for entry in server.ledger(prompt)] == ([] if variant in UNPAID else [operation])


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("operation", ["image.chat", "image.gemini"])
def test_a_gemini_model_shows_a_draft_first_and_only_the_last_picture_counts(
    gateway: Gateway, operation: str, is_stream: bool
) -> None:
    prompt = own("a cat [[sandbox variant=drafts render=plain]]")

    outcome = gateway.produced(operation, prompt, model="nano-banana-pro", stream=is_stream)

    assert [picture.size for picture in gateway.pictures(outcome)] == [(256, 144)]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", ["nano-banana", "nano-banana-pro", "gpt-4o-image", "doubao-seedream-4-0-250828"])
def test_a_picture_over_chat_has_the_shape_asked_for_in_words_or_by_fields(
    gateway: Gateway, model: str, is_stream: bool
) -> None:
    outcome, answer = gateway.exchange(
        "image.chat", own("a cat"), model=model, aspect_ratio="3:2", image_size="1K", stream=is_stream
    )

    assert isinstance(outcome, Produced)
    assert [picture.size for picture in gateway.pictures(outcome)] == [(1248, 832)]
    assert outcome.result["usage"]["total_tokens"] == 1309
    assert answer.headers["content-type"].startswith("text/event-stream" if is_stream else "application/json")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_picture_in_geminis_format_has_the_shape_asked_for(gateway: Gateway, is_stream: bool) -> None:
    outcome, answer = gateway.exchange(
        "image.gemini", own("a cat"), aspect_ratio="9:16", image_size="1K", stream=is_stream
    )

    assert isinstance(outcome, Produced)
    assert [picture.size for picture in gateway.pictures(outcome)] == [(768, 1360)]
    assert outcome.result["text"] == "Here it is."
    assert answer.headers["content-type"].startswith("text/event-stream" if is_stream else "application/json")


def test_behind_a_channel_of_another_kind_geminis_format_loses_shape_and_size(gateway: Gateway) -> None:
    outcome = gateway.produced("image.gemini", own("a cat"), model="gpt-4o-image", aspect_ratio="9:16")

    assert [picture.size for picture in gateway.pictures(outcome)] == [(1024, 1024)]


def test_several_pictures_over_chat_differ_and_cost_their_number(server: SandboxServer, gateway: Gateway) -> None:
    prompt = own("cats")

    outcome = gateway.produced("image.chat", prompt, n=3, aspect_ratio="1:1")

    contents = {gateway.content(output.sources[0]) for output in outcome.outputs}
    assert len(contents) == 3
    assert (outcome.result["delivered"], outcome.result["requested"]) == (3, 3)
    assert [entry["price_usd"] for entry in server.ledger(prompt)] == ["0.12"]


@pytest.mark.parametrize("operation", ["image.chat", "image.gemini"])
def test_the_picture_that_came_in_is_shown(gateway: Gateway, operation: str) -> None:
    outcome = gateway.produced(operation, own("a frame"), png(), model="nano-banana", aspect_ratio="1:1")

    red, green, blue = gateway.pictures(outcome)[0].convert("RGB").getpixel((512, 376))  # type: ignore[misc]
    assert red > 230
    assert 140 < green < 190
    assert blue < 40


def test_a_conversation_is_answered_by_its_last_message(server: SandboxServer, gateway: Gateway) -> None:
    first, last = own("a kite"), own("in red [[sandbox variant=url]]")
    turns = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": "![image](https://cdn.example.net/first.png)"},
        {"role": "user", "content": [{"type": "text", "text": last}]},
    ]

    outcome = gateway.produced("image.chat", "", messages=turns)

    assert [entry["prompt"] for entry in server.ledger(last)] == [last]
    assert "cdn.example.net" not in (outcome.outputs[0].sources[0].url or "cdn.example.net")


@pytest.mark.parametrize("operation", ["image.chat", "image.gemini"])
@pytest.mark.parametrize(
    ("tag", "error_class", "paid"),
    [
        ("fail=429", ErrorClass.RATE_LIMITED, 0),
        ("fail=503", ErrorClass.UNAVAILABLE, 0),
        ("fail=500_convert", ErrorClass.INVALID_REQUEST, 0),
        ("fail_after=524", UNKNOWN, 1),
        ("fail_after=500_bad_body", UNKNOWN, 1),
    ],
)
def test_faults_are_those_of_pictures(
    server: SandboxServer, gateway: Gateway, operation: str, tag: str, error_class: ErrorClass, paid: int
) -> None:
    prompt = own(f"a cat [[sandbox {tag} render=plain]]")

    error = gateway.refused(operation, prompt)

    assert error.error_class is error_class
    assert len(server.ledger(prompt)) == paid


@pytest.mark.parametrize("operation", ["image.chat", "image.gemini"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_may_be_cut_off_in_its_midst(
    server: SandboxServer, gateway: Gateway, operation: str, is_stream: bool
) -> None:
    prompt = own("a cat [[sandbox cut=mid_body render=plain]]")

    with pytest.raises(httpx.RemoteProtocolError):
        gateway.ask(operation, prompt, stream=is_stream)

    assert len(server.ledger(prompt)) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/chat/completions", {"model": "nano-banana"}, 500, "invalid_request"),
        ("/v1/chat/completions", {"model": "nano-banana", "messages": []}, 500, "invalid_request"),
        ("/v1/chat/completions", {"model": "no-such-model", "messages": []}, 503, "model_not_found"),
        ("/v1beta/models/nano-banana:generateContent", {}, 500, "invalid_request"),
        ("/v1beta/models/nano-banana:streamGenerateContent?alt=sse", {"contents": []}, 500, "invalid_request"),
        ("/v1beta/models/no-such-model:generateContent", {}, 503, "model_not_found"),
    ],
)
def test_wrong_bodies_are_refused(
    client: httpx.Client, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post(path, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_words_of_google_in_the_wrong_spelling_and_pictures_that_it_does_not_take_are_refused_unpaid(
    server: SandboxServer, client: httpx.Client
) -> None:
    prompt = own("a cat")
    chat = {"model": "nano-banana", "messages": [{"role": "user", "content": prompt}]}
    gif = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}}
    linked = {"inlineData": {"mimeType": "image/png", "data": "https://pics.example.com/a.png"}}

    camel = client.post("/v1/chat/completions", json={**chat, "extra_body": {"google": {"imageConfig": {}}}})
    content = [{"type": "text", "text": prompt}, gif]
    moving = client.post("/v1/chat/completions", json={**chat, "messages": [{"role": "user", "content": content}]})
    contents = [{"parts": [{"text": prompt}, linked]}]
    fetched = client.post("/v1beta/models/nano-banana:generateContent", json={"contents": contents})

    assert [answer.status_code for answer in (camel, moving, fetched)] == [500, 500, 400]
    assert server.ledger(prompt) == []


def test_only_the_query_makes_a_stream_of_geminis_format(client: httpx.Client) -> None:
    prompt = own("a cat [[sandbox render=plain]]")
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}

    named = client.post("/v1beta/models/nano-banana:streamGenerateContent", json=body)
    asked = client.post("/v1beta/models/nano-banana:generateContent?alt=sse", json=body)

    assert named.json()["candidates"][0]["finishReason"] == "STOP"
    assert asked.headers["content-type"].startswith("text/event-stream")
    assert "[DONE]" not in asked.text


def test_a_rule_without_a_route_means_these_calls_too(server: SandboxServer, gateway: Gateway) -> None:
    word = own("ruled")
    server.script([{"match": {"prompt_contains": word}, "do": {"fail": "429"}}])

    classes = {gateway.refused(operation, word).error_class for operation in CHANNEL}

    assert classes == {ErrorClass.RATE_LIMITED}
