"""Looking at upstream tasks: what each answer of the gateway makes of the row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import col, func, update

from shared import claims, ids, policy
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.request import Ambiguous, NotSent, Reply, Request, Response
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.tables import Job
from tests import factories, rows
from tests.factories import RecordedHints
from tests.sandbox import SandboxServer
from workers import poll, submit
from workers.gateway.client import Gateway
from workers.poll import Looks
from workers.ports import Ports


def accepted(ports: Ports, *tags: str, operation: str = "video.create", **columns: Any) -> Job:
    """A task that the sandbox has, due to be looked at."""
    job = rows.make(ports, operation=operation, prompt=rows.prompt(*tags), **columns)
    submit.submit([job.id], ports)
    assert rows.read(ports, job).state is State.RUNNING, rows.read(ports, job).state_reason
    make_due(ports, job)
    return job


def make_due(ports: Ports, *jobs: Job, **columns: Any) -> None:
    with ports.transaction() as session:
        chosen = col(Job.id).in_([job.id for job in jobs])
        session.execute(update(Job).where(chosen).values(due_at=func.now(), **columns))


def look(ports: Ports, *jobs: Job) -> None:
    make_due(ports, *jobs)
    poll.poll(ports)


class Said(Gateway):
    """A gateway that gives the same answer to every look, and counts them."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Request] = []

    def look(self, request: Request) -> Future[Reply]:
        self.asked.append(request)
        reply: Future[Reply] = Future()
        reply.set_result(self.reply)
        return reply


def film(status: str, **fields: Any) -> Response:
    import json

    return Response(200, {}, json.dumps({"id": "v_1", "status": status, **fields}).encode())


def running(ports: Ports, **columns: Any) -> Job:
    """A task that only the database knows of."""
    values = {"operation": "video.create", "upstream_task_id": f"v_{ids.new('job')}", "due_at": func.now(), **columns}
    return rows.make(ports, state=State.RUNNING, **values)


def told(ports: Ports, reply: Reply) -> Ports:
    return replace(ports, gateways=factories.gateways(Said(reply)))


# One task.


@pytest.mark.parametrize("operation", ["video.create", "midjourney.imagine"])
def test_a_task_that_goes_on_is_looked_at_again_after_its_models_interval(ports: Ports, operation: str) -> None:
    job = accepted(ports, "latency=600", operation=operation)

    look(ports, job)

    row = rows.read(ports, job)
    assert (row.state, row.misses, row.doubted) == (State.RUNNING, 0, False)
    every_s = ports.catalog.models[job.model].look_every_s
    assert rows.is_due_in(ports, job, every_s * 1.1)


@pytest.mark.parametrize("operation", ["video.create", "midjourney.imagine"])
def test_a_task_that_is_done_is_to_be_stored_and_hinted_at(ports: Ports, operation: str) -> None:
    job = accepted(ports, operation=operation)

    look(ports, job)

    row = rows.read(ports, job)
    assert (row.state, row.claimed_by) == (State.STORING, None)
    assert row.upstream_finished_at is not None
    assert rows.due_in_s(ports, job) <= 0
    assert rows.result(ports, job).outputs
    assert isinstance(ports.hints, RecordedHints)
    assert job.id in ports.hints.stores
    assert rows.causes(ports, job)[-1] == Cause.PRODUCED


def test_progress_is_told_as_it_comes(ports: Ports) -> None:
    job = running(ports)

    poll.poll(told(ports, film("in_progress", progress="37%")))

    row = rows.read(ports, job)
    assert (row.progress, row.upstream_status) == (37, "in_progress")


@pytest.mark.parametrize("word", ["queued", "IN-PROGRESS", "Brewing", ""])
def test_a_word_that_nobody_listed_means_that_it_goes_on(ports: Ports, word: str) -> None:
    job = running(ports)

    poll.poll(told(ports, film(word)))

    assert rows.read(ports, job).state is State.RUNNING


