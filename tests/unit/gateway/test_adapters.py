from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog.operations.table import OPERATIONS
from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import Accepted, Pending, Produced, Refused, Unseen
from shared.gateway.request import Response
from tests.unit.gateway import (
    test_account,
    test_audio,
    test_chat,
    test_chat_images,
    test_chat_videos,
    test_classify,
    test_claude,
    test_free_errors,
    test_gemini_images,
    test_gemini_text,
    test_gemini_turns,
    test_image_detours,
    test_images,
    test_midjourney,
    test_midjourney_finding,
    test_responses,
    test_usage_log,
    test_vectors,
    test_videos,
)
from tests.unit.gateway.replies import ROOT, call

#: Keys and words of the contract, so that chance finds its way into the branches.
KEYS = st.sampled_from(
    [
        "id",
        "task_id",
        "status",
        "progress",
        "data",
        "error",
        "code",
        "message",
        "result",
        "url",
        "video_url",
        "b64_json",
        "image",
        "images",
        "output",
        "metadata",
        "imageUrl",
        "imageUrls",
        "videoUrls",
        "buttons",
        "properties",
        "description",
        "failReason",
        "detail",
        "success",
        "type",
        "choices",
        "usage",
        "text",
        "embedding",
        "index",
        "results",
        "relevance_score",
        "candidates",
        "content",
        "parts",
        "delta",
        "inlineData",
        "finish_reason",
        "finishReason",
        "stop_reason",
        "tool_calls",
        "arguments",
        "annotations",
        "promptFeedback",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            *("SUCCESS", "failed", "https://a.example/b", "data:image/png;base64,AAAA", "{}", '{"error":1}', "[1"),
            *("message", "output_text", "tool_use", "function_call", "reasoning", "incomplete", "refusal"),
        ]
    )
)
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=12
)
STATUSES = st.sampled_from([200, 200, 200, 202, 400, 403, 429, 500, 503, 524])
#: What some operations cannot be asked without.
NEEDED: dict[str, dict[str, Any]] = {
    "midjourney.action": {"task_id": "1", "custom_id": "MJ::1"},
    "midjourney.change": {"task_id": "1", "action": "REROLL"},
    "midjourney.simple_change": {"content": "1 R"},
    "midjourney.modal": {"task_id": "1"},
    "midjourney.seed": {"task_id": "1"},
    "video.remix": {"task_id": "1"},
    "rerank": {"documents": ["a boat"]},
}
CALLS = {name: call(name, **NEEDED.get(name, {})) for name in OPERATIONS}


def test_every_reply_is_used_by_a_test_and_every_test_has_its_reply() -> None:
    families = (
        test_classify,
        test_free_errors,
        test_account,
        test_images,
        test_image_detours,
        test_chat_images,
        test_gemini_images,
        test_gemini_turns,
        test_videos,
        test_chat_videos,
        test_midjourney,
        test_midjourney_finding,
        test_usage_log,
        test_audio,
        test_vectors,
        test_chat,
        test_responses,
        test_claude,
        test_gemini_text,
    )
    used = frozenset[str]().union(*(family.REPLIES for family in families))

    assert {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()} == used


def test_every_operation_has_an_adapter_of_its_name() -> None:
    assert set(BY_OPERATION) == set(OPERATIONS)
    assert {adapter.name for adapter in BY_OPERATION.values()} == set(OPERATIONS)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_answers_later_can_be_looked_at(name: str) -> None:
    assert (BY_OPERATION[name].looking is not None) == OPERATIONS[name].is_asynchronous


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@settings(max_examples=150, deadline=None, database=None)
@given(body=BODIES, status=STATUSES)
def test_whatever_the_gateway_says_has_a_meaning(name: str, body: Any, status: int) -> None:
    adapter, asked = BY_OPERATION[name], CALLS[name]
    response = Response(status, {"content-type": "application/json"}, json.dumps(body).encode())

    outcome = reading.outcome_of(response, lambda answer: adapter.read(answer, asked))

    assert isinstance(outcome, Accepted | Produced | Refused)
    if adapter.looking is not None:
        assert isinstance(reading.look_of(response, adapter.looking.read), Pending | Produced | Refused | Unseen)
    if adapter.looking is not None and adapter.looking.read_many is not None:
        assert set(reading.looks_of(response, ["1"], adapter.looking.read_many)) == {"1"}
