"""The one paid call of an attempt, against the sandbox gateway: what it costs, and what the row says of it."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from shared import claims, ids
from shared.figures import Figures
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import Call
from shared.gateway.request import Response
from shared.lifecycle import Cause, State
from shared.outbound import Outbound
from shared.policy import OnUnknown
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job, JobNeed, Lane
from tests import factories, rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.gateway.client import Gateway
from workers.near import Near
from workers.ports import InHand, Ports


def png(side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, "PNG")
    return file.getvalue()


DATA_URL = f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def paid(sandbox: SandboxServer, *jobs_prompt: str) -> list[str]:
    """The kinds of what was paid for these prompts."""
    return [entry["kind"] for prompt in jobs_prompt for entry in sandbox.ledger(prompt=prompt.split(" [[")[0])]


def lane_of(ports: Ports, job: Job) -> Lane:
    with ports.transaction() as session:
        lane = session.get(Lane, job.lane)
    assert lane is not None
    return lane


# What the gateway answers.


@pytest.mark.parametrize("operation", ["video.create", "midjourney.imagine"])
def test_an_accepted_task_is_running_and_is_looked_at_when_its_model_says(
    ports: Ports, sandbox: SandboxServer, operation: str
) -> None:
    prompt = rows.prompt("latency=60")
    job = rows.make(ports, operation=operation, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    first_look_s = ports.catalog.models[job.model].first_look_s
    assert (row.state, row.attempt, row.claimed_by) == (State.RUNNING, 1, None)
    assert row.upstream_task_id
    assert rows.is_due_in(ports, job, first_look_s)
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.ACCEPTED]
    assert paid(sandbox, prompt) == [operation]


@pytest.mark.parametrize("variant", ["url", "b64_json", "data_uri", "raw", "sse", "images_key"])
def test_a_picture_in_whatever_form_is_stored_at_once(ports: Ports, sandbox: SandboxServer, variant: str) -> None:
    prompt = rows.prompt(f"variant={variant}")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    (artifact,) = rows.artifacts(ports, job)
    assert (row.state, row.progress, row.claimed_by) == (State.SUCCEEDED, 100, None), row.state_reason
    assert ports.store.head(artifact.object_key).size_bytes == artifact.size_bytes
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert paid(sandbox, prompt) == ["image.generate"]


def test_too_many_calls_are_waited_out_as_long_as_asked_and_count_no_attempt(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt("fail=429 retry_after=77")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.waits) == (State.QUEUED, 0, 1)
    assert rows.is_due_in(ports, job, 77)
    assert (row.state_reason or "").startswith("rate_limited: ")
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.THROTTLED]
    assert rows.error(ports, job)["retryable"] is True
    assert paid(sandbox, prompt) == []


@pytest.mark.parametrize(("fault", "slows"), [("429", True), ("503_overloaded", True), ("503", False)])
def test_too_much_at_once_slows_the_lane_and_a_missing_channel_does_not(
    ports: Ports, sandbox: SandboxServer, fault: str, slows: bool
) -> None:
    job = rows.make(ports, prompt=rows.prompt(f"fail={fault}"))

    submit.submit([job.id], ports)

    lane = lane_of(ports, job)
    assert (lane.slowed_to == 1) is slows
    assert ((lane.slow_reason or "") != "") is slows
    assert lane.paused_until is None


def test_a_wait_that_the_gateway_asks_for_is_kept_by_the_whole_lane(ports: Ports, sandbox: SandboxServer) -> None:
    job = rows.make(ports, prompt=rows.prompt("fail=429 retry_after=7"))

    submit.submit([job.id], ports)

    lane = lane_of(ports, job)
    assert lane.paused_until is not None
    assert (lane.pause_reason or "").startswith("the gateway asks to wait")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("401", "refuses the key"), ("401_exhausted", "no balance left"), ("403", "no balance left")],
)
def test_what_no_other_job_of_the_lane_would_fare_better_with_pauses_it(
    ports: Ports, sandbox: SandboxServer, fault: str, reason: str
) -> None:
    prompt = rows.prompt(f"fail={fault}")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    lane = lane_of(ports, job)
    assert (rows.read(ports, job).state, rows.read(ports, job).attempt) == (State.QUEUED, 0)
    assert lane.paused_until is not None
    assert reason in (lane.pause_reason or "")
    assert paid(sandbox, prompt) == []


@pytest.mark.parametrize(
    ("tag", "error_class"),
    [("fail=400", "invalid_request"), ("fail=moderation", "content_policy"), ("fail=413_html", "invalid_request")],
)
def test_a_refusal_for_good_is_final_and_says_why(
    ports: Ports, sandbox: SandboxServer, tag: str, error_class: str
) -> None:
    prompt = rows.prompt(tag)
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row, error = rows.read(ports, job), rows.error(ports, job)
    assert (row.state, row.attempt) == (State.FAILED, 1)
    assert row.finished_at is not None
    assert error["class"] == error_class
    assert error["retryable"] is False
    assert error["upstream_request_id"]
    assert paid(sandbox, prompt) == []
    assert lane_of(ports, job).paused_until is None


@pytest.mark.parametrize("fault", ["503", "503_overloaded", "500_database"])
def test_a_gateway_that_cannot_now_is_asked_again_and_counts_no_attempt(
    ports: Ports, sandbox: SandboxServer, fault: str
) -> None:
    prompt = rows.prompt(f"fail={fault}")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    assert (rows.read(ports, job).state, rows.read(ports, job).attempt) == (State.QUEUED, 0)
    assert paid(sandbox, prompt) == []


@pytest.mark.parametrize(("attempt", "state"), [(0, State.QUEUED), (2, State.FAILED)])
def test_a_sentence_in_place_of_a_picture_is_tried_again_until_the_last_attempt(
    ports: Ports, sandbox: SandboxServer, attempt: int, state: State
) -> None:
    prompt = rows.prompt("variant=no_media")
    job = rows.make(ports, prompt=prompt, attempt=attempt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (state, attempt + 1)
    assert rows.error(ports, job)["class"] == "no_media"
    assert paid(sandbox, prompt) == ["image.generate"]


UNKNOWN = [
    "cut=after_charge",
    "cut=mid_body",
    "fail_after=502",
    "fail_after=524",
    "variant=html200",
    "fail_after=500_panic",
]


@pytest.mark.parametrize("tag", UNKNOWN)
def test_when_nobody_knows_what_came_of_a_paid_call_the_job_is_held_and_nothing_is_sent_again(
    ports: Ports, sandbox: SandboxServer, tag: str
) -> None:
    prompt = rows.prompt(tag)
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)
    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.claimed_by, row.due_at) == (State.HELD, 1, None, None)
    assert rows.error(ports, job)["class"] == "unknown_outcome"
    assert paid(sandbox, prompt) == ["image.generate"]


def test_a_call_that_was_cut_before_it_was_paid_looks_the_same_and_is_held_too(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt("cut=before_charge")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.HELD
    assert paid(sandbox, prompt) == []


def test_who_wants_to_fail_fails_and_is_charged_once(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt("cut=after_charge")
    job = rows.make(ports, prompt=prompt, on_unknown=OnUnknown.FAIL)

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.FAILED
    assert paid(sandbox, prompt) == ["image.generate"]


def test_who_wants_another_try_gets_it_and_may_be_charged_twice(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    rule = {"match": {"prompt_contains": prompt}, "times": 1, "do": {"cut": "after_charge"}}
    sandbox.script([rule])
    job = rows.make(ports, prompt=prompt, on_unknown=OnUnknown.RETRY)

    submit.submit([job.id], ports)
    between = rows.read(ports, job)
    with ports.transaction() as session:
        claims.release(session, {job.lane: 1}, ports.process_id)
    with ports.transaction() as session:
        session.get_one(Job, job.id).due_at = None
    with ports.transaction() as session:
        claims.release(session, {job.lane: 1}, ports.process_id)
    submit.submit([job.id], ports)

    assert (between.state, between.attempt) == (State.QUEUED, 1)
    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 2)
    assert paid(sandbox, prompt) == ["image.generate", "image.generate"]


def test_a_gateway_that_is_not_there_was_surely_not_sent_anything(ports: Ports) -> None:
    with elsewhere(ports, "http://127.0.0.1:1") as away:
        job = rows.make(away)

        submit.submit([job.id], away)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.waits) == (State.QUEUED, 0, 1)
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.NOT_SENT]


@contextmanager
def elsewhere(ports: Ports, url: str) -> Iterator[Ports]:
    """The same process with its gateway at another address."""
    gateway = Gateway(url, "sk-nobody", Figures())
    yield replace(ports, gateways=factories.gateways(gateway))
    gateway.stop()


@pytest.mark.parametrize("word", ["bad\\u0000news", "half \\ud83d"])
def test_an_answer_that_postgresql_could_not_keep_is_judged_like_any_other(ports: Ports, word: str) -> None:
    job = rows.make(ports)
    claim = take(ports, job)
    body = f'{{"error": {{"code": "invalid_value", "message": "{word}", "type": "invalid_request_error"}}}}'

    submit.finish(claim, call_of(job), Response(400, {}, body.encode()), ports)

    assert rows.read(ports, job).state is State.FAILED
    assert rows.error(ports, job)["class"] == "invalid_request"


def take(ports: Ports, job: Job) -> claims.Claim:
    with ports.transaction() as session:
        claim = claims.take(session, job.id, ports.process_id)
    assert claim is not None
    return claim


def call_of(job: Job) -> Call:
    from shared.catalog.operations.images import ImageGenerateParams

    return Call(job.operation, job.model, "a boat", ImageGenerateParams(), job_id=job.id)


# Doubled, late, and no longer wanted.


def test_a_doubled_hint_pays_once(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id, job.id], ports)
    submit.submit([job.id], ports)

    assert rows.read(ports, job).attempt == 1
    assert paid(sandbox, prompt) == ["image.generate"]


def test_a_hint_that_many_processes_get_at_once_pays_once(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)
    many = [replace(ports, process_id=ids.new("process"), in_hand=InHand()) for _ in range(5)]
    barrier = threading.Barrier(len(many))

    def run(one: Ports) -> None:
        barrier.wait(10)
        submit.submit([job.id], one)

    with ThreadPoolExecutor(len(many)) as threads:
        list(threads.map(run, many))

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert paid(sandbox, prompt) == ["image.generate"]


def test_a_doubled_hint_leaves_a_job_to_the_thread_that_has_it_in_hand(ports: Ports, sandbox: SandboxServer) -> None:
    # Else the thread that lost the answer to its claim would take back the claim of the other.
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)

    with ports.in_hand.only(job.id):
        submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.DISPATCHED
    assert paid(sandbox, prompt) == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.DISPATCHED])
def test_a_late_hint_does_nothing(ports: Ports, sandbox: SandboxServer, state: State) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt, state=state)

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is state
    assert paid(sandbox, prompt) == []


def test_a_hint_at_nothing_does_nothing(ports: Ports) -> None:
    submit.submit([], ports)
    submit.submit([ids.new("job"), ids.new("job")], ports)


def test_a_job_past_its_deadline_is_not_paid_for(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt, deadline_at=claims.seconds_from_now(-1))

    submit.submit([job.id], ports)

    assert paid(sandbox, prompt) == []


def test_the_result_of_a_job_that_was_canceled_meanwhile_leaves_it_canceled(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt("latency=0.5")
    job = rows.make(ports, prompt=prompt)

    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(submit.submit, [job.id], ports)
        rows.until_state(ports, job, State.SUBMITTING)
        move(ports, job, Cause.CANCELED)
        call.result(30)

    assert rows.read(ports, job).state is State.CANCELED
    assert rows.artifacts(ports, job) == []


def test_a_success_after_we_were_given_up_for_dead_is_welcome(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt("latency=0.5")
    job = rows.make(ports, prompt=prompt)

    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(submit.submit, [job.id], ports)
        rows.until_state(ports, job, State.SUBMITTING)
        move(ports, job, Cause.UNKNOWN)
        call.result(30)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert paid(sandbox, prompt) == ["image.generate"]


def move(ports: Ports, job: Job, cause: Cause) -> None:
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        assert claims.move(session, claim, cause)


def test_a_process_that_stops_gives_back_what_it_has_not_begun(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)
    stopping = replace(ports, stopping=threading.Event())
    stopping.stopping.set()

    submit.submit([job.id], stopping)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.due_at) == (State.QUEUED, 0, None)
    assert rows.causes(ports, job) == [Cause.GIVEN_BACK]
    assert paid(sandbox, prompt) == []


def test_a_job_whose_hint_is_late_is_begun_here_if_a_thread_is_free(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    late = rows.make(ports, prompt=prompt, moved_at=claims.seconds_from_now(-submit.UNHINTED_S - 1))
    fresh = rows.make(ports)
    near = Near(50)
    with_threads = replace(ports, near=near)

    submit.find(ports)  # without a thread to spare
    untouched = rows.read(ports, late)
    submit.find(with_threads)
    submit.find(with_threads)
    near.finish()

    assert (untouched.state, untouched.due_at) == (State.DISPATCHED, None)
    assert rows.read(ports, late).state is State.SUCCEEDED
    assert rows.read(ports, fresh).state is State.DISPATCHED
    assert paid(sandbox, prompt) == ["image.generate"]


# Inputs.


class PictureServer(ThreadingHTTPServer):
    """Pictures at `/picture`, the status that any other path names, and at `/hang` nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PictureHandler)
        self.let_go = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class PictureHandler(BaseHTTPRequestHandler):
    server: PictureServer

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "hang":
            self.server.let_go.wait(30)
        status = int(name) if name.isdecimal() else 200
        body = png() if status == 200 else b"no"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def pictures() -> Iterator[PictureServer]:
    server = PictureServer()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.let_go.set()
    server.shutdown()
    server.server_close()