def test_a_task_that_failed_is_asked_about_once_more_before_it_is_believed(ports: Ports) -> None:
    job = accepted(ports, "task=fail")

    look(ports, job)
    doubted = rows.read(ports, job)
    is_soon = rows.is_due_in(ports, job, policy.LOOK_AGAIN_S)
    look(ports, job)

    assert (doubted.state, doubted.doubted) == (State.RUNNING, True)
    assert is_soon
    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.QUEUED, 1)
    assert rows.error(ports, job)["class"] == "task_failed"
    assert rows.causes(ports, job)[-1] == Cause.RETRIED


def test_a_gateway_that_lied_once_costs_one_look(ports: Ports) -> None:
    job = running(ports)

    poll.poll(told(ports, film("failed", error={"message": "poll trouble"})))
    make_due(ports, job)
    poll.poll(told(ports, film("in_progress", progress=50)))

    row = rows.read(ports, job)
    assert (row.state, row.doubted, row.progress) == (State.RUNNING, False, 50)


def test_a_failure_is_believed_although_nothing_was_seen_in_between(ports: Ports) -> None:
    job = running(ports)

    for reply in (film("failed"), Ambiguous("a broken look"), film("failed")):
        poll.poll(told(ports, reply))
        make_due(ports, job)

    assert rows.read(ports, job).state is State.QUEUED


@pytest.mark.parametrize("tag", ["task=moderation"])
def test_a_task_that_was_moderated_away_is_not_tried_again(ports: Ports, tag: str) -> None:
    job = accepted(ports, tag)

    look(ports, job)
    look(ports, job)

    assert rows.read(ports, job).state is State.FAILED
    assert rows.error(ports, job)["class"] == "content_policy"


def test_the_last_attempt_that_failed_fails_the_job(ports: Ports) -> None:
    job = running(ports, attempt=3, doubted=True)

    poll.poll(told(ports, film("failed")))

    assert rows.read(ports, job).state is State.FAILED


LONG_AGO = timedelta(seconds=policy.VANISHED_AFTER_S + 1)
MISSING = Response(404, {}, b'{"error": {"code": "task_not_exist", "message": "task_not_exist"}}')


@pytest.mark.parametrize(
    ("on_unknown", "state"),
    [(OnUnknown.HOLD, State.HELD), (OnUnknown.FAIL, State.FAILED), (OnUnknown.RETRY, State.QUEUED)],
)
def test_a_task_that_has_vanished_three_times_in_a_row_is_believed(
    ports: Ports, on_unknown: OnUnknown, state: State
) -> None:
    job = running(ports, on_unknown=on_unknown, moved_at=func.now() - LONG_AGO)

    states = []
    for _ in range(3):
        poll.poll(told(ports, MISSING))
        states.append(rows.read(ports, job).state)
        make_due(ports, job)

    assert states == [State.RUNNING, State.RUNNING, state]
    assert rows.error(ports, job)["code"] == "upstream_vanished"


def test_a_young_task_that_the_gateway_does_not_have_everywhere_yet_has_not_vanished(ports: Ports) -> None:
    job = running(ports)

    for reply in (*[MISSING] * (policy.VANISHED_MOST + 1), film("in_progress", progress=7)):
        poll.poll(told(ports, reply))
        make_due(ports, job)

    assert (rows.read(ports, job).state, rows.read(ports, job).progress) == (State.RUNNING, 7)


def test_a_task_that_was_seen_in_between_has_not_vanished(ports: Ports) -> None:
    job = running(ports, moved_at=func.now() - LONG_AGO)

    for reply in (MISSING, MISSING, film("queued"), MISSING, MISSING, Ambiguous("broken"), MISSING, MISSING):
        poll.poll(told(ports, reply))
        make_due(ports, job)

    assert rows.read(ports, job).state is State.RUNNING


@pytest.mark.parametrize(
    "reply",
    [
        NotSent("refused"),
        Ambiguous("reset"),
        Response(401, {}, b'{"error": {"message": "the key", "type": "new_api_error"}}'),
        Response(429, {}, b""),
        Response(502, {}, b"<html>"),
        Response(200, {}, b"<!DOCTYPE html><html>"),
        Response(200, {}, b""),
        Response(200, {}, b"null"),
        Response(200, {}, b'{"id": "v_1", "stat'),
    ],
    ids=str,
)
def test_a_look_that_told_nothing_is_no_failure_and_makes_looks_rarer(ports: Ports, reply: Reply) -> None:
    job = running(ports)

    due_s = []
    for _ in range(3):
        poll.poll(told(ports, reply))
        due_s.append(rows.due_in_s(ports, job))
        make_due(ports, job)

    row = rows.read(ports, job)
    assert (row.state, row.misses, row.vanished) == (State.RUNNING, 3, 0)
    assert due_s == sorted(due_s)
    assert due_s[-1] > 1.5 * due_s[0]


