"""A paid result is never dropped: what comes after its job has ended or gone on is looked for, stored and told."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col, select

from api.jobs import steering
from shared import claims, ids, late, spools
from shared.errors import Conflict, StorageUnavailable
from shared.gateway.outcome import ErrorClass, GatewayError, Look, Output, Produced, Source
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.settings import Settings
from shared.tables import Event, Job, LateResult, LateState
from tests import factories, rows
from tests.sandbox import SandboxServer
from tests.worker import WorkerProcess
from workers import late as late_ticks
from workers import poll, store, submit, sweep
from workers.ports import Ports

FILM = "video.create"
PICTURE = "image.generate"


@pytest.fixture(autouse=True)
def _nothing_left(ports: Ports) -> None:
    """No late result that another test left."""
    with ports.transaction() as session:
        unfinished = col(LateResult.state).in_(late.UNFINISHED)
        session.execute(update(LateResult).where(unfinished).values(state=LateState.GIVEN_UP))


def paid(sandbox: SandboxServer, prompt: str) -> int:
    return len(list(sandbox.ledger(prompt=prompt.split(" [[")[0])))


def cancel(ports: Ports, job: Job) -> None:
    with ports.transaction() as session:
        steering.cancel(session, job.project_id, job.id)


def move(ports: Ports, job: Job, cause: Cause, **changes: Any) -> None:
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        assert claims.move(session, claim, cause, **changes)


def late_of(ports: Ports, job: Job) -> list[LateResult]:
    with ports.transaction() as session:
        found = select(LateResult).where(col(LateResult.job_id) == job.id).order_by(col(LateResult.attempt))
        return list(session.exec(found))


def news(ports: Ports, job: Job) -> list[Event]:
    with ports.transaction() as session:
        found = select(Event).where(col(Event.job_id) == job.id, col(Event.type) == late.EVENT)
        return list(session.exec(found.order_by(col(Event.seq))))


def come_due(ports: Ports, job: Job) -> None:
    with ports.transaction() as session:
        unfinished = col(LateResult.state).in_(late.UNFINISHED)
        session.execute(
            update(LateResult).where(col(LateResult.job_id) == job.id, unfinished).values(due_at=func.now())
        )


def go_on(ports: Ports, job: Job, rounds: int = 3) -> LateState:
    """Let the ticks run while time passes; the newest late result's state."""
    for _ in range(rounds):
        come_due(ports, job)
        late_ticks.look(ports)
        come_due(ports, job)
        while late_ticks.keep(ports):
            pass
    return late_of(ports, job)[-1].state


def running(ports: Ports, *tags: str, **columns: Any) -> Job:
    """A film that the sandbox has accepted."""
    job = rows.make(ports, operation=FILM, prompt=rows.prompt(*tags), **columns)
    submit.submit([job.id], ports)
    assert rows.read(ports, job).state is State.RUNNING
    return job


def storing(ports: Ports, *tags: str) -> Job:
    """A film that is done, and to be stored."""
    job = running(ports, *tags)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
    poll.poll(ports)
    assert rows.read(ports, job).state is State.STORING
    return job


def assert_kept(ports: Ports, job: Job, attempt: int = 1) -> None:
    """One artifact of that attempt, which is in S3 as its row says."""
    (artifact,) = [one for one in rows.artifacts(ports, job) if one.attempt == attempt]
    with ports.store.open(artifact.object_key) as opened:
        content = b"".join(opened)
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()


# Canceled, state by state.


@pytest.mark.parametrize("state", [State.WAITING, State.QUEUED, State.DISPATCHED])
def test_what_is_canceled_before_anything_was_sent_leaves_nothing_behind(
    ports: Ports, sandbox: SandboxServer, state: State
) -> None:
    prompt = rows.prompt()
    job = rows.make(ports, state=state, prompt=prompt)

    cancel(ports, job)
    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.CANCELED
    assert late_of(ports, job) == []
    assert paid(sandbox, prompt) == 0