def edit(ports: Ports, images: list[Any], **columns: Any) -> Job:
    return rows.make(ports, operation="image.edit", inputs={"images": images}, **columns)


def asset(ports: Ports, project_id: str | None = None) -> tuple[str, str]:
    """An uploaded picture: its id and its project's."""
    with ports.transaction() as session:
        project_id = project_id or factories.project(session).id
        row = factories.asset(session, project_id)
    ports.store.put_bytes(row.object_key, png(), "image/png")
    return row.id, project_id


def test_inputs_of_every_kind_are_sent(homely: Ports, sandbox: SandboxServer, pictures: PictureServer) -> None:
    asset_id, project_id = asset(homely)
    parent = rows.make(homely, project_id=project_id)
    submit.submit([parent.id], homely)
    (artifact,) = rows.artifacts(homely, parent)
    images = [DATA_URL, asset_id, artifact.id, {"job": parent.id}, {"job": parent.id, "index": 0}]
    images.append(f"{pictures.url}/picture")
    prompt = rows.prompt()
    job = edit(homely, images, prompt=prompt, project_id=project_id)

    submit.submit([job.id], homely)

    assert rows.read(homely, job).state is State.SUCCEEDED, rows.read(homely, job).state_reason
    assert paid(sandbox, prompt) == ["image.edit"]


