from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters import claude
from shared.gateway.call import Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

TIDE: Final = "At 06:12."
CALLED: Final = {"id": "toolu_01", "name": "get_tide", "arguments": {"port": "Brest"}}
PDF: Final = Media("application/pdf", "files-0.pdf", b"%PDF-1.7", "document")

#: By file, the text, the calls of tools, why it ended in our word and in the vendor's, and the types of its blocks.
SAID: Final[dict[str, tuple[str, list[Any], str, str, list[str]]]] = {
    "5.14.json": (TIDE, [], "stop", "end_turn", ["thinking", "text"]),
    "5.14-redacted-thinking.json": (TIDE, [], "stop", "end_turn", ["redacted_thinking", "text"]),
    "5.14-tool-use.json": ("Let me look.", [CALLED], "tool_calls", "tool_use", ["text", "tool_use"]),
    "5.14-web-search.json": (
        TIDE,
        [],
        "stop",
        "end_turn",
        ["server_tool_use", "web_search_tool_result", "text", "text"],
    ),
    "5.14-max-tokens.json": ("At 06", [], "length", "max_tokens", ["text"]),
    "5.14-budget-spent.json": ("", [], "length", "max_tokens", ["thinking"]),
    "5.14-context-window.json": ("At 06", [], "length", "model_context_window_exceeded", ["text"]),
    "5.14-stop-sequence.json": (TIDE, [], "stop", "stop_sequence", ["text"]),
    "5.14-nothing-to-add.json": ("", [], "stop", "end_turn", []),
    "5.14-stream.txt": (TIDE, [], "stop", "end_turn", ["thinking", "text"]),
    "5.14-stream-tool-use.txt": (
        "",
        [CALLED, {"id": "toolu_02", "name": "get_wind", "arguments": {}}],
        "tool_calls",
        "tool_use",
        ["tool_use", "tool_use"],
    ),
    "5.14-stream-tool-cut-off.txt": (
        "",
        [{**CALLED, "arguments": '{"port": "Br'}],
        "length",
        "max_tokens",
        ["tool_use"],
    ),
    "5.14-stream-web-search.txt": (
        TIDE,
        [],
        "stop",
        "end_turn",
        ["server_tool_use", "web_search_tool_result", "text"],
    ),
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no answer in it: class, code, and whether it is counted as paid.
NOT_SAID: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "5.14-nothing-and-no-reason.json": (NO_MEDIA, "empty_answer", True),
    "5.14-refusal.json": (POLICY, "refusal", True),
    "5.14-refusal-without-words.json": (POLICY, "refusal", True),
    "5.14-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    "5.14-stream-refusal.txt": (POLICY, "refusal", True),
    "5.14-stream-error.txt": (UNKNOWN, "overloaded_error", True),
    "5.14-stream-broken.txt": (UNKNOWN, "unreadable_reply", False),
    "5.14-stream-without-stop.txt": (UNKNOWN, "unreadable_reply", False),
    "2.1-E2-200.json": (UNKNOWN, "api_error", True),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

#: By file, its status, class and code: nothing is paid.
REFUSED: Final = {
    "2.1-E2-529.json": (529, ErrorClass.UNAVAILABLE, "overloaded_error"),
    "2.1-E2-500-messages-required.json": (500, ErrorClass.INVALID_REQUEST, "invalid_request"),
}

REPLIES: Final = frozenset(f"claude/{name}" for name in (*SAID, *NOT_SAID, *REFUSED, "5.14-pause-turn.json"))


def read(response: Response) -> Outcome:
    asked = call("claude.message")
    return reading.outcome_of(response, lambda answer: claude.read(answer, asked))


def result(name: str) -> dict[str, Any]:
    outcome = read(reply(f"claude/{name}"))
    assert isinstance(outcome, Produced), outcome
    assert outcome.outputs == ()
    return dict(outcome.result)


def build(*images: Media, **params: Any) -> Request:
    return claude.CLAUDE.build(call("claude.message", *images, **params))


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_answer_has_its_text_its_calls_and_all_its_blocks(name: str) -> None:
    said = result(name)

    types = [block["type"] for block in said.get("message", {"content": []})["content"]]
    told = (said["text"], said["tool_calls"], said["finish_reason"], said["stop_reason"], types)
    assert told == SAID[name]
    assert (said["id"], said["model"]) == ("msg_01Ff8", "claude-sonnet-4-5-20250929")
    assert (said["usage"]["input_tokens"], said["usage"]["output_tokens"]) == (19, 31)


@pytest.mark.parametrize("name", sorted(NOT_SAID))
def test_what_is_no_answer_says_why(name: str) -> None:
    outcome = read(reply(f"claude/{name}"))

    assert isinstance(outcome, Refused), outcome
    error = outcome.error
    assert (error.error_class, error.code, error.charged) == NOT_SAID[name]
    assert error.message


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_errors_in_the_vendors_envelope_are_understood(name: str) -> None:
    status, error_class, code = REFUSED[name]

    outcome = read(reply(f"claude/{name}", status))

    assert isinstance(outcome, Refused)
    error = outcome.error
    assert (error.error_class, error.code, error.charged) == (error_class, code, False)


@pytest.mark.parametrize("name", ["5.14.json", "5.14-stream.txt"])
def test_thoughts_stand_apart_and_keep_their_signature_for_the_next_turn(name: str) -> None:
    said = result(name)

    assert said["reasoning"] == "Brest lies west."
    assert said["message"]["content"][0] == {
        "type": "thinking",
        "thinking": "Brest lies west.",
        "signature": "EpABCkYIBR",
    }


@pytest.mark.parametrize("name", ["5.14-web-search.json", "5.14-stream-web-search.txt"])
def test_searches_and_sources_are_told(name: str) -> None:
    said = result(name)

    assert said["message"]["content"][0]["input"] == {"query": "tide Brest"}
    assert said["message"]["content"][1]["content"][0]["encrypted_content"] == "EqgfCioI"
    assert [one["url"] for one in said["annotations"]] == ["https://example.com/tides"]


def test_a_turn_that_pauses_can_be_gone_on_with() -> None:
    said = result("5.14-pause-turn.json")

    assert (said["finish_reason"], said["text"]) == ("pause_turn", "")
    assert [block["type"] for block in said["message"]["content"]] == ["server_tool_use", "web_search_tool_result"]
    assert said["details"]["container"]["id"] == "container_1"


def test_the_sequence_that_stopped_it_is_told() -> None:
    assert result("5.14-stop-sequence.json")["stop_sequence"] == "\n"


@pytest.mark.parametrize("name", ["5.14-stream.txt", "5.14-stream-tool-use.txt"])
def test_a_stream_that_broke_off_anywhere_is_no_answer(name: str) -> None:
    body = reply(f"claude/{name}").body
    end = body.index(b'"type":"message_stop"')

    for cut in range(0, end, 41):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, body[:cut]))

        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is UNKNOWN