@pytest.mark.parametrize("operation", [PICTURE, FILM])
def test_what_is_canceled_while_its_call_is_under_way_is_kept_when_it_comes(
    ports: Ports, sandbox: SandboxServer, operation: str
) -> None:
    prompt = rows.prompt("submit_latency=0.5" if operation == FILM else "latency=0.5")
    job = rows.make(ports, operation=operation, prompt=prompt)

    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(submit.submit, [job.id], ports)
        rows.until_state(ports, job, State.SUBMITTING)
        cancel(ports, job)
        call.result(30)

    assert [row.state for row in late_of(ports, job)] == [LateState.LOOKING if operation == FILM else LateState.STORING]
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.read(ports, job).state is State.CANCELED
    assert paid(sandbox, prompt) == 1


def test_what_is_canceled_while_the_gateway_is_at_work_is_kept_when_it_is_done(ports: Ports) -> None:
    job = running(ports)

    cancel(ports, job)

    assert [row.state for row in late_of(ports, job)] == [LateState.LOOKING]
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.read(ports, job).state is State.CANCELED


def test_what_is_canceled_before_anybody_stores_it_is_stored_all_the_same(ports: Ports) -> None:
    job = storing(ports)

    cancel(ports, job)

    assert [row.state for row in late_of(ports, job)] == [LateState.STORING]
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.causes(ports, job)[-1] == Cause.CANCELED


def test_who_has_a_result_in_hand_when_it_is_canceled_stores_it_to_the_end(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = storing(ports)
    put_file = type(ports.store).put_file

    def canceled_meanwhile(*arguments: Any, **named: Any) -> Any:
        with suppress(Conflict):
            cancel(ports, job)
        return put_file(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(type(ports.store), "put_file", canceled_meanwhile)
        store.store([job.id], ports)

    assert rows.read(ports, job).state is State.CANCELED
    assert [row.state for row in late_of(ports, job)] == [LateState.STORED]
    assert_kept(ports, job)
    assert not late_ticks.keep(ports)


def test_a_result_that_is_in_somebodys_hand_is_left_to_him_for_a_while(ports: Ports) -> None:
    job = storing(ports)
    with ports.transaction() as session:
        assert claims.take_storing(session, ports.process_id, ports.spool.name, job_ids=[job.id])

    cancel(ports, job)

    assert not late_ticks.keep(ports)
    assert late_of(ports, job)[0].state is LateState.STORING


# Other ways to end or go on.


@pytest.mark.parametrize("state", [State.RUNNING, State.STORING])
def test_what_comes_after_the_deadline_is_kept(ports: Ports, state: State) -> None:
    job = running(ports) if state is State.RUNNING else storing(ports)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(deadline_at=claims.seconds_from_now(-1)))

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.FAILED
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.error(ports, job)["code"] == "deadline_exceeded"


def test_a_task_that_is_given_up_as_stuck_is_still_looked_at(ports: Ports) -> None:
    job = running(ports)

    move(ports, job, Cause.STUCK)

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.read(ports, job).state is State.FAILED


VANISHED = GatewayError(ErrorClass.UNKNOWN_OUTCOME, "upstream_vanished", "the gateway no longer knows this task")


@pytest.mark.parametrize(("on_unknown", "state"), [(OnUnknown.FAIL, State.FAILED), (OnUnknown.RETRY, State.QUEUED)])
def test_a_task_that_vanished_is_still_looked_at(ports: Ports, on_unknown: OnUnknown, state: State) -> None:
    job = running(ports, on_unknown=on_unknown)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None

    submit.refuse(claim, VANISHED, ports)

    assert rows.read(ports, job).state is state
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)


@pytest.mark.parametrize("way", ["failed", "retry", "cancel"])
def test_what_a_person_ends_while_it_is_held_goes_on_at_the_gateway(ports: Ports, way: str) -> None:
    job = running(ports, on_unknown=OnUnknown.HOLD)
    move(ports, job, Cause.UNKNOWN)

    if way == "cancel":
        cancel(ports, job)
    else:
        move(ports, job, Cause.RESOLVED_FAILED if way == "failed" else Cause.RESOLVED_RETRY)

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)


def test_a_held_call_of_which_no_task_is_known_leaves_nothing_behind(ports: Ports) -> None:
    job = rows.make(ports, state=State.HELD)

    cancel(ports, job)

    assert late_of(ports, job) == []


# Zombies.