@pytest.mark.parametrize(
    "image",
    [
        "data:image/png;base64,aGVsbG8gd29ybGQ=",
        "data:image/png;base64,%%%",
        "data:text/html,<html></html>",
        "asset_01k00000000000000000000000",
        "artifact_01k00000000000000000000000",
        {"job": "job_01k00000000000000000000000"},
        "http://127.0.0.1:9/private",
        "http://169.254.169.254/latest/meta-data",
        "ftp://example.com/picture.png",
    ],
    ids=str,
)
def test_an_input_that_cannot_be_used_fails_the_job_before_anything_is_paid(
    ports: Ports, sandbox: SandboxServer, image: Any
) -> None:
    prompt = rows.prompt()
    job = edit(ports, [DATA_URL, image], prompt=prompt)

    submit.submit([job.id], ports)

    row, error = rows.read(ports, job), rows.error(ports, job)
    assert (row.state, row.attempt) == (State.FAILED, 0)
    assert (error["class"], error["code"]) == ("invalid_request", "input_refused")
    assert rows.causes(ports, job) == [Cause.INPUT_REFUSED]
    assert paid(sandbox, prompt) == []


def test_another_projects_asset_is_as_good_as_none(ports: Ports) -> None:
    asset_id, _ = asset(ports)
    job = edit(ports, [asset_id])

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.FAILED
    assert rows.error(ports, job)["message"] == f"there is no {asset_id}"


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_address_that_has_no_picture_fails_the_job(homely: Ports, pictures: PictureServer, status: int) -> None:
    job = edit(homely, [f"{pictures.url}/{status}"])

    submit.submit([job.id], homely)

    assert rows.read(homely, job).state is State.FAILED


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_address_that_has_trouble_is_tried_again_and_counts_no_attempt(
    homely: Ports, sandbox: SandboxServer, pictures: PictureServer, status: int
) -> None:
    prompt = rows.prompt()
    job = edit(homely, [f"{pictures.url}/{status}"], prompt=prompt)

    submit.submit([job.id], homely)

    row = rows.read(homely, job)
    assert (row.state, row.attempt, row.waits) == (State.QUEUED, 0, 1)
    assert rows.due_in_s(homely, job) > 0
    assert rows.causes(homely, job) == [Cause.GIVEN_BACK]
    assert paid(sandbox, prompt) == []


