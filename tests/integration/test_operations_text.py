"""Answers of text in four formats, from a dispatched job to its `result` and its artifacts."""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Final

import pytest
from PIL import Image

from deploy.sandbox.studio import sounds
from deploy.sandbox.studio.words import CANNOT, PAGE
from shared.lifecycle import Cause, State
from shared.tables import Artifact, Job
from tests import rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.ports import Ports

MODELS: Final = {
    "chat.completion": "gpt-4.1-mini",
    "response.create": "gpt-5-mini",
    "claude.message": "claude-haiku-4-5-20251001",
    "gemini.generate": "gemini-2.5-flash",
}
FORMATS: Final = sorted(MODELS)
each_format = pytest.mark.parametrize("operation", FORMATS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

SCHEMA: Final = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "high_at": {"type": ["string", "null"], "default": None}},
}
PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def ended(ports: Ports, operation: str, *tags: str, words: str = "", **columns: Any) -> Job:
    """A job of this operation after its paid call."""
    prompt = f"{rows.prompt(*tags)} {words}".strip()
    job = rows.make(ports, **{"model": MODELS[operation], "prompt": prompt, "operation": operation, **columns})
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def result_of(ports: Ports, job: Job) -> dict[str, Any]:
    assert job.state is State.SUCCEEDED, (job.state_reason, rows.result(ports, job).error)
    return dict(rows.result(ports, job).result or {})


def content_of(ports: Ports, artifact: Artifact) -> bytes:
    with ports.store.open(artifact.object_key) as opened:
        return b"".join(opened)


def data_url(content: bytes, content_type: str) -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


def picture(form: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), "navy").save(file, form)
    return data_url(file.getvalue(), f"image/{form.lower()}")


def tools(operation: str) -> list[dict[str, Any]]:
    """One tool, in the format of this operation."""
    schema = {"type": "object", "properties": {"port": {"type": "string"}}}
    function = {"name": "get_tide", "parameters": schema}
    return {
        "chat.completion": [{"type": "function", "function": function}],
        "response.create": [{"type": "function", **function}],
        "claude.message": [{"name": "get_tide", "input_schema": schema}],
        "gemini.generate": [{"functionDeclarations": [function]}],
    }[operation]


def conversation(operation: str, *turns: tuple[str, str]) -> dict[str, Any]:
    """A whole conversation of pairs of a role and a text, in the format of this operation."""
    if operation == "gemini.generate":
        named = {"user": "user", "assistant": "model"}
        return {"contents": [{"role": named[role], "parts": [{"text": said}]} for role, said in turns]}
    name = "input" if operation == "response.create" else "messages"
    return {name: [{"role": role, "content": said} for role, said in turns]}


@each_format
@whole_and_streamed
def test_a_prompt_is_answered_and_paid_once(ports: Ports, sandbox: SandboxServer, operation: str, stream: bool) -> None:
    prompt = rows.prompt()

    job = ended(ports, operation, prompt=prompt, params={"stream": stream})

    result = result_of(ports, job)
    assert (result["text"], result["finish_reason"], result["tool_calls"]) == (f"You asked: {prompt}.", "stop", [])
    assert result["model"] == MODELS[operation]
    assert result["usage"]
    assert rows.artifacts(ports, job) == []
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert [entry["kind"] for entry in sandbox.ledger(prompt)] == [operation]


@each_format
@whole_and_streamed
def test_a_tool_that_is_called_is_told_with_its_arguments(ports: Ports, operation: str, stream: bool) -> None:
    asked = {"tools": tools(operation), "stream": stream}

    result = result_of(ports, ended(ports, operation, words="Use get_tide.", params=asked))

    (call,) = result["tool_calls"]
    assert (call["name"], call["arguments"], result["finish_reason"]) == ("get_tide", {"port": "Brest"}, "tool_calls")
    assert bool(call["id"]) == (operation != "gemini.generate")
    assert result["text"] == ""


