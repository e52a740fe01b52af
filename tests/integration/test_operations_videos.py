"""Films, from a dispatched job to a stored film: created, remixed, and made in a conversation."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from typing import Any

import av
import pytest
from PIL import Image
from sqlmodel import col, func, update

from shared import policy
from shared.lifecycle import Cause, State
from shared.tables import Artifact, Job, JobRequest
from tests import rows
from tests.sandbox import SandboxServer
from workers import poll, store, submit
from workers.ports import Ports

MODELS = {"video.create": "sora-2", "video.remix": "sora-2", "video.chat": "sora-2"}


def picture(size: tuple[int, int] = (320, 180)) -> str:
    """An orange picture as a data URL."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "orange").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def submitted(ports: Ports, operation: str, *tags: str, **columns: Any) -> Job:
    """A job of this operation after its paid call."""
    prompt = rows.prompt("render=plain", *tags) if "prompt" not in columns else columns.pop("prompt")
    job = rows.make(ports, **{"model": MODELS[operation], "operation": operation, "prompt": prompt, **columns})
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def look(ports: Ports, job: Job) -> Job:
    """The row after one more look at its task."""
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
    poll.poll(ports)
    return rows.read(ports, job)


def ended(ports: Ports, operation: str, *tags: str, **columns: Any) -> Job:
    """A job of this operation after its paid call, its looks and its storing."""
    job = submitted(ports, operation, *tags, **columns)
    for _ in range(4):
        if job.state is State.RUNNING:
            job = look(ports, job)
    if job.state is State.STORING and job.claimed_by is None:
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
        store.store([job.id], ports)
    return rows.read(ports, job)


def stored(ports: Ports, job: Job) -> Artifact:
    """The one film of a job that has succeeded."""
    assert job.state is State.SUCCEEDED, job.state_reason
    (artifact,) = rows.artifacts(ports, job)
    assert (artifact.kind, artifact.content_type) == ("video", "video/mp4")
    return artifact


def content_of(ports: Ports, artifact: Artifact) -> bytes:
    with ports.store.open(artifact.object_key) as opened:
        return b"".join(opened)