def test_an_address_that_always_has_trouble_fails_the_job_in_the_end(homely: Ports, pictures: PictureServer) -> None:
    job = edit(homely, [f"{pictures.url}/503"], waits=submit.INPUT_WAITS_MOST, waits_for="input")

    submit.submit([job.id], homely)

    assert rows.read(homely, job).state is State.FAILED


def test_earlier_waits_for_the_gateway_do_not_use_up_those_for_an_input(homely: Ports, pictures: PictureServer) -> None:
    job = edit(homely, [f"{pictures.url}/503"], waits=1000, waits_for="rate_limited")

    submit.submit([job.id], homely)

    row = rows.read(homely, job)
    assert (row.state, row.waits, row.waits_for) == (State.QUEUED, 1, "input")


def test_a_storage_of_ours_that_is_away_is_waited_for_without_end(ports: Ports, settings: Settings) -> None:
    away = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    asset_id, project_id = asset(ports)
    job = edit(ports, [asset_id], project_id=project_id, waits=1000)

    submit.submit([job.id], replace(ports, store=away))
    away.close()

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.QUEUED, 0)
    assert "an input cannot be had just now" in (row.state_reason or "")


def test_a_slow_input_of_one_job_keeps_no_other_of_its_hint_waiting(homely: Ports, pictures: PictureServer) -> None:
    slow = edit(homely, [f"{pictures.url}/hang"])
    quick = [rows.make(homely) for _ in range(2)]

    with ThreadPoolExecutor(1) as thread:
        thread.submit(submit.submit, [slow.id, *(job.id for job in quick)], homely)
        for job in quick:
            rows.until_state(homely, job, State.SUCCEEDED)

        assert rows.read(homely, slow).state is State.DISPATCHED
        pictures.let_go.set()
    assert rows.read(homely, slow).state is State.SUCCEEDED


