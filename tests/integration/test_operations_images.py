"""The four operations that give pictures, from the row to S3, against the sandbox gateway."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from shared.lifecycle import Cause, State
from shared.tables import Job, JobRequest
from tests import rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.ports import Ports


def data_url(side: int = 16, mode: str = "RGB") -> str:
    file = io.BytesIO()
    Image.new(mode, (side, side), "orange").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def ended(ports: Ports, operation: str, *tags: str, **columns: Any) -> Job:
    """A job of this operation after its paid call."""
    job = rows.make(ports, **{"operation": operation, "prompt": rows.prompt(*tags), "model": "nano-banana", **columns})
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def stored(ports: Ports, job: Job) -> list[Image.Image]:
    """The pictures that lie in S3, each as large as its row says."""
    assert job.state is State.SUCCEEDED, job.state_reason
    found = []
    for artifact in rows.artifacts(ports, job):
        with ports.store.open(artifact.object_key) as opened:
            content = b"".join(opened)
        image = Image.open(io.BytesIO(content))
        image.load()
        assert len(content) == artifact.size_bytes
        assert image.size == (artifact.width, artifact.height)
        found.append(image)
    return found


def paid(sandbox: SandboxServer, ports: Ports, job: Job) -> list[dict[str, Any]]:
    """What the sandbox says was paid for this job."""
    with ports.transaction() as session:
        asked = session.get(JobRequest, job.id)
    assert asked is not None
    return sandbox.ledger(prompt=asked.prompt.split(" [[")[0])


@pytest.mark.parametrize(
    ("operation", "params", "size"),
    [
        ("image.generate", {"size": "640x352"}, (640, 352)),
        ("image.edit", {"size": "640x352"}, (640, 352)),
        ("image.chat", {"aspect_ratio": "3:2"}, (1248, 832)),
        ("image.chat", {"aspect_ratio": "3:2", "stream": True}, (1248, 832)),
        ("image.gemini", {"aspect_ratio": "9:16"}, (768, 1360)),
        ("image.gemini", {"aspect_ratio": "9:16", "stream": True}, (768, 1360)),
    ],
)
def test_each_operation_stores_the_picture_that_was_asked_for(
    ports: Ports, sandbox: SandboxServer, operation: str, params: dict[str, Any], size: tuple[int, int]
) -> None:
    job = ended(ports, operation, params=params, inputs={"images": [data_url()]})

    (picture,) = stored(ports, job)
    assert picture.size == size
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert [entry["kind"] for entry in paid(sandbox, ports, job)] == [operation]


@pytest.mark.parametrize("model", ["nano-banana-pro", "gpt-4o-image", "doubao-seedream-4-0-250828"])
@pytest.mark.parametrize("stream", [False, True])
def test_each_family_that_draws_in_a_conversation_is_stored(ports: Ports, model: str, stream: bool) -> None:
    job = ended(ports, "image.chat", model=model, params={"aspect_ratio": "1:1", "image_size": "1K", "stream": stream})

    assert [picture.size for picture in stored(ports, job)] == [(1024, 1024)]


@pytest.mark.parametrize(
    ("operation", "variant"),
    [
        *(("image.generate", variant) for variant in ("url", "b64_json", "both_empty", "single_object")),
        *(("image.edit", variant) for variant in ("url", "b64_data_uri", "sse")),
        *(("image.chat", variant) for variant in ("url", "link", "img_tag", "parts", "message_images", "images_body")),
        *(("image.chat", variant) for variant in ("media", "thoughts", "drafts", "whole_message")),
        *(("image.gemini", variant) for variant in ("inline_snake", "data_uri", "url", "bare_url", "file", "drafts")),
    ],
)
def test_a_picture_in_whatever_shape_is_stored(ports: Ports, operation: str, variant: str) -> None:
    inputs = {"images": [data_url()]} if operation == "image.edit" else {}

    job = ended(ports, operation, f"variant={variant}", "render=plain", inputs=inputs)

    assert [picture.size for picture in stored(ports, job)] == [(256, 144)]


def test_several_pictures_over_chat_are_all_stored(ports: Ports, sandbox: SandboxServer) -> None:
    job = ended(ports, "image.chat", model="gpt-4o-image", params={"n": 3, "size": "64x48"})

    assert [picture.size for picture in stored(ports, job)] == [(64, 48)] * 3
    told = rows.result(ports, job).result or {}
    assert (told["delivered"], told["requested"]) == (3, 3)
    assert "gen_" in told["text"]
    assert [entry["price_usd"] for entry in paid(sandbox, ports, job)] == ["0.12"]


@pytest.mark.parametrize(
    ("operation", "name", "turns"),
    [
        ("image.chat", "messages", [{"role": "user", "content": "a kite"}, {"role": "assistant", "content": "Here."}]),
        (
            "image.gemini",
            "contents",
            [{"parts": [{"text": "a kite"}]}, {"role": "model", "parts": [{"text": "Here."}]}],
        ),
    ],
)
def test_a_conversation_in_the_prompts_place_is_answered(
    ports: Ports, sandbox: SandboxServer, operation: str, name: str, turns: list[Any]
) -> None:
    words = rows.prompt("render=plain")
    last = {"role": "user", "content": words} if name == "messages" else {"role": "user", "parts": [{"text": words}]}

    job = ended(ports, operation, prompt="", params={name: [*turns, last]})

    assert len(stored(ports, job)) == 1
    assert [entry["prompt"] for entry in sandbox.ledger(prompt=words)] == [words]


@pytest.mark.parametrize(
    ("operation", "tag", "state", "told"),
    [
        ("image.chat", "variant=content_filter", State.FAILED, "content_policy"),
        ("image.chat", "variant=failed_moderation", State.FAILED, "content_policy"),
        ("image.chat", "variant=prompt_blocked", State.FAILED, "content_policy"),
        ("image.chat", "variant=no_media", State.QUEUED, "no_media"),
        ("image.chat", "fail=429", State.QUEUED, "rate_limited"),
        ("image.chat", "cut=mid_body", State.HELD, "unknown_outcome"),
        ("image.gemini", "variant=blocked", State.FAILED, "content_policy"),
        ("image.gemini", "variant=image_safety", State.FAILED, "content_policy"),
        ("image.gemini", "variant=image_other", State.QUEUED, "no_media"),
        ("image.gemini", "cut=after_charge", State.HELD, "unknown_outcome"),
    ],
)
def test_what_gives_no_picture_ends_as_its_class_says(
    ports: Ports, operation: str, tag: str, state: State, told: str
) -> None:
    job = ended(ports, operation, tag, "render=plain", max_attempts=2)

    assert (job.state, rows.error(ports, job)["class"]) == (state, told)


@pytest.mark.parametrize("operation", ["image.chat", "image.gemini"])
def test_a_stream_that_broke_off_after_its_picture_is_held_for_a_person(ports: Ports, operation: str) -> None:
    job = ended(ports, operation, "variant=unfinished", "render=plain", params={"stream": True})

    assert job.state is State.HELD
    assert rows.error(ports, job)["code"] == "broken_stream"


def test_a_mask_of_another_size_fails_the_job_unpaid(ports: Ports, sandbox: SandboxServer) -> None:
    inputs = {"images": [data_url(32)], "mask": [data_url(16, "RGBA")]}

    job = ended(ports, "image.edit", inputs=inputs)

    assert job.state is State.FAILED
    assert "they have 16x16 and 32x32 pixels" in rows.error(ports, job)["message"]
    assert paid(sandbox, ports, job) == []