def first_pixel(content: bytes) -> tuple[int, int, int]:
    """A color of the first frame, above its caption."""
    with av.open(io.BytesIO(content), "r") as opened:
        image = next(iter(opened.decode(video=0))).to_image()  # type: ignore[no-untyped-call]
    pixel = image.getpixel((image.width // 2, image.height // 6))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def paid(sandbox: SandboxServer, ports: Ports, job: Job) -> list[str]:
    with ports.transaction() as session:
        asked = session.get(JobRequest, job.id)
        assert asked is not None
    return [entry["kind"] for entry in sandbox.ledger(asked.prompt.split(" [[")[0])]


# Created.


@pytest.mark.parametrize("encoding", [None, "form", "json"])
def test_a_film_from_words_has_the_length_and_size_asked_for(
    ports: Ports, sandbox: SandboxServer, encoding: str | None
) -> None:
    asked = {"seconds": 4, "size": "1280x720", **({"encoding": encoding} if encoding else {})}

    job = ended(ports, "video.create", prompt=rows.prompt(), params=asked)

    artifact = stored(ports, job)
    assert (artifact.width, artifact.height) == (1280, 720)
    assert artifact.duration_seconds == pytest.approx(4, abs=0.1)
    assert rows.result(ports, job).result == {"seconds": "4", "size": "1280x720"}
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.ACCEPTED, Cause.PRODUCED, Cause.STORED]
    assert paid(sandbox, ports, job) == ["video.create"]


@pytest.mark.parametrize("params", [{}, {"encoding": "json"}, {"encoding": "json", "images_in": "input_reference"}])
def test_a_film_begins_with_the_picture_that_came_in(ports: Ports, params: dict[str, Any]) -> None:
    asked = {"seconds": 4, "size": "1280x720", **params}

    job = ended(ports, "video.create", prompt=rows.prompt(), params=asked, inputs={"images": [picture()]})

    assert first_pixel(content_of(ports, stored(ports, job))) == pytest.approx((255, 165, 0), abs=12)


def test_an_official_veo_takes_all_of_its_fields(ports: Ports) -> None:
    asked = {
        "seconds": 8,
        "aspect_ratio": "9:16",
        "resolution": "720p",
        "negative_prompt": "fog",
        "seed": 7,
        "person_generation": "allow_adult",
        "metadata": {"cameraMotion": "orbit"},
    }

    job = ended(ports, "video.create", model="veo-3.1-generate-preview", params=asked)

    stored(ports, job)


@pytest.mark.parametrize(
    "variant",
    [
        *("content", "video_url", "late_url", "metadata_url", "unified", "detail", "output_list", "videos_list"),
        *("data_wrapper", "fail_reason_url", "native", "data_uri", "content_json", "live", "sibling"),
    ],
)
def test_a_film_is_found_wherever_a_build_says_that_it_is(ports: Ports, variant: str) -> None:
    job = ended(ports, "video.create", f"variant={variant}")

    stored(ports, job)


@pytest.mark.parametrize("create", ["bare", "task_id", "wrapped", "data_string", "created"])
@pytest.mark.parametrize("id_form", ["task", "video", "colon", "long", "uuid"])
def test_a_film_is_looked_for_by_whatever_id_its_create_gave(ports: Ports, create: str, id_form: str) -> None:
    job = ended(ports, "video.create", f"create={create} id_form={id_form}")

    stored(ports, job)


@pytest.mark.parametrize("words", ["upper", "lower", "pending", "submitted", "mixed", "unknown", "blank"])
def test_a_film_is_done_in_every_vocabulary(ports: Ports, words: str) -> None:
    job = ended(ports, "video.create", f"words={words}")

    stored(ports, job)


@pytest.mark.parametrize("words", ["stock", "upper", "submitted", "unknown", "blank"])
@pytest.mark.parametrize("progress", ["int", "percent", "string", "float", "blank", "text", "none"])
def test_a_film_that_is_not_done_runs_whatever_it_is_called(ports: Ports, words: str, progress: str) -> None:
    job = look(ports, submitted(ports, "video.create", f"stuck=true words={words} progress={progress}"))

    assert (job.state, job.misses) == (State.RUNNING, 0)
    assert job.progress == (42 if progress in ("int", "percent", "string", "float") else 0)


def test_a_gateway_that_lies_once_about_a_film_is_not_believed(ports: Ports, sandbox: SandboxServer) -> None:
    job = ended(ports, "video.create", "lying=true")

    stored(ports, job)
    assert paid(sandbox, ports, job) == ["video.create"]


@pytest.mark.parametrize(
    ("task", "state", "error_class"),
    [
        ("fail", State.QUEUED, "task_failed"),
        ("fail_bare", State.QUEUED, "task_failed"),
        ("fail_reason", State.QUEUED, "task_failed"),
        ("cancelled", State.QUEUED, "task_failed"),
        ("moderation", State.FAILED, "content_policy"),
    ],
)
def test_a_film_that_failed_says_why(ports: Ports, task: str, state: State, error_class: str) -> None:
    job = ended(ports, "video.create", f"task={task}")

    assert job.state is state
    assert rows.error(ports, job)["class"] == error_class


@pytest.mark.parametrize("content", ["truncated", "cut_short"])
@pytest.mark.parametrize("variant", ["content", "video_url"])
def test_a_film_that_was_cut_once_is_whole_in_the_end(ports: Ports, content: str, variant: str) -> None:
    job = ended(ports, "video.create", f"variant={variant} content={content} content_times=1")

    artifact = stored(ports, job)
    whole = content_of(ports, artifact)
    assert artifact.size_bytes == len(whole)
    assert artifact.duration_seconds == pytest.approx(1, abs=0.1)


def test_a_film_that_is_always_cut_is_no_artifact(ports: Ports) -> None:
    job = ended(ports, "video.create", "content=cut_short")

    assert job.state is State.STORING
    assert "cut MP4" in (job.state_reason or "")
    assert rows.artifacts(ports, job) == []


# At two routes.


def test_a_film_that_one_route_does_not_know_is_found_at_the_other(ports: Ports, sandbox: SandboxServer) -> None:
    job = submitted(ports, "video.create", "query=generations")

    first, second = look(ports, job), look(ports, job)

    assert (first.state, first.misses, first.vanished) == (State.RUNNING, 1, 1)
    assert second.state is State.STORING
    assert paid(sandbox, ports, job) == ["video.create"]


def test_a_film_that_runs_at_the_other_route_is_never_taken_for_vanished(ports: Ports) -> None:
    job = submitted(ports, "video.create", "query=generations stuck=true")

    seen = [look(ports, job) for _ in range(2 * policy.VANISHED_MOST)]

    assert {row.state for row in seen} == {State.RUNNING}
    assert [row.vanished for row in seen] == [1, 0] * policy.VANISHED_MOST


def test_a_film_is_believed_to_be_missing_once_both_routes_have_said_so(ports: Ports, sandbox: SandboxServer) -> None:
    job = submitted(ports, "video.create")
    with ports.transaction() as session:
        old = {"upstream_task_id": "task_nobody_knows", "moved_at": func.now() - timedelta(minutes=2)}
        session.execute(update(Job).where(col(Job.id) == job.id).values(old))
    before = sandbox.requests()["calls"]

    states = [look(ports, job).state for _ in range(policy.VANISHED_MOST)]

    after = sandbox.requests()["calls"]
    assert states == [State.RUNNING, State.RUNNING, State.HELD]
    assert rows.error(ports, job)["code"] == "upstream_vanished"
    asked = [after.get(route, 0) - before.get(route, 0) for route in ("videos.fetch", "videos.generations")]
    assert asked == [2, 1]


def test_trouble_at_the_first_route_is_waited_out_at_the_other(ports: Ports) -> None:
    job = submitted(ports, "video.create")
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(misses=1))

    assert look(ports, job).state is State.STORING