# Trouble of our own.  Whatever it is, the row says what is known of the money.


class Trouble(Exception):
    """Nobody thought of this."""


def fails(*_: object, **__: object) -> Any:
    raise Trouble


def test_an_adapter_that_cannot_read_an_answer_leaves_a_held_job(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_OPERATION, "image.generate", replace(BY_OPERATION["image.generate"], read=fails))  # type: ignore[arg-type]
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.HELD
    assert rows.error(ports, job)["code"] == "unrecorded"
    assert paid(sandbox, prompt) == ["image.generate"]


@pytest.mark.parametrize("wish", list(OnUnknown))
def test_an_answer_that_neither_disk_nor_s3_takes_leaves_a_held_job_since_it_is_known_to_be_paid(
    ports: Ports, settings: Settings, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, wish: OnUnknown
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ports.spool, "keep", full)
    monkeypatch.setattr(submit, "KEEP_S", 0.5)
    away = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    prompt = rows.prompt("variant=b64_json")
    job = rows.make(ports, prompt=prompt, on_unknown=wish)

    submit.submit([job.id], replace(ports, store=away))
    away.close()

    assert rows.read(ports, job).state is State.HELD
    assert paid(sandbox, prompt) == ["image.generate"]


def test_a_request_that_cannot_be_built_is_given_back_and_fails_in_the_end(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_OPERATION, "image.generate", replace(BY_OPERATION["image.generate"], build=fails))  # type: ignore[arg-type]
    first, last = rows.make(ports), rows.make(ports, waits=submit.INPUT_WAITS_MOST, waits_for="input")

    submit.submit([first.id, last.id], ports)

    row = rows.read(ports, first)
    assert (row.state, row.attempt, row.waits) == (State.QUEUED, 0, 1)
    assert "could not be built (Trouble" in (row.state_reason or "")
    assert rows.read(ports, last).state is State.FAILED


