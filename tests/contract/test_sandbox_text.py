"""The sandbox gateway writes as the contract says: in four formats, streamed and not.

Contract: gateway/images-text-audio-system.md 2.1, 2.4, 3.3 V20, 4.7, 5.1 to 5.7, 5.13, 5.14.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any, get_args

import httpx
import pytest
from PIL import Image

from deploy.sandbox import behaviour
from deploy.sandbox.studio import words
from tests.sandbox import SandboxServer

_numbers = count()
TOOL = {"type": "object", "properties": {"port": {"type": "string"}, "day": {"type": "integer"}}}
SCHEMA = {
    "type": "object",
    "properties": {
        "port": {"$ref": "#/$defs/port"},
        "highs": {"type": "array", "items": {"type": ["number", "null"], "minimum": 3}},
        "kind": {"enum": ["spring", "neap"]},
        "is_safe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "$defs": {"port": {"type": "string"}},
}
FITS = {"port": "Brest", "highs": [3], "kind": "spring", "is_safe": True}


def own(text: str) -> str:
    """A question that no other test asks."""
    return f"{text} {next(_numbers)}"


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), "navy").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True)
class Format:
    """How one format asks, and where it answers."""

    name: str
    kind: str
    path: str
    stream_path: str
    body: Mapping[str, Any]
    is_streamed_by_field: bool = True

    def ask(self, client: httpx.Client, prompt: Any, *, stream: bool = False, **fields: Any) -> httpx.Response:
        path = self.stream_path if stream else self.path
        flag = {"stream": True} if stream and self.is_streamed_by_field else {}
        return client.post(path, json={**self.body, **self.question(prompt), **flag, **fields})

    def question(self, prompt: Any) -> dict[str, Any]:
        if self.name == "gemini":
            parts = [{"text": prompt}] if isinstance(prompt, str) else prompt
            return {"contents": [{"parts": parts}]}
        if self.name == "responses":
            return {"input": prompt if isinstance(prompt, str) else [{"role": "user", "content": prompt}]}
        return {"messages": [{"role": "user", "content": prompt}]}

    def text(self, body: Any) -> str:
        """What is said in an answer that is no stream."""
        if self.name == "chat":
            return str(body["choices"][0]["message"]["content"])
        if self.name == "responses":
            found = [part for item in body["output"] for part in item.get("content", ())]
        else:
            found = body["content"] if self.name == "claude" else body["candidates"][0]["content"]["parts"]
        return "".join(part.get("text", "") for part in found if not part.get("thought"))


GEMINI_PATH = "/v1beta/models/gemini-2.5-flash:"
CHAT = Format("chat", "chat.completion", *["/v1/chat/completions"] * 2, {"model": "gpt-4.1-mini"})
RESPONSES = Format("responses", "response.create", *["/v1/responses"] * 2, {"model": "gpt-5-mini"})
CLAUDE = Format(
    "claude", "claude.message", *["/v1/messages"] * 2, {"model": "claude-haiku-4-5-20251001", "max_tokens": 500}
)
GEMINI = Format(
    "gemini",
    "gemini.generate",
    f"{GEMINI_PATH}generateContent",
    f"{GEMINI_PATH}streamGenerateContent?alt=sse",
    {},
    is_streamed_by_field=False,
)
FORMATS = [CHAT, RESPONSES, CLAUDE, GEMINI]
each_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


def events_of(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def streamed(form: Format, answer: httpx.Response) -> str:
    """What is said in a stream, put together by its own rules."""
    found = events_of(answer)
    if form.name == "chat":
        return "".join(choice["delta"].get("content") or "" for one in found for choice in one["choices"])
    if form.name == "responses":
        return "".join(one["delta"] for one in found if one["type"] == "response.output_text.delta")
    if form.name == "claude":
        deltas = (one["delta"] for one in found if one["type"] == "content_block_delta")
        return "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta")
    parts = (part for one in found for part in one["candidates"][0]["content"]["parts"])
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


@each_format
def test_a_question_is_answered_with_itself_in_one_piece_and_in_many(client: httpx.Client, form: Format) -> None:
    prompt = own("When is high tide?")

    whole, stream = form.ask(client, prompt), form.ask(client, prompt, stream=True)

    assert form.text(whole.json()) == streamed(form, stream) == f"You asked: {prompt}."
    assert len(events_of(stream)) > 2
    assert ("[DONE]" in stream.text) == (form.name == "chat")
    assert ("event: " in stream.text) == (form.name in ("responses", "claude"))


@each_format
def test_what_is_read_and_what_is_said_is_paid_by_the_token(
    server: SandboxServer, client: httpx.Client, form: Format
) -> None:
    prompt = own("When is high tide?")

    body = form.ask(client, prompt).json()

    (entry,) = server.ledger(prompt)
    usage = body.get("usage") or body["usageMetadata"]
    total = (
        usage.get("total_tokens")
        or usage.get("totalTokenCount")
        or sum(usage[name] for name in ("input_tokens", "output_tokens"))
    )
    a_token = "0.000009" if form is CLAUDE else "0.000002"
    assert (entry["kind"], Decimal(entry["price_usd"])) == (form.kind, Decimal(a_token) * total)


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        (
            CHAT,
            [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
                {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
                {"type": "video_url", "video_url": {"url": "https://films.example/a.mp4"}},
            ],
        ),
        (
            RESPONSES,
            [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{picture()}"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            ],
        ),
        (
            CLAUDE,
            [
                {"type": "text", "text": "What is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture()}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
            ],
        ),
        (
            GEMINI,
            [
                {"text": "What is it?"},
                {"inlineData": {"mimeType": "image/png", "data": picture()}},
                {"inline_data": {"mime_type": "application/pdf", "data": "JVBERi0="}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "SUQz"}},
            ],
        ),
    ],
    ids=["chat", "responses", "claude", "gemini"],
)
def test_what_it_was_shown_is_named(client: httpx.Client, form: Format, parts: list[Any]) -> None:
    said = form.text(form.ask(client, parts).json())

    assert said.startswith("You asked: What is it?.\nI was shown a picture of 12x8 pixels, a PDF of 5 bytes")
    assert ("a sound of 3 bytes" in said) == (form in (CHAT, GEMINI))
    assert ("a film at an address" in said) == (form is CHAT)


@each_format
def test_a_picture_that_is_none_is_refused_unpaid(server: SandboxServer, client: httpx.Client, form: Format) -> None:
    prompt = own("What is it?")
    no_picture = base64.b64encode(b"no picture").decode()
    part = {
        "chat": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{no_picture}"}},
        "responses": {"type": "input_image", "image_url": f"data:image/png;base64,{no_picture}"},
        "claude": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": no_picture}},
        "gemini": {"inlineData": {"mimeType": "image/png", "data": no_picture}},
    }[form.name]
    text = {"text": prompt} if form is GEMINI else {"type": "text", "text": prompt}

    answer = form.ask(client, [text, part])

    assert answer.status_code == 400
    assert "unsupported image" in answer.json()["error"]["message"]
    assert server.ledger(prompt) == []


def test_a_tool_that_the_question_names_is_called(client: httpx.Client) -> None:
    prompt, function = "Use get_tide.", {"name": "get_tide", "parameters": TOOL}
    given = {"port": "Brest", "day": 1}

    chat = CHAT.ask(client, prompt, tools=[{"type": "function", "function": function}]).json()["choices"][0]
    response = RESPONSES.ask(client, prompt, tools=[{"type": "function", **function}]).json()["output"]
    claude = CLAUDE.ask(client, prompt, tools=[{"name": "get_tide", "input_schema": TOOL}]).json()
    gemini = GEMINI.ask(client, prompt, tools=[{"functionDeclarations": [function]}]).json()["candidates"][0]

    (call,) = chat["message"]["tool_calls"]
    assert (chat["finish_reason"], chat["message"]["content"]) == ("tool_calls", None)
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_tide", given)
    assert [item["type"] for item in response] == ["reasoning", "function_call"]
    assert json.loads(response[1]["arguments"]) == given
    assert claude["stop_reason"] == "tool_use"
    assert claude["content"] == [{"type": "tool_use", "id": "toolu_1", "name": "get_tide", "input": given}]
    assert gemini["content"]["parts"][0]["functionCall"] == {"name": "get_tide", "args": given}
    assert gemini["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("choice", "is_called"),
    [("auto", False), ("none", False), ("required", True), ({"function": {"name": "get_tide"}}, True)],
)
def test_whether_a_tool_is_called_can_be_chosen(client: httpx.Client, choice: Any, is_called: bool) -> None:
    tools = [{"type": "function", "function": {"name": "get_tide", "parameters": TOOL}}]

    message = CHAT.ask(client, "When is it?", tools=tools, tool_choice=choice).json()["choices"][0]["message"]

    assert ("tool_calls" in message) == is_called


def test_arguments_come_in_pieces_in_a_stream(client: httpx.Client) -> None:
    chat_tools = [{"type": "function", "function": {"name": "get_tide", "parameters": TOOL}}]
    claude_tools = [{"name": "get_tide", "input_schema": TOOL}]

    chat = events_of(CHAT.ask(client, "Use get_tide.", stream=True, tools=chat_tools))
    claude = events_of(CLAUDE.ask(client, "Use get_tide.", stream=True, tools=claude_tools))

    calls = [call for one in chat for choice in one["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert (calls[0]["id"], calls[0]["function"]["arguments"]) == ("call_1", "")
    assert len(calls) > 2
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"port": "Brest", "day": 1}
    pieces = [one["delta"]["partial_json"] for one in claude if one["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == {"port": "Brest", "day": 1}


def test_a_schema_is_answered_with_json_that_fits(client: httpx.Client) -> None:
    chat_format = {"type": "json_schema", "json_schema": {"name": "tide", "schema": SCHEMA}}
    answers = [
        CHAT.text(CHAT.ask(client, "Tell me.", response_format=chat_format).json()),
        RESPONSES.text(
            RESPONSES.ask(client, "Tell me.", text={"format": {"type": "json_schema", "schema": SCHEMA}}).json()
        ),
        CLAUDE.text(CLAUDE.ask(client, "Tell me.", output_format={"type": "json_schema", "schema": SCHEMA}).json()),
        GEMINI.text(
            GEMINI.ask(
                client,
                "Tell me.",
                generationConfig={"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
            ).json()
        ),
    ]

    assert [json.loads(text) for text in answers] == [FITS] * 4
    assert CHAT.text(CHAT.ask(client, "Tell me.", response_format={"type": "json_object"}).json()) == "{}"


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    schema = {"properties": {"next": {"$ref": "#"}}}

    assert json.dumps(words.sample(schema)).count("next") < 20


def test_no_more_is_said_than_was_allowed(client: httpx.Client) -> None:
    chat = CHAT.ask(client, "When is high tide?", max_tokens=3).json()
    response = RESPONSES.ask(client, "When is high tide?", max_output_tokens=3).json()
    claude = CLAUDE.ask(client, "When is high tide?", max_tokens=3).json()
    gemini = GEMINI.ask(client, "When is high tide?", generationConfig={"maxOutputTokens": 3}).json()

    texts = [form.text(body) for form, body in zip(FORMATS, (chat, response, claude, gemini), strict=True)]
    assert texts == ["You asked: W"] * 4
    assert chat["choices"][0]["finish_reason"] == "length"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert claude["stop_reason"] == "max_tokens"
    assert gemini["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_thoughts_stand_where_each_format_has_them(client: httpx.Client) -> None:
    chat = CHAT.ask(client, "Why?", reasoning_effort="low").json()
    response = RESPONSES.ask(client, "Why?", reasoning={"summary": "auto"}).json()
    claude = CLAUDE.ask(client, "Why?", max_tokens=4_000, thinking={"type": "enabled", "budget_tokens": 2_000}).json()
    gemini = GEMINI.ask(client, "Why?", generationConfig={"thinkingConfig": {"includeThoughts": True}}).json()

    told = [
        chat["choices"][0]["message"]["reasoning_content"],
        response["output"][0]["summary"][0]["text"],
        claude["content"][0]["thinking"],
        next(part["text"] for part in gemini["candidates"][0]["content"]["parts"] if part.get("thought")),
    ]
    assert told == ["The question is: Why?"] * 4
    assert claude["content"][0]["signature"]


def test_a_search_finds_a_page_and_cites_it(client: httpx.Client) -> None:
    response = RESPONSES.ask(client, "Look it up.", tools=[{"type": "web_search"}]).json()["output"]
    claude = CLAUDE.ask(client, "Look it up.", tools=[{"type": "web_search_20250305", "name": "web_search"}]).json()
    gemini = GEMINI.ask(client, "Look it up.", tools=[{"google_search": {}}]).json()

    assert [item["type"] for item in response] == ["reasoning", "web_search_call", "message"]
    assert response[2]["content"][0]["annotations"][0]["url"] == words.PAGE["url"]
    assert [block["type"] for block in claude["content"]] == ["server_tool_use", "web_search_tool_result", "text"]
    assert claude["content"][2]["citations"][0]["url"] == words.PAGE["url"]
    grounds = gemini["candidates"][0]["groundingMetadata"]
    assert grounds["groundingChunks"][0]["web"]["uri"] == words.PAGE["url"]


def test_sources_come_in_deltas_of_their_own_in_a_stream_of_claude(client: httpx.Client) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]

    found = events_of(CLAUDE.ask(client, "Look it up.", stream=True, tools=tools))

    begun = [one["content_block"] for one in found if one["type"] == "content_block_start"]
    deltas = [one["delta"] for one in found if one["type"] == "content_block_delta"]
    assert [(block["type"], block.get("citations")) for block in begun][-1] == ("text", [])
    assert [one["citation"]["url"] for one in deltas if one["type"] == "citations_delta"] == [words.PAGE["url"]]


def test_several_answers_are_paid_for_each(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("When?")

    body = CHAT.ask(client, prompt, n=3).json()

    usage = body["usage"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert usage["completion_tokens"] % 3 == 0
    assert Decimal(server.ledger(prompt)[0]["price_usd"]) == Decimal("0.000002") * usage["total_tokens"]


@each_format
@pytest.mark.parametrize("variant", get_args(behaviour.TextVariant))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_variant_is_answered_and_paid(
    server: SandboxServer, client: httpx.Client, form: Format, variant: str, stream: bool
) -> None:
    prompt = own("Well?")

    answer = form.ask(client, f"{prompt} [[sandbox variant={variant}]]", stream=stream)

    assert answer.status_code == 200
    assert len(server.ledger(prompt)) == 1
    if variant == "html200":
        assert answer.text.startswith("<!DOCTYPE html>")
    elif variant == "error200":
        assert answer.json()["error"]["type"] == "upstream_error"
    elif variant == "error_event":
        assert (
            "error" in (events_of(answer)[-1] if stream else answer.json()) or events_of(answer)[-1]["type"] == "error"
        )
    elif variant == "long":
        assert len(streamed(form, answer) if stream else form.text(answer.json())) > 64 * 1024


def ended(form: Format, body: Any) -> Any:
    """Why an answer that is no stream ended."""
    if form.name == "chat":
        return body["choices"][0]["finish_reason"]
    if form.name == "responses":
        return (body["incomplete_details"] or {"reason": body["status"]})["reason"]
    return body["stop_reason"] if form.name == "claude" else body["candidates"][0].get("finishReason")


@pytest.mark.parametrize(
    ("variant", "reasons"),
    [
        ("length", ("length", "max_output_tokens", "max_tokens", "MAX_TOKENS")),
        ("budget_spent", ("length", "max_output_tokens", "max_tokens", "MAX_TOKENS")),
        ("refusal", ("stop", "completed", "refusal", "SAFETY")),
        ("thoughts", ("stop", "completed", "end_turn", "STOP")),
    ],
)
def test_why_it_ended_is_told_in_the_words_of_each_format(
    client: httpx.Client, variant: str, reasons: tuple[str, ...]
) -> None:
    bodies = [form.ask(client, f"Well? [[sandbox variant={variant}]]").json() for form in FORMATS]

    assert tuple(ended(form, body) for form, body in zip(FORMATS, bodies, strict=True)) == reasons


def test_what_is_blocked_looks_as_it_does_in_each_format(client: httpx.Client) -> None:
    blocked = "Well? [[sandbox variant=content_filter]]"

    chat = CHAT.ask(client, blocked).json()["choices"][0]
    gemini = GEMINI.ask(client, blocked).json()

    assert (chat["finish_reason"], chat["message"]["content"]) == ("content_filter", "")
    assert RESPONSES.ask(client, blocked).json()["incomplete_details"] == {"reason": "content_filter"}
    assert CLAUDE.ask(client, blocked).json()["stop_reason"] == "refusal"
    assert gemini["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in gemini


def test_the_shapes_of_a_conversation_that_others_answer_with_are_offered(client: httpx.Client) -> None:
    def message(variant: str) -> dict[str, Any]:
        return dict(CHAT.ask(client, f"Well? [[sandbox variant={variant}]]").json()["choices"][0]["message"])

    assert message("think_tag")["content"] == "<think>Let me see what was asked …</think>\nYou asked: Well?."
    assert "".join(part["text"] for part in message("parts")["content"]) == "You asked: Well?."
    assert message("refusal")["refusal"] == words.CANNOT
    assert message("picture")["images"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert message("search")["annotations"][0]["type"] == "url_citation"
    (chunk,) = events_of(CHAT.ask(client, "Well? [[sandbox variant=one_chunk]]", stream=True))
    assert (chunk["choices"][0]["finish_reason"], chunk["usage"]["prompt_tokens"] > 0) == ("stop", True)


def test_a_stream_that_breaks_off_lacks_what_tells_its_end(client: httpx.Client) -> None:
    found = {form.name: form.ask(client, "Well? [[sandbox variant=unfinished]]", stream=True).text for form in FORMATS}

    assert '"finish_reason": "' not in found["chat"]
    assert "[DONE]" in found["chat"]
    assert "response.completed" not in found["responses"]
    assert "message_stop" not in found["claude"]
    assert "finishReason" not in found["gemini"]


def test_a_response_that_failed_says_so_in_itself(client: httpx.Client) -> None:
    whole = RESPONSES.ask(client, "Well? [[sandbox variant=failed]]").json()
    stream = events_of(RESPONSES.ask(client, "Well? [[sandbox variant=failed]]", stream=True))

    assert (whole["status"], whole["error"]["code"]) == ("failed", "server_error")
    assert stream[-1]["type"] == "response.failed"


@pytest.mark.parametrize(
    ("form", "fields", "status", "code"),
    [
        (CHAT, {"model": "no-such-model"}, 503, "model_not_found"),
        (CHAT, {"model": "text-embedding-3-small"}, 503, "model_not_found"),
        (CHAT, {"messages": []}, 500, "invalid_request"),
        (RESPONSES, {"model": "nano-banana"}, 503, "model_not_found"),
        (RESPONSES, {"input": None}, 500, "invalid_request"),
        (RESPONSES, {"model": "claude-haiku-4-5-20251001"}, 500, "convert_request_failed"),
        (GEMINI, {"contents": []}, 500, "invalid_request"),
    ],
)
def test_what_cannot_be_answered_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client, form: Format, fields: dict[str, Any], status: int, code: str
) -> None:
    prompt = own("Well?")

    answer = form.ask(client, prompt, **fields)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert server.ledger(prompt) == []


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"messages": []}, 500, "invalid_request"),
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_024}, "max_tokens": 100}, 400, "invalid_request_error"),
    ],
)
def test_the_format_of_claude_has_an_envelope_of_its_own_for_errors(
    client: httpx.Client, fields: dict[str, Any], status: int, kind: str
) -> None:
    answer = CLAUDE.ask(client, "Well?", **fields)

    assert answer.status_code == status
    assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", kind)


@each_format
def test_a_fault_is_answered_unpaid_and_a_missing_key_is_401(
    server: SandboxServer, client: httpx.Client, form: Format
) -> None:
    prompt = own("Well?")

    answer = form.ask(client, f"{prompt} [[sandbox fail=429 retry_after=3]]")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert server.ledger(prompt) == []
    assert httpx.post(f"{server.url}{form.path}").status_code == 401


@each_format
def test_rules_without_a_route_mean_every_format(client: httpx.Client, server: SandboxServer, form: Format) -> None:
    prompt = own("Well?")
    server.script([{"match": {"prompt_contains": prompt}, "times": 1, "do": {"fail": "503_overloaded"}}])

    answers = [form.ask(client, prompt).status_code for _ in range(2)]

    assert answers == [503, 200]