# Remixed.


def test_a_remix_is_a_film_like_its_parent(ports: Ports, sandbox: SandboxServer) -> None:
    parent = ended(ports, "video.create", prompt=rows.prompt(), params={"seconds": 4, "size": "1280x720"})
    before = stored(ports, parent)

    job = ended(ports, "video.remix", prompt=rows.prompt(), params={"task_id": parent.upstream_task_id})

    artifact = stored(ports, job)
    assert (artifact.width, artifact.height) == (before.width, before.height)
    assert artifact.duration_seconds == before.duration_seconds
    assert artifact.sha256 != before.sha256
    assert rows.result(ports, job).result == {
        "seconds": "4",
        "size": "1280x720",
        "remixed_from_video_id": parent.upstream_task_id,
    }
    assert job.upstream_task_id != parent.upstream_task_id
    assert paid(sandbox, ports, job) == ["video.remix"]


def test_a_remix_of_an_id_with_a_colon_finds_its_film(ports: Ports) -> None:
    parent = ended(ports, "video.create", "id_form=colon")

    job = ended(ports, "video.remix", "id_form=colon", params={"task_id": parent.upstream_task_id})

    stored(ports, job)


def test_a_remix_of_nothing_fails_at_once_and_costs_nothing(ports: Ports, sandbox: SandboxServer) -> None:
    job = ended(ports, "video.remix", params={"task_id": "task_x"})

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "task_origin_not_exist"
    assert paid(sandbox, ports, job) == []


# In a conversation.


@pytest.mark.parametrize("stream", [None, True, False])
def test_a_film_comes_out_of_a_conversation(ports: Ports, sandbox: SandboxServer, stream: bool | None) -> None:
    asked = {"seconds": 2, "orientation": "portrait", **({} if stream is None else {"stream": stream})}

    job = ended(ports, "video.chat", prompt=rows.prompt(), params=asked)

    artifact = stored(ports, job)
    assert (artifact.width, artifact.height) == (720, 1280)
    assert artifact.duration_seconds == pytest.approx(2, abs=0.1)
    result = rows.result(ports, job).result or {}
    assert (result["delivered"], result["requested"]) == (1, 1)
    assert result["task_id"].startswith("task_")
    assert "进度 12..31..58..76.." in result["text"]
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert paid(sandbox, ports, job) == ["video.chat"]


@pytest.mark.parametrize("images_as", ["image_url", "file_url"])
def test_a_film_of_a_conversation_begins_with_the_picture_that_came_in(ports: Ports, images_as: str) -> None:
    asked = {"seconds": 1, "images_as": images_as}

    job = ended(
        ports,
        "video.chat",
        model="veo3-pro-frames",
        prompt=rows.prompt(),
        params=asked,
        inputs={"images": [picture()]},
    )

    assert first_pixel(content_of(ports, stored(ports, job))) == pytest.approx((255, 165, 0), abs=12)