def test_a_client_that_cannot_begin_gives_the_attempt_back(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = rows.make(ports)
    monkeypatch.setattr(Gateway, "start", fails)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.QUEUED, 0)
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.NOT_SENT]


def test_trouble_with_one_job_of_a_hint_leaves_the_others_alone(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [rows.make(ports) for _ in range(3)]
    prepare = submit.prepare
    monkeypatch.setattr(
        submit, "prepare", lambda job_id, ports: fails() if job_id == jobs[1].id else prepare(job_id, ports)
    )

    submit.submit([job.id for job in jobs], ports)

    assert [rows.read(ports, job).state for job in jobs] == [State.SUCCEEDED, State.DISPATCHED, State.SUCCEEDED]


class Flaky:
    """Transactions of which some lose the answer to their commit, or their connection before it."""

    def __init__(self, ports: Ports, *, loses: Callable[[int], bool], commits: bool) -> None:
        self._ports, self._loses, self._commits = ports, loses, commits
        self.count = 0

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        self.count += 1
        lost = self._loses(self.count)
        with self._ports.transaction() as session:
            yield session
            if lost and not self._commits:
                raise OperationalError("COMMIT", {}, Exception("connection lost before it"))
        if lost:
            raise OperationalError("COMMIT", {}, Exception("its answer was lost"))


# Of one job: read, find inputs, take, then write down the answer, find outputs, and say that it is stored.
TAKE, RECORD, LOCATE_OUTPUTS, STORED = 3, 4, 5, 6


@pytest.mark.parametrize("commits", [True, False], ids=["the answer was lost", "the commit was lost"])
def test_a_claim_of_which_we_do_not_know_whether_it_stands_is_given_up_unsent(
    ports: Ports, sandbox: SandboxServer, commits: bool
) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)
    flaky = Flaky(ports, loses=lambda number: number == TAKE, commits=commits)

    submit.submit([job.id], replace(ports, transaction=flaky))

    row = rows.read(ports, job)
    assert row.state is (State.QUEUED if commits else State.DISPATCHED)
    assert row.attempt == 0
    assert paid(sandbox, prompt) == []