def test_a_look_that_is_seen_again_begins_anew_with_its_interval(ports: Ports) -> None:
    job = running(ports, misses=9)

    poll.poll(told(ports, film("queued")))

    assert rows.read(ports, job).misses == 0
    assert rows.due_in_s(ports, job) < 12


def test_a_gateway_that_asks_for_patience_gets_it(ports: Ports) -> None:
    job = running(ports)

    poll.poll(told(ports, Response(429, {"retry-after": "600"}, b"")))

    assert rows.is_due_in(ports, job, 600)


def test_a_task_that_is_older_than_its_models_limit_is_given_up_and_not_paid_for_again(ports: Ports) -> None:
    limit_s = ports.catalog.models["sora-2"].stuck_after_s
    old = running(ports, moved_at=claims.seconds_from_now(-limit_s - 10), on_unknown=OnUnknown.RETRY)
    young = running(ports, moved_at=claims.seconds_from_now(-limit_s + 60))

    poll.poll(told(ports, film("in_progress")))

    row, error = rows.read(ports, old), rows.error(ports, old)
    assert (row.state, row.attempt) == (State.FAILED, 1)
    assert rows.causes(ports, old) == [Cause.STUCK]
    assert (error["code"], error["class"]) == ("upstream_stuck", "unknown_outcome")
    assert rows.read(ports, young).state is State.RUNNING


def test_an_old_task_that_is_done_after_all_is_welcome(ports: Ports) -> None:
    job = running(ports, moved_at=claims.seconds_from_now(-(10**6)))

    poll.poll(told(ports, film("completed", video_url="https://cdn.example/v.mp4")))

    assert rows.read(ports, job).state is State.STORING


@pytest.mark.parametrize(("times", "state"), [(1.5, State.RUNNING), (policy.UNSEEN_PATIENCE + 0.1, State.FAILED)])
def test_a_task_that_cannot_be_seen_has_longer(ports: Ports, times: float, state: State) -> None:
    limit_s = ports.catalog.models["sora-2"].stuck_after_s
    job = running(ports, moved_at=claims.seconds_from_now(-limit_s * times))

    poll.poll(told(ports, NotSent("the gateway is away")))

    row = rows.read(ports, job)
    assert row.state is state
    assert state is State.RUNNING or (row.state_reason or "").endswith("could not be seen: the gateway is away")


def test_what_was_canceled_while_we_looked_stays_so(ports: Ports) -> None:
    done, going_on = running(ports), running(ports)

    class Meanwhile(Said):
        def look(self, request: Request) -> Future[Reply]:
            with ports.transaction() as session:
                for job in (done, going_on):
                    session.execute(update(Job).where(col(Job.id) == job.id).values(state=State.CANCELED, due_at=None))
            self.reply = film("completed", video_url="https://cdn.example/v.mp4") if self.asked else film("queued")
            return super().look(request)

    poll.poll(replace(ports, gateways=factories.gateways(Meanwhile(film("queued")))))

    assert {rows.read(ports, job).state for job in (done, going_on)} == {State.CANCELED}


@pytest.mark.parametrize("status", ["in\\u0000progress", "half \\ud83d", "x" * 10_000])
def test_an_odd_word_does_not_keep_the_others_of_its_round_from_being_written(ports: Ports, status: str) -> None:
    jobs = [running(ports) for _ in range(3)]

    poll.poll(told(ports, Response(200, {}, f'{{"id": "v", "status": "{status}", "progress": 7}}'.encode())))

    assert [rows.read(ports, job).progress for job in jobs] == [7, 7, 7]


# Many tasks.