@each_format
def test_what_the_model_said_can_be_given_back_in_the_next_turn(ports: Ports, operation: str) -> None:
    first = result_of(ports, ended(ports, operation, words="Use get_tide.", params={"tools": tools(operation)}))

    call_id = first["tool_calls"][0]["id"]
    if operation == "gemini.generate":
        answer = {"functionResponse": {"name": "get_tide", "response": {"high": "06:12"}}}
        turns = [{"parts": [{"text": "Tide?"}]}, first["message"], {"role": "user", "parts": [answer, {"text": "So?"}]}]
        params: dict[str, Any] = {"contents": turns}
    elif operation == "response.create":
        answer = {"type": "function_call_output", "call_id": call_id, "output": "06:12"}
        asked = {"role": "user", "content": "So?"}
        params = {"input": [{"role": "user", "content": "Tide?"}, *first["output"], answer, asked]}
    elif operation == "claude.message":
        answer = {"type": "tool_result", "tool_use_id": call_id, "content": "06:12"}
        asked = {"role": "user", "content": [answer, {"type": "text", "text": "So?"}]}
        params = {"messages": [{"role": "user", "content": "Tide?"}, first["message"], asked]}
    else:
        answer = {"role": "tool", "tool_call_id": call_id, "content": "06:12"}
        asked = {"role": "user", "content": "So?"}
        params = {"messages": [{"role": "user", "content": "Tide?"}, first["message"], answer, asked]}

    second = result_of(ports, ended(ports, operation, prompt="", params=params))

    assert second["text"] == "You asked: So?."


@each_format
def test_a_conversation_may_stand_in_the_prompts_place(ports: Ports, sandbox: SandboxServer, operation: str) -> None:
    question = rows.prompt()
    turns = conversation(operation, ("user", "Hello."), ("assistant", "Hello!"), ("user", question))

    job = ended(ports, operation, prompt="", params=turns)

    assert result_of(ports, job)["text"] == f"You asked: {question}."
    assert len(sandbox.ledger(question)) == 1


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("response.create", {"instructions": "Be brief."}),
        ("claude.message", {"system": "Be brief."}),
        ("claude.message", {"system": [{"type": "text", "text": "Be brief."}]}),
        ("gemini.generate", {"system_instruction": "Be brief."}),
        ("gemini.generate", {"system_instruction": {"parts": [{"text": "Be brief."}]}}),
    ],
)
def test_what_a_model_is_told_before_all_else_arrives(ports: Ports, operation: str, asked: dict[str, Any]) -> None:
    assert "I was told: Be brief." in result_of(ports, ended(ports, operation, params=asked))["text"]