@pytest.mark.parametrize("commits", [True, False], ids=["the answer was lost", "the commit was lost"])
@pytest.mark.parametrize("number", [RECORD, STORED])
@pytest.mark.parametrize("variant", ["url", "b64_json"])
def test_what_came_of_a_paid_call_is_written_down_once_however_often_the_database_drops_us(
    ports: Ports, sandbox: SandboxServer, commits: bool, number: int, variant: str
) -> None:
    prompt = rows.prompt(f"variant={variant}")
    job = rows.make(ports, prompt=prompt)
    flaky = Flaky(ports, loses=lambda count: count == number, commits=commits)

    submit.submit([job.id], replace(ports, transaction=flaky))

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert len(rows.artifacts(ports, job)) == 1
    assert paid(sandbox, prompt) == ["image.generate"]


@pytest.mark.parametrize("commits", [True, False], ids=["the answer was lost", "the commit was lost"])
@pytest.mark.parametrize(
    ("operation", "tag", "state", "cause"),
    [
        ("video.create", "latency=60", State.RUNNING, Cause.ACCEPTED),
        ("image.generate", "fail=400", State.FAILED, Cause.REFUSED),
        ("image.generate", "fail=429", State.QUEUED, Cause.THROTTLED),
        ("image.generate", "cut=after_charge", State.HELD, Cause.UNKNOWN),
    ],
)
def test_every_outcome_is_written_down_once(
    ports: Ports, commits: bool, operation: str, tag: str, state: State, cause: Cause
) -> None:
    job = rows.make(ports, operation=operation, prompt=rows.prompt(tag))
    flaky = Flaky(ports, loses=lambda number: number == RECORD, commits=commits)

    submit.submit([job.id], replace(ports, transaction=flaky))

    assert rows.read(ports, job).state is state
    assert rows.causes(ports, job) == [Cause.CLAIMED, cause]


def test_an_outage_of_the_database_while_the_call_is_under_way_is_sat_out(ports: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, prompt=prompt)
    flaky = Flaky(ports, loses=lambda number: RECORD <= number < RECORD + 4, commits=False)

    submit.submit([job.id], replace(ports, transaction=flaky))

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert paid(sandbox, prompt) == ["image.generate"]


def test_no_transaction_is_open_while_the_gateway_is_spoken_to(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rows.make(ports)
    open_now: list[int] = []
    start = Gateway.start

    def watched(self: Gateway, request: Any) -> Any:
        open_now.append(ports.engine.pool.checkedout())  # type: ignore[attr-defined]
        return start(self, request)

    monkeypatch.setattr(Gateway, "start", watched)

    submit.submit([job.id], ports)

    assert open_now == [0]


def test_what_it_waits_for_does_not_matter_once_it_is_dispatched(ports: Ports) -> None:
    parent = rows.make(ports)
    submit.submit([parent.id], ports)
    job = edit(ports, [{"job": parent.id}], project_id=parent.project_id)
    with ports.transaction() as session:
        session.add(JobNeed(job_id=job.id, needs_id=parent.id))

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED


def test_the_outbound_client_is_asked_with_a_limit_in_size_and_time(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, float]] = []

    def fetch(self: Outbound, url: str, to: Any, limit_bytes: int, timeout_s: float) -> None:
        asked.append((limit_bytes, timeout_s))
        to.write_bytes(png())

    monkeypatch.setattr(Outbound, "fetch", fetch)
    job = edit(ports, ["https://a.example/1.png", "https://a.example/2.png"])

    submit.submit([job.id], ports)

    assert {limit for limit, _ in asked} == {ports.settings.upload_limit_bytes}
    assert 0 < asked[1][1] <= asked[0][1] <= 40
