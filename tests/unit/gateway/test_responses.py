from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters import responses
from shared.gateway.call import Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, PNG, call, reply

TIDE: Final = "High tide at 06:12."
PDF: Final = Media("application/pdf", "files-0.pdf", b"%PDF-1.7", "document")
CALLED: Final = [{"id": "call_9a", "name": "get_tide", "arguments": {"port": "Brest"}}]
QUERIED: Final = [{"id": "call_9b", "name": "run_query", "arguments": "SELECT 1"}]

#: By file, the text, the calls of tools, why it ended and the types of its items.
SAID: Final[dict[str, tuple[str, list[Any], str, list[str]]]] = {
    "5.7.json": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-thoughts.json": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-open-thoughts.json": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-functions.json": ("", CALLED, "tool_calls", ["reasoning", "function_call"]),
    "5.7-custom-tool.json": ("", QUERIED, "tool_calls", ["custom_tool_call"]),
    "5.7-web-search.json": (TIDE, [], "stop", ["web_search_call", "message"]),
    "5.7-approval.json": ("", [], "stop", ["mcp_approval_request"]),
    "5.7-two-parts.json": (TIDE, [], "stop", ["message"]),
    "5.7-incomplete-tokens.json": ("High tide at", [], "length", ["message"]),
    "5.7-budget-spent.json": ("", [], "length", ["reasoning"]),
    "5.7-stream.txt": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-stream-done.txt": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-stream-output-empty.txt": (TIDE, [], "stop", ["reasoning", "message"]),
    "5.7-stream-incomplete.txt": ("High tide ", [], "length", ["message"]),
    "3.3-V20.json": ("Here it is.", [], "stop", ["image_generation_call", "message"]),
}

NO_MEDIA, POLICY, UNKNOWN = ErrorClass.NO_MEDIA, ErrorClass.CONTENT_POLICY, ErrorClass.UNKNOWN_OUTCOME