@each_format
@whole_and_streamed
def test_a_schema_is_kept_to(ports: Ports, operation: str, stream: bool) -> None:
    asked = {
        "chat.completion": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "tide", "schema": SCHEMA}}
        },
        "response.create": {"text": {"format": {"type": "json_schema", "name": "tide", "schema": SCHEMA}}},
        "claude.message": {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        "gemini.generate": {
            "generation_config": {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        },
    }[operation]

    result = result_of(ports, ended(ports, operation, params={**asked, "stream": stream}))

    assert json.loads(result["text"]) == {"port": "Brest", "high_at": "Brest"}


@each_format
def test_pictures_and_pdfs_are_looked_at(ports: Ports, operation: str) -> None:
    inputs = {"images": [picture(), picture("JPEG")], "files": [data_url(PDF, "application/pdf")]}

    text = result_of(ports, ended(ports, operation, inputs=inputs))["text"]

    shown = f"I was shown a picture of 12x8 pixels, a picture of 12x8 pixels, a PDF of {len(PDF)} bytes."
    assert shown in text


@pytest.mark.parametrize("operation", ["chat.completion", "gemini.generate"])
def test_sounds_are_listened_to(ports: Ports, operation: str) -> None:
    tune = sounds.encode("a" * 20, "mp3")

    text = result_of(ports, ended(ports, operation, inputs={"audio": [data_url(tune, "audio/mpeg")]}))["text"]

    assert f"I was shown a sound of {len(tune)} bytes." in text


def test_the_result_of_another_job_is_looked_at(ports: Ports) -> None:
    drawn = rows.make(ports, model="nano-banana", prompt=rows.prompt())
    submit.submit([drawn.id], ports)
    named = {"job": drawn.id, "index": 0}

    job = ended(ports, "chat.completion", project_id=drawn.project_id, inputs={"images": [named]})

    assert "I was shown a picture of 1024x1024 pixels." in result_of(ports, job)["text"]


@each_format
def test_inputs_of_another_kind_fail_the_job_before_anything_is_paid(
    ports: Ports, sandbox: SandboxServer, operation: str
) -> None:
    prompt = rows.prompt()

    job = ended(ports, operation, prompt=prompt, inputs={"files": [picture()]})

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "input_refused"
    assert sandbox.ledger(prompt) == []


def test_a_picture_that_gemini_does_not_take_is_converted_before_it_is_sent(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt()

    job = ended(ports, "gemini.generate", prompt=prompt, inputs={"images": [picture("GIF")]})

    assert job.state is State.SUCCEEDED, job.state_reason
    assert len(sandbox.ledger(prompt)) == 1


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("chat.completion", {"reasoning_effort": "low"}),
        ("response.create", {"reasoning": {"effort": "low", "summary": "auto"}}),
        ("claude.message", {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        ("gemini.generate", {"generation_config": {"thinking_config": {"include_thoughts": True}}}),
    ],
)
@whole_and_streamed
def test_thoughts_are_told_apart(ports: Ports, operation: str, asked: dict[str, Any], stream: bool) -> None:
    result = result_of(ports, ended(ports, operation, params={**asked, "stream": stream}))

    assert result["reasoning"].startswith("The question is: boat")
    assert result["text"].startswith("You asked: boat")


@pytest.mark.parametrize(
    ("operation", "tool"),
    [
        ("response.create", {"type": "web_search"}),
        ("claude.message", {"type": "web_search_20250305", "name": "web_search"}),
        ("gemini.generate", {"googleSearch": {}}),
    ],
)
@whole_and_streamed
def test_what_was_found_on_the_web_is_cited(ports: Ports, operation: str, tool: dict[str, Any], stream: bool) -> None:
    result = result_of(ports, ended(ports, operation, params={"tools": [tool], "stream": stream}))

    assert PAGE["url"] in json.dumps(result["annotations"])


@each_format
@whole_and_streamed
def test_an_answer_that_was_cut_off_is_a_result_that_says_so(ports: Ports, operation: str, stream: bool) -> None:
    result = result_of(ports, ended(ports, operation, "variant=length", params={"stream": stream}))

    assert (result["finish_reason"], result["text"][:9]) == ("length", "You asked")


@each_format
@whole_and_streamed
def test_a_budget_that_was_spent_on_thoughts_is_a_result_without_words(
    ports: Ports, operation: str, stream: bool
) -> None:
    result = result_of(ports, ended(ports, operation, "variant=budget_spent", params={"stream": stream}))

    assert (result["finish_reason"], result["text"]) == ("length", "")


@each_format
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("variant", ["refusal", "content_filter"])
def test_what_is_refused_fails_at_once(ports: Ports, operation: str, variant: str, stream: bool) -> None:
    job = ended(ports, operation, f"variant={variant}", params={"stream": stream})

    assert job.state is State.FAILED
    assert rows.error(ports, job)["class"] == "content_policy"
    assert rows.error(ports, job)["retryable"] is False


def test_a_refusal_is_told_in_the_models_own_words(ports: Ports) -> None:
    job = ended(ports, "response.create", "variant=refusal")

    assert rows.error(ports, job)["message"] == CANNOT


@each_format
@pytest.mark.parametrize("tag", ["variant=unfinished", "variant=error_event", "variant=html200", "cut=mid_body"])
def test_a_stream_that_broke_off_holds_the_job(ports: Ports, sandbox: SandboxServer, operation: str, tag: str) -> None:
    prompt = rows.prompt(tag)

    job = ended(ports, operation, prompt=prompt, params={"stream": True})

    assert job.state is State.HELD
    assert rows.error(ports, job)["class"] == "unknown_outcome"
    assert len(sandbox.ledger(prompt.split(" [[")[0])) == 1


def test_a_response_that_failed_holds_the_job(ports: Ports) -> None:
    job = ended(ports, "response.create", "variant=failed")

    assert job.state is State.HELD
    assert rows.error(ports, job)["message"] == "The engine is currently overloaded."


@pytest.mark.parametrize("operation", ["chat.completion", "response.create", "gemini.generate"])
def test_an_answer_with_nothing_in_it_is_asked_for_again(ports: Ports, operation: str) -> None:
    job = ended(ports, operation, "variant=empty")

    assert (job.state, rows.error(ports, job)["code"]) == (State.QUEUED, "empty_answer")


@pytest.mark.parametrize("variant", ["think_tag", "parts", "one_chunk"])
@whole_and_streamed
def test_every_shape_of_a_conversation_gives_the_same_result(ports: Ports, variant: str, stream: bool) -> None:
    prompt = rows.prompt(f"variant={variant}")

    result = result_of(ports, ended(ports, "chat.completion", prompt=prompt, params={"stream": stream}))

    assert result["text"] == f"You asked: {prompt.split(' [[')[0]}."
    assert ("reasoning" in result) == (variant == "think_tag")


@each_format
@whole_and_streamed
def test_an_answer_too_long_for_a_row_is_an_artifact_of_json(ports: Ports, operation: str, stream: bool) -> None:
    job = ended(ports, operation, "variant=long", params={"stream": stream})

    result = result_of(ports, job)
    artifact = rows.artifacts(ports, job)[result["artifact_index"]]
    whole = json.loads(content_of(ports, artifact))
    assert (artifact.kind, artifact.content_type) == ("text", "application/json")
    assert artifact.size_bytes > submit.RESULT_MOST_BYTES
    assert whole["text"].count("You asked") > 1_000
    assert (result["finish_reason"], result["model"]) == ("stop", MODELS[operation])
    assert "text" not in result


@pytest.mark.parametrize("operation", ["chat.completion", "response.create", "gemini.generate"])
@whole_and_streamed
def test_a_picture_in_an_answer_is_an_artifact(ports: Ports, operation: str, stream: bool) -> None:
    job = ended(ports, operation, "variant=picture", params={"stream": stream})

    result = result_of(ports, job)
    (artifact,) = rows.artifacts(ports, job)
    assert (artifact.kind, artifact.content_type, artifact.width) == ("image", "image/png", 1)
    assert result["text"].startswith("You asked")
    assert '"artifact_index": 0' in json.dumps(result)


def test_several_answers_are_told(ports: Ports) -> None:
    result = result_of(ports, ended(ports, "chat.completion", params={"n": 3}))

    assert [choice["text"] for choice in result["choices"]] == [result["text"]] * 3


@pytest.mark.parametrize(
    ("tag", "state", "error_class"),
    [
        ("fail=400", State.FAILED, "invalid_request"),
        ("fail=429", State.QUEUED, "rate_limited"),
        ("fail=503_overloaded", State.QUEUED, "unavailable"),
    ],
)
@each_format
def test_what_the_gateway_refuses_costs_nothing(
    ports: Ports, sandbox: SandboxServer, operation: str, tag: str, state: State, error_class: str
) -> None:
    prompt = rows.prompt(tag)

    job = ended(ports, operation, prompt=prompt)

    assert job.state is state
    assert rows.error(ports, job)["class"] == error_class
    assert sandbox.ledger(prompt.split(" [[")[0]) == []


def test_a_model_that_does_not_know_the_format_says_so(ports: Ports) -> None:
    job = ended(ports, "response.create", model="claude-haiku-4-5-20251001")

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "convert_request_failed"


def test_any_model_that_writes_can_be_asked_in_the_first_format(ports: Ports) -> None:
    for model in ("claude-haiku-4-5-20251001", "gemini-2.5-flash"):
        result = result_of(ports, ended(ports, "chat.completion", model=model))

        assert (result["model"], result["finish_reason"]) == (model, "stop")