def zombie_of(ports: Ports, **columns: Any) -> tuple[Job, claims.Claim]:
    """A job whose paid call is under way in a process that is then given up for dead."""
    job = rows.make(ports, **columns)
    with ports.transaction() as session:
        claim = claims.take(session, job.id, by=ports.process_id)
    assert claim is not None
    return job, replace(claim, holder=claim.by)


def picture(color: str = "teal") -> Produced:
    """An answer that has its picture in it."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), color).save(file, "PNG")
    return Produced((Output("image", (Source(content=file.getvalue()),)),), {"revised_prompt": "a boat"})


def begin_anew(ports: Ports, job: Job) -> claims.Claim:
    """The next attempt, whose paid call is under way."""
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=None))
        claims.release(session, {job.lane: 1}, ports.process_id)
        claim = claims.take(session, job.id, by=ports.process_id)
    assert claim is not None
    return replace(claim, holder=claim.by)


def test_a_success_that_comes_after_another_attempt_was_begun_is_kept_beside_it(ports: Ports) -> None:
    job, zombie = zombie_of(ports)
    move(ports, job, Cause.RETRIED)
    second = begin_anew(ports, job)

    submit.record_produced(zombie, picture("red"), ports)
    claim = submit.record_produced(second, picture("blue"), ports)
    assert claim is not None
    store.store_claimed(claim, ports)

    assert go_on(ports, job) is LateState.STORED
    assert rows.read(ports, job).state is State.SUCCEEDED
    assert [one.attempt for one in rows.artifacts(ports, job)] == [1, 2]
    assert len({one.sha256 for one in rows.artifacts(ports, job)}) == 2
    assert [row.result for row in late_of(ports, job)] == [{"revised_prompt": "a boat"}]


def test_a_task_that_was_accepted_in_an_attempt_given_up_is_looked_at_beside_the_next(
    ports: Ports, sandbox: SandboxServer
) -> None:
    accepted = rows.read(ports, running(ports)).upstream_task_id
    assert accepted is not None
    job, zombie = zombie_of(ports, operation=FILM)
    move(ports, job, Cause.RETRIED)
    begin_anew(ports, job)

    with ports.transaction() as session:
        assert late.accepted(session, zombie, accepted)

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.upstream_task_id) == (State.SUBMITTING, 2, None)


@pytest.mark.parametrize("on_unknown", [OnUnknown.FAIL, OnUnknown.RETRY])
def test_who_was_taken_for_dead_during_its_call_and_wakes_up_brings_what_is_kept(
    ports: Ports, sandbox: SandboxServer, on_unknown: OnUnknown
) -> None:
    prompt = rows.prompt("latency=0.5")
    job = rows.make(ports, prompt=prompt, on_unknown=on_unknown)

    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(submit.submit, [job.id], ports)
        rows.until_state(ports, job, State.SUBMITTING)
        with ports.transaction() as session:
            claim = claims.read(session, job.id)
        assert claim is not None
        submit.refuse(claim, GatewayError(ErrorClass.UNKNOWN_OUTCOME, "worker_died", "its worker died"), ports)
        if on_unknown is OnUnknown.RETRY:
            begin_anew(ports, job)
        call.result(30)

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)
    assert rows.read(ports, job).state is (State.FAILED if on_unknown is OnUnknown.FAIL else State.SUBMITTING)


@pytest.mark.parametrize("said", ["accepted", "produced"])
@pytest.mark.parametrize("state", [State.RUNNING, State.STORING, State.SUCCEEDED])
def test_what_a_job_is_at_itself_is_not_late(ports: Ports, state: State, said: str) -> None:
    job = rows.make(ports, state=state)
    claim = replace(factories.claim(job), state=State.SUBMITTING)

    with ports.transaction() as session:
        kept = (
            late.accepted(session, claim, "video_1")
            if said == "accepted"
            else late.produced(session, claim, [], {}, None)
        )

    assert not kept
    assert late_of(ports, job) == []


def test_news_of_a_job_that_is_gone_are_dropped(ports: Ports) -> None:
    job = rows.make(ports, state=State.CANCELED)
    claim = replace(factories.claim(job), job_id=ids.new("job"))

    with ports.transaction() as session:
        assert not late.accepted(session, claim, "video_1")


def test_a_result_that_was_seen_when_its_job_was_just_canceled_is_not_looked_for_again(ports: Ports) -> None:
    job = running(ports)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None

    cancel(ports, job)
    submit.record_produced(claim, picture(), ports, is_ours=False)

    (row,) = late_of(ports, job)
    assert (row.state, row.spool_host) == (LateState.STORING, ports.spool.name)
    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)


def test_a_job_that_takes_the_attempt_up_again_has_its_result_as_its_own(ports: Ports) -> None:
    job, zombie = zombie_of(ports)
    with ports.transaction() as session:
        late.accepted(session, replace(zombie, attempt=0), "video_of_no_attempt")
    cancel(ports, job)
    move(ports, job, Cause.REQUEUED)
    with ports.transaction() as session:
        session.add(late_row(job, LateState.LOOKING, upstream_task_id="video_1"))

    claim = submit.record_produced(zombie, picture(), ports)
    assert claim is not None
    store.store_claimed(claim, ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert [row.attempt for row in late_of(ports, job)] == [0]


def late_row(job: Job, state: LateState, **columns: Any) -> LateResult:
    values = {"attempt": 1, "lane": job.lane, "due_at": func.now(), "created_at": func.now(), **columns}
    return LateResult(job_id=job.id, state=state, **values)


def canceled(ports: Ports, state: LateState = LateState.LOOKING, **columns: Any) -> Job:
    """A film that was canceled, with what it left behind."""
    job = rows.make(ports, operation=FILM, state=State.CANCELED)
    with ports.transaction() as session:
        session.add(late_row(job, state, **columns))
    return job


# What comes of it in the end.


def test_a_task_that_fails_is_asked_twice_and_then_given_up(ports: Ports) -> None:
    job = running(ports, "task=fail")
    cancel(ports, job)

    first = go_on(ports, job, rounds=1)
    doubted = late_of(ports, job)[0].doubted
    second = go_on(ports, job, rounds=1)

    assert (first, doubted, second) == (LateState.LOOKING, True, LateState.GIVEN_UP)
    assert (late_of(ports, job)[0].reason or "").startswith("its task failed at the gateway: ")
    assert late_of(ports, job)[0].due_at is None
    assert rows.artifacts(ports, job) == []


def test_a_task_that_goes_on_is_looked_at_again_a_minute_later(ports: Ports) -> None:
    job = running(ports, "latency=600")
    cancel(ports, job)

    state = go_on(ports, job, rounds=1)
    come_due(ports, job)
    late_ticks.look(ports)

    assert state is LateState.LOOKING
    with ports.transaction() as session:
        due = select(func.extract("epoch", col(LateResult.due_at) - func.now())).where(col(LateResult.job_id) == job.id)
        assert 40 < float(session.execute(due).scalar_one()) <= late_ticks.EVERY_S


def test_a_task_that_nobody_knows_is_looked_for_until_its_models_time_is_over(ports: Ports) -> None:
    limit_s = ports.catalog.models["sora-2"].stuck_after_s
    young = canceled(ports, upstream_task_id="video_of_nobody")
    old = canceled(ports, upstream_task_id="video_of_none", created_at=claims.seconds_from_now(-limit_s - 10))

    late_ticks.look(ports)

    assert late_of(ports, young)[0].state is LateState.LOOKING
    assert late_of(ports, young)[0].tries == 1
    assert late_of(ports, old)[0].state is LateState.GIVEN_UP
    assert "not finished" in (late_of(ports, old)[0].reason or "")


def test_a_task_that_nobody_can_ask_for_is_missed_and_given_up_in_time(ports: Ports) -> None:
    job = canceled(ports, upstream_task_id="video_1", lane="none.of_ours")

    late_ticks.look(ports)
    missed = late_of(ports, job)[0]
    with ports.transaction() as session:
        old = {"due_at": func.now(), "created_at": claims.seconds_from_now(-(10**7))}
        session.execute(update(LateResult).where(col(LateResult.job_id) == job.id).values(**old))
    late_ticks.look(ports)

    assert (missed.state, missed.tries) == (LateState.LOOKING, 1)
    assert late_of(ports, job)[0].state is LateState.GIVEN_UP


def test_a_result_that_is_nowhere_is_given_up_after_some_tries(ports: Ports) -> None:
    nowhere = [{"kind": "image", "sources": [{"spool": "nothing-1-0"}]}]
    job = canceled(ports, LateState.STORING, outputs=nowhere, spool_host=ports.spool.name)

    states = [go_on(ports, job, rounds=1) for _ in range(3)]

    assert states == [LateState.STORING, LateState.STORING, LateState.GIVEN_UP]
    assert "could not be stored" in (late_of(ports, job)[0].reason or "")
    assert rows.read(ports, job).state is State.CANCELED


def test_while_s3_is_away_a_late_result_waits_without_a_try_being_counted(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = storing(ports)
    cancel(ports, job)

    def away(*_: object, **__: object) -> Any:
        raise StorageUnavailable("S3 is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(ports.store), "put_file", away)
        late_ticks.keep(ports)
    (waiting,) = late_of(ports, job)

    assert (waiting.state, waiting.tries, waiting.waits, waiting.claimed_by) == (LateState.STORING, 0, 1, None)
    assert go_on(ports, job) is LateState.STORED


def test_a_text_that_came_late_is_kept_as_it_is(ports: Ports) -> None:
    job = rows.make(ports, operation="chat.completion", state=State.SUBMITTING, claimed_by=ports.process_id)
    claim = factories.claim(job)
    cancel(ports, job)

    submit.record_produced(claim, Produced((), {"text": "a boat"}), ports)

    assert go_on(ports, job) is LateState.STORED
    assert late_of(ports, job)[0].result == {"text": "a boat"}
    assert rows.artifacts(ports, job) == []


# Told.


def test_its_history_tells_what_came_and_that_it_is_kept(ports: Ports) -> None:
    job, zombie = zombie_of(ports)
    cancel(ports, job)
    submit.record_produced(zombie, picture(), ports)

    go_on(ports, job)

    told = [(event.state, event.attempt, event.cause, event.data) for event in news(ports, job)]
    assert told == [
        ("canceled", 1, None, {"late": "storing"}),
        ("canceled", 1, None, {"late": "stored", "artifacts": 1}),
    ]
    assert [event.reason for event in news(ports, job)] == [
        "the call of attempt 1 came to something after all",
        "the result of attempt 1 came late and is kept",
    ]


# Doubled, late, lost.


def test_run_twice_it_is_stored_once(ports: Ports) -> None:
    job = running(ports)
    cancel(ports, job)
    barrier = threading.Barrier(4)

    def run(process: Ports) -> None:
        barrier.wait(10)
        for _ in range(6):
            come_due(process, job)
            late_ticks.look(process)
            late_ticks.keep(process)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, [replace(ports, process_id=ids.new("process")) for _ in range(4)]))

    assert go_on(ports, job, rounds=1) is LateState.STORED
    assert len(rows.artifacts(ports, job)) == 1
    assert [event.data["late"] for event in news(ports, job) if event.data] == ["stored"]
    assert_kept(ports, job)


def test_said_twice_it_is_one_row(ports: Ports) -> None:
    job, zombie = zombie_of(ports)
    cancel(ports, job)

    for _ in range(2):
        submit.record_produced(zombie, picture(), ports)

    assert len(late_of(ports, job)) == 1
    assert len(news(ports, job)) == 1


def test_what_a_dead_process_was_storing_is_stored_by_another(ports: Ports) -> None:
    job = storing(ports)
    cancel(ports, job)
    with ports.transaction() as session:
        dead = factories.process(session, silent_s=ports.settings.dead_after_s + 5).id
        assert late.take_storing(session, dead, ports.spool.name, ports.settings.dead_after_s, 3600)

    assert late_ticks.keep(ports)

    assert late_of(ports, job)[0].state is LateState.STORED
    assert_kept(ports, job)


def test_what_a_living_process_is_storing_is_left_to_it(ports: Ports) -> None:
    job = storing(ports)
    cancel(ports, job)
    with ports.transaction() as session:
        living = factories.process(session).id
        assert late.take_storing(session, living, ports.spool.name, ports.settings.dead_after_s, 3600)

    assert not late_ticks.keep(ports)


def test_who_was_taken_for_dead_does_not_give_up_what_another_is_storing(ports: Ports) -> None:
    job = canceled(ports, LateState.STORING, outputs=[], claimed_by="process_new", due_at=claims.seconds_from_now(60))
    zombie = replace(factories.claim(job), attempt=1, by="process_old")

    with ports.transaction() as session:
        assert not late.give_up(session, zombie, LateState.STORING, "it is broken")

    assert late_of(ports, job)[0].state is LateState.STORING


def test_a_result_in_another_spool_is_left_to_those_who_have_it(ports: Ports) -> None:
    job = canceled(ports, LateState.STORING, outputs=[], spool_host="another spool")

    assert not late_ticks.keep(ports)
    assert late_of(ports, job)[0].claimed_by is None


def test_a_result_in_a_spool_that_nobody_sees_any_more_is_looked_for_elsewhere(ports: Ports) -> None:
    job = storing(ports)
    cancel(ports, job)
    with ports.transaction() as session:
        lost = {"spool_host": "a lost spool", "created_at": claims.seconds_from_now(-spools.LONE_S - 10)}
        session.execute(update(LateResult).where(col(LateResult.job_id) == job.id).values(**lost))

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)


def test_a_process_that_stops_takes_nothing_late(ports: Ports) -> None:
    job = canceled(ports, upstream_task_id="video_1")
    stopping = replace(ports, stopping=threading.Event())
    stopping.stopping.set()

    assert not late_ticks.look(stopping)
    assert not late_ticks.keep(stopping)
    assert late_of(ports, job)[0].tries == 0


def test_the_database_that_goes_away_in_the_middle_ends_the_round_and_nothing_is_lost(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [running(ports) for _ in range(3)]
    for job in jobs:
        cancel(ports, job)
    tries = []

    def away(*_: object, **__: object) -> None:
        tries.append(1)
        raise OperationalError("UPDATE", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patched:
        patched.setattr(late, "found", away)
        with pytest.raises(OperationalError):
            late_ticks.look(ports)

    assert len(tries) == 1
    assert [go_on(ports, job) for job in jobs] == [LateState.STORED] * 3


def test_an_answer_that_a_bug_of_ours_stumbles_over_keeps_no_other_waiting(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [running(ports) for _ in range(3)]
    for job in jobs:
        cancel(ports, job)
    write_down = late_ticks._write_down

    def stumbles(claim: claims.Claim, seen: Look, ports: Ports) -> None:
        if claim.job_id == jobs[1].id:
            raise RuntimeError("a bug")
        write_down(claim, seen, ports)

    with monkeypatch.context() as patched:
        patched.setattr(late_ticks, "_write_down", stumbles)
        late_ticks.look(ports)

    states = [late_of(ports, job)[0].state for job in jobs]
    assert states == [LateState.STORING, LateState.LOOKING, LateState.STORING]


def test_a_late_result_in_hand_is_not_swept_out_of_the_spool_before_it_is_stored(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SPOOL_S", -60.0)
    job, zombie = zombie_of(ports)
    cancel(ports, job)
    submit.record_produced(zombie, picture(), ports)

    sweep.sweep(ports)

    assert go_on(ports, job) is LateState.STORED
    assert_kept(ports, job)


def test_a_retry_goes_its_way_while_the_first_attempt_is_still_kept(ports: Ports) -> None:
    job = running(ports)
    cancel(ports, job)
    move(ports, job, Cause.REQUEUED)
    second = begin_anew(ports, job)

    assert go_on(ports, job) is LateState.STORED

    assert second.attempt == 2
    assert rows.read(ports, job).state is State.SUBMITTING
    assert_kept(ports, job)


def test_a_job_that_is_deleted_takes_its_late_results_with_it(ports: Ports) -> None:
    job = canceled(ports, upstream_task_id="video_1")
    with ports.transaction() as session:
        session.execute(text("DELETE FROM job_requests WHERE job_id = :id"), {"id": job.id})
        session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job.id})

    assert late_of(ports, job) == []


@pytest.mark.timeout(180)
def test_worker_processes_keep_late_results_by_themselves(ports: Ports, settings: Settings, tmp_path: Path) -> None:
    job = running(ports)
    cancel(ports, job)

    with WorkerProcess(settings, tmp_path / "worker.log", worker_threads=4, database_pool=5):
        rows.until(lambda: late_of(ports, job)[0].state is LateState.STORED, wait_s=60)

    assert_kept(ports, job)
    assert rows.read(ports, job).state is State.CANCELED