#: By file, why there is no answer in it: class, code, and whether it is counted as paid.
NOT_SAID: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "5.7-empty.json": (NO_MEDIA, "empty_answer", True),
    "5.7-refusal.json": (POLICY, "refusal", True),
    "5.7-incomplete-filter.json": (POLICY, "content_filter", True),
    "5.7-failed.json": (UNKNOWN, "unknown_outcome", True),
    "5.7-failed-policy.json": (POLICY, "invalid_prompt", True),
    "5.7-failed-image.json": (ErrorClass.INVALID_REQUEST, "invalid_image_format", True),
    "5.7-in-progress.json": (UNKNOWN, "unreadable_reply", False),
    "5.7-of-another-kind.json": (UNKNOWN, "unreadable_reply", False),
    "5.7-stream-failed.txt": (UNKNOWN, "unknown_outcome", True),
    "5.7-stream-error.txt": (UNKNOWN, "unknown_outcome", True),
    "5.7-stream-broken.txt": (UNKNOWN, "unreadable_reply", False),
    "2.1-E11.txt": (UNKNOWN, "unknown_outcome", True),
    "2.5-200-error.json": (POLICY, "content_policy_violation", True),
    **dict.fromkeys(IN_NO_CONTRACT, (UNKNOWN, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(f"responses/{name}" for name in (*SAID, *NOT_SAID, "5.7-500-not-implemented.json"))


def read(response: Response) -> Outcome:
    asked = call("response.create")
    return reading.outcome_of(response, lambda answer: responses.read(answer, asked))


def produced(name: str) -> Produced:
    outcome = read(reply(f"responses/{name}"))
    assert isinstance(outcome, Produced), outcome
    return outcome


def build(*images: Media, **params: Any) -> Request:
    return responses.RESPONSES.build(call("response.create", *images, **params))


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_answer_has_its_text_its_calls_and_all_its_items(name: str) -> None:
    said = produced(name).result

    types = [item["type"] for item in said["output"]]
    assert (said["text"], said["tool_calls"], said["finish_reason"], types) == SAID[name]
    assert (said["id"], said["model"]) == ("resp_68af19", "gpt-5-mini")
    assert said["usage"]["output_tokens_details"]["reasoning_tokens"] == 64
    assert said["status"] == ("incomplete" if said["finish_reason"] == "length" else "completed")


@pytest.mark.parametrize("name", sorted(NOT_SAID))
def test_what_is_no_answer_says_why(name: str) -> None:
    outcome = read(reply(f"responses/{name}"))

    assert isinstance(outcome, Refused), outcome
    error = outcome.error
    assert (error.error_class, error.code, error.charged) == NOT_SAID[name]
    assert error.message


def test_a_channel_that_does_not_know_the_format_says_so_unpaid() -> None:
    outcome = read(reply("responses/5.7-500-not-implemented.json", 500))

    assert isinstance(outcome, Refused)
    assert (outcome.error.error_class, outcome.error.charged) == (ErrorClass.INVALID_REQUEST, False)


def test_thoughts_are_told_where_there_are_any() -> None:
    assert produced("5.7-thoughts.json").result["reasoning"] == "**Looking up the tide**\n\nBrest is on the Atlantic."
    assert produced("5.7-open-thoughts.json").result["reasoning"] == "Brest is on the Atlantic."
    assert "reasoning" not in produced("5.7.json").result


def test_sources_are_told() -> None:
    said = produced("5.7-web-search.json").result

    assert [one["url"] for one in said["annotations"]] == ["https://example.com/tides"]
    assert said["output"][0]["action"]["query"] == "tide Brest"


def test_a_picture_in_an_answer_becomes_an_artifact() -> None:
    made = produced("3.3-V20.json")

    (output,) = made.outputs
    assert output.kind == "image"
    assert (output.sources[0].content or b"").startswith(b"\x89PNG")
    assert made.result["output"][0]["artifact_index"] == 0
    assert "result" not in made.result["output"][0]


def test_a_stream_that_broke_off_anywhere_is_no_answer() -> None:
    body = reply("responses/5.7-stream.txt").body
    end = body.index(b"event: response.completed")

    for cut in range(0, end, 97):
        outcome = read(Response(200, {"content-type": "text/event-stream"}, body[:cut]))

        assert isinstance(outcome, Refused)
        assert outcome.error.error_class is UNKNOWN


def test_the_prompt_is_the_input() -> None:
    request = build()

    assert (request.method, request.path, request.name) == ("POST", "/v1/responses", "response.create")
    assert request.json == {"model": "the-model", "input": "a tin robot"}
    assert request.timeout_s > 300


def test_all_that_was_asked_for_is_sent_as_it_was_written() -> None:
    asked: dict[str, Any] = {
        "input": [
            {"role": "user", "content": "Tide?"},
            {"type": "function_call", "call_id": "call_9a", "name": "get_tide", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_9a", "output": "06:12"},
        ],
        "instructions": "Be brief.",
        "stream": True,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "tide", "schema": {"x": None}}, "verbosity": "low"},
        "tools": [{"type": "web_search_preview", "search_context_size": "medium"}],
        "tool_choice": "auto",
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 64,
        "prompt": {"id": "pmpt_1"},
    }

    assert build(**asked).json == {"model": "the-model", **asked}


def test_inputs_go_behind_the_words() -> None:
    asked = replace(call("response.create"), inputs={"images": (PNG,), "files": (PDF,)})

    (turn,) = responses.RESPONSES.build(asked).json["input"]

    assert turn == {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "a tin robot"},
            {"type": "input_image", "image_url": PNG.data_url, "detail": "auto"},
            {"type": "input_file", "filename": "files-0.pdf", "file_data": PDF.data_url},
        ],
    }


@pytest.mark.parametrize("given", ["What is it?", [{"role": "user", "content": "What is it?"}, {"type": "reasoning"}]])
def test_inputs_go_to_the_last_message_of_the_user(given: Any) -> None:
    items = build(PNG, input=given).json["input"]

    assert items[0]["content"][0] == {"type": "input_text", "text": "What is it?"}
    assert items[0]["content"][1]["type"] == "input_image"
    assert items[1:] == ([] if isinstance(given, str) else given[1:])
