"""Every Midjourney operation from a dispatched job to what it gives: real database, real S3, real sandbox gateway."""

from __future__ import annotations

import base64
import io
from typing import Any, get_args

import pytest
from PIL import Image
from sqlalchemy import func
from sqlmodel import col, update

from deploy.sandbox.behaviour import Behaviour
from shared.lifecycle import Cause, State
from shared.tables import Job
from tests import rows
from tests.sandbox import SandboxServer
from workers import poll, store, submit
from workers.ports import Ports

ENDS = (State.SUCCEEDED, State.FAILED, State.HELD, State.QUEUED)
PLAIN = "render=plain"


def png(color: str = "orange", size: tuple[int, int] = (64, 48)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


PICTURE, OTHER, MASK = png(), png("teal"), png("white", (256, 144))


def begun(ports: Ports, operation: str, **columns: Any) -> Job:
    """A job after its paid call."""
    asked = {"operation": f"midjourney.{operation}", "model": "midjourney", "prompt": rows.prompt(PLAIN), **columns}
    job = rows.make(ports, **asked)
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def ended(ports: Ports, operation: str, rounds: int = 8, **columns: Any) -> Job:
    """A job once it is over, held, or queued again, with every wait cut short."""
    job = begun(ports, operation, **columns)
    for _ in range(rounds):
        if job.state in ENDS:
            return job
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
        poll.poll(ports)
        store.store([job.id], ports)
        job = rows.read(ports, job)
    assert job.state in ENDS, f"still {job.state} after {rounds} rounds: {job.state_reason}"
    return job


def done(ports: Ports, operation: str, **columns: Any) -> Job:
    job = ended(ports, operation, **columns)
    assert job.state is State.SUCCEEDED, job.state_reason
    return job


def result(ports: Ports, job: Job) -> dict[str, Any]:
    return dict(rows.result(ports, job).result or {})


def kinds(ports: Ports, job: Job) -> list[str]:
    return [artifact.kind for artifact in rows.artifacts(ports, job)]


def button(ports: Ports, job: Job, label: str) -> dict[str, Any]:
    """What presses a button of a finished job."""
    offered = result(ports, job)["buttons"]
    found = next(one["custom_id"] for one in offered if label in (one.get("label"), one.get("emoji")))
    return {"task_id": job.upstream_task_id, "custom_id": found}


def paid(sandbox: SandboxServer, job: Job) -> list[tuple[str, str]]:
    """Kind and price of what its upstream task cost."""
    found = [one for one in sandbox.ledger() if one["task_id"] == job.upstream_task_id]
    return [(one["kind"].removeprefix("midjourney."), one["price_usd"]) for one in found]


def calls(sandbox: SandboxServer, route: str) -> int:
    return int(sandbox.requests()["calls"].get(route, 0))


def single(ports: Ports, more: str = "") -> Job:
    """A picture alone, as below U1."""
    grid = done(ports, "imagine", prompt=rows.prompt(PLAIN) + more)
    return done(ports, "action", params=button(ports, grid, "U1"))


# From nothing to a result.


@pytest.mark.parametrize(
    ("operation", "columns", "gives", "usd"),
    [
        ("imagine", {"inputs": {"images": [PICTURE, OTHER]}}, ["image"], "0.1"),
        ("blend", {"inputs": {"images": [PICTURE, OTHER]}, "params": {"dimensions": "PORTRAIT"}}, ["image"], "0.1"),
        ("describe", {"inputs": {"images": [PICTURE]}, "prompt": ""}, [], "0.05"),
        ("shorten", {}, [], "0.1"),
        ("swap_face", {"inputs": {"source": [PICTURE], "target": [OTHER]}, "prompt": ""}, ["image"], "0.05"),
        ("video", {"inputs": {"images": [PICTURE]}, "params": {"motion": "high"}}, ["video"] * 4, "0.8"),
        (
            "video",
            {"inputs": {"images": [PICTURE], "end_image": [OTHER]}, "params": {"batch_size": 1}},
            ["video"],
            "0.8",
        ),
    ],
)
@pytest.mark.parametrize("mode", [None, "relax"])
def test_what_begins_something_new_ends_with_what_it_gives(
    ports: Ports,
    sandbox: SandboxServer,
    operation: str,
    columns: dict[str, Any],
    gives: list[str],
    usd: str,
    mode: str | None,
) -> None:
    params = {**columns.get("params", {}), **({"mode": mode} if mode else {})}

    job = done(ports, operation, **{**columns, "params": params})

    assert kinds(ports, job) == gives
    assert paid(sandbox, job) == [(operation, usd)]
    assert result(ports, job)["task_id"] == job.upstream_task_id
    assert job.attempt == 1
    assert sandbox.requests()["arrivals"][-1]["path"].startswith("/mj-relax/mj/" if mode else "/mj/")


@pytest.mark.parametrize("place", get_args(Behaviour.model_fields["text_place"].annotation))
def test_a_shortened_prompt_is_found_wherever_it_is(ports: Ports, place: str) -> None:
    job = done(ports, "shorten", prompt=rows.prompt(f"text_place={place}", "late_image=1"))

    found = result(ports, job)
    assert len(found["prompts"]) == 3
    assert found["text"].startswith("## Important tokens")


def test_a_picture_is_described_in_four_prompts_without_links(ports: Ports) -> None:
    found = result(ports, done(ports, "describe", inputs={"images": [PICTURE]}, prompt=""))

    assert len(found["prompts"]) == 4
    assert not any("](" in prompt or "\ufe0f" in prompt for prompt in found["prompts"])


@pytest.mark.parametrize("place", get_args(Behaviour.model_fields["films"].annotation))
def test_films_are_found_wherever_they_are(ports: Ports, place: str) -> None:
    job = done(
        ports, "video", inputs={"images": [PICTURE]}, prompt=rows.prompt(PLAIN, f"films={place}", "late_image=1")
    )

    assert set(kinds(ports, job)) == {"video"}
    assert len(kinds(ports, job)) == (1 if place in ("single", "picture", "proxy") else 4)


def test_a_film_goes_on(ports: Ports, sandbox: SandboxServer) -> None:
    first = done(ports, "video", inputs={"images": [PICTURE]})

    longer = done(ports, "video", params={"task_id": first.upstream_task_id, "index": 3}, prompt=rows.prompt(PLAIN))

    assert kinds(ports, longer) == ["video"]
    assert paid(sandbox, longer) == [("video", "0.8")]


@pytest.mark.parametrize(
    ("operation", "columns"),
    [
        ("video", {}),
        ("video", {"inputs": {"images": [PICTURE]}, "params": {"task_id": "1"}}),
        ("swap_face", {"inputs": {"source": [PICTURE], "target": [PICTURE]}}),
        ("action", {"params": {"task_id": "1", "custom_id": "MJ::Inpaint::1::x::SOLO"}}),
        ("action", {"params": {"task_id": "1", "custom_id": "MJ::CustomZoom::x"}}),
    ],
)
def test_what_cannot_be_asked_for_is_told_before_anything_is_sent(
    ports: Ports, sandbox: SandboxServer, operation: str, columns: dict[str, Any]
) -> None:
    before = len(sandbox.requests()["arrivals"])

    job = ended(ports, operation, **columns)

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "input_refused"
    assert len(sandbox.requests()["arrivals"]) == before


# From a grid, by button and by number.


@pytest.mark.parametrize(
    ("operation", "params", "kind", "usd"),
    [
        ("change", {"action": "UPSCALE", "index": 2}, "change", "0.05"),
        ("change", {"action": "REROLL"}, "change", "0.1"),
        ("simple_change", {"content": "{} U2"}, "simple_change", "0.05"),
        ("simple_change", {"content": "{} r"}, "simple_change", "0.1"),
    ],
)
def test_a_grid_is_changed_by_number(
    ports: Ports, sandbox: SandboxServer, operation: str, params: dict[str, Any], kind: str, usd: str
) -> None:
    grid = done(ports, "imagine")
    task_id = grid.upstream_task_id
    named = {name: value.format(task_id) if name == "content" else value for name, value in params.items()}

    job = done(ports, operation, params={**named, "task_id": task_id})

    assert kinds(ports, job) == ["image"]
    assert paid(sandbox, job) == [(kind, usd)]


@pytest.mark.parametrize("label", ["Upscale (Subtle)", "Vary (Strong)", "Zoom Out 2x", "⬅️"])
def test_a_button_below_a_single_picture_is_pressed(ports: Ports, sandbox: SandboxServer, label: str) -> None:
    picture = single(ports)

    job = done(ports, "action", params=button(ports, picture, label))

    assert kinds(ports, job) == ["image"]
    assert [kind for kind, _ in paid(sandbox, job)] == ["action"]


# Windows: two requests, one paid call.


@pytest.mark.parametrize(
    ("label", "prompt", "inputs"),
    [
        ("Vary (Region)", "a red boat", {"mask": [MASK]}),
        ("Vary (Region)", "", {"mask": [MASK]}),
        ("Custom Zoom", "a bay --zoom 1.8", {}),
    ],
)
@pytest.mark.parametrize("modal_id", ["same", "new"])
def test_a_window_is_filled_in_within_one_paid_call(
    ports: Ports, sandbox: SandboxServer, label: str, prompt: str, inputs: dict[str, Any], modal_id: str
) -> None:
    picture = single(ports)
    before = {route: calls(sandbox, route) for route in ("mj.action", "mj.modal")}
    words = f"{prompt} [[sandbox {PLAIN} modal_id={modal_id}]]" if prompt else ""

    job = done(ports, "action", prompt=words, params=button(ports, picture, label), inputs=inputs)

    assert kinds(ports, job) == ["image"]
    assert job.attempt == 1
    assert paid(sandbox, job) == [("modal", "0.1")]  # to open it was free
    assert {route: calls(sandbox, route) - count for route, count in before.items()} == {"mj.action": 1, "mj.modal": 1}


def test_in_remix_mode_a_variation_is_drawn_by_the_new_prompt(ports: Ports, sandbox: SandboxServer) -> None:
    grid = done(ports, "imagine", prompt=rows.prompt(PLAIN) + " [[sandbox.action remix=true]]")

    prompt = rows.prompt(PLAIN)

    job = done(ports, "action", prompt=prompt, params=button(ports, grid, "V2"))

    assert paid(sandbox, job) == [("action", "0.1"), ("modal", "0.1")]
    assert result(ports, job)["prompt_en"] == prompt


def test_a_remix_that_is_asked_for_opens_the_window_by_itself(ports: Ports, sandbox: SandboxServer) -> None:
    grid = done(ports, "imagine")
    remix = {**button(ports, grid, "V2"), "enable_remix": True}

    job = done(ports, "action", prompt=rows.prompt(PLAIN), params=remix)

    assert paid(sandbox, job) == [("action", "0.1"), ("modal", "0.1")]


def test_a_window_that_cannot_be_filled_in_just_now_is_tried_again_from_the_start_for_nothing(
    ports: Ports, sandbox: SandboxServer
) -> None:
    picture = single(ports)
    prompt = rows.prompt(PLAIN, "code=23") + " --zoom 2"
    before = len(sandbox.ledger())

    job = ended(ports, "action", prompt=prompt, params=button(ports, picture, "Custom Zoom"))

    assert (job.state, rows.causes(ports, job)[-1]) == (State.QUEUED, Cause.THROTTLED)
    assert rows.error(ports, job)["class"] == "rate_limited"
    assert len(sandbox.ledger()) == before


def test_a_window_that_was_paid_for_is_not_bought_again_unless_the_job_says_so(
    ports: Ports, sandbox: SandboxServer
) -> None:
    grid = done(ports, "imagine", prompt=rows.prompt(PLAIN) + " [[sandbox.action remix=true]]")
    before = len(sandbox.ledger())

    job = ended(ports, "action", prompt=rows.prompt("code=23"), params=button(ports, grid, "V1"))

    assert (job.state, job.attempt) == (State.HELD, 1)
    assert rows.error(ports, job)["class"] == "rate_limited"
    assert len(sandbox.ledger()) == before + 1


@pytest.mark.parametrize("where", ["before_charge", "after_charge", "mid_body"])
def test_a_window_whose_answer_was_lost_is_held(ports: Ports, where: str) -> None:
    picture = single(ports)
    prompt = rows.prompt(PLAIN, f"cut={where}") + " --zoom 2"

    job = ended(ports, "action", prompt=prompt, params=button(ports, picture, "Custom Zoom"))

    assert job.state is State.HELD
    assert rows.error(ports, job)["class"] == "unknown_outcome"


def test_a_window_that_somebody_else_opened_is_filled_in(ports: Ports, sandbox: SandboxServer) -> None:
    picture = single(ports)
    custom_id = button(ports, picture, "Vary (Region)")["custom_id"]
    with sandbox.client() as client:
        body = {"taskId": picture.upstream_task_id, "customId": custom_id}
        window_id = client.post("/mj/submit/action", json=body).json()["result"]

    job = done(ports, "modal", params={"task_id": window_id}, inputs={"mask": [MASK]})

    assert kinds(ports, job) == ["image"]
    assert paid(sandbox, job) == [("modal", "0.1")]


# Seeds.


@pytest.mark.parametrize("said", ["string", "number"])
def test_a_seed_is_told(ports: Ports, sandbox: SandboxServer, said: str) -> None:
    grid = done(ports, "imagine", prompt=rows.prompt(PLAIN, f"seed={said}"))
    before = len(sandbox.ledger())

    job = done(ports, "seed", prompt="", params={"task_id": grid.upstream_task_id})

    assert result(ports, job)["seed"].isdecimal()
    assert rows.artifacts(ports, job) == []
    assert len(sandbox.ledger()) == before


@pytest.mark.parametrize("said", ["null", "9", "4"])
def test_a_seed_that_nobody_can_tell_is_a_failure_and_not_a_question_for_a_person(ports: Ports, said: str) -> None:
    grid = done(ports, "imagine", prompt=rows.prompt(PLAIN, f"seed={said}"))

    job = ended(ports, "seed", prompt="", params={"task_id": grid.upstream_task_id}, max_attempts=1)

    assert job.state is State.FAILED


# Looking.


def test_many_tasks_of_one_kind_are_looked_at_in_one_call(ports: Ports, sandbox: SandboxServer) -> None:
    jobs = [begun(ports, "imagine") for _ in range(3)] + [begun(ports, "shorten") for _ in range(2)]
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id).in_([job.id for job in jobs])).values(due_at=func.now()))
    before = calls(sandbox, "mj.list")

    poll.poll(ports)

    assert calls(sandbox, "mj.list") == before + 2
    assert {rows.read(ports, job).state for job in jobs} == {State.STORING}


@pytest.mark.parametrize("operation", ["blend", "describe", "shorten", "swap_face", "video"])
def test_a_task_that_fails_is_a_failed_attempt_and_its_price_is_given_back(
    ports: Ports, sandbox: SandboxServer, operation: str
) -> None:
    inputs = {
        "blend": {"images": [PICTURE, OTHER]},
        "describe": {"images": [PICTURE]},
        "swap_face": {"source": [PICTURE], "target": [OTHER]},
        "video": {"images": [PICTURE]},
    }
    sandbox.script([{"match": {"route": f"mj.{operation}"}, "times": 1, "do": {"task": "fail_reason"}}])

    job = ended(ports, operation, inputs=inputs.get(operation, {}), max_attempts=1)

    assert job.state is State.FAILED
    assert rows.error(ports, job)["class"] == "task_failed"
    refunds = [one["refunded_at"] for one in sandbox.ledger() if one["task_id"] == job.upstream_task_id]
    assert len(refunds) == 1
    assert all(refunds)