def test_many_tasks_are_looked_at_in_one_go(ports: Ports, sandbox: SandboxServer) -> None:
    done = [accepted(ports) for _ in range(3)]
    going_on = [accepted(ports, "latency=600") for _ in range(3)]
    failing = [accepted(ports, "task=fail") for _ in range(2)]
    make_due(ports, *done, *going_on, *failing)

    count = poll.poll(ports)

    assert count >= 8
    assert {rows.read(ports, job).state for job in done} == {State.STORING}
    assert {rows.read(ports, job).state for job in (*going_on, *failing)} == {State.RUNNING}
    assert {rows.read(ports, job).doubted for job in failing} == {True}


def test_no_more_rows_are_taken_at_once_than_the_setting_says(ports: Ports) -> None:
    jobs = [running(ports) for _ in range(5)]
    few = replace(told(ports, film("queued")), settings=ports.settings.model_copy(update={"poll_batch": 2}))

    count = poll.poll(few)

    assert count == 2
    assert sum(rows.due_in_s(ports, job) > 0 for job in jobs) == 2


def test_midjourney_is_asked_about_a_hundred_tasks_in_one_call(ports: Ports, sandbox: SandboxServer) -> None:
    sandbox.script([{"match": {"route": "mj.imagine"}, "do": {"render": "plain"}}])
    done = accepted(ports, operation="midjourney.imagine")
    with ports.transaction() as session:
        lane, project = factories.lane(session).name, factories.project(session).id
        task_id = factories.reread(session, done).upstream_task_id
        jobs = [
            factories.job(
                session,
                state=State.RUNNING,
                operation="midjourney.imagine",
                lane_name=lane,
                project_id=project,
                upstream_task_id=task_id,
                due_at=func.now(),
            )
            for _ in range(99)
        ]
    make_due(ports, done)
    before = sandbox.requests()["calls"]

    poll.poll(ports)

    after = sandbox.requests()["calls"]
    sandbox.forget()
    assert after.get("mj.list", 0) - before.get("mj.list", 0) == 1
    assert after.get("mj.fetch", 0) == before.get("mj.fetch", 0)
    assert {rows.read(ports, job).state for job in (done, *jobs)} == {State.STORING}