@pytest.mark.parametrize(
    "variant",
    [
        *("log", "english", "link", "bare_url", "video_tag", "html_link", "no_extension", "data_uri", "retried"),
        *("no_done", "unfinished"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_film_of_a_conversation_is_found_wherever_its_log_says(ports: Ports, variant: str, stream: bool) -> None:
    job = ended(ports, "video.chat", f"variant={variant}", params={"stream": stream})

    stored(ports, job)


def test_veo_is_understood_too(ports: Ports) -> None:
    job = ended(ports, "video.chat", model="veo3.1")

    stored(ports, job)
    assert (rows.result(ports, job).result or {})["task_id"].startswith("veo3.1:")


def test_several_films_of_one_conversation_are_each_an_artifact(ports: Ports) -> None:
    job = ended(ports, "video.chat", prompt=rows.prompt(), model="veo3", params={"n": 2, "seconds": 1})

    assert job.state is State.SUCCEEDED, job.state_reason
    first, second = rows.artifacts(ports, job)
    assert first.sha256 != second.sha256
    assert (rows.result(ports, job).result or {})["delivered"] == 2


def test_a_conversation_goes_on_with_what_was_said(ports: Ports, sandbox: SandboxServer) -> None:
    first = ended(ports, "video.chat")
    said = (rows.result(ports, first).result or {})["text"]
    prompt = rows.prompt("render=plain")
    turns = [
        {"role": "user", "content": "a boat"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": prompt},
    ]

    job = ended(ports, "video.chat", prompt="", params={"messages": turns})

    stored(ports, job)
    before, after = ((rows.result(ports, one).outputs or [])[0]["sources"] for one in (first, job))
    assert before != after
    assert len(sandbox.ledger(prompt.split(" [[")[0])) == 1


@pytest.mark.parametrize(
    ("tag", "state", "error_class"),
    [
        ("variant=failed", State.QUEUED, "no_media"),
        ("variant=failed_load", State.QUEUED, "no_media"),
        ("variant=refusal", State.QUEUED, "no_media"),
        ("variant=failed_moderation", State.FAILED, "content_policy"),
        ("variant=content_filter", State.FAILED, "content_policy"),
        ("variant=no_link", State.HELD, "unknown_outcome"),
        ("variant=empty", State.HELD, "unknown_outcome"),
        ("variant=broken", State.HELD, "unknown_outcome"),
        ("variant=broken_done", State.HELD, "unknown_outcome"),
        ("variant=error_event", State.HELD, "unknown_outcome"),
        ("variant=error200", State.HELD, "unknown_outcome"),
        ("variant=html200", State.HELD, "unknown_outcome"),
        ("cut=mid_body", State.HELD, "unknown_outcome"),
        ("cut=after_charge", State.HELD, "unknown_outcome"),
        ("fail_after=524", State.HELD, "unknown_outcome"),
    ],
)
def test_a_conversation_that_ends_without_a_film_was_paid_for(
    ports: Ports, sandbox: SandboxServer, tag: str, state: State, error_class: str
) -> None:
    job = ended(ports, "video.chat", tag)

    assert job.state is state
    assert rows.error(ports, job)["class"] == error_class
    assert rows.artifacts(ports, job) == []
    assert paid(sandbox, ports, job) == ["video.chat"]


def test_a_provider_with_too_much_to_do_is_asked_again_in_minutes(ports: Ports) -> None:
    job = ended(ports, "video.chat", "variant=failed_load")

    assert rows.is_due_in(ports, job, 120)


@pytest.mark.parametrize(
    ("tag", "state"), [("fail=429", State.QUEUED), ("fail=503", State.QUEUED), ("fail=400", State.FAILED)]
)
def test_what_the_gateway_refuses_before_it_begins_costs_nothing(
    ports: Ports, sandbox: SandboxServer, tag: str, state: State
) -> None:
    job = ended(ports, "video.chat", tag)

    assert job.state is state
    assert paid(sandbox, ports, job) == []


@pytest.mark.parametrize("operation", ["video.create", "video.chat"])
def test_a_model_that_films_pictures_is_not_paid_for_without_any(
    ports: Ports, sandbox: SandboxServer, operation: str
) -> None:
    job = ended(ports, operation, model="veo3-pro-frames")

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "input_refused"
    assert paid(sandbox, ports, job) == []