def test_a_stream_that_lacks_a_piece_in_its_midst_is_no_answer() -> None:
    body = reply("claude/5.14-stream.txt").body.replace(b'"text":"At "}', b'"text":"At ')

    outcome = read(Response(200, {"content-type": "text/event-stream"}, body))

    assert isinstance(outcome, Refused)
    assert outcome.error.error_class is UNKNOWN


def test_the_prompt_is_a_message_of_the_user_and_the_vendor_gets_the_number_it_wants() -> None:
    request = build()

    assert (request.method, request.path, request.name) == ("POST", "/v1/messages", "claude.message")
    assert request.headers == {"anthropic-version": "2023-06-01"}
    assert request.json == {
        "model": "the-model",
        "messages": [{"role": "user", "content": "a tin robot"}],
        "max_tokens": 4_096,
    }
    assert request.timeout_s > 300


def test_all_that_was_asked_for_is_sent_as_it_was_written() -> None:
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Tide?", "cache_control": None}]}],
        "system": [{"type": "text", "text": "Be brief."}],
        "max_tokens": 64,
        "stream": True,
        "tools": [{"name": "get_tide", "input_schema": {"type": "object", "default": None}}],
        "tool_choice": {"type": "any"},
        "stop_sequences": ["\n"],
        "top_k": 5,
        "metadata": {"user_id": "u-1"},
        "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "tides"}],
        "container": "container_1",
        "output_config": {"effort": "low"},
        "context_management": {"edits": []},
    }

    request = build(**asked, anthropic_beta=["mcp-client-2025-04-04", "context-management-2025-06-27"])

    assert request.json == {"model": "the-model", **asked}
    assert request.headers["anthropic-beta"] == "mcp-client-2025-04-04,context-management-2025-06-27"


def test_an_answer_that_nobody_limited_has_room_beside_its_thoughts() -> None:
    body = build(thinking={"type": "enabled", "budget_tokens": 10_000}).json

    assert body["max_tokens"] == 14_096
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 10_000}


def test_inputs_go_behind_the_words_in_base64() -> None:
    asked = replace(call("claude.message"), inputs={"images": (PNG, JPEG), "files": (PDF,)})

    (turn,) = claude.CLAUDE.build(asked).json["messages"]

    sources = [("image", PNG), ("image", JPEG), ("document", PDF)]
    assert turn["content"] == [
        {"type": "text", "text": "a tin robot"},
        *(
            {"type": kind, "source": {"type": "base64", "media_type": one.content_type, "data": one.base64}}
            for kind, one in sources
        ),
    ]
