"""Follow-ups over HTTP: a new job from a result, in its lane, or a conflict that says what the result offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from api.main import create_app
from api.ports import AppPorts
from shared.catalog.entry import Entry
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import Artifact, Job, Scope
from tests import factories
from tests.integration.api.conftest import Team, served
from tests.integration.api.said import pointers, problem

TASK = "1772611200345018"
HASH = "7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
GRID = [
    {"custom_id": f"MJ::JOB::upsample::2::{HASH}", "label": "U2"},
    {"custom_id": f"MJ::JOB::variation::2::{HASH}", "label": "V2"},
]
SINGLE = [
    {"custom_id": f"MJ::JOB::high_variation::1::{HASH}::SOLO", "label": "Vary (Strong)"},
    {"custom_id": f"MJ::CustomZoom::{HASH}", "label": "Custom Zoom"},
    {"custom_id": f"MJ::Inpaint::1::{HASH}::SOLO", "label": "Vary (Region)"},
]


@dataclass(frozen=True)
class Made:
    """A finished job, and what it has."""

    job: Job
    artifacts: list[Artifact]

    @property
    def url(self) -> str:
        return f"/v1/jobs/{self.job.id}/actions"


@pytest.fixture
def parent(team: Team, rows: Transaction) -> Callable[..., Made]:
    def parent(operation: str, buttons: Any = None, kind: str = "image", count: int = 1, **columns: Any) -> Made:
        values = {"state": State.SUCCEEDED, "upstream_task_id": TASK, "priority": 7, **columns}
        with rows() as session:
            job = factories.job(session, operation=operation, project_id=team.project_id, **values)
            factories.result(session, job, result={"buttons": buttons} if buttons else {})
            made = [factories.artifact(session, job, index=index, kind=kind) for index in range(count)]
        return Made(job, made)

    return parent


@contextmanager
def api_with(app_ports: AppPorts, team: Team, catalog: Catalog) -> Iterator[httpx.Client]:
    """An API over the same database, with another catalog."""
    ports = replace(app_ports, catalog=catalog)
    with served(create_app(ports.settings, ports)) as url:
        yield team.client(Scope.WRITE, url=url)


def act(api: httpx.Client, of: Made, **said: Any) -> dict[str, Any]:
    """The new job."""
    response = api.post(of.url, json=said)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/v1/jobs/{body['id']}"
    assert body["parent_id"] == of.job.id
    return body


def lane_of(rows: Transaction, job_id: str) -> str:
    with rows() as session:
        return session.get_one(Job, job_id).lane


@pytest.fixture
def mask(team: Team, rows: Transaction) -> str:
    with rows() as session:
        return factories.asset(session, team.project_id).id


# Midjourney.


def test_a_region_is_painted_again_behind_its_mask(
    api: httpx.Client, parent: Callable[..., Made], mask: str, rows: Transaction
) -> None:
    of = parent("midjourney.action", SINGLE)

    body = act(api, of, action="inpaint", prompt="a red boat", inputs={"mask": mask})

    assert (body["operation"], body["prompt"]) == ("midjourney.action", "a red boat")
    assert body["params"] == {"task_id": TASK, "custom_id": f"MJ::Inpaint::1::{HASH}::SOLO"}
    assert body["inputs"] == {"mask": [mask]}
    assert body["priority"] == 7
    assert lane_of(rows, body["id"]) == of.job.lane


def test_a_zoom_by_another_amount_presses_custom_zoom(api: httpx.Client, parent: Callable[..., Made]) -> None:
    body = act(api, parent("midjourney.action", SINGLE), action="zoom", prompt="a bay --zoom 1.4")

    assert body["params"]["custom_id"] == f"MJ::CustomZoom::{HASH}"


@pytest.mark.parametrize(
    ("buttons", "said"),
    [
        (GRID, {"action": "remix", "index": 2}),
        (SINGLE, {"action": "remix", "direction": "strong"}),
        (GRID, {"action": "variation", "index": 2}),
    ],
)
def test_another_prompt_is_drawn_and_not_dropped(
    api: httpx.Client, parent: Callable[..., Made], buttons: Any, said: dict[str, Any]
) -> None:
    body = act(api, parent("midjourney.imagine", buttons), prompt="at night", **said)

    assert body["prompt"] == "at night"
    assert body["params"]["enable_remix"] is True
    assert "variation" in body["params"]["custom_id"]


@pytest.mark.parametrize(
    ("buttons", "said", "pointer"),
    [
        (SINGLE, {"action": "inpaint"}, "/inputs/mask"),
        (SINGLE, {"custom_id": f"MJ::Inpaint::1::{HASH}::SOLO"}, "/inputs/mask"),
        (SINGLE, {"custom_id": f"MJ::CustomZoom::{HASH}"}, "/prompt"),
        (GRID, {"action": "remix", "index": 2}, "/prompt"),
        (SINGLE, {"action": "inpaint", "inputs": {"mask": "asset_01k8f0t2e5ecvs8k6a9w3r7bhd"}}, "/inputs/mask/0"),
        (SINGLE, {"action": "inpaint", "inputs": {"mask": "http://10.0.0.1/x.png"}}, "/inputs/mask/0"),
        (SINGLE, {"action": "variation", "direction": "strong", "inputs": {"images": "asset_x"}}, "/inputs/images"),
    ],
)
def test_what_a_window_would_want_is_asked_for_before_anything_is_made(
    api: httpx.Client, parent: Callable[..., Made], buttons: Any, said: dict[str, Any], pointer: str
) -> None:
    response = api.post(parent("midjourney.action", buttons).url, json=said)

    problem(response, 400, "invalid_request")
    assert pointers(response) == [pointer]


def test_a_mask_must_be_a_picture_of_this_project(
    api: httpx.Client, parent: Callable[..., Made], strangers: Team, rows: Transaction
) -> None:
    with rows() as session:
        foreign = factories.asset(session, strangers.project_id).id
    response = api.post(
        parent("midjourney.action", SINGLE).url, json={"action": "inpaint", "inputs": {"mask": foreign}}
    )

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/inputs/mask/0"]


def test_a_single_picture_is_animated_at_the_price_of_films(
    api: httpx.Client, parent: Callable[..., Made], rows: Transaction
) -> None:
    of = parent("midjourney.action", SINGLE, model="midjourney", params={"mode": "relax"})

    body = act(api, of, action="animate", prompt="the fog drifts", params={"motion": "high"})

    assert (body["operation"], body["model"]) == ("midjourney.video", "midjourney-video")
    assert body["params"] == {"mode": "relax", "motion": "high"}
    assert body["inputs"] == {"images": [of.artifacts[0].id]}
    assert body["cost"]["estimated"] == "0.80"
    assert lane_of(rows, body["id"]) == of.job.lane


def test_a_film_of_midjourneys_goes_on(api: httpx.Client, parent: Callable[..., Made]) -> None:
    of = parent("midjourney.video", kind="video", count=4, model="midjourney-video")

    body = act(api, of, action="animate", index=3)

    assert body["params"] == {"task_id": TASK, "index": 2}
    assert (body["model"], body["inputs"]) == ("midjourney-video", {})


def test_a_model_that_no_catalog_knows_stays_itself(api: httpx.Client, parent: Callable[..., Made]) -> None:
    of = parent("midjourney.action", SINGLE, model="my-own-mj")

    assert act(api, of, action="animate")["model"] == "my-own-mj"
    assert act(api, of, action="variation")["model"] == "my-own-mj"


def test_a_grid_is_not_animated_and_the_conflict_says_what_it_offers(
    api: httpx.Client, parent: Callable[..., Made]
) -> None:
    body = problem(api.post(parent("midjourney.imagine", GRID).url, json={"action": "animate"}), 409, "conflict")

    assert "upscale one of them first" in body["detail"]
    assert all(button["custom_id"] in body["detail"] for button in GRID)


# Sora.


def test_a_film_is_remixed_by_another_prompt(api: httpx.Client, parent: Callable[..., Made], rows: Transaction) -> None:
    of = parent("video.create", kind="video", upstream_task_id="video_1")

    body = act(api, of, action="remix", prompt="the same at night")

    assert (body["operation"], body["model"], body["prompt"]) == ("video.remix", "sora-2", "the same at night")
    assert body["params"] == {"task_id": "video_1"}
    assert lane_of(rows, body["id"]) == of.job.lane


def test_a_darkroom_without_remixes_says_so(app_ports: AppPorts, team: Team, parent: Callable[..., Made]) -> None:
    built_in = Catalog.built_in()
    others = {name: one for name, one in built_in.operations.items() if name != "video.remix"}
    of = parent("video.create", kind="video")
    with api_with(app_ports, team, replace(built_in, operations=others)) as api:
        body = problem(api.post(of.url, json={"action": "remix", "prompt": "at night"}), 409, "conflict")

    assert "video.remix" in body["detail"]


def test_a_film_offers_nothing_but_a_remix(api: httpx.Client, parent: Callable[..., Made]) -> None:
    of = parent("video.create", kind="video")

    body = problem(api.post(of.url, json={"action": "upscale"}), 409, "conflict")
    wrong = api.post(of.url, json={"action": "remix"})

    assert body["detail"].endswith("it offers remix")
    problem(wrong, 400, "invalid_request")
    assert pointers(wrong) == ["/prompt"]


# Pictures of other models.


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("nano-banana", "image.edit"),
        ("gpt-image-1", "image.edit"),
        ("doubao-seedream-4-0-250828", "image.generate"),  # has no edits route
        ("brand-new", "image.edit"),
    ],
)
def test_a_picture_is_changed_by_what_its_model_does_with_pictures(
    api: httpx.Client, parent: Callable[..., Made], rows: Transaction, model: str, operation: str
) -> None:
    of = parent("image.generate", model=model, upstream_task_id=None, count=2)

    body = act(api, of, action="variation", index=2, prompt="at night")

    assert (body["operation"], body["model"], body["prompt"]) == (operation, model, "at night")
    assert body["inputs"] == {"images": [of.artifacts[1].id]}
    assert lane_of(rows, body["id"]) == of.job.lane


def test_one_part_of_a_picture_is_changed_behind_a_mask(
    api: httpx.Client, parent: Callable[..., Made], mask: str
) -> None:
    of = parent("image.edit", model="gpt-image-1", upstream_task_id=None)

    body = act(api, of, action="inpaint", prompt="a red boat", inputs={"mask": mask}, params={"quality": "low"})

    assert body["inputs"] == {"mask": [mask], "images": [of.artifacts[0].id]}
    assert body["params"] == {"quality": "low"}


def test_a_model_that_takes_no_mask_says_so(api: httpx.Client, parent: Callable[..., Made], mask: str) -> None:
    of = parent("image.generate", model="doubao-seedream-4-0-250828", upstream_task_id=None)

    response = api.post(of.url, json={"action": "inpaint", "prompt": "a red boat", "inputs": {"mask": mask}})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/inputs/mask"]


@pytest.mark.parametrize("said", [{"action": "reroll"}, {"action": "pan", "direction": "left"}, {"custom_id": "MJ::x"}])
def test_a_picture_offers_variation_remix_and_inpaint(
    api: httpx.Client, parent: Callable[..., Made], said: dict[str, Any]
) -> None:
    of = parent("image.generate", upstream_task_id=None)

    body = problem(api.post(of.url, json=said), 409, "conflict")

    assert body["detail"].endswith("it offers variation, remix, inpaint")


# All of them.


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED, State.HELD])
@pytest.mark.parametrize("operation", ["midjourney.imagine", "video.create", "image.generate"])
def test_only_a_result_that_is_there_is_followed_up(
    api: httpx.Client, parent: Callable[..., Made], operation: str, state: State
) -> None:
    of = parent(operation, GRID, state=state)

    body = problem(api.post(of.url, json={"action": "remix", "index": 2, "prompt": "at night"}), 409, "conflict")

    assert f"the job is {state}" in body["detail"]


def test_the_artifacts_of_an_earlier_attempt_are_not_its_result(
    api: httpx.Client, parent: Callable[..., Made], rows: Transaction
) -> None:
    of = parent("image.generate", model="nano-banana", upstream_task_id=None)
    with rows() as session:
        session.get_one(Job, of.job.id).attempt = 2
        session.flush()

    body = problem(api.post(of.url, json={"action": "variation", "prompt": "at night"}), 409, "conflict")

    assert body["detail"].endswith("it offers nothing")


def test_what_has_no_follow_ups_says_whose_have(api: httpx.Client, parent: Callable[..., Made]) -> None:
    of = parent("audio.speech", kind="audio", model="tts-1", upstream_task_id=None)

    body = problem(api.post(of.url, json={"action": "reroll"}), 409, "conflict")

    assert "those of midjourney and image and video have" in body["detail"]


def test_a_strangers_result_is_not_there(strangers: Team, parent: Callable[..., Made]) -> None:
    of = parent("midjourney.imagine", GRID)

    problem(strangers.client(Scope.WRITE).post(of.url, json={"action": "upscale", "index": 2}), 404, "not_found")


def test_no_follow_up_names_an_entry_of_another_lane(
    app_ports: AppPorts, team: Team, parent: Callable[..., Made]
) -> None:
    """An operator's own Midjourney, at another credential, animates there, too."""
    built_in = Catalog.built_in()
    mine = Entry(title="Mine", operation="midjourney.imagine", lane="other")
    of = parent("midjourney.action", SINGLE, model="mine")
    with api_with(app_ports, team, replace(built_in, models={**built_in.models, "mine": mine})) as api:
        body = act(api, of, action="animate")

    assert body["model"] == "mine"