@pytest.mark.parametrize("count", [1, 100, 101, 250])
def test_so_many_tasks_make_so_few_questions(ports: Ports, count: int) -> None:
    due = [
        replace(
            factories.claim(Job(id=f"job_{n}", operation="midjourney.imagine", lane="default.midjourney")),
            upstream_task_id=str(n),
        )
        for n in range(count)
    ]

    questions = list(poll.questions(due, ports))

    assert len(questions) == -(-count // 100)
    assert [claim.job_id for question in questions for claim in question.claims] == [claim.job_id for claim in due]
    assert all(question.request.timeout_s == ports.settings.poll_timeout_s for question in questions)


def test_a_task_that_a_list_leaves_out_is_missed_and_the_others_are_not(ports: Ports) -> None:
    done = accepted(ports, operation="midjourney.imagine")
    unknown = running(ports, operation="midjourney.imagine")

    look(ports, done, unknown)

    assert rows.read(ports, done).state is State.STORING
    assert (rows.read(ports, unknown).state, rows.read(ports, unknown).vanished) == (State.RUNNING, 1)


def test_a_job_of_an_operation_that_this_release_does_not_know_keeps_no_other_waiting(ports: Ports) -> None:
    strange, odd, plain = (
        running(ports, operation="hologram.create"),
        running(ports, operation="image.edit"),
        running(ports),
    )

    poll.poll(told(ports, film("queued", progress=7)))

    assert rows.read(ports, plain).progress == 7
    assert {rows.read(ports, job).state for job in (strange, odd)} == {State.RUNNING}
    assert rows.due_in_s(ports, strange) > 0


def test_an_answer_that_a_bug_of_ours_stumbles_over_keeps_no_other_waiting(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trouble(Exception):
        pass

    def fails(*_: object) -> Any:
        raise Trouble

    adapter = BY_OPERATION["midjourney.imagine"]
    assert adapter.looking is not None
    monkeypatch.setitem(
        BY_OPERATION,  # type: ignore[arg-type]
        "midjourney.imagine",
        replace(adapter, looking=replace(adapter.looking, read_many=fails)),
    )
    bad, good = running(ports, operation="midjourney.imagine"), running(ports)

    poll.poll(told(ports, film("queued", progress=7)))

    assert rows.read(ports, good).progress == 7
    assert rows.read(ports, bad).state is State.RUNNING


def test_a_look_that_hangs_keeps_no_other_waiting(ports: Ports) -> None:
    class OneHangs(Said):
        hanging: Future[Reply] = Future()

        def look(self, request: Request) -> Future[Reply]:
            return self.hanging if slow.upstream_task_id in request.path else super().look(request)

    slow, quick = running(ports, upstream_task_id="v_slow"), running(ports)
    gateway = OneHangs(film("queued", progress=7))
    looks = Looks(replace(ports, gateways=factories.gateways(gateway)))

    goes_on = looks.go()
    later = running(ports)
    looks.go()

    assert goes_on
    assert [rows.read(ports, job).progress for job in (slow, quick, later)] == [0, 7, 7]
    gateway.hanging.set_result(film("queued", progress=50))
    assert not looks.go()
    assert rows.read(ports, slow).progress == 50


def test_looks_that_hang_count_against_the_batch(ports: Ports) -> None:
    class AllHang(Said):
        def look(self, request: Request) -> Future[Reply]:
            self.asked.append(request)
            return Future()

    jobs = [running(ports) for _ in range(5)]
    gateway = AllHang(film("queued"))
    settings = ports.settings.model_copy(update={"poll_batch": 3})
    looks = Looks(replace(ports, gateways=factories.gateways(gateway), settings=settings))

    looks.go()
    looks.go()

    assert len(gateway.asked) == 3
    make_due(ports, *jobs)
    poll.poll(told(ports, film("queued")))


def test_two_pollers_at_once_look_at_each_task_once(ports: Ports) -> None:
    paths = [f"/v1/videos/{running(ports).upstream_task_id}" for _ in range(40)]
    gateways = [Said(film("queued")) for _ in range(4)]
    barrier = threading.Barrier(len(gateways))
    settings = ports.settings.model_copy(update={"poll_batch": 15})

    def run(gateway: Said) -> None:
        barrier.wait(10)
        for _ in range(5):
            poll.poll(replace(ports, gateways=factories.gateways(gateway), settings=settings))

    with ThreadPoolExecutor(len(gateways)) as threads:
        list(threads.map(run, gateways))

    asked = Counter(request.path for gateway in gateways for request in gateway.asked)
    assert {path: asked[path] for path in paths} == dict.fromkeys(paths, 1)


def test_the_database_that_goes_away_in_the_middle_ends_the_round_and_nothing_is_lost(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [running(ports) for _ in range(4)]
    tries = []

    def away(*_: object, **__: object) -> None:
        tries.append(1)
        raise OperationalError("UPDATE", {}, Exception("server closed the connection"))

    done = told(ports, film("completed", video_url="https://cdn.example/v.mp4"))
    with monkeypatch.context() as patched:
        patched.setattr(submit, "record_produced", away)
        with pytest.raises(OperationalError):
            poll.poll(done)
    look_all_again(ports, jobs)
    poll.poll(done)

    assert len(tries) == 1
    assert {rows.read(ports, job).state for job in jobs} == {State.STORING}


def look_all_again(ports: Ports, jobs: Sequence[Job]) -> None:
    """As their leases would, in time."""
    assert all(0 < rows.due_in_s(ports, job) <= ports.settings.poll_timeout_s + poll.LEASE_SPARE_S for job in jobs)
    make_due(ports, *jobs)


def test_a_process_that_stops_looks_at_nothing(ports: Ports) -> None:
    job = running(ports)
    stopping = replace(told(ports, film("queued", progress=9)), stopping=threading.Event())
    stopping.stopping.set()

    assert poll.poll(stopping) == 0
    assert rows.read(ports, job).progress == 0


def test_a_task_whose_poller_died_is_looked_at_by_another_within_a_minute(ports: Ports) -> None:
    job = running(ports)

    with ports.transaction() as session:
        claims.due_running(session, 1000, ports.settings.poll_timeout_s + poll.LEASE_SPARE_S)

    assert rows.due_in_s(ports, job) <= 60
